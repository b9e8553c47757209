/*
 * A driver: online, reporting its position; offers arrive with the answers to reports; think, accept or not;
 * drive to the pickup, board, drive to the dropoff, complete. One request at a time.
 */
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "geo/geo.h"
#include "http.h"

static void driver_step(void *arg);
static void resync(Driver *driver);

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static void later(Driver *driver, double at)
{
    timer_add(at, driver_step, driver);
}

static double jitter(double seconds)
{
    return seconds * random_between(0.85, 1.15);
}

static bool driving(const Driver *driver)
{
    return driver->stage == DRIVER_TO_PICKUP || driver->stage == DRIVER_TO_DROPOFF;
}

/* Where the driver is now: on a straight line, covered as slowly as the road's detours make it. */
static void locate(Driver *driver)
{
    double share;

    if (!driving(driver))
        return;
    share = driver->leg_end > driver->leg_start
                ? (clock_now() - driver->leg_start) / (driver->leg_end - driver->leg_start)
                : 1;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    driver->lat = driver->from_lat + share * (driver->to_lat - driver->from_lat);
    driver->lng = driver->from_lng + share * (driver->to_lng - driver->from_lng);
}

static void drive(Driver *driver, DriverStage stage, double lat, double lng)
{
    double metres = geo_distance_m(driver->lat, driver->lng, lat, lng);
    double north = lat - driver->lat, east = (lng - driver->lng) * cos(lat * M_PI / 180);

    driver->stage = stage;
    driver->from_lat = driver->lat;
    driver->from_lng = driver->lng;
    driver->to_lat = lat;
    driver->to_lng = lng;
    driver->heading = fmod(atan2(east, north) * 180 / M_PI + 360, 360);
    driver->leg_start = clock_now();
    driver->leg_end = driver->leg_start + metres * sim.road_factor / sim.speed_mps;
}

/* When to report next on a trip: after the interval, or at the end of the drive if that comes first. */
static void next_report(Driver *driver)
{
    double at = clock_now() + jitter(sim.options.trip_interval);

    if (driving(driver) && at > driver->leg_end)
        at = driver->leg_end;
    if (driver->stage == DRIVER_BOARDING && at > driver->board_until)
        at = driver->board_until;
    later(driver, at);
}

static void become_idle(Driver *driver)
{
    locate(driver);
    if (driver->trip)
        sim.driving--;
    driver->trip = NULL;
    driver->offer = NULL;
    driver->stage = DRIVER_IDLE;
    later(driver, clock_now() + jitter(1));
}

static void begin_trip(Driver *driver, Trip *trip)
{
    driver->trip = trip;
    driver->offer = NULL;
    sim.driving++;
    drive(driver, DRIVER_TO_PICKUP, trip->data->pickup_lat, trip->data->pickup_lng);
    driver->cancel_at = random_chance(sim.options.driver_cancel)
                            ? random_between(driver->leg_start, driver->leg_end)
                            : INFINITY;
    driver->try_wrong_code = random_chance(0.05);
    next_report(driver);
}

static void board(Driver *driver)
{
    locate(driver);
    driver->stage = DRIVER_BOARDING;
    driver->board_until = clock_now() + random_between(30, 60);
    next_report(driver);
}

static void go_to_dropoff(Driver *driver)
{
    drive(driver, DRIVER_TO_DROPOFF, driver->trip->data->dropoff_lat, driver->trip->data->dropoff_lng);
    next_report(driver);
}

static void post_status(Driver *driver, const char *status, const char *code, const char *key, HttpDone done)
{
    char *path = xasprintf("/trips/%s/status", driver->trip->id);
    char *body = code ? xasprintf("{\"status\":\"%s\",\"pickupCode\":\"%s\"}", status, code)
                      : xasprintf("{\"status\":\"%s\"}", status);

    http_send(EP_STATUS, "POST", path, driver->person.token, key, body, done, driver);
    free(path);
    free(body);
}

/* The trip's state as the driver sees it, after something unexpected. */
static void on_resync(void *who, const HttpReply *reply)
{
    Driver *driver = who;
    json_t *trip = json_object_get(reply->data, "trip");
    const char *state, *of;

    if (!json_is_object(trip))
        trip = reply->data;
    state = json_string_value(json_object_get(trip, "state"));
    of = json_string_value(json_object_get(trip, "driverId"));
    if (*reply->code)
        http_count_error(EP_TRIP, reply, is(reply->code, "not_found"));
    if (reply->status == 0 || reply->status >= 500) {
        later(driver, clock_now() + sim.options.trip_interval);
    } else if (!state || !is(of, driver->person.id) || is(state, "cancelled") || is(state, "searching")) {
        sim.lost_races++;
        become_idle(driver);
    } else if (is(state, "completed")) {
        driver->completed++;
        become_idle(driver);
    } else if (is(state, "arrived") && driver->stage == DRIVER_TO_PICKUP) {
        board(driver);
    } else if (is(state, "started") && driver->stage != DRIVER_TO_DROPOFF) {
        go_to_dropoff(driver);
    } else {
        later(driver, clock_now() + jitter(2));
    }
}

