/* The ETA model, on made-up cities whose truth is known. HAIL_SEED chooses other ones. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "geo/geo.h"
#include "pricing/eta_model.h"

#define SLOTS 32768

static const EtaRegion base = {1.3, 24};
static uint64_t seed, state;

static EtaTable *new_table(uint32_t slots, double half_life)
{
    return eta_table_init(aligned_alloc(64, (eta_table_bytes(slots) + 63) / 64 * 64), slots, half_life);
}

/* 0 <= x < 1 (xorshift64*). */
static double uniform(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (double)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 11) / 9007199254740992.0;
}

static double normal(void)
{
    return sqrt(-2 * log(1 - uniform())) * cos(2 * M_PI * uniform());
}

/* A city of 16 km * 16 km whose traffic depends on hour, direction and place. */
typedef struct City {
    double lat, lng; /* of its middle */
    double pace;     /* seconds per metre when nothing else slows */
    double noise;    /* spread of the logarithm */
    bool plain;      /* nothing else slows */
} City;

static const City usual = {48.2, 16.4, 0.12, 0.25, false};

static double wrapped(double lng)
{
    return lng > 180 ? lng - 360 : lng < -180 ? lng + 360 : lng;
}

static EtaTrip random_trip(const City *city, int32_t day)
{
    double degree = 111195.0, narrow = degree * cos(GEO_RADIANS(city->lat));
    int hour = (int)(uniform() * 24);
    EtaTrip trip = {.region = 1, .day = day, .minute = (int)(uniform() * 60)};

    trip.from_lat = city->lat + (uniform() - 0.5) * 16000 / degree;
    trip.to_lat = city->lat + (uniform() - 0.5) * 16000 / degree;
    trip.from_lng = wrapped(city->lng + (uniform() - 0.5) * 16000 / narrow);
    trip.to_lng = wrapped(city->lng + (uniform() - 0.5) * 16000 / narrow);
    trip.hour_of_week = ((day % 7 + 7) % 7) * 24 + hour;
    return trip;
}

static double metres_of(const EtaTrip *trip)
{
    return geo_distance_m(trip->from_lat, trip->from_lng, trip->to_lat, trip->to_lng);
}

/* Seconds that such a trip takes in the median. */
static double truth(const City *city, const EtaTrip *trip)
{
    double seconds = 90 + metres_of(trip) * city->pace, slow = 0;
    double hour = trip->hour_of_week % 24 + trip->minute / 60.0;

    if (city->plain)
        return seconds;
    slow += trip->hour_of_week < 120 ? 0.35 * exp(-pow((hour - 17.5) / 3, 2)) : 0;
    slow += fabs(trip->to_lat - trip->from_lat) > fabs(wrapped(trip->to_lng - trip->from_lng)) ? 0.15 : 0;
    slow += trip->from_lat > city->lat ? 0.2 : 0;
    slow += wrapped(trip->to_lng - city->lng) > 0 ? -0.15 : 0;
    return seconds * exp(slow);
}

static double taken(const City *city, const EtaTrip *trip)
{
    return truth(city, trip) * exp(city->noise * normal());
}

static void teach(EtaTable *table, const City *city, int32_t from_day, int days, int trips_a_day)
{
    for (int n = 0; n < days * trips_a_day; n++) {
        EtaTrip trip = random_trip(city, from_day + n / trips_a_day);

        eta_model_learn(table, &trip, taken(city, &trip), 0, NULL);
    }
}

/* Root mean square of log(predicted / median truth) over new trips. */
static double error_of(const EtaTable *table, const City *city, int32_t day)
{
    double squares = 0;
    EtaPrediction p;

    for (int n = 0; n < 3000; n++) {
        EtaTrip trip = random_trip(city, day + n % 7);

        if (!eta_model_predict(table, &trip, &base, &p))
            return INFINITY;
        squares += pow(log(p.duration_s / truth(city, &trip)), 2);
    }
    return sqrt(squares / 3000);
}

