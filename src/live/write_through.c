/*
 * Write-through: changed positions from the index into driver_positions.
 *
 * A report marks its slot; a pass over them takes the marks, a batch at a time, and writes what the slots
 * then hold. Marks taken are noted with the transaction (mirror.c) and put back when it fails, so that a
 * position is written later but never not at all. Rows are written in the order of drivers' ids: two writers
 * can't wait for each other.
 *
 * Nearly every position has a row already, so a batch is an UPDATE, and an INSERT of what that did not find.
 * Only `place` is indexed besides the id, and it seldom changes: most updates are heap-only, and what they
 * leave behind is cleared by the next ones of the same page (which is why it is half empty).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "port/pg_bitutils.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "base/guc.h"
#include "base/statement.h"
#include "live/live_mode.h"
#include "live/mirror.h"

#define COLUMNS 8
#define POINTS                                                                                               \
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)"                                                           \
    " u(id, lat, lng, heading, speed, accuracy, recorded_at, received_at)"
#define PLACE                                                                                                \
    "public.ST_SetSRID(public.ST_MakePoint(round(u.lng * 100) / 100, round(u.lat * 100) / 100), 4326)"
#define ARRAY_TYPES                                                                                          \
    {                                                                                                        \
        UUIDARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID, FLOAT4ARRAYOID,        \
            TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID                                                         \
    }

/* Generic plans: a loop over the points in their order, each found by its id. */
static HailStatement update_positions = {
    "UPDATE hail.driver_positions p SET lat = u.lat, lng = u.lng, heading = nullif(u.heading, 'NaN'),"
    " speed = nullif(u.speed, 'NaN'), accuracy = nullif(u.accuracy, 'NaN'), recorded_at = u.recorded_at,"
    " received_at = u.received_at, place = " PLACE POINTS
    " WHERE p.driver_id = u.id AND (p.recorded_at <= u.recorded_at"
    " OR p.recorded_at > u.received_at + interval '60 seconds')", /* LIVE_MAX_AHEAD */
    COLUMNS, ARRAY_TYPES, CURSOR_OPT_GENERIC_PLAN};

/* The rest has newer positions, no driver, or no row yet. */
static HailStatement insert_positions = {
    "INSERT INTO hail.driver_positions AS p"
    " (driver_id, lat, lng, heading, speed, accuracy, recorded_at, received_at, place)"
    " SELECT u.id, u.lat, u.lng, nullif(u.heading, 'NaN'), nullif(u.speed, 'NaN'), nullif(u.accuracy, 'NaN'),"
    " u.recorded_at, u.received_at, " PLACE POINTS
    " WHERE EXISTS (SELECT FROM hail.drivers d WHERE d.id = u.id)"
    " AND NOT EXISTS (SELECT FROM hail.driver_positions o WHERE o.driver_id = u.id) ORDER BY u.id"
    " ON CONFLICT (driver_id) DO UPDATE SET lat = excluded.lat, lng = excluded.lng,"
    " heading = excluded.heading, speed = excluded.speed, accuracy = excluded.accuracy,"
    " recorded_at = excluded.recorded_at, received_at = excluded.received_at, place = excluded.place"
    " WHERE p.recorded_at <= excluded.recorded_at"
    " OR p.recorded_at > excluded.received_at + interval '60 seconds'", /* LIVE_MAX_AHEAD */
    COLUMNS, ARRAY_TYPES, CURSOR_OPT_GENERIC_PLAN};

ArrayType *live_new_array(Oid type, int length, int count)
{
    Size size = ARR_OVERHEAD_NONULLS(1) + (Size)length * count;
    ArrayType *array = palloc0(size);

    SET_VARSIZE(array, size);
    array->ndim = 1;
    array->elemtype = type;
    ARR_DIMS(array)[0] = count;
    ARR_LBOUND(array)[0] = 1;
    return array;
}

int live_write_positions(const LiveReport *reports, int count)
{
    pg_uuid_t *ids;
    float8 *lats, *lngs;
    float4 *headings, *speeds, *accuracies;
    TimestampTz *recorded_ats, *received_ats;
    Datum args[COLUMNS];
    int written;

#define NEW_COLUMN(column, values, type)                                                                     \
    do {                                                                                                     \
        ArrayType *array = live_new_array(type, sizeof(*(values)), count);                                   \
        args[column] = PointerGetDatum(array);                                                               \
        (values) = (void *)ARR_DATA_PTR(array);                                                              \
    } while (0)

    NEW_COLUMN(0, ids, UUIDOID);
    NEW_COLUMN(1, lats, FLOAT8OID);
    NEW_COLUMN(2, lngs, FLOAT8OID);
    NEW_COLUMN(3, headings, FLOAT4OID);
    NEW_COLUMN(4, speeds, FLOAT4OID);
    NEW_COLUMN(5, accuracies, FLOAT4OID);
    NEW_COLUMN(6, recorded_ats, TIMESTAMPTZOID);
    NEW_COLUMN(7, received_ats, TIMESTAMPTZOID);
#undef NEW_COLUMN
    for (int i = 0; i < count; i++) {
        const LiveReport *report = &reports[i];

        ids[i] = report->driver_id;
        lats[i] = report->lat;
        lngs[i] = report->lng;
        headings[i] = report->heading;
        speeds[i] = report->speed;
        accuracies[i] = report->accuracy;
        recorded_ats[i] = report->recorded_at;
        received_ats[i] = report->received_at;
    }
    written = (int)hail_execute(&update_positions, args, NULL, false, 0);
    if (written < count)
        written += (int)hail_execute(&insert_positions, args, NULL, false, 0);
    for (int c = 0; c < COLUMNS; c++)
        pfree(DatumGetPointer(args[c]));
    return written;
}

/* ---- passes ---- */

/* Over the words of marks: it goes on where the last batch ended, and begins again when none is left. */
static struct {
    int32 next, left;
} pass;

static int read_slots(int32 word, uint32 marks, LiveReport *reports)
{
    int count = 0;

    for (; marks != 0; marks &= marks - 1) {
        LiveEntry entry;

        if (!live_index_read(word * 32 + pg_rightmost_one_pos32(marks), &entry) || entry.recorded_at == 0)
            continue;
        reports[count++] =
            (LiveReport){entry.row.driver_id, entry.lat,      entry.lng,         entry.heading,
                         entry.speed,         entry.accuracy, entry.recorded_at, entry.last_seen};
    }
    return count;
}

static int driver_order(const void *a, const void *b)
{
    return live_uuid_cmp(&((const LiveReport *)a)->driver_id, &((const LiveReport *)b)->driver_id);
}

int live_write_through(void)
{
    LiveReport *reports;
    HailOwner saved;
    int32 words;
    int count = 0, written = 0;

    if (live_mode() != LIVE_IN_MEMORY)
        return 0;
    live_lock_writing(false);
    words = (live_index_slots() + 31) / 32;
    if (pass.left == 0)
        pass.left = words;
    saved = hail_owner_begin();
    reports = palloc_extended(sizeof(LiveReport) * (hail_write_through_batch + 32), MCXT_ALLOC_HUGE);
    while (pass.left > 0 && count < hail_write_through_batch) {
        int32 word = pass.next;

        pass.next = word + 1 < words ? word + 1 : 0;
        pass.left--;
        count += read_slots(word, mirror_take_dirty(word), &reports[count]);
    }
    if (count > 0) {
        qsort(reports, count, sizeof(LiveReport), driver_order);
        written = live_write_positions(reports, count);
    }
    hail_owner_end(saved);
    return written;
}

bool live_more_to_write(void)
{
    return pass.left > 0;
}
