/*
 * replay: real trips against simulated drivers, through HTTP.
 *
 * Reads a scenario, makes its people through SQL, starts the server's test clock and lets customers and
 * drivers live the period; then checks that every invariant holds. Exit status: 0 all well, 1 a check failed,
 * 2 the replay itself could not run.
 */
#include "sim.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http.h"

Sim sim;

static const char usage[] =
    "usage: replay [option]...\n"
    "  --scenario NAME     nyc, sf or sample (sample)\n"
    "  --data DIR          where its files are (test/replay/sample)\n"
    "  --invariants FILE   the checks (test/replay/invariants.sql)\n"
    "  --trips N           requests, sampled uniformly (200)\n"
    "  --drivers N         drivers (80)\n"
    "  --minutes M         only requests of the first M minutes; 0: all (0)\n"
    "  --longest METRES    only trips of up to this great-circle length (40000)\n"
    "  --speed X           clock seconds per wall second, when the machine keeps pace (20)\n"
    "  --strategy NAME     first_accept, sequential or batched; not given: the service's default\n"
    "  --accept P          share of offers a driver who answers accepts (0.85)\n"
    "  --ignore P          share of offers left to expire (0.05)\n"
    "  --cancel P          share of customers who cancel (0.03)\n"
    "  --driver-cancel P   share of matched trips given back (0.01)\n"
    "  --cash P            share of customers who pay cash (0.3)\n"
    "  --poor P            share of wallets that hold next to nothing (0.01)\n"
    "  --idle-interval S   clock seconds between reports of a free driver (12)\n"
    "  --trip-interval S   clock seconds between reports on a trip (5)\n"
    "  --settle M          clock minutes allowed for the last trips to end (60)\n"
    "  --seed N            of every random number (1)\n"
    "  --url URL           API base (http://127.0.0.1:8080/api/v1)\n"
    "  --db CONNINFO       superuser connection for set-up and checks (dbname=hail)\n"
    "  --connections N     HTTP requests in flight at most (32)\n"
    "  --report FILE       write the report as JSON too\n"
    "  --now               shift the data's times to the present\n"
    "  --crash             something will be killed meanwhile: wait for it to come back\n";

static const char *invariants_file = "test/replay/invariants.sql";

/* Where an option's value goes: exactly one of the pointers is set. */
typedef struct OptionRow {
    const char *name;
    const char **text;
    long *integer;
    double *number;
    bool *flag;
} OptionRow;

static void parse_options(int argc, char **argv)
{
    static uint64_t *seed = &sim.options.seed;
    static long seed_value = 1, connections = 32;
    Options *o = &sim.options;
    const OptionRow rows[] = {
        {"scenario", &o->scenario, NULL, NULL, NULL},
        {"data", &o->data_directory, NULL, NULL, NULL},
        {"invariants", &invariants_file, NULL, NULL, NULL},
        {"url", &o->url, NULL, NULL, NULL},
        {"db", &o->db, NULL, NULL, NULL},
        {"strategy", &o->strategy, NULL, NULL, NULL},
        {"report", &o->report_file, NULL, NULL, NULL},
        {"trips", NULL, &o->trips, NULL, NULL},
        {"drivers", NULL, &o->drivers, NULL, NULL},
        {"seed", NULL, &seed_value, NULL, NULL},
        {"connections", NULL, &connections, NULL, NULL},
        {"minutes", NULL, NULL, &o->minutes, NULL},
        {"longest", NULL, NULL, &o->longest, NULL},
        {"speed", NULL, NULL, &o->speed, NULL},
        {"accept", NULL, NULL, &o->accept, NULL},
        {"ignore", NULL, NULL, &o->ignore, NULL},
        {"cancel", NULL, NULL, &o->cancel, NULL},
        {"driver-cancel", NULL, NULL, &o->driver_cancel, NULL},
        {"cash", NULL, NULL, &o->cash, NULL},
        {"poor", NULL, NULL, &o->poor, NULL},
        {"idle-interval", NULL, NULL, &o->idle_interval, NULL},
        {"trip-interval", NULL, NULL, &o->trip_interval, NULL},
        {"settle", NULL, NULL, &o->settle_minutes, NULL},
        {"now", NULL, NULL, NULL, &o->now},
        {"crash", NULL, NULL, NULL, &o->crash},
    };
    enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
    struct option options[COUNT + 2] = {0};
    int index, found;

    for (int i = 0; i < COUNT; i++)
        options[i] = (struct option){rows[i].name, rows[i].flag ? no_argument : required_argument, NULL, 1};
    options[COUNT] = (struct option){"help", no_argument, NULL, 'h'};
    while ((found = getopt_long(argc, argv, "h", options, &index)) != -1) {
        char *end = "";

        if (found != 1) {
            fputs(usage, found == 'h' ? stdout : stderr);
            exit(found == 'h' ? 0 : 2);
        }
        if (rows[index].text)
            *rows[index].text = optarg;
        else if (rows[index].integer)
            *rows[index].integer = strtol(optarg, &end, 10);
        else if (rows[index].number)
            *rows[index].number = strtod(optarg, &end);
        else
            *rows[index].flag = true;
        if (*end)
            die("--%s: not a number: %s", rows[index].name, optarg);
    }
    *seed = (uint64_t)seed_value;
    o->connections = (int)connections;
    if (optind < argc || o->trips < 1 || o->drivers < 1 || o->connections < 1 || o->connections > 1000 ||
        o->speed <= 0)
        die("wrong options; --help lists them");
}