/* Exactly what the region's figures say. */
static bool is_base(const EtaTrip *trip, const EtaPrediction *p)
{
    double road = metres_of(trip) * base.distance_factor;

    return p->road_m == road && p->duration_s == road * 3.6 / base.speed_kmh && p->level == ETA_DEFAULT &&
           p->support == 0 && p->low_s < p->duration_s && p->high_s > p->duration_s;
}

static void without_trips_the_regions_figures_answer(void)
{
    EtaTable *table = new_table(SLOTS, 90);
    EtaPrediction p;

    for (int n = 0; n < 100; n++) {
        EtaTrip trip = random_trip(&usual, n);

        CHECK(eta_model_predict(table, &trip, &base, &p) && is_base(&trip, &p));
    }
    CHECK_INT(eta_table_used(table), 0);
    free(table);
}

static void a_few_trips_do_not_speak(void)
{
    EtaTable *table = new_table(SLOTS, 90);
    EtaTrip trip = random_trip(&usual, 3), other = trip;
    EtaPrediction p;

    other.region = 2;
    for (int n = 1; n <= 8; n++) {
        CHECK_INT(eta_model_learn(table, &trip, 1234, 0, NULL), ETA_LEARNT);
        CHECK(eta_model_predict(table, &trip, &base, &p));
        CHECK(is_base(&trip, &p) == (n < ETA_MIN_SUPPORT));
        if (n == ETA_MIN_SUPPORT) { /* and then not as if they were all there is */
            double said = log(1234 / (metres_of(&trip) * 1.3 * 3.6 / 24));

            CHECK(log(p.duration_s / 1234) / -said > 0.2 && log(p.duration_s / 1234) / -said < 0.8);
        }
        CHECK(eta_model_predict(table, &other, &base, &p) && is_base(&other, &p));
    }
    free(table);
}

static void each_level_falls_back_to_the_next(void)
{
    EtaTable *table = new_table(SLOTS, 90);
    EtaTrip here = random_trip(&usual, 2), trip;
    EtaPrediction p;

    here.hour_of_week = 40;
    here.minute = 30;
    for (int n = 0; n < 30; n++)
        eta_model_learn(table, &here, 3000, 0, NULL);
    CHECK(eta_model_predict(table, &here, &base, &p) && p.level == ETA_CELL && p.support > 29);
    CHECK(fabs(p.duration_s / 3000 - 1) < 0.25);
    trip = here;
    trip.from_lat -= 1; /* another town, same hour */
    trip.to_lat -= 1;
    CHECK(eta_model_predict(table, &trip, &base, &p) && p.level == ETA_HOUR);
    trip.hour_of_week = 100;
    CHECK(eta_model_predict(table, &trip, &base, &p) && p.level == ETA_REGION && p.support > 29);
    trip.region = 9;
    CHECK(eta_model_predict(table, &trip, &base, &p) && is_base(&trip, &p));
    free(table);
}

static void it_learns_hours_places_and_directions(void)
{
    EtaTable *table = new_table(SLOTS, 90);
    double before;

    teach(table, &usual, 0, 7, 20);
    before = error_of(table, &usual, 7);
    teach(table, &usual, 7, 56, 300);
    CHECK(before < 0.25);
    CHECK(error_of(table, &usual, 63) < 0.085); /* a third of the noise of one trip */
    free(table);
}

static void eighty_percent_lie_in_the_interval(void)
{
    EtaTable *table = new_table(SLOTS, 90);
    int in[3] = {0}, all[3] = {0}, below = 0, total = 0;
    EtaPrediction p;

    teach(table, &usual, 0, 28, 400);
    for (int n = 0; n < 8000; n++) {
        EtaTrip trip = random_trip(&usual, 28 + n % 7);
        double metres = metres_of(&trip), seconds = taken(&usual, &trip);
        int size = metres < 3000 ? 0 : metres < 7000 ? 1 : 2;

        eta_model_predict(table, &trip, &base, &p);
        CHECK(p.low_s >= 0 && p.low_s <= p.duration_s && p.duration_s <= p.high_s);
        all[size]++;
        total++;
        in[size] += seconds >= p.low_s && seconds <= p.high_s;
        below += seconds < p.low_s;
    }
    for (int size = 0; size < 3; size++)
        CHECK(in[size] > 0.74 * all[size] && in[size] < 0.86 * all[size]);
    CHECK(below > 0.06 * total && below < 0.14 * total);
    free(table);
}

