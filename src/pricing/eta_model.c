/* How long a trip takes, learnt one trip at a time; see eta_model.h. */
#include "pricing/eta_model.h"

#include <math.h>
#include <string.h>

#include "geo/geo.h"

/* One effect that applies, as it is on the day of the trip. */
typedef struct Term {
    EtaEffect *effect; /* NULL: nothing learnt */
    double share;
    double mean;     /* after forgetting */
    double weight;   /* after forgetting */
    double variance; /* of the mean, in squared logarithms */
} Term;

/* A group of effects that add up: of time, or of distance. */
typedef struct Sum {
    int count;
    double mean;     /* of the terms, by share */
    double variance; /* of that mean */
    Term term[ETA_TIME_FEATURES_MAX];
} Sum;

/* Spread of what no effect explains that the priors are measured against: in these, `weight` of 1 is one
 * trip. */
#define TIME_NOISE 0.3
#define ROAD_NOISE 0.15

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
#define BASE_TRIPS    5.0
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
 * What is known on a day of the effects that apply. An effect's variance is its prior's less what its trips
 * told; forgetting lets it grow again, and the mean shrinks with it (both are the posterior of a normal mean
 * with a normal prior around 0 after `weight` observations).
 */
static void look_up(const EtaTable *table, const EtaFeature *features, int count, int32_t day, double noise,
                    Sum *sum)
{
    sum->count = count;
    sum->mean = sum->variance = 0;
    for (int k = 0; k < count; k++) {
        Term *term = &sum->term[k];
        double prior = features[k].prior * features[k].prior, worth = noise * noise / prior, left;

        *term = (Term){.effect = eta_table_find(table, features[k].key), .share = features[k].share};
        if (term->effect == NULL) {
            term->variance = prior;
        } else {
            left = eta_table_left(table, term->effect->day, day);
            term->weight = term->effect->weight * left;
            term->mean = term->effect->mean;
            if (left < 1)
                term->mean *= left * (term->effect->weight + worth) / (term->weight + worth);
            term->variance = noise * noise / (worth + term->weight);
        }
        sum->mean += term->share * term->mean;
        sum->variance += term->share * term->share * term->variance;
    }
}

