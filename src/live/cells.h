/*
 * cells.h
 *    The lattice of the live index. Pure.
 *
 * Level 0 cuts the globe into 2^16 rows of latitude (about 305 m) and 2^16 columns of longitude (about 611 m
 * at the equator, less towards the poles). Each level above joins 4 x 4 cells of the one below; level 8 is
 * the whole globe. A cell is (level, row, col); at level 0 its key is row << 16 | col.
 */
#ifndef HAIL_LIVE_CELLS_H
#define HAIL_LIVE_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#define CELLS_BITS   16
#define CELLS_FAN    4 /* rows and columns a cell has of the level below */
#define CELLS_SHIFT  2 /* log2 of it */
#define CELLS_LEVELS 8 /* coarse levels, 1 .. 8 */

/* The point distances are measured from. */
typedef struct CellsOrigin {
    double lat, lng; /* degrees */
    double cos_lat;
} CellsOrigin;

/* What a row, a column adds to the lower bound of the distance; see cells_bound(). */
typedef struct CellsRow {
    double base, scale;
} CellsRow;

/* Rows and columns at a level: half open [first, first + count), columns modulo the level's width. */
typedef struct CellsRange {
    int level;
    uint32_t row, rows, col, cols;
} CellsRange;

static inline uint32_t cells_width(int level)
{
    return 1u << (CELLS_BITS - CELLS_SHIFT * level);
}

/* Key of the level 0 cell that holds a valid point. */
static inline uint32_t cells_key(double lat, double lng)
{
    uint32_t row = (uint32_t)((lat + 90.0) * (65536.0 / 180.0));
    uint32_t col = (uint32_t)((lng + 180.0) * (65536.0 / 360.0));

    return (row > 65535 ? 65535 : row) << 16 | (col > 65535 ? 65535 : col);
}

/* Key at a coarser level of a level 0 key. */
static inline uint32_t cells_parent(uint32_t key, int level)
{
    int shift = CELLS_SHIFT * level;

    return ((key >> 16) >> shift) << 16 | ((key & 0xffff) >> shift);
}

extern CellsOrigin cells_origin(double lat, double lng);

/* The two halves of a cell's lower bound. */
extern CellsRow cells_row(const CellsOrigin *origin, int level, uint32_t row);
extern double cells_col(const CellsOrigin *origin, int level, uint32_t col);

/*
 * Lower bound of the squared chord (unit sphere) from the origin to any point of the cell at this row and
 * column, at any latitude and across the antimeridian: the haversine 4 (sin^2(dlat/2) + cos cos
 * sin^2(dlng/2)) with each part at its least within the cell. The margin covers the rounding of cells_key(),
 * of this sum and of geo_chord2(), the last two of which err by less than 6e-16 chords.
 */
static inline double cells_bound(CellsRow row, double col)
{
    return 4 * (row.base + row.scale * col) * (1 - 1e-6) - 1e-24;
}

/* The coarsest-grained cover to start a search from: a few cells that hold every point within radius_m. */
extern CellsRange cells_cover(const CellsOrigin *origin, double radius_m);

#endif
