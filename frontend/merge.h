/*
 * merge.h
 *    Requests of a merged route (router.h) that are there at the same time go to the database in one call;
 * each gets the row that is its own.
 *
 * Nobody waits for company: a request that finds no call under way sends one for itself at once. Those that
 * come meanwhile gather in a batch, which leaves when the call before it is back, or after MERGE_WAIT_MS at
 * the latest, on another connection. So batches grow with the load and the added wait is bounded.
 *
 * A call that fails because of something in one of its requests is not the others' failure: each is sent
 * again alone, and then has a verdict nobody shares.
 */
#ifndef HAILD_MERGE_H
#define HAILD_MERGE_H

#include "db.h"

#define MERGE_WAIT_MS 5
#define MERGE_LIMIT   256 /* requests in a batch */

typedef struct MergedReply {
    DbReply reply;         /* a failure, or else: */
    const PGresult *rows;  /* shared with others: read only */
    int row, first_column; /* the answer: the columns of this row from first_column on */
    struct Batch *batch;   /* what holds the rows */
} MergedReply;

/*
 * Send the request along; returns when its verdict is there. What `call` points to must stay as it is until
 * then. To be released afterwards, failure or not.
 */
extern void merge_call(const DbCall *call, MergedReply *merged);
extern void merge_release(MergedReply *merged);

#endif
