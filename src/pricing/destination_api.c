/*
 * The way of a trip whose destination changes: what it would be by road from the pickup, over each place
 * where the driver was when it changed and where it is now, to the new dropoff. Internal:
 * hail.price_destination() has asked who is calling.
 *
 * Metres and seconds of every leg are estimated anew each time, for now: by the table of another hour, or
 * with what has been learnt since, what was driven may take another time than at the change before. The
 * estimate for the whole way is never less than that for what of it was driven.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "geo/geo.h"
#include "pricing/eta.h"

PG_FUNCTION_INFO_V1(hail_destination_way);

typedef struct Way {
    double straight_m; /* great circle */
    EtaGuess guess;    /* sums; only distance_m and duration_s */
} Way;

static double degrees_argument(FunctionCallInfo fcinfo, int arg, double limit, const char *field)
{
    double degrees = PG_ARGISNULL(arg) ? NAN : PG_GETARG_FLOAT8(arg);

    if (!(fabs(degrees) <= limit))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg("%s must be between %.0f and %.0f", field, -limit, limit), hail_field(field));
    return degrees;
}

static void add_leg(Way *way, int16 region, const double *from, const double *to, TimestampTz at)
{
    double metres = geo_distance_m(from[0], from[1], to[0], to[1]);
    EtaGuess leg;

    way->straight_m += metres;
    if (metres < 1 || way->straight_m > hail_max_trip_km * 1000.0)
        return;
    leg = eta_route_guess(region, from[0], from[1], to[0], to[1], at);
    way->guess.distance_m += leg.distance_m;
    way->guess.duration_s += leg.duration_s;
}

/* The bounds of trips hold for the way as a whole; it may end where the driver is. */
static void check_way(const Way *way)
{
    if (way->straight_m < hail_min_trip_m)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("pickup and dropoff are the same place"),
                hail_field("lat"), errhint("They must be at least %d m apart.", hail_min_trip_m));
    if (way->straight_m > hail_max_trip_km * 1000.0)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("the way would be too long"), hail_field("lat"),
                errhint("It may be at most %d km long.", hail_max_trip_km));
}

/* hail.destination_way(region_id, places, lat, lng) -> (distance_m, duration_s). places: latitudes and
 * longitudes in turn, the pickup first. */
Datum hail_destination_way(PG_FUNCTION_ARGS)
{
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        elog(ERROR, "a way has a region and places");

    int16 region = PG_GETARG_INT16(0);
    ArrayType *places = PG_GETARG_ARRAYTYPE_P(1);
    double end[2] = {degrees_argument(fcinfo, 2, 90, "lat"), degrees_argument(fcinfo, 3, 180, "lng")};
    int count = ArrayGetNItems(ARR_NDIM(places), ARR_DIMS(places));
    const double *degrees = (const double *)ARR_DATA_PTR(places);
    TimestampTz now = hail_now();
    Way way = {.straight_m = 0};
    TupleDesc desc;
    bool nulls[2] = {false, false};

    if (ARR_HASNULL(places) || count < 2 || count % 2 != 0)
        elog(ERROR, "a way is of latitudes and longitudes");
    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    for (int i = 0; i < count; i += 2)
        add_leg(&way, region, degrees + i, i + 2 < count ? degrees + i + 2 : end, now);
    check_way(&way);

    Datum values[2] = {Int32GetDatum(way.guess.distance_m), Int32GetDatum(way.guess.duration_s)};

    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
