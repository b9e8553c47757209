/* SPI with kept plans; see statement.h. */
#include "postgres.h"

#include "executor/spi.h"

#include "base/statement.h"

uint64 hail_execute(HailStatement *statement, Datum *args, const char *nulls, bool read_only, long limit)
{
    int status;

    if (statement->plan == NULL) {
        SPIPlanPtr plan =
            SPI_prepare_cursor(statement->sql, statement->nargs, statement->argtypes, statement->options);

        if (plan == NULL || SPI_keepplan(plan) != 0)
            elog(ERROR, "could not prepare \"%s\": %s", statement->sql, SPI_result_code_string(SPI_result));
        statement->plan = plan;
    }
    status = SPI_execute_plan(statement->plan, args, nulls, read_only, limit);
    if (status < 0)
        elog(ERROR, "could not execute \"%s\": %s", statement->sql, SPI_result_code_string(status));
    return SPI_processed;
}

Datum hail_result(uint64 row, int col, bool *isnull)
{
    return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col, isnull);
}
