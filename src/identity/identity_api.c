/* SQL entry points of identity: tokens verified and made. */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/error.h"
#include "identity/session.h"
#include "identity/token.h"

PG_FUNCTION_INFO_V1(hail_authenticate);
PG_FUNCTION_INFO_V1(hail_sign_token);

/*
 * hail.authenticate(token): become the token's subject until the (sub)transaction ends.
 *
 * The role first: PostgreSQL refuses it to a session that is no member, and inside SECURITY DEFINER
 * functions; only then is there a subject. Both go back together when a savepoint is rolled back.
 */
Datum hail_authenticate(PG_FUNCTION_ARGS)
{
    text *given = PG_ARGISNULL(0) ? cstring_to_text("") : PG_GETARG_TEXT_PP(0);
    HailToken token = hail_token_verify(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), hail_now());
    const char *role = hail_role_name(token.role);
    TupleDesc row;
    pg_uuid_t subject = token.subject;
    Datum values[3] = {UUIDPGetDatum(&subject), CStringGetTextDatum(role),
                       TimestampTzGetDatum(token.expires_at)};
    bool nulls[3] = {false, false, false};

    if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    (void)set_config_option("role", psprintf("hail_%s", role), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                            true, 0, false);
    hail_session_begin(token.role, &token.subject);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}

/* hail.sign_token(user_id, role, expires_at): granted to nobody; hail.issue_token() has checked the
 * arguments. */
Datum hail_sign_token(PG_FUNCTION_ARGS)
{
    char *role = text_to_cstring(PG_GETARG_TEXT_PP(1));
    HailToken token = {hail_role_from_name(role), *PG_GETARG_UUID_P(0), PG_GETARG_TIMESTAMPTZ(2)};

    if (token.role == HAIL_ROLE_NONE)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("unknown role"), hail_field("role"));
    PG_RETURN_TEXT_P(cstring_to_text(hail_token_sign(&token, hail_now())));
}
