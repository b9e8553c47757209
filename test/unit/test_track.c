/* The length of a track: what jitter, spikes and bad fixes must not add, and what must count. */
#include "unit.h"

#include <math.h>

#include "geo/geo.h"
#include "history/track.h"

#define DEGREE_M (GEO_EARTH_RADIUS_M * M_PI / 180.0) /* of latitude, or of longitude on the equator */

static TrackPoint at(double north_m, double east_m, double accuracy)
{
    return (TrackPoint){north_m / DEGREE_M, east_m / DEGREE_M, (float)accuracy};
}

static void a_straight_drive_has_its_length(void)
{
    TrackPoint p[21];

    for (int i = 0; i <= 20; i++)
        p[i] = at(0, i * 100.0, 5);
    CHECK(fabs(track_length_m(p, 21) - 2000) < 0.1);
}

static void a_corner_is_not_cut(void)
{
    TrackPoint p[11];

    for (int i = 0; i <= 5; i++)
        p[i] = at(0, i * 100.0, 5);
    for (int i = 1; i <= 5; i++)
        p[5 + i] = at(i * 100.0, 500, 5);
    CHECK(fabs(track_length_m(p, 11) - 1000) < 0.1);
}

static void a_standing_vehicle_adds_nothing(void)
{
    TrackPoint p[600];

    for (int i = 0; i < 600; i++)
        p[i] = at(7 * sin(i * 2.4), 7 * cos(i * 1.7), NAN);
    CHECK(track_length_m(p, 600) == 0);
}

static void a_single_spike_vanishes(void)
{
    TrackPoint p[11];

    for (int i = 0; i <= 10; i++)
        p[i] = at(i == 5 ? 3000 : 0, i * 50.0, NAN);
    CHECK(fabs(track_length_m(p, 11) - 500) < 0.1);
}

static void inaccurate_points_are_left_out(void)
{
    TrackPoint p[4] = {at(0, 0, 5), at(900, 200, 500), at(900, 300, 500), at(0, 400, 5)};

    CHECK(fabs(track_length_m(p, 4) - 400) < 0.1);
}

static void a_step_within_the_accuracy_does_not_count(void)
{
    TrackPoint p[2] = {at(0, 0, 80), at(0, 60, 80)};

    CHECK(track_length_m(p, 2) == 0);
}

static void the_antimeridian_is_not_a_wall(void)
{
    TrackPoint p[3] = {{0, 179.999, 5}, {0, 179.9999, 5}, {0, -179.9992, 5}};

    CHECK(fabs(track_length_m(p, 3) - 0.0018 * DEGREE_M) < 0.1);
}

static void fewer_than_two_points_have_no_length(void)
{
    TrackPoint p[1] = {at(0, 0, 5)};

    CHECK(track_length_m(p, 0) == 0);
    CHECK(track_length_m(p, 1) == 0);
}

int main(void)
{
    RUN(a_straight_drive_has_its_length);
    RUN(a_corner_is_not_cut);
    RUN(a_standing_vehicle_adds_nothing);
    RUN(a_single_spike_vanishes);
    RUN(inaccurate_points_are_left_out);
    RUN(a_step_within_the_accuracy_does_not_count);
    RUN(the_antimeridian_is_not_a_wall);
    RUN(fewer_than_two_points_have_no_length);
    return unit_result();
}
