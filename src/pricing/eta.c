/* What a way is expected to take; see eta.h. Keeps the figures of every region, by backend. */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "storage/proc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/owner.h"
#include "base/statement.h"
#include "geo/geo.h"
#include "pricing/eta.h"

typedef struct RegionFigures {
    int16 id;
    double distance_factor, speed_kmh;
} RegionFigures;

static HailStatement read_regions = {
    "SELECT r.id, r.distance_factor, r.speed_kmh FROM hail.regions r ORDER BY r.id", 0, {0}};

static RegionFigures *kept = NULL; /* by id */
static int kept_count = 0;
static bool current = false;                                   /* kept is what the table holds */
static LocalTransactionId only_in = InvalidLocalTransactionId; /* valid in that transaction alone */
static Oid regions_oid = InvalidOid;

static void table_changed(Datum arg, Oid relation)
{
    if (relation == InvalidOid || relation == regions_oid)
        current = false;
}

static Datum column(uint64 row, int col)
{
    bool isnull;
    Datum value = hail_result(row, col, &isnull);

    if (isnull)
        elog(ERROR, "column %d of a region is null", col);
    return value;
}

/* `current` is set before the rows are read: a change that comes in meanwhile takes it back. */
static void load_regions(void)
{
    HailOwner saved;
    RegionFigures *regions;
    int count;

    if (regions_oid == InvalidOid)
        CacheRegisterRelcacheCallback(table_changed, (Datum)0);
    regions_oid = get_relname_relid("regions", get_namespace_oid("hail", false));
    current = true;
    only_in = IsolationUsesXactSnapshot() ? MyProc->lxid : InvalidLocalTransactionId;
    saved = hail_owner_begin();
    count = (int)hail_execute(&read_regions, NULL, NULL, false, 0);
    regions = MemoryContextAlloc(TopMemoryContext, sizeof(RegionFigures) * Max(count, 1));
    for (int i = 0; i < count; i++)
        regions[i] = (RegionFigures){DatumGetInt16(column(i, 1)), DatumGetFloat8(column(i, 2)),
                                     DatumGetFloat8(column(i, 3))};
    hail_owner_end(saved);
    if (kept != NULL)
        pfree(kept);
    kept = regions;
    kept_count = count;
}

static const RegionFigures *region_figures(int16 id)
{
    if (!current || (only_in != InvalidLocalTransactionId && only_in != MyProc->lxid)) {
        PG_TRY();
        {
            load_regions();
        }
        PG_CATCH();
        {
            current = false;
            PG_RE_THROW();
        }
        PG_END_TRY();
    }
    for (int low = 0, high = kept_count; low < high;) {
        int middle = (low + high) / 2;

        if (kept[middle].id == id)
            return &kept[middle];
        if (kept[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    elog(ERROR, "there is no region %d", id);
}

/* Until anything is known: 80 % of trips take from 0.5 to 2 times what the mean speed says. */
#define DEFAULT_SPREAD 2.0

static int whole(double value)
{
    return value >= INT_MAX ? INT_MAX : (int)rint(value);
}

EtaGuess eta_guess(int16 region_id, double from_lat, double from_lng, double to_lat, double to_lng,
                   TimestampTz at)
{
    const RegionFigures *region = region_figures(region_id);
    double metres = geo_distance_m(from_lat, from_lng, to_lat, to_lng);
    double seconds = eta_seconds(metres, region->distance_factor, region->speed_kmh);

    return (EtaGuess){.distance_m = whole(eta_road_m(metres, region->distance_factor)),
                      .duration_s = whole(seconds),
                      .low_s = whole(seconds / DEFAULT_SPREAD),
                      .high_s = whole(seconds * DEFAULT_SPREAD),
                      .source = ETA_FROM_DEFAULT,
                      .seconds = seconds};
}

EtaGuess eta_pickup(int16 region_id, double driver_lat, double driver_lng, double pickup_lat,
                    double pickup_lng, TimestampTz at)
{
    return eta_guess(region_id, driver_lat, driver_lng, pickup_lat, pickup_lng, at);
}

EtaGuess eta_route_guess(int16 region_id, double from_lat, double from_lng, double to_lat, double to_lng,
                         TimestampTz at)
{
    return eta_guess(region_id, from_lat, from_lng, to_lat, to_lng, at);
}

const char *eta_source_name(EtaSource source)
{
    static const char *const names[] = {"default", "region", "hour", "learnt", "road"};

    return names[source];
}
