/*
 * price.h
 *    What a trip costs now, in one class or several. price_trip() gathers what all classes have in common,
 *    price_class() decides for one; the formula is fare.h's. Estimates, quotes and quotes of jobs all come
 *    through here.
 *
 * Multipliers are hundredths, amounts minor units of the region's currency. In a transaction, as whomever,
 * without an LWLock held.
 */
#ifndef HAIL_PRICING_PRICE_H
#define HAIL_PRICING_PRICE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/array.h"
#include "utils/uuid.h"

#include "pricing/book.h"
#include "pricing/eta.h"
#include "pricing/fare.h"

/* As many classes may be named in one call; as many there are at most. */
#define PRICE_MAX_CLASSES 16
#define PRICE_ALL_CLASSES 64

/* Latitude and longitude of every stop in its order: valid degrees, the first the pickup. */
typedef struct PricePlaces {
    const double *degrees;
    int stops;   /* 2 or more */
    bool is_job; /* its stops are an argument of their own; errors name it */
} PricePlaces;

typedef struct PriceTrip {
    PricePlaces places;
    const BookRegion *region;  /* at the pickup */
    const pg_uuid_t *customer; /* who would pay; NULL: no customer, hence in no experiment */
    TimestampTz at;
    EtaGuess way; /* over all legs; the interval is the sum of theirs */
    int surge, time_multiplier, event_multiplier;
} PriceTrip;

typedef struct Price {
    const BookFare *fare;
    BookVariant variant;
    int64 booking_fee; /* with the fee of each stop beyond two */
    FareAmounts amounts;
    int64 low, high; /* what it would be at either end of the way's interval */
} Price;

/*
 * Everything about a trip at the moment but its class. `region`: the code of the region that the pickup must
 * lie in; NULL: whichever does. Errors: invalid_value (too short or long), restricted_area, not_found
 * (region), outside_service_area.
 */
extern void price_trip(PriceTrip *trip, PricePlaces places, const char *region, const pg_uuid_t *customer);

/* The price in one class. `field`: the argument that named the class. Errors: unknown_class when no price
 * list is in force for it, invalid_value when the amounts pass all bounds. */
extern Price price_class(const PriceTrip *trip, const BookClass *class, const char *field);

/*
 * The classes of an array of codes, in the order of their ids, or, when `codes` is NULL, those with a price
 * list in force; returns how many, in `classes` (room for PRICE_ALL_CLASSES). Errors name `field`:
 * invalid_value (none, too many, null, twice), unknown_class.
 */
extern int price_find_classes(const PriceTrip *trip, ArrayType *codes, const char *field,
                              const BookClass **classes);

/* The class of a code; error unknown_class. NULL is no class. */
extern const BookClass *price_find_class(const char *code, const char *field);

/* Seconds until the nearest available driver of each class could be at the pickup; -1: none is within
 * hail.pickup_eta_radius, or the live index is being rebuilt (a price must not fail for that). */
extern void price_pickup_etas(const PriceTrip *trip, const BookClass *const *classes, int count,
                              int *seconds);

#endif
