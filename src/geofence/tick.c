/*
 * The evaluation: hail.geofence_tick(), which the keeper runs.
 *
 * One at a time: an advisory lock of the transaction, never waited for; whoever does not get it leaves the
 * work to its holder. The drivers to look at come from the live index (live_visit_moved). For nearly all of
 * them that is one look into the grid of the prepared fences and one into the hash of the members; what has
 * changed is collected and then carried out together (apply.c).
 *
 * Every driver is looked at, moved or not, when the fences have changed or this process sees them first.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/statement.h"
#include "geofence/apply.h"
#include "geofence/decide.h"
#include "geofence/members.h"
#include "geofence/tick.h"
#include "identity/session.h"
#include "live/live.h"

#define LOCK_KEY INT64CONST(0x6861696c66656e63) /* "hailfenc" */
/* Positions known to be worse than this prove nothing about a border, metres. */
#define ACCURACY_MAX_M 100
/* Changes with an event that one tick carries out; the drivers beyond are looked at by the next. */
#define EVENTS_MAX 5000
/* Members whom the index has forgotten are looked for this often. */
#define SWEEP_INTERVAL (10 * USECS_PER_SEC)

typedef struct Tick {
    const FenceSet *set;
    TimestampTz now;
    FenceChanges changes;
    int *area_of_region; /* number of the fence that is a region's service area, or -1 */
    int regions;         /* highest id + 1 */
    int64 looked_at;
} Tick;

/* ---- the lock ---- */

bool geofence_try_lock(void)
{
    return DatumGetBool(DirectFunctionCall1(pg_try_advisory_xact_lock_int8, Int64GetDatum(LOCK_KEY)));
}

void geofence_lock(void)
{
    DirectFunctionCall1(pg_advisory_xact_lock_int8, Int64GetDatum(LOCK_KEY));
}

/* ---- one driver ---- */

static void propose(Tick *tick, ChangeKind kind, const LiveMoved *d, int fence, const char *reason)
{
    FenceChange change = {.kind = kind, .driver_id = d->driver_id, .fence = fence, .reason = reason};

    if (reason == NULL) {
        change.at = d->recorded_at;
        change.lat = d->lat;
        change.lng = d->lng;
    }
    changes_add(&tick->changes, &change);
}

static FenceMove decide(const Tick *tick, const LiveMoved *d, int fence, bool inside, bool covered,
                        TimestampTz outside_since)
{
    const Fence *f = &tick->set->fences[fence];
    FenceSituation s = {.inside = inside,
                        .covered = covered,
                        .outside_since = outside_since,
                        .now = tick->now,
                        .leave_after_us = f->leave_after_us};

    if (inside && !covered)
        s.far = !shape_edge_within(tick->set->shapes[fence], d->lat, d->lng, f->leave_margin_m);
    return fence_decide(&s);
}

static bool contains(const int *found, int count, int fence)
{
    for (int i = 0; i < count; i++)
        if (found[i] == fence)
            return true;
    return false;
}

static bool is_free(const LiveMoved *d)
{
    static const pg_uuid_t none;

    return memcmp(&d->trip_id, &none, UUID_LEN) == 0;
}

/* A place in the queue is lost by a trip, or by having been offline: both renew idle_since. */
static void look_at_queue(Tick *tick, const LiveMoved *d, int fence, TimestampTz queued_at)
{
    if (tick->set->fences[fence].kind != FENCE_AIRPORT)
        return;
    if (!is_free(d)) {
        if (queued_at != 0)
            propose(tick, CHANGE_LEAVE_QUEUE, d, fence, NULL);
    } else if (d->online && (queued_at == 0 || d->idle_since > queued_at))
        propose(tick, CHANGE_JOIN_QUEUE, d, fence, NULL);
}

static void look_at_membership(Tick *tick, const LiveMoved *d, const Membership *m, const int *found,
                               int count)
{
    int fence = fences_find(tick->set, m->geofence_id, false);

    if (fence < 0 || !tick->set->fences[fence].active)
        return; /* see close_fences() */
    switch (decide(tick, d, fence, true, contains(found, count, fence), m->outside_since)) {
    case MOVE_LEAVE:
        propose(tick, CHANGE_LEAVE, d, fence, NULL);
        return;
    case MOVE_STEP_OUT:
        propose(tick, CHANGE_STEP_OUT, d, fence, NULL);
        break;
    case MOVE_BACK:
        propose(tick, CHANGE_BACK, d, fence, NULL);
        break;
    default:
        break;
    }
    look_at_queue(tick, d, fence, m->queued_at);
}

static void look_at_service_area(Tick *tick, const LiveMoved *d, const Member *member, const int *found,
                                 int count)
{
    bool absent = member != NULL && member->absent_since != 0;
    int fence = d->region_id >= 0 && d->region_id < tick->regions ? tick->area_of_region[d->region_id] : -1;
    bool covered;

    if (fence < 0)
        return;
    covered = contains(found, count, fence);
    if (covered && !absent)
        return;
    if (absent && member->absent_region != d->region_id) { /* moved to another region: start over */
        propose(tick, CHANGE_BACK_AREA, d, fence, NULL);
        return;
    }
    switch (decide(tick, d, fence, !absent || !member->left, covered, absent ? member->absent_since : 0)) {
    case MOVE_LEAVE:
        propose(tick, CHANGE_LEAVE_AREA, d, fence, NULL);
        break;
    case MOVE_STEP_OUT:
        propose(tick, CHANGE_STEP_OUT_AREA, d, fence, NULL);
        break;
    case MOVE_BACK:
        propose(tick, CHANGE_BACK_AREA, d, fence, NULL);
        break;
    case MOVE_ENTER:
        propose(tick, CHANGE_ENTER_AREA, d, fence, NULL);
        break;
    default:
        break;
    }
}

