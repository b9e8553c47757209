/* How long a trip takes, learnt one trip at a time; see eta_model.h. */
#include "pricing/eta_model.h"

#include <math.h>
#include <string.h>

#include "geo/geo.h"

/* What is known on a day of the effects that apply to a trip, and what they add up to. */
typedef struct Sum {
    EtaFeatures of;
    double mean;                         /* of them, by share */
    EtaEffect *effect[ETA_FEATURES_MAX]; /* NULL: nothing learnt */
    double mean_of[ETA_FEATURES_MAX];    /* after forgetting */
    double weight_of[ETA_FEATURES_MAX];  /* after forgetting */
} Sum;

/* What a region begins with: seconds and factors of nowhere, given up for the first trip seen. */
#define TIME_START (-1.8)
#define ROAD_START 0.26

/* Seconds are those of so many metres more: starting, turning into the road, stopping. The bands do the rest.
 */
#define TIME_OFFSET_M 1000.0
#define ROAD_OFFSET_M 100.0

/* Errors count at most so many spreads; before a region has ETA_YOUNG trips at most so much. */
#define CLIP_SPREADS 2.5
#define CLIP_YOUNG   1.0
#define YOUNG_TRIPS  20.0

/* In trips: what the region's configured figures weigh against what was learnt; how far a spread looks back.
 */
#define BASE_TRIPS    3.0
#define SPREAD_TRIPS  300.0
#define SPREAD_FIRST  10.0 /* what the first spread weighs */
#define SPREAD_START  0.36
#define SPREAD_CUT    1.5 /* larger errors count as this */
#define SPREAD_CONFIG 0.5 /* of times by configured figures alone */

/* The interval: 10 % below, 10 % above. */
#define TAIL           0.1
#define TAIL_NORMAL    1.2816 /* spreads, if they were normal */
#define TAIL_STEP      3.0    /* spreads; how far one trip moves a quantile, over the trips seen */
#define TAIL_STEP_LAST 0.006
#define TAIL_FIRST     60.0

static double log_time_unit(double metres)
{
    return log(metres + TIME_OFFSET_M);
}

static double log_road_unit(double metres)
{
    return log(metres + ROAD_OFFSET_M);
}

/*
 * Fills `sum` for its features. What is forgotten of an effect's weight its mean loses too: it is that of a
 * normal prior around 0 and `weight` observations.
 */
static void look_up(const EtaTable *table, int32_t day, Sum *sum)
{
    eta_table_find_all(table, sum->of.key, sum->of.count, sum->effect);
    sum->mean = 0;
    for (int k = 0; k < sum->of.count; k++) {
        const EtaEffect *effect = sum->effect[k];
        double prior = sum->of.prior[k], left;

        sum->mean_of[k] = sum->weight_of[k] = 0;
        if (effect == NULL)
            continue;
        left = eta_table_left(table, effect->day, day);
        sum->weight_of[k] = effect->weight * left;
        sum->mean_of[k] = effect->mean;
        if (left < 1)
            sum->mean_of[k] *= left * (effect->weight + prior) / (sum->weight_of[k] + prior);
        sum->mean += sum->of.share[k] * sum->mean_of[k];
    }
}

/* What remains unexplained at this distance: of the bands, which come after the region. */
static double spread_at(const Sum *sum)
{
    double squares = 0;

    for (int k = 1; k < sum->of.count && ETA_KIND_OF(sum->of.key[k]) == ETA_KIND_BAND; k++) {
        const EtaEffect *effect = sum->effect[k];
        double spread = effect != NULL && effect->spread > 0 ? effect->spread : SPREAD_START;

        squares += sum->of.share[k] * spread * spread;
    }
    return sqrt(squares);
}

static bool trip_on_globe(const EtaTrip *trip)
{
    return geo_valid(trip->from_lat, trip->from_lng) && geo_valid(trip->to_lat, trip->to_lng);
}

static bool trip_in_week(const EtaTrip *trip)
{
    return trip->hour_of_week >= 0 && trip->hour_of_week < 168 && trip->minute >= 0 && trip->minute < 60;
}

/* ---- predicting ---- */

