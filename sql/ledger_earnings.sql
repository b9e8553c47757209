-- What drivers earn: figures that are the sum of what the ledger recorded, by currency, day and trip.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-22 09:00+00') IS NOT NULL AS frozen;
INSERT INTO hail.currencies VALUES ('XTV', 2, 50);
CREATE FUNCTION pg_temp.who(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('aeaeaeae-0000-7000-8000-00000000000' || n)::uuid $$;
INSERT INTO hail.users (id, name, role) SELECT pg_temp.who(n), name, role FROM (VALUES (1, 'Elsa', 'customer'), (2, 'Egon', 'driver'), (3, 'Emil', 'driver'), (4, 'Edda', 'admin')) AS p (n, name, role);
SELECT (hail.create_region('earners', 'Earners', 'XTV', 'Asia/Tokyo', ST_MakeEnvelope(-68, -1, -66, 1, 4326))).code;
SELECT count(hail.set_fare('earners', class, 1000, 350, 50, 1500, bp)) FROM (VALUES ('economy', 1500), ('van', 2000)) f (class, bp);
SELECT count(hail.register_driver(pg_temp.who(n), 'earners', '{economy}')) FROM generate_series(2, 3) n;
SELECT hail.issue_token(pg_temp.who(2), '30 days') AS egon, hail.issue_token(pg_temp.who(3), '30 days') AS emil \gset
SELECT count(hail.open_account(kind, owner, 'XTV')) FROM (VALUES ('CUSTOMER_WALLET', pg_temp.who(1)), ('DRIVER_WALLET', pg_temp.who(2)), ('GATEWAY_CLEARING', NULL), ('PLATFORM_REVENUE', NULL), ('PROMOTIONS', NULL)) AS a (kind, owner);
CREATE FUNCTION pg_temp.acc(k text, n integer DEFAULT NULL) RETURNS uuid LANGUAGE sql AS $$
    SELECT id FROM hail.accounts WHERE kind = k AND currency = 'XTV' AND owner_id IS NOT DISTINCT FROM ('aeaeaeae-0000-7000-8000-00000000000' || n)::uuid $$;
CREATE FUNCTION pg_temp.move(kind text, amount bigint, n integer DEFAULT 2) RETURNS text LANGUAGE sql AS $$
    SELECT (hail.post_transaction(kind, ARRAY[ROW(pg_temp.acc('GATEWAY_CLEARING'), CASE WHEN amount > 0 THEN 'debit' ELSE 'credit' END, abs(amount)),
        ROW(pg_temp.acc(CASE n WHEN 1 THEN 'CUSTOMER_WALLET' ELSE 'DRIVER_WALLET' END, n), CASE WHEN amount > 0 THEN 'credit' ELSE 'debit' END, abs(amount))]::hail.entry_input[],
        format('earnings %s %s', kind, hail.clock()))).kind $$;
CREATE FUNCTION pg_temp.trip(n integer, price bigint, method text, bp integer DEFAULT 1500, tolls bigint DEFAULT 0, promotion bigint DEFAULT 0) RETURNS hail.trips LANGUAGE sql AS $$
    SELECT r FROM jsonb_populate_record(NULL::hail.trips, jsonb_build_object('id', 'aeaeaeae-0000-7000-8000-' || lpad(n::text, 12, '0'), 'price', price, 'payment_method', method,
        'customer_id', pg_temp.who(1), 'driver_id', pg_temp.who(2), 'commission_bp', bp, 'currency', 'XTV', 'tolls', tolls, 'promotion_amount', promotion, 'state', 'completed')) AS r $$;

-- A day (in Tokyo, where it began nine hours ago) of fares by wallet and cash, with tolls, promotions; tips, fees, refunds; the next day some more.
SELECT pg_temp.move('deposit_customer', 50000, 1);
SELECT hail.settle_trip(pg_temp.trip(1, 5000, 'wallet'));
SELECT hail.set_clock('2013-11-22 10:00+00') IS NOT NULL, hail.settle_trip(pg_temp.trip(2, 4000, 'cash')), hail.settle_trip(pg_temp.trip(3, 2000, 'wallet', 1500, 300, 500));
SELECT hail.set_clock('2013-11-22 11:00+00') IS NOT NULL, hail.settle_trip(pg_temp.trip(4, 3000, 'cash', 1500, 0, 1000)), hail.settle_trip(pg_temp.trip(5, 700, 'cash', 0));
SELECT pg_temp.move('trip_tip', 250), pg_temp.move('cancellation_fee_by_hand', 170), pg_temp.move('trip_refund_by_hand', -425), pg_temp.move('goodwill', 99), pg_temp.move('deposit_driver', 1000);
SELECT hail.set_clock('2013-11-22 15:00+00') IS NOT NULL, hail.settle_trip(pg_temp.trip(6, 1000, 'wallet'));
-- Not paid: not earned yet.
SELECT hail.settle_trip(pg_temp.trip(7, 99999999, 'wallet'));

SELECT * FROM hail.driver_earnings(pg_temp.who(2)) \gx
-- They are what the entries say, for any time: the wallet's change is the sum of its entries, and of the parts.
CREATE FUNCTION pg_temp.compare(begins timestamptz, ends timestamptz) RETURNS boolean LANGUAGE sql AS $$
    SELECT coalesce((e).wallet_change, 0) IS NOT DISTINCT FROM t.credited - t.debited
       AND ((e).currency IS NULL OR (e).net = (e).gross - (e).commission + (e).tolls + (e).tips + (e).cancellation_fees + (e).refunds + (e).adjustments
       AND (e).wallet_change = (e).net - (e).cash_collected - (e).withdrawn - (e).withdrawal_fees + (e).deposited)
    FROM hail.statement_totals(wallet_id => pg_temp.acc('DRIVER_WALLET', 2), from_time => begins, to_time => ends) t
    LEFT JOIN hail.driver_earnings(pg_temp.who(2), begins, ends) e ON true $$;
SELECT count(*) AS times, count(*) FILTER (WHERE pg_temp.compare(a, b)) AS equal FROM generate_series(timestamptz '2013-11-22 08:00+00', '2013-11-22 16:00+00', '1 hour') a,
    generate_series(timestamptz '2013-11-22 08:00+00', '2013-11-22 16:00+00', '1 hour') b WHERE a < b;
-- By day of the region, by trip; together the same.
SELECT part, (earnings).trips, (earnings).gross, (earnings).net, (earnings).cash_collected, (earnings).wallet_change FROM hail.calculate_earnings(pg_temp.who(2));
SELECT right(part, 5) AS part, (earnings).trips, (earnings).gross, (earnings).commission, (earnings).tolls, (earnings).promotions, (earnings).net, (earnings).cash_collected, (earnings).wallet_change
FROM hail.calculate_earnings(pg_temp.who(2), per => 'trip') ORDER BY 1;
SELECT per, sum((earnings).net) = (e).net AS net, sum((earnings).wallet_change) = (e).wallet_change AS wallet FROM unnest('{day,trip}'::text[]) per, hail.calculate_earnings(pg_temp.who(2), per => per), hail.driver_earnings(pg_temp.who(2)) e GROUP BY 1, (e).net, (e).wallet_change ORDER BY 1;
-- Money withdrawn is not earned less; its fee is told apart, and both come back when the payout fails.
SELECT fee FROM hail.set_withdrawal_rules('XTV', fee => 30, review_above => 2000);
BEGIN; SELECT role FROM hail.authenticate(:'egon');
SELECT (withdrawal).state, (withdrawal).amount FROM hail.request_withdrawal(hail.current_subject(), 800, 'XTV', '{"type": "mobile_wallet", "account": "+201001234567", "holder": "E"}', 'earnings');
COMMIT;
SELECT net, withdrawn, withdrawal_fees, wallet_change FROM hail.driver_earnings(pg_temp.who(2));
SELECT pg_temp.compare('-infinity', 'infinity');
BEGIN;
SELECT state FROM hail.fail_withdrawal((SELECT id FROM hail.withdrawals WHERE user_id = pg_temp.who(2)), 'no');
SELECT net, withdrawn, withdrawal_fees, wallet_change FROM hail.driver_earnings(pg_temp.who(2));
SELECT pg_temp.compare('-infinity', 'infinity');
ROLLBACK;
-- Line by line, in pages.
SELECT at, category, kind, right(trip_id::text, 2) AS trip, gross, commission, tolls, promotion, cash_collected, amount FROM hail.list_earnings(pg_temp.who(2));
CREATE FUNCTION pg_temp.paged(size integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    page record; cursor text; lines text := ''; more boolean := true;
BEGIN
    WHILE more LOOP
        more := false;
        FOR page IN SELECT * FROM hail.list_earnings(pg_temp.who(2), max_results => size, cursor => cursor) LOOP
            lines := lines || format(' %s', page.amount);
            cursor := page.next_cursor;
            more := cursor IS NOT NULL;
        END LOOP;
    END LOOP;
    RETURN lines;
END $$;
SELECT DISTINCT pg_temp.paged(size) FROM generate_series(1, 14) size;
SELECT sum(amount) = (SELECT posted FROM hail.accounts WHERE id = pg_temp.acc('DRIVER_WALLET', 2)) AS all_of_it FROM hail.list_earnings(pg_temp.who(2));
-- What a price would earn.
SELECT * FROM hail.price_earnings(pg_temp.who(2), 5500);
SELECT * FROM hail.price_earnings(pg_temp.who(2), 5500, 'van');
SELECT * FROM hail.price_earnings(pg_temp.who(2), 1, 'bicycle');
SELECT * FROM hail.price_earnings(pg_temp.who(2), -1);
-- For the driver and administrators; nothing earned is no row.
BEGIN; SELECT role FROM hail.authenticate(:'egon'); SELECT trips FROM hail.driver_earnings(hail.current_subject()); SELECT count(*) > 0 AS lines FROM hail.list_earnings(hail.current_subject()); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'emil'); SELECT count(*) FROM hail.driver_earnings(hail.current_subject()); SELECT * FROM hail.driver_earnings('aeaeaeae-0000-7000-8000-000000000002'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'emil'); SELECT * FROM hail.calculate_earnings('aeaeaeae-0000-7000-8000-000000000002'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'emil'); SELECT * FROM hail.list_earnings('aeaeaeae-0000-7000-8000-000000000002'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'emil'); SELECT * FROM hail.price_earnings('aeaeaeae-0000-7000-8000-000000000002', 1); ROLLBACK;
SELECT * FROM hail.calculate_earnings(pg_temp.who(2), per => 'week');
SELECT * FROM hail.calculate_earnings(pg_temp.who(2), '2013-11-23', '2013-11-22');
SELECT * FROM hail.list_earnings(pg_temp.who(2), max_results => 0);
DELETE FROM hail.request_keys WHERE result IN (SELECT id FROM hail.withdrawals);
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
