/*
 * The surge tick: the cells as they were, demand and supply counted anew, each cell decided (surge.h), the
 * changed rows written by one statement, and the mirror exchanged at commit.
 *
 * Demand of a cell: the customers who requested a trip there within hail.surge_window, each once, or as often
 * as they have trips there that are not over: several parcels are so many vehicles, but asking and cancelling
 * again and again is one customer. By the region's weight, also the customers who had a quote made there and
 * requested no trip there, once each. Trips that wait for their time do not count. Supply: the available
 * drivers.
 *
 * With shared memory a row is written only when its multiplier or its hold changes, and there are rows of
 * surging cells alone; averages are in the mirror, and begin anew from the counts when that is lost. Without
 * it every cell with demand has a row, written whenever anything of it changes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/statement.h"
#include "geo/hexgrid.h"
#include "identity/session.h"
#include "live/live.h"
#include "pricing/surge_mirror.h"
#include "pricing/surge_store.h"

/* What a trip asks for, and what was counted of a customer in a cell. */
enum { ASKS_NOTHING, ASKED_ONCE, ASKS_NOW }; /* looks or waits for its time; all over; one each that is not */

/* A customer in a cell. */
typedef struct LookerKey {
    pg_uuid_t customer;
    int32 cell; /* number in the field */
} LookerKey;

typedef struct Looker {
    LookerKey key;
    char status;
    char asks;
} Looker;

/* The end of an id is random. */
static inline uint32 looker_hash(const LookerKey *key)
{
    uint64 random;

    memcpy(&random, key->customer.data + UUID_LEN - sizeof(random), sizeof(random));
    return (uint32)((random ^ ((uint64)key->cell << 32)) * UINT64CONST(0x9E3779B97F4A7C15) >> 32);
}

static inline bool looker_equal(const LookerKey *a, const LookerKey *b)
{
    return a->cell == b->cell && memcmp(&a->customer, &b->customer, UUID_LEN) == 0;
}

#define SH_PREFIX            lookers
#define SH_ELEMENT_TYPE      Looker
#define SH_KEY_TYPE          LookerKey
#define SH_KEY               key
#define SH_HASH_KEY(tb, key) looker_hash(&(key))
#define SH_EQUAL(tb, a, b)   looker_equal(&(a), &(b))
#define SH_SCOPE             static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct SurgeTick {
    TimestampTz now;
    SurgeRegion *regions;
    int region_count;
    SurgeField field;
    SurgeMirrorInfo info;                 /* of the last tick */
    bool quotes_count;                    /* in some region */
    lookers_hash *lookers;                /* who was counted in a cell */
    SurgeChanges added, changed, removed; /* rows */
    SurgeChanges moved;                   /* multipliers */
} SurgeTick;

static void *resize(void *memory, size_t bytes)
{
    return memory != NULL ? repalloc_huge(memory, bytes)
                          : MemoryContextAllocHuge(CurrentMemoryContext, bytes);
}

/* ---- the cells as they were ---- */

/* From the mirror; where that has left out cells, and where there is none, from the rows. */
static void gather_cells(SurgeTick *tick)
{
    const SurgeCell *cells;
    bool mirrored = surge_mirror_cells(&cells, &tick->info);

    surge_field_init(&tick->field, mirrored ? tick->info.cells + tick->info.cells / 4 : 1024, resize);
    if (!mirrored)
        memset(&tick->info, 0, sizeof(tick->info));
    for (int i = 0; i < tick->info.cells; i++)
        *surge_field_cell(&tick->field, cells[i].region_id, cells[i].cell) = cells[i];
    if (!mirrored || tick->info.left_out_surging > 0) {
        TimestampTz newest = surge_store_load(&tick->field, tick->regions, tick->region_count);

        if (!surge_mirror_serves())
            tick->info.averaged_at = newest;
    }
}

static void forget_counts(SurgeField *field)
{
    for (int i = 0; i < field->count; i++) {
        SurgeCell *cell = &field->cells[i];

        cell->requests = cell->lookers = cell->drivers = 0;
        cell->around = 0;
        cell->tracked = false;
    }
}

