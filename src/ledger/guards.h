/*
 * guards.h
 *    What keeps the ledger's tables true, whoever writes SQL; see guards.c for how.
 */
#ifndef HAIL_LEDGER_GUARDS_H
#define HAIL_LEDGER_GUARDS_H

#include "postgres.h"

#include "base/statement.h"

/*
 * Execute a statement that writes ledger tables: the guards let its rows pass and note them for the check at
 * commit. Otherwise as hail_execute(). The only way to write them.
 */
extern uint64 ledger_execute(HailStatement *statement, Datum *args, const char *nulls);

extern void ledger_init(void);

#endif
