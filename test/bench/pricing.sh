# pricing: an estimate for four classes against SELECT 1, a quote against pgbench's simple-update, a surge lookup, the surge
# tick, and how far the learnt ETA is off on trips of later months (needs the public data files).

: "${BENCH_SURGE_CELLS:=10000}"

# A fifth of the drivers serves each higher class: searches for them look farther, as they do in a city.
mix_classes() {
    sql -c "UPDATE hail.drivers d SET service_classes = m.classes, class_mask = hail.class_mask(m.classes)
            FROM bench.points p, (VALUES (3, '{comfort}'::text[]), (7, '{premium}'), (9, '{xl}')) AS m (digit, classes)
            WHERE p.id = d.id AND p.n % 10 = m.digit"
}

# Pickups lie where drivers are, dropoffs about 4 km away.
pricing_scripts() {
    cat >"$BENCH_TMP/estimate.sql" <<'SQL'
\set n random(1, 1000000)
\set lat 41.03 + 0.12 * ((:n * 618033) % 1000003 + (:n * 414213) % 999983) / 1000000.0
\set lng -8.73 + 0.12 * ((:n * 236067) % 1000003 + (:n * 732050) % 999983) / 1000000.0
SELECT * FROM hail.estimate_fares(:lat, :lng, :lat + 0.03, :lng + 0.03, '{economy,comfort,premium,xl}');
SQL
    cat >"$BENCH_TMP/quote.sql" <<'SQL'
\set n random(1, 1000000)
\set c random(1, 1000)
\set lat 41.03 + 0.12 * ((:n * 618033) % 1000003 + (:n * 414213) % 999983) / 1000000.0
\set lng -8.73 + 0.12 * ((:n * 236067) % 1000003 + (:n * 732050) % 999983) / 1000000.0
SELECT * FROM hail.create_quote(bench.id(2, :c), :lat, :lng, :lat + 0.03, :lng + 0.03, 'economy');
SQL
    # the same random numbers, an answer without work
    cat >"$BENCH_TMP/select1.sql" <<'SQL'
\set n random(1, 1000000)
\set lat 41.03 + 0.12 * ((:n * 618033) % 1000003 + (:n * 414213) % 999983) / 1000000.0
\set lng -8.73 + 0.12 * ((:n * 236067) % 1000003 + (:n * 732050) % 999983) / 1000000.0
SELECT 1;
SQL
}

# server_times COUNT EXPRESSION: median and 99th percentile, in microseconds, of COUNT evaluations on one connection, place n's
# coordinates being lat and lng
server_times() {
    sql -At -F ' ' <<SQL
SET client_min_messages = warning;
CREATE TEMP TABLE took (us float8);
DO \$\$
DECLARE
    began timestamptz; lat float8; lng float8;
BEGIN
    FOR n IN 1..$1 LOOP
        SELECT p.lat, p.lng INTO lat, lng FROM bench.place(n::bigint * 7919) p;
        began := clock_timestamp();
        PERFORM $2;
        INSERT INTO took VALUES (extract(epoch FROM clock_timestamp() - began) * 1e6);
    END LOOP;
END
\$\$;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY us), percentile_cont(0.99) WITHIN GROUP (ORDER BY us) FROM took;
SQL
}

# us_each EXPRESSION: microseconds of one evaluation among 300,000 in one statement, less those of a bare sum; the best of five
us_each() {
    sql -At <<SQL
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
CREATE TEMP TABLE places AS SELECT p.* FROM generate_series(1, 300000) n, bench.place(n::bigint * 7919) p;
CREATE TEMP TABLE took (what text, us float8);
DO \$\$
DECLARE
    began timestamptz;
BEGIN
    FOR i IN 1..5 LOOP
        began := clock_timestamp();
        PERFORM sum(($1)::float8) FROM places;
        INSERT INTO took VALUES ('with', extract(epoch FROM clock_timestamp() - began) / 0.3);
        began := clock_timestamp();
        PERFORM sum(lat + lng) FROM places;
        INSERT INTO took VALUES ('bare', extract(epoch FROM clock_timestamp() - began) / 0.3);
    END LOOP;
END
\$\$;
SELECT min(us) FILTER (WHERE what = 'with') - min(us) FILTER (WHERE what = 'bare') FROM took;
SQL
}

