/*
 * The assignment of trips to drivers: against every choice there is on small instances, against minimum-cost
 * flow by Bellman-Ford on large ones, and by its own proof (prices) on all.
 */
#include <stdlib.h>

#include "dispatch/assign.h"
#include "unit.h"

#define INFINITE (INT64_MAX / 4)

static uint64_t random_state = 20131118;

/* xorshift64* (Vigna 2016), below n */
static int64_t below(int64_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (int64_t)((random_state * 2685821657736338717u >> 11) % (uint64_t)n);
}

typedef struct Instance {
    AssignProblem p;
    int *first, *driver, *choice;
    int64_t *cost, *unmatched, *price;
    void *memory;
} Instance;

static Instance instance(int trips, int drivers, int edges)
{
    Instance in = {.first = calloc(trips + 1, sizeof(int)),
                   .driver = calloc(edges + 1, sizeof(int)),
                   .choice = calloc(trips + 1, sizeof(int)),
                   .cost = calloc(edges + 1, sizeof(int64_t)),
                   .unmatched = calloc(trips + 1, sizeof(int64_t)),
                   .price = calloc(drivers + 1, sizeof(int64_t)),
                   .memory = malloc(assign_memory(trips, drivers))};

    in.p = (AssignProblem){trips, drivers, in.first, in.driver, in.cost, in.unmatched};
    return in;
}

static void release(Instance *in)
{
    free(in->first);
    free(in->driver);
    free(in->choice);
    free(in->cost);
    free(in->unmatched);
    free(in->price);
    free(in->memory);
}

/* Each trip gets up to `most` edges to any drivers (the same one may come twice), costs from `low` on. */
static Instance random_instance(int trips, int drivers, int most, int64_t low, int64_t range, int64_t none)
{
    Instance in = instance(trips, drivers, trips * most);

    for (int t = 0; t < trips; t++) {
        int count = drivers > 0 ? (int)below(most + 1) : 0;

        in.first[t + 1] = in.first[t] + count;
        in.unmatched[t] = none + below(range / 2 + 1);
        for (int e = in.first[t]; e < in.first[t + 1]; e++) {
            in.driver[e] = (int)below(drivers);
            in.cost[e] = low + below(range);
        }
    }
    return in;
}

/* Points in a square, costs the distance to the nearest drivers: ties and chains as a city has them. */
static Instance city_instance(int trips, int drivers, int near, int64_t none)
{
    Instance in = instance(trips, drivers, trips * near);
    int *x = calloc(trips + drivers, sizeof(int)), *y = calloc(trips + drivers, sizeof(int));

    for (int i = 0; i < trips + drivers; i++) {
        x[i] = (int)below(10000);
        y[i] = (int)below(10000);
    }
    for (int t = 0; t < trips; t++) {
        int count = 0, at = in.first[t];

        in.unmatched[t] = none;
        for (int d = 0; d < drivers; d++) {
            int64_t cost = labs(x[t] - x[trips + d]) + labs(y[t] - y[trips + d]);
            int e = at + count;

            if (count == near && cost >= in.cost[e - 1])
                continue;
            if (count < near)
                count++;
            else
                e--;
            for (; e > at && in.cost[e - 1] > cost; e--) {
                in.cost[e] = in.cost[e - 1];
                in.driver[e] = in.driver[e - 1];
            }
            in.cost[e] = cost;
            in.driver[e] = d;
        }
        in.first[t + 1] = at + count;
    }
    free(x);
    free(y);
    return in;
}

/* ---- every choice there is ---- */

static int64_t best_of_all(const AssignProblem *p, int trip, uint64_t taken)
{
    int64_t best;

    if (trip == p->trips)
        return 0;
    best = p->unmatched[trip] + best_of_all(p, trip + 1, taken);
    for (int e = p->first[trip]; e < p->first[trip + 1]; e++)
        if (!(taken >> p->driver[e] & 1)) {
            int64_t total = p->cost[e] + best_of_all(p, trip + 1, taken | (uint64_t)1 << p->driver[e]);

            best = total < best ? total : best;
        }
    return best;
}

/* ---- minimum-cost flow: one cheapest path after the other, each found by Bellman and Ford's relaxation ----
 */

