-- A city (around Porto), its fares, and drivers that come and go by plain inserts: the benchmarks measure what
-- happens afterwards. Ids end in 12 decimal digits, so that pgbench can make them: 1000...n drivers, 2000...n customers.
SELECT setseed((:seed % 1000) / 1000.0);
SELECT hail.create_region('bench', 'Benchmark city', 'EUR', 'UTC', ST_MakeEnvelope(-9.2, 40.6, -8.0, 41.7, 4326));
SELECT hail.load_sample_fares('bench');
CREATE SCHEMA bench;
CREATE FUNCTION bench.id(kind integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
AS $$ SELECT ('00000000-0000-7000-8000-' || (kind * 100000000000 + n)::text)::uuid $$;
-- Where driver n is: denser towards the centre, and a formula that a pgbench script can repeat.
CREATE FUNCTION bench.place(n bigint, OUT lat float8, OUT lng float8) LANGUAGE sql IMMUTABLE
AS $$ SELECT 41.03 + 0.12 * ((n * 618033) % 1000003 + (n * 414213) % 999983) / 1000000.0,
             -8.73 + 0.12 * ((n * 236067) % 1000003 + (n * 732050) % 999983) / 1000000.0 $$;
CREATE TABLE bench.points (n bigint PRIMARY KEY, id uuid NOT NULL, lat float8 NOT NULL, lng float8 NOT NULL);
