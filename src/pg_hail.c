/* _PG_init: calls each module's init, nothing else. */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "dispatch/counters.h"
#include "dispatch/overload.h"
#include "dispatch/codes.h"
#include "history/history.h"
#include "identity/rate.h"
#include "identity/session.h"
#include "live/live.h"
#include "ledger/guards.h"
#include "pricing/eta_store.h"
#include "pricing/pricing.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void _PG_init(void)
{
    hail_guc_init();
    hail_clock_init();
    hail_session_init();
    hail_rate_init();
    code_tries_init();
    dispatch_counters_init();
    live_init();
    history_init();
    ledger_init();
    eta_store_init();
    overload_init();
    pricing_init();
    worker_init();
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_init();
}
