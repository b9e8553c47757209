/* Prepared areas; see shape.h. */
#include "geofence/shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "geo/geo.h"

#define METRES_PER_DEGREE (GEO_EARTH_RADIUS_M * M_PI / 180)
#define RASTER_MAX        128  /* cells a side */
#define SNAP              1e-9 /* degrees, 0.1 mm: cells touched within this count as touched */

ShapeTests shape_tests;

/* ---- the exact test ---- */

/* The place lies on the edge itself. */
static bool on_edge(const ShapeEdge *e, double lat, double lng)
{
    double cross;

    if (lat < e->lat1 || lat > e->lat2 || lng < fmin(e->lng1, e->lng2) || lng > fmax(e->lng1, e->lng2))
        return false;
    cross = (e->lng2 - e->lng1) * (lat - e->lat1) - (lng - e->lng1) * (e->lat2 - e->lat1);
    return cross == 0;
}

/* A line from the place eastwards crosses the edge: an edge owns its southern end, not its northern. */
static bool crosses(const ShapeEdge *e, double lat, double lng)
{
    if (lat < e->lat1 || lat >= e->lat2)
        return false;
    return (e->lng2 - e->lng1) * (lat - e->lat1) - (lng - e->lng1) * (e->lat2 - e->lat1) > 0;
}

static int clamp(double at, int count)
{
    return at <= 0 ? 0 : at >= count ? count - 1 : (int)at;
}

static bool in_box(const Shape *s, double lat, double lng)
{
    return lat >= s->south && lat <= s->north && lng >= s->west && lng <= s->east;
}

static bool covers_by_edges(const Shape *s, double lat, double lng)
{
    int band = clamp((lat - s->south) * s->bands_per_degree, s->bands);
    bool inside = false;

    for (int i = s->band_start[band]; i < s->band_start[band + 1]; i++) {
        const ShapeEdge *e = &s->edges[s->band_edges[i]];

        if (on_edge(e, lat, lng))
            return true;
        inside ^= crosses(e, lat, lng);
    }
    return inside;
}

static bool slowly(const Shape *s, double lat, double lng)
{
    bool inside = false;

    for (int i = 0; i < s->edge_count; i++) {
        if (on_edge(&s->edges[i], lat, lng))
            return true;
        inside ^= crosses(&s->edges[i], lat, lng);
    }
    return inside;
}

static bool covers(const Shape *s, double lat, double lng)
{
    int cell;

    if (!in_box(s, lat, lng))
        return false;
    cell = s->raster[clamp((lat - s->south) * s->rows_per_degree, s->rows) * s->cols +
                     clamp((lng - s->west) * s->cols_per_degree, s->cols)];
    shape_tests.raster++;
    if (cell != CELL_EDGE)
        return cell == CELL_INSIDE;
    shape_tests.exact++;
    return covers_by_edges(s, lat, lng);
}

bool shape_covers(const Shape *shape, double lat, double lng)
{
    return covers(shape, lat, lng) || (fabs(lng) == 180 && covers(shape, lat, -lng));
}

bool shape_covers_slowly(const Shape *shape, double lat, double lng)
{
    return slowly(shape, lat, lng) || (fabs(lng) == 180 && slowly(shape, lat, -lng));
}

/* ---- distance ---- */

/* Squared metres from the place to an edge shifted by `turn` degrees. */
static double edge_distance2(const ShapeEdge *e, double lat, double lng, double turn)
{
    double kx = METRES_PER_DEGREE * cos(lat * (M_PI / 180)), ky = METRES_PER_DEGREE;
    double x1 = (e->lng1 + turn - lng) * kx, y1 = (e->lat1 - lat) * ky;
    double dx = (e->lng2 - e->lng1) * kx, dy = (e->lat2 - e->lat1) * ky;
    double length2 = dx * dx + dy * dy;
    double t = length2 > 0 ? fmin(fmax(-(x1 * dx + y1 * dy) / length2, 0), 1) : 0;
    double x = x1 + t * dx, y = y1 + t * dy;

    return x * x + y * y;
}

static bool within_turned(const Shape *s, double lat, double lng, double metres, double turn)
{
    double dlat = metres / METRES_PER_DEGREE, dlng = dlat / fmax(cos(lat * (M_PI / 180)), 1e-6);

    if (lat < s->south - dlat || lat > s->north + dlat || lng < s->west + turn - dlng ||
        lng > s->east + turn + dlng)
        return false;
    for (int i = 0; i < s->edge_count; i++)
        if (s->edges[i].lat1 - dlat <= lat && lat <= s->edges[i].lat2 + dlat &&
            edge_distance2(&s->edges[i], lat, lng, turn) < metres * metres)
            return true;
    return false;
}

