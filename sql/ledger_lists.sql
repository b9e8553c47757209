-- Pages of the ledger: accounts, transactions, what moved a wallet, what is reserved on it.
\set VERBOSITY terse
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XTL', 2, 1);
SELECT hail.set_clock('2026-03-04 09:00+00');
INSERT INTO hail.users (id, name, role) VALUES
    ('ab000000-0000-7000-8000-000000000001', 'Lists Customer', 'customer'),
    ('ab000000-0000-7000-8000-000000000002', 'Lists Other', 'customer'),
    ('ab000000-0000-7000-8000-000000000003', 'Lists Admin', 'admin'),
    ('ab000000-0000-7000-8000-000000000004', 'Lists Analyst', 'analyst');
SELECT count(*) FROM (VALUES ('GATEWAY_CLEARING', NULL), ('CUSTOMER_WALLET', 'ab000000-0000-7000-8000-000000000001'),
                             ('CUSTOMER_WALLET', 'ab000000-0000-7000-8000-000000000002')) v (kind, owner),
    LATERAL hail.open_account(v.kind, v.owner::uuid, 'XTL');
CREATE FUNCTION pg_temp.acc(n integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT id FROM hail.accounts WHERE currency = 'XTL' AND owner_id IS NOT DISTINCT FROM ('ab000000-0000-7000-8000-00000000000' || n)::uuid $$;
CREATE FUNCTION pg_temp.be(n integer) RETURNS text LANGUAGE sql AS $$
    SELECT role FROM hail.authenticate(hail.issue_token(('ab000000-0000-7000-8000-00000000000' || n)::uuid)) $$;
SELECT count(hail.post_transaction('DEPOSIT', ARRAY[ROW(pg_temp.acc(NULL), 'debit', 1000 * n),
                                                    ROW(pg_temp.acc(1 + n % 2), 'credit', 1000 * n)]::hail.entry_input[], 'lists ' || n))
FROM generate_series(1, 7) n;
SELECT count(hail.hold(pg_temp.acc(1), 100 * n, 'lists hold ' || n)) FROM generate_series(1, 3) n;
SELECT (hail.reverse_transaction(id, 'lists reverse')).kind FROM hail.ledger_transactions WHERE idempotency_key = 'lists 1';

-- Pages meet without a gap, whatever their size.
CREATE FUNCTION pg_temp.walk(call text, size integer) RETURNS TABLE (page integer, shown text) LANGUAGE plpgsql AS $$
DECLARE cursor text; r record;
BEGIN
    FOR i IN 1 .. 9 LOOP
        page := i;
        FOR r IN EXECUTE call USING size, cursor LOOP
            shown := r.shown; cursor := r.next_cursor; RETURN NEXT;
        END LOOP;
        EXIT WHEN cursor IS NULL;
    END LOOP;
END $$;
BEGIN;
SELECT pg_temp.be(3);
SELECT page, shown FROM pg_temp.walk($$SELECT concat_ws(' ', kind, posted, held, available) AS shown, next_cursor
    FROM hail.list_accounts(only_currency => 'XTL', max_results => $1, cursor => $2)$$, 2);
SELECT page, shown FROM pg_temp.walk($$SELECT concat_ws(' ', kind, entries -> 0 ->> 'amount', entries -> 1 ->> 'account_kind', reverses IS NOT NULL) AS shown, next_cursor
    FROM hail.list_ledger_transactions(only_account => pg_temp.acc(NULL), max_results => $1, cursor => $2)$$, 3);
SELECT page, count(*) FROM pg_temp.walk($$SELECT kind AS shown, next_cursor
    FROM hail.list_ledger_transactions(from_time => '2026-03-04', to_time => '2026-03-05', max_results => $1, cursor => $2)$$, 8) GROUP BY 1 ORDER BY 1;
SELECT t.kind, t.idempotency_key, r.kind AS reversed_by FROM hail.ledger_transactions l,
    LATERAL hail.get_ledger_transaction(l.id) t LEFT JOIN hail.ledger_transactions r ON r.id = t.reversed_by WHERE l.idempotency_key = 'lists 1';
SELECT hail.get_ledger_transaction('ab000000-0000-7000-8000-00000000000f');
ROLLBACK;

-- A user sees its own side alone.
BEGIN;
SELECT pg_temp.be(1);
SET LOCAL ROLE hail_customer;
SELECT page, shown FROM pg_temp.walk($$SELECT concat_ws(' ', kind, amount, balance_after, currency) AS shown, next_cursor
    FROM hail.list_wallet_transactions(hail.current_subject(), max_results => $1, cursor => $2)$$, 2);
SELECT amount FROM hail.list_wallet_transactions(hail.current_subject(), only_kind => 'DEPOSIT', only_currency => 'XTL', to_time => '2026-03-05') ORDER BY 1;
SELECT count(*) FROM hail.list_wallet_transactions(hail.current_subject(), from_time => '2026-03-05');
SELECT page, shown FROM pg_temp.walk($$SELECT amount::text AS shown, next_cursor
    FROM hail.list_open_holds(hail.current_subject(), max_results => $1, cursor => $2)$$, 2);
SAVEPOINT s;
SELECT * FROM hail.list_wallet_transactions('ab000000-0000-7000-8000-000000000002');
ROLLBACK TO s;
SELECT * FROM hail.list_open_holds('ab000000-0000-7000-8000-000000000002');
ROLLBACK TO s;
SELECT * FROM hail.list_accounts();
ROLLBACK TO s;
SELECT * FROM hail.list_wallet_transactions(hail.current_subject(), max_results => 0);
ROLLBACK TO s;
SELECT * FROM hail.list_wallet_transactions(hail.current_subject(), cursor => repeat('A', 43));
ROLLBACK;
BEGIN;
SELECT pg_temp.be(4);
SET LOCAL ROLE hail_analyst;
SELECT count(*) FROM hail.list_accounts(only_currency => 'XTL');
SELECT * FROM hail.list_accounts(only_kind => 'NONE');
ROLLBACK;

-- A request is replayed when its key was used by an earlier transaction.
BEGIN;
SELECT pg_temp.be(1);
SELECT hail.claim_request_key('lists key', 'x'), hail.request_replayed('lists key');
COMMIT;
BEGIN;
SELECT pg_temp.be(1);
SELECT hail.claim_request_key('lists key', 'x'), hail.request_replayed('lists key'), hail.request_replayed('another');
ROLLBACK;
BEGIN;
SELECT pg_temp.be(2);
SELECT hail.claim_request_key('lists key', 'x'), hail.request_replayed('lists key');
ROLLBACK;
DELETE FROM hail.request_keys WHERE idempotency_key = 'lists key';
