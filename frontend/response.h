/*
 * response.h
 *    What goes out: the envelope, errors in both forms, and the headers every answer has.
 */
#ifndef HAILD_RESPONSE_H
#define HAILD_RESPONSE_H

#include "db.h"
#include "request.h"

/* Success: {"success":true,"data":...,"meta":...} from the rows of the route's statement. */
extern void respond_rows(Request *request, const PGresult *rows);

/* The same from a row of columns, from `first` on: an object with their names in camelCase. */
extern void respond_columns(Request *request, const PGresult *rows, int row, int first);

/* Success with data that is JSON already. */
extern void respond_data(Request *request, int status, const char *json);

/* An answer as it is: no envelope. `body` may be NULL for none. */
extern void respond_plain(Request *request, int status, const char *content_type, const char *body);

/* Failure, with request->errors as details. message and hint may be NULL. */
extern void respond_error(Request *request, ErrorKind kind, const char *message, const char *hint);
extern void respond_db_error(Request *request, const DbReply *reply);

/* 405 with Allow; an answer to OPTIONS (preflight or not). */
extern void respond_method_not_allowed(Request *request, const char *allow);
extern void respond_options(Request *request, const char *allow);

/* True when the Origin header is on the allow-list. */
extern bool origin_is_allowed(const Request *request);

/* Set when the server stops: answers then close their connection. */
extern void response_set_draining(void);

#endif
