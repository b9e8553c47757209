/*
 * shape.h
 *    An area on the map, prepared so that "is this place in it" costs the same for a triangle and for a coast
 *    line. Pure but for the allocator it is given.
 *
 * Edges are straight in degrees of longitude and latitude, as in PostGIS geometry; the edge itself is part of
 * the area, as in ST_Covers(). An area across the antimeridian comes as a multipolygon cut there (RFC 7946,
 * section 3.1.9).
 *
 * Preparing lays a raster over the bounding box whose cells are wholly inside, wholly outside or touched by
 * an edge: only places in the last kind are tested edge by edge (even-odd rule), against the edges of their
 * latitude alone.
 */
#ifndef HAIL_GEOFENCE_SHAPE_H
#define HAIL_GEOFENCE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory that the caller frees as a whole; never NULL. */
typedef void *(*ShapeAllocator)(size_t bytes);

/* Degrees; south <= north. */
typedef struct ShapeEdge {
    double lng1, lat1, lng2, lat2;
} ShapeEdge;

typedef struct Shape {
    double west, south, east, north; /* bounding box, degrees */
    ShapeEdge *edges;
    int edge_count;
    /* edges by bands of latitude: those of band b are band_edges[band_start[b]] ... [band_start[b + 1] - 1]
     */
    int bands;
    double bands_per_degree;
    int *band_start, *band_edges;
    /* raster cells, row by row from the south-west: ShapeCell */
    int cols, rows;
    double cols_per_degree, rows_per_degree;
    uint8_t *raster;
} Shape;

typedef enum ShapeCell { CELL_OUTSIDE, CELL_INSIDE, CELL_EDGE } ShapeCell;

/* Counters of the tests made, for those who measure. */
typedef struct ShapeTests {
    int64_t raster, exact;
} ShapeTests;

extern ShapeTests shape_tests;

/*
 * Prepare an area of `count` >= 3 edges, every ring closed, in any order and direction. `edges` is kept and
 * reordered in place; its ends are swapped so that the first is not north of the second.
 */
extern Shape *shape_prepare(ShapeEdge *edges, int count, ShapeAllocator allocate);

/* The place lies in the area or on its edge. Longitudes -180 and 180 are the same. */
extern bool shape_covers(const Shape *shape, double lat, double lng);

/* The same without raster and bands: what shape_covers() must answer. */
extern bool shape_covers_slowly(const Shape *shape, double lat, double lng);

/*
 * An edge is nearer than `metres` (up to some 10 km; on a plane through the place, error below 0.2 % at
 * latitudes under 80 degrees). Looks across the antimeridian.
 */
extern bool shape_edge_within(const Shape *shape, double lat, double lng, double metres);

/*
 * Read the rings of a polygon or multipolygon in little-endian WKB (OGC 06-103r4, 8.2) as edges; zero-length
 * ones are left out. Returns their number with *edges allocated; -1: no such geometry.
 */
extern int shape_edges_from_wkb(const unsigned char *wkb, size_t length, ShapeEdge **edges,
                                ShapeAllocator allocate);

/*
 * Which of many shapes may hold a place: a hash of square cells, each with the shapes that touch it. Cells
 * are 1/64 degree, or as many times twice that as keeps their number below GRID_MAX_CELLS.
 */
#define GRID_MAX_CELLS (1 << 16)

typedef struct ShapeGrid {
    double cells_per_degree;
    uint32_t mask;   /* table size - 1 */
    uint64_t *keys;  /* 0: free */
    int32_t *starts; /* of each table place, into members */
    int32_t *counts;
    int32_t *members; /* numbers of shapes, ascending within a cell */
    int cells;        /* in use */
} ShapeGrid;

extern ShapeGrid *shape_grid_build(Shape *const *shapes, int count, ShapeAllocator allocate);

/*
 * Numbers of the shapes that hold the place, ascending, into `found` (room for `max`; the rest is left out);
 * returns how many.
 */
extern int shape_grid_covering(const ShapeGrid *grid, Shape *const *shapes, double lat, double lng,
                               int *found, int max);

#endif
