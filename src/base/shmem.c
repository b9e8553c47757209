/* Shared-memory hooks; see shmem.h. */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "base/guc.h"
#include "base/shmem.h"

#define MAX_MODULES 16

static const HailShmemModule *modules[MAX_MODULES];
static int module_count = 0;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static int locks_of(const HailShmemModule *module)
{
    return module->lock_count ? module->lock_count() : 0;
}

void hail_shmem_register(const HailShmemModule *module)
{
    if (module_count == MAX_MODULES)
        elog(ERROR, "too many shared memory modules");
    modules[module_count++] = module;
}

static void request_shmem(void)
{
    if (previous_request_hook)
        previous_request_hook();
    for (int i = 0; i < module_count; i++) {
        RequestAddinShmemSpace(MAXALIGN(modules[i]->size()));
        if (locks_of(modules[i]) > 0)
            RequestNamedLWLockTranche(modules[i]->name, locks_of(modules[i]));
    }
}

static void startup_shmem(void)
{
    if (previous_startup_hook)
        previous_startup_hook();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    for (int i = 0; i < module_count; i++) {
        bool found;
        void *memory = ShmemInitStruct(modules[i]->name, modules[i]->size(), &found);
        LWLockPadded *locks = locks_of(modules[i]) > 0 ? GetNamedLWLockTranche(modules[i]->name) : NULL;

        modules[i]->startup(memory, locks, found);
    }
    LWLockRelease(AddinShmemInitLock);
}

/* ---- the database whose tables memory stands for ---- */

typedef struct Served {
    LWLock *lock;
    Oid database; /* guarded by lock; InvalidOid: nobody has asked yet */
} Served;

static Served *served = NULL;

static Size served_size(void)
{
    return sizeof(Served);
}

static int served_locks(void)
{
    return 1;
}

static void served_startup(void *memory, LWLockPadded *locks, bool found)
{
    served = memory;
    if (!found) {
        served->lock = &locks[0].lock;
        served->database = InvalidOid;
    }
}

static const HailShmemModule served_shmem = {"hail_database", served_size, served_locks, served_startup};

static void claim_memory(void)
{
    if (served == NULL)
        return;
    LWLockAcquire(served->lock, LW_EXCLUSIVE);
    if (served->database != InvalidOid && served->database != MyDatabaseId)
        for (int i = 0; i < module_count; i++)
            if (modules[i]->forget)
                modules[i]->forget();
    served->database = MyDatabaseId;
    LWLockRelease(served->lock);
}

bool hail_memory_serves(void)
{
    static int serves = -1; /* this database; it can't be renamed under a connection */
    static bool claimed = false;

    if (serves < 0) {
        /* Only our workers ask outside of a transaction, where no catalog can be read; they serve
         * hail.database. */
        char *name = IsTransactionState() ? get_database_name(MyDatabaseId) : hail_worker_database;

        serves = name != NULL && strcmp(name, hail_worker_database) == 0;
    }
    if (!serves || RecoveryInProgress())
        return false;
    if (!claimed) {
        claimed = true;
        claim_memory();
    }
    return true;
}

void hail_shmem_init(void)
{
    previous_request_hook = shmem_request_hook;
    shmem_request_hook = request_shmem;
    previous_startup_hook = shmem_startup_hook;
    shmem_startup_hook = startup_shmem;
    hail_shmem_register(&served_shmem);
}
