/*
 * The same answers from tables alone: not preloaded, another database than hail.database, or in recovery.
 *
 * A search reads boxes of driver_positions.place (rounded, so the boxes are wider by the rounding) around the
 * origin, growing until enough drivers lie within the circle inside the box, and orders them by exact
 * distance.
 */
#include "postgres.h"

#include <math.h>

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/guc.h"
#include "base/statement.h"
#include "live/live_mode.h"

/* Half a step of the rounding of `place`, degrees, and a little. */
#define PLACE_ROUNDING 0.00501
/* The first box holds a circle of this radius; the next is four times as wide. */
#define FIRST_RADIUS_M 1000.0
#define DEGREES(r)     ((r) * (180.0 / M_PI))

typedef struct Box {
    double west, south, east, north;
} Box;

/* Boxes that hold every place whose position lies within radius_m; the second may equal the first. */
static void boxes_around(double lat, double lng, double radius_m, Box boxes[2])
{
    double angle = radius_m / GEO_EARTH_RADIUS_M;
    double dlat = DEGREES(angle) + PLACE_ROUNDING, dlng = 360;
    Box box;

    if (fabs(lat) + dlat < 89.9 && angle < 1)
        dlng = DEGREES(asin(Min(1, sin(angle) / cos(lat * (M_PI / 180))))) + PLACE_ROUNDING;
    box = (Box){lng - dlng, lat - dlat, lng + dlng, lat + dlat};
    boxes[0] = boxes[1] = box;
    if (box.east - box.west >= 360)
        boxes[0].west = boxes[1].west = -181, boxes[0].east = boxes[1].east = 181;
    else if (box.west < -180)
        boxes[1].west += 360, boxes[1].east += 360;
    else if (box.east > 180)
        boxes[1].west -= 360, boxes[1].east -= 360;
}

static HailStatement search_boxes = {
    "SELECT " LIVE_BOTH_COLUMNS ","
    " (SELECT count(*) FROM hail.offers o WHERE o.driver_id = d.id AND o.status = 'pending')::integer AS "
    "pending"
    " FROM hail.driver_positions p JOIN hail.drivers d ON d.id = p.driver_id"
    " WHERE (p.place OPERATOR(public.&&) public.ST_MakeEnvelope($1, $2, $3, $4, 4326)"
    " OR p.place OPERATOR(public.&&) public.ST_MakeEnvelope($5, $6, $7, $8, 4326))"
    " AND d.online AND d.status = 'approved'"
    " AND CASE WHEN d.trip_id IS NULL THEN d.cooldown_until IS NULL OR d.cooldown_until <= $9"
    "          ELSE $15 AND d.job_capacity > greatest(d.active_jobs, 1) END"
    " AND p.received_at >= $10 AND p.recorded_at >= $11"
    " AND ($12 < 0 OR (d.class_mask >> $12) & 1 = 1) AND d.rating >= $13 AND d.id <> ALL ($14)"
    " AND (d.area_mask = 0 OR d.area_mask & $16 <> 0)",
    16,
    {FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, TIMESTAMPTZOID,
     TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, FLOAT4OID, UUIDARRAYOID, BOOLOID, INT8OID}};

static int hit_order(const void *a, const void *b)
{
    const LiveHit *x = a, *y = b;

    if (x->distance_m != y->distance_m)
        return x->distance_m < y->distance_m ? -1 : 1;
    return live_uuid_cmp(&x->driver_id, &y->driver_id);
}

/* Slot copies from row `row` of the last result. */
static bool result_entry(uint64 row, LiveEntry *entry)
{
    LiveReport position = {.recorded_at = 0};
    Datum pending;
    bool placed;

    memset(entry, 0, sizeof(*entry));
    placed = live_result_both(row, &entry->row, &position, &pending);
    entry->heading = entry->speed = entry->accuracy = NAN;
    if (placed) {
        live_place(entry, &position);
        entry->last_seen = position.received_at;
    }
    entry->pending_offers = DatumGetInt32(pending);
    return placed;
}

