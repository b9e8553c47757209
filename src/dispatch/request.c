/*
 * A trip requested; see request.h.
 *
 * Only an erasure changes a quote. The quote is read with the lock that the trip's reference takes anyway: a
 * request that waits for an erasure reads what is left of it, one that was first is seen by the erasure. Who
 * else makes a trip of the same quote, with the same key, or for a customer who rides already, is decided by
 * the unique indexes of hail.trips in one INSERT ... ON CONFLICT DO NOTHING, which waits for whoever is about
 * to. Only a request that is refused, or loses that race, looks for the trip its key has made before.
 *
 * The first round is decided before anything is written: the trip's row is written once, with the round's
 * number and deadline. Statements: read the quote and what goes with it, read the slots of the drivers to be
 * asked, insert the trip (its reference to the quote is checked by a statement too), its offers, its two
 * events.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/statement.h"
#include "base/uuid7.h"
#include "dispatch/accept.h"
#include "dispatch/offers.h"
#include "dispatch/overload.h"
#include "dispatch/policy.h"
#include "dispatch/request.h"
#include "events/events.h"
#include "geo/geo.h"
#include "identity/session.h"
#include "ledger/posting.h"
#include "pricing/book.h"
#include "pricing/pricing.h"
#include "worker/worker.h"

/* Columns of read_quote, in order; those up to COL_SURGE go into the trip as they are. */
enum {
    COL_REGION = 1,
    COL_CLASS,
    COL_CUSTOMER,
    COL_PICKUP_LAT,
    COL_PICKUP_LNG,
    COL_DROPOFF_LAT,
    COL_DROPOFF_LNG,
    COL_DISTANCE,
    COL_DURATION,
    COL_TOTAL,
    COL_COMMISSION,
    COL_FEE,
    COL_CURRENCY,
    COL_SURGE,
    COL_STOPS,
    COL_EXPIRES,
    COL_SURGE_HUNDREDTHS,
    COL_COVERED,
    COL_BLOCKED,
    COL_REPEAT,
    COL_FAVOURITES,
    COL_WAITING_MAX,
    COL_UNPAID,
    COL_VARIANT, /* may be null */
    QUOTE_COLUMNS = COL_VARIANT
};

/* $2: the caller, NULL: an administrator; $3: paid by wallet. */
static HailStatement read_quote = {
    "SELECT q.region_id, q.service_class, q.customer_id, q.pickup_lat, q.pickup_lng, q.dropoff_lat,"
    " q.dropoff_lng, q.distance_m, q.duration_s, q.total, q.commission_bp, q.cancellation_fee, q.currency,"
    " q.surge, q.stops IS NOT NULL, q.expires_at, (q.surge * 100)::int4,"
    " CASE WHEN $3 THEN q.total + q.waiting_max <= coalesce((SELECT a.posted - a.held FROM hail.accounts a"
    "   WHERE a.kind = 'CUSTOMER_WALLET' AND a.owner_id = q.customer_id AND a.currency = q.currency), 0)"
    "   ELSE true END,"
    " coalesce(d.blocked, '{}'), coalesce(d.repeat, '{}'), coalesce(d.favourites, '{}'), q.waiting_max,"
    " EXISTS (SELECT FROM hail.trips u WHERE u.customer_id = q.customer_id AND u.payment_state = "
    "'payment_failed'),"
    " q.variant_id"
    " FROM hail.quotes q LEFT JOIN LATERAL (SELECT array_agg(c.driver_id) FILTER (WHERE c.blocked) AS "
    "blocked,"
    "   array_agg(c.driver_id) FILTER (WHERE NOT c.blocked AND (c.favourite OR c.trips > 0)) AS repeat,"
    "   array_agg(c.driver_id) FILTER (WHERE NOT c.blocked AND c.favourite) AS favourites"
    "   FROM hail.customer_drivers c WHERE c.customer_id = q.customer_id) d ON true"
    " WHERE q.id = $1 AND ($2 IS NULL OR q.customer_id = $2) FOR KEY SHARE OF q",
    3,
    {UUIDOID, UUIDOID, BOOLOID},
    HAIL_BY_KEY};

