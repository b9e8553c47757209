/*
 * clock.h
 *    The one clock every rule reads.
 *
 * Normally the wall clock. A superuser may freeze it, move it and run it faster, for tests and replays; the
 * setting lives in shared memory, so all backends and workers of the cluster see the same time (in a server
 * without preload: this backend only).
 */
#ifndef HAIL_BASE_CLOCK_H
#define HAIL_BASE_CLOCK_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* Now, for every rule. Never errors, takes no lock that can wait. */
extern TimestampTz hail_now(void);

/* Wall-clock milliseconds until the clock reads `at`: 0 when past, at most `cap_ms`; cap_ms when frozen. */
extern long hail_ms_until(TimestampTz at, long cap_ms);

extern void hail_clock_init(void);

#endif
