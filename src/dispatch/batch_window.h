/*
 * batch_window.h
 *    How long a window of batched matching stays open. Pure.
 *
 * A window opens when the first trip comes into an empty pool, or when the last one closed and trips were
 * left over; it closes after its length: the more trips wait, the longer, since waiting is what lets the
 * assignment choose; and long enough that working it out takes a quarter of the time at most.
 */
#ifndef HAIL_DISPATCH_BATCH_WINDOW_H
#define HAIL_DISPATCH_BATCH_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define BATCH_FULL_TRIPS 500    /* so many waiting trips get the longest window */
#define BATCH_STEP_US    100000 /* windows grow in such steps */
#define BATCH_WORK_SHARE 4

/*
 * Microseconds from min_us to max_us (min_us <= max_us) for so many waiting trips, the region's last window
 * having taken work_us to work out; `longest`: an overload asks for the longest.
 */
static inline int64_t batch_window_us(int64_t min_us, int64_t max_us, int64_t trips, int64_t work_us,
                                      bool longest)
{
    int64_t share = trips < BATCH_FULL_TRIPS ? trips : BATCH_FULL_TRIPS;
    int64_t more = (max_us - min_us) * share / BATCH_FULL_TRIPS;
    int64_t length = trips < BATCH_FULL_TRIPS ? min_us + more - more % BATCH_STEP_US : max_us;

    if (length < work_us * BATCH_WORK_SHARE)
        length = work_us * BATCH_WORK_SHARE;
    return longest || length > max_us ? max_us : length;
}

#endif
