/* Intervals and tests; see statistics.h. */
#include "pricing/statistics.h"

#include <math.h>

bool statistics_ratio(const RatioMoments *m, Estimate *out)
{
    double ratio, variance, half;

    if (m->n < 2 || m->mean_y == 0)
        return false;
    ratio = m->mean_x / m->mean_y;
    variance = (m->var_x - 2 * ratio * m->cov_xy + ratio * ratio * m->var_y) / (m->n * m->mean_y * m->mean_y);
    half = STATISTICS_Z * sqrt(fmax(variance, 0)); /* rounding may take it just below 0 */
    *out = (Estimate){ratio, ratio - half, ratio + half};
    return true;
}

bool statistics_proportion(int64_t events, int64_t n, Estimate *out)
{
    double share, z2 = STATISTICS_Z * STATISTICS_Z, centre, half;

    if (n < 1)
        return false;
    share = (double)events / n;
    centre = (share + z2 / (2 * n)) / (1 + z2 / n);
    half = STATISTICS_Z / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4.0 * n * n));
    *out = (Estimate){share, events == 0 ? 0 : centre - half, events == n ? 1 : centre + half};
    return true;
}

void statistics_difference(const Estimate *a, const Estimate *b, Estimate *out, double *p)
{
    double d = a->value - b->value;
    double below = hypot(a->value - a->low, b->high - b->value);
    double above = hypot(a->high - a->value, b->value - b->low);
    double limit = d > 0 ? below : above;

    *out = (Estimate){d, d - below, d + above};
    *p = d == 0 ? 1 : limit == 0 ? 0 : erfc(fabs(d) / limit * STATISTICS_Z / M_SQRT2);
}

double statistics_chi_square_p(double x, int df)
{
    double half = x / 2, sum, term;

    if (!(x > 0))
        return 1;
    if (df % 2 == 0) { /* exp(-x/2) * sum over j < df/2 of (x/2)^j / j! */
        sum = term = exp(-half);
        for (int j = 1; j < df / 2; j++)
            sum += term *= half / j;
        return fmin(sum, 1);
    }
    /* erfc(sqrt(x/2)) + exp(-x/2) * sum over j of (x/2)^(j - 1/2) / Gamma(j + 1/2), 1 <= j <= (df-1)/2 */
    sum = erfc(sqrt(half));
    term = exp(-half) * sqrt(half) / (sqrt(M_PI) / 2);
    for (int j = 1; j <= (df - 1) / 2; j++) {
        sum += term;
        term *= half / (j + 0.5);
    }
    return fmin(sum, 1);
}
