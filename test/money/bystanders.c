/*
 * Who else is there: attackers write to the tables themselves and must be refused; a folder folds and expires
 * beside the keeper; the auditor looks at the books from outside, all the time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "money.h"

#define PATIENCE_S 90.0

/* What came of several statements: the last result, and the rows written by those that write. */
typedef struct Answer {
    PGresult *r; /* NULL: no answer */
    long rows;
} Answer;

static bool is_cut_off(PGconn *pg, const PGresult *r)
{
    return PQstatus(pg) != CONNECTION_OK || (PQresultStatus(r) == PGRES_FATAL_ERROR && code_of(r)[0] == '\0');
}

/* Run statements; connects anew when the server has gone. */
static Answer run(PGconn **pg, const char *sql)
{
    Answer answer = {NULL, 0};
    PGresult *r;

    if (*pg == NULL)
        *pg = connect_as("postgres", PATIENCE_S);
    PQsendQuery(*pg, sql);
    while ((r = PQgetResult(*pg)) != NULL) {
        bool wrote = PQresultStatus(r) == PGRES_COMMAND_OK;

        answer.rows += wrote ? atol(PQcmdTuples(r)) + (strncmp(PQcmdStatus(r), "TRUNCATE", 8) == 0) : 0;
        PQclear(answer.r);
        answer.r = r;
    }
    if (answer.r == NULL || is_cut_off(*pg, answer.r)) {
        PQclear(answer.r);
        answer.r = NULL;
        PQfinish(*pg);
        *pg = NULL;
    }
    return answer;
}

/* ---- attacks ---- */

/* %s: a wallet. Each is tried by the tables' owner; none may pass. The first ones always find what they hit.
 */
#define SURE 8
static const char *const attacks[] = {
    "UPDATE hail.accounts SET posted = posted + 1 WHERE id = '%s'",
    "UPDATE hail.accounts SET held = held + 1 WHERE id = '%s'",
    "DELETE FROM hail.accounts WHERE id = '%s'",
    "MERGE INTO hail.accounts a USING (SELECT '%s'::uuid AS id) s ON a.id = s.id WHEN MATCHED THEN UPDATE "
    "SET posted = a.posted + 9",
    "INSERT INTO hail.accounts (id, kind, owner_id, currency, is_system, posted) SELECT id, kind, owner_id, "
    "currency, is_system, 7"
    " FROM hail.accounts WHERE id = '%s' ON CONFLICT (id) DO UPDATE SET posted = excluded.posted",
    "SET CONSTRAINTS ALL DEFERRED; UPDATE hail.accounts SET posted = posted - 1 WHERE id = '%s'",
    "SAVEPOINT a; UPDATE hail.accounts SET posted = posted * 2 + 1 WHERE id = '%s'; RELEASE a",
    "WITH w AS (UPDATE hail.accounts SET posted = posted + 1, held = held + 1 WHERE id = '%s' RETURNING id)"
    " UPDATE hail.accounts SET posted = posted - 1 WHERE kind = 'CASH_CLEARING' AND EXISTS (SELECT FROM w)",
    "UPDATE hail.ledger_entries SET amount = amount + 1 WHERE id = (SELECT max(id) FROM hail.ledger_entries "
    "WHERE account_id = '%s')",
    "DELETE FROM hail.ledger_entries WHERE id = (SELECT max(id) FROM hail.ledger_entries WHERE account_id = "
    "'%s')",
    "INSERT INTO hail.ledger_entries (transaction_id, account_id, amount, direction, currency, created_at)"
    " SELECT transaction_id, account_id, 5, 'credit', currency, created_at FROM hail.ledger_entries WHERE "
    "account_id = '%s' LIMIT 1",
    "UPDATE hail.ledger_transactions SET kind = 'forged' WHERE id = (SELECT transaction_id FROM "
    "hail.ledger_entries"
    " WHERE account_id = '%s' LIMIT 1)",
    "UPDATE hail.holds SET status = 'held', resolved_at = NULL WHERE id = (SELECT max(id::text)::uuid FROM "
    "hail.holds"
    " WHERE account_id = '%s' AND status <> 'held')",
    "DELETE FROM hail.holds WHERE id = (SELECT max(id::text)::uuid FROM hail.holds WHERE account_id = '%s')",
    "SET LOCAL lock_timeout = '20ms'; TRUNCATE hail.holds /* %s */",
};
#define ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

