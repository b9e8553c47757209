/* What a way is expected to take; see eta.h. */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "geo/geo.h"
#include "pricing/book.h"
#include "pricing/eta.h"

static const BookRegion *region_figures(int16 id)
{
    const BookRegion *region = book_region(id);

    if (region == NULL)
        elog(ERROR, "there is no region %d", id);
    return region;
}

/* Until anything is known: 80 % of trips take from 0.5 to 2 times what the mean speed says. */
#define DEFAULT_SPREAD 2.0

static int whole(double value)
{
    return value >= INT_MAX ? INT_MAX : (int)rint(value);
}

EtaGuess eta_guess(int16 region_id, double from_lat, double from_lng, double to_lat, double to_lng,
                   TimestampTz at)
{
    const BookRegion *region = region_figures(region_id);
    double metres = geo_distance_m(from_lat, from_lng, to_lat, to_lng);
    double seconds = eta_seconds(metres, region->distance_factor, region->speed_kmh);

    return (EtaGuess){.distance_m = whole(eta_road_m(metres, region->distance_factor)),
                      .duration_s = whole(seconds),
                      .low_s = whole(seconds / DEFAULT_SPREAD),
                      .high_s = whole(seconds * DEFAULT_SPREAD),
                      .source = ETA_FROM_DEFAULT,
                      .seconds = seconds};
}

EtaGuess eta_pickup(int16 region_id, double driver_lat, double driver_lng, double pickup_lat,
                    double pickup_lng, TimestampTz at)
{
    return eta_guess(region_id, driver_lat, driver_lng, pickup_lat, pickup_lng, at);
}

EtaGuess eta_route_guess(int16 region_id, double from_lat, double from_lng, double to_lat, double to_lng,
                         TimestampTz at)
{
    return eta_guess(region_id, from_lat, from_lng, to_lat, to_lng, at);
}

const char *eta_source_name(EtaSource source)
{
    static const char *const names[] = {"default", "region", "hour", "learnt", "road"};

    return names[source];
}
