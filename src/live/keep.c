/*
 * Between the index and the tables: which of them serves here, rebuild, write-through, presence.
 *
 * Rebuild. No slot is given up while it runs, so row versions decide between what it reads and what commits
 * meanwhile. A driver that went offline between its read and the making of its slot had no slot to be told:
 * a second look at every driver found online or busy, with newer snapshots, sees that. Counts of pending
 * offers have no versions: offers are locked against writers, whose commit callbacks have run once the lock
 * is had.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "base/statement.h"
#include "live/live_mode.h"
#include "live/mirror.h"

#define BATCH 10000
/* Drivers set offline by one run at most. */
#define EXPIRE_BATCH 1000
/* Slots of offline drivers are kept this long: a driver coming back finds its position. */
#define RECLAIM_AGE (10 * 60 * USECS_PER_SEC)

LiveMode live_mode(void)
{
    static int serves = -1; /* this database; it can't be renamed under a connection */

    if (!live_index_attached())
        return LIVE_IN_TABLES;
    if (serves < 0) {
        /* Only our workers ask outside of a transaction, where no catalog can be read; they serve
         * hail.database. */
        char *name = IsTransactionState() ? get_database_name(MyDatabaseId) : hail_worker_database;

        serves = name != NULL && strcmp(name, hail_worker_database) == 0;
    }
    return serves && !RecoveryInProgress() ? LIVE_IN_MEMORY : LIVE_IN_TABLES;
}

bool live_ready(void)
{
    return live_mode() == LIVE_IN_MEMORY && live_index_ready();
}

bool live_warming(void)
{
    return live_mode() == LIVE_IN_MEMORY && !live_index_ready();
}

void live_require_ready(void)
{
    if (!live_index_ready())
        ereport(ERROR, hail_error(HAIL_WARMING), errmsg("the live index is being rebuilt"),
                errhint("Try again in a moment. With hail.workers off, call hail.keep()."));
}

LiveOwner live_owner_begin(void)
{
    LiveOwner saved;

    GetUserIdAndSecContext(&saved.user, &saved.context);
    saved.guc_level = NewGUCNestLevel();
    SetUserIdAndSecContext(get_role_oid("hail_owner", false), saved.context | SECURITY_LOCAL_USERID_CHANGE);
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                            true, 0, false);
    SPI_connect();
    return saved;
}

void live_owner_end(LiveOwner saved)
{
    SPI_finish();
    AtEOXact_GUC(true, saved.guc_level);
    SetUserIdAndSecContext(saved.user, saved.context);
}

/* ---- rows ---- */

static Datum column(uint64 row, const char *name, bool *isnull)
{
    return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
                         SPI_fnumber(SPI_tuptable->tupdesc, name), isnull);
}

static float real_column(uint64 row, const char *name)
{
    bool isnull;
    Datum value = column(row, name, &isnull);

    return isnull ? NAN : DatumGetFloat4(value);
}

bool live_result_row(uint64 row, LiveRow *out)
{
    bool isnull;

    (void)column(row, "version", &isnull);
    if (!isnull)
        live_row_from_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, out);
    return !isnull;
}

bool live_result_position(uint64 row, LiveReport *out)
{
    bool isnull;
    Datum lat = column(row, "p_lat", &isnull);

    if (isnull)
        return false;
    out->driver_id = *DatumGetUUIDP(column(row, "id", &isnull));
    out->lat = DatumGetFloat8(lat);
    out->lng = DatumGetFloat8(column(row, "p_lng", &isnull));
    out->heading = real_column(row, "p_heading");
    out->speed = real_column(row, "p_speed");
    out->accuracy = real_column(row, "p_accuracy");
    out->recorded_at = DatumGetTimestampTz(column(row, "p_recorded_at", &isnull));
    out->received_at = DatumGetTimestampTz(column(row, "p_received_at", &isnull));
    return true;
}

/* The row share-locked: nobody can have changed it without finding its slot afterwards. */
static HailStatement lock_driver = {
    "SELECT d.*, d.xmin AS row_xmin, " POSITION_COLUMNS
    " FROM hail.drivers d LEFT JOIN hail.driver_positions p ON p.driver_id = d.id"
    " WHERE d.id = $1 FOR SHARE OF d",
    1,
    {UUIDOID}};

