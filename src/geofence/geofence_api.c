/* SQL entry points: what lies where. And what other modules ask (geofence.h). */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/error.h"
#include "base/statement.h"
#include "geo/geo.h"
#include "geofence/fences.h"
#include "geofence/geofence.h"
#include "identity/session.h"

static void require_place(FunctionCallInfo fcinfo, double *lat, double *lng)
{
    *lat = PG_ARGISNULL(0) ? NAN : PG_GETARG_FLOAT8(0);
    *lng = PG_ARGISNULL(1) ? NAN : PG_GETARG_FLOAT8(1);
    if (!(*lat >= -90 && *lat <= 90))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("lat must be between -90 and 90"),
                hail_field("lat"));
    if (!(*lng >= -180 && *lng <= 180))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("lng must be between -180 and 180"),
                hail_field("lng"));
}

/* The first fence of a kind that holds a place, or NULL. */
static const Fence *first_at(double lat, double lng, FenceKind kind)
{
    const FenceSet *set = fences_get();
    int found[FENCES_MAX_FOUND], count = fences_covering(set, lat, lng, found);

    for (int i = 0; i < count; i++)
        if (set->fences[found[i]].kind == kind)
            return &set->fences[found[i]];
    return NULL;
}

bool geofence_region_at(double lat, double lng, int16 *region_id)
{
    const Fence *region = first_at(lat, lng, FENCE_SERVICE_AREA);

    if (region != NULL)
        *region_id = (int16)region->id;
    return region != NULL;
}

bool geofence_region_covers(int16 region_id, double lat, double lng)
{
    const FenceSet *set = fences_get();
    int fence = fences_find(set, region_id, true);

    return fence >= 0 && shape_covers(set->shapes[fence], lat, lng);
}

bool geofence_restricted(double lat, double lng)
{
    return first_at(lat, lng, FENCE_RESTRICTED) != NULL;
}

PG_FUNCTION_INFO_V1(hail_geofences_at);
PG_FUNCTION_INFO_V1(hail_is_restricted);

/* hail.geofences_at(lat, lng) */
Datum hail_geofences_at(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result;
    const FenceSet *set;
    int found[FENCES_MAX_FOUND], count;
    double lat, lng;

    hail_require_actor();
    require_place(fcinfo, &lat, &lng);
    InitMaterializedSRF(fcinfo, 0);
    result = (ReturnSetInfo *)fcinfo->resultinfo;
    set = fences_get();
    count = fences_covering(set, lat, lng, found);
    for (int i = 0; i < count; i++) {
        const Fence *fence = &set->fences[found[i]];
        Datum values[3];
        bool nulls[3] = {false, false, false};

        if (fence->kind == FENCE_SERVICE_AREA)
            continue;
        values[0] = Int32GetDatum(fence->id);
        values[1] = CStringGetTextDatum(fence_kind_name(fence->kind));
        values[2] = CStringGetTextDatum(fence->name);
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}

/* hail.is_restricted(lat, lng) */
Datum hail_is_restricted(PG_FUNCTION_ARGS)
{
    double lat, lng;
    hail_require_actor();
    require_place(fcinfo, &lat, &lng);
    PG_RETURN_BOOL(first_at(lat, lng, FENCE_RESTRICTED) != NULL);
}

PG_FUNCTION_INFO_V1(hail_region_id_at);
PG_FUNCTION_INFO_V1(hail_region_covers);

/* hail.region_id_at(lat, lng): the smallest region there; NULL: none */
Datum hail_region_id_at(PG_FUNCTION_ARGS)
{
    double lat = PG_GETARG_FLOAT8(0), lng = PG_GETARG_FLOAT8(1);
    int16 region_id;

    if (!geo_valid(lat, lng) || !geofence_region_at(lat, lng, &region_id))
        PG_RETURN_NULL();
    PG_RETURN_INT16(region_id);
}

/* hail.region_covers(region_id, lat, lng) */
Datum hail_region_covers(PG_FUNCTION_ARGS)
{
    double lat = PG_GETARG_FLOAT8(1), lng = PG_GETARG_FLOAT8(2);

    PG_RETURN_BOOL(geo_valid(lat, lng) && geofence_region_covers(PG_GETARG_INT16(0), lat, lng));
}

bool geofence_airport_at(double lat, double lng, int32 *geofence_id, int *offers)
{
    const Fence *airport = first_at(lat, lng, FENCE_AIRPORT);

    if (airport == NULL)
        return false;
    *geofence_id = airport->id;
    *offers = airport->queue_offers;
    return true;
}

static HailStatement read_queue = {
    "SELECT q.driver_id FROM hail.geofence_queue($1) q ORDER BY q.queue_number LIMIT $2",
    2,
    {INT4OID, INT4OID}};

int geofence_queue(int32 geofence_id, pg_uuid_t *drivers, int max)
{
    int count = (int)hail_execute(&read_queue, (Datum[]){Int32GetDatum(geofence_id), Int32GetDatum(max)},
                                  NULL, false, 0);

    for (int i = 0; i < count; i++) {
        bool isnull;

        drivers[i] = *DatumGetUUIDP(hail_result(i, 1, &isnull));
    }
    SPI_freetuptable(SPI_tuptable);
    return count;
}
