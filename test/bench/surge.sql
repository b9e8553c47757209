-- A city of 100 x 100 hexagons, :drivers available drivers all over it, :trips trips of the last ten minutes. Only what a tick
-- reads is there: the trips' rows are inserted, nobody has matched them.
SELECT hail.set_clock('2026-03-02 12:00+00', 30); -- averages move with time
SELECT hail.create_region('city', 'City', 'EUR', 'UTC', public.ST_MakeEnvelope(-10.2, 39.6, -6.0, 43.7, 4326));
SELECT hail.maintain_partitions();
SELECT hail.load_sample_fares('city');
SELECT hail.keep();
CREATE SCHEMA bench;
CREATE FUNCTION bench.id(kind integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
AS $$ SELECT ('00000000-0000-7000-8000-' || (kind * 100000000000 + n)::text)::uuid $$;
-- Even over the square. A hexagon of edge 1,000 repeats every 1,500 x 1,732 mercator metres: 0.0135 x 0.0117 degrees here.
CREATE FUNCTION bench.place(n bigint, OUT lat float8, OUT lng float8) LANGUAGE sql IMMUTABLE
AS $$ SELECT 41.0 + 1.166 * ((n * 618033) % 1000003) / 1000003.0, -8.7 + 1.3475 * ((n * 236067) % 999983) / 999983.0 $$;
INSERT INTO hail.users (id, name, role) SELECT bench.id(1, n), 'Driver ' || n, 'driver' FROM generate_series(1, :drivers) n;
INSERT INTO hail.users (id, name, role) SELECT bench.id(2, n), 'Customer ' || n, 'customer' FROM generate_series(1, :trips) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
SELECT bench.id(1, n), r.id, '{economy}', hail.class_mask('{economy}'), 'approved', true
FROM generate_series(1, :drivers) n, hail.regions r WHERE r.code = 'city';
SELECT sum(hail.report_locations(ids, lats, lngs))
FROM (SELECT array_agg(bench.id(1, n)) AS ids, array_agg(p.lat) AS lats, array_agg(p.lng) AS lngs
      FROM generate_series(1, :drivers) n, bench.place(n) p GROUP BY n / 1000) batches;
SET session_replication_role = replica; -- no quotes behind these trips
INSERT INTO hail.trips (region_id, service, service_class, customer_id, quote_id, state, strategy, payment_method, pickup_lat,
    pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge, policy_id,
    idempotency_key, requested_at, id)
SELECT r.id, 'ride', 'economy', bench.id(2, n), bench.id(3, n), 'cancelled', 'first_accept', 'cash', p.lat, p.lng, 41, -8, 1, 1, 1, 1,
       1, 'EUR', 1, 1, n, hail.clock() - interval '1 second', bench.id(4, n)
FROM generate_series(1, :trips) n, bench.place(n * 7) p, hail.regions r WHERE r.code = 'city';
RESET session_replication_role;
VACUUM ANALYZE;
