/*
 * hail.report_requests(): position reports of many requests in one call, for hail_front.
 *
 * Each request carries its own token, which is verified here; whom it names speaks for itself alone, and is
 * nobody's identity afterwards. What needs no row of a driver is decided first; an error there (the tokens'
 * key is missing, or the history's ring is full and its table refuses) is the whole call's. Reports that do
 * (drivers the index does not know, and all where the index does not serve) follow, each in a subtransaction
 * of its own and in the order of the drivers' ids, as they lock rows.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "history/history.h"
#include "identity/rate.h"
#include "identity/session.h"
#include "identity/token.h"
#include "live/report.h"

#define RESULT_COLUMNS 8
#define LOCK_TIMEOUT   "50ms"

enum { TOKENS, LATS, LNGS, HEADINGS, SPEEDS, ACCURACIES, RECORDED_ATS, COLUMNS };

typedef struct Column {
    Datum *values; /* NULL: the argument is NULL, and so is each of its elements */
    bool *nulls;
} Column;

typedef struct Verdict {
    bool waits; /* for the second round */
    LiveReport report;
    char sqlstate[6]; /* "": taken; what is said of an error follows, NULL where there is nothing to say */
    const char *message, *field, *hint;
    int retry_after_s; /* 0: not for the client to wait */
    LiveReportResult result;
} Verdict;

/* The grant says so too; this holds whoever changes it. */
static void require_front(void)
{
    if (InSecurityRestrictedOperation() ||
        !has_privs_of_role(GetSessionUserId(), get_role_oid("hail_front", false)))
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only hail_front may do this"));
}

/* ---- what came in ---- */

/* The elements of an argument; `*count` is that of the tokens, which come first. */
static Column open_column(FunctionCallInfo fcinfo, int arg, int *count)
{
    static const struct {
        const char *name;
        Oid type;
        int length;
        char align;
        bool required;
    } columns[COLUMNS] = {[TOKENS] = {"tokens", TEXTOID, -1, TYPALIGN_INT, true},
                          [LATS] = {"lats", FLOAT8OID, 8, TYPALIGN_DOUBLE, true},
                          [LNGS] = {"lngs", FLOAT8OID, 8, TYPALIGN_DOUBLE, true},
                          [HEADINGS] = {"headings", FLOAT4OID, 4, TYPALIGN_INT, false},
                          [SPEEDS] = {"speeds", FLOAT4OID, 4, TYPALIGN_INT, false},
                          [ACCURACIES] = {"accuracies", FLOAT4OID, 4, TYPALIGN_INT, false},
                          [RECORDED_ATS] = {"recorded_ats", TIMESTAMPTZOID, 8, TYPALIGN_DOUBLE, false}};
    const char *name = columns[arg].name;
    Column column = {NULL, NULL};
    ArrayType *array;
    int elements;

    if (PG_ARGISNULL(arg)) {
        if (columns[arg].required)
            ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must not be null", name),
                    hail_field(name));
        return column;
    }
    array = PG_GETARG_ARRAYTYPE_P(arg);
    if (ARR_NDIM(array) > 1)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s must have one dimension", name),
                hail_field(name));
    deconstruct_array(array, columns[arg].type, columns[arg].length, columns[arg].length > 0,
                      columns[arg].align, &column.values, &column.nulls, &elements);
    if (arg == TOKENS)
        *count = elements;
    else if (elements != *count)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg("%s must have as many elements as tokens", name), hail_field(name));
    return column;
}

static bool has_value(const Column *column, int i)
{
    return column->values != NULL && !column->nulls[i];
}

static void refuse(Verdict *verdict, HailError error, const char *message, const char *field,
                   const char *hint)
{
    strlcpy(verdict->sqlstate, hail_error_rows[error].sqlstate, sizeof(verdict->sqlstate));
    verdict->message = message;
    verdict->field = field;
    verdict->hint = hint;
}

