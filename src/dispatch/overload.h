/*
 * overload.h
 *    When the dispatcher lags behind its deadlines, less is done for each trip, step by step; see
 * OVERLOAD.md.
 *
 * The lag is how late a trip is looked at while the dispatcher is at work without a pause: what has piled up
 * because it was not running, or because a clock was moved, is no overload. The level lies in shared memory;
 * without preload there is none, ever.
 */
#ifndef HAIL_DISPATCH_OVERLOAD_H
#define HAIL_DISPATCH_OVERLOAD_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* Each includes those before it. */
typedef enum OverloadLevel {
    OVERLOAD_NONE,
    OVERLOAD_DISTANCE_ONLY,  /* lag above hail.dispatch_max_lag: the score is the distance alone */
    OVERLOAD_LONGER_WINDOWS, /* twice that: longest batch windows, searches that found nobody wait longer */
    OVERLOAD_QUEUE,          /* four times that: requests queue up for their first round */
    OVERLOAD_LEVELS
} OverloadLevel;

extern const char *const overload_level_names[OVERLOAD_LEVELS];

/* The level now. Never errors, takes no lock. */
extern OverloadLevel overload_level(void);

/*
 * A new trip asks to be matched: 0: at once; else its place in the queue (from 1), and the first round is the
 * dispatcher's. Error overloaded, detail "retry_after_s=N", when more than hail.dispatch_queue_max would
 * wait.
 */
extern int overload_admit(void);

/* How much later a search that found nobody is looked at again, as a factor. */
extern int overload_retry_factor(void);

/*
 * A pass of the dispatcher over the trips that are due, for whoever makes it. All on hail_now().
 *
 *     overload_begin(now);
 *     for each trip: lag = Max(lag, overload_lag(its deadline, now));
 *     if (overload_end(now, lag, trips, left)) overload_write_change(now);
 */
extern void overload_begin(TimestampTz now);

/* How late a trip due at `due_at` is; microseconds, not below 0. */
extern int64 overload_lag(TimestampTz due_at, TimestampTz now);

/*
 * The pass ends: the greatest lag seen, how many trips were looked at, and whether others are left or became
 * due meanwhile (it closed batch windows), so that the next pass follows at once. Returns true when the level
 * has changed.
 */
extern bool overload_end(TimestampTz now, int64 lag_us, int trips, bool left);

/* Tell of the level: a line in the log, an event, the row in hail.overload_state. Inside SPI. */
extern void overload_write_change(TimestampTz now);

/* Count who waits, for those who ask for a place; does nothing but at OVERLOAD_QUEUE. Inside SPI. */
extern void overload_count_queue(TimestampTz now);

/* The same, known without counting: nobody waits. */
extern void overload_queue_empty(void);

extern void overload_init(void);

#endif
