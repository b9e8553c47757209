/*
 * tick.h
 *    What is due for trips, and doing it. trips.next_round_at is the one deadline, whatever it is for: the
 *    next round, the end of offers or bids, a scheduled trip's time, a confirmation, the end of a search.
 *
 * The dispatcher worker takes each trip in a transaction of its own (src/worker/dispatcher.c), so that locks
 * are short and a bad trip harms nobody; hail.dispatch_tick() takes them all in one. Both wait for nobody who
 * holds a trip: it stays due. All of this runs inside SPI, under search_path = pg_catalog, pg_temp.
 */
#ifndef HAIL_DISPATCH_TICK_H
#define HAIL_DISPATCH_TICK_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

#define TICK_MAX 100 /* trips in one pass */

typedef struct TickTrip {
    pg_uuid_t id;
    TimestampTz due_at;
} TickTrip;

/*
 * The trips that are due after the one `after` (TICK_FIRST: from the first), oldest deadline first,
 * TICK_MAX + 1 at most; nothing is locked. Returns how many.
 */
#define TICK_FIRST ((TickTrip){.due_at = DT_NOBEGIN})
extern int tick_due(TimestampTz now, const TickTrip *after, TickTrip *due);

/* The earliest deadline after `now`; false: there is none. */
extern bool tick_next(TimestampTz now, TimestampTz *next);

/*
 * Lock the trip and do what is due for it. False: somebody holds it or one of its offers, or nothing is due
 * any more; what was locked may be let go then. An error
 * leaves the transaction to be aborted by the caller, who then reports it with tick_failed() in a new one.
 */
extern bool tick_step(const pg_uuid_t *trip_id, TimestampTz now);

/*
 * Stepping this trip failed: it is due again later, each time in a row after twice the pause (the policy's
 * retry_after, five minutes at most), and hail.check() tells of it. It leaves the pool of batched matching
 * until then. Nothing when somebody holds it.
 */
extern void tick_failed(const pg_uuid_t *trip_id, TimestampTz now, const char *sqlstate, const char *message);

/*
 * Not the trip's fault: a row was locked for too long, a deadlock, or the query was cancelled. The trip stays
 * due and is not to be reported.
 */
extern bool tick_passing(int sqlerrcode);

/*
 * Run `body` in a subtransaction: what it does wrong harms this trip only. An error becomes a warning and is
 * reported as by tick_failed(), unless it is passing; false then. A cancelled query ends all: that error is
 * thrown again.
 */
extern bool tick_guard(void (*body)(void *), void *arg, const pg_uuid_t *trip_id, TimestampTz now);

#endif
