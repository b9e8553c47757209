/* The decision of a rate limit; see gcra.h. */
#include "identity/gcra.h"

int64_t gcra_take(int64_t *full_at, int64_t now, int per_minute)
{
    int64_t one = GCRA_WINDOW_US / per_minute;
    int64_t all = one * per_minute;
    int64_t at = *full_at;

    if (at < now || at > now + all)
        at = now;
    if (at + one > now + all)
        return at + one - all - now;
    *full_at = at + one;
    return 0;
}
