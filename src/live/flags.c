/*
 * Positions reached with an impossible speed.
 *
 * A report that would move a driver faster than hail.max_speed is not applied. Who sent it is kept in mind
 * here, a suspect for each driver, in a table of fixed size in shared memory. It serves two ends.
 *
 * Events. The first such report of a driver and minute waits in its suspect for the keeper, which writes
 * DriverPositionFlagged under the lock of the driver's row; what comes until then is counted into it, what
 * follows within the minute makes no event. A suspect whose flag waits is never displaced. Where there is no
 * other left, the flag is missed and counted, and the driver's next such report tries again: thousands of
 * drivers leaping in one second are a fault of their app or of hail.max_speed, and reporters that wrote
 * events then would slow down everybody's reports twentyfold. What waits is in memory: a crash forgets the
 * flags of at most a second. No event has coordinates, so that an erasure of positions leaves the events
 * alone.
 *
 * Belief. A driver may really have been carried (a ferry, a tunnel, a false first position): it would stay
 * where it was, unfound, until JUMP_MAX_AGE has passed since. So when BELIEVED_REPORTS or more in a row
 * agree, each within reach of the one before, over BELIEVED_AFTER by the server's clock, with none
 * applied in between, the last is believed and applied. Whoever makes positions up gets a minute for each
 * leap that way, and an event.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/statement.h"
#include "identity/session.h"
#include "live/flags.h"
#include "live/live_mode.h"

#define SETS        256
#define SET_ROOM    8
#define SUSPECTS    (SETS * SET_ROOM)
#define FLAG_EVERY  (60 * USECS_PER_SEC)
#define WRITE_BATCH 256 /* of one run: their rows stay locked until it ends */

#define BELIEVED_REPORTS 3
#define BELIEVED_AFTER   (60 * USECS_PER_SEC)
/* As the index has it: GPS noise is no jump. */
#define NOISE_M 500.0

/* What an event tells. */
typedef struct Flag {
    pg_uuid_t driver_id;
    double jump_m;
    TimestampTz from_at, recorded_at;
    int32 reports; /* so many such reports, this one included */
} Flag;

typedef struct Suspect {
    LiveReport last;     /* the newest such report */
    TimestampTz base_at; /* recorded_at of the position it was measured from */
    TimestampTz since;   /* received_at of the first of those in a row that agree */
    int32 in_row;
    bool waiting;           /* `flag` has no event yet */
    TimestampTz flagged_at; /* when the last flag was made, then when its event was written; 0: none was */
    Flag flag;
} Suspect;

/* All under the lock. */
typedef struct FlagShared {
    int64 written, missed, believed; /* since the start; missed: reports that found no room */
    int32 waiting;
    Suspect suspects[SUSPECTS];
} FlagShared;

static FlagShared *shared = NULL; /* NULL: not preloaded */
static LWLock *lock = NULL;

/* What this transaction has written of the flags that wait. */
static struct {
    int count;
    SubTransactionId in;
    struct {
        int32 suspect;
        TimestampTz flagged_at;
    } done[WRITE_BATCH];
} written;

/* ---- memory ---- */

static Size flags_size(void)
{
    return sizeof(FlagShared);
}

static int flags_lock_count(void)
{
    return 1;
}

static void flags_startup(void *memory, LWLockPadded *locks, bool found)
{
    shared = memory;
    lock = &locks[0].lock;
    if (!found)
        memset(shared, 0, sizeof(FlagShared));
}

static const HailShmemModule flags_shmem = {"hail_flags", flags_size, flags_lock_count, flags_startup};

/* ---- suspects ---- */

/* The driver's suspect, or room for one; NULL: all others wait. Lock held. */
static Suspect *find_suspect(const pg_uuid_t *driver_id)
{
    uint32 set = hash_bytes(driver_id->data, UUID_LEN) % SETS;
    Suspect *room = NULL;

    for (int i = 0; i < SET_ROOM; i++) {
        Suspect *suspect = &shared->suspects[set * SET_ROOM + i];

        if (live_uuid_cmp(&suspect->last.driver_id, driver_id) == 0)
            return suspect;
        if (!suspect->waiting && (room == NULL || suspect->last.received_at < room->last.received_at))
            room = suspect;
    }
    if (room != NULL) {
        memset(room, 0, sizeof(*room));
        room->last.driver_id = *driver_id;
    }
    return room;
}

