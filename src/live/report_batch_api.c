/* SQL entry points of many position reports at once: hail.report_locations, hail.report_locations_detailed.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/error.h"
#include "identity/session.h"
#include "live/live_mode.h"
#include "live/report.h"

/* Positions of one call by a driver: calls are counted, so a call must not be worth any number. */
#define DRIVER_BATCH 500

enum { DRIVER_IDS, LATS, LNGS, HEADINGS, SPEEDS, ACCURACIES, RECORDED_ATS, COLUMN_COUNT };

static const struct {
    const char *name;
    int length;
    bool required;
} column_types[COLUMN_COUNT] = {{"driver_ids", UUID_LEN, true},
                                {"lats", sizeof(double), true},
                                {"lngs", sizeof(double), true},
                                {"headings", sizeof(float), false},
                                {"speeds", sizeof(float), false},
                                {"accuracies", sizeof(float), false},
                                {"recorded_ats", sizeof(TimestampTz), false}};

typedef struct Column {
    int count;          /* elements */
    const char *next;   /* NULL: the argument is. Contiguous; NULL elements are not stored */
    const bits8 *nulls; /* NULL: there are none */
} Column;

typedef struct Batch {
    Column columns[COLUMN_COUNT];
    const pg_uuid_t *ids; /* driver_ids in fixed places, to look ahead; NULL: NULLs among them, or no index */
    int count;
    TimestampTz now;
} Batch;

static void open_column(FunctionCallInfo fcinfo, int arg, Column *column)
{
    const char *name = column_types[arg].name;
    ArrayType *array;

    *column = (Column){0};
    if (PG_ARGISNULL(arg)) {
        if (column_types[arg].required)
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must not be null", name),
                    hail_field(name));
        return;
    }
    array = PG_GETARG_ARRAYTYPE_P(arg);
    if (ARR_NDIM(array) > 1)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must have one dimension", name),
                hail_field(name));
    column->count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    column->next = ARR_DATA_PTR(array);
    column->nulls = ARR_NULLBITMAP(array);
}

/* The next element of a column, or NULL; elements are taken in order. */
static inline const char *next_value(Column *column, int length, int i)
{
    const char *value = column->next;

    if (value == NULL || (column->nulls && !(column->nulls[i / 8] & (1 << (i % 8)))))
        return NULL;
    column->next += length;
    return value;
}

static inline double next_double(Column *column, int i)
{
    const char *value = next_value(column, sizeof(double), i);
    double number = NAN;

    if (value)
        memcpy(&number, value, sizeof(number));
    return number;
}

/* NULL is an unknown one; NaN is none: made a number that breaks the rule. */
static inline float next_real(Column *column, int i)
{
    const char *value = next_value(column, sizeof(float), i);
    float number = NAN;

    if (value) {
        memcpy(&number, value, sizeof(number));
        if (isnan(number))
            number = -1;
    }
    return number;
}

static const char no_driver[] = "driver_id";

/* Row i; rows are taken in order. Returns the field at fault, or NULL. */
static const char *next_report(Batch *batch, int i, LiveReport *report)
{
    Column *c = batch->columns;
    const char *id = next_value(&c[DRIVER_IDS], UUID_LEN, i), *at;

    report->lat = next_double(&c[LATS], i);
    report->lng = next_double(&c[LNGS], i);
    report->heading = next_real(&c[HEADINGS], i);
    report->speed = next_real(&c[SPEEDS], i);
    report->accuracy = next_real(&c[ACCURACIES], i);
    at = next_value(&c[RECORDED_ATS], sizeof(TimestampTz), i);
    report->received_at = report->recorded_at = batch->now;
    report->own_time = at != NULL;
    report->trusted = false;
    if (at)
        memcpy(&report->recorded_at, at, sizeof(TimestampTz));
    if (id == NULL)
        return no_driver;
    memcpy(&report->driver_id, id, UUID_LEN);
    return live_report_invalid_field(report);
}

/* A driver the caller may not speak for ends the batch before anything of it is taken. */
static void authorise_batch(Column ids)
{
    HailActor actor = hail_require_actor();

    if (actor.role == HAIL_ROLE_ADMIN)
        return;
    if (actor.role != HAIL_ROLE_DRIVER)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN),
                errmsg("only drivers and administrators report positions"));
    if (ids.count > DRIVER_BATCH)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg("a driver reports at most %d positions at once", DRIVER_BATCH),
                hail_field("driver_ids"));
    for (int i = 0; i < ids.count; i++) {
        const char *id = next_value(&ids, UUID_LEN, i);

        if (id)
            hail_require_self(HAIL_ROLE_DRIVER, (const pg_uuid_t *)id);
    }
}

