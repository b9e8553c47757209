/*
 * policy.h
 *    What matching and requests go by and what seldom changes: policies, service classes. Each
 * backend keeps a copy (base/kept.h); what is returned is valid until the transaction ends.
 */
#ifndef HAIL_DISPATCH_POLICY_H
#define HAIL_DISPATCH_POLICY_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "dispatch/decide.h"
#include "dispatch/matching.h"
#include "dispatch/strategy.h"

/* A row of hail.dispatch_policies. Spans in microseconds. */
typedef struct DispatchPolicy {
    int id, region_id;      /* region_id 0: every region */
    char service[16];       /* empty: every one */
    TimestampTz from, to;   /* in force from (included) to (not included) */
    DecideContext rules;    /* all of it but favourites_first and what belongs to a round */
    StrategyTerms strategy; /* all of it but the kind */
    int max_pending_offers, candidates;
    int64 retry_after_us, recent_span_us, patience_us, schedule_ahead_us, schedule_max_us;
    int64 wallet_floor;               /* minor units; PG_INT64_MIN: none but the account's own */
    double radius_m[MATCH_MAX_RADII]; /* strategy.radius_count of them */
    char schedule_max[64];            /* in words */
} DispatchPolicy;

/* A row of hail.service_classes. */
typedef struct ClassTerms {
    int id;
    char code[64], service[16];
    int64 higher; /* bits of the higher classes of the same ladder */
} ClassTerms;

/* By id, error when there is none. */
extern const DispatchPolicy *policy_get(int id);

/* By code. */
extern const ClassTerms *policy_class(const char *code);

/* The policy for a region and service at a time: of both, else of the region, else of the service, else the
 * general one. Error when there is none. */
extern const DispatchPolicy *policy_in_force(int region_id, const char *service, TimestampTz at);

/* Bits of the preferred areas that a valid place lies in. Inside SPI, as hail_owner. */
extern uint64 policy_areas_at(double lat, double lng);

/* Put what the policy says of matching into a trip whose strategy's kind and class are known. */
extern void policy_apply(const DispatchPolicy *policy, const ClassTerms *class, MatchTrip *trip);

#endif
