/*
 * The kept copy of policies and classes; see policy.h.
 *
 * `valid` is set before the tables are read: an invalidation that arrives while they are being read unsets
 * it, and the next user reads again. `complete` is set after: a copy whose reading ended in an error (a
 * cancel, a timeout) is not used. A transaction with one snapshot for all its statements may see old rows;
 * what it reads is for itself alone.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/statement.h"
#include "dispatch/policy.h"

enum { TABLE_POLICIES, TABLE_CLASSES, TABLE_AREAS, TABLES };

static Oid table_oids[TABLES];
static bool valid = false, complete = false;
static LocalTransactionId only_for = InvalidLocalTransactionId; /* read with its one snapshot */
static MemoryContext memory = NULL;
static DispatchPolicy *policies;
static ClassTerms *classes;
static int policy_count, class_count;
static bool has_areas;

static HailStatement read_policies = {
    "SELECT p.tableoid, p.id::int4, coalesce(p.region_id, 0)::int4, coalesce(p.service, ''),"
    " CASE WHEN isempty(p.effective) THEN 'infinity' ELSE coalesce(lower(p.effective), '-infinity') END,"
    " CASE WHEN isempty(p.effective) THEN '-infinity' ELSE coalesce(upper(p.effective), 'infinity') END,"
    " ARRAY[p.weight_distance, p.weight_rating, p.weight_acceptance, p.weight_completion, p.weight_vehicle,"
    "       p.weight_repeat, p.weight_idle, p.weight_recent]::float8[],"
    " ARRAY[extract(epoch FROM p.offer_ttl), extract(epoch FROM p.sequential_ttl),"
    "       extract(epoch FROM p.bid_ttl), extract(epoch FROM p.retry_after),"
    "       extract(epoch FROM p.recent_span), extract(epoch FROM p.patience),"
    "       extract(epoch FROM p.schedule_ahead), extract(epoch FROM p.schedule_max),"
    "       extract(epoch FROM p.idle_span)]::float8[],"
    " ARRAY[p.offers_per_round, p.rounds_per_radius, p.sequential_offers, p.bid_drivers,"
    "       p.max_pending_offers, p.candidates, p.recent_trips, p.exact_tier_rounds]::float8[],"
    " p.radius_m, coalesce(p.max_pickup_m, 0), coalesce(p.wallet_floor, -9223372036854775808),"
    " p.schedule_max::text"
    " FROM hail.dispatch_policies p ORDER BY p.id",
    0,
    {0}};

static HailStatement read_classes = {
    "SELECT c.tableoid, c.id::int4, c.code, c.service, (SELECT coalesce(bit_or(1::int8 << h.id), 0)"
    "   FROM hail.service_classes h WHERE h.ladder = c.ladder AND h.tier > c.tier)"
    " FROM hail.service_classes c",
    0,
    {0}};

static HailStatement read_areas = {
    "SELECT 'hail.preferred_areas'::pg_catalog.regclass::oid, EXISTS (SELECT FROM hail.preferred_areas)",
    0,
    {0}};

static HailStatement areas_at = {"SELECT hail.areas_at($1, $2)", 2, {FLOAT8OID, FLOAT8OID}, HAIL_BY_KEY};

static void table_changed(Datum arg, Oid relation)
{
    for (int i = 0; i < TABLES; i++)
        if (relation == InvalidOid || relation == table_oids[i])
            valid = false;
}

static Datum value(uint64 row, int col)
{
    bool isnull;
    Datum result = hail_result(row, col, &isnull);

    if (isnull)
        elog(ERROR, "column %d of a policy or class is null", col);
    return result;
}

static void text_value(uint64 row, int col, char *into, Size size)
{
    if (strlcpy(into, TextDatumGetCString(value(row, col)), size) >= size)
        elog(ERROR, "a word of a policy or class is too long");
}

/* The numbers of an array column: exactly `count`, or, when `count` is below 0, at most -count. */
static int numbers(uint64 row, int col, int count, double *into)
{
    Datum *elements;
    int found;

    deconstruct_array(DatumGetArrayTypeP(value(row, col)), FLOAT8OID, 8, true, TYPALIGN_DOUBLE, &elements,
                      NULL, &found);
    if (count >= 0 ? found != count : found > -count)
        elog(ERROR, "column %d of a policy has %d numbers", col, found);
    for (int i = 0; i < found; i++)
        into[i] = DatumGetFloat8(elements[i]);
    return found;
}

static int64 microseconds(double seconds)
{
    return (int64)rint(seconds * USECS_PER_SEC);
}

static void load_policy(uint64 row, DispatchPolicy *policy)
{
    double spans[9], counts[8];
    StrategyTerms *strategy = &policy->strategy;

    policy->id = DatumGetInt32(value(row, 2));
    policy->region_id = DatumGetInt32(value(row, 3));
    text_value(row, 4, policy->service, sizeof(policy->service));
    policy->from = DatumGetTimestampTz(value(row, 5));
    policy->to = DatumGetTimestampTz(value(row, 6));
    numbers(row, 7, SCORE_TERMS, policy->rules.weights.weight);
    numbers(row, 8, lengthof(spans), spans);
    numbers(row, 9, lengthof(counts), counts);
    strategy->radius_count = numbers(row, 10, -MATCH_MAX_RADII, policy->radius_m);
    strategy->offer_ttl_us = microseconds(spans[0]);
    strategy->sequential_ttl_us = microseconds(spans[1]);
    strategy->bid_ttl_us = microseconds(spans[2]);
    policy->retry_after_us = microseconds(spans[3]);
    policy->recent_span_us = microseconds(spans[4]);
    policy->patience_us = microseconds(spans[5]);
    policy->schedule_ahead_us = microseconds(spans[6]);
    policy->schedule_max_us = microseconds(spans[7]);
    policy->rules.idle_span_s = spans[8];
    strategy->offers_per_round = (int)counts[0];
    strategy->rounds_per_radius = (int)counts[1];
    strategy->sequential_offers = (int)counts[2];
    strategy->bid_drivers = (int)counts[3];
    policy->max_pending_offers = policy->rules.max_pending_offers = (int)counts[4];
    policy->candidates = (int)counts[5];
    policy->rules.recent_trips_max = (int)counts[6];
    policy->rules.exact_tier_rounds = (int)counts[7];
    policy->rules.max_pickup_m = DatumGetFloat8(value(row, 11));
    policy->wallet_floor = DatumGetInt64(value(row, 12));
    text_value(row, 13, policy->schedule_max, sizeof(policy->schedule_max));
}

