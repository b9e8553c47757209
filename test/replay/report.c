/* Progress while it runs, and the report at the end, for people and (JSON) for programs. */
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "http.h"

#define BAR_WIDTH 24

static double started_wall;
static double shown_wall;
static long shown_answers;

static void print_bar(double share)
{
    int filled = (int)(share * BAR_WIDTH);

    putchar('[');
    for (int i = 0; i < BAR_WIDTH; i++)
        putchar(i < filled ? '#' : '.');
    putchar(']');
}

/* Done so far: half the time of asking, half the trips that are over. */
static double share_done(void)
{
    double end = sim.last_at + 900, now = clock_now();
    double by_time = (now - (sim.first_at - 60)) / (end - (sim.first_at - 60));

    return sim.over == sim.trip_count ? 1 : by_time < 0 ? 0 : by_time > 0.99 ? 0.99 : by_time;
}

/* One redrawn line on a terminal (five times a second), a plain line each five seconds elsewhere. */
void progress_show(bool final)
{
    bool terminal = isatty(STDOUT_FILENO);
    double now = wall_now(), share = share_done(), elapsed;
    time_t clock = (time_t)clock_now();
    char hour[16];
    struct tm utc;
    long rate;

    if (started_wall == 0)
        started_wall = shown_wall = now;
    if (!final && now - shown_wall < (terminal ? 0.2 : 5))
        return;
    elapsed = now - started_wall;
    rate = now > shown_wall ? lround((double)(http_stats.answers - shown_answers) / (now - shown_wall)) : 0;
    gmtime_r(&clock, &utc);
    strftime(hour, sizeof(hour), "%H:%M:%S", &utc);
    if (terminal)
        printf("\r\033[K");
    print_bar(share);
    printf(" %3.0f%% %sZ | trips asked %zu, driving %zu, completed %zu, cancelled %zu, no driver %zu | "
           "drivers %zu"
           " | x%.1f, %ld requests/s",
           share * 100, hour, sim.asked, sim.driving, sim.completed, sim.cancelled, sim.no_drivers,
           sim.online, clock_rate(), rate);
    if (share > 0.02 && share < 1)
        printf(" | ETA %.0f s", elapsed * (1 - share) / share);
    if (!terminal || final)
        putchar('\n');
    fflush(stdout);
    shown_wall = now;
    shown_answers = http_stats.answers;
}

/* A percentile table of one SQL expression over the trips of this run; clock seconds or metres. */
static void report_sql(PGconn *db, json_t *json, const char *name, const char *unit, const char *query)
{
    char *sql = xasprintf(
        "SELECT count(x), coalesce(round(percentile_cont(0.5) WITHIN GROUP (ORDER BY x)::numeric, 1), 0),"
        " coalesce(round(percentile_cont(0.9) WITHIN GROUP (ORDER BY x)::numeric, 1), 0),"
        " coalesce(round(percentile_cont(0.99) WITHIN GROUP (ORDER BY x)::numeric, 1), 0) FROM (%s) AS s (x)",
        query);
    PGresult *r = PQexec(db, sql);

    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        printf("  %-28s %8s %8s %8s %s   (n = %s)\n", name, PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2),
               PQgetvalue(r, 0, 3), unit, PQgetvalue(r, 0, 0));
        json_object_set_new(json, name,
                            json_pack("{s:s, s:i, s:f, s:f, s:f}", "unit", unit, "n",
                                      atoi(PQgetvalue(r, 0, 0)), "p50", atof(PQgetvalue(r, 0, 1)), "p90",
                                      atof(PQgetvalue(r, 0, 2)), "p99", atof(PQgetvalue(r, 0, 3))));
    } else {
        printf("  %-28s %s", name, PQresultErrorMessage(r));
    }
    PQclear(r);
    free(sql);
}

