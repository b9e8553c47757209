-- The live index: exactness, what commits and what does not, who may see it, time to live.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
SELECT hail.set_clock('2026-05-01 09:00+00');
CREATE SCHEMA livetest;
GRANT USAGE ON SCHEMA livetest TO PUBLIC;
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
-- A row version is counted whatever the statement says; TRUNCATE and PREPARE TRANSACTION are refused.
UPDATE hail.drivers SET version = 0 WHERE id = livetest.id(1, 1) RETURNING version;
TRUNCATE hail.drivers CASCADE;
BEGIN;
UPDATE hail.drivers SET rating = 4 WHERE id = livetest.id(1, 1);
PREPARE TRANSACTION 'live';
SELECT driver_id, rating FROM hail.live_drivers WHERE driver_id = livetest.id(1, 1);

-- Positions: taken at once, whatever becomes of the transaction.
BEGIN;
SELECT * FROM hail.report_location(livetest.id(1, 1), 48.2, 16.37, 90, 30.5, 5);
ROLLBACK;
SELECT driver_id, round(distance_m) AS m, lat, lng, heading, service_class, rating, last_seen
FROM hail.nearby_drivers(48.2, 16.38);
SELECT hail.advance_clock('10 seconds');
-- late: not used; impossible: not used; going on from there.
SELECT * FROM hail.report_location(livetest.id(1, 1), 48.3, 16.37, recorded_at => hail.clock() - interval '15 seconds');
SELECT * FROM hail.report_location(livetest.id(1, 1), 49.2, 16.37);
SELECT * FROM hail.report_location(livetest.id(1, 1), 48.201, 16.37);
SELECT lat, lng, heading, last_seen FROM hail.live_drivers WHERE driver_id = livetest.id(1, 1);
-- an old position is not offered, however fresh its arrival
SELECT * FROM hail.report_location(livetest.id(1, 2), 48.2, 16.37, recorded_at => hail.clock() - interval '61 seconds');
SELECT driver_id FROM hail.nearby_drivers(48.2, 16.38) ORDER BY 1;
-- what is wrong is named
SELECT hail.report_location(livetest.id(1, 1), 'nan', 16.37);
SELECT hail.report_location(livetest.id(1, 1), 48.2, 180.5);
SELECT hail.report_location(livetest.id(1, 1), NULL, 16.37);
SELECT hail.report_location(NULL, 48.2, 16.37);
SELECT hail.report_location(livetest.id(1, 1), 48.2, 16.37, heading => 361);
SELECT hail.report_location(livetest.id(1, 1), 48.2, 16.37, heading => 'nan');
SELECT hail.report_location(livetest.id(1, 1), 48.2, 16.37, speed => -1);
SELECT hail.report_location(livetest.id(1, 1), 48.2, 16.37, accuracy => 'infinity');
SELECT hail.report_location(livetest.id(1, 1), 48.2, 16.37, recorded_at => hail.clock() + interval '61 seconds');
SELECT hail.report_location(livetest.id(1, 1), 48.2, 16.37, recorded_at => hail.clock() - interval '25 hours');
SELECT hail.report_location(livetest.id(1, 1), 48.2, 16.37, recorded_at => '-infinity');
SELECT hail.report_location(livetest.id(9, 9), 48.2, 16.37);
SELECT hail.nearby_drivers(91, 0);
SELECT hail.nearby_drivers(0, 'infinity');
SELECT hail.nearby_drivers(0, 0, 0);
SELECT hail.nearby_drivers(0, 0, 'nan');
SELECT hail.nearby_drivers(0, 0, 5000, 1001);
SELECT hail.nearby_drivers(0, 0, 5000, NULL);
SELECT hail.nearby_drivers(0, 0, 5000, 10, 'rocket');

-- Batches: bad rows are passed over, unequal arrays refused, the newest position stays.
SELECT hail.report_locations(
    ARRAY[livetest.id(1, 3), livetest.id(1, 3), NULL, livetest.id(1, 4), livetest.id(9, 9), livetest.id(1, 4)],
    ARRAY[48.21, 48.22, 48, 91, 48, 48.23], ARRAY[16.37, 16.37, 16, 16, 16, NULL],
    recorded_ats => ARRAY[hail.clock(), hail.clock() - interval '5 seconds', NULL, NULL, NULL, NULL]) AS accepted;
SELECT lat FROM hail.live_drivers WHERE driver_id = livetest.id(1, 3);
SELECT hail.report_locations(ARRAY[livetest.id(1, 3)], ARRAY[48.2, 48.2], ARRAY[16.37]);
SELECT hail.report_locations(ARRAY[livetest.id(1, 3)], ARRAY[48.2], ARRAY[16.37], '{}');
SELECT hail.report_locations(ARRAY[livetest.id(1, 3)], NULL, ARRAY[16.37]);
SELECT hail.report_locations('{}', '{}', '{}');

