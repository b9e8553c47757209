/*
 * json_case.h
 *    The one place where snake_case (SQL) becomes camelCase (HTTP).
 */
#ifndef HAILD_JSON_CASE_H
#define HAILD_JSON_CASE_H

#include "memory.h"

/*
 * Append `json` (valid JSON text, as PostgreSQL prints it) with every object key in camelCase; values stay as
 * they are. Members named in `unseen` (snake_case, ends with NULL; NULL: none) are left out where they are
 * null.
 */
extern void json_camel_case(Buffer *out, const char *json, size_t length, const char *const *unseen);

/* Append a snake_case name in camelCase: an underscore before a letter or digit goes, that letter becomes a
 * capital. */
extern void json_camel_name(Buffer *out, const char *name, size_t length);

/* The way back, for JSON whose members the database reads: keys from camelCase to snake_case. */
extern void json_snake_case(Buffer *out, const char *json, size_t length);

#endif
