# scale: the live index from 10,000 to 1,000,000 drivers at one density, in a cluster of its own; and how long the index
# takes to come back after kill -9.

. test/bench/live.sh
: "${BENCH_SCALE:=1000000}"

# scale_drivers FIRST LAST SOUTH WEST: so many drivers at 200 a square kilometre, north-east of a corner
scale_drivers() {
    sql -v first="$1" -v last="$2" -v south="$3" -v west="$4" >/dev/null <<'SQL'
BEGIN;
SELECT setseed(0.4711);
INSERT INTO hail.users (id, name, role) SELECT bench.id(1, n), 'Driver ' || n, 'driver' FROM generate_series(:first, :last) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
SELECT bench.id(1, n), r.id, '{economy}', hail.class_mask('{economy}'), 'approved', true
FROM generate_series(:first, :last) n, hail.regions r WHERE r.code = 'bench';
INSERT INTO bench.points
SELECT n, bench.id(1, n), :south + random() * side / 111195, :west + random() * side / 111195 / cos(radians(:south))
FROM generate_series(:first, :last) n, (SELECT sqrt((:last - :first + 1) / 200.0) * 1000 AS side) s;
COMMIT;
ANALYZE hail.users, hail.drivers, bench.points;
SQL
}

# side COUNT: of the square of so many drivers, degrees of latitude
side() { awk "BEGIN { print sqrt($1 / 200) * 1000 / 111195 }"; }

# searches_in COUNT SOUTH WEST: searches within the square, half a kilometre from its edge at least
searches_in() {
    ours nearest '' $(awk "BEGIN { s = $(side "$1"); print $2 + 0.02 * s, $3 + 0.02 * s, 0.96 * s, 0.96 * s / cos($2 * 3.14159 / 180) }")
}

bench_scale_in_cluster() {
    local small large seconds
    sql -c 'SET client_min_messages = warning; CREATE EXTENSION pg_hail CASCADE' && sql -f test/bench/setup.sql -v seed="$BENCH_SEED" >/dev/null || return 1
    scale_drivers 1 10000 45 5 && place_drivers && points_file bench.points || return 1
    small=$(searches_in 10000 45 5) || return 1
    scale_drivers 10001 "$BENCH_SCALE" 47 8 && place_drivers || return 1
    large=$(searches_in $((BENCH_SCALE - 10000)) 47 8) || return 1
    row "cost of a search among $BENCH_SCALE drivers" "$(cost "$large")" us_each 'among 10,000 at the same density' "$(cost "$small")"
    row "memory per driver, $BENCH_SCALE drivers" "$(sql -Atc 'SELECT round(memory_bytes::numeric / slots, 1) FROM hail.live_stats()')" bytes
    wait_until "SELECT count(*) = $BENCH_SCALE FROM hail.driver_positions" 300 || return 1
    scripts/cluster.sh crash "$BENCH_TMP/scale" && scripts/cluster.sh start "$BENCH_TMP/scale" || return 1
    seconds=$(date +%s.%N)
    wait_until_ready || return 1
    row "rebuild of $BENCH_SCALE drivers after kill -9" "$(awk "BEGIN { print $(date +%s.%N) - $seconds }")" s
    sql -Atc "SELECT 'all ' || count(*) || ' drivers are back' FROM hail.live_drivers" | sed 's/^/  /'
}

bench_scale() {
    echo "hail.max_live_drivers = $BENCH_SCALE" >"$BENCH_TMP/scale.conf"
    scripts/cluster.sh start "$BENCH_TMP/scale" test/bench/bench.conf "$BENCH_TMP/scale.conf" || return 1
    (
        eval "$(scripts/cluster.sh env "$BENCH_TMP/scale")"
        psql -qX -d postgres -c 'CREATE DATABASE hail' && bench_scale_in_cluster
    )
    local status=$?
    scripts/cluster.sh remove "$BENCH_TMP/scale"
    return $status
}
