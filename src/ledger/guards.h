/*
 * guards.h
 *    What keeps the ledger's tables true, whoever writes SQL; see guards.c for how.
 */
#ifndef HAIL_LEDGER_GUARDS_H
#define HAIL_LEDGER_GUARDS_H

#include "postgres.h"
#include "utils/uuid.h"

#include "base/statement.h"

/*
 * Execute a statement that writes ledger tables: the guards let its rows pass and note them for the check at
 * commit. Otherwise as hail_execute(). Together with store.h the only way to write them.
 */
extern uint64 ledger_execute(HailStatement *statement, Datum *args, const char *nulls);

/*
 * Notes of rows that were written past the triggers (store.h): a transaction; an entry, with its amount
 * signed (credits above 0); whether it moves a wallet, whose row is to follow; a wallet's row, with what
 * posted and held moved by. Values as stored. Errors: numeric_value_out_of_range.
 */
extern void ledger_note_transaction(const pg_uuid_t *id);
extern void ledger_forget_transaction(const pg_uuid_t *id); /* its row was taken out again by the same call */
extern void ledger_note_entry(const pg_uuid_t *transaction_id, const char *currency, int64 amount);
extern void ledger_note_posted(const pg_uuid_t *account_id, int64 amount);
extern void ledger_note_account(const pg_uuid_t *account_id, int64 posted_moved, int64 held_moved);

extern void ledger_init(void);

#endif
