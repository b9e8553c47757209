/*
 * matching.h
 *    One matching round of a searching trip: gather, gate, score, offer.
 *
 * The index proposes drivers; the rows decide later, when one of them accepts. A round therefore locks no
 * driver row and waits for nobody: see matching.c.
 */
#ifndef HAIL_DISPATCH_MATCHING_H
#define HAIL_DISPATCH_MATCHING_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "dispatch/decide.h"
#include "dispatch/strategy.h"
#include "live/live.h"

#define MATCH_MAX_RADII 20

/* Round of an exclusion that holds in every pass: an offer of the trip is pending. */
#define ROUND_PENDING PG_INT32_MAX

typedef struct MatchExclusion {
    pg_uuid_t driver_id;
    MatchGate gate;
    int round; /* GATE_ASKED: newest round that asked this driver; it counts within one pass only */
} MatchExclusion;

/* Everything a round decides by; the trip's row is locked while it is used for offers. */
typedef struct MatchTrip {
    pg_uuid_t id, customer_id;
    TimestampTz now; /* when it was read */
    double pickup_lat, pickup_lng;
    int class_id;
    bool job;                   /* a delivery or porter job: drivers with room are asked while on others */
    double weight_kg, volume_l; /* its load; 0: not known */
    int64 higher_classes;       /* bits of the higher classes of the same ladder */
    int64 cash_due; /* commission a cash trip takes from its driver's wallet, minor units; -1: not cash */
    const char *currency;
    uint64 area_mask;         /* preferred areas the pickup is in */
    int round, rounds_before; /* newest round so far; rounds of searches before this one */
    int event_version;
    TimestampTz search_until;
    /* policy */
    int policy_id;
    DecideContext rules;  /* all of it but round and radius_m */
    int64 recent_span_us; /* trips completed within it are recent */
    int64 wallet_floor;   /* of drivers' wallets, minor units; PG_INT64_MIN: none but the account's own */
    int airport,
        queue_offers;       /* the pickup lies in this airport, whose queue is asked so many at a time; 0 */
    StrategyTerms strategy; /* of the trip, with what of the policy it goes by */
    int max_pending_offers, candidates;
    int64 retry_after_us;
    int radius_count;
    double radius_m[MATCH_MAX_RADII];
    int16 region_id;
    /* drivers */
    MatchExclusion *exclusions;
    int exclusion_count;
    pg_uuid_t *repeat; /* drivers who have driven the customer, and favourites */
    int repeat_count;
    pg_uuid_t *favourites;
    int favourite_count;
} MatchTrip;

typedef struct MatchCandidate {
    LiveHit hit;
    DriverFacts facts;
    Verdict verdict; /* gate GATE_NONE: can be offered the trip */
} MatchCandidate;

/* Who was looked at in a round. */
typedef struct MatchField {
    double radius_m;
    MatchCandidate *candidates; /* best first; those that a gate shuts out behind the others */
    int count, eligible;        /* candidates; how many of them no gate shuts out */
    LivePassed passed;          /* whom the index passed over */
} MatchField;

/* What a round (counted from 1 within the search) of the trip is; pure. */
static inline RoundPlan strategy_plan(const MatchTrip *trip, int round_in_search)
{
    return strategy_round(&trip->strategy, round_in_search);
}

/* Read all of it (inside SPI, result in the caller's memory context). False: no such trip. */
extern bool match_load(const pg_uuid_t *trip_id, MatchTrip *trip);

/* What the first round of a trip that is about to be made must know besides its policy and class. */
typedef struct NewTrip {
    pg_uuid_t id, customer_id;
    TimestampTz now, search_until;
    double pickup_lat, pickup_lng;
    int region_id;
    StrategyKind strategy;
    int64 cash_due; /* see MatchTrip */
    const char *currency;
    bool favourites_first;
    Datum blocked, repeat, favourites; /* uuid[]: drivers */
} NewTrip;

/* The same for a trip that has no row yet: version 1, before its first round. */
struct DispatchPolicy;
struct ClassTerms;
extern void match_load_new(const NewTrip *request, const struct DispatchPolicy *policy,
                           const struct ClassTerms *class, MatchTrip *trip);

/*
 * Gather, gate and score the drivers for a round (counted from 1 within the search). `with_gated`: also those
 * whom the index alone would pass over for their offers, areas and earlier dealings with this trip. Palloc'd.
 * Inside SPI. Errors: warming.
 *
 * For a pickup in an airport they are the drivers in its queue, in order, each once in a search and one offer
 * at a time; only when none is left to ask, the nearest. `with_gated` shows both, the queue first.
 */
extern void match_candidates(const MatchTrip *trip, int round_in_search, bool with_gated, MatchField *field);

/* The facts of drivers found for a trip, and what the rules make of them: for those who find them in their
 * own way. facts.excluded and queue_place are the caller's; hits farther than radius_m are gated. Sorts. */
extern void match_decide(const MatchTrip *trip, int round_in_search, MatchField *field);

/* The first exclusion that holds for a driver in a round of the search; GATE_NONE: none. */
extern MatchGate match_exclusion(const MatchTrip *trip, const pg_uuid_t *driver_id, int round_in_search);

struct OfferTerms;

/* Find the next round of a loaded trip: whom to offer it to, on which terms (whose `now` is given). While the
 * live index is being rebuilt, or when too little of the search is left (OFFER_MIN_US): nobody. Inside SPI.
 */
extern void match_find(const MatchTrip *trip, MatchField *field, struct OfferTerms *terms);

/* Keep a record of a round found so, when there was one; `made`: offers. The trip's row is there. */
extern void match_record(const MatchTrip *trip, const MatchField *field, const struct OfferTerms *terms,
                         int made);

/*
 * Run the next round of a searching trip whose row the caller has locked: offers, trip row, event. Returns
 * the number of offers made. Inside SPI. While the live index is being rebuilt: none, and soon again.
 */
extern int match_round(const pg_uuid_t *trip_id, TimestampTz now);

#endif
