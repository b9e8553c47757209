/* Surge in tables; see surge_store.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/guc.h"
#include "base/statement.h"
#include "pricing/surge_store.h"

static Datum column(uint64 row, int col)
{
    bool isnull;
    Datum value = hail_result(row, col, &isnull);

    if (isnull)
        elog(ERROR, "unexpected null in column %d", col);
    return value;
}

/* ---- regions ---- */

#define REGION_QUERY(condition)                                                                              \
    "SELECT r.id, r.hexagon_size_m, (r.surge_cap * 100)::integer,"                                           \
    " public.ST_XMin(r.boundary), public.ST_YMin(r.boundary), public.ST_XMax(r.boundary),"                   \
    " public.ST_YMax(r.boundary), k.mode, k.quote_weight::float8, k.neighbour_weight::float8,"               \
    " coalesce(s.below_ratio, 0)::float8, coalesce((s.multiplier * 100)::integer, 0)"                        \
    " FROM hail.regions r CROSS JOIN LATERAL hail.surge_settings(r.id) k"                                    \
    " LEFT JOIN hail.surge_steps s ON s.region_id IS NOT DISTINCT FROM"                                      \
    "   (SELECT max(own.region_id) FROM hail.surge_steps own WHERE own.region_id = r.id)" condition          \
    " ORDER BY r.id, s.below_ratio"

/* One row per region and step; regions without any step have one row with zeros. */
static HailStatement load_regions = {REGION_QUERY(""), 0, {0}};
static HailStatement load_region = {REGION_QUERY(" WHERE r.id = $1"), 1, {INT2OID}};

static SurgeMode mode_of(Datum word)
{
    char *name = TextDatumGetCString(word);

    return strcmp(name, "off") == 0 ? SURGE_OFF : strcmp(name, "frozen") == 0 ? SURGE_FROZEN : SURGE_ON;
}

static void read_region(SurgeRegion *region, uint64 row, const SurgeStep *steps)
{
    region->id = DatumGetInt16(column(row, 1));
    region->size_m = DatumGetFloat8(column(row, 2));
    region->west = DatumGetFloat8(column(row, 4));
    region->south = DatumGetFloat8(column(row, 5));
    region->east = DatumGetFloat8(column(row, 6));
    region->north = DatumGetFloat8(column(row, 7));
    region->quote_weight = DatumGetFloat8(column(row, 9));
    region->neighbour_weight = DatumGetFloat8(column(row, 10));
    region->rules = (SurgeRules){.steps = steps,
                                 .cap = DatumGetInt32(column(row, 3)),
                                 .mode = mode_of(column(row, 8)),
                                 .hold_us = hail_surge_hold_s * USECS_PER_SEC};
}

static int read_regions(uint64 rows, SurgeRegion *regions)
{
    SurgeStep *steps = palloc((rows + 1) * sizeof(SurgeStep));
    int count = 0;

    for (uint64 row = 0; row < rows; row++) {
        if (count == 0 || regions[count - 1].id != DatumGetInt16(column(row, 1)))
            read_region(&regions[count++], row, &steps[row]);
        steps[row] = (SurgeStep){DatumGetFloat8(column(row, 11)), DatumGetInt32(column(row, 12))};
        if (steps[row].multiplier > 0)
            regions[count - 1].rules.count++;
    }
    return count;
}

int surge_store_regions(SurgeRegion **regions)
{
    uint64 rows = hail_execute(&load_regions, NULL, NULL, false, 0);

    *regions = palloc((rows + 2) * sizeof(SurgeRegion));
    return read_regions(rows, *regions);
}

bool surge_store_region(int16 id, SurgeRegion *region)
{
    uint64 rows = hail_execute(&load_region, (Datum[]){Int16GetDatum(id)}, NULL, true, 0);
    SurgeRegion *regions = palloc((rows + 1) * sizeof(SurgeRegion));
    int count = read_regions(rows, regions);

    if (count > 0)
        *region = regions[0];
    return count > 0;
}

/* ---- rows of cells ---- */

#define CELL_COLUMNS                                                                                         \
    "s.region_id, s.cell, s.requests, s.lookers, s.supply, s.smoothed_demand, s.smoothed_supply,"            \
    " (s.multiplier * 100)::integer, s.held_until, s.updated_at"

static HailStatement load_cells = {"SELECT " CELL_COLUMNS " FROM hail.surge_cells s", 0, {0}};

static HailStatement load_cell = {"SELECT " CELL_COLUMNS
                                  " FROM hail.surge_cells s WHERE s.region_id = $1 AND s.cell = $2",
                                  2,
                                  {INT2OID, INT8OID},
                                  HAIL_BY_KEY};

typedef struct Loading {
    SurgeField *field; /* NULL: into `cell` */
    const SurgeRegion *regions;
    int region_count;
    SurgeCell cell;
    TimestampTz newest;
} Loading;

static Datum attribute(TupleTableSlot *slot, int number)
{
    bool isnull;

    return slot_getattr(slot, number, &isnull); /* 0 where it is null */
}

