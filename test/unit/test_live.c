/* The lattice of the live index: bounds never exceed a distance, covers hold every point. */
#define _GNU_SOURCE /* M_PIl */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "geo/geo.h"
#include "live/cells.h"

static double uniform(double low, double high)
{
    return low + (high - low) * (rand() / (RAND_MAX + 1.0));
}

/* A point, half of the time near a pole, the antimeridian or a cell's edge. */
static void any_point(double *lat, double *lng)
{
    *lat = uniform(-90, 90);
    *lng = uniform(-180, 180);
    switch (rand() % 8) {
    case 0:
        *lat = 90 - pow(10, uniform(-6, 0));
        break;
    case 1:
        *lat = -90;
        break;
    case 2:
        *lng = uniform(-1, 1) > 0 ? 180 : -180;
        break;
    case 3:
        *lat = floor(*lat * cells_rows(0) / 180) * 180 / cells_rows(0);
        *lng = floor(*lng * cells_cols(0) / 360) * 360 / cells_cols(0);
        break;
    }
}

/* A point at most `radius_m` or so away, or anywhere. */
static void near_point(double lat, double lng, double degrees, double *lat2, double *lng2)
{
    *lat2 = fmin(90, fmax(-90, lat + uniform(-degrees, degrees)));
    *lng2 = remainder(lng + uniform(-degrees, degrees) / fmax(cos(lat * M_PI / 180), 1e-3), 360);
}

static void keys_stay_within_the_lattice(void)
{
    uint32_t last_row = cells_rows(0) - 1, last_col = cells_cols(0) - 1;

    CHECK(cells_key(-90, -180) == 0);
    CHECK(cells_key(90, 180) == cells_at(last_row, last_col));
    CHECK(cells_key(0, 0) == cells_at(cells_rows(0) / 2, cells_cols(0) / 2));
    CHECK(cells_parent(cells_at(last_row, last_col), CELLS_LEVELS) == cells_at(1, 3));
    CHECK(cells_parent(cells_at(7, 9), 1) == cells_at(1, 2));
    CHECK_INT(cells_member(cells_at(7, 9)), 3 * CELLS_FAN + 1);
    CHECK_INT(cells_rows(CELLS_LEVELS), 2);
    CHECK_INT(cells_cols(CELLS_LEVELS), 4);
}

static void near_distances_are_as_exact_as_far_ones(void)
{
    srand(3);
    for (int i = 0; i < 100000; i++) {
        double lat, lng, lat2, lng2;
        long double dlat, dlng, truth, ours;
        GeoOrigin origin;

        any_point(&lat, &lng);
        near_point(lat, lng, pow(10, uniform(-6, 2)), &lat2, &lng2);
        origin = geo_origin(lat, lng);
        ours = geo_chord2_from(&origin, lat2, lng2);
        dlat = sinl(((long double)lat2 - lat) * (M_PIl / 360));
        dlng = sinl(((long double)lng2 - lng) * (M_PIl / 360));
        truth = 4 * (dlat * dlat + cosl(lat * (M_PIl / 180)) * cosl(lat2 * (M_PIl / 180)) * dlng * dlng);
        /* some nanometres, all of them from degrees being doubles */
        CHECK(fabsl(sqrtl(ours) - sqrtl(truth)) <= 2e-15L);
        CHECK(fabsl(ours - geo_chord2(geo_vector(lat, lng), geo_vector(lat2, lng2))) <= 2e-15L);
    }
}

static void bounds_never_exceed_the_distance_to_a_point_of_the_cell(void)
{
    srand(1);
    for (int i = 0; i < 100000; i++) {
        double lat, lng, lat2, lng2, chord2;
        CellsKey key;
        GeoOrigin origin;

        any_point(&lat, &lng);
        if (i % 2)
            any_point(&lat2, &lng2);
        else
            near_point(lat, lng, pow(10, uniform(-7, 1)), &lat2, &lng2);
        origin = geo_origin(lat, lng);
        key = cells_key(lat2, lng2);
        chord2 = geo_chord2_from(&origin, lat2, lng2);
        for (int level = 0; level <= CELLS_LEVELS; level++) {
            CellsKey parent = cells_parent(key, level);
            double bound = cells_bound(cells_row(&origin, level, cells_row_of(parent)),
                                       cells_col(&origin, level, cells_col_of(parent)));

            CHECK(bound <= chord2);
        }
    }
}

static void bounds_of_near_cells_are_close_to_the_truth(void)
{
    /* Vienna to a cell 10 km east: within a few per cent, or searches would read far too much */
    GeoOrigin origin = geo_origin(48.2, 16.37);
    CellsKey key = cells_key(48.2, 16.505);
    double bound =
        cells_bound(cells_row(&origin, 0, cells_row_of(key)), cells_col(&origin, 0, cells_col_of(key)));

    CHECK(geo_chord2_to_m(bound) > 9850 && geo_chord2_to_m(bound) < 10050);
}

static bool covered(const CellsRange *range, CellsKey key)
{
    CellsKey parent = cells_parent(key, range->level);
    uint32_t width = cells_cols(range->level), row = cells_row_of(parent);
    uint32_t col = (cells_col_of(parent) + width - range->col) % width;

    return row >= range->row && row < range->row + range->rows && col < range->cols;
}

static void covers_hold_every_point_of_the_circle(void)
{
    srand(2);
    for (int i = 0; i < 100000; i++) {
        double lat, lng, lat2, lng2, metres, radius = pow(10, uniform(0, 7.3));
        GeoOrigin origin;
        CellsRange range;

        any_point(&lat, &lng);
        near_point(lat, lng, radius / 111000 * 1.5, &lat2, &lng2);
        origin = geo_origin(lat, lng);
        range = cells_cover(&origin, radius);
        metres = geo_distance_m(lat, lng, lat2, lng2);
        CHECK(metres > radius || covered(&range, cells_key(lat2, lng2)));
        CHECK(range.rows <= CELLS_COVER_SPAN && range.cols <= CELLS_COVER_SPAN);
        CHECK(range.rows <= cells_rows(range.level) && range.cols <= cells_cols(range.level));
    }
}

int main(void)
{
    RUN(keys_stay_within_the_lattice);
    RUN(near_distances_are_as_exact_as_far_ones);
    RUN(bounds_never_exceed_the_distance_to_a_point_of_the_cell);
    RUN(bounds_of_near_cells_are_close_to_the_truth);
    RUN(covers_hold_every_point_of_the_circle);
    return unit_result();
}
