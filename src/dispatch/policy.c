/* The kept copy of policies and classes; see policy.h. */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/kept.h"
#include "base/statement.h"
#include "dispatch/policy.h"

typedef struct Policies {
    DispatchPolicy *policies;
    ClassTerms *classes;
    int policy_count, class_count;
    bool has_areas;
} Policies;

static HailStatement read_policies = {
    "SELECT p.id::int4, coalesce(p.region_id, 0)::int4, coalesce(p.service, ''),"
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
    "SELECT c.id::int4, c.code, c.service, (SELECT coalesce(bit_or(1::int8 << h.id), 0)"
    "   FROM hail.service_classes h WHERE h.ladder = c.ladder AND h.tier > c.tier)"
    " FROM hail.service_classes c",
    0,
    {0}};

static HailStatement read_areas = {"SELECT EXISTS (SELECT FROM hail.preferred_areas)", 0, {0}};

static HailStatement areas_at = {"SELECT hail.areas_at($1, $2)", 2, {FLOAT8OID, FLOAT8OID}, HAIL_BY_KEY};

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

    policy->id = DatumGetInt32(value(row, 1));
    policy->region_id = DatumGetInt32(value(row, 2));
    text_value(row, 3, policy->service, sizeof(policy->service));
    policy->from = DatumGetTimestampTz(value(row, 4));
    policy->to = DatumGetTimestampTz(value(row, 5));
    numbers(row, 6, SCORE_TERMS, policy->rules.weights.weight);
    numbers(row, 7, lengthof(spans), spans);
    numbers(row, 8, lengthof(counts), counts);
    strategy->radius_count = numbers(row, 9, -MATCH_MAX_RADII, policy->radius_m);
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
    policy->rules.max_pickup_m = DatumGetFloat8(value(row, 10));
    policy->wallet_floor = DatumGetInt64(value(row, 11));
    text_value(row, 12, policy->schedule_max, sizeof(policy->schedule_max));
}

static void load_policies(Policies *copy)
{
    copy->policy_count = (int)hail_execute(&read_policies, NULL, NULL, false, 0);
    copy->policies = palloc0(sizeof(DispatchPolicy) * Max(copy->policy_count, 1));
    for (int i = 0; i < copy->policy_count; i++)
        load_policy(i, &copy->policies[i]);
}

static void load_classes(Policies *copy)
{
    copy->class_count = (int)hail_execute(&read_classes, NULL, NULL, false, 0);
    copy->classes = palloc0(sizeof(ClassTerms) * Max(copy->class_count, 1));
    for (int i = 0; i < copy->class_count; i++) {
        ClassTerms *class = &copy->classes[i];

        class->id = DatumGetInt32(value(i, 1));
        text_value(i, 2, class->code, sizeof(class->code));
        text_value(i, 3, class->service, sizeof(class->service));
        class->higher = DatumGetInt64(value(i, 4));
    }
}

static void *load(void)
{
    Policies *copy = palloc(sizeof(Policies));

    load_policies(copy);
    load_classes(copy);
    hail_execute(&read_areas, NULL, NULL, false, 0);
    copy->has_areas = DatumGetBool(value(0, 1));
    return copy;
}

static HailKept kept = {"policies", load, {"dispatch_policies", "service_classes", "preferred_areas"}};

const DispatchPolicy *policy_get(int id)
{
    const Policies *copy = hail_kept(&kept);

    for (int i = 0; i < copy->policy_count; i++)
        if (copy->policies[i].id == id)
            return &copy->policies[i];
    elog(ERROR, "there is no dispatch policy %d", id);
}

const ClassTerms *policy_class(const char *code)
{
    const Policies *copy = hail_kept(&kept);

    for (int i = 0; i < copy->class_count; i++)
        if (strcmp(copy->classes[i].code, code) == 0)
            return &copy->classes[i];
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
    const Policies *copy = hail_kept(&kept);
    const DispatchPolicy *best = NULL;

    for (int i = 0; i < copy->policy_count; i++) {
        const DispatchPolicy *policy = &copy->policies[i];

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
    if (!((const Policies *)hail_kept(&kept))->has_areas)
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
