/* SQL entry points about single accounts: their balance, their end, their floor. */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/statement.h"
#include "identity/session.h"
#include "ledger/book.h"
#include "ledger/guards.h"
#include "ledger/store.h"

PG_FUNCTION_INFO_V1(hail_balance);
PG_FUNCTION_INFO_V1(hail_close_account);
PG_FUNCTION_INFO_V1(hail_reopen_account);
PG_FUNCTION_INFO_V1(hail_set_account_floor);

/* Owners, administrators and analysts may know a balance. */
static bool may_know(const StoreBalance *balance)
{
    HailActor actor = hail_actor();
    static const pg_uuid_t nobody;

    if (actor.role == HAIL_ROLE_ADMIN || actor.role == HAIL_ROLE_ANALYST)
        return true;
    return actor.has_subject && memcmp(&actor.subject, &balance->owner, sizeof(pg_uuid_t)) == 0 &&
           memcmp(&nobody, &balance->owner, sizeof(pg_uuid_t)) != 0;
}

/* The row type of the calling function, kept with it. */
static TupleDesc result_desc(FunctionCallInfo fcinfo)
{
    TupleDesc desc = fcinfo->flinfo->fn_extra;

    if (desc == NULL) {
        MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

        if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "a composite result is expected");
        fcinfo->flinfo->fn_extra = BlessTupleDesc(desc);
        MemoryContextSwitchTo(old);
    }
    return desc;
}

/* hail.balance(account_id): posted, held, available */
Datum hail_balance(PG_FUNCTION_ARGS)
{
    StoreBalance balance;
    int64 available;
    bool nulls[3] = {false};

    if (PG_ARGISNULL(0) || !store_read_balance(PG_GETARG_UUID_P(0), &balance) || !may_know(&balance))
        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("account does not exist"),
                hail_field("account_id"));
    if (__builtin_sub_overflow(balance.posted, balance.held, &available))
        ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("bigint out of range"));
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(
        result_desc(fcinfo),
        (Datum[]){Int64GetDatum(balance.posted), Int64GetDatum(balance.held), Int64GetDatum(available)},
        nulls)));
}

/* ---- closing, reopening, floors ---- */

static HailStatement check_reason = {"SELECT hail.check_reason($1)", 1, {TEXTOID}, 0};

static HailStatement kind_floor = {
    "SELECT k.floor FROM hail.accounts a JOIN hail.account_kinds k ON k.kind = a.kind WHERE a.id = $1",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

static HailStatement set_closed = {
    "UPDATE hail.accounts SET closed_at = $2 WHERE id = $1", 2, {UUIDOID, TIMESTAMPTZOID}, HAIL_BY_KEY};

static HailStatement set_floor = {
    "UPDATE hail.accounts SET floor = $2 WHERE id = $1", 2, {UUIDOID, INT8OID}, HAIL_BY_KEY};

static HailStatement note_change = {
    "INSERT INTO hail.account_changes (account_id, change, old_floor, floor, reason, changed_by, changed_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)",
    7,
    {UUIDOID, TEXTOID, INT8OID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
    0};

static HailStatement read_account = {
    "SELECT a FROM hail.accounts a WHERE a.id = $1", 1, {UUIDOID}, HAIL_BY_KEY};

/* A floor, or none. */
typedef struct Floor {
    bool set;
    int64 value;
} Floor;

/* Arguments 0 and `reason`: the wallet, locked. Administrators only. Inside SPI. */
static PostingAccount *lock_wallet(FunctionCallInfo fcinfo, int reason)
{
    Datum why = PG_ARGISNULL(reason) ? (Datum)0 : PG_GETARG_DATUM(reason);
    PostingAccount *account;

    hail_require_admin();
    if (PG_ARGISNULL(0))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("account_id must not be null"),
                hail_field("account_id"));
    hail_execute(&check_reason, &why, PG_ARGISNULL(reason) ? "n" : NULL, true, 1);
    account = ledger_lock_accounts(PG_GETARG_UUID_P(0), 1);
    if (account->is_system)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("system accounts have no end and no floor"),
                hail_field("account_id"));
    return account;
}

