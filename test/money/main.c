/*
 * The money storm: makes its world, lets everybody run, kills processes of the server at random moments, and
 * then holds tables, journals and an independent model against each other. See README.md.
 */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/sqlstate.h"
#include "money.h"

#define PATIENCE_S 90.0
#define STALL_S    120.0 /* without one operation done: the storm has got stuck */
#define SHOWN      20    /* problems that are printed */

World world;
Shared *shared;

static pid_t children[CLIENTS + ATTACKERS + 2];
static int child_count;
static long kills_done;
static int failed;
static json_t *tests;

/* ---- what all processes use ---- */

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

PGconn *connect_as(const char *user, double patience_s)
{
    char *conninfo = xasprintf("%s user=%s options='-c client_min_messages=error'", world.options.db, user);
    double until = wall_now() + patience_s;
    PGconn *pg;

    while (pg = PQconnectdb(conninfo), PQstatus(pg) != CONNECTION_OK) {
        if (wall_now() > until)
            die("no connection to the server: %s", PQerrorMessage(pg));
        PQfinish(pg);
        usleep(20 * 1000);
    }
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    free(conninfo);
    return pg;
}

void problem(const char *format, ...)
{
    char text[1024];
    va_list args;

    if (shared->problems++ >= SHOWN)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    printf("# %s\n", text);
    fflush(stdout);
}

void tally(const char *name, const char *detail, long count)
{
    Tally *t = shared->tallies;

    pthread_mutex_lock(&shared->lock);
    while (t < shared->tallies + shared->tally_count &&
           (strcmp(t->name, name) != 0 || strcmp(t->detail, detail) != 0))
        t++;
    if (t < shared->tallies + TALLIES) {
        if (t == shared->tallies + shared->tally_count) {
            shared->tally_count++;
            snprintf(t->name, sizeof(t->name), "%s", name);
            snprintf(t->detail, sizeof(t->detail), "%s", detail);
        }
        t->count += count;
    }
    pthread_mutex_unlock(&shared->lock);
}

const char *code_of(const PGresult *r)
{
    const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);

    if (sqlstate == NULL || strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "08", 2) == 0)
        return "";
    for (int i = 0; i < HAIL_ERROR_COUNT; i++)
        if (strcmp(hail_error_rows[i].sqlstate, sqlstate) == 0)
            return hail_error_rows[i].code;
    return sqlstate;
}

/* ---- the world ---- */

static PGresult *query(PGconn *pg, const char *sql)
{
    PGresult *r = PQexec(pg, sql);

    if (PQresultStatus(r) == PGRES_FATAL_ERROR)
        die("%sin: %s", PQresultErrorMessage(r), sql);
    return r;
}

static void load_file(PGconn *pg, const char *path)
{
    static char sql[1 << 17];
    FILE *file = fopen(path, "r");

    if (!file || fread(sql, 1, sizeof(sql) - 1, file) == 0)
        die("cannot read %s", path);
    fclose(file);
    PQclear(query(pg, sql));
}

static void make_world(void)
{
    PGconn *pg = connect_as("postgres", PATIENCE_S);
    char *make = xasprintf("SELECT money.make(%d, %d)", WALLETS, CLIENTS);
    PGresult *r;

    load_file(pg, "test/money/money.sql");
    r = query(pg, make);
    world.token = xstrdup(PQgetvalue(r, 0, 0));
    PQclear(r);
    r = query(pg, "SELECT currency, n, is_system, id FROM money.accounts");
    for (int i = 0; i < PQntuples(r); i++) {
        int currency = atoi(PQgetvalue(r, i, 0)), n = atoi(PQgetvalue(r, i, 1));
        bool is_system = PQgetvalue(r, i, 2)[0] == 't';
        char *to = is_system ? world.systems[currency][n] : n < WALLETS ? world.wallets[currency][n] : NULL;

        if (to == NULL && currency == 0)
            to = world.closed;
        if (to != NULL)
            snprintf(to, 37, "%s", PQgetvalue(r, i, 3));
    }
    PQclear(r);
    r = query(pg, "SELECT client, rider, driver, hail.issue_token(driver, '30 days') FROM money.riders");
    for (int i = 0; i < PQntuples(r); i++) {
        int client = atoi(PQgetvalue(r, i, 0));

        snprintf(world.riders[client], 37, "%s", PQgetvalue(r, i, 1));
        snprintf(world.drivers[client], 37, "%s", PQgetvalue(r, i, 2));
        world.driver_tokens[client] = xstrdup(PQgetvalue(r, i, 3));
    }
    PQclear(r);
    PQfinish(pg);
    free(make);
}

