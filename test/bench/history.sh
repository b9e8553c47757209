# history: positions kept. The drain of the ring into partitions against COPY and single INSERTs of the same rows; the
# ring itself; tracks and places out of a table of BENCH_POINTS positions.
: "${BENCH_POINTS:=5000000}"

history_scripts() {
    local yesterday=$1
    cat >"$BENCH_TMP/insert.sql" <<SQL
\set d random(1, 100000000)
\set s random(1, 80000)
INSERT INTO bench.plain VALUES (md5((:d)::text)::uuid, NULL, 41, -8, 0, 30, 5, '$yesterday'::timestamptz + :s * interval '1 s', '$yesterday');
SQL
    cat >"$BENCH_TMP/append.sql" <<'SQL'
SELECT count(hail.append_history('0192f000-0000-7000-8000-000000000001', NULL, 41, -8.6, '2020-01-01'::timestamptz + n * interval '1 ms'))
FROM generate_series(1, 1000) n;
SQL
    cat >"$BENCH_TMP/track.sql" <<'SQL'
\set n random(1000001, 1001000)
SELECT ST_NPoints(hail.trip_track(bench.trip(:n)));
SQL
    cat >"$BENCH_TMP/place.sql" <<SQL
\set n random(1, :drivers)
\set s random(1, :seconds)
SELECT * FROM hail.driver_position_at(bench.driver(:n), '$yesterday'::timestamptz + :s * interval '1 s');
SQL
}

# fill_and_drain: bench.fixes into the ring while a claim keeps the drain waiting, then the seconds it takes
fill_and_drain() {
    wait_until 'SELECT NOT draining AND waiting_on_trip + waiting_other = 0 FROM hail.history_stats()' || return 1
    sql -At -c 'BEGIN' -c 'SELECT hail.drain_history()' -c 'SELECT bench.fill_ring()' -c 'COMMIT' -c 'SELECT bench.time_drain()' | tail -1
}

# drain_rounds: BENCH_POINTS positions in rounds of as many as the ring takes; prints positions and seconds of each
drain_rounds() {
    local ticks before rounds n=0
    ticks=$((1000000 / BENCH_DRIVERS)); [ $ticks -gt 0 ] || ticks=1
    rounds=$((BENCH_POINTS / (ticks * BENCH_DRIVERS))); [ $rounds -gt 0 ] || rounds=1
    while [ $n -lt $rounds ]; do
        before=$((n * ticks))
        sql -Atc "SELECT bench.make_fixes($BENCH_DRIVERS, $before, $ticks)" >/dev/null || return 1
        echo "$((ticks * BENCH_DRIVERS)) $(fill_and_drain)"
        n=$((n + 1))
    done
}

# copy_rate: bench.fixes once more, by COPY from a file into the plain table: rows a second
copy_rate() {
    local file=$CLUSTER/fixes
    sql -Atc "COPY bench.fixes TO '$file' (FORMAT binary)" || return 1
    sql -At <<SQL
\set ON_ERROR_STOP on
SELECT clock_timestamp() AS began \gset
COPY bench.plain FROM '$file' (FORMAT binary);
SELECT round((SELECT count(*) FROM bench.fixes) / extract(epoch FROM clock_timestamp() - :'began'));
SQL
    rm -f "$file"
}

# latency SCRIPT [OPTION...]: "RATE P50 P95 P99" of one client, microseconds
latency() {
    local script=$1; shift
    rm -f "$BENCH_TMP"/latency.*
    "$PGBENCH" -n -M prepared -c 1 -T "$BENCH_SECONDS" --random-seed="$BENCH_SEED" -l --log-prefix="$BENCH_TMP/latency" \
        -f "$script" "$@" hail >/dev/null 2>"$BENCH_TMP/latency_errors" || { tail -5 "$BENCH_TMP/latency_errors" >&2; return 1; }
    cut -d' ' -f3 "$BENCH_TMP"/latency.* | sort -n | awk '{ v[NR] = $1; sum += $1 }
        END { print 1000000 * NR / sum, v[int(NR * 0.5) + 1], v[int(NR * 0.95) + 1], v[int(NR * 0.99) + 1] }'
}

bench_history() {
    local rounds drain last copy seconds table indexes
    sql -f test/bench/history.sql >/dev/null || return 1
    history_scripts "$(sql -Atc 'SELECT start FROM bench.yesterday')"
    rounds=$(drain_rounds) || return 1
    drain=$(awk '{ n += $1; s += $2 } END { printf "%.0f", n / s }' <<<"$rounds")
    last=$(tail -1 <<<"$rounds" | awk '{ printf "%.0f", $1 / $2 }')
    copy=$(copy_rate) || return 1
    row 'ring drained into partitions, positions' "$drain" per_s 'COPY into an empty table like it' "$copy"
    row 'the same, one INSERT each' "$drain" per_s "INSERT, $BENCH_CLIENTS clients" "$(pgbench_rate "$BENCH_TMP/insert.sql")"
    row "drained into $BENCH_POINTS positions" "$last" per_s
    # as many appends as there is room for in one lane, while a claim keeps the drain waiting
    sql -At -c 'BEGIN' -c 'SELECT hail.drain_history()' -c 'SELECT pg_sleep(20)' >/dev/null 2>&1 &
    local claim=$!
    wait_until 'SELECT draining FROM hail.history_stats()' || return 1
    row "appended to the ring, $BENCH_CLIENTS clients" "$("$PGBENCH" -n -M prepared -c "$BENCH_CLIENTS" -j "$BENCH_THREADS" \
        -t $((1000 / BENCH_CLIENTS)) -f "$BENCH_TMP/append.sql" hail 2>/dev/null | sed -nE 's/^tps = ([0-9.]+).*/\1/p' | awk '{ print $1 * 1000 }')" per_s
    sql -Atc "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)'" >/dev/null
    wait $claim 2>/dev/null
    wait_until 'SELECT NOT draining AND waiting_on_trip + waiting_other = 0 FROM hail.history_stats()' || return 1
    sql -c 'VACUUM ANALYZE hail.location_history'
    sql -v n="$BENCH_DRIVERS" >/dev/null <<'SQL' || return 1
INSERT INTO hail.users (id, name, role) SELECT bench.driver(n), 'Driver ' || n, 'driver' FROM generate_series(0, :n - 1) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status)
SELECT bench.driver(n), r.id, '{economy}', hail.class_mask('{economy}'), 'approved'
FROM generate_series(0, :n - 1) n, hail.regions r WHERE r.code = 'bench';
ANALYZE hail.drivers;
SQL
    seconds=$((BENCH_POINTS / BENCH_DRIVERS * 3)); [ $seconds -gt 0 ] || seconds=3
    row 'track of a trip of 400 positions' "$(latency "$BENCH_TMP/track.sql")" per_s
    row 'where a driver was' "$(latency "$BENCH_TMP/place.sql" -D drivers=$((BENCH_DRIVERS - 1)) -D seconds=$seconds)" per_s
    sql -At -F ' ' <<'SQL' >"$BENCH_TMP/sizes"
SELECT round(pg_table_size(day)::numeric / count(*), 1), round(pg_indexes_size(day)::numeric / count(*), 1)
FROM bench.yesterday, LATERAL (SELECT ('hail.' || hail.partition_name('location_history', hail.utc_day(start)))::regclass AS day) d,
     hail.location_history WHERE recorded_at >= start AND recorded_at < start + interval '1 day' GROUP BY day;
SQL
    read -r table indexes <"$BENCH_TMP/sizes"
    row 'a position in the table' "$table" bytes
    row 'and in its indexes' "$indexes" bytes
}
