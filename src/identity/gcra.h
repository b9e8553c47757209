/* gcra.h: the decision of a rate limit. Pure: needs nothing of PostgreSQL. */
#ifndef HAIL_IDENTITY_GCRA_H
#define HAIL_IDENTITY_GCRA_H

#include <stdint.h>

#define GCRA_WINDOW_US INT64_C(60000000) /* limits are per minute, and a minute's worth may come at once */

/*
 * Take one of a bucket that refills by `per_minute` (1 to 60,000) a minute and holds as many. *full_at: when
 * it will be full again, microseconds of the clock that `now` is of; that alone is its state, anything in the
 * past is a full bucket. Returns 0 and counts, or, changing nothing, the microseconds until one is there: at
 * most the time one takes to refill. A *full_at that no taking can have led to (the clock was set back since)
 * is a full bucket too.
 *
 * The generic cell rate algorithm as a virtual schedule: ITU-T I.371 (2004), annex A.
 */
extern int64_t gcra_take(int64_t *full_at, int64_t now, int per_minute);

#endif