bool shape_edge_within(const Shape *shape, double lat, double lng, double metres)
{
    return within_turned(shape, lat, lng, metres, 0) || within_turned(shape, lat, lng, metres, 360) ||
           within_turned(shape, lat, lng, metres, -360);
}

/* ---- preparing ---- */

static void measure(Shape *s)
{
    s->west = s->south = INFINITY;
    s->east = s->north = -INFINITY;
    for (int i = 0; i < s->edge_count; i++) {
        ShapeEdge *e = &s->edges[i];

        if (e->lat1 > e->lat2)
            *e = (ShapeEdge){e->lng2, e->lat2, e->lng1, e->lat1};
        s->west = fmin(s->west, fmin(e->lng1, e->lng2));
        s->east = fmax(s->east, fmax(e->lng1, e->lng2));
        s->south = fmin(s->south, e->lat1);
        s->north = fmax(s->north, e->lat2);
    }
}

static void edge_bands(const Shape *s, const ShapeEdge *e, int *first, int *last)
{
    *first = clamp((e->lat1 - SNAP - s->south) * s->bands_per_degree, s->bands);
    *last = clamp((e->lat2 + SNAP - s->south) * s->bands_per_degree, s->bands);
}

/* As many bands as edges, within limits: a place then meets about as many edges as a parallel crosses. */
static void fill_bands(Shape *s, ShapeAllocator allocate)
{
    int first, last;

    s->bands = s->edge_count < 16 ? 8 : s->edge_count > 4096 ? 2048 : s->edge_count / 2;
    s->bands_per_degree = s->bands / fmax(s->north - s->south, SNAP);
    s->band_start = allocate(sizeof(int) * (s->bands + 2));
    memset(s->band_start, 0, sizeof(int) * (s->bands + 2));
    for (int i = 0; i < s->edge_count; i++) {
        edge_bands(s, &s->edges[i], &first, &last);
        for (int b = first; b <= last; b++)
            s->band_start[b + 2]++;
    }
    for (int b = 2; b <= s->bands + 1; b++)
        s->band_start[b] += s->band_start[b - 1];
    s->band_edges = allocate(sizeof(int) * (s->band_start[s->bands + 1] + 1));
    for (int i = 0; i < s->edge_count; i++) {
        edge_bands(s, &s->edges[i], &first, &last);
        for (int b = first; b <= last; b++)
            s->band_edges[s->band_start[b + 1]++] = i;
    }
}

/* Longitude of an edge at a latitude, kept within the edge. */
static double edge_lng(const ShapeEdge *e, double lat)
{
    double t = e->lat2 > e->lat1 ? (lat - e->lat1) / (e->lat2 - e->lat1) : 0;

    return e->lng1 + fmin(fmax(t, 0), 1) * (e->lng2 - e->lng1);
}

/* Mark the cells that an edge touches, row by row. */
static void draw_edge(Shape *s, const ShapeEdge *e)
{
    int first = clamp((e->lat1 - SNAP - s->south) * s->rows_per_degree, s->rows);
    int last = clamp((e->lat2 + SNAP - s->south) * s->rows_per_degree, s->rows);
    bool level = e->lat2 - e->lat1 < SNAP;

    for (int row = first; row <= last; row++) {
        double a = level ? e->lng1 : edge_lng(e, s->south + row / s->rows_per_degree - SNAP);
        double b = level ? e->lng2 : edge_lng(e, s->south + (row + 1) / s->rows_per_degree + SNAP);
        int from = clamp((fmin(a, b) - SNAP - s->west) * s->cols_per_degree, s->cols);
        int to = clamp((fmax(a, b) + SNAP - s->west) * s->cols_per_degree, s->cols);

        memset(&s->raster[row * s->cols + from], CELL_EDGE, to - from + 1);
    }
}

/* Cells that no edge touches are all inside or all outside, as their middles are. */
static void fill_raster(Shape *s, ShapeAllocator allocate)
{
    int side = s->edge_count < 16 ? 32 : s->edge_count < 64 ? 64 : RASTER_MAX;

    s->cols = s->rows = side;
    s->cols_per_degree = s->cols / fmax(s->east - s->west, SNAP);
    s->rows_per_degree = s->rows / fmax(s->north - s->south, SNAP);
    s->raster = allocate((size_t)s->rows * s->cols);
    memset(s->raster, CELL_OUTSIDE, (size_t)s->rows * s->cols);
    for (int i = 0; i < s->edge_count; i++)
        draw_edge(s, &s->edges[i]);
    for (int row = 0; row < s->rows; row++)
        for (int col = 0; col < s->cols; col++) {
            uint8_t *cell = &s->raster[row * s->cols + col];

            if (*cell != CELL_EDGE && covers_by_edges(s, s->south + (row + 0.5) / s->rows_per_degree,
                                                      s->west + (col + 0.5) / s->cols_per_degree))
                *cell = CELL_INSIDE;
        }
}

