/* The verified session; see session.h. */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/error.h"
#include "identity/session.h"

static const char *const role_names[] = {NULL, "customer", "driver", "admin", "partner", "analyst"};

/*
 * Subjects verified in this transaction, newest first; the newest counts. A token verified inside a savepoint
 * hides the one from before it until that savepoint is rolled back, as the role set with it does.
 */
typedef struct Verified {
    HailActor actor;
    SubTransactionId since;
    struct Verified *hidden;
} Verified;

static Verified *verified = NULL; /* in TopTransactionContext; NULL: nobody has authenticated */

static void at_transaction_end(XactEvent event, void *arg)
{
    switch (event) {
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PARALLEL_ABORT:
    case XACT_EVENT_PREPARE:
        verified = NULL; /* its memory goes with the transaction */
        break;
    default:
        break;
    }
}

static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    if (verified == NULL || verified->since != id)
        return;
    if (event == SUBXACT_EVENT_ABORT_SUB)
        verified = verified->hidden;
    else if (event == SUBXACT_EVENT_COMMIT_SUB) {
        verified->since = parent;
        if (verified->hidden != NULL && verified->hidden->since == parent)
            verified->hidden = verified->hidden->hidden;
    }
}

void hail_session_begin(HailRole role, const pg_uuid_t *subject)
{
    SubTransactionId now = GetCurrentSubTransactionId();

    if (verified == NULL || verified->since != now) {
        Verified *newest = MemoryContextAllocZero(TopTransactionContext, sizeof(Verified));

        newest->since = now;
        newest->hidden = verified;
        verified = newest;
    }
    verified->actor = (HailActor){role, true, *subject};
}

static bool has_admin_rights(Oid session_user, Oid outer_user)
{
    Oid admin;

    if (superuser_arg(session_user) && superuser_arg(outer_user))
        return true;
    admin = get_role_oid("hail_admin", true);
    return OidIsValid(admin) && has_privs_of_role(session_user, admin) &&
           has_privs_of_role(outer_user, admin);
}

/* The last answer, until roles or their members change: every call of every function asks. */
static struct {
    bool known, answer;
    Oid session_user, outer_user;
    uint64 forgotten; /* how often */
} admin_rights;

static void forget_admin_rights(Datum arg, int cache, uint32 hash)
{
    admin_rights.known = false;
    admin_rights.forgotten++;
}

static bool is_database_admin(void)
{
    Oid session_user = GetSessionUserId(), outer_user = GetOuterUserId();

    uint64 forgotten = admin_rights.forgotten;

    if (admin_rights.known && admin_rights.session_user == session_user &&
        admin_rights.outer_user == outer_user)
        return admin_rights.answer;
    admin_rights.known = false;
    admin_rights.answer = has_admin_rights(session_user, outer_user);
    admin_rights.session_user = session_user;
    admin_rights.outer_user = outer_user;
    admin_rights.known = forgotten == admin_rights.forgotten; /* nothing changed meanwhile */
    return admin_rights.answer;
}

void hail_session_init(void)
{
    CacheRegisterSyscacheCallback(AUTHOID, forget_admin_rights, (Datum)0);
    CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_admin_rights, (Datum)0);
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
}

HailActor hail_actor(void)
{
    HailActor nobody = {HAIL_ROLE_NONE};

    /* Maintenance of a table runs its owner's index functions: not the place to be anybody. */
    if (InSecurityRestrictedOperation())
        return nobody;
    if (verified != NULL)
        return verified->actor;
    if (is_database_admin())
        nobody.role = HAIL_ROLE_ADMIN;
    return nobody;
}

const char *hail_role_name(HailRole role)
{
    return role_names[role];
}

HailRole hail_role_from_name(const char *name)
{
    for (int i = 1; i < (int)lengthof(role_names); i++)
        if (strcmp(role_names[i], name) == 0)
            return (HailRole)i;
    return HAIL_ROLE_NONE;
}

HailActor hail_require_actor(void)
{
    HailActor actor = hail_actor();

    if (actor.role == HAIL_ROLE_NONE)
        ereport(ERROR, hail_error(HAIL_UNAUTHENTICATED), errmsg("not authenticated"),
                errhint("Call hail.authenticate(token) first in the same transaction."));
    return actor;
}

void hail_require_admin(void)
{
    if (hail_require_actor().role != HAIL_ROLE_ADMIN)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only administrators may do this"));
}

void hail_require_self(HailRole role, const pg_uuid_t *user_id)
{
    HailActor actor = hail_require_actor();

    if (actor.role == HAIL_ROLE_ADMIN)
        return;
    if (actor.role != role || memcmp(&actor.subject, user_id, sizeof(pg_uuid_t)) != 0)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN),
                errmsg("only the %s itself may do this", hail_role_name(role)));
}

PG_FUNCTION_INFO_V1(hail_current_subject);
PG_FUNCTION_INFO_V1(hail_current_role_name);
PG_FUNCTION_INFO_V1(hail_require_self_sql);
PG_FUNCTION_INFO_V1(hail_require_admin_sql);

Datum hail_current_subject(PG_FUNCTION_ARGS)
{
    HailActor actor = hail_actor();
    pg_uuid_t *subject;

    if (!actor.has_subject)
        PG_RETURN_NULL();
    subject = palloc(sizeof(pg_uuid_t));
    *subject = actor.subject;
    PG_RETURN_UUID_P(subject);
}

Datum hail_current_role_name(PG_FUNCTION_ARGS)
{
    HailActor actor = hail_actor();

    if (actor.role == HAIL_ROLE_NONE)
        PG_RETURN_NULL();
    PG_RETURN_TEXT_P(cstring_to_text(hail_role_name(actor.role)));
}

/* hail.require_self(role, user_id) */
Datum hail_require_self_sql(PG_FUNCTION_ARGS)
{
    HailRole role =
        PG_ARGISNULL(0) ? HAIL_ROLE_NONE : hail_role_from_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));

    if (role == HAIL_ROLE_NONE)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("unknown role"), hail_field("role"));
    if (PG_ARGISNULL(1))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg("%s_id must not be null", hail_role_name(role)));
    hail_require_self(role, PG_GETARG_UUID_P(1));
    PG_RETURN_VOID();
}

Datum hail_require_admin_sql(PG_FUNCTION_ARGS)
{
    hail_require_admin();
    PG_RETURN_VOID();
}
