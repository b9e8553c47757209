/*
 * SQL entry points that read recorded rounds: unpack what was known, and decide again from it.
 *
 * A round decided under the policy it ran under comes out as it was; under another policy, as it would have
 * been with the same candidates. There is no second copy of the rules: decide.c decides here too.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/statement.h"
#include "dispatch/decide.h"
#include "dispatch/matching.h"
#include "dispatch/strategy.h"

PG_FUNCTION_INFO_V1(hail_match_gates);
PG_FUNCTION_INFO_V1(hail_round_passed);
PG_FUNCTION_INFO_V1(hail_decide_round);

/* Trips that each of $1 had completed by $3, since $2; in the order of $1. */
static HailStatement recent_trips = {
    "SELECT (SELECT count(*) FROM hail.trips t WHERE t.driver_id = u.id AND t.state = 'completed'"
    "   AND t.completed_at > $2 AND t.completed_at <= $3)::int4"
    " FROM unnest($1) WITH ORDINALITY u (id, n) ORDER BY u.n",
    3,
    {UUIDARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

/* hail.match_gates() */
Datum hail_match_gates(PG_FUNCTION_ARGS)
{
    Datum names[GATE_COUNT - 1];

    for (int gate = 1; gate < GATE_COUNT; gate++)
        names[gate - 1] = CStringGetTextDatum(match_gate_names[gate]);
    PG_RETURN_ARRAYTYPE_P(construct_array(names, GATE_COUNT - 1, TEXTOID, -1, false, TYPALIGN_INT));
}

/* hail.round_passed(passed) */
Datum hail_round_passed(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    bytea *passed = PG_GETARG_BYTEA_PP(0);
    uint8 *bytes = (uint8 *)VARDATA_ANY(passed);

    InitMaterializedSRF(fcinfo, 0);
    for (Size at = 0; at + PASSED_PACKED <= VARSIZE_ANY_EXHDR(passed); at += PASSED_PACKED) {
        float distance_m;
        MatchGate gate = passed_unpack(bytes + at, &distance_m);
        Datum values[] = {UUIDPGetDatum((pg_uuid_t *)(bytes + at)),
                          CStringGetTextDatum(match_gate_names[gate]), Float8GetDatum(distance_m)};
        bool nulls[lengthof(values)] = {false};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}

/* A recorded round, and the policy it is decided under. */
typedef struct Replay {
    HeapTupleHeader round, policy;
    DecideContext rules;
    int wanted;
    TimestampTz at;
    int64 recent_span_us;
    int count;
    struct ReplayDriver {
        DriverFacts facts;
        Verdict verdict;
    } * drivers;
} Replay;

static Datum field_of(HeapTupleHeader row, const char *name)
{
    bool isnull;
    Datum value = GetAttributeByName(row, name, &isnull);

    if (isnull)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must not be null", name), hail_field(name));
    return value;
}

static double real_of(HeapTupleHeader row, const char *name)
{
    return DatumGetFloat4(field_of(row, name));
}

static int small_of(HeapTupleHeader row, const char *name)
{
    return DatumGetInt16(field_of(row, name));
}

/* Microseconds; months count 30 days, as in comparisons of intervals. */
static int64 interval_of(HeapTupleHeader row, const char *name)
{
    Interval *span = DatumGetIntervalP(field_of(row, name));

    return span->time + ((int64)span->month * DAYS_PER_MONTH + span->day) * USECS_PER_DAY;
}

static void read_rules(Replay *replay)
{
    static const char *const weights[SCORE_TERMS] = {
        "weight_distance", "weight_rating", "weight_acceptance", "weight_completion",
        "weight_vehicle",  "weight_repeat", "weight_idle",       "weight_recent"};
    DecideContext *rules = &replay->rules;
    bool no_limit;
    Datum limit = GetAttributeByName(replay->policy, "max_pickup_m", &no_limit);

    for (int i = 0; i < SCORE_TERMS; i++)
        rules->weights.weight[i] = real_of(replay->policy, weights[i]);
    rules->idle_span_s = (double)interval_of(replay->policy, "idle_span") / USECS_PER_SEC;
    rules->recent_trips_max = small_of(replay->policy, "recent_trips");
    rules->max_pending_offers = small_of(replay->policy, "max_pending_offers");
    rules->exact_tier_rounds = small_of(replay->policy, "exact_tier_rounds");
    rules->max_pickup_m = no_limit ? 0 : DatumGetFloat8(limit);
    replay->recent_span_us = interval_of(replay->policy, "recent_span");
}

/* Radius and number of offers as the policy has them for this round, or, `as_recorded`, as they were. */
static void read_round(Replay *replay, bool as_recorded)
{
    ArrayType *radii = DatumGetArrayTypeP(field_of(replay->policy, "radius_m"));
    StrategyTerms terms = {.kind = strategy_by_name(TextDatumGetCString(field_of(replay->round, "strategy"))),
                           .rounds_per_radius = small_of(replay->policy, "rounds_per_radius"),
                           .offers_per_round = small_of(replay->policy, "offers_per_round"),
                           .sequential_offers = small_of(replay->policy, "sequential_offers"),
                           .bid_drivers = small_of(replay->policy, "bid_drivers")};
    Datum *radius;
    RoundPlan plan;

    deconstruct_array(radii, FLOAT8OID, 8, true, TYPALIGN_DOUBLE, &radius, NULL, &terms.radius_count);
    if (terms.kind == STRATEGY_COUNT || terms.radius_count < 1)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("the round or the policy cannot be read"));
    replay->at = DatumGetTimestampTz(field_of(replay->round, "created_at"));
    replay->rules.round = DatumGetInt32(field_of(replay->round, "search_round"));
    replay->rules.favourites_first = DatumGetBool(field_of(replay->round, "favourites_first"));
    replay->rules.distance_only = DatumGetBool(field_of(replay->round, "distance_only"));
    plan = strategy_round(&terms, replay->rules.round);
    if (as_recorded || plan.leave_to_batch) {
        replay->rules.radius_m = DatumGetFloat8(field_of(replay->round, "radius_m"));
        replay->wanted = DatumGetInt32(field_of(replay->round, "wanted"));
    } else {
        replay->rules.radius_m = DatumGetFloat8(radius[plan.radius_index]);
        replay->wanted = plan.offers;
    }
}

static void read_drivers(Replay *replay)
{
    bytea *packed = DatumGetByteaPP(field_of(replay->round, "candidates"));

    replay->count = (int)(VARSIZE_ANY_EXHDR(packed) / FACTS_PACKED);
    replay->drivers = palloc0(sizeof(*replay->drivers) * (replay->count + 1));
    for (int i = 0; i < replay->count; i++)
        facts_unpack((uint8 *)VARDATA_ANY(packed) + i * FACTS_PACKED, &replay->drivers[i].facts);
}

/* A policy without the term of recent trips did not ask for them. */
static void count_recent_trips(Replay *replay)
{
    Datum *ids = palloc(sizeof(Datum) * (replay->count + 1));
    bool isnull;

    if (replay->rules.weights.weight[SCORE_RECENT] == 0 || replay->count == 0)
        return;
    for (int i = 0; i < replay->count; i++)
        ids[i] = UUIDPGetDatum((pg_uuid_t *)replay->drivers[i].facts.driver_id);
    hail_execute(
        &recent_trips,
        (Datum[]){
            PointerGetDatum(construct_array(ids, replay->count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR)),
            TimestampTzGetDatum(replay->at - replay->recent_span_us), TimestampTzGetDatum(replay->at)},
        NULL, false, 0);
    for (int i = 0; i < replay->count; i++)
        replay->drivers[i].facts.recent_trips =
            (uint8)Min(DatumGetInt32(hail_result(i, 1, &isnull)), FACTS_UNKNOWN - 1);
}

static int by_decision(const void *left, const void *right)
{
    const struct ReplayDriver *a = left, *b = right;

    return decide_order(&a->facts, &a->verdict, &b->facts, &b->verdict);
}

static void put_driver(ReturnSetInfo *result, const Replay *replay, int i)
{
    const DriverFacts *facts = &replay->drivers[i].facts;
    const Verdict *verdict = &replay->drivers[i].verdict;
    Datum values[6 + SCORE_TERMS + 7];
    bool nulls[lengthof(values)] = {false};
    int n = 0;

    nulls[n] = verdict->gate != GATE_NONE;
    values[n++] = Int32GetDatum(i + 1);
    values[n++] = UUIDPGetDatum((pg_uuid_t *)facts->driver_id);
    nulls[n] = verdict->gate == GATE_NONE;
    values[n++] = CStringGetTextDatum(match_gate_names[verdict->gate]);
    values[n++] = BoolGetDatum(verdict->gate == GATE_NONE && i < replay->wanted);
    values[n++] = Float8GetDatum(verdict->score.total);
    values[n++] = Float8GetDatum(facts->distance_m);
    for (int term = 0; term < SCORE_TERMS; term++)
        values[n++] = Float8GetDatum(verdict->score.term[term]);
    values[n++] = Float8GetDatum(1 + 4.0 * facts->rating / FACTS_SCALE);
    values[n++] = Int32GetDatum(facts->idle_s);
    nulls[n] = facts->recent_trips == FACTS_UNKNOWN;
    values[n++] = Int32GetDatum(facts->recent_trips);
    values[n++] = Int32GetDatum(facts->pending_offers);
    values[n++] = BoolGetDatum((facts->flags & FACT_FAVOURITE) != 0);
    values[n++] = BoolGetDatum((facts->flags & FACT_HIGHER_TIER) == 0);
    nulls[n] = facts->queue_place == 0;
    values[n++] = Int32GetDatum(facts->queue_place);
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* hail.decide_round(round, policy, as_recorded) */
Datum hail_decide_round(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    bool as_recorded = PG_GETARG_BOOL(2);
    Replay replay = {.round = PG_GETARG_HEAPTUPLEHEADER(0), .policy = PG_GETARG_HEAPTUPLEHEADER(1)};

    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    read_rules(&replay);
    read_round(&replay, as_recorded);
    read_drivers(&replay);
    if (!as_recorded)
        count_recent_trips(&replay);
    for (int i = 0; i < replay.count; i++)
        replay.drivers[i].verdict = decide_driver(&replay.rules, &replay.drivers[i].facts);
    qsort(replay.drivers, replay.count, sizeof(*replay.drivers), by_decision);
    for (int i = 0; i < replay.count; i++)
        put_driver(result, &replay, i);
    SPI_finish();
    return (Datum)0;
}
