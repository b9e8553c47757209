-- Position reports: verdicts of a batch, and how often a driver may report.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
SELECT hail.set_clock('2026-05-03 09:00+00');
CREATE SCHEMA reptest;
GRANT USAGE ON SCHEMA reptest TO PUBLIC;
SELECT id AS region FROM hail.create_region('rep-world', 'World', 'EUR', 'UTC', ST_MakeEnvelope(-180, -90, 180, 90, 4326)) \gset
CREATE FUNCTION reptest.id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT ('0000a000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
CREATE FUNCTION reptest.add(n integer, status text DEFAULT 'approved', classes text[] DEFAULT '{economy}', mask bigint DEFAULT 1)
RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hail.users (id, name, role) VALUES (reptest.id(n), format('reporter %s', n), 'driver');
    INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
    VALUES (reptest.id(n), (SELECT id FROM hail.regions WHERE code = 'rep-world'), classes, mask, add.status, add.status = 'approved');
    RETURN reptest.id(n);
END $$;
SELECT count(reptest.add(n)) FROM generate_series(1, 6) n;
SELECT reptest.add(7, 'pending') IS NOT NULL AS pending, reptest.add(8, 'approved', '{van}', 65536) IS NOT NULL AS porter;

-- A verdict for each row, in order; what is refused stops nothing else.
SELECT d."row", d.verdict, d.field, d.driver_id = ids[d."row"] AS named
FROM (SELECT ARRAY[reptest.id(1), reptest.id(1), reptest.id(1), reptest.id(1), reptest.id(2), reptest.id(99), reptest.id(7),
                   NULL, reptest.id(3), reptest.id(3), reptest.id(3), reptest.id(3), reptest.id(3), reptest.id(3), reptest.id(4)] AS ids,
             ARRAY[48.2, 48.21, 48.2, 49.2, 48.3, 48.3, 48.3, 48.3, 91, 48.3, 48.3, 48.3, 48.3, 48.3, NULL] AS lats,
             ARRAY[16.3, 16.3, 16.3, 16.3, 16.3, 16.3, 16.3, 16.3, 16.3, 181, 16.3, 16.3, 16.3, 16.3, 16.3] AS lngs,
             ARRAY[0, 0, 0, 0, 360, 0, 0, 0, 0, 0, 'nan', 0, 0, 0, 0]::real[] AS headings,
             ARRAY[0, 0, 0, 0, NULL, 0, 0, 0, 0, 0, 0, -1, 0, 0, 0]::real[] AS speeds,
             ARRAY[0, 0, 0, 0, 1e9, 0, 0, 0, 0, 0, 0, 0, 'infinity', 0, 0]::real[] AS accuracies,
             ARRAY[0, 90, 0, -1, 60, 0, 0, 0, 0, 0, 0, 0, 0, 86401, 0] AS ages) a,
     LATERAL hail.report_locations_detailed(ids, lats, lngs, headings, speeds, accuracies,
                                            (SELECT array_agg(hail.clock() - age * interval '1 second' ORDER BY n) FROM unnest(ages) WITH ORDINALITY u (age, n))) d
ORDER BY d."row";
SELECT driver_id, lat, lng, recorded_at FROM hail.live_drivers WHERE driver_id::text LIKE '0000a000-%' AND lat IS NOT NULL ORDER BY 1;
-- the same again: harmless, wherever the points lie in time
SELECT "row", verdict FROM hail.report_locations_detailed(ARRAY[reptest.id(1), reptest.id(1)], '{48.2,48.21}', '{16.3,16.3}', '{0,0}', '{0,0}', '{0,0}',
    ARRAY[hail.clock(), hail.clock() - interval '90 seconds']);
SELECT hail.report_locations(ARRAY[reptest.id(2), reptest.id(2)], '{48.3,50}', '{16.3,16.3}', recorded_ats => ARRAY[hail.clock() - interval '1 minute', hail.clock() - interval '1 minute']);
SELECT * FROM hail.report_location(reptest.id(2), 48.3, 16.3, recorded_at => hail.clock() - interval '1 minute');
SELECT lat, last_seen FROM hail.live_drivers WHERE driver_id = reptest.id(2);
-- the points of a driver out of reach, in no order: all into the history (on a trip, or a minute apart), the newest moves it
UPDATE hail.drivers SET trip_id = reptest.id(1000) WHERE id = reptest.id(5);
SELECT hail.advance_clock('1 minute');
SELECT "row", verdict FROM hail.report_locations_detailed(array_fill(reptest.id(5), ARRAY[5]), '{48.015,48.005,48.025,48.01,48.02}', '{16,16,16,16,16}',
    recorded_ats => ARRAY[hail.clock() - interval '20 seconds', hail.clock() - interval '40 seconds', hail.clock(), hail.clock() - interval '30 seconds', hail.clock() - interval '10 seconds'])
ORDER BY 1;
SELECT lat FROM hail.live_drivers WHERE driver_id = reptest.id(5);
SELECT count(*) > 0 AS kept FROM hail.keep();
SELECT hail.clock() - recorded_at AS ago, lat, trip_id IS NOT NULL AS on_trip FROM hail.location_history WHERE driver_id = reptest.id(5) ORDER BY recorded_at;
-- what is wrong with the call is named, and nothing taken
SELECT hail.report_locations_detailed(ARRAY[reptest.id(4)], '{48.2,48.2}', '{16.3}');
SELECT hail.report_locations_detailed(ARRAY[reptest.id(4)], '{48.2}', '{16.3}', '{}');
SELECT hail.report_locations_detailed(ARRAY[reptest.id(4)], '{{48.2},{48.2}}', '{16.3}');
SELECT hail.report_locations_detailed(NULL, '{}', '{16.3}');
SELECT count(*) FROM hail.report_locations_detailed('{}', '{}', '{}');
SELECT lat FROM hail.live_drivers WHERE driver_id = reptest.id(4);

-- Impossible speed: not applied; one event a driver and minute, written by the keeper, however many they were.
SELECT * FROM hail.keep() WHERE step = 'write flagged positions';
CREATE TABLE reptest.flags AS SELECT * FROM hail.flag_stats();
CREATE VIEW reptest.flagged AS SELECT aggregate_id, version, payload FROM hail.events
    WHERE aggregate_id::text LIKE '0000a000-%' AND type = 'DriverPositionFlagged';
CREATE FUNCTION reptest.at(n integer, lat float8) RETURNS text LANGUAGE sql AS
$$ SELECT verdict FROM hail.report_locations_detailed(ARRAY[reptest.id(n)], ARRAY[lat], '{16.3}') $$;
SELECT reptest.at(6, 48), reptest.at(6, 49), reptest.at(6, 48.1), reptest.at(6, 48.001);
SELECT hail.advance_clock('10 seconds');
SELECT reptest.at(6, 49);
SELECT waiting FROM hail.flag_stats();
BEGIN;
SELECT step, "rows" FROM hail.keep() WHERE step = 'write flagged positions';
SELECT step, "rows" FROM hail.keep() WHERE step = 'write flagged positions';
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT step, "rows" FROM hail.keep() WHERE step = 'write flagged positions';
ROLLBACK TO s;
COMMIT;
SELECT waiting FROM hail.flag_stats();
SELECT step, "rows" FROM hail.keep() WHERE step = 'write flagged positions';
SELECT * FROM reptest.flagged;
SELECT event_version FROM hail.drivers WHERE id = reptest.id(6);
SELECT hail.advance_clock('59 seconds');
SELECT reptest.at(6, 47);
SELECT waiting FROM hail.flag_stats();
SELECT hail.advance_clock('1 second');
SELECT reptest.at(6, 47);
SELECT step, "rows" FROM hail.keep() WHERE step = 'write flagged positions';
SELECT version, payload FROM reptest.flagged WHERE aggregate_id = reptest.id(6) ORDER BY 1;
-- Carried elsewhere: believed after a minute of positions that agree.
SELECT hail.advance_clock('58 seconds');
SELECT reptest.at(6, 47.001);
SELECT hail.advance_clock('1 second');
SELECT reptest.at(6, 47.002);
SELECT lat FROM hail.live_drivers WHERE driver_id = reptest.id(6);
-- One that agrees with the place it is known at, and it all starts over; so it does for places made up at random.
CREATE FUNCTION reptest.alternate(n integer, places float8[], times integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    verdicts text[];
BEGIN
    FOR i IN 0 .. times - 1 LOOP
        PERFORM hail.advance_clock('5 seconds');
        verdicts := verdicts || reptest.at(n, places[1 + i % cardinality(places)]);
    END LOOP;
    RETURN (SELECT string_agg(v || ' ' || c, ', ' ORDER BY v) FROM (SELECT v, count(*) AS c FROM unnest(verdicts) v GROUP BY v) counted);
END $$;
SELECT reptest.alternate(6, '{47,47,47,47,47,47,47,47,47,47,47,48.5}', 60);
SELECT reptest.alternate(6, '{10,-10}', 100);
SELECT reptest.alternate(6, '{10}', 30);
-- Positions kept in one batch prove nothing, whatever times they claim.
SELECT string_agg(verdict, ' ' ORDER BY "row") FROM hail.report_locations_detailed(array_fill(reptest.id(6), ARRAY[4]), '{20,20,20,20}', '{16.3,16.3,16.3,16.3}',
    recorded_ats => ARRAY[hail.clock(), hail.clock() + interval '1 second', hail.clock() + interval '58 seconds', hail.clock() + interval '60 seconds']);
SELECT step FROM hail.keep() WHERE step = 'write flagged positions' AND "rows" > 0;
-- No room for another flag: missed and counted, the next one tells. (Nine drivers of one set, which has room for eight.)
CREATE TABLE reptest.crowd AS SELECT n, reptest.add(n) AS id FROM (
    SELECT n FROM generate_series(1000, 20000) n WHERE (uuid_hash(reptest.id(n))::bigint & 255) = 7 ORDER BY n LIMIT 9) u;
SELECT string_agg(reptest.at(n, 10) || ' ' || reptest.at(n, 20), ', ' ORDER BY n) FROM reptest.crowd;
SELECT waiting FROM hail.flag_stats();
SELECT step, "rows" FROM hail.keep() WHERE step = 'write flagged positions';
SELECT hail.advance_clock('3 seconds');
SELECT string_agg(reptest.at(n, 20), ', ' ORDER BY n) FROM reptest.crowd;
SELECT step, "rows" FROM hail.keep() WHERE step = 'write flagged positions';
SELECT count(*) AS events, count(DISTINCT aggregate_id) AS drivers FROM reptest.flagged f JOIN reptest.crowd c ON c.id = f.aggregate_id;
SELECT s.waiting - f.waiting AS waiting, s.written - f.written AS written, s.missed - f.missed AS missed, s.believed - f.believed AS believed
FROM hail.flag_stats() s, reptest.flags f;
SELECT * FROM hail.check_live() WHERE status <> 'ok';

-- Rate limits. `burst` calls n times and tells how many were taken, and what the first refusal says.
CREATE FUNCTION reptest.burst(n integer, calls integer, OUT taken integer, OUT says text) LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    taken := 0;
    FOR i IN 1 .. calls LOOP
        BEGIN
            PERFORM hail.report_location(reptest.id(n), 48.2, 16.37);
            taken := taken + 1;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            says := coalesce(says, format('%s: %s, %s', SQLSTATE, SQLERRM, detail));
        END;
    END LOOP;
END $$;
SELECT hail.issue_token(reptest.id(1), '30 days') AS d1, hail.issue_token(reptest.id(2), '30 days') AS d2,
       hail.issue_token(reptest.id(8), '30 days') AS porter \gset
SELECT hail.advance_clock('3 days');
SELECT class, per_minute FROM hail.rate_limits();
CREATE TABLE reptest.refused AS SELECT class, refused FROM hail.rate_limits();

-- A driver speaks for itself alone, 500 positions a call: else nothing is taken.
BEGIN;
SELECT role FROM hail.authenticate(:'d1');
SAVEPOINT s;
SELECT * FROM hail.report_locations_detailed(ARRAY[reptest.id(1), reptest.id(2)], '{48.2,48.2}', '{16.3,16.3}');
ROLLBACK TO s;
SELECT hail.report_locations(ARRAY[NULL, reptest.id(2)], '{48.2,48.2}', '{16.3,16.3}');
ROLLBACK TO s;
SELECT hail.report_locations(array_fill(reptest.id(1), ARRAY[501]), array_fill(48.2::float8, ARRAY[501]), array_fill(16.37::float8, ARRAY[501]));
ROLLBACK TO s;
SELECT hail.report_locations(array_fill(reptest.id(1), ARRAY[500]), array_fill(48.2::float8, ARRAY[500]), array_fill(16.37::float8, ARRAY[500]));
ROLLBACK;
SELECT driver_id, last_seen = hail.clock() AS taken FROM hail.live_drivers WHERE driver_id IN (reptest.id(1), reptest.id(2)) ORDER BY 1;

-- A minute's worth at once, then one each three seconds; every driver has a bucket of its own.
BEGIN;
SELECT role FROM hail.authenticate(:'d1');
SELECT * FROM reptest.burst(1, 25);
SELECT hail.report_location(reptest.id(1), 48.2, 16.37);
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'d2');
SELECT * FROM reptest.burst(2, 3);
ROLLBACK;
-- what was rolled back has counted: so it does for those who try again and again
SELECT hail.advance_clock('2.5 seconds');
BEGIN;
SELECT role FROM hail.authenticate(:'d1');
SELECT * FROM reptest.burst(1, 2);
ROLLBACK;
SELECT hail.advance_clock('0.5 seconds');
BEGIN;
SELECT role FROM hail.authenticate(:'d1');
SELECT * FROM reptest.burst(1, 2);
ROLLBACK;
SELECT hail.advance_clock('1 hour');
BEGIN;
SELECT role FROM hail.authenticate(:'d1');
SELECT * FROM reptest.burst(1, 25);
-- somebody else's position is refused as such, whatever the bucket holds
SAVEPOINT s;
SELECT hail.report_location(reptest.id(2), 48.2, 16.37);
ROLLBACK;
-- A batch counts once, however long it is; what is wrong with it counts too.
SELECT hail.advance_clock('1 hour');
BEGIN;
SELECT role FROM hail.authenticate(:'d1');
SELECT count(hail.report_locations(array_fill(reptest.id(1), ARRAY[30]), array_fill(48.2::float8, ARRAY[30]), array_fill(16.37::float8, ARRAY[30])))
FROM generate_series(1, 18);
SAVEPOINT s;
SELECT hail.report_location(reptest.id(1), 91, 16.37);
ROLLBACK TO s;
SELECT hail.report_locations(ARRAY[reptest.id(1)], '{48.2}', '{16.37}');
SAVEPOINT s;
SELECT hail.report_locations(ARRAY[reptest.id(1)], '{48.2}', '{16.37}');
ROLLBACK;
-- The clock set back locks nobody out; forward it fills the bucket.
SELECT hail.advance_clock('-1 day');
BEGIN;
SELECT role FROM hail.authenticate(:'d1');
SELECT * FROM reptest.burst(1, 25);
ROLLBACK;
SELECT hail.advance_clock('-20 seconds');
SELECT hail.advance_clock('3 seconds');
BEGIN;
SELECT role FROM hail.authenticate(:'d1');
SELECT * FROM reptest.burst(1, 1);
ROLLBACK;
-- Drivers of porter classes may report more often; administrators as often as they like.
SELECT hail.advance_clock('2 days');
BEGIN;
SELECT role FROM hail.authenticate(:'porter');
SELECT * FROM reptest.burst(8, 650);
ROLLBACK;
SELECT * FROM reptest.burst(3, 700);
SELECT class, l.refused - r.refused AS refused FROM hail.rate_limits() l JOIN reptest.refused r USING (class) ORDER BY class;
-- Administrators alone see it.
BEGIN;
SELECT role FROM hail.authenticate(:'d1');
SELECT * FROM hail.rate_limits();
ROLLBACK;

-- Clean up.
SELECT count(*) > 0 AS kept FROM hail.keep();
DELETE FROM hail.driver_positions WHERE driver_id::text LIKE '0000a000-%';
DELETE FROM hail.drivers WHERE id::text LIKE '0000a000-%';
DELETE FROM hail.users WHERE id::text LIKE '0000a000-%';
DELETE FROM hail.location_history WHERE driver_id::text LIKE '0000a000-%';
DELETE FROM hail.regions WHERE code = 'rep-world';
DROP SCHEMA reptest CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
