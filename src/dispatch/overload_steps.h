/*
 * overload_steps.h
 *    Which level follows from a lag. Pure.
 */
#ifndef HAIL_DISPATCH_OVERLOAD_STEPS_H
#define HAIL_DISPATCH_OVERLOAD_STEPS_H

#include <stdint.h>

#define OVERLOAD_TOP     3
#define OVERLOAD_CALM_US (5 * (int64_t)1000000) /* so long below half of a level's lag, then a level down */

/* Lag (microseconds) above which a level from 1 to OVERLOAD_TOP begins. */
static inline int64_t overload_threshold(int level, int64_t max_lag_us)
{
    return max_lag_us << (level - 1);
}

/*
 * The next level: one up as soon as the lag is above its threshold, one down after OVERLOAD_CALM_US below
 * half the threshold of the level that is left. *calm_since: since when it has been so, on the same clock as
 * `now`; 0: it is not. max_lag_us 0: never overloaded.
 */
static inline int overload_next(int level, int64_t lag_us, int64_t max_lag_us, int64_t now,
                                int64_t *calm_since)
{
    if (max_lag_us == 0 || level < 0 || level > OVERLOAD_TOP)
        return 0;
    if (level < OVERLOAD_TOP && lag_us > overload_threshold(level + 1, max_lag_us)) {
        *calm_since = 0;
        return level + 1;
    }
    if (level == 0 || lag_us * 2 >= overload_threshold(level, max_lag_us)) {
        *calm_since = 0;
        return level;
    }
    if (*calm_since == 0 || *calm_since > now)
        *calm_since = now;
    if (now - *calm_since < OVERLOAD_CALM_US)
        return level;
    *calm_since = now;
    return level - 1;
}

#endif
