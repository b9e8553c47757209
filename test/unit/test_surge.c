/* The surge decision of one hexagon. */
#include "unit.h"

#include <stdlib.h>

#include "pricing/surge.h"

#define MINUTE INT64_C(60000000)
#define HOLD   (5 * MINUTE)

static const SurgeStep usual[] = {{1, 100}, {1.5, 110}, {2, 130}, {3, 150}, {4, 180}};
static const SurgeTable table = {usual, 5, 300};

static void the_ratio_table_decides(void)
{
    CHECK_INT(surge_target(&table, 0, 0), 100);
    CHECK_INT(surge_target(&table, 0, 10), 100);
    CHECK_INT(surge_target(&table, 9, 10), 100);
    CHECK_INT(surge_target(&table, 10, 10), 110);
    CHECK_INT(surge_target(&table, 14, 10), 110);
    CHECK_INT(surge_target(&table, 15, 10), 130);
    CHECK_INT(surge_target(&table, 20, 10), 150);
    CHECK_INT(surge_target(&table, 30, 10), 180);
    CHECK_INT(surge_target(&table, 39, 10), 180);
    CHECK_INT(surge_target(&table, 40, 10), 200);
    CHECK_INT(surge_target(&table, 47, 10), 235);
    CHECK_INT(surge_target(&table, 60, 10), 300);
    CHECK_INT(surge_target(&table, 100, 10), 300);
    CHECK_INT(surge_target(&table, 2000000000, 1), 300);
}

static void without_drivers_the_ratio_is_the_demand(void)
{
    CHECK_INT(surge_target(&table, 1, 0), 110);
    CHECK_INT(surge_target(&table, 3, 0), 180);
    CHECK_INT(surge_target(&table, 5, 0), 250);
}

static void the_cap_holds_everywhere(void)
{
    SurgeTable capped = table;

    capped.cap = 120;
    CHECK_INT(surge_target(&capped, 30, 10), 120);
    CHECK_INT(surge_target(&capped, 100, 10), 120);
    CHECK_INT(surge_target(&capped, 14, 10), 110);
}

static void it_climbs_one_step_a_tick(void)
{
    const int expected[] = {110, 130, 150, 180, 210, 240, 270, 300, 300};
    SurgeState state = {SURGE_NONE, 0};

    for (int n = 0; n < 9; n++) {
        state = surge_next(&table, state, 100, 10, n * MINUTE, HOLD);
        CHECK_INT(state.multiplier, expected[n]);
    }
    CHECK_INT(state.held_until, 7 * MINUTE + HOLD);
}

static void once_up_it_is_held_and_then_falls_one_step_a_tick(void)
{
    SurgeState state = surge_next(&table, (SurgeState){130, 0}, 25, 10, 0, HOLD);

    CHECK_INT(state.multiplier, 150);
    state = surge_next(&table, state, 0, 10, HOLD - 1, HOLD);
    CHECK_INT(state.multiplier, 150);
    state = surge_next(&table, state, 0, 10, HOLD, HOLD);
    CHECK_INT(state.multiplier, 130);
    state = surge_next(&table, state, 0, 10, HOLD, HOLD);
    CHECK_INT(state.multiplier, 110);
    state = surge_next(&table, state, 0, 10, HOLD, HOLD);
    CHECK_INT(state.multiplier, SURGE_NONE);
}

static void a_lowered_cap_acts_at_once(void)
{
    SurgeTable capped = table;

    capped.cap = 150;
    CHECK_INT(surge_next(&capped, (SurgeState){300, HOLD}, 100, 10, 0, HOLD).multiplier, 150);
}

/* Any table, any history: never below 1, never above the cap, never more than one step. */
static void random_histories_stay_within_bounds(void)
{
    srand(4711);
    for (int n = 0; n < 2000; n++) {
        SurgeStep steps[6];
        SurgeTable any = {steps, rand() % 7, 100 + rand() % 400};
        SurgeState state = {SURGE_NONE, 0};

        for (int k = 0; k < any.count; k++)
            steps[k] = (SurgeStep){1 + k * 0.5, (k ? steps[k - 1].multiplier : 100) + rand() % 60};
        for (int tick = 0; tick < 100; tick++) {
            SurgeState next = surge_next(&any, state, rand() % 200, rand() % 40, tick * MINUTE, HOLD);

            CHECK(next.multiplier >= SURGE_NONE && next.multiplier <= any.cap);
            CHECK(next.multiplier >= state.multiplier || tick * MINUTE >= state.held_until);
            CHECK(next.multiplier <= state.multiplier || next.held_until == tick * MINUTE + HOLD);
            CHECK(abs(next.multiplier - state.multiplier) < 120);
            state = next;
        }
        if (unit_broken > 10)
            return;
    }
}

int main(void)
{
    RUN(the_ratio_table_decides);
    RUN(without_drivers_the_ratio_is_the_demand);
    RUN(the_cap_holds_everywhere);
    RUN(it_climbs_one_step_a_tick);
    RUN(once_up_it_is_held_and_then_falls_one_step_a_tick);
    RUN(a_lowered_cap_acts_at_once);
    RUN(random_histories_stay_within_bounds);
    return unit_result();
}
