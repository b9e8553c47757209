/*
 * The crash storm: customers request trips, drivers accept, drive and complete them, and processes of the
 * server are killed with SIGKILL in the middle of it.
 *
 * A lane is one customer with a connection and a trip under way: a state machine, one call at a time, each
 * made in the name of whoever makes it (the customer, the driver). What was acknowledged is remembered here.
 * A call whose answer a crash took away is made again afterwards, as an app would do; until then either
 * outcome is right, and nothing else is.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"

#define LOAD_ANSWERS 40   /* acknowledgements between two kills, at least */
#define LOAD_S       10.0 /* or trips do not go on */
#define ANSWERS_S    20.0 /* until every call is answered, every connection has noticed a crash */
#define RECOVERY_S   60.0
#define PAUSE_S      0.03 /* before a lane looks again */

typedef enum Step {
    STEP_QUOTE,
    STEP_REQUEST,
    STEP_LOOK,
    STEP_ACCEPT,
    STEP_BID,
    STEP_CHOOSE,
    STEP_CODE,
    STEP_ARRIVE,
    STEP_START,
    STEP_COMPLETE,
    STEP_CANCEL,
    STEP_GIVE_BACK,
    STEP_COUNT
} Step;

/*
 * What a step asks for, the state it takes the trip to, how the server says that this was done before, and
 * whether others may have been faster: then another driver is looked for.
 */
static const struct StepRow {
    Verb verb;
    bool by_driver;
    const char *to_state; /* NULL: the trip stays as it is */
    const char *repeated; /* NULL: repeating it succeeds */
    bool contested;
} steps[STEP_COUNT] = {
    [STEP_QUOTE] = {QUOTE, false, NULL, NULL},
    [STEP_REQUEST] = {REQUEST, false, "searching", NULL},
    [STEP_LOOK] = {OFFERED, false, NULL, NULL},
    [STEP_ACCEPT] = {ACCEPT, true, "matched", NULL, true},
    [STEP_BID] = {BID, true, NULL, NULL, true},
    [STEP_CHOOSE] = {CHOOSE, false, "matched", NULL, true},
    [STEP_CODE] = {CODE, false, NULL, NULL},
    [STEP_ARRIVE] = {ARRIVE, true, "arrived", "wrong_state"},
    [STEP_START] = {START, true, "started", "wrong_state"},
    [STEP_COMPLETE] = {COMPLETE, true, "completed", NULL},
    [STEP_CANCEL] = {CANCEL, false, "cancelled", "wrong_state"},
    [STEP_GIVE_BACK] = {CANCEL, true, "searching", "not_found"},
};

typedef struct Lane {
    const Person *customer, *driver; /* driver: of the trip, or being asked */
    Step step;
    Call call;
    bool lost;         /* the answer to this step was lost: whether it was done is open */
    double wait_until; /* wall s */
    long requests;
    const char *strategy;
    char quote[37], trip[37], bid[37], key[32], code[8];
    const char *state; /* of the trip, as acknowledged; NULL: no trip */
} Lane;

/* A trip that is over. */
typedef struct Ended {
    char trip[37];
    const Person *driver;
    const char *state;
} Ended;

static Lane lanes[LANES];
static Line lines[LANES];
static Ended *ended;
static size_t ended_count, ended_room;
static long acknowledged; /* changes of trips that were acknowledged */

static const char *random_strategy(void)
{
    double x = random_unit();

    return x < 0.55 ? "first_accept" : x < 0.70 ? "sequential" : x < 0.85 ? "batched" : "broadcast_bid";
}

static void start_trip(Lane *lane)
{
    lane->strategy = random_strategy();
    lane->step = STEP_QUOTE;
    lane->state = NULL;
    lane->driver = NULL;
    snprintf(lane->key, sizeof(lane->key), "trip %ld", ++lane->requests);
}

static void end_trip(Lane *lane)
{
    if (ended_count == ended_room) {
        ended_room = ended_room ? 2 * ended_room : 1024;
        ended = xrealloc(ended, ended_room * sizeof(Ended));
    }
    ended[ended_count] = (Ended){.driver = lane->driver, .state = lane->state};
    memcpy(ended[ended_count++].trip, lane->trip, sizeof(lane->trip));
    start_trip(lane);
}