static void leave_all(Tick *tick, const Member *member, const char *reason)
{
    LiveMoved d = {.driver_id = member->driver_id};

    for (Membership *m = member->first; m != NULL; m = m->next) {
        int fence = fences_find(tick->set, m->geofence_id, false);

        if (fence >= 0)
            propose(tick, CHANGE_LEAVE, &d, fence, reason);
    }
}

static void look(const LiveMoved *d, void *arg)
{
    Tick *tick = arg;
    const Member *member;
    int found[FENCES_MAX_FOUND], count;

    if (tick->changes.with_event >= EVENTS_MAX) {
        live_mark_moved(&d->driver_id);
        return;
    }
    tick->looked_at++;
    member = members_find(&d->driver_id);
    if (!d->online && is_free(d)) {
        if (member != NULL)
            leave_all(tick, member, "offline");
        return;
    }
    if (d->accuracy > ACCURACY_MAX_M)
        return;
    count = fences_covering(tick->set, d->lat, d->lng, found);
    look_at_service_area(tick, d, member, found, count);
    for (Membership *m = member != NULL ? member->first : NULL; m != NULL; m = m->next)
        look_at_membership(tick, d, m, found, count);
    for (int i = 0; i < count; i++) {
        const Fence *fence = &tick->set->fences[found[i]];

        if (fence->kind == FENCE_SERVICE_AREA || (member != NULL && member_of(member, fence->id) != NULL))
            continue;
        propose(tick, CHANGE_ENTER, d, found[i], NULL);
        look_at_queue(tick, d, found[i], 0);
    }
}

/* ---- members that no position speaks for ---- */

static HailStatement read_gone = {
    "SELECT DISTINCT i.driver_id FROM hail.geofence_drivers i JOIN hail.drivers d ON d.id = i.driver_id"
    " WHERE NOT d.online AND d.trip_id IS NULL",
    0};

/* Drivers who went offline, and whom the index, or this process, has not told of. */
static void sweep(Tick *tick)
{
    uint64 rows = hail_execute(&read_gone, NULL, NULL, false, 0);

    for (uint64 i = 0; i < rows && tick->changes.with_event < EVENTS_MAX; i++) {
        bool isnull;
        Member *member = members_find(DatumGetUUIDP(hail_result(i, 1, &isnull)));

        if (member != NULL)
            leave_all(tick, member, "offline");
    }
    SPI_freetuptable(SPI_tuptable);
}

/* Fences that are no longer active are left by all. False: not all of it could be done at once. */
static bool close_fences(Tick *tick)
{
    HASH_SEQ_STATUS scan;
    Member *member;

    members_scan(&scan);
    while ((member = hash_seq_search(&scan)) != NULL)
        for (Membership *m = member->first; m != NULL; m = m->next) {
            int fence = fences_find(tick->set, m->geofence_id, false);
            LiveMoved d = {.driver_id = member->driver_id};

            if (fence < 0 || tick->set->fences[fence].active)
                continue;
            if (tick->changes.with_event >= EVENTS_MAX) {
                hash_seq_term(&scan);
                return false;
            }
            propose(tick, CHANGE_LEAVE, &d, fence, "geofence_closed");
        }
    return true;
}

/* ---- the tick ---- */

static void index_regions(Tick *tick)
{
    for (int i = 0; i < tick->set->active; i++)
        if (tick->set->fences[i].kind == FENCE_SERVICE_AREA)
            tick->regions = Max(tick->regions, tick->set->fences[i].id + 1);
    tick->area_of_region = palloc(sizeof(int) * (tick->regions + 1));
    memset(tick->area_of_region, -1, sizeof(int) * (tick->regions + 1));
    for (int i = 0; i < tick->set->active; i++)
        if (tick->set->fences[i].kind == FENCE_SERVICE_AREA)
            tick->area_of_region[tick->set->fences[i].id] = i;
}

static int run_tick(void)
{
    static uint64 seen_set = 0; /* every driver was looked at with that one; 0: not to the end */
    static TimestampTz swept_at = 0;
    static bool closed = false;
    Tick tick = {.now = hail_now()};
    bool anew = members_refresh(), all;
    int written;

    tick.set = fences_get();
    tick.changes.set = tick.set;
    tick.changes.context = CurrentMemoryContext;
    all = anew || tick.set->number != seen_set;
    seen_set = 0;
    index_regions(&tick);
    if (all || !closed)
        closed = close_fences(&tick);
    if (anew || !live_ready() || tick.now < swept_at || tick.now - swept_at >= SWEEP_INTERVAL) {
        sweep(&tick);
        swept_at = tick.now;
    }
    live_visit_moved(all, look, &tick);
    elog(DEBUG1, "geofences: looked at " INT64_FORMAT " drivers, %d changes", tick.looked_at,
         tick.changes.count);
    written = changes_apply(&tick.changes, tick.now);
    closed = closed && !tick.changes.locked_out; /* else somebody may still be in a closed one */
    seen_set = tick.set->number;
    return written;
}

PG_FUNCTION_INFO_V1(hail_geofence_tick);
PG_FUNCTION_INFO_V1(hail_lock_geofences);

/* hail.geofence_tick(): events written */
Datum hail_geofence_tick(PG_FUNCTION_ARGS)
{
    int written = 0;

    hail_require_admin();
    SPI_connect();
    if (!live_warming() && geofence_try_lock())
        written = run_tick();
    SPI_finish();
    PG_RETURN_INT32(written);
}

/* hail.lock_geofences() */
Datum hail_lock_geofences(PG_FUNCTION_ARGS)
{
    geofence_lock();
    PG_RETURN_VOID();
}
