/*
 * The effects of the ETA model, rows and mirror; see eta_store.h.
 *
 * The rows are the truth. The mirror in shared memory is an EtaTable under one lock: readers share it for
 * about a microsecond, and it is written when a transaction that has learnt has committed, a few hundred
 * effects at a time, so that nobody waits longer.
 *
 * Who learns takes turns, until the end of its transaction. It changes a table of its own, a copy of the
 * mirror with every effect in the same slot; the backend keeps it, and as long as nobody else has learnt in
 * between (`generation`) it need not be copied again. At commit the slots that have changed are copied to the
 * mirror: memory of fixed size, nothing that can fail. The turn ends after that.
 *
 * After a start the mirror is empty and not complete; the keeper reads it from the rows, in a turn, and
 * publishes the whole of it. Rows that anybody else has written (a restore, a region that was deleted) make
 * it incomplete again, by a trigger, at their commit: `resets` counts that, so that what was read before does
 * not pass as complete. Until then it is empty, and configured figures answer. Where a part of a transaction
 * that has learnt is rolled back, so it is, too.
 *
 * Rows that find no place when they are read (two buckets may be full before the table is; or
 * hail.max_eta_effects was lowered) stay where they are: what is learnt under their keys begins anew and
 * takes their place. There are ever fewer of them: the more rows, the fuller the table that was read, and a
 * full one gets no new rows without giving up others.
 *
 * Without shared memory to serve here each backend reads the rows into a table of its own, when it first
 * asks, and again when they have changed, though not more often than once a minute.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/guc.h"
#include "base/owner.h"
#include "base/shmem.h"
#include "base/statement.h"
#include "pricing/eta_store.h"
#include "pricing/eta.h"

#define TURN_CLASS 78 /* of advisory locks */
#define TURN_LEARN 1
/* Effects published under one hold of the lock: some 20 us. */
#define PUBLISH_AT_ONCE 256
/* Rows read at once. */
#define BATCH 10000
/* A backend's own table is not read more often. */
#define LOCAL_AGE (60 * USECS_PER_SEC)

typedef struct EtaShared {
    LWLock *lock;
    /* the lock guards all that follows */
    bool complete;     /* holds what the rows hold */
    uint64 resets;     /* how often it was said not to */
    uint64 generation; /* another one after every change */
    char pad[PG_CACHE_LINE_SIZE];
} EtaShared;

static EtaShared *shared = NULL;
static EtaTable *mirror = NULL; /* in shared memory */

static Size table_offset(void)
{
    return TYPEALIGN(PG_CACHE_LINE_SIZE, sizeof(EtaShared));
}

static Size shared_size(void)
{
    return add_size(table_offset(), eta_table_bytes(hail_max_eta_effects) + PG_CACHE_LINE_SIZE);
}

static int shared_locks(void)
{
    return 1;
}

static void shared_startup(void *memory, LWLockPadded *locks, bool found)
{
    shared = memory;
    mirror = (EtaTable *)TYPEALIGN(PG_CACHE_LINE_SIZE, (char *)memory + table_offset());
    if (!found) {
        memset(shared, 0, sizeof(*shared));
        shared->lock = &locks[0].lock;
        eta_table_init(mirror, hail_max_eta_effects, hail_eta_half_life_days);
    }
}

/* Until the rows have been read again configured figures answer. */
static void reset_mirror(void)
{
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->complete = false;
    shared->resets++;
    shared->generation++;
    eta_table_clear(mirror);
    LWLockRelease(shared->lock);
}

static const HailShmemModule module = {"hail_eta", shared_size, shared_locks, shared_startup, reset_mirror};

static bool shared_serves(void)
{
    return shared != NULL && hail_memory_serves();
}

/* ---- tables of this backend ---- */

static EtaTable *new_table(uint32 slots)
{
    char *block = MemoryContextAllocHuge(TopMemoryContext,
                                         eta_table_bytes(slots) + PG_CACHE_LINE_SIZE + sizeof(void *));
    char *aligned = (char *)TYPEALIGN(PG_CACHE_LINE_SIZE, block + sizeof(void *));

    ((void **)aligned)[-1] = block;
    return eta_table_init(aligned, slots, hail_eta_half_life_days);
}

