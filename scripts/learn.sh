#!/usr/bin/env bash
# ETAs learn from a CSV file of past trips, plain or gzipped:
#
#   learn.sh TRIPS.csv[.gz] REGION
#
#   Columns by the names in the header, in any order, others are ignored: pickup_ts, pickup_lat, pickup_lng,
#   dropoff_lat, dropoff_lng; duration_s or dropoff_ts; distance_m (driven) if known. Also understood: names with
#   _ts_local or _ts_utc, trip_duration_s, path_m, trip_distance_mi, trip_distance_km, _latitude, _longitude.
#   TIMES=local|utc  zone of times whose column does not say (local: the region's); unix seconds and offsets are clear
#   BAD=FILE         gets the lines from which nothing is learnt, with number and reason (default: NAME.bad, here)
#
# The database is psql's (PGHOST, PGPORT, PGDATABASE, ...), its user a superuser or an administrator. Trips are learnt
# in order of time, after those that wait already; a file learnt twice counts twice. Fails when no line is good.
set -euo pipefail
[ $# = 2 ] || { sed -n '2,16p' "$0" >&2; exit 2; }
csv=$1 region=$2
here=$(cd "$(dirname "$0")" && pwd)
. "$here/csv.sh"
[ -r "$csv" ] || { echo "learn.sh: cannot read $csv" >&2; exit 1; }
case ${TIMES:=local} in local | utc) ;; *) echo "learn.sh: TIMES is local or utc" >&2; exit 2 ;; esac
name=$(basename "$csv")
: "${BAD:=${name%.gz}.bad}"
export PGCLIENTENCODING=LATIN1 # any byte is a character
query() { psql -qXAt -v ON_ERROR_STOP=1 -v region="$region" "$@"; }

timezone=$(query <<<"SELECT timezone FROM hail.regions WHERE code = :'region'")
[ -n "$timezone" ] || { echo "learn.sh: there is no region $region" >&2; exit 1; }

found=$(mktemp) reached=$(mktemp)
trap 'rm -f "$found" "$reached"' EXIT
{
    csv_table eta_lines "$csv"
    cat "$here/eta_csv.sql" - <<'SQL'
-- In order of time, ten thousand at once; what is refused, by its line.
CREATE TEMP TABLE refused AS
SELECT c.lines[r.n] AS n, r.reason
FROM (SELECT t.chunk, array_agg(t.n ORDER BY t.nth) AS lines, array_agg(t.started_at ORDER BY t.nth) AS started_at,
             array_agg(t.from_lat ORDER BY t.nth) AS from_lat, array_agg(t.from_lng ORDER BY t.nth) AS from_lng,
             array_agg(t.to_lat ORDER BY t.nth) AS to_lat, array_agg(t.to_lng ORDER BY t.nth) AS to_lng,
             array_agg(t.duration_s ORDER BY t.nth) AS duration_s, array_agg(t.distance_m ORDER BY t.nth) AS distance_m
      FROM (SELECT *, row_number() OVER o AS nth, (row_number() OVER o - 1) / 10000 AS chunk FROM eta_trips
            WHERE reason IS NULL WINDOW o AS (ORDER BY started_at, n)) t
      GROUP BY t.chunk ORDER BY t.chunk) c,
     LATERAL hail.queue_eta_trips(:'region', c.started_at, c.from_lat, c.from_lng, c.to_lat, c.to_lng, c.duration_s, c.distance_m) r
UNION ALL SELECT n, reason FROM eta_trips WHERE reason IS NOT NULL;
SELECT count(*) AS lines, (SELECT count(*) FROM refused) AS bad, count(*) > (SELECT count(*) FROM refused) AS some FROM eta_trips \gset
\o :bad_file
SELECT format(E'%s\t%s\t%s', n, reason, line) FROM refused JOIN eta_lines USING (n) ORDER BY n;
\o
SELECT format('line %s: %s', n, reason) FROM refused ORDER BY n LIMIT 20;
SELECT format('... %s more', :bad - 20) WHERE :bad > 20;
\warn :region: :lines lines, :bad of them teach nothing
\if :some
\else
    SELECT pg_temp.stop('no line is good');
\endif
SQL
    csv_reached "$reached"
} | query -v timezone="$timezone" -v times="$TIMES" -v bad_file="$found" >&2
[ -s "$reached" ] || { echo "learn.sh: psql did not read $csv to its end" >&2; exit 1; }
if [ -s "$found" ]; then
    cat "$found" >"$BAD" # written, never removed: it may be a device
    echo "learn.sh: lines that teach nothing are in $BAD" >&2
fi

learnt=0 more=t
while [ "$more" = t ]; do
    n=$(query -c 'SELECT hail.learn_eta(10000)')
    more=$(query -c 'SELECT hail.eta_trips_wait()')
    learnt=$((learnt + n))
done
echo "$region: $learnt trips learnt" # fewer than were good: the keeper has learnt the others
