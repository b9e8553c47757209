/* Counters without locks: each is one atomic; see metrics.h. */
#include "metrics.h"

#include <stdatomic.h>
#include <stdint.h>

#include "router.h"

static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
#define BUCKETS ((int)(sizeof(bounds) / sizeof(bounds[0])))

static const int statuses[] = {200, 201, 204, 304, 400, 401, 403, 404, 405,
                               409, 413, 415, 422, 429, 431, 500, 503, 504};
#define STATUSES ((int)(sizeof(statuses) / sizeof(statuses[0])))

/* The last row counts requests that found no route. */
static atomic_uint_fast64_t by_status[ROUTER_MAX_ROUTES + 1][STATUSES];
static atomic_uint_fast64_t by_time[ROUTER_MAX_ROUTES + 1][BUCKETS + 1];
static atomic_uint_fast64_t microseconds[ROUTER_MAX_ROUTES + 1];
static atomic_uint_fast64_t counters[METRIC_COUNTERS];
static atomic_int in_flight;

#define ADD(counter, n) atomic_fetch_add_explicit(&(counter), (n), memory_order_relaxed)
#define GET(counter)    ((unsigned long long)atomic_load_explicit(&(counter), memory_order_relaxed))

void metrics_begin(void)
{
    atomic_fetch_add(&in_flight, 1);
}

int metrics_in_flight(void)
{
    return atomic_load(&in_flight);
}

void metrics_count(MetricsCounter counter)
{
    metrics_add(counter, 1);
}

void metrics_add(MetricsCounter counter, int count)
{
    ADD(counters[counter], (uint_fast64_t)count);
}

void metrics_end(int route, int status, double seconds)
{
    int row = route < 0 ? ROUTER_MAX_ROUTES : route;
    int bucket = 0;

    for (int i = 0; i < STATUSES; i++)
        if (statuses[i] == status)
            ADD(by_status[row][i], 1);
    while (bucket < BUCKETS && seconds > bounds[bucket])
        bucket++;
    ADD(by_time[row][bucket], 1);
    ADD(microseconds[row], (uint_fast64_t)(seconds * 1e6));
    atomic_fetch_sub(&in_flight, 1);
}

static void label_route(Buffer *out, int row)
{
    const Route *route = row < ROUTER_MAX_ROUTES ? router.routes[row] : NULL;

    buffer_format(out, "method=\"%s\",route=\"%s\"", route ? route->method : "", route ? route->path : "");
    if (route != NULL && route->choice != NULL)
        buffer_format(out, ",%s=\"%s\"", route->choice, route->chosen);
}

static void render_requests(Buffer *out, int row)
{
    for (int i = 0; i < STATUSES; i++) {
        if (GET(by_status[row][i]) == 0)
            continue;
        buffer_text(out, "hail_http_requests_total{");
        label_route(out, row);
        buffer_format(out, ",status=\"%d\"} %llu\n", statuses[i], GET(by_status[row][i]));
    }
}

static void render_times(Buffer *out, int row)
{
    unsigned long long total = 0;

    for (int i = 0; i <= BUCKETS; i++)
        total += GET(by_time[row][i]);
    if (total == 0)
        return;
    total = 0;
    for (int i = 0; i <= BUCKETS; i++) {
        total += GET(by_time[row][i]);
        buffer_text(out, "hail_http_request_seconds_bucket{");
        label_route(out, row);
        if (i < BUCKETS)
            buffer_format(out, ",le=\"%g\"} %llu\n", bounds[i], total);
        else
            buffer_format(out, ",le=\"+Inf\"} %llu\n", total);
    }
    buffer_text(out, "hail_http_request_seconds_sum{");
    label_route(out, row);
    buffer_format(out, "} %.6f\nhail_http_request_seconds_count{", (double)GET(microseconds[row]) / 1e6);
    label_route(out, row);
    buffer_format(out, "} %llu\n", total);
}

static void render_counter(Buffer *out, MetricsCounter counter, const char *name, const char *help)
{
    buffer_format(out, "# HELP %s %s\n# TYPE %s counter\n%s %llu\n", name, help, name, name,
                  GET(counters[counter]));
}

void metrics_render(Buffer *out)
{
    buffer_text(
        out, "# HELP hail_http_requests_total Requests answered.\n# TYPE hail_http_requests_total counter\n");
    for (int i = 0; i <= ROUTER_MAX_ROUTES; i++)
        if (i < router.count || i == ROUTER_MAX_ROUTES)
            render_requests(out, i);
    buffer_text(out, "# HELP hail_http_request_seconds Time from request to answer.\n"
                     "# TYPE hail_http_request_seconds histogram\n");
    for (int i = 0; i <= ROUTER_MAX_ROUTES; i++)
        if (i < router.count || i == ROUTER_MAX_ROUTES)
            render_times(out, i);
    buffer_format(out,
                  "# HELP hail_http_in_flight Requests being answered.\n# TYPE hail_http_in_flight gauge\n"
                  "hail_http_in_flight %d\n",
                  metrics_in_flight());
    render_counter(out, METRIC_DB_CONNECTS, "hail_db_connects_total", "Connections made to the database.");
    render_counter(out, METRIC_DB_CONNECT_FAILURES, "hail_db_connect_failures_total",
                   "Attempts that failed.");
    render_counter(out, METRIC_DB_RETRIES, "hail_db_retries_total", "Calls sent to the database again.");
    render_counter(out, METRIC_DB_POOL_FULL, "hail_db_pool_full_total",
                   "Requests refused: no free connection.");
    render_counter(out, METRIC_MERGED_CALLS, "hail_merged_calls_total",
                   "Calls that merged requests have shared.");
    render_counter(out, METRIC_MERGED_REQUESTS, "hail_merged_requests_total", "Requests they were for.");
}