Shape *shape_prepare(ShapeEdge *edges, int count, ShapeAllocator allocate)
{
    Shape *s = allocate(sizeof(Shape));

    memset(s, 0, sizeof(*s));
    s->edges = edges;
    s->edge_count = count;
    measure(s);
    fill_bands(s, allocate);
    fill_raster(s, allocate);
    return s;
}

/* ---- WKB ---- */

typedef struct Reader {
    const unsigned char *at, *end;
    bool bad;
} Reader;

static void take(Reader *r, void *into, size_t bytes)
{
    if (r->bad || (size_t)(r->end - r->at) < bytes) {
        r->bad = true;
        memset(into, 0, bytes);
        return;
    }
    memcpy(into, r->at, bytes);
    r->at += bytes;
}

static uint32_t take_number(Reader *r)
{
    uint32_t n;

    take(r, &n, sizeof(n));
    return n;
}

/* Byte order mark and type. */
static uint32_t take_type(Reader *r)
{
    unsigned char little;

    take(r, &little, 1);
    r->bad |= little != 1;
    return take_number(r);
}

static int take_ring(Reader *r, ShapeEdge *edges, int count)
{
    uint32_t points = take_number(r);
    double before[2], point[2];

    for (uint32_t i = 0; i < points && !r->bad; i++) {
        take(r, point, sizeof(point));
        if (i > 0 && (point[0] != before[0] || point[1] != before[1]))
            edges[count++] = (ShapeEdge){before[0], before[1], point[0], point[1]};
        memcpy(before, point, sizeof(before));
    }
    return count;
}

static int take_polygon(Reader *r, ShapeEdge *edges, int count)
{
    uint32_t rings = take_number(r);

    for (uint32_t i = 0; i < rings && !r->bad; i++)
        count = take_ring(r, edges, count);
    return count;
}

int shape_edges_from_wkb(const unsigned char *wkb, size_t length, ShapeEdge **edges, ShapeAllocator allocate)
{
    enum { POLYGON = 3, MULTIPOLYGON = 6 };
    Reader r = {wkb, wkb + length, false};
    uint32_t type = take_type(&r), parts = 1;
    int count = 0;

    if (r.bad || (type != POLYGON && type != MULTIPOLYGON))
        return -1;
    *edges = allocate(sizeof(ShapeEdge) * (length / (2 * sizeof(double)) + 1)); /* a point is 16 bytes */
    if (type == MULTIPOLYGON)
        parts = take_number(&r);
    for (uint32_t i = 0; i < parts && !r.bad; i++) {
        if (type == MULTIPOLYGON)
            r.bad |= take_type(&r) != POLYGON;
        if (!r.bad)
            count = take_polygon(&r, *edges, count);
    }
    return r.bad ? -1 : count;
}

/* ---- the grid ---- */

typedef struct Pair {
    uint64_t key;
    int32_t shape;
} Pair;

static int by_key(const void *left, const void *right)
{
    const Pair *a = left, *b = right;

    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->shape - b->shape;
}

static inline int64_t cell_of(double degrees, double per_degree)
{
    return (int64_t)floor((degrees + 360) * per_degree); /* not negative, and never 0 */
}

static inline uint64_t key_of(int64_t row, int64_t col)
{
    return (uint64_t)row << 32 | (uint64_t)col;
}

/* Finalizer of MurmurHash3 (Austin Appleby, public domain). */
static inline uint32_t hash_key(uint64_t key)
{
    key ^= key >> 33;
    key *= UINT64_C(0xFF51AFD7ED558CCD);
    key ^= key >> 33;
    return (uint32_t)(key >> 16);
}

static double box_cells(const Shape *s, double per_degree)
{
    return ((s->east - s->west) * per_degree + 2) * ((s->north - s->south) * per_degree + 2);
}