estimate_rows() {
    local clients one estimate times
    for clients in 1 16; do
        one=$(pgbench_rate "$BENCH_TMP/select1.sql" -c "$clients" -j "$((clients < BENCH_THREADS ? clients : BENCH_THREADS))") || return 1
        estimate=$(pgbench_rate "$BENCH_TMP/estimate.sql" -c "$clients" -j "$((clients < BENCH_THREADS ? clients : BENCH_THREADS))") || return 1
        row "estimate for 4 classes, $clients client(s)" "$estimate" per_s 'SELECT 1' "$one"
    done
    times=$(server_times 5000 "count(*) FROM hail.estimate_fares(lat, lng, lat + 0.03, lng + 0.03, '{economy,comfort,premium,xl}')") || return 1
    row 'estimate for 4 classes in the server, median' "${times% *}" us 'target' 200
    row 'estimate for 4 classes in the server, 99 %' "${times#* }" us
}

quote_rows() {
    local clients update quote
    for clients in 1 "$BENCH_CLIENTS"; do
        update=$("$PGBENCH" -n -M prepared -b simple-update -c "$clients" -j "$((clients < BENCH_THREADS ? clients : BENCH_THREADS))" \
            -T "$BENCH_SECONDS" --random-seed="$BENCH_SEED" hail 2>/dev/null | sed -nE 's/^tps = ([0-9.]+).*/\1/p')
        quote=$(pgbench_rate "$BENCH_TMP/quote.sql" -c "$clients" -j "$((clients < BENCH_THREADS ? clients : BENCH_THREADS))") || return 1
        row "quote made, $clients client(s)" "$quote" per_s 'pgbench simple-update' "$update"
    done
}

