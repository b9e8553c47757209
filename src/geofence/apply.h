/*
 * apply.h
 *    What the evaluation found, and its way into rows and events. Used inside src/geofence only.
 */
#ifndef HAIL_GEOFENCE_APPLY_H
#define HAIL_GEOFENCE_APPLY_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "geofence/fences.h"

typedef enum ChangeKind {
    /* with an event, under the driver's row lock; leaving comes before entering */
    CHANGE_LEAVE,
    CHANGE_LEAVE_AREA, /* the service area */
    CHANGE_ENTER,
    CHANGE_ENTER_AREA,
    CHANGE_WITH_EVENT = CHANGE_ENTER_AREA,
    /* without */
    CHANGE_STEP_OUT,
    CHANGE_BACK,
    CHANGE_STEP_OUT_AREA,
    CHANGE_BACK_AREA,
    CHANGE_JOIN_QUEUE,
    CHANGE_LEAVE_QUEUE,
    CHANGE_KINDS
} ChangeKind;

typedef struct FenceChange {
    ChangeKind kind;
    bool dropped; /* the driver's row was locked by others, or says otherwise */
    bool done;    /* with an event: the row changed */
    pg_uuid_t driver_id;
    int fence;          /* number in the set */
    TimestampTz at;     /* of the position that made it; 0: none did */
    double lat, lng;    /* valid with `at` */
    const char *reason; /* of leaving otherwise than by moving, or NULL */
} FenceChange;

typedef struct FenceChanges {
    MemoryContext context; /* of the list: changes are added while other modules' SPI is open */
    const FenceSet *set;
    FenceChange *list;
    int count, room;
    int with_event;
    bool locked_out; /* somebody's row was not to be had */
} FenceChanges;

extern void changes_add(FenceChanges *changes, const FenceChange *change);

/*
 * Carry them out: rows, events, the copy of the members. Drivers whose rows others have locked are left for
 * the next time. Returns the number of events written. Inside SPI, as owner, with the geofence lock held.
 */
extern int changes_apply(FenceChanges *changes, TimestampTz now);

#endif
