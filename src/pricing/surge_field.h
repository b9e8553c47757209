/*
 * surge_field.h
 *    The hexagons of a tick: counts, averages and the decision of each. Pure but for memory, which the
 *    caller's resize() gives.
 *
 * One tick goes: the cells as the last one left them (surge_field_enter()), demand counted into them,
 * surge_field_surround(), drivers counted, then surge_field_settle() for each cell.
 *
 * Demand and supply of a cell are weighed with those of its six neighbours: (1 - w) of its own and w of their
 * mean. These sums are then averaged over time. Both are linear, so it does not matter which comes first,
 * and the average of the ratio, which no driver at all makes jump, is never taken. A neighbour that nobody
 * asks in is looked at too: it surges when enough of the demand next to it falls to it.
 */
#ifndef HAIL_PRICING_SURGE_FIELD_H
#define HAIL_PRICING_SURGE_FIELD_H

#include <stddef.h>

#include "pricing/surge.h"

/* A region as a tick sees it. */
typedef struct SurgeRegion {
    int16_t id;
    double size_m;                   /* edge of its hexagons */
    double west, south, east, north; /* bounding box, degrees */
    double quote_weight;             /* what a customer who only looks counts, in trips */
    double neighbour_weight;         /* 0: a cell stands for itself; at most 1 */
    SurgeRules rules;
} SurgeRegion;

/* What is kept of a cell from tick to tick. */
typedef struct SurgeCell {
    int64_t cell;                       /* hexgrid_pack() */
    int64_t held_until;                 /* microseconds; 0: not held */
    float size_m;                       /* of the grid that `cell` is of */
    float demand, supply;               /* averages of the sums; supply below 0: not known yet */
    float ratio;                        /* what decided */
    float around;                       /* demand that its neighbours lend it; of this tick */
    int32_t requests, lookers, drivers; /* counted in the cell alone */
    int16_t region_id;
    uint16_t multiplier, target; /* hundredths */
    bool stored;                 /* has a row */
    bool tracked;                /* of this tick: to be settled */
} SurgeCell;

typedef void *(*SurgeResize)(void *memory, size_t bytes); /* memory NULL: new; never returns NULL */

typedef struct SurgeField {
    SurgeCell *cells;
    int count, room;
    uint32_t *index; /* open addressing: 0 empty, else a cell's number + 1 */
    uint32_t slots;  /* a power of two */
    SurgeResize resize;
} SurgeField;

/* Hash of a cell's key; also of the index in shared memory. */
extern uint32_t surge_cell_hash(int16_t region_id, int64_t cell);

/* An empty field with room for `room` cells; it grows. */
extern void surge_field_init(SurgeField *field, int room, SurgeResize resize);

/* The number of a cell; -1: it is not in the field. */
extern int surge_field_find(const SurgeField *field, int16_t region_id, int64_t cell);

/* The number of a cell, added with neither demand nor surge where it is not there. */
extern int surge_field_enter(SurgeField *field, int16_t region_id, int64_t cell);

/* The same as a pointer, which the next cell that is added makes invalid. */
extern SurgeCell *surge_field_cell(SurgeField *field, int16_t region_id, int64_t cell);

/* The region of an id among `count` in the order of their ids; NULL: none. */
extern const SurgeRegion *surge_region(const SurgeRegion *regions, int count, int16_t id);

/* Every cell with demand lends to its neighbours, which are added. After all demand was counted, once. */
extern void surge_field_surround(SurgeField *field, const SurgeRegion *regions, int count);

/* An available driver at a place counts in each region whose bounding box it is in, in its cell, if there. */
extern void surge_field_count_driver(SurgeField *field, const SurgeRegion *regions, int count, double lat,
                                     double lng);

/*
 * Settle cell number i: averages moved by `share` (surge_share()), ratio, target and state. Returns the state
 * before. Counts and `around` are not changed. A cell of no interest (no demand, no surge, and too little
 * lent to it) is left untracked.
 */
extern SurgeState surge_field_settle(SurgeField *field, int i, const SurgeRegion *region, double share,
                                     int64_t now);

/* Is there anything to remember of a cell until the next tick? */
extern bool surge_cell_matters(const SurgeCell *cell);

/* Demand of a cell itself: requests, and those who look by their weight. */
extern double surge_cell_demand(const SurgeCell *cell, double quote_weight);

#endif