/* ---- demand ---- */

#define DEMAND_COLUMNS(t) t ".region_id, " t ".pickup_lat, " t ".pickup_lng, " t ".customer_id"

static HailStatement read_trips = {
    "SELECT " DEMAND_COLUMNS(
        "t") ", CASE WHEN t.state = 'scheduled' THEN 0"
             " WHEN t.state IN ('cancelled', 'no_drivers', 'completed') THEN 1 ELSE 2 END"
             " FROM hail.trips t"
             " WHERE t.requested_at > $1 AND t.requested_at <= $2",
    2,
    {TIMESTAMPTZOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static HailStatement read_quotes = {
    "SELECT " DEMAND_COLUMNS("q") " FROM hail.quotes q"
                                  " WHERE q.created_at > $1 AND q.created_at <= $2",
    2,
    {TIMESTAMPTZOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

/* The cell of a row of either, entered; false: of no region that surges. */
static bool demand_cell(SurgeTick *tick, TupleTableSlot *slot, LookerKey *key)
{
    bool isnull;
    const SurgeRegion *region =
        surge_region(tick->regions, tick->region_count, DatumGetInt16(slot_getattr(slot, 1, &isnull)));
    double lat = DatumGetFloat8(slot_getattr(slot, 2, &isnull)),
           lng = DatumGetFloat8(slot_getattr(slot, 3, &isnull));

    if (region == NULL || region->rules.mode == SURGE_OFF)
        return false;
    key->cell =
        surge_field_enter(&tick->field, region->id, hexgrid_pack(hexgrid_cell(lat, lng, region->size_m)));
    key->customer = *DatumGetUUIDP(slot_getattr(slot, 4, &isnull));
    return true;
}

static void count_trip(TupleTableSlot *slot, void *arg)
{
    SurgeTick *tick = arg;
    LookerKey key;
    Looker *customer;
    bool known, isnull;
    int asks;

    if (!demand_cell(tick, slot, &key))
        return;
    asks = DatumGetInt32(slot_getattr(slot, 5, &isnull));
    customer = lookers_insert(tick->lookers, key, &known);
    if (!known)
        customer->asks = ASKS_NOTHING;
    /* Counted already: a trip that is over, and the first one under way after such. */
    if (asks != ASKS_NOTHING &&
        (customer->asks == ASKS_NOTHING || (customer->asks == ASKS_NOW && asks == ASKS_NOW)))
        tick->field.cells[key.cell].requests++;
    customer->asks = Max(customer->asks, asks);
}

static void count_quote(TupleTableSlot *slot, void *arg)
{
    SurgeTick *tick = arg;
    LookerKey key;
    bool known;

    if (!demand_cell(tick, slot, &key))
        return;
    lookers_insert(tick->lookers, key, &known);
    if (!known)
        tick->field.cells[key.cell].lookers++;
}

static bool quotes_count(const SurgeTick *tick)
{
    for (int r = 0; r < tick->region_count; r++)
        if (tick->regions[r].quote_weight > 0)
            return true;
    return false;
}

/* Trips first: a customer who has asked for one is no looker. */
static void gather_demand(SurgeTick *tick)
{
    Datum args[2] = {TimestampTzGetDatum(tick->now - hail_surge_window_s * USECS_PER_SEC),
                     TimestampTzGetDatum(tick->now)};

    tick->quotes_count = quotes_count(tick);
    tick->lookers = lookers_create(CurrentMemoryContext, Max(2 * tick->field.count, 1024), NULL);
    hail_each(&read_trips, args, false, count_trip, tick);
    if (tick->quotes_count)
        hail_each(&read_quotes, args, false, count_quote, tick);
    lookers_destroy(tick->lookers);
}

/* ---- supply ---- */

/* Available as hail.drivers and driver_positions know it. */
static HailStatement read_available = {
    "SELECT p.lat, p.lng FROM hail.driver_positions p JOIN hail.drivers d ON d.id = p.driver_id"
    " WHERE d.online AND d.status = 'approved' AND d.trip_id IS NULL"
    " AND (d.cooldown_until IS NULL OR d.cooldown_until <= $1) AND p.received_at > $2",
    2,
    {TIMESTAMPTZOID, TIMESTAMPTZOID}};

static void count_hit(const LiveHit *hit, void *arg)
{
    SurgeTick *tick = arg;

    surge_field_count_driver(&tick->field, tick->regions, tick->region_count, hit->lat, hit->lng);
}

static void count_row(TupleTableSlot *slot, void *arg)
{
    SurgeTick *tick = arg;
    bool isnull;

    surge_field_count_driver(&tick->field, tick->regions, tick->region_count,
                             DatumGetFloat8(slot_getattr(slot, 1, &isnull)),
                             DatumGetFloat8(slot_getattr(slot, 2, &isnull)));
}

/* From the live index, or, where there is none yet, from the tables. */
static void gather_supply(SurgeTick *tick)
{
    Datum args[2] = {TimestampTzGetDatum(tick->now),
                     TimestampTzGetDatum(tick->now - hail_presence_ttl_s * USECS_PER_SEC)};

    if (live_ready())
        live_visit_available(count_hit, tick);
    else
        hail_each(&read_available, args, false, count_row, tick);
}

/* ---- decisions ---- */

/* What becomes of a cell's row. */
static void note_row(SurgeTick *tick, int i, bool changed)
{
    SurgeCell *cell = &tick->field.cells[i];
    bool wanted = surge_mirror_serves() ? cell->multiplier > SURGE_NONE : surge_cell_matters(cell);

    if (!wanted && cell->stored)
        surge_changes_add(&tick->removed, i, 0);
    else if (wanted && !cell->stored)
        surge_changes_add(&tick->added, i, 0);
    else if (wanted && changed)
        surge_changes_add(&tick->changed, i, 0);
    cell->stored = wanted;
}

static void settle_cell(SurgeTick *tick, int i, double share)
{
    SurgeCell *cell = &tick->field.cells[i];
    const SurgeRegion *region = surge_region(tick->regions, tick->region_count, cell->region_id);
    SurgeState before;
    bool changed;

    if (region == NULL)
        return; /* deleted, and its rows with it */
    before = surge_field_settle(&tick->field, i, region, share, tick->now);
    if (before.multiplier != cell->multiplier)
        surge_changes_add(&tick->moved, i, before.multiplier);
    changed = before.multiplier != cell->multiplier || cell->held_until > before.held_until ||
              !surge_mirror_serves();
    note_row(tick, i, changed);
}

static void write_rows(SurgeTick *tick, const char *cause)
{
    surge_changes_sort(&tick->field, &tick->added);
    surge_changes_sort(&tick->field, &tick->changed);
    surge_changes_sort(&tick->field, &tick->moved);
    surge_tables_ours(true);
    surge_store_write(&tick->field, &tick->added, &tick->changed, tick->now);
    surge_store_remove(&tick->field, &tick->removed);
    surge_tables_ours(false);
    surge_store_history(&tick->field, &tick->moved, tick->now, cause);
}

/* The region's cells are of a grid of this size: of before a change of it, or of a region that is deleted. */
static void set_size(SurgeTick *tick, int16 region_id, double size_m)
{
    int i = 0;

    while (i < tick->region_count && tick->regions[i].id < region_id)
        i++;
    if (i == tick->region_count || tick->regions[i].id != region_id) {
        memmove(&tick->regions[i + 1], &tick->regions[i], (tick->region_count - i) * sizeof(SurgeRegion));
        tick->regions[i] = (SurgeRegion){.id = region_id, .rules = {.mode = SURGE_OFF}};
        tick->region_count++;
    }
    tick->regions[i].size_m = size_m;
}

/* With the writers' lock. size_m: see set_size(); 0: all regions as they are. */
static void begin_tick(SurgeTick *tick, int16 region_id, double size_m)
{
    memset(tick, 0, sizeof(*tick));
    tick->now = hail_now();
    tick->region_count = surge_store_regions(&tick->regions);
    if (size_m > 0)
        set_size(tick, region_id, size_m);
    gather_cells(tick);
}

static int end_tick(SurgeTick *tick)
{
    surge_mirror_stage(tick->field.cells, tick->field.count, &tick->info);
    return tick->added.count + tick->changed.count + tick->removed.count;
}

static int surge_tick(void)
{
    SurgeTick tick;
    instr_time began, took;
    double share = 1;

    INSTR_TIME_SET_CURRENT(began);
    begin_tick(&tick, 0, 0);
    forget_counts(&tick.field);
    gather_demand(&tick);
    surge_field_surround(&tick.field, tick.regions, tick.region_count);
    gather_supply(&tick);
    if (tick.info.averaged_at != 0)
        share = surge_share(tick.now - tick.info.averaged_at, hail_surge_half_life_s * USECS_PER_SEC);
    for (int i = 0; i < tick.field.count; i++)
        settle_cell(&tick, i, share);
    write_rows(&tick, "tick");
    INSTR_TIME_SET_CURRENT(took);
    INSTR_TIME_SUBTRACT(took, began);
    tick.info.averaged_at = tick.info.ticked_at = tick.now;
    tick.info.tick_us = INSTR_TIME_GET_MICROSEC(took);
    return end_tick(&tick);
}

/* Between ticks: a region's cap and mode take effect, or, with `all`, its surge is taken away. size_m: of the
 * hexagons that its cells are of. */
static int settle_region(int16 region_id, bool all, const char *cause, double size_m)
{
    SurgeTick tick;

    surge_lock_writers(true);
    begin_tick(&tick, region_id, size_m);
    for (int i = 0; i < tick.field.count; i++) {
        SurgeCell *cell = &tick.field.cells[i];
        const SurgeRegion *region = surge_region(tick.regions, tick.region_count, cell->region_id);
        int before = cell->multiplier;

        if (cell->region_id != region_id)
            continue;
        if (all || region == NULL || region->rules.mode == SURGE_OFF)
            cell->multiplier = SURGE_NONE, cell->held_until = 0, cell->demand = 0;
        else if (cell->multiplier > region->rules.cap)
            cell->multiplier = (uint16)region->rules.cap;
        if (cell->multiplier != before)
            surge_changes_add(&tick.moved, i, before);
        note_row(&tick, i, cell->multiplier != before);
    }
    write_rows(&tick, cause);
    return end_tick(&tick);
}

PG_FUNCTION_INFO_V1(hail_surge_tick);
PG_FUNCTION_INFO_V1(hail_surge_settle);
PG_FUNCTION_INFO_V1(hail_surge_refill);

/* hail.surge_tick(wait) */
Datum hail_surge_tick(PG_FUNCTION_ARGS)
{
    int written = 0;

    hail_require_admin();
    SPI_connect();
    if (surge_lock_writers(PG_GETARG_BOOL(0)))
        written = surge_tick();
    SPI_finish();
    PG_RETURN_INT32(written);
}

/* hail.surge_settle(region_id, all, cause, hexagon_size_m) */
Datum hail_surge_settle(PG_FUNCTION_ARGS)
{
    int written;

    SPI_connect();
    written = settle_region(PG_GETARG_INT16(0), PG_GETARG_BOOL(1), text_to_cstring(PG_GETARG_TEXT_PP(2)),
                            PG_GETARG_FLOAT8(3));
    SPI_finish();
    PG_RETURN_INT32(written);
}

/* hail.surge_refill() */
Datum hail_surge_refill(PG_FUNCTION_ARGS)
{
    SurgeTick tick;
    int cells = 0;

    hail_require_admin();
    SPI_connect();
    if (surge_mirror_stale() && surge_lock_writers(false) && surge_mirror_stale()) {
        begin_tick(&tick, 0, 0);
        surge_mirror_stage(tick.field.cells, tick.field.count, &tick.info);
        cells = tick.field.count;
    }
    SPI_finish();
    PG_RETURN_INT32(cells);
}
