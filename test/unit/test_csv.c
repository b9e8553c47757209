/* The strict reader of comma-separated values. */
#include <stdlib.h>

#include "ledger/csv.h"
#include "unit.h"

static CsvReader reader;
static CsvRecord record;
static char buffer[4096];

static void begin(const char *text)
{
    reader = csv_begin(text, strlen(text));
}

static bool next(void)
{
    return csv_next(&reader, &record, buffer);
}

static bool is(int line, int count, const char *first, const char *last)
{
    return next() && record.fault == NULL && record.line == line && record.count == count &&
           strcmp(record.fields[0], first) == 0 && strcmp(record.fields[count - 1], last) == 0;
}

static bool faulty(int line, const char *fault, const char *raw)
{
    return next() && record.fault != NULL && record.line == line && strcmp(record.fault, fault) == 0 &&
           record.raw_length == strlen(raw) && memcmp(record.raw, raw, record.raw_length) == 0;
}

static void fields_and_lines(void)
{
    begin("a,b,c\n1,,3\r\n,\n");
    CHECK(is(1, 3, "a", "c"));
    CHECK(is(2, 3, "1", "3"));
    CHECK(record.fields[1][0] == '\0');
    CHECK(is(3, 2, "", ""));
    CHECK(!next());
    CHECK(!next());
}

static void mark_empty_lines_and_no_last_newline(void)
{
    begin("\xEF\xBB\xBF"
          "a,b\n\r\n\n1,2");
    CHECK(is(1, 2, "a", "b"));
    CHECK(is(4, 2, "1", "2"));
    CHECK(!next());
    begin("");
    CHECK(!next());
    begin("\xEF\xBB\xBF\r\n");
    CHECK(!next());
    begin("x,");
    CHECK(is(1, 2, "x", ""));
}

static void quotes(void)
{
    begin("\"a,b\",\"say \"\"yes\"\"\"\n\"two\r\nlines\n\",x\n\"\",\"\"\nend,1\n");
    CHECK(is(1, 2, "a,b", "say \"yes\""));
    CHECK(is(2, 2, "two\r\nlines\n", "x"));
    CHECK(is(5, 2, "", ""));
    CHECK(is(6, 2, "end", "1"));
    CHECK(!next());
}

static void faults_are_of_their_line(void)
{
    begin("a\"b,1\r\n\"a\"b,2\nok,3\na\rb,4\n\"open,5\nok,6");
    CHECK(faulty(1, "a quote inside a field without quotes", "a\"b,1"));
    CHECK(faulty(2, "text behind a closing quote", "\"a\"b,2"));
    CHECK(is(3, 2, "ok", "3"));
    CHECK(faulty(4, "a carriage return without a line feed", "a\rb,4"));
    CHECK(faulty(5, "a quote is not closed", "\"open,5"));
    CHECK(is(6, 2, "ok", "6"));
    CHECK(!next());
    begin("\"");
    CHECK(faulty(1, "a quote is not closed", "\""));
    CHECK(!next());
    begin("a\r");
    CHECK(faulty(1, "a carriage return without a line feed", "a\r"));
    CHECK(!next());
}

static void too_many_fields(void)
{
    char text[2 * CSV_MAX_FIELDS + 8];

    memset(text, ',', sizeof(text));
    text[CSV_MAX_FIELDS - 1] = '\0';
    begin(text);
    CHECK(next() && record.fault == NULL && record.count == CSV_MAX_FIELDS);
    text[CSV_MAX_FIELDS - 1] = ',';
    text[CSV_MAX_FIELDS] = '\0';
    begin(text);
    CHECK(next() && record.fault != NULL && record.count == 0);
    CHECK(!next());
}

/* Whatever the bytes are, reading ends, stays inside the buffer and counts all lines. */
static void random_bytes(void)
{
    static const char alphabet[] = "ab,\"\n\r,\n\"";
    char text[200];

    srand(7);
    for (int round = 0; round < 20000; round++) {
        int length = rand() % (int)sizeof(text), feeds = 0, records = 0;
        char *room = malloc(length + CSV_MAX_FIELDS + 1);

        for (int i = 0; i < length; i++) {
            text[i] = alphabet[rand() % (sizeof(alphabet) - 1)];
            feeds += text[i] == '\n';
        }
        reader = csv_begin(text, length);
        while (csv_next(&reader, &record, room) && records <= length)
            records++;
        if (records > length || reader.at != reader.end || reader.line != feeds + 1) {
            CHECK(records <= length);
            CHECK(reader.at == reader.end);
            CHECK_INT(reader.line, feeds + 1);
            round = 20000;
        }
        free(room);
    }
}

int main(void)
{
    RUN(fields_and_lines);
    RUN(mark_empty_lines_and_no_last_newline);
    RUN(quotes);
    RUN(faults_are_of_their_line);
    RUN(too_many_fields);
    RUN(random_bytes);
    return unit_result();
}
