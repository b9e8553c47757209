/*
 * SQL entry points of the pure parts of pricing: distance and time of a trip, and the fare formula. Internal:
 * the functions that callers may use (hail.estimate_fare, hail.create_quote) have asked who is calling.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/guc.h"
#include "geo/geo.h"
#include "live/live.h"
#include "pricing/book.h"
#include "pricing/eta.h"
#include "pricing/fare.h"

PG_FUNCTION_INFO_V1(hail_trip_metres);
PG_FUNCTION_INFO_V1(hail_route_metres);
PG_FUNCTION_INFO_V1(hail_road_estimate);
PG_FUNCTION_INFO_V1(hail_pickup_eta);
PG_FUNCTION_INFO_V1(hail_fare_amounts);
PG_FUNCTION_INFO_V1(hail_waiting_amount);
PG_FUNCTION_INFO_V1(hail_rescaled_price);
PG_FUNCTION_INFO_V1(hail_time_multiplier);
PG_FUNCTION_INFO_V1(hail_event_multiplier);

static Datum row_result(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
    TupleDesc desc;

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* Argument `arg` as degrees within +-limit, or an error that names it. */
static double degrees_argument(FunctionCallInfo fcinfo, int arg, double limit, const char *field)
{
    double degrees;

    if (PG_ARGISNULL(arg))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must not be null", field),
                hail_field(field));
    degrees = PG_GETARG_FLOAT8(arg);
    if (!(fabs(degrees) <= limit))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg("%s must be between %.0f and %.0f", field, -limit, limit), hail_field(field));
    return degrees;
}

/* hail.trip_metres(pickup_lat, pickup_lng, dropoff_lat, dropoff_lng): great circle, after checking all four
 */
Datum hail_trip_metres(PG_FUNCTION_ARGS)
{
    double pickup_lat = degrees_argument(fcinfo, 0, 90, "pickup_lat");
    double pickup_lng = degrees_argument(fcinfo, 1, 180, "pickup_lng");
    double dropoff_lat = degrees_argument(fcinfo, 2, 90, "dropoff_lat");
    double dropoff_lng = degrees_argument(fcinfo, 3, 180, "dropoff_lng");
    double metres = geo_distance_m(pickup_lat, pickup_lng, dropoff_lat, dropoff_lng);

    if (metres < hail_min_trip_m)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("pickup and dropoff are the same place"),
                hail_field("dropoff_lat"), errhint("They must be at least %d m apart.", hail_min_trip_m));
    if (metres > hail_max_trip_km * 1000.0)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("pickup and dropoff are too far apart"),
                hail_field("dropoff_lat"), errhint("They may be at most %d km apart.", hail_max_trip_km));
    PG_RETURN_FLOAT8(metres);
}

/* hail.route_metres(places): the sum of the legs; stops may share a place, the whole route may not. Strict.
 */
Datum hail_route_metres(PG_FUNCTION_ARGS)
{
    ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
    int count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    const double *places = (const double *)ARR_DATA_PTR(array);
    double metres = 0;

    if (array_contains_nulls(array) || count % 2 != 0)
        elog(ERROR, "places must be pairs of numbers");
    for (int i = 2; i < count; i += 2)
        metres += geo_distance_m(places[i - 2], places[i - 1], places[i], places[i + 1]);
    if (metres < hail_min_trip_m)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("all stops are the same place"),
                hail_field("stops"),
                errhint("The way over them must be at least %d m long.", hail_min_trip_m));
    if (metres > hail_max_trip_km * 1000.0)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("the way over the stops is too long"),
                hail_field("stops"), errhint("It may be at most %d km long.", hail_max_trip_km));
    PG_RETURN_FLOAT8(metres);
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

/* hail.pickup_eta(lat, lng, class_id, radius_m, distance_factor, speed_kmh) -> seconds for the nearest
 * driver; NULL when there is none, or while the index is rebuilt: an estimate must not fail for that. Strict.
 */
Datum hail_pickup_eta(PG_FUNCTION_ARGS)
{
    LiveSearch search = {.lat = PG_GETARG_FLOAT8(0),
                         .lng = PG_GETARG_FLOAT8(1),
                         .class_id = PG_GETARG_INT16(2),
                         .radius_m = PG_GETARG_FLOAT8(3),
                         .area_mask = LIVE_ANY_AREA,
                         .max_results = 1};
    LiveHit nearest;

    if (live_warming() || live_search(&search, &nearest) == 0)
        PG_RETURN_NULL();
    PG_RETURN_INT32((int32)rint(eta_seconds(nearest.distance_m, PG_GETARG_FLOAT8(4), PG_GETARG_FLOAT8(5))));
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

static const BookRegion *region_argument(FunctionCallInfo fcinfo)
{
    const BookRegion *region = book_region(PG_GETARG_INT16(0));

    if (region == NULL)
        elog(ERROR, "there is no region %d", PG_GETARG_INT16(0));
    return region;
}

/* hail.time_multiplier(region_id, timezone, at). Strict. */
Datum hail_time_multiplier(PG_FUNCTION_ARGS)
{
    PG_RETURN_NUMERIC(int64_div_fast_to_numeric(
        book_time_multiplier(region_argument(fcinfo), PG_GETARG_TIMESTAMPTZ(2)), 2));
}

/* hail.event_multiplier(region_id, lat, lng, at). Strict. */
Datum hail_event_multiplier(PG_FUNCTION_ARGS)
{
    PG_RETURN_NUMERIC(
        int64_div_fast_to_numeric(book_event_multiplier(region_argument(fcinfo), PG_GETARG_FLOAT8(1),
                                                        PG_GETARG_FLOAT8(2), PG_GETARG_TIMESTAMPTZ(3)),
                                  2));
}
