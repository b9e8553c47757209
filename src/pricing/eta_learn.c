/*
 * Learning: trips waiting in hail.eta_samples are taken out of it and change what is known, in one
 * transaction. So each is learnt once, whatever crashes.
 *
 * Learning goes on in a table of this backend (eta_store.h); the rows of all effects that changed are then
 * written by two statements.
 *
 * Ways to pickups. They are driven as trips are, though without loading and often towards a place that has to
 * be found: what is learnt of them is one factor on the time a trip over the same way would take, by region,
 * from where the track shows the driver at the match until it arrived.
 */
#include "postgres.h"

#include <math.h>

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/statement.h"
#include "geo/geo.h"
#include "identity/session.h"
#include "pricing/book.h"
#include "pricing/eta_store.h"
#include "pricing/eta.h"

/* Ways to pickups that teach: not shorter than this, not longer than that. */
#define PICKUP_MIN_M 300.0
#define PICKUP_MIN_S 30.0
#define PICKUP_MAX_S 7200.0
/* A factor beyond these was no way to a pickup. */
#define PICKUP_MAX_LOG 2.0
/* Observations among which the newest counts fully in the spread. */
#define PICKUP_MEMORY 500.0

/*
 * $1 samples at most, $2 now; a track that is late is waited for, an hour at most. Where the trip has a
 * track, the metres driven between start and end, and where the driver was when it was matched; a scheduled
 * trip's driver need not have set out then.
 */
static HailStatement take_samples = {
    "WITH taken AS (DELETE FROM hail.eta_samples s WHERE s.id IN (SELECT d.id FROM hail.eta_samples d"
    "   WHERE d.due_at <= $2 AND NOT EXISTS (SELECT FROM hail.trip_tracks w WHERE w.trip_id = d.trip_id"
    "     AND w.kept_at IS NULL AND d.due_at > $2 - interval '1 hour') ORDER BY d.id LIMIT $1) RETURNING s.*)"
    " SELECT g.region_id::int4, g.from_lat, g.from_lng, g.to_lat, g.to_lng, g.started_at, g.duration_s,"
    " coalesce(g.distance_m, public.ST_Length(public.geography(public.ST_LocateBetween(k.track,"
    "   extract(epoch FROM g.started_at)::float8, extract(epoch FROM t.completed_at)::float8)), false), 0),"
    " coalesce(extract(epoch FROM t.arrived_at - t.matched_at)::float8, 0), t.matched_at,"
    " public.ST_Y(w.place), public.ST_X(w.place)"
    " FROM taken g LEFT JOIN hail.trips t ON t.id = g.trip_id"
    " LEFT JOIN hail.trip_tracks k ON k.trip_id = g.trip_id"
    " LEFT JOIN LATERAL (SELECT public.ST_StartPoint(public.ST_GeometryN(public.ST_LocateBetween(k.track,"
    "   extract(epoch FROM t.matched_at)::float8, extract(epoch FROM t.arrived_at)::float8), 1)) AS place"
    "   WHERE t.strategy <> 'scheduled') w"
    "   ON public.ST_M(w.place) - extract(epoch FROM t.matched_at)::float8 BETWEEN 0 AND 60"
    " ORDER BY g.id",
    2,
    {INT4OID, TIMESTAMPTZOID}};

/* Columns of take_samples. */
enum {
    COL_REGION = 1,
    COL_FROM_LAT,
    COL_FROM_LNG,
    COL_TO_LAT,
    COL_TO_LNG,
    COL_STARTED_AT,
    COL_DURATION,
    COL_DISTANCE,
    COL_APPROACH,
    COL_MATCHED_AT,
    COL_DRIVER_LAT,
    COL_DRIVER_LNG
};

