/* history.h: the position history ring and its drain. */
#ifndef HAIL_HISTORY_H
#define HAIL_HISTORY_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

typedef struct HistoryPoint {
    pg_uuid_t driver_id;
    pg_uuid_t trip_id;      /* all zero: off a trip */
    double lat, lng;
    float heading, speed, accuracy; /* NaN: unknown */
    TimestampTz recorded_at, received_at;
} HistoryPoint;

/* Keep a point: into the ring, or, when that is full or there is none, straight into the table. Must not be
 * called with an LWLock held. */
extern void history_append(const HistoryPoint *point);

/* Keeper step: move what the ring holds into location_history; the ring gives it up when the transaction
 * commits. One drain at a time. Returns the points written. */
extern int history_drain(void);

extern void history_init(void);

#endif
