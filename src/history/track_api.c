/*
 * SQL entry points for tracks. All are internal: pure functions of a recording, that is arrays of one length
 * (lats, lngs, times, accuracies), in order of time. Who may see a track is asked before, in SQL.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "history/track.h"

#define SRID_WGS84      4326
#define WKB_LINE_STRING 2
#define EWKB_HAS_M      0x40000000
#define EWKB_HAS_SRID   0x20000000

PG_FUNCTION_INFO_V1(hail_track_length_m);
PG_FUNCTION_INFO_V1(hail_track_stops);
PG_FUNCTION_INFO_V1(hail_track_ewkb);
PG_FUNCTION_INFO_V1(hail_place_between);

/* Seconds since 1970, exact to the microsecond for the times of this age. */
static double unix_seconds(TimestampTz at)
{
    return (double)(at + SECS_PER_DAY * USECS_PER_SEC * (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) /
           USECS_PER_SEC;
}

static TimestampTz from_unix_seconds(double seconds)
{
    return (TimestampTz)llrint(seconds * USECS_PER_SEC) -
           SECS_PER_DAY * USECS_PER_SEC * (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);
}

/* Elements of a one-dimensional array without NULLs, of fixed-length elements; `nulls` NULL: none allowed. */
static int array_elements(FunctionCallInfo fcinfo, int argument, Datum **values, bool **nulls)
{
    ArrayType *array = PG_GETARG_ARRAYTYPE_P(argument);
    bool four = ARR_ELEMTYPE(array) == FLOAT4OID;
    int count;

    if (nulls == NULL && ARR_HASNULL(array) && array_contains_nulls(array))
        elog(ERROR, "a position of a track is null");
    deconstruct_array(array, ARR_ELEMTYPE(array), four ? 4 : 8, four ? true : FLOAT8PASSBYVAL,
                      four ? TYPALIGN_INT : TYPALIGN_DOUBLE, values, nulls, &count);
    return count;
}

/* The recording in arguments 0 to 3; NULL arrays, which empty aggregates are, are empty. */
static TrackPoint *recording(FunctionCallInfo fcinfo, int *count)
{
    Datum *lats, *lngs, *times, *accuracies;
    bool *unknown;
    TrackPoint *points;

    *count = 0;
    for (int i = 0; i < 4; i++) {
        if (PG_ARGISNULL(i))
            return palloc(sizeof(TrackPoint));
    }
    *count = array_elements(fcinfo, 0, &lats, NULL);
    if (array_elements(fcinfo, 1, &lngs, NULL) != *count ||
        array_elements(fcinfo, 2, &times, NULL) != *count ||
        array_elements(fcinfo, 3, &accuracies, &unknown) != *count)
        elog(ERROR, "arrays of a track differ in length");
    points = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TrackPoint) * (Size)Max(*count, 1));
    for (int i = 0; i < *count; i++)
        points[i] = (TrackPoint){DatumGetFloat8(lats[i]), DatumGetFloat8(lngs[i]),
                                 unix_seconds(DatumGetTimestampTz(times[i])),
                                 unknown[i] ? NAN : DatumGetFloat4(accuracies[i])};
    return points;
}

static void *room_for(int count)
{
    return MemoryContextAllocHuge(CurrentMemoryContext, track_room_bytes(count));
}

/* hail.track_length_m(lats, lngs, times, accuracies) */
Datum hail_track_length_m(PG_FUNCTION_ARGS)
{
    int count;
    TrackPoint *points = recording(fcinfo, &count);

    PG_RETURN_FLOAT8(track_length_m(points, count, room_for(count)));
}

/* hail.track_stops(lats, lngs, times, accuracies, radius_m, min_duration_s) -> a row for each stop */
Datum hail_track_stops(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    int count, found;
    TrackPoint *points;
    TrackStop *stops;

    InitMaterializedSRF(fcinfo, 0);
    points = recording(fcinfo, &count);
    stops = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TrackStop) * (Size)Max(count, 1));
    found = track_stops(points, count, PG_GETARG_FLOAT8(4), PG_GETARG_FLOAT8(5), stops, room_for(count));
    for (int i = 0; i < found; i++) {
        Datum values[5] = {Float8GetDatum(stops[i].lat), Float8GetDatum(stops[i].lng),
                           TimestampTzGetDatum(from_unix_seconds(stops[i].started_at)),
                           TimestampTzGetDatum(from_unix_seconds(stops[i].ended_at)),
                           Int32GetDatum(stops[i].points)};
        bool nulls[5] = {false};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}

/*
 * hail.track_ewkb(lats, lngs, times, accuracies, tolerance_m) -> bytea: a LineStringM, whose M is seconds
 * since 1970, in the machine's byte order; NULL with fewer than two points. tolerance_m NULL: as recorded.
 */
Datum hail_track_ewkb(PG_FUNCTION_ARGS)
{
    int count;
    TrackPoint *points = recording(fcinfo, &count);
    uint32 header[3] = {WKB_LINE_STRING | EWKB_HAS_M | EWKB_HAS_SRID, SRID_WGS84, 0};
    bytea *result;
    char *at;

    if (!PG_ARGISNULL(4))
        count = track_simplify(points, count, PG_GETARG_FLOAT8(4), room_for(count));
    if (count < 2)
        PG_RETURN_NULL();
    result = palloc(VARHDRSZ + 1 + sizeof(header) + (Size)count * 3 * sizeof(double));
    at = VARDATA(result);
#ifdef WORDS_BIGENDIAN
    *at++ = 0;
#else
    *at++ = 1;
#endif
    header[2] = (uint32)count;
    memcpy(at, header, sizeof(header));
    at += sizeof(header);
    for (int i = 0; i < count; i++) {
        double xym[3] = {points[i].lng, points[i].lat, points[i].time};

        memcpy(at, xym, sizeof(xym));
        at += sizeof(xym);
    }
    SET_VARSIZE(result, at - (char *)result);
    PG_RETURN_BYTEA_P(result);
}

/* hail.place_between(lat1, lng1, lat2, lng2, fraction) -> (lat, lng) */
Datum hail_place_between(PG_FUNCTION_ARGS)
{
    double lat, lng;
    Datum values[2];
    bool nulls[2] = {false, false};
    TupleDesc description;

    track_place_between(PG_GETARG_FLOAT8(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), PG_GETARG_FLOAT8(3),
                        PG_GETARG_FLOAT8(4), &lat, &lng);
    if (get_call_result_type(fcinfo, NULL, &description) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    values[0] = Float8GetDatum(lat);
    values[1] = Float8GetDatum(lng);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(description), values, nulls)));
}
