/* Calls over libpq pipelines and over HTTP; see call.h. */
#include "call.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sqlstate.h"
#include "http.h"

#define BARRIER_SQL "SELECT pg_advisory_xact_lock_shared(7)"

/* One row a verb: what is asked of the database, and of haild where it has the endpoint. */
static const struct VerbRow {
    const char *name, *sql;
    int args;
    Endpoint endpoint;
    const char *method, *path, *body;
} verbs[VERB_COUNT] = {
    [ACCEPT] = {"accept", "SELECT (r.trip).driver_id, r.already_accepted FROM hail.accept_offer($1, $2) r", 2,
                EP_RESPONSE, "POST", "/trips/%s/driver-response", "{\"response\":\"accept\"}"},
    [DECLINE] = {"decline", "SELECT r.status FROM hail.decline_offer($1, $2) r", 2, EP_RESPONSE, "POST",
                 "/trips/%s/driver-response", "{\"response\":\"decline\"}"},
    [CANCEL] = {"cancel", "SELECT r.state FROM hail.cancel_trip($1) r", 1, EP_CANCEL, "POST",
                "/trips/%s/cancel-search", "{\"reason\":\"changed my mind\"}"},
    [OFFLINE] = {"go offline", "SELECT r.online FROM hail.set_availability($1, false) r", 1, EP_ONLINE, "PUT",
                 "/driver/online-status", "{\"online\":false}"},
    [SUSPEND] = {.name = "suspend",
                 .sql = "SELECT r.status FROM hail.suspend_driver($1, 'complaint') r",
                 .args = 1},
    [TICK] = {.name = "tick", .sql = "SELECT hail.dispatch_tick()"},
    [QUOTE] = {.name = "quote",
               .sql = "SELECT q.id FROM hail.create_quote($1, 0.002, -19.6, 0.05, -19.6, 'economy') q",
               .args = 1},
    [REQUEST] = {.name = "request", .sql = "SELECT t.id FROM hail.request_trip($1, $2, $4, $3) t", .args = 4},
    [OFFERED] = {.name = "look",
                 .sql = "SELECT string_agg(o.driver_id::text, ',' ORDER BY o.id) FROM (SELECT * FROM "
                        "hail.offers o WHERE o.trip_id = $1 AND o.status = 'pending' LIMIT 5) o",
                 .args = 1},
    [CODE] = {.name = "read the code", .sql = "SELECT t.pickup_code FROM hail.get_trip($1) t", .args = 1},
    [BID] = {.name = "bid",
             .sql =
                 "SELECT b.id FROM hail.trips t, LATERAL hail.place_bid(t.id, $2, t.price) b WHERE t.id = $1",
             .args = 2},
    [CHOOSE] = {.name = "choose", .sql = "SELECT t.driver_id FROM hail.choose_bid($1, $2) t", .args = 2},
    [ARRIVE] = {.name = "arrive", .sql = "SELECT t.state FROM hail.arrive($1) t", .args = 1},
    [START] = {.name = "start", .sql = "SELECT t.state FROM hail.start_trip($1, $2) t", .args = 2},
    [COMPLETE] = {.name = "complete", .sql = "SELECT t.state FROM hail.complete_trip($1) t", .args = 1},
};

const char *verb_name(Verb verb)
{
    return verbs[verb].name;
}

static void statement_name(char *name, size_t size, Verb verb)
{
    snprintf(name, size, "verb_%d", (int)verb);
}

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

bool line_open(Line *line)
{
    char *conninfo = xasprintf("%s user=hail_front", world.options.db);

    line->call = NULL;
    line->pg = PQconnectdb(conninfo);
    free(conninfo);
    PQsetNoticeReceiver(line->pg, ignore_notice, NULL);
    for (int i = -1; i < VERB_COUNT; i++) {
        char name[16];
        PGresult *r;

        statement_name(name, sizeof(name), (Verb)i);
        r = PQprepare(line->pg, i < 0 ? "begin" : name,
                      i < 0 ? "SELECT hail.begin_request($1)" : verbs[i].sql, 0, NULL);
        if (PQresultStatus(r) != PGRES_COMMAND_OK && PQstatus(line->pg) == CONNECTION_OK &&
            strncmp(PQresultErrorField(r, PG_DIAG_SQLSTATE), "57P", 3) != 0)
            die("%s", PQresultErrorMessage(r));
        PQclear(r);
    }
    if (PQstatus(line->pg) != CONNECTION_OK || !PQenterPipelineMode(line->pg) ||
        PQsetnonblocking(line->pg, 1) != 0) {
        line_close(line);
        return false;
    }
    return true;
}

void line_close(Line *line)
{
    PQfinish(line->pg);
    line->pg = NULL;
}

