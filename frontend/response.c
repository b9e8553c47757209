/* Answers; see response.h. */
#include "response.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "csv.h"
#include "json_case.h"
#include "log.h"

#define API_VERSION "v1"

/* Of pg_type. */
#define TYPE_OID_BOOL 16
#define TYPE_OID_INT4 23

/*
 * What not every role sees (src/dispatch/accept.c, src/pricing/quote_view.c): the database blanks it, and a
 * blank is left out, so that an answer tells nobody what there is to hide.
 */
static const char *const unseen[] = {"commission_bp",
                                     "hold_id",
                                     "policy_id",
                                     "rounds_before",
                                     "next_round_at",
                                     "pooled_at",
                                     "excluded_drivers",
                                     "code_attempts",
                                     "backup_driver_id",
                                     "variant_id",
                                     "variant_multiplier",
                                     "fare_id",
                                     "per_km",
                                     "per_minute",
                                     "minimum_fare",
                                     "rounding",
                                     "support",
                                     "commission",
                                     "refunded_shared",
                                     "commission_back",
                                     "promotion_back",
                                     "requested_by",
                                     "decided_by",
                                     "settled_by",
                                     "fee",
                                     "intent_id",
                                     NULL};

static atomic_bool draining;

void response_set_draining(void)
{
    atomic_store(&draining, true);
}

bool origin_is_allowed(const Request *request)
{
    const char *origin = mg_get_header(request->connection, "Origin");

    for (int i = 0; origin != NULL && i < request->config->origin_count; i++)
        if (strcmp(origin, request->config->origins[i]) == 0)
            return true;
    return false;
}

/* As civetweb decides it: the client's wish, else what its HTTP version means. */
static bool keeps_alive(const Request *request)
{
    const char *connection = mg_get_header(request->connection, "Connection");

    if (request->close || atomic_load_explicit(&draining, memory_order_relaxed))
        return false;
    if (connection != NULL)
        return strcasestr(connection, "keep-alive") != NULL;
    return request->info->http_version != NULL && strcmp(request->info->http_version, "1.1") == 0;
}

/* What of the request, beside its path, the answer depends on. */
static void add_vary(const Request *request)
{
    bool origin = request->config->origin_count > 0;
    bool accept =
        request->route != NULL && (request->route->shape == RESULT_GEOJSON || request->route->csv != NULL);

    if (origin || accept)
        buffer_format(request->head_out, "Vary: %s%s%s\r\n", origin ? "Origin" : "",
                      origin && accept ? ", " : "", accept ? "Accept" : "");
}

