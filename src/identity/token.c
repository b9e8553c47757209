/*
 * Access tokens; see token.h.
 *
 * Order of verification: parts, header, algorithm, signature, and only then the claims: nothing of a payload
 * is read before its signature has been checked. JSON goes through PostgreSQL's own parser, whose callbacks
 * see every field, so that a name given twice is noticed.
 */
#include "postgres.h"

#include <math.h>

#include "common/jsonapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/error.h"
#include "base/guc.h"
#include "identity/jws.h"
#include "identity/token.h"

#define MAX_FIELDS    64             /* of one JSON object */
#define MAX_UNIX_TIME 253402300799.0 /* end of the year 9999, seconds since 1970 */

#if PG_VERSION_NUM >= 160000
#define JSON_ACTION      static JsonParseErrorType
#define JSON_ACTION_DONE return JSON_SUCCESS
#else
#define JSON_ACTION      static void
#define JSON_ACTION_DONE return
#endif

/* Told of each value of a JSON object; `value` is NULL for the start of an object or array, numbers as
 * written. */
typedef bool (*FieldVisitor)(void *target, const char *name, JsonTokenType type, const char *value,
                             bool in_array);

/* Reading of one JSON object; what lies deeper than an array in a field is passed over. */
typedef struct ObjectReader {
    FieldVisitor visit;
    void *target;
    int depth;
    char *names[MAX_FIELDS];
    int name_count;
    bool in_array; /* inside an array that is a field's value */
    bool bad;
} ObjectReader;

typedef struct Header {
    bool algorithm_ok;
} Header;

typedef struct Claims {
    bool issuer_ok, audience_ok;
    double exp, nbf, iat; /* Unix seconds; exp NaN: not given */
    bool has_subject;
    pg_uuid_t subject;
    HailRole role;
} Claims;

/* Why the token being checked is refused: a sentence for the log. */
static bool refuse(const char **reason, const char *why)
{
    *reason = why;
    return false;
}

static void pg_attribute_noreturn() misconfigured(const char *detail, const char *hint)
{
    ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("tokens are not configured"),
            errdetail_internal("%s", detail), errhint("%s", hint), errhidestmt(true));
}

/* The key of hail.jwt_secret, made ready again only when the setting has changed. */
static JwsSecret *secret(void)
{
    static JwsSecret *ready = NULL;
    static char *ready_text = NULL;

    if (strlen(hail_jwt_secret) < JWS_MIN_SECRET)
        misconfigured("hail.jwt_secret is shorter than 32 bytes.",
                      "Set hail.jwt_secret to 32 random bytes or more and reload.");
    if (ready != NULL && strcmp(ready_text, hail_jwt_secret) == 0)
        return ready;
    if (ready != NULL) {
        jws_secret_free(ready);
        ready = NULL;
        pfree(ready_text);
    }
    ready_text = MemoryContextStrdup(TopMemoryContext, hail_jwt_secret);
    ready = jws_secret_read(ready_text, strlen(ready_text));
    if (ready == NULL) {
        pfree(ready_text);
        elog(ERROR, "could not prepare the key of tokens");
    }
    return ready;
}

static JwsAlgorithm algorithm(void)
{
    return hail_jwt_algorithm == HAIL_JWT_RS256   ? JWS_RS256
           : hail_jwt_algorithm == HAIL_JWT_EDDSA ? JWS_EDDSA
                                                  : JWS_HS256;
}

/* The issuer's public key, read again only when the setting has changed. */
static JwsKey *public_key(void)
{
    static JwsKey *key = NULL;
    static char *key_pem = NULL;
    static JwsAlgorithm key_algorithm;

    if (key == NULL || key_algorithm != algorithm() || strcmp(key_pem, hail_jwt_public_key) != 0) {
        if (key != NULL) {
            jws_key_free(key);
            key = NULL;
        }
        if (key_pem != NULL)
            pfree(key_pem);
        key_pem = MemoryContextStrdup(TopMemoryContext, hail_jwt_public_key);
        key_algorithm = algorithm();
        key = jws_key_read(key_pem, key_algorithm);
    }
    if (key == NULL)
        misconfigured(
            "hail.jwt_public_key is no PEM public key for hail.jwt_algorithm.",
            "Set it to an RSA key of 2048 bits or more (RS256) or an Ed25519 key (EdDSA) and reload.");
    return key;
}

