/* hail.post_transactions(): unpack, authorise, batch.c, rows. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "identity/session.h"
#include "ledger/batch.h"

/* An array argument taken apart. */
typedef struct Column {
    Datum *values;
    bool *nulls;
    int count; /* 0: not given */
} Column;

enum {
    ARG_KEYS,
    ARG_KINDS,
    ARG_ITEMS,
    ARG_ACCOUNTS,
    ARG_AMOUNTS,
    ARG_TYPES,
    ARG_REFERENCES,
    ARG_METADATA,
    ARG_TIMES,
    ARG_APART
};

static const char *const names[] = {"keys",          "kinds",    "items",
                                    "accounts",      "amounts",  "reference_types",
                                    "reference_ids", "metadata", "effective_at"};

static void pg_attribute_noreturn() refuse_column(int arg, const char *what)
{
    ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s %s", names[arg], what), hail_field(names[arg]));
}

static Column read_column(FunctionCallInfo fcinfo, int arg, Oid type, int length, bool byval, char align)
{
    Column column = {.count = 0};
    ArrayType *array;

    if (PG_ARGISNULL(arg))
        return column;
    array = PG_GETARG_ARRAYTYPE_P(arg);
    if (ARR_NDIM(array) > 1)
        refuse_column(arg, "must have one dimension");
    deconstruct_array(array, type, length, byval, align, &column.values, &column.nulls, &column.count);
    return column;
}

static Column read_optional(FunctionCallInfo fcinfo, int arg, Oid type, int length, bool byval, char align,
                            int count)
{
    Column column = read_column(fcinfo, arg, type, length, byval, align);

    if (column.count != 0 && column.count != count)
        refuse_column(arg, "must be as many as keys, or not given");
    return column;
}

static bool given(const Column *column, int i)
{
    return column->count > 0 && !column->nulls[i];
}

/* ---- the transactions ---- */

static void read_items(FunctionCallInfo fcinfo, BatchItem *items, const Column *keys)
{
    int n = keys->count;
    Column kinds = read_column(fcinfo, ARG_KINDS, TEXTOID, -1, false, TYPALIGN_INT);
    Column types = read_optional(fcinfo, ARG_TYPES, TEXTOID, -1, false, TYPALIGN_INT, n);
    Column references = read_optional(fcinfo, ARG_REFERENCES, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, n);
    Column metadata = read_optional(fcinfo, ARG_METADATA, JSONBOID, -1, false, TYPALIGN_INT, n);
    Column times = read_optional(fcinfo, ARG_TIMES, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, n);
    const char *principal = ledger_caller_principal();

    if (kinds.count != 1 && kinds.count != n)
        refuse_column(ARG_KINDS, "must be one for all, or as many as keys");
    for (int i = 0; i < n; i++) {
        LedgerDraft *draft = &items[i].draft;
        int kind = kinds.count == 1 ? 0 : i;

        draft->principal = principal;
        draft->key = given(keys, i) ? TextDatumGetCString(keys->values[i]) : "";
        draft->kind = given(&kinds, kind) ? TextDatumGetCString(kinds.values[kind]) : "";
        draft->reference_type = given(&types, i) ? TextDatumGetCString(types.values[i]) : NULL;
        draft->reference_id = given(&references, i) ? DatumGetUUIDP(references.values[i]) : NULL;
        if (given(&metadata, i))
            draft->metadata = JsonbToCString(NULL, &DatumGetJsonbP(metadata.values[i])->root,
                                             VARSIZE(DatumGetJsonbP(metadata.values[i])));
        if (given(&times, i)) {
            TimestampTz *at = palloc(sizeof(TimestampTz));

            *at = DatumGetTimestampTz(times.values[i]);
            draft->effective_at = at;
        }
    }
}

/* ---- their entries ---- */

/* Credits above 0, debits below; what has no opposite is no amount. */
static LedgerLeg leg_of(Datum account, int64 amount)
{
    LedgerLeg leg = {*DatumGetUUIDP(account), amount > 0, amount};

    if (amount < 0)
        leg.amount = amount == PG_INT64_MIN ? 0 : -amount;
    return leg;
}

