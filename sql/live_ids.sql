-- hail.nearby_driver_ids() says in two arrays what hail.nearby_drivers() says in rows: same drivers, same order, same
-- errors, same callers; from the index and from tables alone.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\set ECHO none
\i test/regress/ids.sql
\set ECHO all
SELECT place.settle();
SELECT place.report();
SELECT * FROM place.compare();
SELECT driver_ids, distances_m FROM hail.nearby_driver_ids(-40, -140);
SELECT pg_typeof(driver_ids), array_ndims(driver_ids), array_lower(driver_ids, 1), cardinality(driver_ids), cardinality(distances_m)
FROM hail.nearby_driver_ids(48.2, 16.37, 5000, 7);
-- as a join
SELECT count(*) AS joined FROM hail.nearby_driver_ids(48.2, 16.37, 5000, 7) n, unnest(n.driver_ids, n.distances_m) d(id, m)
JOIN hail.drivers ON drivers.id = d.id;
-- what is wrong is named
SELECT hail.nearby_driver_ids(91, 0);
SELECT hail.nearby_driver_ids(0, 'nan');
SELECT hail.nearby_driver_ids(0, 0, 0);
SELECT hail.nearby_driver_ids(0, 0, 5000, 0);
SELECT hail.nearby_driver_ids(0, 0, 5000, 1001);
SELECT hail.nearby_driver_ids(0, 0, 5000, NULL);
SELECT hail.nearby_driver_ids(0, 0, 5000, 10, 'rocket');
SET SESSION AUTHORIZATION hail_front;
SELECT hail.nearby_driver_ids(48.2, 16.37);
SET ROLE hail_customer;
SELECT hail.nearby_driver_ids(48.2, 16.37);
RESET SESSION AUTHORIZATION;
SELECT place.leave();
SELECT count(*) AS left_over FROM hail.live_drivers l WHERE state <> 'offline' AND driver_id IN (SELECT id FROM place.driver);
DROP SCHEMA place CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;

-- The same without the index.
CREATE DATABASE live_ids;
\c live_ids
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION pg_hail CASCADE;
\set ECHO none
\i test/regress/ids.sql
\set ECHO all
SELECT place.settle();
SELECT place.report();
SELECT * FROM place.compare();
SELECT driver_ids, distances_m FROM hail.nearby_driver_ids(-40, -140);
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
\c hail
DROP DATABASE live_ids;
