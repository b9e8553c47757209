/*
 * The document from the tables; see openapi.h.
 *
 * Rows that share method and path become one operation whose body is one of several objects. Bodies are
 * nested from the dotted names of their parameters.
 */
#include "openapi.h"

#include <stdio.h>
#include <string.h>

#include "error_map.h"
#include "router.h"
#include "values.h"

static _Thread_local bool first_item;

/* A comma before every item but the first of the list begun last. */
static void begin_list(Buffer *out, const char *opening)
{
    buffer_text(out, opening);
    first_item = true;
}

static void item(Buffer *out)
{
    if (!first_item)
        buffer_text(out, ",");
    first_item = false;
}

static void end_list(Buffer *out, const char *closing)
{
    buffer_text(out, closing);
    first_item = false;
}

static void add_enum(Buffer *out, const char *values)
{
    begin_list(out, "{\"type\":\"string\",\"enum\":[");
    for (const char *s = values; s != NULL; s = strchr(s, '|') ? strchr(s, '|') + 1 : NULL) {
        item(out);
        buffer_format(out, "\"%.*s\"", (int)strcspn(s, "|"), s);
    }
    end_list(out, "]");
}

static void add_limits(Buffer *out, const Param *param, const char *low, const char *high)
{
    if (param->min != 0 || param->max != 0)
        buffer_format(out, ",\"%s\":%.15g,\"%s\":%.15g", low, param->min, high, param->max);
}

static void add_fallback(Buffer *out, const Param *param)
{
    bool bare = param->type == TYPE_NUMBER || param->type == TYPE_INTEGER || param->type == TYPE_MONEY ||
                param->type == TYPE_BOOLEAN;

    if (param->fallback != NULL)
        buffer_format(out, bare ? ",\"default\":%s" : ",\"default\":\"%s\"", param->fallback);
}

static void add_schema(Buffer *out, const Route *route, const Param *param)
{
    if (route->choice != NULL && strcmp(route->choice, param->name) == 0) {
        buffer_format(out, "{\"const\":\"%s\"}", route->chosen);
        return;
    }
    switch (param->type) {
    case TYPE_NUMBER:
    case TYPE_INTEGER:
        buffer_format(out, "{\"type\":\"%s\"", param->type == TYPE_NUMBER ? "number" : "integer");
        add_limits(out, param, "minimum", "maximum");
        break;
    case TYPE_MONEY:
        buffer_format(out, "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":%.0f,\"maximum\":%.0f",
                      money_min(param), money_max(param));
        break;
    case TYPE_STRING:
    case TYPE_KEY:
        buffer_text(out, "{\"type\":\"string\"");
        add_limits(out, param, "minLength", "maxLength");
        break;
    case TYPE_UUID:
        buffer_text(out, "{\"type\":\"string\",\"format\":\"uuid\"");
        break;
    case TYPE_BOOLEAN:
        buffer_text(out, "{\"type\":\"boolean\"");
        break;
    case TYPE_ENUM:
        add_enum(out, param->values);
        break;
    case TYPE_DATE:
        buffer_text(out, "{\"type\":\"string\",\"format\":\"date\"");
        break;
    case TYPE_TIMESTAMP:
        buffer_text(out, "{\"type\":\"string\",\"format\":\"date-time\"");
        break;
    case TYPE_STRINGS:
        buffer_text(out, "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"maxLength\":200}");
        add_limits(out, param, "minItems", "maxItems");
        break;
    case TYPE_INTEGERS:
        buffer_text(out, "{\"type\":\"array\",\"items\":{\"type\":\"integer\"}");
        add_limits(out, param, "minItems", "maxItems");
        break;
    case TYPE_GEOJSON:
    case TYPE_JSON:
    case TYPE_OBJECT:
        buffer_text(out, "{\"type\":\"object\"");
        break;
    case TYPE_LIST:
        buffer_text(out, "{\"type\":\"array\",\"items\":{\"type\":\"object\"}");
        add_limits(out, param, "minItems", "maxItems");
        break;
    case TYPE_OBJECTS:
        break;
    }
    add_fallback(out, param);
    if (param->about != NULL) {
        buffer_text(out, ",\"description\":");
        buffer_json_string(out, param->about);
    }
    buffer_text(out, "}");
}

/* Is it the first parameter that begins with this many bytes? A nested object is written once. */
static bool is_first_below(const Route *route, int at, size_t length)
{
    for (int i = 0; i < at; i++)
        if (route->params[i].source == IN_BODY &&
            strncmp(route->params[i].name, route->params[at].name, length) == 0 &&
            strchr(".[", route->params[i].name[length]) != NULL && route->params[i].name[length] != '\0')
            return false;
    return true;
}