/* ---- JSON ---- */

static void visit(ObjectReader *reader, JsonTokenType type, const char *value)
{
    if (reader->bad || reader->name_count == 0)
        return;
    if (!reader->visit(reader->target, reader->names[reader->name_count - 1], type, value, reader->in_array))
        reader->bad = true;
}

JSON_ACTION on_object_start(void *state)
{
    ObjectReader *reader = state;

    if (reader->depth == 1 || (reader->depth == 2 && reader->in_array))
        visit(reader, JSON_TOKEN_OBJECT_START, NULL);
    reader->depth++;
    JSON_ACTION_DONE;
}

JSON_ACTION on_array_start(void *state)
{
    ObjectReader *reader = state;

    if (reader->depth == 0)
        reader->bad = true;
    else if (reader->depth == 1) {
        visit(reader, JSON_TOKEN_ARRAY_START, NULL);
        reader->in_array = true;
    } else if (reader->depth == 2 && reader->in_array)
        visit(reader, JSON_TOKEN_ARRAY_START, NULL);
    reader->depth++;
    JSON_ACTION_DONE;
}

JSON_ACTION on_end(void *state)
{
    ObjectReader *reader = state;

    reader->depth--;
    if (reader->depth == 1)
        reader->in_array = false;
    JSON_ACTION_DONE;
}

JSON_ACTION on_field_start(void *state, char *name, bool isnull)
{
    ObjectReader *reader = state;

    if (reader->depth != 1 || reader->bad)
        JSON_ACTION_DONE;
    for (int i = 0; i < reader->name_count; i++)
        if (strcmp(reader->names[i], name) == 0)
            reader->bad = true;
    if (reader->name_count == MAX_FIELDS)
        reader->bad = true;
    if (!reader->bad)
        reader->names[reader->name_count++] = name;
    JSON_ACTION_DONE;
}

JSON_ACTION on_scalar(void *state, char *value, JsonTokenType type)
{
    ObjectReader *reader = state;

    if (reader->depth == 0)
        reader->bad = true;
    else if (reader->depth == 1 || (reader->depth == 2 && reader->in_array))
        visit(reader, type, value);
    JSON_ACTION_DONE;
}

/* Decode a part and read the JSON object in it; false when it is none, or a name comes twice, or a visit
 * fails. */
static bool read_object(JwsSlice part, FieldVisitor visitor, void *target)
{
    ObjectReader reader = {.visit = visitor, .target = target};
    JsonSemAction actions = {.semstate = &reader,
                             .object_start = on_object_start,
                             .object_end = on_end,
                             .array_start = on_array_start,
                             .array_end = on_end,
                             .object_field_start = on_field_start,
                             .scalar = on_scalar};
    unsigned char *json = palloc(part.length + 1);
    long length = jws_base64url_decode(part.data, part.length, json);
    JsonLexContext *lex;

    if (length < 0 || !pg_verify_mbstr(PG_UTF8, (char *)json, (int)length, true))
        return false;
#if PG_VERSION_NUM >= 170000
    lex = makeJsonLexContextCstringLen(NULL, (char *)json, (size_t)length, PG_UTF8, true);
#else
    lex = makeJsonLexContextCstringLen((char *)json, (int)length, PG_UTF8, true);
#endif
    return pg_parse_json(lex, &actions) == JSON_SUCCESS && !reader.bad;
}

/* ---- header and claims ---- */

static bool visit_header(void *target, const char *name, JsonTokenType type, const char *value, bool in_array)
{
    Header *header = target;

    if (strcmp(name, "crit") == 0)
        return false; /* no extension is understood here: RFC 7515, section 4.1.11 */
    if (strcmp(name, "alg") == 0)
        header->algorithm_ok =
            type == JSON_TOKEN_STRING && !in_array && strcmp(value, jws_algorithm_name(algorithm())) == 0;
    return true;
}

/*
 * Is a header well formed, naming the configured algorithm? The tokens of an issuer share one header: the one
 * accepted last is remembered, byte for byte, and not read again.
 */
