/*
 * hail.few_of(): how many different persons figures stand for, as far as it takes to say that they are
 * enough; count(DISTINCT) would sort a row for every trip.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

/* Figures stand for so many persons, or are not told. */
#define ENOUGH 5

typedef struct Few {
    int n;
    pg_uuid_t ids[ENOUGH];
} Few;

PG_FUNCTION_INFO_V1(hail_few_add);
PG_FUNCTION_INFO_V1(hail_few_merge);
PG_FUNCTION_INFO_V1(hail_few_array);

static Few *state_of(FunctionCallInfo fcinfo)
{
    MemoryContext context;

    if (!AggCheckCallContext(fcinfo, &context))
        elog(ERROR, "called outside of an aggregate");
    return PG_ARGISNULL(0) ? MemoryContextAllocZero(context, sizeof(Few)) : (Few *)PG_GETARG_POINTER(0);
}

static void add(Few *few, const pg_uuid_t *id)
{
    if (few->n == ENOUGH)
        return;
    for (int i = 0; i < few->n; i++) {
        if (memcmp(&few->ids[i], id, sizeof(*id)) == 0)
            return;
    }
    few->ids[few->n++] = *id;
}

/* hail.few_add(state, id) */
Datum hail_few_add(PG_FUNCTION_ARGS)
{
    Few *few = state_of(fcinfo);

    if (!PG_ARGISNULL(1))
        add(few, PG_GETARG_UUID_P(1));
    PG_RETURN_POINTER(few);
}

/* hail.few_merge(state, ids) */
Datum hail_few_merge(PG_FUNCTION_ARGS)
{
    Few *few = state_of(fcinfo);

    if (!PG_ARGISNULL(1)) {
        Datum *ids;
        bool *nulls;
        int n;

        deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &ids, &nulls,
                          &n);
        for (int i = 0; i < n; i++) {
            if (!nulls[i])
                add(few, DatumGetUUIDP(ids[i]));
        }
    }
    PG_RETURN_POINTER(few);
}

/* hail.few_array(state) */
Datum hail_few_array(PG_FUNCTION_ARGS)
{
    Few *few = PG_ARGISNULL(0) ? NULL : (Few *)PG_GETARG_POINTER(0);
    Datum ids[ENOUGH];
    int n = few == NULL ? 0 : few->n;

    for (int i = 0; i < n; i++)
        ids[i] = UUIDPGetDatum(&few->ids[i]);
    PG_RETURN_ARRAYTYPE_P(construct_array(ids, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}
