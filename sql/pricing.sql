-- Fares, quotes and surge, on a frozen clock. A square region on the equator, where a degree is as long eastwards
-- as northwards; road = great circle at 30 km/h, so 10 km take 20 minutes. Cairo is two hours ahead of UTC.
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
\set one_km 0.008993216
SELECT hail.set_clock('2013-11-20 10:00+00');
SELECT code FROM hail.create_region('square', 'Square', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(20, -1, 22, 1, 4326));
UPDATE hail.regions SET distance_factor = 1, speed_kmh = 30 WHERE code = 'square';

-- The price list.
SELECT hail.load_sample_fares('square');
SELECT service_class, base, per_km, per_minute, minimum, commission_bp, booking_fee, rounding, effective
FROM hail.fares f JOIN hail.regions r ON r.id = f.region_id WHERE r.code = 'square' ORDER BY base;
SELECT t.name, weekdays, from_time, to_time, multiplier
FROM hail.fare_time_rules t JOIN hail.regions r ON r.id = t.region_id WHERE r.code = 'square' ORDER BY t.name;
SELECT hail.load_sample_fares('square') AS loaded_again;
SELECT count(*) FROM hail.fare_time_rules t JOIN hail.regions r ON r.id = t.region_id WHERE r.code = 'square';
SELECT hail.load_sample_fares('nowhere');
SELECT hail.set_fare('square', 'economy', -1, 0, 0, 0, 0);
SELECT hail.set_fare('square', 'economy', 0, 0, 0, NULL, 0);
SELECT hail.set_fare('square', 'economy', 0, 0, 0, 0, 10001);
SELECT hail.set_fare('square', 'economy', 0, 0, 0, 0, 0, rounding => 0);
SELECT hail.set_fare('square', 'rocket', 0, 0, 0, 0, 0);

-- The examples: 10 km and 20 min = 55.00, 1 km and 2 min = 15.00 (the minimum).
\x on
SELECT (hail.estimate_fare('square', 0, 21, 0, 21 + 10 * :one_km, 'economy')).*;
SELECT (hail.estimate_fare('square', 0, 21, :one_km, 21, 'economy')).*;
\x off
SELECT service_class, total, distance_m, duration_s, currency
FROM hail.estimate_fares(0, 21, 0, 21 + 10 * :one_km);
SELECT service_class, total FROM hail.estimate_fares(0, 21, 0, 21 + 10 * :one_km, '{xl,economy}');
SELECT (hail.estimate_fare(NULL, 0, 21, 0, 21 + 10 * :one_km, 'premium')).total AS region_found_by_pickup;

-- Each wrong argument is named.
CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    field text; hint text; state text;
BEGIN
    EXECUTE call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', (SELECT e.code FROM hail.error_codes() e WHERE e.sqlstate = state), nullif(field, ''), SQLERRM, nullif(hint, ''));
