/*
 * One matching round; see matching.h. What it writes: offers.c.
 *
 * Driver rows are not locked: that the driver is still free is decided when the offer is accepted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/statement.h"
#include "dispatch/matching.h"
#include "dispatch/offers.h"
#include "geofence/geofence.h"

/* So many places of an airport's queue are looked through at most. */
#define QUEUE_MAX 100000

const char *const match_gate_names[GATE_COUNT] = {
    [GATE_NONE] = "none",           [GATE_SELF] = "self",
    [GATE_GAVE_BACK] = "gave_back", [GATE_BLOCKED] = "blocked",
    [GATE_DECLINED] = "declined",   [GATE_ASKED] = "asked",
    [GATE_AREA] = "preferred_area", [GATE_OFFERS] = "pending_offers",
};

/* Statements run under the callers' search_path = pg_catalog, pg_temp. */

/* Columns of load_trip, in order. */
enum {
    COL_CUSTOMER = 1,
    COL_LAT,
    COL_LNG,
    COL_CLASS,
    COL_ROUND,
    COL_ROUNDS_BEFORE,
    COL_VERSION,
    COL_UNTIL,
    COL_WEIGHTS,
    COL_STRATEGY,
    COL_OFFERS,
    COL_PER_RADIUS,
    COL_SEQUENTIAL,
    COL_BIDDERS,
    COL_MAX_PENDING,
    COL_CANDIDATES,
    COL_TTL,
    COL_SEQUENTIAL_TTL,
    COL_BID_TTL,
    COL_RETRY,
    COL_RADII,
    COL_FACTOR,
    COL_SPEED,
    COL_GAVE_BACK,
    COL_BLOCKED,
    COL_REPEAT,
    COL_ASKED,
    COL_ASKED_ROUNDS,
    COL_DECLINED,
    COL_AREAS
};

static HailStatement load_trip = {
    "SELECT t.customer_id, t.pickup_lat, t.pickup_lng, c.id::int4, t.round, t.rounds_before, t.event_version,"
    " coalesce(t.search_until, 'infinity'),"
    " ARRAY[p.weight_distance, p.weight_rating, p.weight_acceptance, p.weight_completion, p.weight_vehicle,"
    "       p.weight_repeat]::float8[],"
    " t.strategy, p.offers_per_round::int4, p.rounds_per_radius::int4, p.sequential_offers::int4,"
    " p.bid_drivers::int4, p.max_pending_offers::int4, p.candidates::int4,"
    " (extract(epoch FROM p.offer_ttl) * 1000000)::int8,"
    " (extract(epoch FROM p.sequential_ttl) * 1000000)::int8,"
    " (extract(epoch FROM p.bid_ttl) * 1000000)::int8,"
    " (extract(epoch FROM p.retry_after) * 1000000)::int8,"
    " p.radius_m, r.distance_factor, r.speed_kmh, t.excluded_drivers,"
    " ARRAY(SELECT d.driver_id FROM hail.customer_drivers d WHERE d.customer_id = t.customer_id"
    "       AND d.blocked),"
    " ARRAY(SELECT d.driver_id FROM hail.customer_drivers d WHERE d.customer_id = t.customer_id"
    "       AND NOT d.blocked AND (d.favourite OR d.trips > 0)),"
    " coalesce(o.drivers, '{}'), coalesce(o.rounds, '{}'),"
    " ARRAY(SELECT d.driver_id FROM hail.offers d WHERE d.trip_id = t.id"
    "       AND d.status = 'declined'),"
    " hail.areas_at(t.pickup_lat, t.pickup_lng)"
    " FROM hail.trips t"
    " JOIN hail.dispatch_policies p ON p.id = t.policy_id"
    " JOIN hail.regions r ON r.id = t.region_id"
    " JOIN hail.service_classes c ON c.code = t.service_class"
    " LEFT JOIN LATERAL (SELECT array_agg(a.driver_id) AS drivers, array_agg(a.round) AS rounds"
    "   FROM hail.offers a WHERE a.trip_id = t.id) o ON true"
    " WHERE t.id = $1",
    1,
    {UUIDOID}};

/* A not-null column of the loaded row. */
static Datum column(int col)
{
    bool isnull;
    Datum value = hail_result(0, col, &isnull);

    if (isnull)
        elog(ERROR, "column %d of a trip being matched is null", col);
    return value;
}

static int array_elements(int col, Oid type, int16 length, bool by_value, char align, Datum **elements)
{
    int count;

    deconstruct_array(DatumGetArrayTypeP(column(col)), type, length, by_value, align, elements, NULL, &count);
    return count;
}

static int uuid_elements(int col, Datum **elements)
{
    return array_elements(col, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, elements);
}

