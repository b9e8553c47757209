/*
 * The pool and the one-round-trip call; see db.h.
 *
 * A Slot (connection, and which statements it has prepared) belongs to one thread from slot_take() to
 * slot_give(); the free ones are a stack under pool.lock, so that the most recently used one is used again:
 * under light load few connections are open and all their statements are prepared.
 */
#include "db.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "log.h"
#include "metrics.h"

#define RETRIES         3
#define CONNECT_TIMEOUT "5" /* s */
#define GRACE_MS        5000 /* the server cancels at its statement_timeout; past that and this it is given up */
#define BACKOFF_MIN_MS  100
#define BACKOFF_MAX_MS  2000
#define RETRY_DETAIL    "retry_after_s=" /* how rate_limited says it */

typedef struct Slot {
    PGconn *connection; /* NULL: not connected */
    bool begin_prepared;
    bool prepared[ROUTER_MAX_ROUTES][2]; /* the row's statement, its remedy */
    struct Slot *next_free;
} Slot;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    Slot *slots, *free;
    int size, wait_ms;
    const char *url;
    /* Connecting failed: nobody tries again before this time. */
    long long next_connect_ms;
    int backoff_ms;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_int rates[RATE_COUNT];

/* What became of one pipeline. */
typedef enum Outcome {
    CALL_DONE,   /* committed; the reply holds the rows */
    CALL_FAILED, /* the database answered with an error; rolled back */
    CALL_UNSENT, /* broken before anything was sent */
    CALL_BROKEN, /* broken, may have been committed */
    CALL_LOST,   /* broken, can't have been committed */
    CALL_OVERDUE /* no answer in time; connection dropped */
} Outcome;

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* What a route's calls send besides their values. */
static struct {
    char name[2][16]; /* of the prepared statements */
    char timeout[16]; /* ms */
} route_texts[ROUTER_MAX_ROUTES];

static void write_route_texts(void)
{
    for (int i = 0; i < router.count; i++) {
        snprintf(route_texts[i].name[0], sizeof(route_texts[i].name[0]), "route_%d", i);
        snprintf(route_texts[i].name[1], sizeof(route_texts[i].name[1]), "remedy_%d", i);
        snprintf(route_texts[i].timeout, sizeof(route_texts[i].timeout), "%d",
                 timeout_ms(router.routes[i]->timeout));
    }
}

void db_init(const Config *config)
{
    pthread_condattr_t attributes;

    write_route_texts();
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool.freed, &attributes);
    pool.size = config->db_connections;
    pool.wait_ms = config->pool_wait_ms;
    pool.url = config->database_url;
    pool.slots = must_alloc(sizeof(Slot) * (size_t)pool.size);
    for (int i = pool.size - 1; i >= 0; i--) {
        pool.slots[i].next_free = pool.free;
        pool.free = &pool.slots[i];
    }
}

void db_close(void)
{
    for (int i = 0; i < pool.size; i++)
        PQfinish(pool.slots[i].connection);
    free(pool.slots);
    pool.slots = pool.free = NULL;
    pool.size = 0;
}

static Slot *slot_take(void)
{
    long long until = now_ms() + pool.wait_ms;
    struct timespec deadline = {until / 1000, until % 1000 * 1000000};
    Slot *slot;
    int status = 0;

    pthread_mutex_lock(&pool.lock);
    while (pool.free == NULL && status != ETIMEDOUT)
        status = pthread_cond_timedwait(&pool.freed, &pool.lock, &deadline);
    slot = pool.free;
    if (slot != NULL)
        pool.free = slot->next_free;
    pthread_mutex_unlock(&pool.lock);
    if (slot == NULL)
        metrics_count(METRIC_DB_POOL_FULL);
    return slot;
}

static int setting(const Slot *slot, const char *name)
{
    const char *value = PQparameterStatus(slot->connection, name);

    return value != NULL ? atoi(value) : 0;
}

static void note_rates(const Slot *slot)
{
    char name[64];

    for (int i = 0; i < RATE_COUNT; i++) {
        snprintf(name, sizeof(name), "hail.%s_rate", db_rate_name((DbRate)i));
        atomic_store_explicit(&rates[i], setting(slot, name), memory_order_relaxed);
    }
}

int db_rate(DbRate rate)
{
    return atomic_load_explicit(&rates[rate], memory_order_relaxed);
}

