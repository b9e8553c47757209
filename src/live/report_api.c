/* SQL entry points for positions: hail.report_location, hail.report_locations. */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "history/history.h"
#include "identity/rate.h"
#include "identity/session.h"
#include "live/live_mode.h"
#include "live/mirror.h"
#include "live/report.h"

/* A phone's clock may run ahead of ours by this. */
#define MAX_AHEAD (60 * USECS_PER_SEC)
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
    if (r->recorded_at > r->received_at + MAX_AHEAD || r->recorded_at < r->received_at - MAX_AGE)
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
    keep_point(report, result);
    return true;
}

LiveReportResult live_take_report(const LiveReport *report)
{
    LiveReportResult result = {LIVE_REPORT_UNKNOWN};

    if (live_take_known_report(report, &result))
        return result;
    if (live_mode() == LIVE_IN_TABLES)
        result = live_tables_report(report);
    else if (live_admit(&report->driver_id))
        result = live_index_report(report, mirror_queued_row(&report->driver_id));
    keep_point(report, &result);
    return result;
}

/* A call of a driver is counted, whatever it says; others have no limit. */
static void require_rate(TimestampTz now)
{
    HailActor actor = hail_actor();
    int64 wait = actor.role == HAIL_ROLE_DRIVER ? live_report_wait(&actor.subject, now) : 0;

    if (wait > 0)
        hail_rate_refuse("position reports", wait);
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

static Datum report_result(const LiveReportResult *result)
{
    Datum values[3] = {CStringGetTextDatum(live_state_name(result->state)),
                       Int32GetDatum(result->pending_offers),
                       BoolGetDatum(result->status == LIVE_REPORT_APPLIED)};
    bool nulls[3] = {false, false, false};

    return HeapTupleGetDatum(heap_form_tuple(report_columns(), values, nulls));
}

PG_FUNCTION_INFO_V1(hail_report_location);
PG_FUNCTION_INFO_V1(hail_report_locations);

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
    require_rate(report.received_at);
    report.lat = PG_GETARG_FLOAT8(1);
    report.lng = PG_GETARG_FLOAT8(2);
    report.heading = optional_real(fcinfo, 3, "heading");
    report.speed = optional_real(fcinfo, 4, "speed");
    report.accuracy = optional_real(fcinfo, 5, "accuracy");
    report.own_time = !PG_ARGISNULL(6);
    report.recorded_at = PG_ARGISNULL(6) ? report.received_at : PG_GETARG_TIMESTAMPTZ(6);
    if ((invalid = live_report_invalid_field(&report)) != NULL)
        refuse_field(invalid);

    result = live_take_report(&report);
    if ((fault = live_report_fault(result.status)) != NULL)
        ereport(ERROR, hail_error(fault->error), errmsg("%s", fault->message), hail_field(fault->field),
                fault->hint ? errhint("%s", fault->hint) : 0);
    return report_result(&result);
}

/* ---- batches ---- */

typedef struct Column {
    const char *name;
    Oid type;
    int length;
    bool required;
    int count;          /* 0: the argument is NULL */
    const char *values; /* contiguous; NULL elements are not stored */
    const bits8 *nulls;
} Column;

static void open_column(FunctionCallInfo fcinfo, int arg, Column *column)
{
    ArrayType *array;

    if (PG_ARGISNULL(arg)) {
        if (column->required)
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must not be null", column->name),
                    hail_field(column->name));
        return;
    }
    array = PG_GETARG_ARRAYTYPE_P(arg);
    if (ARR_NDIM(array) > 1)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must have one dimension", column->name),
                hail_field(column->name));
    column->count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    column->values = ARR_DATA_PTR(array);
    column->nulls = ARR_NULLBITMAP(array);
}

/* The next element of a column, or NULL; elements are taken in order. */
static const char *next_value(Column *column, int i)
{
    const char *value = column->values;

    if (column->count == 0 || (column->nulls && !(column->nulls[i / 8] & (1 << (i % 8)))))
        return NULL;
    column->values += column->length;
    return value;
}

