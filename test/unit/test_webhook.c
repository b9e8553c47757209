/* Signatures of webhooks: the example of Standard Webhooks, and what is no signature. */
#include <stdlib.h>

#include "identity/webhook.h"
#include "unit.h"

/* standardwebhooks.com, the specification's test: secret (bytes of whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw).
 */
static const unsigned char secret[] = {0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a,
                                       0xab, 0x4f, 0x08, 0xd4, 0x3c, 0x3f, 0x08, 0x2c,
                                       0xf6, 0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4, 0xb0};
static const char message[] = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
static const char base64[] = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
static const char hex[] = "83484cf52b04f8e4cf2531adfed9882ad4b2665137b852442d594d20e2c9d4e1";

static JwsSlice text(const char *string)
{
    return (JwsSlice){string, strlen(string)};
}

static void signs_as_the_specification_says(void)
{
    unsigned char mac[JWS_HMAC_BYTES];
    char out64[WEBHOOK_BASE64 + 1], out16[WEBHOOK_HEX + 1];

    CHECK(webhook_mac((JwsSlice){(const char *)secret, sizeof(secret)}, text(message), mac));
    webhook_base64(mac, out64);
    webhook_hex(mac, out16);
    CHECK(strcmp(out64, base64) == 0);
    CHECK(strcmp(out16, hex) == 0);
    CHECK(webhook_mac((JwsSlice){(const char *)secret, sizeof(secret)}, text(message + 1), mac));
    webhook_base64(mac, out64);
    CHECK(strcmp(out64, base64) != 0);
}

static void finds_its_signature_among_others(void)
{
    CHECK(webhook_among_v1("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", base64));
    CHECK(
        webhook_among_v1("  v1a,abc v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v2,x ", base64));
}

static void takes_nothing_else_for_it(void)
{
    char *many = calloc(1, WEBHOOK_MAX_SIGNATURES + 100);
    static const char *const others[] = {
        "",
        " ",
        "v1,",
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1 g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "V1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",   /* no padding */
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE==", /* too long */
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=",  /* the last digit */
        "v1,\tg0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CHECK(!webhook_among_v1(others[i], base64));
    memset(many, ' ', WEBHOOK_MAX_SIGNATURES + 1);
    strcat(many, "v1,");
    strcat(many, base64);
    CHECK(!webhook_among_v1(many, base64)); /* right, but in a header that is too long */
    free(many);
}

static void compares_hexadecimal_of_either_case(void)
{
    CHECK(webhook_is_hex(hex, hex));
    CHECK(webhook_is_hex("83484CF52B04F8E4CF2531ADFED9882AD4B2665137B852442D594D20E2C9D4E1", hex));
    CHECK(!webhook_is_hex("83484cf52b04f8e4cf2531adfed9882ad4b2665137b852442d594d20e2c9d4e2", hex));
    CHECK(!webhook_is_hex("83484cf52b04f8e4cf2531adfed9882ad4b2665137b852442d594d20e2c9d4e", hex));
    CHECK(!webhook_is_hex("83484cf52b04f8e4cf2531adfed9882ad4b2665137b852442d594d20e2c9d4e1 ", hex));
    CHECK(!webhook_is_hex("", hex));
}

static void ids_have_no_dot(void)
{
    char id[WEBHOOK_MAX_ID + 2];

    memset(id, 'x', sizeof(id));
    id[WEBHOOK_MAX_ID + 1] = '\0';
    CHECK(!webhook_valid_id(id));
    id[WEBHOOK_MAX_ID] = '\0';
    CHECK(webhook_valid_id(id));
    CHECK(webhook_valid_id("msg_1"));
    CHECK(!webhook_valid_id(""));
    CHECK(!webhook_valid_id("msg.1"));
}

static void times_are_plain_numbers(void)
{
    CHECK_INT(webhook_seconds("1614265330"), 1614265330);
    CHECK_INT(webhook_seconds("0"), 0);
    CHECK_INT(webhook_seconds("999999999999"), 999999999999);
    CHECK_INT(webhook_seconds("1000000000000"), -1);
    CHECK_INT(webhook_seconds(""), -1);
    CHECK_INT(webhook_seconds("-1"), -1);
    CHECK_INT(webhook_seconds("+1"), -1);
    CHECK_INT(webhook_seconds(" 1"), -1);
    CHECK_INT(webhook_seconds("1.5"), -1);
    CHECK_INT(webhook_seconds("1e9"), -1);
}

static bool encodes(const char *given, const char *expected)
{
    char out[64];
    size_t length = webhook_percent_encode(text(given), out);

    return length == strlen(expected) && memcmp(out, expected, length) == 0;
}

static void percent_encodes_all_but_the_unreserved(void)
{
    CHECK(encodes("", ""));
    CHECK(encodes("AZaz09-._~", "AZaz09-._~"));
    CHECK(encodes("a b&c=d+e/f", "a%20b%26c%3Dd%2Be%2Ff"));
    CHECK(encodes("!'()*", "%21%27%28%29%2A"));
    CHECK(encodes("\xc3\xa9\x7f\x01", "%C3%A9%7F%01"));
    CHECK(encodes("%41", "%2541"));
}

int main(void)
{
    RUN(signs_as_the_specification_says);
    RUN(finds_its_signature_among_others);
    RUN(takes_nothing_else_for_it);
    RUN(compares_hexadecimal_of_either_case);
    RUN(ids_have_no_dot);
    RUN(times_are_plain_numbers);
    RUN(percent_encodes_all_but_the_unreserved);
    return unit_result();
}
