/* The kept copy of what prices are made of; see book.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/kept.h"
#include "base/statement.h"
#include "pricing/book.h"
#include "pricing/experiment.h"

/* A running experiment and its variants, the control first. */
typedef struct BookExperiment {
    int region_id, class_id; /* -1: every one */
    unsigned char salt[UUID_LEN];
    int count;
    int32 share_bp[EXPERIMENT_MAX_VARIANTS], ids[EXPERIMENT_MAX_VARIANTS],
        multipliers[EXPERIMENT_MAX_VARIANTS];
} BookExperiment;

typedef struct Book {
    BookRegion *regions; /* by id */
    BookClass *classes;
    BookExperiment *experiments;
    int region_count, class_count, experiment_count;
    TimestampTz since; /* price lists and events that ended earlier are not here */
} Book;

/* Price lists and events of years are not kept by every backend. */
#define BOOK_KEEPS (1 * USECS_PER_DAY)

static HailStatement read_regions = {
    "SELECT r.id::int4, r.code, r.currency, r.timezone, r.hexagon_size_m, r.distance_factor, r.speed_kmh,"
    " r.road_network FROM hail.regions r ORDER BY r.id",
    0,
    {0}};

static HailStatement read_classes = {
    "SELECT c.id::int4, c.code, c.service FROM hail.service_classes c ORDER BY c.id", 0, {0}};

/* Both ends of a range of time as [from, to), in whole microseconds. */
#define RANGE(column)                                                                                        \
    "CASE WHEN isempty(" column ") THEN 'infinity' ELSE coalesce(lower(" column ")"                          \
    " + CASE WHEN lower_inc(" column ") THEN '0'::interval ELSE '1 microsecond' END, '-infinity') END,"      \
    "CASE WHEN isempty(" column ") THEN '-infinity' ELSE coalesce(upper(" column ")"                         \
    " + CASE WHEN upper_inc(" column ") THEN '1 microsecond'::interval ELSE '0' END, 'infinity') END"

static HailStatement read_fares = {
    "SELECT f.region_id::int4, f.id, f.service_class, " RANGE(
        "f.effective") ","
                       " f.base, f.per_km, f.per_minute, f.minimum, f.booking_fee, f.rounding, f.stop_fee, "
                       "f.cancellation_fee,"
                       " f.commission_bp, f.waiting_free_s, f.waiting_per_minute, f.waiting_max"
                       " FROM hail.fares f JOIN hail.service_classes c ON c.code = f.service_class"
                       " WHERE coalesce(upper(f.effective) >= $1, true)"
                       " ORDER BY f.region_id, c.id, f.effective",
    1,
    {TIMESTAMPTZOID}};

static HailStatement read_time_rules = {
    "SELECT t.region_id::int4,"
    " (SELECT coalesce(bit_or(1 << (d - 1)), 0) FROM unnest(t.weekdays) d WHERE d BETWEEN 1 AND 7),"
    " t.from_time, t.to_time, (t.multiplier * 100)::int4"
    " FROM hail.fare_time_rules t ORDER BY t.region_id",
    0,
    {0}};

static HailStatement read_events = {
    "SELECT e.region_id::int4, " RANGE("e.active") ", (e.multiplier * 100)::int4,"
                                                   " public.ST_AsBinary(e.area, 'NDR')"
                                                   " FROM hail.event_areas e"
                                                   " WHERE coalesce(upper(e.active) >= $1, true)"
                                                   " ORDER BY e.region_id",
    1,
    {TIMESTAMPTZOID}};

/* One row a variant. */
static HailStatement read_variants = {
    "SELECT e.id, coalesce(e.region_id, -1)::int4, coalesce(e.class_id, -1)::int4, e.salt, v.id, v.share_bp,"
    " (v.price_multiplier * 100)::int4"
    " FROM hail.experiments e JOIN hail.experiment_variants v ON v.experiment_id = e.id"
    " WHERE e.state = 'running' ORDER BY e.id, v.is_control DESC, v.id",
    0,
    {0}};