END $$;
SELECT pg_temp.refusal('SELECT hail.estimate_fare(' || args || ')')
FROM (VALUES (1, '''square'', 91, 21, 0, 21, ''economy'''), (2, '''square'', 0, 181, 0, 21, ''economy'''),
             (3, '''square'', 0, 21, ''nan'', 21, ''economy'''), (4, '''square'', 0, 21, 0, NULL, ''economy'''),
             (5, '''square'', 0, 21, 0.0004, 21, ''economy'''), (6, '''square'', 0, 21, 0, 24, ''economy'''),
             (7, '''square'', 0, 23, 0, 21, ''economy'''), (8, '''nowhere'', 0, 21, 0, 21.1, ''economy'''),
             (9, 'NULL, 0, 25, 0, 24.9, ''economy'''), (10, '''square'', 0, 21, 0, 21.1, ''rocket'''),
             (11, '''square'', 0, 21, 0, 21.1, ''truck'''), (12, '''square'', 0, 21, 0, 21.1, NULL')) a (n, args)
ORDER BY n;
SELECT pg_temp.refusal($$SELECT * FROM hail.estimate_fares(0, 21, 0, 21.1, '{economy,rocket}')$$);
-- 50 m is far enough, and a dropoff may lie outside the region.
SELECT (hail.estimate_fare('square', 0, 21, 0.00046, 21, 'economy')).distance_m;
SELECT (hail.estimate_fare('square', 0, 21.9, 0, 22.1, 'economy')).distance_m;

-- Time of day, in Cairo: the highest rule that applies; a rule over midnight belongs to the day on which it begins.
CREATE FUNCTION pg_temp.time_multiplier(cairo timestamp) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.set_clock(cairo AT TIME ZONE 'Africa/Cairo');
    RETURN (hail.estimate_fare('square', 0, 21, 0, 21.1, 'economy')).time_multiplier;
END $$;
SELECT at AS cairo_time, pg_temp.time_multiplier(at)
FROM unnest('{2013-11-20 06:59, 2013-11-20 07:00, 2013-11-20 08:59, 2013-11-20 09:00, 2013-11-20 19:59, 2013-11-20 20:00,
              2013-11-20 23:00, 2013-11-21 04:59, 2013-11-21 05:00, 2013-11-22 19:59, 2013-11-22 20:00,
              2013-11-22 23:00}'::timestamp[]) at;
INSERT INTO hail.fare_time_rules (region_id, name, weekdays, from_time, to_time, multiplier)
SELECT id, 'saturday night', '{6}', '22:00', '03:00', 2 FROM hail.regions WHERE code = 'square';
SELECT at AS cairo_time, pg_temp.time_multiplier(at)
FROM unnest('{2013-11-23 02:00, 2013-11-23 22:00, 2013-11-24 02:59, 2013-11-24 03:00, 2013-11-24 22:00}'::timestamp[]) at;
SELECT hail.set_clock('2013-11-20 15:30+00');  -- 17:30 in Cairo: 55.00 * 1.3 = 71.50
SELECT time_multiplier, multiplier_amount, total FROM hail.estimate_fare('square', 0, 21, 0, 21 + 10 * :one_km, 'economy');

-- Event areas: around the pickup, while they last.
INSERT INTO hail.event_areas (region_id, name, area, active, multiplier)
SELECT id, 'concert', ST_Buffer(ST_SetSRID(ST_MakePoint(21, 0), 4326)::geography, 1000)::geometry,
       '[2013-11-20 15:00+00,2013-11-20 18:00+00)', 2 FROM hail.regions WHERE code = 'square';
SELECT event_multiplier, multiplier_amount, total FROM hail.estimate_fare('square', 0, 21, 0, 21 + 10 * :one_km, 'economy');
SELECT event_multiplier FROM hail.estimate_fare('square', 0, 21 + 2 * :one_km, 0, 21, 'economy');
SELECT hail.set_clock('2013-11-20 10:00+00');
SELECT event_multiplier FROM hail.estimate_fare('square', 0, 21, 0, 21 + 10 * :one_km, 'economy');

-- A new price list begins now and leaves the planned ones alone; the old one stays for what was before.
SELECT effective FROM hail.set_fare('square', 'economy', 2000, 0, 0, 0, 1500, effective_from => '2014-01-01 00:00+00');
SELECT effective FROM hail.set_fare('square', 'economy', 1100, 350, 50, 1500, 1500, 100);
SELECT effective FROM hail.set_fare('square', 'economy', 1200, 350, 50, 1500, 1500, 100, 500);
SELECT base, booking_fee, cancellation_fee, effective FROM hail.fares f JOIN hail.regions r ON r.id = f.region_id
WHERE r.code = 'square' AND service_class = 'economy' ORDER BY effective;
SELECT base_amount, booking_fee, total FROM hail.estimate_fare('square', 0, 21, 0, 21 + 10 * :one_km, 'economy');
SELECT hail.set_clock('2013-11-20 09:59+00');
SELECT base_amount, booking_fee, total FROM hail.estimate_fare('square', 0, 21, 0, 21 + 10 * :one_km, 'economy');
SELECT hail.set_clock('2013-11-20 10:00+00');

-- A quote locks its price for hail.quote_ttl, whatever the price list does.
SELECT id AS customer FROM hail.register_user('+351910000001', 'Rita', 'customer') \gset
SELECT id AS other FROM hail.register_user('+351910000002', 'Olga', 'customer') \gset
SELECT id AS driver FROM hail.register_user('+351910000003', 'Dora', 'driver') \gset
SELECT id AS analyst FROM hail.register_user('+351910000004', 'Ana', 'analyst') \gset
SELECT service_class, distance_m, duration_s, base_amount, distance_amount, time_amount, booking_fee, total, cancellation_fee,
       commission_bp, currency, created_at, expires_at
FROM hail.create_quote(:'customer', 0, 21, 0, 21 + 10 * :one_km, 'economy');
SELECT pg_temp.refusal(format('SELECT hail.create_quote(%L, 0, 21, 0, 21.1, ''economy'')', c))
FROM unnest(ARRAY[NULL, :'driver', '00000000-0000-0000-0000-000000000000']::uuid[]) c;
SELECT pg_temp.refusal(format('SELECT hail.create_quote(%L, 0, 25, 0, 24.9, ''economy'')', :'customer'));
-- The parts of a quote add up, whoever writes it.
SELECT pg_temp.refusal('UPDATE hail.quotes SET total = total + 1');

-- Who may: nobody without a token; a customer for itself; each sees its own quotes only.
SELECT hail.issue_token(:'customer', '1 hour') AS customer_token, hail.issue_token(:'other', '1 hour') AS other_token,
       hail.issue_token(:'driver', '1 hour') AS driver_token, hail.issue_token(:'analyst', '1 hour') AS analyst_token \gset
SET ROLE hail_customer;
SELECT hail.estimate_fare('square', 0, 21, 0, 21.1, 'economy');
SELECT hail.surge_at(0, 21);
SELECT count(*) FROM hail.quotes;
SELECT hail.set_fare('square', 'economy', 0, 0, 0, 0, 0);
SELECT hail.quote_route(:'customer', '{0,21,0,21.1}', 'economy');
RESET ROLE;
SET SESSION AUTHORIZATION hail_front;
BEGIN;
SELECT role FROM hail.authenticate(:'customer_token');
SELECT (hail.estimate_fare('square', 0, 21, 0, 21.1, 'economy')).total > 0 AS estimated;
SELECT (hail.create_quote(:'customer', 0, 21, 0, 21.1, 'economy')).total > 0 AS quoted;
SELECT count(*) FROM hail.quotes;
SAVEPOINT s;
SELECT hail.create_quote(:'other', 0, 21, 0, 21.1, 'economy');
ROLLBACK TO s;
SELECT count(*) FROM hail.fares;
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'other_token');
SELECT count(*) FROM hail.quotes;
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'driver_token');
SELECT (hail.estimate_fare('square', 0, 21, 0, 21.1, 'economy')).total > 0 AS estimated, hail.surge_at(0, 21);
SELECT hail.create_quote(:'customer', 0, 21, 0, 21.1, 'economy');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'analyst_token');
SELECT count(*) > 0 AS reads_fares FROM hail.fares;
SELECT count(*) FROM hail.quotes;
ROLLBACK;
RESET SESSION AUTHORIZATION;

SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