static void keep_change(const PostingAccount *account, const char *change, Floor floor, Datum reason)
{
    char nulls[] = "       ";
    Datum args[7] = {PointerGetDatum(account->id),
                     CStringGetTextDatum(change),
                     Int64GetDatum(account->floor),
                     Int64GetDatum(floor.value),
                     reason,
                     CStringGetTextDatum(ledger_caller_principal()),
                     TimestampTzGetDatum(hail_now())};

    nulls[2] = account->has_floor ? ' ' : 'n';
    nulls[3] = floor.set ? ' ' : 'n';
    hail_execute(&note_change, args, nulls, false, 0);
}

static Datum account_row(const PostingAccount *account)
{
    bool isnull;

    if (hail_execute(&read_account, (Datum[]){PointerGetDatum(account->id)}, NULL, false, 1) != 1)
        elog(ERROR, "a locked account is gone");
    return SPI_datumTransfer(hail_result(0, 1, &isnull), false, -1);
}

static void write_closed(const PostingAccount *account, bool closed, Datum reason)
{
    Datum args[2] = {PointerGetDatum(account->id), TimestampTzGetDatum(hail_now())};

    ledger_execute(&set_closed, args, closed ? NULL : " n");
    keep_change(account, closed ? "closed" : "reopened", (Floor){account->has_floor, account->floor}, reason);
}

static Datum close_or_reopen(FunctionCallInfo fcinfo, bool close)
{
    PostingAccount *account;
    Datum row;

    SPI_connect();
    account = lock_wallet(fcinfo, 1);
    if (close && (account->posted != 0 || account->held != 0))
        ereport(ERROR, hail_error(HAIL_WRONG_STATE), errmsg("the wallet is not empty"),
                errhint("Pay out what is posted, collect what is owed and release holds first."));
    if (account->closed != close)
        write_closed(account, close, PG_GETARG_DATUM(1));
    row = account_row(account);
    SPI_finish();
    return row;
}

/* hail.close_account(account_id, reason) */
Datum hail_close_account(PG_FUNCTION_ARGS)
{
    PG_RETURN_DATUM(close_or_reopen(fcinfo, true));
}

/* hail.reopen_account(account_id, reason) */
Datum hail_reopen_account(PG_FUNCTION_ARGS)
{
    PG_RETURN_DATUM(close_or_reopen(fcinfo, false));
}

static Floor floor_of_kind(const PostingAccount *account)
{
    bool isnull = true;
    Floor floor = {false, 0};

    if (hail_execute(&kind_floor, (Datum[]){PointerGetDatum(account->id)}, NULL, false, 1) == 1)
        floor.value = DatumGetInt64(hail_result(0, 1, &isnull));
    floor.set = !isnull;
    return floor;
}

static void check_new_floor(const PostingAccount *account, Floor floor, Floor least)
{
    bool raised = floor.set && (!account->has_floor || floor.value > account->floor);
    int64 available;

    if (account->closed)
        ereport(ERROR, hail_error(HAIL_ACCOUNT_CLOSED), errmsg("account is closed"),
                hail_field("account_id"));
    if (floor.value < -POSTING_MAX_AMOUNT || floor.value > POSTING_MAX_AMOUNT)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("floor must be between -2^53 and 2^53"),
                hail_field("floor"));
    if (least.set && floor.value < least.value)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("floor is below that of the kind of account"),
                hail_field("floor"), errhint("See hail.account_kinds."));
    if (raised &&
        (__builtin_sub_overflow(account->posted, account->held, &available) || available < floor.value))
        ereport(ERROR, hail_error(HAIL_INSUFFICIENT_BALANCE), errmsg("less is available than the new floor"),
                hail_field("floor"));
}

/* hail.set_account_floor(account_id, floor, reason) */
Datum hail_set_account_floor(PG_FUNCTION_ARGS)
{
    PostingAccount *account;
    Floor floor, least;
    Datum row;

    SPI_connect();
    account = lock_wallet(fcinfo, 2);
    least = floor_of_kind(account);
    floor = PG_ARGISNULL(1) ? least : (Floor){true, PG_GETARG_INT64(1)};
    check_new_floor(account, floor, least);
    if (floor.set != account->has_floor || (floor.set && floor.value != account->floor)) {
        Datum args[2] = {PointerGetDatum(account->id), Int64GetDatum(floor.value)};

        ledger_execute(&set_floor, args, floor.set ? NULL : " n");
        keep_change(account, "floor", floor, PG_GETARG_DATUM(2));
    }
    row = account_row(account);
    SPI_finish();
    PG_RETURN_DATUM(row);
}
