/*
 * eta_features.h
 *    What about a trip may say how long it takes: the effects that apply to it, and how much. Pure.
 *
 * Every effect lies under a 64-bit key: 16 bits region, 8 bits kind (EtaKind; the highest of them marks the
 * fine kinds, eta_table.h), 40 bits what the kind is about (a cell, an hour, ...). Shares are hats, so that
 * no prediction jumps at a border: a trip at 8:50 rests on the hours of 8:30 and of 9:30, one of 3 km on the
 * bands of 2 km and of 4 km.
 *
 * Cells are squares of some metres, in rows of latitude; the columns of a row are counted eastwards from the
 * antimeridian in metres at the middle of their belt (a quarter of a degree of latitude), so a cell has the
 * same size everywhere, and -180 and 180 degrees are the same cell.
 */
#ifndef HAIL_PRICING_ETA_FEATURES_H
#define HAIL_PRICING_ETA_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

/* A trip to be predicted or learnt. */
typedef struct EtaTrip {
    uint16_t region;
    double from_lat, from_lng, to_lat, to_lng; /* degrees */
    int hour_of_week;                          /* local, 0 = Monday 00:00 .. 167, of its start */
    int minute;                                /* 0..59 */
    int32_t day;                               /* of its start, days since any fixed day */
} EtaTrip;

/* Kinds of effects. The numbers are stored: never give one a new meaning. Those below 128 are few in any
 * region (some 600 effects in all); those above have ETA_KEY_FINE, and give way first when the table is full.
 */
typedef enum EtaKind {
    /* of time */
    ETA_KIND_REGION = 1, /* mean pace */
    ETA_KIND_BAND = 2,   /* distance: knots at 125 m, 250 m, ... 64 km */
    ETA_KIND_PART = 3,   /* four hours of the day, by working day, Saturday, Sunday */
    ETA_KIND_HOUR = 4,   /* hour of week */
    ETA_KIND_TRAFFIC =
        5, /* hour of the day, by working day, Saturday, Sunday, and distance (1, 2, .. 16 km) */
    ETA_KIND_HEADING = 6, /* sixteen directions: street grids have axes */
    /* of the interval: quantiles of the errors, in spreads */
    ETA_KIND_LOW = 16,
    ETA_KIND_HIGH = 17,
    /* of distance */
    ETA_KIND_ROAD = 24,         /* mean factor */
    ETA_KIND_ROAD_BAND = 25,    /* by distance, as above */
    ETA_KIND_ROAD_HEADING = 26, /* eight directions */
    /* what ways to pickups have over trips: the store's own (eta_store.h) */
    ETA_KIND_PICKUP = 32,
    /* of time; cells are squares */
    ETA_KIND_DAY = 128,       /* this one day: holidays, snow */
    ETA_KIND_FROM = 129,      /* start, 5 km: airports and the like */
    ETA_KIND_TO = 130,        /* end */
    ETA_KIND_PAIR = 131,      /* start and end, 5 km */
    ETA_KIND_FROM_SPOT = 132, /* 250 m */
    ETA_KIND_TO_SPOT = 133,
    ETA_KIND_FROM_PART = 134, /* 1.25 km, by part of the day */
    ETA_KIND_TO_PART = 135,
    ETA_KIND_FROM_WAY = 136, /* 2 km, by direction of the trip (eight) */
    ETA_KIND_TO_WAY = 137,
    ETA_KIND_NEAR_PAIR = 138, /* start and end, 1.25 km */
    ETA_KIND_PATH_WAY = 139,  /* 250 m along the straight line, by its direction (eight) */
    ETA_KIND_PATH_PART = 140, /* the same, by part of the day */
    /* of distance */
    ETA_KIND_ROAD_FROM = 144, /* start, 5 km */
    ETA_KIND_ROAD_TO = 145,   /* end */
    ETA_KIND_ROAD_PAIR = 146  /* start and end, 5 km */
} EtaKind;

/* Spread of what no effect explains of a trip, in logarithms, as priors count it. */
#define ETA_TIME_NOISE 0.3
#define ETA_ROAD_NOISE 0.15

#define ETA_KIND_OF(key) ((EtaKind)(((key) >> 40) & 0xff))

/* Most effects that apply to a trip. */
#define ETA_FEATURES_MAX 48

/* Effects that apply to a trip and add up. `prior`: in trips, how firmly such an effect is held to be 0
 * before anything is learnt (the noise of one trip over the variance of such effects). */
typedef struct EtaFeatures {
    int count;
    uint64_t key[ETA_FEATURES_MAX];
    double share[ETA_FEATURES_MAX]; /* 0 < share <= 1 */
    double prior[ETA_FEATURES_MAX];
} EtaFeatures;

/*
 * The effects that apply to a trip of `metres` (great circle); its coordinates, hour and minute must be in
 * range. Of time: first the region, then one or two bands. Of distance: first the region.
 */
extern void eta_time_features(const EtaTrip *trip, double metres, EtaFeatures *out);
extern void eta_road_features(const EtaTrip *trip, double metres, EtaFeatures *out);

/* The key of an effect. */
static inline uint64_t eta_key(uint16_t region, EtaKind kind, uint64_t what)
{
    return ((uint64_t)region << 48) | ((uint64_t)kind << 40) | (what & UINT64_C(0xffffffffff));
}

/* A kind's word for people: region, band, ...; "unknown" for a number that is none. */
extern const char *eta_kind_name(EtaKind kind);

#endif
