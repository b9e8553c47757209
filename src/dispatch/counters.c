/* Counters of matching; see counters.h. Backends count in stripes that they share by chance. */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/proc.h"
#include "utils/builtins.h"

#include "base/shmem.h"
#include "dispatch/counters.h"

#define STRIPES 16

typedef struct Stripe {
    pg_atomic_uint64 count[DISPATCH_COUNTERS];
    char pad[PG_CACHE_LINE_SIZE];
} Stripe;

static Stripe *stripes;

static Size counters_size(void)
{
    return sizeof(Stripe) * STRIPES;
}

static void counters_startup(void *memory, LWLockPadded *locks, bool found)
{
    stripes = memory;
    for (int i = 0; i < STRIPES && !found; i++)
        for (int n = 0; n < DISPATCH_COUNTERS; n++)
            pg_atomic_init_u64(&stripes[i].count[n], 0);
}

static const HailShmemModule module = {"hail_dispatch_counters", counters_size, NULL, counters_startup};

void dispatch_counters_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        hail_shmem_register(&module);
}

void dispatch_count(DispatchCounter counter, int64 n)
{
    if (stripes != NULL && n != 0)
        pg_atomic_fetch_add_u64(&stripes[(MyProc ? MyProc->pgprocno : 0) % STRIPES].count[counter], n);
}

PG_FUNCTION_INFO_V1(hail_dispatch_counters);

static void put_counter(ReturnSetInfo *result, const char *name, const char *gate, int counter)
{
    int64 total = 0;
    Datum values[3];
    bool nulls[3] = {false, gate == NULL, false};

    for (int i = 0; stripes != NULL && i < STRIPES; i++)
        total += (int64)pg_atomic_read_u64(&stripes[i].count[counter]);
    values[0] = CStringGetTextDatum(name);
    values[1] = CStringGetTextDatum(gate ? gate : "");
    values[2] = Int64GetDatum(total);
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* hail.dispatch_counters() */
Datum hail_dispatch_counters(PG_FUNCTION_ARGS)
{
    static const char *const names[COUNT_GATED] = {
        [COUNT_ROUNDS] = "rounds",           [COUNT_ROUNDS_EMPTY] = "rounds_without_offers",
        [COUNT_CANDIDATES] = "candidates",   [COUNT_OFFERS] = "offers",
        [COUNT_ACCEPTED] = "accepts_won",    [COUNT_LOST] = "accepts_lost",
        [COUNT_REFUSED] = "accepts_refused",
    };
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;

    InitMaterializedSRF(fcinfo, 0);
    for (int counter = 0; counter < COUNT_GATED; counter++)
        put_counter(result, names[counter], NULL, counter);
    for (int gate = 1; gate < GATE_COUNT; gate++)
        put_counter(result, "gated", match_gate_names[gate], COUNT_GATED + gate);
    return (Datum)0;
}
