/*
 * csv.h
 *    A strict reader of comma-separated values, pure.
 *
 * RFC 4180: fields between commas, records between line ends (LF or CR LF), a field that has commas, quotes
 * or line ends stands in quotes, with quotes doubled. A byte order mark (UTF-8) at the very beginning and the
 * line end of the last record may be there or not; empty lines are no records. Whatever else is a fault of
 * its line, which is told, and reading goes on behind that line.
 */
#ifndef HAIL_LEDGER_CSV_H
#define HAIL_LEDGER_CSV_H

#include <stdbool.h>
#include <stddef.h>

#define CSV_MAX_FIELDS 128

typedef struct CsvReader {
    const char *at, *end; /* what is still to be read */
    int line;             /* number of the line at `at`, from 1 */
} CsvReader;

typedef struct CsvRecord {
    int line;          /* where it begins, from 1 */
    const char *fault; /* what is wrong with it, in words; NULL: nothing */
    const char *raw;   /* the record as it stands, without its line end; of a fault, the line alone */
    size_t raw_length;
    int count;                          /* fields */
    const char *fields[CSV_MAX_FIELDS]; /* in the buffer, each ended by NUL */
} CsvRecord;

/* Begin to read `length` bytes of text that stay where they are. */
extern CsvReader csv_begin(const char *text, size_t length);

/*
 * The next record; false: there is none. `buffer` takes the fields and has room for the rest of the text and
 * CSV_MAX_FIELDS + 1 bytes more.
 */
extern bool csv_next(CsvReader *reader, CsvRecord *record, char *buffer);

#endif
