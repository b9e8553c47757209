/*
 * Batched matching against greedy: a model of one peak hour, and how fast an assignment is solved.
 *
 *     matching DATA SEED ROWS [all]
 *
 * The hour: 16:00 to 17:00 of 18 November 2013, New York's taxi requests and taxi positions (DATA; read like
 * the replay reads them, without meters run over the same spot). Half of the requests, drawn at random;
 * 1,200, 1,700 or 2,500 taxis drawn from the positions file, all free at 16:00. Taxis drive straight lines
 * x 1.3 at 4 m/s and take 60 s to board; pickups lie at most 3 km away (great circle); a request that has no
 * taxi after 300 s is lost; everyone accepts; a taxi under way is not assigned anew. Every window (2 s) the
 * rule under test chooses among the waiting requests and the free taxis.
 *
 * The joint rule is the engine's: src/dispatch/assign_cost.c and assign.c, 20 nearest candidates a trip. Each
 * rule gets the same draws; there are SEEDS of them, from SEED on. `all`: also the variants that ASSIGN.md
 * speaks of. ROWS: file for the results, tab-separated (name, value, unit, peer, value of the peer). Without
 * the data only the solver is timed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatch/assign.h"
#include "dispatch/assign_cost.h"
#include "geo/geo.h"
#include "../replay/data.h"
#include "../replay/util.h"

#define SEEDS      5
#define HOUR_S     3600.0
#define DETOUR     1.3
#define SPEED      4.0 /* m/s */
#define BOARDING_S 60.0
#define REACH_M    3000.0
#define PATIENCE_S 300.0
#define NEAREST    20   /* candidates of a trip */
#define FLAG_DROP  2.50 /* fares, for the Gini of earnings: New York's of 2013 */
#define FARE_KM    1.55

typedef struct Request {
    double at, x, y, to_x, to_y; /* seconds from the hour; metres */
    double ride_s;
    double pickup_m, wait_s; /* once it has a taxi */
    int taxi;                /* or -1 */
} Request;

typedef struct Taxi {
    double x, y, free_at, since; /* where and when it is free next; idle since */
    double driven_s, ridden_s;   /* within the hour: at work, with a passenger */
    double earned;
} Taxi;

typedef struct Pair {
    int taxi; /* index among the free ones */
    double eta_s, distance_m;
} Pair;

/* What a rule chooses from, and its choice: for each waiting request a free taxi or -1. */
typedef struct Window {
    double now;
    Request *requests;
    Taxi *taxis;
    int *waiting, *free, *choice;
    int waiting_count, free_count;
} Window;

typedef struct Rule {
    const char *name;
    void (*choose)(const struct Rule *, Window *);
    double window_s, forward_s; /* taxis that will be free within forward_s may be chosen too */
    int asked;                  /* greedy rules: one of so many nearest, drawn at random, takes it */
    const AssignTerms *terms;
} Rule;

typedef struct Outcome {
    double served, pickup_m, pickup_p90_m, wait_s, driven, ridden, gini, long_served;
} Outcome;

/* The nearest free taxis of a request, by the time until they can be there. Returns how many, at most `most`.
 */
static int nearest(const Window *w, const Request *request, const bool *taken, int most, Pair *pairs)
{
    int count = 0;

    for (int f = 0; f < w->free_count; f++) {
        const Taxi *taxi = &w->taxis[w->free[f]];
        double distance = hypot(taxi->x - request->x, taxi->y - request->y);
        double eta = distance * DETOUR / SPEED + fmax(taxi->free_at - w->now, 0);
        int at;

        if (distance > REACH_M || (taken && taken[f]) || (count == most && eta >= pairs[most - 1].eta_s))
            continue;
        at = count < most ? count++ : most - 1;
        for (; at > 0 && pairs[at - 1].eta_s > eta; at--)
            pairs[at] = pairs[at - 1];
        pairs[at] = (Pair){f, eta, distance};
    }
    return count;
}

