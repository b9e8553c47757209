/* What a trip costs now; see price.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "geo/geo.h"
#include "geofence/geofence.h"
#include "identity/session.h"
#include "live/live.h"
#include "pricing/price.h"
#include "pricing/pricing.h"

static double lat(const PricePlaces *places, int stop)
{
    return places->degrees[2 * stop];
}

static double lng(const PricePlaces *places, int stop)
{
    return places->degrees[2 * stop + 1];
}

static void check_length(const PricePlaces *places)
{
    const char *field = places->is_job ? "stops" : "dropoff_lat";
    double metres = 0;

    for (int i = 1; i < places->stops; i++)
        metres += geo_distance_m(lat(places, i - 1), lng(places, i - 1), lat(places, i), lng(places, i));
    if (metres < hail_min_trip_m)
        ereport(
            ERROR, hail_error(HAIL_INVALID_VALUE),
            errmsg(places->is_job ? "all stops are the same place" : "pickup and dropoff are the same place"),
            hail_field(field),
            errhint(places->is_job ? "The way over them must be at least %d m long."
                                   : "They must be at least %d m apart.",
                    hail_min_trip_m));
    if (metres > hail_max_trip_km * 1000.0)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg(places->is_job ? "the way over the stops is too long"
                                      : "pickup and dropoff are too far apart"),
                hail_field(field),
                errhint(places->is_job ? "It may be at most %d km long." : "They may be at most %d km apart.",
                        hail_max_trip_km));
}

static void check_restricted(const PricePlaces *places)
{
    for (int i = 0; i < places->stops; i++) {
        const char *what = i == 0                   ? "pickup"
                           : i == places->stops - 1 ? "dropoff"
                                                    : psprintf("stop %d", i + 1);

        if (geofence_restricted(lat(places, i), lng(places, i)))
            ereport(ERROR, hail_error(HAIL_RESTRICTED_AREA), errmsg("%s lies in a restricted area", what),
                    hail_field(places->is_job ? psprintf("stops[%d].lat", i) : psprintf("%s_lat", what)),
                    errhint("Choose a place outside the area; hail.geofences shows it."));
    }
}

static const BookRegion *region_at_pickup(const PricePlaces *places)
{
    int16 id;

    if (!geofence_region_at(lat(places, 0), lng(places, 0), &id))
        ereport(ERROR, hail_error(HAIL_OUTSIDE_SERVICE_AREA), errmsg("pickup is outside every service area"),
                hail_field(places->is_job ? "stops[0].lat" : "pickup_lat"));
    return book_region(id);
}

static const BookRegion *region_by_code(const PricePlaces *places, const char *code)
{
    const BookRegion *region = book_region_by_code(code);

    if (region == NULL)
        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("region does not exist"), hail_field("region"));
    if (!geofence_region_covers(region->id, lat(places, 0), lng(places, 0)))
        ereport(ERROR, hail_error(HAIL_OUTSIDE_SERVICE_AREA), errmsg("pickup is outside the region"),
                hail_field("pickup_lat"));
    return region;
}

/* Legs follow each other: a later one is driven at its time of the day. */
static EtaGuess way_over(const PriceTrip *trip)
{
    const PricePlaces *places = &trip->places;
    EtaGuess way = eta_route_guess(trip->region->id, lat(places, 0), lng(places, 0), lat(places, 1),
                                   lng(places, 1), trip->at);

    for (int i = 2; i < places->stops; i++) {
        EtaGuess leg =
            eta_route_guess(trip->region->id, lat(places, i - 1), lng(places, i - 1), lat(places, i),
                            lng(places, i), trip->at + way.duration_s * USECS_PER_SEC);

        way.distance_m += leg.distance_m;
        way.duration_s += leg.duration_s;
        way.low_s += leg.low_s;
        way.high_s += leg.high_s;
        way.source = Min(way.source, leg.source);
    }
    return way;
}

void price_trip(PriceTrip *trip, PricePlaces places, const char *region, const pg_uuid_t *customer)
{
    trip->places = places;
    trip->customer = customer;
    trip->at = hail_now();
    check_length(&places);
    check_restricted(&places);
    trip->region = region == NULL ? region_at_pickup(&places) : region_by_code(&places, region);
    if (trip->region == NULL) /* gone since its boundary was read */
        ereport(ERROR, hail_error(HAIL_OUTSIDE_SERVICE_AREA), errmsg("pickup is outside every service area"));
    trip->way = way_over(trip);
    trip->surge =
        surge_multiplier_at(trip->region->id, trip->region->hexagon_size_m, lat(&places, 0), lng(&places, 0));
    trip->time_multiplier = book_time_multiplier(trip->region, trip->at);
    trip->event_multiplier = book_event_multiplier(trip->region, lat(&places, 0), lng(&places, 0), trip->at);
}

static char *time_text(TimestampTz at)
{
    const int utc = 0;
    char *text = palloc(MAXDATELEN + 1);

    return JsonEncodeDateTime(text, TimestampTzGetDatum(at), TIMESTAMPTZOID, &utc);
}

/* For those who make price lists: since when there is none, and from when there is one again. */
static char *when_priced(const PriceTrip *trip, const BookClass *class)
{
    TimestampTz ended = DT_NOBEGIN, begins = DT_NOEND;

    for (int i = 0; i < trip->region->fare_count; i++) {
        const BookFare *fare = &trip->region->fares[i];

        if (fare->class->id != class->id || fare->from >= fare->to)
            continue;
        if (fare->to <= trip->at)
            ended = Max(ended, fare->to);
        else
            begins = Min(begins, fare->from);
    }
    if (begins != DT_NOEND)
        return psprintf("Its price list begins at %s.", time_text(begins));
    return ended == DT_NOBEGIN ? "hail.set_fare() gives it one."
                               : psprintf("Its price list ended at %s.", time_text(ended));
}

