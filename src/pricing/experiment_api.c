/* SQL entry points of experiment.h. Internal: the SQL functions that call them have asked who is calling. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/uuid.h"

#include "base/error.h"
#include "pricing/experiment.h"

PG_FUNCTION_INFO_V1(hail_experiment_bucket);
PG_FUNCTION_INFO_V1(hail_experiment_variant);

/* hail.experiment_bucket(salt, customer_id) */
Datum hail_experiment_bucket(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32(experiment_bucket(PG_GETARG_UUID_P(0)->data, PG_GETARG_UUID_P(1)->data));
}

/* hail.experiment_variant(shares_bp, bucket): from 1, NULL for none */
Datum hail_experiment_variant(PG_FUNCTION_ARGS)
{
    ArrayType *shares = PG_GETARG_ARRAYTYPE_P(0);
    int variant;

    if (ARR_NDIM(shares) > 1 || ARR_HASNULL(shares) || ARR_ELEMTYPE(shares) != INT4OID)
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("shares_bp must be a list without nulls"),
                hail_field("shares_bp"));
    variant = experiment_variant((int32 *)ARR_DATA_PTR(shares),
                                 ArrayGetNItems(ARR_NDIM(shares), ARR_DIMS(shares)), PG_GETARG_INT32(1));
    if (variant < 0)
        PG_RETURN_NULL();
    PG_RETURN_INT32(variant + 1);
}