static void take_cell(TupleTableSlot *slot, void *arg)
{
    Loading *loading = arg;
    int16 region_id = DatumGetInt16(attribute(slot, 1));
    int64 number = DatumGetInt64(attribute(slot, 2));
    SurgeCell *cell = &loading->cell;

    if (loading->field != NULL) {
        const SurgeRegion *region = surge_region(loading->regions, loading->region_count, region_id);

        if (region == NULL || surge_field_find(loading->field, region_id, number) >= 0)
            return;
        cell = surge_field_cell(loading->field, region_id, number);
        cell->size_m = (float)region->size_m;
    }
    cell->region_id = region_id;
    cell->cell = number;
    cell->requests = DatumGetInt32(attribute(slot, 3));
    cell->lookers = DatumGetInt32(attribute(slot, 4));
    cell->drivers = DatumGetInt32(attribute(slot, 5));
    cell->demand = DatumGetFloat4(attribute(slot, 6));
    cell->supply = DatumGetFloat4(attribute(slot, 7));
    cell->ratio = cell->demand / Max(cell->supply, 1.0f);
    cell->multiplier = (uint16)DatumGetInt32(attribute(slot, 8));
    cell->held_until = DatumGetTimestampTz(attribute(slot, 9));
    cell->stored = true;
    loading->newest = Max(loading->newest, DatumGetTimestampTz(attribute(slot, 10)));
}

TimestampTz surge_store_load(SurgeField *field, const SurgeRegion *regions, int count)
{
    Loading loading = {.field = field, .regions = regions, .region_count = count};

    hail_each(&load_cells, NULL, false, take_cell, &loading);
    return loading.newest;
}

bool surge_store_cell(int16 region_id, int64 cell, SurgeCell *out)
{
    Loading loading = {0};

    if (hail_each(&load_cell, (Datum[]){Int16GetDatum(region_id), Int64GetDatum(cell)}, true, take_cell,
                  &loading) == 0)
        return false;
    *out = loading.cell;
    return true;
}

/* ---- writing: one statement for all, of one array per column ---- */

void surge_changes_add(SurgeChanges *changes, int cell, int before)
{
    if (changes->count == changes->room) {
        changes->room = changes->room > 0 ? 2 * changes->room : 256;
        changes->list = changes->list != NULL
                            ? repalloc_huge(changes->list, changes->room * sizeof(SurgeChange))
                            : palloc(changes->room * sizeof(SurgeChange));
    }
    changes->list[changes->count++] = (SurgeChange){cell, (int16)before};
}

static const SurgeField *sorted_field; /* of the sort under way */

static int compare_cells(const void *a, const void *b)
{
    const SurgeCell *x = &sorted_field->cells[((const SurgeChange *)a)->cell];
    const SurgeCell *y = &sorted_field->cells[((const SurgeChange *)b)->cell];

    return x->region_id != y->region_id ? (x->region_id < y->region_id ? -1 : 1)
           : x->cell != y->cell         ? (x->cell < y->cell ? -1 : 1)
                                        : 0;
}

void surge_changes_sort(const SurgeField *field, SurgeChanges *changes)
{
    sorted_field = field;
    qsort(changes->list, changes->count, sizeof(SurgeChange), compare_cells);
}

static ArrayType *new_array(Oid type, int length, int count)
{
    Size bytes = ARR_OVERHEAD_NONULLS(1) + (Size)length * count;
    ArrayType *array = palloc0(bytes);

    SET_VARSIZE(array, bytes);
    array->ndim = 1;
    array->elemtype = type;
    ARR_DIMS(array)[0] = count;
    ARR_LBOUND(array)[0] = 1;
    return array;
}

/* A field of every changed cell, `length` bytes at `offset`, as an array of a type of that length. */
static Datum field_array(const SurgeField *field, const SurgeChanges *changes, Oid type, Size offset,
                         int length)
{
    ArrayType *array = new_array(type, length, changes->count);
    char *to = ARR_DATA_PTR(array);

    for (int i = 0; i < changes->count; i++, to += length)
        memcpy(to, (const char *)&field->cells[changes->list[i].cell] + offset, length);
    return PointerGetDatum(array);
}

#define FIELD_ARRAY(type, member)                                                                            \
    field_array(field, changes, type, offsetof(SurgeCell, member), sizeof(((SurgeCell *)0)->member))

