/* The lattice of the live index: bounds never exceed a distance, covers hold every point. */
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
        *lat = floor(*lat * 65536 / 180) * 180 / 65536;
        *lng = floor(*lng * 65536 / 360) * 360 / 65536;
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
    CHECK_INT(cells_key(-90, -180), 0);
    CHECK_INT(cells_key(90, 180), 0xffffffff);
    CHECK_INT(cells_key(0, 0), 0x80008000);
    CHECK_INT(cells_parent(0xffffffff, CELLS_LEVELS), 0);
    CHECK_INT(cells_parent(0x80008000, 1), 0x20002000);
    CHECK_INT(cells_width(CELLS_LEVELS), 1);
}

static void bounds_never_exceed_the_distance_to_a_point_of_the_cell(void)
{
    srand(1);
    for (int i = 0; i < 100000; i++) {
        double lat, lng, lat2, lng2, chord2;
        uint32_t key;
        CellsOrigin origin;

        any_point(&lat, &lng);
        if (i % 2)
            any_point(&lat2, &lng2);
        else
            near_point(lat, lng, pow(10, uniform(-7, 1)), &lat2, &lng2);
        origin = cells_origin(lat, lng);
        key = cells_key(lat2, lng2);
        chord2 = geo_chord2(geo_vector(lat, lng), geo_vector(lat2, lng2));
        for (int level = 0; level <= CELLS_LEVELS; level++) {
            uint32_t parent = cells_parent(key, level);
            double bound = cells_bound(cells_row(&origin, level, parent >> 16),
                                       cells_col(&origin, level, parent & 0xffff));

            CHECK(bound <= chord2);
        }
    }
}

static void bounds_of_near_cells_are_close_to_the_truth(void)
{
    /* Vienna to a cell 10 km east: within a few per cent, or searches would read far too much */
    CellsOrigin origin = cells_origin(48.2, 16.37);
    uint32_t key = cells_key(48.2, 16.505);
    double bound = cells_bound(cells_row(&origin, 0, key >> 16), cells_col(&origin, 0, key & 0xffff));

    CHECK(geo_chord2_to_m(bound) > 9400 && geo_chord2_to_m(bound) < 10050);
}

static bool covered(const CellsRange *range, uint32_t key)
{
    uint32_t parent = cells_parent(key, range->level), width = cells_width(range->level);
    uint32_t row = parent >> 16, col = ((parent & 0xffff) + width - range->col) % width;

    return row >= range->row && row < range->row + range->rows && col < range->cols;
}

static void covers_hold_every_point_of_the_circle(void)
{
    srand(2);
    for (int i = 0; i < 100000; i++) {
        double lat, lng, lat2, lng2, metres, radius = pow(10, uniform(0, 7.3));
        CellsOrigin origin;
        CellsRange range;

        any_point(&lat, &lng);
        near_point(lat, lng, radius / 111000 * 1.5, &lat2, &lng2);
        origin = cells_origin(lat, lng);
        range = cells_cover(&origin, radius);
        metres = geo_distance_m(lat, lng, lat2, lng2);
        CHECK(metres > radius || covered(&range, cells_key(lat2, lng2)));
        CHECK(range.rows <= CELLS_FAN && range.cols <= CELLS_FAN && range.cols <= cells_width(range.level));
    }
}

int main(void)
{
    RUN(keys_stay_within_the_lattice);
    RUN(bounds_never_exceed_the_distance_to_a_point_of_the_cell);
    RUN(bounds_of_near_cells_are_close_to_the_truth);
    RUN(covers_hold_every_point_of_the_circle);
    return unit_result();
}
