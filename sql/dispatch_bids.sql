-- broadcast_bid on a frozen clock: drivers bid, the customer chooses, the others are told.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set world :abs_srcdir '/test/regress/strategies.sql'
\set east 54
\set ECHO none
\o /dev/null
\ir :world
\o
\set ECHO all
CREATE FUNCTION bids(trip uuid) RETURNS TABLE (driver text, amount bigint, status text, closed timestamptz) LANGUAGE sql AS
$$ SELECT name_of(b.driver_id), b.amount, b.status, b.closed_at FROM hail.bids b WHERE b.trip_id = trip ORDER BY b.id $$;
CREATE FUNCTION live_bid(trip uuid, driver text) RETURNS uuid LANGUAGE sql AS
$$ SELECT b.id FROM hail.bids b WHERE b.trip_id = trip AND b.driver_id = who(driver) ORDER BY b.id DESC LIMIT 1 $$;

-- Up to ten drivers are asked for 30 seconds; none can accept by itself.
SELECT id AS trip, price FROM request('Ada', 'broadcast_bid', 'bid-1') \gset
SELECT * FROM offers(:'trip');
SELECT hail.accept_offer(:'trip', who('D1'));
SELECT :price AS price, strategy, lowest_bid, highest_bid, bid FROM hail.driver_offers(who('D1'));

-- Limits: 70 % to 150 % of the quoted price, inwards to a multiple of 50.
SELECT hail.place_bid(:'trip', who('D1'), 3100);
\set VERBOSITY default
SELECT hail.place_bid(:'trip', who('D1'), 6651);
\set VERBOSITY terse
SELECT hail.place_bid(:'trip', who('D1'), NULL);
SELECT hail.place_bid(:'trip', who('D1'), 0);
SELECT hail.place_bid(:'trip', who('D1'), -3000);
SELECT hail.place_bid(:'trip', who('D1'), 9223372036854775807);
SELECT hail.place_bid(:'trip', who('D1'), 3000, -1);
SELECT hail.place_bid(:'trip', who('D1'), 3000, 86401);
SELECT hail.place_bid(:'trip', who('D1'), 3000, 60, repeat('x', 501));
SELECT hail.place_bid(:'trip', who('D9'), 3000);
SELECT hail.place_bid(hail.uuid7(), who('D1'), 3000);
SELECT hail.place_bid(NULL, who('D1'), 3000);
SELECT hail.place_bid(:'trip', hail.uuid7(), 3000);
SELECT * FROM bids(:'trip');

-- One live bid a driver: another replaces it, the same again is the same.
SELECT amount, currency, pickup_distance_m, pickup_eta_s, note, status, expires_at, expires_at - hail.clock() AS lives
FROM hail.place_bid(:'trip', who('D1'), 3150);
SELECT id AS first FROM hail.place_bid(:'trip', who('D1'), 3500, 120, 'black car') \gset
SELECT id = :'first' AS same FROM hail.place_bid(:'trip', who('D1'), 3500, 120, 'black car');
SELECT amount FROM hail.place_bid(:'trip', who('D2'), 4000);
SELECT amount FROM hail.place_bid(:'trip', who('D3'), 6650);
SELECT * FROM bids(:'trip');
SELECT driver_name, rating, rating_count, trips_completed, amount, currency, pickup_distance_m, pickup_eta_s, note FROM hail.trip_bids(:'trip');
SELECT bid FROM hail.driver_offers(who('D1'));

-- Declining takes the bid back. Bids that are not there to be chosen.
SELECT (hail.decline_offer(:'trip', who('D3'), 'changed my mind')).status;
SELECT hail.choose_bid(:'trip', live_bid(:'trip', 'D3'));
SELECT hail.choose_bid(:'trip', (SELECT id FROM hail.bids WHERE trip_id = :'trip' AND status = 'replaced'));
SELECT hail.choose_bid(:'trip', hail.uuid7());
SELECT hail.choose_bid(:'trip', NULL);
SELECT hail.choose_bid(hail.uuid7(), :'first');
SELECT hail.place_bid(:'trip', who('D3'), 3000);

-- The customer chooses: one commit; the trip costs what was bid; the others have lost and are told.
SELECT amount FROM hail.place_bid(:'trip', who('D4'), 3300);
SELECT state, name_of(driver_id) AS driver, price FROM hail.choose_bid(:'trip', :'first');
SELECT state, name_of(driver_id) AS driver, price FROM hail.choose_bid(:'trip', :'first');
SELECT hail.choose_bid(:'trip', live_bid(:'trip', 'D2'));
SELECT hail.place_bid(:'trip', who('D2'), 2500);
SELECT * FROM bids(:'trip');
SELECT driver, status FROM offers(:'trip');
SELECT count(*) FROM hail.trip_bids(:'trip');
SELECT * FROM events(:'trip');
SELECT trip_id = :'trip' AS busy FROM hail.drivers WHERE id = who('D1');

