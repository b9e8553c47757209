/*
 * index.h
 *    The live driver index in shared memory: its data model and verbs. Used inside src/live only.
 *
 * Slots are two parallel arrays. LiveHot is the cache line a search reads of each driver it meets; LiveCold
 * is the rest. A hash finds a driver's slot; a hashed grid of cells lists the drivers a search may return:
 * approved, online, free, with a position. Coarser grid levels only count drivers, hashed too; a count that
 * is too high costs a look, never an answer.
 *
 * Locks (all LWLocks, one tranche), taken in this order:
 *   partition locks  the hash chains of a partition of drivers and everything in these drivers' slots;
 *   the gate         held exclusively by a search that moves have overtaken too often; whoever links a driver
 *                    into a cell takes it, shared, for a moment before, when a search asks for it;
 *   cell locks       the cell lists, and what LiveHot and LiveCold hold of the drivers linked in them.
 *                    Two at once in the order of their numbers;
 *   the free lock    the lists of free slots and free blocks.
 * So a slot is written with its partition lock held exclusively, and its cell lock too while it is linked; it
 * is read with either lock shared. Counts are atomics, raised before a driver is linked and lowered after it
 * is unlinked. Only the gate is held across more than a few steps. Nothing here raises an error or allocates
 * while a lock is held.
 */
#ifndef HAIL_LIVE_INDEX_H
#define HAIL_LIVE_INDEX_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/uuid.h"

#include "geo/geo.h"
#include "live/cells.h"
#include "live/live.h"

#define LIVE_PARTITIONS 128
#define LIVE_CELL_LOCKS 256
#define LIVE_NO_SLOT    (-1)
/* A position older than this is not found, whenever it arrived. */
#define LIVE_POSITION_MAX_AGE (60 * USECS_PER_SEC)
/* A phone's clock may run ahead of ours by this. A time known here that is farther ahead tells that our clock
 * was set back since. */
#define LIVE_MAX_AHEAD (60 * USECS_PER_SEC)

/* The part of a drivers row that the index mirrors. */
typedef struct LiveRow {
    pg_uuid_t driver_id;
    pg_uuid_t trip_id; /* all zero: free */
    int64 version;     /* 0: nothing committed yet */
    int64 class_mask;
    uint64 area_mask;                       /* preferred areas; 0: anywhere */
    TimestampTz cooldown_until, idle_since; /* 0: none */
    float rating, acceptance, completion, vehicle_score;
    int16 region_id;
    uint8 job_capacity, active_jobs; /* jobs at once, and those under way */
    bool approved, online;
    bool deleted; /* the row is gone; a new one with this id starts over at any version */
} LiveRow;

/* A copy of a slot: a driver as the verbs see it. */
typedef struct LiveEntry {
    int32 slot;
    LiveRow row;
    double lat, lng;                /* degrees; unset while recorded_at is 0 */
    TimestampTz recorded_at;        /* of the position; 0: none known */
    TimestampTz fresh_at;           /* it is found until hail.presence_ttl after this */
    TimestampTz last_seen;          /* when the driver was last heard of, by the server's clock */
    uint32 busy_since;              /* live_ms() of the moment when trip_id was applied */
    uint32 history_at;              /* live_ms() of the point last kept in the history */
    float heading, speed, accuracy; /* degrees, km/h, m; NaN: unknown */
    int pending_offers;
} LiveEntry;

typedef struct LiveReport {
    pg_uuid_t driver_id;
    double lat, lng;
    float heading, speed, accuracy;
    TimestampTz recorded_at, received_at;
    bool own_time; /* recorded_at came with the report; else it is the time of arrival, never a repeat */
    bool trusted;  /* taken however far from the position there */
} LiveReport;

typedef enum LiveReportStatus {
    LIVE_REPORT_APPLIED,
    LIVE_REPORT_LATE,       /* a newer position is there */
    LIVE_REPORT_DUPLICATE,  /* the position there has the same own time: sent again */
    LIVE_REPORT_IMPOSSIBLE, /* faster than hail.max_speed */
    LIVE_REPORT_NOT_APPROVED,
    LIVE_REPORT_UNKNOWN /* no slot, or none of its row's versions committed yet */
} LiveReportStatus;

typedef struct LiveReportResult {
    LiveReportStatus status;
    LiveState state;
    int pending_offers;
    bool keep_history;
    pg_uuid_t trip_id;   /* for the history */
    double jump_m;       /* impossible: how far from the position there, */
    TimestampTz from_at; /* and its recorded_at */
} LiveReportResult;

typedef struct LiveIndexStats {
    int64 slots, used, available; /* slots, those in use, drivers linked into cells */
    int64 occupied;               /* cells with drivers */
    int64 memory_bytes;           /* locks included */
    int64 searches, reports, late, impossible;
    int64 cells_visited, drivers_visited, search_reruns; /* by searches */
    int64 lock_waits;                                    /* locks that were not free at once */
    bool ready;
} LiveIndexStats;

/* The memory is there (the library was preloaded). */
extern bool live_index_attached(void);
extern void live_index_init(void);

/* Ready: complete. */
extern bool live_index_ready(void);
extern void live_index_set_ready(bool ready);

/*
 * From the return of the first until the second no slot is reclaimed, so that row versions survive a rebuild.
 * `complete`: the index is ready now, and true is returned, unless it was cleared meanwhile.
 */
extern void live_index_begin_rebuild(void);
extern bool live_index_end_rebuild(bool complete);

/* Forget all drivers but those with reservations, which become unknown. Not ready from then on. */
extern void live_index_clear(void);

/*
 * The slot of a driver, with one more reservation: it stays until live_index_unreserve(). LIVE_NO_SLOT: not
 * there, or, with `create`, out of slots.
 */
