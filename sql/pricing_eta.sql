-- ETAs that learn, on a frozen clock: a region whose configured figures are great circle = road, 30 km/h.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SELECT hail.set_clock('2013-03-29 12:00+00') IS NOT NULL AS clock_set;
SELECT code FROM hail.create_region('learning', 'Learning', 'USD', 'America/New_York', ST_MakeEnvelope(30, -10, 32, -8, 4326));
SELECT code FROM hail.create_region('other', 'Other', 'USD', 'UTC', ST_MakeEnvelope(33, -10, 34, -8, 4326));
UPDATE hail.regions SET distance_factor = 1, speed_kmh = 30 WHERE code IN ('learning', 'other');
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
SELECT count(*) > 0 AS steps_run FROM hail.keep();

-- Nothing learnt: the region's figures. 5 km in 600 s.
\set five_km 0.04496608
SELECT * FROM hail.eta(-9, 31, -9 + :five_km, 31);
SELECT * FROM hail.eta(-9, 31, -9 + :five_km, 31, region => 'other');
SELECT * FROM hail.eta(-9, 31, -9, 31, kind => 'pickup');
SELECT pg_temp.refusal('SELECT hail.eta(' || args || ')') AS refusal
FROM unnest('{"NULL, 31, -9.1, 31", "-91, 31, -9.1, 31", "-9, ''NaN'', -9.1, 31", "-9, 31, ''infinity'', 31", "-9, 31, -9.1, 181",
              "-9, 31, -9, 31.0001", "-9, 31, 9, 31", "60, 31, 60.1, 31", "-9, 31, -9.1, 31, region => ''nowhere''",
              "-9, 31, -9.1, 31, kind => ''walk''", "-9, 31, -9.1, 31, at => ''infinity''"}'::text[]) WITH ORDINALITY a (args, n) ORDER BY n;

