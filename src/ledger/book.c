/* The ledger's tables; see book.h. Every write goes through ledger_execute(), which opens the guards. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/statement.h"
#include "base/uuid7.h"
#include "ledger/book.h"
#include "ledger/guards.h"

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

static Datum optional_json(const char *value, char *null)
{
    *null = value == NULL ? 'n' : ' ';
    return value == NULL ? (Datum)0 : DirectFunctionCall1(jsonb_in, CStringGetDatum(value));
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

static HailStatement insert_transaction = {
    "INSERT INTO hail.ledger_transactions AS t (id, kind, principal, idempotency_key, request, "
    "reference_type,"
    " reference_id, reverses, metadata, effective_at, created_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)"
    " ON CONFLICT (principal, idempotency_key) DO NOTHING RETURNING t",
    10,
    {UUIDOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, UUIDOID, UUIDOID, JSONBOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static HailStatement find_transaction = {"SELECT t.id, t.request = $3, t FROM hail.ledger_transactions t"
                                         " WHERE t.principal = $1 AND t.idempotency_key = $2",
                                         3,
                                         {TEXTOID, TEXTOID, JSONBOID},
                                         HAIL_BY_KEY};

static LedgerClaim first_claim(Datum principal, Datum key, Datum request)
{
    LedgerClaim claim = {.repeated = true};
    bool isnull;

    if (hail_execute(&find_transaction, (Datum[]){principal, key, request}, NULL, false, 1) != 1)
        ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                errmsg("a concurrent transaction has used the same idempotency key"));
    require_same(result_bool(0, 2));
    claim.id = result_uuid(0, 1);
    claim.row = hail_result(0, 3, &isnull);
    return claim;
}

LedgerClaim ledger_claim(const LedgerDraft *draft)
{
    LedgerClaim claim = {.repeated = false};
    char nulls[] = "          ";
    Datum args[10] = {UUIDPGetDatum(&claim.id),
                      CStringGetTextDatum(draft->kind),
                      CStringGetTextDatum(draft->principal),
                      CStringGetTextDatum(draft->key),
                      DirectFunctionCall1(jsonb_in, CStringGetDatum(draft->request)),
                      optional_text(draft->reference_type, &nulls[5]),
                      optional_uuid(draft->reference_id, &nulls[6]),
                      optional_uuid(draft->reverses, &nulls[7]),
                      optional_json(draft->metadata, &nulls[8]),
                      TimestampTzGetDatum(hail_now())};
    bool isnull;

    hail_uuid7(&claim.id);
    if (ledger_execute(&insert_transaction, args, nulls) == 0)
        return first_claim(args[2], args[3], args[4]);
    claim.row = hail_result(0, 1, &isnull);
    return claim;
}

/* ---- accounts ---- */

#define ACCOUNT_COLUMNS "currency, floor, posted, held, closed_at IS NOT NULL"

static HailStatement lock_wallet = {"SELECT " ACCOUNT_COLUMNS
                                    " FROM hail.accounts WHERE id = $1 AND NOT is_system FOR NO KEY UPDATE",
                                    1,
                                    {UUIDOID},
                                    HAIL_BY_KEY};

static HailStatement read_system = {
    "SELECT currency FROM hail.accounts WHERE id = $1 AND is_system", 1, {UUIDOID}, HAIL_BY_KEY};

static HailStatement find_account = {
    "SELECT id FROM hail.accounts WHERE kind = $1 AND owner_id = $2 AND currency = $3",
    3,
    {TEXTOID, UUIDOID, TEXTOID},
    HAIL_BY_KEY};

static HailStatement find_system_account = {
    "SELECT id FROM hail.accounts WHERE kind = $1 AND owner_id IS NULL AND currency = $2",
    2,
    {TEXTOID, TEXTOID},
    HAIL_BY_KEY};

static HailStatement lock_owners_wallet = {
    "SELECT " ACCOUNT_COLUMNS ", id FROM hail.accounts WHERE kind = $1 AND owner_id = $2 AND currency = $3"
    " AND NOT is_system FOR NO KEY UPDATE",
    3,
    {TEXTOID, UUIDOID, TEXTOID},
    HAIL_BY_KEY};

static HailStatement open_account = {
    "SELECT (hail.ensure_account($1, $2, $3)).id", 3, {TEXTOID, UUIDOID, TEXTOID}, HAIL_BY_KEY};

static HailStatement update_wallet = {"UPDATE hail.accounts SET posted = $2, held = $3 WHERE id = $1",
                                      3,
                                      {UUIDOID, INT8OID, INT8OID},
                                      HAIL_BY_KEY};

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

static void read_currency(PostingAccount *account)
{
    bool isnull;

    strlcpy(account->currency, TextDatumGetCString(hail_result(0, 1, &isnull)), sizeof(account->currency));
}

/* ACCOUNT_COLUMNS of the last result. */
static void read_wallet(PostingAccount *account)
{
    bool isnull;

    read_currency(account);
    (void)hail_result(0, 2, &isnull);
    account->has_floor = !isnull;
    account->floor = result_int64(0, 2);
    account->posted = result_int64(0, 3);
    account->held = result_int64(0, 4);
    account->closed = result_bool(0, 5);
}

static bool lock_wallet_row(PostingAccount *account)
{
    if (hail_execute(&lock_wallet, (Datum[]){PointerGetDatum(account->id)}, NULL, false, 1) != 1)
        return false;
    read_wallet(account);
    return true;
}

