/* How often a driver may report: hail.report_rate, or hail.porter_report_rate if it serves a porter class. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "base/guc.h"
#include "base/statement.h"
#include "identity/rate.h"
#include "identity/session.h"
#include "live/live_mode.h"
#include "live/report.h"

/* Which classes are porters' is read again so often. */
#define CLASSES_AGE (60 * USECS_PER_SEC)

static HailStatement read_porter_mask = {
    "SELECT coalesce(sum(1::bigint << id), 0)::bigint FROM hail.service_classes WHERE service = 'porter'", 0};

static HailStatement read_class_mask = {"SELECT class_mask FROM hail.drivers WHERE id = $1", 1, {UUIDOID}};

static int64 first_integer(HailStatement *statement, Datum *args)
{
    bool isnull = true;
    Datum value = 0;

    if (hail_execute(statement, args, NULL, true, 1) == 1)
        value = hail_result(0, 1, &isnull);
    return isnull ? 0 : DatumGetInt64(value);
}

static bool serves_porter_class(const pg_uuid_t *driver_id)
{
    static int64 porter_mask;
    static TimestampTz read_at = 0;
    bool indexed = live_mode() == LIVE_IN_MEMORY;
    TimestampTz now = GetCurrentTransactionStartTimestamp();
    LiveEntry entry;
    int64 mask = 0;

    if (indexed && live_index_find(driver_id, &entry))
        mask = entry.row.class_mask;
    if (!indexed || read_at == 0 || now > read_at + CLASSES_AGE) {
        HailOwner saved = hail_owner_begin();

        porter_mask = first_integer(&read_porter_mask, NULL);
        read_at = now;
        if (!indexed)
            mask = first_integer(&read_class_mask, (Datum[]){UUIDPGetDatum(driver_id)});
        hail_owner_end(saved);
    }
    return (mask & porter_mask) != 0;
}

int64 live_report_wait(const pg_uuid_t *driver_id, TimestampTz now)
{
    int64 wait = hail_rate_take(HAIL_RATE_REPORT, driver_id, now), more;

    if (wait == 0)
        return 0;
    /* most drivers are none: that a driver is a porter is asked only when it matters */
    if (!serves_porter_class(driver_id)) {
        hail_rate_note_refused(HAIL_RATE_REPORT);
        return wait;
    }
    more = hail_rate_take(HAIL_RATE_PORTER_REPORT, driver_id, now);
    if (more > 0)
        hail_rate_note_refused(HAIL_RATE_PORTER_REPORT);
    return Min(wait, more);
}

void live_require_report_rate(TimestampTz now)
{
    HailActor actor = hail_actor();
    int64 wait = actor.role == HAIL_ROLE_DRIVER ? live_report_wait(&actor.subject, now) : 0;

    if (wait > 0)
        hail_rate_refuse("position reports", wait);
}