static void make_shared(void)
{
    pthread_mutexattr_t attributes;

    shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("no shared memory");
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->lock, &attributes);
}

/* ---- everybody runs ---- */

/* True in the new process. */
static bool spawn(void)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid < 0)
        die("cannot fork");
    if (pid > 0)
        children[child_count++] = pid;
    return pid == 0;
}

static void spawn_all(void)
{
    for (int i = 0; i < CLIENTS; i++)
        if (spawn())
            client_run(i);
    for (int i = 0; i < ATTACKERS; i++)
        if (spawn())
            attacker_run(i);
    if (spawn())
        folder_run();
    if (spawn())
        auditor_run();
}

/* A child that has ended by itself has failed. */
static void watch_children(void)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);

    if (pid > 0) {
        problem("a process of the storm has ended with status %d", status);
        shared->stop = true;
    }
}

static void await_operations(long count)
{
    double stalled = wall_now() + STALL_S;
    long seen = shared->done;

    while (shared->done < count && !shared->stop) {
        usleep(2000);
        watch_children();
        if (shared->done != seen) {
            seen = shared->done;
            stalled = wall_now() + STALL_S;
        } else if (wall_now() > stalled) {
            problem("no operation within %.0f s", STALL_S);
            shared->stop = true;
        }
    }
}

static void script(const char *action)
{
    char *command = xasprintf("scripts/cluster.sh %s '%s'", action, world.options.directory);

    if (system(command) != 0)
        die("%s failed", command);
    free(command);
}

