/*
 * Tracks: what errors of receivers must not add to a length and what must count; stops; simpler tracks.
 * Drives are synthetic, their errors from a fixed seed: the same numbers everywhere.
 */
#include "unit.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "geo/geo.h"
#include "history/track.h"

#define DEGREE_M (GEO_EARTH_RADIUS_M * M_PI / 180.0) /* of latitude, or of longitude on the equator */
#define MAX      4000

static TrackPoint points[MAX];
static int count;

static uint64_t seed;

static double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)((seed >> 11) + 1) * 0x1p-53;
}

static double gaussian(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

static TrackPoint at(double time, double north_m, double east_m, double accuracy)
{
    return (TrackPoint){north_m / DEGREE_M, east_m / DEGREE_M, time, (float)accuracy};
}

static double length(void)
{
    void *room = malloc(track_room_bytes(count));
    double result = track_length_m(points, count, room);

    free(room);
    return result;
}

static int stops(double radius_m, double min_duration_s, TrackStop *result)
{
    void *room = malloc(track_room_bytes(count));
    int found = track_stops(points, count, radius_m, min_duration_s, result, room);

    free(room);
    return found;
}

static int simplify(double tolerance_m)
{
    void *room = malloc(track_room_bytes(count));
    int kept = track_simplify(points, count, tolerance_m, room);

    free(room);
    return kept;
}

/* Metres after `time` seconds of a drive by blocks of 200 m: 20 s to drive each, then half a minute at a
 * light. */
static double driven(double time)
{
    double blocks = floor(time / 50), rest = time - 50 * blocks;

    return 200 * blocks + (rest < 20 ? 200 * rest / 20 : 200);
}

/* That drive, turning north and east every other block, 4 km in all, a point each `interval` seconds. */
static void drive(double interval)
{
    count = 0;
    for (double time = 0; time <= 1000; time += interval) {
        double place = driven(time), east = 0, north = 0;

        for (int leg = 0; place > 0; leg++, place -= 400)
            *(leg % 2 ? &north : &east) += fmin(place, 400);
        points[count++] = at(time, north, east, NAN);
    }
}

/* Errors of `sigma` metres per axis, drifting with a time constant (0: white). */
static void disturb(double sigma, double drift_s, double accuracy)
{
    double north = sigma * gaussian(), east = sigma * gaussian();

    for (int i = 0; i < count; i++) {
        double r = i > 0 && drift_s > 0 ? exp((points[i - 1].time - points[i].time) / drift_s) : 0;

        north = r * north + sigma * sqrt(1 - r * r) * gaussian();
        east = r * east + sigma * sqrt(1 - r * r) * gaussian();
        points[i].lat += north / DEGREE_M;
        points[i].lng += east / DEGREE_M;
        points[i].accuracy = (float)accuracy;
    }
}

/* Mean of measured / true - 1 over drives with errors, in percent. */
static double mean_error(double interval, double sigma, double drift_s, double accuracy)
{
    double sum = 0;

    seed = 4711;
    for (int i = 0; i < 20; i++) {
        drive(interval);
        disturb(sigma, drift_s, accuracy);
        sum += length() / 4000 - 1;
    }
    return 100 * sum / 20;
}

static void a_straight_drive_has_its_length(void)
{
    for (count = 0; count <= 20; count++)
        points[count] = at(count * 10, 0, count * 100.0, 5);
    CHECK(fabs(length() - 2000) < 0.1);
}

static void a_corner_is_not_cut(void)
{
    for (count = 0; count <= 5; count++)
        points[count] = at(count * 40, 0, count * 100.0, 5);
    for (int i = 1; i <= 5; i++)
        points[count++] = at(200 + i * 40, i * 100.0, 500, 5);
    CHECK(fabs(length() - 1000) < 0.1);
}

static void a_drive_without_errors_has_its_length(void)
{
    CHECK(fabs(mean_error(1, 0, 0, NAN)) < 1);
    CHECK(fabs(mean_error(3, 0, 0, NAN)) < 1);
    CHECK(fabs(mean_error(5, 0, 0, NAN)) < 1);
}

static void errors_of_receivers_add_little(void)
{
    CHECK(fabs(mean_error(1, 5, 0, NAN)) < 2);
    CHECK(fabs(mean_error(1, 10, 0, NAN)) < 2);
    CHECK(fabs(mean_error(3, 3, 0, NAN)) < 2);
    CHECK(fabs(mean_error(3, 5, 0, NAN)) < 2);
    CHECK(fabs(mean_error(3, 10, 0, NAN)) < 2);
    CHECK(fabs(mean_error(3, 20, 0, NAN)) < 4);
}

static void drifting_errors_add_little(void)
{
    CHECK(fabs(mean_error(3, 5, 60, NAN)) < 2);
    CHECK(fabs(mean_error(3, 10, 60, NAN)) < 3);
}

static void reported_accuracies_do_not_mislead(void)
{
    CHECK(fabs(mean_error(3, 5, 0, 8)) < 2);
    CHECK(fabs(mean_error(3, 5, 0, 2)) < 2);
    CHECK(fabs(mean_error(3, 5, 0, 40)) < 3);
    CHECK(fabs(mean_error(3, 0, 0, 20)) < 2);
}

static void standing_for_ten_minutes_adds_little(void)
{
    static const struct {
        double sigma, drift_s;
    } errors[] = {{3, 0}, {5, 0}, {10, 0}, {5, 60}, {10, 60}};

    for (int e = 0; e < 5; e++) {
        seed = 4711;
        for (int i = 0; i < 20; i++) {
            for (count = 0; count < 200; count++)
                points[count] = at(count * 3, 0, 0, NAN);
            disturb(errors[e].sigma, errors[e].drift_s, 1.5 * errors[e].sigma);
            CHECK(length() < 50);
        }
    }
}

static void standing_without_errors_adds_nothing(void)
{
    for (count = 0; count < 200; count++)
        points[count] = at(count * 3, 10, 10, 5);
    CHECK(length() == 0);
}

static void a_single_spike_vanishes(void)
{
    for (count = 0; count <= 10; count++)
        points[count] = at(count * 5, count == 5 ? 3000 : 0, count * 50.0, NAN);
    CHECK(fabs(length() - 500) < 1);
    points[5] = at(25, 90, 250, NAN);
    CHECK(fabs(length() - 500) < 1);
}

static void a_spike_at_an_end_vanishes(void)
{
    for (count = 0; count <= 10; count++)
        points[count] = at(count * 5, count == 0 || count == 10 ? 3000 : 0, count * 50.0, NAN);
    CHECK(fabs(length() - 400) < 1);
}

static void a_way_that_leads_somewhere_else_for_a_while_is_no_spike(void)
{
    for (count = 0; count <= 10; count++) /* a minute apart: out and back at 10 m/s */
        points[count] = at(count * 60, count == 5 ? 600 : 0, 0, NAN);
    CHECK(fabs(length() - 1200) < 1);
}

static void a_jump_that_lasts_has_no_length(void)
{
    for (count = 0; count < 60; count++)
        points[count] = at(count * 5, count < 30 ? 0 : 50000, count * 50.0, NAN);
    CHECK(fabs(length() - 2900) < 1);
}

static void what_is_there_and_back_in_a_burst_is_dropped(void)
{
    for (count = 0; count < 60; count++)
        points[count] = at(count * 5, count >= 30 && count < 34 ? 50000 : 0, count * 50.0, NAN);
    CHECK(fabs(length() - 2950) < 1);
}

static void inaccurate_points_are_left_out(void)
{
    TrackPoint p[4] = {at(0, 0, 0, 5), at(60, 900, 200, 500), at(120, 900, 300, 500), at(180, 0, 400, 5)};

    memcpy(points, p, sizeof(p));
    count = 4;
    CHECK(fabs(length() - 400) < 0.1);
}

static void the_antimeridian_is_not_a_wall(void)
{
    TrackPoint p[3] = {{0, 179.999, 0, 5}, {0, 179.9999, 20, 5}, {0, -179.9992, 40, 5}};

    memcpy(points, p, sizeof(p));
    count = 3;
    CHECK(fabs(length() - 0.0018 * DEGREE_M) < 1);
}

static void nor_is_the_pole(void)
{
    for (count = 0; count <= 20; count++) /* straight across it */
        points[count] =
            (TrackPoint){90 - abs(count - 10) * 100.0 / DEGREE_M, count < 10 ? 20 : -160, count * 10, 5};
    CHECK(fabs(length() - 2000) < 1);
}

static void what_makes_no_sense_is_passed_over(void)
{
    TrackPoint p[8] = {at(0, 0, 0, 5),    at(0, 0, 500, 5), {NAN, 0, 10, 5},    {0, INFINITY, 20, 5},
                       at(NAN, 0, 90, 5), {91, 0, 30, 5},   at(60, 0, 400, -1), at(40, 0, 900, 5)};

    memcpy(points, p, sizeof(p));
    count = 8;
    CHECK(fabs(length() - 400) < 0.1);
}

static void fewer_than_two_points_have_no_length(void)
{
    points[0] = at(0, 0, 0, 5);
    count = 0;
    CHECK(length() == 0);
    count = 1;
    CHECK(length() == 0);
}

/* Drives 1,000 m, stands five minutes, drives on, stands ten, ends. */
static void drive_with_two_stops(void)
{
    double place = 0;

    count = 0;
    for (double time = 0; time <= 1300; time += 10) {
        points[count++] = at(time, 0, place, 5);
        if (!(time >= 100 && time < 400) && !(time >= 500 && time < 1100))
            place += 100;
    }
}

static void stops_are_where_and_when_the_vehicle_stood(void)
{
    TrackStop s[MAX];

    drive_with_two_stops();
    CHECK_INT(stops(50, 120, s), 2);
    CHECK_INT(s[0].started_at, 100);
    CHECK_INT(s[0].ended_at, 400);
    CHECK_INT(s[0].points, 31);
    CHECK(fabs(s[0].lng * DEGREE_M - 1000) < 0.1 && fabs(s[0].lat) < 1e-9);
    CHECK_INT(s[1].ended_at - s[1].started_at, 600);
    CHECK_INT(stops(50, 400, s), 1);
    CHECK_INT(stops(50, 601, s), 0);
}

static void errors_do_not_cut_a_stop_in_two(void)
{
    TrackStop s[MAX];

    seed = 4711;
    for (int i = 0; i < 50; i++) {
        drive_with_two_stops();
        disturb(10, 60, 15);
        CHECK_INT(stops(50, 120, s), 2);
        CHECK(fabs(s[0].lng * DEGREE_M - 1000) < 30 && fabs(s[0].lat * DEGREE_M) < 30);
        CHECK(fabs(s[1].ended_at - s[1].started_at - 600) < 30);
    }
}

static void one_wild_point_does_not_end_a_stop(void)
{
    TrackStop s[MAX];

    drive_with_two_stops();
    points[20] = at(200, 500, 1000, 5);
    CHECK_INT(stops(50, 60, s), 2);
    CHECK_INT(s[0].started_at, 100);
    CHECK_INT(s[0].ended_at, 400);
    CHECK_INT(s[0].points, 30);
}

static void a_drive_has_no_stops(void)
{
    TrackStop s[MAX];

    for (count = 0; count < 100; count++)
        points[count] = at(count * 3, 0, count * 30.0, NAN);
    CHECK_INT(stops(50, 120, s), 0);
    count = 0;
    CHECK_INT(stops(50, 0, s), 0);
    count = 1;
    CHECK_INT(stops(50, 0, s), 0);
}

/* The farthest that the kept track is ever from a recording that it was made of. */
static double farthest(const TrackPoint *full, int full_count, int kept)
{
    double most = 0;
    int k = 1;

    for (int i = 0; i < full_count; i++) {
        double f;

        while (k < kept - 1 && points[k].time < full[i].time)
            k++;
        f = (full[i].time - points[k - 1].time) / (points[k].time - points[k - 1].time);
        most = fmax(most, geo_distance_m(full[i].lat, full[i].lng,
                                         points[k - 1].lat + f * (points[k].lat - points[k - 1].lat),
                                         points[k - 1].lng + f * (points[k].lng - points[k - 1].lng)));
    }
    return most;
}

static void a_simpler_track_is_never_far_off(void)
{
    TrackPoint full[MAX];
    int kept;

    drive(3);
    memcpy(full, points, sizeof(full));
    kept = simplify(10);
    CHECK(kept > 20 && kept < count / 4);
    CHECK(points[0].time == 0 && points[kept - 1].time == full[count - 1].time);
    CHECK(isnan(points[1].accuracy));
    CHECK(farthest(full, count, kept) < 10 + 6); /* and what smoothing moved */
}

static void a_wider_tolerance_keeps_less(void)
{
    int before = MAX;
    static const double tolerances[] = {0, 2, 10, 50, 1000};

    for (int i = 0; i < 5; i++) {
        int kept;

        drive(3);
        kept = simplify(tolerances[i]);
        CHECK(kept < before && kept >= 2);
        before = kept;
    }
}

static void a_simpler_track_of_errors_stays_simple(void)
{
    int kept;

    seed = 4711;
    drive(3);
    disturb(10, 0, NAN);
    kept = simplify(20);
    CHECK(kept < count / 3);
}

static void simplifying_next_to_nothing_keeps_it(void)
{
    count = 0;
    CHECK_INT(simplify(10), 0);
    points[0] = at(0, 0, 0, 5);
    count = 1;
    CHECK_INT(simplify(10), 1);
    points[1] = at(60, 0, 500, 5);
    count = 2;
    CHECK_INT(simplify(10), 2);
    CHECK(fabs(points[1].lng * DEGREE_M - 500) < 0.1);
}

int main(void)
{
    RUN(a_straight_drive_has_its_length);
    RUN(a_corner_is_not_cut);
    RUN(a_drive_without_errors_has_its_length);
    RUN(errors_of_receivers_add_little);
    RUN(drifting_errors_add_little);
    RUN(reported_accuracies_do_not_mislead);
    RUN(standing_for_ten_minutes_adds_little);
    RUN(standing_without_errors_adds_nothing);
    RUN(a_single_spike_vanishes);
    RUN(a_spike_at_an_end_vanishes);
    RUN(a_way_that_leads_somewhere_else_for_a_while_is_no_spike);
    RUN(a_jump_that_lasts_has_no_length);
    RUN(what_is_there_and_back_in_a_burst_is_dropped);
    RUN(inaccurate_points_are_left_out);
    RUN(the_antimeridian_is_not_a_wall);
    RUN(nor_is_the_pole);
    RUN(what_makes_no_sense_is_passed_over);
    RUN(fewer_than_two_points_have_no_length);
    RUN(stops_are_where_and_when_the_vehicle_stood);
    RUN(errors_do_not_cut_a_stop_in_two);
    RUN(one_wild_point_does_not_end_a_stop);
    RUN(a_drive_has_no_stops);
    RUN(a_simpler_track_is_never_far_off);
    RUN(a_wider_tolerance_keeps_less);
    RUN(a_simpler_track_of_errors_stays_simple);
    RUN(simplifying_next_to_nothing_keeps_it);
    return unit_result();
}
