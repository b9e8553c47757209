/* The history ring; see ring.h. */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "history/ring.h"

static HistoryRing *the_ring = NULL;
static LWLock *the_lock = NULL;

HistoryRing *ring_get(void)
{
    return the_ring;
}

LWLock *ring_lock(void)
{
    return the_lock;
}

HistoryPoint *ring_lane_points(HistoryRing *ring, int lane)
{
    return ring->points + (Size)lane * ring->capacity;
}

static uint64 lane_capacity(void)
{
    return (uint64)(hail_history_ring_points / LANE_COUNT);
}

static Size ring_size(void)
{
    return add_size(offsetof(HistoryRing, points),
                    mul_size(LANE_COUNT, mul_size((Size)lane_capacity(), sizeof(HistoryPoint))));
}

static int ring_lock_count(void)
{
    return 1;
}

/* Shutdown (code 0): nobody else is attached any more. Any other code: the memory can't be trusted. */
static void at_postmaster_exit(int code, Datum arg)
{
    if (code == 0 && the_ring != NULL)
        ring_file_save(the_ring);
}

static void ring_startup(void *memory, LWLockPadded *locks, bool found)
{
    the_ring = memory;
    the_lock = &locks[0].lock;
    if (!found) {
        memset(the_ring, 0, offsetof(HistoryRing, points));
        the_ring->capacity = lane_capacity();
    }
    /* The one exception to "startup registers no callback": before it runs this again after a crash, the
     * postmaster has run and thereby forgotten its exit callbacks, with a code other than 0. */
    if (!IsUnderPostmaster)
        on_shmem_exit(at_postmaster_exit, (Datum)0);
}

static const HailShmemModule ring_shmem = {"hail_history", ring_size, ring_lock_count, ring_startup};

void ring_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&ring_shmem);
}

bool ring_append(HistoryRing *ring, const HistoryPoint *point)
{
    static const pg_uuid_t no_trip;
    int lane = memcmp(&point->trip_id, &no_trip, sizeof(no_trip)) == 0 ? LANE_OTHER : LANE_TRIP;
    HistoryLane *l = &ring->lanes[lane];
    bool room;

    LWLockAcquire(the_lock, LW_EXCLUSIVE);
    room = l->head - l->tail < ring->capacity;
    if (room) {
        ring_lane_points(ring, lane)[l->head % ring->capacity] = *point;
        l->head++;
    } else {
        ring->written_slow++;
    }
    LWLockRelease(the_lock);
    return room;
}