-- Trips of 5 km, all in 1200 s: not enough of them, then enough. The answer goes towards what they took.
CREATE FUNCTION pg_temp.drive(trips integer, start timestamptz, seconds float8, metres float8 DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.queue_eta_trips('learning', array_agg(start + n * interval '1 second'), array_agg(-9.0), array_agg(31.0),
                                 array_agg(-9 + 0.04496608), array_agg(31.0), array_agg(seconds), array_agg(metres))
    FROM generate_series(1, trips) n;
    RETURN hail.learn_eta();
END $$;
CREATE FUNCTION pg_temp.ask(at timestamptz, lng float8 DEFAULT 31) RETURNS TABLE (slower boolean, twice boolean, source text, support integer) LANGUAGE sql AS $$
    SELECT e.duration_s > 630, e.duration_s BETWEEN 1100 AND 1300, e.source, round(e.support)::integer
    FROM hail.eta(-9, lng, -9 + 0.04496608, lng, at) e $$;
SELECT pg_temp.drive(4, '2013-03-25 12:30+00', 1200);
SELECT * FROM pg_temp.ask('2013-04-01 12:30+00');
SELECT pg_temp.drive(1, '2013-03-25 12:31+00', 1200);
SELECT * FROM pg_temp.ask('2013-03-25 12:30+00');
SELECT pg_temp.drive(100, '2013-03-25 12:30+00', 1200, 6500);
SELECT * FROM pg_temp.ask('2013-04-01 12:30+00');
-- Another hour, another place, both; another region has learnt nothing.
SELECT * FROM pg_temp.ask('2013-04-01 23:30+00');
SELECT * FROM pg_temp.ask('2013-04-01 12:30+00', 30.2);
SELECT * FROM pg_temp.ask('2013-04-01 23:30+00', 30.2);
SELECT * FROM pg_temp.ask('2013-04-01 23:30+00', 33.2);
-- Roads are 1.3 times the great circle, as driven.
SELECT distance_m BETWEEN 6300 AND 6600 AS road, low_s < duration_s AND duration_s < high_s AS interval
FROM hail.eta(-9, 31, -9 + :five_km, 31, '2013-04-01 12:30+00');
-- Nights are quick: each hour gets its own.
SELECT pg_temp.drive(100, '2013-03-26 06:30+00', 500);
SELECT a.duration_s > 1.5 * b.duration_s AS day_slower
FROM hail.eta(-9, 31, -9 + :five_km, 31, '2013-04-01 12:30+00') a, hail.eta(-9, 31, -9 + :five_km, 31, '2013-04-02 06:30+00') b;

-- Each trip once: what is rolled back is learnt later, what was learnt is not learnt again.
CREATE FUNCTION pg_temp.seconds() RETURNS integer LANGUAGE sql AS $$
    SELECT duration_s FROM hail.eta(-9, 31, -9 + 0.04496608, 31, '2013-04-01 12:30+00') $$;
SELECT hail.learn_eta() AS nothing_waits;
SELECT pg_temp.seconds() AS before \gset
SELECT count(*) AS effects, md5(string_agg(e::text, ',' ORDER BY key)) AS sum FROM hail.eta_effects e \gset
BEGIN;
SELECT pg_temp.drive(50, '2013-03-26 12:30+00', 2400);
SELECT pg_temp.seconds() = :before AS not_committed_not_seen;
ROLLBACK;
SELECT pg_temp.seconds() = :before AS as_before, count(*) = :effects AND md5(string_agg(e::text, ',' ORDER BY key)) = :'sum' AS rows_as_before FROM hail.eta_effects e;
SELECT count(*) FROM hail.queue_eta_trips('learning', array_fill('2013-03-26 12:30+00'::timestamptz, '{50}'), array_fill(-9.0::float8, '{50}'),
    array_fill(31::float8, '{50}'), array_fill(-8.96::float8, '{50}'), array_fill(31::float8, '{50}'), array_fill(2400::float8, '{50}'));
BEGIN;
SELECT hail.learn_eta(20);
ROLLBACK;
SELECT count(*) AS waiting FROM hail.eta_samples s JOIN hail.regions r ON r.id = s.region_id WHERE r.code = 'learning';
SELECT hail.learn_eta(20), hail.learn_eta(20), hail.learn_eta(20), hail.learn_eta(20);
SELECT pg_temp.seconds() > :before AS learnt;
-- A part that is undone and has learnt nothing, or all that was learnt, leaves memory as it is.
BEGIN;
SELECT pg_temp.drive(5, '2013-03-27 12:29+00', 2400);
SAVEPOINT s;
SELECT hail.clock() IS NOT NULL AS asked;
ROLLBACK TO s;
COMMIT;
SELECT status FROM hail.check_eta();
SELECT pg_temp.seconds() AS before \gset
BEGIN;
SAVEPOINT s;
SELECT pg_temp.drive(5, '2013-03-27 12:31+00', 2400);
ROLLBACK TO s;
COMMIT;
SELECT status FROM hail.check_eta();
SELECT pg_temp.seconds() = :before AS as_before;
-- Undone in part: what is left of the transaction is read from the rows.
SELECT pg_temp.seconds() AS before \gset
BEGIN;
SELECT pg_temp.drive(5, '2013-03-27 12:30+00', 2400);
SAVEPOINT s;
SELECT pg_temp.drive(5, '2013-03-27 12:31+00', 2400);
ROLLBACK TO s;
COMMIT;
SELECT status, detail, hint FROM hail.check_eta();
SELECT * FROM pg_temp.ask('2013-04-01 12:30+00');
SELECT step, rows > 0 AS some FROM hail.keep() WHERE step ~ 'ETA';
SELECT status FROM hail.check_eta();
SELECT pg_temp.seconds() >= :before AS read_again;
-- Shared memory holds what the rows hold: read from them it answers the same.
CREATE TEMP TABLE asked AS
SELECT a, b, h, (e).* FROM generate_series(0, 3) a, generate_series(1, 4) b, generate_series(0, 167, 7) h,
    LATERAL hail.eta(-9.1 + a * 0.05, 31, -9 + b * 0.05, 31.01, '2013-04-01 00:30+00'::timestamptz + h * interval '1 hour') e;
UPDATE hail.eta_effects SET mean = mean;
SELECT DISTINCT source FROM hail.eta(-9, 31, -9 + :five_km, 31, '2013-04-01 12:30+00');
SELECT count(*) > 0 AS steps_run FROM hail.keep();
SELECT count(*) AS asked, count(*) FILTER (WHERE e IS DISTINCT FROM (q.distance_m, q.duration_s, q.low_s, q.high_s, q.source, q.support)) AS different
FROM asked q, LATERAL hail.eta(-9.1 + a * 0.05, 31, -9 + b * 0.05, 31.01, '2013-04-01 00:30+00'::timestamptz + h * interval '1 hour') e;
-- In one snapshot it can't be known what others have learnt; a prepared transaction could not tell shared memory.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_temp.refusal('SELECT hail.learn_eta()');
ROLLBACK;
BEGIN;
SELECT pg_temp.drive(1, '2013-03-27 12:30+00', 1200);
PREPARE TRANSACTION 'learning';

-- The clock of the region, its daylight saving too: in New York 1:59 was followed by 3:00 on the morning of Sunday 10 March.
SELECT hail.forget_eta('learning') > 0 AS forgotten;
SELECT * FROM pg_temp.ask('2013-04-01 12:30+00');
SELECT pg_temp.drive(5, '2013-03-10 06:30+00', 1200), pg_temp.drive(5, '2013-03-10 07:30+00', 1200), pg_temp.drive(5, '2013-03-11 03:30+00', 1200);
SELECT DISTINCT (key & 255) / 24 AS weekday, (key & 255) % 24 AS hour, learnt_on FROM hail.eta_effects e JOIN hail.regions r ON r.id = e.region_id
WHERE r.code = 'learning' AND hail.eta_effect_level(key) = 'hour' AND weight > 4 ORDER BY 1, 2;

-- Forgetting by the clock: half of it every hail.eta_half_life.
SELECT at, source, round(support::numeric, 1) AS support FROM unnest('{2013-03-11, 2013-06-09, 2013-09-07, 2014-03-11}'::date[]) at,
    LATERAL hail.eta(-9, 31, -9 + :five_km, 31, at + interval '7 hours 30 minutes') ORDER BY at;
SELECT level, effects > 0 AS some, supported, round(support::numeric) AS support, learnt_on FROM hail.eta_model('learning')
WHERE level IN ('region', 'day') ORDER BY level;
SELECT hail.set_clock('2014-04-01 12:00+00') IS NOT NULL AS clock_set;
SELECT level, supported, learnt_on FROM hail.eta_model('learning') WHERE level IN ('region', 'day') ORDER BY level;
SELECT source FROM hail.eta(-9, 31, -9 + :five_km, 31);
SELECT hail.set_clock('2013-03-29 12:00+00') IS NOT NULL AS clock_set;

-- What teaches nothing is told, the rest waits.
SELECT * FROM hail.queue_eta_trips('learning',
    '{2013-03-01 12:00+00, NULL, infinity, 2026-03-01, 2013-03-01 12:00+00, 2013-03-01 12:00+00, 2013-03-01 12:00+00, 2013-03-01 12:00+00, 2013-03-01 12:00+00, 2013-03-01 12:00+00}',
    '{-9, -9, -9, -9, 91, NULL, -9, -9, -9, -9}', array_fill(31::float8, '{10}'), array_fill(-8.9::float8, '{10}'), array_fill(31::float8, '{10}'),
    '{900, 900, 900, 900, 900, 900, 5, NULL, NaN, 900}', '{NULL, 1, 1, 1, 1, 1, 1, 1, 1, -5}');
SELECT hail.learn_eta();
SELECT pg_temp.refusal('SELECT * FROM ' || call) AS refusal FROM unnest(ARRAY[
    $$hail.queue_eta_trips('nowhere', '{}', '{}', '{}', '{}', '{}', '{}')$$, $$hail.queue_eta_trips('learning', '{now}', '{}', '{1}', '{1}', '{1}', '{1}')$$,
    $$hail.queue_eta_trips('learning', NULL, NULL, NULL, NULL, NULL, NULL)$$, 'hail.learn_eta(0)', 'hail.learn_eta(1000000)',
    $$hail.forget_eta('nowhere')$$, $$hail.forget_eta(NULL)$$, $$hail.eta_model('nowhere')$$]) WITH ORDINALITY c (call, n) ORDER BY n;

-- Trips just queued don't wait for long; after an hour they do, after 30 days they go, whoever does not learn.
SELECT count(*) FROM hail.queue_eta_trips('learning', array_fill('2013-03-26 12:30+00'::timestamptz, '{10001}'), array_fill(-9.0::float8, '{10001}'),
    array_fill(31::float8, '{10001}'), array_fill(-8.96::float8, '{10001}'), array_fill(31::float8, '{10001}'), array_fill(2400::float8, '{10001}'));
SELECT hail.eta_trips_wait(), status FROM hail.check_eta();
SELECT hail.advance_clock('2 hours') IS NOT NULL AS clock_set;
SELECT status, detail FROM hail.check_eta();
SELECT hail.expire_eta_samples();
SELECT hail.advance_clock('30 days') IS NOT NULL AS clock_set;
SELECT hail.expire_eta_samples(), hail.eta_trips_wait();
-- Rides teach when their tracks are kept: how long, how far, and how long the way to the pickup took.
SELECT hail.set_clock('2013-11-20 01:00+00') IS NOT NULL AS clock_set;
SELECT count(*) >= 0 AS partitions_made FROM hail.maintain_partitions();
SELECT hail.load_sample_fares('learning');
CREATE PROCEDURE pg_temp.ride(minutes integer) LANGUAGE plpgsql AS $$
DECLARE
    driver uuid; customer uuid; trip hail.trips; begun timestamptz := hail.clock();
BEGIN
    driver := (hail.register_user('+3529' || (20000000 + (SELECT count(*) FROM hail.users)), 'Driver', 'driver')).id;
    PERFORM hail.register_driver(driver, 'learning', '{economy}');
    PERFORM hail.approve_driver(driver);
    PERFORM hail.set_availability(driver, true, -9.02, 31);
    COMMIT;
    customer := (hail.register_user('+3529' || (20000000 + (SELECT count(*) FROM hail.users)), 'Customer', 'customer')).id;
    trip := hail.request_trip((hail.create_quote(customer, -9, 31, -8.95, 31, 'economy')).id, 'cash', idempotency_key => 'trip');
    COMMIT;
    PERFORM hail.accept_offer(trip.id, driver);
    COMMIT;
    FOR i IN 0..minutes LOOP
        PERFORM hail.set_clock(begun + i * interval '1 minute'), hail.report_location(driver, -9.02 + 0.02 * i / minutes, 31);
    END LOOP;
    PERFORM hail.arrive(trip.id);
    PERFORM hail.start_trip(trip.id, (SELECT t.pickup_code FROM hail.trips t WHERE t.id = trip.id));
    FOR i IN 0..15 LOOP
        PERFORM hail.set_clock(begun + (minutes + i) * interval '1 minute'), hail.report_location(driver, -9 + 0.05 * i / 15, 31 + 0.01 * (i % 2));
    END LOOP;
    PERFORM hail.complete_trip(trip.id);
    PERFORM hail.set_availability(driver, false);
    PERFORM hail.set_clock(begun + interval '1 hour');
END $$;
SELECT hail.forget_eta('learning') > 0 AS forgotten;
CALL pg_temp.ride(12);
CALL pg_temp.ride(12);
CALL pg_temp.ride(12);
CALL pg_temp.ride(12);
CALL pg_temp.ride(12);
CALL pg_temp.ride(12);
SELECT due_at - hail.clock() < '0' AS due, duration_s, distance_m, count(*) FROM hail.eta_samples s JOIN hail.regions r ON r.id = s.region_id
WHERE r.code = 'learning' GROUP BY 1, 2, 3;
SELECT hail.drain_history() > 0 AS drained;
SELECT step, rows FROM hail.keep() WHERE step IN ('keep tracks', 'learn ETAs') ORDER BY step;
SELECT level, effects, round(support) AS support FROM hail.eta_model('learning') WHERE level IN ('region', 'pickup', 'road');
SELECT source, duration_s > 700 AS slower, distance_m > 6000 AS detour FROM hail.eta(-9, 31, -8.95, 31);
-- 2.2 km took 12 minutes; a trip would take less, a driver on its way there does not.
SELECT t.duration_s < p.duration_s AS longer, p.duration_s BETWEEN 500 AND 800 AS some_12_minutes, p.source, round(p.support) AS support
FROM hail.eta(-9.02, 31, -9, 31) t, hail.eta(-9.02, 31, -9, 31, kind => 'pickup') p;

-- Customers are told how long it takes, not how many trips that rests on.
SELECT hail.issue_token(u.id) AS token FROM hail.users u JOIN hail.trips t ON t.customer_id = u.id JOIN hail.regions r ON r.id = t.region_id
WHERE r.code = 'learning' LIMIT 1 \gset
BEGIN;
SELECT role FROM hail.authenticate(:'token');
SELECT source, duration_s > 0 AS told, support FROM hail.eta(-9, 31, -8.95, 31);
SELECT * FROM hail.eta_model('learning');
ROLLBACK;
