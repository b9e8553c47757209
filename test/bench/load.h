/*
 * load.h
 *    What the load programs of Redis and PostgreSQL share, so that they measure alike: points, blocking
 * clients of a thread each, latencies, and the lines they print.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdint.h>

typedef struct LoadPoint {
    char id[37];      /* a uuid as text */
    uint8_t uuid[16]; /* the same, binary */
    double lat, lng;
} LoadPoint;

extern LoadPoint *load_points;
extern int load_point_count;

/* Where searches ask: a random place of this square, degrees. */
typedef struct LoadArea {
    double south, west, height, width;
} LoadArea;

extern LoadArea load_area;

/* What a call was, to be counted apart. */
typedef enum LoadKind { LOAD_REPORT, LOAD_SEARCH, LOAD_KINDS } LoadKind;

typedef struct LoadProgram {
    void *(*open)(void);
    /* One call in the mode; returns how many operations it counts as and sets *kind. */
    int (*call)(void *connection, unsigned *random, LoadKind *kind);
    void (*close)(void *connection);
} LoadProgram;

/* Print a line and exit with 1. */
extern void load_fail(const char *what, const char *detail);

/* Lines "id lat lng". */
extern void load_read_points(const char *path);

/*
 * Run `clients` threads for `seconds`. Prints a line a kind that occurred: operations a second, and the
 * median, 95th and 99th percentile of a call in microseconds (within 3 %).
 */
extern void load_run(const LoadProgram *program, int clients, double seconds, unsigned seed);

/* A random point, and a place up to 0.001 degrees off it: below any jump that would be refused. */
extern const LoadPoint *load_random_report(unsigned *random, double *lat, double *lng);
extern void load_random_place(unsigned *random, double *lat, double *lng);

#endif
