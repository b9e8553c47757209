/* The surge at a point: what prices ask for. */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"

#include "base/statement.h"
#include "geo/hexgrid.h"
#include "pricing/pricing.h"
#include "pricing/surge.h"

static HailStatement read_cell = {
    "SELECT (s.multiplier OPERATOR(pg_catalog.*) 100)::pg_catalog.int4 FROM hail.surge_cells s"
    " WHERE s.region_id OPERATOR(pg_catalog.=) $1 AND s.cell OPERATOR(pg_catalog.=) $2",
    2,
    {INT2OID, INT8OID},
    HAIL_BY_KEY};

static int multiplier_of_row(int16 region_id, int64 cell)
{
    Datum args[2] = {Int16GetDatum(region_id), Int64GetDatum(cell)};
    int multiplier = SURGE_NONE;
    bool isnull;

    SPI_connect();
    if (hail_execute(&read_cell, args, NULL, true, 1) == 1)
        multiplier = DatumGetInt32(hail_result(0, 1, &isnull));
    SPI_finish();
    return multiplier;
}

int surge_multiplier_at(int16 region_id, double hexagon_size_m, double lat, double lng)
{
    if (!(fabs(lat) <= 90 && fabs(lng) <= 180))
        return SURGE_NONE;
    return multiplier_of_row(region_id, hexgrid_pack(hexgrid_cell(lat, lng, hexagon_size_m)));
}

PG_FUNCTION_INFO_V1(hail_surge_hundredths);

/* hail.surge_hundredths(region_id, hexagon_size_m, lat, lng) */
Datum hail_surge_hundredths(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT32(surge_multiplier_at(PG_GETARG_INT16(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2),
                                        PG_GETARG_FLOAT8(3)));
}
