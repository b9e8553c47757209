/*
 * The way of a trip whose destination changes: what it would be by road from the pickup over where the driver
 * is now to the new dropoff. Internal: hail.price_destination() has asked who is calling.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "geo/geo.h"
#include "pricing/eta.h"

PG_FUNCTION_INFO_V1(hail_destination_way);

static double degrees_argument(FunctionCallInfo fcinfo, int arg, double limit, const char *field)
{
    double degrees = PG_ARGISNULL(arg) ? NAN : PG_GETARG_FLOAT8(arg);

    if (!(fabs(degrees) <= limit))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg("%s must be between %.0f and %.0f", field, -limit, limit), hail_field(field));
    return degrees;
}

/* hail.destination_way(region_id, pickup_lat, pickup_lng, driver_lat, driver_lng, lat, lng) -> (distance_m,
 * duration_s). The driver's place is NULL before the trip has started; then the bounds of trips hold for the
 * way as a whole, and a trip may end where the driver is. */
Datum hail_destination_way(PG_FUNCTION_ARGS)
{
    int16 region = PG_GETARG_INT16(0);
    double pickup_lat = PG_GETARG_FLOAT8(1), pickup_lng = PG_GETARG_FLOAT8(2);
    bool under_way = !PG_ARGISNULL(3) && !PG_ARGISNULL(4);
    double via_lat = under_way ? PG_GETARG_FLOAT8(3) : pickup_lat;
    double via_lng = under_way ? PG_GETARG_FLOAT8(4) : pickup_lng;
    double lat = degrees_argument(fcinfo, 5, 90, "lat"), lng = degrees_argument(fcinfo, 6, 180, "lng");
    double driven_m = geo_distance_m(pickup_lat, pickup_lng, via_lat, via_lng);
    double metres = driven_m + geo_distance_m(via_lat, via_lng, lat, lng);
    TimestampTz now = hail_now();
    EtaGuess way = {.distance_m = 0}, driven = {.distance_m = 0};
    TupleDesc desc;
    bool nulls[2] = {false, false};

    if (metres < hail_min_trip_m)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("pickup and dropoff are the same place"),
                hail_field("lat"), errhint("They must be at least %d m apart.", hail_min_trip_m));
    if (metres > hail_max_trip_km * 1000.0)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("the way would be too long"), hail_field("lat"),
                errhint("It may be at most %d km long.", hail_max_trip_km));
    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    if (driven_m >= 1)
        driven = eta_route_guess(region, pickup_lat, pickup_lng, via_lat, via_lng, now);
    if (metres - driven_m >= 1)
        way = eta_route_guess(region, via_lat, via_lng, lat, lng, now);

    Datum values[2] = {Int32GetDatum(driven.distance_m + way.distance_m),
                       Int32GetDatum(driven.duration_s + way.duration_s)};

    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
