/*
 * Writing points into hail.location_history: a batch in bulk, what that leaves out by INSERT, and what the
 * table refuses into hail.location_rejects.
 *
 * A batch is stored in a subtransaction. When it fails for something that is a point's own fault its halves
 * are tried, down to single points; so one bad point costs some twenty subtransactions and stops nobody.
 */
#include "postgres.h"

#include <math.h>

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "partitioning/partdesc.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/statement.h"
#include "history/bulk.h"
#include "history/store.h"

#define BATCH_POINTS 131072 /* of one subtransaction: bounds the memory of a drain to some 10 MB */
#define MAX_REJECTS  1000   /* of one call: with more it is the table that is bad, not the points */

static HailStatement insert_points = {
    "INSERT INTO hail.location_history"
    " (driver_id, trip_id, lat, lng, heading, speed, accuracy, recorded_at, received_at)"
    " SELECT driver_id, trip_id, lat, lng, heading, speed, accuracy, recorded_at, received_at"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS points"
    " (driver_id, trip_id, lat, lng, heading, speed, accuracy, recorded_at, received_at)"
    " ON CONFLICT DO NOTHING",
    9,
    {UUIDARRAYOID, UUIDARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID,
     FLOAT4ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID}};

static HailStatement insert_reject = {
    "INSERT INTO hail.location_rejects"
    " (driver_id, trip_id, lat, lng, heading, speed, accuracy, recorded_at, received_at, error, rejected_at)"
    " SELECT driver_id, trip_id, lat, lng, heading, speed, accuracy, recorded_at, received_at, $10, $11"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS points"
    " (driver_id, trip_id, lat, lng, heading, speed, accuracy, recorded_at, received_at)",
    11,
    {UUIDARRAYOID, UUIDARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID,
     FLOAT4ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TEXTOID, TIMESTAMPTZOID}};

/* The columns of a batch on their way into arrays. */
typedef struct Columns {
    int count;
    Datum *values[9];
    bool *nulls[9];
} Columns;

static void columns_allocate(Columns *columns, int count)
{
    columns->count = count;
    for (int c = 0; c < 9; c++) {
        columns->values[c] = palloc(sizeof(Datum) * count);
        columns->nulls[c] = palloc0(sizeof(bool) * count);
    }
}

static void columns_set_float4(Columns *columns, int column, int row, float value)
{
    columns->values[column][row] = Float4GetDatum(value);
    columns->nulls[column][row] = isnan(value);
}

static void columns_set(Columns *columns, int row, const HistoryPoint *point)
{
    static const pg_uuid_t no_trip;

    columns->values[0][row] = UUIDPGetDatum(&point->driver_id);
    columns->values[1][row] = UUIDPGetDatum(&point->trip_id);
    columns->nulls[1][row] = memcmp(&point->trip_id, &no_trip, sizeof(no_trip)) == 0;
    columns->values[2][row] = Float8GetDatum(point->lat);
    columns->values[3][row] = Float8GetDatum(point->lng);
    columns_set_float4(columns, 4, row, point->heading);
    columns_set_float4(columns, 5, row, point->speed);
    columns_set_float4(columns, 6, row, point->accuracy);
    columns->values[7][row] = TimestampTzGetDatum(point->recorded_at);
    columns->values[8][row] = TimestampTzGetDatum(point->received_at);
}

static Datum column_array(const Columns *columns, int column)
{
    Oid type = get_element_type(insert_points.argtypes[column]);
    int dims[1] = {columns->count};
    int lower[1] = {1};
    int16 length;
    bool by_value;
    char align;

    get_typlenbyvalalign(type, &length, &by_value, &align);
    return PointerGetDatum(construct_md_array(columns->values[column], columns->nulls[column], 1, dims, lower,
                                              type, length, by_value, align));
}

/* What store_points() carries along. */
typedef struct Store {
    int rejects;       /* points refused so far */
    bool home_for_all; /* there is a default partition: no point is refused for want of one */
} Store;

static void insert_points_sql(const BulkPoint *points, const int *which, int count)
{
    Columns columns;
    Datum args[9];

    columns_allocate(&columns, count);
    for (int i = 0; i < count; i++)
        columns_set(&columns, i, points[which != NULL ? which[i] : i].point);
    for (int c = 0; c < 9; c++)
        args[c] = column_array(&columns, c);
    hail_execute(&insert_points, args, NULL, false, 0);
}

/* Bulk first; by INSERT what that left out. False: bulk is not possible, what it has done must be undone. */
static bool store_in_bulk(const BulkPoint *points, int count)
{
    int *conflicts = palloc(sizeof(int) * (Size)count);
    int conflict_count;

    if (!bulk_insert(points, count, conflicts, &conflict_count))
        return false;
    if (conflict_count > 0)
        insert_points_sql(points, conflicts, conflict_count);
    return true;
}

