/*
 * The fare formula: the published examples, every rounding step, and what holds for any price list and trip:
 * the parts add up, an independent computation in exact fractions agrees, longer and dearer never costs less.
 * Random cases print their seed; HAIL_SEED=n sets it.
 */
#include "unit.h"

#include <stdlib.h>

#include "pricing/fare.h"

static const FareRates economy = {1000, 350, 50, 1500, 0, 50};

static FareAmounts price(FareRates rates, int distance_m, int duration_s, int surge, int by_time,
                         int by_event)
{
    FareTrip trip = {distance_m, duration_s, surge, by_time, by_event, 100};
    FareAmounts amounts = {0};

    CHECK(fare_price(&rates, &trip, &amounts));
    return amounts;
}

static void ten_km_in_20_minutes_cost_55(void)
{
    FareAmounts p = price(economy, 10000, 1200, 100, 100, 100);

    CHECK_INT(p.base, 1000);
    CHECK_INT(p.distance, 3500);
    CHECK_INT(p.time, 1000);
    CHECK_INT(p.multiplier, 0);
    CHECK_INT(p.minimum, 0);
    CHECK_INT(p.rounding, 0);
    CHECK_INT(p.total, 5500);
}

static void one_km_in_2_minutes_costs_the_minimum(void)
{
    FareAmounts p = price(economy, 1000, 120, 100, 100, 100);

    CHECK_INT(p.minimum, 50);
    CHECK_INT(p.total, 1500);
}

static void multipliers_multiply_each_other(void)
{
    FareAmounts p = price(economy, 10000, 1200, 150, 120, 200); /* 55.00 * 3.6 = 198.00 */

    CHECK_INT(p.multiplier, 19800 - 5500);
    CHECK_INT(p.total, 19800);
}

static void discounts_lower_but_not_below_the_minimum(void)
{
    FareAmounts p = price(economy, 10000, 1200, 100, 80, 100);

    CHECK_INT(p.multiplier, -1100);
    CHECK_INT(p.total, 4400);
    p = price(economy, 2000, 240, 100, 50, 100); /* (10 + 7 + 2) / 2 = 9.50 */
    CHECK_INT(p.multiplier, -950);
    CHECK_INT(p.minimum, 550);
    CHECK_INT(p.total, 1500);
}

static void booking_fee_comes_after_minimum_and_multipliers(void)
{
    FareRates rates = economy;

    rates.booking_fee = 200;
    CHECK_INT(price(rates, 1000, 120, 100, 100, 100).total, 1700);
    CHECK_INT(price(rates, 10000, 1200, 200, 100, 100).total, 11200);
}

static void each_step_rounds_half_up(void)
{
    FareRates rates = {0, 1, 1, 0, 0, 1};

    CHECK_INT(price(rates, 500, 0, 100, 100, 100).distance, 1);
    CHECK_INT(price(rates, 499, 0, 100, 100, 100).distance, 0);
    CHECK_INT(price(rates, 0, 30, 100, 100, 100).time, 1);
    CHECK_INT(price(rates, 0, 29, 100, 100, 100).time, 0);
    rates.base = 1;
    CHECK_INT(price(rates, 0, 0, 150, 100, 100).total, 2); /* 1.5 */
    CHECK_INT(price(rates, 0, 0, 149, 100, 100).total, 1);
}

static void totals_round_half_up_to_the_rounding_unit(void)
{
    FareRates rates = {0, 0, 0, 0, 0, 50};
    const int base[] = {1024, 1025, 1026, 1049, 1050, 1074, 1075};
    const int total[] = {1000, 1050, 1050, 1050, 1050, 1050, 1100};

    for (int k = 0; k < 7; k++) {
        FareAmounts p;

        rates.base = base[k];
        p = price(rates, 0, 0, 100, 100, 100);
        CHECK_INT(p.total, total[k]);
        CHECK_INT(p.rounding, total[k] - base[k]);
    }
    rates.rounding = 3; /* an odd unit has no half */
    rates.base = 1;
    CHECK_INT(price(rates, 0, 0, 100, 100, 100).total, 0);
    rates.base = 2;
    CHECK_INT(price(rates, 0, 0, 100, 100, 100).total, 3);
}

