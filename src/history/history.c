/*
 * Appending to and draining the history ring.
 *
 * Shared memory does not roll back, a transaction does: the drain therefore only notes how far it has read,
 * and the commit callback, where nothing can fail, moves the tails. On abort the note is dropped. Should the
 * server die between commit and callback, the ring is gone with it; should a point be written twice, the
 * primary key (driver, time) makes it one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/guc.h"
#include "history/ring.h"
#include "history/store.h"

/* How long history_settle() waits for a drain of others: 10 s in all. */
#define SETTLE_TRIES    500
#define SETTLE_PAUSE_US 20000

/* The drain of this transaction. */
static struct {
    bool active;
    SubTransactionId subid; /* the subtransaction whose abort takes the rows back */
    uint64 from[LANE_COUNT], upto[LANE_COUNT];
} drain;

/* The ring is drained into one database: backends of another one write for themselves. */
static bool ring_serves_us(void)
{
    static Oid asked_for = InvalidOid;
    static bool answer = false;

    if (asked_for != MyDatabaseId) {
        char *name = get_database_name(MyDatabaseId);

        answer = name != NULL && strcmp(name, hail_worker_database) == 0;
        asked_for = MyDatabaseId;
    }
    return answer;
}

void history_append(const HistoryPoint *point)
{
    HistoryRing *ring = ring_get();

    if (TIMESTAMP_NOT_FINITE(point->recorded_at))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("time of a position must be finite"),
                hail_field("recorded_at"));
    if (ring != NULL && ring_serves_us() && ring_append(ring, point))
        return;
    history_store_one(point);
}

bool history_has_room(void)
{
    HistoryRing *ring = ring_get();

    if (ring == NULL || !ring_serves_us())
        return false;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        if (ring_waiting(ring, lane) >= ring->capacity)
            return false;
    return true;
}

uint64 history_waiting(void)
{
    HistoryRing *ring = ring_get();
    uint64 waiting = 0;

    for (int lane = 0; ring != NULL && lane < LANE_COUNT; lane++)
        waiting += ring_waiting(ring, lane);
    return waiting;
}

/* Claim the ring for this transaction and note how far it is filled. */
static bool drain_begin(HistoryRing *ring)
{
    if (!ring_claim(ring))
        return false;
    drain.active = true;
    drain.subid = GetCurrentSubTransactionId();
    for (int lane = 0; lane < LANE_COUNT; lane++)
        drain.upto[lane] = ring_readable(ring, lane, &drain.from[lane]);
    return true;
}

/* Release the ring; `committed`: give up what was read. Can't fail. */
static void drain_end(bool committed)
{
    if (!drain.active)
        return;
    ring_release(ring_get(), committed ? drain.upto : NULL);
    drain.active = false;
}

/* What the drain of this transaction has claimed, into the table. */
static int drain_store(HistoryRing *ring)
{
    uint64 count = 0;

    for (int lane = 0; lane < LANE_COUNT; lane++) {
        uint64 waiting = drain.upto[lane] - drain.from[lane];

        if (waiting > 0)
            history_store(ring_lane_points(ring, lane), ring->capacity, drain.from[lane], waiting);
        count += waiting;
    }
    return (int)count;
}

int history_drain(void)
{
    HistoryRing *ring = ring_get();

    if (ring == NULL || !ring_serves_us() || !drain_begin(ring))
        return 0;
    return drain_store(ring);
}

/* A second claim in one transaction: only what came after the first one. */
static void drain_again(HistoryRing *ring)
{
    if (drain.subid != GetCurrentSubTransactionId())
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("this transaction has drained the history ring outside its present savepoint"));
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        uint64 tail;

        drain.from[lane] = drain.upto[lane];
        drain.upto[lane] = ring_readable(ring, lane, &tail);
    }
}

/* Claim all that has a place: a reporter between taking its place and marking it hides those behind it. */
static void wait_for_marks(HistoryRing *ring)
{
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        uint64 tail, head;

        (void)ring_readable(ring, lane, &tail);
        head = tail + ring_waiting(ring, lane);
        while (drain.upto[lane] < head) {
            CHECK_FOR_INTERRUPTS();
            pg_usleep(SETTLE_PAUSE_US);
            drain.upto[lane] = ring_readable(ring, lane, &tail);
        }
    }
}

void history_settle(void)
{
    HistoryRing *ring = ring_get();

    if (ring == NULL || !ring_serves_us())
        return;
    (void)history_load_files();
    if (drain.active)
        drain_again(ring);
    for (int i = 0; !drain.active && !drain_begin(ring); i++) {
        if (i == SETTLE_TRIES)
            ereport(ERROR, hail_error(HAIL_IN_FLIGHT),
                    errmsg("positions are being written by another transaction"),
                    errhint("Try again in a moment."));
        CHECK_FOR_INTERRUPTS();
        pg_usleep(SETTLE_PAUSE_US);
    }
    wait_for_marks(ring);
    (void)drain_store(ring);
}

static void at_transaction_end(XactEvent event, void *arg)
{
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
        drain_end(event == XACT_EVENT_COMMIT);
    else if (event == XACT_EVENT_PRE_PREPARE && drain.active)
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("a transaction that drained the history ring can't be prepared"));
}

static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    if (!drain.active || id != drain.subid)
        return;
    if (event == SUBXACT_EVENT_ABORT_SUB)
        drain_end(false);
    else if (event == SUBXACT_EVENT_COMMIT_SUB)
        drain.subid = parent;
}

void history_init(void)
{
    ring_init();
    ring_file_init();
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
}
