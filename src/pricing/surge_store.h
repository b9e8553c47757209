/*
 * surge_store.h
 *    Surge in tables: regions and how they surge, rows of surge_cells, history. Used inside src/pricing only.
 * All of it inside SPI, with the rights of hail_owner and search_path pg_catalog; what writes, with the
 * writers' lock (surge_mirror.h).
 */
#ifndef HAIL_PRICING_SURGE_STORE_H
#define HAIL_PRICING_SURGE_STORE_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "pricing/surge_field.h"

/* Cells to be written: numbers in a field, with the multiplier that each had before. */
typedef struct SurgeChange {
    int cell;
    int16 before;
} SurgeChange;

typedef struct SurgeChanges {
    SurgeChange *list;
    int count, room;
} SurgeChanges;

/* Every region with its rules, in the order of ids, and room for one more; their number. */
extern int surge_store_regions(SurgeRegion **regions);

/* One region's. False: it does not exist. */
extern bool surge_store_region(int16 id, SurgeRegion *region);

/* Enter all rows into a field, which a cell that is there already is not changed by; rows of no region are
 * passed over; the time of the newest row, 0: none. */
extern TimestampTz surge_store_load(SurgeField *field, const SurgeRegion *regions, int count);

/* One row. False: none. */
extern bool surge_store_cell(int16 region_id, int64 cell, SurgeCell *out);

extern void surge_changes_add(SurgeChanges *changes, int cell, int before);

/* Into the order of the tables' keys: rows next to each other are written one after the other. */
extern void surge_changes_sort(const SurgeField *field, SurgeChanges *changes);

/* Add and change, or remove, the rows of cells; append what happened to their multipliers to the history,
 * with a word for the cause: tick, cap, off, grid. */
extern void surge_store_write(const SurgeField *field, const SurgeChanges *added, const SurgeChanges *changed,
                              TimestampTz now);
extern void surge_store_remove(const SurgeField *field, const SurgeChanges *changes);
extern void surge_store_history(const SurgeField *field, const SurgeChanges *changes, TimestampTz now,
                                const char *cause);

#endif
