# http: a position report and the acceptance of an offer through haild, against a bare civetweb answer with as many threads
# and connections, and against the same SQL call alone.

. test/bench/live.sh
. test/bench/dispatch.sh

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# wait_for_port PORT: until somebody listens
wait_for_port() {
    local n
    for n in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done
    echo "nobody listens on port $1" >&2
    return 1
}

# start_servers CLIENTS: both servers with a thread for each
start_servers() {
    make -s -C frontend >/dev/null || return 1
    HELLO_PORT=$(free_port)
    "$BENCH_BUILD/hello_server" "$HELLO_PORT" "$1" &
    BENCH_PIDS+=($!)
    HAILD_PORT=$(free_port)
    HAIL_LISTEN=127.0.0.1:$HAILD_PORT HAIL_THREADS=$1 HAIL_DB_CONNECTIONS=$BENCH_CLIENTS HAIL_LOG_LEVEL=error \
        HAIL_DATABASE_URL="host=$PGHOST port=$PGPORT user=hail_front dbname=hail" frontend/haild >"$BENCH_TMP/haild.log" 2>&1 &
    BENCH_PIDS+=($!)
    wait_for_port "$HELLO_PORT" && wait_for_port "$HAILD_PORT"
}

# requests QUERY: blocks for http_load of the rows (path, token, body) of a query
requests() {
    sql -At -c "SELECT octet_length(r) || E'\n' || r FROM (SELECT format(E'POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n'
        'Content-Type: application/json\r\nContent-Length: %s\r\n\r\n%s', path, token, octet_length(body), body) AS r FROM ($1) q) requests"
}

# http_rate CLIENTS PORT FILE [SECONDS once]: answers a second, median and p99 in ms; says so when some were not 2xx
http_rate() {
    local rate median p99 failures
    read -r rate median p99 failures < <("$BENCH_BUILD/http_load" 127.0.0.1 "$2" "$1" "${4:-$BENCH_SECONDS}" "$3" ${5:-})
    [ -n "${failures:-}" ] || return 1
    [ "$failures" = 0 ] || echo "  WARNING: $failures answers were not 2xx" >&2
    echo "$rate $median $p99"
}

# report_rates CLIENTS NAME: position reports through haild against the bare answer
report_rates() {
    local hello report median p99
    start_servers "$1" || { tail -5 "$BENCH_TMP/haild.log" >&2; return 1; }
    hello=$(http_rate "$1" "$HELLO_PORT" "$BENCH_TMP/reports") || return 1
    report=$(http_rate "$1" "$HAILD_PORT" "$BENCH_TMP/reports") || { tail -5 "$BENCH_TMP/haild.log" >&2; return 1; }
    read -r HTTP_REPORTS median p99 <<<"$report"
    row "$2" "$HTTP_REPORTS" per_s 'bare civetweb answer' "${hello%% *}"
    row "$2, median" "$median" ms
    row "$2, p99" "$p99" ms
}

bench_http() {
    local reports=$(( BENCH_DRIVERS < 20000 ? BENCH_DRIVERS : 20000 )) accept accepts call median p99
    bench_drivers || return 1
    prepare_trips 1000001 || return 1
    trip_scripts
    keep_placing || return 1
    pgbench_done "$BENCH_TMP/request.sql" "$BENCH_TRIPS" >/dev/null && prepare_accepts || return 1
    requests "SELECT '/api/v1/location/update' AS path, hail.issue_token(id, '1 day') AS token,
                     json_build_object('lat', lat, 'lng', lng) #>> '{}' AS body FROM bench.points WHERE n <= $reports" >"$BENCH_TMP/reports"
    report_rates 64 'HTTP position report, 64 clients' || return 1
    report_rates "$BENCH_CLIENTS" 'HTTP position report' || return 1
    points_file "(SELECT * FROM bench.points WHERE n <= $reports) p"
    call=$(ours report)
    row 'HTTP position report' "$HTTP_REPORTS" per_s 'SQL call alone' "$call"

    # half of the offers by HTTP, the others by SQL
    accepts=$(sql -Atc 'SELECT count(*) / 2 FROM bench.accepts')
    requests "SELECT format('/api/v1/trips/%s/driver-response', trip_id) AS path, hail.issue_token(driver_id, '1 day') AS token,
                     '{\"response\":\"accept\"}' AS body FROM bench.accepts WHERE k <= $accepts" >"$BENCH_TMP/accepts"
    accept=$(http_rate "$BENCH_CLIENTS" "$HAILD_PORT" "$BENCH_TMP/accepts" 600 once) || { tail -5 "$BENCH_TMP/haild.log" >&2; return 1; }
    read -r accept median p99 <<<"$accept"
    call=$(pgbench_done "$BENCH_TMP/accept.sql" "$accepts" -D done="$accepts") || return 1
    row 'HTTP offer accepted' "$accept" per_s 'SQL call alone' "$call"
    row 'HTTP offer accepted, median' "$median" ms
    row 'HTTP offer accepted, p99' "$p99" ms
    check_trips | sed 's/^/  /'
}
