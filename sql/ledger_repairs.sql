-- Money that went another way than it should: what a gateway did not answer, or answered late; what card and wallet have paid
-- together; what the engine has posted and somebody wants back. 10 km cost 55.00 at 15 %; cancelling costs 3.00.
SET timezone = 'UTC';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE SCHEMA repair;
GRANT USAGE ON SCHEMA repair TO PUBLIC;
CREATE FUNCTION repair.try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    field text; state text;
BEGIN
    EXECUTE call;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME;
    RETURN concat_ws(' | ', coalesce((SELECT e.code FROM hail.error_codes() e WHERE e.sqlstate = state), state), nullif(field, ''), SQLERRM);
END $$;
SELECT hail.set_clock('2014-02-05 10:00+00') IS NOT NULL AS frozen;
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XRP', 3, 50);
SELECT code FROM hail.create_region('repair', 'Repair', 'XRP', 'UTC', ST_MakeEnvelope(163, -1, 165, 1, 4326));
UPDATE hail.regions SET distance_factor = 1, speed_kmh = 30, cooldown = '0' WHERE code = 'repair';
SELECT base FROM hail.set_fare('repair', 'economy', 1000, 350, 50, 1500, 1500, 0, 300);
CREATE TABLE repair.people (name text PRIMARY KEY, id uuid);
CREATE FUNCTION repair.who(text) RETURNS uuid LANGUAGE sql AS 'SELECT id FROM repair.people WHERE name = $1';
INSERT INTO repair.people SELECT name, (hail.register_user('+35192099' || to_char(n, 'FM0000'), name, role)).id
FROM (VALUES (1, 'Ada', 'customer'), (2, 'Ben', 'customer'), (3, 'Dov', 'driver'), (4, 'Shop', 'partner')) v (n, name, role);
SELECT count(*) FROM (SELECT hail.register_driver(id, 'repair', ARRAY['economy']), hail.approve_driver(id) FROM repair.people WHERE name = 'Dov') d;
SELECT (g.gateway).name FROM hail.create_gateway('mender', 'standard_webhooks', '{XRP}', secret => 'whsec_' || encode('a secret of thirty-two bytes, gw', 'base64')) g;
CREATE FUNCTION repair.tell(id text, type text, data jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT outcome FROM (SELECT extract(epoch FROM hail.clock())::bigint::text AS at, jsonb_build_object('type', type, 'data', data)::text AS body) b,
        hail.receive_gateway_event('mender', jsonb_build_object('webhook-id', id, 'webhook-timestamp', b.at,
            'webhook-signature', hail.webhook_signature('a secret of thirty-two bytes, gw'::bytea, id, b.at, b.body)), b.body) $$;
CREATE FUNCTION repair.paid(intent uuid, reference text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('intentId', i.id, 'reference', reference, 'amount', i.amount, 'currency', i.currency) FROM hail.payment_intents i WHERE i.id = intent $$;
CREATE FUNCTION repair.fund(customer text, amount bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT hail.post_transaction('deposit', ARRAY[ROW((hail.open_account('GATEWAY_CLEARING', NULL, 'XRP')).id, 'debit', amount),
        ROW((hail.open_account('CUSTOMER_WALLET', repair.who(customer), 'XRP')).id, 'credit', amount)]::hail.entry_input[], gen_random_uuid()::text);
    SELECT available FROM hail.wallet(repair.who(customer)) WHERE currency = 'XRP' $$;
CREATE FUNCTION repair.available(name text) RETURNS TABLE (posted bigint, held bigint) LANGUAGE sql AS $$
    SELECT posted, held FROM hail.wallet(repair.who(name)) WHERE currency = 'XRP' $$;
CREATE FUNCTION repair.ride(customer text, method text, until text DEFAULT 'started', bid bigint DEFAULT NULL) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    trip hail.trips;
BEGIN
    PERFORM hail.set_availability(repair.who('Dov'), true, 0, 164.001);
    trip := hail.request_trip((hail.create_quote(repair.who(customer), 0, 164, 10 * 0.008993216, 164, 'economy')).id, method,
                              CASE WHEN bid IS NULL THEN 'first_accept' ELSE 'broadcast_bid' END, gen_random_uuid()::text);
    UPDATE hail.offers SET status = 'withdrawn' WHERE (trip_id = trip.id OR driver_id = repair.who('Dov')) AND status = 'pending';
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
    VALUES (trip.id, repair.who('Dov'), 900, 1, 0.5, 100, 12, hail.clock(), hail.clock() + interval '15 seconds');
    IF bid IS NOT NULL THEN
        PERFORM hail.choose_bid(trip.id, (hail.place_bid(trip.id, repair.who('Dov'), bid)).id);
        RETURN trip.id;
    END IF;
    PERFORM hail.accept_offer(trip.id, repair.who('Dov'));
    PERFORM hail.arrive(trip.id) WHERE until IN ('arrived', 'started', 'completed');
    PERFORM hail.start_trip(trip.id, (SELECT pickup_code FROM hail.trips WHERE id = trip.id)) WHERE until IN ('started', 'completed');
    PERFORM hail.complete_trip(trip.id) WHERE until = 'completed';
    RETURN trip.id;
END $$;
CREATE FUNCTION repair.posted(reference uuid) RETURNS TABLE (kind text, entries text) LANGUAGE sql AS $$
    SELECT t.kind, string_agg(format('%s %s%s', a.kind, CASE e.direction WHEN 'debit' THEN '-' ELSE '+' END, e.amount), ', ' ORDER BY e.id)
    FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id JOIN hail.accounts a ON a.id = e.account_id
    WHERE t.reference_id = reference GROUP BY t.id, t.kind ORDER BY t.id $$;
CREATE FUNCTION repair.intent(trip uuid) RETURNS uuid LANGUAGE sql AS $$ SELECT intent_id FROM hail.trip_payments WHERE trip_id = trip $$;
CREATE FUNCTION repair.findings() RETURNS TABLE (check_name text, expected bigint, actual bigint) LANGUAGE sql AS $$
    SELECT check_name, expected, actual FROM hail.reconcile((hail.clock() AT TIME ZONE 'UTC')::date) ORDER BY 1, 2, 3 $$;

-- A charge that failed, and then the gateway says that it succeeded: refused, to be looked at; taken by hand, it pays the trip.
SELECT repair.ride('Ada', 'card', 'completed') AS trip \gset
SELECT repair.intent(:'trip') AS intent \gset
SELECT repair.tell('r-1', 'payment.failed', repair.paid(:'intent', 'P-1')), repair.tell('r-2', 'payment.succeeded', repair.paid(:'intent', 'P-1'));
SELECT payment_state FROM hail.trips WHERE id = :'trip';
SELECT * FROM repair.findings();
SELECT repair.try(format($$ SELECT hail.settle_payment(%L, ' ') $$, :'intent')), repair.try(format($$ SELECT hail.settle_payment(%L, 'seen', 'P-2') $$, :'intent')),
       repair.try(format($$ SELECT hail.settle_payment(%L, 'seen', NULL, 5501) $$, :'intent')), repair.try(format($$ SELECT hail.settle_deposit(%L, 'seen') $$, :'intent'));
SELECT state, fee, reason FROM hail.settle_payment(:'intent', 'on their statement', 'P-1', 40);
SELECT state, fee, reason FROM hail.settle_payment(:'intent', 'again', 'P-1', 41);
SELECT payment_state FROM hail.trips WHERE id = :'trip';
SELECT * FROM repair.posted(:'trip');
SELECT (hail.resolve_gateway_event('mender', 'r-2', 'settled by hand')).resolution;
SELECT * FROM repair.findings();

-- A charge that came when the trip had been paid from the wallet: it is in the wallet, and goes back by its gateway from there.
SELECT repair.ride('Ada', 'card', 'completed') AS trip \gset
SELECT repair.intent(:'trip') AS intent \gset
SELECT hail.advance_clock('2 hours') IS NOT NULL AS later, hail.expire_payments() > 0 AS expired;
SELECT repair.fund('Ada', 6000);
SELECT state FROM hail.retry_payment(:'trip', 'wallet', 'pay');
SELECT repair.tell('r-3', 'payment.succeeded', repair.paid(:'intent', 'P-3'));
SELECT * FROM repair.available('Ada');
SELECT (r.refund).id AS refund FROM hail.refund_deposit(:'intent', 5500, 'paid twice', 'back') r \gset
SELECT * FROM repair.available('Ada');
SELECT repair.try(format($$ SELECT hail.refund_deposit(%L, 1, 'more', 'back 2') $$, :'intent'));
-- The gateway says nothing: an administrator does.
SELECT n, repair.try(format(call, :'refund')) FROM (VALUES
    (1, $$ SELECT hail.settle_refund('00000000-0000-0000-0000-000000000001', true, 'seen %s') $$),
    (2, $$ SELECT hail.settle_refund(%L, NULL, 'seen') $$),
    (3, $$ SELECT hail.settle_refund(%L, true, '') $$),
    (4, $$ SELECT hail.settle_refund(%L, true, 'seen', '') $$)) x (n, call) ORDER BY n;
SELECT state, failure FROM hail.settle_refund(:'refund', false, 'they know nothing of it');
SELECT * FROM repair.available('Ada');
SELECT repair.try(format($$ SELECT hail.settle_refund(%L, true, 'seen') $$, :'refund')), (hail.settle_refund(:'refund', false, 'again')).failure;
SELECT (r.refund).id AS refund FROM hail.refund_deposit(:'intent', 5500, 'paid twice', 'back 3') r \gset
-- Its hold is gone, by an administrator's hand: the refund is taken from what is free.
SELECT status FROM hail.release((SELECT hold_id FROM hail.payment_refunds WHERE id = :'refund'));
SELECT * FROM repair.findings();
SELECT state FROM hail.settle_refund(:'refund', true, 'on their statement', 'B-3');
SELECT * FROM repair.available('Ada');
SELECT * FROM repair.findings();

-- A fee that the wallet did not cover, the rest by card: each part goes back the way it came.
SELECT repair.fund('Ben', 100);
SELECT repair.ride('Ben', 'cash', 'arrived') AS trip \gset
SELECT state, payment_state FROM hail.cancel_trip(:'trip', 'customer', 'late');
SELECT due, paid, state FROM hail.retry_payment(:'trip', 'card', 'rest');
SELECT repair.tell('r-4', 'payment.succeeded', repair.paid(repair.intent(:'trip'), 'P-4'));
SELECT state, refunded FROM hail.refund_trip(:'trip', 150, 'sorry', 'f1');
SELECT state, refunded FROM hail.refund_trip(:'trip', NULL, 'sorry', 'f2');
SELECT * FROM repair.posted(:'trip');
SELECT sum(amount) AS by_the_gateway FROM hail.payment_refunds WHERE intent_id = repair.intent(:'trip');
SELECT * FROM repair.findings();

-- A promotion reckoned of a bid is reckoned anew when the driver gives the trip back, and the price is the quoted one again.
SELECT code FROM hail.create_promotion('BIG', 'XRP', fixed => 6000);
SELECT repair.fund('Ada', 10000) > 0 AS funded;
SELECT repair.ride('Ada', 'wallet', bid => 6500) AS trip \gset
SELECT price, promotion_amount FROM hail.apply_promotion(:'trip', 'BIG');
SELECT state, price, promotion_amount FROM hail.cancel_trip(:'trip', 'driver');
SELECT uses, spent FROM hail.promotions WHERE code = 'BIG';
SELECT state, promotion_amount FROM hail.cancel_trip(:'trip', 'customer');
SELECT uses, spent FROM hail.promotions WHERE code = 'BIG';

-- What the engine has posted is refunded, not reversed: its trip would be paid back twice.
SELECT repair.ride('Ada', 'wallet', 'completed') AS trip \gset
SELECT repair.try(format($$ SELECT hail.reverse_transaction(%L, 'undo') $$, id)) FROM hail.ledger_transactions WHERE reference_id = :'trip';

-- Nothing is approved for whom a signal holds, though it was asked for before.
SELECT count(hail.create_partner(repair.who('Shop'), 'repair-shop')) AS partners, repair.fund('Shop', 900);
SELECT (w.withdrawal).id AS payout FROM hail.request_withdrawal(repair.who('Shop'), 500, 'XRP', '{"type": "mobile_wallet", "account": "+201000000001", "holder": "Shop"}', 'out') w \gset
BEGIN;
INSERT INTO hail.fraud_signals (user_id, kind, severity, subject_type, subject_id, detail, on_hold, period_start, raised_at)
VALUES (repair.who('Shop'), 'large_amount', 'high', 'account', hail.uuid7(), '{}', true, hail.clock(), hail.clock());
SELECT (hail.authenticate(hail.issue_token((hail.register_user('+351920991234', 'Boss', 'admin')).id))).role;
SELECT repair.try(format($$ SELECT hail.approve_withdrawal(%L) $$, :'payout'));
ROLLBACK;
SELECT state FROM hail.reject_withdrawal(:'payout', 'not now');

-- Fees, tips and refunds that their payments tell otherwise are found, and only those.
SELECT tip FROM hail.tip_trip(:'trip', 100, 'tip');
SELECT refunded FROM hail.refund_trip(:'trip', 1000, 'sorry', 'part');
SELECT * FROM repair.findings();
BEGIN;
UPDATE hail.trip_payments SET tip = tip + 1, refunded = refunded - 1 WHERE trip_id = :'trip';
UPDATE hail.trip_payments SET paid = paid - 1, refunded = 0 WHERE purpose = 'cancellation' AND customer_id = repair.who('Ben');
SELECT * FROM repair.findings();
ROLLBACK;
SELECT sum(hail.exact_posted(a)) AS zero, sum(a.held) AS held FROM hail.accounts a WHERE a.currency = 'XRP';
DROP SCHEMA repair CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