-- Out of the index in the commit that makes a driver busy, suspended or offline; cooling down by the clock.
SELECT hail.report_location(livetest.id(1, n), 48.2, 16.37) FROM generate_series(1, 5) n WHERE n <> 3;
SELECT count(*) AS free FROM hail.nearby_drivers(48.2, 16.37);
UPDATE hail.drivers SET trip_id = livetest.id(7, 7) WHERE id = livetest.id(1, 1);
UPDATE hail.drivers SET status = 'suspended', online = false WHERE id = livetest.id(1, 2);
UPDATE hail.drivers SET online = false WHERE id = livetest.id(1, 3);
UPDATE hail.drivers SET cooldown_until = hail.clock() + interval '20 seconds' WHERE id = livetest.id(1, 4);
SELECT driver_id FROM hail.nearby_drivers(48.2, 16.37);
SELECT driver_id, state, available, trip_id FROM hail.live_drivers WHERE driver_id::text LIKE '00000001-0000-7000%' ORDER BY 1;
SELECT (hail.report_location(livetest.id(1, 1), 48.2, 16.371)).*;
SELECT (hail.report_location(livetest.id(1, 3), 48.2, 16.371)).*;
SELECT (hail.report_location(livetest.id(1, 4), 48.2, 16.371)).*;
SELECT hail.report_location(livetest.id(1, 2), 48.2, 16.371);
SELECT hail.advance_clock('20 seconds');
SELECT driver_id FROM hail.nearby_drivers(48.2, 16.37);

-- On a trip, with room for another job: found when room is asked for, and only then.
UPDATE hail.drivers SET job_capacity = 3 WHERE id = livetest.id(1, 1);
SELECT driver_id FROM hail.nearby_drivers(48.2, 16.37);
SELECT driver_id FROM hail.live_search(48.2, 16.37, 5000, 10, with_room => true);
SELECT driver_id, state, available, job_capacity, active_jobs FROM hail.live_drivers WHERE driver_id = livetest.id(1, 1);
UPDATE hail.drivers SET active_jobs = 3 WHERE id = livetest.id(1, 1);
SELECT driver_id FROM hail.live_search(48.2, 16.37, 5000, 10, with_room => true);
UPDATE hail.drivers SET active_jobs = 0, job_capacity = 1 WHERE id = livetest.id(1, 1);
-- Drivers with preferred areas are found there alone, the others everywhere.
UPDATE hail.drivers SET area_mask = 6 WHERE id = livetest.id(1, 4);
SELECT area, array_agg(driver_id ORDER BY driver_id) AS found
FROM (VALUES (-1::bigint), (0), (1), (2), (5)) a (area) LEFT JOIN LATERAL hail.live_search(48.2, 16.37, 5000, 10, area_mask => area) ON true
GROUP BY area ORDER BY area;
UPDATE hail.drivers SET area_mask = 0 WHERE id = livetest.id(1, 4);

-- Online and its position in one transaction; nothing of it stays when that is undone.
BEGIN;
UPDATE hail.drivers SET online = true WHERE id = livetest.id(1, 3);
SELECT (hail.report_location(livetest.id(1, 3), 48.2, 16.3711)).*;
SELECT driver_id FROM hail.nearby_drivers(48.2, 16.3711, 100);
ROLLBACK;
SELECT driver_id FROM hail.nearby_drivers(48.2, 16.3711, 100);
BEGIN;
SELECT livetest.add(1, 20);
SELECT (hail.report_location(livetest.id(1, 20), 48.2, 16.3712)).*;
COMMIT;
SELECT driver_id, round(distance_m) AS m FROM hail.nearby_drivers(48.2, 16.3712, 1);
SELECT * FROM hail.check_live() WHERE status <> 'ok';

-- Not heard of for hail.presence_ttl: not found at once; the keeper writes it down. On a trip: left alone.
SELECT hail.advance_clock('31 seconds');
SELECT count(*) AS found FROM hail.nearby_drivers(48.2, 16.37);
SELECT (hail.report_location(livetest.id(1, 20), 48.2, 16.3712)).state;
SELECT step, "rows" FROM hail.keep() WHERE step = 'expire presence';
SELECT id, online, trip_id FROM hail.drivers WHERE id::text LIKE '00000001-0000-7000%' ORDER BY id;
SELECT aggregate_id, version, type, payload FROM hail.events WHERE aggregate_id::text LIKE '00000001-0000-7000%' ORDER BY 1, 2;
SELECT driver_id, state FROM livetest.state ORDER BY 1;

