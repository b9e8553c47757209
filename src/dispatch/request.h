/*
 * request.h
 *    From a quote to a trip.
 */
#ifndef HAIL_DISPATCH_REQUEST_H
#define HAIL_DISPATCH_REQUEST_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

typedef struct TripRequest {
    pg_uuid_t quote_id;
    const char *payment_method, *strategy; /* NULL: not given, an error */
    const char *idempotency_key;           /* 1 to 200 characters */
    bool has_time;
    TimestampTz scheduled_for;
} TripRequest;

/*
 * Make a trip of a quote, with its first round: trip, offers and events are there when this returns. The same
 * key with the same request gives the first trip. For the calling customer's quotes, or any when it is an
 * administrator. Returns the hail.trips value, valid until SPI ends. Inside SPI, as hail_owner. Errors: those
 * of hail.request_trip().
 */
extern Datum dispatch_create_trip(const TripRequest *request);

#endif
