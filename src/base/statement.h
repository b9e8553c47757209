/*
 * statement.h
 *    SPI with kept plans: one static HailStatement per SQL text, prepared on first use in a backend.
 *
 *        static HailStatement lock_trip = {"SELECT ... FROM hail.trips WHERE id = $1 FOR UPDATE", 1,
 * {UUIDOID}}; hail_execute(&lock_trip, (Datum[]) {id}, NULL, false, 1);
 *
 * The caller is inside SPI_connect(). Every name in the text is schema-qualified.
 */
#ifndef HAIL_BASE_STATEMENT_H
#define HAIL_BASE_STATEMENT_H

#include "postgres.h"
#include "executor/spi.h"

#define HAIL_MAX_ARGS 48

/*
 * Option of statements that find their rows by key: one plan for all arguments, kept, of plain index scans
 * whatever the statistics say; these yield rows in the order of the index. A plan made while a table was
 * empty would else read all of it, for as long as the backend lives or until the table is analysed.
 */
#define HAIL_KEY_BIT 0x40000000
#define HAIL_BY_KEY  (CURSOR_OPT_GENERIC_PLAN | HAIL_KEY_BIT)

typedef struct HailStatement {
    const char *sql;
    int nargs;
    Oid argtypes[HAIL_MAX_ARGS];
    int options;     /* cursor options to prepare with, as HAIL_BY_KEY; 0: none */
    SPIPlanPtr plan; /* leave out: set on first use */
} HailStatement;

/*
 * Execute; returns the rows processed (SPI_processed). `nulls` as for SPI (' ' or 'n' per argument) or NULL.
 * `read_only` uses the caller's snapshot; `limit` 0 = all rows. Errors: whatever the statement raises, or an
 * internal error where SPI itself refuses. The caller's memory context stays the current one.
 */
extern uint64 hail_execute(HailStatement *statement, Datum *args, const char *nulls, bool read_only,
                           long limit);

/*
 * Execute a query and hand each row to receive(), without a copy of it: for results of many rows. The slot's
 * attributes count from 1 and are valid in the call alone; `arg` is passed on. Statements only, no utility.
 * Arguments and errors as above; returns the rows.
 */
extern uint64 hail_each(HailStatement *statement, Datum *args, bool read_only,
                        void (*receive)(TupleTableSlot *slot, void *arg), void *arg);

/* Open a cursor; rows are fetched with SPI_cursor_fetch(), the caller closes it. Arguments as above. */
extern Portal hail_open(HailStatement *statement, Datum *args, const char *nulls, bool read_only);

/* Column `col` (from 1) of row `row` of the last result; *isnull must be checked where the column can be
 * NULL. */
extern Datum hail_result(uint64 row, int col, bool *isnull);

#endif
