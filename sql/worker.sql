SET timezone = 'UTC';
-- The keeper's chores by hand, in one transaction, in a fixed order.
SET client_min_messages = warning;
SELECT hail.set_clock('2025-03-12 12:00+00') IS NOT NULL AS clock_set;
SELECT count(*) > 0 AS kept FROM hail.keep();
-- What other tests left in the ring is in the table now; this run moves it into its partitions.
SELECT count(*) > 0 AS kept FROM hail.keep();
SELECT step, CASE WHEN step IN ('rebuild index', 'maintain partitions', 'load saved history', 'drain history') THEN rows END AS rows
FROM hail.keep() WITH ORDINALITY AS k (step, rows, n)
WHERE step IN ('rebuild index', 'maintain partitions', 'load saved history', 'drain history', 'write positions', 'expire presence') ORDER BY n;
-- A new day: partitions are made; what the ring held is in the table.
SELECT hail.advance_clock('1 day') IS NOT NULL AS clock_set;
SELECT hail.append_history('0192f000-0000-7000-8000-0000000000e1', NULL, 30, 31, hail.clock());
SELECT step, rows > 0 AS done FROM hail.keep() WHERE step IN ('maintain partitions', 'drain history');
SELECT lat, lng, trip_id, recorded_at FROM hail.location_history WHERE driver_id = '0192f000-0000-7000-8000-0000000000e1';
DELETE FROM hail.location_history WHERE driver_id = '0192f000-0000-7000-8000-0000000000e1';
-- For administrators only.
SET ROLE hail_driver;
SELECT * FROM hail.keep();
SELECT * FROM hail.worker_epochs;
RESET ROLE;
SET SESSION AUTHORIZATION hail_front;
SELECT * FROM hail.keep();
RESET SESSION AUTHORIZATION;
-- Workers are off here: nobody has bumped an epoch.
SELECT count(*) FROM hail.worker_epochs;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
