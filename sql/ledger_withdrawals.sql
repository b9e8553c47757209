-- Withdrawals: asked for, held, decided, paid out or given back; every order that is not allowed changes nothing.
SET timezone = 'UTC';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-22 09:00+00');
INSERT INTO hail.currencies VALUES ('XTW', 2, 50), ('XTX', 2, 50);
SELECT (hail.create_region('payouts', 'Payouts', 'XTW', 'UTC', ST_MakeEnvelope(-64, -1, -62, 1, 4326))).code;
CREATE FUNCTION pg_temp.who(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('acacacac-0000-7000-8000-00000000000' || n)::uuid $$;
INSERT INTO hail.users (id, name, role) SELECT pg_temp.who(n), name, role FROM (VALUES
    (1, 'Dora', 'driver'), (2, 'Dick', 'driver'), (3, 'Paul', 'partner'), (4, 'Cleo', 'customer'), (5, 'Abel', 'admin'), (6, 'Alma', 'admin'),
    (7, 'Anna', 'analyst')) AS p (n, name, role);
SELECT count(hail.register_driver(pg_temp.who(n), 'payouts', '{economy}')), count(hail.approve_driver(pg_temp.who(n))) FROM generate_series(1, 2) n;
INSERT INTO hail.partners (id, code, created_at) VALUES (pg_temp.who(3), 'payout-paul', hail.clock());
SELECT hail.issue_token(pg_temp.who(1), '30 days') AS dora, hail.issue_token(pg_temp.who(2), '30 days') AS dick, hail.issue_token(pg_temp.who(3), '30 days') AS paul,
       hail.issue_token(pg_temp.who(4), '30 days') AS cleo, hail.issue_token(pg_temp.who(5), '30 days') AS abel, hail.issue_token(pg_temp.who(6), '30 days') AS alma,
       hail.issue_token(pg_temp.who(7), '30 days') AS anna \gset
SELECT hail.set_clock('2013-11-22 09:00+00') IS NOT NULL AS frozen;

-- Wallets with money; what the tests say for short.
CREATE SCHEMA payout_test;
GRANT USAGE ON SCHEMA payout_test TO PUBLIC;
CREATE FUNCTION payout_test.wallet(n integer, cur text DEFAULT 'XTW') RETURNS uuid LANGUAGE sql SECURITY DEFINER AS $$
    SELECT id FROM hail.accounts WHERE owner_id = ('acacacac-0000-7000-8000-00000000000' || n)::uuid AND currency = cur $$;
CREATE FUNCTION payout_test.fund(n integer, amount bigint, key text) RETURNS text LANGUAGE sql AS $$
    SELECT (hail.post_transaction('adjustment', ARRAY[ROW((hail.open_account('GATEWAY_CLEARING', NULL, 'XTW')).id, 'debit', amount),
        ROW((hail.open_account(CASE n WHEN 3 THEN 'CUSTOMER_WALLET' ELSE 'DRIVER_WALLET' END, ('acacacac-0000-7000-8000-00000000000' || n)::uuid, 'XTW')).id,
            'credit', amount)]::hail.entry_input[], 'payout ' || key)).kind $$;
SELECT payout_test.fund(1, 10000, '1'), payout_test.fund(2, 10000, '2'), payout_test.fund(3, 10000, '3');
CREATE FUNCTION payout_test.books() RETURNS TABLE (kind text, owner text, posted bigint, held bigint) LANGUAGE sql SECURITY DEFINER AS $$
    SELECT a.kind, right(a.owner_id::text, 1), hail.exact_posted(a), a.held FROM hail.accounts a WHERE a.currency = 'XTW' ORDER BY 1, 2 $$;
CREATE FUNCTION payout_test.bank(account text DEFAULT 'DE89 3704 0044 0532 0130 00') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('type', 'bank_account', 'account', account, 'holder', 'Dora Dorn') $$;
-- Ask for it; how it ended, undone when it fails.
CREATE FUNCTION payout_test.ask(n integer, amount bigint, key text, currency text DEFAULT 'XTW', destination jsonb DEFAULT payout_test.bank()) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    w record;
    detail text; word text; field text; state text;
BEGIN
    SELECT * INTO w FROM hail.request_withdrawal(('acacacac-0000-7000-8000-00000000000' || n)::uuid, amount, currency, destination, key);
    RETURN format('%s %s + %s to %s%s', (w.withdrawal).state, (w.withdrawal).amount, (w.withdrawal).fee, (w.withdrawal).destination,
                  CASE WHEN w.replayed THEN ' (again)' ELSE '' END);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME, detail = PG_EXCEPTION_HINT;
    RETURN format('%s (%s): %s %s', coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state), field, SQLERRM, detail);