static void resync(Driver *driver)
{
    char *path = xasprintf("/trips/%s", driver->trip->id);

    http_send(EP_TRIP, "GET", path, driver->person.token, NULL, NULL, on_resync, driver);
    free(path);
}

/* A refused step of a trip: expected when the customer cancelled meanwhile; the trip tells. */
static void refused(Driver *driver, const HttpReply *reply)
{
    http_count_error(EP_STATUS, reply,
                     is(reply->code, "wrong_state") || is(reply->code, "not_found") ||
                         (sim.options.crash && reply->sent > 1));
    resync(driver);
}

static void on_arrived(void *who, const HttpReply *reply)
{
    if (*reply->code)
        refused(who, reply);
    else
        board(who);
}

static void on_started(void *who, const HttpReply *reply)
{
    if (*reply->code)
        refused(who, reply);
    else
        go_to_dropoff(who);
}

static void on_wrong_code(void *who, const HttpReply *reply)
{
    Driver *driver = who;

    driver->try_wrong_code = false;
    http_count_error(EP_STATUS, reply, true);
    if (is(reply->code, "wrong_pickup_code")) {
        sim.wrong_codes++;
        later(driver, clock_now() + 3);
    } else {
        sim.contradictions += !*reply->code;
        resync(driver);
    }
}

static void on_completed(void *who, const HttpReply *reply)
{
    Driver *driver = who;

    driver->completions_out--;
    if (*reply->code) {
        http_count_error(EP_STATUS, reply, is(reply->code, "wrong_state") && reply->sent > 1);
        driver->retried = true;
    }
    if (driver->completions_out > 0)
        return;
    if (driver->retried) {
        driver->retried = false;
        resync(driver);
    } else {
        driver->completed++;
        become_idle(driver);
    }
}

static void on_given_back(void *who, const HttpReply *reply)
{
    Driver *driver = who;

    driver->cancel_at = INFINITY;
    if (*reply->code) {
        refused(driver, reply);
        return;
    }
    sim.driver_cancels++;
    become_idle(driver);
}

static void start_trip(Driver *driver)
{
    Trip *trip = driver->trip;
    char wrong[8];

    if (!trip->code[0]) { /* the customer has not looked at its phone yet */
        driver->board_until = clock_now() + 2;
        later(driver, driver->board_until);
        return;
    }
    if (driver->try_wrong_code) {
        snprintf(wrong, sizeof(wrong), "%04d", (atoi(trip->code) + 1 + (int)(random_unit() * 9998)) % 10000);
        post_status(driver, "started", wrong, NULL, on_wrong_code);
    } else {
        post_status(driver, "started", trip->code, NULL, on_started);
    }
}

static void complete(Driver *driver)
{
    char *key = xasprintf("complete-%s", driver->trip->id);
    int times = random_chance(0.05) ? 2 : 1;

    sim.double_completions += times - 1;
    driver->completions_out = times;
    while (times-- > 0)
        post_status(driver, "completed", NULL, key, on_completed);
    free(key);
}

/* The next step of a trip after a report, if it is time for one. */
static void advance(Driver *driver)
{
    double now = clock_now();

    if (driver->stage == DRIVER_TO_PICKUP && now >= driver->cancel_at)
        post_status(driver, "cancelled", NULL, NULL, on_given_back);
    else if (driver->stage == DRIVER_TO_PICKUP && now >= driver->leg_end)
        post_status(driver, "arrived", NULL, NULL, on_arrived);
    else if (driver->stage == DRIVER_BOARDING && now >= driver->board_until)
        start_trip(driver);
    else if (driver->stage == DRIVER_TO_DROPOFF && now >= driver->leg_end)
        complete(driver);
    else
        next_report(driver);
}

static void on_accept(void *who, const HttpReply *reply)
{
    Driver *driver = who;

    if (!*reply->code) {
        begin_trip(driver, driver->offer);
        return;
    }
    http_count_error(EP_RESPONSE, reply,
                     is(reply->code, "trip_taken") || is(reply->code, "offer_closed") ||
                         is(reply->code, "offer_expired") || is(reply->code, "wrong_state") ||
                         is(reply->code, "driver_busy"));
    sim.lost_races++;
    become_idle(driver);
}

static void on_decline(void *who, const HttpReply *reply)
{
    if (*reply->code)
        http_count_error(EP_RESPONSE, reply,
                         is(reply->code, "trip_taken") || is(reply->code, "offer_closed") ||
                             is(reply->code, "offer_expired") || is(reply->code, "wrong_state"));
    become_idle(who);
}

static void respond(Driver *driver)
{
    char *path = xasprintf("/trips/%s/driver-response", driver->offer->id);

    http_send(EP_RESPONSE, "POST", path, driver->person.token, NULL,
              driver->accepts ? "{\"response\":\"accept\"}"
                              : "{\"response\":\"decline\",\"reason\":\"too far\"}",
              driver->accepts ? on_accept : on_decline, driver);
    free(path);
}