static void note_table(int table, uint64 rows)
{
    if (rows > 0)
        table_oids[table] = DatumGetObjectId(value(0, 1));
}

static void *make_rows(uint64 rows, Size size)
{
    return MemoryContextAllocZero(memory, size * Max(rows, 1));
}

static void load_classes(void)
{
    uint64 rows = hail_execute(&read_classes, NULL, NULL, false, 0);

    note_table(TABLE_CLASSES, rows);
    classes = make_rows(rows, sizeof(ClassTerms));
    for (class_count = 0; class_count < (int)rows; class_count++) {
        ClassTerms *class = &classes[class_count];

        class->id = DatumGetInt32(value(class_count, 2));
        text_value(class_count, 3, class->code, sizeof(class->code));
        text_value(class_count, 4, class->service, sizeof(class->service));
        class->higher = DatumGetInt64(value(class_count, 5));
    }
}

static void load(void)
{
    uint64 rows;

    if (memory == NULL) {
        memory = AllocSetContextCreate(TopMemoryContext, "hail policies", ALLOCSET_SMALL_SIZES);
        CacheRegisterRelcacheCallback(table_changed, (Datum)0);
    }
    complete = false;
    policy_count = class_count = 0;
    MemoryContextReset(memory);
    AcceptInvalidationMessages();
    valid = true;
    only_for = IsolationUsesXactSnapshot() ? MyProc->lxid : InvalidLocalTransactionId;
    rows = hail_execute(&read_policies, NULL, NULL, false, 0);
    note_table(TABLE_POLICIES, rows);
    policies = make_rows(rows, sizeof(DispatchPolicy));
    for (uint64 i = 0; i < rows; i++)
        load_policy(i, &policies[i]);
    policy_count = (int)rows;
    load_classes();
    hail_execute(&read_areas, NULL, NULL, false, 0);
    note_table(TABLE_AREAS, 1);
    has_areas = DatumGetBool(value(0, 2));
    complete = true;
}

void policies_refresh(void)
{
    if (!valid || !complete || (only_for != InvalidLocalTransactionId && only_for != MyProc->lxid))
        load();
}

const DispatchPolicy *policy_get(int id)
{
    for (int i = 0; i < policy_count; i++)
        if (policies[i].id == id)
            return &policies[i];
    elog(ERROR, "there is no dispatch policy %d", id);
}

const ClassTerms *policy_class(const char *code)
{
    for (int i = 0; i < class_count; i++)
        if (strcmp(classes[i].code, code) == 0)
            return &classes[i];
    elog(ERROR, "there is no service class %s", code);
}

/* How particular the policy is about a region and service: 1 to 4; 0: it is not about them. */
static int fit(const DispatchPolicy *policy, int region_id, const char *service)
{
    if ((policy->region_id != 0 && policy->region_id != region_id) ||
        (policy->service[0] != '\0' && strcmp(policy->service, service) != 0))
        return 0;
    return 1 + 2 * (policy->region_id != 0) + (policy->service[0] != '\0');
}

/* In the order of ids: all versions come after what is shipped, which lies beneath the general ones. */
const DispatchPolicy *policy_in_force(int region_id, const char *service, TimestampTz at)
{
    const DispatchPolicy *best = NULL;

    for (int i = 0; i < policy_count; i++) {
        const DispatchPolicy *policy = &policies[i];

        if (policy->from <= at && at < policy->to &&
            fit(policy, region_id, service) >= (best ? fit(best, region_id, service) : 1))
            best = policy;
    }
    if (best == NULL)
        elog(ERROR, "no dispatch policy is in force for service %s in region %d", service, region_id);
    return best;
}

uint64 policy_areas_at(double lat, double lng)
{
    if (!has_areas)
        return 0;
    hail_execute(&areas_at, (Datum[]){Float8GetDatum(lat), Float8GetDatum(lng)}, NULL, false, 1);
    return (uint64)DatumGetInt64(value(0, 1));
}

void policy_apply(const DispatchPolicy *policy, const ClassTerms *class, MatchTrip *trip)
{
    StrategyKind kind = trip->strategy.kind;
    bool favourites_first = trip->rules.favourites_first;

    trip->policy_id = policy->id;
    trip->rules = policy->rules;
    trip->rules.favourites_first = favourites_first;
    trip->strategy = policy->strategy;
    trip->strategy.kind = kind;
    trip->class_id = class->id;
    trip->higher_classes = policy->rules.exact_tier_rounds > 0 ? class->higher : 0;
    trip->max_pending_offers = policy->max_pending_offers;
    trip->candidates = policy->candidates;
    trip->retry_after_us = policy->retry_after_us;
    trip->recent_span_us = policy->recent_span_us;
    trip->wallet_floor = policy->wallet_floor;
    trip->radius_count = policy->strategy.radius_count;
    memcpy(trip->radius_m, policy->radius_m, sizeof(trip->radius_m));
}
