/*
 * The skeleton of the background workers; see worker.h.
 *
 * A worker ends with exit code 1 whatever the reason, so that the postmaster starts it again RESTART_S
 * seconds later: that is also how it waits for its database to exist and how it comes back after DROP
 * DATABASE (FORCE).
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/guc.h"
#include "worker/worker.h"

#define RESTART_S    2
#define RETRY_MS     1000 /* a step that failed; also: looking for the extension again */
#define MAX_SLEEP_MS 1000
#define LOCK_TIMEOUT "10s"
#define MIN_CLOCK_MS 50 /* however fast the test clock runs */

static HailStatement bump_epoch = {
    "INSERT INTO hail.worker_epochs AS e (worker, epoch, started_at) VALUES ($1, 1, hail.clock())"
    " ON CONFLICT (worker) DO UPDATE SET epoch = e.epoch OPERATOR(pg_catalog.+) 1, started_at = "
    "excluded.started_at RETURNING e.epoch",
    1,
    {TEXTOID}};

static HailStatement read_epoch = {
    "SELECT e.epoch FROM hail.worker_epochs e WHERE e.worker OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}};

static int64 monotonic_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool function_exists(const char *name)
{
    List *qualified = list_make2(makeString("hail"), makeString(pstrdup(name)));

    return OidIsValid(LookupFuncName(qualified, -1, NULL, true)); /* whatever its arguments */
}

int64 worker_run_step(WorkerStep *step)
{
    bool isnull = true;
    Datum rows = 0;

    if (step->run != NULL)
        return step->run();
    if (!function_exists(step->function))
        return -1;
    if (hail_execute(&step->statement, NULL, NULL, false, 0) > 0)
        rows = hail_result(0, 1, &isnull);
    return isnull ? 0 : DatumGetInt64(rows);
}

int64 worker_run_whole_step(WorkerStep *step)
{
    bool begun = step->again != NULL && step->again(); /* an earlier transaction did not come to the end */
    int64 rows = worker_run_step(step);

    while (step->again != NULL && (step->again() || begun)) {
        CHECK_FOR_INTERRUPTS();
        begun = begun && step->again(); /* that was the rest: a whole one now */
        rows += worker_run_step(step);
    }
    return rows;
}

/* This service: the extension as it was when the epoch was counted up (it may be dropped and made anew). */
static Oid served = InvalidOid;
static int64 epoch = 0;
static const char *worker_name = NULL;

/* What a transaction of a worker does: a step, or the epoch. */
typedef void (*WorkerBody)(void *arg);

static void run_body(WorkerBody body, void *arg)
{
    Oid user;
    int context;

    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(get_role_oid("hail_owner", false), context | SECURITY_LOCAL_USERID_CHANGE);
    SPI_connect();
    body(arg);
    SPI_finish();
    SetUserIdAndSecContext(user, context);
}

/* A later start of this worker has counted the epoch up: what this one remembers is no longer true. */
static void require_epoch(void)
{
    bool isnull = true;
    Datum now = 0;

    if (hail_execute(&read_epoch, (Datum[]){CStringGetTextDatum(worker_name)}, NULL, true, 1) == 1)
        now = hail_result(0, 1, &isnull);
    if (isnull || DatumGetInt64(now) != epoch)
        ereport(FATAL, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("%s: epoch " INT64_FORMAT " has been superseded", worker_name, epoch),
                errhint("It starts again by itself, with an epoch of its own."));
}

/* What a step does in its transaction, and a pass in each of its own. */
typedef struct Guarded {
    WorkerBody body;
    void *arg;
} Guarded;

static void guarded_body(void *arg)
{
    const Guarded *guarded = arg;

    require_epoch();
    guarded->body(guarded->arg);
}

static void step_body(void *arg)
{
    (void)worker_run_step(arg);
}

/* The beginning of service under this extension. */
static void epoch_body(void *arg)
{
    bool isnull;

    served = get_extension_oid("pg_hail", false);
    hail_execute(&bump_epoch, (Datum[]){CStringGetTextDatum(worker_name)}, NULL, false, 0);
    epoch = DatumGetInt64(hail_result(0, 1, &isnull));
}

/* The last error that ended a transaction. */
static char last_sqlstate[6];
static char last_message[512];

static void remember_error(MemoryContext context)
{
    ErrorData *error;
    int length;

    MemoryContextSwitchTo(context);
    error = CopyErrorData();
    strlcpy(last_sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(last_sqlstate));
    length = pg_mbcliplen(error->message, (int)strlen(error->message), sizeof(last_message) - 1);
    memcpy(last_message, error->message, length);
    last_message[length] = '\0';
    FreeErrorData(error);
}

/* One transaction. An error ends here: it is logged and the transaction aborted. */
static WorkerOutcome run_transaction(const char *activity, WorkerBody body, void *arg)
{
    MemoryContext context = CurrentMemoryContext;
    volatile WorkerOutcome outcome = WORKER_NO_EXTENSION;
    Oid extension;

    PG_TRY();
    {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
        PushActiveSnapshot(GetTransactionSnapshot());
        pgstat_report_activity(STATE_RUNNING, activity);
        extension = get_extension_oid("pg_hail", true);
        if (OidIsValid(extension) && (extension == served || body == epoch_body)) {
            run_body(body, arg);
            outcome = WORKER_DONE;
        }
        PopActiveSnapshot();
        CommitTransactionCommand();
    }
    PG_CATCH();
    {
        HOLD_INTERRUPTS();
        remember_error(context);
        EmitErrorReport();
        AbortCurrentTransaction();
        MemoryContextSwitchTo(context);
        FlushErrorState();
        RESUME_INTERRUPTS();
        outcome = WORKER_FAILED;
    }
    PG_END_TRY();
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, NULL);
    MemoryContextSwitchTo(context);
    return outcome;
}

