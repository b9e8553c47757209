-- The money of trips: payments that fail and are tried again, cards, tolls, promotions, tips, fees, refunds. 10 km take 20
-- minutes and cost 55.00 at 15 %; waiting: 3 minutes free, then 0.40 a minute, at most 10.00; cancelling costs 3.00.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE SCHEMA money;
GRANT USAGE ON SCHEMA money TO PUBLIC;
CREATE FUNCTION money.try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    field text; state text;
BEGIN
    EXECUTE call;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME;
    RETURN concat_ws(' | ', coalesce((SELECT e.code FROM hail.error_codes() e WHERE e.sqlstate = state), state), nullif(field, ''), SQLERRM);
END $$;
SELECT hail.set_clock('2014-02-03 10:00+00');
SELECT code FROM hail.create_region('purse', 'Purse', 'CHF', 'UTC', ST_MakeEnvelope(160, -1, 162, 1, 4326));
UPDATE hail.regions SET distance_factor = 1, speed_kmh = 30, cooldown = '0' WHERE code = 'purse';
SELECT base FROM hail.set_fare('purse', 'economy', 1000, 350, 50, 1500, 1500, 0, 300, waiting_per_minute => 40, waiting_max => 1000);
CREATE TABLE money.people (name text PRIMARY KEY, id uuid);
GRANT SELECT ON money.people TO PUBLIC;
CREATE FUNCTION money.who(text) RETURNS uuid LANGUAGE sql AS 'SELECT id FROM money.people WHERE name = $1';
INSERT INTO money.people SELECT name, (hail.register_user('+35191099' || to_char(n, 'FM0000'), name, role)).id
FROM (VALUES (1, 'Ann', 'customer'), (2, 'Bob', 'customer'), (3, 'Cid', 'customer'), (4, 'Dan', 'driver'), (5, 'Eve', 'driver'), (6, 'Adm', 'admin')) v (n, name, role);
SELECT count(*) FROM (SELECT hail.register_driver(id, 'purse', ARRAY['economy']), hail.approve_driver(id) FROM money.people WHERE name IN ('Dan', 'Eve')) d;
CREATE FUNCTION money.fund(customer text, amount bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT hail.post_transaction('deposit', ARRAY[ROW((hail.open_account('GATEWAY_CLEARING', NULL, 'CHF')).id, 'debit', amount),
        ROW((hail.open_account('CUSTOMER_WALLET', money.who(customer), 'CHF')).id, 'credit', amount)]::hail.entry_input[], gen_random_uuid()::text);
    SELECT available FROM hail.wallet(money.who(customer)) WHERE currency = 'CHF';
$$;
-- A statement as somebody, with that role's rights, in a transaction of its own.
CREATE PROCEDURE money.ask(name text, call text, INOUT result text DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.authenticate(hail.issue_token(money.who(name)));
    result := money.try(call);
    COMMIT;
END $$;
-- A ride of ten km, taken by Dan, in a state: matched, arrived, started, completed.
CREATE FUNCTION money.ride(customer text, method text, until text DEFAULT 'started', km float8 DEFAULT 10) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    trip hail.trips;
BEGIN
    PERFORM hail.set_availability(money.who('Dan'), true, 0, 161.001);
    trip := hail.request_trip((hail.create_quote(money.who(customer), 0, 161, km * 0.008993216, 161, 'economy')).id, method, 'first_accept', gen_random_uuid()::text);
    UPDATE hail.offers SET status = 'withdrawn' WHERE (trip_id = trip.id OR driver_id = money.who('Dan')) AND status = 'pending';
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
    VALUES (trip.id, money.who('Dan'), 900, 1, 0.5, 100, 12, hail.clock(), hail.clock() + interval '15 seconds');
    IF until = 'searching' THEN
        RETURN trip.id;
    END IF;
    PERFORM hail.accept_offer(trip.id, money.who('Dan'));
    IF until IN ('arrived', 'started', 'completed') THEN
        PERFORM hail.arrive(trip.id);
    END IF;
    IF until IN ('started', 'completed') THEN
        PERFORM hail.start_trip(trip.id, (SELECT pickup_code FROM hail.trips WHERE id = trip.id));
    END IF;
    IF until = 'completed' THEN
        PERFORM hail.complete_trip(trip.id);
    END IF;
    RETURN trip.id;
END $$;
CREATE VIEW money.books AS
    SELECT a.kind, p.name AS owner, b.posted, b.held FROM hail.accounts a LEFT JOIN money.people p ON p.id = a.owner_id, hail.balance(a.id) b
    WHERE a.currency = 'CHF' ORDER BY 1, 2;
-- The transactions of a trip, each with its entries.
CREATE FUNCTION money.posted(trip uuid) RETURNS TABLE (kind text, entries text) LANGUAGE sql AS $$
    SELECT t.kind, string_agg(format('%s %s%s', a.kind, CASE e.direction WHEN 'debit' THEN '-' ELSE '+' END, e.amount), ', ' ORDER BY e.id)
    FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id JOIN hail.accounts a ON a.id = e.account_id
    WHERE t.reference_id = trip GROUP BY t.id, t.kind ORDER BY t.id $$;
CREATE FUNCTION money.events(trip uuid) RETURNS TABLE (type text, payload jsonb) LANGUAGE sql AS $$
    SELECT e.type, e.payload - '{customer_id,driver_id,state,offer_id,by,from_driver}'::text[] FROM hail.events e
    WHERE e.aggregate_id = trip AND e.type NOT IN ('TripRequested', 'OfferCreated', 'TripMatched', 'DriverArrived', 'TripStarted', 'TripCompleted') ORDER BY e.version $$;
CREATE FUNCTION money.pay(trip uuid) RETURNS TABLE (purpose text, method text, state text, fare bigint, tolls bigint, promotion bigint,
    commission bigint, due bigint, paid bigint, tip bigint, refunded bigint, reason text) LANGUAGE sql AS $$
    SELECT purpose, method, state, fare, tolls, promotion, commission, due, paid, tip, refunded, reason FROM hail.trip_payments WHERE trip_id = trip $$;

-- A wallet pays from its hold.
SELECT money.fund('Ann', 10000);
SELECT money.ride('Ann', 'wallet') AS trip \gset
SELECT payment_state, price FROM hail.trips WHERE id = :'trip';
SELECT payment_state FROM hail.complete_trip(:'trip');
SELECT * FROM money.pay(:'trip');
SELECT * FROM money.posted(:'trip');

-- The hold is gone (somebody has given it back, and the money is spent): completed all the same, unpaid, nothing posted.
SELECT money.fund('Ann', 5000);
SELECT money.ride('Ann', 'wallet') AS trip \gset
SELECT (hail.release(hold_id)).status FROM hail.trips WHERE id = :'trip';
SELECT (hail.post_transaction('test', ARRAY[ROW((SELECT id FROM hail.accounts WHERE owner_id = money.who('Ann')), 'debit', 9000),
    ROW((SELECT id FROM hail.accounts WHERE kind = 'GATEWAY_CLEARING' AND currency = 'CHF'), 'credit', 9000)]::hail.entry_input[], 'spend-1')).kind;
SELECT state, payment_state FROM hail.complete_trip(:'trip');
SELECT * FROM money.pay(:'trip');
SELECT * FROM money.posted(:'trip');
SELECT * FROM money.events(:'trip');
SELECT count(*) AS findings FROM hail.reconcile('2014-02-03');
-- Its customer is refused another one until it is paid.
SELECT money.try($$ SELECT money.ride('Ann', 'cash') $$);
SELECT money.try(format($$ SELECT hail.tip_trip(%L, 100, 'tip') $$, :'trip'));
SELECT money.try(format($$ SELECT hail.refund_trip(%L, 100, 'sorry', 'refund') $$, :'trip'));
SELECT n, money.try(format(call, :'trip')) FROM (VALUES
    (1, $$ SELECT hail.retry_payment(%L, 'wallet', 'again') $$),
    (2, $$ SELECT hail.retry_payment(%L, 'barter', 'again') $$),
    (3, $$ SELECT hail.retry_payment(%L, 'wallet', NULL) $$),
    (4, $$ SELECT hail.retry_payment('00000000-0000-0000-0000-000000000001', 'wallet', 'again %1$s') $$)) x (n, call) ORDER BY n;
CALL money.ask('Bob', format('SELECT hail.retry_payment(%L, ''wallet'', ''role-Bob'')', :'trip'));
CALL money.ask('Ann', format('SELECT hail.retry_payment(%L, ''cash'', ''role-Ann'')', :'trip'));
CALL money.ask('Dan', format('SELECT hail.retry_payment(%L, ''wallet'', ''role-Dan'')', :'trip'));
CALL money.ask('Eve', format('SELECT hail.retry_payment(%L, ''cash'', ''role-Eve'')', :'trip'));
SELECT money.fund('Ann', 5000);
SELECT state, paid, commission FROM hail.retry_payment(:'trip', 'wallet', 'again');
SELECT state, paid FROM hail.retry_payment(:'trip', 'wallet', 'again');
SELECT money.try(format($$ SELECT hail.retry_payment(%L, 'card', 'again') $$, :'trip')),
       money.try(format($$ SELECT hail.retry_payment(%L, 'wallet', 'another') $$, :'trip'));
SELECT * FROM money.posted(:'trip');
SELECT * FROM money.events(:'trip');
-- Collected in cash after all: the driver says so.
SELECT money.ride('Bob', 'card') AS trip \gset
SELECT state, payment_state FROM hail.complete_trip(:'trip');
SELECT state, reason FROM money.pay(:'trip');
CALL money.ask('Dan', format($$ SELECT hail.retry_payment(%L, 'cash', 'collected') $$, :'trip'));
SELECT * FROM money.posted(:'trip');
SELECT state, method, paid FROM money.pay(:'trip');
TABLE money.books;
SELECT count(*) AS findings FROM hail.reconcile('2014-02-03');

-- Cards. The gateway's part is played here where there is none: what it says is what counts.
CREATE FUNCTION money.charge(trip uuid) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    intent uuid := gen_random_uuid();
BEGIN
    UPDATE hail.trip_payments SET state = 'pending', intent_id = intent, method = 'card', reason = NULL WHERE trip_id = trip;
    UPDATE hail.trips SET payment_state = 'pending' WHERE id = trip;
    RETURN intent;
END $$;
SELECT money.ride('Bob', 'card') AS trip \gset
SELECT payment_state FROM hail.complete_trip(:'trip');
SELECT money.charge(:'trip') AS intent \gset
SELECT money.try(format($$ SELECT hail.retry_payment(%L, 'wallet', 'early') $$, :'trip')) AS pending_is_not_failed,
       money.try(format($$ SELECT hail.refund_trip(%L, 100, 'sorry', 'early') $$, :'trip')) AS nothing_to_refund;
SELECT hail.trip_charge_succeeded(:'trip', :'intent', 5600);
SELECT hail.trip_charge_succeeded(:'trip', :'intent', 5600);
SELECT state, method, paid FROM money.pay(:'trip');
SELECT * FROM money.posted(:'trip');
-- A charge that nobody waits for, or that is too little, is the customer's; one that fails leaves the trip unpaid.
SELECT hail.trip_charge_succeeded(:'trip', '00000000-0000-7000-8000-00000000000a', 5500);
SELECT hail.trip_charge_succeeded(:'trip', '00000000-0000-7000-8000-00000000000a', 5500);
SELECT * FROM money.posted(:'trip') OFFSET 1;
SELECT money.ride('Bob', 'card', 'completed') AS trip \gset
SELECT money.charge(:'trip') AS intent \gset
SELECT hail.trip_charge_succeeded(:'trip', :'intent', 5499);
SELECT payment_state FROM hail.trips WHERE id = :'trip';
SELECT money.charge(:'trip') AS intent \gset
SELECT hail.trip_charge_failed(:'trip', '00000000-0000-7000-8000-00000000000b', 'another one');
SELECT payment_state FROM hail.trips WHERE id = :'trip';
SELECT hail.trip_charge_failed(:'trip', :'intent', 'declined');
SELECT state, reason FROM money.pay(:'trip');
SELECT state, method FROM hail.retry_payment(:'trip', 'wallet', 'by wallet');
SELECT * FROM money.posted(:'trip');
SELECT type, payload FROM money.events(:'trip');
SELECT count(*) AS findings FROM hail.reconcile('2014-02-03');

-- With a gateway: asked when the trip is over, paid when it says so, refunded through it.
SELECT (hail.create_gateway('tripcard', 'standard_webhooks', '{CHF}')) IS NOT NULL AS made;
SELECT money.ride('Bob', 'card') AS trip \gset
SELECT payment_state FROM hail.complete_trip(:'trip');
SELECT i.state, i.amount, i.id = p.intent_id AS noted FROM hail.payment_intents i JOIN hail.trip_payments p USING (trip_id) WHERE trip_id = :'trip';
SELECT (hail.succeed_intent(i, 'charge-1', 0, hail.clock(), NULL, NULL)).state FROM hail.payment_intents i WHERE trip_id = :'trip';
SELECT method, state, paid FROM money.pay(:'trip');
SELECT state, refunded FROM hail.refund_trip(:'trip', 1000, 'a detour', 'card-1');
SELECT state, refunded FROM hail.refund_trip(:'trip', 1000, 'a detour', 'card-1');
SELECT r.state, r.amount, i.refunding FROM hail.payment_refunds r JOIN hail.payment_intents i ON i.id = r.intent_id WHERE i.trip_id = :'trip';
SELECT * FROM money.posted(:'trip');
-- A charge that fails, or is not answered, leaves it unpaid; the wallet will do.
SELECT money.ride('Bob', 'card', 'completed') AS trip \gset
SELECT (hail.close_intent(i, 'failed', NULL, hail.clock(), 'declined')).state FROM hail.payment_intents i WHERE trip_id = :'trip';
SELECT state, reason FROM money.pay(:'trip');
SELECT state FROM hail.retry_payment(:'trip', 'card', 'card again');
SELECT count(*) AS charges, count(*) FILTER (WHERE state = 'created') AS open FROM hail.payment_intents WHERE trip_id = :'trip';
SELECT (hail.close_intent(i, 'expired', NULL, hail.clock(), 'no answer')).state FROM hail.payment_intents i WHERE trip_id = :'trip' AND state = 'created';
SELECT money.fund('Bob', 10000) > 0 AS funded;
SELECT state, method FROM hail.retry_payment(:'trip', 'wallet', 'wallet then');
SELECT * FROM money.posted(:'trip');
SELECT enabled FROM hail.set_gateway_enabled('tripcard', false);
SELECT count(*) AS findings FROM hail.reconcile('2014-02-03');

-- Tolls: on top of the price, wholly the driver's, held at once.
SELECT money.fund('Ann', 20000) > 0 AS funded;
SELECT money.ride('Ann', 'wallet', 'matched') AS trip \gset
SELECT money.try(format($$ SELECT hail.add_toll(%L, 300, 'bridge', 'toll-1') $$, :'trip'));
SELECT count(hail.arrive(:'trip')), count(hail.start_trip(:'trip', (SELECT pickup_code FROM hail.trips WHERE id = :'trip')));
SELECT tolls, payment_state FROM hail.add_toll(:'trip', 300, 'bridge', 'toll-1');
SELECT held FROM money.books WHERE kind = 'CUSTOMER_WALLET' AND owner = 'Ann';
SELECT tolls FROM hail.add_toll(:'trip', 300, 'bridge', 'toll-1');
SELECT held FROM money.books WHERE kind = 'CUSTOMER_WALLET' AND owner = 'Ann';
SELECT tolls FROM hail.add_toll(:'trip', 250, 'tunnel', 'toll-2');
SELECT held FROM money.books WHERE kind = 'CUSTOMER_WALLET' AND owner = 'Ann';
SELECT n, money.try(format(call, :'trip')) FROM (VALUES
    (1, $$ SELECT hail.add_toll(%L, 400, 'bridge', 'toll-1') $$),
    (2, $$ SELECT hail.add_toll(%L, 4951, 'bridge', 'toll-3') $$),
    (3, $$ SELECT hail.add_toll(%L, 0, 'bridge', 'toll-3') $$),
    (4, $$ SELECT hail.add_toll(%L, NULL, 'bridge', 'toll-3') $$),
    (5, $$ SELECT hail.add_toll(%L, 9223372036854775807, 'bridge', 'toll-3') $$),
    (6, $$ SELECT hail.add_toll(%L, 1, ' ', 'toll-3') $$),
    (7, $$ SELECT hail.add_toll(%L, 1, 'bridge', '') $$)) x (n, call) ORDER BY n;
CALL money.ask('Ann', format($$ SELECT hail.add_toll(%L, 1, 'bridge', 'toll-3') $$, :'trip'));
CALL money.ask('Eve', format($$ SELECT hail.add_toll(%L, 1, 'bridge', 'toll-3') $$, :'trip'));
SELECT count(*) AS findings FROM hail.reconcile('2014-02-03');
SELECT payment_state, price, tolls FROM hail.complete_trip(:'trip');
SELECT * FROM money.posted(:'trip');
SELECT money.try(format($$ SELECT hail.add_toll(%L, 1, 'bridge', 'toll-4') $$, :'trip'));

-- Promotions: 20 % of the fare, 10.00 at most, for 30.00 and more, once a customer, twice in all.
SELECT n, money.try(call) FROM (VALUES
    (1, $$ SELECT hail.create_promotion('x', 'CHF', 1000) $$),
    (2, $$ SELECT hail.create_promotion('FEB', 'XQX', 1000) $$),
    (3, $$ SELECT hail.create_promotion('FEB', 'CHF') $$),
    (4, $$ SELECT hail.create_promotion('FEB', 'CHF', 1000, 500) $$),
    (5, $$ SELECT hail.create_promotion('FEB', 'CHF', 10001) $$),
    (6, $$ SELECT hail.create_promotion('FEB', 'CHF', fixed => 0) $$),
    (7, $$ SELECT hail.create_promotion('FEB', 'CHF', fixed => 5, maximum => 0) $$),
    (8, $$ SELECT hail.create_promotion('FEB', 'CHF', fixed => 5, region => 'atlantis') $$),
    (9, $$ SELECT hail.create_promotion('FEB', 'CHF', fixed => 5, service => 'flight') $$),
    (10, $$ SELECT hail.create_promotion('FEB', 'CHF', fixed => 5, valid_to => '2014-01-01') $$),
    (11, $$ SELECT hail.create_promotion('FEB', 'CHF', fixed => 5, per_customer => 0) $$),
    (12, $$ SELECT hail.create_promotion('FEB', 'CHF', fixed => 5, total => 0) $$),
    (13, $$ SELECT hail.create_promotion('FEB', 'CHF', fixed => 5, budget => -1) $$)) x (n, call) ORDER BY n;
CALL money.ask('Ann', $$ SELECT hail.create_promotion('FEB', 'CHF', 2000) $$);
SELECT code, percent_bp, maximum, valid FROM hail.create_promotion(' feb ', 'CHF', 2000, maximum => 1000, minimum_price => 3000, region => 'purse', service => 'ride', total => 2, valid_to => '2014-03-01');
SELECT money.try($$ SELECT hail.create_promotion('FEB', 'CHF', 2000) $$);
SELECT code FROM hail.create_promotion('FIVE', 'CHF', fixed => 500, per_customer => 9, budget => 700);
SELECT code FROM hail.create_promotion('EURO', 'EUR', fixed => 500);
SELECT code FROM hail.create_promotion('LATER', 'CHF', fixed => 500, valid_from => '2014-02-04');
SELECT code FROM hail.create_promotion('PARCEL', 'CHF', fixed => 500, service => 'delivery');
SELECT money.ride('Ann', 'wallet') AS trip \gset
SELECT n, money.try(format($$ SELECT hail.apply_promotion(%L, %L) $$, :'trip', code)) FROM (VALUES (1, 'NONE'), (2, 'EURO'), (3, 'LATER'), (4, 'PARCEL'), (5, NULL)) x (n, code) ORDER BY n;
CALL money.ask('Bob', format($$ SELECT hail.apply_promotion(%L, 'FEB') $$, :'trip'));
CALL money.ask('Dan', format($$ SELECT hail.apply_promotion(%L, 'FEB') $$, :'trip'));
SELECT held FROM money.books WHERE kind = 'CUSTOMER_WALLET' AND owner = 'Ann';
CALL money.ask('Ann', format($$ SELECT hail.apply_promotion(%L, 'feb') $$, :'trip'));
SELECT promotion_amount, price FROM hail.apply_promotion(:'trip', 'FEB');
SELECT held FROM money.books WHERE kind = 'CUSTOMER_WALLET' AND owner = 'Ann';
SELECT money.try(format($$ SELECT hail.apply_promotion(%L, 'FIVE') $$, :'trip'));
SELECT uses, spent FROM hail.promotions WHERE code = 'FEB';
SELECT count(*) AS findings FROM hail.reconcile('2014-02-03');
-- A shorter way: the promotion shrinks with the fare; it goes where the fare is too low for it.
SELECT price, promotion_amount FROM hail.change_destination(:'trip', 7 * 0.008993216, 161, 10000);
SELECT uses, spent FROM hail.promotions WHERE code = 'FEB';
SELECT price, promotion_amount FROM hail.change_destination(:'trip', 9 * 0.008993216, 161, 10000);
SELECT held FROM money.books WHERE kind = 'CUSTOMER_WALLET' AND owner = 'Ann';
SELECT payment_state FROM hail.complete_trip(:'trip');
SELECT * FROM money.posted(:'trip');
SELECT money.try(format($$ SELECT hail.apply_promotion(%L, 'FIVE') $$, :'trip')), money.try(format($$ SELECT hail.remove_promotion(%L) $$, :'trip'));
-- In cash: the driver gets the promotion from the platform and owes the commission. Once a customer.
SELECT money.ride('Ann', 'cash') AS trip \gset
SELECT money.try(format($$ SELECT hail.apply_promotion(%L, 'FEB') $$, :'trip'));
SELECT promotion_amount FROM hail.apply_promotion(:'trip', 'five');
SELECT payment_state FROM hail.complete_trip(:'trip');
SELECT * FROM money.posted(:'trip');
SELECT due, paid FROM money.pay(:'trip');
-- The budget: 2.00 are left of 7.00. The last use of the other one; what is removed, or cancelled, is free again.
SELECT money.ride('Bob', 'cash', 'searching') AS trip \gset
SELECT money.try(format($$ SELECT hail.apply_promotion(%L, 'FIVE') $$, :'trip'));
SELECT promotion_amount FROM hail.apply_promotion(:'trip', 'FEB');
SELECT money.ride('Cid', 'cash') AS other \gset
SELECT money.try(format($$ SELECT hail.apply_promotion(%L, 'FEB') $$, :'other'));
SELECT promotion_amount FROM hail.remove_promotion(:'trip');
SELECT promotion_amount FROM hail.remove_promotion(:'trip');
SELECT promotion_amount FROM hail.apply_promotion(:'other', 'FEB');
SELECT payment_state, promotion_amount FROM hail.complete_trip(:'other');
SELECT uses, spent FROM hail.promotions WHERE code = 'FEB';
SELECT uses, enabled FROM hail.enable_promotion('five', false);
SELECT money.try(format($$ SELECT hail.apply_promotion(%L, 'FIVE') $$, :'trip'));
SELECT (hail.enable_promotion('FIVE', true)).enabled;
UPDATE hail.promotions SET budget = 1200 WHERE code = 'FIVE';
SELECT promotion_amount FROM hail.apply_promotion(:'trip', 'FIVE');
SELECT spent FROM hail.promotions WHERE code = 'FIVE';
SELECT state, promotion_amount FROM hail.cancel_trip(:'trip', 'customer', 'no need');
SELECT uses, spent FROM hail.promotions WHERE code = 'FIVE';
SELECT type, payload FROM money.events(:'trip');
SELECT count(*) AS findings FROM hail.reconcile('2014-02-03');
-- A promotion that pays all of a trip leaves only waiting to be held, and the trip is paid.
SELECT code FROM hail.create_promotion('FREE', 'CHF', 10000, per_customer => 5);
SELECT money.ride('Ann', 'wallet', 'searching') AS trip \gset
SELECT promotion_amount FROM hail.apply_promotion(:'trip', 'FREE');
SELECT count(*) FROM hail.accept_offer(:'trip', money.who('Dan'));
SELECT payment_state FROM hail.trips WHERE id = :'trip';
SELECT held FROM money.books WHERE kind = 'CUSTOMER_WALLET' AND owner = 'Ann';
SELECT count(hail.arrive(:'trip')), count(hail.start_trip(:'trip', (SELECT pickup_code FROM hail.trips WHERE id = :'trip')));
SELECT payment_state FROM hail.complete_trip(:'trip');
SELECT * FROM money.posted(:'trip');
SELECT due, paid, state FROM money.pay(:'trip');
SELECT held FROM money.books WHERE kind = 'CUSTOMER_WALLET' AND owner = 'Ann';
SELECT money.try(format($$ SELECT hail.refund_trip(%L, NULL, 'sorry', 'free') $$, :'trip'));

-- Tips: after the trip, from the wallet, wholly the driver's.
SELECT money.ride('Ann', 'wallet') AS trip \gset
SELECT money.try(format($$ SELECT hail.tip_trip(%L, 100, 'tip-1') $$, :'trip'));
SELECT count(hail.complete_trip(:'trip'));
CALL money.ask('Ann', format($$ SELECT hail.tip_trip(%L, 500, 'tip-1') $$, :'trip'));
SELECT tip FROM hail.tip_trip(:'trip', 500, 'tip-1');
SELECT tip FROM hail.tip_trip(:'trip', 200, 'tip-2');
SELECT n, money.try(format(call, :'trip')) FROM (VALUES
    (1, $$ SELECT hail.tip_trip(%L, 501, 'tip-1') $$),
    (2, $$ SELECT hail.tip_trip(%L, 4801, 'tip-3') $$),
    (3, $$ SELECT hail.tip_trip(%L, -5, 'tip-3') $$),
    (4, $$ SELECT hail.tip_trip(%L, 5, NULL) $$)) x (n, call) ORDER BY n;
CALL money.ask('Bob', format($$ SELECT hail.tip_trip(%L, 5, 'tip-3') $$, :'trip'));
CALL money.ask('Dan', format($$ SELECT hail.tip_trip(%L, 5, 'tip-3') $$, :'trip'));
SELECT * FROM money.posted(:'trip');
SELECT type, payload FROM money.events(:'trip');
SELECT hail.advance_clock('24 hours 1 second') IS NOT NULL AS a_day_later;
SELECT money.try(format($$ SELECT hail.tip_trip(%L, 5, 'tip-3') $$, :'trip'));

-- Refunds in parts that nothing divides evenly: 55.00 + 3.33 tolls - 7.77 promotion = 50.56 paid, 8.25 commission.
SELECT money.fund('Ann', 10000) > 0 AS funded;
SELECT code FROM hail.create_promotion('ODD', 'CHF', fixed => 777);
SELECT money.ride('Ann', 'wallet') AS trip \gset
SELECT count(hail.add_toll(:'trip', 333, 'bridge', 't')), count(hail.apply_promotion(:'trip', 'ODD')), count(hail.complete_trip(:'trip'));
SELECT * FROM money.posted(:'trip');
SELECT n, money.try(format(call, :'trip')) FROM (VALUES
    (1, $$ SELECT hail.refund_trip(%L, 5057, 'sorry', 'r') $$),
    (2, $$ SELECT hail.refund_trip(%L, 0, 'sorry', 'r') $$),
    (3, $$ SELECT hail.refund_trip(%L, 1, NULL, 'r') $$),
    (4, $$ SELECT hail.refund_trip(%L, 1, 'sorry', NULL) $$),
    (5, $$ SELECT hail.refund_trip(%L, 1, 'sorry', 'r', 'nobody') $$),
    (6, $$ SELECT hail.refund_trip('00000000-0000-0000-0000-000000000001', 1, 'sorry %s', 'r') $$)) x (n, call) ORDER BY n;
CALL money.ask('Ann', format($$ SELECT hail.refund_trip(%L, 1, 'sorry', 'r') $$, :'trip'));
CALL money.ask('Dan', format($$ SELECT hail.refund_trip(%L, 1, 'sorry', 'r') $$, :'trip'));
SELECT n, p.state, p.refunded, p.commission_back, p.promotion_back FROM generate_series(1, 7) n, hail.refund_trip(:'trip', 701 + n, 'part', 'r' || n) p ORDER BY n;
SELECT state, refunded FROM hail.refund_trip(:'trip', 702, 'part', 'r1');
SELECT money.try(format($$ SELECT hail.refund_trip(%L, 703, 'part', 'r1') $$, :'trip')), money.try(format($$ SELECT hail.refund_trip(%L, NULL, 'part', 'r1') $$, :'trip'));
SELECT state, refunded, refunded_shared, commission_back, promotion_back FROM hail.refund_trip(:'trip', NULL, 'the rest', 'r8');
SELECT state, refunded FROM hail.refund_trip(:'trip', NULL, 'the rest', 'r8');
SELECT money.try(format($$ SELECT hail.refund_trip(%L, NULL, 'more', 'r9') $$, :'trip'));
SELECT a.kind, sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) AS nothing_is_left FROM hail.ledger_transactions t
JOIN hail.ledger_entries e ON e.transaction_id = t.id JOIN hail.accounts a ON a.id = e.account_id WHERE t.reference_id = :'trip' GROUP BY 1 ORDER BY 1;
SELECT payment_state FROM hail.trips WHERE id = :'trip';
SELECT type, payload FROM money.events(:'trip') ORDER BY type, payload DESC LIMIT 4;
-- Parts of all sizes add up, whatever the commission and the promotion.
SELECT count(*) AS trips, count(*) FILTER (WHERE whole.c <> c.commission OR whole.p <> c.promotion OR whole.d <> fare - c.commission OR whole.least < 0) AS wrong
FROM generate_series(1, 300) i, LATERAL (SELECT (i * 7919) % 400 + 1 AS fare, (i * 104729) % 10001 AS bp) f,
    LATERAL (SELECT hail.commission(fare, bp) AS commission, (i * 31) % fare AS promotion) c,
    LATERAL (WITH RECURSIVE parts AS (
        SELECT 0 AS refunded, 0::bigint AS c, 0::bigint AS p, 0::bigint AS d, 0::bigint AS least
        UNION ALL SELECT refunded + part, parts.c + s.commission, parts.p + s.promotion, parts.d + s.driver, least(parts.least, s.commission, s.promotion, s.driver)
        FROM parts, LATERAL (SELECT least((i + refunded * 3) % 17 + 1, fare - c.promotion - refunded)::integer AS part) q,
             LATERAL hail.refund_shares(jsonb_populate_record(NULL::hail.trip_payments, jsonb_build_object('commission', c.commission, 'promotion', c.promotion,
                 'due', fare - c.promotion, 'refunded_shared', refunded, 'commission_back', parts.c, 'promotion_back', parts.p)), part) s
        WHERE refunded < fare - c.promotion)
      SELECT * FROM parts WHERE refunded = fare - c.promotion) whole;

-- Borne by the platform, by the driver; a cash trip's goes to the wallet.
SELECT money.ride('Bob', 'cash', 'completed') AS trip \gset
SELECT state, refunded, commission_back FROM hail.refund_trip(:'trip', 1000, 'a detour', 'p', 'platform');
SELECT state, refunded, commission_back FROM hail.refund_trip(:'trip', 500, 'rude', repeat('d', 200), 'driver');
SELECT state, refunded, commission_back FROM hail.refund_trip(:'trip', NULL, 'all of it', 's');
SELECT * FROM money.posted(:'trip');
SELECT count(*) AS findings FROM hail.reconcile('2014-02-04');

-- Nobody comes: the driver has been at the pickup for the three minutes that are free.
SELECT money.fund('Cid', 200);
SELECT money.ride('Cid', 'cash', 'matched') AS trip \gset
SELECT count(hail.arrive(:'trip'));
SELECT money.try(format($$ SELECT hail.cancel_trip(%L, 'driver', 'no_show') $$, :'trip'));
SELECT hail.advance_clock('3 minutes') IS NOT NULL AS waited;
SELECT state, cancelled_by, payment_state FROM hail.cancel_trip(:'trip', 'driver', 'no_show');
SELECT purpose, state, due, paid, reason FROM money.pay(:'trip');
SELECT * FROM money.posted(:'trip');
SELECT type, payload FROM money.events(:'trip');
SELECT trips_total, trips_completed FROM hail.drivers WHERE id = money.who('Dan') AND active_jobs = 0;
-- The wallet had 2.00 of 3.00: the rest is due before the next trip. The shares add up to those of the whole fee.
SELECT money.try($$ SELECT money.ride('Cid', 'cash') $$);
SELECT money.try(format($$ SELECT hail.retry_payment(%L, 'cash', 'c') $$, :'trip')), money.try(format($$ SELECT hail.retry_payment(%L, 'wallet', 'c') $$, :'trip'));
SELECT money.fund('Cid', 5000);
SELECT state, due, paid FROM hail.retry_payment(:'trip', 'wallet', 'c');
SELECT * FROM money.posted(:'trip');
SELECT state, refunded FROM hail.refund_trip(:'trip', NULL, 'was there', 'f');
-- A customer who cancels at the pickup: from the hold.
SELECT money.fund('Cid', 7000) > 0 AS funded;
SELECT money.ride('Cid', 'wallet', 'arrived') AS trip \gset
SELECT state, payment_state FROM hail.cancel_trip(:'trip', 'customer', 'late');
SELECT * FROM money.posted(:'trip');
SELECT held FROM money.books WHERE kind = 'CUSTOMER_WALLET' AND owner = 'Cid';

-- What each sees of it.
CALL money.ask('Cid', format($$ DO 'DECLARE p hail.trip_payments := hail.trip_payment(''%s''); BEGIN ASSERT p.due = 300 AND p.commission IS  NULL; END' $$, :'trip'));
CALL money.ask('Dan', format($$ DO 'DECLARE p hail.trip_payments := hail.trip_payment(''%s''); BEGIN ASSERT p.due = 300 AND p.commission IS NOT NULL; END' $$, :'trip'));
CALL money.ask('Bob', format($$ DO 'DECLARE p hail.trip_payments := hail.trip_payment(''%s''); BEGIN ASSERT p.due = 300 AND p.commission IS  NULL; END' $$, :'trip'));
CALL money.ask('Eve', format($$ DO 'DECLARE p hail.trip_payments := hail.trip_payment(''%s''); BEGIN ASSERT p.due = 300 AND p.commission IS  NULL; END' $$, :'trip'));
CALL money.ask('Cid', $$ DO 'BEGIN ASSERT (SELECT count(due) FROM hail.trip_payments) = 3; END' $$);
CALL money.ask('Cid', $$ SELECT commission FROM hail.trip_payments $$);
CALL money.ask('Dan', $$ SELECT commission FROM hail.trip_payments $$);
CALL money.ask('Eve', $$ DO 'BEGIN ASSERT NOT EXISTS (SELECT trip_id FROM hail.trip_payments); END' $$);
CALL money.ask('Cid', $$ UPDATE hail.trip_payments SET paid = 0 $$);
CALL money.ask('Adm', $$ UPDATE hail.trip_payments SET paid = 0 $$);
CALL money.ask('Adm', $$ DELETE FROM hail.promotion_uses $$);
CALL money.ask('Adm', $$ UPDATE hail.promotions SET budget = NULL $$);
CALL money.ask('Adm', $$ UPDATE hail.trip_adjustments SET amount = 1 $$);
TABLE money.books;
SELECT sum(posted) AS zero FROM money.books;
SELECT count(*) AS findings FROM hail.reconcile('2014-02-03');
SELECT count(*) AS findings FROM hail.reconcile('2014-02-04');
-- The payment of a trip says what the trip says.
SELECT count(*) AS differ FROM hail.trip_payments p JOIN hail.trips t ON t.id = p.trip_id WHERE p.state <> t.payment_state OR p.method <> t.payment_method;
SELECT DISTINCT t.kind FROM hail.ledger_transactions t WHERE t.principal = 'system' AND t.kind NOT IN (SELECT template FROM hail.entry_templates) AND t.kind <> 'template_test' ORDER BY 1;
DROP SCHEMA money CASCADE;
RESET client_min_messages;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