static void set_defaults(void)
{
    sim.options = (Options){.scenario = "sample",
                            .data_directory = "test/replay/sample",
                            .url = "http://127.0.0.1:8080/api/v1",
                            .db = "dbname=hail",
                            .trips = 200,
                            .drivers = 80,
                            .longest = 40000,
                            .speed = 20,
                            .accept = 0.85,
                            .ignore = 0.05,
                            .cancel = 0.03,
                            .driver_cancel = 0.01,
                            .cash = 0.3,
                            .poor = 0.01,
                            .idle_interval = 12,
                            .trip_interval = 5,
                            .settle_minutes = 60};
}

/* A hash from trip id to trip: open addressing, twice as large as needed. */
static Trip **trip_index;
static size_t trip_index_size;

static size_t hash_id(const char *id)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 1099511628211u;
    return (size_t)(h % trip_index_size);
}

void sim_index_trip(Trip *trip)
{
    size_t i = hash_id(trip->id);

    while (trip_index[i])
        i = (i + 1) % trip_index_size;
    trip_index[i] = trip;
}

Trip *sim_find_trip(const char *id)
{
    for (size_t i = hash_id(id); trip_index[i]; i = (i + 1) % trip_index_size)
        if (strcmp(trip_index[i]->id, id) == 0)
            return trip_index[i];
    return NULL;
}

/* Most ask for the cheapest class. */
static const char *wanted_class(void)
{
    double x = random_unit();

    return x < 0.90 ? "economy" : x < 0.98 ? "comfort" : "premium";
}

static void prepare(void)
{
    Dataset *d = &sim.data;

    *d = data_load(&(DataWish){.scenario = sim.options.scenario,
                               .directory = sim.options.data_directory,
                               .trips = (size_t)sim.options.trips,
                               .drivers = (size_t)sim.options.drivers,
                               .minutes = sim.options.minutes,
                               .longest_m = sim.options.longest});
    if (sim.options.now) {
        /* ahead of the wall clock: what a server without its test clock does then lies in the past */
        double shift = (double)time(NULL) + 900 - d->trips[0].at;

        for (size_t i = 0; i < d->trip_count; i++)
            d->trips[i].at += shift;
        for (size_t i = 0; i < d->vehicle_count; i++)
            d->vehicles[i].free_at += shift;
    }
    sim.first_at = d->trips[0].at;
    sim.last_at = d->trips[d->trip_count - 1].at;
    sim.trip_count = d->trip_count;
    sim.driver_count = d->vehicle_count;
    sim.customer_count = sim.trip_count * 2 / 3 + 20;
    sim.trips = xcalloc(sim.trip_count, sizeof(Trip));
    sim.drivers = xcalloc(sim.driver_count, sizeof(Driver));
    sim.customers = xcalloc(sim.customer_count, sizeof(Customer));
    for (size_t i = 0; i < sim.trip_count; i++) {
        sim.trips[i].data = &d->trips[i];
        sim.trips[i].service_class = wanted_class();
    }
    trip_index_size = 2 * sim.trip_count + 1;
    trip_index = xcalloc(trip_index_size, sizeof(Trip *));
}

/*
 * The clock runs slower when requests have to wait for a connection: a phone's answer that comes seconds late
 * says something about this machine, not about the service. Once the last customer has asked, and the load
 * falls, it may run up to twice as fast.
 */
#define SLOWER_ABOVE_S 0.10
#define FASTER_BELOW_S 0.03

