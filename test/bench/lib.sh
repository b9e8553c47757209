# What the groups share: the private cluster, measuring, and rows of results.
: "${BENCH_SECONDS:=8}" "${BENCH_CLIENTS:=8}" "${BENCH_DRIVERS:=100000}" "${BENCH_SEED:=4711}" "${BENCH_OUT:=bench.json}"
BENCH_THREADS=$(( BENCH_CLIENTS < $(nproc) ? BENCH_CLIENTS : $(nproc) ))
BENCH_BUILD=$PWD/build/bench

bench_begin() {
    BENCH_TMP=$(mktemp -d "${TMPDIR:-/tmp}/pg_hail_bench.XXXXXX")
    CLUSTER=$BENCH_TMP/cluster
    BENCH_PIDS=()
    trap bench_end EXIT
    chmod 755 "$BENCH_TMP"
    make -s -C test/bench BUILD="$BENCH_BUILD" || exit 1
    echo "hail.max_live_drivers = $((BENCH_DRIVERS))" >"$BENCH_TMP/conf"
    scripts/cluster.sh start "$CLUSTER" test/bench/bench.conf "$BENCH_TMP/conf" || exit 1
    eval "$(scripts/cluster.sh env "$CLUSTER")"
    PGBENCH=$("$PG_CONFIG" --bindir)/pgbench
    [ -x "$PGBENCH" ] || PGBENCH=pgbench
    psql -qX -d postgres -c 'CREATE DATABASE hail' || exit 1
    sql -c 'SET client_min_messages = warning; CREATE EXTENSION pg_hail CASCADE' || exit 1
    sql -f test/bench/setup.sql -v seed="$BENCH_SEED" >/dev/null || exit 1
    printf '%s\n' "seed $BENCH_SEED, $BENCH_CLIENTS clients, $BENCH_THREADS client threads, $BENCH_SECONDS s each," \
        "$BENCH_DRIVERS drivers, $(nproc) cores, PostgreSQL $(sql -Atc 'SHOW server_version'), fsync $(sql -Atc 'SHOW fsync')," \
        "synchronous_commit $(sql -Atc 'SHOW synchronous_commit'), preloaded, workers on"
    : >"$BENCH_TMP/rows"
}

# Only what this run has started is stopped, each by its own id.
bench_end() {
    local pid
    for pid in "${BENCH_PIDS[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    scripts/cluster.sh remove "$CLUSTER"
    rm -rf "$BENCH_TMP"
}

sql() { psql -qX -v ON_ERROR_STOP=1 -d hail "$@"; }

# pgbench_rate SCRIPT [OPTION...]: transactions a second of a pgbench script, prepared statements
pgbench_rate() {
    local script=$1 out; shift
    out=$("$PGBENCH" -n -M prepared -c "$BENCH_CLIENTS" -j "$BENCH_THREADS" -T "$BENCH_SECONDS" \
        --random-seed="$BENCH_SEED" -f "$script" "$@" hail 2>&1) || { echo "$out" | tail -5 >&2; return 1; }
    grep -q 'number of failed transactions: [1-9]' <<<"$out" && { echo "$out" | tail -12 >&2; return 1; }
    sed -nE 's/^tps = ([0-9.]+).*/\1/p' <<<"$out"
}

# pgbench_done SCRIPT COUNT [OPTION...]: the same, for a script that can run COUNT times in all: client c takes numbers
# c * :share + 1, 2, ... in :k
pgbench_done() {
    local script=$1 share=$(($2 / BENCH_CLIENTS)) out; shift 2
    { printf '\\set n :n + 1\n\\set k :client_id * :share + :n\n'; cat "$script"; } >"$script.counted"
    out=$("$PGBENCH" -n -M prepared -c "$BENCH_CLIENTS" -j "$BENCH_THREADS" -t "$share" -D n=0 -D share="$share" \
        --random-seed="$BENCH_SEED" -f "$script.counted" "$@" hail 2>&1) || { echo "$out" | tail -5 >&2; return 1; }
    sed -nE 's/^tps = ([0-9.]+).*/\1/p' <<<"$out"
}

