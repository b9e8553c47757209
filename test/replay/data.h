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

/* What is wanted of a scenario. */
typedef struct DataWish {
    const char *scenario, *directory;
    size_t trips, drivers;
    double minutes;   /* only requests of the first so many; 0: all */
    double longest_m; /* only trips up to this great-circle length */
} DataWish;

/*
 * Read a scenario; keep the wished number of requests and of vehicles, each chosen uniformly with the
 * program's random numbers. Ends the program when the data are not there; takes what there is when there is
 * less.
 */
extern Dataset data_load(const DataWish *wish);

#endif
