/* The surge decision of one hexagon, and how it answers to steps, impulses and noise. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "pricing/surge.h"

#define SECOND    INT64_C(1000000)
#define MINUTE    (60 * SECOND)
#define HOLD      (5 * MINUTE)
#define INTERVAL  (30 * SECOND)
#define HALF_LIFE (2 * MINUTE)

static const SurgeStep usual[] = {{1, 100}, {1.5, 110}, {2, 130}, {3, 150}, {4, 180}};
static const SurgeRules rules = {.steps = usual, .count = 5, .cap = 300, .mode = SURGE_ON, .hold_us = HOLD};

static void the_ratio_table_decides(void)
{
    CHECK_INT(surge_target(&rules, 0), 100);
    CHECK_INT(surge_target(&rules, 0.99), 100);
    CHECK_INT(surge_target(&rules, 1), 110);
    CHECK_INT(surge_target(&rules, 1.4), 110);
    CHECK_INT(surge_target(&rules, 1.5), 130);
    CHECK_INT(surge_target(&rules, 2), 150);
    CHECK_INT(surge_target(&rules, 3), 180);
    CHECK_INT(surge_target(&rules, 3.9), 180);
    CHECK_INT(surge_target(&rules, 4), 200);
    CHECK_INT(surge_target(&rules, 4.7), 235);
    CHECK_INT(surge_target(&rules, 6), 300);
    CHECK_INT(surge_target(&rules, 2e9), 300);
}

static void a_ratio_of_sums_may_be_a_hair_below_the_edge(void)
{
    CHECK_INT(surge_target(&rules, 0.1 * 3 / 0.2), 130);
    CHECK_INT(surge_target(&rules, 1.5 - 1e-9), 130);
    CHECK_INT(surge_target(&rules, 1.499), 110);
}

static void what_is_no_number_is_no_surge(void)
{
    CHECK_INT(surge_target(&rules, NAN), 100);
    CHECK_INT(surge_target(&rules, -5), 100);
    CHECK_INT(surge_target(&rules, INFINITY), 300);
}

static void the_cap_holds_everywhere(void)
{
    SurgeRules capped = rules;

    capped.cap = 120;
    CHECK_INT(surge_target(&capped, 3), 120);
    CHECK_INT(surge_target(&capped, 10), 120);
    CHECK_INT(surge_target(&capped, 1.4), 110);
    capped.cap = 100;
    CHECK_INT(surge_next(&capped, (SurgeState){100, 0}, 10, 0).multiplier, 100);
}

static void it_climbs_one_step_a_tick(void)
{
    const int expected[] = {110, 130, 150, 180, 210, 240, 270, 300, 300};
    SurgeState state = {SURGE_NONE, 0};

    for (int n = 0; n < 9; n++) {
        state = surge_next(&rules, state, 10, n * MINUTE);
        CHECK_INT(state.multiplier, expected[n]);
    }
    CHECK_INT(state.held_until, 7 * MINUTE + HOLD);
}

static void once_up_it_is_held_and_then_falls_one_step_a_tick(void)
{
    SurgeState state = surge_next(&rules, (SurgeState){130, 0}, 2.5, 0);

    CHECK_INT(state.multiplier, 150);
    state = surge_next(&rules, state, 0, HOLD - 1);
    CHECK_INT(state.multiplier, 150);
    state = surge_next(&rules, state, 0, HOLD);
    CHECK_INT(state.multiplier, 130);
    state = surge_next(&rules, state, 0, HOLD);
    CHECK_INT(state.multiplier, 110);
    state = surge_next(&rules, state, 0, HOLD);
    CHECK_INT(state.multiplier, SURGE_NONE);
}

static void a_lowered_cap_acts_at_once(void)
{
    SurgeRules capped = rules;

    capped.cap = 150;
    CHECK_INT(surge_next(&capped, (SurgeState){300, HOLD}, 10, 0).multiplier, 150);
    capped.mode = SURGE_FROZEN;
    CHECK_INT(surge_next(&capped, (SurgeState){300, HOLD}, 10, 0).multiplier, 150);
}

/* The clock was set back, or hail.surge_hold lowered, since it rose. */
static void no_hold_is_longer_than_one(void)
{
    SurgeRules shorter = rules;

    CHECK_INT(surge_next(&rules, (SurgeState){150, HOLD}, 0, 0).multiplier, 150);
    CHECK_INT(surge_next(&rules, (SurgeState){150, HOLD + 1}, 0, 0).multiplier, 130);
    CHECK_INT(surge_why(&rules, (SurgeState){150, HOLD + 1}, 0, 0), SURGE_WHY_FALLING);
    shorter.hold_us = MINUTE;
    CHECK_INT(surge_next(&shorter, (SurgeState){150, 2 * MINUTE}, 0, 0).multiplier, 130);
    CHECK_INT(surge_next(&shorter, (SurgeState){150, 2 * MINUTE}, 0, MINUTE).multiplier, 150);
}

