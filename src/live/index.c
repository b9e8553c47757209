/*
 * The live driver index: memory, hash, cells, verbs. The locking protocol is in index.h.
 *
 * A slot is found by its driver, filled by the first report or the first queued change of that driver, and
 * given up by live_index_reclaim() alone: when the driver is offline, free, silent, and no transaction has
 * queued a change for it. That makes row versions trustworthy: a change that commits late meets the version
 * that overtook it.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "port/pg_bitutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "live/index.h"
#include "live/layout.h"

/* A jump is judged when it is farther than this ... */
#define JUMP_MIN_M 500.0
/* ... and the position before it not older than this. */
#define JUMP_MAX_AGE (10 * 60 * USECS_PER_SEC)
/* A position older than this is not found, whenever it arrived. */
#define POSITION_MAX_AGE (60 * USECS_PER_SEC)

LiveIndex *live_index = NULL; /* NULL: not preloaded */

/* ---- memory ---- */

static uint32 power_of_two_from(uint32 n)
{
    return pg_nextpower2_32(Max(n, 1024));
}

static uint32 level_size(uint32 buckets, int level)
{
    uint64 cells = (uint64)cells_width(level) * cells_width(level);
    uint32 hashed = Max(buckets >> (level - 1), 64);

    return cells < hashed ? (uint32)cells : hashed;
}

/* Set the pointers of `index` (when not NULL) into the memory behind it; returns the bytes needed. */
static Size layout(LiveIndex *index, char *memory)
{
    int32 slots = hail_max_live_drivers;
    uint32 buckets = power_of_two_from(slots - slots / 4); /* 0.75 to 1.5 a driver */
    Size at = MAXALIGN(sizeof(LiveShared));

#define PLACE(field, type, count)                                                                            \
    do {                                                                                                     \
        at = CACHELINEALIGN(at);                                                                             \
        if (index)                                                                                           \
            index->field = (type *)(memory + at);                                                            \
        at += sizeof(type) * (Size)(count);                                                                  \
    } while (0)

    PLACE(hot, LiveHot, slots);
    PLACE(cold, LiveCold, slots);
    PLACE(partition_of, uint8, slots);
    PLACE(dirty, pg_atomic_uint32, (slots + 31) / 32);
    PLACE(moved, pg_atomic_uint32, (slots + 31) / 32);
    PLACE(hash, int32, buckets / 2);
    PLACE(cells, int32, buckets);
    PLACE(blocks, LiveBlock, slots / 2 + 1);
    for (int level = 1; level <= CELLS_LEVELS; level++)
        PLACE(counts[level], pg_atomic_uint32, level_size(buckets, level));
    PLACE(partitions, LivePartition, LIVE_PARTITIONS);
    PLACE(tiles, LiveTile, LIVE_TILES * LIVE_TILES);
#undef PLACE
    if (index) {
        index->shared = (LiveShared *)memory;
        index->slots = slots;
        index->hash_mask = buckets / 2 - 1;
        index->cell_mask = buckets - 1;
        for (int level = 1; level <= CELLS_LEVELS; level++)
            index->count_mask[level] = level_size(buckets, level) - 1;
    }
    return at + PG_CACHE_LINE_SIZE;
}

static Size live_size(void)
{
    return layout(NULL, NULL);
}

static int live_lock_count(void)
{
    return LIVE_PARTITIONS + LIVE_CELL_LOCKS + 2;
}

static void fill_empty(LiveIndex *index)
{
    LiveShared *shared = index->shared;

    pg_atomic_init_u32(&shared->ready, 0);
    pg_atomic_init_u32(&shared->rebuilding, 0);
    pg_atomic_init_u32(&shared->waiting, 0);
    pg_atomic_init_u64(&shared->searches, 0);
    shared->free_head = 0;
    shared->used = 0;
    for (int32 i = 0; i < index->slots; i++)
        index->hot[i].hash_next = i + 1 < index->slots ? i + 1 : LIVE_NO_SLOT;
    for (int32 i = 0; i < (index->slots + 31) / 32; i++) {
        pg_atomic_init_u32(&index->dirty[i], 0);
        pg_atomic_init_u32(&index->moved[i], 0);
    }
    for (uint32 i = 0; i <= index->hash_mask; i++)
        index->hash[i] = LIVE_NO_SLOT;
    for (uint32 i = 0; i <= index->cell_mask; i++)
        index->cells[i] = LIVE_NO_SLOT;
    shared->free_block = 0;
    for (int32 i = 0; i <= index->slots / 2; i++)
        index->blocks[i].next = i < index->slots / 2 ? i + 1 : LIVE_NO_SLOT;
    for (int level = 1; level <= CELLS_LEVELS; level++)
        for (uint32 i = 0; i <= index->count_mask[level]; i++)
            pg_atomic_init_u32(&index->counts[level][i], 0);
    for (int i = 0; i < LIVE_TILES * LIVE_TILES; i++) {
        pg_atomic_init_u32(&index->tiles[i].begun, 0);
        pg_atomic_init_u32(&index->tiles[i].ended, 0);
    }
}