END $$;
CREATE FUNCTION payout_test.id(key text) RETURNS uuid LANGUAGE sql SECURITY DEFINER AS $$
    SELECT id FROM hail.withdrawals WHERE idempotency_key = key $$;
CREATE FUNCTION payout_test.act(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    w hail.withdrawals;
    detail text; state text;
BEGIN
    EXECUTE 'SELECT (x).* FROM hail.' || call || ' x' INTO w;
    RETURN concat_ws(' ', w.state, w.payout_reference, w.reason);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_HINT;
    RETURN format('%s: %s %s', coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state), SQLERRM, detail);
END $$;
-- What fraud checks say is theirs; here: nothing, until asked to say something.
CREATE TABLE payout_test.verdict (says text);
DO $$
BEGIN
    IF to_regprocedure('hail.fraud_check_withdrawal(uuid, uuid, bigint)') IS NULL THEN
        CREATE FUNCTION hail.fraud_check_withdrawal(user_id uuid, wallet_id uuid, amount bigint) RETURNS text LANGUAGE sql SECURITY DEFINER
        AS $f$ SELECT coalesce((SELECT says FROM payout_test.verdict), 'clear') $f$;
    END IF;
END $$;

-- The whole way: the amount is held, goes on its way, and is paid out of what the gateway holds.
BEGIN; SELECT role FROM hail.authenticate(:'dora');
SELECT payout_test.ask(1, 4000, 'w1'), payout_test.ask(1, 4000, 'w1');
SELECT * FROM payout_test.books();
COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'abel');
SELECT payout_test.act(format('approve_withdrawal(%L)', payout_test.id('w1'))), payout_test.act(format('approve_withdrawal(%L)', payout_test.id('w1')));
SELECT * FROM payout_test.books();
SELECT payout_test.act(format('settle_withdrawal(%L, %L)', payout_test.id('w1'), 'P-1')), payout_test.act(format('settle_withdrawal(%L, %L)', payout_test.id('w1'), 'P-1'));
SELECT payout_test.act(format('settle_withdrawal(%L, %L)', payout_test.id('w1'), 'P-2'));
SELECT * FROM payout_test.books();
COMMIT;
SELECT state, review, destination, requested_by, decided_by, requested_at = decided_at AS at, paid_at IS NOT NULL AS paid, event_version FROM hail.withdrawals WHERE id = payout_test.id('w1');
SELECT type, version, actor, payload - 'user_id' - 'wallet_id' AS payload FROM hail.events WHERE aggregate_id = payout_test.id('w1') ORDER BY version;
SELECT t.kind, a.kind, e.direction, e.amount FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id JOIN hail.accounts a ON a.id = e.account_id
WHERE t.reference_id = payout_test.id('w1') ORDER BY e.id;
-- Settled money that comes back is another step; the fee, here none, stays.
SELECT payout_test.act(format('fail_withdrawal(%L, %L)', payout_test.id('w1'), 'no'));
SELECT payout_test.act(format('return_withdrawal(%L, %L)', payout_test.id('w1'), 'account closed')), payout_test.act(format('return_withdrawal(%L, %L)', payout_test.id('w1'), 'account closed'));
SELECT payout_test.act(format('return_withdrawal(%L, %L)', payout_test.id('w1'), 'other'));
SELECT * FROM payout_test.books();

