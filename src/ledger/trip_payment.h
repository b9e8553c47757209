/*
 * trip_payment.h
 *    What dispatch asks of the ledger in C; the rest is called in SQL (hail.settle_trip and others).
 */
#ifndef HAIL_LEDGER_TRIP_PAYMENT_H
#define HAIL_LEDGER_TRIP_PAYMENT_H

#include "postgres.h"
#include "utils/uuid.h"

/*
 * Hold a trip's fare (minor units) on its customer's wallet, which is locked from now on. The caller has
 * locked the trip and pays by wallet. The hold in *hold_id: the trip's open one when it has one already.
 * False: there is nothing to hold. Inside SPI, as hail_owner. Errors: insufficient_balance, as check_hold.
 */
extern bool ledger_hold_trip_fare(const pg_uuid_t *trip_id, const pg_uuid_t *customer_id, int64 price,
                                  const char *currency, pg_uuid_t *hold_id);

#endif
