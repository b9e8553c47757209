/* SQL entry points of the ledger: unpack, authorise, then the book. */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/statement.h"
#include "identity/session.h"
#include "ledger/book.h"
#include "ledger/guards.h"

#define MAX_EXPIRED 1000 /* holds ended by one call of hail.expire_holds() */

/* ---- arguments ---- */

static char *text_argument(FunctionCallInfo fcinfo, int arg)
{
    return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static char *json_argument(FunctionCallInfo fcinfo, int arg)
{
    return PG_ARGISNULL(arg) ? NULL : DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(arg)));
}

static pg_uuid_t *uuid_argument(FunctionCallInfo fcinfo, int arg)
{
    return PG_ARGISNULL(arg) ? NULL : PG_GETARG_UUID_P(arg);
}

static pg_uuid_t *required_uuid(FunctionCallInfo fcinfo, int arg, const char *name)
{
    if (PG_ARGISNULL(arg))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must not be null", name), hail_field(name));
    return PG_GETARG_UUID_P(arg);
}

static char *key_argument(FunctionCallInfo fcinfo, int arg)
{
    char *key = text_argument(fcinfo, arg);

    if (key == NULL || *key == '\0')
        ereport(ERROR, hail_error(HAIL_KEY_REQUIRED), errmsg("an idempotency key is required"),
                hail_field("idempotency_key"));
    if (strlen(key) > 200)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("idempotency key is longer than 200 bytes"),
                hail_field("idempotency_key"));
    return key;
}

static char *kind_argument(FunctionCallInfo fcinfo, int arg)
{
    char *kind = text_argument(fcinfo, arg);

    if (kind == NULL || *kind == '\0' || strlen(kind) > 64 ||
        strspn(kind, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") != strlen(kind))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("kind must be 1 to 64 of a-z, A-Z and _"),
                hail_field("kind"));
    return kind;
}

static char *uuid_text(const pg_uuid_t *id)
{
    return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
}

/* Whose keys these are. Not "system": those are the engine's own. */
static char *caller_principal(void)
{
    HailActor actor = hail_actor();

    return actor.has_subject ? psprintf("user:%s", uuid_text(&actor.subject)) : "admin";
}

/* ---- requests as JSON ---- */

static void json_member(StringInfo out, const char *name, const char *value)
{
    if (value == NULL)
        return;
    appendStringInfo(out, "%s\"%s\": ", out->len > 1 ? ", " : "", name);
    escape_json(out, value);
}

static void json_raw(StringInfo out, const char *name, const char *value)
{
    if (value != NULL)
        appendStringInfo(out, "%s\"%s\": %s", out->len > 1 ? ", " : "", name, value);
}

/* ---- results ---- */

static HailStatement read_hold_row = {
    "SELECT h FROM hail.holds h WHERE h.id = $1", 1, {UUIDOID}, HAIL_BY_KEY};

static Datum hold_row(const pg_uuid_t *id)
{
    bool isnull;

    hail_execute(&read_hold_row, (Datum[]){UUIDPGetDatum(id)}, NULL, false, 1);
    return SPI_datumTransfer(hail_result(0, 1, &isnull), false, -1);
}

/* ---- post_transaction ---- */

typedef struct EntryInputs {
    pg_uuid_t *accounts;
    PostingLeg *legs;
    int count;
} EntryInputs;

static Datum entry_field(HeapTupleHeader entry, const char *name)
{
    bool isnull;
    Datum value = GetAttributeByName(entry, name, &isnull);

    if (isnull)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("an entry has no %s", name),
                hail_field("entries"));
    return value;
}

static bool is_credit(Datum direction)
{
    char *word = TextDatumGetCString(direction);

    if (strcmp(word, "credit") != 0 && strcmp(word, "debit") != 0)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("direction must be debit or credit"),
                hail_field("direction"));
    return word[0] == 'c';
}

