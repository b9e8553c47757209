-- How work is shared and how quickly trips are matched, in figures; signs of drivers who pick their trips.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-26 08:00+00');
SELECT count(*) > 0 AS kept FROM hail.keep();

-- Four drivers; F1 drives three trips of ten minutes, F2 one, F3 waits, F4 goes online at 09:00 only.
SELECT (hail.create_region('figures', 'Figures', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(90, -1, 92, 1, 4326))).code;
SELECT (hail.set_fare('figures', 'economy', 1000, 0, 0, 1000, 2000, 0, 300)).id IS NOT NULL AS fare;
CREATE FUNCTION who(text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT id FROM hail.users WHERE name = $1 AND phone ~ '^\+3551[45]00000' $$;
CREATE FUNCTION name_of(uuid) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM hail.users WHERE id = $1';
CREATE FUNCTION tell_all() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(hail.report_location(who('F' || i), 0, 91 + i / 1000.0)) FROM generate_series(1, 4) i $$;
SELECT count(hail.register_user('+3551400000' || to_char(n, 'FM00'), name, 'customer'))
FROM unnest(ARRAY['Gil', 'Hal']) WITH ORDINALITY AS c(name, n);
DO $$
BEGIN
    FOR i IN 1..4 LOOP
        PERFORM hail.register_driver((hail.register_user('+3551500000' || to_char(i, 'FM00'), 'F' || i, 'driver')).id, 'figures', '{economy}');
        PERFORM hail.approve_driver(who('F' || i));
        IF i < 4 THEN
            PERFORM hail.set_availability(who('F' || i), true, 0, 91 + i / 1000.0);
        END IF;
    END LOOP;
END
$$;
-- a trip: accepted `after`, ended ten minutes later
CREATE PROCEDURE ride(customer text, driver text, after interval, key text) LANGUAGE plpgsql AS $$
DECLARE
    trip uuid;
BEGIN
    PERFORM tell_all();
    trip := (hail.request_trip((hail.create_quote(who(customer), 0, 91, 0, 91.05, 'economy')).id, 'cash', 'first_accept', key)).id;
    PERFORM hail.advance_clock(after);
    PERFORM hail.accept_offer(trip, who(driver));
    PERFORM hail.arrive(trip);
    PERFORM hail.start_trip(trip, (SELECT pickup_code FROM hail.trips WHERE id = trip));
    PERFORM hail.advance_clock('10 minutes');
    PERFORM hail.complete_trip(trip);
    PERFORM hail.advance_clock('2 minutes');
END
$$;
CALL ride('Gil', 'F1', '2 seconds', 'gil-1');
CALL ride('Gil', 'F1', '4 seconds', 'gil-2');
CALL ride('Hal', 'F2', '6 seconds', 'hal-1');
CALL ride('Gil', 'F1', '8 seconds', 'gil-3');
SELECT tell_all();
SELECT id AS trip FROM hail.request_trip((hail.create_quote(who('Hal'), 0, 91, 0, 91.05, 'economy')).id, 'cash', 'first_accept', 'hal-2') \gset
SELECT status FROM hail.decline_offer(:'trip', who('F3'), 'lunch');
SELECT hail.advance_clock('6 minutes') IS NOT NULL AS later, hail.dispatch_tick();
SELECT hail.set_clock('2013-11-26 09:00+00');
SELECT (hail.set_availability(who('F4'), true, 0, 91.004)).online, (hail.set_availability(who('F3'), false)).online AS f3;
SELECT hail.set_clock('2013-11-26 10:00+00');

-- From 08:00 to 10:00: F1 and F2 were online for two hours, F3 and F4 for one each.
SELECT name_of(driver_id) AS driver, online_s, busy_s, trips, earnings, currency
FROM hail.driver_activity('figures', '2013-11-26 08:00+00', '2013-11-26 10:00+00') ORDER BY 1;
SELECT drivers, online_hours, trips, trips_per_driver_hour, trips_per_driver_day, round(wait_mean_s) AS wait_mean_s,
       round(utilisation::numeric, 3) AS utilisation, earnings, round(earnings_gini::numeric, 3) AS earnings_gini,
       round(trips_gini::numeric, 3) AS trips_gini, currency
FROM hail.fairness('figures', '2013-11-26 08:00+00', '2013-11-26 10:00+00');
-- a part of it: who is online at its beginning has not gone online within it
SELECT name_of(driver_id) AS driver, online_s, busy_s, trips
FROM hail.driver_activity('figures', '2013-11-26 08:05+00', '2013-11-26 08:10+00') ORDER BY 1;
SELECT name_of(driver_id) AS driver, online_s, trips
FROM hail.driver_activity('figures', '2013-11-26 09:30+00', '2013-11-26 12:00+00') ORDER BY 1;
SELECT count(*) FROM hail.fairness('figures', '2013-11-20', '2013-11-21') WHERE trips > 0;

-- Matching.
SELECT trips, offered, accepted, first_offer_p50_s, accept_p50_s, accept_p90_s, first_round_share, no_drivers,
       offers_accepted, offers_declined, rejections
FROM hail.dispatch_figures('figures', '2013-11-26 08:00+00', '2013-11-26 10:00+00');
SELECT * FROM hail.dispatch_figures('figures', '2013-11-20', '2013-11-21');
SELECT name, bool_and(value > 0) AS counted FROM hail.metrics()
WHERE name IN ('hail_match_rounds_total', 'hail_match_accepts_won_total', 'hail_match_offers_total', 'hail_match_candidates_total') GROUP BY name ORDER BY name;
CREATE TEMP TABLE before AS SELECT * FROM hail.dispatch_counters();
SELECT hail.accept_offer(t.id, who('F2')) FROM hail.trips t WHERE t.idempotency_key = 'gil-1' AND t.customer_id = who('Gil');
SELECT c.name, c.value - b.value AS more FROM hail.dispatch_counters() c JOIN before b ON b.name = c.name AND b.gate IS NOT DISTINCT FROM c.gate
WHERE c.value <> b.value;

-- Signs: F2 lets the cheaper half go by, F3 takes all, F1 too; F4 jumps about.
INSERT INTO hail.trips (region_id, service, service_class, customer_id, quote_id, state, strategy, payment_method, pickup_lat,
    pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge, policy_id,
    idempotency_key, requested_at)
SELECT r.id, 'ride', 'economy', who('Gil'), (hail.create_quote(who('Gil'), 0, 91, 0, 91.05, 'economy')).id, 'cancelled', 'first_accept', 'cash', 0, 91, 0, 91, 0, 0, 1000 + n * 100, 0,
       0, 'EUR', 1, 1, 'sign-' || n, '2013-11-27 08:00+00' FROM hail.regions r, generate_series(1, 20) n WHERE r.code = 'figures';
INSERT INTO hail.offers (trip_id, driver_id, round, slot, status, score, pickup_distance_m, pickup_eta_s, created_at, expires_at, responded_at)
SELECT t.id, who('F' || i), 1, 1, CASE WHEN i = 2 AND t.price <= 2000 THEN 'declined' ELSE 'cancelled' END, 0, 100 * (t.price / 100 * 7 % 20), 0,
       '2013-11-27 08:00+00', '2013-11-27 08:00:15+00', '2013-11-27 08:00:05+00'
FROM hail.trips t, generate_series(1, 3) i WHERE t.idempotency_key ~ '^sign-' AND t.customer_id = who('Gil');
INSERT INTO hail.events (aggregate_type, aggregate_id, version, type, payload, actor, occurred_at)
SELECT 'driver', who('F4'), 1000 + n, 'DriverPositionFlagged', '{}', 'system', '2013-11-27 08:00+00' FROM generate_series(1, 3) n;
SELECT name_of(driver_id) AS driver, signal, value, peers, explanation
FROM hail.driver_signals('figures', '2013-11-27', '2013-11-28') ORDER BY 1, 2;
SELECT signal FROM hail.driver_signals('figures', '2013-11-27', '2013-11-28', who('F4'));
SELECT signal FROM hail.driver_signals('figures', '2013-11-26', '2013-11-27');
DELETE FROM hail.events WHERE aggregate_id = who('F4') AND version > 1000;
DELETE FROM hail.offers o USING hail.trips t WHERE t.id = o.trip_id AND t.idempotency_key ~ '^sign-' AND t.customer_id = who('Gil');
DELETE FROM hail.trips t WHERE t.idempotency_key ~ '^sign-' AND t.customer_id = who('Gil');

-- Bad input; for administrators and analysts.
SELECT hail.fairness('nowhere', '2013-11-26', '2013-11-27');
SELECT hail.fairness('figures', NULL, '2013-11-27');
SELECT hail.fairness('figures', '2013-11-27', '2013-11-26');
SELECT hail.fairness('figures', '2013-01-01', '2013-11-26');
SELECT hail.driver_signals('figures', '2013-11-26', 'infinity');
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token((hail.register_user('+355160000001', 'Ann', 'analyst')).id));
SELECT drivers FROM hail.fairness('figures', '2013-11-26 08:00+00', '2013-11-26 10:00+00');
SAVEPOINT refused;
SELECT hail.driver_signals('figures', '2013-11-26', '2013-11-27');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('F1')));
SELECT hail.fairness('figures', '2013-11-26', '2013-11-27');
ROLLBACK;
SELECT count(hail.set_availability(who('F' || i), false)) FROM generate_series(1, 4) i;
SELECT hail.reset_clock() IS NOT NULL AS reset;
DROP PROCEDURE ride(text, text, interval, text);
DROP FUNCTION tell_all(), name_of(uuid), who(text);
