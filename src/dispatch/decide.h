/*
 * decide.h
 *    Which drivers a trip is offered to, and in which order: gates, score, preferences.
 *
 * Pure: no SPI, no locks, no clock. What is known of each driver comes as DriverFacts, the rules as one
 * DecideContext. Facts are kept in the precision in which rounds are recorded (facts_pack), so that a
 * recorded round decided again comes out the same.
 */
#ifndef HAIL_DISPATCH_DECIDE_H
#define HAIL_DISPATCH_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatch/score.h"

/*
 * Why a driver near the pickup is passed over; the first that holds, in this order, is the one told. The
 * index knows of GATE_STALE to GATE_CLASS, and of some of the others, before a driver becomes a candidate.
 */
typedef enum MatchGate {
    GATE_NONE,
    GATE_SELF,      /* the driver is the customer */
    GATE_GAVE_BACK, /* took this trip and cancelled, or was excluded by hand */
    GATE_BLOCKED,   /* by the customer */
    GATE_DECLINED,  /* this trip */
    GATE_ASKED,     /* has had an offer in this pass over the radii */
    GATE_AREA,      /* prefers areas the pickup is not in */
    GATE_WALLET,    /* cash trip: its commission would take the driver's wallet below its floor */
    GATE_ROOM,      /* on a ride, or the vehicle can't carry the load beside the jobs under way */
    GATE_TOO_FAR,   /* farther than the policy lets any driver come */
    GATE_RADIUS,    /* outside this round's radius */
    GATE_OFFERS,    /* holds as many pending offers as the policy allows */
    GATE_STALE,     /* not heard of for hail.presence_ttl */
    GATE_COOLDOWN,  /* has just ended a trip */
    GATE_BUSY,      /* on a trip, and without room for another job */
    GATE_CLASS,     /* does not serve the class asked for */
    GATE_COUNT
} MatchGate;

extern const char *const match_gate_names[GATE_COUNT];

#define FACTS_SCALE    60000 /* a term of 1 */
#define FACTS_IDLE_MAX 65535 /* seconds; so long also when unknown */
#define FACTS_UNKNOWN  255   /* recent_trips: not asked for */

enum {
    FACT_REPEAT = 1,       /* has driven the customer before, or is a favourite */
    FACT_FAVOURITE = 2,    /* of the customer */
    FACT_OTHER_AREA = 4,   /* prefers areas, the pickup is in none of them */
    FACT_WALLET_SHORT = 8, /* see GATE_WALLET */
    FACT_NO_ROOM = 32,     /* see GATE_ROOM */
    FACT_HIGHER_TIER = 16  /* serves a higher class of the ladder than the one asked for */
};

/* A driver as seen from a trip at a moment, whatever the policy. */
typedef struct DriverFacts {
    uint8_t driver_id[16];
    float distance_m;                                 /* great circle to the pickup */
    uint16_t rating, acceptance, completion, vehicle; /* terms in 1 / FACTS_SCALE */
    uint16_t idle_s;
    uint16_t queue_place; /* in the airport's queue, from 1; 0: not from there */
    uint8_t recent_trips; /* completed in the policy's span, at most FACTS_UNKNOWN - 1 */
    uint8_t pending_offers;
    uint8_t flags;    /* FACT_... */
    uint8_t excluded; /* a MatchGate up to GATE_ASKED, GATE_NONE: none of them */
} DriverFacts;

#define FACTS_PACKED 36 /* bytes of facts_pack() */

/* The rules of a round. Spans in seconds, distances in metres. */
typedef struct DecideContext {
    ScoreWeights weights;
    double idle_span_s;
    int recent_trips_max;
    int max_pending_offers;
    double max_pickup_m;   /* 0: the radius alone limits */
    int exact_tier_rounds; /* in so many first rounds, drivers of exactly the class asked for come first */
    bool favourites_first; /* the customer's favourites come first */
    bool distance_only;    /* overload: of the score, only its first term counts */
    /* of the round */
    int round; /* from 1 within the search */
    double radius_m;
} DecideContext;

typedef struct Verdict {
    MatchGate gate;
    Score score;
    int rank_class; /* preferences: a lower one comes first, whatever the score */
} Verdict;

/* Facts from a driver's figures: rating 1-5, the others 0-1 (out of range and NaN as in score.h); seconds
 * below 0: unknown. */
extern uint16_t facts_rating(double rating);
extern uint16_t facts_share(double share);
extern uint16_t facts_idle(double seconds);

/* To and from FACTS_PACKED bytes, little endian. */
extern void facts_pack(const DriverFacts *facts, uint8_t *bytes);
extern void facts_unpack(const uint8_t *bytes, DriverFacts *facts);

/* The same of a driver who never became a candidate: who, how far (metres), why not. */
#define PASSED_PACKED 21
extern void passed_pack(const uint8_t *driver_id, float distance_m, MatchGate gate, uint8_t *bytes);
extern MatchGate passed_unpack(const uint8_t *bytes,
                               float *distance_m); /* the first 16 are the driver's id */

/* The first gate that shuts this driver out; GATE_NONE: none. */
extern MatchGate decide_gate(const DecideContext *context, const DriverFacts *facts);

/* Gate, score and preferences of one driver. */
extern Verdict decide_driver(const DecideContext *context, const DriverFacts *facts);

/*
 * What comes first: whom no gate shuts out, the queue in its order, favourites and exact tiers where they are
 * preferred, the better score, the nearer, the smaller id. For qsort-like use.
 */
extern int decide_order(const DriverFacts *a, const Verdict *verdict_a, const DriverFacts *b,
                        const Verdict *verdict_b);

#endif
