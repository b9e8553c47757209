/* The fare formula; see fare.h. */
#include "pricing/fare.h"

typedef __int128 Wide;

#define MAX_MULTIPLIER 100000

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
           multiplier_in_range(trip->time_multiplier) && multiplier_in_range(trip->event_multiplier);
}

/*
 * Largest intermediate: (1e15 + 2 * 1e15 * 2^31 / 60) * (1e5)^3, below 2^127 (1.7e38) only while the subtotal
 * is below 1.7e23; amounts are therefore checked before they are multiplied on.
 */
bool fare_price(const FareRates *rates, const FareTrip *trip, FareAmounts *out)
{
    Wide distance, time, subtotal, multiplied, unrounded, total;

    if (!inputs_in_range(rates, trip))
        return false;
    distance = divide_half_up((Wide)rates->per_km * trip->distance_m, 1000);
    time = divide_half_up((Wide)rates->per_minute * trip->duration_s, 60);
    subtotal = rates->base + distance + time;
    if (subtotal > FARE_MAX_AMOUNT)
        return false;
    multiplied =
        divide_half_up(subtotal * trip->surge * trip->time_multiplier * trip->event_multiplier, 1000000);
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
