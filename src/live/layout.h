/*
 * layout.h
 *    Where things lie in the index's memory; only for index.c and search.c.
 */
#ifndef HAIL_LIVE_LAYOUT_H
#define HAIL_LIVE_LAYOUT_H

#include "live/index.h"

typedef struct LiveShared {
    /* read by all, hardly ever written */
    pg_atomic_uint32 ready;
    pg_atomic_uint32 rebuilding;
    pg_atomic_uint32 waiting; /* searches that want moves to stop; see the gate in index.h */
    char pad[PG_CACHE_LINE_SIZE];
    /* free lock; slots linked through LiveHot.hash_next, blocks through LiveBlock.next */
    int32 free_head, free_block;
    int32 used; /* slots */
    char pad2[PG_CACHE_LINE_SIZE];
    pg_atomic_uint64 searches;
} LiveShared;

/*
 * Drivers linked into the cells of a tile, a cell of LIVE_TILE_LEVEL (about 5 km; tiles LIVE_TILES apart
 * share one): `begun` is raised before anything is touched, `ended` when all of it can be seen, both with the
 * cell locks held. Where `begun` is at the end of a search what `ended` was at its start, nothing moved
 * meanwhile.
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
    uint8 *partition_of;     /* of each slot; valid while the slot is used */
    pg_atomic_uint32 *dirty; /* a bit a slot: position not yet written through */
    pg_atomic_uint32 *moved; /* the same: not yet looked at by live_visit_moved() */
    int32 *hash;             /* heads of the hash chains; the low bits of an index are the partition */
    int32 *cells; /* of each bucket: LIVE_NO_SLOT, a slot, or live_block_head() of the first block */
    LiveBlock *blocks;
    pg_atomic_uint32 *counts[CELLS_LEVELS + 1];
    LivePartition *partitions;
    LiveTile *tiles;
    int32 slots;
    uint32 hash_mask, cell_mask;
    uint32 count_mask[CELLS_LEVELS + 1];
} LiveIndex;

extern LiveIndex *live_index;

/* Finalizer of MurmurHash3 (Austin Appleby, public domain): neighbouring cells land far apart. */
static inline uint32 live_mix(uint32 h)
{
    h ^= h >> 16;
    h *= 0x85ebca6b;
    h ^= h >> 13;
    h *= 0xc2b2ae35;
    h ^= h >> 16;
    return h;
}

static inline uint32 live_bucket_of(const LiveIndex *index, uint32 cell)
{
    return live_mix(cell) & index->cell_mask;
}

/* A number of a block as LiveIndex.cells has it, and back: slots are from 0, no slot is -1, blocks below. */
static inline int32 live_block_head(int32 block_or_head)
{
    return -2 - block_or_head;
}

/* Cells of one bucket share a lock. */
static inline int live_cell_lock_of(const LiveIndex *index, uint32 cell)
{
    return live_bucket_of(index, cell) & (LIVE_CELL_LOCKS - 1);
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

static inline pg_atomic_uint32 *live_count_of(const LiveIndex *index, int level, uint32 key)
{
    return &index->counts[level][live_mix(key) & index->count_mask[level]];
}

#endif