static void what_is_old_is_forgotten(void)
{
    EtaTable *table = new_table(SLOTS, 20);
    City slow = usual;
    EtaTrip trip;
    EtaPrediction p;

    slow.pace *= 2;
    teach(table, &usual, 0, 30, 200);
    teach(table, &slow, 30, 30, 200);
    CHECK(error_of(table, &slow, 60) < 0.12);
    trip = random_trip(&usual, 60 + 20 * 20);
    CHECK(eta_model_predict(table, &trip, &base, &p) && is_base(&trip, &p));
    free(table);
}

/* A place that was slow, and that nobody has gone to since, while the rest of the region goes on. */
static void a_place_not_seen_again_becomes_as_any(void)
{
    EtaTable *table = new_table(SLOTS, 20);
    EtaTrip slow = random_trip(&usual, 20), unknown;
    EtaPrediction p, q;

    slow.from_lat += 1;
    slow.to_lat += 1;
    unknown = slow;
    unknown.from_lat += 1;
    unknown.to_lat += 1;
    teach(table, &usual, 0, 20, 100);
    for (int n = 0; n < 100; n++)
        eta_model_learn(table, &slow, 3 * taken(&usual, &slow), 0, NULL);
    eta_model_predict(table, &slow, &base, &p);
    eta_model_predict(table, &unknown, &base, &q);
    CHECK(p.duration_s > 1.5 * q.duration_s && p.level == ETA_CELL && q.level != ETA_CELL);
    teach(table, &usual, 21, 200, 100);
    slow.day = unknown.day = 221;
    eta_model_predict(table, &slow, &base, &p);
    eta_model_predict(table, &unknown, &base, &q);
    CHECK(fabs(log(p.duration_s / q.duration_s)) < 0.08 && p.level != ETA_CELL);
    free(table);
}

/* Where nobody has been, streets still run as in the rest of the region. */
static void directions_hold_for_new_places(void)
{
    EtaTable *table = new_table(SLOTS, 90);
    EtaTrip north = {.region = 1, .hour_of_week = 33, .day = 42, .from_lat = 50, .from_lng = 16.4}, east;
    EtaPrediction p, q;

    north.to_lat = 50 + 5000 / 111195.0;
    north.to_lng = 16.4;
    east = north;
    east.to_lat = 50;
    east.to_lng = 16.4 + 5000 / (111195.0 * cos(GEO_RADIANS(50)));
    teach(table, &usual, 0, 42, 300);
    eta_model_predict(table, &north, &base, &p);
    eta_model_predict(table, &east, &base, &q);
    CHECK(log(p.duration_s / q.duration_s) > 0.05 && log(p.duration_s / q.duration_s) < 0.3);
    free(table);
}

/* Every prediction comes back to the configured figures as support fades, without a jump on the way. */
static void forgetting_is_gradual(void)
{
    EtaTable *table = new_table(SLOTS, 30);
    EtaTrip trip;
    EtaPrediction p, q;
    int changes = 0;

    teach(table, &usual, 0, 30, 100);
    trip = random_trip(&usual, 30);
    eta_model_predict(table, &trip, &base, &p);
    for (trip.day = 31; trip.day < 400; trip.day++) {
        eta_model_predict(table, &trip, &base, &q);
        CHECK(fabs(log(q.duration_s / p.duration_s)) < (q.level == ETA_DEFAULT ? 1.5 : 0.05));
        changes += q.level != p.level;
        CHECK(q.level <= p.level);
        p = q;
    }
    CHECK(changes > 0 && p.level == ETA_DEFAULT);
    free(table);
}

static void a_small_table_holds_what_matters(void)
{
    EtaTable *table = new_table(512, 90);
    EtaTable *large = new_table(SLOTS, 90);
    uint64_t was = state;

    teach(table, &usual, 0, 42, 300);
    state = was;
    teach(large, &usual, 0, 42, 300);
    CHECK(eta_table_used(table) <= 512 && eta_table_evictions(table) > 10000);
    CHECK(eta_table_used(large) > 5000);
    CHECK(error_of(table, &usual, 42) < 0.2);
    CHECK(error_of(large, &usual, 42) < 0.1);
    free(table);
    free(large);
}

