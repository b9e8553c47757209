/*
 * request.h
 *    One request: what came in, checked, and the values it binds.
 *
 * Order of work (server.c): framing, path, token, body, values, the database call, the answer. Whatever is
 * wrong is answered at the first step that sees it, all wrong fields of a request together.
 */
#ifndef HAILD_REQUEST_H
#define HAILD_REQUEST_H

#include <civetweb.h>
#include <jansson.h>

#include "config.h"
#include "memory.h"
#include "router.h"

#define REQUEST_BODY_LIMIT       (1024 * 1024)
#define REQUEST_MAX_FIELD_ERRORS 50
#define REQUEST_MAX_IGNORED      20
#define REQUEST_ID_SIZE          129
#define TOKEN_LIMIT              8192

typedef struct FieldError {
    const char *field, *message; /* arena */
} FieldError;

/* A parameter of the query, decoded. */
typedef struct QueryPair {
    const char *name, *value; /* arena */
} QueryPair;

#define REQUEST_MAX_QUERY_PAIRS 32

typedef struct Request {
    struct mg_connection *connection;
    const struct mg_request_info *info;
    const Config *config;
    Arena *arena;
    Buffer *body_in;  /* the raw body */
    Buffer *body_out; /* the answer's body */
    Buffer *head_out;
    char id[REQUEST_ID_SIZE];
    const char *token; /* after "Bearer "; NULL: none */
    PathValues path_values;
    json_t *body;    /* an object, or NULL */
    int route_index; /* of the row being served; -1: none found */
    const Route *route;
    QueryPair query[REQUEST_MAX_QUERY_PAIRS];
    int query_count;
    const char *values[ROUTE_MAX_PARAMS];
    int value_count;
    const char *ignored[REQUEST_MAX_IGNORED]; /* members of the body that the row ignores; arena */
    int ignored_count;
    const char *remedy;        /* JSON that goes with the error as route->remedy->member; NULL: none */
    const char *cache_control; /* of the answer; NULL: no-store */
    FieldError errors[REQUEST_MAX_FIELD_ERRORS];
    int error_count;
    bool close; /* the connection can't be used for another request */
    int status; /* what was answered */
} Request;

/* What is wrong with the framing (answer 400 and close), or NULL. The smuggling tricks end here. */
extern const char *request_framing_fault(const Request *request);

/* civetweb keeps 64 headers and drops the rest unseen: what was dropped could have been framing. */
extern bool request_has_too_many_headers(const Request *request);

/* Keep the client's Request-Id when it is printable and at most 128 bytes, else make one. */
extern void request_take_id(Request *request);

/* The bearer token: false when there is none. */
extern bool request_take_token(Request *request);

/* True when the Accept header asks for the media type, and no less than for application/json. */
extern bool request_accepts(const Request *request, const char *media_type);

/* The answer is to be text/csv. */
extern bool request_wants_csv(const Request *request);

typedef enum BodyResult {
    BODY_OK,
    BODY_TOO_LARGE,
    BODY_WRONG_TYPE, /* its media type is not the row's */
    BODY_INCOMPLETE,
    BODY_INVALID,
    BODY_WRONG_VALUE
} BodyResult;

/*
 * Read and parse the body into request->body. BODY_INVALID leaves the reason in errors[0] (field ""),
 * BODY_WRONG_VALUE in errors[0] with the field.
 */
extern BodyResult request_take_body(Request *request);

/* Choose among rows that share method and path. False: errors name the field that should choose. */
extern bool request_choose_route(Request *request, int first, int variants);

/* Check every parameter and bind it; refuse what is not declared. False: errors say why. */
extern bool request_bind(Request *request);

extern void request_error(Request *request, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
