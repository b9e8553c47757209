/*
 * What a trip does to the ledger: hold the fare when it is matched, pay it when it is completed, give it back
 * when it is cancelled. Called by dispatch, in its transaction, with the trip's row locked; all inputs are in
 * that row.
 *
 * By wallet the customer pays the price from the hold; the driver gets it less the commission. In cash the
 * driver has the price in hand and owes the commission. Legs of nothing are left out; a trip that moves
 * nothing posts nothing.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "base/error.h"
#include "base/uuid7.h"
#include "ledger/book.h"
#include "ledger/template.h"
#include "ledger/trip_payment.h"

typedef struct LedgerTrip {
    pg_uuid_t id, customer_id, driver_id;
    char *id_text;
    bool has_driver;
    bool by_wallet;
    int64 price;
    int commission_bp;
    char *currency;
} LedgerTrip;

static Datum trip_column(HeapTupleHeader row, const char *name)
{
    bool isnull;
    Datum value = GetAttributeByName(row, name, &isnull);

    if (isnull)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("trip has no %s", name), hail_field("trip"));
    return value;
}

static LedgerTrip read_trip(HeapTupleHeader row)
{
    LedgerTrip trip = {.id = *DatumGetUUIDP(trip_column(row, "id"))};
    char *method = TextDatumGetCString(trip_column(row, "payment_method"));
    bool no_driver;
    Datum driver = GetAttributeByName(row, "driver_id", &no_driver);

    trip.id_text = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&trip.id)));
    trip.customer_id = *DatumGetUUIDP(trip_column(row, "customer_id"));
    trip.has_driver = !no_driver;
    if (trip.has_driver)
        trip.driver_id = *DatumGetUUIDP(driver);
    if (strcmp(method, "wallet") != 0 && strcmp(method, "cash") != 0)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("unknown payment method \"%s\"", method),
                hail_field("payment_method"));
    trip.by_wallet = strcmp(method, "wallet") == 0;
    trip.price = DatumGetInt64(trip_column(row, "price"));
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

/* The open hold of the trip, locked; its account is. False: none. */
static bool lock_trip_hold(const LedgerTrip *trip, const PostingAccount *account, LedgerHold *hold)
{
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

static TemplateInput fare_input(const LedgerTrip *trip)
{
    TemplateInput input = trip_input(trip, trip->by_wallet ? "trip_fare_wallet" : "trip_commission_cash");

    if (trip->by_wallet) {
        template_amount(&input, "paid", trip->price);
        template_amount(&input, "fare", trip->price);
    }
    template_amount(&input, "commission", posting_commission(trip->price, trip->commission_bp));
    return input;
}

/* hail.settle_trip(trip): pay a completed trip, once. */
Datum hail_settle_trip(PG_FUNCTION_ARGS)
{
    LedgerTrip trip = read_trip(PG_GETARG_HEAPTUPLEHEADER(0));
    TemplateInput input = fare_input(&trip);
    TemplateDraft draft = trip_draft(&trip, "trip");
    TemplateLegs legs;

    SPI_connect();
    legs = template_legs(&input);
    if (legs.count > 0) {
        LedgerDraft claimed = template_draft(&input, &draft);
        LedgerClaim claim = ledger_claim(&claimed);
        LedgerHold hold;

        if (!claim.repeated) {
            PostingAccount *accounts = ledger_lock_accounts(legs.ids, legs.count);
            bool held = legs.customer >= 0 && lock_trip_hold(&trip, &accounts[legs.customer], &hold);

            template_write(&claim.id, &legs, accounts, held ? &hold : NULL);
        }
    }
    SPI_finish();
    PG_RETURN_VOID();
}

static void release_trip_hold(const LedgerTrip *trip)
{
    LedgerHold hold;

    if (!ledger_find_trip_hold_unlocked(&trip->id, &hold))
        return;
    PostingAccount *account = ledger_lock_accounts(&hold.account_id, 1);

    if (ledger_lock_hold(&hold.id, &hold) && hold.open)
        ledger_release_hold(account, &hold, "released");
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

/* What the customer can pay of a fee, the trip's own hold included. */
static int64 payable(const PostingAccount *account, const LedgerHold *hold, int64 fee)
{
    int64 free = account->posted - account->held + (hold ? hold->amount : 0);

    return Max(Min(fee, free - (account->has_floor ? account->floor : 0)), 0);
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

static void charge_fee(const LedgerTrip *trip, int64 fee)
{
    TemplateInput input = fee_input(trip, fee); /* what a repeated key is compared with: the whole fee */
    TemplateDraft draft = trip_draft(trip, "cancel");
    LedgerDraft claimed = template_draft(&input, &draft);
    TemplateLegs legs = template_legs(&input);
    PostingAccount *accounts = ledger_lock_accounts(legs.ids, legs.count);
    LedgerHold hold;
    bool held = lock_trip_hold(trip, &accounts[legs.customer], &hold);
    int64 amount = payable(&accounts[legs.customer], held ? &hold : NULL, fee);
    LedgerClaim claim;

    if (amount == 0) {
        if (held)
            ledger_release_hold(&accounts[legs.customer], &hold, "released");
        return;
    }
    claim = ledger_claim(&claimed);
    if (claim.repeated)
        return;
    if (amount != fee) { /* the same accounts, smaller legs; one of them may be nothing now */
        input = fee_input(trip, amount);
        legs = template_legs(&input);
        accounts = ledger_lock_accounts(legs.ids, legs.count);
    }
    template_write(&claim.id, &legs, accounts, held ? &hold : NULL);
}

/*
 * hail.charge_cancellation(trip, fee): take the fee from the customer's wallet, as far as it goes, and give
 * the rest of the hold back. Shared with the driver like a fare; all the platform's when there is no driver.
 */
Datum hail_charge_cancellation(PG_FUNCTION_ARGS)
{
    LedgerTrip trip = read_trip(PG_GETARG_HEAPTUPLEHEADER(0));
    int64 fee = PG_GETARG_INT64(1);

    if (fee < 0 || fee > POSTING_MAX_AMOUNT)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("fee must be between 0 and 2^53"),
                hail_field("fee"));
    SPI_connect();
    if (fee == 0)
        release_trip_hold(&trip);
    else
        charge_fee(&trip, fee);
    SPI_finish();
    PG_RETURN_VOID();
}

/* hail.commission(price, commission_bp) */
Datum hail_commission(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT64(posting_commission(PG_GETARG_INT64(0), PG_GETARG_INT32(1)));
}
