-- Signals of fraud: what the watch finds in new transactions, what a withdrawal is asked, what administrators decide.
SELECT hail.set_clock('2013-12-05 09:00+00');
SELECT count(*) >= 0 AS partitions FROM hail.maintain_partitions();
\set SHOW_CONTEXT never
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XAF', 2, 1) ON CONFLICT DO NOTHING;
INSERT INTO hail.users (id, name, role) SELECT ('f4a0d000-0000-7000-8000-00000000000' || n)::uuid, 'Fraud ' || n,
    CASE WHEN n <= 6 THEN 'customer' WHEN n = 9 THEN 'admin' WHEN n = 8 THEN 'analyst' ELSE 'driver' END FROM generate_series(1, 9) n;
CREATE FUNCTION pg_temp.who(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('f4a0d000-0000-7000-8000-00000000000' || n)::uuid $$;
CREATE FUNCTION pg_temp.wallet(n integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT (hail.open_account(CASE n WHEN 7 THEN 'DRIVER_WALLET' ELSE 'CUSTOMER_WALLET' END, pg_temp.who(n), 'XAF')).id $$;
SELECT (hail.open_account('GATEWAY_CLEARING', NULL, 'XAF')).id AS gateway \gset
CREATE SEQUENCE pg_temp.keys;
-- Money into a wallet (below 0: out of it).
CREATE FUNCTION pg_temp.post(n integer, amount bigint, kind text DEFAULT 'deposit') RETURNS uuid LANGUAGE sql AS $$
    SELECT (hail.post_transaction(kind, ARRAY[
        ROW(pg_temp.wallet(n), CASE WHEN amount > 0 THEN 'credit' ELSE 'debit' END, abs(amount)),
        ROW((hail.open_account('GATEWAY_CLEARING', NULL, 'XAF')).id, CASE WHEN amount > 0 THEN 'debit' ELSE 'credit' END, abs(amount))]::hail.entry_input[],
        'fraud ' || nextval('pg_temp.keys'))).id $$;
-- Let the watch judge all that has ended; the work of others in the cluster may hold the horizon back for a moment.
CREATE FUNCTION pg_temp.watch(max_rows integer DEFAULT 5000) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    newest xid8 := (SELECT max(xid) FROM (SELECT max(e.xid) AS xid FROM hail.ledger_entries e UNION ALL SELECT max(e.xid) FROM hail.events e) x);
BEGIN
    FOR i IN 1 .. 1000 LOOP
        PERFORM hail.watch_money(max_rows);
        EXIT WHEN (SELECT w.seen_xid > newest AND w.upto_xid IS NULL FROM hail.fraud_watch w) AND hail.watch_money(max_rows) = 0;
    END LOOP;
    RETURN (SELECT w.seen_xid > newest FROM hail.fraud_watch w);
END $$;
CREATE VIEW pg_temp.signals AS
    SELECT right(s.user_id::text, 1) AS "user", s.kind, s.severity, s.subject_type, s.detail - '{transactionId,customerId,driverId,since}'::text[] AS detail, s.on_hold, s.state, s.raised_at
    FROM hail.fraud_signals s WHERE s.user_id::text LIKE 'f4a0d000%' ORDER BY s.raised_at, s.user_id, s.kind;
SELECT kind, version, threshold, period, minimum, severity, hold, enabled, meaning FROM hail.fraud_rules_now ORDER BY 1;

-- What was there before the watch began is not judged.
DELETE FROM hail.fraud_watch;
SELECT count(pg_temp.post(1, 100)) FROM generate_series(1, 20);
SELECT hail.watch_money();
SELECT pg_temp.watch();
TABLE pg_temp.signals;

-- Ten in an hour are none too many; the eleventh is, whichever calendar hours they lie in. Once, however many follow.
SELECT hail.advance_clock('50 minutes') IS NOT NULL AS later;
SELECT count(pg_temp.post(2, 100)) FROM generate_series(1, 10);
SELECT pg_temp.watch();
TABLE pg_temp.signals;
SELECT hail.advance_clock('20 minutes') IS NOT NULL AS later, pg_temp.post(2, -100, 'fee') IS NOT NULL AS eleventh;
SELECT pg_temp.watch();
TABLE pg_temp.signals;
SELECT count(pg_temp.post(2, 100)) FROM generate_series(1, 5);
SELECT pg_temp.watch();
SELECT count(*) FROM pg_temp.signals;
-- Eleven within an hour and a minute are not.
SELECT count(pg_temp.post(3, 100)) FROM generate_series(1, 10);
SELECT hail.advance_clock('1 hour') IS NOT NULL AS later, pg_temp.post(3, 100) IS NOT NULL AS eleventh;
SELECT pg_temp.watch();
SELECT count(*) FROM pg_temp.signals;

-- Ten times the mean is not above it. One more is. What went out is not compared with what came in.
SELECT pg_temp.post(3, -1000, 'fee') IS NOT NULL AS first_out, pg_temp.post(3, 1000) IS NOT NULL AS ten_times;
SELECT pg_temp.watch();
SELECT count(*) FROM pg_temp.signals WHERE kind = 'large_amount';
SELECT amount / entries AS mean FROM hail.fraud_figures WHERE account_id = pg_temp.wallet(3) AND direction = 'credit';
SELECT pg_temp.post(3, 1751) IS NOT NULL AS above;
SELECT pg_temp.watch(1);
SELECT * FROM pg_temp.signals WHERE kind = 'large_amount';

-- Deposited and withdrawn at once: 90 % may go, a unit more may not; then everything wants a look, and nothing is paid while a hold is on.
SELECT pg_temp.post(4, 1000) IS NOT NULL AS deposited;
SELECT hail.fraud_check_withdrawal(pg_temp.who(4), pg_temp.wallet(4), 900);
SELECT hail.fraud_check_withdrawal(pg_temp.who(4), pg_temp.wallet(4), 901);
SELECT hail.fraud_check_withdrawal(pg_temp.who(4), pg_temp.wallet(4), 1);
SELECT * FROM pg_temp.signals WHERE kind = 'quick_withdrawal';
-- Bit by bit is the same: what is held and what is gone counts. After a day it is another matter.
SELECT pg_temp.post(5, 1000) IS NOT NULL AS deposited, pg_temp.post(5, -500, 'withdrawal_approved') IS NOT NULL AS gone;
SELECT amount FROM hail.hold(pg_temp.wallet(5), 300, 'fraud-withdrawal', 'withdrawal');
SELECT hail.fraud_check_withdrawal(pg_temp.who(5), pg_temp.wallet(5), 100);
BEGIN;
SELECT hail.fraud_check_withdrawal(pg_temp.who(5), pg_temp.wallet(5), 101);
ROLLBACK;
SELECT hail.advance_clock('1 day') IS NOT NULL AS later;
SELECT hail.fraud_check_withdrawal(pg_temp.who(5), pg_temp.wallet(5), 200);
SELECT pg_temp.post(5, 1000) IS NOT NULL AS deposited;
SELECT (hail.set_fraud_rule('quick_withdrawal', 'a wave of stolen cards', hold => true)).version;
SELECT hail.fraud_check_withdrawal(pg_temp.who(5), pg_temp.wallet(5), 901) AS the_first_is_looked_at;
SELECT hail.fraud_check_withdrawal(pg_temp.who(5), pg_temp.wallet(5), 1) AS the_next_is_refused;
SELECT id AS signal FROM hail.fraud_signals WHERE user_id = pg_temp.who(5) \gset
SELECT state, on_hold, decided_by, reason FROM hail.decide_fraud_signal(:'signal', 'confirmed', 'looks bad');
SELECT hail.fraud_check_withdrawal(pg_temp.who(5), pg_temp.wallet(5), 1) AS still;
SELECT state, on_hold FROM hail.decide_fraud_signal(:'signal', 'dismissed', 'has shown a bill');
SELECT hail.fraud_check_withdrawal(pg_temp.who(5), pg_temp.wallet(5), 1) AS free;
SELECT hail.decide_fraud_signal(:'signal', 'confirmed', 'again');
SELECT hail.decide_fraud_signal(:'signal', 'open', 'x');
SELECT hail.decide_fraud_signal(:'signal', 'dismissed', ' ');
SELECT hail.decide_fraud_signal(hail.uuid7(), 'dismissed', 'x');

-- Trips: one customer and one driver again and again; a long price for no way; money that comes back.
INSERT INTO hail.regions (code, name, currency, timezone, boundary) VALUES ('fraud', 'Fraud', 'XAF', 'UTC', ST_MakeEnvelope(-62, -1, -61, 0, 4326));
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status) SELECT pg_temp.who(7), id, '{economy}', 1, 'approved' FROM hail.regions WHERE code = 'fraud';
CREATE FUNCTION pg_temp.trip(n integer, customer integer, dropoff_lng float8, minimum_fare bigint, OUT hail.trips) RETURNS SETOF hail.trips LANGUAGE sql AS $$
    INSERT INTO hail.quotes (customer_id, region_id, service_class, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s,
        base_amount, distance_amount, time_amount, surge, time_multiplier, event_multiplier, multiplier_amount, minimum_amount, booking_fee,
        rounding_amount, total, cancellation_fee, commission_bp, currency, created_at, expires_at, set_id, fare_id, per_km, per_minute,
        minimum_fare, rounding, waiting_free_s, waiting_per_minute, waiting_max, duration_low_s, duration_high_s, price_low, price_high, eta_source, variant_multiplier)
    SELECT pg_temp.who(customer), r.id, 'economy', -0.5, -61.5, -0.5, dropoff_lng, 0, 0, 100, 0, 0, 1, 1, 1, 0, 0, 0, 0, 100, 0, 1500, 'XAF', hail.clock(), hail.clock(),
        hail.uuid7(), hail.uuid7(), 0, 0, minimum_fare, 1, 0, 0, 0, 0, 0, 100, 100, 'default', 1 FROM hail.regions r WHERE r.code = 'fraud';
    INSERT INTO hail.trips (id, region_id, service, service_class, customer_id, driver_id, driver_slot, quote_id, state, strategy, payment_method, pickup_lat, pickup_lng,
        dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge, policy_id, idempotency_key, requested_at, completed_at)
    SELECT ('f4a0d001-0000-7000-8000-00000000000' || n)::uuid, q.region_id, 'ride', 'economy', q.customer_id, pg_temp.who(7), 1, q.id, 'completed', 'first_accept', 'wallet',
        q.pickup_lat, q.pickup_lng, q.dropoff_lat, q.dropoff_lng, 0, 0, 100, 1500, 0, 'XAF', 1, (SELECT min(id) FROM hail.dispatch_policies), 'fraud' || n, hail.clock(), hail.clock()
    FROM hail.quotes q WHERE q.currency = 'XAF' ORDER BY q.id DESC LIMIT 1 RETURNING * $$;
SELECT pg_temp.post(6, 10000) IS NOT NULL AS deposited;
SELECT hail.advance_clock('1 day') IS NOT NULL AS later;
SELECT count(hail.settle_trip(t)) AS paid FROM generate_series(1, 5) n, pg_temp.trip(n, 6, -61.4, 100) t;
SELECT pg_temp.watch();
SELECT * FROM pg_temp.signals WHERE "user" IN ('6', '7');
SELECT count(hail.settle_trip(t)) AS paid FROM pg_temp.trip(6, 6, -61.4, 100) t;
SELECT pg_temp.watch();
SELECT * FROM pg_temp.signals WHERE "user" IN ('6', '7');
-- 100 m away: at three times the minimum fare it counts, below that it is a short trip.
SELECT count(hail.settle_trip(t)) AS paid FROM pg_temp.trip(7, 6, -61.499, 34) t;
SELECT pg_temp.watch();
SELECT count(*) FROM pg_temp.signals WHERE kind = 'round_trip';
-- A rule that holds takes the driver from the road, and back when the signal is dismissed.
SELECT (hail.set_fraud_rule('round_trip', 'rides around the block', hold => true)).version;
SELECT count(hail.settle_trip(t)) AS paid FROM pg_temp.trip(8, 6, -61.499, 33) t;
SELECT pg_temp.watch();
SELECT * FROM pg_temp.signals WHERE kind = 'round_trip';
SELECT hold_reason, online FROM hail.drivers WHERE id = pg_temp.who(7);
SELECT s.state, s.on_hold, s.driver_held FROM hail.fraud_signals f, hail.decide_fraud_signal(f.id, 'dismissed', 'a tour') s
WHERE f.user_id = pg_temp.who(7) AND f.kind = 'round_trip';
SELECT hold_reason, online FROM hail.drivers WHERE id = pg_temp.who(7);
-- Paid back by the driver, three times. (A refund posts such entries.)
SELECT count(hail.post_transaction('trip_refund', ARRAY[ROW(pg_temp.wallet(7), 'debit', 10), ROW(pg_temp.wallet(6), 'credit', 10)]::hail.entry_input[],
    'fraud refund ' || n, 'trip', ('f4a0d001-0000-7000-8000-00000000000' || n)::uuid)) AS refunds FROM generate_series(1, 2) n;
SELECT pg_temp.watch();
SELECT count(*) FROM pg_temp.signals WHERE kind = 'back_and_forth';
SELECT count(hail.post_transaction('trip_refund', ARRAY[ROW(pg_temp.wallet(7), 'debit', 10), ROW(pg_temp.wallet(6), 'credit', 10)]::hail.entry_input[],
    'fraud refund 3', 'trip', 'f4a0d001-0000-7000-8000-000000000003')) AS refunds;
SELECT pg_temp.watch();
SELECT * FROM pg_temp.signals WHERE kind = 'back_and_forth';
-- Payments that fail: the fourth within a day. A rule that is switched off raises nothing, and what it counts goes on.
SELECT count(hail.write_event('trip', 'f4a0d001-0000-7000-8000-000000000001', n, 'PaymentFailed', '{}')) FROM generate_series(1, 3) n;
SELECT pg_temp.watch();
SELECT failures FROM hail.fraud_failures WHERE user_id = pg_temp.who(6);
SELECT enabled FROM hail.set_fraud_rule('failed_payments', 'the gateway is down', enabled => false);
SELECT hail.write_event('trip', 'f4a0d001-0000-7000-8000-000000000001', 4, 'PaymentFailed', '{}');
SELECT pg_temp.watch();
SELECT count(*) FROM pg_temp.signals WHERE kind = 'failed_payments';
SELECT enabled FROM hail.set_fraud_rule('failed_payments', 'it is back', enabled => true);
SELECT hail.write_event('trip', 'f4a0d001-0000-7000-8000-000000000001', 5, 'PaymentFailed', '{}');
SELECT pg_temp.watch(1);
SELECT * FROM pg_temp.signals WHERE kind = 'failed_payments';
SELECT hail.advance_clock('25 hours') IS NOT NULL AS later;
SELECT hail.write_event('trip', 'f4a0d001-0000-7000-8000-000000000001', 6, 'PaymentFailed', '{}');
SELECT pg_temp.watch();
SELECT failures FROM hail.fraud_failures WHERE user_id = pg_temp.who(6);
UPDATE hail.trips SET event_version = 6 WHERE id = 'f4a0d001-0000-7000-8000-000000000001';

-- Rules: what is refused, and what has been changed.
SELECT hail.set_fraud_rule('no_such', 'x', 1);
SELECT hail.set_fraud_rule('round_trip', 'x', -1);
SELECT hail.set_fraud_rule('round_trip', 'x', 'NaN');
SELECT hail.set_fraud_rule('round_trip', 'x', period => '1 second');
SELECT hail.set_fraud_rule('round_trip', 'x', minimum => -1);
SELECT hail.set_fraud_rule('round_trip', 'x', severity => 'grave');
SELECT hail.set_fraud_rule('round_trip', '');
SELECT kind, version, hold, enabled, reason, changed_by FROM hail.fraud_rules WHERE version > 1 ORDER BY changed_at, kind, version;
-- Events: one for each signal and each decision.
SELECT e.type, count(*), bool_and(e.payload::text !~ 'Fraud [0-9]') AS without_names FROM hail.events e JOIN hail.fraud_signals s ON s.id = e.aggregate_id
WHERE e.aggregate_type = 'fraud_signal' AND s.user_id::text LIKE 'f4a0d000%' GROUP BY 1 ORDER BY 1;
SELECT * FROM hail.event_gaps() WHERE aggregate_type = 'fraud_signal';

-- Pages for administrators; figures without persons for analysts; nothing for anybody else.
SELECT hail.issue_token(pg_temp.who(9)) AS admin_token, hail.issue_token(pg_temp.who(8)) AS analyst_token, hail.issue_token(pg_temp.who(6)) AS customer_token,
       hail.issue_token(pg_temp.who(7)) AS driver_token \gset
BEGIN;
SELECT role FROM hail.authenticate(:'admin_token');
SELECT (signal).kind, right((signal).user_id::text, 1) AS "user", next_cursor IS NOT NULL AS more FROM hail.list_fraud_signals(user_id => pg_temp.who(6), max_results => 2);
SELECT max(next_cursor) AS cursor FROM hail.list_fraud_signals(user_id => pg_temp.who(6), max_results => 2) \gset
SELECT (signal).kind, next_cursor IS NOT NULL AS more FROM hail.list_fraud_signals(user_id => pg_temp.who(6), max_results => 2, cursor => :'cursor');
SELECT (signal).kind, (signal).state FROM hail.list_fraud_signals(state => 'dismissed', max_results => 2);
SAVEPOINT s;
SELECT hail.list_fraud_signals(user_id => pg_temp.who(7), cursor => :'cursor');
ROLLBACK TO s;
SELECT hail.list_fraud_signals(state => 'closed');
ROLLBACK TO s;
SELECT hail.list_fraud_signals(kind => 'x');
ROLLBACK TO s;
SELECT hail.list_fraud_signals(max_results => 0);
ROLLBACK TO s;
SELECT s.decided_by = 'user:' || pg_temp.who(9) AS decided_by_me FROM hail.fraud_signals f, hail.decide_fraud_signal(f.id, 'confirmed', 'seen') s
WHERE f.user_id = pg_temp.who(6) AND f.kind = 'failed_payments';
ROLLBACK;
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE statement INTO n;
    RETURN n;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END $$;
CREATE VIEW pg_temp.looks AS
    SELECT pg_temp.try('SELECT count(*) FROM hail.fraud_signals') AS signals, pg_temp.try('SELECT count(*) FROM hail.fraud_rules_now') AS rules,
           pg_temp.try('SELECT count(*) FROM hail.fraud_figures') AS figures, pg_temp.try('SELECT count(*) FROM hail.list_fraud_signals()') AS list,
           pg_temp.try('SELECT sum(signals) FROM hail.fraud_summary() WHERE kind = ''round_trip''') AS summary;
GRANT SELECT ON pg_temp.looks TO PUBLIC;
BEGIN;
SELECT role FROM hail.authenticate(:'analyst_token');
TABLE pg_temp.looks;
COMMIT;
BEGIN;
SELECT role FROM hail.authenticate(:'customer_token');
TABLE pg_temp.looks;
COMMIT;
BEGIN;
SELECT role FROM hail.authenticate(:'driver_token');
TABLE pg_temp.looks;
COMMIT;

-- A batch uses each number of an entry, a posting two of 256: a call of the watch looks at so many entries at most, and goes on.
SELECT count(*), count(b.error) FROM hail.post_transactions((SELECT array_agg('fraud batch ' || i) FROM generate_series(1, 100) i), ARRAY['top_up'],
    (SELECT array_agg((i + 1) / 2) FROM generate_series(1, 200) i),
    (SELECT array_agg(CASE i % 2 WHEN 0 THEN pg_temp.wallet(1) ELSE :'gateway'::uuid END ORDER BY i) FROM generate_series(1, 200) i),
    (SELECT array_agg(CASE i % 2 WHEN 0 THEN 1 ELSE -1 END::bigint) FROM generate_series(1, 200) i)) b;
SELECT max((SELECT count(*) FROM hail.ledger_entries n WHERE n.id > e.id AND n.id <= u.until)) BETWEEN 4 AND 10 AS bounded, bool_and(u.until > e.id) AS goes_on
FROM hail.ledger_entries e, LATERAL (SELECT hail.watched_until(e.id, hail.newest_entry_id() + 255, 5) AS until) u WHERE e.currency = 'XAF';
-- The rules are as they came.
SELECT count(hail.set_fraud_rule(kind, 'end of the test', hold => false)) FROM unnest(ARRAY['quick_withdrawal', 'round_trip']) kind;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
