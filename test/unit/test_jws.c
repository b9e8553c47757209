/* Signed tokens at the level of bytes, against the examples of the standards. */
#include <stdbool.h>
#include <stdlib.h>

#include "identity/jws.h"
#include "unit.h"

/* RFC 7515, appendix A.1: HS256; the key is base64url too. */
static const char a1_key[] =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
static const char a1_token[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                               "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
                               "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
                               "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/* RFC 7515, appendix A.2: RS256; the JWK as PEM. */
static const char a2_key[] = "-----BEGIN PUBLIC KEY-----\n"
                             "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj\n"
                             "NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz\n"
                             "P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo\n"
                             "9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB\n"
                             "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX\n"
                             "FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\n"
                             "oQIDAQAB\n"
                             "-----END PUBLIC KEY-----\n";
static const char a2_token[] = "eyJhbGciOiJSUzI1NiJ9."
                               "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
                               "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
                               "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"
                               "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
                               "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
                               "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
                               "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB"
                               "p0igcN_IoypGlUPQGe77Rw";

/* RFC 8037, appendix A.4: Ed25519; the JWK of A.2 as PEM. */
static const char ed_key[] = "-----BEGIN PUBLIC KEY-----\n"
                             "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                             "-----END PUBLIC KEY-----\n";
static const char ed_token[] =
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

/* RSA of 1024 bits: too short. */
static const char weak_key[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC4KTIXvLPAjSYyGcZKLRTodrGT\n"
                               "KfGYXcmNALm4s9VzhNh7oMrvVRIVGrAS+kMkDraib/JWMy6pIkM1wFNqCIEEHJjQ\n"
                               "VQPF7f3qA3+KL4E3/3cq6SLtGNv0vUkvndGchZlfoKcNgUMr3ohFp9GXYISrpMD7\n"
                               "fjY6XhEcmnH0YYfuyQIDAQAB\n"
                               "-----END PUBLIC KEY-----\n";

static bool decodes(const char *text, const char *expected)
{
    unsigned char out[64];
    long length = jws_base64url_decode(text, strlen(text), out);

    return expected ? length == (long)strlen(expected) && memcmp(out, expected, (size_t)length) == 0
                    : length < 0;
}

static bool splits(const char *token)
{
    JwsParts parts;

    return jws_split(token, strlen(token), &parts);
}

/* Does the token, with bit `flip` of its signed text turned over (-1: none), verify? */
static bool verifies(const char *token, JwsAlgorithm algorithm, void *key, long flip)
{
    char *copy = strdup(token);
    unsigned char signature[JWS_MAX_BYTES];
    JwsParts parts;
    long length;
    bool ok;

    if (!jws_split(copy, strlen(copy), &parts))
        abort();
    length = jws_base64url_decode(parts.signature.data, parts.signature.length, signature);
    if (flip >= 0)
        copy[flip / 8 % (long)parts.signed_text.length] ^= (char)(1 << flip % 8);
    ok = length >= 0 && (algorithm == JWS_HS256
                             ? jws_verify_hs256(key, parts.signed_text, signature, (size_t)length)
                             : jws_verify_key(key, algorithm, parts.signed_text, signature, (size_t)length));
    free(copy);
    return ok;
}

static bool any_flip_verifies(const char *token, JwsAlgorithm algorithm, void *key)
{
    for (long flip = 0; flip < 400; flip += 7)
        if (verifies(token, algorithm, key, flip))
            return true;
    return false;
}

static void base64url_decodes_the_vectors_of_rfc_4648(void)
{
    CHECK(decodes("", "") && decodes("Zg", "f") && decodes("Zm8", "fo") && decodes("Zm9v", "foo"));
    CHECK(decodes("Zm9vYg", "foob") && decodes("Zm9vYmE", "fooba") && decodes("Zm9vYmFy", "foobar"));
    CHECK(decodes("_-8", "\xff\xef"));
}

static void base64url_refuses_padding_other_alphabets_and_second_encodings(void)
{
    CHECK(decodes("Zg==", NULL) && decodes("Zm8=", NULL));
    CHECK(decodes("+/8", NULL) && decodes("Zm 9v", NULL) && decodes("Zm9v\n", NULL) &&
          decodes("Zm9\xc3", NULL));
    CHECK(decodes("Z", NULL) && decodes("Zm9vY", NULL));
    CHECK(decodes("Zh", NULL) && decodes("Zm9", NULL));
}

static void base64url_gives_back_what_it_was_given(void)
{
    unsigned char bytes[256], back[256];
    char text[400];

    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)(i * 167 + 13);
    for (size_t n = 0; n <= 256; n++) {
        size_t written = jws_base64url_encode(bytes, n, text);

        CHECK(written == jws_base64url_size(n));
        CHECK(jws_base64url_decode(text, written, back) == (long)n && memcmp(bytes, back, n) == 0);
    }
}

static void a_token_has_exactly_three_parts_and_8_kB_at_most(void)
{
    char big[JWS_MAX_BYTES + 2];
    JwsParts parts;

    CHECK(splits("a.b.c"));
    CHECK(!splits("") && !splits("a") && !splits("a.b") && !splits("a.b.c.d") && !splits(".."));
    CHECK(!splits("a.b.") && !splits(".b.c") && !splits("a..c"));
    memset(big, 'a', sizeof(big));
    big[1] = big[3] = '.';
    CHECK(jws_split(big, JWS_MAX_BYTES, &parts) && parts.signature.length == JWS_MAX_BYTES - 4);
    CHECK(!jws_split(big, JWS_MAX_BYTES + 1, &parts));
}

static void hs256_agrees_with_rfc_7515_appendix_A_1(void)
{
    char key[64], weaker[64], text[64];
    size_t length = (size_t)jws_base64url_decode(a1_key, strlen(a1_key), (unsigned char *)key);
    JwsSecret *secret = jws_secret_read(key, length), *other;
    JwsParts parts;
    unsigned char mac[JWS_HMAC_BYTES];

    CHECK(length == 64 && secret != NULL);
    CHECK(verifies(a1_token, JWS_HS256, secret, -1));
    CHECK(jws_split(a1_token, strlen(a1_token), &parts) && jws_hs256(secret, parts.signed_text, mac));
    text[jws_base64url_encode(mac, sizeof(mac), text)] = '\0';
    CHECK(strncmp(text, parts.signature.data, parts.signature.length) == 0);

    memcpy(weaker, key, sizeof(key));
    weaker[63] ^= 1;
    other = jws_secret_read(weaker, length);
    CHECK(!verifies(a1_token, JWS_HS256, other, -1));
    CHECK(!any_flip_verifies(a1_token, JWS_HS256, secret));
    CHECK(verifies(a1_token, JWS_HS256, secret, -1)); /* whatever went before */
    CHECK(!jws_verify_hs256(secret, parts.signed_text, mac, JWS_HMAC_BYTES - 1));
    CHECK(!jws_verify_hs256(secret, parts.signed_text, mac, 0));
    jws_secret_free(secret);
    jws_secret_free(other);
}

/* RFC 4231, cases 1, 2 and 6: a short key, a shorter one, one longer than a block. */
static void hs256_agrees_with_rfc_4231(void)
{
    static const struct {
        const char *key;
        size_t key_length;
        const char *text;
        unsigned char start[8]; /* of the result */
    } cases[] = {
        {"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",
         20,
         "Hi There",
         {0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53}},
        {"Jefe", 4, "what do ya want for nothing?", {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e}},
        {NULL,
         131,
         "Test Using Larger Than Block-Size Key - Hash Key First",
         {0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f}},
    };
    char long_key[131];

    memset(long_key, 0xaa, sizeof(long_key));
    for (int i = 0; i < 3; i++) {
        JwsSecret *secret = jws_secret_read(cases[i].key ? cases[i].key : long_key, cases[i].key_length);
        unsigned char mac[JWS_HMAC_BYTES];

        for (int again = 0; again < 2; again++)
            CHECK(jws_hs256(secret, (JwsSlice){cases[i].text, strlen(cases[i].text)}, mac) &&
                  memcmp(mac, cases[i].start, sizeof(cases[i].start)) == 0);
        jws_secret_free(secret);
    }
}

static void rs256_agrees_with_rfc_7515_appendix_A_2(void)
{
    JwsKey *key = jws_key_read(a2_key, JWS_RS256);

    CHECK(key != NULL && verifies(a2_token, JWS_RS256, key, -1));
    CHECK(!any_flip_verifies(a2_token, JWS_RS256, key));
    CHECK(!verifies(a2_token, JWS_EDDSA, key, -1));
    jws_key_free(key);
}

static void eddsa_agrees_with_rfc_8037_appendix_A_4(void)
{
    JwsKey *key = jws_key_read(ed_key, JWS_EDDSA);

    CHECK(key != NULL && verifies(ed_token, JWS_EDDSA, key, -1));
    CHECK(!any_flip_verifies(ed_token, JWS_EDDSA, key));
    CHECK(!verifies(ed_token, JWS_RS256, key, -1));
    jws_key_free(key);
}

static void a_key_serves_one_algorithm_and_weak_ones_none(void)
{
    CHECK(jws_key_read(a2_key, JWS_EDDSA) == NULL && jws_key_read(ed_key, JWS_RS256) == NULL);
    CHECK(jws_key_read(a2_key, JWS_HS256) == NULL);
    CHECK(jws_key_read(weak_key, JWS_RS256) == NULL);
    CHECK(jws_key_read("", JWS_RS256) == NULL && jws_key_read("not a key", JWS_EDDSA) == NULL);
}

int main(void)
{
    RUN(base64url_decodes_the_vectors_of_rfc_4648);
    RUN(base64url_refuses_padding_other_alphabets_and_second_encodings);
    RUN(base64url_gives_back_what_it_was_given);
    RUN(a_token_has_exactly_three_parts_and_8_kB_at_most);
    RUN(hs256_agrees_with_rfc_7515_appendix_A_1);
    RUN(hs256_agrees_with_rfc_4231);
    RUN(rs256_agrees_with_rfc_7515_appendix_A_2);
    RUN(eddsa_agrees_with_rfc_8037_appendix_A_4);
    RUN(a_key_serves_one_algorithm_and_weak_ones_none);
    return unit_result();
}
