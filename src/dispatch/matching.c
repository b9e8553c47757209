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

#include "base/clock.h"
#include "base/error.h"
#include "base/statement.h"
#include "dispatch/batch.h"
#include "dispatch/jobs.h"
#include "dispatch/matching.h"
#include "dispatch/offers.h"
#include "dispatch/overload.h"
#include "dispatch/record.h"
#include "geofence/geofence.h"

/* So many places of an airport's queue are looked through at most. */
#define QUEUE_MAX 100000

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
    COL_AREAS,
    COL_POLICY,
    COL_RULES,
    COL_RECENT_SPAN,
    COL_WALLET_FLOOR,
    COL_CASH_DUE,
    COL_CURRENCY,
    COL_HIGHER,
    COL_FAVOURITES_FIRST,
    COL_FAVOURITES,
    COL_JOB,
    COL_WEIGHT,
    COL_VOLUME
};

/* Elements of COL_RULES. */
enum { RULE_IDLE_SPAN, RULE_RECENT_TRIPS, RULE_MAX_PICKUP, RULE_EXACT_ROUNDS, RULES };

static HailStatement load_trip = {
    "SELECT t.customer_id, t.pickup_lat, t.pickup_lng, c.id::int4, t.round, t.rounds_before, t.event_version,"
    " coalesce(t.search_until, 'infinity'),"
    " ARRAY[p.weight_distance, p.weight_rating, p.weight_acceptance, p.weight_completion, p.weight_vehicle,"
    "       p.weight_repeat, p.weight_idle, p.weight_recent]::float8[],"
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
    " hail.areas_at(t.pickup_lat, t.pickup_lng), p.id::int4,"
    " ARRAY[extract(epoch FROM p.idle_span), p.recent_trips, coalesce(p.max_pickup_m, 0),"
    "       p.exact_tier_rounds]::float8[],"
    " (extract(epoch FROM p.recent_span) * 1000000)::int8,"
    " coalesce(p.wallet_floor, -9223372036854775808),"
    " CASE t.payment_method WHEN 'cash' THEN hail.commission(t.price, t.commission_bp) ELSE -1 END,"
    " t.currency,"
    " CASE WHEN p.exact_tier_rounds > 0 THEN (SELECT coalesce(bit_or(1::int8 << h.id), 0)"
    "   FROM hail.service_classes h WHERE h.ladder = c.ladder AND h.tier > c.tier) ELSE 0 END,"
    " t.favourites_first,"
    " ARRAY(SELECT d.driver_id FROM hail.customer_drivers d WHERE d.customer_id = t.customer_id"
    "       AND NOT d.blocked AND d.favourite AND t.favourites_first),"
    " t.service <> 'ride', coalesce(t.weight_kg, 0)::float8, coalesce(t.volume_l, 0)::float8"
    " FROM hail.trips t"
    " JOIN hail.dispatch_policies p ON p.id = t.policy_id"
    " JOIN hail.regions r ON r.id = t.region_id"
    " JOIN hail.service_classes c ON c.code = t.service_class"
    " LEFT JOIN LATERAL (SELECT array_agg(a.driver_id) AS drivers, array_agg(a.round) AS rounds"
    "   FROM hail.offers a WHERE a.trip_id = t.id) o ON true"
    " WHERE t.id = $1",
    1,
    {UUIDOID}};

/* Of $1, those whose wallet in a currency cannot take a debit of $3: its floor, or $4. */
static HailStatement short_wallets = {"SELECT u.id FROM unnest($1) u (id) LEFT JOIN hail.accounts a"
                                      " ON a.kind = 'DRIVER_WALLET' AND a.owner_id = u.id AND a.currency = $2"
                                      " WHERE coalesce(a.posted - a.held, 0) - $3 < greatest(a.floor, $4)",
                                      4,
                                      {UUIDARRAYOID, TEXTOID, INT8OID, INT8OID}};

/* Trips that each of $1 has completed since $2, in the order of $1. */
static HailStatement recent_trips = {
    "SELECT (SELECT count(*) FROM hail.trips t WHERE t.driver_id = u.id AND t.state = 'completed'"
    "   AND t.completed_at > $2)::int4"
    " FROM unnest($1) WITH ORDINALITY u (id, n) ORDER BY u.n",
    2,
    {UUIDARRAYOID, TIMESTAMPTZOID}};

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

