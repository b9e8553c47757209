/* What came out: problems as they come, tests and figures at the end, the same as JSON. */
#include "storm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#define SHOWN       10 /* problems of a test that are printed */
#define TALLIES     128
#define RULES_ASKED 10

static const char *const test_names[TEST_COUNT] = {
    [TEST_ONE_WINNER] = "every race has exactly one winner, and everybody else the right refusal",
    [TEST_RETRIES] = "a winner's retries, at once and later, get the same success; a loser's do not",
    [TEST_ROWS] = "after every race the rows agree with what was told",
    [TEST_CRASH] = "after every kill what was acknowledged is there and nothing is half done",
    [TEST_RECOVERY] = "after every kill the server comes back and trips go on",
};

/* Something counted: "SQL", "accept", "trip_taken". */
typedef struct Tally {
    const char *group;
    char name[64], detail[64];
    long count;
    double sum, max; /* of seconds, where there are some */
} Tally;

static long problems[TEST_COUNT];
static Tally tallies[TALLIES];
static int tally_count;
static Samples latencies[2]; /* ms: SQL, HTTP */
static const char *const carriers[2] = {"SQL", "HTTP"};
static long rules_checked;

void report_problem(Test test, const char *format, ...)
{
    va_list args;

    if (problems[test]++ >= SHOWN)
        return;
    printf("# ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

static Tally *tally(const char *group, const char *name, const char *detail)
{
    Tally *t = tallies;

    while (t < tallies + tally_count &&
           (strcmp(t->group, group) != 0 || strcmp(t->name, name) != 0 || strcmp(t->detail, detail) != 0))
        t++;
    if (t == tallies + tally_count) {
        if (tally_count++ == TALLIES)
            die("too many kinds of answers");
        t->group = group;
        snprintf(t->name, sizeof(t->name), "%s", name);
        snprintf(t->detail, sizeof(t->detail), "%s", detail);
    }
    return t;
}

void report_answer(const char *where, const char *verb, const char *code)
{
    tally(where, verb, code)->count++;
}

void report_latency(bool http, double ms)
{
    samples_add(&latencies[http], ms);
}

void report_race(bool http, const char *kind)
{
    tally(http ? "races over HTTP" : "races over SQL", kind, "")->count++;
}

void report_kill(const char *victim, double recovery_s)
{
    Tally *t = tally("kills", victim, "");

    t->count++;
    t->sum += recovery_s;
    t->max = recovery_s > t->max ? recovery_s : t->max;
}

void report_count(const char *what, long count)
{
    tally("counts", what, "")->count += count;
}

/* Rules over tables are asked once; rules over memory may be broken for a moment. */
static PGresult *ask_rules(void)
{
    PGresult *r = NULL;
    bool passing = true;

    for (int i = 0; i < RULES_ASKED && passing; i++) {
        PQclear(r);
        if (i > 0)
            usleep(100 * 1000);
        r = world_query("SELECT rule, broken, example, in_memory FROM storm.check()", 0, NULL);
        passing = false;
        for (int row = PQntuples(r) - 1; row >= 0; row--) /* those over tables come first in the answer */
            if (atol(PQgetvalue(r, row, 1)) > 0)
                passing = PQgetvalue(r, row, 3)[0] == 't';
    }
    return r;
}

void report_rules(const char *when, Test test, bool print)
{
    PGresult *r = ask_rules();

    for (int i = 0; i < PQntuples(r); i++) {
        bool broken = atol(PQgetvalue(r, i, 1)) > 0;

        if (broken)
            report_problem(test, "%s: %s rows break the rule '%s', one of them %s", when, PQgetvalue(r, i, 1),
                           PQgetvalue(r, i, 0), PQgetvalue(r, i, 2));
        if (print)
            printf("%s - %s, %s\n", broken ? "not ok" : "ok", when, PQgetvalue(r, i, 0));
    }
    rules_checked++;
    PQclear(r);
}

static long group_total(const char *group)
{
    long total = 0;

    for (int i = 0; i < tally_count; i++)
        if (strcmp(tallies[i].group, group) == 0)
            total += tallies[i].count;
    return total;
}

static json_t *print_group(const char *group)
{
    json_t *json = json_object();

    for (int i = 0; i < tally_count; i++) {
        const Tally *t = &tallies[i];
        char *key = xasprintf("%s%s%s", t->name, t->detail[0] ? ": " : "", t->detail);

        if (strcmp(t->group, group) == 0) {
            printf("    %-44s %9ld", key, t->count);
            if (t->max > 0)
                printf("   back after %.2f s on average, %.2f s at most", t->sum / (double)t->count, t->max);
            printf("\n");
            json_object_set_new(json, key, json_integer(t->count));
            if (t->max > 0) {
                free(key);
                key = xasprintf("%s: recovery max s", t->name);
                json_object_set_new(json, key, json_real(t->max));
            }
        }
        free(key);
    }
    return json;
}

static json_t *print_carrier(int carrier)
{
    const char *group = carrier ? "races over HTTP" : "races over SQL";
    Samples *ms = &latencies[carrier];
    double p50 = samples_percentile(ms, 50), p99 = samples_percentile(ms, 99),
           max = samples_percentile(ms, 100);
    json_t *json;

    printf("%s: %ld\n", group, group_total(group));
    json = json_pack("{s:o}", "kinds", print_group(group));
    printf("  answers\n");
    json_object_set_new(json, "answers", print_group(carriers[carrier]));
    printf(
        "  answer to an accept, from the start of its race: median %.1f ms, 99 %% %.1f ms, slowest %.1f ms\n",
        p50, p99, max);
    json_object_set_new(json, "accept_ms", json_pack("{s:f, s:f, s:f}", "p50", p50, "p99", p99, "max", max));
    return json;
}

/* A test that nothing was done for is not printed. */
static bool test_ran(Test test)
{
    bool raced = group_total("races over SQL") + group_total("races over HTTP") > 0;

    return test == TEST_CRASH || test == TEST_RECOVERY ? group_total("kills") > 0 : raced;
}

int report_end(void)
{
    json_t *json = json_pack("{s:I}", "seed", (json_int_t)world.options.seed);
    bool failed = false;

    for (int carrier = 0; carrier < 2; carrier++)
        if (latencies[carrier].count > 0)
            json_object_set_new(json, carriers[carrier], print_carrier(carrier));
    if (group_total("kills") > 0) {
        printf("kills: %ld\n", group_total("kills"));
        json_object_set_new(json, "kills", print_group("kills"));
        printf("  answers between them\n");
        json_object_set_new(json, "crash storm", print_group("crash storm"));
    }
    printf("besides\n");
    report_count("times all rules were checked", rules_checked);
    json_object_set_new(json, "counts", print_group("counts"));
    for (int test = 0; test < TEST_COUNT; test++) {
        if (!test_ran((Test)test))
            continue;
        printf("%s - %s\n", problems[test] ? "not ok" : "ok", test_names[test]);
        if (problems[test] > SHOWN)
            printf("# %ld problems in all\n", problems[test]);
        json_object_set_new(json, test_names[test],
                            json_pack("{s:I}", "problems", (json_int_t)problems[test]));
        failed |= problems[test] > 0;
    }
    if (world.options.report_file && json_dump_file(json, world.options.report_file, JSON_INDENT(2)) != 0)
        die("cannot write %s", world.options.report_file);
    json_decref(json);
    return failed;
}