/* `report` is a place and time that the driver can have come to from the one before. */
static bool agrees(const Suspect *suspect, const LiveReport *report, TimestampTz base_at)
{
    GeoVector from = geo_vector(suspect->last.lat, suspect->last.lng);
    double metres = geo_chord2_to_m(geo_chord2(from, geo_vector(report->lat, report->lng)));
    double seconds = (double)(report->recorded_at - suspect->last.recorded_at) / USECS_PER_SEC;

    return suspect->in_row > 0 && suspect->base_at == base_at && seconds >= 0 &&
           (metres <= NOISE_M || metres * 3.6 <= (double)hail_max_speed_kmh * seconds);
}

/* Lock held. */
static void make_flag(Suspect *suspect, const LiveReport *report, const LiveReportResult *result)
{
    TimestampTz apart = report->received_at - suspect->flagged_at;

    if (suspect->flagged_at != 0 && (suspect->waiting || (apart >= 0 && apart < FLAG_EVERY))) {
        suspect->flag.reports += suspect->waiting;
        return;
    }
    suspect->flag = (Flag){report->driver_id, result->jump_m, result->from_at, report->recorded_at, 1};
    suspect->flagged_at = report->received_at;
    suspect->waiting = true;
    shared->waiting++;
}

bool flags_note(const LiveReport *report, const LiveReportResult *result)
{
    bool believed = false;
    Suspect *suspect;

    LWLockAcquire(lock, LW_EXCLUSIVE);
    suspect = find_suspect(&report->driver_id);
    if (suspect == NULL)
        shared->missed++;
    else {
        if (agrees(suspect, report, result->from_at))
            suspect->in_row++;
        else {
            suspect->in_row = 1;
            suspect->since = report->received_at;
        }
        suspect->last = *report;
        suspect->base_at = result->from_at;
        make_flag(suspect, report, result);
        believed =
            suspect->in_row >= BELIEVED_REPORTS && report->received_at >= suspect->since + BELIEVED_AFTER;
        if (believed) {
            suspect->in_row = 0;
            shared->believed++;
        }
    }
    LWLockRelease(lock);
    return believed;
}

/* ---- events ---- */

static HailStatement lock_driver = {
    "SELECT 1 FROM hail.drivers WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED", 1, {UUIDOID}};

static HailStatement find_driver = {"SELECT 1 FROM hail.drivers WHERE id = $1", 1, {UUIDOID}};

