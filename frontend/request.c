/* What came in; see request.h. */
#include "request.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "values.h"

#define MAX_NESTING 32

void request_error(Request *request, const char *field, const char *format, ...)
{
    va_list args;
    char message[512];

    if (request->error_count == REQUEST_MAX_FIELD_ERRORS)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    request->errors[request->error_count].field = arena_copy(request->arena, field, strlen(field));
    request->errors[request->error_count++].message = arena_copy(request->arena, message, strlen(message));
}

/* A Content-Length of digits alone, at most 18 of them. */
static bool is_length(const char *text)
{
    size_t n = strspn(text, "0123456789");

    return n > 0 && n <= 18 && text[n] == '\0';
}

bool request_has_too_many_headers(const Request *request)
{
    return request->info->num_headers >= MG_MAX_HEADERS;
}

const char *request_framing_fault(const Request *request)
{
    int lengths = 0;

    for (int i = 0; i < request->info->num_headers; i++) {
        const struct mg_header *header = &request->info->http_headers[i];

        if (strcasecmp(header->name, "Transfer-Encoding") == 0)
            return "Transfer-Encoding is not accepted; send Content-Length";
        if (strcasecmp(header->name, "Content-Length") == 0) {
            if (++lengths > 1)
                return "more than one Content-Length";
            if (!is_length(header->value))
                return "Content-Length must be digits";
        }
        /* A space before the colon is another classic of request smuggling. */
        if (strpbrk(header->name, " \t") != NULL)
            return "a header name contains a space";
    }
    return NULL;
}

static void make_id(char *id)
{
    static _Thread_local unsigned char pool[512];
    static _Thread_local size_t left = 0;
    const unsigned char *r;

    if (left < 16) {
        if (getrandom(pool, sizeof(pool), 0) != (ssize_t)sizeof(pool))
            abort();
        left = sizeof(pool);
    }
    left -= 16;
    r = pool + left;
    for (int i = 0; i < 16; i++) {
        id[2 * i] = "0123456789abcdef"[r[i] >> 4];
        id[2 * i + 1] = "0123456789abcdef"[r[i] & 15];
    }
    id[32] = '\0';
}

void request_take_id(Request *request)
{
    const char *given = mg_get_header(request->connection, "Request-Id");
    size_t length = given != NULL ? strlen(given) : 0;

    for (size_t i = 0; i < length && length < REQUEST_ID_SIZE; i++)
        if (given[i] <= 0x20 || given[i] >= 0x7F || given[i] == '"' || given[i] == '\\')
            length = 0;
    if (length == 0 || length >= REQUEST_ID_SIZE)
        make_id(request->id);
    else
        memcpy(request->id, given, length + 1);
}

bool request_take_token(Request *request)
{
    const char *header = mg_get_header(request->connection, "Authorization");

    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    header += 7 + strspn(header + 7, " ");
    if (*header == '\0' || strlen(header) > TOKEN_LIMIT)
        return false;
    for (const char *s = header; *s; s++)
        if (*s <= 0x20 || *s >= 0x7F)
            return false;
    request->token = header;
    return true;
}

bool request_accepts(const Request *request, const char *media_type)
{
    return accept_prefers(mg_get_header(request->connection, "Accept"), media_type, "application/json");
}

/* Does a Content-Type name this media type? Parameters may follow it. */
static bool is_type(const char *given, const char *type)
{
    size_t n = strlen(type);

    if (given == NULL || strncasecmp(given, type, n) != 0)
        return false;
    given += n;
    return given[strspn(given, " \t")] == '\0' || given[strspn(given, " \t")] == ';';
}

/* JSON is UTF-8 whatever its type says; other text is taken only as that. */
static bool is_utf8(const char *given)
{
    const char *charset = strcasestr(given, "charset=");

    if (charset == NULL)
        return true;
    charset += strlen("charset=");
    charset += *charset == '"';
    return strncasecmp(charset, "utf-8", 5) == 0 || strncasecmp(charset, "us-ascii", 8) == 0;
}