/* Trips behind each level: of the hour's two knots; of the end of the two that is less known. */
static void find_support(const Sum *sum, double support[ETA_CELL + 1])
{
    double from = 0, to = 0;

    memset(support, 0, sizeof(double) * (ETA_CELL + 1));
    for (int k = 0; k < sum->of.count; k++) {
        double weight = sum->weight_of[k];

        switch (ETA_KIND_OF(sum->of.key[k])) {
        case ETA_KIND_REGION:
            support[ETA_REGION] = weight;
            break;
        case ETA_KIND_HOUR:
            support[ETA_HOUR] += weight;
            break;
        case ETA_KIND_FROM_SPOT:
        case ETA_KIND_FROM_PART:
        case ETA_KIND_FROM_WAY:
            from = fmax(from, weight);
            break;
        case ETA_KIND_TO_SPOT:
        case ETA_KIND_TO_PART:
        case ETA_KIND_TO_WAY:
            to = fmax(to, weight);
            break;
        default:
            break;
        }
    }
    support[ETA_CELL] = fmin(from, to);
}

/* A region's quantile of errors, in spreads. */
static double tail_of(const EtaTable *table, uint16_t region, EtaKind kind)
{
    const EtaEffect *effect = eta_table_find(table, eta_key(region, kind, 0));

    if (effect != NULL)
        return effect->mean;
    return kind == ETA_KIND_LOW ? -TAIL_NORMAL : TAIL_NORMAL;
}

static void predict_time(const EtaTable *table, const EtaTrip *trip, double metres, EtaPrediction *out)
{
    double support[ETA_CELL + 1], level, spread, trust, low, high;
    Sum sum;

    eta_time_features(trip, metres, &sum.of);
    look_up(table, trip->day, &sum);
    find_support(&sum, support);
    low = -TAIL_NORMAL * SPREAD_CONFIG;
    high = TAIL_NORMAL * SPREAD_CONFIG;
    level = log1p(out->duration_s);
    if (support[ETA_REGION] >= ETA_MIN_SUPPORT) {
        trust = support[ETA_REGION] / (support[ETA_REGION] + BASE_TRIPS);
        spread = spread_at(&sum);
        level += trust * (sum.mean + log_time_unit(metres) - level);
        low += trust * (spread * tail_of(table, trip->region, ETA_KIND_LOW) - low);
        high += trust * (spread * tail_of(table, trip->region, ETA_KIND_HIGH) - high);
        out->duration_s = expm1(level);
        out->level = ETA_CELL;
        while (support[out->level] < ETA_MIN_SUPPORT)
            out->level--;
        out->support = support[out->level];
    }
    out->low_s = fmax(expm1(level + fmin(low, 0)), 0);
    out->high_s = expm1(level + fmax(high, 0));
}

static void predict_road(const EtaTable *table, const EtaTrip *trip, double metres, EtaPrediction *out)
{
    double weight, level, learnt;
    Sum sum;

    eta_road_features(trip, metres, &sum.of);
    look_up(table, trip->day, &sum);
    weight = sum.weight_of[0];
    if (weight < ETA_MIN_SUPPORT)
        return;
    level = log_road_unit(out->road_m);
    learnt = sum.mean + log_road_unit(metres);
    level += weight / (weight + BASE_TRIPS) * (learnt - level);
    out->road_m = fmax(exp(level) - ROAD_OFFSET_M, metres);
}

bool eta_model_predict(const EtaTable *table, const EtaTrip *trip, const EtaRegion *base, EtaPrediction *out)
{
    EtaTrip in_week = *trip;
    double metres;

    memset(out, 0, sizeof(*out));
    if (!trip_on_globe(trip) || !(base->distance_factor > 0 && base->distance_factor < 1e3) ||
        !(base->speed_kmh > 0 && base->speed_kmh < 1e4))
        return false;
    if (!trip_in_week(trip)) {
        in_week.hour_of_week = (trip->hour_of_week % 168 + 168) % 168;
        in_week.minute = trip->minute < 0 ? 0 : trip->minute > 59 ? 59 : trip->minute;
    }
    metres = geo_distance_m(trip->from_lat, trip->from_lng, trip->to_lat, trip->to_lng);
    out->road_m = metres * base->distance_factor;
    out->duration_s = out->road_m * 3.6 / base->speed_kmh;
    predict_time(table, &in_week, metres, out);
    predict_road(table, &in_week, metres, out);
    return true;
}

