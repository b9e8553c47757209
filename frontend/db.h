/*
 * db.h
 *    The database side of a request: a pool of connections and one call, one round trip.
 *
 * A call is a pipeline: hail.begin_request (settings, token), the route's own statement, sync. Up
 * to the sync it is one transaction: on any error nothing took effect. Statements are prepared on each
 * connection at first use, within the same round trip. The call of a merged route (merge.h) does without
 * hail.begin_request: its tokens are among its values, and every connection has its time limit anyway.
 *
 * A connection is taken last and given back as soon as the answer is read. Serialization failures and
 * deadlocks are sent again up to 3 times. When a connection breaks under a call, the call is sent again
 * (once, on a new connection) only if nothing can have been committed or the route says that it may be
 * repeated.
 */
#ifndef HAILD_DB_H
#define HAILD_DB_H

#include <libpq-fe.h>

#include "config.h"
#include "error_map.h"
#include "router.h"

typedef struct DbCall {
    int route;         /* index into router.routes: names the prepared statement */
    bool remedy;       /* the statement is the route's remedy (router.h), not its own */
    const char *token; /* unused for a merged route */
    const char *request_id;
    const char *const *values; /* $1 ... of the route's SQL, text; NULL: SQL NULL */
    int value_count;
    bool repeatable; /* may be sent again even if it may have been committed */
} DbCall;

typedef struct DbReply {
    PGresult *result; /* on success, the rows; release with db_reply_free */
    bool failed;
    ErrorKind error;   /* what follows is set on failure */
    char message[512]; /* the database's message if meant for callers, else "" */
    char hint[512];    /* "" : none */
    char field[64];    /* argument at fault, snake_case; "" : none */
    char sqlstate[6];  /* the database's own; "" : the error is the front's */
    int retry_after_s; /* 0: not said */
} DbReply;

extern void db_init(const Config *config);
extern void db_close(void);
extern void db_call(const DbCall *call, DbReply *reply);

/* Make `reply` the failure that the database means by these; NULL: not given. */
extern void db_reply_fail(DbReply *reply, const char *sqlstate, const char *message, const char *hint,
                          const char *field);
extern void db_reply_free(DbReply *reply);

/* What is allowed a minute, as the database said last; 0: any number, or not said yet. */
typedef enum DbRate {
    RATE_REPORT,
    RATE_PORTER_REPORT,
    RATE_TRIP_REQUEST,
    RATE_DRIVER_RESPONSE,
    RATE_TRIP_STATUS,
    RATE_PARTNER_ORDER,
    RATE_QUOTE,
    RATE_ESTIMATE,
    RATE_COUNT
} DbRate;

extern int db_rate(DbRate rate);

/* The class's name, as in hail.rate_limits(). */
extern const char *db_rate_name(DbRate rate);

/* Run one parameterless statement without a token (health checks). NULL on success, else what is wrong. */
extern const char *db_probe(const char *sql);

#endif
