/* The cells in shared memory; see surge_mirror.h. */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lock.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "pricing/surge_mirror.h"

/* Readers that met so many exchanges in a row ask the row. */
#define TRIES 100

/* User's advisory locks are of classes 1 and 2. */
#define LOCK_CLASS 77
#define LOCK_SURGE 0x73757267 /* surg */

typedef struct Shared {
    pg_atomic_uint64 state;  /* exchanges so far * 2, + 1: not stale */
    SurgeMirrorInfo info[2]; /* of each copy; as the copies themselves */
} Shared;

typedef struct Copy {
    SurgeCell *cells;
    uint32 *index; /* of surge_cell_hash(); 0: empty, else a cell's number + 1 */
} Copy;

static Shared *shared = NULL;
static Copy copies[2];
static uint32 slots; /* of an index; a power of two */

/* What this transaction does to the mirror when it commits. */
static struct {
    enum { NOTHING, EXCHANGE, RESET } what;
    SubTransactionId first, last; /* the subtransactions of the first and the last change */
} pending;

/* ---- memory ---- */

static Size cells_size(void)
{
    return MAXALIGN(mul_size(hail_max_surge_cells, sizeof(SurgeCell)));
}

static uint32 slot_count(void)
{
    uint32 n = 64;

    while (n < (uint32)hail_max_surge_cells * 3 / 2)
        n *= 2;
    return n;
}

Size surge_mirror_bytes(void)
{
    Size copy = add_size(cells_size(), mul_size(slot_count(), sizeof(uint32)));

    return add_size(MAXALIGN(sizeof(Shared)), mul_size(copy, 2));
}

static void mirror_startup(void *memory, LWLockPadded *locks, bool found)
{
    char *at = (char *)memory + MAXALIGN(sizeof(Shared));

    shared = memory;
    slots = slot_count();
    for (int i = 0; i < 2; i++) {
        copies[i].cells = (SurgeCell *)at;
        at += cells_size();
        copies[i].index = (uint32 *)at;
        at += slots * sizeof(uint32);
    }
    if (!found) {
        memset(shared->info, 0, sizeof(shared->info));
        pg_atomic_init_u64(&shared->state, 0);
    }
}

/* The cells were those of another database. */
static void mirror_forget(void)
{
    pg_atomic_fetch_and_u64(&shared->state, ~UINT64CONST(1));
}

static const HailShmemModule module = {"hail_surge", surge_mirror_bytes, NULL, mirror_startup, mirror_forget};

int surge_mirror_room(void)
{
    return shared == NULL ? 0 : hail_max_surge_cells;
}

bool surge_mirror_serves(void)
{
    return shared != NULL && hail_memory_serves();
}

/* ---- readers ---- */

/* The cell in a copy that may be changing under us: what comes out is wrong then, but never out of bounds. */
static const SurgeCell *find_in(const Copy *copy, int16 region_id, int64 cell)
{
    uint32 slot = surge_cell_hash(region_id, cell) & (slots - 1);

    for (uint32 probes = 0; probes < slots; probes++) {
        uint32 number = *(volatile uint32 *)&copy->index[slot];

        if (number == 0 || number > (uint32)hail_max_surge_cells)
            return NULL;
        if (copy->cells[number - 1].cell == cell && copy->cells[number - 1].region_id == region_id)
            return &copy->cells[number - 1];
        slot = (slot + 1) & (slots - 1);
    }
    return NULL;
}

typedef struct Found {
    SurgeCell cell;
    SurgeMirrorInfo info;
    bool there;
} Found;

/* In one copy. Numbers of a grid of another size mean other places. */
static void look_in(int which, int16 region_id, double size_m, int64 cell, Found *out)
{
    const SurgeCell *known = find_in(&copies[which], region_id, cell);

    out->info = shared->info[which];
    out->there = known != NULL && known->size_m == (float)size_m;
    if (out->there)
        out->cell = *known;
}

/* The copy that nobody else reads; the holder of the writers' lock alone may write it. */
static int spare(void)
{
    return (int)((pg_atomic_read_u64(&shared->state) >> 1) + 1) & 1;
}

/* Look for a cell, as committed or as this transaction is about to. False: the rows know. */
static bool look(int16 region_id, double size_m, int64 cell, Found *out)
{
    if (pending.what == RESET)
        return false;
    if (pending.what == EXCHANGE) {
        look_in(spare(), region_id, size_m, cell, out);
        return true;
    }
    for (int tries = 0; tries < TRIES; tries++) {
        uint64 state = pg_atomic_read_u64(&shared->state);
        int which = (int)(state >> 1) & 1;

        if ((state & 1) == 0)
            return false;
        pg_read_barrier();
        look_in(which, region_id, size_m, cell, out);
        pg_read_barrier();
        if (pg_atomic_read_u64(&shared->state) == state)
            return true;
    }
    return false;
}

bool surge_mirror_multiplier(int16 region_id, double size_m, int64 cell, int *multiplier)
{
    Found found;

    if (!surge_mirror_serves() || !look(region_id, size_m, cell, &found) ||
        (!found.there && found.info.left_out_surging > 0))
        return false;
    *multiplier = found.there ? found.cell.multiplier : SURGE_NONE;
    return true;
}

