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

/* Of $1, those whose wallet in a currency cannot take a debit of $3: its floor, or $4. */
static HailStatement short_wallets = {"SELECT u.id FROM unnest($1) u (id) LEFT JOIN hail.accounts a"
                                      " ON a.kind = 'DRIVER_WALLET' AND a.owner_id = u.id AND a.currency = $2"
                                      " WHERE coalesce(a.posted - a.held, 0) - $3 < greatest(a.floor, $4)",
                                      4,
                                      {UUIDARRAYOID, TEXTOID, INT8OID, INT8OID},
                                      HAIL_BY_KEY};

/* Trips that each of $1 has completed since $2, in the order of $1. */
static HailStatement recent_trips = {
    "SELECT (SELECT count(*) FROM hail.trips t WHERE t.driver_id = u.id AND t.state = 'completed'"
    "   AND t.completed_at > $2)::int4"
    " FROM unnest($1) WITH ORDINALITY u (id, n) ORDER BY u.n",
    2,
    {UUIDARRAYOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

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
        if (trip->exclusions[i].gate == GATE_ASKED && trip->exclusions[i].round != ROUND_PENDING &&
            exclusion_holds(trip, &trip->exclusions[i], round))
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

void match_find(const MatchTrip *trip, MatchField *field, OfferTerms *terms)
{
    RoundPlan plan;
    int number = 1;
    bool searched =
        trip->search_until - terms->now >= OFFER_MIN_US && try_next_candidates(trip, &number, field);

    terms->searched = searched;
    terms->round = searched ? trip->rounds_before + number : trip->round;
    plan = strategy_plan(trip, number);
    terms->expires_at = Min(terms->now + plan.ttl_us, trip->search_until);
    terms->retry_at = Min(terms->now + trip->retry_after_us * overload_retry_factor(), trip->search_until);
    terms->slots = trip->max_pending_offers;
    terms->radius_m = field->radius_m;
    terms->wanted = plan.offers;
    if (field->eligible > 0 && field->candidates[0].facts.queue_place > 0) {
        terms->wanted = Min(terms->wanted, trip->queue_offers);
        terms->slots = 1;
    }
}

void match_record(const MatchTrip *trip, const MatchField *field, const OfferTerms *terms, int made)
{
    if (terms->searched)
        record_round(trip, &(RoundRecord){.round = terms->round,
                                          .round_in_search = terms->round - trip->rounds_before,
                                          .at = terms->now,
                                          .wanted = terms->wanted,
                                          .offers = made,
                                          .field = field});
}

int match_round(const pg_uuid_t *trip_id, TimestampTz now)
{
    MatchTrip trip;
    MatchField field = {0};
    OfferTerms terms = {.now = now};
    int made;

    if (!match_load(trip_id, &trip))
        elog(ERROR, "trip to be matched is gone");
    if (strategy_plan(&trip, 1).leave_to_batch) {
        batch_enter(&trip, now);
        return 0;
    }
    match_find(&trip, &field, &terms);
    made = offers_send(&trip, field.candidates, field.eligible, terms.wanted, &terms);
    match_record(&trip, &field, &terms, made);
    return made;
}
