-- A cell packs into one number and back, negative rows and columns too.
SELECT * FROM hail.hexagon_at(41.15, -8.61, 1000);
SELECT * FROM hail.hexagon_at(-33.9, 151.2, 1000);
SELECT * FROM hail.hexagon_at(0, 0, 1000);
SELECT hail.hexagon_at(91, 0, 1000);
SELECT hail.hexagon_at(0, 'nan', 1000);
SELECT hail.hexagon_at(0, 0, 0);
-- Latitudes past the edge of web mercator are clamped to it.
SELECT hail.hexagon_at(90, 10, 500) = hail.hexagon_at(85.06, 10, 500) AS clamped;

-- Property: our hexagon is the one of ST_HexagonGrid that contains the point, with the same corners.
-- (Points on an edge belong to either; random points are never on one. Hexagons across the antimeridian are left out:
-- ST_Transform wraps their corners, hail.hexagon() does not.)
SELECT setseed(0.4711);
CREATE TEMP TABLE points AS
SELECT n, size, CASE WHEN n % 4 = 0 THEN 85.05 * (2 * random() - 1) ELSE 41 + random() / 2 END AS lat,
       CASE WHEN n % 4 = 0 THEN 359 * random() - 179.5 ELSE -9 + random() / 2 END AS lng
FROM generate_series(1, 500) n, unnest('{50, 173.2, 1000, 25000}'::float8[]) size;
CREATE TEMP TABLE grid AS
SELECT p.n, p.size, p.lat, p.lng, g.i, g.j, g.geom
FROM points p, LATERAL (SELECT ST_Transform(ST_SetSRID(ST_MakePoint(p.lng, p.lat), 4326), 3857) AS place) m,
     LATERAL ST_HexagonGrid(p.size, m.place) g
WHERE ST_Contains(g.geom, m.place);
SELECT (SELECT count(*) FROM points) AS points, count(*) AS found,
       count(*) FILTER (WHERE (h.i, h.j) = (g.i, g.j)) AS same_cell,
       count(*) FILTER (WHERE h.cell = (g.i::bigint << 32) | (g.j::bigint & 4294967295)) AS packed,
       count(*) FILTER (WHERE ST_HausdorffDistance(hail.hexagon(h.cell, g.size), ST_Transform(g.geom, 4326)) < 1e-9) AS same_shape
FROM grid g, LATERAL hail.hexagon_at(g.lat, g.lng, g.size) h;
SELECT ST_SRID(hexagon), ST_GeometryType(hexagon), ST_NPoints(hexagon), ST_IsValid(hexagon)
FROM hail.hexagon((hail.hexagon_at(41.15, -8.61, 1000)).cell, 1000) hexagon;

-- Neighbours: six others, each shares an edge, and is its neighbour's neighbour.
SELECT count(*) AS neighbours, count(DISTINCT n) AS different,
       bool_and(ST_Length(ST_Intersection(ST_Buffer(hail.hexagon(n, 1000), 1e-9), ST_ExteriorRing(hail.hexagon(c.cell, 1000)))) > 0.005) AS share_an_edge,
       bool_and(c.cell IN (SELECT hail.hexagon_neighbours(n))) AS mutual
FROM (VALUES ((hail.hexagon_at(41.15, -8.61, 1000)).cell), ((hail.hexagon_at(-33.9, 151.2, 1000)).cell),
             ((hail.hexagon_at(41.15, -8.63, 1000)).cell)) c (cell), LATERAL hail.hexagon_neighbours(c.cell) n
GROUP BY c.cell;
