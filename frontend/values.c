/* Typed values; see values.h. */
#include "values.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json_case.h"

static const char *digits(const char *s)
{
    while (isdigit((unsigned char)*s))
        s++;
    return s;
}

bool text_is_number(const char *text, double *value)
{
    const char *s = text + (*text == '-'), *start = s;

    s = digits(s);
    if (s == start || (*start == '0' && s - start > 1))
        return false;
    if (*s == '.') {
        start = ++s;
        s = digits(s);
        if (s == start)
            return false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        start = s;
        s = digits(s);
        if (s == start)
            return false;
    }
    if (*s != '\0' || s - text > 64)
        return false;
    *value = strtod(text, NULL);
    return isfinite(*value);
}

bool text_is_uuid(const char *text)
{
    for (int i = 0; i < 36; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

        if (hyphen ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return text[36] == '\0';
}

/* Does the text begin with the form: 0 stands for a digit? Returns what follows, or NULL. */
static const char *follows_form(const char *text, const char *form)
{
    for (; *form; form++, text++)
        if (*form == '0' ? !isdigit((unsigned char)*text) : toupper((unsigned char)*text) != *form)
            return NULL;
    return text;
}

/* Two digits. */
static int number_at(const char *text)
{
    return (text[0] - '0') * 10 + text[1] - '0';
}

/* "0000-00-00T00:00:00" names a moment of the calendar: what the database would refuse must not get there. */
static bool in_calendar(const char *text)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = number_at(text) * 100 + number_at(text + 2), month = number_at(text + 5);
    int day = number_at(text + 8);
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return year >= 1 && month >= 1 && month <= 12 && day >= 1 &&
           day <= lengths[month - 1] + (month == 2 && leap ? 1 : 0) && number_at(text + 11) <= 23 &&
           number_at(text + 14) <= 59 && number_at(text + 17) <= 59;
}

bool text_is_timestamp(const char *text)
{
    const char *s = follows_form(text, "0000-00-00T00:00:00");

    if (s == NULL || !in_calendar(text))
        return false;
    if (*s == '.') {
        const char *fraction = ++s;

        s = digits(s);
        if (s == fraction || s - fraction > 9)
            return false;
    }
    if (*s == 'Z' || *s == 'z')
        return s[1] == '\0';
    if (*s != '+' && *s != '-')
        return false;
    if (follows_form(s + 1, "00:00") == NULL || number_at(s + 1) > 15 || number_at(s + 4) > 59)
        return false;
    return s[6] == '\0';
}

bool json_nests_within(const char *json, size_t length, int limit)
{
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < length; i++) {
        char c = json[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > limit)
                return false;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return true;
}

/* One level of what is open at a place in JSON: an array, or an object with the name read last. */
typedef struct Level {
    bool array;
    int index;
    const char *name;
    size_t length;
} Level;

#define MAX_LEVELS 33

/* Past a string; an object takes it as its name, if a value follows, as the value else. */
static size_t pass_string(const char *json, size_t at, size_t end, Level *level)
{
    size_t from = ++at;

    while (at < end && json[at] != '"')
        at += json[at] == '\\' ? 2 : 1;
    if (level->name == NULL)
        *level =
            (Level){.array = level->array, .index = level->index, .name = json + from, .length = at - from};
    return at + 1;
}

static bool write_place(const Level *levels, int depth, char *name, size_t size)
{
    size_t length = 0;

    for (int i = 1; i <= depth && length < size; i++) {
        const Level *level = &levels[i];

        if (level->array)
            length += (size_t)snprintf(name + length, size - length, "[%d]", level->index);
        else
            length += (size_t)snprintf(name + length, size - length, "%s%.*s", i > 1 ? "." : "",
                                       level->name != NULL ? (int)level->length : 0,
                                       level->name != NULL ? level->name : "");
    }
    return length > 0 && length < size;
}

bool json_member_at(const char *json, size_t position, char *name, size_t size)
{
    Level levels[MAX_LEVELS + 1];
    int depth = 0;

    for (size_t at = 0; at < position;) {
        char c = json[at];
        Level *level = &levels[depth];

        if (c == '"' && depth > 0) {
            at = pass_string(json, at, position, level);
            continue;
        }
        if (c == '[' || c == '{') {
            if (depth == MAX_LEVELS)
                return false;
            levels[++depth] = (Level){.array = c == '['};
            /* In an array a string is no name. */
            if (c == '[')
                levels[depth].name = "";
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        } else if (c == ',' && depth > 0) {
            level->index++;
            if (!level->array)
                level->name = NULL;
        }
        at++;
    }
    return write_place(levels, depth, name, size);
}

bool value_in(const char *values, const char *text)
{
    size_t length = strlen(text);

    for (const char *s = values; s != NULL; s = strchr(s, '|') ? strchr(s, '|') + 1 : NULL)
        if (strcspn(s, "|") == length && memcmp(s, text, length) == 0)
            return true;
    return false;
}

/* The weight q of a media range's parameters, in thousandths; none, or one that is no weight: 1000. */
static int weight_of(const char *parameters, const char *end)
{
    for (const char *s = parameters; s < end; s++) {
        char *after;
        double q;

        if (*s != ';')
            continue;
        s += 1 + strspn(s + 1, " \t");
        if ((*s != 'q' && *s != 'Q') || s[1] != '=')
            continue;
        q = strtod(s + 2, &after);
        return after > s + 2 && q >= 0 && q <= 1 ? (int)(q * 1000 + 0.5) : 1000;
    }
    return 1000;
}

/* What an Accept header gives a media type that it names; -1: it does not name it. */
static int weight_in(const char *accept, const char *type)
{
    size_t length = strlen(type);

    while (accept != NULL && *accept != '\0') {
        const char *end = accept + strcspn(accept, ",");

        accept += strspn(accept, " \t");
        if (strncasecmp(accept, type, length) == 0 && strchr(";, \t", accept[length]) != NULL)
            return weight_of(accept + length, end);
        accept = *end == ',' ? end + 1 : end;
    }
    return -1;
}

bool accept_prefers(const char *accept, const char *type, const char *usual)
{
    int weight = weight_in(accept, type);

    return weight > 0 && weight >= weight_in(accept, usual);
}

#define MONEY_FORM "must be an integer of minor units, without fraction or exponent"

static bool has_limits(const Param *param)
{
    return param->min != 0 || param->max != 0;
}

static const char *check_number(const Param *param, double value, const char *text, Arena *arena,
                                const char **reason)
{
    if (has_limits(param) && !(value >= param->min && value <= param->max)) {
        *reason = arena_format(arena, "must be from %.15g to %.15g", param->min, param->max);
        return NULL;
    }
    if (has_limits(param) && value != 0 && fabs(value) < 1e-37) { /* no number of SQL's type real */
        *reason = "is too small";
        return NULL;
    }
    return text;
}

double money_min(const Param *param)
{
    return has_limits(param) ? param->min : 1;
}

double money_max(const Param *param)
{
    return has_limits(param) ? param->max : MONEY_MAX;
}

/* Up to MONEY_MAX every integer is a double of its own, so the comparison is exact. */
static const char *check_money(const Param *param, double value, const char *text, Arena *arena,
                               const char **reason)
{
    if (value >= money_min(param) && value <= money_max(param))
        return text;
    *reason =
        arena_format(arena, "must be from %.0f to %.0f minor units", money_min(param), money_max(param));
    return NULL;
}

static const char *check_string(const Param *param, const char *text, Arena *arena, const char **reason)
{
    size_t length = strlen(text);

    if (has_limits(param) && (length < (size_t)param->min || length > (size_t)param->max)) {
        *reason = param->min == param->max
                      ? arena_format(arena, "must have %.0f bytes", param->min)
                      : arena_format(arena, "must have from %.0f to %.0f bytes", param->min, param->max);
        return NULL;
    }
    for (const char *s = text; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7F) {
            *reason = "must not contain control characters";
            return NULL;
        }
    }
    return text;
}

