/*
 * A client: draws an operation, writes it to its journal, sends it under its token in one transaction, and
 * asks again with the same key until it has an answer. What it was told goes to the journal too: at the end
 * the tables are held against that.
 *
 * Odd clients run REPEATABLE READ: who meets another's commit there gets 40001 and asks again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "money.h"

#define PATIENCE_S 90.0
#define ATTEMPTS   2000  /* of one operation */
#define HANG_UP    0.003 /* of the requests: the client goes away before their answer */
#define ABANDONED                                                                                            \
    0.2 /* of the operations whose answer was lost: never asked again (a trip is, or its rider could not go  \
           on) */

static int me;
static PGconn *pg;
static FILE *journal;

static void prepare(const char *name, const char *sql)
{
    PGresult *r = PQprepare(pg, name, sql, 0, NULL);

    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQstatus(pg) == CONNECTION_OK && code_of(r)[0] != '\0')
        die("%s: %s", sql, PQresultErrorMessage(r));
    PQclear(r);
}

static void reconnect(void)
{
    double until = wall_now() + PATIENCE_S;

    shared->backends[me] = 0;
    for (;; usleep(20 * 1000)) {
        PQfinish(pg);
        pg = connect_as("hail_front", PATIENCE_S);
        PQclear(PQexec(pg, me % 2 ? "SET default_transaction_isolation = 'repeatable read'"
                                  : "SET default_transaction_isolation = 'read committed'"));
        prepare("begin", "SELECT hail.begin_request($1)");
        for (Verb verb = 0; verb < VERB_COUNT; verb++)
            prepare(verb_name(verb), verb_sql(verb));
        if (PQstatus(pg) == CONNECTION_OK && PQenterPipelineMode(pg))
            break;
        if (wall_now() > until)
            die("client %d does not get in", me);
    }
    shared->backends[me] = PQbackendPID(pg);
}

/* COPY's text format: fields are of our own making and need no quoting. */
static void write_journal(const Op *op, const char *outcome, const char *code)
{
    fprintf(journal, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", me, verb_name(op->verb),
            op->key[0] ? op->key : "\\N", outcome, op->result[0] ? op->result : "\\N", code,
            op->null[0] ? "\\N" : op->args[0], op->null[1] ? "\\N" : op->args[1]);
    fflush(journal);
}

/*
 * One attempt. The code word of a refusal, "" when it was done (the answer is in op->result), NULL when there
 * is no answer.
 */
static const char *attempt(Op *op)
{
    static char code[48];
    const char *values[ARGS];
    bool broken = false, synced = false;

    code[0] = '\0';
    for (int i = 0; i < ARGS; i++)
        values[i] = op->null[i] ? NULL : op->args[i];
    PQsendQueryPrepared(pg, "begin", 1,
                        (const char *[]){op->by_driver ? world.driver_tokens[me] : world.token}, NULL, NULL,
                        0);
    PQsendQueryPrepared(pg, verb_name(op->verb), verb_args(op->verb), values, NULL, NULL, 0);
    PQpipelineSync(pg);
    if (op->verb != RIDE && random_chance(HANG_UP)) { /* a ride asked for twice at once is two quotes */
        tally("connections lost", "by the client", 1);
        write_journal(op, "lost", ""); /* it may be done at any later time */
        PQflush(pg);
        usleep((useconds_t)(random_unit() * 2000));
        return NULL;
    }
    while (!synced && !broken) {
        PGresult *r = PQgetResult(pg);
        ExecStatusType status = r ? PQresultStatus(r) : PGRES_EMPTY_QUERY;

        synced = status == PGRES_PIPELINE_SYNC;
        if (status == PGRES_FATAL_ERROR && code_of(r)[0] == '\0')
            broken = true;
        else if (status == PGRES_FATAL_ERROR && code[0] == '\0')
            snprintf(code, sizeof(code), "%s", code_of(r));
        else if (status == PGRES_TUPLES_OK && PQntuples(r) == 1)
            snprintf(op->result, sizeof(op->result), "%s", PQgetvalue(r, 0, 0));
        PQclear(r);
        broken |= PQstatus(pg) != CONNECTION_OK;
    }
    return broken ? NULL : code;
}

static bool ask_again(const char *code)
{
    return strcmp(code, "40001") == 0 || strcmp(code, "in_flight") == 0 || strcmp(code, "warming") == 0;
}

static Outcome perform(Op *op)
{
    op->result[0] = '\0';
    write_journal(op, "sent", "");
    for (int i = 0; i < ATTEMPTS; i++) {
        const char *code = attempt(op);

        if (code == NULL) {
            reconnect();
            tally(verb_name(op->verb), "no answer", 1);
            if (op->verb != RIDE && random_chance(ABANDONED))
                return write_journal(op, "unknown", ""), UNKNOWN;
            shared->repeats++;
            continue;
        }
        if (ask_again(code)) {
            shared->retries++;
            usleep((useconds_t)(random_unit() * 1000 * (i < 20 ? i : 20)));
            continue;
        }
        if (code[0] == '\0') {
            tally(verb_name(op->verb), "done", 1);
            if (op->must_fail)
                problem("%s with key %s was done instead of %s", verb_name(op->verb), op->key, op->must_fail);
            return write_journal(op, "done", ""), DONE;
        }
        tally(verb_name(op->verb), code, 1);
        if (op->must_fail ? strcmp(code, op->must_fail) != 0 : !may_refuse(op->verb, code))
            problem("%s with key %s got %s instead of %s", verb_name(op->verb), op->key, code,
                    op->must_fail ? op->must_fail : "being done");
        op->result[0] = '\0';
        /* A refused repetition says nothing about the first one. */
        write_journal(
            op, op->must_fail && strcmp(op->must_fail, "idempotency_mismatch") == 0 ? "mismatch" : "refused",
            code);
        return REFUSED;
    }
    problem("%s with key %s had no end of retries", verb_name(op->verb), op->key);
    return UNKNOWN;
}

void client_run(int client)
{
    char *path = xasprintf("%s/journal.%d", world.options.directory, client);
    Op op;

    me = client;
    random_seed(world.options.seed * 1000 + (uint64_t)client);
    journal = fopen(path, "w");
    if (!journal)
        die("cannot write %s", path);
    reconnect();
    while (!shared->stop) {
        draw_operation(&op, client);
        if (perform(&op) == DONE)
            remember_operation(&op);
        shared->done++;
    }
    fclose(journal);
    exit(0);
}