bool live_admit(const pg_uuid_t *driver_id)
{
    LiveOwner saved;
    LiveRow row;
    LiveReport position;
    bool found, ours = false, isnull, has_position = false;
    int32 slot;

    if (mirror_queued_row(driver_id) == NULL) {
        saved = live_owner_begin();
        found = hail_execute(&lock_driver, (Datum[]){UUIDPGetDatum(driver_id)}, NULL, false, 1) == 1 &&
                live_result_row(0, &row);
        if (found) {
            ours = TransactionIdIsCurrentTransactionId(DatumGetTransactionId(column(0, "row_xmin", &isnull)));
            has_position = live_result_position(0, &position);
        }
        live_owner_end(saved);
        if (!found)
            return false;
    }
    slot = live_index_reserve(driver_id, true);
    if (slot == LIVE_NO_SLOT)
        mirror_out_of_slots();
    if (has_position)
        live_index_load(slot, &position);
    if (mirror_queued_row(driver_id) == NULL && !ours)
        live_index_apply(slot, &row, hail_now());
    live_index_unreserve(slot);
    if (mirror_queued_row(driver_id) == NULL && ours)
        mirror_queue_row(&row);
    return true;
}

/* ---- rebuild ---- */

static HailStatement lock_offers = {"LOCK TABLE hail.offers IN SHARE MODE", 0};

static HailStatement read_drivers = {
    "SELECT d.*, " POSITION_COLUMNS ", coalesce(o.pending, 0)::integer AS pending FROM hail.drivers d"
    " LEFT JOIN hail.driver_positions p ON p.driver_id = d.id"
    " LEFT JOIN (SELECT driver_id, count(*) AS pending FROM hail.offers WHERE status = 'pending' GROUP BY 1) "
    "o"
    " ON o.driver_id = d.id"
    " WHERE d.id > $1 AND (d.online OR d.trip_id IS NOT NULL) ORDER BY d.id LIMIT $2",
    2,
    {UUIDOID, INT4OID}};

/* Of these drivers, those that are offline and free, or gone. */
static HailStatement read_absent = {
    "SELECT u.id AS asked, d.* FROM unnest($1) u(id) LEFT JOIN hail.drivers d ON d.id = u.id"
    " WHERE d.id IS NULL OR NOT (d.online OR d.trip_id IS NOT NULL)",
    1,
    {UUIDARRAYOID}};

/* Rows of one batch into the index; the last id read goes to *last. */
static uint64 rebuild_batch(pg_uuid_t *last, TimestampTz now)
{
    uint64 rows =
        hail_execute(&read_drivers, (Datum[]){UUIDPGetDatum(last), Int32GetDatum(BATCH)}, NULL, false, 0);

    for (uint64 i = 0; i < rows; i++) {
        LiveRow row;
        LiveReport position;
        bool isnull;
        int32 slot;

        live_result_row(i, &row);
        slot = live_index_reserve(&row.driver_id, true);
        if (slot == LIVE_NO_SLOT)
            mirror_out_of_slots();
        if (live_result_position(i, &position))
            live_index_load(slot, &position);
        live_index_apply(slot, &row, now);
        live_index_set_offers(slot, DatumGetInt32(column(i, "pending", &isnull)));
        live_index_unreserve(slot);
        *last = row.driver_id;
    }
    SPI_freetuptable(SPI_tuptable);
    return rows;
}

static void apply_absent(Datum *ids, int count)
{
    Datum array = PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
    uint64 rows = hail_execute(&read_absent, &array, NULL, false, 0);

    for (uint64 i = 0; i < rows; i++) {
        bool isnull;
        LiveRow row = {.driver_id = *DatumGetUUIDP(column(i, "asked", &isnull))};
        LiveEntry entry;
        int32 slot;

        if (!live_result_row(i, &row) && live_index_find(&row.driver_id, &entry)) {
            row.version = entry.cold.row.version + 1;
            row.deleted = true;
        }
        slot = live_index_reserve(&row.driver_id, false);
        if (slot == LIVE_NO_SLOT)
            continue;
        live_index_apply(slot, &row, hail_now());
        live_index_unreserve(slot);
    }
    SPI_freetuptable(SPI_tuptable);
    pfree(DatumGetPointer(array));
}