/* Visible ASCII as it is, or a quoted string of RFC 8941 (spaces, \" and \\ too): both mean the same key. */
static const char *check_key(const Param *param, const char *text, Arena *arena, const char **reason)
{
    bool quoted = text[0] == '"';
    char *key = arena_alloc(arena, strlen(text) + 1), *to = key;
    const char *s = text + quoted;

    *reason = "must be visible ASCII characters, bare or in double quotes";
    for (; *s != '\0' && !(quoted && *s == '"'); s++) {
        if (quoted && *s == '\\' && *++s != '"' && *s != '\\')
            return NULL;
        if (*s < (quoted ? 0x20 : 0x21) || *s > 0x7E || (!quoted && *s == '"'))
            return NULL;
        *to++ = *s;
    }
    if (quoted && (s[0] != '"' || s[1] != '\0'))
        return NULL;
    *to = '\0';
    return check_string(param, key, arena, reason);
}

const char *value_from_text(const Param *param, const char *text, Arena *arena, const char **reason)
{
    double number;

    switch (param->type) {
    case TYPE_NUMBER:
    case TYPE_INTEGER:
        *reason = param->type == TYPE_INTEGER ? "must be an integer" : "must be a number";
        if (!text_is_number(text, &number))
            return NULL;
        if (param->type == TYPE_INTEGER && (strpbrk(text, ".eE") != NULL || strlen(text) > 18))
            return NULL;
        return check_number(param, number, text, arena, reason);
    case TYPE_MONEY:
        *reason = MONEY_FORM;
        if (!text_is_number(text, &number) || strpbrk(text, ".eE") != NULL)
            return NULL;
        return check_money(param, number, text, arena, reason);
    case TYPE_STRING:
        return check_string(param, text, arena, reason);
    case TYPE_KEY:
        return check_key(param, text, arena, reason);
    case TYPE_UUID:
        *reason = "must be a UUID";
        return text_is_uuid(text) ? text : NULL;
    case TYPE_BOOLEAN:
        *reason = "must be true or false";
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ? text : NULL;
    case TYPE_ENUM:
        *reason = arena_format(arena, "must be one of %s", param->values);
        return value_in(param->values, text) ? text : NULL;
    case TYPE_DATE:
        *reason = "must be a day such as 2030-01-31";
        return text_is_timestamp(arena_format(arena, "%.32sT00:00:00Z", text)) && strlen(text) == 10 ? text
                                                                                                     : NULL;
    case TYPE_TIMESTAMP:
        *reason = "must be an RFC 3339 time such as 2030-01-31T12:00:00Z";
        return text_is_timestamp(text) ? text : NULL;
    case TYPE_STRINGS:
    case TYPE_INTEGERS:
    case TYPE_GEOJSON:
    case TYPE_JSON:
    case TYPE_OBJECT:
    case TYPE_LIST:
    case TYPE_OBJECTS:
        break;
    }
    *reason = "can only be given in the body";
    return NULL;
}