-- Its driver gives it back: searched for again at the quoted price, without that driver.
SELECT state, price, price = :price AS as_quoted FROM hail.cancel_trip(:'trip', 'driver');
SELECT hail.dispatch_tick();
SELECT round, driver, status FROM offers(:'trip') WHERE round = 2;
SELECT hail.choose_bid(:'trip', :'first');

-- No bids: after 30 seconds the next round, wider; bids end with their round.
SELECT amount FROM hail.place_bid(:'trip', who('D2'), 4000);
SELECT later('29 seconds');
SELECT later('1 second');
SELECT hail.choose_bid(:'trip', live_bid(:'trip', 'D2'));
SELECT driver, amount, status FROM bids(:'trip') ORDER BY 3, 1;
SELECT round, radius_m, status FROM hail.matching_status(:'trip');
SELECT round, driver, status FROM offers(:'trip') WHERE round = 3;
SELECT hail.place_bid(:'trip', who('D2'), 3000);
SELECT amount AS placed FROM hail.place_bid(:'trip', who('D9'), 4100);
SELECT later('30 seconds');
SELECT amount AS asked_again FROM hail.place_bid(:'trip', who('D9'), 4100);
-- the customer cancels: bids end
SELECT (hail.cancel_trip(:'trip', 'customer')).state;
SELECT hail.choose_bid(:'trip', live_bid(:'trip', 'D9'));
SELECT hail.place_bid(:'trip', who('D9'), 3000);
SELECT status, count(*) FROM bids(:'trip') GROUP BY 1 ORDER BY 1;

-- A bidder who takes another trip is gone for this one; the search goes on.
SELECT id AS trip FROM request('Ada', 'broadcast_bid', 'bid-2') \gset
SELECT id AS other FROM request('Bea', 'first_accept', 'other') \gset
SELECT amount FROM hail.place_bid(:'trip', who('D1'), 4000);
SELECT amount FROM hail.place_bid(:'trip', who('D2'), 4100);
SELECT (trip).state FROM hail.accept_offer(:'other', who('D1'));
SELECT hail.choose_bid(:'trip', live_bid(:'trip', 'D1'));
SELECT hail.place_bid(:'trip', who('D1'), 2900);
SELECT (hail.set_availability(who('D2'), false)).online;
SELECT hail.choose_bid(:'trip', live_bid(:'trip', 'D2'));
SELECT hail.place_bid(:'trip', who('D2'), 2900);
SELECT state, status FROM hail.matching_status(:'trip');
SELECT (hail.cancel_trip(:'other', 'customer')).state, (hail.cancel_trip(:'trip', 'customer')).state;
SELECT (hail.set_availability(who('D2'), true, 0, 54 + 1112 / 111195.0)).online;

-- A wallet must cover the bid when it is chosen, and holds it.
SELECT id AS wallet FROM hail.open_account('CUSTOMER_WALLET', who('Cas'), 'EUR') \gset
SELECT id AS gateway FROM hail.open_account('GATEWAY_CLEARING', NULL, 'EUR') \gset
SELECT (hail.post_transaction('deposit', ARRAY[ROW(:'gateway', 'debit', 5000), ROW(:'wallet', 'credit', 5000)]::hail.entry_input[],
                              'bids-deposit')).kind;
SELECT id AS trip, price FROM request('Cas', 'broadcast_bid', 'bid-3', 'wallet') \gset
SELECT amount FROM hail.place_bid(:'trip', who('D1'), 5050);
SELECT amount FROM hail.place_bid(:'trip', who('D2'), 5000);
SELECT hail.choose_bid(:'trip', live_bid(:'trip', 'D1'));
SELECT state, price = :price AS as_quoted FROM hail.get_trip(:'trip');
SELECT status FROM bids(:'trip');
SELECT state, price FROM hail.choose_bid(:'trip', live_bid(:'trip', 'D2'));
SELECT posted, held, available FROM hail.balance(:'wallet');
SELECT (hail.cancel_trip(:'trip', 'driver')).price = :price AS as_quoted;
SELECT posted, held FROM hail.balance(:'wallet');
SELECT hail.dispatch_tick();
SELECT amount FROM hail.place_bid(:'trip', who('D1'), 3200);
SELECT state, price FROM hail.choose_bid(:'trip', live_bid(:'trip', 'D1'));
SELECT (hail.arrive(:'trip')).state, (hail.start_trip(:'trip', (SELECT pickup_code FROM hail.trips WHERE id = :'trip'))).state;
SELECT (hail.complete_trip(:'trip')).state;
SELECT posted, held FROM hail.balance(:'wallet');