static void live_startup(void *memory, LWLockPadded *locks, bool found)
{
    static LiveIndex index;

    StaticAssertStmt(sizeof(LiveHot) == 64, "a search reads one cache line a driver");
    StaticAssertStmt(sizeof(LiveHot) + sizeof(LiveCold) + sizeof(LiveBlock) / 2 <= 240,
                     "under 256 bytes a driver, tables included");
    layout(&index, (char *)CACHELINEALIGN(memory));
    index.locks = locks;
    if (!found) {
        memset(memory, 0, live_size());
        fill_empty(&index);
    }
    live_index = &index;
}

static const HailShmemModule live_shmem = {"hail_live", live_size, live_lock_count, live_startup};

void live_index_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&live_shmem);
}

bool live_index_attached(void)
{
    return live_index != NULL;
}

int32 live_index_slots(void)
{
    return live_index->slots;
}

bool live_index_ready(void)
{
    return pg_atomic_read_u32(&live_index->shared->ready) != 0;
}

void live_index_set_ready(bool ready)
{
    pg_atomic_write_u32(&live_index->shared->ready, ready);
}

void live_index_begin_rebuild(void)
{
    pg_atomic_write_u32(&live_index->shared->rebuilding, 1);
    for (int p = 0; p < LIVE_PARTITIONS; p++) { /* whoever reclaims under one of them, ends first */
        LWLockAcquire(&live_index->locks[p].lock, LW_EXCLUSIVE);
        LWLockRelease(&live_index->locks[p].lock);
    }
}

bool live_index_end_rebuild(bool complete)
{
    uint32 running = 1;

    if (complete)
        live_index_set_ready(true);
    if (pg_atomic_compare_exchange_u32(&live_index->shared->rebuilding, &running, 0))
        return complete;
    live_index_set_ready(false); /* cleared meanwhile */
    return false;
}

/* ---- hash ---- */

static uint32 driver_hash(const pg_uuid_t *id)
{
    uint64 halves[2];

    /*
     * The last eight bytes of a UUID v7 are random, but ids made by hand may differ in one byte only,
     * wherever it is: a multiplication carries a difference upwards alone, so the halves are folded before
     * each (finalizer of MurmurHash3).
     */
    memcpy(halves, id->data, sizeof(halves));
    halves[1] ^= halves[0] * UINT64CONST(0x9E3779B97F4A7C15);
    halves[1] ^= halves[1] >> 33;
    halves[1] *= UINT64CONST(0xFF51AFD7ED558CCD);
    halves[1] ^= halves[1] >> 33;
    halves[1] *= UINT64CONST(0xC4CEB9FE1A85EC53);
    return (uint32)(halves[1] >> 32);
}

static inline LWLock *partition_lock(int partition)
{
    return &live_index->locks[partition].lock;
}

static inline int partition_of_hash(uint32 hash)
{
    return hash & (LIVE_PARTITIONS - 1);
}

static inline LWLock *free_lock(void)
{
    return &live_index->locks[LIVE_PARTITIONS + LIVE_CELL_LOCKS].lock;
}

/* Partition lock held. */
static int32 find_slot(const pg_uuid_t *id, uint32 hash)
{
    int32 slot = live_index->hash[hash & live_index->hash_mask];

    while (slot != LIVE_NO_SLOT && live_uuid_cmp(&live_index->cold[slot].row.driver_id, id) != 0)
        slot = live_index->hot[slot].hash_next;
    return slot;
}

/* Partition lock held exclusively. */
static int32 take_slot(const pg_uuid_t *id, uint32 hash)
{
    int32 slot, *head = &live_index->hash[hash & live_index->hash_mask];
    LiveCold *cold;

    LWLockAcquire(free_lock(), LW_EXCLUSIVE);
    slot = live_index->shared->free_head;
    if (slot != LIVE_NO_SLOT) {
        live_index->shared->free_head = live_index->hot[slot].hash_next;
        live_index->shared->used++;
    }
    LWLockRelease(free_lock());
    if (slot == LIVE_NO_SLOT)
        return slot;

    cold = &live_index->cold[slot];
    memset(&live_index->hot[slot], 0, sizeof(LiveHot));
    memset(cold, 0, sizeof(LiveCold));
    cold->row.driver_id = *id;
    cold->heading = cold->speed = cold->accuracy = NAN;
    live_index->hot[slot].used = true;
    live_index->hot[slot].hash_next = *head;
    *head = slot;
    live_index->partition_of[slot] = partition_of_hash(hash);
    return slot;
}