-- Given back: by its owner, by an administrator for a reason, by the bank; with the fee.
SELECT currency, minimum, maximum, daily_number, daily_amount, fee, review_above, changed_by FROM hail.set_withdrawal_rules('XTW', minimum => 100, fee => 25);
BEGIN; SELECT role FROM hail.authenticate(:'dora');
SELECT payout_test.ask(1, 1000, 'w2'), payout_test.ask(1, 2000, 'w3'), payout_test.ask(1, 3000, 'w4');
SELECT * FROM payout_test.books() WHERE owner = '1';
SELECT payout_test.act(format('cancel_withdrawal(%L)', payout_test.id('w2'))), payout_test.act(format('cancel_withdrawal(%L)', payout_test.id('w2')));
SELECT payout_test.act(format('approve_withdrawal(%L)', payout_test.id('w3')));
COMMIT;
SELECT payout_test.act(format('reject_withdrawal(%L, %L)', payout_test.id('w3'), reason)) FROM unnest(ARRAY[NULL, '', ' ', repeat('r', 501)]) WITH ORDINALITY r (reason, n) ORDER BY n;
SELECT payout_test.act(format('reject_withdrawal(%L, %L)', payout_test.id('w3'), 'who is this?')), payout_test.act(format('reject_withdrawal(%L, %L)', payout_test.id('w3'), 'who is this?'));
SELECT payout_test.act(format('reject_withdrawal(%L, %L)', payout_test.id('w3'), 'other')), payout_test.act(format('approve_withdrawal(%L)', payout_test.id('w3')));
SELECT payout_test.act(format('approve_withdrawal(%L)', payout_test.id('w4')));
SELECT payout_test.act(format('cancel_withdrawal(%L)', payout_test.id('w4'))), payout_test.act(format('reject_withdrawal(%L, %L)', payout_test.id('w4'), 'late'));
SELECT * FROM payout_test.books();
SELECT payout_test.act(format('settle_withdrawal(%L, %L)', payout_test.id('w4'), reference)) FROM unnest(ARRAY[NULL, ' ', repeat('r', 201), 'P-1']) WITH ORDINALITY r (reference, n) ORDER BY n;
SELECT payout_test.act(format('fail_withdrawal(%L, %L)', payout_test.id('w4'), NULL));
SELECT payout_test.act(format('fail_withdrawal(%L, %L)', payout_test.id('w4'), 'bank says no')), payout_test.act(format('fail_withdrawal(%L, %L)', payout_test.id('w4'), 'bank says no'));
SELECT payout_test.act(format('settle_withdrawal(%L, %L)', payout_test.id('w4'), 'P-4')), payout_test.act(format('return_withdrawal(%L, %L)', payout_test.id('w4'), 'x'));
SELECT * FROM payout_test.books();
SELECT payout_test.act(format('%s(hail.uuid7())', f)) FROM unnest(ARRAY['approve_withdrawal', 'cancel_withdrawal', 'get_withdrawal']) f;
-- A payout reference is of one withdrawal.
SELECT payout_test.ask(2, 300, 'w5');
BEGIN; SELECT role FROM hail.authenticate(:'abel');
SELECT payout_test.act(format('approve_withdrawal(%L)', payout_test.id('w5')));
COMMIT;
SELECT payout_test.act(format('settle_withdrawal(%L, %L)', payout_test.id('w5'), 'P-1'));
SELECT payout_test.act(format('settle_withdrawal(%L, %L)', payout_test.id('w5'), 'P-5')), payout_test.act(format('return_withdrawal(%L, %L)', payout_test.id('w5'), 'wrong number'));
SELECT * FROM payout_test.books();

-- Who has asked does not approve: another administrator does.
BEGIN; SELECT role FROM hail.authenticate(:'abel');
SELECT payout_test.ask(2, 400, 'w6');
SELECT payout_test.act(format('approve_withdrawal(%L)', payout_test.id('w6')));
COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'alma');
SELECT payout_test.act(format('approve_withdrawal(%L)', payout_test.id('w6')));
COMMIT;

-- Who may do what: each its own, partners too; customers have refunds; analysts see no destinations.
BEGIN; SELECT role FROM hail.authenticate(:'dick');
SELECT payout_test.ask(1, 500, 'x'), payout_test.act(format('cancel_withdrawal(%L)', payout_test.id('w1'))), payout_test.act(format('get_withdrawal(%L)', payout_test.id('w1')));
SELECT payout_test.act(format('reject_withdrawal(%L, %L)', payout_test.id('w1'), 'x')), payout_test.act(format('settle_withdrawal(%L, %L)', payout_test.id('w1'), 'x'));
SELECT payout_test.ask(2, 500, 'dick');
SELECT count(*), count(*) FILTER (WHERE user_id = hail.current_subject()) AS own, min(destination) AS destination FROM hail.withdrawals;
SELECT requested_by, decided_by, idempotency_key, state FROM hail.get_withdrawal((SELECT id FROM hail.withdrawals ORDER BY id DESC LIMIT 1));
ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'dick'); SELECT idempotency_key FROM hail.withdrawals; ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'dick'); SELECT * FROM hail.withdrawal_destinations; ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'dick'); SELECT hail.withdrawal_destination(payout_test.id('w6')); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'abel'); SELECT * FROM hail.withdrawal_destinations; ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'anna'); SELECT count(*) AS seen FROM (SELECT id, amount, state FROM hail.withdrawals WHERE currency = 'XTW') w; SELECT destination FROM hail.withdrawals; ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'cleo'); SELECT payout_test.ask(4, 500, 'x'); SELECT payout_test.act(format('cancel_withdrawal(%L)', payout_test.id('w1'))); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'paul'); SELECT payout_test.ask(3, 500, 'p1'), payout_test.act(format('cancel_withdrawal(%L)', payout_test.id('p1'))); SELECT count(*) FROM hail.list_withdrawals(hail.current_subject()); ROLLBACK;
BEGIN; SET LOCAL ROLE hail_driver; SELECT payout_test.ask(1, 500, 'x'); ROLLBACK;
SELECT payout_test.ask(4, 500, 'x'), payout_test.ask(5, 500, 'x'), payout_test.ask(9, 500, 'x'), payout_test.ask(NULL, 500, 'x');
SELECT hail.withdrawal_destination(payout_test.id('w6'));

