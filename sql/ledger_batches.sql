-- Many transactions in one call: all or nothing, or each on its own.
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XBA', 2, 1), ('XBB', 2, 1);
SELECT hail.set_clock('2026-03-11 09:00+00');
INSERT INTO hail.users (id, name, role) SELECT ('ba7c0000-0000-7000-8000-00000000000' || n)::uuid, 'Batch ' || n, 'customer' FROM generate_series(1, 4) n;
SELECT count(hail.open_account('CUSTOMER_WALLET', id, 'XBA')) FROM hail.users WHERE name LIKE 'Batch _';
SELECT (hail.open_account('GATEWAY_CLEARING', NULL, 'XBA')).id AS bank, (hail.open_account('GATEWAY_CLEARING', NULL, 'XBB')).id AS other_bank,
       (hail.open_account('CUSTOMER_WALLET', 'ba7c0000-0000-7000-8000-000000000001', 'XBA')).id AS w1,
       (hail.open_account('CUSTOMER_WALLET', 'ba7c0000-0000-7000-8000-000000000002', 'XBA')).id AS w2,
       (hail.open_account('CUSTOMER_WALLET', 'ba7c0000-0000-7000-8000-000000000003', 'XBA')).id AS w3,
       (hail.open_account('CUSTOMER_WALLET', 'ba7c0000-0000-7000-8000-000000000004', 'XBA')).id AS closed \gset
UPDATE hail.accounts SET closed_at = hail.clock() WHERE id = :'closed';
CREATE VIEW pg_temp.books AS
    SELECT right(a.owner_id::text, 1) AS wallet, b.posted, (SELECT count(*) FROM hail.ledger_entries e WHERE e.account_id = a.id) AS entries
    FROM hail.accounts a, hail.balance(a.id) b WHERE a.currency = 'XBA' ORDER BY 1;
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; field text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME;
    RETURN concat_ws(': ', coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state), nullif(field, ''), SQLERRM);
END $$;

-- In order: what the first brings the second may spend. Balances are of the moment after each item; system accounts tell none.
SELECT item, repeated, balances, error FROM hail.post_transactions(ARRAY['a', 'b', 'c'], ARRAY['deposit', 'move', 'move'], ARRAY[1, 1, 2, 2, 3, 3, 3],
    ARRAY[:'bank', :'w1', :'w1', :'w2', :'w1', :'w2', :'w3']::uuid[], ARRAY[-1000, 1000, -400, 400, -100, -50, 150]);
TABLE pg_temp.books;
SELECT t.idempotency_key, t.kind, e.amount, e.direction, e.balance_after, t.effective_at = t.created_at AS now
FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id
WHERE e.currency = 'XBA' ORDER BY e.id;
-- The same again is answered with the first results, another request is not; one kind for all.
SELECT item, repeated, balances, error FROM hail.post_transactions(ARRAY['a', 'd'], ARRAY['deposit'], ARRAY[1, 1, 2, 2],
    ARRAY[:'w1', :'bank', :'bank', :'w1']::uuid[], ARRAY[1000, -1000, -1, 1]);
SELECT pg_temp.try(format($$ SELECT hail.post_transactions(ARRAY['e', 'a'], ARRAY['deposit'], ARRAY[1, 1, 2, 2], ARRAY[%1$L, %2$L, %1$L, %2$L]::uuid[], ARRAY[-1, 1, -999, 999]) $$, :'bank', :'w1'));
SELECT count(*) AS nothing_of_e FROM hail.ledger_transactions WHERE idempotency_key = 'e' AND principal = 'admin' AND created_at = '2026-03-11 09:00+00';
-- A transaction posted alone and one of a batch share their keys.
SELECT repeated, balances FROM hail.post_transaction('move', ARRAY[ROW(:'w1', 'debit', 400), ROW(:'w2', 'credit', 400)]::hail.entry_input[], 'b');
-- A key twice in a batch: one transaction; with another request the batch is refused.
SELECT item, repeated, balances, transaction_id = first_value(transaction_id) OVER (ORDER BY item) AS same FROM hail.post_transactions(
    ARRAY['f', 'f'], ARRAY['deposit'], ARRAY[1, 1, 2, 2], ARRAY[:'bank', :'w1', :'w1', :'bank']::uuid[], ARRAY[-5, 5, 5, -5]);
SELECT pg_temp.try(format($$ SELECT hail.post_transactions(ARRAY['g', 'g'], ARRAY['deposit'], ARRAY[1, 1, 2, 2], ARRAY[%1$L, %2$L, %1$L, %2$L]::uuid[], ARRAY[-1, 1, -2, 2]) $$, :'bank', :'w1'));
TABLE pg_temp.books;

