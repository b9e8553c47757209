/*
 * What a trip does to the ledger: hold the fare when it is matched, pay it when it is completed, give it back
 * when it is cancelled. Called by dispatch, in its transaction, with the trip's row locked; all inputs are in
 * that row.
 *
 * The customer pays price + tolls - promotion. By wallet it is paid from the hold; the driver gets price and
 * tolls less the commission. In cash the driver has the money in hand, owes the commission and gets the
 * promotion. By card nothing is posted before the gateway says that the charge succeeded. What is posted, and
 * in which shares, is said by the templates (template.h). A trip that cannot be paid is left unpaid, with
 * nothing posted. Each trip that has something to pay has a row of hail.trip_payments.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/statement.h"
#include "base/uuid7.h"
#include "ledger/book.h"
#include "ledger/template.h"
#include "ledger/trip_payment.h"

typedef struct LedgerTrip {
    pg_uuid_t id, customer_id, driver_id, hold_id;
    char *id_text;
    bool has_driver, has_hold;
    char *method;
    bool by_wallet, by_card;
    int64 price, tolls, promotion;
    int64 due; /* by the customer: price + tolls - promotion */
    int commission_bp;
    char *currency;
} LedgerTrip;

/* What became of a payment. */
typedef struct Outcome {
    const char *state; /* hail.payment_state */
    int64 paid;
    const char *reason; /* why not; NULL: it is paid or asked for */
} Outcome;

static Datum trip_column(HeapTupleHeader row, const char *name)
{
    bool isnull;
    Datum value = GetAttributeByName(row, name, &isnull);

    if (isnull)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("trip has no %s", name), hail_field("trip"));
    return value;
}

static int64 optional_amount(HeapTupleHeader row, const char *name)
{
    bool isnull;
    Datum value = GetAttributeByName(row, name, &isnull);

    return isnull ? 0 : DatumGetInt64(value);
}

static LedgerTrip read_trip(HeapTupleHeader row)
{
    LedgerTrip trip = {.id = *DatumGetUUIDP(trip_column(row, "id"))};
    bool no_driver, no_hold;
    Datum driver = GetAttributeByName(row, "driver_id", &no_driver);
    Datum hold = GetAttributeByName(row, "hold_id", &no_hold);

    trip.id_text = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&trip.id)));
    trip.customer_id = *DatumGetUUIDP(trip_column(row, "customer_id"));
    trip.has_driver = !no_driver;
    if (trip.has_driver)
        trip.driver_id = *DatumGetUUIDP(driver);
    trip.has_hold = !no_hold;
    if (trip.has_hold)
        trip.hold_id = *DatumGetUUIDP(hold);
    trip.method = TextDatumGetCString(trip_column(row, "payment_method"));
    trip.by_wallet = strcmp(trip.method, "wallet") == 0;
    trip.by_card = strcmp(trip.method, "card") == 0;
    if (!trip.by_wallet && !trip.by_card && strcmp(trip.method, "cash") != 0)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("unknown payment method \"%s\"", trip.method),
                hail_field("payment_method"));
    trip.price = DatumGetInt64(trip_column(row, "price"));
    trip.tolls = optional_amount(row, "tolls");
    trip.promotion = optional_amount(row, "promotion_amount");
    trip.due = trip.price + trip.tolls - trip.promotion;
    trip.commission_bp = DatumGetInt32(trip_column(row, "commission_bp"));
    trip.currency = TextDatumGetCString(trip_column(row, "currency"));
    return trip;
}

/* A template with what every posting of a trip has; amounts are added. */
static TemplateInput trip_input(const LedgerTrip *trip, const char *template)
{
    return (TemplateInput){.name = template,
                           .currency = trip->currency,
                           .customer = &trip->customer_id,
                           .driver = trip->has_driver ? &trip->driver_id : NULL};
}