-- What is no request.
SELECT payout_test.ask(1, amount, 'x') FROM unnest(ARRAY[0, -1, 9007199254740993, NULL, 99]) WITH ORDINALITY a (amount, n) ORDER BY n;
SELECT payout_test.ask(1, 500, key) FROM unnest(ARRAY[NULL, '', repeat('k', 201)]) WITH ORDINALITY k (key, n) ORDER BY n;
SELECT payout_test.ask(1, 500, 'x', currency) FROM unnest(ARRAY[NULL, 'XXW', 'xtw', 'XTX']) WITH ORDINALITY c (currency, n) ORDER BY n;
SELECT payout_test.ask(1, 500, 'x', 'XTW', d::jsonb) FROM unnest(ARRAY[NULL, '[]', '"DE89370400440532013000"', '{}', '{"type": "card", "account": "4111111111111111", "holder": "D"}',
    '{"type": "bank_account", "account": "DE89", "holder": "D"}', '{"type": "bank_account", "account": 89370400440532013000, "holder": "D"}',
    '{"type": "bank_account", "account": "DE8937040044053201; 3000", "holder": "D"}', '{"type": "bank_account", "account": "DE89370400440532013000"}',
    '{"type": "bank_account", "account": "DE89370400440532013000", "holder": ""}', '{"type": "bank_account", "account": "DE89370400440532013000", "holder": "D", "pin": "1234"}'])
    WITH ORDINALITY x (d, n) ORDER BY n;
SELECT hail.mask_destination(d::jsonb) FROM unnest(ARRAY['{"type": "mobile_wallet", "account": "+20 100 123 4567", "holder": "D"}', '{"type": "bank_account", "account": "123456", "holder": "D", "bank": "B"}']) d;
-- The same key for something else, of which the destination is a part.
BEGIN; SELECT role FROM hail.authenticate(:'dora');
SELECT payout_test.ask(1, 4001, 'w1'), payout_test.ask(1, 4000, 'w1', 'XTX'), payout_test.ask(1, 4000, 'w1', 'XTW', payout_test.bank('DE00 0000 0000 0000 0130 00'));
-- A key is never free again: after its day it still is the first withdrawal's.
ROLLBACK;
SELECT hail.advance_clock('25 hours') IS NOT NULL AS next_day, hail.expire_request_keys() > 0 AS swept;
BEGIN; SELECT role FROM hail.authenticate(:'dora');
SELECT payout_test.ask(1, 4000, 'w1'), payout_test.ask(1, 4000, 'w1');
SELECT payout_test.ask(1, 4001, 'w1');
ROLLBACK;

-- Rules.
SELECT payout_test.act(call) FROM unnest(ARRAY['set_withdrawal_rules(''XXW'')', 'set_withdrawal_rules(NULL)', 'set_withdrawal_rules(''XTW'', 0)', 'set_withdrawal_rules(''XTW'', NULL)',
    'set_withdrawal_rules(''XTW'', 5, 4)', 'set_withdrawal_rules(''XTW'', daily_number => -1)', 'set_withdrawal_rules(''XTW'', daily_amount => -1)',
    'set_withdrawal_rules(''XTW'', fee => -1)', 'set_withdrawal_rules(''XTW'', fee => NULL)', 'set_withdrawal_rules(''XTW'', review_above => -1)']) WITH ORDINALITY c (call, n) ORDER BY n;