static void read_system_row(PostingAccount *account)
{
    if (hail_execute(&read_system, (Datum[]){PointerGetDatum(account->id)}, NULL, false, 1) != 1)
        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("account does not exist"),
                hail_field("account_id"));
    read_currency(account);
    account->is_system = true;
    memcpy(hash_search(system_accounts, account->id, HASH_ENTER, NULL), account, sizeof(PostingAccount));
}

static void load_account(PostingAccount *account)
{
    PostingAccount *known = hash_search(system_accounts, account->id, HASH_FIND, NULL);

    if (known != NULL)
        *account = *known;
    else if (!lock_wallet_row(account))
        read_system_row(account);
}

static int compare_accounts(const void *a, const void *b)
{
    return memcmp((*(PostingAccount *const *)a)->id, (*(PostingAccount *const *)b)->id, POSTING_ID_BYTES);
}

PostingAccount *ledger_lock_accounts(const pg_uuid_t *ids, int count)
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
    for (int i = 0; i < count; i++)
        load_account(ordered[i]);
    return accounts;
}

bool ledger_find_account(const char *kind, const pg_uuid_t *owner, const char *currency, pg_uuid_t *id)
{
    Datum k = CStringGetTextDatum(kind), c = CStringGetTextDatum(currency);
    uint64 rows;

    if (owner == NULL)
        rows = hail_execute(&find_system_account, (Datum[]){k, c}, NULL, false, 1);
    else
        rows = hail_execute(&find_account, (Datum[]){k, UUIDPGetDatum(owner), c}, NULL, false, 1);
    if (rows == 1)
        *id = result_uuid(0, 1);
    return rows == 1;
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
    Datum args[3] = {CStringGetTextDatum(kind), UUIDPGetDatum(owner), CStringGetTextDatum(currency)};
    PostingAccount *account = palloc0(sizeof(PostingAccount));
    pg_uuid_t id;

    if (hail_execute(&lock_owners_wallet, args, NULL, false, 1) != 1) {
        id = ledger_account(kind, owner, currency);
        return ledger_lock_accounts(&id, 1);
    }
    read_wallet(account);
    id = result_uuid(0, 6);
    memcpy(account->id, id.data, POSTING_ID_BYTES);
    return account;
}

static void store_wallet(const PostingAccount *account)
{
    Datum args[3] = {PointerGetDatum(account->id), Int64GetDatum(account->posted),
                     Int64GetDatum(account->held)};

    if (ledger_execute(&update_wallet, args, NULL) != 1)
        elog(ERROR, "a locked wallet is gone");
}

static Datum uuid_array(Datum *ids, int count)
{
    return PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static Datum int8_array(Datum *values, int count)
{
    return PointerGetDatum(
        construct_array(values, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* ---- entries ---- */

static HailStatement insert_entries = {
    "INSERT INTO hail.ledger_entries (transaction_id, account_id, amount, direction, currency, balance_after,"
    " created_at) SELECT $1, e.account_id, e.amount, CASE WHEN e.credit THEN 'credit' ELSE 'debit' END, "
    "e.currency,"
    " e.balance_after, $7"
    " FROM unnest($2::uuid[], $3::int8[], $4::bool[], $5::text[], $6::int8[])"
    " AS e (account_id, amount, credit, currency, balance_after)",
    7,
    {UUIDOID, UUIDARRAYOID, INT8ARRAYOID, BOOLARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static void store_entries(const pg_uuid_t *transaction_id, const Posting *posting)
{
    int n = posting->leg_count, lower = 1;
    Datum *columns[5];
    bool *no_balance = palloc(sizeof(bool) * n);
    Datum args[7] = {UUIDPGetDatum(transaction_id)};

    for (int c = 0; c < 5; c++)
        columns[c] = palloc(sizeof(Datum) * n);
    for (int i = 0; i < n; i++) {
        const PostingLeg *leg = &posting->legs[i];
        PostingAccount *account = &posting->accounts[leg->account];

        columns[0][i] = PointerGetDatum(account->id);
        columns[1][i] = Int64GetDatum(leg->amount);
        columns[2][i] = BoolGetDatum(leg->credit);
        columns[3][i] = CStringGetTextDatum(account->currency);
        columns[4][i] = Int64GetDatum(leg->balance_after);
        no_balance[i] = account->is_system;
    }
    args[1] = uuid_array(columns[0], n);
    args[2] = int8_array(columns[1], n);
    args[3] = PointerGetDatum(construct_array(columns[2], n, BOOLOID, 1, true, TYPALIGN_CHAR));
    args[4] = PointerGetDatum(construct_array(columns[3], n, TEXTOID, -1, false, TYPALIGN_INT));
    args[5] = PointerGetDatum(construct_md_array(columns[4], no_balance, 1, &n, &lower, INT8OID,
                                                 sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
    args[6] = TimestampTzGetDatum(hail_now());
    ledger_execute(&insert_entries, args, NULL);
}

void ledger_write(const pg_uuid_t *transaction_id, Posting *posting)
{
    ledger_require(check_posting(posting));
    store_entries(transaction_id, posting);
    for (int i = 0; i < posting->leg_count; i++) {
        const PostingAccount *account = &posting->accounts[posting->legs[i].account];

        if (!account->is_system)
            store_wallet(account);
    }
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
