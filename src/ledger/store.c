/*
 * The ledger's way to its tables; see store.h.
 *
 * What an executor makes anew for each statement (descriptions of indexes, compiled constraints and index
 * predicates, slots) is made once per backend and kept until the table changes: a relation cache invalidation
 * marks it, the next store_open() makes it anew. Relations themselves are opened by each call, so that their
 * locks and references belong to the transaction.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/skey.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ledger/store.h"

#define MAX_INDEXES 16

struct StoreTable {
    const char *name;     /* in schema hail */
    bool claimed;         /* its duplicates are answered, by store_claim() */
    const char *sequence; /* of its id; NULL: none */
    bool lazy; /* its rows are updated, mostly heap-only: indexes are opened when they are needed */
    const char *columns[STORE_MAX_COLUMNS];
    Oid types[STORE_MAX_COLUMNS]; /* or a domain of it */

    /* Kept until the table changes. */
    bool current;
    Oid oid, sequence_oid, primary_key;
    MemoryContext memory;
    EState *estate;
    ResultRelInfo *info;
    TupleDesc desc;
    AttrNumber attributes[STORE_MAX_COLUMNS];
    int index_count;
    Oid indexes[MAX_INDEXES];
    TupleTableSlot **slots;
    int slot_count;

    Relation relation; /* while open */
};

StoreTable store_accounts = {
    "accounts",
    false,
    NULL,
    true,
    {"id", "kind", "owner_id", "currency", "is_system", "floor", "posted", "held", "closed_at"},
    {UUIDOID, TEXTOID, UUIDOID, TEXTOID, BOOLOID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID}};

StoreTable store_transactions = {"ledger_transactions",
                                 true,
                                 NULL,
                                 false,
                                 {"id", "kind", "principal", "idempotency_key", "request", "reference_type",
                                  "reference_id", "reverses", "metadata", "effective_at", "created_at",
                                  "xid"},
                                 {UUIDOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, UUIDOID, UUIDOID,
                                  JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID, XID8OID}};

StoreTable store_entries = {
    "ledger_entries",
    false,
    "ledger_entries_id_seq",
    false,
    {"id", "transaction_id", "account_id", "amount", "direction", "currency", "balance_after", "created_at",
     "xid"},
    {INT8OID, UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, XID8OID}};

static StoreTable *const tables[] = {&store_accounts, &store_transactions, &store_entries};

/* ---- keeping ---- */

static void forget_changed(Datum arg, Oid relation)
{
    for (int i = 0; i < (int)lengthof(tables); i++)
        if (relation == InvalidOid || relation == tables[i]->oid)
            tables[i]->current = false;
}

void store_init(void)
{
    CacheRegisterRelcacheCallback(forget_changed, (Datum)0);
}

static void find_columns(StoreTable *table)
{
    for (int c = 0; c < STORE_MAX_COLUMNS && table->columns[c] != NULL; c++) {
        table->attributes[c] = InvalidAttrNumber;
        for (int i = 0; i < table->desc->natts; i++) {
            Form_pg_attribute att = TupleDescAttr(table->desc, i);

            if (!att->attisdropped && strcmp(NameStr(att->attname), table->columns[c]) == 0)
                table->attributes[c] = att->attnum;
        }
        if (table->attributes[c] == InvalidAttrNumber)
            elog(ERROR, "ledger table %s has no column \"%s\"", table->name, table->columns[c]);
        if (getBaseType(TupleDescAttr(table->desc, table->attributes[c] - 1)->atttypid) != table->types[c])
            elog(ERROR, "column \"%s\" of ledger table %s is of another type", table->columns[c],
                 table->name);
    }
}

static Oid relation_named(const char *name)
{
    return RangeVarGetRelid(makeRangeVar("hail", pstrdup(name), -1), NoLock, false);
}

/* The indexes are open now, as the executor opened them. */
static void remember_indexes(StoreTable *table)
{
    table->index_count = table->info->ri_NumIndices;
    if (table->index_count > MAX_INDEXES)
        ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                errmsg("ledger table %s has more than %d indexes", table->name, MAX_INDEXES));
    for (int i = 0; i < table->index_count; i++)
        table->indexes[i] = RelationGetRelid(table->info->ri_IndexRelationDescs[i]);
}

