-- Daily closes, trial balance, balances of the past: what was closed stays, and is what the entries say.
-- All of it is undone at the end: a later test may live before these days.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
    RETURN coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state) || ': ' || regexp_replace(SQLERRM, '^\d{4}-\d\d-\d\d', 'an earlier day');
END $$;
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO';
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XRP', 2, 1);
SELECT hail.set_clock('2040-05-01 09:00+00');
INSERT INTO hail.users (id, name, role) VALUES
    ('7e904750-0000-7000-8000-000000000001', 'Reports Customer', 'customer'),
    ('7e904750-0000-7000-8000-000000000002', 'Reports Driver', 'driver'),
    ('7e904750-0000-7000-8000-000000000003', 'Other Driver', 'driver');
SELECT (hail.open_account('CUSTOMER_WALLET', '7e904750-0000-7000-8000-000000000001', 'XRP')).id AS customer,
       (hail.open_account('DRIVER_WALLET', '7e904750-0000-7000-8000-000000000002', 'XRP')).id AS driver,
       (hail.open_account('DRIVER_WALLET', '7e904750-0000-7000-8000-000000000003', 'XRP')).id AS other,
       (hail.open_account('GATEWAY_CLEARING', NULL, 'XRP')).id AS gateway,
       (hail.open_account('PLATFORM_REVENUE', NULL, 'XRP')).id AS revenue \gset
CREATE FUNCTION pg_temp.post(key text, payer uuid, payee uuid, amount bigint) RETURNS void LANGUAGE sql AS $$
    SELECT FROM hail.post_transaction('test', ARRAY[ROW(payer, 'debit', amount), ROW(payee, 'credit', amount)]::hail.entry_input[], key) $$;
CREATE VIEW pg_temp.trial AS SELECT d::date AS day, t.kind, t.opening, t.debits, t.credits, t.closing
    FROM generate_series(timestamp '2040-04-30', '2040-05-05', '1 day') d, hail.trial_balance(d::date) t WHERE t.currency = 'XRP';

-- Three days: money comes in, a driver is paid and pays, one owes.
SELECT pg_temp.post('rp1', :'gateway', :'customer', 10000), pg_temp.post('rp2', :'customer', :'driver', 3000);
SELECT hail.set_clock('2040-05-01 23:59:59.999+00');
SELECT pg_temp.post('rp3', :'driver', :'revenue', 450);
SELECT hail.set_clock('2040-05-02 00:00+00');
SELECT pg_temp.post('rp4', :'driver', :'revenue', 4000), pg_temp.post('rp5', :'customer', :'other', 100);
SELECT hail.set_clock('2040-05-04 12:00+00');
SELECT pg_temp.post('rp6', :'customer', :'driver', 900);
SELECT * FROM pg_temp.trial ORDER BY 1, 2;
CREATE TEMP TABLE open_days AS TABLE pg_temp.trial;
SELECT day, sum(opening) AS opening, sum(debits - credits) AS moved, sum(closing) AS closing FROM pg_temp.trial GROUP BY 1 ORDER BY 1;
CREATE TEMP TABLE report AS SELECT * FROM hail.daily_report('2040-05-02') WHERE currency = 'XRP';
TABLE report;

-- Only what is over, in the order of days.
SELECT pg_temp.try($$ SELECT hail.close_day('2040-05-04') $$) AS today;
SELECT pg_temp.try($$ SELECT hail.close_day('2040-05-05') $$) AS tomorrow;
SELECT pg_temp.try($$ SELECT hail.close_day(NULL) $$) AS no_day;
SELECT pg_temp.try($$ SELECT hail.close_day('2040-05-02') $$) AS too_early;
DO $$
DECLARE
    day date;
BEGIN
    LOOP
        day := hail.next_day_to_close();
        EXIT WHEN day >= '2040-05-01';
        PERFORM hail.close_day(day);
    END LOOP;
