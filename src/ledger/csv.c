/* Comma-separated values; see csv.h. */
#include <string.h>

#include "ledger/csv.h"

CsvReader csv_begin(const char *text, size_t length)
{
    CsvReader reader = {text, text + length, 1};

    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        reader.at += 3;
    return reader;
}

/* Length of the line end at `at`; 0: there is none. */
static size_t line_end(const char *at, const char *end)
{
    if (at < end && *at == '\n')
        return 1;
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

static void skip_empty_lines(CsvReader *reader)
{
    size_t length;

    while ((length = line_end(reader->at, reader->end)) > 0) {
        reader->at += length;
        reader->line++;
    }
}

/* A field in quotes, from behind the first one; NULL: fine, and *at is behind the last one. */
static const char *quoted_field(CsvReader *reader, const char **at, char **out, int *lines)
{
    const char *c = *at;

    for (; c < reader->end; c++) {
        if (*c == '"') {
            if (c + 1 >= reader->end || c[1] != '"') {
                *at = c + 1;
                return NULL;
            }
            c++;
        }
        *lines += *c == '\n';
        *(*out)++ = *c;
    }
    return "a quote is not closed";
}

static const char *bare_field(CsvReader *reader, const char **at, char **out)
{
    const char *c = *at;

    for (; c < reader->end && *c != ',' && line_end(c, reader->end) == 0; c++) {
        if (*c == '"')
            return "a quote inside a field without quotes";
        if (*c == '\r')
            return "a carriage return without a line feed";
        *(*out)++ = *c;
    }
    *at = c;
    return NULL;
}

/* The fields of a record; *at is where it ends, *lines the line ends inside of it. */
static const char *read_fields(CsvReader *reader, CsvRecord *record, const char **at, char *out, int *lines)
{
    const char *fault;

    for (;;) {
        bool quoted = *at < reader->end && **at == '"';

        if (record->count == CSV_MAX_FIELDS)
            return "too many fields";
        record->fields[record->count++] = out;
        if (quoted)
            (*at)++;
        fault = quoted ? quoted_field(reader, at, &out, lines) : bare_field(reader, at, &out);
        if (fault != NULL)
            return fault;
        *out++ = '\0';
        if (*at == reader->end || line_end(*at, reader->end) > 0)
            return NULL;
        if (**at != ',')
            return "text behind a closing quote";
        (*at)++;
    }
}

bool csv_next(CsvReader *reader, CsvRecord *record, char *buffer)
{
    const char *at;
    int lines = 0;

    skip_empty_lines(reader);
    if (reader->at == reader->end)
        return false;
    at = reader->at;
    *record = (CsvRecord){.line = reader->line, .raw = reader->at};
    record->fault = read_fields(reader, record, &at, buffer, &lines);
    if (record->fault != NULL) { /* go on behind the line it begins in */
        lines = 0;
        record->count = 0;
        at = memchr(reader->at, '\n', reader->end - reader->at);
        at = at == NULL ? reader->end : at;
        if (at > reader->at && at < reader->end && at[-1] == '\r')
            at--;
    }
    record->raw_length = at - record->raw;
    reader->at = at;
    reader->line += lines;
    if (at < reader->end) {
        reader->at += line_end(at, reader->end);
        reader->line++;
    }
    return true;
}
