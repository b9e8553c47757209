-- Statements: from an opening to a closing balance, line by line.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-22 09:00+00') IS NOT NULL AS frozen;
INSERT INTO hail.currencies VALUES ('XTU', 2, 50);
CREATE FUNCTION pg_temp.who(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('adadadad-0000-7000-8000-00000000000' || n)::uuid $$;
INSERT INTO hail.users (id, name, role) SELECT pg_temp.who(n), name, role FROM (VALUES
    (1, 'Cora', 'customer'), (2, 'Dean', 'driver'), (3, 'Carl', 'customer'), (4, 'Abby', 'admin'), (5, 'Anne', 'analyst')) AS p (n, name, role);
SELECT hail.issue_token(pg_temp.who(1), '30 days') AS cora, hail.issue_token(pg_temp.who(2), '30 days') AS dean, hail.issue_token(pg_temp.who(3), '30 days') AS carl,
       hail.issue_token(pg_temp.who(4), '30 days') AS abby, hail.issue_token(pg_temp.who(5), '30 days') AS anne \gset
SELECT count(hail.open_account(kind, owner, 'XTU')) FROM (VALUES ('CUSTOMER_WALLET', pg_temp.who(1)), ('DRIVER_WALLET', pg_temp.who(2)), ('CUSTOMER_WALLET', pg_temp.who(3)),
    ('GATEWAY_CLEARING', NULL), ('PLATFORM_REVENUE', NULL)) AS a (kind, owner);
CREATE FUNCTION pg_temp.acc(k text, n integer DEFAULT NULL) RETURNS uuid LANGUAGE sql AS $$
    SELECT id FROM hail.accounts WHERE kind = k AND currency = 'XTU' AND owner_id IS NOT DISTINCT FROM ('adadadad-0000-7000-8000-00000000000' || n)::uuid $$;
SELECT pg_temp.acc('CUSTOMER_WALLET', 1) AS cwallet, pg_temp.acc('DRIVER_WALLET', 2) AS dwallet, pg_temp.acc('CUSTOMER_WALLET', 3) AS other, pg_temp.acc('GATEWAY_CLEARING') AS gateway \gset
CREATE FUNCTION pg_temp.fund(n integer, amount bigint) RETURNS text LANGUAGE sql AS $$
    SELECT (hail.post_transaction('goodwill', ARRAY[ROW(pg_temp.acc('GATEWAY_CLEARING'), 'debit', amount), ROW(pg_temp.acc('CUSTOMER_WALLET', n), 'credit', amount)]::hail.entry_input[],
        'statement ' || hail.uuid7())).kind $$;
CREATE FUNCTION pg_temp.fare(n integer, fare bigint, commission bigint, customer integer DEFAULT 1) RETURNS boolean LANGUAGE sql AS $$
    SELECT hail.post_template('trip_fare_wallet', 'statement trip ' || n, 'XTU', jsonb_build_object('paid', fare, 'fare', fare, 'commission', commission),
        pg_temp.who(customer), pg_temp.who(2), reference_type => 'trip', reference_id => ('adadadad-0000-7000-8000-00000000020' || n)::uuid) IS NOT NULL $$;

-- Two days: money in, trips, a commission of cash.
SELECT pg_temp.fund(1, 20000), pg_temp.fund(3, 5000);
SELECT hail.set_clock('2013-11-22 10:00+00') IS NOT NULL, pg_temp.fare(1, 5000, 750);
SELECT hail.set_clock('2013-11-22 10:30+00') IS NOT NULL, pg_temp.fare(2, 1000, 150), pg_temp.fare(3, 2000, 300, 3);
SELECT hail.set_clock('2013-11-22 23:59:59.999999+00') IS NOT NULL, pg_temp.fare(4, 700, 105);
SELECT hail.set_clock('2013-11-23 00:00+00') IS NOT NULL, hail.post_template('trip_commission_cash', 'statement cash', 'XTU', '{"commission": 450}', driver_id => pg_temp.who(2),
    reference_type => 'trip', reference_id => 'adadadad-0000-7000-8000-000000000205') IS NOT NULL AS cash;
SELECT hail.set_clock('2013-11-23 08:00+00') IS NOT NULL, pg_temp.fund(1, 300);

-- An hour, a day, all of it; the next hour begins where this one ends.
SELECT created_at, kind, description, counterparties, reference_type, right(reference_id::text, 3) AS reference, amount, balance, currency FROM hail.account_statement(:'dwallet');
SELECT created_at, kind, description, counterparties, amount, balance FROM hail.account_statement(:'cwallet', '2013-11-22', '2013-11-23');
SELECT kind, currency, opening_balance, entries, credited, debited, closing_balance FROM hail.statement_totals(pg_temp.who(2), from_time => '2013-11-22 10:00+00', to_time => '2013-11-22 11:00+00');
SELECT kind, currency, opening_balance, entries, credited, debited, closing_balance FROM hail.statement_totals(pg_temp.who(2), from_time => '2013-11-22 11:00+00', to_time => '2013-11-24');
SELECT kind, opening_balance, entries, credited, debited, closing_balance FROM hail.statement_totals(wallet_id => :'cwallet');
-- A time without entries has balances too; a user without wallets has none.
SELECT opening_balance, entries, credited, debited, closing_balance FROM hail.statement_totals(pg_temp.who(2), from_time => '2013-11-22 12:00+00', to_time => '2013-11-22 13:00+00');
SELECT count(*) FROM hail.account_statement(:'dwallet', '2013-11-22 12:00+00', '2013-11-22 13:00+00');
SELECT count(*) FROM hail.statement_totals(pg_temp.who(4));
-- Pages, whatever their size, are the whole, also among entries of one moment.
SELECT amount, balance, next_cursor IS NOT NULL AS more FROM hail.account_statement(:'dwallet', max_results => 2);
SELECT next_cursor AS cursor FROM hail.account_statement(:'dwallet', max_results => 2) WHERE next_cursor IS NOT NULL \gset
SELECT amount, balance, next_cursor IS NOT NULL AS more FROM hail.account_statement(:'dwallet', max_results => 2, cursor => :'cursor');
CREATE FUNCTION pg_temp.paged(account uuid, size integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    page record; cursor text; lines text := ''; more boolean := true;
BEGIN
    WHILE more LOOP
        more := false;
        FOR page IN SELECT * FROM hail.account_statement(account, max_results => size, cursor => cursor) LOOP
            lines := lines || format(' %s=%s', page.amount, page.balance);
            cursor := page.next_cursor;
            more := cursor IS NOT NULL;
        END LOOP;
    END LOOP;
    RETURN lines;
END $$;
SELECT DISTINCT pg_temp.paged(:'dwallet', size) FROM generate_series(1, 6) size;
SELECT count(*) FROM hail.account_statement(:'dwallet', '2013-11-22', max_results => 2, cursor => :'cursor');
SELECT count(*) FROM hail.account_statement(:'dwallet', max_results => 0);
SELECT count(*) FROM hail.account_statement(:'dwallet', '2013-11-23', '2013-11-22');
SELECT count(*) FROM hail.statement_totals(pg_temp.who(2), from_time => '2013-11-23', to_time => '2013-11-23');

-- Lines are what the entries say: balances after them, and balances as of each moment before and after.
SELECT count(*) AS lines, count(*) FILTER (WHERE s.balance <> e.balance_after) AS other_balance, count(*) FILTER (WHERE s.amount <> CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) AS other_amount
FROM unnest(ARRAY[:'cwallet', :'dwallet', :'other']::uuid[]) a (id), LATERAL hail.account_statement(a.id) s JOIN hail.ledger_entries e ON e.id = s.entry_id;
SELECT count(*) AS times, count(*) FILTER (WHERE t.opening_balance <> hail.balance_as_of(a.id, m.at) OR t.closing_balance <> hail.balance_as_of(a.id, n.at)) AS other
FROM unnest(ARRAY[:'cwallet', :'dwallet', :'other', :'gateway']::uuid[]) a (id),
     generate_series(timestamptz '2013-11-22 08:30+00', '2013-11-23 09:30+00', '30 minutes') m (at),
     LATERAL (VALUES (m.at + interval '30 minutes'), (m.at + interval '7 hours')) n (at), LATERAL hail.statement_totals(wallet_id => a.id, from_time => m.at, to_time => n.at) t;
SELECT count(*) FILTER (WHERE t.closing_balance <> b.posted) AS other FROM unnest(ARRAY[:'cwallet', :'dwallet', :'other', :'gateway']::uuid[]) a (id), LATERAL hail.statement_totals(wallet_id => a.id) t, LATERAL hail.balance(a.id) b;

-- Each reads its own, administrators all, accounts of the platform too; nobody learns what there is.
BEGIN; SELECT role FROM hail.authenticate(:'cora'); SELECT count(*) FROM hail.account_statement(:'cwallet'); SELECT count(*) FROM hail.statement_totals(hail.current_subject()); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'dean'); SELECT count(*) FROM hail.account_statement(:'dwallet'); SELECT count(*) FROM hail.account_statement(:'cwallet'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'dean'); SELECT count(*) FROM hail.statement_totals(wallet_id => :'gateway'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'dean'); SELECT count(*) FROM hail.statement_totals('adadadad-0000-7000-8000-000000000001'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'dean'); SELECT count(*) FROM hail.statement_totals(hail.current_subject(), :'cwallet'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'dean'); SELECT count(*) FROM hail.statement_totals(); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'anne'); SELECT count(*) FROM hail.account_statement(:'dwallet'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'abby'); SELECT amount, balance, counterparties FROM hail.account_statement(:'gateway'); SELECT count(*) FROM hail.statement_totals('adadadad-0000-7000-8000-000000000001', :'cwallet'); SELECT count(*) FROM hail.statement_totals('adadadad-0000-7000-8000-000000000002', :'cwallet'); ROLLBACK;
SELECT count(*) FROM hail.account_statement(NULL);
SELECT count(*) FROM hail.account_statement(hail.uuid7());
-- A wallet is read along its own entries, however many others have.
SELECT count(pg_temp.fund(3, 1)) FROM generate_series(1, 1500) n, LATERAL hail.advance_clock(n * interval '1 millisecond');
ANALYZE hail.ledger_entries;
CREATE FUNCTION pg_temp.plan(account uuid) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT * FROM hail.statement_entries(%L, %L, %L)', account, '2013-11-22', '2013-11-23') LOOP
        RETURN NEXT regexp_replace(line, '''[0-9a-f-]{36}''', '''...''');
    END LOOP;
END $$;
SELECT bool_or(p LIKE '%ledger_entries_account%') AS along_the_account, bool_or(p LIKE '%Seq Scan%') AS whole_table FROM pg_temp.plan(:'cwallet') p;
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
