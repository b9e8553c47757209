/* JSON objects as lines of CSV, in one pass over each; see csv.h. */
#include "csv.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "json_case.h"

/* A piece of the JSON text. */
typedef struct Piece {
    const char *at;
    size_t length;
} Piece;

/* The next name of "a|b|c"; NULL after the last. */
static const char *next_name(const char *at, Piece *name)
{
    if (at == NULL)
        return NULL;
    name->at = at;
    name->length = strcspn(at, "|");
    return at + name->length;
}

static const char *after_name(const char *at)
{
    return *at == '|' ? at + 1 : NULL;
}

void csv_header(Buffer *out, const char *columns)
{
    Piece name;

    for (const char *at = columns; (at = next_name(at, &name)) != NULL; at = after_name(at)) {
        if (name.at != columns)
            buffer_add(out, ",", 1);
        json_camel_name(out, name.at, name.length);
    }
    buffer_add(out, "\r\n", 2);
}

static const char *skip_spaces(const char *at, const char *end)
{
    while (at < end && isspace((unsigned char)*at))
        at++;
    return at;
}

/* Past the string that begins with the quote at `at`. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : end;
}

/* Past the value that begins at `at`. */
static const char *skip_value(const char *at, const char *end)
{
    int depth = 0;

    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            if (depth == 0)
                return at;
            continue;
        }
        if (depth == 0 && strchr(",]} \t\r\n", *at) != NULL)
            return at;
        depth += *at == '[' || *at == '{';
        if ((*at == ']' || *at == '}') && --depth == 0)
            return at + 1;
        at++;
    }
    return end;
}

static int column_number(const char *columns, Piece wanted)
{
    Piece name;
    int number = 0;

    for (const char *at = columns; (at = next_name(at, &name)) != NULL; at = after_name(at), number++)
        if (name.length == wanted.length && memcmp(name.at, wanted.at, name.length) == 0)
            return number < CSV_MAX_COLUMNS ? number : -1;
    return -1;
}

/* The members of the object by column; those that are missing keep a length of 0. */
static void find_members(Piece *values, const char *columns, const char *json, size_t length)
{
    const char *end = json + length, *at = skip_spaces(json, end);

    at = at < end && *at == '{' ? skip_spaces(at + 1, end) : end;
    while (at < end && *at == '"') {
        const char *after = skip_string(at, end), *value;
        Piece name = {at + 1, (size_t)(after - at) - 2};
        int column = column_number(columns, name);

        value = skip_spaces(after, end);
        value = value < end ? skip_spaces(value + 1, end) : end; /* the colon */
        at = skip_value(value, end);
        if (column >= 0)
            values[column] = (Piece){value, (size_t)(at - value)};
        at = skip_spaces(at, end);
        at = at < end && *at == ',' ? skip_spaces(at + 1, end) : end;
    }
}

static unsigned hex4(const char *text)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++)
        value = value * 16 +
                (unsigned)(isdigit((unsigned char)text[i]) ? text[i] - '0' : (text[i] | 0x20) - 'a' + 10);
    return value;
}

static void add_utf8(Buffer *out, unsigned code)
{
    char bytes[4];
    size_t n = 0;

    if (code < 0x80) {
        bytes[n++] = (char)code;
    } else if (code < 0x800) {
        bytes[n++] = (char)(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        bytes[n++] = (char)(0xE0 | code >> 12);
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3F));
    } else {
        bytes[n++] = (char)(0xF0 | code >> 18);
        bytes[n++] = (char)(0x80 | (code >> 12 & 0x3F));
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3F));
    }
    if (code >= 0x80)
        bytes[n++] = (char)(0x80 | (code & 0x3F));
    buffer_add(out, bytes, n);
}

/* The character of the escape whose backslash is at `at`; returns what follows. */
static const char *add_escape(Buffer *out, const char *at, const char *end)
{
    static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *name;
    unsigned code;

    at++;
    if (at >= end)
        return end;
    if (*at != 'u' || end - at < 5) {
        name = strchr(names, *at);
        buffer_add(out, name != NULL ? &meant[name - names] : at, 1);
        return at + 1;
    }
    code = hex4(at + 1);
    at += 5;
    if (code >= 0xD800 && code < 0xDC00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
        code = 0x10000 + ((code - 0xD800) << 10) + (hex4(at + 2) - 0xDC00);
        at += 6;
    }
    add_utf8(out, code);
    return at;
}

static void add_decoded(Buffer *out, Piece string)
{
    const char *at = string.at + 1, *end = string.at + string.length - 1;

    while (at < end) {
        size_t plain = 0;

        while (at + plain < end && at[plain] != '\\')
            plain++;
        buffer_add(out, at, plain);
        at += plain;
        if (at < end)
            at = add_escape(out, at, end);
    }
}

static void add_quoted(Buffer *out, const char *text, size_t length, bool always)
{
    bool plain = !always && length > 0 && text[0] != ' ' && text[length - 1] != ' ';

    for (size_t i = 0; i < length && plain; i++)
        plain = strchr(",\"\r\n", text[i]) == NULL;
    if (plain) {
        buffer_add(out, text, length);
        return;
    }
    buffer_add(out, "\"", 1);
    for (size_t i = 0; i < length; i++)
        buffer_add(out, text[i] == '"' ? "\"\"" : &text[i], text[i] == '"' ? 2 : 1);
    buffer_add(out, "\"", 1);
}

static void add_field(Buffer *out, Piece value)
{
    Buffer text = {0};

    if (value.length == 0 || value.at[0] == 'n') /* null */
        return;
    if (value.at[0] == '"') {
        add_decoded(&text, value);
        if (text.length > 0 && strchr("=+-@\t\r", text.data[0]) != NULL) {
            Buffer guarded = {0};

            buffer_add(&guarded, "'", 1);
            buffer_add(&guarded, text.data, text.length);
            buffer_free(&text);
            text = guarded;
        }
        add_quoted(out, text.data != NULL ? text.data : "", text.length, false);
    } else if (value.at[0] == '{' || value.at[0] == '[') {
        json_camel_case(&text, value.at, value.length, NULL);
        add_quoted(out, text.data, text.length, true);
    } else {
        buffer_add(out, value.at, value.length);
    }
    buffer_free(&text);
}

void csv_record(Buffer *out, const char *columns, const char *json, size_t length)
{
    Piece values[CSV_MAX_COLUMNS] = {{NULL, 0}}, name;
    int number = 0;

    find_members(values, columns, json, length);
    for (const char *at = columns; (at = next_name(at, &name)) != NULL; at = after_name(at), number++) {
        if (number > 0)
            buffer_add(out, ",", 1);
        if (number < CSV_MAX_COLUMNS)
            add_field(out, values[number]);
    }
    buffer_add(out, "\r\n", 2);
}
