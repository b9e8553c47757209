/* Reading the scenarios' CSV files, plain or gzipped; see data.h. */
#include "data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "geo/geo.h"
#include "util.h"

#define MAX_COLUMNS 24
/* Meters run over the same spot, or a trip out of town, are recording errors. */
#define SHORTEST_TRIP_M 200

static double longest_m;

typedef struct Scenario {
    const char *name, *trips_file, *vehicles_file; /* vehicles_file NULL: from the trips */
    double utc_offset_s;                           /* of *_ts_local columns */
    Dataset place;
} Scenario;

/* clang-format off */
static const Scenario scenarios[] = {
    {"nyc", "nyc_taxi_requests_2013-11-18_16h.csv.gz", "nyc_taxi_vehicles_2013-11-18_16h.csv.gz", -5 * 3600,
     {.region = "new-york", .region_name = "New York", .currency = "USD", .timezone = "America/New_York",
      .south = 40.45, .west = -74.30, .north = 41.00, .east = -73.60}},
    {"sf", "sf_cab_trips_2008-05-28.csv.gz", NULL, 0,
     {.region = "san-francisco", .region_name = "San Francisco", .currency = "USD",
      .timezone = "America/Los_Angeles", .south = 37.35, .west = -122.60, .north = 38.00, .east = -122.00}},
    {"sample", "requests.csv", "vehicles.csv", 0,
     {.region = "gridport", .region_name = "Gridport", .currency = "EUR", .timezone = "UTC",
      .south = 29.90, .west = -40.15, .north = 30.10, .east = -39.85}},
};
/* clang-format on */

/* One CSV file, column names from its first line. No field of ours holds a comma or a quote. */
typedef struct Csv {
    gzFile file;
    char line[1024];
    char header[1024];
    char *columns[MAX_COLUMNS], *fields[MAX_COLUMNS];
    int column_count, field_count;
} Csv;

static int split(char *line, char **parts)
{
    int count = 0;

    line[strcspn(line, "\r\n")] = '\0';
    for (char *field = strtok(line, ","); field && count < MAX_COLUMNS; field = strtok(NULL, ","))
        parts[count++] = field;
    return count;
}

static void csv_open(Csv *csv, const char *directory, const char *name)
{
    char *path = xasprintf("%s/%s", directory, name);

    csv->file = gzopen(path, "rb");
    if (!csv->file || !gzgets(csv->file, csv->header, sizeof(csv->header)))
        die("cannot read %s", path);
    csv->column_count = split(csv->header, csv->columns);
    free(path);
}

static bool csv_next(Csv *csv)
{
    if (!gzgets(csv->file, csv->line, sizeof(csv->line))) {
        gzclose(csv->file);
        return false;
    }
    csv->field_count = split(csv->line, csv->fields);
    return true;
}

static const char *csv_text(const Csv *csv, const char *column)
{
    for (int i = 0; i < csv->column_count && i < csv->field_count; i++)
        if (strcmp(csv->columns[i], column) == 0)
            return csv->fields[i];
    die("no column %s in a line of the data", column);
}

static double csv_number(const Csv *csv, const char *column)
{
    return atof(csv_text(csv, column));
}

/* Unix seconds of "YYYY-MM-DD hh:mm:ss" at an offset from UTC, or of a number. */
static double csv_time(const Csv *csv, const char *column, double utc_offset_s)
{
    const char *text = csv_text(csv, column);
    struct tm t = {0};

    if (!strchr(text, '-'))
        return atof(text);
    if (!strptime(text, "%Y-%m-%d %H:%M:%S", &t))
        die("not a time: %s", text);
    return (double)timegm(&t) - utc_offset_s;
}

static bool inside(const Dataset *data, double lat, double lng)
{
    return lat > data->south && lat < data->north && lng > data->west && lng < data->east;
}

