/*
 * report.h
 *    Taking position reports: what hail.report_location(), batches and requests merged by haild share.
 */
#ifndef HAIL_LIVE_REPORT_H
#define HAIL_LIVE_REPORT_H

#include "postgres.h"

#include "base/sqlstate.h"
#include "live/index.h"

/*
 * The field of a report that breaks its rule, a string constant ("lat", "lng", "heading", "speed",
 * "accuracy", "recorded_at"), or NULL. NaN stands for an unknown heading, speed or accuracy. Times are
 * compared with report->received_at: not older than a day, not more than a minute ahead. Pure.
 */
extern const char *live_report_invalid_field(const LiveReport *report);

/* The rule of such a field in words: the message of an invalid_value error. */
extern const char *live_report_rule(const char *field);

/*
 * Take a valid report, into the index or, where that does not serve, into the tables; its point of the
 * history with it. Not transactional. In a transaction, no LWLock held; the caller has authorised itself and
 * looked for invalid fields. Unknown: there is no such driver. Errors: out_of_slots; read_only on a standby.
 */
extern LiveReportResult live_take_report(const LiveReport *report);

/*
 * Count one call of a driver that reports its own positions, however many they are, at `now` (hail_now()).
 * Returns 0: go on; else it is one too many, and the microseconds to wait. Nothing else may be limited:
 * administrators are not. In a transaction.
 */
extern int64 live_report_wait(const pg_uuid_t *driver_id, TimestampTz now);

/* The same for the caller, if it is a driver. Error rate_limited. */
extern void live_require_report_rate(TimestampTz now);

/*
 * live_take_report() where no table has to be asked: false, and nothing done, for a driver the index does not
 * know, and where the index does not serve.
 * Raises an error only when the history's ring is full.
 */
extern bool live_take_known_report(const LiveReport *report, LiveReportResult *result);

/* What a caller is told of a report that was refused for the driver's sake. */
typedef struct LiveReportFault {
    HailError error;
    const char *message, *field, *hint; /* hint NULL: none */
} LiveReportFault;

/* NULL unless the status is a refusal: unknown, not approved. */
extern const LiveReportFault *live_report_fault(LiveReportStatus status);

#endif