static HailStatement write_effects = {
    "INSERT INTO hail.eta_effects AS e (region_id, key, mean, weight, spread, learnt_on)"
    " SELECT u.key >> 48, u.key, u.mean, u.weight, u.spread, '2000-01-01'::date + u.day"
    " FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5))"
    "   AS u(key, mean, weight, spread, day)"
    " ON CONFLICT (key) DO UPDATE SET mean = excluded.mean, weight = excluded.weight,"
    " spread = excluded.spread, learnt_on = excluded.learnt_on",
    5,
    {INT8ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID, INT4ARRAYOID},
    HAIL_BY_KEY};

static HailStatement delete_effects = {
    "DELETE FROM hail.eta_effects WHERE key = ANY ($1)", 1, {INT8ARRAYOID}, HAIL_BY_KEY};

static HailStatement delete_region = {
    "DELETE FROM hail.eta_effects WHERE region_id = $1::smallint", 1, {INT4OID}};

static HailStatement delete_waiting = {
    "DELETE FROM hail.eta_samples WHERE region_id = $1::smallint", 1, {INT4OID}};

/* Keys of effects that changed or gave way; those that did both are looked up at the end. */
typedef struct Keys {
    uint64_t *keys;
    int count, room;
} Keys;

static void note_key(Keys *keys, uint64_t key)
{
    if (keys->count == keys->room) {
        keys->room = keys->room > 0 ? 2 * keys->room : 1024;
        keys->keys = keys->keys ? repalloc_huge(keys->keys, sizeof(uint64_t) * keys->room)
                                : palloc(sizeof(uint64_t) * keys->room);
    }
    keys->keys[keys->count++] = key;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Ascending, each once. */
static void sort_keys(Keys *keys)
{
    int left = 0;

    if (keys->count == 0)
        return;
    qsort(keys->keys, keys->count, sizeof(uint64_t), compare_keys);
    for (int i = 1; i < keys->count; i++)
        if (keys->keys[i] != keys->keys[left])
            keys->keys[++left] = keys->keys[i];
    keys->count = left + 1;
}

static Datum array_of(Datum *values, int count, Oid type, int16 length)
{
    return PointerGetDatum(
        construct_array(values, count, type, length, true, length == 8 ? TYPALIGN_DOUBLE : TYPALIGN_INT));
}

/* What the table says of these keys becomes what the rows say; keys not in it lose their rows. */
static void write_rows(const EtaTable *table, Keys *keys)
{
    Datum *column[5], *gone;
    int count = 0, gone_count = 0;

    sort_keys(keys);
    gone = palloc(sizeof(Datum) * (keys->count + 1));
    for (int c = 0; c < 5; c++)
        column[c] = palloc(sizeof(Datum) * (keys->count + 1));
    for (int i = 0; i < keys->count; i++) {
        const EtaEffect *effect = eta_table_find(table, keys->keys[i]);

        if (effect == NULL) {
            gone[gone_count++] = Int64GetDatum((int64)keys->keys[i]);
            continue;
        }
        eta_store_changed(keys->keys[i]);
        column[0][count] = Int64GetDatum((int64)keys->keys[i]);
        column[1][count] = Float4GetDatum(effect->mean);
        column[2][count] = Float4GetDatum(effect->weight);
        column[3][count] = Float4GetDatum(effect->spread);
        column[4][count++] = Int32GetDatum(effect->day);
    }
    eta_store_writing = true;
    if (count > 0)
        hail_execute(
            &write_effects,
            (Datum[]){array_of(column[0], count, INT8OID, 8), array_of(column[1], count, FLOAT4OID, 4),
                      array_of(column[2], count, FLOAT4OID, 4), array_of(column[3], count, FLOAT4OID, 4),
                      array_of(column[4], count, INT4OID, 4)},
            NULL, false, 0);
    if (gone_count > 0)
        hail_execute(&delete_effects, (Datum[]){array_of(gone, gone_count, INT8OID, 8)}, NULL, false, 0);
    eta_store_writing = false;
}

/* A column of row `row` of the samples; 0 for NULL, *isnull told. */
static double number(uint64 row, int col, bool *isnull)
{
    Datum value = hail_result(row, col, isnull);

    return *isnull ? 0 : DatumGetFloat8(value);
}

static bool read_trip(uint64 row, const BookRegion **region, EtaTrip *trip)
{
    bool isnull;

    *region = book_region((int16)DatumGetInt32(hail_result(row, COL_REGION, &isnull)));
    if (*region == NULL)
        return false;
    eta_fill_trip(*region, DatumGetTimestampTz(hail_result(row, COL_STARTED_AT, &isnull)), trip);
    trip->from_lat = number(row, COL_FROM_LAT, &isnull);
    trip->from_lng = number(row, COL_FROM_LNG, &isnull);
    trip->to_lat = number(row, COL_TO_LAT, &isnull);
    trip->to_lng = number(row, COL_TO_LNG, &isnull);
    return true;
}

/* log(actual / predicted) into the region's one effect; the mean of what is remembered. */
static void learn_factor(EtaTable *table, uint16_t region, int32_t day, double observed, Keys *keys)
{
    uint64_t key = eta_pickup_key(region), evicted;
    EtaEffect *effect = eta_table_put(table, key, day, &evicted);
    double weight = eta_table_weight(table, effect, day) + 1;
    double error = observed - effect->mean, share = 1 / fmin(weight, PICKUP_MEMORY);

    note_key(keys, key);
    if (evicted != 0)
        note_key(keys, evicted);
    effect->mean += (float)(error / weight);
    effect->spread = (float)sqrt(effect->spread * effect->spread * (1 - share) + error * error * share);
    effect->weight = (float)weight;
    effect->day = Max(effect->day, day);
}

static void learn_pickup(EtaTable *table, uint64 row, const BookRegion *region, const EtaTrip *trip,
                         Keys *keys)
{
    bool isnull;
    double seconds = number(row, COL_APPROACH, &isnull), lat = number(row, COL_DRIVER_LAT, &isnull);
    EtaTrip way = {0};
    EtaPrediction expected;
    EtaRegion base = {region->distance_factor, region->speed_kmh};
    double observed;

    if (isnull || seconds < PICKUP_MIN_S || seconds > PICKUP_MAX_S)
        return;
    eta_fill_trip(region, DatumGetTimestampTz(hail_result(row, COL_MATCHED_AT, &isnull)), &way);
    way.from_lat = lat;
    way.from_lng = number(row, COL_DRIVER_LNG, &isnull);
    way.to_lat = trip->from_lat;
    way.to_lng = trip->from_lng;
    if (geo_distance_m(way.from_lat, way.from_lng, way.to_lat, way.to_lng) < PICKUP_MIN_M ||
        !eta_model_predict(table, &way, &base, &expected) || expected.duration_s <= 0)
        return;
    observed = log(seconds / expected.duration_s);
    if (fabs(observed) <= PICKUP_MAX_LOG)
        learn_factor(table, trip->region, way.day, observed, keys);
}

/* True: the trip taught something. */
static bool learn_row(EtaTable *table, uint64 row, Keys *keys)
{
    const BookRegion *region;
    EtaTrip trip;
    EtaChanges changes;
    bool isnull;

    if (!read_trip(row, &region, &trip) ||
        eta_model_learn(table, &trip, number(row, COL_DURATION, &isnull), number(row, COL_DISTANCE, &isnull),
                        &changes) != ETA_LEARNT)
        return false;
    for (int i = 0; i < changes.changed_count; i++)
        note_key(keys, changes.changed[i]);
    for (int i = 0; i < changes.evicted_count; i++)
        note_key(keys, changes.evicted[i]);
    learn_pickup(table, row, region, &trip, keys);
    return true;
}

static void require_learning(void)
{
    hail_require_admin();
    if (RecoveryInProgress())
        ereport(ERROR, hail_error(HAIL_READ_ONLY), errmsg("this server is a standby and learns nothing"),
                errhint("The primary does."));
}

static bool more_wait = false; /* the last run took as many as it may */

bool eta_more_to_learn(void)
{
    return more_wait;
}

PG_FUNCTION_INFO_V1(hail_learn_eta);
PG_FUNCTION_INFO_V1(hail_eta_refusal);
PG_FUNCTION_INFO_V1(hail_forget_eta);
PG_FUNCTION_INFO_V1(hail_eta_effect_level);

/* hail.learn_eta(max_trips, wait) -> trips learnt */
Datum hail_learn_eta(PG_FUNCTION_ARGS)
{
    int32 max_trips = PG_GETARG_INT32(0);
    EtaTable *table;
    Keys keys = {0};
    int64 learnt = 0;
    uint64 rows;

    require_learning();
    if (max_trips < 1 || max_trips > 100000)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("max_trips must be between 1 and 100000"),
                hail_field("max_trips"));
    more_wait = false;
    SPI_connect();
    table = eta_store_begin(PG_GETARG_BOOL(1));
    if (table == NULL) {
        SPI_finish();
        PG_RETURN_INT64(0);
    }
    rows = hail_execute(&take_samples, (Datum[]){Int32GetDatum(max_trips), TimestampTzGetDatum(hail_now())},
                        NULL, false, 0);
    for (uint64 row = 0; row < rows; row++)
        learnt += learn_row(table, row, &keys);
    write_rows(table, &keys);
    more_wait = rows == (uint64)max_trips;
    SPI_finish();
    PG_RETURN_INT64(learnt);
}

