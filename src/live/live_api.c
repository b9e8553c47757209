/* SQL entry points that look: hail.nearby_drivers, hail.live_scan, hail.live_stats; and the C contract of
 * live.h. */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/uuid.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/statement.h"
#include "identity/session.h"
#include "live/flags.h"
#include "live/live_mode.h"
#include "live/mirror.h"

#define MIN_RADIUS_M       100.0
#define MAX_RADIUS_M       50000.0
#define ADMIN_MAX_RADIUS_M (M_PI * GEO_EARTH_RADIUS_M)
#define MAX_RESULTS        1000

void live_init(void)
{
    live_index_init();
    mirror_init();
    flags_init();
}

/* ---- C ---- */

int live_search(const LiveSearch *search, LiveHit *hits)
{
    if (search->max_results <= 0 || !(search->radius_m >= 0))
        return 0;
    if (live_mode() == LIVE_IN_TABLES)
        return live_tables_search(search, hits);
    live_require_ready();
    return live_index_search(search, hail_now(), hits);
}

int live_search_nearest(const LiveSearch *search, const int *class_ids, int count, LiveHit *hits, bool *found)
{
    LiveSearch one = *search;
    int all = 0;

    if (live_mode() != LIVE_IN_TABLES) {
        live_require_ready();
        return live_index_search_nearest(search, class_ids, count, hail_now(), hits, found);
    }
    one.max_results = 1;
    for (int i = 0; i < count; i++) {
        one.class_id = class_ids[i];
        found[i] = live_tables_search(&one, &hits[i]) == 1;
        all += found[i];
    }
    return all;
}

/* Every driver the index knows to be online or busy, or has a position of; in table mode those online or
 * busy. */
static void visit_entries(void (*visit)(const LiveEntry *entry, void *arg), void *arg)
{
    LiveEntry entry;

    if (live_mode() == LIVE_IN_TABLES) {
        live_tables_visit(visit, arg);
        return;
    }
    live_require_ready();
    for (int32 slot = 0; slot < live_index_slots(); slot++)
        if (live_index_read(slot, &entry) && entry.row.version > 0 && !entry.row.deleted)
            visit(&entry, arg);
}

typedef struct AvailableVisit {
    void (*visit)(const LiveHit *hit, void *arg);
    void *arg;
    TimestampTz now;
} AvailableVisit;

static void visit_if_available(const LiveEntry *entry, void *arg)
{
    AvailableVisit *v = arg;
    LiveHit hit;

    if (!live_entry_available(entry, v->now))
        return;
    live_hit_fill(&hit, entry, 0);
    v->visit(&hit, v->arg);
}

void live_visit_available(void (*visit)(const LiveHit *hit, void *arg), void *arg)
{
    AvailableVisit v = {visit, arg, hail_now()};

    visit_entries(visit_if_available, &v);
}

/* ---- service classes ---- */

/*
 * Codes of the classes, by id, kept by each backend. Read again when a code or an id is not found: rows of
 * service_classes are added, never renamed.
 */
static text *class_codes[63];
static int class_order[63]; /* ids, highest tier first */
static int class_count = 0;

static HailStatement read_classes = {"SELECT id, code FROM hail.service_classes ORDER BY tier DESC, id DESC",
                                     0};

static void load_classes(void)
{
    HailOwner saved = hail_owner_begin();
    uint64 rows = hail_execute(&read_classes, NULL, NULL, true, 0);

    class_count = 0;
    for (uint64 i = 0; i < rows; i++) {
        bool isnull;
        int id = DatumGetInt16(hail_result(i, 1, &isnull));
        text *code = DatumGetTextPP(hail_result(i, 2, &isnull));
        MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);

        class_order[class_count++] = id;
        if (class_codes[id] == NULL)
            class_codes[id] = cstring_to_text_with_len(VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code));
        MemoryContextSwitchTo(before);
    }
    hail_owner_end(saved);
}

static int find_class(const text *code)
{
    for (int i = 0; i < class_count; i++) {
        const text *known = class_codes[class_order[i]];

        if (VARSIZE_ANY_EXHDR(known) == VARSIZE_ANY_EXHDR(code) &&
            memcmp(VARDATA_ANY(known), VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code)) == 0)
            return class_order[i];
    }
    return -1;
}

