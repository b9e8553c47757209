/*
 * From changes to rows and events; see apply.h.
 *
 * Set-based: a statement a kind of change, whatever the number of drivers. The evaluation is the index's
 * proposal; here the row decides: a driver's row is locked (never waited for), must still say what the change
 * rests on, and a change whose row is not there (or there already) makes no event.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/statement.h"
#include "events/events.h"
#include "geofence/apply.h"
#include "geofence/members.h"
#include "live/live.h"

#define INT4ARRAY 1007

/* $1 drivers, $2 ids of fences or regions, $3 now; each returns the pairs it has changed. */
static HailStatement statements[CHANGE_KINDS] = {
    [CHANGE_LEAVE] = {"DELETE FROM hail.geofence_drivers i"
                      " USING unnest($1, $2) u(driver_id, id)"
                      " WHERE i.driver_id = u.driver_id AND i.geofence_id = u.id"
                      " RETURNING i.driver_id, i.geofence_id",
                      2,
                      {UUIDARRAYOID, INT4ARRAY}},
    [CHANGE_LEAVE_AREA] = {"INSERT INTO hail.area_absences AS a"
                           " (driver_id, region_id, outside_since, left_at)"
                           " SELECT DISTINCT ON (u.driver_id) u.driver_id, u.id::smallint, $3, $3"
                           " FROM unnest($1, $2) u(driver_id, id)"
                           " ON CONFLICT (driver_id) DO UPDATE SET left_at = $3 WHERE a.left_at IS NULL"
                           " RETURNING a.driver_id, a.region_id::integer",
                           3,
                           {UUIDARRAYOID, INT4ARRAY, TIMESTAMPTZOID}},
    [CHANGE_ENTER] = {"INSERT INTO hail.geofence_drivers AS i (driver_id, geofence_id, entered_at)"
                      " SELECT u.driver_id, u.id, $3 FROM unnest($1, $2) u(driver_id, id)"
                      " JOIN hail.geofences g ON g.id = u.id AND g.active"
                      " ON CONFLICT DO NOTHING RETURNING i.driver_id, i.geofence_id",
                      3,
                      {UUIDARRAYOID, INT4ARRAY, TIMESTAMPTZOID}},
    [CHANGE_ENTER_AREA] = {"DELETE FROM hail.area_absences a"
                           " USING unnest($1, $2) u(driver_id, id)"
                           " WHERE a.driver_id = u.driver_id AND a.left_at IS NOT NULL"
                           " RETURNING a.driver_id, u.id",
                           2,
                           {UUIDARRAYOID, INT4ARRAY}},
    [CHANGE_STEP_OUT] = {"UPDATE hail.geofence_drivers i SET outside_since = $3"
                         " FROM unnest($1, $2) u(driver_id, id)"
                         " WHERE i.driver_id = u.driver_id AND i.geofence_id = u.id"
                         " RETURNING i.driver_id, i.geofence_id",
                         3,
                         {UUIDARRAYOID, INT4ARRAY, TIMESTAMPTZOID}},
    [CHANGE_BACK] = {"UPDATE hail.geofence_drivers i SET outside_since = NULL"
                     " FROM unnest($1, $2) u(driver_id, id)"
                     " WHERE i.driver_id = u.driver_id AND i.geofence_id = u.id"
                     " RETURNING i.driver_id, i.geofence_id",
                     2,
                     {UUIDARRAYOID, INT4ARRAY}},
    [CHANGE_STEP_OUT_AREA] =
        {"INSERT INTO hail.area_absences AS a (driver_id, region_id, outside_since)"
         " SELECT u.driver_id, u.id::smallint, $3 FROM unnest($1, $2) u(driver_id, id)"
         " ON CONFLICT (driver_id) DO NOTHING RETURNING a.driver_id, a.region_id::integer",
         3,
         {UUIDARRAYOID, INT4ARRAY, TIMESTAMPTZOID}},
    [CHANGE_BACK_AREA] = {"DELETE FROM hail.area_absences a"
                          " USING unnest($1, $2) u(driver_id, id)"
                          " WHERE a.driver_id = u.driver_id RETURNING a.driver_id, u.id",
                          2,
                          {UUIDARRAYOID, INT4ARRAY}},
    [CHANGE_JOIN_QUEUE] = {"UPDATE hail.geofence_drivers i SET queued_at = $3, queue_number = q.number"
                           " FROM (SELECT o.driver_id, o.id,"
                           "     nextval('hail.geofence_queue_numbers'::regclass) AS number"
                           "   FROM (SELECT u.driver_id, u.id FROM unnest($1, $2) WITH ORDINALITY"
                           "     u(driver_id, id, n) ORDER BY u.n) o) q"
                           " WHERE i.driver_id = q.driver_id AND i.geofence_id = q.id"
                           " RETURNING i.driver_id, i.geofence_id",
                           3,
                           {UUIDARRAYOID, INT4ARRAY, TIMESTAMPTZOID}},
    [CHANGE_LEAVE_QUEUE] = {"UPDATE hail.geofence_drivers i SET queued_at = NULL, queue_number = NULL"
                            " FROM unnest($1, $2) u(driver_id, id)"
                            " WHERE i.driver_id = u.driver_id AND i.geofence_id = u.id"
                            " RETURNING i.driver_id, i.geofence_id",
                            2,
                            {UUIDARRAYOID, INT4ARRAY}}};