static bool line_break(Line *line)
{
    line->call->state = CALL_BROKEN;
    line->call->answered = wall_now();
    line->call = NULL;
    line_close(line);
    return true;
}

void line_send(Line *line, Call *call, bool barrier)
{
    char name[16];

    statement_name(name, sizeof(name), call->verb);
    call->state = CALL_OPEN;
    call->code[0] = call->value[0] = '\0';
    call->already = false;
    line->call = call;
    if (line->pg == NULL)
        die("a call on a closed line");
    /* A line that breaks here shows so when its answer is asked for. */
    PQsendQueryPrepared(line->pg, "begin", 1, (const char *[]){call->by->token}, NULL, NULL, 0);
    if (barrier)
        PQsendQueryParams(line->pg, BARRIER_SQL, 0, NULL, NULL, NULL, NULL, 0);
    PQsendQueryPrepared(line->pg, name, verbs[call->verb].args, call->args, NULL, NULL, 0);
    PQpipelineSync(line->pg);
    PQflush(line->pg);
}

static const char *code_of(const char *sqlstate)
{
    for (int i = 0; i < HAIL_ERROR_COUNT; i++)
        if (strcmp(hail_error_rows[i].sqlstate, sqlstate) == 0)
            return hail_error_rows[i].code;
    return sqlstate;
}

/* Remember the first error, or the last row. False: the connection is about to go. */
static bool take_result(Call *call, const PGresult *r)
{
    const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);

    switch (PQresultStatus(r)) {
    case PGRES_TUPLES_OK:
        if (PQntuples(r) == 1) {
            snprintf(call->value, sizeof(call->value), "%s", PQgetvalue(r, 0, 0));
            call->already = PQnfields(r) > 1 && strcmp(PQgetvalue(r, 0, 1), "t") == 0;
        }
        return true;
    case PGRES_FATAL_ERROR:
        if (sqlstate == NULL || strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "08", 2) == 0)
            return false;
        if (call->code[0] == '\0')
            snprintf(call->code, sizeof(call->code), "%s", code_of(sqlstate));
        return true;
    default:
        return true;
    }
}

bool line_receive(Line *line)
{
    Call *call = line->call;

    if (call == NULL)
        return false;
    PQflush(line->pg);
    if (!PQconsumeInput(line->pg))
        return line_break(line);
    while (!PQisBusy(line->pg)) {
        PGresult *r = PQgetResult(line->pg);
        bool synced = r != NULL && PQresultStatus(r) == PGRES_PIPELINE_SYNC;
        bool taken = r == NULL || take_result(call, r);

        PQclear(r);
        if (!taken || PQstatus(line->pg) != CONNECTION_OK)
            return line_break(line);
        if (synced) {
            call->state = call->code[0] ? CALL_REFUSED : CALL_DONE;
            call->answered = wall_now();
            line->call = NULL;
            return true;
        }
    }
    return false;
}

bool line_hung_up(Line *line)
{
    return !PQconsumeInput(line->pg) || PQstatus(line->pg) != CONNECTION_OK;
}

void lines_wait(Line *lines, int count, double timeout_s)
{
    struct pollfd fds[2 * SEATS];
    int waiting = 0;

    for (int i = 0; i < count && waiting < 2 * SEATS; i++)
        if (lines[i].pg != NULL)
            fds[waiting++] = (struct pollfd){PQsocket(lines[i].pg), POLLIN, 0};
    poll(fds, (nfds_t)waiting, (int)(timeout_s * 1000) + 1);
}

bool call_has_http(Verb verb)
{
    return verbs[verb].path != NULL;
}

static void on_http(void *who, const HttpReply *reply)
{
    Call *call = who;

    call->answered = wall_now();
    call->state = reply->status == 0 ? CALL_BROKEN : reply->code[0] ? CALL_REFUSED : CALL_DONE;
    snprintf(call->code, sizeof(call->code), "%s", reply->code);
    if (call->state == CALL_DONE && call->verb == ACCEPT) {
        const char *driver =
            json_string_value(json_object_get(json_object_get(reply->data, "trip"), "driverId"));

        call->already = json_is_true(json_object_get(reply->data, "alreadyAccepted"));
        snprintf(call->value, sizeof(call->value), "%s", driver ? driver : "");
    }
}

void call_send_http(Call *call)
{
    const struct VerbRow *row = &verbs[call->verb];
    char path[128];

    call->state = CALL_OPEN;
    call->code[0] = call->value[0] = '\0';
    call->already = false;
    snprintf(path, sizeof(path), row->path, call->args[0]);
    http_send(row->endpoint, row->method, path, call->by->token, NULL, row->body, on_http, call);
}
