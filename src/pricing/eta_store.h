/*
 * eta_store.h
 *    What the ETA model has learnt: rows of hail.eta_effects, and their mirror in shared memory.
 */
#ifndef HAIL_PRICING_ETA_STORE_H
#define HAIL_PRICING_ETA_STORE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "pricing/book.h"
#include "pricing/eta_model.h"

/* What a trip's region and the moment it begins are to the model: local hour of the week, minute and day. */
extern void eta_fill_trip(const BookRegion *region, TimestampTz at, EtaTrip *trip);

/* Where the effects lie that eta_store_predict() asks. */
typedef enum EtaStoreState {
    ETA_STORE_SHARED,  /* in shared memory */
    ETA_STORE_LOADING, /* there, but not read from the rows yet: configured figures answer */
    ETA_STORE_LOCAL    /* not preloaded, another database, or in recovery: each backend reads the rows */
} EtaStoreState;

typedef struct EtaStoreFacts {
    EtaStoreState state;
    int64 slots, used, evictions; /* of the table that answers this backend */
    double half_life_days;
} EtaStoreFacts;

/* In a transaction. */
extern EtaStoreFacts eta_store_facts(void);

/*
 * eta_model_predict() on what is learnt; `pickup` gets the effect of the region's ways to pickups, all zero
 * without one (NULL: not asked for). In a transaction; SPI only in ETA_STORE_LOCAL, once a minute at most.
 */
extern bool eta_store_predict(const EtaTrip *trip, const EtaRegion *base, EtaPrediction *out,
                              EtaEffect *pickup);

/*
 * To change what is learnt: eta_store_begin() takes its turn, which lasts until the transaction ends, and
 * returns a table that holds what the rows hold (NULL: it is another's turn, and `wait` is false); the caller
 * changes it, names what it has changed, and writes the rows. Others see all of it at commit, or nothing.
 * Inside SPI, as hail_owner.
 */
extern EtaTable *eta_store_begin(bool wait);
extern void eta_store_changed(uint64_t key);
extern void eta_store_forgot(int16 region_id); /* every effect of a region is gone */

/* While this is set the caller itself writes what the table says: writes of others make it be read anew. */
extern bool eta_store_writing;

/* The key of the one effect that the store itself has: how ways to pickups differ from trips. */
static inline uint64_t eta_pickup_key(uint16_t region)
{
    return eta_key(region, ETA_KIND_PICKUP, 0);
}

extern void eta_store_init(void);

#endif
