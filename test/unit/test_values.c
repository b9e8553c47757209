/* What haild takes for a number, a UUID, a time, an enum, an array; what it says about the rest. */
#include <math.h>
#include <stdlib.h>

#include "unit.h"

#include <jansson.h>

#include "values.h"

static Arena arena;

static void numbers_are_written_as_json_writes_them(void)
{
    static const char *const good[] = {"0", "-0", "1", "12.5", "-0.001", "1e3", "1E+3", "2.5e-10", "180"};
    static const char *const bad[] = {"",    "-",   "+1",  "01",    "1.",       ".5",    "1e",
                                      "1e+", "0x1", "NaN", "inf",   "Infinity", "1 ",    " 1",
                                      "1,5", "1_0", "--1", "1e999", "1f",       "1.5.5", "-e1"};
    double value;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(text_is_number(good[i], &value));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!text_is_number(bad[i], &value));
    CHECK(text_is_number("12.5", &value) && value == 12.5);
}

static const char *key_of(const char *text)
{
    static const Param key = {.type = TYPE_KEY, .min = 1, .max = 8};
    const char *reason;

    return value_from_text(&key, text, &arena, &reason);
}

static void a_key_is_the_same_bare_and_quoted(void)
{
    CHECK(strcmp(key_of("k-1"), "k-1") == 0);
    CHECK(strcmp(key_of("\"k-1\""), "k-1") == 0);
    CHECK(strcmp(key_of("\"a b\""), "a b") == 0);
    CHECK(strcmp(key_of("\"a\\\"\\\\b\""), "a\"\\b") == 0);
    CHECK(strcmp(key_of("12345678"), "12345678") == 0);
    CHECK(strcmp(key_of("\"12345678\""), "12345678") == 0);
    static const char *const bad[] = {
        "",     "\"\"",   "\"",        "\"open",        "shut\"",    "a b",
        "a\"b", "\"a\"b", "\"a\\b\"",  "\"a\\",         "k\xC3\xA9", "\"k\xC3\xA9\"",
        "\x7F", "a\tb",   "123456789", "\"123456789\"", "\"a\" "};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(key_of(bad[i]) == NULL);
}

static void a_uuid_has_36_characters_in_their_places(void)
{
    CHECK(text_is_uuid("01a1fc38-7d63-7660-b0b0-bf77061180de"));
    CHECK(text_is_uuid("01A1FC38-7D63-7660-B0B0-BF77061180DE"));
    CHECK(!text_is_uuid("01a1fc38-7d63-7660-b0b0-bf77061180d"));
    CHECK(!text_is_uuid("01a1fc38-7d63-7660-b0b0-bf77061180de0"));
    CHECK(!text_is_uuid("01a1fc387d637660b0b0bf77061180de"));
    CHECK(!text_is_uuid("01a1fc38-7d63-7660-b0b0-bf77061180dg"));
    CHECK(!text_is_uuid("{01a1fc38-7d63-7660-b0b0-bf77061180d}"));
    CHECK(!text_is_uuid(""));
}

static void a_time_says_its_zone(void)
{
    CHECK(text_is_timestamp("2030-01-02T10:00:00Z"));
    CHECK(text_is_timestamp("2030-01-02t10:00:00.123456z"));
    CHECK(text_is_timestamp("2030-01-02T10:00:00+02:00"));
    CHECK(!text_is_timestamp("2030-01-02T10:00:00"));
    CHECK(!text_is_timestamp("2030-01-02 10:00:00Z"));
    CHECK(!text_is_timestamp("2030-01-02T10:00:00.Z"));
    CHECK(!text_is_timestamp("2030-01-02T10:00Z"));
    CHECK(text_is_timestamp("2028-02-29T23:59:59-15:59"));
    CHECK(!text_is_timestamp("2030-02-29T10:00:00Z"));
    CHECK(!text_is_timestamp("2030-02-30T00:00:00Z"));
    CHECK(!text_is_timestamp("2030-13-01T00:00:00Z"));
    CHECK(!text_is_timestamp("2030-00-01T00:00:00Z"));
    CHECK(!text_is_timestamp("0000-01-01T00:00:00Z"));
    CHECK(!text_is_timestamp("2030-01-02T24:00:00Z"));
    CHECK(!text_is_timestamp("2030-01-02T10:60:00Z"));
    CHECK(!text_is_timestamp("2030-01-02T10:00:60Z"));
    CHECK(!text_is_timestamp("2030-01-02T10:00:00+16:00"));
    CHECK(!text_is_timestamp("2030-01-02T10:00:00+01:60"));
    CHECK(!text_is_timestamp("infinity"));
    CHECK(!text_is_timestamp("now"));
    CHECK(!text_is_timestamp("2030-01-02T10:00:00Z "));
    CHECK(!text_is_timestamp("2030-01-02T10:00:00+0200"));
}

