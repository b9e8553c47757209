-- Estimates, quotes and what may be booked with them, on a frozen clock. A region in the South Atlantic where road =
-- great circle at 30 km/h; trips go north and south, where a degree is 111 km.
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
SELECT hail.set_clock('2013-11-20 10:00+00');
SELECT code FROM hail.create_region('quotes', 'Quotes', 'EUR', 'UTC', ST_MakeEnvelope(-31, -51, -29, -49, 4326));
UPDATE hail.regions SET distance_factor = 1, speed_kmh = 30 WHERE code = 'quotes';
SELECT hail.load_sample_fares('quotes');
SELECT id AS ida FROM hail.register_user('+359700000001', 'Ida', 'customer') \gset
SELECT id AS bob FROM hail.register_user('+359700000002', 'Bob', 'customer') \gset
SELECT id AS dan FROM hail.register_user('+359700000003', 'Dan', 'driver') \gset
SELECT id AS ann FROM hail.register_user('+359700000004', 'Ann', 'analyst') \gset

-- Several classes at once: at the same moment, in one set, each what its estimate was, and everything that made it.
CREATE TEMP TABLE offered AS SELECT * FROM hail.create_quotes(:'ida', -50, -30, -50 + 10 * :one_km, -30);
SELECT service_class, total, price_low < total AND total < price_high AS in_range, duration_s,
       duration_low_s < duration_s AND duration_s < duration_high_s AS in_time, eta_source, expires_at - created_at AS holds,
       set_id = first_value(id) OVER (ORDER BY id) AS one_set, replaces
FROM offered ORDER BY id;
SELECT o.service_class, o.total = e.total AND o.price_low = e.price_low AND o.price_high = e.price_high AS as_estimated,
       f.id = o.fare_id AND (f.per_km, f.per_minute, f.minimum, f.rounding, f.waiting_free_s, f.waiting_per_minute, f.waiting_max)
           = (o.per_km, o.per_minute, o.minimum_fare, o.rounding, o.waiting_free_s, o.waiting_per_minute, o.waiting_max) AS as_listed,
       q.* IS NOT DISTINCT FROM o.* AS as_stored
FROM offered o JOIN hail.quotes q ON q.id = o.id JOIN hail.fares f ON f.region_id = o.region_id AND f.service_class = o.service_class
     JOIN hail.estimate_fares(-50, -30, -50 + 10 * :one_km, -30) e ON e.service_class = o.service_class
ORDER BY o.id;
SELECT service_class, set_id = min(id::text) OVER ()::uuid AS one_set FROM hail.create_quotes(:'ida', -50, -30, -50 + :one_km, -30, '{xl,comfort}');
SELECT id = set_id AS a_set_of_one FROM hail.create_quote(:'ida', -50, -30, -50 + :one_km, -30, 'xl');
-- The range is never below the minimum.
SELECT total, price_low, price_high >= total AS in_range FROM hail.estimate_fare('quotes', -50, -30, -50 + :one_km, -30, 'economy');

-- Why: the parts add up; who sees what.
SELECT hail.issue_token(:'ida', '2 days') AS ida_token, hail.issue_token(:'bob', '2 days') AS bob_token,
       hail.issue_token(:'dan', '2 days') AS dan_token, hail.issue_token(:'ann', '2 days') AS ann_token \gset
