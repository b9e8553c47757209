/* The history ring; see ring.h. */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "history/ring.h"

static HistoryRing *the_ring = NULL;

HistoryRing *ring_get(void)
{
    return the_ring;
}

HistoryPoint *ring_lane_points(HistoryRing *ring, int lane)
{
    return ring->points + (Size)lane * ring->capacity;
}

static pg_atomic_uint32 *lane_marks(HistoryRing *ring, int lane)
{
    return (pg_atomic_uint32 *)ring_lane_points(ring, LANE_COUNT) + (Size)lane * ring->capacity;
}

/* What marks point number n of a lane as written; never 0, which is where marks begin. */
static uint32 lap_mark(const HistoryRing *ring, uint64 n)
{
    return (uint32)(n / ring->capacity) | UINT32_C(0x80000000);
}

static uint64 lane_capacity(void)
{
    return (uint64)(hail_history_ring_points / LANE_COUNT);
}

static Size ring_size(void)
{
    Size places = mul_size(LANE_COUNT, (Size)lane_capacity());

    return add_size(offsetof(HistoryRing, points),
                    mul_size(places, sizeof(HistoryPoint) + sizeof(pg_atomic_uint32)));
}

/* Shutdown (code 0): nobody else is attached any more. Any other code: the memory can't be trusted. */
static void at_postmaster_exit(int code, Datum arg)
{
    if (code == 0 && the_ring != NULL)
        ring_file_save(the_ring);
}

static void init_ring(HistoryRing *ring)
{
    ring->capacity = lane_capacity();
    pg_atomic_init_u32(&ring->drainer, 0);
    pg_atomic_init_u64(&ring->drained, 0);
    pg_atomic_init_u64(&ring->written_slow, 0);
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        pg_atomic_init_u64(&ring->lanes[lane].head, 0);
        pg_atomic_init_u64(&ring->lanes[lane].tail, 0);
    }
    for (uint64 n = 0; n < LANE_COUNT * ring->capacity; n++)
        pg_atomic_init_u32(&lane_marks(ring, 0)[n], 0);
}

static void ring_startup(void *memory, LWLockPadded *locks, bool found)
{
    the_ring = memory;
    if (!found)
        init_ring(the_ring);
    /* The one exception to "startup registers no callback": before it runs this again after a crash, the
     * postmaster has run and thereby forgotten its exit callbacks, with a code other than 0. */
    if (!IsUnderPostmaster)
        on_shmem_exit(at_postmaster_exit, (Datum)0);
}

static const HailShmemModule ring_shmem = {"hail_history", ring_size, NULL, ring_startup};

void ring_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&ring_shmem);
}

/* A place of the lane for the caller alone; false: none is left. */
static bool take_place(HistoryRing *ring, HistoryLane *lane, uint64 *place)
{
    uint64 head = pg_atomic_read_u64(&lane->head);

    do {
        /* signed: a head read long ago may lie behind tail, and the exchange fails */
        if ((int64)(head - pg_atomic_read_u64(&lane->tail)) >= (int64)ring->capacity)
            return false;
    } while (!pg_atomic_compare_exchange_u64(&lane->head, &head, head + 1));
    *place = head;
    return true;
}

bool ring_append(HistoryRing *ring, const HistoryPoint *point)
{
    static const pg_uuid_t no_trip;
    int lane = memcmp(&point->trip_id, &no_trip, sizeof(no_trip)) == 0 ? LANE_OTHER : LANE_TRIP;
    uint64 place;

    if (!take_place(ring, &ring->lanes[lane], &place)) {
        pg_atomic_fetch_add_u64(&ring->written_slow, 1);
        return false;
    }
    ring_lane_points(ring, lane)[place % ring->capacity] = *point;
    pg_write_barrier(); /* the point before its mark */
    pg_atomic_write_u32(&lane_marks(ring, lane)[place % ring->capacity], lap_mark(ring, place));
    return true;
}

uint64 ring_waiting(HistoryRing *ring, int lane)
{
    uint64 tail = pg_atomic_read_u64(&ring->lanes[lane].tail);

    return pg_atomic_read_u64(&ring->lanes[lane].head) - tail; /* tail was read first: never negative */
}

static bool written(HistoryRing *ring, int lane, uint64 n)
{
    return pg_atomic_read_u32(&lane_marks(ring, lane)[n % ring->capacity]) == lap_mark(ring, n);
}

uint64 ring_readable(HistoryRing *ring, int lane, uint64 *tail)
{
    uint64 head = pg_atomic_read_u64(&ring->lanes[lane].head);
    uint64 upto = pg_atomic_read_u64(&ring->lanes[lane].tail);

    *tail = upto;
    while (upto < head && written(ring, lane, upto))
        upto++;
    pg_read_barrier(); /* the marks before their points */
    return upto;
}

TimestampTz ring_oldest(HistoryRing *ring)
{
    TimestampTz oldest = DT_NOEND;

    for (int lane = 0; lane < LANE_COUNT; lane++) {
        uint64 tail = pg_atomic_read_u64(&ring->lanes[lane].tail);
        TimestampTz received_at;

        if (!written(ring, lane, tail))
            continue;
        pg_read_barrier();
        received_at = ring_lane_points(ring, lane)[tail % ring->capacity].received_at;
        pg_read_barrier();
        if (pg_atomic_read_u64(&ring->lanes[lane].tail) == tail) /* else it may be another point's by now */
            oldest = Min(oldest, received_at);
    }
    return oldest;
}

bool ring_claim(HistoryRing *ring)
{
    uint32 nobody = 0;

    return pg_atomic_compare_exchange_u32(&ring->drainer, &nobody, (uint32)MyProcPid);
}

void ring_release(HistoryRing *ring, const uint64 *upto)
{
    for (int lane = 0; upto != NULL && lane < LANE_COUNT; lane++) {
        uint64 count = upto[lane] - pg_atomic_read_u64(&ring->lanes[lane].tail);

        pg_memory_barrier(); /* the points were read before their places are free */
        pg_atomic_write_u64(&ring->lanes[lane].tail, upto[lane]);
        pg_atomic_fetch_add_u64(&ring->drained, (int64)count);
    }
    pg_memory_barrier();
    pg_atomic_write_u32(&ring->drainer, 0);
}
