/*
 * pg_load CONNINFO MODE CLIENTS SECONDS SEED POINTS [SOUTH WEST HEIGHT WIDTH]
 *    Our client, the twin of redis_load: connections of a thread each, one prepared statement at a time over
 * the unix socket, parameters and results in binary, as most drivers of applications do it. POINTS: lines "id
 * lat lng".
 */
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define BATCH 1000

#define OID_UUID         2950
#define OID_FLOAT8       701
#define OID_UUID_ARRAY   2951
#define OID_FLOAT8_ARRAY 1022

typedef enum Shape { NOTHING, PLACE, REPORT, REPORTS } Shape;

typedef struct Statement {
    const char *name;
    Shape shape; /* PLACE: lat, lng. REPORT: id, lat, lng. REPORTS: arrays of BATCH of them */
    const char *sql;
} Statement;

/* clang-format off */
static const Statement statements[] = {
    {"select1", NOTHING, "SELECT 1"},
    {"nearest", PLACE, "SELECT driver_id, distance_m, lat, lng FROM hail.nearby_drivers($1, $2, 2000, 50)"},
    {"nearest_all", PLACE, "SELECT * FROM hail.nearby_drivers($1, $2, 2000, 50)"},
    {"nearest_ids", PLACE, "SELECT hail.nearby_driver_ids($1, $2, 2000, 50)"},
    {"ten", PLACE, "SELECT driver_id, distance_m, lat, lng FROM hail.nearby_drivers($1, $2, 5000, 10)"},
    {"wide", PLACE, "SELECT driver_id, distance_m, lat, lng FROM hail.nearby_drivers($1, $2, 50000, 50)"},
    {"knn", PLACE,
     "SELECT id, public.ST_Distance(place, here, false), lat, lng FROM bench.positions,"
     " (SELECT public.ST_SetSRID(public.ST_MakePoint($2, $1), 4326)::public.geography AS here) p"
     " WHERE public.ST_DWithin(place, here, 2000, false) ORDER BY place OPERATOR(public.<->) here LIMIT 50"},
    {"report", REPORT, "SELECT hail.report_location($1, $2, $3)"},
    {"report1000", REPORTS, "SELECT hail.report_locations($1, $2, $3)"},
    {"update", REPORT,
     "UPDATE bench.positions SET lat = $2, lng = $3,"
     " place = public.ST_SetSRID(public.ST_MakePoint($3, $2), 4326)::public.geography WHERE id = $1"},
};
/* clang-format on */

static const char *conninfo;
static const Statement *chosen[LOAD_KINDS]; /* NULL: the mode has none of the kind */
static int reports_in_ten;                  /* of ten calls, so many are reports */

typedef struct Client {
    PGconn *connection;
    char arrays[3][20 + BATCH * 20];
} Client;

static const Statement *find(const char *name)
{
    for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++)
        if (strcmp(statements[i].name, name) == 0)
            return &statements[i];
    load_fail("unknown mode", name);
    return NULL;
}

static void choose(const char *mode)
{
    if (strcmp(mode, "mixed") == 0) {
        chosen[LOAD_REPORT] = find("report");
        chosen[LOAD_SEARCH] = find("nearest");
        reports_in_ten = 9;
        return;
    }
    const Statement *one = find(mode);

    reports_in_ten = one->shape >= REPORT ? 10 : 0;
    chosen[one->shape >= REPORT ? LOAD_REPORT : LOAD_SEARCH] = one;
}

static void prepare(PGconn *connection, const Statement *statement)
{
    Oid one[] = {OID_UUID, OID_FLOAT8, OID_FLOAT8};
    Oid many[] = {OID_UUID_ARRAY, OID_FLOAT8_ARRAY, OID_FLOAT8_ARRAY};
    Oid place[] = {OID_FLOAT8, OID_FLOAT8};
    const Oid *types[] = {NULL, place, one, many};
    int counts[] = {0, 2, 3, 3};
    PGresult *result = PQprepare(connection, statement->name, statement->sql, counts[statement->shape],
                                 types[statement->shape]);

    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        load_fail(statement->name, PQerrorMessage(connection));
    PQclear(result);
}

static void *open_pg(void)
{
    Client *client = calloc(1, sizeof(Client));

    client->connection = PQconnectdb(conninfo);
    if (PQstatus(client->connection) != CONNECTION_OK)
        load_fail("cannot connect", PQerrorMessage(client->connection));
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        if (chosen[kind])
            prepare(client->connection, chosen[kind]);
    return client;
}

