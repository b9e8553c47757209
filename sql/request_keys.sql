-- Keys of requests: the same request again is told what the first one made, another one is refused, failure frees the key.
SET timezone = 'UTC';
\set SHOW_CONTEXT never
SELECT hail.set_clock('2026-03-02 09:00+00');
INSERT INTO hail.users (id, name, role) VALUES
    ('abababab-0000-7000-8000-000000000001', 'Kay', 'customer'),
    ('abababab-0000-7000-8000-000000000002', 'Kim', 'driver'),
    ('abababab-0000-7000-8000-000000000003', 'Ken', 'partner'),
    ('abababab-0000-7000-8000-000000000004', 'Ana', 'analyst');
SELECT hail.issue_token('abababab-0000-7000-8000-000000000001', '30 days') AS kay, hail.issue_token('abababab-0000-7000-8000-000000000002', '30 days') AS kim,
       hail.issue_token('abababab-0000-7000-8000-000000000003', '30 days') AS ken, hail.issue_token('abababab-0000-7000-8000-000000000004', '30 days') AS ana \gset

-- Of what keeps no result: false the first time, true the next.
SELECT hail.claim_request_key('k', 'choose 1') AS first, hail.claim_request_key('k', 'choose 1') AS again;
SELECT hail.claim_request_key('k', 'choose 2');
SELECT hail.claim_request_key('', 'choose 2');
SELECT hail.claim_request_key(repeat('k', 201), 'choose 2');
SELECT hail.claim_request_key(NULL, 'choose 2');
SELECT hail.claim_request_key('k2', NULL);
SELECT hail.claim_request_key('k2', repeat('x', 8001));
SELECT hail.claim_request_key('k2', repeat('x', 8000)) AS long, hail.claim_request_key('k2', repeat('x', 8000)) AS again;
SELECT hail.claim_request_key('k2', repeat('x', 7999) || 'y');
-- A key is its caller's: customers, drivers, partners; not analysts.
BEGIN; SELECT role FROM hail.authenticate(:'kay'); SELECT hail.claim_request_key('k', 'mine'), hail.claim_request_key('k', 'mine'); COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'kim'); SELECT hail.claim_request_key('k', 'mine too'); COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'ken'); SELECT hail.claim_request_key('k', 'mine three'); COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'ana'); SELECT hail.claim_request_key('k', 'mine four'); ROLLBACK;
SET ROLE hail_customer; SELECT hail.claim_request_key('k', 'mine'); RESET ROLE;
-- Results are kept by the functions that make something, not by callers, who could name what is not theirs.
BEGIN; SELECT role FROM hail.authenticate(:'kay'); SELECT hail.keep_result('k', 'abababab-0000-7000-8000-000000000009'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'kay'); SELECT hail.claim_result('k', 'mine'); ROLLBACK;

-- Such a function.
CREATE FUNCTION public.make_thing(thing uuid, idempotency_key text, size integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made uuid := hail.claim_result(idempotency_key, format('make %s', size));
BEGIN
    IF made IS NOT NULL THEN
        RETURN 'made before: ' || right(made::text, 1);
    END IF;
    PERFORM hail.keep_result(idempotency_key, thing);
    RETURN 'made: ' || right(thing::text, 1);
END $$;
CREATE FUNCTION pg_temp.thing(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('abababab-0000-7000-8000-00000000100' || n)::uuid $$;
SELECT public.make_thing(pg_temp.thing(1), 't', 5), public.make_thing(pg_temp.thing(2), 't', 5);
SELECT public.make_thing(pg_temp.thing(3), 't', 6);
SELECT public.make_thing(pg_temp.thing(3), 'u', 5);
SELECT public.make_thing(pg_temp.thing(4), NULL, 5);
SELECT hail.claim_request_key('t', 'make 5') AS has_been_done;
-- The same key of another caller is another key.
BEGIN; SELECT role FROM hail.authenticate(:'kay'); SELECT public.make_thing(pg_temp.thing(5), 't', 9); COMMIT;
SELECT right(principal::text, 1) AS principal, idempotency_key, left(request, 10) AS request, right(result::text, 1) AS result
FROM hail.request_keys WHERE idempotency_key IN ('k', 't', 'u') ORDER BY 2, 1;
-- What failed frees its key: with its transaction, and with its savepoint.
BEGIN;
SELECT public.make_thing(pg_temp.thing(6), 'v', 1);
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT public.make_thing(pg_temp.thing(7), 'v', 2);
ROLLBACK TO s;
SELECT public.make_thing(pg_temp.thing(8), 'v', 3);
COMMIT;
SELECT public.make_thing(pg_temp.thing(9), 'v', 3);
-- Claimed and never kept: not done twice. Kept once only, and only what was claimed.
SELECT hail.claim_result('w', 'x') AS go_ahead;
SELECT hail.claim_result('w', 'x');
SELECT hail.keep_result('w', NULL);
SELECT hail.keep_result('w', pg_temp.thing(1));
SELECT hail.keep_result('w', pg_temp.thing(2));
SELECT hail.keep_result('never', pg_temp.thing(2));
SELECT right(hail.claim_result('w', 'x')::text, 1) AS result;

-- After hail.idempotency_ttl a key is free again, swept or not.
SELECT hail.expire_request_keys();
SELECT hail.advance_clock('24 hours' - interval '1 second') IS NOT NULL AS almost_a_day;
SELECT hail.expire_request_keys();
SELECT public.make_thing(pg_temp.thing(2), 't', 5);
SELECT hail.advance_clock('1 second') IS NOT NULL AS a_day;
SELECT public.make_thing(pg_temp.thing(2), 't', 6), public.make_thing(pg_temp.thing(3), 't', 6);
SELECT hail.expire_request_keys() > 3 AS expired;
SELECT idempotency_key, request FROM hail.request_keys ORDER BY 1;
SET hail.idempotency_ttl = '2h';
SELECT hail.advance_clock('119 minutes') IS NOT NULL AS almost_two_hours;
SELECT hail.expire_request_keys();
SELECT hail.advance_clock('1 minute') IS NOT NULL AS two_hours;
SELECT hail.expire_request_keys();
RESET hail.idempotency_ttl;
-- Bounded per run, along the index by age.
INSERT INTO hail.request_keys (principal, idempotency_key, request, created_at)
SELECT hail.uuid7(), 'many', 'x', hail.clock() - interval '2 days' FROM generate_series(1, 10001);
SELECT hail.expire_request_keys() AS first, hail.expire_request_keys() AS second;
SELECT count(*) AS left FROM hail.request_keys;
DROP FUNCTION public.make_thing(uuid, text, integer);
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
