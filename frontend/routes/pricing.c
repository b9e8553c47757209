/* Endpoints of pricing. */
#include "routes/params.h"
#include "routes/routes.h"

#define PLACES                                                                                               \
    {.name = "pickup.lat", .type = TYPE_NUMBER, .required = true, .min = -90, .max = 90},                    \
        {.name = "pickup.lng", .type = TYPE_NUMBER, .required = true, .min = -180, .max = 180},              \
        {.name = "dropoff.lat", .type = TYPE_NUMBER, .required = true, .min = -90, .max = 90},               \
    {                                                                                                        \
        .name = "dropoff.lng", .type = TYPE_NUMBER, .required = true, .min = -180, .max = 180                \
    }

const Route pricing_routes[] = {
    {.method = "POST",
     .path = API "/pricing/quote",
     .summary = "Lock a price",
     .sql = "SELECT row_to_json(t) FROM hail.create_quote(hail.current_subject(), $1, $2, $3, $4, $5) t",
     .params = {PLACES, {.name = "serviceClass", .type = TYPE_STRING, .required = true, .min = 1, .max = 32}},
     .ignored = PRICES,
     .status = 201,
     .roles = "customer",
     .timeout = TIMEOUT_PRICING},
    {.method = "POST",
     .path = API "/pricing/estimate",
     .summary = "What a trip would cost, in several classes at once",
     .sql = "SELECT row_to_json(t) FROM hail.estimate_fares($1, $2, $3, $4, $5) t",
     .params = {PLACES,
                {.name = "serviceClasses",
                 .type = TYPE_STRINGS,
                 .min = 1,
                 .max = 16,
                 .about = "default: every class with a price list"}},
     .ignored = PRICES,
     .shape = RESULT_LIST,
     .list_name = "estimates",
     .roles = "customer driver admin partner analyst",
     .repeatable = true,
     .timeout = TIMEOUT_PRICING},
    {.method = "GET",
     .path = API "/pricing/surge-map",
     .summary = "Hexagons with raised prices",
     .sql = "SELECT json_build_object('type', 'FeatureCollection', 'features', "
            "coalesce(json_agg(json_build_object("
            "'type', 'Feature', 'geometry', public.ST_AsGeoJSON(t.hexagon)::json, 'properties', "
            "json_build_object('cell', t.cell, 'multiplier', t.multiplier)) ORDER BY t.cell), '[]')) "
            "FROM hail.surge_map($1, $2, $3) t",
     .params =
         {{.name = "lat", .source = IN_QUERY, .type = TYPE_NUMBER, .required = true, .min = -90, .max = 90},
          {.name = "lng", .source = IN_QUERY, .type = TYPE_NUMBER, .required = true, .min = -180, .max = 180},
          {.name = "radius",
           .source = IN_QUERY,
           .type = TYPE_NUMBER,
           .min = 100,
           .max = 50000,
           .fallback = "5000",
           .about = "metres"}},
     .shape = RESULT_GEOJSON,
     .roles = "customer driver admin partner analyst",
     .read_only = true,
     .timeout = TIMEOUT_PRICING},
    {0},
};
