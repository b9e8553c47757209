-- Position reports of many requests in one call: each token verified, each verdict its own.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
SELECT hail.set_clock('2026-05-02 12:00+00');
CREATE SCHEMA requests;
GRANT USAGE ON SCHEMA requests TO PUBLIC;
SELECT code FROM hail.create_region('requests', 'World', 'EUR', 'UTC', ST_MakeEnvelope(-180, -90, 180, 90, 4326));
CREATE FUNCTION requests.id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT ('00000009-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
-- 1-3 online, 4 offline (the index does not know it), 5 not approved, 6 suspended; 7 is no driver's
INSERT INTO hail.users (id, name, role)
SELECT requests.id(n), 'driver ' || n, 'driver' FROM generate_series(1, 7) n;
INSERT INTO hail.users (id, name, role) VALUES (requests.id(8), 'Cleo', 'customer'), (requests.id(9), 'Ada', 'admin');
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
SELECT requests.id(n), r.id, '{economy}', 1, CASE n WHEN 5 THEN 'pending' WHEN 6 THEN 'suspended' ELSE 'approved' END, n < 4
FROM generate_series(1, 6) n, hail.regions r WHERE r.code = 'requests';

-- What is sent, a row a request, and the arrays of it.
CREATE TABLE requests.sent (n integer PRIMARY KEY, token text, lat float8 DEFAULT 48.2, lng float8 DEFAULT 16.37,
                            heading real, speed real, accuracy real, recorded_at timestamptz);
CREATE VIEW requests.arrays AS
SELECT array_agg(token ORDER BY n) AS tokens, array_agg(lat ORDER BY n) AS lats, array_agg(lng ORDER BY n) AS lngs,
       array_agg(heading ORDER BY n) AS headings, array_agg(speed ORDER BY n) AS speeds,
       array_agg(accuracy ORDER BY n) AS accuracies, array_agg(recorded_at ORDER BY n) AS recorded_ats
FROM requests.sent;
GRANT SELECT ON requests.arrays TO hail_front;
CREATE TABLE requests.tokens AS
SELECT n, hail.issue_token(requests.id(n), '1 day') AS token FROM generate_series(1, 9) n;

-- Good and bad mixed: every one gets what it would have got alone.
INSERT INTO requests.sent (n, token) SELECT n, token FROM requests.tokens;
INSERT INTO requests.sent (n, token)
VALUES (10, NULL), (11, ''), (12, 'a.b.c'), (13, (SELECT left(token, -2) || 'AA' FROM requests.tokens WHERE n = 1)),
       (14, hail.sign_token(requests.id(1), 'driver', hail.clock() - interval '1 hour')), (15, repeat('x', 9000));
INSERT INTO requests.sent (n, token, lat, lng, heading, speed, accuracy, recorded_at)
SELECT v.n, t.token, lat, lng, heading, speed, accuracy, hail.clock() + recorded
FROM requests.tokens t,
    (VALUES (20, 91::float8, 16.37::float8, 0::real, 0::real, 0::real, interval '0'), (21, 'nan', 16.37, 0, 0, 0, '0'), (22, 48.2, '-infinity', 0, 0, 0, '0'),
            (23, NULL, 16.37, 0, 0, 0, '0'), (24, 48.2, NULL, 0, 0, 0, '0'), (25, 48.2, 16.37, 361, 0, 0, '0'),
            (26, 48.2, 16.37, 'nan', 0, 0, '0'), (27, 48.2, 16.37, 0, -1, 0, '0'), (28, 48.2, 16.37, 0, 'infinity', 0, '0'),
            (29, 48.2, 16.37, 0, 0, 'nan', '0'), (30, 48.2, 16.37, 0, 0, -0.5, '0'), (31, 48.2, 16.37, 0, 0, 0, '61 seconds'),
            (32, 48.2, 16.37, 0, 0, 0, '-25 hours'), (33, 48.2, 16.37, 0, 0, 0, '-10 seconds'), (34, 58.2, 16.37, 0, 0, 0, '0'),
            (35, 48.2001, 16.37, 90, 30, 5, '1 second')) v (n, lat, lng, heading, speed, accuracy, recorded)
WHERE t.n = 1;
SET SESSION AUTHORIZATION hail_front;
SELECT (row_number() OVER ()) AS request, r.*
FROM requests.arrays a, hail.report_requests(tokens, lats, lngs, headings, speeds, accuracies, recorded_ats) r;
-- Nobody's identity stays, and the driver's is not to be had this way.
BEGIN;
SELECT count(*) FROM requests.arrays, hail.report_requests(tokens, lats, lngs);
SELECT current_user, hail.current_subject(), hail.current_role_name();
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT driver_id = requests.id(1) AS first, lat, heading, speed, accuracy FROM hail.live_drivers WHERE driver_id IN (requests.id(1), requests.id(4)) ORDER BY 1 DESC;

-- The history has a point a minute of each driver that was free, and nothing of the refused.
SELECT count(*) FROM hail.keep() WHERE step = 'drain history';
SELECT (regexp_replace(driver_id::text, '.*-0*', '')) AS driver, recorded_at, lat FROM hail.location_history
WHERE driver_id IN (SELECT requests.id(n) FROM generate_series(1, 9) n) ORDER BY 1, 2, 3;

-- Each driver has a rate of its own: twenty at once, of twenty-two; the others are told how long to wait.
SELECT hail.advance_clock('2 minutes');
SET SESSION AUTHORIZATION hail_front;
SELECT sqlstate, message, retry_after_s, count(*)
FROM requests.arrays a,
    hail.report_requests(array_fill(tokens[2], ARRAY[22]) || tokens[3], array_fill(48.2, ARRAY[23])::float8[],
                         array_fill(16.37, ARRAY[23])::float8[]) GROUP BY 1, 2, 3 ORDER BY 1;
RESET SESSION AUTHORIZATION;
SELECT hail.advance_clock('2 minutes');

-- An error of the tables stays with its request: here, the row of a driver unknown to the index can't be locked.
SELECT hail.live_reset();
SELECT count(*) FROM hail.keep() WHERE step = 'rebuild index';
DELETE FROM requests.sent WHERE n > 4;
SET SESSION AUTHORIZATION hail_front;
BEGIN READ ONLY;
SELECT sqlstate, message, field, state, applied FROM requests.arrays, hail.report_requests(tokens, lats, lngs);
COMMIT;
SELECT sqlstate, message, field, state, applied FROM requests.arrays, hail.report_requests(tokens, lats, lngs);

-- The arrays.
SELECT * FROM hail.report_requests('{}', '{}', '{}');
SELECT * FROM hail.report_requests(NULL, '{48.2}', '{16.37}');
SELECT * FROM hail.report_requests('{x}', NULL, '{16.37}');
SELECT * FROM hail.report_requests('{x}', '{48.2}', NULL);
SELECT * FROM hail.report_requests('{x,y}', '{48.2}', '{16.37,16.37}');
SELECT * FROM hail.report_requests('{x}', '{48.2}', '{16.37}', '{}');
SELECT * FROM hail.report_requests('{x}', '{48.2}', '{16.37}', NULL, '{1,2}');
SELECT * FROM hail.report_requests('{x}', '{48.2}', '{16.37}', NULL, NULL, '{1,2}');
SELECT * FROM hail.report_requests('{x}', '{48.2}', '{16.37}', NULL, NULL, NULL, '{2026-05-02,2026-05-03}');
SELECT * FROM hail.report_requests('{{x},{y}}', '{48.2,48.2}', '{16.37,16.37}');
RESET SESSION AUTHORIZATION;

-- For hail_front alone: not for those it becomes, nor for one who was granted it.
SET SESSION AUTHORIZATION hail_front;
SET ROLE hail_driver;
SELECT * FROM hail.report_requests('{x}', '{48.2}', '{16.37}');
RESET ROLE;
BEGIN;
SELECT role FROM requests.arrays, hail.authenticate(tokens[1]);
SELECT * FROM hail.report_requests('{x}', '{48.2}', '{16.37}');
ROLLBACK;
RESET SESSION AUTHORIZATION;
CREATE ROLE requests_stranger LOGIN;
GRANT USAGE ON SCHEMA hail TO requests_stranger;
SET SESSION AUTHORIZATION requests_stranger;
SELECT * FROM hail.report_requests('{x}', '{48.2}', '{16.37}');
RESET SESSION AUTHORIZATION;
GRANT EXECUTE ON FUNCTION hail.report_requests TO requests_stranger;
SET SESSION AUTHORIZATION requests_stranger;
SELECT * FROM hail.report_requests('{x}', '{48.2}', '{16.37}');
RESET SESSION AUTHORIZATION;
REVOKE ALL ON SCHEMA hail FROM requests_stranger;
REVOKE ALL ON FUNCTION hail.report_requests FROM requests_stranger;
DROP ROLE requests_stranger;

-- Clean up.
SELECT count(*) > 0 AS kept FROM hail.keep();
DELETE FROM hail.driver_positions WHERE driver_id IN (SELECT requests.id(n) FROM generate_series(1, 6) n);
DELETE FROM hail.location_history WHERE driver_id IN (SELECT requests.id(n) FROM generate_series(1, 6) n);
DELETE FROM hail.drivers WHERE id IN (SELECT requests.id(n) FROM generate_series(1, 6) n);
DELETE FROM hail.users WHERE id IN (SELECT requests.id(n) FROM generate_series(1, 9) n);
DELETE FROM hail.regions WHERE code = 'requests';
SELECT count(*) AS left_over FROM hail.live_drivers WHERE driver_id IN (SELECT requests.id(n) FROM generate_series(1, 9) n);
DROP SCHEMA requests CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