END $$;
SELECT day, transactions, entries, accounts, closed_at, closed_by FROM hail.close_day('2040-05-01');
SELECT pg_temp.try($$ SELECT hail.close_day('2040-04-30') $$) AS before_a_closed_day;
SELECT pg_temp.try($$ SELECT hail.close_day('2040-05-03') $$) AS not_the_next;
SELECT hail.advance_clock('1 hour') IS NOT NULL AS an_hour_later;
SELECT day, transactions, entries, accounts, closed_at FROM hail.close_day('2040-05-01');
SELECT day, transactions, entries, accounts, closed_at FROM hail.close_day('2040-05-02');
SELECT pg_temp.try($$ SELECT hail.close_day('2040-05-03') $$) AS without_entries;
SELECT d.day, a.kind, right(a.owner_id::text, 1) AS owner, d.debits, d.credits, d.balance, d.entries
FROM hail.daily_balances d JOIN hail.accounts a ON a.id = d.account_id WHERE a.currency = 'XRP' ORDER BY 1, 2, 3;
SELECT day, kind, opening, debits, credits, closing, entries, owed, owing FROM hail.ledger_close_totals WHERE currency = 'XRP' ORDER BY 1, 2;
-- Closing changes no report.
(TABLE pg_temp.trial EXCEPT TABLE open_days) UNION ALL (TABLE open_days EXCEPT TABLE pg_temp.trial);
(SELECT * FROM hail.daily_report('2040-05-02') WHERE currency = 'XRP' EXCEPT TABLE report) UNION ALL (TABLE report EXCEPT SELECT * FROM hail.daily_report('2040-05-02'));
-- The keeper closes when the delay is over, if it may at all.
SELECT hail.set_clock('2040-05-05 01:00+00');
SELECT hail.close_days() AS never;
SET LOCAL hail.ledger_close_delay = '2h';
-- Balances as of a moment: closes and what came after agree with all entries there are, for each account and moment.
SELECT at, hail.balance_as_of(:'customer', at) AS customer, hail.balance_as_of(:'driver', at) AS driver, hail.balance_as_of(:'revenue', at) AS revenue
FROM unnest(ARRAY['2040-04-30', '2040-05-01 09:00+00', '2040-05-01 09:00:01+00', '2040-05-02', '2040-05-02 00:00:01+00', '2040-05-03', '2040-05-04 12:00+00', '2040-05-04 12:00:01+00', 'infinity']::timestamptz[]) at;
SELECT count(*) AS moments, count(*) FILTER (WHERE hail.balance_as_of(a.id, at) <> coalesce((
    SELECT sum(CASE direction WHEN 'credit' THEN amount ELSE - amount END) FROM hail.ledger_entries e WHERE e.account_id = a.id AND e.created_at < at), 0)) AS wrong
FROM hail.accounts a, generate_series(timestamptz '2040-04-30', '2040-05-05 12:00+00', '7 hours') at WHERE a.currency = 'XRP';
SELECT pg_temp.try(format('SELECT hail.balance_as_of(%L, NULL)', :'customer')) AS no_time, pg_temp.try('SELECT hail.balance_as_of(hail.uuid7(), now())') AS no_account;
-- Nothing is found; faults are.
SELECT * FROM hail.reconcile('2040-05-01');
SELECT * FROM hail.reconcile('2040-05-02');
SELECT check_name FROM hail.reconcile_all() WHERE check_name LIKE 'close%';
CREATE FUNCTION pg_temp.found(statement text, day date) RETURNS TABLE (check_name text, subject text, expected bigint, actual bigint) LANGUAGE plpgsql AS $$
DECLARE
    findings jsonb;
BEGIN
    BEGIN
        ALTER TABLE hail.ledger_entries DISABLE TRIGGER ALL;
        ALTER TABLE hail.ledger_closes DISABLE TRIGGER ALL;
        ALTER TABLE hail.ledger_close_totals DISABLE TRIGGER ALL;
        ALTER TABLE hail.daily_balances DISABLE TRIGGER ALL;
        EXECUTE statement;
        SELECT jsonb_agg(f) INTO findings FROM hail.reconcile(day) f WHERE f.check_name <> 'guards';
        RAISE EXCEPTION 'undone';
    EXCEPTION WHEN raise_exception THEN
        IF SQLERRM <> 'undone' THEN RAISE; END IF;
    END;
    RETURN QUERY SELECT f.check_name, coalesce((SELECT replace(f.subject, a.id::text, a.kind) FROM hail.accounts a WHERE strpos(f.subject, a.id::text) > 0), regexp_replace(f.subject, '^\d+$', 'an entry')), f.expected, f.actual
                 FROM jsonb_to_recordset(findings) AS f (check_name text, subject text, expected bigint, actual bigint) ORDER BY 1, 2;
