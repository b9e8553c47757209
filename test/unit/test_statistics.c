/*
 * Intervals and tests of experiments: figures of others, and a simulation without any true difference, in
 * which 5 % of the intervals have to miss 0. Customers differ much in it, in how often they ask and in how
 * readily they take a trip: what counts quotes as if each were drawn by itself misses far oftener.
 */
#include "unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "pricing/experiment.h"
#include "pricing/statistics.h"

#define CHECK_NEAR(actual, expected, slack)                                                                  \
    do {                                                                                                     \
        double actual_ = (actual), expected_ = (expected);                                                   \
        if (!(fabs(actual_ - expected_) <= (slack))) {                                                       \
            unit_broken++;                                                                                   \
            printf("# %s:%d: %s is %.12g, not %.12g\n", __FILE__, __LINE__, #actual, actual_, expected_);    \
        }                                                                                                    \
    } while (0)

static RatioMoments moments(const double *x, const double *y, int n)
{
    RatioMoments m = {n, 0, 0, 0, 0, 0};

    for (int i = 0; i < n; i++) {
        m.mean_x += x[i] / n;
        m.mean_y += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        m.var_x += (x[i] - m.mean_x) * (x[i] - m.mean_x) / (n - 1);
        m.var_y += (y[i] - m.mean_y) * (y[i] - m.mean_y) / (n - 1);
        m.cov_xy += (x[i] - m.mean_x) * (y[i] - m.mean_y) / (n - 1);
    }
    return m;
}

/* In fractions, by the residuals x - r y (Python): r = 7/15, variance 836/28125. */
static void the_interval_of_a_ratio_is_that_of_the_delta_method(void)
{
    const double x[] = {1, 0, 2, 0, 3, 1}, y[] = {2, 1, 2, 4, 5, 1};
    RatioMoments m = moments(x, y, 6);
    Estimate e;

    CHECK(statistics_ratio(&m, &e));
    CHECK_NEAR(e.value, 7.0 / 15, 1e-12);
    CHECK_NEAR(e.low, 7.0 / 15 - 1.959963984540054 * sqrt(836.0 / 28125), 1e-12);
    CHECK_NEAR(e.high, 0.804579716579427, 1e-12);
}

static void a_mean_is_the_ratio_to_one_each(void)
{
    const double x[] = {3, 5, 10, 2}, y[] = {1, 1, 1, 1}; /* mean 5, variance 38 / 3 */
    RatioMoments m = moments(x, y, 4);
    Estimate e;

    CHECK(statistics_ratio(&m, &e));
    CHECK_NEAR(e.value, 5, 1e-12);
    CHECK_NEAR(e.high - e.value, 1.959963984540054 * sqrt(38.0 / 3 / 4), 1e-12);
}

static void too_little_has_no_interval(void)
{
    RatioMoments one = {1, 1, 1, 0, 0, 0}, nothing = {5, 0, 0, 0, 0, 0};
    Estimate e;

    CHECK(!statistics_ratio(&one, &e));
    CHECK(!statistics_ratio(&nothing, &e));
    CHECK(!statistics_proportion(0, 0, &e));
}

/* Limits as roots of (p - q)^2 = z^2 q (1 - q) / n (Python). */
static void the_interval_of_a_share_is_wilsons(void)
{
    Estimate e;

    CHECK(statistics_proportion(56, 70, &e));
    CHECK_NEAR(e.low, 0.6918335550374697, 1e-12);
    CHECK_NEAR(e.high, 0.8769526075163703, 1e-12);
    CHECK(statistics_proportion(1, 3, &e));
    CHECK_NEAR(e.low, 0.061491944720396215, 1e-12);
    CHECK_NEAR(e.high, 0.7923403991979523, 1e-12);
    CHECK(statistics_proportion(0, 10, &e));
    CHECK(e.low == 0);
    CHECK_NEAR(e.high, 0.2775327998628892, 1e-12);
    CHECK(statistics_proportion(10, 10, &e));
    CHECK(e.high == 1);
}

/* The examples of Newcombe (1998), table II, method 10; the bounds are given to four places there. */
static void differences_of_shares_are_those_of_newcombe(void)
{
    const struct {
        int a, n, b, m;
        double low, high;
    } examples[] = {
        {56, 70, 48, 80, 0.0524, 0.3339}, {9, 10, 3, 10, 0.1705, 0.8090}, {10, 10, 0, 10, 0.6075, 1}};

    for (int k = 0; k < 3; k++) {
        Estimate a, b, d;
        double p;

        CHECK(statistics_proportion(examples[k].a, examples[k].n, &a));
        CHECK(statistics_proportion(examples[k].b, examples[k].m, &b));
        statistics_difference(&a, &b, &d, &p);
        CHECK_NEAR(d.low, examples[k].low, 0.00005);
        CHECK_NEAR(d.high, examples[k].high, 0.00005);
        CHECK(p < 0.05);
    }
}

static void the_p_value_is_below_5_percent_when_the_interval_misses_0(void)
{
    for (int k = -400; k <= 400; k++) {
        Estimate a = {k / 100.0, k / 100.0 - 1.2, k / 100.0 + 0.7}, b = {0, -1.1, 1.3}, d;
        double p;

        statistics_difference(&a, &b, &d, &p);
        CHECK((p < 0.05) == (d.low > 0 || d.high < 0));
        CHECK(p >= 0 && p <= 1);
    }
}

static void equal_intervals_give_the_normal_distributions_p_value(void)
{
    Estimate a = {3, 3 - STATISTICS_Z * 0.6,
                  3 + STATISTICS_Z * 0.6}; /* standard errors 0.6, 0.8: of both 1 */
    Estimate b = {1, 1 - STATISTICS_Z * 0.8, 1 + STATISTICS_Z * 0.8}, d;
    double p;

    statistics_difference(&a, &b, &d, &p);
    CHECK_NEAR(d.value, 2, 1e-12);
    CHECK_NEAR(d.low, 2 - STATISTICS_Z, 1e-12);
    CHECK_NEAR(p, 0.04550026389635842, 1e-12); /* 2 (1 - Phi(2)) */
    statistics_difference(&a, &a, &d, &p);
    CHECK(p == 1);
}

/* By Simpson's rule over the density (Python), to 12 places. */
static void chi_square_has_its_tail(void)
{
    CHECK_NEAR(statistics_chi_square_p(3.841458820694124, 1), 0.05, 1e-12);
    CHECK_NEAR(statistics_chi_square_p(0.5, 1), 0.479500122187, 1e-12);
    CHECK_NEAR(statistics_chi_square_p(5.991464547107979, 2), 0.05, 1e-12);
    CHECK_NEAR(statistics_chi_square_p(7.5, 3), 0.0575584519726, 1e-12);
    CHECK_NEAR(statistics_chi_square_p(30.1, 10), 0.0008249626348, 1e-12);
    CHECK_NEAR(statistics_chi_square_p(12.3, 19), 0.872404652381, 1e-12);
    CHECK_NEAR(statistics_chi_square_p(148.2, 99), 0.00100558707413, 1e-12);
    CHECK(statistics_chi_square_p(0, 1) == 1);
    CHECK(statistics_chi_square_p(1e6, 4) == 0);
}

static double uniform(void)
{
    return (rand() + 0.5) / (RAND_MAX + 1.0);
}

enum { CUSTOMERS = 600, WORLDS = 2000 };

/* One variant's customers. */
typedef struct Variant {
    double sets[CUSTOMERS], trips[CUSTOMERS], revenue[CUSTOMERS], ones[CUSTOMERS];
    int customers, converted, set_count, trip_count;
} Variant;

/* Asks 1 to some 30 times; takes a trip at each with a probability of its own; each trip has its price. */
static void add_customer(Variant *v)
{
    double taste = uniform() * uniform(), trips = 0, revenue = 0;
    int sets = 1 + (int)(-log(uniform()) * (uniform() < 0.1 ? 15 : 2));

    for (int s = 0; s < sets; s++)
        if (uniform() < taste) {
            trips++;
            revenue += 1500 * exp(uniform() * 2);
        }
    v->sets[v->customers] = sets;
    v->trips[v->customers] = trips;
    v->revenue[v->customers] = revenue;
    v->ones[v->customers] = 1;
    v->customers++;
    v->converted += trips > 0;
    v->set_count += sets;
    v->trip_count += (int)trips;
}

static bool misses_0(const Estimate *a, const Estimate *b)
{
    Estimate d;
    double p;

    statistics_difference(a, b, &d, &p);
    return p < 0.05;
}

static bool ratios_differ(const double *x1, const double *y1, int n1, const double *x2, const double *y2,
                          int n2)
{
    RatioMoments m1 = moments(x1, y1, n1), m2 = moments(x2, y2, n2);
    Estimate e1, e2;

    CHECK(statistics_ratio(&m1, &e1) && statistics_ratio(&m2, &e2));
    return misses_0(&e1, &e2);
}

static void without_a_difference_5_percent_of_intervals_miss_0(void)
{
    static Variant variants[2];
    const int32_t shares[] = {5000, 5000};
    int conversion = 0, revenue = 0, converted = 0, naive = 0;
    /* 2,000 draws of 5 %: standard deviation 9.7, so that 61 to 139 is four of them either way */
    const int low = 61, high = 139, seed = 20161;

    srand(seed);
    for (int world = 0; world < WORLDS; world++) {
        unsigned char salt[16] = {0}, customer[16] = {0};
        Estimate e1, e2;

        memset(variants, 0, sizeof(variants));
        salt[0] = (unsigned char)world;
        salt[1] = (unsigned char)(world >> 8);
        for (int n = 0; n < CUSTOMERS; n++) {
            customer[14] = (unsigned char)(n >> 8);
            customer[15] = (unsigned char)n;
            add_customer(&variants[experiment_variant(shares, 2, experiment_bucket(salt, customer))]);
        }
        conversion += ratios_differ(variants[0].trips, variants[0].sets, variants[0].customers,
                                    variants[1].trips, variants[1].sets, variants[1].customers);
        revenue += ratios_differ(variants[0].revenue, variants[0].ones, variants[0].customers,
                                 variants[1].revenue, variants[1].ones, variants[1].customers);
        CHECK(statistics_proportion(variants[0].converted, variants[0].customers, &e1));
        CHECK(statistics_proportion(variants[1].converted, variants[1].customers, &e2));
        converted += misses_0(&e1, &e2);
        CHECK(statistics_proportion(variants[0].trip_count, variants[0].set_count, &e1));
        CHECK(statistics_proportion(variants[1].trip_count, variants[1].set_count, &e2));
        naive += misses_0(&e1, &e2);
    }
    printf(
        "# seed %d, %d experiments of %d customers: intervals that miss 0: trips per quote set %.1f %%, "
        "revenue per customer %.1f %%, customers with a trip %.1f %%; quote sets as if independent %.1f %%\n",
        seed, WORLDS, CUSTOMERS, 100.0 * conversion / WORLDS, 100.0 * revenue / WORLDS,
        100.0 * converted / WORLDS, 100.0 * naive / WORLDS);
    CHECK(conversion >= low && conversion <= high);
    CHECK(revenue >= low && revenue <= high);
    CHECK(converted >= low && converted <= high);
    CHECK(naive > 3 * high / 2);
}

int main(void)
{
    RUN(the_interval_of_a_ratio_is_that_of_the_delta_method);
    RUN(a_mean_is_the_ratio_to_one_each);
    RUN(too_little_has_no_interval);
    RUN(the_interval_of_a_share_is_wilsons);
    RUN(differences_of_shares_are_those_of_newcombe);
    RUN(the_p_value_is_below_5_percent_when_the_interval_misses_0);
    RUN(equal_intervals_give_the_normal_distributions_p_value);
    RUN(chi_square_has_its_tail);
    RUN(without_a_difference_5_percent_of_intervals_miss_0);
    return unit_result();
}
