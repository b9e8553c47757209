-- Daily partitions of any registered table: days are UTC days whatever the session's time zone, through changes of clock,
-- ends of months and years, jumps of the clock, and trouble with one table.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE TABLE hail.metered (at timestamptz NOT NULL, what text, n integer CHECK (n > 0)) PARTITION BY RANGE (at);
ALTER TABLE hail.metered OWNER TO hail_owner;
INSERT INTO hail.partitioned_tables VALUES ('metered', 'at', '40 days', 2, '{"PRIMARY KEY (what, at)"}');
CREATE FUNCTION pg_temp.maintain(clock timestamptz, zone text DEFAULT 'UTC') RETURNS TABLE (day text, action text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.set_clock(clock), set_config('timezone', zone, false);
    RETURN QUERY SELECT substr(m.partition, 9), m.action FROM hail.maintain_partitions() m WHERE m.table_name = 'metered';
    PERFORM set_config('timezone', 'UTC', false);
END $$;
CREATE VIEW pg_temp.days AS
SELECT c.relname AS partition, pg_get_expr(c.relpartbound, c.oid) AS bounds FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'hail.metered'::regclass;

-- Clocks go forward in New York (2025-03-09), in Berlin (2025-03-30), and back (2025-10-26, 2025-11-02); leap day, ends of
-- month and year. Late in the evening there, the next day has begun in UTC. Every day meets the next one.
SELECT * FROM pg_temp.maintain('2024-02-27 22:00+00', 'Pacific/Kiritimati');
SELECT * FROM pg_temp.maintain('2025-03-09 03:30+00', 'America/New_York');
SELECT * FROM pg_temp.maintain('2025-03-10 03:30+00', 'America/New_York');
SELECT * FROM pg_temp.maintain('2025-03-29 23:30+00', 'Europe/Berlin');
SELECT * FROM pg_temp.maintain('2025-03-30 22:30+00', 'Europe/Berlin');
SET timezone = 'Europe/Berlin';
SELECT * FROM pg_temp.days WHERE partition BETWEEN 'metered_20250328' AND 'metered_20250402' ORDER BY 1;
INSERT INTO hail.metered SELECT '2025-03-30 00:59:59.999999+00'::timestamptz + n * interval '1 hour', 'dst', 1 FROM generate_series(-3, 23) n;
SET timezone = 'UTC';
SELECT tableoid::regclass::text, count(*), min(at), max(at) FROM hail.metered GROUP BY 1 ORDER BY 1;
SELECT * FROM pg_temp.maintain('2025-10-25 23:30+00', 'Europe/Berlin');
SELECT * FROM pg_temp.maintain('2025-11-02 05:30+00', 'America/New_York');
SELECT * FROM pg_temp.maintain('2025-12-30 23:59:59.999999+00', 'Asia/Kathmandu');
SELECT lag(upto) OVER (ORDER BY since) = since OR since - lag(upto) OVER (ORDER BY since) >= interval '1 day' AS whole_days, since, upto - since AS length
FROM (SELECT substring(bounds, 'FROM \(''(.*?)''')::timestamptz AS since, substring(bounds, 'TO \(''(.*?)''')::timestamptz AS upto
      FROM pg_temp.days WHERE bounds <> 'DEFAULT') b ORDER BY since;

-- The clock jumps months ahead: what is past retention goes, the days ahead come; and back: the days there come, rows
-- that the jump left in future partitions stay.
INSERT INTO hail.metered VALUES ('2025-12-31 10:00+00', 'kept', 1);
SELECT * FROM pg_temp.maintain('2026-01-31 12:00+00');
SELECT * FROM pg_temp.maintain('2025-10-01 12:00+00');
SELECT * FROM pg_temp.maintain('2025-10-01 12:00+00');
SELECT tableoid::regclass::text, at FROM hail.metered ORDER BY 2;

-- Strays, of days long ago, soon and far ahead: each is watched, and moves when its day gets a partition.
INSERT INTO hail.metered SELECT at, 'stray', 1 FROM unnest('{2025-09-05,2025-10-05,2025-10-09,2026-06-01}'::date[]) AS at;
SELECT status, detail FROM hail.check_partitions() WHERE detail LIKE 'metered%';
SELECT * FROM pg_temp.maintain('2025-10-04 00:00+00');
SELECT * FROM pg_temp.maintain('2025-10-07 00:00+00');
SELECT tableoid::regclass::text, at FROM hail.metered WHERE what = 'stray' ORDER BY 2;
SELECT status, detail FROM hail.check_partitions() WHERE detail LIKE 'metered%';

-- One table after another broken on purpose, and mended: the others are maintained all the same.
CREATE FUNCTION pg_temp.others() RETURNS TABLE (table_name text, partition text, action text) LANGUAGE sql AS $$
    SELECT hail.advance_clock('1 day'); -- each time there is something to do
    SELECT * FROM hail.maintain_partitions() m WHERE m.table_name IN ('location_history', 'metered') AND m.action NOT LIKE 'dropped' $$;
-- (a table that only has the name of a partition)
CREATE TABLE hail.metered_20251010 (other integer);
SELECT * FROM pg_temp.others();
DROP TABLE hail.metered_20251010;
CREATE VIEW hail.metered_20251011 AS SELECT 1;
UPDATE hail.partitioned_tables SET time_column = 'nothing_like_it' WHERE table_name = 'metered';
SELECT * FROM pg_temp.others();
UPDATE hail.partitioned_tables SET time_column = 'at', indexes = '{"(no_such_column)"}' WHERE table_name = 'metered';
DROP VIEW hail.metered_20251011;
SELECT * FROM pg_temp.others();
UPDATE hail.partitioned_tables SET indexes = '{"PRIMARY KEY (what, at)"}', retention = '1 month' WHERE table_name = 'metered';
SELECT * FROM pg_temp.others();
-- A stray that its partition refuses keeps its day from being made, and nothing else from being done.
ALTER TABLE hail.metered_default ADD CONSTRAINT only_there CHECK (n < 100);
INSERT INTO hail.metered VALUES ('2025-10-15', 'a', 1), ('2025-10-15', 'b', 2);
ALTER TABLE hail.metered_default DROP CONSTRAINT metered_default_pkey;
INSERT INTO hail.metered VALUES ('2025-10-15', 'b', 2);
SELECT * FROM pg_temp.others();
SELECT * FROM pg_temp.others();
DELETE FROM hail.metered_default a USING hail.metered_default b WHERE a.ctid > b.ctid AND a.at = b.at AND a.what = b.what;
SELECT * FROM pg_temp.others();
DROP VIEW pg_temp.days;
DROP TABLE hail.metered;
DELETE FROM hail.partitioned_tables WHERE table_name = 'metered';
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
