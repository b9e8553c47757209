/*
 * record.h
 *    One row of hail.match_rounds for each round: who was looked at, what was known of them, who was passed
 * over and why. What the rules made of it is not kept but decided again from it, under whatever policy.
 */
#ifndef HAIL_DISPATCH_RECORD_H
#define HAIL_DISPATCH_RECORD_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "dispatch/matching.h"

/* So many of each are kept of a round: the row must fit a page. The counts count all. */
#define RECORD_MAX_CANDIDATES 120
#define RECORD_MAX_PASSED     LIVE_PASSED_MAX

typedef struct RoundRecord {
    int round;           /* trips.round */
    int round_in_search; /* from 1 */
    TimestampTz at;
    int wanted, offers;      /* drivers to be offered the trip at most; who were */
    const MatchField *field; /* decided: best first */
} RoundRecord;

/*
 * Write it, straight into the day's partition: one heap row and one index entry. In a transaction; the trip's
 * row is locked. Errors: as an INSERT.
 */
extern void record_round(const MatchTrip *trip, const RoundRecord *record);

#endif