/* The driver who sends request i; false: refused. */
static bool take_token(const Column *tokens, int i, TimestampTz now, Verdict *verdict)
{
    text *given = has_value(tokens, i) ? DatumGetTextPP(tokens->values[i]) : NULL;
    const char *reason = "There is no token.";
    HailTokenStatus status = HAIL_TOKEN_REFUSED;
    const HailTokenFault *fault;
    HailToken token;

    if (given != NULL)
        status = hail_token_check(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), now, &token, &reason);
    if ((fault = hail_token_fault(status)) != NULL) {
        if (status == HAIL_TOKEN_REFUSED)
            ereport(LOG, errmsg("%s", fault->message), errdetail_log("%s", reason), errhidestmt(true),
                    errhidecontext(true));
        refuse(verdict, fault->error, fault->message, NULL, fault->hint);
        return false;
    }
    if (token.role != HAIL_ROLE_DRIVER) {
        refuse(verdict, HAIL_FORBIDDEN, "only drivers report positions", NULL, NULL);
        return false;
    }
    verdict->report.driver_id = token.subject;
    return true;
}

/* A call is counted whatever it says; false: one too many. */
static bool take_rate(TimestampTz now, Verdict *verdict)
{
    int64 wait = live_report_wait(&verdict->report.driver_id, now);

    if (wait == 0)
        return true;
    refuse(verdict, HAIL_RATE_LIMITED, "too many position reports", NULL, HAIL_RATE_HINT);
    verdict->retry_after_s = hail_rate_retry_after_s(wait);
    return false;
}

/* An optional value; `*fault` names the field when it is not a number. */
static float take_real(const Column *column, int i, const char *field, const char **fault)
{
    float value = has_value(column, i) ? DatumGetFloat4(column->values[i]) : NAN;

    if (has_value(column, i) && isnan(value) && *fault == NULL)
        *fault = field;
    return value;
}

/* The values of request i; false: refused. */
static bool take_values(const Column *columns, int i, TimestampTz now, Verdict *verdict)
{
    LiveReport *report = &verdict->report;
    const char *fault = NULL, *invalid;

    if (!has_value(&columns[LATS], i) || !has_value(&columns[LNGS], i)) {
        bool lat = !has_value(&columns[LATS], i);

        refuse(verdict, HAIL_INVALID_VALUE, lat ? "lat must not be null" : "lng must not be null",
               lat ? "lat" : "lng", NULL);
        return false;
    }
    report->lat = DatumGetFloat8(columns[LATS].values[i]);
    report->lng = DatumGetFloat8(columns[LNGS].values[i]);
    report->heading = take_real(&columns[HEADINGS], i, "heading", &fault);
    report->speed = take_real(&columns[SPEEDS], i, "speed", &fault);
    report->accuracy = take_real(&columns[ACCURACIES], i, "accuracy", &fault);
    report->received_at = now;
    report->own_time = has_value(&columns[RECORDED_ATS], i);
    report->recorded_at =
        report->own_time ? DatumGetTimestampTz(columns[RECORDED_ATS].values[i]) : report->received_at;
    invalid = fault != NULL ? fault : live_report_invalid_field(report);
    if (invalid != NULL)
        refuse(verdict, HAIL_INVALID_VALUE, live_report_rule(invalid), invalid, NULL);
    return invalid == NULL;
}

/* ---- taking ---- */

static void note_result(Verdict *verdict)
{
    const LiveReportFault *fault = live_report_fault(verdict->result.status);

    if (fault != NULL)
        refuse(verdict, fault->error, fault->message, fault->field, fault->hint);
}

/* First round: all but what needs tables. */
static void judge(const Column *columns, int i, TimestampTz now, Verdict *verdict)
{
    if (!take_token(&columns[TOKENS], i, now, verdict) || !take_rate(now, verdict) ||
        !take_values(columns, i, now, verdict))
        return;
    /* without room in the ring a report writes a row: that belongs into a subtransaction */
    if (history_has_room() && live_take_known_report(&verdict->report, &verdict->result))
        note_result(verdict);
    else
        verdict->waits = true;
}

/* Errors about the call as a whole: it was cancelled, or is to be sent again. */
static bool concerns_all(int sqlstate)
{
    return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_OPERATOR_INTERVENTION ||
           ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_TRANSACTION_ROLLBACK;
}

