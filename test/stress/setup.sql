-- Drivers 1 to 10 jump around one corner of four cells, 11 to 200 around other corners at least 1 km away: so
-- whatever the moment, all 200 are within 5 km and the first ten are the nearest. 201 to 240 come and go.
-- A driver is only ever at its 16 places; its heading says at which, and so does the time of the position: its last
-- microseconds, modulo 16.
SELECT hail.create_region('stress', 'Stress', 'EUR', 'UTC', ST_MakeEnvelope(9, 44, 11, 46, 4326));
CREATE SCHEMA stress;
CREATE FUNCTION stress.id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
AS $$ SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
-- The corner that driver n jumps around: cells are 180 / 65536 degrees high and 360 / 65536 wide.
CREATE FUNCTION stress.corner(n bigint, OUT lat float8, OUT lng float8) LANGUAGE sql IMMUTABLE
AS $$ SELECT -90 + (49152 + dy) * 180 / 65536.0::float8, -180 + (34588 + dx) * 360 / 65536.0::float8
      FROM (SELECT CASE WHEN n <= 10 THEN 0 ELSE (n % 5 - 2) * 2 END AS dy,
                   CASE WHEN n <= 10 THEN 0 WHEN n % 2 = 0 THEN 3 + n % 4 ELSE -3 - n % 4 END AS dx) d $$;
