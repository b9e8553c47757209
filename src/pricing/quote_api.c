/*
 * SQL entry points of estimates and quotes. Each asks first who is calling. Those that write are SECURITY
 * DEFINER; estimates, asked for much more often, run with their caller's rights and need no table but through
 * what is kept, which is read as hail_owner.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/error.h"
#include "base/statement.h"
#include "base/uuid7.h"
#include "identity/session.h"
#include "pricing/price.h"
#include "pricing/pricing.h"
#include "pricing/quote.h"

PG_FUNCTION_INFO_V1(hail_estimate_fare);
PG_FUNCTION_INFO_V1(hail_estimate_fares);
PG_FUNCTION_INFO_V1(hail_create_quote);
PG_FUNCTION_INFO_V1(hail_create_quotes);
PG_FUNCTION_INFO_V1(hail_quote_route);
PG_FUNCTION_INFO_V1(hail_requote);

/* The columns of hail.fare, in order. */
enum {
    FARE_REGION,
    FARE_CLASS,
    FARE_DISTANCE,
    FARE_DURATION,
    FARE_BASE,
    FARE_DISTANCE_AMOUNT,
    FARE_TIME_AMOUNT,
    FARE_SURGE,
    FARE_TIME_MULTIPLIER,
    FARE_EVENT_MULTIPLIER,
    FARE_MULTIPLIER_AMOUNT,
    FARE_MINIMUM_AMOUNT,
    FARE_BOOKING_FEE,
    FARE_ROUNDING_AMOUNT,
    FARE_TOTAL,
    FARE_CANCELLATION_FEE,
    FARE_COMMISSION,
    FARE_CURRENCY,
    FARE_PRICE_LOW,
    FARE_PRICE_HIGH,
    FARE_DURATION_LOW,
    FARE_DURATION_HIGH,
    FARE_ETA_SOURCE,
    FARE_PICKUP_ETA,
    FARE_WAITING_FREE,
    FARE_WAITING_PER_MINUTE,
    FARE_WAITING_MAX,
    FARE_COLUMNS
};

/* Argument `arg` as degrees within +-limit, or an error that names it. */
static double degrees_argument(FunctionCallInfo fcinfo, int arg, double limit, const char *field)
{
    double degrees;

    if (PG_ARGISNULL(arg))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must not be null", field),
                hail_field(field));
    degrees = PG_GETARG_FLOAT8(arg);
    if (!(fabs(degrees) <= limit))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg("%s must be between %.0f and %.0f", field, -limit, limit), hail_field(field));
    return degrees;
}

/* The four arguments from `arg` on: pickup_lat, pickup_lng, dropoff_lat, dropoff_lng. */
static PricePlaces places_arguments(FunctionCallInfo fcinfo, int arg)
{
    double *degrees = palloc(sizeof(double) * 4);

    degrees[0] = degrees_argument(fcinfo, arg, 90, "pickup_lat");
    degrees[1] = degrees_argument(fcinfo, arg + 1, 180, "pickup_lng");
    degrees[2] = degrees_argument(fcinfo, arg + 2, 90, "dropoff_lat");
    degrees[3] = degrees_argument(fcinfo, arg + 3, 180, "dropoff_lng");
    return (PricePlaces){degrees, 2, false};
}

