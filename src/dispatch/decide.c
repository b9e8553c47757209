/* Gates, score and order of the drivers of a round; see decide.h. */
#include "dispatch/decide.h"

#include <math.h>
#include <string.h>

const char *const match_gate_names[GATE_COUNT] = {
    [GATE_NONE] = "none",           [GATE_SELF] = "self",         [GATE_GAVE_BACK] = "gave_back",
    [GATE_BLOCKED] = "blocked",     [GATE_DECLINED] = "declined", [GATE_ASKED] = "asked",
    [GATE_AREA] = "preferred_area", [GATE_WALLET] = "wallet",     [GATE_ROOM] = "no_room",
    [GATE_TOO_FAR] = "too_far",     [GATE_RADIUS] = "radius",     [GATE_OFFERS] = "pending_offers",
    [GATE_STALE] = "stale",         [GATE_COOLDOWN] = "cooldown", [GATE_BUSY] = "busy",
    [GATE_CLASS] = "class",
};

uint16_t facts_share(double share)
{
    if (!(share > 0))
        return 0;
    return (uint16_t)rint((share < 1 ? share : 1) * FACTS_SCALE);
}

uint16_t facts_rating(double rating)
{
    return facts_share((rating - 1) / 4);
}

uint16_t facts_idle(double seconds)
{
    return (uint16_t)(seconds >= 0 && seconds < FACTS_IDLE_MAX ? seconds : FACTS_IDLE_MAX);
}

static uint8_t *put16(uint8_t *bytes, uint16_t value)
{
    *bytes++ = value & 0xff;
    *bytes++ = value >> 8;
    return bytes;
}

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* A float's bits. */
static uint8_t *put_float(uint8_t *bytes, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return put16(put16(bytes, bits & 0xffff), bits >> 16);
}

static float get_float(const uint8_t *bytes)
{
    uint32_t bits = get16(bytes) | (uint32_t)get16(bytes + 2) << 16;
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

void passed_pack(const uint8_t *driver_id, float distance_m, MatchGate gate, uint8_t *bytes)
{
    memcpy(bytes, driver_id, 16);
    *put_float(bytes + 16, distance_m) = gate;
}

MatchGate passed_unpack(const uint8_t *bytes, float *distance_m)
{
    *distance_m = get_float(bytes + 16);
    return bytes[20] < GATE_COUNT ? bytes[20] : GATE_NONE;
}

void facts_pack(const DriverFacts *facts, uint8_t *bytes)
{
    const uint16_t shorts[] = {facts->rating,  facts->acceptance, facts->completion,
                               facts->vehicle, facts->idle_s,     facts->queue_place};

    memcpy(bytes, facts->driver_id, 16);
    bytes = put_float(bytes + 16, facts->distance_m);
    for (unsigned i = 0; i < sizeof(shorts) / sizeof(*shorts); i++)
        bytes = put16(bytes, shorts[i]);
    *bytes++ = facts->recent_trips;
    *bytes++ = facts->pending_offers;
    *bytes++ = facts->flags;
    *bytes++ = facts->excluded;
}

void facts_unpack(const uint8_t *bytes, DriverFacts *facts)
{
    uint16_t *const shorts[] = {&facts->rating,  &facts->acceptance, &facts->completion,
                                &facts->vehicle, &facts->idle_s,     &facts->queue_place};

    memcpy(facts->driver_id, bytes, 16);
    facts->distance_m = get_float(bytes + 16);
    bytes += 20;
    for (unsigned i = 0; i < sizeof(shorts) / sizeof(*shorts); i++, bytes += 2)
        *shorts[i] = get16(bytes);
    facts->recent_trips = *bytes++;
    facts->pending_offers = *bytes++;
    facts->flags = *bytes++;
    facts->excluded = *bytes < GATE_COUNT ? *bytes : GATE_NONE;
}

MatchGate decide_gate(const DecideContext *context, const DriverFacts *facts)
{
    if (facts->excluded != GATE_NONE)
        return facts->excluded;
    if (facts->flags & FACT_OTHER_AREA)
        return GATE_AREA;
    if (facts->flags & FACT_WALLET_SHORT)
        return GATE_WALLET;
    if (facts->flags & FACT_NO_ROOM)
        return GATE_ROOM;
    if (context->max_pickup_m > 0 && facts->distance_m > context->max_pickup_m)
        return GATE_TOO_FAR;
    if (facts->queue_place == 0 && facts->distance_m > (float)context->radius_m)
        return GATE_RADIUS;
    return facts->pending_offers >= context->max_pending_offers ? GATE_OFFERS : GATE_NONE;
}

static Score score_of(const DecideContext *context, const DriverFacts *facts)
{
    ScoreInput input = {.distance_m = facts->distance_m,
                        .radius_m = context->radius_m,
                        .rating = 1 + 4.0 * facts->rating / FACTS_SCALE,
                        .acceptance = (double)facts->acceptance / FACTS_SCALE,
                        .completion = (double)facts->completion / FACTS_SCALE,
                        .vehicle = (double)facts->vehicle / FACTS_SCALE,
                        .repeat = facts->flags & FACT_REPEAT,
                        .idle_s = facts->idle_s,
                        .idle_span_s = context->idle_span_s,
                        .recent_trips = facts->recent_trips == FACTS_UNKNOWN ? 0 : facts->recent_trips,
                        .recent_trips_max = context->recent_trips_max};
    ScoreWeights nearest = {{[SCORE_DISTANCE] = 1}};

    return score_driver(context->distance_only ? &nearest : &context->weights, &input);
}

/* Favourites before others, and in either group exact tiers before higher ones. */
static int rank_class_of(const DecideContext *context, const DriverFacts *facts)
{
    bool favourite = context->favourites_first && (facts->flags & FACT_FAVOURITE);
    bool spare = context->round <= context->exact_tier_rounds && (facts->flags & FACT_HIGHER_TIER);

    return (favourite ? 0 : 2) + (spare ? 1 : 0);
}

Verdict decide_driver(const DecideContext *context, const DriverFacts *facts)
{
    return (Verdict){.gate = decide_gate(context, facts),
                     .score = score_of(context, facts),
                     .rank_class = rank_class_of(context, facts)};
}

int decide_order(const DriverFacts *a, const Verdict *verdict_a, const DriverFacts *b,
                 const Verdict *verdict_b)
{
    if ((verdict_a->gate == GATE_NONE) != (verdict_b->gate == GATE_NONE))
        return verdict_a->gate == GATE_NONE ? -1 : 1;
    if (a->queue_place != b->queue_place)
        return a->queue_place > 0 && (b->queue_place == 0 || a->queue_place < b->queue_place) ? -1 : 1;
    if (verdict_a->rank_class != verdict_b->rank_class)
        return verdict_a->rank_class < verdict_b->rank_class ? -1 : 1;
    return score_order(verdict_a->score.total, a->distance_m, a->driver_id, verdict_b->score.total,
                       b->distance_m, b->driver_id);
}