static void an_enum_takes_whole_words_only(void)
{
    CHECK(value_in("wallet|cash", "wallet"));
    CHECK(value_in("wallet|cash", "cash"));
    CHECK(!value_in("wallet|cash", "wall"));
    CHECK(!value_in("wallet|cash", "wallet|cash"));
    CHECK(!value_in("wallet|cash", ""));
}

static void nesting_counts_brackets_outside_strings(void)
{
#define WITHIN(text, limit) json_nests_within(text, strlen(text), limit)
    CHECK(WITHIN("{\"a\":[1,{\"b\":2}]}", 3));
    CHECK(!WITHIN("{\"a\":[1,{\"b\":2}]}", 2));
    CHECK(WITHIN("[[],[],[]]", 2));
    CHECK(WITHIN("[\"[[[[[[\",\"\\\"[[[[\"]", 1));
    CHECK(!WITHIN("[[[[[[[[", 7));
    CHECK(WITHIN("", 0));
}

static const char *text_value(const Param *param, const char *text)
{
    const char *reason;

    return value_from_text(param, text, &arena, &reason);
}

static void limits_hold_at_both_ends(void)
{
    Param latitude = {.type = TYPE_NUMBER, .min = -90, .max = 90};
    Param limit = {.type = TYPE_INTEGER, .min = 1, .max = 100};
    Param code = {.type = TYPE_STRING, .min = 4, .max = 4};

    CHECK(text_value(&latitude, "90") && text_value(&latitude, "-90"));
    CHECK(!text_value(&latitude, "90.0001") && !text_value(&latitude, "-90.0001"));
    CHECK(text_value(&limit, "1") && text_value(&limit, "100"));
    CHECK(!text_value(&limit, "0") && !text_value(&limit, "101"));
    CHECK(!text_value(&limit, "1.0") && !text_value(&limit, "1e1") &&
          !text_value(&limit, "99999999999999999999"));
    CHECK(text_value(&code, "1234") && !text_value(&code, "123") && !text_value(&code, "12345"));
    CHECK(!text_value(&code, "12\n4"));
}

static const char *json_value(const Param *param, const char *json, const char **reason)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    const char *text = value_from_json(param, value, &arena, reason);

    json_decref(value);
    return text;
}

static void json_values_keep_their_type(void)
{
    Param number = {.type = TYPE_NUMBER}, integer = {.type = TYPE_INTEGER}, string = {.type = TYPE_STRING};
    Param boolean = {.type = TYPE_BOOLEAN}, choice = {.type = TYPE_ENUM, .values = "a|b"};
    const char *reason;

    CHECK(strcmp(json_value(&number, "30.05", &reason), "30.05") == 0);
    CHECK(strcmp(json_value(&number, "7", &reason), "7") == 0);
    CHECK(strcmp(json_value(&number, "100.0", &reason), "100") == 0);
    CHECK(strcmp(json_value(&number, "-0.5", &reason), "-0.5") == 0);
    CHECK(strcmp(json_value(&integer, "9007199254740993", &reason), "9007199254740993") == 0);
    CHECK(json_value(&integer, "1.0", &reason) == NULL && strcmp(reason, "must be an integer") == 0);
    CHECK(json_value(&number, "\"1\"", &reason) == NULL && strcmp(reason, "must be a number") == 0);
    CHECK(json_value(&string, "1", &reason) == NULL && strcmp(reason, "must be a string") == 0);
    CHECK(strcmp(json_value(&boolean, "false", &reason), "false") == 0);
    CHECK(json_value(&boolean, "0", &reason) == NULL);
    CHECK(json_value(&choice, "\"c\"", &reason) == NULL && strcmp(reason, "must be one of a|b") == 0);
}