static int64_t flow_total(const AssignProblem *p)
{
    int *of = calloc(p->drivers + 1, sizeof(int)), *edge = calloc(p->trips + 1, sizeof(int));
    int *from = calloc(p->drivers + 1, sizeof(int)), *trip_from = calloc(p->drivers + 1, sizeof(int));
    int64_t *far = calloc(p->trips + 1, sizeof(int64_t)),
            *far_driver = calloc(p->drivers + 1, sizeof(int64_t));
    int64_t total = 0;

    for (int d = 0; d < p->drivers; d++)
        of[d] = -1;
    for (int t = 0; t < p->trips; t++)
        edge[t] = -1;
    for (int start = 0; start < p->trips; start++) {
        int64_t best = INFINITE;
        int end_driver = -1, end_trip = start;
        bool changed = true;

        for (int t = 0; t < p->trips; t++)
            far[t] = INFINITE;
        for (int d = 0; d < p->drivers; d++)
            far_driver[d] = INFINITE;
        far[start] = 0;
        while (changed) {
            changed = false;
            for (int t = 0; t <= start; t++)
                for (int e = p->first[t]; far[t] < INFINITE && e < p->first[t + 1]; e++) {
                    int d = p->driver[e], next = of[d];

                    if (e == edge[t] || far[t] + p->cost[e] >= far_driver[d])
                        continue;
                    far_driver[d] = far[t] + p->cost[e];
                    from[d] = e;
                    trip_from[d] = t;
                    changed = true;
                    if (next >= 0)
                        far[next] = far_driver[d] - p->cost[edge[next]];
                }
        }
        for (int t = 0; t <= start; t++)
            if (far[t] < INFINITE && far[t] + p->unmatched[t] < best) {
                best = far[t] + p->unmatched[t];
                end_trip = t;
            }
        for (int d = 0; d < p->drivers; d++)
            if (of[d] < 0 && far_driver[d] < best) {
                best = far_driver[d];
                end_driver = d;
            }
        total += best;
        if (end_driver < 0) {
            end_driver = edge[end_trip] < 0 ? -1 : p->driver[edge[end_trip]];
            edge[end_trip] = -1;
        }
        while (end_driver >= 0 && (end_trip != start || edge[start] < 0)) {
            int trip = trip_from[end_driver], before = edge[trip];

            edge[trip] = from[end_driver];
            of[end_driver] = trip;
            end_driver = trip == start ? -1 : p->driver[before];
        }
    }
    free(of);
    free(edge);
    free(from);
    free(trip_from);
    free(far);
    free(far_driver);
    return total;
}

/* Solved, and proven by its prices. Returns the total. */
static int64_t solved(Instance *in)
{
    CHECK_INT(assign_solve(&in->p, in->memory, NULL, NULL, in->choice, in->price), ASSIGN_OPTIMAL);
    CHECK(assign_proven(&in->p, in->memory, in->choice, in->price));
    return assign_total(&in->p, in->choice);
}

static void the_best_of_every_choice_on_small_instances(void)
{
    for (int i = 0; i < 20000; i++) {
        int trips = (int)below(7), drivers = (int)below(8);
        int64_t range = i % 3 == 0 ? 3 : i % 3 == 1 ? 100 : 1000000;
        Instance in =
            random_instance(trips, drivers, 5, i % 2 ? -range / 2 : 0, range, i % 5 ? range / 2 : 0);

        CHECK_INT(solved(&in), best_of_all(&in.p, 0, 0));
        release(&in);
    }
}

static void the_cost_of_an_independent_method_on_large_instances(void)
{
    static const struct {
        int trips, drivers, near;
        int64_t range, none;
    } cases[] = {{500, 500, 20, 1000000, 2000000},
                 {500, 120, 20, 1000, 5000},
                 {200, 800, 10, 50, 20},
                 {600, 600, 6, 10, 8},
                 {300, 30, 30, 1000000, 300000}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Instance in = random_instance(cases[i].trips, cases[i].drivers, cases[i].near, -cases[i].range / 4,
                                      cases[i].range, cases[i].none);
        Instance city = city_instance(cases[i].trips, cases[i].drivers, cases[i].near, 3000);

        CHECK_INT(solved(&in), flow_total(&in.p));
        CHECK_INT(solved(&city), flow_total(&city.p));
        release(&in);
        release(&city);
    }
}