/* Partition lock held exclusively. */
static void give_up_slot(int32 slot, int32 *link)
{
    *link = live_index->hot[slot].hash_next;
    live_index->hot[slot].used = false;
    LWLockAcquire(free_lock(), LW_EXCLUSIVE);
    live_index->hot[slot].hash_next = live_index->shared->free_head;
    live_index->shared->free_head = slot;
    live_index->shared->used--;
    LWLockRelease(free_lock());
}

static int32 reserve_once(const pg_uuid_t *driver_id, uint32 hash, bool create)
{
    LWLock *lock = partition_lock(partition_of_hash(hash));
    int32 slot;

    LWLockAcquire(lock, LW_EXCLUSIVE);
    slot = find_slot(driver_id, hash);
    if (slot == LIVE_NO_SLOT && create)
        slot = take_slot(driver_id, hash);
    if (slot != LIVE_NO_SLOT)
        live_index->cold[slot].reservations++;
    LWLockRelease(lock);
    return slot;
}

int32 live_index_reserve(const pg_uuid_t *driver_id, bool create)
{
    uint32 hash = driver_hash(driver_id);
    int32 slot = reserve_once(driver_id, hash, create);

    if (slot == LIVE_NO_SLOT && create && live_index_reclaim(0) > 0)
        slot = reserve_once(driver_id, hash, create);
    return slot;
}

/* A slot that nothing was ever put into goes at once. */
void live_index_unreserve(int32 slot)
{
    LWLock *lock = partition_lock(live_index->partition_of[slot]);
    LiveCold *cold = &live_index->cold[slot];

    LWLockAcquire(lock, LW_EXCLUSIVE);
    cold->reservations--;
    if (cold->reservations == 0 && cold->row.version == 0 && cold->recorded_at == 0 &&
        live_index->hot[slot].pending_offers == 0) {
        int32 *link = &live_index->hash[driver_hash(&cold->row.driver_id) & live_index->hash_mask];

        while (*link != slot)
            link = &live_index->hot[*link].hash_next;
        give_up_slot(slot, link);
    }
    LWLockRelease(lock);
}

/* ---- cells ---- */

static void count_up_to_common(uint32 cell, uint32 other, bool all, int delta)
{
    for (int level = 1; level <= CELLS_LEVELS; level++) {
        uint32 key = cells_parent(cell, level);

        if (!all && key == cells_parent(other, level))
            return;
        pg_atomic_fetch_add_u32(live_count_of(live_index, level, key), delta);
    }
}

/* A free block with `slot` in it. Cell lock held exclusively, so no more blocks can be wanted than there are.
 */
static int32 take_block(int32 slot, int32 next)
{
    int32 block;

    LWLockAcquire(free_lock(), LW_EXCLUSIVE);
    block = live_index->shared->free_block;
    Assert(block != LIVE_NO_SLOT);
    live_index->shared->free_block = live_index->blocks[block].next;
    LWLockRelease(free_lock());
    live_index->blocks[block].next = next;
    live_index->blocks[block].slots[0] = slot;
    for (int i = 1; i < LIVE_BLOCK_ROOM; i++)
        live_index->blocks[block].slots[i] = LIVE_NO_SLOT;
    live_index->hot[slot].block = block;
    return block;
}

static void give_up_block(int32 block)
{
    LWLockAcquire(free_lock(), LW_EXCLUSIVE);
    live_index->blocks[block].next = live_index->shared->free_block;
    live_index->shared->free_block = block;
    LWLockRelease(free_lock());
}

static int block_count(const LiveBlock *block)
{
    int count = 0;

    while (count < LIVE_BLOCK_ROOM && block->slots[count] != LIVE_NO_SLOT)
        count++;
    return count;
}

