/*
 * What a way is expected to take; see eta.h. The model (eta_model.h) is asked with the effects that the store
 * has (eta_store.h) and the figures of the region that the book has (book.h).
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "base/owner.h"
#include "base/statement.h"
#include "pricing/book.h"
#include "pricing/eta.h"
#include "pricing/eta_store.h"

/* Observed ways to pickups that the region's trips weigh against them. */
#define PICKUP_PRIOR 5.0
/* Standard deviations of a normal distribution to either side that hold 80 % of it. */
#define Z80 1.2816

static const BookRegion *region_figures(int16 id)
{
    const BookRegion *region = book_region(id);

    if (region == NULL)
        elog(ERROR, "there is no region %d", id);
    return region;
}

/* A moment as the model has it, in a zone. */
typedef struct LocalMoment {
    const pg_tz *zone;
    TimestampTz at;
    int hour_of_week, minute, day;
} LocalMoment;

/* Matching asks a thousand times with the same one. A time out of range is as good as any. */
static const LocalMoment *local_moment(const BookRegion *region, TimestampTz at)
{
    static LocalMoment last = {NULL};
    const pg_tz *zone = region->timezone != NULL ? region->timezone : pg_tzset("UTC");
    struct pg_tm tm;
    fsec_t fraction;
    int offset, day;

    if (last.zone == zone && last.at == at)
        return &last;
    if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, &offset, &tm, &fraction, NULL, (pg_tz *)zone) != 0)
        timestamp2tm(0, &offset, &tm, &fraction, NULL, (pg_tz *)zone);
    day = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday);
    last = (LocalMoment){zone, at, (j2day(day) + 6) % 7 * 24 + tm.tm_hour, tm.tm_min,
                         day - POSTGRES_EPOCH_JDATE};
    return &last;
}

void eta_fill_trip(const BookRegion *region, TimestampTz at, EtaTrip *trip)
{
    const LocalMoment *moment = local_moment(region, at);

    trip->region = (uint16_t)region->id;
    trip->hour_of_week = moment->hour_of_week;
    trip->minute = moment->minute;
    trip->day = moment->day;
}

static int whole(double value)
{
    return value >= INT_MAX ? INT_MAX : (int)rint(value);
}

static EtaGuess guess_of(const EtaPrediction *prediction)
{
    static const EtaSource sources[] = {[ETA_DEFAULT] = ETA_FROM_DEFAULT,
                                        [ETA_REGION] = ETA_FROM_REGION,
                                        [ETA_HOUR] = ETA_FROM_HOUR,
                                        [ETA_CELL] = ETA_FROM_TRIPS};

    return (EtaGuess){.distance_m = whole(prediction->road_m),
                      .duration_s = whole(prediction->duration_s),
                      .low_s = whole(prediction->low_s),
                      .high_s = whole(prediction->high_s),
                      .source = sources[prediction->level],
                      .support = prediction->support,
                      .seconds = prediction->duration_s};
}

static EtaPrediction predict(int16 region_id, double from_lat, double from_lng, double to_lat, double to_lng,
                             TimestampTz at, EtaEffect *pickup)
{
    const BookRegion *region = region_figures(region_id);
    EtaRegion base = {region->distance_factor, region->speed_kmh};
    EtaTrip trip = {.from_lat = from_lat, .from_lng = from_lng, .to_lat = to_lat, .to_lng = to_lng};
    EtaPrediction prediction;

    eta_fill_trip(region, at, &trip);
    if (!eta_store_predict(&trip, &base, &prediction, pickup))
        elog(ERROR, "there is no way between these places");
    return prediction;
}

EtaGuess eta_guess(int16 region_id, double from_lat, double from_lng, double to_lat, double to_lng,
                   TimestampTz at)
{
    EtaPrediction prediction = predict(region_id, from_lat, from_lng, to_lat, to_lng, at, NULL);

    return guess_of(&prediction);
}

EtaGuess eta_pickup(int16 region_id, double driver_lat, double driver_lng, double pickup_lat,
                    double pickup_lng, TimestampTz at)
{
    EtaEffect effect;
    EtaPrediction p = predict(region_id, driver_lat, driver_lng, pickup_lat, pickup_lng, at, &effect);
    double factor;

    if (effect.weight <= 0)
        return guess_of(&p);
    factor = exp(effect.mean * effect.weight / (effect.weight + PICKUP_PRIOR));
    p.duration_s *= factor;
    if (effect.weight >= ETA_MIN_SUPPORT) {
        p.low_s = p.duration_s * exp(-Z80 * effect.spread);
        p.high_s = p.duration_s * exp(Z80 * effect.spread);
        p.level = Max(p.level, ETA_REGION);
        p.support = effect.weight;
    } else {
        p.low_s *= factor;
        p.high_s *= factor;
    }
    return guess_of(&p);
}

