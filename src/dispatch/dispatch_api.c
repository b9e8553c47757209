/* dispatch_api.c: SQL entry points of the dispatch module that are C. */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "base/error.h"

PG_FUNCTION_INFO_V1(hail_make_pickup_code);

/* hail.make_pickup_code(): four digits, each code equally likely (values past the last whole 10,000 are
 * redrawn). */
Datum hail_make_pickup_code(PG_FUNCTION_ARGS)
{
    uint32 random;
    char code[12];

    do {
        if (!pg_strong_random(&random, sizeof(random)))
            ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
    } while (random >= PG_UINT32_MAX - PG_UINT32_MAX % 10000);
    snprintf(code, sizeof(code), "%04u", random % 10000);
    PG_RETURN_TEXT_P(cstring_to_text(code));
}
