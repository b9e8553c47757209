-- Without the index (here: in another database than hail.database) the same functions answer from tables.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE DATABASE live_tables;
\c live_tables
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE EXTENSION pg_hail CASCADE;
SELECT hail.set_clock('2026-05-02 09:00+00') IS NOT NULL AS clock_set;
SELECT * FROM hail.live_stats();
SELECT area, status, detail FROM hail.check_live();
SELECT code FROM hail.create_region('earth', 'Earth', 'EUR', 'UTC', ST_MakeEnvelope(-180, -90, 180, 90, 4326));
CREATE FUNCTION id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT ('00000005-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
INSERT INTO hail.users (id, name, role) SELECT id(n), 'driver ' || n, 'driver' FROM generate_series(1, 400) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online, rating)
SELECT id(n), (SELECT r.id FROM hail.regions r), '{economy}', CASE n % 2 WHEN 0 THEN 1 ELSE 3 END, 'approved', true, 3 + n % 3
FROM generate_series(1, 400) n;

-- Positions are kept and judged alike.
SELECT * FROM hail.report_location(id(1), 48.2, 16.37, 90);
SELECT * FROM hail.report_location(id(1), 48.3, 16.37, recorded_at => hail.clock() - interval '15 seconds');
SELECT * FROM hail.report_location(id(1), 49.2, 16.37);
SELECT hail.report_location(id(401), 48.2, 16.37);
SELECT driver_id, round(distance_m) AS m, lat, lng, heading, service_class, rating, last_seen FROM hail.nearby_drivers(48.2, 16.38);
SELECT driver_id, state, available FROM hail.live_drivers WHERE lat IS NOT NULL;
UPDATE hail.drivers SET trip_id = id(1) WHERE id = id(1);
SELECT count(*) AS found FROM hail.nearby_drivers(48.2, 16.38);
UPDATE hail.drivers SET trip_id = NULL, cooldown_until = hail.clock() + interval '5 seconds' WHERE id = id(1);
SELECT count(*) AS found FROM hail.nearby_drivers(48.2, 16.38);
SELECT hail.advance_clock('5 seconds') IS NOT NULL AS later;
SELECT count(*) AS found FROM hail.nearby_drivers(48.2, 16.38);
SELECT hail.advance_clock('26 seconds') IS NOT NULL AS later;
SELECT count(*) AS found FROM hail.nearby_drivers(48.2, 16.38);
SELECT "rows" AS expired FROM hail.keep() WHERE step = 'expire presence';
SELECT online FROM hail.drivers WHERE id = id(1);
UPDATE hail.drivers SET online = true WHERE id = id(1);

-- Exact here too: city, pole, antimeridian, sparse globe.
CREATE TABLE place (id uuid PRIMARY KEY, lat float8, lng float8);
CREATE FUNCTION wrong(world text, OUT settled bigint, OUT searches bigint, OUT wrong bigint, OUT hits bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM setseed(0.75);
    DELETE FROM place;
    INSERT INTO place SELECT id(r.n), p.lat, p.lng
    FROM (SELECT n, random() AS a, random() AS b FROM generate_series(1, 400) n) r CROSS JOIN LATERAL (
        SELECT (r.a - 0.5) * 0.2 + 48.2 AS lat, (r.b - 0.5) * 0.3 + 16.37 AS lng WHERE world = 'city'
        UNION ALL SELECT 90 - r.a * r.a * 0.2, r.b * 360 - 180 WHERE world = 'north pole'
        UNION ALL SELECT -17 + r.a, CASE WHEN r.b < 0.5 THEN 180 - r.b ELSE r.b - 180.5 END WHERE world = 'antimeridian'
        UNION ALL SELECT degrees(asin(2 * r.a - 1)), r.b * 360 - 180 WHERE world = 'globe') p;
    PERFORM hail.advance_clock('11 minutes');
    settled := (SELECT hail.report_locations(array_agg(p.id), array_agg(lat), array_agg(lng)) FROM place p);
    WITH search AS (
        SELECT * FROM ((SELECT lat, lng FROM place ORDER BY id LIMIT 3)
                       UNION ALL VALUES (90.0, 0.0), (-16.5, 180.0), (-16.5, -179.99), (48.2, 16.37)) origin,
            (VALUES (3000.0), (400000.0), (20015115.0)) r (radius), (VALUES (1), (30)) k (k), (VALUES (-1, 0), (1, 4)) f (class, rating))
    SELECT count(*), count(*) FILTER (WHERE got.ids IS DISTINCT FROM expected.ids), sum(cardinality(got.ids))
    INTO searches, wrong, hits
    FROM search s
    CROSS JOIN LATERAL (SELECT array_agg(driver_id) AS ids FROM hail.live_search(s.lat, s.lng, s.radius, s.k, s.class, s.rating, 3)) got
    CROSS JOIN LATERAL (
        SELECT array_agg(nearest.id) AS ids FROM (
            SELECT p.id FROM place p JOIN hail.drivers d ON d.id = p.id,
                 public.ST_DistanceSphere(public.ST_MakePoint(s.lng, s.lat), public.ST_MakePoint(p.lng, p.lat)) m
            WHERE m <= s.radius AND (s.class < 0 OR d.class_mask & (1::bigint << s.class) <> 0) AND d.rating >= s.rating
            ORDER BY m, p.id LIMIT s.k) nearest) expected;
END $$;
SELECT world, settled, searches, wrong, hits > 0 AS some_found
FROM unnest(ARRAY['city', 'north pole', 'antimeridian', 'globe']) world, LATERAL wrong(world);
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
\c hail
DROP DATABASE live_tables;
