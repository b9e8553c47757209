/* Costs of a batch; see assign_cost.h. */
#include "dispatch/assign_cost.h"

#include <math.h>

#define LONGEST_S 1e6  /* nothing counts for more; a little below, in microseconds, ASSIGN_COST_MAX */
#define IDLE_S    3600 /* nor idle time for more than this */
#define FAR_S     1.0 /* by less than this a far pair is better than none: never worth more than a near one */

const AssignTerms assign_terms_default = {
    .reach_s = 150, .wait_weight = 0.5, .far_after_s = 60, .idle_weight = 0.1, .decline_s = 15};

/* Within 0 .. most; NaN as the most. */
static double clamped(double value, double most)
{
    if (!(value < most))
        return most;
    return value > 0 ? value : 0;
}

static int64_t microseconds(double seconds)
{
    return (int64_t)llround(fmax(-LONGEST_S, fmin(LONGEST_S, seconds)) * 1e6);
}

static double unmatched_s(const AssignTerms *terms, const AssignTrip *trip)
{
    return fmin(terms->reach_s + terms->wait_weight * clamped(trip->waited_s, LONGEST_S), LONGEST_S);
}

int64_t assign_edge_cost(const AssignTerms *terms, const AssignTrip *trip, const AssignPair *pair)
{
    double acceptance = pair->acceptance > 0 ? fmin(pair->acceptance, 1) : 0;
    double none = unmatched_s(terms, trip);
    double cost = clamped(pair->eta_s, LONGEST_S) + terms->decline_s * (1 - acceptance) +
                  terms->trip_weight * clamped(trip->ride_s, LONGEST_S);

    if (pair->idle_s > 0)
        cost -= terms->idle_weight * fmin(pair->idle_s, IDLE_S);
    if (cost > none - FAR_S && clamped(trip->waited_s, LONGEST_S) >= terms->far_after_s)
        cost = none - FAR_S * (1 - clamped(cost, LONGEST_S) / (2 * LONGEST_S));
    return microseconds(cost);
}

int64_t assign_unmatched_cost(const AssignTerms *terms, const AssignTrip *trip)
{
    return microseconds(unmatched_s(terms, trip));
}

AssignTerms assign_terms_now(const AssignTerms *policy, int trips, int drivers)
{
    AssignTerms terms = *policy;

    if (trips <= ASSIGN_QUIET && trips <= drivers)
        terms.reach_s = LONGEST_S / 2;
    return terms;
}