-- All or nothing: the last item fails, nothing is there.
SELECT pg_temp.try(format($$ SELECT hail.post_transactions(ARRAY['h', 'i'], ARRAY['move'], ARRAY[1, 1, 2, 2], ARRAY[%1$L, %2$L, %3$L, %1$L]::uuid[], ARRAY[-1, 1, -100000, 100000]) $$, :'bank', :'w1', :'w2'));
TABLE pg_temp.books;
-- Each on its own: every fault beside what is right; the faulty leave nothing, and may be asked again with the same key.
SELECT item, balances, error, field, message FROM hail.post_transactions(
    ARRAY['j1', '', 'j3', 'j4', 'j5', 'j6', 'j7', 'j8', 'j9', 'j10', 'a', 'j1', 'j13', 'j14', 'j15', 'j16'],
    ARRAY['move', 'move', '1; --', 'move', 'move', 'move', 'move', 'move', 'move', 'move', 'move', 'move', 'move', 'move', 'move', NULL],
    ARRAY[1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 16, 16],
    ARRAY[:'bank', :'w1', :'bank', :'w1', :'bank', :'w1', :'bank', :'w1', :'w1', :'bank', 'dddddddd-0000-7000-8000-000000000001', :'bank', :'closed', :'bank', :'other_bank',
          :'bank', :'w1', :'bank', :'w1', :'bank', :'w1', :'bank', :'w1', :'w3', :'w1', :'w1', :'w3', :'bank', :'w1', :'bank', :'w1']::uuid[],
    ARRAY[-7, 7, -1, 1, -1, 1, -1, -1, 1, -1, 1, -1, 1, -1, 1, 0, 0, -3, 4, -9, 9, -7, 8, -1000000, 1000000, -2, 2, -9223372036854775808, 9223372036854775807, -1, 1], apart => true) ORDER BY item;
TABLE pg_temp.books;
SELECT count(*) FROM hail.ledger_transactions WHERE idempotency_key ~ '^j[0-9]+$' AND principal = 'admin';
SELECT item, repeated, balances, error FROM hail.post_transactions(ARRAY['j13', 'j1', 'j14'], ARRAY['move'], ARRAY[1, 1, 2, 2, 3, 3],
    ARRAY[:'bank', :'w3', :'bank', :'w1', :'w1', :'w3']::uuid[], ARRAY[-1, 1, -7, 7, -2, 2], apart => true);
-- What spends money of a refused item is refused with it.
SELECT item, balances, error FROM hail.post_transactions(ARRAY['k1', 'k2', 'k3'], ARRAY['move'], ARRAY[1, 1, 2, 2, 3, 3],
    ARRAY[:'w3', :'w2', :'w2', :'bank', :'w2', :'bank']::uuid[], ARRAY[-1000000, 1000000, -1000000, 1000000, -1, 1], apart => true);
TABLE pg_temp.books;

-- Arguments that don't fit together are refused whole, however the items are taken.
SELECT pg_temp.try($$ SELECT hail.post_transactions('{a,b}', '{x,y,z}', '{1,1}', NULL, NULL) $$) AS kinds;
SELECT pg_temp.try($$ SELECT hail.post_transactions('{a}', '{x}', '{1,1}', NULL, '{1,-1}', apart => true) $$) AS accounts;
SELECT pg_temp.try(format($$ SELECT hail.post_transactions('{a}', '{x}', '{1,2}', ARRAY[%1$L, %1$L]::uuid[], '{1,-1}', apart => true) $$, :'bank')) AS beyond;
SELECT pg_temp.try(format($$ SELECT hail.post_transactions('{a,b}', '{x}', '{2,1}', ARRAY[%1$L, %1$L]::uuid[], '{1,-1}', apart => true) $$, :'bank')) AS descending;
SELECT pg_temp.try(format($$ SELECT hail.post_transactions('{a}', '{x}', '{1,NULL}', ARRAY[%1$L, %1$L]::uuid[], '{1,-1}', apart => true) $$, :'bank')) AS null_item;
SELECT pg_temp.try(format($$ SELECT hail.post_transactions('{a}', '{x}', '{1,1}', ARRAY[%1$L, NULL]::uuid[], '{1,-1}', apart => true) $$, :'bank')) AS null_account;
SELECT pg_temp.try(format($$ SELECT hail.post_transactions('{a}', '{x}', '{1,1}', ARRAY[%1$L, %1$L]::uuid[], '{1,NULL}', apart => true) $$, :'bank')) AS null_amount;
SELECT pg_temp.try(format($$ SELECT hail.post_transactions('{a}', '{x}', '{1,1}', ARRAY[%1$L, %1$L]::uuid[], '{1,-1}', '{x,y}') $$, :'bank')) AS types;
SELECT pg_temp.try($$ SELECT hail.post_transactions((SELECT array_agg(n::text) FROM generate_series(1, 10001) n), '{x}', NULL, NULL, NULL) $$) AS too_many;
SELECT count(*) AS of_nothing FROM hail.post_transactions('{}', '{x}', '{}', '{}', '{}');
SELECT count(*) AS of_nothing FROM hail.post_transactions(NULL, '{x}', NULL, NULL, NULL);
SET ROLE hail_customer;
SELECT pg_temp.try($$ SELECT hail.post_transactions('{}', '{x}', '{}', '{}', '{}') $$) AS not_granted;
RESET ROLE;