static void load_rules(MatchTrip *trip)
{
    DecideContext *rules = &trip->rules;
    Datum *weights, *numbers;

    array_elements(COL_WEIGHTS, FLOAT8OID, 8, true, TYPALIGN_DOUBLE, &weights);
    for (int i = 0; i < SCORE_TERMS; i++)
        rules->weights.weight[i] = DatumGetFloat8(weights[i]);
    if (array_elements(COL_RULES, FLOAT8OID, 8, true, TYPALIGN_DOUBLE, &numbers) != RULES)
        elog(ERROR, "rules of a policy are not as expected");
    rules->idle_span_s = DatumGetFloat8(numbers[RULE_IDLE_SPAN]);
    rules->recent_trips_max = (int)DatumGetFloat8(numbers[RULE_RECENT_TRIPS]);
    rules->max_pickup_m = DatumGetFloat8(numbers[RULE_MAX_PICKUP]);
    rules->exact_tier_rounds = (int)DatumGetFloat8(numbers[RULE_EXACT_ROUNDS]);
    rules->max_pending_offers = trip->max_pending_offers;
    rules->distance_only = overload_level() >= OVERLOAD_DISTANCE_ONLY;
    rules->favourites_first = DatumGetBool(column(COL_FAVOURITES_FIRST));
    trip->recent_span_us = DatumGetInt64(column(COL_RECENT_SPAN));
    trip->wallet_floor = DatumGetInt64(column(COL_WALLET_FLOOR));
}

static void load_policy(MatchTrip *trip)
{
    Datum *radii;

    trip->policy_id = DatumGetInt32(column(COL_POLICY));
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
    load_rules(trip);
}

static int load_drivers(int col, pg_uuid_t **drivers)
{
    Datum *ids;
    int count = uuid_elements(col, &ids);

    *drivers = palloc(sizeof(pg_uuid_t) * (count + 1));
    for (int i = 0; i < count; i++)
        (*drivers)[i] = *DatumGetUUIDP(ids[i]);
    return count;
}

