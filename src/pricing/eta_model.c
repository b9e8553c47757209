/* How long a trip takes, learnt one trip at a time; see eta_model.h. */
#include "pricing/eta_model.h"

#include <math.h>
#include <string.h>

#include "geo/geo.h"

/* Upper 16 bits of a key: region; next 8: kind; lower 40: what the kind says. */
enum { KIND_REGION = 1, KIND_BAND, KIND_HOUR, KIND_FROM, KIND_TO, KIND_ROAD };

#define FEATURES_MAX 16
#define NOISE        0.36 /* spread of log(seconds) that no effect explains, at first */
#define CLIP         3.0  /* residuals count at most so many spreads */
#define BASE_TRIPS   5.0  /* what the configured figures weigh against the learnt ones */
#define Z80          1.2816

typedef struct Feature {
    uint64_t key;
    double x;     /* how much of the effect applies */
    double prior; /* variance of the effect before anything is learnt */
} Feature;

typedef struct Features {
    int count;
    double metres;
    Feature of[FEATURES_MAX];
} Features;

static uint64_t key_of(uint16_t region, int kind, uint64_t what)
{
    return ((uint64_t)region << 48) | ((uint64_t)kind << 40) | (what & UINT64_C(0xffffffffff));
}

static void add(Features *f, uint64_t key, double x, double prior)
{
    f->of[f->count++] = (Feature){key, x, prior};
}

/* Cells of some `size_m` in rows of latitude; as many to a row as fit around the globe there. */
static uint64_t cell_of(double lat, double lng, double size_m)
{
    double degree = GEO_EARTH_RADIUS_M * M_PI / 180;
    int64_t row = (int64_t)floor((lat + 90) * degree / size_m);
    double middle = (row + 0.5) * size_m / degree - 90;
    int64_t columns = (int64_t)floor(360 * degree * cos(GEO_RADIANS(fmin(middle, 90))) / size_m), column;

    columns = columns < 1 ? 1 : columns;
    column = (int64_t)floor((lng + 180) / 360 * columns) % columns;
    return ((uint64_t)row << 18) | (uint64_t)column;
}

static void features_of(const EtaTrip *trip, Features *f)
{
    double d = geo_distance_m(trip->from_lat, trip->from_lng, trip->to_lat, trip->to_lng);
    double u = log2(fmin(fmax(d, 250), 64000) / 250);
    int band = (int)fmin(floor(u), 7);
    double share = u - band;

    f->count = 0;
    f->metres = d;
    add(f, key_of(trip->region, KIND_REGION, 0), 1, 1);
    add(f, key_of(trip->region, KIND_BAND, band), 1 - share, 0.09);
    add(f, key_of(trip->region, KIND_BAND, band + 1), share, 0.09);
    add(f, key_of(trip->region, KIND_HOUR, trip->hour_of_week), 1, 0.04);
    add(f, key_of(trip->region, KIND_FROM, cell_of(trip->from_lat, trip->from_lng, 2000)), 1, 0.02);
    add(f, key_of(trip->region, KIND_TO, cell_of(trip->to_lat, trip->to_lng, 2000)), 1, 0.02);
}

/* Logarithm of seconds per metre is what the effects add up to; trips under 100 m count as 100 m. */
static double log_metres(const Features *f)
{
    return log(fmax(f->metres, 100));
}

static double weight_of(const EtaTable *table, const EtaEffect *effect, int32_t day)
{
    return effect == NULL ? 0 : eta_table_weight(table, effect, day);
}

/* Variance of an effect: the prior's, less what its observations told. */
static double variance_of(double prior, double weight)
{
    return 1 / (1 / prior + weight / (NOISE * NOISE));
}

static bool trip_on_globe(const EtaTrip *trip)
{
    return geo_valid(trip->from_lat, trip->from_lng) && geo_valid(trip->to_lat, trip->to_lng);
}

static bool trip_in_week(const EtaTrip *trip)
{
    return trip->hour_of_week >= 0 && trip->hour_of_week < 168 && trip->minute >= 0 && trip->minute < 60;
}

