/*
 * Between the index and the tables: which of them serves here, rebuild, write-through, presence.
 *
 * Rebuild. Two passes over the tables, no join: rows make the slots, positions find them. Each pass reads
 * what was committed when it began, and meets what has committed since by row versions and times of
 * positions: the newest stays. For that every change must have a slot to leave its version in. A driver that
 * is online or busy after a change gets one anyway; one that was until then gets one as well (mirror.c); and
 * from before the first pass until the end no slot is given up. A slot that says "deleted" stays so: it is
 * made anew by the commit of a new row alone. Counts of pending offers have no versions: offers are locked
 * against writers, whose commit callbacks have run once the lock is had. The index is not ready meanwhile, so
 * nobody sees half of it; a driver that reports is admitted on its own.
 */
#include "postgres.h"

#include <math.h>

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/statement.h"
#include "live/live_mode.h"
#include "live/mirror.h"

/* Rows read at once. */
#define BATCH 10000
/* What only one process does at a time. */
#define TURN_CLASS   77
#define TURN_REBUILD 1
#define TURN_WRITING 2
/* Drivers set offline by one run at most. */
#define EXPIRE_BATCH 1000
/* Slots of offline drivers are kept this long: a driver coming back finds its position. */
#define RECLAIM_AGE (10 * 60 * USECS_PER_SEC)

LiveMode live_mode(void)
{
    return live_index_attached() && hail_memory_serves() ? LIVE_IN_MEMORY : LIVE_IN_TABLES;
}

bool live_ready(void)
{
    return live_mode() == LIVE_IN_MEMORY && live_index_ready();
}

bool live_warming(void)
{
    return live_mode() == LIVE_IN_MEMORY && !live_index_ready();
}

void live_require_ready(void)
{
    if (!live_index_ready())
        ereport(ERROR, hail_error(HAIL_WARMING), errmsg("the live index is being rebuilt"),
                errhint("Try again in a moment. With hail.workers off, call hail.keep()."));
}

/* User's advisory locks are of classes 1 and 2. */
static LOCKTAG turn_tag(int turn)
{
    LOCKTAG tag;

    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0x6c697665 /* live */, turn, TURN_CLASS);
    return tag;
}

