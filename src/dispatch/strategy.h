/*
 * strategy.h
 *    What a round of a search is: how many drivers are asked, for how long, how far away; a row a strategy.
 *
 * Pure: no SPI, no locks, no clock. Rounds count from 1 within a search (trips.round - trips.rounds_before).
 */
#ifndef HAIL_DISPATCH_STRATEGY_H
#define HAIL_DISPATCH_STRATEGY_H

#include <stdbool.h>
#include <stdint.h>

typedef enum StrategyKind {
    STRATEGY_FIRST_ACCEPT,  /* several drivers at once, the first to accept has the trip */
    STRATEGY_SEQUENTIAL,    /* one driver at a time, so many times; then as first_accept */
    STRATEGY_BROADCAST_BID, /* several drivers name their price, the customer chooses; each round is wider */
    STRATEGY_SCHEDULED,     /* first_accept some time before the trip's time */
    STRATEGY_BATCHED,       /* assigned together with all other trips that wait; see batch */
    STRATEGY_COUNT
} StrategyKind;

/* What the strategies go by: columns of hail.dispatch_policies. Counts from 1, durations in microseconds. */
typedef struct StrategyTerms {
    StrategyKind kind;
    int rounds_per_radius, radius_count;
    int offers_per_round, sequential_offers, bid_drivers;
    int64_t offer_ttl_us, sequential_ttl_us, bid_ttl_us;
} StrategyTerms;

typedef struct RoundPlan {
    int offers;          /* drivers to ask at most */
    int64_t ttl_us;      /* life of their offers */
    int radius_index;    /* into the policy's radii */
    int pass_start;      /* first round of this pass: whoever was asked since is not asked again in it */
    int next_group;      /* the round to go on with when nobody is left within this radius */
    bool bids;           /* drivers bid, none can accept by itself */
    bool leave_to_batch; /* no round of its own: batched matching finds the driver */
} RoundPlan;

/* The round's plan; `round` from 1. */
extern RoundPlan strategy_round(const StrategyTerms *terms, int round);

/* trips.strategy: the kind by name, or STRATEGY_COUNT for a name that is none; and back. */
extern StrategyKind strategy_by_name(const char *name);
extern const char *strategy_name(StrategyKind kind);

#endif
