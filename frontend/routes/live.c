/* Endpoints of live: positions now. */
#include "routes/routes.h"

#define LATITUDE  .type = TYPE_NUMBER, .required = true, .min = -90, .max = 90, .about = "degrees"
#define LONGITUDE .type = TYPE_NUMBER, .required = true, .min = -180, .max = 180, .about = "degrees"
#define HEADING   .type = TYPE_NUMBER, .min = 0, .max = 360, .about = "degrees clockwise from north"
#define SPEED     .type = TYPE_NUMBER, .min = 0, .max = 1000, .about = "km/h"
#define ACCURACY  .type = TYPE_NUMBER, .min = 0, .max = 100000, .about = "metres"
#define RECORDED  .type = TYPE_TIMESTAMP, .about = "when the device measured it"

const Route live_routes[] = {
    /* The busiest call: many requests in one. */
    {.method = "POST",
     .path = API "/location/update",
     .summary = "Report the driver's position",
     .sql = "SELECT * FROM hail.report_requests($1, $2, $3, $4, $5, $6, $7)",
     .params = {{.name = "lat", LATITUDE},
                {.name = "lng", LONGITUDE},
                {.name = "heading", HEADING},
                {.name = "speed", SPEED},
                {.name = "accuracy", ACCURACY},
                {.name = "timestamp", RECORDED}},
     .roles = "driver",
     .repeatable = true,
     .merged = true,
     .timeout = TIMEOUT_POSITION},
    {.method = "POST",
     .path = API "/location/batch-update",
     .summary = "Report positions gathered while offline",
     .sql =
         "SELECT json_build_object('accepted', count(*) FILTER (WHERE kept), 'rejected', coalesce(json_agg("
         "json_build_object('index', row - 1, 'verdict', verdict, 'field', CASE field WHEN 'recorded_at' "
         "THEN 'timestamp' ELSE field END)"
         " ORDER BY row) FILTER (WHERE NOT kept), '[]')) FROM (SELECT row, verdict, field,"
         " verdict IN ('applied', 'late', 'duplicate') AS kept FROM hail.report_locations_detailed("
         "array_fill(hail.current_subject(), ARRAY[cardinality($1::float8[])]), $1, $2, $3, $4, $5, $6)) v",
     .params = {{.name = "locations",
                 .type = TYPE_OBJECTS,
                 .required = true,
                 .min = 1,
                 .max = 500,
                 .about = "in any order; the newest moves the driver"},
                {.name = "locations[].lat", LATITUDE},
                {.name = "locations[].lng", LONGITUDE},
                {.name = "locations[].heading", HEADING},
                {.name = "locations[].speed", SPEED},
                {.name = "locations[].accuracy", ACCURACY},
                {.name = "locations[].timestamp", RECORDED, .required = true}},
     .roles = "driver",
     .repeatable = true,
     .timeout = TIMEOUT_POSITION},
    {.method = "GET",
     .path = API "/location/nearby",
     .summary = "Available drivers nearby, nearest first",
     .sql = "SELECT row_to_json(n) FROM (SELECT t.*, greatest(round(extract(epoch FROM hail.clock() - "
            "t.last_seen), 1), 0) AS age_s FROM hail.nearby_drivers($1, $2, $3, $4, $5) t) n",
     .params =
         {{.name = "lat", .source = IN_QUERY, LATITUDE},
          {.name = "lng", .source = IN_QUERY, LONGITUDE},
          {.name = "radius",
           .source = IN_QUERY,
           .type = TYPE_NUMBER,
           .min = 100,
           .max = 50000,
           .fallback = "5000",
           .about = "metres"},
          {.name = "limit", .source = IN_QUERY, .type = TYPE_INTEGER, .min = 1, .max = 100, .fallback = "10"},
          {.name = "class", .source = IN_QUERY, .type = TYPE_STRING, .min = 1, .max = 32}},
     .shape = RESULT_LIST,
     .list_name = "drivers",
     .roles = "customer driver admin partner",
     .read_only = true,
     .timeout = TIMEOUT_POSITION},
    {0},
};