/*
 * Indexes have a lock of their own while they are used: that of the table does not keep all who change them
 * away (ALTER INDEX ... SET TABLESPACE locks the index only).
 */
static void open_indexes(StoreTable *table)
{
    ResultRelInfo *info = table->info;

    for (int i = 0; i < table->index_count; i++) {
        info->ri_IndexRelationDescs[i] = index_open(table->indexes[i], RowExclusiveLock);
        /* An access method's notes may point into the relation of an earlier call. */
        info->ri_IndexRelationInfo[i]->ii_AmCache = NULL;
        info->ri_IndexRelationInfo[i]->ii_Context = CurrentMemoryContext;
    }
}

static void close_indexes(StoreTable *table)
{
    for (int i = 0; i < table->index_count; i++)
        index_close(table->info->ri_IndexRelationDescs[i], RowExclusiveLock);
}

static void keep_table(StoreTable *table)
{
    MemoryContext old;

    if (table->memory != NULL)
        MemoryContextDelete(table->memory);
    table->memory = AllocSetContextCreate(TopMemoryContext, "hail ledger table", ALLOCSET_SMALL_SIZES);
    table->slots = NULL;
    table->slot_count = 0;
    old = MemoryContextSwitchTo(table->memory);
    table->desc = CreateTupleDescCopyConstr(RelationGetDescr(table->relation));
    find_columns(table);
    table->estate = CreateExecutorState();
    table->info = makeNode(ResultRelInfo);
    InitResultRelInfo(table->info, table->relation, 0, NULL, 0);
    ExecOpenIndices(table->info, table->claimed);
    remember_indexes(table);
    ExecCloseIndices(table->info);
    if (!table->lazy)
        open_indexes(table);
    table->primary_key = RelationGetPrimaryKeyIndex(table->relation);
    table->sequence_oid = table->sequence ? relation_named(table->sequence) : InvalidOid;
    MemoryContextSwitchTo(old);
}

void store_open(StoreTable *table)
{
    PreventCommandIfReadOnly("ledger posting");
    PreventCommandIfParallelMode("ledger posting");
    PreventCommandDuringRecovery("ledger posting");
    if (!table->current) {
        table->current = true; /* until something is heard that makes it untrue, perhaps while we read */
        table->oid =
            RangeVarGetRelid(makeRangeVar("hail", pstrdup(table->name), -1), RowExclusiveLock, false);
        table->relation = table_open(table->oid, NoLock);
        PG_TRY();
        {
            keep_table(table);
        }
        PG_CATCH();
        {
            table->current = false;
            PG_RE_THROW();
        }
        PG_END_TRY();
        return;
    }
    table->relation = table_open(table->oid, RowExclusiveLock);
    if (table->current) {
        table->info->ri_RelationDesc = table->relation;
        if (!table->lazy)
            open_indexes(table);
    } else { /* the lock told of a change */
        table_close(table->relation, NoLock);
        store_open(table);
    }
}

void store_close(StoreTable *table)
{
    if (!table->lazy)
        close_indexes(table);
    table_close(table->relation, NoLock);
    table->relation = NULL;
}

/* ---- rows ---- */

TupleTableSlot *store_blank(StoreTable *table, int n)
{
    TupleTableSlot *slot;

    if (n >= table->slot_count) {
        MemoryContext old = MemoryContextSwitchTo(table->memory);
        int count = Max(n + 1, table->slot_count * 2);

        table->slots = table->slots ? repalloc(table->slots, sizeof(TupleTableSlot *) * count)
                                    : palloc(sizeof(TupleTableSlot *) * count);
        for (; table->slot_count < count; table->slot_count++)
            table->slots[table->slot_count] = MakeSingleTupleTableSlot(table->desc, &TTSOpsVirtual);
        MemoryContextSwitchTo(old);
    }
    slot = table->slots[n];
    ExecClearTuple(slot);
    memset(slot->tts_isnull, true, sizeof(bool) * table->desc->natts);
    slot->tts_tableOid = table->oid;
    return slot;
}