/* $8: a job asks; whether for the same stops and load is then compared in SQL. */
static HailStatement find_repeated = {
    "SELECT t, t.quote_id = $3 AND t.payment_method = $4 AND t.strategy IS NOT DISTINCT FROM $5"
    " AND t.scheduled_for IS NOT DISTINCT FROM $6 AND t.favourites_first = $7"
    " AND ($8 OR NOT EXISTS (SELECT FROM hail.trip_loads l WHERE l.trip_id = t.id))"
    " FROM hail.trips t WHERE t.customer_id = $1 AND t.idempotency_key = $2",
    8,
    {UUIDOID, TEXTOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, BOOLOID, BOOLOID},
    HAIL_BY_KEY};

static HailStatement quote_used = {
    "SELECT FROM hail.trips t WHERE t.quote_id = $1", 1, {UUIDOID}, HAIL_BY_KEY};

/* $1-$14: the quote's columns. */
static HailStatement insert_trip = {
    "INSERT INTO hail.trips AS t (region_id, service_class, customer_id, pickup_lat, pickup_lng,"
    " dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency,"
    " surge, id, service, quote_id, state, strategy, payment_method, policy_id, search_until, next_round_at,"
    " event_version, idempotency_key, requested_at, scheduled_for, round, queue_position,"
    " weight_kg, volume_l, partner_id, partner_order, favourites_first, variant_id, waiting_max)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,"
    " $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36)"
    " ON CONFLICT DO NOTHING RETURNING t",
    36,
    {INT2OID, TEXTOID,        UUIDOID,        FLOAT8OID, FLOAT8OID, FLOAT8OID,      FLOAT8OID,      INT4OID,
     INT4OID, INT8OID,        INT4OID,        INT8OID,   TEXTOID,   NUMERICOID,     UUIDOID,        TEXTOID,
     UUIDOID, TEXTOID,        TEXTOID,        TEXTOID,   INT2OID,   TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID,
     TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID,   INT4OID,   FLOAT4OID,      FLOAT4OID,      UUIDOID,
     TEXTOID, BOOLOID,        INT4OID,        INT8OID},
    HAIL_BY_KEY};

static HailStatement read_trip = {"SELECT t FROM hail.trips t WHERE t.id = $1", 1, {UUIDOID}, HAIL_BY_KEY};

/* The rider may have walked a little since. */
#define QUOTE_MAX_OFF_M 100.0

typedef struct Request {
    const TripRequest *asked;
    Datum quote[QUOTE_COLUMNS + 1];
    bool in_experiment; /* quote[COL_VARIANT] is not null */
    pg_uuid_t id, customer_id;
    StrategyKind strategy;
    TimestampTz now;
    DispatchPolicy policy;
    ClassTerms class;
    bool scheduled, matched_here; /* matched_here: the first round is ours, not the dispatcher's */
    TimestampTz search_until, next_round_at;
    MatchTrip match;
    MatchField field;
    OfferTerms terms;
    OfferDrafts drafts;
    int queue_place;
} Request;

/* Why a request is refused; message NULL: it is not. */
typedef struct Refusal {
    HailError error;
    const char *message, *field, *hint;
} Refusal;

static void refuse(Refusal why)
{
    ereport(ERROR, hail_error(why.error), errmsg("%s", why.message), hail_field(why.field),
            why.hint ? errhint("%s", why.hint) : 0);
}

static void check_request(const TripRequest *asked)
{
    const char *key = asked->idempotency_key;
    int length = key == NULL ? 0 : pg_mbstrlen(key);

    if (length < 1 || length > 200)
        refuse((Refusal){HAIL_KEY_REQUIRED, "a trip needs an idempotency key of 1 to 200 characters",
                         "idempotency_key"});
    if (asked->payment_method == NULL ||
        (strcmp(asked->payment_method, "wallet") != 0 && strcmp(asked->payment_method, "cash") != 0 &&
         strcmp(asked->payment_method, "card") != 0))
        refuse((Refusal){HAIL_INVALID_VALUE, "payment_method is wallet, cash or card", "payment_method"});
}

/* A place given beside the quote: metres from the one the quote has; 0: not given. */
static double metres_off(const double *given, Datum lat, Datum lng)
{
    return given == NULL ? 0 : geo_distance_m(given[0], given[1], DatumGetFloat8(lat), DatumGetFloat8(lng));
}