static TemplateDraft trip_draft(const LedgerTrip *trip, const char *key)
{
    return (TemplateDraft){
        .key = psprintf("%s:%s", key, trip->id_text), .reference_type = "trip", .reference_id = &trip->id};
}

/* The open hold of the trip, locked; its account is. False: none. Its row nearly always names it. */
static bool lock_trip_hold(const LedgerTrip *trip, const PostingAccount *account, LedgerHold *hold)
{
    if (trip->has_hold && ledger_lock_hold(&trip->hold_id, hold) && hold->open &&
        memcmp(&hold->account_id, account->id, sizeof(pg_uuid_t)) == 0)
        return true;
    return ledger_find_trip_hold_unlocked(&trip->id, hold) && ledger_lock_hold(&hold->id, hold) &&
           hold->open && memcmp(&hold->account_id, account->id, sizeof(pg_uuid_t)) == 0;
}

PG_FUNCTION_INFO_V1(hail_hold_trip_fare);
PG_FUNCTION_INFO_V1(hail_change_trip_hold);
PG_FUNCTION_INFO_V1(hail_settle_trip);
PG_FUNCTION_INFO_V1(hail_release_trip_fare);
PG_FUNCTION_INFO_V1(hail_charge_cancellation);
PG_FUNCTION_INFO_V1(hail_commission);

/* On a locked wallet. `covered`: the wallet need not have so much, for more was held until now. */
static pg_uuid_t hold_fare(const pg_uuid_t *trip_id, PostingAccount *account, int64 price, bool covered)
{
    HoldDraft draft = {
        .principal = "system", .amount = price, .reference_type = "trip", .reference_id = trip_id};
    pg_uuid_t unique, id;
    LedgerHold hold;

    hail_uuid7(&unique);
    draft.key = psprintf("trip:%s:%s", DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(trip_id))),
                         DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&unique))));
    if (ledger_place_trip_hold(account, &draft, covered, &id))
        return id;
    if (!ledger_find_trip_hold_unlocked(trip_id, &hold) || !ledger_lock_hold(&hold.id, &hold) || !hold.open ||
        memcmp(&hold.account_id, account->id, sizeof(pg_uuid_t)) != 0)
        ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                errmsg("the trip has a hold on another account"));
    return hold.id;
}

bool ledger_hold_trip_fare(const pg_uuid_t *trip_id, const pg_uuid_t *customer_id, int64 price,
                           const char *currency, pg_uuid_t *hold_id)
{
    if (price == 0)
        return false;
    *hold_id = hold_fare(trip_id, ledger_lock_wallet("CUSTOMER_WALLET", customer_id, currency), price, false);
    return true;
}

/* hail.hold_trip_fare(trip) -> hold id; NULL when nothing is to be held. */
Datum hail_hold_trip_fare(PG_FUNCTION_ARGS)
{
    LedgerTrip trip = read_trip(PG_GETARG_HEAPTUPLEHEADER(0));
    pg_uuid_t *id = palloc(sizeof(pg_uuid_t));
    bool held;

    if (!trip.by_wallet)
        PG_RETURN_NULL();
    SPI_connect();
    held = ledger_hold_trip_fare(&trip.id, &trip.customer_id, trip.price, trip.currency, id);
    SPI_finish();
    if (!held)
        PG_RETURN_NULL();
    PG_RETURN_UUID_P(id);
}

/* hail.change_trip_hold(trip, amount) -> hold id; NULL when nothing is held any more. The wallet is locked
 * first, so that what the old hold gives back cannot be spent before the new one takes it. Holding less never
 * fails, whatever the wallet has. */
