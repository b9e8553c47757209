-- Reconciliation: nothing is found where all is well, and each fault that only a superuser can make is found.
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XRC', 2, 1);
SELECT hail.set_clock('2026-10-05 09:00+00') IS NOT NULL AS clock_set;
INSERT INTO hail.users (id, name, role) VALUES
    ('7ec0c1e0-0000-7000-8000-000000000001', 'Reconcile Customer', 'customer'),
    ('7ec0c1e0-0000-7000-8000-000000000002', 'Reconcile Driver', 'driver'),
    ('7ec0c1e0-0000-7000-8000-000000000003', 'Reconcile Analyst', 'analyst');
SELECT (hail.open_account('CUSTOMER_WALLET', '7ec0c1e0-0000-7000-8000-000000000001', 'XRC')).id AS customer,
       (hail.open_account('DRIVER_WALLET', '7ec0c1e0-0000-7000-8000-000000000002', 'XRC')).id AS driver,
       (hail.open_account('GATEWAY_CLEARING', NULL, 'XRC')).id AS gateway,
       (hail.open_account('PLATFORM_REVENUE', NULL, 'XRC')).id AS revenue \gset
CREATE FUNCTION pg_temp.post(key text, payer uuid, payee uuid, amount bigint) RETURNS void LANGUAGE sql AS $$
    SELECT FROM hail.post_transaction('test', ARRAY[ROW(payer, 'debit', amount), ROW(payee, 'credit', amount)]::hail.entry_input[], key) $$;
SELECT pg_temp.post('rc1', :'gateway', :'customer', 10000), pg_temp.post('rc2', :'customer', :'driver', 3000),
       pg_temp.post('rc3', :'customer', :'revenue', 500), pg_temp.post('rc4', :'driver', :'revenue', 450);
SELECT count(*) FROM hail.hold(:'customer', 700, 'rch1');
SELECT count(*) FROM hail.hold(:'customer', 300, 'rch2', ttl => '1 hour');

-- Names for what findings are about.
CREATE VIEW pg_temp.names_now AS
    SELECT a.id::text AS id, a.kind AS name FROM hail.accounts a WHERE a.currency = 'XRC'
    UNION ALL SELECT t.id::text, t.idempotency_key FROM hail.ledger_transactions t WHERE t.idempotency_key LIKE 'rc%'
    UNION ALL SELECT h.id::text, h.idempotency_key FROM hail.holds h WHERE h.idempotency_key LIKE 'rc%'
    UNION ALL SELECT e.id::text, concat_ws(' of ', a.kind, t.idempotency_key) FROM hail.ledger_entries e
        JOIN hail.accounts a ON a.id = e.account_id LEFT JOIN hail.ledger_transactions t ON t.id = e.transaction_id WHERE e.currency = 'XRC';
CREATE TEMP TABLE names AS TABLE pg_temp.names_now;
CREATE TEMP TABLE well AS SELECT * FROM hail.reconcile('2026-10-05');
CREATE TEMP TABLE well_all AS SELECT * FROM hail.reconcile_all();
SELECT * FROM well WHERE check_name NOT IN ('hold_without_trip', 'trip_hold');
-- Do what a statement says, without guards, look what is found beyond what was there, and undo it.
CREATE FUNCTION pg_temp.found(statement text, everything boolean DEFAULT false)
RETURNS TABLE (check_name text, subject text, expected bigint, actual bigint) LANGUAGE plpgsql AS $$
DECLARE
    t text;
    findings jsonb;
BEGIN
    BEGIN
        FOREACH t IN ARRAY ARRAY['accounts', 'ledger_transactions', 'ledger_entries', 'holds', 'ledger_closes', 'ledger_close_totals', 'daily_balances'] LOOP
            EXECUTE format('ALTER TABLE hail.%I DISABLE TRIGGER ALL', t);
        END LOOP;
        EXECUTE statement;
        FOR t IN SELECT format('ALTER TABLE hail.%I ENABLE %s TRIGGER %I', c.relname, CASE WHEN g.tgisinternal THEN '' ELSE 'ALWAYS' END, g.tgname)
                 FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE g.tgenabled = 'D' AND c.relnamespace = 'hail'::regnamespace LOOP
            EXECUTE t;
        END LOOP;
        IF everything THEN
            SELECT jsonb_agg(f) INTO findings FROM (SELECT * FROM hail.reconcile_all() EXCEPT ALL SELECT * FROM pg_temp.well_all) f;
        ELSE
            SELECT jsonb_agg(f) INTO findings FROM (SELECT * FROM hail.reconcile('2026-10-05') EXCEPT ALL SELECT * FROM pg_temp.well) f;
        END IF;
        SELECT jsonb_agg(f.value || jsonb_build_object('subject', (
                   SELECT string_agg(coalesce(n.name, p.part), ' ' ORDER BY p.at)
                   FROM string_to_table(f.value ->> 'subject', ' ') WITH ORDINALITY AS p (part, at) LEFT JOIN pg_temp.names n ON n.id = p.part)))
        INTO findings FROM jsonb_array_elements(findings) f;
        RAISE EXCEPTION 'undone';
    EXCEPTION WHEN raise_exception THEN
        IF SQLERRM <> 'undone' THEN RAISE; END IF;
    END;
    RETURN QUERY SELECT f.* FROM jsonb_to_recordset(findings) AS f (check_name text, subject text, expected bigint, actual bigint)
                 ORDER BY 1, 2;
