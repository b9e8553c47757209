/* Endpoints of geofence: areas as GeoJSON, airport queues. */
#include "routes/routes.h"

#define FENCE_ID                                                                                             \
    {                                                                                                        \
        .name = "id", .source = IN_PATH, .type = TYPE_INTEGER, .required = true, .min = 1, .max = 2147483647 \
    }
#define NAME .name = "name", .type = TYPE_STRING, .min = 1, .max = 200
#define BOUNDARY                                                                                             \
    .name = "boundary", .type = TYPE_GEOJSON, .about = "GeoJSON Polygon or MultiPolygon, [lng, lat]"
#define MARGIN                                                                                               \
    {                                                                                                        \
        .name = "leaveMarginM", .type = TYPE_NUMBER, .min = 0, .max = 5000,                                  \
        .about = "left when so far outside, metres"                                                          \
    }
#define AFTER                                                                                                \
    {                                                                                                        \
        .name = "leaveAfterS", .type = TYPE_NUMBER, .min = 0, .max = 86400,                                  \
        .about = "or outside for so long, seconds"                                                           \
    }
#define OFFERS                                                                                               \
    {                                                                                                        \
        .name = "queueOffers", .type = TYPE_INTEGER, .min = 1, .max = 20,                                    \
        .about = "airports: drivers at the head of the queue asked at a time"                                \
    }

const Route geofence_routes[] = {
    {.method = "GET",
     .path = API "/geofences",
     .summary = "Airports, restricted and other areas",
     .sql = "SELECT hail.geofences_geojson($1)",
     .params = {{.name = "kind", .source = IN_QUERY, .type = TYPE_ENUM, .values = "airport|restricted|area"}},
     .shape = RESULT_GEOJSON,
     .roles = "customer driver admin partner",
     .read_only = true},
    {.method = "POST",
     .path = API "/geofences",
     .summary = "Make an area",
     .sql = "SELECT hail.geofence_feature(hail.create_geofence($1, $2, hail.boundary_from_geojson($3), $4,"
            " coalesce($5, 100), make_interval(secs => coalesce($6, 60)), coalesce($7, 1)))",
     .params = {{.name = "kind", .type = TYPE_ENUM, .required = true, .values = "airport|restricted|area"},
                {NAME, .required = true},
                {BOUNDARY, .required = true},
                {.name = "region", .type = TYPE_STRING, .min = 2, .max = 32, .about = "its code"},
                MARGIN,
                AFTER,
                OFFERS},
     .status = 201,
     .shape = RESULT_GEOJSON,
     .roles = "admin"},
    {.method = "PUT",
     .path = API "/geofences/:id",
     .summary = "Change what is given of an area",
     .sql = "SELECT hail.geofence_feature(hail.update_geofence($1, $2,"
            " CASE WHEN $3::text IS NOT NULL THEN hail.boundary_from_geojson($3) END, $4, $5,"
            " make_interval(secs => $6), $7))",
     .params =
         {FENCE_ID, {NAME}, {BOUNDARY}, {.name = "active", .type = TYPE_BOOLEAN}, MARGIN, AFTER, OFFERS},
     .shape = RESULT_GEOJSON,
     .roles = "admin",
     .repeatable = true},
    {.method = "DELETE",
     .path = API "/geofences/:id",
     .summary = "Do away with an area; drivers inside leave it",
     .sql = "SELECT json_build_object('id', f.id) FROM (SELECT $1::integer AS id) f,"
            " LATERAL (SELECT hail.drop_geofence(f.id)) dropped",
     .params = {FENCE_ID},
     .roles = "admin"},
    {.method = "GET",
     .path = API "/geofences/:id/queue",
     .summary = "The queue of an airport, first in first",
     .sql = "SELECT row_to_json(q) FROM hail.airport_queue($1) q",
     .params = {FENCE_ID},
     .shape = RESULT_LIST,
     .list_name = "queue",
     .roles = "admin",
     .read_only = true},
    {.method = "GET",
     .path = API "/driver/queue",
     .summary = "The driver's own place in airport queues",
     .sql = "SELECT row_to_json(q) FROM hail.queue_position(hail.current_subject()) q",
     .shape = RESULT_LIST,
     .list_name = "queues",
     .roles = "driver",
     .read_only = true},
    {0},
};