-- References, metadata and effective times, where given.
SELECT item, error FROM hail.post_transactions(ARRAY['l1', 'l2', 'l3'], ARRAY['move'], ARRAY[1, 1, 2, 2, 3, 3],
    ARRAY[:'bank', :'w1', :'bank', :'w1', :'bank', :'w1']::uuid[], ARRAY[-1, 1, -1, 1, -1, 1], ARRAY['order', NULL, NULL],
    ARRAY['ba7c0000-0000-7000-8000-0000000000ff', NULL, NULL]::uuid[], ARRAY['{"a": 1}', NULL, NULL]::jsonb[], ARRAY['2026-03-01', NULL, 'infinity']::timestamptz[], apart => true);
SELECT idempotency_key, reference_type, reference_id, metadata, effective_at, created_at, request FROM hail.ledger_transactions
WHERE idempotency_key IN ('l1', 'l2', 'l3') AND principal = 'admin' ORDER BY 1;
SELECT repeated FROM hail.post_transaction('move', ARRAY[ROW(:'bank', 'debit', 1), ROW(:'w1', 'credit', 1)]::hail.entry_input[], 'l1', 'order', 'ba7c0000-0000-7000-8000-0000000000ff', '{"a": 1}', '2026-03-01');
SELECT pg_temp.try(format($$ SELECT hail.post_transaction('move', ARRAY[ROW(%L, 'debit', 1), ROW(%L, 'credit', 1)]::hail.entry_input[], 'l1', 'order', 'ba7c0000-0000-7000-8000-0000000000ff', '{"a": 1}') $$, :'bank', :'w1')) AS other_time;
SELECT pg_temp.try(format($$ SELECT hail.post_transaction('move', ARRAY[ROW(%L, 'debit', 1), ROW(%L, 'credit', 1)]::hail.entry_input[], 'l4', effective_at => '2025-03-09') $$, :'bank', :'w1')) AS long_ago;
SELECT pg_temp.try(format($$ SELECT hail.post_transaction('move', ARRAY[ROW(%L, 'debit', 1), ROW(%L, 'credit', 1)]::hail.entry_input[], 'l4', effective_at => '2026-04-12') $$, :'bank', :'w1')) AS far_ahead;
SELECT pg_temp.try(format($$ SELECT hail.post_transaction('move', ARRAY[ROW(%L, 'debit', 1), ROW(%L, 'credit', 1)]::hail.entry_input[], 'l4', effective_at => '-infinity') $$, :'bank', :'w1')) AS for_ever;

-- A savepoint that is undone takes its batch with it; a thousand at once, half of them of one wallet, add up.
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM hail.post_transactions(ARRAY['m1'], ARRAY['move'], ARRAY[1, 1], ARRAY[:'bank', :'w1']::uuid[], ARRAY[-1, 1]);
ROLLBACK TO s;
SELECT item, repeated FROM hail.post_transactions(ARRAY['m1'], ARRAY['move'], ARRAY[1, 1], ARRAY[:'bank', :'w1']::uuid[], ARRAY[-1, 1]);
COMMIT;
SELECT count(*), count(error) AS refused, min(balances[2]), max(balances[2]), count(DISTINCT transaction_id) FROM hail.post_transactions(
    ARRAY(SELECT 'n' || n FROM generate_series(1, 1000) n), ARRAY['move'], ARRAY(SELECT (n + 1) / 2 FROM generate_series(1, 2000) n),
    ARRAY(SELECT CASE WHEN n % 2 = 1 THEN :'bank' WHEN n % 4 = 0 THEN :'w1' ELSE :'w2' END::uuid FROM generate_series(1, 2000) n),
    ARRAY(SELECT CASE WHEN n % 2 = 1 THEN -1 ELSE 1 END FROM generate_series(1, 2000) n));
TABLE pg_temp.books;
-- Every wallet's newest entry says its balance, and everything adds up.
SELECT right(a.owner_id::text, 1) AS wallet, a.posted = (SELECT e.balance_after FROM hail.ledger_entries e WHERE e.account_id = a.id ORDER BY e.id DESC LIMIT 1) AS right
FROM hail.accounts a WHERE a.currency = 'XBA' AND NOT a.is_system AND a.posted > 0 ORDER BY 1;
SELECT sum(CASE direction WHEN 'credit' THEN amount ELSE - amount END) FROM hail.ledger_entries WHERE currency = 'XBA';
SELECT * FROM hail.reconcile('2026-03-11') WHERE check_name <> 'paid_trip_not_completed';
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
