-- Geofences: what lies where, entering and leaving, jitter and margins, airport queues, restricted areas.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
SELECT hail.set_clock('2026-05-20 08:00+00');
CREATE SCHEMA fencetest;
GRANT USAGE ON SCHEMA fencetest TO PUBLIC;
CREATE FUNCTION fencetest.id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT ('0000fe9c-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION fencetest.add(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hail.users (id, name, role) VALUES (fencetest.id(n), format('fence driver %s', n), 'driver');
    INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
    VALUES (fencetest.id(n), (SELECT id FROM hail.regions WHERE code = 'fence-city'), '{economy}', 1, 'approved', true);
END $$;
-- Some seconds later the drivers report, all of them or some; then the keeper looks. Metres from the airport's middle.
CREATE FUNCTION fencetest.drive(seconds integer, drivers integer[], north float8, east float8, accuracy real DEFAULT 5)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n integer;
    result record;
BEGIN
    PERFORM hail.advance_clock(make_interval(secs => seconds));
    FOREACH n IN ARRAY drivers LOOP
        SELECT * INTO result FROM hail.report_location(fencetest.id(n), 10 + north / 111195.08, 10 + east / (111195.08 * cosd(10)),
                                                       accuracy => drive.accuracy);
        IF NOT result.applied THEN RAISE 'position of driver % was not taken', n; END IF;
    END LOOP;
    PERFORM hail.geofence_tick();
END $$;
-- Events since the last look, in words.
CREATE TABLE fencetest.seen (id bigint);
INSERT INTO fencetest.seen SELECT coalesce(max(id), 0) FROM hail.events;
CREATE FUNCTION fencetest.events() RETURNS TABLE (driver text, version integer, type text, fence text, reason text)
LANGUAGE sql AS $$
    WITH new AS (UPDATE fencetest.seen s SET id = (SELECT max(e.id) FROM hail.events e) FROM fencetest.seen b RETURNING b.id)
    SELECT ltrim(right(e.aggregate_id::text, 12), '0'), e.version, e.type, coalesce(e.payload ->> 'name', e.payload ->> 'region'),
           e.payload ->> 'reason'
    FROM hail.events e, new WHERE e.id > new.id AND e.aggregate_id::text LIKE '0000fe9c-%' ORDER BY e.aggregate_id, e.version $$;
CREATE VIEW fencetest.inside AS
    SELECT ltrim(right(driver_id::text, 12), '0') AS driver, g.name, entered_at::time, outside_since::time, queued_at::time
    FROM hail.geofence_drivers i JOIN hail.geofences g ON g.id = i.geofence_id ORDER BY g.id, driver_id;
CREATE VIEW fencetest.queue AS
    SELECT "position", ltrim(right(driver_id::text, 12), '0') AS driver, queued_at::time
    FROM hail.airport_queue((SELECT min(id) FROM hail.geofences WHERE kind = 'airport' AND name LIKE 'Airport%')) ORDER BY 1;

SELECT code FROM hail.create_region('fence-city', 'Fence City', 'EUR', 'UTC', ST_MakeEnvelope(9.9, 9.9, 10.1, 10.1, 4326));

-- Making and changing: what is wrong is named.
SELECT hail.create_geofence('lake', 'x', ST_MakeEnvelope(0, 0, 1, 1, 4326));
SELECT hail.create_geofence('airport', '', ST_MakeEnvelope(0, 0, 1, 1, 4326));
SELECT hail.create_geofence('airport', 'x', NULL);
SELECT hail.create_geofence('airport', 'x', ST_MakeEnvelope(0, 0, 1, 1));
SELECT hail.create_geofence('airport', 'x', ST_GeomFromText('LINESTRING(0 0, 1 1)', 4326));
SELECT hail.create_geofence('airport', 'x', ST_GeomFromText('POLYGON EMPTY', 4326));
SELECT hail.create_geofence('airport', 'x', ST_GeomFromText('POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))', 4326));
SELECT hail.create_geofence('airport', 'x', ST_MakeEnvelope(179, 0, 181, 1, 4326));
SELECT hail.create_geofence('airport', 'x', ST_MakeEnvelope(0, 0, 1, 1, 4326), 'nowhere');
SELECT hail.create_geofence('airport', 'x', ST_MakeEnvelope(0, 0, 1, 1, 4326), leave_margin_m => -1);
SELECT hail.create_geofence('airport', 'x', ST_MakeEnvelope(0, 0, 1, 1, 4326), leave_margin_m => 'nan');
SELECT hail.create_geofence('airport', 'x', ST_MakeEnvelope(0, 0, 1, 1, 4326), leave_after => '-1 s');
SELECT hail.create_geofence('airport', 'x', ST_MakeEnvelope(0, 0, 1, 1, 4326), queue_offers => 0);
SELECT hail.update_geofence(-1, 'x');
SELECT hail.drop_geofence(-1);
SELECT count(*) FROM hail.geofences;

-- An airport of 2 by 2 km with a hole of 200 m in it, a restricted area beside, an area over both.
SELECT id AS airport FROM hail.create_geofence('airport', 'Airport', ST_GeomFromText(
    'POLYGON((9.991 9.991, 10.009 9.991, 10.009 10.009, 9.991 10.009, 9.991 9.991),
             (10.004 10.004, 10.006 10.004, 10.006 10.006, 10.004 10.006, 10.004 10.004))', 4326), 'fence-city') \gset
SELECT id AS palace FROM hail.create_geofence('restricted', 'Palace', ST_GeomFromText(
    'MULTIPOLYGON(((10.02 9.99, 10.03 9.99, 10.03 10, 10.02 10, 10.02 9.99)), ((10.04 9.99, 10.05 9.99, 10.05 10, 10.04 10, 10.04 9.99)))', 4326)) \gset
SELECT id AS east FROM hail.create_geofence('area', 'East', ST_MakeEnvelope(10, 9.95, 10.09, 10.05, 4326)) \gset
SELECT kind, name, active, leave_margin_m, leave_after, queue_offers, region_id IS NOT NULL AS in_region FROM hail.geofences ORDER BY id;
SELECT kind, name FROM hail.geofences_at(10, 10);
SELECT kind, name FROM hail.geofences_at(10.005, 10.005);
SELECT kind, name FROM hail.geofences_at(9.995, 10.025);
SELECT kind, name FROM hail.geofences_at(9.995, 10.035);
SELECT kind, name FROM hail.geofences_at(9.991, 9.991);
SELECT kind, name FROM hail.geofences_at(50, 50);
SELECT hail.is_restricted(9.995, 10.025) AS "first part", hail.is_restricted(9.995, 10.045) AS second,
       hail.is_restricted(9.995, 10.035) AS between, hail.is_restricted(10, 10) AS airport;
SELECT hail.geofences_at('nan', 0);
SELECT hail.geofences_at(0, NULL);
SELECT hail.is_restricted(0, 180.1);
-- Uncommitted areas are seen by their maker alone, and gone with a rollback.
BEGIN;
SELECT active FROM hail.update_geofence(:palace, active => false);
SELECT hail.is_restricted(9.995, 10.025);
ROLLBACK;
SELECT hail.is_restricted(9.995, 10.025);
-- Across the antimeridian, in two parts.
SELECT id AS taveuni FROM hail.create_geofence('area', 'Taveuni', ST_Union(ST_MakeEnvelope(179.9, -17, 180, -16, 4326), ST_MakeEnvelope(-180, -17, -179.9, -16, 4326))) \gset
SELECT lng, (SELECT name FROM hail.geofences_at(-16.5, lng)) FROM (VALUES (179.89), (179.95), (180), (-180), (-179.95), (-179.89)) p(lng);
-- As PostGIS has it, edges included.
SELECT count(*) AS places, count(*) FILTER (WHERE ours IS DISTINCT FROM theirs) AS different FROM (
    SELECT (SELECT array_agg(geofence_id) FROM hail.geofences_at(lat, lng)) AS ours,
           (SELECT array_agg(id ORDER BY id) FROM hail.geofences WHERE ST_Covers(boundary, ST_SetSRID(ST_MakePoint(lng, lat), 4326))) AS theirs
    FROM (SELECT 9.985 + 0.001 * y AS lat, 9.985 + 0.001 * x AS lng FROM generate_series(0, 70) x, generate_series(0, 30) y) p) compared;

-- Entering, at once; more than one area at a time; inside already when the area is drawn.
SELECT count(fencetest.add(n)) FROM generate_series(1, 4) n;
SELECT fencetest.drive(10, '{1}', 0, 500);
SELECT * FROM fencetest.events();
SELECT * FROM fencetest.inside;
-- Nothing happens twice.
SELECT fencetest.drive(10, '{1}', 10, 500);
SELECT hail.geofence_tick();
SELECT * FROM fencetest.events();
-- Jitter over the border (at 1,001 m north) within the margin: neither leaves nor comes.
SELECT fencetest.drive(30, '{1}', 1020, 500);
SELECT driver, name, outside_since FROM fencetest.inside;
SELECT fencetest.drive(10, '{1}', 995, 500);
SELECT fencetest.drive(10, '{1}', 1050, 500);
SELECT fencetest.drive(10, '{1}', 990, 500);
SELECT * FROM fencetest.events();
SELECT driver, name, outside_since FROM fencetest.inside;
-- A minute outside, though near, is leaving.
SELECT fencetest.drive(10, '{1}', 1050, 500);
SELECT fencetest.drive(59, '{1}', 1060, 500);
SELECT * FROM fencetest.events();
SELECT fencetest.drive(1, '{1}', 1050, 500);
SELECT * FROM fencetest.events();
-- Farther than the margin is leaving at once. A fix that may be 150 m off proves nothing.
SELECT fencetest.drive(10, '{1}', 900, 500);
SELECT fencetest.drive(10, '{1}', 1300, 500, 150);
SELECT * FROM fencetest.events();
SELECT fencetest.drive(10, '{1}', 1105, 500);
SELECT * FROM fencetest.events();
SELECT fencetest.drive(10, '{2}', 0, 500, 150);
SELECT * FROM fencetest.events();
-- The hole is outside, but its edges are near.
SELECT fencetest.drive(60, '{1}', 500, 700);
SELECT fencetest.drive(10, '{1}', 500, 555);
SELECT driver, name, outside_since FROM fencetest.inside WHERE name = 'Airport';
SELECT * FROM fencetest.events();
SELECT fencetest.drive(10, '{1}', 555, 555);
SELECT * FROM fencetest.events();

-- The service area: inside is the rule, outside is noted.
SELECT fencetest.drive(600, '{3}', 0, -10000);
SELECT * FROM fencetest.events();
SELECT fencetest.drive(20, '{3}', 0, -11000);
SELECT right(driver_id::text, 1) AS driver, outside_since::time, left_at::time FROM hail.area_absences;
SELECT fencetest.drive(10, '{3}', 0, -10900);
SELECT * FROM fencetest.events();
SELECT fencetest.drive(20, '{3}', 0, -11100);
SELECT fencetest.drive(10, '{3}', 0, -11500);
SELECT * FROM fencetest.events();
SELECT right(driver_id::text, 1) AS driver, outside_since::time, left_at::time FROM hail.area_absences;
SELECT fencetest.drive(600, '{3}', 0, -10000);
SELECT * FROM fencetest.events();
SELECT count(*) AS absent FROM hail.area_absences;

-- The queue: first in, first out.
SELECT fencetest.drive(600, '{1,2,3,4}', 3000, -3000);
SELECT count(*) FROM fencetest.events();
SELECT fencetest.drive(600, '{3}', 300, -300);
SELECT fencetest.drive(10, '{1}', 0, 0);
SELECT fencetest.drive(10, '{2,4}', -300, -300);
SELECT * FROM fencetest.queue;
SELECT name, "position", waiting FROM hail.queue_position(fencetest.id(2));
-- Jitter costs nobody his place; leaving does, and coming back is at the end.
SELECT fencetest.drive(60, '{3}', -1050, -300);
SELECT * FROM fencetest.queue;
SELECT fencetest.drive(10, '{3}', -1200, -300);
SELECT fencetest.drive(10, '{3}', -800, -300);
SELECT * FROM fencetest.queue;
-- A trip ends the wait, from the very transaction that begins it; the end of it inside is the end of the queue.
BEGIN;
UPDATE hail.drivers SET trip_id = hail.uuid7() WHERE id = fencetest.id(1);
SELECT "position", driver FROM fencetest.queue;
COMMIT;
SELECT hail.geofence_tick();
SELECT driver, queued_at FROM fencetest.inside WHERE name = 'Airport';
SELECT * FROM hail.queue_position(fencetest.id(1));
SELECT fencetest.drive(30, '{1}', 5, 5);
SELECT "position", driver FROM fencetest.queue;
UPDATE hail.drivers SET trip_id = NULL, idle_since = hail.clock() WHERE id = fencetest.id(1);
SELECT hail.geofence_tick();
SELECT * FROM fencetest.queue;
-- A short trip that nobody looked at in between is one all the same.
UPDATE hail.drivers SET trip_id = hail.uuid7() WHERE id = fencetest.id(2);
SELECT hail.advance_clock('20 seconds');
UPDATE hail.drivers SET trip_id = NULL, idle_since = hail.clock() WHERE id = fencetest.id(2);
SELECT "position", driver FROM fencetest.queue;
SELECT hail.geofence_tick();
SELECT "position", driver FROM fencetest.queue;
-- Offline is out, of the queue at once and of the airport with the next look.
SELECT online FROM hail.set_availability(fencetest.id(4), false);
SELECT "position", driver FROM fencetest.queue;
SELECT * FROM fencetest.events();
SELECT hail.geofence_tick();
SELECT * FROM fencetest.events();
SELECT hail.geofence_tick();
SELECT online FROM hail.set_availability(fencetest.id(4), true, 10, 9.998);
SELECT hail.geofence_tick();
SELECT * FROM fencetest.events();
SELECT "position", driver FROM fencetest.queue;
-- A driver whose row somebody holds is not waited for; what is rolled back is done again.
BEGIN;
SELECT fencetest.drive(300, '{2}', 3000, 3000);
ROLLBACK;
SELECT * FROM fencetest.events();
SELECT hail.geofence_tick();
SELECT * FROM fencetest.events();

-- Who may do and see what.
SELECT hail.issue_token(fencetest.id(1)) AS token \gset
SET ROLE hail_driver;
SELECT hail.create_geofence('area', 'x', ST_MakeEnvelope(0, 0, 1, 1, 4326));
SELECT hail.update_geofence(1);
SELECT hail.drop_geofence(1);
SELECT hail.geofence_tick();
SELECT * FROM hail.airport_queue(1);
SELECT hail.queue_position(fencetest.id(2));
SELECT hail.geofences_at(0, 0);
SELECT hail.is_restricted(0, 0);
SELECT count(*) FROM hail.geofence_drivers;
SELECT count(*) FROM hail.geofences;
UPDATE hail.geofences SET active = false;
RESET ROLE;
BEGIN;
SELECT role FROM hail.authenticate(:'token');
SELECT name, "position", waiting FROM hail.queue_position(fencetest.id(1));
SELECT count(*) AS own FROM hail.geofence_drivers;
SELECT count(*) AS fences FROM hail.geofences;
SAVEPOINT s;
SELECT hail.queue_position(fencetest.id(3));
ROLLBACK TO s;
SELECT name FROM hail.geofences_at(10, 10);
ROLLBACK;

-- Closing and dropping an area is leaving it.
SELECT name, active FROM hail.update_geofence(:airport, active => false);
SELECT hail.geofence_tick() > 0 AS left_it;
SELECT * FROM fencetest.events();
SELECT count(*) AS queue FROM fencetest.queue;
SELECT name, active FROM hail.update_geofence(:airport, 'Airport One', active => true);
SELECT hail.geofence_tick() > 0 AS entered_it;
SELECT * FROM fencetest.events();
SELECT hail.drop_geofence(:airport);
SELECT * FROM fencetest.events();
SELECT hail.geofence_tick();
SELECT * FROM hail.event_gaps() WHERE aggregate_id::text LIKE '0000fe9c-%';

-- Nobody is picked up or dropped off in a restricted area.
SELECT (hail.set_fare('fence-city', 'economy', 1000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
SELECT (hail.register_user('+35197000001', 'Zoe', 'customer')).id AS zoe, (hail.register_user('+35197000002', 'Yan', 'customer')).id AS yan \gset
\set VERBOSITY sqlstate
SELECT hail.create_quote(:'zoe', 9.995, 10.025, 10, 10.01, 'economy');
\set VERBOSITY default
SELECT hail.create_quote(:'zoe', 10, 10.01, 9.995, 10.045, 'economy');
SELECT hail.estimate_fare(NULL, 10, 10.01, 9.995, 10.045, 'economy');
SELECT hail.estimate_fares(9.995, 10.045, 10, 10.01);
SELECT distance_m > 0 AS quoted FROM hail.create_quote(:'zoe', 9.995, 10.035, 10, 10.01, 'economy');

-- A pickup at the airport: the first in the queue is asked first, however near the second stands; one at a time. Who lets the
-- offer go by or declines keeps the place, but this trip asks the next; after the last of them, the nearest.
SELECT id AS airport FROM hail.create_geofence('airport', 'Airport Two', ST_MakeEnvelope(9.991, 9.991, 10.009, 10.009, 4326)) \gset
CREATE FUNCTION fencetest.offers(trip uuid) RETURNS TABLE (round integer, driver text, status text) LANGUAGE sql AS
$$ SELECT o.round, ltrim(right(o.driver_id::text, 12), '0'), o.status FROM hail.offers o WHERE o.trip_id = trip ORDER BY o.round, o.driver_id $$;
CREATE FUNCTION fencetest.stay(seconds integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.advance_clock(make_interval(secs => seconds));
    PERFORM hail.report_location(p.driver_id, p.lat, p.lng) FROM hail.live_drivers p WHERE p.driver_id::text LIKE '0000fe9c-%';
    PERFORM hail.geofence_tick();
    PERFORM hail.dispatch_tick();
END $$;
SELECT fencetest.drive(600, '{1,2,3,4}', 3000, -3000);
SELECT fencetest.drive(600, '{1}', -800, 0);
SELECT fencetest.drive(10, '{2}', 0, 100);
SELECT fencetest.drive(10, '{3}', 700, 0);
SELECT fencetest.drive(600, '{4}', 1500, 0);
SELECT fencetest.stay(1);
SELECT * FROM fencetest.queue;
SELECT id AS trip FROM hail.request_trip((hail.create_quote(:'zoe', 10, 10, 10.05, 10.05, 'economy')).id, 'cash', 'first_accept', 'zoe-1') \gset
SELECT * FROM fencetest.offers(:'trip');
SELECT ltrim(right(driver_id::text, 12), '0') AS driver, gate FROM hail.rank_drivers(:'trip');
-- Another trip meanwhile is the next driver's.
SELECT id AS trip2 FROM hail.request_trip((hail.create_quote(:'yan', 10, 10.002, 10.05, 10.05, 'economy')).id, 'cash', 'first_accept', 'yan-1') \gset
SELECT * FROM fencetest.offers(:'trip2');
SELECT fencetest.stay(15);
SELECT * FROM fencetest.offers(:'trip');
SELECT * FROM fencetest.offers(:'trip2');
SELECT status FROM hail.decline_offer(:'trip', fencetest.id(3));
SELECT fencetest.stay(1);
SELECT * FROM fencetest.offers(:'trip');
SELECT * FROM fencetest.queue;
-- Taking it is leaving the queue.
SELECT fencetest.stay(4);
SELECT * FROM fencetest.offers(:'trip2');
SELECT already_accepted FROM hail.accept_offer(:'trip2', fencetest.id(1));
SELECT * FROM fencetest.queue;
SELECT fencetest.stay(15);
SELECT * FROM fencetest.offers(:'trip');
SELECT state FROM hail.cancel_trip(:'trip', 'customer', 'enough');
SELECT state FROM hail.cancel_trip(:'trip2', 'customer', 'enough');
SELECT fencetest.stay(1);
SELECT * FROM fencetest.queue;
-- Two at a time, when the airport says so.
SELECT queue_offers FROM hail.update_geofence(:airport, queue_offers => 2);
SELECT id AS trip FROM hail.request_trip((hail.create_quote(:'zoe', 10, 10, 10.05, 10.05, 'economy')).id, 'cash', 'first_accept', 'zoe-2') \gset
SELECT * FROM fencetest.offers(:'trip');
SELECT state FROM hail.cancel_trip(:'trip', 'customer', 'enough');

-- Without the index (here: in another database than hail.database) the keeper's step looks at tables.
CREATE DATABASE fence_tables;
\c fence_tables
SET client_min_messages = warning;
CREATE EXTENSION pg_hail CASCADE;
SELECT count(*) > 0 AS partitions FROM hail.maintain_partitions();
SELECT code FROM hail.create_region('fences', 'Fences', 'EUR', 'UTC', ST_MakeEnvelope(0, 0, 1, 1, 4326));
SELECT name FROM hail.create_geofence('airport', 'Field', ST_MakeEnvelope(0.4, 0.4, 0.6, 0.6, 4326));
CREATE FUNCTION id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('0000fe9c-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
INSERT INTO hail.users (id, name, role) SELECT id(n), 'driver ' || n, 'driver' FROM generate_series(1, 500) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
SELECT id(n), r.id, '{economy}', 1, 'approved', true FROM generate_series(1, 500) n, hail.regions r;
SELECT hail.report_locations(array_agg(id(n)), array_agg(0.5 + n * 0.00001), array_agg(0.5)) FROM generate_series(1, 500) n;
SELECT step, rows FROM hail.keep() WHERE step = 'geofences';
SELECT online FROM hail.set_availability(id(1), false);
SELECT hail.advance_clock('10 seconds') IS NOT NULL AS later;
SELECT applied FROM hail.report_location(id(2), 0.5, 0.501);
SELECT hail.geofence_tick();
SELECT count(*) AS waiting, bool_or(driver_id = id(1)) AS first, bool_or(driver_id = id(2)) AS second
FROM hail.geofences g, hail.airport_queue(g.id);
SELECT type, payload ->> 'reason' AS reason, count(*) FROM hail.events WHERE type LIKE '%Geofence' GROUP BY 1, 2 ORDER BY 1, 2;
\c hail
DROP DATABASE fence_tables;
