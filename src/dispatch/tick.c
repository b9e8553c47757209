/*
 * Doing what is due; see tick.h.
 *
 * Locks in the one order: trips (never waited for), their offers by id, then, when the trips' work is done,
 * the drivers who let an offer go by, by id. hail.dispatch_tick() takes the locks of all its trips' offers
 * before the first step for that reason.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/statement.h"
#include "dispatch/batch.h"
#include "dispatch/overload.h"
#include "dispatch/tick.h"
#include "identity/session.h"

static HailStatement find_due = {"SELECT t.id, t.next_round_at FROM hail.trips t WHERE t.next_round_at <= $1"
                                 " AND (t.next_round_at, t.id) > ($3, $4)"
                                 " ORDER BY t.next_round_at, t.id LIMIT $2",
                                 4,
                                 {TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, UUIDOID}};

static HailStatement lock_due = {
    "SELECT l.id, l.next_round_at FROM (SELECT t.id, t.next_round_at FROM hail.trips t"
    " WHERE t.next_round_at <= $1 ORDER BY t.next_round_at, t.id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) l"
    " ORDER BY 2, 1",
    2,
    {TIMESTAMPTZOID, INT8OID}};

static HailStatement lock_one = {"SELECT t.id, t.next_round_at FROM hail.trips t"
                                 " WHERE t.id = $1 AND t.next_round_at <= $2 FOR NO KEY UPDATE SKIP LOCKED",
                                 2,
                                 {UUIDOID, TIMESTAMPTZOID}};

static HailStatement lock_failed = {
    "SELECT FROM hail.trips t WHERE t.id = $1 AND t.next_round_at IS NOT NULL"
    " AND (t.next_round_at <= $2 OR t.pooled_at IS NOT NULL) FOR NO KEY UPDATE SKIP LOCKED",
    2,
    {UUIDOID, TIMESTAMPTZOID}};

static HailStatement next_deadline = {
    "SELECT min(t.next_round_at) FROM hail.trips t WHERE t.next_round_at > $1", 1, {TIMESTAMPTZOID}};

/* Whether all of a trip's pending offers could be locked: none is waited for. */
static HailStatement try_offers = {
    "WITH mine AS MATERIALIZED (SELECT o.id FROM hail.offers o WHERE o.trip_id = $1 AND o.status = 'pending'"
    " ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED)"
    " SELECT (SELECT count(*) FROM mine) ="
    " (SELECT count(*) FROM hail.offers o WHERE o.trip_id = $1 AND o.status = 'pending')",
    1,
    {UUIDOID}};

/* Also all offers of drivers who have agreed to take one of the trips next: taking it closes their others. */
static HailStatement lock_offers = {
    "SELECT FROM hail.offers o WHERE o.status = 'pending' AND o.id = ANY (ARRAY("
    " SELECT p.id FROM hail.offers p WHERE p.trip_id = ANY ($1) AND p.status = 'pending'"
    " UNION SELECT p.id FROM hail.offers a JOIN hail.offers p ON p.driver_id = a.driver_id AND p.status = "
    "'pending'"
    " WHERE a.trip_id = ANY ($1) AND a.status = 'pending' AND a.agreed_at IS NOT NULL))"
    " ORDER BY o.id FOR NO KEY UPDATE",
    1,
    {UUIDARRAYOID}};

/* The step, and whether an earlier one failed. */
static HailStatement step_trip = {"SELECT hail.step_trip($1, $2),"
                                  " EXISTS (SELECT FROM hail.dispatch_failures f WHERE f.trip_id = $1)",
                                  2,
                                  {UUIDOID, TIMESTAMPTZOID}};

static HailStatement lock_drivers = {
    "SELECT FROM hail.drivers d WHERE d.id = ANY ($1) ORDER BY d.id FOR NO KEY UPDATE", 1, {UUIDARRAYOID}};

static HailStatement count_offers = {
    "UPDATE hail.drivers d SET offers_total = d.offers_total + g.offers"
    " FROM (SELECT u.id, count(*) AS offers FROM unnest($1) AS u (id) GROUP BY u.id) g WHERE d.id = g.id",
    1,
    {UUIDARRAYOID}};

static HailStatement forget_failure = {
    "DELETE FROM hail.dispatch_failures f WHERE f.trip_id = $1", 1, {UUIDOID}};

static HailStatement note_failure = {
    "INSERT INTO hail.dispatch_failures AS f (trip_id, failures, sqlstate, message, first_at, last_at)"
    " VALUES ($1, 1, $2, $3, $4, $4) ON CONFLICT (trip_id) DO UPDATE SET failures = f.failures + 1,"
    " sqlstate = excluded.sqlstate, message = excluded.message, last_at = excluded.last_at"
    " RETURNING f.failures",
    4,
    {UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}};