/* A backend, the keeper or the postmaster. */
static void kill_something(void)
{
    double x = random_unit();
    pid_t pid = 0;
    const char *victim = x < 0.70 ? "backend" : x < 0.85 ? "keeper" : "postmaster";

    if (x < 0.70)
        pid = shared->backends[random_bits() % CLIENTS];
    else if (x < 0.85) {
        PGconn *pg = connect_as("postgres", PATIENCE_S);
        PGresult *r = PQexec(pg, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'hail keeper'");

        pid = PQntuples(r) == 1 ? atoi(PQgetvalue(r, 0, 0)) : 0;
        PQclear(r);
        PQfinish(pg);
    }
    if (pid == 0)
        victim = "postmaster";
    tally("kill -9", victim, 1);
    kills_done++;
    if (pid > 0)
        kill(pid, SIGKILL);
    else {
        script("crash");
        script("start");
    }
}

/* Asked to end (SIGTERM): what has been done until now is judged. */
static void end_early(int signal)
{
    (void)signal;
    shared->stop = true;
}

static void storm(void)
{
    const Options *o = &world.options;

    spawn_all();
    signal(SIGTERM, end_early);
    for (long i = 0; i < o->kills && !shared->stop; i++) {
        await_operations((long)(((double)i + random_unit()) * (double)o->operations / (double)o->kills));
        if (!shared->stop)
            kill_something();
    }
    await_operations(o->operations);
    shared->stop = true;
    for (int i = 0; i < child_count; i++)
        waitpid(children[i], NULL, 0);
}

/* ---- afterwards ---- */

static void result(const char *name, long broken)
{
    printf("%s - %s\n", broken ? "not ok" : "ok", name);
    json_object_set_new(tests, name, json_integer(broken));
    failed |= broken > 0;
}

/* A question whose rows are problems. */
static void ask(PGconn *pg, const char *name, const char *sql)
{
    PGresult *r = query(pg, sql);

    for (int i = 0; i < PQntuples(r) && i < SHOWN; i++)
        printf("# %s: %s\n", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
    result(name, PQntuples(r));
    PQclear(r);
}

static void load_journals(PGconn *pg)
{
    static char buffer[1 << 16];

    PQclear(query(
        pg, "COPY money.journal (client, verb, key, outcome, result, code, subject, key_again) FROM STDIN"));
    for (int i = 0; i < CLIENTS; i++) {
        char *path = xasprintf("%s/journal.%d", world.options.directory, i);
        FILE *file = fopen(path, "r");
        size_t length;

        if (!file)
            die("cannot read %s", path);
        while ((length = fread(buffer, 1, sizeof(buffer), file)) > 0)
            PQputCopyData(pg, buffer, (int)length);
        fclose(file);
        free(path);
    }
    PQputCopyEnd(pg, NULL);
    for (PGresult *r; (r = PQgetResult(pg)) != NULL; PQclear(r))
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            die("%s", PQresultErrorMessage(r));
    PQclear(query(pg, "ANALYZE money.journal, hail.ledger_transactions, hail.ledger_entries, hail.holds"));
}

/* One table to a file of the replay program. */
static void copy_out(PGconn *pg, const char *name, const char *select)
{
    char *path = xasprintf("%s/%s.tsv", world.options.directory, name),
         *sql = xasprintf("COPY (%s) TO STDOUT", select);
    FILE *file = fopen(path, "w");
    char *line;

    if (!file)
        die("cannot write %s", path);
    PQclear(query(pg, sql));
    for (int length; (length = PQgetCopyData(pg, &line, 0)) > 0; PQfreemem(line))
        fwrite(line, 1, (size_t)length, file);
    for (PGresult *r; (r = PQgetResult(pg)) != NULL; PQclear(r))
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            die("%s", PQresultErrorMessage(r));
    fclose(file);
    free(path);
    free(sql);
}

static void replay_books(PGconn *pg)
{
    char *command = xasprintf("python3 test/money/replay_books.py '%s'", world.options.directory);

    copy_out(
        pg, "transactions",
        "SELECT id, kind, reverses, reference_type, reference_id FROM hail.ledger_transactions ORDER BY id");
    copy_out(pg, "entries",
             "SELECT id, transaction_id, account_id, amount, direction, currency, balance_after FROM "
             "hail.ledger_entries ORDER BY id");
    copy_out(pg, "holds", "SELECT id, account_id, amount, captured, status FROM hail.holds ORDER BY id");
    copy_out(pg, "accounts",
             "SELECT a.id, a.is_system, a.currency, a.floor, hail.exact_posted(a), a.held FROM hail.accounts "
             "a ORDER BY id");
    fflush(stdout);
    result("the books are what an independent program makes of transactions, entries and holds",
           system(command) != 0);
    free(command);
}

static void judge(void)
{
    PGconn *pg = connect_as("postgres", PATIENCE_S);

    result("under load every answer was right, attacks were refused, the books agreed at every look",
           shared->problems);
    PQclear(query(pg, "SET work_mem = '256MB'"));
    PQclear(query(pg, "SET jit = off"));
    load_journals(pg);
    ask(pg, "what was acknowledged is there once, what was refused or undone is not, nothing else is",
        "SELECT * FROM money.judge()");
    ask(pg, "each trip has moved what was paid, tipped, refunded and promoted, and was charged once",
        "SELECT * FROM money.judge_trips()");
    ask(pg, "currencies sum to zero, floors hold, holds add up", "SELECT * FROM money.audit()");
    PQclear(query(pg, "SELECT money.note_balances()"));
    for (int i = 0; i < 3; i++)
        PQclear(query(pg, "SELECT hail.fold_accounts()"));
    ask(pg, "folding leaves every exact balance as it was", "SELECT * FROM money.moved_balances()");
    PQclear(query(pg, "SELECT money.look_at_events()"));
    ask(pg, "hail.reconcile() finds nothing", "SELECT * FROM money.reconcile()");
    ask(pg, "hail.check() finds nothing broken of the ledger",
        "SELECT area, detail FROM hail.check() WHERE status = 'fail' AND area = 'ledger'");
    replay_books(pg);
    ask(pg, "closed days have the balances, the chain of hashes holds", "SELECT * FROM money.close_days()");
    PQfinish(pg);
}

/* ---- report ---- */

static void report(double seconds)
{
    json_t *money = json_object(), *counts = json_object(), *all = NULL;
    const Options *o = &world.options;

    printf("  %ld operations in %.0f s, %ld kills, %ld retried, %ld repeated after a lost answer\n",
           (long)shared->done, seconds, kills_done, (long)shared->retries, (long)shared->repeats);
    if (shared->done < o->operations)
        printf("  ended early: %ld operations and %ld kills were asked for\n", o->operations, o->kills);
    for (int i = 0; i < shared->tally_count; i++) {
        const Tally *t = &shared->tallies[i];
        char *name = xasprintf("%s: %s", t->name, t->detail);

        printf("  %9ld  %s\n", t->count, name);
        json_object_set_new(counts, name, json_integer(t->count));
        free(name);
    }
    if (o->report_file == NULL)
        return;
    json_object_set_new(money, "operations", json_integer(shared->done));
    json_object_set_new(money, "seconds", json_real(seconds));
    json_object_set_new(money, "kills", json_integer(kills_done));
    json_object_set_new(money, "seed", json_integer((json_int_t)o->seed));
    json_object_set_new(money, "counts", counts);
    json_object_set_new(money, "problems by test", tests);
    all = json_load_file(o->report_file, 0, NULL);
    if (all == NULL)
        all = json_object();
    json_object_set_new(all, "money", money);
    if (json_dump_file(all, o->report_file, JSON_INDENT(2)) != 0)
        die("cannot write %s", o->report_file);
}

static void usage(void)
{
    puts("money --db CONNINFO --directory DIR [--operations N] [--kills N] [--seed N] [--json FILE]\n"
         "  Random money operations of 32 clients on a database that test/money/run has set up. CONNINFO "
         "without a user;\n"
         "  FILE gets an object \"money\" beside what is in it.");
    exit(2);
}

static void parse(int argc, char **argv)
{
    static const struct option names[] = {{"db", required_argument, NULL, 'd'},
                                          {"directory", required_argument, NULL, 'D'},
                                          {"operations", required_argument, NULL, 'o'},
                                          {"kills", required_argument, NULL, 'k'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"json", required_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
    Options *o = &world.options;

    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'd':
            o->db = optarg;
            break;
        case 'D':
            o->directory = optarg;
            break;
        case 'o':
            o->operations = atol(optarg);
            break;
        case 'k':
            o->kills = atol(optarg);
            break;
        case 's':
            o->seed = strtoull(optarg, NULL, 10);
            break;
        case 'j':
            o->report_file = optarg;
            break;
        default:
            usage();
        }
    }
    if (!o->db || !o->directory || o->operations < 1 || o->kills < 0)
        usage();
}

int main(int argc, char **argv)
{
    double started;

    parse(argc, argv);
    setlinebuf(stdout);
    printf("seed %llu\n", (unsigned long long)world.options.seed);
    random_seed(world.options.seed);
    tests = json_object();
    make_shared();
    make_world();
    started = wall_now();
    storm();
    started = wall_now() - started;
    judge();
    report(started);
    return failed;
}