/* A word that tells of a move is one that the next tick makes. */
static void the_reason_is_what_the_tick_does(void)
{
    for (int multiplier = 100; multiplier <= 320; multiplier++)
        for (double ratio = 0; ratio < 8; ratio += 0.03) {
            SurgeState state = {multiplier, 0};
            int next = surge_next(&rules, state, ratio, HOLD).multiplier;
            SurgeWhy why = surge_why(&rules, state, ratio, HOLD);

            CHECK_INT(why == SURGE_WHY_RISING, next > multiplier);
            CHECK_INT(why == SURGE_WHY_FALLING, next < multiplier);
            CHECK(why != SURGE_WHY_NEAR || multiplier > 170);
            if (unit_broken > 10)
                return;
        }
    CHECK_INT(surge_why(&rules, (SurgeState){230, 0}, 4.7, 0), SURGE_WHY_NEAR);
    CHECK_INT(surge_why(&rules, (SurgeState){270, 0}, 4.6, 0), SURGE_WHY_NEAR);
}

static void off_and_frozen(void)
{
    SurgeRules still = rules;

    still.mode = SURGE_OFF;
    CHECK_INT(surge_next(&still, (SurgeState){300, HOLD}, 10, 0).multiplier, SURGE_NONE);
    CHECK_INT(surge_next(&still, (SurgeState){300, HOLD}, 10, 0).held_until, 0);
    still.mode = SURGE_FROZEN;
    CHECK_INT(surge_next(&still, (SurgeState){130, 0}, 10, HOLD).multiplier, 130);
    CHECK_INT(surge_next(&still, (SurgeState){130, 0}, 0, HOLD).multiplier, 130);
    CHECK_INT(surge_next(&still, (SurgeState){130, 7}, 0, HOLD).held_until, 7);
}

static void lowered_only_when_a_band_below_the_edge(void)
{
    /* 1.3 from 1.5 on: 1.5 / 1.15 = 1.304 */
    CHECK_INT(surge_next(&rules, (SurgeState){130, 0}, 1.49, HOLD).multiplier, 130);
    CHECK_INT(surge_next(&rules, (SurgeState){130, 0}, 1.31, HOLD).multiplier, 130);
    CHECK_INT(surge_next(&rules, (SurgeState){130, 0}, 1.30, HOLD).multiplier, 110);
}

static void every_state_has_its_reason(void)
{
    SurgeRules r = rules;

    CHECK_INT(surge_why(&r, (SurgeState){100, 0}, 0.5, 0), SURGE_WHY_TABLE);
    CHECK_INT(surge_why(&r, (SurgeState){110, HOLD}, 2.5, 0), SURGE_WHY_RISING);
    CHECK_INT(surge_why(&r, (SurgeState){150, HOLD}, 0.5, 0), SURGE_WHY_HELD);
    CHECK_INT(surge_why(&r, (SurgeState){150, HOLD}, 0.5, HOLD), SURGE_WHY_FALLING);
    CHECK_INT(surge_why(&r, (SurgeState){130, 0}, 1.45, HOLD), SURGE_WHY_BAND);
    CHECK_INT(surge_why(&r, (SurgeState){300, 0}, 9, 0), SURGE_WHY_CAPPED);
    CHECK_INT(surge_why(&r, (SurgeState){300, 0}, 6, 0), SURGE_WHY_TABLE);
    r.mode = SURGE_FROZEN;
    CHECK_INT(surge_why(&r, (SurgeState){100, 0}, 9, 0), SURGE_WHY_FROZEN);
    r.mode = SURGE_OFF;
    CHECK_INT(surge_why(&r, (SurgeState){100, 0}, 9, 0), SURGE_WHY_OFF);
}