void array_literal_item(Buffer *literal, const char *text)
{
    buffer_text(literal, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_text(literal, "\\");
        buffer_add(literal, text, 1);
    }
    buffer_text(literal, "\"");
}

/* A JSON array of strings as a PostgreSQL array literal. */
static const char *strings_from_json(const Param *param, const json_t *array, Arena *arena,
                                     const char **reason)
{
    Buffer literal = {0};
    const char *result;
    size_t count = json_array_size(array);

    *reason = "must be an array of strings";
    if (!json_is_array(array))
        return NULL;
    if (has_limits(param) && (count < (size_t)param->min || count > (size_t)param->max)) {
        *reason = arena_format(arena, "must have from %.0f to %.0f items", param->min, param->max);
        return NULL;
    }
    buffer_text(&literal, "{");
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(array, i));

        if (text == NULL || strlen(text) > 200) {
            *reason = "must be an array of strings of at most 200 bytes";
            buffer_free(&literal);
            return NULL;
        }
        buffer_text(&literal, i ? "," : "");
        array_literal_item(&literal, text);
    }
    buffer_text(&literal, "}");
    result = arena_copy(arena, literal.data, literal.length);
    buffer_free(&literal);
    return result;
}

static const char *integers_from_json(const Param *param, const json_t *array, Arena *arena,
                                      const char **reason)
{
    Buffer literal = {0};
    const char *result;
    size_t count = json_array_size(array), i = 0;

    *reason = "must be an array of integers";
    while (i < count && json_is_integer(json_array_get(array, i)))
        i++;
    if (!json_is_array(array) || i < count)
        return NULL;
    if (has_limits(param) && (count < (size_t)param->min || count > (size_t)param->max)) {
        *reason = arena_format(arena, "must have from %.0f to %.0f items", param->min, param->max);
        return NULL;
    }
    for (i = 0; i < count; i++)
        buffer_format(&literal, "%s%lld", i ? "," : "{",
                      (long long)json_integer_value(json_array_get(array, i)));
    buffer_text(&literal, count ? "}" : "{}");
    result = arena_copy(arena, literal.data, literal.length);
    buffer_free(&literal);
    return result;
}

