/*
 * history.h
 *    Position history: the ring in shared memory, its drain into location_history, its file at shutdown.
 */
#ifndef HAIL_HISTORY_H
#define HAIL_HISTORY_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

typedef struct HistoryPoint {
    pg_uuid_t driver_id;
    pg_uuid_t trip_id;              /* all zero: off a trip */
    double lat, lng;                /* degrees, WGS84 */
    float heading, speed, accuracy; /* degrees, km/h, m; NaN: unknown */
    TimestampTz recorded_at, received_at;
} HistoryPoint;

/*
 * Keep a point: into the ring, or, when that is full, absent, or of another database, straight into the table
 * in this transaction. A point in the ring stays, whatever becomes of the transaction. A second point of the
 * driver with the same recorded_at is dropped later, silently. Needs a transaction; must not be called with
 * an LWLock held. Errors: invalid_value when recorded_at is not finite; on the slow path, what an INSERT
 * raises.
 */
extern void history_append(const HistoryPoint *point);

/* The next point would go into the ring, not into the table: a hint. In a transaction. */
extern bool history_has_room(void);

/*
 * Drainer step: write what the ring held at the call into location_history, points on a trip first; the ring
 * gives them up when the transaction commits and keeps them when it, or the subtransaction of the call,
 * aborts. One drain at a time: a second one, in this or in another transaction, returns 0. Returns the points
 * taken.
 */
extern int history_drain(void);

/*
 * Drainer step: write the points that a clean shutdown saved in files; the files go when the transaction
 * commits. Loading one twice is harmless. Returns the points read.
 */
extern int history_load_files(void);

/*
 * Write what saved files and the ring hold into location_history, in this transaction, after waiting for a
 * drain of another one to end: afterwards all that was reported before the call is in the table, for a
 * snapshot taken from now on. Error in_flight when the other one takes 10 s.
 */
extern void history_settle(void);

/* Points waiting in the ring, unlocked: a hint. 0 without a ring. */
extern uint64 history_waiting(void);

extern void history_init(void);

#endif