static void an_average_goes_half_its_way_in_a_half_life(void)
{
    double share = surge_share(MINUTE, MINUTE);

    CHECK(fabs(share - 0.5) < 1e-12);
    CHECK(fabs(surge_average(8, 4, share) - 6) < 1e-12);
    CHECK_INT(surge_share(0, MINUTE) == 0, 1);
    CHECK(surge_share(-1, MINUTE) == 1); /* the clock was set back */
    CHECK(surge_share(MINUTE, 0) == 1);
    /* two ticks in half the time each go as far as one */
    share = surge_share(MINUTE / 2, MINUTE);
    CHECK(fabs(surge_average(surge_average(8, 4, share), 4, share) - 6) < 1e-9);
    CHECK(surge_average(0.0101, 0, 0.5) == 0);
}

/* ---- a hexagon over time: demand and supply given, averaged, decided every INTERVAL ---- */

typedef struct Run {
    double demand, supply; /* averages */
    SurgeState state;
    int64_t now;
    int highest, turns, rises, falls; /* turns: rise after fall and the other way round */
    int direction;                    /* of the last move */
} Run;

static Run begin_run(void)
{
    return (Run){.supply = -1, .state = {SURGE_NONE, 0}, .highest = SURGE_NONE};
}

static bool is_one_step(int from, int to)
{
    const int ladder[] = {100, 110, 130, 150, 180};
    int low = from < to ? from : to, high = from < to ? to : from, passed = 0;

    for (int k = 0; k < 5; k++)
        passed += ladder[k] > low && ladder[k] < high;
    return passed == 0 && (high <= 180 || high - low <= 30);
}

static void run_tick(Run *run, double demand, double supply)
{
    double share = surge_share(INTERVAL, HALF_LIFE), ratio;
    SurgeState before = run->state;
    int move;

    run->demand = surge_average(run->demand, demand, share);
    run->supply = run->supply < 0 ? supply : surge_average(run->supply, supply, share);
    ratio = run->demand / (run->supply < 1 ? 1 : run->supply);
    run->state = surge_next(&rules, before, ratio, run->now);
    move = run->state.multiplier - before.multiplier;
    CHECK(is_one_step(before.multiplier, run->state.multiplier));
    CHECK(move >= 0 || run->now >= before.held_until);
    CHECK(move <= 0 || run->state.held_until == run->now + HOLD);
    if (move != 0) {
        run->turns += run->direction != 0 && (move > 0) != (run->direction > 0);
        run->direction = move;
        run->rises += move > 0;
        run->falls += move < 0;
    }
    if (run->state.multiplier > run->highest)
        run->highest = run->state.multiplier;
    run->now += INTERVAL;
}

static void a_step_is_followed_without_overshoot(void)
{
    for (int demand = 0; demand <= 40; demand++) {
        Run run = begin_run();
        int target = surge_target(&rules, demand / 5.0);

        for (int n = 0; n < 60; n++)
            run_tick(&run, demand, 5);
        CHECK(run.state.multiplier == target || target - run.state.multiplier < SURGE_LEAST_MOVE);
        CHECK(run.highest <= target);
        CHECK_INT(run.turns, 0);
        for (int n = 0; n < 60; n++)
            run_tick(&run, 0, 5);
        CHECK_INT(run.state.multiplier, SURGE_NONE);
        CHECK(run.turns <= 1);
        if (unit_broken > 10)
            return;
    }
}

/* One tick's worth of demand out of nothing, then nothing. */
static void an_impulse_decays(void)
{
    Run run = begin_run();
    int64_t rose_at;

    run_tick(&run, 0, 5);
    run_tick(&run, 50, 5);
    rose_at = run.now - INTERVAL;
    CHECK_INT(run.highest, 110);
    for (int n = 0; n < 30 && run.state.multiplier > SURGE_NONE; n++)
        run_tick(&run, 0, 5);
    CHECK_INT(run.state.multiplier, SURGE_NONE);
    CHECK(run.highest <= 150);
    CHECK_INT(run.turns, 1);
    CHECK(run.now - INTERVAL - rose_at >= HOLD);
    CHECK(run.now - INTERVAL - rose_at <= HOLD + 4 * MINUTE);
}