/* Drivers within radius_m, all of them, sorted; *hits is allocated. */
static int search_radius(const LiveSearch *search, double radius_m, Datum excluded, LiveHit **hits)
{
    TimestampTz now = hail_now(), ttl = (TimestampTz)hail_presence_ttl_s * USECS_PER_SEC;
    GeoOrigin origin = geo_origin(search->lat, search->lng);
    double limit = geo_m_to_chord2(radius_m);
    Box boxes[2];
    Datum args[16];
    int count = 0;
    uint64 rows;

    boxes_around(search->lat, search->lng, radius_m, boxes);
    for (int i = 0; i < 8; i++)
        args[i] = Float8GetDatum(((double *)boxes)[i]);
    args[8] = TimestampTzGetDatum(now);
    args[9] = TimestampTzGetDatum(now - ttl);
    args[10] = TimestampTzGetDatum(now - LIVE_POSITION_MAX_AGE);
    args[11] = Int32GetDatum(search->class_id);
    args[12] = Float4GetDatum(search->min_rating);
    args[13] = excluded;
    args[14] = BoolGetDatum(search->with_room);
    args[15] = UInt64GetDatum(search->area_mask);
    rows = hail_execute(&search_boxes, args, NULL, true, 0);
    *hits = palloc_extended(sizeof(LiveHit) * Max(rows, 1), MCXT_ALLOC_HUGE);
    for (uint64 i = 0; i < rows; i++) {
        LiveEntry entry;
        double chord2;

        result_entry(i, &entry);
        chord2 = geo_chord2_from(&origin, entry.lat, entry.lng);
        if (chord2 > limit ||
            (search->max_pending_offers > 0 && entry.pending_offers >= search->max_pending_offers))
            continue;
        live_hit_fill(&(*hits)[count++], &entry, geo_chord2_to_m(chord2));
    }
    SPI_freetuptable(SPI_tuptable);
    qsort(*hits, count, sizeof(LiveHit), hit_order);
    return count;
}

