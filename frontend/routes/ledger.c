/* Endpoints of ledger. */
#include "routes/routes.h"

const Route ledger_routes[] = {
    {.method = "GET",
     .path = API "/wallet",
     .summary = "The caller's accounts and balances, minor units",
     .sql = "SELECT row_to_json(t) FROM hail.wallet(hail.current_subject()) t",
     .shape = RESULT_LIST,
     .list_name = "accounts",
     .csv = "account_id|kind|currency|posted|held|available",
     .roles = "customer driver",
     .read_only = true},
    {.method = "GET",
     .path = API "/earnings/driver/:id",
     .summary = "What a driver earned, per currency, minor units",
     .sql = "SELECT row_to_json(t) FROM hail.driver_earnings($1, $2, $3) t",
     .params = {{.name = "id", .source = IN_PATH, .type = TYPE_UUID, .required = true, .about = "driver"},
                {.name = "from", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .about = "included"},
                {.name = "to", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .about = "not included"}},
     .shape = RESULT_LIST,
     .list_name = "earnings",
     .csv = "currency|trips|gross|commission|net",
     .roles = "driver admin",
     .read_only = true,
     .timeout = TIMEOUT_REPORT},
    {0},
};
