-- Why a driver was or was not offered a trip; past rounds decided again under other policies.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-24 10:00+00');

-- On the equator at longitude 81: E1 ... E8 stand 500 m apart from the pickup on, E9 at 200 m, E10 at 3,900 m, E11 at 7 km.
SELECT (hail.create_region('explain', 'Explain', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(80, -1, 82, 1, 4326))).code;
SELECT (hail.set_fare('explain', 'economy', 1000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
SELECT (hail.set_fare('explain', 'comfort', 2000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
CREATE FUNCTION who(text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT id FROM hail.users WHERE name = $1 AND phone ~ '^\+3551[12]00000' $$;
CREATE FUNCTION name_of(uuid) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM hail.users WHERE id = $1';
CREATE FUNCTION metres(i integer) RETURNS float8 LANGUAGE sql AS 'SELECT CASE i WHEN 9 THEN 200 WHEN 10 THEN 3900 WHEN 11 THEN 7000 ELSE i * 500 END';
CREATE FUNCTION tell_all() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(hail.report_location(who('E' || i), 0, 81 + metres(i) / 111195.0)) FROM generate_series(1, 11) i WHERE i <> 8 $$;
CREATE FUNCTION quote(customer text, class text DEFAULT 'economy') RETURNS uuid LANGUAGE sql AS
$$ SELECT (hail.create_quote(who(customer), 0, 81, 0, 81.05, class)).id $$;
CREATE FUNCTION why(trip uuid) RETURNS TABLE (driver text, round integer, outcome text, explanation text) LANGUAGE sql AS
$$ SELECT 'E' || i, w.round, w.outcome, regexp_replace(w.explanation, '\([0-9a-f-]{36}\)', '(its id)') FROM generate_series(1, 11) i, hail.why_not(trip, who('E' || i)) w
   ORDER BY i, w.at, w.round $$;
SELECT count(hail.register_user('+3551100000' || to_char(n, 'FM00'), name, 'customer'))
FROM unnest(ARRAY['Ada', 'Bea', 'Cas', 'Dot']) WITH ORDINALITY AS c(name, n);
DO $$
BEGIN
    FOR i IN 1..11 LOOP
        PERFORM hail.register_driver((hail.register_user('+3551200000' || to_char(i, 'FM00'), 'E' || i, 'driver')).id, 'explain',
                                     ARRAY[CASE i WHEN 6 THEN 'xl' WHEN 9 THEN 'comfort' ELSE 'economy' END]);
        PERFORM hail.approve_driver(who('E' || i));
        PERFORM hail.set_availability(who('E' || i), true, 0, 81 + metres(i) / 111195.0);
    END LOOP;
END
$$;
SELECT weight_idle FROM hail.set_dispatch_policy('explain', NULL, '{"offers_per_round": 2, "radius_m": [4000], "rounds_per_radius": 1}');

-- E1 is blocked, E2 drives another customer, E3 has its three offers, E4 and E5 are offered the trip, E6 has another class,
-- E7 scores less, E8 was not heard of, E9 is of a higher tier, E10 is last, E11 is not near.
SELECT (hail.block_driver(who('Ada'), who('E1'))).blocked;
SELECT id AS other FROM hail.request_trip(quote('Bea'), 'cash', 'first_accept', 'bea') \gset
UPDATE hail.trips SET next_round_at = 'infinity' WHERE id = :'other';
UPDATE hail.drivers SET rating = 1 WHERE id = who('E7');
SELECT (trip).state FROM hail.accept_offer(:'other', who('E2'));
INSERT INTO hail.trips (region_id, service, service_class, customer_id, quote_id, state, strategy, payment_method, pickup_lat,
    pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge, policy_id,
    idempotency_key, requested_at)
SELECT t.region_id, t.service, t.service_class, who('Cas'), quote('Cas'), 'cancelled', t.strategy, t.payment_method, 0, 81, 0, 81, 0, 0, 0, 0,
       0, t.currency, 1, t.policy_id, 'cas', hail.clock() FROM hail.trips t WHERE t.id = :'other' RETURNING id AS filler \gset
INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
SELECT :'filler', who('E3'), n, n, 0, 0, 0, hail.clock(), hail.clock() + interval '1 hour' FROM generate_series(1, 3) n;
SELECT hail.advance_clock('40 seconds') IS NOT NULL AS later, tell_all();
SELECT count(*) > 0 AS kept FROM hail.keep();
SELECT id AS trip FROM hail.request_trip(quote('Ada'), 'cash', 'first_accept', 'ada') \gset
SELECT * FROM why(:'trip') WHERE round IS NOT NULL;
SELECT driver, outcome, explanation FROM why(:'trip') WHERE round IS NULL;

-- The record of the round, and the gates it counted.
SELECT place, name_of(driver_id) AS driver, gate, offer, round(score::numeric, 4) AS score, round(distance_m) AS metres,
       round((distance_term + rating_term + acceptance_term + completion_term + vehicle_term + repeat_term + idle_term + recent_term)::numeric, 4) AS terms,
       idle_s, recent_trips, pending_offers, exact_tier FROM hail.explain_round(:'trip', 1);
SELECT r.found, r.wanted, r.offers, r.radius_m, r.strategy, g.name, g.counted FROM hail.match_rounds r,
    LATERAL (SELECT * FROM unnest(hail.match_gates(), r.gates) AS g(name, counted)) g WHERE r.trip_id = :'trip' AND g.counted > 0;
SELECT pg_column_size(candidates) AS candidates, pg_column_size(passed) AS passed FROM hail.match_rounds WHERE trip_id = :'trip';

-- The same policy decides the same; another one otherwise.
SELECT place, name_of(driver_id) AS driver, chosen, was_offered, score = score_then AS same FROM hail.replay_round(:'trip', 1);
SELECT place, name_of(driver_id) AS driver, gate, chosen, was_offered, round(score::numeric, 4) AS score
FROM hail.replay_round(:'trip', 1, changes => '{"offers_per_round": 3, "max_pickup_m": 3000, "exact_tier_rounds": 0}');
SELECT place, name_of(driver_id) AS driver, chosen, was_offered, round(score::numeric, 4) AS score, round(recent_term::numeric, 2) AS recent
FROM hail.replay_round(:'trip', 1, 1::smallint, '{"weight_recent": 1}') WHERE place <= 3;
SELECT hail.replay_round(:'trip', 2);
SELECT hail.replay_round(:'trip', 1, 32000::smallint);
SELECT hail.replay_round(:'trip', 1, changes => '{"weight_luck": 1}');
SELECT hail.replay_round(:'trip', 1, changes => '{"rounds_per_radius": 0}');
SELECT hail.replay_round(:'trip', 1, changes => '{"rounds_per_radius": -1}');
SELECT hail.replay_round(:'trip', 1, changes => '{"sequential_offers": 0}');
SELECT hail.replay_round(:'trip', 1, changes => jsonb_build_object('radius_m', array_fill(5000, ARRAY[21])));
SELECT hail.replay_round(:'trip', 1, changes => '{"rounds_per_radius": null}');
SELECT hail.explain_round(hail.uuid7(), 1);

-- Offers and what became of them.
SELECT status FROM hail.decline_offer(:'trip', who('E4'), 'too far');
SELECT hail.advance_clock('15 seconds') IS NOT NULL AS later, tell_all(), hail.dispatch_tick();
SELECT driver, round, outcome, explanation FROM why(:'trip') WHERE round IN (1, 2) AND driver IN ('E4', 'E5', 'E7', 'E9');
SELECT (trip).state FROM hail.accept_offer(:'trip', who('E10'));
SELECT driver, round, outcome, explanation FROM why(:'trip') WHERE round = 2 AND driver IN ('E7', 'E9', 'E10');

SELECT who('E7') AS e7 \gset
-- A driver asks about itself and trips it was offered; the customer and strangers do not.
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('E5')));
SELECT round, outcome FROM hail.why_not(:'trip', hail.current_subject());
SAVEPOINT refused;
SELECT hail.why_not(:'trip', :'e7');
ROLLBACK TO refused;
SELECT hail.explain_round(:'trip', 1);
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('E1')));
SELECT hail.why_not(:'trip', hail.current_subject());
ROLLBACK;
SELECT hail.why_not(:'trip', who('Ada'));
SELECT hail.why_not(hail.uuid7(), who('E1'));
SELECT outcome FROM hail.why_not(:'filler', who('E1'));

-- A cash trip is not offered to a driver whose wallet cannot take the commission.
SELECT state FROM hail.cancel_trip(:'trip', 'customer');
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all();
SELECT wallet_floor FROM hail.set_dispatch_policy('explain', NULL, '{"wallet_floor": -200}');
SELECT id AS cash FROM hail.request_trip(quote('Dot'), 'cash', 'first_accept', 'dot') \gset
SELECT count(*) FILTER (WHERE outcome = 'wallet') AS wallet, count(*) FILTER (WHERE outcome = 'offered') AS offered FROM why(:'cash');
SELECT explanation FROM why(:'cash') WHERE driver = 'E10' AND round IS NOT NULL;
SELECT state FROM hail.cancel_trip(:'cash', 'customer');
SELECT wallet_floor FROM hail.set_dispatch_policy('explain', NULL, '{"wallet_floor": null}');

-- Favourites first, where the customer asks for it.
SELECT (hail.favourite_driver(who('Dot'), who('E7'))).favourite;
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all();
SELECT id AS fav FROM hail.request_trip(quote('Dot'), 'cash', 'first_accept', 'dot-2') \gset
SELECT place, round(repeat_term::numeric, 2) AS repeat FROM hail.explain_round(:'fav', 1) WHERE driver_id = who('E7');
SELECT state FROM hail.cancel_trip(:'fav', 'customer');
SELECT id AS fav FROM hail.request_trip(quote('Dot'), 'cash', 'first_accept', 'dot-3', favourites_first => true) \gset
SELECT place, name_of(driver_id) AS driver, favourite, offer FROM hail.explain_round(:'fav', 1) WHERE place <= 2;
SELECT outcome, explanation FROM why(:'fav') WHERE driver = 'E5' AND round = 1;
SELECT quote_id FROM hail.trips WHERE id = :'fav' \gset
SELECT id = :'fav' AS same FROM hail.request_trip(:'quote_id', 'cash', 'first_accept', 'dot-3', favourites_first => true);
SELECT hail.request_trip(:'quote_id', 'cash', 'first_accept', 'dot-3');
SELECT state FROM hail.cancel_trip(:'fav', 'customer');

SELECT state FROM hail.cancel_trip(:'other', 'customer');
DELETE FROM hail.offers WHERE trip_id = :'filler';
SELECT count(hail.set_availability(who('E' || i), false)) FROM generate_series(1, 11) i;
SELECT hail.reset_clock() IS NOT NULL AS reset;
DROP FUNCTION why(uuid), quote(text, text), tell_all(), metres(integer), name_of(uuid), who(text);
