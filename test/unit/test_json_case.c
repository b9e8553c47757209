/* snake_case to camelCase, and text to JSON strings. */
#include "unit.h"

#include "json_case.h"

static int becomes(const char *json, const char *wanted)
{
    Buffer out = {0};
    int same;

    json_camel_case(&out, json, strlen(json), NULL);
    same = strcmp(out.data, wanted) == 0;
    if (!same)
        printf("# %s became %s\n", json, out.data);
    buffer_free(&out);
    return same;
}

/* The same when hold_id and a_b are not for everybody. */
static int is_seen_as(const char *json, const char *wanted)
{
    static const char *const unseen[] = {"hold_id", "a_b", NULL};
    Buffer out = {0};
    int same;

    json_camel_case(&out, json, strlen(json), unseen);
    same = strcmp(out.data, wanted) == 0;
    if (!same)
        printf("# %s became %s\n", json, out.data);
    buffer_free(&out);
    return same;
}

static void what_is_not_for_the_reader_is_left_out(void)
{
    CHECK(is_seen_as("{\"a_b\":null,\"x_y\":1}", "{\"xY\":1}"));
    CHECK(is_seen_as("{\"x_y\":1,\"a_b\":null}", "{\"xY\":1}"));
    CHECK(is_seen_as("{\"x_y\":1,\"a_b\":null,\"hold_id\":null,\"z\":[]}", "{\"xY\":1,\"z\":[]}"));
    CHECK(is_seen_as("{\"a_b\":null,\"hold_id\":null,\"z\":1}", "{\"z\":1}"));
    CHECK(is_seen_as("{\"a_b\":null}", "{}"));
    CHECK(is_seen_as("[{\"a_b\":null},{\"z\":1,\"a_b\":null},null]", "[{},{\"z\":1},null]"));
    CHECK(is_seen_as("{\"x_y\" : 1, \"a_b\" : null, \"z\" : 2}", "{\"xY\" : 1, \"z\" : 2}"));
    CHECK(is_seen_as("{\"a_b\" : null , \"z\" : 2}", "{\"z\" : 2}"));
    CHECK(is_seen_as("{\"a_b\":0,\"hold_id\":\"null\"}", "{\"aB\":0,\"holdId\":\"null\"}"));
    CHECK(
        is_seen_as("{\"a\":null,\"a_bc\":null,\"old_id\":null}", "{\"a\":null,\"aBc\":null,\"oldId\":null}"));
    CHECK(is_seen_as("{\"z\":\"a_b\",\"a_b\":nul", "{\"z\":\"a_b\",\"aB\":nul"));
    CHECK(is_seen_as("{\"a_b\":", "{\"aB\":"));
}

static void keys_change_and_values_stay(void)
{
    CHECK(becomes("{\"driver_id\":\"a_b\",\"pickup_lat\":1.5}", "{\"driverId\":\"a_b\",\"pickupLat\":1.5}"));
    CHECK(becomes("{\"a_b\" : {\"c_d\":[{\"e_f\":null}]}}", "{\"aB\" : {\"cD\":[{\"eF\":null}]}}"));
    CHECK(becomes("[\"a_b\",\"c_d\"]", "[\"a_b\",\"c_d\"]"));
    CHECK(becomes("{\"n\":\"x\\\"a_b\\\":\",\"m_n\":\"\\\\\"}", "{\"n\":\"x\\\"a_b\\\":\",\"mN\":\"\\\\\"}"));
    CHECK(becomes("\"a_b\"", "\"a_b\""));
    CHECK(becomes("null", "null"));
    CHECK(becomes("", ""));
}

static void odd_names_keep_what_is_no_word_border(void)
{
    CHECK(becomes("{\"_a\":1,\"a_\":2,\"a__b\":3,\"a_1\":4}", "{\"_a\":1,\"a_\":2,\"a_B\":3,\"a1\":4}"));
    CHECK(becomes("{\"eta_p50_s\":1}", "{\"etaP50S\":1}"));
}

static void broken_text_never_runs_over_its_end(void)
{
    CHECK(becomes("{\"a_b", "{\"a_b"));
    CHECK(becomes("{\"a_b\\", "{\"a_b\\"));
    CHECK(becomes("\"", "\""));
}

static int written(const char *text, const char *wanted)
{
    Buffer out = {0};
    int same;

    buffer_json_string(&out, text);
    same = strcmp(out.data, wanted) == 0;
    if (!same)
        printf("# became %s\n", out.data);
    buffer_free(&out);
    return same;
}

static void strings_are_always_valid_json(void)
{
    CHECK(written("plain", "\"plain\""));
    CHECK(written("a\"b\\c\n\x01\x7f", "\"a\\\"b\\\\c\\u000a\\u0001\x7f\""));
    CHECK(written("\xD9\x85\xE2\x82\xAC\xF0\x9F\x9A\x97", "\"\xD9\x85\xE2\x82\xAC\xF0\x9F\x9A\x97\""));
    /* cut short, overlong, surrogate, past the last code point */
    CHECK(written("a\xD9", "\"a\xEF\xBF\xBD\""));
    CHECK(written("\xC0\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""));
    CHECK(written("\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""));
    CHECK(written("\xF4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""));
}

static bool snaked(const char *json, const char *wanted)
{
    Buffer out = {0};
    bool same;

    json_snake_case(&out, json, strlen(json));
    same = strcmp(out.data, wanted) == 0;
    buffer_free(&out);
    return same;
}

static void keys_go_back_to_snake_case(void)
{
    CHECK(snaked("{\"contactName\":\"aB\",\"lat\":1}", "{\"contact_name\":\"aB\",\"lat\":1}"));
    CHECK(snaked("[{\"aB\":{\"cD\":[\"eF\"]}}]", "[{\"a_b\":{\"c_d\":[\"eF\"]}}]"));
    CHECK(snaked("{\"a_b\":1,\"Ab\":2}", "{\"a_b\":1,\"ab\":2}"));
    CHECK(snaked("{\"q\\\"B\":\"x\"}", "{\"q\\\"_b\":\"x\"}"));
}

static void memory_grows_and_is_reused(void)
{
    Buffer buffer = {0};
    Arena arena = {0};
    char *first, *text;

    for (int i = 0; i < 10000; i++)
        buffer_format(&buffer, "%d,", i % 10);
    CHECK_INT(buffer.length, 20000);
    buffer_reset(&buffer);
    CHECK_INT(buffer.length, 0);
    first = arena_alloc(&arena, 16);
    for (int i = 0; i < 1000; i++)
        arena_alloc(&arena, 1000);
    text = arena_format(&arena, "%s-%d", "x", 7);
    CHECK(strcmp(text, "x-7") == 0);
    arena_reset(&arena);
    CHECK(arena_alloc(&arena, 16) == first);
    arena_free(&arena);
    buffer_free(&buffer);
}

int main(void)
{
    RUN(keys_change_and_values_stay);
    RUN(what_is_not_for_the_reader_is_left_out);
    RUN(odd_names_keep_what_is_no_word_border);
    RUN(broken_text_never_runs_over_its_end);
    RUN(strings_are_always_valid_json);
    RUN(keys_go_back_to_snake_case);
    RUN(memory_grows_and_is_reused);
    return unit_result();
}