/* A small region beside a big one in a table that is much too small for both. */
static void a_big_region_does_not_drive_out_a_small_one(void)
{
    EtaTable *table = new_table(1024, 90);
    City town = {10, 10, 0.06, 0.2, true};
    EtaPrediction p;
    int speaks = 0;

    for (int n = 0; n < 20000; n++) {
        EtaTrip trip = random_trip(&usual, n / 500);

        eta_model_learn(table, &trip, taken(&usual, &trip), 0, NULL);
        if (n % 400 == 0) {
            trip = random_trip(&town, n / 500);
            trip.region = 2;
            eta_model_learn(table, &trip, taken(&town, &trip), 0, NULL);
        }
    }
    for (int n = 0; n < 200; n++) {
        EtaTrip trip = random_trip(&town, 40);

        trip.region = 2;
        eta_model_predict(table, &trip, &base, &p);
        speaks += p.level >= ETA_REGION && fabs(log(p.duration_s / truth(&town, &trip))) < 0.4;
    }
    CHECK(speaks > 180);
    free(table);
}

static void wild_durations_hardly_matter(void)
{
    EtaTable *table = new_table(SLOTS, 90);

    for (int n = 0; n < 42 * 300; n++) {
        EtaTrip trip = random_trip(&usual, n / 300);
        double seconds = taken(&usual, &trip);

        if (n % 20 == 0) /* a meter left on, a ride broken off, a clock that was wrong */
            seconds = n % 60 == 0 ? 14000 : n % 60 == 20 ? 40 : seconds * 8;
        eta_model_learn(table, &trip, seconds, 0, NULL);
    }
    CHECK(error_of(table, &usual, 42) < 0.095);
    free(table);
}

static void what_is_no_trip_teaches_nothing(void)
{
    EtaTable *table = new_table(SLOTS, 90), *before = new_table(SLOTS, 90);
    const double durations[] = {NAN, INFINITY, -INFINITY, -5, 0, 29, 14401, 1e300};
    const double lats[] = {NAN, INFINITY, 90.1, -91};
    EtaTrip trip = random_trip(&usual, 1), odd;
    EtaChanges changes;

    teach(table, &usual, 0, 3, 100);
    memcpy(before, table, eta_table_bytes(SLOTS));
    for (unsigned k = 0; k < sizeof(durations) / sizeof(durations[0]); k++) {
        changes.changed_count = 99;
        CHECK_INT(eta_model_learn(table, &trip, durations[k], 0, &changes), ETA_BAD_DURATION);
        CHECK_INT(changes.changed_count, 0);
    }
    for (int k = 0; k < 4; k++) {
        odd = trip;
        odd.to_lat = lats[k];
        CHECK_INT(eta_model_learn(table, &odd, 600, 0, &changes), ETA_BAD_PLACE);
        odd = trip;
        odd.from_lng = lats[k] * 3;
        CHECK_INT(eta_model_learn(table, &odd, 600, 0, NULL), ETA_BAD_PLACE);
    }
    odd = trip;
    odd.hour_of_week = 168;
    CHECK_INT(eta_model_learn(table, &odd, 600, 0, NULL), ETA_BAD_TIME);
    odd.hour_of_week = 3;
    odd.minute = -1;
    CHECK_INT(eta_model_learn(table, &odd, 600, 0, NULL), ETA_BAD_TIME);
    odd = trip;
    odd.to_lat = odd.from_lat + 1; /* 111 km in ten minutes */
    CHECK_INT(eta_model_learn(table, &odd, 600, 0, NULL), ETA_BAD_DURATION);
    CHECK(memcmp(table, before, eta_table_bytes(SLOTS)) == 0);
    free(table);
    free(before);
}