bool match_load(const pg_uuid_t *trip_id, MatchTrip *trip)
{
    if (hail_execute(&load_trip, (Datum[]){UUIDPGetDatum(trip_id)}, NULL, false, 1) == 0)
        return false;
    memset(trip, 0, sizeof(*trip));
    trip->id = *trip_id;
    trip->now = hail_now();
    trip->customer_id = *DatumGetUUIDP(column(COL_CUSTOMER));
    trip->higher_classes = DatumGetInt64(column(COL_HIGHER));
    trip->cash_due = DatumGetInt64(column(COL_CASH_DUE));
    trip->currency = TextDatumGetCString(column(COL_CURRENCY));
    trip->pickup_lat = DatumGetFloat8(column(COL_LAT));
    trip->pickup_lng = DatumGetFloat8(column(COL_LNG));
    trip->class_id = DatumGetInt32(column(COL_CLASS));
    trip->job = DatumGetBool(column(COL_JOB));
    trip->weight_kg = DatumGetFloat8(column(COL_WEIGHT));
    trip->volume_l = DatumGetFloat8(column(COL_VOLUME));
    trip->area_mask = (uint64)DatumGetInt64(column(COL_AREAS));
    trip->round = DatumGetInt32(column(COL_ROUND));
    trip->rounds_before = DatumGetInt32(column(COL_ROUNDS_BEFORE));
    trip->event_version = DatumGetInt32(column(COL_VERSION));
    trip->search_until = DatumGetTimestampTz(column(COL_UNTIL));
    trip->distance_factor = DatumGetFloat8(column(COL_FACTOR));
    trip->speed_kmh = DatumGetFloat8(column(COL_SPEED));
    load_policy(trip);
    load_exclusions(trip);
    trip->repeat_count = load_drivers(COL_REPEAT, &trip->repeat);
    trip->favourite_count = load_drivers(COL_FAVOURITES, &trip->favourites);
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

/* The first exclusion that holds for this driver in this round. */
MatchGate match_exclusion(const MatchTrip *trip, const pg_uuid_t *driver_id, int round)
{
    for (int i = 0; i < trip->exclusion_count; i++) {
        const MatchExclusion *exclusion = &trip->exclusions[i];

        if (memcmp(&exclusion->driver_id, driver_id, UUID_LEN) == 0 &&
            exclusion_holds(trip, exclusion, round))
            return exclusion->gate;
    }
    return GATE_NONE;
}

static bool is_among(const pg_uuid_t *drivers, int count, const pg_uuid_t *driver_id)
{
    for (int i = 0; i < count; i++)
        if (memcmp(&drivers[i], driver_id, UUID_LEN) == 0)
            return true;
    return false;
}

/* What a hit tells of the driver; excluded, queue_place, recent_trips and the wallet come from elsewhere. */
static void facts_of(const MatchTrip *trip, const LiveHit *hit, DriverFacts *facts)
{
    memcpy(facts->driver_id, hit->driver_id.data, UUID_LEN);
    facts->distance_m = (float)hit->distance_m;
    facts->rating = facts_rating(hit->rating);
    facts->acceptance = facts_share(hit->acceptance);
    facts->completion = facts_share(hit->completion);
    facts->vehicle = facts_share(hit->vehicle_score);
    facts->idle_s =
        facts_idle(hit->idle_since != 0 ? (double)(trip->now - hit->idle_since) / USECS_PER_SEC : -1);
    facts->recent_trips = FACTS_UNKNOWN;
    facts->pending_offers = (uint8)Min(hit->pending_offers, PG_UINT8_MAX);
    if (is_among(trip->repeat, trip->repeat_count, &hit->driver_id))
        facts->flags |= FACT_REPEAT;
    if (is_among(trip->favourites, trip->favourite_count, &hit->driver_id))
        facts->flags |= FACT_FAVOURITE;
    if (hit->area_mask != 0 && (hit->area_mask & trip->area_mask) == 0)
        facts->flags |= FACT_OTHER_AREA;
    if (hit->class_mask & trip->higher_classes)
        facts->flags |= FACT_HIGHER_TIER;
}

/* What only rows tell, asked for all candidates at once, and only where a rule needs it. */
static void facts_from_rows(const MatchTrip *trip, MatchField *field)
{
    bool recent = trip->rules.weights.weight[SCORE_RECENT] != 0, isnull;
    Datum *ids, drivers;
    uint64 rows;

    if (field->count == 0 || (trip->cash_due < 0 && !recent && !trip->job))
        return;
    ids = palloc(sizeof(Datum) * field->count);
    for (int i = 0; i < field->count; i++)
        ids[i] = UUIDPGetDatum(&field->candidates[i].hit.driver_id);
    drivers = PointerGetDatum(construct_array(ids, field->count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
    if (trip->cash_due >= 0) {
        rows = hail_execute(&short_wallets,
                            (Datum[]){drivers, CStringGetTextDatum(trip->currency),
                                      Int64GetDatum(trip->cash_due), Int64GetDatum(trip->wallet_floor)},
                            trip->wallet_floor == PG_INT64_MIN ? "   n" : NULL, false, 0);
        for (uint64 r = 0; r < rows; r++) {
            pg_uuid_t *driver = DatumGetUUIDP(hail_result(r, 1, &isnull));

            for (int i = 0; i < field->count; i++)
                if (memcmp(driver, &field->candidates[i].hit.driver_id, UUID_LEN) == 0)
                    field->candidates[i].facts.flags |= FACT_WALLET_SHORT;
        }
    }
    if (trip->job) {
        int *full = palloc(sizeof(int) * field->count);
        int count = jobs_without_room(drivers, trip->weight_kg, trip->volume_l, full);

        for (int i = 0; i < count; i++)
            field->candidates[full[i]].facts.flags |= FACT_NO_ROOM;
    }
    if (recent) {
        rows = hail_execute(&recent_trips,
                            (Datum[]){drivers, TimestampTzGetDatum(trip->now - trip->recent_span_us)}, NULL,
                            false, 0);
        for (uint64 r = 0; r < rows; r++)
            field->candidates[r].facts.recent_trips =
                (uint8)Min(DatumGetInt32(hail_result(r, 1, &isnull)), FACTS_UNKNOWN - 1);
    }
}

static int by_decision(const void *left, const void *right)
{
    const MatchCandidate *a = left, *b = right;

    return decide_order(&a->facts, &a->verdict, &b->facts, &b->verdict);
}

void match_decide(const MatchTrip *trip, int round, MatchField *field)
{
    DecideContext rules = trip->rules;

    rules.round = round;
    rules.radius_m = field->radius_m;
    for (int i = 0; i < field->count; i++)
        facts_of(trip, &field->candidates[i].hit, &field->candidates[i].facts);
    facts_from_rows(trip, field);
    field->eligible = 0;
    for (int i = 0; i < field->count; i++) {
        field->candidates[i].verdict = decide_driver(&rules, &field->candidates[i].facts);
        field->eligible += field->candidates[i].verdict.gate == GATE_NONE;
    }
    qsort(field->candidates, field->count, sizeof(MatchCandidate), by_decision);
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

void match_candidates(const MatchTrip *trip, int round, bool with_gated, MatchField *field)
{
    pg_uuid_t *excluded = palloc(sizeof(pg_uuid_t) * (trip->exclusion_count + 1));
    LiveHit *hits = palloc(sizeof(LiveHit) * 2 * trip->candidates);
    LiveSearch search = {.lat = trip->pickup_lat,
                         .lng = trip->pickup_lng,
                         .max_results = trip->candidates,
                         .class_id = trip->class_id,
                         .max_pending_offers = with_gated ? 0 : trip->max_pending_offers,
                         .area_mask = with_gated ? LIVE_ANY_AREA : trip->area_mask,
                         .with_room = trip->job,
                         .excluded = excluded,
                         .passed = &field->passed};
    int queued;

    memset(field, 0, sizeof(*field));
    field->radius_m = search.radius_m = trip->radius_m[strategy_plan(trip, round).radius_index];
    for (int i = 0; i < trip->exclusion_count && !with_gated; i++)
        if (exclusion_holds(trip, &trip->exclusions[i], round))
            excluded[search.excluded_count++] = trip->exclusions[i].driver_id;
    field->count = gather(trip, &search, with_gated, hits, &queued);
    field->candidates = palloc0(sizeof(MatchCandidate) * (field->count + 1));
    for (int i = 0; i < field->count; i++) {
        field->candidates[i].hit = hits[i];
        field->candidates[i].facts.queue_place = i < queued ? i + 1 : 0;
        field->candidates[i].facts.excluded =
            with_gated ? match_exclusion(trip, &hits[i].driver_id, round) : GATE_NONE;
    }
    pfree(hits);
    pfree(excluded);
    match_decide(trip, round, field);
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
static void next_candidates(const MatchTrip *trip, int *round, MatchField *field)
{
    *round = trip->round - trip->rounds_before + 1;
    for (;;) {
        RoundPlan plan = strategy_plan(trip, *round);
        bool widest = plan.radius_index == trip->radius_count - 1;

        match_candidates(trip, *round, false, field);
        if (field->eligible > 0 || (widest && !asked_in_pass(trip, *round)))
            return;
        *round = plan.next_group;
    }
}

/*
 * The same, but false while the live index is being rebuilt: the request stands, the trip is looked at again.
 * The price of a subtransaction is paid only when there may be an error to catch.
 */
static bool try_next_candidates(const MatchTrip *trip, int *round, MatchField *field)
{
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    volatile bool found = false;

    if (live_ready()) {
        next_candidates(trip, round, field);
        return true;
    }
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        next_candidates(trip, round, field);
        found = true;
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
    MatchField field = {0};
    OfferTerms terms = {.now = now};
    RoundPlan plan;
    int number, wanted, made;
    bool searched;

    if (!match_load(trip_id, &trip))
        elog(ERROR, "trip to be matched is gone");
    if (strategy_plan(&trip, 1).leave_to_batch) {
        batch_enter(&trip, now);
        return 0;
    }
    searched = try_next_candidates(&trip, &number, &field);
    terms.round = searched ? trip.rounds_before + number : trip.round;
    plan = strategy_plan(&trip, number);
    terms.expires_at = Min(now + plan.ttl_us, trip.search_until);
    terms.retry_at = Min(now + trip.retry_after_us * overload_retry_factor(), trip.search_until);
    terms.slots = trip.max_pending_offers;
    terms.radius_m = field.radius_m;
    wanted = plan.offers;
    if (field.eligible > 0 && field.candidates[0].facts.queue_place > 0) {
        wanted = Min(wanted, trip.queue_offers);
        terms.slots = 1;
    }
    made = offers_send(&trip, field.candidates, field.eligible, wanted, &terms);
    if (searched)
        record_round(&trip, &(RoundRecord){.round = terms.round,
                                           .round_in_search = number,
                                           .at = now,
                                           .wanted = wanted,
                                           .offers = made,
                                           .field = &field});
    return made;
}
