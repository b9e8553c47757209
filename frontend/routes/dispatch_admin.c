/* Endpoints of dispatch for administrators: why a trip was matched as it was, policies, trips by hand. */
#include "routes/params.h"
#include "routes/routes.h"

#define ROUND                                                                                                \
    {                                                                                                        \
        .name = "round", .source = IN_PATH, .type = TYPE_INTEGER, .required = true, .min = 1, .max = 100000  \
    }
#define SERVICE                                                                                              \
    {                                                                                                        \
        .name = "service", .type = TYPE_ENUM, .values = "ride|delivery|porter"                               \
    }
#define REGION                                                                                               \
    {                                                                                                        \
        .name = "region", .type = TYPE_STRING, .min = 1, .max = 50, .about = "its code; none: every region"  \
    }

/* Of which trips figures are: $1 to $3 of their statements. The database limits the span. */
#define FIGURES                                                                                              \
    {.name = "region",                                                                                       \
     .source = IN_QUERY,                                                                                     \
     .type = TYPE_STRING,                                                                                    \
     .min = 1,                                                                                               \
     .max = 50,                                                                                              \
     .about = "its code; none: all"},                                                                        \
        {.name = "fromTime",                                                                                 \
         .source = IN_QUERY,                                                                                 \
         .type = TYPE_TIMESTAMP,                                                                             \
         .required = true,                                                                                   \
         .about = "included"},                                                                               \
    {                                                                                                        \
        .name = "toTime", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .required = true,                      \
        .about = "not included; 31 days later at most"                                                       \
    }

const Route dispatch_admin_routes[] = {
    {.method = "GET",
     .path = API "/admin/trips/:id/rank",
     .summary = "Drivers for a trip as they stand now, best first, with every term of the score",
     .sql = "SELECT row_to_json(t) FROM hail.rank_drivers($1, $2) t",
     .params = {TRIP_ID,
                {.name = "limit",
                 .source = IN_QUERY,
                 .type = TYPE_INTEGER,
                 .min = 1,
                 .max = 100,
                 .fallback = "20"}},
     .shape = RESULT_LIST,
     .list_name = "drivers",
     .roles = "admin",
     .read_only = true},
    {.method = "GET",
     .path = API "/admin/trips/:id/rounds",
     .summary = "The matching rounds of a trip: who was considered, shut out and asked, in numbers",
     .sql = "SELECT row_to_json(t) FROM hail.list_rounds($1) t",
     .params = {TRIP_ID},
     .shape = RESULT_LIST,
     .list_name = "rounds",
     .roles = "admin",
     .read_only = true},
    {.method = "GET",
     .path = API "/admin/trips/:id/rounds/:round",
     .summary = "A matching round as it was decided, driver by driver",
     .sql = "SELECT row_to_json(t) FROM hail.explain_round($1, $2) t",
     .params = {TRIP_ID, ROUND},
     .shape = RESULT_LIST,
     .list_name = "drivers",
     .roles = "admin",
     .read_only = true},
    {.method = "POST",
     .path = API "/admin/trips/:id/replay-round",
     .summary = "Whom another policy would have chosen in a round",
     .sql = "SELECT row_to_json(t) FROM hail.replay_round($1, $2, $3::integer::smallint, $4) t",
     .params =
         {TRIP_ID,
          {.name = "round", .type = TYPE_INTEGER, .required = true, .min = 1, .max = 100000},
          {.name = "policyId",
           .type = TYPE_INTEGER,
           .min = 1,
           .max = 32767,
           .about = "none: the one it ran under"},
          {.name = "changes", .type = TYPE_OBJECT, .fallback = "{}", .about = "settings of it to change"}},
     .shape = RESULT_LIST,
     .list_name = "drivers",
     .roles = "admin",
     .read_only = true},
    {.method = "GET",
     .path = API "/admin/trips/:id/why-not/:driverId",
     .summary = "What each round of a trip made of a driver, and why",
     .sql = "SELECT row_to_json(t) FROM hail.why_not($1, $2) t",
     .params = {TRIP_ID, {.name = "driverId", .source = IN_PATH, .type = TYPE_UUID, .required = true}},
     .shape = RESULT_LIST,
     .list_name = "rounds",
     .roles = "admin",
     .read_only = true},
    {.method = "POST",
     .path = API "/admin/trips/:id/assign",
     .summary = "Give a trip to a driver by hand",
     .sql = "SELECT row_to_json(t) FROM hail.assign_trip($1, $2) t",
     .params = {TRIP_ID, {.name = "driverId", .type = TYPE_UUID, .required = true}},
     .roles = "admin",
     .repeatable = true},
    {.method = "GET",
     .path = API "/admin/dispatch-policies",
     .summary = "Every version of the dispatch policies",
     .sql = "SELECT row_to_json(t) FROM hail.dispatch_policy_history t ORDER BY t.policy_id",
     .shape = RESULT_LIST,
     .list_name = "policies",
     .roles = "admin analyst",
     .read_only = true},
    {.method = "GET",
     .path = API "/admin/dispatch/fairness",
     .summary = "How the work was shared among drivers; no row when nobody was there",
     .sql = "SELECT row_to_json(t) FROM hail.fairness($1, $2, $3) t",
     .params = {FIGURES},
     .shape = RESULT_LIST,
     .list_name = "fairness",
     .roles = "admin analyst",
     .read_only = true},
    {.method = "GET",
     .path = API "/admin/dispatch/figures",
     .summary = "How quickly and how well trips found drivers; no row when none was requested",
     .sql = "SELECT row_to_json(t) FROM hail.dispatch_figures($1, $2, $3) t",
     .params = {FIGURES},
     .shape = RESULT_LIST,
     .list_name = "figures",
     .roles = "admin analyst",
     .read_only = true},
    {.method = "GET",
     .path = API "/admin/drivers/:id/signals",
     .summary = "Signs that a driver games the dispatch; a sign is no proof",
     .sql = "SELECT row_to_json(t) FROM hail.driver_signals($1, $2, $3, $4) t",
     .params = {FIGURES, {.name = "id", .source = IN_PATH, .type = TYPE_UUID, .required = true}},
     .shape = RESULT_LIST,
     .list_name = "signals",
     .roles = "admin",
     .read_only = true},
    {.method = "PUT",
     .path = API "/admin/dispatch-policies",
     .summary = "Change how matching works, as a new version",
     .sql = "SELECT row_to_json(t) FROM hail.set_dispatch_policy($1, $2, $3, $4) t",
     .params = {REGION,
                SERVICE,
                {.name = "changes",
                 .type = TYPE_OBJECT,
                 .required = true,
                 .about = "settings with their new values, such as {\"weightIdle\": 0.1}"},
                {.name = "effectiveFrom", .type = TYPE_TIMESTAMP, .about = "none: now"}},
     .roles = "admin"},
    {0},
};