void store_set(StoreTable *table, TupleTableSlot *slot, int column, Datum value)
{
    int attribute = table->attributes[column] - 1;

    slot->tts_values[attribute] = value;
    slot->tts_isnull[attribute] = false;
}

Datum store_get(StoreTable *table, HeapTuple tuple, int column, bool *isnull)
{
    return heap_getattr(tuple, table->attributes[column], table->desc, isnull);
}

static void check_row(StoreTable *table, TupleTableSlot *slot)
{
    ExecStoreVirtualTuple(slot);
    if (table->desc->constr != NULL)
        ExecConstraints(table->info, slot, table->estate);
}

void store_insert(StoreTable *table, int count)
{
    CommandId command = GetCurrentCommandId(true);

    for (int i = 0; i < count; i++)
        check_row(table, table->slots[i]);
    if (count == 1)
        table_tuple_insert(table->relation, table->slots[0], command, 0, NULL);
    else
        table_multi_insert(table->relation, table->slots, count, command, 0, NULL);
    for (int i = 0; i < count; i++) {
        ExecInsertIndexTuples(table->info, table->slots[i], table->estate, false, false, NULL, NIL);
        ResetPerTupleExprContext(table->estate);
    }
}

/*
 * Insert into heap and indexes; false, and nothing is left, when a unique index had the key already, or
 * perhaps. The insertion is speculative: were it not, two who meet the same third would wait for each other's
 * remains.
 */
static bool insert_unless_there(StoreTable *table, TupleTableSlot *slot)
{
    TransactionId xid = GetCurrentTransactionId();
    uint32 token = SpeculativeInsertionLockAcquire(xid);
    bool conflict = false;

    table_tuple_insert_speculative(table->relation, slot, GetCurrentCommandId(true), 0, NULL, token);
    ExecInsertIndexTuples(table->info, slot, table->estate, false, true, &conflict, NIL);
    ResetPerTupleExprContext(table->estate);
    table_tuple_complete_speculative(table->relation, slot, token, !conflict);
    SpeculativeInsertionLockRelease(xid);
    return !conflict;
}

bool store_claim(StoreTable *table, int n)
{
    TupleTableSlot *slot = table->slots[n];
    ItemPointerData other;

    check_row(table, slot);
    while (!insert_unless_there(table, slot))
        if (!ExecCheckIndexConstraints(table->info, slot, table->estate, &other, NIL))
            return false; /* else whoever had it was rolled back meanwhile */
    return true;
}

void store_take_out(StoreTable *table, int n)
{
    CommandCounterIncrement(); /* so that the row can be seen */
    simple_table_tuple_delete(table->relation, &table->slots[n]->tts_tid, InvalidSnapshot);
}

int store_claim_many(StoreTable *table, int count, bool *there)
{
    int taken = count;

    for (int i = 0; i < count; i++)
        check_row(table, table->slots[i]);
    table_multi_insert(table->relation, table->slots, count, GetCurrentCommandId(true), 0, NULL);
    for (int i = 0; i < count; i++) {
        bool conflict = false;

        ExecInsertIndexTuples(table->info, table->slots[i], table->estate, false, true, &conflict, NIL);
        ResetPerTupleExprContext(table->estate);
        there[i] = !conflict;
        taken -= conflict;
    }
    for (int i = 0; i < count && taken < count; i++)
        if (!there[i])
            store_take_out(table, i);
    return taken;
}

/* ---- accounts ---- */

/* What is committed now, and what this transaction has done. */
static Snapshot fresh_snapshot(void)
{
    CommandCounterIncrement();
    return RegisterSnapshot(GetTransactionSnapshot());
}

static void pg_attribute_noreturn() refuse_newer(void)
{
    ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
            errmsg("could not serialize access due to concurrent update"));
}

