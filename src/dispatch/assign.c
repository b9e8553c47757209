/*
 * Sparse assignment by shortest augmenting paths; see assign.h.
 *
 * Invariants between steps: price[d] <= 0, and 0 while driver d is free; a matched trip's edge is the best it
 * has at these prices (cost - price), no worse than staying unmatched; a trip once settled as unmatched stays
 * so, for prices only fall and its other edges only get dearer.
 */
#include "dispatch/assign.h"

#include <string.h>

#define ROW_REDUCTIONS  2 /* passes; more than two rarely pay (Jonker and Volgenant) */
#define BIDS_A_TRIP     8 /* a pass ends after so many bids for each trip: searches end price wars quicker */
#define EDGES_PER_CHECK 4096 /* edges looked at between two questions to go_on */

enum { FREE = -1, UNMATCHED = -2 }; /* in place of an edge: not settled yet; settled without a driver */

typedef struct Work {
    const AssignProblem *p;
    int64_t *price;    /* of each driver */
    int64_t *distance; /* of each driver reached by the running search */
    int *trip_of;      /* of each driver: the trip it has, or FREE */
    int *from_edge;    /* of each driver reached: the edge it was reached by */
    int *from_trip;    /* and that edge's trip */
    int *heap_place;   /* of each driver: its place in the heap, from 1; 0: not reached; -1: done */
    int *heap;         /* drivers by distance, then number */
    int *reached;      /* drivers reached, to be reset */
    int *edge;         /* of each trip: its edge, FREE or UNMATCHED */
    int *waiting;      /* trips not settled yet, in order */
    int heap_count, reached_count, waiting_count;
    AssignGoOn go_on;
    void *argument;
    int64_t edges_until_check;
    bool stopped;
} Work;

size_t assign_memory(int trips, int drivers)
{
    if (trips < 0 || drivers < 0)
        return 0;
    return (size_t)drivers * (2 * sizeof(int64_t) + 6 * sizeof(int)) + (size_t)trips * 2 * sizeof(int) +
           sizeof(int64_t);
}

static void work_init(Work *w, const AssignProblem *p, void *memory)
{
    size_t drivers = (size_t)p->drivers;
    int *ints;

    *w = (Work){.p = p, .edges_until_check = EDGES_PER_CHECK};
    w->price = memory;
    w->distance = w->price + drivers;
    ints = (int *)(w->distance + drivers);
    w->trip_of = ints;
    w->from_edge = ints + drivers;
    w->from_trip = ints + 2 * drivers;
    w->heap_place = ints + 3 * drivers;
    w->heap = ints + 4 * drivers;
    w->reached = ints + 5 * drivers;
    w->edge = ints + 6 * drivers;
    w->waiting = w->edge + p->trips;
    for (size_t d = 0; d < drivers; d++) {
        w->price[d] = 0;
        w->trip_of[d] = FREE;
        w->heap_place[d] = 0;
    }
    for (int t = 0; t < p->trips; t++) {
        w->edge[t] = FREE;
        w->waiting[t] = t;
    }
    w->waiting_count = p->trips;
}

static bool in_range(int64_t cost)
{
    return cost >= -ASSIGN_COST_MAX && cost <= ASSIGN_COST_MAX;
}

static bool valid(const AssignProblem *p)
{
    if (p->trips < 0 || p->drivers < 0 || (p->trips > 0 && p->first[0] != 0))
        return false;
    for (int t = 0; t < p->trips; t++) {
        if (p->first[t + 1] < p->first[t] || !in_range(p->unmatched[t]))
            return false;
        for (int e = p->first[t]; e < p->first[t + 1]; e++)
            if (p->driver[e] < 0 || p->driver[e] >= p->drivers || !in_range(p->cost[e]))
                return false;
    }
    return true;
}

/* After looking at so many edges: may we go on? */
static bool may_go_on(Work *w, int edges)
{
    w->edges_until_check -= edges + 1;
    if (w->edges_until_check < 0 && w->go_on) {
        w->edges_until_check = EDGES_PER_CHECK;
        if (!w->go_on(w->argument))
            w->stopped = true;
    }
    return !w->stopped;
}

/* ---- augmenting row reduction ---------------------------------------------------------------------------
 */

/* A free driver rather than one that another trip has, one of those rather than none, else the first. */
static int preference(const Work *w, int edge)
{
    return edge == UNMATCHED ? 0 : w->trip_of[w->p->driver[edge]] != FREE ? 1 : 2;
}

