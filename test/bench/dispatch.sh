# dispatch: a trip requested (priced before; matched and offered within the request), an offer accepted (siblings closed,
# driver busy, fare held, event written), against pgbench's simple-update on the same cluster.

: "${BENCH_TRIPS:=4000}"

# Customers with money, a quote for each, and a policy under which offers outlast the benchmark.
prepare_trips() {
    sql -v n="$BENCH_TRIPS" >/dev/null <<'SQL'
INSERT INTO hail.dispatch_policies (region_id, offer_ttl, patience)
SELECT id, '1 hour', '2 hours' FROM hail.regions WHERE code = 'bench';
INSERT INTO hail.users (id, phone, name, role)
SELECT bench.id(2, n), '+2' || (1000000000 + n), 'Customer ' || n, 'customer' FROM generate_series(1, :n) n;
DO $$
DECLARE
    customer uuid; gateway uuid := (hail.open_account('GATEWAY_CLEARING', NULL, 'EUR')).id;
BEGIN
    FOR customer IN SELECT id FROM hail.users WHERE role = 'customer' LOOP
        PERFORM hail.post_transaction('deposit', ARRAY[
            ROW(gateway, 'debit', 1000000)::hail.entry_input,
            ROW((hail.open_account('CUSTOMER_WALLET', customer, 'EUR')).id, 'credit', 1000000)::hail.entry_input],
            'bench deposit ' || customer);
    END LOOP;
END $$;
-- pickups lie where drivers are; each trip goes 3 km or more to the north-east
CREATE TABLE bench.quotes AS
SELECT n AS k, (hail.create_quote(bench.id(2, n), p.lat, p.lng, p.lat + 0.03, p.lng + 0.03, 'economy')).id
FROM generate_series(1, :n) n, bench.place(n * 7 + 3) p;
ALTER TABLE bench.quotes ADD PRIMARY KEY (k);
VACUUM ANALYZE;
SQL
}

# One offer a trip and one trip a driver, so that every accept can succeed.
prepare_accepts() {
    sql >/dev/null <<'SQL'
CREATE TABLE bench.accepts AS
SELECT row_number() OVER () AS k, trip_id, driver_id
FROM (SELECT DISTINCT ON (trip_id) trip_id, driver_id
      FROM (SELECT DISTINCT ON (driver_id) trip_id, driver_id FROM hail.offers WHERE status = 'pending'
            ORDER BY driver_id, id) one_a_driver
      ORDER BY trip_id, driver_id) one_a_trip;
ALTER TABLE bench.accepts ADD PRIMARY KEY (k);
VACUUM ANALYZE;
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
    prepare_trips || return 1
    echo 'SELECT (hail.request_trip(q.id, '"'wallet', idempotency_key => 'bench'"')).id FROM bench.quotes q WHERE q.k = :k;' >"$BENCH_TMP/request.sql"
    echo 'SELECT a.already_accepted FROM bench.accepts q, hail.accept_offer(q.trip_id, q.driver_id) a WHERE q.k = :k;' >"$BENCH_TMP/accept.sql"
    update=$("$PGBENCH" -n -M prepared -b simple-update -c "$BENCH_CLIENTS" -j "$BENCH_THREADS" -T "$BENCH_SECONDS" \
        --random-seed="$BENCH_SEED" hail 2>/dev/null | sed -nE 's/^tps = ([0-9.]+).*/\1/p')
    request=$(pgbench_done "$BENCH_TMP/request.sql" "$BENCH_TRIPS") || return 1
    row 'trip requested, matched and offered' "$request" per_s 'pgbench simple-update' "$update"
    prepare_accepts || return 1
    accepts=$(sql -Atc 'SELECT count(*) FROM bench.accepts')
    accept=$(pgbench_done "$BENCH_TMP/accept.sql" "$accepts") || return 1
    row 'offer accepted' "$accept" per_s 'pgbench simple-update' "$update"
    row 'offers a trip' "$(sql -Atc 'SELECT count(*)::float8 / count(DISTINCT trip_id) FROM hail.offers')" offers
    check_trips | sed 's/^/  /'
}
