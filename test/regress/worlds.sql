-- Random worlds of drivers and random searches over them, compared with brute force in SQL. Included by sql/live_worlds.sql, once
-- for the index and once for the tables. What a search should find is decided here from what was reported (worlds.place) and from
-- the rows of hail.drivers and hail.offers alone. HAIL_SEED in the environment makes other worlds of the same kinds.
\set seed `echo "${HAIL_SEED:-1}"`
CREATE SCHEMA worlds;
CREATE TABLE worlds.seed AS SELECT :seed AS seed;
CREATE TABLE worlds.world (n integer PRIMARY KEY, name text, drivers integer);
INSERT INTO worlds.world VALUES (1, 'dense city', 1200), (2, 'ten on a continent', 10), (3, 'north pole', 700), (4, 'south pole', 700),
    (5, 'antimeridian', 700), (6, 'one spot', 3000), (7, 'two stops and a street', 900), (8, 'globe', 1000), (9, 'cell corners', 900);
CREATE TABLE worlds.driver (n integer PRIMARY KEY, id uuid NOT NULL UNIQUE);
CREATE TABLE worlds.place (id uuid PRIMARY KEY, lat float8, lng float8, received_at timestamptz, recorded_at timestamptz);

CREATE TABLE worlds.result (n integer, name text, searches bigint, with_hits bigint, wrong bigint, example text);

-- Drivers with ids in no order, and a trip for offers to name.
CREATE FUNCTION worlds.begin(drivers integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.create_region('worlds', 'Worlds', 'EUR', 'UTC', public.ST_MakeEnvelope(-180, -90, 180, 90, 4326));
    PERFORM hail.set_fare('worlds', 'van', 1000, 100, 100, 1000, 0);
    INSERT INTO worlds.driver SELECT n, md5(n::text)::uuid FROM generate_series(1, drivers) n;
    INSERT INTO hail.users (id, name, role) SELECT id, 'world driver ' || n, 'driver' FROM worlds.driver;
    INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status)
    SELECT id, (SELECT r.id FROM hail.regions r WHERE code = 'worlds'), '{van}', 65536, 'approved' FROM worlds.driver;
    PERFORM hail.request_trip((hail.create_quote((hail.register_user('+4366099990001', 'World customer', 'customer')).id,
                                                 0, -140, 0, -140.1, 'van')).id, 'cash', 'first_accept', 'worlds');
END $$;

-- Where driver n is; a, b: random from 0 to 1.
CREATE FUNCTION worlds.lay_out(world text, n integer, a float8, b float8) RETURNS TABLE (lat float8, lng float8) LANGUAGE sql AS $$
    SELECT (a - 0.5) * 0.2 + 48.2, (b - 0.5) * 0.3 + 16.37 WHERE world = 'dense city'
    UNION ALL SELECT a * 60 - 25, b * 60 - 10 WHERE world = 'ten on a continent'
    UNION ALL SELECT 90 - a * a * 0.6, b * 360 - 180 WHERE world = 'north pole'
    UNION ALL SELECT CASE n WHEN 1 THEN -90 ELSE -90 + a * a END, b * 360 - 180 WHERE world = 'south pole'
    UNION ALL SELECT -17 + a * 0.5, CASE WHEN n = 1 THEN 180 WHEN n = 2 THEN -180 WHEN b < 0.5 THEN 180 - b ELSE b - 180.5 END
              WHERE world = 'antimeridian'
    UNION ALL SELECT 30.05, 31.24 WHERE world = 'one spot'
    UNION ALL SELECT CASE WHEN n % 20 = 0 THEN 51.4 + a * 0.2 ELSE 51.5 END, CASE WHEN n % 20 = 0 THEN b - 0.5 ELSE n % 2 * 0.001 END
              WHERE world = 'two stops and a street'
    UNION ALL SELECT degrees(asin(2 * a - 1)), b * 360 - 180 WHERE world = 'globe'
    UNION ALL SELECT (n % 30) * 180 / 65536.0, (n / 30) * 360 / 65536.0 WHERE world = 'cell corners' -- of the index
$$;

