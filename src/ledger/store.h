/*
 * store.h
 *    The ledger's own way to its tables: rows are written through the table access method, without SQL.
 *
 * What the executor does for an INSERT or UPDATE is done here and no more: NOT NULL and CHECK constraints,
 * all indexes, heap-only updates, statistics, WAL, predicate locks, logical decoding (the access method does
 * the last five). Row triggers and rules do not see these rows: book.c tells the guards of each one. Foreign
 * keys neither: an entry's transaction is written by the same call.
 *
 * A table is open between store_open() and store_close(); its lock stays until the transaction ends. Values
 * are given by the table's own list of columns (store.c), so the order of columns in the catalog is free; all
 * others are NULL. Errors leave nothing open.
 */
#ifndef HAIL_LEDGER_STORE_H
#define HAIL_LEDGER_STORE_H

#include "postgres.h"
#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

typedef enum AccountColumn {
    ACCOUNT_ID,
    ACCOUNT_KIND,
    ACCOUNT_OWNER,
    ACCOUNT_CURRENCY,
    ACCOUNT_IS_SYSTEM,
    ACCOUNT_FLOOR,
    ACCOUNT_POSTED,
    ACCOUNT_HELD,
    ACCOUNT_CLOSED_AT
} AccountColumn;

typedef enum TransactionColumn {
    TRANSACTION_ID,
    TRANSACTION_KIND,
    TRANSACTION_PRINCIPAL,
    TRANSACTION_KEY,
    TRANSACTION_REQUEST,
    TRANSACTION_REFERENCE_TYPE,
    TRANSACTION_REFERENCE_ID,
    TRANSACTION_REVERSES,
    TRANSACTION_METADATA,
    TRANSACTION_EFFECTIVE_AT,
    TRANSACTION_CREATED_AT,
    TRANSACTION_XID
} TransactionColumn;

typedef enum EntryColumn {
    ENTRY_ID,
    ENTRY_TRANSACTION,
    ENTRY_ACCOUNT,
    ENTRY_AMOUNT,
    ENTRY_DIRECTION,
    ENTRY_CURRENCY,
    ENTRY_BALANCE_AFTER,
    ENTRY_CREATED_AT,
    ENTRY_XID
} EntryColumn;

#define STORE_MAX_COLUMNS 12

typedef struct StoreTable StoreTable;
extern StoreTable store_accounts, store_transactions, store_entries;

/* A row of hail.accounts as it was when it was locked. */
typedef struct StoreRow {
    ItemPointerData tid;
    HeapTuple tuple; /* palloc'd */
} StoreRow;

/* Open for writing. Errors: read_only_sql_transaction, also on a standby. */
extern void store_open(StoreTable *table);
extern void store_close(StoreTable *table);

/* An empty row to be filled with store_set(), the n-th of those to be inserted together (from 0). Kept by the
 * table: valid until the next use of the same number. */
extern TupleTableSlot *store_blank(StoreTable *table, int n);
extern void store_set(StoreTable *table, TupleTableSlot *slot, int column, Datum value);
extern Datum store_get(StoreTable *table, HeapTuple tuple, int column, bool *isnull);

/* Insert the first `count` rows of store_blank(). Errors: those of constraints and unique indexes. */
extern void store_insert(StoreTable *table, int count);

/*
 * Insert row n of hail.ledger_transactions, unless a unique index has its key already: false, and
 * nothing was inserted. One that is being inserted by another transaction is waited for, without a
 * subtransaction. The index is looked at once, while the row goes in: a row that was not the first is taken
 * back.
 */
extern bool store_claim(StoreTable *table, int n);

/*
 * The same for the first `count` rows at once, in the order of their keys, without waiting: there[i] tells
 * whether row i is there now. False: a key was there before, or another transaction is just inserting it.
 * Returns the number of rows that are there.
 */
extern int store_claim_many(StoreTable *table, int count, bool *there);

/* Take row n, which this command has inserted, out again. */
extern void store_take_out(StoreTable *table, int n);

/*
 * Find accounts and lock those that are not system accounts (FOR NO KEY UPDATE) in their newest version, in
 * the order given, which must be that of their ids. rows[i].tuple is NULL where there is none; it is made in
 * the current memory context. Errors: serialization_failure when a transaction with one snapshot meets a
 * version newer than that.
 */
extern void store_lock_accounts(const pg_uuid_t *const *ids, StoreRow **rows, int count);

/* The id of an account by kind, owner (NULL: system account) and currency; false when there is none. */
extern bool store_find_account(const char *kind, const pg_uuid_t *owner, const char *currency, pg_uuid_t *id);

/* An account's balance; owner is all zero where there is none. */
typedef struct StoreBalance {
    pg_uuid_t owner;
    int64 posted, held;
} StoreBalance;

/*
 * Read a balance as of the active snapshot: what is folded and what is not yet of a system account, together.
 * Without locks; also on a standby. Nothing is to be open. False when there is no such account. Errors:
 * numeric_value_out_of_range.
 */
extern bool store_read_balance(const pg_uuid_t *id, StoreBalance *balance);

/* Write a locked account's posted and held; `row` becomes the new version. */
extern void store_update_account(StoreRow *row, int64 posted, int64 held);

/* The first of STORE_ENTRY_IDS values of hail.ledger_entries.id that are now ours; the table is open. */
#define STORE_ENTRY_IDS 256 /* increment of the column's sequence */
extern int64 store_entry_ids(void);

extern void store_init(void);

#endif
