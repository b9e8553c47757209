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

/* Kinds of effects. The numbers are stored: never give one a new meaning. */
typedef enum EtaKind {
    /* of time */
    ETA_KIND_REGION = 1, /* mean pace */
    ETA_KIND_BAND = 2,   /* distance: knots at 125 m, 250 m, ... 64 km */
    ETA_KIND_PART = 3,   /* four hours of the day, by working day, Saturday, Sunday */
    ETA_KIND_HOUR = 4,   /* hour of week */
    ETA_KIND_TRAFFIC =
        5, /* hour of the day, by working day, Saturday, Sunday, and distance (1, 2, .. 16 km) */
    ETA_KIND_HEADING = 6, /* sixteen directions: street grids have axes */
    ETA_KIND_DAY = 7,     /* this one day: holidays, snow */
    ETA_KIND_PAIR = 8,    /* from and to, cells of 5 km */
    /* of the interval: quantiles of the errors, in spreads */
    ETA_KIND_LOW = 16,
    ETA_KIND_HIGH = 17,
    /* of distance */
    ETA_KIND_ROAD = 24,      /* mean factor */
    ETA_KIND_ROAD_BAND = 25, /* by distance, as above */
    ETA_KIND_ROAD_HEADING = 26,
    ETA_KIND_ROAD_FROM = 27, /* cells of 5 km */
    ETA_KIND_ROAD_TO = 28,
    ETA_KIND_ROAD_PAIR = 29,
    /* what ways to pickups have over trips: the store's own (eta_store.h) */
    ETA_KIND_PICKUP = 32,
    /* of time, fine: these give way first when the table is full */
    ETA_KIND_FROM_SPOT = 128, /* cells of 250 m */
    ETA_KIND_TO_SPOT = 129,
    ETA_KIND_FROM_PART = 130, /* cells of 1.25 km by part of the day */
    ETA_KIND_TO_PART = 131,
    ETA_KIND_FROM_WAY = 132, /* cells of 2 km by direction of the trip (eight) */
    ETA_KIND_TO_WAY = 133,
    ETA_KIND_NEAR_PAIR = 134, /* from and to, cells of 1.25 km */
    ETA_KIND_PATH_WAY = 135,  /* cells of 250 m along the straight line, by its direction (eight) */
    ETA_KIND_PATH_PART = 136  /* the same, by part of the day */
} EtaKind;

#define ETA_KIND_OF(key) ((EtaKind)(((key) >> 40) & 0xff))

/* Most effects that apply to a trip: the numbers of the two groups. */
#define ETA_TIME_FEATURES_MAX 48
#define ETA_ROAD_FEATURES_MAX 8

/* One effect that applies to a trip. */
typedef struct EtaFeature {
    uint64_t key;
    double share; /* 0 < share <= 1 */
    double prior; /* standard deviation of such effects before anything is learnt, in logarithms */
} EtaFeature;

typedef struct EtaFeatures {
    double metres; /* great circle */
    int time_count, road_count;
    EtaFeature time[ETA_TIME_FEATURES_MAX]; /* first the region, then one or two bands */
    EtaFeature road[ETA_ROAD_FEATURES_MAX]; /* first the region */
} EtaFeatures;

/* The effects that apply to a trip; its coordinates, hour and minute must be in range. */
extern void eta_features(const EtaTrip *trip, EtaFeatures *out);

/* The key of an effect. */
static inline uint64_t eta_key(uint16_t region, EtaKind kind, uint64_t what)
{
    return ((uint64_t)region << 48) | ((uint64_t)kind << 40) | (what & UINT64_C(0xffffffffff));
}

/* A kind's word for people: region, band, ...; "unknown" for a number that is none. */
extern const char *eta_kind_name(EtaKind kind);

#endif
