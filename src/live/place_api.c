/* Where one driver was last heard of, and how far places are apart: for rules about trips. */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "geo/geo.h"
#include "live/live_mode.h"

PG_FUNCTION_INFO_V1(hail_driver_place);
PG_FUNCTION_INFO_V1(hail_metres_between);

/* In the index, or, where that does not know the driver (yet), in the table. */
static bool find_place(const pg_uuid_t *driver_id, LiveEntry *entry)
{
    bool found;

    if (live_mode() == LIVE_IN_MEMORY && live_index_find(driver_id, entry) && entry->recorded_at != 0)
        return true;
    SPI_connect();
    found = live_tables_find(driver_id, entry) && entry->recorded_at != 0;
    SPI_finish();
    return found;
}

/* hail.driver_place(driver_id) -> (lat, lng, recorded_at) */
Datum hail_driver_place(PG_FUNCTION_ARGS)
{
    TupleDesc desc;
    LiveEntry entry;
    Datum values[3] = {0};
    bool nulls[3] = {true, true, true};

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    desc = BlessTupleDesc(desc);
    if (find_place(PG_GETARG_UUID_P(0), &entry)) {
        values[0] = Float8GetDatum(entry.lat);
        values[1] = Float8GetDatum(entry.lng);
        values[2] = TimestampTzGetDatum(entry.recorded_at);
        memset(nulls, 0, sizeof(nulls));
    }
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* hail.metres_between(lat, lng, other_lat, other_lng); NaN where a place is none. */
Datum hail_metres_between(PG_FUNCTION_ARGS)
{
    PG_RETURN_FLOAT8(
        geo_distance_m(PG_GETARG_FLOAT8(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), PG_GETARG_FLOAT8(3)));
}