WorkerOutcome worker_transaction(const char *activity, void (*body)(void *), void *argument)
{
    return run_transaction(activity, guarded_body, &(Guarded){body, argument});
}

const char *worker_error(const char **sqlstate)
{
    *sqlstate = last_sqlstate;
    return last_message;
}

/* Milliseconds until a step is due; 0: now. */
static long step_wait_ms(const WorkerStep *step)
{
    int64 wall = Max(step->due_ms - monotonic_ms(), 0);
    TimestampTz clock = hail_now();
    long test;

    if (wall == 0 || !step->on_clock || step->ran_at == 0)
        return (long)wall;
    if (clock < step->ran_at)
        return 0;
    test = hail_ms_until(TimestampTzPlusMilliseconds(step->ran_at, *step->interval_ms), (long)wall);
    return Min((long)wall, test);
}

/* Returns false when the extension is not there. */
static bool run_when_due(WorkerStep *step)
{
    WorkerOutcome outcome;
    TimestampTz clock = hail_now();

    if (step_wait_ms(step) > 0)
        return true;
    if (step->wanted != NULL && !step->wanted()) {
        step->due_ms = monotonic_ms() + *step->interval_ms;
        step->ran_at = clock;
        return true;
    }
    outcome = step->pass != NULL ? step->pass() : worker_transaction(step->name, step_body, step);
    step->due_ms = monotonic_ms() + (outcome != WORKER_DONE                 ? RETRY_MS
                                     : step->again != NULL && step->again() ? 0
                                                                            : *step->interval_ms);
    step->ran_at = outcome == WORKER_DONE ? clock : 0; /* 0: only wall time counts */
    return outcome != WORKER_NO_EXTENSION;
}

static bool is_ours(const WorkerStep *step)
{
    return strcmp(step->worker != NULL ? step->worker : WORKER_KEEPER, worker_name) == 0;
}

static long run_due_steps(WorkerStep *steps, int count, bool *have_extension)
{
    long wait = MAX_SLEEP_MS;

    for (int i = 0; i < count && *have_extension; i++) {
        CHECK_FOR_INTERRUPTS();
        if (is_ours(&steps[i]))
            *have_extension = run_when_due(&steps[i]);
    }
    for (int i = 0; i < count && *have_extension; i++) {
        long step = step_wait_ms(&steps[i]);

        if (is_ours(&steps[i]))
            wait = Min(wait, steps[i].on_clock ? Max(step, MIN_CLOCK_MS) : step);
    }
    return wait;
}

/* The extension has appeared: everything is due. */
static bool begin_service(WorkerStep *steps, int count)
{
    for (int i = 0; i < count; i++)
        steps[i].due_ms = steps[i].ran_at = 0;
    return run_transaction("starting", epoch_body, NULL) == WORKER_DONE;
}

static void prepare_process(void)
{
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnection(hail_worker_database, NULL, 0);
    SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
    /* One stuck row must not stop every step, and still less every trip. */
    SetConfigOption("lock_timeout",
                    strcmp(worker_name, WORKER_DISPATCHER) == 0 ? DISPATCHER_LOCK_TIMEOUT : LOCK_TIMEOUT,
                    PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("timezone", "UTC", PGC_SUSET, PGC_S_OVERRIDE);
    /* Steps are short; on tables not yet analysed compiling them took ten times their run. */
    SetConfigOption("jit", "off", PGC_SUSET, PGC_S_OVERRIDE);
}

void worker_main(const char *name, WorkerStep *steps, int count)
{
    MemoryContext context;
    bool have_extension = false;

    worker_name = name;
    prepare_process();
    if (strcmp(name, WORKER_DISPATCHER) == 0)
        wake_register_dispatcher();
    context = AllocSetContextCreate(TopMemoryContext, "hail worker iteration", ALLOCSET_DEFAULT_SIZES);
    for (;;) {
        long wait = RETRY_MS;

        MemoryContextSwitchTo(context);
        if (!have_extension)
            have_extension = begin_service(steps, count);
        if (have_extension)
            wait = run_due_steps(steps, count, &have_extension);
        MemoryContextReset(context);

        /* Whoever woke it while it slept on a lock has had its latch reset there. */
        if (strcmp(name, WORKER_DISPATCHER) == 0 && wake_was_requested())
            steps[0].due_ms = wait = 0;
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Max(wait, 1),
                        PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
        }
        if (strcmp(name, WORKER_DISPATCHER) == 0 && wake_was_requested())
            steps[0].due_ms = 0;
    }
}

static void register_worker(const char *name, const char *function)
{
    BackgroundWorker worker;

    memset(&worker, 0, sizeof(worker));
    strlcpy(worker.bgw_name, name, BGW_MAXLEN);
    strlcpy(worker.bgw_type, name, BGW_MAXLEN);
    strlcpy(worker.bgw_library_name, "pg_hail", BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = RESTART_S;
    RegisterBackgroundWorker(&worker);
}

void worker_init(void)
{
    wake_init();
    if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade || !hail_workers)
        return;
    register_worker(WORKER_KEEPER, "hail_keeper_main");
    register_worker(WORKER_DRAINER, "hail_drainer_main");
    register_worker(WORKER_DISPATCHER, "hail_dispatcher_main");
}
