/*
 * The dispatcher: takes the trips that are due one by one, each in a transaction of its own, then the regions
 * whose batch window has closed, then sleeps until the next deadline, a second at most. A trip requested
 * meanwhile wakes it (wake.c).
 *
 * It keeps nothing: what is due stands in the rows. Killed at any moment, it finds there what is left. A trip
 * that somebody holds, or whose offers, drivers or accounts somebody holds for longer than
 * DISPATCHER_LOCK_TIMEOUT, stays due; when nothing but such trips is left, the pauses grow, instead of
 * polling.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "dispatch/batch.h"
#include "dispatch/overload.h"
#include "dispatch/tick.h"
#include "worker/worker.h"

#define MAX_WAIT_MS   1000
#define FIRST_HELD_MS 10 /* pause while all that is due is held by others; doubles up to MAX_WAIT_MS */

static int wait_ms = MAX_WAIT_MS;
static int held_ms = FIRST_HELD_MS;

/*
 * A pass takes up where the last one ended, until all that is due was looked at once: a hundred trips that
 * somebody holds, oldest of all, must not hide the others.
 */
static TickTrip after = {.due_at = DT_NOBEGIN};
static bool swept_some = false; /* of this round through all that is due, any was done */

static WorkerOutcome dispatch(void);

static WorkerStep steps[] = {
    {.name = "dispatch", .pass = dispatch, .interval_ms = &wait_ms, .worker = WORKER_DISPATCHER}};

typedef struct Pass {
    TickTrip due[TICK_MAX + 1];
    int found;
    int regions[BATCH_MAX_REGIONS]; /* whose batch window has closed */
    int windows;
    TimestampTz next; /* deadline; DT_NOEND: none */
    int closed;       /* windows */
    int done;         /* trips and windows that are not due any more */
    int64 lag_us;
} Pass;

typedef struct Turn {
    const TickTrip *trip;
    bool taken;
    const char *sqlstate, *message; /* of its failure */
} Turn;

static void find_body(void *arg)
{
    Pass *pass = arg;
    TimestampTz now = hail_now(), next;

    overload_begin(now);
    pass->found = tick_due(now, &after, pass->due);
    if (pass->found == 0 && after.due_at != DT_NOBEGIN) {
        after = TICK_FIRST;
        pass->found = tick_due(now, &after, pass->due);
    }
    pass->windows = batch_windows(now, pass->regions, &pass->next);
    if (pass->found <= TICK_MAX && tick_next(now, &next))
        pass->next = Min(pass->next, next);
}

static void step_body(void *arg)
{
    Turn *turn = arg;

    turn->taken = tick_step(&turn->trip->id, hail_now());
}

static void failed_body(void *arg)
{
    Turn *turn = arg;

    tick_failed(&turn->trip->id, hail_now(), turn->sqlstate, turn->message);
    turn->taken = true;
}

static void change_body(void *arg)
{
    overload_write_change(hail_now());
}

static void queue_body(void *arg)
{
    overload_count_queue(hail_now());
}

static bool passing_failure(void)
{
    const char *sqlstate;

    (void)worker_error(&sqlstate);
    return tick_passing(MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]));
}

/* A failure that can't even be noted leaves the trip due, and must not keep the others waiting either. */
static WorkerOutcome take_turn(Pass *pass, const TickTrip *trip)
{
    Turn turn = {.trip = trip};
    int64 lag = overload_lag(trip->due_at, hail_now());
    WorkerOutcome outcome = worker_transaction("step", step_body, &turn);

    if (outcome == WORKER_FAILED && !passing_failure()) {
        turn.taken = false;
        turn.message = worker_error(&turn.sqlstate);
        outcome = worker_transaction("note a failure", failed_body, &turn);
    }
    if (outcome == WORKER_DONE && turn.taken) {
        pass->lag_us = Max(pass->lag_us, lag);
        pass->done++;
    }
    return outcome;
}

typedef struct Window {
    int region_id;
    MemoryContext context;
    TimestampTz now;
    Batch *batch;
    int trip;     /* whose offer is being made */
    bool guarded; /* an attempt to load it has failed: some trip is to blame */
    bool closed;
} Window;

static void load_body(void *arg)
{
    Window *window = arg;

    window->now = hail_now();
    window->batch = batch_load(window->region_id, window->now, window->context, window->guarded);
}

static void offer_body(void *arg)
{
    const Window *window = arg;

    batch_offer(window->batch, window->trip, hail_now());
}

