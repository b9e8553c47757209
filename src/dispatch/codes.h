/*
 * codes.h
 *    Wrong tries of pickup codes and stops' codes, counted although the calls fail.
 */
#ifndef HAIL_DISPATCH_CODES_H
#define HAIL_DISPATCH_CODES_H

#include "postgres.h"
#include "utils/uuid.h"

/*
 * Wrong tries of this code of a trip (seq 0: its pickup code, else the code of a stop) so far; counted one up
 * with `add`. Another code of the same trip has a count of its own: whoever renews a code allows new tries.
 * The caller holds the trip's row lock. Takes one LWLock.
 */
extern int code_tries(const pg_uuid_t *trip_id, int seq, const char *code, bool add);

extern void code_tries_init(void);

#endif
