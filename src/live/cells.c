/* The lattice of the live index; see cells.h. */
#include "live/cells.h"

#include <math.h>

#define DEGREES(r) ((r) * (180.0 / M_PI))

CellsRow cells_row(const GeoOrigin *origin, int level, uint32_t row)
{
    double height = 180.0 / cells_rows(level);
    double south = row * height - 90, north = south + height;
    double gap = origin->lat < south ? south - origin->lat : origin->lat > north ? origin->lat - north : 0;
    double outer = fabs(south) > fabs(north) ? south : north; /* the shortest parallel */
    CellsRow result = {geo_hav4(GEO_RADIANS(gap)),
                       fabs(outer) >= 90 ? 0 : origin->cos_lat * geo_cos_lat(origin, outer)};

    return result;
}

/* Degrees between two longitudes, in [0, 180]. */
static double lng_gap(double a, double b)
{
    double gap = fabs(a - b);

    return gap > 180 ? 360 - gap : gap;
}

double cells_col(const GeoOrigin *origin, int level, uint32_t col)
{
    double width = 360.0 / cells_cols(level);
    double west = col * width - 180, east = west + width;

    if (origin->lng >= west && origin->lng <= east)
        return 0;
    return geo_hav4(GEO_RADIANS(fmin(lng_gap(origin->lng, west), lng_gap(origin->lng, east))));
}

static uint32_t row_at(int level, double lat)
{
    double row = floor((lat + 90) * cells_rows(level) / 180);

    return row < 0 ? 0 : row >= cells_rows(level) ? cells_rows(level) - 1 : (uint32_t)row;
}

CellsRange cells_cover(const GeoOrigin *origin, double radius_m)
{
    CellsRange whole = {CELLS_LEVELS, 0, cells_rows(CELLS_LEVELS), 0, cells_cols(CELLS_LEVELS)};
    double angle = radius_m / GEO_EARTH_RADIUS_M * (1 + 1e-9) + 1e-12;
    double dlat = DEGREES(angle), dlng;

    if (angle >= 1 || fabs(origin->lat) + dlat >= 89.9)
        return whole; /* a pole may be inside: every longitude */
    dlng = DEGREES(asin(sin(angle) / origin->cos_lat)) * (1 + 1e-9);
    for (int level = 0; level < CELLS_LEVELS; level++) {
        uint32_t cols = cells_cols(level);
        uint32_t south = row_at(level, origin->lat - dlat), north = row_at(level, origin->lat + dlat);
        double west = floor((origin->lng - dlng + 180) * cols / 360);
        double east = floor((origin->lng + dlng + 180) * cols / 360);

        if (north - south < CELLS_COVER_SPAN && east - west < CELLS_COVER_SPAN && cols > CELLS_COVER_SPAN) {
            CellsRange cover = {level, south, north - south + 1, (uint32_t)((int64_t)west + cols) % cols,
                                (uint32_t)(east - west) + 1};

            return cover;
        }
    }
    return whole;
}