static void exclude(MatchTrip *trip, const pg_uuid_t *driver_id, MatchGate gate, int round)
{
    trip->exclusions[trip->exclusion_count++] = (MatchExclusion){*driver_id, gate, round};
}

/* Exclusions in the order in which they explain: the first that applies to a driver is its gate. */
static void load_exclusions(MatchTrip *trip)
{
    Datum *gave_back, *blocked, *declined, *asked, *rounds;
    int gave_back_count = uuid_elements(COL_GAVE_BACK, &gave_back);
    int blocked_count = uuid_elements(COL_BLOCKED, &blocked);
    int declined_count = uuid_elements(COL_DECLINED, &declined);
    int asked_count = uuid_elements(COL_ASKED, &asked);

    array_elements(COL_ASKED_ROUNDS, INT4OID, 4, true, TYPALIGN_INT, &rounds);
    trip->exclusions =
        palloc(sizeof(MatchExclusion) * (1 + gave_back_count + blocked_count + declined_count + asked_count));
    trip->exclusion_count = 0;
    exclude(trip, &trip->customer_id, GATE_SELF, 0);
    for (int i = 0; i < gave_back_count; i++)
        exclude(trip, DatumGetUUIDP(gave_back[i]), GATE_GAVE_BACK, 0);
    for (int i = 0; i < blocked_count; i++)
        exclude(trip, DatumGetUUIDP(blocked[i]), GATE_BLOCKED, 0);
    for (int i = 0; i < declined_count; i++)
        exclude(trip, DatumGetUUIDP(declined[i]), GATE_DECLINED, 0);
    for (int i = 0; i < asked_count; i++)
        exclude(trip, DatumGetUUIDP(asked[i]), GATE_ASKED, DatumGetInt32(rounds[i]));
}

static void load_policy(MatchTrip *trip)
{
    Datum *weights, *radii;

    array_elements(COL_WEIGHTS, FLOAT8OID, 8, true, TYPALIGN_DOUBLE, &weights);
    for (int i = 0; i < SCORE_TERMS; i++)
        trip->weights.weight[i] = DatumGetFloat8(weights[i]);
    trip->max_pending_offers = DatumGetInt32(column(COL_MAX_PENDING));
    trip->candidates = DatumGetInt32(column(COL_CANDIDATES));
    trip->retry_after_us = DatumGetInt64(column(COL_RETRY));
    trip->radius_count =
        Min(array_elements(COL_RADII, FLOAT8OID, 8, true, TYPALIGN_DOUBLE, &radii), MATCH_MAX_RADII);
    for (int i = 0; i < trip->radius_count; i++)
        trip->radius_m[i] = DatumGetFloat8(radii[i]);
    trip->strategy = (StrategyTerms){
        .kind = strategy_by_name(TextDatumGetCString(column(COL_STRATEGY))),
        .rounds_per_radius = DatumGetInt32(column(COL_PER_RADIUS)),
        .radius_count = trip->radius_count,
        .offers_per_round = DatumGetInt32(column(COL_OFFERS)),
        .sequential_offers = DatumGetInt32(column(COL_SEQUENTIAL)),
        .bid_drivers = DatumGetInt32(column(COL_BIDDERS)),
        .offer_ttl_us = DatumGetInt64(column(COL_TTL)),
        .sequential_ttl_us = DatumGetInt64(column(COL_SEQUENTIAL_TTL)),
        .bid_ttl_us = DatumGetInt64(column(COL_BID_TTL)),
    };
    if (trip->strategy.kind == STRATEGY_COUNT)
        elog(ERROR, "trip has an unknown strategy");
}

bool match_load(const pg_uuid_t *trip_id, MatchTrip *trip)
{
    Datum *repeat;

    if (hail_execute(&load_trip, (Datum[]){UUIDPGetDatum(trip_id)}, NULL, false, 1) == 0)
        return false;
    memset(trip, 0, sizeof(*trip));
    trip->id = *trip_id;
    trip->customer_id = *DatumGetUUIDP(column(COL_CUSTOMER));
    trip->pickup_lat = DatumGetFloat8(column(COL_LAT));
    trip->pickup_lng = DatumGetFloat8(column(COL_LNG));
    trip->class_id = DatumGetInt32(column(COL_CLASS));
    trip->area_mask = (uint64)DatumGetInt64(column(COL_AREAS));
    trip->round = DatumGetInt32(column(COL_ROUND));
    trip->rounds_before = DatumGetInt32(column(COL_ROUNDS_BEFORE));
    trip->event_version = DatumGetInt32(column(COL_VERSION));
    trip->search_until = DatumGetTimestampTz(column(COL_UNTIL));
    trip->distance_factor = DatumGetFloat8(column(COL_FACTOR));
    trip->speed_kmh = DatumGetFloat8(column(COL_SPEED));
    load_policy(trip);
    load_exclusions(trip);
    trip->repeat_count = uuid_elements(COL_REPEAT, &repeat);
    trip->repeat = palloc(sizeof(pg_uuid_t) * (trip->repeat_count + 1));
    for (int i = 0; i < trip->repeat_count; i++)
        trip->repeat[i] = *DatumGetUUIDP(repeat[i]);
    if (!geofence_airport_at(trip->pickup_lat, trip->pickup_lng, &trip->airport, &trip->queue_offers))
        trip->airport = 0; /* asked last: its statements replace the row read above */
    return true;
}

