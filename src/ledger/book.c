/*
 * The ledger's tables; see book.h. Transactions, entries and balances go through store.h and are noted here
 * for the guards; holds are written by statements, through ledger_execute().
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/owner.h"
#include "base/statement.h"
#include "base/uuid7.h"
#include "ledger/book.h"
#include "ledger/guards.h"
#include "ledger/store.h"

void ledger_require(PostingVerdict verdict)
{
    if (verdict.message != NULL)
        ereport(ERROR, hail_error(verdict.error), errmsg("%s", verdict.message),
                verdict.field ? hail_field(verdict.field) : 0,
                verdict.hint ? errhint("%s", verdict.hint) : 0);
}

static Datum optional_text(const char *value, char *null)
{
    *null = value == NULL ? 'n' : ' ';
    return value == NULL ? (Datum)0 : CStringGetTextDatum(value);
}

static Datum optional_uuid(const pg_uuid_t *value, char *null)
{
    *null = value == NULL ? 'n' : ' ';
    return value == NULL ? (Datum)0 : UUIDPGetDatum(value);
}

static Datum json_datum(const char *value)
{
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(value));
}

static Datum optional_json(const char *value, char *null)
{
    *null = value == NULL ? 'n' : ' ';
    return value == NULL ? (Datum)0 : json_datum(value);
}

static pg_uuid_t result_uuid(uint64 row, int col)
{
    bool isnull;

    return *DatumGetUUIDP(hail_result(row, col, &isnull));
}

static int64 result_int64(uint64 row, int col)
{
    bool isnull;
    Datum value = hail_result(row, col, &isnull);

    return isnull ? 0 : DatumGetInt64(value);
}

static bool result_bool(uint64 row, int col)
{
    bool isnull;
    Datum value = hail_result(row, col, &isnull);

    return !isnull && DatumGetBool(value);
}

static void require_same(bool same)
{
    if (!same)
        ereport(ERROR, hail_error(HAIL_IDEMPOTENCY_MISMATCH),
                errmsg("idempotency key was used for another request"), hail_field("idempotency_key"),
                errhint("Use a new key for a new request."));
}

/* ---- transactions ---- */

