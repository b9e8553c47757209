/* From method and path to a row; see router.h. */
#include "router.h"

#include <stdio.h>
#include <string.h>

#include "routes/routes.h"
#include "values.h"

Router router;

int timeout_ms(TimeoutClass timeout)
{
    static const int ms[] = {[TIMEOUT_DEFAULT] = 30000,
                             [TIMEOUT_POSITION] = 5000,
                             [TIMEOUT_PRICING] = 10000,
                             [TIMEOUT_REPORT] = 120000};

    return ms[timeout];
}

int route_param_count(const Route *route)
{
    int n = 0;

    while (n < ROUTE_MAX_PARAMS && route->params[n].name != NULL)
        n++;
    return n;
}

bool param_binds(const Route *route, const Param *param)
{
    return param->type != TYPE_OBJECTS && !(route->choice != NULL && strcmp(route->choice, param->name) == 0);
}

bool takes_raw_body(const Route *route)
{
    for (int i = 0; i < route_param_count(route); i++)
        if (route->params[i].source == IN_RAW_BODY)
            return true;
    return false;
}

static bool same_endpoint(const Route *a, const Route *b)
{
    return strcmp(a->method, b->method) == 0 && strcmp(a->path, b->path) == 0;
}

static int bound_count(const Route *route)
{
    int bound = route->merged ? 1 : 0;

    for (int i = 0; i < route_param_count(route); i++)
        bound += param_binds(route, &route->params[i]);
    return bound;
}

/* Every $n up to `count` is used and none beyond. */
static bool sql_uses(const char *sql, int count)
{
    char name[16];

    for (int i = 1; i <= count; i++) {
        snprintf(name, sizeof(name), "$%d", i);
        if (strstr(sql, name) == NULL)
            return false;
    }
    snprintf(name, sizeof(name), "$%d", count + 1);
    return strstr(sql, name) == NULL;
}

static bool ignores_a_param(const Route *route)
{
    for (int i = 0; i < route_param_count(route); i++)
        if (route->params[i].source == IN_BODY && value_in(route->ignored, route->params[i].name))
            return true;
    return false;
}

/* A column that the row promises. */
static bool has_column(const Route *route, const char *name)
{
    return route->sql != NULL && strstr(route->sql, name) != NULL;
}

static bool row_is_sound(const Route *route)
{
    if ((route->sql == NULL) == (route->handler == NULL))
        return false;
    if (route->sql != NULL && !sql_uses(route->sql, bound_count(route)))
        return false;
    if (ignores_a_param(route))
        return false;
    if (route->remedy != NULL && (route->merged || route->remedy->value_count > bound_count(route) ||
                                  !sql_uses(route->remedy->sql, route->remedy->value_count)))
        return false;
    if (route->shape == RESULT_LIST && route->list_name == NULL)
        return false;
    /* A tag would have to tell the two forms apart. */
    if (route->csv != NULL && (route->shape != RESULT_LIST || route->etag))
        return false;
    if (route->takes != NULL && !takes_raw_body(route))
        return false;
    if ((route->choice == NULL) != (route->chosen == NULL))
        return false;
    if ((route->keyed && !has_column(route, "replayed")) || (route->etag && !has_column(route, "etag")) ||
        (route->paged && (!has_column(route, "next_cursor") || route->shape != RESULT_LIST)))
        return false;
    if (route->merged && (route->shape != RESULT_ROW || !route->repeatable || route->choice != NULL))
        return false;
    return true;
}

/* Rows of one endpoint stand together and are told apart by a choice. */
static bool row_is_alone(const Route *route)
{
    for (int i = 0; i < router.count; i++) {
        const Route *other = router.routes[i];
        bool neighbour = i == router.count - 1 || same_endpoint(router.routes[i + 1], route);

        if (same_endpoint(route, other) && !(neighbour && route->choice != NULL && other->choice != NULL))
            return false;
    }
    return true;
}

bool router_init(void)
{
    static const Route *const tables[] = {identity_routes,      fleet_routes,         live_routes,
                                          geofence_routes,      history_routes,       pricing_routes,
                                          pricing_surge_routes, pricing_admin_routes, pricing_figures_routes,
                                          dispatch_routes,      job_routes,           dispatch_admin_routes,
                                          wallet_routes,        payment_routes,       trip_money_routes,
                                          gateway_routes,       withdrawal_routes,    ledger_admin_routes,
                                          ledger_report_routes, fraud_routes,         operations_routes};

    router.count = 0;
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const Route *route = tables[t]; route->method != NULL; route++) {
            if (router.count == ROUTER_MAX_ROUTES || !row_is_sound(route) || !row_is_alone(route)) {
                fprintf(stderr, "haild: the row of %s %s contradicts itself\n", route->method, route->path);
                return false;
            }
            router.routes[router.count++] = route;
        }
    }
    return true;
}

/* Does the path fit the pattern? Fills the path values. */
static bool path_fits(const char *pattern, const char *path, PathValues *values)
{
    values->count = 0;
    for (;;) {
        if (*pattern == ':') {
            size_t name = strcspn(pattern, "/"), value = strcspn(path, "/");

            if (value == 0 || values->count == ROUTE_MAX_SEGMENTS)
                return false;
            values->name[values->count] = pattern + 1;
            values->value[values->count] = path;
            values->length[values->count++] = value;
            pattern += name;
            path += value;
        }
        if (*pattern != *path)
            return false;
        if (*pattern == '\0')
            return true;
        pattern++;
        path++;
    }
}

static void add_method(char *allow, size_t size, const char *method)
{
    size_t length = strlen(allow);

    if (strstr(allow, method) == NULL)
        snprintf(allow + length, size - length, "%s%s", length ? ", " : "", method);
}

Found router_find(const char *method, const char *path, int *first, int *variants, PathValues *values,
                  char *allow, size_t allow_size)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    const char *pattern = NULL;

    allow[0] = '\0';
    for (int i = 0; i < router.count; i++) {
        const Route *route = router.routes[i];

        /* The first pattern that fits owns the path: a table lists "/trips/request" before "/trips/:id". */
        if (pattern != NULL ? strcmp(route->path, pattern) != 0 : !path_fits(route->path, path, values))
            continue;
        pattern = route->path;
        if (strcmp(route->method, wanted) != 0) {
            add_method(allow, allow_size, route->method);
            continue;
        }
        *first = i;
        *variants = 1;
        while (i + *variants < router.count && same_endpoint(route, router.routes[i + *variants]))
            (*variants)++;
        return FOUND;
    }
    if (allow[0] == '\0')
        return FOUND_NO_PATH;
    if (strstr(allow, "GET") != NULL)
        add_method(allow, allow_size, "HEAD");
    add_method(allow, allow_size, "OPTIONS");
    return FOUND_NO_METHOD;
}
