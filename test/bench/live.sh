# live: where drivers are. Nearest-driver search and position reports against Redis, PostGIS and a bare statement.
# Ours and Redis are driven by twin clients (pg_load, redis_load); ours has the same answer columns as its peers.

start_redis() {
    REDIS=$BENCH_TMP/redis.sock
    redis-server --port 0 --unixsocket "$REDIS" --save '' --appendonly no --dir "$BENCH_TMP" >"$BENCH_TMP/redis.log" 2>&1 &
    BENCH_PIDS+=($!)
    local n
    for n in $(seq 100); do [ "$(redis-cli -s "$REDIS" ping 2>/dev/null)" = PONG ] && return; sleep 0.1; done
    tail -5 "$BENCH_TMP/redis.log" >&2
    return 1
}

# ours MODE [CLIENTS [AREA...]], theirs MODE [CLIENTS]: "rate p50 p95 p99" (microseconds), a line a kind of call. Drivers
# report anew before each, as a position older than a minute is not found, and the keeper has written that through.
ours() {
    settle_drivers || return 1
    "$BENCH_BUILD/pg_load" dbname=hail "$1" "${2:-$BENCH_CLIENTS}" "$BENCH_SECONDS" "$BENCH_SEED" "$BENCH_TMP/points" "${@:3}"
}
theirs() {
    "$BENCH_BUILD/redis_load" "$REDIS" "$1" "${2:-$BENCH_CLIENTS}" "$BENCH_SECONDS" "$BENCH_SEED" "$BENCH_TMP/points"
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

settle_drivers() {
    local before
    before=$(sql -Atc 'SELECT hail.clock()')
    place_drivers && wait_until "SELECT min(received_at) >= '$before' FROM hail.driver_positions" 120
}

points_file() {
    sql -Atc "COPY (SELECT id, lat, lng FROM $1 ORDER BY n) TO STDOUT" | tr '\t' ' ' >"$BENCH_TMP/points"
}

bench_searches() {
    local one nearest
    one=$(ours select1) && nearest=$(ours nearest) || return 1
    row 'nearest 50 within 2 km' "$nearest" per_s 'Redis GEOSEARCH' "$(theirs nearest)"
    row 'nearest 50 within 2 km' "$nearest" per_s 'PostGIS KNN' "$(ours knn)"
    row 'nearest 50 within 2 km' "$nearest" per_s 'SELECT 1' "$one"
    row 'nearest 50 within 2 km, all 8 columns' "$(ours nearest_all)" per_s 'SELECT 1' "$one"
    row 'nearest 50 within 2 km, as one row of ids' "$(ours nearest_ids)" per_s 'Redis GEOSEARCH, ids' "$(theirs nearest_ids)"
    row 'nearest 50 within 2 km, as one row of ids' "$(ours nearest_ids)" per_s 'SELECT 1' "$(ours select1)"
    row 'nearest 10 within 5 km' "$(ours ten)" per_s 'Redis GEOSEARCH' "$(theirs ten)"
    row 'nearest 10 within 5 km' "$(ours ten)" per_s 'SELECT 1' "$(ours select1)"
}

bench_reports() {
    local report batch
    report=$(ours report) || return 1
    row 'position report' "$report" per_s 'Redis GEOADD' "$(theirs report)"
    row 'position report' "$report" per_s 'SELECT 1' "$(ours select1)"
    row 'position report' "$report" per_s 'UPDATE of an indexed geography' "$(ours update)"
    batch=$(ours report1000) || return 1
    row 'position reports in batches of 1,000' "$batch" per_s 'Redis GEOADD pipelined' "$(theirs report1000)"
}

# Nine reports to one search, 16 clients, both at once.
bench_mixed() {
    local ours theirs
    mapfile -t ours < <(ours mixed 16)
    mapfile -t theirs < <(theirs mixed 16)
    row 'mixed 9 : 1, 16 clients: reports' "${ours[0]:-}" per_s 'Redis GEOADD' "${theirs[0]:-}"
    row 'mixed 9 : 1, 16 clients: nearest 50' "${ours[1]:-}" per_s 'Redis GEOSEARCH' "${theirs[1]:-}"
}

# Twenty drivers spread over a circle of 50 km in mid ocean: the cost must follow the answer, not the area.
bench_sparse() {
    local dense
    sql >/dev/null <<'SQL'
UPDATE bench.points SET lat = 30 + 0.4 * sin(n), lng = -40 + 0.4 * cos(n * 1.7) WHERE n <= 20;
SELECT hail.live_reset();
SQL
    wait_until_ready && place_drivers || return 1
    dense=$(ours nearest) || return 1
    row 'cost of the nearest 50 within 50 km, 20 there' "$(cost "$(ours wide "" 29.99 -40.01 0.02 0.02)")" us_each \
        'nearest 50 within 2 km of 100,000' "$(cost "$dense")"
}

bench_live() {
    bench_drivers && start_redis || return 1
    points_file bench.points
    theirs load >/dev/null || return 1
    sql >/dev/null <<'SQL'
CREATE TABLE bench.positions AS
SELECT id, lat, lng, ST_SetSRID(ST_MakePoint(lng, lat), 4326)::geography AS place FROM bench.points;
ALTER TABLE bench.positions ADD PRIMARY KEY (id);
CREATE INDEX ON bench.positions USING gist (place);
VACUUM ANALYZE bench.positions;
SQL
    place_drivers && check_answers | sed 's/^/  /'
    bench_searches && bench_reports && bench_mixed || return 1
    row 'memory per driver' "$(sql -Atc 'SELECT round(memory_bytes::numeric / slots, 1) FROM hail.live_stats()')" bytes \
        'Redis sorted set' "$(awk "BEGIN { print $(redis-cli -s "$REDIS" memory usage drivers samples 0) / $BENCH_DRIVERS }")"
    bench_sparse
}
