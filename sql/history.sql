-- Partitions, the history ring, tracks. Days are UTC days: the session's time zone plays no part.
SET timezone = 'Pacific/Auckland';
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- Daily partitions from yesterday to three days ahead, over a leap day; bounds are UTC.
SELECT hail.set_clock('2024-02-27 23:30+00') IS NOT NULL AS clock_set;
SELECT hail.drain_history() >= 0 AS drained;
DELETE FROM hail.location_history;
SELECT count(*) > 0 AS did_something FROM hail.maintain_partitions();
SELECT * FROM hail.maintain_partitions();
SET timezone = 'UTC';
CREATE TEMP VIEW parts AS
SELECT c.relname AS partition, pg_get_expr(c.relpartbound, c.oid) AS bounds
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'hail.location_history'::regclass;
SELECT * FROM parts WHERE partition BETWEEN 'location_history_20240225' AND 'location_history_20240305' ORDER BY 1;
-- Over a year's end, from an east and a west time zone.
SELECT hail.set_clock('2024-12-30 12:00+00') IS NOT NULL AS clock_set;
SET timezone = 'America/Los_Angeles';
SELECT table_name, partition, action FROM hail.maintain_partitions() WHERE table_name = 'location_history' AND action = 'created';
SET timezone = 'UTC';
SELECT * FROM parts WHERE partition BETWEEN 'location_history_20241201' AND 'location_history_20250105' ORDER BY 1;