static Datum value(uint64 row, int col)
{
    bool isnull;
    Datum result = hail_result(row, col, &isnull);

    if (isnull)
        elog(ERROR, "column %d of a region, class or price list is null", col);
    return result;
}

static char *text_value(uint64 row, int col)
{
    return TextDatumGetCString(value(row, col));
}

static void load_regions(Book *book)
{
    book->region_count = (int)hail_execute(&read_regions, NULL, NULL, false, 0);
    book->regions = palloc0(sizeof(BookRegion) * Max(book->region_count, 1));
    for (int i = 0; i < book->region_count; i++)
        book->regions[i] = (BookRegion){.id = (int16)DatumGetInt32(value(i, 1)),
                                        .code = text_value(i, 2),
                                        .currency = text_value(i, 3),
                                        .timezone = pg_tzset(text_value(i, 4)),
                                        .hexagon_size_m = DatumGetFloat8(value(i, 5)),
                                        .distance_factor = DatumGetFloat8(value(i, 6)),
                                        .speed_kmh = DatumGetFloat8(value(i, 7)),
                                        .road_network = DatumGetBool(value(i, 8))};
}

static void load_classes(Book *book)
{
    book->class_count = (int)hail_execute(&read_classes, NULL, NULL, false, 0);
    book->classes = palloc0(sizeof(BookClass) * Max(book->class_count, 1));
    for (int i = 0; i < book->class_count; i++)
        book->classes[i] = (BookClass){(int16)DatumGetInt32(value(i, 1)), text_value(i, 2), text_value(i, 3)};
}

