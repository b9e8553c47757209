-- The hash chain: what was recorded can't be changed without a link that breaks. All of it is undone at the end.
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO';
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XCH', 2, 1);
SELECT hail.set_clock('2041-03-01 09:00+00');
INSERT INTO hail.users (id, name, role) VALUES
    ('c4a10000-0000-7000-8000-000000000001', 'Chain Customer', 'customer'), ('c4a10000-0000-7000-8000-000000000002', 'Chain Driver', 'driver');
SELECT (hail.open_account('CUSTOMER_WALLET', 'c4a10000-0000-7000-8000-000000000001', 'XCH')).id AS customer,
       (hail.open_account('DRIVER_WALLET', 'c4a10000-0000-7000-8000-000000000002', 'XCH')).id AS driver,
       (hail.open_account('GATEWAY_CLEARING', NULL, 'XCH')).id AS gateway \gset
CREATE FUNCTION pg_temp.post(key text, payer uuid, payee uuid, amount bigint) RETURNS void LANGUAGE sql AS $$
    SELECT FROM hail.post_transaction('test', ARRAY[ROW(payer, 'debit', amount), ROW(payee, 'credit', amount)]::hail.entry_input[], key, metadata => '{"b": 1, "a": 2}') $$;
-- What others have left is chained first, a day a turn, but only when it is wanted.
SELECT hail.chain_entries() AS off_by_default, count(*) AS steps FROM hail.ledger_chain_steps;
SET LOCAL hail.ledger_chain = on;
DO $$
BEGIN
    WHILE hail.chain_entries() > 0 LOOP NULL; END LOOP;
END $$;
SELECT (SELECT sum(entries) FROM hail.ledger_chain_steps) = (SELECT count(*) FROM hail.ledger_entries) AS all_of_it, count(*) AS broken FROM hail.verify_chains();
SELECT pg_temp.post('ch1', :'gateway', :'customer', 1000), pg_temp.post('ch2', :'customer', :'driver', 300);
SELECT hail.chain_entries() AS not_yet_past;
SELECT hail.set_clock('2041-03-01 09:01+00');
SELECT hail.chain_entries() AS chained;
SELECT pg_temp.post('ch3', :'customer', :'driver', 50);
SELECT hail.set_clock('2041-03-03 10:00+00');
SELECT pg_temp.post('ch4', :'driver', :'gateway', 20), pg_temp.post('ch5', :'customer', :'driver', 1);
SELECT hail.set_clock('2041-03-04 11:00+00');
SELECT hail.chain_entries() AS first_day, hail.chain_entries() AS third_day, hail.chain_entries() AS nothing_left;
SELECT a.kind, c.until, c.entries, length(c.hash) AS bytes FROM hail.ledger_chain c JOIN hail.accounts a ON a.id = c.account_id WHERE a.currency = 'XCH' ORDER BY 2, 1;
SELECT until, entries, accounts FROM hail.ledger_chain_steps WHERE until > '2041-03-01' ORDER BY 1;
-- A head depends on all before it; the same entries make the same hash, whatever the session's settings.
SELECT count(DISTINCT head) = count(*) AS heads_differ FROM hail.ledger_chain_steps;
SELECT hail.entry_hash(e, t) AS hash FROM hail.ledger_entries e JOIN hail.ledger_transactions t ON t.id = e.transaction_id WHERE t.idempotency_key = 'ch3' ORDER BY e.id LIMIT 1 \gset
SET LOCAL timezone = 'Asia/Tokyo';
SET LOCAL datestyle = 'German';
SET LOCAL bytea_output = 'escape';
SELECT hail.entry_hash(e, t) = :'hash' AS same FROM hail.ledger_entries e JOIN hail.ledger_transactions t ON t.id = e.transaction_id WHERE t.idempotency_key = 'ch3' ORDER BY e.id LIMIT 1;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO';
SELECT * FROM hail.verify_chain(:'driver');
SELECT * FROM hail.verify_chains();
-- A close keeps the head.
DO $$
BEGIN
    WHILE hail.next_day_to_close() <= '2041-03-01' LOOP
        PERFORM hail.close_day(hail.next_day_to_close());
    END LOOP;
END $$;
SELECT c.day, c.chained_until, c.chain_head = s.head AS head FROM hail.ledger_closes c JOIN hail.ledger_chain_steps s ON s.until = c.chained_until WHERE c.day = '2041-03-01';

