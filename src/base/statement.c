/* SPI with kept plans; see statement.h. */
#include "postgres.h"

#include "executor/spi.h"
#include "optimizer/cost.h"

#include "base/statement.h"

static void prepare(HailStatement *statement)
{
    SPIPlanPtr plan;

    if (statement->plan != NULL)
        return;
    plan = SPI_prepare_cursor(statement->sql, statement->nargs, statement->argtypes,
                              statement->options & ~HAIL_KEY_BIT);
    if (plan == NULL || SPI_keepplan(plan) != 0)
        elog(ERROR, "could not prepare \"%s\": %s", statement->sql, SPI_result_code_string(SPI_result));
    statement->plan = plan;
}

/* Plans made on the way, those of foreign keys too, follow indexes, row by row in the order of their keys. */
static int execute_by_key(SPIPlanPtr plan, Datum *args, const char *nulls, bool read_only, long limit)
{
    bool scans = enable_seqscan, bitmaps = enable_bitmapscan;
    volatile int status = 0;

    enable_seqscan = enable_bitmapscan = false;
    PG_TRY();
    {
        status = SPI_execute_plan(plan, args, nulls, read_only, limit);
    }
    PG_FINALLY();
    {
        enable_seqscan = scans;
        enable_bitmapscan = bitmaps;
    }
    PG_END_TRY();
    return status;
}

uint64 hail_execute(HailStatement *statement, Datum *args, const char *nulls, bool read_only, long limit)
{
    MemoryContext context = CurrentMemoryContext;
    int status;

    prepare(statement);
    status = statement->options & HAIL_KEY_BIT
                 ? execute_by_key(statement->plan, args, nulls, read_only, limit)
                 : SPI_execute_plan(statement->plan, args, nulls, read_only, limit);
    if (status < 0)
        elog(ERROR, "could not execute \"%s\": %s", statement->sql, SPI_result_code_string(status));
    MemoryContextSwitchTo(context); /* SPI goes back to the one it was connected with */
    return SPI_processed;
}

Portal hail_open(HailStatement *statement, Datum *args, const char *nulls, bool read_only)
{
    MemoryContext context = CurrentMemoryContext;
    Portal portal;

    prepare(statement);
    portal = SPI_cursor_open(NULL, statement->plan, args, nulls, read_only);
    if (portal == NULL)
        elog(ERROR, "could not open \"%s\": %s", statement->sql, SPI_result_code_string(SPI_result));
    MemoryContextSwitchTo(context);
    return portal;
}

Datum hail_result(uint64 row, int col, bool *isnull)
{
    return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col, isnull);
}