static void close_pg(void *arg)
{
    Client *client = arg;

    PQfinish(client->connection);
    free(client);
}

static char *put_int(char *at, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (char)(value >> shift);
    return at;
}

static char *put_double(char *at, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    bits = __builtin_bswap64(bits);
    memcpy(at, &bits, sizeof(bits));
    return at + sizeof(bits);
}

/* Head of a one-dimensional array of BATCH elements. */
static char *put_head(char *at, uint32_t type)
{
    at = put_int(at, 1); /* dimensions */
    at = put_int(at, 0); /* no nulls */
    at = put_int(at, type);
    at = put_int(at, BATCH);
    return put_int(at, 1); /* lower bound */
}

static void execute(PGconn *connection, const Statement *statement, int count, const char *const *values,
                    const int *lengths)
{
    static const int binary[] = {1, 1, 1};
    PGresult *result = PQexecPrepared(connection, statement->name, count, values, lengths, binary, 1);

    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        load_fail(statement->name, PQerrorMessage(connection));
    PQclear(result);
}

static void call_place(Client *client, const Statement *statement, unsigned *random)
{
    double lat, lng;
    char bytes[2][8];
    const char *values[] = {bytes[0], bytes[1]};
    static const int lengths[] = {8, 8};

    load_random_place(random, &lat, &lng);
    put_double(bytes[0], lat);
    put_double(bytes[1], lng);
    execute(client->connection, statement, 2, values, lengths);
}

static void call_report(Client *client, const Statement *statement, unsigned *random)
{
    double lat, lng;
    const LoadPoint *point = load_random_report(random, &lat, &lng);
    char bytes[2][8];
    const char *values[] = {(const char *)point->uuid, bytes[0], bytes[1]};
    static const int lengths[] = {16, 8, 8};

    put_double(bytes[0], lat);
    put_double(bytes[1], lng);
    execute(client->connection, statement, 3, values, lengths);
}

static void call_reports(Client *client, const Statement *statement, unsigned *random)
{
    char *at[] = {put_head(client->arrays[0], OID_UUID), put_head(client->arrays[1], OID_FLOAT8),
                  put_head(client->arrays[2], OID_FLOAT8)};
    const char *values[] = {client->arrays[0], client->arrays[1], client->arrays[2]};
    static const int lengths[] = {20 + BATCH * 20, 20 + BATCH * 12, 20 + BATCH * 12};

    for (int n = 0; n < BATCH; n++) {
        double lat, lng;
        const LoadPoint *point = load_random_report(random, &lat, &lng);

        at[0] = put_int(at[0], 16);
        memcpy(at[0], point->uuid, 16);
        at[0] += 16;
        at[1] = put_double(put_int(at[1], 8), lat);
        at[2] = put_double(put_int(at[2], 8), lng);
    }
    execute(client->connection, statement, 3, values, lengths);
}

static int call_pg(void *arg, unsigned *random, LoadKind *kind)
{
    Client *client = arg;
    const Statement *statement;

    *kind = LOAD_SEARCH;
    if (reports_in_ten == 10 || (reports_in_ten > 0 && rand_r(random) % 10 < reports_in_ten))
        *kind = LOAD_REPORT;
    statement = chosen[*kind];
    switch (statement->shape) {
    case PLACE:
        call_place(client, statement, random);
        break;
    case REPORT:
        call_report(client, statement, random);
        break;
    case REPORTS:
        call_reports(client, statement, random);
        return BATCH;
    default:
        execute(client->connection, statement, 0, NULL, NULL);
    }
    return 1;
}

int main(int argc, char **argv)
{
    static const LoadProgram program = {open_pg, call_pg, close_pg};

    if (argc != 7 && argc != 11)
        load_fail("usage: pg_load CONNINFO MODE CLIENTS SECONDS SEED POINTS [SOUTH WEST HEIGHT WIDTH]", NULL);
    conninfo = argv[1];
    choose(argv[2]);
    load_read_points(argv[6]);
    if (argc == 11)
        load_area = (LoadArea){atof(argv[7]), atof(argv[8]), atof(argv[9]), atof(argv[10])};
    load_run(&program, atoi(argv[3]), atof(argv[4]), (unsigned)atoi(argv[5]));
    return 0;
}
