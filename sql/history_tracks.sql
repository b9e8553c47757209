-- Tracks: of whom, for whom; stops; what is kept for years; what an erasure leaves.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2025-03-12 00:00+00') IS NOT NULL AS clock_set;
SELECT hail.drain_history() >= 0 AS drained;
SELECT count(*) >= 0 AS partitions_made FROM hail.maintain_partitions();
DELETE FROM hail.location_history;

-- Tracks, for those whom the trip concerns. (The trip is made bare: a track asks only who, whose and when.)
BEGIN;
DO $$
DECLARE
    c text;
BEGIN
    FOR c IN SELECT format('ALTER TABLE %s ALTER %I DROP NOT NULL', attrelid::regclass, attname) FROM pg_attribute
             WHERE attrelid IN ('hail.trips'::regclass, 'hail.drivers'::regclass) AND attnum > 0 AND attnotnull AND attname <> 'id' LOOP
        EXECUTE c;
    END LOOP;
END $$;
INSERT INTO hail.users (id, phone, name, role) VALUES
    ('0192f000-0000-7000-8000-0000000000c1', '+201111111101', 'Customer', 'customer'),
    ('0192f000-0000-7000-8000-0000000000c2', '+201111111102', 'Other', 'customer'),
    ('0192f000-0000-7000-8000-0000000000d1', '+201111111103', 'Driver', 'driver'),
    ('0192f000-0000-7000-8000-0000000000d2', '+201111111104', 'Former driver', 'driver');
SET session_replication_role = replica;
INSERT INTO hail.trips (id, customer_id, driver_id, state, requested_at) VALUES
    ('0192f000-0000-7000-8000-0000000000a1', '0192f000-0000-7000-8000-0000000000c1',
     '0192f000-0000-7000-8000-0000000000d1', 'started', '2025-03-12 00:00+00');
INSERT INTO hail.drivers (id) SELECT id FROM hail.users WHERE name IN ('Driver', 'Former driver') AND phone LIKE '+2011111111%';
RESET session_replication_role;
INSERT INTO hail.location_history (driver_id, trip_id, lat, lng, accuracy, recorded_at, received_at)
SELECT '0192f000-0000-7000-8000-0000000000d1', '0192f000-0000-7000-8000-0000000000a1', 0, 31 + i * 0.001, 5,
       '2025-03-12 00:00+00'::timestamptz + i * interval '10 seconds', '2025-03-12 00:00+00' FROM generate_series(0, 4) i;
INSERT INTO hail.location_history (driver_id, trip_id, lat, lng, recorded_at, received_at) VALUES
    ('0192f000-0000-7000-8000-0000000000d2', '0192f000-0000-7000-8000-0000000000a1', 1, 1, '2025-03-12', '2025-03-12'),
    ('0192f000-0000-7000-8000-0000000000d1', NULL, 0, 32, '2025-03-12 01:00+00', '2025-03-12');
SELECT public.ST_AsText(hail.trip_track('0192f000-0000-7000-8000-0000000000a1'));
SELECT round(hail.trip_distance_m('0192f000-0000-7000-8000-0000000000a1'));
-- As GeoJSON; with one position it has no line, and over the antimeridian no jump.
SELECT jsonb_pretty(hail.trip_track_geojson('0192f000-0000-7000-8000-0000000000a1')::jsonb);
SAVEPOINT s;
UPDATE hail.location_history SET lng = CASE WHEN lng < 31.0015 THEN lng + 148.998 ELSE lng - 211.002 END
WHERE trip_id = '0192f000-0000-7000-8000-0000000000a1';
SELECT hail.trip_track_geojson('0192f000-0000-7000-8000-0000000000a1') #> '{geometry,coordinates}';
DELETE FROM hail.location_history WHERE recorded_at > '2025-03-12 00:00+00';
SELECT hail.trip_track_geojson('0192f000-0000-7000-8000-0000000000a1');
DELETE FROM hail.location_history;
SELECT hail.trip_track_geojson('0192f000-0000-7000-8000-0000000000a1');
ROLLBACK TO s;
RELEASE s;
-- Where was the driver: the last position at or before a time, none older than a day, or between two of them.
CREATE FUNCTION pg_temp.asked(interpolated boolean) RETURNS TABLE (at timestamptz, lng numeric, accuracy real, recorded_at timestamptz)
LANGUAGE sql AS $$
    SELECT t, round(p.lng::numeric, 6), p.accuracy, p.recorded_at
    FROM unnest('{2025-03-11 23:59:59+00, 2025-03-12 00:00+00, 2025-03-12 00:00:25+00, 2025-03-12 00:01+00,
                  2025-03-12 01:00+00, 2025-03-13 00:59:59+00, 2025-03-13 01:00+00}'::timestamptz[]) t,
         hail.driver_position_at('0192f000-0000-7000-8000-0000000000d1', t, interpolated) p $$;