const char *db_rate_name(DbRate rate)
{
    static const char *const names[RATE_COUNT] = {"report",          "porter_report", "trip_request",
                                                  "driver_response", "trip_status",   "partner_order",
                                                  "quote",           "estimate"};

    return names[rate];
}

static void slot_give(Slot *slot)
{
    if (slot->connection != NULL)
        note_rates(slot);
    pthread_mutex_lock(&pool.lock);
    slot->next_free = pool.free;
    pool.free = slot;
    pthread_cond_signal(&pool.freed);
    pthread_mutex_unlock(&pool.lock);
}

static void slot_disconnect(Slot *slot)
{
    PQfinish(slot->connection);
    slot->connection = NULL;
    slot->begin_prepared = false;
    memset(slot->prepared, 0, sizeof(slot->prepared));
}

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static void note_connect(bool connected)
{
    pthread_mutex_lock(&pool.lock);
    if (connected)
        pool.backoff_ms = 0;
    else
        pool.backoff_ms = pool.backoff_ms == 0 ? BACKOFF_MIN_MS : pool.backoff_ms * 2;
    if (pool.backoff_ms > BACKOFF_MAX_MS)
        pool.backoff_ms = BACKOFF_MAX_MS;
    pool.next_connect_ms = connected ? 0 : now_ms() + pool.backoff_ms;
    pthread_mutex_unlock(&pool.lock);
    metrics_count(connected ? METRIC_DB_CONNECTS : METRIC_DB_CONNECT_FAILURES);
}

/* The session's own time limit, for what does not set one itself: merged calls and probes. */
static bool set_time_limit(PGconn *connection)
{
    char sql[64];
    PGresult *result;
    bool done;

    snprintf(sql, sizeof(sql), "SET statement_timeout = %d", timeout_ms(TIMEOUT_POSITION));
    result = PQexec(connection, sql);
    done = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return done;
}

static bool slot_connect(Slot *slot)
{
    /* What the conninfo says later in the list wins over our defaults. */
    const char *names[] = {"connect_timeout", "fallback_application_name",
                           "keepalives_idle", "tcp_user_timeout",
                           "dbname",          NULL};
    const char *values[] = {CONNECT_TIMEOUT, "haild", "30", "20000", pool.url, NULL};
    bool wait;

    pthread_mutex_lock(&pool.lock);
    wait = now_ms() < pool.next_connect_ms;
    pthread_mutex_unlock(&pool.lock);
    if (wait)
        return false;
    slot_disconnect(slot);
    slot->connection = PQconnectdbParams(names, values, 1);
    if (PQstatus(slot->connection) != CONNECTION_OK || !set_time_limit(slot->connection) ||
        !PQenterPipelineMode(slot->connection)) {
        log_write(LOG_LEVEL_WARN, "cannot connect to the database", "reason",
                  PQerrorMessage(slot->connection), NULL);
        slot_disconnect(slot);
        note_connect(false);
        return false;
    }
    PQsetNoticeReceiver(slot->connection, ignore_notice, NULL);
    note_connect(true);
    return true;
}

static bool is_connected(const Slot *slot)
{
    return slot->connection != NULL && PQstatus(slot->connection) == CONNECTION_OK;
}

