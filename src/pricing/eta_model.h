/*
 * eta_model.h
 *    How long a trip takes, learnt from past trips one at a time. Pure: no clock, no tables of a database.
 *
 *    log(1 + seconds) = log(metres + 1000) + sum of effects * shares
 *
 * metres: great circle; the effects that apply to a trip, and their shares, are in eta_features.h: region,
 * distance, clock, this day, direction, both ends in cells of four sizes, pairs of cells, and the cells
 * under the straight line. The loss is that of RMSLE, so an expected time is a typical one, not the mean that
 * a few long ones pull up.
 *
 * Learning. Each trip is seen once. Its error e, clipped to 2.5 spreads (Huber's psi), is shared out among
 * its effects with the gain of a Kalman filter whose covariance is kept diagonal:
 *
 *    v_k = noise^2 / (prior_k + weight_k), gain_k = v_k share_k / (s^2 + sum of v_j share_j^2)
 *    mean_k += gain_k e, weight_k += share_k^2
 *
 * (Kalman 1960; a Bayesian linear regression of which the off-diagonal part is dropped after each trip, as
 * in AROW: Crammer, Kulesza and Dredze 2009.) What an effect has not been told by trips of its own stays at
 * 0, which is what the coarser effects say: so a cell falls back to the hour, the hour to the part of the
 * day, that to the region. s is the spread at the trip's distance, learnt with it: short trips are noisier
 * and teach less.
 *
 * Forgetting. Weights halve every half-life of the table and means shrink as their weights do. A region with
 * less than ETA_MIN_SUPPORT trips left does not speak; from there on its configured figures weigh as much as
 * BASE_TRIPS trips against what it learnt.
 *
 * Interval. Two quantiles of error / s per region, tracked online before each trip is learnt from, so they
 * are honest about what was not known yet.
 *
 * Distance. Effects of a kind of their own on log((driven + 100) / (metres + 100)), in the same way.
 *
 * Where the constants come from: priors, cell sizes and noise were searched for on February to April 2016 of
 * a sample of New York's taxi trips (February and March predicted and learnt one after the other, April from
 * what was known at its begin) and on one day of San Francisco's cabs (half learnt, half predicted; and the
 * first 16 hours, then the rest). May and June were measured only. The optimum is flat: halving or doubling
 * any one prior changes RMSLE on May by 0.002 at most.
 *
 * Tried and left out, because it did not pay: learning a trip several times or from a memory of past trips
 * (fits the past, worse on a later month), hour of the day besides part and hour of week, finer or coarser
 * bands, cells by distance, directions by hour or by distance, pairs by part of the day, cells of the middle
 * of the way, two grids with an offset, effects of this day's last two hours.
 */
#ifndef HAIL_PRICING_ETA_MODEL_H
#define HAIL_PRICING_ETA_MODEL_H

#include "pricing/eta_features.h"
#include "pricing/eta_table.h"

/* Trips (weight after forgetting) that a level must rest on before it speaks. */
#define ETA_MIN_SUPPORT 5.0

/* Most effects one trip changes. */
#define ETA_CHANGES_MAX 64

/* What a prediction rests on, the finest level with ETA_MIN_SUPPORT. */
typedef enum EtaLevel {
    ETA_DEFAULT, /* nothing learnt: the region's configured figures */
    ETA_REGION,  /* the region's mean pace and its dependence on distance */
    ETA_HOUR,    /* and on the hour of week */
    ETA_CELL     /* and on the places */
} EtaLevel;

/* A region's configured figures: what is answered before anything is learnt. */
typedef struct EtaRegion {
    double distance_factor; /* road over great circle, >= 1 */
    double speed_kmh;       /* mean, on the road, > 0 */
} EtaRegion;

typedef struct EtaPrediction {
    double road_m;        /* driven distance */
    double duration_s;    /* expected time; expected in the logarithm, so the median of a symmetric spread */
    double low_s, high_s; /* hold the duration of 80 % of such trips; low_s <= duration_s <= high_s */
    double support;       /* trips behind the level that answered, after forgetting */
    EtaLevel level;
} EtaPrediction;

/* What learning a trip did to the table: effects made or changed, and keys that had to give way to new ones.
 * A key in `evicted` is not in the table any more. */
typedef struct EtaChanges {
    int changed_count, evicted_count;
    uint64_t changed[ETA_CHANGES_MAX];
    uint64_t evicted[ETA_CHANGES_MAX];
} EtaChanges;

/* Why a trip was not learnt. */
typedef enum EtaLearnt {
    ETA_LEARNT,
    ETA_BAD_PLACE,   /* not on the globe */
    ETA_BAD_TIME,    /* hour_of_week or minute out of range */
    ETA_BAD_DURATION /* not a trip's: under ETA_DURATION_MIN_S, over ETA_DURATION_MAX_S, a speed nobody drives
                      */
} EtaLearnt;

/* What is learnt at all. */
#define ETA_DURATION_MIN_S 30.0
#define ETA_DURATION_MAX_S (4 * 3600.0)
#define ETA_SPEED_MAX_KMH  130.0 /* along the great circle */
/* Driven metres teach the distance between so many times the great circle, and so many times that and more.
 */
#define ETA_ROAD_MIN    0.9
#define ETA_ROAD_MAX    4.0
#define ETA_ROAD_MORE_M 500.0

/*
 * Expected distance and time of a trip. With nothing learnt exactly the region's figures: great circle *
 * distance_factor, at speed_kmh. False, with *out all zero, if a place is not on the globe or the region's
 * figures are no numbers of use; an hour or minute out of range is taken into range.
 */
extern bool eta_model_predict(const EtaTable *table, const EtaTrip *trip, const EtaRegion *base,
                              EtaPrediction *out);

/*
 * Learns from one trip that has ended. duration_s: from start to end. road_m: driven metres, 0 (or no
 * number) if not known. changes may be NULL; it's filled in any case, with nothing unless ETA_LEARNT.
 */
extern EtaLearnt eta_model_learn(EtaTable *table, const EtaTrip *trip, double duration_s, double road_m,
                                 EtaChanges *changes);

/* A level's word, as in EtaLevel: default, region, hour, learnt. */
extern const char *eta_level_name(EtaLevel level);

/* What an effect is about, in a word, by its key: region, band, hour, ...; "unknown". */
extern const char *eta_effect_name(uint64_t key);

#endif
