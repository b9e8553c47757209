-- 400 drivers in and around a city, for sql/live_ids.sql.
\o /dev/null
SELECT hail.set_clock('2026-05-04 09:00+00');
CREATE SCHEMA place;
SELECT setseed(0.25);
CREATE TABLE place.driver AS
SELECT ('00000077-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid AS id, n, 48.2 + 0.1 * (random() - 0.5) ^ 3 * 8 AS lat,
       16.37 + 0.1 * (random() - 0.5) ^ 3 * 8 AS lng, CASE n % 3 WHEN 0 THEN 'van' ELSE 'economy' END AS class
FROM generate_series(1, 400) n;
UPDATE place.driver SET lat = 48.2, lng = 16.37 WHERE n <= 20; -- on one spot: ordered by id
CREATE FUNCTION place.settle() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.create_region('ids', 'Ids', 'EUR', 'UTC', public.ST_MakeEnvelope(16, 48, 17, 49, 4326));
    INSERT INTO hail.users (id, phone, name, role) SELECT id, '+43770' || 10000 + n, 'Driver ' || n, 'driver' FROM place.driver;
    INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
    SELECT d.id, r.id, ARRAY[class], hail.class_mask(ARRAY[class]), 'approved', true
    FROM place.driver d, hail.regions r WHERE r.code = 'ids';
    RETURN (SELECT count(*) FROM place.driver);
END $$;
CREATE FUNCTION place.report() RETURNS integer LANGUAGE sql
AS $$ SELECT hail.report_locations(array_agg(id), array_agg(lat), array_agg(lng)) FROM place.driver $$;
CREATE FUNCTION place.compare(OUT searches bigint, OUT some_hits boolean, OUT wrong bigint) LANGUAGE sql AS $$
    SELECT count(*), sum(cardinality(c.driver_ids)) > 1000,
           count(*) FILTER (WHERE (c.driver_ids, c.distances_m) IS DISTINCT FROM (coalesce(r.ids, '{}'), coalesce(r.metres, '{}')))
    FROM generate_series(1, 12) i, unnest(ARRAY[1, 7, 50, 400]) k, unnest(ARRAY[NULL, 'economy', 'van']) class,
         LATERAL (SELECT 48.17 + 0.005 * i AS lat, 16.34 + 0.005 * i AS lng) p,
         LATERAL hail.nearby_driver_ids(lat, lng, 400 * i, k, class) c,
         LATERAL (SELECT array_agg(driver_id ORDER BY n) AS ids, array_agg(distance_m::real ORDER BY n) AS metres
                  FROM hail.nearby_drivers(lat, lng, 400 * i, k, class) WITH ORDINALITY
                       AS d(driver_id, distance_m, dlat, dlng, heading, service_class, rating, last_seen, n)) r
$$;
CREATE FUNCTION place.leave() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.keep(); -- positions not yet written
    DELETE FROM hail.driver_positions p USING place.driver d WHERE d.id = p.driver_id;
    DELETE FROM hail.drivers p USING place.driver d WHERE d.id = p.id;
    DELETE FROM hail.users u USING place.driver d WHERE d.id = u.id;
    DELETE FROM hail.regions WHERE code = 'ids';
END $$;
\o