static HailStatement find_transaction = {
    "SELECT t.id, t.request = $3, t.request IS NULL AND t.kind = $4 AND t.reference_type IS NOT DISTINCT "
    "FROM $5"
    " AND t.reference_id IS NOT DISTINCT FROM $6 AND t.reverses IS NOT DISTINCT FROM $7"
    " AND t.metadata IS NOT DISTINCT FROM $8 AND t.effective_at = coalesce($9, t.created_at),"
    " t.effective_at, t.created_at"
    " FROM hail.ledger_transactions t WHERE t.principal = $1 AND t.idempotency_key = $2",
    9,
    {TEXTOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID, UUIDOID, UUIDOID, JSONBOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static HailStatement find_legs = {"SELECT e.account_id, e.direction = 'credit', e.amount FROM "
                                  "hail.ledger_entries e WHERE e.transaction_id = $1",
                                  1,
                                  {UUIDOID},
                                  HAIL_BY_KEY};

/* Are these the entries of the transaction, in any order? An account is in it once. */
static bool same_legs(const pg_uuid_t *id, const LedgerDraft *draft)
{
    int found = (int)hail_execute(&find_legs, (Datum[]){UUIDPGetDatum(id)}, NULL, false, 0), matched = 0;

    for (int i = 0; i < found; i++) {
        pg_uuid_t account = result_uuid(i, 1);

        for (int j = 0; j < draft->leg_count; j++)
            if (memcmp(&draft->legs[j].account, &account, sizeof(account)) == 0 &&
                draft->legs[j].credit == result_bool(i, 2) && draft->legs[j].amount == result_int64(i, 3))
                matched++;
    }
    return matched == found && matched == draft->leg_count;
}

/* The transaction that has used the draft's key. Inside SPI. */
static bool read_claim(const LedgerDraft *draft, LedgerClaim *claim, bool *same)
{
    char nulls[] = "         ";
    Datum args[9] = {CStringGetTextDatum(draft->principal),
                     CStringGetTextDatum(draft->key),
                     optional_json(draft->request, &nulls[2]),
                     CStringGetTextDatum(draft->kind),
                     optional_text(draft->reference_type, &nulls[4]),
                     optional_uuid(draft->reference_id, &nulls[5]),
                     optional_uuid(draft->reverses, &nulls[6]),
                     optional_json(draft->metadata, &nulls[7]),
                     draft->effective_at ? TimestampTzGetDatum(*draft->effective_at) : (Datum)0};

    if (draft->effective_at == NULL)
        nulls[8] = 'n';
    if (hail_execute(&find_transaction, args, nulls, false, 1) != 1)
        return false;
    *same = result_bool(0, draft->request ? 2 : 3);
    *claim = (LedgerClaim){.id = result_uuid(0, 1),
                           .repeated = true,
                           .effective_at = result_int64(0, 4),
                           .created_at = result_int64(0, 5)};
    if (*same && draft->request == NULL)
        *same = same_legs(&claim->id, draft);
    return true;
}

bool ledger_find_claim(const LedgerDraft *draft, LedgerClaim *claim, bool *same)
{
    HailOwner saved = hail_owner_begin();
    bool found = read_claim(draft, claim, same);

    hail_owner_end(saved);
    return found;
}

static LedgerClaim first_claim(const LedgerDraft *draft)
{
    LedgerClaim claim;
    bool same;

    if (!ledger_find_claim(draft, &claim, &same))
        ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                errmsg("a concurrent transaction has used the same idempotency key"));
    require_same(same);
    return claim;
}

void ledger_fill_transaction(int n, const LedgerDraft *draft, const LedgerClaim *claim)
{
    StoreTable *table = &store_transactions;
    TupleTableSlot *slot = store_blank(table, n);

    store_set(table, slot, TRANSACTION_ID, UUIDPGetDatum(&claim->id));
    store_set(table, slot, TRANSACTION_KIND, CStringGetTextDatum(draft->kind));
    store_set(table, slot, TRANSACTION_PRINCIPAL, CStringGetTextDatum(draft->principal));
    store_set(table, slot, TRANSACTION_KEY, CStringGetTextDatum(draft->key));
    if (draft->request != NULL)
        store_set(table, slot, TRANSACTION_REQUEST, json_datum(draft->request));
    if (draft->reference_type != NULL)
        store_set(table, slot, TRANSACTION_REFERENCE_TYPE, CStringGetTextDatum(draft->reference_type));
    if (draft->reference_id != NULL)
        store_set(table, slot, TRANSACTION_REFERENCE_ID, UUIDPGetDatum(draft->reference_id));
    if (draft->reverses != NULL)
        store_set(table, slot, TRANSACTION_REVERSES, UUIDPGetDatum(draft->reverses));
    if (draft->metadata != NULL)
        store_set(table, slot, TRANSACTION_METADATA, json_datum(draft->metadata));
    store_set(table, slot, TRANSACTION_EFFECTIVE_AT, TimestampTzGetDatum(claim->effective_at));
    store_set(table, slot, TRANSACTION_CREATED_AT, TimestampTzGetDatum(claim->created_at));
    store_set(table, slot, TRANSACTION_XID, FullTransactionIdGetDatum(GetTopFullTransactionId()));
}

LedgerClaim ledger_claim(const LedgerDraft *draft)
{
    LedgerClaim claim = {.created_at = hail_now()};
    bool claimed;

    claim.effective_at = draft->effective_at ? *draft->effective_at : claim.created_at;
    hail_uuid7(&claim.id);
    store_open(&store_transactions);
    ledger_fill_transaction(0, draft, &claim);
    claimed = store_claim(&store_transactions, 0);
    store_close(&store_transactions);
    if (!claimed)
        return first_claim(draft);
    ledger_note_transaction(&claim.id);
    return claim;
}

/* ---- accounts ---- */

static HailStatement open_account = {
    "SELECT (hail.ensure_account($1, $2, $3)).id", 3, {TEXTOID, UUIDOID, TEXTOID}, HAIL_BY_KEY};

/*
 * System accounts met by this backend. What a posting must know of them never changes (they are not closed,
 * and the guards keep the rest), so they are read once; the id of one that was rolled back is never seen
 * again.
 */
static HTAB *system_accounts = NULL;

static void init_system_accounts(void)
{
    HASHCTL control = {
        .keysize = POSTING_ID_BYTES, .entrysize = sizeof(PostingAccount), .hcxt = TopMemoryContext};

    system_accounts =
        hash_create("hail system accounts", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void read_account(PostingAccount *account, StoreRow *row)
{
    StoreTable *table = &store_accounts;
    bool isnull;

    text_to_cstring_buffer(DatumGetTextPP(store_get(table, row->tuple, ACCOUNT_CURRENCY, &isnull)),
                           account->currency, sizeof(account->currency));
    account->is_system = DatumGetBool(store_get(table, row->tuple, ACCOUNT_IS_SYSTEM, &isnull));
    if (account->is_system) { /* posted is what is folded, which is no business of a posting */
        memcpy(hash_search(system_accounts, account->id, HASH_ENTER, NULL), account, sizeof(PostingAccount));
        return;
    }
    account->row = row;
    account->floor = DatumGetInt64(store_get(table, row->tuple, ACCOUNT_FLOOR, &isnull));
    account->has_floor = !isnull;
    account->posted = DatumGetInt64(store_get(table, row->tuple, ACCOUNT_POSTED, &isnull));
    account->held = DatumGetInt64(store_get(table, row->tuple, ACCOUNT_HELD, &isnull));
    (void)store_get(table, row->tuple, ACCOUNT_CLOSED_AT, &isnull);
    account->closed = !isnull;
}

/* Of the accounts, which are in the order of their ids: known system accounts are answered, the rest is
 * locked. */
static void load_accounts(PostingAccount **accounts, int count)
{
    const pg_uuid_t **ids = palloc(sizeof(pg_uuid_t *) * count);
    StoreRow **rows = palloc(sizeof(StoreRow *) * count), *made = palloc(sizeof(StoreRow) * count);
    int unknown = 0;

    for (int i = 0; i < count; i++) {
        PostingAccount *known = hash_search(system_accounts, accounts[i]->id, HASH_FIND, NULL);

        if (known != NULL) {
            *accounts[i] = *known;
            continue;
        }
        ids[unknown] = (const pg_uuid_t *)accounts[i]->id;
        rows[unknown] = &made[unknown];
        accounts[unknown++] = accounts[i];
    }
    if (unknown == 0)
        return;
    store_open(&store_accounts);
    store_lock_accounts(ids, rows, unknown);
    for (int i = 0; i < unknown; i++) {
        accounts[i]->missing = rows[i]->tuple == NULL;
        if (!accounts[i]->missing)
            read_account(accounts[i], rows[i]);
    }
    store_close(&store_accounts);
}

static int compare_accounts(const void *a, const void *b)
{
    return memcmp((*(PostingAccount *const *)a)->id, (*(PostingAccount *const *)b)->id, POSTING_ID_BYTES);
}

PostingAccount *ledger_lock_accounts_if_any(const pg_uuid_t *ids, int count)
{
    PostingAccount *accounts = palloc0(sizeof(PostingAccount) * Max(count, 1));
    PostingAccount **ordered = palloc(sizeof(PostingAccount *) * Max(count, 1));

    if (system_accounts == NULL)
        init_system_accounts();
    for (int i = 0; i < count; i++) {
        memcpy(accounts[i].id, ids[i].data, POSTING_ID_BYTES);
        ordered[i] = &accounts[i];
    }
    if (count > 1)
        qsort(ordered, count, sizeof(PostingAccount *), compare_accounts);
    load_accounts(ordered, count);
    return accounts;
}

PostingAccount *ledger_lock_accounts(const pg_uuid_t *ids, int count)
{
    PostingAccount *accounts = ledger_lock_accounts_if_any(ids, count);

    for (int i = 0; i < count; i++)
        if (accounts[i].missing)
            ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("account does not exist"),
                    hail_field("account_id"));
    return accounts;
}

bool ledger_find_account(const char *kind, const pg_uuid_t *owner, const char *currency, pg_uuid_t *id)
{
    bool found;

    store_open(&store_accounts);
    found = store_find_account(kind, owner, currency, id);
    store_close(&store_accounts);
    return found;
}

pg_uuid_t ledger_account(const char *kind, const pg_uuid_t *owner, const char *currency)
{
    pg_uuid_t id;
    char nulls[] = "   ";
    Datum args[3] = {CStringGetTextDatum(kind), optional_uuid(owner, &nulls[1]),
                     CStringGetTextDatum(currency)};

    if (ledger_find_account(kind, owner, currency, &id))
        return id;
    hail_execute(&open_account, args, nulls, false, 1);
    return result_uuid(0, 1);
}

PostingAccount *ledger_lock_wallet(const char *kind, const pg_uuid_t *owner, const char *currency)
{
    pg_uuid_t id = ledger_account(kind, owner, currency);

    return ledger_lock_accounts(&id, 1);
}

void ledger_store_balances(const PostingAccount *account)
{
    StoreRow *row = account->row;
    bool isnull;
    int64 posted = DatumGetInt64(store_get(&store_accounts, row->tuple, ACCOUNT_POSTED, &isnull));
    int64 held = DatumGetInt64(store_get(&store_accounts, row->tuple, ACCOUNT_HELD, &isnull));

    store_update_account(row, account->posted, account->held);
    ledger_note_account((const pg_uuid_t *)account->id, account->posted - posted, account->held - held);
}

static void store_wallet(const PostingAccount *account)
{
    store_open(&store_accounts);
    ledger_store_balances(account);
    store_close(&store_accounts);
    CommandCounterIncrement();
}

/* ---- entries ---- */

void ledger_fill_entry(int n, int64 id, const pg_uuid_t *transaction_id, const PostingAccount *account,
                       const PostingLeg *leg, TimestampTz now)
{
    static Datum words[2]; /* "debit", "credit" */
    StoreTable *table = &store_entries;
    TupleTableSlot *slot = store_blank(table, n);

    if (words[0] == 0) {
        MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

        words[0] = CStringGetTextDatum("debit");
        words[1] = CStringGetTextDatum("credit");
        MemoryContextSwitchTo(old);
    }
    store_set(table, slot, ENTRY_ID, Int64GetDatum(id));
    store_set(table, slot, ENTRY_TRANSACTION, UUIDPGetDatum(transaction_id));
    store_set(table, slot, ENTRY_ACCOUNT, PointerGetDatum(account->id));
    store_set(table, slot, ENTRY_AMOUNT, Int64GetDatum(leg->amount));
    store_set(table, slot, ENTRY_DIRECTION, words[leg->credit]);
    store_set(table, slot, ENTRY_CURRENCY, CStringGetTextDatum(account->currency));
    if (!account->is_system)
        store_set(table, slot, ENTRY_BALANCE_AFTER, Int64GetDatum(leg->balance_after));
    store_set(table, slot, ENTRY_CREATED_AT, TimestampTzGetDatum(now));
    store_set(table, slot, ENTRY_XID, FullTransactionIdGetDatum(GetTopFullTransactionId()));
}

static int64 signed_amount(const PostingLeg *leg)
{
    return leg->credit ? leg->amount : -leg->amount;
}

void ledger_write(const pg_uuid_t *transaction_id, Posting *posting)
{
    TimestampTz now = hail_now();
    int64 first_id;

    StaticAssertStmt(POSTING_MAX_LEGS <= STORE_ENTRY_IDS, "the entries of a posting have one call's ids");
    ledger_require(check_posting(posting));
    store_open(&store_entries);
    first_id = store_entry_ids();
    for (int i = 0; i < posting->leg_count; i++)
        ledger_fill_entry(i, first_id + i, transaction_id, &posting->accounts[posting->legs[i].account],
                          &posting->legs[i], now);
    store_insert(&store_entries, posting->leg_count);
    store_close(&store_entries);
    for (int i = 0; i < posting->leg_count; i++)
        ledger_note_entry(transaction_id, posting->accounts[posting->legs[i].account].currency,
                          signed_amount(&posting->legs[i]));
    store_open(&store_accounts);
    for (int i = 0; i < posting->leg_count; i++) {
        const PostingAccount *account = &posting->accounts[posting->legs[i].account];

        if (account->is_system)
            continue;
        ledger_note_posted((const pg_uuid_t *)account->id, signed_amount(&posting->legs[i]));
        ledger_store_balances(account);
    }
    store_close(&store_accounts);
    CommandCounterIncrement();
}

/* ---- holds ---- */

static HailStatement lock_hold = {
    "SELECT id, account_id, amount, status = 'held' FROM hail.holds WHERE id = $1"
    " FOR NO KEY UPDATE",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

static HailStatement find_trip_hold = {
    "SELECT id, account_id, amount, true FROM hail.holds"
    " WHERE reference_id = $1 AND reference_type = 'trip' AND status = 'held'", /* one at most: unique */
    1,
    {UUIDOID},
    HAIL_BY_KEY};

static HailStatement insert_hold = {
    "INSERT INTO hail.holds (id, account_id, amount, principal, idempotency_key, reference_type, "
    "reference_id, ttl,"
    " created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9 + $8)"
    " ON CONFLICT (principal, idempotency_key) DO NOTHING",
    9,
    {UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, UUIDOID, INTERVALOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

/* Without a target: the unique index of open holds of trips decides as well. */
static HailStatement insert_trip_hold = {
    "INSERT INTO hail.holds (id, account_id, amount, principal, idempotency_key, reference_type, "
    "reference_id, created_at) VALUES ($1, $2, $3, $4, $5, 'trip', $6, $7) ON CONFLICT DO NOTHING",
    7,
    {UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, UUIDOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static HailStatement find_hold = {
    "SELECT id, account_id = $2 AND amount = $3 AND reference_type IS NOT DISTINCT FROM $6"
    " AND reference_id IS NOT DISTINCT FROM $7 AND ttl IS NOT DISTINCT FROM $8"
    " FROM hail.holds WHERE principal = $4 AND idempotency_key = $5 AND $1 IS NOT NULL",
    8,
    {UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, UUIDOID, INTERVALOID},
    HAIL_BY_KEY};

static HailStatement close_hold = {
    "UPDATE hail.holds SET status = $2, captured = $3, resolved_at = $4 WHERE id = $1 AND status = 'held'",
    4,
    {UUIDOID, TEXTOID, INT8OID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static LedgerHold read_hold(void)
{
    return (LedgerHold){result_uuid(0, 1), result_uuid(0, 2), result_int64(0, 3), result_bool(0, 4)};
}

bool ledger_lock_hold(const pg_uuid_t *hold_id, LedgerHold *hold)
{
    if (hail_execute(&lock_hold, (Datum[]){UUIDPGetDatum(hold_id)}, NULL, false, 1) != 1)
        return false;
    *hold = read_hold();
    return true;
}

bool ledger_find_trip_hold_unlocked(const pg_uuid_t *trip_id, LedgerHold *hold)
{
    if (hail_execute(&find_trip_hold, (Datum[]){UUIDPGetDatum(trip_id)}, NULL, false, 1) != 1)
        return false;
    *hold = read_hold();
    return true;
}

void ledger_close_hold(const LedgerHold *hold, const char *status, int64 captured)
{
    Datum args[4] = {UUIDPGetDatum(&hold->id), CStringGetTextDatum(status), Int64GetDatum(captured),
                     TimestampTzGetDatum(hail_now())};

    if (ledger_execute(&close_hold, args, NULL) != 1)
        elog(ERROR, "a locked hold is no longer open");
}

/* The hold made by the first request with this key; arguments as for insert_hold. */
static pg_uuid_t first_hold(Datum *args, const char *nulls)
{
    if (hail_execute(&find_hold, args, nulls, false, 1) != 1)
        ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                errmsg("a concurrent transaction has used the same idempotency key"));
    require_same(result_bool(0, 2));
    return result_uuid(0, 1);
}

bool ledger_place_trip_hold(PostingAccount *account, const HoldDraft *draft, bool covered, pg_uuid_t *id)
{
    Datum args[7] = {UUIDPGetDatum(id),
                     PointerGetDatum(account->id),
                     Int64GetDatum(draft->amount),
                     CStringGetTextDatum(draft->principal),
                     CStringGetTextDatum(draft->key),
                     UUIDPGetDatum(draft->reference_id),
                     TimestampTzGetDatum(hail_now())};

    ledger_require(check_amount(draft->amount));
    hail_uuid7(id);
    if (ledger_execute(&insert_trip_hold, args, NULL) == 0)
        return false;
    if (covered)
        account->held += draft->amount;
    else
        ledger_require(check_hold(account, draft->amount));
    store_wallet(account);
    return true;
}

pg_uuid_t ledger_place_hold(PostingAccount *account, const HoldDraft *draft)
{
    pg_uuid_t id;
    char nulls[] = "         ";
    Datum args[9] = {UUIDPGetDatum(&id),
                     PointerGetDatum(account->id),
                     Int64GetDatum(draft->amount),
                     CStringGetTextDatum(draft->principal),
                     CStringGetTextDatum(draft->key),
                     optional_text(draft->reference_type, &nulls[5]),
                     optional_uuid(draft->reference_id, &nulls[6]),
                     IntervalPGetDatum(draft->ttl),
                     TimestampTzGetDatum(hail_now())};

    if (draft->ttl == NULL)
        nulls[7] = 'n';
    ledger_require(check_amount(draft->amount));
    hail_uuid7(&id);
    /* A repeated key is answered before the balance is looked at: it may have gone since. */
    if (ledger_execute(&insert_hold, args, nulls) == 0)
        return first_hold(args, nulls);
    ledger_require(check_hold(account, draft->amount));
    store_wallet(account);
    return id;
}

void ledger_release_hold(PostingAccount *account, const LedgerHold *hold, const char *status)
{
    ledger_close_hold(hold, status, 0);
    account->held -= hold->amount;
    store_wallet(account);
}