/* What remains unexplained at this distance: of the bands, which come after the region. */
static double spread_at(const EtaFeatures *f, const Sum *sum)
{
    double squares = 0;

    for (int k = 1; k < sum->count && ETA_KIND_OF(f->time[k].key) == ETA_KIND_BAND; k++) {
        const EtaEffect *effect = sum->term[k].effect;
        double spread = effect != NULL && effect->spread > 0 ? effect->spread : SPREAD_START;

        squares += sum->term[k].share * spread * spread;
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
static void find_support(const EtaFeatures *f, const Sum *sum, double support[ETA_CELL + 1])
{
    double from = 0, to = 0;

    memset(support, 0, sizeof(double) * (ETA_CELL + 1));
    for (int k = 0; k < sum->count; k++) {
        double weight = sum->term[k].weight;

        switch (ETA_KIND_OF(f->time[k].key)) {
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

static void predict_time(const EtaTable *table, const EtaTrip *trip, const EtaFeatures *f, EtaPrediction *out)
{
    double support[ETA_CELL + 1], level, spread, trust, low, high;
    Sum sum;

    look_up(table, f->time, f->time_count, trip->day, TIME_NOISE, &sum);
    find_support(f, &sum, support);
    low = -TAIL_NORMAL * SPREAD_CONFIG;
    high = TAIL_NORMAL * SPREAD_CONFIG;
    level = log1p(out->duration_s);
    if (support[ETA_REGION] >= ETA_MIN_SUPPORT) {
        trust = support[ETA_REGION] / (support[ETA_REGION] + BASE_TRIPS);
        spread = spread_at(f, &sum);
        level += trust * (sum.mean + log_time_unit(f->metres) - level);
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

static void predict_road(const EtaTable *table, const EtaTrip *trip, const EtaFeatures *f, EtaPrediction *out)
{
    double weight, level, learnt;
    Sum sum;

    look_up(table, f->road, f->road_count, trip->day, ROAD_NOISE, &sum);
    weight = sum.term[0].weight;
    if (weight < ETA_MIN_SUPPORT)
        return;
    level = log_road_unit(out->road_m);
    learnt = sum.mean + log_road_unit(f->metres);
    level += weight / (weight + BASE_TRIPS) * (learnt - level);
    out->road_m = fmax(exp(level) - ROAD_OFFSET_M, f->metres);
}

bool eta_model_predict(const EtaTable *table, const EtaTrip *trip, const EtaRegion *base, EtaPrediction *out)
{
    EtaTrip in_week = *trip;
    EtaFeatures f;

    memset(out, 0, sizeof(*out));
    if (!trip_on_globe(trip) || !(base->distance_factor > 0 && base->distance_factor < 1e3) ||
        !(base->speed_kmh > 0 && base->speed_kmh < 1e4))
        return false;
    if (!trip_in_week(trip)) {
        in_week.hour_of_week = (trip->hour_of_week % 168 + 168) % 168;
        in_week.minute = trip->minute < 0 ? 0 : trip->minute > 59 ? 59 : trip->minute;
    }
    eta_features(&in_week, &f);
    out->road_m = f.metres * base->distance_factor;
    out->duration_s = out->road_m * 3.6 / base->speed_kmh;
    predict_time(table, &in_week, &f, out);
    predict_road(table, &in_week, &f, out);
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
    for (int k = 0; k < sum->count; k++) {
        EtaEffect *effect = sum->term[k].effect;

        if (effect == NULL || day <= effect->day)
            continue;
        effect->mean = (float)sum->term[k].mean;
        effect->weight = (float)sum->term[k].weight;
        effect->day = day;
    }
}

/*
 * Shares an error out among the effects, by how unsure each is: the gain of a Kalman filter whose state has
 * a diagonal covariance (its off-diagonal parts are dropped after each trip). noise: spread of the error that
 * is not the effects' fault.
 */
static void share_out(const Sum *sum, double error, double noise)
{
    double total = noise * noise + sum->variance;

    for (int k = 0; k < sum->count; k++) {
        const Term *term = &sum->term[k];

        if (term->effect == NULL)
            continue;
        term->effect->mean += (float)(term->variance * term->share / total * error);
        term->effect->weight += (float)(term->share * term->share);
    }
}

static double clipped(double value, double most)
{
    return fmin(fmax(value, -most), most);
}

/* Spreads of the region and of the bands follow the errors, newer ones more. */
static void learn_spread(const EtaFeatures *f, const Sum *sum, double error)
{
    double square = fmin(error * error, SPREAD_CUT * SPREAD_CUT);

    for (int k = 0; k < sum->count && ETA_KIND_OF(f->time[k].key) <= ETA_KIND_BAND; k++) {
        EtaEffect *effect = sum->term[k].effect;
        double step, spread;

        if (effect == NULL)
            continue;
        step = sum->term[k].share / fmin(effect->weight + SPREAD_FIRST, SPREAD_TRIPS);
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

static void learn_time(EtaTable *table, const EtaTrip *trip, const EtaFeatures *f, double duration_s,
                       EtaChanges *changes)
{
    double error, spread;
    Sum sum;

    for (int k = 0; k < f->time_count; k++)
        make(table, f->time[k].key, k == 0 ? TIME_START : 0, trip->day, changes);
    make(table, eta_key(trip->region, ETA_KIND_LOW, 0), -TAIL_NORMAL, trip->day, changes);
    make(table, eta_key(trip->region, ETA_KIND_HIGH, 0), TAIL_NORMAL, trip->day, changes);
    look_up(table, f->time, f->time_count, trip->day, TIME_NOISE, &sum);
    bring_forward(&sum, trip->day);
    spread = spread_at(f, &sum);
    error = log1p(duration_s) - log_time_unit(f->metres) - sum.mean;
    if (sum.term[0].weight >= YOUNG_TRIPS) {
        learn_tail(table, trip, ETA_KIND_LOW, error / spread);
        learn_tail(table, trip, ETA_KIND_HIGH, error / spread);
    }
    share_out(&sum, clipped(error, sum.term[0].weight < YOUNG_TRIPS ? CLIP_YOUNG : CLIP_SPREADS * spread),
              spread);
    learn_spread(f, &sum, error);
}

static void learn_road(EtaTable *table, const EtaTrip *trip, const EtaFeatures *f, double road_m,
                       EtaChanges *changes)
{
    double error;
    Sum sum;

    if (!(road_m >= f->metres * ETA_ROAD_MIN && road_m <= f->metres * ETA_ROAD_MAX + ETA_ROAD_MORE_M))
        return;
    for (int k = 0; k < f->road_count; k++)
        make(table, f->road[k].key, k == 0 ? ROAD_START : 0, trip->day, changes);
    look_up(table, f->road, f->road_count, trip->day, ROAD_NOISE, &sum);
    bring_forward(&sum, trip->day);
    error = log_road_unit(road_m) - log_road_unit(f->metres) - sum.mean;
    share_out(&sum, clipped(error, CLIP_SPREADS * ROAD_NOISE), ROAD_NOISE);
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
    EtaFeatures f;

    if (changes == NULL)
        changes = &ignored;
    changes->changed_count = changes->evicted_count = 0;
    if (verdict != ETA_LEARNT)
        return verdict;
    eta_features(trip, &f);
    learn_time(table, trip, &f, duration_s, changes);
    if (road_m > 0)
        learn_road(table, trip, &f, road_m, changes);
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
