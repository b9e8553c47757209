-- Price lists and their administration: bounds, versions, planned and withdrawn ones, time rules on days when clocks
-- change, event areas. Requests are answered by what is in force at hail.clock().
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
\set one_km 0.008993216
CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    field text; hint text; state text;
BEGIN
    EXECUTE call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', coalesce((SELECT e.code FROM hail.error_codes() e WHERE e.sqlstate = state), state), nullif(field, ''), SQLERRM, nullif(hint, ''));
END $$;
CREATE FUNCTION pg_temp.refusals(VARIADIC calls text[]) RETURNS SETOF text LANGUAGE sql AS
$$ SELECT pg_temp.refusal('SELECT ' || c) FROM unnest(calls) WITH ORDINALITY t (c, n) ORDER BY n $$;
SELECT hail.set_clock('2013-11-20 10:00+00');
SELECT code FROM hail.create_region('tariff', 'Tariff', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(-2, 41, 0, 43, 4326));
SELECT code FROM hail.create_region('yen', 'Yen', 'JPY', 'Asia/Tokyo', ST_MakeEnvelope(2, 41, 3, 43, 4326));
SELECT code FROM hail.create_region('dinar', 'Dinar', 'KWD', 'Asia/Kuwait', ST_MakeEnvelope(4, 41, 5, 43, 4326));
SELECT code FROM hail.create_region('odd', 'Odd', 'XQZ', 'UTC', ST_MakeEnvelope(6, 41, 7, 43, 4326));

-- Currencies: decimals of the minor unit, and the rounding of price lists that do not say.
SELECT code, minor_digits, default_rounding FROM hail.currencies WHERE code IN ('EUR', 'EGP', 'JPY', 'KWD', 'INR') ORDER BY code;
SELECT count(*) > 140 AS most_of_them, min(default_rounding) FROM hail.currencies;
SELECT (hail.set_fare('yen', 'economy', 500, 100, 40, 700, 1500)).rounding AS yen,
       (hail.set_fare('dinar', 'economy', 500, 120, 17, 1000, 1500)).rounding AS dinar;
SELECT pg_temp.refusals($$hail.set_fare('odd', 'economy', 500, 100, 40, 700, 1500)$$,
                        $$hail.set_fare('odd', 'economy', 500, 100, 40, 700, 1500, rounding => 5)$$);
UPDATE hail.regions SET distance_factor = 1, speed_kmh = 30 WHERE code IN ('tariff', 'yen', 'dinar');
SELECT currency, total % 10 AS over_10_yen, total BETWEEN 2290 AND 2310 AS as_expected
FROM hail.estimate_fare('yen', 42, 2.5, 42 + 10 * :one_km, 2.5, 'economy');
SELECT currency, total % 50 AS over_50_fils, total BETWEEN 2000 AND 2100 AS as_expected
FROM hail.estimate_fare('dinar', 42, 4.5, 42 + 10 * :one_km, 4.5, 'economy');

-- Each part of a price list has its bounds, and the one at fault is named.
SELECT pg_temp.refusal(format('SELECT hail.set_fare(%L, %L, %s)', 'tariff', 'economy', args))
FROM unnest(ARRAY['-1, 0, 0, 0, 0', 'NULL, 0, 0, 0, 0', '0, 1000000001, 0, 0, 0', '0, 0, -1, 0, 0', '0, 0, 0, NULL, 0', '0, 0, 0, 0, 10001',
                  '0, 0, 0, 0, NULL', '0, 0, 0, 0, 0, booking_fee => -1', '0, 0, 0, 0, 0, cancellation_fee => NULL',
                  '0, 0, 0, 0, 0, rounding => 0', '0, 0, 0, 0, 0, rounding => 1000001', '0, 0, 0, 0, 0, stop_fee => -5',
                  '0, 0, 0, 0, 0, waiting_free_s => 86401', '0, 0, 0, 0, 0, waiting_free_s => -1',
                  '0, 0, 0, 0, 0, waiting_per_minute => NULL', '0, 0, 0, 0, 0, waiting_per_minute => 10',
                  '0, 0, 0, 0, 0, waiting_per_minute => 10, waiting_max => 120', '0, 0, 0, 0, 0, waiting_max => -50',
                  '0, 0, 0, 0, 0, effective_from => ''infinity''', '0, 0, 0, 0, 0, effective_from => ''2013-11-20 09:59+00'''])
     WITH ORDINALITY a (args, n) ORDER BY n;