/*
 * A trip takes its best edge and pays for it, by the driver's price, all that it is better than the second
 * best. Returns the trip that must be settled now: who had the driver; the trip itself when it ties for a
 * driver who is taken, which only a search can decide; or FREE.
 */
static int bid(Work *w, int trip)
{
    const AssignProblem *p = w->p;
    int64_t best = p->unmatched[trip], second = best;
    int best_edge = UNMATCHED, driver, loser;

    for (int e = p->first[trip]; e < p->first[trip + 1]; e++) {
        int64_t cost = p->cost[e] - w->price[p->driver[e]];

        if (cost < best || (cost == best && preference(w, e) > preference(w, best_edge))) {
            second = best;
            best = cost;
            best_edge = e;
        } else if (cost < second) {
            second = cost;
        }
    }
    if (best_edge == UNMATCHED) {
        w->edge[trip] = UNMATCHED;
        return FREE;
    }
    driver = p->driver[best_edge];
    loser = w->trip_of[driver];
    if (loser != FREE && second == best)
        return trip;
    w->edge[trip] = best_edge;
    w->price[driver] -= second - best;
    w->trip_of[driver] = trip;
    if (loser != FREE)
        w->edge[loser] = FREE;
    return loser;
}

/* One pass over the waiting trips; a trip that loses its driver bids again at once while the budget lasts. */
static void reduce_rows(Work *w)
{
    const AssignProblem *p = w->p;
    int count = w->waiting_count;
    int64_t bids = (int64_t)count * BIDS_A_TRIP;

    w->waiting_count = 0;
    for (int i = 0; i < count; i++) {
        int trip = w->waiting[i];

        while (trip != FREE) {
            int next = w->stopped || bids-- <= 0 ? trip : bid(w, trip);

            if (next == trip) {
                /* never overtakes i: each trip taken from the list leaves one in it at most */
                w->waiting[w->waiting_count++] = trip;
                break;
            }
            may_go_on(w, p->first[trip + 1] - p->first[trip]);
            trip = next;
        }
    }
}

/* ---- searches: a binary heap of drivers ------------------------------------------------------------------
 */

static bool nearer(const Work *w, int a, int b)
{
    return w->distance[a] != w->distance[b] ? w->distance[a] < w->distance[b] : a < b;
}

static void heap_put(Work *w, int place, int driver)
{
    w->heap[place - 1] = driver;
    w->heap_place[driver] = place;
}

/* The driver's distance was set, or fell. */
static void heap_rise(Work *w, int driver)
{
    int place = w->heap_place[driver];

    if (place == 0) {
        place = ++w->heap_count;
        w->reached[w->reached_count++] = driver;
    }
    while (place > 1 && nearer(w, driver, w->heap[place / 2 - 1])) {
        heap_put(w, place, w->heap[place / 2 - 1]);
        place /= 2;
    }
    heap_put(w, place, driver);
}

static int heap_pop(Work *w)
{
    int top = w->heap[0], last = w->heap[--w->heap_count], place = 1, child;

    while ((child = 2 * place) <= w->heap_count) {
        if (child < w->heap_count && nearer(w, w->heap[child], w->heap[child - 1]))
            child++;
        if (!nearer(w, w->heap[child - 1], last))
            break;
        heap_put(w, place, w->heap[child - 1]);
        place = child;
    }
    if (w->heap_count > 0)
        heap_put(w, place, last);
    w->heap_place[top] = -1;
    return top;
}

/* Where a search ends: at a driver who is free, or at a trip that gives its driver up and stays unmatched. */
typedef struct End {
    int64_t distance;
    int driver; /* or FREE */
    int trip;   /* who stays unmatched, when driver is FREE */
} End;

/* Look at all edges of a trip that is `base` away: base + cost - price is the distance of each driver. */
static void scan_trip(Work *w, int trip, int64_t base, End *end)
{
    const AssignProblem *p = w->p;

    if (base + p->unmatched[trip] < end->distance)
        *end = (End){base + p->unmatched[trip], FREE, trip};
    for (int e = p->first[trip]; e < p->first[trip + 1]; e++) {
        int driver = p->driver[e];
        int64_t distance = base + p->cost[e] - w->price[driver];
        bool is_free = w->trip_of[driver] == FREE;

        if (w->heap_place[driver] < 0 || distance > end->distance ||
            (distance == end->distance && (!is_free || end->driver != FREE)) ||
            (w->heap_place[driver] > 0 && distance >= w->distance[driver]))
            continue;
        w->from_edge[driver] = e;
        w->from_trip[driver] = trip;
        if (is_free) {
            *end = (End){distance, driver, FREE};
        } else {
            w->distance[driver] = distance;
            heap_rise(w, driver);
        }
    }
}

