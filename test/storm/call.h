/*
 * call.h
 *    One thing that a person asks for, over a database connection of its own (as user hail_front, as haild
 * does: token, call, sync in one pipeline) or over HTTP. Nothing here waits, but lines_wait().
 */
#ifndef STORM_CALL_H
#define STORM_CALL_H

#include "storm.h"

typedef enum Verb {
    ACCEPT,   /* trip, driver */
    DECLINE,  /* trip, driver */
    CANCEL,   /* trip */
    OFFLINE,  /* driver */
    SUSPEND,  /* driver */
    TICK,     /* */
    QUOTE,    /* customer */
    REQUEST,  /* quote, payment method, key, strategy */
    OFFERED,  /* trip */
    CODE,     /* trip */
    BID,      /* trip, driver: the price as it is */
    CHOOSE,   /* trip, bid */
    ARRIVE,   /* trip */
    START,    /* trip, code */
    COMPLETE, /* trip */
    VERB_COUNT
} Verb;

extern const char *verb_name(Verb verb);

typedef enum CallState {
    CALL_OPEN,
    CALL_DONE,
    CALL_REFUSED,
    CALL_BROKEN /* no answer: fate unknown */
} CallState;

typedef struct Call {
    Verb verb;
    const Person *by;
    const char *args[4];
    CallState state;
    char code[48];   /* of a refusal: word of src/base/sqlstate.h, or the SQLSTATE */
    char value[256]; /* of an answer; ACCEPT, CHOOSE: the trip's driver */
    bool already;    /* ACCEPT: already_accepted */
    double answered; /* wall s */
} Call;

/* A database connection. */
typedef struct Line {
    PGconn *pg; /* NULL: closed */
    Call *call; /* waiting for its answer */
} Line;

/* Open and prepare; false when the server does not let us in (now). */
extern bool line_open(Line *line);
extern void line_close(Line *line);

/*
 * Send a call. With `barrier` the server stops between token and call until nobody holds advisory lock
 * BARRIER exclusively.
 */
#define BARRIER 7
extern void line_send(Line *line, Call *call, bool barrier);

/* Take what has arrived, without waiting; true when the line's call has its answer (line->call is NULL then).
 */
extern bool line_receive(Line *line);

/* Has the server hung up? For a line without a call. */
extern bool line_hung_up(Line *line);

/* Wait until something arrives on one of the lines. */
extern void lines_wait(Line *lines, int count, double timeout_s);

/* Queue the call on the HTTP client of the replay (http_init() first); http_poll() moves it. */
extern bool call_has_http(Verb verb);
extern void call_send_http(Call *call);

#endif
