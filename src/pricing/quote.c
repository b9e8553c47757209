/* Rows of hail.quotes; see quote.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "base/statement.h"
#include "pricing/quote.h"

/* Arguments of insert_quote, in order; those up to ARG_LAST_COLUMN are its columns. */
enum {
    ARG_ID,
    ARG_CUSTOMER,
    ARG_REGION,
    ARG_CLASS,
    ARG_PICKUP_LAT,
    ARG_PICKUP_LNG,
    ARG_DROPOFF_LAT,
    ARG_DROPOFF_LNG,
    ARG_DISTANCE,
    ARG_DURATION,
    ARG_BASE,
    ARG_DISTANCE_AMOUNT,
    ARG_TIME_AMOUNT,
    ARG_SURGE,
    ARG_TIME_MULTIPLIER,
    ARG_EVENT_MULTIPLIER,
    ARG_MULTIPLIER_AMOUNT,
    ARG_MINIMUM_AMOUNT,
    ARG_BOOKING_FEE,
    ARG_ROUNDING_AMOUNT,
    ARG_TOTAL,
    ARG_CANCELLATION_FEE,
    ARG_COMMISSION,
    ARG_CURRENCY,
    ARG_CREATED,
    ARG_EXPIRES,
    ARG_STOPS,
    ARG_SET,
    ARG_REPLACES,
    ARG_FARE,
    ARG_PER_KM,
    ARG_PER_MINUTE,
    ARG_MINIMUM_FARE,
    ARG_ROUNDING,
    ARG_WAITING_FREE,
    ARG_WAITING_PER_MINUTE,
    ARG_WAITING_MAX,
    ARG_DURATION_LOW,
    ARG_DURATION_HIGH,
    ARG_PRICE_LOW,
    ARG_PRICE_HIGH,
    ARG_ETA_SOURCE,
    ARG_VARIANT,
    ARG_VARIANT_MULTIPLIER,
    ARG_ANY_USER,
    QUOTE_ARGS
};

/* The customer's row is asked in the same statement; its reference locks it. */
static HailStatement insert_quote = {
    "INSERT INTO hail.quotes AS q (id, customer_id, region_id, service_class, pickup_lat, pickup_lng,"
    " dropoff_lat, dropoff_lng, distance_m, duration_s, base_amount, distance_amount, time_amount, surge,"
    " time_multiplier, event_multiplier, multiplier_amount, minimum_amount, booking_fee, rounding_amount,"
    " total, cancellation_fee, commission_bp, currency, created_at, expires_at, stops, set_id, replaces,"
    " fare_id, per_km, per_minute, minimum_fare, rounding, waiting_free_s, waiting_per_minute, waiting_max,"
    " duration_low_s, duration_high_s, price_low, price_high, eta_source, variant_id, variant_multiplier)"
    " SELECT $1, u.id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,"
    " $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40,"
    " $41, $42, $43, $44"
    " FROM hail.users u WHERE u.id = $2 AND ($45 OR u.role = 'customer' AND u.active) RETURNING q",
    QUOTE_ARGS,
    {UUIDOID,    UUIDOID,    INT2OID, TEXTOID,        FLOAT8OID,      FLOAT8OID,      FLOAT8OID,
     FLOAT8OID,  INT4OID,    INT4OID, INT8OID,        INT8OID,        INT8OID,        NUMERICOID,
     NUMERICOID, NUMERICOID, INT8OID, INT8OID,        INT8OID,        INT8OID,        INT8OID,
     INT8OID,    INT4OID,    TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8ARRAYOID, UUIDOID,
     UUIDOID,    UUIDOID,    INT8OID, INT8OID,        INT8OID,        INT8OID,        INT4OID,
     INT8OID,    INT8OID,    INT4OID, INT4OID,        INT8OID,        INT8OID,        TEXTOID,
     INT4OID,    NUMERICOID, BOOLOID},
    HAIL_BY_KEY};

static Datum multiplier(int hundredths)
{
    return NumericGetDatum(int64_div_fast_to_numeric(hundredths, 2));
}

