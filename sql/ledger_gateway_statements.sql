-- Statements of gateways: strict reading, good lines kept apart, each once; compared with the ledger; decisions.
SELECT hail.set_clock('2013-11-24 09:00+00') IS NOT NULL AS clock_set;
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XGS', 2, 1), ('XGT', 3, 1);
INSERT INTO hail.users (id, name, role) VALUES ('57a7e000-0000-7000-8000-000000000001', 'Statement Customer', 'customer');
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
SELECT (g.gateway).name FROM hail.create_gateway('statement_gate', 'standard_webhooks', '{XGS,XGT}') AS g;

-- Reading: what stands where, and what is wrong with it.
SELECT * FROM hail.parse_csv(E'\uFEFFa,b\r\n"x,1","say ""hi"""\r\n\r\n"two\nlines",2\nbad"quote,3\n"open,4\nlast,5');
SELECT v, d, hail.statement_amount(v, d) FROM (VALUES ('12.34', 2), ('12.3', 2), ('12', 2), ('-0.01', 2), ('12.345', 2), ('12.345', 3), ('12', 0), ('12.0', 0), ('1e3', 2),
    ('1,000.00', 2), ('.5', 2), ('5.', 2), ('+5', 2), ('NaN', 2), ('', 2), (' 5', 2), ('90071992547409.92', 2), ('90071992547409.93', 2), ('123456789012345', 4), ('1', NULL)) t (v, d);
SELECT v, hail.statement_time(v) AT TIME ZONE 'UTC' AS utc FROM unnest(ARRAY['2026-11-01T10:00:00Z', '2026-11-01 12:00:00+02', '2026-11-01T10:00Z', '2026-11-01T10:00:00', '2026-11-01', '2026-02-30T10:00:00Z', 'now', 'infinity']) v;

-- Five deposits are known; one is not told, one is told with another amount, one with another fee.
CREATE FUNCTION pg_temp.deposit(key text, amount bigint, fee bigint DEFAULT 0, currency text DEFAULT 'XGS') RETURNS void LANGUAGE sql AS $$
    SELECT FROM hail.settle_deposit(((hail.begin_deposit('57a7e000-0000-7000-8000-000000000001', amount, currency, 'statement_gate', 'gs-' || key)).intent).id, 'test', key, fee) $$;
SELECT pg_temp.deposit('pay-1', 10000), pg_temp.deposit('pay-2', 5000, 150), pg_temp.deposit('pay-3', 7000), pg_temp.deposit('pay-4', 2000), pg_temp.deposit('pay-5', 1234, 0, 'XGT');
SELECT E'Reference,Type,Amount,Fee,Currency,Time,Settled,Note\r
pay-1,payment,100.00,,XGS,2013-11-24T08:00:00Z,,fine\r
pay-2,PAYMENT,50.00,1.60,XGS,2013-11-24T08:10:00Z,2013-11-24T10:00:00Z,"another fee, by a little"\r
pay-3,payment,70.01,0,XGS,2013-11-24T09:00:00Z,,"another
amount"\r
pay-5,payment,1.234,0,XGT,2013-11-24T09:30:00Z,,\r
pay-9,payment,9.99,0,XGS,2013-11-24T09:40:00Z,,nobody knows it\r
pay-1,refund,-1.00,0,XGS,2013-11-24T09:50:00Z,,nor this\r
monthly,fee,12.00,,XGS,2013-11-24T10:00:00Z,,\r
corr-1,adjustment,-0.55,,XGS,2013-11-24T10:00:00Z,,\r
pay-1,payment,100.00,,XGS,2013-11-24T08:00:00Z,,the first line again\r
bad-1,payment,10.005,0,XGS,2013-11-24T08:00:00Z,,\r
bad-2,payment,ten,0,XGS,2013-11-24T08:00:00Z,,\r
bad-3,payment,10.00,0,XXZ,2013-11-24T08:00:00Z,,\r
bad-4,payment,10.00,0,XGS,yesterday,,\r
bad-5,payment,10.00,0,XGS,2013-11-24T08:00:00,,no offset\r
bad-6,gift,10.00,0,XGS,2013-11-24T08:00:00Z,,\r
bad-7,payment,10.00,0,XGS,2013-11-24T08:00:00Z\r
,payment,10.00,0,XGS,2013-11-24T08:00:00Z,,no reference\r
bad-8,payment,-10.00,0,XGS,2013-11-24T08:00:00Z,,\r
bad-9,payment,0.00,0,XGS,2013-11-24T08:00:00Z,,\r
bad-10,payment,10.00,0,XGS,2013-11-24T08:00:00Z,soon,card 4111111111111111\r
bad-"11,payment,10.00,0,XGS,2013-11-24T08:00:00Z,,' AS file \gset
SELECT statement_id AS s1, loaded, duplicates, faults, replayed FROM hail.load_gateway_statement('statement_gate', :'file', 'november.csv') \gset
SELECT :loaded AS loaded, :duplicates AS duplicates, :faults AS faults, :'replayed' AS replayed;
SELECT line, type, reference, amount, fee, currency, at AT TIME ZONE 'UTC' AS at, settled_at AT TIME ZONE 'UTC' AS settled FROM hail.gateway_statement_lines WHERE statement_id = :'s1' ORDER BY line;
SELECT line, reason, content FROM hail.gateway_statement_faults WHERE statement_id = :'s1' ORDER BY line;
SELECT finding, line, type, reference, at_gateway, in_ledger FROM hail.match_gateway_statement(:'s1') WHERE finding = 'not_at_gateway';
-- The same file is loaded once; lines that are in two files count once.
SELECT statement_id = :'s1' AS same, loaded, duplicates, faults, replayed FROM hail.load_gateway_statement('statement_gate', :'file', 'again.csv');
SELECT statement_id AS s2 FROM hail.load_gateway_statement('statement_gate', E'reference,type,amount_minor,fee_minor,currency,time\npay-1,payment,10000,0,XGS,2013-11-24T08:00:00Z\npay-4,payment,2000,0,XGS,2013-11-24T09:00:00Z\npay-10,payment,20.00,0,XGS,2013-11-24T09:00:00Z') \gset
SELECT line, reason FROM hail.gateway_statement_faults WHERE statement_id = :'s2' ORDER BY line;
-- What is no statement at all.
SELECT h, pg_temp.try(format('SELECT hail.load_gateway_statement(%L, %L)', 'statement_gate', h)) FROM unnest(ARRAY['', 'reference,type', 'reference,type,amount,amount_minor,currency,time',
    'reference,type,amount,fee,fee_minor,currency,time', 'reference,reference,type,amount,currency,time', 'reference,"type,amount,currency,time', E'\n\n']) h;
