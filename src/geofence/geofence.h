/*
 * geofence.h
 *    Areas that mean something: service areas of regions, airports with a queue, restricted and named areas.
 *    What other modules may ask.
 */
#ifndef HAIL_GEOFENCE_H
#define HAIL_GEOFENCE_H

#include "postgres.h"
#include "utils/uuid.h"

/*
 * The region that a valid place lies in, its edge included, the smallest where several overlap; false: in
 * none. And whether it lies in this one. In a transaction, as whomever.
 */
extern bool geofence_region_at(double lat, double lng, int16 *region_id);
extern bool geofence_region_covers(int16 region_id, double lat, double lng);

/* A valid place lies in a restricted area, where nobody is picked up or dropped off. As above. */
extern bool geofence_restricted(double lat, double lng);

/*
 * The airport that a pickup lies in, in *geofence_id, with the number of drivers to be asked at a time in
 * *offers. False: in none. Of several, the one with the lowest id. Inside SPI, as hail_owner; the place is
 * valid.
 */
extern bool geofence_airport_at(double lat, double lng, int32 *geofence_id, int *offers);

/*
 * The first `max` drivers in an airport's queue, in order, into `drivers`; returns how many. Decided by their
 * rows as this statement sees them. Inside SPI, as hail_owner.
 */
extern int geofence_queue(int32 geofence_id, pg_uuid_t *drivers, int max);

#endif