static EntryInputs read_entries(FunctionCallInfo fcinfo, int arg)
{
    ArrayType *array = PG_ARGISNULL(arg) ? NULL : PG_GETARG_ARRAYTYPE_P(arg);
    EntryInputs in = {.count = 0};
    Datum *values;
    bool *nulls;
    int n = 0;

    if (array != NULL)
        deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &values, &nulls, &n);
    in.accounts = palloc(sizeof(pg_uuid_t) * Max(n, 1));
    in.legs = palloc0(sizeof(PostingLeg) * Max(n, 1));
    if (n > POSTING_MAX_LEGS)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("a transaction has between 2 and 256 entries"),
                hail_field("entries"));
    for (; in.count < n; in.count++) {
        HeapTupleHeader entry;

        if (nulls[in.count])
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("an entry is null"), hail_field("entries"));
        entry = DatumGetHeapTupleHeader(values[in.count]);
        in.accounts[in.count] = *DatumGetUUIDP(entry_field(entry, "account_id"));
        in.legs[in.count] = (PostingLeg){.account = in.count,
                                         .credit = is_credit(entry_field(entry, "direction")),
                                         .amount = DatumGetInt64(entry_field(entry, "amount"))};
    }
    return in;
}

/* Equal accounts become one, so that the decision sees an account that appears twice. */
static void unite_accounts(EntryInputs *in)
{
    for (int i = 0; i < in->count; i++)
        for (int j = 0; j < i; j++)
            if (memcmp(&in->accounts[i], &in->accounts[j], sizeof(pg_uuid_t)) == 0) {
                in->legs[i].account = j;
                break;
            }
}

static char *entries_json(const EntryInputs *in)
{
    StringInfoData out;

    initStringInfo(&out);
    appendStringInfoChar(&out, '[');
    for (int i = 0; i < in->count; i++)
        appendStringInfo(&out, "%s[\"%s\", \"%s\", " INT64_FORMAT "]", i > 0 ? ", " : "",
                         uuid_text(&in->accounts[i]), in->legs[i].credit ? "credit" : "debit",
                         in->legs[i].amount);
    appendStringInfoChar(&out, ']');
    return out.data;
}

static char *draft_request(const LedgerDraft *draft, const EntryInputs *in)
{
    StringInfoData out;

    initStringInfo(&out);
    appendStringInfoChar(&out, '{');
    json_member(&out, "kind", draft->kind);
    json_raw(&out, "entries", entries_json(in));
    json_member(&out, "reference_type", draft->reference_type);
    json_member(&out, "reference_id", draft->reference_id ? uuid_text(draft->reference_id) : NULL);
    json_member(&out, "reverses", draft->reverses ? uuid_text(draft->reverses) : NULL);
    json_raw(&out, "metadata", draft->metadata);
    appendStringInfoChar(&out, '}');
    return out.data;
}

/* Claim, lock, decide, write; the transaction's row, in the caller's memory. */
static Datum post_entries(const LedgerDraft *draft, EntryInputs *in)
{
    LedgerClaim claim = ledger_claim(draft);
    Datum row = SPI_datumTransfer(claim.row, false, -1);

    if (!claim.repeated) {
        Posting posting = {
            .legs = in->legs, .leg_count = in->count, .account_count = in->count, .hold_account = -1};

        posting.accounts = ledger_lock_accounts(in->accounts, in->count);
        unite_accounts(in);
        ledger_write(&claim.id, &posting);
    }
    return row;
}

PG_FUNCTION_INFO_V1(hail_post_transaction);
PG_FUNCTION_INFO_V1(hail_reverse_transaction);
PG_FUNCTION_INFO_V1(hail_hold);
PG_FUNCTION_INFO_V1(hail_capture);
PG_FUNCTION_INFO_V1(hail_release);
PG_FUNCTION_INFO_V1(hail_place_hold);
PG_FUNCTION_INFO_V1(hail_release_hold);
PG_FUNCTION_INFO_V1(hail_expire_holds);
PG_FUNCTION_INFO_V1(hail_fold_accounts);

/* hail.post_transaction(kind, entries, idempotency_key, reference_type, reference_id, metadata) */
Datum hail_post_transaction(PG_FUNCTION_ARGS)
{
    LedgerDraft draft;
    EntryInputs in;
    Datum row;

    hail_require_admin();
    draft = (LedgerDraft){.kind = kind_argument(fcinfo, 0),
                          .principal = caller_principal(),
                          .key = key_argument(fcinfo, 2),
                          .reference_type = text_argument(fcinfo, 3),
                          .reference_id = uuid_argument(fcinfo, 4),
                          .metadata = json_argument(fcinfo, 5)};
    in = read_entries(fcinfo, 1);
    draft.request = draft_request(&draft, &in);
    SPI_connect();
    row = post_entries(&draft, &in);
    SPI_finish();
    PG_RETURN_DATUM(row);
}