static bool has_wanted_type(const Request *request)
{
    const char *given = mg_get_header(request->connection, "Content-Type"), *takes = request->route->takes;

    return takes != NULL ? is_type(given, takes) && is_utf8(given) : is_type(given, "application/json");
}

static const char *query_value(const Request *request, const char *name)
{
    for (int i = 0; i < request->query_count; i++)
        if (strcmp(request->query[i].name, name) == 0)
            return request->query[i].value;
    return NULL;
}

bool request_wants_csv(const Request *request)
{
    const char *format = query_value(request, "format");

    if (request->route->csv == NULL)
        return false;
    return format != NULL ? strcmp(format, "csv") == 0 : request_accepts(request, "text/csv");
}

static BodyResult read_body(Request *request, size_t length)
{
    Buffer *body = request->body_in;
    const char *expect = mg_get_header(request->connection, "Expect");

    if (expect != NULL && strcasecmp(expect, "100-continue") == 0)
        mg_write(request->connection, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    buffer_reserve(body, length);
    while (body->length < length) {
        int n = mg_read(request->connection, body->data + body->length, length - body->length);

        if (n <= 0)
            return BODY_INCOMPLETE;
        body->length += (size_t)n;
    }
    body->data[length] = '\0';
    return BODY_OK;
}

/* The body of a raw row: text as it came. Only the mark that some programs put before UTF-8 is no part of
 * CSV.
 */
static BodyResult take_raw_body(Request *request)
{
    Buffer *body = request->body_in;

    if (strlen(body->data) != body->length) {
        request_error(request, "", "contains a zero byte");
        return BODY_INVALID;
    }
    if (request->route->takes != NULL && strncmp(body->data, "\xEF\xBB\xBF", 3) == 0)
        memmove(body->data, body->data + 3, (body->length -= 3) + 1);
    return BODY_OK;
}

/* An integer that no program could count with is a wrong value of its member, not bad JSON. */
static BodyResult explain_json_error(Request *request, const json_error_t *error)
{
    char field[128];

    if (json_error_code(error) == json_error_numeric_overflow && strstr(error->text, "integer") != NULL &&
        json_member_at(request->body_in->data, (size_t)error->position, field, sizeof(field))) {
        request_error(request, field, "is too large");
        return BODY_WRONG_VALUE;
    }
    request_error(request, "", "%s (line %d, column %d)", error->text, error->line, error->column);
    return BODY_INVALID;
}

BodyResult request_take_body(Request *request)
{
    long long length = request->info->content_length;
    json_error_t error;

    if (length > REQUEST_BODY_LIMIT)
        return BODY_TOO_LARGE;
    if (length <= 0)
        return BODY_OK;
    if (!has_wanted_type(request))
        return BODY_WRONG_TYPE;
    if (read_body(request, (size_t)length) != BODY_OK)
        return BODY_INCOMPLETE;
    if (takes_raw_body(request->route))
        return take_raw_body(request);
    if (!json_nests_within(request->body_in->data, (size_t)length, MAX_NESTING)) {
        request_error(request, "", "nested deeper than %d levels", MAX_NESTING);
        return BODY_INVALID;
    }
    request->body = json_loadb(request->body_in->data, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (request->body == NULL)
        return explain_json_error(request, &error);
    if (!json_is_object(request->body)) {
        request_error(request, "", "the body must be an object");
        return BODY_INVALID;
    }
    return BODY_OK;
}

/* The member of an object that a dotted name means; NULL when it or an object on the way is missing or null.
 */
static const json_t *body_member(const json_t *object, const char *name)
{
    while (object != NULL) {
        const char *dot = strchr(name, '.');
        char part[64];
        size_t length = dot ? (size_t)(dot - name) : strlen(name);

        if (!json_is_object(object) || length >= sizeof(part))
            return NULL;
        memcpy(part, name, length);
        part[length] = '\0';
        object = json_object_get(object, part);
        if (dot == NULL)
            return json_is_null(object) ? NULL : object;
        name = dot + 1;
    }
    return NULL;
}

bool request_choose_route(Request *request, int first, int variants)
{
    const Route *row = router.routes[first];
    const json_t *value;
    Buffer allowed = {0};

    request->route_index = first;
    request->route = row;
    if (variants == 1 && row->choice == NULL)
        return true;
    value = body_member(request->body, row->choice);
    for (int i = first; i < first + variants; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), router.routes[i]->chosen) == 0) {
            request->route_index = i;
            request->route = router.routes[i];
            buffer_free(&allowed);
            return true;
        }
        buffer_format(&allowed, "%s%s", i > first ? ", " : "", router.routes[i]->chosen);
    }
    request_error(request, row->choice, value ? "must be one of %s" : "is required: one of %s", allowed.data);
    buffer_free(&allowed);
    return false;
}

