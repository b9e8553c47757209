/* Rows without what their reader may not see; see row.h. */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/typcache.h"

#include "base/row.h"

Datum hail_row_without(Datum row, const char *const *columns)
{
    HeapTupleHeader header = DatumGetHeapTupleHeader(row);
    TupleDesc desc =
        lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
    HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
    int numbers[ROW_MAX_HIDDEN], count;
    Datum values[ROW_MAX_HIDDEN] = {0}, result;
    bool nulls[ROW_MAX_HIDDEN];

    for (count = 0; columns[count] != NULL; count++) {
        if (count == ROW_MAX_HIDDEN || SPI_fnumber(desc, columns[count]) <= 0)
            elog(ERROR, "column %s cannot be hidden", columns[count]);
        numbers[count] = SPI_fnumber(desc, columns[count]);
        nulls[count] = true;
    }
    result = HeapTupleGetDatum(heap_modify_tuple_by_cols(&tuple, desc, count, numbers, values, nulls));
    ReleaseTupleDesc(desc);
    return result;
}