static json_t *report_matching(PGconn *db)
{
    json_t *json = json_object();

    printf("\nMatching (median, 90 %%, 99 %%)\n");
    report_sql(db, json, "time to first offer", "s",
               "SELECT extract(epoch FROM min(o.created_at) - t.requested_at) FROM hail.trips t"
               " JOIN hail.offers o ON o.trip_id = t.id GROUP BY t.id");
    report_sql(db, json, "time to match", "s",
               "SELECT extract(epoch FROM min(e.occurred_at) - t.requested_at) FROM hail.trips t"
               " JOIN hail.events e ON e.aggregate_id = t.id AND e.type = 'TripMatched' GROUP BY t.id");
    report_sql(db, json, "pickup distance", "m",
               "SELECT pickup_distance_m FROM hail.offers WHERE status = 'accepted'");
    report_sql(
        db, json, "wait for the driver", "s",
        "SELECT extract(epoch FROM arrived_at - requested_at) FROM hail.trips WHERE arrived_at IS NOT NULL");
    report_sql(db, json, "rounds to match", " ", "SELECT round FROM hail.trips WHERE matched_at IS NOT NULL");
    return json;
}

/*
 * How well the fleet was used: what strategies are compared by. Occupied: drivers' share of the time from the
 * first to the last request that they had a passenger in the car; at work: that they were on a trip; of trips
 * that were completed. The Gini coefficient of what drivers earned counts those who earned nothing.
 */
static const char fleet_query[] =
    "WITH span AS (SELECT to_timestamp($1::float8) AS a, to_timestamp($2::float8) AS b),"
    " trips AS (SELECT t.*, CASE WHEN t.state = 'completed'"
    "     THEN greatest(least(t.completed_at, s.b) - greatest(t.matched_at, s.a), '0') END AS work,"
    "     CASE WHEN t.state = 'completed'"
    "     THEN greatest(least(t.completed_at, s.b) - greatest(t.started_at, s.a), '0') END AS ride"
    "     FROM hail.trips t, span s),"
    " earned AS (SELECT d.id, coalesce(sum(t.price), 0) AS amount FROM hail.drivers d"
    "     LEFT JOIN hail.trips t ON t.driver_id = d.id AND t.state = 'completed' GROUP BY d.id),"
    " ranked AS (SELECT amount, row_number() OVER (ORDER BY amount) AS place, count(*) OVER () AS n FROM "
    "earned),"
    " offers AS (SELECT count(*) AS made, count(*) FILTER (WHERE status = 'declined') AS declined,"
    "     count(*) FILTER (WHERE status = 'expired') AS expired,"
    "     avg(pickup_distance_m) FILTER (WHERE status = 'accepted') AS mean,"
    "     percentile_cont(0.9) WITHIN GROUP (ORDER BY pickup_distance_m) FILTER (WHERE status = 'accepted') "
    "AS p90"
    "     FROM hail.offers)"
    " SELECT 100.0 * count(*) FILTER (WHERE state = 'completed') / greatest(count(*), 1),"
    " coalesce((SELECT mean FROM offers), 0), coalesce((SELECT p90 FROM offers), 0),"
    " coalesce(avg(extract(epoch FROM arrived_at - requested_at)), 0),"
    " 100 * coalesce(extract(epoch FROM sum(work)), 0) / (extract(epoch FROM max(s.b - s.a)) * (SELECT "
    "count(*) FROM "
    "hail.drivers)),"
    " 100 * coalesce(extract(epoch FROM sum(ride)), 0) / (extract(epoch FROM max(s.b - s.a)) * (SELECT "
    "count(*) FROM "
    "hail.drivers)),"
    " coalesce((SELECT sum((2 * place - n - 1) * amount) / nullif(max(n) * sum(amount), 0) FROM ranked), 0),"
    " (SELECT made FROM offers), (SELECT declined FROM offers), (SELECT expired FROM offers),"
    " count(*) FILTER (WHERE state = 'cancelled')"
    " FROM trips, span s";

