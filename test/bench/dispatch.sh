# dispatch: a trip requested (priced before; matched and offered within the request), an offer accepted (siblings closed,
# driver busy, fare held, event written), against pgbench's simple-update on the same cluster.

: "${BENCH_TRIPS:=4000}" "${BENCH_RACES:=50}"
. test/bench/choose.sh

# prepare_trips FIRST: BENCH_TRIPS customers from number FIRST on, with money and a quote each, which bench.quotes
# numbers from 1; and, once, a policy under which offers outlast the benchmark.
prepare_trips() {
    sql -v first="$1" -v last=$(($1 + BENCH_TRIPS - 1)) >/dev/null <<'SQL'
INSERT INTO hail.dispatch_policies (region_id, offer_ttl, patience)
SELECT r.id, '1 hour', '2 hours' FROM hail.regions r
WHERE r.code = 'bench' AND NOT EXISTS (SELECT FROM hail.dispatch_policies p WHERE p.region_id = r.id);
INSERT INTO hail.users (id, phone, name, role)
SELECT bench.id(2, n), '+2' || (1000000000 + n), 'Customer ' || n, 'customer' FROM generate_series(:first, :last) n;
DO $$
DECLARE
    customer uuid; gateway uuid := (hail.open_account('GATEWAY_CLEARING', NULL, 'EUR')).id;
BEGIN
    FOR customer IN SELECT u.id FROM hail.users u WHERE u.role = 'customer'
                    AND NOT EXISTS (SELECT FROM hail.accounts a WHERE a.owner_id = u.id) LOOP
        PERFORM hail.post_transaction('deposit', ARRAY[
            ROW(gateway, 'debit', 1000000)::hail.entry_input,
            ROW((hail.open_account('CUSTOMER_WALLET', customer, 'EUR')).id, 'credit', 1000000)::hail.entry_input],
            'bench deposit ' || customer);
    END LOOP;
END $$;
-- pickups lie where drivers are; each trip goes 3 km or more to the north-east
SET client_min_messages = warning;
DROP TABLE IF EXISTS bench.quotes;
CREATE TABLE bench.quotes AS
SELECT n - :first + 1 AS k, (hail.create_quote(bench.id(2, n), p.lat, p.lng, p.lat + 0.03, p.lng + 0.03, 'economy')).id
FROM generate_series(:first, :last) n, bench.place(n * 7 + 3) p;
ALTER TABLE bench.quotes ADD PRIMARY KEY (k);
VACUUM ANALYZE;
SQL
}

# One offer a trip and one trip a driver, so that every accept can succeed; the first trips are left for the races.
prepare_accepts() {
    sql -v races="$BENCH_RACES" >/dev/null <<'SQL'
SET client_min_messages = warning;
DROP TABLE IF EXISTS bench.accepts;
CREATE TABLE bench.accepts AS
SELECT row_number() OVER () AS k, trip_id, driver_id
FROM (SELECT DISTINCT ON (trip_id) trip_id, driver_id
      FROM (SELECT DISTINCT ON (o.driver_id) o.trip_id, o.driver_id
            FROM hail.offers o JOIN hail.trips t ON t.id = o.trip_id JOIN hail.drivers d ON d.id = o.driver_id
            WHERE o.status = 'pending' AND t.state = 'searching' AND d.trip_id IS NULL
              AND t.id NOT IN (SELECT s.id FROM hail.trips s WHERE s.state = 'searching' ORDER BY s.id LIMIT :races)
            ORDER BY o.driver_id, o.id) one_a_driver
      ORDER BY trip_id, driver_id) one_a_trip;
ALTER TABLE bench.accepts ADD PRIMARY KEY (k);
VACUUM ANALYZE;
SQL
}

# The next quote is requested; the next offer after the first :done is accepted.
trip_scripts() {
    cat >"$BENCH_TMP/request.sql" <<'SQL'
SELECT (hail.request_trip(q.id, 'wallet', idempotency_key => 'bench')).id FROM bench.quotes q WHERE q.k = :k;
SQL
    cat >"$BENCH_TMP/accept.sql" <<'SQL'
\set k :k + :done
SELECT a.already_accepted FROM bench.accepts q, hail.accept_offer(q.trip_id, q.driver_id) a WHERE q.k = :k;
SQL
}

# What must hold after the races: a benchmark of a broken database is worth nothing.
check_trips() {
    sql -Atc "SELECT CASE WHEN count(*) = 0 THEN 'every check of hail.check() holds' ELSE 'WARNING: ' || string_agg(area || ': ' || detail, '; ') END
              FROM hail.check() WHERE status = 'fail'"
}

# What the cluster has written so far: WAL records, bytes and fsyncs, rows inserted, updated, and of these HOT.
written() {
    sql -At -F ' ' -c "SELECT pg_sleep(1.2), pg_stat_force_next_flush()" >/dev/null # backends that ended have told by then
    sql -At -F ' ' -c "SELECT w.wal_records, w.wal_bytes, w.wal_sync, t.ins, t.upd, t.hot FROM pg_stat_wal w,
        (SELECT sum(n_tup_ins) AS ins, sum(n_tup_upd) AS upd, sum(n_tup_hot_upd) AS hot FROM pg_stat_user_tables
         WHERE schemaname = 'hail' AND relname NOT LIKE 'location_history%' AND relname NOT LIKE 'driver_position%') t"
}

# written_each NAME COUNT BEFORE...: what each of COUNT operations since then has written
written_each() {
    local name=$1 count=$2; shift 2
    awk -v name="$name" -v n="$count" -v before="$*" -v after="$(written)" 'BEGIN {
        split(before, b, " "); split(after, a, " ");
        printf "  %s writes %.1f rows, updates %.1f (%.1f HOT); %.0f WAL records, %.0f bytes, %.2f fsyncs\n", name,
            (a[4] - b[4]) / n, (a[5] - b[5]) / n, (a[6] - b[6]) / n, (a[1] - b[1]) / n, (a[2] - b[2]) / n, (a[3] - b[3]) / n }'
}

