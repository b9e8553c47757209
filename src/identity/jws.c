/* Signed tokens as bytes; see jws.h. */
#include "identity/jws.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
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

/* The value of a digit plus one; 0 for a character outside the alphabet. */
static const unsigned char digit_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};

long jws_base64url_decode(const char *text, size_t length, unsigned char *out)
{
    unsigned int bits = 0;
    int held = 0; /* bits read and not yet written */
    long written = 0;

    if (length % 4 == 1)
        return -1;
    for (size_t i = 0; i < length; i++) {
        unsigned int value = digit_values[(unsigned char)text[i]];

        if (value == 0)
            return -1;
        bits = bits << 6 | (value - 1);
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

JwsSecret *jws_secret_read(const char *secret, size_t length)
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *context = hmac ? EVP_MAC_CTX_new(hmac) : NULL;

    EVP_MAC_free(hmac); /* the context holds its own reference */
    if (context != NULL && EVP_MAC_init(context, (const unsigned char *)secret, length, params) != 1) {
        EVP_MAC_CTX_free(context);
        context = NULL;
    }
    ERR_clear_error();
    return context;
}

void jws_secret_free(JwsSecret *secret)
{
    EVP_MAC_CTX_free(secret);
}

bool jws_hs256(JwsSecret *secret, JwsSlice text, unsigned char mac[JWS_HMAC_BYTES])
{
    size_t length = 0;
    bool ok = EVP_MAC_init(secret, NULL, 0, NULL) == 1 && /* begin anew with the key it has */
              EVP_MAC_update(secret, (const unsigned char *)text.data, text.length) == 1 &&
              EVP_MAC_final(secret, mac, &length, JWS_HMAC_BYTES) == 1;

    return ok && length == JWS_HMAC_BYTES;
}

bool jws_verify_hs256(JwsSecret *secret, JwsSlice text, const unsigned char *signature,
                      size_t signature_length)
{
    unsigned char mac[JWS_HMAC_BYTES];

    return signature_length == JWS_HMAC_BYTES && jws_hs256(secret, text, mac) &&
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
