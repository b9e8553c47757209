/* live_mode.h: which of the two ways the module works in here. Used inside src/live only. */
#ifndef HAIL_LIVE_MODE_H
#define HAIL_LIVE_MODE_H

#include "postgres.h"
#include "access/htup.h"
#include "access/tupdesc.h"

#include "live/index.h"

typedef enum LiveMode {
    LIVE_IN_MEMORY, /* the index */
    LIVE_IN_TABLES  /* not preloaded, not the database of hail.database, or in recovery: driver_positions */
} LiveMode;

/* In a transaction. */
extern LiveMode live_mode(void);

/* Error warming unless the index is complete. LIVE_IN_MEMORY only. */
extern void live_require_ready(void);

/*
 * SPI as hail_owner with a safe search path: the functions callers use are neither SECURITY DEFINER nor do
 * they set anything, to be cheap where no table is needed. Everything the caller may do was decided before.
 * An error undoes the role.
 */
typedef struct LiveOwner {
    Oid user;
    int context, guc_level;
} LiveOwner;

extern LiveOwner live_owner_begin(void);
extern void live_owner_end(LiveOwner saved);

/* The mirrored part of a row with the columns of hail.drivers. */
extern void live_row_from_tuple(HeapTuple tuple, TupleDesc desc, LiveRow *row);

/*
 * Of the last SPI result, a row with the columns of hail.drivers, and p_lat, p_lng, ... of driver_positions.
 * False where the outer join found none.
 */
extern bool live_result_row(uint64 row, LiveRow *out);
extern bool live_result_position(uint64 row, LiveReport *out);

/* Columns of driver_positions `p` for live_result_position(). */
#define POSITION_COLUMNS                                                                                     \
    "p.lat AS p_lat, p.lng AS p_lng, p.heading AS p_heading, p.speed AS p_speed, p.accuracy AS p_accuracy, " \
    "p.recorded_at AS p_recorded_at, p.received_at AS p_received_at"

/* As owner: put positions into driver_positions, the newest staying; returns the rows written. */
extern int live_write_positions(const LiveReport *reports, int count);

/* As owner: lock the driver's row, ask still_silent() again, then write OFFLINE and its event. False: not
 * done. */
extern bool live_set_offline(const pg_uuid_t *driver_id, bool (*still_silent)(const pg_uuid_t *, TimestampTz),
                             TimestampTz before);

/* Table mode (tables.c). live_tables_expire() as owner, the others see to that themselves. */
extern int live_tables_search(const LiveSearch *search, LiveHit *hits);
extern LiveReportResult live_tables_report(const LiveReport *report);
/* Every driver that is online, on a trip or has a position. */
extern void live_tables_visit(void (*visit)(const LiveEntry *entry, void *arg), void *arg);
extern int live_tables_expire(TimestampTz before);

/* A driver the index does not know (or no committed row of): load it. False: no such driver. */
extern bool live_admit(const pg_uuid_t *driver_id);

#endif
