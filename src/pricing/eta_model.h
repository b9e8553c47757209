/*
 * eta_model.h
 *    How long a trip takes, learnt from past trips one at a time. Pure: no clock, no tables of a database.
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