SELECT pg_temp.refusals($$hail.set_fare('nowhere', 'economy', 0, 0, 0, 0, 0)$$, $$hail.set_fare('tariff', 'rocket', 0, 0, 0, 0, 0)$$,
                        $$hail.set_fare('tariff', NULL, 0, 0, 0, 0, 0)$$);

-- The first list of a class has always been in force, unless it is planned; a later one ends the one before.
SELECT id AS admin FROM hail.register_user('+351910800001', 'Ada', 'admin') \gset
SELECT hail.issue_token(:'admin', '1 hour') AS admin_token \gset
SELECT id AS first FROM hail.set_fare('tariff', 'economy', 1000, 350, 50, 1500, 1500) \gset
SELECT id AS comfort FROM hail.set_fare('tariff', 'comfort', 2000, 350, 50, 1500, 1500, effective_from => '2013-11-21 10:00+00') \gset
SELECT id AS planned FROM hail.set_fare('tariff', 'economy', 3000, 350, 50, 1500, 1500, effective_from => '2013-12-01 00:00+00') \gset
BEGIN;
SELECT role FROM hail.authenticate(:'admin_token');
SELECT id AS second FROM hail.set_fare('tariff', 'economy', 1100, 350, 50, 1500, 1500, waiting_per_minute => 40, waiting_max => 1000) \gset
COMMIT;
SELECT id AS third FROM hail.set_fare('tariff', 'economy', 1200, 350, 50, 1500, 1500) \gset
SELECT service_class, status, base, effective_from, effective_to, rounding, minor_digits, currency, created_by = :'admin' AS by_ada,
       ended_at, ended_by IS NULL AS no_end_set
FROM hail.list_fares('tariff') ORDER BY service_class, base;
SELECT base, effective_from, effective_to FROM hail.fares_in_force('tariff');
SELECT service_class, base FROM hail.fares_in_force('tariff', '2013-12-24 00:00+00');
SELECT base FROM hail.fares_in_force('tariff', '2012-01-01 00:00+00');
SELECT base, status FROM hail.list_fares('tariff', 'economy', 'planned');
SELECT pg_temp.refusals($$hail.list_fares('nowhere')$$, $$hail.list_fares('tariff', 'rocket')$$, $$hail.list_fares(status => 'old')$$,
                        $$hail.fares_in_force('nowhere')$$);

-- What has been in force is never changed, whoever asks; none is removed; no two overlap.
SELECT pg_temp.refusal(s) FROM unnest(ARRAY[
    'UPDATE hail.fares SET base = 1 WHERE id = ' || quote_literal(:'third'),
    'UPDATE hail.fares SET base = 1 WHERE id = ' || quote_literal(:'planned'),
    'DELETE FROM hail.fares WHERE id = ' || quote_literal(:'planned'),
    'UPDATE hail.fares SET effective = tstzrange(lower(effective), ''2013-11-19'') WHERE id = ' || quote_literal(:'first'),
    'UPDATE hail.fares SET effective = ''empty'' WHERE id = ' || quote_literal(:'first'),
    'UPDATE hail.fares SET effective = tstzrange(''2013-11-19'', upper(effective)) WHERE id = ' || quote_literal(:'third')])
    WITH ORDINALITY t (s, n) ORDER BY n;
