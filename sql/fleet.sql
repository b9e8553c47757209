\set SHOW_CONTEXT never
SELECT hail.set_clock('2026-03-01 08:00+00');
SELECT id AS carl FROM hail.register_user('+201556000001', 'Carl', 'customer') \gset
SELECT id AS dina FROM hail.register_user('+201556000002', 'Dina', 'driver') \gset
SELECT id AS dave FROM hail.register_user('+201556000003', 'Dave', 'driver') \gset
SELECT hail.issue_token(:'carl', '1 day') AS carl_token, hail.issue_token(:'dina', '1 day') AS dina_token,
       hail.issue_token(:'dave', '1 day') AS dave_token \gset

-- Regions: a valid area, a currency, a time zone.
SELECT code, name, currency, timezone FROM hail.create_region('siwa', 'Siwa', 'EGP', 'Africa/Cairo', ST_MakeEnvelope(25.0, 29.0, 26.0, 29.5, 4326));
SELECT code FROM hail.create_region('siwa-town', 'Siwa town', 'EGP', 'Africa/Cairo', ST_Multi(ST_MakeEnvelope(25.4, 29.1, 25.6, 29.3, 4326)));
SELECT code, hail.create_region(code, name, currency, tz, area) IS NULL
FROM (VALUES ('siwa', 'Again', 'EGP', 'Africa/Cairo', ST_MakeEnvelope(25, 29, 26, 29.5, 4326))) AS r (code, name, currency, tz, area);
SELECT hail.create_region('Siwa 2', 'x', 'EGP', 'Africa/Cairo', ST_MakeEnvelope(25, 29, 26, 29.5, 4326));
SELECT hail.create_region('siwa2', '', 'EGP', 'Africa/Cairo', ST_MakeEnvelope(25, 29, 26, 29.5, 4326));
SELECT hail.create_region('siwa2', 'x', 'egp', 'Africa/Cairo', ST_MakeEnvelope(25, 29, 26, 29.5, 4326));
SELECT hail.create_region('siwa2', 'x', 'EGP', 'Africa/Atlantis', ST_MakeEnvelope(25, 29, 26, 29.5, 4326));
SELECT hail.create_region('siwa2', 'x', 'EGP', 'EST5', ST_MakeEnvelope(25, 29, 26, 29.5, 4326));
SELECT hail.create_region('siwa2', 'x', 'EGP', 'Africa/Cairo', NULL);
SELECT hail.create_region('siwa2', 'x', 'EGP', 'Africa/Cairo', ST_MakeEnvelope(25, 29, 26, 29.5, 3857));
SELECT hail.create_region('siwa2', 'x', 'EGP', 'Africa/Cairo', ST_GeomFromText('POINT(25 29)', 4326));
SELECT hail.create_region('siwa2', 'x', 'EGP', 'Africa/Cairo', ST_GeomFromText('POLYGON EMPTY', 4326));
SELECT hail.create_region('siwa2', 'x', 'EGP', 'Africa/Cairo', ST_GeomFromText('POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))', 4326));
SELECT hail.create_region('siwa2', 'x', 'EGP', 'Africa/Cairo', ST_MakeEnvelope(170, 0, 190, 1, 4326));
SELECT hail.create_region('siwa2', 'x', 'EGP', 'Africa/Cairo', ST_Force3D(ST_MakeEnvelope(25, 29, 26, 29.5, 4326)));
SELECT hail.create_region('siwa2', 'x', 'EGP', 'Africa/Cairo', ST_GeomFromText('POLYGON((0 0, 1 1, 1 NaN, 0 1, 0 0))', 4326));

-- A point is in the smallest region around it; an edge belongs to it.
SELECT p.lat, p.lng, (hail.region_at(p.lat, p.lng)).code
FROM (VALUES (29.2, 25.5), (29.1, 25.4), (29.4, 25.5), (29.0, 25.0), (28.9, 25.5), (NULL, 25.5), ('NaN', 25.5)) AS p (lat, lng);

-- Classes: a tier brings the lower ones of its ladder.
SELECT c.code, (SELECT string_agg(s.code, ' ' ORDER BY s.id) FROM hail.service_classes s
                WHERE hail.class_mask(ARRAY[c.code]) & (1::bigint << s.id) <> 0) AS serves
FROM hail.service_classes c ORDER BY c.id;