/* A count of 10^-8 as a decimal fraction, without zeros at its end. */
static const char *decimal_text(long long count, Arena *arena)
{
    char digits[32], *end = digits + sizeof(digits), *at = end;
    unsigned long long left = count < 0 ? -(unsigned long long)count : (unsigned long long)count;

    for (int place = 0; place < 9 || left > 0; place++) {
        if (place == 8 && at < end)
            *--at = '.';
        if (place >= 8 || at < end || left % 10 != 0)
            *--at = (char)('0' + left % 10);
        left /= 10;
    }
    if (count < 0)
        *--at = '-';
    return arena_copy(arena, at, (size_t)(end - at));
}

/*
 * Text that reads back as this very number. Coordinates and the like have few decimals: when a whole number
 * over 10^8 is the same double, its digits do (both are exact, and a division is rounded as reading is), and
 * cost a tenth of what %.17g does.
 */
static const char *real_text(double value, Arena *arena)
{
    double scaled = value * 1e8;
    long long whole;

    if (!(fabs(scaled) < 9e15))
        return arena_format(arena, "%.17g", value);
    whole = llround(scaled);
    if ((double)whole / 1e8 != value || (whole == 0 && signbit(value)))
        return arena_format(arena, "%.17g", value);
    return decimal_text(whole, arena);
}

static const char *number_from_json(const Param *param, const json_t *value, Arena *arena,
                                    const char **reason)
{
    if (json_is_integer(value))
        return check_number(param, (double)json_integer_value(value),
                            arena_format(arena, "%lld", (long long)json_integer_value(value)), arena, reason);
    if (json_is_real(value) && param->type == TYPE_NUMBER)
        return check_number(param, json_real_value(value), real_text(json_real_value(value), arena), arena,
                            reason);
    *reason = param->type == TYPE_INTEGER ? "must be an integer" : "must be a number";
    return NULL;
}

static const char *money_from_json(const Param *param, const json_t *value, Arena *arena, const char **reason)
{
    *reason = MONEY_FORM;
    if (!json_is_integer(value))
        return NULL;
    return check_money(param, (double)json_integer_value(value),
                       arena_format(arena, "%lld", (long long)json_integer_value(value)), arena, reason);
}

static const char *json_text(const json_t *value, Arena *arena)
{
    char *text = json_dumps(value, JSON_COMPACT);
    const char *copy = text != NULL ? arena_copy(arena, text, strlen(text)) : NULL;

    free(text);
    return copy;
}

static const char *snake_text(const json_t *value, Arena *arena)
{
    char *text = json_dumps(value, JSON_COMPACT);
    Buffer snake = {0};
    const char *copy = NULL;

    if (text != NULL) {
        json_snake_case(&snake, text, strlen(text));
        copy = arena_copy(arena, snake.data, snake.length);
    }
    buffer_free(&snake);
    free(text);
    return copy;
}

static const char *list_from_json(const Param *param, const json_t *value, Arena *arena, const char **reason)
{
    size_t count = json_array_size(value);

    *reason = "must be an array of objects";
    if (!json_is_array(value))
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!json_is_object(json_array_get(value, i)))
            return NULL;
    if (has_limits(param) && (count < (size_t)param->min || count > (size_t)param->max)) {
        *reason = arena_format(arena, "must have from %.0f to %.0f items", param->min, param->max);
        return NULL;
    }
    return snake_text(value, arena);
}

const char *value_from_json(const Param *param, const json_t *value, Arena *arena, const char **reason)
{
    switch (param->type) {
    case TYPE_NUMBER:
    case TYPE_INTEGER:
        return number_from_json(param, value, arena, reason);
    case TYPE_MONEY:
        return money_from_json(param, value, arena, reason);
    case TYPE_BOOLEAN:
        *reason = "must be true or false";
        return json_is_boolean(value) ? (json_is_true(value) ? "true" : "false") : NULL;
    case TYPE_STRINGS:
        return strings_from_json(param, value, arena, reason);
    case TYPE_INTEGERS:
        return integers_from_json(param, value, arena, reason);
    case TYPE_GEOJSON:
        *reason = "must be a GeoJSON object";
        return json_is_object(value) ? json_text(value, arena) : NULL;
    case TYPE_JSON:
        *reason = "must be an object";
        return json_is_object(value) ? json_text(value, arena) : NULL;
    case TYPE_OBJECT:
        *reason = "must be an object";
        return json_is_object(value) ? snake_text(value, arena) : NULL;
    case TYPE_LIST:
        return list_from_json(param, value, arena, reason);
    case TYPE_OBJECTS:
        *reason = "must be an array of objects";
        return NULL;
    default:
        *reason = "must be a string";
        return json_is_string(value) ? value_from_text(param, json_string_value(value), arena, reason) : NULL;
    }
}
