/*
 * batch.h
 *    Many transactions in one call: keys claimed together, accounts locked once in the order of their ids,
 * each wallet's row written once, rows inserted together.
 */
#ifndef HAIL_LEDGER_BATCH_H
#define HAIL_LEDGER_BATCH_H

#include "postgres.h"

#include "ledger/book.h"
#include "ledger/posting.h"

#define BATCH_MAX_ITEMS 10000

/* A transaction of a batch. The caller fills in draft (request NULL, with its legs). */
typedef struct BatchItem {
    LedgerDraft draft;

    /* the outcome */
    PostingVerdict verdict; /* message NULL: it is posted, now or before */
    LedgerClaim claim;
    PostingLeg *legs; /* with balances; NULL where it was posted before */

    /* between */
    int row;   /* its number among the rows inserted; -1: none */
    int first; /* the item of the same key before it; -1: none */
} BatchItem;

/*
 * Post the items, in their order. `apart`: those that are refused have a verdict and leave nothing, the
 * others are posted; else the first refusal is raised as an error. A key that another transaction is just
 * using is refused as in_flight: a batch waits for accounts only, so that batches cannot wait for each
 * other's keys. Allocates in the current memory context.
 */
extern void batch_post(BatchItem *items, int count, bool apart);

#endif
