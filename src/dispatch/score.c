/* The score of a driver for a trip; see score.h. */
#include "dispatch/score.h"

#include <string.h>

const char *const score_term_names[SCORE_TERMS] = {
    [SCORE_DISTANCE] = "distance",
    [SCORE_RATING] = "rating",
    [SCORE_ACCEPTANCE] = "acceptance",
    [SCORE_COMPLETION] = "completion",
    [SCORE_VEHICLE] = "vehicle",
    [SCORE_REPEAT] = "repeat",
    [SCORE_IDLE] = "idle",
    [SCORE_RECENT] = "recent",
};

/* NaN compares false with everything: it ends as 0. */
static double clamp01(double value)
{
    if (!(value > 0))
        return 0;
    return value < 1 ? value : 1;
}

Score score_driver(const ScoreWeights *weights, const ScoreInput *input)
{
    const double normal[SCORE_TERMS] = {
        [SCORE_DISTANCE] = clamp01(1 - input->distance_m / input->radius_m),
        [SCORE_RATING] = clamp01((input->rating - 1) / 4),
        [SCORE_ACCEPTANCE] = clamp01(input->acceptance),
        [SCORE_COMPLETION] = clamp01(input->completion),
        [SCORE_VEHICLE] = clamp01(input->vehicle),
        [SCORE_REPEAT] = input->repeat ? 1 : 0,
        [SCORE_IDLE] = clamp01(input->idle_s / input->idle_span_s),
        [SCORE_RECENT] = clamp01(1 - input->recent_trips / input->recent_trips_max),
    };
    Score score = {.total = 0};

    for (int i = 0; i < SCORE_TERMS; i++) {
        score.term[i] = weights->weight[i] * normal[i];
        score.total += score.term[i];
    }
    return score;
}

int score_order(double total_a, double distance_a, const unsigned char *id_a, double total_b,
                double distance_b, const unsigned char *id_b)
{
    if (total_a != total_b)
        return total_a > total_b ? -1 : 1;
    if (distance_a != distance_b)
        return distance_a < distance_b ? -1 : 1;
    return memcmp(id_a, id_b, 16);
}
