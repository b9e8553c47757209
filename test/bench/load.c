/* See load.h. */
#include "load.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CLIENTS 1024
#define STEPS       32 /* buckets of the histogram per doubling */
#define BUCKETS     (40 * STEPS)

LoadPoint *load_points;
int load_point_count;
LoadArea load_area = {41.10, -8.66, 0.1, 0.1};

typedef struct Measured {
    long operations, calls;
    unsigned histogram[BUCKETS];
} Measured;

typedef struct Client {
    pthread_t thread;
    const LoadProgram *program;
    unsigned random;
    double seconds;
    Measured measured[LOAD_KINDS];
} Client;

static pthread_barrier_t all_connected;

void load_fail(const char *what, const char *detail)
{
    fprintf(stderr, "%s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
    exit(1);
}

static void parse_uuid(LoadPoint *point)
{
    int digits = 0;

    for (const char *c = point->id; *c; c++) {
        if (*c == '-')
            continue;
        int value = *c <= '9' ? *c - '0' : (*c | 32) - 'a' + 10;

        if (value < 0 || value > 15 || digits == 32)
            load_fail("not a uuid", point->id);
        point->uuid[digits / 2] = (uint8_t)(point->uuid[digits / 2] << 4 | value);
        digits++;
    }
    if (digits != 32)
        load_fail("not a uuid", point->id);
}

void load_read_points(const char *path)
{
    FILE *file = fopen(path, "r");
    int room = 0;

    if (file == NULL)
        load_fail("cannot read the points", path);
    for (;;) {
        LoadPoint *point;

        if (load_point_count == room)
            load_points = realloc(load_points, (size_t)(room = room ? 2 * room : 1024) * sizeof(LoadPoint));
        point = &load_points[load_point_count];
        memset(point, 0, sizeof(*point));
        if (fscanf(file, "%36s %lf %lf", point->id, &point->lat, &point->lng) != 3)
            break;
        parse_uuid(point);
        load_point_count++;
    }
    fclose(file);
    if (load_point_count == 0)
        load_fail("no points", path);
}

static double uniform(unsigned *random)
{
    return rand_r(random) / (RAND_MAX + 1.0);
}

const LoadPoint *load_random_report(unsigned *random, double *lat, double *lng)
{
    const LoadPoint *point = &load_points[(int)(uniform(random) * load_point_count)];

    *lat = point->lat + (rand_r(random) % 2001 - 1000) * 1e-6;
    *lng = point->lng + (rand_r(random) % 2001 - 1000) * 1e-6;
    return point;
}

void load_random_place(unsigned *random, double *lat, double *lng)
{
    *lat = load_area.south + load_area.height * uniform(random);
    *lng = load_area.west + load_area.width * uniform(random);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Bucket of a latency in units of 0.1 us: exact up to STEPS, then STEPS buckets a doubling. */
static int bucket_of(double seconds)
{
    uint64_t units = (uint64_t)(seconds * 1e7);
    int shift = 0;

    while (units >> shift >= 2 * STEPS)
        shift++;
    units = (uint64_t)shift * STEPS + (units >> shift);
    return units < BUCKETS ? (int)units : BUCKETS - 1;
}

static double bucket_us(int bucket)
{
    int shift = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;

    return ((double)(bucket - shift * STEPS) + 0.5) * (double)(1ull << shift) / 10;
}

static void *run_client(void *arg)
{
    Client *client = arg;
    void *connection = client->program->open();
    double start, until;

    pthread_barrier_wait(&all_connected);
    start = now();
    until = start + client->seconds;
    while (start < until) {
        LoadKind kind = LOAD_REPORT;
        int operations = client->program->call(connection, &client->random, &kind);
        double end = now();
        Measured *measured = &client->measured[kind];

        measured->operations += operations;
        measured->calls++;
        measured->histogram[bucket_of(end - start)]++;
        start = end;
    }
    client->program->close(connection);
    return NULL;
}

static double percentile(const Measured *all, double share)
{
    double wanted = share * (double)all->calls, seen = 0;

    for (int i = 0; i < BUCKETS; i++) {
        seen += all->histogram[i];
        if (seen >= wanted)
            return bucket_us(i);
    }
    return bucket_us(BUCKETS - 1);
}

static void print_measured(const Client *clients, int count, LoadKind kind, double elapsed)
{
    Measured *all = calloc(1, sizeof(Measured));

    for (int n = 0; n < count; n++) {
        const Measured *one = &clients[n].measured[kind];

        all->operations += one->operations;
        all->calls += one->calls;
        for (int i = 0; i < BUCKETS; i++)
            all->histogram[i] += one->histogram[i];
    }
    if (all->calls > 0)
        printf("%.1f %.1f %.1f %.1f\n", (double)all->operations / elapsed, percentile(all, 0.5),
               percentile(all, 0.95), percentile(all, 0.99));
    free(all);
}

void load_run(const LoadProgram *program, int clients, double seconds, unsigned seed)
{
    Client *all;
    double start;

    if (clients < 1 || clients > MAX_CLIENTS)
        load_fail("clients: 1 to 1024", NULL);
    all = calloc((size_t)clients, sizeof(Client));
    pthread_barrier_init(&all_connected, NULL, (unsigned)clients + 1);
    for (int n = 0; n < clients; n++) {
        all[n].program = program;
        all[n].random = seed + 7919u * (unsigned)n;
        all[n].seconds = seconds;
        if (pthread_create(&all[n].thread, NULL, run_client, &all[n]) != 0)
            load_fail("cannot start a thread", NULL);
    }
    pthread_barrier_wait(&all_connected);
    start = now();
    for (int n = 0; n < clients; n++)
        pthread_join(all[n].thread, NULL);
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        print_measured(all, clients, (LoadKind)kind, now() - start);
    free(all);
}
