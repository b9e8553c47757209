/*
 * error_map.h
 *    From what went wrong to a code word and an HTTP status. The registry (src/base/sqlstate.h) comes first;
 * what only HTTP knows, and what PostgreSQL says with SQLSTATEs of its own, is listed here.
 */
#ifndef HAILD_ERROR_MAP_H
#define HAILD_ERROR_MAP_H

#include <stdbool.h>

#include "base/sqlstate.h"

/* clang-format off */
/*                 symbol                     code word                 HTTP  message when there is no better one */
#define FRONT_ERRORS(X) \
    X(FRONT_BAD_REQUEST,          "bad_request",             400, "the request is malformed") \
    X(FRONT_INVALID_JSON,         "invalid_json",            400, "the body is not valid JSON") \
    X(FRONT_UNKNOWN_PATH,         "not_found",               404, "there is nothing at this path") \
    X(FRONT_METHOD_NOT_ALLOWED,   "method_not_allowed",      405, "this path does not answer to this method") \
    X(FRONT_CONFLICT,             "conflict",                409, "the request conflicts with what is stored") \
    X(FRONT_PAYLOAD_TOO_LARGE,    "payload_too_large",       413, "the body is larger than 1 MB") \
    X(FRONT_UNSUPPORTED_MEDIA,    "unsupported_media_type",  415, "the body must be application/json") \
    X(FRONT_HEADERS_TOO_LARGE,    "headers_too_large",       431, "the request has too many headers, or too long ones") \
    X(FRONT_INTERNAL,             "internal_error",          500, "something went wrong on our side") \
    X(FRONT_BUSY,                 "serialization_failure",   503, "too many requests change the same thing; try again") \
    X(FRONT_OVERLOADED,           "overloaded",              503, "the service is at its limit; try again") \
    X(FRONT_UNAVAILABLE,          "database_unavailable",    503, "the service is not available right now; try again") \
    X(FRONT_TIMEOUT,              "timeout",                 504, "the request took too long and was cancelled")
/* clang-format on */

typedef enum FrontError {
#define X(symbol, code, http, message) symbol,
    FRONT_ERRORS(X)
#undef X
        FRONT_ERROR_COUNT
} FrontError;

typedef struct ErrorKind {
    const char *code;
    int http_status;
    const char *message; /* NULL: the database's own message is meant for callers */
    bool expected;       /* false: log it as an error */
} ErrorKind;

extern ErrorKind error_front(FrontError error);
extern ErrorKind error_registry(HailError error);

/* What an error of the database means to an HTTP client. Never fails: the unknown is internal_error. */
extern ErrorKind error_from_sqlstate(const char *sqlstate);

/* Worth sending the same transaction again: serialization failure, deadlock. */
extern bool sqlstate_is_retryable(const char *sqlstate);

/* The server took the connection away; the transaction did not commit. */
extern bool sqlstate_is_shutdown(const char *sqlstate);

/* "Not Found" for 404. */
extern const char *http_status_text(int status);

#endif