-- A driver registers itself, once, for what there is.
BEGIN;
SELECT role FROM hail.authenticate(:'dina_token');
SELECT status, service_classes, class_mask, online, event_version
FROM hail.register_driver(:'dina', 'siwa', '{xl,comfort,comfort}');
SAVEPOINT a;
SELECT hail.register_driver(:'dina', 'siwa', '{xl}');
ROLLBACK TO a;
SELECT hail.register_driver(:'dave', 'siwa', '{xl}');
ROLLBACK TO a;
SELECT hail.approve_driver(:'dina');
ROLLBACK TO a;
SELECT hail.set_availability(:'dina', true, 29.2, 25.5);
ROLLBACK TO a;
COMMIT;
SELECT hail.register_driver(:'carl', 'siwa', '{xl}');
SELECT hail.register_driver(hail.uuid7(), 'siwa', '{xl}');
SELECT hail.register_driver(:'dave', 'nowhere', '{xl}');
SELECT hail.register_driver(:'dave', 'siwa', '{}');
SELECT hail.register_driver(:'dave', 'siwa', NULL);
SELECT hail.register_driver(:'dave', 'siwa', '{xl,rocket}');
SELECT hail.register_driver(:'dave', 'siwa', '{xl,NULL}');
BEGIN;
SELECT role FROM hail.authenticate(:'carl_token');
SELECT hail.register_driver(:'carl', 'siwa', '{xl}');
ROLLBACK;

-- Every step of verification from every state: allowed ones only.
CREATE FUNCTION pg_temp.step(driver_id uuid, state text, step text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    d hail.drivers;
BEGIN
    UPDATE hail.drivers SET status = state, online = state = 'approved' WHERE id = driver_id;
    BEGIN
        CASE step
            WHEN 'approve' THEN d := hail.approve_driver(driver_id);
            WHEN 'reject' THEN d := hail.reject_driver(driver_id, 'blurred photo');
            WHEN 'suspend' THEN d := hail.suspend_driver(driver_id, 'complaints');
            WHEN 'reinstate' THEN d := hail.reinstate_driver(driver_id);
        END CASE;
        RAISE EXCEPTION '%', concat_ws(', ', d.status, CASE WHEN d.online THEN 'online' END, d.status_reason);
    EXCEPTION WHEN OTHERS THEN
        RETURN CASE WHEN SQLSTATE <> 'P0001' THEN SQLSTATE || ' ' ELSE '-> ' END || SQLERRM;
    END;
END $$;
BEGIN;
SELECT state, step, pg_temp.step(:'dina', state, step)
FROM (VALUES (1, 'pending'), (2, 'approved'), (3, 'rejected'), (4, 'suspended')) AS a (i, state),
     (VALUES (1, 'approve'), (2, 'reject'), (3, 'suspend'), (4, 'reinstate')) AS b (j, step) ORDER BY i, j;
ROLLBACK;
SELECT hail.approve_driver(:'carl');
SELECT hail.reject_driver(:'dina', ' ');
SELECT hail.suspend_driver(:'dina', NULL);
SELECT status FROM hail.reject_driver(:'dina', 'blurred photo');
SELECT status, status_reason FROM hail.approve_driver(:'dina');

-- Online and offline.
SELECT hail.set_availability(:'dina', true);
SELECT hail.set_availability(:'dina', NULL, 29.2, 25.5);
SELECT hail.set_availability(:'dina', true, 29.2);
SELECT hail.set_availability(:'dina', true, NULL, 25.5);
SELECT hail.set_availability(:'dina', true, 91, 25.5);
SELECT hail.set_availability(:'dina', true, 'NaN', 25.5);
SELECT hail.set_availability(:'dina', true, 29.2, 181);
SELECT hail.set_availability(:'carl', true, 29.2, 25.5);
BEGIN;
SELECT role FROM hail.authenticate(:'dave_token');
SELECT hail.set_availability(:'dina', true, 29.2, 25.5);
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'dina_token');
SELECT online, event_version, idle_since FROM hail.set_availability(:'dina', true, 29.2, 25.5);
COMMIT;
SELECT hail.advance_clock('1 minute');
SELECT online, event_version, idle_since FROM hail.set_availability(:'dina', true, 29.2, 25.5);
SELECT online, event_version FROM hail.set_availability(:'dina', false);
SELECT online, event_version FROM hail.set_availability(:'dina', false);
SELECT online, event_version, idle_since FROM hail.set_availability(:'dina', true, 29.2, 25.5);
BEGIN;
UPDATE hail.drivers SET trip_id = hail.uuid7() WHERE id = :'dina';
SELECT hail.set_availability(:'dina', false);
ROLLBACK;
-- A suspension takes a driver on a trip off line, too; the trip goes on.
BEGIN;
UPDATE hail.drivers SET trip_id = hail.uuid7() WHERE id = :'dina';
SELECT status, online, trip_id IS NOT NULL AS on_trip FROM hail.suspend_driver(:'dina', 'complaints');
ROLLBACK;
SELECT status, online, status_reason FROM hail.suspend_driver(:'dina', 'complaints');
SELECT hail.set_availability(:'dina', true, 29.2, 25.5);
SELECT status, online, status_reason FROM hail.reinstate_driver(:'dina');
-- A hold does the same beside the status, until it is released.
SELECT online FROM hail.set_availability(:'dina', true, 29.2, 25.5);
BEGIN;
UPDATE hail.drivers SET trip_id = hail.uuid7() WHERE id = :'dina';
SELECT online, trip_id IS NOT NULL AS on_trip FROM hail.hold_driver(:'dina', 'rides with itself');
ROLLBACK;
SELECT hail.hold_driver(:'dina', ' ');
SELECT hail.hold_driver(hail.uuid7(), 'unknown');
SELECT hail.release_driver(:'dina');
SELECT status, online, hold_reason FROM hail.hold_driver(:'dina', 'rides with itself');
SELECT hail.hold_driver(:'dina', 'again');
SELECT hail.set_availability(:'dina', true, 29.2, 25.5);
SELECT status, online, hold_reason FROM hail.suspend_driver(:'dina', 'complaints');
SELECT status, online, hold_reason FROM hail.reinstate_driver(:'dina');
BEGIN;
SELECT role FROM hail.authenticate(:'dina_token');
SELECT hail.release_driver(:'dina');
ROLLBACK;
SELECT status, online, hold_reason FROM hail.release_driver(:'dina');
\set VERBOSITY terse
UPDATE hail.drivers SET online = true, hold_reason = 'both' WHERE id = :'dina';
UPDATE hail.drivers SET online = true, status = 'suspended' WHERE id = :'dina';
\set VERBOSITY default

