/* SQL entry points of the history module. */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "history/ring.h"
#include "identity/session.h"

PG_FUNCTION_INFO_V1(hail_append_history);
PG_FUNCTION_INFO_V1(hail_drain_history);
PG_FUNCTION_INFO_V1(hail_settle_history);
PG_FUNCTION_INFO_V1(hail_history_stats);

/* hail.append_history(driver_id, trip_id, lat, lng, recorded_at, accuracy): internal, no authorisation here.
 */
Datum hail_append_history(PG_FUNCTION_ARGS)
{
    HistoryPoint point = {0};

    for (int arg = 0; arg < 5; arg++)
        if (arg != 1 && PG_ARGISNULL(arg))
            elog(ERROR, "a point of the history needs a driver, a place and a time");
    point.driver_id = *PG_GETARG_UUID_P(0);
    if (!PG_ARGISNULL(1))
        point.trip_id = *PG_GETARG_UUID_P(1);
    point.lat = PG_GETARG_FLOAT8(2);
    point.lng = PG_GETARG_FLOAT8(3);
    point.recorded_at = PG_GETARG_TIMESTAMPTZ(4);
    point.received_at = hail_now();
    point.heading = point.speed = NAN;
    point.accuracy = PG_ARGISNULL(5) ? NAN : PG_GETARG_FLOAT4(5);
    history_append(&point);
    PG_RETURN_VOID();
}

/* hail.drain_history(): internal. */
Datum hail_drain_history(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32(history_drain());
}

/* Seconds since the oldest waiting point was received. */
static float8 drain_lag_s(HistoryRing *ring)
{
    TimestampTz oldest = ring_oldest(ring), now = hail_now();

    return oldest < now ? (float8)(now - oldest) / USECS_PER_SEC : 0;
}

/* hail.settle_history(): internal. */
Datum hail_settle_history(PG_FUNCTION_ARGS)
{
    history_settle();
    PG_RETURN_VOID();
}

/* hail.history_stats(): one row; administrators only. */
Datum hail_history_stats(PG_FUNCTION_ARGS)
{
    HistoryRing *ring = ring_get();
    HailActor actor = hail_require_actor();
    Datum values[8] = {0};
    bool nulls[8] = {false};
    TupleDesc description;

    if (actor.role != HAIL_ROLE_ADMIN && actor.role != HAIL_ROLE_ANALYST)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only administrators and analysts may do this"));
    if (get_call_result_type(fcinfo, NULL, &description) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    values[6] = values[7] = Float8GetDatum(0);
    if (ring != NULL) {
        uint64 on_trip = ring_waiting(ring, LANE_TRIP), other = ring_waiting(ring, LANE_OTHER);

        values[0] = Int64GetDatum((int64)ring->capacity * LANE_COUNT);
        values[1] = Int64GetDatum((int64)on_trip);
        values[2] = Int64GetDatum((int64)other);
        values[3] = Int64GetDatum((int64)pg_atomic_read_u64(&ring->drained));
        values[4] = Int64GetDatum((int64)pg_atomic_read_u64(&ring->written_slow));
        values[5] = BoolGetDatum(pg_atomic_read_u32(&ring->drainer) != 0);
        values[6] = Float8GetDatum(drain_lag_s(ring));
        values[7] = Float8GetDatum((float8)Max(on_trip, other) / (float8)ring->capacity);
    }
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(description), values, nulls)));
}
