/* The score of a driver for a trip, and the order of rounds. */
#include <math.h>

#include "dispatch/rounds.h"
#include "dispatch/score.h"
#include "unit.h"

static const ScoreWeights shipped = {{.40, .20, .15, .10, .10, .05}};

static int near(double actual, double expected)
{
    return fabs(actual - expected) < 1e-12;
}

static void best_driver_scores_one(void)
{
    ScoreInput input = {0, 5000, 5, 1, 1, 1, true, 0, 1, 0, 1};

    CHECK(near(score_driver(&shipped, &input).total, 1));
}

static void worst_driver_scores_zero(void)
{
    ScoreInput input = {5000, 5000, 1, 0, 0, 0, false, 0, 1, 0, 1};

    CHECK(near(score_driver(&shipped, &input).total, 0));
}

static void terms_are_weighted_and_add_up(void)
{
    ScoreInput input = {1250, 5000, 4, .8, .5, .5, true, 0, 1, 0, 1};
    Score score = score_driver(&shipped, &input);
    double sum = 0;

    CHECK(near(score.term[SCORE_DISTANCE], .40 * .75));
    CHECK(near(score.term[SCORE_RATING], .20 * .75));
    CHECK(near(score.term[SCORE_ACCEPTANCE], .15 * .8));
    CHECK(near(score.term[SCORE_COMPLETION], .10 * .5));
    CHECK(near(score.term[SCORE_VEHICLE], .10 * .5));
    CHECK(near(score.term[SCORE_REPEAT], .05));
    for (int i = 0; i < SCORE_TERMS; i++)
        sum += score.term[i];
    CHECK(near(score.total, sum));
}

static void values_out_of_range_count_as_the_bound(void)
{
    ScoreInput beyond = {9000, 5000, 9, 2, 2, 2, false, 0, 1, 0, 1};
    ScoreInput unknown = {NAN, 5000, NAN, NAN, NAN, NAN, false, 0, 1, 0, 1};

    CHECK(near(score_driver(&shipped, &beyond).total, .20 + .15 + .10 + .10));
    CHECK(near(score_driver(&shipped, &unknown).total, 0));
}

static void ties_go_to_the_nearer_then_to_the_smaller_id(void)
{
    const unsigned char a[16] = {1}, b[16] = {2};

    CHECK(score_order(.9, 100, b, .8, 10, a) < 0);
    CHECK(score_order(.8, 10, b, .8, 100, a) < 0);
    CHECK(score_order(.8, 100, b, .8, 10, a) > 0);
    CHECK(score_order(.8, 10, a, .8, 10, b) < 0);
    CHECK_INT(score_order(.8, 10, a, .8, 10, a), 0);
}

static void rounds_widen_and_stay_at_the_widest(void)
{
    const int expected[] = {0, 0, 1, 1, 2, 2, 2, 2, 2};

    for (int round = 1; round <= 9; round++)
        CHECK_INT(round_radius_index(round, 2, 3), expected[round - 1]);
    CHECK_INT(round_radius_index(7, 3, 1), 0);
}

static void passes_start_again_at_the_widest(void)
{
    const int expected[] = {1, 1, 1, 1, 1, 1, 7, 7, 9, 9};

    for (int round = 1; round <= 10; round++)
        CHECK_INT(round_pass_start(round, 2, 3), expected[round - 1]);
}

static void groups_skip_the_rest_of_a_radius(void)
{
    CHECK_INT(round_next_group(1, 2), 3);
    CHECK_INT(round_next_group(2, 2), 3);
    CHECK_INT(round_next_group(6, 2), 7);
    CHECK_INT(round_next_group(7, 2), 9);
    CHECK_INT(round_next_group(4, 1), 5);
}

int main(void)
{
    RUN(best_driver_scores_one);
    RUN(worst_driver_scores_zero);
    RUN(terms_are_weighted_and_add_up);
    RUN(values_out_of_range_count_as_the_bound);
    RUN(ties_go_to_the_nearer_then_to_the_smaller_id);
    RUN(rounds_widen_and_stay_at_the_widest);
    RUN(passes_start_again_at_the_widest);
    RUN(groups_skip_the_rest_of_a_radius);
    return unit_result();
}
