-- Included by learn.sh and eta_errors.sh: psql's temporary table eta_lines (n, line), the lines of a CSV file with its
-- header as n = 1, becomes eta_trips: what each line says of a trip, or why it is none. Variables: timezone, times
-- (local or utc: of columns whose names don't say).
CREATE OR REPLACE FUNCTION pg_temp.fields(line text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN position('"' IN line) = 0 THEN string_to_array(line, ',')
        ELSE ARRAY(SELECT CASE WHEN m[1] LIKE '"%' THEN replace(substr(m[1], 2, length(m[1]) - 2), '""', '"') ELSE m[1] END
                   FROM regexp_matches(line || ',', '("(?:[^"]|"")*"|[^,]*),', 'g') m) END $$;
CREATE OR REPLACE FUNCTION pg_temp.number(value text) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN trim(value) ~ '^[+-]?[0-9]{1,15}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,2})?$' THEN value::float8 END $$;
-- Seconds since 1970, an ISO time with its offset, or one without: in the zone.
CREATE OR REPLACE FUNCTION pg_temp.moment(value text, zone text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF trim(value) ~ '^[0-9]{9,10}(\.[0-9]*)?$' THEN
        RETURN to_timestamp(trim(value)::float8);
    ELSIF trim(value) !~ '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[ T][0-9]{1,2}:[0-9]{2}' THEN
        RETURN NULL;
    ELSIF trim(value) ~ '([zZ]|[+-][0-9]{2}(:?[0-9]{2})?)$' AND trim(value) ~ ':[0-9]{2}(\.[0-9]*)? ?([zZ]|[+-][0-9:]+)$' THEN
        RETURN trim(value)::timestamptz;
    END IF;
    RETURN trim(value)::timestamp AT TIME ZONE zone;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION pg_temp.stop(why text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', why; END $$;
-- Which column has it; the names that other systems have for it count too.
CREATE OR REPLACE FUNCTION pg_temp.column_of(header text[], VARIADIC names text[]) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT array_position(header, name) FROM unnest(names) WITH ORDINALITY u (name, nth)
    WHERE name = ANY (header) ORDER BY nth LIMIT 1 $$;

SET client_min_messages = warning;
DROP TABLE IF EXISTS eta_header, eta_trips;
RESET client_min_messages;
CREATE TEMP TABLE eta_header AS
SELECT h.names, cardinality(h.names) AS columns,
       pg_temp.column_of(h.names, 'pickup_ts', 'pickup_ts_local', 'pickup_ts_utc', 'started_at', 'pickup_datetime', 'tpep_pickup_datetime') AS started,
       pg_temp.column_of(h.names, 'dropoff_ts', 'dropoff_ts_local', 'dropoff_ts_utc', 'completed_at', 'dropoff_datetime', 'tpep_dropoff_datetime') AS ended,
       pg_temp.column_of(h.names, 'duration_s', 'trip_duration_s', 'trip_duration') AS seconds,
       pg_temp.column_of(h.names, 'pickup_lat', 'pickup_latitude', 'from_lat') AS from_lat,
       pg_temp.column_of(h.names, 'pickup_lng', 'pickup_lon', 'pickup_longitude', 'from_lng') AS from_lng,
       pg_temp.column_of(h.names, 'dropoff_lat', 'dropoff_latitude', 'to_lat') AS to_lat,
       pg_temp.column_of(h.names, 'dropoff_lng', 'dropoff_lon', 'dropoff_longitude', 'to_lng') AS to_lng,
       pg_temp.column_of(h.names, 'distance_m', 'path_m', 'trip_distance_km', 'trip_distance_mi') AS distance
FROM (SELECT ARRAY(SELECT lower(trim(f)) FROM unnest(pg_temp.fields(line)) WITH ORDINALITY u (f, nth) ORDER BY nth) AS names
      FROM eta_lines WHERE n = 1) h;
SELECT coalesce((SELECT string_agg(w.what, ', ') FROM (VALUES ('pickup_ts', h.started), ('pickup_lat', h.from_lat), ('pickup_lng', h.from_lng),
           ('dropoff_lat', h.to_lat), ('dropoff_lng', h.to_lng), ('duration_s or dropoff_ts', coalesce(h.seconds, h.ended))) w (what, at)
           WHERE w.at IS NULL), '') AS missing
FROM (SELECT 1) one LEFT JOIN eta_header h ON true \gset
SELECT :'missing' <> '' AS incomplete \gset
\if :incomplete
    \warn the header has no column :missing
    SELECT pg_temp.stop('the header is incomplete');
\endif

CREATE TEMP TABLE eta_trips AS
SELECT v.n, v.started_at, v.from_lat, v.from_lng, v.to_lat, v.to_lng,
       coalesce(v.seconds, extract(epoch FROM v.ended_at - v.started_at)::float8) AS duration_s, v.distance_m,
       CASE WHEN NOT v.complete THEN 'it has not as many columns as the header'
            WHEN v.started_at IS NULL THEN 'its start is no time'
            WHEN num_nulls(v.from_lat, v.from_lng, v.to_lat, v.to_lng) > 0 THEN 'a coordinate is no number'
            WHEN coalesce(v.seconds, extract(epoch FROM v.ended_at)) IS NULL THEN 'it has neither duration nor end' END AS reason
FROM (SELECT l.n, cardinality(f.f) = h.columns AS complete,
             pg_temp.moment(f.f[h.started], CASE WHEN h.names[h.started] LIKE '%utc' THEN 'UTC' WHEN h.names[h.started] LIKE '%local' THEN :'timezone'
                                            ELSE CASE :'times' WHEN 'utc' THEN 'UTC' ELSE :'timezone' END END) AS started_at,
             pg_temp.moment(f.f[h.ended], CASE WHEN h.names[h.ended] LIKE '%utc' THEN 'UTC' WHEN h.names[h.ended] LIKE '%local' THEN :'timezone'
                                          ELSE CASE :'times' WHEN 'utc' THEN 'UTC' ELSE :'timezone' END END) AS ended_at,
             pg_temp.number(f.f[h.seconds]) AS seconds, pg_temp.number(f.f[h.from_lat]) AS from_lat, pg_temp.number(f.f[h.from_lng]) AS from_lng,
             pg_temp.number(f.f[h.to_lat]) AS to_lat, pg_temp.number(f.f[h.to_lng]) AS to_lng,
             pg_temp.number(f.f[h.distance]) * CASE h.names[h.distance] WHEN 'trip_distance_km' THEN 1000 WHEN 'trip_distance_mi' THEN 1609.344 ELSE 1 END
                 AS distance_m
      FROM eta_lines l, eta_header h, LATERAL (SELECT pg_temp.fields(l.line) OFFSET 0) f (f) -- OFFSET 0: once a line
      WHERE l.n > 1 AND l.line <> '' OFFSET 0) v;
