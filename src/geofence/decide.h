/* decide.h: whether a driver has entered or left an area, with hysteresis. Pure. */
#ifndef HAIL_GEOFENCE_DECIDE_H
#define HAIL_GEOFENCE_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum FenceMove {
    MOVE_NONE,
    MOVE_ENTER,
    MOVE_STEP_OUT, /* outside, but not yet far or long enough to have left */
    MOVE_BACK,     /* inside again after MOVE_STEP_OUT */
    MOVE_LEAVE
} FenceMove;

typedef struct FenceSituation {
    bool inside;           /* counts as inside so far */
    bool covered;          /* the position lies in the area */
    bool far;              /* not covered, and farther from the area than its margin */
    int64_t outside_since; /* microseconds; 0: was inside at the last look */
    int64_t now, leave_after_us;
} FenceSituation;

/*
 * Entering takes effect with the first position inside: an airport's queue is joined in the order of arrival.
 * So that a vehicle standing at the border does not come and go with every jitter of its receiver, leaving
 * takes a position beyond the margin, or some time outside without a position inside.
 */
static inline FenceMove fence_decide(const FenceSituation *s)
{
    if (s->covered)
        return !s->inside ? MOVE_ENTER : s->outside_since != 0 ? MOVE_BACK : MOVE_NONE;
    if (!s->inside)
        return MOVE_NONE;
    if (s->far || s->leave_after_us == 0 ||
        (s->outside_since != 0 && s->now - s->outside_since >= s->leave_after_us))
        return MOVE_LEAVE;
    return s->outside_since == 0 ? MOVE_STEP_OUT : MOVE_NONE;
}

#endif
