/*
 * Buckets of the rate limits: a table of fixed size in shared memory, emptied by a crash.
 *
 * A subject's bucket lies in the one set its hash names, with few others. When a set is full, the bucket
 * fullest by now makes room, and is forgotten, which is to say full. Whoever overdoes it has the emptiest
 * bucket of its set and keeps it, so far fewer buckets than subjects do: those who keep to the rate only
 * displace each other, and don't miss what they lose.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "identity/gcra.h"
#include "identity/rate.h"
#include "identity/session.h"

#define SET_BUCKETS     5
#define SUBJECTS_A_SET  16 /* one set for so many drivers of hail.max_live_drivers */
#define RATE_PARTITIONS 64
/* Times a bucket can hold; the clock is not expected to leave them. */
#define FARTHEST (INT64CONST(1) << 58)

typedef struct RateBucket {
    pg_uuid_t subject;
    int64 full_at : 60; /* see gcra_take() */
    uint64 class : 4;   /* plus one; 0: no bucket */
} RateBucket;

/* Guarded by the lock of its partition. Two cache lines, fetched together. */
typedef struct RateSet {
    RateBucket buckets[SET_BUCKETS];
    uint64 unused;
} RateSet;

typedef struct RateShared {
    pg_atomic_uint64 refused[HAIL_RATE_CLASSES]; /* since the start */
} RateShared;

static RateShared *shared = NULL; /* NULL: not preloaded */
static RateSet *sets = NULL;
static LWLockPadded *locks = NULL;
static uint32 set_mask;

static const struct {
    const char *name;
    const int *per_minute;
} classes[HAIL_RATE_CLASSES] = {{"report", &hail_report_rate},
                                {"porter_report", &hail_porter_report_rate},
                                {"trip_request", &hail_trip_request_rate},
                                {"driver_response", &hail_driver_response_rate},
                                {"trip_status", &hail_trip_status_rate},
                                {"partner_order", &hail_partner_order_rate},
                                {"quote", &hail_quote_rate},
                                {"estimate", &hail_estimate_rate}};

StaticAssertDecl(sizeof(RateSet) == PG_CACHE_LINE_SIZE, "a set fills the lines it is aligned to");

/* ---- memory ---- */

/* A power of two, at least one set a partition. */
static uint32 set_count(void)
{
    uint32 count = RATE_PARTITIONS;

    while ((int64)count * SUBJECTS_A_SET < hail_max_live_drivers)
        count *= 2;
    return count;
}

static Size rate_size(void)
{
    return CACHELINEALIGN(sizeof(RateShared)) + PG_CACHE_LINE_SIZE + mul_size(set_count(), sizeof(RateSet));
}

static int rate_lock_count(void)
{
    return RATE_PARTITIONS;
}

static void rate_startup(void *memory, LWLockPadded *module_locks, bool found)
{
    shared = memory;
    sets = (RateSet *)CACHELINEALIGN((char *)memory + sizeof(RateShared));
    locks = module_locks;
    set_mask = set_count() - 1;
    if (found)
        return;
    for (int i = 0; i < HAIL_RATE_CLASSES; i++)
        pg_atomic_init_u64(&shared->refused[i], 0);
    memset(sets, 0, sizeof(RateSet) * set_count());
}

static const HailShmemModule rate_shmem = {"hail_rate", rate_size, rate_lock_count, rate_startup};

void hail_rate_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&rate_shmem);
}

/* ---- buckets ---- */

/* The fuller a bucket, the less is lost with it. Times out of reach: the clock was set back since. */
static bool fuller(const RateBucket *a, const RateBucket *b, TimestampTz now)
{
    bool a_full = a->class == 0 || a->full_at <= now || a->full_at > now + GCRA_WINDOW_US;
    bool b_full = b->class == 0 || b->full_at <= now || b->full_at > now + GCRA_WINDOW_US;

    return a_full != b_full ? a_full : !a_full && a->full_at < b->full_at;
}

/* The subject's bucket, or a full one made for it. Lock held. */
static RateBucket *find_bucket(RateSet *set, HailRateClass class, const pg_uuid_t *subject, TimestampTz now)
{
    RateBucket *victim = &set->buckets[0];

    for (int i = 0; i < SET_BUCKETS; i++) {
        RateBucket *bucket = &set->buckets[i];

        if (bucket->class == (uint64) class + 1 && memcmp(&bucket->subject, subject, UUID_LEN) == 0)
            return bucket;
        if (fuller(bucket, victim, now))
            victim = bucket;
    }
    victim->subject = *subject;
    victim->class = (uint64) class + 1;
    victim->full_at = now;
    return victim;
}

