/*
 * Waiting for writers; see writers.h. The way of CREATE INDEX CONCURRENTLY, but asking again and again
 * instead of queueing behind each transaction, so that the wait has an end.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/error.h"
#include "base/statement.h"
#include "ledger/writers.h"

#define ASK_AGAIN_MS 5

static HailStatement prepared_before = {
    "SELECT FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()", 0};

static void pause_ms(long ms)
{
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
}

bool ledger_writers_ended(int wait_ms)
{
    int count;
    VirtualTransactionId *running = GetCurrentVirtualXIDs(InvalidTransactionId, false, false,
                                                          PROC_IS_AUTOVACUUM | PROC_IN_VACUUM, &count);
    TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait_ms);

    for (int i = 0; i < count;) {
        if (VirtualXactLock(running[i], false))
            i++;
        else if (GetCurrentTimestamp() >= until)
            return false;
        else
            pause_ms(ASK_AGAIN_MS);
    }
    return hail_execute(&prepared_before, NULL, NULL, false, 1) == 0;
}

PG_FUNCTION_INFO_V1(hail_writers_ended);

/* hail.writers_ended(wait interval) -> boolean */
Datum hail_writers_ended(PG_FUNCTION_ARGS)
{
    Interval *wait = PG_GETARG_INTERVAL_P(0);
    bool ended;

    if (wait->month != 0 || wait->day != 0 || wait->time < 0 || wait->time > 60 * USECS_PER_SEC)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("wait must be between 0 and 60 seconds"),
                hail_field("wait"));
    if (IsolationUsesXactSnapshot())
        ereport(ERROR, hail_error(HAIL_WRONG_STATE),
                errmsg("a snapshot of the whole transaction does not see what ended after it"),
                errhint("Use READ COMMITTED."));
    SPI_connect();
    ended = ledger_writers_ended((int)(wait->time / 1000));
    SPI_finish();
    PG_RETURN_BOOL(ended);
}