/* Send head and body in one write. `extra` holds further header lines, each with its CRLF. */
static void send_answer(Request *request, int status, const char *content_type, const char *extra)
{
    Buffer *head = request->head_out, *body = request->body_out;
    bool alive = keeps_alive(request), has_content = status != 204 && status != 304;

    buffer_reset(head);
    buffer_format(head, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    if (has_content)
        buffer_format(head, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, body->length);
    buffer_text(head, alive ? "Connection: keep-alive\r\nRequest-Id: " : "Connection: close\r\nRequest-Id: ");
    buffer_text(head, request->id);
    buffer_text(head, "\r\n"
                      "X-Content-Type-Options: nosniff\r\n"
                      "X-Frame-Options: DENY\r\n"
                      "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
    buffer_format(head, "Cache-Control: %s\r\n",
                  request->cache_control != NULL ? request->cache_control : "no-store");
    add_vary(request);
    if (origin_is_allowed(request))
        buffer_format(
            head,
            "Access-Control-Allow-Origin: %s\r\n"
            "Access-Control-Expose-Headers: Request-Id, Retry-After, RateLimit, RateLimit-Policy, Allow, "
            "Idempotency-Replayed, ETag, Link, Content-Disposition\r\n",
            mg_get_header(request->connection, "Origin"));
    buffer_text(head, extra);
    buffer_text(head, "\r\n");
    if (!alive)
        mg_disable_connection_keep_alive(request->connection);
    if (has_content && strcmp(request->info->request_method, "HEAD") != 0)
        buffer_add(head, body->data ? body->data : "", body->length);
    mg_write(request->connection, head->data, head->length);
    request->status = status;
}

/* What the body held that is not used, if anything. */
static void add_ignored(Request *request)
{
    for (int i = 0; i < request->ignored_count; i++) {
        buffer_text(request->body_out, i > 0 ? "," : ",\"ignored\":[");
        buffer_json_string(request->body_out, request->ignored[i]);
    }
    if (request->ignored_count > 0)
        buffer_text(request->body_out, "]");
}

static void add_meta(Request *request)
{
    static _Thread_local time_t second;
    static _Thread_local char stamp[32];
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second || stamp[0] == '\0') {
        struct tm utc;

        gmtime_r(&now.tv_sec, &utc);
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
        second = now.tv_sec;
    }
    buffer_format(request->body_out,
                  ",\"meta\":{\"requestId\":\"%s\",\"timestamp\":\"%s.%03ldZ\",\"version\":\"" API_VERSION
                  "\"",
                  request->id, stamp, now.tv_nsec / 1000000);
    add_ignored(request);
    buffer_text(request->body_out, "}}");
}

void respond_plain(Request *request, int status, const char *content_type, const char *body)
{
    buffer_reset(request->body_out);
    buffer_text(request->body_out, body ? body : "");
    send_answer(request, status, content_type, "");
}

void respond_data(Request *request, int status, const char *json)
{
    buffer_reset(request->body_out);
    buffer_text(request->body_out, "{\"success\":true,\"data\":");
    buffer_text(request->body_out, json);
    add_meta(request);
    send_answer(request, status, "application/json", "");
}

static void add_value(Buffer *out, const PGresult *rows, int row)
{
    if (PQgetisnull(rows, row, 0))
        buffer_text(out, "null");
    else
        json_camel_case(out, PQgetvalue(rows, row, 0), (size_t)PQgetlength(rows, row, 0), unseen);
}

/* A column's text in a row; NULL when there is no such row, or SQL NULL. */
static const char *column_text(const PGresult *rows, int row, const char *column)
{
    int number = PQfnumber(rows, column);

    if (row < 0 || row >= PQntuples(rows) || number < 0 || PQgetisnull(rows, row, number))
        return NULL;
    return PQgetvalue(rows, row, number);
}

/* RFC 9110: a list of entity tags, compared weakly (W/ counts for nothing), or * for any. */
static bool tag_is_listed(const char *list, const char *tag)
{
    size_t length = strlen(tag);

    while (list != NULL && *list != '\0') {
        size_t name;

        list += strspn(list, " \t,");
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        if (*list != '"')
            return false;
        name = strcspn(++list, "\"");
        if (list[name] == '"' && name == length && memcmp(list, tag, length) == 0)
            return true;
        list += name;
        list += *list == '"';
    }
    return false;
}

static void add_query_text(Buffer *out, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text; text++) {
        if (strchr(plain, *text) != NULL)
            buffer_add(out, text, 1);
        else
            buffer_format(out, "%%%02X", (unsigned char)*text);
    }
}

/* RFC 8288: the same request with another cursor. */
static void add_next_link(Request *request, Buffer *headers, const char *cursor)
{
    buffer_format(headers, "Link: <%s?", request->info->local_uri_raw);
    for (int i = 0; i < request->query_count; i++) {
        if (strcmp(request->query[i].name, "cursor") == 0)
            continue;
        add_query_text(headers, request->query[i].name);
        buffer_text(headers, "=");
        add_query_text(headers, request->query[i].value);
        buffer_text(headers, "&");
    }
    buffer_format(headers, "cursor=%s>; rel=\"next\"\r\n", cursor);
}

