/* Every setting of the extension. */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "base/guc.h"

int hail_max_live_drivers = 100000;
int hail_history_ring_points = 131072;
int hail_max_eta_effects = 262144;
int hail_eta_half_life_days = 90;
char *hail_worker_database = NULL;
bool hail_workers = true;
bool hail_ledger_chain = false;
int hail_presence_ttl_s = 30;
int hail_history_interval_s = 60;
int hail_track_tolerance_m = 10;
int hail_track_delay_s = 300;
int hail_track_retention_s = 2557 * 86400;
int hail_write_through_ms = 3000;
int hail_write_through_batch = 10000;
int hail_quote_ttl_s = 600;
int hail_min_trip_m = 50;
int hail_max_trip_km = 300;
int hail_pickup_eta_radius_m = 10000;
int hail_surge_window_s = 600;
int hail_surge_interval_ms = 30000;
int hail_surge_hold_s = 300;
int hail_surge_half_life_s = 120;
int hail_max_surge_cells = 65536;
int hail_max_speed_kmh = 250;
int hail_dispatch_max_lag_ms = 5000;
int hail_dispatch_queue_max = 10000;
int hail_code_tries_max = 5;
int hail_destination_changes_max = 5;
int hail_destination_growth = 3;
int hail_toll_limit = 100;
int hail_tip_limit = 100;
int hail_tip_window_s = 86400;
int hail_arrival_radius_m = 500;
int hail_webhook_tolerance_s = 300;
int hail_report_rate = 20;
int hail_porter_report_rate = 600;
int hail_trip_request_rate = 5;
int hail_driver_response_rate = 30;
int hail_trip_status_rate = 20;
int hail_partner_order_rate = 600;
int hail_quote_rate = 60;
int hail_estimate_rate = 120;
int hail_quote_retention_s = 90 * 86400;
int hail_ledger_close_delay_s = 3600;
int hail_idempotency_ttl_s = 86400;
char *hail_jwt_secret = NULL;
char *hail_jwt_public_key = NULL;
int hail_jwt_algorithm = HAIL_JWT_HS256;
char *hail_jwt_issuer = NULL;
char *hail_jwt_audience = NULL;
int hail_jwt_leeway_s = 30;

static char *request_id = NULL;

static const struct config_enum_entry jwt_algorithms[] = {{"HS256", HAIL_JWT_HS256, false},
                                                          {"RS256", HAIL_JWT_RS256, false},
                                                          {"EdDSA", HAIL_JWT_EDDSA, false},
                                                          {NULL, 0, false}};

typedef struct IntSetting {
    const char *name;
    const char *description;
    int *variable;
    int boot, min, max;
    GucContext context;
    int flags;
} IntSetting;

typedef struct StringSetting {
    const char *name;
    const char *description;
    char **variable;
    const char *boot;
    GucContext context;
    int flags;
    GucStringCheckHook check;
} StringSetting;

const char *hail_request_id(void)
{
    return request_id != NULL && request_id[0] != '\0' ? request_id : NULL;
}

/* What goes into logs must be short and of one line. */
static bool check_request_id(char **value, void **extra, GucSource source)
{
    const char *c = *value;

    while (*c > ' ' && *c <= '~')
        c++;
    if (*c == '\0' && c - *value <= 128)
        return true;
    GUC_check_errdetail("A request id has at most 128 printable ASCII characters and no spaces.");
    return false;
}

#define SECRET (GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE)

