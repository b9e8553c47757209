/*
 * Set-up through SQL, as a superuser: region, fares, customers with funded wallets, drivers, tokens.
 * Set-based statements, a thousand people a transaction.
 */
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

#define BATCH 1000

PGconn *db_connect(void)
{
    PGconn *db = PQconnectdb(sim.options.db);

    if (PQstatus(db) != CONNECTION_OK)
        die("cannot connect to the database: %s", PQerrorMessage(db));
    PQclear(PQexec(db, "SET client_min_messages = warning"));
    return db;
}

PGresult *db_query(PGconn *db, const char *sql, int count, const char *const *values)
{
    PGresult *result = PQexecParams(db, sql, count, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        die("%s\nin: %s", PQresultErrorMessage(result), sql);
    return result;
}

static void db_do(PGconn *db, const char *sql, int count, const char *const *values)
{
    PQclear(db_query(db, sql, count, values));
}

static void make_region(PGconn *db)
{
    const Dataset *d = &sim.data;
    char *box = xasprintf("POLYGON((%f %f,%f %f,%f %f,%f %f,%f %f))", d->west, d->south, d->east, d->south,
                          d->east, d->north, d->west, d->north, d->west, d->south);
    const char *region[] = {d->region, d->region_name, d->currency, d->timezone, box};
    PGresult *r = db_query(db, "SELECT FROM hail.regions WHERE code = $1", 1, region);

    if (PQntuples(r) == 0) {
        db_do(db, "SELECT hail.create_region($1, $2, $3, $4, public.ST_GeomFromText($5, 4326))", 5, region);
        db_do(db, "SELECT hail.load_sample_fares($1)", 1, region);
    }
    PQclear(r);
    r = db_query(db, "SELECT speed_kmh / 3.6, distance_factor FROM hail.regions WHERE code = $1", 1, region);
    sim.speed_mps = atof(PQgetvalue(r, 0, 0));
    sim.road_factor = atof(PQgetvalue(r, 0, 1));
    PQclear(r);
    free(box);
}

static void keep_person(Person *person, PGresult *r, int row)
{
    snprintf(person->id, sizeof(person->id), "%s", PQgetvalue(r, row, 0));
    person->token = xstrdup(PQgetvalue(r, row, 1));
}

/* Users numbered from `first` on; phone numbers of an unassigned country code, after those already there. */
static PGresult *make_users(PGconn *db, const char *role, size_t first, size_t count)
{
    char *from = xasprintf("%zu", first), *to = xasprintf("%zu", first + count - 1);
    const char *values[] = {role, from, to};
    PGresult *r =
        db_query(db,
                 "WITH base AS MATERIALIZED (SELECT count(*) AS n FROM hail.users WHERE phone LIKE '+888%')"
                 " SELECT u.id, hail.issue_token(u.id, '2 days') FROM base,"
                 " generate_series($2::bigint, $3::bigint) AS i,"
                 " LATERAL hail.register_user('+888' || lpad((base.n + i - $2::bigint)::text, 9, '0'),"
                 " initcap($1) || ' ' || i, $1) AS u ORDER BY i",
                 3, values);

    free(from);
    free(to);
    return r;
}

/* Append `value` to an array literal under construction, keeping room for its closing brace. */
static void append(char **array, const char *value)
{
    size_t length = *array ? strlen(*array) : 0;

    *array = xrealloc(*array, length + strlen(value) + 3);
    if (length)
        (*array)[length - 1] = ',';
    sprintf(*array + length, "%s%s}", length ? "" : "{", value);
}

static void fund_wallets(PGconn *db, size_t first, size_t count)
{
    char *owners = NULL, *amounts = NULL;

    for (size_t i = first; i < first + count; i++) {
        if (sim.customers[i].cash)
            continue;
        append(&owners, sim.customers[i].person.id);
        append(&amounts, sim.customers[i].poor ? "100" : "100000");
    }
    if (owners) {
        db_do(db,
              "SELECT hail.post_transaction('DEPOSIT', ARRAY[ROW(g.id, 'debit', p.amount),"
              " ROW(w.id, 'credit', p.amount)]::hail.entry_input[], 'replay-funds:' || p.owner)"
              " FROM unnest($1::uuid[], $2::bigint[]) AS p (owner, amount),"
              " LATERAL hail.open_account('GATEWAY_CLEARING', NULL, $3) AS g,"
              " LATERAL hail.open_account('CUSTOMER_WALLET', p.owner, $3) AS w",
              3, (const char *[]){owners, amounts, sim.data.currency});
    }
    free(owners);
    free(amounts);
}

static void make_customers(PGconn *db)
{
    for (size_t first = 0; first < sim.customer_count; first += BATCH) {
        size_t count = sim.customer_count - first < BATCH ? sim.customer_count - first : BATCH;
        PGresult *r;

        db_do(db, "BEGIN", 0, NULL);
        r = make_users(db, "customer", first, count);
        for (size_t i = 0; i < count; i++) {
            Customer *customer = &sim.customers[first + i];

            keep_person(&customer->person, r, (int)i);
            customer->cash = random_chance(sim.options.cash);
            customer->poor = !customer->cash && random_chance(sim.options.poor);
        }
        PQclear(r);
        fund_wallets(db, first, count);
        db_do(db, "COMMIT", 0, NULL);
    }
}

/* Most drive economy cars, some a better class, which serves economy too. */
static const char *driver_class(void)
{
    double x = random_unit();

    return x < 0.80 ? "economy" : x < 0.95 ? "comfort" : "premium";
}

static void approve_drivers(PGconn *db, size_t first, size_t count)
{
    char *ids = NULL, *classes = NULL;

    for (size_t i = first; i < first + count; i++) {
        append(&ids, sim.drivers[i].person.id);
        append(&classes, driver_class());
    }
    db_do(db,
          "SELECT hail.register_driver(p.id, $3, ARRAY[p.class]) FROM unnest($1::uuid[], $2::text[]) AS p "
          "(id, class)",
          3, (const char *[]){ids, classes, sim.data.region});
    db_do(db,
          "SELECT hail.approve_driver(id), hail.add_vehicle(id, 'R-' || right(id::text, 8), 'Sedan', 'grey', "
          "2020, 4)"
          " FROM unnest($1::uuid[]) AS id",
          1, (const char *[]){ids});
    free(ids);
    free(classes);
}

static void make_drivers(PGconn *db)
{
    for (size_t first = 0; first < sim.driver_count; first += BATCH) {
        size_t count = sim.driver_count - first < BATCH ? sim.driver_count - first : BATCH;
        PGresult *r;

        db_do(db, "BEGIN", 0, NULL);
        r = make_users(db, "driver", first, count);
        for (size_t i = 0; i < count; i++)
            keep_person(&sim.drivers[first + i].person, r, (int)i);
        PQclear(r);
        approve_drivers(db, first, count);
        db_do(db, "COMMIT", 0, NULL);
    }
}

static double set_clock(PGconn *db, double at, double rate)
{
    char *t = xasprintf("%.6f", at), *x = xasprintf("%g", rate);
    double start = wall_now();

    db_do(db, "SELECT hail.set_clock(to_timestamp($1), $2)", 2, (const char *[]){t, x});
    free(t);
    free(x);
    return wall_now() - start;
}

/* Customers are fewer than trips: some come back, but each asks for one trip at a time. */
void setup_run(PGconn *db)
{
    double start = sim.first_at - 60;

    set_clock(db, start, 0);
    make_region(db);
    make_customers(db);
    make_drivers(db);
}

void setup_start_clock(PGconn *db)
{
    double took = set_clock(db, sim.first_at - 60, sim.options.speed);

    /* the server's clock started somewhere within the call: half its time is the best guess */
    clock_start(sim.first_at - 60 + took / 2 * sim.options.speed, sim.options.speed);
}

/* The server's clock goes on from where it is, at another rate; ours follows. */
void setup_change_speed(PGconn *db, double speed)
{
    char *rate = xasprintf("%g", speed);
    double start = wall_now();
    PGresult *r = db_query(db, "SELECT extract(epoch FROM hail.set_clock(hail.clock(), $1))", 1,
                           (const char *[]){rate});

    clock_start(atof(PQgetvalue(r, 0, 0)) + (wall_now() - start) / 2 * speed, speed);
    PQclear(r);
    free(rate);
}

void setup_guard_clock(void)
{
    PGconn *db = PQconnectdb(sim.options.db);
    PGresult *r;

    if (PQstatus(db) == CONNECTION_OK) {
        r = PQexec(db, "SELECT extract(epoch FROM hail.clock())");
        if (PQresultStatus(r) == PGRES_TUPLES_OK &&
            fabs(atof(PQgetvalue(r, 0, 0)) - clock_now()) > 5 + sim.options.speed) {
            char *sql =
                xasprintf("SELECT hail.set_clock(to_timestamp(%.6f), %g)", clock_now(), sim.options.speed);
            PGresult *set = PQexec(db, sql);

            if (PQresultStatus(set) == PGRES_TUPLES_OK)
                sim.clock_resets++;
            http_note_outage(); /* the clock was lost: the server has crashed */
            PQclear(set);
            free(sql);
        }
        PQclear(r);
    } else {
        http_note_outage();
    }
    PQfinish(db);
}