/* The second column: may be inside something. */
static HailStatement lock_drivers = {
    "SELECT d.id, d.online OR d.trip_id IS NOT NULL FROM hail.drivers d WHERE d.id = ANY ($1)"
    " ORDER BY d.id FOR NO KEY UPDATE SKIP LOCKED",
    1,
    {UUIDARRAYOID}};

static HailStatement count_events = {"UPDATE hail.drivers d SET event_version = d.event_version + u.events"
                                     " FROM unnest($1, $2) u(driver_id, events) WHERE d.id = u.driver_id"
                                     " RETURNING d.id, d.event_version - u.events",
                                     2,
                                     {UUIDARRAYOID, INT4ARRAY}};

void changes_add(FenceChanges *changes, const FenceChange *change)
{
    if (changes->count == changes->room) {
        changes->room = changes->room > 0 ? 2 * changes->room : 256;
        if (changes->list == NULL)
            changes->list = MemoryContextAllocHuge(changes->context, sizeof(FenceChange) * changes->room);
        else
            changes->list = repalloc_huge(changes->list, sizeof(FenceChange) * changes->room);
    }
    changes->with_event += change->kind <= CHANGE_WITH_EVENT;
    changes->list[changes->count++] = *change;
}

/* Drivers together, in the order of their ids; of one, leaving before entering. */
static int by_driver(const void *left, const void *right)
{
    const FenceChange *a = left, *b = right;
    int order = memcmp(&a->driver_id, &b->driver_id, UUID_LEN);

    if (order != 0)
        return order;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return a->fence - b->fence;
}

/* In the order in which the queue is joined: of their positions. */
static int by_arrival(const void *left, const void *right)
{
    const FenceChange *const *a = left, *const *b = right;

    if ((*a)->at != (*b)->at)
        return (*a)->at < (*b)->at ? -1 : 1;
    return memcmp(&(*a)->driver_id, &(*b)->driver_id, UUID_LEN);
}

