/*
 * ring.h
 *    The history ring: shared by history.c and ring_file.c, by nobody else.
 *
 * Two lanes, so that points on a trip never wait behind the others. A lane is an array with two ever growing
 * counters: points [tail, head) wait to be drained. Appending (exclusive lock) refuses when the lane is full,
 * so what lies between tail and a head once read does not change until tail moves: the drain, which alone
 * moves tail, reads it without a lock.
 */
#ifndef HAIL_HISTORY_RING_H
#define HAIL_HISTORY_RING_H

#include "postgres.h"
#include "storage/lwlock.h"

#include "history/history.h"

enum { LANE_TRIP, LANE_OTHER, LANE_COUNT };

typedef struct HistoryLane {
    uint64 head; /* points ever appended */
    uint64 tail; /* points ever given up */
} HistoryLane;

/* All fields under ring_lock(), but see above. */
typedef struct HistoryRing {
    uint64 capacity; /* points of one lane */
    HistoryLane lanes[LANE_COUNT];
    int drainer;         /* pid whose transaction is draining; 0: none */
    uint64 drained;      /* points given up to the table since the start */
    uint64 written_slow; /* points that found no room and were written by the reporter */
    HistoryPoint points[FLEXIBLE_ARRAY_MEMBER]; /* capacity of lane 0, then of lane 1 */
} HistoryRing;

/* The ring; NULL when the library is not preloaded. */
extern HistoryRing *ring_get(void);
extern LWLock *ring_lock(void);

/* First point of a lane; point number n of it is at [n % capacity]. */
extern HistoryPoint *ring_lane_points(HistoryRing *ring, int lane);

/* False: the lane is full. Takes the lock. */
extern bool ring_append(HistoryRing *ring, const HistoryPoint *point);

extern void ring_init(void);

/* ring_file.c: write what waits into a file of pg_stat. Called by the postmaster at a clean exit. */
extern void ring_file_save(HistoryRing *ring);
extern void ring_file_init(void);

#endif