static bool any_required_below(const Route *route, const char *prefix, size_t length)
{
    for (int i = 0; i < route_param_count(route); i++)
        if (route->params[i].source == IN_BODY && route->params[i].required &&
            strncmp(route->params[i].name, prefix, length) == 0)
            return true;
    return false;
}

static void add_object(Buffer *out, const Route *route, const char *prefix);

static void add_property(Buffer *out, const Route *route, int at, size_t prefix_length)
{
    const Param *param = &route->params[at];
    const char *name = param->name + prefix_length;
    size_t length = strcspn(name, ".[");
    char below[80];

    if (param->type == TYPE_OBJECTS) {
        item(out);
        buffer_format(out, "\"%s\":{\"type\":\"array\"", name);
        add_limits(out, param, "minItems", "maxItems");
        snprintf(below, sizeof(below), "%s[].", param->name);
        buffer_text(out, ",\"items\":");
        add_object(out, route, below);
        end_list(out, "}");
    } else if (name[length] == '\0') {
        item(out);
        buffer_format(out, "\"%s\":", name);
        add_schema(out, route, param);
        first_item = false;
    } else if (name[length] == '.' && is_first_below(route, at, prefix_length + length)) {
        item(out);
        buffer_format(out, "\"%.*s\":", (int)length, name);
        snprintf(below, sizeof(below), "%.*s.", (int)(prefix_length + length), param->name);
        add_object(out, route, below);
    }
}

/* Members that are taken and not used: of any type. */
static void add_ignored(Buffer *out, const char *names)
{
    for (const char *s = names; s != NULL; s = strchr(s, '|') ? strchr(s, '|') + 1 : NULL) {
        item(out);
        buffer_format(out, "\"%.*s\":{\"description\":\"Not used: meta.ignored names it.\"}",
                      (int)strcspn(s, "|"), s);
    }
}

