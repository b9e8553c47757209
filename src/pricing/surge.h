/*
 * surge.h
 *    The surge decision of one hexagon. Pure: no clock, no tables; everything it needs is in its arguments.
 *
 * Multipliers are hundredths (150 = 1.5). The ratio is demand (trips requested in the window) over supply
 * (available drivers in the hexagon); where nobody is available it is the demand itself, as if one driver
 * were.
 */
#ifndef HAIL_PRICING_SURGE_H
#define HAIL_PRICING_SURGE_H

#include <stdint.h>

#define SURGE_NONE 100

typedef struct SurgeStep {
    double below_ratio;
    int multiplier; /* SURGE_NONE or more */
} SurgeStep;

/* A region's ratio table: steps ascend in both columns. */
typedef struct SurgeTable {
    const SurgeStep *steps;
    int count; /* may be 0 */
    int cap;   /* highest multiplier, SURGE_NONE or more */
} SurgeTable;

typedef struct SurgeState {
    int multiplier;
    int64_t held_until; /* microseconds; not lowered before; 0: not held */
} SurgeState;

/* What the table says for a hexagon: the multiplier of the first step whose below_ratio is above the ratio;
 * past the last one half the ratio (rounded down, not below the last step). Never above the cap. */
extern int surge_target(const SurgeTable *table, int demand, int supply);

/*
 * The next state, one tick later: towards the target by at most one step of the table, up or down (past the
 * table's end a step is as high as its last one). A rise holds the multiplier for `hold` microseconds from
 * `now`; only a lowered cap goes through a hold, and at once.
 */
extern SurgeState surge_next(const SurgeTable *table, SurgeState current, int demand, int supply, int64_t now,
                             int64_t hold);

#endif
