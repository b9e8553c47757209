/* Endpoints of pricing for analysts: what prices did. The database limits the span and says whose these
 * figures are. */
#include "routes/params.h"
#include "routes/routes.h"

/* Of which time: $1 to $3 of their statements. */
#define SPAN                                                                                                 \
    {.name = "region",                                                                                       \
     .source = IN_QUERY,                                                                                     \
     .type = TYPE_STRING,                                                                                    \
     .min = 2,                                                                                               \
     .max = 32,                                                                                              \
     .about = "its code; default: every region"},                                                            \
        {.name = "fromTime",                                                                                 \
         .source = IN_QUERY,                                                                                 \
         .type = TYPE_TIMESTAMP,                                                                             \
         .required = true,                                                                                   \
         .about = "included"},                                                                               \
    {                                                                                                        \
        .name = "toTime", .source = IN_QUERY, .type = TYPE_TIMESTAMP, .required = true,                      \
        .about = "not included"                                                                              \
    }

#define FIGURES                                                                                              \
    .shape = RESULT_LIST, .list_name = "figures", .roles = "admin analyst", .read_only = true,               \
    .timeout = TIMEOUT_REPORT

/* Hexagons as features: all columns but the geometry are properties. */
#define HEXAGONS(columns, list)                                                                              \
    "SELECT json_build_object('type', 'FeatureCollection', 'features', coalesce(json_agg(json_build_object(" \
    "'type', 'Feature', 'geometry', public.ST_AsGeoJSON(t.hexagon)::json, 'properties', "                    \
    "(SELECT row_to_json(p) FROM (SELECT " columns ") p))), '[]')) FROM " list " t"

#define MAP .shape = RESULT_GEOJSON, .roles = "admin analyst", .read_only = true, .timeout = TIMEOUT_REPORT

const Route pricing_figures_routes[] = {
    {.method = "GET",
     .path = API "/pricing/figures/price-per-km",
     .summary = "What a kilometre cost, by hexagon of the pickup",
     .sql = HEXAGONS(
         "t.region_code AS region, t.cell, t.service_class, t.day_part, t.trips, t.km, t.price_per_km, "
         "t.price_per_km_p10, t.price_per_km_p50, t.price_per_km_p90, t.surge_mean, t.currency",
         "hail.price_per_km($1, $2, $3, $4, $5, $6)"),
     .params = {SPAN,
                {.name = "serviceClass", .source = IN_QUERY, .type = TYPE_STRING, .min = 1, .max = 32},
                {.name = "hexagonSizeM",
                 .source = IN_QUERY,
                 .type = TYPE_NUMBER,
                 .min = 500,
                 .max = 50000,
                 .about = "metres; default: the region's"},
                {.name = "byDayPart", .source = IN_QUERY, .type = TYPE_BOOLEAN, .fallback = "false"}},
     MAP},
    {.method = "GET",
     .path = API "/pricing/figures/surge",
     .summary = "How often, how long and how high each hexagon surged",
     .sql = HEXAGONS("t.region_code AS region, t.cell, t.surges, t.surged_s, t.surged_share, t.surge_mean_s, "
                     "t.surge_longest_s, t.multiplier_mean, t.multiplier_max",
                     "hail.surge_by_cell($1, $2, $3)"),
     .params = {SPAN},
     MAP},
    {.method = "GET",
     .path = API "/pricing/figures/acceptance-by-surge",
     .summary = "Share of quotes taken, by their surge",
     .sql = "SELECT row_to_json(t) FROM hail.acceptance_by_surge($1, $2, $3) t",
     .params = {SPAN},
     FIGURES},
    {.method = "GET",
     .path = API "/pricing/figures/acceptance-by-price",
     .summary = "Share of quotes taken, by class and band of price",
     .sql = "SELECT row_to_json(t) FROM hail.acceptance_by_price($1, $2, $3, $4) t",
     .params = {SPAN,
                {.name = "bands",
                 .source = IN_QUERY,
                 .type = TYPE_INTEGER,
                 .min = 1,
                 .max = 100,
                 .fallback = "10"}},
     FIGURES},
    {.method = "GET",
     .path = API "/pricing/figures/earnings",
     .summary = "How earnings were spread over drivers, by day",
     .sql = "SELECT row_to_json(t) FROM hail.earnings_distribution($1, $2, $3) t",
     .params = {SPAN},
     FIGURES},
    {.method = "GET",
     .path = API "/pricing/figures/eta-accuracy",
     .summary = "How well trip times were told, by source",
     .sql = "SELECT row_to_json(t) FROM hail.eta_accuracy($1, $2, $3, $4) t",
     .params = {SPAN, {.name = "byDay", .source = IN_QUERY, .type = TYPE_BOOLEAN, .fallback = "false"}},
     FIGURES},
    {.method = "GET",
     .path = API "/pricing/figures/revenue",
     .summary = "Trips, prices and commission by day and class",
     .sql = "SELECT row_to_json(t) FROM hail.revenue_by_class($1, $2, $3) t",
     .params = {SPAN},
     FIGURES},
    {0},
};
