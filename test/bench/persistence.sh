# persistence: what writing positions through costs and leaves behind. Every driver moves 25 m at a time (3 seconds of
# driving), straight on in a direction of its own, as fast as the keeper writes; autovacuum is on.
#   BENCH_PERSISTENCE_SECONDS   how long (60)

: "${BENCH_PERSISTENCE_SECONDS:=60}"

# move_drivers ROUND: all of them report, in batches of 1,000
move_drivers() {
    sql -v k="$1" >/dev/null <<'SQL'
SELECT sum(hail.report_locations(ids, lats, lngs))
FROM (SELECT array_agg(id) AS ids, array_agg(lat + :k * 25 * sin(n) / 111195) AS lats,
             array_agg(lng + :k * 25 * cos(n) / 111195 / cos(radians(lat))) AS lngs FROM bench.points GROUP BY n / 1000) batches;
SQL
}

# All is written that was reported before; judged by every hundredth driver.
all_written() {
    local since=$1
    while [ "$(sql -Atc "SELECT count(*) FROM bench.points p LEFT JOIN hail.driver_positions d ON d.driver_id = p.id
                         WHERE p.n % 100 = 0 AND (d.received_at >= '$since') IS NOT TRUE")" != 0 ]; do sleep 0.02; done
}

position_sizes() {
    sql -AtF ' ' -c "SELECT pg_relation_size('hail.driver_positions') / 1048576.0, pg_indexes_size('hail.driver_positions') / 1048576.0"
}

bench_persistence() {
    local round=0 start since updates heap_only dead heap index heap_after index_after vacuums
    bench_drivers || return 1
    sql -c "ALTER SYSTEM SET hail.write_through_interval = 10" -c "SELECT pg_reload_conf()" >/dev/null
    since=$(sql -Atc 'SELECT clock_timestamp()')
    place_drivers && all_written "$since" || return 1
    read -r heap index <<<"$(position_sizes)"
    sql -c "SELECT pg_stat_reset_single_table_counters('hail.driver_positions'::regclass)" >/dev/null
    start=$SECONDS
    while [ $((SECONDS - start)) -lt "$BENCH_PERSISTENCE_SECONDS" ]; do
        round=$((round + 1))
        since=$(sql -Atc 'SELECT clock_timestamp()')
        move_drivers $round && all_written "$since" || return 1
    done
    start=$((SECONDS - start))
    sql -c "ALTER SYSTEM RESET hail.write_through_interval" -c "SELECT pg_reload_conf()" >/dev/null
    sleep 2 # the counts of other processes come late
    read -r updates heap_only dead vacuums <<<"$(sql -AtF ' ' -c "SELECT n_tup_upd, n_tup_hot_upd, n_dead_tup, autovacuum_count
        FROM pg_stat_user_tables WHERE relid = 'hail.driver_positions'::regclass")"
    read -r heap_after index_after <<<"$(position_sizes)"
    echo "  $round rounds in $start s: $((round * 3 / 60)) minutes of reports each 3 s; $vacuums autovacuums"
    row 'positions reported and written through' "$(awk "BEGIN { print $updates / $start }")" per_s
    row 'updates that were heap-only' "$(awk "BEGIN { print 100 * $heap_only / $updates }")" percent
    row 'dead rows left, of 100 live ones' "$(awk "BEGIN { print 100 * $dead / $BENCH_DRIVERS }")" rows
    row 'table of positions after' "$heap_after" MB 'before' "$heap"
    row 'its indexes after' "$index_after" MB 'before' "$index"
}
