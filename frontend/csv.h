/*
 * csv.h
 *    Rows as RFC 4180 has them: lines end with CR LF, the first one names the columns, a field with a comma,
 *    quote or line break is quoted, quotes in it are doubled.
 *
 * Spreadsheets take a text that begins with = + - or @ for a formula and run it: such a text (never a number)
 * gets an apostrophe before it, as OWASP advises. A missing value is an empty field, an empty text is "".
 */
#ifndef HAILD_CSV_H
#define HAILD_CSV_H

#include "memory.h"

#define CSV_MAX_COLUMNS 32

/* The line of names: `columns` is "account_id|amount", the names go out in camelCase. */
extern void csv_header(Buffer *out, const char *columns);

/*
 * One line from a JSON object, as PostgreSQL prints it: the members that `columns` names, in that order.
 * Objects and arrays go out as their JSON text.
 */
extern void csv_record(Buffer *out, const char *columns, const char *json, size_t length);

#endif
