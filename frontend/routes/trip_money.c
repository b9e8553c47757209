/* Endpoints of what trips cost and pay, after the price: payments, promotions. */
#include "routes/params.h"
#include "routes/routes.h"

#define BOOKING UUID_PATH("bookingId", "trip")
#define PROMOTION                                                                                            \
    {                                                                                                        \
        .name = "code", .source = IN_PATH, .type = TYPE_STRING, .required = true, .min = 3, .max = 40        \
    }
#define PROMOTION_ROW(row)                                                                                   \
    "to_jsonb(" row ") - 'valid' || jsonb_build_object('valid_from', lower((" row                            \
    ").valid), 'valid_to', upper((" row ").valid))"

const Route trip_money_routes[] = {
    {.method = "GET",
     .path = API "/payments/:bookingId",
     .summary =
         "What was due for a trip, paid, tipped and refunded; for its customer, its driver, administrators",
     .sql = "SELECT row_to_json(t) FROM hail.trip_payment($1) t",
     .params = {BOOKING},
     .roles = "customer driver partner admin",
     .read_only = true},
    {.method = "POST",
     .path = API "/payments/:bookingId/retry",
     .summary = "Pay a trip whose payment has failed; that it was collected in cash is said by the driver",
     .sql = "SELECT row_to_json(t), hail.adjustment_replayed($1, $2) AS replayed FROM hail.retry_payment($1, "
            "$3, $2) t",
     .params = {BOOKING,
                KEY,
                {.name = "paymentMethod", .type = TYPE_ENUM, .required = true, .values = "wallet|cash|card"}},
     .roles = "customer driver partner admin",
     .repeatable = true,
     .keyed = true},
    {.method = "POST",
     .path = API "/payments/:bookingId/refund",
     .summary = "Give the customer of a trip back what was paid, or a part of it",
     .sql = "SELECT row_to_json(t), hail.adjustment_replayed($1, $2) AS replayed FROM hail.refund_trip($1, "
            "$3, $4, $2, "
            "$5) t",
     .params =
         {BOOKING,
          KEY,
          {.name = "amount", .type = TYPE_MONEY, .about = "minor units; not given: the rest"},
          {.name = "reason", .type = TYPE_STRING, .required = true, .min = 1, .max = 500},
          {.name = "borneBy", .type = TYPE_ENUM, .values = "shared|platform|driver", .fallback = "shared"}},
     .roles = "admin",
     .repeatable = true,
     .keyed = true},
    {.method = "POST",
     .path = API "/trips/:id/tip",
     .summary = "Tip the driver of a completed trip, from the wallet",
     .sql = "SELECT row_to_json(t), hail.adjustment_replayed($1, $2) AS replayed FROM hail.tip_trip($1, $3, "
            "$2) t",
     .params = {TRIP_ID, KEY, MONEY_AMOUNT},
     .status = 201,
     .roles = "customer partner admin",
     .repeatable = true,
     .keyed = true},
    {.method = "POST",
     .path = API "/trips/:id/tolls",
     .summary = "A toll that the driver has paid under way; the customer pays it with the price",
     .sql = "SELECT row_to_json(t), hail.adjustment_replayed($1, $2) AS replayed FROM hail.add_toll($1, $3, "
            "$4, $2) t",
     .params = {TRIP_ID,
                KEY,
                MONEY_AMOUNT,
                {.name = "reason",
                 .type = TYPE_STRING,
                 .required = true,
                 .min = 1,
                 .max = 500,
                 .about = "which toll"}},
     .status = 201,
     .roles = "driver admin",
     .repeatable = true,
     .keyed = true},
    {.method = "POST",
     .path = API "/trips/:id/promotion",
     .summary =
         "Let a promotion pay a part of a trip that is not over; the same one again: the trip as it is",
     .sql = "SELECT row_to_json(t) FROM hail.apply_promotion($1, $2) t",
     .params = {TRIP_ID, {.name = "code", .type = TYPE_STRING, .required = true, .min = 1, .max = 40}},
     .roles = "customer partner admin",
     .repeatable = true},
    {.method = "DELETE",
     .path = API "/trips/:id/promotion",
     .summary = "Take the promotion from a trip that is not over",
     .sql = "SELECT row_to_json(t) FROM hail.remove_promotion($1) t",
     .params = {TRIP_ID},
     .roles = "customer partner admin",
     .repeatable = true},
    {.method = "GET",
     .path = API "/admin/promotions",
     .summary = "Promotions, the newest first",
     .sql = "SELECT " PROMOTION_ROW("t") " FROM hail.promotions t ORDER BY t.id DESC LIMIT $1",
     .params = {PAGE_LIMIT},
     .shape = RESULT_LIST,
     .list_name = "promotions",
     .csv = "code|currency|percent_bp|fixed|maximum|minimum_price|region_id|service|valid_from|valid_to|per_"
            "customer|"
            "total|budget|uses|spent|enabled|created_at",
     .roles = "admin analyst",
     .read_only = true},
    {.method = "POST",
     .path = API "/admin/promotions",
     .summary = "A new promotion: a share of the fare (percentBp) or a fixed amount",
     .sql = "SELECT " PROMOTION_ROW(
         "t") " FROM hail.create_promotion($1, $2, $3, $4, $5, coalesce($6, 0), $7, $8, $9, "
              "$10, coalesce($11, 1), $12, $13) t",
     .params =
         {{.name = "code", .type = TYPE_STRING, .required = true, .min = 3, .max = 40},
          {CURRENCY, .required = true},
          {.name = "percentBp",
           .type = TYPE_INTEGER,
           .min = 1,
           .max = 10000,
           .about = "hundredths of a percent: 1000 is 10 %"},
          {.name = "fixed", .type = TYPE_MONEY, .about = "instead of percentBp"},
          {.name = "maximum", .type = TYPE_MONEY},
          {.name = "minimumPrice", .type = TYPE_MONEY, .min = 0, .max = MONEY_MAX},
          {.name = "region", .type = TYPE_STRING, .min = 2, .max = 32, .about = "its code; default: each"},
          {.name = "service", .type = TYPE_ENUM, .values = "ride|delivery|porter"},
          {.name = "validFrom", .type = TYPE_TIMESTAMP},
          {.name = "validTo", .type = TYPE_TIMESTAMP},
          {.name = "perCustomer", .type = TYPE_INTEGER, .min = 1, .max = 1e6},
          {.name = "total", .type = TYPE_INTEGER, .min = 1, .max = 1e9, .about = "trips in all"},
          {.name = "budget", .type = TYPE_MONEY, .about = "in all"}},
     .status = 201,
     .roles = "admin"},
    {.method = "PUT",
     .path = API "/admin/promotions/:code",
     .summary = "Stop a promotion, or let it go on; trips that have it keep it",
     .sql = "SELECT " PROMOTION_ROW("t") " FROM hail.enable_promotion($1, $2) t",
     .params = {PROMOTION, {.name = "enabled", .type = TYPE_BOOLEAN, .required = true}},
     .roles = "admin",
     .repeatable = true},
    {0},
};
