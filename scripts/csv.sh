# Sourced: a CSV file, plain or gzipped, as data of COPY ... WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02'): one
# column, a row for each line, whatever is in it. A byte order mark is dropped; the last line ends, too.
csv_lines() {
    case $1 in *.gz) gzip -dc "$1" ;; *) cat "$1" ;; esac | tr -d '\r\000\001\002' |
        LC_ALL=C sed -e '1s/^\xEF\xBB\xBF//' -e 's/^\\\.$/\\. /' -e '$a\'
}

# csv_table TABLE FILE: psql commands that make TABLE (n, line) of a file, n from 1; the header is 1.
csv_table() {
    echo "CREATE TEMP TABLE $1 (n integer GENERATED ALWAYS AS IDENTITY, line text);"
    echo "COPY $1 (line) FROM STDIN WITH (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02');"
    csv_lines "$2"
    echo '\.'
}

# csv_reached FILE: the psql command after the last statement; without FILE the script was not run to its end.
csv_reached() {
    printf '\\o %s\n\\qecho reached\n\\o\n' "$1"
}
