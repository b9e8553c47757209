/*
 * flags.h
 *    Positions reached with an impossible speed: told in events, and believed in the end. Inside src/live.
 */
#ifndef HAIL_LIVE_FLAGS_H
#define HAIL_LIVE_FLAGS_H

#include "postgres.h"

#include "live/index.h"

/*
 * Note a report that the index judged impossible; `result` says from where. True: the driver has been there
 * for a minute, take the report as trusted. Takes an LWLock; no errors. Only where the index serves.
 */
extern bool flags_note(const LiveReport *report, const LiveReportResult *result);

/*
 * Where it does not: the event of such a report in this transaction, unless the driver had one in the last
 * minute, or its row is locked by somebody else. In a transaction; any caller.
 */
extern void flags_write_now(const LiveReport *report, const LiveReportResult *result);

extern void flags_init(void);

#endif
