/* Endpoints of signs of fraud, for administrators. */
#include "routes/params.h"
#include "routes/routes.h"

#define WHY                                                                                                  \
    {                                                                                                        \
        .name = "reason", .type = TYPE_STRING, .required = true, .min = 1, .max = 500                        \
    }
#define RULE(row)                                                                                            \
    "to_jsonb(" row ") - 'period' || jsonb_build_object('period_s', extract(epoch FROM (" row                \
    ").period)::bigint)"

const Route fraud_routes[] = {
    {.method = "GET",
     .path = API "/admin/fraud/signals",
     .summary = "Signs of fraud, the newest first; a sign is no proof",
     .sql = "SELECT to_jsonb(t.signal) - 'event_version', t.next_cursor FROM hail.list_fraud_signals($1, $2, "
            "$3, $4, $5) t",
     .params =
         {{.name = "state", .source = IN_QUERY, .type = TYPE_ENUM, .values = "open|confirmed|dismissed"},
          {.name = "kind", .source = IN_QUERY, .type = TYPE_STRING, .min = 1, .max = 50},
          {.name = "userId", .source = IN_QUERY, .type = TYPE_UUID},
          PAGE_LIMIT,
          PAGE_CURSOR},
     .shape = RESULT_LIST,
     .list_name = "signals",
     .csv = "id|raised_at|kind|severity|state|user_id|subject_type|subject_id|on_hold|driver_held|decided_at|"
            "decided_by|"
            "reason|detail",
     .roles = "admin",
     .read_only = true,
     .paged = true},
    {.method = "POST",
     .path = API "/admin/fraud/signals/:id/decide",
     .summary = "Confirm or dismiss a sign; dismissed, its hold ends",
     .sql = "SELECT to_jsonb(t) - 'event_version' FROM hail.decide_fraud_signal($1, $2, $3) t",
     .params = {UUID_PATH("id", "signal"),
                {.name = "decision", .type = TYPE_ENUM, .required = true, .values = "confirmed|dismissed"},
                WHY},
     .roles = "admin"},
    {.method = "GET",
     .path = API "/admin/fraud/rules",
     .summary = "When a sign is raised: the rules as they are",
     .sql = "SELECT " RULE("t") " FROM hail.fraud_rules_now t",
     .shape = RESULT_LIST,
     .list_name = "rules",
     .roles = "admin analyst",
     .read_only = true},
    {.method = "PUT",
     .path = API "/admin/fraud/rules/:kind",
     .summary = "Change a rule, for a reason; what is not given stays",
     .sql = "SELECT " RULE(
         "t") " FROM hail.set_fraud_rule($1, $2, $3, make_interval(secs => $4), $5, $6, $7, $8) t",
     .params =
         {{.name = "kind", .source = IN_PATH, .type = TYPE_STRING, .required = true, .min = 1, .max = 50},
          WHY,
          {.name = "threshold", .type = TYPE_NUMBER, .min = 0, .max = 1e9},
          {.name = "periodS", .type = TYPE_INTEGER, .min = 60, .max = 2678400, .about = "seconds"},
          {.name = "minimum", .type = TYPE_MONEY, .min = 0, .max = MONEY_MAX},
          {.name = "severity", .type = TYPE_ENUM, .values = "low|medium|high"},
          {.name = "hold", .type = TYPE_BOOLEAN, .about = "withdrawals wait until it is dismissed"},
          {.name = "enabled", .type = TYPE_BOOLEAN}},
     .roles = "admin",
     .repeatable = true},
    {.method = "GET",
     .path = API "/admin/fraud/summary",
     .summary = "How many signs of each kind were raised",
     .sql = "SELECT row_to_json(t) FROM hail.fraud_summary($1, $2) t",
     .params = {FROM, TO},
     .shape = RESULT_LIST,
     .list_name = "kinds",
     .csv = "kind|severity|state|signals|users|on_hold",
     .roles = "admin analyst",
     .read_only = true,
     .timeout = TIMEOUT_REPORT},
    {0},
};
