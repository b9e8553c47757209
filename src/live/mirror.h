/* mirror.h: from rows of hail.drivers to the index, at commit. Used inside src/live only. */
#ifndef HAIL_LIVE_MIRROR_H
#define HAIL_LIVE_MIRROR_H

#include "live/index.h"

/* Mirror a row when this transaction commits; `before`: as it was before this change, or NULL. Error: out of
 * slots. */
extern void mirror_queue_row(const LiveRow *row, const LiveRow *before);

/* Has this transaction changed drivers? */
extern bool mirror_has_rows(void);

/* The newest row of a driver that this transaction has queued; NULL: none. Valid until the next one is
 * queued. */
extern const LiveRow *mirror_queued_row(const pg_uuid_t *driver_id);

/* Forget the whole index when this transaction commits; it is ready then if `ready`. */
extern void mirror_queue_reset(bool ready);

/* live_index_take_dirty(); the marks are put back if the transaction aborts. Error: out of memory, nothing
 * taken.
 */
extern uint32 mirror_take_dirty(int32 word);

/* Error out of slots, naming the setting. */
extern void mirror_out_of_slots(void) pg_attribute_noreturn();

extern void mirror_init(void);

#endif
