/*
 * score.h
 *    How well a driver suits a trip: a weighted sum of terms, each from 0 (worst) to 1 (best).
 *
 * Pure: no SPI, no locks, no clock. Weights come from hail.dispatch_policies (shipped: distance .40, rating
 * .20, acceptance .15, completion .10, vehicle .10, repeat .05, and none for fairness: idle, recent); they
 * need not add up to 1. A term whose weight is 0 counts nothing, whatever its input.
 */
#ifndef HAIL_DISPATCH_SCORE_H
#define HAIL_DISPATCH_SCORE_H

#include <stdbool.h>

typedef enum ScoreTerm {
    SCORE_DISTANCE,   /* 1 - distance / radius */
    SCORE_RATING,     /* (rating - 1) / 4, ratings being 1 to 5 */
    SCORE_ACCEPTANCE, /* offers accepted of offers answered or let go */
    SCORE_COMPLETION, /* trips completed of trips taken */
    SCORE_VEHICLE,    /* the vehicle's score */
    SCORE_REPEAT,     /* 1: has driven this customer before, or is a favourite */
    SCORE_IDLE,       /* time without a trip / idle_span */
    SCORE_RECENT,     /* 1 - trips completed lately / recent_trips */
    SCORE_TERMS
} ScoreTerm;

typedef struct ScoreWeights {
    double weight[SCORE_TERMS];
} ScoreWeights;

typedef struct ScoreInput {
    double distance_m, radius_m;            /* to the pickup, great circle; radius searched, above 0 */
    double rating;                          /* 1-5 */
    double acceptance, completion, vehicle; /* 0-1 */
    bool repeat;
    double idle_s, idle_span_s;            /* waited for a trip so long; the span that counts as 1 */
    double recent_trips, recent_trips_max; /* completed in the policy's span; so many count as 0 */
} ScoreInput;

typedef struct Score {
    double term[SCORE_TERMS]; /* each already multiplied by its weight */
    double total;             /* their sum */
} Score;

/* Names as in the columns of hail.rank_drivers, without "_term". */
extern const char *const score_term_names[SCORE_TERMS];

/* Score one driver. Inputs out of range (NaN too) count as the nearer bound, NaN as the worst. */
extern Score score_driver(const ScoreWeights *weights, const ScoreInput *input);

/* What orders drivers: best total first, then the nearer one, then the smaller id (16 bytes). For qsort-like
 * use. */
extern int score_order(double total_a, double distance_a, const unsigned char *id_a, double total_b,
                       double distance_b, const unsigned char *id_b);

#endif