Datum hail_change_trip_hold(PG_FUNCTION_ARGS)
{
    LedgerTrip trip = read_trip(PG_GETARG_HEAPTUPLEHEADER(0));
    int64 amount = PG_GETARG_INT64(1);
    pg_uuid_t *id = palloc(sizeof(pg_uuid_t));
    LedgerHold hold;
    bool held;

    if (!trip.by_wallet)
        ereport(ERROR, hail_error(HAIL_WRONG_STATE), errmsg("nothing is held for a trip paid in cash"));
    if (amount < 0 || amount > POSTING_MAX_AMOUNT)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("amount must be between 0 and 2^53"),
                hail_field("amount"));
    SPI_connect();
    PostingAccount *account = ledger_lock_wallet("CUSTOMER_WALLET", &trip.customer_id, trip.currency);

    held = lock_trip_hold(&trip, account, &hold);
    if (held && hold.amount == amount) {
        *id = hold.id;
    } else {
        bool less = held && amount < hold.amount;

        if (held)
            ledger_release_hold(account, &hold, "released");
        held = amount > 0;
        if (held)
            *id = hold_fare(&trip.id, account, amount, less);
    }
    SPI_finish();
    if (!held)
        PG_RETURN_NULL();
    PG_RETURN_UUID_P(id);
}

/* ---- hail.trip_payments ---- */

