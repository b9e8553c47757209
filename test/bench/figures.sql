-- A year of trips for the figures of pricing: :trips trips (a million) from 1.6 times as many quote sets of two classes
-- each, two answered offers a trip, 5,000 drivers, 100,000 customers of whom half are in an experiment, written straight into the
-- tables, in some minutes: psql -d hail -v seed=4711 -v trips=1000000 -f test/bench/figures.sql, as superuser, in an empty database
-- with the extension; then \timing on the functions of 69_pricing_figures.sql and hail.experiment_outcomes('figures').
SELECT setseed((:seed % 1000) / 1000.0);
SET session_replication_role = replica; -- no references and triggers: they would take longer than the rows
SET work_mem = '128MB';
CREATE SCHEMA figures;
INSERT INTO hail.regions (code, name, currency, timezone, boundary)
VALUES ('figures', 'A year', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(30.9, 29.8, 31.6, 30.3, 4326));
INSERT INTO hail.experiments (name, region_id, class_id, salt, variants, state, created_at, started_at)
SELECT 'figures', id, 0, '0192f1a0-0000-7000-8000-000000000001', 2, 'running', '2025-01-01', '2025-01-01' FROM hail.regions WHERE code = 'figures';
INSERT INTO hail.experiment_variants (experiment_id, name, is_control, share_bp, price_multiplier)
SELECT e.id, v.name, v.control, 2500, v.multiplier FROM hail.experiments e,
       (VALUES ('control', true, 1.00), ('dearer', false, 1.10)) v (name, control, multiplier) WHERE e.name = 'figures';