static bool is_other_class(const Request *request)
{
    return request->asked->service_class != NULL &&
           strcmp(request->asked->service_class, TextDatumGetCString(request->quote[COL_CLASS])) != 0;
}

/* What the caller says the trip is must be what the quote is for. */
static Refusal check_same_trip(const Request *request)
{
    static const char *const hint = "Ask for a quote for this trip.";
    const TripRequest *asked = request->asked;
    const Datum *quote = request->quote;

    if (metres_off(asked->pickup, quote[COL_PICKUP_LAT], quote[COL_PICKUP_LNG]) > QUOTE_MAX_OFF_M)
        return (Refusal){HAIL_QUOTE_MISMATCH, "the quote is for another pickup", "pickup_lat", hint};
    if (metres_off(asked->dropoff, quote[COL_DROPOFF_LAT], quote[COL_DROPOFF_LNG]) > QUOTE_MAX_OFF_M)
        return (Refusal){HAIL_QUOTE_MISMATCH, "the quote is for another dropoff", "dropoff_lat", hint};
    if (is_other_class(request))
        return (Refusal){HAIL_QUOTE_MISMATCH, "the quote is for another service class", "service_class",
                         hint};
    return (Refusal){0};
}

static void load_quote(Request *request)
{
    HailActor actor = hail_require_actor();
    bool anybody = actor.role == HAIL_ROLE_ADMIN || request->asked->job != NULL, isnull;

    if (actor.role != HAIL_ROLE_CUSTOMER && !anybody)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only customers request trips"));
    check_request(request->asked);
    if (hail_execute(&read_quote,
                     (Datum[]){UUIDPGetDatum(&request->asked->quote_id), UUIDPGetDatum(&actor.subject),
                               BoolGetDatum(strcmp(request->asked->payment_method, "wallet") == 0)},
                     anybody ? " n " : NULL, false, 1) == 0)
        refuse((Refusal){HAIL_NOT_FOUND, "there is no such quote", "quote_id"});
    for (int col = 1; col <= QUOTE_COLUMNS; col++)
        request->quote[col] =
            hail_result(0, col, &isnull); /* kept until SPI ends; none but the last is null */
    request->in_experiment = !isnull;
    request->customer_id = *DatumGetUUIDP(request->quote[COL_CUSTOMER]);
}

/* The trip that the key has made, if any; error when it was another request. Where the phone is by now does
 * not count: a trip that exists is told, or the next key makes another. */
static bool find_trip(const Request *request, Datum *trip)
{
    const TripRequest *asked = request->asked;
    Datum args[8] = {UUIDPGetDatum(&request->customer_id),
                     CStringGetTextDatum(asked->idempotency_key),
                     UUIDPGetDatum(&asked->quote_id),
                     CStringGetTextDatum(asked->payment_method),
                     asked->strategy ? CStringGetTextDatum(asked->strategy) : (Datum)0,
                     TimestampTzGetDatum(asked->scheduled_for),
                     BoolGetDatum(asked->favourites_first),
                     BoolGetDatum(asked->job != NULL)};
    char nulls[] = "        ";
    bool isnull;

    if (asked->strategy == NULL)
        nulls[4] = 'n';
    if (!asked->has_time)
        nulls[5] = 'n';
    if (hail_execute(&find_repeated, args, nulls, false, 1) == 0)
        return false;
    if (!DatumGetBool(hail_result(0, 2, &isnull)) || is_other_class(request))
        refuse((Refusal){HAIL_IDEMPOTENCY_MISMATCH, "this key was used with another request",
                         "idempotency_key", "Use a new key for a new trip."});
    *trip = hail_result(0, 1, &isnull);
    return true;
}

static bool is_used(const TripRequest *asked)
{
    return hail_execute(&quote_used, (Datum[]){UUIDPGetDatum(&asked->quote_id)}, NULL, false, 1) > 0;
}