BEGIN; SELECT role FROM hail.authenticate(:'dora'); SELECT hail.set_withdrawal_rules('XTW'); ROLLBACK;
SELECT maximum, daily_number, daily_amount, review_above FROM hail.set_withdrawal_rules('XTW', 100, 2000, 3, 4000, 25, 500);
BEGIN; SELECT role FROM hail.authenticate(:'dora'); SELECT currency, maximum, fee, changed_by FROM hail.list_withdrawal_rules() WHERE currency = 'XTW'; SELECT count(*) FROM hail.withdrawal_rules WHERE currency = 'XTW'; ROLLBACK;
-- Small ones of its owner need nobody, unless the fraud check wants to see them; an administrator's always do.
BEGIN; SELECT role FROM hail.authenticate(:'dora');
SELECT payout_test.ask(1, 500, 'r1'), payout_test.ask(1, 501, 'r2');
COMMIT;
SELECT state, review, decided_by FROM hail.withdrawals WHERE id IN (payout_test.id('r1'), payout_test.id('r2')) ORDER BY id;
SELECT type, version, payload ->> 'state' AS state FROM hail.events WHERE aggregate_id = payout_test.id('r1') ORDER BY version;
SELECT payout_test.ask(2, 100, 'r3');
-- Limits: of one, of a day in number and sum. What came to nothing does not count; a day is 24 hours.
BEGIN; SELECT role FROM hail.authenticate(:'dora');
SELECT payout_test.ask(1, 2001, 'r4'), payout_test.ask(1, 2000, 'r5'), payout_test.ask(1, 100, 'r6');
SELECT payout_test.act(format('cancel_withdrawal(%L)', payout_test.id('r5')));
SELECT payout_test.ask(1, 1500, 'r7');
COMMIT;
SELECT maximum FROM hail.set_withdrawal_rules('XTW', 100, 2000, NULL, 4000, 25, 500);
BEGIN; SELECT role FROM hail.authenticate(:'dora');
SELECT payout_test.ask(1, 1500, 'r8'), payout_test.ask(1, 1499, 'r8');
COMMIT;
SELECT hail.advance_clock('23:59:59') IS NOT NULL AS almost_a_day;
BEGIN; SELECT role FROM hail.authenticate(:'dora'); SELECT payout_test.ask(1, 100, 'r9'); COMMIT;
SELECT hail.advance_clock('1 second') IS NOT NULL AS a_day;
BEGIN; SELECT role FROM hail.authenticate(:'dora'); SELECT payout_test.ask(1, 100, 'r9'); COMMIT;
SELECT * FROM payout_test.books();

-- No more than there is; the fee is a part of it. A wallet that owes has nothing.
SELECT minimum FROM hail.set_withdrawal_rules('XTW', fee => 25);
SELECT posted - held AS available FROM payout_test.books() WHERE owner = '2';
BEGIN;
SELECT payout_test.ask(2, 9401, 'b1'), payout_test.ask(2, 9400, 'b1');
SELECT payout_test.ask(2, 1, 'b2');
ROLLBACK;
BEGIN;
SELECT kind FROM hail.post_transaction('adjustment', ARRAY[ROW(payout_test.wallet(2), 'debit', 20000), ROW((SELECT id FROM hail.accounts WHERE kind = 'PLATFORM_REVENUE' AND currency = 'XTW'), 'credit', 20000)]::hail.entry_input[], 'payout debt');
SELECT payout_test.ask(2, 1, 'b4');
ROLLBACK;
BEGIN;
UPDATE hail.accounts SET closed_at = hail.clock() WHERE id = payout_test.wallet(2);
SELECT payout_test.ask(2, 1, 'b4');
ROLLBACK;
-- Commissions of cash trips under way stay: 15 % of 100.00, and of waiting at its most.
BEGIN;
INSERT INTO hail.quotes (id, customer_id, region_id, service_class, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s,
    base_amount, distance_amount, time_amount, surge, time_multiplier, event_multiplier, multiplier_amount, minimum_amount, booking_fee,
    rounding_amount, total, cancellation_fee, commission_bp, currency, created_at, expires_at, set_id, fare_id, per_km, per_minute,
    minimum_fare, rounding, waiting_free_s, waiting_per_minute, waiting_max, duration_low_s, duration_high_s, price_low, price_high,
    eta_source, variant_multiplier)
SELECT ('acacacac-0000-7000-8000-00000000010' || n)::uuid, pg_temp.who(4), r.id, 'van', 0, 0, 0, 0, 0, 0,
    100, 0, 0, 1, 1, 1, 0, 0, 0, 0, 100, 0, 1500, 'XTW', hail.clock(), hail.clock(), hail.uuid7(), hail.uuid7(), 0, 0,
    0, 1, 0, 0, 0, 0, 0, 100, 100, 'default', 1 FROM hail.regions r, generate_series(1, 4) n WHERE r.code = 'payouts';