END $$;
SELECT * FROM pg_temp.found('SELECT');

-- Entries.
SELECT id AS rc1 FROM hail.ledger_transactions WHERE idempotency_key = 'rc1' \gset
SELECT id AS rc2 FROM hail.ledger_transactions WHERE idempotency_key = 'rc2' \gset
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET amount = amount + 1 WHERE transaction_id = %L AND account_id = %L', :'rc2', :'driver'));
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET amount = amount + 1 WHERE transaction_id = %L', :'rc2'));
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET direction = CASE direction WHEN ''debit'' THEN ''credit'' ELSE ''debit'' END WHERE transaction_id = %L', :'rc2'));
SELECT * FROM pg_temp.found(format('DELETE FROM hail.ledger_entries WHERE transaction_id = %L AND account_id = %L', :'rc1', :'gateway'));
SELECT * FROM pg_temp.found(format('DELETE FROM hail.ledger_entries WHERE transaction_id = %L', :'rc2'));
SELECT * FROM pg_temp.found(format('DELETE FROM hail.ledger_transactions WHERE id = %L', :'rc2'));
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET account_id = ''dddddddd-0000-7000-8000-00000000dddd'' WHERE account_id = %L', :'gateway'));
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET currency = ''XRD'' WHERE transaction_id = %L', :'rc2'));
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET balance_after = balance_after - 1 WHERE transaction_id = %L', :'rc1'));
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET balance_after = NULL WHERE transaction_id = %L AND account_id = %L', :'rc2', :'driver'));
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET balance_after = 0 WHERE account_id = %L', :'gateway'));
SELECT * FROM pg_temp.found($$ UPDATE hail.ledger_entries SET amount = 9223372036854775807 WHERE currency = 'XRC' AND direction = 'credit' $$);
-- Balances.
SELECT * FROM pg_temp.found(format('UPDATE hail.accounts SET posted = posted + 1 WHERE id = %L', :'driver'));
SELECT * FROM pg_temp.found(format('UPDATE hail.accounts SET posted = posted + CASE id WHEN %L THEN 7 ELSE -7 END WHERE id IN (%L, %L)', :'driver', :'driver', :'customer'));
SELECT * FROM pg_temp.found(format('UPDATE hail.accounts SET posted = posted - 1 WHERE id = %L', :'revenue'));
SELECT * FROM pg_temp.found(format('UPDATE hail.accounts SET folded_xid = pg_current_xact_id() WHERE id = %L', :'revenue'));
SELECT * FROM pg_temp.found(format('UPDATE hail.accounts SET floor = 6000 WHERE id = %L', :'customer'));
SELECT * FROM pg_temp.found(format('DELETE FROM hail.accounts WHERE id = %L', :'driver'));
-- Moved from one system account to another: entries are all there is until they are folded, or a template tells.
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET account_id = %L WHERE account_id = %L', :'revenue', :'gateway'));
SELECT hail.post_template('trip_commission_cash', 'rc-engine', 'XRC', '{"commission": 50}', driver_id => '7ec0c1e0-0000-7000-8000-000000000002') IS NOT NULL AS posted;
TRUNCATE well;
INSERT INTO well SELECT * FROM hail.reconcile('2026-10-05');
SELECT check_name, subject, expected, actual FROM pg_temp.found(format('UPDATE hail.ledger_entries SET account_id = %L WHERE account_id = %L AND amount = 50', :'gateway', :'revenue'));
SELECT check_name, subject, expected, actual FROM pg_temp.found($$ UPDATE hail.ledger_transactions SET kind = 'gift' WHERE idempotency_key = 'rc-engine' $$);
DO $$
BEGIN
    FOR i IN 1 .. 1000 LOOP
        PERFORM hail.fold_accounts();
        EXIT WHEN (SELECT posted = -10000 FROM hail.accounts WHERE kind = 'GATEWAY_CLEARING' AND currency = 'XRC');
    END LOOP;
END $$;
SELECT * FROM pg_temp.found(format('UPDATE hail.ledger_entries SET account_id = %L WHERE account_id = %L', :'revenue', :'gateway'));
SELECT * FROM pg_temp.found(format('UPDATE hail.accounts SET folded_xid = ''0'' WHERE id = %L', :'revenue'));
-- Holds.
SELECT * FROM pg_temp.found(format('UPDATE hail.accounts SET held = held - 100 WHERE id = %L', :'customer'));
SELECT * FROM pg_temp.found($$ UPDATE hail.holds SET amount = 701 WHERE idempotency_key = 'rch1' $$);
SELECT * FROM pg_temp.found($$ DELETE FROM hail.holds WHERE idempotency_key = 'rch1' $$);
SELECT * FROM pg_temp.found($$ UPDATE hail.holds SET expires_at = hail.clock() - interval '6 minutes' WHERE idempotency_key = 'rch2' $$);
SELECT * FROM pg_temp.found($$ UPDATE hail.holds SET reference_type = 'trip', reference_id = 'dddddddd-0000-7000-8000-00000000dddd' WHERE idempotency_key = 'rch1' $$);

