/* SPI with kept plans; see statement.h. */
#include "postgres.h"

#include "executor/spi.h"
#include "optimizer/cost.h"
#include "tcop/dest.h"

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

/* One way or the other of SPI: rows kept in SPI_tuptable, or sent to options->dest. */
typedef struct Execution {
    SPIPlanPtr plan;
    Datum *args;
    const char *nulls;
    bool read_only;
    long limit;
    const SPIExecuteOptions *options; /* NULL: as the others say */
} Execution;

static int execute(const Execution *e)
{
    return e->options != NULL ? SPI_execute_plan_extended(e->plan, e->options)
                              : SPI_execute_plan(e->plan, e->args, e->nulls, e->read_only, e->limit);
}

/* Plans made on the way, those of foreign keys too, follow indexes, row by row in the order of their keys. */
static int execute_by_key(const Execution *e)
{
    bool scans = enable_seqscan, bitmaps = enable_bitmapscan;
    volatile int status = 0;

    enable_seqscan = enable_bitmapscan = false;
    PG_TRY();
    {
        status = execute(e);
    }
    PG_FINALLY();
    {
        enable_seqscan = scans;
        enable_bitmapscan = bitmaps;
    }
    PG_END_TRY();
    return status;
}

/* Returns SPI_processed. `context`: as it was before the statement was prepared. */
static uint64 execute_checked(HailStatement *statement, const Execution *e, MemoryContext context)
{
    int status = statement->options & HAIL_KEY_BIT ? execute_by_key(e) : execute(e);

    if (status < 0)
        elog(ERROR, "could not execute \"%s\": %s", statement->sql, SPI_result_code_string(status));
    MemoryContextSwitchTo(context); /* SPI goes back to the one it was connected with */
    return SPI_processed;
}

uint64 hail_execute(HailStatement *statement, Datum *args, const char *nulls, bool read_only, long limit)
{
    MemoryContext context = CurrentMemoryContext;

    prepare(statement);
    return execute_checked(statement, &(Execution){statement->plan, args, nulls, read_only, limit}, context);
}

/* ---- rows as they come ---- */

typedef struct Receiver {
    DestReceiver dest;
    void (*receive)(TupleTableSlot *slot, void *arg);
    void *arg;
} Receiver;

static bool receive_slot(TupleTableSlot *slot, DestReceiver *self)
{
    Receiver *receiver = (Receiver *)self;

    receiver->receive(slot, receiver->arg);
    return true;
}

static void receive_begin(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void receive_end(DestReceiver *self)
{
}

uint64 hail_each(HailStatement *statement, Datum *args, bool read_only,
                 void (*receive)(TupleTableSlot *slot, void *arg), void *arg)
{
    MemoryContext context = CurrentMemoryContext;
    Receiver receiver = {{receive_slot, receive_begin, receive_end, receive_end, DestNone}, receive, arg};
    SPIExecuteOptions options = {
        .params = makeParamList(statement->nargs), .read_only = read_only, .dest = &receiver.dest};

    for (int i = 0; i < statement->nargs; i++)
        options.params->params[i] =
            (ParamExternData){args[i], false, PARAM_FLAG_CONST, statement->argtypes[i]};
    prepare(statement);
    return execute_checked(statement, &(Execution){.plan = statement->plan, .options = &options}, context);
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
