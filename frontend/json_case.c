/* Keys to camelCase in one pass over the text; see json_case.h. */
#include "json_case.h"

#include <ctype.h>
#include <string.h>

void json_camel_name(Buffer *out, const char *name, size_t length)
{
    char *to;

    buffer_reserve(out, length);
    to = out->data + out->length;
    for (size_t i = 0; i < length; i++) {
        /* A leading underscore stays: it is part of the word. */
        if (name[i] == '_' && i > 0 && i + 1 < length && isalnum((unsigned char)name[i + 1]))
            *to++ = (char)toupper((unsigned char)name[++i]);
        else
            *to++ = name[i];
    }
    out->length = (size_t)(to - out->data);
    *to = '\0';
}

/* Past the closing quote of the string whose text begins at `at`. */
static const char *string_end(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return at < end ? at + 1 : end;
}

static void snake_name(Buffer *out, const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char small = (char)tolower((unsigned char)name[i]);

        if (isupper((unsigned char)name[i]) && i > 0)
            buffer_add(out, "_", 1);
        buffer_add(out, &small, 1);
    }
}

/* Copies JSON; each key that `concerns` sees goes through `rename`. */
static void convert_keys(Buffer *out, const char *json, size_t length,
                         bool (*concerns)(const char *name, size_t length),
                         void (*rename)(Buffer *out, const char *name, size_t length))
{
    const char *at = json, *end = json + length, *copied = json;

    buffer_reserve(out, length);
    while (at < end) {
        const char *text, *after;

        if (*at != '"') {
            at++;
            continue;
        }
        text = at + 1;
        at = string_end(text, end);
        for (after = at; after < end && isspace((unsigned char)*after);)
            after++;
        /* A string is a key exactly when a colon follows it. */
        if (after < end && *after == ':' && concerns(text, (size_t)(at - 1 - text))) {
            buffer_add(out, copied, (size_t)(text - copied));
            rename(out, text, (size_t)(at - 1 - text));
            copied = at - 1;
        }
    }
    buffer_add(out, copied, (size_t)(end - copied));
}

static bool has_underscore(const char *name, size_t length)
{
    return memchr(name, '_', length) != NULL;
}

static bool has_capital(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            return true;
    return false;
}

void json_camel_case(Buffer *out, const char *json, size_t length)
{
    convert_keys(out, json, length, has_underscore, json_camel_name);
}

void json_snake_case(Buffer *out, const char *json, size_t length)
{
    convert_keys(out, json, length, has_capital, snake_name);
}