static int class_id_of(const text *code)
{
    int id = find_class(code);

    if (id < 0) {
        load_classes();
        id = find_class(code);
    }
    if (id < 0)
        ereport(ERROR, hail_error(HAIL_UNKNOWN_CLASS), errmsg("service class does not exist"),
                hail_field("service_class"), errhint("The classes are the rows of hail.service_classes."));
    return id;
}

/* The highest class of a driver; NULL for none. */
static text *class_of_mask(int64 mask)
{
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < class_count; i++)
            if (mask & (INT64CONST(1) << class_order[i]))
                return class_codes[class_order[i]];
        if (again == 0)
            load_classes();
    }
    return NULL;
}

/* ---- SQL ---- */

PG_FUNCTION_INFO_V1(hail_nearby_drivers);
PG_FUNCTION_INFO_V1(hail_nearby_driver_ids);
PG_FUNCTION_INFO_V1(hail_live_search);
PG_FUNCTION_INFO_V1(hail_live_scan);
PG_FUNCTION_INFO_V1(hail_live_stats);
PG_FUNCTION_INFO_V1(hail_live_warming);

static void refuse(const char *field, const char *rule)
{
    ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("%s %s", field, rule), hail_field(field));
}

static void require_place(const LiveSearch *search)
{
    if (!(search->lat >= -90 && search->lat <= 90))
        refuse("lat", "must be between -90 and 90");
    if (!(search->lng >= -180 && search->lng <= 180))
        refuse("lng", "must be between -180 and 180");
}

static void nearby_arguments(FunctionCallInfo fcinfo, LiveSearch *search)
{
    static const char *const names[] = {"lat", "lng", "radius_m", "max_results"};
    bool admin = hail_require_actor().role == HAIL_ROLE_ADMIN;

    for (int i = 0; i < (int)lengthof(names); i++)
        if (PG_ARGISNULL(i))
            refuse(names[i], "must not be null");
    *search =
        (LiveSearch){PG_GETARG_FLOAT8(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), PG_GETARG_INT32(3), -1};
    search->area_mask = LIVE_ANY_AREA;
    require_place(search);
    if (admin && !(search->radius_m > 0 && search->radius_m <= ADMIN_MAX_RADIUS_M + 1))
        refuse("radius_m", "must be more than 0 and at most half the earth's circumference");
    if (!admin && !(search->radius_m >= MIN_RADIUS_M && search->radius_m <= MAX_RADIUS_M))
        refuse("radius_m", "must be between 100 and 50000");
    if (search->max_results < 1 || search->max_results > MAX_RESULTS)
        refuse("max_results", "must be between 1 and 1000");
    if (!PG_ARGISNULL(4))
        search->class_id = class_id_of(PG_GETARG_TEXT_PP(4));
}

