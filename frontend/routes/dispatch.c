/* Endpoints of dispatch: trips and offers. */
#include "routes/routes.h"

#define TRIP_ID                                                                                              \
    {                                                                                                        \
        .name = "id", .source = IN_PATH, .type = TYPE_UUID, .required = true, .about = "trip"                \
    }
#define REASON                                                                                               \
    {                                                                                                        \
        .name = "reason", .type = TYPE_STRING, .min = 1, .max = 500                                          \
    }

/* The same key with the same body gives the same answer, marked as replayed. */
#define KEY                                                                                                  \
    {                                                                                                        \
        .name = "Idempotency-Key", .source = IN_HEADER, .type = TYPE_KEY, .required = true, .min = 1,        \
        .max = 200, .about = "bare or quoted; the same key with the same body gives the same answer"         \
    }
#define OPTIONAL_KEY                                                                                         \
    {                                                                                                        \
        .name = "Idempotency-Key", .source = IN_HEADER, .type = TYPE_KEY, .min = 1, .max = 200               \
    }
#define PAGE                                                                                                 \
    {.name = "state",                                                                                        \
     .source = IN_QUERY,                                                                                     \
     .type = TYPE_STRING,                                                                                    \
     .min = 1,                                                                                               \
     .max = 200,                                                                                             \
     .about = "one or more, with commas"},                                                                   \
        {.name = "service", .source = IN_QUERY, .type = TYPE_ENUM, .values = "ride|delivery|porter"},        \
        {.name = "from", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .about = "requested then or later"},    \
        {.name = "to", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .about = "requested before"},             \
        {.name = "limit", .source = IN_QUERY, .type = TYPE_INTEGER, .min = 1, .max = 100, .fallback = "20"}, \
    {                                                                                                        \
        .name = "cursor", .source = IN_QUERY, .type = TYPE_STRING, .min = 1, .max = 100,                     \
        .about = "nextCursor of the page before, with the same filters"                                      \
    }

#define LIST_SQL(customer, driver)                                                                           \
    "SELECT row_to_json(l.trip), l.next_cursor FROM hail.list_trips(" customer ", " driver                   \
    ", string_to_array($1, ','), $2, $3, $4, $5, $6) l"

/* What the caller is to the trip; the database decides whether that is true. */
#define CANCEL_SQL "SELECT row_to_json(t) FROM hail.cancel_trip($1, hail.current_role_name(), $2) t"

