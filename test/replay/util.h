/*
 * util.h
 *    Small things every part of the replay uses: checked allocation, random numbers from one seed, the two
 *    clocks, timers, samples for percentiles.
 */
#ifndef REPLAY_UTIL_H
#define REPLAY_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Print "replay: ..." and exit with status 2. */
extern void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Zeroed memory or the end of the program. */
extern void *xcalloc(size_t count, size_t size);
extern void *xrealloc(void *memory, size_t size);
extern char *xstrdup(const char *s);
extern char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* splitmix64 (Steele, Lea, Flood 2014): small, and good enough for a simulation. */
extern void random_seed(uint64_t seed);
extern uint64_t random_bits(void);
extern double random_unit(void);                       /* [0, 1) */
extern double random_between(double low, double high); /* [low, high) */
extern bool random_chance(double probability);

/* Wall seconds from a monotonic clock. */
extern double wall_now(void);

/*
 * The server's test clock as this program knows it: Unix seconds, running `rate` times as fast as the wall.
 * clock_start() fixes clock second `at` to this moment.
 */
extern void clock_start(double at, double rate);
extern double clock_now(void);
extern double clock_rate(void);

/* Call fn(arg) once the clock has reached `at` (clock seconds). */
typedef void (*TimerFn)(void *arg);
extern void timer_add(double at, TimerFn fn, void *arg);

/* Run what is due; wall seconds until the next timer, at most `cap`. */
extern double timer_run(double cap);

/* A growing set of numbers to take percentiles of. */
typedef struct Samples {
    float *values;
    size_t count, room;
    bool sorted;
} Samples;

extern void samples_add(Samples *samples, double value);
extern double samples_percentile(Samples *samples, double percent); /* 0 when empty */

#endif
