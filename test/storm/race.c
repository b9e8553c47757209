/*
 * Races: 64 drivers hold a pending offer of one trip and accept it at the same moment.
 *
 * A batch is one race in each group: opened together, run one after the other, judged together by the rows,
 * closed together. What races besides the accepts is the race's kind; a row of `kinds` says which refusals
 * are right then. Over SQL every call has a connection of its own, and all of them wait in the server, token
 * verified, for one lock that is then let go; over HTTP as many requests are sent at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "http.h"

#define CALLS         (SEATS + 8) /* of a race: the accepts, and what else the kind wants */
#define FRONT         6           /* calls that may come first */
#define MIDDLE_MS     20          /* from the start of a race */
#define HEAD_START_US 3000
#define BARRIER_WAIT  10 /* s until all calls stand at the barrier */
#define ANSWERS_WAIT  60 /* s until all are answered */

typedef enum Kind { PLAIN, CANCELLED, TWO_TRIPS, UNAVAILABLE, EXPIRED, EXPIRING, DECLINED, KIND_COUNT } Kind;

typedef struct Race {
    Kind kind;
    int group, trips;
    char trip[2][37];
    const Person *winner[2];
    bool cancelled;
    Call calls[CALLS];
    int count, front; /* the first `front` calls do not stop at the barrier */
} Race;

/* What is right besides trip_taken for an accept that did not win. */
static const struct KindRow {
    const char *name;
    double share;
    const char *refusals[3];
} kinds[KIND_COUNT] = {
    [PLAIN] = {"plain", 0.40, {NULL}},
    [CANCELLED] = {"cancelled", 0.12, {"offer_closed"}},
    [TWO_TRIPS] = {"two_trips", 0.12, {"driver_busy"}},
    [UNAVAILABLE] = {"unavailable", 0.12, {"driver_not_eligible"}},
    [EXPIRED] = {"expired", 0.06, {"offer_expired"}},
    [EXPIRING] = {"expiring", 0.06, {"offer_expired"}},
    [DECLINED] = {"declined", 0.12, {NULL}},
};

static Line lines[CALLS];

static Kind random_kind(void)
{
    double x = random_unit();
    int kind = 0;

    while (kind < KIND_COUNT - 1 && (x -= kinds[kind].share) >= 0)
        kind++;
    return (Kind)kind;
}

static int random_below(int n)
{
    return (int)(random_unit() * n);
}

static void add_call(Race *race, Verb verb, const Person *by, const char *first, const char *second)
{
    race->calls[race->count++] = (Call){.verb = verb, .by = by, .args = {first, second}};
}

static void add_accept(Race *race, int trip, int seat)
{
    const Person *driver = &world.drivers[race->group][seat];

    add_call(race, ACCEPT, driver, race->trip[trip], driver->id);
}

static bool is_by(const Call *call, const char *driver)
{
    return call->verb == ACCEPT && strcmp(call->args[1], driver) == 0;
}

/* Calls that change the outcome when they come first. */
static bool is_special(const Race *race, const Call *call)
{
    switch (race->kind) {
    case TWO_TRIPS: /* the same driver, both trips */
        return is_by(call, race->calls[0].args[1]);
    case UNAVAILABLE:
        for (int i = 0; i < race->count; i++)
            if (race->calls[i].verb != ACCEPT && is_by(call, race->calls[i].args[0]))
                return true;
        return call->verb != ACCEPT;
    case EXPIRING:
        return false;
    case EXPIRED: /* see storm.open_races() */
        return call->verb != ACCEPT || (call->by - world.drivers[race->group] + 1) % 3 == 0;
    default:
        return call->verb != ACCEPT;
    }
}

static void swap_calls(Race *race, int i, int k)
{
    Call call = race->calls[i];

    race->calls[i] = race->calls[k];
    race->calls[k] = call;
}

/* Any order; in half of the races what is special to the kind comes first. */
static void shuffle_calls(Race *race)
{
    race->front = 0;
    for (int i = race->count - 1; i > 0; i--)
        swap_calls(race, i, random_below(i + 1));
    if (random_chance(0.5))
        return;
    for (int accepts = 0; accepts < 2; accepts++)
        for (int i = race->front; i < race->count && race->front < FRONT; i++)
            if ((race->calls[i].verb == ACCEPT) == accepts && is_special(race, &race->calls[i]))
                swap_calls(race, i, race->front++);
}