CREATE FUNCTION stress.at(heading real, now timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE
AS $$ SELECT date_trunc('second', now) + (extract(microseconds FROM now)::bigint % 1000000 / 16 * 16 + heading / 22.5)
             * interval '1 microsecond' $$;
CREATE TABLE stress.places AS
SELECT n, stress.id(n) AS id, (i * 22.5)::real AS heading,
       lat + 0.0012 * sin(radians(i * 22.5 + n)) AS lat, lng + 0.0012 * cos(radians(i * 22.5 + n)) AS lng
FROM generate_series(1, 240) n, generate_series(0, 15) i, stress.corner(n);
CREATE INDEX ON stress.places (id, heading) INCLUDE (lat, lng);
INSERT INTO hail.users (id, phone, name, role)
SELECT stress.id(n), '+1' || (1000000000 + n), 'Driver ' || n, 'driver' FROM generate_series(1, 240) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
SELECT stress.id(n), r.id, ARRAY[c.code], hail.class_mask(ARRAY[c.code]), 'approved', n <= 200
FROM generate_series(1, 240) n, hail.regions r, LATERAL (SELECT CASE WHEN n <= 200 THEN 'economy' ELSE 'van' END AS code) c
WHERE r.code = 'stress';
SELECT hail.report_locations(array_agg(id), array_agg(lat), array_agg(lng), array_agg(heading),
                             recorded_ats => array_agg(stress.at(heading, clock_timestamp() - interval '1 second')))
FROM stress.places WHERE heading = 0;
-- Reports of half of the drivers that are always there, in random order, each at one of its places.
CREATE TABLE stress.batches AS
SELECT half, k, array_agg(id ORDER BY r) AS ids, array_agg(lat ORDER BY r) AS lats, array_agg(lng ORDER BY r) AS lngs,
       array_agg(heading ORDER BY r) AS headings, array_agg(heading / 22.5 * interval '1 microsecond' ORDER BY r) AS marks
FROM (SELECT n % 2 AS half, k, p.*, random() AS r
      FROM generate_series(1, 50) k, generate_series(1, 200) m, LATERAL (SELECT * FROM stress.places WHERE n = m ORDER BY random() + k LIMIT 1) p) x
GROUP BY half, k;
CREATE TABLE stress.results (check_name text, done bigint, failed bigint);
ANALYZE;

CREATE PROCEDURE stress.move(which integer, until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    b record;
    n bigint := 0;
BEGIN
    WHILE clock_timestamp() < until LOOP
        FOR b IN SELECT * FROM stress.batches WHERE half = which LOOP
            n := n + hail.report_locations(b.ids, b.lats, b.lngs, b.headings, recorded_ats =>
                (SELECT array_agg(now + mark) FROM unnest(b.marks) mark, stress.at(0, clock_timestamp()) now));
        END LOOP;
        COMMIT;
    END LOOP;
    INSERT INTO stress.results VALUES ('reports are taken', n, (n = 0)::integer);
END $$;

-- Every driver that is there all the time is in the answer, once; the ten nearest are the first ten.
CREATE PROCEDURE stress.look(until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    here record := stress.corner(1);
    searches bigint := 0;
    lost bigint := 0;
    twice bigint := 0;
    wrong bigint := 0;
    rows integer;
    drivers integer;
    near integer;
BEGIN
    WHILE clock_timestamp() < until LOOP
        FOR i IN 1 .. 100 LOOP
            SELECT count(*), count(DISTINCT driver_id) INTO rows, drivers
            FROM hail.nearby_drivers(here.lat, here.lng, 5000, 1000, 'economy');
            lost := lost + (drivers < 200)::integer;
            twice := twice + (rows > drivers)::integer;
            SELECT count(DISTINCT driver_id) FILTER (WHERE driver_id <= stress.id(10)) INTO near
            FROM hail.nearby_drivers(here.lat, here.lng, 5000, 10, 'economy');
            wrong := wrong + (near <> 10)::integer;
        END LOOP;
        searches := searches + 100;
        COMMIT;
    END LOOP;
    INSERT INTO stress.results VALUES ('no driver is lost from a search', searches, lost),
        ('no driver is in an answer twice', searches, twice),
        ('the nearest are the nearest while they move', searches, wrong);
END $$;

-- The same of the answers in arrays.
CREATE PROCEDURE stress.look_ids(until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    here record := stress.corner(1);
    searches bigint := 0;
    lost bigint := 0;
    twice bigint := 0;
    wrong bigint := 0;
    everyone uuid[] := (SELECT array_agg(stress.id(n)) FROM generate_series(1, 200) n);
    a record;
BEGIN
    WHILE clock_timestamp() < until LOOP
        FOR i IN 1 .. 100 LOOP
            SELECT n.driver_ids, n.distances_m, (SELECT count(DISTINCT id) FROM unnest(driver_ids) id) AS drivers,
                   (SELECT array_agg(m ORDER BY m) FROM unnest(distances_m) m) AS sorted
            INTO a FROM hail.nearby_driver_ids(here.lat, here.lng, 5000, 1000, 'economy') n;
            lost := lost + (NOT a.driver_ids @> everyone)::integer;
            twice := twice + (cardinality(a.driver_ids) > a.drivers)::integer;
            wrong := wrong + (a.distances_m <> a.sorted OR cardinality(a.distances_m) <> cardinality(a.driver_ids))::integer;
        END LOOP;
        searches := searches + 100;
        COMMIT;
    END LOOP;
    INSERT INTO stress.results VALUES ('no driver is lost from a search', searches, lost),
        ('no driver is in an answer twice', searches, twice),
        ('answers are in order', searches, wrong);
END $$;

-- Each answer as a whole: at one of its places, with that place's heading, at its distance, in order.
CREATE PROCEDURE stress.inspect(until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    here record := stress.corner(1);
    rows bigint := 0;
    looked bigint := 0;
    mixed bigint := 0;
    torn bigint := 0;
    disordered bigint := 0;
    a record;
BEGIN
    WHILE clock_timestamp() < until LOOP
        SELECT count(*) AS n, count(*) FILTER (WHERE p.id IS NULL OR abs(d.distance_m - public.ST_DistanceSphere(
                   public.ST_MakePoint(d.lng, d.lat), public.ST_MakePoint(here.lng, here.lat))) > 0.001) AS bad,
               count(*) FILTER (WHERE d.distance_m < d.before) AS early INTO a
        FROM (SELECT *, lag(distance_m) OVER (ORDER BY ordinality) AS before
              FROM hail.nearby_drivers(here.lat, here.lng, 5000, 1000) WITH ORDINALITY) d
        LEFT JOIN stress.places p ON p.id = d.driver_id AND p.heading = d.heading AND p.lat = d.lat AND p.lng = d.lng;
        rows := rows + a.n;
        torn := torn + a.bad;
        disordered := disordered + a.early;
        SELECT count(*) AS n, count(*) FILTER (WHERE p.id IS NULL) AS bad INTO a
        FROM hail.live_drivers d LEFT JOIN stress.places p ON p.id = d.driver_id AND p.heading = d.heading AND p.lat = d.lat
             AND p.lng = d.lng AND extract(microseconds FROM d.recorded_at)::bigint % 16 = p.heading / 22.5
        WHERE d.driver_id <= stress.id(200);
        looked := looked + a.n;
        mixed := mixed + a.bad;
        COMMIT;
    END LOOP;
    INSERT INTO stress.results VALUES ('no driver is shown where it never was', rows, torn),
        ('answers are in order', rows, disordered),
        ('nor at a position it had at another time', looked, mixed);
END $$;

-- Ten drivers of its own come and go: gone after the commit that says so, there after the one that says so.
CREATE PROCEDURE stress.come_and_go(which integer, until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    here record := stress.corner(1);
    driver uuid;
    p record;
    rounds bigint := 0;
    ghosts bigint := 0;
    missing bigint := 0;
BEGIN
    WHILE clock_timestamp() < until LOOP
        driver := stress.id(201 + which * 10 + rounds % 10);
        SELECT * INTO p FROM stress.places WHERE id = driver AND heading = (rounds % 16 * 22.5)::real;
        UPDATE hail.drivers SET online = true, trip_id = NULL WHERE id = driver;
        PERFORM hail.report_location(driver, p.lat, p.lng, p.heading);
        COMMIT;
        missing := missing + (SELECT (count(*) <> 1)::integer FROM hail.nearby_drivers(here.lat, here.lng, 5000, 1000, 'van')
                              WHERE driver_id = driver);
        COMMIT;
        IF rounds % 2 = 0 THEN
            UPDATE hail.drivers SET online = false WHERE id = driver;
        ELSE
            UPDATE hail.drivers SET trip_id = driver WHERE id = driver;
        END IF;
        COMMIT;
        PERFORM hail.report_location(driver, p.lat, p.lng, p.heading); -- moves it, does not bring it back
        ghosts := ghosts + (SELECT count(*) FROM hail.nearby_drivers(here.lat, here.lng, 5000, 1000)
                            WHERE driver_id = driver);
        COMMIT;
        rounds := rounds + 1;
    END LOOP;
    INSERT INTO stress.results VALUES ('a driver is found after the commit that brings it', rounds, missing),
        ('and not after the commit that takes it away', rounds, ghosts);
END $$;