static char *text_argument(FunctionCallInfo fcinfo, int arg)
{
    return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static Datum multiplier(int hundredths)
{
    return NumericGetDatum(int64_div_fast_to_numeric(hundredths, 2));
}

/* A customer's estimate is what its quote would be: in its variant. */
static const pg_uuid_t *who_would_pay(const HailActor *actor)
{
    return actor->role == HAIL_ROLE_CUSTOMER ? &actor->subject : NULL;
}

/* The columns of hail.fare that are the same in every class. */
static void put_trip(const PriceTrip *trip, Datum *values)
{
    values[FARE_REGION] = CStringGetTextDatum(trip->region->code);
    values[FARE_DISTANCE] = Int32GetDatum(trip->way.distance_m);
    values[FARE_DURATION] = Int32GetDatum(trip->way.duration_s);
    values[FARE_SURGE] = multiplier(trip->surge);
    values[FARE_TIME_MULTIPLIER] = multiplier(trip->time_multiplier);
    values[FARE_EVENT_MULTIPLIER] = multiplier(trip->event_multiplier);
    values[FARE_CURRENCY] = CStringGetTextDatum(trip->region->currency);
    values[FARE_DURATION_LOW] = Int32GetDatum(trip->way.low_s);
    values[FARE_DURATION_HIGH] = Int32GetDatum(trip->way.high_s);
    values[FARE_ETA_SOURCE] = CStringGetTextDatum(eta_source_name(trip->way.source));
}

/* Those of a class; pickup_eta_s below 0: no driver. */
static void put_price(const Price *price, int pickup_eta_s, bool admin, Datum *values, bool *nulls)
{
    const BookFare *fare = price->fare;
    const FareAmounts *amounts = &price->amounts;

    values[FARE_CLASS] = CStringGetTextDatum(fare->class->code);
    values[FARE_BASE] = Int64GetDatum(amounts->base);
    values[FARE_DISTANCE_AMOUNT] = Int64GetDatum(amounts->distance);
    values[FARE_TIME_AMOUNT] = Int64GetDatum(amounts->time);
    values[FARE_MULTIPLIER_AMOUNT] = Int64GetDatum(amounts->multiplier);
    values[FARE_MINIMUM_AMOUNT] = Int64GetDatum(amounts->minimum);
    values[FARE_BOOKING_FEE] = Int64GetDatum(amounts->booking_fee);
    values[FARE_ROUNDING_AMOUNT] = Int64GetDatum(amounts->rounding);
    values[FARE_TOTAL] = Int64GetDatum(amounts->total);
    values[FARE_CANCELLATION_FEE] = Int64GetDatum(fare->cancellation_fee);
    values[FARE_COMMISSION] = Int32GetDatum(fare->commission_bp);
    values[FARE_PRICE_LOW] = Int64GetDatum(price->low);
    values[FARE_PRICE_HIGH] = Int64GetDatum(price->high);
    values[FARE_PICKUP_ETA] = Int32GetDatum(pickup_eta_s);
    values[FARE_WAITING_FREE] = Int32GetDatum(fare->waiting_free_s);
    values[FARE_WAITING_PER_MINUTE] = Int64GetDatum(fare->waiting_per_minute);
    values[FARE_WAITING_MAX] = Int64GetDatum(fare->waiting_max);
    nulls[FARE_COMMISSION] = !admin;
    nulls[FARE_PICKUP_ETA] = pickup_eta_s < 0;
}

/* hail.estimate_fare(region, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, service_class) */
Datum hail_estimate_fare(PG_FUNCTION_ARGS)
{
    HailActor actor = hail_require_actor();
    const BookClass *class;
    PriceTrip trip;
    Price price;
    int pickup_eta_s;
    TupleDesc desc;
    Datum values[FARE_COLUMNS];
    bool nulls[FARE_COLUMNS] = {false};

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != FARE_COLUMNS)
        elog(ERROR, "estimate_fare returns a hail.fare");
    price_trip(&trip, places_arguments(fcinfo, 1), text_argument(fcinfo, 0), who_would_pay(&actor));
    class = price_find_class(text_argument(fcinfo, 5), "service_class");
    price = price_class(&trip, class, "service_class");
    price_pickup_etas(&trip, &class, 1, &pickup_eta_s);
    put_trip(&trip, values);
    put_price(&price, pickup_eta_s, actor.role == HAIL_ROLE_ADMIN, values, nulls);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* hail.estimate_fares(pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, service_classes) */
Datum hail_estimate_fares(PG_FUNCTION_ARGS)
{
    HailActor actor = hail_require_actor();
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    const BookClass *classes[PRICE_ALL_CLASSES];
    PriceTrip trip;
    int count, pickup_etas_s[PRICE_ALL_CLASSES];
    Datum values[FARE_COLUMNS];
    bool nulls[FARE_COLUMNS] = {false};

    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    if (result->setDesc->natts != FARE_COLUMNS)
        elog(ERROR, "estimate_fares returns hail.fare");
    price_trip(&trip, places_arguments(fcinfo, 0), NULL, who_would_pay(&actor));
    count = price_find_classes(&trip, PG_ARGISNULL(4) ? NULL : PG_GETARG_ARRAYTYPE_P(4), "service_classes",
                               classes);
    price_pickup_etas(&trip, classes, count, pickup_etas_s);
    put_trip(&trip, values);
    for (int i = 0; i < count; i++) {
        Price price = price_class(&trip, classes[i], "service_classes");

        put_price(&price, pickup_etas_s[i], actor.role == HAIL_ROLE_ADMIN, values, nulls);
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}

/* The customer argument; the caller is that customer, or an administrator. */
static pg_uuid_t customer_argument(FunctionCallInfo fcinfo, int arg)
{
    hail_require_actor();
    if (PG_ARGISNULL(arg))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("customer_id must not be null"),
                hail_field("customer_id"));
    hail_require_self(HAIL_ROLE_CUSTOMER, PG_GETARG_UUID_P(arg));
    return *PG_GETARG_UUID_P(arg);
}

/* The one quote of a draft, complete but for its ids. */
static Datum store_one(QuoteDraft *draft)
{
    MemoryContext caller = CurrentMemoryContext;
    Datum quote;

    SPI_connect();
    hail_uuid7(&draft->id);
    if (draft->replaces == NULL)
        draft->set_id = draft->id;
    quote = quote_store(draft);
    MemoryContextSwitchTo(caller);
    quote = datumCopy(quote, false, -1);
    SPI_finish();
    return quote;
}

/* hail.create_quote(customer_id, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, service_class) */
Datum hail_create_quote(PG_FUNCTION_ARGS)
{
    pg_uuid_t customer = customer_argument(fcinfo, 0);
    PriceTrip trip;
    Price price;
    QuoteDraft draft = {.trip = &trip, .price = &price, .customer_id = &customer};

    price_trip(&trip, places_arguments(fcinfo, 1), NULL, &customer);
    price = price_class(&trip, price_find_class(text_argument(fcinfo, 5), "service_class"), "service_class");
    PG_RETURN_DATUM(quote_for_caller(store_one(&draft)));
}

static void put_quote(ReturnSetInfo *result, Datum quote)
{
    HeapTupleHeader header = DatumGetHeapTupleHeader(quote_for_caller(quote));
    HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};

    tuplestore_puttuple(result->setResult, &tuple);
}

