/* Endpoints of money that comes in: deposits, charges and refunds by gateways, what gateways tell, payments
 * of trips. */
#include "routes/params.h"
#include "routes/routes.h"

#define INTENT(row) "to_jsonb(" row ") - '{event_version,verification_at,gateway_at}'::text[]"
#define INTENT_ID   UUID_PATH("id", "payment")
#define WHY                                                                                                  \
    {                                                                                                        \
        .name = "reason", .type = TYPE_STRING, .required = true, .min = 1, .max = 500                        \
    }
#define GATEWAY .name = "gateway", .type = TYPE_STRING, .min = 2, .max = 64, .about = "its name"

/* Gateways have no token: who signed is who calls. The answer is the same for what is applied, ignored and
 * refused. */
#define WEBHOOK(from)                                                                                        \
    .sql =                                                                                                   \
        "SELECT json_build_object('event_id', t.event_id, 'outcome', t.outcome, 'replayed', t.replayed), "   \
        "t.replayed FROM hail.receive_gateway_event($1, $2, $3) t",                                          \
    .params = {{GATEWAY, .source = from, .required = true},                                                  \
               {.name = "headers", .source = IN_HEADERS, .type = TYPE_OBJECT},                               \
               {.name = "body", .source = IN_RAW_BODY, .type = TYPE_STRING, .required = true}},              \
    .repeatable = true, .keyed = true

const Route payment_routes[] = {
    {.method = "POST",
     .path = API "/payments/initiate",
     .summary = "Begin to pay money into a wallet; it is there when the gateway says so",
     .sql = "SELECT " INTENT("t.intent") ", t.replayed FROM hail.begin_deposit(" ON_BEHALF(
         5) ", $2, $3, $4, $1) t",
     .params = {KEY, MONEY_AMOUNT, {CURRENCY, .required = true}, {GATEWAY}, USER_ID},
     .status = 201,
     .roles = "customer driver partner admin",
     .repeatable = true,
     .keyed = true},
    {.method = "POST",
     .path = API "/payments/webhook",
     .summary = "What a gateway tells, signed in its dialect; each event counts once",
     WEBHOOK(IN_QUERY)},
    {.method = "POST",
     .path = API "/payments/webhook/:gateway",
     .summary = "What a gateway tells, signed in its dialect; each event counts once",
     WEBHOOK(IN_PATH)},
    {.method = "POST",
     .path = API "/payments/verify",
     .summary = "How a payment stands; the gateway is asked when it is open",
     .sql = "SELECT " INTENT("hail.verify_payment($1)"),
     .params = {{.name = "paymentId", .type = TYPE_UUID, .required = true}},
     .roles = "customer driver partner admin",
     .repeatable = true},
    {.method = "POST",
     .path = API "/payments/refund",
     .summary = "Give a deposit, or a part of it, back by the gateway",
     .sql = "SELECT to_jsonb(t.refund) - 'hold_id', t.replayed FROM hail.refund_deposit($2, $3, $4, $1) t",
     .params = {KEY, {.name = "paymentId", .type = TYPE_UUID, .required = true}, MONEY_AMOUNT, WHY},
     .status = 201,
     .roles = "admin",
     .repeatable = true,
     .keyed = true},
    {.method = "GET",
     .path = API "/payments",
     .summary = "Payments by gateways, newest first: the caller's; for administrators all, or one user's",
     .sql = "SELECT " INTENT("t.intent") ", t.next_cursor FROM hail.list_payment_intents(CASE "
                                         "hail.current_role_name() WHEN 'admin' THEN $1 ELSE coalesce($1, "
                                         "hail.current_subject()) END, $2, $3, "
                                         "string_to_array($4, ','), $5, $6, $7, $8, $9) t",
     .params = {{.name = "userId", .source = IN_QUERY, .type = TYPE_UUID},
                {.name = "tripId", .source = IN_QUERY, .type = TYPE_UUID},
                {.name = "purpose", .source = IN_QUERY, .type = TYPE_ENUM, .values = "deposit|trip_charge"},
                {.name = "state",
                 .source = IN_QUERY,
                 .type = TYPE_STRING,
                 .min = 1,
                 .max = 200,
                 .about = "one or more, with commas: created,pending,succeeded,..."},
                {GATEWAY, .source = IN_QUERY},
                FROM,
                TO,
                PAGE_LIMIT,
                PAGE_CURSOR},
     .shape = RESULT_LIST,
     .list_name = "payments",
     .csv = "id|created_at|purpose|state|amount|currency|refunded|refunding|disputed|gateway|gateway_"
            "reference|user_id|"
            "trip_id|wallet_id|transaction_id|reason|succeeded_at|expires_at",
     .roles = "customer driver partner admin",
     .read_only = true,
     .paged = true},
    {.method = "GET",
     .path = API "/payments/deposit-limits",
     .summary = "How much may be deposited at once and in 24 hours, by currency",
     .sql = "SELECT row_to_json(t) FROM hail.list_deposit_limits() t",
     .shape = RESULT_LIST,
     .list_name = "limits",
     .roles = "customer driver partner admin analyst",
     .read_only = true},
    {.method = "GET",
     .path = API "/payments/intents/:id",
     .summary = "A payment by a gateway, for its payer and administrators",
     .sql = "SELECT " INTENT("hail.get_payment_intent($1)"),
     .params = {INTENT_ID},
     .roles = "customer driver partner admin",
     .read_only = true},
    {.method = "GET",
     .path = API "/payments/intents/:id/refunds",
     .summary = "What of a payment was given back, oldest first",
     .sql = "SELECT to_jsonb(t) - '{requested_by,hold_id}'::text[] FROM hail.list_refunds($1) t",
     .params = {INTENT_ID},
     .shape = RESULT_LIST,
     .list_name = "refunds",
     .csv = "id|created_at|amount|state|reason|gateway_reference|failure|resolved_at|transaction_id",
     .roles = "customer driver partner admin",
     .read_only = true},
    {.method = "POST",
     .path = API "/payments/intents/:id/settle",
     .summary = "Take a deposit, or a charge of a trip, as paid, by hand",
     .sql = DECIDED("'settle payment', $1::uuid, $3::text, $4::text, $5::bigint",
                    INTENT("hail.get_payment_intent($1)"),
                    INTENT("hail.settle_payment($1, $3, $4, coalesce($5, 0))")),
     .params = {INTENT_ID,
                KEY,
                WHY,
                {.name = "gatewayReference", .type = TYPE_STRING, .min = 1, .max = 200},
                {.name = "fee",
                 .type = TYPE_MONEY,
                 .min = 0,
                 .max = MONEY_MAX,
                 .about = "the gateway's own, minor units"}},
     .roles = "admin",
     .repeatable = true,
     .keyed = true},
    {.method = "POST",
     .path = API "/payments/refunds/:id/settle",
     .summary = "Take a refund as done, or as failed, by hand",
     .sql = DECIDED("'settle refund', $1::uuid, $3::boolean, $4::text, $5::text",
                    "(SELECT to_jsonb(r) - 'hold_id' FROM hail.payment_refunds r WHERE r.id = $1)",
                    "to_jsonb(hail.settle_refund($1, $3, $4, $5)) - 'hold_id'"),
     .params = {UUID_PATH("id", "refund"),
                KEY,
                {.name = "succeeded",
                 .type = TYPE_BOOLEAN,
                 .required = true,
                 .about = "true: the money has gone back"},
                WHY,
                {.name = "gatewayReference", .type = TYPE_STRING, .min = 1, .max = 200}},
     .roles = "admin",
     .repeatable = true,
     .keyed = true},
    {0},
};
