\set SHOW_CONTEXT never
-- Everything below happens at one moment, so that tokens expire when the test says so.
SELECT hail.set_clock('2013-11-18 16:00+00');

-- Users.
SELECT id AS admin FROM hail.register_user('+201550000001', 'Ada', 'admin') \gset
SELECT id AS carl FROM hail.register_user('+201550000002', 'Carl', 'customer') \gset
SELECT id AS cleo FROM hail.register_user('+201550000003', 'Cleo', 'customer') \gset
SELECT id AS dina FROM hail.register_user('+201550000004', 'Dina', 'driver') \gset
SELECT phone, role, active FROM hail.register_user(NULL, 'Shop', 'partner');
SELECT hail.register_user('+201550000002', 'Carl again', 'customer');
SELECT hail.register_user('01000000005', 'National', 'customer');
SELECT hail.register_user('+201550000005', '', 'customer');
SELECT hail.register_user('+201550000005', NULL, 'customer');
SELECT hail.register_user('+201550000005', 'Root', 'superuser');
SELECT hail.register_user('+201550000005', 'Root', NULL);

-- Tokens are issued to users that are there and active, for a limited time.
SELECT hail.issue_token(hail.uuid7());
SELECT hail.issue_token(NULL);
SELECT hail.issue_token(:'carl', '0.9 seconds');
SELECT hail.issue_token(:'carl', '31 days');
SELECT hail.issue_token(:'carl', NULL);
SELECT id AS gone FROM hail.register_user('+201550000006', 'Gone', 'customer') \gset
UPDATE hail.users SET active = false WHERE id = :'gone';
SELECT hail.issue_token(:'gone');
SELECT hail.issue_token(:'carl') AS carl_token, hail.issue_token(:'cleo') AS cleo_token,
       hail.issue_token(:'dina') AS dina_token, hail.issue_token(:'admin', '1 second') AS admin_token \gset

-- A token makes its subject and role, until the transaction ends.
BEGIN;
SELECT subject = :'carl' AS is_carl, role, expires_at FROM hail.authenticate(:'carl_token');
SELECT current_user, hail.current_subject() = :'carl' AS is_carl, hail.current_role_name();
SELECT name FROM hail.users;
COMMIT;
SELECT current_user, hail.current_subject(), hail.current_role_name();
SELECT role FROM hail.authenticate(:'carl_token');
SELECT current_user, hail.current_subject(), hail.current_role_name();