static void close_body(void *arg)
{
    Window *window = arg;

    window->closed = batch_close(window->batch);
}

static void offer_failed_body(void *arg)
{
    const Window *window = arg;
    const char *sqlstate, *message = worker_error(&sqlstate);

    tick_failed(&window->batch->trips[window->trip].match.id, hail_now(), sqlstate, message);
}

static WorkerOutcome make_offers(Window *window)
{
    WorkerOutcome outcome = WORKER_DONE;

    for (int i = 0; i < window->batch->count && outcome != WORKER_NO_EXTENSION; i++) {
        if (window->batch->trips[i].chosen < 0)
            continue;
        CHECK_FOR_INTERRUPTS();
        window->trip = i;
        outcome = worker_transaction("offer", offer_body, window);
        if (outcome == WORKER_FAILED && !passing_failure())
            outcome = worker_transaction("note a failure", offer_failed_body, window);
    }
    return outcome;
}

/* No transaction is open, and so nothing is held, while the assignment is solved. */
static WorkerOutcome work_window(Pass *pass, int region_id)
{
    Window window = {.region_id = region_id, .context = CurrentMemoryContext};
    WorkerOutcome outcome = worker_transaction("load the pool", load_body, &window);

    if (outcome == WORKER_FAILED) {
        window.guarded = true;
        outcome = worker_transaction("load the pool", load_body, &window);
    }
    if (outcome != WORKER_DONE)
        return outcome;
    batch_solve(window.batch);
    outcome = make_offers(&window);
    if (outcome != WORKER_NO_EXTENSION)
        outcome = worker_transaction("close the window", close_body, &window);
    pass->closed += window.closed;
    pass->done += window.closed;
    MemoryContextDelete(window.batch->context);
    return outcome;
}

/* Overload is measured by what was done: trips that others hold are not late for want of a dispatcher. */
static WorkerOutcome end_pass(Pass *pass)
{
    TimestampTz now = hail_now();
    bool left = pass->found > TICK_MAX && pass->done > 0;

    if (left)
        pass->lag_us = Max(pass->lag_us, overload_lag(pass->due[TICK_MAX].due_at, now));
    if (overload_end(now, pass->lag_us, pass->done, left || pass->closed > 0) &&
        worker_transaction("overload", change_body, NULL) == WORKER_NO_EXTENSION)
        return WORKER_NO_EXTENSION;
    if (!left)
        overload_queue_empty();
    else if (overload_level() == OVERLOAD_QUEUE)
        return worker_transaction("count the queue", queue_body, NULL);
    return WORKER_DONE;
}

/* Where the next pass goes on. Returns whether it does so at once: something was done, or not all looked at.
 */
static bool go_on(const Pass *pass)
{
    bool more = pass->found > TICK_MAX, done;

    after = more ? pass->due[TICK_MAX - 1] : TICK_FIRST;
    done = swept_some || pass->done > 0;
    swept_some = more && done;
    return more || done;
}

/* How long to sleep now; a wake-up ends it early. */
static int pause_ms(const Pass *pass)
{
    int next, held = held_ms;

    if (go_on(pass)) {
        held_ms = FIRST_HELD_MS;
        return 0;
    }
    next = pass->next != DT_NOEND ? (int)hail_ms_until(pass->next, MAX_WAIT_MS) : MAX_WAIT_MS;
    if (pass->found == 0 && pass->windows == 0) {
        held_ms = FIRST_HELD_MS;
        return next;
    }
    held_ms = Min(held_ms * 2, MAX_WAIT_MS);
    return Min(held, next);
}

static WorkerOutcome dispatch(void)
{
    Pass pass = {.found = 0};
    WorkerOutcome outcome = worker_transaction("look for due trips", find_body, &pass);

    if (outcome != WORKER_DONE)
        return outcome;
    for (int i = 0; i < Min(pass.found, TICK_MAX); i++) {
        CHECK_FOR_INTERRUPTS();
        if (take_turn(&pass, &pass.due[i]) == WORKER_NO_EXTENSION)
            return WORKER_NO_EXTENSION;
    }
    for (int i = 0; i < pass.windows; i++)
        if (work_window(&pass, pass.regions[i]) == WORKER_NO_EXTENSION)
            return WORKER_NO_EXTENSION;
    outcome = end_pass(&pass);
    wait_ms = pause_ms(&pass);
    return outcome;
}

void hail_dispatcher_main(Datum arg)
{
    worker_main(WORKER_DISPATCHER, steps, lengthof(steps));
}
