/* pricing.h: what other modules may ask of pricing (fares are SQL: hail.estimate_fare, hail.create_quote). */
#ifndef HAIL_PRICING_H
#define HAIL_PRICING_H

/*
 * Keeper step: one tick of surge in every region, in the caller's transaction and inside SPI. Returns the
 * rows of surge_cells written or removed. Locks surge_cells against other ticks until the transaction ends;
 * readers are not disturbed. A surge moves one step of its table per tick, so the keeper's pace is how fast
 * surge may climb: call it every 30 s or so.
 */
extern int surge_tick(void);

#endif
