/* Endpoints of dispatch: deliveries, porter jobs, their stops. */
#include "routes/params.h"
#include "routes/routes.h"

#define STOPS                                                                                                \
    {                                                                                                        \
        .name = "stops", .type = TYPE_LIST, .required = true, .min = 2, .max = 20,                           \
        .about = "in the order they are served: kind (pickup or dropoff), lat, lng, address, contactName, "  \
                 "contactPhone, notes, proof (none, code or photo)"                                          \
    }
#define PACKAGE                                                                                              \
    {.name = "package", .type = TYPE_STRING, .min = 1, .max = 1000},                                         \
        {.name = "weightKg", .type = TYPE_NUMBER, .min = 0, .max = 100000},                                  \
    {                                                                                                        \
        .name = "volumeL", .type = TYPE_NUMBER, .min = 0, .max = 1000000                                     \
    }
#define SEQ                                                                                                  \
    {                                                                                                        \
        .name = "seq", .source = IN_PATH, .type = TYPE_INTEGER, .required = true, .min = 1, .max = 40,       \
        .about = "place of the stop, from 1"                                                                 \
    }

const Route job_routes[] = {
    {.method = "POST",
     .path = API "/pricing/job-quote",
     .summary = "A price promised for a delivery or porter job over its stops",
     .sql = "SELECT row_to_json(t) FROM hail.create_job_quote(hail.current_subject(), $1, $2) t",
     .params = {STOPS, {.name = "serviceClass", .type = TYPE_STRING, .required = true, .min = 1, .max = 50}},
     .status = 201,
     .roles = "customer",
     .timeout = TIMEOUT_PRICING},
    {.method = "POST",
     .path = API "/deliveries/request",
     .summary = "Have a package delivered at a quote's price",
     .sql = "SELECT row_to_json(t), k.replayed FROM hail.claim_trip_key($9, $1) k, "
            "LATERAL hail.request_delivery($1, $2, $3, k.key, $4, $5, $6, $7, $8) t",
     .params = {QUOTE_ID, STOPS, PAYMENT_METHOD, PACKAGE, STRATEGY, SCHEDULED_FOR, KEY},
     .status = 201,
     .roles = "customer",
     .repeatable = true,
     .keyed = true},
    {.method = "POST",
     .path = API "/porter-jobs/request",
     .summary = "Have goods moved at a quote's price",
     .sql = "SELECT row_to_json(t), k.replayed FROM hail.claim_trip_key($11, $1) k, "
            "LATERAL hail.request_porter_job($1, $2, $3, k.key, $4, $5, $6, $7, $8, $9, $10) t",
     .params = {QUOTE_ID,
                STOPS,
                PAYMENT_METHOD,
                PACKAGE,
                {.name = "floors", .type = TYPE_INTEGER, .min = 0, .max = 200},
                {.name = "helpers", .type = TYPE_INTEGER, .min = 0, .max = 50},
                STRATEGY,
                SCHEDULED_FOR,
                KEY},
     .status = 201,
     .roles = "customer",
     .repeatable = true,
     .keyed = true},
    {.method = "GET",
     .path = API "/trips/:id/stops",
     .summary = "The stops of a delivery or porter job",
     .sql = "SELECT row_to_json(t) FROM hail.list_stops($1) t",
     .params = {TRIP_ID},
     .shape = RESULT_LIST,
     .list_name = "stops",
     .roles = "customer driver partner admin",
     .read_only = true},
    {.method = "POST",
     .path = API "/trips/:id/stops/:seq/arrive",
     .summary = "The driver is at a stop",
     .sql = "SELECT row_to_json(t) FROM hail.arrive_at_stop($1, $2) t",
     .params = {TRIP_ID, SEQ},
     .roles = "driver admin",
     .repeatable = true},
    {.method = "POST",
     .path = API "/trips/:id/stops/:seq/finish",
     .summary = "A stop is served, with the proof it asks for",
     .sql = "SELECT row_to_json(t) FROM hail.finish_stop($1, $2, $3, $4, $5) t",
     .params = {TRIP_ID,
                SEQ,
                {.name = "proofCode", .type = TYPE_STRING, .min = 4, .max = 4},
                {.name = "photoUrl", .type = TYPE_STRING, .min = 1, .max = 2000},
                {.name = "recipientName", .type = TYPE_STRING, .min = 1, .max = 200}},
     .roles = "driver admin",
     .repeatable = true},
    {.method = "POST",
     .path = API "/trips/:id/stops/:seq/fail",
     .summary = "A stop could not be served; what it was for goes back to the sender",
     .sql = "SELECT row_to_json(t) FROM hail.fail_stop($1, $2, $3) t",
     .params = {TRIP_ID,
                SEQ,
                {.name = "reason", .type = TYPE_STRING, .required = true, .min = 1, .max = 500}},
     .roles = "driver admin",
     .repeatable = true},
    {.method = "POST",
     .path = API "/trips/:id/pickup-code/renew",
     .summary = "A new pickup code, or a new code of a stop; the old one counts no more",
     .sql = "SELECT json_build_object('code', hail.renew_pickup_code($1, $2))",
     .params = {TRIP_ID, {.name = "seq", .type = TYPE_INTEGER, .min = 1, .max = 40, .about = "of the stop"}},
     .roles = "customer partner admin"},
    {0},
};
