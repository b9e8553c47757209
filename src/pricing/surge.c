/* The surge decision; see surge.h. */
#include "pricing/surge.h"

#define DEFAULT_STEP 20 /* hundredths: a step where the table has less than two multipliers */

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static int last_multiplier(const SurgeTable *table)
{
    return table->count > 0 ? table->steps[table->count - 1].multiplier : SURGE_NONE;
}

/* Half the ratio in hundredths, rounded down; int64: demand is any int. */
static int half_ratio(int demand, int drivers)
{
    int64_t hundredths = (int64_t)demand * 50 / drivers;

    return hundredths > INT32_MAX ? INT32_MAX : (int)hundredths;
}

int surge_target(const SurgeTable *table, int demand, int supply)
{
    int drivers = max_int(supply, 1);
    int beyond = max_int(half_ratio(demand, drivers), last_multiplier(table));

    for (int k = 0; k < table->count; k++)
        if (demand < table->steps[k].below_ratio * drivers)
            return min_int(table->steps[k].multiplier, table->cap);
    return min_int(beyond, table->cap);
}

/* Height of a step past the table's end. */
static int last_step_height(const SurgeTable *table)
{
    int height = table->count >= 2 ? last_multiplier(table) - table->steps[table->count - 2].multiplier : 0;

    return height > 0 ? height : DEFAULT_STEP;
}

static int step_above(const SurgeTable *table, int multiplier)
{
    for (int k = 0; k < table->count; k++)
        if (table->steps[k].multiplier > multiplier)
            return table->steps[k].multiplier;
    return multiplier + last_step_height(table);
}

static int step_below(const SurgeTable *table, int multiplier)
{
    int last = last_multiplier(table);

    if (multiplier > last)
        return max_int(multiplier - last_step_height(table), last);
    for (int k = table->count - 1; k >= 0; k--)
        if (table->steps[k].multiplier < multiplier)
            return table->steps[k].multiplier;
    return SURGE_NONE;
}

SurgeState surge_next(const SurgeTable *table, SurgeState current, int demand, int supply, int64_t now,
                      int64_t hold)
{
    int target = surge_target(table, demand, supply);
    SurgeState next = current;

    if (current.multiplier > table->cap)
        next.multiplier = table->cap;
    else if (target > current.multiplier) {
        next.multiplier = min_int(target, step_above(table, current.multiplier));
        next.held_until = now + hold;
    } else if (target < current.multiplier && now >= current.held_until)
        next.multiplier = max_int(target, step_below(table, current.multiplier));
    return next;
}