SELECT pg_temp.try($$ SELECT hail.load_gateway_statement('nobody', 'x') $$);
SELECT statement_id IS NOT NULL AS empty_one, loaded, duplicates, faults FROM hail.load_gateway_statement('statement_gate', 'reference,type,amount,currency,time');

-- Compared.
SELECT finding, line, type, reference, currency, at_gateway, in_ledger, fee_at_gateway AS fee, fee_in_ledger AS fee_known, subject IS NOT NULL AS known FROM hail.match_gateway_statement(:'s1');
SELECT * FROM hail.gateway_statement_totals(:'s1');
SELECT finding, type, reference, at_gateway, in_ledger FROM hail.match_gateway_statement(:'s2');
SELECT check_name, subject, expected, actual FROM hail.reconcile('2013-11-24') WHERE check_name = 'gateway_statement';
-- Decided, with and without an adjustment; once.
SELECT note, adjustment, decided_by, decided_at AT TIME ZONE 'UTC' AS at, transaction_id IS NOT NULL AS posted FROM hail.decide_gateway_difference(:'s1', 'amount', 'payment', 'pay-3', 'XGS', 'rounded by the gateway', 1);
SELECT note, adjustment FROM hail.decide_gateway_difference(:'s1', 'amount', 'payment', 'pay-3', 'XGS', 'rounded by the gateway', 1);
SELECT pg_temp.try(format('SELECT hail.decide_gateway_difference(%L, ''amount'', ''payment'', ''pay-3'', ''XGS'', ''otherwise'', 2)', :'s1')) AS otherwise;
SELECT note, adjustment FROM hail.decide_gateway_difference(:'s1', 'to_be_posted', 'fee', 'monthly', 'XGS', 'monthly fee', -1200);
SELECT note, adjustment, transaction_id FROM hail.decide_gateway_difference(:'s1', 'not_in_ledger', 'payment', 'pay-9', 'XGS', 'of another shop, told them');
SELECT pg_temp.try(format('SELECT hail.decide_gateway_difference(%L, ''matched'', ''payment'', ''pay-1'', ''XGS'', ''fine'')', :'s1')) AS nothing_to_decide;
SELECT pg_temp.try(format('SELECT hail.decide_gateway_difference(%L, ''amount'', ''payment'', ''pay-1'', ''XGS'', ''fine'')', :'s1')) AS no_such;
SELECT pg_temp.try(format('SELECT hail.decide_gateway_difference(%L, ''amount'', ''payment'', ''pay-1'', ''XGS'', '''')', :'s1')) AS why;
SELECT t.kind, a.kind, e.direction, e.amount FROM hail.ledger_entries e JOIN hail.accounts a ON a.id = e.account_id JOIN hail.ledger_transactions t ON t.id = e.transaction_id
WHERE t.kind LIKE 'gateway\_difference%' AND e.currency = 'XGS' ORDER BY 1, 2;
SELECT finding, reference, decision FROM hail.match_gateway_statement(:'s1') WHERE finding <> 'matched';
SELECT subject FROM hail.reconcile('2013-11-24') WHERE check_name = 'gateway_statement';
-- What was loaded stays; only administrators look.
SELECT s, pg_temp.try(s) FROM unnest(ARRAY['UPDATE hail.gateway_statement_lines SET amount = 1', 'DELETE FROM hail.gateway_statements', 'TRUNCATE hail.gateway_decisions', 'DELETE FROM hail.gateway_statement_faults']) s;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token('57a7e000-0000-7000-8000-000000000001'));
SELECT pg_temp.try(format('SELECT hail.match_gateway_statement(%L)', :'s1')) AS match, pg_temp.try('SELECT hail.load_gateway_statement(''statement_gate'', ''x'')') AS load, pg_temp.try('SELECT count(*) FROM hail.gateway_statement_lines') AS lines;
ROLLBACK;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
