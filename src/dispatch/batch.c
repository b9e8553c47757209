/*
 * Batched matching; see batch.h and BATCH.md.
 *
 * Locks of an offer, none waited for: trip row (SKIP LOCKED), the driver's offer lock (by trying), driver row
 * (FOR SHARE SKIP LOCKED: whoever is accepting, leaving or being suspended holds it). The trip counts as
 * unchanged while its event_version is the one that was loaded.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/statement.h"
#include "dispatch/assign.h"
#include "dispatch/assign_cost.h"
#include "dispatch/batch.h"
#include "dispatch/batch_window.h"
#include "dispatch/offers.h"
#include "dispatch/overload.h"
#include "dispatch/record.h"
#include "dispatch/tick.h"
#include "live/live.h"
#include "pricing/eta.h"

/* Statements run under search_path = pg_catalog, pg_temp. */

static HailStatement read_windows = {
    "SELECT t.region_id::int4, count(*), min(t.pooled_at), (extract(epoch FROM min(p.batch_window_min)) * "
    "1000000)::int8,"
    " (extract(epoch FROM min(p.batch_window_max)) * 1000000)::int8, w.closed_at, coalesce(w.work_us, 0)"
    " FROM hail.trips t JOIN hail.dispatch_policies p ON p.id = t.policy_id"
    " LEFT JOIN hail.batch_windows w ON w.region_id = t.region_id"
    " WHERE t.state = 'searching' AND t.pooled_at IS NOT NULL"
    " GROUP BY t.region_id, w.closed_at, w.work_us ORDER BY t.region_id",
    0,
    {0}};

static HailStatement read_pool = {
    "SELECT t.id, t.pooled_at, t.requested_at, t.duration_s FROM hail.trips t"
    " WHERE t.state = 'searching' AND t.region_id = $1::int2 AND t.pooled_at <= $2"
    " AND t.search_until >= $4 ORDER BY t.pooled_at, t.id LIMIT $3",
    4,
    {INT4OID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID}};

static HailStatement lock_trip = {
    "SELECT FROM hail.trips t WHERE t.id = $1 AND t.state = 'searching' AND t.pooled_at IS NOT NULL"
    " AND t.event_version = $2 AND t.search_until >= $3 FOR NO KEY UPDATE SKIP LOCKED",
    3,
    {UUIDOID, INT4OID, TIMESTAMPTZOID}};

/* Free, or, for a job ($3), with a place left and not on a ride; accepting looks at loads. */
static HailStatement lock_driver = {
    "SELECT FROM hail.drivers d WHERE d.id = $1 AND d.status = 'approved' AND d.online"
    " AND (d.trip_id IS NULL OR $3 AND d.active_jobs < d.job_capacity"
    "   AND NOT EXISTS (SELECT FROM hail.trips t WHERE t.id = d.trip_id AND t.service = 'ride'))"
    " AND coalesce(d.cooldown_until <= $2, true)"
    " AND NOT EXISTS (SELECT FROM hail.offers o WHERE o.driver_id = d.id AND o.status = 'pending')"
    " FOR SHARE OF d SKIP LOCKED",
    3,
    {UUIDOID, TIMESTAMPTZOID, BOOLOID}};