END $$;
-- An old entry changed, with its balance: on its day; today it is no part of any sum.
SELECT * FROM pg_temp.found($$ UPDATE hail.ledger_entries SET amount = amount + 1, balance_after = balance_after + 1 WHERE currency = 'XRP' AND created_at < '2040-05-02' AND amount = 450 $$, '2040-05-01');
SELECT * FROM pg_temp.found($$ UPDATE hail.ledger_entries SET amount = amount + 1, balance_after = balance_after + 1 WHERE currency = 'XRP' AND created_at < '2040-05-02' AND amount = 450 $$, '2040-05-04');
-- Entries that came onto a closed day, or left it.
SELECT * FROM pg_temp.found($$ UPDATE hail.ledger_entries SET created_at = '2040-05-02 10:00+00' WHERE currency = 'XRP' AND amount = 900 $$, '2040-05-02');
SELECT * FROM pg_temp.found($$ UPDATE hail.ledger_entries SET created_at = '2040-05-02 10:00+00' WHERE currency = 'XRP' AND amount = 900 $$, '2040-05-04');
SELECT * FROM pg_temp.found($$ UPDATE hail.ledger_entries SET created_at = '2040-05-04 10:00+00' WHERE currency = 'XRP' AND amount = 100 $$, '2040-05-02');
-- Closes changed.
SELECT * FROM pg_temp.found($$ UPDATE hail.ledger_closes SET entries = entries + 1 WHERE day = '2040-05-02' $$, '2040-05-02');
SELECT * FROM pg_temp.found(format($$ UPDATE hail.daily_balances SET balance = balance + 1 WHERE day = '2040-05-01' AND account_id = %L $$, :'driver'), '2040-05-01');
SELECT * FROM pg_temp.found(format($$ DELETE FROM hail.daily_balances WHERE day = '2040-05-02' AND account_id = %L $$, :'revenue'), '2040-05-02');
SELECT * FROM pg_temp.found($$ UPDATE hail.ledger_close_totals SET closing = closing + 1, owed = owed + 1, credits = credits + 1 WHERE day = '2040-05-02' AND currency = 'XRP' AND kind = 'PLATFORM_REVENUE' $$, '2040-05-02');
SELECT * FROM pg_temp.found($$ UPDATE hail.ledger_close_totals SET owed = owed + 1, owing = owing - 1 WHERE day = '2040-05-02' AND currency = 'XRP' AND kind = 'DRIVER_WALLET' $$, '2040-05-02');
-- Nobody changes them otherwise, the owner and superusers no more than others.
SELECT s, pg_temp.try(s) FROM unnest(ARRAY['UPDATE hail.ledger_closes SET entries = 0', 'DELETE FROM hail.ledger_close_totals', 'UPDATE hail.daily_balances SET balance = 0',
    'DELETE FROM hail.daily_balances', 'TRUNCATE hail.daily_balances', 'TRUNCATE hail.ledger_closes CASCADE']) s;
-- The keeper: a turn closes one day, when what ran at its end has ended.
SELECT hail.close_days() AS an_hour_after;
SELECT hail.advance_clock('1 hour') IS NOT NULL AS another_hour;
SELECT hail.close_days() AS days;
SELECT day, closed_by FROM hail.ledger_closes ORDER BY day DESC LIMIT 1;
SELECT hail.close_days() AS nothing_more;
SELECT * FROM hail.reconcile('2040-05-04');
-- Who may look.
SELECT hail.issue_token('7e904750-0000-7000-8000-000000000002') AS token \gset
SELECT role FROM hail.authenticate(:'token');
SELECT hail.balance_as_of(:'driver', '2040-05-02') AS own;
SELECT pg_temp.try(format('SELECT hail.balance_as_of(%L, now())', :'customer')) AS others, pg_temp.try($$ SELECT hail.trial_balance('2040-05-01') $$) AS trial_balance,
       pg_temp.try($$ SELECT hail.daily_report('2040-05-01') $$) AS report, pg_temp.try($$ SELECT hail.close_day('2040-05-01') $$) AS close,
       pg_temp.try($$ SELECT count(*) FROM hail.ledger_closes $$) AS closes;
ROLLBACK;
-- A transaction that sees one snapshot from beginning to end could not see what ended meanwhile.
SELECT count(*) AS closes FROM hail.ledger_closes;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_temp.try('SELECT hail.writers_ended(''0'')');
ROLLBACK;
SELECT pg_temp.try('SELECT hail.writers_ended(''2 minutes'')');
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