SELECT hail.set_clock('2013-11-20 17:30+00');
BEGIN;
SELECT base, waiting_max FROM hail.set_fare('quotes', 'xl', 100, 350, 50, 1500, 1700, booking_fee => 130, cancellation_fee => 500, waiting_per_minute => 20, waiting_max => 600);
INSERT INTO hail.surge_cells (region_id, cell, multiplier, updated_at)
SELECT r.id, hail.hexagon_cell(-50, -30, r.hexagon_size_m), 1.5, hail.clock() FROM hail.regions r WHERE r.code = 'quotes';
SELECT id AS explained FROM hail.create_quote(:'ida', -50, -30, -50 + 2 * :one_km, -30, 'xl') \gset
DELETE FROM hail.surge_cells c USING hail.regions r WHERE r.id = c.region_id AND r.code = 'quotes';
COMMIT;
SET SESSION AUTHORIZATION hail_front;
BEGIN;
SELECT role FROM hail.authenticate(:'ida_token');
SELECT * FROM hail.explain_quote(:'explained');
SELECT sum(amount) FILTER (WHERE kind = 'part') = sum(amount) FILTER (WHERE kind = 'total') AS adds_up FROM hail.explain_quote(:'explained');
SELECT commission_bp, fare_id, per_km, per_minute, minimum_fare, rounding, variant_id, variant_multiplier, waiting_free_s, waiting_per_minute, waiting_max
FROM hail.create_quote(hail.current_subject(), -50, -30, -50 + 2 * :one_km, -30, 'xl');
SELECT DISTINCT commission_bp, per_km FROM hail.create_quotes(hail.current_subject(), -50, -30, -50 + 2 * :one_km, -30);
SELECT DISTINCT commission_bp FROM hail.estimate_fares(-50, -30, -50 + 2 * :one_km, -30);
SELECT total, surge, waiting_max FROM hail.quotes WHERE id = :'explained';
SAVEPOINT s;
SELECT * FROM hail.quotes;
ROLLBACK TO s;
SELECT commission_bp FROM hail.quotes;
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'bob_token');
SELECT pg_temp.refusal(format('SELECT hail.%s(%L)', f, :'explained')) FROM unnest('{explain_quote,requote}'::text[]) f;
SELECT pg_temp.refusal(format('SELECT hail.create_quotes(%L, -50, -30, -50.1, -30)', :'ida'));
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'ann_token');
SELECT kind, string_agg(name, ' ' ORDER BY line) FILTER (WHERE name ~ 'customer|_lat|_lng|stops') AS personal
FROM hail.explain_quote(:'explained') GROUP BY kind ORDER BY min(line);
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'dan_token');
SELECT pg_temp.refusal(format('SELECT hail.%s(%L)', f, :'explained')) FROM unnest('{explain_quote,requote}'::text[]) f;
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT name, explanation FROM hail.explain_quote(:'explained') WHERE kind = 'input' AND name ~ 'per_|_fare|rounding|commission|source|surge|variant|region$' ORDER BY line;
SELECT pg_temp.refusal('SELECT hail.explain_quote(NULL)');
SELECT hail.set_clock('2013-11-20 10:00+00');

-- What is refused.
SELECT n, pg_temp.refusal('SELECT ' || call) FROM (VALUES
    (1, 'hail.estimate_fares(-50, -30, -50.1, -30, ''{}'')'),
    (2, 'hail.estimate_fares(-50, -30, -50.1, -30, ''{economy,NULL}'')'),
    (3, 'hail.estimate_fares(-50, -30, -50.1, -30, ''{economy,xl,economy}'')'),
    (4, 'hail.estimate_fares(-50, -30, -50.1, -30, array_fill(''economy''::text, ARRAY[17]))'),
    (5, 'hail.estimate_fares(-50, -30, -50.1, -30, ''{economy,rocket}'')'),
    (6, 'hail.estimate_fares(-50, -30, -50.1, -30, ''{economy,truck}'')'),
    (7, 'hail.estimate_fares(-50, -30, ''NaN'', -30)'),
    (8, 'hail.estimate_fares(-50, ''Infinity'', -50.1, -30)'),
    (9, 'hail.estimate_fares(NULL, -30, -50.1, -30)'),
    (10, 'hail.estimate_fares(-50, -30, -50, -30)'),
    (11, 'hail.estimate_fares(-50, -30, 50, 150)'),
    (12, 'hail.estimate_fares(-48, -30, -50, -30)'),
    (13, 'hail.create_quotes(NULL, -50, -30, -50.1, -30)'),
    (14, format('hail.create_quotes(%L, -50, -30, -50.1, -30)', :'dan')),
    (15, format('hail.create_quotes(%L, -50, -30, -50.1, -30, ''{}'')', :'ida')),
    (16, format('hail.create_quotes(%L, -50, -30, -50.1, -30, ''{economy,rocket}'')', :'ida')),
    (17, 'hail.requote(NULL)'), (18, format('hail.requote(%L)', hail.uuid7()))) AS c (n, call) ORDER BY n;