/* Is there a parameter of this full name, or one below it? */
static bool body_name_is_known(const Route *route, const char *name, bool *has_members)
{
    size_t length = strlen(name);
    bool known = false;

    *has_members = false;
    for (int i = 0; i < route_param_count(route); i++) {
        const Param *param = &route->params[i];

        if (param->source != IN_BODY || strncmp(param->name, name, length) != 0)
            continue;
        if (param->name[length] == '\0')
            known = true;
        else if (param->name[length] == '.')
            known = *has_members = true;
    }
    return known || (route->choice != NULL && strcmp(route->choice, name) == 0);
}

/* Members of the body that the row ignores: kept for meta.ignored, in the order of the body. */
static bool is_ignored(Request *request, const char *name)
{
    if (!value_in(request->route->ignored, name))
        return false;
    if (request->ignored_count < REQUEST_MAX_IGNORED)
        request->ignored[request->ignored_count++] = name;
    return true;
}

/* Refuse what the row neither declares nor ignores. `prefix` is the dotted name of `object`, "" for the body
 * itself. */
static void refuse_unknown_members(Request *request, json_t *object, const char *prefix)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        char *name = arena_format(request->arena, "%s%s%.64s", prefix, *prefix ? "." : "", key);
        bool has_members;

        if (!body_name_is_known(request->route, name, &has_members)) {
            if (!is_ignored(request, name))
                request_error(request, name, "is not known here");
        } else if (has_members && json_is_object(value)) {
            refuse_unknown_members(request, value, name);
        } else if (has_members && !json_is_null(value)) {
            request_error(request, name, "must be an object");
        }
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Percent-decoded copy, in which `plus` stands for '+'; NULL for a broken escape or an encoded zero byte. */
static char *url_decode(Arena *arena, const char *text, size_t length, char plus)
{
    char *copy = arena_alloc(arena, length + 1), *to = copy;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (c == '+') {
            c = plus;
        } else if (c == '%') {
            int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;

            if (low < 0 || high * 16 + low == 0)
                return NULL;
            c = (char)(high * 16 + low);
            i += 2;
        }
        *to++ = c;
    }
    *to = '\0';
    return copy;
}

/* Split the query; faults become errors. */
static void take_query(Request *request)
{
    const char *at = request->info->query_string;
    QueryPair *pairs = request->query;
    int count = 0;

    while (at != NULL && *at != '\0') {
        size_t length = strcspn(at, "&"), name_length = strcspn(at, "=&");
        char *name = url_decode(request->arena, at, name_length, ' ');
        char *value = name_length < length
                          ? url_decode(request->arena, at + name_length + 1, length - name_length - 1, ' ')
                          : arena_copy(request->arena, "", 0);

        if (name == NULL || value == NULL || count == REQUEST_MAX_QUERY_PAIRS) {
            request_error(request, name ? name : "",
                          name && value ? "is one too many" : "has a broken escape");
        } else if (length > 0) {
            for (int i = 0; i < count; i++)
                if (strcmp(pairs[i].name, name) == 0)
                    request_error(request, name, "is given twice");
            pairs[count].name = name;
            pairs[count++].value = value;
        }
        at += length;
        at += *at == '&';
    }
    request->query_count = count;
}

