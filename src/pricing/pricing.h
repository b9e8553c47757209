/* pricing.h: what other modules may ask of pricing (fares are SQL: hail.estimate_fare, hail.create_quote). */
#ifndef HAIL_PRICING_H
#define HAIL_PRICING_H

#include "postgres.h"

/*
 * Surge at a point of a region, in hundredths (150 = 1.5); 100 where there is none. hexagon_size_m: the
 * region's. From shared memory when the library is preloaded, else from the row of surge_cells: then in a
 * transaction and with the rights of hail_owner (as in every SECURITY DEFINER function). As committed by the
 * last tick, or, in a transaction that has changed surge_cells itself, as that has left it. lat, lng: valid
 * degrees; anything else answers 100.
 */
extern int surge_multiplier_at(int16 region_id, double hexagon_size_m, double lat, double lng);

/* Does shared memory wait to be filled from surge_cells? Keeper step hail.surge_refill() does it. Cheap, no
 * transaction needed in our workers. */
extern bool surge_stale(void);

extern void pricing_init(void);

/*
 * A row of hail.quotes as the caller may see it: NULL in what only administrators do (quote_view.c). Made in
 * the current memory context.
 */
extern Datum quote_for_caller(Datum quote);

#endif
