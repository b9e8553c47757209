/*
 * statistics.h
 *    Intervals and tests for the outcomes of experiments. Pure.
 *
 * All intervals are of 95 % and rest on the normal approximation: they want some 100 customers a variant.
 * Customers are what chance put into variants, so customers are the sample; a customer's quotes and trips
 * depend on each other and must not be counted as if each were drawn by itself.
 */
#ifndef HAIL_PRICING_STATISTICS_H
#define HAIL_PRICING_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

/* The normal distribution's quantile of 97.5 %. */
#define STATISTICS_Z 1.959963984540054

typedef struct Estimate {
    double value, low, high;
} Estimate;

/* What there is of one variant: y the denominators of its customers (quote sets, say), x the numerators
 * (trips). Variances and covariance are those of a sample (over n - 1). */
typedef struct RatioMoments {
    int64_t n; /* customers */
    double mean_x, mean_y, var_x, var_y, cov_xy;
} RatioMoments;

/*
 * sum(x) / sum(y) over customers, by the delta method (A. Deng, U. Knoblich, J. Lu, "Applying the Delta
 * Method in Metric Analytics", KDD 2018, arXiv:1803.06336, section 3): with r = mean_x / mean_y
 *
 *    var(r) = (var_x - 2 r cov_xy + r^2 var_y) / (n mean_y^2),    r +- z sqrt(var(r))
 *
 * A mean over customers is the ratio with y = 1 of each. False: fewer than two customers, or mean_y is 0.
 */
extern bool statistics_ratio(const RatioMoments *moments, Estimate *out);

/* The share events / n of customers of whom each had the event or not: score interval of E. B. Wilson,
 * "Probable inference, the law of succession, and statistical inference", JASA 22 (1927). False: n < 1. */
extern bool statistics_proportion(int64_t events, int64_t n, Estimate *out);

/*
 * a - b of independent estimates, from their intervals (G. Y. Zou, A. Donner, "Construction of confidence
 * limits about effect measures", Statistics in Medicine 27 (2008)):
 *
 *    low  = a - b - sqrt((a - a.low)^2 + (b.high - b)^2)
 *    high = a - b + sqrt((a.high - a)^2 + (b - b.low)^2)
 *
 * which for two ratios is the usual z sqrt(var(a) + var(b)), and for two Wilson intervals method 10 of
 * R. G. Newcombe, Statistics in Medicine 17 (1998). *p: the two-sided p-value of the normal distribution that
 * has its 95 % limit on the side of 0 where the interval has it: below 0.05 when the interval misses 0, and
 * only then.
 */
extern void statistics_difference(const Estimate *a, const Estimate *b, Estimate *out, double *p);

/* Probability that chi-square of `df` (1 or more) degrees of freedom is above x (M. Abramowitz, I. A. Stegun,
 * Handbook of Mathematical Functions, 26.4.4 and 26.4.5). */
extern double statistics_chi_square_p(double x, int df);

#endif