/* The ratio hovers about an edge of the table, within a tenth. */
static void noise_about_an_edge_does_not_flap(void)
{
    const double edges[] = {1, 1.5, 2, 3, 4, 5, 5.5};

    srand(4711);
    for (int e = 0; e < 7; e++) {
        Run run = begin_run();

        for (int n = 0; n < 2880; n++) /* a day */
            run_tick(&run, edges[e] * 20 * (0.95 + 0.1 * rand() / RAND_MAX), 20);
        CHECK_INT(run.turns, 0);
        CHECK_INT(run.falls, 0);
        CHECK(run.rises <= 12); /* past the table's end it does not creep */
    }
}

/* Counts as they come: now and then a trip, which counts for ten minutes; drivers who wander in and out. The
 * mean ratio lies on an edge of the table, which is the worst that can be. */
static void noisy_counts_turn_seldom(void)
{
    enum { WINDOW = 20, DAY = 2880 };
    int trips[WINDOW] = {0}, total_turns = 0;

    srand(815);
    for (int cell = 0; cell < 20; cell++) {
        Run run = begin_run();

        for (int n = 0; n < DAY; n++) {
            int demand = 0, supply = 0;

            trips[n % WINDOW] = (rand() % 10 < 3) + (rand() % 10 < 3);
            for (int k = 0; k < WINDOW; k++)
                demand += trips[k];
            for (int k = 0; k < 16; k++)
                supply += rand() % 2;
            run_tick(&run, demand, supply);
        }
        total_turns += run.turns;
    }
    /* without averages, band and hold there are 1,260 a day, with the hold alone 310 */
    CHECK(total_turns / 20 <= 100);
}

/* Any table, any history: never below 1, never above the cap, never more than one step, never past the
 * target. */
static void random_histories_stay_within_bounds(void)
{
    srand(4711);
    for (int n = 0; n < 2000; n++) {
        SurgeStep steps[6];
        SurgeRules any = {.steps = steps, .count = rand() % 7, .cap = 100 + rand() % 400, .hold_us = HOLD};
        SurgeState state = {SURGE_NONE, 0};

        for (int k = 0; k < any.count; k++)
            steps[k] = (SurgeStep){1 + k * 0.5, (k ? steps[k - 1].multiplier : 100) + rand() % 60};
        for (int tick = 0; tick < 100; tick++) {
            double ratio = (rand() % 2000) / (1.0 + rand() % 400);
            SurgeState next = surge_next(&any, state, ratio, tick * MINUTE);
            int target = surge_target(&any, ratio);

            CHECK(next.multiplier >= SURGE_NONE && next.multiplier <= any.cap);
            CHECK(next.multiplier >= state.multiplier || tick * MINUTE >= state.held_until);
            CHECK(next.multiplier <= state.multiplier || next.held_until == tick * MINUTE + HOLD);
            CHECK(next.multiplier <= state.multiplier || next.multiplier <= target);
            CHECK(next.multiplier >= state.multiplier || next.multiplier >= target);
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
    RUN(a_ratio_of_sums_may_be_a_hair_below_the_edge);
    RUN(what_is_no_number_is_no_surge);
    RUN(the_cap_holds_everywhere);
    RUN(it_climbs_one_step_a_tick);
    RUN(once_up_it_is_held_and_then_falls_one_step_a_tick);
    RUN(a_lowered_cap_acts_at_once);
    RUN(no_hold_is_longer_than_one);
    RUN(the_reason_is_what_the_tick_does);
    RUN(off_and_frozen);
    RUN(lowered_only_when_a_band_below_the_edge);
    RUN(every_state_has_its_reason);
    RUN(an_average_goes_half_its_way_in_a_half_life);
    RUN(a_step_is_followed_without_overshoot);
    RUN(an_impulse_decays);
    RUN(noise_about_an_edge_does_not_flap);
    RUN(noisy_counts_turn_seldom);
    RUN(random_histories_stay_within_bounds);
    return unit_result();
}
