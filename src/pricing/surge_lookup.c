/* What others ask of surge: the multiplier at a point, and, for administrators, all of a cell. */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/owner.h"
#include "base/statement.h"
#include "geo/hexgrid.h"
#include "geofence/geofence.h"
#include "identity/session.h"
#include "pricing/book.h"
#include "pricing/pricing.h"
#include "pricing/surge_mirror.h"
#include "pricing/surge_store.h"

static HailStatement read_multiplier = {
    "SELECT (s.multiplier * 100)::integer FROM hail.surge_cells s WHERE s.region_id = $1 AND s.cell = $2",
    2,
    {INT2OID, INT8OID},
    HAIL_BY_KEY};

static int multiplier_of_row(int16 region_id, int64 cell)
{
    Datum args[2] = {Int16GetDatum(region_id), Int64GetDatum(cell)};
    HailOwner saved = hail_owner_begin();
    int multiplier = SURGE_NONE;
    bool isnull;

    if (hail_execute(&read_multiplier, args, NULL, true, 1) == 1)
        multiplier = DatumGetInt32(hail_result(0, 1, &isnull));
    hail_owner_end(saved);
    return multiplier;
}

int surge_multiplier_at(int16 region_id, double hexagon_size_m, double lat, double lng)
{
    int multiplier;
    int64 cell;

    if (!(fabs(lat) <= 90 && fabs(lng) <= 180))
        return SURGE_NONE;
    cell = hexgrid_pack(hexgrid_cell(lat, lng, hexagon_size_m));
    return surge_mirror_multiplier(region_id, hexagon_size_m, cell, &multiplier)
               ? multiplier
               : multiplier_of_row(region_id, cell);
}

bool surge_stale(void)
{
    return surge_mirror_stale();
}

void pricing_init(void)
{
    surge_mirror_init();
}

PG_FUNCTION_INFO_V1(hail_surge_at);
PG_FUNCTION_INFO_V1(hail_surge_cell_state);
PG_FUNCTION_INFO_V1(hail_surge_stats);

static double degrees_argument(FunctionCallInfo fcinfo, int arg, double limit, const char *field)
{
    double degrees = PG_ARGISNULL(arg) ? NAN : PG_GETARG_FLOAT8(arg);

    if (!(fabs(degrees) <= limit))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg("%s must be between %.0f and %.0f", field, -limit, limit), hail_field(field));
    return degrees;
}

/* hail.surge_at(lat, lng) */
Datum hail_surge_at(PG_FUNCTION_ARGS)
{
    const BookRegion *region;
    double lat, lng;
    int16 id;
    int hundredths = SURGE_NONE;

    hail_require_actor();
    lat = degrees_argument(fcinfo, 0, 90, "lat");
    lng = degrees_argument(fcinfo, 1, 180, "lng");
    if (geofence_region_at(lat, lng, &id) && (region = book_region(id)) != NULL)
        hundredths = surge_multiplier_at(id, region->hexagon_size_m, lat, lng);
    PG_RETURN_NUMERIC(int64_div_fast_to_numeric(hundredths, 2));
}

static Datum make_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
    TupleDesc desc;

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* hail.surge_cell_state(region_id, cell): see the SQL for the columns. A cell nobody asks in has no supply:
 * nobody counted there. */
Datum hail_surge_cell_state(PG_FUNCTION_ARGS)
{
    int16 region_id = PG_GETARG_INT16(0);
    int64 number = PG_GETARG_INT64(1);
    SurgeRegion region;
    SurgeMirrorInfo info = {0};
    SurgeCell cell = {.multiplier = SURGE_NONE, .target = SURGE_NONE};
    bool found = false, nulls[12] = {false};
    Datum values[12] = {0};
    SurgeState state;

    SPI_connect();
    if (!surge_store_region(region_id, &region))
        elog(ERROR, "region %d does not exist", region_id);
    if (!surge_mirror_cell(region_id, region.size_m, number, &cell, &found, &info) ||
        (!found && info.left_out > 0))
        found = surge_store_cell(region_id, number, &cell);
    SPI_finish();
    state = (SurgeState){cell.multiplier, cell.held_until};
    values[0] = Int32GetDatum(cell.requests);
    values[1] = Int32GetDatum(cell.lookers);
    values[2] = Int32GetDatum(cell.drivers);
    values[3] = Float8GetDatum(surge_cell_demand(&cell, region.quote_weight) / Max(cell.drivers, 1));
    values[4] = Float4GetDatum(cell.demand);
    values[5] = Float4GetDatum(cell.supply);
    values[6] = Float4GetDatum(cell.ratio);
    values[7] = Int32GetDatum(surge_target(&region.rules, cell.ratio));
    values[8] = Int32GetDatum(cell.multiplier);
    values[9] = TimestampTzGetDatum(cell.held_until);
    values[10] =
        CStringGetTextDatum(surge_why_names[surge_why(&region.rules, state, cell.ratio, hail_now())]);
    values[11] = TimestampTzGetDatum(info.ticked_at);
    nulls[2] = nulls[5] = !found;
    nulls[9] = cell.held_until == 0;
    nulls[11] = info.ticked_at == 0;
    PG_RETURN_DATUM(make_row(fcinfo, values, nulls));
}

/* hail.surge_stats(): one row; see the SQL for the columns. */
Datum hail_surge_stats(PG_FUNCTION_ARGS)
{
    SurgeMirrorInfo info = {0};
    HailActor actor = hail_require_actor();
    bool known = surge_mirror_info(&info), nulls[9] = {false};
    Datum values[9] = {
        BoolGetDatum(surge_mirror_serves()),
        BoolGetDatum(known),
        Int32GetDatum(surge_mirror_room()),
        Int32GetDatum(info.cells),
        Int32GetDatum(info.surging),
        Int32GetDatum(info.left_out),
        TimestampTzGetDatum(info.ticked_at),
        Float8GetDatum(info.tick_us / 1000.0),
        Int64GetDatum(surge_mirror_room() > 0 ? (int64)surge_mirror_bytes() : 0),
    };

    if (actor.role != HAIL_ROLE_ADMIN && actor.role != HAIL_ROLE_ANALYST)
        ereport(ERROR, hail_error(HAIL_FORBIDDEN), errmsg("only administrators and analysts may do this"));
    nulls[6] = nulls[7] = info.ticked_at == 0;
    PG_RETURN_DATUM(make_row(fcinfo, values, nulls));
}
