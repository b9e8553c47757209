/*
 * storm.h
 *    The data model of the storms: options, people, what is told to people and to programs at the end.
 *
 * One thread. Everything goes through calls (call.h): a person asks the database, or haild, for one thing.
 *   race.c   64 drivers accept one trip at the same moment, over and over; over SQL and over HTTP
 *   crash.c  trips are accepted and completed while processes of the server are killed
 *   report.c what came out
 */
#ifndef STORM_H
#define STORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "util.h"

#define GROUPS        16 /* races of a batch; world.sql places so many groups */
#define SEATS         64 /* drivers of a group, all of whom want its trip */
#define CRASH_DRIVERS 40
#define LANES         24 /* customers of the crash storm, each with a trip under way */

typedef struct Options {
    long races, http_races, kills;
    uint64_t seed;
    const char *db;        /* conninfo, without a user */
    const char *url;       /* of haild's API */
    const char *directory; /* of the cluster, for scripts/cluster.sh; acknowledgements are logged in it */
    const char *report_file;
} Options;

typedef struct Person {
    char id[37];
    char *token;
} Person;

typedef struct World {
    Options options;
    PGconn *db; /* superuser */
    Person drivers[GROUPS][SEATS], customers[GROUPS][2], admin;
    Person crash_drivers[CRASH_DRIVERS], crash_customers[LANES];
} World;

extern World world;

/* world.c */
extern void world_connect(void);          /* waits up to a minute for the server */
extern void world_make(const char *file); /* load the SQL file, make everybody */
extern void world_report(void);           /* all drivers report where they are: at least once a minute */

/* Run a query as superuser; ends the program when it fails. */
extern PGresult *world_query(const char *sql, int count, const char *const *values);

/* Append to an array literal under construction; quotes nothing. NULL: a null element. */
extern void array_add(char **array, const char *value);

/* race.c: returns after `count` races over SQL, or over HTTP. */
extern void races_run(long count, bool http);

/* crash.c */
extern void crashes_run(long kills);

/* report.c: findings are printed as they come (the first few) and fail the test named. */
typedef enum Test {
    TEST_ONE_WINNER, /* what racers were told: one success, the others refused with the right word */
    TEST_RETRIES,    /* the winner's retries */
    TEST_ROWS,       /* the rows agree with what was told */
    TEST_CRASH,      /* after a recovery: acknowledged is there, nothing half done */
    TEST_RECOVERY,   /* the server came back and trips went on */
    TEST_COUNT
} Test;

extern void report_problem(Test test, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void report_answer(const char *where, const char *verb, const char *code); /* counted by code word */
extern void report_latency(bool http, double ms);                  /* from the start of a race */
extern void report_race(bool http, const char *kind);              /* a race is over */
extern void report_kill(const char *victim, double recovery_s);    /* a recovery is over */
extern void report_count(const char *what, long count);            /* adds up */
extern void report_rules(const char *when, Test test, bool print); /* storm.check(); with a line each */
extern int report_end(void);                                       /* prints, writes; exit status */

#endif