# tick_ms TICKS: the median of what so many ticks took, milliseconds; each committed
tick_ms() {
    for _ in $(seq "$1"); do echo 'SELECT hail.surge_tick(); SELECT tick_ms FROM hail.surge_stats();'; done | sql -At |
        awk 'NR % 2 == 0' | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# surge_city DRIVERS: a tick over a city with 10,000 active hexagons and so many drivers, in a cluster of its own
surge_city() {
    local cells
    sql -c 'SET client_min_messages = warning; CREATE EXTENSION pg_hail CASCADE' &&
        sql -v drivers="$1" -v trips="$((BENCH_SURGE_CELLS * 4))" -f test/bench/surge.sql >/dev/null || return 1
    tick_ms 12 >/dev/null || return 1 # until the averages stand
    cells=$(sql -Atc 'SELECT cells FROM hail.surge_stats()')
    row "surge tick, $cells hexagons, $1 drivers" "$(tick_ms 25)" ms 'target' 50
    [ "$1" = 100000 ] || return 0
    # every hexagon rises a step at each tick: a table whose edges lie below any ratio
    sql -c "INSERT INTO hail.surge_steps SELECT r.id, n / 100000.0, 1 + (n - 1) / 10.0 FROM hail.regions r, generate_series(1, 20) n WHERE r.code = 'city';
            DELETE FROM hail.surge_cells" && sql -Atc 'SELECT hail.surge_refill()' >/dev/null || return 1
    row "surge tick, each of $cells multipliers moving" "$(tick_ms 15)" ms
    row 'shared memory per surge hexagon' "$(sql -Atc 'SELECT round(memory_bytes::numeric / room, 1) FROM hail.surge_stats()')" bytes
}

surge_rows() {
    local drivers status=0
    for drivers in 1000 10000 100000; do
        printf '%s\n' 'hail.workers = off' "hail.max_live_drivers = $drivers" >"$BENCH_TMP/city.conf"
        scripts/cluster.sh start "$BENCH_TMP/city" test/bench/bench.conf "$BENCH_TMP/city.conf" || return 1
        (
            eval "$(scripts/cluster.sh env "$BENCH_TMP/city")"
            psql -qX -d postgres -c 'CREATE DATABASE hail' && surge_city "$drivers"
        ) || status=1
        scripts/cluster.sh remove "$BENCH_TMP/city"
    done
    return $status
}

# eta_rows NAME FILE: what JSON lines of eta-errors say of the methods, on trips of 60 s to 3 h and 100 m or more (the table has all)
eta_rows() {
    python3 - "$1" "$2" <<'PY' | while IFS=$'\t' read -r name value unit peer peer_value; do row "$name" "$value" "$unit" "$peer" "$peer_value"; done
import json
import sys

rows = {r["method"]: r for r in map(json.loads, open(sys.argv[2], encoding="utf-8")) if r["scope"] == "60 s to 3 h, 100 m"}
constant = rows["constant speed"]
for method in ("region average", "hour of week", "learnt, frozen", "learnt, going on"):
    print(f"ETA, {sys.argv[1]}, {method}: RMSLE", rows[method]["rmsle"], "rmsle", "constant speed", constant["rmsle"], sep="\t")
for method in ("learnt, frozen", "learnt, going on"):
    r = rows[method]
    print(f"ETA, {sys.argv[1]}, {method}: MAPE", 100 * r["mape"], "%", "constant speed", 100 * constant["mape"], sep="\t")
    print(f"ETA, {sys.argv[1]}, {method}: median error", r["median_s"], "s", "constant speed", constant["median_s"], sep="\t")
    print(f"ETA, {sys.argv[1]}, {method}: within the 80 % interval", 100 * r["coverage"], "%", "meant", 80, sep="\t")
PY
}

# Learnt on January to April 2016, tested on May; learnt on the first two thirds of a day in San Francisco, tested on its rest.
eta_quality() {
    local data=${HAIL_DATA:-../shared/data} ny sf
    ny=$data/nyc_taxi_trips_2016-01_to_05_sample.csv.gz sf=$data/sf_cab_trips_2008-05-28.csv.gz
    [ -r "$ny" ] && [ -r "$sf" ] || { echo '  ETAs: no data (HAIL_DATA names the folder of the public data files)'; return 0; }
    zcat "$ny" | awk -F, -v out="$BENCH_TMP/ny" 'NR == 1 { print > (out "1.csv"); print > (out "2.csv"); next }
        { print > (out ($3 < "2016-05-01" ? "1.csv" : "2.csv")) }'
    zcat "$sf" | awk -F, -v out="$BENCH_TMP/sf" 'NR == 1 { print > (out "1.csv"); print > (out "2.csv"); begin = 0; next }
        { if (!begin) begin = $1; print > (out ($1 < begin + 16 * 3600 ? "1.csv" : "2.csv")) }'
    JSON=$BENCH_TMP/ny.json scripts/eta_errors.sh "$BENCH_TMP/ny1.csv" "$BENCH_TMP/ny2.csv" America/New_York 2>&1 | sed 's/^/  /' &&
        eta_rows 'New York in May' "$BENCH_TMP/ny.json" || return 1
    JSON=$BENCH_TMP/sf.json scripts/eta_errors.sh "$BENCH_TMP/sf1.csv" "$BENCH_TMP/sf2.csv" America/Los_Angeles 2>&1 | sed 's/^/  /' &&
        eta_rows 'San Francisco after 16 hours' "$BENCH_TMP/sf.json"
}

bench_pricing() {
    bench_drivers || return 1
    mix_classes || return 1
    keep_placing || return 1
    "$PGBENCH" -i -q -s 20 hail >/dev/null 2>&1 || return 1
    sql -c "INSERT INTO hail.users (id, phone, name, role)
            SELECT bench.id(2, n), '+3' || (1000000000 + n), 'Customer ' || n, 'customer' FROM generate_series(1, 1000) n" || return 1
    pricing_scripts
    estimate_rows || return 1
    quote_rows || return 1
    row 'surge lookup in the server' "$(us_each 'hail.surge_at(lat, lng)')" us 'target' 2
    surge_rows || return 1
    eta_quality
}
