/*
 * Appending to and draining the history ring.
 *
 * Shared memory does not roll back, a transaction does: the drain therefore only notes how far it has read,
 * and the commit callback, where nothing can fail, moves the tails. On abort the note is dropped. Should the
 * server die between commit and callback, the ring is gone with it; should a point be written twice, the
 * primary key (driver, time) makes it one.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/guc.h"
#include "base/statement.h"
#include "history/ring.h"

#define BATCH_POINTS 20000 /* rows of one INSERT: bounds the memory of a drain to some MB */

/* The drain of this transaction. */
static struct {
    bool active;
    SubTransactionId subid; /* the subtransaction whose abort takes the rows back */
    uint64 upto[LANE_COUNT];
} drain;

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

static void insert_batch(const HistoryPoint *first, uint64 size, uint64 from, int count)
{
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hail history batch", ALLOCSET_DEFAULT_SIZES);
    MemoryContext old = MemoryContextSwitchTo(context);
    Columns columns;
    Datum args[9];

    columns_allocate(&columns, count);
    for (int i = 0; i < count; i++)
        columns_set(&columns, i, &first[(from + (uint64)i) % size]);
    for (int c = 0; c < 9; c++)
        args[c] = column_array(&columns, c);
    hail_execute(&insert_points, args, NULL, false, 0);
    MemoryContextSwitchTo(old);
    MemoryContextDelete(context);
}

/* On error the transaction's abort gives the role back. */
void history_store(const HistoryPoint *first, uint64 size, uint64 from, uint64 count)
{
    Oid user;
    int context;

    SPI_connect();
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(get_role_oid("hail_owner", false), context | SECURITY_LOCAL_USERID_CHANGE);
    while (count > 0) {
        int batch = (int)Min(count, BATCH_POINTS);

        CHECK_FOR_INTERRUPTS();
        insert_batch(first, size, from, batch);
        from += (uint64)batch;
        count -= (uint64)batch;
    }
    SetUserIdAndSecContext(user, context);
    SPI_finish();
}

/* The ring is drained into one database: backends of another one write for themselves. */
static bool ring_serves_us(void)
{
    static Oid asked_for = InvalidOid;
    static bool answer = false;

    if (asked_for != MyDatabaseId) {
        char *name = get_database_name(MyDatabaseId);

        answer = name != NULL && strcmp(name, hail_worker_database) == 0;
        asked_for = MyDatabaseId;
    }
    return answer;
}

void history_append(const HistoryPoint *point)
{
    HistoryRing *ring = ring_get();

    if (TIMESTAMP_NOT_FINITE(point->recorded_at))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("time of a position must be finite"),
                hail_field("recorded_at"));
    if (ring != NULL && ring_serves_us() && ring_append(ring, point))
        return;
    history_store(point, 1, 0, 1);
}

uint64 history_waiting(void)
{
    HistoryRing *ring = ring_get();
    uint64 waiting = 0;

    for (int lane = 0; ring != NULL && lane < LANE_COUNT; lane++)
        waiting += ring->lanes[lane].head - ring->lanes[lane].tail;
    return waiting;
}

/* Claim the ring for this transaction and note how far it is filled. */
static bool drain_begin(HistoryRing *ring)
{
    bool claimed;

    LWLockAcquire(ring_lock(), LW_EXCLUSIVE);
    claimed = ring->drainer == 0;
    if (claimed) {
        ring->drainer = MyProcPid;
        drain.active = true;
        drain.subid = GetCurrentSubTransactionId();
        for (int lane = 0; lane < LANE_COUNT; lane++)
            drain.upto[lane] = ring->lanes[lane].head;
    }
    LWLockRelease(ring_lock());
    return claimed;
}

/* Release the ring; `committed`: give up what was read. Can't fail. */
static void drain_end(bool committed)
{
    HistoryRing *ring = ring_get();

    if (!drain.active)
        return;
    LWLockAcquire(ring_lock(), LW_EXCLUSIVE);
    for (int lane = 0; committed && lane < LANE_COUNT; lane++) {
        ring->drained += drain.upto[lane] - ring->lanes[lane].tail;
        ring->lanes[lane].tail = drain.upto[lane];
    }
    ring->drainer = 0;
    LWLockRelease(ring_lock());
    drain.active = false;
}

int history_drain(void)
{
    HistoryRing *ring = ring_get();
    uint64 count = 0;

    if (ring == NULL || !ring_serves_us() || !drain_begin(ring))
        return 0;
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        uint64 tail = ring->lanes[lane].tail;
        uint64 waiting = drain.upto[lane] - tail;

        if (waiting > 0)
            history_store(ring_lane_points(ring, lane), ring->capacity, tail, waiting);
        count += waiting;
    }
    return (int)count;
}

static void at_transaction_end(XactEvent event, void *arg)
{
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
        drain_end(event == XACT_EVENT_COMMIT);
    else if (event == XACT_EVENT_PRE_PREPARE && drain.active)
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("a transaction that drained the history ring can't be prepared"));
}

static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    if (!drain.active || id != drain.subid)
        return;
    if (event == SUBXACT_EVENT_ABORT_SUB)
        drain_end(false);
    else if (event == SUBXACT_EVENT_COMMIT_SUB)
        drain.subid = parent;
}

void history_init(void)
{
    ring_init();
    ring_file_init();
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
}
