/*
 * assign_cost.h
 *    What it costs to give a trip to a driver in a batch, and what to leave it waiting.
 *
 * In seconds of pickup time. Giving a trip to a driver costs the pickup's ETA (with the time until the driver
 * is free, for one about to finish), and a little more or less by the weights below. Leaving it costs
 *
 *     reach_s + wait_weight * seconds waited
 *
 * so that a pair is made at once only when its pickup is near, later also when it is farther; and where
 * drivers are scarce, who has waited longer goes before who has a driver slightly nearer. Pairs that are
 * dearer than leaving the trip are not made at first, in the hope of a nearer driver; once a trip has waited
 * far_after_s they are, but only with drivers nobody has a better use for: such a pair counts as just better
 * than leaving the trip, however far it is. Without that, drivers in remote places stand idle while trips
 * lapse; made at once, each takes a driver away from a nearby trip that comes a moment later.
 *
 * The defaults are what did best in the peak hour of test/bench/matching.c (ASSIGN.md has the figures).
 * Pure. Results are microseconds, for assign.h.
 */
#ifndef HAIL_DISPATCH_ASSIGN_COST_H
#define HAIL_DISPATCH_ASSIGN_COST_H

#include <stdint.h>

/* Weights of a policy. */
typedef struct AssignTerms {
    double reach_s;     /* a trip that has just come takes a pickup of so many seconds */
    double wait_weight; /* and one so many seconds longer for each second it has waited */
    double far_after_s; /* after waiting so long it takes any driver nobody else needs */
    double trip_weight; /* seconds a second of the ride counts for: above 0 short rides go first when drivers
                           are scarce, which serves more customers, and fewer who go far */
    double idle_weight; /* seconds a second without work makes a driver nearer, up to an hour: earnings are
                           spread more evenly; and where drivers have long been idle, trips wait less for a
                           nearer one */
    double decline_s;   /* what an offer that is declined or left costs: about its time to live */
} AssignTerms;

extern const AssignTerms assign_terms_default; /* 150, 0.5, 60, 0, 0.1, 15 */

typedef struct AssignTrip {
    double waited_s; /* since it was requested, earlier searches included */
    double ride_s;   /* expected, pickup to drop-off */
} AssignTrip;

typedef struct AssignPair {
    double eta_s;      /* until the driver can be at the pickup; for one on a trip, the rest of that too */
    double idle_s;     /* since the driver came online or finished the last trip; 0 while on a trip */
    double acceptance; /* share of offers the driver takes, 0 to 1; 1: certain */
} AssignPair;

/*
 * The two costs, to be given to assign_solve(). An edge that costs no less than its trip's unmatched cost is
 * never chosen and need not be given. Times below zero count as 0, above a million seconds and NaN as a
 * million (acceptance: NaN as 0).
 */
extern int64_t assign_edge_cost(const AssignTerms *terms, const AssignTrip *trip, const AssignPair *pair);
extern int64_t assign_unmatched_cost(const AssignTerms *terms, const AssignTrip *trip);

/*
 * The terms for one window of a policy, with so many trips that have any candidate and so many drivers that
 * are one. Where it is quiet (ASSIGN_QUIET trips or fewer, a driver for each) nobody nearer is likely to come
 * free soon: every pair is near. In the model of the peak hour this changes next to nothing; without the
 * limit on trips, pickups get 5 % longer there.
 */
#define ASSIGN_QUIET 3
extern AssignTerms assign_terms_now(const AssignTerms *policy, int trips, int drivers);

#endif