/* The object made of the body parameters whose names begin with `prefix`. */
static void add_object(Buffer *out, const Route *route, const char *prefix)
{
    size_t length = strlen(prefix);
    int count = route_param_count(route);

    begin_list(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (int i = 0; i < count; i++)
        if (route->params[i].source == IN_BODY && strncmp(route->params[i].name, prefix, length) == 0)
            add_property(out, route, i, length);
    if (length == 0)
        add_ignored(out, route->ignored);
    begin_list(out, "},\"required\":[");
    for (int i = 0; i < count; i++) {
        const char *name;
        size_t own;

        if (route->params[i].source != IN_BODY || strncmp(route->params[i].name, prefix, length) != 0)
            continue;
        name = route->params[i].name + length;
        own = strcspn(name, ".[");
        if (name[own] == '[' || (name[own] == '.' && !is_first_below(route, i, length + own)))
            continue;
        if (name[own] == '.' ? !any_required_below(route, route->params[i].name, length + own + 1)
                             : !route->params[i].required)
            continue;
        item(out);
        buffer_format(out, "\"%.*s\"", (int)own, name);
    }
    end_list(out, "]}");
}

static bool has_body(const Route *route)
{
    for (int i = 0; i < route_param_count(route); i++)
        if (route->params[i].source == IN_BODY)
            return true;
    return false;
}

static bool in_earlier_variant(int first, int row, const char *name)
{
    for (int i = first; i < row; i++)
        for (int p = 0; p < route_param_count(router.routes[i]); p++)
            if (strcmp(router.routes[i]->params[p].name, name) == 0)
                return true;
    return false;
}

static void add_parameters(Buffer *out, int first, int variants)
{
    static const char *const places[] = {[IN_QUERY] = "query", [IN_PATH] = "path", [IN_HEADER] = "header"};

    begin_list(out, ",\"parameters\":[");
    for (int r = first; r < first + variants; r++) {
        for (int i = 0; i < route_param_count(router.routes[r]); i++) {
            const Param *param = &router.routes[r]->params[i];

            if (param->source == IN_BODY || param->source == IN_RAW_BODY || param->source == IN_HEADERS ||
                in_earlier_variant(first, r, param->name))
                continue;
            item(out);
            buffer_format(out, "{\"name\":\"%s\",\"in\":\"%s\",\"required\":%s,\"schema\":", param->name,
                          places[param->source], param->required ? "true" : "false");
            add_schema(out, router.routes[r], param);
            end_list(out, "}");
        }
    }
    if (router.routes[first]->csv != NULL) {
        item(out);
        buffer_text(
            out, "{\"name\":\"format\",\"in\":\"query\",\"required\":false,\"schema\":{\"type\":\"string\","
                 "\"enum\":[\"json\",\"csv\"],\"description\":\"default: as Accept says\"}}");
    }
    end_list(out, "]");
}

static void add_request_body(Buffer *out, int first, int variants)
{
    if (takes_raw_body(router.routes[first])) {
        const char *takes = router.routes[first]->takes;

        buffer_format(out,
                      ",\"requestBody\":{\"required\":true,\"content\":{\"%s\":{\"schema\":"
                      "{\"type\":\"%s\"}}}}",
                      takes != NULL ? takes : "application/json", takes != NULL ? "string" : "object");
    }
    if (!has_body(router.routes[first]))
        return;
    buffer_text(out, ",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{\"schema\":");
    if (variants == 1) {
        add_object(out, router.routes[first], "");
    } else {
        buffer_text(out, "{\"oneOf\":[");
        for (int r = first; r < first + variants; r++) {
            buffer_text(out, r > first ? "," : "");
            add_object(out, router.routes[r], "");
        }
        buffer_text(out, "]}");
    }
    buffer_text(out, "}}}");
}

static void add_header(Buffer *out, const char *name, const char *about)
{
    item(out);
    buffer_format(out, "\"%s\":{\"schema\":{\"type\":\"string\"},\"description\":\"%s\"}", name, about);
}

/* What an answer's headers tell, beside what every answer has. */
static void add_success_headers(Buffer *out, const Route *route)
{
    if (!route->keyed && !route->etag && !route->paged)
        return;
    begin_list(out, ",\"headers\":{");
    if (route->keyed)
        add_header(out, "Idempotency-Replayed", "true: the answer to an earlier request with this key");
    if (route->etag)
        add_header(out, "ETag",
                   "of the data; with If-None-Match the answer is 304 as long as it is the same");
    if (route->paged)
        add_header(out, "Link", "rel=next: the next page, when there is one");
    end_list(out, "}");
}

static void add_success(Buffer *out, const Route *route)
{
    buffer_format(out, ",\"responses\":{\"%d\":{\"description\":\"Success\"",
                  route->status ? route->status : 200);
    add_success_headers(out, route);
    if (route->sql != NULL) {
        buffer_text(
            out,
            ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Success\"}}");
        if (route->shape == RESULT_GEOJSON)
            buffer_text(out, ",\"application/geo+json\":{\"schema\":{\"type\":\"object\"}}");
        if (route->csv != NULL)
            buffer_text(out, ",\"text/csv\":{\"schema\":{\"type\":\"string\"}}");
        buffer_text(out, "}");
    }
    buffer_text(out, "},");
    if (route->etag)
        buffer_text(out, "\"304\":{\"description\":\"Not modified\"},");
    if (route->remedy != NULL)
        buffer_format(out,
                      "\"%d\":{\"description\":\"Failure; with %s, error.details may be an object: what to "
                      "go on with as %s, the fields as errors\","
                      "\"$ref\":\"#/components/responses/Error\"},",
                      hail_error_rows[route->remedy->error].http_status,
                      hail_error_rows[route->remedy->error].code, route->remedy->member);
    buffer_text(out, "\"default\":{\"$ref\":\"#/components/responses/Error\"}}");
}

static void add_operation(Buffer *out, int first, int variants)
{
    const Route *route = router.routes[first];

    buffer_text(out, "\"");
    for (const char *s = route->method; *s; s++)
        buffer_format(out, "%c", *s | 0x20);
    buffer_text(out, "\":{\"summary\":");
    if (variants == 1) {
        buffer_json_string(out, route->summary);
    } else {
        Buffer summary = {0};

        for (int r = first; r < first + variants; r++)
            buffer_format(&summary, "%s%s: %s", r > first ? "; " : "", router.routes[r]->chosen,
                          router.routes[r]->summary);
        buffer_json_string(out, summary.data);
        buffer_free(&summary);
    }
    if (route->roles != NULL)
        buffer_format(out, ",\"security\":[{\"bearer\":[]}],\"x-roles\":\"%s\"", route->roles);
    add_parameters(out, first, variants);
    add_request_body(out, first, variants);
    add_success(out, route);
    buffer_text(out, "}");
}

static void add_path_name(Buffer *out, const char *path)
{
    buffer_text(out, "\"");
    while (*path) {
        size_t n = strcspn(path, ":");

        buffer_add(out, path, n);
        path += n;
        if (*path == ':') {
            n = strcspn(path, "/");
            buffer_format(out, "{%.*s}", (int)n - 1, path + 1);
            path += n;
        }
    }
    buffer_text(out, "\":{");
}

/* Rows of one path need not be neighbours: all its methods are gathered at its first row. */
static void add_path(Buffer *out, int at)
{
    bool first = true;

    add_path_name(out, router.routes[at]->path);
    for (int i = at, variants; i < router.count; i += variants) {
        variants = 1;
        if (strcmp(router.routes[i]->path, router.routes[at]->path) != 0)
            continue;
        while (i + variants < router.count &&
               strcmp(router.routes[i + variants]->path, router.routes[i]->path) == 0 &&
               strcmp(router.routes[i + variants]->method, router.routes[i]->method) == 0)
            variants++;
        buffer_text(out, first ? "" : ",");
        first = false;
        add_operation(out, i, variants);
    }
    buffer_text(out, "}");
}

static bool is_new_path(int at)
{
    for (int i = 0; i < at; i++)
        if (strcmp(router.routes[i]->path, router.routes[at]->path) == 0)
            return false;
    return true;
}

static void add_error_code(Buffer *out, const char *code, int status, bool statuses)
{
    item(out);
    if (statuses)
        buffer_format(out, "\"%s\":%d", code, status);
    else
        buffer_format(out, "\"%s\"", code);
}

static bool in_registry(const char *code)
{
    for (int i = 0; i < HAIL_ERROR_COUNT; i++)
        if (strcmp(hail_error_rows[i].code, code) == 0)
            return true;
    return false;
}

static void add_error_codes(Buffer *out, bool statuses)
{
    for (int i = 0; i < HAIL_ERROR_COUNT; i++)
        add_error_code(out, hail_error_rows[i].code, hail_error_rows[i].http_status, statuses);
    for (int i = 0; i < FRONT_ERROR_COUNT; i++)
        if (!in_registry(error_front((FrontError)i).code)) /* some words both use */
            add_error_code(out, error_front((FrontError)i).code, error_front((FrontError)i).http_status,
                           statuses);
}

static void add_components(Buffer *out)
{
    buffer_text(out,
                "\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
                "\"bearerFormat\":\"JWT\"}},\"schemas\":{\"ErrorCode\":");
    begin_list(out, "{\"type\":\"string\",\"enum\":[");
    add_error_codes(out, false);
    begin_list(out, "],\"x-http-status\":{");
    add_error_codes(out, true);
    end_list(out, "}}");
    buffer_text(
        out,
        ",\"Meta\":{\"type\":\"object\",\"properties\":{\"requestId\":{\"type\":\"string\"},"
        "\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"},\"version\":{\"type\":\"string\"},"
        "\"ignored\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"description\":"
        "\"members of the body that were not used\"}}},"
        "\"Success\":{\"type\":\"object\",\"required\":[\"success\",\"data\",\"meta\"],\"properties\":"
        "{\"success\":{\"const\":true},\"data\":{},\"meta\":{\"$ref\":\"#/components/schemas/Meta\"}}},"
        "\"Failure\":{\"type\":\"object\",\"required\":[\"success\",\"error\",\"meta\"],\"properties\":"
        "{\"success\":{\"const\":false},\"error\":{\"type\":\"object\",\"required\":[\"code\",\"message\","
        "\"details\"],"
        "\"properties\":{\"code\":{\"$ref\":\"#/components/schemas/"
        "ErrorCode\"},\"message\":{\"type\":\"string\"},"
        "\"details\":{\"oneOf\":[{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/"
        "FieldError\"}},"
        "{\"type\":\"object\",\"description\":\"what the operation gives along with this code\"}]},"
        "\"hint\":{\"type\":\"string\"}}},\"meta\":{\"$ref\":\"#/components/schemas/Meta\"}}},"
        "\"FieldError\":{\"type\":\"object\",\"required\":[\"field\",\"message\"],\"properties\":"
        "{\"field\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"}}},"
        "\"Problem\":{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\",\"code\"],"
        "\"properties\":"
        "{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
        "\"detail\":{\"type\":\"string\"},\"code\":{\"$ref\":\"#/components/schemas/ErrorCode\"},"
        "\"requestId\":{\"type\":\"string\"},\"hint\":{\"type\":\"string\"},"
        "\"errors\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/FieldError\"}}}}},"
        "\"responses\":{\"Error\":{\"description\":\"Failure; the code says which\",\"content\":"
        "{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Failure\"}},"
        "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}}");
}

void openapi_render(Buffer *out)
{
    bool first = true;

    buffer_text(
        out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"pg_hail\",\"version\":\"v1\",\"description\":"
             "\"On-demand dispatch: amounts are integers in minor units of their currency, times RFC 3339, "
             "positions degrees (WGS84).\"},\"paths\":{");
    for (int i = 0; i < router.count; i++) {
        if (!is_new_path(i))
            continue;
        buffer_text(out, first ? "" : ",");
        first = false;
        add_path(out, i);
    }
    buffer_text(out, "},");
    add_components(out);
    buffer_text(out, "}");
}