/* hail.nearby_drivers(lat, lng, radius_m, max_results, service_class) */
Datum hail_nearby_drivers(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    LiveSearch search;
    LiveHit *hits;
    int count;

    nearby_arguments(fcinfo, &search);
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    hits = palloc(sizeof(LiveHit) * search.max_results);
    count = live_search(&search, hits);
    for (int i = 0; i < count; i++) {
        const LiveHit *h = &hits[i];
        text *class = search.class_id >= 0 ? class_codes[search.class_id] : class_of_mask(h->class_mask);
        Datum values[8] = {UUIDPGetDatum(&h->driver_id), Float8GetDatum(h->distance_m),
                           Float8GetDatum(h->lat),       Float8GetDatum(h->lng),
                           Float4GetDatum(h->heading),   PointerGetDatum(class),
                           Float4GetDatum(h->rating),    TimestampTzGetDatum(h->last_seen)};
        bool nulls[8] = {false, false, false, false, isnan(h->heading), class == NULL};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}

/* A one-dimensional array for `count` values of a type without varlena header; *values: where they go. */
static ArrayType *fixed_array(Oid type, int length, int count, void **values)
{
    Size size = ARR_OVERHEAD_NONULLS(1) + (Size)length * count;
    ArrayType *array;

    if (count == 0)
        return construct_empty_array(type);
    array = palloc(size);
    SET_VARSIZE(array, size);
    array->ndim = 1;
    array->dataoffset = 0; /* no nulls */
    array->elemtype = type;
    ARR_DIMS(array)[0] = count;
    ARR_LBOUND(array)[0] = 1;
    *values = ARR_DATA_PTR(array);
    return array;
}

/* The columns of hail.nearby_driver_ids(): asking the catalog for them costs more than a search. */
static TupleDesc ids_columns(void)
{
    static TupleDesc kept = NULL;

    if (kept == NULL) {
        MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
        TupleDesc columns = CreateTemplateTupleDesc(2);

        TupleDescInitEntry(columns, 1, "driver_ids", UUIDARRAYOID, -1, 0);
        TupleDescInitEntry(columns, 2, "distances_m", FLOAT4ARRAYOID, -1, 0);
        kept = BlessTupleDesc(columns);
        MemoryContextSwitchTo(before);
    }
    return kept;
}

/* hail.nearby_driver_ids(lat, lng, radius_m, max_results, service_class) */
Datum hail_nearby_driver_ids(PG_FUNCTION_ARGS)
{
    LiveSearch search;
    LiveHit *hits;
    ArrayType *id_array, *distance_array;
    void *ids = NULL, *distances = NULL;
    int count;

    nearby_arguments(fcinfo, &search);
    search.brief = true;
    hits = palloc(sizeof(LiveHit) * search.max_results);
    count = live_search(&search, hits);
    id_array = fixed_array(UUIDOID, UUID_LEN, count, &ids);
    distance_array = fixed_array(FLOAT4OID, sizeof(float4), count, &distances);
    for (int i = 0; i < count; i++) {
        ((pg_uuid_t *)ids)[i] = hits[i].driver_id;
        ((float4 *)distances)[i] = (float4)hits[i].distance_m;
    }
    return HeapTupleGetDatum(
        heap_form_tuple(ids_columns(), (Datum[]){PointerGetDatum(id_array), PointerGetDatum(distance_array)},
                        (bool[]){false, false}));
}

/* Arguments of hail.live_search, all of them checked: searches in C trust theirs. */
static void search_arguments(FunctionCallInfo fcinfo, LiveSearch *search)
{
    static const char *const names[] = {"lat",       "lng",        "radius_m",           "max_results",
                                        "class_id",  "min_rating", "max_pending_offers", "excluded",
                                        "with_room", "area_mask"};
    ArrayType *excluded;

    for (int i = 0; i < (int)lengthof(names); i++)
        if (PG_ARGISNULL(i))
            refuse(names[i], "must not be null");
    *search = (LiveSearch){.lat = PG_GETARG_FLOAT8(0),
                           .lng = PG_GETARG_FLOAT8(1),
                           .radius_m = PG_GETARG_FLOAT8(2),
                           .max_results = PG_GETARG_INT32(3),
                           .class_id = PG_GETARG_INT32(4),
                           .min_rating = PG_GETARG_FLOAT4(5),
                           .max_pending_offers = PG_GETARG_INT32(6),
                           .with_room = PG_GETARG_BOOL(8),
                           .area_mask = (uint64)PG_GETARG_INT64(9)};
    require_place(search);
    if (!(search->radius_m >= 0 && search->radius_m <= ADMIN_MAX_RADIUS_M + 1))
        refuse("radius_m", "must be between 0 and half the earth's circumference");
    if (search->max_results < 1 || search->max_results > MAX_RESULTS)
        refuse("max_results", "must be between 1 and 1000");
    if (search->class_id < -1 || search->class_id > 62)
        refuse("class_id", "must be between 0 and 62, or -1 for any");
    if (!(search->min_rating >= 0 && search->min_rating <= 5))
        refuse("min_rating", "must be between 0 and 5");
    if (search->max_pending_offers < 0)
        refuse("max_pending_offers", "must be 0 or more");
    excluded = PG_GETARG_ARRAYTYPE_P(7);
    if (ARR_HASNULL(excluded))
        refuse("excluded", "must not contain null");
    search->excluded = (const pg_uuid_t *)ARR_DATA_PTR(excluded);
    search->excluded_count = ArrayGetNItems(ARR_NDIM(excluded), ARR_DIMS(excluded));
}

/* hail.live_search(lat, lng, radius_m, max_results, class_id, min_rating, max_pending_offers, excluded,
 * with_room, area_mask) */
Datum hail_live_search(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    LiveSearch search;
    LiveHit *hits;
    int count;

    hail_require_admin();
    search_arguments(fcinfo, &search);
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    hits = palloc(sizeof(LiveHit) * search.max_results);
    count = live_search(&search, hits);
    for (int i = 0; i < count; i++) {
        Datum values[3] = {UUIDPGetDatum(&hits[i].driver_id), Float8GetDatum(hits[i].distance_m),
                           Int32GetDatum(hits[i].pending_offers)};
        bool nulls[3] = {false};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}

static Datum optional_time(TimestampTz at, bool *isnull)
{
    *isnull = at == 0;
    return TimestampTzGetDatum(at);
}

static Datum optional_float(float value, bool *isnull)
{
    *isnull = isnan(value);
    return Float4GetDatum(value);
}

typedef struct LiveScan {
    ReturnSetInfo *result;
    TimestampTz now;
} LiveScan;

static void put_entry(const LiveEntry *entry, void *arg)
{
    LiveScan *scan = arg;
    const LiveRow *row = &entry->row;
    bool nulls[24] = {false}, placed = entry->recorded_at != 0;
    Datum values[24];
    int n = 0;

    values[n++] = UUIDPGetDatum(&row->driver_id);
    values[n++] = CStringGetTextDatum(live_state_name(live_state(row, entry->pending_offers, scan->now)));
    values[n++] = BoolGetDatum(live_entry_available(entry, scan->now));
    nulls[n] = !placed;
    values[n++] = Float8GetDatum(entry->lat);
    nulls[n] = !placed;
    values[n++] = Float8GetDatum(entry->lng);
    values[n] = optional_float(entry->heading, &nulls[n]), n++;
    values[n] = optional_float(entry->speed, &nulls[n]), n++;
    values[n] = optional_float(entry->accuracy, &nulls[n]), n++;
    values[n] = optional_time(entry->recorded_at, &nulls[n]), n++;
    values[n] = optional_time(entry->last_seen, &nulls[n]), n++;
    values[n++] = Int64GetDatum(row->class_mask);
    values[n++] = Int16GetDatum(row->region_id);
    nulls[n] = live_uuid_is_zero(&row->trip_id);
    values[n++] = UUIDPGetDatum(&row->trip_id);
    values[n++] = Int32GetDatum(entry->pending_offers);
    values[n] = optional_time(row->cooldown_until, &nulls[n]), n++;
    values[n] = optional_time(row->idle_since, &nulls[n]), n++;
    values[n++] = Float4GetDatum(row->rating);
    values[n++] = Float4GetDatum(row->acceptance);
    values[n++] = Float4GetDatum(row->completion);
    values[n++] = Float4GetDatum(row->vehicle_score);
    values[n++] = Int64GetDatum(row->version);
    values[n++] = Int16GetDatum(row->job_capacity);
    values[n++] = Int16GetDatum(row->active_jobs);
    values[n++] = Int64GetDatum((int64)row->area_mask);
    tuplestore_putvalues(scan->result->setResult, scan->result->setDesc, values, nulls);
}

/* hail.live_scan(): every driver of the index. */
Datum hail_live_scan(PG_FUNCTION_ARGS)
{
    LiveScan scan = {(ReturnSetInfo *)fcinfo->resultinfo, hail_now()};
    HailActor actor = hail_require_actor();

    if (actor.role != HAIL_ROLE_ADMIN && actor.role != HAIL_ROLE_ANALYST)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only administrators and analysts see all drivers"),
                errhint("Use hail.nearby_drivers()."));
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    visit_entries(put_entry, &scan);
    return (Datum)0;
}

/* hail.live_stats(): the index in figures; no row without one. */
Datum hail_live_stats(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    HailActor actor = hail_require_actor();

    if (actor.role != HAIL_ROLE_ADMIN && actor.role != HAIL_ROLE_ANALYST)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only administrators and analysts may do this"));
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    if (live_mode() == LIVE_IN_MEMORY) {
        LiveIndexStats s = live_index_stats();
        Datum values[14] = {
            BoolGetDatum(s.ready),          Int64GetDatum(s.slots),         Int64GetDatum(s.used),
            Int64GetDatum(s.available),     Int64GetDatum(s.memory_bytes),  Int64GetDatum(s.searches),
            Int64GetDatum(s.reports),       Int64GetDatum(s.late),          Int64GetDatum(s.impossible),
            Int64GetDatum(s.occupied),      Int64GetDatum(s.cells_visited), Int64GetDatum(s.drivers_visited),
            Int64GetDatum(s.search_reruns), Int64GetDatum(s.lock_waits)};
        bool nulls[14] = {false};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}

/* hail.live_warming(): is the index here and not complete? */
Datum hail_live_warming(PG_FUNCTION_ARGS)
{
    PG_RETURN_BOOL(live_mode() == LIVE_IN_MEMORY && !live_index_ready());
}
