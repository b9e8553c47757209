/*
 * surge.h
 *    The surge decision of one hexagon. Pure: no clock, no tables; everything it needs is in its arguments.
 *
 * Multipliers are hundredths (150 = 1.5). The ratio is demand over supply, both averaged over time and over
 * neighbouring hexagons (surge_field.h); less than one driver counts as one. Three things keep a price from
 * jumping about: it moves by at most one step of its table a tick, what has risen is held for a while, and it
 * is lowered only once the ratio is a band below the step's edge.
 */
#ifndef HAIL_PRICING_SURGE_H
#define HAIL_PRICING_SURGE_H

#include <stdbool.h>
#include <stdint.h>

#define SURGE_NONE 100

/* A cap above this needs a reason. */
#define SURGE_USUAL_CAP 300

/* The ratio must be this much below the edge of a step, as a share of the ratio, to be lowered past it. */
#define SURGE_BAND 0.15

/* Past the end of its table, where the multiplier follows the ratio without steps, it moves by this much or
 * not at all. */
#define SURGE_LEAST_MOVE 10

typedef enum SurgeMode { SURGE_ON, SURGE_OFF, SURGE_FROZEN } SurgeMode;

typedef struct SurgeStep {
    double below_ratio;
    int multiplier; /* SURGE_NONE or more */
} SurgeStep;

/* How a region surges: its ratio table, whose steps ascend in both columns, and what bounds it. */
typedef struct SurgeRules {
    const SurgeStep *steps;
    int count; /* may be 0 */
    int cap;   /* highest multiplier, SURGE_NONE or more */
    SurgeMode mode;
    int64_t hold_us; /* what has risen is not lowered for so long */
} SurgeRules;

typedef struct SurgeState {
    int multiplier;
    int64_t held_until; /* microseconds; not lowered before; 0: not held */
} SurgeState;

/* Why a multiplier is what it is, rather than what the table says of the ratio. */
typedef enum SurgeWhy {
    SURGE_WHY_OFF,
    SURGE_WHY_FROZEN,
    SURGE_WHY_RISING,  /* one step a tick: more are to come */
    SURGE_WHY_HELD,    /* has risen lately */
    SURGE_WHY_BAND,    /* the ratio is below the step's edge, but not far enough */
    SURGE_WHY_FALLING, /* one step a tick */
    SURGE_WHY_CAPPED,  /* the table says more */
    SURGE_WHY_NEAR,    /* past the table's end, and too near to what the ratio gives to move */
    SURGE_WHY_TABLE    /* as the table says */
} SurgeWhy;

extern const char *const surge_why_names[];

/*
 * What the table says for a ratio: the multiplier of the first step whose below_ratio is above it; past the
 * last one half the ratio (rounded down, not below the last step). Never above the cap. A ratio that is no
 * number counts as 0.
 */
extern int surge_target(const SurgeRules *rules, double ratio);

/*
 * The next state, one tick later: towards the target by at most one step of the table, up or down (past the
 * table's end a step is as high as its last one). Never beyond the target. A rise holds the multiplier for
 * hold_us from `now`; only a lowered cap goes through a hold, and at once. A hold that ends later than that
 * is none: the clock was set back, or the time to hold lowered. Off: none, at once. Frozen: as it is, but for
 * the cap.
 */
extern SurgeState surge_next(const SurgeRules *rules, SurgeState current, double ratio, int64_t now);

/* Why `current`, as a tick has left it, is not what the table says: rising and falling only where
 * surge_next() would move it. */
extern SurgeWhy surge_why(const SurgeRules *rules, SurgeState current, double ratio, int64_t now);

/*
 * The moving average, exponential in time: how much of its way to a new value an average goes in `elapsed_us`
 * (0 to 1), which is half of it in half_life_us. 1 when elapsed_us is below 0: the clock was set back, what
 * was before is not known.
 */
extern double surge_share(int64_t elapsed_us, int64_t half_life_us);

/* The average moved on. What comes within a hundredth of the value is the value. */
extern double surge_average(double average, double value, double share);

#endif
