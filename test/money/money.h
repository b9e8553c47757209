/*
 * money.h
 *    The data model of the money storm: who takes part, what an operation is, what all processes share.
 *
 * main.c forks: CLIENTS clients (client.c), each with a connection of its own and a journal on disk,
 * attackers and an auditor (bystanders.c), and kills processes of the server meanwhile. All choices come from
 * one seed; what the server does in which order does not, so two runs are alike and not equal.
 */
#ifndef MONEY_H
#define MONEY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <libpq-fe.h>

#include "util.h"

#define CLIENTS    32
#define ATTACKERS  2
#define CURRENCIES 2
#define WALLETS    400 /* of each currency, every fourth a driver's */
#define HOT        4   /* of these, half of all operations */
#define SYSTEMS    4   /* system accounts of each currency */
#define ARGS       4
#define ARG_SIZE   4096
#define RING       256 /* operations that others may repeat, things that others may go on with */
#define TALLIES    256

typedef struct Options {
    long operations, kills;
    uint64_t seed;
    const char *db;        /* conninfo without a user */
    const char *directory; /* of the cluster, for scripts/cluster.sh; journals are written to it */
    const char *report_file;
} Options;

typedef enum Verb {
    POST,
    BATCH, /* several postings in one call: all or none, or each on its own */
    HOLD,
    CAPTURE,
    RELEASE,
    REVERSE,
    RIDE,     /* a trip from its quote to its start */
    COMPLETE, /* it is paid */
    CANCEL,   /* its hold is given back, a fee may be due */
    TOLL,     /* of anybody's trip under way */
    PROMOTE,
    TIP, /* of anybody's trip that has ended */
    TRIP_REFUND,
    RETRY,    /* what is due is paid otherwise */
    WITHDRAW, /* asked for by the client's driver; anybody decides about it */
    APPROVE,
    REJECT,
    SETTLE,
    FAIL,
    RETURN,
    DEPOSIT, /* asked for; the gateway tells by signed events whether it was paid */
    REFUND,
    TELL, /* such an event: of an intent, a trip's charge or a refund, now and then forged */
    VERB_COUNT
} Verb;

typedef struct Op {
    Verb verb;
    bool by_driver; /* in the name of this client's driver, not of the administrator */
    char key[40];
    char args[ARGS][ARG_SIZE];
    bool null[ARGS];
    const char *must_fail; /* code word of the refusal that is due; NULL: may be done */
    char result[80];       /* of an acknowledged one */
} Op;

typedef enum Outcome {
    DONE,    /* acknowledged */
    REFUSED, /* an error: it must not be there */
    UNKNOWN  /* no answer, and not asked again: there once or not at all */
} Outcome;

typedef struct Tally {
    char name[32], detail[48];
    long count;
} Tally;

/* Ids of what clients made lately: anybody may go on with it. */
typedef struct Ring {
    char ids[RING][40];
    long count;
} Ring;

/* In memory that all processes share; strings and counts under `lock`. */
typedef struct Shared {
    pthread_mutex_t lock;
    Op ops[RING]; /* lately sent: somebody else sends the same at the same time */
    long op_count;
    Ring holds, withdrawals, intents, refunds, rides, trips;
    Tally tallies[TALLIES];
    int tally_count;
    _Atomic long done, problems, retries, repeats;
    _Atomic bool stop;
    _Atomic pid_t backends[CLIENTS]; /* 0: not connected */
} Shared;

typedef struct World {
    Options options;
    char wallets[CURRENCIES][WALLETS][37], systems[CURRENCIES][SYSTEMS][37], closed[37];
    char riders[CLIENTS][37], drivers[CLIENTS][37];
    char *token; /* of the administrator in whose name most is done */
    char *driver_tokens[CLIENTS];
} World;

extern World world;
extern Shared *shared;

/* main.c */
extern PGconn *connect_as(const char *user, double patience_s); /* dies after that time */
extern void problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void tally(const char *name, const char *detail, long count);
extern const char *
code_of(const PGresult *r); /* code word of an error, or its SQLSTATE; "" when broken off */

/* operations.c: what is done, in proportion; `client` makes keys and trips its own. */
extern const char *verb_name(Verb verb);
extern const char *verb_sql(Verb verb);
extern int verb_args(Verb verb);
extern bool may_refuse(Verb verb, const char *code); /* is that refusal right at times? */
extern void draw_operation(Op *op, int client);
extern void remember_operation(const Op *op); /* an acknowledged one of this client */

/* client.c, bystanders.c: run until shared->stop, then exit. */
extern void client_run(int client) __attribute__((noreturn));
extern void attacker_run(int attacker) __attribute__((noreturn));
extern void folder_run(void) __attribute__((noreturn));
extern void auditor_run(void) __attribute__((noreturn));

#endif