-- Faults, with the guards off: the first link that does not hold.
CREATE FUNCTION pg_temp.broken(statement text) RETURNS TABLE (account text, until timestamptz, chained bigint, found bigint) LANGUAGE plpgsql AS $$
DECLARE
    links jsonb;
BEGIN
    BEGIN
        ALTER TABLE hail.ledger_entries DISABLE TRIGGER ALL;
        ALTER TABLE hail.ledger_transactions DISABLE TRIGGER ALL;
        ALTER TABLE hail.ledger_chain DISABLE TRIGGER ALL;
        ALTER TABLE hail.ledger_chain_steps DISABLE TRIGGER ALL;
        EXECUTE statement;
        SELECT jsonb_agg(f) INTO links FROM hail.verify_chains() f;
        RAISE EXCEPTION 'undone';
    EXCEPTION WHEN raise_exception THEN
        IF SQLERRM <> 'undone' THEN RAISE; END IF;
    END;
    RETURN QUERY SELECT coalesce((SELECT a.kind FROM hail.accounts a WHERE a.id = f.account), CASE WHEN f.account IS NULL THEN 'head' ELSE 'gone' END), f.until, f.entries_chained, f.entries_found
    FROM jsonb_to_recordset(links) AS f (account uuid, until timestamptz, entries_chained bigint, entries_found bigint) ORDER BY 2, 1;
END $$;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT id AS ch3 FROM hail.ledger_transactions WHERE idempotency_key = 'ch3' \gset
SELECT s, b.* FROM unnest(ARRAY[
    format('UPDATE hail.ledger_entries SET amount = amount + 1 WHERE transaction_id = %L', :'ch3'),
    format('UPDATE hail.ledger_entries SET account_id = %L WHERE account_id = %L AND amount = 20', 'dddddddd-0000-7000-8000-000000000001', :'gateway'),
    format('DELETE FROM hail.ledger_entries WHERE transaction_id = %L', :'ch3'),
    format('INSERT INTO hail.ledger_entries (transaction_id, account_id, amount, direction, currency, balance_after, created_at) SELECT transaction_id, %L, amount, direction, currency, balance_after, created_at FROM hail.ledger_entries WHERE transaction_id = %L AND direction = ''debit''', :'gateway', :'ch3'),
    format('UPDATE hail.ledger_entries SET created_at = ''2041-03-03 10:00+00'' WHERE transaction_id = %L', :'ch3'),
    format('UPDATE hail.ledger_transactions SET metadata = ''{"a": 2, "b": 3}'' WHERE id = %L', :'ch3'),
    format('UPDATE hail.ledger_transactions SET effective_at = effective_at - interval ''1 microsecond'' WHERE id = %L', :'ch3'),
    format('UPDATE hail.ledger_transactions SET idempotency_key = ''ch33'' WHERE id = %L', :'ch3'),
    format('DELETE FROM hail.ledger_transactions WHERE id = %L', :'ch3'),
    format('UPDATE hail.ledger_chain SET hash = sha256(hash) WHERE account_id = %L AND until = ''2041-03-02''', :'driver'),
    format('DELETE FROM hail.ledger_chain WHERE account_id = %L AND until = ''2041-03-02''', :'driver'),
    'UPDATE hail.ledger_chain_steps SET head = sha256(head) WHERE until = ''2041-03-01 09:01+00''',
    'DELETE FROM hail.ledger_chain_steps WHERE until = ''2041-03-02''']) WITH ORDINALITY AS a (statement, n),
    LATERAL (SELECT regexp_replace(a.statement, '[0-9a-f]{8}-[0-9a-f-]{27}', '...', 'g') AS s) AS said, LATERAL (SELECT * FROM pg_temp.broken(a.statement)) b ORDER BY a.n, b.until, b.account;
SELECT a.kind, v.until, v.entries_chained, v.entries_found FROM hail.accounts a, hail.verify_chain(a.id) v WHERE a.currency = 'XCH';
-- Nobody changes links otherwise; who may verify.
\set VERBOSITY terse
SAVEPOINT s;
DELETE FROM hail.ledger_chain;
ROLLBACK TO s;
UPDATE hail.ledger_chain_steps SET head = sha256(head);
ROLLBACK TO s;
SELECT hail.verify_chain('dddddddd-0000-7000-8000-000000000001');
ROLLBACK TO s;
SELECT hail.issue_token('c4a10000-0000-7000-8000-000000000001') AS token \gset
SELECT role FROM hail.authenticate(:'token');
SELECT hail.verify_chains();
ROLLBACK;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
