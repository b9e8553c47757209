#!/usr/bin/env bash
# The SQL tests of the ledger with every server process under valgrind: memory errors with a frame of pg_hail.so in their stack fail.
# TESTS names others (test/regress/schedule). About five minutes; statements take 20 to 50 times as long.
#
# PostgreSQL as packaged does not tell valgrind of its memory contexts: what is seen is use of memory never written or no longer
# mapped, and system calls given such memory, not a write beyond a chunk of palloc. scripts/valgrind.supp leaves out what PostgreSQL
# does knowingly: padding in WAL records, pages, statistics and messages.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is not installed" >&2; exit 2; }
: "${PG_CONFIG:=pg_config}"
export PG_CONFIG
logs=$(mktemp -d "${TMPDIR:-/tmp}/pg_hail_valgrind.XXXXXX")
chmod 777 "$logs"
trap 'rm -rf "$logs"' EXIT
cp scripts/valgrind.supp "$logs/supp" && chmod 644 "$logs/supp"
cat >"$logs/postgres" <<END
#!/bin/sh
exec valgrind --quiet --trace-children=yes --leak-check=no --track-origins=no --num-callers=40 --error-limit=no --fullpath-after= \\
    --suppressions="$logs/supp" --log-file="$logs/%p.log" "$("$PG_CONFIG" --bindir)/postgres" "\$@"
END
chmod 755 "$logs/postgres"
status=0
HAIL_POSTGRES=$logs/postgres TESTS=${TESTS:-$(sed -n 's/^test: //p' test/regress/schedule | tr ' ' '\n' | grep -E '^(install|base|identity|ledger.*)$' | tr '\n' ' ')} \
    test/regress/run || status=1
# A report is a block of lines; ours has a frame of the library.
cat "$logs"/*.log | sed 's/^==[0-9]*== \?//; s/^\*\*[0-9]*\*\* \?//' | awk 'BEGIN { RS = ""; ORS = "\n\n" } /pg_hail\.so|src\/(base|geo|live|history|pricing|dispatch|ledger|events|identity|worker)\/[a-z0-9_]+\.c:/' >"$logs/ours"
found=$(grep -c -E '^(Invalid|Conditional|Use of|Syscall|Source and|Jump|Process terminating)' "$logs/ours" || true)
echo "valgrind: $(ls "$logs"/*.log | wc -l) processes, $(cat "$logs"/*.log | grep -c -E '== (Invalid|Conditional|Use of|Syscall)' || true) reports, $found with frames of pg_hail"
if [ "$found" != 0 ]; then
    cat "$logs/ours"
    status=1
fi
exit $status