/* The second look: drivers the index believes online or busy. */
static void rebuild_recheck(void)
{
    Datum *ids = palloc(sizeof(Datum) * BATCH);
    pg_uuid_t *values = palloc(sizeof(pg_uuid_t) * BATCH);
    int count = 0;
    LiveEntry entry;

    for (int32 slot = 0; slot < live_index_slots(); slot++) {
        if (live_index_read(slot, &entry) &&
            (entry.cold.row.online || !live_uuid_is_zero(&entry.cold.row.trip_id))) {
            values[count] = entry.cold.row.driver_id;
            ids[count] = UUIDPGetDatum(&values[count]);
            count++;
        }
        if (count == BATCH || (count > 0 && slot == live_index_slots() - 1)) {
            apply_absent(ids, count);
            count = 0;
        }
    }
}

static int rebuild_from_tables(void)
{
    pg_uuid_t last = {{0}};
    uint64 rows, total = 0;

    hail_execute(&lock_offers, NULL, NULL, false, 0);
    while ((rows = rebuild_batch(&last, hail_now())) > 0)
        total += rows;
    rebuild_recheck();
    return (int)total;
}

int live_rebuild(void)
{
    LiveOwner saved;
    int volatile total = 0;

    if (live_mode() != LIVE_IN_MEMORY)
        return 0;
    saved = live_owner_begin();
    live_index_set_rebuilding(true);
    PG_TRY();
    {
        total = rebuild_from_tables();
    }
    PG_FINALLY();
    {
        live_index_set_rebuilding(false);
    }
    PG_END_TRY();
    live_index_set_ready(true);
    live_owner_end(saved);
    return total;
}

/* ---- write-through ---- */

static HailStatement write_positions = {
    "INSERT INTO hail.driver_positions AS p"
    " (driver_id, lat, lng, heading, speed, accuracy, recorded_at, received_at, place)"
    " SELECT u.id, u.lat, u.lng, nullif(u.heading, 'NaN'), nullif(u.speed, 'NaN'), nullif(u.accuracy, 'NaN'),"
    " u.recorded_at, u.received_at,"
    " public.ST_SetSRID(public.ST_MakePoint(round(u.lng * 100) / 100, round(u.lat * 100) / 100), 4326)"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)"
    " u(id, lat, lng, heading, speed, accuracy, recorded_at, received_at)"
    " JOIN hail.drivers d ON d.id = u.id ORDER BY u.id"
    " ON CONFLICT (driver_id) DO UPDATE SET lat = excluded.lat, lng = excluded.lng, heading = "
    "excluded.heading,"
    " speed = excluded.speed, accuracy = excluded.accuracy, recorded_at = excluded.recorded_at,"
    " received_at = excluded.received_at, place = excluded.place"
    " WHERE p.recorded_at <= excluded.recorded_at",
    8,
    {UUIDARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID,
     TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID}};

static Datum array_of(Datum *values, int count, Oid type, int length, char align)
{
    return PointerGetDatum(construct_array(values, count, type, length, type != UUIDOID, align));
}

int live_write_positions(const LiveReport *reports, int count)
{
    Datum *columns[8], args[8];

    for (int c = 0; c < 8; c++)
        columns[c] = palloc(sizeof(Datum) * count);
    for (int i = 0; i < count; i++) {
        columns[0][i] = UUIDPGetDatum(&reports[i].driver_id);
        columns[1][i] = Float8GetDatum(reports[i].lat);
        columns[2][i] = Float8GetDatum(reports[i].lng);
        columns[3][i] = Float4GetDatum(reports[i].heading);
        columns[4][i] = Float4GetDatum(reports[i].speed);
        columns[5][i] = Float4GetDatum(reports[i].accuracy);
        columns[6][i] = TimestampTzGetDatum(reports[i].recorded_at);
        columns[7][i] = TimestampTzGetDatum(reports[i].received_at);
    }
    args[0] = array_of(columns[0], count, UUIDOID, UUID_LEN, TYPALIGN_CHAR);
    for (int c = 1; c < 8; c++) {
        Oid type = c < 3 ? FLOAT8OID : c < 6 ? FLOAT4OID : TIMESTAMPTZOID;

        args[c] = array_of(columns[c], count, type, c >= 3 && c < 6 ? 4 : 8,
                           c >= 3 && c < 6 ? TYPALIGN_INT : TYPALIGN_DOUBLE);
    }
    return (int)hail_execute(&write_positions, args, NULL, false, 0);
}

static void entry_report(const LiveEntry *entry, LiveReport *report)
{
    const LiveCold *cold = &entry->cold;

    *report = (LiveReport){cold->row.driver_id, cold->lat,      cold->lng,         cold->heading,
                           cold->speed,         cold->accuracy, cold->recorded_at, cold->last_seen};
}