static void link_slot(int32 slot, uint32 cell)
{
    int32 *head = &live_index->cells[live_bucket_of(live_index, cell)], block;
    int count;

    live_index->hot[slot].cell = cell;
    live_index->hot[slot].linked = true;
    if (*head == LIVE_NO_SLOT) {
        *head = slot;
        return;
    }
    block = *head >= 0 ? take_block(*head, LIVE_NO_SLOT) : live_block_head(*head);
    count = block_count(&live_index->blocks[block]);
    if (count == LIVE_BLOCK_ROOM)
        block = take_block(slot, block);
    else {
        live_index->blocks[block].slots[count] = slot;
        live_index->hot[slot].block = block;
    }
    *head = live_block_head(block);
}

/* The last of the first block takes the place of `slot`. */
static void unlink_slot(int32 slot)
{
    int32 *head = &live_index->cells[live_bucket_of(live_index, live_index->hot[slot].cell)];
    int32 first, last;
    LiveBlock *block, *hole;
    int count, at = 0;

    live_index->hot[slot].linked = false;
    if (*head >= 0) {
        *head = LIVE_NO_SLOT;
        return;
    }
    first = live_block_head(*head);
    block = &live_index->blocks[first];
    hole = &live_index->blocks[live_index->hot[slot].block];
    count = block_count(block) - 1;
    last = block->slots[count];
    while (hole->slots[at] != slot)
        at++;
    hole->slots[at] = last;
    live_index->hot[last].block = live_index->hot[slot].block;
    block->slots[count] = LIVE_NO_SLOT;
    if (count == 0)
        *head = live_block_head(block->next);
    else if (count == 1 && block->next == LIVE_NO_SLOT)
        *head = block->slots[0];
    else
        return;
    give_up_block(first);
}

static bool linkable(const LiveCold *cold)
{
    return cold->row.approved && cold->row.online && cold->recorded_at != 0 &&
           (live_uuid_is_zero(&cold->row.trip_id) || live_room(&cold->row) > 0);
}

/* Cell locks held, in their order: both may be the same. LIVE_CELL_LOCKS: none. */
typedef struct CellLocks {
    int first, second;
} CellLocks;

/* Lock the cells a slot leaves and enters (LIVE_CELL_LOCKS: none). */
static CellLocks lock_cells(int leaves, int enters)
{
    CellLocks locks = {Min(leaves, enters), Max(leaves, enters)};

    if (locks.first < LIVE_CELL_LOCKS)
        LWLockAcquire(live_cell_lock(live_index, locks.first), LW_EXCLUSIVE);
    if (locks.second < LIVE_CELL_LOCKS && locks.second != locks.first)
        LWLockAcquire(live_cell_lock(live_index, locks.second), LW_EXCLUSIVE);
    return locks;
}

static void unlock_cells(CellLocks locks)
{
    if (locks.second < LIVE_CELL_LOCKS && locks.second != locks.first)
        LWLockRelease(live_cell_lock(live_index, locks.second));
    if (locks.first < LIVE_CELL_LOCKS)
        LWLockRelease(live_cell_lock(live_index, locks.first));
}

/* Wait while a search keeps the gate closed. */
static void pass_gate(void)
{
    if (likely(pg_atomic_read_u32(&live_index->shared->waiting) == 0))
        return;
    LWLockAcquire(live_gate(live_index), LW_SHARED);
    LWLockRelease(live_gate(live_index));
}

static LiveTile *tile_of(uint32 cell)
{
    uint32 key = cells_parent(cell, LIVE_TILE_LEVEL);

    return live_tile(live_index, key >> 16, key & 0xffff);
}

/*
 * Write a changed slot and put it where it belongs. Partition lock held exclusively; `hot` and `cold` are the
 * caller's changed copies.
 */
static void store_slot(int32 slot, const LiveHot *hot, const LiveCold *cold)
{
    LiveHot *h = &live_index->hot[slot];
    uint32 old_cell = h->cell, new_cell = cold->recorded_at != 0 ? cells_key(cold->lat, cold->lng) : 0;
    bool was = h->linked, will = linkable(cold), move = was != will || (was && old_cell != new_cell);
    bool unlinks = was && move, links = will && move;
    CellLocks locks;

    if (links) {
        pass_gate();
        count_up_to_common(new_cell, old_cell, !was, 1);
    }
    locks = lock_cells(was ? live_cell_lock_of(live_index, old_cell) : LIVE_CELL_LOCKS,
                       links ? live_cell_lock_of(live_index, new_cell) : LIVE_CELL_LOCKS);
    if (links)
        pg_atomic_fetch_add_u32(&tile_of(new_cell)->begun, 1);

    if (unlinks)
        unlink_slot(slot);
    h->at = hot->at;
    h->class_mask = hot->class_mask;
    h->fresh_at = hot->fresh_at;
    h->cooldown_until = hot->cooldown_until;
    h->pending_offers = hot->pending_offers;
    live_index->cold[slot] = *cold;
    if (links)
        link_slot(slot, new_cell);

    if (links)
        pg_atomic_fetch_add_u32(&tile_of(new_cell)->ended, 1);
    unlock_cells(locks);
    if (unlinks)
        count_up_to_common(old_cell, new_cell, !will, -1);
}