/* ---- reversal ---- */

static HailStatement lock_transaction = {
    "SELECT t.reverses IS NOT NULL FROM hail.ledger_transactions t WHERE t.id = $1 FOR NO KEY UPDATE",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

static HailStatement find_reversal = {
    "SELECT r.principal, r.idempotency_key FROM hail.ledger_transactions r WHERE r.reverses = $1",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

static HailStatement read_opposite = {
    "SELECT e.account_id, e.direction = 'debit', e.amount FROM hail.ledger_entries e"
    " WHERE e.transaction_id = $1 ORDER BY e.id",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

/* Locks the transaction's row, so that it is reversed once; errors when it has been, by another request. */
static void require_reversible(const pg_uuid_t *id, const char *principal, const char *key)
{
    Datum arg = UUIDPGetDatum(id);
    bool isnull;

    if (hail_execute(&lock_transaction, &arg, NULL, false, 1) != 1)
        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("transaction does not exist"),
                hail_field("transaction_id"));
    if (DatumGetBool(hail_result(0, 1, &isnull)))
        ereport(ERROR, hail_error(HAIL_WRONG_STATE), errmsg("a reversal is not reversed"),
                errhint("Post the transaction anew."));
    if (hail_execute(&find_reversal, &arg, NULL, false, 1) == 1 &&
        (strcmp(TextDatumGetCString(hail_result(0, 1, &isnull)), principal) != 0 ||
         strcmp(TextDatumGetCString(hail_result(0, 2, &isnull)), key) != 0))
        ereport(ERROR, hail_error(HAIL_ALREADY_EXISTS), errmsg("transaction is reversed already"));
}

static EntryInputs opposite_entries(const pg_uuid_t *id)
{
    EntryInputs in;
    bool isnull;

    in.count = (int)hail_execute(&read_opposite, (Datum[]){UUIDPGetDatum(id)}, NULL, false, 0);
    in.accounts = palloc(sizeof(pg_uuid_t) * Max(in.count, 1));
    in.legs = palloc0(sizeof(PostingLeg) * Max(in.count, 1));
    for (int i = 0; i < in.count; i++) {
        in.accounts[i] = *DatumGetUUIDP(hail_result(i, 1, &isnull));
        in.legs[i] = (PostingLeg){.account = i,
                                  .credit = DatumGetBool(hail_result(i, 2, &isnull)),
                                  .amount = DatumGetInt64(hail_result(i, 3, &isnull))};
    }
    return in;
}

/* hail.reverse_transaction(transaction_id, idempotency_key, metadata) */
Datum hail_reverse_transaction(PG_FUNCTION_ARGS)
{
    LedgerDraft draft;
    EntryInputs in;
    Datum row;

    hail_require_admin();
    draft = (LedgerDraft){.kind = "reversal",
                          .principal = caller_principal(),
                          .key = key_argument(fcinfo, 1),
                          .reverses = required_uuid(fcinfo, 0, "transaction_id"),
                          .metadata = json_argument(fcinfo, 2)};
    SPI_connect();
    require_reversible(draft.reverses, draft.principal, draft.key);
    in = opposite_entries(draft.reverses);
    draft.request = draft_request(&draft, &in);
    row = post_entries(&draft, &in);
    SPI_finish();
    PG_RETURN_DATUM(row);
}

/* ---- holds ---- */

static HailStatement hold_account = {
    "SELECT h.account_id FROM hail.holds h WHERE h.id = $1", 1, {UUIDOID}, HAIL_BY_KEY};

/* The account of a hold never changes: it may be read before its lock is taken. */
static pg_uuid_t account_of_hold(const pg_uuid_t *hold_id)
{
    bool isnull;

    if (hail_execute(&hold_account, (Datum[]){UUIDPGetDatum(hold_id)}, NULL, false, 1) != 1)
        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("hold does not exist"), hail_field("hold_id"));
    return *DatumGetUUIDP(hail_result(0, 1, &isnull));
}

static void pg_attribute_noreturn() refuse_resolved(void)
{
    ereport(ERROR, hail_error(HAIL_HOLD_RESOLVED), errmsg("hold has been captured, released or has expired"),
            hail_field("hold_id"));
}

/* Arguments: account, amount, idempotency_key, reference_type, reference_id, ttl. Inside SPI. */
static pg_uuid_t place_hold(FunctionCallInfo fcinfo, const char *principal, const char *account_name)
{
    pg_uuid_t *account_id = required_uuid(fcinfo, 0, account_name);
    HoldDraft draft = {.principal = principal,
                       .key = key_argument(fcinfo, 2),
                       .amount = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1),
                       .reference_type = text_argument(fcinfo, 3),
                       .reference_id = uuid_argument(fcinfo, 4),
                       .ttl = PG_ARGISNULL(5) ? NULL : PG_GETARG_INTERVAL_P(5)};

    return ledger_place_hold(ledger_lock_accounts(account_id, 1), &draft);
}

