/*
 * The keeper and the drainer: one table of chores. hail.keep() runs the whole table in the caller's
 * transaction.
 *
 * The history ring is a buffer of seconds: a chore that takes long, fails or waits for a lock must not delay
 * its drain, so a process of its own does that and nothing else.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/guc.h"
#include "history/history.h"
#include "identity/session.h"
#include "live/live.h"
#include "pricing/eta.h"
#include "pricing/pricing.h"
#include "pricing/quote.h"
#include "worker/worker.h"

static const int ms_250 = 250, second = 1000, five_seconds = 5000, ten_seconds = 10000, minute = 60000,
                 hour = 3600000;

static int64 rebuild_index(void)
{
    return live_ready() ? 0 : live_rebuild();
}

static bool points_wait(void)
{
    return history_waiting() > 0;
}

static int64 load_history_files(void)
{
    return history_load_files();
}

static int64 drain_history(void)
{
    return history_drain();
}

static int64 write_positions(void)
{
    return live_write_through();
}

static int64 write_flagged(void)
{
    return live_write_flagged();
}

static int64 expire_presence(void)
{
    return live_expire_presence();
}

/* clang-format off */
#define C_STEP(wanted, run)           (wanted), (run), NULL, {NULL}
#define SQL_STEP(function, statement) NULL, NULL, (function), {(statement), 0, {0}}

static WorkerStep steps[] = {
    {"rebuild index", C_STEP(NULL, rebuild_index), &second, false},
    {"maintain partitions", SQL_STEP("maintain_partitions", "SELECT count(*) FROM hail.maintain_partitions()"), &hour, true},
    {"load saved history", C_STEP(NULL, load_history_files), &ten_seconds, false, WORKER_DRAINER},
    {"drain history", C_STEP(points_wait, drain_history), &ms_250, false, WORKER_DRAINER},
    {"write positions", C_STEP(NULL, write_positions), &hail_write_through_ms, false, NULL, live_more_to_write},
    {"write flagged positions", C_STEP(live_flags_wait, write_flagged), &ms_250, false},
    {"geofences", SQL_STEP("geofence_tick", "SELECT hail.geofence_tick()::bigint"), &second, true},
    {"expire presence", C_STEP(NULL, expire_presence), &second, true, NULL, live_more_to_expire},
    {"read surge", surge_stale, NULL, "surge_refill", {"SELECT hail.surge_refill()::bigint", 0, {0}}, &second, false},
    {"surge", SQL_STEP("surge_tick", "SELECT hail.surge_tick(false)::bigint"), &hail_surge_interval_ms, true},
    {"read learnt ETAs", C_STEP(eta_store_stale, eta_store_load), &second, false},
    {"expire holds", SQL_STEP("expire_holds", "SELECT hail.expire_holds()::bigint"), &ten_seconds, true},
    {"keep tracks", SQL_STEP("keep_tracks", "SELECT hail.keep_tracks()"), &ten_seconds, true},
    {"learn ETAs", SQL_STEP("learn_eta", "SELECT hail.learn_eta(wait => false)"), &five_seconds, true, NULL, eta_more_to_learn},
    {"expire ETA samples", SQL_STEP("expire_eta_samples", "SELECT hail.expire_eta_samples()"), &hour, true},
    {"expire quotes", C_STEP(NULL, quote_expire), &hour, true, NULL, quote_more_to_expire},
    {"expire request keys", SQL_STEP("expire_request_keys", "SELECT hail.expire_request_keys()"), &ten_seconds, true},
    {"chain entries", SQL_STEP("chain_entries", "SELECT hail.chain_entries()"), &minute, false},
    {"close days", SQL_STEP("close_days", "SELECT hail.close_days()"), &ten_seconds, false},
    {"watch money", SQL_STEP("watch_money", "SELECT hail.watch_money(20000)"), &five_seconds, true},
    {"expire payments", SQL_STEP("expire_payments", "SELECT hail.expire_payments()"), &ten_seconds, true},
    {"fold accounts", SQL_STEP("fold_accounts", "SELECT hail.fold_accounts()::bigint"), &second, false},
};
/* clang-format on */

void hail_keeper_main(Datum arg)
{
    worker_main(WORKER_KEEPER, steps, lengthof(steps));
}

void hail_drainer_main(Datum arg)
{
    worker_main(WORKER_DRAINER, steps, lengthof(steps));
}

PG_FUNCTION_INFO_V1(hail_keep);

/* hail.keep(): every step once, in this transaction; an error of one ends all. Administrators only. */
Datum hail_keep(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result;

    hail_require_admin();
    InitMaterializedSRF(fcinfo, 0);
    result = (ReturnSetInfo *)fcinfo->resultinfo;
    SPI_connect();
    for (int i = 0; i < (int)lengthof(steps); i++) {
        int64 rows = worker_run_whole_step(&steps[i]);
        Datum values[2] = {CStringGetTextDatum(steps[i].name), Int64GetDatum(rows)};
        bool nulls[2] = {false, false};

        if (rows >= 0)
            tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    SPI_finish();
    return (Datum)0;
}
