/*
 * hexgrid.h
 *    The hexagon grid of surge and forecasts: cell <-> place. Pure: no allocation, no errors.
 *
 * The grid lies in web mercator (EPSG:3857: the sphere of radius 6378137 m) and is the one that PostGIS
 * ST_HexagonGrid(size, ...) draws there: flat-topped hexagons of edge `size` (web-mercator metres, so
 * size * cos(latitude) on the ground), cell (0, 0) centred on the origin, columns 1.5 * size apart, odd
 * columns half a cell higher. Latitudes are clamped to +-85.06 degrees; columns don't wrap at the
 * antimeridian.
 */
#ifndef HAIL_HEXGRID_H
#define HAIL_HEXGRID_H

#include <stdint.h>

#define HEXGRID_MAX_LAT 85.06

/* Sizes for which every cell of the earth has int32 numbers, with room to spare; metres. */
#define HEXGRID_MIN_SIZE_M 1.0
#define HEXGRID_MAX_SIZE_M 10000000.0

typedef struct HexCell {
    int32_t i, j; /* column eastwards, row northwards, as ST_HexagonGrid numbers them */
} HexCell;

typedef struct HexPoint {
    double lat, lng; /* degrees */
} HexPoint;

/* The cell that holds a point (valid degrees); on an edge, either neighbour. size_m in [MIN, MAX]. */
extern HexCell hexgrid_cell(double lat, double lng, double size_m);

/* Centre of a cell; its lng may lie past +-180 for cells across the antimeridian. */
extern HexPoint hexgrid_centre(HexCell cell, double size_m);

/* The six corners in the order ST_Hexagon gives them: from the western corner, counter-clockwise. */
extern void hexgrid_corners(HexCell cell, double size_m, HexPoint corners[6]);

/* The six cells around one, counter-clockwise from the north. */
extern void hexgrid_neighbours(HexCell cell, HexCell neighbours[6]);

/* Great-circle metres from a point to the nearest one of a cell, 0 inside; either way round the antimeridian.
 * Nearest is nearest in the projection: off by far less than a part in a thousand within 100 km. */
extern double hexgrid_distance(HexCell cell, double size_m, double lat, double lng);

/* Columns of the cells that may be within radius_m of a point: from first to last, in up to two ranges
 * (across the antimeridian); how many. */
extern int hexgrid_columns(double lat, double lng, double radius_m, double size_m, int32_t ranges[2][2]);

/* One number for a cell, and back: i in the upper, j in the lower 32 bits. */
static inline int64_t hexgrid_pack(HexCell cell)
{
    return (int64_t)(((uint64_t)(uint32_t)cell.i << 32) | (uint32_t)cell.j);
}

static inline HexCell hexgrid_unpack(int64_t packed)
{
    HexCell cell = {(int32_t)((uint64_t)packed >> 32), (int32_t)(uint32_t)packed};

    return cell;
}

#endif