-- The random numbers of a world, the same ones whenever it is asked for.
CREATE FUNCTION worlds.start(number integer, again integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM setseed((seed * 7919 + number * 131 + again) % 9973 / 9973.0) FROM worlds.seed;
    RETURN (SELECT w.name FROM worlds.world w WHERE w.n = number);
END $$;

-- Settle a world. Reported 35, 30 or 0 seconds ago, by a clock 0 to 61 seconds behind: found is who was heard of within 30 seconds
-- with a position not older than 60.
CREATE FUNCTION worlds.settle(number integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := worlds.start(number, 0);
    count integer := (SELECT w.drivers FROM worlds.world w WHERE w.n = number);
    told CONSTANT integer[] := '{35,30,0}';
BEGIN
    DELETE FROM hail.offers o USING worlds.driver d WHERE d.id = o.driver_id;
    UPDATE hail.drivers d SET status = 'approved', online = true FROM worlds.driver w WHERE w.id = d.id;
    DELETE FROM worlds.place;
    INSERT INTO worlds.place
    SELECT w.id, l.lat, l.lng, hail.clock() + '15 minutes' - make_interval(secs => r.told),
           hail.clock() + '15 minutes' - make_interval(secs => greatest(r.told, r.age))
    FROM (SELECT n, random() AS a, random() AS b, told[1 + width_bucket(random(), ARRAY[0.08, 0.2])] AS told,
                 (ARRAY[0, 45, 60, 61])[1 + width_bucket(random(), ARRAY[0.8, 0.87, 0.94])] AS age FROM generate_series(1, count) n) r
    JOIN worlds.driver w ON w.n = r.n CROSS JOIN LATERAL worlds.lay_out(name, r.n, r.a, r.b) l;
    PERFORM hail.advance_clock('14 minutes 25 seconds');
    FOR i IN 1..3 LOOP
        PERFORM hail.report_locations(array_agg(id), array_agg(lat), array_agg(lng), recorded_ats => array_agg(recorded_at))
        FROM (SELECT * FROM worlds.place WHERE received_at = hail.clock() ORDER BY md5(id::text)) p HAVING count(*) > 0;
        PERFORM hail.advance_clock(make_interval(secs => told[i] - coalesce(told[i + 1], 0)));
    END LOOP;
    UPDATE hail.drivers d
    SET class_mask = (ARRAY[1, 3, 7, 8, 65536, 196608])[1 + floor(r.class * 6)::integer], rating = 1 + floor(r.rating * 9)::integer * 0.5::real,
        status = CASE WHEN r.state < 0.04 THEN 'suspended' ELSE 'approved' END, online = r.state >= 0.12 AND w.n <= count,
        trip_id = CASE WHEN r.trip < 0.2 THEN d.id END, job_capacity = 1 + floor(r.jobs * 3)::integer, active_jobs = floor(r.jobs * 77)::integer % 4,
        cooldown_until = CASE WHEN r.cooldown < 0.08 THEN hail.clock() + '1 microsecond' WHEN r.cooldown < 0.15 THEN hail.clock() END,
        area_mask = CASE WHEN r.area < 0.5 THEN 0 WHEN r.area < 0.6 THEN 1::bigint << 63 ELSE floor(r.area * 9999)::bigint % 16 END
    FROM (SELECT n, random() AS class, random() AS rating, random() AS state, random() AS trip, random() AS jobs, random() AS cooldown,
                 random() AS area FROM generate_series(1, (SELECT max(n) FROM worlds.driver)) n) r
    JOIN worlds.driver w ON w.n = r.n WHERE d.id = w.id;
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
    SELECT t.id, w.id, slot, slot, 0, 0, 0, hail.clock(), hail.clock() + '1 minute'
    FROM hail.trips t, (SELECT n, greatest(0, floor(random() * 6)::integer - 2) AS pending FROM generate_series(1, count) n) r
    JOIN worlds.driver w ON w.n = r.n CROSS JOIN LATERAL generate_series(1, r.pending) slot WHERE t.idempotency_key = 'worlds';
END $$;

CREATE VIEW worlds.truth AS
SELECT d.id, p.lat, p.lng, d.class_mask, d.rating, d.area_mask,
       d.online AND d.status = 'approved' AND p.received_at >= hail.clock() - interval '30 seconds'
           AND p.recorded_at >= hail.clock() - interval '60 seconds' AS present,
       d.trip_id IS NULL AND (d.cooldown_until IS NULL OR d.cooldown_until <= hail.clock()) AS free,
       d.trip_id IS NOT NULL AND d.job_capacity > greatest(d.active_jobs, 1) AS room,
       (SELECT count(*) FROM hail.offers o WHERE o.driver_id = d.id AND o.status = 'pending') AS pending
FROM worlds.place p JOIN hail.drivers d ON d.id = p.id;

-- 64 searches, each set of the six filters once: at drivers, near drivers, and where coordinates are odd; 100 m to 50 km, and as
-- far as half around the earth.
CREATE FUNCTION worlds.searches() RETURNS TABLE (s integer, lat float8, lng float8, radius_m float8, k integer, class_id integer, min_rating real,
                                                 max_pending integer, excluded uuid[], with_room boolean, area_mask bigint)
LANGUAGE sql AS $$
    WITH r AS MATERIALIZED (
        SELECT s, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e, random() AS f FROM generate_series(0, 63) s),
    place AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY w.n) - 1 AS n, p.lat, p.lng FROM worlds.place p JOIN worlds.driver w USING (id)),
    odd AS (
        SELECT * FROM (VALUES (0, 90.0, 0.0), (1, -90.0, 77.0), (2, 3.0, -180.0), (3, -16.7, 180.0), (4, 0.0, 0.0), (5, 51.5, 0.0005)) v (n, lat, lng))
    SELECT r.s, greatest(-90, least(90, o.lat + (r.a - 0.5) * o.spread)), greatest(-180, least(180, o.lng + (r.b - 0.5) * o.spread)),
           CASE WHEN r.e < 0.04 THEN 20015115 WHEN r.e < 0.16 THEN 50000 * exp(r.c * 5.9) ELSE 100 * exp(r.c * ln(500)) END,
           (ARRAY[1, 7, 60, 1000])[1 + floor(r.d * 4)::integer],
           CASE WHEN s & 1 <> 0 THEN (ARRAY[0, 1, 2, 3, 16, 62])[1 + floor(r.a * 97)::integer % 6] ELSE -1 END,
           CASE WHEN s & 2 <> 0 THEN 1.5 + floor(r.b * 97)::integer % 7 * 0.5 ELSE 0 END,
           CASE WHEN s & 4 <> 0 THEN 1 + floor(r.c * 97)::integer % 3 ELSE 0 END,
           CASE WHEN s & 8 <> 0 THEN ARRAY(SELECT p.id FROM worlds.place p ORDER BY abs(p.lat - o.lat) + abs(p.lng - o.lng), p.id LIMIT 30) ELSE '{}' END,
           s & 16 <> 0,
           CASE WHEN s & 32 <> 0 THEN (ARRAY[0, 1, 6, 15, 1::bigint << 63])[1 + floor(r.d * 97)::integer % 5] ELSE -1 END
    FROM r CROSS JOIN LATERAL (
        SELECT lat, lng, (ARRAY[0, 0.02, 0.4])[1 + s % 4] AS spread FROM place WHERE s % 4 < 3 AND n = floor(r.f * (SELECT count(*) FROM place))
        UNION ALL SELECT lat, lng, 0 FROM odd WHERE s % 4 = 3 AND n = floor(r.f * 6)) o
