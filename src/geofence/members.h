/*
 * members.h
 *    Who is inside what: the rows of hail.geofence_drivers and hail.area_absences as the process that
 *    evaluates keeps them, so that most drivers need no look at a table. Used inside src/geofence only.
 *
 * Every change of the rows changes the token in hail.geofence_state in the same transaction. A process that
 * finds its own token there goes on with its copy; else, another's work or its own rolled back, it reads
 * anew.
 */
#ifndef HAIL_GEOFENCE_MEMBERS_H
#define HAIL_GEOFENCE_MEMBERS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/hsearch.h"
#include "utils/uuid.h"

typedef struct Membership {
    int32 geofence_id;
    TimestampTz outside_since, queued_at; /* 0: not */
    struct Membership *next;
} Membership;

/* A driver of whom there is something to know. */
typedef struct Member {
    pg_uuid_t driver_id; /* key */
    Membership *first;
    /* outside the service area of this region since then; 0: inside. `left`: long or far enough to have left
     */
    int16 absent_region;
    TimestampTz absent_since;
    bool left;
} Member;

/* The copy, made current. True: it was read anew. Inside SPI, as owner, with the geofence lock held. */
extern bool members_refresh(void);

/* Changes of the copy begin, or are all done: a new token goes into the table. As above. */
extern void members_write_token(void);

extern Member *members_find(const pg_uuid_t *driver_id); /* NULL: nothing is known */
extern Member *members_add(const pg_uuid_t *driver_id);  /* found or made */
extern Membership *member_of(const Member *member, int32 geofence_id);
extern Membership *member_add(Member *member, int32 geofence_id);
extern void member_remove(Member *member, int32 geofence_id);

/* Forget a driver of whom nothing is left to know. */
extern void members_forget(Member *member);

extern void members_scan(HASH_SEQ_STATUS *scan);

#endif