static Refusal check_strategy(Request *request)
{
    const TripRequest *asked = request->asked;
    StrategyKind kind = asked->strategy == NULL ? STRATEGY_COUNT : strategy_by_name(asked->strategy);

    request->strategy = kind;
    request->scheduled = kind == STRATEGY_SCHEDULED;
    if (kind == STRATEGY_COUNT)
        return (Refusal){HAIL_INVALID_VALUE,
                         "strategy is first_accept, sequential, broadcast_bid, scheduled or batched",
                         "strategy"};
    if (!request->scheduled && asked->has_time)
        return (Refusal){HAIL_INVALID_VALUE, "only a trip of strategy scheduled has a time", "scheduled_for",
                         "Leave scheduled_for out, or ask for strategy scheduled."};
    if (request->scheduled && !asked->has_time)
        return (Refusal){HAIL_INVALID_VALUE, "a scheduled trip needs a time", "scheduled_for"};
    if (request->scheduled && asked->scheduled_for <= request->now)
        return (Refusal){HAIL_INVALID_VALUE, "trips are scheduled for the future", "scheduled_for"};
    return (Refusal){0};
}

/* More than half again since the quote, at the pickup. */
static bool surge_has_risen(const Datum *quote)
{
    const BookRegion *region = book_region(DatumGetInt16(quote[COL_REGION]));

    return region != NULL &&
           surge_multiplier_at(region->id, region->hexagon_size_m, DatumGetFloat8(quote[COL_PICKUP_LAT]),
                               DatumGetFloat8(quote[COL_PICKUP_LNG])) *
                   2 >
               DatumGetInt32(quote[COL_SURGE_HUNDREDTHS]) * 3;
}

static Refusal check_quote(const Request *request)
{
    const Datum *quote = request->quote;

    if (request->asked->job == NULL && DatumGetBool(quote[COL_STOPS]))
        return (Refusal){HAIL_INVALID_VALUE, "this quote is for a job with stops", "quote_id",
                         "Use request_delivery or request_porter_job."};
    if (DatumGetTimestampTz(quote[COL_EXPIRES]) <= request->now)
        return (Refusal){HAIL_QUOTE_EXPIRED, "this quote has expired", "quote_id", "Ask for a new quote."};
    if (surge_has_risen(quote))
        return (Refusal){HAIL_QUOTE_CHANGED, "prices have risen since this quote", "quote_id",
                         "Ask for a new quote."};
    if (!DatumGetBool(quote[COL_COVERED]))
        return (Refusal){HAIL_INSUFFICIENT_BALANCE, "the wallet does not cover the price", "payment_method",
                         "Add money to the wallet or pay cash."};
    if (DatumGetBool(quote[COL_UNPAID]))
        return (Refusal){HAIL_PAYMENT_DUE, "an earlier trip of this customer has not been paid",
                         "payment_method", "Pay it first: hail.retry_payment()."};
    if (request->scheduled && request->asked->scheduled_for > request->now + request->policy.schedule_max_us)
        return (Refusal){HAIL_INVALID_VALUE, "this is too far ahead", "scheduled_for",
                         psprintf("Trips are scheduled at most %s ahead.", request->policy.schedule_max)};
    return (Refusal){0};
}

static void find_policy(Request *request)
{
    request->class = *policy_class(TextDatumGetCString(request->quote[COL_CLASS]));
    request->policy =
        *policy_in_force(DatumGetInt16(request->quote[COL_REGION]), request->class.service, request->now);
}

/* True: *trip is what the key has made before. Error: this request can't be met. */
static bool check(Request *request, Datum *trip)
{
    Refusal why = check_strategy(request);

    if (why.message == NULL)
        why = check_same_trip(request);
    if (why.message != NULL) {
        if (find_trip(request, trip))
            return true;
        refuse(why);
    }
    find_policy(request);
    why = check_quote(request);
    if (why.message == NULL && overload_level() < OVERLOAD_QUEUE)
        return false;
    if (find_trip(request, trip))
        return true;
    if (why.message != NULL && is_used(request->asked))
        why = (Refusal){HAIL_QUOTE_USED, "this quote has been used", "quote_id", "Ask for a new quote."};
    if (why.message != NULL)
        refuse(why);
    return false;
}

