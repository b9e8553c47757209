/* Endpoints of what drivers earn. */
#include "routes/params.h"
#include "routes/routes.h"

const Route earnings_routes[] = {
    {.method = "GET",
     .path = API "/earnings/driver/:id",
     .summary = "What a driver earned, per currency, minor units",
     .sql = "SELECT row_to_json(t) FROM hail.driver_earnings($1, $2, $3) t",
     .params = {UUID_PATH("id", "driver"), FROM, TO},
     .shape = RESULT_LIST,
     .list_name = "earnings",
     .csv = "currency|trips|gross|commission|net",
     .roles = "driver admin",
     .read_only = true,
     .timeout = TIMEOUT_REPORT},
    {0},
};
