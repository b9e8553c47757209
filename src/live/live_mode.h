/* live_mode.h: which of the two ways the module works in here. Used inside src/live only. */
#ifndef HAIL_LIVE_MODE_H
#define HAIL_LIVE_MODE_H

#include "postgres.h"
#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/array.h"

#include "base/owner.h"
#include "live/index.h"

typedef enum LiveMode {
    LIVE_IN_MEMORY, /* the index */
    LIVE_IN_TABLES  /* not preloaded, not the database of hail.database, or in recovery: driver_positions */
} LiveMode;

/* In a transaction. */
extern LiveMode live_mode(void);

/* Error warming unless the index is complete. LIVE_IN_MEMORY only. */
extern void live_require_ready(void);

/* Columns of hail.drivers that the index mirrors, besides the id. */
#define LIVE_ROW_FIELDS(X)                                                                                   \
    X(trip_id)                                                                                               \
    X(version)                                                                                               \
    X(class_mask)                                                                                            \
    X(area_mask)                                                                                             \
    X(cooldown_until)                                                                                        \
    X(idle_since)                                                                                            \
    X(rating)                                                                                                \
    X(vehicle_score)                                                                                         \
    X(offers_accepted)                                                                                       \
    X(offers_total)                                                                                          \
    X(trips_completed)                                                                                       \
    X(trips_total)                                                                                           \
    X(region_id)                                                                                             \
    X(job_capacity)                                                                                          \
    X(active_jobs)                                                                                           \
    X(online)                                                                                                \
    X(status)

/* What a statement selects first to be read with live_result_row(): of hail.drivers `d`; ... */
#define LIVE_SELECTED(column) ", d." #column
#define LIVE_ROW_COLUMNS      "d.id" LIVE_ROW_FIELDS(LIVE_SELECTED)
/* ... and with live_result_position(), after an id, or live_result_both(): of hail.driver_positions `p`. */
#define LIVE_POSITION_COLUMNS "p.lat, p.lng, p.heading, p.speed, p.accuracy, p.recorded_at, p.received_at"
#define LIVE_BOTH_COLUMNS     LIVE_ROW_COLUMNS ", " LIVE_POSITION_COLUMNS

/* The mirrored part of a row of hail.drivers itself. */
extern void live_row_from_table(HeapTuple tuple, TupleDesc desc, LiveRow *row);

/*
 * From row `row` of the last SPI result. live_result_both() also returns the one column further, and false
 * where an outer join found no position.
 */
extern void live_result_row(uint64 row, LiveRow *out);
extern void live_result_position(uint64 row, LiveReport *out);
extern bool live_result_both(uint64 row, LiveRow *out, LiveReport *position, Datum *further);

/*
 * Until the transaction ends: positions are on their way from the index into driver_positions (shared), or
 * nobody else's may be (`alone`; waits for those that are).
 */
extern void live_lock_writing(bool alone);

/* As owner: put positions into driver_positions, the newest staying; in the order of drivers' ids, each once.
 * Returns the rows written. */
extern int live_write_positions(const LiveReport *reports, int count);

/* An array of `count` elements of a type of fixed length, 0 so far and none NULL. */
extern ArrayType *live_new_array(Oid type, int length, int count);

/* As owner: lock the drivers' rows that are online and free, ask still_silent() again, then write OFFLINE and
 * its event. Overwrites `ids`. Returns the number done. */
extern int live_set_offline(pg_uuid_t *ids, int count, bool (*still_silent)(const pg_uuid_t *, TimestampTz),
                            TimestampTz before);

/* Table mode (tables.c). live_tables_expire() as owner, the others see to that themselves. */
extern int live_tables_search(const LiveSearch *search, LiveHit *hits);
extern LiveReportResult live_tables_report(const LiveReport *report);
/* A driver with its position, unlocked. False: no such driver, or without a position. */
extern bool live_tables_find(const pg_uuid_t *driver_id, LiveEntry *entry);
/* Every driver that is online or on a trip. */
extern void live_tables_visit(void (*visit)(const LiveEntry *entry, void *arg), void *arg);
extern int live_tables_expire(TimestampTz now, TimestampTz before);

/* A driver the index does not know (or no committed row of): load it. False: no such driver. */
extern bool live_admit(const pg_uuid_t *driver_id);

#endif
