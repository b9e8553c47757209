/*
 * worker.h
 *    One skeleton for all background workers: a worker is a name and a table of steps.
 *
 * A step runs in a transaction of its own, under a savepoint-free error catch: an error is logged, the other
 * steps go on. Each returns the time at which it wants to run again. In recovery steps do not run.
 */
#ifndef HAIL_WORKER_H
#define HAIL_WORKER_H

#include "postgres.h"
#include "datatype/timestamp.h"

typedef struct WorkerStep {
    const char *name;
    /* Do the work that is due; returns wall-clock milliseconds until the next call. Inside SPI and a transaction. */
    long (*run)(void);
} WorkerStep;

/* Wake the dispatcher when this transaction commits: a trip waits for its first round. */
extern void worker_wake_dispatcher_at_commit(void);

extern void worker_init(void);

#endif
