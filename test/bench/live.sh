# live: where drivers are. Nearest-driver search and position reports against Redis, PostGIS and a bare statement.

start_redis() {
    REDIS=$BENCH_TMP/redis.sock
    redis-server --port 0 --unixsocket "$REDIS" --save '' --appendonly no --dir "$BENCH_TMP" >"$BENCH_TMP/redis.log" 2>&1 &
    BENCH_PIDS+=($!)
    local n
    for n in $(seq 100); do [ "$(redis-cli -s "$REDIS" ping 2>/dev/null)" = PONG ] && return; sleep 0.1; done
    tail -5 "$BENCH_TMP/redis.log" >&2
    return 1
}

redis_rate() {
    "$BENCH_BUILD/redis_load" "$REDIS" "$1" "$BENCH_CLIENTS" "$BENCH_SECONDS" "$BENCH_SEED" "$BENCH_TMP/points"
}

# Every query asks at a random place of the same square of 0.1 degrees around the centre (as redis_load does).
live_scripts() {
    cat >"$BENCH_TMP/nearest.sql" <<'SQL'
\set lat 41.10 + random(0, 100000) / 1000000.0
\set lng -8.66 + random(0, 100000) / 1000000.0
SELECT * FROM hail.nearby_drivers(:lat, :lng, 2000, 50);
SQL
    cat >"$BENCH_TMP/knn.sql" <<'SQL'
\set lat 41.10 + random(0, 100000) / 1000000.0
\set lng -8.66 + random(0, 100000) / 1000000.0
SELECT id, ST_Distance(place, p.here, false), lat, lng
FROM bench.positions, (SELECT ST_SetSRID(ST_MakePoint(:lng, :lat), 4326)::geography AS here) p
WHERE ST_DWithin(place, p.here, 2000, false) ORDER BY place <-> p.here LIMIT 50;
SQL
    echo 'SELECT 1;' >"$BENCH_TMP/one.sql"
    # the driver's place (bench.place), moved by up to 0.001 degrees: below any jump that would be refused
    cat >"$BENCH_TMP/report.sql" <<'SQL'
\set n random(1, :drivers)
\set lat 41.03 + 0.12 * ((:n * 618033) % 1000003 + (:n * 414213) % 999983) / 1000000.0 + random(-1000, 1000) / 1000000.0
\set lng -8.73 + 0.12 * ((:n * 236067) % 1000003 + (:n * 732050) % 999983) / 1000000.0 + random(-1000, 1000) / 1000000.0
\set digits 100000000000 + :n
SELECT hail.report_location(('00000000-0000-7000-8000-' || :digits)::uuid, :lat, :lng);
SQL
    cat >"$BENCH_TMP/batch.sql" <<'SQL'
\set b random(1, 100)
SELECT hail.report_locations(ids, lats, lngs) FROM bench.batches WHERE n = :b;
SQL
    cat >"$BENCH_TMP/update.sql" <<'SQL'
\set n random(1, :drivers)
\set lat 41.15 + random(-100000, 100000) / 1000000.0
\set lng -8.61 + random(-100000, 100000) / 1000000.0
UPDATE bench.positions SET lat = :lat, lng = :lng, place = ST_SetSRID(ST_MakePoint(:lng, :lat), 4326)::geography WHERE n = :n;
SQL
}

# Our answers against brute force over the same points, at 20 places: a benchmark of a wrong answer is worth nothing.
check_answers() {
    sql -At <<'SQL'
SELECT CASE WHEN bool_and(same) THEN 'same answers as brute force at 20 places'
            ELSE 'WARNING: answers differ from brute force' END
FROM (SELECT (SELECT array_agg(d.driver_id ORDER BY d.distance_m, d.driver_id) FROM hail.nearby_drivers(lat, lng, 2000, 50) d)
             IS NOT DISTINCT FROM
             (SELECT array_agg(b.id ORDER BY b.metres, b.id) FROM
                (SELECT id, ST_DistanceSphere(ST_MakePoint(p.lng, p.lat), ST_MakePoint(c.lng, c.lat)) AS metres
                 FROM bench.points p ORDER BY 2, 1 LIMIT 50) b WHERE b.metres <= 2000) AS same
      FROM (SELECT 41.12 + 0.003 * n AS lat, -8.64 + 0.003 * n AS lng FROM generate_series(1, 20) n) c) answers;
SQL
}

bench_live() {
    local nearest report batch redis_nearest redis_report redis_batch
    live_scripts
    bench_drivers || return 1
    start_redis || return 1
    sql -Atc 'COPY (SELECT id, lat, lng FROM bench.points ORDER BY n) TO STDOUT' | tr '\t' ' ' >"$BENCH_TMP/points"
    redis_rate load >/dev/null || return 1
    sql >/dev/null <<'SQL'
CREATE TABLE bench.positions AS
SELECT n, id, lat, lng, ST_SetSRID(ST_MakePoint(lng, lat), 4326)::geography AS place FROM bench.points;
ALTER TABLE bench.positions ADD PRIMARY KEY (n);
CREATE INDEX ON bench.positions USING gist (place);
VACUUM ANALYZE bench.positions;
-- 100 batches of 1,000 reports each, every position a little off its place
CREATE TABLE bench.batches AS
SELECT b AS n, array_agg(id) AS ids, array_agg(lat + 0.001 * random()) AS lats, array_agg(lng + 0.001 * random()) AS lngs
FROM generate_series(1, 100) b, LATERAL (SELECT * FROM bench.points WHERE n % 100 = b % 100 ORDER BY n LIMIT 1000) p GROUP BY b;
ALTER TABLE bench.batches ADD PRIMARY KEY (n);
SQL
    place_drivers && check_answers | sed 's/^/  /'
    nearest=$(pgbench_rate "$BENCH_TMP/nearest.sql") || return 1
    redis_nearest=$(redis_rate nearest)
    row 'nearest 50 within 2 km' "$nearest" per_s 'Redis GEOSEARCH' "$redis_nearest"
    row 'nearest 50 within 2 km' "$nearest" per_s 'PostGIS KNN' "$(pgbench_rate "$BENCH_TMP/knn.sql")"
    row 'nearest 50 within 2 km' "$nearest" per_s 'SELECT 1' "$(pgbench_rate "$BENCH_TMP/one.sql")"
    report=$(pgbench_rate "$BENCH_TMP/report.sql" -D drivers="$BENCH_DRIVERS") || return 1
    redis_report=$(redis_rate report)
    row 'position report' "$report" per_s 'Redis GEOADD' "$redis_report"
    row 'position report' "$report" per_s 'UPDATE of an indexed geography' "$(pgbench_rate "$BENCH_TMP/update.sql" -D drivers="$BENCH_DRIVERS")"
    batch=$(pgbench_rate "$BENCH_TMP/batch.sql") || return 1
    redis_batch=$(redis_rate report1000)
    row 'position reports in batches of 1,000' "$(awk "BEGIN { print 1000 * $batch }")" per_s 'Redis GEOADD pipelined' "$redis_batch"
    row 'memory per driver' "$(sql -Atc "SELECT round(memory_bytes::numeric / slots_used, 1) FROM hail.live_stats()")" bytes 'Redis sorted set' \
        "$(awk "BEGIN { print $(redis-cli -s "$REDIS" memory usage drivers samples 0) / $BENCH_DRIVERS }")"
}