static void free_table(EtaTable *table)
{
    if (table != NULL)
        pfree(((void **)table)[-1]);
}

static HailStatement count_rows = {"SELECT count(*) FROM hail.eta_effects", 0, {0}};

static HailStatement read_rows = {
    "SELECT e.key, e.mean, e.weight, e.spread, e.learnt_on - '2000-01-01'::date FROM hail.eta_effects e"
    " ORDER BY e.key",
    0,
    {0}};

static Datum cell(HeapTuple row, int col)
{
    bool isnull;
    Datum value = SPI_getbinval(row, SPI_tuptable->tupdesc, col, &isnull);

    if (isnull)
        elog(ERROR, "column %d of a learnt effect is null", col);
    return value;
}

static void put_row(EtaTable *table, HeapTuple row)
{
    int32_t day = DatumGetInt32(cell(row, 5));
    EtaEffect *effect = eta_table_put(table, (uint64_t)DatumGetInt64(cell(row, 1)), day, NULL);

    effect->mean = DatumGetFloat4(cell(row, 2));
    effect->weight = DatumGetFloat4(cell(row, 3));
    effect->spread = DatumGetFloat4(cell(row, 4));
}

/* Fill an empty table from the rows. */
static void read_into(EtaTable *table)
{
    MemoryContext caller = CurrentMemoryContext; /* fetching leaves another */
    Portal portal = hail_open(&read_rows, NULL, NULL, false);

    for (;;) {
        CHECK_FOR_INTERRUPTS();
        SPI_cursor_fetch(portal, true, BATCH);
        MemoryContextSwitchTo(caller);
        if (SPI_processed == 0)
            break;
        for (uint64 i = 0; i < SPI_processed; i++)
            put_row(table, SPI_tuptable->vals[i]);
        SPI_freetuptable(SPI_tuptable);
    }
    SPI_cursor_close(portal);
}

/* ---- asking, from a table of this backend ---- */

static EtaTable *local = NULL;
static bool local_stale = true, local_registered = false;
static TimestampTz local_read_at = 0;
static Oid effects_oid = InvalidOid;

static void rows_changed(Datum arg, Oid relation)
{
    if (relation == InvalidOid || relation == effects_oid)
        local_stale = true;
}

static void read_local(void)
{
    HailOwner saved;
    EtaTable *table;
    int64 rows;
    bool isnull;

    if (!local_registered) {
        CacheRegisterRelcacheCallback(rows_changed, (Datum)0);
        local_registered = true;
    }
    effects_oid = get_relname_relid("eta_effects", get_namespace_oid("hail", false));
    local_stale = IsolationUsesXactSnapshot(); /* set again by a change that comes in while we read */
    saved = hail_owner_begin();
    hail_execute(&count_rows, NULL, NULL, false, 0);
    rows = DatumGetInt64(hail_result(0, 1, &isnull));
    table = new_table((uint32)Min(2 * rows + 1024, PG_INT32_MAX));
    PG_TRY();
    {
        read_into(table);
    }
    PG_CATCH();
    {
        free_table(table);
        local_stale = true;
        PG_RE_THROW();
    }
    PG_END_TRY();
    hail_owner_end(saved);
    free_table(local);
    local = table;
    local_read_at = GetCurrentTimestamp();
}

static const EtaTable *local_table(void)
{
    AcceptInvalidationMessages();
    if (local == NULL || (local_stale && GetCurrentTimestamp() - local_read_at >= LOCAL_AGE))
        read_local();
    return local;
}

static bool predict(const EtaTable *table, const EtaTrip *trip, const EtaRegion *base, EtaPrediction *out,
                    EtaEffect *pickup)
{
    if (pickup != NULL) {
        const EtaEffect *effect = eta_table_find(table, eta_pickup_key(trip->region));

        *pickup = (EtaEffect){0};
        if (effect != NULL) {
            *pickup = *effect;
            pickup->weight = (float)eta_table_weight(table, effect, trip->day);
        }
    }
    return eta_model_predict(table, trip, base, out);
}