static void on_offers(void *who, const HttpReply *reply)
{
    Driver *driver = who;
    json_t *offers = json_is_array(reply->data) ? reply->data : json_object_get(reply->data, "offers");
    json_t *offer = json_array_get(offers, 0);
    json_t *nested = json_object_get(offer, "trip");
    const char *id = json_string_value(json_object_get(offer, "tripId"));
    double mood = random_unit();

    if (!id)
        id = json_string_value(json_object_get(nested, "id"));
    if (*reply->code)
        http_count_error(EP_OFFERS, reply, false);
    driver->offer = id ? sim_find_trip(id) : NULL;
    if (!driver->offer) { /* gone meanwhile, or the customer's own answer is still on its way */
        later(driver, clock_now() + 2);
    } else if (mood < sim.options.ignore) {
        driver->deaf_until = clock_now() + 20;
        driver->offer = NULL;
        later(driver, clock_now() + jitter(sim.options.idle_interval));
    } else {
        driver->accepts = random_unit() < sim.options.accept;
        driver->stage = DRIVER_THINKING;
        later(driver, clock_now() + random_between(2, 6));
    }
}

static void on_online(void *who, const HttpReply *reply)
{
    Driver *driver = who;

    if (*reply->code) {
        http_count_error(EP_ONLINE, reply, false);
        later(driver, clock_now() + 5);
        return;
    }
    if (driver->stage == DRIVER_OUT)
        sim.online++;
    driver->stage = DRIVER_IDLE;
    later(driver, clock_now() + jitter(2));
}

static void on_offline(void *who, const HttpReply *reply)
{
    Driver *driver = who;

    if (*reply->code) {
        http_count_error(EP_ONLINE, reply, false);
        later(driver, clock_now() + 5);
        return;
    }
    sim.online--;
    driver->stage = DRIVER_GONE;
}

static void put_online(Driver *driver, bool online)
{
    char *body = online ? xasprintf("{\"online\":true,\"lat\":%.6f,\"lng\":%.6f}", driver->lat, driver->lng)
                        : xstrdup("{\"online\":false}");

    http_send(EP_ONLINE, "PUT", "/driver/online-status", driver->person.token, NULL, body,
              online ? on_online : on_offline, driver);
    free(body);
}

/* Count what the history must hold: the server said it applied this report to the trip. */
static void count_point(Driver *driver, const HttpReply *reply, const char *state)
{
    bool applied = json_is_true(json_object_get(reply->data, "applied"));

    if (!driver->trip)
        return;
    driver->trip->unsure += reply->sent - (reply->status == 0 ? 0 : 1);
    if (is(state, "busy") && applied) {
        driver->trip->points++;
        checks_note_point(driver->trip, wall_now());
    }
}

static void on_report(void *who, const HttpReply *reply)
{
    Driver *driver = who;
    const char *state = json_string_value(json_object_get(reply->data, "state"));
    json_int_t pending = json_integer_value(json_object_get(reply->data, "pendingOffers"));

    count_point(driver, reply, state);
    if (*reply->code)
        http_count_error(EP_LOCATION, reply, false);
    if (driver->trip) {
        if (!state || is(state, "busy"))
            advance(driver);
        else
            resync(driver);
    } else if (is(state, "offline")) {
        sim.presence_lapses++;
        put_online(driver, true);
    } else if (pending > 0 && clock_now() >= driver->deaf_until) {
        http_send(EP_OFFERS, "GET", "/driver/offers", driver->person.token, NULL, NULL, on_offers, driver);
    } else {
        later(driver, clock_now() + jitter(sim.options.idle_interval));
    }
}

static void report(Driver *driver)
{
    char *body;

    locate(driver);
    body = xasprintf("{\"lat\":%.6f,\"lng\":%.6f,\"heading\":%.1f,\"speed\":%.1f,\"accuracy\":5}",
                     driver->lat, driver->lng, driver->heading, driving(driver) ? sim.speed_mps * 3.6 : 0.0);
    http_send(EP_LOCATION, "POST", "/location/update", driver->person.token, NULL, body, on_report, driver);
    free(body);
}

static void driver_step(void *arg)
{
    Driver *driver = arg;

    if (driver->stage == DRIVER_GONE)
        return;
    if (driver->stage == DRIVER_OUT && !sim.closing)
        put_online(driver, true);
    else if (driver->stage == DRIVER_OUT)
        driver->stage = DRIVER_GONE;
    else if (driver->stage == DRIVER_IDLE && sim.closing)
        put_online(driver, false);
    else if (driver->stage == DRIVER_THINKING)
        respond(driver);
    else
        report(driver);
}

void drivers_start(void)
{
    double start = clock_now();

    for (size_t i = 0; i < sim.driver_count; i++) {
        Driver *driver = &sim.drivers[i];
        const DataVehicle *vehicle = &sim.data.vehicles[i];

        driver->lat = vehicle->lat;
        driver->lng = vehicle->lng;
        driver->online_at = start + random_between(0, 45);
        if (vehicle->free_at > driver->online_at)
            driver->online_at = vehicle->free_at;
        later(driver, driver->online_at);
    }
}
