/* The decision of a rate limit. */
#include "unit.h"

#include <stdlib.h>

#include "identity/gcra.h"

#define SECOND INT64_C(1000000)

/* The same as a bucket of tokens: one is needed and taken, one comes each `one` microseconds. */
typedef struct Tokens {
    double held;
    int64_t at;
} Tokens;

static double tokens_after(const Tokens *t, int64_t now, int per_minute)
{
    double held = t->held + (double)(now - t->at) / (double)(GCRA_WINDOW_US / per_minute);

    return held < per_minute ? held : per_minute;
}

static void a_minutes_worth_may_come_at_once(void)
{
    int64_t full_at = 0, now = 1000 * SECOND;

    for (int i = 0; i < 20; i++)
        CHECK_INT(gcra_take(&full_at, now, 20), 0);
    CHECK_INT(gcra_take(&full_at, now, 20), 3 * SECOND);
    CHECK_INT(gcra_take(&full_at, now + SECOND, 20), 2 * SECOND);
    CHECK_INT(gcra_take(&full_at, now + 3 * SECOND, 20), 0);
    CHECK_INT(gcra_take(&full_at, now + 3 * SECOND, 20), 3 * SECOND);
}

static void a_refusal_changes_nothing(void)
{
    int64_t full_at = 0, before;

    while (gcra_take(&full_at, 0, 7) == 0)
        ;
    before = full_at;
    for (int i = 0; i < 1000; i++)
        CHECK(gcra_take(&full_at, i, 7) > 0);
    CHECK_INT(full_at, before);
}

static void whoever_keeps_to_the_rate_is_never_refused(void)
{
    for (int per_minute = 1; per_minute <= 60000; per_minute = per_minute * 3 / 2 + 1) {
        int64_t full_at = 0, every = GCRA_WINDOW_US / per_minute;

        for (int i = 0; i < 1000; i++)
            CHECK_INT(gcra_take(&full_at, i * every, per_minute), 0);
    }
}

static void it_decides_as_a_bucket_of_tokens(void)
{
    srand(20260501);
    for (int round = 0; round < 200; round++) {
        int per_minute = 1 + rand() % 700;
        int64_t full_at = 0, now = (rand() % 1000000) * SECOND, one = GCRA_WINDOW_US / per_minute;
        Tokens tokens = {per_minute, now};

        for (int i = 0; i < 2000; i++) {
            double held;
            int64_t wait;

            now += rand() % (2 * (rand() % 3 == 0 ? one : one / 4 + 1));
            held = tokens_after(&tokens, now, per_minute);
            wait = gcra_take(&full_at, now, per_minute);
            CHECK((wait == 0) == (held > 1 - 1e-6));
            if (wait == 0) {
                tokens = (Tokens){held - 1, now};
                continue;
            }
            CHECK(wait > 0 && wait <= one);
            {
                int64_t too_early = full_at, in_time = full_at;

                CHECK(gcra_take(&too_early, now + wait - 1, per_minute) > 0);
                CHECK_INT(gcra_take(&in_time, now + wait, per_minute), 0);
            }
        }
    }
}

static void a_clock_set_back_locks_nobody_out(void)
{
    srand(7);
    for (int i = 0; i < 10000; i++) {
        int per_minute = 1 + rand() % 700, taken = rand() % (per_minute + 1);
        int64_t now = INT64_C(800000000000000), full_at = 0, wait;

        while (taken-- > 0)
            CHECK_INT(gcra_take(&full_at, now, per_minute), 0);
        now -= (rand() % 5 == 0 ? 365 * 86400 : rand() % 200) * SECOND;
        wait = gcra_take(&full_at, now, per_minute);
        CHECK(wait <= GCRA_WINDOW_US / per_minute);
        CHECK_INT(wait == 0 ? 0 : gcra_take(&full_at, now + wait, per_minute), 0);
    }
}

static void times_before_2000_count_too(void)
{
    int64_t full_at = INT64_MIN / 4, now = -5 * SECOND;

    CHECK_INT(gcra_take(&full_at, now, 1), 0);
    CHECK_INT(gcra_take(&full_at, now, 1), 60 * SECOND);
    CHECK_INT(gcra_take(&full_at, now + 60 * SECOND, 1), 0);
}

int main(void)
{
    RUN(a_minutes_worth_may_come_at_once);
    RUN(a_refusal_changes_nothing);
    RUN(whoever_keeps_to_the_rate_is_never_refused);
    RUN(it_decides_as_a_bucket_of_tokens);
    RUN(a_clock_set_back_locks_nobody_out);
    RUN(times_before_2000_count_too);
    return unit_result();
}