static HailStatement postpone = {
    "UPDATE hail.trips t SET pooled_at = NULL, next_round_at = $2 + least(p.retry_after * power(2, least($3, "
    "20) - 1),"
    " interval '5 minutes') FROM hail.dispatch_policies p WHERE t.id = $1 AND p.id = t.policy_id",
    3,
    {UUIDOID, TIMESTAMPTZOID, INT4OID}};

/* Whose search has ended otherwise, has no failure any more. */
static HailStatement sweep_failures = {
    "DELETE FROM hail.dispatch_failures d WHERE d.trip_id IN (SELECT f.trip_id FROM hail.dispatch_failures f"
    " WHERE NOT EXISTS (SELECT FROM hail.trips t WHERE t.id = f.trip_id AND t.next_round_at IS NOT NULL)"
    " FOR UPDATE SKIP LOCKED)",
    0,
    {0}};

/* Drivers who let an offer go by, over all steps of a transaction. */
typedef struct Gone {
    Datum *drivers;
    int count, room;
    MemoryContext context;
} Gone;

static void add_gone(Gone *gone, ArrayType *array)
{
    MemoryContext old = MemoryContextSwitchTo(gone->context);
    Datum *ids;
    int count;

    deconstruct_array(array, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &ids, NULL, &count);
    if (gone->count + count > gone->room) {
        gone->room = (gone->count + count) * 2;
        gone->drivers = gone->drivers == NULL ? palloc(sizeof(Datum) * gone->room)
                                              : repalloc(gone->drivers, sizeof(Datum) * gone->room);
    }
    for (int i = 0; i < count; i++) {
        pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

        *id = *DatumGetUUIDP(ids[i]);
        gone->drivers[gone->count++] = UUIDPGetDatum(id);
    }
    MemoryContextSwitchTo(old);
}

/* Somebody wants this process to stop what it does. */
static bool tick_interrupted(int sqlerrcode)
{
    return sqlerrcode == ERRCODE_QUERY_CANCELED || sqlerrcode == ERRCODE_ADMIN_SHUTDOWN;
}

static Datum uuid_array(Datum *ids, int count)
{
    return PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static void count_gone(const Gone *gone)
{
    Datum ids;

    if (gone->count == 0)
        return;
    ids = uuid_array(gone->drivers, gone->count);
    if (gone->count > 1)
        hail_execute(&lock_drivers, &ids, NULL, false, 0);
    hail_execute(&count_offers, &ids, NULL, false, 0);
}

static int read_trips(uint64 rows, TickTrip *due)
{
    bool isnull;

    for (uint64 i = 0; i < rows; i++) {
        due[i].id = *DatumGetUUIDP(hail_result(i, 1, &isnull));
        due[i].due_at = DatumGetTimestampTz(hail_result(i, 2, &isnull));
    }
    return (int)rows;
}

int tick_due(TimestampTz now, const TickTrip *after, TickTrip *due)
{
    Datum args[4] = {TimestampTzGetDatum(now), Int64GetDatum(TICK_MAX + 1),
                     TimestampTzGetDatum(after->due_at), UUIDPGetDatum(&after->id)};

    return read_trips(hail_execute(&find_due, args, NULL, false, 0), due);
}

static int lock_due_trips(TimestampTz now, TickTrip *due)
{
    return read_trips(hail_execute(&lock_due,
                                   (Datum[]){TimestampTzGetDatum(now), Int64GetDatum(TICK_MAX + 1)}, NULL,
                                   false, 0),
                      due);
}

bool tick_next(TimestampTz now, TimestampTz *next)
{
    bool isnull;

    hail_execute(&next_deadline, (Datum[]){TimestampTzGetDatum(now)}, NULL, false, 0);
    *next = DatumGetTimestampTz(hail_result(0, 1, &isnull));
    return !isnull;
}

/* One step of a trip whose row and offers are locked. */
static void step(const pg_uuid_t *trip_id, TimestampTz now, Gone *gone)
{
    bool isnull, failed_before;
    Datum drivers;

    hail_execute(&step_trip, (Datum[]){UUIDPGetDatum(trip_id), TimestampTzGetDatum(now)}, NULL, false, 0);
    drivers = hail_result(0, 1, &isnull);
    if (!isnull)
        add_gone(gone, DatumGetArrayTypeP(drivers));
    failed_before = DatumGetBool(hail_result(0, 2, &isnull));
    if (failed_before)
        hail_execute(&forget_failure, (Datum[]){UUIDPGetDatum(trip_id)}, NULL, false, 0);
}

bool tick_step(const pg_uuid_t *trip_id, TimestampTz now)
{
    Gone gone = {.context = CurrentMemoryContext};
    Datum id = UUIDPGetDatum(trip_id);
    Datum args[2] = {id, TimestampTzGetDatum(now)};
    bool isnull;

    if (hail_execute(&lock_one, args, NULL, false, 0) == 0)
        return false;
    hail_execute(&try_offers, &id, NULL, false, 0);
    if (!DatumGetBool(hail_result(0, 1, &isnull)))
        return false;
    step(trip_id, now, &gone);
    count_gone(&gone);
    return true;
}

bool tick_passing(int sqlerrcode)
{
    return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
           sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE || tick_interrupted(sqlerrcode);
}

void tick_failed(const pg_uuid_t *trip_id, TimestampTz now, const char *sqlstate, const char *message)
{
    bool isnull;
    Datum failures;

    if (hail_execute(&lock_failed, (Datum[]){UUIDPGetDatum(trip_id), TimestampTzGetDatum(now)}, NULL, false,
                     0) == 0)
        return;
    hail_execute(&note_failure,
                 (Datum[]){UUIDPGetDatum(trip_id), CStringGetTextDatum(sqlstate),
                           CStringGetTextDatum(message), TimestampTzGetDatum(now)},
                 NULL, false, 0);
    failures = hail_result(0, 1, &isnull);
    hail_execute(&postpone, (Datum[]){UUIDPGetDatum(trip_id), TimestampTzGetDatum(now), failures}, NULL,
                 false, 0);
    hail_execute(&sweep_failures, NULL, NULL, false, 0);
}

/* ---- all in one transaction ---- */

/* Run `body` in a subtransaction; returns its error, or NULL. A cancelled query ends all. */
static ErrorData *run_guarded(void (*body)(void *), void *arg)
{
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    ErrorData *volatile error = NULL;

    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        body(arg);
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    if (error != NULL && tick_interrupted(error->sqlerrcode))
        ReThrowError(error);
    return error;
}

bool tick_guard(void (*body)(void *), void *arg, const pg_uuid_t *trip_id, TimestampTz now)
{
    ErrorData *error = run_guarded(body, arg);

    if (error == NULL)
        return true;
    if (tick_passing(error->sqlerrcode))
        return false;
    ereport(WARNING, errcode(error->sqlerrcode),
            errmsg("matching trip %s: %s",
                   DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(trip_id))), error->message));
    tick_failed(trip_id, now, unpack_sql_state(error->sqlerrcode), error->message);
    return false;
}

