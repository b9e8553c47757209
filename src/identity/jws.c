/* Signed tokens as bytes; see jws.h. */
#include "identity/jws.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const char *jws_algorithm_name(JwsAlgorithm algorithm)
{
    static const char *const names[] = {"HS256", "RS256", "EdDSA"};

    return names[algorithm];
}

bool jws_split(const char *token, size_t length, JwsParts *parts)
{
    const char *end = token + length;
    const char *first, *second;

    if (length > JWS_MAX_BYTES)
        return false;
    first = memchr(token, '.', length);
    if (first == NULL)
        return false;
    second = memchr(first + 1, '.', (size_t)(end - first - 1));
    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL)
        return false;
    parts->header = (JwsSlice){token, (size_t)(first - token)};
    parts->payload = (JwsSlice){first + 1, (size_t)(second - first - 1)};
    parts->signature = (JwsSlice){second + 1, (size_t)(end - second - 1)};
    parts->signed_text = (JwsSlice){token, (size_t)(second - token)};
    return parts->header.length > 0 && parts->payload.length > 0 && parts->signature.length > 0;
}

/* 0-63, or -1 for a character outside the alphabet. */
static int digit_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

long jws_base64url_decode(const char *text, size_t length, unsigned char *out)
{
    unsigned int bits = 0;
    int held = 0; /* bits read and not yet written */
    long written = 0;

    if (length % 4 == 1)
        return -1;
    for (size_t i = 0; i < length; i++) {
        int value = digit_value((unsigned char)text[i]);

        if (value < 0)
            return -1;
        bits = bits << 6 | (unsigned int)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[written++] = (unsigned char)(bits >> held);
            bits &= (1U << held) - 1;
        }
    }
    return bits == 0 ? written : -1;
}

size_t jws_base64url_size(size_t length)
{
    return (length * 4 + 2) / 3;
}

size_t jws_base64url_encode(const unsigned char *bytes, size_t length, char *out)
{
    unsigned int bits = 0;
    int held = 0;
    size_t written = 0;

    for (size_t i = 0; i < length; i++) {
        bits = (bits << 8 | bytes[i]) & 0x3fff;
        for (held += 8; held >= 6;) {
            held -= 6;
            out[written++] = alphabet[bits >> held & 63];
        }
    }
    if (held > 0)
        out[written++] = alphabet[bits << (6 - held) & 63];
    return written;
}

bool jws_hs256(const char *secret, size_t secret_length, JwsSlice text, unsigned char mac[JWS_HMAC_BYTES])
{
    return HMAC(EVP_sha256(), secret, (int)secret_length, (const unsigned char *)text.data, text.length, mac,
                NULL) != NULL;
}

bool jws_verify_hs256(const char *secret, size_t secret_length, JwsSlice text, const unsigned char *signature,
                      size_t signature_length)
{
    unsigned char mac[JWS_HMAC_BYTES];

    return signature_length == JWS_HMAC_BYTES && jws_hs256(secret, secret_length, text, mac) &&
           CRYPTO_memcmp(mac, signature, JWS_HMAC_BYTES) == 0;
}

static bool key_suits(JwsKey *key, JwsAlgorithm algorithm)
{
    switch (algorithm) {
    case JWS_RS256:
        return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= JWS_MIN_RSA_BITS;
    case JWS_EDDSA:
        return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
    default:
        return false; /* a public key is never an HMAC secret */
    }
}

JwsKey *jws_key_read(const char *pem, JwsAlgorithm algorithm)
{
    BIO *source = BIO_new_mem_buf(pem, -1);
    JwsKey *key = source ? PEM_read_bio_PUBKEY(source, NULL, NULL, NULL) : NULL;

    BIO_free(source);
    if (key != NULL && !key_suits(key, algorithm)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    ERR_clear_error();
    return key;
}

void jws_key_free(JwsKey *key)
{
    EVP_PKEY_free(key);
}

bool jws_verify_key(JwsKey *key, JwsAlgorithm algorithm, JwsSlice text, const unsigned char *signature,
                    size_t signature_length)
{
    const EVP_MD *digest = algorithm == JWS_RS256 ? EVP_sha256() : NULL; /* Ed25519 hashes by itself */
    EVP_MD_CTX *context;
    bool ok;

    if (!key_suits(key, algorithm))
        return false;
    context = EVP_MD_CTX_new();
    ok = context != NULL && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1 &&
         EVP_DigestVerify(context, signature, signature_length, (const unsigned char *)text.data,
                          text.length) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error(); /* libpq and the server's TLS read the same error queue */
    return ok;
}