/* Whom the trip is offered to first, and when it is looked at next; nothing is written yet. */
static void plan_search(Request *request)
{
    const Datum *quote = request->quote;
    const TripRequest *asked = request->asked;
    NewTrip new = {.id = request->id,
                   .customer_id = request->customer_id,
                   .now = request->now,
                   .search_until = request->now + request->policy.patience_us,
                   .pickup_lat = DatumGetFloat8(quote[COL_PICKUP_LAT]),
                   .pickup_lng = DatumGetFloat8(quote[COL_PICKUP_LNG]),
                   .region_id = DatumGetInt16(quote[COL_REGION]),
                   .strategy = request->strategy,
                   .cash_due = strcmp(asked->payment_method, "cash") != 0
                                   ? -1
                                   : posting_commission(DatumGetInt64(quote[COL_TOTAL]) +
                                                            DatumGetInt64(quote[COL_WAITING_MAX]),
                                                        DatumGetInt32(quote[COL_COMMISSION])),
                   .currency = TextDatumGetCString(quote[COL_CURRENCY]),
                   .blocked = quote[COL_BLOCKED],
                   .repeat = quote[COL_REPEAT],
                   .favourites_first = asked->favourites_first,
                   .favourites = quote[COL_FAVOURITES]};

    request->search_until = new.search_until;
    request->next_round_at = request->scheduled
                                 ? Max(request->now, asked->scheduled_for - request->policy.schedule_ahead_us)
                                 : request->now;
    if (request->scheduled)
        return;
    request->queue_place = overload_admit();
    request->matched_here = request->queue_place == 0 && request->strategy != STRATEGY_BATCHED;
    if (!request->matched_here)
        return;
    match_load_new(&new, &request->policy, &request->class, &request->match);
    if (asked->job != NULL) {
        request->match.weight_kg = asked->job->weight_kg;
        request->match.volume_l = asked->job->volume_l;
    }
    request->terms.now = request->now;
    match_find(&request->match, &request->field, &request->terms);
    request->drafts = offers_choose(&request->match, request->field.candidates, request->field.eligible,
                                    request->terms.wanted, &request->terms);
    request->next_round_at = request->drafts.count > 0 ? request->terms.expires_at : request->terms.retry_at;
}

/* The trip's row, or false when a unique index refuses it. */
/* The columns of a job, $30-$33. */
static void put_job(const JobRequest *job, Datum *args, char *nulls)
{
    memset(nulls, 'n', 4);
    if (job == NULL)
        return;
    args[0] = Float4GetDatum((float4)job->weight_kg);
    args[1] = Float4GetDatum((float4)job->volume_l);
    if (job->weight_kg > 0)
        nulls[0] = ' ';
    if (job->volume_l > 0)
        nulls[1] = ' ';
    if (job->partner_id == NULL)
        return;
    args[2] = UUIDPGetDatum(job->partner_id);
    args[3] = CStringGetTextDatum(job->partner_order);
    nulls[2] = nulls[3] = ' ';
}

static bool insert(const Request *request, Datum *trip)
{
    const TripRequest *asked = request->asked;
    Datum args[36] = {0};
    char nulls[] = "                                    ";
    bool isnull;

    memcpy(args, &request->quote[1], sizeof(Datum) * COL_SURGE);
    args[14] = UUIDPGetDatum(&request->id);
    args[15] = CStringGetTextDatum(request->class.service);
    args[16] = UUIDPGetDatum(&asked->quote_id);
    args[17] = CStringGetTextDatum(request->scheduled ? "scheduled" : "searching");
    args[18] = CStringGetTextDatum(asked->strategy);
    args[19] = CStringGetTextDatum(asked->payment_method);
    args[20] = Int16GetDatum((int16)request->policy.id);
    args[21] = TimestampTzGetDatum(request->search_until);
    args[22] = TimestampTzGetDatum(request->next_round_at);
    args[23] = Int32GetDatum(1 + (request->drafts.count > 0));
    args[24] = CStringGetTextDatum(asked->idempotency_key);
    args[25] = TimestampTzGetDatum(request->now);
    args[26] = TimestampTzGetDatum(asked->scheduled_for);
    args[27] = Int32GetDatum(request->matched_here ? request->terms.round : 0);
    args[28] = Int32GetDatum(request->queue_place);
    args[33] = BoolGetDatum(asked->favourites_first);
    args[34] = request->quote[COL_VARIANT];
    args[35] = request->quote[COL_WAITING_MAX];
    if (!request->in_experiment)
        nulls[34] = 'n';
    put_job(asked->job, &args[29], &nulls[29]);
    if (request->queue_place == 0)
        nulls[28] = 'n';
    if (request->scheduled)
        nulls[21] = 'n';
    else
        nulls[26] = 'n';
    if (hail_execute(&insert_trip, args, nulls, false, 0) == 0)
        return false;
    *trip = hail_result(0, 1, &isnull);
    return true;
}

