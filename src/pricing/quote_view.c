/*
 * Quotes as their readers may see them. A customer sees every amount, the multipliers that are public (surge,
 * time of day, event) and what may still be added (waiting); not the commission, the
 * price list's own figures, nor which variant of an experiment it is in. That hides columns, not the price:
 * who divides the amounts by way and time finds the rates, and what no multiplier shown explains is the
 * variant.
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/row.h"
#include "identity/session.h"
#include "pricing/pricing.h"

/* The columns that customers may read of hail.quotes are the others. */
static const char *const hidden_from_customers[] = {
    "commission_bp",      "fare_id", "per_km", "per_minute", "minimum_fare", "rounding", "variant_id",
    "variant_multiplier", NULL};

Datum quote_for_caller(Datum quote)
{
    return hail_actor().role == HAIL_ROLE_ADMIN ? quote : hail_row_without(quote, hidden_from_customers);
}

PG_FUNCTION_INFO_V1(hail_quote_for_caller);

/* hail.quote_for_caller(quote) */
Datum hail_quote_for_caller(PG_FUNCTION_ARGS)
{
    PG_RETURN_DATUM(quote_for_caller(PG_GETARG_DATUM(0)));
}