/* The headers that columns of the rows stand for; see Route. Returns false after answering 304. */
static bool add_column_headers(Request *request, const PGresult *rows, Buffer *headers)
{
    const Route *route = request->route;
    const char *replayed = route->keyed ? column_text(rows, 0, "replayed") : NULL;
    const char *tag = route->etag ? column_text(rows, 0, "etag") : NULL;
    const char *next = route->paged ? column_text(rows, PQntuples(rows) - 1, "next_cursor") : NULL;

    if (replayed != NULL && replayed[0] == 't')
        buffer_text(headers, "Idempotency-Replayed: true\r\n");
    if (next != NULL)
        add_next_link(request, headers, next);
    if (tag == NULL)
        return true;
    /* Kept by its reader alone, and asked for again each time. */
    request->cache_control = "private, no-cache";
    buffer_format(headers, "ETag: \"%s\"\r\n", tag);
    if (!tag_is_listed(mg_get_header(request->connection, "If-None-Match"), tag))
        return true;
    buffer_reset(request->body_out);
    send_answer(request, 304, "", headers->data);
    return false;
}

static void add_list(Request *request, const PGresult *rows)
{
    const Route *route = request->route;
    Buffer *out = request->body_out;
    int count = PQntuples(rows);

    buffer_format(out, "{\"%s\":[", route->list_name);
    for (int i = 0; i < count; i++) {
        if (i > 0)
            buffer_add(out, ",", 1);
        add_value(out, rows, i);
    }
    buffer_text(out, "]");
    if (route->paged) {
        const char *next = column_text(rows, count - 1, "next_cursor");

        buffer_format(out, ",\"hasMore\":%s,\"nextCursor\":", next != NULL ? "true" : "false");
        if (next != NULL)
            buffer_json_string(out, next);
        else
            buffer_text(out, "null");
    }
    buffer_text(out, "}");
}

/* What follows a page of CSV says the header Link alone. */
static void send_csv(Request *request, const PGresult *rows, const char *headers)
{
    const Route *route = request->route;
    Buffer *out = request->body_out;

    csv_header(out, route->csv);
    for (int i = 0; i < PQntuples(rows); i++)
        csv_record(out, route->csv, PQgetvalue(rows, i, 0), (size_t)PQgetlength(rows, i, 0));
    send_answer(request, route->status ? route->status : 200, "text/csv; charset=utf-8; header=present",
                arena_format(request->arena, "%sContent-Disposition: attachment; filename=\"%s.csv\"\r\n",
                             headers, route->list_name));
}

static void send_rows(Request *request, const PGresult *rows, const char *headers)
{
    const Route *route = request->route;
    Buffer *out = request->body_out;
    int status = route->status ? route->status : 200;

    buffer_reset(out);
    if (route->shape == RESULT_GEOJSON && request_accepts(request, "application/geo+json")) {
        add_value(out, rows, 0);
        send_answer(request, status, "application/geo+json", headers);
        return;
    }
    if (request_wants_csv(request)) {
        send_csv(request, rows, headers);
        return;
    }
    buffer_text(out, "{\"success\":true,\"data\":");
    if (route->shape == RESULT_LIST)
        add_list(request, rows);
    else
        add_value(out, rows, 0);
    add_meta(request);
    send_answer(request, status, "application/json", headers);
}

void respond_rows(Request *request, const PGresult *rows)
{
    Buffer headers = {0};

    if (request->route->shape != RESULT_LIST && PQntuples(rows) == 0) {
        respond_error(request, error_registry(HAIL_NOT_FOUND), "not found", NULL);
        return;
    }
    if (add_column_headers(request, rows, &headers))
        send_rows(request, rows, headers.data != NULL ? headers.data : "");
    buffer_free(&headers);
}

/* A column's value as JSON: numbers and truth as such, all else as text. */
static void add_column(Buffer *out, const PGresult *rows, int row, int column)
{
    const char *value = PQgetvalue(rows, row, column);

    if (PQgetisnull(rows, row, column))
        buffer_text(out, "null");
    else if (PQftype(rows, column) == TYPE_OID_BOOL)
        buffer_text(out, value[0] == 't' ? "true" : "false");
    else if (PQftype(rows, column) == TYPE_OID_INT4)
        buffer_text(out, value);
    else
        buffer_json_string(out, value);
}