static void refuse_unknown_query(Request *request)
{
    const QueryPair *pairs = request->query;

    for (int i = 0; i < request->query_count; i++) {
        bool known = request->route->csv != NULL && strcmp(pairs[i].name, "format") == 0;

        if (known && !value_in("json|csv", pairs[i].value))
            request_error(request, "format", "must be one of json|csv");
        for (int p = 0; p < route_param_count(request->route); p++)
            known |= request->route->params[p].source == IN_QUERY &&
                     strcmp(request->route->params[p].name, pairs[i].name) == 0;
        if (!known)
            request_error(request, pairs[i].name, "is not known here");
    }
}

static bool is_credential(const char *header)
{
    return strcasecmp(header, "Authorization") == 0 || strcasecmp(header, "Cookie") == 0 ||
           strcasecmp(header, "Proxy-Authorization") == 0;
}

/* {"name":"value"} of all headers, names in lower case; the values of one that comes twice are joined, as RFC
 * 9110 has it. */
static const char *all_headers(Request *request)
{
    const struct mg_header *headers = request->info->http_headers;
    json_t *object = json_object();
    const char *copy;
    char *text;

    for (int i = 0; i < request->info->num_headers; i++) {
        char *name = arena_copy(request->arena, headers[i].name, strlen(headers[i].name));
        const char *before;

        if (is_credential(name))
            continue;
        for (char *c = name; *c != '\0'; c++)
            *c = (char)tolower((unsigned char)*c);
        before = json_string_value(json_object_get(object, name));
        /* One that is not UTF-8 is no header that anybody signs with, and stays out. */
        json_object_set_new(object, name,
                            before != NULL ? json_sprintf("%s, %s", before, headers[i].value)
                                           : json_string(headers[i].value));
    }
    text = json_dumps(object, JSON_COMPACT);
    copy = text != NULL ? arena_copy(request->arena, text, strlen(text)) : NULL;
    free(text);
    json_decref(object);
    return copy;
}

static const char *header_value(Request *request, const char *name)
{
    const char *value = mg_get_header(request->connection, name);

    return value != NULL && *value != '\0' ? value : NULL;
}

/* NULL: *reason says why. In a path, '+' is itself. */
static const char *path_value(Request *request, const char *name, const char **reason)
{
    const PathValues *values = &request->path_values;

    for (int i = 0; i < values->count; i++)
        if (strncmp(values->name[i], name, strlen(name)) == 0) {
            const char *text = url_decode(request->arena, values->value[i], values->length[i], '+');

            if (text == NULL)
                *reason = "has a broken escape";
            return text;
        }
    return NULL;
}

/* A member of each object of an array, as one array literal: "locations[].lat". */
static const char *bind_column(Request *request, const Param *param)
{
    const char *bracket = strstr(param->name, "[].");
    char array_name[64];
    const json_t *array;
    Buffer literal = {0};
    const char *result;

    snprintf(array_name, sizeof(array_name), "%.*s", (int)(bracket - param->name), param->name);
    array = body_member(request->body, array_name);
    buffer_text(&literal, "{");
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *value = body_member(json_array_get(array, i), bracket + 3);
        char *field = arena_format(request->arena, "%s[%zu].%s", array_name, i, bracket + 3);
        const char *reason = "", *text = NULL;

        if (value != NULL && (text = value_from_json(param, value, request->arena, &reason)) == NULL)
            request_error(request, field, "%s", reason);
        else if (value == NULL && param->required)
            request_error(request, field, "is required");
        buffer_text(&literal, i ? "," : "");
        if (text != NULL)
            array_literal_item(&literal, text);
        else
            buffer_text(&literal, "NULL");
    }
    buffer_text(&literal, "}");
    result = arena_copy(request->arena, literal.data, literal.length);
    buffer_free(&literal);
    return result;
}

