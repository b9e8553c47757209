/* Fences as each process keeps them; see fences.h. */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/kept.h"
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

static void *load(void)
{
    static uint64 loaded = 0;
    uint64 rows = hail_execute(&read_fences, NULL, NULL, false, 0);
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

static HailKept kept = {"fences", load, {"geofences", "regions"}};

const FenceSet *fences_get(void)
{
    return hail_kept(&kept);
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
