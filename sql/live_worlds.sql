-- The search finds what it should and nothing else: random worlds, random searches with every set of filters, compared with
-- brute force; in the index and in tables alone. Worlds that come out wrong are shown with their seed and a search.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT hail.set_clock('2026-05-03 09:00+00') IS NOT NULL AS clock_set;
\set ECHO none
\i test/regress/worlds.sql
\set ECHO all
SELECT worlds.begin(3000);
-- Each world is settled in one transaction and searched in the next, when the index has followed.
\set ECHO none
\o /dev/null
SELECT format('SELECT worlds.settle(%s)', n), format('INSERT INTO worlds.result SELECT %s, * FROM worlds.compare(%s)', n, n)
FROM worlds.world ORDER BY n \gexec
\o
\set ECHO all
SELECT name, searches, with_hits > 0 AS some_hits, wrong, example FROM worlds.result ORDER BY n;
SELECT * FROM hail.check_live() WHERE status <> 'ok';
SELECT worlds.end();
SELECT count(*) AS left_over FROM hail.live_drivers l JOIN worlds.driver d ON d.id = l.driver_id WHERE state <> 'offline';
DROP SCHEMA worlds CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;

-- The same without the index.
CREATE DATABASE live_worlds;
\c live_worlds
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION pg_hail CASCADE;
SELECT hail.set_clock('2026-05-03 09:00+00') IS NOT NULL AS clock_set;
\set ECHO none
\i test/regress/worlds.sql
\set ECHO all
UPDATE worlds.world SET drivers = least(drivers, 300);
SELECT worlds.begin(300);
\set ECHO none
\o /dev/null
SELECT format('SELECT worlds.settle(%s)', n), format('INSERT INTO worlds.result SELECT %s, * FROM worlds.compare(%s)', n, n)
FROM worlds.world ORDER BY n \gexec
\o
\set ECHO all
SELECT name, searches, with_hits > 0 AS some_hits, wrong, example FROM worlds.result ORDER BY n;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
\c hail
DROP DATABASE live_worlds;
