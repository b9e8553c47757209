/* SQL entry points of the hexagon grid. Pure functions of their arguments: no state, nothing to authorise. */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"

#include "base/error.h"
#include "geo/geo.h"
#include "geo/hexgrid.h"

#define SRID_WGS84     4326
#define WKB_POLYGON    3
#define EWKB_HAS_SRID  0x20000000
#define HEXAGON_POINTS 7 /* six corners, and the first again */

static void check_place(double lat, double lng)
{
    if (!geo_valid(lat, 0))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("lat must be between -90 and 90"),
                hail_field("lat"));
    if (!geo_valid(0, lng))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("lng must be between -180 and 180"),
                hail_field("lng"));
}

static void check_size(double size_m)
{
    if (!(size_m >= HEXGRID_MIN_SIZE_M && size_m <= HEXGRID_MAX_SIZE_M))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE),
                errmsg("size must be between %.0f and %.0f metres", HEXGRID_MIN_SIZE_M, HEXGRID_MAX_SIZE_M),
                hail_field("size"));
}

PG_FUNCTION_INFO_V1(hail_hexagon_at);
PG_FUNCTION_INFO_V1(hail_hexagon_cell);
PG_FUNCTION_INFO_V1(hail_hexagon_ewkb);
PG_FUNCTION_INFO_V1(hail_hexagon_neighbours);

static HexCell cell_of_arguments(FunctionCallInfo fcinfo)
{
    double lat = PG_GETARG_FLOAT8(0), lng = PG_GETARG_FLOAT8(1), size_m = PG_GETARG_FLOAT8(2);

    check_place(lat, lng);
    check_size(size_m);
    return hexgrid_cell(lat, lng, size_m);
}

/* hail.hexagon_at(lat, lng, size) -> (cell, i, j) */
Datum hail_hexagon_at(PG_FUNCTION_ARGS)
{
    HexCell cell = cell_of_arguments(fcinfo);
    Datum values[3] = {Int64GetDatum(hexgrid_pack(cell)), Int32GetDatum(cell.i), Int32GetDatum(cell.j)};
    bool nulls[3] = {false, false, false};
    TupleDesc desc;

    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* hail.hexagon_cell(lat, lng, size) -> cell: the same without the row, for grouping many points */
Datum hail_hexagon_cell(PG_FUNCTION_ARGS)
{
    PG_RETURN_INT64(hexgrid_pack(cell_of_arguments(fcinfo)));
}

static char *put(char *at, const void *value, size_t bytes)
{
    memcpy(at, value, bytes);
    return at + bytes;
}

/* hail.hexagon_ewkb(cell, size) -> bytea: the cell as EWKB in the machine's byte order, which the EWKB names
 */
Datum hail_hexagon_ewkb(PG_FUNCTION_ARGS)
{
    HexCell cell = hexgrid_unpack(PG_GETARG_INT64(0));
    double size_m = PG_GETARG_FLOAT8(1);
    HexPoint corners[6];
    const uint32 header[4] = {WKB_POLYGON | EWKB_HAS_SRID, SRID_WGS84, 1, HEXAGON_POINTS};
    Size bytes = VARHDRSZ + 1 + sizeof(header) + HEXAGON_POINTS * 2 * sizeof(double);
    bytea *result = palloc(bytes);
    char *at = VARDATA(result);

    check_size(size_m);
    hexgrid_corners(cell, size_m, corners);
    SET_VARSIZE(result, bytes);
#ifdef WORDS_BIGENDIAN
    *at++ = 0;
#else
    *at++ = 1;
#endif
    at = put(at, header, sizeof(header));
    for (int k = 0; k < HEXAGON_POINTS; k++) {
        at = put(at, &corners[k % 6].lng, sizeof(double));
        at = put(at, &corners[k % 6].lat, sizeof(double));
    }
    PG_RETURN_BYTEA_P(result);
}

/* hail.hexagon_neighbours(cell) -> the six cells around it, from the north counter-clockwise */
Datum hail_hexagon_neighbours(PG_FUNCTION_ARGS)
{
    HexCell neighbours[6];

    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;

    hexgrid_neighbours(hexgrid_unpack(PG_GETARG_INT64(0)), neighbours);
    for (int k = 0; k < 6; k++) {
        Datum value = Int64GetDatum(hexgrid_pack(neighbours[k]));
        bool null = false;

        tuplestore_putvalues(result->setResult, result->setDesc, &value, &null);
    }
    return (Datum)0;
}

PG_FUNCTION_INFO_V1(hail_hexagon_metres);
PG_FUNCTION_INFO_V1(hail_hexagon_ranges);

/* hail.hexagon_metres(cell, size, lat, lng) */
Datum hail_hexagon_metres(PG_FUNCTION_ARGS)
{
    double size_m = PG_GETARG_FLOAT8(1), lat = PG_GETARG_FLOAT8(2), lng = PG_GETARG_FLOAT8(3);

    check_size(size_m);
    check_place(lat, lng);
    PG_RETURN_FLOAT8(hexgrid_distance(hexgrid_unpack(PG_GETARG_INT64(0)), size_m, lat, lng));
}

/* hail.hexagon_ranges(lat, lng, radius_m, size): numbers of cells ascend by column first, then by row, rows
 * south of the equator last. */
Datum hail_hexagon_ranges(PG_FUNCTION_ARGS)
{
    double lat = PG_GETARG_FLOAT8(0), lng = PG_GETARG_FLOAT8(1), size_m = PG_GETARG_FLOAT8(3);
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    int32_t ranges[2][2];
    int count;

    check_place(lat, lng);
    check_size(size_m);
    InitMaterializedSRF(fcinfo, 0);
    count = hexgrid_columns(lat, lng, PG_GETARG_FLOAT8(2), size_m, ranges);
    for (int i = 0; i < count; i++) {
        Datum values[2] = {Int64GetDatum(hexgrid_pack((HexCell){ranges[i][0], 0})),
                           Int64GetDatum(hexgrid_pack((HexCell){ranges[i][1], -1}))};
        bool nulls[2] = {false, false};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}
