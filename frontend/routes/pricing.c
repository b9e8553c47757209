/* Endpoints of pricing for those who travel: estimates, quotes, ETAs, surge. */
#include "routes/params.h"
#include "routes/routes.h"

#define LATITUDE  .type = TYPE_NUMBER, .min = -90, .max = 90, .about = "degrees"
#define LONGITUDE .type = TYPE_NUMBER, .min = -180, .max = 180, .about = "degrees"
#define PLACES                                                                                               \
    {.name = "pickup.lat", LATITUDE, .required = true}, {.name = "pickup.lng", LONGITUDE, .required = true}, \
        {.name = "dropoff.lat", LATITUDE, .required = true},                                                 \
    {                                                                                                        \
        .name = "dropoff.lng", LONGITUDE, .required = true                                                   \
    }
#define CLASSES                                                                                              \
    {                                                                                                        \
        .name = "serviceClasses", .type = TYPE_STRINGS, .min = 1, .max = 16,                                 \
        .about = "default: every class with a price list in force"                                           \
    }
#define POINT                                                                                                \
    {.name = "lat", .source = IN_QUERY, LATITUDE, .required = true},                                         \
    {                                                                                                        \
        .name = "lng", .source = IN_QUERY, LONGITUDE, .required = true                                       \
    }

/* The call is counted first; only then is there something to price. */
#define LIMITED(class) "hail.limit_rate('" class "') AS allowed"

/* An estimate or quote `t` with its range as one member. */
#define PRICED(t)                                                                                            \
    "(SELECT row_to_json(p) FROM (SELECT " t ".*, json_build_object('low', " t ".price_low, 'high', " t      \
    ".price_high) AS price_range) p)"

const Route pricing_routes[] = {
    {.method = "POST",
     .path = API "/pricing/estimate",
     .summary = "What a trip would cost, in several classes at once; promises nothing",
     .sql = "SELECT " PRICED("t") " FROM " LIMITED(
         "estimate") ", LATERAL hail.estimate_fares(CASE WHEN allowed THEN $1::float8 END, $2, $3, $4, $5) t",
     .params = {PLACES, CLASSES},
     .ignored = PRICES,
     .shape = RESULT_LIST,
     .list_name = "estimates",
     .rate = "estimate",
     .roles = "customer driver admin partner analyst",
     .repeatable = true,
     .timeout = TIMEOUT_PRICING},
    {.method = "POST",
     .path = API "/pricing/quote",
     .summary = "Lock a price",
     .rate = "quote",
     .sql =
         "SELECT " PRICED("t") " FROM " LIMITED("quote") ", LATERAL hail.create_quote(CASE WHEN allowed THEN "
                                                         "hail.current_subject() END, $1, $2, $3, $4, $5) t",
     .params = {PLACES, {.name = "serviceClass", .type = TYPE_STRING, .required = true, .min = 1, .max = 32}},
     .ignored = PRICES,
     .status = 201,
     .roles = "customer",
     .timeout = TIMEOUT_PRICING},
    {.method = "POST",
     .path = API "/pricing/quotes",
     .summary = "Lock the prices of several classes, all of the same moment",
     .rate = "quote",
     .sql = "SELECT " PRICED("t") " FROM " LIMITED(
         "quote") ", LATERAL hail.create_quotes(CASE WHEN allowed THEN hail.current_subject() END, $1, $2, "
                  "$3, $4, $5) t",
     .params = {PLACES, CLASSES},
     .ignored = PRICES,
     .shape = RESULT_LIST,
     .list_name = "quotes",
     .status = 201,
     .roles = "customer",
     .timeout = TIMEOUT_PRICING},
    {.method = "GET",
     .path = API "/pricing/quotes/:id",
     .summary = "A quote of the caller, with every part of its price",
     .sql = "SELECT " PRICED("t") " FROM hail.get_quote($1) t",
     .params = {{.name = "id", .source = IN_PATH, .type = TYPE_UUID, .required = true, .about = "quote"}},
     .roles = "customer admin",
     .read_only = true,
     .timeout = TIMEOUT_PRICING},
    {.method = "GET",
     .path = API "/pricing/eta",
     .summary = "How long a way takes, the interval of four trips in five, and what the guess rests on",
     .sql = "SELECT row_to_json(t) FROM hail.eta($1, $2, $3, $4, $5, NULL, $6) t",
     .params = {{.name = "fromLat", .source = IN_QUERY, LATITUDE, .required = true},
                {.name = "fromLng", .source = IN_QUERY, LONGITUDE, .required = true},
                {.name = "toLat", .source = IN_QUERY, LATITUDE, .required = true},
                {.name = "toLng", .source = IN_QUERY, LONGITUDE, .required = true},
                {.name = "at", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .about = "default: now"},
                {.name = "kind",
                 .source = IN_QUERY,
                 .type = TYPE_ENUM,
                 .values = "trip|pickup",
                 .fallback = "trip",
                 .about = "with a passenger, or a driver on the way there"}},
     .roles = "customer driver admin partner analyst",
     .read_only = true,
     .timeout = TIMEOUT_PRICING},
    {.method = "GET",
     .path = API "/pricing/surge",
     .summary = "The surge at a point; 1 where there is none",
     .sql = "SELECT json_build_object('multiplier', hail.surge_at($1, $2))",
     .params = {POINT},
     .roles = "customer driver admin partner analyst",
     .read_only = true,
     .timeout = TIMEOUT_PRICING},
    {.method = "GET",
     .path = API "/pricing/surge-map",
     .summary = "Hexagons with raised prices",
     .sql = "SELECT j, md5(j::text) AS etag FROM (SELECT json_build_object('type', 'FeatureCollection', "
            "'features', "
            "coalesce(json_agg(json_build_object("
            "'type', 'Feature', 'geometry', public.ST_AsGeoJSON(t.hexagon)::json, 'properties', "
            "json_build_object('cell', t.cell, 'multiplier', t.multiplier)) ORDER BY t.cell), '[]')) AS j "
            "FROM hail.surge_map($1, $2, $3) t) m",
     .params = {POINT,
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
     .etag = true,
     .timeout = TIMEOUT_PRICING},
    {0},
};