-- Making tokens of any content, with a signature computed independently of the extension.
CREATE FUNCTION pg_temp.base64url(bytes bytea) RETURNS text LANGUAGE sql AS
$$ SELECT rtrim(translate(encode(bytes, 'base64'), E'+/\n', '-_'), '=') $$;
CREATE FUNCTION pg_temp.hmac(key bytea, text bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    inner_pad bytea := decode(repeat('36', 64), 'hex');
    outer_pad bytea := decode(repeat('5c', 64), 'hex');
BEGIN
    FOR i IN 0 .. length(key) - 1 LOOP
        inner_pad := set_byte(inner_pad, i, get_byte(inner_pad, i) # get_byte(key, i));
        outer_pad := set_byte(outer_pad, i, get_byte(outer_pad, i) # get_byte(key, i));
    END LOOP;
    RETURN sha256(outer_pad || sha256(inner_pad || text));
END $$;
CREATE FUNCTION pg_temp.token(header text, claims text, key text DEFAULT 'test-secret-of-at-least-32-bytes!')
RETURNS text LANGUAGE sql AS $$
    SELECT t || '.' || pg_temp.base64url(pg_temp.hmac(convert_to(key, 'UTF8'), convert_to(t, 'UTF8')))
    FROM (SELECT pg_temp.base64url(convert_to(header, 'UTF8')) || '.' || pg_temp.base64url(convert_to(claims, 'UTF8'))) x (t)
$$;
-- What authenticating gives; whatever it does is rolled back.
CREATE FUNCTION pg_temp.try(token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    who text;
BEGIN
    SELECT 'accepted: ' || role INTO who FROM hail.authenticate(token);
    RAISE EXCEPTION '%', who;
EXCEPTION WHEN OTHERS THEN
    RETURN CASE SQLSTATE WHEN 'P0001' THEN '' ELSE SQLSTATE || ' ' END || SQLERRM;
END $$;

-- The extension's own token is the same text, byte for byte.
SELECT hail.sign_token(:'carl', 'customer', '2013-11-18 16:15+00') = :'carl_token' AS as_issued,
       pg_temp.token('{"alg":"HS256","typ":"JWT"}',
                     format('{"iss":"pg_hail","aud":"hail","sub":"%s","role":"customer","iat":%s,"exp":%s}', :'carl',
                            1384790400, 1384790400 + 900)) = :'carl_token' AS as_computed_here;

-- Headers: one algorithm, no extensions.
SELECT header, pg_temp.try(pg_temp.token(header, format('{"iss":"pg_hail","aud":"hail","sub":"%s","role":"customer","exp":1384790500}', :'carl')))
FROM (VALUES (1, '{"alg":"HS256"}'), (2, '{"alg":"HS256","kid":"7","jku":"https://evil.example/keys"}'), (3, '{"alg":"none"}'),
             (4, '{"alg":"None"}'), (5, '{"alg":"hs256"}'), (6, '{"alg":"HS384"}'), (7, '{"alg":"RS256"}'), (8, '{"alg":"EdDSA"}'),
             (9, '{"typ":"JWT"}'), (10, '{"alg":null}'), (11, '{"alg":["HS256"]}'), (12, '{"alg":{"alg":"HS256"}}'),
             (13, '{"alg":"none","alg":"HS256"}'), (14, '{"alg":"HS256","alg":"HS256"}'), (15, '{"alg":"HS256","\u0061lg":"HS256"}'),
             (16, '{"alg":"HS256","crit":["b64"],"b64":false}'), (17, '{"alg":"HS256","crit":[]}'), (18, '["alg","HS256"]'),
             (19, '"HS256"'), (20, '{"alg":"HS256"'), (21, '{"alg":"HS256"}{}'), (22, 'HS256'), (23, ' ')) AS h (n, header)
ORDER BY n;

-- Claims: ours, complete, once each, of the right type.
SELECT claims, pg_temp.try(pg_temp.token('{"alg":"HS256"}', replace(claims, 'ID', :'carl')))
FROM (VALUES (1, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer","exp":1384790500}'),
             (2, '{"iss":"pg_hail","aud":["other","hail"],"sub":"ID","role":"driver","exp":1384790500.5,"extra":{"sub":1,"exp":[[]]}}'),
             (3, '{"iss":"pg_hail","aud":["other"],"sub":"ID","role":"customer","exp":1384790500}'),
             (4, '{"iss":"pg_hail","aud":"hail ","sub":"ID","role":"customer","exp":1384790500}'),
             (5, '{"iss":"pg_hail","aud":{"hail":"hail"},"sub":"ID","role":"customer","exp":1384790500}'),
             (6, '{"iss":"pg_hail","aud":[["hail"]],"sub":"ID","role":"customer","exp":1384790500}'),
             (7, '{"iss":"pg_hail","sub":"ID","role":"customer","exp":1384790500}'),
             (8, '{"iss":"evil","aud":"hail","sub":"ID","role":"customer","exp":1384790500}'),
             (9, '{"aud":"hail","sub":"ID","role":"customer","exp":1384790500}'),
             (10, '{"iss":"pg_hail","aud":"hail","role":"customer","exp":1384790500}'),
             (11, '{"iss":"pg_hail","aud":"hail","sub":"1","role":"customer","exp":1384790500}'),
             (12, '{"iss":"pg_hail","aud":"hail","sub":"{ID}","role":"customer","exp":1384790500}'),
             (13, '{"iss":"pg_hail","aud":"hail","sub":["ID"],"role":"customer","exp":1384790500}'),
             (14, '{"iss":"pg_hail","aud":"hail","sub":"ID","exp":1384790500}'),
             (15, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"owner","exp":1384790500}'),
             (16, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"postgres","exp":1384790500}'),
             (17, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer"}'),
             (18, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer","exp":"1384790500"}'),
             (19, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer","exp":1e400}'),
             (20, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer","exp":-1}'),
             (21, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer","exp":null}'),
             (22, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer","exp":1384790500,"nbf":[]}'),
             (23, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer","role":"admin","exp":1384790500}'),
             (24, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer","exp":1,"\u0065xp":1384790500}'),
             (25, '{"iss":"pg_hail","aud":"hail","sub":"ID","role":"customer","exp":1384790500,"x":1,"x":2}'),
             (26, '[]'), (27, '{}'), (28, 'null'), (29, '{"iss":"pg_hail"')) AS c (n, claims)
ORDER BY n;

-- Expiry, not-before and issue time, to the second of leeway (30 s here): exp is the first moment that is too late.
SELECT claims, pg_temp.try(pg_temp.token('{"alg":"HS256"}',
       format('{"iss":"pg_hail","aud":"hail","sub":"%s","role":"customer",%s}', :'carl', claims)))
FROM (VALUES (1, '"exp":1384790371'), (2, '"exp":1384790370.5'), (3, '"exp":1384790370'), (4, '"exp":1'),
             (5, '"exp":1384790500,"nbf":1384790430'), (6, '"exp":1384790500,"nbf":1384790431'),
             (7, '"exp":1384790500,"iat":1384790430'), (8, '"exp":1384790500,"iat":1384790431')) AS c (n, claims)
ORDER BY n;
SELECT pg_temp.try(:'admin_token');
SELECT hail.advance_clock('30.999999 seconds');
SELECT pg_temp.try(:'admin_token');
SELECT hail.advance_clock('0.000001 seconds');
SELECT pg_temp.try(:'admin_token');
SELECT hail.set_clock('2013-11-18 16:00+00');

-- Forged and damaged tokens.
SELECT what, pg_temp.try(token)
FROM (VALUES (1, 'another key', pg_temp.token('{"alg":"HS256"}', format('{"iss":"pg_hail","aud":"hail","sub":"%s","role":"admin","exp":1384790500}', :'carl'), 'guessed-secret-of-at-least-32-byte')),
             (2, 'no signature', split_part(:'carl_token', '.', 1) || '.' || split_part(:'carl_token', '.', 2) || '.'),
             (3, 'two parts', split_part(:'carl_token', '.', 1) || '.' || split_part(:'carl_token', '.', 2)),
             (4, 'four parts', :'carl_token' || '.x'),
             (5, 'padding', :'carl_token' || '='),
             (6, 'a blank', :'carl_token' || ' '),
             (7, 'claims of another', split_part(:'carl_token', '.', 1) || '.' || split_part(:'dina_token', '.', 2) || '.' || split_part(:'carl_token', '.', 3)),
             (8, 'longer than 8 kB', repeat('a', 9000) || '.b.c'),
             (9, 'deeply nested', pg_temp.token('{"alg":"HS256","x":' || repeat('[', 2500) || repeat(']', 2500) || '}', format('{"iss":"pg_hail","aud":"hail","sub":"%s","role":"customer","exp":1384790500}', :'carl'))),
             (10, 'empty', ''), (11, 'null', NULL), (12, 'not a token', 'Bearer ' || :'carl_token')) AS t (n, what, token)
ORDER BY n;
-- Any one character changed: never accepted.
SELECT count(*) AS variants, count(*) FILTER (WHERE pg_temp.try(changed) LIKE 'accepted%') AS accepted
FROM (SELECT overlay(:'carl_token' PLACING CASE substr(:'carl_token', i, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM i FOR 1)
      FROM generate_series(1, length(:'carl_token')) i) AS t (changed);
-- The token is in no message.
SELECT set_config('request.token', :'carl_token' || 'x', false) IS NOT NULL AS set;
DO $$
DECLARE
    message text; detail text; hint text; context text;
BEGIN
    PERFORM hail.authenticate(current_setting('request.token'));
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        context = PG_EXCEPTION_CONTEXT;
    RAISE NOTICE '"%" "%" "%", token in context: %', message, detail, hint,
        strpos(context, split_part(current_setting('request.token'), '.', 2)) > 0;
END $$;

-- The front: a login role that may become every hail role, and is nobody in each of them without a token.
\c - hail_front
SELECT current_user, hail.current_subject(), hail.current_role_name();
SELECT count(*) FROM hail.users;
SELECT hail.register_user('+201550000099', 'Eve', 'admin');
SET ROLE hail_admin;
SELECT current_user, hail.current_subject(), hail.current_role_name();
SELECT count(*) FROM hail.users;
SELECT hail.register_user('+201550000099', 'Eve', 'admin');
SELECT hail.issue_token(:'admin');
SELECT hail.sign_token(:'admin', 'admin', 'infinity');
RESET ROLE;
SET SESSION AUTHORIZATION hail_admin;
SET ROLE hail_owner;
SET ROLE postgres;

-- No setting is an identity.
SET hail.subject = 'x';
SELECT set_config('hail.subject', 'x', true);
SELECT set_config('hail.role', 'admin', false);
SET hail.jwt_secret = 'a secret of my own, of 32 bytes or more';
SET hail.jwt_algorithm = 'EdDSA';
SHOW hail.jwt_secret;
SHOW hail.jwt_public_key;
SELECT count(*) FROM pg_settings WHERE name = 'hail.jwt_secret';
ALTER ROLE hail_front SET hail.subject = 'x';
ALTER ROLE hail_front SET hail.jwt_secret = 'a secret of my own, of 32 bytes or more';
CREATE FUNCTION pg_temp.eve() RETURNS text LANGUAGE sql SET hail.subject = 'x' AS 'SELECT 1';
BEGIN;
SELECT set_config('role', 'hail_customer', true);
SELECT current_user, hail.current_subject(), hail.current_role_name();
SELECT count(*) FROM hail.users;
COMMIT;

-- A session of the pool carries nothing over: not past commit, rollback or an error.
BEGIN;
SELECT role FROM hail.authenticate(:'carl_token');
SELECT name FROM hail.users;
ROLLBACK;
SELECT current_user, hail.current_subject(), hail.current_role_name();
BEGIN;
SELECT role FROM hail.authenticate(:'carl_token');
SELECT 1 / 0;
COMMIT;
SELECT current_user, hail.current_subject(), hail.current_role_name();
BEGIN;
SELECT role FROM hail.authenticate(:'carl_token');
COMMIT AND CHAIN;
SELECT current_user, hail.current_subject(), hail.current_role_name();
COMMIT;

-- Savepoints: role and subject go back together, to the token before.
BEGIN;
SAVEPOINT a;
SELECT role FROM hail.authenticate(:'carl_token');
ROLLBACK TO a;
SELECT current_user, hail.current_subject(), hail.current_role_name();
SELECT role FROM hail.authenticate(:'carl_token');
SAVEPOINT b;
SELECT role FROM hail.authenticate(:'dina_token');
SELECT current_user, hail.current_subject() = :'dina' AS is_dina, (SELECT name FROM hail.users);
ROLLBACK TO b;
SELECT current_user, hail.current_subject() = :'carl' AS is_carl, (SELECT name FROM hail.users);
SAVEPOINT c;
SELECT role FROM hail.authenticate('forged');
ROLLBACK TO c;
SELECT current_user, hail.current_subject() = :'carl' AS is_carl, (SELECT name FROM hail.users);
SELECT role FROM hail.authenticate(:'dina_token');
RELEASE c;
SELECT current_user, hail.current_subject() = :'dina' AS is_dina, (SELECT name FROM hail.users);
ROLLBACK TO b;
SELECT current_user, hail.current_subject() = :'carl' AS is_carl, (SELECT name FROM hail.users);
COMMIT;

-- The newest token counts; the same prepared query shows each subject its own.
PREPARE me AS SELECT name FROM hail.users;
BEGIN;
SELECT role FROM hail.authenticate(:'carl_token');
EXECUTE me;
SELECT role FROM hail.authenticate(:'cleo_token');
EXECUTE me;
SELECT role FROM hail.authenticate(:'dina_token');
EXECUTE me;
COPY hail.users (name) TO STDOUT;
-- Another role than the token's shows what the token allows, at most.
SET LOCAL ROLE hail_admin;
SELECT current_user, hail.current_role_name();
SELECT count(*) FROM hail.drivers;
EXECUTE me;
SELECT hail.issue_token(:'admin');
COMMIT;

-- A function with settings of its own restores those, not the role.
CREATE FUNCTION pg_temp.wrapped(token text) RETURNS text LANGUAGE plpgsql SET work_mem = '4MB' AS
$$ BEGIN RETURN (hail.authenticate(token)).role || ' as ' || current_user; END $$;
BEGIN;
SELECT pg_temp.wrapped(:'carl_token');
SELECT current_user, hail.current_role_name();
SELECT count(*) FROM hail.users;
ROLLBACK;
-- Inside SECURITY DEFINER no role can be taken on.
CREATE FUNCTION pg_temp.definer(token text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
$$ BEGIN RETURN (hail.authenticate(token)).role; END $$;
SELECT pg_temp.definer(:'carl_token');
SELECT current_user, hail.current_subject(), hail.current_role_name();
-- DO blocks, and a commit in the middle of one.
DO $$ BEGIN
    PERFORM hail.authenticate((SELECT NULL::text));
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE '% % %', SQLSTATE, current_user, hail.current_role_name();
END $$;
SELECT set_config('request.token', :'carl_token', false) IS NOT NULL AS set;
DO $$ BEGIN
    PERFORM hail.authenticate(current_setting('request.token'));
    RAISE NOTICE '% %', current_user, hail.current_role_name();
    COMMIT;
    RAISE NOTICE '% %', current_user, hail.current_role_name();
END $$;
SELECT current_user, hail.current_subject(), hail.current_role_name();
-- A function in a query's condition is called for the rows one may see only.
CREATE FUNCTION pg_temp.leak(name text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
$$ BEGIN RAISE NOTICE 'saw %', name; RETURN true; END $$;
BEGIN;
SELECT role FROM hail.authenticate(:'carl_token');
SELECT name FROM hail.users WHERE pg_temp.leak(name);
COMMIT;

-- Whoever may not become the role can't use the token.
\c - postgres
SET client_min_messages = warning;
CREATE ROLE hail_test_clerk LOGIN IN ROLE hail_customer;
CREATE ROLE hail_test_chief LOGIN IN ROLE hail_admin;
\c - hail_test_clerk
SELECT current_user, hail.current_subject(), hail.current_role_name();
SELECT count(*) FROM hail.users;
BEGIN;
SELECT role FROM hail.authenticate(:'carl_token');
SELECT name FROM hail.users;
COMMIT;
SELECT role FROM hail.authenticate(:'dina_token');
SELECT hail.current_role_name();

-- Members of hail_admin are administrators without a token, until they take on something less.
\c - hail_test_chief
SELECT current_user, hail.current_subject(), hail.current_role_name();
SELECT count(*) > 4 AS sees_all FROM hail.users;
SELECT length(hail.issue_token(:'carl')) > 100 AS issued;
UPDATE hail.users SET role = 'admin';
-- Another one's function that runs during maintenance is nobody, whoever maintains.
\c - postgres
SET client_min_messages = warning;
CREATE SCHEMA clerk AUTHORIZATION hail_test_clerk;
SET ROLE hail_test_clerk;
CREATE TABLE clerk.trap (a int);
CREATE FUNCTION clerk.spring(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN RAISE WARNING 'index function: % %', current_user, hail.current_role_name(); RETURN a; END $$;
CREATE INDEX ON clerk.trap (clerk.spring(a));
RESET ROLE;
INSERT INTO clerk.trap VALUES (1);
REINDEX TABLE clerk.trap;
ANALYZE clerk.trap;
DROP SCHEMA clerk CASCADE;
DROP ROLE hail_test_clerk, hail_test_chief;

-- Rights that are taken away are gone at once.
CREATE ROLE hail_test_boss LOGIN SUPERUSER IN ROLE hail_customer;
\c - hail_test_boss
SELECT hail.current_role_name();
BEGIN;
ALTER ROLE hail_test_boss NOSUPERUSER;
SELECT hail.current_role_name();
ROLLBACK;
SELECT hail.current_role_name();
GRANT hail_admin TO hail_test_boss;
ALTER ROLE hail_test_boss NOSUPERUSER CREATEROLE;
SELECT hail.current_role_name();
REVOKE hail_admin FROM hail_test_boss;
SELECT hail.current_role_name();
\c - postgres
SET client_min_messages = warning;
DROP ROLE hail_test_boss;

-- A request's id is short and of one line; it is no identity.
BEGIN;
SELECT set_config('hail.request_id', 'req-7f3', true);
ROLLBACK;
SHOW hail.request_id;
SELECT set_config('hail.request_id', E'two\nlines', true);
SELECT set_config('hail.request_id', repeat('x', 129), true);

-- A front's first call: settings and identity at once, both for the transaction only.
\c - hail_front
\set SHOW_CONTEXT never
BEGIN;
SELECT hail.begin_request(:'carl_token', 'req-1', 2500, true);
SELECT current_user, hail.current_subject() = :'carl' AS is_carl, hail.current_role_name();
SELECT name, current_setting('hail.request_id') AS request, current_setting('statement_timeout') AS timeout,
       current_setting('transaction_read_only') AS read_only FROM hail.users;
SELECT hail.begin_request(NULL);
SELECT hail.begin_request(NULL, 'req-2', read_only => NULL);
SELECT hail.current_subject() = :'carl' AS is_carl, current_setting('hail.request_id') AS request,
       current_setting('transaction_read_only') AS read_only;
SAVEPOINT a;
SELECT hail.begin_request(:'dina_token', 'req-3', 0);
SELECT current_user, hail.current_subject() = :'dina' AS is_dina, current_setting('hail.request_id') AS request,
       current_setting('statement_timeout') AS timeout;
ROLLBACK TO a;
SELECT current_user, hail.current_subject() = :'carl' AS is_carl, current_setting('hail.request_id') AS request,
       current_setting('statement_timeout') AS timeout;
COMMIT;
SELECT current_user, hail.current_subject(), hail.current_role_name(), current_setting('hail.request_id') AS request,
       current_setting('statement_timeout') AS timeout, current_setting('transaction_read_only') AS read_only;
BEGIN;
SELECT hail.begin_request(:'carl_token', 'req-4');
SELECT current_setting('transaction_read_only') AS read_only, current_setting('statement_timeout') AS timeout;
ROLLBACK;
-- Whatever is wrong with the token is wrong here too, and leaves nobody behind.
SELECT hail.begin_request(NULL, 'req-5', 1000, false);
SELECT hail.begin_request('forged', 'req-5', 1000, false);
SELECT hail.begin_request('', 'req-5', 1000, false);
SELECT hail.begin_request(:'carl_token' || 'x', 'req-5', 1000, false);
SELECT hail.begin_request(split_part(:'carl_token', '.', 1) || '.' || split_part(:'dina_token', '.', 2) || '.' || split_part(:'carl_token', '.', 3));
SELECT hail.begin_request(:'carl_token', E'two\nlines', 1000, false);
SELECT hail.begin_request(:'carl_token', 'req-5', -1, false);
SELECT current_user, hail.current_subject(), hail.current_role_name(), current_setting('hail.request_id') AS request;
BEGIN;
SELECT hail.begin_request(NULL, 'req-6', 1000);
SELECT current_user, hail.current_subject(), hail.current_role_name();
SELECT count(*) FROM hail.users;
ROLLBACK;
CREATE FUNCTION pg_temp.definer_begins(token text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS
$$ BEGIN PERFORM hail.begin_request(token); END $$;
SELECT pg_temp.definer_begins(:'carl_token');
SELECT current_user, hail.current_subject(), hail.current_role_name();
-- The time limit holds for what follows.
BEGIN;
SELECT hail.begin_request(:'carl_token', 'req-7', 1);
SELECT pg_sleep(60);
ROLLBACK;
\c - postgres
\set SHOW_CONTEXT never
SELECT hail.advance_clock('1 day');
SELECT hail.begin_request(:'carl_token', 'req-8', 1000, false);

-- A header that was accepted is no leave for another; a token with it still needs its own signature.
SELECT hail.set_clock('2013-11-18 16:00+00') IS NOT NULL AS set;
CREATE FUNCTION pg_temp.try(token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    who text;
BEGIN
    SELECT 'accepted: ' || role INTO who FROM hail.authenticate(token);
    RAISE EXCEPTION '%', who;
EXCEPTION WHEN OTHERS THEN
    RETURN CASE SQLSTATE WHEN 'P0001' THEN '' ELSE SQLSTATE || ' ' END || SQLERRM;
END $$;
SELECT n, pg_temp.try(token)
FROM (VALUES (1, :'carl_token'), (2, split_part(:'carl_token', '.', 1) || '.' || split_part(:'carl_token', '.', 2) || '.AAAA'),
             (3, 'eyJhbGciOiJub25lIn0.' || split_part(:'carl_token', '.', 2) || '.' || split_part(:'carl_token', '.', 3)),
             (4, :'carl_token')) AS t (n, token) ORDER BY n;
SELECT hail.reset_clock() IS NOT NULL AS reset;
