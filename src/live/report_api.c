/* SQL entry point of single position reports: hail.report_location; and what all reports share (report.h). */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "history/history.h"
#include "identity/session.h"
#include "live/flags.h"
#include "live/live_mode.h"
#include "live/mirror.h"
#include "live/report.h"

/* Positions kept by the app while it was out of reach: no older than this. */
#define MAX_AGE USECS_PER_DAY

const char *live_report_invalid_field(const LiveReport *r)
{
    if (!(r->lat >= -90 && r->lat <= 90))
        return "lat";
    if (!(r->lng >= -180 && r->lng <= 180))
        return "lng";
    if (!isnan(r->heading) && !(r->heading >= 0 && r->heading <= 360))
        return "heading";
    if (!isnan(r->speed) && !(r->speed >= 0 && !isinf(r->speed)))
        return "speed";
    if (!isnan(r->accuracy) && !(r->accuracy >= 0 && !isinf(r->accuracy)))
        return "accuracy";
    /* infinities are beyond both limits */
    if (r->recorded_at > r->received_at + LIVE_MAX_AHEAD || r->recorded_at < r->received_at - MAX_AGE)
        return "recorded_at";
    return NULL;
}

const char *live_report_rule(const char *field)
{
    static const char *const rules[][2] = {
        {"lat", "lat must be between -90 and 90"},
        {"lng", "lng must be between -180 and 180"},
        {"heading", "heading must be between 0 and 360 degrees"},
        {"speed", "speed must be 0 km/h or more"},
        {"accuracy", "accuracy must be 0 m or more"},
        {"recorded_at", "recorded_at must be within the last day, and at most a minute ahead"}};

    for (int i = 0; i < (int)lengthof(rules); i++)
        if (strcmp(rules[i][0], field) == 0)
            return rules[i][1];
    elog(ERROR, "no rule for field \"%s\"", field);
    return NULL;
}

static void refuse_field(const char *field)
{
    ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s", live_report_rule(field)), hail_field(field));
}

const LiveReportFault *live_report_fault(LiveReportStatus status)
{
    static const LiveReportFault unknown = {HAIL_NOT_FOUND, "driver does not exist", "driver_id", NULL};
    static const LiveReportFault not_approved = {HAIL_DRIVER_NOT_ELIGIBLE, "driver is not approved",
                                                 "driver_id", "Only approved drivers report positions."};

    return status == LIVE_REPORT_UNKNOWN        ? &unknown
           : status == LIVE_REPORT_NOT_APPROVED ? &not_approved
                                                : NULL;
}

static void keep_point(const LiveReport *report, const LiveReportResult *result)
{
    if (result->keep_history) {
        HistoryPoint point = {report->driver_id, result->trip_id,     report->lat,
                              report->lng,       report->heading,     report->speed,
                              report->accuracy,  report->recorded_at, report->received_at};

        history_append(&point);
    }
}

bool live_take_known_report(const LiveReport *report, LiveReportResult *result)
{
    if (live_mode() == LIVE_IN_TABLES)
        return false;
    *result = live_index_report(report, mirror_queued_row(&report->driver_id));
    if (result->status == LIVE_REPORT_UNKNOWN)
        return false;
    if (result->status == LIVE_REPORT_IMPOSSIBLE && flags_note(report, result)) {
        LiveReport believed = *report;

        believed.trusted = true;
        *result = live_index_report(&believed, mirror_queued_row(&report->driver_id));
    }
    keep_point(report, result);
    return true;
}

LiveReportResult live_take_report(const LiveReport *report)
{
    LiveReportResult result = {LIVE_REPORT_UNKNOWN};

    if (live_take_known_report(report, &result) ||
        (live_mode() == LIVE_IN_MEMORY && live_admit(&report->driver_id) &&
         live_take_known_report(report, &result)))
        return result;
    if (live_mode() == LIVE_IN_MEMORY)
        return (LiveReportResult){LIVE_REPORT_UNKNOWN};
    result = live_tables_report(report);
    if (result.status == LIVE_REPORT_IMPOSSIBLE)
        flags_write_now(report, &result);
    keep_point(report, &result);
    return result;
}