static void send_step(Lane *lane, Line *line)
{
    const struct StepRow *row = &steps[lane->step];
    const char *driver = lane->driver ? lane->driver->id : NULL;
    Call call = {
        .verb = row->verb, .by = row->by_driver ? lane->driver : lane->customer, .args = {lane->trip}};

    switch (lane->step) {
    case STEP_QUOTE:
        call.args[0] = lane->customer->id;
        break;
    case STEP_REQUEST:
        call.args[0] = lane->quote;
        call.args[1] = lane->customer->id[35] & 1 ? "cash" : "wallet";
        call.args[2] = lane->key;
        call.args[3] = lane->strategy;
        break;
    case STEP_LOOK: /* offers of others are the drivers' own; an operator sees them all */
        call.by = &world.admin;
        break;
    case STEP_ACCEPT:
    case STEP_BID:
        call.args[1] = driver;
        break;
    case STEP_CHOOSE:
        call.args[1] = lane->bid;
        break;
    case STEP_START:
        call.args[1] = lane->code;
        break;
    default:
        break;
    }
    lane->call = call;
    line_send(line, &lane->call, false);
}

/* One of the drivers that hold an offer, at random; NULL when nobody does. */
static const Person *choose_driver(const char *ids)
{
    size_t count = (strlen(ids) + 1) / 37;
    const char *id = ids + 37 * (size_t)(random_unit() * (double)count);

    for (int i = 0; i < CRASH_DRIVERS && count > 0; i++)
        if (strncmp(world.crash_drivers[i].id, id, 36) == 0)
            return &world.crash_drivers[i];
    return NULL;
}

/* What comes after a step that was done. */
static void go_on(Lane *lane)
{
    switch (lane->step) {
    case STEP_QUOTE:
        snprintf(lane->quote, sizeof(lane->quote), "%.36s", lane->call.value);
        lane->step = STEP_REQUEST;
        break;
    case STEP_REQUEST:
        snprintf(lane->trip, sizeof(lane->trip), "%.36s", lane->call.value);
        lane->step = STEP_LOOK;
        break;
    case STEP_LOOK:
        lane->driver = choose_driver(lane->call.value);
        if (random_chance(0.02))
            lane->step = STEP_CANCEL;
        else if (lane->driver)
            lane->step = strcmp(lane->strategy, "broadcast_bid") == 0 ? STEP_BID : STEP_ACCEPT;
        lane->wait_until = lane->driver ? 0 : wall_now() + PAUSE_S;
        break;
    case STEP_BID:
        snprintf(lane->bid, sizeof(lane->bid), "%.36s", lane->call.value);
        lane->step = lane->bid[0] ? STEP_CHOOSE : STEP_LOOK; /* no offer any more: no trip to be seen */
        break;
    case STEP_ACCEPT:
    case STEP_CHOOSE:
        if (strcmp(lane->call.value, lane->driver->id) != 0)
            report_problem(TEST_CRASH, "%s accepted trip %s and was told it is %s's", lane->driver->id,
                           lane->trip, lane->call.value);
        lane->step = random_chance(0.06) ? STEP_CANCEL : random_chance(0.06) ? STEP_GIVE_BACK : STEP_CODE;
        break;
    case STEP_CODE:
        snprintf(lane->code, sizeof(lane->code), "%.4s", lane->call.value);
        lane->step = STEP_ARRIVE;
        break;
    case STEP_ARRIVE:
        lane->step = STEP_START;
        break;
    case STEP_START:
        lane->step = STEP_COMPLETE;
        break;
    case STEP_COMPLETE:
    case STEP_CANCEL:
        end_trip(lane);
        break;
    default: /* given back: somebody else is found */
        lane->driver = NULL;
        lane->step = STEP_LOOK;
    }
}

static void on_done(Lane *lane)
{
    const char *state = steps[lane->step].to_state;

    if (state != NULL) {
        lane->state = state;
        acknowledged++;
    }
    lane->lost = false;
    go_on(lane);
}

