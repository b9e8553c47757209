/*
 * jws.h
 *    Signed tokens in compact form (RFC 7515) at the level of bytes: parts, base64url, signatures.
 *
 * Pure: needs libcrypto, nothing of PostgreSQL; allocates only inside libcrypto. What the bytes mean is
 * token.h's business.
 */
#ifndef HAIL_IDENTITY_JWS_H
#define HAIL_IDENTITY_JWS_H

#include <stdbool.h>
#include <stddef.h>

#define JWS_MAX_BYTES    8192 /* a longer token is refused unread */
#define JWS_MIN_SECRET   32   /* bytes of an HS256 key: RFC 7518, section 3.2 */
#define JWS_MIN_RSA_BITS 2048 /* RFC 7518, section 3.3 */
#define JWS_HMAC_BYTES   32

typedef enum JwsAlgorithm { JWS_HS256, JWS_RS256, JWS_EDDSA } JwsAlgorithm;

typedef struct JwsSlice {
    const char *data;
    size_t length; /* bytes; not zero-terminated */
} JwsSlice;

/* A token cut at its two dots; slices of the caller's string, still encoded. */
typedef struct JwsParts {
    JwsSlice header, payload, signature;
    JwsSlice signed_text; /* header.payload */
} JwsParts;

/* A public key; the type of libcrypto behind a name of our own. */
typedef struct evp_pkey_st JwsKey;

/* An HS256 secret ready for use: looking the algorithm up and hashing the key in cost more than a token. */
typedef struct evp_mac_ctx_st JwsSecret;

/* What the `alg` header says for an algorithm. */
extern const char *jws_algorithm_name(JwsAlgorithm algorithm);

/* Cut a token. False unless it has exactly three parts, none empty, and at most JWS_MAX_BYTES. */
extern bool jws_split(const char *token, size_t length, JwsParts *parts);

/*
 * base64url without padding (RFC 4648, section 5). Decoding is strict: no other character, no length of
 * 4n + 1, no bits set that belong to no byte, so that every text has one encoding. `out` has room for
 * 3 * length / 4 bytes; returns the bytes written, or -1.
 */
extern long jws_base64url_decode(const char *text, size_t length, unsigned char *out);

/* `out` has room for jws_base64url_size(length) characters; not zero-terminated. Returns the characters
 * written. */
extern size_t jws_base64url_encode(const unsigned char *bytes, size_t length, char *out);
extern size_t jws_base64url_size(size_t length);

/* Make a secret ready. NULL when libcrypto fails. The caller frees it with jws_secret_free(). */
extern JwsSecret *jws_secret_read(const char *secret, size_t length);
extern void jws_secret_free(JwsSecret *secret);

/* HMAC-SHA-256 of a text. False when libcrypto fails. */
extern bool jws_hs256(JwsSecret *secret, JwsSlice text, unsigned char mac[JWS_HMAC_BYTES]);

/* Is `signature` (decoded) the HS256 signature of the text? Compared in constant time. */
extern bool jws_verify_hs256(JwsSecret *secret, JwsSlice text, const unsigned char *signature,
                             size_t signature_length);

/*
 * Read a PEM public key for RS256 (RSA of JWS_MIN_RSA_BITS or more) or EdDSA (Ed25519). NULL when it is none,
 * or of the wrong kind. The caller frees it with jws_key_free().
 */
extern JwsKey *jws_key_read(const char *pem, JwsAlgorithm algorithm);
extern void jws_key_free(JwsKey *key);

/* Is `signature` (decoded) a signature of the text by the key's owner? RS256: RSASSA-PKCS1-v1_5 with SHA-256.
 */
extern bool jws_verify_key(JwsKey *key, JwsAlgorithm algorithm, JwsSlice text, const unsigned char *signature,
                           size_t signature_length);

#endif