CREATE FUNCTION figures.id(kind integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
AS $$ SELECT (lpad(to_hex(kind), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;

-- A row a quote set: its time (more by day than by night), customer, places, surge; whether a trip came of it.
CREATE UNLOGGED TABLE figures.sets AS
SELECT n, at, c AS customer_n, figures.id(1, c) AS customer_id,
       29.95 + 0.1 * (a + b) AS lat, 31.15 + 0.1 * (b + d) AS lng, 1500 + 20000 * d * d AS metres,
       (ARRAY[1, 1, 1, 1, 1.1, 1.1, 1.3, 1.5, 1.8, 2.0])[1 + (10 * e)::integer % 10]::numeric AS surge,
       n * 5 % 8 < 5 AS taken, f AS luck
FROM (SELECT n, timestamptz '2025-01-01 00:00+02' + interval '1 second' * (31536000.0 / (:trips * 1.6) * n) AS at,
             (100000 * random() * random())::bigint AS c, random() AS a, random() AS b, random() AS d, random() AS e, random() AS f
      FROM generate_series(0, (:trips * 1.6)::bigint - 1) n) r;
INSERT INTO hail.quotes (id, customer_id, region_id, service_class, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s,
    base_amount, distance_amount, time_amount, surge, time_multiplier, event_multiplier, multiplier_amount, minimum_amount, booking_fee,
    rounding_amount, total, cancellation_fee, commission_bp, currency, created_at, expires_at, set_id, fare_id, per_km, per_minute, minimum_fare,
    rounding, waiting_free_s, waiting_per_minute, waiting_max, duration_low_s, duration_high_s, price_low, price_high, eta_source, variant_id,
    variant_multiplier)
SELECT figures.id(2 + k, s.n), s.customer_id, r.id, CASE k WHEN 0 THEN 'economy' ELSE 'comfort' END, s.lat, s.lng, s.lat + 0.01, s.lng + 0.01,
       s.metres, s.metres / 6, 1000, p.distance, 0, s.surge, 1, 1, p.more, 0, 0, 0, 1000 + p.distance + p.more, 0, 1500, 'EUR',
       s.at, s.at + interval '10 minutes', figures.id(4, s.n), figures.id(5, k), 350, 0, 1500, 1, 180, 0, 0, s.metres / 8, s.metres / 4.5,
       1000 + p.distance + p.more, 1000 + p.distance + p.more,
       (ARRAY['learnt', 'learnt', 'hour', 'region'])[1 + s.n % 4], v.id, coalesce(v.price_multiplier, 1)
FROM figures.sets s CROSS JOIN generate_series(0, 1) k
JOIN hail.regions r ON r.code = 'figures'
LEFT JOIN hail.experiment_variants v ON k = 0 AND s.customer_n % 4 < 2 AND v.is_control = (s.customer_n % 4 = 0)
     AND v.experiment_id = (SELECT e.id FROM hail.experiments e WHERE e.name = 'figures')
CROSS JOIN LATERAL (SELECT (s.metres * 0.35 * (1 + 0.5 * k))::bigint AS distance) d
CROSS JOIN LATERAL (SELECT d.distance, ((1000 + d.distance) * (s.surge * coalesce(v.price_multiplier, 1) - 1))::bigint AS more) p
ORDER BY s.n, k;
INSERT INTO hail.trips (id, region_id, service, service_class, customer_id, driver_id, quote_id, state, strategy, payment_method, pickup_lat,
    pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge, policy_id, round,
    idempotency_key, requested_at, matched_at, arrived_at, started_at, completed_at, variant_id, waiting_amount)
SELECT figures.id(6, s.n), q.region_id, 'ride', q.service_class, q.customer_id,
       CASE WHEN s.luck > 0.1 THEN figures.id(7, (5000 * s.luck * s.luck)::bigint) END, q.id,
       CASE WHEN s.luck > 0.1 THEN 'completed' ELSE 'no_drivers' END, 'first_accept', 'cash', q.pickup_lat, q.pickup_lng, q.dropoff_lat, q.dropoff_lng,
       q.distance_m, q.duration_s, q.total + w.amount, 1500, 0, 'EUR', q.surge, 1, 1, 'figures-' || s.n, s.at + interval '20 seconds',
       m.at, m.at + interval '5 minutes', m.at + interval '7 minutes', m.at + interval '7 minutes' + q.duration_s * (0.7 + s.luck * 0.8) * interval '1 second',
       q.variant_id, w.amount
FROM figures.sets s JOIN hail.quotes q ON q.id = figures.id(2 + (s.n % 3 = 0)::integer, s.n)
CROSS JOIN LATERAL (SELECT CASE WHEN s.n % 10 = 0 THEN 100 ELSE 0 END AS amount) w
CROSS JOIN LATERAL (SELECT CASE WHEN s.luck > 0.1 THEN s.at + interval '30 seconds' END AS at) m
WHERE s.taken ORDER BY s.n;
INSERT INTO hail.offers (id, trip_id, driver_id, round, slot, status, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
SELECT figures.id(8 + k, s.n), figures.id(6, s.n), figures.id(7, (5000 * s.luck * s.luck)::bigint + k), 1, 1,
       CASE WHEN k = 0 AND s.luck > 0.1 THEN 'accepted' ELSE 'declined' END, 1, 500, 90, s.at, s.at + interval '15 seconds'
FROM figures.sets s CROSS JOIN generate_series(0, 1) k WHERE s.taken ORDER BY s.n, k;
RESET session_replication_role;
-- Surge, June: 40 hexagons change every five minutes.
SELECT count(hail.make_default_partition(t)) FROM hail.partitioned_tables t WHERE t.table_name = 'surge_history';
SELECT count(hail.make_day_partition(t, date '2025-06-01' + n)) FROM hail.partitioned_tables t, generate_series(0, 30) n WHERE t.table_name = 'surge_history';
INSERT INTO hail.surge_history (region_id, cell, at, hexagon_size_m, old_multiplier, new_multiplier, requests, lookers, supply, ratio, cause)
SELECT r.id, c, timestamptz '2025-06-01 00:00+00' + (n * 300 + c) * interval '1 second', 1000, 1 + 0.2 * (n % 6), 1 + 0.2 * ((n + 1) % 6), 5, 5, 2, 2, 'tick'
FROM hail.regions r, generate_series(1, 40) c, generate_series(0, 30 * 288 - 1) n WHERE r.code = 'figures';
VACUUM ANALYZE hail.surge_history;
VACUUM ANALYZE hail.quotes;
VACUUM ANALYZE hail.trips;
VACUUM ANALYZE hail.offers;
