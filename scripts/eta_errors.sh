#!/usr/bin/env bash
# How wrong ETAs are: learns from one CSV file of trips, foretells those of another, on a private cluster.
#
#   eta_errors.sh LEARN.csv[.gz] TEST.csv[.gz] TZ
#
#   Columns as for learn.sh; TZ, as America/New_York, is the zone of local times and of the hour of the week.
#   TIMES=local|utc   zone of times whose column does not say
#   NODES=, ROADS=    road network (load_roads.sh, with HOUR_SHIFT=, TIME_FACTOR=): up to ROAD_TRIPS= (1000) test trips
#   JSON=FILE         gets one line of JSON for each method
#
# Three tables of errors: of every line that has places and a time; of those from which trips could be learnt (learn.sh says
# why not from the others: meters left on for a day, a second's drive across town); and of trips of 60 s to 3 h over 100 m
# and more. Methods, all learnt from LEARN:
#   constant speed    the one pace that fits best
#   region average    a power of the distance that fits best
#   hour of week      the pace of the hour of the week
#   learnt, frozen    hail.eta() after LEARN
#   learnt, going on  the same, which learns each trip of TEST once it has ended: at the next full hour
# rmsle: root of the mean squared difference of log(1 + seconds); mape: mean of |error| / true; median_s: median of
# |error|, seconds; coverage: share of trips within low_s .. high_s, which should be 0.8.
set -euo pipefail
[ $# = 3 ] || { sed -n '2,20p' "$0" >&2; exit 2; }
learn=$(realpath "$1") test=$(realpath "$2") timezone=$3
cd "$(dirname "$0")/.."
. scripts/csv.sh
: "${PG_CONFIG:=pg_config}" "${TIMES:=local}" "${JSON:=/dev/null}" "${ROAD_TRIPS:=1000}"
export PG_CONFIG TIMES PGCLIENTENCODING=LATIN1 PGDATABASE=hail
cluster=$(mktemp -d "${TMPDIR:-/tmp}/pg_hail_eta.XXXXXX")
trap 'scripts/cluster.sh remove "$cluster"; rm -f "$cluster.conf" "$cluster.bad"' EXIT
printf '%s\n' "shared_preload_libraries = 'pg_hail'" "hail.database = 'hail'" 'hail.workers = off' 'fsync = off' 'jit = off' \
    "hail.jwt_secret = 'eta-errors-secret-of-32-bytes-or-more'" 'max_wal_size = 2GB' 'log_min_messages = warning' >"$cluster.conf"
rmdir "$cluster"
scripts/cluster.sh start "$cluster" "$cluster.conf"
eval "$(scripts/cluster.sh env "$cluster")"
query() { psql -qXAt -v ON_ERROR_STOP=1 -v timezone="$timezone" -v times="$TIMES" "$@"; }

PGDATABASE=postgres query -c 'CREATE DATABASE hail'
PGOPTIONS='-c client_min_messages=warning' query -c 'CREATE EXTENSION pg_hail CASCADE'
query >/dev/null <<'SQL'
SELECT hail.create_region('errors', 'errors', 'USD', :'timezone', public.ST_MakeEnvelope(-179, -85, 179, 85, 4326));
-- What is counted as answered is read by the keeper first.
SELECT hail.keep();
SQL
# table NAME FILE: a table of the trips of a file, and whether each could teach.
table() {
    {
        csv_table eta_lines "$2"
        cat scripts/eta_csv.sql
        echo "CREATE TABLE $1 AS SELECT row_number() OVER (ORDER BY started_at, n) AS n, started_at, from_lat, from_lng, to_lat, to_lng,
                  duration_s, distance_m, public.ST_DistanceSphere(public.ST_MakePoint(from_lng, from_lat), public.ST_MakePoint(to_lng, to_lat)) AS metres,
                  (extract(isodow FROM started_at AT TIME ZONE :'timezone') * 24 + extract(hour FROM started_at AT TIME ZONE :'timezone'))::integer AS hour
              FROM eta_trips WHERE reason IS NULL AND duration_s > 0 AND from_lat BETWEEN -90 AND 90 AND to_lat BETWEEN -90 AND 90
                               AND from_lng BETWEEN -180 AND 180 AND to_lng BETWEEN -180 AND 180 ORDER BY started_at, n;
              ALTER TABLE $1 ADD teaches boolean, ADD plain boolean;
              UPDATE $1 SET teaches = hail.eta_refusal(from_lat, from_lng, to_lat, to_lng, duration_s) IS NULL
                                      AND coalesce(distance_m, 0) BETWEEN 0 AND 1000000,
                            plain = duration_s BETWEEN 60 AND 10800 AND metres >= 100;
              SELECT format('%s: %s lines, %s trips to learn from', '$1', (SELECT count(*) FROM eta_trips), (SELECT count(*) FROM $1 WHERE teaches));"
    } | query >&2
}
table learnt_from "$learn"
table foretold "$test"
BAD="$cluster.bad" scripts/learn.sh "$learn" errors 2>/dev/null >&2 || { echo "eta_errors.sh: nothing to learn in $learn" >&2; exit 1; }
if [ -n "${NODES:-}" ]; then
    scripts/load_roads.sh errors "$NODES" "$ROADS" >&2
    query -c "UPDATE hail.regions SET road_network = false" # asked by name below
fi

query -v road_trips="$([ -n "${NODES:-}" ] && echo "$ROAD_TRIPS" || echo 0)" >&2 <<'SQL'
CREATE TABLE guesses (method text, nth integer, n bigint, seconds float8, low float8, high float8);
-- Below 200 m the distance says little: all are taken as 200 m.
WITH pace AS (SELECT exp(avg(ln(1 + duration_s) - ln(greatest(metres, 200)))) AS s_per_m,
                     regr_slope(ln(1 + duration_s), ln(greatest(metres, 200))) AS b,
                     regr_intercept(ln(1 + duration_s), ln(greatest(metres, 200))) AS a FROM learnt_from WHERE teaches),
hours AS (SELECT hour, exp(avg(ln(1 + duration_s) - ln(greatest(metres, 200)))) AS s_per_m FROM learnt_from WHERE teaches GROUP BY hour)
INSERT INTO guesses (method, nth, n, seconds)
SELECT m.method, m.nth, t.n, m.seconds - 1
FROM foretold t CROSS JOIN pace p LEFT JOIN hours h USING (hour) CROSS JOIN LATERAL (VALUES
    ('constant speed', 1, p.s_per_m * greatest(t.metres, 200)),
    ('region average', 2, exp(p.a + p.b * ln(greatest(t.metres, 200)))),
    ('hour of week', 3, coalesce(h.s_per_m, p.s_per_m) * greatest(t.metres, 200))) m (method, nth, seconds);
INSERT INTO guesses
SELECT 'learnt, frozen', 4, t.n, g.duration_s, g.low_s, g.high_s
FROM foretold t CROSS JOIN hail.regions r,
     LATERAL hail.guess_eta(r.id, t.from_lat, t.from_lng, t.to_lat, t.to_lng, t.started_at, false) g;
UPDATE hail.regions SET road_network = :road_trips > 0;
INSERT INTO guesses
SELECT 'road network', 6, t.n, g.duration_s, NULL, NULL
FROM (SELECT * FROM foretold ORDER BY hashint8(n) LIMIT :road_trips) t CROSS JOIN hail.regions r,
     LATERAL hail.road_route(r.id, t.from_lat, t.from_lng, t.to_lat, t.to_lng, t.started_at) g;
UPDATE hail.regions SET road_network = false;

-- An hour at a time: foretell its trips, then learn those that have ended by its end.
CREATE INDEX ON foretold (started_at);
ALTER TABLE foretold ADD done boolean NOT NULL DEFAULT false;
CREATE INDEX ON foretold (started_at) WHERE NOT done;
DO $$
DECLARE
    begun timestamptz;
BEGIN
    FOR begun IN SELECT DISTINCT date_trunc('hour', started_at) FROM foretold ORDER BY 1 LOOP
        INSERT INTO guesses
        SELECT 'learnt, going on', 5, t.n, g.duration_s, g.low_s, g.high_s
        FROM foretold t CROSS JOIN hail.regions r,
             LATERAL hail.guess_eta(r.id, t.from_lat, t.from_lng, t.to_lat, t.to_lng, t.started_at, false) g
        WHERE t.started_at >= begun AND t.started_at < begun + interval '1 hour';
        WITH over AS (
            UPDATE foretold t SET done = true WHERE NOT t.done AND t.started_at < begun + interval '1 hour'
               AND t.started_at + make_interval(secs => t.duration_s) < begun + interval '1 hour' RETURNING t.*)
        INSERT INTO hail.eta_samples (region_id, from_lat, from_lng, to_lat, to_lng, started_at, duration_s, distance_m, due_at)
        SELECT r.id, o.from_lat, o.from_lng, o.to_lat, o.to_lng, o.started_at, o.duration_s, o.distance_m, hail.clock()
        FROM over o CROSS JOIN hail.regions r WHERE o.teaches ORDER BY o.started_at, o.n;
        PERFORM hail.learn_eta(100000);
        COMMIT;
    END LOOP;
END
$$;
CREATE TABLE errors AS
SELECT s.scope, g.method, g.nth, count(*) AS trips, round(sqrt(avg((ln(1 + g.seconds) - ln(1 + t.duration_s)) ^ 2))::numeric, 4) AS rmsle,
       round(avg(abs(g.seconds - t.duration_s) / t.duration_s)::numeric, 4) AS mape,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(g.seconds - t.duration_s))::numeric, 1) AS median_s,
       round(avg((t.duration_s BETWEEN g.low AND g.high)::integer)::numeric, 4) AS coverage,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY g.high - g.low)::numeric, 1) AS width_s
