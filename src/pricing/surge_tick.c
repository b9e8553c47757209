/*
 * The surge tick: gather demand, supply and the cells as they are, decide each cell (surge.h), write what
 * changed.
 *
 * Only hexagons with demand, or with a row in surge_cells, are looked at, so the work follows the trips of
 * the window and not the map. A driver counts in the hexagon it is in, in every region whose bounding box it
 * is in.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/statement.h"
#include "geo/hexgrid.h"
#include "identity/session.h"
#include "live/live.h"
#include "pricing/pricing.h"
#include "pricing/surge.h"

typedef struct SurgeRegion {
    int16 id;
    double hexagon_size_m;
    double west, south, east, north; /* bounding box, degrees */
    SurgeTable table;
} SurgeRegion;

typedef struct CellKey {
    int64 cell;
    int64 region; /* index into SurgeTick.regions; 64 bits so that there is no padding to hash */
} CellKey;

typedef struct CellEntry {
    CellKey key;
    int demand, supply;
    bool stored; /* has a row; what it says: */
    int stored_demand, stored_supply;
    SurgeState state;
} CellEntry;

typedef struct SurgeTick {
    TimestampTz now;
    SurgeRegion *regions;
    int region_count;
    HTAB *cells;
} SurgeTick;

static Datum column(uint64 row, int col)
{
    bool isnull;
    Datum value = hail_result(row, col, &isnull);

    if (isnull)
        elog(ERROR, "unexpected null in column %d", col);
    return value;
}

/* One row per region and step; regions without any step have one row with nulls. */
static HailStatement load_regions = {
    "SELECT r.id, r.hexagon_size_m, (r.surge_cap * 100)::integer,"
    " public.ST_XMin(r.boundary), public.ST_YMin(r.boundary), public.ST_XMax(r.boundary),"
    " public.ST_YMax(r.boundary), coalesce(s.below_ratio, 0)::float8, coalesce((s.multiplier * "
    "100)::integer, 0)"
    " FROM hail.regions r LEFT JOIN hail.surge_steps s ON s.region_id IS NOT DISTINCT FROM"
    "   (SELECT max(own.region_id) FROM hail.surge_steps own WHERE own.region_id = r.id)"
    " ORDER BY r.id, s.below_ratio",
    0,
    {0}};

static void read_region(SurgeRegion *region, uint64 row, SurgeStep *steps)
{
    region->id = DatumGetInt16(column(row, 1));
    region->hexagon_size_m = DatumGetFloat8(column(row, 2));
    region->west = DatumGetFloat8(column(row, 4));
    region->south = DatumGetFloat8(column(row, 5));
    region->east = DatumGetFloat8(column(row, 6));
    region->north = DatumGetFloat8(column(row, 7));
    region->table = (SurgeTable){steps, 0, DatumGetInt32(column(row, 3))};
}

static void gather_regions(SurgeTick *tick)
{
    uint64 rows = hail_execute(&load_regions, NULL, NULL, false, 0);
    SurgeStep *steps = palloc((rows + 1) * sizeof(SurgeStep));
    SurgeRegion *region = NULL;

    tick->regions = palloc((rows + 1) * sizeof(SurgeRegion));
    tick->region_count = 0;
    for (uint64 row = 0; row < rows; row++) {
        if (region == NULL || region->id != DatumGetInt16(column(row, 1))) {
            region = &tick->regions[tick->region_count++];
            read_region(region, row, &steps[row]);
        }
        steps[row] = (SurgeStep){DatumGetFloat8(column(row, 8)), DatumGetInt32(column(row, 9))};
        if (steps[row].multiplier > 0)
            region->table.count++;
    }
}