/* Another request was first: with the same key, with the same quote, or for a ride of the same customer. */
static Datum lost_race(const Request *request)
{
    Datum trip;

    if (find_trip(request, &trip))
        return trip;
    if (is_used(request->asked))
        refuse((Refusal){HAIL_QUOTE_USED, "this quote has been used", "quote_id", "Ask for a new quote."});
    refuse((Refusal){HAIL_ACTIVE_TRIP_EXISTS, "the customer has a trip already", "quote_id",
                     "Finish or cancel the trip first."});
    return (Datum)0;
}

static char *output(PGFunction function, Datum value)
{
    return DatumGetCString(DirectFunctionCall1(function, value));
}

static char *timestamp_json(TimestampTz at)
{
    char *text = palloc(MAXDATELEN + 1);

    return JsonEncodeDateTime(text, TimestampTzGetDatum(at), TIMESTAMPTZOID, NULL);
}

static char *requested_payload(const Request *request)
{
    const Datum *quote = request->quote;
    const TripRequest *asked = request->asked;
    StringInfoData payload;

    initStringInfo(&payload);
    appendStringInfo(&payload,
                     "{\"state\":\"%s\",\"customer_id\":\"%s\",\"driver_id\":null,\"service_class\":\"%s\","
                     "\"price\":" INT64_FORMAT ",\"currency\":\"%s\",\"payment_method\":\"%s\","
                     "\"pickup_lat\":%s,\"pickup_lng\":%s,\"dropoff_lat\":%s,\"dropoff_lng\":%s,"
                     "\"strategy\":\"%s\",\"scheduled_for\":",
                     request->scheduled ? "scheduled" : "searching",
                     output(uuid_out, UUIDPGetDatum(&request->customer_id)), request->class.code,
                     DatumGetInt64(quote[COL_TOTAL]), TextDatumGetCString(quote[COL_CURRENCY]),
                     asked->payment_method, output(float8out, quote[COL_PICKUP_LAT]),
                     output(float8out, quote[COL_PICKUP_LNG]), output(float8out, quote[COL_DROPOFF_LAT]),
                     output(float8out, quote[COL_DROPOFF_LNG]), asked->strategy);
    if (request->scheduled)
        appendStringInfo(&payload, "\"%s\"", timestamp_json(asked->scheduled_for));
    else
        appendStringInfoString(&payload, "null");
    if (asked->job != NULL)
        appendStringInfo(&payload, ",\"stops\":%d", asked->job->stops);
    if (request->queue_place > 0)
        appendStringInfo(&payload, ",\"queue_position\":%d", request->queue_place);
    appendStringInfoChar(&payload, '}');
    return payload.data;
}

static void write_events(const Request *request)
{
    EventDraft events[2] = {{1, "TripRequested", requested_payload(request)}};

    if (request->drafts.count == 0) {
        event_write("trip", &request->id, 1, events[0].type, events[0].payload);
        return;
    }
    events[1] = (EventDraft){2, "OfferCreated", offers_payload(&request->terms, &request->drafts)};
    event_write_two("trip", &request->id, events);
}

/* None of the offers could be written after all (somebody writes offers without taking their locks): the
 * row said otherwise. */
static Datum correct_trip(Request *request)
{
    bool isnull;

    offers_advance_trip(&request->id, request->terms.round, request->terms.retry_at, 1);
    hail_execute(&read_trip, (Datum[]){UUIDPGetDatum(&request->id)}, NULL, false, 1);
    return hail_result(0, 1, &isnull);
}

Datum dispatch_create_trip(const TripRequest *asked, bool *created)
{
    Request *request = palloc0(sizeof(Request));
    Datum trip;

    request->asked = asked;
    *created = false;
    load_quote(request);
    request->now = hail_now();
    if (check(request, &trip))
        return trip;
    hail_uuid7(&request->id);
    plan_search(request);
    if (!insert(request, &trip))
        return lost_race(request);
    *created = true;
    if (request->drafts.count > 0 && offers_write(&request->match, &request->terms, &request->drafts) == 0)
        trip = correct_trip(request);
    write_events(request);
    if (request->matched_here)
        match_record(&request->match, &request->field, &request->terms, request->drafts.count);
    if (request->next_round_at <= request->now)
        worker_wake_dispatcher_at_commit();
    return trip;
}