static void its_prices_prove_the_optimum_of_thousands(void)
{
    Instance scarce = city_instance(3000, 1500, 20, 1 << 30), ample = city_instance(1500, 3000, 20, 2000);

    solved(&scarce);
    solved(&ample);
    release(&scarce);
    release(&ample);
}

static void prices_prove_nothing_of_a_worse_choice(void)
{
    Instance in = city_instance(60, 40, 8, 4000);
    int first, spare;

    solved(&in);
    for (first = 0; in.choice[first] < 0; first++)
        ;
    spare = in.choice[first];
    in.choice[first] = -1;
    CHECK(!assign_proven(&in.p, in.memory, in.choice, in.price));
    in.choice[first] = spare;
    in.price[in.driver[spare]] -= 1000000;
    CHECK(!assign_proven(&in.p, in.memory, in.choice, in.price));
    release(&in);
}

static void nothing_to_do(void)
{
    Instance none = instance(0, 0, 0), idle = instance(0, 5, 0), lonely = instance(3, 0, 0),
             far = instance(2, 2, 0);

    CHECK_INT(solved(&none), 0);
    CHECK_INT(solved(&idle), 0);
    lonely.unmatched[1] = 7;
    CHECK_INT(solved(&lonely), 7);
    CHECK_INT(lonely.choice[1], -1);
    CHECK_INT(solved(&far), 0);
    release(&none);
    release(&idle);
    release(&lonely);
    release(&far);
}

/* One trip, edges to drivers 0, 1, ... at these costs. */
static Instance one_trip(int64_t none, int edges, const int64_t *costs)
{
    Instance in = instance(1, edges, edges);

    in.first[1] = edges;
    in.unmatched[0] = none;
    for (int e = 0; e < edges; e++) {
        in.driver[e] = e;
        in.cost[e] = costs[e];
    }
    return in;
}

static void one_trip_takes_the_cheapest_driver_or_none(void)
{
    Instance in = one_trip(50, 4, (int64_t[]){40, 30, 30, 60});
    Instance dear = one_trip(20, 2, (int64_t[]){21, 30});
    Instance level = one_trip(20, 2, (int64_t[]){21, 20});

    CHECK_INT(solved(&in), 30);
    CHECK_INT(in.choice[0], 1);
    CHECK_INT(solved(&dear), 20);
    CHECK_INT(dear.choice[0], -1);
    CHECK_INT(solved(&level), 20);
    CHECK_INT(level.choice[0], 1);
    release(&in);
    release(&dear);
    release(&level);
}

static void a_driver_twice_among_the_edges_counts_at_the_lower_cost(void)
{
    Instance in = instance(2, 2, 4);

    memcpy(in.first, (int[]){0, 2, 4}, 3 * sizeof(int));
    memcpy(in.driver, (int[]){0, 0, 0, 0}, 4 * sizeof(int));
    memcpy(in.cost, (int64_t[]){9, 5, 4, 8}, 4 * sizeof(int64_t));
    memcpy(in.unmatched, (int64_t[]){100, 90}, 2 * sizeof(int64_t));
    CHECK_INT(solved(&in), 95);
    CHECK_INT(in.choice[0], 1);
    CHECK_INT(in.choice[1], -1);
    release(&in);
}

/* Everyone's best is the same driver: a chain that greedy choice, in any order, gets wrong. */
static void a_chain_is_shifted_along(void)
{
    enum { LONG = 400 };
    Instance in = instance(LONG, LONG, 2 * LONG);

    for (int t = 0; t < LONG; t++) {
        in.first[t + 1] = 2 * t + 2;
        in.unmatched[t] = 1000000;
        in.driver[2 * t] = t;
        in.cost[2 * t] = 10;
        in.driver[2 * t + 1] = t > 0 ? t - 1 : 0;
        in.cost[2 * t + 1] = t > 0 ? 1 : 10;
    }
    CHECK_INT(solved(&in), 10 * LONG);
    release(&in);
}

