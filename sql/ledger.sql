-- The ledger: money is entries, whoever writes SQL.
SELECT hail.set_clock('2026-03-02 09:00+00');
INSERT INTO hail.users (id, name, role) VALUES
    ('aaaaaaaa-0000-7000-8000-000000000001', 'Ledger Customer', 'customer'),
    ('aaaaaaaa-0000-7000-8000-000000000002', 'Ledger Driver', 'driver'),
    ('aaaaaaaa-0000-7000-8000-000000000003', 'Other Customer', 'customer');

-- What the tests say for short. An account by kind and the last digit of its owner.
CREATE FUNCTION pg_temp.acc(k text, n integer DEFAULT NULL, cur text DEFAULT 'XTS') RETURNS uuid LANGUAGE sql AS $$
    SELECT id FROM hail.accounts WHERE kind = k AND currency = cur
       AND owner_id IS NOT DISTINCT FROM ('aaaaaaaa-0000-7000-8000-00000000000' || n)::uuid $$;
CREATE FUNCTION pg_temp.leg(account uuid, amount bigint) RETURNS hail.entry_input LANGUAGE sql AS $$
    SELECT ROW(account, CASE WHEN amount < 0 THEN 'debit' ELSE 'credit' END, abs(amount))::hail.entry_input $$;
CREATE FUNCTION pg_temp.trip(n integer, price bigint, method text, bp integer DEFAULT 1500, driver boolean DEFAULT true)
RETURNS hail.trips LANGUAGE sql AS $$
    SELECT r FROM jsonb_populate_record(NULL::hail.trips, jsonb_build_object(
        'id', 'bbbbbbbb-0000-7000-8000-' || lpad(n::text, 12, '0'), 'price', price, 'payment_method', method,
        'customer_id', 'aaaaaaaa-0000-7000-8000-000000000001', 'commission_bp', bp, 'currency', 'XTS',
        'driver_id', CASE WHEN driver THEN 'aaaaaaaa-0000-7000-8000-000000000002' END)) AS r $$;
CREATE VIEW pg_temp.books AS
    SELECT a.kind, right(a.owner_id::text, 1) AS owner, a.currency, b.posted, b.held, b.available
    FROM hail.accounts a, hail.balance(a.id) b WHERE a.currency LIKE 'XT%' ORDER BY 1, 2, 3;
-- Run a statement; say how it ended. Its work is undone when it fails, and also at commit when that fails.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
    RETURN coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state) || ': ' || SQLERRM;
END $$;

-- Opening accounts: twice is once; wallets have owners, system accounts have none.
SELECT kind, currency, is_system, floor, posted, held FROM hail.open_account('CUSTOMER_WALLET', 'aaaaaaaa-0000-7000-8000-000000000001', 'XTS');
SELECT (hail.open_account('CUSTOMER_WALLET', 'aaaaaaaa-0000-7000-8000-000000000001', 'XTS')).id
     = pg_temp.acc('CUSTOMER_WALLET', 1) AS same;
SELECT kind, is_system, floor FROM hail.open_account('GATEWAY_CLEARING', NULL, 'XTS');
SELECT pg_temp.try($$ SELECT hail.open_account('GATEWAY_CLEARING', 'aaaaaaaa-0000-7000-8000-000000000001', 'XTS') $$);
SELECT pg_temp.try($$ SELECT hail.open_account('CUSTOMER_WALLET', NULL, 'XTS') $$);
SELECT pg_temp.try($$ SELECT hail.open_account('PIGGY_BANK', NULL, 'XTS') $$);
SELECT pg_temp.try($$ SELECT hail.open_account('PROMOTIONS', NULL, 'xts') $$);
SELECT pg_temp.try($$ SELECT hail.open_account('CUSTOMER_WALLET', hail.uuid7(), 'XTS') $$);

-- A deposit of 100.00.
SELECT kind, principal, idempotency_key, reverses, created_at
FROM hail.post_transaction('deposit', ARRAY[pg_temp.leg(pg_temp.acc('GATEWAY_CLEARING'), -10000),
                                            pg_temp.leg(pg_temp.acc('CUSTOMER_WALLET', 1), 10000)], 'deposit-1');
TABLE pg_temp.books;

