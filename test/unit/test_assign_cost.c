/* What a pair of a batch costs, and what leaving the trip does: which of them the assignment then prefers. */
#include <math.h>

#include "dispatch/assign.h"
#include "dispatch/assign_cost.h"
#include "unit.h"

static const AssignPair at_100_s = {.eta_s = 100, .acceptance = 1};

static int64_t edge(double waited_s, double eta_s)
{
    return assign_edge_cost(&assign_terms_default, &(AssignTrip){waited_s, 600},
                            &(AssignPair){.eta_s = eta_s, .acceptance = 1});
}

static int64_t none(double waited_s)
{
    return assign_unmatched_cost(&assign_terms_default, &(AssignTrip){waited_s, 600});
}

static void a_pair_costs_its_pickup_time(void)
{
    CHECK_INT(edge(0, 100), 100000000);
    CHECK_INT(edge(0, 0), 0);
}

static void leaving_a_trip_costs_more_the_longer_it_has_waited(void)
{
    CHECK_INT(none(0), 150000000);
    CHECK_INT(none(60), 180000000);
}

static void a_new_trip_waits_for_a_nearer_driver(void)
{
    CHECK(edge(0, 149) < none(0));
    CHECK(edge(0, 151) > none(0));
    CHECK(edge(58, 178) < none(58));
    CHECK(edge(58, 180) > none(58));
}

static void a_trip_that_has_waited_takes_any_driver_left_over(void)
{
    CHECK(edge(60, 181) < none(60));
    CHECK(edge(60, 5000) < none(60));
    CHECK(edge(60, 900000) < none(60));
    CHECK(edge(60, 300) < edge(60, 305));
    CHECK(edge(60, 178.9) < edge(60, 300));
}

/* Two trips, one driver: near to one that has just come, far from one that has waited. */
static void a_far_pair_never_takes_a_driver_from_a_near_one(void)
{
    int64_t far_chosen = edge(200, 260) + none(0), near_chosen = edge(0, 140) + none(200);

    CHECK(near_chosen < far_chosen);
}

static void between_equally_near_trips_the_longer_wait_goes_first(void)
{
    CHECK(edge(90, 100) + none(10) < edge(10, 100) + none(90));
    CHECK(edge(90, 130) + none(10) < edge(10, 100) + none(90));
    CHECK(edge(90, 150) + none(10) > edge(10, 100) + none(90));
}

static void a_driver_who_often_declines_counts_as_farther(void)
{
    AssignPair pair = at_100_s;
    AssignTrip trip = {0};

    pair.acceptance = 0.6;
    CHECK_INT(assign_edge_cost(&assign_terms_default, &trip, &pair), 106000000);
    pair.acceptance = NAN;
    CHECK_INT(assign_edge_cost(&assign_terms_default, &trip, &pair), 115000000);
    pair.acceptance = 7;
    CHECK_INT(assign_edge_cost(&assign_terms_default, &trip, &pair), 100000000);
}

static void idle_time_and_length_of_the_ride_count_by_their_weights(void)
{
    AssignTerms terms = {.reach_s = 150, .far_after_s = 100, .trip_weight = 0.01, .idle_weight = 0.1};
    AssignTrip trip = {.ride_s = 600};
    AssignPair pair = at_100_s;

    CHECK_INT(assign_edge_cost(&terms, &trip, &pair), 106000000);
    pair.idle_s = 900;
    CHECK_INT(assign_edge_cost(&terms, &trip, &pair), 16000000);
    pair.idle_s = 36000;
    CHECK_INT(assign_edge_cost(&terms, &trip, &pair), -254000000);
}

static void where_it_is_quiet_every_pair_is_near(void)
{
    AssignTrip trip = {.ride_s = 600};
    AssignPair far = {.eta_s = 3000, .acceptance = 1};
    AssignTerms quiet = assign_terms_now(&assign_terms_default, ASSIGN_QUIET, ASSIGN_QUIET);
    AssignTerms scarce = assign_terms_now(&assign_terms_default, ASSIGN_QUIET, ASSIGN_QUIET - 1);
    AssignTerms busy = assign_terms_now(&assign_terms_default, ASSIGN_QUIET + 1, 100);

    CHECK(assign_edge_cost(&quiet, &trip, &far) < assign_unmatched_cost(&quiet, &trip));
    CHECK(assign_edge_cost(&scarce, &trip, &far) > assign_unmatched_cost(&scarce, &trip));
    CHECK(assign_edge_cost(&busy, &trip, &far) > assign_unmatched_cost(&busy, &trip));
}

static void every_cost_lies_in_the_range_of_the_assignment(void)
{
    static const double values[] = {NAN, INFINITY, -INFINITY, -1, 0, 1e300, 1e6, 17};
    const AssignTerms wild = {1e300, 1e300, NAN, 1e300, 1e300, 1e300};
    const AssignTerms *terms[] = {&assign_terms_default, &wild};

    for (int t = 0; t < 2; t++)
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j++)
                for (int k = 0; k < 8; k++) {
                    AssignTrip trip = {values[i], values[j]};
                    AssignPair pair = {values[k], values[i], values[j]};
                    int64_t cost = assign_edge_cost(terms[t], &trip, &pair);

                    CHECK(cost >= -ASSIGN_COST_MAX && cost <= ASSIGN_COST_MAX);
                    cost = assign_unmatched_cost(terms[t], &trip);
                    CHECK(cost >= -ASSIGN_COST_MAX && cost <= ASSIGN_COST_MAX);
                }
}

int main(void)
{
    RUN(a_pair_costs_its_pickup_time);
    RUN(leaving_a_trip_costs_more_the_longer_it_has_waited);
    RUN(a_new_trip_waits_for_a_nearer_driver);
    RUN(a_trip_that_has_waited_takes_any_driver_left_over);
    RUN(a_far_pair_never_takes_a_driver_from_a_near_one);
    RUN(between_equally_near_trips_the_longer_wait_goes_first);
    RUN(a_driver_who_often_declines_counts_as_farther);
    RUN(idle_time_and_length_of_the_ride_count_by_their_weights);
    RUN(where_it_is_quiet_every_pair_is_near);
    RUN(every_cost_lies_in_the_range_of_the_assignment);
    return unit_result();
}