static void costs_as_large_as_allowed_are_added_right(void)
{
    for (int i = 0; i < 200; i++) {
        Instance in = random_instance(6, 4, 5, -ASSIGN_COST_MAX, 2 * ASSIGN_COST_MAX + 1, -ASSIGN_COST_MAX);

        CHECK_INT(solved(&in), best_of_all(&in.p, 0, 0));
        release(&in);
    }
}

static void everyone_stays_unmatched_when_that_is_a_bonus(void)
{
    Instance in = random_instance(50, 50, 10, 0, 1000, -5000);

    solved(&in);
    for (int t = 0; t < 50; t++)
        CHECK_INT(in.choice[t], -1);
    release(&in);
}

static void the_same_numbers_give_the_same_choice(void)
{
    Instance in = random_instance(200, 150, 12, 0, 4, 3);
    int *before = calloc(200, sizeof(int));

    solved(&in);
    memcpy(before, in.choice, 200 * sizeof(int));
    memset(in.memory, 0xAB, assign_memory(200, 150));
    solved(&in);
    CHECK(memcmp(before, in.choice, 200 * sizeof(int)) == 0);
    free(before);
    release(&in);
}

static bool ask(void *argument)
{
    return --*(int *)argument > 0;
}

/* Wherever it is stopped, no driver has two trips. */
static void stopped_anywhere_the_choice_is_valid(void)
{
    Instance in = city_instance(1500, 700, 20, 1 << 30);
    int questions = 1, matched_before = -1;
    AssignResult result;

    do {
        char taken[700] = {0};
        int left = questions, matched = 0;

        result = assign_solve(&in.p, in.memory, ask, &left, in.choice, in.price);
        for (int t = 0; t < in.p.trips; t++)
            if (in.choice[t] >= 0) {
                CHECK(in.choice[t] >= in.first[t] && in.choice[t] < in.first[t + 1]);
                CHECK(!taken[in.driver[in.choice[t]]]);
                taken[in.driver[in.choice[t]]] = 1;
                matched++;
            }
        CHECK(matched >= matched_before);
        matched_before = matched;
        questions *= 2;
    } while (result == ASSIGN_STOPPED);
    CHECK_INT(result, ASSIGN_OPTIMAL);
    CHECK(questions > 4);
    CHECK(assign_proven(&in.p, in.memory, in.choice, in.price));
    release(&in);
}

static void numbers_out_of_range_are_refused(void)
{
    Instance in = random_instance(5, 5, 5, 0, 10, 10);
    int none = -3;

    while (in.first[5] == 0) {
        release(&in);
        in = random_instance(5, 5, 5, 0, 10, 10);
    }
#define REFUSED() CHECK_INT(assign_solve(&in.p, in.memory, NULL, NULL, in.choice, NULL), ASSIGN_INVALID)
    in.choice[0] = none;
    in.driver[0] = 5;
    REFUSED();
    in.driver[0] = -1;
    REFUSED();
    in.driver[0] = 0;
    in.cost[0] = ASSIGN_COST_MAX + 1;
    REFUSED();
    in.cost[0] = 1;
    in.unmatched[4] = INT64_MIN;
    REFUSED();
    in.unmatched[4] = 1;
    in.first[0] = 1;
    REFUSED();
    in.first[0] = 0;
    in.first[1] = in.first[2] + 1;
    REFUSED();
    in.p.trips = -1;
    REFUSED();
    CHECK_INT(in.choice[0], none);
    CHECK_INT(assign_memory(-1, 5), 0);
    release(&in);
}

int main(void)
{
    RUN(the_best_of_every_choice_on_small_instances);
    RUN(the_cost_of_an_independent_method_on_large_instances);
    RUN(its_prices_prove_the_optimum_of_thousands);
    RUN(prices_prove_nothing_of_a_worse_choice);
    RUN(nothing_to_do);
    RUN(one_trip_takes_the_cheapest_driver_or_none);
    RUN(a_driver_twice_among_the_edges_counts_at_the_lower_cost);
    RUN(a_chain_is_shifted_along);
    RUN(costs_as_large_as_allowed_are_added_right);
    RUN(everyone_stays_unmatched_when_that_is_a_bonus);
    RUN(the_same_numbers_give_the_same_choice);
    RUN(stopped_anywhere_the_choice_is_valid);
    RUN(numbers_out_of_range_are_refused);
    return unit_result();
}
