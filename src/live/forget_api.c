/* hail.live_forget(): the index gives up a driver at once, for an erasure of positions. */
#include "postgres.h"

#include "fmgr.h"
#include "utils/uuid.h"

#include "base/error.h"
#include "live/index.h"
#include "live/live.h"
#include "live/live_mode.h"

PG_FUNCTION_INFO_V1(hail_live_forget);

/*
 * Errors: in_flight, when another transaction is changing the driver. Not undone by an abort: an offline
 * driver has a slot again with its next report. What waits to be written through is written first, or it
 * would come back; internal.
 */
Datum hail_live_forget(PG_FUNCTION_ARGS)
{
    pg_uuid_t *driver_id = PG_GETARG_UUID_P(0);
    int32 slot;

    if (live_mode() != LIVE_IN_MEMORY)
        PG_RETURN_VOID();
    live_lock_writing(true); /* what another transaction has read of the index must not come after us */
    do
        (void)live_write_through();
    while (live_more_to_write());
    slot = live_index_reserve(driver_id, false);
    if (slot == LIVE_NO_SLOT)
        PG_RETURN_VOID();
    live_index_unreserve(slot);
    /* should it be somebody else's by now, then no harm is done: only what may be reclaimed is */
    (void)live_index_reclaim_slot(slot, 0);
    slot = live_index_reserve(driver_id, false);
    if (slot != LIVE_NO_SLOT) {
        live_index_unreserve(slot);
        ereport(ERROR, hail_error(HAIL_IN_FLIGHT),
                errmsg("the driver is being changed by another transaction"), hail_field("driver_id"),
                errhint("Try again in a moment."));
    }
    PG_RETURN_VOID();
}
