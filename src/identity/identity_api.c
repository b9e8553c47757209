/* SQL entry points of identity: tokens verified and made. */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/error.h"
#include "identity/session.h"
#include "identity/token.h"

PG_FUNCTION_INFO_V1(hail_begin_partner_session);
PG_FUNCTION_INFO_V1(hail_authenticate);
PG_FUNCTION_INFO_V1(hail_begin_request);
PG_FUNCTION_INFO_V1(hail_sign_token);

/* For this (sub)transaction, as SET LOCAL does it; the setting's own checks raise its errors. */
static void set_local(const char *name, const char *value)
{
    (void)set_config_option(name, value, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * Become a token's subject until the (sub)transaction ends.
 *
 * The role first: PostgreSQL refuses it to a session that is no member, and inside SECURITY DEFINER
 * functions; only then is there a subject. Both go back together when a savepoint is rolled back.
 */
static HailToken take_on(const text *given)
{
    static const char *const roles[] = {[HAIL_ROLE_CUSTOMER] = "hail_customer",
                                        [HAIL_ROLE_DRIVER] = "hail_driver",
                                        [HAIL_ROLE_ADMIN] = "hail_admin",
                                        [HAIL_ROLE_PARTNER] = "hail_partner",
                                        [HAIL_ROLE_ANALYST] = "hail_analyst"};
    HailToken token = hail_token_verify(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), hail_now());

    (void)set_config_option("role", roles[token.role], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
                            false);
    hail_session_begin(token.role, &token.subject);
    return token;
}

/* hail.authenticate(token) */
Datum hail_authenticate(PG_FUNCTION_ARGS)
{
    HailToken token = take_on(PG_ARGISNULL(0) ? cstring_to_text("") : PG_GETARG_TEXT_PP(0));
    TupleDesc row;
    Datum values[3] = {UUIDPGetDatum(&token.subject), CStringGetTextDatum(hail_role_name(token.role)),
                       TimestampTzGetDatum(token.expires_at)};
    bool nulls[3] = {false, false, false};

    if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}

/*
 * hail.begin_request(token, request_id, timeout_ms, read_only): what a front sends first, in one call. The
 * token comes last: it is refused under the request's id, and the role it brings must not decide whether the
 * settings may be made.
 */
Datum hail_begin_request(PG_FUNCTION_ARGS)
{
    char timeout[16];

    if (!PG_ARGISNULL(1))
        set_local("hail.request_id", text_to_cstring(PG_GETARG_TEXT_PP(1)));
    if (!PG_ARGISNULL(2)) {
        pg_ltoa(PG_GETARG_INT32(2), timeout);
        set_local("statement_timeout", timeout);
    }
    if (!PG_ARGISNULL(3) && PG_GETARG_BOOL(3))
        set_local("transaction_read_only", "on");
    if (!PG_ARGISNULL(0))
        (void)take_on(PG_GETARG_TEXT_PP(0));
    PG_RETURN_VOID();
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

/* hail.begin_partner_session(partner_id): granted to nobody; hail.receive_order_webhook() has verified the
 * partner's signature. */
Datum hail_begin_partner_session(PG_FUNCTION_ARGS)
{
    hail_session_begin(HAIL_ROLE_PARTNER, PG_GETARG_UUID_P(0));
    PG_RETURN_VOID();
}