void respond_columns(Request *request, const PGresult *rows, int row, int first)
{
    const Route *route = request->route;
    Buffer *out = request->body_out;

    buffer_reset(out);
    buffer_text(out, "{\"success\":true,\"data\":");
    for (int column = first; column < PQnfields(rows); column++) {
        const char *name = PQfname(rows, column);

        buffer_text(out, column == first ? "{\"" : ",\"");
        json_camel_name(out, name, strlen(name));
        buffer_add(out, "\":", 2);
        add_column(out, rows, row, column);
    }
    buffer_add(out, "}", 1);
    add_meta(request);
    send_answer(request, route->status ? route->status : 200, "application/json", "");
}

static void add_remedy(Request *request)
{
    buffer_format(request->body_out, "\"%s\":", request->route->remedy->member);
    json_camel_case(request->body_out, request->remedy, strlen(request->remedy), unseen);
}

static void add_field_errors(Request *request)
{
    Buffer *out = request->body_out;

    buffer_text(out, "[");
    for (int i = 0; i < request->error_count; i++) {
        buffer_text(out, i ? ",{\"field\":" : "{\"field\":");
        buffer_json_string(out, request->errors[i].field);
        buffer_text(out, ",\"message\":");
        buffer_json_string(out, request->errors[i].message);
        buffer_text(out, "}");
    }
    buffer_text(out, "]");
}

/* A list of fields; with a remedy, an object that holds it and the list as `errors`. */
static void add_details(Request *request)
{
    if (request->remedy == NULL) {
        add_field_errors(request);
        return;
    }
    buffer_text(request->body_out, "{");
    add_remedy(request);
    buffer_text(request->body_out, ",\"errors\":");
    add_field_errors(request);
    buffer_text(request->body_out, "}");
}

/* RFC 9457. The type is the code word, under the path that lists them all. */
static void add_problem(Request *request, ErrorKind kind, const char *message, const char *hint)
{
    Buffer *out = request->body_out;

    buffer_format(out, "{\"type\":\"/openapi.json#%s\",\"title\":\"%s\",\"status\":%d,\"detail\":", kind.code,
                  http_status_text(kind.http_status), kind.http_status);
    buffer_json_string(out, message);
    buffer_format(out, ",\"code\":\"%s\",\"requestId\":\"%s\",\"errors\":", kind.code, request->id);
    add_field_errors(request);
    if (request->remedy != NULL) {
        buffer_text(out, ",");
        add_remedy(request);
    }
    add_ignored(request);
    if (hint != NULL) {
        buffer_text(out, ",\"hint\":");
        buffer_json_string(out, hint);
    }
    buffer_text(out, "}");
}

static void send_error(Request *request, ErrorKind kind, const char *message, const char *hint,
                       const char *extra)
{
    Buffer *out = request->body_out;

    buffer_reset(out);
    if (request_accepts(request, "application/problem+json")) {
        add_problem(request, kind, message, hint);
        send_answer(request, kind.http_status, "application/problem+json", extra);
        return;
    }
    buffer_format(out, "{\"success\":false,\"error\":{\"code\":\"%s\",\"message\":", kind.code);
    buffer_json_string(out, message);
    buffer_text(out, ",\"details\":");
    add_details(request);
    if (hint != NULL) {
        buffer_text(out, ",\"hint\":");
        buffer_json_string(out, hint);
    }
    buffer_text(out, "}");
    add_meta(request);
    send_answer(request, kind.http_status, "application/json", extra);
}

/*
 * The headers of a 429: draft-ietf-httpapi-ratelimit-headers-10. A route of a rate class names that; position
 * reports have a minute's quota for drivers and one for those who also serve porter classes: which of them
 * the caller is, is the database's business, and whoever is refused has used up the first.
 */
