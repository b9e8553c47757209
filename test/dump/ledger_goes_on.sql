-- A copy of the loaded ledger: the guards are on, folding begins and counts nothing twice, keys still answer, money moves on.
-- Raises an error where it does not.
\set ON_ERROR_STOP on
\o /dev/null
SELECT hail.set_clock('2024-05-07 10:00+00', 0);
CREATE FUNCTION pg_temp.leg(account uuid, amount bigint) RETURNS hail.entry_input LANGUAGE sql AS $$
    SELECT ROW(account, CASE WHEN amount < 0 THEN 'debit' ELSE 'credit' END, abs(amount))::hail.entry_input $$;
CREATE FUNCTION pg_temp.must(what text, holds boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF holds IS NOT TRUE THEN
        RAISE EXCEPTION 'not so: %', what;
    END IF;
END $$;
-- The statement is refused with this word, by the tables' owner and by whoever restores.
CREATE FUNCTION pg_temp.must_refuse(word text, statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    state text;
    sqlstate_due text := (SELECT e.sqlstate FROM hail.error_codes() e WHERE e.code = word);
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'ZZ999';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
    IF state <> sqlstate_due THEN
        RAISE EXCEPTION '% was answered with % %', statement, state, SQLERRM;
    END IF;
END $$;
CREATE TEMP TABLE attack AS SELECT unnest(ARRAY[
    'UPDATE hail.accounts SET posted = posted + 1', 'UPDATE hail.accounts SET held = held + 1 WHERE NOT is_system', 'DELETE FROM hail.accounts',
    'TRUNCATE hail.accounts CASCADE', 'UPDATE hail.ledger_entries SET amount = amount + 1', 'DELETE FROM hail.ledger_entries', 'TRUNCATE hail.ledger_entries',
    'UPDATE hail.ledger_transactions SET kind = ''forged''', 'DELETE FROM hail.ledger_transactions', 'TRUNCATE hail.ledger_transactions CASCADE',
    'UPDATE hail.holds SET amount = amount + 1', 'DELETE FROM hail.holds', 'TRUNCATE hail.holds',
    'MERGE INTO hail.accounts a USING public.wallet w ON a.id = w.id WHEN MATCHED THEN DELETE']) AS statement;
GRANT SELECT ON attack TO PUBLIC;
GRANT SELECT ON public.wallet TO PUBLIC;
SELECT pg_temp.must_refuse('ledger_protected', statement) FROM attack;
SET ROLE hail_owner;
SELECT pg_temp.must_refuse('ledger_protected', statement) FROM attack;
RESET ROLE;

-- Folding.
CREATE TEMP TABLE before AS TABLE public.exact;
SELECT hail.fold_accounts();
SELECT pg_temp.must('folding leaves exact balances alone', NOT EXISTS (TABLE before EXCEPT TABLE public.exact));
SELECT pg_temp.must('folding comes to its end', hail.fold_accounts() = 0 AND NOT EXISTS (SELECT FROM hail.accounts a JOIN before b USING (id) WHERE a.posted <> b.posted));

-- Keys: the same request is answered with its first result, another one is refused.
SELECT pg_temp.must('a key of a posting answers', (hail.post_transaction('deposit', ARRAY[pg_temp.leg(s.id, -5000 - w.n), pg_temp.leg(w.id, 5000 + w.n)],
        format('deposit 1 %s', w.id))).id = (SELECT t.id FROM hail.ledger_transactions t WHERE t.idempotency_key = format('deposit 1 %s', w.id)))
FROM public.wallet w JOIN public.system s USING (currency) WHERE s.n = 1 AND w.n = 1;
SELECT pg_temp.must_refuse('idempotency_mismatch', format($$ SELECT hail.post_transaction('deposit', ARRAY[ROW(%L, 'debit', 1), ROW(%L, 'credit', 1)]::hail.entry_input[], 'deposit 1 %s') $$, s.id, w.id, w.id))
FROM public.wallet w JOIN public.system s USING (currency) WHERE s.n = 1 AND w.n = 1;
SELECT pg_temp.must('a key of a hold answers', (hail.hold(w.id, 107, 'hold 2 7')).status = 'captured') FROM public.wallet w WHERE w.n = 7 AND currency = 'EUR';
SELECT pg_temp.must_refuse('idempotency_mismatch', format($$ SELECT hail.hold(%L, 108, 'hold 2 7') $$, w.id)) FROM public.wallet w WHERE w.n = 7 AND currency = 'EUR';
SELECT pg_temp.must('a key of a capture answers', (SELECT count(DISTINCT t.id) = 1 FROM (
    SELECT (hail.capture(h.id, s.id, 'capture 2 7')).id UNION ALL SELECT x.id FROM hail.ledger_transactions x WHERE x.idempotency_key = 'capture 2 7') t))
FROM hail.holds h, public.system s WHERE h.idempotency_key = 'hold 2 7' AND s.n = 2 AND s.currency = 'EUR';
SELECT pg_temp.must('a key of a request answers', hail.claim_result('dump', 'a request') = '00000000-0000-7000-8000-00000000d00d');
SELECT pg_temp.must_refuse('idempotency_mismatch', $$ SELECT hail.claim_result('dump', 'another') $$);
SELECT pg_temp.must('a key of a withdrawal answers', (hail.request_withdrawal(a.owner_id, 106, 'EUR', '{"type": "bank_account", "account": "GB33BUKB20201555555555", "holder": "Owner"}', 'withdraw 6')).replayed)
FROM public.wallet w JOIN hail.accounts a USING (id) WHERE w.n = 6 AND w.currency = 'EUR';
SELECT pg_temp.must('a key of a refund answers', (hail.refund_deposit(i.id, 200, 'asked for', 'refund 5')).replayed) FROM public.intent i WHERE n = 5;
SELECT pg_temp.must('an event of a gateway is known', public.tell('paid-1', 'payment.succeeded', jsonb_build_object('intentId', id, 'reference', 'P1', 'amount', 1001, 'currency', 'EUR', 'fee', 3)) LIKE '%again')
FROM public.intent WHERE n = 1;
SELECT pg_temp.must('another event says nothing new', public.tell('paid-again', 'payment.succeeded', jsonb_build_object('intentId', id, 'reference', 'P1', 'amount', 1001, 'currency', 'EUR', 'fee', 3)) IS NOT NULL)
FROM public.intent WHERE n = 1;
SELECT pg_temp.must('nothing has moved by that', NOT EXISTS (TABLE before EXCEPT TABLE public.exact));

-- Money moves on: a posting, an old hold captured, an old one expired, an old transaction reversed.
SELECT hail.post_transaction('deposit', ARRAY[pg_temp.leg(s.id, -13), pg_temp.leg(w.id, 13)], 'after') FROM public.wallet w JOIN public.system s USING (currency) WHERE s.n = 1 AND w.n = 1 AND currency = 'EUR';
SELECT hail.capture(h.id, s.id, 'after capture') FROM hail.holds h, public.system s WHERE h.idempotency_key = 'hold 2 1' AND s.n = 3 AND s.currency = 'EUR';
SELECT hail.reverse_transaction(t.id, 'after reverse') FROM hail.ledger_transactions t WHERE t.idempotency_key = 'exchange 3 2' AND NOT EXISTS (SELECT FROM hail.ledger_transactions r WHERE r.reverses = t.id);
SELECT hail.settle_withdrawal(id, 'payout after') FROM public.withdrawal WHERE n = 12;
SELECT hail.cancel_withdrawal(id) FROM public.withdrawal WHERE n = 3;
SELECT pg_temp.must_refuse('wrong_state', format('SELECT hail.fail_withdrawal(%L, ''no'')', id)) FROM public.withdrawal WHERE n = 15;
SELECT pg_temp.must('an open deposit is paid', public.tell('paid-7', 'payment.succeeded', jsonb_build_object('intentId', id, 'reference', 'P7', 'amount', 1007, 'currency', 'EUR')) = 'applied')
FROM public.intent WHERE n = 7;
SELECT pg_temp.must('an open refund is made', public.tell('refunded-5', 'refund.succeeded', jsonb_build_object('refundId', id, 'reference', 'R5', 'amount', 200, 'currency', 'EUR')) = 'applied')
FROM public.refund WHERE n = 5;
SELECT hail.fold_accounts();
SELECT pg_temp.must('a posting and a capture move what they say', e.posted - b.posted = 13 - 101 AND e.held - b.held = -101)
FROM public.wallet w JOIN public.exact e USING (id) JOIN before b USING (id) WHERE w.n = 1 AND w.currency = 'EUR';
SELECT pg_temp.must('the clearing account too', e.posted - b.posted = -13 + 112 - 1007 + 200) FROM public.system s JOIN public.exact e USING (id) JOIN before b USING (id) WHERE s.n = 1 AND s.currency = 'EUR';
SELECT pg_temp.must('the closed account stays closed', (SELECT closed_at IS NOT NULL FROM hail.accounts JOIN public.wallet w USING (id) WHERE w.n = 24 AND w.currency = 'USD'));
SELECT pg_temp.must('currencies sum to zero', NOT EXISTS (SELECT FROM public.exact e JOIN hail.accounts a USING (id) GROUP BY a.currency HAVING sum(e.posted) <> 0));
