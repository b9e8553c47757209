/*
 * values.h
 *    Is a value of the declared type and within its limits? Pure: text or JSON in, SQL text or a reason out.
 */
#ifndef HAILD_VALUES_H
#define HAILD_VALUES_H

#include <jansson.h>

#include "memory.h"
#include "router.h"

/* The text to bind for a value of a query, path or header; NULL: `*reason` says what is wrong (arena). */
extern const char *value_from_text(const Param *param, const char *text, Arena *arena, const char **reason);

/* The same for a JSON value that is not null. */
extern const char *value_from_json(const Param *param, const json_t *value, Arena *arena,
                                   const char **reason);

/* An item of a PostgreSQL array literal, in quotes whatever it holds. */
extern void array_literal_item(Buffer *literal, const char *text);

/* The limits of a TYPE_MONEY parameter. */
extern double money_min(const Param *param);
extern double money_max(const Param *param);

/* A number as JSON writes it: no NaN, infinity, hex, leading plus or zeros; finite as a double. */
extern bool text_is_number(const char *text, double *value);
extern bool text_is_uuid(const char *text);
extern bool text_is_timestamp(const char *text);

/*
 * Does JSON text nest at most `limit` arrays and objects? To be asked before parsing: the parser calls itself
 * for each level, and civetweb's threads have stacks of 100 kB.
 */
extern bool json_nests_within(const char *json, size_t length, int limit);

/*
 * The name ("entries[1].amount") of the member whose value the byte at `position` belongs to or ends; false
 * when it is in none, or the name is longer than `size`. What stands before it is JSON, nested 32 levels at
 * most.
 */
extern bool json_member_at(const char *json, size_t position, char *name, size_t size);

/* One of "a|b|c"? NULL lists nothing. */
extern bool value_in(const char *values, const char *text);

/*
 * Does an Accept header (RFC 9110; NULL: none) ask for `type` by name, and no less than for `usual`?
 * Wildcards name nothing: who does not care gets the usual.
 */
extern bool accept_prefers(const char *accept, const char *type, const char *usual);

#endif
