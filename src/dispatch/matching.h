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

#include "dispatch/score.h"
#include "dispatch/strategy.h"
#include "live/live.h"

#define MATCH_MAX_RADII 20

/* Why a driver near the pickup is passed over. Approval, presence, class and freshness are the index's gates.
 */
typedef enum MatchGate {
    GATE_NONE,
    GATE_SELF,      /* the driver is the customer */
    GATE_GAVE_BACK, /* took this trip and cancelled, or was excluded by hand */
    GATE_BLOCKED,   /* by the customer */
    GATE_DECLINED,  /* this trip */
    GATE_ASKED,     /* has had an offer in this pass over the radii */
    GATE_AREA,      /* prefers areas the pickup is not in */
    GATE_OFFERS,    /* holds as many pending offers as the policy allows */
    GATE_COUNT
} MatchGate;

extern const char *const match_gate_names[GATE_COUNT];

typedef struct MatchExclusion {
    pg_uuid_t driver_id;
    MatchGate gate;
    int round; /* GATE_ASKED: newest round that asked this driver; it counts within one pass only */
} MatchExclusion;

/* Everything a round decides by; the trip's row is locked while it is used for offers. */
typedef struct MatchTrip {
    pg_uuid_t id, customer_id;
    double pickup_lat, pickup_lng;
    int class_id;
    uint64 area_mask;         /* preferred areas the pickup is in */
    int round, rounds_before; /* newest round so far; rounds of searches before this one */
    int event_version;
    TimestampTz search_until;
    /* policy */
    ScoreWeights weights;
    int airport,
        queue_offers;       /* the pickup lies in this airport, whose queue is asked so many at a time; 0 */
    StrategyTerms strategy; /* of the trip, with what of the policy it goes by */
    int max_pending_offers, candidates;
    int64 retry_after_us;
    int radius_count;
    double radius_m[MATCH_MAX_RADII];
    /* region: road over great-circle distance, speed */
    double distance_factor, speed_kmh;
    /* drivers */
    MatchExclusion *exclusions;
    int exclusion_count;
    pg_uuid_t *repeat; /* drivers who have driven the customer, and favourites */
    int repeat_count;
} MatchTrip;

typedef struct MatchCandidate {
    LiveHit hit;
    Score score;
    MatchGate gate;  /* GATE_NONE: can be offered the trip */
    int queue_place; /* in the airport's queue, from 1; 0: not from there */
} MatchCandidate;

/* What a round (counted from 1 within the search) of the trip is; pure. */
static inline RoundPlan strategy_plan(const MatchTrip *trip, int round_in_search)
{
    return strategy_round(&trip->strategy, round_in_search);
}

/* Read all of it (inside SPI, result in the caller's memory context). False: no such trip. */
extern bool match_load(const pg_uuid_t *trip_id, MatchTrip *trip);

/*
 * The candidates of a round (counted from 1 within the search), best score first; `with_gated` keeps those
 * who are passed over, marked, behind the others. Returns how many, in *candidates (palloc'd). Errors:
 * warming.
 *
 * For a pickup in an airport they are the drivers in its queue, in order, each once in a search and one offer
 * at a time; only when none is left to ask, the nearest. `with_gated` shows both, the queue first.
 */
extern int match_candidates(const MatchTrip *trip, int round_in_search, bool with_gated,
                            MatchCandidate **candidates);

/*
 * Run the next round of a searching trip whose row the caller has locked: offers, trip row, event. Returns
 * the number of offers made. Inside SPI. While the live index is being rebuilt: none, and soon again.
 */
extern int match_round(const pg_uuid_t *trip_id, TimestampTz now);

#endif