/* hail.hold(account_id, amount, idempotency_key, reference_type, reference_id, ttl) */
Datum hail_hold(PG_FUNCTION_ARGS)
{
    pg_uuid_t id;
    Datum row;

    hail_require_admin();
    SPI_connect();
    id = place_hold(fcinfo, caller_principal(), "account_id");
    row = hold_row(&id);
    SPI_finish();
    PG_RETURN_DATUM(row);
}

/* hail.place_hold(wallet_id, amount, idempotency_key, reference_type, reference_id, ttl): the engine's own.
 */
Datum hail_place_hold(PG_FUNCTION_ARGS)
{
    pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

    SPI_connect();
    *id = place_hold(fcinfo, "system", "wallet_id");
    SPI_finish();
    PG_RETURN_UUID_P(id);
}

static void capture_hold(const LedgerClaim *claim, const pg_uuid_t *hold_id, EntryInputs *in)
{
    Posting posting = {
        .legs = in->legs, .leg_count = in->count, .account_count = in->count, .hold_account = 0};
    LedgerHold hold;

    posting.accounts = ledger_lock_accounts(in->accounts, in->count);
    unite_accounts(in);
    if (!ledger_lock_hold(hold_id, &hold) || !hold.open)
        refuse_resolved();
    if (in->legs[0].amount == 0) /* the whole */
        in->legs[0].amount = in->legs[1].amount = hold.amount;
    if (in->legs[0].amount > hold.amount)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("amount is above the hold"),
                hail_field("amount"));
    posting.hold_amount = hold.amount;
    ledger_close_hold(&hold, "captured", in->legs[0].amount);
    ledger_write(&claim->id, &posting);
}

/* hail.capture(hold_id, to_account, idempotency_key, amount, metadata) */
Datum hail_capture(PG_FUNCTION_ARGS)
{
    int64 amount = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3);
    pg_uuid_t *hold_id, accounts[2];
    PostingLeg legs[2] = {{.account = 0, .credit = false, .amount = amount},
                          {.account = 1, .credit = true, .amount = amount}};
    EntryInputs in = {accounts, legs, 2};
    LedgerDraft draft;
    LedgerClaim claim;
    Datum row;

    hail_require_admin();
    hold_id = required_uuid(fcinfo, 0, "hold_id");
    accounts[1] = *required_uuid(fcinfo, 1, "to_account");
    if (!PG_ARGISNULL(3))
        ledger_require(check_amount(amount));
    draft = (LedgerDraft){.kind = "capture",
                          .principal = caller_principal(),
                          .key = key_argument(fcinfo, 2),
                          .reference_type = "hold",
                          .reference_id = hold_id,
                          .metadata = json_argument(fcinfo, 4)};
    SPI_connect();
    accounts[0] = account_of_hold(hold_id);
    draft.request = draft_request(&draft, &in);
    claim = ledger_claim(&draft);
    row = SPI_datumTransfer(claim.row, false, -1);
    if (!claim.repeated)
        capture_hold(&claim, hold_id, &in);
    SPI_finish();
    PG_RETURN_DATUM(row);
}

