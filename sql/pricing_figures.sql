-- Prices, quotes, earnings and ETAs in figures: a small world written straight into the tables, its figures computed by hand.
-- Cairo is two hours ahead of UTC: its day begins at 22:00. Amounts are piastres, commission 20 %.
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
SELECT hail.set_clock('2013-12-20 00:00+00');
SELECT code FROM hail.create_region('sums', 'Sums', 'EGP', 'Africa/Cairo', ST_MakeEnvelope(-146, -1, -144, 1, 4326));
SELECT code FROM hail.create_region('sums2', 'Sums 2', 'EUR', 'UTC', ST_MakeEnvelope(-143, -1, -141, 1, 4326));
DO $$
BEGIN
    FOR i IN 1..6 LOOP
        PERFORM hail.register_driver((hail.register_user('+35598000000' || i, 'S' || i, 'driver')).id, 'sums', '{economy}');
    END LOOP;
    PERFORM hail.register_user('+35598000010' || i, 'C' || i, 'customer') FROM generate_series(0, 6) i;
END
$$;
CREATE TEMP SEQUENCE turns;
-- Seven customers by turns. n quotes made at a time in one call, of classes economy, comfort, ..., or (again) in place of the
-- customer's newest; `taken`: which of them became a trip, driven by driver S<driver> at `metres` for `total`, in `real` seconds where
-- `guess` were quoted, with an interval of 20 % either way
CREATE FUNCTION ride(at timestamptz, total bigint, driver integer, metres integer DEFAULT 10000, surge numeric DEFAULT 1, guess integer DEFAULT 1000,
                     real_s integer DEFAULT 1000, source text DEFAULT 'learnt', classes text[] DEFAULT '{economy}', taken integer DEFAULT 1,
                     lat float8 DEFAULT 0.1, waiting bigint DEFAULT 0, region text DEFAULT 'sums', in_state text DEFAULT 'completed',
                     customer integer DEFAULT nextval('turns') % 7, again boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[] := ARRAY(SELECT hail.uuid7() FROM generate_series(1, cardinality(classes)));
    who uuid := (SELECT u.id FROM hail.users u WHERE u.phone = '+35598000010' || customer);
    first record;
    place hail.regions := (SELECT r FROM hail.regions r WHERE r.code = ride.region);
BEGIN
    SELECT q.id, q.set_id INTO first FROM hail.quotes q WHERE q.customer_id = who AND again ORDER BY q.created_at DESC, q.id LIMIT 1;
    INSERT INTO hail.quotes (id, customer_id, region_id, service_class, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s,
        base_amount, distance_amount, time_amount, surge, time_multiplier, event_multiplier, multiplier_amount, minimum_amount, booking_fee,
        rounding_amount, total, cancellation_fee, commission_bp, currency, created_at, expires_at, set_id, replaces, fare_id, per_km, per_minute,
        minimum_fare, rounding, waiting_free_s, waiting_per_minute, waiting_max, duration_low_s, duration_high_s, price_low, price_high,
        eta_source, variant_multiplier)
    SELECT ids[k], who, place.id, classes[k], lat, -144.4, lat, -144.3, metres, guess, ride.total * k, 0, 0, ride.surge, 1, 1, 0, 0, 0, 0,
           ride.total * k, 0, 2000, place.currency, at, at + '10 minutes', coalesce(first.set_id, ids[1]), first.id, hail.uuid7(), 0, 0, 0, 1, 180, 0, 0, guess * 0.8, guess * 1.2,
           ride.total * k, ride.total * k, source, 1
    FROM generate_series(1, cardinality(classes)) k;
    IF taken > 0 THEN
        INSERT INTO hail.trips (region_id, service, service_class, customer_id, driver_id, quote_id, state, strategy, payment_method, pickup_lat,
            pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge, policy_id,
            idempotency_key, requested_at, started_at, completed_at, waiting_amount)
        SELECT q.region_id, 'ride', q.service_class, who, (SELECT d.id FROM hail.drivers d JOIN hail.users u ON u.id = d.id WHERE u.name = 'S' || driver
               AND u.phone LIKE '+35598%'), q.id, in_state, 'first_accept', 'cash', q.pickup_lat, q.pickup_lng, q.dropoff_lat, q.dropoff_lng,
               q.distance_m, q.duration_s, q.total + waiting, 2000, 0, q.currency, q.surge, 1, q.id::text, at + '1 minute', at + '5 minutes',
               at + '5 minutes' + real_s * interval '1 second', waiting
        FROM hail.quotes q WHERE q.id = ids[taken];
    END IF;
END
$$;

-- The 10th in Cairo: six drivers, S1 two trips. Prices 1000 to 6000 (S1: 1000 and 500), one of them with 250 for waiting.
SELECT ride('2013-12-09 22:30+00', 1000, 1, 10000, 1, 1000, 900), ride('2013-12-10 05:00+00', 500, 1, 5000, 1, 1000, 1000),
       ride('2013-12-10 06:00+00', 2000, 2, 10000, 1, 1000, 1100), ride('2013-12-10 07:00+00', 3000, 3, 10000, 1.5, 1000, 1300),
       ride('2013-12-10 08:00+00', 4000, 4, 10000, 1.5, 1000, 700, waiting => 250), ride('2013-12-10 09:00+00', 5000, 5, 20000, 2, 1000, 2000),
       ride('2013-12-10 10:00+00', 6000, 6, 20000, 2, 1000, 1000, 'hour');
-- Far away, four trips: too few to tell; a trip of the night between, one that found nobody, one in another currency.
SELECT ride('2013-12-10 11:00+00', 7000, 6, lat => 0.9, source => 'hour') FROM generate_series(1, 4);
SELECT ride('2013-12-10 21:50+00', 100, 1, real_s => 1200), ride('2013-12-10 12:00+00', 9000, 1, in_state => 'no_drivers'),
       ride('2013-12-10 12:00+00', 100, 1, region => 'sums2');
-- Sets of two classes: 6 without surge, 5 taken (two of the dearer class); 5 with 2.5, one taken.
SELECT ride('2013-12-12 08:00+00', 1000, 1, classes => '{economy,comfort}', taken => (ARRAY[1, 1, 1, 2, 2, 0])[k]) FROM generate_series(1, 6) k;
SELECT ride('2013-12-12 09:00+00', 2500, 1, surge => 2.5, classes => '{economy,comfort}', taken => (k = 1)::integer) FROM generate_series(1, 5) k;

-- Per km: 0.1 N has 7 trips of the 9th and 10th in UTC, 21,500 (the waiting is not of the road) over 85 km; percentiles of
-- 100, 100, 200, 250, 300, 300, 400. The four of 0.9 N are left out, the one of 21:50 is the eighth: 21,600 over 95 km.
\set day '''2013-12-09 22:00+00'', ''2013-12-10 20:00+00'''
SELECT region_code, cell = hail.hexagon_cell(0.1, -144.4, 1000) AS here, ST_Covers(hexagon, ST_SetSRID(ST_MakePoint(-144.4, 0.1), 4326)) AS inside,
       service_class, day_part, trips, km, round(price_per_km::numeric, 4) AS per_km, price_per_km_p10 AS p10, price_per_km_p50 AS p50,
       round(price_per_km_p90::numeric, 4) AS p90, round(surge_mean::numeric, 4) AS surge, currency
FROM hail.price_per_km('sums', :day);
SELECT region_code, trips, km, round(price_per_km::numeric, 4) AS per_km 
FROM hail.price_per_km(NULL, '2013-12-09 22:00+00', '2013-12-10 22:00+00', 'economy', 5000) WHERE region_code LIKE 'sums%';
-- times are moved out to whole hours: 22:59 to 22:00, 19:01 to 20:00
SELECT trips FROM hail.price_per_km('sums', '2013-12-09 22:59+00', '2013-12-10 19:01+00');
-- by part of the day, Cairo: 00:30 is night, 07:00 to 09:00 morning, the rest midday, with those of 0.9 N: 43,000 over 90 km
SELECT day_part, trips, km, round(price_per_km::numeric, 4) AS per_km, round(ST_Area(hexagon)::numeric, 1) AS area
FROM hail.price_per_km('sums', :day, NULL, 100000, true);
SELECT hail.price_per_km('sums', :day, 'rocket');
SELECT hail.price_per_km('sums', :day, NULL, 499);
SELECT hail.price_per_km('nowhere', :day);
SELECT hail.price_per_km('sums', '2013-12-10', '2013-12-10');
SELECT hail.price_per_km('sums', '-infinity', '2013-12-10');
SELECT hail.price_per_km('sums', '2013-12-10', '2015-12-10');

-- Acceptance by surge, all of the 12th: 5 of 6 sets at 1, mean price 1500 (1000 and 2000), taken 1000 x 3, 2000 x 2: 1400;
-- 1 of 5 at 2.5, 3750, whose price is not told. By price, two bands a class: economy 1000 x 6 of 11, then 2500 x 5; comfort likewise, doubled.
SELECT region_code, surge, quote_sets, taken, round(acceptance::numeric, 4) AS acceptance, price_mean, price_taken_mean, currency
FROM hail.acceptance_by_surge('sums', '2013-12-12', '2013-12-13');
SELECT service_class, band, price_from, price_to, quotes, taken, round(acceptance::numeric, 4) AS acceptance, price_mean,
       price_per_km_mean AS per_km, surge_mean, currency
FROM hail.acceptance_by_price('sums', '2013-12-12', '2013-12-13', 2);
SELECT service_class, band, price_from, price_to, quotes FROM hail.acceptance_by_price('sums', '2013-12-12', '2013-12-13', 1);
SELECT hail.acceptance_by_price('sums', '2013-12-12', '2013-12-13', 0);

-- The 13th: six customers asked at 08:50, one of them was quoted again at 09:10 and 09:20 and took that: six sets, of 08:50.
SELECT ride('2013-12-13 08:50+00', 1000, 1, taken => 0, customer => k) FROM generate_series(1, 6) k;
SELECT ride('2013-12-13 09:10+00', 1100, 1, taken => 0, customer => 6, again => true);
SELECT ride('2013-12-13 09:20+00', 1200, 1, customer => 6, again => true);
SELECT h, quote_sets, taken FROM generate_series(8, 9) h,
       hail.acceptance_by_surge('sums', '2013-12-13'::timestamptz + h * interval '1 hour', '2013-12-13'::timestamptz + (h + 1) * interval '1 hour');
SELECT service_class, band, price_from, price_to, quotes, taken FROM hail.acceptance_by_price('sums', '2013-12-13', '2013-12-14', 1);

-- Earnings of the 10th in Cairo (80 %): S1 1200 and, until 22:00 UTC, no more; S2 1600, S3 2400, S4 3400, S5 4000, S6 4800 + 22400 = 27200.
-- Gini: 2 (1 x 1200 + 2 x 1600 + 3 x 2400 + 4 x 3400 + 5 x 4000 + 6 x 27200) / (6 x 39800) - 7/6 = 0.578727; the 11th has one driver.
SELECT region_code, day, drivers, trips, earnings, round(earnings_mean::numeric, 4) AS mean, earnings_deciles AS deciles,
       round(earnings_gini::numeric, 6) AS gini, top_decile_share, currency
FROM hail.earnings_distribution('sums', '2013-12-09 22:00+00', '2013-12-11 22:00+00');

-- ETAs: guesses of 1000 s, driven 900, 1000, 1100, 1300, 700, 2000, and 1200 by the 10th's last trip, which ended after 22:00.
-- Of the six: bias -1000/6; errors 0, 100, 100, 300, 300, 1000: median 200, p90 650; MAPE (100/900 + 0 + 100/1100 + 300/1300
-- + 300/700 + 1/2) / 6; coverage 3/6, one below 800, two above 1200; RMSLE by the natural logarithms of 1001/901, 1001/1001, ...: 0.340473. 'hour': five, all exact.
SELECT region_code, day, source, trips, quoted_mean_s AS quoted, round(driven_mean_s::numeric, 4) AS driven, round(bias_s::numeric, 4) AS bias,
       abs_error_p50_s AS p50, abs_error_p90_s AS p90, round(mape::numeric, 6) AS mape, round(rmsle::numeric, 6) AS rmsle,
       round(coverage::numeric, 4) AS covered, round(below::numeric, 4) AS below, round(above::numeric, 4) AS above, interval_mean_s AS width
FROM hail.eta_accuracy('sums', '2013-12-09 22:00+00', '2013-12-10 22:00+00');
SELECT source, trips FROM hail.eta_accuracy('sums', '2013-12-09 22:00+00', '2013-12-11 22:00+00') ORDER BY 1;
SELECT day, source, trips FROM hail.eta_accuracy('sums', '2013-12-09 22:00+00', '2013-12-11 22:00+00', true) ORDER BY 1, 2;

-- A destination that was changed, be it back to where it was: not driven as quoted. Only the five others of six count.
BEGIN;
UPDATE hail.trips SET destination_changes = 2 WHERE price = 3000 AND region_id = (SELECT id FROM hail.regions WHERE code = 'sums');
SELECT source, trips FROM hail.eta_accuracy('sums', '2013-12-09 22:00+00', '2013-12-10 22:00+00');
ROLLBACK;
-- Trips scheduled so far ahead as a policy lets them be are not forgotten.
BEGIN;
SELECT (hail.set_dispatch_policy('sums', NULL, '{"schedule_max": "90 days"}')).schedule_max;
UPDATE hail.trips SET requested_at = requested_at - interval '90 days' WHERE region_id = (SELECT id FROM hail.regions WHERE code = 'sums');
SELECT e.trips AS earnings, a.trips AS eta, r.trips AS revenue
FROM hail.earnings_distribution('sums', '2013-12-09 22:00+00', '2013-12-10 22:00+00') e,
     hail.eta_accuracy('sums', '2013-12-09 22:00+00', '2013-12-10 22:00+00') a,
     hail.revenue_by_class('sums', '2013-12-09 22:00+00', '2013-12-10 22:00+00') r WHERE a.source = 'learnt';
ROLLBACK;

-- Revenue: eleven trips of the 10th, 49,750 with 250 of waiting, a fifth of it commission.
SELECT region_code, day, service_class, trips, km, price, waiting, commission, driver_earnings, round(price_mean::numeric, 4) AS mean,
       round(surge_mean::numeric, 4) AS surge, surged_trips, currency
FROM hail.revenue_by_class('sums', '2013-12-09 22:00+00', '2013-12-11 22:00+00');
SELECT count(*) FROM hail.revenue_by_class('sums2', '2013-12-09 22:00+00', '2013-12-11 22:00+00');

-- Of persons: six trips of one customer (the 16th) or four (the 17th) are nobody's to see; six customers of one driver (the 18th) are, but
-- for what they brought.
SELECT ride('2013-12-16 08:00+00', 1000, k, customer => 1), ride('2013-12-17 08:00+00', 1000, k, customer => k % 4),
       ride('2013-12-18 08:00+00', 1000, 1, customer => k) FROM generate_series(1, 6) k \g /dev/null
SELECT d, p.trips AS per_km, s.quote_sets AS by_surge, c.quotes AS by_price, e.trips AS eta, r.trips AS revenue
FROM generate_series(timestamptz '2013-12-16', '2013-12-18', '1 day') d
LEFT JOIN LATERAL hail.price_per_km('sums', d, d + interval '1 day') p ON true
LEFT JOIN LATERAL hail.acceptance_by_surge('sums', d, d + interval '1 day') s ON true
LEFT JOIN LATERAL hail.acceptance_by_price('sums', d, d + interval '1 day', 1) c ON true
LEFT JOIN LATERAL hail.eta_accuracy('sums', d, d + interval '1 day') e ON true
LEFT JOIN LATERAL hail.revenue_by_class('sums', d, d + interval '1 day') r ON true ORDER BY 1;

-- Surge, 07:30 to 12:00 (16,200 s). A: 08:00 1.1 for 600 s, 1.3 for 1,200 s, 1.1 for 600 s; 10:00 1.5 for 1,200 s: twice, 3,600 s,
-- 2,880 + 1,800 = 4,680 / 3,600 = 1.3. B: 1.8 since before, until 08:30. C: 1.2 from before to after; D: 2.0 for ever. E: before only.
INSERT INTO hail.surge_history (region_id, cell, at, hexagon_size_m, old_multiplier, new_multiplier, requests, lookers, supply, ratio, cause)
SELECT r.id, h.cell, '2013-12-15'::timestamptz + h.at::interval, 1000, h.before, h.after, 0, 0, 0, 0, 'tick'
FROM hail.regions r, (VALUES (1, '08:00', 1, 1.1), (1, '08:10', 1.1, 1.3), (1, '08:30', 1.3, 1.1), (1, '08:40', 1.1, 1), (1, '10:00', 1, 1.5),
    (1, '10:20', 1.5, 1), (2, '07:00', 1, 1.8), (2, '08:30', 1.8, 1), (3, '06:00', 1, 1.2), (3, '13:00', 1.2, 1), (3, '14:00', 1, 1.4),
    (3, '15:00', 1.4, 1), (5, '06:00', 1, 3), (5, '07:00', 3, 1)) h (cell, at, before, after)
WHERE r.code = 'sums';
INSERT INTO hail.surge_cells (region_id, cell, multiplier, updated_at) SELECT id, 4, 2, '2013-12-15' FROM hail.regions WHERE code = 'sums';
SELECT region_code, cell, hexagon_size_m AS size, hexagon IS NOT NULL AS hexagon, surges, surged_s, round(surged_share::numeric, 4) AS share,
       surge_mean_s AS mean_s, surge_longest_s AS longest_s, round(multiplier_mean::numeric, 4) AS mean, multiplier_max AS max
FROM hail.surge_by_cell('sums', '2013-12-15 07:30+00', '2013-12-15 12:00+00');
-- the same from the moment it rose; a time that is not over counts to now (the 20th): 119 h of D
SELECT cell, surges, surged_s FROM hail.surge_by_cell('sums', '2013-12-15 10:00+00', '2013-12-15 10:10+00') ORDER BY 1;
SELECT cell, surges, surged_s / 3600 AS hours, surged_share AS share FROM hail.surge_by_cell('sums', '2013-12-15 01:00+00', '2013-12-30') WHERE cell IN (3, 4) ORDER BY 1;
DELETE FROM hail.surge_cells s USING hail.regions r WHERE r.id = s.region_id AND r.code = 'sums';
DELETE FROM hail.surge_history s USING hail.regions r WHERE r.id = s.region_id AND r.code = 'sums';

-- Rights: administrators and analysts; nobody else.
CREATE FUNCTION as_role(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    person uuid;
BEGIN
    INSERT INTO hail.users (phone, name, role) VALUES ('+355980000200', 'P', role) RETURNING id INTO person;
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
SELECT f AS figures, as_role('admin', s) AS admin, as_role('analyst', s) AS analyst, as_role('customer', s) AS customer,
       as_role('driver', s) LIKE 'permission denied for function%' AS driver_refused,
       as_role('partner', s) LIKE 'permission denied for function%' AS partner_refused
FROM unnest(ARRAY['price_per_km', 'acceptance_by_surge', 'acceptance_by_price', 'earnings_distribution', 'eta_accuracy', 'revenue_by_class',
                  'surge_by_cell']) f,
     LATERAL (SELECT format('SELECT count(*) FROM hail.%I(''sums'', ''2013-12-09'', ''2013-12-13'')', f) AS s) q
ORDER BY 1;
DROP FUNCTION as_role, ride;
SELECT hail.reset_clock() IS NOT NULL AS reset;
