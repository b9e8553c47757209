/*
 * track.h
 *    Recorded tracks: their length, their stops, a simpler track that says the same.
 *
 * Pure: no errors, no allocation; the caller gives the room to work in (track_room_bytes). Points come in
 * order of time. All geometry is done with vectors in space, so that neither poles nor the antimeridian are
 * special.
 */
#ifndef HAIL_HISTORY_TRACK_H
#define HAIL_HISTORY_TRACK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct TrackPoint {
    double lat, lng; /* degrees */
    double time;     /* seconds, of any epoch */
    float accuracy;  /* metres, radius of 68 % confidence as phones report it; NaN: unknown */
} TrackPoint;

typedef struct TrackStop {
    double lat, lng;             /* mean of its points */
    double started_at, ended_at; /* times of its first and its last point */
    int points;
} TrackStop;

#define TRACK_MAX_ACCURACY_M 100.0 /* a less accurate point says nothing about a track */
#define TRACK_MAX_SPEED_MPS  70.0  /* 252 km/h: no vehicle of ours is faster */
#define TRACK_GAP_S          30.0  /* points farther apart in time do not smooth each other */

/* Bytes of room that the functions below need for `count` points. */
extern size_t track_room_bytes(int count);

/*
 * Length in metres of what `count` points recorded, the errors of receivers left out:
 *   1. Points known to be less accurate than TRACK_MAX_ACCURACY_M, or not later than the one before, are
 *      dropped. Of the others the longest chain stays in which no leg is faster than TRACK_MAX_SPEED_MPS
 *      (100 m of error allowed; breaking the chain costs as much as dropping ten points). A leg that breaks
 *      it has no length. Then single points go that lie where no acceleration of 4 m/s2 could have brought
 *      the vehicle and back.
 *   2. How large the error is, the track itself tells: the median distance of points from the line between
 *      their neighbours, compared with what the reported accuracies (5 m where unknown) make expect, scales
 *      these.
 *   3. A Kalman filter with a constant velocity disturbed by white acceleration (Bar-Shalom, Li,
 *      Kirubarajan 2001, "Estimation with Applications to Tracking and Navigation", section 6.2), run
 *      backwards by Rauch, Tung and Striebel (1965, AIAA Journal 3) smooths the points, the accurate ones
 *      pulling more.
 *   4. A stay (as in track_stops; 30 s, 25 m and twice the error, excursions of 20 s forgiven) becomes its
 *      first, its mean and its last point.
 *   5. Douglas and Peucker (1973, Cartographica 10) leave the corners, with a tolerance of 1.5 times the
 * error that smoothing left, 3 m at least; their distances are summed along great circles. What that is worth
 * is measured in the module's README. 0 for fewer than two points. Changes nothing.
 */
extern double track_length_m(const TrackPoint *points, int count, void *room);

/*
 * Stops: stay points after Li, Zheng, Xie, Chen, Liu and Ma (2008, "Mining user similarity based on location
 * history"), taken around the running mean of the stay rather than around its first point: runs of points
 * within `radius_m` (> 0) of their mean that last `min_duration_s` (>= 0) or more. Stops no farther from each
 * other than the radius, with no more than `min_duration_s` between them, are one. Points less accurate than
 * TRACK_MAX_ACCURACY_M are passed over. Fills `stops` (of `count` elements), returns how many.
 */
extern int track_stops(const TrackPoint *points, int count, double radius_m, double min_duration_s,
                       TrackStop *stops, void *room);

/*
 * A simpler track: points are cleaned and smoothed as for the length; then those stay that are needed for
 * the straight drive at constant speed between two of them to be nowhere, at no time, more than
 * `tolerance_m` (>= 0) off the smoothed one (Meratnia and de By 2004, "Spatiotemporal compression
 * techniques for moving point objects": Douglas-Peucker over synchronised distances). Writes the result,
 * accuracies unknown, over `points`; returns how many they are.
 */
extern int track_simplify(TrackPoint *points, int count, double tolerance_m, void *room);

/*
 * The place a fraction (0 to 1) of the way from one place to another less than 1000 km away; degrees. By the
 * chord, which there is off the constant speed by less than a thousandth.
 */
extern void track_place_between(double lat1, double lng1, double lat2, double lng2, double fraction,
                                double *lat, double *lng);

#endif