-- Lost and rebuilt: searches say so meanwhile.
SELECT hail.live_reset();
SELECT * FROM hail.nearby_drivers(48.2, 16.37);
SELECT area, status, detail FROM hail.check_live();
SELECT "rows" > 0 AS rebuilt FROM hail.keep() WHERE step = 'rebuild index';
SELECT driver_id, lat, lng FROM hail.nearby_drivers(48.2, 16.37);
SELECT driver_id, state FROM livetest.state ORDER BY 1;
SELECT * FROM hail.check_live() WHERE status <> 'ok';

-- Who may: drivers for themselves, administrators; the whole index for administrators and analysts.
SELECT id AS rita FROM hail.register_user('+4366012340001', 'Rita', 'customer') \gset
SELECT hail.issue_token(:'rita', '1 day') AS rita_token, hail.issue_token(livetest.id(1, 20), '1 day') AS d20_token \gset
BEGIN;
SELECT role FROM hail.authenticate(:'d20_token');
SELECT (hail.report_location(livetest.id(1, 20), 48.2, 16.3713)).*;
SELECT hail.report_locations(ARRAY[livetest.id(1, 20)], '{48.2}', '{16.3714}');
SELECT driver_id FROM hail.driver_positions;
SELECT driver_id, lng FROM hail.nearby_drivers(48.2, 16.37);
SAVEPOINT s;
SELECT hail.report_location(livetest.id(1, 1), 48.2, 16.37);
ROLLBACK TO s;
SELECT hail.report_locations(ARRAY[livetest.id(1, 20), livetest.id(1, 1)], '{48.2,48.2}', '{16.37,16.37}');
ROLLBACK TO s;
SELECT * FROM hail.live_drivers;
ROLLBACK TO s;
SELECT * FROM hail.nearby_drivers(48.2, 16.37, 50001);
ROLLBACK TO s;
SELECT * FROM hail.live_search(48.2, 16.37, 50000, 1);
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'rita_token');
SELECT driver_id, lng FROM hail.nearby_drivers(48.2, 16.37);
SAVEPOINT s;
SELECT hail.report_location(livetest.id(1, 20), 48.2, 16.37);
ROLLBACK TO s;
SELECT * FROM hail.live_drivers;
ROLLBACK TO s;
SELECT * FROM hail.driver_positions;
ROLLBACK TO s;
SELECT hail.live_reset();
ROLLBACK;
SET SESSION AUTHORIZATION hail_front;
SELECT * FROM hail.nearby_drivers(48.2, 16.37);
SET ROLE hail_driver;
SELECT hail.report_location('00000001-0000-7000-8000-000000000014', 48.2, 16.37);
SET ROLE hail_admin;
SELECT * FROM hail.live_drivers;
SELECT * FROM hail.nearby_drivers(48.2, 16.37);
RESET SESSION AUTHORIZATION;

