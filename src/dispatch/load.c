/* What a round decides by, read from the trip's row or taken from a request; see match_load() in matching.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/statement.h"
#include "dispatch/matching.h"
#include "dispatch/overload.h"
#include "dispatch/policy.h"
#include "geofence/geofence.h"

/* Columns of load_trip, in order. */
enum {
    COL_CUSTOMER = 1,
    COL_LAT,
    COL_LNG,
    COL_ROUND,
    COL_ROUNDS_BEFORE,
    COL_VERSION,
    COL_UNTIL,
    COL_STRATEGY,
    COL_POLICY,
    COL_REGION,
    COL_CLASS,
    COL_CASH_DUE,
    COL_CURRENCY,
    COL_FAVOURITES_FIRST,
    COL_GAVE_BACK,
    COL_BLOCKED,
    COL_REPEAT,
    COL_FAVOURITES,
    COL_ASKED,
    COL_ASKED_ROUNDS,
    COL_DECLINED,
    COL_JOB,
    COL_WEIGHT,
    COL_VOLUME,
    COL_PENDING
};

static HailStatement load_trip = {
    "SELECT t.customer_id, t.pickup_lat, t.pickup_lng, t.round, t.rounds_before, t.event_version,"
    " coalesce(t.search_until, 'infinity'), t.strategy::text, t.policy_id::int4, t.region_id::int4,"
    " t.service_class,"
    " CASE t.payment_method WHEN 'cash' THEN hail.commission(t.price + t.waiting_max, t.commission_bp)"
    "   ELSE -1 END,"
    " t.currency, t.favourites_first, t.excluded_drivers, coalesce(d.blocked, '{}'),"
    " coalesce(d.repeat, '{}'), coalesce(d.favourites, '{}'),"
    " coalesce(o.drivers, '{}'), coalesce(o.rounds, '{}'), coalesce(o.declined, '{}'),"
    " t.service <> 'ride', coalesce(t.weight_kg, 0)::float8, coalesce(t.volume_l, 0)::float8,"
    " coalesce(o.pending, '{}')"
    " FROM hail.trips t"
    " LEFT JOIN LATERAL (SELECT array_agg(c.driver_id) FILTER (WHERE c.blocked) AS blocked,"
    "   array_agg(c.driver_id) FILTER (WHERE NOT c.blocked AND (c.favourite OR c.trips > 0)) AS repeat,"
    "   array_agg(c.driver_id) FILTER (WHERE NOT c.blocked AND c.favourite AND t.favourites_first)"
    "     AS favourites"
    "   FROM hail.customer_drivers c WHERE c.customer_id = t.customer_id) d ON true"
    " LEFT JOIN LATERAL (SELECT array_agg(a.driver_id) AS drivers, array_agg(a.round) AS rounds,"
    "   array_agg(a.driver_id) FILTER (WHERE a.status = 'declined') AS declined,"
    "   array_agg(a.driver_id) FILTER (WHERE a.status = 'pending') AS pending"
    "   FROM hail.offers a WHERE a.trip_id = t.id) o ON true"
    " WHERE t.id = $1",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

/* A not-null column of the loaded row. */
static Datum column(int col)
{
    bool isnull;
    Datum value = hail_result(0, col, &isnull);

    if (isnull)
        elog(ERROR, "column %d of a trip being matched is null", col);
    return value;
}

static int elements(Datum array, Oid type, int16 length, bool by_value, char align, Datum **values)
{
    int count;

    deconstruct_array(DatumGetArrayTypeP(array), type, length, by_value, align, values, NULL, &count);
    return count;
}

static int uuid_elements(Datum array, Datum **values)
{
    return elements(array, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, values);
}

/* Room for exclusions of all these. */
static void begin_exclusions(MatchTrip *trip, int count)
{
    trip->exclusions = palloc(sizeof(MatchExclusion) * (count + 1));
    trip->exclusion_count = 0;
}

static void exclude(MatchTrip *trip, const pg_uuid_t *driver_id, MatchGate gate, int round)
{
    trip->exclusions[trip->exclusion_count++] = (MatchExclusion){*driver_id, gate, round};
}

/* Exclusions in the order in which they explain: the first that applies to a driver is its gate. */
static void load_exclusions(MatchTrip *trip)
{
    Datum *gave_back, *blocked, *declined, *asked, *rounds, *pending;
    int gave_back_count = uuid_elements(column(COL_GAVE_BACK), &gave_back);
    int blocked_count = uuid_elements(column(COL_BLOCKED), &blocked);
    int declined_count = uuid_elements(column(COL_DECLINED), &declined);
    int asked_count = uuid_elements(column(COL_ASKED), &asked);
    int pending_count = uuid_elements(column(COL_PENDING), &pending);

    elements(column(COL_ASKED_ROUNDS), INT4OID, 4, true, TYPALIGN_INT, &rounds);
    begin_exclusions(trip,
                     1 + gave_back_count + blocked_count + declined_count + asked_count + pending_count);
    exclude(trip, &trip->customer_id, GATE_SELF, 0);
    for (int i = 0; i < gave_back_count; i++)
        exclude(trip, DatumGetUUIDP(gave_back[i]), GATE_GAVE_BACK, 0);
    for (int i = 0; i < blocked_count; i++)
        exclude(trip, DatumGetUUIDP(blocked[i]), GATE_BLOCKED, 0);
    for (int i = 0; i < declined_count; i++)
        exclude(trip, DatumGetUUIDP(declined[i]), GATE_DECLINED, 0);
    for (int i = 0; i < asked_count; i++)
        exclude(trip, DatumGetUUIDP(asked[i]), GATE_ASKED, DatumGetInt32(rounds[i]));
    for (int i = 0; i < pending_count; i++)
        exclude(trip, DatumGetUUIDP(pending[i]), GATE_ASKED, ROUND_PENDING);
}

static int load_drivers(Datum array, pg_uuid_t **drivers)
{
    Datum *ids;
    int count = uuid_elements(array, &ids);

    *drivers = palloc(sizeof(pg_uuid_t) * (count + 1));
    for (int i = 0; i < count; i++)
        (*drivers)[i] = *DatumGetUUIDP(ids[i]);
    return count;
}

/* What the pickup and the moment say. */
static void load_place(MatchTrip *trip, int region_id)
{
    trip->region_id = (int16)region_id;
    trip->rules.distance_only = overload_level() >= OVERLOAD_DISTANCE_ONLY;
    trip->area_mask = policy_areas_at(trip->pickup_lat, trip->pickup_lng);
    if (!geofence_airport_at(trip->pickup_lat, trip->pickup_lng, &trip->airport, &trip->queue_offers))
        trip->airport = 0;
}

bool match_load(const pg_uuid_t *trip_id, MatchTrip *trip)
{
    int region_id, policy_id;
    char *class;

    if (hail_execute(&load_trip, (Datum[]){UUIDPGetDatum(trip_id)}, NULL, false, 1) == 0)
        return false;
    memset(trip, 0, sizeof(*trip));
    trip->id = *trip_id;
    trip->now = hail_now();
    trip->customer_id = *DatumGetUUIDP(column(COL_CUSTOMER));
    trip->cash_due = DatumGetInt64(column(COL_CASH_DUE));
    trip->currency = TextDatumGetCString(column(COL_CURRENCY));
    trip->pickup_lat = DatumGetFloat8(column(COL_LAT));
    trip->pickup_lng = DatumGetFloat8(column(COL_LNG));
    trip->job = DatumGetBool(column(COL_JOB));
    trip->weight_kg = DatumGetFloat8(column(COL_WEIGHT));
    trip->volume_l = DatumGetFloat8(column(COL_VOLUME));
    trip->round = DatumGetInt32(column(COL_ROUND));
    trip->rounds_before = DatumGetInt32(column(COL_ROUNDS_BEFORE));
    trip->event_version = DatumGetInt32(column(COL_VERSION));
    trip->search_until = DatumGetTimestampTz(column(COL_UNTIL));
    trip->strategy.kind = strategy_by_name(TextDatumGetCString(column(COL_STRATEGY)));
    if (trip->strategy.kind == STRATEGY_COUNT)
        elog(ERROR, "trip has an unknown strategy");
    trip->rules.favourites_first = DatumGetBool(column(COL_FAVOURITES_FIRST));
    load_exclusions(trip);
    trip->repeat_count = load_drivers(column(COL_REPEAT), &trip->repeat);
    trip->favourite_count = load_drivers(column(COL_FAVOURITES), &trip->favourites);
    region_id = DatumGetInt32(column(COL_REGION));
    policy_id = DatumGetInt32(column(COL_POLICY));
    class = TextDatumGetCString(column(COL_CLASS));
    policy_apply(policy_get(policy_id), policy_class(class), trip);
    load_place(trip, region_id);
    return true;
}

void match_load_new(const NewTrip *request, const struct DispatchPolicy *policy,
                    const struct ClassTerms *class, MatchTrip *trip)
{
    Datum *blocked;
    int blocked_count = uuid_elements(request->blocked, &blocked);

    memset(trip, 0, sizeof(*trip));
    trip->id = request->id;
    trip->now = request->now;
    trip->customer_id = request->customer_id;
    trip->cash_due = request->cash_due;
    trip->currency = request->currency;
    trip->pickup_lat = request->pickup_lat;
    trip->pickup_lng = request->pickup_lng;
    trip->event_version = 1;
    trip->search_until = request->search_until;
    trip->strategy.kind = request->strategy;
    trip->job = strcmp(class->service, "ride") != 0;
    begin_exclusions(trip, 1 + blocked_count);
    exclude(trip, &trip->customer_id, GATE_SELF, 0);
    for (int i = 0; i < blocked_count; i++)
        exclude(trip, DatumGetUUIDP(blocked[i]), GATE_BLOCKED, 0);
    trip->repeat_count = load_drivers(request->repeat, &trip->repeat);
    trip->rules.favourites_first = request->favourites_first;
    if (request->favourites_first)
        trip->favourite_count = load_drivers(request->favourites, &trip->favourites);
    policy_apply(policy, class, trip);
    load_place(trip, request->region_id);
}