UPDATE hail.users SET active = false WHERE id = :'bob';
SELECT pg_temp.refusal(format('SELECT hail.create_quote(%L, -50, -30, -50.1, -30, ''economy'')', :'bob')) AS inactive;
UPDATE hail.users SET active = true WHERE id = :'bob';
-- A class whose price list has ended, one whose list begins later: since when, from when.
SELECT upper(effective) AS ends FROM hail.end_fare('quotes', 'premium', '2013-11-20 11:00+00');
SELECT hail.set_clock('2013-11-20 10:59+00');
SELECT id AS premium FROM hail.create_quote(:'ida', -50, -30, -50.1, -30, 'premium') \gset
SELECT lower(effective) AS begins FROM hail.set_fare('quotes', 'van', 1, 1, 1, 1, 1, effective_from => '2013-11-21 06:30+00');
SELECT hail.set_clock('2013-11-20 11:00+00');
SELECT pg_temp.refusal('SELECT hail.estimate_fare(NULL, -50, -30, -50.1, -30, ''premium'')'), pg_temp.refusal(format('SELECT hail.requote(%L)', :'premium')),
       pg_temp.refusal('SELECT hail.estimate_fare(NULL, -50, -30, -50.1, -30, ''van'')');
SELECT string_agg(service_class, ' ') AS priced FROM hail.estimate_fares(-50, -30, -50.1, -30);
-- When that was and will be is for those who make prices, and analysts.
SET SESSION AUTHORIZATION hail_front;
BEGIN;
SELECT role FROM hail.authenticate(:'ida_token');
SELECT pg_temp.refusal('SELECT hail.estimate_fare(NULL, -50, -30, -50.1, -30, ''premium'')'), pg_temp.refusal('SELECT hail.estimate_fare(NULL, -50, -30, -50.1, -30, ''van'')'),
       pg_temp.refusal('SELECT hail.estimate_fare(NULL, -50, -30, -50.1, -30, ''truck'')');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'ann_token');
SELECT pg_temp.refusal('SELECT hail.estimate_fare(NULL, -50, -30, -50.1, -30, ''premium'')'), pg_temp.refusal('SELECT hail.estimate_fare(NULL, -50, -30, -50.1, -30, ''van'')');
ROLLBACK;
RESET SESSION AUTHORIZATION;

-- Prices follow their tables at once: in the transaction that changes them, when it is undone, and by the clock alone.
BEGIN;
SELECT total FROM hail.estimate_fare('quotes', -50, -30, -50 + 10 * :one_km, -30, 'economy');
SAVEPOINT s;
SELECT base FROM hail.set_fare('quotes', 'economy', 2000, 350, 50, 1500, 1500);
SELECT total FROM hail.estimate_fare('quotes', -50, -30, -50 + 10 * :one_km, -30, 'economy');
ROLLBACK TO s;
SELECT total FROM hail.estimate_fare('quotes', -50, -30, -50 + 10 * :one_km, -30, 'economy');
SELECT multiplier FROM hail.create_event_area('quotes', 'fair', 2, '2013-11-20 11:00+00', '2013-11-20 12:00+00', lat => -50, lng => -30, radius_m => 500);
SELECT multiplier FROM hail.add_time_rule('quotes', 'lunch', '11:00', '13:00', 1.5);
UPDATE hail.regions SET speed_kmh = 60 WHERE code = 'quotes';
SELECT event_multiplier, time_multiplier, duration_s, total FROM hail.estimate_fare('quotes', -50, -30, -50 + 10 * :one_km, -30, 'economy');
ROLLBACK;
SELECT event_multiplier, time_multiplier, duration_s, total FROM hail.estimate_fare('quotes', -50, -30, -50 + 10 * :one_km, -30, 'economy');
SELECT hail.set_clock('2013-11-21 06:29:59.999999+00');
SELECT pg_temp.refusal('SELECT hail.estimate_fare(NULL, -50, -30, -50.1, -30, ''van'')');
SELECT hail.advance_clock('0.000001 seconds');
SELECT total FROM hail.estimate_fare(NULL, -50, -30, -50.1, -30, 'van');
SELECT hail.set_clock('2013-11-20 11:00+00');

