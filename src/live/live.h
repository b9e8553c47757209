/*
 * live.h
 *    The live driver index: what other modules may ask of it.
 */
#ifndef HAIL_LIVE_H
#define HAIL_LIVE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

typedef enum LiveState { LIVE_OFFLINE, LIVE_AVAILABLE, LIVE_OFFERED, LIVE_BUSY, LIVE_COOLDOWN } LiveState;

#define LIVE_ANY_AREA PG_UINT64_MAX

/* Why a search passed over a driver within its radius. */
typedef enum LivePass {
    LIVE_PASS_STALE,    /* not heard of for hail.presence_ttl */
    LIVE_PASS_BUSY,     /* on a trip */
    LIVE_PASS_COOLDOWN, /* has just ended one */
    LIVE_PASS_CLASS,    /* does not serve the class; counted, not noted */
    LIVE_PASS_OFFERS,
    LIVE_PASS_RATING,
    LIVE_PASS_AREA,
    LIVE_PASS_EXCLUDED,
    LIVE_PASSES
} LivePass;

#define LIVE_PASSED_MAX 64

/* Drivers that a search met and passed over: how many, and the first ones noted, the nearer roughly first.
 * Those it had no need to look at, being farther than its results, are not in it, nor are drivers who are
 * offline. */
typedef struct LivePassed {
    int count[LIVE_PASSES];
    int noted;
    struct {
        pg_uuid_t driver_id;
        float distance_m;
        LivePass why;
    } drivers[LIVE_PASSED_MAX];
} LivePassed;

typedef struct LiveSearch {
    double lat, lng, radius_m;
    int max_results;
    int class_id;              /* service_classes.id asked for; -1: any */
    float min_rating;          /* 0: any */
    int max_pending_offers;    /* drivers with so many pending offers or more are passed over; 0: no limit */
    uint64 area_mask;          /* hail.preferred_areas it lies in, by bit: a driver with areas of its own must
                                * have one of them; LIVE_ANY_AREA: not asked */
    bool with_room;            /* also drivers on a trip who can take another job */
    bool brief;                /* only the first columns of a hit are asked for */
    const pg_uuid_t *excluded; /* drivers never to return */
    int excluded_count;
    LivePassed *passed; /* filled in; NULL: not asked. Without preload it stays empty */
} LiveSearch;

/* A driver found; copied out of the index, valid at the moment of the copy. */
typedef struct LiveHit {
    pg_uuid_t driver_id;
    double lat, lng, distance_m;
    int64 class_mask;
    float heading, speed;                                /* a brief search fills in nothing from here on */
    float rating, acceptance, completion, vehicle_score; /* rating 1-5, the others 0-1 */
    int pending_offers;
    uint64 area_mask;                  /* areas the driver prefers; 0: anywhere */
    TimestampTz last_seen, idle_since; /* idle_since 0: never had a trip */
} LiveHit;

/*
 * Available drivers nearest first, exact; returns the number written to `hits` (room for max_results).
 * Never returns a driver that is offline, cooling down, suspended or not heard of for hail.presence_ttl, nor,
 * unless with_room asks for those with room for another job, one that is on a trip. Not preloaded: answered
 * from driver_positions. Errors: warming. Takes LWLocks, one cell at a time; must not be called with one
 * held. The caller has authorised itself.
 */
extern int live_search(const LiveSearch *search, LiveHit *hits);

/*
 * The nearest available driver of each of `count` classes, into hits[] and, where there is none, found[]
 * false: what live_search() would find of it alone, in one search. max_results and class_id do not count.
 * Returns how many were found. Errors and locks as there.
 */
extern int live_search_nearest(const LiveSearch *search, const int *class_ids, int count, LiveHit *hits,
                               bool *found);

/*
 * One driver as live_search() would return it, wherever it is: radius_m, max_results and with_room do not
 * count. False: it would not. Errors and locks as there.
 */
extern bool live_find(const LiveSearch *search, const pg_uuid_t *driver_id, LiveHit *hit);

/*
 * The number of pending offers of a driver changes by `delta` when this transaction commits (a hint for
 * drivers' apps and searches; the unique index on offers is what limits).
 */
extern void live_queue_offers(const pg_uuid_t *driver_id, int delta);

/* Available drivers per surge hexagon and the like: calls visit() for each driver that a search without
 * with_room could return. */
extern void live_visit_available(void (*visit)(const LiveHit *hit, void *arg), void *arg);

/* A driver's position and the part of its row that says whether it counts; a copy. */
typedef struct LiveMoved {
    pg_uuid_t driver_id, trip_id;        /* trip_id all zero: free */
    double lat, lng;                     /* degrees */
    float accuracy;                      /* metres; NaN: unknown */
    TimestampTz recorded_at, idle_since; /* idle_since 0: never had a trip */
    int16 region_id;
    bool online;
} LiveMoved;

/*
 * Calls visit() for each driver with a position that has reported or whose row has changed since the last
 * such call that committed; with `all`, for every driver with a position. Not preloaded: for those that are
 * online or on a trip and were heard of within the last minute. Returns how many. In a transaction; when it
 * or a part of it is rolled back, the same drivers are visited again.
 */
extern int live_visit_moved(bool all, void (*visit)(const LiveMoved *driver, void *arg), void *arg);

/* This driver is to be visited again. */
extern void live_mark_moved(const pg_uuid_t *driver_id);

/* Shared memory holds a complete index. False: not preloaded, or still being rebuilt. */
extern bool live_ready(void);

/* The index is being rebuilt: live_search() would fail. In a transaction. */
extern bool live_warming(void);

/*
 * Keeper steps, each in a transaction of the caller; they return the rows written. Rebuild after a start: all
 * at once, unless somebody else is at it or the transaction has itself changed drivers. Write changed
 * positions through; write OFFLINE and its event for drivers past their TTL: a batch of these
 * (hail.write_through_batch positions, 1,000 drivers), and `more` tells whether the round over all drivers
 * has not come to its end.
 */
extern int live_rebuild(void);
extern int live_write_through(void);
extern bool live_more_to_write(void);
extern int live_expire_presence(void);
extern bool live_more_to_expire(void);

/* Keeper step: an event for each driver whose impossible speed waits to be told; those whose rows are locked
 * wait on. And whether there are any: cheap, no transaction needed. */
extern int live_write_flagged(void);
extern bool live_flags_wait(void);

extern void live_init(void);

#endif