typedef struct GuardedStep {
    const pg_uuid_t *trip_id;
    TimestampTz now;
    Gone *gone;
} GuardedStep;

static void guarded_step(void *arg)
{
    const GuardedStep *guarded = arg;

    step(guarded->trip_id, guarded->now, guarded->gone);
}

static void count_gone_body(void *arg)
{
    count_gone(arg);
}

static void step_all(const TickTrip *due, int count, TimestampTz now)
{
    Gone gone = {.context = CurrentMemoryContext};
    Datum *ids = palloc(sizeof(Datum) * (count + 1));
    ErrorData *error;

    for (int i = 0; i < count; i++)
        ids[i] = UUIDPGetDatum(&due[i].id);
    hail_execute(&lock_offers, (Datum[]){uuid_array(ids, count)}, NULL, false, 0);
    for (int i = 0; i < count; i++) {
        int before = gone.count;

        CHECK_FOR_INTERRUPTS();
        if (!tick_guard(guarded_step, &(GuardedStep){&due[i].id, now, &gone}, &due[i].id, now))
            gone.count = before;
    }
    /* A count that is off by some is worth less than what was done for the trips. */
    error = run_guarded(count_gone_body, &gone);
    if (error != NULL)
        ereport(WARNING, errcode(error->sqlerrcode),
                errmsg("offers that drivers let pass are not counted: %s", error->message));
}

PG_FUNCTION_INFO_V1(hail_dispatch_tick);

/* hail.dispatch_tick(): how many trips were looked at */
Datum hail_dispatch_tick(PG_FUNCTION_ARGS)
{
    TickTrip due[TICK_MAX + 1];
    TimestampTz now = hail_now();
    int found, count;
    int64 lag = 0;

    hail_require_admin();
    SPI_connect();
    overload_begin(now);
    found = lock_due_trips(now, due);
    count = Min(found, TICK_MAX);
    if (count > 0)
        step_all(due, count, now);
    batch_tick(now);
    if (found > 0)
        lag = overload_lag(due[found > count ? count : 0].due_at, now);
    if (overload_end(hail_now(), lag, count, found > count))
        overload_write_change(now);
    overload_count_queue(now);
    SPI_finish();
    PG_RETURN_INT32(count);
}