-- What ended more than a day ago is in no backend's copy; a clock that is set back has it read again.
BEGIN;
SELECT name FROM hail.create_event_area('quotes', 'past', 2, '2013-11-20 11:00+00', '2013-11-20 12:00+00', lat => -50, lng => -30, radius_m => 500);
SELECT hail.set_clock('2013-11-25 11:00+00');
SELECT event_multiplier, pg_temp.refusal('SELECT hail.estimate_fare(NULL, -50, -30, -50.1, -30, ''premium'')') FROM hail.estimate_fare('quotes', -50, -30, -50.1, -30, 'economy');
SELECT hail.set_clock('2013-11-20 10:59+00');
SELECT event_multiplier FROM hail.estimate_fare('quotes', -50, -30, -50.1, -30, 'premium');
SELECT hail.set_clock('2013-11-20 11:00+00');
SELECT event_multiplier FROM hail.estimate_fare('quotes', -50, -30, -50.1, -30, 'economy');
ROLLBACK;

-- Booking: the trip must be what the quote is for, where the request says what it is; 100 m may be walked.
SELECT id AS quote FROM hail.create_quote(:'ida', -50, -30, -50.05, -30, 'economy') \gset
CREATE FUNCTION pg_temp.request(quote uuid, places text, key text) RETURNS text LANGUAGE sql AS
$$ SELECT pg_temp.refusal(format('SELECT hail.request_trip(%L, ''cash'', idempotency_key => %L%s)', quote, key, ', ' || places)) $$;
SELECT n, pg_temp.request(:'quote', places, 'mismatch') FROM (VALUES
    (1, 'pickup_lat => -50.00091, pickup_lng => -30'), (2, 'pickup_lat => -50, pickup_lng => -30.0015'),
    (3, 'dropoff_lat => -50.0491, dropoff_lng => -30'), (4, 'service_class => ''comfort'''), (5, 'pickup_lat => -50'), (6, 'pickup_lng => -30'),
    (7, 'dropoff_lat => ''NaN'', dropoff_lng => -30'), (8, 'pickup_lat => 91, pickup_lng => -30'), (9, 'service_class => ''''')) AS p (n, places) ORDER BY n;
SELECT service_class, price, pickup_lat, variant_id FROM hail.request_trip(:'quote', 'cash', idempotency_key => 'ida-1', pickup_lat => -50.00089, pickup_lng => -30,
    dropoff_lat => -50.05, dropoff_lng => -30.0013, service_class => 'economy');
-- Used once; not by another customer, not renewed either. The same key with the same request is the same trip.
SELECT pg_temp.request(:'quote', 'service_class => ''economy''', 'ida-1') AS again, pg_temp.request(:'quote', 'service_class => ''economy''', 'ida-2') AS another_key,
       pg_temp.request(:'quote', 'service_class => ''xl''', 'ida-1') AS another_class, pg_temp.refusal(format('SELECT hail.requote(%L)', :'quote')) AS requote;
-- A retry from somewhere else by now is the same request: the trip exists. A new key makes another one, and places count.
SELECT id = (SELECT t.id FROM hail.trips t WHERE t.quote_id = :'quote') AS same_trip
FROM hail.request_trip(:'quote', 'cash', idempotency_key => 'ida-1', pickup_lat => -50.003, pickup_lng => -30.003, dropoff_lat => -50.1, dropoff_lng => -30);
SELECT pg_temp.request(:'quote', 'pickup_lat => -50.003, pickup_lng => -30', 'ida-2') AS another_key;
SELECT state FROM hail.cancel_trip((SELECT id FROM hail.trips WHERE quote_id = :'quote'));
SELECT id AS bobs FROM hail.create_quote(:'bob', -50, -30, -50.05, -30, 'economy') \gset
SET SESSION AUTHORIZATION hail_front;
BEGIN;
SELECT role FROM hail.authenticate(:'ida_token');
SELECT pg_temp.refusal(format('SELECT hail.request_trip(%L, ''cash'', idempotency_key => ''ida-3'')', :'bobs'));
ROLLBACK;
RESET SESSION AUTHORIZATION;
-- No price list is in force any more: what was promised holds.
SELECT state, price FROM hail.request_trip(:'premium', 'cash', idempotency_key => 'premium') \gset premium_
SELECT :'premium_state' AS state, :premium_price = total AS as_promised FROM hail.quotes WHERE id = :'premium';
SELECT state FROM hail.cancel_trip((SELECT id FROM hail.trips WHERE quote_id = :'premium'));

-- Surge: up to half again the quote holds; beyond, another quote is needed, which hail.requote() makes.
CREATE FUNCTION pg_temp.surge(to_multiplier numeric) RETURNS void LANGUAGE sql AS $$
    INSERT INTO hail.surge_cells (region_id, cell, multiplier, updated_at)
    SELECT r.id, hail.hexagon_cell(-50, -30, r.hexagon_size_m), to_multiplier, hail.clock() FROM hail.regions r WHERE r.code = 'quotes'
    ON CONFLICT (region_id, cell) DO UPDATE SET multiplier = to_multiplier $$;
BEGIN;
SELECT pg_temp.surge(1.2);
SELECT id AS quote, surge, total FROM hail.create_quote(:'ida', -50, -30, -50 + 10 * :one_km, -30, 'economy') \gset
SELECT :surge AS surge, :total AS total;
SELECT pg_temp.surge(1.81);
SELECT pg_temp.request(:'quote', 'favourites_first => false', 'ida-4') AS risen;
SELECT surge, total, replaces = :'quote' AS replaces, set_id = :'quote' AS same_set FROM hail.requote(:'quote');
SELECT set_id = :'quote' AS same_set FROM hail.requote((SELECT id FROM hail.quotes WHERE replaces = :'quote'));
-- Asked again, it is the same new quote: for 30 s, at the same price, until it is used.
SELECT count(DISTINCT id) AS renewed FROM (SELECT (hail.requote(:'quote')).id FROM generate_series(1, 3)) r;
SELECT count(*) AS stored FROM hail.quotes WHERE replaces = :'quote';
SELECT hail.advance_clock('31 seconds') IS NOT NULL AS later;
SELECT count(DISTINCT id) AS renewed FROM (SELECT (hail.requote(:'quote')).id FROM generate_series(1, 3)) r;
SELECT count(*) AS stored FROM hail.quotes WHERE replaces = :'quote';
SELECT pg_temp.surge(1.9);
SELECT surge FROM hail.requote(:'quote');
SELECT hail.set_clock('2013-11-20 11:00+00') IS NOT NULL AS back;
SELECT pg_temp.surge(1.8);
SELECT pg_temp.request(:'quote', 'favourites_first => false', 'ida-4') AS at_the_limit;
ROLLBACK;
-- Expired: a new one for the same places, by the customer itself; whatever the old one was for.
SELECT id AS quote FROM hail.create_quote(:'ida', -50, -30, -50.05, -30.01, 'comfort') \gset
SELECT hail.advance_clock('10 minutes');
SELECT pg_temp.request(:'quote', 'service_class => ''comfort''', 'ida-5') AS expired;
SET SESSION AUTHORIZATION hail_front;
BEGIN;
SELECT role FROM hail.authenticate(:'ida_token');
SELECT service_class, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, created_at, replaces = :'quote' AS replaces, commission_bp FROM hail.requote(:'quote');
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT hail.set_clock('2013-11-21 07:00+00');
SELECT id AS job, stops, distance_m, duration_s, price_low <= total AND total <= price_high AS in_range
FROM hail.create_job_quote(:'ida', '[{"lat": -50, "lng": -30}, {"lat": -50.01, "lng": -30}, {"lat": -50, "lng": -30}]', 'van') \gset
SELECT :'stops' AS stops, :distance_m AS distance_m, :duration_s AS duration_s, :'in_range' AS in_range;
SELECT stops = :'stops' AS same_stops, distance_m = :distance_m AS same_way, replaces = :'job' AS replaces FROM hail.requote(:'job');
SELECT explanation FROM hail.explain_quote(:'job') WHERE name IN ('distance', 'booking_fee');

-- Experiments are for customers: who orders as a partner is in none, not with a new quote for the old one either.
BEGIN;
SELECT state FROM hail.start_experiment((hail.create_experiment('quotes-all', ARRAY[('control', true, 1, 1), ('dear', false, 9999, 1.5)]::hail.variant_input[], 'quotes')).name);
SELECT id AS shop FROM hail.register_user(NULL, 'Quoted shop', 'partner') \gset
SELECT id AS shops, variant_id IS NULL AS in_none, variant_multiplier FROM hail.quote_route(:'shop', '{-50,-30,-50.01,-30}', 'van') \gset
SELECT :'in_none' AS in_none, :variant_multiplier AS variant_multiplier;
SELECT variant_id, variant_multiplier FROM hail.requote(:'shops');
SELECT variant_id IS NOT NULL AS in_it, variant_multiplier FROM hail.quote_route(:'ida', '{-50,-30,-50.01,-30}', 'van');
ROLLBACK;

-- The price as SQL computes it, from the tables, for random trips at random times: price lists of all times, rules over
-- midnight in a zone whose clocks change, events with holes, surge, an experiment.
\set seed 0.2013
SELECT setseed(:seed), :seed AS seed;
BEGIN;
UPDATE hail.regions SET timezone = 'America/Sao_Paulo', distance_factor = 1.37, speed_kmh = 23, hexagon_size_m = 5000 WHERE code = 'quotes';
SELECT hail.set_clock('2014-02-01 00:00+00');
DO $$
DECLARE
    place hail.regions;
BEGIN
    SELECT * INTO place FROM hail.regions WHERE code = 'quotes';
    DELETE FROM hail.fare_time_rules WHERE region_id = place.id;
    PERFORM hail.set_fare('quotes', class, a[1] * 30, a[2] * 9, a[3] * 3, a[4] * 700, 1500, a[5] * 5, 0, 1 + a[6] * (1 + n % 3), '2014-02-01 00:00+00'::timestamptz + n * 2.6 * interval '1 day')
    FROM generate_series(0, 11) n, unnest('{economy,comfort,xl}'::text[]) class,
         LATERAL (SELECT array_agg(floor(random() * 100)::integer) AS a FROM generate_series(1, 6 + n - n)) r;
    INSERT INTO hail.fare_time_rules (region_id, name, weekdays, from_time, to_time, multiplier)
    SELECT place.id, 'random ' || n, (SELECT array_agg(d) FROM generate_series(1, 7) d WHERE (d * n) % 5 < 3), '00:00'::time + floor(random() * 1440) * interval '1 minute',
           '00:00'::time + floor(random() * 1440) * interval '1 minute', (50 + floor(random() * 200)) / 100
    FROM generate_series(1, 7) n;
    INSERT INTO hail.event_areas (region_id, name, area, active, multiplier)
    SELECT place.id, 'random ' || n, ST_Difference(ST_Buffer(ST_SetSRID(ST_MakePoint(-30 + p.x, -50 + p.y), 4326), 0.3), ST_Buffer(ST_SetSRID(ST_MakePoint(-30 + p.x, -50 + p.y), 4326), 0.1)),
           tstzrange(p.since, p.since + interval '12 days', (ARRAY['[)', '(]', '[]', '()'])[1 + n % 4]), (50 + floor(random() * 200)) / 100
    FROM generate_series(1, 12) n, LATERAL (SELECT random() - 0.5 + 0 * n AS x, random() - 0.5 AS y, '2014-02-01 00:00+00'::timestamptz + random() * interval '25 days' AS since) p;
    INSERT INTO hail.surge_cells (region_id, cell, multiplier, updated_at)
    SELECT DISTINCT ON (cell) place.id, hail.hexagon_cell(-50.5 + random(), -30.5 + random(), 5000) AS cell, 1 + floor(random() * 200) / 100, hail.clock()
    FROM generate_series(1, 400);
    PERFORM hail.start_experiment((hail.create_experiment('quotes-random', ARRAY[('control', true, 3000, 1), ('cheap', false, 2500, 0.87), ('dear', false, 2000, 1.13)]::hail.variant_input[], 'quotes')).name);
END
$$;
CREATE TEMP TABLE trial ON COMMIT DROP AS SELECT * FROM hail.quotes WHERE false;
DO $$
DECLARE
    people uuid[] := ARRAY(SELECT (hail.register_user('+35970001' || to_char(n, 'FM0000'), 'R' || n, 'customer')).id FROM generate_series(1, 25) n);
BEGIN
    FOR n IN 1 .. 500 LOOP
        PERFORM hail.set_clock('2014-02-01 00:00+00'::timestamptz + random() * interval '30 days');
        INSERT INTO trial SELECT * FROM hail.create_quotes(people[1 + n % 25], -50.5 + random(), -30.5 + random(), -50.5 + random(), -30.5 + random(), '{economy,comfort,xl}');
    END LOOP;
END
$$;
-- (n + d / 2) / d rounded down is n / d rounded half up
CREATE FUNCTION pg_temp.half_up(n numeric, d numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN floor((2 * n + d) / (2 * d));
CREATE FUNCTION pg_temp.price(f hail.fares, metres numeric, seconds numeric, multiplier numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN
    f.rounding * pg_temp.half_up(f.booking_fee + greatest(f.minimum, pg_temp.half_up(
        (f.base + pg_temp.half_up(f.per_km * metres, 1000) + pg_temp.half_up(f.per_minute * seconds, 60)) * multiplier, 1)), f.rounding);
WITH region AS (SELECT * FROM hail.regions WHERE code = 'quotes'),
running AS (
    SELECT e.salt, v.id, v.price_multiplier, CASE WHEN v.is_control THEN 0 ELSE 10000 - sum(v.share_bp) FILTER (WHERE NOT v.is_control) OVER (ORDER BY v.id) END AS from_bucket, v.share_bp
    FROM hail.experiments e JOIN hail.experiment_variants v ON v.experiment_id = e.id WHERE e.name = 'quotes-random'),
expected AS (
    SELECT ROW(q.*)::hail.quotes AS got, f AS fare, coalesce(s.multiplier, 1) AS surge, coalesce(t.multiplier, 1) AS by_time, coalesce(a.multiplier, 1) AS by_event,
           v.id AS variant_id, coalesce(v.price_multiplier, 1) AS by_variant
    FROM region r CROSS JOIN trial q
         JOIN hail.fares f ON f.region_id = r.id AND f.service_class = q.service_class AND f.effective @> q.created_at
         LEFT JOIN hail.surge_cells s ON s.region_id = r.id AND s.cell = hail.hexagon_cell(q.pickup_lat, q.pickup_lng, r.hexagon_size_m)
         LEFT JOIN running v ON hail.experiment_bucket(v.salt, q.customer_id) - v.from_bucket BETWEEN 0 AND v.share_bp - 1
         CROSS JOIN LATERAL (SELECT max(multiplier) AS multiplier FROM hail.fare_time_rules t WHERE t.region_id = r.id AND hail.time_rule_applies(t, q.created_at AT TIME ZONE r.timezone)) t
         CROSS JOIN LATERAL (SELECT max(multiplier) AS multiplier FROM hail.event_areas a WHERE a.region_id = r.id AND a.active @> q.created_at
                             AND ST_Covers(a.area, ST_SetSRID(ST_MakePoint(q.pickup_lng, q.pickup_lat), 4326))) a)
SELECT count(*) AS quotes, count(DISTINCT (got).fare_id) AS price_lists, count(DISTINCT surge) > 50 AS surges, count(DISTINCT by_time) AS time_multipliers,
       count(DISTINCT by_event) AS event_multipliers, count(DISTINCT variant_id) AS variants, count(*) FILTER (WHERE (got).minimum_amount > 0) > 10 AS minima,
       count(*) FILTER (WHERE (got).fare_id <> (fare).id) AS other_list,
       count(*) FILTER (WHERE ((got).surge, (got).time_multiplier, (got).event_multiplier) <> (surge, by_time, by_event)) AS other_multiplier,
       count(*) FILTER (WHERE (got).variant_id IS DISTINCT FROM variant_id OR (got).variant_multiplier <> by_variant) AS other_variant,
       count(*) FILTER (WHERE (got).total <> pg_temp.price(fare, (got).distance_m, (got).duration_s, surge * by_time * by_event * by_variant)) AS other_price,
       count(*) FILTER (WHERE (got).price_low <> pg_temp.price(fare, (got).distance_m, (got).duration_low_s, surge * by_time * by_event * by_variant)
                           OR (got).price_high <> pg_temp.price(fare, (got).distance_m, (got).duration_high_s, surge * by_time * by_event * by_variant)) AS other_range,
       count(*) FILTER (WHERE (got).total <> (SELECT sum(p.amount) FROM hail.quote_parts(got) p)) AS not_adding_up
FROM expected;
ROLLBACK;
SELECT hail.set_clock('2013-11-21 07:00+00');

-- Expired quotes are deleted after hail.quote_retention, but for those that a trip was made of and what those replace.
BEGIN;
SELECT id AS first FROM hail.create_quote(:'ida', -50, -30, -50.05, -30, 'economy') \gset
SELECT id AS second FROM hail.requote(:'first') \gset
SELECT id AS spare FROM hail.create_quote(:'ida', -50, -30, -50.05, -30, 'economy') \gset
SELECT id AS next_spare FROM hail.requote(:'spare') \gset
SELECT state FROM hail.request_trip(:'second', 'cash', idempotency_key => 'kept');
CREATE TEMP TABLE swept ON COMMIT DROP AS SELECT 1 AS n, :'first'::uuid AS id UNION SELECT 2, :'second' UNION SELECT 3, :'spare' UNION SELECT 4, :'next_spare';
SELECT hail.set_clock('2013-11-21 07:00+00'::timestamptz + interval '90 days 9 minutes') IS NOT NULL AS early;
SELECT count(*) >= 0 AS kept_up FROM hail.keep();
SELECT array_agg(n ORDER BY n) AS there FROM swept JOIN hail.quotes USING (id);
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS late;
SELECT count(*) >= 0 AS kept_up FROM hail.keep();
SELECT array_agg(n ORDER BY n) AS there FROM swept JOIN hail.quotes USING (id);
ROLLBACK;
SELECT hail.set_clock('2013-11-21 07:00+00');

-- What quotes name stays.
BEGIN;
DELETE FROM hail.event_areas e USING hail.regions r WHERE r.id = e.region_id AND r.code = 'quotes';
ALTER TABLE hail.fares DISABLE TRIGGER fares_stay;
DELETE FROM hail.fares f USING hail.regions r WHERE r.id = f.region_id AND r.code = 'quotes';
DELETE FROM hail.fare_time_rules t USING hail.regions r WHERE r.id = t.region_id AND r.code = 'quotes';
SELECT pg_temp.refusal('DELETE FROM hail.regions WHERE code = ''quotes''');
ROLLBACK;

-- The way to the pickup is that of the nearest driver of each class, whoever serves several and whichever class none serves.
INSERT INTO hail.users (id, phone, name, role)
SELECT md5('near' || n)::uuid, '+35970002' || to_char(n, 'FM0000'), 'N' || n, 'driver' FROM generate_series(1, 200) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
SELECT md5('near' || n)::uuid, r.id, c.classes, hail.class_mask(c.classes), 'approved', true
FROM generate_series(1, 200) n, hail.regions r,
     LATERAL (SELECT CASE WHEN n % 20 = 0 THEN '{premium}'::text[] WHEN n % 7 = 0 THEN '{comfort}' WHEN n = 191 THEN '{xl,economy}' ELSE '{economy}' END AS classes) c
WHERE r.code = 'quotes';
SELECT hail.report_locations(array_agg(md5('near' || n)::uuid ORDER BY n), array_agg(-50.4 + (n * 37 % 199) * 0.002 ORDER BY n),
                             array_agg(-30.3 + (n * 53 % 193) * 0.003 ORDER BY n)) FROM generate_series(1, 200) n;
WITH places AS (SELECT -50.42 + (n * 13 % 47) * 0.01 AS lat, -30.32 + (n * 29 % 43) * 0.014 AS lng FROM generate_series(1, 40) n),
    answers AS (
        SELECT e.service_class, e.pickup_eta_s AS seconds, alone.pickup_eta_s AS alone,
               (SELECT g.duration_s FROM hail.live_search(p.lat, p.lng, current_setting('hail.pickup_eta_radius')::float8, 1, c.id) h
                    JOIN hail.live_scan() d ON d.driver_id = h.driver_id
                    CROSS JOIN hail.guess_eta(r.id, d.lat, d.lng, p.lat, p.lng, hail.clock(), true) g) AS expected
        FROM places p CROSS JOIN hail.estimate_fares(p.lat, p.lng, p.lat + 0.03, p.lng) e
             JOIN hail.service_classes c ON c.code = e.service_class JOIN hail.regions r ON r.code = e.region
             CROSS JOIN hail.estimate_fare('quotes', p.lat, p.lng, p.lat + 0.03, p.lng, e.service_class) alone)
SELECT service_class, count(*) AS places, count(expected) AS with_driver, count(DISTINCT expected) > 1 AS differ,
       count(*) FILTER (WHERE seconds IS DISTINCT FROM expected) AS other, count(*) FILTER (WHERE alone IS DISTINCT FROM expected) AS other_alone
FROM answers GROUP BY service_class ORDER BY service_class;
UPDATE hail.drivers SET online = false WHERE id IN (SELECT md5('near' || n)::uuid FROM generate_series(1, 200) n);
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
