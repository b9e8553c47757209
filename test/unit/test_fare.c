/* The fare formula: the published examples, every rounding step, and that the parts always add up. */
#include "unit.h"

#include <stdlib.h>

#include "pricing/fare.h"

static const FareRates economy = {1000, 350, 50, 1500, 0, 50};

static FareAmounts price(FareRates rates, int distance_m, int duration_s, int surge, int by_time,
                         int by_event)
{
    FareTrip trip = {distance_m, duration_s, surge, by_time, by_event};
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
    FareTrip trip = {1000, 60, 100, 100, 100};
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
    trip = (FareTrip){1000, 60, 0, 100, 100};
    CHECK(!fare_price(&rates, &trip, &p));
    rates.base = FARE_MAX_AMOUNT - 1000;
    trip = (FareTrip){1000, 60, 100000, 100000, 100000};
    CHECK(!fare_price(&rates, &trip, &p));
}

static int between(int low, int high)
{
    return low + rand() % (high - low + 1);
}

/* Any trip: the parts add up, the total is a multiple of the unit, at most half a unit from the exact price,
 * and never falls when the trip gets longer. */
static void the_parts_of_random_trips_add_up(void)
{
    srand(4711);
    for (int n = 0; n < 200000; n++) {
        FareRates rates = {between(0, 5000), between(0, 2000), between(0, 500),
                           between(0, 9000), between(0, 500),  between(1, 200)};
        int distance = between(0, 300000), duration = between(0, 40000), surge = between(100, 500);
        int by_time = between(50, 500), by_event = between(50, 500);
        FareAmounts p = price(rates, distance, duration, surge, by_time, by_event);
        FareAmounts longer = price(rates, distance + 100, duration + 10, surge, by_time, by_event);
        double exact = (rates.base + rates.per_km * distance / 1000.0 + rates.per_minute * duration / 60.0) *
                       (surge / 100.0) * (by_time / 100.0) * (by_event / 100.0);
        double slack = rates.rounding / 2.0 + 1 + (surge / 100.0) * (by_time / 100.0) * (by_event / 100.0);

        exact = (exact > rates.minimum ? exact : rates.minimum) + rates.booking_fee;
        CHECK_INT(p.total,
                  p.base + p.distance + p.time + p.multiplier + p.minimum + p.booking_fee + p.rounding);
        CHECK_INT(p.total % rates.rounding, 0);
        CHECK(2 * p.rounding <= rates.rounding && -2 * p.rounding < rates.rounding);
        CHECK(p.total - exact <= slack && exact - p.total <= slack);
        CHECK(longer.total >= p.total);
        if (unit_broken > 10)
            return;
    }
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
    RUN(the_parts_of_random_trips_add_up);
    return unit_result();
}
