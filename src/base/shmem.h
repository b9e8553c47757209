/*
 * shmem.h
 *    The two shared-memory hooks, once for all modules.
 *
 * A module describes its memory by one HailShmemModule and registers it from its init function, which
 * _PG_init calls. After a backend crash the postmaster runs the startup hook again over empty memory but not
 * _PG_init: startup therefore only sets the module's own pointers and, where `found` is false, the initial
 * contents. It registers no callback.
 */
#ifndef HAIL_BASE_SHMEM_H
#define HAIL_BASE_SHMEM_H

#include "postgres.h"
#include "storage/lwlock.h"

typedef struct HailShmemModule {
    const char *name;        /* name of the shared segment and of the lock tranche, "hail_live" */
    Size (*size)(void);      /* bytes needed, from GUCs */
    int (*lock_count)(void); /* LWLocks needed; NULL for none */
    /* memory: `size` bytes; locks: array of lock_count() locks or NULL; found: contents already set up */
    void (*startup)(void *memory, LWLockPadded *locks, bool found);
    /* What memory says of tables is not true any more: they are those of another database. No ereport; takes
     * the module's own locks. NULL: nothing to do */
    void (*forget)(void);
} HailShmemModule;

/* Register a module; only while shared_preload_libraries are being loaded. The struct must be static. */
extern void hail_shmem_register(const HailShmemModule *module);

/*
 * May shared memory stand for tables here: this is the database of hail.database, and not in recovery? (The
 * memory is one per server, the tables are per database.) Whether the library was preloaded the module knows
 * by its own pointers. In a transaction, or in a worker of ours; without a lock of a module.
 *
 * A database that was dropped and made again under the same name has another OID: who is first to ask there
 * makes every module forget. Nobody can be connected to the old one any more.
 */
extern bool hail_memory_serves(void);

/* Install the hooks; called last by _PG_init. */
extern void hail_shmem_init(void);

#endif
