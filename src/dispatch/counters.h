/*
 * counters.h
 *    What matching has done since the server started, for hail.metrics(): atomics in shared memory, which
 * roll back with nothing: work that is undone was done all the same.
 */
#ifndef HAIL_DISPATCH_COUNTERS_H
#define HAIL_DISPATCH_COUNTERS_H

#include "postgres.h"

#include "dispatch/decide.h"

typedef enum DispatchCounter {
    COUNT_ROUNDS,       /* run */
    COUNT_ROUNDS_EMPTY, /* that offered the trip to nobody */
    COUNT_CANDIDATES,   /* scored */
    COUNT_OFFERS,       /* made by rounds */
    COUNT_ACCEPTED,     /* accepts that took the trip */
    COUNT_LOST,         /* accepts that came after another driver's */
    COUNT_REFUSED,      /* accepts refused for any other reason */
    COUNT_GATED,        /* drivers shut out, by gate: COUNT_GATED + gate */
    DISPATCH_COUNTERS = COUNT_GATED + GATE_COUNT
} DispatchCounter;

/* Add to a counter; nothing where the library is not preloaded. No locks, no errors. */
extern void dispatch_count(DispatchCounter counter, int64 n);

extern void dispatch_counters_init(void);

#endif