/* Who does what. Every race has a few drivers whose accept is sent twice, on two connections at once. */
static void plan_race(Race *race)
{
    const Person *drivers = world.drivers[race->group];

    race->count = 0;
    race->cancelled = false;
    race->winner[0] = race->winner[1] = NULL;
    for (int i = 0; i < SEATS; i++) {
        if (race->kind == TWO_TRIPS)
            add_accept(race, i % 2, i / 2);
        else if (race->kind == DECLINED && i % 4 == 3)
            add_call(race, DECLINE, &drivers[i], race->trip[0], drivers[i].id);
        else
            add_accept(race, 0, i);
    }
    if (race->kind == CANCELLED)
        add_call(race, CANCEL, &world.customers[race->group][0], race->trip[0], NULL);
    if (race->kind == EXPIRING)
        add_call(race, TICK, &world.admin, NULL, NULL);
    for (int i = 0; i < 3 && race->kind == UNAVAILABLE; i++) {
        const Person *driver = &drivers[random_below(SEATS)];

        add_call(race, i % 2 ? SUSPEND : OFFLINE, i % 2 ? &world.admin : driver, driver->id, NULL);
    }
    while (race->count < CALLS)
        add_accept(race, race->kind == TWO_TRIPS ? random_below(2) : 0,
                   race->kind == TWO_TRIPS ? random_below(SEATS / 2) : random_below(SEATS) & ~3);
    shuffle_calls(race);
}

/* Until `count` calls wait for the barrier's lock. */
static void await_barrier(int count)
{
    double until = wall_now() + BARRIER_WAIT;
    int waiting = 0;

    do {
        PGresult *r;

        usleep(1000);
        r = world_query(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted", 0,
            NULL);

        waiting = atoi(PQgetvalue(r, 0, 0));
        PQclear(r);
    } while (waiting < count && wall_now() < until);
    if (waiting < count)
        die("only %d of %d calls have come to the barrier", waiting, count);
}

/* Over SQL, each call on a line of its own; over HTTP only those that haild has no endpoint for. */
static int send_calls(Call *calls, int count, bool http)
{
    int used = 0;

    for (int i = 0; i < count; i++) {
        if (http && call_has_http(calls[i].verb))
            call_send_http(&calls[i]);
        else
            line_send(&lines[used++], &calls[i], false);
    }
    return used;
}

static void await_answers(int used)
{
    double until = wall_now() + ANSWERS_WAIT;
    int open = used;

    while (open > 0 || http_pending() > 0) {
        if (http_pending() > 0)
            http_poll(open > 0 ? 0 : 1);
        for (int i = 0; i < used; i++)
            open -= line_receive(&lines[i]);
        if (open > 0)
            lines_wait(lines, used, http_pending() > 0 ? 0 : 1);
        if (wall_now() > until)
            die("%d calls were not answered within %d s", open + (int)http_pending(), ANSWERS_WAIT);
    }
}

/* In an expiring race all offers run out together, somewhere in its middle. */
static void expire_soon(const Race *race)
{
    char ms[16];

    snprintf(ms, sizeof(ms), "%d", random_below(MIDDLE_MS));
    if (race->kind == EXPIRING)
        PQclear(world_query("SELECT storm.expire_in($1, $2)", 2, (const char *[]){race->trip[0], ms}));
}

/* Over SQL: all calls but the front stand at the barrier, the front sets out, the barrier is let go. */
static double run_sql(Race *race)
{
    double started;

    PQclear(world_query("SELECT pg_advisory_lock(7)", 0, NULL));
    for (int i = race->front; i < race->count; i++)
        line_send(&lines[i], &race->calls[i], true);
    await_barrier(race->count - race->front);
    expire_soon(race);
    started = wall_now();
    for (int i = 0; i < race->front; i++)
        line_send(&lines[i], &race->calls[i], false);
    if (race->front > 0)
        usleep((useconds_t)(random_unit() * HEAD_START_US));
    PQclear(world_query("SELECT pg_advisory_unlock(7)", 0, NULL));
    await_answers(race->count);
    return started;
}