# place_drivers: every driver reports its place, in batches of 1,000
place_drivers() {
    sql >/dev/null <<'SQL'
SELECT sum(hail.report_locations(ids, lats, lngs))
FROM (SELECT array_agg(id) AS ids, array_agg(lat) AS lats, array_agg(lng) AS lngs FROM bench.points GROUP BY n / 1000) batches;
SQL
}

# keep_placing: the same every 20 s until the run ends: trips aren't offered to drivers whose position is a minute old
keep_placing() {
    place_drivers || return 1
    while sleep 20; do place_drivers; done 2>/dev/null &
    BENCH_PIDS+=($!)
}

# bench_drivers: BENCH_DRIVERS approved drivers, online, each at its place. The rows are inserted, positions reported.
bench_drivers() {
    [ "$(sql -Atc 'SELECT count(*) FROM bench.points')" = 0 ] || { place_drivers; return; }
    sql -v n="$BENCH_DRIVERS" >/dev/null <<'SQL'
INSERT INTO hail.users (id, phone, name, role)
SELECT bench.id(1, n), '+1' || (1000000000 + n), 'Driver ' || n, 'driver' FROM generate_series(1, :n) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
SELECT bench.id(1, n), r.id, '{economy}', hail.class_mask('{economy}'), 'approved', true
FROM generate_series(1, :n) n, hail.regions r WHERE r.code = 'bench';
INSERT INTO bench.points SELECT n, bench.id(1, n), p.lat, p.lng FROM generate_series(1, :n) n, bench.place(n) p;
ANALYZE hail.users, hail.drivers, bench.points;
SQL
    place_drivers
}

# wait_until QUERY [SECONDS]: until it answers t
wait_until() {
    local n
    for n in $(seq $((${2:-60} * 20))); do [ "$(sql -Atc "$1" 2>/dev/null)" = t ] && return; sleep 0.05; done
    echo "waited ${2:-60} s in vain: $1" >&2
    return 1
}

wait_until_ready() { wait_until 'SELECT NOT hail.live_warming()'; }

# cost "RATE ...": microseconds an operation took of the machine's time
cost() { awk "BEGIN { print 1000000 / ${1%% *} }"; }

# row NAME VALUE UNIT [PEER PEER_VALUE]: one result, on screen and for bench.json. A value may be followed by its
# latencies: "RATE P50 P95 P99" in microseconds, as the load programs print them.
row() {
    local value p50 p95 p99 peer_value peer_p99
    read -r value p50 p95 p99 <<<"${2:-}"
    read -r peer_value _ _ peer_p99 <<<"${5:-}"
    [ -n "$value" ] || { echo "$1: not measured" >&2; return 1; }
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$GROUP" "$1" "$value" "$3" "${4:-}" "$peer_value" \
        "$p50" "$p95" "$p99" "$peer_p99" >>"$BENCH_TMP/rows"
    awk -v n="$1" -v v="$value" -v u="$3" -v p="${4:-}" -v q="$peer_value" -v l="$p50 / $p95 / $p99" -v has="$p50" \
        'function digits(x) { return x < 10 ? 3 : 1 } BEGIN { printf "  %-46s %12.*f %-8s", n, digits(v), v, u; if (q != "") printf " %-34s %12.*f %9.2fx", p, digits(q), q, (q > 0 ? v / q : 0);
                 if (has != "") printf "  (%s us)", l; print "" }'
}

bench_report() {
    BENCH_SEED=$BENCH_SEED BENCH_CLIENTS=$BENCH_CLIENTS BENCH_SECONDS=$BENCH_SECONDS BENCH_DRIVERS=$BENCH_DRIVERS \
        python3 test/bench/report.py "$BENCH_TMP/rows" "$BENCH_OUT"
}
