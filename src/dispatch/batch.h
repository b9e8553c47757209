/*
 * batch.h
 *    Batched matching: all trips that wait in a region, matched to drivers together, at the least total cost.
 *
 * A batched trip waits in the pool of its region (trips.pooled_at). When the region's window closes, all of
 * the pool is loaded with each trip's candidates, the assignment solved, and each chosen pair becomes one
 * offer. Nothing is locked while that is worked out; each pair is looked at again under the locks of its
 * rows, and a trip that loses there stays in the pool. See BATCH.md.
 *
 *     batch_windows(now, ...);                          -- in a transaction
 *     batch = batch_load(region, now, context, false);  -- in a transaction
 *     batch_solve(batch);                               -- in none, or any
 *     for each i < batch->count: batch_offer(batch, i, now);
 *                                                       -- each in a transaction of its own, or all in one
 *     batch_close(batch);                               -- in a transaction
 */
#ifndef HAIL_DISPATCH_BATCH_H
#define HAIL_DISPATCH_BATCH_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "dispatch/matching.h"

#define BATCH_MAX_TRIPS 5000 /* in one window; those who wait longest */
#define BATCH_MAX_CANDIDATES                                                                                 \
    500000 /* of all trips of a window together, about 100 MB; the trips after that wait for the next */
#define BATCH_MAX_REGIONS 64 /* whose windows close in one pass */

typedef struct BatchTrip {
    MatchTrip match;
    TimestampTz requested_at;
    double ride_s;
    int number; /* the round within the search that this window is to it */
    MatchField field;
    double *pickup_s; /* by candidate: how long it is to the pickup, or its place in an airport's queue */
    int chosen;       /* of field.candidates; -1: none this time */
} BatchTrip;

typedef struct Batch {
    MemoryContext context;
    int region_id;
    TimestampTz now; /* the window closed */
    BatchTrip *trips;
    int count, drivers, edges;
    int reachable;    /* trips with any candidate */
    int64 work_us;    /* loading and solving; wall time */
    int matched;      /* pairs chosen */
    int offers, lost; /* of these: became offers; did not stand the second look */
} Batch;

/*
 * Regions whose window has closed, at most BATCH_MAX_REGIONS, into `regions`; *next is when the next of the
 * others closes (DT_NOEND: no trip waits). While the live index is being rebuilt: none, and soon again.
 * Inside SPI.
 */
extern int batch_windows(TimestampTz now, int *regions, TimestampTz *next);

/*
 * The pool of a region with the candidates of each trip, palloc'd in a child of `parent`. With `guarded` a
 * trip that can't be loaded is left out and reported (tick_guard); else it is the caller's error. Inside SPI.
 */
extern Batch *batch_load(int region_id, TimestampTz now, MemoryContext parent, bool guarded);

/* Choose. No SPI, no locks; may take tens of milliseconds. */
extern void batch_solve(Batch *batch);

/*
 * Make the offer of trip `i`, if one was chosen and both rows, locked now, still allow it: trip searching and
 * unchanged, driver free and without any pending offer. Waits for nobody. False: the trip stays as it is.
 * Inside SPI.
 */
extern bool batch_offer(Batch *batch, int i, TimestampTz now);

/* The window is over: remember when, and its figures. False: somebody holds that row. Inside SPI. */
extern bool batch_close(const Batch *batch);

/* All of it for every region whose window has closed, in this transaction. Inside SPI. */
extern void batch_tick(TimestampTz now);

/* A locked searching trip waits for the windows of its region from now on. Inside SPI. */
extern void batch_enter(const MatchTrip *trip, TimestampTz now);

#endif
