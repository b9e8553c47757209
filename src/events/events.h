/* events.h: writing events from C. */
#ifndef HAIL_EVENTS_H
#define HAIL_EVENTS_H

#include "postgres.h"
#include "utils/uuid.h"

/*
 * Write one event in this transaction. The caller holds the aggregate's row lock and has counted `version` up
 * in that row; payload is JSON text. Actor, subject and request id are taken from the session. Inside SPI.
 */
extern void event_write(const char *aggregate_type, const pg_uuid_t *aggregate_id, int version,
                        const char *type, const char *payload);

typedef struct EventDraft {
    int version;
    const char *type;
    const char *payload; /* JSON */
} EventDraft;

/* Write two events of the same aggregate, in one statement; as above. */
extern void event_write_two(const char *aggregate_type, const pg_uuid_t *aggregate_id,
                            const EventDraft events[2]);

#endif
