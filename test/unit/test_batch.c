/* Windows of batched matching, and the steps of an overload. */
#include "dispatch/batch_window.h"
#include "dispatch/overload_steps.h"
#include "unit.h"

#define S INT64_C(1000000)

static void a_window_grows_with_the_trips_that_wait_and_their_work(void)
{
    CHECK(batch_window_us(S, 5 * S, 1, 0, false) == S);
    CHECK(batch_window_us(S, 5 * S, 12, 0, false) == S);
    CHECK(batch_window_us(S, 5 * S, 250, 0, false) == 3 * S);
    CHECK(batch_window_us(S, 5 * S, 499, 0, false) < 5 * S);
    CHECK(batch_window_us(S, 5 * S, 500, 0, false) == 5 * S);
    CHECK(batch_window_us(S, 5 * S, 1000000, 0, false) == 5 * S);
    for (int trips = 1; trips < 600; trips++)
        CHECK(batch_window_us(S, 5 * S, trips, 0, false) <= batch_window_us(S, 5 * S, trips + 1, 0, false));
    /* the work takes a quarter of the time at most, while the longest window allows */
    CHECK(batch_window_us(S, 5 * S, 1, S / 2, false) == 2 * S);
    CHECK(batch_window_us(S, 5 * S, 1, 60 * S, false) == 5 * S);
    CHECK(batch_window_us(S, 5 * S, 1, 0, true) == 5 * S);
    CHECK(batch_window_us(2 * S, 2 * S, 300, 0, false) == 2 * S);
    CHECK(batch_window_us(1, 1, 499, 0, false) == 1);
}

static void an_overload_rises_a_step_at_a_time(void)
{
    int64_t calm = 0;

    CHECK(overload_next(0, 5 * S, 5 * S, 1, &calm) == 0);
    CHECK(overload_next(0, 5 * S + 1, 5 * S, 1, &calm) == 1);
    CHECK(overload_next(0, 1000 * S, 5 * S, 1, &calm) == 1); /* a step at a time */
    CHECK(overload_next(1, 10 * S + 1, 5 * S, 1, &calm) == 2);
    CHECK(overload_next(2, 20 * S, 5 * S, 1, &calm) == 2);
    CHECK(overload_next(2, 20 * S + 1, 5 * S, 1, &calm) == 3);
    CHECK(overload_next(3, 1000 * S, 5 * S, 1, &calm) == 3);
    CHECK(overload_next(3, 1000 * S, 0, 1, &calm) == 0); /* switched off */
    CHECK(overload_next(17, 1000 * S, 5 * S, 1, &calm) == 0);
}

static void and_falls_when_it_has_been_calm_for_a_while(void)
{
    int64_t calm = 0, now = 100 * S;

    /* below the threshold, above half of it: stays for ever */
    CHECK(overload_next(1, 3 * S, 5 * S, now, &calm) == 1 && calm == 0);
    CHECK(overload_next(1, 3 * S, 5 * S, now + 60 * S, &calm) == 1 && calm == 0);
    /* below half of it: down after five seconds without a break */
    CHECK(overload_next(2, S, 5 * S, now, &calm) == 2 && calm == now);
    CHECK(overload_next(2, S, 5 * S, now + 4 * S, &calm) == 2);
    CHECK(overload_next(2, 6 * S, 5 * S, now + 4 * S, &calm) == 2 && calm == 0);
    CHECK(overload_next(2, S, 5 * S, now + 5 * S, &calm) == 2);
    CHECK(overload_next(2, S, 5 * S, now + 10 * S, &calm) == 1);
    CHECK(overload_next(1, S, 5 * S, now + 14 * S, &calm) == 1);
    CHECK(overload_next(1, S, 5 * S, now + 15 * S, &calm) == 0);
    /* a clock set back begins anew */
    CHECK(overload_next(1, 0, 5 * S, now, &calm) == 1 && calm == now);
}

int main(void)
{
    RUN(a_window_grows_with_the_trips_that_wait_and_their_work);
    RUN(an_overload_rises_a_step_at_a_time);
    RUN(and_falls_when_it_has_been_calm_for_a_while);
    return unit_result();
}