const Route dispatch_routes[] = {
    {.method = "POST",
     .path = API "/trips/request",
     .summary = "Book a trip at a quote's price and look for a driver",
     .sql = "SELECT row_to_json(t), k.replayed FROM hail.claim_trip_key($4, $1) k, "
            "LATERAL hail.request_trip($1, $2, $3, k.key) t",
     .params = {{.name = "quoteId", .type = TYPE_UUID, .required = true},
                {.name = "paymentMethod", .type = TYPE_ENUM, .required = true, .values = "wallet|cash"},
                {.name = "strategy", .type = TYPE_ENUM, .values = "first_accept", .fallback = "first_accept"},
                KEY},
     .status = 201,
     .roles = "customer",
     .repeatable = true,
     .keyed = true},
    {.method = "GET",
     .path = API "/trips/:id",
     .summary = "A trip of the caller",
     .sql = "SELECT row_to_json(t), concat(t.event_version, '-', to_hex(hash_record_extended(t, 0))) AS etag "
            "FROM hail.get_trip($1) t",
     .params = {TRIP_ID},
     .roles = "customer driver admin",
     .read_only = true,
     .etag = true},
    {.method = "GET",
     .path = API "/trips/:id/matching-status",
     .summary = "How the search for a driver goes",
     .sql =
         "SELECT row_to_json(t), to_hex(hash_record_extended(t, 0)) AS etag FROM hail.matching_status($1) t",
     .params = {TRIP_ID},
     .roles = "customer driver admin",
     .read_only = true,
     .etag = true},
    {.method = "POST",
     .path = API "/trips/:id/driver-response",
     .choice = "response",
     .chosen = "accept",
     .summary = "Accept the offer of a trip",
     .sql = "SELECT json_build_object('trip', row_to_json(t.trip), 'already_accepted', t.already_accepted) "
            "FROM hail.accept_offer($1, hail.current_subject(), $2) t",
     .params = {TRIP_ID, {.name = "response", .type = TYPE_ENUM, .required = true}, OPTIONAL_KEY},
     .roles = "driver",
     .repeatable = true},
    {.method = "POST",
     .path = API "/trips/:id/driver-response",
     .choice = "response",
     .chosen = "decline",
     .summary = "Decline the offer of a trip",
     .sql = "SELECT row_to_json(t) FROM hail.decline_offer($1, hail.current_subject(), $2) t",
     .params = {TRIP_ID, {.name = "response", .type = TYPE_ENUM, .required = true}, REASON},
     .roles = "driver"},
    {.method = "POST",
     .path = API "/trips/:id/status",
     .choice = "status",
     .chosen = "arrived",
     .summary = "The driver is at the pickup",
     .sql = "SELECT row_to_json(t) FROM hail.arrive($1) t",
     .params = {TRIP_ID, {.name = "status", .type = TYPE_ENUM, .required = true}},
     .roles = "driver"},
    {.method = "POST",
     .path = API "/trips/:id/status",
     .choice = "status",
     .chosen = "started",
     .summary = "The trip begins, with the customer's pickup code",
     .sql = "SELECT row_to_json(t) FROM hail.start_trip($1, $2) t",
     .params = {TRIP_ID,
                {.name = "status", .type = TYPE_ENUM, .required = true},
                {.name = "pickupCode", .type = TYPE_STRING, .required = true, .min = 4, .max = 4}},
     .roles = "driver"},
    {.method = "POST",
     .path = API "/trips/:id/status",
     .choice = "status",
     .chosen = "completed",
     .summary = "The trip is over; the fare moves",
     .sql = "SELECT row_to_json(t) FROM hail.complete_trip($1, $2) t",
     .params = {TRIP_ID, {.name = "status", .type = TYPE_ENUM, .required = true}, OPTIONAL_KEY},
     .roles = "driver",
     .repeatable = true},
    {.method = "POST",
     .path = API "/trips/:id/status",
     .choice = "status",
     .chosen = "cancelled",
     .summary = "Cancel; a driver's cancellation sends the trip back to searching",
     .sql = CANCEL_SQL,
     .params = {TRIP_ID, {.name = "status", .type = TYPE_ENUM, .required = true}, REASON},
     .roles = "customer driver admin"},
    {.method = "POST",
     .path = API "/trips/:id/cancel-search",
     .summary = "Stop looking for a driver",
     .sql = CANCEL_SQL,
     .params = {TRIP_ID, REASON},
     .roles = "customer admin"},
    {.method = "GET",
     .path = API "/driver/offers",
     .summary = "Offers waiting for the driver's answer",
     .sql = "SELECT row_to_json(t) FROM hail.driver_offers(hail.current_subject()) t",
     .shape = RESULT_LIST,
     .list_name = "offers",
     .roles = "driver",
     .read_only = true},
    {.method = "GET",
     .path = API "/trips/:id/offers",
     .summary = "Every offer made of a trip, as its customer or an administrator may see it",
     .sql = "SELECT row_to_json(t) FROM hail.trip_offers($1) t",
     .params = {TRIP_ID},
     .shape = RESULT_LIST,
     .list_name = "offers",
     .roles = "customer admin",
     .read_only = true},
    {.method = "GET",
     .path = API "/trips",
     .summary = "The customer's trips, newest first, in pages",
     .sql = LIST_SQL("hail.current_subject()", "NULL"),
     .params = {PAGE},
     .shape = RESULT_LIST,
     .list_name = "trips",
     .roles = "customer",
     .read_only = true,
     .paged = true},
    {.method = "GET",
     .path = API "/driver/trips",
     .summary = "The driver's trips, newest first, in pages",
     .sql = LIST_SQL("NULL", "hail.current_subject()"),
     .params = {PAGE},
     .shape = RESULT_LIST,
     .list_name = "trips",
     .roles = "driver",
     .read_only = true,
     .paged = true},
    {.method = "GET",
     .path = API "/admin/trips",
     .summary = "All trips, newest first, in pages; of one customer or driver on request",
     .sql = LIST_SQL("$7", "$8"),
     .params = {PAGE,
                {.name = "customerId", .source = IN_QUERY, .type = TYPE_UUID},
                {.name = "driverId", .source = IN_QUERY, .type = TYPE_UUID}},
     .shape = RESULT_LIST,
     .list_name = "trips",
     .roles = "admin",
     .read_only = true,
     .paged = true},
    {0},
};