/* Move the trips along the path that leads to its end: each takes the driver it was reached by. */
static void augment(Work *w, int start, const End *end)
{
    int driver = end->driver, trip = end->trip;

    if (driver == FREE) {
        int edge = w->edge[trip];

        w->edge[trip] = UNMATCHED;
        if (trip == start)
            return;
        driver = w->p->driver[edge];
    }
    for (;;) {
        int before;

        trip = w->from_trip[driver];
        before = w->edge[trip];
        w->edge[trip] = w->from_edge[driver];
        w->trip_of[driver] = trip;
        if (trip == start)
            return;
        driver = w->p->driver[before];
    }
}

/* Settle one trip by the shortest augmenting path; or stop, and leave everything as it is. */
static void settle(Work *w, int start)
{
    const AssignProblem *p = w->p;
    End end = {p->unmatched[start], FREE, start};

    w->heap_count = w->reached_count = 0;
    scan_trip(w, start, 0, &end);
    while (may_go_on(w, p->first[start + 1] - p->first[start]) && w->heap_count > 0 &&
           w->distance[w->heap[0]] < end.distance) {
        int driver = heap_pop(w), trip = w->trip_of[driver];

        /* the trip's own driver is no dearer to it than any other: base is what its best edge costs more */
        scan_trip(w, trip, w->distance[driver] - (p->cost[w->edge[trip]] - w->price[driver]), &end);
    }
    for (int i = 0; i < w->reached_count; i++) {
        int driver = w->reached[i];

        if (w->heap_place[driver] < 0 && !w->stopped)
            w->price[driver] += w->distance[driver] - end.distance;
        w->heap_place[driver] = 0;
    }
    if (!w->stopped)
        augment(w, start, &end);
}

/* ---- the whole ------------------------------------------------------------------------------------------
 */

AssignResult assign_solve(const AssignProblem *problem, void *memory, AssignGoOn go_on, void *argument,
                          int *choice, int64_t *price)
{
    Work w;

    if (!valid(problem))
        return ASSIGN_INVALID;
    work_init(&w, problem, memory);
    w.go_on = go_on;
    w.argument = argument;
    for (int pass = 0; pass < ROW_REDUCTIONS && w.waiting_count > 0; pass++)
        reduce_rows(&w);
    for (int i = 0; i < w.waiting_count && !w.stopped; i++)
        settle(&w, w.waiting[i]);
    for (int t = 0; t < problem->trips; t++)
        choice[t] = w.edge[t] >= 0 ? w.edge[t] : -1;
    if (price)
        memcpy(price, w.price, (size_t)problem->drivers * sizeof(int64_t));
    return w.stopped ? ASSIGN_STOPPED : ASSIGN_OPTIMAL;
}

int64_t assign_total(const AssignProblem *problem, const int *choice)
{
    int64_t total = 0;

    for (int t = 0; t < problem->trips; t++)
        total += choice[t] >= 0 ? problem->cost[choice[t]] : problem->unmatched[t];
    return total;
}

bool assign_proven(const AssignProblem *problem, void *memory, const int *choice, const int64_t *price)
{
    bool *taken = memory;

    memset(taken, 0, (size_t)problem->drivers);
    for (int t = 0; t < problem->trips; t++) {
        int64_t own = problem->unmatched[t];

        if (choice[t] >= 0) {
            int driver = problem->driver[choice[t]];

            if (choice[t] < problem->first[t] || choice[t] >= problem->first[t + 1] || taken[driver])
                return false;
            taken[driver] = true;
            own = problem->cost[choice[t]] - price[driver];
        }
        if (own > problem->unmatched[t])
            return false;
        for (int e = problem->first[t]; e < problem->first[t + 1]; e++)
            if (problem->cost[e] - price[problem->driver[e]] < own)
                return false;
    }
    for (int d = 0; d < problem->drivers; d++)
        if (price[d] > 0 || (price[d] < 0 && !taken[d]))
            return false;
    return true;
}
