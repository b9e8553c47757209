/* The hexagon grid against itself; sql/geo.sql compares it with PostGIS. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "geo/hexgrid.h"

static double between(double low, double high)
{
    return low + (high - low) * rand() / RAND_MAX;
}

static int same(HexCell a, HexCell b)
{
    return a.i == b.i && a.j == b.j;
}

static void cells_pack_and_unpack(void)
{
    const int32_t numbers[] = {0, 1, -1, 4711, -4711, INT32_MAX, INT32_MIN};

    for (int a = 0; a < 7; a++)
        for (int b = 0; b < 7; b++) {
            HexCell cell = {numbers[a], numbers[b]};

            CHECK(same(hexgrid_unpack(hexgrid_pack(cell)), cell));
        }
}

static void the_centre_of_a_cell_lies_in_it(void)
{
    srand(4711);
    for (int n = 0; n < 100000; n++) {
        double size = between(1, 100000);
        HexCell cell = hexgrid_cell(between(-90, 90), between(-180, 180), size);
        HexPoint centre = hexgrid_centre(cell, size);

        if (fabs(centre.lat) < 85 && fabs(centre.lng) <= 180)
            CHECK(same(hexgrid_cell(centre.lat, centre.lng, size), cell));
        if (unit_broken > 10)
            return;
    }
}

/* Just inside each corner is the cell itself; just outside is one of its neighbours. */
static void corners_divide_a_cell_from_its_neighbours(void)
{
    srand(4711);
    for (int n = 0; n < 20000; n++) {
        double size = between(50, 5000);
        HexCell cell = hexgrid_cell(between(-80, 80), between(-170, 170), size), around[6];
        HexPoint centre = hexgrid_centre(cell, size), corners[6];

        hexgrid_corners(cell, size, corners);
        hexgrid_neighbours(cell, around);
        for (int k = 0; k < 6; k++) {
            double dlat = corners[k].lat - centre.lat, dlng = corners[k].lng - centre.lng;
            HexCell outside = hexgrid_cell(centre.lat + 1.01 * dlat, centre.lng + 1.01 * dlng, size);
            int adjacent = 0;

            CHECK(same(hexgrid_cell(centre.lat + 0.99 * dlat, centre.lng + 0.99 * dlng, size), cell));
            for (int m = 0; m < 6; m++)
                adjacent += same(outside, around[m]);
            CHECK_INT(adjacent, 1);
        }
        if (unit_broken > 10)
            return;
    }
}

static void neighbours_are_mutual(void)
{
    for (int i = -3; i <= 3; i++)
        for (int j = -3; j <= 3; j++) {
            HexCell cell = {i, j}, around[6], back[6];

            hexgrid_neighbours(cell, around);
            for (int k = 0; k < 6; k++) {
                int mutual = 0;

                hexgrid_neighbours(around[k], back);
                for (int m = 0; m < 6; m++)
                    mutual += same(back[m], cell);
                CHECK_INT(mutual, 1);
            }
        }
}

static void latitudes_beyond_the_map_are_clamped(void)
{
    CHECK(same(hexgrid_cell(90, 10, 500), hexgrid_cell(HEXGRID_MAX_LAT, 10, 500)));
    CHECK(same(hexgrid_cell(-90, 10, 500), hexgrid_cell(-HEXGRID_MAX_LAT, 10, 500)));
}

int main(void)
{
    RUN(cells_pack_and_unpack);
    RUN(the_centre_of_a_cell_lies_in_it);
    RUN(corners_divide_a_cell_from_its_neighbours);
    RUN(neighbours_are_mutual);
    RUN(latitudes_beyond_the_map_are_clamped);
    return unit_result();
}
