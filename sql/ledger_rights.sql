-- Who may do what with the ledger's tables and functions: every table that the scripts 70 to 79 make, each kind of caller, each verb.
-- A query that lists offenders shows none.
SELECT hail.set_clock('2013-12-12 09:00+00');
SET client_min_messages = warning;
CREATE SCHEMA rights;
GRANT USAGE ON SCHEMA rights TO PUBLIC;
CREATE ROLE rights_nobody;
GRANT USAGE ON SCHEMA hail TO rights_nobody;
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XAR', 2, 1) ON CONFLICT DO NOTHING;
INSERT INTO hail.users (id, name, role)
SELECT ('41647500-0000-7000-8000-00000000000' || n)::uuid, 'Rights ' || n, role
FROM unnest('{customer,customer,driver,driver,partner,analyst,admin}'::text[]) WITH ORDINALITY AS u (role, n);
CREATE FUNCTION rights.who(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('41647500-0000-7000-8000-00000000000' || n)::uuid $$;

-- The ledger's tables, by the order in which the installation made them: from the first of script 70 until the first of script 80.
CREATE VIEW rights.tables AS
    SELECT c.oid, c.relname::text AS name FROM pg_class c
    WHERE c.relnamespace = 'hail'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
      AND c.oid >= 'hail.account_kinds'::regclass AND c.oid < 'hail.events'::regclass;
-- Who reads what: all rows, one's own (those for which `mine` holds, $1 being the caller), or nothing (-). Stated here, by hand: a
-- table that is missing here fails the test.
CREATE TABLE rights.stated (name text PRIMARY KEY, customer text, driver text, partner text, admin text, analyst text, mine text);
INSERT INTO rights.stated VALUES
    ('account_kinds',           '-',   '-',   '-',   'all', 'all', NULL),
    ('accounts',                'own', 'own', '-',   'all', 'all', 'owner_id = $1'),
    ('ledger_transactions',     '-',   '-',   '-',   'all', 'all', NULL),
    ('ledger_entries',          'own', 'own', '-',   'all', 'all', 'account_id IN (SELECT id FROM hail.accounts WHERE owner_id = $1)'),
    ('holds',                   'own', 'own', '-',   'all', 'all', 'account_id IN (SELECT id FROM hail.accounts WHERE owner_id = $1)'),
    ('account_changes',         '-',   '-',   '-',   'all', '-',   NULL),
    ('entry_templates',         '-',   '-',   '-',   'all', 'all', NULL),
    ('trip_payments',           'own', 'own', 'own', 'all', 'all', '$1 IN (customer_id, driver_id)'),
    ('trip_adjustments',        '-',   '-',   '-',   'all', '-',   NULL),
    ('promotions',              '-',   '-',   '-',   'all', 'all', NULL),
    ('promotion_uses',          '-',   '-',   '-',   'all', 'all', NULL),
    ('gateways',                '-',   '-',   '-',   'all', '-',   NULL),
    ('gateway_secrets',         '-',   '-',   '-',   '-',   '-',   NULL),
    ('deposit_limits',          'all', 'all', 'all', 'all', 'all', NULL),
    ('payment_intents',         'own', 'own', 'own', 'all', 'all', 'user_id = $1'),
    ('payment_refunds',         'own', 'own', 'own', 'all', 'all', 'intent_id IN (SELECT id FROM hail.payment_intents WHERE user_id = $1)'),
    ('payment_transitions',     '-',   '-',   '-',   'all', 'all', NULL),
    ('gateway_events',          '-',   '-',   '-',   'all', 'all', NULL),
    ('withdrawal_rules',        '-',   'all', 'all', 'all', 'all', NULL),
    ('withdrawal_transitions',  '-',   '-',   '-',   'all', 'all', NULL),
    ('withdrawals',             '-',   'own', 'own', 'all', 'all', 'user_id = $1'),
    ('withdrawal_destinations', '-',   '-',   '-',   '-',   '-',   NULL),
    ('reconcile_checks',        '-',   '-',   '-',   'all', 'all', NULL),
    ('guard_definitions',       '-',   '-',   '-',   '-',   '-',   NULL),
    ('ledger_closes',           '-',   '-',   '-',   'all', 'all', NULL),
    ('ledger_close_totals',     '-',   '-',   '-',   'all', 'all', NULL),
    ('daily_balances',          '-',   '-',   '-',   'all', 'all', NULL),
    ('ledger_chain',            '-',   '-',   '-',   'all', 'all', NULL),
    ('ledger_chain_steps',      '-',   '-',   '-',   'all', 'all', NULL),
    ('gateway_statements',      '-',   '-',   '-',   'all', '-',   NULL),
    ('gateway_statement_lines', '-',   '-',   '-',   'all', '-',   NULL),
    ('gateway_statement_faults', '-',  '-',   '-',   'all', '-',   NULL),
    ('gateway_decisions',       '-',   '-',   '-',   'all', '-',   NULL),
    ('fraud_rules',             '-',   '-',   '-',   'all', 'all', NULL),
    ('fraud_rules_now',         '-',   '-',   '-',   'all', 'all', NULL),
    ('fraud_signals',           '-',   '-',   '-',   'all', '-',   NULL),
    ('fraud_watch',             '-',   '-',   '-',   '-',   '-',   NULL),
    ('fraud_figures',           '-',   '-',   '-',   '-',   '-',   NULL),
    ('fraud_failures',          '-',   '-',   '-',   '-',   '-',   NULL);
SELECT t.name AS not_stated_here FROM rights.tables t WHERE NOT EXISTS (SELECT FROM rights.stated s WHERE s.name = t.name) ORDER BY 1;

-- Money of everybody: wallets, entries, holds, a withdrawal.
SELECT count(hail.post_transaction('deposit', ARRAY[ROW((hail.open_account('GATEWAY_CLEARING', NULL, 'XAR')).id, 'debit', 1000),
           ROW((hail.open_account(CASE WHEN n IN (3, 4) THEN 'DRIVER_WALLET' ELSE 'CUSTOMER_WALLET' END, rights.who(n), 'XAR')).id, 'credit', 1000)]::hail.entry_input[],
           'rights ' || n)) AS deposits FROM generate_series(1, 5) n;
SELECT count(hail.hold(a.id, 10, 'rights hold ' || a.id)) AS holds FROM hail.accounts a WHERE a.currency = 'XAR' AND NOT a.is_system;

-- What each caller sees of each table, counted by the caller itself; and whether it may write: it tries.
CREATE TABLE rights.actors (n integer, actor text, id uuid, session_as text, token text);
INSERT INTO rights.actors SELECT n, role, rights.who(n::integer), 'hail_front', hail.issue_token(rights.who(n::integer), '1 hour')
    FROM unnest('{customer,other customer,driver,other driver,partner,analyst,admin}'::text[]) WITH ORDINALITY AS u (role, n);
INSERT INTO rights.actors VALUES (8, 'front', NULL, 'hail_front', NULL), (9, 'customer without a token', NULL, 'hail_customer', NULL),
    (10, 'driver without a token', NULL, 'hail_driver', NULL), (11, 'analyst without a token', NULL, 'hail_analyst', NULL), (12, 'nobody', NULL, 'rights_nobody', NULL);
CREATE TABLE rights.seen (actor integer, name text, verb text, outcome text);
GRANT ALL ON rights.seen TO PUBLIC;
CREATE FUNCTION rights.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE statement INTO n;
    RAISE EXCEPTION USING ERRCODE = 'P0099', MESSAGE = coalesce(n::text, 'written');
EXCEPTION WHEN SQLSTATE 'P0099' THEN
    RETURN SQLERRM;
WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE FUNCTION rights.look(actor integer, tables text[], columns text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO rights.seen
    SELECT actor, t.name, v.verb, rights.try(format(v.statement, t.name, t.col))
    FROM unnest(tables, columns) AS t (name, col),
         (VALUES ('SELECT', 'SELECT count(*) FROM hail.%1$I'), ('INSERT', 'INSERT INTO hail.%1$I DEFAULT VALUES'), ('UPDATE', 'UPDATE hail.%1$I SET %2$I = %2$I'),
                 ('DELETE', 'DELETE FROM hail.%1$I'), ('TRUNCATE', 'TRUNCATE hail.%1$I'), ('MERGE', 'MERGE INTO hail.%1$I x USING (VALUES (1)) v ON true WHEN MATCHED THEN DELETE')) AS v (verb, statement) $$;
\o /dev/null
\set ECHO none
SELECT format('BEGIN; SET LOCAL SESSION AUTHORIZATION %I; %s SELECT rights.look(%s, %L, %L); COMMIT', a.session_as,
              coalesce('SELECT hail.authenticate(' || quote_literal(a.token) || ');', ''), a.n, t.names, t.columns)
FROM rights.actors a, (SELECT array_agg(t.name ORDER BY t.name) AS names,
                              array_agg((SELECT attname FROM pg_attribute WHERE attrelid = t.oid AND attnum > 0 AND attidentity = '' ORDER BY attnum LIMIT 1) ORDER BY t.name) AS columns FROM rights.tables t) AS t
ORDER BY a.n \gexec
\set ECHO all
\o
-- What is there, and what is one's own, counted by somebody who sees everything.
CREATE FUNCTION rights.rows_of(name text, condition text, caller uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM hail.%I WHERE %s', name, condition) INTO n USING caller;
    RETURN n;
END $$;
SELECT count(*) = count(DISTINCT (actor, name, verb)) AND count(DISTINCT actor) = 12 AND count(DISTINCT verb) = 6
       AND count(DISTINCT name) = (SELECT count(*) FROM rights.tables) AS everything_tried FROM rights.seen;
CREATE VIEW rights.compared AS
    SELECT a.actor, s.name, v.stated, s.outcome AS seen,
           CASE v.stated WHEN 'all' THEN rights.rows_of(s.name, '$1 IS NOT DISTINCT FROM $1', a.id) WHEN 'own' THEN rights.rows_of(s.name, w.mine, a.id) ELSE '42501' END AS expected
    FROM rights.seen s JOIN rights.actors a ON a.n = s.actor JOIN rights.stated w ON w.name = s.name,
         LATERAL (SELECT CASE replace(a.actor, 'other ', '') WHEN 'customer' THEN w.customer WHEN 'driver' THEN w.driver WHEN 'partner' THEN w.partner
                                                              WHEN 'admin' THEN w.admin WHEN 'analyst' THEN w.analyst ELSE '-' END AS stated) AS v
    WHERE s.verb = 'SELECT';
-- Those without a token, of a role that may read: nothing, or nothing at all.
SELECT actor, name, stated, seen, expected FROM rights.compared
WHERE seen <> expected AND NOT (actor LIKE '% without a token' AND seen = '0') ORDER BY 1, 2;
-- That it is about something: what one customer sees is not what the other sees, and less than all.
SELECT name, string_agg(actor || ' ' || seen, ', ' ORDER BY actor) AS seen FROM rights.compared
WHERE name IN ('accounts', 'ledger_entries', 'holds') AND actor IN ('customer', 'other customer', 'driver', 'other driver', 'partner') GROUP BY 1 ORDER BY 1;
-- Whoever it is, nothing can be written.
SELECT a.actor, s.name, s.verb, s.outcome FROM rights.seen s JOIN rights.actors a ON a.n = s.actor WHERE s.verb <> 'SELECT' AND s.outcome <> '42501'
  AND NOT (s.name = 'fraud_rules_now' AND s.outcome IN ('55000', '0A000', '42809')) ORDER BY 1, 2, 3; -- a view that can't be written at all
SELECT t.name, r.rolname, p.privilege FROM rights.tables t, pg_roles r, unnest('{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p (privilege)
WHERE r.rolname ~ '^hail_(customer|driver|admin|partner|analyst|front)$'
  AND CASE WHEN p.privilege IN ('INSERT', 'UPDATE', 'REFERENCES') THEN has_any_column_privilege(r.oid, t.oid, p.privilege) ELSE has_table_privilege(r.oid, t.oid, p.privilege) END;
-- Columns that only administrators see, where analysts and owners see the table.
SELECT t.name, a.attname, string_agg(substr(r.rolname, 6), ' ' ORDER BY r.rolname) AS read_by FROM rights.tables t
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped, pg_roles r
WHERE a.attname ~ 'secret|payload|destination|account_number|card|signature' AND r.rolname ~ '^hail_(customer|driver|partner|analyst|front)$'
  AND has_column_privilege(r.oid, t.oid, a.attnum, 'SELECT') GROUP BY 1, 2 ORDER BY 1, 2;

-- Which administrator acted and what the gateway takes are not for payers; words, and customers beside their trips, are not for analysts.
SELECT t.name, a.attname, r.rolname FROM rights.tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0, pg_roles r
WHERE has_column_privilege(r.oid, t.oid, a.attnum, 'SELECT')
  AND (r.rolname ~ '^hail_(customer|driver|partner)$' AND (a.attname ~ '^(settled|requested|decided|resolved)_by$' OR t.name = 'payment_intents' AND a.attname = 'fee')
       OR r.rolname = 'hail_analyst' AND (t.name IN ('payment_intents', 'payment_refunds', 'trip_payments', 'withdrawals') AND a.attname ~ '^(reason|failure|.*_by)$'
                                          OR t.name IN ('trip_payments', 'promotion_uses') AND a.attname IN ('customer_id', 'driver_id'))) ORDER BY 1, 2, 3;

-- Functions, too, by the order of the installation. Nobody but administrators (and analysts, who look) may execute what asks for one.
CREATE VIEW rights.functions AS
    SELECT p.oid, p.oid::regprocedure::text AS function, p.proname::text AS name, p.prosrc,
           ARRAY(SELECT substr(a.grantee::regrole::text, 6) FROM aclexplode(p.proacl) a WHERE a.grantee <> p.proowner AND a.privilege_type = 'EXECUTE' ORDER BY 1) AS roles
    FROM pg_proc p WHERE p.pronamespace = 'hail'::regnamespace AND p.oid > 'hail.account_kinds'::regclass AND p.oid < 'hail.events'::regclass;
SELECT function, roles FROM rights.functions WHERE prosrc ~ '^\s*(DECLARE.*?)?BEGIN\s+PERFORM hail\.require_admin\(\)' AND NOT roles <@ '{admin}' ORDER BY 1;
SELECT function, roles FROM rights.functions
WHERE name ~ '^(post_transactions?|reverse_transaction|open_account|hold|capture|release|approve_withdrawal|reject_withdrawal|decide_fraud_signal|set_fraud_rule|list_fraud_signals)$'
  AND roles <> '{admin}' ORDER BY 1;
-- What moves money by itself is granted to nobody.
SELECT function, roles FROM rights.functions
WHERE name ~ '^(post_template|place_hold|release_hold|settle_trip|hold_trip_fare|change_trip_hold|release_trip_fare|charge_cancellation|begin_charge|ensure_account|expire_holds|fold_accounts|watch_money|raise_fraud_signal|fraud_check_withdrawal|on_fraud_hold|trip_charge_succeeded|trip_charge_failed|hold_withdrawal|lock_payee|lock_withdrawal|exact_posted|ledger_guard.*|ledger_note.*)$'
  AND cardinality(roles) > 0 ORDER BY 1;
-- The front, as itself: what it needs before it knows who is calling, and webhooks.
SELECT function FROM rights.functions WHERE 'front' = ANY (roles) AND name !~ '^(receive_gateway_event|made_now)' ORDER BY 1;
SELECT count(*) > 40 AS many FROM rights.functions;

DROP OWNED BY rights_nobody;
DROP SCHEMA rights CASCADE;
DROP ROLE rights_nobody;
RESET client_min_messages;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
