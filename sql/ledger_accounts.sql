-- Wallets are closed, reopened and given floors, by administrators, with a reason.
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XAC', 2, 1);
SELECT hail.set_clock('2026-04-02 09:00+00');
INSERT INTO hail.users (id, name, role) VALUES
    ('acc00000-0000-7000-8000-000000000001', 'Account Customer', 'customer'), ('acc00000-0000-7000-8000-000000000002', 'Account Driver', 'driver');
SELECT (hail.open_account('GATEWAY_CLEARING', NULL, 'XAC')).id AS bank,
       (hail.open_account('CUSTOMER_WALLET', 'acc00000-0000-7000-8000-000000000001', 'XAC')).id AS customer,
       (hail.open_account('DRIVER_WALLET', 'acc00000-0000-7000-8000-000000000002', 'XAC')).id AS driver \gset
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
CREATE FUNCTION pg_temp.pay(debit uuid, credit uuid, amount bigint, key text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(format($f$ SELECT hail.post_transaction('move', ARRAY[ROW(%1$L, 'debit', %3$s), ROW(%2$L, 'credit', %3$s)]::hail.entry_input[], %4$L) $f$, debit, credit, amount, key)) $$;

-- A wallet with money, or with a hold, is not closed.
SELECT pg_temp.pay(:'bank', :'customer', 500, 'acc in');
SELECT pg_temp.try(format($$ SELECT hail.close_account(%L, 'left') $$, :'customer'));
SELECT pg_temp.pay(:'customer', :'bank', 500, 'acc out');
SELECT pg_temp.pay(:'bank', :'driver', 500, 'acc d in');
SELECT id AS hold FROM hail.hold(:'driver', 500, 'acc hold') \gset
SELECT pg_temp.pay(:'driver', :'bank', 500, 'acc below'), pg_temp.try(format($$ SELECT hail.close_account(%L, 'left') $$, :'driver'));
SELECT pg_temp.try(format($$ SELECT hail.release(%L) $$, :'hold'));
-- Nor a system account, nor one that there is not, nor without a reason, nor by others.
SELECT pg_temp.try(format($$ SELECT hail.close_account(%L, 'left') $$, :'bank'));
SELECT pg_temp.try(format($$ SELECT hail.close_account(%L, 'left') $$, :'hold'));
SELECT pg_temp.try(format($$ SELECT hail.close_account(%L, %L) $$, :'customer', r)) FROM unnest(ARRAY['', '  ', NULL, repeat('x', 501)]) r;
SELECT pg_temp.try($$ SELECT hail.close_account(NULL, 'left') $$);
SELECT role, has_function_privilege(role, f, 'EXECUTE') FROM unnest('{hail_customer,hail_driver,hail_analyst,hail_front}'::text[]) role,
    unnest('{"hail.close_account(uuid, text)","hail.reopen_account(uuid, text)","hail.set_account_floor(uuid, bigint, text)"}'::text[]) f
WHERE has_function_privilege(role, f, 'EXECUTE');
-- Closed: nothing is posted or held, nothing shown to its owner, no floor; opening finds it closed. Twice is once.
SELECT closed_at, posted FROM hail.close_account(:'customer', 'left the country');
SELECT hail.advance_clock('1 hour');
SELECT closed_at FROM hail.close_account(:'customer', 'again');
SELECT pg_temp.pay(:'bank', :'customer', 1, 'acc closed'), pg_temp.try(format($$ SELECT hail.hold(%L, 1, 'acc hold 2') $$, :'customer'));
SELECT pg_temp.try(format($$ SELECT hail.set_account_floor(%L, 0, 'closed') $$, :'customer'));
SELECT count(*) FROM hail.wallet('acc00000-0000-7000-8000-000000000001');
SELECT id = :'customer' AS same, closed_at FROM hail.open_account('CUSTOMER_WALLET', 'acc00000-0000-7000-8000-000000000001', 'XAC');
-- A rollback leaves it closed; reopened it takes money, and twice is once.
BEGIN;
SELECT closed_at FROM hail.reopen_account(:'customer', 'mistake');
ROLLBACK;
SELECT pg_temp.pay(:'bank', :'customer', 1, 'acc closed');
SELECT closed_at FROM hail.reopen_account(:'customer', 'came back');
SELECT closed_at FROM hail.reopen_account(:'customer', 'came back twice');
SELECT pg_temp.pay(:'bank', :'customer', 1, 'acc reopened');

-- Floors: a driver may owe no more than 200, then 100; what is not there is not asked for.
SELECT floor FROM hail.set_account_floor(:'driver', -200, 'owes too often');
SELECT pg_temp.pay(:'driver', :'bank', 201, 'acc floor 1'), pg_temp.pay(:'driver', :'bank', 150, 'acc floor 2');
SELECT pg_temp.try(format($$ SELECT hail.set_account_floor(%L, -100, 'stricter') $$, :'driver'));
SELECT floor FROM hail.set_account_floor(:'driver', -150, 'stricter');
SELECT floor FROM hail.set_account_floor(:'driver', -1000, 'pays in the end');
SELECT floor FROM hail.set_account_floor(:'driver', NULL, 'as all drivers');
-- A customer's is never below that of its kind; it may be above what nothing needs.
SELECT pg_temp.try(format($$ SELECT hail.set_account_floor(%L, -1, 'credit') $$, :'customer'));
SELECT pg_temp.try(format($$ SELECT hail.set_account_floor(%L, 2, 'deposit') $$, :'customer'));
SELECT floor FROM hail.set_account_floor(:'customer', 1, 'deposit');
SELECT pg_temp.pay(:'customer', :'bank', 1, 'acc deposit');
SELECT floor FROM hail.set_account_floor(:'customer', NULL, 'deposit back');
SELECT pg_temp.try(format($$ SELECT hail.set_account_floor(%L, %s, 'range') $$, :'driver', f)) FROM unnest('{9223372036854775807,-9223372036854775808}'::bigint[]) f;
SELECT pg_temp.try(format($$ SELECT hail.set_account_floor(%L, 0, 'system') $$, :'bank'));
-- What was done, in order, is kept; and nobody lowers a floor by SQL.
SELECT change, old_floor, floor, reason, changed_by, changed_at FROM hail.account_changes WHERE account_id IN (:'customer', :'driver') ORDER BY id;
UPDATE hail.accounts SET floor = -1 WHERE id = :'customer';
SELECT count(*) FROM hail.reconcile('2026-04-02') WHERE subject IN (:'customer', :'driver', :'bank');
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