/* ---- verbs ---- */

/* Mirror `row` into copies of a slot. */
static void mirror_row(LiveHot *hot, LiveCold *cold, const LiveRow *row, TimestampTz now)
{
    bool was_online = cold->row.online;

    if (live_uuid_cmp(&cold->row.trip_id, &row->trip_id) != 0)
        cold->busy_since = now;
    cold->row = *row;
    if (row->online && !was_online && cold->last_seen < now)
        cold->last_seen = now; /* going online is being heard of */
    hot->class_mask = row->class_mask;
    hot->cooldown_until = live_found_from(row);
}

/* Partition lock held exclusively. */
static void apply_row(int32 slot, const LiveRow *row, TimestampTz now)
{
    LiveHot hot = live_index->hot[slot];
    LiveCold cold = live_index->cold[slot];

    mirror_row(&hot, &cold, row, now);
    store_slot(slot, &hot, &cold);
    live_index_mark_moved(slot / 32, 1u << (slot % 32));
}

void live_index_apply(int32 slot, const LiveRow *row, TimestampTz now)
{
    LWLock *lock = partition_lock(live_index->partition_of[slot]);

    LWLockAcquire(lock, LW_EXCLUSIVE);
    if (row->version > live_index->cold[slot].row.version ||
        (live_index->cold[slot].row.deleted && !row->deleted))
        apply_row(slot, row, now);
    LWLockRelease(lock);
}

/* Partition lock held exclusively. */
static void set_offers(int32 slot, int count)
{
    LiveHot hot = live_index->hot[slot];
    LiveCold cold = live_index->cold[slot];

    hot.pending_offers = Min(Max(count, 0), PG_UINT16_MAX);
    store_slot(slot, &hot, &cold);
}

void live_index_add_offers(const pg_uuid_t *driver_id, int delta)
{
    uint32 hash = driver_hash(driver_id);
    LWLock *lock = partition_lock(partition_of_hash(hash));
    int32 slot;

    LWLockAcquire(lock, LW_EXCLUSIVE);
    slot = find_slot(driver_id, hash);
    if (slot != LIVE_NO_SLOT)
        set_offers(slot, live_index->hot[slot].pending_offers + delta);
    LWLockRelease(lock);
}

void live_index_set_offers(int32 slot, int count)
{
    LWLock *lock = partition_lock(live_index->partition_of[slot]);

    LWLockAcquire(lock, LW_EXCLUSIVE);
    set_offers(slot, count);
    LWLockRelease(lock);
}

static bool impossible_jump(const LiveHot *hot, const LiveCold *cold, GeoVector at, const LiveReport *report)
{
    double chord2 = geo_chord2(hot->at, at);
    TimestampTz elapsed = report->recorded_at - cold->recorded_at;

    /* 500 m as a squared chord, without its sine: the difference is far below a millimetre */
    if (report->trusted || cold->recorded_at == 0 || elapsed > JUMP_MAX_AGE ||
        chord2 <= (JUMP_MIN_M / GEO_EARTH_RADIUS_M) * (JUMP_MIN_M / GEO_EARTH_RADIUS_M))
        return false;
    return geo_chord2_to_m(chord2) * 3.6 > (double)hail_max_speed_kmh * ((double)elapsed / USECS_PER_SEC);
}

static void place(LiveHot *hot, LiveCold *cold, GeoVector at, const LiveReport *report)
{
    TimestampTz ttl = (TimestampTz)hail_presence_ttl_s * USECS_PER_SEC;

    hot->at = at;
    hot->fresh_at = Min(report->received_at, report->recorded_at + POSITION_MAX_AGE - ttl);
    cold->lat = report->lat;
    cold->lng = report->lng;
    cold->heading = report->heading;
    cold->speed = report->speed;
    cold->accuracy = report->accuracy;
    cold->recorded_at = report->recorded_at;
}

/* One point per hail.history_interval off a trip, counted in the points' own time, so that points sent late
 * count too. */