bool surge_mirror_cell(int16 region_id, double size_m, int64 cell, SurgeCell *out, bool *found,
                       SurgeMirrorInfo *info)
{
    Found looked;

    if (!surge_mirror_serves() || !look(region_id, size_m, cell, &looked))
        return false;
    *found = looked.there;
    if (looked.there)
        *out = looked.cell;
    *info = looked.info;
    return true;
}

bool surge_mirror_info(SurgeMirrorInfo *info)
{
    Found looked;

    if (!surge_mirror_serves() || !look(0, 0, 0, &looked))
        return false;
    *info = looked.info;
    return true;
}

bool surge_mirror_stale(void)
{
    return surge_mirror_serves() && (pg_atomic_read_u64(&shared->state) & 1) == 0;
}

/* ---- writers ---- */

bool surge_lock_writers(bool wait)
{
    LOCKTAG tag;

    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, LOCK_SURGE, 0, LOCK_CLASS);
    return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

bool surge_mirror_cells(const SurgeCell **cells, SurgeMirrorInfo *info)
{
    int which;

    if (!surge_mirror_serves() || pending.what == RESET || (pending.what == NOTHING && surge_mirror_stale()))
        return false;
    which = pending.what == EXCHANGE ? spare() : 1 - spare();
    *cells = copies[which].cells;
    *info = shared->info[which];
    return true;
}

static void note_change(int what)
{
    if (pending.what == NOTHING)
        pending.first = GetCurrentSubTransactionId();
    pending.last = GetCurrentSubTransactionId();
    pending.what = what;
}

/* Append to a copy; false: no room. */
static bool append(Copy *copy, SurgeMirrorInfo *info, const SurgeCell *cell)
{
    uint32 slot = surge_cell_hash(cell->region_id, cell->cell) & (slots - 1);

    if (info->cells == hail_max_surge_cells)
        return false;
    while (copy->index[slot] != 0)
        slot = (slot + 1) & (slots - 1);
    copy->cells[info->cells++] = *cell;
    copy->index[slot] = info->cells;
    return true;
}

void surge_mirror_stage(const SurgeCell *cells, int count, const SurgeMirrorInfo *info)
{
    SurgeMirrorInfo staged = {
        .averaged_at = info->averaged_at, .ticked_at = info->ticked_at, .tick_us = info->tick_us};
    Copy *copy;

    if (!surge_mirror_serves())
        return;
    note_change(RESET); /* until the copy is whole */
    copy = &copies[spare()];
    memset(copy->index, 0, slots * sizeof(uint32));
    for (int surging = 1; surging >= 0; surging--)
        for (int i = 0; i < count; i++) {
            if ((cells[i].multiplier > SURGE_NONE) != surging ||
                !(surge_cell_matters(&cells[i]) || cells[i].stored))
                continue;
            if (append(copy, &staged, &cells[i]))
                staged.surging += surging;
            else {
                staged.left_out++;
                staged.left_out_surging += surging;
            }
        }
    shared->info[spare()] = staged;
    note_change(EXCHANGE);
}

void surge_mirror_reset(void)
{
    if (surge_mirror_serves())
        note_change(RESET);
}

static bool writing = false;

void surge_tables_ours(bool ours)
{
    writing = ours;
}

PG_FUNCTION_INFO_V1(hail_surge_changed);

/* BEFORE any statement that changes surge_cells: wait for the others, and for the rows to be read again. */
Datum hail_surge_changed(PG_FUNCTION_ARGS)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        elog(ERROR, "must be called as a trigger");
    if (!writing) {
        surge_lock_writers(true);
        surge_mirror_reset();
    }
    return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(hail_surge_forget);

/* hail.surge_forget() */
Datum hail_surge_forget(PG_FUNCTION_ARGS)
{
    surge_lock_writers(true);
    surge_mirror_reset();
    PG_RETURN_VOID();
}

/* ---- the end of a transaction: nothing here may fail ---- */

static void publish(void)
{
    uint64 state = pg_atomic_read_u64(&shared->state);

    pg_write_barrier();
    if (pending.what == EXCHANGE)
        pg_atomic_write_u64(&shared->state, ((state | 1) + 2));
    else
        pg_atomic_write_u64(&shared->state, state & ~UINT64CONST(1));
    pending.what = NOTHING;
}

static void at_transaction_end(XactEvent event, void *arg)
{
    writing = false;
    if (pending.what == NOTHING)
        return;
    switch (event) {
    case XACT_EVENT_COMMIT:
        publish();
        break;
    case XACT_EVENT_ABORT:
        pending.what = NOTHING;
        break;
    case XACT_EVENT_PRE_PREPARE:
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("cannot prepare a transaction that has changed surge"),
                errdetail("Shared memory follows such changes at commit, in the backend that made them."));
        break;
    default:
        break;
    }
}

/* A part that is undone: what the spare copy holds is no longer true, unless all was done in it. */
static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    writing = writing && event != SUBXACT_EVENT_ABORT_SUB;
    if (pending.what == NOTHING || pending.last < id)
        return;
    if (event == SUBXACT_EVENT_ABORT_SUB) {
        pending.what = pending.first < id ? RESET : NOTHING;
        pending.last = pending.first;
    } else if (event == SUBXACT_EVENT_COMMIT_SUB) {
        pending.last = parent;
        pending.first = Min(pending.first, parent);
    }
}

void surge_mirror_init(void)
{
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&module);
}
