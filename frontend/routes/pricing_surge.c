/* Endpoints of pricing for those who watch surge, and those who set it. */
#include "routes/params.h"
#include "routes/routes.h"

#define REGION_PATH                                                                                          \
    {                                                                                                        \
        .name = "region", .source = IN_PATH, .type = TYPE_STRING, .required = true, .min = 2, .max = 32,     \
        .about = "its code"                                                                                  \
    }
#define REGION_QUERY                                                                                         \
    .name = "region", .source = IN_QUERY, .type = TYPE_STRING, .min = 2, .max = 32, .about = "its code"
#define LATITUDE  .name = "lat", .source = IN_QUERY, .type = TYPE_NUMBER, .min = -90, .max = 90
#define LONGITUDE .name = "lng", .source = IN_QUERY, .type = TYPE_NUMBER, .min = -180, .max = 180
#define LIMIT                                                                                                \
    {                                                                                                        \
        .name = "limit", .source = IN_QUERY, .type = TYPE_INTEGER, .min = 1, .max = 100, .fallback = "20"    \
    }
#define CURSOR                                                                                               \
    {                                                                                                        \
        .name = "cursor", .source = IN_QUERY, .type = TYPE_STRING, .min = 1, .max = 100,                     \
        .about = "nextCursor of the page before, with the same filters"                                      \
    }

const Route pricing_surge_routes[] = {
    {.method = "GET",
     .path = API "/pricing/surge/explain",
     .summary = "Why the surge at a point is what it is: counts, ratio, target, hold",
     .sql = "SELECT row_to_json(t) FROM hail.explain_surge($1, $2) t",
     .params = {{LATITUDE, .required = true}, {LONGITUDE, .required = true}},
     .roles = "admin analyst",
     .read_only = true,
     .timeout = TIMEOUT_PRICING},
    {.method = "GET",
     .path = API "/pricing/surge/history",
     .summary = "Changes of multipliers in a region or in the hexagon around a point, newest first, in pages",
     .sql = "SELECT row_to_json(h), l.next_cursor FROM hail.list_surge_history($1, $2, $3, $4, $5, $6, $7) "
            "l, LATERAL "
            "(SELECT l.cell, l.at, l.old_multiplier, l.new_multiplier, l.requests, l.lookers, l.supply, "
            "l.ratio, l.cause, "
            "json_build_object('lat', l.centre_lat, 'lng', l.centre_lng) AS centre) h",
     .params = {{REGION_QUERY, .required = true},
                {.name = "fromTime",
                 .source = IN_QUERY,
                 .type = TYPE_TIMESTAMP,
                 .required = true,
                 .about = "included"},
                {.name = "toTime",
                 .source = IN_QUERY,
                 .type = TYPE_TIMESTAMP,
                 .required = true,
                 .about = "not included; 31 days later at most"},
                {LATITUDE, .about = "of the point"},
                {LONGITUDE},
                LIMIT,
                CURSOR},
     .shape = RESULT_LIST,
     .list_name = "changes",
     .roles = "admin analyst",
     .read_only = true,
     .paged = true,
     .timeout = TIMEOUT_REPORT},
    {.method = "GET",
     .path = API "/pricing/surge/changes",
     .summary = "How surge was switched, capped and weighed, by whom and why, newest first, in pages",
     .sql = "SELECT row_to_json(h), l.next_cursor FROM hail.list_surge_changes($1, $2, $3) l, LATERAL "
            "(SELECT l.region_code AS region, c.changed_at, c.changed_by, c.login, c.reason, c.old_mode, "
            "c.mode, c.old_cap, "
            "c.cap, c.old_quote_weight, c.quote_weight, c.old_neighbour_weight, c.neighbour_weight FROM "
            "(SELECT (l.change).*) c) h",
     .params = {{REGION_QUERY}, LIMIT, CURSOR},
     .shape = RESULT_LIST,
     .list_name = "changes",
     .roles = "admin analyst",
     .read_only = true,
     .paged = true,
     .timeout = TIMEOUT_PRICING},
    {.method = "GET",
     .path = API "/pricing/surge/:region",
     .summary = "How the surge of a region is set",
     .sql = "SELECT row_to_json(t), md5(row_to_json(t)::text) AS etag FROM (SELECT s.region_code AS region, "
            "s.mode, s.cap, "
            "s.quote_weight, s.neighbour_weight, s.changed_at, s.changed_by, s.reason FROM "
            "hail.surge_control($1) s) t",
     .params = {REGION_PATH},
     .roles = "admin analyst",
     .read_only = true,
     .etag = true,
     .timeout = TIMEOUT_PRICING},
    {.method = "PUT",
     .path = API "/pricing/surge/:region",
     .summary = "Switch the surge of a region on, off or frozen, cap it, weigh it; what is not given stays",
     .sql = "SELECT row_to_json(t) FROM (SELECT $1::text AS region, s.mode, s.cap, s.quote_weight, "
            "s.neighbour_weight, "
            "s.changed_at, s.changed_by, s.reason FROM hail.set_surge($1, $2, $3, $4, $5, $6) s) t",
     .params =
         {REGION_PATH,
          {.name = "mode", .type = TYPE_ENUM, .values = "on|off|frozen"},
          {.name = "cap", .type = TYPE_NUMBER, .min = 1, .max = 10, .about = "above 3 only with a reason"},
          {.name = "reason", .type = TYPE_STRING, .min = 1, .max = 1000, .about = "kept with the change"},
          {.name = "quoteWeight",
           .type = TYPE_NUMBER,
           .min = 0,
           .max = 1,
           .about = "what a customer who only looks at prices counts, in trips"},
          {.name = "neighbourWeight",
           .type = TYPE_NUMBER,
           .min = 0,
           .max = 1,
           .about = "share of the six neighbours in a hexagon's demand and supply"}},
     .roles = "admin",
     .timeout = TIMEOUT_PRICING},
    {0},
};