/* hail.create_quotes(customer_id, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, service_classes) */
Datum hail_create_quotes(PG_FUNCTION_ARGS)
{
    pg_uuid_t customer = customer_argument(fcinfo, 0);
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    const BookClass *classes[PRICE_ALL_CLASSES];
    PriceTrip trip;
    Price price;
    QuoteDraft draft = {.trip = &trip, .price = &price, .customer_id = &customer};
    int count;

    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    price_trip(&trip, places_arguments(fcinfo, 1), NULL, &customer);
    count = price_find_classes(&trip, PG_ARGISNULL(5) ? NULL : PG_GETARG_ARRAYTYPE_P(5), "service_classes",
                               classes);
    SPI_connect();
    for (int i = 0; i < count; i++) {
        price = price_class(&trip, classes[i], "service_classes");
        hail_uuid7(&draft.id);
        if (i == 0)
            draft.set_id = draft.id;
        put_quote(result, quote_store(&draft));
    }
    SPI_finish();
    return (Datum)0;
}

/* The places of an array of numbers: latitude and longitude of each. */
static PricePlaces route(ArrayType *array)
{
    int count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

    if (ARR_NDIM(array) != 1 || ARR_ELEMTYPE(array) != FLOAT8OID || array_contains_nulls(array) ||
        count % 2 != 0 || count < 4)
        elog(ERROR, "places must be two pairs of numbers or more");
    return (PricePlaces){(const double *)ARR_DATA_PTR(array), count / 2, true};
}

static HailStatement read_payer = {
    "SELECT FROM hail.users u WHERE u.id = $1 AND u.role = 'customer'", 1, {UUIDOID}, HAIL_BY_KEY};

/* Experiments are for customers: whoever else pays is in none. */
static const pg_uuid_t *customer_or_none(const pg_uuid_t *payer)
{
    bool customer;

    SPI_connect();
    customer = hail_execute(&read_payer, (Datum[]){UUIDPGetDatum(payer)}, NULL, false, 1) > 0;
    SPI_finish();
    return customer ? payer : NULL;
}

/* hail.quote_route(user_id, places, service_class): internal, the caller has authorised; strict */
Datum hail_quote_route(PG_FUNCTION_ARGS)
{
    PriceTrip trip;
    Price price;
    QuoteDraft draft = {.trip = &trip, .price = &price, .customer_id = PG_GETARG_UUID_P(0), .any_user = true};

    price_trip(&trip, route(PG_GETARG_ARRAYTYPE_P(1)), NULL, customer_or_none(draft.customer_id));
    price = price_class(&trip, price_find_class(text_argument(fcinfo, 2), "service_class"), "service_class");
    PG_RETURN_DATUM(store_one(&draft));
}

/* $2: the caller, NULL: an administrator. Of two that renew a quote at once, the second finds what the first
 * has made. */
static HailStatement read_quote = {
    "SELECT q.customer_id, q.service_class, coalesce(q.stops,"
    "   ARRAY[q.pickup_lat, q.pickup_lng, q.dropoff_lat, q.dropoff_lng]), q.stops IS NOT NULL,"
    " u.role <> 'customer', EXISTS (SELECT FROM hail.trips t WHERE t.quote_id = q.id), q.set_id"
    " FROM hail.quotes q JOIN hail.users u ON u.id = q.customer_id"
    " WHERE q.id = $1 AND ($2 IS NULL OR q.customer_id = $2) FOR NO KEY UPDATE OF q",
    2,
    {UUIDOID, UUIDOID},
    HAIL_BY_KEY};

