/*
 * rate.h
 *    Rate limits: who may do what how often, counted in shared memory for all fronts together.
 */
#ifndef HAIL_IDENTITY_RATE_H
#define HAIL_IDENTITY_RATE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

typedef enum HailRateClass {
    HAIL_RATE_REPORT,          /* a driver's position reports */
    HAIL_RATE_PORTER_REPORT,   /* what drivers of porter classes may report beyond that */
    HAIL_RATE_TRIP_REQUEST,    /* trips, deliveries and jobs asked for */
    HAIL_RATE_DRIVER_RESPONSE, /* offers accepted or declined, bids */
    HAIL_RATE_TRIP_STATUS,     /* trips and searches looked at */
    HAIL_RATE_PARTNER_ORDER,   /* orders of a partner, by its token or its webhook */
    HAIL_RATE_QUOTE,           /* quotes that are stored */
    HAIL_RATE_ESTIMATE,        /* prices that are only told */
    HAIL_RATE_CLASSES
} HailRateClass;

/*
 * Count one call of `subject` at `now` (hail_now()). Returns 0: allowed; else the microseconds until one is
 * allowed. Allowed too where the class has no limit (its setting is 0) and without shared memory. A bucket
 * forgotten for another's sake is a full one: the limit can only turn out too generous. Takes one LWLock.
 */
extern int64 hail_rate_take(HailRateClass class, const pg_uuid_t *subject, TimestampTz now);

/* A call was refused for this class: counted for hail.rate_limits(). */
extern void hail_rate_note_refused(HailRateClass class);

/* Whole seconds to tell a client that has to wait for so long: 1 or more. */
extern int hail_rate_retry_after_s(int64 wait_us);

#define HAIL_RATE_HINT "Wait as long as the detail says."

/* Error rate_limited with its detail "retry_after_s=N"; `what` is refused, "position reports". */
extern void hail_rate_refuse(const char *what, int64 wait_us) pg_attribute_noreturn();

extern void hail_rate_init(void);

#endif