static void put_trip(const PriceTrip *trip, Datum *args, char *nulls)
{
    const double *degrees = trip->places.degrees;
    int last = 2 * (trip->places.stops - 1);

    args[ARG_REGION] = Int16GetDatum(trip->region->id);
    args[ARG_PICKUP_LAT] = Float8GetDatum(degrees[0]);
    args[ARG_PICKUP_LNG] = Float8GetDatum(degrees[1]);
    args[ARG_DROPOFF_LAT] = Float8GetDatum(degrees[last]);
    args[ARG_DROPOFF_LNG] = Float8GetDatum(degrees[last + 1]);
    args[ARG_DISTANCE] = Int32GetDatum(trip->way.distance_m);
    args[ARG_DURATION] = Int32GetDatum(trip->way.duration_s);
    args[ARG_DURATION_LOW] = Int32GetDatum(trip->way.low_s);
    args[ARG_DURATION_HIGH] = Int32GetDatum(trip->way.high_s);
    args[ARG_ETA_SOURCE] = CStringGetTextDatum(eta_source_name(trip->way.source));
    args[ARG_SURGE] = multiplier(trip->surge);
    args[ARG_TIME_MULTIPLIER] = multiplier(trip->time_multiplier);
    args[ARG_EVENT_MULTIPLIER] = multiplier(trip->event_multiplier);
    args[ARG_CURRENCY] = CStringGetTextDatum(trip->region->currency);
    args[ARG_CREATED] = TimestampTzGetDatum(trip->at);
    args[ARG_EXPIRES] = TimestampTzGetDatum(trip->at + hail_quote_ttl_s * USECS_PER_SEC);
    if (!trip->places.is_job) {
        nulls[ARG_STOPS] = 'n';
        return;
    }
    Datum *stops = palloc(sizeof(Datum) * (last + 2));

    for (int i = 0; i < last + 2; i++)
        stops[i] = Float8GetDatum(degrees[i]);
    args[ARG_STOPS] =
        PointerGetDatum(construct_array(stops, last + 2, FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void put_price(const Price *price, Datum *args, char *nulls)
{
    const BookFare *fare = price->fare;
    const FareAmounts *amounts = &price->amounts;

    args[ARG_CLASS] = CStringGetTextDatum(fare->class->code);
    args[ARG_BASE] = Int64GetDatum(amounts->base);
    args[ARG_DISTANCE_AMOUNT] = Int64GetDatum(amounts->distance);
    args[ARG_TIME_AMOUNT] = Int64GetDatum(amounts->time);
    args[ARG_MULTIPLIER_AMOUNT] = Int64GetDatum(amounts->multiplier);
    args[ARG_MINIMUM_AMOUNT] = Int64GetDatum(amounts->minimum);
    args[ARG_BOOKING_FEE] = Int64GetDatum(amounts->booking_fee);
    args[ARG_ROUNDING_AMOUNT] = Int64GetDatum(amounts->rounding);
    args[ARG_TOTAL] = Int64GetDatum(amounts->total);
    args[ARG_PRICE_LOW] = Int64GetDatum(price->low);
    args[ARG_PRICE_HIGH] = Int64GetDatum(price->high);
    args[ARG_CANCELLATION_FEE] = Int64GetDatum(fare->cancellation_fee);
    args[ARG_COMMISSION] = Int32GetDatum(fare->commission_bp);
    args[ARG_FARE] = UUIDPGetDatum(&fare->id);
    args[ARG_PER_KM] = Int64GetDatum(fare->rates.per_km);
    args[ARG_PER_MINUTE] = Int64GetDatum(fare->rates.per_minute);
    args[ARG_MINIMUM_FARE] = Int64GetDatum(fare->rates.minimum);
    args[ARG_ROUNDING] = Int64GetDatum(fare->rates.rounding);
    args[ARG_WAITING_FREE] = Int32GetDatum(fare->waiting_free_s);
    args[ARG_WAITING_PER_MINUTE] = Int64GetDatum(fare->waiting_per_minute);
    args[ARG_WAITING_MAX] = Int64GetDatum(fare->waiting_max);
    args[ARG_VARIANT] = Int32GetDatum(price->variant.id);
    args[ARG_VARIANT_MULTIPLIER] = multiplier(price->variant.multiplier);
    if (price->variant.id == 0)
        nulls[ARG_VARIANT] = 'n';
}

Datum quote_store(const QuoteDraft *draft)
{
    Datum args[QUOTE_ARGS];
    char nulls[QUOTE_ARGS + 1];
    bool isnull;

    memset(nulls, ' ', QUOTE_ARGS);
    nulls[QUOTE_ARGS] = '\0';
    put_trip(draft->trip, args, nulls);
    put_price(draft->price, args, nulls);
    args[ARG_ID] = UUIDPGetDatum(&draft->id);
    args[ARG_CUSTOMER] = UUIDPGetDatum(draft->customer_id);
    args[ARG_SET] = UUIDPGetDatum(&draft->set_id);
    args[ARG_REPLACES] = UUIDPGetDatum(draft->replaces);
    if (draft->replaces == NULL)
        nulls[ARG_REPLACES] = 'n';
    args[ARG_ANY_USER] = BoolGetDatum(draft->any_user);
    if (hail_execute(&insert_quote, args, nulls, false, 0) == 0)
        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("customer does not exist"),
                hail_field("customer_id"));
    return hail_result(0, 1, &isnull);
}

#define EXPIRE_BATCH 5000

/* The newest first: a quote goes before the one that it replaces. */
static HailStatement delete_expired = {
    "DELETE FROM hail.quotes d USING (SELECT q.id FROM hail.quotes q"
    "   WHERE q.created_at >= $1 AND q.created_at < $2 AND q.expires_at <= $2"
    "   AND NOT EXISTS (SELECT FROM hail.trips t WHERE t.quote_id = q.id)"
    "   AND NOT EXISTS (SELECT FROM hail.quotes n WHERE n.replaces = q.id)"
    "   ORDER BY q.created_at DESC LIMIT $3 FOR UPDATE SKIP LOCKED) old WHERE d.id = old.id",
    3,
    {TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID},
    HAIL_BY_KEY};

/* Quotes made before have been looked at by this process, and those left are needed. */
static TimestampTz looked_until = DT_NOBEGIN;
static bool more_to_expire = false;

bool quote_more_to_expire(void)
{
    return more_to_expire;
}

int64 quote_expire(void)
{
    TimestampTz until = hail_now() - hail_quote_retention_s * USECS_PER_SEC;
    int64 deleted;

    if (until < looked_until) /* a clock set back, or a longer retention */
        looked_until = DT_NOBEGIN;
    deleted = (int64)hail_execute(
        &delete_expired,
        (Datum[]){TimestampTzGetDatum(looked_until), TimestampTzGetDatum(until), Int32GetDatum(EXPIRE_BATCH)},
        NULL, false, 0);
    more_to_expire = deleted > 0; /* what they replace may go next */
    if (!more_to_expire)          /* a day again: what expired late, and a transaction that was undone */
        looked_until = until - USECS_PER_DAY;
    return deleted;
}