static void note_error(Verdict *verdict, ErrorData *error)
{
    if (concerns_all(error->sqlerrcode))
        ReThrowError(error);
    strlcpy(verdict->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(verdict->sqlstate));
    verdict->message = error->message;
    verdict->field = error->column_name;
    verdict->hint = error->hint;
}

/* Others wait too: a row somebody has locked is not waited for long (error 55P03: ask again alone). */
static LiveReportResult take_hastily(const LiveReport *report)
{
    int level = NewGUCNestLevel();
    LiveReportResult result;

    (void)set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
                            0, false);
    result = live_take_report(report);
    AtEOXact_GUC(true, level);
    return result;
}

/* Second round: with tables; an error stays with its request. */
static void take_apart(Verdict *verdict, bool alone)
{
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    ErrorData *volatile error = NULL;

    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        verdict->result = alone ? live_take_report(&verdict->report) : take_hastily(&verdict->report);
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    if (error != NULL)
        note_error(verdict, error);
    else
        note_result(verdict);
}

static int compare_drivers(const void *a, const void *b)
{
    const Verdict *const *x = a, *const *y = b;

    return memcmp(&(*x)->report.driver_id, &(*y)->report.driver_id, sizeof(pg_uuid_t));
}

static void take_waiting(Verdict *verdicts, int count)
{
    Verdict **waiting = palloc(sizeof(Verdict *) * (count + 1));
    int n = 0;

    for (int i = 0; i < count; i++)
        if (verdicts[i].waits)
            waiting[n++] = &verdicts[i];
    if (n > 1)
        qsort(waiting, n, sizeof(Verdict *), compare_drivers);
    for (int i = 0; i < n; i++) {
        CHECK_FOR_INTERRUPTS();
        take_apart(waiting[i], count == 1);
    }
}

/* ---- what goes out ---- */

static void set_text(Datum *values, bool *nulls, int column, const char *text)
{
    nulls[column] = text == NULL;
    if (text != NULL)
        values[column] = CStringGetTextDatum(text);
}

static void put_verdict(ReturnSetInfo *out, const Verdict *verdict)
{
    bool taken = verdict->sqlstate[0] == '\0';
    Datum values[RESULT_COLUMNS] = {0};
    bool nulls[RESULT_COLUMNS];

    memset(nulls, true, sizeof(nulls));
    set_text(values, nulls, 0, taken ? NULL : verdict->sqlstate);
    set_text(values, nulls, 1, verdict->message);
    set_text(values, nulls, 2, verdict->field);
    set_text(values, nulls, 3, verdict->hint);
    values[4] = Int32GetDatum(verdict->retry_after_s);
    nulls[4] = verdict->retry_after_s == 0;
    if (taken) {
        set_text(values, nulls, 5, live_state_name(verdict->result.state));
        values[6] = Int32GetDatum(verdict->result.pending_offers);
        values[7] = BoolGetDatum(verdict->result.status == LIVE_REPORT_APPLIED);
        nulls[6] = nulls[7] = false;
    }
    tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(hail_report_requests);

/* hail.report_requests(tokens, lats, lngs, headings, speeds, accuracies, recorded_ats) */
Datum hail_report_requests(PG_FUNCTION_ARGS)
{
    TimestampTz now = hail_now();
    Column columns[COLUMNS];
    MemoryContext scratch;
    Verdict *verdicts;
    int count = 0;

    require_front();
    for (int i = 0; i < COLUMNS; i++)
        columns[i] = open_column(fcinfo, i, &count);
    InitMaterializedSRF(fcinfo, 0);
    verdicts = palloc0(sizeof(Verdict) * (count + 1));
    scratch = AllocSetContextCreate(CurrentMemoryContext, "hail token", ALLOCSET_DEFAULT_SIZES);
    for (int i = 0; i < count; i++) {
        MemoryContext before = MemoryContextSwitchTo(scratch);

        CHECK_FOR_INTERRUPTS();
        judge(columns, i, now, &verdicts[i]);
        MemoryContextSwitchTo(before);
        MemoryContextReset(scratch);
    }
    take_waiting(verdicts, count);
    for (int i = 0; i < count; i++)
        put_verdict((ReturnSetInfo *)fcinfo->resultinfo, &verdicts[i]);
    MemoryContextDelete(scratch);
    return (Datum)0;
}