/* A connection at rest has nothing to read: anything there is a farewell, or the end of file. */
static bool slot_is_alive(const Slot *slot)
{
    char byte;
    ssize_t n;

    if (!is_connected(slot))
        return false;
    n = recv(PQsocket(slot->connection), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

typedef struct Plan {
    const Route *route;
    const char *name, *sql, *timeout;
    bool read_only, begin, prepare_begin, prepare_call;
} Plan;

static bool send_pipeline(Slot *slot, const DbCall *call, const Plan *plan)
{
    const char *begin_values[4] = {call->token, call->request_id, plan->timeout, plan->read_only ? "t" : "f"};
    PGconn *c = slot->connection;

    if (plan->prepare_begin &&
        !PQsendPrepare(c, "begin", "SELECT hail.begin_request($1, $2, $3, $4)", 0, NULL))
        return false;
    if (plan->begin && !PQsendQueryPrepared(c, "begin", 4, begin_values, NULL, NULL, 0))
        return false;
    if (plan->prepare_call && !PQsendPrepare(c, plan->name, plan->sql, 0, NULL))
        return false;
    return PQsendQueryPrepared(c, plan->name, call->value_count, call->values, NULL, NULL, 0) &&
           PQpipelineSync(c);
}

/* Wait until the next result can be had without blocking. False: broken, or `deadline` has passed (*late). */
static bool wait_for_result(PGconn *c, long long deadline, bool *late)
{
    while (PQisBusy(c)) {
        struct pollfd fd = {PQsocket(c), POLLIN, 0};
        long long left = deadline - now_ms();
        int n;

        if (left <= 0) {
            *late = true;
            return false;
        }
        n = poll(&fd, 1, (int)left);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0 && !PQconsumeInput(c))
            return false;
    }
    return true;
}

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

/* The caller's eyes get registry messages only. */
void db_reply_fail(DbReply *reply, const char *sqlstate, const char *message, const char *hint,
                   const char *field)
{
    reply->failed = true;
    reply->error = error_from_sqlstate(sqlstate);
    copy_text(reply->sqlstate, sizeof(reply->sqlstate), sqlstate);
    if (reply->error.message == NULL) {
        copy_text(reply->message, sizeof(reply->message), message);
        copy_text(reply->hint, sizeof(reply->hint), hint);
        copy_text(reply->field, sizeof(reply->field), field);
    }
}

/* Keep what a failed result says; the log gets what the caller does not. */
static void take_error(DbReply *reply, const PGresult *result, const DbCall *call, char *sqlstate)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);

    copy_text(sqlstate, 6, state ? state : "08006");
    db_reply_fail(reply, sqlstate, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
                  PQresultErrorField(result, PG_DIAG_MESSAGE_HINT),
                  PQresultErrorField(result, PG_DIAG_COLUMN_NAME));
    if (detail != NULL && strncmp(detail, RETRY_DETAIL, strlen(RETRY_DETAIL)) == 0)
        reply->retry_after_s = atoi(detail + strlen(RETRY_DETAIL));
    if (!reply->error.expected)
        log_write(LOG_LEVEL_ERROR, "unexpected error of the database", "requestId", call->request_id,
                  "sqlstate", sqlstate, "route", router.routes[call->route]->path, "detail",
                  PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), "context",
                  PQresultErrorField(result, PG_DIAG_CONTEXT), NULL);
}

/* Read every result up to the sync. Results come in the order of sending: [prepare] begin [prepare] call,
 * sync. */
static Outcome read_pipeline(Slot *slot, const DbCall *call, const Plan *plan, DbReply *reply, char *sqlstate)
{
    PGconn *c = slot->connection;
    long long deadline = now_ms() + timeout_ms(plan->route->timeout) + GRACE_MS;
    int steps = 1 + plan->begin + plan->prepare_begin + plan->prepare_call, step = 0;
    bool late = false;

    for (;;) {
        PGresult *result;
        ExecStatusType status;

        if (!wait_for_result(c, deadline, &late))
            return late ? CALL_OVERDUE : CALL_BROKEN;
        result = PQgetResult(c);
        if (result == NULL) {
            if (PQstatus(c) != CONNECTION_OK)
                return CALL_BROKEN;
            step++; /* a NULL ends the results of one step */
            continue;
        }
        status = PQresultStatus(result);
        if (status == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return reply->failed ? CALL_FAILED : CALL_DONE;
        }
        if (status == PGRES_COMMAND_OK && plan->prepare_begin && step == 0)
            slot->begin_prepared = true;
        else if (status == PGRES_COMMAND_OK && plan->prepare_call && step == steps - 2)
            slot->prepared[call->route][call->remedy] = true;
        if (status == PGRES_TUPLES_OK && step == steps - 1) {
            reply->result = result;
            continue;
        }
        if (status == PGRES_FATAL_ERROR && !reply->failed) {
            take_error(reply, result, call, sqlstate);
            if (PQstatus(c) != CONNECTION_OK) {
                /* An error that came with the end of the connection: the server's farewell, or libpq's own
                 * words. */
                bool farewell = PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL;

                PQclear(result);
                return farewell ? CALL_LOST : CALL_BROKEN;
            }
        }
        PQclear(result);
    }
}