static void bad_questions_get_no_answer(void)
{
    const double bad[] = {NAN, INFINITY, -INFINITY, 0, -1, 1e9};
    EtaTable *table = new_table(SLOTS, 90);
    EtaPrediction p, q, zero = {0};
    EtaTrip trip = random_trip(&usual, 1), odd = trip;

    for (int k = 0; k < 6; k++) {
        EtaRegion factor = {bad[k], 24}, speed = {1.3, bad[k]};

        CHECK(!eta_model_predict(table, &trip, &factor, &p) && memcmp(&p, &zero, sizeof(p)) == 0);
        CHECK(!eta_model_predict(table, &trip, &speed, &p) && memcmp(&p, &zero, sizeof(p)) == 0);
    }
    odd.from_lng = NAN;
    CHECK(!eta_model_predict(table, &odd, &base, &p) && memcmp(&p, &zero, sizeof(p)) == 0);
    teach(table, &usual, 0, 7, 100);
    for (int hour = -400; hour < 400; hour += 37) {
        odd = trip;
        odd.hour_of_week = hour;
        odd.minute = hour * 9;
        CHECK(eta_model_predict(table, &odd, &base, &p) && p.duration_s > 0);
        odd.hour_of_week = (hour + 1680) % 168;
        odd.minute = hour < 0 ? 0 : hour > 6 ? 59 : odd.minute;
        CHECK(eta_model_predict(table, &odd, &base, &q) && q.duration_s == p.duration_s);
    }
    for (int k = 0; k < 3; k++) {
        odd = trip;
        odd.day = (const int32_t[]){INT32_MIN, 0, INT32_MAX}[k];
        CHECK(eta_model_predict(table, &odd, &base, &p) && p.duration_s > 0 && isfinite(p.high_s));
    }
    free(table);
}

static void equal_places_and_far_ones_have_answers(void)
{
    EtaTable *table = new_table(SLOTS, 90);
    EtaTrip trip = random_trip(&usual, 20);
    EtaPrediction p;

    trip.to_lat = trip.from_lat;
    trip.to_lng = trip.from_lng;
    CHECK(eta_model_predict(table, &trip, &base, &p) && p.duration_s == 0 && p.road_m == 0 && p.low_s == 0);
    teach(table, &usual, 0, 20, 200);
    CHECK(eta_model_predict(table, &trip, &base, &p) && p.duration_s >= 0 && p.duration_s < 600);
    trip.to_lat = -trip.from_lat;
    trip.to_lng = trip.from_lng - 180;
    CHECK(eta_model_predict(table, &trip, &base, &p) && isfinite(p.duration_s) && p.road_m > 2e7);
    CHECK(p.duration_s > 2e7 * usual.pace / 3 && p.duration_s < 2e7 * usual.pace * 3);
    free(table);
}

static void a_city_on_the_antimeridian_is_as_any(void)
{
    City there = usual;
    EtaTable *table = new_table(SLOTS, 90);
    EtaTrip east = {.region = 1, .hour_of_week = 30, .day = 42}, west;
    EtaPrediction p, q;

    there.lng = 180;
    teach(table, &there, 0, 42, 300);
    CHECK(error_of(table, &there, 42) < 0.1);
    east.from_lat = east.to_lat = 48.2;
    east.from_lng = 179.97;
    east.to_lng = 180;
    west = east;
    west.to_lng = -180;
    CHECK(eta_model_predict(table, &east, &base, &p) && eta_model_predict(table, &west, &base, &q));
    CHECK(fabs(p.duration_s - q.duration_s) < 1e-6 * p.duration_s);
    free(table);
}

static void the_poles_have_cells_too(void)
{
    City there = usual;
    EtaTable *table = new_table(SLOTS, 90);
    EtaPrediction p;

    for (int k = 0; k < 2; k++) {
        for (int n = 0; n < 2000; n++) {
            EtaTrip trip = random_trip(&there, n / 100);

            trip.from_lat = (k ? -1 : 1) * (90 - 0.05 * uniform());
            trip.to_lat = (k ? -1 : 1) * (n % 50 ? 90 - 0.05 * uniform() : 90);
            trip.from_lng = uniform() * 360 - 180;
            trip.to_lng = n % 40 ? uniform() * 360 - 180 : 180;
            CHECK(eta_model_learn(table, &trip, 100 + metres_of(&trip) * 0.1, 0, NULL) == ETA_LEARNT);
            CHECK(eta_model_predict(table, &trip, &base, &p) && isfinite(p.duration_s) && p.duration_s > 0);
        }
    }
    free(table);
}

