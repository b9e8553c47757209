/*
 * The level of overload; see overload.h. One process at a time writes here, the dispatcher or whoever calls
 * hail.dispatch_tick() in its place; should two do so at once, a figure is off for a pass, no more.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/statement.h"
#include "dispatch/overload.h"
#include "dispatch/overload_steps.h"
#include "events/events.h"
#include "identity/session.h"

#define RETRY_FACTOR    4
#define RATE_SHARE      0.2   /* of a pass in the running mean of trips a second */
#define FIRST_RATE      100.0 /* trips a second, before a pass was measured */
#define MAX_RETRY_AFTER 120   /* s */

StaticAssertDecl(OVERLOAD_LEVELS == OVERLOAD_TOP + 1, "every level has its step");

const char *const overload_level_names[OVERLOAD_LEVELS] = {
    [OVERLOAD_NONE] = "none",
    [OVERLOAD_DISTANCE_ONLY] = "distance_only",
    [OVERLOAD_LONGER_WINDOWS] = "longer_windows",
    [OVERLOAD_QUEUE] = "queue",
};

static const char *const level_effects[OVERLOAD_LEVELS] = {
    [OVERLOAD_NONE] = "everything is done again",
    [OVERLOAD_DISTANCE_ONLY] = "drivers are ranked by distance alone",
    [OVERLOAD_LONGER_WINDOWS] = "batch windows and the pauses of searches are longer",
    [OVERLOAD_QUEUE] = "new trips queue up for their first round",
};

typedef struct OverloadState {
    pg_atomic_uint32 level;
    pg_atomic_uint32
        busy; /* the last pass left some, or took long: the next belongs to the same stretch of work */
    pg_atomic_uint64 busy_since;               /* TimestampTz: the stretch began */
    pg_atomic_uint64 pass_began;               /* TimestampTz */
    pg_atomic_uint64 calm_since;               /* see overload_next() */
    pg_atomic_uint64 lag_us;                   /* of the last pass */
    pg_atomic_uint64 per_1000_s;               /* trips looked at, mean */
    pg_atomic_uint64 waiting;                  /* trips due, as counted last, and admitted since */
    pg_atomic_uint64 refused;                  /* requests, since the start */
    pg_atomic_uint64 reached[OVERLOAD_LEVELS]; /* how often from below, since the start */
} OverloadState;

static OverloadState *state = NULL; /* NULL: not preloaded */

static HailStatement count_due = {
    "SELECT count(*) FROM (SELECT FROM hail.trips t WHERE t.next_round_at <= $1 LIMIT $2) q",
    2,
    {TIMESTAMPTZOID, INT8OID}};

static HailStatement write_state = {
    "INSERT INTO hail.overload_state AS s (level, changed_at, lag_s) VALUES ($1, $2, $3)"
    " ON CONFLICT (one) DO UPDATE SET level = excluded.level, changed_at = excluded.changed_at,"
    " lag_s = excluded.lag_s, event_version = s.event_version + 1 RETURNING s.id, s.event_version",
    3,
    {TEXTOID, TIMESTAMPTZOID, FLOAT8OID}};

static Size state_size(void)
{
    return sizeof(OverloadState);
}

static void state_startup(void *memory, LWLockPadded *locks, bool found)
{
    state = memory;
    if (found)
        return;
    memset(state, 0, sizeof(*state));
    pg_atomic_init_u32(&state->level, OVERLOAD_NONE);
    pg_atomic_init_u32(&state->busy, 0);
    pg_atomic_init_u64(&state->busy_since, 0);
    pg_atomic_init_u64(&state->pass_began, 0);
    pg_atomic_init_u64(&state->calm_since, 0);
    pg_atomic_init_u64(&state->lag_us, 0);
    pg_atomic_init_u64(&state->per_1000_s, 0);
    pg_atomic_init_u64(&state->waiting, 0);
    pg_atomic_init_u64(&state->refused, 0);
    for (int i = 0; i < OVERLOAD_LEVELS; i++)
        pg_atomic_init_u64(&state->reached[i], 0);
}

static const HailShmemModule module = {"hail_overload", state_size, NULL, state_startup};

void overload_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&module);
}

OverloadLevel overload_level(void)
{
    return state == NULL ? OVERLOAD_NONE : (OverloadLevel)pg_atomic_read_u32(&state->level);
}

int overload_retry_factor(void)
{
    return overload_level() >= OVERLOAD_LONGER_WINDOWS ? RETRY_FACTOR : 1;
}

/* ---- the dispatcher's side ---- */

void overload_begin(TimestampTz now)
{
    if (state == NULL)
        return;
    pg_atomic_write_u64(&state->pass_began, now);
    if (pg_atomic_read_u32(&state->busy) == 0 || (TimestampTz)pg_atomic_read_u64(&state->busy_since) > now)
        pg_atomic_write_u64(&state->busy_since, now);
}

int64 overload_lag(TimestampTz due_at, TimestampTz now)
{
    if (state == NULL)
        return 0;
    return Max(now - Max(due_at, (TimestampTz)pg_atomic_read_u64(&state->busy_since)), 0);
}

