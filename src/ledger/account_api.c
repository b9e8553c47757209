/* SQL entry points about single accounts: their balance. */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/uuid.h"

#include "base/error.h"
#include "identity/session.h"
#include "ledger/store.h"

PG_FUNCTION_INFO_V1(hail_balance);

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