/* Lock the newest version of the row in the slot; false when it was deleted. */
static bool lock_newest(Relation relation, TupleTableSlot *slot, Snapshot snapshot)
{
    ItemPointerData tid = slot->tts_tid;
    TM_FailureData failure;
    uint8 flags = TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;

    if (!IsolationUsesXactSnapshot())
        flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
    switch (table_tuple_lock(relation, &tid, snapshot, slot, GetCurrentCommandId(false),
                             LockTupleNoKeyExclusive, LockWaitBlock, flags, &failure)) {
    case TM_Ok:
        return true;
    case TM_Updated:
        refuse_newer();
    case TM_Deleted:
        if (IsolationUsesXactSnapshot())
            refuse_newer();
        return false;
    default:
        elog(ERROR, "an account could not be locked");
    }
}

void store_lock_accounts(const pg_uuid_t *const *ids, StoreRow **rows, int count)
{
    StoreTable *table = &store_accounts;
    Relation relation = table->relation, index = index_open(table->primary_key, AccessShareLock);
    TupleTableSlot *slot = table_slot_create(relation, NULL);
    Snapshot snapshot = fresh_snapshot();
    IndexScanDesc scan = index_beginscan(relation, index, snapshot, 1, 0);

    for (int i = 0; i < count; i++) {
        ScanKeyData key;
        bool found, isnull;

        ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(ids[i]));
        index_rescan(scan, &key, 1, NULL, 0);
        found = index_getnext_slot(scan, ForwardScanDirection, slot);
        if (found && !DatumGetBool(slot_getattr(slot, table->attributes[ACCOUNT_IS_SYSTEM], &isnull)))
            found = lock_newest(relation, slot, snapshot);
        rows[i]->tuple = found ? ExecCopySlotHeapTuple(slot) : NULL;
        rows[i]->tid = slot->tts_tid;
    }
    index_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    UnregisterSnapshot(snapshot);
    index_close(index, AccessShareLock);
}

bool store_find_account(const char *kind, const pg_uuid_t *owner, const char *currency, pg_uuid_t *id)
{
    StoreTable *table = &store_accounts;
    Relation relation = table->relation;
    Relation index = index_open(relation_named("accounts_kind_owner_id_currency_key"), AccessShareLock);
    TupleTableSlot *slot = table_slot_create(relation, NULL);
    Snapshot snapshot = fresh_snapshot();
    IndexScanDesc scan = index_beginscan(relation, index, snapshot, 3, 0);
    ScanKeyData keys[3];
    bool found, isnull;

    ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(kind));
    if (owner != NULL)
        ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(owner));
    else
        ScanKeyEntryInitialize(&keys[1], SK_ISNULL | SK_SEARCHNULL, 2, InvalidStrategy, InvalidOid,
                               InvalidOid, InvalidOid, (Datum)0);
    ScanKeyInit(&keys[2], 3, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(currency));
    keys[0].sk_collation = index->rd_indcollation[0];
    keys[2].sk_collation = index->rd_indcollation[2];
    index_rescan(scan, keys, 3, NULL, 0);
    found = index_getnext_slot(scan, ForwardScanDirection, slot);
    if (found)
        *id = *DatumGetUUIDP(slot_getattr(slot, table->attributes[ACCOUNT_ID], &isnull));
    index_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    UnregisterSnapshot(snapshot);
    index_close(index, AccessShareLock);
    return found;
}

/* ---- balances ---- */

/* A table and one of its indexes while they are read. Columns are looked up by name: nothing is kept. */
typedef struct Reader {
    Relation relation, index;
    TupleTableSlot *slot;
    IndexScanDesc scan;
} Reader;

static Reader begin_reading(const char *table, const char *index, const ScanKeyData *keys, int count)
{
    Oid schema = get_namespace_oid("hail", false);
    Reader reader;

    reader.relation = table_open(get_relname_relid(table, schema), AccessShareLock);
    reader.index = index_open(get_relname_relid(index, schema), AccessShareLock);
    if (!reader.index->rd_index->indisvalid)
        elog(ERROR, "index \"%s\" of the ledger is not valid", index);
    reader.slot = table_slot_create(reader.relation, NULL);
    reader.scan = index_beginscan(reader.relation, reader.index, GetActiveSnapshot(), count, 0);
    index_rescan(reader.scan, (ScanKey)keys, count, NULL, 0);
    return reader;
}