static float next_real(Column *column, int i, bool *valid)
{
    const char *value = next_value(column, i);
    float real = NAN;

    if (value) {
        memcpy(&real, value, sizeof(real));
        *valid &= !isnan(real);
    }
    return real;
}

/* Row i of the columns; false: something required is NULL, or a value is not a number. */
static bool next_report(Column *c, int i, TimestampTz now, LiveReport *report)
{
    const char *id = next_value(&c[0], i), *lat = next_value(&c[1], i), *lng = next_value(&c[2], i), *at;
    bool valid = id && lat && lng;

    report->heading = next_real(&c[3], i, &valid);
    report->speed = next_real(&c[4], i, &valid);
    report->accuracy = next_real(&c[5], i, &valid);
    at = next_value(&c[6], i);
    report->received_at = report->recorded_at = now;
    report->own_time = at != NULL;
    if (at)
        memcpy(&report->recorded_at, at, sizeof(TimestampTz));
    if (!valid)
        return false;
    memcpy(&report->driver_id, id, UUID_LEN);
    memcpy(&report->lat, lat, sizeof(double));
    memcpy(&report->lng, lng, sizeof(double));
    return live_report_invalid_field(report) == NULL;
}

/* The memory of the reports to come is fetched this many reports ahead, for each step of live_index_fetch().
 */
static const int fetch_ahead[] = {12, 8, 4};

/* `ids`: the first of `count`. */
static void fetch_reports(const pg_uuid_t *ids, int i, int count)
{
    for (int step = 0; step < (int)lengthof(fetch_ahead); step++)
        if (i + fetch_ahead[step] < count)
            live_index_fetch(&ids[i + fetch_ahead[step]], step);
}

/* A driver the caller may not speak for ends the batch before anything of it is taken. */
static void authorise_batch(Column ids)
{
    HailActor actor = hail_require_actor();

    if (actor.role == HAIL_ROLE_ADMIN)
        return;
    for (int i = 0, count = ids.count; i < count; i++) {
        const char *id = next_value(&ids, i);

        if (id)
            hail_require_self(HAIL_ROLE_DRIVER, (const pg_uuid_t *)id);
    }
    if (actor.role != HAIL_ROLE_DRIVER)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN),
                errmsg("only drivers and administrators report positions"));
}

/* hail.report_locations(driver_ids, lats, lngs, headings, speeds, accuracies, recorded_ats): rows accepted.
 */
Datum hail_report_locations(PG_FUNCTION_ARGS)
{
    Column c[] = {{"driver_ids", UUIDOID, UUID_LEN, true},
                  {"lats", FLOAT8OID, 8, true},
                  {"lngs", FLOAT8OID, 8, true},
                  {"headings", FLOAT4OID, 4, false},
                  {"speeds", FLOAT4OID, 4, false},
                  {"accuracies", FLOAT4OID, 4, false},
                  {"recorded_ats", TIMESTAMPTZOID, 8, false}};
    TimestampTz now = hail_now();
    const pg_uuid_t *ids;
    int accepted = 0;

    for (int i = 0; i < (int)lengthof(c); i++)
        open_column(fcinfo, i, &c[i]);
    for (int i = 1; i < (int)lengthof(c); i++)
        if (c[i].count != c[0].count && (c[i].required || !PG_ARGISNULL(i)))
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                    errmsg("%s must have as many elements as driver_ids", c[i].name), hail_field(c[i].name));
    authorise_batch(c[0]);
    require_rate(now);
    /* with a NULL among them the ids have no fixed places */
    ids = live_index_attached() && c[0].nulls == NULL ? (const pg_uuid_t *)c[0].values : NULL;
    for (int i = 0; i < c[0].count; i++) {
        LiveReport report;

        if (ids != NULL)
            fetch_reports(ids, i, c[0].count);
        if (next_report(c, i, now, &report)) {
            LiveReportStatus status = live_take_report(&report).status;

            accepted += status == LIVE_REPORT_APPLIED || status == LIVE_REPORT_LATE;
        }
        CHECK_FOR_INTERRUPTS();
    }
    PG_RETURN_INT32(accepted);
}
