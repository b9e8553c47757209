/* track.h: the length of a recorded track. Pure: no errors; the caller gives the room to work in. */
#ifndef HAIL_HISTORY_TRACK_H
#define HAIL_HISTORY_TRACK_H

typedef struct TrackPoint {
    double lat, lng; /* degrees */
    float accuracy;  /* metres; NaN: unknown */
} TrackPoint;

#define TRACK_MAX_ACCURACY_M 100.0 /* a less accurate point says nothing about distance */
#define TRACK_MIN_STEP_M     15.0  /* a shorter move is jitter */

/*
 * Length in metres of `count` points in order of time, robust to the jitter of receivers:
 *   1. points known to be less accurate than TRACK_MAX_ACCURACY_M are left out;
 *   2. each point becomes the median of itself and its neighbours, latitude and longitude apart (a running
 *      median of three, Tukey 1977: single spikes vanish, corners and ramps stay);
 *   3. a step counts once it is as long as TRACK_MIN_STEP_M and the accuracy of its end: a standing vehicle
 *      adds nothing.
 * Changes `points`. 0 for fewer than two points.
 */
extern double track_length_m(TrackPoint *points, int count);

#endif
