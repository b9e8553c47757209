-- A loaded ledger for test/dump/ledger: wallets and system accounts of two currencies, postings of three days, holds of every
-- fate, reversals, withdrawals and deposits in every state, closed days, keys; some folded, some not.
SELECT hail.set_clock('2024-05-04 10:00+00', 0);
CREATE TABLE public.wallet AS
SELECT n, currency, (hail.open_account(CASE WHEN n % 3 = 0 THEN 'DRIVER' ELSE 'CUSTOMER' END || '_WALLET', u.id, currency)).id
FROM generate_series(1, 24) n, LATERAL hail.register_user('+8883' || 1000000 + n, 'Owner ' || n, CASE WHEN n % 3 = 0 THEN 'driver' ELSE 'customer' END) u,
     unnest('{EUR,USD}'::text[]) currency;
CREATE TABLE public.system AS
SELECT n, currency, (hail.open_account(kind, NULL, currency)).id
FROM unnest(ARRAY['GATEWAY_CLEARING', 'PLATFORM_REVENUE', 'PROMOTIONS', 'CASH_CLEARING']) WITH ORDINALITY k (kind, n), unnest('{EUR,USD}'::text[]) currency;
CREATE FUNCTION pg_temp.leg(account uuid, amount bigint) RETURNS hail.entry_input LANGUAGE sql AS $$
    SELECT ROW(account, CASE WHEN amount < 0 THEN 'debit' ELSE 'credit' END, abs(amount))::hail.entry_input $$;
CREATE PROCEDURE public.load(day integer) LANGUAGE plpgsql AS $$
DECLARE
    h hail.holds;
BEGIN
    PERFORM hail.post_transaction('deposit', ARRAY[pg_temp.leg(s.id, -5000 - w.n), pg_temp.leg(w.id, 5000 + w.n)], format('deposit %s %s', day, w.id))
    FROM public.wallet w JOIN public.system s USING (currency) WHERE s.n = 1;
    COMMIT;
    PERFORM hail.post_transaction('shared', ARRAY[pg_temp.leg(a.id, -100 - a.n), pg_temp.leg(b.id, 60), pg_temp.leg(s.id, 40 + a.n)], format('shared %s %s', day, a.id),
                                  'order', hail.uuid7(), '{"by": "load"}')
    FROM public.wallet a JOIN public.wallet b ON b.currency = a.currency AND b.n = a.n % 24 + 1 JOIN public.system s ON s.currency = a.currency AND s.n = 2;
    COMMIT;
    PERFORM hail.post_transaction('exchange', ARRAY[pg_temp.leg(a.id, -10), pg_temp.leg(sa.id, 10), pg_temp.leg(b.id, 11), pg_temp.leg(sb.id, -11)], format('exchange %s %s', day, a.n))
    FROM public.wallet a JOIN public.wallet b ON b.n = a.n AND b.currency = 'USD' JOIN public.system sa ON sa.n = 4 AND sa.currency = 'EUR'
    JOIN public.system sb ON sb.n = 4 AND sb.currency = 'USD' WHERE a.currency = 'EUR';
    COMMIT;
    IF day < 3 THEN
        PERFORM hail.fold_accounts();
        COMMIT;
    END IF;
    -- Holds: still open, captured whole and in part, released, to expire.
    FOR w IN 1..20 LOOP
        h := hail.hold((SELECT id FROM public.wallet x WHERE x.n = w AND currency = 'EUR'), 100 + w, format('hold %s %s', day, w),
                       ttl => CASE WHEN w % 5 = 0 THEN interval '1 hour' WHEN w % 5 = 1 THEN interval '30 days' END);
        IF w % 5 = 2 THEN
            PERFORM hail.capture(h.id, (SELECT id FROM public.system WHERE n = 2 AND currency = 'EUR'), format('capture %s %s', day, w));
        ELSIF w % 5 = 3 THEN
            PERFORM hail.capture(h.id, (SELECT id FROM public.system WHERE n = 2 AND currency = 'EUR'), format('capture %s %s', day, w), 7);
        ELSIF w % 5 = 4 THEN
            PERFORM hail.release(h.id);
        END IF;
        COMMIT;
    END LOOP;
    PERFORM hail.reverse_transaction(t.id, 'reverse ' || t.idempotency_key) FROM hail.ledger_transactions t
    WHERE t.idempotency_key LIKE format('exchange %s %%', day) AND hashtext(t.idempotency_key) % 3 = 0;
    PERFORM hail.advance_clock('1 day');
    PERFORM hail.expire_holds();
    COMMIT;