static void decide_history(LiveCold *cold, const LiveRow *row, const LiveReport *report,
                           LiveReportResult *result)
{
    int64 apart = cold->last_history_at - report->recorded_at;
    bool on_trip = !live_uuid_is_zero(&cold->row.trip_id) && report->recorded_at >= cold->busy_since;

    if (on_trip)
        result->trip_id = cold->row.trip_id;
    result->keep_history = on_trip || (row->online && (apart < 0 ? -apart : apart) >=
                                                          (int64)hail_history_interval_s * USECS_PER_SEC);
    if (result->keep_history)
        cold->last_history_at = report->recorded_at;
}

/*
 * The position there, sent again: it has the same time. Where that is the time of arrival too (a clock that
 * stands still), everything must be the same.
 */
static bool repeats(const LiveCold *cold, const LiveReport *report)
{
    const float there[] = {cold->heading, cold->speed, cold->accuracy};
    const float sent[] = {report->heading, report->speed, report->accuracy};

    if (!report->own_time || report->recorded_at != cold->recorded_at)
        return false;
    return report->recorded_at != report->received_at ||
           (report->lat == cold->lat && report->lng == cold->lng && memcmp(there, sent, sizeof(sent)) == 0);
}

void live_decide_report(LiveHot *hot, LiveCold *cold, const LiveRow *row, const LiveReport *report,
                        GeoVector at, LiveReportResult *result)
{
    if (!row->approved) {
        result->status = LIVE_REPORT_NOT_APPROVED;
        return;
    }
    if (report->recorded_at < cold->recorded_at)
        result->status = LIVE_REPORT_LATE;
    else if (repeats(cold, report))
        result->status = LIVE_REPORT_DUPLICATE;
    else if (impossible_jump(hot, cold, at, report)) {
        result->status = LIVE_REPORT_IMPOSSIBLE;
        result->jump_m = geo_chord2_to_m(geo_chord2(hot->at, at));
        result->from_at = cold->recorded_at;
    } else {
        result->status = LIVE_REPORT_APPLIED;
        place(hot, cold, at, report);
    }
    if (cold->last_seen < report->received_at)
        cold->last_seen = report->received_at;
    if (result->status == LIVE_REPORT_APPLIED || result->status == LIVE_REPORT_LATE)
        decide_history(cold, row, report, result);
    result->state = live_state(row, hot->pending_offers, report->received_at);
    result->pending_offers = hot->pending_offers;
}

/* Partition lock held exclusively. */
static void take_report(int32 slot, const LiveReport *report, GeoVector at, const LiveRow *pending,
                        LiveReportResult *result)
{
    LiveHot hot = live_index->hot[slot];
    LiveCold cold = live_index->cold[slot];
    LiveRow row = pending ? *pending : cold.row;
    LivePartition *partition = &live_index->partitions[live_index->partition_of[slot]];

    live_decide_report(&hot, &cold, &row, report, at, result);
    partition->reports++;
    partition->late += result->status == LIVE_REPORT_LATE;
    partition->impossible += result->status == LIVE_REPORT_IMPOSSIBLE;
    if (result->status == LIVE_REPORT_NOT_APPROVED)
        return;
    store_slot(slot, &hot, &cold);
    live_index_mark_dirty(slot);
    live_index_mark_moved(slot / 32, 1u << (slot % 32));
}

LiveReportResult live_index_report(const LiveReport *report, const LiveRow *pending)
{
    LiveReportResult result = {LIVE_REPORT_UNKNOWN, LIVE_OFFLINE};
    uint32 hash = driver_hash(&report->driver_id);
    LWLock *lock = partition_lock(partition_of_hash(hash));
    GeoVector at = geo_vector(report->lat, report->lng);
    int32 slot;

    LWLockAcquire(lock, LW_EXCLUSIVE);
    slot = find_slot(&report->driver_id, hash);
    if (slot != LIVE_NO_SLOT && (pending || live_index->cold[slot].row.version > 0))
        take_report(slot, report, at, pending, &result);
    LWLockRelease(lock);
    return result;
}

void live_index_fetch(const pg_uuid_t *driver_id, int step)
{
    const volatile int32 *head = &live_index->hash[driver_hash(driver_id) & live_index->hash_mask];
    int32 slot;

    if (step == 0) {
        __builtin_prefetch((const void *)head);
        return;
    }
    slot = *head; /* whatever it is by now, it is a slot or none */
    if (step == 2 && slot != LIVE_NO_SLOT) {
        if (live_uuid_cmp(&live_index->cold[slot].row.driver_id, driver_id) == 0)
            return;
        slot = *(volatile int32 *)&live_index->hot[slot].hash_next;
    }
    if (slot == LIVE_NO_SLOT)
        return;
    __builtin_prefetch(&live_index->hot[slot], 1);
    for (Size at = 0; at < sizeof(LiveCold); at += PG_CACHE_LINE_SIZE / 2)
        __builtin_prefetch((char *)&live_index->cold[slot] + at, 1);
}