/* hail.forget_eta_effects(region_id) -> effects forgotten; the waiting samples too */
Datum hail_forget_eta(PG_FUNCTION_ARGS)
{
    int32 region_id = PG_GETARG_INT16(0);
    int64 forgotten;

    require_learning();
    SPI_connect();
    (void)eta_store_begin(true);
    eta_store_writing = true;
    forgotten = (int64)hail_execute(&delete_region, (Datum[]){Int32GetDatum(region_id)}, NULL, false, 0);
    eta_store_writing = false;
    hail_execute(&delete_waiting, (Datum[]){Int32GetDatum(region_id)}, NULL, false, 0);
    eta_store_forgot((int16)region_id);
    SPI_finish();
    PG_RETURN_INT64(forgotten);
}

/* hail.eta_refusal(from_lat, from_lng, to_lat, to_lng, duration_s) -> why such a trip teaches nothing; NULL:
 * it does */
Datum hail_eta_refusal(PG_FUNCTION_ARGS)
{
    static const char *const reasons[] = {[ETA_BAD_PLACE] = "a place is not on the globe",
                                          [ETA_BAD_TIME] = "it has no time",
                                          [ETA_BAD_DURATION] = "nobody drives that far in that time"};
    static EtaTable *scratch = NULL;
    EtaTrip trip = {.from_lat = PG_GETARG_FLOAT8(0),
                    .from_lng = PG_GETARG_FLOAT8(1),
                    .to_lat = PG_GETARG_FLOAT8(2),
                    .to_lng = PG_GETARG_FLOAT8(3)};
    EtaLearnt verdict;

    if (scratch == NULL)
        scratch = MemoryContextAllocZero(TopMemoryContext, eta_table_bytes(1));
    eta_table_init(scratch, 1, ETA_HALF_LIFE_USUAL);
    verdict = eta_model_learn(scratch, &trip, PG_GETARG_FLOAT8(4), 0, NULL);
    if (verdict == ETA_LEARNT)
        PG_RETURN_NULL();
    PG_RETURN_TEXT_P(cstring_to_text(reasons[verdict]));
}

/* hail.eta_effect_level(key) -> what an effect is about, in a word */
Datum hail_eta_effect_level(PG_FUNCTION_ARGS)
{
    PG_RETURN_TEXT_P(cstring_to_text(eta_effect_name((uint64_t)PG_GETARG_INT64(0))));
}
