/*
 * eta.h
 *    How far and how long by road, guessed from the great circle and a region's two figures. Pure.
 *
 * road distance = great circle * distance_factor (hail.regions: road over great circle), time = road distance
 * at the region's mean door-to-door speed.
 */
#ifndef HAIL_PRICING_ETA_H
#define HAIL_PRICING_ETA_H

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
