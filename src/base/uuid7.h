/* uuid7.h: UUID version 7 (RFC 9562, section 5.7) on the wall clock. */
#ifndef HAIL_BASE_UUID7_H
#define HAIL_BASE_UUID7_H

#include "postgres.h"
#include "utils/uuid.h"

/*
 * A new UUID v7: 48 bits of Unix milliseconds, then 12 bits of sub-millisecond time (method 3 of RFC 9562,
 * section 6.2, so that ids of one backend ascend), then 62 random bits. Errors when the system has no
 * randomness to give.
 */
extern void hail_uuid7(pg_uuid_t *out);

#endif
