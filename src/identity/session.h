/*
 * session.h
 *    Who is calling. Every SQL entry point asks here; nothing else is an identity.
 *
 * A verified subject lives in a C variable of the backend from hail.authenticate() until its (sub)transaction
 * ends. Without one, a caller is an administrator when both the role it logged in as and the role it has set
 * have the rights of hail_admin (superusers do; hail_front, NOINHERIT, never does), else it is nobody.
 * The role set by SECURITY DEFINER functions plays no part. Inside security-restricted operations (index
 * functions run by ANALYZE, REINDEX and the like) everybody is nobody.
 */
#ifndef HAIL_IDENTITY_SESSION_H
#define HAIL_IDENTITY_SESSION_H

#include "postgres.h"
#include "utils/uuid.h"

typedef enum HailRole {
    HAIL_ROLE_NONE,
    HAIL_ROLE_CUSTOMER,
    HAIL_ROLE_DRIVER,
    HAIL_ROLE_ADMIN,
    HAIL_ROLE_PARTNER,
    HAIL_ROLE_ANALYST
} HailRole;

typedef struct HailActor {
    HailRole role;
    bool has_subject;  /* false: a database administrator, or nobody */
    pg_uuid_t subject; /* users.id */
} HailActor;

/* The caller. Never errors. */
extern HailActor hail_actor(void);

/* "customer", "driver", ...; NULL for HAIL_ROLE_NONE. And back (HAIL_ROLE_NONE when unknown). */
extern const char *hail_role_name(HailRole role);
extern HailRole hail_role_from_name(const char *name);

/* The caller, or error unauthenticated. */
extern HailActor hail_require_actor(void);

/* Error unauthenticated / forbidden unless the caller is an administrator. */
extern void hail_require_admin(void);

/* Error unless the caller is this user in this role, or an administrator. */
extern void hail_require_self(HailRole role, const pg_uuid_t *user_id);

/* Keep a verified subject until the current (sub)transaction ends. Only what has verified a token, or a
 * partner's signature, calls this. */
extern void hail_session_begin(HailRole role, const pg_uuid_t *subject);

extern void hail_session_init(void);

#endif