/* ---- learning ---- */

static EtaLearnt learnable(const EtaTrip *trip, double duration_s)
{
    if (!trip_on_globe(trip))
        return ETA_BAD_PLACE;
    if (!trip_in_week(trip))
        return ETA_BAD_TIME;
    if (!(duration_s >= ETA_DURATION_MIN_S && duration_s <= ETA_DURATION_MAX_S))
        return ETA_BAD_DURATION;
    if (geo_distance_m(trip->from_lat, trip->from_lng, trip->to_lat, trip->to_lng) * 3.6 >
        ETA_SPEED_MAX_KMH * duration_s)
        return ETA_BAD_DURATION;
    return ETA_LEARNT;
}

/* Makes an effect if there is none; who gave way is noted. */
static void make(EtaTable *table, uint64_t key, double start, int32_t day, EtaChanges *changes)
{
    uint64_t evicted;
    EtaEffect *effect = eta_table_put(table, key, day, &evicted);

    if (effect->weight == 0 && effect->mean == 0 && effect->spread == 0)
        effect->mean = (float)start;
    changes->changed[changes->changed_count++] = key;
    if (evicted != 0)
        changes->evicted[changes->evicted_count++] = evicted;
}

/* Brings effects to what look_up() saw of them, and the day to the trip's if that is later. */
static void bring_forward(const Sum *sum, int32_t day)
{
    for (int k = 0; k < sum->of.count; k++) {
        EtaEffect *effect = sum->effect[k];

        if (effect == NULL || day <= effect->day)
            continue;
        effect->mean = (float)sum->mean_of[k];
        effect->weight = (float)sum->weight_of[k];
        effect->day = day;
    }
}

/*
 * Shares an error out among the effects, by how unsure each is: the gain of a Kalman filter whose state has
 * a diagonal covariance (what a trip adds off the diagonal is dropped). unit: the noise that priors count in;
 * noise: the spread of the error that is not the effects' fault. Both in logarithms.
 */
static void share_out(const Sum *sum, double error, double unit, double noise)
{
    double gain[ETA_FEATURES_MAX], total = noise * noise / (unit * unit);

    for (int k = 0; k < sum->of.count; k++) {
        gain[k] = sum->of.share[k] / (sum->of.prior[k] + sum->weight_of[k]);
        total += sum->of.share[k] * gain[k];
    }
    for (int k = 0; k < sum->of.count; k++) {
        EtaEffect *effect = sum->effect[k];

        if (effect == NULL)
            continue;
        effect->mean += (float)(gain[k] / total * error);
        effect->weight += (float)(sum->of.share[k] * sum->of.share[k]);
    }
}

static double clipped(double value, double most)
{
    return fmin(fmax(value, -most), most);
}

/* Spreads of the region and of the bands follow the errors, newer ones more. */
static void learn_spread(const Sum *sum, double error)
{
    double square = fmin(error * error, SPREAD_CUT * SPREAD_CUT);

    for (int k = 0; k < sum->of.count && ETA_KIND_OF(sum->of.key[k]) <= ETA_KIND_BAND; k++) {
        EtaEffect *effect = sum->effect[k];
        double step, spread;

        if (effect == NULL)
            continue;
        step = sum->of.share[k] / fmin(effect->weight + SPREAD_FIRST, SPREAD_TRIPS);
        spread = effect->spread > 0 ? effect->spread : SPREAD_START;
        effect->spread = (float)sqrt(spread * spread * (1 - step) + square * step);
    }
}

/* A quantile goes up by its probability's share of a step for each error above it, and down by the rest for
 * each below: in the long run just so many lie below (stochastic approximation, Robbins and Monro 1951). */
static void learn_tail(EtaTable *table, const EtaTrip *trip, EtaKind kind, double spreads)
{
    EtaEffect *effect = eta_table_find(table, eta_key(trip->region, kind, 0));
    double below = kind == ETA_KIND_LOW ? TAIL : 1 - TAIL, step;

    if (effect == NULL)
        return;
    effect->weight = (float)(eta_table_weight(table, effect, trip->day) + 1);
    effect->day = trip->day > effect->day ? trip->day : effect->day;
    step = fmax(TAIL_STEP / (effect->weight + TAIL_FIRST), TAIL_STEP_LAST);
    effect->mean += (float)(step * (below - (spreads < effect->mean)));
}