static HailStatement road_route = {
    "SELECT r.distance_m, r.duration_s FROM hail.road_route($1::smallint, $2, $3, $4, $5, $6) r",
    6,
    {INT4OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, TIMESTAMPTZOID}};

/* False: no way over the region's roads. */
static bool ask_roads(int16 region_id, double from_lat, double from_lng, double to_lat, double to_lng,
                      TimestampTz at, int32 *metres, int32 *seconds)
{
    Datum args[6] = {Int32GetDatum(region_id), Float8GetDatum(from_lat), Float8GetDatum(from_lng),
                     Float8GetDatum(to_lat),   Float8GetDatum(to_lng),   TimestampTzGetDatum(at)};
    HailOwner saved = hail_owner_begin();
    bool none = true;

    if (hail_execute(&road_route, args, NULL, false, 0) > 0) {
        *metres = DatumGetInt32(hail_result(0, 1, &none));
        if (!none)
            *seconds = DatumGetInt32(hail_result(0, 2, &none));
    }
    hail_owner_end(saved);
    return !none;
}

/* The way over the roads, with as wide an interval as what was learnt has, in proportion. */
EtaGuess eta_route_guess(int16 region_id, double from_lat, double from_lng, double to_lat, double to_lng,
                         TimestampTz at)
{
    EtaGuess guess = eta_guess(region_id, from_lat, from_lng, to_lat, to_lng, at);
    int32 metres = 0, seconds = 0;
    double factor;

    if (!region_figures(region_id)->road_network || guess.seconds <= 0 ||
        !ask_roads(region_id, from_lat, from_lng, to_lat, to_lng, at, &metres, &seconds))
        return guess;
    factor = seconds / guess.seconds;
    return (EtaGuess){.distance_m = metres,
                      .duration_s = seconds,
                      .low_s = whole(guess.low_s * factor),
                      .high_s = whole(guess.high_s * factor),
                      .source = ETA_FROM_ROAD,
                      .support = guess.support,
                      .seconds = seconds};
}

const char *eta_source_name(EtaSource source)
{
    static const char *const names[] = {"default", "region", "hour", "learnt", "road"};

    return names[source];
}

PG_FUNCTION_INFO_V1(hail_guess_eta);
PG_FUNCTION_INFO_V1(hail_eta_seconds);
PG_FUNCTION_INFO_V1(hail_eta_store);

static Datum row_result(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
    TupleDesc desc;

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* hail.guess_eta(region_id, from_lat, from_lng, to_lat, to_lng, at, pickup): strict; places are valid */
Datum hail_guess_eta(PG_FUNCTION_ARGS)
{
    EtaGuess (*guess)(int16, double, double, double, double, TimestampTz) =
        PG_GETARG_BOOL(6) ? eta_pickup : eta_route_guess;
    EtaGuess found = guess(PG_GETARG_INT16(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), PG_GETARG_FLOAT8(3),
                           PG_GETARG_FLOAT8(4), PG_GETARG_TIMESTAMPTZ(5));
    Datum values[6] = {Int32GetDatum(found.distance_m),
                       Int32GetDatum(found.duration_s),
                       Int32GetDatum(found.low_s),
                       Int32GetDatum(found.high_s),
                       CStringGetTextDatum(eta_source_name(found.source)),
                       Float8GetDatum(found.support)};
    bool nulls[6] = {false};

    return row_result(fcinfo, values, nulls);
}

/* hail.eta_seconds(region_id, from_lat, from_lng, to_lat, to_lng, at): strict; places are valid */
Datum hail_eta_seconds(PG_FUNCTION_ARGS)
{
    PG_RETURN_FLOAT8(eta_guess(PG_GETARG_INT16(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2),
                               PG_GETARG_FLOAT8(3), PG_GETARG_FLOAT8(4), PG_GETARG_TIMESTAMPTZ(5))
                         .seconds);
}

/* hail.eta_store() -> state, slots, used, evictions, half_life */
Datum hail_eta_store(PG_FUNCTION_ARGS)
{
    static const char *const states[] = {"shared", "loading", "local"};
    EtaStoreFacts facts = eta_store_facts();
    Datum values[5] = {CStringGetTextDatum(states[facts.state]), Int64GetDatum(facts.slots),
                       Int64GetDatum(facts.used), Int64GetDatum(facts.evictions),
                       Float8GetDatum(facts.half_life_days)};
    bool nulls[5] = {false};

    return row_result(fcinfo, values, nulls);
}
