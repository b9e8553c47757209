/*
 * http.h
 *    Many HTTP requests at once over a bounded number of connections, from one thread.
 *
 * A request is queued, sent when a connection is free, and answered by a call of its `done` function. What a
 * client of the API does by itself is done here: a request that got no answer (connection lost), or 503, is
 * sent again with the same Idempotency-Key after a short wait, for as long as HttpOptions.retry_s.
 */
#ifndef REPLAY_HTTP_H
#define REPLAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "util.h"

/* What is measured apart. */
typedef enum Endpoint {
    EP_LOCATION, /* sent only when nothing else waits: there will be another one soon */
    EP_ONLINE,
    EP_OFFERS,
    EP_NEARBY,
    EP_SURGE,
    EP_QUOTE,
    EP_REQUEST,
    EP_MATCHING,
    EP_TRIP,
    EP_RESPONSE,
    EP_STATUS,
    EP_CANCEL,
    EP_EARNINGS,
    EP_WALLET,
    EP_COUNT
} Endpoint;

extern const char *const endpoint_names[EP_COUNT];

typedef struct HttpOptions {
    const char *base_url; /* without a slash at its end */
    int connections;      /* requests in flight at most */
    double retry_s;       /* wall seconds a request is repeated for; 0: never */
    bool retry_401;       /* the server's test clock may be away after a crash: 401 is repeated too */
} HttpOptions;

typedef struct HttpReply {
    long status;      /* 0: no answer */
    json_t *data;     /* member `data` of a success; NULL otherwise. Borrowed. */
    const char *code; /* error code word; "" on success, "no_answer" without one */
    int sent;         /* how many times the request went out */
    double asked_at;  /* clock second at which it first went out */
} HttpReply;

typedef void (*HttpDone)(void *who, const HttpReply *reply);

extern void http_init(const HttpOptions *options);

/*
 * Queue a request. `path` is below the base URL; `body` NULL: none; `key` NULL: no Idempotency-Key. path,
 * body and key are copied; `token` must stay.
 */
extern void http_send(Endpoint endpoint, const char *method, const char *path, const char *token,
                      const char *key, const char *body, HttpDone done, void *who);

/* Move data and call `done` functions; waits up to `timeout_s` for something to happen. */
extern void http_poll(double timeout_s);

extern size_t http_pending(void); /* queued, in flight or waiting to be repeated */
extern size_t http_queued(void);

/* Longest wait (wall s) for a free connection since the last call; what still waits counts too. */
extern double http_longest_wait(void);

/* Errors by endpoint and code, told apart by the callers: an outcome one expects of a race, or not. */
extern void http_count_error(Endpoint endpoint, const HttpReply *reply, bool expected);

typedef struct HttpError {
    Endpoint endpoint;
    long status;
    char code[48];
    bool expected;
    long count;
} HttpError;

typedef struct HttpStats {
    long requests, answers, retries,
        server_errors;         /* server_errors: 5xx and lost connections, each attempt */
    Samples latency[EP_COUNT]; /* wall ms, from being sent to the answer */
    Samples queue_wait;        /* wall ms, from being queued to being sent */
    HttpError *errors;
    size_t error_count;
} HttpStats;

extern HttpStats http_stats;

/* Wall seconds (wall_now) at which the server was found to be away, at most one entry per 0.2 s. */
extern const double *http_outages(size_t *count);
extern void http_note_outage(void);

#endif
