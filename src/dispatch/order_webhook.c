/*
 * Signatures of webhooks that bring orders: Standard Webhooks 1.0 (standardwebhooks.com), symmetric "v1".
 *
 * Signed is "id.timestamp.body" by HMAC-SHA-256; the header has one signature or, while a sender rotates its
 * secret, several: "v1,<base64> v1,<base64>". A dot in the id could move bytes from one part to the next, so
 * it is refused. Every signature is compared with that of every secret, in constant time and to the end, and
 * an unknown partner is answered as a forged signature is. Only who has signed well is told that the
 * timestamp is too old.
 *
 * The secrets stay in the database: the front passes headers and body on as they came.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "identity/jws.h"
#include "identity/session.h"

#define SECRET_BYTES     32 /* of a secret made here; the specification wants 24 to 64 */
#define BASE64_MAC       44 /* characters of an HMAC-SHA-256 in base64, padding included */
#define MAX_SIGNATURES   4096
#define MAX_ID           255
#define MAX_TIMESTAMP    12 /* digits: seconds since 1970 */
#define SIGNATURE_PREFIX "v1,"

PG_FUNCTION_INFO_V1(hail_new_webhook_secret);
PG_FUNCTION_INFO_V1(hail_webhook_signature);
PG_FUNCTION_INFO_V1(hail_verify_webhook);
PG_FUNCTION_INFO_V1(hail_begin_partner_session);

static void append_text(StringInfo out, text *part)
{
    appendBinaryStringInfo(out, VARDATA_ANY(part), (int)VARSIZE_ANY_EXHDR(part));
}

/* The signature of a message by a secret, in base64: BASE64_MAC characters and a zero. */
static void sign(const char *secret, size_t length, const StringInfo message, char out[BASE64_MAC + 1])
{
    unsigned char mac[JWS_HMAC_BYTES];
    JwsSecret *key = jws_secret_read(secret, length);
    bool ok = key != NULL && jws_hs256(key, (JwsSlice){message->data, (size_t)message->len}, mac);

    jws_secret_free(key);
    if (!ok || pg_b64_encode((const char *)mac, JWS_HMAC_BYTES, out, BASE64_MAC) != BASE64_MAC)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a signature"));
    out[BASE64_MAC] = '\0';
}

/* Is one of the space-separated signatures this one? All are compared. */
static bool is_among(const char *signatures, const char *expected)
{
    const size_t prefix = strlen(SIGNATURE_PREFIX);
    bool found = false;

    while (*signatures != '\0') {
        size_t length = strcspn(signatures, " ");

        if (length == prefix + BASE64_MAC && memcmp(signatures, SIGNATURE_PREFIX, prefix) == 0)
            found |= CRYPTO_memcmp(signatures + prefix, expected, BASE64_MAC) == 0;
        signatures += length;
        signatures += strspn(signatures, " ");
    }
    return found;
}

static void refuse(const char *hint)
{
    ereport(ERROR, hail_error(HAIL_INVALID_SIGNATURE), errmsg("the signature is not valid"),
            hint ? errhint("%s", hint) : 0);
}

/* Seconds since 1970 as written in the header; -1: no plain number. */
static int64 parse_seconds(const char *digits)
{
    int64 seconds = 0;
    size_t length = strlen(digits);

    if (length == 0 || length > MAX_TIMESTAMP || strspn(digits, "0123456789") != length)
        return -1;
    for (; *digits != '\0'; digits++)
        seconds = seconds * 10 + (*digits - '0');
    return seconds;
}

static void check_age(const char *timestamp)
{
    int64 seconds = parse_seconds(timestamp);
    int64 now = (hail_now() / USECS_PER_SEC) +
                (int64)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY; /* hail_now(): since 2000 */

    if (seconds < 0)
        refuse("webhook-timestamp must be seconds since 1970.");
    if (Abs(now - seconds) > hail_webhook_tolerance_s)
        refuse("webhook-timestamp is too far from now: sign anew, and see that the sender's clock is right.");
}

/* The secrets of a bytea[]; a partner that there is not has one that nobody knows. */
static int read_secrets(FunctionCallInfo fcinfo, Datum **secrets)
{
    char unknown[SECRET_BYTES];
    int count = 0;

    if (!PG_ARGISNULL(0))
        deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), BYTEAOID, -1, false, TYPALIGN_INT, secrets, NULL, &count);
    if (count > 0)
        return count;
    if (!pg_strong_random(unknown, sizeof(unknown)))
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
    *secrets = palloc(sizeof(Datum));
    (*secrets)[0] = PointerGetDatum(cstring_to_text_with_len(unknown, sizeof(unknown)));
    return 1;
}

/* hail.verify_webhook(secrets, webhook_id, timestamp, signature, body) */
Datum hail_verify_webhook(PG_FUNCTION_ARGS)
{
    char *id, *timestamp, *signatures, expected[BASE64_MAC + 1];
    StringInfoData message;
    Datum *secrets;
    int count = read_secrets(fcinfo, &secrets);
    bool found = false;

    for (int i = 1; i < 5; i++)
        if (PG_ARGISNULL(i))
            refuse("The headers webhook-id, webhook-timestamp and webhook-signature and a body are needed.");
    id = text_to_cstring(PG_GETARG_TEXT_PP(1));
    timestamp = text_to_cstring(PG_GETARG_TEXT_PP(2));
    signatures = text_to_cstring(PG_GETARG_TEXT_PP(3));
    if (*id == '\0' || strlen(id) > MAX_ID || strchr(id, '.') != NULL)
        refuse("webhook-id has 1 to 255 characters and no dot.");
    if (strlen(signatures) > MAX_SIGNATURES)
        refuse(NULL);
    initStringInfo(&message);
    appendStringInfo(&message, "%s.%s.", id, timestamp);
    append_text(&message, PG_GETARG_TEXT_PP(4));
    for (int i = 0; i < count; i++) {
        bytea *secret = DatumGetByteaPP(secrets[i]);

        sign(VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret), &message, expected);
        found |= is_among(signatures, expected);
    }
    if (!found || PG_ARGISNULL(0))
        refuse(NULL);
    check_age(timestamp);
    PG_RETURN_VOID();
}

/* hail.webhook_signature(secret, webhook_id, timestamp, body). Strict. */
Datum hail_webhook_signature(PG_FUNCTION_ARGS)
{
    bytea *secret = PG_GETARG_BYTEA_PP(0);
    char signature[BASE64_MAC + 1];
    StringInfoData message;

    initStringInfo(&message);
    for (int i = 1; i < 4; i++) {
        append_text(&message, PG_GETARG_TEXT_PP(i));
        if (i < 3)
            appendStringInfoChar(&message, '.');
    }
    sign(VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret), &message, signature);
    PG_RETURN_TEXT_P(cstring_to_text(psprintf(SIGNATURE_PREFIX "%s", signature)));
}

/* hail.new_webhook_secret() */
Datum hail_new_webhook_secret(PG_FUNCTION_ARGS)
{
    bytea *secret = palloc(VARHDRSZ + SECRET_BYTES);

    SET_VARSIZE(secret, VARHDRSZ + SECRET_BYTES);
    if (!pg_strong_random(VARDATA(secret), SECRET_BYTES))
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
    PG_RETURN_BYTEA_P(secret);
}

/* hail.begin_partner_session(partner_id): granted to nobody; hail.receive_order_webhook() has verified. */
Datum hail_begin_partner_session(PG_FUNCTION_ARGS)
{
    hail_session_begin(HAIL_ROLE_PARTNER, PG_GETARG_UUID_P(0));
    PG_RETURN_VOID();
}