/* What a quote was for; what `places` points to lives as long as the current memory context. */
typedef struct OldQuote {
    pg_uuid_t customer_id, set_id;
    char *class;
    PricePlaces places;
    bool any_user;
} OldQuote;

static OldQuote load_quote(const pg_uuid_t *id, const HailActor *actor)
{
    MemoryContext caller = CurrentMemoryContext;
    OldQuote old;
    bool isnull, used;

    SPI_connect();
    if (hail_execute(&read_quote, (Datum[]){UUIDPGetDatum(id), UUIDPGetDatum(&actor->subject)},
                     actor->role == HAIL_ROLE_ADMIN ? " n" : NULL, false, 1) == 0)
        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("there is no such quote"), hail_field("quote_id"));
    MemoryContextSwitchTo(caller);
    old.customer_id = *DatumGetUUIDP(hail_result(0, 1, &isnull));
    old.class = TextDatumGetCString(hail_result(0, 2, &isnull));
    old.places = route(DatumGetArrayTypePCopy(hail_result(0, 3, &isnull)));
    old.places.is_job = DatumGetBool(hail_result(0, 4, &isnull));
    old.any_user = DatumGetBool(hail_result(0, 5, &isnull));
    used = DatumGetBool(hail_result(0, 6, &isnull));
    old.set_id = *DatumGetUUIDP(hail_result(0, 7, &isnull));
    SPI_finish();
    if (used)
        ereport(ERROR, hail_error(HAIL_QUOTE_USED), errmsg("this quote has been used"),
                hail_field("quote_id"), errhint("Ask for a new quote."));
    return old;
}

/* Made of the same quote $1 since $2, live at $3, not used, and of the same price inputs. */
static HailStatement read_renewed = {
    "SELECT q FROM hail.quotes q WHERE q.replaces = $1 AND q.created_at > $2 AND q.created_at <= $3"
    " AND q.expires_at > $3 AND q.fare_id = $4 AND q.total = $5 AND (q.surge * 100)::int4 = $6"
    " AND (q.time_multiplier * 100)::int4 = $7 AND (q.event_multiplier * 100)::int4 = $8"
    " AND coalesce(q.variant_id, 0) = $9 AND NOT EXISTS (SELECT FROM hail.trips t WHERE t.quote_id = q.id)"
    " ORDER BY q.created_at DESC, q.id DESC LIMIT 1",
    9,
    {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, INT8OID, INT4OID, INT4OID, INT4OID, INT4OID},
    HAIL_BY_KEY};

/* A request that is repeated within so long gets the new quote that the first one made. */
#define RENEWED_STAYS (30 * USECS_PER_SEC)

static bool find_renewed(const QuoteDraft *draft, Datum *quote)
{
    MemoryContext caller = CurrentMemoryContext;
    const PriceTrip *trip = draft->trip;
    const Price *price = draft->price;
    bool found, isnull;

    SPI_connect();
    found =
        hail_execute(&read_renewed,
                     (Datum[]){UUIDPGetDatum(draft->replaces), TimestampTzGetDatum(trip->at - RENEWED_STAYS),
                               TimestampTzGetDatum(trip->at), UUIDPGetDatum(&price->fare->id),
                               Int64GetDatum(price->amounts.total), Int32GetDatum(trip->surge),
                               Int32GetDatum(trip->time_multiplier), Int32GetDatum(trip->event_multiplier),
                               Int32GetDatum(price->variant.id)},
                     NULL, false, 1) > 0;
    MemoryContextSwitchTo(caller);
    if (found)
        *quote = datumCopy(hail_result(0, 1, &isnull), false, -1);
    SPI_finish();
    return found;
}

/* hail.requote(quote_id) */
Datum hail_requote(PG_FUNCTION_ARGS)
{
    HailActor actor = hail_require_actor();
    pg_uuid_t id = {{0}};
    OldQuote old;
    PriceTrip trip;
    Price price;
    QuoteDraft draft = {.trip = &trip, .price = &price, .replaces = &id};
    Datum renewed;

    if (actor.role != HAIL_ROLE_CUSTOMER && actor.role != HAIL_ROLE_ADMIN)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only customers renew quotes"));
    if (!PG_ARGISNULL(0))
        id = *PG_GETARG_UUID_P(0);
    old = load_quote(&id, &actor);
    draft.customer_id = &old.customer_id;
    draft.set_id = old.set_id;
    draft.any_user = old.any_user;
    price_trip(&trip, old.places, NULL, old.any_user ? NULL : &old.customer_id);
    price = price_class(&trip, price_find_class(old.class, "quote_id"), "quote_id");
    if (!find_renewed(&draft, &renewed))
        renewed = store_one(&draft);
    PG_RETURN_DATUM(quote_for_caller(renewed));
}