static void learn_time(EtaTable *table, const EtaTrip *trip, double metres, double duration_s,
                       EtaChanges *changes)
{
    double error, spread;
    Sum sum;

    eta_time_features(trip, metres, &sum.of);
    for (int k = 0; k < sum.of.count; k++)
        make(table, sum.of.key[k], k == 0 ? TIME_START : 0, trip->day, changes);
    make(table, eta_key(trip->region, ETA_KIND_LOW, 0), -TAIL_NORMAL, trip->day, changes);
    make(table, eta_key(trip->region, ETA_KIND_HIGH, 0), TAIL_NORMAL, trip->day, changes);
    look_up(table, trip->day, &sum);
    bring_forward(&sum, trip->day);
    spread = spread_at(&sum);
    error = log1p(duration_s) - log_time_unit(metres) - sum.mean;
    if (sum.weight_of[0] >= YOUNG_TRIPS) {
        learn_tail(table, trip, ETA_KIND_LOW, error / spread);
        learn_tail(table, trip, ETA_KIND_HIGH, error / spread);
    }
    share_out(&sum, clipped(error, sum.weight_of[0] < YOUNG_TRIPS ? CLIP_YOUNG : CLIP_SPREADS * spread),
              ETA_TIME_NOISE, spread);
    learn_spread(&sum, error);
}

static void learn_road(EtaTable *table, const EtaTrip *trip, double metres, double road_m,
                       EtaChanges *changes)
{
    double error;
    Sum sum;

    if (!(road_m >= metres * ETA_ROAD_MIN && road_m <= metres * ETA_ROAD_MAX + ETA_ROAD_MORE_M))
        return;
    eta_road_features(trip, metres, &sum.of);
    for (int k = 0; k < sum.of.count; k++)
        make(table, sum.of.key[k], k == 0 ? ROAD_START : 0, trip->day, changes);
    look_up(table, trip->day, &sum);
    bring_forward(&sum, trip->day);
    error = log_road_unit(road_m) - log_road_unit(metres) - sum.mean;
    share_out(&sum, clipped(error, CLIP_SPREADS * ETA_ROAD_NOISE), ETA_ROAD_NOISE, ETA_ROAD_NOISE);
}

/* Of the keys noted, `changed` keeps those that are in the table now, `evicted` those that are not. */
static void settle(const EtaTable *table, EtaChanges *changes)
{
    int changed = 0, evicted = 0;

    for (int k = 0; k < changes->changed_count; k++)
        if (eta_table_find(table, changes->changed[k]) != NULL)
            changes->changed[changed++] = changes->changed[k];
    for (int k = 0; k < changes->evicted_count; k++)
        if (eta_table_find(table, changes->evicted[k]) == NULL)
            changes->evicted[evicted++] = changes->evicted[k];
    changes->changed_count = changed;
    changes->evicted_count = evicted;
}

EtaLearnt eta_model_learn(EtaTable *table, const EtaTrip *trip, double duration_s, double road_m,
                          EtaChanges *changes)
{
    EtaLearnt verdict = learnable(trip, duration_s);
    EtaChanges ignored;
    double metres;

    if (changes == NULL)
        changes = &ignored;
    changes->changed_count = changes->evicted_count = 0;
    if (verdict != ETA_LEARNT)
        return verdict;
    metres = geo_distance_m(trip->from_lat, trip->from_lng, trip->to_lat, trip->to_lng);
    learn_time(table, trip, metres, duration_s, changes);
    if (road_m > 0)
        learn_road(table, trip, metres, road_m, changes);
    if (changes != &ignored)
        settle(table, changes);
    return ETA_LEARNT;
}

const char *eta_level_name(EtaLevel level)
{
    static const char *const names[] = {"default", "region", "hour", "learnt"};

    return level >= ETA_DEFAULT && level <= ETA_CELL ? names[level] : "default";
}

const char *eta_effect_name(uint64_t key)
{
    return eta_kind_name(ETA_KIND_OF(key));
}