static Datum uuid_array(Datum *ids, int count)
{
    return PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static Datum int_array(Datum *numbers, int count)
{
    return PointerGetDatum(construct_array(numbers, count, INT4OID, 4, true, TYPALIGN_INT));
}

/* ---- the rows decide ---- */

/* A driver's row, locked; `events` counts those to write, `version` is of the newest before them. */
typedef struct LockedDriver {
    pg_uuid_t driver_id;
    bool working;
    int events, version;
} LockedDriver;

static LockedDriver *locked;
static int locked_count;

static int by_id(const void *left, const void *right)
{
    return memcmp(left, right, UUID_LEN); /* the id comes first in both */
}

static LockedDriver *find_locked(const pg_uuid_t *driver_id)
{
    return bsearch(driver_id, locked, locked_count, sizeof(LockedDriver), by_id);
}

/* Lock the rows of all drivers with an event. Changes are sorted by driver. */
static void lock_rows(FenceChanges *changes)
{
    Datum *ids = palloc(sizeof(Datum) * (changes->with_event + 1));
    int count = 0;
    uint64 rows;
    bool isnull;

    for (int i = 0; i < changes->count; i++) {
        FenceChange *change = &changes->list[i];

        if (change->kind <= CHANGE_WITH_EVENT &&
            (count == 0 || memcmp(DatumGetUUIDP(ids[count - 1]), &change->driver_id, UUID_LEN) != 0))
            ids[count++] = UUIDPGetDatum(&change->driver_id);
    }
    rows = hail_execute(&lock_drivers, (Datum[]){uuid_array(ids, count)}, NULL, false, 0);
    locked = palloc0(sizeof(LockedDriver) * (rows + 1));
    locked_count = (int)rows;
    for (uint64 i = 0; i < rows; i++) {
        locked[i].driver_id = *DatumGetUUIDP(hail_result(i, 1, &isnull));
        locked[i].working = DatumGetBool(hail_result(i, 2, &isnull));
    }
    SPI_freetuptable(SPI_tuptable);
}

/* What a driver's row does not bear out, and every change of a driver whose row was not to be had. */
static void drop_refused(FenceChanges *changes)
{
    const pg_uuid_t *busy = NULL;

    for (int i = 0; i < changes->count; i++) {
        FenceChange *change = &changes->list[i];
        LockedDriver *driver;

        if (busy != NULL && memcmp(busy, &change->driver_id, UUID_LEN) == 0) {
            change->dropped = true;
            continue;
        }
        if (change->kind > CHANGE_WITH_EVENT)
            continue;
        driver = find_locked(&change->driver_id);
        if (driver == NULL) {
            change->dropped = true;
            busy = &change->driver_id;
            changes->locked_out = true;
            live_mark_moved(busy);
        } else if (change->kind == CHANGE_ENTER || change->kind == CHANGE_ENTER_AREA ||
                   change->kind == CHANGE_LEAVE_AREA)
            change->dropped = !driver->working;
        else if (change->reason != NULL && strcmp(change->reason, "offline") == 0)
            change->dropped = driver->working;
    }
}

/* ---- the copy follows ---- */

static void update_copy(ChangeKind kind, const pg_uuid_t *driver_id, int32 id, TimestampTz now)
{
    Member *member = members_add(driver_id);
    Membership *m = kind == CHANGE_ENTER ? member_add(member, id) : member_of(member, id);

    switch (kind) {
    case CHANGE_LEAVE:
        member_remove(member, id);
        break;
    case CHANGE_STEP_OUT:
    case CHANGE_BACK:
        if (m != NULL)
            m->outside_since = kind == CHANGE_BACK ? 0 : now;
        break;
    case CHANGE_JOIN_QUEUE:
    case CHANGE_LEAVE_QUEUE:
        if (m != NULL)
            m->queued_at = kind == CHANGE_LEAVE_QUEUE ? 0 : now;
        break;
    case CHANGE_STEP_OUT_AREA:
    case CHANGE_LEAVE_AREA:
        member->absent_region = (int16)id;
        member->absent_since = now;
        member->left = kind == CHANGE_LEAVE_AREA;
        break;
    case CHANGE_ENTER_AREA:
    case CHANGE_BACK_AREA:
        member->absent_since = 0;
        member->left = false;
        break;
    default:
        break;
    }
    members_forget(member);
}

/* ---- one kind of change ---- */

/* The rows changed: pairs of driver and id. */
static void note_done(FenceChanges *changes, ChangeKind kind, TimestampTz now)
{
    SPITupleTable *table = SPI_tuptable;
    uint64 rows = SPI_processed;

    for (uint64 i = 0; i < rows; i++) {
        bool isnull;
        FenceChange key = {.kind = kind};
        int32 id = DatumGetInt32(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull));
        FenceChange *change;

        key.driver_id = *DatumGetUUIDP(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
        key.fence = fences_find(changes->set, id, kind == CHANGE_LEAVE_AREA || kind == CHANGE_ENTER_AREA);
        update_copy(kind, &key.driver_id, id, now);
        if (kind > CHANGE_WITH_EVENT)
            continue;
        change = bsearch(&key, changes->list, changes->count, sizeof(FenceChange), by_driver);
        if (change != NULL && !change->done) {
            change->done = true;
            find_locked(&key.driver_id)->events++;
        }
    }
    SPI_freetuptable(table);
}

static void change_rows(FenceChanges *changes, ChangeKind kind, TimestampTz now)
{
    const FenceChange **chosen = palloc(sizeof(FenceChange *) * (changes->count + 1));
    Datum *ids = palloc(sizeof(Datum) * 2 * (changes->count + 1)), *numbers = ids + changes->count + 1;
    int count = 0;

    for (int i = 0; i < changes->count; i++)
        if (changes->list[i].kind == kind && !changes->list[i].dropped)
            chosen[count++] = &changes->list[i];
    if (count > 0) {
        qsort(chosen, count, sizeof(FenceChange *), by_arrival);
        for (int i = 0; i < count; i++) {
            ids[i] = UUIDPGetDatum(&chosen[i]->driver_id);
            numbers[i] = Int32GetDatum(changes->set->fences[chosen[i]->fence].id);
        }
        hail_execute(&statements[kind],
                     (Datum[]){uuid_array(ids, count), int_array(numbers, count), TimestampTzGetDatum(now)},
                     NULL, false, 0);
        note_done(changes, kind, now);
    }
    pfree(ids);
    pfree(chosen);
}

/* ---- events ---- */

static char *event_payload(const FenceChanges *changes, const FenceChange *change, TimestampTz now)
{
    const Fence *fence = &changes->set->fences[change->fence];
    char at[MAXDATELEN + 1];
    StringInfoData payload;

    initStringInfo(&payload);
    if (fence->kind == FENCE_SERVICE_AREA) {
        appendStringInfoString(&payload, "{\"region\":");
        escape_json(&payload, fence->code);
    } else {
        appendStringInfo(&payload, "{\"geofence_id\":%d,\"kind\":\"%s\",\"name\":", fence->id,
                         fence_kind_name(fence->kind));
        escape_json(&payload, fence->name);
    }
    JsonEncodeDateTime(at, TimestampTzGetDatum(change->at != 0 ? change->at : now), TIMESTAMPTZOID, NULL);
    appendStringInfo(&payload, ",\"at\":\"%s\"", at);
    if (change->at != 0)
        appendStringInfo(&payload, ",\"lat\":%.7f,\"lng\":%.7f", change->lat, change->lng);
    if (change->reason != NULL)
        appendStringInfo(&payload, ",\"reason\":\"%s\"", change->reason);
    appendStringInfoChar(&payload, '}');
    return payload.data;
}

/* Count the events of each driver up in its row. */
static void take_versions(void)
{
    Datum *ids = palloc(sizeof(Datum) * 2 * (locked_count + 1)), *numbers = ids + locked_count + 1;
    int count = 0;
    uint64 rows;
    bool isnull;

    for (int i = 0; i < locked_count; i++)
        if (locked[i].events > 0) {
            ids[count] = UUIDPGetDatum(&locked[i].driver_id);
            numbers[count++] = Int32GetDatum(locked[i].events);
        }
    if (count == 0)
        return;
    rows = hail_execute(&count_events, (Datum[]){uuid_array(ids, count), int_array(numbers, count)}, NULL,
                        false, 0);
    for (uint64 i = 0; i < rows; i++)
        find_locked(DatumGetUUIDP(hail_result(i, 1, &isnull)))->version =
            DatumGetInt32(hail_result(i, 2, &isnull));
    SPI_freetuptable(SPI_tuptable);
}

static int write_events(const FenceChanges *changes, TimestampTz now)
{
    static const char *const types[] = {[CHANGE_LEAVE] = "DriverLeftGeofence",
                                        [CHANGE_LEAVE_AREA] = "DriverLeftServiceArea",
                                        [CHANGE_ENTER] = "DriverEnteredGeofence",
                                        [CHANGE_ENTER_AREA] = "DriverEnteredServiceArea"};
    int written = 0;

    take_versions();
    for (int i = 0; i < changes->count; i++) {
        const FenceChange *change = &changes->list[i];
        char *payload;

        if (!change->done)
            continue;
        payload = event_payload(changes, change, now);
        event_write("driver", &change->driver_id, ++find_locked(&change->driver_id)->version,
                    types[change->kind], payload);
        pfree(payload);
        written++;
    }
    return written;
}

int changes_apply(FenceChanges *changes, TimestampTz now)
{
    if (changes->count == 0)
        return 0;
    qsort(changes->list, changes->count, sizeof(FenceChange), by_driver);
    lock_rows(changes);
    drop_refused(changes);
    members_write_token(); /* before the copy changes: should anything fail, it is read anew */
    for (int kind = 0; kind < CHANGE_KINDS; kind++)
        change_rows(changes, kind, now);
    return write_events(changes, now);
}
