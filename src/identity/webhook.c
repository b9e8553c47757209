/* Signatures of webhooks, bytes only; see webhook.h. */
#include "identity/webhook.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

static const char digits16[] = "0123456789abcdef";

bool webhook_mac(JwsSlice secret, JwsSlice message, unsigned char mac[JWS_HMAC_BYTES])
{
    JwsSecret *key = jws_secret_read(secret.data, secret.length);
    bool ok = key != NULL && jws_hs256(key, message, mac);

    jws_secret_free(key);
    return ok;
}

void webhook_base64(const unsigned char mac[JWS_HMAC_BYTES], char out[WEBHOOK_BASE64 + 1])
{
    (void)EVP_EncodeBlock((unsigned char *)out, mac, JWS_HMAC_BYTES); /* ends with a zero */
}

void webhook_hex(const unsigned char mac[JWS_HMAC_BYTES], char out[WEBHOOK_HEX + 1])
{
    for (int i = 0; i < JWS_HMAC_BYTES; i++) {
        out[2 * i] = digits16[mac[i] >> 4];
        out[2 * i + 1] = digits16[mac[i] & 15];
    }
    out[WEBHOOK_HEX] = '\0';
}

bool webhook_among_v1(const char *signatures, const char expected[WEBHOOK_BASE64 + 1])
{
    const size_t prefix = strlen(WEBHOOK_V1);
    bool found = false;

    if (strlen(signatures) > WEBHOOK_MAX_SIGNATURES)
        return false;
    while (*signatures != '\0') {
        size_t length = strcspn(signatures, " ");

        if (length == prefix + WEBHOOK_BASE64 && memcmp(signatures, WEBHOOK_V1, prefix) == 0)
            found |= CRYPTO_memcmp(signatures + prefix, expected, WEBHOOK_BASE64) == 0;
        signatures += length;
        signatures += strspn(signatures, " ");
    }
    return found;
}

bool webhook_is_hex(const char *signature, const char expected[WEBHOOK_HEX + 1])
{
    char lower[WEBHOOK_HEX];

    if (strlen(signature) != WEBHOOK_HEX)
        return false;
    for (int i = 0; i < WEBHOOK_HEX; i++)
        lower[i] =
            signature[i] >= 'A' && signature[i] <= 'F' ? (char)(signature[i] + ('a' - 'A')) : signature[i];
    return CRYPTO_memcmp(lower, expected, WEBHOOK_HEX) == 0;
}

bool webhook_valid_id(const char *id)
{
    size_t length = strlen(id);

    return length >= 1 && length <= WEBHOOK_MAX_ID && strchr(id, '.') == NULL;
}

int64_t webhook_seconds(const char *digits)
{
    int64_t seconds = 0;
    size_t length = strlen(digits);

    if (length == 0 || length > WEBHOOK_MAX_TIMESTAMP || strspn(digits, "0123456789") != length)
        return -1;
    for (; *digits != '\0'; digits++)
        seconds = seconds * 10 + (*digits - '0');
    return seconds;
}

/* Letters and digits of ASCII, whatever the locale says. */
static bool unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

size_t webhook_percent_encode(JwsSlice text, char *out)
{
    size_t written = 0;

    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (unreserved(c)) {
            out[written++] = (char)c;
        } else {
            out[written++] = '%';
            out[written++] = (char)(digits16[c >> 4] - (c >> 4 > 9 ? 'a' - 'A' : 0));
            out[written++] = (char)(digits16[c & 15] - ((c & 15) > 9 ? 'a' - 'A' : 0));
        }
    }
    return written;
}