static double run_http(Race *race)
{
    double started;

    expire_soon(race);
    started = wall_now();
    await_answers(send_calls(race->calls, race->count, true));
    return started;
}

static void run_race(Race *race, bool http)
{
    double started = http ? run_http(race) : run_sql(race);

    for (int i = 0; i < race->count; i++) {
        const Call *call = &race->calls[i];

        report_answer(http ? "HTTP" : "SQL", verb_name(call->verb),
                      call->state == CALL_DONE ? (call->already ? "already_accepted" : "done") : call->code);
        if (call->verb == ACCEPT)
            report_latency(http, (call->answered - started) * 1000);
    }
}

static int trip_of(const Race *race, const Call *call)
{
    return race->trips > 1 && call->args[0] == race->trip[1];
}

/* One success a trip that was not there before; the same driver's others say so; nobody else succeeds. */
static void find_winners(Race *race)
{
    for (int i = 0; i < race->count; i++) {
        const Call *call = &race->calls[i];
        int trip = trip_of(race, call);

        if (call->verb == CANCEL && call->state == CALL_DONE)
            race->cancelled = true;
        if (call->verb != ACCEPT || call->state != CALL_DONE || call->already)
            continue;
        if (race->winner[trip] != NULL)
            report_problem(TEST_ONE_WINNER, "%s and %s both won trip %s", race->winner[trip]->id,
                           call->by->id, race->trip[trip]);
        race->winner[trip] = call->by;
    }
    for (int trip = 0; trip < race->trips; trip++)
        if (race->winner[trip] == NULL && !race->cancelled && race->kind != EXPIRING)
            report_problem(TEST_ONE_WINNER, "nobody won trip %s (%s)", race->trip[trip],
                           kinds[race->kind].name);
    if (race->trips > 1 && race->winner[0] != NULL && race->winner[0] == race->winner[1])
        report_problem(TEST_ONE_WINNER, "driver %s won two trips", race->winner[0]->id);
}

static bool is_right_refusal(const Race *race, const Call *call)
{
    const struct KindRow *kind = &kinds[race->kind];
    bool taken = strcmp(call->code, "trip_taken") == 0;

    switch (call->verb) {
    case ACCEPT:
        if (race->cancelled && (race->winner[0] == NULL || race->winner[0] == call->by))
            return strcmp(call->code, "offer_closed") == 0;
        return taken || (kind->refusals[0] != NULL && strcmp(call->code, kind->refusals[0]) == 0);
    case DECLINE:
        return strcmp(call->code, "offer_closed") == 0;
    case OFFLINE: /* suspended before: it is offline, and that is no error; on the trip: it must stay */
        return strcmp(call->code, "driver_busy") == 0;
    case SUSPEND: /* picked twice */
        return strcmp(call->code, "wrong_state") == 0;
    default:
        return false;
    }
}

/* The winner's other request was refused for good reason: the trip was cancelled; or it came when the offers
 * had run out, and the next round asked this driver again, who won by that. */
static bool winner_refused(const Race *race, const Call *call)
{
    return race->cancelled || (race->kind == EXPIRING && strcmp(call->code, "offer_expired") == 0);
}

static void judge_answers(const Race *race)
{
    for (int i = 0; i < race->count; i++) {
        const Call *call = &race->calls[i];
        const Person *winner = race->winner[trip_of(race, call)];

        if (call->verb == OFFLINE && call->state == CALL_DONE && call->by == winner)
            report_problem(TEST_ONE_WINNER, "driver %s went offline and won", call->by->id);
        else if (call->state == CALL_BROKEN)
            report_problem(TEST_ONE_WINNER, "%s got no answer", verb_name(call->verb));
        else if (call->state == CALL_REFUSED && call->verb == ACCEPT && call->by == winner &&
                 !winner_refused(race, call))
            report_problem(TEST_RETRIES, "the winner's second accept got %s", call->code);
        else if (call->state == CALL_REFUSED && !is_right_refusal(race, call))
            report_problem(TEST_ONE_WINNER, "%s got %s in a race of kind %s, trip %s", verb_name(call->verb),
                           call->code, kinds[race->kind].name, race->trip[trip_of(race, call)]);
        else if (call->state == CALL_DONE && call->verb == ACCEPT &&
                 (call->by != winner || strcmp(call->value, call->by->id) != 0))
            report_problem(TEST_ONE_WINNER, "driver %s was told of success with trip %s of %s", call->by->id,
                           race->trip[trip_of(race, call)], call->value);
    }
}

