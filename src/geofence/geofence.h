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
