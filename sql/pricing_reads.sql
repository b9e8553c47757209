-- Single prices by their id, as their readers may see them
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-21 10:00+00');
SELECT code FROM hail.create_region('reads', 'Reads', 'EUR', 'Europe/Berlin', public.ST_MakeEnvelope(13.0, 52.0, 13.8, 52.8, 4326));
SELECT hail.load_sample_fares('reads');
CREATE TEMP TABLE people AS
SELECT n AS who, (hail.register_user('+4930000' || i, n, CASE n WHEN 'ann' THEN 'analyst' ELSE 'customer' END)).id
FROM unnest(ARRAY['carl', 'cleo', 'ann']) WITH ORDINALITY AS p (n, i);
GRANT SELECT ON people TO PUBLIC;
CREATE FUNCTION pg_temp.as_person(who text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.authenticate(hail.issue_token((SELECT id FROM people p WHERE p.who = as_person.who)));
END $$;
CREATE TEMP TABLE made AS
SELECT (hail.create_quote((SELECT id FROM people WHERE who = 'carl'), 52.52, 13.40, 52.50, 13.45, 'economy')).id AS quote_id,
       (SELECT f.id FROM hail.list_fares('reads', 'economy') f) AS fare_id,
       (hail.create_event_area('reads', 'match', 1.5, NULL, '2013-11-21 12:00+00', lat => 52.5, lng => 13.4, radius_m => 300)).id AS event_id;
GRANT SELECT ON made TO PUBLIC;

-- A quote: its customer gets the amounts, not what they were made of; administrators all; others nothing
SELECT total, commission_bp, per_km, rounding FROM hail.get_quote((SELECT quote_id FROM made));
BEGIN; SELECT pg_temp.as_person('carl');
SELECT total, surge, commission_bp, per_km, per_minute, minimum_fare, rounding, fare_id, variant_id, variant_multiplier
FROM hail.get_quote((SELECT quote_id FROM made));
SELECT commission_bp FROM hail.quotes;
ROLLBACK;
BEGIN; SELECT pg_temp.as_person('cleo'); SELECT hail.get_quote((SELECT quote_id FROM made)); ROLLBACK;
BEGIN; SELECT pg_temp.as_person('ann'); SELECT hail.get_quote((SELECT quote_id FROM made)); ROLLBACK;
SELECT hail.get_quote(NULL);

-- A price list and an event area: administrators and analysts
BEGIN; SELECT pg_temp.as_person('ann');
SELECT region, service_class, status, base, currency FROM hail.get_fare((SELECT fare_id FROM made));
SELECT region, name, status, multiplier FROM hail.get_event_area((SELECT event_id FROM made));
ROLLBACK;
BEGIN; SELECT pg_temp.as_person('carl'); SELECT hail.get_fare((SELECT fare_id FROM made)); ROLLBACK;
SELECT hail.get_fare(gen_random_uuid());
SELECT hail.get_event_area(NULL);

-- What a statement has just changed is read by the same statement
SELECT f.status, f.base FROM hail.set_fare('reads', 'economy', 777, 1, 1, 1, 0) s, LATERAL hail.get_fare(s.id) f;
SELECT a.status FROM hail.end_event_area((SELECT event_id FROM made)) e, LATERAL hail.get_event_area(e.id) a;

-- Surge settings: as they are, and each change on record, page by page
SELECT * FROM hail.surge_control('reads');
SELECT mode, cap FROM hail.set_surge('reads', 'frozen', 2.5, 'a quiet day');
SELECT mode, cap FROM hail.set_surge('reads', 'on');
SELECT region_code, mode, cap, changed_at, reason FROM hail.surge_control('reads');
SELECT (l.change).mode, (l.change).cap, (l.change).reason, l.region_code, l.next_cursor IS NOT NULL AS more
FROM hail.list_surge_changes('reads', 1) l;
SELECT (l.change).mode, (l.change).cap, (l.change).reason, l.next_cursor IS NOT NULL AS more
FROM hail.list_surge_changes('reads', 1, (SELECT next_cursor FROM hail.list_surge_changes('reads', 1))) l;
SELECT hail.list_surge_changes('reads', 1, 'x');
SELECT hail.list_surge_changes(NULL, 1, (SELECT next_cursor FROM hail.list_surge_changes('reads', 1)));
SELECT hail.list_surge_changes('nowhere');
SELECT hail.list_surge_history('reads', '2013-11-20', '2013-11-21', NULL, NULL, 0);
SELECT hail.list_surge_history('reads', '2013-11-20', 'infinity');
SELECT hail.list_surge_history(NULL, '2013-11-20', '2013-11-21');
SELECT count(*) FROM hail.list_surge_history('reads', '2013-11-20', '2013-11-21', 52.5, 13.4);
-- A page of the history is read in the order of an index, whether of all hexagons or of one: nothing is sorted.
CREATE TEMP TABLE day AS SELECT hail.day_start('2013-11-20') AS starts;
CREATE TEMP TABLE changes (LIKE hail.surge_history);
CREATE FUNCTION pg_temp.index(definition text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE INDEX ON changes ' || definition; END $$;
SELECT count(pg_temp.index(i)) FROM hail.partitioned_tables p, unnest(p.indexes) i WHERE p.table_name = 'surge_history';
INSERT INTO changes SELECT 1, n % 500, starts + (n / 500) * interval '30 seconds', 1000, 1, 1.1, 1, 1, 1, 1, 'tick' FROM day, generate_series(1, 20000) n;
ANALYZE changes;
SET enable_incremental_sort = off;
EXPLAIN (COSTS off) SELECT * FROM changes h WHERE h.region_id = 1 AND h.at >= '2013-11-20' AND h.at <= '2013-11-21'
    AND (h.at < '2013-11-21' OR h.cell > 7) ORDER BY h.at DESC, h.cell LIMIT 21;
EXPLAIN (COSTS off) SELECT * FROM changes h WHERE h.region_id = 1 AND h.at >= '2013-11-20' AND h.at <= '2013-11-21' AND h.cell = 7
    ORDER BY h.at DESC, h.cell LIMIT 21;
RESET enable_incremental_sort;
BEGIN; SELECT pg_temp.as_person('carl'); SELECT hail.surge_control('reads'); ROLLBACK;
BEGIN; SELECT pg_temp.as_person('ann'); SELECT mode FROM hail.surge_control('reads'); ROLLBACK;
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
