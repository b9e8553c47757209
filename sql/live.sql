-- The live index: exactness, what commits and what does not, who may see it, time to live.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
SELECT hail.set_clock('2026-05-01 09:00+00');
CREATE SCHEMA livetest;
SELECT id AS region FROM hail.create_region('live-world', 'World', 'EUR', 'UTC', ST_MakeEnvelope(-180, -90, 180, 90, 4326)) \gset

-- Drivers with ids made of a world's number and their own; straight into the tables, as a restore would.
CREATE FUNCTION livetest.id(world integer, n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (lpad(to_hex(world), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
CREATE FUNCTION livetest.add(world integer, n integer, online boolean DEFAULT true) RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hail.users (id, name, role) VALUES (livetest.id(world, n), format('driver %s-%s', world, n), 'driver');
    INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online, rating, created_at)
    VALUES (livetest.id(world, n), (SELECT id FROM hail.regions WHERE code = 'live-world'),
            CASE n % 3 WHEN 0 THEN '{economy}'::text[] WHEN 1 THEN '{comfort}' ELSE '{van}' END,
            CASE n % 3 WHEN 0 THEN 1 WHEN 1 THEN 3 ELSE 65536 END, 'approved', online, 3 + (n % 5) * 0.5, hail.clock());
    RETURN livetest.id(world, n);
END $$;
CREATE VIEW livetest.state AS
    SELECT driver_id, state, available, lat, lng, pending_offers, version FROM hail.live_drivers WHERE state <> 'offline';

-- Only what commits reaches the index.
SELECT count(*) AS before FROM livetest.state;
BEGIN;
SELECT count(livetest.add(1, n)) FROM generate_series(1, 5) n;
SELECT count(*) AS uncommitted FROM livetest.state;
SAVEPOINT s;
SELECT count(livetest.add(1, n)) FROM generate_series(6, 8) n;
ROLLBACK TO s;
DO $$
BEGIN
    PERFORM livetest.add(1, 9);
    RAISE EXCEPTION 'undone';
EXCEPTION WHEN raise_exception THEN
    PERFORM livetest.add(1, 10);
END $$;
COMMIT;
SELECT driver_id, state, available FROM livetest.state ORDER BY 1;
SELECT state, applied FROM hail.report_location(livetest.id(1, 1), 48.2, 16.37);
SELECT driver_id, round(distance_m) AS m, lat, lng, heading, service_class, rating, last_seen FROM hail.nearby_drivers(48.2, 16.38);

-- Clean up: nothing of the world stays, in the tables and in the index.
SELECT count(*) > 0 AS kept FROM hail.keep();
DELETE FROM hail.driver_positions WHERE driver_id IN (SELECT d.id FROM hail.drivers d JOIN hail.users u ON u.id = d.id WHERE u.name LIKE 'driver %-%');
DELETE FROM hail.drivers d USING hail.users u WHERE u.id = d.id AND u.name LIKE 'driver %-%';
DELETE FROM hail.users WHERE name LIKE 'driver %-%';
DELETE FROM hail.regions WHERE code = 'live-world';
SELECT count(*) AS left_over FROM livetest.state;
SELECT * FROM hail.check_live() WHERE status <> 'ok';
DROP SCHEMA livetest CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