static void refuse_class(const PriceTrip *trip, const BookClass *class, const char *field)
{
    HailRole role = hail_actor().role;
    bool operates = role == HAIL_ROLE_ADMIN || role == HAIL_ROLE_ANALYST;

    ereport(ERROR, hail_error(HAIL_UNKNOWN_CLASS),
            errmsg("service class %s has no fare in region %s", class->code, trip->region->code),
            hail_field(field), errhint("%s", operates ? when_priced(trip, class) : "Choose another class."));
}

static int64 price_at(const PriceTrip *trip, const Price *price, int duration_s, FareAmounts *amounts)
{
    FareRates rates = price->fare->rates;
    FareTrip way = {
        trip->way.distance_m,     duration_s, trip->surge, trip->time_multiplier, trip->event_multiplier,
        price->variant.multiplier};

    rates.booking_fee = price->booking_fee;
    if (!fare_price(&rates, &way, amounts))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("fare is out of range"),
                errhint("Check the price list and the multipliers."));
    return amounts->total;
}

Price price_class(const PriceTrip *trip, const BookClass *class, const char *field)
{
    Price price = {.fare = book_fare(trip->region, class, trip->at), .variant = {0, 100}};
    FareAmounts unused;

    if (price.fare == NULL)
        refuse_class(trip, class, field);
    if (trip->customer != NULL)
        price.variant = book_variant(trip->region, class, trip->customer);
    price.booking_fee = price.fare->rates.booking_fee + price.fare->stop_fee * (trip->places.stops - 2);
    price_at(trip, &price, trip->way.duration_s, &price.amounts);
    price.low = price_at(trip, &price, trip->way.low_s, &unused);
    price.high = price_at(trip, &price, trip->way.high_s, &unused);
    return price;
}

const BookClass *price_find_class(const char *code, const char *field)
{
    const BookClass *class = code == NULL ? NULL : book_class(code);

    if (class == NULL)
        ereport(ERROR, hail_error(HAIL_UNKNOWN_CLASS), errmsg("service class does not exist"),
                hail_field(field));
    return class;
}

static void refuse_classes(const char *message, const char *field, const char *hint)
{
    ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s", message), hail_field(field),
            errhint("%s", hint));
}

static int classes_in_force(const PriceTrip *trip, const BookClass **classes)
{
    int count = 0;

    for (int i = 0; i < trip->region->fare_count && count < PRICE_ALL_CLASSES; i++) {
        const BookFare *fare = &trip->region->fares[i];

        if (fare->from <= trip->at && trip->at < fare->to)
            classes[count++] = fare->class;
    }
    return count;
}

int price_find_classes(const PriceTrip *trip, ArrayType *codes, const char *field, const BookClass **classes)
{
    Datum *elements;
    bool *nulls;
    int count;

    if (codes == NULL)
        return classes_in_force(trip, classes);
    deconstruct_array(codes, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
    if (count == 0)
        refuse_classes("no service class is named", field,
                       "Name one, or leave the list out for every class.");
    if (count > PRICE_MAX_CLASSES)
        refuse_classes("too many service classes are named", field,
                       psprintf("Name %d at most.", PRICE_MAX_CLASSES));
    for (int i = 0; i < count; i++) {
        const BookClass *class = price_find_class(nulls[i] ? NULL : TextDatumGetCString(elements[i]), field);
        int place = i;

        for (; place > 0 && classes[place - 1]->id >= class->id; place--)
            classes[place] = classes[place - 1];
        if (place < i && classes[place + 1]->id == class->id)
            refuse_classes("a service class is named twice", field, "Name each once.");
        classes[place] = class;
    }
    return count;
}

static int seconds_to_pickup(const PriceTrip *trip, const LiveHit *driver)
{
    return eta_pickup(trip->region->id, driver->lat, driver->lng, lat(&trip->places, 0),
                      lng(&trip->places, 0), trip->at)
        .duration_s;
}

/* The same driver may be the nearest of several classes: its way is asked for once. */
static int seconds_of_hit(const PriceTrip *trip, const LiveHit *hits, const bool *found, int hit,
                          const int *seconds)
{
    for (int i = 0; i < hit; i++)
        if (found[i] && memcmp(&hits[i].driver_id, &hits[hit].driver_id, UUID_LEN) == 0)
            return seconds[i];
    return seconds_to_pickup(trip, &hits[hit]);
}

void price_pickup_etas(const PriceTrip *trip, const BookClass *const *classes, int count, int *seconds)
{
    LiveSearch search = {.lat = lat(&trip->places, 0),
                         .lng = lng(&trip->places, 0),
                         .radius_m = hail_pickup_eta_radius_m,
                         .area_mask = LIVE_ANY_AREA,
                         .brief = true};
    LiveHit hits[PRICE_ALL_CLASSES];
    bool found[PRICE_ALL_CLASSES] = {false};
    int ids[PRICE_ALL_CLASSES];

    for (int i = 0; i < count; i++)
        ids[i] = classes[i]->id;
    if (count > 0 && !live_warming())
        live_search_nearest(&search, ids, count, hits, found);
    for (int i = 0; i < count; i++)
        seconds[i] = found[i] ? seconds_of_hit(trip, hits, found, i, seconds) : -1;
}
