/* The table of strategies; see strategy.h. */
#include "dispatch/strategy.h"

#include <string.h>

#include "dispatch/rounds.h"

/* A round on the ladder of radii (rounds.h), which begins after `lead` rounds at the narrowest. */
static RoundPlan ladder(const StrategyTerms *terms, int round, int lead, int per_radius)
{
    int step = round > lead ? round - lead : 1;
    int pass = round_pass_start(step, per_radius, terms->radius_count);

    return (RoundPlan){.offers = terms->offers_per_round,
                       .ttl_us = terms->offer_ttl_us,
                       .radius_index = round_radius_index(step, per_radius, terms->radius_count),
                       .pass_start = pass == 1 ? 1 : pass + lead,
                       .next_group = round_next_group(step, per_radius) + lead};
}

static RoundPlan first_accept(const StrategyTerms *terms, int round)
{
    return ladder(terms, round, 0, terms->rounds_per_radius);
}

static RoundPlan sequential(const StrategyTerms *terms, int round)
{
    RoundPlan plan = ladder(terms, round, terms->sequential_offers, terms->rounds_per_radius);

    if (round <= terms->sequential_offers) {
        plan.offers = 1;
        plan.ttl_us = terms->sequential_ttl_us;
    }
    return plan;
}

static RoundPlan broadcast_bid(const StrategyTerms *terms, int round)
{
    RoundPlan plan = ladder(terms, round, 0, 1);

    plan.offers = terms->bid_drivers;
    plan.ttl_us = terms->bid_ttl_us;
    plan.bids = true;
    return plan;
}

static RoundPlan batched(const StrategyTerms *terms, int round)
{
    RoundPlan plan = ladder(terms, round, 0, terms->rounds_per_radius);

    plan.offers = 1;
    plan.leave_to_batch = true;
    return plan;
}

static const struct Strategy {
    const char *name;
    RoundPlan (*plan)(const StrategyTerms *terms, int round);
} strategies[STRATEGY_COUNT] = {
    [STRATEGY_FIRST_ACCEPT] = {"first_accept", first_accept},
    [STRATEGY_SEQUENTIAL] = {"sequential", sequential},
    [STRATEGY_BROADCAST_BID] = {"broadcast_bid", broadcast_bid},
    [STRATEGY_SCHEDULED] = {"scheduled", first_accept},
    [STRATEGY_BATCHED] = {"batched", batched},
};

RoundPlan strategy_round(const StrategyTerms *terms, int round)
{
    return strategies[terms->kind].plan(terms, round);
}

StrategyKind strategy_by_name(const char *name)
{
    StrategyKind kind = 0;

    while (kind < STRATEGY_COUNT && strcmp(strategies[kind].name, name) != 0)
        kind++;
    return kind;
}

const char *strategy_name(StrategyKind kind)
{
    return strategies[kind].name;
}