-- Guards.
CREATE SCHEMA reconcile_test;
CREATE FUNCTION reconcile_test.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE ROLE reconcile_test_role;
SELECT s, f.* FROM unnest(ARRAY[
    'DROP TRIGGER ledger_guard_truncate ON hail.accounts',
    'CREATE TRIGGER a BEFORE INSERT ON hail.ledger_entries FOR EACH ROW EXECUTE FUNCTION reconcile_test.nothing()',
    'CREATE OR REPLACE FUNCTION hail.ledger_guard_append() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NEW; END''',
    'CREATE RULE r AS ON DELETE TO hail.ledger_closes DO INSTEAD NOTHING',
    'CREATE TABLE reconcile_test.below () INHERITS (hail.ledger_transactions)',
    'ALTER TABLE hail.accounts NO FORCE ROW LEVEL SECURITY',
    'ALTER TABLE hail.ledger_transactions DISABLE ROW LEVEL SECURITY',
    'CREATE POLICY more ON hail.accounts FOR UPDATE TO hail_admin USING (true)',
    'DROP POLICY accounts_own ON hail.accounts',
    'GRANT UPDATE ON hail.accounts TO hail_admin',
    'GRANT INSERT (amount) ON hail.ledger_entries TO PUBLIC',
    'GRANT hail_owner TO reconcile_test_role',
    'ALTER TABLE hail.ledger_entries DROP CONSTRAINT ledger_entries_amount_check',
    'ALTER TABLE hail.daily_balances SET UNLOGGED',
    'DROP INDEX hail.holds_one_per_trip']) WITH ORDINALITY AS a (s, n),
    LATERAL (SELECT g.subject, g.expected, g.actual FROM pg_temp.found(a.s) g WHERE g.check_name = 'guards') f ORDER BY n, subject COLLATE "C";
-- found() puts triggers back itself: one that is off all the while.
BEGIN;
ALTER TABLE hail.ledger_entries DISABLE TRIGGER ALL;
ALTER TABLE hail.holds ENABLE TRIGGER ledger_guard;
SELECT * FROM hail.reconcile('2026-10-05') WHERE check_name = 'guards' ORDER BY subject COLLATE "C";
ROLLBACK;
BEGIN;
ALTER TABLE hail.holds OWNER TO reconcile_test_role;
SELECT * FROM hail.reconcile_guards();
ROLLBACK;
DROP ROLE reconcile_test_role;
DROP FUNCTION reconcile_test.nothing();
DROP SCHEMA reconcile_test;

-- What was changed on another day is found on that day, and by the check of everything.
SELECT hail.set_clock('2026-10-06 09:00+00') IS NOT NULL AS clock_set;
SELECT pg_temp.post('rc5', :'customer', :'driver', 10);
INSERT INTO names TABLE pg_temp.names_now EXCEPT TABLE names;
SELECT check_name, subject, expected, actual FROM pg_temp.found(format($$ UPDATE hail.ledger_entries SET amount = 11 WHERE currency = 'XRC' AND amount = 10 $$))
WHERE check_name IN ('wallet_running_balance', 'transaction_balanced');
SELECT check_name, subject, expected, actual FROM pg_temp.found(format($$ UPDATE hail.ledger_entries SET amount = 11 WHERE currency = 'XRC' AND amount = 10 $$), true);

-- Who may ask; which days there are; every check is explained.
\set VERBOSITY terse
SELECT hail.reconcile(NULL);
SELECT hail.reconcile('infinity');
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token('7ec0c1e0-0000-7000-8000-000000000003'));
SELECT count(*) >= 0 AS may FROM hail.reconcile('2026-10-05');
SELECT count(*) > 20 AS explained FROM hail.reconcile_checks;
COMMIT;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token('7ec0c1e0-0000-7000-8000-000000000001'));
SELECT hail.reconcile_all();
ROLLBACK;
SELECT DISTINCT m[1] AS unexplained
FROM pg_proc p, regexp_matches(p.prosrc, $$(?:SELECT|THEN|ELSE) '([a-z]+(?:_[a-z]+)*)'(?: END)?, $$, 'g') m
WHERE p.pronamespace = 'hail'::regnamespace AND p.proname LIKE 'reconcile\_%' AND p.proname NOT IN ('reconcile_withdrawals', 'reconcile_gateways') AND m[1] NOT IN (SELECT check_name FROM hail.reconcile_checks);
SELECT count(hail.release(id)) AS released FROM hail.holds WHERE idempotency_key IN ('rch1', 'rch2');
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