SELECT * FROM pg_temp.asked(false);
SELECT * FROM pg_temp.asked(true);
SELECT lat, round(lng::numeric, 6) AS lng FROM hail.place_between(0, 179.998, 0, -179.996, 0.25);
SAVEPOINT s;
SELECT hail.driver_position_at('0192f000-0000-7000-8000-0000000000d1', 'infinity');
ROLLBACK TO s;
SELECT hail.driver_position_at('0192f000-0000-7000-8000-0000000000d1', NULL);
ROLLBACK TO s;
SELECT hail.driver_position_at('0192f000-0000-7000-8000-0000000000c1', '2025-03-12');
ROLLBACK TO s;
RELEASE s;
CREATE TEMP TABLE tokens AS SELECT name, hail.issue_token(id) AS token FROM hail.users
WHERE id >= '0192f000-0000-7000-8000-0000000000c1' AND id <= '0192f000-0000-7000-8000-0000000000d2';
GRANT SELECT ON tokens TO hail_front;
SAVEPOINT s;
SET LOCAL SESSION AUTHORIZATION hail_front;
SELECT role FROM tokens, hail.authenticate(token) WHERE name = 'Customer';
SELECT public.ST_NPoints(hail.trip_track('0192f000-0000-7000-8000-0000000000a1'));
SELECT count(*) FROM hail.location_history;
ROLLBACK TO s;
SET LOCAL SESSION AUTHORIZATION hail_front;
SELECT role FROM tokens, hail.authenticate(token) WHERE name = 'Customer';
SELECT hail.driver_position_at('0192f000-0000-7000-8000-0000000000d1', '2025-03-12 00:00:25+00');
ROLLBACK TO s;
SET LOCAL SESSION AUTHORIZATION hail_front;
SELECT role FROM tokens, hail.authenticate(token) WHERE name = 'Driver';
SELECT round(hail.trip_distance_m('0192f000-0000-7000-8000-0000000000a1'));
SELECT count(*) AS own_rows FROM hail.location_history;
ROLLBACK TO s;
SET LOCAL SESSION AUTHORIZATION hail_front;
SELECT role FROM tokens, hail.authenticate(token) WHERE name = 'Other';
SELECT hail.trip_track('0192f000-0000-7000-8000-0000000000a1');
ROLLBACK TO s;
SET LOCAL SESSION AUTHORIZATION hail_front;
SELECT role FROM tokens, hail.authenticate(token) WHERE name = 'Other';
SELECT hail.trip_track_geojson('0192f000-0000-7000-8000-0000000000a1');
ROLLBACK TO s;
SET LOCAL SESSION AUTHORIZATION hail_front;
SELECT role FROM tokens, hail.authenticate(token) WHERE name = 'Driver';
SELECT json_array_length(hail.trip_track_geojson('0192f000-0000-7000-8000-0000000000a1') #> '{geometry,coordinates}');
ROLLBACK TO s;
SET LOCAL SESSION AUTHORIZATION hail_front;
SELECT role FROM tokens, hail.authenticate(token) WHERE name = 'Former driver';
SELECT hail.trip_distance_m('0192f000-0000-7000-8000-0000000000a1');
ROLLBACK TO s;
SET LOCAL SESSION AUTHORIZATION hail_front;
SELECT hail.trip_track('0192f000-0000-7000-8000-0000000000a1');
ROLLBACK TO s;
SET LOCAL ROLE hail_customer;
SELECT count(*) FROM hail.location_history;
ROLLBACK TO s;
SELECT hail.trip_track(hail.uuid7());
ROLLBACK TO s;

ROLLBACK;

-- Real trips, in a place that no other test knows. Points every ten seconds, standing half way for five minutes.
SELECT hail.set_clock('2025-03-12 08:00+00') IS NOT NULL AS clock_set;
SELECT (hail.create_region('norrland', 'Norrland', 'EUR', 'Europe/Stockholm', public.ST_MakeEnvelope(17, 61, 18, 62, 4326))).code;
SELECT (hail.set_fare('norrland', 'economy', 1000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
SELECT count(hail.register_user('+3529300000' || n, 'Rider ' || n, 'customer')) FROM generate_series(1, 3) n;
SELECT count(hail.register_driver((hail.register_user('+3529400000' || n, 'Norr ' || n, 'driver')).id, 'norrland', ARRAY['economy']))
FROM generate_series(1, 3) n;
CREATE FUNCTION pg_temp.who(text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT id FROM hail.users WHERE name = $1 AND phone ~ '^\+3529' $$;
SELECT count(hail.approve_driver(pg_temp.who('Norr ' || n))) FROM generate_series(1, 3) n;
SELECT count(hail.set_availability(pg_temp.who('Norr ' || n), true, 61.2731, 17.5314)) FROM generate_series(1, 3) n;
SELECT count(hail.post_transaction('DEPOSIT', ARRAY[ROW(g.id, 'debit', 50000), ROW(w.id, 'credit', 50000)]::hail.entry_input[], 'norr:' || n))
FROM generate_series(1, 3) n, LATERAL hail.open_account('GATEWAY_CLEARING', NULL, 'EUR') g,
     LATERAL hail.open_account('CUSTOMER_WALLET', pg_temp.who('Rider ' || n), 'EUR') w;
-- reports while it goes north by steps; commits, for that is when the index learns of a trip
CREATE PROCEDURE pg_temp.go(driver uuid, north float8, steps integer, metres float8) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0..steps LOOP
        PERFORM hail.report_location(driver, 61.2731 + (north + i * metres) / 111195.0, 17.5314, accuracy => 5);
        PERFORM hail.advance_clock('10 seconds');
    END LOOP;
END
$$;
CREATE PROCEDURE pg_temp.ride(n integer, INOUT id uuid DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    driver uuid := pg_temp.who('Norr ' || n);
BEGIN
    PERFORM hail.report_location(driver, 61.2731, 17.5314);
    id := (hail.request_trip((hail.create_quote(pg_temp.who('Rider ' || n), 61.2731, 17.5314, 61.2911, 17.5314, 'economy')).id,
                             CASE n WHEN 1 THEN 'wallet' ELSE 'cash' END, idempotency_key => 'norr-' || n)).id;
    PERFORM hail.accept_offer(id, driver);
    COMMIT;
    PERFORM hail.advance_clock('1 second');
    PERFORM hail.arrive(id);
    PERFORM hail.start_trip(id, (hail.get_trip(id)).pickup_code);
    CALL pg_temp.go(driver, 0, 10, 100);
    CALL pg_temp.go(driver, 1000, 30, 0);
    CALL pg_temp.go(driver, 1100, 9, 100);
    PERFORM hail.complete_trip(id);
    COMMIT;
END
$$;
CALL pg_temp.ride(1) \gset
\set trip :id
SELECT count(*) >= 0 AS kept_up FROM hail.keep();
SELECT round(hail.trip_distance_m(:'trip')) AS metres, public.ST_NPoints(hail.trip_track(:'trip')) AS points;
SELECT round(lat::numeric, 4) AS lat, round(lng::numeric, 4) AS lng, started_at, ended_at, points FROM hail.trip_stops(:'trip');
SELECT count(*) FROM hail.trip_stops(:'trip', min_duration => '10 minutes');
SELECT round(lat::numeric, 4) AS lat, started_at, ended_at, points
FROM hail.driver_stops(pg_temp.who('Norr 1'), '2025-03-12', '2025-03-13', min_duration => '1 minute');
SELECT g -> 'properties' ->> 'distanceM' AS metres, g -> 'properties' -> 'stops' AS stops,
       json_array_length(g #> '{geometry,coordinates}') = json_array_length(g #> '{properties,times}') AS as_many_times
FROM hail.trip_track_geojson(:'trip') g;
-- What makes no sense.
SELECT hail.trip_stops(:'trip', 0);
SELECT hail.trip_stops(:'trip', 'NaN');
SELECT hail.trip_stops(:'trip', 'infinity');
SELECT hail.trip_stops(:'trip', 50, '-1 second');
SELECT hail.trip_stops(:'trip', 50, NULL);
SELECT hail.trip_stops(NULL);
SELECT hail.driver_stops(pg_temp.who('Norr 1'), '-infinity', '2025-03-13');
SELECT hail.driver_stops(pg_temp.who('Norr 1'), '2025-03-12', 'infinity');
SELECT hail.driver_stops(pg_temp.who('Norr 1'), '2025-03-12', NULL);
SELECT hail.driver_stops(pg_temp.who('Norr 1'), '2025-03-13', '2025-03-12');
SELECT hail.driver_stops(pg_temp.who('Norr 1'), '2025-03-12', '2025-03-20');
SELECT hail.driver_stops(pg_temp.who('Rider 1'), '2025-03-12', '2025-03-13');
SELECT hail.trip_distance_m(NULL);

-- A track is due from the completion on, and kept hail.track_delay later: what arrives until then is in it.
SELECT hail.keep_tracks() >= 0 AS others;
SELECT kept_at, points, completed_at FROM hail.trip_tracks WHERE trip_id = :'trip';
SELECT hail.append_history(pg_temp.who('Norr 1'), NULL, 61.2731 + 1050 / 111195.0, 17.5314, '2025-03-12 08:06:55+00', 5);
SELECT hail.advance_clock('5 minutes') IS NOT NULL AS clock_set;
SELECT hail.drain_history() > 0 AS drained;
SELECT hail.keep_tracks();
SELECT hail.keep_tracks() AS once;
SELECT kept_at, points, round(distance_m) AS metres, started_at, ended_at, problem,
       public.ST_NPoints(track) AS kept_points, public.GeometryType(track) AS type,
       to_timestamp(public.ST_M(public.ST_StartPoint(track))) AS first, to_timestamp(public.ST_M(public.ST_EndPoint(track))) AS last
FROM hail.trip_tracks WHERE trip_id = :'trip';
SELECT max(public.ST_DistanceSphere(p.geom, public.ST_Force2D(public.ST_GeometryN(public.ST_LocateAlong(k.track, public.ST_M(p.geom)), 1)))) < 10
       AS never_far_off
FROM hail.trip_tracks k, public.ST_DumpPoints(hail.trip_track(:'trip')) p WHERE k.trip_id = :'trip';

-- Its partition dropped, a trip is answered from what is kept; nobody can spoil that any more.
BEGIN;
DROP TABLE hail.location_history_20250312;
SELECT public.ST_NPoints(hail.trip_track(:'trip')) AS points, round(hail.trip_distance_m(:'trip')) AS metres;
SELECT round(lat::numeric, 4) AS lat, started_at, ended_at FROM hail.trip_stops(:'trip');
SELECT g -> 'properties' ->> 'distanceM' AS metres, g -> 'properties' -> 'startedAt' AS started_at,
       json_array_length(g #> '{geometry,coordinates}') AS points FROM hail.trip_track_geojson(:'trip') g;
SELECT points, round(distance_m) AS metres FROM hail.keep_track(:'trip');
ROLLBACK;

-- A trip that fails stops no other one, and can be tried again.
SELECT count(hail.set_availability(pg_temp.who('Norr ' || n), true, 61.2731, 17.5314)) FROM generate_series(2, 3) n;
CALL pg_temp.ride(2) \gset
\set bad :id
SELECT count(hail.set_availability(pg_temp.who('Norr 3'), true, 61.2731, 17.5314));
CALL pg_temp.ride(3) \gset
\set good :id
SELECT hail.advance_clock('6 minutes') IS NOT NULL AS clock_set, hail.drain_history() > 0 AS drained;
CREATE FUNCTION pg_temp.spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'spoiled'; END $$;
SELECT format('CREATE TRIGGER spoil BEFORE UPDATE ON hail.trip_tracks FOR EACH ROW WHEN (NEW.trip_id = %L AND NEW.problem IS NULL)
               EXECUTE FUNCTION pg_temp.spoil()', :'bad') AS spoil \gset
:spoil;
SET client_min_messages = error;
SELECT hail.keep_tracks() AS kept;
SET client_min_messages = warning;
SELECT trip_id = :'bad' AS bad, kept_at IS NOT NULL AS kept, points, problem FROM hail.trip_tracks WHERE trip_id IN (:'bad', :'good') ORDER BY 1;
SELECT status, detail FROM hail.check_tracks();
DROP TRIGGER spoil ON hail.trip_tracks;
SELECT points, round(distance_m) AS metres, problem FROM hail.keep_track(:'bad');
SELECT status, detail FROM hail.check_tracks();
SELECT hail.keep_track(hail.uuid7());
-- After hail.track_retention they go.
BEGIN;
UPDATE hail.trip_tracks SET completed_at = completed_at - interval '2557 days' WHERE trip_id = :'good';
UPDATE hail.trip_tracks SET completed_at = completed_at - interval '2556 days' WHERE trip_id = :'bad';
SELECT hail.keep_tracks();
SELECT trip_id = :'bad' AS bad FROM hail.trip_tracks WHERE trip_id IN (:'good', :'bad');
ROLLBACK;

-- Where a driver was: the partitions of two days are looked into, no others.
CREATE FUNCTION pg_temp.partitions_read(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO plan;
    RETURN (SELECT count(DISTINCT m[1]) FROM regexp_matches(plan::text, '"Relation Name": "(location_history_[0-9]+)"', 'g') m);
END
$$;
SELECT pg_temp.partitions_read($$SELECT * FROM hail.location_history h WHERE driver_id = hail.uuid7()
    AND recorded_at <= '2025-03-12 12:00+00' AND recorded_at > '2025-03-12 12:00+00'::timestamptz - interval '1 day'
    ORDER BY recorded_at DESC LIMIT 1$$);

-- Erasure. Whatever in schema hail holds a number between these, or speaks of one, knows where somebody was.
CREATE FUNCTION pg_temp.places_left() RETURNS TABLE (place text, n bigint) LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT r.relname, a.attname, format_type(a.atttypid, NULL) AS type FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
             WHERE r.relnamespace = 'hail'::regnamespace AND r.relkind IN ('r', 'p') AND NOT r.relispartition
               AND a.attnum > 0 AND NOT a.attisdropped AND r.relname NOT IN ('regions', 'geofences')
               AND format_type(a.atttypid, NULL) ~ '^(double precision|jsonb?|text|(public\.)?geometry)$' ORDER BY 1, 2 LOOP
        place := c.relname || '.' || c.attname;
        EXECUTE format(CASE
            WHEN c.type = 'double precision' THEN 'SELECT count(*) FROM hail.%1$I WHERE %2$I BETWEEN 61.26 AND 61.299 OR %2$I BETWEEN 17.52 AND 17.54'
            WHEN c.type LIKE '%geometry' THEN 'SELECT count(*) FROM hail.%1$I WHERE public.ST_Intersects(%2$I, public.ST_MakeEnvelope(17.52, 61.26, 17.54, 61.30, 4326))'
            ELSE 'SELECT count(*) FROM hail.%1$I WHERE %2$I::text ~ $q$61\.2[6-9]|17\.5[23]$q$' END, c.relname, c.attname) INTO n;
        IF n > 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
CREATE FUNCTION pg_temp.books() RETURNS text LANGUAGE sql AS $$
    SELECT md5(string_agg(r, ',' ORDER BY r)) FROM (
        SELECT e::text FROM hail.ledger_entries e UNION ALL SELECT a::text FROM hail.accounts a WHERE NOT a.is_system
        UNION ALL SELECT x::text FROM hail.ledger_transactions x UNION ALL SELECT (t.id, t.price, t.distance_m, t.state)::text FROM hail.trips t
        UNION ALL SELECT (v.aggregate_id, v.version, v.type, v.payload -> 'price')::text FROM hail.events v
                  WHERE v.aggregate_type = 'trip') b (r) $$;
SELECT place FROM pg_temp.places_left();
SELECT hail.erase_history(pg_temp.who('Norr 1'));
SELECT hail.erase_history(pg_temp.who('Rider 1'));
SELECT hail.erase_customer_positions(pg_temp.who('Norr 1'));
SELECT hail.erase_customer_positions(NULL);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT hail.erase_customer_positions(pg_temp.who('Rider 1'));
ROLLBACK;
-- not while a trip is under way
SELECT (hail.request_trip((hail.create_quote(pg_temp.who('Rider 1'), 61.2731, 17.5314, 61.2911, 17.5314, 'economy')).id, 'cash',
                          idempotency_key => 'norr-open')).id AS open \gset
SELECT hail.erase_customer_positions(pg_temp.who('Rider 1'));
SELECT (hail.cancel_trip(:'open')).state;
-- a quote not used yet goes too: nobody could book it for the same place
SELECT (hail.create_quote(pg_temp.who('Rider 1'), 61.2731, 17.5314, 61.2911, 17.5314, 'economy')).id AS unused \gset
SELECT pg_temp.books() AS books, (SELECT count(*) FROM hail.reconcile('2025-03-12')) AS differences \gset
SELECT * FROM hail.erase_customer_positions(pg_temp.who('Rider 1'));
SELECT * FROM hail.erase_customer_positions(pg_temp.who('Rider 1'));
SELECT pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m > 1000 AS distance_stays FROM hail.trips WHERE id = :'trip';
SELECT hail.request_trip(:'unused', 'cash', idempotency_key => 'norr-late');
SELECT hail.trip_track(:'trip') IS NULL AS no_track, hail.trip_distance_m(:'trip') AS metres;
SELECT count(*) FROM hail.trip_tracks WHERE trip_id = :'trip';
-- drivers: offline, with a position that still waits in the ring and one that was refused
SELECT count(hail.set_availability(pg_temp.who('Norr ' || n), false)) FROM generate_series(1, 3) n;
SELECT hail.append_history(pg_temp.who('Norr 1'), NULL, 61.2731, 17.5314, hail.clock() + interval '1 second');
SELECT hail.append_history(pg_temp.who('Norr 2'), NULL, 61.2731, 17.5314, hail.clock() + interval '1 second');
SELECT count(*) >= 0 AS kept_up FROM hail.keep();
SELECT count(*) > 0 AS still_in_the_index FROM hail.live_scan() s JOIN hail.users u ON u.id = s.driver_id WHERE u.name LIKE 'Norr %';
SELECT hail.append_history(pg_temp.who('Norr ' || n), NULL, 61.2731, 17.5314, hail.clock() + interval '2 seconds') FROM generate_series(1, 3) n;
INSERT INTO hail.location_rejects SELECT h.*, 'for a try', hail.clock() FROM hail.location_history h WHERE h.driver_id = pg_temp.who('Norr 2') LIMIT 1;
BEGIN;
SELECT positions > 1 AS positions, tracks FROM hail.erase_history(pg_temp.who('Norr 1'));
SELECT hail.append_history(pg_temp.who('Norr 3'), NULL, 61.2731, 17.5314, hail.clock() + interval '3 seconds');
SELECT positions > 1 AS positions, tracks FROM hail.erase_history(pg_temp.who('Norr 2'));
SELECT positions > 1 AS positions, tracks FROM hail.erase_history(pg_temp.who('Norr 3'));
COMMIT;
SELECT positions, tracks, events FROM hail.erase_history(pg_temp.who('Norr 1'));
SELECT hail.erase_customer_positions(pg_temp.who('Rider ' || n)) IS NOT NULL AS erased FROM generate_series(2, 3) n;
SELECT waiting_on_trip, waiting_other FROM hail.history_stats();
SELECT count(*) AS in_the_index FROM hail.live_scan() s JOIN hail.users u ON u.id = s.driver_id WHERE u.name LIKE 'Norr %';
-- nor does the index write them again
SELECT count(*) >= 0 AS kept_up FROM hail.keep();
SELECT * FROM pg_temp.places_left();
SELECT pg_temp.books() = :'books' AS books_unchanged, (SELECT count(*) FROM hail.reconcile('2025-03-12')) = :differences AS as_reconciled;
SELECT count(*) AS event_gaps FROM hail.event_gaps() g JOIN hail.trips t ON t.id = g.aggregate_id WHERE t.customer_id = pg_temp.who('Rider 1');
SELECT type, payload ->> 'role' AS role, (payload ->> 'user_id')::uuid = pg_temp.who(CASE payload ->> 'role' WHEN 'driver' THEN 'Norr 1' ELSE 'Rider 1' END) AS whose,
       payload - 'user_id' - 'role' - 'positions' AS counts
FROM hail.events WHERE aggregate_type = 'erasure' ORDER BY id;
-- Administrators only.
SET ROLE hail_driver;
SELECT hail.erase_history(hail.uuid7());
SELECT hail.erase_customer_positions(hail.uuid7());
SELECT hail.keep_tracks();
SELECT hail.settle_history();
RESET ROLE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
