/*
 * SQL entry points of signed webhooks. The secrets stay in the database: fronts pass headers and bodies on as
 * they came.
 *
 * Every signature is compared with that of every secret, and who is not known is answered as a forger is.
 * Only who has signed well is told that the timestamp is too far from now.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "identity/webhook.h"

#define SECRET_BYTES 32 /* of a secret made here; Standard Webhooks want 24 to 64 */

PG_FUNCTION_INFO_V1(hail_new_webhook_secret);
PG_FUNCTION_INFO_V1(hail_webhook_signature);
PG_FUNCTION_INFO_V1(hail_verify_webhook);
PG_FUNCTION_INFO_V1(hail_query_signature);
PG_FUNCTION_INFO_V1(hail_verify_query);
PG_FUNCTION_INFO_V1(hail_percent_encode);

static JwsSlice slice(struct varlena *value)
{
    return (JwsSlice){VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
}

static void append_text(StringInfo out, text *part)
{
    appendBinaryStringInfo(out, VARDATA_ANY(part), (int)VARSIZE_ANY_EXHDR(part));
}

static void compute_mac(bytea *secret, JwsSlice message, unsigned char mac[JWS_HMAC_BYTES])
{
    if (!webhook_mac(slice(secret), message, mac))
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a signature"));
}

static void refuse(const char *hint)
{
    ereport(ERROR, hail_error(HAIL_INVALID_SIGNATURE), errmsg("the signature is not valid"),
            hint ? errhint("%s", hint) : 0);
}

static void check_age(const char *timestamp, int tolerance_s)
{
    int64 seconds = webhook_seconds(timestamp);
    int64 now = (hail_now() / USECS_PER_SEC) +
                (int64)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY; /* hail_now(): since 2000 */

    if (seconds < 0)
        refuse("webhook-timestamp must be seconds since 1970.");
    if (Abs(now - seconds) > tolerance_s)
        refuse("webhook-timestamp is too far from now: sign anew, and see that the sender's clock is right.");
}

static bytea *random_secret(void)
{
    bytea *secret = palloc(VARHDRSZ + SECRET_BYTES);

    SET_VARSIZE(secret, VARHDRSZ + SECRET_BYTES);
    if (!pg_strong_random(VARDATA(secret), SECRET_BYTES))
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
    return secret;
}

/* The secrets of argument 0, a bytea[]. When there are none: one that nobody knows, so that the answer takes
 * as long, and *known is false. */
static int read_secrets(FunctionCallInfo fcinfo, Datum **secrets, bool *known)
{
    bool *nulls = NULL;
    int count = 0, kept = 0;

    if (!PG_ARGISNULL(0))
        deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), BYTEAOID, -1, false, TYPALIGN_INT, secrets, &nulls,
                          &count);
    for (int i = 0; i < count; i++)
        if (!nulls[i])
            (*secrets)[kept++] = (*secrets)[i];
    *known = kept > 0;
    if (*known)
        return kept;
    *secrets = palloc(sizeof(Datum));
    (*secrets)[0] = PointerGetDatum(random_secret());
    return 1;
}

/* hail.verify_webhook(secrets, webhook_id, timestamp, signature, body, tolerance_s) */
Datum hail_verify_webhook(PG_FUNCTION_ARGS)
{
    unsigned char mac[JWS_HMAC_BYTES];
    char *id, *timestamp, *signatures, expected[WEBHOOK_BASE64 + 1];
    StringInfoData message;
    Datum *secrets;
    bool known, found = false;
    int count = read_secrets(fcinfo, &secrets, &known);

    for (int i = 1; i < 5; i++)
        if (PG_ARGISNULL(i))
            refuse("The headers webhook-id, webhook-timestamp and webhook-signature and a body are needed.");
    id = text_to_cstring(PG_GETARG_TEXT_PP(1));
    timestamp = text_to_cstring(PG_GETARG_TEXT_PP(2));
    signatures = text_to_cstring(PG_GETARG_TEXT_PP(3));
    if (!webhook_valid_id(id))
        refuse("webhook-id has 1 to 255 characters and no dot.");
    initStringInfo(&message);
    appendStringInfo(&message, "%s.%s.", id, timestamp);
    append_text(&message, PG_GETARG_TEXT_PP(4));
    for (int i = 0; i < count; i++) {
        compute_mac(DatumGetByteaPP(secrets[i]), (JwsSlice){message.data, (size_t)message.len}, mac);
        webhook_base64(mac, expected);
        found |= webhook_among_v1(signatures, expected);
    }
    if (!found || !known)
        refuse(NULL);
    check_age(timestamp, PG_ARGISNULL(5) ? hail_webhook_tolerance_s : PG_GETARG_INT32(5));
    PG_RETURN_VOID();
}

/* hail.webhook_signature(secret, webhook_id, timestamp, body). Strict. */
Datum hail_webhook_signature(PG_FUNCTION_ARGS)
{
    unsigned char mac[JWS_HMAC_BYTES];
    char signature[WEBHOOK_BASE64 + 1];
    StringInfoData message;

    initStringInfo(&message);
    for (int i = 1; i < 4; i++) {
        append_text(&message, PG_GETARG_TEXT_PP(i));
        if (i < 3)
            appendStringInfoChar(&message, '.');
    }
    compute_mac(PG_GETARG_BYTEA_PP(0), (JwsSlice){message.data, (size_t)message.len}, mac);
    webhook_base64(mac, signature);
    PG_RETURN_TEXT_P(cstring_to_text(psprintf(WEBHOOK_V1 "%s", signature)));
}

/* hail.new_webhook_secret() */
Datum hail_new_webhook_secret(PG_FUNCTION_ARGS)
{
    PG_RETURN_BYTEA_P(random_secret());
}

/* hail.verify_query(secrets, message, signature) */
Datum hail_verify_query(PG_FUNCTION_ARGS)
{
    unsigned char mac[JWS_HMAC_BYTES];
    char expected[WEBHOOK_HEX + 1], *signature;
    Datum *secrets;
    bool known, found = false;
    int count = read_secrets(fcinfo, &secrets, &known);

    if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
        refuse("A body and the header with its signature are needed.");
    signature = text_to_cstring(PG_GETARG_TEXT_PP(2));
    for (int i = 0; i < count; i++) {
        compute_mac(DatumGetByteaPP(secrets[i]), slice(PG_GETARG_TEXT_PP(1)), mac);
        webhook_hex(mac, expected);
        found |= webhook_is_hex(signature, expected);
    }
    if (!found || !known)
        refuse(NULL);
    PG_RETURN_VOID();
}

/* hail.query_signature(secret, message). Strict. */
Datum hail_query_signature(PG_FUNCTION_ARGS)
{
    unsigned char mac[JWS_HMAC_BYTES];
    char signature[WEBHOOK_HEX + 1];

    compute_mac(PG_GETARG_BYTEA_PP(0), slice(PG_GETARG_TEXT_PP(1)), mac);
    webhook_hex(mac, signature);
    PG_RETURN_TEXT_P(cstring_to_text(signature));
}

/* hail.percent_encode(text). Strict. */
Datum hail_percent_encode(PG_FUNCTION_ARGS)
{
    JwsSlice given = slice(PG_GETARG_TEXT_PP(0));
    text *result;
    size_t length;

    if (given.length > (MaxAllocSize - VARHDRSZ) / 3)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("the text is too long"), hail_field("text"));
    result = palloc(VARHDRSZ + 3 * given.length);
    length = webhook_percent_encode(given, VARDATA(result));
    SET_VARSIZE(result, VARHDRSZ + length);
    PG_RETURN_TEXT_P(result);
}
