/* Which drivers are shut out, and the order of the others; facts as they are recorded. */
#include <math.h>

#include "dispatch/decide.h"
#include "unit.h"

static DecideContext rules(void)
{
    return (DecideContext){.weights = {{.40, .20, .15, .10, .10, .05}},
                           .idle_span_s = 1800,
                           .recent_trips_max = 4,
                           .max_pending_offers = 3,
                           .round = 1,
                           .radius_m = 5000};
}

static DriverFacts driver(int id, float distance_m)
{
    return (DriverFacts){.driver_id = {id},
                         .distance_m = distance_m,
                         .rating = facts_rating(5),
                         .acceptance = facts_share(1),
                         .completion = facts_share(1),
                         .vehicle = facts_share(.5),
                         .recent_trips = FACTS_UNKNOWN};
}

static int order(const DecideContext *context, const DriverFacts *a, const DriverFacts *b)
{
    Verdict verdict_a = decide_driver(context, a), verdict_b = decide_driver(context, b);
    int result = decide_order(a, &verdict_a, b, &verdict_b);

    CHECK_INT(decide_order(b, &verdict_b, a, &verdict_a), -result);
    return result;
}

static int near(double actual, double expected)
{
    return fabs(actual - expected) < 1e-4;
}

static void every_gate_has_a_name(void)
{
    for (int gate = 0; gate < GATE_COUNT; gate++)
        CHECK(match_gate_names[gate] != NULL);
    for (int term = 0; term < SCORE_TERMS; term++)
        CHECK(score_term_names[term] != NULL);
}

static void nothing_shuts_out_a_free_driver_within_the_radius(void)
{
    DecideContext context = rules();
    DriverFacts d = driver(1, 5000);

    CHECK_INT(decide_gate(&context, &d), GATE_NONE);
}

static void dealings_with_the_trip_shut_out_and_are_told_first(void)
{
    DecideContext context = rules();
    DriverFacts d = driver(1, 9000);

    d.pending_offers = 3;
    d.flags = FACT_OTHER_AREA | FACT_WALLET_SHORT;
    for (int gate = GATE_SELF; gate <= GATE_ASKED; gate++) {
        d.excluded = gate;
        CHECK_INT(decide_gate(&context, &d), gate);
    }
}

static void gates_in_their_order(void)
{
    DecideContext context = rules();
    DriverFacts d = driver(1, 9000);

    context.max_pickup_m = 8000;
    d.pending_offers = 3;
    d.flags = FACT_OTHER_AREA | FACT_WALLET_SHORT;
    CHECK_INT(decide_gate(&context, &d), GATE_AREA);
    d.flags = FACT_WALLET_SHORT;
    CHECK_INT(decide_gate(&context, &d), GATE_WALLET);
    d.flags = 0;
    CHECK_INT(decide_gate(&context, &d), GATE_TOO_FAR);
    context.max_pickup_m = 0;
    CHECK_INT(decide_gate(&context, &d), GATE_RADIUS);
    d.distance_m = 100;
    CHECK_INT(decide_gate(&context, &d), GATE_OFFERS);
    d.pending_offers = 2;
    CHECK_INT(decide_gate(&context, &d), GATE_NONE);
}

static void a_queue_has_no_radius_but_the_hard_limit(void)
{
    DecideContext context = rules();
    DriverFacts d = driver(1, 9000);

    d.queue_place = 1;
    CHECK_INT(decide_gate(&context, &d), GATE_NONE);
    context.max_pickup_m = 8000;
    CHECK_INT(decide_gate(&context, &d), GATE_TOO_FAR);
}

static void idle_time_counts_up_to_its_span(void)
{
    DecideContext context = rules();
    DriverFacts d = driver(1, 0);

    context.weights.weight[SCORE_IDLE] = .5;
    d.idle_s = facts_idle(900);
    CHECK(near(decide_driver(&context, &d).score.term[SCORE_IDLE], .25));
    d.idle_s = facts_idle(7200);
    CHECK(near(decide_driver(&context, &d).score.term[SCORE_IDLE], .5));
    d.idle_s = facts_idle(-1);
    CHECK(near(decide_driver(&context, &d).score.term[SCORE_IDLE], .5));
}

static void few_recent_trips_count_as_more(void)
{
    DecideContext context = rules();
    DriverFacts d = driver(1, 0);

    context.weights.weight[SCORE_RECENT] = 1;
    d.recent_trips = 0;
    CHECK(near(decide_driver(&context, &d).score.term[SCORE_RECENT], 1));
    d.recent_trips = 3;
    CHECK(near(decide_driver(&context, &d).score.term[SCORE_RECENT], .25));
    d.recent_trips = 9;
    CHECK(near(decide_driver(&context, &d).score.term[SCORE_RECENT], 0));
}

