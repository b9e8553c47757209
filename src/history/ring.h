/*
 * ring.h
 *    The history ring: shared by history.c, history_api.c and ring_file.c, by nobody else.
 *
 * Two lanes, so that points on a trip never wait behind the others. A lane is an array with two ever growing
 * counters: places [tail, head) are taken. No lock, for sixteen reporters that queue for one lose more time
 * than the copying takes:
 *
 * - A reporter takes the place `head` by compare-and-swap, which it does only while head - tail < capacity,
 *   copies its point there, and marks the place with the number of the lap (how often the lane has gone
 *   round). Between taking and marking nothing can fail or be interrupted; a reporter killed there brings the
 *   server down, and the memory with it.
 * - The drain reads from tail up to the first place without the mark of its lap. Only the process that has
 *   claimed the ring (`drainer`) moves tail, and only when its transaction has committed. A place isn't taken
 *   again before tail has passed it: what was marked doesn't change while it is read.
 */
#ifndef HAIL_HISTORY_RING_H
#define HAIL_HISTORY_RING_H

#include "postgres.h"
#include "port/atomics.h"

#include "history/history.h"

enum { LANE_TRIP, LANE_OTHER, LANE_COUNT };

typedef struct HistoryLane {
    pg_atomic_uint64 head; /* places ever taken */
    char pad1[PG_CACHE_LINE_SIZE - sizeof(pg_atomic_uint64)];
    pg_atomic_uint64 tail; /* points ever given up */
    char pad2[PG_CACHE_LINE_SIZE - sizeof(pg_atomic_uint64)];
} HistoryLane;

typedef struct HistoryRing {
    HistoryLane lanes[LANE_COUNT];
    uint64 capacity;               /* points of one lane */
    pg_atomic_uint32 drainer;      /* pid whose transaction is draining; 0: none */
    pg_atomic_uint64 drained;      /* points given up to the table since the start */
    pg_atomic_uint64 written_slow; /* points that found no room and were written by the reporter */
    HistoryPoint points[FLEXIBLE_ARRAY_MEMBER]; /* capacity of lane 0, then of lane 1; the marks follow */
} HistoryRing;

/* The ring; NULL when the library is not preloaded. */
extern HistoryRing *ring_get(void);

/* First point of a lane; point number n of it is at [n % capacity]. */
extern HistoryPoint *ring_lane_points(HistoryRing *ring, int lane);

/* False: the lane is full. */
extern bool ring_append(HistoryRing *ring, const HistoryPoint *point);

/* Points of a lane taken and not yet given up: a hint, as others go on. */
extern uint64 ring_waiting(HistoryRing *ring, int lane);

/* received_at of the oldest point that waits, or DT_NOEND: a hint likewise. */
extern TimestampTz ring_oldest(HistoryRing *ring);

/* True: this process alone may read and release, until it calls ring_release(). */
extern bool ring_claim(HistoryRing *ring);

/* For who has claimed the ring: points [tail, answer) of a lane are there to be read; *tail is set. */
extern uint64 ring_readable(HistoryRing *ring, int lane, uint64 *tail);

/* End of a claim; upto != NULL: the points before upto[lane] are given up. Can't fail. */
extern void ring_release(HistoryRing *ring, const uint64 *upto);

extern void ring_init(void);

/* ring_file.c: write what waits into a file of pg_stat. Called by the postmaster at a clean exit. */
extern void ring_file_save(HistoryRing *ring);
extern void ring_file_init(void);

#endif
