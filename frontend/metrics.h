/*
 * metrics.h
 *    Counters of this process, as Prometheus text.
 */
#ifndef HAILD_METRICS_H
#define HAILD_METRICS_H

#include "memory.h"

typedef enum MetricsCounter {
    METRIC_DB_CONNECTS,
    METRIC_DB_CONNECT_FAILURES,
    METRIC_DB_RETRIES,
    METRIC_DB_POOL_FULL,
    METRIC_MERGED_CALLS,
    METRIC_MERGED_REQUESTS,
    METRIC_COUNTERS
} MetricsCounter;

/* A request began; one ended. `route` is an index into router.routes, -1 for none. */
extern void metrics_begin(void);
extern void metrics_end(int route, int status, double seconds);
extern int metrics_in_flight(void);

extern void metrics_count(MetricsCounter counter);
extern void metrics_add(MetricsCounter counter, int count);
extern void metrics_render(Buffer *out);

#endif
