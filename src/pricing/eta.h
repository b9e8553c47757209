/*
 * eta.h
 *    How far and how long by road: what is expected, and the interval that holds 80 % of trips.
 *
 * Until trips have taught more, road distance = great circle * distance_factor and time = road distance at
 * the mean door-to-door speed, both of hail.regions.
 */
#ifndef HAIL_PRICING_ETA_H
#define HAIL_PRICING_ETA_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* What answered, from the least to the most particular. */
typedef enum EtaSource {
    ETA_FROM_DEFAULT, /* the region's two figures */
    ETA_FROM_REGION,  /* what its trips have taught on the whole */
    ETA_FROM_HOUR,    /* ... at this hour of the week */
    ETA_FROM_TRIPS,   /* ... between these places */
    ETA_FROM_ROAD     /* a way through its road network */
} EtaSource;

typedef struct EtaGuess {
    int distance_m; /* by road */
    int duration_s; /* expected */
    int low_s, high_s;
    EtaSource source;
    double support; /* how many trips' worth it rests on; 0: none */
    double seconds; /* duration_s before it was rounded */
} EtaGuess;

/*
 * From a place to another with a passenger, setting out at `at`. Valid coordinates (degrees), the first in
 * the region or near it. In a transaction, as whomever; SPI only where what is kept has changed. No locks
 * may be held. Error when there is no such region.
 */
extern EtaGuess eta_guess(int16 region_id, double from_lat, double from_lng, double to_lat, double to_lng,
                          TimestampTz at);

/* A driver on the way to a pickup, from where it is now. Otherwise the same. */
extern EtaGuess eta_pickup(int16 region_id, double driver_lat, double driver_lng, double pickup_lat,
                           double pickup_lng, TimestampTz at);

/* As eta_guess(), but asks the region's road network first where it has one: SPI, a few ms. Not for loops. */
extern EtaGuess eta_route_guess(int16 region_id, double from_lat, double from_lng, double to_lat,
                                double to_lng, TimestampTz at);

/*
 * Keeper steps: is what was learnt to be read from its rows (asked outside of a transaction)? Do it, inside
 * SPI as hail_owner; returns the effects. Did the last hail.learn_eta() of this process leave trips that
 * wait?
 */
extern bool eta_store_stale(void);
extern int64 eta_store_load(void);
extern bool eta_more_to_learn(void);

/* The word for a source: "default", "region", "hour", "learnt", "road". */
extern const char *eta_source_name(EtaSource source);

/* Metres by road for `distance_m` metres of great circle; distance_factor >= 1. */
static inline double eta_road_m(double distance_m, double distance_factor)
{
    return distance_m * distance_factor;
}

/* Seconds to drive `distance_m` metres of great circle; distance_factor >= 1, speed_kmh > 0 (km/h). */
static inline double eta_seconds(double distance_m, double distance_factor, double speed_kmh)
{
    return eta_road_m(distance_m, distance_factor) * 3.6 / speed_kmh;
}

#endif
