/*
 * Waking the dispatcher at commit. Shared: which process it is, and whether it is wanted. Latches of dead
 * processes may be set without harm; a wake-up that gets lost is made good by the dispatcher's own one
 * second.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"

#include "base/shmem.h"
#include "worker/worker.h"

typedef struct WakeState {
    pg_atomic_uint32 dispatcher; /* pgprocno + 1; 0: not running */
    pg_atomic_uint32 wanted;
} WakeState;

static WakeState *state = NULL; /* NULL: not preloaded */
static bool wake_at_commit = false;

static Size wake_size(void)
{
    return sizeof(WakeState);
}

static void wake_startup(void *memory, LWLockPadded *locks, bool found)
{
    state = memory;
    if (!found) {
        pg_atomic_init_u32(&state->dispatcher, 0);
        pg_atomic_init_u32(&state->wanted, 0);
    }
}

static const HailShmemModule wake_shmem = {"hail_worker", wake_size, NULL, wake_startup};

static void wake_dispatcher(void)
{
    uint32 dispatcher;

    if (state == NULL)
        return;
    pg_atomic_write_u32(&state->wanted, 1);
    pg_memory_barrier();
    dispatcher = pg_atomic_read_u32(&state->dispatcher);
    if (dispatcher != 0)
        SetLatch(&ProcGlobal->allProcs[dispatcher - 1].procLatch);
}

static void at_transaction_end(XactEvent event, void *arg)
{
    if (!wake_at_commit ||
        (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE))
        return;
    wake_at_commit = false;
    if (event == XACT_EVENT_COMMIT)
        wake_dispatcher();
}

void worker_wake_dispatcher_at_commit(void)
{
    wake_at_commit = true;
}

void wake_init(void)
{
    RegisterXactCallback(at_transaction_end, NULL);
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&wake_shmem);
}

static void forget_dispatcher(int code, Datum arg)
{
    pg_atomic_write_u32(&state->dispatcher, 0);
}

void wake_register_dispatcher(void)
{
    pg_atomic_write_u32(&state->dispatcher, (uint32)MyProc->pgprocno + 1);
    before_shmem_exit(forget_dispatcher, (Datum)0);
}

bool wake_was_requested(void)
{
    return pg_atomic_exchange_u32(&state->wanted, 0) != 0;
}