FROM guesses g JOIN foretold t USING (n)
     CROSS JOIN LATERAL (VALUES ('every line', true), ('trips to learn from', t.teaches), ('60 s to 3 h, 100 m', t.teaches AND t.plain)) s (scope, holds)
WHERE g.seconds IS NOT NULL AND s.holds GROUP BY s.scope, g.method, g.nth;
-- The same trips as the roads have answered.
INSERT INTO errors
SELECT 'every line', 'learnt, frozen, where roads answer', 7, count(*), sqrt(avg((ln(1 + g.seconds) - ln(1 + t.duration_s)) ^ 2)),
       avg(abs(g.seconds - t.duration_s) / t.duration_s), percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(g.seconds - t.duration_s))
FROM guesses g JOIN foretold t USING (n) JOIN guesses r USING (n)
WHERE g.nth = 4 AND r.nth = 6 AND r.seconds IS NOT NULL HAVING count(*) > 0;
ALTER TABLE errors ADD share numeric NOT NULL DEFAULT 1;
UPDATE errors e SET share = round(e.trips::numeric / nullif((SELECT count(*) FROM guesses g WHERE g.nth = 6), 0), 4) WHERE e.nth >= 6 AND e.scope = 'every line';
DELETE FROM errors WHERE nth >= 6 AND scope <> 'every line';
SQL
query -c "SELECT json_build_object('bench', 'eta', 'scope', scope, 'method', method, 'trips', trips, 'share', share, 'rmsle', round(rmsle, 4),
              'mape', round(mape, 4), 'median_s', round(median_s, 1), 'coverage', coverage, 'width_s', width_s) FROM errors ORDER BY scope, nth" >"$JSON"
psql -qX -P footer=off -c "SELECT scope, method, trips, round(100 * share, 1) AS \"answered %\", round(rmsle, 3) AS rmsle, round(100 * mape, 1) AS \"mape %\",
    round(median_s) AS \"median s\", round(100 * coverage, 1) AS \"coverage %\", round(width_s) AS \"width s\" FROM errors
    ORDER BY scope = 'every line' DESC, scope = 'trips to learn from' DESC, nth" \
    -c "SELECT count(*) AS effects FROM hail.eta_effects"