int live_write_through(void)
{
    LiveReport *reports;
    int32 *slots;
    int count = 0, total = 0, words;
    LiveOwner saved;

    if (live_mode() != LIVE_IN_MEMORY)
        return 0;
    saved = live_owner_begin();
    reports = palloc(sizeof(LiveReport) * (BATCH + 32));
    slots = palloc(sizeof(int32) * (BATCH + 32));
    words = (live_index_slots() + 31) / 32;
    for (int32 word = 0; word < words; word++) {
        uint32 bits = live_index_take_dirty(word);
        int taken = 0;

        for (int bit = 0; bit < 32; bit++)
            if (bits & (1u << bit))
                slots[count + taken++] = word * 32 + bit;
        if (taken > 0)
            mirror_note_written(&slots[count], taken); /* before anything can fail */
        for (int i = 0, first = count; i < taken; i++) {
            LiveEntry entry;

            if (live_index_read(slots[first + i], &entry) && entry.cold.recorded_at != 0)
                entry_report(&entry, &reports[count++]);
        }
        if (count >= BATCH || (count > 0 && word == words - 1)) {
            total += live_write_positions(reports, count);
            count = 0;
        }
    }
    live_owner_end(saved);
    return total;
}

/* ---- presence ---- */

static HailStatement lock_silent = {"SELECT 1 FROM hail.drivers WHERE id = $1 AND online AND trip_id IS NULL"
                                    " FOR NO KEY UPDATE SKIP LOCKED",
                                    1,
                                    {UUIDOID}};

static HailStatement set_offline = {"UPDATE hail.drivers SET online = false, event_version = event_version + "
                                    "1 WHERE id = $1 RETURNING event_version",
                                    1,
                                    {UUIDOID}};

static HailStatement write_offline = {"SELECT hail.write_event('driver', $1, $2, 'DriverOffline', "
                                      "jsonb_build_object('reason', 'not_heard_of'))",
                                      2,
                                      {UUIDOID, INT4OID}};

bool live_set_offline(const pg_uuid_t *driver_id, bool (*still_silent)(const pg_uuid_t *, TimestampTz),
                      TimestampTz before)
{
    Datum args[2] = {UUIDPGetDatum(driver_id)};
    bool isnull;

    if (hail_execute(&lock_silent, args, NULL, false, 1) == 0 || !still_silent(driver_id, before))
        return false;
    hail_execute(&set_offline, args, NULL, false, 0);
    args[1] = hail_result(0, 1, &isnull);
    hail_execute(&write_offline, args, NULL, false, 0);
    return true;
}

static bool silent_in_index(const pg_uuid_t *driver_id, TimestampTz before)
{
    LiveEntry entry;

    return live_index_find(driver_id, &entry) && entry.cold.last_seen < before;
}

static int uuid_order(const void *a, const void *b)
{
    return live_uuid_cmp(a, b);
}

static int expire_from_index(TimestampTz before)
{
    pg_uuid_t *silent = palloc(sizeof(pg_uuid_t) * EXPIRE_BATCH);
    int count = 0, expired = 0;
    LiveEntry entry;

    for (int32 slot = 0; slot < live_index_slots() && count < EXPIRE_BATCH; slot++)
        if (live_index_read(slot, &entry) && entry.cold.row.online && entry.cold.last_seen < before &&
            live_uuid_is_zero(&entry.cold.row.trip_id))
            silent[count++] = entry.cold.row.driver_id;
    qsort(silent, count, sizeof(pg_uuid_t), uuid_order); /* rows are locked in id order */
    for (int i = 0; i < count; i++)
        expired += live_set_offline(&silent[i], silent_in_index, before);
    return expired;
}

int live_expire_presence(void)
{
    TimestampTz before = hail_now() - (TimestampTz)hail_presence_ttl_s * USECS_PER_SEC;
    LiveOwner saved;
    int expired;

    if (live_mode() == LIVE_IN_MEMORY && !live_index_ready())
        return 0;
    saved = live_owner_begin();
    expired = live_mode() == LIVE_IN_MEMORY ? expire_from_index(before) : live_tables_expire(before);
    live_owner_end(saved);
    if (live_mode() == LIVE_IN_MEMORY)
        live_index_reclaim(hail_now() - RECLAIM_AGE);
    return expired;
}
