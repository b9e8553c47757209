/* Prepared areas against brute force, and the places that are easy to get wrong. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "geo/geo.h"
#include "geofence/shape.h"

#define DEGREE_M (GEO_EARTH_RADIUS_M * M_PI / 180)

static unsigned long long seed = 4711;

/* In [0, 1). */
static double chance(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static int ring(ShapeEdge *edges, int count, const double *lngs, const double *lats, int points)
{
    for (int i = 0; i < points; i++)
        edges[count++] = (ShapeEdge){lngs[i], lats[i], lngs[(i + 1) % points], lats[(i + 1) % points]};
    return count;
}

static int box(ShapeEdge *edges, int count, double west, double south, double east, double north)
{
    return ring(edges, count, (double[]){west, east, east, west}, (double[]){south, south, north, north}, 4);
}

/* A ragged star around a middle. */
static int star(ShapeEdge *edges, int count, double lng, double lat, double radius, int points)
{
    double lngs[4000], lats[4000];

    for (int i = 0; i < points; i++) {
        double angle = 2 * M_PI * i / points, r = radius * (0.4 + 0.6 * chance());

        lngs[i] = lng + r * cos(angle);
        lats[i] = lat + r * sin(angle) * 0.7;
    }
    return ring(edges, count, lngs, lats, points);
}

static ShapeEdge *copy(const ShapeEdge *edges, int count)
{
    return memcpy(malloc(sizeof(ShapeEdge) * count), edges, sizeof(ShapeEdge) * count);
}

static int differences(const Shape *s, int places)
{
    int n = 0;

    for (int i = 0; i < places; i++) {
        const ShapeEdge *e = &s->edges[(int)(chance() * s->edge_count)];
        double near = i % 4 == 0 ? 0 : i % 4 == 1 ? 1e-9 : 1e-4;
        double lat, lng;

        if (i % 2) {
            lat = s->south + (s->north - s->south) * (chance() * 1.2 - 0.1);
            lng = s->west + (s->east - s->west) * (chance() * 1.2 - 0.1);
        } else { /* on a corner of it, or beside one */
            lat = e->lat1 + near * (chance() - 0.5);
            lng = e->lng1 + near * (chance() - 0.5);
        }
        n += shape_covers(s, lat, lng) != shape_covers_slowly(s, lat, lng);
    }
    return n;
}

static void ragged_areas_are_as_by_brute_force(void)
{
    static ShapeEdge edges[20000];
    static const int sizes[] = {3, 4, 7, 20, 150, 2000};

    for (int i = 0; i < 60; i++) {
        double lng = chance() * 340 - 170, lat = chance() * 160 - 80, radius = pow(10, chance() * 3 - 2);
        int points = sizes[i % 6], count = star(edges, 0, lng, lat, radius, points);

        if (i % 3 > 0) /* a hole within what every star has */
            count = star(edges, count, lng, lat, radius * 0.15, points);
        if (i % 3 > 1) /* a second part */
            count = star(edges, count, lng + 3 * radius, lat, radius, points);
        CHECK_INT(differences(shape_prepare(copy(edges, count), count, malloc), 3000), 0);
    }
}

static void edges_and_corners_are_inside(void)
{
    ShapeEdge edges[4];
    Shape *s = shape_prepare(edges, box(edges, 0, 10, 20, 11, 21), malloc);

    CHECK(shape_covers(s, 20, 10) && shape_covers(s, 21, 11) && shape_covers(s, 20, 11));
    CHECK(shape_covers(s, 20.5, 10) && shape_covers(s, 21, 10.5) && shape_covers(s, 20.5, 11));
    CHECK(!shape_covers(s, 20.5, 9.999999999) && !shape_covers(s, 21.000000001, 10.5));
    CHECK(!shape_covers(s, NAN, 10.5) && !shape_covers(s, 20.5, NAN));
}

/* Where a line from the place eastwards meets a corner, its two edges count once. */
static void places_level_with_a_corner_are_right(void)
{
    ShapeEdge edges[4], tooth[5];
    Shape *s =
        shape_prepare(edges, ring(edges, 0, (double[]){0, 1, 0, -1}, (double[]){-1, 0, 1, 0}, 4), malloc);
    Shape *t =
        shape_prepare(tooth, ring(tooth, 0, (double[]){0, 4, 4, 2, 0}, (double[]){0, 0, 2, 1, 2}, 5), malloc);

    CHECK(shape_covers(s, 0, 0) && shape_covers(s, 0, -0.5));
    CHECK(shape_covers_slowly(s, 0, 0) && shape_covers_slowly(s, 0, -0.5)); /* without the raster's help */
    CHECK(shape_covers_slowly(t, 1, 1) && !shape_covers_slowly(t, 2, 1));
    CHECK(!shape_covers(s, 0.6, -0.6) && !shape_covers(s, -0.6, -0.6));
    CHECK(shape_covers(t, 1, 1) && shape_covers(t, 1, 3) && !shape_covers(t, 1.5, 2));
    CHECK(!shape_covers(t, 2, 1) && !shape_covers(t, 2, 3));
}

static void a_hole_is_outside_its_edge_inside(void)
{
    ShapeEdge edges[8];
    int count = box(edges, 0, 0, 0, 10, 10);
    Shape *s = shape_prepare(edges, box(edges, count, 4, 4, 6, 6), malloc);

    CHECK(shape_covers(s, 1, 1) && !shape_covers(s, 5, 5) && shape_covers(s, 5, 4));
}

static void an_area_cut_at_the_antimeridian_is_one(void)
{
    ShapeEdge edges[8];
    int count = box(edges, 0, 179.9, -17, 180, -16);
    Shape *s = shape_prepare(edges, box(edges, count, -180, -17, -179.9, -16), malloc), *west;
    ShapeEdge half[4];
    int found[4];

    CHECK_INT(shape_grid_covering(shape_grid_build(&s, 1, malloc), &s, -16.5, 180, found, 4), 1);
    CHECK(shape_covers(s, -16.5, 179.95) && shape_covers(s, -16.5, -179.95));
    CHECK(shape_covers(s, -16.5, 180) && shape_covers(s, -16.5, -180));
    CHECK(!shape_covers(s, -16.5, 179.8) && !shape_covers(s, -16.5, 0));
    west = shape_prepare(half, box(half, 0, -180, -17, -179.9, -16), malloc);
    CHECK(shape_covers(west, -16.5, 180));
    CHECK(shape_edge_within(west, -16.5, 179.9995, 100) && !shape_edge_within(west, -16.5, 179.9985, 100));
}

static void distance_to_the_edge_is_in_metres(void)
{
    ShapeEdge edges[4];
    Shape *s = shape_prepare(edges, box(edges, 0, 31, 60, 32, 61), malloc);
    double metre = 1 / DEGREE_M, wide = metre / cos(60.5 * M_PI / 180);

    CHECK(shape_edge_within(s, 60.5, 31 - 99 * wide, 100));
    CHECK(!shape_edge_within(s, 60.5, 31 - 101 * wide, 100));
    CHECK(shape_edge_within(s, 61 + 99 * metre, 31.5, 100));
    CHECK(!shape_edge_within(s, 61 + 101 * metre, 31.5, 100));
    CHECK(!shape_edge_within(s, 61 + 80 * metre, 31 - 80 * wide, 100)); /* off the corner, in the box */
    CHECK(shape_edge_within(s, 60.5, 31 + 99 * wide, 100));             /* from inside too */
}

/* Shapes of all sizes over one another. */
static void the_grid_finds_what_brute_force_finds(void)
{
    enum { SHAPES = 80, PLACES = 30000 };
    static ShapeEdge edges[4000];
    Shape *shapes[SHAPES];
    ShapeGrid *grid;
    int wrong = 0, hits = 0;

    for (int i = 0; i < SHAPES; i++) {
        int count = i == 0 ? box(edges, 0, -180, -90, 180, 90)
                           : star(edges, 0, 30 + 2 * chance(), 30 + 2 * chance(), pow(10, chance() * 2 - 2),
                                  3 + (int)(chance() * 300));

        shapes[i] = shape_prepare(copy(edges, count), count, malloc);
    }
    for (int with_world = 0; with_world < 2; with_world++) {
        int first = 1 - with_world, found[SHAPES];

        grid = shape_grid_build(shapes + first, SHAPES - first, malloc);
        CHECK(grid->cells > 0 && grid->cells <= GRID_MAX_CELLS);
        for (int i = 0; i < PLACES; i++) {
            double lat = i % 10 ? 29.5 + 3 * chance() : 180 * chance() - 90;
            double lng = i % 10 ? 29.5 + 3 * chance() : 360 * chance() - 180;
            int n = shape_grid_covering(grid, shapes + first, lat, lng, found, SHAPES), at = 0;

            hits += n;
            for (int k = first; k < SHAPES; k++)
                if (shape_covers_slowly(shapes[k], lat, lng))
                    wrong += at >= n || found[at++] != k - first;
            wrong += at != n;
        }
    }
    CHECK_INT(wrong, 0);
    CHECK(hits > PLACES);
}

static void room_for_fewer_than_there_are_is_kept_to(void)
{
    ShapeEdge edges[2][4];
    Shape *shapes[2] = {shape_prepare(edges[0], box(edges[0], 0, 0, 0, 1, 1), malloc),
                        shape_prepare(edges[1], box(edges[1], 0, 0, 0, 1, 1), malloc)};
    ShapeGrid *grid = shape_grid_build(shapes, 2, malloc);
    int found[2] = {-1, -1};

    CHECK_INT(shape_grid_covering(grid, shapes, 0.5, 0.5, found, 1), 1);
    CHECK_INT(found[1], -1);
    CHECK_INT(shape_grid_covering(shape_grid_build(shapes, 0, malloc), shapes, 0.5, 0.5, found, 2), 0);
}

static size_t put(unsigned char *at, const void *value, size_t bytes)
{
    memcpy(at, value, bytes);
    return bytes;
}

static void broken_wkb_is_refused_at_any_length(void)
{
    unsigned char wkb[200];
    double points[5][2] = {{0, 0}, {1, 0}, {1, 0}, {1, 1}, {0, 0}};
    size_t length = put(wkb, "\1\3\0\0\0\1\0\0\0\5\0\0\0", 13);
    ShapeEdge *edges;

    length += put(wkb + length, points, sizeof(points));
    CHECK_INT(shape_edges_from_wkb(wkb, length, &edges, malloc), 3); /* the doubled point makes no edge */
    CHECK(edges[1].lng1 == 1 && edges[1].lat1 == 0 && edges[1].lng2 == 1 && edges[1].lat2 == 1);
    for (size_t cut = 0; cut < length; cut++)
        CHECK_INT(shape_edges_from_wkb(wkb, cut, &edges, malloc), -1);
    wkb[0] = 0;
    CHECK_INT(shape_edges_from_wkb(wkb, length, &edges, malloc), -1);
    CHECK_INT(shape_edges_from_wkb((unsigned char *)"\1\1\0\0\0", 5, &edges, malloc), -1);
}

int main(void)
{
    RUN(ragged_areas_are_as_by_brute_force);
    RUN(edges_and_corners_are_inside);
    RUN(places_level_with_a_corner_are_right);
    RUN(a_hole_is_outside_its_edge_inside);
    RUN(an_area_cut_at_the_antimeridian_is_one);
    RUN(distance_to_the_edge_is_in_metres);
    RUN(the_grid_finds_what_brute_force_finds);
    RUN(room_for_fewer_than_there_are_is_kept_to);
    RUN(broken_wkb_is_refused_at_any_length);
    return unit_result();
}
