/*
 * layout.h
 *    Where things lie in the index's memory; only for index.c and search.c.
 */
#ifndef HAIL_LIVE_LAYOUT_H
#define HAIL_LIVE_LAYOUT_H

#include <math.h>

#include "storage/proc.h"

#include "live/index.h"

/* 64 bytes, the cache line a search reads of each driver it meets: who is it, where, may it be found. */
typedef struct LiveHot {
    pg_uuid_t driver_id;
    double lat, lng;            /* degrees; unset while LiveCold.recorded_at is 0 */
    TimestampTz fresh_at;       /* found until hail.presence_ttl after this */
    TimestampTz cooldown_until; /* 0: none */
    int64 class_mask;
    int32 hash_next; /* also links the free slots */
    uint32 pending_offers : 13, job_capacity : 5, active_jobs : 8;
    uint32 used : 1, linked : 1, on_trip : 1, approved : 1, online : 1, deleted : 1;
} LiveHot;

/*
 * The rest, 96 bytes; what a report changes comes first. Heading and speed in hundredths, accuracy in tenths
 * of their units, at most LIVE_SCALED_MAX of these; LIVE_UNKNOWN: not known.
 */
typedef struct LiveCold {
    pg_uuid_t trip_id;
    TimestampTz recorded_at, last_seen;
    int64 version;
    uint32 busy_since, history_at;
    uint16 heading, speed, accuracy;
    int16 region_id;
    uint32 reservations; /* queued changes that will need this slot */
    int32 block;         /* the block that lists the driver, if any does; cell lock alone */
    TimestampTz idle_since;
    uint64 area_mask;
    float rating, acceptance, completion, vehicle_score;
} LiveCold;

#define LIVE_UNKNOWN    65535
#define LIVE_SCALED_MAX 65534
#define LIVE_MAX_OFFERS 8191

typedef struct LiveShared {
    /* read by all, hardly ever written */
    pg_atomic_uint32 ready;
    pg_atomic_uint32 rebuilding;
    pg_atomic_uint32 waiting; /* searches that want moves to stop; see the gate in index.h */
    char pad[PG_CACHE_LINE_SIZE];
    /* free lock; slots linked through LiveHot.hash_next, blocks through LiveBlock.next */
    int32 free_head, free_block;
    int32 used; /* slots */
} LiveShared;

/* What searches and locks count, in stripes that backends share by chance: no line is everybody's. */
typedef struct LiveStripe {
    pg_atomic_uint64 searches, cells_visited, drivers_visited, search_reruns, lock_waits;
    char pad[PG_CACHE_LINE_SIZE - 5 * sizeof(uint64)];
} LiveStripe;

#define LIVE_STRIPES 64

/*
 * Drivers linked into the cells of a tile, a cell of LIVE_TILE_LEVEL (about 2.4 km; tiles LIVE_TILES
 * apart share one): `begun` is raised before anything is touched, `ended` when all of it can be seen, both
 * with the cell locks held. Where `begun` is at the end of a search what `ended` was at its start, nothing
 * moved meanwhile.
 */
typedef struct LiveTile {
    pg_atomic_uint32 begun, ended;
} LiveTile;

#define LIVE_TILE_LEVEL 2
#define LIVE_TILES      64 /* rows and columns of the table */

/*
 * The drivers of a bucket of cells, in no order: none, the one slot itself, or a chain of blocks. The first
 * block alone may have room, its free places last. So a search knows several slots at once and fetches them
 * together, and n >= 2 drivers need at most n / 2 blocks: there are always enough. Cell lock.
 */
#define LIVE_BLOCK_ROOM 7

typedef struct LiveBlock {
    int32 next; /* number of a block, or LIVE_NO_SLOT */
    int32 slots[LIVE_BLOCK_ROOM];
} LiveBlock;

/* Guarded by its partition lock. */
typedef struct LivePartition {
    int64 reports, late, impossible;
    char pad[PG_CACHE_LINE_SIZE - 3 * sizeof(int64)];
} LivePartition;

typedef struct LiveIndex {
    LiveShared *shared;
    LWLockPadded *locks; /* partitions, cells, free, gate */
    LiveHot *hot;
    LiveCold *cold;
    pg_atomic_uint32 *dirty; /* a bit a slot: position not yet written through */
    pg_atomic_uint32 *moved; /* the same: not yet looked at by live_visit_moved() */
    int32 *hash;             /* heads of the hash chains; the low bits of an index are the partition */
    /*
     * Hashed tables of families of cells, a cache line each. Level 0: the drivers of a bucket, 0 for none,
     * live_slot_head() of one slot or live_block_head() of the first block. Above: how many drivers are
     * linked below.
     */
    int32 *cells;
    pg_atomic_uint32 *counts[CELLS_LEVELS + 1];
    LiveBlock *blocks;
    LivePartition *partitions;
    LiveStripe *stripes;
    LiveTile *tiles;
    int32 slots;
    uint32 hash_mask;
    uint32 family_mask[CELLS_LEVELS + 1];
} LiveIndex;

