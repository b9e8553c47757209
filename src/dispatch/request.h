/*
 * request.h
 *    From a quote to a trip.
 */
#ifndef HAIL_DISPATCH_REQUEST_H
#define HAIL_DISPATCH_REQUEST_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* What a delivery or porter job has besides; see JOBS.md. */
typedef struct JobRequest {
    double weight_kg, volume_l;  /* 0: not known */
    const pg_uuid_t *partner_id; /* NULL: not a partner's */
    const char *partner_order;   /* with partner_id alone */
    int stops;                   /* told by the event */
} JobRequest;

typedef struct TripRequest {
    pg_uuid_t quote_id;
    const char *payment_method, *strategy; /* NULL: not given, an error */
    const char *idempotency_key;           /* 1 to 200 characters */
    bool has_time;
    bool favourites_first; /* the customer wants its favourites asked before others */
    TimestampTz scheduled_for;
    const double *pickup, *dropoff; /* valid latitude and longitude that the quote must be for; NULL: any */
    const char *service_class;      /* the same */
    const JobRequest *job;          /* NULL: none; else the caller has authorised, and may use this quote */
} TripRequest;

/*
 * Make a trip of a quote, with its first round: trip, offers and events are there when this returns. The same
 * key with the same request gives the first trip. For the calling customer's quotes, or any when it is an
 * administrator. Returns the hail.trips value, valid until SPI ends; *created: it has just been made. Inside
 * SPI, as hail_owner. Errors: those of hail.request_trip().
 */
extern Datum dispatch_create_trip(const TripRequest *request, bool *created);

#endif
