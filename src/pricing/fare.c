/* The fare formula; see fare.h. */
#include "pricing/fare.h"

typedef __int128 Wide;

#define MAX_MULTIPLIER     100000
#define HUNDREDTHS_OF_FOUR 100000000 /* 100^4 */

/* n / d rounded half up; n >= 0, d > 0. (An odd d has no exact half, so d / 2 rounded down is right for
 * both.) */
static Wide divide_half_up(Wide n, Wide d)
{
    return (n + d / 2) / d;
}

static bool amount_in_range(int64_t amount)
{
    return amount >= 0 && amount <= FARE_MAX_AMOUNT;
}

static bool multiplier_in_range(int32_t hundredths)
{
    return hundredths >= 1 && hundredths <= MAX_MULTIPLIER;
}

static bool inputs_in_range(const FareRates *rates, const FareTrip *trip)
{
    return amount_in_range(rates->base) && amount_in_range(rates->per_km) &&
           amount_in_range(rates->per_minute) && amount_in_range(rates->minimum) &&
           amount_in_range(rates->booking_fee) && amount_in_range(rates->rounding) && rates->rounding >= 1 &&
           trip->distance_m >= 0 && trip->duration_s >= 0 && multiplier_in_range(trip->surge) &&
           multiplier_in_range(trip->time_multiplier) && multiplier_in_range(trip->event_multiplier) &&
           multiplier_in_range(trip->variant_multiplier);
}

/*
 * No product passes 2^127 (1.7e38). Rate times distance: 1e15 * 2^31 = 2.1e24. The subtotal is at most 1e15
 * when it is multiplied, and four multipliers of at most 1e5 each make 1e15 * 1e20 = 1e35.
 */
bool fare_price(const FareRates *rates, const FareTrip *trip, FareAmounts *out)
{
    Wide distance, time, subtotal, factors, multiplied, unrounded, total;

    if (!inputs_in_range(rates, trip))
        return false;
    distance = divide_half_up((Wide)rates->per_km * trip->distance_m, 1000);
    time = divide_half_up((Wide)rates->per_minute * trip->duration_s, 60);
    subtotal = rates->base + distance + time;
    if (subtotal > FARE_MAX_AMOUNT)
        return false;
    factors = (Wide)trip->surge * trip->time_multiplier * trip->event_multiplier * trip->variant_multiplier;
    multiplied = divide_half_up(subtotal * factors, HUNDREDTHS_OF_FOUR);
    unrounded = (multiplied > rates->minimum ? multiplied : rates->minimum) + rates->booking_fee;
    total = divide_half_up(unrounded, rates->rounding) * rates->rounding;
    if (unrounded > FARE_MAX_AMOUNT || total > FARE_MAX_AMOUNT)
        return false;

    out->base = rates->base;
    out->distance = (int64_t)distance;
    out->time = (int64_t)time;
    out->multiplier = (int64_t)(multiplied - subtotal);
    out->minimum = (int64_t)(multiplied < rates->minimum ? rates->minimum - multiplied : 0);
    out->booking_fee = rates->booking_fee;
    out->rounding = (int64_t)(total - unrounded);
    out->total = (int64_t)total;
    return true;
}

bool fare_waiting(const FareWaiting *waiting, int64_t waited_s, int64_t *amount)
{
    Wide minutes, cost;

    if (waiting->free_s < 0 || !amount_in_range(waiting->per_minute) || !amount_in_range(waiting->max) ||
        !amount_in_range(waiting->rounding) || waiting->rounding < 1)
        return false;
    minutes = waited_s > waiting->free_s ? ((Wide)waited_s - waiting->free_s + 59) / 60 : 0;
    cost = divide_half_up(minutes * waiting->per_minute, waiting->rounding) * waiting->rounding;
    *amount = (int64_t)(cost < waiting->max ? cost : waiting->max);
    return true;
}

bool fare_rescale(int64_t quoted, int64_t agreed, int64_t before, int64_t rounding, int64_t *amount)
{
    Wide scaled;

    if (!amount_in_range(quoted) || !amount_in_range(agreed) || !amount_in_range(before) || before < 1 ||
        !amount_in_range(rounding) || rounding < 1)
        return false;
    /* Divided once, for two roundings in a row may lift a half that is none. */
    scaled = divide_half_up((Wide)quoted * agreed, (Wide)before * rounding) * rounding;
    *amount = (int64_t)scaled;
    return scaled <= FARE_MAX_AMOUNT;
}