static HailStatement hold_status = {
    "SELECT h.status IN ('released', 'expired') FROM hail.holds h WHERE h.id = $1",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

/* Give a hold back; false when it is not open any more. */
static bool release_hold(const pg_uuid_t *hold_id)
{
    pg_uuid_t account_id = account_of_hold(hold_id);
    PostingAccount *account = ledger_lock_accounts(&account_id, 1);
    LedgerHold hold;

    if (!ledger_lock_hold(hold_id, &hold) || !hold.open)
        return false;
    ledger_release_hold(account, &hold, "released");
    return true;
}

/* hail.release_hold(hold_id): the engine's own. */
Datum hail_release_hold(PG_FUNCTION_ARGS)
{
    pg_uuid_t *hold_id = required_uuid(fcinfo, 0, "hold_id");
    bool released;

    SPI_connect();
    released = release_hold(hold_id);
    SPI_finish();
    PG_RETURN_BOOL(released);
}

/* hail.release(hold_id): releasing what is released already is no error. */
Datum hail_release(PG_FUNCTION_ARGS)
{
    pg_uuid_t *hold_id;
    bool isnull;
    Datum row;

    hail_require_admin();
    hold_id = required_uuid(fcinfo, 0, "hold_id");
    SPI_connect();
    if (!release_hold(hold_id) &&
        (hail_execute(&hold_status, (Datum[]){UUIDPGetDatum(hold_id)}, NULL, false, 1) != 1 ||
         !DatumGetBool(hail_result(0, 1, &isnull))))
        refuse_resolved();
    row = hold_row(hold_id);
    SPI_finish();
    PG_RETURN_DATUM(row);
}

static HailStatement expired_holds = {
    "SELECT h.id, h.account_id FROM hail.holds h WHERE h.status = 'held' AND h.expires_at <= $1"
    " ORDER BY h.account_id, h.id LIMIT $2",
    2,
    {TIMESTAMPTZOID, INT8OID},
    CURSOR_OPT_GENERIC_PLAN};

/* hail.expire_holds(): keeper step. Holds in the order of their accounts: many are locked in one transaction.
 */
Datum hail_expire_holds(PG_FUNCTION_ARGS)
{
    pg_uuid_t *ids, *accounts;
    int found, expired = 0;
    bool isnull;

    SPI_connect();
    found = (int)hail_execute(&expired_holds,
                              (Datum[]){TimestampTzGetDatum(hail_now()), Int64GetDatum(MAX_EXPIRED)}, NULL,
                              false, 0);
    ids = palloc(sizeof(pg_uuid_t) * Max(found, 1));
    accounts = palloc(sizeof(pg_uuid_t) * Max(found, 1));
    for (int i = 0; i < found; i++) {
        ids[i] = *DatumGetUUIDP(hail_result(i, 1, &isnull));
        accounts[i] = *DatumGetUUIDP(hail_result(i, 2, &isnull));
    }
    for (int i = 0; i < found; i++) {
        PostingAccount *account = ledger_lock_accounts(&accounts[i], 1);
        LedgerHold hold;

        if (!ledger_lock_hold(&ids[i], &hold) || !hold.open)
            continue;
        ledger_release_hold(account, &hold, "expired");
        expired++;
    }
    SPI_finish();
    PG_RETURN_INT32(expired);
}

/* ---- folding ---- */

static HailStatement lock_system_accounts = {
    "SELECT a.id FROM hail.accounts a WHERE a.is_system ORDER BY a.id FOR NO KEY UPDATE",
    0,
    {0},
    CURSOR_OPT_GENERIC_PLAN};

/*
 * What is below the snapshot's xmin has ended, and what of it committed is visible in the same snapshot: each
 * entry is folded once. Accounts without new entries are left alone.
 */
static HailStatement fold = {
    "UPDATE hail.accounts AS a SET (posted, folded_xid) ="
    " (SELECT a.posted + coalesce(sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END), 0),"
    "         pg_snapshot_xmin(pg_current_snapshot())"
    "  FROM hail.ledger_entries e WHERE e.account_id = a.id AND e.balance_after IS NULL"
    "  AND e.xid >= a.folded_xid AND e.xid < pg_snapshot_xmin(pg_current_snapshot()))"
    " WHERE a.is_system AND EXISTS ("
    "  SELECT FROM hail.ledger_entries e WHERE e.account_id = a.id AND e.balance_after IS NULL"
    "  AND e.xid >= a.folded_xid AND e.xid < pg_snapshot_xmin(pg_current_snapshot()))",
    0,
    {0},
    CURSOR_OPT_GENERIC_PLAN};

/* hail.fold_accounts(): keeper step; returns the system accounts whose posted was brought forward. */
Datum hail_fold_accounts(PG_FUNCTION_ARGS)
{
    uint64 folded;

    SPI_connect();
    hail_execute(&lock_system_accounts, NULL, NULL, false, 0);
    folded = ledger_execute(&fold, NULL, NULL);
    SPI_finish();
    PG_RETURN_INT32((int32)folded);
}