bool eta_model_predict(const EtaTable *table, const EtaTrip *trip, const EtaRegion *base, EtaPrediction *out)
{
    EtaTrip t = *trip;
    Features f;
    double sum = 0, support[ETA_CELL + 1] = {0}, learnt, spread = NOISE;
    const EtaEffect *road;

    memset(out, 0, sizeof(*out));
    if (!trip_on_globe(trip) || !(base->distance_factor > 0 && base->distance_factor < 1e3) ||
        !(base->speed_kmh > 0 && base->speed_kmh < 1e4))
        return false;
    if (!trip_in_week(trip)) {
        t.hour_of_week = ((t.hour_of_week % 168) + 168) % 168;
        t.minute = 0;
    }
    features_of(&t, &f);
    out->road_m = f.metres * base->distance_factor;
    out->duration_s = out->road_m * 3.6 / base->speed_kmh;
    road = eta_table_find(table, key_of(t.region, KIND_ROAD, 0));
    if (weight_of(table, road, t.day) >= ETA_MIN_SUPPORT) {
        double w = weight_of(table, road, t.day);

        out->road_m =
            f.metres * exp((w * road->mean + BASE_TRIPS * log(base->distance_factor)) / (w + BASE_TRIPS));
    }
    for (int k = 0; k < f.count; k++) {
        const EtaEffect *effect = eta_table_find(table, f.of[k].key);
        double w = weight_of(table, effect, t.day);

        if (effect == NULL)
            continue;
        sum += f.of[k].x * effect->mean * (k == 0 ? 1 : effect->weight > 0 ? w / effect->weight : 0);
        switch ((f.of[k].key >> 40) & 0xff) {
        case KIND_REGION:
            support[ETA_REGION] = w;
            spread = effect->spread > 0 ? effect->spread : NOISE;
            break;
        case KIND_HOUR:
            support[ETA_HOUR] = w;
            break;
        case KIND_FROM:
        case KIND_TO:
            support[ETA_CELL] = fmax(support[ETA_CELL], w);
            break;
        }
    }
    out->level = ETA_DEFAULT;
    if (support[ETA_REGION] >= ETA_MIN_SUPPORT) {
        double w = support[ETA_REGION];
        double configured = log(base->distance_factor * 3.6 / base->speed_kmh);

        learnt = (w * sum + BASE_TRIPS * configured) / (w + BASE_TRIPS);
        out->duration_s = exp(learnt + log_metres(&f));
        for (int level = ETA_CELL; level > ETA_DEFAULT && out->level == ETA_DEFAULT; level--)
            if (support[level] >= ETA_MIN_SUPPORT)
                out->level = level;
        out->support = support[out->level];
    }
    out->low_s = out->duration_s * exp(-Z80 * spread);
    out->high_s = out->duration_s * exp(Z80 * spread);
    return true;
}

/* Brings an effect to a day: old observations count less, and what they said shrinks towards nothing. */
static void age(const EtaTable *table, EtaEffect *effect, int32_t day, bool shrink)
{
    double left = eta_table_weight(table, effect, day);

    if (day > effect->day) {
        if (shrink && effect->weight > 0)
            effect->mean *= (float)(left / effect->weight);
        effect->weight = (float)left;
        effect->day = day;
    }
}

static EtaEffect *touch(EtaTable *table, uint64_t key, int32_t day, EtaChanges *changes)
{
    uint64_t evicted;
    EtaEffect *effect = eta_table_put(table, key, day, &evicted);

    changes->changed[changes->changed_count++] = key;
    if (evicted != 0)
        changes->evicted[changes->evicted_count++] = evicted;
    age(table, effect, day, ((key >> 40) & 0xff) != KIND_REGION && ((key >> 40) & 0xff) != KIND_ROAD);
    return effect;
}

static void learn_road(EtaTable *table, const EtaTrip *trip, double metres, double road_m,
                       EtaChanges *changes)
{
    EtaEffect *effect;

    if (!(metres >= 300 && road_m >= metres * 0.9 && road_m <= metres * 5))
        return;
    effect = touch(table, key_of(trip->region, KIND_ROAD, 0), trip->day, changes);
    effect->weight++;
    effect->mean += (float)((log(road_m / metres) - effect->mean) / effect->weight);
}

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

EtaLearnt eta_model_learn(EtaTable *table, const EtaTrip *trip, double duration_s, double road_m,
                          EtaChanges *changes)
{
    EtaChanges ignored;
    EtaLearnt verdict = learnable(trip, duration_s);
    EtaEffect *effect[FEATURES_MAX] = {NULL}, *region;
    double variance[FEATURES_MAX], total = NOISE * NOISE, error;
    Features f;

    if (changes == NULL)
        changes = &ignored;
    changes->changed_count = changes->evicted_count = 0;
    if (verdict != ETA_LEARNT)
        return verdict;
    features_of(trip, &f);
    error = log(duration_s) - log_metres(&f);
    /* All are made first: making one may evict another, whose pointer would then be another's. */
    for (int k = 0; k < f.count; k++)
        touch(table, f.of[k].key, trip->day, changes);
    for (int k = 0; k < f.count; k++) {
        effect[k] = eta_table_find(table, f.of[k].key);
        if (effect[k] == NULL)
            continue;
        variance[k] = variance_of(f.of[k].prior, effect[k]->weight);
        total += f.of[k].x * f.of[k].x * variance[k];
        error -= f.of[k].x * effect[k]->mean;
    }
    region = effect[0];
    if (region != NULL && region->weight >= ETA_MIN_SUPPORT)
        error = fmin(fmax(error, -CLIP * region->spread), CLIP * region->spread);
    for (int k = 0; k < f.count; k++)
        if (effect[k] != NULL) {
            effect[k]->mean += (float)(variance[k] * f.of[k].x / total * error);
            effect[k]->weight += (float)(f.of[k].x);
        }
    if (region != NULL) {
        double share = 1 / fmin(region->weight + 10, 1000);

        if (region->spread == 0)
            region->spread = NOISE;
        region->spread = (float)sqrt(region->spread * region->spread * (1 - share) + error * error * share);
    }
    learn_road(table, trip, f.metres, road_m, changes);
    return ETA_LEARNT;
}

const char *eta_level_name(EtaLevel level)
{
    static const char *const names[] = {"default", "region", "hour", "learnt"};

    return level >= ETA_DEFAULT && level <= ETA_CELL ? names[level] : "default";
}