static HailStatement enter_pool = {"UPDATE hail.trips SET pooled_at = $2, next_round_at = $3 WHERE id = $1",
                                   3,
                                   {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

/* Whoever else is closing this region's window right now writes the same. */
static HailStatement close_window = {
    "UPDATE hail.batch_windows w SET closed_at = $2, work_us = $3, trips = $4, drivers = $5, edges = $6, "
    "matched = $7,"
    " offers = $8, windows_total = w.windows_total + 1, offers_total = w.offers_total + $8,"
    " lost_total = w.lost_total + $9 FROM (SELECT l.region_id FROM hail.batch_windows l WHERE l.region_id = "
    "$1::int2"
    " FOR NO KEY UPDATE SKIP LOCKED) held WHERE w.region_id = held.region_id",
    9,
    {INT4OID, TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID}};

static HailStatement first_window = {
    "INSERT INTO hail.batch_windows (region_id, closed_at, work_us, trips, drivers, edges, matched, offers, "
    "windows_total,"
    " offers_total, lost_total) VALUES ($1::int2, $2, $3, $4, $5, $6, $7, $8, 1, $8, $9) ON CONFLICT DO "
    "NOTHING",
    9,
    {INT4OID, TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID}};

/* ---- windows ---- */

/* A window that closed in the future was closed before the clock was set back. */
static TimestampTz window_end(uint64 row, TimestampTz now)
{
    bool isnull, longest = overload_level() >= OVERLOAD_LONGER_WINDOWS;
    TimestampTz opened = DatumGetTimestampTz(hail_result(row, 3, &isnull));
    TimestampTz closed = DatumGetTimestampTz(hail_result(row, 6, &isnull));

    if (!isnull && closed > opened && closed <= now)
        opened = closed;
    return opened + batch_window_us(DatumGetInt64(hail_result(row, 4, &isnull)),
                                    DatumGetInt64(hail_result(row, 5, &isnull)),
                                    DatumGetInt64(hail_result(row, 2, &isnull)),
                                    DatumGetInt64(hail_result(row, 7, &isnull)), longest);
}

int batch_windows(TimestampTz now, int *regions, TimestampTz *next)
{
    uint64 rows = hail_execute(&read_windows, NULL, NULL, false, 0);
    int count = 0;
    bool isnull;

    *next = DT_NOEND;
    for (uint64 i = 0; i < rows; i++) {
        TimestampTz end = window_end(i, now);

        if (end > now)
            *next = Min(*next, end);
        else if (count < BATCH_MAX_REGIONS)
            regions[count++] = DatumGetInt32(hail_result(i, 1, &isnull));
        else
            *next = now;
    }
    if (count > 0 && live_warming()) {
        *next = now + USECS_PER_SEC;
        return 0;
    }
    return count;
}

/* ---- loading ---- */

/*
 * The round that this window is to a trip: one further for each retry_after it has waited in the pool, so
 * that its radius widens without a write; a radius with nobody left is skipped, once through all of them.
 */
static void load_candidates(BatchTrip *trip, TimestampTz pooled_at, TimestampTz now)
{
    MatchTrip *match = &trip->match;

    /* A driver with any offer pending is somebody else's for now. */
    match->max_pending_offers = match->rules.max_pending_offers = 1;
    trip->number = match->round - match->rounds_before + 1 +
                   (int)(Max(now - pooled_at, 0) / Max(match->retry_after_us, USECS_PER_SEC));
    for (int tries = 0; tries <= match->radius_count; tries++) {
        match_candidates(match, trip->number, false, &trip->field);
        if (trip->field.eligible > 0)
            return;
        if (tries < match->radius_count)
            trip->number = strategy_plan(match, trip->number).next_group;
    }
}

typedef struct Loading {
    MemoryContext context; /* of the batch: SPI leaves its own one behind, which ends with the transaction */
    BatchTrip *trip;       /* with its id */
    TimestampTz pooled_at, now;
    bool loaded;
} Loading;

static void *kept(MemoryContext context, void *array, Size size)
{
    void *copy = MemoryContextAllocHuge(context, size + 1);

    memcpy(copy, array, size);
    pfree(array);
    return copy;
}

/* Of what was loaded, all that is looked at later: by offers_send() and record_round(). */
static void keep_candidates(BatchTrip *trip, MemoryContext context)
{
    MatchTrip *match = &trip->match;

    trip->field.candidates =
        kept(context, trip->field.candidates, sizeof(MatchCandidate) * trip->field.count);
    match->exclusions = kept(context, match->exclusions, sizeof(MatchExclusion) * match->exclusion_count);
    match->repeat = match->favourites = NULL;
    match->repeat_count = match->favourite_count = 0;
    match->currency = NULL;
}

/* In an airport's queue its order counts, not the way: so many seconds for each place. */
#define PLACE_S 1.0

/* While there is a transaction: ETAs read what is kept of tables, and the window is solved outside of any. */
static double *pickup_seconds(const BatchTrip *trip, MemoryContext context)
{
    const MatchTrip *match = &trip->match;
    double *seconds = MemoryContextAllocHuge(context, sizeof(double) * (trip->field.eligible + 1));

    for (int c = 0; c < trip->field.eligible; c++) {
        const MatchCandidate *candidate = &trip->field.candidates[c];

        seconds[c] = candidate->facts.queue_place > 0
                         ? candidate->facts.queue_place * PLACE_S
                         : eta_pickup(match->region_id, candidate->hit.lat, candidate->hit.lng,
                                      match->pickup_lat, match->pickup_lng, match->now)
                               .seconds;
    }
    return seconds;
}

/* In an SPI connection of its own: what was read goes with its end, and not with that of all trips. */
static void load_trip(void *arg)
{
    Loading *loading = arg;
    pg_uuid_t id = loading->trip->match.id;

    SPI_connect();
    if (match_load(&id, &loading->trip->match)) {
        load_candidates(loading->trip, loading->pooled_at, loading->now);
        keep_candidates(loading->trip, loading->context);
        loading->trip->pickup_s = pickup_seconds(loading->trip, loading->context);
        loading->trip->chosen = -1;
        loading->loaded = true;
    }
    SPI_finish();
}

static bool load_one(Loading *loading, bool guarded)
{
    pg_uuid_t id = loading->trip->match.id;

    if (!guarded) {
        load_trip(loading);
        return loading->loaded;
    }
    return tick_guard(load_trip, loading, &id, loading->now) && loading->loaded;
}

Batch *batch_load(int region_id, TimestampTz now, MemoryContext parent, bool guarded)
{
    MemoryContext context = AllocSetContextCreate(parent, "hail batch", ALLOCSET_DEFAULT_SIZES);
    MemoryContext old = MemoryContextSwitchTo(context);
    Batch *batch = palloc0(sizeof(Batch));
    instr_time began, took;
    uint64 rows;
    TimestampTz *pooled;
    int held = 0; /* candidates */
    bool isnull;

    INSTR_TIME_SET_CURRENT(began);
    batch->context = context;
    batch->region_id = region_id;
    batch->now = now;
    rows = hail_execute(&read_pool,
                        (Datum[]){Int32GetDatum(region_id), TimestampTzGetDatum(now),
                                  Int64GetDatum(BATCH_MAX_TRIPS), TimestampTzGetDatum(now + OFFER_MIN_US)},
                        NULL, false, 0);
    batch->trips = MemoryContextAllocExtended(context, sizeof(BatchTrip) * (rows + 1),
                                              MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
    pooled = palloc(sizeof(TimestampTz) * (rows + 1));
    for (uint64 i = 0; i < rows; i++) {
        batch->trips[i].match.id = *DatumGetUUIDP(hail_result(i, 1, &isnull));
        pooled[i] = DatumGetTimestampTz(hail_result(i, 2, &isnull));
        batch->trips[i].requested_at = DatumGetTimestampTz(hail_result(i, 3, &isnull));
        batch->trips[i].ride_s = DatumGetInt32(hail_result(i, 4, &isnull));
    }
    for (uint64 i = 0; i < rows && held < BATCH_MAX_CANDIDATES; i++) {
        BatchTrip *trip = &batch->trips[batch->count];

        CHECK_FOR_INTERRUPTS();
        *trip = batch->trips[i];
        if (load_one(&(Loading){context, trip, pooled[i], now}, guarded)) {
            held += trip->field.count;
            batch->edges += trip->field.eligible;
            batch->reachable += trip->field.eligible > 0;
            batch->count++;
        }
    }
    INSTR_TIME_SET_CURRENT(took);
    INSTR_TIME_SUBTRACT(took, began);
    batch->work_us = INSTR_TIME_GET_MICROSEC(took);
    MemoryContextSwitchTo(old);
    return batch;
}

/* ---- solving ---- */

typedef struct DriverNumber {
    pg_uuid_t id;
    int number;
} DriverNumber;

/* Every driver that is a candidate of any trip gets a number, in the order of appearance. */
static int number_drivers(const Batch *batch, int *numbers)
{
    HASHCTL control = {
        .keysize = sizeof(pg_uuid_t), .entrysize = sizeof(DriverNumber), .hcxt = CurrentMemoryContext};
    HTAB *table = hash_create("hail batch drivers", Max(batch->edges, 16), &control,
                              HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    int edge = 0, count = 0;

    for (int t = 0; t < batch->count; t++)
        for (int c = 0; c < batch->trips[t].field.eligible; c++) {
            bool found;
            DriverNumber *driver =
                hash_search(table, &batch->trips[t].field.candidates[c].hit.driver_id, HASH_ENTER, &found);

            if (!found)
                driver->number = count++;
            numbers[edge++] = driver->number;
        }
    hash_destroy(table);
    return count;
}

static bool go_on(void *arg)
{
    return !InterruptPending;
}

static void cost_pairs(const Batch *batch, const AssignTerms *terms, const BatchTrip *trip, int64_t *cost,
                       int64_t *unmatched)
{
    AssignTrip waiting = {.waited_s = (double)(batch->now - trip->requested_at) / USECS_PER_SEC,
                          .ride_s = trip->ride_s};

    *unmatched = assign_unmatched_cost(terms, &waiting);
    for (int c = 0; c < trip->field.eligible; c++) {
        const MatchCandidate *candidate = &trip->field.candidates[c];
        AssignPair pair = {.eta_s = trip->pickup_s[c],
                           .idle_s = candidate->facts.idle_s,
                           .acceptance = candidate->hit.acceptance};

        cost[c] = assign_edge_cost(terms, &waiting, &pair);
    }
}

static void solve(Batch *batch, const AssignProblem *problem, int *choice)
{
    void *memory = palloc_extended(assign_memory(batch->count, batch->drivers), MCXT_ALLOC_HUGE);

    if (assign_solve(problem, memory, go_on, NULL, choice, NULL) == ASSIGN_INVALID)
        elog(ERROR, "assignment of %d trips to %d drivers is out of range", batch->count, batch->drivers);
}

static void choose(Batch *batch)
{
    int *first = palloc(sizeof(int) * (batch->count + 1));
    int *driver = palloc(sizeof(int) * (batch->edges + 1));
    int *choice = palloc(sizeof(int) * (batch->count + 1));
    int64_t *cost = palloc(sizeof(int64_t) * (batch->edges + 1));
    int64_t *unmatched = palloc(sizeof(int64_t) * (batch->count + 1));
    AssignTerms terms;

    batch->drivers = number_drivers(batch, driver);
    terms = assign_terms_now(&assign_terms_default, batch->reachable, batch->drivers);
    first[0] = 0;
    for (int t = 0; t < batch->count; t++) {
        cost_pairs(batch, &terms, &batch->trips[t], cost + first[t], &unmatched[t]);
        first[t + 1] = first[t] + batch->trips[t].field.eligible;
    }
    solve(batch, &(AssignProblem){batch->count, batch->drivers, first, driver, cost, unmatched}, choice);
    for (int t = 0; t < batch->count; t++) {
        batch->trips[t].chosen = choice[t] < 0 ? -1 : choice[t] - first[t];
        batch->matched += choice[t] >= 0;
    }
}

void batch_solve(Batch *batch)
{
    MemoryContext old = MemoryContextSwitchTo(batch->context);
    instr_time began, took;

    INSTR_TIME_SET_CURRENT(began);
    if (batch->edges > 0)
        choose(batch);
    INSTR_TIME_SET_CURRENT(took);
    INSTR_TIME_SUBTRACT(took, began);
    batch->work_us += INSTR_TIME_GET_MICROSEC(took);
    MemoryContextSwitchTo(old);
}

/* ---- offers ---- */

/* The row is read after its lock was taken: law 2. */
static bool still_free(const pg_uuid_t *driver_id, bool job, TimestampTz now)
{
    return offers_try_lock(driver_id) &&
           hail_execute(&lock_driver,
                        (Datum[]){UUIDPGetDatum(driver_id), TimestampTzGetDatum(now), BoolGetDatum(job)},
                        NULL, false, 0) == 1;
}

/* The round that the window was to this trip. */
static void record(const BatchTrip *trip, TimestampTz now, int offers)
{
    record_round(&trip->match, &(RoundRecord){.round = trip->match.rounds_before + trip->number,
                                              .round_in_search = trip->number,
                                              .at = now,
                                              .wanted = 1,
                                              .offers = offers,
                                              .field = &trip->field});
}

bool batch_offer(Batch *batch, int i, TimestampTz now)
{
    BatchTrip *trip = &batch->trips[i];
    MatchTrip *match = &trip->match;
    RoundPlan plan;
    OfferTerms terms;
    int made;

    if (trip->chosen < 0)
        return false;
    plan = strategy_plan(match, trip->number);
    terms = (OfferTerms){.round = match->rounds_before + trip->number,
                         .now = now,
                         .expires_at = Min(now + plan.ttl_us, match->search_until),
                         .retry_at = now,
                         .slots = 1,
                         .radius_m = trip->field.radius_m};
    if (hail_execute(&lock_trip,
                     (Datum[]){UUIDPGetDatum(&match->id), Int32GetDatum(match->event_version),
                               TimestampTzGetDatum(now + OFFER_MIN_US)},
                     NULL, false, 0) == 0 ||
        !still_free(&trip->field.candidates[trip->chosen].hit.driver_id, match->job, now)) {
        batch->lost++;
        return false;
    }
    made = offers_send(match, &trip->field.candidates[trip->chosen], 1, 1, &terms);
    record(trip, now, made);
    batch->offers += made;
    batch->lost += made == 0;
    return made > 0;
}

bool batch_close(const Batch *batch)
{
    Datum args[9] = {
        Int32GetDatum(batch->region_id), TimestampTzGetDatum(batch->now), Int64GetDatum(batch->work_us),
        Int32GetDatum(batch->count),     Int32GetDatum(batch->drivers),   Int32GetDatum(batch->edges),
        Int32GetDatum(batch->matched),   Int32GetDatum(batch->offers),    Int32GetDatum(batch->lost)};

    return hail_execute(&close_window, args, NULL, false, 0) == 1 ||
           hail_execute(&first_window, args, NULL, false, 0) == 1;
}

typedef struct Offering {
    Batch *batch;
    int trip;
    TimestampTz now;
} Offering;

static void make_offer(void *arg)
{
    const Offering *offering = arg;

    batch_offer(offering->batch, offering->trip, offering->now);
}

void batch_tick(TimestampTz now)
{
    int regions[BATCH_MAX_REGIONS];
    TimestampTz next;
    int count = batch_windows(now, regions, &next);

    for (int r = 0; r < count; r++) {
        Batch *batch = batch_load(regions[r], now, CurrentMemoryContext, true);

        batch_solve(batch);
        for (int i = 0; i < batch->count; i++)
            if (batch->trips[i].chosen >= 0)
                tick_guard(make_offer, &(Offering){batch, i, now}, &batch->trips[i].match.id, now);
        batch_close(batch);
        MemoryContextDelete(batch->context);
    }
}

void batch_enter(const MatchTrip *trip, TimestampTz now)
{
    hail_execute(&enter_pool,
                 (Datum[]){UUIDPGetDatum(&trip->id), TimestampTzGetDatum(now),
                           TimestampTzGetDatum(trip->search_until)},
                 NULL, false, 0);
}
