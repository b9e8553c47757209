-- Fares, quotes and surge, on a frozen clock. A square region on the equator: there a degree is as long
-- eastwards as northwards. Road = great circle, 30 km/h: 10 km take 20 minutes.
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
SELECT hail.set_clock('2013-11-20 10:00+00');
INSERT INTO hail.regions (code, name, currency, timezone, boundary, distance_factor, speed_kmh)
VALUES ('square', 'Square', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(20, -1, 22, 1, 4326), 1, 30);

-- The price list.
SELECT hail.load_sample_fares('square');
SELECT service_class, base, per_km, per_minute, minimum, commission_bp, booking_fee, rounding, effective
FROM hail.fares ORDER BY base;
SELECT name, weekdays, from_time, to_time, multiplier FROM hail.fare_time_rules ORDER BY name;
SELECT hail.load_sample_fares('nowhere');
SELECT hail.set_fare('square', 'economy', -1, 0, 0, 0, 0);
SELECT hail.set_fare('square', 'economy', 0, 0, 0, 0, 10001);
SELECT hail.set_fare('square', 'rocket', 0, 0, 0, 0, 0);

-- The examples: 10 km and 20 min = 55.00, 1 km and 2 min = 15.00 (the minimum).
\set one_km 0.008993216
SELECT (hail.estimate_fare('square', 0, 21, 0, 21 + 10 * :one_km, 'economy')).*;
SELECT (hail.estimate_fare('square', 0, 21, :one_km, 21, 'economy')).*;

-- A quote: the same price, locked for hail.quote_ttl.
SELECT id AS customer FROM hail.register_user('+351910000001', 'Rita', 'customer') \gset
SELECT distance_m, duration_s, base_amount, distance_amount, time_amount, total, currency, created_at, expires_at, used_at
FROM hail.create_quote(:'customer', 0, 21, 0, 21 + 10 * :one_km, 'economy');
SELECT hail.surge_at(0, 21), hail.surge_at(50, 50);
SELECT * FROM hail.surge_map(0, 21, 5000);
SELECT region_id, below_ratio, multiplier FROM hail.surge_steps ORDER BY 1, 2;
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
