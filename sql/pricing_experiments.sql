-- Experiments with prices: drafts, what runs, who is in which variant, what stays as it is.
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
SELECT hail.set_clock('2013-12-10 08:00+00');
SELECT code FROM hail.create_region('trial', 'Trial', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(120, -1, 122, 1, 4326));
SELECT code FROM hail.create_region('trial2', 'Trial 2', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(123, -1, 125, 1, 4326));
CREATE FUNCTION variants(share integer, multiplier numeric DEFAULT 1.10) RETURNS hail.variant_input[] LANGUAGE sql AS
$$ SELECT ARRAY[('dearer', false, share, multiplier), ('control', true, share, 1)]::hail.variant_input[] $$;

-- A draft; what a draft cannot be.
SELECT name, region_id = (SELECT id FROM hail.regions WHERE code = 'trial') AS region, class_id, variants, state, created_at, created_by
FROM hail.create_experiment('ten-percent', variants(5000), 'trial', 'economy', '0192f1a0-0000-7000-8000-000000000001');
SELECT experiment, region, service_class, state, variant, is_control, share_bp, price_multiplier, salt FROM hail.list_experiments();
SELECT hail.create_experiment('ten-percent', variants(5000));
SELECT hail.create_experiment('Ten percent', variants(5000));
SELECT hail.create_experiment(NULL, variants(5000));
SELECT hail.create_experiment('e', variants(5001));
SELECT hail.create_experiment('e', variants(0));
SELECT hail.create_experiment('e', variants(NULL));
SELECT hail.create_experiment('e', variants(5000, 2.01));
SELECT hail.create_experiment('e', variants(5000, 0.49));
SELECT hail.create_experiment('e', variants(5000, 1.005));
SELECT hail.create_experiment('e', variants(5000, 'NaN'));
SELECT hail.create_experiment('e', NULL);
SELECT hail.create_experiment('e', ARRAY[('control', true, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', false, 5000, 1), ('b', false, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1), ('b', true, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1.1), ('b', false, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1), ('a', false, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1), ('b', NULL, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1), NULL]::hail.variant_input[]);
SELECT hail.create_experiment('e', variants(5000), 'nowhere');
SELECT hail.create_experiment('e', variants(5000), NULL, 'rocket');

-- Who is in which: bucket 6270 is among the upper half, of the first one after the control.
INSERT INTO hail.users (id, phone, name, role) VALUES ('0192f1a0-1234-7000-8abc-0123456789ab', '+355990000001', 'Ina', 'customer');
SELECT hail.experiment_bucket('0192f1a0-0000-7000-8000-000000000001', '0192f1a0-1234-7000-8abc-0123456789ab');
SELECT name, price_multiplier FROM hail.experiment_variant_of('ten-percent', '0192f1a0-1234-7000-8abc-0123456789ab');
SELECT name FROM hail.create_experiment('few', variants(3000), 'trial2', NULL, '0192f1a0-0000-7000-8000-000000000001');
SELECT name IS NULL AS in_none FROM hail.experiment_variant_of('few', '0192f1a0-1234-7000-8abc-0123456789ab');
SELECT hail.experiment_variant_of('few', '0192f1a0-1234-7000-8abc-0123456789ac');
SELECT hail.experiment_variant_of('none', '0192f1a0-1234-7000-8abc-0123456789ab');
SELECT hail.experiment_variant('{{1,2},{3,4}}', 1);
SELECT hail.experiment_variant('{1,NULL}', 1);

-- One runs per region and class, and an experiment everywhere is in all of them.
SELECT name FROM hail.create_experiment('everywhere', variants(5000));
SELECT name FROM hail.create_experiment('economy-everywhere', variants(5000), NULL, 'economy');
SELECT name FROM hail.create_experiment('comfort-everywhere', variants(5000), NULL, 'comfort');
SELECT name FROM hail.create_experiment('all-of-trial', variants(5000), 'trial');
SELECT state, started_at, started_by FROM hail.start_experiment('ten-percent');
SELECT hail.start_experiment('ten-percent');
SELECT hail.start_experiment('everywhere');
SELECT hail.start_experiment('economy-everywhere');
SELECT hail.start_experiment('all-of-trial');
SELECT state FROM hail.start_experiment('comfort-everywhere');
SELECT hail.start_experiment('few');
SELECT hail.start_experiment('none');
SELECT state, stopped_at FROM hail.stop_experiment('comfort-everywhere');
SELECT hail.stop_experiment('comfort-everywhere');
SELECT hail.stop_experiment('few');
SELECT state FROM hail.start_experiment('few');
SELECT hail.start_experiment('comfort-everywhere');
SELECT DISTINCT experiment, region, service_class FROM hail.list_experiments('running') ORDER BY 1;

-- Nobody changes what runs or has run, not even who may write the tables.
UPDATE hail.experiment_variants SET price_multiplier = 1.2 WHERE name = 'dearer';
UPDATE hail.experiments SET salt = gen_random_uuid() WHERE name = 'ten-percent';
UPDATE hail.experiments SET name = 'eleven-percent' WHERE name = 'everywhere';
UPDATE hail.experiments SET state = 'draft', started_at = NULL WHERE name = 'ten-percent';
UPDATE hail.experiments SET started_at = '2013-01-01' WHERE name = 'ten-percent';
DELETE FROM hail.experiments WHERE name = 'comfort-everywhere';
DELETE FROM hail.experiment_variants WHERE experiment_id = (SELECT id FROM hail.experiments WHERE name = 'ten-percent');
INSERT INTO hail.experiment_variants (experiment_id, name, is_control, share_bp, price_multiplier)
SELECT id, 'more', false, 1, 1.5 FROM hail.experiments WHERE name = 'everywhere';
SET client_min_messages = warning;
TRUNCATE hail.experiments CASCADE;
RESET client_min_messages;
-- A draft that lost a variant does not start; drafts can be discarded.
DELETE FROM hail.experiment_variants
WHERE experiment_id = (SELECT id FROM hail.experiments WHERE name = 'all-of-trial') AND is_control;
SELECT state FROM hail.stop_experiment('ten-percent');
SELECT hail.start_experiment('all-of-trial');
SELECT hail.discard_experiment('all-of-trial');
SELECT hail.discard_experiment('all-of-trial');
SELECT hail.discard_experiment('few');
SELECT count(*) FROM hail.list_experiments() WHERE experiment = 'all-of-trial';

-- Rights: administrators; analysts look at the list; nobody else learns of anything.
CREATE FUNCTION as_role(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    person uuid;
BEGIN
    INSERT INTO hail.users (phone, name, role) VALUES ('+355990000002', 'P', role) RETURNING id INTO person;
    PERFORM hail.authenticate(hail.issue_token(person));
    EXECUTE statement INTO result;
    RAISE EXCEPTION 'done' USING ERRCODE = 'UHX01', HINT = coalesce(result, 'nothing');
EXCEPTION
    WHEN SQLSTATE 'UHX01' THEN
        GET STACKED DIAGNOSTICS result = PG_EXCEPTION_HINT;
        RETURN result;
    WHEN OTHERS THEN
        RETURN SQLERRM;
END
$$;
SELECT role, what, as_role(role, statement) AS answer
FROM unnest(ARRAY['admin', 'analyst', 'customer', 'driver', 'partner']) WITH ORDINALITY AS r (role, n),
     (VALUES (1, 'list', 'SELECT count(*) FROM hail.list_experiments()'),
             (2, 'table', 'SELECT count(*) > 0 FROM hail.experiments'),
             (3, 'variants', 'SELECT count(*) > 0 FROM hail.experiment_variants'),
             (4, 'create', 'SELECT (hail.create_experiment(''mine'', variants(1))).created_by = hail.current_subject()'),
             (5, 'start', 'SELECT (hail.start_experiment(''everywhere'')).name'),
             (6, 'stop', 'SELECT (hail.stop_experiment(''few'')).stopped_by = hail.current_subject()'),
             (7, 'discard', 'SELECT hail.discard_experiment(''everywhere'')'),
             (8, 'look up', 'SELECT (hail.experiment_variant_of(''ten-percent'', ''0192f1a0-1234-7000-8abc-0123456789ab'')).name')) s (i, what, statement)
ORDER BY r.n, s.i;

SELECT count(*) AS running FROM hail.experiments WHERE state = 'running';
SELECT state FROM hail.stop_experiment('few');

-- Outcomes of a small world, written straight into the tables; what it comes to was computed apart, by
--   r = X / Y; var(r) = sum((x - r y)^2) / (n - 1) / n / mean(y)^2 over customers (residuals, not moments)
-- in exact fractions, and is repeated beside the figures. Sets: quotes asked for together; offers by their letters:
-- a(ccepted) c(ancelled later) d(eclined) e(xpired) w(ithdrawn).
SELECT state FROM hail.create_experiment('world', variants(5000), 'trial', 'economy');
SELECT state FROM hail.start_experiment('world');
SELECT hail.register_user('+355990000100', 'Dan', 'driver') IS NOT NULL AS driver \gset
SELECT (hail.register_driver((SELECT id FROM hail.users WHERE phone = '+355990000100'), 'trial', '{economy}')).status;
CREATE FUNCTION customer(who text) RETURNS uuid LANGUAGE sql AS
$$ INSERT INTO hail.users (phone, name, role) VALUES ('+35599' || to_char(('x' || md5(who))::bit(20)::integer, 'FM0000000'), who, 'customer')
   ON CONFLICT (phone) DO UPDATE SET name = who RETURNING id $$;
CREATE FUNCTION quoted(who text, of_set uuid, class text, variant text, total bigint) RETURNS uuid LANGUAGE sql AS $$
    INSERT INTO hail.quotes (customer_id, region_id, service_class, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s,
        base_amount, distance_amount, time_amount, surge, time_multiplier, event_multiplier, multiplier_amount, minimum_amount, booking_fee,
        rounding_amount, total, cancellation_fee, commission_bp, currency, created_at, expires_at, set_id, fare_id, per_km, per_minute,
        minimum_fare, rounding, waiting_free_s, waiting_per_minute, waiting_max, duration_low_s, duration_high_s, price_low, price_high, eta_source,
        variant_id, variant_multiplier)
    SELECT customer(who), r.id, class, 0, 121, 0, 121.1, 10000, 1200, total, 0, 0, 1, 1, 1, 0, 0, 0, 0, total, 0, 1500, 'EUR', hail.clock(),
           hail.clock() + '10 minutes', coalesce(of_set, hail.uuid7()), hail.uuid7(), 0, 0, 0, 1, 180, 0, 0, 900, 1500, total, total,
           'region', v.id, coalesce(v.price_multiplier, 1)
    FROM hail.regions r LEFT JOIN (hail.experiment_variants v JOIN hail.experiments e ON e.id = v.experiment_id AND e.name = 'world')
         ON v.name = variant
    WHERE r.code = 'trial' RETURNING id $$;
CREATE FUNCTION taken(quote uuid, in_state text, answers text) RETURNS uuid LANGUAGE sql AS $$
    WITH trip AS (
        INSERT INTO hail.trips (region_id, service, service_class, customer_id, driver_id, quote_id, state, strategy, payment_method, pickup_lat,
            pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge, policy_id,
            idempotency_key, requested_at, variant_id)
        SELECT q.region_id, 'ride', q.service_class, q.customer_id,
               CASE in_state WHEN 'completed' THEN (SELECT id FROM hail.drivers ORDER BY id DESC LIMIT 1) END, q.id, in_state, 'first_accept',
               'cash', 0, 121, 0, 121.1, 10000, 1200, q.total, 1500, 0, q.currency, 1, 1, q.id::text, hail.clock(), q.variant_id
        FROM hail.quotes q WHERE q.id = quote RETURNING id)
    , offers AS (
        INSERT INTO hail.offers (trip_id, driver_id, round, slot, status, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
        SELECT trip.id, hail.uuid7(), 1, 1, (words ->> letter), 1, 100, 60, hail.clock(), hail.clock()
        FROM trip, regexp_split_to_table(answers, '') letter,
             (SELECT '{"a": "accepted", "c": "cancelled", "d": "declined", "e": "expired", "w": "withdrawn"}'::jsonb) w (words)
        WHERE letter <> '')
    SELECT id FROM trip $$;
-- n quote sets without a trip
CREATE FUNCTION asked(who text, variant text, n integer) RETURNS bigint LANGUAGE sql AS
$$ SELECT count(quoted(who, hail.uuid7(), 'economy', variant, 1000)) FROM generate_series(1, n) $$;
DO $$
DECLARE
    sets uuid[] := ARRAY(SELECT hail.uuid7() FROM generate_series(1, 3));
BEGIN
    -- C1: 3 sets, 2 trips; C2: 1, 0; C3: 2, 1; C4: 4, 1 that was cancelled
    PERFORM asked('C1', 'control', 1), taken(quoted('C1', NULL, 'economy', 'control', 1000), 'completed', 'da'),
            taken(quoted('C1', hail.uuid7(), 'economy', 'control', 2000), 'completed', 'a');
    PERFORM asked('C2', 'control', 1);
    PERFORM asked('C3', 'control', 1), taken(quoted('C3', hail.uuid7(), 'economy', 'control', 1500), 'completed', 'eeaw');
    PERFORM asked('C4', 'control', 3), taken(quoted('C4', hail.uuid7(), 'economy', 'control', 1000), 'cancelled', 'c');
    -- D1: 2 sets, 1 trip; D2: 3, 1 of the class beside; D3: 1, 0; D4: 2, 2 of which one found nobody; D5: 5, 0
    PERFORM asked('D1', 'dearer', 1), taken(quoted('D1', hail.uuid7(), 'economy', 'dearer', 1100), 'completed', 'aw');
    PERFORM asked('D2', 'dearer', 2), quoted('D2', sets[1], 'economy', 'dearer', 1100),
            taken(quoted('D2', sets[1], 'comfort', NULL, 5000), 'completed', 'a');
    PERFORM asked('D3', 'dearer', 1), asked('D5', 'dearer', 5);
    PERFORM taken(quoted('D4', sets[2], 'economy', 'dearer', 1200), 'completed', 'a'),
            taken(quoted('D4', sets[3], 'economy', 'dearer', 1200), 'no_drivers', 'dd');
    -- neither: comfort alone, and nobody's
    PERFORM taken(quoted('E1', hail.uuid7(), 'comfort', NULL, 9000), 'completed', 'a'), quoted('E1', hail.uuid7(), 'economy', NULL, 9000);
END
$$;
SELECT hail.advance_clock('1 hour') IS NOT NULL AS later;
-- apart:                  control: value, low, high          dearer                              difference, low, high, p
-- conversion              0.400000  0.152082  0.647918       0.307692 -0.051172  0.666557        -0.092308 -0.528481 0.343866 0.678297
-- customer_conversion     0.750000  0.300642  0.954413       0.600000  0.230724  0.882379        -0.150000 -0.572077 0.380717 0.579608
-- completion              0.750000  0.220749  1.279251       0.750000  0.414526  1.085474         0.000000 -0.626617 0.626617 1.000000
-- acceptance              0.571429  0.286712  0.856145       0.600000  0.170593  1.029407         0.028571 -0.486651 0.543793 0.913449
-- quote_sets_per_customer 2.500000  1.234849  3.765151       2.600000  1.270688  3.929312         0.100000 -1.735124 1.935124 0.914945
-- revenue_per_quote_set   450.000 -128.106320 1028.106320    561.538462 -176.999597 1300.076520   111.538462 -826.355659 1049.432582 0.815693
-- revenue_per_customer    1125.00 -282.391987 2532.391987    1460.00 -346.572283 3266.572283      335.00 -1955.077645 2625.077645 0.774334
-- split: chi-square 1/9, p 0.738883; 24 of 29: p 0.000418378
SELECT metric, variant, customers AS n, numerator, denominator, round(value::numeric, 6) AS value, round(low::numeric, 6) AS low,
       round(high::numeric, 6) AS high, currency
FROM hail.experiment_outcomes('world');
SELECT metric, variant, round(difference::numeric, 6) AS difference, round(difference_low::numeric, 6) AS low,
       round(difference_high::numeric, 6) AS high, round(p_value::numeric, 6) AS p, significant
FROM hail.experiment_outcomes('world') WHERE NOT is_control;
SELECT variant, share_bp, customers, expected, round(p_value::numeric, 6) AS p, suspicious FROM hail.experiment_split('world');
-- Part of the time; none of it; money of two currencies is not added up.
SELECT count(*) FROM hail.experiment_outcomes('world', '2013-12-10 08:00+00', '2013-12-10 09:00+00');
SELECT count(*) FROM hail.experiment_outcomes('world', '2013-12-10 08:01+00');
SELECT count(*), bool_or(suspicious), bool_and(p_value IS NULL) FROM hail.experiment_split('world', '2013-12-10 08:01+00');
BEGIN;
UPDATE hail.trips SET currency = 'EGP' WHERE price = 5000 AND region_id = (SELECT id FROM hail.regions WHERE code = 'trial');
SELECT metric, count(*) FROM hail.experiment_outcomes('world') GROUP BY 1 ORDER BY 1;
ROLLBACK;
-- D3 was quoted again an hour later, and took that: the same set, of the time of its first quote; 5 trips of 13 sets, not 14.
BEGIN;
UPDATE hail.quotes SET set_id = id WHERE customer_id = customer('D3') RETURNING id AS first \gset
SELECT quoted('D3', :'first', 'economy', 'dearer', 1150) AS again \gset
UPDATE hail.quotes SET replaces = :'first' WHERE id = :'again';
SELECT taken(:'again', 'completed', 'a') IS NOT NULL AS taken;
SELECT o.of_time, o.numerator, o.denominator FROM
    (SELECT 'all' AS of_time, a.* FROM hail.experiment_outcomes('world') a
     UNION ALL SELECT 'before', b.* FROM hail.experiment_outcomes('world', NULL, '2013-12-10 09:00+00') b
     UNION ALL SELECT 'after', c.* FROM hail.experiment_outcomes('world', '2013-12-10 08:30+00') c) o
WHERE o.metric = 'conversion' AND o.variant = 'dearer' ORDER BY 1;
ROLLBACK;
-- Twenty customers more on one side than chance gives: a warning with every answer.
BEGIN;
SELECT sum(asked('F' || i, 'control', 1)) FROM generate_series(1, 20) i;
SELECT variant, customers, expected, round(p_value::numeric, 9) AS p, suspicious FROM hail.experiment_split('world');
SELECT DISTINCT suspicious_split FROM hail.experiment_outcomes('world');
ROLLBACK;
SELECT hail.experiment_outcomes('everywhere');
SELECT hail.experiment_outcomes('nothing');
SELECT hail.experiment_outcomes('world', 'infinity');
SELECT hail.experiment_outcomes('world', NULL, '2013-12-10 08:00+00');
SELECT hail.experiment_split('world', '2013-12-10 09:00+00', '2013-12-10 09:00+00');
SELECT role, what, as_role(role, statement) AS answer
FROM unnest(ARRAY['admin', 'analyst', 'customer', 'driver', 'partner']) WITH ORDINALITY AS r (role, n),
     (VALUES (1, 'outcomes', 'SELECT count(*) FROM hail.experiment_outcomes(''world'')'),
             (2, 'split', 'SELECT count(*) FROM hail.experiment_split(''world'')')) s (i, what, statement)
ORDER BY r.n, s.i;
SELECT state FROM hail.stop_experiment('world');
DROP FUNCTION as_role, asked, taken, quoted, customer, variants;
SELECT hail.reset_clock() IS NOT NULL AS reset;