static void add_trip(Dataset *data, DataTrip trip)
{
    double length = geo_distance_m(trip.pickup_lat, trip.pickup_lng, trip.dropoff_lat, trip.dropoff_lng);

    if (!inside(data, trip.pickup_lat, trip.pickup_lng) ||
        !inside(data, trip.dropoff_lat, trip.dropoff_lng) || length < SHORTEST_TRIP_M || length > longest_m)
        return;
    if ((data->trip_count & (data->trip_count - 1)) == 0)
        data->trips = xrealloc(data->trips, (2 * data->trip_count + 1) * sizeof(DataTrip));
    data->trips[data->trip_count++] = trip;
}

static void add_vehicle(Dataset *data, DataVehicle vehicle)
{
    if (!inside(data, vehicle.lat, vehicle.lng))
        return;
    if ((data->vehicle_count & (data->vehicle_count - 1)) == 0)
        data->vehicles = xrealloc(data->vehicles, (2 * data->vehicle_count + 1) * sizeof(DataVehicle));
    data->vehicles[data->vehicle_count++] = vehicle;
}

static void read_requests(Dataset *data, const Scenario *scenario, const char *directory)
{
    Csv csv;

    csv_open(&csv, directory, scenario->trips_file);
    while (csv_next(&csv))
        add_trip(data, (DataTrip){csv_time(&csv, "request_ts_local", scenario->utc_offset_s),
                                  csv_number(&csv, "pickup_lat"), csv_number(&csv, "pickup_lng"),
                                  csv_number(&csv, "dropoff_lat"), csv_number(&csv, "dropoff_lng")});
}

static void read_vehicles(Dataset *data, const Scenario *scenario, const char *directory)
{
    Csv csv;

    csv_open(&csv, directory, scenario->vehicles_file);
    while (csv_next(&csv))
        add_vehicle(data, (DataVehicle){csv_time(&csv, "available_ts_local", scenario->utc_offset_s),
                                        csv_number(&csv, "lat"), csv_number(&csv, "lng")});
}

/* First second of the whole hour with most trips. */
static double busiest_hour(const Dataset *data)
{
    double first = floor(data->trips[0].at / 3600) * 3600, best = first;
    size_t most = 0;

    for (double hour = first; hour <= data->trips[data->trip_count - 1].at; hour += 3600) {
        size_t count = 0;

        for (size_t i = 0; i < data->trip_count; i++)
            count += data->trips[i].at >= hour && data->trips[i].at < hour + 3600;
        if (count > most) {
            most = count;
            best = hour;
        }
    }
    return best;
}

/*
 * Cab trips, by time: the fleet starts where each cab's last trip before the busiest hour ended, or, for a
 * cab not seen before, where its first one starts. When more trips are wanted than the busiest hour has, the
 * hours around it (later ones first) join.
 */
