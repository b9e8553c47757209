/*
 * A customer and its trip: look around, quote, request, poll until matched, read the pickup code, look again
 * from time to time until it is over; some cancel on the way.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "http.h"

#define POLL_SEARCHING_S 3
#define POLL_MATCHED_S   20

static void customer_step(void *arg);
static void ask_quote(void *arg);

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* The object itself, or its member of that name when the answer is wrapped. */
static json_t *unwrap(json_t *data, const char *name)
{
    json_t *member = json_object_get(data, name);

    return json_is_object(member) ? member : data;
}

static const char *text(json_t *data, const char *name)
{
    return json_string_value(json_object_get(data, name));
}

static void customer_later(Trip *trip, double seconds)
{
    timer_add(clock_now() + seconds, customer_step, trip);
}

/* First come, first served: who has just travelled comes back last. */
static void release(Customer *customer)
{
    customer->next_idle = NULL;
    *sim.idle_tail = customer;
    sim.idle_tail = &customer->next_idle;
}

static void trip_over(Trip *trip, const char *outcome)
{
    snprintf(trip->outcome, sizeof(trip->outcome), "%s", outcome);
    trip->stage = TRIP_OVER;
    release(trip->customer);
    sim.over++;
    if (is(outcome, "completed"))
        sim.completed++;
    else if (is(outcome, "cancelled"))
        sim.cancelled++;
    else if (is(outcome, "no_drivers"))
        sim.no_drivers++;
    else
        sim.refused++;
}

static void on_code(void *who, const HttpReply *reply)
{
    Trip *trip = who;
    const char *code = text(unwrap(reply->data, "trip"), "pickupCode");

    if (*reply->code)
        http_count_error(EP_TRIP, reply, false);
    if (code)
        snprintf(trip->code, sizeof(trip->code), "%s", code);
    customer_later(trip, trip->code[0] ? POLL_MATCHED_S : POLL_SEARCHING_S);
}

static void get_trip(Trip *trip, HttpDone done)
{
    char *path = xasprintf("/trips/%s", trip->id);

    http_send(EP_TRIP, "GET", path, trip->customer->person.token, NULL, NULL, done, trip);
    free(path);
}

/* What the server says of the trip, from either way of asking. */
static void follow(Trip *trip, const char *state)
{
    bool matched = is(state, "matched") || is(state, "arrived") || is(state, "started");

    if (is(state, "completed") || is(state, "cancelled") || is(state, "no_drivers") ||
        is(state, "payment_failed")) {
        trip_over(trip, state);
        return;
    }
    if (matched && trip->stage != TRIP_MATCHED) {
        trip->stage = TRIP_MATCHED;
        sim.matched++;
        if (trip->cancel_at > 0 && trip->cancel_matched)
            trip->cancel_at = clock_now() + random_between(5, 90);
        trip->code[0] = '\0';
        get_trip(trip, on_code);
        return;
    }
    if (is(state, "searching") && trip->stage == TRIP_MATCHED) {
        trip->stage = TRIP_SEARCHING;
        sim.matched--;
        trip->code[0] = '\0';
    }
    customer_later(trip, trip->stage == TRIP_MATCHED ? POLL_MATCHED_S : POLL_SEARCHING_S);
}

static void on_matching(void *who, const HttpReply *reply)
{
    if (*reply->code)
        http_count_error(EP_MATCHING, reply, false);
    follow(who, text(reply->data, "state"));
}

static void on_trip(void *who, const HttpReply *reply)
{
    Trip *trip = who;
    json_t *data = unwrap(reply->data, "trip");
    const char *code = text(data, "pickupCode");

    if (*reply->code)
        http_count_error(EP_TRIP, reply, false);
    if (code)
        snprintf(trip->code, sizeof(trip->code), "%s", code);
    follow(trip, text(data, "state"));
}

/* Too late to cancel (matched meanwhile, or started): the trip goes on. */
static void on_cancel(void *who, const HttpReply *reply)
{
    Trip *trip = who;

    if (*reply->code)
        http_count_error(trip->cancel_matched ? EP_STATUS : EP_CANCEL, reply,
                         is(reply->code, "wrong_state") || is(reply->code, "trip_taken"));
    trip->cancel_at = 0;
    get_trip(trip, on_trip);
}

static void cancel(Trip *trip)
{
    char *path = xasprintf("/trips/%s/%s", trip->id, trip->cancel_matched ? "status" : "cancel-search");

    http_send(trip->cancel_matched ? EP_STATUS : EP_CANCEL, "POST", path, trip->customer->person.token, NULL,
              trip->cancel_matched ? "{\"status\":\"cancelled\",\"reason\":\"changed my mind\"}"
                                   : "{\"reason\":\"took too long\"}",
              on_cancel, trip);
    free(path);
}

