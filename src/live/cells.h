/*
 * cells.h
 *    The lattice of the live index. Pure.
 *
 * Level 0 cuts the globe into 2^17 rows of latitude and 2^18 columns of longitude: cells 153 m square at the
 * equator, narrower towards the poles. Each level above joins 4 x 4 cells of the one below; level 8 is the
 * whole globe in 2 x 4. The cells that one cell of the next level joins are a family: they are looked at and
 * lie in memory together.
 */
#ifndef HAIL_LIVE_CELLS_H
#define HAIL_LIVE_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include "geo/geo.h"

#define CELLS_ROW_BITS 17
#define CELLS_COL_BITS 18
#define CELLS_FAN      4 /* rows and columns a cell has of the level below */
#define CELLS_SHIFT    2 /* log2 of it */
#define CELLS_FAMILY   (CELLS_FAN * CELLS_FAN)
#define CELLS_LEVELS   8 /* coarse levels, 1 .. 8 */

/* A cell of a known level: row << 32 | column. */
typedef uint64_t CellsKey;

/* What a row, a column adds to the lower bound of the distance; see cells_bound(). */
typedef struct CellsRow {
    double base, scale;
} CellsRow;

/* Rows and columns at a level: half open [first, first + count), columns modulo the level's. */
typedef struct CellsRange {
    int level;
    uint32_t row, rows, col, cols;
} CellsRange;

static inline uint32_t cells_rows(int level)
{
    return 1u << (CELLS_ROW_BITS - CELLS_SHIFT * level);
}

static inline uint32_t cells_cols(int level)
{
    return 1u << (CELLS_COL_BITS - CELLS_SHIFT * level);
}

static inline CellsKey cells_at(uint32_t row, uint32_t col)
{
    return (CellsKey)row << 32 | col;
}

/* The level 0 cell that holds a valid point. */
static inline CellsKey cells_key(double lat, double lng)
{
    uint32_t row = (uint32_t)((lat + 90.0) * ((1 << CELLS_ROW_BITS) / 180.0));
    uint32_t col = (uint32_t)((lng + 180.0) * ((1 << CELLS_COL_BITS) / 360.0));

    return cells_at(row >> CELLS_ROW_BITS ? (1u << CELLS_ROW_BITS) - 1 : row,
                    col >> CELLS_COL_BITS ? (1u << CELLS_COL_BITS) - 1 : col);
}

static inline uint32_t cells_row_of(CellsKey key)
{
    return (uint32_t)(key >> 32);
}

static inline uint32_t cells_col_of(CellsKey key)
{
    return (uint32_t)key;
}

/* The cell so many levels up. */
static inline CellsKey cells_parent(CellsKey key, int levels)
{
    int shift = CELLS_SHIFT * levels;

    return cells_at(cells_row_of(key) >> shift, cells_col_of(key) >> shift);
}

/* The place of a cell in its family, 0 .. CELLS_FAMILY - 1. */
static inline int cells_member(CellsKey key)
{
    return (cells_row_of(key) & (CELLS_FAN - 1)) << CELLS_SHIFT | (cells_col_of(key) & (CELLS_FAN - 1));
}

/* The two halves of a cell's lower bound. */
extern CellsRow cells_row(const GeoOrigin *origin, int level, uint32_t row);
extern double cells_col(const GeoOrigin *origin, int level, uint32_t col);

/*
 * Lower bound of the squared chord (unit sphere) from the origin to any point of the cell at this row and
 * column, at any latitude and across the antimeridian: the haversine of geo_chord2_from() with each part at
 * its least within the cell. The margin covers the rounding of cells_key() and of both sums.
 */
static inline double cells_bound(CellsRow row, double col)
{
    return (row.base + row.scale * col) * (1 - 1e-6) - 1e-24;
}

/* A cover has at most this many rows and columns. */
#define CELLS_COVER_SPAN 6

/* A cover to start a search from: few cells that hold every point within radius_m. */
extern CellsRange cells_cover(const GeoOrigin *origin, double radius_m);

#endif
