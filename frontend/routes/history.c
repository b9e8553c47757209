/* Endpoints of history: where everybody was. */
#include "routes/routes.h"

const Route history_routes[] = {
    {.method = "GET",
     .path = API "/trips/:id/track",
     .summary = "Where a trip went",
     .sql = "SELECT hail.trip_track_geojson($1)",
     .params = {{.name = "id", .source = IN_PATH, .type = TYPE_UUID, .required = true}},
     .shape = RESULT_GEOJSON,
     .roles = "customer driver admin",
     .read_only = true},
    {.method = "GET",
     .path = API "/drivers/:id/position",
     .summary = "Where a driver was at a time: the last position of the day before it",
     .sql = "SELECT row_to_json(p) FROM hail.driver_position_at($1, coalesce($2, hail.clock())) p"
            " WHERE p.recorded_at IS NOT NULL",
     .params = {{.name = "id", .source = IN_PATH, .type = TYPE_UUID, .required = true},
                {.name = "at", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .about = "default: now"}},
     .roles = "driver admin",
     .read_only = true},
    {0},
};
