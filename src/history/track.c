/* Recorded tracks: cleaned, smoothed, simplified, measured; see track.h. */
#include "history/track.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "geo/geo.h"

#define NOMINAL_SIGMA_M    5.0   /* error per axis of points that report no accuracy */
#define ACCURACY_OF_SIGMA  1.515 /* radius that holds 68 % of a round Gaussian, in its sigmas */
#define MEDIAN_CHI2        1.386 /* squared radius that holds half of it */
#define MIN_SIGMA_M        1.0
#define MAX_SIGMA_M        100.0
#define MIN_SAMPLE         20   /* fewer distances do not tell the error */
#define DENSE_S            20.0 /* three points within so long: what bends is error, not driving */
#define JUMP_M             100.0
#define JUMP_COST          10 /* points that are dropped rather than believe in a jump */
#define LOOK_BACK          32 /* of so many points one must lead to the next */
#define SPIKE_SIGMAS       5.0
#define MAX_ACCELERATION   4.0  /* m/s2 */
#define FAST_MPS           25.0 /* nobody turns back at such a speed */
#define ACCELERATION_NOISE 1.5  /* spectral density, m2/s3 */
#define SPEED_VARIANCE     400.0
#define STAY_RADIUS_M      25.0 /* and twice the error */
#define MAX_STAY_RADIUS_M  60.0
#define STAY_S             30.0
#define STAY_LAPSE_S       20.0
#define TOLERANCE_SIGMAS   1.5
#define MIN_TOLERANCE_M    3.0
#define CHUNK              4096 /* points simplified at a time: bounds the worst case, which is quadratic */

typedef struct Vector {
    double x, y, z; /* metres, from the centre of the earth */
} Vector;

typedef struct Fix {
    Vector at;
    double time;
    double sigma; /* error per axis, metres; after smoothing: what is left of it */
} Fix;

/* Position and velocity; their variances are the same on every axis. */
typedef struct State {
    Vector at, velocity;
    double pp, pv, vv;
} State;

typedef struct Room {
    Fix *fixes;
    State *states;
    double *values; /* also pairs of int32 */
    unsigned char *keep;
} Room;

size_t track_room_bytes(int count)
{
    return (size_t)count * (sizeof(Fix) + sizeof(State) + sizeof(double) + 1) + sizeof(double);
}

static Room room_divide(void *memory, int count)
{
    Room room;

    room.fixes = memory;
    room.states = (State *)(room.fixes + count);
    room.values = (double *)(room.states + count);
    room.keep = (unsigned char *)(room.values + count);
    return room;
}

static Vector minus(Vector a, Vector b)
{
    return (Vector){a.x - b.x, a.y - b.y, a.z - b.z};
}

/* a + f b */
static Vector plus(Vector a, double f, Vector b)
{
    return (Vector){a.x + f * b.x, a.y + f * b.y, a.z + f * b.z};
}

