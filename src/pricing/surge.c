/* The surge decision; see surge.h. */
#include "pricing/surge.h"

#include <math.h>

#define DEFAULT_STEP 20   /* hundredths: a step where the table has less than two multipliers */
#define EQUAL        1e-6 /* ratios of sums of weights: what should be 1.5 may be a little less */
#define HIGHEST      1e6  /* of ratios; any cap is far below */

const char *const surge_why_names[] = {
    [SURGE_WHY_OFF] = "off",     [SURGE_WHY_FROZEN] = "frozen", [SURGE_WHY_RISING] = "rising",
    [SURGE_WHY_HELD] = "held",   [SURGE_WHY_BAND] = "band",     [SURGE_WHY_FALLING] = "falling",
    [SURGE_WHY_TABLE] = "table", [SURGE_WHY_CAPPED] = "capped", [SURGE_WHY_NEAR] = "near",
};

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static int last_multiplier(const SurgeRules *rules)
{
    return rules->count > 0 ? rules->steps[rules->count - 1].multiplier : SURGE_NONE;
}

/* What the table says, whatever the cap. */
static int uncapped_target(const SurgeRules *rules, double ratio)
{
    double known = ratio > 0 ? fmin(ratio, HIGHEST) + EQUAL : 0;

    for (int k = 0; k < rules->count; k++)
        if (known < rules->steps[k].below_ratio)
            return rules->steps[k].multiplier;
    return max_int((int)floor(known * 50), last_multiplier(rules));
}

int surge_target(const SurgeRules *rules, double ratio)
{
    return min_int(uncapped_target(rules, ratio), rules->cap);
}

/* Height of a step past the table's end. */
static int last_step_height(const SurgeRules *rules)
{
    int height = rules->count >= 2 ? last_multiplier(rules) - rules->steps[rules->count - 2].multiplier : 0;

    return height > 0 ? height : DEFAULT_STEP;
}

static int step_above(const SurgeRules *rules, int multiplier)
{
    for (int k = 0; k < rules->count; k++)
        if (rules->steps[k].multiplier > multiplier)
            return rules->steps[k].multiplier;
    return multiplier + last_step_height(rules);
}

static int step_below(const SurgeRules *rules, int multiplier)
{
    int last = last_multiplier(rules);

    if (multiplier > last)
        return max_int(multiplier - last_step_height(rules), last);
    for (int k = rules->count - 1; k >= 0; k--)
        if (rules->steps[k].multiplier < multiplier)
            return rules->steps[k].multiplier;
    return SURGE_NONE;
}

/* Is it worth moving from one multiplier to another? Past the table's end noise would move it every tick. */
static bool worth_moving(const SurgeRules *rules, int from, int to)
{
    int last = last_multiplier(rules);

    return from == to  ? false
           : to > from ? from < last || to == rules->cap || to - from >= SURGE_LEAST_MOVE
                       : from <= last || to <= last || from - to >= SURGE_LEAST_MOVE;
}

/* What the multiplier may be lowered to, were it not held. */
static int lowered_target(const SurgeRules *rules, double ratio)
{
    return surge_target(rules, ratio * (1 + SURGE_BAND));
}

/* Has risen lately. What is held for longer than a rise holds was written under another clock or setting. */
static bool is_held(const SurgeRules *rules, SurgeState current, int64_t now)
{
    return current.held_until > now && current.held_until - now <= rules->hold_us;
}

SurgeState surge_next(const SurgeRules *rules, SurgeState current, double ratio, int64_t now)
{
    int target = surge_target(rules, ratio), lowered = lowered_target(rules, ratio);
    SurgeState next = current;

    if (rules->mode == SURGE_OFF)
        return (SurgeState){SURGE_NONE, 0};
    if (current.multiplier > rules->cap)
        next.multiplier = rules->cap;
    else if (rules->mode == SURGE_FROZEN)
        return current;
    else if (target > current.multiplier && worth_moving(rules, current.multiplier, target)) {
        next.multiplier = min_int(target, step_above(rules, current.multiplier));
        next.held_until = now + rules->hold_us;
    } else if (lowered < current.multiplier && !is_held(rules, current, now) &&
               worth_moving(rules, current.multiplier, lowered))
        next.multiplier = max_int(lowered, step_below(rules, current.multiplier));
    return next;
}

SurgeWhy surge_why(const SurgeRules *rules, SurgeState current, double ratio, int64_t now)
{
    int target = surge_target(rules, ratio), lowered = lowered_target(rules, ratio);

    if (rules->mode == SURGE_OFF)
        return SURGE_WHY_OFF;
    if (rules->mode == SURGE_FROZEN)
        return SURGE_WHY_FROZEN;
    if (current.multiplier > rules->cap)
        return SURGE_WHY_FALLING;
    if (target > current.multiplier)
        return worth_moving(rules, current.multiplier, target) ? SURGE_WHY_RISING : SURGE_WHY_NEAR;
    if (target < current.multiplier && is_held(rules, current, now))
        return SURGE_WHY_HELD;
    if (target < current.multiplier && lowered >= current.multiplier)
        return SURGE_WHY_BAND;
    if (target < current.multiplier)
        return worth_moving(rules, current.multiplier, lowered) ? SURGE_WHY_FALLING : SURGE_WHY_NEAR;
    return uncapped_target(rules, ratio) > rules->cap ? SURGE_WHY_CAPPED : SURGE_WHY_TABLE;
}

double surge_share(int64_t elapsed_us, int64_t half_life_us)
{
    if (elapsed_us < 0 || half_life_us <= 0)
        return 1;
    return 1 - exp2(-(double)elapsed_us / (double)half_life_us);
}

double surge_average(double average, double value, double share)
{
    double moved = average + share * (value - average);

    return fabs(moved - value) <= 0.01 ? value : moved;
}
