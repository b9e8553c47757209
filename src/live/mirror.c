/*
 * From rows of hail.drivers to the index, at commit.
 *
 * Shared memory never rolls back, so a transaction's changes wait in a queue of its backend: row triggers
 * append to it, each entry with the subtransaction that made it and a reservation on the driver's slot; the
 * commit callback applies it, where nothing can fail any more; aborts cut it off. Subtransaction ids ascend
 * and end in nested order, so that what an ending subtransaction has queued is always the queue's tail.
 *
 * Commit callbacks of two transactions can run in another order than they committed in: an entry is applied
 * only if its row version is newer than the slot's. They run before the transaction's locks are released.
 *
 * A driver that is offline and free needs no slot; its change is queued only if it has one, or if it was
 * online or busy until this change: a rebuild may be about to read that.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "identity/session.h"
#include "live/live.h"
#include "live/live_mode.h"
#include "live/mirror.h"

typedef enum ChangeKind { CHANGE_ROW, CHANGE_OFFERS, CHANGE_RESET, CHANGE_WRITTEN } ChangeKind;

typedef struct Change {
    ChangeKind kind;
    SubTransactionId in;
    int32 slot;   /* reserved, or LIVE_NO_SLOT */
    int delta;    /* offers; reset: ready afterwards; written: the word of its marks */
    uint32 marks; /* written */
    LiveRow row;  /* offers: driver_id alone */
} Change;

static Change *queue = NULL; /* in TopMemoryContext */
static int queued = 0, queue_room = 0;

/* Entries that the queue keeps room for between transactions. */
#define KEPT_ROOM 16384

/* ---- the queue ---- */

static Change *next_change(ChangeKind kind)
{
    if (queued == queue_room) {
        int room = queue_room > 0 ? 2 * queue_room : 64;

        queue = queue ? repalloc_huge(queue, sizeof(Change) * room)
                      : MemoryContextAllocHuge(TopMemoryContext, sizeof(Change) * room);
        queue_room = room;
    }
    memset(&queue[queued], 0, sizeof(Change));
    queue[queued].kind = kind;
    queue[queued].in = GetCurrentSubTransactionId();
    queue[queued].slot = LIVE_NO_SLOT;
    return &queue[queued]; /* the caller counts it in */
}

void mirror_out_of_slots(void)
{
    ereport(ERROR, hail_error(HAIL_OUT_OF_SLOTS), errmsg("the live index has no room for another driver"),
            errhint("Raise hail.max_live_drivers (now %d) and restart the server.", live_index_slots()));
}

static bool needs_slot(const LiveRow *row)
{
    return row->online || !live_uuid_is_zero(&row->trip_id);
}

void mirror_queue_row(const LiveRow *row, const LiveRow *before)
{
    Change *change = next_change(CHANGE_ROW);
    bool needed = needs_slot(row) || (before != NULL && needs_slot(before));

    change->slot = live_index_reserve(&row->driver_id, needed);
    if (change->slot == LIVE_NO_SLOT) {
        if (needed)
            mirror_out_of_slots();
        return;
    }
    change->row = *row;
    queued++;
}

const LiveRow *mirror_queued_row(const pg_uuid_t *driver_id)
{
    for (int i = queued - 1; i >= 0; i--)
        if (queue[i].kind == CHANGE_ROW && live_uuid_cmp(&queue[i].row.driver_id, driver_id) == 0)
            return &queue[i].row;
    return NULL;
}

bool mirror_has_rows(void)
{
    for (int i = 0; i < queued; i++)
        if (queue[i].kind == CHANGE_ROW)
            return true;
    return false;
}

void mirror_queue_reset(bool ready)
{
    next_change(CHANGE_RESET)->delta = ready;
    queued++;
}

uint32 mirror_take_dirty(int32 word)
{
    Change *change = next_change(CHANGE_WRITTEN);

    change->delta = word;
    change->marks = live_index_take_dirty(word);
    queued += change->marks != 0;
    return change->marks;
}

void live_queue_offers(const pg_uuid_t *driver_id, int delta)
{
    Change *change;

    if (live_mode() != LIVE_IN_MEMORY)
        return;
    change = next_change(CHANGE_OFFERS);
    change->row.driver_id = *driver_id;
    change->delta = delta;
    queued++;
}

/* ---- the end of a transaction: nothing here may fail ---- */

static void apply_change(const Change *change, TimestampTz now)
{
    switch (change->kind) {
    case CHANGE_ROW:
        live_index_apply(change->slot, &change->row, now);
        break;
    case CHANGE_OFFERS:
        live_index_add_offers(&change->row.driver_id, change->delta);
        break;
    case CHANGE_RESET:
        live_index_clear();
        live_index_set_ready(change->delta != 0);
        break;
    case CHANGE_WRITTEN:
        break;
    }
}