static void rate_headers(char *extra, size_t size, const Route *route, int retry_after_s)
{
    const char *name = route != NULL && route->rate != NULL ? route->rate : "driver";
    int n = snprintf(extra, size, "Retry-After: %d\r\nRateLimit: \"%s\";r=0;t=%d\r\n", retry_after_s, name,
                     retry_after_s);
    int quota = db_rate(RATE_REPORT), porter = db_rate(RATE_PORTER_REPORT);

    if (route != NULL && route->rate != NULL) {
        porter = quota = 0;
        for (int i = 0; i < RATE_COUNT; i++)
            if (strcmp(db_rate_name((DbRate)i), name) == 0)
                quota = db_rate((DbRate)i);
    }
    if (quota > 0 && porter > 0)
        snprintf(extra + n, size - (size_t)n,
                 "RateLimit-Policy: \"driver\";q=%d;w=60, \"porter\";q=%d;w=60\r\n", quota, porter);
    else if (quota > 0)
        snprintf(extra + n, size - (size_t)n, "RateLimit-Policy: \"%s\";q=%d;w=60\r\n", name, quota);
}

static void respond_failure(Request *request, ErrorKind kind, const char *message, const char *hint,
                            int retry_after_s)
{
    const char *extra = "";
    char rate[256];

    if (message == NULL || message[0] == '\0')
        message = kind.message ? kind.message : kind.code;
    if (hint != NULL && hint[0] == '\0')
        hint = NULL;
    if (kind.http_status == 401)
        extra = request->token != NULL ? "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"
                                       : "WWW-Authenticate: Bearer\r\n";
    else if (kind.http_status == 429) {
        rate_headers(rate, sizeof(rate), request->route, retry_after_s);
        extra = rate;
        hint = "Wait as many seconds as Retry-After says.";
    } else if (kind.http_status == 503) {
        snprintf(rate, sizeof(rate), "Retry-After: %d\r\n", retry_after_s);
        extra = rate;
    }
    send_error(request, kind, message, hint, extra);
}

void respond_error(Request *request, ErrorKind kind, const char *message, const char *hint)
{
    respond_failure(request, kind, message, hint, 1);
}

/*
 * An argument that is a header, or a member of an object, goes by the name it came with: idempotency_key is
 * Idempotency-Key, pickup_lat is pickup.lat.
 */
static const char *param_of_argument(const Route *route, const char *argument)
{
    for (int i = 0; route != NULL && i < route_param_count(route); i++) {
        const char *name = route->params[i].name, *at = argument;

        if (route->params[i].source != IN_HEADER && route->params[i].source != IN_BODY)
            continue;
        while (*at != '\0' &&
               (tolower((unsigned char)*name) == *at || (*at == '_' && (*name == '-' || *name == '.'))))
            name++, at++;
        if (*name == '\0' && *at == '\0')
            return route->params[i].name;
    }
    return NULL;
}

void respond_db_error(Request *request, const DbReply *reply)
{
    if (reply->field[0] != '\0') {
        const char *param = param_of_argument(request->route, reply->field);
        Buffer field = {0};

        if (param != NULL)
            buffer_text(&field, param);
        else
            json_camel_name(&field, reply->field, strlen(reply->field));
        request_error(request, field.data, "%s", reply->message[0] ? reply->message : reply->error.message);
        buffer_free(&field);
    }
    respond_failure(request, reply->error, reply->message, reply->hint,
                    reply->retry_after_s > 0 ? reply->retry_after_s : 1);
}

void respond_method_not_allowed(Request *request, const char *allow)
{
    char extra[256];

    snprintf(extra, sizeof(extra), "Allow: %s\r\n", allow);
    send_error(request, error_front(FRONT_METHOD_NOT_ALLOWED), error_front(FRONT_METHOD_NOT_ALLOWED).message,
               NULL, extra);
}

void respond_options(Request *request, const char *allow)
{
    char extra[512];

    buffer_reset(request->body_out);
    if (mg_get_header(request->connection, "Access-Control-Request-Method") == NULL) {
        snprintf(extra, sizeof(extra), "Allow: %s\r\n", allow);
    } else if (origin_is_allowed(request)) {
        snprintf(extra, sizeof(extra),
                 "Access-Control-Allow-Methods: %s\r\n"
                 "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, If-None-Match, "
                 "Request-Id\r\n"
                 "Access-Control-Max-Age: 600\r\n",
                 allow);
    } else {
        respond_error(request, error_registry(HAIL_FORBIDDEN), "this origin is not on the allow-list", NULL);
        return;
    }
    send_answer(request, 204, "", extra);
}