/* The exclusion holds in this round of the search: what was asked in an earlier pass may be asked again. */
static bool exclusion_holds(const MatchTrip *trip, const MatchExclusion *exclusion, int round)
{
    return exclusion->gate != GATE_ASKED ||
           exclusion->round - trip->rounds_before >= strategy_plan(trip, round).pass_start;
}

static MatchGate gate_of(const MatchTrip *trip, const LiveHit *hit, int round)
{
    for (int i = 0; i < trip->exclusion_count; i++) {
        const MatchExclusion *exclusion = &trip->exclusions[i];

        if (memcmp(&exclusion->driver_id, &hit->driver_id, UUID_LEN) == 0 &&
            exclusion_holds(trip, exclusion, round))
            return exclusion->gate;
    }
    if (hit->area_mask != 0 && (hit->area_mask & trip->area_mask) == 0)
        return GATE_AREA;
    return hit->pending_offers >= trip->max_pending_offers ? GATE_OFFERS : GATE_NONE;
}

static bool drove_before(const MatchTrip *trip, const pg_uuid_t *driver_id)
{
    for (int i = 0; i < trip->repeat_count; i++)
        if (memcmp(&trip->repeat[i], driver_id, UUID_LEN) == 0)
            return true;
    return false;
}

static int by_score(const void *left, const void *right)
{
    const MatchCandidate *a = left, *b = right;

    if ((a->gate == GATE_NONE) != (b->gate == GATE_NONE))
        return a->gate == GATE_NONE ? -1 : 1;
    if (a->queue_place != b->queue_place)
        return a->queue_place > 0 && (b->queue_place == 0 || a->queue_place < b->queue_place) ? -1 : 1;
    return score_order(a->score.total, a->hit.distance_m, a->hit.driver_id.data, b->score.total,
                       b->hit.distance_m, b->hit.driver_id.data);
}

/*
 * Those in the queue of the pickup's airport whom the search could return, in order. Whoever was asked in
 * this search is not asked again, in whatever pass: else a long queue would never be asked to its end.
 * Whoever holds an offer already is passed over: the next trip is the next driver's.
 */
static int queue_hits(const MatchTrip *trip, const LiveSearch *search, bool all, LiveHit *hits)
{
    int max = trip->candidates + trip->exclusion_count, found = 0, waiting;
    pg_uuid_t *drivers = NULL;
    pg_uuid_t *excluded = palloc(sizeof(pg_uuid_t) * (trip->exclusion_count + 1));
    LiveSearch each = *search;

    if (!all) {
        each.max_pending_offers = 1;
        each.excluded = excluded;
        each.excluded_count = 0;
        for (int i = 0; i < trip->exclusion_count; i++)
            if (trip->exclusions[i].gate != GATE_ASKED || trip->exclusions[i].round > trip->rounds_before)
                excluded[each.excluded_count++] = trip->exclusions[i].driver_id;
    }
    do { /* the head of a long queue may all hold offers: then further back */
        drivers = drivers ? repalloc(drivers, sizeof(pg_uuid_t) * max) : palloc(sizeof(pg_uuid_t) * max);
        waiting = geofence_queue(trip->airport, drivers, max);
        for (int i = 0; i < waiting && found < trip->candidates; i++)
            found += live_find(&each, &drivers[i], &hits[found]);
    } while (found == 0 && waiting == max && (max *= 4) <= QUEUE_MAX);
    pfree(excluded);
    pfree(drivers);
    return found;
}

/*
 * Who could be asked, into `hits`: of the queue first, *queued of them; the nearest too when there is no
 * queue to ask, or `all` are wanted.
 */
static int gather(const MatchTrip *trip, const LiveSearch *search, bool all, LiveHit *hits, int *queued)
{
    int found, count;

    *queued = trip->airport != 0 ? queue_hits(trip, search, all, hits) : 0;
    if (*queued > 0 && !all)
        return *queued;
    found = live_search(search, hits + *queued);
    count = *queued;
    for (int i = *queued; i < *queued + found; i++) {
        bool known = false;

        for (int k = 0; k < *queued; k++)
            known |= memcmp(&hits[k].driver_id, &hits[i].driver_id, UUID_LEN) == 0;
        if (!known)
            hits[count++] = hits[i];
    }
    return count;
}