static void read_legs(FunctionCallInfo fcinfo, BatchItem *items, int count)
{
    Column of = read_column(fcinfo, ARG_ITEMS, INT4OID, 4, true, TYPALIGN_INT);
    Column accounts = read_column(fcinfo, ARG_ACCOUNTS, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
    Column amounts = read_column(fcinfo, ARG_AMOUNTS, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
    LedgerLeg *legs = palloc(sizeof(LedgerLeg) * Max(of.count, 1));
    int before = 1;

    if (accounts.count != of.count)
        refuse_column(ARG_ACCOUNTS, "must be as many as items");
    if (amounts.count != of.count)
        refuse_column(ARG_AMOUNTS, "must be as many as items");
    for (int i = 0; i < of.count; i++) {
        int item = of.nulls[i] ? 0 : DatumGetInt32(of.values[i]);

        if (item < before || item > count)
            refuse_column(ARG_ITEMS, "must be positions in keys, from 1, in ascending order");
        if (accounts.nulls[i])
            refuse_column(ARG_ACCOUNTS, "must not be null");
        if (amounts.nulls[i])
            refuse_column(ARG_AMOUNTS, "must not be null");
        before = item;
        legs[i] = leg_of(accounts.values[i], DatumGetInt64(amounts.values[i]));
        if (items[item - 1].draft.leg_count++ == 0)
            items[item - 1].draft.legs = &legs[i];
    }
}

static int compare_accounts(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(pg_uuid_t));
}

/* Key, kind, time, number of entries, no account twice: what is asked before anything is looked at. */
static PostingVerdict check_item(const LedgerDraft *draft, TimestampTz now)
{
    int n = draft->leg_count;
    PostingLeg *legs = palloc0(sizeof(PostingLeg) * Max(n, 1));
    Posting posting = {.legs = legs, .leg_count = n};
    PostingVerdict verdict = check_key(draft->key);

    if (verdict.message == NULL)
        verdict = check_kind(draft->kind);
    if (verdict.message == NULL && draft->effective_at != NULL)
        verdict = check_effective(*draft->effective_at, now);
    for (int i = 0; i < n && n <= POSTING_MAX_LEGS; i++) {
        legs[i].account = i;
        for (int j = 0; j < i && legs[i].account == i; j++)
            if (compare_accounts(&draft->legs[i].account, &draft->legs[j].account) == 0)
                legs[i].account = j;
    }
    if (verdict.message == NULL)
        verdict = check_shape(&posting);
    return verdict;
}

/* ---- the answer ---- */

static Datum balances_of(const BatchItem *item)
{
    int n = item->draft.leg_count, lower = 1;
    Datum *values = palloc(sizeof(Datum) * n);
    bool *nulls = palloc(sizeof(bool) * n);

    for (int i = 0; i < n; i++) {
        values[i] = Int64GetDatum(item->legs[i].balance_after);
        nulls[i] = !item->legs[i].has_balance;
    }
    return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, INT8OID, sizeof(int64),
                                              FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void answer_item(ReturnSetInfo *rsinfo, const BatchItem *item, int number)
{
    bool refused = item->verdict.message != NULL, known = !refused && !item->claim.repeated;
    bool nulls[7] = {
        false, refused, refused, !known, !refused, !refused, !refused || item->verdict.field == NULL};
    Datum values[7] = {Int32GetDatum(number), UUIDPGetDatum(&item->claim.id),
                       BoolGetDatum(item->claim.repeated), known ? balances_of(item) : (Datum)0};

    if (refused) {
        values[4] = CStringGetTextDatum(hail_error_rows[item->verdict.error].code);
        values[5] = CStringGetTextDatum(item->verdict.message);
        if (item->verdict.field != NULL)
            values[6] = CStringGetTextDatum(item->verdict.field);
    }
    tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(hail_post_transactions);

/* hail.post_transactions(keys, kinds, items, accounts, amounts, reference_types, reference_ids, metadata,
 * effective_at, apart) */
Datum hail_post_transactions(PG_FUNCTION_ARGS)
{
    bool apart = !PG_ARGISNULL(ARG_APART) && PG_GETARG_BOOL(ARG_APART);
    TimestampTz now = hail_now();
    Column keys;
    BatchItem *items;

    hail_require_admin();
    keys = read_column(fcinfo, ARG_KEYS, TEXTOID, -1, false, TYPALIGN_INT);
    if (keys.count > BATCH_MAX_ITEMS)
        refuse_column(ARG_KEYS, "are more than 10000");
    items = palloc0(sizeof(BatchItem) * Max(keys.count, 1));
    read_items(fcinfo, items, &keys);
    read_legs(fcinfo, items, keys.count);
    for (int i = 0; i < keys.count; i++) {
        items[i].verdict = check_item(&items[i].draft, now);
        if (!apart)
            ledger_require(items[i].verdict);
    }
    InitMaterializedSRF(fcinfo, 0);
    batch_post(items, keys.count, apart);
    for (int i = 0; i < keys.count; i++)
        answer_item((ReturnSetInfo *)fcinfo->resultinfo, &items[i], i + 1);
    return (Datum)0;
}
