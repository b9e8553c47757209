/*
 * jobs.h
 *    Deliveries and porter jobs: a driver can have several at once, as far as there is room.
 *
 * A ride is never combined with anything. Room is a free place among drivers.job_capacity and, where the
 * active vehicle names what it can carry, weight and volume of all jobs under way and the new one together.
 */
#ifndef HAIL_DISPATCH_JOBS_H
#define HAIL_DISPATCH_JOBS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

/*
 * Give a driver the job, whose trip row the caller has locked: locks the driver's row, then reads what the
 * driver has; counts the job in and gives the trip the lowest free driver_slot. The first job becomes the
 * driver's trip_id. Returns whether there is a place for yet another job. Inside SPI. Errors: driver_busy (on
 * a ride, or cooling down), no_room, driver_not_eligible.
 */
extern bool job_take_driver(const pg_uuid_t *trip_id, const pg_uuid_t *driver_id, TimestampTz now);

/*
 * Of the drivers in a uuid[], those without room for a load: on a ride, or their vehicle can't carry it
 * beside their jobs. Reads rows without locking them: a proposal, accepting decides. Writes their places in
 * the array, from 0, into `full` (room for all), returns how many. weight_kg, volume_l: 0 when nothing is
 * known. Inside SPI.
 */
extern int jobs_without_room(Datum drivers, double weight_kg, double volume_l, int *full);

#endif
