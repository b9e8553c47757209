/*
 * token.h
 *    Access tokens: JSON Web Tokens (RFC 7519) as this system makes and accepts them.
 *
 * Claims: iss and aud (hail.jwt_issuer, hail.jwt_audience), sub (users.id), role, exp, and where given nbf
 * and iat. One algorithm, hail.jwt_algorithm, compared before anything else is looked at. Every refusal reads
 * the same to the caller; the server's log has the reason, and neither has the token.
 */
#ifndef HAIL_IDENTITY_TOKEN_H
#define HAIL_IDENTITY_TOKEN_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "base/sqlstate.h"
#include "identity/session.h"

typedef struct HailToken {
    HailRole role;
    pg_uuid_t subject;      /* users.id */
    TimestampTz expires_at; /* whole seconds */
} HailToken;

typedef enum HailTokenStatus {
    HAIL_TOKEN_GOOD,
    HAIL_TOKEN_REFUSED, /* not made for us, or made up */
    HAIL_TOKEN_OUTDATED /* good until it expired */
} HailTokenStatus;

/* What a caller is told of a token that is not good. */
typedef struct HailTokenFault {
    HailError error;
    const char *message, *hint; /* hint NULL: none */
} HailTokenFault;

/*
 * Verify a token of `length` bytes as of `now`: fills `token` when it is good. A refused token's `*reason` is
 * a sentence for the server's log alone; else NULL. Errors: config_file_error when the key of the configured
 * algorithm is missing or too weak. Pure but for the settings; allocates in the current memory context.
 */
extern HailTokenStatus hail_token_check(const char *text, size_t length, TimestampTz now, HailToken *token,
                                        const char **reason);

/* NULL for a good token. */
extern const HailTokenFault *hail_token_fault(HailTokenStatus status);

/*
 * The same for callers that need a good token: returns what it says. Errors: unauthenticated, token_expired,
 * config_file_error.
 */
extern HailToken hail_token_verify(const char *text, size_t length, TimestampTz now);

/*
 * Sign a token made at `now`, HS256; returns it, zero-terminated, in the current memory context. Errors:
 * config_file_error when the configured algorithm is another (its private key is elsewhere) or the secret is
 * weak.
 */
extern char *hail_token_sign(const HailToken *token, TimestampTz now);

#endif