-- The trip of 50.00 at 15 %: customer -50.00, driver +42.50, platform +7.50, from the hold.
SELECT hail.hold_trip_fare(pg_temp.trip(1, 5000, 'wallet')) IS NOT NULL AS held;
SELECT hail.hold_trip_fare(pg_temp.trip(1, 5000, 'wallet')) = (SELECT id FROM hail.holds WHERE status = 'held' AND account_id = pg_temp.acc('CUSTOMER_WALLET', 1)) AS held_once;
TABLE pg_temp.books;
SELECT hail.settle_trip(pg_temp.trip(1, 5000, 'wallet'));
SELECT hail.settle_trip(pg_temp.trip(1, 5000, 'wallet'));
TABLE pg_temp.books;
SELECT t.kind, a.kind, e.direction, e.amount, e.balance_after
FROM hail.ledger_entries e JOIN hail.ledger_transactions t ON t.id = e.transaction_id JOIN hail.accounts a ON a.id = e.account_id
WHERE e.currency = 'XTS' ORDER BY e.id;
SELECT status, amount, captured FROM hail.holds WHERE account_id = pg_temp.acc('CUSTOMER_WALLET', 1);
SELECT pg_temp.try($$ SELECT hail.settle_trip(pg_temp.trip(1, 6000, 'wallet')) $$) AS other_price;

-- In cash the driver owes the commission, below zero if need be.
SELECT hail.hold_trip_fare(pg_temp.trip(2, 40000, 'cash')) AS nothing_held;
SELECT hail.settle_trip(pg_temp.trip(2, 40000, 'cash'));
TABLE pg_temp.books;
-- Half a unit of commission is rounded up; a commission of nothing, and all of it, leave a leg out; so does a price of 0.
SELECT hail.commission(5000, 1500), hail.commission(1, 5000), hail.commission(1, 4999), hail.commission(9007199254740992, 10000);
SELECT hail.hold_trip_fare(pg_temp.trip(3, 100, 'wallet', 0)) IS NOT NULL AS held, hail.settle_trip(pg_temp.trip(3, 100, 'wallet', 0));
SELECT hail.hold_trip_fare(pg_temp.trip(4, 100, 'wallet', 10000)) IS NOT NULL AS held, hail.settle_trip(pg_temp.trip(4, 100, 'wallet', 10000));
SELECT hail.hold_trip_fare(pg_temp.trip(5, 0, 'wallet')) AS held, hail.settle_trip(pg_temp.trip(5, 0, 'wallet')),
       hail.settle_trip(pg_temp.trip(6, 100, 'cash', 0));
SELECT pg_temp.try($$ SELECT hail.settle_trip(pg_temp.trip(7, 100, 'barter')) $$);
SELECT pg_temp.try($$ SELECT hail.settle_trip(pg_temp.trip(7, 100, 'cash', 1500, false)) $$);
TABLE pg_temp.books;

-- A hold counts: five of 1000 on 5000 pass, the sixth does not. (4800 and 200 make 5000.)
SELECT (hail.post_transaction('deposit', ARRAY[pg_temp.leg(pg_temp.acc('GATEWAY_CLEARING'), -200),
                                               pg_temp.leg(pg_temp.acc('CUSTOMER_WALLET', 1), 200)], 'deposit-2')).kind;
SELECT n, pg_temp.try(format($$ SELECT hail.hold_trip_fare(pg_temp.trip(%s, 1000, 'wallet')) $$, 10 + n)) FROM generate_series(1, 6) n ORDER BY n;
TABLE pg_temp.books;
-- Giving back, twice; being cancelled for a fee (shared like a fare), twice; without a driver it is all the platform's.
SELECT hail.release_trip_fare(pg_temp.trip(11, 1000, 'wallet'));
SELECT hail.release_trip_fare(pg_temp.trip(11, 1000, 'wallet'));
SELECT hail.charge_cancellation(pg_temp.trip(12, 1000, 'wallet'), 300);
SELECT hail.charge_cancellation(pg_temp.trip(12, 1000, 'wallet'), 300);
SELECT hail.charge_cancellation(pg_temp.trip(13, 1000, 'wallet', 1500, false), 100);
SELECT hail.charge_cancellation(pg_temp.trip(14, 1000, 'wallet'), 0);
TABLE pg_temp.books;
-- A fee above what is there takes what is there; what other trips hold is not there.
SELECT hail.charge_cancellation(pg_temp.trip(16, 1000, 'cash'), 100000);
TABLE pg_temp.books;
SELECT hail.charge_cancellation(pg_temp.trip(17, 1000, 'cash'), 100000);
SELECT hail.settle_trip(pg_temp.trip(15, 1000, 'wallet'));
TABLE pg_temp.books;
-- Without a hold a trip is paid from what is available, or not at all.
SELECT pg_temp.try($$ SELECT hail.settle_trip(pg_temp.trip(18, 1, 'wallet')) $$);
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