-- Rows of days without a partition land in the default one, and move when their day gets one.
CREATE FUNCTION pg_temp.store(at timestamptz, n integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO hail.location_history (driver_id, lat, lng, recorded_at, received_at)
    SELECT '0192f000-0000-7000-8000-000000000001', 30, 31, at + i * interval '1 second', at FROM generate_series(1, n) i $$;
SELECT pg_temp.store('2024-12-10 00:00+00', 2), pg_temp.store('2025-01-06 23:59+00', 3), pg_temp.store('2023-01-01', 4);
SELECT count(*) FROM hail.location_history_default;
SELECT partition, action FROM hail.maintain_partitions() WHERE table_name = 'location_history';
SELECT recorded_at FROM hail.location_history_default ORDER BY 1;
SELECT hail.advance_clock('5 days') IS NOT NULL AS clock_set;
SELECT partition, action FROM hail.maintain_partitions() WHERE table_name = 'location_history';
SELECT count(*) FROM hail.location_history_20250106;
SELECT count(*) FROM hail.location_history_default;

-- A day goes when its last moment is older than the retention.
SELECT hail.set_clock('2025-03-10 23:59:59+00') IS NOT NULL AS clock_set;
SELECT partition FROM hail.maintain_partitions() WHERE table_name = 'location_history' AND action = 'dropped';
SELECT count(*) FROM hail.location_history WHERE recorded_at < '2025-01-01';
SELECT hail.set_clock('2025-03-11 00:00+00') IS NOT NULL AS clock_set;
SELECT partition FROM hail.maintain_partitions() WHERE table_name = 'location_history' AND action = 'dropped';

-- One bad table stops no other one.
INSERT INTO hail.partitioned_tables VALUES ('a_missing_table', 'at', NULL);
SELECT hail.advance_clock('1 day') IS NOT NULL AS clock_set;
SELECT * FROM hail.maintain_partitions() WHERE table_name IN ('a_missing_table', 'location_history') ORDER BY 1, 2;
DELETE FROM hail.partitioned_tables WHERE table_name = 'a_missing_table';

-- A partition named directly shows nothing, even to a role with a right to read it; nor is it the caller's to change.
SELECT relrowsecurity, relforcerowsecurity, pg_get_userbyid(relowner), relacl::text FROM pg_class
WHERE relname IN ('location_history_default', 'location_history_20250312');
SELECT pg_temp.store('2025-03-12 00:00+00', 1);
GRANT SELECT ON hail.location_history_20250312 TO hail_driver;
SET ROLE hail_driver;
SELECT count(*) FROM hail.location_history_20250312;
SELECT count(*) FROM hail.location_history_20250311;
SELECT hail.maintain_partitions();
SELECT hail.drain_history();
SELECT hail.append_history(hail.uuid7(), NULL, 0, 0, '2025-03-12');
SELECT hail.history_stats();
RESET ROLE;
REVOKE SELECT ON hail.location_history_20250312 FROM hail_driver;
-- Partitions are nobody's extension members: they can be dumped and dropped.
SELECT count(*) FROM pg_depend WHERE deptype = 'e' AND objid IN ('hail.location_history_20250312'::regclass, 'hail.location_history_default'::regclass);

-- Each has the indexes of its table; the parent has none, or a restore would make them twice.
SELECT indexdef FROM pg_indexes WHERE schemaname = 'hail' AND tablename IN ('location_history', 'location_history_20250312') ORDER BY 1;

-- The ring: a position waits in it, whatever becomes of the transaction, until it is drained.
DELETE FROM hail.location_history;
SELECT hail.drain_history() >= 0 AS emptied;
CREATE TEMP VIEW ring AS SELECT waiting_on_trip, waiting_other, draining FROM hail.history_stats();
CREATE FUNCTION pg_temp.append(n bigint, on_trip boolean DEFAULT false) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(hail.append_history('0192f000-0000-7000-8000-000000000002',
        CASE WHEN on_trip THEN '0192f000-0000-7000-8000-00000000000f'::uuid END, 30, 31,
        '2025-03-12 00:00+00'::timestamptz + i * interval '1 ms')) FROM generate_series(1, n) i $$;
BEGIN;
SELECT pg_temp.append(3), pg_temp.append(2, on_trip => true);
ROLLBACK;
SELECT * FROM ring;
SELECT count(*) FROM hail.location_history;
-- A drain that is rolled back, wholly or to a savepoint, takes nothing.
BEGIN;
SELECT hail.drain_history();
SELECT hail.drain_history() AS again_in_the_same_transaction;
SELECT * FROM ring;
ROLLBACK;
SELECT * FROM ring;
BEGIN;
SAVEPOINT s;
SELECT hail.drain_history();
ROLLBACK TO s;
COMMIT;
SELECT * FROM ring;
-- Committed, it takes all; the two lanes held the same moments, which are kept once, as on the trip.
BEGIN;
SAVEPOINT s;
SELECT hail.drain_history();
RELEASE s;
COMMIT;
SELECT * FROM ring;
SELECT count(*), count(trip_id), min(recorded_at), max(recorded_at) FROM hail.location_history;
SELECT hail.drain_history() AS nothing_left;
-- The same positions once more change nothing.
SELECT pg_temp.append(3);
SELECT hail.drain_history();
SELECT count(*) FROM hail.location_history;
-- What finds the ring full goes straight into the table; the other lane has room.
SELECT pg_temp.append(ring_points / 2) = ring_points / 2 AS filled, written_directly = 0 AS none_direct FROM hail.history_stats();
SELECT count(*) FROM hail.location_history;
SELECT hail.append_history('0192f000-0000-7000-8000-000000000003', NULL, 30, 31, '2025-03-12 01:00+00');
SELECT hail.append_history('0192f000-0000-7000-8000-000000000003', '0192f000-0000-7000-8000-00000000000f', 30, 31, '2025-03-12 01:01+00');
SELECT waiting_on_trip, written_directly FROM hail.history_stats();
SELECT count(*) FROM hail.location_history WHERE driver_id = '0192f000-0000-7000-8000-000000000003';
SELECT hail.drain_history() = (SELECT ring_points / 2 + 1 FROM hail.history_stats()) AS drained_all;
SELECT hail.append_history(hail.uuid7(), NULL, 0, 0, 'infinity');
-- A position that the table refuses stops no other one: it is set aside, and tried again on demand.
DELETE FROM hail.location_history;
CREATE FUNCTION pg_temp.keep(lats float8[], at timestamptz) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(hail.append_history('0192f000-0000-7000-8000-000000000004', NULL, l.lat, 31, at + l.n * interval '1 s'))
    FROM unnest(lats) WITH ORDINALITY AS l (lat, n) $$;
CREATE VIEW pg_temp.kept AS SELECT (SELECT count(*) FROM hail.location_history) AS history, (SELECT count(*) FROM hail.location_rejects) AS rejects;
ALTER TABLE hail.location_history ADD CONSTRAINT north CHECK (lat < 80);
SELECT pg_temp.keep('{1, 85, 2, 3, 90, 4, 5}', '2025-03-12 02:00+00');
SET client_min_messages = error; -- each is a warning, too
SELECT hail.drain_history();
SET client_min_messages = warning;
SELECT * FROM pg_temp.kept;
SELECT driver_id, lat, recorded_at, error FROM hail.location_rejects ORDER BY recorded_at;
SELECT hail.retry_location_rejects();
ALTER TABLE hail.location_history DROP CONSTRAINT north;
SELECT hail.retry_location_rejects();
SELECT * FROM pg_temp.kept;
-- So too when a trigger makes the drain go the way of INSERT; with many bad ones the table is at fault, and all wait.
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.lat > 80 THEN RAISE EXCEPTION 'too far north'; END IF; RETURN new; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON hail.location_history FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SELECT pg_temp.keep('{1, 85, 2, 3}', '2025-03-12 03:00+00');
SET client_min_messages = error;
SELECT hail.drain_history();
SELECT error, count(*) FROM hail.location_rejects GROUP BY 1;
DELETE FROM hail.location_rejects;
SELECT pg_temp.keep(array_fill(85::float8, ARRAY[1001]) || '{1}', '2025-03-12 04:00+00');
SELECT hail.drain_history();
SET client_min_messages = warning;
SELECT * FROM ring;
DROP TRIGGER refuse ON hail.location_history;
SELECT hail.drain_history();
SELECT * FROM pg_temp.kept;
-- Without a partition to take them positions wait in the ring until there is one.
DROP TABLE hail.location_history_default;
SELECT pg_temp.keep('{1, 2}', '2025-03-12 05:00+00'), pg_temp.keep('{1}', '2026-01-01');
SELECT hail.drain_history();
SELECT * FROM ring;
SELECT action FROM hail.maintain_partitions() WHERE partition = 'location_history_default';
SELECT hail.drain_history();
SELECT * FROM pg_temp.kept;
-- Duplicates, of the table and of each other, cost nobody else; across partitions, the default one included.
SELECT pg_temp.keep('{1, 2, 3}', '2025-03-12 05:00+00'), pg_temp.keep('{1}', '2026-01-01'), pg_temp.keep('{1}', '2025-03-10'), pg_temp.keep('{9}', '2025-03-10');
SELECT hail.drain_history();
SELECT * FROM pg_temp.kept;
SELECT tableoid::regclass AS partition, lat, recorded_at FROM hail.location_history
WHERE recorded_at < '2025-03-11' OR recorded_at >= '2025-03-12 05:00+00' ORDER BY recorded_at;
-- A day's export: that UTC day, its first moment in and its last out; from its partition, and for administrators.
SELECT pg_temp.keep('{7, 8}', '2025-03-11 23:59:58+00');
SELECT hail.drain_history();
SELECT lat, recorded_at FROM hail.export_history('2025-03-11') ORDER BY recorded_at;
SELECT count(*), min(recorded_at) FROM hail.export_history('2025-03-12');
SELECT count(*) FROM hail.export_history('2020-01-01');
SELECT hail.export_history(NULL);
SELECT hail.export_history('infinity');
SET ROLE hail_driver;
SELECT hail.export_history('2025-03-11');
SELECT hail.retry_location_rejects();
RESET ROLE;

-- What the ring says of itself, by the clock of the extension, and what the check makes of it.
SELECT hail.set_clock('2025-03-12 06:00:00+00') IS NOT NULL AS clock_set;
SELECT drain_lag_s, fill FROM hail.history_stats();
SELECT status, detail FROM hail.check_history();
SELECT pg_temp.keep('{1}', '2025-03-12 05:30+00');
SELECT hail.advance_clock('30 seconds') IS NOT NULL AS clock_set;
SELECT pg_temp.keep('{2}', '2025-03-12 05:31+00');
SELECT drain_lag_s, fill > 0 AS filled FROM hail.history_stats();
SELECT status, detail FROM hail.check_history();
SELECT pg_temp.keep(array_fill(1::float8, ARRAY[ring_points::integer * 46 / 100]), '2025-03-12 06:00+00') > 0 AS filled FROM hail.history_stats();
SELECT status, detail FROM hail.check_history();
SELECT hail.drain_history() > 0 AS drained;
INSERT INTO hail.location_rejects SELECT h.*, 'for a try', hail.clock() FROM hail.location_history h LIMIT 2;
SELECT * FROM hail.check_history();
SELECT hail.retry_location_rejects() AS duplicates_go_too;
SELECT status, detail FROM hail.check_history();

-- A prepared transaction could never tell the ring of its end.
BEGIN;
SELECT hail.drain_history();
PREPARE TRANSACTION 'drain';
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
