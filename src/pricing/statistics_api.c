/* SQL entry points of statistics.h. Internal: the SQL functions that call them have asked who is calling. */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"

#include "base/error.h"
#include "pricing/statistics.h"

PG_FUNCTION_INFO_V1(hail_ratio_estimate);
PG_FUNCTION_INFO_V1(hail_proportion_estimate);
PG_FUNCTION_INFO_V1(hail_estimate_difference);
PG_FUNCTION_INFO_V1(hail_chi_square_p);

/* A row of `count` numbers; of nulls when there is nothing to say. */
static Datum number_row(FunctionCallInfo fcinfo, bool known, const double *numbers, int count)
{
    TupleDesc desc;
    Datum values[4];
    bool nulls[4];

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != count || count > 4)
        elog(ERROR, "return type must be a row of %d numbers", count);
    for (int i = 0; i < count; i++) {
        values[i] = known ? Float8GetDatum(numbers[i]) : (Datum)0;
        nulls[i] = !known;
    }
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* hail.ratio_estimate(n, mean_x, mean_y, var_x, var_y, cov_xy) */
Datum hail_ratio_estimate(PG_FUNCTION_ARGS)
{
    RatioMoments moments = {PG_GETARG_INT64(0),  PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2),
                            PG_GETARG_FLOAT8(3), PG_GETARG_FLOAT8(4), PG_GETARG_FLOAT8(5)};
    Estimate e = {0};
    bool known = statistics_ratio(&moments, &e);

    return number_row(fcinfo, known, (double[]){e.value, e.low, e.high}, 3);
}

/* hail.proportion_estimate(events, n) */
Datum hail_proportion_estimate(PG_FUNCTION_ARGS)
{
    Estimate e = {0};
    bool known = statistics_proportion(PG_GETARG_INT64(0), PG_GETARG_INT64(1), &e);

    return number_row(fcinfo, known, (double[]){e.value, e.low, e.high}, 3);
}

/* hail.estimate_difference(value, low, high, other, other_low, other_high) */
Datum hail_estimate_difference(PG_FUNCTION_ARGS)
{
    Estimate a = {PG_GETARG_FLOAT8(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2)};
    Estimate b = {PG_GETARG_FLOAT8(3), PG_GETARG_FLOAT8(4), PG_GETARG_FLOAT8(5)};
    Estimate d;
    double p;

    statistics_difference(&a, &b, &d, &p);
    return number_row(fcinfo, true, (double[]){d.value, d.low, d.high, p}, 4);
}

/* hail.chi_square_p(x, df) */
Datum hail_chi_square_p(PG_FUNCTION_ARGS)
{
    int df = PG_GETARG_INT32(1);

    if (df < 1 || df > 1000)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("df must be between 1 and 1000"),
                hail_field("df"));
    PG_RETURN_FLOAT8(statistics_chi_square_p(PG_GETARG_FLOAT8(0), df));
}
