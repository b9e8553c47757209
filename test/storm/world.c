/* The world: connection, schema, people. */
#include "storm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

World world;

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

void world_connect(void)
{
    char *conninfo = xasprintf("%s user=postgres", world.options.db);
    double until = wall_now() + 60;

    PQfinish(world.db);
    while (world.db = PQconnectdb(conninfo), PQstatus(world.db) != CONNECTION_OK) {
        if (wall_now() > until)
            die("no connection to the server: %s", PQerrorMessage(world.db));
        PQfinish(world.db);
        usleep(20 * 1000);
    }
    PQsetNoticeReceiver(world.db, ignore_notice, NULL);
    free(conninfo);
}

PGresult *world_query(const char *sql, int count, const char *const *values)
{
    PGresult *r = PQexecParams(world.db, sql, count, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
        die("%sin: %s", PQresultErrorMessage(r), sql);
    return r;
}

void array_add(char **array, const char *value)
{
    size_t length = *array ? strlen(*array) : 0;
    const char *text = value ? value : "NULL";

    *array = xrealloc(*array, length + strlen(text) + 3);
    if (length > 0)
        (*array)[length - 1] = ',';
    sprintf(*array + length, "%s%s}", length > 0 ? "" : "{", text);
}

static char *read_file(const char *path)
{
    size_t room = 1 << 18;
    FILE *file = fopen(path, "r");
    char *content = xcalloc(1, room);

    if (!file || fread(content, 1, room - 1, file) == 0)
        die("cannot read %s", path);
    fclose(file);
    return content;
}

/* Where a row of storm.people belongs; NULL: nowhere. */
static Person *person_at(const char *role, const char *region, int group, int seat)
{
    bool storm = strcmp(region, "storm") == 0;

    if (strcmp(role, "admin") == 0)
        return &world.admin;
    if (strcmp(role, "driver") == 0)
        return storm ? &world.drivers[group - 1][seat - 1] : &world.crash_drivers[seat - 1];
    return storm ? &world.customers[group - 1][seat - 1] : &world.crash_customers[seat - 1];
}

/* Whoever is online must be found again after a crash: until each position has reached its table. */
static void go_online(void)
{
    bool written = false;

    PQclear(world_query("SELECT storm.go_online()", 0, NULL));
    while (!written) {
        PGresult *r =
            world_query("SELECT count(*) = (SELECT count(*) FROM storm.people WHERE role = 'driver')"
                        " FROM hail.driver_positions",
                        0, NULL);

        written = PQgetvalue(r, 0, 0)[0] == 't';
        PQclear(r);
        usleep(20 * 1000);
    }
}

void world_report(void)
{
    PQclear(world_query("SELECT storm.report()", 0, NULL));
}

void world_make(const char *file)
{
    char *sql = read_file(file);
    char groups[16], drivers[16], customers[16];
    PGresult *r = PQexec(world.db, sql);

    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        die("%s: %s", file, PQresultErrorMessage(r));
    PQclear(r);
    free(sql);
    snprintf(groups, sizeof(groups), "%d", GROUPS);
    snprintf(drivers, sizeof(drivers), "%d", CRASH_DRIVERS);
    snprintf(customers, sizeof(customers), "%d", LANES);
    PQclear(
        world_query("SELECT storm.make_world($1, $2, $3)", 3, (const char *[]){groups, drivers, customers}));
    r = world_query("SELECT role, region, grp, seat, id, token FROM storm.people", 0, NULL);
    for (int i = 0; i < PQntuples(r); i++) {
        Person *person = person_at(PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), atoi(PQgetvalue(r, i, 2)),
                                   atoi(PQgetvalue(r, i, 3)));

        snprintf(person->id, sizeof(person->id), "%s", PQgetvalue(r, i, 4));
        person->token = xstrdup(PQgetvalue(r, i, 5));
    }
    PQclear(r);
    go_online();
}
