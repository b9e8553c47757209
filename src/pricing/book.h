/*
 * book.h
 *    What prices are made of and what seldom changes: regions with their price lists, time rules and event
 *    areas, and service classes. Each backend keeps a copy (base/kept.h), so that a price costs no statement.
 *
 * What these functions return is valid until the transaction ends. The copy has the versions in force,
 * planned ones and those that ended at most a day before it was read: which is in force is asked with a time,
 * from now on, so that a list which begins takes effect without anybody telling. Multipliers are hundredths,
 * amounts minor units.
 */
#ifndef HAIL_PRICING_BOOK_H
#define HAIL_PRICING_BOOK_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/uuid.h"

#include "geofence/shape.h"
#include "pricing/fare.h"

/* A row of hail.service_classes. */
typedef struct BookClass {
    int16 id;
    char *code, *service;
} BookClass;

/* A row of hail.fares, in force from `from` (included) to `to` (not included). */
typedef struct BookFare {
    pg_uuid_t id;
    const BookClass *class;
    TimestampTz from, to;
    FareRates rates; /* its booking fee is that of two stops */
    int64 stop_fee, cancellation_fee;
    int32 commission_bp;
    int32 waiting_free_s;
    int64 waiting_per_minute, waiting_max;
} BookFare;

/* A row of hail.fare_time_rules. */
typedef struct BookTimeRule {
    uint8 weekdays;       /* bit 0: Monday */
    int64 from_us, to_us; /* microseconds of the local day; not from < to: over midnight */
    int multiplier;
} BookTimeRule;

/* A row of hail.event_areas. */
typedef struct BookEvent {
    TimestampTz from, to; /* as for fares */
    int multiplier;
    Shape *shape;
} BookEvent;

/* A row of hail.regions, with what belongs to it. */
typedef struct BookRegion {
    int16 id;
    char *code, *currency;
    pg_tz *timezone;       /* NULL: the server does not know it; no time rule can be applied then */
    double hexagon_size_m; /* edge of a surge hexagon, web-mercator metres */
    double distance_factor, speed_kmh; /* figures estimates start from */
    bool road_network;                 /* estimates ask hail.road_route() */
    BookFare *fares;                   /* by class id, then by time */
    BookTimeRule *time_rules;
    BookEvent *events;
    int fare_count, time_rule_count, event_count;
} BookRegion;

/* Which variant of which experiment a customer is in, and what it multiplies the price by. */
typedef struct BookVariant {
    int id; /* of hail.experiment_variants; 0: none */
    int multiplier;
} BookVariant;

/* By id, by code; NULL: there is none. */
extern const BookRegion *book_region(int16 id);
extern const BookRegion *book_region_by_code(const char *code);
extern const BookClass *book_class(const char *code);

/* The price list of a class that is in force at a time; NULL: none is. */
extern const BookFare *book_fare(const BookRegion *region, const BookClass *class, TimestampTz at);

/* The highest time-of-day multiplier that applies at a time, in the region's zone; 100 when none does. A rule
 * over midnight belongs to the day on which it begins. */
extern int book_time_multiplier(const BookRegion *region, TimestampTz at);

/* The highest multiplier of the event areas that hold a valid place at a time; 100 when none does. */
extern int book_event_multiplier(const BookRegion *region, double lat, double lng, TimestampTz at);

/* The customer's variant of the experiment that runs in a region with a class; none when none does. */
extern BookVariant book_variant(const BookRegion *region, const BookClass *class, const pg_uuid_t *customer);

#endif