/* What the class allows a minute; 0: anything. A porter's bucket holds what goes beyond a driver's. */
static int limit_of(HailRateClass class)
{
    int limit = *classes[class].per_minute;

    if (class == HAIL_RATE_PORTER_REPORT && limit > 0)
        limit = limit > hail_report_rate ? limit - hail_report_rate : -1; /* 0 would be: any number */
    return limit;
}

int64 hail_rate_take(HailRateClass class, const pg_uuid_t *subject, TimestampTz now)
{
    int limit = limit_of(class);
    uint64 hash;
    LWLock *lock;
    RateBucket *bucket;
    int64 full_at, wait;

    if (limit == 0 || shared == NULL || now > FARTHEST || now < -FARTHEST)
        return 0;
    if (limit < 0) /* porters may do no more than drivers */
        return GCRA_WINDOW_US;
    hash = hash_bytes_extended(subject->data, UUID_LEN, class);
    lock = &locks[hash % RATE_PARTITIONS].lock;
    LWLockAcquire(lock, LW_EXCLUSIVE);
    bucket = find_bucket(&sets[hash & set_mask], class, subject, now);
    full_at = bucket->full_at;
    wait = gcra_take(&full_at, now, limit);
    bucket->full_at = full_at;
    LWLockRelease(lock);
    return wait;
}

void hail_rate_note_refused(HailRateClass class)
{
    if (shared != NULL)
        pg_atomic_fetch_add_u64(&shared->refused[class], 1);
}

int hail_rate_retry_after_s(int64 wait_us)
{
    return (int)Max((wait_us + USECS_PER_SEC - 1) / USECS_PER_SEC, 1);
}

void hail_rate_refuse(const char *what, int64 wait_us)
{
    ereport(ERROR, hail_error(HAIL_RATE_LIMITED), errmsg("too many %s", what),
            errdetail("retry_after_s=%d", hail_rate_retry_after_s(wait_us)), errhint(HAIL_RATE_HINT));
}

PG_FUNCTION_INFO_V1(hail_rate_limits);
PG_FUNCTION_INFO_V1(hail_limit_rate);

/* Classes that SQL counts by name, and what is refused. */
static const struct {
    HailRateClass class;
    const char *what;
} counted_in_sql[] = {{HAIL_RATE_TRIP_REQUEST, "trip requests"},
                      {HAIL_RATE_DRIVER_RESPONSE, "answers to offers"},
                      {HAIL_RATE_TRIP_STATUS, "looks at trips"},
                      {HAIL_RATE_PARTNER_ORDER, "orders"},
                      {HAIL_RATE_QUOTE, "quotes"},
                      {HAIL_RATE_ESTIMATE, "estimates"}};

/* hail.limit_rate(class): true, or error rate_limited. Administrators are not counted. */
Datum hail_limit_rate(PG_FUNCTION_ARGS)
{
    char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    HailActor actor = hail_require_actor();

    for (int i = 0; i < (int)lengthof(counted_in_sql); i++) {
        HailRateClass class = counted_in_sql[i].class;
        int64 wait;

        if (strcmp(name, classes[class].name) != 0)
            continue;
        wait = actor.has_subject && actor.role != HAIL_ROLE_ADMIN
                   ? hail_rate_take(class, &actor.subject, hail_now())
                   : 0;
        if (wait == 0)
            PG_RETURN_BOOL(true);
        hail_rate_note_refused(class);
        hail_rate_refuse(counted_in_sql[i].what, wait);
    }
    ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("there is no such rate limit"),
            hail_field("class"));
}

/* hail.rate_limits(): a row per class. */
Datum hail_rate_limits(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result;

    hail_require_admin();
    InitMaterializedSRF(fcinfo, 0);
    result = (ReturnSetInfo *)fcinfo->resultinfo;
    for (int i = 0; i < HAIL_RATE_CLASSES; i++) {
        uint64 refused = shared != NULL ? pg_atomic_read_u64(&shared->refused[i]) : 0;
        Datum values[3] = {CStringGetTextDatum(classes[i].name), Int32GetDatum(*classes[i].per_minute),
                           Int64GetDatum((int64)refused)};
        bool nulls[3] = {false, *classes[i].per_minute == 0 || shared == NULL, false};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}
