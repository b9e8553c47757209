/*
 * Rows of hail.drivers and hail.driver_positions in the index's own types.
 *
 * Statements select LIVE_ROW_COLUMNS and LIVE_POSITION_COLUMNS first, so that columns are read by number. A
 * trigger gets the table's own rows: its columns are found by name, once for each form of the table.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "executor/spi.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "live/live_mode.h"

enum {
    C_ID,
#define AS_NUMBER(column) C_##column,
    LIVE_ROW_FIELDS(AS_NUMBER)
#undef AS_NUMBER
        ROW_COLUMNS
};

enum { P_LAT, P_LNG, P_HEADING, P_SPEED, P_ACCURACY, P_RECORDED_AT, P_RECEIVED_AT, POSITION_COLUMNS };

static const char *const row_columns[ROW_COLUMNS] = {"id",
#define AS_NAME(column) #column,
                                                     LIVE_ROW_FIELDS(AS_NAME)
#undef AS_NAME
};

#define MAX_COLUMNS 64

static int64 integer_or_0(const Datum *values, const bool *nulls, int column)
{
    return nulls[column] ? 0 : DatumGetInt32(values[column]);
}

static TimestampTz time_or_0(const Datum *values, const bool *nulls, int column)
{
    return nulls[column] ? 0 : DatumGetTimestampTz(values[column]);
}

static float share(int64 part, int64 whole)
{
    return whole > 0 ? (float)((double)part / (double)whole) : 1; /* nothing known against it */
}

static bool text_is(Datum value, const char *word)
{
    struct varlena *text = (struct varlena *)DatumGetPointer(value);
    size_t length = strlen(word);

    return VARSIZE_ANY_EXHDR(text) == length && memcmp(VARDATA_ANY(text), word, length) == 0;
}

static void fill_row(const Datum *values, const bool *nulls, LiveRow *row)
{
    memset(row, 0, sizeof(*row));
    row->driver_id = *DatumGetUUIDP(values[C_ID]);
    if (!nulls[C_trip_id])
        row->trip_id = *DatumGetUUIDP(values[C_trip_id]);
    row->version = DatumGetInt64(values[C_version]);
    row->class_mask = DatumGetInt64(values[C_class_mask]);
    row->area_mask = (uint64)DatumGetInt64(values[C_area_mask]);
    row->cooldown_until = time_or_0(values, nulls, C_cooldown_until);
    row->idle_since = time_or_0(values, nulls, C_idle_since);
    row->rating = DatumGetFloat4(values[C_rating]);
    row->vehicle_score = DatumGetFloat4(values[C_vehicle_score]);
    row->acceptance =
        share(integer_or_0(values, nulls, C_offers_accepted), integer_or_0(values, nulls, C_offers_total));
    row->completion =
        share(integer_or_0(values, nulls, C_trips_completed), integer_or_0(values, nulls, C_trips_total));
    row->region_id = DatumGetInt16(values[C_region_id]);
    row->job_capacity = (uint8)DatumGetInt16(values[C_job_capacity]);
    row->active_jobs = (uint8)Min(DatumGetInt16(values[C_active_jobs]), PG_UINT8_MAX);
    row->online = DatumGetBool(values[C_online]);
    row->approved = text_is(values[C_status], "approved");
}

static float real_or_nan(const Datum *values, const bool *nulls, int column)
{
    return nulls[column] ? NAN : DatumGetFloat4(values[column]);
}

/* The values begin with the driver's id, those of the position at number `at`. */
static bool fill_position(const Datum *values, const bool *nulls, int at, LiveReport *out)
{
    if (nulls[at + P_LAT])
        return false;
    out->driver_id = *DatumGetUUIDP(values[C_ID]);
    out->lat = DatumGetFloat8(values[at + P_LAT]);
    out->lng = DatumGetFloat8(values[at + P_LNG]);
    out->heading = real_or_nan(values, nulls, at + P_HEADING);
    out->speed = real_or_nan(values, nulls, at + P_SPEED);
    out->accuracy = real_or_nan(values, nulls, at + P_ACCURACY);
    out->recorded_at = DatumGetTimestampTz(values[at + P_RECORDED_AT]);
    out->received_at = DatumGetTimestampTz(values[at + P_RECEIVED_AT]);
    return true;
}

/* Numbers, from 0, of our columns in rows of hail.drivers; found again when the table has changed its form.
 */
static const int *columns_of_table(TupleDesc desc)
{
    static int numbers[ROW_COLUMNS], attributes = 0;
    static Oid type = InvalidOid;

    if (type == desc->tdtypeid && attributes == desc->natts)
        return numbers;
    type = InvalidOid;
    for (int c = 0; c < ROW_COLUMNS; c++) {
        numbers[c] = SPI_fnumber(desc, row_columns[c]) - 1;
        if (numbers[c] < 0)
            elog(ERROR, "table hail.drivers has no column \"%s\"", row_columns[c]);
    }
    type = desc->tdtypeid;
    attributes = desc->natts;
    return numbers;
}

void live_row_from_table(HeapTuple tuple, TupleDesc desc, LiveRow *row)
{
    const int *numbers = columns_of_table(desc);
    Datum all[MAX_COLUMNS], values[ROW_COLUMNS];
    bool all_nulls[MAX_COLUMNS], nulls[ROW_COLUMNS];

    if (desc->natts > MAX_COLUMNS)
        elog(ERROR, "table hail.drivers has %d columns", desc->natts);
    heap_deform_tuple(tuple, desc, all, all_nulls);
    for (int c = 0; c < ROW_COLUMNS; c++) {
        values[c] = all[numbers[c]];
        nulls[c] = all_nulls[numbers[c]];
    }
    fill_row(values, nulls, row);
}

static void deform_result(uint64 row, Datum *values, bool *nulls)
{
    if (SPI_tuptable->tupdesc->natts > MAX_COLUMNS)
        elog(ERROR, "result of %d columns", SPI_tuptable->tupdesc->natts);
    heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values, nulls);
}

void live_result_row(uint64 row, LiveRow *out)
{
    Datum values[MAX_COLUMNS];
    bool nulls[MAX_COLUMNS];

    deform_result(row, values, nulls);
    fill_row(values, nulls, out);
}

bool live_result_both(uint64 row, LiveRow *out, LiveReport *position, Datum *further)
{
    Datum values[MAX_COLUMNS];
    bool nulls[MAX_COLUMNS];

    deform_result(row, values, nulls);
    fill_row(values, nulls, out);
    *further = values[ROW_COLUMNS + POSITION_COLUMNS];
    return fill_position(values, nulls, ROW_COLUMNS, position);
}

void live_result_position(uint64 row, LiveReport *out)
{
    Datum values[MAX_COLUMNS];
    bool nulls[MAX_COLUMNS];

    deform_result(row, values, nulls);
    (void)fill_position(values, nulls, 1, out);
}
