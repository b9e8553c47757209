-- A driver's states by their transition rules, presence on a clock that moves, and what reaches the index with a commit.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET timezone = 'UTC';
SET client_min_messages = warning;
SELECT hail.set_clock('2026-05-04 09:00+00') IS NOT NULL AS clock_set;
CREATE SCHEMA states;
SELECT code FROM hail.create_region('states', 'States', 'EUR', 'UTC', ST_MakeEnvelope(10, 59, 11, 60, 4326));
SELECT (hail.set_fare('states', 'economy', 1000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
SELECT (hail.register_user('+4790000001', 'Kari', 'customer')).id AS kari, (hail.register_user('+4790000002', 'Liv', 'customer')).id AS liv,
       (hail.register_driver((hail.register_user('+4790000003', 'Nils', 'driver')).id, 'states', '{economy}')).id AS nils \gset
CREATE FUNCTION states.quote(customer uuid) RETURNS uuid LANGUAGE sql AS $$ SELECT (hail.create_quote(customer, 59.5, 10.5, 59.5, 10.6, 'economy')).id $$;
-- What the index says of a driver, to whom it answers, and whether a search finds it.
CREATE FUNCTION states.look(driver uuid, OUT state text, OUT available boolean, OUT found boolean, OUT with_room boolean, OUT pending integer, OUT event text)
LANGUAGE sql AS $$
    SELECT l.state, l.available,
           EXISTS (SELECT FROM hail.nearby_drivers(59.5, 10.5, 5000, 1000) n WHERE n.driver_id = driver),
           EXISTS (SELECT FROM hail.live_search(59.5, 10.5, 5000, 1000, with_room => true) n WHERE n.driver_id = driver), l.pending_offers,
           (SELECT type FROM hail.events e WHERE e.aggregate_id = driver ORDER BY version DESC LIMIT 1)
    FROM (SELECT driver) d LEFT JOIN hail.live_drivers l ON l.driver_id = driver
$$;
CREATE FUNCTION states.tell(driver uuid, later interval DEFAULT '0', OUT state text, OUT applied boolean) LANGUAGE sql AS
$$ SELECT hail.advance_clock(later); SELECT state, applied FROM hail.report_location(driver, 59.5, 10.5) $$;

-- Offline, and unknown to the index, until it goes online: available.
SELECT * FROM states.look(:'nils');
SELECT states.tell(:'nils');
SELECT status FROM hail.approve_driver(:'nils');
SELECT * FROM states.tell(:'nils');
SELECT * FROM states.look(:'nils');
SELECT online FROM hail.set_availability(:'nils', true, 59.5, 10.5);
SELECT * FROM states.look(:'nils');
SELECT online FROM hail.set_availability(:'nils', false);
SELECT * FROM states.look(:'nils');
SELECT online FROM hail.set_availability(:'nils', true);
-- Offered, for two customers; one declined, still offered; expired, asked again; both withdrawn, available.
SELECT id AS trip FROM hail.request_trip(states.quote(:'kari'), 'cash', 'first_accept', 'k1') \gset
SELECT id AS other FROM hail.request_trip(states.quote(:'liv'), 'cash', 'first_accept', 'l1') \gset
SELECT * FROM states.look(:'nils');
SELECT * FROM states.tell(:'nils');
SELECT status FROM hail.decline_offer(:'other', :'nils', 'no');
SELECT * FROM states.look(:'nils');
SELECT * FROM states.tell(:'nils', '15 seconds');
SELECT hail.dispatch_tick() IS NOT NULL AS ticked;
SELECT * FROM states.look(:'nils');
SELECT state FROM hail.cancel_trip(:'trip');
SELECT state FROM hail.cancel_trip(:'other');
SELECT * FROM states.look(:'nils');
-- Accepted: busy from that commit on, not before and not when it is undone. Offline only when the trip is over.
SELECT id AS trip FROM hail.request_trip(states.quote(:'kari'), 'cash', 'first_accept', 'k2') \gset
BEGIN;
SELECT (trip).state FROM hail.accept_offer(:'trip', :'nils');
SELECT * FROM states.look(:'nils');
ROLLBACK;
SELECT * FROM states.look(:'nils');
SELECT (trip).state FROM hail.accept_offer(:'trip', :'nils');
SELECT * FROM states.look(:'nils');
SELECT hail.set_availability(:'nils', false);
SELECT * FROM states.tell(:'nils', '20 seconds');
-- With room for another job: busy, found by those who ask for room alone.
SELECT job_capacity FROM hail.set_job_capacity(:'nils', 2);
SELECT * FROM states.look(:'nils');
SELECT job_capacity FROM hail.set_job_capacity(:'nils', 1);
SELECT * FROM states.look(:'nils');
-- Busy drivers are left alone when they fall silent.
SELECT hail.advance_clock('31 seconds') IS NOT NULL AS later;
SELECT "rows" AS expired FROM hail.keep() WHERE step = 'expire presence';
SELECT * FROM states.look(:'nils');
-- After the trip it cools down for a minute, whatever is reported; then it is available by the clock alone.
SELECT (hail.arrive(:'trip')).state, (hail.start_trip(:'trip', (SELECT pickup_code FROM hail.trips WHERE id = :'trip'))).state, (hail.complete_trip(:'trip')).state;
SELECT * FROM states.look(:'nils');
SELECT * FROM states.tell(:'nils', '30 seconds');
SELECT * FROM states.tell(:'nils', '29.999999 seconds');
SELECT * FROM states.look(:'nils');
SELECT hail.advance_clock('0.000001 seconds') IS NOT NULL AS later;
SELECT * FROM states.look(:'nils');
-- Suspended on a trip: busy to its end, then offline.
SELECT id AS trip FROM hail.request_trip(states.quote(:'liv'), 'cash', 'first_accept', 'l2') \gset
SELECT (trip).state FROM hail.accept_offer(:'trip', :'nils');
SELECT status FROM hail.suspend_driver(:'nils', 'test');
SELECT * FROM states.look(:'nils');
SELECT state FROM hail.cancel_trip(:'trip', 'admin');
SELECT * FROM states.look(:'nils');
SELECT states.tell(:'nils');
SELECT status FROM hail.reinstate_driver(:'nils');
SELECT * FROM states.look(:'nils');

-- Presence: 30 seconds, to the microsecond; written down once; back with its next report, once it is online again.
SELECT online FROM hail.set_availability(:'nils', true, 59.5, 10.5);
SELECT hail.advance_clock('30 seconds') IS NOT NULL AS later;
SELECT * FROM states.look(:'nils');
SELECT "rows" AS expired FROM hail.keep() WHERE step = 'expire presence';
SELECT hail.advance_clock('0.000001 seconds') IS NOT NULL AS later;
SELECT * FROM states.look(:'nils');
SELECT "rows" AS expired FROM hail.keep() WHERE step = 'expire presence';
SELECT "rows" AS expired FROM hail.keep() WHERE step = 'expire presence';
SELECT * FROM states.look(:'nils');
SELECT * FROM states.tell(:'nils');
SELECT online FROM hail.set_availability(:'nils', true);
SELECT * FROM states.look(:'nils');
-- Silent, but heard of before the keeper came: still online.
SELECT hail.advance_clock('40 seconds') IS NOT NULL AS later;
SELECT * FROM states.look(:'nils');
SELECT * FROM states.tell(:'nils');
SELECT "rows" AS expired FROM hail.keep() WHERE step = 'expire presence';
SELECT * FROM states.look(:'nils');
SELECT type, payload - 'lat' - 'lng' AS payload FROM hail.events WHERE aggregate_id = :'nils' AND type IN ('DriverOnline', 'DriverOffline') ORDER BY version;
-- The clock jumps ahead: silent for a day.
SELECT hail.advance_clock('1 day') IS NOT NULL AS later;
SELECT * FROM states.look(:'nils');
SELECT "rows" AS expired FROM hail.keep() WHERE step = 'expire presence';
SELECT online FROM hail.set_availability(:'nils', true, 59.5, 10.5);
SELECT "rows" >= 1 AS written FROM hail.keep() WHERE step = 'write positions';
-- It is set back by an hour: reports count at once, though what they follow lies ahead, and are written through.
SELECT hail.advance_clock('-1 hour') IS NOT NULL AS earlier;
SELECT * FROM states.look(:'nils');
SELECT * FROM hail.report_location(:'nils', 59.51, 10.51);
SELECT lat, lng, recorded_at = hail.clock() AS recorded_now, last_seen = hail.clock() AS seen_now FROM hail.live_drivers WHERE driver_id = :'nils';
SELECT "rows" >= 1 AS written FROM hail.keep() WHERE step = 'write positions';
SELECT lat, lng, recorded_at = hail.clock() AS recorded_now FROM hail.driver_positions WHERE driver_id = :'nils';
-- Who falls silent then is found silent after 30 seconds more, not after the hour; nobody is sent offline by the jump itself.
SELECT hail.advance_clock('-1 hour') IS NOT NULL AS earlier;
SELECT "rows" AS expired FROM hail.keep() WHERE step = 'expire presence';
SELECT * FROM states.look(:'nils');
SELECT hail.advance_clock('30.000001 seconds') IS NOT NULL AS later;
SELECT * FROM states.look(:'nils');
SELECT "rows" AS expired FROM hail.keep() WHERE step = 'expire presence';
SELECT * FROM states.look(:'nils');

-- Figures: drivers by region and state; what searches cost.
SELECT * FROM hail.live_counts() WHERE region = 'states';
SELECT searches AS before, drivers_visited AS drivers_before, cells_visited AS cells_before FROM hail.live_stats() \gset
SELECT count(*) FROM hail.nearby_drivers(59.51, 10.51);
SELECT searches - :before AS searches, cells_visited >= :cells_before AS cells, drivers_visited >= :drivers_before AS drivers,
       occupied_cells <= linked AS occupied, search_reruns >= 0 AS reruns, lock_waits >= 0 AS waits FROM hail.live_stats();
SELECT value FROM hail.metrics() WHERE name = 'hail_live_drivers' AND labels = '{"region": "states", "state": "offline"}';
SELECT name, kind FROM hail.metrics() WHERE (name ~ '_total$') <> (kind = 'counter') OR name !~ '^hail_[a-z_]+$' OR value IS NULL;

-- Commits. Drivers of one kind, straight into the table.
CREATE FUNCTION states.id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT ('0000000a-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
CREATE FUNCTION states.add(first integer, last integer) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO hail.users (id, name, role) SELECT states.id(n), 'state driver ' || n, 'driver' FROM generate_series(first, last) n;
    INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
    SELECT states.id(n), (SELECT id FROM hail.regions WHERE code = 'states'), '{economy}', 1, 'approved', true FROM generate_series(first, last) n;
    SELECT last - first + 1::bigint $$;
CREATE VIEW states.found AS
    SELECT string_agg(ltrim(right(driver_id::text, 12), '0'), ' ' ORDER BY driver_id) AS found FROM hail.nearby_drivers(59.5, 10.5, 5000, 1000) WHERE driver_id::text LIKE '0000000a%';
SELECT states.add(1, 8);
SELECT count(states.tell(states.id(n))) FROM generate_series(1, 8) n;
SELECT * FROM states.found;
-- Savepoints in savepoints: what is released counts when all around it commits; what is rolled back does not.
BEGIN;
UPDATE hail.drivers SET online = false WHERE id = states.id(1);
SAVEPOINT a;
UPDATE hail.drivers SET online = false WHERE id = states.id(2);
SAVEPOINT b;
UPDATE hail.drivers SET online = false WHERE id = states.id(3);
RELEASE b;
ROLLBACK TO a;
SAVEPOINT c;
UPDATE hail.drivers SET online = false WHERE id = states.id(4);
SAVEPOINT d;
UPDATE hail.drivers SET online = true WHERE id IN (states.id(1), states.id(4));
ROLLBACK TO d;
UPDATE hail.drivers SET online = false WHERE id = states.id(5);
RELEASE c;
SELECT * FROM states.found;
COMMIT;
SELECT * FROM states.found;
UPDATE hail.drivers SET online = true WHERE id::text LIKE '0000000a%';
-- Exception blocks in a loop, with one that fails after its change and one that fails in the block's handler.
DO $$
BEGIN
    FOR n IN 1..8 LOOP
        BEGIN
            UPDATE hail.drivers SET online = false WHERE id = states.id(n);
            IF n % 2 = 0 THEN
                RAISE EXCEPTION 'undone';
            END IF;
        EXCEPTION WHEN raise_exception THEN
            UPDATE hail.drivers SET rating = 3 WHERE id = states.id(n);
        END;
    END LOOP;
END $$;
SELECT * FROM states.found;
SELECT count(*) FILTER (WHERE rating = 3) AS rated FROM hail.live_drivers WHERE driver_id::text LIKE '0000000a%';
DO $$
BEGIN
    UPDATE hail.drivers SET online = true WHERE id = states.id(1);
    BEGIN
        RAISE EXCEPTION 'first';
    EXCEPTION WHEN raise_exception THEN
        UPDATE hail.drivers SET online = true WHERE id = states.id(3);
        RAISE EXCEPTION 'second';
    END;
END $$;
SELECT * FROM states.found;
-- A failed statement outside of any block undoes all; AND CHAIN begins anew; a transaction may commit within a procedure.
BEGIN;
UPDATE hail.drivers SET online = true WHERE id = states.id(1);
SELECT 1 / 0;
COMMIT;
BEGIN;
UPDATE hail.drivers SET online = true WHERE id = states.id(1);
ROLLBACK AND CHAIN;
UPDATE hail.drivers SET online = true WHERE id = states.id(3);
COMMIT;
SELECT * FROM states.found;
CREATE PROCEDURE states.walk() LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hail.drivers SET online = true WHERE id = states.id(5);
    COMMIT;
    UPDATE hail.drivers SET online = true WHERE id = states.id(7);
    ROLLBACK;
END $$;
CALL states.walk();
SELECT * FROM states.found;
-- Many changes of one driver, and of many, in one transaction: the last one counts. Deleted and made again: anew.
DO $$
BEGIN
    FOR i IN 1..1001 LOOP
        UPDATE hail.drivers SET online = i % 2 = 1, rating = 1 + (i % 9) * 0.5 WHERE id = states.id(1 + i % 2);
    END LOOP;
    UPDATE hail.drivers SET online = true WHERE id::text LIKE '0000000a%';
    UPDATE hail.drivers SET online = false WHERE id::text LIKE '0000000a%';
    UPDATE hail.drivers SET online = true WHERE id IN (states.id(1), states.id(2), states.id(6));
END $$;
SELECT * FROM states.found;
SELECT l.driver_id, l.rating = d.rating AS rating, l.version = d.version AS version FROM hail.live_drivers l JOIN hail.drivers d ON d.id = l.driver_id
WHERE d.id IN (states.id(1), states.id(2)) ORDER BY 1;
BEGIN;
DELETE FROM hail.driver_positions WHERE driver_id = states.id(6);
DELETE FROM hail.drivers WHERE id = states.id(6);
DELETE FROM hail.users WHERE id = states.id(6);
SELECT states.add(6, 6);
COMMIT;
SELECT state, online FROM hail.live_drivers l JOIN hail.drivers d ON d.id = l.driver_id WHERE driver_id = states.id(6);
-- Prepared transactions are refused, whether they change drivers or their offers.
SELECT count(states.tell(states.id(n))) FROM generate_series(1, 8) n;
BEGIN;
SAVEPOINT a;
UPDATE hail.drivers SET online = false WHERE id = states.id(1);
RELEASE a;
PREPARE TRANSACTION 'states';
BEGIN;
SAVEPOINT a;
UPDATE hail.drivers SET online = false WHERE id = states.id(1);
ROLLBACK TO a;
PREPARE TRANSACTION 'states';
ROLLBACK PREPARED 'states';
SELECT * FROM states.found;

-- Out of slots: the statement that needs one too many fails, names the setting, and nothing of it stays; a savepoint before
-- it can be gone back to. Slots of drivers who are offline and written through are given up first.
SELECT count(*) > 0 AS kept FROM hail.keep();
SELECT count(states.tell(states.id(n))) FROM generate_series(1, 2) n;
SELECT slots FROM hail.live_stats() \gset
\set VERBOSITY default
BEGIN;
UPDATE hail.drivers SET online = false WHERE id = states.id(2);
SAVEPOINT a;
SELECT states.add(100, 99 + :slots);
ROLLBACK TO a;
COMMIT;
\set VERBOSITY terse
SELECT * FROM states.found;
SELECT slots - slots_used AS free FROM hail.live_stats() \gset
BEGIN;
SELECT states.add(100, 99 + :free) = :free AS added, (SELECT slots - slots_used FROM hail.live_stats()) AS free;
SAVEPOINT a;
SELECT states.add(9, 9);
ROLLBACK TO a;
UPDATE hail.drivers SET online = true WHERE id = states.id(3);
ROLLBACK TO a;
SELECT states.tell(states.id(3));
ROLLBACK TO a;
SELECT online FROM hail.drivers WHERE id = states.id(3);
UPDATE hail.drivers SET rating = 4.5 WHERE id = states.id(1);
COMMIT;
SELECT * FROM states.found;
SELECT rating, (SELECT slots - slots_used FROM hail.live_stats()) AS free FROM hail.live_drivers WHERE driver_id = states.id(1);
DELETE FROM hail.drivers WHERE id BETWEEN states.id(100) AND states.id(99 + :free);
DELETE FROM hail.users WHERE id BETWEEN states.id(100) AND states.id(99 + :free);
UPDATE hail.drivers SET online = true WHERE id = states.id(3);
SELECT state FROM states.tell(states.id(3));
SELECT * FROM hail.check_live() WHERE status <> 'ok';

-- Bad arguments are named, by the search that matching uses too.
\set VERBOSITY default
CREATE FUNCTION states.refused(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; field text;
BEGIN
    EXECUTE call;
    RETURN 'answered';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, field = COLUMN_NAME;
    RETURN state || ' ' || field || ': ' || message;
END $$;
SELECT a.arguments, states.refused('SELECT hail.live_search(' || a.arguments || ')')
FROM (VALUES ('NULL, 0, 1, 1'), ('0, NULL, 1, 1'), ('0, 0, NULL, 1'), ('0, 0, 1, NULL'), ('0, 0, 1, 1, NULL'), ('0, 0, 1, 1, 0, NULL'), ('0, 0, 1, 1, 0, 0, NULL'),
    ('0, 0, 1, 1, 0, 0, 0, NULL'), ('0, 0, 1, 1, with_room => NULL'), ('0, 0, 1, 1, area_mask => NULL'), ('''nan'', 0, 1, 1'), ('90.1, 0, 1, 1'), ('0, ''-infinity'', 1, 1'),
    ('0, 0, ''nan'', 1'), ('0, 0, -1, 1'), ('0, 0, ''infinity'', 1'), ('0, 0, 1, 0'), ('0, 0, 1, 2147483647'), ('0, 0, 1, 1, 63'), ('0, 0, 1, 1, -2'), ('0, 0, 1, 1, 0, ''nan'''),
    ('0, 0, 1, 1, 0, 5.5'), ('0, 0, 1, 1, 0, 0, -1'), ('0, 0, 1, 1, 0, 0, 0, ARRAY[NULL]::uuid[]'), ('0, 0, 0, 1'), ('0, 0, 20015115, 1000')) a (arguments);
SELECT a.arguments, states.refused('SELECT hail.nearby_drivers(' || a.arguments || ')')
FROM (VALUES ('NULL, 0'), ('0, NULL'), ('0, 0, NULL'), ('0, 0, 5000, NULL'), ('''nan'', 0'), ('0, ''nan'''), ('0, 180.0001'), ('-90.0001, 0'), ('0, 0, ''infinity'''), ('0, 0, -5'),
    ('0, 0, 5000, 0'), ('0, 0, 5000, -1'), ('0, 0, 5000, 10, '''''), ('0, 0, 5000, 10, ''Economy'''), ('0, 0, 5000, 10, NULL'), ('-90, -180, 100, 1')) a (arguments);

SELECT count(*) > 0 AS kept FROM hail.keep();
DELETE FROM hail.driver_positions WHERE driver_id::text LIKE '0000000a%';
DELETE FROM hail.drivers WHERE id::text LIKE '0000000a%';
DELETE FROM hail.users WHERE name LIKE 'state driver %';
SELECT * FROM hail.check_live() WHERE status <> 'ok';
DROP SCHEMA states CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