static void on_refused(Lane *lane)
{
    static const char *const passing[] = {"driver_busy", "offer_closed", "offer_expired"};
    const char *code = lane->call.code, *repeated = steps[lane->step].repeated;

    if (strcmp(code, "warming") == 0) {
        lane->wait_until = wall_now() + PAUSE_S;
        return;
    }
    if (lane->lost && repeated != NULL && strcmp(code, repeated) == 0) {
        on_done(lane);
        return;
    }
    for (int i = 0; i < 3 && steps[lane->step].contested; i++) {
        if (strcmp(code, passing[i]) == 0) {
            lane->lost = false;
            lane->step = STEP_LOOK;
            return;
        }
    }
    report_problem(TEST_CRASH, "%s of trip %s (%s) got %s", verb_name(lane->call.verb), lane->trip,
                   lane->state ? lane->state : "not yet made", code);
    lane->wait_until = wall_now() + 1;
}

static void on_answer(Lane *lane)
{
    static const char *const outcomes[] = {[CALL_DONE] = "done", [CALL_BROKEN] = "no answer"};
    bool refused = lane->call.state == CALL_REFUSED;

    report_answer("crash storm", verb_name(lane->call.verb),
                  refused ? lane->call.code : outcomes[lane->call.state]);
    if (lane->call.state == CALL_DONE)
        on_done(lane);
    else if (lane->call.state == CALL_REFUSED)
        on_refused(lane);
    else
        lane->lost = true;
}

static int receive_all(void)
{
    int answers = 0;

    for (int i = 0; i < LANES; i++) {
        if (line_receive(&lines[i])) {
            on_answer(&lanes[i]);
            answers++;
        }
    }
    return answers;
}

/* Let the lanes go on until `answers` more changes are acknowledged. */
static void load(long answers)
{
    long goal = acknowledged + answers;
    double until = wall_now() + LOAD_S;

    world_report();
    while (acknowledged < goal) {
        if (wall_now() > until) {
            report_problem(TEST_RECOVERY, "only %ld of %ld answers within %.0f s",
                           answers - (goal - acknowledged), answers, LOAD_S);
            return;
        }
        for (int i = 0; i < LANES; i++)
            if (lines[i].call == NULL && lanes[i].wait_until <= wall_now())
                send_step(&lanes[i], &lines[i]);
        if (receive_all() == 0)
            lines_wait(lines, LANES, PAUSE_S);
    }
}

/* Wait for the answers that are out. */
static void settle(void)
{
    double until = wall_now() + ANSWERS_S;

    for (int open = 1; open > 0;) {
        receive_all();
        open = 0;
        for (int i = 0; i < LANES; i++)
            open += lines[i].call != NULL;
        if (open > 0)
            lines_wait(lines, LANES, 0.1);
        if (wall_now() > until)
            die("%d calls were not answered", open);
    }
}

/* Until every line is closed: a crash is over only after it has begun for everybody. */
static void await_hangup(void)
{
    double until = wall_now() + ANSWERS_S;

    for (int open = LANES; open > 0;) {
        settle();
        open = 0;
        for (int i = 0; i < LANES; i++) {
            if (lines[i].pg != NULL && line_hung_up(&lines[i]))
                line_close(&lines[i]);
            open += lines[i].pg != NULL;
        }
        if (open > 0)
            lines_wait(lines, LANES, 0.1);
        if (wall_now() > until)
            die("%d connections have outlived a crash", open);
    }
}

static void open_lines(void)
{
    for (int i = 0; i < LANES; i++)
        if (!line_open(&lines[i]))
            die("cannot connect as hail_front");
}

/* The backend that has most to lose: one that accepts or completes, if there is one. */
static pid_t busy_backend(void)
{
    int best = -1, best_rank = -1;

    for (int i = 0; i < LANES; i++) {
        int k = (i + (int)(random_bits() % LANES)) % LANES;
        Verb verb = lanes[k].call.verb;
        int rank = lines[k].call == NULL ? 0 : verb == ACCEPT || verb == COMPLETE ? 2 : 1;

        if (rank > best_rank) {
            best = k;
            best_rank = rank;
        }
    }
    return PQbackendPID(lines[best].pg);
}

static pid_t worker(const char *name)
{
    PGresult *r = world_query("SELECT pid FROM pg_stat_activity WHERE backend_type = $1", 1, &name);
    pid_t pid = PQntuples(r) == 1 ? atoi(PQgetvalue(r, 0, 0)) : 0;

    PQclear(r);
    if (pid == 0)
        report_problem(TEST_RECOVERY, "there is no %s", name);
    return pid;
}