static double dot(Vector a, Vector b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static double distance(Vector a, Vector b)
{
    Vector d = minus(a, b);

    return sqrt(dot(d, d));
}

static Vector vector_of(double lat, double lng)
{
    GeoVector v = geo_vector(lat, lng);

    return (Vector){v.x * GEO_EARTH_RADIUS_M, v.y * GEO_EARTH_RADIUS_M, v.z * GEO_EARTH_RADIUS_M};
}

static void place_of(Vector v, double *lat, double *lng)
{
    *lat = atan2(v.z, hypot(v.x, v.y)) * 180.0 / M_PI;
    *lng = atan2(v.y, v.x) * 180.0 / M_PI;
}

/* Cleaning */

static bool usable(const TrackPoint *point, const Fix *before)
{
    return geo_valid(point->lat, point->lng) && isfinite(point->time) &&
           !(point->accuracy > TRACK_MAX_ACCURACY_M) && (before == NULL || point->time > before->time);
}

static int load_fixes(const TrackPoint *points, int count, Fix *fixes)
{
    int kept = 0;

    for (int i = 0; i < count; i++) {
        double accuracy = points[i].accuracy;

        if (!usable(&points[i], kept > 0 ? &fixes[kept - 1] : NULL))
            continue;
        fixes[kept++] = (Fix){vector_of(points[i].lat, points[i].lng), points[i].time,
                              accuracy > 0 ? accuracy / ACCURACY_OF_SIGMA : NOMINAL_SIGMA_M};
    }
    return kept;
}

static bool plausible(const Fix *a, const Fix *b)
{
    return distance(a->at, b->at) <= TRACK_MAX_SPEED_MPS * (b->time - a->time) + JUMP_M;
}

/* The best chain that ends in a point: its points less the cost of its jumps, and the point before. */
typedef struct Link {
    int32_t score, before;
} Link;

static Link best_link(const Fix *fixes, const Link *links, int i, int best)
{
    Link link = {1, -1};

    if (best >= 0)
        link = (Link){links[best].score + 1 - JUMP_COST, best};
    if (link.score < 1)
        link = (Link){1, -1};
    for (int j = i - 1; j >= 0 && j >= i - LOOK_BACK; j--) {
        if (links[j].score + 1 > link.score && plausible(&fixes[j], &fixes[i]))
            link = (Link){links[j].score + 1, j};
    }
    return link;
}

static int drop_jumps(Fix *fixes, int count, Room *room)
{
    Link *links = (Link *)room->values;
    int best = -1, kept = 0;

    if (count < 2)
        return count;
    _Static_assert(sizeof(Link) == sizeof(double), "links share the room of values");
    for (int i = 0; i < count; i++) {
        links[i] = best_link(fixes, links, i, best);
        if (best < 0 || links[i].score > links[best].score)
            best = i;
    }
    memset(room->keep, 0, (size_t)count);
    for (int i = best; i >= 0; i = links[i].before)
        room->keep[i] = 1;
    for (int i = 0; i < count; i++) {
        if (room->keep[i])
            fixes[kept++] = fixes[i];
    }
    return kept;
}

/* Distance of b from where a steady drive from a to c would have been at its time. */
static double bend(const Fix *a, const Fix *b, const Fix *c, double *weight)
{
    double f = (b->time - a->time) / (c->time - a->time);

    *weight = f;
    return distance(b->at, plus(a->at, f, minus(c->at, a->at)));
}

/* Standard deviation per axis of that distance when all of it is error. */
static double bend_sigma(const Fix *a, const Fix *b, const Fix *c, double f)
{
    return sqrt(b->sigma * b->sigma + (1 - f) * (1 - f) * a->sigma * a->sigma + f * f * c->sigma * c->sigma);
}

/* Three fixes' bend: squared, and what error and driving make expect of its variance. */
typedef struct Bend {
    double squared, error, driving;
} Bend;

/* A receiver that repeats itself while it stands tells nothing: no bend. */
static bool measure_bend(const Fix *a, const Fix *b, const Fix *c, Bend *result)
{
    double before = b->time - a->time, after = c->time - b->time, f;
    double off = bend(a, b, c, &f), sigma = bend_sigma(a, b, c, f);

    result->squared = off * off;
    result->error = sigma * sigma;
    result->driving = ACCELERATION_NOISE * before * before * after * after / (3 * (before + after));
    return before + after <= DENSE_S && off > 1e-6;
}

/* Do the bends exceed, more often than not, what errors of so many times the sigmas would cause? */
static bool bends_exceed(const Fix *fixes, int count, double scale, int *sample)
{
    int over = 0;
    Bend b;

    *sample = 0;
    for (int i = 1; i < count - 1; i++) {
        if (!measure_bend(&fixes[i - 1], &fixes[i], &fixes[i + 1], &b))
            continue;
        *sample += 1;
        over += b.squared > MEDIAN_CHI2 * (scale * scale * b.error + b.driving);
    }
    return over * 2 > *sample;
}

/* Makes sigmas what the track shows them to be. */
static void scale_sigmas(Fix *fixes, int count)
{
    double low = 0, high = 32, scale;
    int sample;

    (void)bends_exceed(fixes, count, 1, &sample);
    for (int i = 0; i < 16; i++) {
        scale = (low + high) / 2;
        if (bends_exceed(fixes, count, scale, &sample))
            low = scale;
        else
            high = scale;
    }
    scale = sample >= MIN_SAMPLE ? low : 1;
    for (int i = 0; i < count; i++)
        fixes[i].sigma = fmin(fmax(fixes[i].sigma * scale, MIN_SIGMA_M), MAX_SIGMA_M);
}

static bool is_spike(const Fix *a, const Fix *b, const Fix *c, double *off)
{
    double before = b->time - a->time, after = c->time - b->time, f;
    double there = distance(a->at, b->at), back = distance(b->at, c->at);

    *off = bend(a, b, c, &f);
    if (!plausible(a, b) || !plausible(b, c))
        return false; /* a jump: cleaning decided to believe it */
    if (before + after <= DENSE_S)
        return *off > SPIKE_SIGMAS * bend_sigma(a, b, c, f) + MAX_ACCELERATION * before * after / 2;
    return there > FAST_MPS * before && back > FAST_MPS * after &&
           distance(a->at, c->at) < 0.5 * (there + back);
}

/* A spike bends the points beside it too, but itself most. */
static int drop_spikes(Fix *fixes, int count)
{
    int kept = 1;

    if (count < 3)
        return count;
    for (int i = 1; i < count - 1; i++) {
        double off, off_next = 0, f;

        if (i + 2 < count)
            off_next = bend(&fixes[i], &fixes[i + 1], &fixes[i + 2], &f);
        if (!is_spike(&fixes[kept - 1], &fixes[i], &fixes[i + 1], &off) || off < off_next)
            fixes[kept++] = fixes[i];
    }
    fixes[kept++] = fixes[count - 1];
    return kept;
}

/* Smoothing */

static State predict(const State *s, double dt)
{
    State next = *s;

    next.at = plus(s->at, dt, s->velocity);
    next.pp = s->pp + 2 * dt * s->pv + dt * dt * s->vv + ACCELERATION_NOISE * dt * dt * dt / 3;
    next.pv = s->pv + dt * s->vv + ACCELERATION_NOISE * dt * dt / 2;
    next.vv = s->vv + ACCELERATION_NOISE * dt;
    return next;
}

static void filter(const Fix *fixes, int count, State *states)
{
    states[0] = (State){fixes[0].at, {0, 0, 0}, fixes[0].sigma * fixes[0].sigma, 0, SPEED_VARIANCE};
    for (int i = 1; i < count; i++) {
        State s = predict(&states[i - 1], fixes[i].time - fixes[i - 1].time);
        double all = s.pp + fixes[i].sigma * fixes[i].sigma;
        double gain_p = s.pp / all, gain_v = s.pv / all;
        Vector off = minus(fixes[i].at, s.at);

        s.at = plus(s.at, gain_p, off);
        s.velocity = plus(s.velocity, gain_v, off);
        s.vv -= gain_v * s.pv;
        s.pv *= 1 - gain_p;
        s.pp *= 1 - gain_p;
        states[i] = s;
    }
}

/* Rauch-Tung-Striebel: what state `next`, smoothed, says about the filtered one before it, dt earlier. */
static State smooth_back(const State *s, const State *next, double dt)
{
    State p = predict(s, dt), result = *s;
    double det = p.pp * p.vv - p.pv * p.pv;
    double pp = s->pp + dt * s->pv, vp = s->pv + dt * s->vv; /* covariance of s with p */
    double gpp = (pp * p.vv - s->pv * p.pv) / det, gpv = (s->pv * p.pp - pp * p.pv) / det;
    double gvp = (vp * p.vv - s->vv * p.pv) / det, gvv = (s->vv * p.pp - vp * p.pv) / det;
    Vector at = minus(next->at, p.at), velocity = minus(next->velocity, p.velocity);
    double dpp = next->pp - p.pp, dpv = next->pv - p.pv, dvv = next->vv - p.vv;

    result.at = plus(plus(s->at, gpp, at), gpv, velocity);
    result.velocity = plus(plus(s->velocity, gvp, at), gvv, velocity);
    result.pp += gpp * (gpp * dpp + gpv * dpv) + gpv * (gpp * dpv + gpv * dvv);
    result.pv += gvp * (gpp * dpp + gpv * dpv) + gvv * (gpp * dpv + gpv * dvv);
    result.vv += gvp * (gvp * dpp + gvv * dpv) + gvv * (gvp * dpv + gvv * dvv);
    return result;
}

static void smooth_run(Fix *fixes, int count, State *states)
{
    State s;

    filter(fixes, count, states);
    s = states[count - 1];
    for (int i = count - 1; i >= 0; i--) {
        if (i < count - 1)
            s = smooth_back(&states[i], &s, fixes[i + 1].time - fixes[i].time);
        fixes[i].at = s.at;
        fixes[i].sigma = sqrt(fmax(s.pp, 0));
    }
}

static void smooth(Fix *fixes, int count, State *states)
{
    int first = 0;

    for (int i = 1; i <= count; i++) {
        if (i < count && fixes[i].time - fixes[i - 1].time <= TRACK_GAP_S &&
            plausible(&fixes[i - 1], &fixes[i]))
            continue;
        if (i - first > 1)
            smooth_run(fixes + first, i - first, states);
        first = i;
    }
}

static double mean_sigma(const Fix *fixes, int count)
{
    double sum = 0;

    for (int i = 0; i < count; i++)
        sum += fixes[i].sigma;
    return count > 0 ? sum / count : 0;
}

/* Points into fixes, cleaned and smoothed; and the error that they report, per axis. */
static int prepare(const TrackPoint *points, int count, Room *room, double *reported)
{
    int kept = load_fixes(points, count, room->fixes);

    kept = drop_jumps(room->fixes, kept, room);
    *reported = mean_sigma(room->fixes, kept);
    scale_sigmas(room->fixes, kept);
    kept = drop_spikes(room->fixes, kept);
    smooth(room->fixes, kept, room->states);
    return kept;
}

/* Stays */

/*
 * Index after the last fix of the run that starts at `first` and stays within radius of its running mean;
 * fixes outside do not end it when it is back inside after `lapse` seconds or less.
 */
static int stay_end(const Fix *fixes, int count, int first, double radius, double lapse, Vector *mean)
{
    int last = first, inside = 1;

    *mean = fixes[first].at;
    for (int i = first + 1; i < count; i++) {
        if (distance(fixes[i].at, *mean) <= radius) {
            *mean = plus(*mean, 1.0 / ++inside, minus(fixes[i].at, *mean));
            last = i;
        } else if (fixes[i].time - fixes[last].time > lapse) {
            break;
        }
    }
    return last + 1;
}

/* Where a stay stood: the mean of what lies near its mean, so that coming and going do not pull it. */
static Vector stay_place(const Fix *fixes, int first, int end, Vector mean, double radius)
{
    Vector place = mean;
    int near = 0;

    for (int i = first; i < end; i++) {
        if (distance(fixes[i].at, mean) <= radius / 2)
            place = plus(place, 1.0 / ++near, minus(fixes[i].at, place));
    }
    return place;
}

static int collapse_stays(Fix *fixes, int count, double radius)
{
    int kept = 0, end;

    for (int i = 0; i < count; i = end) {
        Vector mean;

        end = stay_end(fixes, count, i, radius, STAY_LAPSE_S, &mean);
        if (fixes[end - 1].time - fixes[i].time < STAY_S)
            end = i + 1;
        fixes[kept++] = fixes[i];
        if (end > i + 1) {
            Fix last = fixes[end - 1];
            Vector place = stay_place(fixes, i, end, mean, radius);

            if (end > i + 2)
                fixes[kept++] = (Fix){place, (fixes[i].time + last.time) / 2, fixes[i].sigma};
            fixes[kept++] = last;
        }
    }
    return kept;
}

/* Lets a stop go on with the next one, when that is the same place soon after. */
static bool join_stop(TrackStop *last, const TrackStop *next, double radius, double min_duration)
{
    int points = last->points + next->points;
    Vector a = vector_of(last->lat, last->lng), b = vector_of(next->lat, next->lng);

    if (distance(a, b) > radius || next->started_at - last->ended_at > min_duration)
        return false;
    place_of(plus(a, (double)next->points / points, minus(b, a)), &last->lat, &last->lng);
    last->ended_at = next->ended_at;
    last->points = points;
    return true;
}

int track_stops(const TrackPoint *points, int count, double radius_m, double min_duration_s, TrackStop *stops,
                void *memory)
{
    Fix *fixes = room_divide(memory, count).fixes;
    int found = 0, end;

    count = load_fixes(points, count, fixes);
    for (int i = 0; i < count; i = end) {
        Vector mean;
        TrackStop stop;

        end = stay_end(fixes, count, i, radius_m, 0, &mean);
        stop = (TrackStop){0, 0, fixes[i].time, fixes[end - 1].time, end - i};
        if (end - i < 2 || stop.ended_at - stop.started_at < min_duration_s) {
            end = end < count ? i + 1 : count; /* what begins later and has not ended lasted no longer */
            continue;
        }
        place_of(mean, &stop.lat, &stop.lng);
        if (found == 0 || !join_stop(&stops[found - 1], &stop, radius_m, min_duration_s))
            stops[found++] = stop;
    }
    return found;
}

/* Simplifying */

typedef struct Span {
    int32_t from, to;
} Span;

/* Distance of fix i from the straight way between two others: from its nearest place, or, `timed`, from the
 * place reached at the time of the fix. */
static double distance_from_way(const Fix *fixes, Span span, int i, bool timed)
{
    const Fix *a = &fixes[span.from], *b = &fixes[span.to];
    Vector way = minus(b->at, a->at), off = minus(fixes[i].at, a->at);
    double squared = dot(way, way), f;

    if (timed)
        f = (fixes[i].time - a->time) / (b->time - a->time);
    else
        f = squared > 0 ? fmin(fmax(dot(off, way) / squared, 0), 1) : 0;
    return distance(off, plus((Vector){0, 0, 0}, f, way));
}

static int farthest(const Fix *fixes, Span span, bool timed, double *most)
{
    int at = -1;

    *most = -1;
    for (int i = span.from + 1; i < span.to; i++) {
        double off = distance_from_way(fixes, span, i, timed);

        if (off > *most) {
            *most = off;
            at = i;
        }
    }
    return at;
}

/* Marks in room->keep the fixes of a span that stay; its ends are marked. The stack never holds more spans
 * than the span has points. */
static void simplify_span(Room *room, Span whole, double tolerance, bool timed)
{
    Span *stack = (Span *)room->values;
    int depth = 0;

    _Static_assert(sizeof(Span) == sizeof(double), "the stack shares the room of values");
    stack[depth++] = whole;
    while (depth > 0) {
        Span span = stack[--depth];
        double most;
        int middle = farthest(room->fixes, span, timed, &most);

        if (middle < 0 || most <= tolerance)
            continue;
        room->keep[middle] = 1;
        stack[depth++] = (Span){span.from, middle};
        stack[depth++] = (Span){middle, span.to};
    }
}

static int simplify(Room *room, int count, double tolerance, bool timed)
{
    int kept = 0;

    memset(room->keep, 0, (size_t)count);
    for (int from = 0; from < count; from += CHUNK) {
        int to = from + CHUNK < count ? from + CHUNK : count - 1;

        room->keep[from] = room->keep[to] = 1;
        simplify_span(room, (Span){from, to}, tolerance, timed);
    }
    for (int i = 0; i < count; i++) {
        if (room->keep[i])
            room->fixes[kept++] = room->fixes[i];
    }
    return kept;
}

int track_simplify(TrackPoint *points, int count, double tolerance_m, void *memory)
{
    Room room = room_divide(memory, count);
    double reported;
    int kept = prepare(points, count, &room, &reported);

    if (kept > 1)
        kept = simplify(&room, kept, tolerance_m, true);
    for (int i = 0; i < kept; i++) {
        points[i].time = room.fixes[i].time;
        points[i].accuracy = NAN;
        place_of(room.fixes[i].at, &points[i].lat, &points[i].lng);
    }
    return kept;
}

/* Length of fixes without a jump among them; changes them. */
static double run_length_m(Room room, int first, int count, double radius, double tolerance)
{
    double length = 0;

    room.fixes += first;
    count = collapse_stays(room.fixes, count, radius);
    count = simplify(&room, count, tolerance, false);
    for (int i = 1; i < count; i++) {
        double chord = distance(room.fixes[i - 1].at, room.fixes[i].at) / GEO_EARTH_RADIUS_M;

        length += geo_chord2_to_m(chord * chord);
    }
    return length;
}

double track_length_m(const TrackPoint *points, int count, void *memory)
{
    Room room = room_divide(memory, count);
    double reported, length = 0;
    int kept = prepare(points, count, &room, &reported), first = 0;
    double error = mean_sigma(room.fixes, kept);
    /* drift hides from the filter, but phones know of it */
    double radius = fmin(STAY_RADIUS_M + fmax(2 * error, reported), MAX_STAY_RADIUS_M);
    double tolerance = fmax(MIN_TOLERANCE_M, TOLERANCE_SIGMAS * error);

    for (int i = 1; i <= kept; i++) {
        if (i < kept && plausible(&room.fixes[i - 1], &room.fixes[i]))
            continue;
        length += run_length_m(room, first, i - first, radius, tolerance);
        first = i;
    }
    return length;
}

void track_place_between(double lat1, double lng1, double lat2, double lng2, double fraction, double *lat,
                         double *lng)
{
    Vector a = vector_of(lat1, lng1), b = vector_of(lat2, lng2);

    place_of(plus(a, fraction, minus(b, a)), lat, lng);
}
