-- What is erased of a user's payments, and what stays.
SELECT hail.set_clock('2014-04-14 09:00+00');
SET client_min_messages = warning;
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XER', 2, 1) ON CONFLICT DO NOTHING;
INSERT INTO hail.users (id, name, role) SELECT ('e7a5ed00-0000-7000-8000-00000000000' || n)::uuid, 'Erased ' || n, 'customer' FROM generate_series(1, 2) n;
CREATE FUNCTION pg_temp.u(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('e7a5ed00-0000-7000-8000-00000000000' || n)::uuid $$;
CREATE FUNCTION pg_temp.words(secret text) RETURNS TABLE (place text, found bigint) LANGUAGE sql AS $$
    SELECT * FROM (
        SELECT 'payments', count(*) FROM hail.payment_intents t WHERE t::text LIKE '%' || secret || '%'
        UNION ALL SELECT 'refunds', count(*) FROM hail.payment_refunds t WHERE t::text LIKE '%' || secret || '%'
        UNION ALL SELECT 'gateway events', count(*) FROM hail.gateway_events t WHERE t::text LIKE '%' || secret || '%'
        UNION ALL SELECT 'signals', count(*) FROM hail.fraud_signals t WHERE t::text LIKE '%' || secret || '%'
        UNION ALL SELECT 'keys', count(*) FROM hail.request_keys t WHERE t::text LIKE '%' || secret || '%'
        UNION ALL SELECT 'events', count(*) FROM hail.events t WHERE t::text LIKE '%' || secret || '%') x (place, found) ORDER BY 1 $$;
SELECT (g.gateway).name FROM hail.create_gateway('erasing', 'standard_webhooks', '{XER}', secret => 'whsec_' || encode('0123456789abcdef0123456789abcdef', 'base64')) g;
-- Each of two customers: a deposit settled by hand, a part of it refunded, a sign of fraud dismissed, all with words.
SELECT n, (hail.settle_deposit((d.intent).id, 'Mrs. Zqxword ' || n || ' has telephoned')).state
FROM generate_series(1, 2) n, LATERAL hail.begin_deposit(pg_temp.u(n), 1000, 'XER', 'erasing', 'erasure deposit ' || n) d;
SELECT n, (hail.refund_deposit(i.id, 100, 'Zqxword ' || n || ' wants it', 'erasure refund ' || n)).replayed
FROM generate_series(1, 2) n JOIN hail.payment_intents i ON i.user_id = pg_temp.u(n);
INSERT INTO hail.fraud_signals (user_id, kind, severity, subject_type, subject_id, detail, on_hold, period_start, raised_at, event_version)
SELECT pg_temp.u(n), 'large_amount', 'low', 'account', pg_temp.u(n), '{}', false, hail.clock(), hail.clock(), 0 FROM generate_series(1, 2) n;
SELECT count(hail.decide_fraud_signal(s.id, 'dismissed', 'Zqxword is a friend of mine')) AS decided FROM hail.fraud_signals s WHERE s.user_id IN (pg_temp.u(1), pg_temp.u(2));
SELECT * FROM pg_temp.words('Zqxword');
-- Not while a payment is under way; not by others; not of nobody.
SELECT hail.erase_payment_words(pg_temp.u(1));
SELECT hail.erase_payment_words(hail.uuid7());
BEGIN;
SELECT hail.authenticate(hail.issue_token(pg_temp.u(1), '1 hour')) IS NOT NULL AS customer;
SELECT hail.erase_payment_words(pg_temp.u(1));
ROLLBACK;
-- The gateway answers, with a number and a name.
SELECT m.n, e.outcome, e.replayed FROM (
    SELECT n, json_build_object('type', 'refund.failed', 'data', json_build_object('refundId', r.id, 'amount', 100, 'currency', 'XER',
                  'reason', 'Zqxword''s account 1234 5678 is closed, see 20140414'))::text AS body
    FROM generate_series(1, 2) n JOIN hail.payment_intents i ON i.user_id = pg_temp.u(n) JOIN hail.payment_refunds r ON r.intent_id = i.id) m,
    LATERAL hail.receive_gateway_event('erasing', jsonb_build_object('webhook-id', 'erase-' || m.n, 'webhook-timestamp', extract(epoch FROM hail.clock())::bigint::text,
        'webhook-signature', hail.webhook_signature('0123456789abcdef0123456789abcdef', 'erase-' || m.n, extract(epoch FROM hail.clock())::bigint::text, m.body)), m.body) e
ORDER BY 1;
SELECT DISTINCT r.failure FROM hail.payment_refunds r JOIN hail.payment_intents i ON i.id = r.intent_id WHERE i.gateway = 'erasing';
SELECT words > 0 AS words, events > 0 AS events FROM hail.erase_payment_words(pg_temp.u(1));
-- Those of the other one are still there, and the money.
SELECT * FROM pg_temp.words('Zqxword');
SELECT u.n, i.state, i.amount, i.reason, r.amount AS refund, r.state AS refund_state, r.reason AS asked, r.failure, s.reason AS decided,
       (SELECT w.posted FROM hail.wallet(pg_temp.u(u.n)) w) AS wallet
FROM generate_series(1, 2) AS u (n) JOIN hail.payment_intents i ON i.user_id = pg_temp.u(u.n) JOIN hail.payment_refunds r ON r.intent_id = i.id
JOIN hail.fraud_signals s ON s.user_id = i.user_id ORDER BY 1;
-- Again: nothing left; a repeat of the request is no longer known.
SELECT * FROM hail.erase_payment_words(pg_temp.u(1));
SELECT hail.refund_deposit(i.id, 100, 'Zqxword 1 wants it', 'erasure refund 1') FROM hail.payment_intents i WHERE i.user_id = pg_temp.u(1);
SELECT (hail.refund_deposit(i.id, 100, 'Zqxword 2 wants it', 'erasure refund 2')).replayed FROM hail.payment_intents i WHERE i.user_id = pg_temp.u(2);
RESET client_min_messages;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
