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

static const char *skip_spaces(const char *at, const char *end)
{
    while (at < end && isspace((unsigned char)*at))
        at++;
    return at;
}

/* Past the null that follows the colon, if the name is one of those; else NULL. */
static const char *unseen_end(const char *const *unseen, const char *name, size_t length, const char *colon,
                              const char *end)
{
    const char *value = skip_spaces(colon + 1, end);

    if (unseen == NULL || end - value < 4 || memcmp(value, "null", 4) != 0)
        return NULL;
    for (; *unseen != NULL; unseen++)
        if (strncmp(*unseen, name, length) == 0 && (*unseen)[length] == '\0')
            return value + 4;
    return NULL;
}

/* Take back the comma before a member that is left out; where there is none, go past the one after it. */
static const char *drop_comma(Buffer *out, const char *after, const char *end)
{
    size_t length = out->length;

    while (length > 0 && isspace((unsigned char)out->data[length - 1]))
        length--;
    if (length > 0 && out->data[length - 1] == ',') {
        out->length = length - 1;
        out->data[out->length] = '\0';
        return after;
    }
    after = skip_spaces(after, end);
    return after < end && *after == ',' ? skip_spaces(after + 1, end) : after;
}

/* Copies JSON; each key that `concerns` sees goes through `rename`. */
static void convert_keys(Buffer *out, const char *json, size_t length,
                         bool (*concerns)(const char *name, size_t length),
                         void (*rename)(Buffer *out, const char *name, size_t length),
                         const char *const *unseen)
{
    const char *at = json, *end = json + length, *copied = json;

    buffer_reserve(out, length);
    while (at < end) {
        const char *text, *after, *null_end;

        if (*at != '"') {
            at++;
            continue;
        }
        text = at + 1;
        at = string_end(text, end);
        after = skip_spaces(at, end);
        /* A string is a key exactly when a colon follows it. */
        if (after == end || *after != ':')
            continue;
        null_end = unseen_end(unseen, text, (size_t)(at - 1 - text), after, end);
        if (null_end != NULL) {
            buffer_add(out, copied, (size_t)(text - 1 - copied));
            at = copied = drop_comma(out, null_end, end);
        } else if (concerns(text, (size_t)(at - 1 - text))) {
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

void json_camel_case(Buffer *out, const char *json, size_t length, const char *const *unseen)
{
    convert_keys(out, json, length, has_underscore, json_camel_name, unseen);
}

void json_snake_case(Buffer *out, const char *json, size_t length)
{
    convert_keys(out, json, length, has_capital, snake_name, NULL);
}