INSERT INTO hail.trips (region_id, service, service_class, customer_id, driver_id, driver_slot, quote_id, state, strategy, payment_method, pickup_lat, pickup_lng,
    dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge, policy_id, idempotency_key, requested_at, completed_at, waiting_max, waiting_amount)
SELECT q.region_id, 'porter', 'van', q.customer_id, pg_temp.who(2), n, q.id, state, 'first_accept', method, 0, 0, 0, 0, 0, 0, price, 1500, 0, 'XTW', 1,
    (SELECT min(id) FROM hail.dispatch_policies), 'payout' || n, hail.clock(), CASE state WHEN 'completed' THEN hail.clock() END, 200, waiting
FROM (VALUES (1, 'matched', 'cash', 10000, 0), (2, 'started', 'cash', 10100, 100), (3, 'started', 'wallet', 10000, 0), (4, 'completed', 'cash', 10000, 0))
    AS t (n, state, method, price, waiting) JOIN hail.quotes q ON q.id = ('acacacac-0000-7000-8000-00000000010' || n)::uuid;
SELECT hail.pledged_commission(pg_temp.who(2), 'XTW'), hail.pledged_commission(pg_temp.who(2), 'XTX'), hail.pledged_commission(pg_temp.who(1), 'XTW');
SELECT payout_test.ask(2, 6341, 'c1'), payout_test.ask(2, 6340, 'c1');
ROLLBACK;
-- A driver who is suspended, or of whom fraud is suspected, is paid nothing, also not what was asked for before.
SELECT payout_test.ask(2, 500, 'f1');
SELECT status FROM hail.suspend_driver(pg_temp.who(2), 'brakes');
SELECT payout_test.ask(2, 500, 'f2');
BEGIN; SELECT role FROM hail.authenticate(:'abel'); SELECT payout_test.act(format('approve_withdrawal(%L)', payout_test.id('f1'))); COMMIT;
SELECT status FROM hail.reinstate_driver(pg_temp.who(2));
UPDATE hail.drivers SET hold_reason = 'circular trips' WHERE id = pg_temp.who(2);
SELECT payout_test.ask(2, 500, 'f2');
UPDATE hail.drivers SET hold_reason = NULL WHERE id = pg_temp.who(2);
SELECT payout_test.act(format('reject_withdrawal(%L, %L)', payout_test.id('f1'), 'brakes'));

-- So does the fraud check say; or that somebody is to look at it first.
CREATE FUNCTION payout_test.said(verdict text, key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    ALTER FUNCTION hail.fraud_check_withdrawal(uuid, uuid, bigint) RENAME TO fraud_check_kept_aside;
    EXECUTE format('CREATE FUNCTION hail.fraud_check_withdrawal(user_id uuid, wallet_id uuid, amount bigint) RETURNS text LANGUAGE sql AS %L', format('SELECT %L::text', verdict));
    GRANT EXECUTE ON FUNCTION hail.fraud_check_withdrawal(uuid, uuid, bigint) TO hail_owner;
    RETURN key;
END $$;
SELECT review_above FROM hail.set_withdrawal_rules('XTW', fee => 25, review_above => 1000);
BEGIN; SELECT payout_test.said('refused', 'v1') AS key \gset
SELECT role FROM hail.authenticate(:'dora'); SELECT payout_test.ask(1, 100, :'key'); ROLLBACK;
BEGIN; SELECT payout_test.said('review', 'v1') AS key \gset
SELECT role FROM hail.authenticate(:'dora'); SELECT payout_test.ask(1, 100, :'key'); ROLLBACK;
BEGIN; SELECT payout_test.said('clear', 'v1') AS key \gset
SELECT role FROM hail.authenticate(:'dora'); SELECT payout_test.ask(1, 100, :'key'); ROLLBACK;
SELECT review_above FROM hail.set_withdrawal_rules('XTW', fee => 25);

-- Lists: pages, filters, cursors.
SELECT count(*), bool_and((withdrawal).user_id = pg_temp.who(1)) FROM hail.list_withdrawals(pg_temp.who(1));
SELECT right((withdrawal).idempotency_key, 2) AS key, (withdrawal).state, next_cursor IS NOT NULL AS more FROM hail.list_withdrawals(pg_temp.who(1), max_results => 3);
SELECT next_cursor AS cursor FROM hail.list_withdrawals(pg_temp.who(1), max_results => 3) ORDER BY next_cursor LIMIT 1 \gset
SELECT right((withdrawal).idempotency_key, 2) AS key, (withdrawal).state, next_cursor IS NOT NULL AS more FROM hail.list_withdrawals(pg_temp.who(1), max_results => 3, cursor => :'cursor');
SELECT count(*) FROM hail.list_withdrawals(pg_temp.who(2), cursor => :'cursor');
SELECT (withdrawal).state, count(*) FROM hail.list_withdrawals(currency => 'XTW', state => '{requested,approved}', max_results => 100) GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM hail.list_withdrawals(requested_from => '2013-11-22', requested_to => '2013-11-23', currency => 'XTW');
SELECT hail.list_withdrawals(state => '{lost}');
SELECT hail.list_withdrawals(max_results => 10001);
BEGIN; SELECT role FROM hail.authenticate(:'dora'); SELECT hail.list_withdrawals(); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'dora'); SELECT hail.list_withdrawals(pg_temp.who(2)); ROLLBACK;