static void order_hardly_matters(void)
{
    EtaTable *forwards = new_table(SLOTS, 90), *backwards = new_table(SLOTS, 90);
    enum { COUNT = 6000 };
    static EtaTrip trips[COUNT];
    static double seconds[COUNT];
    double squares = 0;
    EtaPrediction p, q;

    for (int n = 0; n < COUNT; n++) {
        trips[n] = random_trip(&usual, 1);
        trips[n].hour_of_week = (int)(uniform() * 168);
        seconds[n] = taken(&usual, &trips[n]);
    }
    for (int n = 0; n < COUNT; n++) {
        eta_model_learn(forwards, &trips[n], seconds[n], 0, NULL);
        eta_model_learn(backwards, &trips[COUNT - 1 - n], seconds[COUNT - 1 - n], 0, NULL);
    }
    for (int n = 0; n < 1000; n++) {
        EtaTrip trip = random_trip(&usual, 2);

        eta_model_predict(forwards, &trip, &base, &p);
        eta_model_predict(backwards, &trip, &base, &q);
        squares += pow(log(p.duration_s / q.duration_s), 2);
    }
    CHECK(sqrt(squares / 1000) < 0.06);
    free(forwards);
    free(backwards);
}

/* On one line, in a city that is the same everywhere. */
static void further_is_not_sooner(void)
{
    EtaTable *table = new_table(SLOTS, 90);
    City plain = usual;

    plain.plain = true;
    teach(table, &plain, 0, 42, 300);
    for (int way = 0; way < 8; way++) {
        EtaTrip trip = {
            .region = 1, .hour_of_week = 33, .day = 42, .from_lat = plain.lat, .from_lng = plain.lng};
        EtaPrediction p;
        double last = 0, highest = 0;

        for (int step = 0; step <= 120; step++) {
            double degrees = step * 250 / 111195.0;

            trip.to_lat = plain.lat + degrees * cos(way * M_PI / 4);
            trip.to_lng = plain.lng + degrees * sin(way * M_PI / 4) / cos(GEO_RADIANS(plain.lat));
            eta_model_predict(table, &trip, &base, &p);
            CHECK(p.duration_s > 0.87 * highest); /* cells at the edge are not known better than so */
            if (step % 12 == 0) {
                CHECK(p.duration_s > last);
                last = p.duration_s;
            }
            highest = fmax(highest, p.duration_s);
        }
    }
    free(table);
}

/* Rows written from what learning reports make the same answers. */
static void changes_tell_all_that_changed(void)
{
    EtaTable *table = new_table(1024, 90), *rows = new_table(4096, 90);
    EtaChanges changes;
    uint64_t key;

    for (int n = 0; n < 5000; n++) {
        EtaTrip trip = random_trip(&usual, n / 100);
        double road = n % 3 ? 0 : metres_of(&trip) * 1.4;

        eta_model_learn(table, &trip, taken(&usual, &trip), road, &changes);
        CHECK(changes.changed_count <= ETA_CHANGES_MAX && changes.evicted_count <= ETA_CHANGES_MAX);
        for (int k = 0; k < changes.evicted_count; k++) {
            CHECK(eta_table_find(table, changes.evicted[k]) == NULL);
            eta_table_remove(rows, changes.evicted[k]);
        }
        for (int k = 0; k < changes.changed_count; k++) {
            const EtaEffect *effect = eta_table_find(table, changes.changed[k]);

            if (effect == NULL)
                unit_broken++;
            else
                *eta_table_put(rows, changes.changed[k], 0, NULL) = *effect;
        }
    }
    CHECK(eta_table_evictions(table) > 1000);
    CHECK_INT(eta_table_used(rows), eta_table_used(table));
    for (uint32_t slot = 0; slot < eta_table_slots(table); slot++) {
        const EtaEffect *effect = eta_table_at(table, slot, &key), *row = eta_table_find(rows, key);

        CHECK(effect == NULL || (row != NULL && memcmp(effect, row, sizeof(*row)) == 0));
    }
    free(table);
    free(rows);
}

