/* One driver by id, under the filters of a search. */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/clock.h"
#include "live/live_mode.h"

static bool excluded(const LiveSearch *search, const pg_uuid_t *driver_id)
{
    for (int i = 0; i < search->excluded_count; i++)
        if (live_uuid_cmp(&search->excluded[i], driver_id) == 0)
            return true;
    return false;
}

static bool passes(const LiveSearch *search, const LiveEntry *entry)
{
    const LiveRow *row = &entry->row;

    return live_entry_available(entry, hail_now()) &&
           (search->class_id < 0 || (entry->row.class_mask & (INT64CONST(1) << search->class_id)) != 0) &&
           row->rating >= search->min_rating &&
           (search->max_pending_offers <= 0 || entry->pending_offers < search->max_pending_offers) &&
           (row->area_mask == 0 || (row->area_mask & search->area_mask) != 0);
}

bool live_find(const LiveSearch *search, const pg_uuid_t *driver_id, LiveHit *hit)
{
    LiveEntry entry;

    if (excluded(search, driver_id))
        return false;
    if (live_mode() == LIVE_IN_TABLES) {
        if (!live_tables_find(driver_id, &entry))
            return false;
    } else {
        live_require_ready();
        if (!live_index_find(driver_id, &entry))
            return false;
    }
    if (!passes(search, &entry))
        return false;
    live_hit_fill(hit, &entry, geo_distance_m(search->lat, search->lng, entry.lat, entry.lng));
    return true;
}
