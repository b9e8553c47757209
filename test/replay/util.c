/* Allocation, random numbers, clocks, timers, percentiles; see util.h. */
#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("replay: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

void *xcalloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        die("out of memory");
    return memory;
}

void *xrealloc(void *memory, size_t size)
{
    memory = realloc(memory, size);
    if (!memory)
        die("out of memory");
    return memory;
}

char *xstrdup(const char *s)
{
    return strcpy(xcalloc(1, strlen(s) + 1), s);
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    char *result;

    va_start(args, format);
    if (vasprintf(&result, format, args) < 0)
        die("out of memory");
    va_end(args);
    return result;
}

static uint64_t random_state;

void random_seed(uint64_t seed)
{
    random_state = seed;
}

uint64_t random_bits(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double random_unit(void)
{
    return (double)(random_bits() >> 11) / 9007199254740992.0;
}

double random_between(double low, double high)
{
    return low + (high - low) * random_unit();
}

bool random_chance(double probability)
{
    return random_unit() < probability;
}

double wall_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct {
    double clock, wall, rate;
} base = {0, 0, 1};

void clock_start(double at, double rate)
{
    base.clock = at;
    base.wall = wall_now();
    base.rate = rate;
}

double clock_now(void)
{
    return base.clock + (wall_now() - base.wall) * base.rate;
}

double clock_rate(void)
{
    return base.rate;
}

/* A binary heap, earliest on top; `order` keeps timers of one moment in the order they were added. */
typedef struct Timer {
    double at;
    uint64_t order;
    TimerFn fn;
    void *arg;
} Timer;

static Timer *heap;
static size_t heap_count, heap_room;
static uint64_t heap_order;

static bool earlier(const Timer *a, const Timer *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void heap_swap(size_t a, size_t b)
{
    Timer t = heap[a];

    heap[a] = heap[b];
    heap[b] = t;
}

void timer_add(double at, TimerFn fn, void *arg)
{
    size_t i = heap_count++;

    if (heap_count > heap_room) {
        heap_room = heap_room ? 2 * heap_room : 1024;
        heap = xrealloc(heap, heap_room * sizeof(Timer));
    }
    heap[i] = (Timer){at, heap_order++, fn, arg};
    for (; i > 0 && earlier(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap_swap(i, (i - 1) / 2);
}

static Timer heap_pop(void)
{
    Timer top = heap[0];
    size_t i = 0;

    heap[0] = heap[--heap_count];
    for (;;) {
        size_t least = i, child = 2 * i + 1;

        if (child < heap_count && earlier(&heap[child], &heap[least]))
            least = child;
        if (child + 1 < heap_count && earlier(&heap[child + 1], &heap[least]))
            least = child + 1;
        if (least == i)
            return top;
        heap_swap(i, least);
        i = least;
    }
}

double timer_run(double cap)
{
    double now = clock_now(), wait;

    while (heap_count > 0 && heap[0].at <= now) {
        Timer t = heap_pop();

        t.fn(t.arg);
    }
    if (heap_count == 0)
        return cap;
    wait = (heap[0].at - clock_now()) / base.rate;
    return wait < 0 ? 0 : wait > cap ? cap : wait;
}

void samples_add(Samples *samples, double value)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? 2 * samples->room : 256;
        samples->values = xrealloc(samples->values, samples->room * sizeof(float));
    }
    samples->values[samples->count++] = (float)value;
    samples->sorted = false;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

double samples_percentile(Samples *samples, double percent)
{
    size_t i;

    if (samples->count == 0)
        return 0;
    if (!samples->sorted)
        qsort(samples->values, samples->count, sizeof(float), compare_floats);
    samples->sorted = true;
    i = (size_t)(percent / 100.0 * (double)samples->count);
    return samples->values[i < samples->count ? i : samples->count - 1];
}
