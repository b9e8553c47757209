/*
 * Several jobs at once; see jobs.h.
 *
 * Lock, then read, in two statements: the second one's snapshot is taken when the driver's row is ours, so it
 * sees every job that another accept, completion or cancellation has just given or taken. Those who change
 * what it reads hold that lock: trips under way of the driver (accept, hail.end_job), its vehicles.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/error.h"
#include "base/statement.h"
#include "dispatch/jobs.h"

/* Statements run under the callers' search_path = pg_catalog, pg_temp. */

static HailStatement lock_driver = {
    "SELECT d.status = 'approved' AND d.online, coalesce(d.cooldown_until <= $2, true), d.job_capacity::int4"
    " FROM hail.drivers d WHERE d.id = $1 FOR NO KEY UPDATE",
    2,
    {UUIDOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

/* What driver $1 has under way, and whether trip $2 fits beside it. */
static HailStatement read_jobs = {
    "SELECT j.jobs, j.ride,"
    " coalesce(j.weight + coalesce(t.weight_kg, 0) <= v.max_weight_kg, true),"
    " coalesce(j.volume + coalesce(t.volume_l, 0) <= v.max_volume_l, true),"
    " (SELECT min(s) FROM generate_series(1, j.jobs + 1) s WHERE s <> ALL (j.slots))::int2"
    " FROM hail.trips t"
    " CROSS JOIN LATERAL (SELECT count(*)::int4 AS jobs, coalesce(bool_or(u.service = 'ride'), false) AS "
    "ride,"
    "   coalesce(sum(u.weight_kg), 0) AS weight, coalesce(sum(u.volume_l), 0) AS volume,"
    "   coalesce(array_agg(u.driver_slot), '{}') AS slots"
    "   FROM hail.trips u WHERE u.driver_id = $1 AND u.state IN ('matched', 'arrived', 'started')) j"
    " LEFT JOIN hail.vehicles v ON v.driver_id = $1 AND v.active"
    " WHERE t.id = $2",
    2,
    {UUIDOID, UUIDOID},
    HAIL_BY_KEY};

static HailStatement count_job = {
    "UPDATE hail.drivers SET trip_id = coalesce(trip_id, $2), active_jobs = $3,"
    " offers_total = offers_total + 1, offers_accepted = offers_accepted + 1 WHERE id = $1",
    3,
    {UUIDOID, UUIDOID, INT2OID},
    HAIL_BY_KEY};

static HailStatement give_slot = {
    "UPDATE hail.trips SET driver_slot = $2 WHERE id = $1 AND driver_slot <> $2",
    2,
    {UUIDOID, INT2OID},
    HAIL_BY_KEY};

static HailStatement without_room = {
    "SELECT (u.n - 1)::int4 FROM unnest($1) WITH ORDINALITY u (id, n)"
    " LEFT JOIN hail.vehicles v ON v.driver_id = u.id AND v.active"
    " CROSS JOIN LATERAL (SELECT coalesce(bool_or(t.service = 'ride'), false) AS ride,"
    "   coalesce(sum(t.weight_kg), 0) AS weight, coalesce(sum(t.volume_l), 0) AS volume"
    "   FROM hail.trips t WHERE t.driver_id = u.id AND t.state IN ('matched', 'arrived', 'started')) j"
    " WHERE j.ride OR j.weight + $2 > v.max_weight_kg OR j.volume + $3 > v.max_volume_l"
    " ORDER BY u.n",
    3,
    {UUIDARRAYOID, FLOAT8OID, FLOAT8OID}};

static bool truth(int col)
{
    bool isnull;

    return DatumGetBool(hail_result(0, col, &isnull));
}

static int number(int col)
{
    bool isnull;

    return DatumGetInt32(hail_result(0, col, &isnull));
}

bool job_take_driver(const pg_uuid_t *trip_id, const pg_uuid_t *driver_id, TimestampTz now)
{
    int capacity, jobs;
    bool isnull;
    Datum slot;

    if (hail_execute(&lock_driver, (Datum[]){UUIDPGetDatum(driver_id), TimestampTzGetDatum(now)}, NULL, false,
                     0) == 0 ||
        !truth(1))
        ereport(ERROR, hail_error(HAIL_DRIVER_NOT_ELIGIBLE), errmsg("this driver is not online and approved"),
                hail_field("driver_id"));
    if (!truth(2))
        ereport(ERROR, hail_error(HAIL_DRIVER_BUSY), errmsg("this driver has just ended a trip"),
                hail_field("driver_id"));
    capacity = number(3);
    if (hail_execute(&read_jobs, (Datum[]){UUIDPGetDatum(driver_id), UUIDPGetDatum(trip_id)}, NULL, false,
                     0) != 1)
        elog(ERROR, "a locked trip is gone");
    jobs = number(1);
    if (truth(2))
        ereport(ERROR, hail_error(HAIL_DRIVER_BUSY), errmsg("this driver is on a ride"),
                hail_field("driver_id"));
    if (jobs >= capacity)
        ereport(ERROR, hail_error(HAIL_NO_ROOM), errmsg("this driver has %d of %d jobs", jobs, capacity),
                hail_field("driver_id"), errhint("Finish one first."));
    if (!truth(3) || !truth(4))
        ereport(ERROR, hail_error(HAIL_NO_ROOM),
                errmsg("the vehicle has no room for this load beside the driver's jobs"),
                hail_field("driver_id"), errhint("Finish one first."));
    slot = hail_result(0, 5, &isnull);
    hail_execute(&give_slot, (Datum[]){UUIDPGetDatum(trip_id), slot}, NULL, false, 0);
    hail_execute(
        &count_job,
        (Datum[]){UUIDPGetDatum(driver_id), UUIDPGetDatum(trip_id), Int16GetDatum((int16)(jobs + 1))}, NULL,
        false, 0);
    return jobs + 1 < capacity;
}

int jobs_without_room(Datum drivers, double weight_kg, double volume_l, int *full)
{
    uint64 rows =
        hail_execute(&without_room, (Datum[]){drivers, Float8GetDatum(weight_kg), Float8GetDatum(volume_l)},
                     NULL, false, 0);
    bool isnull;

    for (uint64 r = 0; r < rows; r++)
        full[r] = DatumGetInt32(hail_result(r, 1, &isnull));
    return (int)rows;
}
