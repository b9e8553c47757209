#!/usr/bin/env bash
# Load a road network for a region from CSV files with headers, plain or gzipped, and use it for estimates:
#
#   load_roads.sh REGION NODES.csv[.gz] ROADS.csv[.gz]
#
#   nodes: node_id, lat, lng
#   roads: from_node, to_node, a length in metres if known (length_m or straight_line_m), and whole seconds: one column
#          `seconds`, or by hour week_00..week_23, sat_00..sat_23, sun_00..sun_23; 0: closed. One line a direction.
#   HOUR_SHIFT=N    column _H is the local hour H + N (0)
#   TIME_FACTOR=F   true travel times over those of the file (hail.learn_road_factor() learns it from trips)
#   SKIP_BAD=1      leave wrong lines out, with a warning each; else nothing is changed when there is one
#   USE=0           load only: hail.set_road_network(REGION, true) switches it on later
#
# The database is psql's (PGHOST, PGPORT, PGDATABASE, ...), its user a superuser or an administrator. All of it is
# one transaction: estimates see the old network or the new one. Needs pgRouting (Debian: postgresql-15-pgrouting).
set -euo pipefail
[ $# = 3 ] || { sed -n '2,16p' "$0" >&2; exit 2; }
region=$1
for file in "$2" "$3"; do
    [ -r "$file" ] || { echo "load_roads.sh: cannot read $file" >&2; exit 1; }
done

here=$(cd "$(dirname "$0")" && pwd)
. "$here/csv.sh"
reached=$(mktemp)
trap 'rm -f "$reached"' EXIT
{
    cat <<'SQL'
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
BEGIN;
SQL
    csv_table nodes_file "$2"
    csv_table roads_file "$3"
    cat <<'SQL'
SELECT format('%s: %s nodes, %s roads loaded', :'region', l.nodes, l.roads)
FROM hail.load_roads(:'region', (SELECT array_agg(line ORDER BY n) FROM nodes_file),
                     (SELECT array_agg(line ORDER BY n) FROM roads_file), :shift, :skip) l;
\if :use
CREATE EXTENSION IF NOT EXISTS pgrouting;
SELECT format('%s: in use, travel times x %s', :'region', n.time_factor)
FROM hail.set_road_network(:'region', true, nullif(:'factor', '')::float8) n;
\endif
COMMIT;
ANALYZE hail.road_nodes, hail.roads;
SQL
    csv_reached "$reached"
} | psql -qXAt -v region="$region" -v shift="${HOUR_SHIFT:-0}" -v factor="${TIME_FACTOR:-}" \
    -v skip="$([ "${SKIP_BAD:-0}" = 1 ] && echo true || echo false)" -v use="$([ "${USE:-1}" = 0 ] && echo false || echo true)"
[ -s "$reached" ] || { echo "load_roads.sh: not loaded: psql did not read the files to their end" >&2; exit 1; }
