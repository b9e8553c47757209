/*
 * Merged calls; see merge.h.
 *
 * The request that opens a batch leads it: it closes the batch, makes the call and publishes the verdicts.
 * One call at a time is under way by permission; a leader whose permission does not come in time goes
 * without. merger.lock guards the open batch, the queue of leaders waiting and the batches' members; it is
 * held for a few steps, never over a call. What leaders and followers wait for are futex words in the batch:
 * a finished call wakes its followers with one system call, and none who has not yet gone to sleep.
 */
#include "merge.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "memory.h"
#include "metrics.h"

#define CALLS_AT_ONCE 1
#define VERDICTS      5 /* columns before the answer's: sqlstate, message, field, hint, retry_after_s */

typedef struct Batch {
    const DbCall *calls[MERGE_LIMIT];
    atomic_int count;   /* changed with the lock held */
    struct Batch *next; /* of those that wait to be sent */
    atomic_uint may_go; /* futex: the leader has permission */
    atomic_uint done;   /* futex: `reply` and `apart` hold */
    atomic_int users;   /* requests that have not released it; set when it is closed */
    DbReply reply;
    bool apart; /* it failed on the ground of one of several: each on its own now */
} Batch;

static struct {
    pthread_mutex_t lock;
    Batch *open;          /* takes members; NULL: none */
    Batch *first, **last; /* waiting for permission, oldest first */
    int calls;            /* under way */
} merger = {.lock = PTHREAD_MUTEX_INITIALIZER, .last = &merger.first};

/* Sleep until the word is no longer 0, at most `ms` (-1: no limit); false: time is up. */
static bool futex_wait(atomic_uint *word, int ms)
{
    struct timespec limit = {ms / 1000, ms % 1000 * 1000000L};

    while (atomic_load_explicit(word, memory_order_acquire) == 0) {
        long status = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, ms < 0 ? NULL : &limit, NULL, 0);

        if (status != 0 && errno == ETIMEDOUT)
            return atomic_load_explicit(word, memory_order_acquire) != 0;
    }
    return true;
}

/* Nothing is written: the word may be gone when all who waited for it have seen it set. */
static void futex_wake(atomic_uint *word, int waiters)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, waiters, NULL, NULL, 0);
}

/* ---- the values of a batch ---- */

/* An element of an array literal. What can hold no special character goes bare. */
static void add_element(Buffer *out, const char *text, bool bare)
{
    if (text == NULL || bare) {
        buffer_text(out, text ? text : "NULL");
        return;
    }
    buffer_add(out, "\"", 1);
    for (;;) {
        size_t plain = strcspn(text, "\"\\");

        buffer_add(out, text, plain);
        if (text[plain] == '\0')
            break;
        buffer_add(out, "\\", 1);
        buffer_add(out, text + plain, 1);
        text += plain + 1;
    }
    buffer_add(out, "\"", 1);
}

/* The array of value `v` of each call, -1: of their tokens. False: none has one. */
static bool add_column(Buffer *out, const Batch *batch, int v, bool bare)
{
    bool any = false;

    buffer_add(out, "{", 1);
    for (int i = 0; i < batch->count; i++) {
        const char *text = v < 0 ? batch->calls[i]->token : batch->calls[i]->values[v];

        if (i > 0)
            buffer_add(out, ",", 1);
        add_element(out, text, bare);
        any |= text != NULL;
    }
    buffer_add(out, "}", 2); /* with the end of the string */
    return any;
}

static bool is_bare(ParamType type)
{
    return type == TYPE_NUMBER || type == TYPE_INTEGER || type == TYPE_UUID || type == TYPE_BOOLEAN;
}

static void call_database(const Batch *batch, DbReply *reply)
{
    const DbCall *first = batch->calls[0];
    const Route *route = router.routes[first->route];
    const char *values[ROUTE_MAX_PARAMS + 1];
    size_t starts[ROUTE_MAX_PARAMS + 1];
    DbCall call = *first;
    Buffer text = {0};

    for (int v = -1; v < first->value_count; v++) {
        starts[v + 1] = text.length;
        values[v + 1] = add_column(&text, batch, v, v >= 0 && is_bare(route->params[v].type)) ? "" : NULL;
    }
    for (int v = 0; v <= first->value_count; v++)
        if (values[v] != NULL)
            values[v] = text.data + starts[v];
    call.token = NULL;
    call.values = values;
    call.value_count = first->value_count + 1;
    db_call(&call, reply);
    buffer_free(&text);
    metrics_count(METRIC_MERGED_CALLS);
    metrics_add(METRIC_MERGED_REQUESTS, batch->count);
}

/* ---- batches ---- */

/* Errors that say nothing about any one request: sending it again alone would only add to the trouble. */
static bool concerns_all(const DbReply *reply)
{
    return reply->sqlstate[0] == '\0' || strncmp(reply->sqlstate, "57", 2) == 0 ||
           strncmp(reply->sqlstate, "53", 2) == 0 || strncmp(reply->sqlstate, "08", 2) == 0;
}

/* A row that somebody has locked: the others were not to wait for it. */
static bool is_held_up(const Batch *batch, int row)
{
    const PGresult *rows = batch->reply.result;

    return batch->count > 1 && !batch->reply.failed && !PQgetisnull(rows, row, 0) &&
           strcmp(PQgetvalue(rows, row, 0), "55P03") == 0;
}

