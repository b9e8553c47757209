/*
 * fare.h
 *    What a trip costs. Pure integers: the same input gives the same price on every machine, for ever.
 *
 *    price = max(minimum, (base + km * per_km + min * per_minute) * surge * time * event * variant)
 *                + booking fee, rounded half up to a multiple of `rounding`
 *
 * Every amount is in minor units of the currency. A fraction of a minor unit is rounded half up in four
 * places only: the distance amount, the time amount, the multiplied subtotal, and the total. The parts add up
 * exactly:
 *
 *    total = base + distance + time + multiplier + minimum + booking fee + rounding
 */
#ifndef HAIL_PRICING_FARE_H
#define HAIL_PRICING_FARE_H

#include <stdbool.h>
#include <stdint.h>

/* No amount of a fare or a price may be above this: sums then never overflow; minor units. */
#define FARE_MAX_AMOUNT INT64_C(1000000000000000)

/* A row of the price list; minor units, none negative; rounding at least 1. */
typedef struct FareRates {
    int64_t base, per_km, per_minute, minimum, booking_fee, rounding;
} FareRates;

/* What the price depends on besides. Multipliers in hundredths (150 = 1.5), from 1 to 100000. */
typedef struct FareTrip {
    int32_t distance_m, duration_s; /* not negative */
    int32_t surge, time_multiplier, event_multiplier, variant_multiplier;
} FareTrip;

/* The price and what made it; minor units. */
typedef struct FareAmounts {
    int64_t base, distance, time;
    int64_t multiplier; /* what the multipliers add to base, distance and time; negative below 1.0 */
    int64_t minimum;    /* what the minimum adds */
    int64_t booking_fee;
    int64_t rounding; /* what rounding adds, or takes */
    int64_t total;
} FareAmounts;

/* False: an argument is out of its range or an amount would pass FARE_MAX_AMOUNT; *out is then undefined. */
extern bool fare_price(const FareRates *rates, const FareTrip *trip, FareAmounts *out);

/* What waiting at the pickup costs; minor units, none negative; rounding at least 1. */
typedef struct FareWaiting {
    int32_t free_s; /* seconds that cost nothing */
    int64_t per_minute, max, rounding;
} FareWaiting;

/*
 * The price of having waited so many seconds (below 0: none): every begun minute beyond the free ones costs
 * per_minute; the sum is rounded half up to a multiple of `rounding`, and is never more than `max`. False: an
 * argument is out of its range.
 */
extern bool fare_waiting(const FareWaiting *waiting, int64_t waited_s, int64_t *amount);

/*
 * A price agreed on for a quoted one (a bid), carried over to a new quoted price: quoted * agreed / before,
 * rounded half up to a multiple of `rounding`. False: an argument is out of its range (before and rounding at
 * least 1) or the result would pass FARE_MAX_AMOUNT.
 */
extern bool fare_rescale(int64_t quoted, int64_t agreed, int64_t before, int64_t rounding, int64_t *amount);

#endif