PG_FUNCTION_INFO_V1(hail_request_trip);
PG_FUNCTION_INFO_V1(hail_create_job_trip);

static char *text_or_null(FunctionCallInfo fcinfo, int arg)
{
    return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* The arguments that both functions begin with: quote_id, payment_method, strategy, idempotency_key,
 * scheduled_for. */
static TripRequest read_request(FunctionCallInfo fcinfo)
{
    TripRequest asked = {.payment_method = text_or_null(fcinfo, 1),
                         .strategy = text_or_null(fcinfo, 2),
                         .idempotency_key = text_or_null(fcinfo, 3),
                         .has_time = !PG_ARGISNULL(4)};

    if (!PG_ARGISNULL(0))
        asked.quote_id = *PG_GETARG_UUID_P(0); /* else: all zero, of which there is no quote */
    if (asked.has_time)
        asked.scheduled_for = PG_GETARG_TIMESTAMPTZ(4);
    return asked;
}

/* The place in arguments `arg` and the next, in `into`; NULL: not given. */
static const double *place_argument(FunctionCallInfo fcinfo, int arg, const char *const fields[2],
                                    double *into)
{
    if (PG_ARGISNULL(arg) && PG_ARGISNULL(arg + 1))
        return NULL;
    for (int i = 0; i < 2; i++) {
        double limit = i == 0 ? 90 : 180;

        into[i] = PG_ARGISNULL(arg + i) ? NAN : PG_GETARG_FLOAT8(arg + i);
        if (!(fabs(into[i]) <= limit))
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                    errmsg("%s must be between %.0f and %.0f", fields[i], -limit, limit),
                    hail_field(fields[i]));
    }
    return into;
}

/* hail.request_trip(quote_id, payment_method, strategy, idempotency_key, scheduled_for, favourites_first,
 * pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, service_class) */
Datum hail_request_trip(PG_FUNCTION_ARGS)
{
    MemoryContext caller = CurrentMemoryContext;
    TripRequest asked = read_request(fcinfo);
    double pickup[2], dropoff[2];
    Datum trip;
    bool created;

    asked.favourites_first = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
    asked.pickup = place_argument(fcinfo, 6, (const char *const[]){"pickup_lat", "pickup_lng"}, pickup);
    asked.dropoff = place_argument(fcinfo, 8, (const char *const[]){"dropoff_lat", "dropoff_lng"}, dropoff);
    asked.service_class = text_or_null(fcinfo, 10);
    SPI_connect();
    trip = dispatch_create_trip(&asked, &created);
    MemoryContextSwitchTo(caller);
    trip = datumCopy(trip, false, -1);
    SPI_finish();
    PG_RETURN_DATUM(trip_for_caller(trip));
}

/* hail.create_job_trip(the same, weight_kg, volume_l, partner_id, partner_order, stops): (trip, created) */
Datum hail_create_job_trip(PG_FUNCTION_ARGS)
{
    MemoryContext caller = CurrentMemoryContext;
    TripRequest asked = read_request(fcinfo);
    JobRequest job = {.weight_kg = PG_ARGISNULL(5) ? 0 : PG_GETARG_FLOAT4(5),
                      .volume_l = PG_ARGISNULL(6) ? 0 : PG_GETARG_FLOAT4(6),
                      .partner_id = PG_ARGISNULL(7) ? NULL : PG_GETARG_UUID_P(7),
                      .partner_order = text_or_null(fcinfo, 8),
                      .stops = PG_GETARG_INT32(9)};
    TupleDesc desc;
    Datum values[2];
    bool nulls[2] = {false, false}, created;

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "create_job_trip returns a row");
    asked.job = &job;
    SPI_connect();
    values[0] = dispatch_create_trip(&asked, &created);
    MemoryContextSwitchTo(caller);
    values[0] = datumCopy(values[0], false, -1);
    SPI_finish();
    values[1] = BoolGetDatum(created);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