static void run(Batch *batch)
{
    call_database(batch, &batch->reply);
    if (!batch->reply.failed && PQntuples(batch->reply.result) != batch->count) {
        db_reply_free(&batch->reply);
        db_reply_fail(&batch->reply, "XX000", NULL, NULL, NULL);
        log_write(LOG_LEVEL_ERROR, "a merged call gave another number of rows than requests", "route",
                  router.routes[batch->calls[0]->route]->path, NULL);
    } else if (batch->reply.failed && batch->count > 1)
        batch->apart = !concerns_all(&batch->reply);
}

/* No more members. Lock held. */
static void close_batch(Batch *batch)
{
    if (merger.open == batch)
        merger.open = NULL;
    atomic_store_explicit(&batch->users, batch->count, memory_order_relaxed);
}

/* Join the open batch, or open one: then it is ours to lead, with permission if nothing is under way. */
static Batch *join(const DbCall *call, int *row, bool *leads, bool *goes)
{
    Batch *batch;

    pthread_mutex_lock(&merger.lock);
    batch = merger.open;
    *leads = batch == NULL || batch->count == MERGE_LIMIT || batch->calls[0]->route != call->route;
    *goes = false;
    if (*leads) {
        batch = must_alloc(sizeof(Batch));
        merger.open = batch;
    }
    *row = batch->count;
    batch->calls[batch->count++] = call;
    if (*leads && merger.calls < CALLS_AT_ONCE) {
        *goes = true;
        merger.calls++;
    } else if (*leads) {
        *merger.last = batch;
        merger.last = &batch->next;
    }
    pthread_mutex_unlock(&merger.lock);
    return batch;
}

static void leave_queue(Batch *batch)
{
    Batch **link = &merger.first;

    while (*link != batch)
        link = &(*link)->next;
    *link = batch->next;
    if (merger.last == &batch->next)
        merger.last = link;
}

/*
 * The leader waits for permission, unless it has it, and closes the batch with it or without. When several
 * requests have arrived that are in no batch yet, their threads are let through first: they only wait for a
 * processor.
 */
static void set_out(Batch *batch, bool permitted)
{
    bool late = !permitted && !futex_wait(&batch->may_go, MERGE_WAIT_MS);

    if (metrics_in_flight() > batch->count + 2)
        sched_yield();
    pthread_mutex_lock(&merger.lock);
    if (late && atomic_load_explicit(&batch->may_go, memory_order_relaxed) == 0) {
        leave_queue(batch);
        merger.calls++;
    }
    close_batch(batch);
    pthread_mutex_unlock(&merger.lock);
}

/* The call is back: the next may go, then the followers may read. */
static void finish(Batch *batch)
{
    Batch *next = NULL;

    pthread_mutex_lock(&merger.lock);
    merger.calls--;
    if (merger.first != NULL && merger.calls < CALLS_AT_ONCE) {
        next = merger.first;
        leave_queue(next);
        merger.calls++;
        atomic_store_explicit(&next->may_go, 1, memory_order_release);
    }
    pthread_mutex_unlock(&merger.lock);
    if (next != NULL)
        futex_wake(&next->may_go, 1);
    atomic_store_explicit(&batch->done, 1, memory_order_release);
    if (batch->count > 1)
        futex_wake(&batch->done, INT_MAX);
}

/* ---- one request ---- */

/* Sent alone: a batch nobody else can join. */
static Batch *call_alone(const DbCall *call)
{
    Batch *batch = must_alloc(sizeof(Batch));

    batch->calls[0] = call;
    batch->count = 1;
    atomic_store(&batch->users, 1);
    run(batch);
    return batch;
}

static const char *text_of(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

static void release(Batch *batch)
{
    if (atomic_fetch_sub_explicit(&batch->users, 1, memory_order_acq_rel) == 1) {
        db_reply_free(&batch->reply);
        free(batch);
    }
}

/* Copy the verdict out of the batch. */
static void read_verdict(Batch *batch, int row, const DbCall *call, MergedReply *merged)
{
    const PGresult *rows = batch->reply.result;
    DbReply *reply = &merged->reply;
    const char *sqlstate, *retry;

    merged->batch = batch;
    if (batch->reply.failed) {
        *reply = batch->reply;
        return;
    }
    reply->failed = false;
    merged->rows = rows;
    merged->row = row;
    merged->first_column = VERDICTS;
    if ((sqlstate = text_of(rows, row, 0)) == NULL)
        return;
    memset(reply, 0, sizeof(*reply));
    db_reply_fail(reply, sqlstate, text_of(rows, row, 1), text_of(rows, row, 3), text_of(rows, row, 2));
    if ((retry = text_of(rows, row, 4)) != NULL)
        reply->retry_after_s = atoi(retry);
    if (!reply->error.expected)
        log_write(LOG_LEVEL_ERROR, "unexpected error of the database", "requestId", call->request_id,
                  "sqlstate", sqlstate, "route", router.routes[call->route]->path, "detail",
                  text_of(rows, row, 1), NULL);
}

void merge_call(const DbCall *call, MergedReply *merged)
{
    bool leads, goes;
    int row;
    Batch *batch = join(call, &row, &leads, &goes);

    if (leads) {
        set_out(batch, goes);
        run(batch);
        finish(batch);
    } else
        futex_wait(&batch->done, -1);
    if (batch->apart || is_held_up(batch, row)) {
        release(batch);
        batch = call_alone(call);
        row = 0;
        metrics_count(METRIC_DB_RETRIES);
    }
    read_verdict(batch, row, call, merged);
}

void merge_release(MergedReply *merged)
{
    release(merged->batch);
}
