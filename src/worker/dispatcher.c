/*
 * The dispatcher: hail.dispatch_tick(), then sleep until the next deadline: the next round of a searching
 * trip or the end of an offer, a second at most. A trip requested meanwhile wakes it (wake.c).
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/clock.h"
#include "worker/worker.h"

#define MAX_WAIT_MS 1000
#define MIN_WAIT_MS 5
#define IDLE_WAIT_MS                                                                                         \
    100 /* something is overdue and the tick did nothing about it: locked by someone, or failing */

static int wait_ms = MAX_WAIT_MS;
static int64 tick(void);

static WorkerStep tick_step = {.name = "tick",
                               .function = "dispatch_tick",
                               .statement = {"SELECT hail.dispatch_tick()::bigint", 0, {0}}};

static HailStatement next_deadline = {
    "SELECT least((SELECT min(t.next_round_at) FROM hail.trips t WHERE t.next_round_at IS NOT NULL),"
    " (SELECT min(o.expires_at) FROM hail.offers o WHERE o.status OPERATOR(pg_catalog.=) 'pending'))",
    0,
    {0}};

static WorkerStep steps[] = {
    {.name = "dispatch", .run = tick, .interval_ms = &wait_ms, .worker = WORKER_DISPATCHER}};

static int64 tick(void)
{
    bool isnull;
    Datum deadline;
    int64 done = worker_run_step(&tick_step);

    wait_ms = MAX_WAIT_MS;
    if (done < 0)
        return 0;
    hail_execute(&next_deadline, NULL, NULL, false, 0);
    deadline = hail_result(0, 1, &isnull);
    if (!isnull)
        wait_ms = (int)hail_ms_until(DatumGetTimestampTz(deadline), MAX_WAIT_MS);
    if (wait_ms < MIN_WAIT_MS)
        wait_ms = done > 0 ? MIN_WAIT_MS : IDLE_WAIT_MS;
    return done;
}

void hail_dispatcher_main(Datum arg)
{
    worker_main(WORKER_DISPATCHER, steps, lengthof(steps));
}
