/*
 * worker.h
 *    One skeleton for all background workers: a worker is a name and a table of steps.
 *
 * A step runs in a transaction of its own, with the rights of hail_owner; to functions that ask who is
 * calling it is an administrator. When it fails, the error is logged, the step is tried again a second later
 * and the other steps go on. In recovery, and while the database has no extension pg_hail, no step runs.
 */
#ifndef HAIL_WORKER_H
#define HAIL_WORKER_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "base/statement.h"

typedef enum WorkerOutcome { WORKER_DONE, WORKER_FAILED, WORKER_NO_EXTENSION } WorkerOutcome;

typedef struct WorkerStep {
    const char *name;
    bool (*wanted)(void); /* worth a transaction? outside one, cheap, no errors; NULL: always */
    int64 (*run)(void);   /* do the work that is due, inside SPI; returns rows. NULL: run `statement` */
    const char
        *function; /* name of the function of schema hail that `statement` calls; passed over while missing */
    HailStatement statement; /* its one result is a bigint: rows */
    const int *interval_ms;  /* time between two runs; read anew each time */
    bool on_clock; /* also due when that much time of hail.clock() has passed, or the clock was set back */
    const char *worker;  /* that runs it; NULL: the keeper */
    bool (*again)(void); /* did the last run leave some of the work that was due? Then the next is due at
                            once, after the other steps; NULL: never */
    WorkerOutcome (*pass)(
        void); /* instead of `run`: makes its transactions itself, by worker_transaction() */

    /* state of the process that runs it */
    int64 due_ms;       /* monotonic milliseconds; 0: now */
    TimestampTz ran_at; /* hail.clock() of the last run */
} WorkerStep;

/* Wake the dispatcher when this transaction commits: a trip waits for its first round. */
extern void worker_wake_dispatcher_at_commit(void);

extern void worker_init(void);

/* Main function of every worker: runs the steps that are its own; never returns. */
extern void worker_main(const char *name, WorkerStep *steps, int count) pg_attribute_noreturn();

/*
 * For a pass: run `body` in a transaction of its own, with what every step has: epoch looked at, rights of
 * hail_owner, SPI. An error is logged and the transaction aborted: WORKER_FAILED, and worker_error() tells
 * what it was. Memory of the caller's context survives.
 */
extern WorkerOutcome worker_transaction(const char *activity, void (*body)(void *), void *argument);
extern const char *worker_error(const char **sqlstate);

/* Run a step in the transaction of the caller, inside SPI. Returns its rows; -1: its SQL function is missing.
 */
extern int64 worker_run_step(WorkerStep *step);

/* The same, until none of the work is left that was due at the call. */
extern int64 worker_run_whole_step(WorkerStep *step);

/* How long the dispatcher waits for a row: it has other trips to serve, and one that is held stays due. */
#define DISPATCHER_LOCK_TIMEOUT "200ms"

/* Names of the workers, also their kinds in pg_stat_activity. */
#define WORKER_KEEPER     "hail keeper"
#define WORKER_DRAINER    "hail drainer"
#define WORKER_DISPATCHER "hail dispatcher"

/* Entry points of the background workers. */
extern PGDLLEXPORT void hail_keeper_main(Datum arg);
extern PGDLLEXPORT void hail_drainer_main(Datum arg);
extern PGDLLEXPORT void hail_dispatcher_main(Datum arg);

/* wake.c: the dispatcher makes itself known here, and asks whether it was woken since it last asked. */
extern void wake_init(void);
extern void wake_register_dispatcher(void);
extern bool wake_was_requested(void);

#endif
