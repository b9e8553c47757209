/*
 * writers.h
 *    Have all transactions ended that were running when somebody looked at the clock?
 *
 * Entries carry the clock of their posting and are seen once it has committed. A period of the past is
 * complete when its end has passed and whatever ran at that moment has ended since: who begins later reads a
 * later clock.
 */
#ifndef HAIL_LEDGER_WRITERS_H
#define HAIL_LEDGER_WRITERS_H

#include "postgres.h"

/*
 * Wait until every transaction of this database that runs now has ended, `wait_ms` milliseconds at most; true
 * when they have. Transactions that only read count too, for they may write yet; VACUUM and this transaction
 * do not; a prepared transaction does until it is resolved. Takes no lock and makes nobody wait. What they
 * have written is seen by snapshots taken after the return.
 */
extern bool ledger_writers_ended(int wait_ms);

#endif
