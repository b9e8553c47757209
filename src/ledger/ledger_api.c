/* SQL entry points of the ledger: unpack, authorise, then the book. */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/owner.h"
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

    ledger_require(check_key(key));
    return key;
}

static char *kind_argument(FunctionCallInfo fcinfo, int arg)
{
    char *kind = text_argument(fcinfo, arg);

    ledger_require(check_kind(kind));
    return kind;
}

static char *uuid_text(const pg_uuid_t *id)
{
    return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
}

const char *ledger_caller_principal(void)
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

/* ---- the result of a posting: hail.posting ---- */

static HailStatement read_posting = {
    "SELECT ROW(t.id, t.kind, t.principal, t.idempotency_key, t.reference_type, t.reference_id, t.reverses,"
    " t.metadata, t.effective_at, t.created_at, true, e.accounts, e.balances)::hail.posting"
    " FROM hail.ledger_transactions t, LATERAL (SELECT array_agg(e.account_id ORDER BY e.id),"
    " array_agg(e.balance_after ORDER BY e.id) FROM hail.ledger_entries e WHERE e.transaction_id = t.id)"
    " AS e (accounts, balances) WHERE t.id = $1",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

/* What a repeated key is answered with: the first result as it is kept. */
static Datum first_posting(const pg_uuid_t *id)
{
    MemoryContext memory = CurrentMemoryContext;
    HailOwner saved = hail_owner_begin();
    bool isnull;
    Datum row;

    if (hail_execute(&read_posting, (Datum[]){UUIDPGetDatum(id)}, NULL, false, 1) != 1)
        elog(ERROR, "a ledger transaction is gone");
    MemoryContextSwitchTo(memory);
    row = datumCopy(hail_result(0, 1, &isnull), false, -1);
    hail_owner_end(saved);
    MemoryContextSwitchTo(memory);
    return row;
}

static Datum posting_accounts(const Posting *posting)
{
    Datum *ids = palloc(sizeof(Datum) * posting->leg_count);

    for (int i = 0; i < posting->leg_count; i++)
        ids[i] = PointerGetDatum(posting->accounts[posting->legs[i].account].id);
    return PointerGetDatum(construct_array(ids, posting->leg_count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static Datum posting_balances(const Posting *posting)
{
    int n = posting->leg_count, lower = 1;
    Datum *values = palloc(sizeof(Datum) * n);
    bool *nulls = palloc(sizeof(bool) * n);

    for (int i = 0; i < n; i++) {
        values[i] = Int64GetDatum(posting->legs[i].balance_after);
        nulls[i] = posting->accounts[posting->legs[i].account].is_system;
    }
    return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, INT8OID, sizeof(int64),
                                              FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static Datum text_or_null(const char *value, bool *isnull)
{
    *isnull = value == NULL;
    return value == NULL ? (Datum)0 : CStringGetTextDatum(value);
}

static Datum uuid_or_null(const pg_uuid_t *value, bool *isnull)
{
    *isnull = value == NULL;
    return value == NULL ? (Datum)0 : UUIDPGetDatum(value);
}

static Datum posting_row(FunctionCallInfo fcinfo, const LedgerDraft *draft, const LedgerClaim *claim,
                         const Posting *posting)
{
    TupleDesc desc = lookup_rowtype_tupdesc(get_fn_expr_rettype(fcinfo->flinfo), -1);
    bool nulls[13] = {false};
    Datum values[13] = {UUIDPGetDatum(&claim->id),
                        CStringGetTextDatum(draft->kind),
                        CStringGetTextDatum(draft->principal),
                        CStringGetTextDatum(draft->key),
                        text_or_null(draft->reference_type, &nulls[4]),
                        uuid_or_null(draft->reference_id, &nulls[5]),
                        uuid_or_null(draft->reverses, &nulls[6]),
                        draft->metadata ? DirectFunctionCall1(jsonb_in, CStringGetDatum(draft->metadata))
                                        : (Datum)0,
                        TimestampTzGetDatum(claim->effective_at),
                        TimestampTzGetDatum(claim->created_at),
                        BoolGetDatum(false),
                        posting_accounts(posting),
                        posting_balances(posting)};
    HeapTuple tuple;

    nulls[7] = draft->metadata == NULL;
    tuple = heap_form_tuple(desc, values, nulls);
    ReleaseTupleDesc(desc);
    return HeapTupleGetDatum(tuple);
}

/* ---- post_transaction ---- */

typedef struct EntryInputs {
    LedgerLeg *legs;
    int count;
} EntryInputs;

static void refuse_entry(const char *what)
{
    ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s", what), hail_field("entries"));
}

static bool is_credit(Datum direction)
{
    text *word = DatumGetTextPP(direction);
    int length = VARSIZE_ANY_EXHDR(word);
    bool credit = length == 6 && memcmp(VARDATA_ANY(word), "credit", 6) == 0;

    if (!credit && (length != 5 || memcmp(VARDATA_ANY(word), "debit", 5) != 0))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("direction must be debit or credit"),
                hail_field("direction"));
    return credit;
}

/* hail.entry_input (account_id, direction, amount) */
static LedgerLeg read_entry(HeapTupleHeader entry, TupleDesc desc)
{
    HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(entry), .t_data = entry};
    Datum values[3];
    bool nulls[3];

    heap_deform_tuple(&tuple, desc, values, nulls);
    if (nulls[0])
        refuse_entry("an entry has no account_id");
    if (nulls[1])
        refuse_entry("an entry has no direction");
    if (nulls[2])
        refuse_entry("an entry has no amount");
    return (LedgerLeg){*DatumGetUUIDP(values[0]), is_credit(values[1]), DatumGetInt64(values[2])};
}

static EntryInputs read_entries(FunctionCallInfo fcinfo, int arg)
{
    ArrayType *array = PG_ARGISNULL(arg) ? NULL : PG_GETARG_ARRAYTYPE_P(arg);
    EntryInputs in = {.count = 0};
    TupleDesc desc;
    Datum *values;
    bool *nulls;
    int n = 0;

    if (array == NULL)
        return in;
    deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &values, &nulls, &n);
    if (n > POSTING_MAX_LEGS)
        refuse_entry("a transaction has between 2 and 256 entries");
    in.legs = palloc(sizeof(LedgerLeg) * Max(n, 1));
    desc = lookup_rowtype_tupdesc(ARR_ELEMTYPE(array), -1);
    for (; in.count < n; in.count++) {
        if (nulls[in.count])
            refuse_entry("an entry is null");
        in.legs[in.count] = read_entry(DatumGetHeapTupleHeader(values[in.count]), desc);
    }
    ReleaseTupleDesc(desc);
    return in;
}

static char *entries_json(const EntryInputs *in)
{
    StringInfoData out;

    initStringInfo(&out);
    appendStringInfoChar(&out, '[');
    for (int i = 0; i < in->count; i++)
        appendStringInfo(&out, "%s[\"%s\", \"%s\", " INT64_FORMAT "]", i > 0 ? ", " : "",
                         uuid_text(&in->legs[i].account), in->legs[i].credit ? "credit" : "debit",
                         in->legs[i].amount);
    appendStringInfoChar(&out, ']');
    return out.data;
}

/* A request that says something else than the rows it leads to. */
static char *draft_request(const LedgerDraft *draft, const EntryInputs *in)
{
    StringInfoData out;

    initStringInfo(&out);
    appendStringInfoChar(&out, '{');
    json_member(&out, "kind", draft->kind);
    json_raw(&out, "entries", entries_json(in));
    json_member(&out, "reference_type", draft->reference_type);
    json_member(&out, "reference_id", draft->reference_id ? uuid_text(draft->reference_id) : NULL);
    json_raw(&out, "metadata", draft->metadata);
    appendStringInfoChar(&out, '}');
    return out.data;
}

/* The legs; an account that appears twice is one, so that the decision sees it. Accounts are not locked yet.
 */
static Posting shape_posting(const EntryInputs *in)
{
    Posting posting = {.legs = palloc0(sizeof(PostingLeg) * Max(in->count, 1)),
                       .leg_count = in->count,
                       .account_count = in->count,
                       .hold_account = -1};

    for (int i = 0; i < in->count; i++) {
        posting.legs[i] =
            (PostingLeg){.account = i, .credit = in->legs[i].credit, .amount = in->legs[i].amount};
        for (int j = 0; j < i && posting.legs[i].account == i; j++)
            if (memcmp(&in->legs[i].account, &in->legs[j].account, sizeof(pg_uuid_t)) == 0)
                posting.legs[i].account = j;
    }
    ledger_require(check_shape(&posting));
    return posting;
}

static void lock_posting(Posting *posting, const EntryInputs *in)
{
    pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * in->count);

    for (int i = 0; i < in->count; i++)
        ids[i] = in->legs[i].account;
    posting->accounts = ledger_lock_accounts_if_any(ids, in->count);
}

/* Claim, lock, decide, write; the result in the caller's memory. */
static Datum post_entries(FunctionCallInfo fcinfo, LedgerDraft *draft, const EntryInputs *in)
{
    Posting posting = shape_posting(in);
    LedgerClaim claim;

    draft->legs = in->legs;
    draft->leg_count = in->count;
    claim = ledger_claim(draft);
    if (claim.repeated)
        return first_posting(&claim.id);
    lock_posting(&posting, in);
    ledger_write(&claim.id, &posting);
    return posting_row(fcinfo, draft, &claim, &posting);
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

/* hail.post_transaction(kind, entries, idempotency_key, reference_type, reference_id, metadata, effective_at)
 */
Datum hail_post_transaction(PG_FUNCTION_ARGS)
{
    LedgerDraft draft;
    EntryInputs in;
    TimestampTz effective_at;
    const char *key;

    hail_require_admin();
    key = key_argument(fcinfo, 2); /* before the rest: members below are made in any order */
    draft = (LedgerDraft){.kind = kind_argument(fcinfo, 0),
                          .principal = ledger_caller_principal(),
                          .key = key,
                          .reference_type = text_argument(fcinfo, 3),
                          .reference_id = uuid_argument(fcinfo, 4),
                          .metadata = json_argument(fcinfo, 5)};
    if (!PG_ARGISNULL(6)) {
        effective_at = PG_GETARG_TIMESTAMPTZ(6);
        ledger_require(check_effective(effective_at, hail_now()));
        draft.effective_at = &effective_at;
    }
    in = read_entries(fcinfo, 1);
    PG_RETURN_DATUM(post_entries(fcinfo, &draft, &in));
}

/* ---- reversal ---- */

static HailStatement lock_transaction = {
    "SELECT t.reverses IS NOT NULL, t.principal = 'system' AND t.kind NOT IN ('chargeback', 'gateway_fee')"
    " FROM hail.ledger_transactions t WHERE t.id = $1 FOR NO KEY UPDATE",
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
    /* Its trip, payment or withdrawal would not know, and give the money back once more. */
    if (DatumGetBool(hail_result(0, 2, &isnull)))
        ereport(
            ERROR, hail_error(HAIL_WRONG_STATE),
            errmsg("what a trip, a payment or a withdrawal has posted is not reversed"),
            hail_field("transaction_id"),
            errhint("Refund it: hail.refund_trip(), hail.refund_deposit(), hail.return_withdrawal(); or post "
                    "a correction."));
    if (hail_execute(&find_reversal, &arg, NULL, false, 1) == 1 &&
        (strcmp(TextDatumGetCString(hail_result(0, 1, &isnull)), principal) != 0 ||
         strcmp(TextDatumGetCString(hail_result(0, 2, &isnull)), key) != 0))
        ereport(ERROR, hail_error(HAIL_ALREADY_EXISTS), errmsg("transaction is reversed already"));
}

static EntryInputs opposite_entries(const pg_uuid_t *id, MemoryContext memory)
{
    EntryInputs in;
    bool isnull;

    in.count = (int)hail_execute(&read_opposite, (Datum[]){UUIDPGetDatum(id)}, NULL, false, 0);
    in.legs = MemoryContextAlloc(memory, sizeof(LedgerLeg) * Max(in.count, 1));
    for (int i = 0; i < in.count; i++)
        in.legs[i] =
            (LedgerLeg){*DatumGetUUIDP(hail_result(i, 1, &isnull)), DatumGetBool(hail_result(i, 2, &isnull)),
                        DatumGetInt64(hail_result(i, 3, &isnull))};
    return in;
}

/* hail.reverse_transaction(transaction_id, idempotency_key, metadata) */
Datum hail_reverse_transaction(PG_FUNCTION_ARGS)
{
    MemoryContext memory = CurrentMemoryContext;
    LedgerDraft draft;
    EntryInputs in;

    hail_require_admin();
    draft = (LedgerDraft){.kind = "reversal",
                          .principal = ledger_caller_principal(),
                          .key = key_argument(fcinfo, 1),
                          .reverses = required_uuid(fcinfo, 0, "transaction_id"),
                          .metadata = json_argument(fcinfo, 2)};
    SPI_connect();
    require_reversible(draft.reverses, draft.principal, draft.key);
    in = opposite_entries(draft.reverses, memory);
    SPI_finish();
    PG_RETURN_DATUM(post_entries(fcinfo, &draft, &in));
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
    id = place_hold(fcinfo, ledger_caller_principal(), "account_id");
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

static Posting capture_hold(const LedgerClaim *claim, const pg_uuid_t *hold_id, const EntryInputs *in)
{
    Posting posting = shape_posting(in);
    LedgerHold hold;

    lock_posting(&posting, in);
    if (!ledger_lock_hold(hold_id, &hold) || !hold.open)
        refuse_resolved();
    if (posting.legs[0].amount == 0) /* the whole */
        posting.legs[0].amount = posting.legs[1].amount = hold.amount;
    if (posting.legs[0].amount > hold.amount)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("amount is above the hold"),
                hail_field("amount"));
    posting.hold_account = 0;
    posting.hold_amount = hold.amount;
    ledger_close_hold(&hold, "captured", posting.legs[0].amount);
    ledger_write(&claim->id, &posting);
    return posting;
}

static Datum post_capture(FunctionCallInfo fcinfo, const LedgerDraft *draft, const pg_uuid_t *hold_id,
                          const EntryInputs *in)
{
    LedgerClaim claim = ledger_claim(draft);
    Posting posting;

    if (claim.repeated)
        return SPI_datumTransfer(first_posting(&claim.id), false, -1);
    posting = capture_hold(&claim, hold_id, in);
    return SPI_datumTransfer(posting_row(fcinfo, draft, &claim, &posting), false, -1);
}

/* hail.capture(hold_id, to_account, idempotency_key, amount, metadata) */
Datum hail_capture(PG_FUNCTION_ARGS)
{
    int64 amount = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3);
    pg_uuid_t *hold_id;
    LedgerLeg legs[2] = {{.credit = false, .amount = amount}, {.credit = true, .amount = amount}};
    EntryInputs in = {legs, 2};
    LedgerDraft draft;
    Datum row;

    hail_require_admin();
    hold_id = required_uuid(fcinfo, 0, "hold_id");
    legs[1].account = *required_uuid(fcinfo, 1, "to_account");
    if (!PG_ARGISNULL(3))
        ledger_require(check_amount(amount));
    draft = (LedgerDraft){.kind = "capture",
                          .principal = ledger_caller_principal(),
                          .key = key_argument(fcinfo, 2),
                          .reference_type = "hold",
                          .reference_id = hold_id,
                          .metadata = json_argument(fcinfo, 4),
                          .legs = legs,
                          .leg_count = 2};
    SPI_connect();
    legs[0].account = account_of_hold(hold_id);
    if (amount == 0) /* the rows will not say that the whole was asked for */
        draft.request = draft_request(&draft, &in);
    row = post_capture(fcinfo, &draft, hold_id, &in);
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

/* Wallets that somebody has locked are passed over: one open transaction must not keep the others' money. */
static HailStatement expired_holds = {
    "SELECT h.id, h.account_id FROM hail.holds h JOIN hail.accounts a ON a.id = h.account_id"
    " WHERE h.status = 'held' AND h.expires_at <= $1"
    " ORDER BY h.account_id, h.id LIMIT $2 FOR NO KEY UPDATE OF a SKIP LOCKED",
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
