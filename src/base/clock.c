/*
 * The test clock. State is three numbers under a spinlock; `active` is read without it, so that a
 * production server pays one atomic read.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/spin.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/shmem.h"

typedef struct ClockState {
    pg_atomic_uint32 active; /* 0: wall clock */
    slock_t lock;            /* guards what follows */
    TimestampTz real_base;   /* wall time at which the setting was made */
    TimestampTz test_base;   /* what the clock read then */
    double rate;             /* test seconds per wall second; 0 = frozen */
} ClockState;

static ClockState local_state; /* used in a server without preload */
static ClockState *state = &local_state;

static Size clock_size(void)
{
    return sizeof(ClockState);
}

static void reset_state(ClockState *s)
{
    pg_atomic_init_u32(&s->active, 0);
    SpinLockInit(&s->lock);
    s->real_base = s->test_base = 0;
    s->rate = 1;
}

static void clock_startup(void *memory, LWLockPadded *locks, bool found)
{
    state = memory;
    if (!found)
        reset_state(state);
}

static const HailShmemModule clock_shmem = {"hail_clock", clock_size, NULL, clock_startup};

void hail_clock_init(void)
{
    reset_state(&local_state);
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&clock_shmem);
}

static TimestampTz read_test_clock(double *rate)
{
    TimestampTz real_base, test_base;

    SpinLockAcquire(&state->lock);
    real_base = state->real_base;
    test_base = state->test_base;
    *rate = state->rate;
    SpinLockRelease(&state->lock);
    return test_base + (TimestampTz)((double)(GetCurrentTimestamp() - real_base) * *rate);
}

TimestampTz hail_now(void)
{
    double rate;

    if (likely(pg_atomic_read_u32(&state->active) == 0))
        return GetCurrentTimestamp();
    return read_test_clock(&rate);
}

long hail_ms_until(TimestampTz at, long cap_ms)
{
    double rate = 1;
    TimestampTz now =
        pg_atomic_read_u32(&state->active) == 0 ? GetCurrentTimestamp() : read_test_clock(&rate);
    double ms;

    if (at <= now)
        return 0;
    if (rate <= 0)
        return cap_ms;
    ms = (double)(at - now) / 1000.0 / rate;
    return ms >= (double)cap_ms ? cap_ms : (long)ms + 1;
}

static void set_test_clock(TimestampTz at, double rate)
{
    if (!superuser())
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only superusers may set the test clock"));
    if (TIMESTAMP_NOT_FINITE(at))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("clock time must be finite"), hail_field("at"));
    if (!(rate >= 0 && rate <= 10000))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("clock rate must be between 0 and 10000"),
                hail_field("rate"));
    SpinLockAcquire(&state->lock);
    state->real_base = GetCurrentTimestamp();
    state->test_base = at;
    state->rate = rate;
    SpinLockRelease(&state->lock);
    pg_atomic_write_u32(&state->active, 1);
}

PG_FUNCTION_INFO_V1(hail_clock);
PG_FUNCTION_INFO_V1(hail_set_clock);
PG_FUNCTION_INFO_V1(hail_advance_clock);
PG_FUNCTION_INFO_V1(hail_reset_clock);

Datum hail_clock(PG_FUNCTION_ARGS)
{
    PG_RETURN_TIMESTAMPTZ(hail_now());
}

/* hail.set_clock(at, rate): start the test clock; rate 0 freezes it. */
Datum hail_set_clock(PG_FUNCTION_ARGS)
{
    set_test_clock(PG_GETARG_TIMESTAMPTZ(0), PG_GETARG_FLOAT8(1));
    PG_RETURN_TIMESTAMPTZ(hail_now());
}

/* hail.advance_clock(by): move the clock, keeping its rate; the wall clock becomes a test clock of rate 1. */
Datum hail_advance_clock(PG_FUNCTION_ARGS)
{
    double rate = 1;
    TimestampTz now =
        pg_atomic_read_u32(&state->active) == 0 ? GetCurrentTimestamp() : read_test_clock(&rate);
    Datum at = DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), PG_GETARG_DATUM(0));

    set_test_clock(DatumGetTimestampTz(at), rate);
    PG_RETURN_TIMESTAMPTZ(hail_now());
}

/* hail.reset_clock(): back to the wall clock. */
Datum hail_reset_clock(PG_FUNCTION_ARGS)
{
    if (!superuser())
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only superusers may set the test clock"));
    pg_atomic_write_u32(&state->active, 0);
    PG_RETURN_TIMESTAMPTZ(hail_now());
}