static json_t *report_fleet(PGconn *db)
{
    static const struct {
        const char *name, *words, *unit;
        int digits;
    } columns[] = {{"served", "trips served", "%", 1},
                   {"pickupMean", "pickup distance, mean", "m", 0},
                   {"pickupP90", "pickup distance, 90 %", "m", 0},
                   {"waitMean", "wait for the driver, mean", "s", 0},
                   {"atWork", "drivers at work", "%", 1},
                   {"occupied", "drivers with a passenger", "%", 1},
                   {"gini", "Gini of earnings", "", 3},
                   {"offers", "offers made", "", 0},
                   {"declined", "offers declined", "", 0},
                   {"expired", "offers left to expire", "", 0},
                   {"cancelled", "trips cancelled", "", 0}};
    enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };
    char *from = xasprintf("%.3f", sim.first_at), *to = xasprintf("%.3f", sim.last_at);
    PGresult *r = db_query(db, fleet_query, 2, (const char *[]){from, to});
    json_t *json = json_object();

    printf("\nFleet\n");
    for (int i = 0; i < COLUMNS; i++) {
        double value = atof(PQgetvalue(r, 0, i));

        printf("  %-28s %8.*f %s\n", columns[i].words, columns[i].digits, value, columns[i].unit);
        json_object_set_new(json, columns[i].name, json_real(value));
    }
    json_object_set_new(json, "givenBack", json_integer(sim.driver_cancels));
    json_object_set_new(json, "noDrivers", json_integer((json_int_t)sim.no_drivers));
    PQclear(r);
    free(from);
    free(to);
    return json;
}

static json_t *report_outcomes(void)
{
    printf("\nTrips\n  %-28s %8zu\n  %-28s %8zu\n  %-28s %8zu\n  %-28s %8zu\n  %-28s %8zu\n  %-28s %8zu\n",
           "asked for", sim.asked, "completed", sim.completed, "cancelled", sim.cancelled, "no driver found",
           sim.no_drivers, "refused at request", sim.refused, "not over", sim.trip_count - sim.over);
    printf("  %-28s %8ld\n  %-28s %8ld\n  %-28s %8ld\n  %-28s %8ld\n  %-28s %8ld\n", "given back by drivers",
           sim.driver_cancels, "offers lost to another", sim.lost_races, "wrong codes refused",
           sim.wrong_codes, "completed twice at once", sim.double_completions, "drivers that lapsed",
           sim.presence_lapses);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "asked", (json_int_t)sim.asked,
                     "completed", (json_int_t)sim.completed, "cancelled", (json_int_t)sim.cancelled,
                     "noDrivers", (json_int_t)sim.no_drivers, "refused", (json_int_t)sim.refused, "givenBack",
                     (json_int_t)sim.driver_cancels, "lostRaces", (json_int_t)sim.lost_races, "wrongCodes",
                     (json_int_t)sim.wrong_codes, "doubleCompletions", (json_int_t)sim.double_completions,
                     "presenceLapses", (json_int_t)sim.presence_lapses);
}

static json_t *report_http(double elapsed)
{
    json_t *json = json_object();

    printf("\nHTTP latency (wall ms)                   count      p50      p95      p99      max\n");
    for (int e = 0; e < EP_COUNT; e++) {
        Samples *s = &http_stats.latency[e];
        double p50 = samples_percentile(s, 50), p95 = samples_percentile(s, 95),
               p99 = samples_percentile(s, 99);

        if (s->count == 0)
            continue;
        printf("  %-32s %12zu %8.1f %8.1f %8.1f %8.1f\n", endpoint_names[e], s->count, p50, p95, p99,
               samples_percentile(s, 100));
        json_object_set_new(json, endpoint_names[e],
                            json_pack("{s:I, s:f, s:f, s:f}", "count", (json_int_t)s->count, "p50", p50,
                                      "p95", p95, "p99", p99));
    }
    printf("  %-32s %12zu %8.1f %8.1f %8.1f %8.1f\n", "(waiting for a free connection)",
           http_stats.queue_wait.count, samples_percentile(&http_stats.queue_wait, 50),
           samples_percentile(&http_stats.queue_wait, 95), samples_percentile(&http_stats.queue_wait, 99),
           samples_percentile(&http_stats.queue_wait, 100));
    printf("  %ld answers in %.0f s: %.0f a second; %ld repeated\n", http_stats.answers, elapsed,
           (double)http_stats.answers / elapsed, http_stats.retries);
    printf("  the clock ran %.1f times as fast as the wall, on average\n",
           (clock_now() - sim.first_at + 60) / elapsed);
    return json;
}