static bool check_header(JwsSlice part, const char **reason)
{
    static char accepted[256];
    static size_t accepted_length = 0;
    static JwsAlgorithm accepted_algorithm;
    Header header = {false};

    if (part.length == accepted_length && algorithm() == accepted_algorithm &&
        memcmp(part.data, accepted, accepted_length) == 0)
        return true;
    if (!read_object(part, visit_header, &header))
        return refuse(reason, "The header is malformed, or demands an extension.");
    if (!header.algorithm_ok)
        return refuse(reason, "The algorithm is not the configured one.");
    if (part.length <= sizeof(accepted)) {
        memcpy(accepted, part.data, part.length);
        accepted_length = part.length;
        accepted_algorithm = algorithm();
    }
    return true;
}

/* A NumericDate (RFC 7519, section 2): Unix seconds, fractions allowed. */
static bool read_time(JsonTokenType type, const char *value, bool in_array, double *out)
{
    if (type != JSON_TOKEN_NUMBER || in_array)
        return false;
    *out = strtod(value, NULL);
    return *out >= 0 && *out <= MAX_UNIX_TIME;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20; /* lower case */
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The one usual form of a UUID: 36 characters, hyphens at the four places. */
static bool read_uuid(const char *text, pg_uuid_t *out)
{
    if (strlen(text) != 36)
        return false;
    for (int i = 0, byte = 0; i < 36; byte++, i += 2) {
        int high, low;

        if ((i == 8 || i == 13 || i == 18 || i == 23) && text[i++] != '-')
            return false;
        high = hex_value(text[i]);
        low = hex_value(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->data[byte] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool visit_claim(void *target, const char *name, JsonTokenType type, const char *value, bool in_array)
{
    Claims *claims = target;
    bool string = type == JSON_TOKEN_STRING;

    if (strcmp(name, "exp") == 0)
        return read_time(type, value, in_array, &claims->exp);
    if (strcmp(name, "nbf") == 0)
        return read_time(type, value, in_array, &claims->nbf);
    if (strcmp(name, "iat") == 0)
        return read_time(type, value, in_array, &claims->iat);
    if (strcmp(name, "aud") == 0) {
        if (string && strcmp(value, hail_jwt_audience) == 0)
            claims->audience_ok = true;
        return string || (type == JSON_TOKEN_ARRAY_START && !in_array);
    }
    if (strcmp(name, "iss") == 0)
        return claims->issuer_ok = string && !in_array && strcmp(value, hail_jwt_issuer) == 0;
    if (strcmp(name, "sub") == 0)
        return claims->has_subject = string && !in_array && read_uuid(value, &claims->subject);
    if (strcmp(name, "role") == 0) {
        claims->role = string && !in_array ? hail_role_from_name(value) : HAIL_ROLE_NONE;
        return claims->role != HAIL_ROLE_NONE;
    }
    return true;
}

static double unix_seconds(TimestampTz at)
{
    return (double)at / USECS_PER_SEC + (double)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

static TimestampTz from_unix_seconds(double seconds)
{
    return (TimestampTz)(floor(seconds) - (double)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) *
           USECS_PER_SEC;
}

static bool signature_ok(const JwsParts *parts)
{
    unsigned char signature[JWS_MAX_BYTES];
    long length = jws_base64url_decode(parts->signature.data, parts->signature.length, signature);

    if (length < 0)
        return false;
    if (algorithm() == JWS_HS256)
        return jws_verify_hs256(secret(), parts->signed_text, signature, (size_t)length);
    return jws_verify_key(public_key(), algorithm(), parts->signed_text, signature, (size_t)length);
}

/* Are the claims of a token whose signature holds ours, and complete? */
static bool check_claims(JwsSlice payload, Claims *claims, const char **reason)
{
    if (hail_jwt_issuer[0] == '\0' || hail_jwt_audience[0] == '\0')
        misconfigured("hail.jwt_issuer or hail.jwt_audience is empty.", "Set both and reload.");
    if (!read_object(payload, visit_claim, claims))
        return refuse(reason, "The claims are malformed, given twice, or not for this system.");
    if (!claims->issuer_ok || !claims->audience_ok)
        return refuse(reason, "The token is of another issuer or for another audience.");
    if (!claims->has_subject || claims->role == HAIL_ROLE_NONE || isnan(claims->exp))
        return refuse(reason, "One of the claims sub, role and exp is missing.");
    return true;
}

HailTokenStatus hail_token_check(const char *text, size_t length, TimestampTz now, HailToken *token,
                                 const char **reason)
{
    Claims claims = {.exp = NAN, .nbf = 0, .iat = 0};
    double seconds = unix_seconds(now);
    JwsParts parts;

    *reason = NULL;
    if (!jws_split(text, length, &parts))
        refuse(reason, "The token does not have three parts, or is too long.");
    else if (check_header(parts.header, reason)) {
        if (!signature_ok(&parts))
            refuse(reason, "The signature does not match.");
        else if (check_claims(parts.payload, &claims, reason) &&
                 seconds + hail_jwt_leeway_s < Max(claims.nbf, claims.iat))
            refuse(reason, "The token is not valid yet.");
    }
    if (*reason != NULL)
        return HAIL_TOKEN_REFUSED;
    if (seconds >= claims.exp + hail_jwt_leeway_s)
        return HAIL_TOKEN_OUTDATED;
    *token = (HailToken){claims.role, claims.subject, from_unix_seconds(claims.exp)};
    return HAIL_TOKEN_GOOD;
}

const HailTokenFault *hail_token_fault(HailTokenStatus status)
{
    static const HailTokenFault faults[] = {
        [HAIL_TOKEN_REFUSED] = {HAIL_UNAUTHENTICATED, "token is not valid", NULL},
        [HAIL_TOKEN_OUTDATED] = {HAIL_TOKEN_EXPIRED, "token has expired", "Get a new token and try again."}};

    return status == HAIL_TOKEN_GOOD ? NULL : &faults[status];
}

HailToken hail_token_verify(const char *text, size_t length, TimestampTz now)
{
    HailToken token;
    const char *reason;
    const HailTokenFault *fault = hail_token_fault(hail_token_check(text, length, now, &token, &reason));

    if (fault != NULL)
        ereport(ERROR, hail_error(fault->error), errmsg("%s", fault->message),
                reason ? errdetail_log("%s", reason) : 0, fault->hint ? errhint("%s", fault->hint) : 0,
                errhidestmt(true), errhidecontext(true));
    return token;
}

/* ---- signing ---- */

static void append_base64url(StringInfo out, const void *bytes, size_t length)
{
    enlargeStringInfo(out, (int)jws_base64url_size(length) + 1);
    out->len += (int)jws_base64url_encode(bytes, length, out->data + out->len);
    out->data[out->len] = '\0';
}

char *hail_token_sign(const HailToken *token, TimestampTz now)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    JwsSecret *key;
    unsigned char mac[JWS_HMAC_BYTES];
    StringInfoData claims, text;

    if (algorithm() != JWS_HS256)
        misconfigured("Tokens are signed by an outside issuer.", "Get the token from there, or use HS256.");
    key = secret();
    initStringInfo(&claims);
    appendStringInfoString(&claims, "{\"iss\":");
    escape_json(&claims, hail_jwt_issuer);
    appendStringInfoString(&claims, ",\"aud\":");
    escape_json(&claims, hail_jwt_audience);
    appendStringInfo(&claims, ",\"sub\":\"%s\",\"role\":\"%s\",\"iat\":%.0f,\"exp\":%.0f}",
                     DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&token->subject))),
                     hail_role_name(token->role), floor(unix_seconds(now)),
                     floor(unix_seconds(token->expires_at)));

    initStringInfo(&text);
    append_base64url(&text, header, strlen(header));
    appendStringInfoChar(&text, '.');
    append_base64url(&text, claims.data, (size_t)claims.len);
    if (!jws_hs256(key, (JwsSlice){text.data, (size_t)text.len}, mac))
        elog(ERROR, "could not compute a signature");
    appendStringInfoChar(&text, '.');
    append_base64url(&text, mac, sizeof(mac));
    return text.data;
}