extern LiveIndex *live_index;

/* Where a family of cells of `level` begins, by its parent: the number of its first entry. Neighbours land
 * far apart (constants of SplitMix64, Sebastiano Vigna, public domain). */
static inline uint32 live_family(const LiveIndex *index, int level, CellsKey parent)
{
    uint64 h = parent * UINT64CONST(0x9E3779B97F4A7C15);

    h = (h ^ (h >> 29)) * UINT64CONST(0xBF58476D1CE4E5B9);
    return ((uint32)(h >> 32) & index->family_mask[level]) * CELLS_FAMILY;
}

static inline uint32 live_entry_of(const LiveIndex *index, int level, CellsKey key)
{
    return live_family(index, level, cells_parent(key, 1)) + cells_member(key);
}

/* Entries of LiveIndex.cells, and back: positive a block, negative a slot. */
static inline int32 live_block_head(int32 block)
{
    return block + 1;
}

static inline int32 live_head_block(int32 head)
{
    return head - 1;
}

static inline int32 live_slot_head(int32 slot)
{
    return -1 - slot;
}

static inline int32 live_head_slot(int32 head)
{
    return -1 - head;
}

/* Families of one line share a lock, so that most moves need one only. */
static inline int live_cell_lock_of(uint32 bucket)
{
    return (bucket / CELLS_FAMILY) & (LIVE_CELL_LOCKS - 1);
}

static inline LWLock *live_cell_lock(const LiveIndex *index, int number)
{
    return &index->locks[LIVE_PARTITIONS + number].lock;
}

static inline LWLock *live_gate(const LiveIndex *index)
{
    return &index->locks[LIVE_PARTITIONS + LIVE_CELL_LOCKS + 1].lock;
}

/* By row and column at LIVE_TILE_LEVEL. */
static inline LiveTile *live_tile(const LiveIndex *index, uint32 row, uint32 col)
{
    return &index->tiles[(row & (LIVE_TILES - 1)) * LIVE_TILES + (col & (LIVE_TILES - 1))];
}

static inline pg_atomic_uint32 *live_count_of(const LiveIndex *index, int level, CellsKey key)
{
    return &index->counts[level][live_entry_of(index, level, key)];
}

/* The stripe this backend counts in. */
static inline LiveStripe *live_stripe(const LiveIndex *index)
{
    return &index->stripes[(MyProc ? MyProc->pgprocno : 0) & (LIVE_STRIPES - 1)];
}

/* Take a lock; waits are counted. */
static inline void live_lock(const LiveIndex *index, LWLock *lock, LWLockMode mode)
{
    if (likely(LWLockConditionalAcquire(lock, mode)))
        return;
    pg_atomic_fetch_add_u64(&live_stripe(index)->lock_waits, 1);
    LWLockAcquire(lock, mode);
}

static inline uint16 live_scale(float value, float scale)
{
    return isnan(value) ? LIVE_UNKNOWN : (uint16)Min(rintf(value * scale), (float)LIVE_SCALED_MAX);
}

static inline float live_unscale(uint16 value, float scale)
{
    return value == LIVE_UNKNOWN ? NAN : (float)value / scale;
}

/* Copy a slot out; what the caller does not look at costs nothing. */
static inline void live_copy_slot(const LiveIndex *index, int32 slot, LiveEntry *entry)
{
    const LiveHot *hot = &index->hot[slot];
    const LiveCold *cold = &index->cold[slot];

    entry->slot = slot;
    entry->row = (LiveRow){.driver_id = hot->driver_id,
                           .trip_id = cold->trip_id,
                           .version = cold->version,
                           .class_mask = hot->class_mask,
                           .area_mask = cold->area_mask,
                           .cooldown_until = hot->cooldown_until,
                           .idle_since = cold->idle_since,
                           .rating = cold->rating,
                           .acceptance = cold->acceptance,
                           .completion = cold->completion,
                           .vehicle_score = cold->vehicle_score,
                           .region_id = cold->region_id,
                           .job_capacity = hot->job_capacity,
                           .active_jobs = hot->active_jobs,
                           .approved = hot->approved,
                           .online = hot->online,
                           .deleted = hot->deleted};
    entry->lat = hot->lat;
    entry->lng = hot->lng;
    entry->recorded_at = cold->recorded_at;
    entry->fresh_at = hot->fresh_at;
    entry->last_seen = cold->last_seen;
    entry->busy_since = cold->busy_since;
    entry->history_at = cold->history_at;
    entry->heading = live_unscale(cold->heading, 100);
    entry->speed = live_unscale(cold->speed, 100);
    entry->accuracy = live_unscale(cold->accuracy, 10);
    entry->pending_offers = hot->pending_offers;
}

#endif
