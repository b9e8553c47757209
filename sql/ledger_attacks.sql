-- Attacks on the ledger by direct SQL, each tried by everybody there is. Each runs in a session of its own kind and is
-- committed for real: what must be refused is refused, and the books say afterwards what they said before.
SELECT hail.set_clock('2026-03-07 09:00+00');
SET client_min_messages = warning;
CREATE SCHEMA attack;
CREATE EXTENSION dblink SCHEMA attack;
CREATE SCHEMA attack_play;
GRANT USAGE, CREATE ON SCHEMA attack_play TO PUBLIC;
GRANT USAGE ON SCHEMA attack TO PUBLIC;
CREATE ROLE attack_nobody;
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XAA', 2, 1), ('XAB', 2, 1);
INSERT INTO hail.users (id, name, role) VALUES
    ('a77ac000-0000-7000-8000-000000000001', 'Attacked', 'customer'), ('a77ac000-0000-7000-8000-000000000002', 'Attacker', 'customer'),
    ('a77ac000-0000-7000-8000-000000000003', 'Attack Driver', 'driver'), ('a77ac000-0000-7000-8000-000000000004', 'Attack Partner', 'partner'),
    ('a77ac000-0000-7000-8000-000000000005', 'Attack Analyst', 'analyst'), ('a77ac000-0000-7000-8000-000000000009', 'Attack Admin', 'admin');
-- Something to attack: wallets with money, one with a hold, a folded account.
SELECT (hail.open_account('GATEWAY_CLEARING', NULL, 'XAA')).id AS gateway, (hail.open_account('PLATFORM_REVENUE', NULL, 'XAA')).id AS revenue,
       (hail.open_account('CUSTOMER_WALLET', 'a77ac000-0000-7000-8000-000000000001', 'XAA')).id AS wallet,
       (hail.open_account('CUSTOMER_WALLET', 'a77ac000-0000-7000-8000-000000000002', 'XAA')).id AS other,
       (hail.open_account('DRIVER_WALLET', 'a77ac000-0000-7000-8000-000000000003', 'XAA')).id AS driver \gset
SELECT (hail.post_transaction('deposit', ARRAY[ROW(:'gateway', 'debit', 3000), ROW(:'wallet', 'credit', 1000), ROW(:'other', 'credit', 1000),
                                               ROW(:'driver', 'credit', 1000)]::hail.entry_input[], 'attack-deposit')).id AS transaction \gset
SELECT (hail.post_transaction('fee', ARRAY[ROW(:'wallet', 'debit', 100), ROW(:'revenue', 'credit', 100)]::hail.entry_input[], 'attack-fee')).kind;
SELECT (hail.hold(:'wallet', 50, 'attack-hold')).id AS hold \gset
SELECT (hail.hold(:'wallet', 60, 'attack-released')).id AS released \gset
SELECT status FROM hail.release(:'released');
SELECT max(hail.fold_accounts()) > 0 AS folded FROM generate_series(1, 10);

-- What the books say. One line for everything that may not move.
CREATE FUNCTION attack.books() RETURNS text LANGUAGE sql AS $$
    SELECT md5(concat_ws('|',
        (SELECT string_agg(a::text, ',' ORDER BY a.id) FROM hail.accounts a),
        (SELECT string_agg(h::text, ',' ORDER BY h.id) FROM hail.holds h),
        (SELECT string_agg(t::text, ',' ORDER BY t.id) FROM hail.ledger_transactions t),
        (SELECT string_agg(e::text, ',' ORDER BY e.id) FROM hail.ledger_entries e))) $$;

-- Who attacks, and how they come in: what opens their session, what begins their transaction.
CREATE TABLE attack.actors (n integer, actor text, session_as text, begin_with text);
INSERT INTO attack.actors VALUES (1, 'hail_owner', 'hail_owner', ''), (2, 'hail_admin', 'hail_admin', ''), (8, 'hail_front', 'hail_front', ''),
    (9, 'nobody', 'attack_nobody', '');
INSERT INTO attack.actors
SELECT 2 + row_number() OVER (ORDER BY u.id), u.role, 'hail_front', format('SELECT hail.authenticate(%L);', hail.issue_token(u.id, '1 hour'))
FROM hail.users u WHERE u.id IN ('a77ac000-0000-7000-8000-000000000002', 'a77ac000-0000-7000-8000-000000000003',
    'a77ac000-0000-7000-8000-000000000004', 'a77ac000-0000-7000-8000-000000000005', 'a77ac000-0000-7000-8000-000000000009');

CREATE TABLE attack.attacks (n integer GENERATED ALWAYS AS IDENTITY, attack text, statement text);
CREATE TABLE attack.results (n integer, actor integer, outcome text);
-- How a statement ended that a session sent, in the words of the error registry.
CREATE FUNCTION attack.send(connection text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    PERFORM attack.dblink_exec(connection, statement);
    RETURN 'passed';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
    RETURN coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state) || ': ' || regexp_replace(SQLERRM, '[0-9a-f]{8}-[-0-9a-f]{27}|_[0-9]{4,}', '<id>', 'g');
END $$;
-- Not a word to the ledger's tables from here: a lock of ours would stop a TRUNCATE of theirs.
CREATE FUNCTION attack.run() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    here text := format('dbname=%s host=%s port=%s user=%s', current_database(), current_setting('unix_socket_directories'),
                        current_setting('port'), current_user);
    actor record; a record; books text; now_books text; ended text;
