/* Endpoints of payment gateways for administrators: their secrets (told once), what they told, limits of
 * deposits. */
#include "routes/params.h"
#include "routes/routes.h"

#define NAME                                                                                                 \
    {                                                                                                        \
        .name = "name", .source = IN_PATH, .type = TYPE_STRING, .required = true, .min = 2, .max = 64,       \
        .about = "of the gateway"                                                                            \
    }
#define SECRET                                                                                               \
    {                                                                                                        \
        .name = "secret", .type = TYPE_STRING, .min = 16, .max = 200,                                        \
        .about = "the gateway's; not given: made here"                                                       \
    }
#define GATEWAY_ROW(row) "to_jsonb(" row ") - 'event_version'"

const Route gateway_routes[] = {
    {.method = "GET",
     .path = API "/admin/gateways",
     .summary = "Payment gateways",
     .sql = "SELECT " GATEWAY_ROW("t") " FROM hail.list_gateways() t",
     .shape = RESULT_LIST,
     .list_name = "gateways",
     .roles = "admin",
     .read_only = true},
    {.method = "POST",
     .path = API "/admin/gateways",
     .summary = "A new gateway; its secret is told this once",
     .sql = "SELECT " GATEWAY_ROW(
         "t.gateway") " || jsonb_build_object('secret', t.gateway_secret) FROM "
                      "hail.create_gateway($1, $2, $3, make_interval(secs => coalesce($4, 300)), "
                      "make_interval(secs => coalesce($5, 3600)), coalesce($6, 100), $7, $8) t",
     .params = {{.name = "name", .type = TYPE_STRING, .required = true, .min = 2, .max = 64},
                {.name = "dialect",
                 .type = TYPE_ENUM,
                 .required = true,
                 .values = "standard_webhooks|sorted_query"},
                {.name = "currencies", .type = TYPE_STRINGS, .required = true, .min = 1, .max = 200},
                {.name = "toleranceS",
                 .type = TYPE_INTEGER,
                 .min = 1,
                 .max = 2592000,
                 .about = "seconds that a signature may be old; default 300"},
                {.name = "depositTtlS",
                 .type = TYPE_INTEGER,
                 .min = 60,
                 .max = 2592000,
                 .about = "seconds; default 3600"},
                {.name = "priority", .type = TYPE_INTEGER, .min = -1e9, .max = 1e9},
                {.name = "mapping",
                 .type = TYPE_JSON,
                 .about = "where its messages tell what; see src/ledger/GATEWAYS.md"},
                SECRET},
     .status = 201,
     .roles = "admin"},
    {.method = "PUT",
     .path = API "/admin/gateways/:name",
     .summary = "Begin nothing new with a gateway, or do so again",
     .sql = "SELECT " GATEWAY_ROW("hail.set_gateway_enabled($1, $2)"),
     .params = {NAME, {.name = "enabled", .type = TYPE_BOOLEAN, .required = true}},
     .roles = "admin",
     .repeatable = true},
    {.method = "GET",
     .path = API "/admin/gateways/:name/secrets",
     .summary = "A gateway's valid secrets: when they were made and when they end, not what they are",
     .sql = "SELECT row_to_json(t) FROM hail.list_gateway_secrets($1) t",
     .params = {NAME},
     .shape = RESULT_LIST,
     .list_name = "secrets",
     .roles = "admin",
     .read_only = true},
    {.method = "POST",
     .path = API "/admin/gateways/:name/secrets",
     .summary = "A new secret, told this once; the one before stays valid for a while",
     .sql = "SELECT json_build_object('secret', hail.rotate_gateway_secret($1, make_interval(secs => "
            "coalesce($2, "
            "86400)), $3))",
     .params = {NAME,
                {.name = "keepS",
                 .type = TYPE_INTEGER,
                 .min = 0,
                 .max = 2592000,
                 .about = "seconds that the one before stays valid; default 86400"},
                SECRET},
     .status = 201,
     .roles = "admin"},
    {.method = "DELETE",
     .path = API "/admin/gateways/:name/secrets/:id",
     .summary = "End a secret at once",
     .sql = "SELECT json_build_object('secret_id', $2::uuid, 'retired', hail.retire_gateway_secret($1, $2) "
            "IS NOT NULL)",
     .params = {NAME, UUID_PATH("id", "secret")},
     .roles = "admin",
     .repeatable = true},
    {.method = "GET",
     .path = API "/admin/gateway-events",
     .summary = "What gateways told and what became of it, newest first",
     .sql = "SELECT to_jsonb(t.event) - 'digest', t.next_cursor FROM hail.list_gateway_events($1, "
            "string_to_array($2, ','), $3, $4, $5, $6) t",
     .params = {{.name = "gateway", .source = IN_QUERY, .type = TYPE_STRING, .min = 1, .max = 64},
                {.name = "outcome",
                 .source = IN_QUERY,
                 .type = TYPE_STRING,
                 .min = 1,
                 .max = 100,
                 .about = "one or more, with commas: applied,ignored,refused,unmatched"},
                {.name = "paymentId", .source = IN_QUERY, .type = TYPE_UUID},
                {.name = "unresolved",
                 .source = IN_QUERY,
                 .type = TYPE_BOOLEAN,
                 .fallback = "false",
                 .about = "only what somebody must look at"},
                PAGE_LIMIT,
                PAGE_CURSOR},
     .shape = RESULT_LIST,
     .list_name = "events",
     .csv = "gateway|event_id|type|outcome|remark|received_at|occurred_at|intent_id|refund_id|withdrawal_id|"
            "transaction_id|conflicts|resolved_at|resolution|payload",
     .roles = "admin",
     .read_only = true,
     .paged = true},
    {.method = "POST",
     .path = API "/admin/gateway-events/resolve",
     .summary = "Note that a refused or unmatched event has been looked at, and what was done",
     .sql = "SELECT to_jsonb(t) - 'digest' FROM hail.resolve_gateway_event($1, $2, $3) t",
     .params = {{.name = "gateway", .type = TYPE_STRING, .required = true, .min = 1, .max = 64},
                {.name = "eventId", .type = TYPE_STRING, .required = true, .min = 1, .max = 300},
                {.name = "note", .type = TYPE_STRING, .required = true, .min = 1, .max = 500}},
     .roles = "admin",
     .repeatable = true},
    {.method = "PUT",
     .path = API "/admin/deposit-limits/:currency",
     .summary = "How much may be deposited in a currency",
     .sql = "SELECT row_to_json(t) FROM hail.set_deposit_limit($1, $2, $3, $4) t",
     .params =
         {{CURRENCY, .source = IN_PATH, .required = true},
          {.name = "minimum", .type = TYPE_MONEY, .required = true},
          {.name = "maximum", .type = TYPE_MONEY, .required = true},
          {.name = "dailyMaximum", .type = TYPE_MONEY, .required = true, .about = "of a user in 24 hours"}},
     .roles = "admin",
     .repeatable = true},
    {0},
};