END
$$;
CALL public.load(1);
CALL public.load(2);
CALL public.load(3);
SELECT hail.close_day('2024-05-04'), hail.close_day('2024-05-05');
-- Withdrawals in every state, by the drivers among the owners.
SELECT hail.create_region('bookport', 'Bookport', 'EUR', 'UTC', public.ST_MakeEnvelope(-40.15, 29.90, -39.85, 30.10, 4326));
SELECT hail.register_driver(a.owner_id, 'bookport', '{economy}'), hail.approve_driver(a.owner_id)
FROM hail.accounts a WHERE a.kind = 'DRIVER_WALLET' AND a.currency = 'EUR';
SELECT hail.set_withdrawal_rules('EUR', minimum => 10, maximum => 100000, daily_number => 100, fee => 5);
CREATE FUNCTION pg_temp.withdraw(w integer, amount bigint) RETURNS uuid LANGUAGE sql AS $$
    SELECT (r.withdrawal).id FROM hail.accounts a, LATERAL hail.request_withdrawal(a.owner_id, amount, 'EUR',
        '{"type": "bank_account", "account": "GB33BUKB20201555555555", "holder": "Owner"}', 'withdraw ' || w) r
    WHERE a.id = (SELECT x.id FROM public.wallet x WHERE x.n = w AND x.currency = 'EUR') $$;
CREATE TABLE public.withdrawal AS SELECT n, pg_temp.withdraw(n, 100 + n) AS id FROM generate_series(3, 24, 3) n;
SELECT hail.issue_token(u.id) AS token FROM hail.register_user(NULL, 'Payer', 'admin') u \gset
BEGIN;
SELECT hail.authenticate(:'token');
RESET ROLE;
SELECT hail.reject_withdrawal(id, 'no') FROM public.withdrawal WHERE n = 6;
SELECT hail.cancel_withdrawal(id) FROM public.withdrawal WHERE n = 9;
SELECT hail.approve_withdrawal(id) FROM public.withdrawal WHERE n >= 12;
SELECT hail.settle_withdrawal(id, 'payout ' || n) FROM public.withdrawal WHERE n IN (15, 18);
SELECT hail.fail_withdrawal(id, 'no such account') FROM public.withdrawal WHERE n = 21;
SELECT hail.return_withdrawal(id, 'closed') FROM public.withdrawal WHERE n = 18;
COMMIT;
-- Deposits: paid, failed, open, refunded in part, about to be refunded; told by signed events.
SELECT hail.create_gateway('bank', 'standard_webhooks', '{EUR}', deposit_ttl => '7 days', secret => 'whsec_' || encode('a secret of the bank, 32 bytes...', 'base64'));
CREATE FUNCTION public.tell(event text, type text, data jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    at text := extract(epoch FROM hail.clock())::bigint::text;
    body text := jsonb_build_object('type', type, 'timestamp', '2024-05-07T10:00:00Z', 'data', data);
BEGIN
    RETURN (SELECT concat_ws(' ', e.outcome, CASE WHEN e.replayed THEN 'again' END) FROM hail.receive_gateway_event('bank', jsonb_build_object('webhook-id', event,
        'webhook-timestamp', at, 'webhook-signature', hail.webhook_signature('a secret of the bank, 32 bytes...'::bytea, event, at, body)), body) e);
END
$$;
CREATE TABLE public.intent AS
SELECT w.n, (d.intent).id FROM public.wallet w JOIN hail.accounts a USING (id), LATERAL hail.begin_deposit(a.owner_id, 1000 + w.n, 'EUR', 'bank', 'deposit ' || w.n) d
WHERE w.currency = 'EUR' AND w.n IN (1, 2, 4, 5, 7);
SELECT public.tell('paid-' || n, 'payment.succeeded', jsonb_build_object('intentId', id, 'reference', 'P' || n, 'amount', 1000 + n, 'currency', 'EUR', 'fee', 3)) FROM public.intent WHERE n IN (1, 4, 5);
SELECT public.tell('failed-' || n, 'payment.failed', jsonb_build_object('intentId', id, 'reference', 'P' || n, 'amount', 1000 + n, 'currency', 'EUR')) FROM public.intent WHERE n = 2;
CREATE TABLE public.refund AS SELECT n, (r.refund).id FROM public.intent i, LATERAL hail.refund_deposit(i.id, 200, 'asked for', 'refund ' || n) r WHERE n IN (4, 5);
SELECT public.tell('refunded-' || n, 'refund.succeeded', jsonb_build_object('refundId', id, 'reference', 'R' || n, 'amount', 200, 'currency', 'EUR')) FROM public.refund WHERE n = 4;
-- A signal of fraud, if somebody looks.
SELECT * FROM hail.keep();
-- A key of a request, and its result.
BEGIN;
SELECT hail.claim_result('dump', 'a request'), hail.keep_result('dump', '00000000-0000-7000-8000-00000000d00d');
COMMIT;
UPDATE hail.accounts SET closed_at = hail.clock() WHERE id = (SELECT id FROM public.wallet WHERE n = 24 AND currency = 'USD');
-- Exact balances, to compare with.
CREATE VIEW public.exact AS SELECT a.id, a.kind, hail.exact_posted(a) AS posted, a.held FROM hail.accounts a ORDER BY a.id;