static void drop_change(const Change *change)
{
    if (change->slot != LIVE_NO_SLOT)
        live_index_unreserve(change->slot);
}

static void undo_change(const Change *change)
{
    if (change->kind == CHANGE_WRITTEN)
        live_index_mark_dirty(change->delta, change->marks);
    drop_change(change);
}

/* Drop entries from number `first` on, newest first. */
static void cut_queue(int first)
{
    while (queued > first)
        undo_change(&queue[--queued]);
}

/* What a bulk load made of the queue is given back. */
static void shrink_queue(void)
{
    if (queue_room > KEPT_ROOM) {
        pfree(queue);
        queue = NULL;
        queue_room = 0;
    }
}

static void commit_queue(void)
{
    TimestampTz now = hail_now();

    for (int i = 0; i < queued; i++) {
        apply_change(&queue[i], now);
        drop_change(&queue[i]);
    }
    queued = 0;
    shrink_queue();
}

static void at_transaction_end(XactEvent event, void *arg)
{
    if (queued == 0)
        return;
    switch (event) {
    case XACT_EVENT_COMMIT:
        commit_queue();
        break;
    case XACT_EVENT_ABORT:
        cut_queue(0);
        shrink_queue();
        break;
    case XACT_EVENT_PRE_PREPARE:
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("cannot prepare a transaction that has changed drivers or offers"),
                errdetail("The live index follows such changes at commit, in the backend that made them."));
        break;
    default:
        break;
    }
}

static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    int first = queued;

    if (queued == 0 || (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB))
        return;
    while (first > 0 && queue[first - 1].in >= id)
        first--;
    if (event == SUBXACT_EVENT_ABORT_SUB)
        cut_queue(first);
    else
        for (int i = first; i < queued; i++)
            queue[i].in = parent;
}

void mirror_init(void)
{
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
}

/* ---- triggers on hail.drivers ---- */

static TriggerData *require_trigger(FunctionCallInfo fcinfo)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        elog(ERROR, "must be called as a trigger");
    return (TriggerData *)fcinfo->context;
}

PG_FUNCTION_INFO_V1(hail_live_count_version);
PG_FUNCTION_INFO_V1(hail_live_mirror);
PG_FUNCTION_INFO_V1(hail_live_refuse_truncate);
PG_FUNCTION_INFO_V1(hail_live_reset);
PG_FUNCTION_INFO_V1(hail_live_begin);

/* BEFORE UPDATE: version counts every change of the row, whatever the statement says. */
Datum hail_live_count_version(PG_FUNCTION_ARGS)
{
    TriggerData *trigger = require_trigger(fcinfo);
    TupleDesc desc = trigger->tg_relation->rd_att;
    int number = SPI_fnumber(desc, "version");
    bool isnull = false;
    Datum version =
        Int64GetDatum(DatumGetInt64(heap_getattr(trigger->tg_trigtuple, number, desc, &isnull)) + 1);

    return PointerGetDatum(
        heap_modify_tuple_by_cols(trigger->tg_newtuple, desc, 1, &number, &version, &isnull));
}

/* AFTER INSERT, UPDATE, DELETE: queue what the index mirrors. */
Datum hail_live_mirror(PG_FUNCTION_ARGS)
{
    TriggerData *trigger = require_trigger(fcinfo);
    TupleDesc desc = trigger->tg_relation->rd_att;
    LiveRow before, row;

    if (live_mode() != LIVE_IN_MEMORY)
        return PointerGetDatum(NULL);
    live_row_from_table(trigger->tg_trigtuple, desc, &before);
    if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event)) {
        live_row_from_table(trigger->tg_newtuple, desc, &row);
    } else {
        row = before;
        if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event)) {
            row.version++;
            row.approved = row.online = false;
            row.deleted = true;
            memset(&row.trip_id, 0, sizeof(row.trip_id));
        }
    }
    mirror_queue_row(&row, &before);
    return PointerGetDatum(NULL);
}

Datum hail_live_refuse_truncate(PG_FUNCTION_ARGS)
{
    require_trigger(fcinfo);
    ereport(ERROR, hail_error(HAIL_WRONG_STATE), errmsg("hail.drivers cannot be truncated"),
            errhint("Delete the rows: the live index follows each."));
    return PointerGetDatum(NULL);
}

/* hail.live_reset(): empty the index when this transaction commits; the keeper rebuilds it. */
Datum hail_live_reset(PG_FUNCTION_ARGS)
{
    hail_require_admin();
    if (live_mode() == LIVE_IN_MEMORY)
        mirror_queue_reset(false);
    PG_RETURN_VOID();
}

/* hail.live_begin(): the same, and the empty index is complete: there are no drivers yet. */
Datum hail_live_begin(PG_FUNCTION_ARGS)
{
    hail_require_admin();
    if (live_mode() == LIVE_IN_MEMORY)
        mirror_queue_reset(true);
    PG_RETURN_VOID();
}
