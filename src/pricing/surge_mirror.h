/*
 * surge_mirror.h
 *    The cells as the last tick left them, in shared memory: multipliers for prices, averages for the next
 *    tick. Used inside src/pricing only.
 *
 * Two copies. Readers use the one that `state` names, take no lock and look again when it was exchanged
 * meanwhile. Whoever changes surge_cells holds the writers' lock until its transaction ends; a tick builds
 * the other copy, and its commit exchanges them, by one store that cannot fail. After a change that was not
 * a tick's, and after a crash, the mirror is stale: prices come from the rows until surge_refill() has read
 * them. A cell that has no room in the mirror is read from its row too.
 */
#ifndef HAIL_PRICING_SURGE_MIRROR_H
#define HAIL_PRICING_SURGE_MIRROR_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "pricing/surge_field.h"

/* What a copy says of itself. */
typedef struct SurgeMirrorInfo {
    int cells;               /* in the copy */
    int surging;             /* of these, above 1 */
    int left_out;            /* cells it had no room for */
    int left_out_surging;    /* of these, above 1: misses must be looked up in the rows */
    TimestampTz averaged_at; /* the tick that the averages are of; 0: none, they are to begin anew */
    TimestampTz ticked_at;   /* the last tick; 0: none since the server started */
    int64 tick_us;           /* what it took, but for the commit */
} SurgeMirrorInfo;

/* Shared memory is there and is this database's: else everything is in the rows. In a transaction. */
extern bool surge_mirror_serves(void);

/* Cells the mirror has room for; bytes of shared memory it takes. 0: not preloaded. */
extern int surge_mirror_room(void);
extern Size surge_mirror_bytes(void);

/* The multiplier of a cell, as committed, or as a tick of this transaction has left it. False: ask the row
 * (stale, no room, or this transaction has changed rows by itself). */
extern bool surge_mirror_multiplier(int16 region_id, double size_m, int64 cell, int *multiplier);

/* A cell and its copy's own figures, likewise. False: stale, or not serving. *found: it is there. */
extern bool surge_mirror_cell(int16 region_id, double size_m, int64 cell, SurgeCell *out, bool *found,
                              SurgeMirrorInfo *info);

/* The mirror's figures. False: stale, or not serving. */
extern bool surge_mirror_info(SurgeMirrorInfo *info);

/* Worth a surge_refill()? No transaction needed. */
extern bool surge_mirror_stale(void);

/* From here to the end of the transaction nobody else changes surge_cells. False: `wait` is not, and another
 * one does. */
extern bool surge_lock_writers(bool wait);

/* With the writers' lock: the cells as this transaction sees them. False: read the rows. */
extern bool surge_mirror_cells(const SurgeCell **cells, SurgeMirrorInfo *info);

/* With the writers' lock: what the mirror is to hold once this transaction has committed; of more cells than
 * there is room for, those with a surge first. Of `info` only averaged_at, ticked_at and tick_us are read. */
extern void surge_mirror_stage(const SurgeCell *cells, int count, const SurgeMirrorInfo *info);

/* With the writers' lock: stale once this transaction has committed. */
extern void surge_mirror_reset(void);

/* A trigger tells every change of surge_cells, with which the mirror is stale; not those that we are making
 * ourselves between ours(true) and ours(false), nor when an error ends that. */
extern void surge_tables_ours(bool ours);

extern void surge_mirror_init(void);

#endif