/* Requests in their order, each the nearest taxi left (or, as with offers to several, one of the nearest). */
static void choose_greedy(const Rule *rule, Window *w)
{
    bool *taken = xcalloc((size_t)w->free_count, sizeof(bool));

    for (int i = 0; i < w->waiting_count; i++) {
        Pair pairs[NEAREST];
        int count = nearest(w, &w->requests[w->waiting[i]], taken, rule->asked, pairs);

        w->choice[i] = -1;
        if (count > 0) {
            w->choice[i] = pairs[count > 1 ? (int)(random_unit() * count) : 0].taxi;
            taken[w->choice[i]] = true;
        }
    }
    free(taken);
}

typedef struct Problem {
    AssignProblem p;
    int *first, *driver, *choice;
    int64_t *cost, *unmatched;
    void *memory;
} Problem;

/* Trips with a candidate, and drivers that are one. */
static void count_ends(const Problem *problem, const Window *w, int *reachable, int *drivers)
{
    bool *seen = xcalloc((size_t)w->free_count, sizeof(bool));

    *reachable = *drivers = 0;
    for (int t = 0; t < w->waiting_count; t++) {
        *reachable += problem->first[t + 1] > problem->first[t];
        for (int e = problem->first[t]; e < problem->first[t + 1]; e++) {
            *drivers += !seen[problem->driver[e]];
            seen[problem->driver[e]] = true;
        }
    }
    free(seen);
}

static Problem problem_of(const Rule *rule, const Window *w)
{
    size_t trips = (size_t)w->waiting_count;
    Problem problem = {.first = xcalloc(trips + 1, sizeof(int)),
                       .driver = xcalloc(trips * NEAREST, sizeof(int)),
                       .choice = xcalloc(trips, sizeof(int)),
                       .cost = xcalloc(trips * NEAREST, sizeof(int64_t)),
                       .unmatched = xcalloc(trips, sizeof(int64_t)),
                       .memory = xcalloc(1, assign_memory(w->waiting_count, w->free_count))};
    Pair *pairs = xcalloc(trips * NEAREST, sizeof(Pair));
    int reachable, drivers;
    AssignTerms terms;

    for (size_t t = 0; t < trips; t++) {
        int edge = problem.first[t],
            count = nearest(w, &w->requests[w->waiting[t]], NULL, NEAREST, pairs + edge);

        for (int i = 0; i < count; i++, edge++)
            problem.driver[edge] = pairs[edge].taxi;
        problem.first[t + 1] = edge;
    }
    count_ends(&problem, w, &reachable, &drivers);
    terms = assign_terms_now(rule->terms, reachable, drivers);
    for (size_t t = 0; t < trips; t++) {
        const Request *request = &w->requests[w->waiting[t]];
        AssignTrip trip = {.waited_s = w->now - request->at, .ride_s = request->ride_s};

        problem.unmatched[t] = assign_unmatched_cost(&terms, &trip);
        for (int e = problem.first[t]; e < problem.first[t + 1]; e++) {
            double idle = fmax(w->now - w->taxis[w->free[pairs[e].taxi]].since, 0);

            problem.cost[e] = assign_edge_cost(&terms, &trip, &(AssignPair){pairs[e].eta_s, idle, 1});
        }
    }
    free(pairs);
    problem.p = (AssignProblem){w->waiting_count, w->free_count, problem.first,
                                problem.driver,   problem.cost,  problem.unmatched};
    return problem;
}

static void problem_free(Problem *problem)
{
    free(problem->first);
    free(problem->driver);
    free(problem->choice);
    free(problem->cost);
    free(problem->unmatched);
    free(problem->memory);
}

static void choose_joint(const Rule *rule, Window *w)
{
    Problem problem = problem_of(rule, w);

    if (assign_solve(&problem.p, problem.memory, NULL, NULL, problem.choice, NULL) != ASSIGN_OPTIMAL)
        die("the assignment was not solved");
    for (int i = 0; i < w->waiting_count; i++)
        w->choice[i] = problem.choice[i] < 0 ? -1 : problem.driver[problem.choice[i]];
    problem_free(&problem);
}

/* Terms of a variant: the three that limit and order, then any other. */
#define TERMS(reach, waiting, far, ...)                                                                      \
    &(const AssignTerms)                                                                                     \
    {                                                                                                        \
        .reach_s = (reach), .wait_weight = (waiting), .far_after_s = (far), __VA_ARGS__                      \
    }