int live_tables_search(const LiveSearch *search, LiveHit *hits)
{
    HailOwner saved = hail_owner_begin();
    Datum *ids = palloc(sizeof(Datum) * (search->excluded_count + 1));
    Datum excluded;
    LiveHit *found = NULL;
    int count;

    for (int i = 0; i < search->excluded_count; i++)
        ids[i] = UUIDPGetDatum(&search->excluded[i]);
    excluded = PointerGetDatum(
        construct_array(ids, search->excluded_count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
    for (double radius = FIRST_RADIUS_M;; radius *= 4) {
        count = search_radius(search, Min(radius, search->radius_m), excluded, &found);
        if (count >= search->max_results || radius >= search->radius_m)
            break;
        pfree(found);
    }
    count = Min(count, search->max_results);
    memcpy(hits, found, sizeof(LiveHit) * count);
    hail_owner_end(saved);
    return count;
}

static HailStatement find_driver = {"SELECT " LIVE_BOTH_COLUMNS ","
                                    " (SELECT count(*) FROM hail.offers o WHERE o.driver_id = d.id AND "
                                    "o.status = 'pending')::integer AS pending"
                                    " FROM hail.drivers d JOIN hail.driver_positions p ON p.driver_id = d.id"
                                    " WHERE d.id = $1",
                                    1,
                                    {UUIDOID}};

bool live_tables_find(const pg_uuid_t *driver_id, LiveEntry *entry)
{
    HailOwner saved = hail_owner_begin();
    bool found = hail_execute(&find_driver, (Datum[]){UUIDPGetDatum(driver_id)}, NULL, true, 1) == 1 &&
                 result_entry(0, entry);

    hail_owner_end(saved);
    return found;
}

static HailStatement read_driver = {"SELECT " LIVE_BOTH_COLUMNS ","
                                    " (SELECT count(*) FROM hail.offers o WHERE o.driver_id = d.id AND "
                                    "o.status = 'pending')::integer AS pending"
                                    " FROM hail.drivers d LEFT JOIN hail.driver_positions p ON p.driver_id = "
                                    "d.id WHERE d.id = $1 FOR SHARE OF d",
                                    1,
                                    {UUIDOID}};

LiveReportResult live_tables_report(const LiveReport *report)
{
    LiveReportResult result = {LIVE_REPORT_UNKNOWN, LIVE_OFFLINE};
    int64 interval = Max((int64)hail_history_interval_s * USECS_PER_SEC, 1);
    HailOwner saved;
    LiveEntry entry;

    if (RecoveryInProgress())
        ereport(ERROR, hail_error(HAIL_READ_ONLY), errmsg("this server is a standby and takes no positions"),
                errhint("Report to the primary."));
    saved = hail_owner_begin();
    if (hail_execute(&read_driver, (Datum[]){UUIDPGetDatum(&report->driver_id)}, NULL, false, 1) == 1) {
        result_entry(0, &entry);
        /* the first point in each interval is kept: nothing remembers the last one that was */
        entry.history_at = live_ms(entry.recorded_at / interval * interval);
        live_decide_report(&entry, &entry.row, report, &result);
        if (result.status != LIVE_REPORT_NOT_APPROVED && entry.recorded_at != 0) {
            LiveReport position = {report->driver_id, entry.lat,      entry.lng,         entry.heading,
                                   entry.speed,       entry.accuracy, entry.recorded_at, entry.last_seen};

            live_write_positions(&position, 1);
        }
    }
    hail_owner_end(saved);
    return result;
}

static HailStatement read_all = {
    "SELECT " LIVE_BOTH_COLUMNS ", coalesce(o.pending, 0)::integer AS pending FROM hail.drivers d"
    " LEFT JOIN hail.driver_positions p ON p.driver_id = d.id"
    " LEFT JOIN (SELECT driver_id, count(*) AS pending FROM hail.offers WHERE status = 'pending' GROUP BY 1) "
    "o"
    " ON o.driver_id = d.id"
    " WHERE d.id > $1 AND (d.online OR d.trip_id IS NOT NULL) ORDER BY d.id LIMIT 10000",
    1,
    {UUIDOID}};

void live_tables_visit(void (*visit)(const LiveEntry *entry, void *arg), void *arg)
{
    HailOwner saved = hail_owner_begin();
    pg_uuid_t last = {{0}};
    uint64 rows;

    while ((rows = hail_execute(&read_all, (Datum[]){UUIDPGetDatum(&last)}, NULL, true, 0)) > 0) {
        SPITupleTable *table = SPI_tuptable;

        for (uint64 i = 0; i < rows; i++) {
            LiveEntry entry;

            SPI_tuptable = table; /* visit() may have run statements of its own */
            result_entry(i, &entry);
            last = entry.row.driver_id;
            visit(&entry, arg);
        }
        SPI_freetuptable(table);
    }
    hail_owner_end(saved);
}

static HailStatement read_silent = {
    "SELECT d.id FROM hail.drivers d JOIN hail.driver_positions p ON p.driver_id = d.id"
    " WHERE d.online AND d.trip_id IS NULL AND p.received_at < $1 ORDER BY d.id LIMIT 1000",
    1,
    {TIMESTAMPTZOID}};

static HailStatement read_heard = {
    "SELECT 1 FROM hail.driver_positions WHERE driver_id = $1 AND received_at >= $2",
    2,
    {UUIDOID, TIMESTAMPTZOID}};

static bool silent_in_tables(const pg_uuid_t *driver_id, TimestampTz before)
{
    Datum args[2] = {UUIDPGetDatum(driver_id), TimestampTzGetDatum(before)};

    return hail_execute(&read_heard, args, NULL, false, 1) == 0;
}

/* As live_index_rewind(); $2: LIVE_MAX_AHEAD from now. */
static HailStatement rewind_positions = {
    "UPDATE hail.driver_positions SET received_at = $1 WHERE received_at > $2",
    2,
    {TIMESTAMPTZOID, TIMESTAMPTZOID}};

int live_tables_expire(TimestampTz now, TimestampTz before)
{
    Datum ahead[2] = {TimestampTzGetDatum(now), TimestampTzGetDatum(now + LIVE_MAX_AHEAD)};
    pg_uuid_t *silent;
    int count;

    hail_execute(&rewind_positions, ahead, NULL, false, 0);
    count = (int)hail_execute(&read_silent, (Datum[]){TimestampTzGetDatum(before)}, NULL, false, 0);
    silent = palloc(sizeof(pg_uuid_t) * (count + 1));
    for (int i = 0; i < count; i++) {
        bool isnull;

        silent[i] = *DatumGetUUIDP(hail_result(i, 1, &isnull));
    }
    return live_set_offline(silent, count, silent_in_tables, before);
}