BEGIN
    PERFORM attack.dblink_connect('watch', here);
    SELECT b INTO books FROM attack.dblink('watch', 'SELECT attack.books()') AS t (b text);
    FOR actor IN SELECT * FROM attack.actors ORDER BY n LOOP
        PERFORM attack.dblink_connect('attack', here);
        PERFORM attack.dblink_exec('attack', 'SET client_min_messages = error; SET statement_timeout = ''10s''');
        PERFORM attack.dblink_exec('attack', 'SET SESSION AUTHORIZATION ' || actor.session_as);
        FOR a IN SELECT * FROM attack.attacks ORDER BY n LOOP
            ended := attack.send('attack', format('BEGIN; %s %s; COMMIT', actor.begin_with, a.statement));
            PERFORM attack.dblink_exec('attack', 'ROLLBACK');
            IF actor.n = 1 OR ended = 'passed' THEN
                SELECT b INTO now_books FROM attack.dblink('watch', 'SELECT attack.books()') AS t (b text);
                ended := CASE WHEN books <> now_books THEN 'THE BOOKS ARE CHANGED: ' || ended WHEN ended = 'passed' THEN 'nothing' ELSE ended END;
            END IF;
            INSERT INTO attack.results VALUES (a.n, actor.n, ended);
        END LOOP;
        PERFORM attack.dblink_disconnect('attack');
    END LOOP;
    PERFORM attack.dblink_disconnect('watch');
END $$;

SELECT set_config('attack.w', :'wallet', false) IS NOT NULL AND set_config('attack.o', :'other', false) IS NOT NULL
   AND set_config('attack.r', :'revenue', false) IS NOT NULL AND set_config('attack.g', :'gateway', false) IS NOT NULL
   AND set_config('attack.t', :'transaction', false) IS NOT NULL AND set_config('attack.h', :'hold', false) IS NOT NULL
   AND set_config('attack.x', :'released', false) IS NOT NULL AS targets;
-- $W a wallet, $O another one, $R and $G system accounts, $T a transaction, $H an open hold, $X a released one;
-- $ENTRY, $TRANSACTION: the columns a row needs.
CREATE FUNCTION attack.fill(statement text) RETURNS text LANGUAGE sql AS $$
    SELECT replace(replace(replace(replace(replace(replace(replace(replace(replace(statement,
        '$ENTRY', 'hail.ledger_entries (transaction_id, account_id, amount, direction, currency, created_at)'),
        '$TRANSACTION', 'hail.ledger_transactions (kind, principal, idempotency_key, effective_at, created_at)'),
        '$W', quote_literal(current_setting('attack.w'))), '$O', quote_literal(current_setting('attack.o'))),
        '$R', quote_literal(current_setting('attack.r'))), '$G', quote_literal(current_setting('attack.g'))),
        '$T', quote_literal(current_setting('attack.t'))), '$H', quote_literal(current_setting('attack.h'))),
        '$X', quote_literal(current_setting('attack.x'))) $$;