#define NEVER        1e9
#define SHIPPED(...) TERMS(150, 0.5, 60, __VA_ARGS__)

/* The first three are the comparison; the others are what was tried. */
/* clang-format off */
static const Rule rules[] = {
    {"greedy nearest, in request order",          choose_greedy, 2, 0, 1, NULL},
    {"one of the five nearest (first_accept)",    choose_greedy, 2, 0, 5, NULL},
    {"batched, as the engine does it",            choose_joint, 2, 0, 0, &assign_terms_default},
    {"joint: pickup time alone",                  choose_joint, 2, 0, 0, TERMS(1e5, 0, NEVER)},
    {"joint: + 0.5 s for each second waited",     choose_joint, 2, 0, 0, TERMS(1e5, 0.5, NEVER)},
    {"joint: + 1 s for each second waited",       choose_joint, 2, 0, 0, TERMS(1e5, 1, NEVER)},
    {"joint: pickups of 300 s + 0.5 s/s at most", choose_joint, 2, 0, 0, TERMS(300, 0.5, NEVER)},
    {"joint: pickups of 150 s + 0.5 s/s at most", choose_joint, 2, 0, 0, TERMS(150, 0.5, NEVER)},
    {"batched, idle time does not count",         choose_joint, 2, 0, 0, SHIPPED(.idle_weight = 0)},
    {"batched, weight of idle time 0.3",          choose_joint, 2, 0, 0, SHIPPED(.idle_weight = 0.3)},
    {"batched, far pairs at once",                choose_joint, 2, 0, 0, TERMS(150, 0.5, 0, .idle_weight = 0.1)},
    {"batched, far pairs after 100 s",            choose_joint, 2, 0, 0, TERMS(150, 0.5, 100, .idle_weight = 0.1)},
    {"batched, reach 300 s",                      choose_joint, 2, 0, 0, TERMS(300, 0.5, 60, .idle_weight = 0.1)},
    {"batched, weight of waiting 1",              choose_joint, 2, 0, 0, TERMS(150, 1, 60, .idle_weight = 0.1)},
    {"batched, window 1 s",                       choose_joint, 1, 0, 0, &assign_terms_default},
    {"batched, window 5 s",                       choose_joint, 5, 0, 0, &assign_terms_default},
    {"batched, window 10 s",                      choose_joint, 10, 0, 0, &assign_terms_default},
    {"batched, taxis free within 60 s too",       choose_joint, 2, 60, 0, &assign_terms_default},
    {"batched, taxis free within 180 s too",      choose_joint, 2, 180, 0, &assign_terms_default},
    {"batched, short rides first (0.01)",         choose_joint, 2, 0, 0, SHIPPED(.idle_weight = 0.1, .trip_weight = 0.01)},
    {"batched, short rides first (0.03)",         choose_joint, 2, 0, 0, SHIPPED(.idle_weight = 0.1, .trip_weight = 0.03)},
};
/* clang-format on */
#define SHIPPED_RULES 3
#define ALL_RULES     ((int)(sizeof(rules) / sizeof(rules[0])))

/* ---- the model ------------------------------------------------------------------------------------------
 */

/* Metres on a plane that touches the city; 0.1 % off at most over the lengths that count. */
static void project(double lat, double lng, double *x, double *y)
{
    *x = GEO_RADIANS(lng + 73.97) * GEO_EARTH_RADIUS_M * cos(GEO_RADIANS(40.75));
    *y = GEO_RADIANS(lat - 40.75) * GEO_EARTH_RADIUS_M;
}

/* Which of `count` things are drawn: `wanted` of them, uniformly (Knuth, TAOCP 2, 3.4.2, algorithm S). */
static bool drawn(size_t i, size_t count, size_t kept, size_t wanted)
{
    return (double)(count - i) * random_unit() < (double)(wanted - kept);
}