-- Every state and action: what the table of transitions allows works, all else is refused and changes nothing.
CREATE FUNCTION payout_test.fresh(state text, key text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    made uuid := ((hail.request_withdrawal('acacacac-0000-7000-8000-000000000001', 100, 'XTW', payout_test.bank(), key)).withdrawal).id;
BEGIN
    UPDATE hail.withdrawals w SET requested_by = 'user:' || w.user_id WHERE w.id = made; -- else nobody here could approve it
    IF state IN ('approved', 'settled', 'failed', 'returned') THEN PERFORM hail.approve_withdrawal(made); END IF;
    IF state IN ('settled', 'returned') THEN PERFORM hail.settle_withdrawal(made, key); END IF;
    IF state = 'rejected' THEN PERFORM hail.reject_withdrawal(made, 'r'); END IF;
    IF state = 'cancelled' THEN PERFORM hail.cancel_withdrawal(made); END IF;
    IF state = 'failed' THEN PERFORM hail.fail_withdrawal(made, 'r'); END IF;
    IF state = 'returned' THEN PERFORM hail.return_withdrawal(made, 'r'); END IF;
    RETURN made;
END $$;
CREATE FUNCTION payout_test.stand(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s %s', hail.exact_posted(a), a.held, w.event_version), ',' ORDER BY a.id) FROM hail.withdrawals w, hail.accounts a WHERE w.id = $1 AND a.currency = 'XTW' $$;
CREATE FUNCTION payout_test.step(id uuid, action text) RETURNS text LANGUAGE sql AS $$
    SELECT payout_test.act(format(CASE action WHEN 'approve' THEN 'approve_withdrawal(%L)' WHEN 'cancel' THEN 'cancel_withdrawal(%L)' ELSE action || '_withdrawal(%L, %L)' END, id, 'step ' || id)) $$;
CREATE FUNCTION payout_test.tried(state text, action text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made uuid := payout_test.fresh(state, format('%s %s', state, action));
    before text := payout_test.stand(made);
    done text := payout_test.step(made, action);
BEGIN
    RETURN CASE WHEN done NOT LIKE 'wrong_state%' THEN split_part(done, ' ', 1) WHEN payout_test.stand(made) <> before THEN 'changed' ELSE '' END;
END $$;
SELECT s AS state, payout_test.tried(s, 'approve') AS approve, payout_test.tried(s, 'reject') AS reject, payout_test.tried(s, 'cancel') AS cancel,
       payout_test.tried(s, 'settle') AS settle, payout_test.tried(s, 'fail') AS fail, payout_test.tried(s, 'return') AS return
FROM unnest('{requested,approved,rejected,cancelled,settled,failed,returned}'::text[]) WITH ORDINALITY x (s, n) ORDER BY n;
SELECT from_state, string_agg(DISTINCT action || ' -> ' || to_state, ', ') AS moves FROM hail.withdrawal_transitions GROUP BY 1 ORDER BY 1;

-- Random steps on some withdrawals: only moves of the table are made, money is where the states say.
CREATE FUNCTION payout_test.random_steps(seed float8, steps integer) RETURNS TABLE (move text, unknown boolean) LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[] := '{}';
    one uuid;
    was text; now_is text; action text;
    moves text[] := '{}';
BEGIN
    PERFORM setseed(seed);
    FOR i IN 1 .. steps LOOP
        IF cardinality(ids) < 30 THEN
            ids := ids || payout_test.fresh('requested', format('random %s', i));
        END IF;
        one := ids[1 + floor(random() * cardinality(ids))];
        was := (SELECT w.state FROM hail.withdrawals w WHERE w.id = one);
        action := (ARRAY['approve', 'reject', 'cancel', 'settle', 'fail', 'return'])[1 + floor(random() * 6)];
        PERFORM payout_test.step(one, action);
        now_is := (SELECT w.state FROM hail.withdrawals w WHERE w.id = one);
        IF now_is <> was THEN
            moves := moves || format('%s %s %s', was, action, now_is);
        END IF;
    END LOOP;
    RETURN QUERY SELECT DISTINCT m.m, NOT EXISTS (SELECT FROM hail.withdrawal_transitions t
        WHERE format('%s %s %s', t.from_state, t.action, t.to_state) = m.m) FROM unnest(moves) m (m) ORDER BY 1;
END $$;
SELECT payout_test.fund(1, 100000, 'random');
SELECT * FROM payout_test.random_steps(0.42, 300);
SELECT sum(CASE w.state WHEN 'requested' THEN w.amount + w.fee ELSE 0 END) = (SELECT held FROM hail.accounts WHERE id = payout_test.wallet(1)) AS held_is_requested,
       sum(CASE w.state WHEN 'requested' THEN 0 WHEN 'approved' THEN w.amount + w.fee WHEN 'settled' THEN w.amount + w.fee WHEN 'returned' THEN w.fee ELSE 0 END)
       = 110000 - (SELECT posted FROM hail.accounts WHERE id = payout_test.wallet(1)) AS posted_is_what_left
FROM hail.withdrawals w WHERE w.wallet_id = payout_test.wallet(1);
SELECT * FROM hail.reconcile_withdrawals((SELECT hail.clock()::date));
SELECT g.aggregate_type, g.expected, g.actual FROM hail.event_gaps() g WHERE aggregate_type = 'withdrawal';
-- What does not fit is found.
BEGIN;
SELECT count(hail.release_hold(hold_id)) AS released FROM hail.withdrawals WHERE id = (SELECT min(w.id::text)::uuid FROM hail.withdrawals w WHERE state = 'requested' AND currency = 'XTW');
UPDATE hail.withdrawals SET state = 'settled', payout_reference = 'forged', paid_at = hail.clock() WHERE id = payout_test.id('approved cancel');
UPDATE hail.withdrawals SET state = 'cancelled' WHERE id = (SELECT max(w.id::text)::uuid FROM hail.withdrawals w WHERE state = 'requested' AND currency = 'XTW');
SELECT check_name, expected, actual FROM hail.reconcile_withdrawals((SELECT hail.clock()::date)) ORDER BY 1, 2, 3;
ROLLBACK;

-- Erasure: where it went and why it did not; not while one is under way. The ledger stays.
SELECT hail.erase_payout_details(pg_temp.who(1));
SELECT hail.erase_payout_details(hail.uuid7());
SELECT count(payout_test.act(format('fail_withdrawal(%L, ''end'')', id))) FROM hail.withdrawals WHERE user_id = pg_temp.who(2) AND state = 'approved';
SELECT count(hail.reject_withdrawal(id, 'end')) FROM hail.withdrawals WHERE user_id = pg_temp.who(2) AND state = 'requested';
CREATE TEMP TABLE before AS SELECT * FROM payout_test.books();
SELECT destinations = (SELECT count(*) FROM hail.withdrawals WHERE user_id = pg_temp.who(2)) AS destinations, reasons > 0 AS reasons FROM hail.erase_payout_details(pg_temp.who(2));
SELECT DISTINCT destination, reason FROM hail.withdrawals WHERE user_id = pg_temp.who(2) ORDER BY 2;
SELECT hail.withdrawal_destination(payout_test.id('w6'));
SELECT type, payload - 'user_id' ? 'destinations' AS counted FROM hail.events WHERE aggregate_type = 'erasure' AND type = 'PayoutDetailsErased';
(TABLE before EXCEPT SELECT * FROM payout_test.books()) UNION ALL (SELECT * FROM payout_test.books() EXCEPT TABLE before);
SELECT * FROM hail.erase_payout_details(pg_temp.who(2));
-- No event tells a destination.
SELECT count(*) AS told FROM hail.events WHERE payload::text ~ 'DE89|0130 00|Dorn';
DELETE FROM hail.events WHERE type = 'PayoutDetailsErased';
DELETE FROM hail.request_keys WHERE result IN (SELECT id FROM hail.withdrawals);
\o /dev/null
SELECT CASE WHEN obj_description(to_regprocedure('hail.fraud_check_withdrawal(uuid, uuid, bigint)'), 'pg_proc') IS NULL THEN 'DROP FUNCTION hail.fraud_check_withdrawal(uuid, uuid, bigint)' END \gexec
\o /dev/null
DROP SCHEMA payout_test CASCADE;
\o
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