static void on_request(void *who, const HttpReply *reply)
{
    Trip *trip = who;
    json_t *data = unwrap(reply->data, "trip");
    const char *id = text(data, "id");

    if (!id) {
        bool expected = is(reply->code, "insufficient_balance") && trip->customer->poor;

        http_count_error(EP_REQUEST, reply, expected);
        if (is(reply->code, "quote_expired") || is(reply->code, "quote_changed"))
            timer_add(clock_now() + 1, ask_quote, trip);
        else
            trip_over(trip, reply->code);
        return;
    }
    snprintf(trip->id, sizeof(trip->id), "%s", id);
    sim_index_trip(trip);
    trip->stage = TRIP_SEARCHING;
    if (random_chance(sim.options.cancel)) {
        trip->cancel_matched = random_chance(0.5);
        trip->cancel_at = clock_now() + random_between(2, 30);
    }
    customer_later(trip, POLL_SEARCHING_S);
}

static void on_quote(void *who, const HttpReply *reply)
{
    Trip *trip = who;
    const char *id = text(unwrap(reply->data, "quote"), "id");
    char *body, *key, *strategy;

    if (!id) {
        http_count_error(EP_QUOTE, reply, false);
        trip_over(trip, *reply->code ? reply->code : "no_quote");
        return;
    }
    snprintf(trip->quote_id, sizeof(trip->quote_id), "%s", id);
    strategy = sim.options.strategy ? xasprintf(",\"strategy\":\"%s\"", sim.options.strategy) : xstrdup("");
    body = xasprintf("{\"quoteId\":\"%s\",\"paymentMethod\":\"%s\"%s}", id,
                     trip->customer->cash ? "cash" : "wallet", strategy);
    key = xasprintf("trip-%s", id);
    http_send(EP_REQUEST, "POST", "/trips/request", trip->customer->person.token, key, body, on_request,
              trip);
    free(strategy);
    free(body);
    free(key);
}

static void ask_quote(void *arg)
{
    Trip *trip = arg;
    const DataTrip *d = trip->data;
    char *body = xasprintf("{\"pickup\":{\"lat\":%.6f,\"lng\":%.6f},\"dropoff\":{\"lat\":%.6f,\"lng\":%.6f},"
                           "\"serviceClass\":\"%s\"}",
                           d->pickup_lat, d->pickup_lng, d->dropoff_lat, d->dropoff_lng, trip->service_class);

    http_send(EP_QUOTE, "POST", "/pricing/quote", trip->customer->person.token, NULL, body, on_quote, trip);
    free(body);
}

static void on_look(void *who, const HttpReply *reply)
{
    if (*reply->code)
        http_count_error(EP_NEARBY, reply, false);
    ask_quote(who);
}

static void on_surge(void *who, const HttpReply *reply)
{
    (void)who;
    if (*reply->code)
        http_count_error(EP_SURGE, reply, false);
}

static void begin(void *arg)
{
    Trip *trip = arg;
    const DataTrip *d = trip->data;
    char *path;

    if (!sim.idle_customers) {
        timer_add(clock_now() + 5, begin, trip);
        return;
    }
    trip->customer = sim.idle_customers;
    sim.idle_customers = trip->customer->next_idle;
    if (!sim.idle_customers)
        sim.idle_tail = &sim.idle_customers;
    trip->stage = TRIP_ASKING;
    sim.asked++;
    if (random_chance(0.02)) {
        path = xasprintf("/pricing/surge-map?lat=%.6f&lng=%.6f&radius=3000", d->pickup_lat, d->pickup_lng);
        http_send(EP_SURGE, "GET", path, trip->customer->person.token, NULL, NULL, on_surge, NULL);
        free(path);
    }
    if (random_chance(0.5)) {
        path = xasprintf("/location/nearby?lat=%.6f&lng=%.6f&radius=2000", d->pickup_lat, d->pickup_lng);
        http_send(EP_NEARBY, "GET", path, trip->customer->person.token, NULL, NULL, on_look, trip);
        free(path);
    } else {
        ask_quote(trip);
    }
}

static void customer_step(void *arg)
{
    Trip *trip = arg;
    char *path;

    if (trip->stage == TRIP_OVER)
        return;
    if (trip->cancel_at > 0 && clock_now() >= trip->cancel_at &&
        trip->cancel_matched == (trip->stage == TRIP_MATCHED)) {
        cancel(trip);
        return;
    }
    if (trip->stage == TRIP_MATCHED) {
        get_trip(trip, on_trip);
        return;
    }
    path = xasprintf("/trips/%s/matching-status", trip->id);
    http_send(EP_MATCHING, "GET", path, trip->customer->person.token, NULL, NULL, on_matching, trip);
    free(path);
}

void customers_start(void)
{
    for (size_t i = 0; i < sim.customer_count; i++) {
        /* in random order, so that not the same few come again and again */
        size_t j = i + (size_t)(random_unit() * (double)(sim.customer_count - i));
        Customer c = sim.customers[i];

        sim.customers[i] = sim.customers[j];
        sim.customers[j] = c;
    }
    sim.idle_tail = &sim.idle_customers;
    for (size_t i = 0; i < sim.customer_count; i++)
        release(&sim.customers[i]);
    for (size_t i = 0; i < sim.trip_count; i++)
        timer_add(sim.trips[i].data->at, begin, &sim.trips[i]);
}
