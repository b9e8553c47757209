-- Trips from request to payment on a frozen clock: states, rounds, offers, who may do what.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-20 10:00+00');

-- The state machine: every move there is.
SELECT * FROM hail.trip_transitions ORDER BY from_state, action, actor;

-- A region on the equator: drivers D1 ... D8 stand 556 m apart, D9 at 7 km.
SELECT (hail.create_region('dispatch', 'Dispatch', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(30, -1, 32, 1, 4326))).code;
SELECT (hail.set_fare('dispatch', 'economy', 1000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
SELECT (hail.set_fare('dispatch', 'van', 1000, 350, 50, 1500, 1500)).id IS NOT NULL AS fare;
CREATE FUNCTION who(text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT id FROM hail.users WHERE name = $1 AND phone ~ '^\+3519[34]00000' $$;
CREATE FUNCTION name_of(uuid) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM hail.users WHERE id = $1';
CREATE FUNCTION tell(driver text, metres float8) RETURNS boolean LANGUAGE sql AS
$$ SELECT applied FROM hail.report_location(who(driver), 0, 31 + metres / 111195.0) $$;
CREATE FUNCTION tell_all() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(tell('D' || i, CASE i WHEN 9 THEN 7000 ELSE i * 556 END)) FROM generate_series(1, 9) i $$;
CREATE FUNCTION quote(customer text, class text DEFAULT 'economy') RETURNS uuid LANGUAGE sql AS
$$ SELECT (hail.create_quote(who(customer), 0, 31, 0, 31.05, class)).id $$;
CREATE FUNCTION offers(trip uuid) RETURNS TABLE (round integer, driver text, slot smallint, status text, metres integer, eta_s integer)
LANGUAGE sql AS $$ SELECT o.round, name_of(o.driver_id), o.slot, o.status, o.pickup_distance_m, o.pickup_eta_s
                   FROM hail.offers o WHERE o.trip_id = trip ORDER BY 1, 2 $$;
CREATE FUNCTION code(trip uuid) RETURNS text LANGUAGE sql AS 'SELECT pickup_code FROM hail.trips WHERE id = trip';
SELECT count(hail.register_user('+3519300000' || to_char(n, 'FM00'), name, 'customer'))
FROM unnest(ARRAY['Ada', 'Bea', 'Cas', 'Dot', 'Eva', 'Fay']) WITH ORDINALITY AS c(name, n);
DO $$
BEGIN
    FOR i IN 1..9 LOOP
        PERFORM hail.register_driver((hail.register_user('+3519400000' || to_char(i, 'FM00'), 'D' || i, 'driver')).id, 'dispatch',
                                     ARRAY['economy']);
        PERFORM hail.approve_driver(who('D' || i));
        PERFORM hail.set_availability(who('D' || i), true, 0, 31 + CASE i WHEN 9 THEN 7000 ELSE i * 556 END / 111195.0);
    END LOOP;
END
$$;

-- A cash trip: the request makes the first round, the five best drivers get an offer for 15 seconds.
SELECT tell_all();
SELECT id AS trip, state, service, price, round, next_round_at, search_until, event_version
FROM hail.request_trip(quote('Ada'), 'cash', 'first_accept', 'ada-1') \gset t
SELECT :'tstate' AS state, :'tservice' AS service, :tprice AS price, :tround AS round, :'tnext_round_at' AS next_round_at,
       :'tsearch_until' AS search_until;
SELECT * FROM offers(:'ttrip');
SELECT state, status, round, radius_m, offers_pending, offers_made FROM hail.matching_status(:'ttrip');
SELECT name_of(driver_id) AS driver, round(score::numeric, 4) AS score, round(distance_term::numeric, 4) AS distance,
       round((rating_term + acceptance_term + completion_term + vehicle_term + repeat_term)::numeric, 4) AS others, gate
FROM hail.rank_drivers(:'ttrip') ORDER BY gate IS NOT NULL, score DESC;
SELECT service_class, pickup_lat, distance_m, price, earning, currency, payment_method, pickup_distance_m, expires_at
FROM hail.driver_offers(who('D1'));

-- Requests: the same key is the same trip, with another body an error; one ride at a time.
SELECT quote_id FROM hail.trips WHERE id = :'ttrip' \gset
SELECT id = :'ttrip' AS same FROM hail.request_trip(:'quote_id', 'cash', 'first_accept', 'ada-1');
SELECT hail.request_trip(:'quote_id', 'wallet', 'first_accept', 'ada-1');
SELECT hail.request_trip(:'quote_id', 'cash', 'first_accept', 'ada-2');
SELECT hail.request_trip(quote('Ada'), 'cash', 'first_accept', 'ada-1');
SELECT hail.request_trip(quote('Ada'), 'cash', 'first_accept', 'ada-2');
SELECT hail.request_trip(quote('Bea'), 'cash');
SELECT hail.request_trip(quote('Bea'), 'barter', 'first_accept', 'bea-0');
SELECT hail.request_trip(quote('Bea'), 'cash', 'loudest', 'bea-0');
SELECT hail.request_trip(quote('Bea'), 'cash', 'first_accept', 'bea-0', '2013-11-21');
SELECT hail.request_trip(hail.uuid7(), 'cash', 'first_accept', 'bea-0');
SELECT hail.request_trip(quote('Bea'), 'wallet', 'first_accept', 'bea-0');

-- Rounds: who declines is not asked again, who lets an offer go by is asked later; then wider.
SELECT status, reason FROM hail.decline_offer(:'ttrip', who('D1'), 'too far');
SELECT status FROM hail.decline_offer(:'ttrip', who('D1'));
SELECT hail.decline_offer(:'ttrip', who('D8'));
SELECT hail.dispatch_tick();
SELECT hail.advance_clock('15 seconds') IS NOT NULL AS later, tell_all();
SELECT hail.accept_offer(:'ttrip', who('D2'));
SELECT hail.dispatch_tick();
SELECT * FROM offers(:'ttrip') WHERE round = 2;
SELECT hail.advance_clock('15 seconds') IS NOT NULL AS later, tell_all(), hail.dispatch_tick();
SELECT * FROM offers(:'ttrip') WHERE round > 2;
SELECT hail.advance_clock('15 seconds') IS NOT NULL AS later, tell_all(), hail.dispatch_tick();
SELECT * FROM offers(:'ttrip') WHERE round > 3;
SELECT name_of(id) AS driver, offers_total, offers_accepted FROM hail.drivers WHERE id IN (who('D1'), who('D2'), who('D9')) ORDER BY 1;

-- The last decline starts the next round at once.
SELECT count(hail.decline_offer(:'ttrip', driver_id)) FROM hail.offers WHERE trip_id = :'ttrip' AND status = 'pending';
SELECT next_round_at = hail.clock() AS now FROM hail.trips WHERE id = :'ttrip';

-- Nobody in time: the search ends.
SELECT hail.advance_clock('5 minutes') IS NOT NULL AS later, hail.dispatch_tick();
SELECT state, status, offers_pending FROM hail.matching_status(:'ttrip');
SELECT hail.accept_offer(:'ttrip', who('D2'));
SELECT hail.cancel_trip(:'ttrip');
SELECT type, version FROM hail.events WHERE aggregate_id = :'ttrip' ORDER BY version;

-- A whole life in cash. Everything is in order: accept, arrive, start with the code, complete; each once.
SELECT tell_all();
SELECT id AS trip FROM hail.request_trip(quote('Ada'), 'cash', 'first_accept', 'ada-3') \gset t
SELECT id AS other FROM hail.request_trip(quote('Bea'), 'cash', 'first_accept', 'bea-1') \gset t
SELECT hail.arrive(:'ttrip');
SELECT (trip).state, (trip).driver_id = who('D1') AS d1, (trip).matched_at, already_accepted
FROM hail.accept_offer(:'ttrip', who('D1'), 'key');
SELECT (trip).state, already_accepted FROM hail.accept_offer(:'ttrip', who('D1'), 'key');
SELECT hail.accept_offer(:'ttrip', who('D2'));
SELECT hail.accept_offer(:'ttrip', who('D9'));
SELECT hail.accept_offer(hail.uuid7(), who('D9'));
SELECT hail.decline_offer(hail.uuid7(), who('D9'));
SELECT hail.accept_offer(:'tother', who('D1'));
SELECT driver, status FROM offers(:'ttrip');
SELECT driver, status FROM offers(:'tother');
SELECT trip_id = :'ttrip' AS busy, offers_total, offers_accepted FROM hail.drivers WHERE id = who('D1');
SELECT code(:'ttrip') ~ '^[0-9]{4}$' AS code;
SELECT hail.start_trip(:'ttrip', code(:'ttrip'));
SELECT state, arrived_at FROM hail.arrive(:'ttrip');
SELECT hail.start_trip(:'ttrip', 'none');
SELECT hail.complete_trip(:'ttrip');
SELECT state FROM hail.start_trip(:'ttrip', code(:'ttrip'));
SELECT hail.cancel_trip(:'ttrip', 'customer');
SELECT state, completed_at FROM hail.complete_trip(:'ttrip', 'done');
SELECT state FROM hail.complete_trip(:'ttrip', 'done');
SELECT trip_id, cooldown_until, trips_total, trips_completed FROM hail.drivers WHERE id = who('D1');
SELECT trips FROM hail.customer_drivers WHERE customer_id = who('Ada') AND driver_id = who('D1');
SELECT kind, posted, held FROM hail.wallet(who('D1'));
SELECT type, version FROM hail.events WHERE aggregate_id = :'ttrip' ORDER BY version;

-- The driver gives a trip back: it is searched for again, without that driver.
SELECT (trip).state FROM hail.accept_offer(:'tother', who('D2'));
SELECT state, driver_id, pickup_code, matched_at, next_round_at = hail.clock() AS due, name_of(excluded_drivers[1]) AS excluded
FROM hail.cancel_trip(:'tother', 'driver', 'flat tyre');
SELECT hail.dispatch_tick();
SELECT driver, status FROM offers(:'tother') WHERE round = 2;
SELECT trip_id, trips_total, trips_completed FROM hail.drivers WHERE id = who('D2');
SELECT name_of(driver_id) AS driver, gate FROM hail.rank_drivers(:'tother') WHERE gate <> 'asked';
SELECT state, cancelled_by, cancel_reason FROM hail.cancel_trip(:'tother', 'customer', 'walking');
SELECT DISTINCT status FROM offers(:'tother') WHERE round = 2;

-- Blocked drivers are never asked; drivers with three pending offers are passed over.
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all();
SELECT (hail.block_driver(who('Cas'), who('D1'))).blocked;
SELECT id AS first FROM hail.request_trip(quote('Cas'), 'cash', 'first_accept', 'cas-1') \gset t
SELECT id AS second FROM hail.request_trip(quote('Dot'), 'cash', 'first_accept', 'dot-1') \gset t
SELECT id AS third FROM hail.request_trip(quote('Eva'), 'cash', 'first_accept', 'eva-1') \gset t
SELECT id AS fourth FROM hail.request_trip(quote('Fay'), 'cash', 'first_accept', 'fay-1') \gset t
SELECT string_agg(driver || '/' || slot, ' ' ORDER BY driver) AS cas FROM offers(:'tfirst');
SELECT string_agg(driver || '/' || slot, ' ' ORDER BY driver) AS dot FROM offers(:'tsecond');
SELECT string_agg(driver || '/' || slot, ' ' ORDER BY driver) AS eva FROM offers(:'tthird');
SELECT string_agg(driver || '/' || slot, ' ' ORDER BY driver) AS fay FROM offers(:'tfourth');
SELECT name_of(driver_id) AS driver, gate FROM hail.rank_drivers(:'tfirst') WHERE gate NOT IN ('asked', 'pending_offers') ORDER BY 1;
SELECT max(pending) FROM (SELECT count(*) AS pending FROM hail.offers WHERE status = 'pending' GROUP BY driver_id) o;
-- accepting one offer withdraws the driver's others
SELECT (trip).state FROM hail.accept_offer(:'tsecond', who('D1'));
SELECT count(*) FROM hail.driver_offers(who('D1'));
SELECT hail.accept_offer(:'tthird', who('D1'));
-- suspended or offline: not eligible
SELECT (hail.suspend_driver(who('D2'), 'test')).status;
SELECT hail.accept_offer(:'tthird', who('D2'));
SELECT (hail.reinstate_driver(who('D2'))).status, (hail.hold_driver(who('D2'), 'fraud?')).online;
SELECT hail.accept_offer(:'tthird', who('D2'));
SELECT count(*) AS found FROM hail.live_scan() s WHERE s.driver_id = who('D2') AND s.available;
SELECT outcome, explanation FROM hail.why_not(:'tthird', who('D2')) WHERE round IS NULL;
SELECT (hail.release_driver(who('D2'))).status, (hail.set_availability(who('D2'), true, 0, 31 + 1112 / 111195.0)).online;

-- A wallet pays: held at acceptance, captured and split at the end.
SELECT id AS wallet FROM hail.open_account('CUSTOMER_WALLET', who('Ada'), 'EUR') \gset
SELECT id AS gateway FROM hail.open_account('GATEWAY_CLEARING', NULL, 'EUR') \gset
SELECT (hail.post_transaction('deposit', ARRAY[ROW(:'gateway', 'debit', 10000), ROW(:'wallet', 'credit', 10000)]::hail.entry_input[],
                              'dispatch-deposit')).kind;
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all(), hail.dispatch_tick();
SELECT count(hail.cancel_trip(id, 'admin')) FROM hail.trips WHERE customer_id IN (who('Cas'), who('Dot'), who('Eva'), who('Fay'))
   AND state IN ('searching', 'matched');
SELECT id AS trip, price FROM hail.request_trip(quote('Ada'), 'wallet', 'first_accept', 'ada-4') \gset t
SELECT (trip).state, (trip).hold_id IS NOT NULL AS held FROM hail.accept_offer(:'ttrip', who('D3'));
SELECT posted, held, available, held = :tprice AS price_held FROM hail.balance(:'wallet');
-- the driver gives it back: the hold is released; the next driver holds again
SELECT state, hold_id FROM hail.cancel_trip(:'ttrip', 'driver');
SELECT posted, held FROM hail.balance(:'wallet');
SELECT hail.dispatch_tick();
SELECT (trip).state FROM hail.accept_offer(:'ttrip', who('D4'));
SELECT count(*), sum(posted) AS posted, sum(held) AS held FROM hail.balance(:'wallet');
SELECT (hail.arrive(:'ttrip')).state, (hail.start_trip(:'ttrip', code(:'ttrip'))).state, (hail.complete_trip(:'ttrip')).state;
SELECT posted, held, posted = 10000 - :tprice AS paid FROM hail.balance(:'wallet');
SELECT kind, posted, posted = :tprice - hail.commission(:tprice, 1500) AS earned FROM hail.wallet(who('D4'));
-- cancelled by the customer after the driver has arrived, which its position tells: the fee
SELECT id AS trip FROM hail.request_trip(quote('Ada'), 'wallet', 'first_accept', 'ada-5') \gset t
SELECT (trip).state FROM hail.accept_offer(:'ttrip', who('D3'));
SELECT hail.advance_clock('1 minute') IS NOT NULL AS later;
SELECT state FROM hail.report_location(who('D3'), 0, 31.0001);
SELECT (hail.arrive(:'ttrip')).state, (hail.cancel_trip(:'ttrip', 'customer', 'late')).state;
SELECT posted, held, posted = 10000 - :tprice - 300 AS fee_paid FROM hail.balance(:'wallet');
SELECT trip_id FROM hail.drivers WHERE id = who('D3');

-- Quotes: expired ones, and prices risen since.
SELECT quote('Ada') AS old \gset
SELECT hail.advance_clock('11 minutes') IS NOT NULL AS later, tell_all();
SELECT hail.request_trip(:'old', 'cash', 'first_accept', 'ada-6');

-- Parcels and goods may travel in several trips at a time.
SELECT count(hail.request_trip(quote('Ada', 'van'), 'cash', 'first_accept', 'van-' || i)) FROM generate_series(1, 2) i;
SELECT state, status, round FROM hail.matching_status((SELECT id FROM hail.trips WHERE idempotency_key = 'van-1'));
SELECT count(hail.cancel_trip(id)) FROM hail.trips WHERE idempotency_key LIKE 'van-%';

-- Nobody, superusers included, moves a trip past the table.
UPDATE hail.trips SET state = 'started' WHERE id = :'ttrip';
UPDATE hail.trips SET state = 'lost' WHERE id = :'ttrip';
BEGIN;
INSERT INTO hail.trip_transitions VALUES ('cancelled', 'revive', 'admin', 'searching');
UPDATE hail.trips SET state = 'searching', driver_id = NULL WHERE id = :'ttrip';
ROLLBACK;
UPDATE hail.trips SET state = 'searching' WHERE id = :'ttrip';

-- Customers and drivers by token: their own trips only, the pickup code for the customer alone.
SELECT tell_all();
SELECT hail.issue_token(who('Ada')) AS ada, hail.issue_token(who('Bea')) AS bea, hail.issue_token(who('D5')) AS d5,
       hail.issue_token(who('D6')) AS d6, hail.issue_token(who('D9')) AS d9, who('D6') AS d6_id \gset
SELECT quote('Ada') AS q \gset
BEGIN; SELECT role FROM hail.authenticate(:'bea'); SELECT hail.request_trip(:'q', 'cash', 'first_accept', 'x'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d5'); SELECT hail.request_trip(:'q', 'cash', 'first_accept', 'x'); ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'ada');
SELECT id AS trip FROM hail.request_trip(:'q', 'cash', 'first_accept', 'ada-7') \gset t
COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'d5'); SELECT hail.accept_offer(:'ttrip', :'d6_id'); ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'d5');
SELECT state, pickup_code FROM hail.get_trip(:'ttrip');
SELECT (trip).state, (trip).pickup_code, (trip).idempotency_key, (trip).customer_id IS NOT NULL AS customer
FROM hail.accept_offer(:'ttrip', hail.current_subject());
SELECT state, pickup_code FROM hail.arrive(:'ttrip');
SELECT state, pickup_code FROM hail.get_trip(:'ttrip');
SELECT count(*) FROM (SELECT id, state FROM hail.trips) t;
SELECT count(DISTINCT driver_id) FROM hail.offers;
COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'d5'); SELECT pickup_code FROM hail.trips; ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d5'); SELECT hail.dispatch_tick(); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d5'); SELECT hail.rank_drivers(:'ttrip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d5'); SELECT hail.match_trip(:'ttrip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d5'); UPDATE hail.trips SET price = 0; ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d5'); SELECT hail.cancel_trip(:'ttrip', 'customer'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d6'); SELECT hail.get_trip(:'ttrip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d6'); SELECT hail.start_trip(:'ttrip', '0000'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d6'); SELECT hail.cancel_trip(:'ttrip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d9'); SELECT hail.accept_offer(:'ttrip', hail.current_subject()); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'bea'); SELECT hail.get_trip(:'ttrip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'bea'); SELECT hail.cancel_trip(:'ttrip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'bea'); SELECT count(*) FROM hail.trips WHERE id = :'ttrip'; ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'ada');
SELECT state, pickup_code = (SELECT t.pickup_code FROM hail.trips t WHERE t.id = :'ttrip') AS code FROM hail.get_trip(:'ttrip');
SELECT count(*) > 4 AS offers FROM hail.offers WHERE trip_id = :'ttrip';
SELECT hail.start_trip(:'ttrip', '0000');
ROLLBACK;
SET ROLE hail_driver; SELECT hail.get_trip(:'ttrip'); RESET ROLE;
SELECT (hail.cancel_trip(:'ttrip')).cancelled_by;

-- Preferred areas: a driver with some is offered trips that begin there alone; others pass it over and say why.
SELECT (hail.create_preferred_area('dispatch', 'Here', ST_MakeEnvelope(30.9, -0.1, 31.1, 0.1, 4326))).id AS here,
       (hail.create_preferred_area('dispatch', 'East', ST_MakeEnvelope(31.1, -0.1, 31.5, 0.1, 4326))).id AS east \gset
SELECT (hail.set_preferred_areas(who('D3'), ARRAY[:here, :east]::smallint[])).area_mask = (1::bigint << :here) + (1::bigint << :east) AS d3_both,
       (hail.set_preferred_areas(who('D4'), ARRAY[:east]::smallint[])).area_mask = 1::bigint << :east AS d4_east;
SELECT tell_all();
SELECT id AS trip FROM hail.request_trip(quote('Ada'), 'cash', 'first_accept', 'ada-8') \gset t
SELECT driver FROM offers(:'ttrip');
SELECT name_of(driver_id) AS driver, gate FROM hail.rank_drivers(:'ttrip') WHERE gate = 'preferred_area';
SELECT hail.drop_preferred_area(:east) AS drivers_changed;
SELECT name_of(driver_id) AS driver, gate FROM hail.rank_drivers(:'ttrip') WHERE gate = 'preferred_area';
SELECT (hail.cancel_trip(:'ttrip')).state, (hail.set_preferred_areas(who('D3'), '{}')).area_mask, hail.drop_preferred_area(:here);

-- What must hold, holds.
SELECT * FROM hail.check_dispatch() WHERE status <> 'ok';
SELECT count(*) FROM hail.check_dispatch();
SELECT * FROM hail.event_gaps();
SELECT * FROM hail.check_live() WHERE status <> 'ok';

DROP FUNCTION who(text), name_of(uuid), tell(text, float8), tell_all(), quote(text, text), offers(uuid), code(uuid);
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
