/*
 * webhook.h
 *    Signatures of webhooks at the level of bytes: HMAC-SHA-256 of a message, and whether it is the one that
 *    was sent. Two dialects:
 *
 *    - Standard Webhooks 1.0 (standardwebhooks.com), symmetric "v1": signed is "id.timestamp.body"; the
 * header has one signature or, while a sender rotates its secret, several: "v1,<base64> v1,<base64>".
 *    - sorted query: signed are some fields of the event, sorted by name, as "name=value&name=value" with
 * both percent-encoded (RFC 3986); the header has the signature in hexadecimal.
 *
 * Pure: needs libcrypto, nothing of PostgreSQL. What callers send is compared in constant time and to the
 * end.
 */
#ifndef HAIL_IDENTITY_WEBHOOK_H
#define HAIL_IDENTITY_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identity/jws.h"

#define WEBHOOK_BASE64         44 /* characters of an HMAC-SHA-256 in base64, padding included */
#define WEBHOOK_HEX            64 /* and in hexadecimal */
#define WEBHOOK_MAX_SIGNATURES 4096
#define WEBHOOK_MAX_ID         255
#define WEBHOOK_MAX_TIMESTAMP  12 /* digits: seconds since 1970 */
#define WEBHOOK_V1             "v1,"

/* HMAC-SHA-256 of a message by a secret. False when libcrypto fails. */
extern bool webhook_mac(JwsSlice secret, JwsSlice message, unsigned char mac[JWS_HMAC_BYTES]);

/* A signature as text, zero-terminated. Hexadecimal digits are lower case. */
extern void webhook_base64(const unsigned char mac[JWS_HMAC_BYTES], char out[WEBHOOK_BASE64 + 1]);
extern void webhook_hex(const unsigned char mac[JWS_HMAC_BYTES], char out[WEBHOOK_HEX + 1]);

/* Is one of the space-separated signatures "v1," and this base64? All are compared. False when the list is
 * longer than WEBHOOK_MAX_SIGNATURES. */
extern bool webhook_among_v1(const char *signatures, const char expected[WEBHOOK_BASE64 + 1]);

/* Is this hexadecimal text (either case) this signature? */
extern bool webhook_is_hex(const char *signature, const char expected[WEBHOOK_HEX + 1]);

/* May this be the id of a Standard Webhook: 1 to WEBHOOK_MAX_ID characters, and no dot, which could move
 * bytes from one part of the message to the next. */
extern bool webhook_valid_id(const char *id);

/* Seconds since 1970 as written in a header; -1: no plain number of WEBHOOK_MAX_TIMESTAMP digits at most. */
extern int64_t webhook_seconds(const char *digits);

/* Percent-encode all but A-Z a-z 0-9 - . _ ~ (RFC 3986, 2.3). `out` has room for 3 * length; not
 * zero-terminated. Returns the bytes written. */
extern size_t webhook_percent_encode(JwsSlice text, char *out);

#endif
