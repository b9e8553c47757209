-- Positions of bench_history: the drivers of the benchmark, in an order that is another one at each tick of 3 s, half of
-- them on a trip; ids as random as real ones. All of them yesterday (UTC), which has a partition.
CREATE FUNCTION bench.driver(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5('driver ' || n)::uuid $$;
CREATE FUNCTION bench.trip(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5('trip ' || n)::uuid $$;
CREATE TABLE bench.yesterday AS SELECT hail.day_start(hail.utc_day(hail.clock()) - 1) AS start;
CREATE UNLOGGED TABLE bench.fixes AS SELECT * FROM hail.location_history LIMIT 0;

-- bench.fixes becomes the positions of `ticks` ticks after tick number `before`.
CREATE FUNCTION bench.make_fixes(drivers integer, before integer, ticks integer) RETURNS bigint LANGUAGE sql AS $$
    TRUNCATE bench.fixes;
    INSERT INTO bench.fixes
    SELECT bench.driver(d.n), CASE WHEN d.n % 2 = 0 THEN bench.trip(d.n) END, 41 + d.n % 1000 / 5000.0, -8.6 + t / 10000.0,
           t % 360, 30, 5, a.at, a.at + interval '200 ms'
    FROM bench.yesterday, generate_series(before + 1, before + ticks) t,
         LATERAL (SELECT i, (i * 7919::bigint + t * 613) % drivers AS n FROM generate_series(1, drivers) i) d,
         LATERAL (SELECT start + t * interval '3 s' + d.n * 3 / drivers * interval '1 s' AS at) a
    ORDER BY t, d.i;
    SELECT count(*) FROM bench.fixes
$$;
-- Into the ring, by the claim of this transaction held back from the drain until it commits.
CREATE FUNCTION bench.fill_ring() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(hail.append_history(driver_id, trip_id, lat, lng, recorded_at, accuracy)) FROM bench.fixes $$;

-- Seconds that the drain works until nothing waits.
CREATE FUNCTION bench.time_drain() RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
BEGIN
    WHILE NOT (SELECT draining FROM hail.history_stats()) LOOP
        PERFORM pg_sleep(0.001);
    END LOOP;
    began := clock_timestamp();
    WHILE (SELECT draining OR waiting_on_trip + waiting_other > 0 FROM hail.history_stats()) LOOP
        PERFORM pg_sleep(0.001);
    END LOOP;
    RETURN extract(epoch FROM clock_timestamp() - began);
END
$$;

-- The same kind of table for the peers: partitioned, with the same indexes on each partition.
CREATE TABLE bench.plain (LIKE hail.location_history) PARTITION BY RANGE (recorded_at);
DO $$
DECLARE
    index text;
    day timestamptz := (SELECT start FROM bench.yesterday);
BEGIN
    EXECUTE format('CREATE TABLE bench.plain_day PARTITION OF bench.plain FOR VALUES FROM (%L) TO (%L)', day,
                   day + interval '1 day');
    CREATE TABLE bench.plain_default PARTITION OF bench.plain DEFAULT;
    FOREACH index IN ARRAY (SELECT indexes FROM hail.partitioned_tables WHERE table_name = 'location_history') LOOP
        EXECUTE CASE WHEN index LIKE 'PRIMARY KEY%' THEN 'ALTER TABLE bench.plain_day ADD ' ELSE 'CREATE INDEX ON bench.plain_day ' END || index;
    END LOOP;
END
$$;

-- 1,000 trips under way, each with 400 positions of its own driver.
SET session_replication_role = replica;
INSERT INTO hail.trips (region_id, service, service_class, customer_id, driver_id, quote_id, state, strategy, payment_method,
    pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency,
    surge, policy_id, idempotency_key, requested_at, started_at, id)
SELECT r.id, 'ride', 'economy', bench.driver(n + 2000000), bench.driver(n + 1000000), bench.trip(n + 2000000), 'started',
       'first_accept', 'cash', 41, -8, 41, -8, 1, 1, 1, 1, 1, 'EUR', 1, 1, n, start, start, bench.trip(n + 1000000)
FROM generate_series(1, 1000) n, bench.yesterday, hail.regions r WHERE r.code = 'bench';
RESET session_replication_role;
INSERT INTO hail.location_history
SELECT bench.driver(n + 1000000), bench.trip(n + 1000000), 41 + t / 5000.0, -8.6 + n / 10000.0, 0, 30, 5,
       start + t * interval '3 s', start + t * interval '3 s'
FROM bench.yesterday, generate_series(1, 400) t, generate_series(1, 1000) n;