/* Once more for a trip whose payment is open: the row that is there. */
static HailStatement record_payment = {
    "INSERT INTO hail.trip_payments AS p (trip_id, customer_id, driver_id, purpose, method, state, currency,"
    " fare, tolls, promotion, commission, due, paid, reason, created_at, paid_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
    "         CASE WHEN $14 IS NULL AND $6 = 'paid' THEN $15 END)"
    " ON CONFLICT (trip_id) DO UPDATE SET method = excluded.method, state = excluded.state,"
    "   paid = excluded.paid, reason = excluded.reason, paid_at = excluded.paid_at"
    " WHERE p.state IN ('pending', 'payment_failed')",
    15,
    {UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID,
     INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

/* What a trip's payment is for: the fare, or a fee instead of it. */
typedef struct Dues {
    const char *purpose;
    int64 fare, tolls, promotion, commission, due;
} Dues;

static void record(const LedgerTrip *trip, const Dues *dues, const Outcome *outcome)
{
    char nulls[] = "               ";
    Datum args[15] = {UUIDPGetDatum(&trip->id),
                      UUIDPGetDatum(&trip->customer_id),
                      UUIDPGetDatum(&trip->driver_id),
                      CStringGetTextDatum(dues->purpose),
                      CStringGetTextDatum(trip->method),
                      CStringGetTextDatum(outcome->state),
                      CStringGetTextDatum(trip->currency),
                      Int64GetDatum(dues->fare),
                      Int64GetDatum(dues->tolls),
                      Int64GetDatum(dues->promotion),
                      Int64GetDatum(dues->commission),
                      Int64GetDatum(dues->due),
                      Int64GetDatum(outcome->paid),
                      outcome->reason ? CStringGetTextDatum(outcome->reason) : (Datum)0,
                      TimestampTzGetDatum(hail_now())};

    if (!trip->has_driver)
        nulls[2] = 'n';
    if (outcome->reason == NULL)
        nulls[13] = 'n';
    hail_execute(&record_payment, args, nulls, false, 0);
}

/* ---- paying ---- */

static void release_trip_hold(const LedgerTrip *trip)
{
    LedgerHold hold;

    if (!ledger_find_trip_hold_unlocked(&trip->id, &hold))
        return;
    PostingAccount *account = ledger_lock_accounts(&hold.account_id, 1);

    if (ledger_lock_hold(&hold.id, &hold) && hold.open)
        ledger_release_hold(account, &hold, "released");
}

/* What a wallet can pay of an amount, the trip's own hold included. */
static int64 payable(const PostingAccount *account, const LedgerHold *hold, int64 amount)
{
    int64 free = account->posted - account->held + (hold ? hold->amount : 0);

    return Max(Min(amount, free - (account->has_floor ? account->floor : 0)), 0);
}

static HailStatement is_claimed = {
    "SELECT FROM hail.ledger_transactions t WHERE t.principal = 'system' AND t.idempotency_key = $1",
    1,
    {TEXTOID},
    HAIL_BY_KEY};

static bool has_been_posted(const char *key)
{
    return hail_execute(&is_claimed, (Datum[]){CStringGetTextDatum(key)}, NULL, false, 1) > 0;
}

static bool any_closed(const PostingAccount *accounts, int count)
{
    for (int i = 0; i < count; i++)
        if (accounts[i].closed)
            return true;
    return false;
}

static TemplateInput fare_input(const LedgerTrip *trip)
{
    bool cash = !trip->by_wallet && !trip->by_card;
    TemplateInput input = trip_input(trip, cash ? "trip_commission_cash" : "trip_fare_wallet");

    if (!cash) {
        template_amount(&input, "paid", trip->due);
        template_amount(&input, "fare", trip->price);
        template_amount(&input, "tolls", trip->tolls);
    }
    template_amount(&input, "promotion", trip->promotion);
    template_amount(&input, "commission", posting_commission(trip->price, trip->commission_bp));
    return input;
}

/*
 * Post the fare, using up the trip's hold. The wallets are locked before the key is claimed, because what
 * can't be paid must not have claimed it. Why not, or NULL.
 */
static const char *post_fare(const LedgerTrip *trip)
{
    TemplateInput input = fare_input(trip);
    TemplateDraft draft = trip_draft(trip, "trip");
    LedgerDraft claimed = template_draft(&input, &draft);
    TemplateLegs legs = template_legs(&input);
    PostingAccount *accounts = ledger_lock_accounts(legs.ids, legs.count);
    LedgerHold hold;
    bool held = legs.customer >= 0 && lock_trip_hold(trip, &accounts[legs.customer], &hold);
    const char *refusal = NULL;
    LedgerClaim claim;

    if (legs.count == 0)
        return NULL;
    if (legs.customer >= 0 && any_closed(accounts, legs.count))
        refusal = "an account is closed";
    else if (legs.customer >= 0 &&
             payable(&accounts[legs.customer], held ? &hold : NULL, trip->due) < trip->due)
        refusal = "the wallet does not cover the price";
    if (refusal != NULL && !has_been_posted(draft.key)) {
        if (held)
            ledger_release_hold(&accounts[legs.customer], &hold, "released");
        return refusal;
    }
    claim = ledger_claim(&claimed);
    if (!claim.repeated)
        template_write(&claim.id, &legs, accounts, held ? &hold : NULL);
    return NULL;
}

static Outcome settle(const LedgerTrip *trip)
{
    Outcome outcome = {.state = "paid", .paid = trip->due};

    if (trip->price + trip->tolls == 0)
        outcome.state = "none";
    else if (trip->by_card && trip->due > 0)
        outcome = (Outcome){.state = "pending"};
    else
        outcome.reason = post_fare(trip);
    if (outcome.reason != NULL)
        outcome = (Outcome){.state = "payment_failed", .reason = outcome.reason};
    if (trip->by_wallet && trip->due == 0)
        release_trip_hold(trip); /* there was no leg to use it up */
    return outcome;
}

/* hail.settle_trip(trip) -> payment_state: pay a completed trip, once. */
Datum hail_settle_trip(PG_FUNCTION_ARGS)
{
    LedgerTrip trip = read_trip(PG_GETARG_HEAPTUPLEHEADER(0));
    Dues dues = {.purpose = "fare",
                 .fare = trip.price,
                 .tolls = trip.tolls,
                 .promotion = trip.promotion,
                 .commission = posting_commission(trip.price, trip.commission_bp),
                 .due = trip.due};
    Outcome outcome;

    SPI_connect();
    outcome = settle(&trip);
    if (strcmp(outcome.state, "none") != 0)
        record(&trip, &dues, &outcome);
    SPI_finish();
    PG_RETURN_TEXT_P(cstring_to_text(outcome.state));
}

/* hail.release_trip_fare(trip): give the hold back, when there is one. */
Datum hail_release_trip_fare(PG_FUNCTION_ARGS)
{
    LedgerTrip trip = read_trip(PG_GETARG_HEAPTUPLEHEADER(0));

    SPI_connect();
    release_trip_hold(&trip);
    SPI_finish();
    PG_RETURN_VOID();
}

static TemplateInput fee_input(const LedgerTrip *trip, int64 amount)
{
    TemplateInput input = trip_input(trip, "cancellation_fee");
    int64 commission = trip->has_driver ? posting_commission(amount, trip->commission_bp) : amount;

    template_amount(&input, "fee", amount);
    template_amount(&input, "driver_share", amount - commission);
    template_amount(&input, "commission", commission);
    return input;
}

/* As far as the wallet goes; what was paid. */
static int64 charge_fee(const LedgerTrip *trip, int64 fee)
{
    TemplateInput input = fee_input(trip, fee); /* what a repeated key is compared with: the whole fee */
    TemplateDraft draft = trip_draft(trip, "cancel");
    LedgerDraft claimed = template_draft(&input, &draft);
    TemplateLegs legs = template_legs(&input);
    PostingAccount *accounts = ledger_lock_accounts(legs.ids, legs.count);
    LedgerHold hold;
    bool held = lock_trip_hold(trip, &accounts[legs.customer], &hold);
    int64 amount =
        any_closed(accounts, legs.count) ? 0 : payable(&accounts[legs.customer], held ? &hold : NULL, fee);
    LedgerClaim claim;

    if (amount == 0) {
        if (held)
            ledger_release_hold(&accounts[legs.customer], &hold, "released");
        return 0;
    }
    claim = ledger_claim(&claimed);
    if (claim.repeated)
        return amount;
    if (amount != fee) { /* the same accounts, smaller legs; one of them may be nothing now */
        input = fee_input(trip, amount);
        legs = template_legs(&input);
        accounts = ledger_lock_accounts(legs.ids, legs.count);
    }
    template_write(&claim.id, &legs, accounts, held ? &hold : NULL);
    return amount;
}

/*
 * hail.charge_cancellation(trip, fee, purpose) -> payment_state: take the fee from the customer's wallet, as
 * far as it goes, and give the rest of the hold back; of a trip by card it is to be charged. Shared with the
 * driver like a fare; all the platform's when there is no driver.
 */
Datum hail_charge_cancellation(PG_FUNCTION_ARGS)
{
    LedgerTrip trip = read_trip(PG_GETARG_HEAPTUPLEHEADER(0));
    int64 fee = PG_GETARG_INT64(1);
    Dues dues = {.purpose = text_to_cstring(PG_GETARG_TEXT_PP(2)), .fare = fee, .due = fee};
    Outcome outcome = {.state = "none"};

    if (fee < 0 || fee > POSTING_MAX_AMOUNT)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("fee must be between 0 and 2^53"),
                hail_field("fee"));
    dues.commission = trip.has_driver ? posting_commission(fee, trip.commission_bp) : fee;
    SPI_connect();
    if (fee == 0) {
        release_trip_hold(&trip);
    } else {
        if (trip.by_card)
            outcome.state = "pending";
        else
            outcome.paid = charge_fee(&trip, fee);
        if (!trip.by_card)
            outcome.state = outcome.paid == fee ? "paid" : "payment_failed";
        if (strcmp(outcome.state, "payment_failed") == 0)
            outcome.reason = "the wallet does not cover the fee";
        record(&trip, &dues, &outcome);
    }
    SPI_finish();
    PG_RETURN_TEXT_P(cstring_to_text(outcome.state));
}

/* hail.commission(price, commission_bp) */
Datum hail_commission(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT64(posting_commission(PG_GETARG_INT64(0), PG_GETARG_INT32(1)));
}