/* The winner accepts again, later: the same success. A loser does: taken. */
static void retry_later(Race *race, bool http)
{
    for (int trip = 0; trip < race->trips; trip++) {
        const Person *winner = race->winner[trip];
        const Person *loser = &world.drivers[race->group][winner == &world.drivers[race->group][0]];
        Call calls[2] = {{.verb = ACCEPT, .by = winner}, {.verb = ACCEPT, .by = loser}};

        if (winner == NULL || race->cancelled)
            continue;
        for (int i = 0; i < 2; i++) {
            calls[i].args[0] = race->trip[trip];
            calls[i].args[1] = calls[i].by->id;
        }
        await_answers(send_calls(calls, 2, http));
        report_count("later retries of winners", 1);
        if (calls[0].state != CALL_DONE || !calls[0].already || strcmp(calls[0].value, winner->id) != 0)
            report_problem(TEST_RETRIES, "the winner's later accept of trip %s got '%s%s'", race->trip[trip],
                           calls[0].code, calls[0].already ? "" : ", not already accepted");
        if (calls[1].state != CALL_REFUSED || strcmp(calls[1].code, "trip_taken") != 0)
            report_problem(TEST_RETRIES, "a loser's later accept of trip %s got '%s'", race->trip[trip],
                           calls[1].code);
    }
}

static void open_races(Race *races, int count)
{
    char *names = NULL;
    PGresult *r;

    for (int i = 0; i < count; i++) {
        races[i] = (Race){.kind = random_kind(), .group = i};
        array_add(&names, kinds[races[i].kind].name);
    }
    world_report();
    r = world_query("SELECT grp, trip_id FROM storm.open_races($1)", 1, (const char *[]){names});
    for (int i = 0; i < PQntuples(r); i++) {
        Race *race = &races[atoi(PQgetvalue(r, i, 0)) - 1];

        snprintf(race->trip[race->trips++], sizeof(race->trip[0]), "%s", PQgetvalue(r, i, 1));
    }
    PQclear(r);
    free(names);
}

/* What the rows say, then everybody goes home. */
static void close_races(const Race *races, int count)
{
    char *trips = NULL, *winners = NULL, *cancelled = NULL;
    PGresult *r;

    for (int i = 0; i < count; i++) {
        for (int trip = 0; trip < races[i].trips; trip++) {
            array_add(&trips, races[i].trip[trip]);
            array_add(&winners, races[i].winner[trip] ? races[i].winner[trip]->id : NULL);
            array_add(&cancelled, races[i].cancelled ? "t" : "f");
        }
    }
    r = world_query("SELECT trip_id, problem FROM storm.judge_races($1, $2, $3)", 3,
                    (const char *[]){trips, winners, cancelled});
    for (int i = 0; i < PQntuples(r); i++)
        report_problem(TEST_ROWS, "trip %s: %s", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
    PQclear(r);
    PQclear(world_query("SELECT storm.close_races($1)", 1, (const char *[]){trips}));
    free(trips);
    free(winners);
    free(cancelled);
}

void races_run(long count, bool http)
{
    static Race races[GROUPS];

    for (int i = 0; i < CALLS; i++)
        if (!line_open(&lines[i]))
            die("cannot connect as hail_front");
    while (count > 0) {
        int batch = count < GROUPS ? (int)count : GROUPS;

        open_races(races, batch);
        for (int i = 0; i < batch; i++) {
            plan_race(&races[i]);
            run_race(&races[i], http);
            find_winners(&races[i]);
            judge_answers(&races[i]);
            retry_later(&races[i], http);
            report_race(http, kinds[races[i].kind].name);
        }
        close_races(races, batch);
        count -= batch;
    }
    for (int i = 0; i < CALLS; i++)
        line_close(&lines[i]);
}
