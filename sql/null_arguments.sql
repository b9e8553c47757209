-- Every function of schema hail that is written in C, with NULL for each of its arguments and for all of them: it answers or
-- refuses, and the server stands. Not called: triggers, what takes what SQL has no value of, and what turns the clock.
SET timezone = 'UTC';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
-- Some value of a type that is not NULL: numbers and texts that name nothing.
CREATE FUNCTION pg_temp.some(type regtype) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('%s::%s', CASE
        WHEN type = 'uuid'::regtype THEN quote_literal('00000000-0000-7000-8000-000000000000')
        WHEN t.typcategory = 'A' THEN quote_literal('{}')
        WHEN t.typcategory = 'N' THEN '1'
        WHEN t.typcategory = 'B' THEN 'true'
        WHEN type IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype) THEN quote_literal('2013-11-20')
        WHEN t.typcategory = 'D' THEN quote_literal('10:00')
        WHEN t.typcategory = 'T' THEN quote_literal('1 minute')
        WHEN type IN ('json'::regtype, 'jsonb'::regtype) THEN quote_literal('{}')
        WHEN type = to_regtype('public.geometry') THEN quote_literal('POINT(0 0)')
        WHEN type = 'tstzrange'::regtype THEN quote_literal('empty')
        WHEN t.typtype = 'c' THEN (SELECT quote_literal('(' || repeat(',', count(*)::integer - 1) || ')') FROM pg_attribute a
                                   WHERE a.attrelid = t.typrelid AND a.attnum > 0)
        WHEN t.typcategory = 'S' OR type = 'bytea'::regtype THEN quote_literal('x')
        ELSE 'NULL' END, type)
    FROM pg_type t WHERE t.oid = type $$;
CREATE TEMP TABLE calls AS
SELECT p.oid::regprocedure AS function, n.n,
       format('SELECT hail.%I(%s)', p.proname, (SELECT string_agg(CASE WHEN n.n IN (0, a.i) THEN format('NULL::%s', a.type::regtype) ELSE pg_temp.some(a.type) END, ', ' ORDER BY a.i)
                                               FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, i))) AS call
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang, LATERAL generate_series(0, p.pronargs) AS n (n)
WHERE p.pronamespace = 'hail'::regnamespace AND l.lanname = 'c' AND p.pronargs > 0 AND NOT p.proisstrict
  AND p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype) AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[])
  AND p.proname NOT IN ('set_clock', 'advance_clock');
SELECT count(*) > 100 AS many, count(DISTINCT function) > 30 AS functions FROM calls;
CREATE FUNCTION pg_temp.try(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
BEGIN;
CREATE TEMP TABLE answers ON COMMIT DROP AS SELECT c.*, pg_temp.try(c.call) AS state FROM calls c ORDER BY c.function::text, c.n;
-- They say what is wrong: nothing fails for want of an object.
SELECT function, n, state FROM answers WHERE state LIKE '42%' AND state <> '42501' OR state LIKE '58%' ORDER BY function::text, n;
-- One of them has set a timeout of a millisecond.
SET LOCAL statement_timeout = 0;
SELECT pg_temp.try('SELECT hail.append_history(NULL, NULL, 1, 1, hail.clock(), NULL)') AS history,
       pg_temp.try('SELECT hail.check_code(NULL, 0, ''1234'', ''1234'', ''code'', ''hint'')') AS code;
ROLLBACK;
SELECT count(*) AS standing FROM (SELECT 1) s;
