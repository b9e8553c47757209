/*
 * How well the length of a track is measured (src/history/track.c).
 *
 *     tracks DATA [SEED]
 *
 * First drives through the streets of Manhattan (DATA/manhattan_*.csv.gz), whose true length is known: the
 * fastest way between two nodes, acceleration and braking, slow corners, a light at one node in four (10 to
 * 45 s), recorded every few seconds with errors of a receiver added: white, or drifting (an autoregressive
 * error with a time constant of 60 s, a tenth of its variance white). Then vehicles that stand for ten
 * minutes. Then the trips of San Francisco's cabs (DATA/sf_cab_gps_*.csv.gz: one point a minute), as recorded
 * and with errors added.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "geo/geo.h"
#include "history/track.h"

#define MAX_NODES  6000
#define MAX_EDGES  20000
#define MAX_POINTS 20000
#define DRIVES     60
#define DEGREE_M   (GEO_EARTH_RADIUS_M * M_PI / 180)

static uint64_t random_state;

static double uniform(void) /* xorshift64, in (0, 1] */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)((random_state >> 11) + 1) * 0x1p-53;
}

static double gaussian(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

/* Streets */

static struct {
    double lat, lng;
} nodes[MAX_NODES];

static struct {
    int from, to;
    double metres;
} edges[MAX_EDGES];

static int node_count, edge_count, first_edge[MAX_NODES + 1];

static gzFile open_data(const char *folder, const char *name)
{
    char path[1024], header[2048];
    gzFile file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = gzopen(path, "rb");
    if (file == NULL || gzgets(file, header, sizeof(header)) == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    return file;
}

static int by_from(const void *a, const void *b)
{
    const int *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void load_streets(const char *folder)
{
    gzFile file = open_data(folder, "manhattan_nodes.csv.gz");
    char line[2048];
    int node, edge;

    while (gzgets(file, line, sizeof(line)) && sscanf(line, "%d", &node) == 1 && node < MAX_NODES - 1) {
        sscanf(line, "%*d,%lf,%lf", &nodes[node].lat, &nodes[node].lng);
        node_count = node > node_count ? node : node_count;
    }
    gzclose(file);
    file = open_data(folder, "manhattan_edges.csv.gz");
    while (edge_count < MAX_EDGES && gzgets(file, line, sizeof(line)) &&
           sscanf(line, "%d,%d,%d", &edge, &edges[edge_count].from, &edges[edge_count].to) == 3) {
        int a = edges[edge_count].from, b = edges[edge_count].to;

        edges[edge_count].metres = geo_distance_m(nodes[a].lat, nodes[a].lng, nodes[b].lat, nodes[b].lng);
        edge_count += edges[edge_count].metres > 1;
    }
    gzclose(file);
    qsort(edges, (size_t)edge_count, sizeof(edges[0]), by_from);
    for (int i = edge_count - 1; i >= 0; i--)
        first_edge[edges[i].from] = i;
    for (int i = MAX_NODES - 1; i >= 0; i--)
        first_edge[i] =
            first_edge[i] == 0 && (i == 0 || edges[0].from != i) ? first_edge[i + 1] : first_edge[i];
    first_edge[node_count + 1] = edge_count;
    for (int i = node_count; i >= 0; i--) {
        if (first_edge[i] == 0 && edges[0].from != i)
            first_edge[i] = first_edge[i + 1];
    }
}

/* Dijkstra, the plain way: 10 m/s and 3 s a node. Returns the nodes of the way; 0: none. */
static int find_way(int from, int to, int *way)
{
    static double cost[MAX_NODES];
    static int before[MAX_NODES];
    static bool done[MAX_NODES];
    int count = 0;

    for (int i = 0; i <= node_count; i++) {
        cost[i] = INFINITY;
        done[i] = false;
    }
    cost[from] = 0;
    while (!done[to]) {
        int nearest = -1;

        for (int i = 1; i <= node_count; i++) {
            if (!done[i] && isfinite(cost[i]) && (nearest < 0 || cost[i] < cost[nearest]))
                nearest = i;
        }
        if (nearest < 0)
            return 0;
        done[nearest] = true;
        for (int e = first_edge[nearest]; e < first_edge[nearest + 1]; e++) {
            double all = cost[nearest] + edges[e].metres / 10 + 3;

            if (all < cost[edges[e].to]) {
                cost[edges[e].to] = all;
                before[edges[e].to] = nearest;
            }
        }
    }
    for (int node = to; node != from; node = before[node])
        way[count++] = node;
    way[count++] = from;
    for (int i = 0; i < count / 2; i++) {
        int node = way[i];

        way[i] = way[count - 1 - i];
        way[count - 1 - i] = node;
    }
    return count;
}

/* Drives */

typedef struct Track {
    int count;
    double true_m;
    TrackPoint points[MAX_POINTS];
} Track;

static double turn_at(const int *way, int i)
{
    double scale = cos(nodes[way[i]].lat * M_PI / 180);
    double in =
        atan2(nodes[way[i]].lat - nodes[way[i - 1]].lat, scale * (nodes[way[i]].lng - nodes[way[i - 1]].lng));
    double out =
        atan2(nodes[way[i + 1]].lat - nodes[way[i]].lat, scale * (nodes[way[i + 1]].lng - nodes[way[i]].lng));

    return fabs(remainder(out - in, 2 * M_PI));
}

/* Speeds by braking at 2 m/s2 for what comes, accelerating at 1.5 m/s2. */
static void drive(const int *way, int count, double interval, Track *track)
{
    static double at[MAX_NODES], limit[MAX_NODES];
    double place = 0, speed = 0, time = 0, due = 0, wait = 0, top = 7 + 7 * uniform();
    const double step = 0.1;
    int leg = 1;

    at[0] = 0;
    for (int i = 1; i < count; i++) {
        at[i] = at[i - 1] + geo_distance_m(nodes[way[i - 1]].lat, nodes[way[i - 1]].lng, nodes[way[i]].lat,
                                           nodes[way[i]].lng);
        limit[i] = i == count - 1 || uniform() < 0.25 ? 0 : turn_at(way, i) > 0.7 ? 5 : top;
    }
    track->true_m = at[count - 1];
    for (track->count = 0; track->count < MAX_POINTS; time += step) {
        double allowed = top;

        if (time >= due) {
            double f = fmin((place - at[leg - 1]) / (at[leg] - at[leg - 1]), 1);
            double lat = nodes[way[leg - 1]].lat + f * (nodes[way[leg]].lat - nodes[way[leg - 1]].lat);
            double lng = nodes[way[leg - 1]].lng + f * (nodes[way[leg]].lng - nodes[way[leg - 1]].lng);

            track->points[track->count++] = (TrackPoint){lat, lng, due, NAN};
            due += interval;
            if (place >= at[count - 1] - 0.1)
                return;
        }
        if (wait > 0) {
            wait -= step;
            continue;
        }
        for (int i = leg; i < count && at[i] < place + 100; i++)
            allowed = fmin(allowed, sqrt(limit[i] * limit[i] + 4 * fmax(at[i] - place, 0)));
        speed = fmin(allowed, speed + 1.5 * step);
        place = fmin(place + fmax(speed, 0.05) * step, at[count - 1]);
        if (limit[leg] == 0 && at[leg] - place < 0.1 && leg < count - 1) {
            wait = 10 + 35 * uniform();
            speed = 0;
            place = at[leg];
        }
        while (leg < count - 1 && place >= at[leg])
            leg++;
    }
}

static void make_drive(double interval, Track *track)
{
    static int way[MAX_NODES];
    int count = 0;

    while (count < 8) {
        int from = 1 + (int)(uniform() * node_count) % node_count,
            to = 1 + (int)(uniform() * node_count) % node_count;

        if (geo_distance_m(nodes[from].lat, nodes[from].lng, nodes[to].lat, nodes[to].lng) > 1200)
            count = find_way(from, to, way);
    }
    drive(way, count, interval, track);
}

/* Errors */

typedef struct Errors {
    const char *name;
    double sigma_m, drift_s; /* per axis; time constant, 0: white */
    double tail;             /* share of points whose white error is five times as large */
} Errors;

static const Errors all_errors[] = {
    {"none", 0, 0, 0},         {"white 3 m", 3, 0, 0},    {"white 5 m", 5, 0, 0},
    {"white 10 m", 10, 0, 0},  {"white 20 m", 20, 0, 0},  {"drift 5 m", 5, 60, 0},
    {"drift 10 m", 10, 60, 0}, {"drift 20 m", 20, 60, 0}, {"5 m, 5 % of 25 m", 5, 0, 0.05},
};
#define ERRORS ((int)(sizeof(all_errors) / sizeof(all_errors[0])))

/* Reported accuracies: none, right (the radius that holds 68 % of the error), or anything. */
typedef enum Accuracies { UNKNOWN, RIGHT, ROUGH } Accuracies;

static void move(TrackPoint *point, double north, double east)
{
    point->lng += east / (DEGREE_M * cos(point->lat * M_PI / 180));
    point->lat += north / DEGREE_M;
}

static void add_errors(const Track *track, const Errors *errors, Accuracies accuracies, Track *result)
{
    double white = errors->drift_s > 0 ? errors->sigma_m * sqrt(0.1) : errors->sigma_m;
    double slow = errors->drift_s > 0 ? errors->sigma_m * sqrt(0.9) : 0;
    double north = slow * gaussian(), east = slow * gaussian(), radius = fmax(1.515 * errors->sigma_m, 1);

    *result = *track;
    for (int i = 0; i < track->count; i++) {
        double r = i > 0 && slow > 0
                       ? exp(-(track->points[i].time - track->points[i - 1].time) / errors->drift_s)
                       : 1;
        double wild = uniform() < errors->tail ? 5 : 1;

        north = r * north + slow * sqrt(1 - r * r) * gaussian();
        east = r * east + slow * sqrt(1 - r * r) * gaussian();
        move(&result->points[i], north + wild * white * gaussian(), east + wild * white * gaussian());
        result->points[i].accuracy = accuracies == UNKNOWN ? NAN
                                     : accuracies == RIGHT ? (float)(radius * wild)
                                                           : (float)fmin(5 + 45 * uniform(), 99);
    }
}

static double sum_m(const Track *track)
{
    double sum = 0;

    for (int i = 1; i < track->count; i++)
        sum += geo_distance_m(track->points[i - 1].lat, track->points[i - 1].lng, track->points[i].lat,
                              track->points[i].lng);
    return sum;
}

static double length_m(const Track *track)
{
    void *room = malloc(track_room_bytes(track->count));
    double length = track_length_m(track->points, track->count, room);

    free(room);
    return length;
}

/* Tables */

static Track drives[DRIVES], noisy;

static void measure_drives(double interval)
{
    double metres = 0, seconds = 0;

    for (int i = 0; i < DRIVES; i++) {
        make_drive(interval, &drives[i]);
        metres += drives[i].true_m;
        seconds += drives[i].points[drives[i].count - 1].time;
    }
    printf("\n%d drives, mean %.0f m in %.0f s, a point each %.0f s: measured less true, %%\n\n", DRIVES,
           metres / DRIVES, seconds / DRIVES, interval);
    printf("| error | points joined | measured: mean | worst | with accuracies: mean | worst | any "
           "accuracies: mean | worst |\n"
           "|---|---|---|---|---|---|---|---|\n");
    for (int e = 0; e < ERRORS; e++) {
        double joined = 0;

        printf("| %s |", all_errors[e].name);
        for (Accuracies a = UNKNOWN; a <= ROUGH; a++) {
            double mean = 0, worst = 0;

            joined = 0;
            for (int i = 0; i < DRIVES; i++) {
                double off;

                add_errors(&drives[i], &all_errors[e], a, &noisy);
                off = length_m(&noisy) / drives[i].true_m - 1;
                joined += sum_m(&noisy) / drives[i].true_m - 1;
                mean += off;
                worst = fabs(off) > fabs(worst) ? off : worst;
            }
            if (a == UNKNOWN)
                printf(" %+.1f |", 100 * joined / DRIVES);
            printf(" %+.1f | %+.1f |", 100 * mean / DRIVES, 100 * worst);
        }
        printf("\n");
    }
}

static void measure_standing(void)
{
    static Track still;

    still.count = 200;
    for (int i = 0; i < still.count; i++)
        still.points[i] = (TrackPoint){40.75, -73.98, i * 3.0, NAN};
    printf("\nStanding for ten minutes, a point each 3 s, 100 times: metres\n\n"
           "| error | points joined | measured: mean | worst | with accuracies: mean | worst "
           "|\n|---|---|---|---|---|---|\n");
    for (int e = 1; e < ERRORS; e++) {
        printf("| %s |", all_errors[e].name);
        for (Accuracies a = UNKNOWN; a <= RIGHT; a++) {
            double joined = 0, mean = 0, worst = 0;

            for (int i = 0; i < 100; i++) {
                double length;

                add_errors(&still, &all_errors[e], a, &noisy);
                length = length_m(&noisy);
                joined += sum_m(&noisy);
                mean += length;
                worst = fmax(worst, length);
            }
            if (a == UNKNOWN)
                printf(" %.0f |", joined / 100);
            printf(" %.0f | %.0f |", mean / 100, worst);
        }
        printf("\n");
    }
}

/* Cabs */

typedef struct Report {
    char cab[16];
    double time, lat, lng;
    bool occupied;
    long line;
} Report;

static int by_cab(const void *a, const void *b)
{
    const Report *x = a, *y = b;
    int order = strcmp(x->cab, y->cab);

    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static long load_reports(const char *folder, Report **reports)
{
    gzFile file = open_data(folder, "sf_cab_gps_2008-05-28.csv.gz");
    char line[256];
    long count = 0, room = 1 << 16;

    *reports = malloc(sizeof(Report) * (size_t)room);
    while (gzgets(file, line, sizeof(line))) {
        Report *r;
        int occupied;

        if (count == room)
            *reports = realloc(*reports, sizeof(Report) * (size_t)(room *= 2));
        r = &(*reports)[count];
        if (sscanf(line, "%lf,%15[^,],%lf,%lf,%d", &r->time, r->cab, &r->lat, &r->lng, &occupied) == 5) {
            r->occupied = occupied != 0;
            r->line = count++;
        }
    }
    gzclose(file);
    qsort(*reports, (size_t)count, sizeof(Report), by_cab);
    return count;
}

/* Some reports lie out at sea: what can't have been driven is no yardstick. */
static bool believable(const Track *trip)
{
    for (int i = 1; i < trip->count; i++) {
        const TrackPoint *a = &trip->points[i - 1], *b = &trip->points[i];

        if (geo_distance_m(a->lat, a->lng, b->lat, b->lng) > 45 * (b->time - a->time))
            return false;
    }
    return trip->count >= 4 && trip->points[trip->count - 1].time - trip->points[0].time <= 7200;
}

static void measure_cabs(const char *folder)
{
    Report *reports;
    long count = load_reports(folder, &reports);
    double joined[ERRORS] = {0}, measured[ERRORS] = {0}, recorded = 0;
    int trips = 0;
    static Track trip;

    for (long i = 0; i < count;) {
        trip.count = 0;
        for (; i < count && trip.count < MAX_POINTS && reports[i].occupied &&
               (trip.count == 0 || strcmp(reports[i].cab, reports[i - 1].cab) == 0);
             i++)
            trip.points[trip.count++] = (TrackPoint){reports[i].lat, reports[i].lng, reports[i].time, NAN};
        if (trip.count == 0)
            i++;
        if (!believable(&trip))
            continue;
        trips++;
        recorded += sum_m(&trip);
        for (int e = 0; e < ERRORS; e++) {
            add_errors(&trip, &all_errors[e], UNKNOWN, &noisy);
            joined[e] += sum_m(&noisy);
            measured[e] += length_m(&noisy);
        }
    }
    printf("\n%d trips of cabs as recorded, a point a minute, %.0f km of points joined: difference to that, "
           "%%\n\n",
           trips, recorded / 1000);
    printf("| error added | points joined | measured |\n|---|---|---|\n");
    for (int e = 0; e < ERRORS; e++)
        printf("| %s | %+.1f | %+.1f |\n", all_errors[e].name, 100 * (joined[e] / recorded - 1),
               100 * (measured[e] / recorded - 1));
    free(reports);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: tracks DATA [SEED]\n");
        return 2;
    }
    random_state = argc > 2 ? strtoull(argv[2], NULL, 10) * 2654435769u + 1 : 4711;
    load_streets(argv[1]);
    measure_drives(3);
    measure_drives(1);
    measure_drives(10);
    measure_standing();
    measure_cabs(argv[1]);
    return 0;
}
