-- Templates of entries: what the engine posts, by name.
SET client_min_messages = warning;
SET timezone = 'UTC';
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XTP', 2, 1);
SELECT hail.set_clock('2026-03-02 09:00+00');
INSERT INTO hail.users (id, name, role) VALUES
    ('aaaaaaaa-0000-7000-8000-000000007201', 'Template Customer', 'customer'),
    ('aaaaaaaa-0000-7000-8000-000000007202', 'Template Driver', 'driver');

CREATE SCHEMA template_test;
CREATE FUNCTION template_test.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
    RETURN coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state) || ': ' || SQLERRM;
END $$;
-- Post a template in XTP for customer and driver (a wallet: the customer's); its entries.
CREATE FUNCTION template_test.post(template text, key text, amounts jsonb, wallet uuid DEFAULT NULL, hold uuid DEFAULT NULL)
RETURNS TABLE (account text, direction text, amount bigint) LANGUAGE plpgsql AS $$
DECLARE
    made uuid := hail.post_template(template, key, 'XTP', amounts, 'aaaaaaaa-0000-7000-8000-000000007201',
                                    'aaaaaaaa-0000-7000-8000-000000007202', wallet, hold);
BEGIN
    RETURN QUERY SELECT a.kind, e.direction, e.amount FROM hail.ledger_entries e JOIN hail.accounts a ON a.id = e.account_id
                 WHERE e.transaction_id = made ORDER BY e.id;
END $$;
CREATE FUNCTION template_test.wallet() RETURNS uuid LANGUAGE sql AS $$
    SELECT id FROM hail.accounts WHERE currency = 'XTP' AND owner_id = 'aaaaaaaa-0000-7000-8000-000000007201' $$;
CREATE VIEW template_test.books AS
    SELECT a.kind, b.posted, b.held FROM hail.accounts a, hail.balance(a.id) b WHERE a.currency = 'XTP' ORDER BY 1;
SELECT (hail.open_account('CUSTOMER_WALLET', 'aaaaaaaa-0000-7000-8000-000000007201', 'XTP')).kind,
       (hail.open_account('GATEWAY_CLEARING', NULL, 'XTP')).kind;
SELECT (hail.post_transaction('deposit', ARRAY[
    ROW((SELECT id FROM hail.accounts WHERE currency = 'XTP' AND kind = 'GATEWAY_CLEARING'), 'debit', 100000),
    ROW(template_test.wallet(), 'credit', 100000)]::hail.entry_input[], 'template-deposit')).kind;

-- A fare of 50.00 with tolls of 3.00, of which a promotion pays 5.00, at 15 %: the driver's three legs are one entry.
SELECT * FROM template_test.post('trip_fare_wallet', 't1', '{"paid": 4800, "promotion": 500, "fare": 5000, "tolls": 300, "commission": 750}');
TABLE template_test.books;
-- Legs of nothing are left out, those of the driver that come to nothing too; a posting of nothing is none.
SELECT * FROM template_test.post('trip_fare_wallet', 't2', '{"paid": 100, "fare": 100}');
SELECT * FROM template_test.post('trip_fare_wallet', 't3', '{"paid": 100, "fare": 100, "commission": 100}');
SELECT hail.post_template('trip_fare_wallet', 't4', 'XTP', '{"paid": 0}') IS NULL AS nothing;
SELECT * FROM template_test.post('trip_commission_cash', 't5', '{"commission": 750, "promotion": 500}');
SELECT * FROM template_test.post('trip_commission_cash', 't6', '{"commission": 750, "promotion": 750}');
SELECT * FROM template_test.post('cancellation_fee', 't7', '{"fee": 500, "driver_share": 425, "commission": 75}');
TABLE template_test.books;

-- The same key again is the first transaction; another request is not.
SELECT count(*) FROM template_test.post('trip_fare_wallet', 't2', '{"fare": 100, "paid": 100, "tolls": 0}');
SELECT template_test.try($$ SELECT template_test.post('trip_fare_wallet', 't2', '{"paid": 200, "fare": 200}') $$);
SELECT template_test.try($$ SELECT template_test.post('cancellation_fee', 't2', '{"fee": 100, "commission": 100}') $$);
TABLE template_test.books;

-- What is refused, with nothing changed.
SELECT n, template_test.try(format('SELECT template_test.post(%L, %L, %L)', t, 'no-' || n, a)) FROM (VALUES
    (1, 'no_such_template', '{"fee": 1}'),
    (2, 'cancellation_fee', '{"tip": 1}'),
    (3, 'cancellation_fee', '{"fee": -1, "commission": -1}'),
    (4, 'cancellation_fee', '{"fee": 1.5}'),
    (5, 'cancellation_fee', '{"fee": "1"}'),
    (6, 'cancellation_fee', '{"fee": null}'),
    (7, 'cancellation_fee', '[1]'),
    (8, 'cancellation_fee', '{"fee": 9007199254740993, "commission": 9007199254740993}'),
    (9, 'cancellation_fee', '{"fee": 1e30}'),
    (10, 'cancellation_fee', '{"fee": 5, "commission": 4}'),
    (11, 'cancellation_fee', '{"fee": 100000000, "commission": 100000000}')) AS x (n, t, a) ORDER BY n;
SELECT template_test.try($$ SELECT hail.post_template('cancellation_fee', 'no-12', 'XTP', '{"fee": 1, "commission": 1}') $$) AS nobody;
SELECT template_test.try($$ SELECT hail.post_template('cancellation_fee', NULL, 'XTP', '{"fee": 1}') $$) AS no_key,
       template_test.try($$ SELECT hail.post_template('cancellation_fee', 'no-13', NULL, '{"fee": 1}') $$) AS no_currency,
       template_test.try($$ SELECT hail.post_template('cancellation_fee', 'no-14', 'XTP', NULL) $$) AS no_amounts;
TABLE template_test.books;

-- A hold is used up by the wallet that pays; what it is above the amount is free again.
CREATE TABLE template_test.hold AS SELECT (hail.hold(template_test.wallet(), 1000, 'template-hold')).id;
SELECT posted, held FROM template_test.books WHERE kind = 'CUSTOMER_WALLET';
SELECT template_test.try($$ SELECT template_test.post('trip_commission_cash', 'no-15', '{"commission": 1}', NULL, (SELECT id FROM template_test.hold)) $$);
SELECT * FROM template_test.post('cancellation_fee', 't8', '{"fee": 600, "commission": 600}', NULL, (SELECT id FROM template_test.hold));
SELECT status, captured FROM hail.holds WHERE id = (SELECT id FROM template_test.hold);
SELECT posted, held FROM template_test.books WHERE kind = 'CUSTOMER_WALLET';
SELECT template_test.try($$ SELECT template_test.post('cancellation_fee', 'no-16', '{"fee": 1, "commission": 1}', NULL, (SELECT id FROM template_test.hold)) $$);

-- A changed table is read anew; legs of owner wallet go to the one that is named.
INSERT INTO hail.entry_templates VALUES ('template_test', 1, 'GATEWAY_CLEARING', NULL, 'debit', 'amount', 'test'),
                                        ('template_test', 2, NULL, 'wallet', 'credit', 'amount', 'test');
SELECT * FROM template_test.post('template_test', 't9', '{"amount": 7}', template_test.wallet());
SELECT template_test.try($$ SELECT template_test.post('template_test', 'no-17', '{"amount": 7}') $$) AS no_wallet;
SELECT template_test.try($$ SELECT template_test.post('template_test', 'no-18', '{"amount": 7}', (SELECT id FROM hail.accounts WHERE currency = 'XTP' AND kind = 'PROMOTIONS')) $$) AS not_a_wallet;
SELECT template_test.try($$ SELECT hail.post_template('template_test', 'no-19', 'XTQ', '{"amount": 7}', wallet_id => template_test.wallet()) $$) AS other_currency;
DELETE FROM hail.entry_templates WHERE template = 'template_test';
SELECT template_test.try($$ SELECT template_test.post('template_test', 't10', '{"amount": 7}', template_test.wallet()) $$) AS gone;
TABLE template_test.books;
SELECT sum(posted) AS zero FROM template_test.books;

-- Administrators and analysts read the table, nobody writes it.
SELECT r, has_table_privilege(r, 'hail.entry_templates', 'SELECT') AS reads, has_table_privilege(r, 'hail.entry_templates', 'INSERT, UPDATE, DELETE, TRUNCATE') AS writes
FROM unnest(ARRAY['hail_admin', 'hail_analyst', 'hail_customer', 'hail_driver', 'hail_partner', 'hail_front']) r ORDER BY 1;
-- Every transaction that the engine has made is of a template of the table.
SELECT DISTINCT t.kind FROM hail.ledger_transactions t
WHERE t.principal = 'system' AND t.kind <> 'template_test' AND t.kind NOT IN (SELECT template FROM hail.entry_templates) ORDER BY 1;
DROP SCHEMA template_test CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