static Request *draw_requests(const Dataset *data, int *count)
{
    Request *requests = xcalloc(data->trip_count, sizeof(Request));
    double hour = floor(data->trips[0].at / HOUR_S) * HOUR_S;

    *count = 0;
    for (size_t i = 0; i < data->trip_count; i++) {
        const DataTrip *t = &data->trips[i];
        Request *r = &requests[*count];

        if (!drawn(i, data->trip_count, (size_t)*count, data->trip_count / 2))
            continue;
        *r = (Request){.at = t->at - hour, .taxi = -1};
        project(t->pickup_lat, t->pickup_lng, &r->x, &r->y);
        project(t->dropoff_lat, t->dropoff_lng, &r->to_x, &r->to_y);
        r->ride_s = hypot(r->x - r->to_x, r->y - r->to_y) * DETOUR / SPEED;
        ++*count;
    }
    return requests;
}

static Taxi *draw_taxis(const Dataset *data, int wanted)
{
    Taxi *taxis = xcalloc((size_t)wanted, sizeof(Taxi));
    size_t kept = 0;

    for (size_t i = 0; i < data->vehicle_count; i++)
        if (drawn(i, data->vehicle_count, kept, (size_t)wanted)) {
            project(data->vehicles[i].lat, data->vehicles[i].lng, &taxis[kept].x, &taxis[kept].y);
            kept++;
        }
    return taxis;
}

/* Seconds of [from, to] that lie within the hour. */
static double within_hour(double from, double to)
{
    return fmax(fmin(to, HOUR_S) - fmin(from, HOUR_S), 0);
}

static void drive(Request *r, Taxi *taxi, double now)
{
    double start = fmax(now, taxi->free_at), ready;

    r->pickup_m = hypot(taxi->x - r->x, taxi->y - r->y);
    ready = start + r->pickup_m * DETOUR / SPEED;
    r->wait_s = ready - r->at;
    taxi->free_at = taxi->since = ready + BOARDING_S + r->ride_s;
    taxi->driven_s += within_hour(start, taxi->free_at);
    taxi->ridden_s += within_hour(ready, taxi->free_at);
    taxi->earned += FLAG_DROP + FARE_KM * r->ride_s * SPEED / 1000;
    taxi->x = r->to_x;
    taxi->y = r->to_y;
}