/* A posting that is right, under a key nobody else has; undone with what follows. */
static char *posting(const char *key, const char *from, const char *to)
{
    return xasprintf("SELECT hail.post_transaction('undone', '{\"(%s,debit,3)\",\"(%s,credit,3)\"}', '%s');",
                     from, to, key);
}

/* What an attack hits may not be there yet: then nothing is written, and nothing is to be refused. */
static void judge_attack(bool undone, const char *forged, const Answer *answer)
{
    bool through = PQresultStatus(answer->r) != PGRES_FATAL_ERROR;

    if (undone && !through)
        problem("a posting to be undone got %s", PQresultErrorMessage(answer->r));
    else if (!undone && through && answer->rows > 0)
        problem("an attack was let through: %s", forged);
    tally(undone ? "undone" : "attack",
          !through ? code_of(answer->r)
          : undone ? "done"
                   : "nothing to hit",
          1);
}

/*
 * The attack alone; after a right posting in the same transaction; or (kind 2) no attack, and the posting is
 * taken back, whole or to a savepoint. Whatever was posted must not be there.
 */
static void attack(PGconn **pg, int attacker, long number)
{
    const char *wallet = world.wallets[random_bits() % CURRENCIES][random_bits() % HOT];
    const char *system = world.systems[0][0];
    int kind = (int)(random_bits() % 4);
    /* An attack waits for its row: before one, no wallet is locked, or it would lock them out of order. */
    const char *other = kind == 0 ? world.systems[0][1] : world.wallets[0][random_bits() % WALLETS];
    const char *pattern = attacks[random_bits() % (kind == 0 ? SURE : ATTACKS)];
    char *key = xasprintf("undone %d.%ld", attacker, number), *first = posting(key, system, other);
    char *forged = xasprintf(pattern, wallet), *sql;
    Answer answer;

    if (kind == 0)
        sql = xasprintf("BEGIN; %s SET LOCAL ROLE hail_owner; %s; COMMIT", first, forged);
    else if (kind == 1)
        sql = xasprintf("BEGIN; %s ROLLBACK", first);
    else if (kind == 2)
        sql = xasprintf("BEGIN; SAVEPOINT a; %s ROLLBACK TO a; COMMIT", first);
    else
        sql = xasprintf("BEGIN; SET LOCAL ROLE hail_owner; %s; COMMIT", forged);
    answer = run(pg, sql);
    if (answer.r != NULL)
        judge_attack(kind == 1 || kind == 2, forged, &answer);
    PQclear(answer.r);
    if (*pg != NULL)
        PQclear(PQexec(*pg, "ROLLBACK"));
    free(key);
    free(first);
    free(forged);
    free(sql);
}

void attacker_run(int attacker)
{
    PGconn *pg = NULL;

    random_seed(world.options.seed * 1000 + 100 + (uint64_t)attacker);
    for (long n = 0; !shared->stop; n++) {
        attack(&pg, attacker, n);
        usleep((useconds_t)(random_unit() * 10 * 1000));
    }
    exit(0);
}

/* ---- folding beside the keeper ---- */

void folder_run(void)
{
    PGconn *pg = NULL;

    random_seed(world.options.seed * 1000 + 200);
    while (!shared->stop) {
        Answer answer =
            run(&pg, random_chance(0.2) ? "SELECT hail.expire_holds()" : "SELECT hail.fold_accounts()");

        if (answer.r != NULL) {
            if (PQresultStatus(answer.r) != PGRES_TUPLES_OK)
                problem("folding or expiry: %s", PQresultErrorMessage(answer.r));
            tally("folding and expiry", "done", 1);
        }
        PQclear(answer.r);
        usleep((useconds_t)(random_unit() * 20 * 1000));
    }
    exit(0);
}

/* ---- audit ---- */

void auditor_run(void)
{
    PGconn *pg = NULL;

    while (!shared->stop) {
        Answer answer = run(&pg, "SELECT rule, subject FROM money.audit()");

        if (answer.r != NULL) {
            if (PQresultStatus(answer.r) != PGRES_TUPLES_OK)
                problem("audit: %s", PQresultErrorMessage(answer.r));
            for (int i = 0; i < PQntuples(answer.r); i++)
                problem("audit under load: %s: %s", PQgetvalue(answer.r, i, 0), PQgetvalue(answer.r, i, 1));
            tally("audits under load", "done", 1);
        }
        PQclear(answer.r);
        usleep(250 * 1000);
    }
    exit(0);
}