/* The index of a region by its id; -1: made since the regions were read. */
static int find_region(const SurgeTick *tick, int16 id)
{
    int low = 0, high = tick->region_count - 1;

    while (low <= high) {
        int middle = (low + high) / 2;

        if (tick->regions[middle].id == id)
            return middle;
        if (tick->regions[middle].id < id)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

/* The entry of a cell; a new one has neither demand nor surge. NULL for a region that is not known. */
static CellEntry *cell_entry(SurgeTick *tick, int16 region_id, int64 cell)
{
    CellKey key = {cell, find_region(tick, region_id)};
    CellEntry *entry;
    bool found;

    if (key.region < 0)
        return NULL;
    entry = hash_search(tick->cells, &key, HASH_ENTER, &found);
    if (!found) {
        memset((char *)entry + sizeof(CellKey), 0, sizeof(CellEntry) - sizeof(CellKey));
        entry->state.multiplier = SURGE_NONE;
    }
    return entry;
}

static HailStatement load_demand = {
    "SELECT t.region_id, hail.hexagon_cell(t.pickup_lat, t.pickup_lng, r.hexagon_size_m), count(*)::integer"
    " FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id"
    " WHERE t.requested_at > $1 AND t.requested_at <= $2 GROUP BY 1, 2",
    2,
    {TIMESTAMPTZOID, TIMESTAMPTZOID}};

static void gather_demand(SurgeTick *tick)
{
    Datum args[2] = {TimestampTzGetDatum(tick->now - hail_surge_window_s * USECS_PER_SEC),
                     TimestampTzGetDatum(tick->now)};
    uint64 rows = hail_execute(&load_demand, args, NULL, false, 0);

    for (uint64 row = 0; row < rows; row++) {
        CellEntry *entry = cell_entry(tick, DatumGetInt16(column(row, 1)), DatumGetInt64(column(row, 2)));

        if (entry != NULL)
            entry->demand = DatumGetInt32(column(row, 3));
    }
}

static HailStatement load_cells = {"SELECT region_id, cell, demand, supply, (multiplier * 100)::integer, "
                                   "coalesce(held_until, '2000-01-01 00:00+00')"
                                   " FROM hail.surge_cells",
                                   0,
                                   {0}};

static void gather_cells(SurgeTick *tick)
{
    uint64 rows = hail_execute(&load_cells, NULL, NULL, false, 0);

    for (uint64 row = 0; row < rows; row++) {
        CellEntry *entry = cell_entry(tick, DatumGetInt16(column(row, 1)), DatumGetInt64(column(row, 2)));

        if (entry == NULL)
            continue;
        entry->stored = true;
        entry->stored_demand = DatumGetInt32(column(row, 3));
        entry->stored_supply = DatumGetInt32(column(row, 4));
        entry->state.multiplier = DatumGetInt32(column(row, 5));
        entry->state.held_until = DatumGetTimestampTz(column(row, 6));
    }
}

/* Count an available driver at a place. */
static void count_driver(SurgeTick *tick, double lat, double lng)
{
    for (int n = 0; n < tick->region_count; n++) {
        const SurgeRegion *region = &tick->regions[n];
        CellKey key = {0, n};
        CellEntry *entry;

        if (lat < region->south || lat > region->north || lng < region->west || lng > region->east)
            continue;
        key.cell = hexgrid_pack(hexgrid_cell(lat, lng, region->hexagon_size_m));
        entry = hash_search(tick->cells, &key, HASH_FIND, NULL);
        if (entry != NULL)
            entry->supply++;
    }
}

/* Available as hail.drivers and driver_positions know it. */
static HailStatement load_available = {
    "SELECT p.lat, p.lng FROM hail.driver_positions p JOIN hail.drivers d ON d.id = p.driver_id"
    " WHERE d.online AND d.status = 'approved' AND d.trip_id IS NULL"
    " AND (d.cooldown_until IS NULL OR d.cooldown_until <= $1) AND p.received_at > $2",
    2,
    {TIMESTAMPTZOID, TIMESTAMPTZOID}};

static void count_hit(const LiveHit *hit, void *tick)
{
    count_driver(tick, hit->lat, hit->lng);
}

/* From the live index, or, where there is none yet, from the tables. */
static void gather_supply(SurgeTick *tick)
{
    Datum args[2] = {TimestampTzGetDatum(tick->now),
                     TimestampTzGetDatum(tick->now - hail_presence_ttl_s * USECS_PER_SEC)};
    uint64 rows;

    if (live_ready()) {
        live_visit_available(count_hit, tick);
        return;
    }
    rows = hail_execute(&load_available, args, NULL, false, 0);
    for (uint64 row = 0; row < rows; row++)
        count_driver(tick, DatumGetFloat8(column(row, 1)), DatumGetFloat8(column(row, 2)));
}

static HailStatement lock_cells = {"LOCK TABLE hail.surge_cells IN SHARE ROW EXCLUSIVE MODE", 0, {0}};

/* $5 multiplier in hundredths, $6 held_until (kept only where it lies ahead), $7 now */
static HailStatement write_cell = {
    "INSERT INTO hail.surge_cells AS s (region_id, cell, demand, supply, multiplier, held_until, updated_at)"
    " VALUES ($1, $2, $3, $4, $5 / 100.00, CASE WHEN $6 > $7 THEN $6 END, $7)"
    " ON CONFLICT (region_id, cell) DO UPDATE SET demand = excluded.demand, supply = excluded.supply,"
    " multiplier = excluded.multiplier, held_until = excluded.held_until, updated_at = excluded.updated_at",
    7,
    {INT2OID, INT8OID, INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

static HailStatement remove_cell = {
    "DELETE FROM hail.surge_cells WHERE region_id = $1 AND cell = $2", 2, {INT2OID, INT8OID}};

/* Decide one cell and store it where it differs from its row; returns the rows touched. */
static int settle_cell(const SurgeTick *tick, const CellEntry *entry)
{
    const SurgeRegion *region = &tick->regions[entry->key.region];
    SurgeState next = surge_next(&region->table, entry->state, entry->demand, entry->supply, tick->now,
                                 hail_surge_hold_s * USECS_PER_SEC);
    Datum args[7] = {Int16GetDatum(region->id),      Int64GetDatum(entry->key.cell),
                     Int32GetDatum(entry->demand),   Int32GetDatum(entry->supply),
                     Int32GetDatum(next.multiplier), TimestampTzGetDatum(next.held_until),
                     TimestampTzGetDatum(tick->now)};

    if (next.multiplier == SURGE_NONE && entry->demand == 0) {
        if (entry->stored)
            hail_execute(&remove_cell, args, NULL, false, 0);
        return entry->stored;
    }
    if (entry->stored && entry->demand == entry->stored_demand && entry->supply == entry->stored_supply &&
        next.multiplier == entry->state.multiplier)
        return 0;
    hail_execute(&write_cell, args, NULL, false, 0);
    return 1;
}

int surge_tick(void)
{
    HASHCTL control = {
        .keysize = sizeof(CellKey), .entrysize = sizeof(CellEntry), .hcxt = CurrentMemoryContext};
    SurgeTick tick = {hail_now()};
    HASH_SEQ_STATUS scan;
    CellEntry *entry;
    int written = 0;

    hail_execute(&lock_cells, NULL, NULL, false, 0);
    tick.cells = hash_create("hail surge cells", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    gather_regions(&tick);
    gather_demand(&tick);
    gather_cells(&tick);
    gather_supply(&tick);
    hash_seq_init(&scan, tick.cells);
    while ((entry = hash_seq_search(&scan)) != NULL)
        written += settle_cell(&tick, entry);
    hash_destroy(tick.cells);
    return written;
}

PG_FUNCTION_INFO_V1(hail_surge_tick);

/* hail.surge_tick() */
Datum hail_surge_tick(PG_FUNCTION_ARGS)
{
    int written;

    hail_require_admin();
    SPI_connect();
    written = surge_tick();
    SPI_finish();
    PG_RETURN_INT32(written);
}
