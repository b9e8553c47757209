/*
 * bulk.h
 *    Inserting many points into hail.location_history past SQL, as COPY does: rows formed in place, routed to
 *    their partitions, written a page at a time, their index entries made beside; used by store.c alone.
 *
 * Duplicates. Index entries are made as those of a deferrable constraint are: an entry that finds another one
 * with its key, committed or under way, is made all the same and reported. Such a row is deleted again and
 * its number handed back: the caller inserts it with ON CONFLICT DO NOTHING, which waits for whoever is under
 * way. Of two such bulks at once the later entry sees the earlier one, for both are made under the lock of
 * their leaf page. So a duplicate costs itself and neither its batch nor a look into the index for each row.
 */
#ifndef HAIL_HISTORY_BULK_H
#define HAIL_HISTORY_BULK_H

#include "history/history.h"

/* A point in the order in which it is stored: by UTC day (a partition at a time), then by driver and time. */
typedef struct BulkPoint {
    int32 day;          /* UTC, since 2000-01-01 */
    uint32 number;      /* place in the batch as it came */
    uint64 driver_high; /* driver_id as two big-endian numbers */
    uint64 driver_low;
    TimestampTz at; /* recorded_at */
    const HistoryPoint *point;
} BulkPoint;

/* Sort, and drop all but the first of those with one driver and time. Returns how many are left. */
extern int bulk_sort(BulkPoint *points, int count);

/*
 * Insert sorted points, running as hail_owner. False, and nothing inserted: the table isn't as the
 * extension made it (columns, triggers, kinds of partitions), use INSERT. conflicts[0 .. *conflict_count - 1]
 * are the indexes of points left out, see above; room for `count` of them. Errors: as INSERT.
 */
extern bool bulk_insert(const BulkPoint *points, int count, int *conflicts, int *conflict_count);

#endif
