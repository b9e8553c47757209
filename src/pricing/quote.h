/*
 * quote.h
 *    Prices promised: rows of hail.quotes.
 */
#ifndef HAIL_PRICING_QUOTE_H
#define HAIL_PRICING_QUOTE_H

#include "postgres.h"
#include "utils/uuid.h"

#include "pricing/price.h"

typedef struct QuoteDraft {
    const PriceTrip *trip;
    const Price *price;
    pg_uuid_t id, set_id;      /* set_id where it replaces one: that one's */
    const pg_uuid_t *replaces; /* the quote that this one stands for; NULL: none */
    const pg_uuid_t *customer_id;
    bool any_user; /* else customer_id must be a customer */
} QuoteDraft;

/*
 * Promise the price until hail.quote_ttl after trip->at, with everything that made it. Returns the
 * hail.quotes value, valid until SPI ends. Inside SPI, as hail_owner. Error not_found: there is no such
 * active customer.
 */
extern Datum quote_store(const QuoteDraft *draft);

/*
 * Keeper step: delete quotes that expired hail.quote_retention ago, of which no trip was made and which no
 * other quote replaces; a batch a call, returns how many. Inside SPI, as hail_owner. quote_more_to_expire():
 * the last call left some.
 */
extern int64 quote_expire(void);
extern bool quote_more_to_expire(void);

#endif