void live_index_load(const LiveReport *report)
{
    uint32 hash = driver_hash(&report->driver_id);
    LWLock *lock = partition_lock(partition_of_hash(hash));
    GeoVector at = geo_vector(report->lat, report->lng);
    int32 slot;

    LWLockAcquire(lock, LW_EXCLUSIVE);
    slot = find_slot(&report->driver_id, hash);
    if (slot != LIVE_NO_SLOT && live_index->cold[slot].recorded_at < report->recorded_at) {
        LiveHot hot = live_index->hot[slot];
        LiveCold cold = live_index->cold[slot];

        place(&hot, &cold, at, report);
        if (cold.last_seen < report->received_at)
            cold.last_seen = report->received_at;
        store_slot(slot, &hot, &cold);
    }
    LWLockRelease(lock);
}

bool live_index_restore(const LiveRow *row, TimestampTz now)
{
    uint32 hash = driver_hash(&row->driver_id);
    LWLock *lock = partition_lock(partition_of_hash(hash));
    int32 slot;

    LWLockAcquire(lock, LW_EXCLUSIVE);
    slot = find_slot(&row->driver_id, hash);
    if (slot == LIVE_NO_SLOT)
        slot = take_slot(&row->driver_id, hash);
    if (slot != LIVE_NO_SLOT && row->version > live_index->cold[slot].row.version &&
        !live_index->cold[slot].row.deleted)
        apply_row(slot, row, now);
    LWLockRelease(lock);
    return slot != LIVE_NO_SLOT;
}

bool live_index_read(int32 slot, LiveEntry *entry)
{
    int partition = *(volatile uint8 *)&live_index->partition_of[slot];
    LWLock *lock = partition_lock(partition);
    bool used;

    LWLockAcquire(lock, LW_SHARED);
    /* a slot in use changes its partition only under that partition's lock */
    used = live_index->hot[slot].used && live_index->partition_of[slot] == partition;
    if (used) {
        entry->slot = slot;
        entry->hot = live_index->hot[slot];
        entry->cold = live_index->cold[slot];
    }
    LWLockRelease(lock);
    return used;
}

bool live_index_find(const pg_uuid_t *driver_id, LiveEntry *entry)
{
    uint32 hash = driver_hash(driver_id);
    LWLock *lock = partition_lock(partition_of_hash(hash));
    int32 slot;

    LWLockAcquire(lock, LW_SHARED);
    slot = find_slot(driver_id, hash);
    if (slot != LIVE_NO_SLOT) {
        entry->slot = slot;
        entry->hot = live_index->hot[slot];
        entry->cold = live_index->cold[slot];
    }
    LWLockRelease(lock);
    return slot != LIVE_NO_SLOT;
}

static uint32 take_marks(pg_atomic_uint32 *word)
{
    return pg_atomic_read_u32(word) == 0 ? 0 : pg_atomic_exchange_u32(word, 0);
}

static void put_marks(pg_atomic_uint32 *word, uint32 bits)
{
    if ((pg_atomic_read_u32(word) & bits) != bits)
        pg_atomic_fetch_or_u32(word, bits);
}

uint32 live_index_take_dirty(int32 word)
{
    return take_marks(&live_index->dirty[word]);
}

void live_index_mark_dirty(int32 slot)
{
    put_marks(&live_index->dirty[slot / 32], 1u << (slot % 32));
}

uint32 live_index_take_moved(int32 word)
{
    return take_marks(&live_index->moved[word]);
}

void live_index_mark_moved(int32 word, uint32 bits)
{
    put_marks(&live_index->moved[word], bits);
}

static bool is_dirty(int32 slot)
{
    return (pg_atomic_read_u32(&live_index->dirty[slot / 32]) & (1u << (slot % 32))) != 0;
}

static bool reclaimable(int32 slot, TimestampTz before)
{
    const LiveCold *cold = &live_index->cold[slot];

    return !cold->row.online && live_uuid_is_zero(&cold->row.trip_id) && cold->reservations == 0 &&
           live_index->hot[slot].pending_offers == 0 && (before == 0 || cold->last_seen < before) &&
           !is_dirty(slot);
}

static bool may_reclaim(void)
{
    return pg_atomic_read_u32(&live_index->shared->rebuilding) == 0;
}