/* The array of objects itself: its size, and that each item is an object of known members. */
static void check_objects(Request *request, const Param *param)
{
    json_t *array = (json_t *)body_member(request->body, param->name);
    size_t index;
    json_t *item;

    if (array == NULL || !json_is_array(array)) {
        if (array != NULL || param->required)
            request_error(request, param->name, array ? "must be an array of objects" : "is required");
        return;
    }
    if (json_array_size(array) < (size_t)param->min || json_array_size(array) > (size_t)param->max)
        request_error(request, param->name, "must have from %.0f to %.0f items", param->min, param->max);
    json_array_foreach(array, index, item)
    {
        const char *key;
        json_t *value;

        if (!json_is_object(item)) {
            request_error(request, arena_format(request->arena, "%s[%zu]", param->name, index),
                          "must be an object");
            continue;
        }
        json_object_foreach(item, key, value)
        {
            bool has_members;

            if (!body_name_is_known(request->route,
                                    arena_format(request->arena, "%s[].%.64s", param->name, key),
                                    &has_members))
                request_error(request, arena_format(request->arena, "%s[%zu].%.64s", param->name, index, key),
                              "is not known here");
        }
    }
}

/* A page of CSV, made for programs, may be longer than one of JSON. */
static Param for_csv(const Param *param)
{
    Param widened = *param;

    if (strcmp(param->name, "limit") == 0)
        widened.max = CSV_MAX_ROWS;
    return widened;
}

static const char *bind_body(Request *request, const Param *param, const char **reason)
{
    const json_t *value = body_member(request->body, param->name);

    *reason = NULL;
    return value != NULL ? value_from_json(param, value, request->arena, reason) : NULL;
}

/* The text to bind; `*reason` is set when there is a value and it is wrong. */
static const char *bind_param(Request *request, const Param *param, const char **reason)
{
    const char *text = NULL;

    *reason = NULL;
    switch (param->source) {
    case IN_BODY:
        return bind_body(request, param, reason);
    case IN_QUERY:
        text = query_value(request, param->name);
        break;
    case IN_PATH:
        text = path_value(request, param->name, reason);
        break;
    case IN_HEADER:
        text = header_value(request, param->name);
        break;
    case IN_HEADERS:
        return all_headers(request);
    case IN_RAW_BODY:
        /* Bytes count, not values: the database says whether they are signed, and what they mean. */
        return request->body_in->length > 0 ? request->body_in->data : NULL;
    }
    if (text == NULL)
        return NULL;
    if (request_wants_csv(request)) {
        Param widened = for_csv(param);

        text = value_from_text(&widened, text, request->arena, reason);
    } else {
        text = value_from_text(param, text, request->arena, reason);
    }
    if (text != NULL)
        *reason = NULL;
    return text;
}

bool request_bind(Request *request)
{
    take_query(request);
    refuse_unknown_query(request);
    if (request->body != NULL)
        refuse_unknown_members(request, request->body, "");
    request->value_count = 0;
    for (int i = 0; i < route_param_count(request->route); i++) {
        const Param *param = &request->route->params[i];
        const char *reason, *text;

        if (!param_binds(request->route, param)) {
            if (param->type == TYPE_OBJECTS)
                check_objects(request, param);
            continue;
        }
        if (strstr(param->name, "[].") != NULL) {
            request->values[request->value_count++] = bind_column(request, param);
            continue;
        }
        text = bind_param(request, param, &reason);
        if (text == NULL && reason != NULL)
            request_error(request, param->name, "%s", reason);
        else if (text == NULL && param->required)
            request_error(request, param->name, "is required");
        request->values[request->value_count++] = text ? text : param->fallback;
    }
    return request->error_count == 0;
}