static void reject_point(const HistoryPoint *point, const ErrorData *error)
{
    BulkPoint one = {.point = point};
    Columns columns;
    Datum args[11];

    columns_allocate(&columns, 1);
    columns_set(&columns, 0, one.point);
    for (int c = 0; c < 9; c++)
        args[c] = column_array(&columns, c);
    args[9] = CStringGetTextDatum(error->message);
    args[10] = TimestampTzGetDatum(hail_now());
    hail_execute(&insert_reject, args, NULL, false, 0);
    ereport(WARNING, errcode(error->sqlerrcode),
            errmsg("a position was refused by table \"hail.location_history\": %s", error->message),
            errhint("It is kept in hail.location_rejects; see hail.retry_location_rejects()."));
}

/* Is the error the point's own fault: its values, a constraint or a trigger that refused them? */
static bool rejectable(const Store *store, int sqlerrcode)
{
    int class = ERRCODE_TO_CATEGORY(sqlerrcode);

    return store->home_for_all && store->rejects < MAX_REJECTS &&
           (class == ERRCODE_DATA_EXCEPTION || class == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
            sqlerrcode == ERRCODE_RAISE_EXCEPTION);
}

typedef enum StoreOutcome { STORE_DONE, STORE_NOT_IN_BULK, STORE_REFUSED } StoreOutcome;

/* One subtransaction. STORE_REFUSED: undone, *error says why. Any other error is thrown on. */
static StoreOutcome try_points(const Store *store, const BulkPoint *points, int count, bool bulk,
                               ErrorData **error)
{
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    volatile StoreOutcome outcome = STORE_DONE;

    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        if (!bulk)
            insert_points_sql(points, NULL, count);
        else if (!store_in_bulk(points, count))
            outcome = STORE_NOT_IN_BULK;
        if (outcome == STORE_DONE)
            ReleaseCurrentSubTransaction();
        else
            RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        *error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
        if (!rejectable(store, (*error)->sqlerrcode))
            ReThrowError(*error);
        outcome = STORE_REFUSED;
    }
    PG_END_TRY();
    return outcome;
}

static void store_points(Store *store, const BulkPoint *points, int count, bool bulk)
{
    ErrorData *error = NULL;
    StoreOutcome outcome = try_points(store, points, count, bulk, &error);

    /* A single point refused gets a second look: its day may have got a partition in the meantime. */
    if (outcome == STORE_NOT_IN_BULK || (outcome == STORE_REFUSED && bulk && count == 1))
        outcome = try_points(store, points, count, bulk = false, &error);
    if (outcome == STORE_DONE)
        return;
    if (count == 1) {
        reject_point(points->point, error);
        store->rejects++;
        return;
    }
    store_points(store, points, count / 2, bulk);
    store_points(store, points + count / 2, count - count / 2, bulk);
}

static void store_batch(Store *store, const HistoryPoint *first, uint64 size, uint64 from, int count)
{
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hail history batch", ALLOCSET_DEFAULT_SIZES);
    MemoryContext old = MemoryContextSwitchTo(context);
    BulkPoint *points = palloc(sizeof(BulkPoint) * (Size)count);

    for (int i = 0; i < count; i++)
        points[i].point = &first[(from + (uint64)i) % size];
    count = bulk_sort(points, count);
    store_points(store, points, count, true);
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
}

/* Also locks the table, so that the answer holds as long as the transaction. */
static bool has_default_partition(void)
{
    Relation table =
        table_openrv(makeRangeVar(pstrdup("hail"), pstrdup("location_history"), -1), RowExclusiveLock);
    bool answer = table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
                  OidIsValid(get_default_oid_from_partdesc(RelationGetPartitionDesc(table, false)));

    table_close(table, NoLock);
    return answer;
}

/* On error the transaction's abort gives the role back. */
static void become_owner(Oid *user, int *context)
{
    GetUserIdAndSecContext(user, context);
    SetUserIdAndSecContext(get_role_oid("hail_owner", false), *context | SECURITY_LOCAL_USERID_CHANGE);
}

void history_store_one(const HistoryPoint *point)
{
    BulkPoint one = {.point = point};
    Oid user;
    int context;

    SPI_connect();
    become_owner(&user, &context);
    insert_points_sql(&one, NULL, 1);
    SetUserIdAndSecContext(user, context);
    SPI_finish();
}

void history_store(const HistoryPoint *first, uint64 size, uint64 from, uint64 count)
{
    Store store = {0};
    Oid user;
    int context;

    SPI_connect();
    become_owner(&user, &context);
    store.home_for_all = has_default_partition();
    while (count > 0) {
        int batch = (int)Min(count, BATCH_POINTS);

        CHECK_FOR_INTERRUPTS();
        store_batch(&store, first, size, from, batch);
        from += (uint64)batch;
        count -= (uint64)batch;
    }
    SetUserIdAndSecContext(user, context);
    SPI_finish();
}
