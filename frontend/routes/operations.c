/* Endpoints of operations: health, metrics, the API's own description, which need no token; the engine's
 * checks and figures, which do. */
#include "routes/routes.h"

#include "metrics.h"
#include "openapi.h"
#include "response.h"

/* Alive: the process answers. Never touches the database. */
static void health_live(Request *request)
{
    respond_data(request, 200, "{\"status\":\"ok\"}");
}

/* Ready: the database answers and its live index is complete. */
static void health_ready(Request *request)
{
    const char *fault = db_probe("SELECT NOT hail.live_warming()");

    if (fault == NULL)
        respond_data(request, 200, "{\"status\":\"ok\"}");
    else
        respond_error(request, error_front(FRONT_UNAVAILABLE), fault, NULL);
}

static void metrics(Request *request)
{
    Buffer text = {0};

    metrics_render(&text);
    respond_plain(request, 200, "text/plain; version=0.0.4; charset=utf-8", text.data);
    buffer_free(&text);
}

static void openapi(Request *request)
{
    Buffer text = {0};

    openapi_render(&text);
    respond_plain(request, 200, "application/json", text.data);
    buffer_free(&text);
}

const Route operations_routes[] = {
    {.method = "GET", .path = "/health/live", .summary = "The process answers", .handler = health_live},
    {.method = "GET", .path = "/health", .summary = "Able to serve", .handler = health_ready},
    {.method = "GET", .path = "/health/ready", .summary = "Able to serve", .handler = health_ready},
    {.method = "GET", .path = "/health/startup", .summary = "Started up", .handler = health_ready},
    {.method = "GET", .path = "/metrics", .summary = "Counters for Prometheus", .handler = metrics},
    {.method = "GET", .path = "/openapi.json", .summary = "This document", .handler = openapi},
    {.method = "GET",
     .path = API "/admin/check",
     .summary = "Is all well: one row an area",
     .sql = "SELECT row_to_json(t) FROM hail.check() t",
     .shape = RESULT_LIST,
     .list_name = "checks",
     .roles = "admin",
     .read_only = true,
     .timeout = TIMEOUT_REPORT},
    {.method = "GET",
     .path = API "/admin/metrics",
     .summary = "Figures of the engine",
     .sql = "SELECT row_to_json(t) FROM hail.metrics() t",
     .shape = RESULT_LIST,
     .list_name = "metrics",
     .roles = "admin analyst",
     .read_only = true,
     .timeout = TIMEOUT_REPORT},
    {0},
};
