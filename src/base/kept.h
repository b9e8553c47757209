/*
 * kept.h
 *    A copy of a few small tables that each backend keeps, so that what is asked a thousand times a second is
 *    not read as often.
 *
 * A trigger (hail.kept_changed) on each table sends a relation cache invalidation, which reaches every
 * backend with the commit of the change, and before it the one that makes it: the next who asks reads anew.
 * What was read under a transaction's one snapshot may be old for the next transaction and is not kept for
 * it; a change that is rolled back invalidates once more.
 */
#ifndef HAIL_BASE_KEPT_H
#define HAIL_BASE_KEPT_H

#include "postgres.h"
#include "storage/lock.h"

#define HAIL_KEPT_TABLES 12

/* One static variable per copy. */
typedef struct HailKept {
    const char *name; /* of its memory */

    /*
     * Reads the tables; what it allocates in the current memory context lives as long as the copy. Inside
     * SPI, as hail_owner whoever asks: a caller who may see no row must not leave an empty copy to the next.
     */
    void *(*load)(void);

    const char *tables[HAIL_KEPT_TABLES]; /* in schema hail; those that are not there don't count */

    /* leave out what follows */
    bool registered, current;   /* current: `copy` is what the tables hold */
    LocalTransactionId only_in; /* valid in that transaction alone */
    Oid oids[HAIL_KEPT_TABLES]; /* of the tables */
    struct MemoryContextData *memory;
    void *copy;
    struct HailKept *next;
} HailKept;

/*
 * The copy, read anew when a table has changed; what load() has returned. Valid until the transaction ends,
 * though the next call may return a newer one. In a transaction, without an LWLock held. Errors: whatever
 * load() raises; the next call tries again.
 */
extern void *hail_kept(HailKept *kept);

#endif