SELECT pg_temp.refusal(format('INSERT INTO hail.fares (region_id, service_class, base, per_km, per_minute, minimum, commission_bp, effective)
    SELECT id, %L, 1, 1, 1, 1, 0, %L FROM hail.regions WHERE code = %L', class, range, 'tariff'))
FROM (VALUES (1, 'economy', '[2013-11-25, 2013-11-26)'), (2, 'economy', '[-infinity, infinity)'), (3, 'comfort', '[2013-11-20, 2013-11-21 10:00:01+00)'),
             (4, 'xl', '(,2013-11-26)'), (5, 'xl', '[2013-11-25, 2013-11-26]')) v (n, class, range) ORDER BY n;

-- A planned list can be withdrawn: the one before goes on. One that has begun can't.
SELECT effective, withdrawn_from FROM hail.cancel_fare(:'planned');
SELECT effective AS again FROM hail.cancel_fare(:'planned');
SELECT status, base, effective_from, effective_to, ended_at FROM hail.list_fares('tariff', status => 'withdrawn');
SELECT base, effective_from, effective_to FROM hail.fares_in_force('tariff');
SELECT pg_temp.refusals(format('hail.cancel_fare(%L)', :'third'), format('hail.cancel_fare(%L)', :'first'), 'hail.cancel_fare(NULL)',
                        $$hail.cancel_fare('00000000-0000-0000-0000-000000000000')$$);

-- A class withdrawn: nobody is quoted it, until the next planned list begins.
SELECT id AS next FROM hail.set_fare('tariff', 'economy', 4000, 350, 50, 4000, 1500, effective_from => '2013-12-01 00:00+00') \gset
SELECT pg_temp.refusals($$hail.end_fare('tariff', 'economy', '2013-11-20 09:00+00')$$, $$hail.end_fare('tariff', 'economy', 'infinity')$$,
                        $$hail.end_fare('tariff', 'economy', '2013-12-01 00:00+00')$$, $$hail.end_fare('tariff', 'xl')$$,
                        $$hail.end_fare('tariff', 'rocket')$$, $$hail.end_fare('nowhere', 'economy')$$);
SELECT effective, ended_at FROM hail.end_fare('tariff', 'economy', '2013-11-20 12:00+00');
SELECT (hail.estimate_fare('tariff', 42, -1, 42 + :one_km, -1, 'economy')).base_amount;
SELECT hail.set_clock('2013-11-20 12:00+00');
SELECT pg_temp.refusals('hail.estimate_fare(''tariff'', 42, -1, 42.1, -1, ''economy'')', 'hail.estimate_fare(''tariff'', 42, -1, 42.1, -1, ''comfort'')',
                        'hail.estimate_fare(''tariff'', 42, -1, 42.1, -1, ''xl'')');
SELECT hail.set_clock('2013-12-01 00:00+00');
SELECT (hail.estimate_fare('tariff', 42, -1, 42 + :one_km, -1, 'economy')).base_amount;
SELECT hail.set_clock('2013-11-20 12:00+00');
-- An end that was set stays one when what was planned after it is withdrawn.
SELECT effective FROM hail.cancel_fare(:'next');
SELECT status, base, effective_from, effective_to FROM hail.list_fares('tariff', 'economy') WHERE status <> 'withdrawn';

-- An end that was set for a class stays its end when its prices change before it, and when that is withdrawn again.
SELECT effective FROM hail.set_fare('tariff', 'premium', 100, 0, 0, 0, 0);
SELECT effective FROM hail.end_fare('tariff', 'premium', '2013-12-31 00:00+00');
SELECT effective, ended_at IS NOT NULL AS end_set FROM hail.set_fare('tariff', 'premium', 200, 0, 0, 0, 0);
SELECT id AS later, effective, ended_at IS NOT NULL AS end_set
FROM hail.set_fare('tariff', 'premium', 300, 0, 0, 0, 0, effective_from => '2013-12-24 00:00+00') \gset
SELECT base, status, effective_from, effective_to, ended_at IS NOT NULL AS end_set FROM hail.list_fares('tariff', 'premium');
SELECT effective FROM hail.cancel_fare(:'later');
SELECT base, status, effective_from, effective_to, ended_at IS NOT NULL AS end_set FROM hail.list_fares('tariff', 'premium') WHERE status <> 'withdrawn';

-- Time-of-day rules.
SELECT pg_temp.refusal(format('SELECT hail.add_time_rule(%s)', args))
FROM unnest(ARRAY['''tariff'', '''', ''07:00'', ''09:00'', 1.2', '''tariff'', ''r'', NULL, ''09:00'', 1.2', '''tariff'', ''r'', ''24:00'', ''09:00'', 1.2',
                  '''tariff'', ''r'', ''07:00'', ''07:00'', 1.2', '''tariff'', ''r'', ''07:00'', NULL, 1.2', '''tariff'', ''r'', ''07:00'', ''09:00'', 0.49',
                  '''tariff'', ''r'', ''07:00'', ''09:00'', 5.01', '''tariff'', ''r'', ''07:00'', ''09:00'', ''NaN''', '''tariff'', ''r'', ''07:00'', ''09:00'', 1.255',
                  '''tariff'', ''r'', ''07:00'', ''09:00'', NULL', '''tariff'', ''r'', ''07:00'', ''09:00'', 1.2, ''{}''', '''tariff'', ''r'', ''07:00'', ''09:00'', 1.2, ''{0}''',
                  '''tariff'', ''r'', ''07:00'', ''09:00'', 1.2, ''{1,NULL}''', '''tariff'', ''r'', ''07:00'', ''09:00'', 1.2, ''{1,70000}''',
                  '''tariff'', ''r'', ''07:00'', ''09:00'', 1.2, ''{1,1,1,1,1,1,1,1}''', '''nowhere'', ''r'', ''07:00'', ''09:00'', 1.2'])
     WITH ORDINALITY a (args, n) ORDER BY n;
SELECT pg_temp.refusals('hail.remove_time_rule(NULL)', 'hail.remove_time_rule(hail.uuid7())', 'hail.list_time_rules(''nowhere'')');

-- By the clocks of the place, on days when they change: London and New York by an hour, Cairo not in 2013, India half an hour off.
CREATE FUNCTION pg_temp.city(code text, zone text, lng float8) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.create_region(city.code, city.code, 'EUR', zone, ST_MakeEnvelope(lng, 45, lng + 1, 46, 4326));
    PERFORM hail.set_fare(city.code, 'economy', 1000, 0, 0, 0, 0);
    PERFORM hail.add_time_rule(city.code, 'saturday night', '22:00', '03:00', 2, '{6}');
    PERFORM hail.add_time_rule(city.code, 'small hours', '01:00', '02:00', 3);
    PERFORM hail.add_time_rule(city.code, 'third hour', '02:00', '03:00', 4, '{7}');
    PERFORM hail.add_time_rule(city.code, 'whole sunday', '00:00', '24:00', 1.1, '{7}');
    PERFORM hail.add_time_rule(city.code, 'cheap noon', '12:00', '13:00', 0.8);
    RETURN city.code;
END $$;
SELECT pg_temp.city('london', 'Europe/London', 0), pg_temp.city('york', 'America/New_York', 10), pg_temp.city('cairo2', 'Africa/Cairo', 20),
       pg_temp.city('kolkata', 'Asia/Kolkata', 30);
SELECT name, weekdays, from_time, to_time, multiplier, applies FROM hail.list_time_rules('london');
CREATE FUNCTION pg_temp.multiplier(city text, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    place record;
BEGIN
    SELECT r.timezone, ST_X(c) AS lng, ST_Y(c) AS lat INTO place FROM hail.regions r, ST_Centroid(r.boundary) c WHERE r.code = city;
    PERFORM hail.set_clock(at);
    RETURN format('%s %s %s', at, to_char(at AT TIME ZONE place.timezone, 'Dy HH24:MI'),
                  (hail.estimate_fare(city, place.lat, place.lng, place.lat + 0.01, place.lng, 'economy')).time_multiplier);
END $$;
-- London: 01:00 to 02:00 is missing on Sunday 31 March (01:00 UTC) and doubled on Sunday 27 October (00:00 and 01:00 UTC).
SELECT pg_temp.multiplier('london', at) FROM unnest('{2013-03-30 22:00, 2013-03-31 00:59:59, 2013-03-31 01:00, 2013-03-31 01:59:59,
    2013-03-31 02:00, 2013-04-07 00:00, 2013-04-07 01:00, 2013-10-26 20:59:59, 2013-10-26 21:00, 2013-10-26 23:59:59, 2013-10-27 00:00,
    2013-10-27 00:59:59, 2013-10-27 01:00, 2013-10-27 01:59:59, 2013-10-27 02:00, 2013-10-27 03:00}'::timestamp[]) t,
    LATERAL (SELECT t AT TIME ZONE 'UTC') x (at) ORDER BY at;
-- New York: 02:00 to 03:00 is missing on Sunday 10 March (07:00 UTC), 01:00 to 02:00 doubled on 3 November (05:00 and 06:00 UTC).
SELECT pg_temp.multiplier('york', at) FROM unnest('{2013-03-10 05:59, 2013-03-10 06:00, 2013-03-10 06:59:59, 2013-03-10 07:00, 2013-03-10 16:00,
    2013-11-03 03:59, 2013-11-03 05:00, 2013-11-03 05:59:59, 2013-11-03 06:00, 2013-11-03 06:59:59, 2013-11-03 07:00, 2013-11-03 08:00,
    2013-11-04 04:59:59, 2013-11-04 05:00}'::timestamp[]) t, LATERAL (SELECT t AT TIME ZONE 'UTC') x (at) ORDER BY at;
SELECT pg_temp.multiplier('cairo2', at) FROM unnest('{2013-05-04 19:59, 2013-05-04 20:00, 2013-05-04 23:00, 2013-05-05 00:00, 2013-05-05 01:00,
    2013-05-05 10:00, 2013-11-24 22:00}'::timestamp[]) t, LATERAL (SELECT t AT TIME ZONE 'UTC') x (at) ORDER BY at;
SELECT pg_temp.multiplier('kolkata', at) FROM unnest('{2013-11-23 16:29:59, 2013-11-23 16:30, 2013-11-23 19:29:59, 2013-11-23 19:30, 2013-11-23 20:30,
    2013-11-23 21:29:59, 2013-11-23 21:30, 2013-11-24 18:29:59, 2013-11-24 18:30}'::timestamp[]) t, LATERAL (SELECT t AT TIME ZONE 'UTC') x (at) ORDER BY at;
-- Every quarter of the days of change: what the C code says and what SQL says of the rules is the same.
CREATE FUNCTION pg_temp.differing(city text, from_time timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    differ bigint := 0;
    at timestamptz := from_time;
    by_rules numeric;
BEGIN
    WHILE at < from_time + interval '30 hours' LOOP
        SELECT coalesce(max(t.multiplier), 1) INTO by_rules FROM hail.fare_time_rules t JOIN hail.regions r ON r.id = t.region_id
        WHERE r.code = city AND hail.time_rule_applies(t, at AT TIME ZONE r.timezone);
        differ := differ + (split_part(pg_temp.multiplier(city, at), ' ', 5)::numeric <> by_rules)::integer;
        at := at + interval '15 minutes';
    END LOOP;
    RETURN differ;
END $$;
SELECT pg_temp.differing('london', '2013-03-30 21:00+00') + pg_temp.differing('london', '2013-10-26 21:00+00') AS london,
       pg_temp.differing('york', '2013-03-10 03:00+00') + pg_temp.differing('york', '2013-11-03 03:00+00') AS york,
       pg_temp.differing('kolkata', '2013-11-23 15:00+00') AS kolkata;
-- A rule removed counts no more, at once.
SELECT hail.set_clock('2013-11-20 12:30+00') IS NOT NULL AS noon;
SELECT pg_temp.multiplier('london', '2013-11-20 12:30+00');
SELECT name, created_at, created_by FROM hail.remove_time_rule((SELECT id FROM hail.list_time_rules('london') WHERE name = 'cheap noon'));
SELECT pg_temp.multiplier('london', '2013-11-20 12:30+00');

-- Event areas: a polygon or a circle in the region, for a time.
SELECT hail.set_clock('2013-11-20 12:00+00');
CREATE FUNCTION pg_temp.event(boundary text, more text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.refusal(format('SELECT hail.create_event_area(''tariff'', ''e'', 2, NULL, ''2013-11-21 00:00+00'', boundary => %s%s)', boundary, more))
$$;
SELECT pg_temp.event(b) FROM unnest(ARRAY['NULL', '''SRID=4326;POLYGON EMPTY''', '''SRID=3857;POLYGON((0 0,1 0,1 1,0 0))''', '''POLYGON((-1 42,0 42,0 43,-1 42))''',
    '''SRID=4326;LINESTRING(-1 42,0 43)''', '''SRID=4326;POINT(-1 42)''', '''SRID=4326;POLYGON((-1 42,0 43,0 42,-1 43,-1 42))''',
    '''SRID=4326;POLYGON((10 42,11 42,11 43,10 42))''', '''SRID=4326;POLYGON((-1 42,500 42,0 43,-1 42))''', '''SRID=4326;POLYGON Z((-1 42 0,0 42 0,0 43 0,-1 42 0))''',
    'ST_SetSRID(ST_MakePolygon(ST_MakeLine(ARRAY[ST_MakePoint(-1, 42), ST_MakePoint(''nan'', 42), ST_MakePoint(0, 43), ST_MakePoint(-1, 42)])), 4326)',
    'ST_SetSRID(ST_MakePolygon(ST_MakeLine(ARRAY[ST_MakePoint(-1, 42), ST_MakePoint(''inf'', 42), ST_MakePoint(0, 43), ST_MakePoint(-1, 42)])), 4326)',
    'ST_Buffer(''SRID=4326;POINT(-1 42)''::geometry, 0.1, 5000)', '''SRID=4326;POLYGON((-1 42,0 42,0 43,-1 42))'', lat => 42']) WITH ORDINALITY t (b, n) ORDER BY n;
SELECT pg_temp.event('NULL', more) FROM unnest(ARRAY[', lat => 42, lng => -1', ', lat => 42, radius_m => 500', ', lat => ''nan'', lng => -1, radius_m => 500',
    ', lat => 91, lng => -1, radius_m => 500', ', lat => 42, lng => ''inf'', radius_m => 500', ', lat => 42, lng => -1, radius_m => 0',
    ', lat => 42, lng => -1, radius_m => ''nan''', ', lat => 42, lng => -1, radius_m => 200000', ', lat => 42, lng => 179.999, radius_m => 5000',
    ', lat => 10, lng => 10, radius_m => 500']) WITH ORDINALITY t (more, n) ORDER BY n;
SELECT pg_temp.refusal(format('SELECT hail.create_event_area(%s, lat => 42, lng => -1, radius_m => 500)', args))
FROM unnest(ARRAY['''nowhere'', ''e'', 2, NULL, ''2013-11-21 00:00+00''', '''tariff'', '''', 2, NULL, ''2013-11-21 00:00+00''',
    '''tariff'', ''e'', 0.4, NULL, ''2013-11-21 00:00+00''', '''tariff'', ''e'', 5.5, NULL, ''2013-11-21 00:00+00''',
    '''tariff'', ''e'', 2, ''-infinity'', ''2013-11-21 00:00+00''', '''tariff'', ''e'', 2, NULL, ''infinity''', '''tariff'', ''e'', 2, NULL, NULL',
    '''tariff'', ''e'', 2, ''2013-11-22 00:00+00'', ''2013-11-21 00:00+00''', '''tariff'', ''e'', 2, ''2013-11-19 00:00+00'', ''2013-11-20 12:00+00''',
    '''tariff'', ''e'', 2, NULL, ''2015-11-21 00:00+00''']) WITH ORDINALITY t (args, n) ORDER BY n;
SELECT (hail.set_fare('tariff', 'economy', 1000, 0, 0, 0, 1500)).base;
SELECT id AS concert, active, multiplier FROM hail.create_event_area('tariff', 'concert', 2, NULL, '2013-11-20 18:00+00', lat => 42, lng => -1, radius_m => 1000) \gset
SELECT id AS fair FROM hail.create_event_area('tariff', 'fair', 1.5, '2013-11-20 15:00+00', '2013-11-22 00:00+00',
    ST_MakeEnvelope(-1.05, 41.95, -0.95, 42.05, 4326)) \gset
SELECT name, status, multiplier, active_from, active_to, boundary ->> 'type' AS type FROM hail.list_event_areas('tariff');
-- The circle is one on the ground: 1,000 m north and east of its centre, within a third of a percent.
SELECT round(ST_Distance(area::geography, ST_Project('SRID=4326;POINT(-1 42)'::geography, 1010, a))::numeric, 0) AS metres_beyond
FROM hail.event_areas, unnest('{0, 1.5707963, 3.1415926, 4.71238898, 0.7853981}'::float8[]) a WHERE id = :'concert' ORDER BY 1;
CREATE FUNCTION pg_temp.event_at(lat float8, lng float8, at timestamptz) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.set_clock(at);
    RETURN (hail.estimate_fare('tariff', lat, lng, lat - 0.1, lng, 'economy')).event_multiplier;
END $$;
SELECT at, pg_temp.event_at(42, -1, at) AS centre, pg_temp.event_at(42, -1 + 0.99 / 82.6, at) AS inside, pg_temp.event_at(42, -1 + 1.01 / 82.6, at) AS outside,
       pg_temp.event_at(42, -1.06, at) AS beyond_both
FROM unnest('{2013-11-20 11:59:59+00, 2013-11-20 12:00+00, 2013-11-20 15:00+00, 2013-11-20 17:59:59+00, 2013-11-20 18:00+00, 2013-11-22 00:00+00}'::timestamptz[]) at ORDER BY at;
SELECT hail.set_clock('2013-11-20 12:30+00');
SELECT pg_temp.refusals(format('hail.end_event_area(%L, ''2013-11-20 12:00+00'')', :'concert'), format('hail.end_event_area(%L, ''infinity'')', :'concert'),
                        'hail.end_event_area(NULL)', 'hail.list_event_areas(''nowhere'')', 'hail.list_event_areas(status => ''old'')');
SELECT active, ended_at FROM hail.end_event_area(:'concert');
SELECT active FROM hail.end_event_area(:'fair');
SELECT active FROM hail.end_event_area(:'concert', '2013-11-20 13:00+00');
SELECT name, status, active_from, active_to FROM hail.list_event_areas('tariff') ORDER BY name;
SELECT pg_temp.event_at(42, -1, '2013-11-20 12:30+00'), pg_temp.event_at(42, -1, '2013-11-20 16:00+00');

-- Administrators only; analysts read.
SELECT hail.set_clock('2013-11-20 12:30+00');
SELECT id AS analyst FROM hail.register_user('+351910800002', 'Ana', 'analyst') \gset
SELECT id AS customer FROM hail.register_user('+351910800003', 'Cyn', 'customer') \gset
SELECT hail.issue_token(:'analyst', '1 hour') AS analyst_token, hail.issue_token(:'customer', '1 hour') AS customer_token \gset
SET SESSION AUTHORIZATION hail_front;
BEGIN;
SELECT role FROM hail.authenticate(:'analyst_token');
SELECT count(*) > 0 AS fares FROM hail.list_fares();
SELECT count(*) > 0 AS in_force FROM hail.fares_in_force();
SELECT count(*) > 0 AS rules FROM hail.list_time_rules();
SELECT count(*) > 0 AS areas FROM hail.list_event_areas();
SAVEPOINT s;
SELECT hail.set_fare('tariff', 'economy', 0, 0, 0, 0, 0);
ROLLBACK TO s;
SELECT hail.end_fare('tariff', 'economy');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'customer_token');
SELECT minor_digits FROM hail.currencies WHERE code = 'EUR';
SAVEPOINT s;
SELECT * FROM hail.list_fares();
ROLLBACK TO s;
SELECT hail.create_event_area('tariff', 'mine', 0.5, NULL, '2013-11-21 00:00+00', lat => 42, lng => -1, radius_m => 500);
ROLLBACK;
RESET SESSION AUTHORIZATION;

-- On a clock that runs, between the look at it and the write time has passed.
SELECT hail.set_clock('2013-11-20 12:30+00', 1) >= '2013-11-20 12:30+00' AS runs;
SELECT base, upper(effective) AS ends FROM hail.set_fare('tariff', 'economy', 3100, 0, 0, 0, 0);
SELECT base, upper(effective) AS ends FROM hail.set_fare('tariff', 'economy', 3200, 0, 0, 0, 0);
SELECT base, upper(effective) < hail.clock() AS ended FROM hail.end_fare('tariff', 'economy');
SELECT id AS area FROM hail.create_event_area('tariff', 'now', 1.2, NULL, '2013-11-21 00:00+00', lat => 42, lng => -1, radius_m => 500) \gset
SELECT upper(active) <= hail.clock() AS ended FROM hail.end_event_area(:'area');
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