static void keep_pace(PGconn *db)
{
    double most = sim.options.speed * (clock_now() > sim.last_at + 300 ? 2 : 1);
    double wait = http_longest_wait(), speed = clock_rate();

    if (wait > SLOWER_ABOVE_S)
        speed = fmax(speed * 0.75, 1);
    else if (wait < FASTER_BELOW_S)
        speed = fmin(speed * 1.1, most);
    if (speed != clock_rate())
        setup_change_speed(db, speed);
}

/* Let the people live until every trip is over and every driver has gone home, or time is up. */
static void simulate(PGconn *db)
{
    double deadline = sim.last_at + 60 * sim.options.settle_minutes, guarded = wall_now(), paced = wall_now();
    size_t home_by = 0;

    customers_start();
    drivers_start();
    while (home_by == 0 || sim.online > 0 || http_pending() > 0) {
        http_poll(timer_run(0.1));
        progress_show(false);
        if (sim.options.crash && wall_now() > guarded + 0.3) {
            setup_guard_clock();
            guarded = wall_now();
        } else if (!sim.options.crash && wall_now() > paced + 0.5) {
            keep_pace(db);
            paced = wall_now();
        }
        if (!sim.closing && (sim.over == sim.trip_count || clock_now() > deadline))
            sim.closing = true;
        if (sim.closing && home_by == 0)
            home_by = (size_t)(clock_now() + 1200);
        if (home_by && clock_now() > (double)home_by)
            break;
    }
    progress_show(true);
}

/* Ask the API what drivers earned, and compare it with the trips they know they completed. */
static void on_earnings(void *who, const HttpReply *reply)
{
    Driver *driver = who;
    json_t *list = json_is_array(reply->data) ? reply->data : json_object_get(reply->data, "earnings");
    json_t *trips = json_object_get(json_array_get(list, 0), "trips"); /* one currency: one row, or none */

    if (*reply->code)
        http_count_error(EP_EARNINGS, reply, false);
    if (json_is_integer(trips)) {
        sim.earnings_compared++;
        sim.wrong_earnings += json_integer_value(trips) != driver->completed;
    }
}

static void on_wallet(void *who, const HttpReply *reply)
{
    (void)who;
    if (*reply->code)
        http_count_error(EP_WALLET, reply, false);
}

static void ask_balances(void)
{
    for (size_t i = 0; i < sim.driver_count; i += 1 + sim.driver_count / 200) {
        char *path = xasprintf("/earnings/driver/%s", sim.drivers[i].person.id);

        http_send(EP_EARNINGS, "GET", path, sim.drivers[i].person.token, NULL, NULL, on_earnings,
                  &sim.drivers[i]);
        free(path);
    }
    for (size_t i = 0; i < sim.customer_count; i += 1 + sim.customer_count / 200)
        http_send(EP_WALLET, "GET", "/wallet", sim.customers[i].person.token, NULL, NULL, on_wallet, NULL);
    while (http_pending() > 0)
        http_poll(0.1);
}

/* The rings are drained and the wallets folded at once, rather than in a second. */
static void drain(PGconn *db)
{
    for (int i = 0; i < 2; i++)
        PQclear(db_query(db, "SELECT * FROM hail.keep()", 0, NULL));
}

int main(int argc, char **argv)
{
    PGconn *db;
    int failed;

    set_defaults();
    parse_options(argc, argv);
    random_seed(sim.options.seed);
    prepare();
    printf("Scenario %s: %zu trips, %zu drivers, %zu customers, seed %llu, %g clock seconds a second\n",
           sim.data.region_name, sim.trip_count, sim.driver_count, sim.customer_count,
           (unsigned long long)sim.options.seed, sim.options.speed);
    db = db_connect();
    setup_run(db);
    http_init(&(HttpOptions){.base_url = sim.options.url,
                             .connections = sim.options.connections,
                             .retry_s = sim.options.crash ? 60 : 5,
                             .retry_401 = sim.options.crash});
    setup_start_clock(db);
    if (sim.options.crash) /* would not survive */
        PQfinish(db);
    simulate(db);
    ask_balances();
    if (sim.options.crash)
        db = db_connect();
    drain(db);
    checks_apply_outages();
    report_write(db, -1);
    printf("\nInvariants\n");
    failed = checks_run(db, invariants_file);
    report_write(db, failed);
    PQfinish(db);
    printf(failed ? "\n%d checks FAILED\n" : "\nAll invariants hold.\n", failed);
    return failed ? 1 : 0;
}
