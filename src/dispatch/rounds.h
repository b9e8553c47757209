/*
 * rounds.h
 *    The order of matching rounds: so many rounds for each radius, narrowest first, then again and again at
 * the widest. Pure.
 *
 * Rounds count from 1 within a search. The first pass goes over all radii; each later pass is
 * rounds_per_radius rounds at the widest. A driver who let an offer go by is asked again in a later pass, not
 * in the same one.
 */
#ifndef HAIL_DISPATCH_ROUNDS_H
#define HAIL_DISPATCH_ROUNDS_H

/* Index (from 0) of the radius that a round searches. */
static inline int round_radius_index(int round, int rounds_per_radius, int radius_count)
{
    int index = (round - 1) / rounds_per_radius;

    return index < radius_count ? index : radius_count - 1;
}

/* First round of the pass that a round belongs to. */
static inline int round_pass_start(int round, int rounds_per_radius, int radius_count)
{
    int first_pass = rounds_per_radius * radius_count;

    if (round <= first_pass)
        return 1;
    return first_pass + (round - 1 - first_pass) / rounds_per_radius * rounds_per_radius + 1;
}

/* First round of the next group of rounds_per_radius: the next radius, or the next pass at the widest. */
static inline int round_next_group(int round, int rounds_per_radius)
{
    return (round - 1) / rounds_per_radius * rounds_per_radius + rounds_per_radius + 1;
}

#endif