-- Exact: the same drivers in the same order as by distance from everyone, in every kind of world.
SELECT count(livetest.add(2, n)) FROM generate_series(1, 1200) n;
CREATE TABLE livetest.place (id uuid PRIMARY KEY, lat float8, lng float8);
CREATE FUNCTION livetest.settle(world text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM setseed(0.25);
    DELETE FROM livetest.place;
    INSERT INTO livetest.place SELECT livetest.id(2, r.n), p.lat, p.lng FROM (SELECT n, random() AS a, random() AS b FROM generate_series(1, 1200) n) r CROSS JOIN LATERAL (
        SELECT (r.a - 0.5) * 0.2 + 48.2 AS lat, (r.b - 0.5) * 0.3 + 16.37 AS lng WHERE world = 'city'
        UNION ALL SELECT 90 - r.a * r.a * 0.2, r.b * 360 - 180 WHERE world = 'north pole'
        UNION ALL SELECT CASE n WHEN 1 THEN -90 ELSE -90 + r.a * 3 END, r.b * 360 - 180 WHERE world = 'south pole'
        UNION ALL SELECT -17 + r.a, CASE WHEN n = 1 THEN 180 WHEN n = 2 THEN -180 WHEN r.b < 0.5 THEN 180 - r.b ELSE r.b - 180.5 END WHERE world = 'antimeridian'
        UNION ALL SELECT 48.2, 16.37 WHERE world = 'one spot'
        UNION ALL SELECT r.a * 70 - 35, r.b * 68 - 17 WHERE world = 'continent'
        UNION ALL SELECT degrees(asin(2 * r.a - 1)), r.b * 360 - 180 WHERE world = 'globe'
        UNION ALL SELECT (n % 30) * 180 / 65536.0, (n / 30) * 360 / 65536.0 WHERE world = 'cell corners'
    ) p;
    PERFORM hail.advance_clock('11 minutes');
    RETURN (SELECT hail.report_locations(array_agg(id), array_agg(lat), array_agg(lng)) FROM livetest.place);
END $$;
CREATE FUNCTION livetest.wrong(world text, OUT settled bigint, OUT searches bigint, OUT wrong bigint, OUT hits bigint) LANGUAGE plpgsql AS $$
BEGIN
    settled := livetest.settle(world);
    WITH origin AS (
        (SELECT lat, lng FROM livetest.place ORDER BY id LIMIT 4)
        UNION ALL (SELECT least(90, lat + 0.03), greatest(-180, lng - 0.02) FROM livetest.place ORDER BY id DESC LIMIT 2)
        UNION ALL VALUES (90.0, 0.0), (-90.0, 77.0), (3.0, -180.0), (-16.5, 180.0), (48.2, 16.37)),
    search AS (
        SELECT * FROM origin, (VALUES (400.0), (30000.0), (20015115.0)) r (radius), (VALUES (1), (40)) k (k),
               (VALUES (-1, 0, 0), (0, 4, 0), (16, 0, 3)) f (class, rating, excluded)),
    answer AS (
        SELECT got.ids AS got, got.metres AS got_m, expected.ids AS expected, expected.metres AS expected_m
        FROM search s
        CROSS JOIN LATERAL (SELECT ARRAY(SELECT livetest.id(2, n) FROM generate_series(1, s.excluded) n) AS ids) excluded
        CROSS JOIN LATERAL (
            SELECT array_agg(driver_id) AS ids, array_agg(round(distance_m::numeric, 4)) AS metres
            FROM hail.live_search(s.lat, s.lng, s.radius, s.k, s.class, s.rating, 3, excluded.ids)) got
        CROSS JOIN LATERAL (
            SELECT array_agg(id) AS ids, array_agg(m) AS metres FROM (
                SELECT p.id, round(m::numeric, 4) AS m
                FROM livetest.place p JOIN hail.drivers d ON d.id = p.id,
                     public.ST_DistanceSphere(public.ST_MakePoint(s.lng, s.lat), public.ST_MakePoint(p.lng, p.lat)) m
                WHERE m <= s.radius AND (s.class < 0 OR d.class_mask & (1::bigint << s.class) <> 0)
                  AND d.rating >= s.rating AND p.id <> ALL (excluded.ids)
                ORDER BY 2, 1 LIMIT s.k) nearest) expected)
    -- cell corners lie in rows: distances that differ by rounding alone may come in either order
    SELECT count(*), count(*) FILTER (WHERE got_m IS DISTINCT FROM expected_m
                                         OR (got IS DISTINCT FROM expected AND world <> 'cell corners')),
           sum(cardinality(got))
    INTO searches, wrong, hits FROM answer;
END $$;
SELECT world, settled, searches, wrong, hits > 0 AS some_found
FROM unnest(ARRAY['city', 'north pole', 'south pole', 'antimeridian', 'one spot', 'continent', 'globe', 'cell corners']) world,
     LATERAL livetest.wrong(world);

-- Out of slots: an error that says so, before commit; nothing is lost by it.
BEGIN;
INSERT INTO hail.users (id, name, role) SELECT livetest.id(3, n), 'driver 3-' || n, 'driver' FROM generate_series(1, 20000) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
SELECT livetest.id(3, n), (SELECT id FROM hail.regions WHERE code = 'live-world'), '{economy}', 1, 'approved', true
FROM generate_series(1, 20000) n;
ROLLBACK;
SELECT livetest.add(3, 1);
SELECT driver_id, state FROM livetest.state WHERE driver_id = livetest.id(3, 1);
SELECT * FROM hail.check_live() WHERE status <> 'ok';

-- Clean up: nothing of the world stays, in the tables and in the index.
SELECT count(*) > 0 AS kept FROM hail.keep();
DELETE FROM hail.driver_positions WHERE driver_id IN (SELECT d.id FROM hail.drivers d JOIN hail.users u ON u.id = d.id WHERE u.name LIKE 'driver %-%');
DELETE FROM hail.drivers d USING hail.users u WHERE u.id = d.id AND u.name LIKE 'driver %-%';
DELETE FROM hail.users WHERE name LIKE 'driver %-%' OR name = 'Rita';
DELETE FROM hail.regions WHERE code = 'live-world';
SELECT count(*) AS left_over FROM livetest.state;
SELECT * FROM hail.check_live() WHERE status <> 'ok';
DROP SCHEMA livetest CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
