/*
 * accept.h
 *    A driver takes a trip that it holds an offer of: all of it, whoever decides (the driver, a customer who
 * chooses a bid, an administrator who assigns by hand).
 */
#ifndef HAIL_DISPATCH_ACCEPT_H
#define HAIL_DISPATCH_ACCEPT_H

#include "postgres.h"
#include "utils/uuid.h"

#define ACCEPT_AS_QUOTED (-1)

typedef struct AcceptRequest {
    pg_uuid_t trip_id, driver_id;
    const char *actor; /* of the transition table: driver, customer or admin */
    int64 price; /* that the trip gets, minor units of its currency; ACCEPT_AS_QUOTED: it keeps its own */
} AcceptRequest;

/*
 * Take the trip: its row locked first, then offers by id, the driver, the wallet. The caller has authorised
 * and is inside SPI; it may hold the trip's lock, and no other. Returns the hail.trips value, valid until SPI
 * ends; *already: this driver has had the trip before, nothing was done. The second driver to accept a
 * scheduled trip becomes its backup: the trip returned has another driver, and this one as backup_driver_id.
 * A forward offer is agreed to by a driver still on a ride: the trip returned is still searching.
 * Errors: not_found, trip_taken,
 * offer_closed, offer_expired, driver_busy, driver_not_eligible, insufficient_balance, wrong_state; nothing
 * that was written before them stays once the transaction, or subtransaction, is rolled back.
 */
extern Datum dispatch_accept(const AcceptRequest *request, bool *already);

/* A hail.trips value without what the calling role must not see: NULL in the columns that are not its (lists
 * in accept.c; administrators see all); palloc'd, or the value itself. */
extern Datum trip_for_caller(Datum trip);

#endif