$$;

-- Compare: the k nearest by distance, to a tenth of a millimetre (near the antipode to a metre), each a driver that is eligible and that
-- far away; of drivers at the very same place those with the lowest ids, in their order. (Distances from different places that differ
-- by rounding alone may come in either order.) Also: hail.nearby_drivers() finds the same, hail.live_drivers calls the same available.
CREATE FUNCTION worlds.compare(number integer, OUT name text, OUT searches bigint, OUT with_hits bigint, OUT wrong bigint, OUT example text)
LANGUAGE plpgsql AS $$
BEGIN
    name := worlds.start(number, 1000);
    CREATE TEMP TABLE search ON COMMIT DROP AS SELECT * FROM worlds.searches();
    CREATE TEMP TABLE got ON COMMIT DROP AS
    SELECT s.s, g.* FROM search s, LATERAL hail.live_search(lat, lng, radius_m, k, class_id, min_rating, max_pending, excluded, with_room, area_mask)
        WITH ORDINALITY g (id, m, pending, n);
    CREATE TEMP TABLE eligible ON COMMIT DROP AS
    SELECT s.s, t.id, t.lat, t.lng, t.pending, m, row_number() OVER (PARTITION BY s.s ORDER BY m, t.id) AS n,
           row_number() OVER (PARTITION BY s.s, t.lat, t.lng ORDER BY t.id) AS here, -- the how manieth at this very place
           CASE WHEN m > 19e6 THEN 1 ELSE 1e-4 END AS near
    FROM search s JOIN worlds.truth t ON t.present AND (t.free OR t.room AND s.with_room)
        AND (s.class_id < 0 OR (t.class_mask >> s.class_id) & 1 = 1) AND t.rating >= s.min_rating
        AND (s.max_pending = 0 OR t.pending < s.max_pending) AND t.id <> ALL (s.excluded) AND (t.area_mask = 0 OR t.area_mask & s.area_mask <> 0),
        public.ST_DistanceSphere(public.ST_MakePoint(s.lng, s.lat), public.ST_MakePoint(t.lng, t.lat)) m
    WHERE m <= s.radius_m;
    SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM got g WHERE g.s = search.s)) INTO searches, with_hits FROM search;
    CREATE TEMP TABLE bad ON COMMIT DROP AS
    SELECT coalesce(g.s, e.s) AS s, format('place %s: %s at %s m instead of %s at %s m', coalesce(g.n, e.n), g.id, g.m, e.id, e.m) AS what
    FROM (SELECT g.*, own.m AS own_m, own.pending AS own_pending, own.here, row_number() OVER (PARTITION BY g.s, own.lat, own.lng ORDER BY g.n) AS got_here
          FROM got g LEFT JOIN eligible own ON own.s = g.s AND own.id = g.id) g
    FULL JOIN (SELECT e.* FROM eligible e JOIN search USING (s) WHERE e.n <= k) e ON e.s = g.s AND e.n = g.n
    WHERE (abs(g.m - e.m) <= e.near AND abs(g.m - g.own_m) <= e.near AND g.pending = g.own_pending AND g.got_here = g.here) IS NOT TRUE
    UNION ALL SELECT s, format('%s comes twice', id) FROM got GROUP BY s, id HAVING count(*) > 1
    UNION ALL SELECT s, 'hail.nearby_drivers() finds others' FROM search LEFT JOIN hail.service_classes c ON c.id = class_id
    WHERE s < 2 AND (c.id IS NOT NULL OR class_id < 0)
      AND ARRAY(SELECT driver_id FROM hail.nearby_drivers(lat, lng, radius_m, k, c.code)) <> ARRAY(SELECT id FROM got g WHERE g.s = search.s ORDER BY n)
    UNION ALL SELECT NULL, format('%s: hail.live_drivers says %s', id, coalesce(l.available, false))
    FROM worlds.truth t LEFT JOIN hail.live_drivers l ON l.driver_id = t.id
    WHERE coalesce(l.available, false) <> (t.present AND t.free) OR (l.lat, l.lng, l.pending_offers) <> (t.lat, t.lng, t.pending);
    SELECT count(DISTINCT coalesce(s, -1)) INTO wrong FROM bad;
    SELECT format('HAIL_SEED=%s, %s: %s', (SELECT seed FROM worlds.seed), search, what) INTO example FROM bad LEFT JOIN search USING (s) ORDER BY s, what LIMIT 1;
END $$;

CREATE FUNCTION worlds.end() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM hail.offers o USING hail.trips t WHERE t.id = o.trip_id AND t.idempotency_key = 'worlds';
    DELETE FROM hail.trips WHERE idempotency_key = 'worlds';
    PERFORM hail.keep(); -- positions not yet written
    DELETE FROM hail.driver_positions p USING worlds.driver d WHERE d.id = p.driver_id;
    DELETE FROM hail.drivers p USING worlds.driver d WHERE d.id = p.id;
    DELETE FROM hail.quotes q USING hail.users u WHERE u.id = q.customer_id AND u.name = 'World customer';
    ALTER TABLE hail.fares DISABLE TRIGGER fares_stay;
    DELETE FROM hail.fares f USING hail.regions r WHERE r.id = f.region_id AND r.code = 'worlds';
    ALTER TABLE hail.fares ENABLE ALWAYS TRIGGER fares_stay;
    DELETE FROM hail.users WHERE name LIKE 'world driver %' OR name = 'World customer';
    DELETE FROM hail.regions WHERE code = 'worlds';
END $$;