-- Each step left its event, without a gap.
SELECT version, type, payload, actor, subject = :'dina' AS by_dina
FROM hail.events WHERE aggregate_id = :'dina' ORDER BY version;
SELECT count(*) FROM hail.event_gaps() WHERE aggregate_id = :'dina';

-- Vehicles: the first one is active.
BEGIN;
SELECT role FROM hail.authenticate(:'dina_token');
SELECT plate, model, colour, year, seats, active FROM hail.add_vehicle(:'dina', ' ABC 123 ', 'Lada 2107', 'white', 1999, 4);
SELECT plate, model, colour, year, seats, active FROM hail.add_vehicle(:'dina', 'DEF 456', 'Hiace', NULL, NULL, 14);
SELECT count(*) FROM hail.vehicles;
COMMIT;
BEGIN;
SELECT role FROM hail.authenticate(:'dave_token');
SELECT hail.add_vehicle(:'dina', 'GHI 789', 'Lada');
ROLLBACK;
SELECT hail.add_vehicle(:'dave', 'GHI 789', 'Lada');
SELECT hail.add_vehicle(:'dina', '', 'Lada');
SELECT hail.add_vehicle(:'dina', 'GHI 789', NULL);
SELECT hail.add_vehicle(:'dina', 'GHI 789', 'Lada', year => 1900);
SELECT hail.add_vehicle(:'dina', 'GHI 789', 'Lada', seats => -1);
SELECT hail.add_vehicle(:'dina', 'GHI 789', 'Lada', colour => repeat('x', 51));