static void script(const char *action)
{
    char *command = xasprintf("scripts/cluster.sh %s '%s'", action, world.options.directory);

    if (system(command) != 0)
        die("%s failed", command);
    free(command);
}

/* Until searches are answered and all workers are there. */
static void await_recovery(void)
{
    double until = wall_now() + RECOVERY_S;
    bool ready = false;

    world_connect();
    while (!ready && wall_now() < until) {
        PGresult *r = world_query("SELECT count(*) = 3 AND NOT hail.live_warming() FROM pg_stat_activity"
                                  " WHERE backend_type IN ('hail keeper', 'hail drainer', 'hail dispatcher')",
                                  0, NULL);

        ready = PQgetvalue(r, 0, 0)[0] == 't';
        PQclear(r);
        if (!ready)
            usleep(10 * 1000);
    }
    if (!ready)
        report_problem(TEST_RECOVERY, "workers or index are not back after %.0f s", RECOVERY_S);
}

static const char *kill_something(void)
{
    static const char *const victims[] = {"hail dispatcher", "hail keeper", "hail drainer"};
    double x = random_unit();
    const char *victim = x < 0.55 ? "backend" : x < 0.85 ? victims[random_bits() % 3] : "postmaster";
    pid_t pid = 0;

    if (strcmp(victim, "backend") == 0)
        pid = busy_backend();
    else if (strcmp(victim, "postmaster") != 0)
        pid = worker(victim);
    if (pid > 0)
        kill(pid, SIGKILL);
    else
        script("crash");
    await_hangup();
    if (pid <= 0)
        script("start");
    return pid > 0 ? victim : "postmaster";
}

/* What the trips are, against what was acknowledged. */
static void judge(size_t from)
{
    char *trips = NULL, *drivers = NULL, *states = NULL, *attempted = NULL;
    PGresult *r;

    for (size_t i = from; i < ended_count; i++) {
        array_add(&trips, ended[i].trip);
        array_add(&drivers, ended[i].driver ? ended[i].driver->id : NULL);
        array_add(&states, ended[i].state);
        array_add(&attempted, ended[i].state);
    }
    for (int i = 0; i < LANES; i++) {
        const Lane *lane = &lanes[i];
        const char *next = lane->lost ? steps[lane->step].to_state : NULL;

        if (lane->state == NULL)
            continue;
        array_add(&trips, lane->trip);
        array_add(&drivers, lane->driver ? lane->driver->id : NULL);
        array_add(&states, lane->state);
        array_add(&attempted, next ? next : lane->state);
    }
    r = world_query("SELECT problem, trip_id FROM storm.judge_trips($1, $2, $3, $4)", 4,
                    (const char *[]){trips, drivers, states, attempted});
    for (int i = 0; i < PQntuples(r); i++)
        report_problem(TEST_CRASH, "trip %s: %s", PQgetvalue(r, i, 1), PQgetvalue(r, i, 0));
    PQclear(r);
    free(trips);
    free(drivers);
    free(states);
    free(attempted);
}

static void crash_once(void)
{
    size_t from = ended_count;
    double started;
    const char *victim;

    load(LOAD_ANSWERS);
    load((long)(random_unit() * 3 * LANES)); /* at any moment */
    started = wall_now();
    victim = kill_something();
    await_recovery();
    report_kill(victim, wall_now() - started);
    judge(from);
    report_rules("after a kill", TEST_CRASH, false);
    open_lines();
}

void crashes_run(long kills)
{
    for (int i = 0; i < LANES; i++) {
        lanes[i].customer = &world.crash_customers[i];
        start_trip(&lanes[i]);
    }
    open_lines();
    for (long i = 0; i < kills; i++)
        crash_once();
    load(LOAD_ANSWERS);
    settle();
    for (int i = 0; i < LANES; i++)
        line_close(&lines[i]);
    judge(0);
    report_rules("after all kills", TEST_CRASH, true);
    report_count("changes acknowledged during the crash storm", acknowledged);
    report_count("trips ended during the crash storm", (long)ended_count);
}
