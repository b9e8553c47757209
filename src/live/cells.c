/* The lattice of the live index; see cells.h. */
#include "live/cells.h"

#include <math.h>

#include "geo/geo.h"

#define RADIANS(d) ((d) * (M_PI / 180.0))
#define DEGREES(r) ((r) * (180.0 / M_PI))

/* A cover has at most this many rows and columns. */
#define COVER_SPAN 3

static double sin2_half(double degrees)
{
    double s = sin(RADIANS(degrees) / 2);

    return s * s;
}

CellsOrigin cells_origin(double lat, double lng)
{
    CellsOrigin origin = {lat, lng, cos(RADIANS(lat))};

    return origin;
}

CellsRow cells_row(const CellsOrigin *origin, int level, uint32_t row)
{
    double height = 180.0 / cells_width(level);
    double south = row * height - 90, north = south + height;
    double gap = origin->lat < south ? south - origin->lat : origin->lat > north ? origin->lat - north : 0;
    double outer = fmax(fabs(south), fabs(north)); /* the edge farther from the equator: shortest parallel */
    CellsRow result = {gap > 0 ? sin2_half(gap) : 0, outer >= 90 ? 0 : origin->cos_lat * cos(RADIANS(outer))};

    return result;
}

/* Degrees between two longitudes, in [0, 180]. */
static double lng_gap(double a, double b)
{
    double gap = fabs(a - b);

    return gap > 180 ? 360 - gap : gap;
}

double cells_col(const CellsOrigin *origin, int level, uint32_t col)
{
    double width = 360.0 / cells_width(level);
    double west = col * width - 180, east = west + width;

    if (origin->lng >= west && origin->lng <= east)
        return 0;
    return sin2_half(fmin(lng_gap(origin->lng, west), lng_gap(origin->lng, east)));
}

static uint32_t row_at(int level, double lat)
{
    double row = floor((lat + 90) * cells_width(level) / 180);

    return row < 0 ? 0 : row >= cells_width(level) ? cells_width(level) - 1 : (uint32_t)row;
}

CellsRange cells_cover(const CellsOrigin *origin, double radius_m)
{
    CellsRange whole = {CELLS_LEVELS, 0, 1, 0, 1};
    double angle = radius_m / GEO_EARTH_RADIUS_M * (1 + 1e-9) + 1e-12;
    double dlat = DEGREES(angle), dlng;

    if (angle >= 1 || fabs(origin->lat) + dlat >= 89.9)
        return whole; /* a pole may be inside: every longitude */
    dlng = DEGREES(asin(sin(angle) / origin->cos_lat)) * (1 + 1e-9);
    for (int level = 1; level < CELLS_LEVELS; level++) {
        uint32_t width = cells_width(level);
        uint32_t south = row_at(level, origin->lat - dlat), north = row_at(level, origin->lat + dlat);
        double west = floor((origin->lng - dlng + 180) * width / 360);
        double east = floor((origin->lng + dlng + 180) * width / 360);

        if (north - south < COVER_SPAN && east - west < COVER_SPAN && width > COVER_SPAN) {
            CellsRange cover = {level, south, north - south + 1, (uint32_t)((int64_t)west + width) % width,
                                (uint32_t)(east - west) + 1};

            return cover;
        }
    }
    return whole;
}