-- Trips of other strategies take no bids.
SELECT id AS plain FROM request('Bea', 'first_accept', 'plain') \gset
SELECT hail.place_bid(:'plain', who('D2'), 3000);
SELECT (hail.cancel_trip(:'plain', 'customer')).state;

-- By token: a customer sees the bids of its trips, a driver its own; nobody bids or chooses for another.
SELECT id AS trip FROM request('Ada', 'broadcast_bid', 'bid-4') \gset
SELECT hail.issue_token(who('Ada')) AS ada, hail.issue_token(who('Bea')) AS bea, hail.issue_token(who('D2')) AS d2,
       hail.issue_token(who('D3')) AS d3, who('D2') AS d2_id, who('D3') AS d3_id \gset
BEGIN; SELECT role FROM hail.authenticate(:'d3'); SELECT hail.place_bid(:'trip', :'d2_id', 3000); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'ada'); SELECT hail.place_bid(:'trip', :'d2_id', 3000); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d2'); SELECT amount FROM hail.place_bid(:'trip', :'d2_id', 4000); COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'d3'); SELECT amount FROM hail.place_bid(:'trip', :'d3_id', 3900); COMMIT;
SELECT live_bid(:'trip', 'D2') AS bid \gset
BEGIN; SELECT role FROM hail.authenticate(:'d3'); SELECT amount FROM hail.bids WHERE trip_id = :'trip'; SELECT hail.trip_bids(:'trip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d2'); SELECT hail.choose_bid(:'trip', :'bid'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'bea'); SELECT count(*) FROM hail.bids WHERE trip_id = :'trip'; SELECT hail.trip_bids(:'trip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'bea'); SELECT hail.choose_bid(:'trip', :'bid'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d2'); UPDATE hail.bids SET amount = 1; ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d2'); SELECT hail.accept_for(:'trip', :'d2_id', 'customer', 1); ROLLBACK;
SET ROLE hail_customer; SELECT hail.trip_bids(:'trip'); RESET ROLE;
SET ROLE hail_customer; SELECT hail.choose_bid(:'trip', :'bid'); RESET ROLE;
BEGIN;
SELECT role FROM hail.authenticate(:'ada');
SELECT amount, driver_name FROM hail.trip_bids(:'trip');
SELECT count(*) FROM hail.bids WHERE trip_id = :'trip';
SELECT state, price, pickup_code IS NOT NULL AS code FROM hail.choose_bid(:'trip', :'bid');
COMMIT;
SELECT (hail.cancel_trip(:'trip', 'customer')).state;

-- Chosen long ago: the same choice still gives the trip. An estimate beyond a day is a day.
SELECT later('10 minutes');
SELECT id AS trip FROM request('Bea', 'broadcast_bid', 'bid-5') \gset
UPDATE hail.offers SET pickup_eta_s = 90000 WHERE trip_id = :'trip';
SELECT amount, pickup_eta_s FROM hail.place_bid(:'trip', who('D1'), 4000);
SELECT state FROM hail.choose_bid(:'trip', live_bid(:'trip', 'D1'));
SELECT (hail.arrive(:'trip')).state, (hail.start_trip(:'trip', (SELECT pickup_code FROM hail.trips WHERE id = :'trip'))).state,
       (hail.complete_trip(:'trip')).state;
SELECT state, price FROM hail.choose_bid(:'trip', live_bid(:'trip', 'D1'));

-- Assigned by hand, at the quoted price: the driver's own bid is not what was chosen, the others have lost and are told.
SELECT later('10 minutes');
SELECT id AS trip, price FROM request('Bea', 'broadcast_bid', 'bid-6') \gset
SELECT (hail.place_bid(:'trip', who('D1'), 4000)).amount AS d1, (hail.place_bid(:'trip', who('D2'), 4100)).amount AS d2;
SELECT state, name_of(driver_id) AS driver, price = :price AS as_quoted FROM hail.assign_trip(:'trip', who('D1'));
SELECT driver, amount, status FROM bids(:'trip');
SELECT * FROM events(:'trip', 4);
SELECT (hail.cancel_trip(:'trip', 'customer')).state;

SELECT * FROM hail.check_dispatch() WHERE status = 'fail';
SELECT * FROM hail.event_gaps();
SELECT count(hail.set_availability(id, false)) FROM people WHERE metres IS NOT NULL;
RESET search_path;
DROP SCHEMA strategies CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
