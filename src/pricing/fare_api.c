/* SQL entry points of the pure parts of pricing. Internal: who uses them has asked who is calling. */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"

#include "base/error.h"
#include "pricing/eta.h"
#include "pricing/fare.h"

PG_FUNCTION_INFO_V1(hail_road_estimate);
PG_FUNCTION_INFO_V1(hail_fare_amounts);
PG_FUNCTION_INFO_V1(hail_waiting_amount);
PG_FUNCTION_INFO_V1(hail_rescaled_price);

static Datum row_result(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
    TupleDesc desc;

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* hail.road_estimate(metres, distance_factor, speed_kmh) -> (distance_m, duration_s), to the nearest unit.
 * Strict. */
Datum hail_road_estimate(PG_FUNCTION_ARGS)
{
    double metres = PG_GETARG_FLOAT8(0), factor = PG_GETARG_FLOAT8(1), speed_kmh = PG_GETARG_FLOAT8(2);
    Datum values[2] = {Int32GetDatum((int32)rint(eta_road_m(metres, factor))),
                       Int32GetDatum((int32)rint(eta_seconds(metres, factor, speed_kmh)))};
    bool nulls[2] = {false, false};

    return row_result(fcinfo, values, nulls);
}

/* hail.fare_amounts(base, per_km, per_minute, minimum, booking_fee, rounding, distance_m, duration_s, surge,
 * time_multiplier, event_multiplier, variant_multiplier): the formula; multipliers in hundredths. Strict. */
Datum hail_fare_amounts(PG_FUNCTION_ARGS)
{
    FareRates rates = {PG_GETARG_INT64(0), PG_GETARG_INT64(1), PG_GETARG_INT64(2),
                       PG_GETARG_INT64(3), PG_GETARG_INT64(4), PG_GETARG_INT64(5)};
    FareTrip trip = {PG_GETARG_INT32(6), PG_GETARG_INT32(7),  PG_GETARG_INT32(8),
                     PG_GETARG_INT32(9), PG_GETARG_INT32(10), PG_GETARG_INT32(11)};
    FareAmounts price;

    if (!fare_price(&rates, &trip, &price))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("fare is out of range"),
                errhint("Check the price list and the multipliers."));

    Datum values[6] = {Int64GetDatum(price.distance),   Int64GetDatum(price.time),
                       Int64GetDatum(price.multiplier), Int64GetDatum(price.minimum),
                       Int64GetDatum(price.rounding),   Int64GetDatum(price.total)};
    bool nulls[6] = {false};

    return row_result(fcinfo, values, nulls);
}

/* hail.waiting_amount(waited_s, free_s, per_minute, maximum, rounding). Strict. */
Datum hail_waiting_amount(PG_FUNCTION_ARGS)
{
    FareWaiting waiting = {PG_GETARG_INT32(1), PG_GETARG_INT64(2), PG_GETARG_INT64(3), PG_GETARG_INT64(4)};
    int64 amount;

    if (!fare_waiting(&waiting, PG_GETARG_INT64(0), &amount))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("waiting is out of range"),
                errhint("Check the price list."));
    PG_RETURN_INT64(amount);
}

/* hail.rescaled_price(quoted, agreed, before, rounding). Strict. */
Datum hail_rescaled_price(PG_FUNCTION_ARGS)
{
    int64 amount;

    if (!fare_rescale(PG_GETARG_INT64(0), PG_GETARG_INT64(1), PG_GETARG_INT64(2), PG_GETARG_INT64(3),
                      &amount))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("price is out of range"));
    PG_RETURN_INT64(amount);
}