static Outcome run_pipeline(Slot *slot, const DbCall *call, DbReply *reply, char *sqlstate)
{
    const Route *route = router.routes[call->route];
    Plan plan = {.route = route,
                 .name = route_texts[call->route].name[call->remedy],
                 .sql = call->remedy ? route->remedy->sql : route->sql,
                 .timeout = route_texts[call->route].timeout,
                 .read_only = route->read_only && !call->remedy};
    Outcome outcome;

    plan.begin = !plan.route->merged;
    plan.prepare_begin = plan.begin && !slot->begin_prepared;
    plan.prepare_call = !slot->prepared[call->route][call->remedy];
    if (!send_pipeline(slot, call, &plan)) {
        slot_disconnect(slot);
        return CALL_BROKEN;
    }
    outcome = read_pipeline(slot, call, &plan, reply, sqlstate);
    if (outcome == CALL_FAILED && sqlstate_is_shutdown(sqlstate))
        outcome = CALL_LOST;
    if (outcome != CALL_DONE && outcome != CALL_FAILED)
        slot_disconnect(slot);
    return outcome;
}

static void fail(DbReply *reply, FrontError error)
{
    db_reply_free(reply);
    memset(reply, 0, sizeof(*reply));
    reply->failed = true;
    reply->error = error_front(error);
}

void db_reply_free(DbReply *reply)
{
    PQclear(reply->result);
    reply->result = NULL;
}

static void pause_before_retry(int attempt)
{
    struct timespec pause = {0, (long)((1 << attempt) * 2000000L + rand() % 3000000)};

    nanosleep(&pause, NULL);
}

/* A statement went stale (a changed function or table, a DISCARD): a fresh connection prepares anew. */
static bool is_stale(const char *sqlstate)
{
    return strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "0A000") == 0;
}

/*
 * May the call be tried on the slot as it is? A repeatable one tests the connection by itself: it is sent
 * again when the connection turns out to be lost. Others must not be in doubt, so they look first.
 */
static bool slot_is_usable(const Slot *slot, const DbCall *call)
{
    return call->repeatable ? is_connected(slot) : slot_is_alive(slot);
}

static void call_on(Slot *slot, const DbCall *call, DbReply *reply)
{
    bool may_reconnect = true;

    for (int attempt = 0;; attempt++) {
        char sqlstate[6] = "";
        Outcome outcome;

        if (!slot_is_usable(slot, call) && !slot_connect(slot)) {
            fail(reply, FRONT_UNAVAILABLE);
            return;
        }
        memset(reply, 0, sizeof(*reply));
        outcome = run_pipeline(slot, call, reply, sqlstate);
        if (outcome == CALL_DONE)
            return;
        if (outcome == CALL_OVERDUE) {
            fail(reply, FRONT_TIMEOUT);
            return;
        }
        if (outcome == CALL_FAILED && is_stale(sqlstate) && may_reconnect) {
            slot_disconnect(slot);
            may_reconnect = false;
        } else if (outcome == CALL_FAILED) {
            if (!sqlstate_is_retryable(sqlstate) || attempt >= RETRIES)
                return;
            pause_before_retry(attempt);
        } else if (may_reconnect && (outcome == CALL_LOST || call->repeatable)) {
            may_reconnect = false;
        } else {
            fail(reply, FRONT_UNAVAILABLE);
            return;
        }
        db_reply_free(reply);
        metrics_count(METRIC_DB_RETRIES);
    }
}

void db_call(const DbCall *call, DbReply *reply)
{
    Slot *slot = slot_take();

    memset(reply, 0, sizeof(*reply));
    if (slot == NULL) {
        fail(reply, FRONT_OVERLOADED);
        return;
    }
    call_on(slot, call, reply);
    slot_give(slot);
    if (reply->failed)
        db_reply_free(reply);
}

const char *db_probe(const char *sql)
{
    Slot *slot = slot_take();
    const char *fault = NULL;
    PGresult *result;

    if (slot == NULL)
        return "no free connection";
    if (!slot_is_alive(slot) && !slot_connect(slot)) {
        slot_give(slot);
        return "the database does not answer";
    }
    PQexitPipelineMode(slot->connection);
    result = PQexec(slot->connection, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fault = "the database refuses";
    else if (PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), "t") != 0)
        fault = "the live index is warming";
    PQclear(result);
    if (PQstatus(slot->connection) != CONNECTION_OK || !PQenterPipelineMode(slot->connection))
        slot_disconnect(slot);
    slot_give(slot);
    return fault;
}