bool eta_store_predict(const EtaTrip *trip, const EtaRegion *base, EtaPrediction *out, EtaEffect *pickup)
{
    bool known;

    if (!shared_serves())
        return predict(local_table(), trip, base, out, pickup);
    LWLockAcquire(shared->lock, LW_SHARED);
    known = predict(mirror, trip, base, out, pickup);
    LWLockRelease(shared->lock);
    return known;
}

EtaStoreFacts eta_store_facts(void)
{
    EtaStoreFacts facts = {.state = ETA_STORE_LOCAL};
    const EtaTable *table = shared_serves() ? mirror : local_table();

    if (table == mirror) {
        LWLockAcquire(shared->lock, LW_SHARED);
        facts.state = shared->complete ? ETA_STORE_SHARED : ETA_STORE_LOADING;
    }
    facts.slots = eta_table_slots(table);
    facts.used = eta_table_used(table);
    facts.half_life_days = eta_table_half_life(table);
    facts.evictions = (int64)eta_table_evictions(table);
    if (table == mirror)
        LWLockRelease(shared->lock);
    return facts;
}

/* ---- learning ---- */

bool eta_store_writing = false;

static EtaTable *work = NULL;      /* what this backend learns on */
static uint64 work_generation = 0; /* of the mirror that it equals; 0: none */

/* What the transaction will publish when it commits. */
typedef struct Stage {
    bool any;       /* a turn was taken */
    bool whole;     /* all of `work`, which was read from the rows ... */
    uint64 seen;    /* ... after so many resets */
    bool reset;     /* the mirror is not complete any more */
    uint64_t *keys; /* changed; in TopMemoryContext, kept */
    int count, room;
    SubTransactionId first, last; /* the subtransactions of the first and the last change; 0: none */
} Stage;

static Stage stage;

static void note_change(void)
{
    if (stage.first == InvalidSubTransactionId)
        stage.first = GetCurrentSubTransactionId();
    stage.last = GetCurrentSubTransactionId();
}

static bool take_turn(bool wait)
{
    LOCKTAG tag;

    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, TURN_CLASS, TURN_LEARN, 2);
    return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

/* From the mirror, unless it is not complete. */
static bool copy_mirror(void)
{
    bool complete;

    if (!shared_serves())
        return false;
    LWLockAcquire(shared->lock, LW_SHARED);
    complete = shared->complete;
    if (complete && (work_generation != shared->generation || work_generation == 0)) {
        memcpy(work, mirror, eta_table_bytes(eta_table_slots(mirror)));
        work_generation = shared->generation;
    }
    stage.seen = shared->resets;
    LWLockRelease(shared->lock);
    return complete;
}

/* In a turn, and after the resets were looked at: who reset the mirror had committed before the snapshot
 * that is taken now. */
static void read_work(void)
{
    work_generation = 0;
    eta_table_init(work, hail_max_eta_effects, hail_eta_half_life_days);
    read_into(work);
    stage.whole = true;
}

EtaTable *eta_store_begin(bool wait)
{
    bool again = stage.any;

    if (IsolationUsesXactSnapshot())
        ereport(ERROR, hail_error(HAIL_WRONG_STATE),
                errmsg("learning must see what others have just committed"),
                errhint("Call it in a transaction with isolation level READ COMMITTED."));
    if (!take_turn(wait))
        return NULL;
    note_change();
    if (work == NULL)
        work = new_table(hail_max_eta_effects);
    if (!again) {
        stage.any = true;
        if (stage.reset || !copy_mirror())
            read_work();
    }
    return work;
}

void eta_store_changed(uint64_t key)
{
    if (stage.whole || !shared_serves())
        return;
    if (stage.count == stage.room) {
        int room = stage.room > 0 ? 2 * stage.room : 1024;

        stage.keys = stage.keys ? repalloc_huge(stage.keys, sizeof(uint64_t) * room)
                                : MemoryContextAllocHuge(TopMemoryContext, sizeof(uint64_t) * room);
        stage.room = room;
    }
    stage.keys[stage.count++] = key;
}