static BookRegion *region_in(const Book *book, int id)
{
    int low = 0, high = book->region_count;

    while (low < high) {
        int middle = (low + high) / 2;

        if (book->regions[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < book->region_count && book->regions[low].id == id ? &book->regions[low] : NULL;
}

static const BookClass *class_in(const Book *book, const char *code)
{
    for (int i = 0; i < book->class_count; i++)
        if (strcmp(book->classes[i].code, code) == 0)
            return &book->classes[i];
    return NULL;
}

/* Rows come region by region: gives every region its part of `all` (elements of `size`), loaded by load();
 * a row that load() refuses is left out. A region or class may have come between two statements: its rows are
 * left out too, the change that made it has everything read again. */
typedef bool (*LoadRow)(const Book *book, uint64 row, void *into);

static void load_parts(Book *book, HailStatement *statement, Size size, LoadRow load,
                       void (*give)(BookRegion *region, void *first, int count))
{
    uint64 rows = hail_execute(statement, (Datum[]){TimestampTzGetDatum(book->since)}, NULL, false, 0);
    char *all = palloc0(size * Max(rows, 1));
    int used = 0;

    for (uint64 row = 0; row < rows;) {
        int id = DatumGetInt32(value(row, 1)), first = used;
        BookRegion *region = region_in(book, id);

        for (; row < rows && DatumGetInt32(value(row, 1)) == id; row++)
            if (region != NULL && load(book, row, all + size * used))
                used++;
        if (region != NULL)
            give(region, all + size * first, used - first);
    }
}

static bool load_fare(const Book *book, uint64 row, void *into)
{
    BookFare *fare = into;

    fare->id = *DatumGetUUIDP(value(row, 2));
    fare->class = class_in(book, text_value(row, 3));
    fare->from = DatumGetTimestampTz(value(row, 4));
    fare->to = DatumGetTimestampTz(value(row, 5));
    fare->rates = (FareRates){.base = DatumGetInt64(value(row, 6)),
                              .per_km = DatumGetInt64(value(row, 7)),
                              .per_minute = DatumGetInt64(value(row, 8)),
                              .minimum = DatumGetInt64(value(row, 9)),
                              .booking_fee = DatumGetInt64(value(row, 10)),
                              .rounding = DatumGetInt64(value(row, 11))};
    fare->stop_fee = DatumGetInt64(value(row, 12));
    fare->cancellation_fee = DatumGetInt64(value(row, 13));
    fare->commission_bp = DatumGetInt32(value(row, 14));
    fare->waiting_free_s = DatumGetInt32(value(row, 15));
    fare->waiting_per_minute = DatumGetInt64(value(row, 16));
    fare->waiting_max = DatumGetInt64(value(row, 17));
    return fare->class != NULL;
}

static void give_fares(BookRegion *region, void *first, int count)
{
    region->fares = first;
    region->fare_count = count;
}

static bool load_time_rule(const Book *book, uint64 row, void *into)
{
    *(BookTimeRule *)into =
        (BookTimeRule){(uint8)DatumGetInt32(value(row, 2)), DatumGetTimeADT(value(row, 3)),
                       DatumGetTimeADT(value(row, 4)), DatumGetInt32(value(row, 5))};
    return true;
}

static void give_time_rules(BookRegion *region, void *first, int count)
{
    region->time_rules = first;
    region->time_rule_count = count;
}

static void *allocate(size_t bytes)
{
    return MemoryContextAllocHuge(CurrentMemoryContext, Max(bytes, 1));
}

static bool load_event(const Book *book, uint64 row, void *into)
{
    BookEvent *event = into;
    bytea *wkb = DatumGetByteaPP(value(row, 5));
    ShapeEdge *edges;
    int count =
        shape_edges_from_wkb((unsigned char *)VARDATA_ANY(wkb), VARSIZE_ANY_EXHDR(wkb), &edges, allocate);

    if (count < 3)
        return false; /* no area, however it got there */
    *event = (BookEvent){DatumGetTimestampTz(value(row, 2)), DatumGetTimestampTz(value(row, 3)),
                         DatumGetInt32(value(row, 4)), shape_prepare(edges, count, allocate)};
    return true;
}

static void give_events(BookRegion *region, void *first, int count)
{
    region->events = first;
    region->event_count = count;
}

static void load_experiments(Book *book)
{
    int rows = (int)hail_execute(&read_variants, NULL, NULL, false, 0), last = 0;
    BookExperiment *experiment = NULL;

    book->experiments = palloc0(sizeof(BookExperiment) * Max(rows, 1));
    for (int i = 0; i < rows; i++) {
        if (experiment == NULL || DatumGetInt32(value(i, 1)) != last) {
            last = DatumGetInt32(value(i, 1));
            experiment = &book->experiments[book->experiment_count++];
            experiment->region_id = DatumGetInt32(value(i, 2));
            experiment->class_id = DatumGetInt32(value(i, 3));
            memcpy(experiment->salt, DatumGetUUIDP(value(i, 4))->data, UUID_LEN);
        }
        if (experiment->count == EXPERIMENT_MAX_VARIANTS)
            elog(ERROR, "experiment %d has too many variants", last);
        experiment->ids[experiment->count] = DatumGetInt32(value(i, 5));
        experiment->share_bp[experiment->count] = DatumGetInt32(value(i, 6));
        experiment->multipliers[experiment->count++] = DatumGetInt32(value(i, 7));
    }
}

static void *load(void)
{
    Book *book = palloc0(sizeof(Book));

    book->since = hail_now() - BOOK_KEEPS;
    load_regions(book);
    load_classes(book);
    load_parts(book, &read_fares, sizeof(BookFare), load_fare, give_fares);
    load_parts(book, &read_time_rules, sizeof(BookTimeRule), load_time_rule, give_time_rules);
    load_parts(book, &read_events, sizeof(BookEvent), load_event, give_events);
    load_experiments(book);
    return book;
}

static HailKept kept = {"prices",
                        load,
                        {"regions", "service_classes", "fares", "fare_time_rules", "event_areas",
                         "experiments", "experiment_variants"}};

/* A clock that was set back meets what was over when the copy was read: it is read anew. */
static const Book *book_of_now(void)
{
    const Book *book = hail_kept(&kept);

    if (unlikely(hail_now() < book->since)) {
        kept.current = false;
        book = hail_kept(&kept);
    }
    return book;
}

const BookRegion *book_region(int16 id)
{
    return region_in(book_of_now(), id);
}

const BookRegion *book_region_by_code(const char *code)
{
    const Book *book = book_of_now();

    for (int i = 0; i < book->region_count; i++)
        if (strcmp(book->regions[i].code, code) == 0)
            return &book->regions[i];
    return NULL;
}

const BookClass *book_class(const char *code)
{
    return class_in(hail_kept(&kept), code);
}

const BookFare *book_fare(const BookRegion *region, const BookClass *class, TimestampTz at)
{
    for (int i = 0; i < region->fare_count; i++) {
        const BookFare *fare = &region->fares[i];

        if (fare->class->id == class->id && fare->from <= at && at < fare->to)
            return fare;
    }
    return NULL;
}

/* The day of the week (0: Monday) and the microseconds of the day in a zone. */
static void local_time(pg_tz *zone, TimestampTz at, int *weekday, int64 *us)
{
    struct pg_tm tm;
    fsec_t fraction;
    int offset;

    if (zone == NULL)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("the region's time zone is not known"));
    if (timestamp2tm(at, &offset, &tm, &fraction, NULL, zone) != 0)
        ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range"));
    *weekday = (j2day(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday)) + 6) % 7;
    *us = ((tm.tm_hour * 60 + tm.tm_min) * 60 + tm.tm_sec) * USECS_PER_SEC + fraction;
}

static bool rule_applies(const BookTimeRule *rule, int weekday, int64 us)
{
    bool today = rule->weekdays >> weekday & 1, yesterday = rule->weekdays >> (weekday + 6) % 7 & 1;

    if (rule->from_us < rule->to_us)
        return today && us >= rule->from_us && us < rule->to_us;
    return (today && us >= rule->from_us) || (yesterday && us < rule->to_us);
}

int book_time_multiplier(const BookRegion *region, TimestampTz at)
{
    int weekday, highest = 0;
    int64 us;

    if (region->time_rule_count == 0)
        return 100;
    local_time(region->timezone, at, &weekday, &us);
    for (int i = 0; i < region->time_rule_count; i++)
        if (rule_applies(&region->time_rules[i], weekday, us))
            highest = Max(highest, region->time_rules[i].multiplier);
    return highest == 0 ? 100 : highest;
}

int book_event_multiplier(const BookRegion *region, double lat, double lng, TimestampTz at)
{
    int highest = 0;

    for (int i = 0; i < region->event_count; i++) {
        const BookEvent *event = &region->events[i];

        if (event->from <= at && at < event->to && event->multiplier > highest &&
            shape_covers(event->shape, lat, lng))
            highest = event->multiplier;
    }
    return highest == 0 ? 100 : highest;
}

BookVariant book_variant(const BookRegion *region, const BookClass *class, const pg_uuid_t *customer)
{
    const Book *book = hail_kept(&kept);

    for (int i = 0; i < book->experiment_count; i++) {
        const BookExperiment *experiment = &book->experiments[i];
        int variant;

        if ((experiment->region_id != -1 && experiment->region_id != region->id) ||
            (experiment->class_id != -1 && experiment->class_id != class->id))
            continue;
        variant = experiment_variant(experiment->share_bp, experiment->count,
                                     experiment_bucket(experiment->salt, customer->data));
        if (variant >= 0)
            return (BookVariant){experiment->ids[variant], experiment->multipliers[variant]};
        break; /* no other one runs here */
    }
    return (BookVariant){0, 100};
}