static void what_is_out_of_range_is_refused(void)
{
    FareRates rates = economy;
    FareTrip trip = {1000, 60, 100, 100, 100, 100};
    FareAmounts p;

    trip.distance_m = -1;
    CHECK(!fare_price(&rates, &trip, &p));
    trip.distance_m = INT32_MAX;
    rates.per_km = FARE_MAX_AMOUNT;
    CHECK(!fare_price(&rates, &trip, &p));
    rates = economy;
    rates.base = FARE_MAX_AMOUNT + 1;
    CHECK(!fare_price(&rates, &trip, &p));
    rates = economy;
    rates.rounding = 0;
    CHECK(!fare_price(&rates, &trip, &p));
    rates = economy;
    trip = (FareTrip){1000, 60, 0, 100, 100, 100};
    CHECK(!fare_price(&rates, &trip, &p));
    rates.base = FARE_MAX_AMOUNT - 1000;
    trip = (FareTrip){1000, 60, 100000, 100000, 100000, 100000};
    CHECK(!fare_price(&rates, &trip, &p));
    rates = economy;
    trip = (FareTrip){1000, 60, 100, 100, 100, 0};
    CHECK(!fare_price(&rates, &trip, &p));
    trip.variant_multiplier = 100001;
    CHECK(!fare_price(&rates, &trip, &p));
}

static void variants_multiply_like_the_others(void)
{
    FareTrip trip = {10000, 1200, 150, 120, 200, 90};
    FareAmounts p;

    CHECK(fare_price(&economy, &trip, &p)); /* 198.00 * 0.9 = 178.20 */
    CHECK_INT(p.multiplier, 17820 - 5500);
    CHECK_INT(p.rounding, -20);
    CHECK_INT(p.total, 17800);
}

/* ---- any price list, any trip ---- */

typedef unsigned long long Word;
typedef __int128 Wide;