static float optional_real(FunctionCallInfo fcinfo, int arg, const char *field)
{
    float value = PG_ARGISNULL(arg) ? NAN : PG_GETARG_FLOAT4(arg);

    if (!PG_ARGISNULL(arg) && isnan(value))
        refuse_field(field);
    return value;
}

/* The columns of hail.report_location(): asking the catalog for them costs more than the report itself. */
static TupleDesc report_columns(void)
{
    static TupleDesc kept = NULL;

    if (kept == NULL) {
        MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
        TupleDesc columns = CreateTemplateTupleDesc(3);

        TupleDescInitEntry(columns, 1, "state", TEXTOID, -1, 0);
        TupleDescInitEntry(columns, 2, "pending_offers", INT4OID, -1, 0);
        TupleDescInitEntry(columns, 3, "applied", BOOLOID, -1, 0);
        kept = BlessTupleDesc(columns);
        MemoryContextSwitchTo(before);
    }
    return kept;
}

static HeapTupleHeader make_result(LiveState state, int pending_offers, bool applied)
{
    Datum values[3] = {CStringGetTextDatum(live_state_name(state)), Int32GetDatum(pending_offers),
                       BoolGetDatum(applied)};
    bool nulls[3] = {false, false, false};

    return DatumGetHeapTupleHeader(HeapTupleGetDatum(heap_form_tuple(report_columns(), values, nulls)));
}

/* Answers without offers are few, and made once: forming one costs as much as the report. */
static Datum report_result(const LiveReportResult *result)
{
    static HeapTupleHeader kept[LIVE_COOLDOWN + 1][2];
    bool applied = result->status == LIVE_REPORT_APPLIED;
    HeapTupleHeader *answer = &kept[result->state][applied];

    if (result->pending_offers != 0)
        return HeapTupleHeaderGetDatum(make_result(result->state, result->pending_offers, applied));
    if (*answer == NULL) {
        MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);

        *answer = make_result(result->state, 0, applied);
        MemoryContextSwitchTo(before);
    }
    return HeapTupleHeaderGetDatum(*answer);
}

PG_FUNCTION_INFO_V1(hail_report_location);

/* hail.report_location(driver_id, lat, lng, heading, speed, accuracy, recorded_at) */
Datum hail_report_location(PG_FUNCTION_ARGS)
{
    static const char *const required[] = {"driver_id", "lat", "lng"};
    LiveReport report;
    LiveReportResult result;
    const LiveReportFault *fault;
    const char *invalid;

    for (int i = 0; i < (int)lengthof(required); i++)
        if (PG_ARGISNULL(i))
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must not be null", required[i]),
                    hail_field(required[i]));
    report.driver_id = *PG_GETARG_UUID_P(0);
    hail_require_self(HAIL_ROLE_DRIVER, &report.driver_id);
    report.received_at = hail_now();
    live_require_report_rate(report.received_at);
    report.lat = PG_GETARG_FLOAT8(1);
    report.lng = PG_GETARG_FLOAT8(2);
    report.heading = optional_real(fcinfo, 3, "heading");
    report.speed = optional_real(fcinfo, 4, "speed");
    report.accuracy = optional_real(fcinfo, 5, "accuracy");
    report.own_time = !PG_ARGISNULL(6);
    report.trusted = false;
    report.recorded_at = PG_ARGISNULL(6) ? report.received_at : PG_GETARG_TIMESTAMPTZ(6);
    if ((invalid = live_report_invalid_field(&report)) != NULL)
        refuse_field(invalid);

    result = live_take_report(&report);
    if ((fault = live_report_fault(result.status)) != NULL)
        ereport(ERROR, hail_error(fault->error), errmsg("%s", fault->message), hail_field(fault->field),
                fault->hint ? errhint("%s", fault->hint) : 0);
    return report_result(&result);
}
