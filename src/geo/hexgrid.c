/*
 * The hexagon grid; see hexgrid.h.
 *
 * A regular hexagon is the set of points nearer to its own centre than to any other, so a point's cell is the
 * nearest centre: one candidate row in each of the two columns around it.
 */
#include "geo/hexgrid.h"

#include <math.h>

#include "geo/geo.h"

#define MERCATOR_RADIUS_M 6378137.0
#define SQRT3             1.7320508075688772
#define RADIANS(d)        ((d) * (M_PI / 180.0))
#define DEGREES(r)        ((r) * (180.0 / M_PI))

typedef struct Mercator {
    double x, y; /* metres */
} Mercator;

static Mercator project(double lat, double lng)
{
    double clamped = lat > HEXGRID_MAX_LAT    ? HEXGRID_MAX_LAT
                     : lat < -HEXGRID_MAX_LAT ? -HEXGRID_MAX_LAT
                                              : lat;
    double sine = sin(RADIANS(clamped));
    /* asinh(tan(lat)), which is atanh(sin(lat)), in half the time */
    Mercator m = {MERCATOR_RADIUS_M * RADIANS(lng), MERCATOR_RADIUS_M / 2 * log((1 + sine) / (1 - sine))};

    return m;
}

static HexPoint unproject(Mercator m)
{
    HexPoint p = {DEGREES(atan(sinh(m.y / MERCATOR_RADIUS_M))), DEGREES(m.x / MERCATOR_RADIUS_M)};

    return p;
}

/* Rows of odd columns lie half a cell higher; i & 1 is right for negative columns too. */
static double row_offset(int32_t i)
{
    return (i & 1) ? 0.5 : 0.0;
}

static Mercator centre(HexCell cell, double size_m)
{
    Mercator m = {1.5 * size_m * cell.i, SQRT3 * size_m * (cell.j + row_offset(cell.i))};

    return m;
}

/* The row of column i that is nearest to a place, which is given in columns and rows from the origin; squared
 * distance in edges. */
static int32_t nearest_in_column(double column, double row, int32_t i, double *distance2)
{
    double offset = row_offset(i), nearest = floor(row - offset + 0.5);
    double across = 1.5 * (column - i), along = row - offset - nearest;

    *distance2 = across * across + 3 * along * along;
    return (int32_t)nearest;
}

HexCell hexgrid_cell(double lat, double lng, double size_m)
{
    Mercator m = project(lat, lng);
    double column = m.x / (1.5 * size_m), row = m.y / (SQRT3 * size_m), distance2_west, distance2_east;
    int32_t west = (int32_t)floor(column);
    HexCell a = {west, nearest_in_column(column, row, west, &distance2_west)};
    HexCell b = {west + 1, nearest_in_column(column, row, west + 1, &distance2_east)};

    return distance2_west <= distance2_east ? a : b;
}

HexPoint hexgrid_centre(HexCell cell, double size_m)
{
    return unproject(centre(cell, size_m));
}

void hexgrid_corners(HexCell cell, double size_m, HexPoint corners[6])
{
    static const double dx[6] = {-1, -0.5, 0.5, 1, 0.5, -0.5};
    static const double dy[6] = {0, -SQRT3 / 2, -SQRT3 / 2, 0, SQRT3 / 2, SQRT3 / 2};
    Mercator c = centre(cell, size_m);

    for (int k = 0; k < 6; k++) {
        Mercator corner = {c.x + dx[k] * size_m, c.y + dy[k] * size_m};

        corners[k] = unproject(corner);
    }
}

void hexgrid_neighbours(HexCell cell, HexCell neighbours[6])
{
    int32_t up = cell.i & 1; /* row of the neighbouring columns' cell just above this centre, less j */

    neighbours[0] = (HexCell){cell.i, cell.j + 1};
    neighbours[1] = (HexCell){cell.i - 1, cell.j + up};
    neighbours[2] = (HexCell){cell.i - 1, cell.j + up - 1};
    neighbours[3] = (HexCell){cell.i, cell.j - 1};
    neighbours[4] = (HexCell){cell.i + 1, cell.j + up - 1};
    neighbours[5] = (HexCell){cell.i + 1, cell.j + up};
}

/* The point of a hexagon of edge `size` around the origin that is nearest to (x, y), both 0 or more. */
static Mercator nearest_in_quadrant(double x, double y, double size)
{
    double top = SQRT3 / 2 * size, along;
    Mercator on_top = {fmin(x, size / 2), top}, on_side;

    if (y <= top && SQRT3 * x + y <= SQRT3 * size)
        return (Mercator){x, y};
    /* the side from (size, 0) to (size / 2, top) has the direction (-1/2, sqrt(3)/2) */
    along = fmax(0, fmin(size, -(x - size) / 2 + y * SQRT3 / 2));
    on_side = (Mercator){size - along / 2, along * SQRT3 / 2};
    return hypot(x - on_top.x, y - on_top.y) < hypot(x - on_side.x, y - on_side.y) ? on_top : on_side;
}

double hexgrid_distance(HexCell cell, double size_m, double lat, double lng)
{
    const double around = 2 * M_PI * MERCATOR_RADIUS_M;
    Mercator p = project(lat, lng), c = centre(cell, size_m), n;
    double dx = remainder(p.x - c.x, around), dy = p.y - c.y;
    HexPoint nearest;

    n = nearest_in_quadrant(fabs(dx), fabs(dy), size_m);
    if (n.x == fabs(dx) && n.y == fabs(dy))
        return 0;
    nearest = unproject((Mercator){p.x - dx + copysign(n.x, dx), c.y + copysign(n.y, dy)});
    return geo_distance_m(lat, lng, nearest.lat, nearest.lng);
}

/* The column that holds or is next to a longitude (degrees, may lie past 180), `more` columns further. */
static int32_t column_at(double lng, double size_m, int more)
{
    return (int32_t)floor(MERCATOR_RADIUS_M * RADIANS(lng) / (1.5 * size_m)) + more;
}

int hexgrid_columns(double lat, double lng, double radius_m, double size_m, int32_t ranges[2][2])
{
    double angle = radius_m / MERCATOR_RADIUS_M * 1.01,
           reach = sin(fmin(angle, M_PI / 2)) / cos(RADIANS(lat));
    double span = fabs(RADIANS(lat)) + angle >= M_PI / 2 || !(reach < 1) ? 180 : DEGREES(asin(reach));
    double west = lng - span, east = lng + span;

    if (span >= 180) {
        west = -180;
        east = 180;
    }
    ranges[0][0] = column_at(west, size_m, -1);
    ranges[0][1] = column_at(east, size_m, 2);
    if (west >= -180 && east <= 180)
        return 1;
    ranges[1][0] = column_at(west < -180 ? west + 360 : -180, size_m, -1);
    ranges[1][1] = column_at(west < -180 ? 180 : east - 360, size_m, 2);
    return 2;
}