-- Preferred areas: administrators make them, drivers choose; one that is dropped is nobody's any more.
SELECT id, name FROM hail.create_preferred_area('siwa', ' Old town ', ST_MakeEnvelope(25.4, 29.1, 25.5, 29.2, 4326));
SELECT id, name FROM hail.create_preferred_area('siwa', 'Airport', ST_MakeEnvelope(25.5, 29.2, 25.6, 29.3, 4326));
SELECT id, name FROM hail.create_preferred_area('siwa', 'Centre', ST_MakeEnvelope(25.4, 29.1, 25.6, 29.3, 4326));
SELECT hail.create_preferred_area('siwa', 'Airport', ST_MakeEnvelope(25.5, 29.2, 25.6, 29.3, 4326));
SELECT hail.create_preferred_area('nowhere', 'X', ST_MakeEnvelope(25.5, 29.2, 25.6, 29.3, 4326));
SELECT hail.create_preferred_area('siwa', ' ', ST_MakeEnvelope(25.5, 29.2, 25.6, 29.3, 4326));
SELECT hail.create_preferred_area('siwa', 'X', NULL);
SELECT p.lat, p.lng, hail.areas_at(p.lat, p.lng) AS areas
FROM (VALUES (29.15, 25.45), (29.25, 25.55), (29.2, 25.5), (29.0, 25.0), (NULL, 25.5)) AS p (lat, lng);
BEGIN;
SELECT role FROM hail.authenticate(:'dina_token');
SELECT id, name FROM hail.preferred_areas ORDER BY id;
SELECT area_mask FROM hail.set_preferred_areas(:'dina', '{0,2,2}');
SELECT area_mask FROM hail.set_preferred_areas(:'dina', '{2,0}');
SAVEPOINT a;
SELECT hail.set_preferred_areas(:'dina', '{0,7}');
ROLLBACK TO a;
SELECT hail.set_preferred_areas(:'dina', '{0,NULL}');
ROLLBACK TO a;
SELECT hail.set_preferred_areas(:'dave', '{0}');
ROLLBACK TO a;
SELECT hail.set_job_capacity(:'dina', 2);
ROLLBACK TO a;
SELECT hail.create_preferred_area('siwa', 'Mine', ST_MakeEnvelope(25.5, 29.2, 25.6, 29.3, 4326));
ROLLBACK TO a;
SELECT hail.drop_preferred_area(0);
ROLLBACK TO a;
COMMIT;
SELECT hail.drop_preferred_area(2) AS drivers_changed;
SELECT hail.drop_preferred_area(2);
SELECT hail.drop_preferred_area(NULL);
SELECT area_mask FROM hail.drivers WHERE id = :'dina';
-- the lowest free bit is taken, up to the 64th
BEGIN;
SELECT max((hail.create_preferred_area('siwa', 'Area ' || n, ST_MakeEnvelope(25.4, 29.1, 25.6, 29.3, 4326))).id) FROM generate_series(1, 62) n;
SELECT hail.areas_at(29.25, 25.45) = ~3::bigint AS all_of_them;
SELECT area_mask FROM hail.set_preferred_areas(:'dina', '{63}');
SELECT hail.create_preferred_area('siwa', 'One more', ST_MakeEnvelope(25.4, 29.1, 25.6, 29.3, 4326));
ROLLBACK;
SELECT area_mask FROM hail.set_preferred_areas(:'dina', NULL);
SELECT hail.set_preferred_areas(:'carl', '{0}');
-- Jobs at once.
SELECT job_capacity FROM hail.set_job_capacity(:'dina', 3);
SELECT job_capacity FROM hail.set_job_capacity(:'dina', 3);
SELECT hail.set_job_capacity(:'dina', 0);
SELECT hail.set_job_capacity(:'dina', NULL);
SELECT hail.set_job_capacity(:'carl', 2);
SELECT version, type, payload FROM hail.events WHERE aggregate_id = :'dina' AND type IN ('DriverAreasChanged', 'DriverCapacityChanged') ORDER BY version;

-- Favourites and blocks: a customer's own business; one excludes the other.
BEGIN;
SELECT role FROM hail.authenticate(:'carl_token');
SELECT favourite, blocked FROM hail.favourite_driver(:'carl', :'dina');
SELECT favourite, blocked FROM hail.block_driver(:'carl', :'dina');
SELECT favourite, blocked FROM hail.block_driver(:'carl', :'dina', false);
SELECT favourite, blocked FROM hail.block_driver(:'carl', :'dina');
SELECT favourite, blocked FROM hail.favourite_driver(:'carl', :'dina');
SELECT favourite, blocked FROM hail.favourite_driver(:'carl', :'dina', false);
SELECT favourite, blocked FROM hail.block_driver(:'carl', :'dina');
SELECT driver_id = :'dina' AS dina, blocked FROM hail.customer_drivers;
SELECT hail.block_driver(:'carl', :'dave');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'dina_token');
SELECT hail.block_driver(:'carl', :'dina', false);
ROLLBACK;
SELECT hail.block_driver(:'dave', :'dina');
SELECT hail.reset_clock() IS NOT NULL AS reset;
