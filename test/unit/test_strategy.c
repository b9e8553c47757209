/* What each strategy makes of its rounds. */
#include <string.h>

#include "dispatch/strategy.h"
#include "unit.h"

static StrategyTerms terms_of(StrategyKind kind)
{
    return (StrategyTerms){.kind = kind,
                           .rounds_per_radius = 2,
                           .radius_count = 3,
                           .offers_per_round = 5,
                           .sequential_offers = 4,
                           .bid_drivers = 10,
                           .offer_ttl_us = 15,
                           .sequential_ttl_us = 10,
                           .bid_ttl_us = 30};
}

static int plan_is(StrategyKind kind, int round, int offers, int ttl, int radius, int pass, int next)
{
    StrategyTerms terms = terms_of(kind);
    RoundPlan plan = strategy_round(&terms, round);

    return plan.offers == offers && plan.ttl_us == ttl && plan.radius_index == radius &&
           plan.pass_start == pass && plan.next_group == next;
}

static void first_accept_asks_several_and_widens(void)
{
    CHECK(plan_is(STRATEGY_FIRST_ACCEPT, 1, 5, 15, 0, 1, 3));
    CHECK(plan_is(STRATEGY_FIRST_ACCEPT, 3, 5, 15, 1, 1, 5));
    CHECK(plan_is(STRATEGY_FIRST_ACCEPT, 7, 5, 15, 2, 7, 9));
}

static void sequential_asks_one_at_a_time_first(void)
{
    CHECK(plan_is(STRATEGY_SEQUENTIAL, 1, 1, 10, 0, 1, 7));
    CHECK(plan_is(STRATEGY_SEQUENTIAL, 4, 1, 10, 0, 1, 7));
}

static void sequential_goes_on_as_first_accept(void)
{
    CHECK(plan_is(STRATEGY_SEQUENTIAL, 5, 5, 15, 0, 1, 7));
    CHECK(plan_is(STRATEGY_SEQUENTIAL, 7, 5, 15, 1, 1, 9));
    CHECK(plan_is(STRATEGY_SEQUENTIAL, 10, 5, 15, 2, 1, 11));
    CHECK(plan_is(STRATEGY_SEQUENTIAL, 11, 5, 15, 2, 11, 13));
}

static void bids_are_asked_of_more_and_wider_each_round(void)
{
    StrategyTerms terms = terms_of(STRATEGY_BROADCAST_BID);

    CHECK(plan_is(STRATEGY_BROADCAST_BID, 1, 10, 30, 0, 1, 2));
    CHECK(plan_is(STRATEGY_BROADCAST_BID, 2, 10, 30, 1, 1, 3));
    CHECK(plan_is(STRATEGY_BROADCAST_BID, 4, 10, 30, 2, 4, 5));
    CHECK(strategy_round(&terms, 1).bids);
}

static void scheduled_trips_are_matched_as_first_accept(void)
{
    CHECK(plan_is(STRATEGY_SCHEDULED, 3, 5, 15, 1, 1, 5));
}

static void batched_trips_have_no_round_of_their_own(void)
{
    StrategyTerms terms = terms_of(STRATEGY_BATCHED);

    CHECK(strategy_round(&terms, 1).leave_to_batch);
    CHECK(plan_is(STRATEGY_BATCHED, 1, 1, 15, 0, 1, 3));
}

static void names_are_found_and_no_others(void)
{
    for (StrategyKind kind = 0; kind < STRATEGY_COUNT; kind++)
        CHECK(strategy_by_name(strategy_name(kind)) == kind);
    CHECK(strategy_by_name("loudest") == STRATEGY_COUNT);
    CHECK(strategy_by_name("") == STRATEGY_COUNT);
}

int main(void)
{
    RUN(first_accept_asks_several_and_widens);
    RUN(sequential_asks_one_at_a_time_first);
    RUN(sequential_goes_on_as_first_accept);
    RUN(bids_are_asked_of_more_and_wider_each_round);
    RUN(scheduled_trips_are_matched_as_first_accept);
    RUN(batched_trips_have_no_round_of_their_own);
    RUN(names_are_found_and_no_others);
    return unit_result();
}