static void read_cab_trips(Dataset *data, const Scenario *scenario, const char *directory, size_t wanted)
{
    typedef struct Cab {
        char id[16];
        double lat, lng;
    } Cab;
    Cab *cabs = xcalloc(2000, sizeof(Cab));
    char(*ids)[16] = NULL;
    DataVehicle *ends = NULL;
    size_t cab_count = 0, first, last;
    double start;
    Csv csv;

    csv_open(&csv, directory, scenario->trips_file);
    while (csv_next(&csv)) {
        size_t before = data->trip_count;

        add_trip(data, (DataTrip){csv_number(&csv, "pickup_ts_utc"), csv_number(&csv, "pickup_lat"),
                                  csv_number(&csv, "pickup_lng"), csv_number(&csv, "dropoff_lat"),
                                  csv_number(&csv, "dropoff_lng")});
        if (data->trip_count == before)
            continue;
        ids = xrealloc(ids, data->trip_count * sizeof(*ids));
        ends = xrealloc(ends, data->trip_count * sizeof(*ends));
        snprintf(ids[before], sizeof(ids[before]), "%s", csv_text(&csv, "cab_id"));
        ends[before].free_at = csv_number(&csv, "dropoff_ts_utc");
    }
    start = busiest_hour(data);
    for (first = 0; first < data->trip_count && data->trips[first].at < start;)
        first++;
    for (last = first; last < data->trip_count && data->trips[last].at < start + 3600;)
        last++;
    while (last < data->trip_count && last - first < wanted)
        last++;
    while (first > 0 && last - first < wanted)
        first--;
    for (size_t i = 0; i < last; i++) {
        const DataTrip *trip = &data->trips[i];
        bool before = i < first;
        size_t c = 0;

        while (c < cab_count && strcmp(cabs[c].id, ids[i]) != 0)
            c++;
        if (c == cab_count && cab_count < 2000)
            memcpy(cabs[cab_count++].id, ids[i], sizeof(cabs[0].id));
        else if (!before)
            continue;
        cabs[c].lat = before ? trip->dropoff_lat : trip->pickup_lat;
        cabs[c].lng = before ? trip->dropoff_lng : trip->pickup_lng;
    }
    for (size_t c = 0; c < cab_count; c++)
        add_vehicle(data, (DataVehicle){0, cabs[c].lat, cabs[c].lng});
    memmove(data->trips, data->trips + first, (last - first) * sizeof(DataTrip));
    data->trip_count = last - first;
    free(cabs);
    free(ids);
    free(ends);
}

static int by_time(const void *a, const void *b)
{
    double x = ((const DataTrip *)a)->at, y = ((const DataTrip *)b)->at;

    return (x > y) - (x < y);
}

static int by_free_time(const void *a, const void *b)
{
    double x = ((const DataVehicle *)a)->free_at, y = ((const DataVehicle *)b)->free_at;

    return (x > y) - (x < y);
}

/* Keep `wanted` of `count` elements, uniformly, in their order (Knuth, TAOCP 2, 3.4.2, algorithm S). */
static size_t thin(void *base, size_t count, size_t size, size_t wanted)
{
    size_t kept = 0;
    char *bytes = base;

    for (size_t i = 0; i < count; i++)
        if ((double)(count - i) * random_unit() < (double)(wanted - kept))
            memmove(bytes + size * kept++, bytes + size * i, size);
    return kept;
}

/* The fleet: taxis that are free when the replay starts come first, later ones only if those don't suffice.
 */
static void choose_vehicles(Dataset *data, double start, size_t drivers)
{
    size_t free_count = 0;

    qsort(data->vehicles, data->vehicle_count, sizeof(DataVehicle), by_free_time);
    while (free_count < data->vehicle_count && data->vehicles[free_count].free_at <= start)
        free_count++;
    if (free_count >= drivers)
        data->vehicle_count = thin(data->vehicles, free_count, sizeof(DataVehicle), drivers);
    else if (data->vehicle_count > drivers)
        data->vehicle_count = drivers;
}

static const Scenario *find_scenario(const char *name)
{
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    die("no scenario %s (nyc, sf, sample)", name);
}

Dataset data_load(const DataWish *wish)
{
    const Scenario *scenario = find_scenario(wish->scenario);
    Dataset data = scenario->place;

    longest_m = wish->longest_m;
    if (scenario->vehicles_file) {
        read_requests(&data, scenario, wish->directory);
        read_vehicles(&data, scenario, wish->directory);
    } else {
        read_cab_trips(&data, scenario, wish->directory, wish->trips);
    }
    if (data.trip_count == 0 || data.vehicle_count == 0)
        die("no trips or no vehicles in the data");
    qsort(data.trips, data.trip_count, sizeof(DataTrip), by_time);
    for (size_t i = 0; wish->minutes > 0 && i < data.trip_count; i++)
        if (data.trips[i].at >= data.trips[0].at + 60 * wish->minutes)
            data.trip_count = i;
    if (wish->trips < data.trip_count)
        data.trip_count = thin(data.trips, data.trip_count, sizeof(DataTrip), wish->trips);
    choose_vehicles(&data, data.trips[0].at, wish->drivers);
    return data;
}
