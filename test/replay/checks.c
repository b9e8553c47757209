/*
 * The invariant checks: run the named queries of invariants.sql, print one line each.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "http.h"

/* Undrained positions may be lost in a crash: those of about the last second (the answers came just before).
 */
#define LOSS_WINDOW_S 3.0
#define SHOWN_ROWS    5

typedef struct Point {
    Trip *trip;
    double wall;
} Point;

static Point *points;
static size_t point_count, point_room;

/* Crash runs only: remember when a position was applied on a trip. */
void checks_note_point(Trip *trip, double wall)
{
    if (!sim.options.crash)
        return;
    if (point_count == point_room) {
        point_room = point_room ? 2 * point_room : 4096;
        points = xrealloc(points, point_room * sizeof(Point));
    }
    points[point_count++] = (Point){trip, wall};
}

/*
 * Points told applied shortly before the server was away may be lost with it; or be there twice, when haild
 * repeated a report of which it did not learn the fate.
 */
void checks_apply_outages(void)
{
    size_t outage_count;
    const double *outages = http_outages(&outage_count);

    for (size_t i = 0; i < point_count; i++) {
        for (size_t k = 0; k < outage_count; k++) {
            if (points[i].wall > outages[k] - LOSS_WINDOW_S && points[i].wall <= outages[k] + 0.5) {
                points[i].trip->lossy++;
                points[i].trip->unsure++;
                break;
            }
        }
    }
}

/* The table replay_trips that invariants.sql reads. */
static void copy_trips(PGconn *db)
{
    PQclear(db_query(
        db,
        "CREATE TEMP TABLE replay_trips (id uuid PRIMARY KEY, points bigint, unsure bigint, lossy bigint)", 0,
        NULL));
    PQclear(PQexec(db, "COPY replay_trips FROM STDIN"));
    for (size_t i = 0; i < sim.trip_count; i++) {
        Trip *trip = &sim.trips[i];
        char *line;

        if (!trip->id[0])
            continue;
        line = xasprintf("%s\t%ld\t%ld\t%ld\n", trip->id, trip->points, trip->unsure, trip->lossy);
        PQputCopyData(db, line, (int)strlen(line));
        free(line);
    }
    PQputCopyEnd(db, NULL);
    for (PGresult *r; (r = PQgetResult(db)); PQclear(r))
        if (PQresultStatus(r) == PGRES_FATAL_ERROR)
            die("%s", PQresultErrorMessage(r));
    PQclear(db_query(db, "ANALYZE replay_trips", 0, NULL));
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *content = xcalloc(1, 1 << 18);

    if (!file || fread(content, 1, (1 << 18) - 1, file) == 0)
        die("cannot read %s", path);
    fclose(file);
    return content;
}

static bool print_result(const char *name, bool failed, const char *detail)
{
    printf("%s - %s\n", failed ? "not ok" : "ok", name);
    if (failed && detail && *detail)
        printf("    %s\n", detail);
    return failed;
}

/* One check; true when it failed. Its first offending rows are shown. */
static bool run_check(PGconn *db, const char *name, const char *sql)
{
    PGresult *r = PQexec(db, sql);
    bool failed = PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) > 0;

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        print_result(name, true, PQresultErrorMessage(r));
        PQclear(r);
        return true;
    }
    print_result(name, failed, NULL);
    for (int row = 0; row < PQntuples(r) && row < SHOWN_ROWS; row++) {
        printf("   ");
        for (int column = 0; column < PQnfields(r); column++)
            printf(" %s=%s", PQfname(r, column),
                   PQgetisnull(r, row, column) ? "NULL" : PQgetvalue(r, row, column));
        printf("\n");
    }
    if (PQntuples(r) > SHOWN_ROWS)
        printf("    ... %d rows in all\n", PQntuples(r));
    PQclear(r);
    return failed;
}

/* What only this program knows: answers that contradict each other, and errors of the server. */
static int own_checks(void)
{
    char *detail = xasprintf("%ld answers", sim.contradictions);
    char *errors = xasprintf("%ld attempts", http_stats.server_errors);
    char *open = xasprintf("%zu trips", sim.trip_count - sim.over);
    char *earnings = xasprintf("%ld of %ld drivers", sim.wrong_earnings, sim.earnings_compared);
    long unexpected = 0;
    char *surprises;
    int failed = 0;

    for (size_t i = 0; i < http_stats.error_count; i++)
        if (!http_stats.errors[i].expected && http_stats.errors[i].status < 500)
            unexpected += http_stats.errors[i].count;
    surprises = xasprintf("%ld answers; see the list of errors above", unexpected);
    failed += print_result("no wrong pickup code started a trip", sim.contradictions > 0, detail);
    failed += print_result("drivers' earnings count the trips they know they completed",
                           sim.wrong_earnings > 0 || sim.earnings_compared == 0, earnings);
    failed += print_result("every customer saw its trip end", sim.over < sim.trip_count, open);
    if (!sim.options.crash) {
        failed += print_result("every request got an answer that is no server error",
                               http_stats.server_errors > 0, errors);
        failed += print_result("no request was refused but for reasons that a race explains", unexpected > 0,
                               surprises);
    }
    free(detail);
    free(errors);
    free(open);
    free(earnings);
    free(surprises);
    return failed;
}

int checks_run(PGconn *db, const char *file)
{
    static const char marker[] = "\n-- check: "; /* at the start of a line */
    char *content = read_file(file), *next;
    int failed = own_checks();

    copy_trips(db);
    for (char *check = strstr(content, marker); check; check = next) {
        char *name = check + sizeof(marker) - 1;
        char *sql = strchr(name, '\n');

        next = strstr(sql + 1, marker);
        *sql++ = '\0';
        if (next)
            *next = '\0';
        failed += run_check(db, name, sql);
    }
    free(content);
    return failed;
}
