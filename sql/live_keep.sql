-- What the keeper does for the live index: write-through, presence, rebuild. Each fails once and is made good.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
-- the other tests' positions and silent drivers first
SELECT hail.set_clock('2026-05-02 09:00+00');
SELECT count(*) > 0 AS kept FROM hail.keep();
CREATE SCHEMA keeptest;
SELECT count(*) FROM hail.create_region('keep-world', 'World', 'EUR', 'UTC', ST_MakeEnvelope(-180, -90, 180, 90, 4326));
CREATE FUNCTION keeptest.id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT ('0000cee9-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION keeptest.step(asked text) RETURNS bigint LANGUAGE sql AS $$ SELECT "rows" FROM hail.keep() WHERE step = asked $$;
-- drivers a to b report from longitude lng
CREATE FUNCTION keeptest.report(a integer, b integer, lng float8) RETURNS integer LANGUAGE sql AS
$$ SELECT hail.report_locations(array_agg(keeptest.id(n)), array_agg(0.001 * n), array_agg(lng)) FROM generate_series(a, b) n $$;
CREATE FUNCTION keeptest.written(lng float8) RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM hail.driver_positions p WHERE p.driver_id BETWEEN keeptest.id(1) AND keeptest.id(99) AND p.lng = written.lng $$;
INSERT INTO hail.users (id, name, role) SELECT keeptest.id(n), 'driver ' || n, 'driver' FROM generate_series(1, 70) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online, created_at)
SELECT keeptest.id(n), r.id, '{economy}', 1, 'approved', true, hail.clock()
FROM generate_series(1, 70) n, hail.regions r WHERE r.code = 'keep-world';

-- Write-through. New rows and old ones; what a newer position has overtaken stays.
SELECT keeptest.report(1, 40, 10);
SELECT keeptest.step('write positions'), keeptest.written(10);
SELECT hail.advance_clock('1 minute');
SELECT keeptest.report(1, 70, 10.001);
UPDATE hail.driver_positions SET recorded_at = hail.clock() + interval '1 second' WHERE driver_id = keeptest.id(1);
SELECT keeptest.step('write positions'), keeptest.written(10), keeptest.written(10.001);
SELECT heading IS NULL AS h, speed IS NULL AS s, accuracy IS NULL AS a FROM hail.driver_positions WHERE driver_id = keeptest.id(2);
SELECT keeptest.step('write positions') AS nothing_left;
-- Rolled back, or refused by the table: written later.
SELECT hail.advance_clock('1 minute');
SELECT keeptest.report(2, 70, 10.002);
BEGIN;
SELECT keeptest.step('write positions');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT keeptest.step('write positions');
ROLLBACK TO s;
COMMIT;
SELECT keeptest.written(10.002);
ALTER TABLE hail.driver_positions ADD CONSTRAINT made_to_fail CHECK (driver_id <> keeptest.id(50)) NOT VALID;
SELECT keeptest.step('write positions');
ALTER TABLE hail.driver_positions DROP CONSTRAINT made_to_fail;
SELECT keeptest.step('write positions'), keeptest.written(10.002);

-- Presence. OFFLINE and its event once; not for those on a trip; an undone one is made good.
UPDATE hail.drivers SET trip_id = keeptest.id(999) WHERE id = keeptest.id(70);
SELECT hail.advance_clock('20 seconds');
SELECT keeptest.report(1, 10, 10.002);
SELECT keeptest.step('expire presence') AS none_yet;
SELECT hail.advance_clock('20 seconds');
BEGIN;
SELECT keeptest.step('expire presence');
ROLLBACK;
SELECT keeptest.step('expire presence'), keeptest.step('expire presence') AS again;
SELECT count(*) AS events, count(DISTINCT aggregate_id) AS drivers, min(payload::text) FROM hail.events
WHERE type = 'DriverOffline' AND aggregate_id BETWEEN keeptest.id(1) AND keeptest.id(99);
SELECT online, trip_id IS NOT NULL AS busy, count(*) FROM hail.drivers WHERE id BETWEEN keeptest.id(1) AND keeptest.id(99) GROUP BY 1, 2 ORDER BY 1, 2;
-- Coming back, silent again: another event. A clock that is set back makes nobody silent.
SELECT (hail.set_availability(keeptest.id(20), true, 0.02, 10.002)).online;
SELECT hail.set_clock('2026-05-02 08:00+00');
SELECT keeptest.step('expire presence') AS back_in_time;
SELECT hail.set_clock('2026-05-02 12:00+00');
SELECT keeptest.step('expire presence') AS hours_later;
SELECT aggregate_id = keeptest.id(20) AS driver_20, count(*) FROM hail.events
WHERE type = 'DriverOffline' AND aggregate_id BETWEEN keeptest.id(1) AND keeptest.id(99) GROUP BY 1 ORDER BY 1;
-- More than a batch at once.
INSERT INTO hail.users (id, name, role) SELECT keeptest.id(n), 'driver ' || n, 'driver' FROM generate_series(1001, 3500) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online, created_at)
SELECT keeptest.id(n), r.id, '{economy}', 1, 'approved', true, hail.clock()
FROM generate_series(1001, 3500) n, hail.regions r WHERE r.code = 'keep-world';
SELECT hail.advance_clock('1 minute');
SELECT keeptest.step('expire presence');
-- Ten minutes later their slots are given up.
SELECT hail.advance_clock('11 minutes');
SELECT keeptest.step('expire presence'), count(*) AS in_index FROM hail.live_drivers
WHERE driver_id BETWEEN keeptest.id(1) AND keeptest.id(9999) AND state = 'offline';
SELECT keeptest.step('expire presence'), count(*) AS in_index FROM hail.live_drivers
WHERE driver_id BETWEEN keeptest.id(1) AND keeptest.id(9999);

-- Rebuild. Not from what is not committed; a driver that reports meanwhile is there at once.
UPDATE hail.drivers SET online = true WHERE id BETWEEN keeptest.id(1) AND keeptest.id(5);
SELECT hail.live_reset();
SELECT keeptest.report(3, 3, 10.003);
SELECT count(*) FROM hail.nearby_drivers(0, 10);
BEGIN;
UPDATE hail.drivers SET online = false WHERE id = keeptest.id(1);
SELECT keeptest.step('rebuild index') AS put_off;
ROLLBACK;
SELECT keeptest.step('rebuild index') > 0 AS rebuilt, keeptest.step('rebuild index') AS again;
SELECT state, lng, count(*) FROM hail.live_drivers WHERE driver_id BETWEEN keeptest.id(1) AND keeptest.id(9999)
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM hail.check_live() WHERE status <> 'ok';
-- Leave nothing behind.
DELETE FROM hail.driver_positions WHERE driver_id BETWEEN keeptest.id(1) AND keeptest.id(9999);
DELETE FROM hail.drivers WHERE id BETWEEN keeptest.id(1) AND keeptest.id(9999);
DELETE FROM hail.users WHERE id BETWEEN keeptest.id(1) AND keeptest.id(9999);
DELETE FROM hail.regions WHERE code = 'keep-world';
SELECT count(*) AS left_over FROM hail.live_drivers WHERE driver_id BETWEEN keeptest.id(1) AND keeptest.id(9999) AND state <> 'offline';
SELECT * FROM hail.check_live() WHERE status <> 'ok';
SELECT hail.reset_clock() IS NOT NULL AS reset;
DROP SCHEMA keeptest CASCADE;
