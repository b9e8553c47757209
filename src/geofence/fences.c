/*
 * Fences as each process keeps them; see fences.h.
 *
 * A trigger on the two tables sends a relation cache invalidation, which reaches every process with the
 * commit of the change, and before it the process that makes it. What was read under a transaction's fixed
 * snapshot may be old for the next transaction and is not kept for it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/owner.h"
#include "base/statement.h"
#include "geofence/fences.h"

/* Service areas have no settings of their own: as the defaults of hail.geofences. */
static HailStatement read_fences = {
    "SELECT 0, f.* FROM (SELECT r.id::integer, 'service_area', r.name, r.code, 100::float8, 60000000::bigint,"
    "   1, true, public.ST_AsBinary(r.boundary, 'NDR'), public.ST_Area(r.boundary) AS size"
    "   FROM hail.regions r) f"
    " UNION ALL SELECT 1, f.* FROM (SELECT g.id, g.kind, g.name, NULL, g.leave_margin_m,"
    "   (extract(epoch FROM g.leave_after) * 1000000)::bigint, g.queue_offers::integer, g.active,"
    "   CASE WHEN g.active THEN public.ST_AsBinary(g.boundary, 'NDR') END,"
    "   CASE WHEN g.active THEN 0::float8 ELSE 1 END AS size"
    "   FROM hail.geofences g) f"
    " ORDER BY 1, size, 2",
    0};

/* Columns of read_fences. */
enum { COL_ID = 2, COL_KIND, COL_NAME, COL_CODE, COL_MARGIN, COL_AFTER, COL_OFFERS, COL_ACTIVE, COL_WKB };

static const char *const kind_names[] = {"service_area", "airport", "restricted", "area"};

static FenceSet *kept = NULL;
static MemoryContext kept_in = NULL;
static bool current = false;                                   /* `kept` is what the tables hold */
static LocalTransactionId only_in = InvalidLocalTransactionId; /* valid in that transaction alone */
static Oid geofences_oid, regions_oid;

static void table_changed(Datum arg, Oid relation)
{
    if (relation == InvalidOid || relation == geofences_oid || relation == regions_oid)
        current = false;
}

static void *allocate(size_t bytes)
{
    return MemoryContextAllocHuge(CurrentMemoryContext, Max(bytes, 1));
}

const char *fence_kind_name(FenceKind kind)
{
    return kind_names[kind];
}

static FenceKind kind_from_name(const char *name)
{
    for (int i = 0; i < (int)lengthof(kind_names); i++)
        if (strcmp(kind_names[i], name) == 0)
            return i;
    elog(ERROR, "no kind of geofence \"%s\"", name);
}

static char *text_column(uint64 row, int col)
{
    bool isnull;
    Datum value = hail_result(row, col, &isnull);

    return isnull ? NULL : TextDatumGetCString(value);
}

static Shape *read_shape(uint64 row)
{
    bool isnull;
    bytea *wkb = DatumGetByteaPP(hail_result(row, COL_WKB, &isnull));
    ShapeEdge *edges;
    int count =
        shape_edges_from_wkb((unsigned char *)VARDATA_ANY(wkb), VARSIZE_ANY_EXHDR(wkb), &edges, allocate);

    return count < 3 ? NULL : shape_prepare(edges, count, allocate);
}

static void read_fence(uint64 row, Fence *fence)
{
    bool isnull;

    fence->id = DatumGetInt32(hail_result(row, COL_ID, &isnull));
    fence->kind = kind_from_name(text_column(row, COL_KIND));
    fence->name = text_column(row, COL_NAME);
    fence->code = text_column(row, COL_CODE);
    fence->leave_margin_m = DatumGetFloat8(hail_result(row, COL_MARGIN, &isnull));
    fence->leave_after_us = DatumGetInt64(hail_result(row, COL_AFTER, &isnull));
    fence->queue_offers = DatumGetInt32(hail_result(row, COL_OFFERS, &isnull));
    fence->active = DatumGetBool(hail_result(row, COL_ACTIVE, &isnull));
}

/* In the memory context that is to keep it. */
static FenceSet *read_set(uint64 rows)
{
    static uint64 loaded = 0;
    FenceSet *set = palloc0(sizeof(FenceSet));

    set->number = ++loaded;
    set->fences = palloc0(sizeof(Fence) * (rows + 1));
    set->shapes = palloc0(sizeof(Shape *) * (rows + 1));
    for (uint64 i = 0; i < rows; i++) {
        Fence *fence = &set->fences[set->count];
        Shape *shape;

        read_fence(i, fence);
        shape = fence->active ? read_shape(i) : NULL;
        if (fence->active && shape == NULL)
            continue; /* no area, however it got there */
        set->count++;
        if (fence->active)
            set->shapes[set->active++] = shape;
    }
    set->grid = shape_grid_build(set->shapes, set->active, allocate);
    return set;
}

static void prepare_to_load(void)
{
    static bool registered = false;
    Oid schema = get_namespace_oid("hail", false);

    if (!registered) {
        CacheRegisterRelcacheCallback(table_changed, (Datum)0);
        registered = true;
    }
    geofences_oid = get_relname_relid("geofences", schema);
    regions_oid = get_relname_relid("regions", schema);
}

/*
 * Whoever asks, what is kept must be all there is: a caller who may see no fence must not leave an empty set
 * to the next. An error undoes the role.
 */
static FenceSet *load_as_owner(MemoryContext context)
{
    HailOwner saved = hail_owner_begin();
    MemoryContext before;
    FenceSet *set;
    uint64 rows;

    rows = hail_execute(&read_fences, NULL, NULL, false, 0);
    before = MemoryContextSwitchTo(context);
    set = read_set(rows);
    MemoryContextSwitchTo(before);
    hail_owner_end(saved);
    return set;
}

const FenceSet *fences_get(void)
{
    MemoryContext context;
    FenceSet *set;

    if (current && (only_in == InvalidLocalTransactionId || only_in == MyProc->lxid))
        return kept;
    prepare_to_load();
    current = true; /* a change that comes in while we read takes it back */
    only_in = IsolationUsesXactSnapshot() ? MyProc->lxid : InvalidLocalTransactionId;
    context = AllocSetContextCreate(CurrentMemoryContext, "hail fences", ALLOCSET_DEFAULT_SIZES);
    PG_TRY();
    {
        set = load_as_owner(context);
    }
    PG_CATCH();
    {
        current = false;
        PG_RE_THROW();
    }
    PG_END_TRY();
    MemoryContextSetParent(context, TopMemoryContext);
    if (kept_in != NULL)
        MemoryContextDelete(kept_in);
    kept_in = context;
    kept = set;
    return kept;
}

int fences_covering(const FenceSet *set, double lat, double lng, int *found)
{
    return shape_grid_covering(set->grid, set->shapes, lat, lng, found, FENCES_MAX_FOUND);
}

int fences_find(const FenceSet *set, int32 id, bool service_area)
{
    for (int i = 0; i < set->count; i++)
        if (set->fences[i].id == id && (set->fences[i].kind == FENCE_SERVICE_AREA) == service_area)
            return i;
    return -1;
}

PG_FUNCTION_INFO_V1(hail_geofences_changed);

/* Trigger on hail.geofences and hail.regions: every process reads them anew. */
Datum hail_geofences_changed(PG_FUNCTION_ARGS)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        elog(ERROR, "hail_geofences_changed is a trigger");
    CacheInvalidateRelcache(((TriggerData *)fcinfo->context)->tg_relation);
    return PointerGetDatum(NULL);
}