int match_candidates(const MatchTrip *trip, int round, bool with_gated, MatchCandidate **candidates)
{
    double radius = trip->radius_m[strategy_plan(trip, round).radius_index];
    pg_uuid_t *excluded = palloc(sizeof(pg_uuid_t) * (trip->exclusion_count + 1));
    LiveHit *hits = palloc(sizeof(LiveHit) * 2 * trip->candidates);
    LiveSearch search = {.lat = trip->pickup_lat,
                         .lng = trip->pickup_lng,
                         .radius_m = radius,
                         .max_results = trip->candidates,
                         .class_id = trip->class_id,
                         .max_pending_offers = with_gated ? 0 : trip->max_pending_offers,
                         .area_mask = with_gated ? LIVE_ANY_AREA : trip->area_mask,
                         .excluded = excluded};
    int found, queued;

    for (int i = 0; i < trip->exclusion_count && !with_gated; i++)
        if (exclusion_holds(trip, &trip->exclusions[i], round))
            excluded[search.excluded_count++] = trip->exclusions[i].driver_id;
    found = gather(trip, &search, with_gated, hits, &queued);
    *candidates = palloc(sizeof(MatchCandidate) * (found + 1));
    for (int i = 0; i < found; i++) {
        ScoreInput input = {hits[i].distance_m,
                            radius,
                            hits[i].rating,
                            hits[i].acceptance,
                            hits[i].completion,
                            hits[i].vehicle_score,
                            drove_before(trip, &hits[i].driver_id)};

        (*candidates)[i].hit = hits[i];
        (*candidates)[i].score = score_driver(&trip->weights, &input);
        (*candidates)[i].queue_place = i < queued ? i + 1 : 0;
        (*candidates)[i].gate = with_gated ? gate_of(trip, &hits[i], round) : GATE_NONE;
    }
    pfree(hits);
    pfree(excluded);
    qsort(*candidates, found, sizeof(MatchCandidate), by_score);
    return found;
}

/* Somebody was asked in the pass that this round belongs to. */
static bool asked_in_pass(const MatchTrip *trip, int round)
{
    for (int i = 0; i < trip->exclusion_count; i++)
        if (trip->exclusions[i].gate == GATE_ASKED && exclusion_holds(trip, &trip->exclusions[i], round))
            return true;
    return false;
}

/*
 * Find the round to run next and its candidates: a radius with nobody left is skipped, and so is the rest of
 * a pass at the widest; a new pass asks again who let offers go by. Ends: the passes skipped to have asked
 * nobody.
 */
static int next_candidates(const MatchTrip *trip, int *round, MatchCandidate **candidates)
{
    *round = trip->round - trip->rounds_before + 1;
    for (;;) {
        int found = match_candidates(trip, *round, false, candidates);
        RoundPlan plan = strategy_plan(trip, *round);
        bool widest = plan.radius_index == trip->radius_count - 1;

        if (found > 0 || (widest && !asked_in_pass(trip, *round)))
            return found;
        *round = plan.next_group;
    }
}

/*
 * The same, but -1 while the live index is being rebuilt: the request stands, the trip is looked at again.
 * The price of a subtransaction is paid only when there may be an error to catch.
 */
static int try_next_candidates(const MatchTrip *trip, int *round, MatchCandidate **candidates)
{
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    volatile int found = -1;

    if (live_ready())
        return next_candidates(trip, round, candidates);
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        found = next_candidates(trip, round, candidates);
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        ErrorData *error;

        MemoryContextSwitchTo(context);
        error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        if (strcmp(unpack_sql_state(error->sqlerrcode), hail_error_rows[HAIL_WARMING].sqlstate) != 0)
            ReThrowError(error);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    return found;
}

int match_round(const pg_uuid_t *trip_id, TimestampTz now)
{
    MatchTrip trip;
    MatchCandidate *candidates;
    OfferTerms terms = {.now = now};
    RoundPlan plan;
    int found, number, wanted;

    if (!match_load(trip_id, &trip))
        elog(ERROR, "trip to be matched is gone");
    found = try_next_candidates(&trip, &number, &candidates);
    terms.round = found < 0 ? trip.round : trip.rounds_before + number;
    plan = strategy_plan(&trip, number);
    terms.expires_at = Min(now + plan.ttl_us, trip.search_until);
    terms.retry_at = Min(now + trip.retry_after_us, trip.search_until);
    terms.slots = trip.max_pending_offers;
    wanted = plan.offers;
    if (found > 0) {
        terms.radius_m = trip.radius_m[plan.radius_index];
        if (candidates[0].queue_place > 0) {
            wanted = Min(wanted, trip.queue_offers);
            terms.slots = 1;
        }
    }
    return offers_send(&trip, candidates, Max(found, 0), wanted, &terms);
}