static void real_numbers_read_back_as_they_were(void)
{
    static const double values[] = {0.1,         -0.1,          30.05,   -8.61382596, 41.15386952, 180.0,
                                    1e-8,        -1e-8,         1e-9,    0.0,         -0.0,        90071992.5,
                                    90071993.25, 123456789.125, 1.0 / 3, 1e22,        1e300,       5e-324,
                                    -1e-300,     0.00000001,    100.0};
    Param number = {.type = TYPE_NUMBER};
    unsigned long long seed = 4711;

    for (int i = 0; i < 20000; i++) {
        double value;
        const char *reason, *text;
        json_t *json;

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        value = i < (int)(sizeof(values) / sizeof(values[0])) ? values[i]
                : i % 2 ? (double)((long long)(seed >> 20) % 18000000000LL) / 1e8
                        : (double)(seed >> 11) / 9007199254740992.0 * 360 - 180;
        json = json_real(value);
        text = value_from_json(&number, json, &arena, &reason);
        CHECK(strtod(text, NULL) == value && signbit(strtod(text, NULL)) == signbit(value));
        json_decref(json);
        if (i % 100 == 0)
            arena_reset(&arena);
    }
}

static void arrays_become_array_literals(void)
{
    Param strings = {.type = TYPE_STRINGS, .min = 1, .max = 3};
    const char *reason;

    CHECK(strcmp(json_value(&strings, "[\"a\",\"b c\"]", &reason), "{\"a\",\"b c\"}") == 0);
    CHECK(strcmp(json_value(&strings, "[\"q\\\"\\\\}\",\"NULL\"]", &reason), "{\"q\\\"\\\\}\",\"NULL\"}") ==
          0);
    CHECK(json_value(&strings, "[]", &reason) == NULL);
    CHECK(json_value(&strings, "[\"a\",\"b\",\"c\",\"d\"]", &reason) == NULL);
    CHECK(json_value(&strings, "[1]", &reason) == NULL);
    CHECK(json_value(&strings, "\"a\"", &reason) == NULL);
}

static void arrays_of_integers_become_array_literals(void)
{
    Param integers = {.type = TYPE_INTEGERS, .min = 1, .max = 3}, any = {.type = TYPE_INTEGERS};
    const char *reason;

    CHECK(strcmp(json_value(&integers, "[1,-20,3]", &reason), "{1,-20,3}") == 0);
    CHECK(strcmp(json_value(&any, "[]", &reason), "{}") == 0);
    CHECK(json_value(&integers, "[]", &reason) == NULL);
    CHECK(json_value(&integers, "[1,2,3,4]", &reason) == NULL);
    CHECK(json_value(&integers, "[1,2.0]", &reason) == NULL);
    CHECK(json_value(&integers, "[1,null]", &reason) == NULL);
    CHECK(json_value(&integers, "[\"1\"]", &reason) == NULL);
    CHECK(json_value(&integers, "1", &reason) == NULL && strcmp(reason, "must be an array of integers") == 0);
}

static bool wants_geojson(const char *accept)
{
    return accept_prefers(accept, "application/geo+json", "application/json");
}

static void a_media_type_is_preferred_when_named_with_no_less_weight(void)
{
    CHECK(wants_geojson("application/geo+json"));
    CHECK(wants_geojson("Application/GEO+json"));
    CHECK(wants_geojson("text/html, application/geo+json;q=0.2, */*;q=0.1"));
    CHECK(wants_geojson("application/json;q=0.5,application/geo+json ; q=0.5"));
    CHECK(wants_geojson("application/geo+json;charset=utf-8;q=1.0, application/json"));
    CHECK(wants_geojson("application/json;q=0.9, application/geo+json;q=x"));
    CHECK(!wants_geojson(NULL));
    CHECK(!wants_geojson(""));
    CHECK(!wants_geojson("*/*"));
    CHECK(!wants_geojson("application/*"));
    CHECK(!wants_geojson("application/json"));
    CHECK(!wants_geojson("application/geo+json;q=0"));
    CHECK(!wants_geojson("application/json, application/geo+json;q=0.9"));
    CHECK(!wants_geojson("application/geo+json-seq"));
    CHECK(!wants_geojson("x;a=application/geo+json"));
    CHECK(!wants_geojson(",,;q=1,"));
}

int main(void)
{
    RUN(numbers_are_written_as_json_writes_them);
    RUN(a_key_is_the_same_bare_and_quoted);
    RUN(a_uuid_has_36_characters_in_their_places);
    RUN(a_time_says_its_zone);
    RUN(an_enum_takes_whole_words_only);
    RUN(nesting_counts_brackets_outside_strings);
    RUN(limits_hold_at_both_ends);
    RUN(json_values_keep_their_type);
    RUN(real_numbers_read_back_as_they_were);
    RUN(arrays_become_array_literals);
    RUN(arrays_of_integers_become_array_literals);
    RUN(a_media_type_is_preferred_when_named_with_no_less_weight);
    arena_free(&arena);
    return unit_result();
}