void eta_store_forgot(int16 region_id)
{
    eta_table_forget_region(work, (uint16_t)region_id);
    stage.whole = true;
}

bool eta_store_stale(void)
{
    bool stale;

    if (!shared_serves())
        return false;
    LWLockAcquire(shared->lock, LW_SHARED);
    stale = !shared->complete;
    LWLockRelease(shared->lock);
    return stale;
}

int64 eta_store_load(void)
{
    const EtaTable *table;

    if (!eta_store_stale())
        return 0;
    table = eta_store_begin(false);
    return table == NULL ? 0 : eta_table_used(table);
}

/* ---- the end of a transaction: nothing here may fail ---- */

static void publish_whole(void)
{
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    memcpy(mirror, work, eta_table_bytes(eta_table_slots(mirror)));
    shared->complete = !stage.reset && shared->resets == stage.seen;
    work_generation = ++shared->generation;
    LWLockRelease(shared->lock);
}

static void publish_keys(void)
{
    for (int i = 0; i < stage.count;) {
        LWLockAcquire(shared->lock, LW_EXCLUSIVE);
        for (int n = 0; n < PUBLISH_AT_ONCE && i < stage.count; n++, i++)
            eta_table_follow(mirror, work, stage.keys[i]);
        work_generation = ++shared->generation;
        LWLockRelease(shared->lock);
    }
}

/* What a bulk load made of the list is given back. */
static void end_stage(void)
{
    if (stage.room > 65536) {
        pfree(stage.keys);
        stage.keys = NULL;
        stage.room = 0;
    }
    stage.any = stage.whole = stage.reset = false;
    stage.first = stage.last = InvalidSubTransactionId;
    stage.count = 0;
}

static void commit_stage(void)
{
    if (stage.any)
        local_read_at = 0; /* one's own changes are seen at once */
    if (shared_serves()) {
        if (stage.reset)
            reset_mirror();
        else if (stage.whole)
            publish_whole();
        else
            publish_keys();
    }
    if (stage.reset || !shared_serves())
        work_generation = 0;
    end_stage();
}

static void at_transaction_end(XactEvent event, void *arg)
{
    if (event == XACT_EVENT_ABORT)
        eta_store_writing = false;
    if (!stage.any && !stage.reset)
        return;
    switch (event) {
    case XACT_EVENT_COMMIT:
        commit_stage();
        break;
    case XACT_EVENT_ABORT:
        work_generation = 0;
        local_read_at = 0; /* it may have been read before */
        end_stage();
        break;
    case XACT_EVENT_PRE_PREPARE:
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("cannot prepare a transaction that has changed what ETAs have learnt"),
                errdetail("Shared memory follows such changes at commit, in the backend that made them."));
        break;
    default:
        break;
    }
}

/* A part that is undone: what of the rest was learnt, only the rows know, unless all was done in that part.
 */
static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    if (event == SUBXACT_EVENT_ABORT_SUB)
        eta_store_writing = false;
    if (stage.first == InvalidSubTransactionId || stage.last < id)
        return;
    if (event == SUBXACT_EVENT_ABORT_SUB) {
        SubTransactionId first = stage.first;

        work_generation = 0;
        local_read_at = 0; /* it may have been read before */
        end_stage();
        if (first < id) {
            stage.reset = true;
            stage.first = stage.last = first;
        }
    } else if (event == SUBXACT_EVENT_COMMIT_SUB) {
        stage.last = parent;
        stage.first = Min(stage.first, parent);
    }
}

void eta_store_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&module);
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
}

PG_FUNCTION_INFO_V1(hail_eta_effects_changed);

/* Trigger on hail.eta_effects: backends that keep a copy of their own read it anew, and so does the mirror
 * where somebody else than a learner has written. */
Datum hail_eta_effects_changed(PG_FUNCTION_ARGS)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        elog(ERROR, "hail_eta_effects_changed is a trigger");
    CacheInvalidateRelcache(((TriggerData *)fcinfo->context)->tg_relation);
    if (!eta_store_writing) {
        note_change();
        stage.reset = true;
    }
    return PointerGetDatum(NULL);
}