static bool read_next(Reader *reader)
{
    return index_getnext_slot(reader->scan, ForwardScanDirection, reader->slot);
}

static void end_reading(Reader *reader)
{
    index_endscan(reader->scan);
    ExecDropSingleTupleTableSlot(reader->slot);
    index_close(reader->index, AccessShareLock);
    table_close(reader->relation, AccessShareLock);
}

static AttrNumber column_named(const Reader *reader, const char *name)
{
    AttrNumber number = get_attnum(RelationGetRelid(reader->relation), name);

    if (number == InvalidAttrNumber)
        elog(ERROR, "ledger table %s has no column \"%s\"", RelationGetRelationName(reader->relation), name);
    return number;
}

static Datum read_column(const Reader *reader, const char *name, bool *isnull)
{
    return slot_getattr(reader->slot, column_named(reader, name), isnull);
}

static int64 to_bigint(__int128 sum)
{
    if (sum < PG_INT64_MIN || sum > PG_INT64_MAX)
        ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("bigint out of range"));
    return (int64)sum;
}

/* Entries of a system account that its posted does not count yet. */
static __int128 unfolded(const pg_uuid_t *account, Datum folded_xid)
{
    ScanKeyData keys[2];
    Reader reader;
    AttrNumber amount, direction;
    __int128 sum = 0;
    bool isnull;

    ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(account));
    ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_XID8GE, folded_xid);
    reader = begin_reading("ledger_entries", "ledger_entries_unfolded", keys, 2);
    amount = column_named(&reader, "amount");
    direction = column_named(&reader, "direction");
    while (read_next(&reader)) {
        int64 moved = DatumGetInt64(slot_getattr(reader.slot, amount, &isnull));
        text *word = DatumGetTextPP(slot_getattr(reader.slot, direction, &isnull));

        CHECK_FOR_INTERRUPTS();
        sum += *VARDATA_ANY(word) == 'c' ? moved : -moved;
    }
    end_reading(&reader);
    return sum;
}

bool store_read_balance(const pg_uuid_t *id, StoreBalance *balance)
{
    ScanKeyData key;
    Reader reader;
    bool found, isnull;

    ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
    reader = begin_reading("accounts", "accounts_pkey", &key, 1);
    found = read_next(&reader);
    if (found) {
        Datum owner = read_column(&reader, "owner_id", &isnull);

        memset(balance, 0, sizeof(StoreBalance));
        if (!isnull)
            balance->owner = *DatumGetUUIDP(owner);
        balance->posted = DatumGetInt64(read_column(&reader, "posted", &isnull));
        balance->held = DatumGetInt64(read_column(&reader, "held", &isnull));
        if (DatumGetBool(read_column(&reader, "is_system", &isnull)))
            balance->posted =
                to_bigint(balance->posted + unfolded(id, read_column(&reader, "folded_xid", &isnull)));
    }
    end_reading(&reader);
    return found;
}

void store_update_account(StoreRow *row, int64 posted, int64 held)
{
    StoreTable *table = &store_accounts;
    TupleTableSlot *slot = store_blank(table, 0);
    TM_FailureData failure;
    LockTupleMode mode;
    bool update_indexes;

    heap_deform_tuple(row->tuple, table->desc, slot->tts_values, slot->tts_isnull);
    store_set(table, slot, ACCOUNT_POSTED, Int64GetDatum(posted));
    store_set(table, slot, ACCOUNT_HELD, Int64GetDatum(held));
    check_row(table, slot);
    if (table_tuple_update(table->relation, &row->tid, slot, GetCurrentCommandId(true), InvalidSnapshot,
                           InvalidSnapshot, true, &failure, &mode, &update_indexes) != TM_Ok)
        elog(ERROR, "a locked account has changed");
    if (update_indexes) {
        open_indexes(table);
        ExecInsertIndexTuples(table->info, slot, table->estate, true, false, NULL, NIL);
        close_indexes(table);
    }
    ResetPerTupleExprContext(table->estate);
    row->tid = slot->tts_tid;
    row->tuple = ExecCopySlotHeapTuple(slot);
}

int64 store_entry_ids(void)
{
    return nextval_internal(store_entries.sequence_oid, false);
}