static Word random_state;

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
static Word random_word(void)
{
    Word z = (random_state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(random_word() % (Word)(high - low + 1));
}

/* As many small numbers as large ones, up to `most`. */
static int64_t any_up_to(int64_t most)
{
    int64_t limit = most;

    for (int64_t halvings = between(0, 50); halvings > 0 && limit > 1; halvings--)
        limit /= 2;
    return between(0, limit);
}

static const int64_t units[] = {1, 5, 25, 50, 100, 500, 1000};

static FareRates random_rates(int64_t most)
{
    FareRates rates = {any_up_to(most), any_up_to(most), any_up_to(most),
                       any_up_to(most), any_up_to(most), units[between(0, 6)]};

    if (between(0, 3) == 0)
        rates.rounding = between(1, 2000);
    return rates;
}

static FareTrip random_trip(void)
{
    return (FareTrip){(int32_t)any_up_to(400000), (int32_t)any_up_to(100000), (int32_t)between(100, 1000),
                      (int32_t)between(50, 500),  (int32_t)between(50, 500),  (int32_t)between(1, 200)};
}

static void seed_random(void)
{
    const char *given = getenv("HAIL_SEED");

    random_state = given != NULL ? strtoull(given, NULL, 10) : 20131118;
    printf("# seed %llu\n", random_state);
}

/* The nearest multiple of unit * d / d to n / d, of two equally near the greater: by search from below, as a
 * cashier would, not by the formula's own trick. All not negative. */
static Wide nearest(Wide n, Wide d, int64_t unit)
{
    Wide below = n / (d * unit) * unit, above = below + unit;

    return n - below * d < above * d - n ? below : above;
}

/* The price as fare.h tells it, each step an exact fraction. */
static Wide told_price(const FareRates *r, const FareTrip *t)
{
    Wide subtotal = r->base + nearest((Wide)r->per_km * t->distance_m, 1000, 1) +
                    nearest((Wide)r->per_minute * t->duration_s, 60, 1);
    Wide factors = (Wide)t->surge * t->time_multiplier * t->event_multiplier * t->variant_multiplier;
    Wide multiplied = nearest(subtotal * factors, (Wide)100 * 100 * 100 * 100, 1);

    return nearest((multiplied < r->minimum ? r->minimum : multiplied) + r->booking_fee, 1, r->rounding);
}

/*
 * The price without any rounding is exact / scale; three steps round to a unit before the total does. Twice
 * the difference is compared, for half units.
 */
static bool close_to_unrounded(const FareRates *r, const FareTrip *t, int64_t total)
{
    const Wide scale = (Wide)60000 * 100000000;
    Wide factors = (Wide)t->surge * t->time_multiplier * t->event_multiplier * t->variant_multiplier;
    Wide exact = ((Wide)r->base * 60000 + (Wide)r->per_km * t->distance_m * 60 +
                  (Wide)r->per_minute * t->duration_s * 1000) *
                 factors;
    Wide slack = r->rounding * scale + scale + 2 * 60000 * factors, difference;

    if (exact < r->minimum * scale)
        exact = r->minimum * scale;
    difference = 2 * (total * scale - exact - r->booking_fee * scale);
    return difference <= slack && -difference <= slack;
}

/* 900,000 of the size of fares and 100,000 up to the limits. */
static void the_parts_of_a_million_prices_add_up(void)
{
    int refused = 0;

    for (int n = 0; n < 1000000 && unit_broken < 10; n++) {
        bool usual = n % 10 != 0;
        FareRates rates = random_rates(usual ? 1000000 : FARE_MAX_AMOUNT);
        FareTrip trip = random_trip();
        FareAmounts p;

        if (!fare_price(&rates, &trip, &p)) {
            refused++;
            CHECK(!usual);
            continue;
        }
        CHECK_INT(p.total,
                  p.base + p.distance + p.time + p.multiplier + p.minimum + p.booking_fee + p.rounding);
        CHECK_INT(p.total % rates.rounding, 0);
        CHECK(2 * p.rounding <= rates.rounding && -2 * p.rounding < rates.rounding);
        CHECK(p.total >= 0 && p.distance >= 0 && p.time >= 0 && p.minimum >= 0);
        CHECK(p.base == rates.base && p.booking_fee == rates.booking_fee);
    }
    CHECK(refused > 0 && refused < 100000);
}

static void exact_fractions_give_the_same_prices(void)
{
    for (int n = 0; n < 1000000 && unit_broken < 10; n++) {
        FareRates rates = random_rates(1000000);
        FareTrip trip = random_trip();
        FareAmounts p;

        CHECK(fare_price(&rates, &trip, &p));
        CHECK_INT(p.total, (long long)told_price(&rates, &trip));
        CHECK(close_to_unrounded(&rates, &trip, p.total));
    }
}

static void longer_and_dearer_never_costs_less(void)
{
    for (int n = 0; n < 300000 && unit_broken < 10; n++) {
        FareRates rates = random_rates(1000000);
        FareTrip trip = random_trip();
        FareTrip more[] = {trip, trip, trip, trip, trip, trip};
        FareAmounts p, q;

        more[0].distance_m += (int32_t)between(1, 1000);
        more[1].duration_s += (int32_t)between(1, 100);
        more[2].surge += (int32_t)between(1, 50);
        more[3].time_multiplier += (int32_t)between(1, 50);
        more[4].event_multiplier += (int32_t)between(1, 50);
        more[5].variant_multiplier += (int32_t)between(1, 50);
        CHECK(fare_price(&rates, &trip, &p));
        for (int k = 0; k < 6; k++) {
            CHECK(fare_price(&rates, &more[k], &q));
            CHECK(q.total >= p.total);
        }
    }
}

/* 10 km in 20 minutes: 450 yen and 90 a km; 0.500 dinar and 0.120 a km. */
static void currencies_without_and_with_three_decimals_round_to_their_own_units(void)
{
    FareRates yen = {450, 90, 33, 700, 0, 10}, dinar = {500, 120, 17, 1000, 0, 5};

    CHECK_INT(price(yen, 10000, 1200, 100, 100, 100).total, 2010);
    CHECK_INT(price(yen, 1000, 120, 100, 100, 100).total, 700);
    CHECK_INT(price(yen, 10050, 1200, 100, 100, 100).total, 2020); /* 2014.5 -> 2015 -> 2020 */
    CHECK_INT(price(dinar, 10000, 1200, 100, 100, 100).total, 2040);
    CHECK_INT(price(dinar, 9985, 1200, 100, 100, 100).total, 2040); /* 2038.2 -> 2038 -> 2040 */
}

static int64_t waited(FareWaiting terms, int64_t seconds)
{
    int64_t amount = -1;

    CHECK(fare_waiting(&terms, seconds, &amount));
    return amount;
}

static void waiting_costs_by_begun_minutes_up_to_its_most(void)
{
    FareWaiting terms = {180, 40, 1000, 1};

    CHECK_INT(waited(terms, -5), 0);
    CHECK_INT(waited(terms, 0), 0);
    CHECK_INT(waited(terms, 180), 0);
    CHECK_INT(waited(terms, 181), 40);
    CHECK_INT(waited(terms, 240), 40);
    CHECK_INT(waited(terms, 241), 80);
    CHECK_INT(waited(terms, 180 + 25 * 60), 1000);
    CHECK_INT(waited(terms, 180 + 24 * 60), 960);
    CHECK_INT(waited(terms, INT64_MAX), 1000);
    terms.rounding = 50;
    CHECK_INT(waited(terms, 181), 50);  /* 40 */
    CHECK_INT(waited(terms, 241), 100); /* 80 */
    CHECK_INT(waited(terms, 180 + 5 * 60), 200);
    terms.per_minute = 0;
    CHECK_INT(waited(terms, 86400), 0);
    terms.per_minute = 40;
    terms.max = 0;
    CHECK_INT(waited(terms, 86400), 0);
}

static void waiting_terms_out_of_range_are_refused(void)
{
    const FareWaiting wrong[] = {
        {-1, 1, 1, 1}, {0, -1, 1, 1}, {0, 1, -1, 1}, {0, 1, 1, 0}, {0, FARE_MAX_AMOUNT + 1, 1, 1}};
    int64_t amount;

    for (int k = 0; k < 5; k++)
        CHECK(!fare_waiting(&wrong[k], 60, &amount));
}

static void longer_waiting_never_costs_less_and_never_more_than_its_most(void)
{
    for (int n = 0; n < 300000 && unit_broken < 10; n++) {
        FareWaiting terms = {(int32_t)any_up_to(3600), any_up_to(100000), 0, units[between(0, 6)]};
        int64_t seconds = any_up_to(100000), amount, more;

        terms.max = any_up_to(10000) * terms.rounding;
        amount = waited(terms, seconds);
        more = waited(terms, seconds + between(1, 100));
        CHECK(amount >= 0 && amount <= terms.max && more >= amount);
        CHECK_INT(amount % terms.rounding, 0);
    }
}

static void a_price_agreed_on_keeps_its_share_of_the_quoted_one(void)
{
    int64_t amount;

    CHECK(fare_rescale(8000, 4400, 5500, 50, &amount));
    CHECK_INT(amount, 6400);
    CHECK(fare_rescale(5500, 4400, 5500, 50, &amount));
    CHECK_INT(amount, 4400);
    CHECK(fare_rescale(0, 4400, 5500, 50, &amount));
    CHECK_INT(amount, 0);
    CHECK(fare_rescale(1025, 1000, 1000, 50, &amount));
    CHECK_INT(amount, 1050);
    CHECK(fare_rescale(10249, 10, 100, 50, &amount)); /* 1024.9, and not 1025 first */
    CHECK_INT(amount, 1000);
    CHECK(!fare_rescale(1, 1, 0, 1, &amount));
    CHECK(!fare_rescale(1, 1, 1, 0, &amount));
    CHECK(!fare_rescale(FARE_MAX_AMOUNT, 2, 1, 1, &amount));
}

int main(void)
{
    RUN(ten_km_in_20_minutes_cost_55);
    RUN(one_km_in_2_minutes_costs_the_minimum);
    RUN(multipliers_multiply_each_other);
    RUN(discounts_lower_but_not_below_the_minimum);
    RUN(booking_fee_comes_after_minimum_and_multipliers);
    RUN(each_step_rounds_half_up);
    RUN(totals_round_half_up_to_the_rounding_unit);
    RUN(what_is_out_of_range_is_refused);
    RUN(variants_multiply_like_the_others);
    RUN(currencies_without_and_with_three_decimals_round_to_their_own_units);
    RUN(waiting_costs_by_begun_minutes_up_to_its_most);
    RUN(waiting_terms_out_of_range_are_refused);
    RUN(a_price_agreed_on_keeps_its_share_of_the_quoted_one);
    seed_random();
    RUN(the_parts_of_a_million_prices_add_up);
    RUN(exact_fractions_give_the_same_prices);
    RUN(longer_and_dearer_never_costs_less);
    RUN(longer_waiting_never_costs_less_and_never_more_than_its_most);
    return unit_result();
}
