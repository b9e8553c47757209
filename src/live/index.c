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

LiveIndex *live_index = NULL; /* NULL: not preloaded */

/* ---- memory ---- */

static uint32 power_of_two_from(uint32 n)
{
    return pg_nextpower2_32(Max(n, 1024));
}

/* Entries of a level's table: half as many from level to level, and no more than there are cells. */
static uint32 level_size(uint32 buckets, int level)
{
    uint64 cells = (uint64)cells_rows(level) * cells_cols(level);

    return (uint32)Min(Max(buckets >> level, 4 * CELLS_FAMILY), Max(cells, CELLS_FAMILY));
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
    PLACE(dirty, pg_atomic_uint32, (slots + 31) / 32);
    PLACE(moved, pg_atomic_uint32, (slots + 31) / 32);
    PLACE(hash, int32, buckets / 2);
    PLACE(cells, int32, buckets);
    for (int level = 1; level <= CELLS_LEVELS; level++)
        PLACE(counts[level], pg_atomic_uint32, level_size(buckets, level));
    PLACE(blocks, LiveBlock, slots / 2 + 1);
    PLACE(partitions, LivePartition, LIVE_PARTITIONS);
    PLACE(stripes, LiveStripe, LIVE_STRIPES);
    PLACE(tiles, LiveTile, LIVE_TILES * LIVE_TILES);
#undef PLACE
    if (index) {
        index->shared = (LiveShared *)memory;
        index->slots = slots;
        index->hash_mask = buckets / 2 - 1;
        for (int level = 0; level <= CELLS_LEVELS; level++)
            index->family_mask[level] = level_size(buckets, level) / CELLS_FAMILY - 1;
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
    shared->free_block = 0;
    for (int32 i = 0; i <= index->slots / 2; i++)
        index->blocks[i].next = i < index->slots / 2 ? i + 1 : LIVE_NO_SLOT;
    for (int i = 0; i < LIVE_STRIPES; i++) {
        LiveStripe *stripe = &index->stripes[i];

        pg_atomic_init_u64(&stripe->searches, 0);
        pg_atomic_init_u64(&stripe->cells_visited, 0);
        pg_atomic_init_u64(&stripe->drivers_visited, 0);
        pg_atomic_init_u64(&stripe->search_reruns, 0);
        pg_atomic_init_u64(&stripe->lock_waits, 0);
    }
}

static void live_startup(void *memory, LWLockPadded *locks, bool found)
{
    static LiveIndex index;

    StaticAssertStmt(sizeof(LiveHot) == 64, "a search reads one cache line a driver");
    StaticAssertStmt(sizeof(LiveHot) + sizeof(LiveCold) + sizeof(LiveBlock) / 2 <= 176,
                     "at most 192 bytes a driver, tables included");
    layout(&index, (char *)CACHELINEALIGN(memory));
    index.locks = locks;
    if (!found) {
        memset(memory, 0, live_size()); /* zero is also an empty cell, a count and a tile never touched */
        fill_empty(&index);
    }
    live_index = &index;
}

static const HailShmemModule live_shmem = {"hail_live", live_size, live_lock_count, live_startup,
                                           live_index_clear};

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

/* Of a slot in use: no change while its partition is locked. */
static inline int partition_of_slot(int32 slot)
{
    return partition_of_hash(driver_hash(&live_index->hot[slot].driver_id));
}

static inline LWLock *free_lock(void)
{
    return &live_index->locks[LIVE_PARTITIONS + LIVE_CELL_LOCKS].lock;
}

/* Partition lock held. */
static int32 find_slot(const pg_uuid_t *id, uint32 hash)
{
    int32 slot = live_index->hash[hash & live_index->hash_mask];

    while (slot != LIVE_NO_SLOT && live_uuid_cmp(&live_index->hot[slot].driver_id, id) != 0)
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
    live_index->hot[slot].driver_id = *id;
    cold->heading = cold->speed = cold->accuracy = LIVE_UNKNOWN;
    pg_write_barrier(); /* see live_index_read() */
    live_index->hot[slot].used = true;
    live_index->hot[slot].hash_next = *head;
    *head = slot;
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

/* What links to a slot in its chain. Partition lock held. */
static int32 *link_to(int32 slot)
{
    uint32 hash = driver_hash(&live_index->hot[slot].driver_id);
    int32 *link = &live_index->hash[hash & live_index->hash_mask];

    while (*link != slot)
        link = &live_index->hot[*link].hash_next;
    return link;
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
    LWLock *lock = partition_lock(partition_of_slot(slot));
    LiveCold *cold = &live_index->cold[slot];

    LWLockAcquire(lock, LW_EXCLUSIVE);
    cold->reservations--;
    if (cold->reservations == 0 && cold->version == 0 && cold->recorded_at == 0 &&
        live_index->hot[slot].pending_offers == 0) {
        give_up_slot(slot, link_to(slot));
    }
    LWLockRelease(lock);
}

/* ---- cells ---- */

/* Count in every cell above `cell` that is not above `other` too (`all`: in every one). */
static void count_up_to_common(CellsKey cell, CellsKey other, bool all, int delta)
{
    for (int level = 1; level <= CELLS_LEVELS; level++) {
        cell = cells_parent(cell, 1);
        other = cells_parent(other, 1);
        if (!all && cell == other)
            return;
        pg_atomic_fetch_add_u32(live_count_of(live_index, level, cell), delta);
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
    live_index->cold[slot].block = block;
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

static void link_slot(int32 slot, uint32 bucket)
{
    int32 *head = &live_index->cells[bucket], block;
    int count;

    live_index->hot[slot].linked = true;
    if (*head == 0) {
        *head = live_slot_head(slot);
        return;
    }
    block = *head < 0 ? take_block(live_head_slot(*head), LIVE_NO_SLOT) : live_head_block(*head);
    count = block_count(&live_index->blocks[block]);
    if (count == LIVE_BLOCK_ROOM)
        block = take_block(slot, block);
    else {
        live_index->blocks[block].slots[count] = slot;
        live_index->cold[slot].block = block;
    }
    *head = live_block_head(block);
}

/* The last of the first block takes the place of `slot`. */
static void unlink_slot(int32 slot, uint32 bucket)
{
    int32 *head = &live_index->cells[bucket];
    int32 first, last;
    LiveBlock *block, *hole;
    int count, at = 0;

    live_index->hot[slot].linked = false;
    if (*head < 0) {
        *head = 0;
        return;
    }
    first = live_head_block(*head);
    block = &live_index->blocks[first];
    hole = &live_index->blocks[live_index->cold[slot].block];
    count = block_count(block) - 1;
    last = block->slots[count];
    while (hole->slots[at] != slot)
        at++;
    hole->slots[at] = last;
    live_index->cold[last].block = live_index->cold[slot].block;
    block->slots[count] = LIVE_NO_SLOT;
    if (count == 0)
        *head = live_block_head(block->next);
    else if (count == 1 && block->next == LIVE_NO_SLOT)
        *head = live_slot_head(block->slots[0]);
    else
        return;
    give_up_block(first);
}

static bool linkable(const LiveEntry *entry)
{
    return entry->row.approved && entry->row.online && entry->recorded_at != 0 &&
           (live_uuid_is_zero(&entry->row.trip_id) || live_room(&entry->row) > 0);
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
        live_lock(live_index, live_cell_lock(live_index, locks.first), LW_EXCLUSIVE);
    if (locks.second < LIVE_CELL_LOCKS && locks.second != locks.first)
        live_lock(live_index, live_cell_lock(live_index, locks.second), LW_EXCLUSIVE);
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

static LiveTile *tile_of(CellsKey cell)
{
    CellsKey tile = cells_parent(cell, LIVE_TILE_LEVEL);

    return live_tile(live_index, cells_row_of(tile), cells_col_of(tile));
}

/* The position of a slot and what goes with it. As store_slot(). */
static void write_position(LiveHot *h, LiveCold *c, const LiveEntry *entry)
{
    h->lat = entry->lat;
    h->lng = entry->lng;
    h->fresh_at = entry->fresh_at;
    c->recorded_at = entry->recorded_at;
    c->last_seen = entry->last_seen;
    c->heading = live_scale(entry->heading, 100);
    c->speed = live_scale(entry->speed, 100);
    c->accuracy = live_scale(entry->accuracy, 10);
    c->history_at = entry->history_at;
}

static void write_row(LiveHot *h, LiveCold *c, const LiveEntry *entry)
{
    const LiveRow *row = &entry->row;

    h->cooldown_until = row->cooldown_until;
    h->class_mask = row->class_mask;
    h->pending_offers = entry->pending_offers;
    h->job_capacity = Min(row->job_capacity, 31);
    h->active_jobs = row->active_jobs;
    h->on_trip = !live_uuid_is_zero(&row->trip_id);
    h->approved = row->approved;
    h->online = row->online;
    h->deleted = row->deleted;
    c->trip_id = row->trip_id;
    c->version = row->version;
    c->busy_since = entry->busy_since;
    c->idle_since = row->idle_since;
    c->area_mask = row->area_mask;
    c->rating = row->rating;
    c->acceptance = row->acceptance;
    c->completion = row->completion;
    c->vehicle_score = row->vehicle_score;
    c->region_id = row->region_id;
}

/*
 * Write a changed slot and put it where it belongs; without `row_too` only its position has changed.
 * Partition lock held exclusively.
 */
static void store_slot(const LiveEntry *entry, bool row_too)
{
    LiveHot *h = &live_index->hot[entry->slot];
    LiveCold *c = &live_index->cold[entry->slot];
    CellsKey old_cell = c->recorded_at != 0 ? cells_key(h->lat, h->lng) : 0;
    CellsKey new_cell = entry->recorded_at != 0 ? cells_key(entry->lat, entry->lng) : 0;
    bool was = h->linked, will = linkable(entry), move = was != will || (was && old_cell != new_cell);
    bool unlinks = was && move, links = will && move;
    uint32 old_bucket = was ? live_entry_of(live_index, 0, old_cell) : 0;
    uint32 new_bucket = links ? live_entry_of(live_index, 0, new_cell) : 0;
    CellLocks locks;

    if (links) {
        pass_gate();
        count_up_to_common(new_cell, old_cell, !was, 1);
    }
    locks = lock_cells(was ? live_cell_lock_of(old_bucket) : LIVE_CELL_LOCKS,
                       links ? live_cell_lock_of(new_bucket) : LIVE_CELL_LOCKS);
    if (links)
        pg_atomic_fetch_add_u32(&tile_of(new_cell)->begun, 1);

    if (unlinks)
        unlink_slot(entry->slot, old_bucket);
    write_position(h, c, entry);
    if (row_too)
        write_row(h, c, entry);
    if (links)
        link_slot(entry->slot, new_bucket);

    if (links)
        pg_atomic_fetch_add_u32(&tile_of(new_cell)->ended, 1);
    unlock_cells(locks);
    if (unlinks)
        count_up_to_common(old_cell, new_cell, !will, -1);
}

/* ---- verbs ---- */

static void mirror_row(LiveEntry *entry, const LiveRow *row, TimestampTz now)
{
    bool was_online = entry->row.online;

    if (live_uuid_cmp(&entry->row.trip_id, &row->trip_id) != 0)
        entry->busy_since = live_ms(now);
    entry->row = *row;
    if (row->online && !was_online && entry->last_seen < now)
        entry->last_seen = now; /* going online is being heard of */
}

/* Partition lock held exclusively. */
static void apply_row(int32 slot, const LiveRow *row, TimestampTz now)
{
    LiveEntry entry;

    live_copy_slot(live_index, slot, &entry);
    mirror_row(&entry, row, now);
    store_slot(&entry, true);
    live_index_mark_moved(slot / 32, 1u << (slot % 32));
}

void live_index_apply(int32 slot, const LiveRow *row, TimestampTz now)
{
    LWLock *lock = partition_lock(partition_of_slot(slot));

    live_lock(live_index, lock, LW_EXCLUSIVE);
    if (row->version > live_index->cold[slot].version || (live_index->hot[slot].deleted && !row->deleted))
        apply_row(slot, row, now);
    LWLockRelease(lock);
}

/* Partition lock held exclusively. */
static void set_offers(int32 slot, int count)
{
    LiveEntry entry;

    live_copy_slot(live_index, slot, &entry);
    entry.pending_offers = Min(Max(count, 0), LIVE_MAX_OFFERS);
    store_slot(&entry, true);
}

void live_index_add_offers(const pg_uuid_t *driver_id, int delta)
{
    uint32 hash = driver_hash(driver_id);
    LWLock *lock = partition_lock(partition_of_hash(hash));
    int32 slot;

    live_lock(live_index, lock, LW_EXCLUSIVE);
    slot = find_slot(driver_id, hash);
    if (slot != LIVE_NO_SLOT)
        set_offers(slot, (int)live_index->hot[slot].pending_offers + delta);
    LWLockRelease(lock);
}

void live_index_set_offers(int32 slot, int count)
{
    LWLock *lock = partition_lock(partition_of_slot(slot));

    live_lock(live_index, lock, LW_EXCLUSIVE);
    set_offers(slot, count);
    LWLockRelease(lock);
}

static bool impossible_jump(const LiveEntry *entry, const LiveReport *report)
{
    double dlat = report->lat - entry->lat, dlng = report->lng - entry->lng;
    double least = JUMP_MIN_M / (GEO_EARTH_RADIUS_M * M_PI / 180);
    TimestampTz elapsed = report->recorded_at - entry->recorded_at;
    GeoOrigin before;
    double metres;

    /* no distance is longer than this one on the flat map: most reports end here */
    if (report->trusted || entry->recorded_at == 0 || elapsed > JUMP_MAX_AGE ||
        dlat * dlat + dlng * dlng <= least * least)
        return false;
    before = geo_origin(entry->lat, entry->lng);
    metres = geo_chord2_to_m(geo_chord2_from(&before, report->lat, report->lng));
    return metres > JUMP_MIN_M &&
           metres * 3.6 > (double)hail_max_speed_kmh * ((double)elapsed / USECS_PER_SEC);
}

/* LiveEntry.fresh_at of a position, heard of at `received_at`. */
static TimestampTz fresh_at(TimestampTz received_at, TimestampTz recorded_at)
{
    return Min(received_at,
               recorded_at + LIVE_POSITION_MAX_AGE - (TimestampTz)hail_presence_ttl_s * USECS_PER_SEC);
}

void live_place(LiveEntry *entry, const LiveReport *report)
{
    entry->lat = report->lat;
    entry->lng = report->lng;
    entry->heading = report->heading;
    entry->speed = report->speed;
    entry->accuracy = report->accuracy;
    entry->recorded_at = report->recorded_at;
    entry->fresh_at = fresh_at(report->received_at, report->recorded_at);
}

uint32 live_ms(TimestampTz at)
{
    uint32 ms = (uint32)(at / 1000);

    return ms != 0 ? ms : 1;
}

int64 live_ms_since(TimestampTz at, uint32 ms)
{
    return (int32)(live_ms(at) - ms);
}

/* One point per hail.history_interval off a trip, counted in the points' own time, so that points sent late
 * count too. */
static void decide_history(LiveEntry *entry, const LiveRow *row, const LiveReport *report,
                           LiveReportResult *result)
{
    int64 apart = live_ms_since(report->recorded_at, entry->history_at);
    bool due =
        entry->history_at == 0 || (apart < 0 ? -apart : apart) >= (int64)hail_history_interval_s * 1000;
    bool on_trip = !live_uuid_is_zero(&entry->row.trip_id) &&
                   (entry->busy_since == 0 || live_ms_since(report->recorded_at, entry->busy_since) >= 0);

    if (on_trip)
        result->trip_id = entry->row.trip_id;
    result->keep_history = on_trip || (row->online && due);
    if (result->keep_history)
        entry->history_at = live_ms(report->recorded_at);
}

/*
 * The position there, sent again: it has the same time. Where that is the time of arrival too (a clock that
 * stands still), everything must be the same, to the precision that is kept.
 */
static bool repeats(const LiveEntry *entry, const LiveReport *report)
{
    if (!report->own_time || report->recorded_at != entry->recorded_at)
        return false;
    return report->recorded_at != report->received_at ||
           (report->lat == entry->lat && report->lng == entry->lng &&
            live_scale(report->heading, 100) == live_scale(entry->heading, 100) &&
            live_scale(report->speed, 100) == live_scale(entry->speed, 100) &&
            live_scale(report->accuracy, 10) == live_scale(entry->accuracy, 10));
}

void live_decide_report(LiveEntry *entry, const LiveRow *row, const LiveReport *report,
                        LiveReportResult *result)
{
    bool set_back = entry->recorded_at > report->received_at + LIVE_MAX_AHEAD; /* our clock, since */

    if (!row->approved) {
        result->status = LIVE_REPORT_NOT_APPROVED;
        return;
    }
    if (set_back) { /* nothing is late, or too soon, after a position that is yet to come */
        result->status = LIVE_REPORT_APPLIED;
        live_place(entry, report);
    } else if (report->recorded_at < entry->recorded_at)
        result->status = LIVE_REPORT_LATE;
    else if (repeats(entry, report))
        result->status = LIVE_REPORT_DUPLICATE;
    else if (impossible_jump(entry, report)) {
        result->status = LIVE_REPORT_IMPOSSIBLE;
        result->jump_m = geo_distance_m(entry->lat, entry->lng, report->lat, report->lng);
        result->from_at = entry->recorded_at;
    } else {
        result->status = LIVE_REPORT_APPLIED;
        live_place(entry, report);
    }
    if (entry->last_seen < report->received_at || entry->last_seen > report->received_at + LIVE_MAX_AHEAD) {
        entry->last_seen = report->received_at;
        entry->fresh_at = fresh_at(report->received_at, entry->recorded_at);
    }
    if (result->status == LIVE_REPORT_APPLIED || result->status == LIVE_REPORT_LATE)
        decide_history(entry, row, report, result);
    result->state = live_state(row, entry->pending_offers, report->received_at);
    result->pending_offers = entry->pending_offers;
}

/* Partition lock held exclusively. */
static void take_report(int32 slot, const LiveReport *report, const LiveRow *pending,
                        LivePartition *partition, LiveReportResult *result)
{
    LiveEntry entry;

    live_copy_slot(live_index, slot, &entry);
    live_decide_report(&entry, pending ? pending : &entry.row, report, result);
    partition->reports++;
    partition->late += result->status == LIVE_REPORT_LATE;
    partition->impossible += result->status == LIVE_REPORT_IMPOSSIBLE;
    if (result->status == LIVE_REPORT_NOT_APPROVED)
        return;
    store_slot(&entry, false);
    live_index_mark_dirty(slot / 32, 1u << (slot % 32));
    live_index_mark_moved(slot / 32, 1u << (slot % 32));
}

LiveReportResult live_index_report(const LiveReport *report, const LiveRow *pending)
{
    LiveReportResult result = {LIVE_REPORT_UNKNOWN, LIVE_OFFLINE};
    uint32 hash = driver_hash(&report->driver_id);
    int partition = partition_of_hash(hash);
    int32 slot;

    live_lock(live_index, partition_lock(partition), LW_EXCLUSIVE);
    slot = find_slot(&report->driver_id, hash);
    if (slot != LIVE_NO_SLOT && (pending || live_index->cold[slot].version > 0))
        take_report(slot, report, pending, &live_index->partitions[partition], &result);
    LWLockRelease(partition_lock(partition));
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
        if (live_uuid_cmp(&live_index->hot[slot].driver_id, driver_id) == 0)
            return;
        slot = *(volatile int32 *)&live_index->hot[slot].hash_next;
    }
    if (slot == LIVE_NO_SLOT)
        return;
    __builtin_prefetch(&live_index->hot[slot], 1);
    __builtin_prefetch(&live_index->cold[slot], 1);
    __builtin_prefetch((char *)(&live_index->cold[slot] + 1) - 1, 1);
}

void live_index_load(const LiveReport *report)
{
    uint32 hash = driver_hash(&report->driver_id);
    LWLock *lock = partition_lock(partition_of_hash(hash));
    int32 slot;

    live_lock(live_index, lock, LW_EXCLUSIVE);
    slot = find_slot(&report->driver_id, hash);
    if (slot != LIVE_NO_SLOT && live_index->cold[slot].recorded_at < report->recorded_at) {
        LiveEntry entry;

        live_copy_slot(live_index, slot, &entry);
        live_place(&entry, report);
        if (entry.last_seen < report->received_at)
            entry.last_seen = report->received_at;
        store_slot(&entry, false);
    }
    LWLockRelease(lock);
}

bool live_index_restore(const LiveRow *row, TimestampTz now)
{
    uint32 hash = driver_hash(&row->driver_id);
    LWLock *lock = partition_lock(partition_of_hash(hash));
    int32 slot;

    live_lock(live_index, lock, LW_EXCLUSIVE);
    slot = find_slot(&row->driver_id, hash);
    if (slot == LIVE_NO_SLOT)
        slot = take_slot(&row->driver_id, hash);
    if (slot != LIVE_NO_SLOT && row->version > live_index->cold[slot].version &&
        !live_index->hot[slot].deleted)
        apply_row(slot, row, now);
    LWLockRelease(lock);
    return slot != LIVE_NO_SLOT;
}

/*
 * With this partition locked: does it have the slot? Which partition to lock was read off the slot without a
 * lock. A slot in use elsewhere shows the driver that is there before it shows `used`, so it is not taken for
 * one of this partition while it is being filled.
 */
static bool used_in_partition(int32 slot, int partition)
{
    if (!live_index->hot[slot].used)
        return false;
    pg_read_barrier();
    return partition_of_slot(slot) == partition;
}

void live_index_rewind(int32 slot, TimestampTz now)
{
    int partition = partition_of_slot(slot);
    LWLock *lock = partition_lock(partition);
    LiveEntry entry;

    live_lock(live_index, lock, LW_EXCLUSIVE);
    if (used_in_partition(slot, partition)) {
        live_copy_slot(live_index, slot, &entry);
        entry.last_seen = Min(entry.last_seen, now);
        entry.fresh_at = Min(entry.fresh_at, now);
        store_slot(&entry, false);
    }
    LWLockRelease(lock);
}

bool live_index_read(int32 slot, LiveEntry *entry)
{
    int partition = partition_of_slot(slot);
    LWLock *lock = partition_lock(partition);
    bool used;

    live_lock(live_index, lock, LW_SHARED);
    used = used_in_partition(slot, partition);
    if (used)
        live_copy_slot(live_index, slot, entry);
    LWLockRelease(lock);
    return used;
}

bool live_index_find(const pg_uuid_t *driver_id, LiveEntry *entry)
{
    uint32 hash = driver_hash(driver_id);
    LWLock *lock = partition_lock(partition_of_hash(hash));
    int32 slot;

    live_lock(live_index, lock, LW_SHARED);
    slot = find_slot(driver_id, hash);
    if (slot != LIVE_NO_SLOT)
        live_copy_slot(live_index, slot, entry);
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

void live_index_mark_dirty(int32 word, uint32 marks)
{
    put_marks(&live_index->dirty[word], marks);
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
    const LiveHot *hot = &live_index->hot[slot];

    return !hot->online && !hot->on_trip && live_index->cold[slot].reservations == 0 &&
           hot->pending_offers == 0 && (before == 0 || live_index->cold[slot].last_seen < before) &&
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

bool live_index_reclaim_slot(int32 slot, TimestampTz before)
{
    int partition = partition_of_slot(slot);
    bool reclaim;

    LWLockAcquire(partition_lock(partition), LW_EXCLUSIVE);
    reclaim = may_reclaim() && used_in_partition(slot, partition) && reclaimable(slot, before);
    if (reclaim)
        give_up_slot(slot, link_to(slot));
    LWLockRelease(partition_lock(partition));
    return reclaim;
}

int32 live_index_next_silent(int32 slot, int32 end, TimestampTz before, TimestampTz ahead)
{
    for (; slot < end; slot++) {
        const volatile LiveCold *cold = &live_index->cold[slot];

        if ((cold->last_seen < before || cold->last_seen > ahead) &&
            ((const volatile LiveHot *)&live_index->hot[slot])->used)
            break;
    }
    return slot;
}

/* Partition lock held exclusively. */
static void forget_slot(int32 slot)
{
    LiveEntry nothing = {.slot = slot, .heading = NAN, .speed = NAN, .accuracy = NAN};

    store_slot(&nothing, true);
    pg_atomic_fetch_and_u32(&live_index->dirty[slot / 32], ~(1u << (slot % 32)));
}

void live_index_clear(void)
{
    /* a rebuild that runs has failed; in this order, or it could still call itself ready */
    pg_atomic_exchange_u32(&live_index->shared->rebuilding, 0);
    live_index_set_ready(false);
    for (int32 slot = 0; slot < live_index->slots; slot++) {
        int partition = partition_of_slot(slot);

        LWLockAcquire(partition_lock(partition), LW_EXCLUSIVE);
        if (used_in_partition(slot, partition))
            forget_slot(slot);
        LWLockRelease(partition_lock(partition));
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

bool live_entry_available(const LiveEntry *entry, TimestampTz now)
{
    return linkable(entry) && live_uuid_is_zero(&entry->row.trip_id) && entry->row.cooldown_until <= now &&
           entry->fresh_at >= now - (TimestampTz)hail_presence_ttl_s * USECS_PER_SEC;
}

static void add_stripes(LiveIndexStats *stats)
{
    for (int i = 0; i < LIVE_STRIPES; i++) {
        LiveStripe *stripe = &live_index->stripes[i];

        stats->searches += pg_atomic_read_u64(&stripe->searches);
        stats->cells_visited += pg_atomic_read_u64(&stripe->cells_visited);
        stats->drivers_visited += pg_atomic_read_u64(&stripe->drivers_visited);
        stats->search_reruns += pg_atomic_read_u64(&stripe->search_reruns);
        stats->lock_waits += pg_atomic_read_u64(&stripe->lock_waits);
    }
}

LiveIndexStats live_index_stats(void)
{
    LiveIndexStats stats = {live_index->slots, live_index->shared->used};

    for (uint32 i = 0; i < CELLS_FAMILY * (live_index->family_mask[CELLS_LEVELS] + 1); i++)
        stats.available += pg_atomic_read_u32(&live_index->counts[CELLS_LEVELS][i]);
    for (uint32 i = 0; i < CELLS_FAMILY * (live_index->family_mask[0] + 1); i++)
        stats.occupied += *(volatile int32 *)&live_index->cells[i] != 0;
    stats.memory_bytes = live_size() + sizeof(LWLockPadded) * live_lock_count();
    stats.ready = live_index_ready();
    add_stripes(&stats);
    for (int p = 0; p < LIVE_PARTITIONS; p++) {
        live_lock(live_index, partition_lock(p), LW_SHARED);
        stats.reports += live_index->partitions[p].reports;
        stats.late += live_index->partitions[p].late;
        stats.impossible += live_index->partitions[p].impossible;
        LWLockRelease(partition_lock(p));
    }
    return stats;
}