/* clang-format off */
/* GUC_REPORT: the server tells its clients the value by itself; haild puts these into its answers. */
static const IntSetting int_settings[] = {
    {"hail.max_live_drivers", "Drivers the live index has room for.",
     &hail_max_live_drivers, 100000, 16, 10000000, PGC_POSTMASTER, 0},
    {"hail.history_ring_points", "Positions the history ring holds until they are drained.",
     &hail_history_ring_points, 131072, 64, 16777216, PGC_POSTMASTER, 0},
    {"hail.max_eta_effects", "Effects that ETAs may have learnt in all regions; 24 bytes each.",
     &hail_max_eta_effects, 262144, 1024, 67108864, PGC_POSTMASTER, 0},
    {"hail.eta_half_life", "Trips of so many days ago count half in what ETAs have learnt.",
     &hail_eta_half_life_days, 90, 1, 3650, PGC_POSTMASTER, 0},
    {"hail.max_surge_cells", "Surge hexagons that shared memory has room for.",
     &hail_max_surge_cells, 65536, 16, 10000000, PGC_POSTMASTER, 0},
    {"hail.presence_ttl", "A driver not heard of for this long is no longer found.",
     &hail_presence_ttl_s, 30, 1, 86400, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.history_interval", "Off a trip, one position is kept per this interval.",
     &hail_history_interval_s, 60, 0, 86400, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.track_tolerance", "Kept tracks are off the recorded way by no more than this (m), at any time.",
     &hail_track_tolerance_m, 10, 0, 10000, PGC_SIGHUP, 0},
    {"hail.track_delay", "The track of a trip is kept this long after its completion: late positions are in it.",
     &hail_track_delay_s, 300, 0, 86400, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.track_retention", "Kept tracks are deleted this long after the completion of their trips.",
     &hail_track_retention_s, 2557 * 86400, 86400, 2147400000, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.write_through_interval", "Changed positions reach driver_positions this often.",
     &hail_write_through_ms, 3000, 10, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
    {"hail.write_through_batch", "Changed positions written in one transaction.",
     &hail_write_through_batch, 10000, 32, 1000000, PGC_SIGHUP, 0},
    {"hail.quote_ttl", "How long a quote locks its price.",
     &hail_quote_ttl_s, 600, 1, 86400, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.min_trip_distance", "Pickup and dropoff nearer than this (m) are refused as the same place.",
     &hail_min_trip_m, 50, 0, 100000, PGC_SIGHUP, 0},
    {"hail.max_trip_distance", "Trips longer than this (km, great circle) are not priced.",
     &hail_max_trip_km, 300, 1, 20000, PGC_SIGHUP, 0},
    {"hail.pickup_eta_radius", "Prices tell when the nearest available driver within this (m) could be there.",
     &hail_pickup_eta_radius_m, 10000, 100, 100000, PGC_SIGHUP, 0},
    {"hail.surge_window", "Trips requested and quotes made within this time are the demand of their hexagon.",
     &hail_surge_window_s, 600, 1, 86400, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.surge_interval", "Surge is weighed anew this often; it moves by one step of its table each time.",
     &hail_surge_interval_ms, 30000, 1000, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
    {"hail.surge_hold", "A surge multiplier that has risen is not lowered for this long.",
     &hail_surge_hold_s, 300, 0, 86400, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.surge_half_life", "Averages of demand and supply go half their way to a new value in this time; 0: at once.",
     &hail_surge_half_life_s, 120, 0, 86400, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.max_speed", "A move faster than this (km/h) is flagged and not applied.",
     &hail_max_speed_kmh, 250, 1, 100000, PGC_SIGHUP, 0},
    {"hail.dispatch_max_lag", "The dispatcher is overloaded when it is later than this; 0: never.",
     &hail_dispatch_max_lag_ms, 5000, 0, 3600000, PGC_SUSET, GUC_UNIT_MS},
    {"hail.dispatch_queue_max", "Trips that may wait for the dispatcher in an overload; further ones are refused.",
     &hail_dispatch_queue_max, 10000, 1, 10000000, PGC_SUSET, 0},
    {"hail.webhook_tolerance", "How far the timestamp of a signed webhook may be from the clock.",
     &hail_webhook_tolerance_s, 300, 1, 86400, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.code_tries", "So many wrong codes may be tried at a pickup or stop; then the customer renews the code.",
     &hail_code_tries_max, 5, 1, 1000, PGC_SIGHUP, 0},
    {"hail.destination_changes", "So often the destination of a trip may be changed.",
     &hail_destination_changes_max, 5, 0, 1000, PGC_SIGHUP, 0},
    {"hail.destination_growth", "A changed destination may make a trip so many times as long, or 5 km longer; 0: any length.",
     &hail_destination_growth, 3, 0, 1000, PGC_SIGHUP, 0},
    {"hail.toll_limit", "Tolls of a trip, all together, in percent of its price at most.",
     &hail_toll_limit, 100, 0, 10000, PGC_SIGHUP, 0},
    {"hail.tip_limit", "Tips of a trip, all together, in percent of its price at most.",
     &hail_tip_limit, 100, 0, 10000, PGC_SIGHUP, 0},
    {"hail.tip_window", "A trip is tipped within this time of its end.",
     &hail_tip_window_s, 86400, 0, 31536000, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.arrival_radius", "Waiting and cancelling cost once the driver is within this (m) of the pickup; 0: wherever it says it has arrived.",
     &hail_arrival_radius_m, 500, 0, 1000000, PGC_SIGHUP, 0},
    {"hail.report_rate", "Position reports a driver may send a minute, as many at once; 0: any number.",
     &hail_report_rate, 20, 0, 60000, PGC_SIGHUP, GUC_REPORT},
    {"hail.porter_report_rate", "The same for drivers of porter classes.",
     &hail_porter_report_rate, 600, 0, 60000, PGC_SIGHUP, GUC_REPORT},
    {"hail.trip_request_rate", "Trips a user may ask for a minute through a front, as many at once; 0: any number.",
     &hail_trip_request_rate, 5, 0, 60000, PGC_SIGHUP, GUC_REPORT},
    {"hail.driver_response_rate", "Answers to offers and bids that a driver may send a minute; 0: any number.",
     &hail_driver_response_rate, 30, 0, 60000, PGC_SIGHUP, GUC_REPORT},
    {"hail.trip_status_rate", "Looks at trips that a user may take a minute; 0: any number.",
     &hail_trip_status_rate, 20, 0, 60000, PGC_SIGHUP, GUC_REPORT},
    {"hail.partner_order_rate", "Orders that a partner may place a minute, as many at once; 0: any number.",
     &hail_partner_order_rate, 600, 0, 60000, PGC_SIGHUP, GUC_REPORT},
    {"hail.quote_rate", "Requests for quotes that a user may send a minute through a front, as many at once; 0: any number.",
     &hail_quote_rate, 60, 0, 60000, PGC_SIGHUP, GUC_REPORT},
    {"hail.estimate_rate", "Requests for estimates that a user may send a minute through a front; 0: any number.",
     &hail_estimate_rate, 120, 0, 60000, PGC_SIGHUP, GUC_REPORT},
    {"hail.quote_retention", "Quotes of which no trip was made are deleted this long after they expired.",
     &hail_quote_retention_s, 90 * 86400, 3600, 2147400000, PGC_SIGHUP, GUC_UNIT_S},
    {"hail.ledger_close_delay", "The keeper closes a day of the ledger this long after its end; -1: never.",
     &hail_ledger_close_delay_s, 3600, -1, 30 * 86400, PGC_SUSET, GUC_UNIT_S},
    {"hail.idempotency_ttl", "Request keys are kept, and answered with the first result, this long.",
     &hail_idempotency_ttl_s, 86400, 60, 30 * 86400, PGC_SUSET, GUC_UNIT_S},
    {"hail.jwt_leeway", "Clock skew accepted in token times.",
     &hail_jwt_leeway_s, 30, 0, 60, PGC_SIGHUP, GUC_UNIT_S},
};

static const StringSetting string_settings[] = {
    {"hail.database", "Database the background workers serve.",
     &hail_worker_database, "postgres", PGC_POSTMASTER, 0},
    {"hail.jwt_secret", "HS256 key of the tokens, 32 bytes or more.",
     &hail_jwt_secret, "", PGC_SIGHUP, SECRET},
    {"hail.jwt_public_key", "PEM public key of the tokens' issuer, for RS256 and EdDSA.",
     &hail_jwt_public_key, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY},
    {"hail.jwt_issuer", "Issuer that tokens must name.", &hail_jwt_issuer, "pg_hail", PGC_SIGHUP, 0},
    {"hail.jwt_audience", "Audience that tokens must name.", &hail_jwt_audience, "hail", PGC_SIGHUP, 0},
    {"hail.request_id", "Id of the request being served, for events and logs; set per transaction.",
     &request_id, "", PGC_USERSET, GUC_NOT_IN_SAMPLE, check_request_id},
};
/* clang-format on */

/* A setting fixed at server start can't be defined once the server runs; its default stands then. */
static bool definable(GucContext context)
{
    return context != PGC_POSTMASTER || process_shared_preload_libraries_in_progress;
}

void hail_guc_init(void)
{
    for (int i = 0; i < (int)lengthof(int_settings); i++) {
        const IntSetting *s = &int_settings[i];

        if (definable(s->context))
            DefineCustomIntVariable(s->name, s->description, NULL, s->variable, s->boot, s->min, s->max,
                                    s->context, s->flags, NULL, NULL, NULL);
    }
    for (int i = 0; i < (int)lengthof(string_settings); i++) {
        const StringSetting *s = &string_settings[i];

        if (definable(s->context))
            DefineCustomStringVariable(s->name, s->description, NULL, s->variable, s->boot, s->context,
                                       s->flags, s->check, NULL, NULL);
    }
    DefineCustomEnumVariable("hail.jwt_algorithm", "The one signature algorithm accepted in tokens.", NULL,
                             &hail_jwt_algorithm, HAIL_JWT_HS256, jwt_algorithms, PGC_SIGHUP, 0, NULL, NULL,
                             NULL);
    if (definable(PGC_POSTMASTER))
        DefineCustomBoolVariable("hail.workers", "Start the background workers (dispatcher and keeper).",
                                 NULL, &hail_workers, true, PGC_POSTMASTER, 0, NULL, NULL, NULL);
    DefineCustomBoolVariable("hail.ledger_chain", "Chain the ledger's entries by hashes (tamper evidence).",
                             NULL, &hail_ledger_chain, false, PGC_SUSET, 0, NULL, NULL, NULL);
    MarkGUCPrefixReserved("hail");
}
