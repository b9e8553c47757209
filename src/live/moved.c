/*
 * Who has moved since somebody looked: a bit a slot, set by every report and every mirrored row, taken by
 * live_visit_moved(). What a transaction takes it keeps in mind, and puts back when it, or a subtransaction
 * of it, ends in rollback: a driver may be looked at twice, never not at all.
 */
#include "postgres.h"

#include "access/xact.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "live/live_mode.h"

/* Without the index nothing is marked: whoever was heard of within this time counts as moved. */
#define TABLES_WINDOW (60 * USECS_PER_SEC)

static uint32 *taken = NULL; /* in TopMemoryContext, a bit a slot: by this transaction */
static bool any_taken = false;

static int32 words(void)
{
    return (live_index_slots() + 31) / 32;
}

static void forget_taken(bool put_back)
{
    if (!any_taken)
        return;
    for (int32 word = 0; word < words(); word++) {
        if (put_back && taken[word] != 0)
            live_index_mark_moved(word, taken[word]);
        taken[word] = 0;
    }
    any_taken = false;
}

static void at_transaction_end(XactEvent event, void *arg)
{
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE || event == XACT_EVENT_ABORT)
        forget_taken(event != XACT_EVENT_COMMIT);
}

static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    if (event == SUBXACT_EVENT_ABORT_SUB)
        forget_taken(true);
}

static void begin_taking(void)
{
    if (taken != NULL)
        return;
    taken = MemoryContextAllocZero(TopMemoryContext, sizeof(uint32) * words());
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
}

static bool copy_out(const LiveEntry *entry, LiveMoved *driver)
{
    *driver = (LiveMoved){entry->row.driver_id,
                          entry->row.trip_id,
                          entry->lat,
                          entry->lng,
                          entry->accuracy,
                          entry->recorded_at,
                          entry->row.idle_since,
                          entry->row.region_id,
                          entry->row.online && entry->row.approved};
    return entry->recorded_at != 0;
}

static int visit_slots(bool all, void (*visit)(const LiveMoved *, void *), void *arg)
{
    int visited = 0;

    begin_taking();
    any_taken = true;
    for (int32 word = 0; word < words(); word++) {
        uint32 bits = live_index_take_moved(word);

        taken[word] |= bits;
        if (all)
            bits = PG_UINT32_MAX;
        while (bits != 0) {
            int32 slot = word * 32 + pg_rightmost_one_pos32(bits);
            LiveEntry entry;
            LiveMoved driver;

            bits &= bits - 1;
            if (slot < live_index_slots() && live_index_read(slot, &entry) && copy_out(&entry, &driver)) {
                visit(&driver, arg);
                visited++;
            }
        }
    }
    return visited;
}

typedef struct TablesVisit {
    void (*visit)(const LiveMoved *driver, void *arg);
    void *arg;
    TimestampTz since;
    int visited;
} TablesVisit;

static void visit_entry(const LiveEntry *entry, void *arg)
{
    TablesVisit *v = arg;
    LiveMoved driver;

    if (!copy_out(entry, &driver) || entry->last_seen < v->since)
        return;
    v->visit(&driver, v->arg);
    v->visited++;
}

int live_visit_moved(bool all, void (*visit)(const LiveMoved *driver, void *arg), void *arg)
{
    TablesVisit v = {visit, arg, all ? PG_INT64_MIN : hail_now() - TABLES_WINDOW, 0};

    if (live_mode() == LIVE_IN_MEMORY)
        return visit_slots(all, visit, arg);
    live_tables_visit(visit_entry, &v);
    return v.visited;
}

void live_mark_moved(const pg_uuid_t *driver_id)
{
    LiveEntry entry;

    if (live_mode() == LIVE_IN_MEMORY && live_index_find(driver_id, &entry))
        live_index_mark_moved(entry.slot / 32, 1u << (entry.slot % 32));
}