static HailStatement find_event = {
    "SELECT 1 FROM hail.events WHERE aggregate_id = $1 AND aggregate_type = 'driver'"
    " AND type = 'DriverPositionFlagged' AND occurred_at > $2 AND occurred_at <= $3",
    3,
    {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

static HailStatement write_flag = {
    "WITH counted AS (UPDATE hail.drivers SET event_version = event_version + 1 WHERE id = $1"
    " RETURNING event_version, trip_id)"
    " SELECT hail.write_event('driver', $1, event_version, 'DriverPositionFlagged', jsonb_strip_nulls("
    "jsonb_build_object('distance_m', round($2::numeric), 'seconds', round($3::numeric, 3),"
    " 'speed_kmh', round(($2 * 3.6 / nullif($3, 0))::numeric), 'recorded_at', $4, 'reports', $5,"
    " 'trip_id', trip_id))) FROM counted",
    5,
    {UUIDOID, FLOAT8OID, FLOAT8OID, TIMESTAMPTZOID, INT4OID}};

/* As owner. False: the row is locked by somebody else, so nothing could be decided. */
static bool write_event_of(const Flag *flag)
{
    Datum id = UUIDPGetDatum(&flag->driver_id);
    TimestampTz now = hail_now();
    Datum minute[3] = {id, TimestampTzGetDatum(now - FLAG_EVERY), TimestampTzGetDatum(now)};
    Datum args[5] = {id, Float8GetDatum(flag->jump_m),
                     Float8GetDatum((double)(flag->recorded_at - flag->from_at) / USECS_PER_SEC),
                     TimestampTzGetDatum(flag->recorded_at), Int32GetDatum(flag->reports)};

    if (hail_execute(&lock_driver, &id, NULL, false, 1) == 0)
        return hail_execute(&find_driver, &id, NULL, false, 1) == 0; /* gone: nobody to tell of */
    if (hail_execute(&find_event, minute, NULL, false, 1) == 0)
        hail_execute(&write_flag, args, NULL, false, 0);
    return true;
}

void flags_write_now(const LiveReport *report, const LiveReportResult *result)
{
    Flag flag = {report->driver_id, result->jump_m, result->from_at, report->recorded_at, 1};
    HailOwner saved = hail_owner_begin();

    (void)write_event_of(&flag); /* a row that is locked: the next one will tell */
    hail_owner_end(saved);
}

bool live_flags_wait(void)
{
    return shared != NULL && *(volatile int32 *)&shared->waiting > 0;
}

typedef struct WaitingFlag {
    Flag flag;
    int32 suspect;
    TimestampTz flagged_at;
} WaitingFlag;

static int flag_order(const void *a, const void *b)
{
    return live_uuid_cmp(&((const WaitingFlag *)a)->flag.driver_id,
                         &((const WaitingFlag *)b)->flag.driver_id);
}

int live_write_flagged(void)
{
    WaitingFlag *flags;
    int count = 0, done = 0;
    HailOwner saved;

    if (live_mode() != LIVE_IN_MEMORY || shared == NULL || written.count > 0)
        return 0;
    flags = palloc(sizeof(WaitingFlag) * WRITE_BATCH);
    LWLockAcquire(lock, LW_SHARED);
    for (int32 i = 0; i < SUSPECTS && count < WRITE_BATCH; i++)
        if (shared->suspects[i].waiting)
            flags[count++] = (WaitingFlag){shared->suspects[i].flag, i, shared->suspects[i].flagged_at};
    LWLockRelease(lock);
    qsort(flags, count, sizeof(WaitingFlag), flag_order); /* rows are locked in id order */
    saved = hail_owner_begin();
    written.in = GetCurrentSubTransactionId();
    for (int i = 0; i < count; i++)
        if (write_event_of(&flags[i].flag)) {
            written.done[done].suspect = flags[i].suspect;
            written.done[done].flagged_at = flags[i].flagged_at;
            written.count = ++done;
        }
    hail_owner_end(saved);
    pfree(flags);
    return done;
}

/* The events are there: their flags wait no more. Can't fail. */
static void forget_written(void)
{
    TimestampTz now = hail_now();

    LWLockAcquire(lock, LW_EXCLUSIVE);
    for (int i = 0; i < written.count; i++) {
        Suspect *suspect = &shared->suspects[written.done[i].suspect];

        if (suspect->waiting && suspect->flagged_at == written.done[i].flagged_at) {
            suspect->waiting = false;
            suspect->flagged_at = now; /* not before the event's time: else the next one could be too early */
            shared->waiting--;
            shared->written++;
        }
    }
    LWLockRelease(lock);
    written.count = 0;
}

static void at_transaction_end(XactEvent event, void *arg)
{
    if (written.count == 0)
        return;
    if (event == XACT_EVENT_COMMIT)
        forget_written();
    else if (event == XACT_EVENT_ABORT)
        written.count = 0;
}

static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    if (written.count == 0 || written.in != id)
        return;
    if (event == SUBXACT_EVENT_ABORT_SUB)
        written.count = 0;
    else if (event == SUBXACT_EVENT_COMMIT_SUB)
        written.in = parent;
}

void flags_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&flags_shmem);
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
}

PG_FUNCTION_INFO_V1(hail_flag_stats);

/* hail.flag_stats(): the figures of this file; one row, none where the library is not preloaded. */
Datum hail_flag_stats(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *rows;
    Datum values[4];
    bool nulls[4] = {false, false, false, false};

    hail_require_admin();
    InitMaterializedSRF(fcinfo, 0);
    rows = (ReturnSetInfo *)fcinfo->resultinfo;
    if (shared == NULL)
        return (Datum)0;
    LWLockAcquire(lock, LW_SHARED);
    values[0] = Int64GetDatum(shared->waiting);
    values[1] = Int64GetDatum(shared->written);
    values[2] = Int64GetDatum(shared->missed);
    values[3] = Int64GetDatum(shared->believed);
    LWLockRelease(lock);
    tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
    return (Datum)0;
}