static void under_overload_only_distance_counts(void)
{
    DecideContext context = rules();
    DriverFacts a = driver(1, 2000), b = driver(2, 1900);

    b.rating = 0;
    CHECK(order(&context, &a, &b) < 0);
    context.distance_only = true;
    CHECK(order(&context, &a, &b) > 0);
    CHECK(near(decide_driver(&context, &a).score.total, .6));
}

static void whoever_is_shut_out_comes_last(void)
{
    DecideContext context = rules();
    DriverFacts a = driver(1, 100), b = driver(2, 4900);

    a.excluded = GATE_DECLINED;
    CHECK(order(&context, &a, &b) > 0);
}

static void the_queue_comes_first_in_its_order(void)
{
    DecideContext context = rules();
    DriverFacts a = driver(1, 100), b = driver(2, 4900), c = driver(3, 4800);

    b.queue_place = 1;
    c.queue_place = 2;
    CHECK(order(&context, &b, &a) < 0);
    CHECK(order(&context, &c, &a) < 0);
    CHECK(order(&context, &b, &c) < 0);
}

static void favourites_come_first_only_where_asked(void)
{
    DecideContext context = rules();
    DriverFacts near_one = driver(1, 100), favourite = driver(2, 4900);

    favourite.flags = FACT_FAVOURITE | FACT_HIGHER_TIER;
    CHECK(order(&context, &near_one, &favourite) < 0);
    context.favourites_first = true;
    context.exact_tier_rounds = 1;
    CHECK(order(&context, &near_one, &favourite) > 0);
}

static void exact_tiers_come_first_in_early_rounds(void)
{
    DecideContext context = rules();
    DriverFacts higher = driver(1, 100), exact = driver(2, 4900);

    higher.flags = FACT_HIGHER_TIER;
    context.exact_tier_rounds = 2;
    context.round = 2;
    CHECK(order(&context, &exact, &higher) < 0);
    context.round = 3;
    CHECK(order(&context, &exact, &higher) > 0);
}

static void figures_out_of_range_become_bounds(void)
{
    CHECK_INT(facts_rating(NAN), 0);
    CHECK_INT(facts_rating(0), 0);
    CHECK_INT(facts_rating(9), FACTS_SCALE);
    CHECK_INT(facts_rating(4), FACTS_SCALE * 3 / 4);
    CHECK_INT(facts_share(-1), 0);
    CHECK_INT(facts_share(2), FACTS_SCALE);
    CHECK_INT(facts_idle(1e9), FACTS_IDLE_MAX);
}

static void facts_survive_packing(void)
{
    DriverFacts d = driver(7, 1234.5), back;
    uint8_t bytes[FACTS_PACKED + 1];

    memcpy(d.driver_id, "0123456789abcdef", 16);
    d.idle_s = 65000;
    d.queue_place = 513;
    d.recent_trips = 3;
    d.pending_offers = 2;
    d.flags = FACT_REPEAT | FACT_HIGHER_TIER;
    d.excluded = GATE_ASKED;
    bytes[FACTS_PACKED] = 0xa5;
    facts_pack(&d, bytes);
    facts_unpack(bytes, &back);
    CHECK(memcmp(d.driver_id, back.driver_id, 16) == 0);
    CHECK(d.distance_m == back.distance_m);
    CHECK_INT(back.rating, d.rating);
    CHECK_INT(back.acceptance, d.acceptance);
    CHECK_INT(back.completion, d.completion);
    CHECK_INT(back.vehicle, d.vehicle);
    CHECK_INT(back.idle_s, d.idle_s);
    CHECK_INT(back.queue_place, d.queue_place);
    CHECK_INT(back.recent_trips, d.recent_trips);
    CHECK_INT(back.pending_offers, d.pending_offers);
    CHECK_INT(back.flags, d.flags);
    CHECK_INT(back.excluded, d.excluded);
    CHECK_INT(bytes[FACTS_PACKED], 0xa5);
}

int main(void)
{
    RUN(every_gate_has_a_name);
    RUN(nothing_shuts_out_a_free_driver_within_the_radius);
    RUN(dealings_with_the_trip_shut_out_and_are_told_first);
    RUN(gates_in_their_order);
    RUN(a_queue_has_no_radius_but_the_hard_limit);
    RUN(idle_time_counts_up_to_its_span);
    RUN(few_recent_trips_count_as_more);
    RUN(under_overload_only_distance_counts);
    RUN(whoever_is_shut_out_comes_last);
    RUN(the_queue_comes_first_in_its_order);
    RUN(favourites_come_first_only_where_asked);
    RUN(exact_tiers_come_first_in_early_rounds);
    RUN(figures_out_of_range_become_bounds);
    RUN(facts_survive_packing);
    return unit_result();
}