/* One window: who has waited too long goes, the rule chooses, taxis drive. */
static void step(const Rule *rule, Window *w, int taxi_count)
{
    int left = 0;

    for (int i = 0; i < w->waiting_count; i++)
        if (w->requests[w->waiting[i]].at + PATIENCE_S >= w->now)
            w->waiting[left++] = w->waiting[i];
    w->waiting_count = left;
    w->free_count = 0;
    for (int d = 0; d < taxi_count; d++)
        if (w->taxis[d].free_at <= w->now + rule->forward_s)
            w->free[w->free_count++] = d;
    if (w->waiting_count == 0 || w->free_count == 0)
        return;
    rule->choose(rule, w);
    left = 0;
    for (int i = 0; i < w->waiting_count; i++) {
        Request *r = &w->requests[w->waiting[i]];

        if (w->choice[i] < 0) {
            w->waiting[left++] = w->waiting[i];
            continue;
        }
        r->taxi = w->free[w->choice[i]];
        drive(r, &w->taxis[r->taxi], w->now);
    }
    w->waiting_count = left;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Gini coefficient: 0 all earn the same, towards 1 one earns everything. */
static double gini(const Taxi *taxis, int count)
{
    double *earned = xcalloc((size_t)count, sizeof(double)), sum = 0, weighted = 0;

    for (int d = 0; d < count; d++)
        earned[d] = taxis[d].earned;
    qsort(earned, (size_t)count, sizeof(double), by_value);
    for (int d = 0; d < count; d++) {
        sum += earned[d];
        weighted += (2.0 * (d + 1) - count - 1) * earned[d];
    }
    free(earned);
    return sum > 0 ? weighted / (count * sum) : 0;
}

static Outcome outcome(const Request *requests, int count, const Taxi *taxis, int taxi_count)
{
    Outcome o = {.gini = gini(taxis, taxi_count)};
    double *pickups = xcalloc((size_t)count, sizeof(double)), far = 0, far_served = 0;
    int served = 0;

    for (int i = 0; i < count; i++) {
        bool is_long = requests[i].ride_s > 3000 * DETOUR / SPEED;

        far += is_long;
        if (requests[i].taxi < 0)
            continue;
        far_served += is_long;
        pickups[served++] = requests[i].pickup_m;
        o.pickup_m += requests[i].pickup_m;
        o.wait_s += requests[i].wait_s;
    }
    qsort(pickups, (size_t)served, sizeof(double), by_value);
    o.pickup_p90_m = served ? pickups[served * 9 / 10] : 0;
    o.pickup_m /= fmax(served, 1);
    o.wait_s /= fmax(served, 1);
    o.served = 100.0 * served / count;
    o.long_served = 100 * far_served / fmax(far, 1);
    for (int d = 0; d < taxi_count; d++) {
        o.driven += 100 * taxis[d].driven_s / HOUR_S / taxi_count;
        o.ridden += 100 * taxis[d].ridden_s / HOUR_S / taxi_count;
    }
    free(pickups);
    return o;
}

static Outcome run(const Rule *rule, const Dataset *data, int taxi_count, uint64_t seed)
{
    Window w = {0};
    int count, next = 0;
    Outcome o;

    random_seed(seed);
    w.requests = draw_requests(data, &count);
    w.taxis = draw_taxis(data, taxi_count);
    w.waiting = xcalloc((size_t)count, sizeof(int));
    w.choice = xcalloc((size_t)count, sizeof(int));
    w.free = xcalloc((size_t)taxi_count, sizeof(int));
    for (w.now = rule->window_s; w.now <= HOUR_S + PATIENCE_S + 60; w.now += rule->window_s) {
        while (next < count && w.requests[next].at <= w.now)
            w.waiting[w.waiting_count++] = next++;
        step(rule, &w, taxi_count);
    }
    o = outcome(w.requests, count, w.taxis, taxi_count);
    free(w.requests);
    free(w.taxis);
    free(w.waiting);
    free(w.choice);
    free(w.free);
    return o;
}

/* A rule's outcome over the seeds: means; the least and the most served. */
static Outcome run_seeds(const Rule *rule, const Dataset *data, int taxis, uint64_t seed, double range[2])
{
    Outcome mean = {0};

    range[0] = 100;
    range[1] = 0;
    for (int s = 0; s < SEEDS; s++) {
        Outcome o = run(rule, data, taxis, seed + (uint64_t)s);

        for (size_t i = 0; i < sizeof(Outcome) / sizeof(double); i++)
            ((double *)&mean)[i] += ((double *)&o)[i] / SEEDS;
        range[0] = fmin(range[0], o.served);
        range[1] = fmax(range[1], o.served);
    }
    return mean;
}

static void peak_hour(const char *directory, uint64_t seed, FILE *rows, int rule_count)
{
    static const struct {
        int taxis;
        const char *name;
    } fleets[] = {{1200, "1,200 taxis"}, {1700, "1,700 taxis"}, {2500, "2,500 taxis"}};
    Dataset data = data_load(&(DataWish){"nyc", directory, SIZE_MAX, SIZE_MAX, 0, INFINITY});

    printf("Half of %zu requests; taxis drawn from %zu; means over seeds %llu to %llu\n", data.trip_count,
           data.vehicle_count, (unsigned long long)seed, (unsigned long long)seed + SEEDS - 1);
    for (int f = 0; f < 3; f++) {
        Outcome greedy = {0}, o;

        printf("  %-42s %6s %13s %8s %6s %6s %6s %8s %6s %7s\n", fleets[f].name, "served", "least-most",
               "pickup", "p90", "wait", "driven", "occupied", "Gini", "> 3 km");
        for (int r = 0; r < rule_count; r++) {
            double range[2];

            o = run_seeds(&rules[r], &data, fleets[f].taxis, seed, range);
            printf("  %-42s %5.1f%% %5.1f - %5.1f %6.0f m %4.0f m %4.0f s %5.1f%% %7.1f%% %6.3f %6.1f%%\n",
                   rules[r].name, o.served, range[0], range[1], o.pickup_m, o.pickup_p90_m, o.wait_s,
                   o.driven, o.ridden, o.gini, o.long_served);
            fflush(stdout);
            if (r == 0)
                greedy = o;
            if (r != SHIPPED_RULES - 1)
                continue;
            fprintf(rows, "%s: served, batched\t%.2f\t%%\tgreedy nearest\t%.2f\n", fleets[f].name, o.served,
                    greedy.served);
            fprintf(rows, "%s: pickup distance, batched\t%.1f\tm\tgreedy nearest\t%.1f\n", fleets[f].name,
                    o.pickup_m, greedy.pickup_m);
            fprintf(rows, "%s: wait, batched\t%.1f\ts\tgreedy nearest\t%.1f\n", fleets[f].name, o.wait_s,
                    greedy.wait_s);
        }
    }
}

/* ---- the solver -----------------------------------------------------------------------------------------
 */

/* Trips and drivers anywhere in a square with one driver a hectare; trips have waited up to `waited_s`. */
static void time_solver(int trips, int drivers, uint64_t seed, FILE *rows)
{
    const Rule plain = {"", choose_joint, 2, 0, 0, TERMS(1e5, 0.5, NEVER)};
    double side = 100 * sqrt(drivers), times[5];
    int64_t *price = xcalloc((size_t)drivers, sizeof(int64_t));
    Window w = {.now = 0, .waiting_count = trips, .free_count = drivers};
    Problem problem;
    int matched = 0;

    random_seed(seed);
    w.requests = xcalloc((size_t)trips, sizeof(Request));
    w.taxis = xcalloc((size_t)drivers, sizeof(Taxi));
    w.waiting = xcalloc((size_t)trips, sizeof(int));
    w.free = xcalloc((size_t)drivers, sizeof(int));
    for (int t = 0; t < trips; t++) {
        w.requests[t] = (Request){
            .at = -PATIENCE_S * random_unit(), .x = side * random_unit(), .y = side * random_unit()};
        w.waiting[t] = t;
    }
    for (int d = 0; d < drivers; d++) {
        w.taxis[d] = (Taxi){.x = side * random_unit(), .y = side * random_unit()};
        w.free[d] = d;
    }
    problem = problem_of(&plain, &w);
    for (int i = 0; i < 5; i++) {
        double start = wall_now();

        if (assign_solve(&problem.p, problem.memory, NULL, NULL, problem.choice, price) != ASSIGN_OPTIMAL)
            die("the assignment was not solved");
        times[i] = 1000 * (wall_now() - start);
    }
    qsort(times, 5, sizeof(double), by_value);
    if (!assign_proven(&problem.p, problem.memory, problem.choice, price))
        die("the assignment is not the optimum");
    for (int t = 0; t < trips; t++)
        matched += problem.choice[t] >= 0;
    printf("  %d trips x %d drivers, %d candidates each: %d matched, optimum proven, median of 5: %.1f ms\n",
           trips, drivers, NEAREST, matched, times[2]);
    fprintf(rows, "assignment, %d x %d, %d candidates\t%.3f\tms\t\t\n", trips, drivers, NEAREST, times[2]);
    problem_free(&problem);
    free(w.requests);
    free(w.taxis);
    free(w.waiting);
    free(w.free);
    free(price);
}

int main(int argc, char **argv)
{
    char *requests;
    uint64_t seed;
    FILE *rows;

    if (argc < 4)
        die("usage: matching DATA SEED ROWS [all]");
    seed = strtoull(argv[2], NULL, 10);
    rows = fopen(argv[3], "w");
    if (!rows)
        die("cannot write %s", argv[3]);
    requests = xasprintf("%s/nyc_taxi_requests_2013-11-18_16h.csv.gz", argv[1]);
    time_solver(1000, 1000, seed, rows);
    time_solver(5000, 5000, seed, rows);
    time_solver(5000, 2500, seed, rows);
    if (access(requests, R_OK) == 0)
        peak_hour(argv[1], seed, rows, argc > 4 ? ALL_RULES : SHIPPED_RULES);
    else
        printf("  no public data in %s (set HAIL_DATA): the peak hour is skipped\n", argv[1]);
    free(requests);
    fclose(rows);
    return 0;
}