/* $9: held until; 2000-01-01 00:00 UTC, which is 0, for not held. */
static HailStatement write_cells = {
    "INSERT INTO hail.surge_cells AS s (region_id, cell, requests, lookers, supply, smoothed_demand,"
    " smoothed_supply, multiplier, held_until, updated_at)"
    " SELECT u.region_id, u.cell, u.requests, u.lookers, u.supply, u.smoothed_demand, u.smoothed_supply,"
    " u.multiplier / 100.00, nullif(u.held_until, '2000-01-01 00:00:00+00'), $10"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS u (region_id, cell, requests, lookers, supply,"
    " smoothed_demand, smoothed_supply, multiplier, held_until)"
    " ON CONFLICT (region_id, cell) DO UPDATE SET requests = excluded.requests, lookers = excluded.lookers,"
    " supply = excluded.supply, smoothed_demand = excluded.smoothed_demand,"
    " smoothed_supply = excluded.smoothed_supply, multiplier = excluded.multiplier,"
    " held_until = excluded.held_until, updated_at = excluded.updated_at",
    10,
    {INT2ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID,
     INT2ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID}};

/* The same of rows that are there: without a look for conflicts first it takes half the time. */
static HailStatement update_cells = {
    "UPDATE hail.surge_cells s SET requests = u.requests, lookers = u.lookers, supply = u.supply,"
    " smoothed_demand = u.smoothed_demand, smoothed_supply = u.smoothed_supply,"
    " multiplier = u.multiplier / 100.00, held_until = nullif(u.held_until, '2000-01-01 00:00:00+00'),"
    " updated_at = $10"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS u (region_id, cell, requests, lookers, supply,"
    " smoothed_demand, smoothed_supply, multiplier, held_until)"
    " WHERE s.region_id = u.region_id AND s.cell = u.cell",
    10,
    {INT2ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID,
     INT2ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static uint64 write_rows(HailStatement *statement, const SurgeField *field, const SurgeChanges *changes,
                         TimestampTz now)
{
    return hail_execute(statement,
                        (Datum[]){FIELD_ARRAY(INT2OID, region_id), FIELD_ARRAY(INT8OID, cell),
                                  FIELD_ARRAY(INT4OID, requests), FIELD_ARRAY(INT4OID, lookers),
                                  FIELD_ARRAY(INT4OID, drivers), FIELD_ARRAY(FLOAT4OID, demand),
                                  FIELD_ARRAY(FLOAT4OID, supply), FIELD_ARRAY(INT2OID, multiplier),
                                  FIELD_ARRAY(TIMESTAMPTZOID, held_until), TimestampTzGetDatum(now)},
                        NULL, false, 0);
}

void surge_store_write(const SurgeField *field, const SurgeChanges *added, const SurgeChanges *changed,
                       TimestampTz now)
{
    if (added->count > 0)
        write_rows(&write_cells, field, added, now);
    if (changed->count > 0 && write_rows(&update_cells, field, changed, now) != (uint64)changed->count)
        write_rows(&write_cells, field, changed, now); /* rows that were there are not: whoever that was */
}

static HailStatement remove_cells = {
    "DELETE FROM hail.surge_cells s USING unnest($1, $2) AS u (region_id, cell)"
    " WHERE s.region_id = u.region_id AND s.cell = u.cell",
    2,
    {INT2ARRAYOID, INT8ARRAYOID},
    HAIL_BY_KEY};

void surge_store_remove(const SurgeField *field, const SurgeChanges *changes)
{
    if (changes->count > 0)
        hail_execute(&remove_cells, (Datum[]){FIELD_ARRAY(INT2OID, region_id), FIELD_ARRAY(INT8OID, cell)},
                     NULL, false, 0);
}

static HailStatement write_history = {
    "INSERT INTO hail.surge_history (region_id, cell, at, hexagon_size_m, old_multiplier, new_multiplier,"
    " requests, lookers, supply, ratio, cause)"
    " SELECT u.region_id, u.cell, $9, u.size_m, u.before / 100.00, u.multiplier / 100.00, u.requests,"
    " u.lookers, u.supply, u.ratio, $10"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $11) AS u (region_id, cell, size_m, before, multiplier,"
    " requests, lookers, supply, ratio)",
    11,
    {INT2ARRAYOID, INT8ARRAYOID, FLOAT4ARRAYOID, INT2ARRAYOID, INT2ARRAYOID, INT4ARRAYOID, INT4ARRAYOID,
     INT4ARRAYOID, TIMESTAMPTZOID, TEXTOID, FLOAT4ARRAYOID}};

void surge_store_history(const SurgeField *field, const SurgeChanges *changes, TimestampTz now,
                         const char *cause)
{
    ArrayType *before;

    if (changes->count == 0)
        return;
    before = new_array(INT2OID, sizeof(int16), changes->count);
    for (int i = 0; i < changes->count; i++)
        ((int16 *)ARR_DATA_PTR(before))[i] = changes->list[i].before;
    hail_execute(
        &write_history,
        (Datum[]){FIELD_ARRAY(INT2OID, region_id), FIELD_ARRAY(INT8OID, cell), FIELD_ARRAY(FLOAT4OID, size_m),
                  PointerGetDatum(before), FIELD_ARRAY(INT2OID, multiplier), FIELD_ARRAY(INT4OID, requests),
                  FIELD_ARRAY(INT4OID, lookers), FIELD_ARRAY(INT4OID, drivers), TimestampTzGetDatum(now),
                  CStringGetTextDatum(cause), FIELD_ARRAY(FLOAT4OID, ratio)},
        NULL, false, 0);
}