/* A clock that stands still tells nothing. */
static void note_rate(TimestampTz now, int trips)
{
    int64 elapsed = now - (TimestampTz)pg_atomic_read_u64(&state->pass_began);
    double mean = pg_atomic_read_u64(&state->per_1000_s), rate;

    if (elapsed <= 0 || trips == 0)
        return;
    rate = trips * 1e9 / (double)elapsed;
    pg_atomic_write_u64(&state->per_1000_s, (uint64)(mean == 0 ? rate : mean + (rate - mean) * RATE_SHARE));
}

bool overload_end(TimestampTz now, int64 lag_us, int trips, bool left)
{
    int64 calm;
    int level, next;

    if (state == NULL)
        return false;
    pg_atomic_write_u32(&state->busy, left);
    pg_atomic_write_u64(&state->lag_us, lag_us);
    note_rate(now, trips);
    calm = (int64)pg_atomic_read_u64(&state->calm_since);
    level = (int)pg_atomic_read_u32(&state->level);
    next = overload_next(level, lag_us, hail_dispatch_max_lag_ms * INT64CONST(1000), now, &calm);
    pg_atomic_write_u64(&state->calm_since, calm);
    pg_atomic_write_u32(&state->level, next);
    if (next > level)
        pg_atomic_fetch_add_u64(&state->reached[next], 1);
    return next != level;
}

void overload_write_change(TimestampTz now)
{
    OverloadLevel level = overload_level();
    double lag_s = state == NULL ? 0 : pg_atomic_read_u64(&state->lag_us) / 1e6;
    pg_uuid_t id;
    bool isnull;
    int version;

    ereport(LOG, errmsg("dispatcher overload: level %s, lag %.1f s", overload_level_names[level], lag_s),
            errdetail("From now on %s.", level_effects[level]));
    hail_execute(&write_state,
                 (Datum[]){CStringGetTextDatum(overload_level_names[level]), TimestampTzGetDatum(now),
                           Float8GetDatum(lag_s)},
                 NULL, false, 0);
    id = *DatumGetUUIDP(hail_result(0, 1, &isnull));
    version = DatumGetInt32(hail_result(0, 2, &isnull));
    event_write("dispatcher", &id, version, "OverloadChanged",
                psprintf("{\"level\":\"%s\",\"lag_s\":%.1f}", overload_level_names[level], lag_s));
}

void overload_count_queue(TimestampTz now)
{
    bool isnull;

    if (overload_level() < OVERLOAD_QUEUE)
        return;
    hail_execute(&count_due,
                 (Datum[]){TimestampTzGetDatum(now), Int64GetDatum((int64)hail_dispatch_queue_max + 1)}, NULL,
                 false, 0);
    pg_atomic_write_u64(&state->waiting, DatumGetInt64(hail_result(0, 1, &isnull)));
}

void overload_queue_empty(void)
{
    if (state != NULL)
        pg_atomic_write_u64(&state->waiting, 0);
}

/* ---- the requests' side ---- */

/* Seconds in which so many trips will have been looked at. */
static int retry_after_s(uint64 trips)
{
    double rate = pg_atomic_read_u64(&state->per_1000_s) / 1000.0;
    double seconds = ceil(trips / (rate > 0 ? rate : FIRST_RATE));

    return (int)Min(Max(seconds, 1), MAX_RETRY_AFTER);
}

int overload_admit(void)
{
    uint64 place;

    if (overload_level() < OVERLOAD_QUEUE)
        return 0;
    place = pg_atomic_fetch_add_u64(&state->waiting, 1) + 1;
    if (place > (uint64)hail_dispatch_queue_max) {
        pg_atomic_fetch_sub_u64(&state->waiting, 1);
        pg_atomic_fetch_add_u64(&state->refused, 1);
        ereport(ERROR, hail_error(HAIL_OVERLOADED), errmsg("too many trips wait to be matched"),
                errdetail("retry_after_s=%d", retry_after_s(place - hail_dispatch_queue_max)),
                errhint("Ask again after that time, with the same idempotency key."));
    }
    return (int)place;
}

/* ---- SQL ---- */

PG_FUNCTION_INFO_V1(hail_overload);
PG_FUNCTION_INFO_V1(hail_overload_admit);

/* hail.overload_admit() */
Datum hail_overload_admit(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32(overload_admit());
}

/* hail.overload(): level, lag_s, waiting, trips_per_s, refused, reached */
Datum hail_overload(PG_FUNCTION_ARGS)
{
    TupleDesc desc;
    Datum values[6] = {CStringGetTextDatum(overload_level_names[overload_level()]),
                       Float8GetDatum(0),
                       Int64GetDatum(0),
                       Float8GetDatum(0),
                       Int64GetDatum(0),
                       0};
    bool nulls[6] = {false};
    int64 reached = 0;

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "overload returns a row");
    if (state != NULL) {
        values[1] = Float8GetDatum(pg_atomic_read_u64(&state->lag_us) / 1e6);
        values[2] = Int64GetDatum(
            overload_level() == OVERLOAD_QUEUE ? (int64)pg_atomic_read_u64(&state->waiting) : 0);
        values[3] = Float8GetDatum(pg_atomic_read_u64(&state->per_1000_s) / 1000.0);
        values[4] = Int64GetDatum((int64)pg_atomic_read_u64(&state->refused));
        for (int i = 1; i < OVERLOAD_LEVELS; i++)
            reached += (int64)pg_atomic_read_u64(&state->reached[i]);
    }
    values[5] = Int64GetDatum(reached);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
