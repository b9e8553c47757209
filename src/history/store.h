/*
 * store.h
 *    Writing points into hail.location_history; used by the history module alone.
 */
#ifndef HAIL_HISTORY_STORE_H
#define HAIL_HISTORY_STORE_H

#include "history/history.h"

/*
 * Insert one point with the rights of hail_owner; one that the table has already is skipped. Errors: what an
 * INSERT raises.
 */
extern void history_store_one(const HistoryPoint *point);

/*
 * Insert points first[(from + n) % size], n = 0 .. count - 1, likewise; of two with the same driver and time
 * the earlier one is kept. A point that the table refuses for itself (a constraint, a trigger) is put into
 * hail.location_rejects and stops no other one. Errors: whatever concerns the table and not a point, as no
 * partition to take it, and more than MAX_REJECTS refused points; then nothing is stored.
 */
extern void history_store(const HistoryPoint *first, uint64 size, uint64 from, uint64 count);

#endif