extern int32 live_index_reserve(const pg_uuid_t *driver_id, bool create);
extern void live_index_unreserve(int32 slot);

/* Mirror a row into a reserved slot, unless that has the same version or a newer one. Can't fail. */
extern void live_index_apply(int32 slot, const LiveRow *row, TimestampTz now);

/* Pending offers: change by `delta` (not below 0), or set. Drivers without a slot are passed over. */
extern void live_index_add_offers(const pg_uuid_t *driver_id, int delta);
extern void live_index_set_offers(int32 slot, int count);

/*
 * Take a position. `pending`: this transaction's uncommitted row of the driver, which decides about approval
 * and the state answered, or NULL; with it, slots without a committed row are filled too.
 */
extern LiveReportResult live_index_report(const LiveReport *report, const LiveRow *pending);

/*
 * Fetch ahead what a report of this driver will touch, without locks or promises: first (step 0) the head of
 * its hash chain, some reports later (1) the first slot of the chain, then (2) the second, if it is not the
 * first.
 */
extern void live_index_fetch(const pg_uuid_t *driver_id, int step);

/* What a report does to a copy of a slot: pure. `row` as `pending` above, or the slot's own. */
extern void live_decide_report(LiveEntry *entry, const LiveRow *row, const LiveReport *report,
                               LiveReportResult *result);

/* The position of a report, not judged. */
extern void live_place(LiveEntry *entry, const LiveReport *report);

/*
 * A time in 32 bits: milliseconds modulo 2^32 (49 days), never 0, which stands for none. And how long `at` is
 * after such a time, rightly if it is within 24 days of it.
 */
extern uint32 live_ms(TimestampTz at);
extern int64 live_ms_since(TimestampTz at, uint32 ms);

/*
 * What a rebuild reads, from a snapshot that may be old by now. A row: the driver gets a slot if need be, and
 * the row unless a newer version or a deletion has overtaken it; false: out of slots. A position: unless a
 * newer one is there; not judged, no history; drivers without a slot are passed over.
 */
extern bool live_index_restore(const LiveRow *row, TimestampTz now);
extern void live_index_load(const LiveReport *report);

/* The clock was set back: a driver heard of after `now` was heard of now. */
extern void live_index_rewind(int32 slot, TimestampTz now);

/* Copy a slot out; false: free. Slots count from 0 to live_index_slots() - 1. */
extern bool live_index_read(int32 slot, LiveEntry *entry);
extern int32 live_index_slots(void);
extern bool live_index_find(const pg_uuid_t *driver_id, LiveEntry *entry);

/* Positions not yet written through: take the marks of slots 32 * word ..., and set some. */
extern uint32 live_index_take_dirty(int32 word);
extern void live_index_mark_dirty(int32 word, uint32 marks);

/* The same of drivers that have reported, or whose rows have changed, since live_visit_moved() looked. */
extern uint32 live_index_take_moved(int32 word);
extern void live_index_mark_moved(int32 word, uint32 bits);

/* Give up slots of drivers that are offline, free and, with `before`, not heard of since; returns their
 * number. */
extern int live_index_reclaim(TimestampTz before);
extern bool live_index_reclaim_slot(int32 slot, TimestampTz before);

/*
 * The first slot from `slot` on whose driver may not have been heard of since `before`, or after `ahead`;
 * `end` if there is none. Read without locks: it passes over no driver that was silent all the time, and
 * means nothing else.
 */
extern int32 live_index_next_silent(int32 slot, int32 end, TimestampTz before, TimestampTz ahead);

extern int live_index_search(const LiveSearch *search, TimestampTz now, LiveHit *hits);
extern int live_index_search_nearest(const LiveSearch *search, const int *class_ids, int count,
                                     TimestampTz now, LiveHit *hits, bool *found);
extern LiveIndexStats live_index_stats(void);

/* State of a driver at `now`, from its mirrored row and count of pending offers. */
extern LiveState live_state(const LiveRow *row, int pending_offers, TimestampTz now);
extern const char *live_state_name(LiveState state);

/* A search without with_room may return it at `now`. */
extern bool live_entry_available(const LiveEntry *entry, TimestampTz now);

static inline bool live_uuid_is_zero(const pg_uuid_t *id)
{
    uint64 halves[2];

    memcpy(halves, id->data, sizeof(halves));
    return (halves[0] | halves[1]) == 0;
}

/* How many more jobs a driver could take; being on a trip is one, whatever active_jobs says. */
static inline int live_room(const LiveRow *row)
{
    int jobs = live_uuid_is_zero(&row->trip_id) ? 0 : Max(row->active_jobs, 1);

    return Max(row->job_capacity - jobs, 0);
}

/* Inline, so that a search copies out of a slot what a hit has and no more. */
static inline void live_hit_fill(LiveHit *hit, const LiveEntry *entry, double distance_m)
{
    hit->driver_id = entry->row.driver_id;
    hit->lat = entry->lat;
    hit->lng = entry->lng;
    hit->distance_m = distance_m;
    hit->heading = entry->heading;
    hit->speed = entry->speed;
    hit->rating = entry->row.rating;
    hit->acceptance = entry->row.acceptance;
    hit->completion = entry->row.completion;
    hit->vehicle_score = entry->row.vehicle_score;
    hit->pending_offers = entry->pending_offers;
    hit->class_mask = entry->row.class_mask;
    hit->area_mask = entry->row.area_mask;
    hit->last_seen = entry->last_seen;
    hit->idle_since = entry->row.idle_since;
}

static inline int live_uuid_cmp(const pg_uuid_t *a, const pg_uuid_t *b)
{
    return memcmp(a->data, b->data, UUID_LEN);
}

#endif