# BENCH_RACES trips, 64 drivers each, who all accept at once: the time of every answer. The offers are inserted, for no
# round asks so many.
race_drivers() {
    local median p99 worst
    sql -v races="$BENCH_RACES" >/dev/null <<'SQL'
SET client_min_messages = warning;
DROP TABLE IF EXISTS bench.races;
CREATE TABLE bench.races AS
SELECT t.n AS race, d.n AS racer, t.id AS trip_id, d.id AS driver_id
FROM (SELECT row_number() OVER (ORDER BY id) AS n, id FROM hail.trips WHERE state = 'searching' ORDER BY id LIMIT :races) t
CROSS JOIN LATERAL (SELECT row_number() OVER () AS n, f.id FROM (
    SELECT f.id FROM (SELECT d.id, row_number() OVER (ORDER BY d.id) AS place FROM hail.drivers d
        WHERE d.online AND d.trip_id IS NULL AND NOT EXISTS (
            SELECT FROM hail.offers o WHERE o.driver_id = d.id AND o.status = 'pending')) f
    WHERE f.place BETWEEN (t.n - 1) * 64 + 1 AND t.n * 64) f) d;
ALTER TABLE bench.races ADD PRIMARY KEY (race, racer);
INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
SELECT trip_id, driver_id, 1000, 1, 0, 0, 0, hail.clock(), hail.clock() + '1 hour' FROM bench.races;
DROP TABLE IF EXISTS bench.answers;
CREATE UNLOGGED TABLE bench.answers (race bigint, ms float8, answer text);
DROP FUNCTION IF EXISTS bench.race(bigint, bigint, float8);
-- All racers of a race wake at the same moment; only the accept is timed.
CREATE FUNCTION bench.race(race bigint, racer bigint, start_at float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    answer text := 'won'; began timestamptz;
BEGIN
    PERFORM pg_sleep(start_at + race * 0.3 - extract(epoch FROM clock_timestamp()));
    began := clock_timestamp();
    BEGIN
        PERFORM hail.accept_offer(r.trip_id, r.driver_id) FROM bench.races r WHERE r.race = $1 AND r.racer = $2;
    EXCEPTION WHEN OTHERS THEN
        answer := SQLERRM;
    END;
    INSERT INTO bench.answers VALUES (race, extract(epoch FROM clock_timestamp() - began) * 1000, answer);
END $$;
VACUUM ANALYZE bench.races, hail.offers;
SQL
    printf '\\set race :race + 1\n\\set racer :client_id + 1\nSELECT bench.race(:race, :racer, :start_at);\n' >"$BENCH_TMP/race.sql"
    "$PGBENCH" -n -M prepared -c 64 -j "$BENCH_THREADS" -t "$BENCH_RACES" -D race=0 -D start_at="$(($(date +%s) + 2))" \
        --random-seed="$BENCH_SEED" -f "$BENCH_TMP/race.sql" hail >/dev/null 2>&1 || return 1
    [ "$(sql -Atc "SELECT bool_and(n = 1) FROM (SELECT count(*) FILTER (WHERE o.status = 'accepted') AS n
                   FROM bench.races r JOIN hail.offers o USING (trip_id, driver_id) GROUP BY r.race) w")" = t ] ||
        echo '  WARNING: a race has not exactly one winner'
    # the first race is each connection's first call: its plans are made, its library is loaded
    read -r median p99 worst < <(sql -At -F ' ' -c "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ms),
        percentile_disc(0.99) WITHIN GROUP (ORDER BY ms), max(ms) FROM bench.answers WHERE race > 1")
    row '64 drivers race for a trip: an answer, median' "$median" ms
    row '64 drivers race for a trip: an answer, p99' "$p99" ms
    row '64 drivers race for a trip: the slowest answer' "$worst" ms
    row '64 new connections race: the slowest answer' "$(sql -Atc 'SELECT max(ms) FROM bench.answers WHERE race = 1')" ms
}

bench_dispatch() {
    local update request accept accepts before
    bench_drivers || return 1
    "$PGBENCH" -i -q -s 20 hail >/dev/null 2>&1 || return 1
    prepare_trips 1 || return 1
    keep_placing || return 1
    trip_scripts
    update=$("$PGBENCH" -n -M prepared -b simple-update -c "$BENCH_CLIENTS" -j "$BENCH_THREADS" -T "$BENCH_SECONDS" \
        --random-seed="$BENCH_SEED" hail 2>/dev/null | sed -nE 's/^tps = ([0-9.]+).*/\1/p')
    before=$(written)
    request=$(pgbench_done "$BENCH_TMP/request.sql" "$BENCH_TRIPS") || return 1
    row 'trip requested, matched and offered' "$request" per_s 'pgbench simple-update' "$update"
    written_each 'a request' "$BENCH_TRIPS" "$before"
    choose_rows || return 1
    prepare_accepts || return 1
    accepts=$(sql -Atc 'SELECT count(*) FROM bench.accepts')
    before=$(written)
    accept=$(pgbench_done "$BENCH_TMP/accept.sql" "$accepts" -D done=0) || return 1
    row 'offer accepted' "$accept" per_s 'pgbench simple-update' "$update"
    written_each 'an accept' "$accepts" "$before"
    row 'offers a trip' "$(sql -Atc 'SELECT count(*)::float8 / count(DISTINCT trip_id) FROM hail.offers')" offers
    race_drivers || return 1
    check_trips | sed 's/^/  /'
}
