/* SQL entry point of the reader of comma-separated values. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "ledger/csv.h"

PG_FUNCTION_INFO_V1(hail_parse_csv);

static Datum field_array(const CsvRecord *record)
{
    Datum fields[CSV_MAX_FIELDS];

    for (int i = 0; i < record->count; i++)
        fields[i] = CStringGetTextDatum(record->fields[i]);
    return PointerGetDatum(construct_array(fields, record->count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* hail.parse_csv(csv) -> line, fields, fault, content: a row for each record. */
Datum hail_parse_csv(PG_FUNCTION_ARGS)
{
    text *csv = PG_GETARG_TEXT_PP(0);
    size_t length = VARSIZE_ANY_EXHDR(csv);
    CsvReader reader = csv_begin(VARDATA_ANY(csv), length);
    char *buffer = palloc_extended(length + CSV_MAX_FIELDS + 1, MCXT_ALLOC_HUGE);
    CsvRecord *record = palloc(sizeof(CsvRecord));
    MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "csv record", ALLOCSET_DEFAULT_SIZES);
    ReturnSetInfo *result;

    InitMaterializedSRF(fcinfo, 0);
    result = (ReturnSetInfo *)fcinfo->resultinfo;
    while (csv_next(&reader, record, buffer)) {
        MemoryContext outer = MemoryContextSwitchTo(row);
        bool faulty = record->fault != NULL;
        Datum values[4] = {Int32GetDatum(record->line), faulty ? (Datum)0 : field_array(record),
                           faulty ? CStringGetTextDatum(record->fault) : (Datum)0,
                           PointerGetDatum(cstring_to_text_with_len(record->raw, record->raw_length))};
        bool nulls[4] = {false, faulty, !faulty, false};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
        MemoryContextSwitchTo(outer);
        MemoryContextReset(row);
        CHECK_FOR_INTERRUPTS();
    }
    return (Datum)0;
}