INSERT INTO attack.attacks (attack, statement) SELECT name, attack.fill(statement) FROM (VALUES
-- Rows put in by hand.
('entry added to an old transaction', $$INSERT INTO $ENTRY VALUES ($T, $R, 5, 'credit', 'XAA', now())$$),
('balanced entries added to an old transaction', $$INSERT INTO $ENTRY VALUES ($T, $R, 5, 'credit', 'XAA', now()), ($T, $W, 5, 'debit', 'XAA', now())$$),
('entry of an amount that overflows', $$INSERT INTO $ENTRY VALUES ($T, $R, 9223372036854775807, 'credit', 'XAA', now())$$),
('entry that belongs to no transaction', $$INSERT INTO $ENTRY VALUES (hail.uuid7(), $R, 5, 'credit', 'XAA', now())$$),
('transaction without entries', $$INSERT INTO $TRANSACTION VALUES ('x', 'system', 'attack', now(), now())$$),
('transaction with one entry, in a CTE', $$WITH t AS (INSERT INTO $TRANSACTION VALUES ('x', 'system', 'attack', now(), now()) RETURNING id) INSERT INTO $ENTRY SELECT id, $R, 5, 'credit', 'XAA', now() FROM t$$),
('balanced transaction, in a CTE', $$WITH t AS (INSERT INTO $TRANSACTION VALUES ('x', 'system', 'attack', now(), now()) RETURNING id) INSERT INTO $ENTRY SELECT id, a::uuid, 5, d, 'XAA', now() FROM t, (VALUES ($R, 'credit'), ($G, 'debit')) v (a, d)$$),
('transaction that reverses', $$INSERT INTO hail.ledger_transactions SELECT (jsonb_populate_record(t, jsonb_build_object('id', hail.uuid7(), 'idempotency_key', 'attack', 'reverses', t.id))).* FROM hail.ledger_transactions t WHERE id = $T$$),
('transaction id used again', $$INSERT INTO hail.ledger_transactions SELECT * FROM hail.ledger_transactions WHERE id = $T$$),
('transaction ON CONFLICT DO UPDATE', $$INSERT INTO hail.ledger_transactions SELECT * FROM hail.ledger_transactions WHERE id = $T ON CONFLICT (id) DO UPDATE SET kind = 'x'$$),
('entry ON CONFLICT DO UPDATE', $$INSERT INTO hail.ledger_entries OVERRIDING SYSTEM VALUE SELECT * FROM hail.ledger_entries WHERE transaction_id = $T ON CONFLICT DO NOTHING$$),
('account ON CONFLICT DO UPDATE', $$INSERT INTO hail.accounts (id, kind, owner_id, currency, is_system) SELECT id, kind, owner_id, currency, is_system FROM hail.accounts WHERE id = $W ON CONFLICT (id) DO UPDATE SET posted = 1000000$$),
('account opened with money', $$INSERT INTO hail.accounts (kind, currency, is_system, posted) VALUES ('PROMOTIONS', 'XAB', true, 1)$$),
('wallet opened with money', $$INSERT INTO hail.accounts (kind, owner_id, currency, is_system, posted) VALUES ('CUSTOMER_WALLET', 'a77ac000-0000-7000-8000-000000000002', 'XAB', false, 1)$$),
('wallet opened with a hold', $$INSERT INTO hail.accounts (kind, owner_id, currency, is_system, held) VALUES ('CUSTOMER_WALLET', 'a77ac000-0000-7000-8000-000000000002', 'XAB', false, 1)$$),
('account opened as folded', $$INSERT INTO hail.accounts (kind, currency, is_system, folded_xid) VALUES ('PROMOTIONS', 'XAB', true, '99999999')$$),
('hold by hand', $$INSERT INTO hail.holds (account_id, amount, principal, idempotency_key, created_at) VALUES ($W, 1, 'system', 'attack', now())$$),
('hold by hand, resolved', $$INSERT INTO hail.holds SELECT (jsonb_populate_record(h, jsonb_build_object('id', hail.uuid7(), 'idempotency_key', 'attack'))).* FROM hail.holds h WHERE id = $X$$),
('COPY FROM PROGRAM', $$COPY hail.ledger_entries FROM PROGRAM 'true'$$),
('COPY FROM a file', $$COPY hail.holds FROM '/dev/null'$$),
('COPY FREEZE', $$COPY hail.accounts FROM '/dev/null' WITH (FREEZE)$$),
-- Rows changed.
('amount of an entry', $$UPDATE hail.ledger_entries SET amount = amount + 1 WHERE transaction_id = $T$$),
('all amounts of a transaction', $$UPDATE hail.ledger_entries SET amount = amount * 2 WHERE transaction_id = $T$$),
('directions swapped', $$UPDATE hail.ledger_entries SET direction = CASE direction WHEN 'debit' THEN 'credit' ELSE 'debit' END$$),
('entry moved to another account', $$UPDATE hail.ledger_entries SET account_id = $O WHERE account_id = $W$$),
('entry moved to another transaction', $$UPDATE hail.ledger_entries SET transaction_id = $T WHERE account_id = $R$$),
('entry renumbered', $$UPDATE hail.ledger_entries SET id = DEFAULT WHERE transaction_id = $T$$),
('currency of an entry', $$UPDATE hail.ledger_entries SET currency = 'XAB' WHERE transaction_id = $T$$),
('balance after an entry', $$UPDATE hail.ledger_entries SET balance_after = NULL WHERE account_id = $W$$),
('entry made younger', $$UPDATE hail.ledger_entries SET xid = pg_current_xact_id() WHERE account_id = $R$$),
('entry changed by ctid', $$UPDATE hail.ledger_entries SET amount = 1 WHERE ctid = (SELECT ctid FROM hail.ledger_entries LIMIT 1)$$),
('UPDATE that changes nothing', $$UPDATE hail.ledger_entries SET amount = amount WHERE transaction_id = $T$$),
('kind of a transaction', $$UPDATE hail.ledger_transactions SET kind = 'x' WHERE id = $T$$),
('keys freed', $$UPDATE hail.ledger_transactions SET idempotency_key = idempotency_key || '-gone'$$),
('effective time of a transaction', $$UPDATE hail.ledger_transactions SET effective_at = '2020-01-01' WHERE id = $T$$),
('transaction marked as a reversal', $$UPDATE hail.ledger_transactions SET reverses = hail.uuid7() WHERE id = $T$$),
('transaction renumbered', $$UPDATE hail.ledger_transactions SET id = hail.uuid7() WHERE id = $T$$),
('posted raised', $$UPDATE hail.accounts SET posted = posted + 100 WHERE id = $W$$),
('posted moved between accounts', $$UPDATE hail.accounts SET posted = posted + CASE id WHEN $W THEN 100 ELSE -100 END WHERE id IN ($W, $R)$$),
('posted to its limit', $$UPDATE hail.accounts SET posted = 9223372036854775807 WHERE id = $R$$),
('held forgotten', $$UPDATE hail.accounts SET held = 0 WHERE id = $W$$),
('floor lowered', $$UPDATE hail.accounts SET floor = -1000000 WHERE id = $W$$),
('floor taken away', $$UPDATE hail.accounts SET floor = NULL WHERE id = $W$$),
('folding turned back', $$UPDATE hail.accounts SET folded_xid = '0' WHERE id = $R$$),
('folding without posting', $$UPDATE hail.accounts SET folded_xid = '99999999' WHERE id = $R$$),
('wallet given to another', $$UPDATE hail.accounts SET owner_id = 'a77ac000-0000-7000-8000-000000000009' WHERE id = $W$$),
('wallet made a system account', $$UPDATE hail.accounts SET is_system = true, owner_id = NULL, floor = NULL, held = 0 WHERE id = $W$$),
('currency of an account', $$UPDATE hail.accounts SET currency = 'XAB' WHERE id = $W$$),
('kind of an account', $$UPDATE hail.accounts SET kind = 'DRIVER_WALLET' WHERE id = $W$$),
('account renumbered', $$UPDATE hail.accounts SET id = hail.uuid7() WHERE id = $W$$),
('released hold opened again', $$UPDATE hail.holds SET status = 'held', resolved_at = NULL WHERE id = $X$$),
('hold made smaller', $$UPDATE hail.holds SET amount = 1 WHERE id = $H$$),
('hold released by hand', $$UPDATE hail.holds SET status = 'released', resolved_at = now() WHERE id = $H$$),
('hold captured by hand', $$UPDATE hail.holds SET status = 'captured', captured = amount, resolved_at = now() WHERE id = $H$$),
('hold moved to another wallet', $$UPDATE hail.holds SET account_id = $O WHERE id = $H$$),
-- Rows removed.
('entries of a transaction deleted', $$DELETE FROM hail.ledger_entries WHERE transaction_id = $T$$),
('all entries deleted', $$DELETE FROM hail.ledger_entries$$),
('transaction deleted', $$DELETE FROM hail.ledger_transactions WHERE id = $T$$),
('transaction and entries deleted in one statement', $$WITH e AS (DELETE FROM hail.ledger_entries WHERE transaction_id = $T) DELETE FROM hail.ledger_transactions WHERE id = $T$$),
('account deleted', $$DELETE FROM hail.accounts WHERE id = $O$$),
('hold deleted', $$DELETE FROM hail.holds WHERE id = $X$$),
('holds deleted and put back', $$WITH gone AS (DELETE FROM hail.holds RETURNING *) INSERT INTO hail.holds SELECT * FROM gone$$),
('owner of wallets deleted', $$DELETE FROM hail.users WHERE id = 'a77ac000-0000-7000-8000-000000000001'$$),
('entries truncated', $$TRUNCATE hail.ledger_entries$$),
('entries truncated, numbers again', $$TRUNCATE hail.ledger_entries RESTART IDENTITY$$),
('entries truncated by ONLY', $$TRUNCATE ONLY hail.ledger_entries$$),
('transactions truncated, cascading', $$TRUNCATE hail.ledger_transactions CASCADE$$),
('everything truncated', $$TRUNCATE hail.accounts, hail.ledger_entries, hail.ledger_transactions, hail.holds CASCADE$$),
('holds truncated', $$TRUNCATE hail.holds$$),
('users truncated, cascading', $$TRUNCATE hail.users CASCADE$$),
-- MERGE, cursors, savepoints, constraints, blocks that swallow errors, two phases.
('MERGE that updates an account', $$MERGE INTO hail.accounts a USING (VALUES (1)) v ON a.id = $W WHEN MATCHED THEN UPDATE SET posted = 1000000$$),
('MERGE that deletes entries', $$MERGE INTO hail.ledger_entries e USING (VALUES (1)) v ON e.transaction_id = $T WHEN MATCHED THEN DELETE$$),
('MERGE that inserts a transaction', $$MERGE INTO hail.ledger_transactions t USING (VALUES (1)) v ON t.idempotency_key = 'attack' WHEN NOT MATCHED THEN INSERT (kind, principal, idempotency_key, effective_at, created_at) VALUES ('x', 'system', 'attack', now(), now())$$),
('MERGE that closes a hold', $$MERGE INTO hail.holds h USING (VALUES (1)) v ON h.id = $H WHEN MATCHED THEN UPDATE SET status = 'released', resolved_at = now()$$),
('cursor, WHERE CURRENT OF', $$DECLARE c CURSOR FOR SELECT * FROM hail.accounts WHERE id = $W FOR UPDATE; FETCH c; UPDATE hail.accounts SET posted = 1 WHERE CURRENT OF c$$),
('cursor that deletes', $$DECLARE c CURSOR FOR SELECT * FROM hail.ledger_entries; FETCH c; DELETE FROM hail.ledger_entries WHERE CURRENT OF c$$),
('released savepoint', $$SAVEPOINT s; UPDATE hail.accounts SET posted = 1 WHERE id = $W; RELEASE s$$),
('nested savepoints', $$SAVEPOINT a; SAVEPOINT b; INSERT INTO $ENTRY VALUES ($T, $R, 5, 'credit', 'XAA', now()); RELEASE b; RELEASE a$$),
('savepoint rolled back to, then again', $$SAVEPOINT a; ROLLBACK TO a; INSERT INTO $ENTRY VALUES ($T, $R, 5, 'credit', 'XAA', now()); RELEASE a$$),
('block that swallows the error', $$DO $do$ BEGIN UPDATE hail.accounts SET posted = 1 WHERE id = $W; EXCEPTION WHEN OTHERS THEN NULL; END $do$ $$),
('block that swallows the error of an entry', $$DO $do$ BEGIN INSERT INTO $ENTRY VALUES ($T, $R, 5, 'credit', 'XAA', now()); EXCEPTION WHEN OTHERS THEN NULL; END $do$ $$),
('constraints immediate', $$SET CONSTRAINTS ALL IMMEDIATE; UPDATE hail.accounts SET posted = posted + 100 WHERE id = $W$$),
('constraints deferred', $$SET CONSTRAINTS ALL DEFERRED; INSERT INTO $ENTRY VALUES ($T, $R, 5, 'credit', 'XAA', now())$$),
('prepared transaction', $$UPDATE hail.holds SET amount = 1 WHERE id = $H; PREPARE TRANSACTION 'attack'$$),
('prepared statement', $$PREPARE p AS UPDATE hail.accounts SET posted = 1 WHERE id = $W; EXECUTE p; DEALLOCATE p$$),
('row locked, nothing else', $$SELECT FROM hail.accounts WHERE id = $W FOR UPDATE$$),
('table locked against postings', $$LOCK TABLE hail.ledger_entries IN SHARE ROW EXCLUSIVE MODE$$),
-- Views, functions, temporary objects of one's own.
('view over accounts', $$CREATE VIEW attack_play.v AS SELECT * FROM hail.accounts; UPDATE attack_play.v SET posted = 1 WHERE id = $W$$),
('security barrier view over entries', $$CREATE VIEW attack_play.v WITH (security_barrier) AS SELECT * FROM hail.ledger_entries; DELETE FROM attack_play.v$$),
('view with a rule', $$CREATE VIEW attack_play.v AS SELECT 1 AS x; CREATE RULE r AS ON UPDATE TO attack_play.v DO INSTEAD UPDATE hail.accounts SET posted = NEW.x WHERE id = $W; UPDATE attack_play.v SET x = 5$$),
('view with an INSTEAD OF trigger', $$CREATE VIEW attack_play.v AS SELECT 1 AS x; CREATE FUNCTION attack_play.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM hail.ledger_entries; RETURN NEW; END'; CREATE TRIGGER t INSTEAD OF UPDATE ON attack_play.v FOR EACH ROW EXECUTE FUNCTION attack_play.f(); UPDATE attack_play.v SET x = 5$$),
('function as its definer', $$CREATE FUNCTION attack_play.f() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE hail.accounts SET posted = 1'; SELECT attack_play.f()$$),
('temporary table of the same name', $$CREATE TEMP TABLE accounts AS SELECT 1 AS id; SET LOCAL search_path = pg_temp, hail; UPDATE hail.accounts SET held = 0 WHERE id = $W$$),
('guards called as functions', $$SELECT hail.ledger_guard_append()$$),
('notes called as functions', $$SELECT hail.ledger_note_entry()$$),
('guards hung onto a table of one''s own', $$CREATE TABLE attack_play.t (id uuid, transaction_id uuid, account_id uuid, amount bigint, direction text, currency text, balance_after bigint); CREATE TRIGGER t AFTER INSERT ON attack_play.t FOR EACH ROW EXECUTE FUNCTION hail.ledger_note_entry(); INSERT INTO attack_play.t VALUES (hail.uuid7(), $T, $W, 5, 'credit', 'XAA', 5)$$),
('guards on a table without their columns', $$CREATE TABLE attack_play.t (x integer); CREATE TRIGGER t AFTER INSERT ON attack_play.t FOR EACH ROW EXECUTE FUNCTION hail.ledger_note_entry(); INSERT INTO attack_play.t VALUES (1)$$),
-- Switches and catalogs.
('replica triggers', $$SET session_replication_role = replica; UPDATE hail.accounts SET posted = 1 WHERE id = $W$$),
('row security off', $$SET LOCAL row_security = off; UPDATE hail.accounts SET posted = 1 WHERE id = $W$$),
('another role', $$SET LOCAL ROLE postgres; UPDATE hail.accounts SET posted = 1 WHERE id = $W$$),
('the owner''s role', $$SET LOCAL ROLE hail_owner; UPDATE hail.accounts SET posted = 1 WHERE id = $W$$),
('trigger switched off in the catalog', $$UPDATE pg_catalog.pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'hail.accounts'::regclass$$),
('row security switched off in the catalog', $$UPDATE pg_catalog.pg_class SET relrowsecurity = false WHERE oid = 'hail.accounts'::regclass$$),
('guard replaced in the catalog', $$UPDATE pg_catalog.pg_proc SET prosrc = 'now' WHERE proname LIKE 'ledger%'$$),
('event trigger', $$CREATE FUNCTION attack_play.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER attack ON ddl_command_start EXECUTE FUNCTION attack_play.f()$$),
('library loaded', $$LOAD 'plpgsql_check'$$),
('table taken out of the extension', $$ALTER EXTENSION pg_hail DROP TABLE hail.holds$$),
('extension dropped', $$DROP EXTENSION pg_hail CASCADE$$),
('entries dropped', $$DROP TABLE hail.ledger_entries$$),
('entries dropped, cascading', $$DROP TABLE hail.ledger_entries CASCADE$$),
('guards dropped', $$DROP FUNCTION hail.ledger_guard_append() CASCADE$$),
('schema dropped', $$DROP SCHEMA hail CASCADE$$),
('a second session', $$SELECT attack.dblink_exec('dbname=hail', 'UPDATE hail.accounts SET posted = 1')$$)
) AS t (name, statement);
SELECT attack.run();

-- The owner of the tables has the last word on nothing.
SELECT a.n, a.attack, r.outcome AS hail_owner FROM attack.attacks a JOIN attack.results r ON r.n = a.n AND r.actor = 1 ORDER BY a.n;
-- Everybody else: refused for want of rights, but for what is listed. "nothing" is a statement that passed and changed nothing.
SELECT a.n, a.attack, string_agg(c.actor, ', ' ORDER BY c.n) AS actors, r.outcome
FROM attack.attacks a JOIN attack.results r ON r.n = a.n JOIN attack.actors c ON c.n = r.actor
WHERE c.n > 1 AND r.outcome NOT LIKE '42501: permission denied for %' AND r.outcome NOT LIKE '42501: must be owner of %'
GROUP BY a.n, a.attack, r.outcome ORDER BY a.n, r.outcome;
SELECT count(*) AS attacks, count(DISTINCT actor) AS actors, count(DISTINCT n) AS different, count(*) FILTER (WHERE outcome = 'nothing') AS without_effect,
       count(*) FILTER (WHERE outcome LIKE '%CHANGED%') AS with_effect FROM attack.results;

-- COPY from the client.
SET ROLE hail_owner;
COPY hail.ledger_entries (transaction_id, account_id, amount, direction, currency, created_at) FROM stdin;
\.
SET ROLE hail_admin;
COPY hail.accounts FROM stdin;
\.
RESET ROLE;

-- A superuser can put rows back (a restore), but change none, and not out of balance; not with replica triggers either.
CREATE FUNCTION attack.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE;
    RETURN coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state);
END $$;
SET session_replication_role = replica;
SELECT attack.try(statement) AS outcome, count(*) FROM attack.attacks
WHERE statement ~ '^(UPDATE|DELETE FROM|TRUNCATE|MERGE.*MATCHED THEN (UPDATE|DELETE)|WITH gone) ?(ONLY )?' AND statement !~ 'pg_catalog|hail.users' GROUP BY 1;
BEGIN;
INSERT INTO hail.ledger_entries (transaction_id, account_id, amount, direction, currency, created_at) VALUES (:'transaction', :'revenue', 5, 'credit', 'XAA', now());
SET CONSTRAINTS ALL IMMEDIATE;
-- The statement passes, the commit must not.
\set VERBOSITY sqlstate
COMMIT;
BEGIN;
SAVEPOINT s;
INSERT INTO hail.ledger_entries (transaction_id, account_id, amount, direction, currency, created_at) VALUES (:'transaction', :'revenue', 5, 'credit', 'XAA', now());
RELEASE s;
PREPARE TRANSACTION 'ledger attack';
\set VERBOSITY default
RESET session_replication_role;

-- What was rolled back to a savepoint does not count, in either direction.
CREATE FUNCTION attack.post(key text, from_account uuid, to_account uuid) RETURNS text LANGUAGE sql AS $$
    SELECT attack.try(format('SELECT hail.post_transaction(%L, %L::hail.entry_input[], %L)', 'test',
        ARRAY[ROW(from_account, 'debit', 5), ROW(to_account, 'credit', 5)]::hail.entry_input[], key)) $$;
BEGIN;
SAVEPOINT s;
INSERT INTO hail.ledger_entries (transaction_id, account_id, amount, direction, currency, created_at) VALUES (:'transaction', :'revenue', 5, 'credit', 'XAA', now());
ROLLBACK TO s;
SELECT attack.post('attack5', :'gateway', :'other');
SAVEPOINT t;
SELECT (hail.reverse_transaction((SELECT id FROM hail.ledger_transactions WHERE idempotency_key = 'attack5' AND principal = 'admin'), 'attack-r5')).kind;
RELEASE t;
COMMIT;
-- A trigger or a rule that the tables' owner hangs onto them does not reach what the ledger writes: each of three postings
-- of 5 is as it was asked for.
CREATE TEMP TABLE before AS SELECT sum(posted) AS posted, (SELECT sum(CASE direction WHEN 'credit' THEN amount ELSE - amount END) FROM hail.ledger_entries WHERE currency = 'XAA') AS entries
FROM hail.accounts WHERE currency = 'XAA' AND NOT is_system;
CREATE FUNCTION attack.twist() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'accounts' THEN
        NEW.posted := NEW.posted + 1000;
    ELSIF NEW.direction = 'credit' THEN
        NEW.amount := NEW.amount * 2;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER zz_twist BEFORE INSERT ON hail.ledger_entries FOR EACH ROW EXECUTE FUNCTION attack.twist();
BEGIN;
SELECT attack.post('attack6', :'gateway', :'revenue');
COMMIT;
DROP TRIGGER zz_twist ON hail.ledger_entries;
CREATE TRIGGER zz_twist BEFORE UPDATE ON hail.accounts FOR EACH ROW EXECUTE FUNCTION attack.twist();
BEGIN;
SELECT attack.post('attack7', :'other', :'revenue');
COMMIT;
DROP TRIGGER zz_twist ON hail.accounts;
CREATE RULE zz_nothing AS ON INSERT TO hail.ledger_entries WHERE NEW.amount = 5 DO INSTEAD NOTHING;
BEGIN;
SELECT attack.post('attack8', :'gateway', :'revenue');
COMMIT;
DROP RULE zz_nothing ON hail.ledger_entries;
SELECT t.idempotency_key, count(*), min(e.amount), max(e.amount) FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id
WHERE t.idempotency_key IN ('attack6', 'attack7', 'attack8') AND t.principal = 'admin' GROUP BY 1 ORDER BY 1;
-- What the tables' owner can do by DDL, and by changing what tables say that are not guarded by triggers: refused, or found by
-- reconciliation (hail.reconcile_guards() is its part).
CREATE TABLE attack.changes (n integer GENERATED ALWAYS AS IDENTITY, change text, statement text, outcome text);
INSERT INTO attack.changes (change, statement) SELECT name, attack.fill(statement) FROM (VALUES
('trigger disabled', $$ALTER TABLE hail.holds DISABLE TRIGGER ledger_note$$),
('user triggers disabled', $$ALTER TABLE hail.accounts DISABLE TRIGGER USER$$),
('all triggers disabled', $$ALTER TABLE hail.accounts DISABLE TRIGGER ALL$$),
('trigger for replicas only', $$ALTER TABLE hail.ledger_entries ENABLE REPLICA TRIGGER ledger_guard$$),
('trigger no longer always', $$ALTER TABLE hail.ledger_entries ENABLE TRIGGER ledger_guard$$),
('trigger dropped', $$DROP TRIGGER ledger_guard ON hail.ledger_entries$$),
('trigger dropped, balance forged', $$DROP TRIGGER ledger_guard ON hail.accounts; UPDATE hail.accounts SET posted = posted + 100 WHERE id = $R$$),
('TRUNCATE trigger dropped', $$DROP TRIGGER ledger_guard_truncate ON hail.holds$$),
('trigger renamed', $$ALTER TRIGGER ledger_guard ON hail.holds RENAME TO no_guard$$),
('trigger replaced', $$CREATE OR REPLACE TRIGGER ledger_guard BEFORE DELETE ON hail.ledger_entries FOR EACH ROW EXECUTE FUNCTION hail.ledger_guard_append()$$),
('guard function replaced', $$CREATE OR REPLACE FUNCTION hail.ledger_guard_append() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'$$),
('guard function given a search path', $$ALTER FUNCTION hail.ledger_guard_hold() SET search_path = public$$),
('guard function renamed', $$ALTER FUNCTION hail.ledger_guard_hold() RENAME TO no_guard$$),
('trigger of one''s own', $$CREATE TRIGGER zz BEFORE INSERT ON hail.holds FOR EACH ROW EXECUTE FUNCTION attack_play.twist()$$),
('constraint trigger of one''s own', $$CREATE CONSTRAINT TRIGGER zz AFTER INSERT ON hail.holds DEFERRABLE FOR EACH ROW EXECUTE FUNCTION attack_play.twist()$$),
('rule that swallows entries', $$CREATE RULE zz AS ON INSERT TO hail.ledger_entries DO INSTEAD NOTHING$$),
('rule that does more', $$CREATE RULE zz AS ON UPDATE TO hail.accounts DO ALSO SELECT 1$$),
('rule that makes a view of a table', $$CREATE RULE "_RETURN" AS ON SELECT TO hail.holds DO INSTEAD SELECT * FROM hail.holds$$),
('table below', $$CREATE TABLE attack_play.below () INHERITS (hail.ledger_entries)$$),
('table above', $$CREATE TABLE attack_play.above (LIKE hail.ledger_entries); ALTER TABLE hail.ledger_entries INHERIT attack_play.above$$),
('made a partition', $$CREATE TABLE attack_play.p (LIKE hail.holds) PARTITION BY LIST (status); ALTER TABLE attack_play.p ATTACH PARTITION hail.holds DEFAULT$$),
('detached', $$ALTER TABLE hail.accounts DETACH PARTITION hail.holds$$),
('unlogged', $$ALTER TABLE hail.holds SET UNLOGGED$$),
('type of a column', $$ALTER TABLE hail.holds ALTER COLUMN captured TYPE integer$$),
('column dropped', $$ALTER TABLE hail.holds DROP COLUMN reference_type$$),
('column dropped that guards need', $$ALTER TABLE hail.ledger_entries DROP COLUMN balance_after CASCADE$$),
('column added', $$ALTER TABLE hail.accounts ADD COLUMN bonus bigint NOT NULL DEFAULT 5$$),
('generated column added', $$ALTER TABLE hail.holds ADD COLUMN twice bigint GENERATED ALWAYS AS (captured * 2) STORED$$),
('column renamed', $$ALTER TABLE hail.accounts RENAME COLUMN posted TO was_posted$$),
('column may be null', $$ALTER TABLE hail.accounts ALTER COLUMN posted DROP NOT NULL$$),
('default changed', $$ALTER TABLE hail.accounts ALTER COLUMN posted SET DEFAULT 100$$),
('default of a hold changed', $$ALTER TABLE hail.holds ALTER COLUMN status SET DEFAULT 'captured'$$),
('identity by default', $$ALTER TABLE hail.ledger_entries ALTER COLUMN id SET GENERATED BY DEFAULT$$),
('identity dropped', $$ALTER TABLE hail.ledger_entries ALTER COLUMN id DROP IDENTITY$$),
('table renamed', $$ALTER TABLE hail.holds RENAME TO no_holds$$),
('table moved', $$ALTER TABLE hail.holds SET SCHEMA attack_play$$),
('CHECK dropped', $$ALTER TABLE hail.holds DROP CONSTRAINT holds_check$$),
('CHECK of a domain dropped', $$ALTER DOMAIN hail.held_amount DROP CONSTRAINT held_amount_check$$),
('key dropped', $$ALTER TABLE hail.holds DROP CONSTRAINT holds_pkey$$),
('unique index dropped', $$DROP INDEX hail.holds_one_per_trip$$),
('unique index added', $$CREATE UNIQUE INDEX zz ON hail.holds (captured, id)$$),
('foreign key ON DELETE CASCADE, used', $$CREATE TABLE attack_play.t (id uuid PRIMARY KEY); INSERT INTO attack_play.t SELECT DISTINCT account_id FROM hail.holds; ALTER TABLE hail.holds ADD FOREIGN KEY (account_id) REFERENCES attack_play.t ON DELETE CASCADE; DELETE FROM attack_play.t$$),
('foreign key ON DELETE CASCADE', $$CREATE TABLE attack_play.t (id uuid PRIMARY KEY); INSERT INTO attack_play.t SELECT DISTINCT account_id FROM hail.holds; ALTER TABLE hail.holds ADD FOREIGN KEY (account_id) REFERENCES attack_play.t ON DELETE CASCADE$$),
('row security off', $$ALTER TABLE hail.accounts DISABLE ROW LEVEL SECURITY$$),
('row security not forced', $$ALTER TABLE hail.accounts NO FORCE ROW LEVEL SECURITY$$),
('policy dropped', $$DROP POLICY ledger_admin ON hail.accounts$$),
('policy added', $$CREATE POLICY zz ON hail.accounts FOR SELECT TO hail_customer USING (true)$$),
('policy changed', $$ALTER POLICY accounts_own ON hail.accounts USING (true)$$),
('writes granted', $$GRANT INSERT, UPDATE ON hail.accounts TO hail_customer$$),
('writes of a column granted', $$GRANT UPDATE (posted) ON hail.accounts TO hail_driver$$),
('triggers granted', $$GRANT TRIGGER ON hail.holds TO PUBLIC$$),
('the owner''s role granted', $$GRANT hail_owner TO hail_customer$$),
('owner changed', $$ALTER TABLE hail.accounts OWNER TO hail_customer$$),
('balance replaced', $$CREATE OR REPLACE FUNCTION hail.exact_posted(account hail.accounts) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 5::bigint'$$),
('hold no longer as its definer', $$ALTER FUNCTION hail.hold(uuid, bigint, text, text, uuid, interval) SECURITY INVOKER$$),
('floor of a kind', $$UPDATE hail.account_kinds SET floor = -1000000 WHERE kind = 'CUSTOMER_WALLET'$$),
('kind added', $$INSERT INTO hail.account_kinds VALUES ('PIGGY_BANK', false, NULL)$$),
('wallet opened with a low floor', $$INSERT INTO hail.accounts (kind, owner_id, currency, is_system, floor) VALUES ('CUSTOMER_WALLET', 'a77ac000-0000-7000-8000-000000000002', 'XAB', false, -1000000)$$),
('definitions of guards changed', $$UPDATE hail.guard_definitions SET definition = 'x' WHERE object = 'table accounts'$$),
('index added', $$CREATE INDEX zz ON hail.holds (captured)$$),
('room in pages', $$ALTER TABLE hail.holds SET (fillfactor = 50)$$)
) AS t (name, statement);
CREATE FUNCTION attack_play.twist() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
DO $do$
DECLARE
    c record; ended text;
BEGIN
    PERFORM attack.dblink_connect('owner', format('dbname=%s host=%s port=%s user=%s', current_database(), current_setting('unix_socket_directories'),
                                                  current_setting('port'), current_user));
    PERFORM attack.dblink_exec('owner', 'SET client_min_messages = error; SET statement_timeout = 10000');
    FOR c IN SELECT * FROM attack.changes ORDER BY n LOOP
        -- Rolled back afterwards; what would be found is looked at as a superuser.
        ended := attack.send('owner', format('BEGIN; SET LOCAL SESSION AUTHORIZATION hail_owner; %s; RESET SESSION AUTHORIZATION', c.statement));
        IF ended = 'passed' THEN
            SELECT 'found: ' || coalesce(string_agg(f, ', '), 'NOTHING') INTO ended
            FROM attack.dblink('owner', $$SELECT regexp_replace(subject, '[0-9a-f]{8}-[-0-9a-f]{27}', '<id>', 'g') FROM hail.reconcile_guards() f (check_name, subject) ORDER BY 1$$) AS t (f text);
        END IF;
        PERFORM attack.dblink_exec('owner', 'ROLLBACK');
        UPDATE attack.changes SET outcome = ended WHERE n = c.n;
    END LOOP;
    PERFORM attack.dblink_disconnect('owner');
END $do$;
-- What finds nothing is harmless: an index that is not unique, room in pages.
SELECT n, change, CASE WHEN length(outcome) > 150 THEN left(outcome, 60) || '...' ELSE outcome END AS outcome FROM attack.changes ORDER BY n;
SELECT b.entries, sum(a.posted) - b.posted AS wallets_moved FROM hail.accounts a, before b WHERE a.currency = 'XAA' AND NOT a.is_system GROUP BY b.entries, b.posted;
SELECT * FROM hail.reconcile('2026-03-07') WHERE check_name <> 'paid_trip_not_completed';

SELECT status FROM hail.release(:'hold');
DROP EXTENSION dblink;
DROP SCHEMA attack, attack_play CASCADE;
DROP ROLE attack_nobody;
RESET client_min_messages;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