/* The part of a shape's raster under a grid cell is not all outside. */
static bool touches(const Shape *s, int64_t row, int64_t col, double per_degree)
{
    double south = row / per_degree - 360 - SNAP, west = col / per_degree - 360 - SNAP;
    double size = 1 / per_degree + 2 * SNAP;
    int row1 = clamp((south - s->south) * s->rows_per_degree, s->rows);
    int row2 = clamp((south + size - s->south) * s->rows_per_degree, s->rows);
    int col1 = clamp((west - s->west) * s->cols_per_degree, s->cols);
    int col2 = clamp((west + size - s->west) * s->cols_per_degree, s->cols);

    for (int r = row1; r <= row2; r++)
        for (int c = col1; c <= col2; c++)
            if (s->raster[r * s->cols + c] != CELL_OUTSIDE)
                return true;
    return false;
}

static size_t list_cells(Shape *const *shapes, int count, double per_degree, Pair *pairs)
{
    size_t n = 0;

    for (int i = 0; i < count; i++) {
        const Shape *s = shapes[i];
        int64_t row2 = cell_of(s->north, per_degree), col2 = cell_of(s->east, per_degree);

        for (int64_t row = cell_of(s->south, per_degree); row <= row2; row++)
            for (int64_t col = cell_of(s->west, per_degree); col <= col2; col++)
                if (touches(s, row, col, per_degree))
                    pairs[n++] = (Pair){key_of(row, col), i};
    }
    return n;
}

static uint32_t place_of(const ShapeGrid *grid, uint64_t key)
{
    uint32_t place = hash_key(key) & grid->mask;

    while (grid->keys[place] != 0 && grid->keys[place] != key)
        place = (place + 1) & grid->mask;
    return place;
}

static void fill_table(ShapeGrid *grid, const Pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t place = place_of(grid, pairs[i].key);

        if (grid->keys[place] == 0) {
            grid->keys[place] = pairs[i].key;
            grid->starts[place] = (int32_t)i;
            grid->cells++;
        }
        grid->counts[place]++;
        grid->members[i] = pairs[i].shape;
    }
}

ShapeGrid *shape_grid_build(Shape *const *shapes, int count, ShapeAllocator allocate)
{
    ShapeGrid *grid = allocate(sizeof(ShapeGrid));
    double total = 0;
    size_t pairs_used;
    Pair *pairs;

    memset(grid, 0, sizeof(*grid));
    for (grid->cells_per_degree = 64;; grid->cells_per_degree /= 2) {
        total = 0;
        for (int i = 0; i < count; i++)
            total += box_cells(shapes[i], grid->cells_per_degree);
        if (total <= GRID_MAX_CELLS || grid->cells_per_degree < 1.0 / 64)
            break;
    }
    pairs = allocate(sizeof(Pair) * ((size_t)total + 1));
    pairs_used = list_cells(shapes, count, grid->cells_per_degree, pairs);
    qsort(pairs, pairs_used, sizeof(Pair), by_key);
    for (grid->mask = 63; grid->mask < 2 * pairs_used; grid->mask = 2 * grid->mask + 1)
        ;
    grid->keys = allocate(sizeof(uint64_t) * ((size_t)grid->mask + 1));
    grid->starts = allocate(sizeof(int32_t) * ((size_t)grid->mask + 1));
    grid->counts = allocate(sizeof(int32_t) * ((size_t)grid->mask + 1));
    grid->members = allocate(sizeof(int32_t) * (pairs_used + 1));
    memset(grid->keys, 0, sizeof(uint64_t) * ((size_t)grid->mask + 1));
    memset(grid->counts, 0, sizeof(int32_t) * ((size_t)grid->mask + 1));
    fill_table(grid, pairs, pairs_used);
    return grid;
}

static int cell_covering(const ShapeGrid *grid, Shape *const *shapes, double lat, double lng, int *found,
                         int count, int max)
{
    uint32_t place =
        place_of(grid, key_of(cell_of(lat, grid->cells_per_degree), cell_of(lng, grid->cells_per_degree)));

    for (int i = 0; grid->keys[place] != 0 && i < grid->counts[place]; i++) {
        int shape = grid->members[grid->starts[place] + i];
        bool known = false;

        for (int k = 0; k < count; k++)
            known |= found[k] == shape;
        if (!known && count < max && covers(shapes[shape], lat, lng))
            found[count++] = shape;
    }
    return count;
}

static int by_number(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

int shape_grid_covering(const ShapeGrid *grid, Shape *const *shapes, double lat, double lng, int *found,
                        int max)
{
    int count = cell_covering(grid, shapes, lat, lng, found, 0, max);

    if (fabs(lng) == 180) {
        count = cell_covering(grid, shapes, lat, -lng, found, count, max);
        qsort(found, count, sizeof(int), by_number);
    }
    return count;
}