/* The arguments, of a caller that may: errors before anything is taken. */
static void open_batch(FunctionCallInfo fcinfo, Batch *batch)
{
    Column *c = batch->columns;

    for (int i = 0; i < COLUMN_COUNT; i++)
        open_column(fcinfo, i, &c[i]);
    for (int i = 1; i < COLUMN_COUNT; i++)
        if (c[i].next != NULL && c[i].count != c[DRIVER_IDS].count)
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                    errmsg("%s must have as many elements as driver_ids", column_types[i].name),
                    hail_field(column_types[i].name));
    authorise_batch(c[DRIVER_IDS]);
    batch->now = hail_now();
    live_require_report_rate(batch->now);
    batch->count = c[DRIVER_IDS].count;
    batch->ids =
        live_index_attached() && c[DRIVER_IDS].nulls == NULL ? (const pg_uuid_t *)c[DRIVER_IDS].next : NULL;
}

/* The memory of the reports to come is fetched this many reports ahead, for each step of live_index_fetch().
 */
static const int fetch_ahead[] = {12, 8, 4};

static inline void fetch_reports(const Batch *batch, int i)
{
    for (int step = 0; batch->ids != NULL && step < (int)lengthof(fetch_ahead); step++)
        if (i + fetch_ahead[step] < batch->count)
            live_index_fetch(&batch->ids[i + fetch_ahead[step]], step);
}

static const char *verdict_name(LiveReportStatus status)
{
    switch (status) {
    case LIVE_REPORT_APPLIED:
        return "applied";
    case LIVE_REPORT_LATE:
        return "late";
    case LIVE_REPORT_DUPLICATE:
        return "duplicate";
    case LIVE_REPORT_IMPOSSIBLE:
        return "impossible";
    case LIVE_REPORT_NOT_APPROVED:
        return "not_approved";
    case LIVE_REPORT_UNKNOWN:
        return "unknown_driver";
    }
    pg_unreachable();
}

PG_FUNCTION_INFO_V1(hail_report_locations);
PG_FUNCTION_INFO_V1(hail_report_locations_detailed);

/* hail.report_locations(driver_ids, lats, lngs, headings, speeds, accuracies, recorded_ats): rows taken. */
Datum hail_report_locations(PG_FUNCTION_ARGS)
{
    Batch batch;
    int taken = 0;

    open_batch(fcinfo, &batch);
    for (int i = 0; i < batch.count; i++) {
        LiveReport report;

        fetch_reports(&batch, i);
        if (next_report(&batch, i, &report) == NULL) {
            LiveReportStatus status = live_take_report(&report).status;

            taken += status == LIVE_REPORT_APPLIED || status == LIVE_REPORT_LATE ||
                     status == LIVE_REPORT_DUPLICATE;
        }
        CHECK_FOR_INTERRUPTS();
    }
    PG_RETURN_INT32(taken);
}

/* hail.report_locations_detailed(...): the same, a row for each. */
Datum hail_report_locations_detailed(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *rows;
    Batch batch;

    open_batch(fcinfo, &batch);
    InitMaterializedSRF(fcinfo, 0);
    rows = (ReturnSetInfo *)fcinfo->resultinfo;
    for (int i = 0; i < batch.count; i++) {
        LiveReport report;
        const char *field = next_report(&batch, i, &report), *verdict = "invalid";
        Datum values[4];
        bool nulls[4] = {false, field == no_driver, false, field == NULL};

        if (field == NULL)
            verdict = verdict_name(live_take_report(&report).status);
        values[0] = Int32GetDatum(i + 1);
        values[1] = UUIDPGetDatum(&report.driver_id);
        values[2] = CStringGetTextDatum(verdict);
        values[3] = field != NULL ? CStringGetTextDatum(field) : (Datum)0;
        tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
        pfree(DatumGetPointer(values[2]));
        if (field != NULL)
            pfree(DatumGetPointer(values[3]));
        CHECK_FOR_INTERRUPTS();
    }
    return (Datum)0;
}
