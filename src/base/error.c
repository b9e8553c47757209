/* Errors of the registry for C and SQL callers. */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/error.h"

static int packed_sqlstate(const char *s)
{
    return MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]);
}

int hail_error(HailError error)
{
    return errcode(packed_sqlstate(hail_error_rows[error].sqlstate));
}

static char *optional_text(FunctionCallInfo fcinfo, int arg)
{
    return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

PG_FUNCTION_INFO_V1(hail_fail);

/* hail.fail(code, message, field, hint, detail): raise an error of the registry from SQL. */
Datum hail_fail(PG_FUNCTION_ARGS)
{
    char *code = optional_text(fcinfo, 0);
    char *message = optional_text(fcinfo, 1);
    char *field = optional_text(fcinfo, 2);
    char *hint = optional_text(fcinfo, 3);
    char *detail = optional_text(fcinfo, 4);

    for (int i = 0; code != NULL && i < HAIL_ERROR_COUNT; i++) {
        if (strcmp(hail_error_rows[i].code, code) == 0)
            ereport(ERROR, hail_error(i), errmsg("%s", message ? message : code),
                    field ? hail_field(field) : 0, hint ? errhint("%s", hint) : 0,
                    detail ? errdetail("%s", detail) : 0);
    }
    elog(ERROR, "error code \"%s\" is not in the registry", code ? code : "(null)");
    PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(hail_error_codes);

/* hail.error_codes(): the registry as rows. */
Datum hail_error_codes(PG_FUNCTION_ARGS)
{
    InitMaterializedSRF(fcinfo, 0);
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;

    for (int i = 0; i < HAIL_ERROR_COUNT; i++) {
        Datum values[3] = {CStringGetTextDatum(hail_error_rows[i].sqlstate),
                           CStringGetTextDatum(hail_error_rows[i].code),
                           Int32GetDatum(hail_error_rows[i].http_status)};
        bool nulls[3] = {false, false, false};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}