/* In this transaction, unless another one is at it. */
static bool take_turn(int turn)
{
    LOCKTAG tag = turn_tag(turn);

    return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void live_lock_writing(bool alone)
{
    LOCKTAG tag = turn_tag(TURN_WRITING);

    (void)LockAcquire(&tag, alone ? ExclusiveLock : ShareLock, false, false);
}

/* The row share-locked: nobody can have changed it without finding its slot afterwards. */
static HailStatement lock_driver = {
    "SELECT " LIVE_BOTH_COLUMNS ", d.xmin"
    " FROM hail.drivers d LEFT JOIN hail.driver_positions p ON p.driver_id = d.id"
    " WHERE d.id = $1 FOR SHARE OF d",
    1,
    {UUIDOID}};

bool live_admit(const pg_uuid_t *driver_id)
{
    HailOwner saved;
    LiveRow row;
    LiveReport position;
    bool found, ours = false, has_position = false;
    Datum row_xmin;
    int32 slot;

    if (mirror_queued_row(driver_id) == NULL) {
        saved = hail_owner_begin();
        found = hail_execute(&lock_driver, (Datum[]){UUIDPGetDatum(driver_id)}, NULL, false, 1) == 1;
        if (found) {
            has_position = live_result_both(0, &row, &position, &row_xmin);
            ours = TransactionIdIsCurrentTransactionId(DatumGetTransactionId(row_xmin));
        }
        hail_owner_end(saved);
        if (!found)
            return false;
    }
    slot = live_index_reserve(driver_id, true);
    if (slot == LIVE_NO_SLOT)
        mirror_out_of_slots();
    if (has_position)
        live_index_load(&position);
    if (mirror_queued_row(driver_id) == NULL && !ours)
        live_index_apply(slot, &row, hail_now());
    if (mirror_queued_row(driver_id) == NULL && ours)
        mirror_queue_row(&row, NULL); /* while the slot is reserved: for an offline driver it makes none */
    live_index_unreserve(slot);
    return true;
}

/* ---- rebuild ---- */

static HailStatement read_drivers = {
    "SELECT " LIVE_ROW_COLUMNS " FROM hail.drivers d WHERE d.online OR d.trip_id IS NOT NULL", 0};

static HailStatement read_positions = {
    "SELECT p.driver_id, " LIVE_POSITION_COLUMNS " FROM hail.driver_positions p", 0};

static HailStatement lock_offers = {"LOCK TABLE hail.offers IN SHARE MODE", 0};

static HailStatement read_offers = {
    "SELECT o.driver_id, count(*)::integer FROM hail.offers o WHERE o.status = 'pending' GROUP BY 1", 0};

/* The first column, which is the driver's id. */
static const pg_uuid_t *result_id(uint64 row)
{
    bool isnull;

    return DatumGetUUIDP(hail_result(row, 1, &isnull));
}

/* All rows of a statement as committed now, BATCH at a time; SPI_tuptable holds the row given. */
static uint64 each_row(HailStatement *statement, void (*take)(uint64 row))
{
    uint64 total = 0;
    Portal portal;

    PushActiveSnapshot(GetLatestSnapshot());
    portal = hail_open(statement, NULL, NULL, true);
    PopActiveSnapshot();
    for (;;) {
        SPI_cursor_fetch(portal, true, BATCH);
        if (SPI_processed == 0)
            break;
        for (uint64 i = 0; i < SPI_processed; i++) {
            for (int step = 0; step < 3; step++) {
                uint64 ahead = i + 24 - 8 * step;

                if (ahead < SPI_processed)
                    live_index_fetch(result_id(ahead), step);
            }
            take(i);
        }
        total += SPI_processed;
        SPI_freetuptable(SPI_tuptable);
    }
    SPI_freetuptable(SPI_tuptable);
    SPI_cursor_close(portal);
    return total;
}

static void take_row(uint64 i)
{
    LiveRow row;

    live_result_row(i, &row);
    if (!live_index_restore(&row, hail_now()))
        mirror_out_of_slots();
}

static void take_position(uint64 i)
{
    LiveReport position;

    live_result_position(i, &position);
    live_index_load(&position);
}

static void take_offers(uint64 i)
{
    bool isnull;
    int32 slot = live_index_reserve(result_id(i), false);

    if (slot == LIVE_NO_SLOT)
        return;
    live_index_set_offers(slot, DatumGetInt32(hail_result(i, 2, &isnull)));
    live_index_unreserve(slot);
}

static void count_offers(void)
{
    LiveEntry entry;

    hail_execute(&lock_offers, NULL, NULL, false, 0);
    for (int32 slot = 0; slot < live_index_slots(); slot++)
        if (live_index_read(slot, &entry) && entry.pending_offers > 0)
            live_index_set_offers(slot, 0);
    each_row(&read_offers, take_offers);
}

static void rebuild_failed(int code, Datum arg)
{
    live_index_end_rebuild(false);
}

int live_rebuild(void)
{
    HailOwner saved;
    uint64 volatile total = 0;

    /* what this transaction has changed may yet be undone: another transaction's turn */
    if (live_mode() != LIVE_IN_MEMORY || mirror_has_rows() || live_index_ready() ||
        !take_turn(TURN_REBUILD) || live_index_ready())
        return 0;
    saved = hail_owner_begin();
    PG_ENSURE_ERROR_CLEANUP(rebuild_failed, (Datum)0);
    {
        live_index_begin_rebuild();
        total = each_row(&read_drivers, take_row);
        each_row(&read_positions, take_position);
        count_offers();
        live_index_end_rebuild(true);
    }
    PG_END_ENSURE_ERROR_CLEANUP(rebuild_failed, (Datum)0);
    hail_owner_end(saved);
    return (int)total;
}

/* ---- presence ---- */

static HailStatement lock_silent = {
    "SELECT d.id FROM hail.drivers d WHERE d.id = ANY ($1) AND d.online AND d.trip_id IS NULL"
    " ORDER BY d.id FOR NO KEY UPDATE SKIP LOCKED",
    1,
    {UUIDARRAYOID}};

static HailStatement set_offline = {
    "WITH gone AS (UPDATE hail.drivers d SET online = false, event_version = d.event_version + 1"
    " WHERE d.id = ANY ($1) RETURNING d.id, d.event_version)"
    " SELECT hail.write_event('driver', g.id, g.event_version, 'DriverOffline',"
    " jsonb_build_object('reason', 'not_heard_of')) FROM gone g ORDER BY g.id",
    1,
    {UUIDARRAYOID}};

static Datum uuid_array(const pg_uuid_t *ids, int count)
{
    ArrayType *array = live_new_array(UUIDOID, UUID_LEN, count);

    memcpy(ARR_DATA_PTR(array), ids, sizeof(pg_uuid_t) * count);
    return PointerGetDatum(array);
}

int live_set_offline(pg_uuid_t *ids, int count, bool (*still_silent)(const pg_uuid_t *, TimestampTz),
                     TimestampTz before)
{
    int locked, silent = 0;

    if (count == 0)
        return 0;
    locked = (int)hail_execute(&lock_silent, (Datum[]){uuid_array(ids, count)}, NULL, false, 0);
    for (int i = 0; i < locked; i++) {
        bool isnull;

        ids[i] = *DatumGetUUIDP(hail_result(i, 1, &isnull));
    }
    for (int i = 0; i < locked; i++)
        if (still_silent(&ids[i], before))
            ids[silent++] = ids[i];
    if (silent > 0)
        hail_execute(&set_offline, (Datum[]){uuid_array(ids, silent)}, NULL, false, 0);
    return silent;
}

static bool silent_in_index(const pg_uuid_t *driver_id, TimestampTz before)
{
    LiveEntry entry;

    return live_index_find(driver_id, &entry) && entry.last_seen < before;
}

/* The sweep over all slots: it goes on where the last run stopped, and begins again when none is left. */
static struct {
    int32 next, left;
} sweep;

/* Collect online, free drivers not heard of since `before`; slots of those long offline are given up; who is
 * said to have been heard of in the time ahead, was so now. */
static int sweep_slots(TimestampTz now, TimestampTz before, pg_uuid_t *silent)
{
    TimestampTz long_ago = now - RECLAIM_AGE, ahead = now + LIVE_MAX_AHEAD;
    int32 slots = live_index_slots();
    int count = 0;
    LiveEntry entry;

    if (sweep.left == 0)
        sweep.left = slots;
    while (sweep.left > 0 && count < EXPIRE_BATCH) {
        int32 end = Min(sweep.next + sweep.left, slots);
        int32 slot = live_index_next_silent(sweep.next, end, before, ahead);
        int32 passed = Min(slot + 1, end);

        sweep.left -= passed - sweep.next;
        sweep.next = passed < slots ? passed : 0;
        if (slot < end && live_index_read(slot, &entry) && entry.last_seen > ahead)
            live_index_rewind(slot, now);
        if (slot == end || !live_index_read(slot, &entry) || entry.last_seen >= before ||
            !live_uuid_is_zero(&entry.row.trip_id))
            continue;
        if (entry.row.online)
            silent[count++] = entry.row.driver_id;
        else if (entry.last_seen < long_ago)
            live_index_reclaim_slot(slot, long_ago);
    }
    return count;
}

static int expire_from_index(TimestampTz now, TimestampTz before)
{
    pg_uuid_t *silent = palloc(sizeof(pg_uuid_t) * EXPIRE_BATCH);
    int count = sweep_slots(now, before, silent);

    return live_set_offline(silent, count, silent_in_index, before);
}

bool live_more_to_expire(void)
{
    return sweep.left > 0;
}

int live_expire_presence(void)
{
    TimestampTz now = hail_now(), before = now - (TimestampTz)hail_presence_ttl_s * USECS_PER_SEC;
    HailOwner saved;
    int expired;

    if (live_mode() == LIVE_IN_MEMORY && !live_index_ready()) {
        sweep.left = 0; /* nothing to go on with */
        return 0;
    }
    saved = hail_owner_begin();
    expired =
        live_mode() == LIVE_IN_MEMORY ? expire_from_index(now, before) : live_tables_expire(now, before);
    hail_owner_end(saved);
    return expired;
}
