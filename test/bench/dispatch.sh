# dispatch: a trip requested (priced before; matched and offered within the request), an offer accepted (siblings closed,
# driver busy, fare held, event written), against pgbench's simple-update on the same cluster.

: "${BENCH_TRIPS:=4000}"
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

# One offer a trip and one trip a driver, so that every accept can succeed.
prepare_accepts() {
    sql >/dev/null <<'SQL'
SET client_min_messages = warning;
DROP TABLE IF EXISTS bench.accepts;
CREATE TABLE bench.accepts AS
SELECT row_number() OVER () AS k, trip_id, driver_id
FROM (SELECT DISTINCT ON (trip_id) trip_id, driver_id
      FROM (SELECT DISTINCT ON (o.driver_id) o.trip_id, o.driver_id
            FROM hail.offers o JOIN hail.trips t ON t.id = o.trip_id JOIN hail.drivers d ON d.id = o.driver_id
            WHERE o.status = 'pending' AND t.state = 'searching' AND d.trip_id IS NULL
            ORDER BY o.driver_id, o.id) one_a_driver
      ORDER BY trip_id, driver_id) one_a_trip;
ALTER TABLE bench.accepts ADD PRIMARY KEY (k);
VACUUM ANALYZE;
SQL
}

trip_scripts() {
    cat >"$BENCH_TMP/request.sql" <<'SQL'
SELECT (hail.request_trip(q.id, 'wallet', idempotency_key => 'bench')).id FROM bench.quotes q WHERE q.k = :k;
SQL
    cat >"$BENCH_TMP/accept.sql" <<'SQL'
SELECT a.already_accepted FROM bench.accepts q, hail.accept_offer(q.trip_id, q.driver_id) a WHERE q.k = :k;
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

bench_dispatch() {
    local update request accept accepts
    bench_drivers || return 1
    "$PGBENCH" -i -q -s 20 hail >/dev/null 2>&1 || return 1
    prepare_trips 1 || return 1
    keep_placing || return 1
    trip_scripts
    update=$("$PGBENCH" -n -M prepared -b simple-update -c "$BENCH_CLIENTS" -j "$BENCH_THREADS" -T "$BENCH_SECONDS" \
        --random-seed="$BENCH_SEED" hail 2>/dev/null | sed -nE 's/^tps = ([0-9.]+).*/\1/p')
    request=$(pgbench_done "$BENCH_TMP/request.sql" "$BENCH_TRIPS") || return 1
    row 'trip requested, matched and offered' "$request" per_s 'pgbench simple-update' "$update"
    choose_rows || return 1
    prepare_accepts || return 1
    accepts=$(sql -Atc 'SELECT count(*) FROM bench.accepts')
    accept=$(pgbench_done "$BENCH_TMP/accept.sql" "$accepts" -D done=0) || return 1
    row 'offer accepted' "$accept" per_s 'pgbench simple-update' "$update"
    row 'offers a trip' "$(sql -Atc 'SELECT count(*)::float8 / count(DISTINCT trip_id) FROM hail.offers')" offers
    check_trips | sed 's/^/  /'
}