static void driven_metres_teach_the_distance(void)
{
    EtaTable *table = new_table(SLOTS, 90), *absurd = new_table(SLOTS, 90), *straight = new_table(SLOTS, 90);
    double worst = 0;
    EtaPrediction p;

    for (int n = 0; n < 3000; n++) {
        EtaTrip trip = random_trip(&usual, n / 100);
        double metres = metres_of(&trip), road = metres * 1.6 * exp(0.1 * normal());

        if (n % 10 == 0) /* a track that lost its way; no number; not known */
            road = (const double[]){metres * 50, metres / 3, NAN, INFINITY, -7, 0}[n / 10 % 6];
        CHECK_INT(eta_model_learn(table, &trip, taken(&usual, &trip), road, NULL), ETA_LEARNT);
        eta_model_learn(absurd, &trip, taken(&usual, &trip), n % 2 ? metres / 2 : metres * 6 + 5000, NULL);
        eta_model_learn(straight, &trip, taken(&usual, &trip), metres * 0.92, NULL);
    }
    for (int n = 0; n < 500; n++) {
        EtaTrip trip = random_trip(&usual, 30);
        double metres = metres_of(&trip);

        eta_model_predict(table, &trip, &base, &p);
        CHECK(p.road_m >= metres);
        if (metres > 1000)
            worst = fmax(worst, fabs(log(p.road_m / (1.6 * metres))));
        eta_model_predict(absurd, &trip, &base, &p);
        CHECK(p.road_m == metres * base.distance_factor);
        eta_model_predict(straight, &trip, &base, &p);
        CHECK(p.road_m >= metres && p.road_m < metres * 1.01);
    }
    CHECK(worst < 0.15);
    free(table);
    free(absurd);
    free(straight);
}

static void effects_and_levels_have_names(void)
{
    EtaTable *table = new_table(SLOTS, 90);
    uint64_t key;

    for (int n = 0; n < 50; n++) {
        EtaTrip trip = random_trip(&usual, 1);

        eta_model_learn(table, &trip, 900, metres_of(&trip) * 1.2, NULL);
    }
    for (uint32_t slot = 0; slot < eta_table_slots(table); slot++)
        if (eta_table_at(table, slot, &key) != NULL)
            CHECK(strcmp(eta_effect_name(key), "unknown") != 0 && key >> 48 == 1);
    CHECK(strcmp(eta_effect_name(eta_key(7, ETA_KIND_REGION, 0)), "region") == 0);
    CHECK(strcmp(eta_effect_name(UINT64_C(0xff) << 40), "unknown") == 0);
    CHECK(strcmp(eta_level_name(ETA_CELL), "learnt") == 0 &&
          strcmp(eta_level_name(ETA_DEFAULT), "default") == 0);
    free(table);
}

int main(void)
{
    seed = getenv("HAIL_SEED") ? strtoull(getenv("HAIL_SEED"), NULL, 10) : 4711;
    state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    printf("# seed %llu\n", (unsigned long long)seed);
    RUN(without_trips_the_regions_figures_answer);
    RUN(a_few_trips_do_not_speak);
    RUN(each_level_falls_back_to_the_next);
    RUN(it_learns_hours_places_and_directions);
    RUN(eighty_percent_lie_in_the_interval);
    RUN(what_is_old_is_forgotten);
    RUN(a_place_not_seen_again_becomes_as_any);
    RUN(directions_hold_for_new_places);
    RUN(forgetting_is_gradual);
    RUN(a_small_table_holds_what_matters);
    RUN(a_big_region_does_not_drive_out_a_small_one);
    RUN(wild_durations_hardly_matter);
    RUN(what_is_no_trip_teaches_nothing);
    RUN(bad_questions_get_no_answer);
    RUN(equal_places_and_far_ones_have_answers);
    RUN(a_city_on_the_antimeridian_is_as_any);
    RUN(the_poles_have_cells_too);
    RUN(order_hardly_matters);
    RUN(further_is_not_sooner);
    RUN(changes_tell_all_that_changed);
    RUN(driven_metres_teach_the_distance);
    RUN(effects_and_levels_have_names);
    return unit_result();
}