static void report_errors(json_t *json)
{
    if (http_stats.error_count)
        printf("\nRefusals and errors by code\n");
    for (size_t i = 0; i < http_stats.error_count; i++) {
        HttpError *e = &http_stats.errors[i];

        printf("  %-32s %3ld %-24s %6ld%s\n", endpoint_names[e->endpoint], e->status, e->code, e->count,
               e->expected ? "" : "  unexpected");
        json_array_append_new(json,
                              json_pack("{s:s, s:i, s:s, s:I, s:b}", "endpoint", endpoint_names[e->endpoint],
                                        "status", (int)e->status, "code", e->code, "count",
                                        (json_int_t)e->count, "expected", e->expected));
    }
}

static json_t *report_ledger(PGconn *db)
{
    json_t *json = json_array();
    PGresult *r = PQexec(
        db, "SELECT a.kind, a.currency, count(DISTINCT a.id), coalesce(sum(CASE e.direction WHEN 'credit'"
            " THEN e.amount ELSE -e.amount END), 0), count(e.id) FROM hail.accounts a"
            " LEFT JOIN hail.ledger_entries e ON e.account_id = a.id GROUP BY 1, 2 ORDER BY 1, 2");

    printf("\nLedger (credits less debits)          accounts      entries            balance\n");
    for (int i = 0; i < PQntuples(r); i++) {
        double amount = atof(PQgetvalue(r, i, 3)) / 100;

        printf("  %-28s %s %12s %12s %18.2f\n", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2),
               PQgetvalue(r, i, 4), amount);
        json_array_append_new(json, json_pack("{s:s, s:s, s:f}", "kind", PQgetvalue(r, i, 0), "currency",
                                              PQgetvalue(r, i, 1), "balance", amount));
    }
    PQclear(r);
    return json;
}

/* Called twice: before the checks (failed_checks < 0) it prints, after them it writes the JSON file. */
void report_write(PGconn *db, int failed_checks)
{
    static json_t *json;
    double elapsed = wall_now() - started_wall;

    if (failed_checks < 0) {
        json_t *errors = json_array();

        json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:f}", "scenario", sim.options.scenario, "strategy",
                         sim.options.strategy ? sim.options.strategy : "default", "seed",
                         (json_int_t)sim.options.seed, "trips", (json_int_t)sim.trip_count, "drivers",
                         (json_int_t)sim.driver_count, "speed", sim.options.speed, "wallSeconds", elapsed);
        json_object_set_new(json, "outcomes", report_outcomes());
        json_object_set_new(json, "matching", report_matching(db));
        json_object_set_new(json, "fleet", report_fleet(db));
        json_object_set_new(json, "http", report_http(elapsed));
        json_object_set_new(json, "requestsPerSecond", json_real((double)http_stats.answers / elapsed));
        report_errors(errors);
        json_object_set_new(json, "errors", errors);
        json_object_set_new(json, "ledger", report_ledger(db));
        return;
    }
    json_object_set_new(json, "failedChecks", json_integer(failed_checks));
    if (sim.options.report_file && json_dump_file(json, sim.options.report_file, JSON_INDENT(2)) != 0)
        fprintf(stderr, "replay: cannot write %s\n", sim.options.report_file);
    json_decref(json);
}