int live_index_reclaim(TimestampTz before)
{
    int reclaimed = 0;

    for (int p = 0; p < LIVE_PARTITIONS; p++) {
        LWLockAcquire(partition_lock(p), LW_EXCLUSIVE);
        for (uint32 chain = p; chain <= live_index->hash_mask && may_reclaim(); chain += LIVE_PARTITIONS) {
            int32 *link = &live_index->hash[chain];

            while (*link != LIVE_NO_SLOT) {
                if (reclaimable(*link, before)) {
                    give_up_slot(*link, link);
                    reclaimed++;
                } else
                    link = &live_index->hot[*link].hash_next;
            }
        }
        LWLockRelease(partition_lock(p));
    }
    return reclaimed;
}

void live_index_clear(void)
{
    live_index_set_ready(false);
    pg_atomic_exchange_u32(&live_index->shared->rebuilding, 0); /* one that runs has failed */
    for (int32 slot = 0; slot < live_index->slots; slot++) {
        LiveEntry entry;
        LWLock *lock;

        if (!live_index_read(slot, &entry))
            continue;
        lock = partition_lock(live_index->partition_of[slot]);
        LWLockAcquire(lock, LW_EXCLUSIVE);
        if (live_index->hot[slot].used) {
            LiveHot hot = {{0}};
            LiveCold cold = live_index->cold[slot];
            pg_uuid_t driver_id = cold.row.driver_id;

            memset(&cold.row, 0, sizeof(cold.row));
            cold.row.driver_id = driver_id;
            cold.recorded_at = cold.last_seen = 0;
            store_slot(slot, &hot, &cold);
            pg_atomic_fetch_and_u32(&live_index->dirty[slot / 32], ~(1u << (slot % 32)));
        }
        LWLockRelease(lock);
    }
    live_index_reclaim(0);
}

LiveState live_state(const LiveRow *row, int pending_offers, TimestampTz now)
{
    if (!live_uuid_is_zero(&row->trip_id))
        return LIVE_BUSY;
    if (!row->approved || !row->online)
        return LIVE_OFFLINE;
    if (row->cooldown_until > now)
        return LIVE_COOLDOWN;
    return pending_offers > 0 ? LIVE_OFFERED : LIVE_AVAILABLE;
}

const char *live_state_name(LiveState state)
{
    static const char *const names[] = {"offline", "available", "offered", "busy", "cooldown"};

    return names[state];
}

TimestampTz live_found_from(const LiveRow *row)
{
    return live_uuid_is_zero(&row->trip_id) ? Min(row->cooldown_until, LIVE_ON_TRIP - 1) : LIVE_ON_TRIP;
}

bool live_entry_available(const LiveEntry *entry, TimestampTz now)
{
    return linkable(&entry->cold) && live_uuid_is_zero(&entry->cold.row.trip_id) &&
           entry->hot.cooldown_until <= now &&
           entry->hot.fresh_at >= now - (TimestampTz)hail_presence_ttl_s * USECS_PER_SEC;
}

void live_hit_fill(LiveHit *hit, const LiveHot *hot, const LiveCold *cold, double distance_m)
{
    hit->driver_id = cold->row.driver_id;
    hit->lat = cold->lat;
    hit->lng = cold->lng;
    hit->distance_m = distance_m;
    hit->heading = cold->heading;
    hit->speed = cold->speed;
    hit->rating = cold->row.rating;
    hit->acceptance = cold->row.acceptance;
    hit->completion = cold->row.completion;
    hit->vehicle_score = cold->row.vehicle_score;
    hit->pending_offers = hot->pending_offers;
    hit->class_mask = hot->class_mask;
    hit->area_mask = cold->row.area_mask;
    hit->last_seen = cold->last_seen;
    hit->idle_since = cold->row.idle_since;
}

LiveIndexStats live_index_stats(void)
{
    LiveIndexStats stats = {live_index->slots, live_index->shared->used};

    stats.available = pg_atomic_read_u32(live_count_of(live_index, CELLS_LEVELS, 0));
    stats.memory_bytes = live_size();
    stats.searches = pg_atomic_read_u64(&live_index->shared->searches);
    stats.ready = live_index_ready();
    for (int p = 0; p < LIVE_PARTITIONS; p++) {
        LWLockAcquire(partition_lock(p), LW_SHARED);
        stats.reports += live_index->partitions[p].reports;
        stats.late += live_index->partitions[p].late;
        stats.impossible += live_index->partitions[p].impossible;
        LWLockRelease(partition_lock(p));
    }
    return stats;
}
