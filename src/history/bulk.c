/* Inserting many points past SQL; see bulk.h. */
#include "postgres.h"

#include <math.h>

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/execPartition.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "history/bulk.h"

#define ROWS_AT_ONCE 1000 /* rows handed to the table at a time, as COPY does */
#define COLUMNS      9

static int compare_points(const BulkPoint *a, const BulkPoint *b)
{
    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    if (a->driver_high != b->driver_high)
        return a->driver_high < b->driver_high ? -1 : 1;
    if (a->driver_low != b->driver_low)
        return a->driver_low < b->driver_low ? -1 : 1;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

#define ST_SORT          sort_points
#define ST_ELEMENT_TYPE  BulkPoint
#define ST_COMPARE(a, b) compare_points(a, b)
#define ST_SCOPE         static
#define ST_DEFINE
#include "lib/sort_template.h"

static void set_key(BulkPoint *p)
{
    TimestampTz at = p->point->recorded_at;
    uint64 driver[2];

    memcpy(driver, p->point->driver_id.data, sizeof(driver));
    p->driver_high = pg_ntoh64(driver[0]);
    p->driver_low = pg_ntoh64(driver[1]);
    p->at = at;
    p->day = (int32)((at - (at < 0 ? USECS_PER_DAY - 1 : 0)) / USECS_PER_DAY);
}

int bulk_sort(BulkPoint *points, int count)
{
    int kept = 0;

    for (int i = 0; i < count; i++) {
        points[i].number = (uint32)i;
        set_key(&points[i]);
    }
    sort_points(points, (size_t)count);
    for (int i = 0; i < count; i++)
        if (kept == 0 || points[kept - 1].at != points[i].at ||
            points[kept - 1].driver_high != points[i].driver_high ||
            points[kept - 1].driver_low != points[i].driver_low)
            points[kept++] = points[i];
    return kept;
}

/* An insert under way. */
typedef struct Bulk {
    const BulkPoint *points;
    EState *estate;
    ModifyTableState *modify;
    ResultRelInfo *root;
    PartitionTupleRouting *routing;
    TupleTableSlot *row;      /* a row of the parent, for routing */
    ResultRelInfo *partition; /* where buffered rows go; NULL: none yet */
    TupleTableSlot **slots;   /* rows buffered for it */
    int buffered, slot_count; /* slots in use; slots made */
    int first;                /* number of the first buffered point */
    int *conflicts;           /* numbers of points left out */
    ItemPointerData *conflict_tids;
    ResultRelInfo **conflict_partitions;
    int *conflict_count;
} Bulk;

/* The parent's columns are the nine that we know, in their order. */
static bool columns_as_known(TupleDesc columns)
{
    static const struct {
        const char *name;
        Oid type;
    } known[COLUMNS] = {{"driver_id", UUIDOID},
                        {"trip_id", UUIDOID},
                        {"lat", FLOAT8OID},
                        {"lng", FLOAT8OID},
                        {"heading", FLOAT4OID},
                        {"speed", FLOAT4OID},
                        {"accuracy", FLOAT4OID},
                        {"recorded_at", TIMESTAMPTZOID},
                        {"received_at", TIMESTAMPTZOID}};

    if (columns->natts != COLUMNS)
        return false;
    for (int c = 0; c < COLUMNS; c++) {
        Form_pg_attribute column = TupleDescAttr(columns, c);

        if (column->attisdropped || column->attgenerated || column->atttypid != known[c].type ||
            strcmp(NameStr(column->attname), known[c].name) != 0)
            return false;
    }
    return true;
}

/* No indexes but those that take an entry without asking more (an exclusion constraint would). */
static bool indexes_plain(const ResultRelInfo *partition)
{
    for (int i = 0; i < partition->ri_NumIndices; i++)
        if (partition->ri_IndexRelationInfo[i]->ii_ExclusionOps != NULL)
            return false;
    return true;
}

static bool partition_plain(const ResultRelInfo *partition)
{
    return partition->ri_RelationDesc->rd_rel->relkind == RELKIND_RELATION &&
           partition->ri_TrigDesc == NULL && partition->ri_RootToPartitionMap == NULL &&
           indexes_plain(partition);
}

static void set_optional(TupleTableSlot *row, int column, float value)
{
    row->tts_isnull[column] = isnan(value);
    row->tts_values[column] = Float4GetDatum(value);
}

/* Uuids are pointed to, not copied. */
static void set_row(TupleTableSlot *row, const HistoryPoint *point)
{
    static const pg_uuid_t no_trip;

    ExecClearTuple(row);
    memset(row->tts_isnull, 0, sizeof(bool) * COLUMNS);
    row->tts_values[0] = UUIDPGetDatum(&point->driver_id);
    row->tts_values[1] = UUIDPGetDatum(&point->trip_id);
    row->tts_isnull[1] = memcmp(&point->trip_id, &no_trip, sizeof(no_trip)) == 0;
    row->tts_values[2] = Float8GetDatum(point->lat);
    row->tts_values[3] = Float8GetDatum(point->lng);
    set_optional(row, 4, point->heading);
    set_optional(row, 5, point->speed);
    set_optional(row, 6, point->accuracy);
    row->tts_values[7] = TimestampTzGetDatum(point->recorded_at);
    row->tts_values[8] = TimestampTzGetDatum(point->received_at);
    ExecStoreVirtualTuple(row);
}

static void copy_row(TupleTableSlot *to, const TupleTableSlot *from)
{
    ExecClearTuple(to);
    memcpy(to->tts_values, from->tts_values, sizeof(Datum) * COLUMNS);
    memcpy(to->tts_isnull, from->tts_isnull, sizeof(bool) * COLUMNS);
    ExecStoreVirtualTuple(to);
}

static void note_conflict(Bulk *bulk, int buffered)
{
    int n = (*bulk->conflict_count)++;

    bulk->conflicts[n] = bulk->first + buffered;
    bulk->conflict_tids[n] = bulk->slots[buffered]->tts_tid;
    bulk->conflict_partitions[n] = bulk->partition;
}

static void flush_rows(Bulk *bulk)
{
    EState *estate = bulk->estate;

    if (bulk->buffered == 0)
        return;
    CHECK_FOR_INTERRUPTS();
    table_multi_insert(bulk->partition->ri_RelationDesc, bulk->slots, bulk->buffered,
                       GetCurrentCommandId(true), 0, NULL);
    for (int i = 0; i < bulk->buffered && bulk->partition->ri_NumIndices > 0; i++) {
        bool conflict = false;

        ResetPerTupleExprContext(estate);
        (void)ExecInsertIndexTuples(bulk->partition, bulk->slots[i], estate, false, true, &conflict, NIL);
        if (conflict)
            note_conflict(bulk, i);
    }
    bulk->first += bulk->buffered;
    bulk->buffered = 0;
}

static void drop_slots(Bulk *bulk)
{
    for (int i = 0; i < bulk->slot_count; i++)
        ExecDropSingleTupleTableSlot(bulk->slots[i]);
    bulk->slot_count = 0;
}

static TupleTableSlot *next_slot(Bulk *bulk)
{
    if (bulk->buffered == bulk->slot_count)
        bulk->slots[bulk->slot_count++] = table_slot_create(bulk->partition->ri_RelationDesc, NULL);
    return bulk->slots[bulk->buffered++];
}

/* False: a partition that isn't plain. */
static bool add_point(Bulk *bulk, const HistoryPoint *point)
{
    ResultRelInfo *partition;

    set_row(bulk->row, point);
    ResetPerTupleExprContext(bulk->estate);
    partition = ExecFindPartition(bulk->modify, bulk->root, bulk->routing, bulk->row, bulk->estate);
    if (partition != bulk->partition || bulk->buffered == ROWS_AT_ONCE)
        flush_rows(bulk);
    if (partition != bulk->partition) {
        if (!partition_plain(partition))
            return false;
        drop_slots(bulk);
        bulk->partition = partition;
    }
    copy_row(next_slot(bulk), bulk->row);
    if (partition->ri_RelationDesc->rd_att->constr != NULL)
        ExecConstraints(partition, bulk->slots[bulk->buffered - 1], bulk->estate);
    return true;
}

/* Rows that met another one with their key go: they are of this transaction, nobody has seen them. */
static void delete_conflicts(Bulk *bulk)
{
    if (*bulk->conflict_count == 0)
        return;
    CommandCounterIncrement();
    for (int i = 0; i < *bulk->conflict_count; i++)
        simple_table_tuple_delete(bulk->conflict_partitions[i]->ri_RelationDesc, &bulk->conflict_tids[i],
                                  GetActiveSnapshot());
}

static void open_bulk(Bulk *bulk, Relation table, int count)
{
    bulk->estate = CreateExecutorState();
    bulk->root = makeNode(ResultRelInfo);
    InitResultRelInfo(bulk->root, table, 0, NULL, 0);
    bulk->modify = makeNode(ModifyTableState);
    bulk->modify->ps.state = bulk->estate;
    bulk->modify->operation = CMD_INSERT;
    bulk->modify->mt_nrels = 1;
    bulk->modify->resultRelInfo = bulk->modify->rootResultRelInfo = bulk->root;
    bulk->routing = ExecSetupPartitionTupleRouting(bulk->estate, table);
    bulk->row = MakeSingleTupleTableSlot(RelationGetDescr(table), &TTSOpsVirtual);
    bulk->slots = palloc(sizeof(TupleTableSlot *) * ROWS_AT_ONCE);
    bulk->conflict_tids = palloc(sizeof(ItemPointerData) * (Size)count);
    bulk->conflict_partitions = palloc(sizeof(ResultRelInfo *) * (Size)count);
}

static void close_bulk(Bulk *bulk)
{
    drop_slots(bulk);
    ExecDropSingleTupleTableSlot(bulk->row);
    ExecCleanupTupleRouting(bulk->modify, bulk->routing);
    FreeExecutorState(bulk->estate);
}

bool bulk_insert(const BulkPoint *points, int count, int *conflicts, int *conflict_count)
{
    Relation table =
        table_openrv(makeRangeVar(pstrdup("hail"), pstrdup("location_history"), -1), RowExclusiveLock);
    Bulk bulk = {.points = points, .conflicts = conflicts, .conflict_count = conflict_count};
    bool plain = table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && table->trigdesc == NULL &&
                 columns_as_known(RelationGetDescr(table));

    *conflict_count = 0;
    if (plain) {
        open_bulk(&bulk, table, count);
        for (int i = 0; i < count && plain; i++)
            plain = add_point(&bulk, points[i].point);
        if (plain) {
            flush_rows(&bulk);
            delete_conflicts(&bulk);
        }
        close_bulk(&bulk);
    }
    table_close(table, NoLock);
    return plain;
}
