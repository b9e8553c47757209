/*
 * data.h
 *    What is replayed: requests with their times and places, and where the fleet starts.
 *
 * Scenarios: nyc (one hour of New York taxi requests and taxis), sf (the busiest hours of a San Francisco
 * cab fleet), sample (an invented city, made by make_sample.py). Times become Unix seconds.
 */
#ifndef REPLAY_DATA_H
#define REPLAY_DATA_H

#include <stddef.h>
#include <stdint.h>

typedef struct DataTrip {
    double at; /* Unix seconds */
    double pickup_lat, pickup_lng, dropoff_lat, dropoff_lng;
} DataTrip;

typedef struct DataVehicle {
    double free_at; /* Unix seconds: when it comes online */
    double lat, lng;
} DataVehicle;

typedef struct Dataset {
    const char *region, *region_name, *currency, *timezone;
    double south, west, north, east; /* what is outside is left out; the region's boundary, degrees */
    DataTrip *trips;                 /* by time */
    size_t trip_count;
    DataVehicle *vehicles;
    size_t vehicle_count;
} Dataset;

/*
 * Read scenario `name` from `directory`; keep `trips` of the requests of the first `minutes` minutes (0: all)
 * and `drivers` vehicles, each chosen uniformly with the program's random numbers. Ends the program when the
 * data are not there; takes what there is when there is less.
 */
extern Dataset data_load(const char *name, const char *directory, size_t trips, size_t drivers,
                         double minutes);

#endif
