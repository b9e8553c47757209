-- What must hold for everything in schema hail, whoever wrote it. A query that lists offenders shows none.
\set SHOW_CONTEXT never

-- Tables and partitions: under row level security, their owner too; owned by hail_owner.
SELECT c.oid::regclass AS unprotected FROM pg_class c
WHERE c.relnamespace = 'hail'::regnamespace AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
ORDER BY 1;
SELECT c.oid::regclass AS not_owned FROM pg_class c
WHERE c.relnamespace = 'hail'::regnamespace AND c.relowner <> 'hail_owner'::regrole ORDER BY 1;
SELECT c.oid::regclass AS foreign_partition, c.relispartition FROM pg_class c
JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
WHERE p.relnamespace = 'hail'::regnamespace AND c.relnamespace <> 'hail'::regnamespace ORDER BY 1;
-- A partition asked by its own name ignores its parent's policies: nobody but the owner may ask.
SELECT c.oid::regclass AS partition, a.grantee::regrole, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'hail'::regnamespace AND c.relispartition AND c.relkind = 'r' AND a.grantee <> 'hail_owner'::regrole
ORDER BY 1, 2, 3;
SELECT polrelid::regclass AS partition, polname FROM pg_policy JOIN pg_class c ON c.oid = polrelid
WHERE c.relispartition AND c.relnamespace = 'hail'::regnamespace AND polroles <> ARRAY['hail_owner'::regrole::oid] ORDER BY 1, 2;

-- Nobody writes tables but the owner; the front has no table right at all; nothing is for PUBLIC.
SELECT c.oid::regclass AS writable, a.grantee::regrole, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'hail'::regnamespace AND a.grantee <> 'hail_owner'::regrole AND a.privilege_type <> 'SELECT'
ORDER BY 1, 2, 3;
SELECT c.attrelid::regclass AS writable, c.attname, a.grantee::regrole, a.privilege_type
FROM pg_attribute c JOIN pg_class t ON t.oid = c.attrelid, aclexplode(c.attacl) a
WHERE t.relnamespace = 'hail'::regnamespace AND a.grantee <> 'hail_owner'::regrole AND a.privilege_type <> 'SELECT'
ORDER BY 1, 2, 3;
SELECT c.oid::regclass AS open_to, a.grantee::regrole, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'hail'::regnamespace AND a.grantee IN (0, 'hail_front'::regrole) ORDER BY 1, 2, 3;
SELECT n.nspacl::text AS acl FROM pg_namespace n, aclexplode(n.nspacl) a
WHERE n.nspname = 'hail' AND (a.grantee = 0 OR a.privilege_type = 'CREATE' AND a.grantee <> 'hail_owner'::regrole);

-- Policies for callers ask for the verified identity; none is for writing.
SELECT polrelid::regclass AS table, polname, polcmd FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = 'hail'::regnamespace AND polroles <> ARRAY['hail_owner'::regrole::oid]
  AND (polcmd <> 'r' OR pg_get_expr(polqual, polrelid) !~ 'hail\.(current_subject|current_role_name|own_trip)\(') ORDER BY 1, 2;
-- Views show what their reader may see.
SELECT c.oid::regclass AS view FROM pg_class c
WHERE c.relnamespace = 'hail'::regnamespace AND c.relkind = 'v'
  AND NOT coalesce(c.reloptions && '{security_invoker=true,security_invoker=on,security_invoker=1}', false) ORDER BY 1;
SELECT c.oid::regclass AS materialized FROM pg_class c WHERE c.relnamespace = 'hail'::regnamespace AND c.relkind = 'm';

-- Functions: not for PUBLIC, owned by hail_owner, with a fixed search path, with a comment.
SELECT p.oid::regprocedure AS public_function FROM pg_proc p
WHERE p.pronamespace = 'hail'::regnamespace
  AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0)) ORDER BY p.oid::regprocedure::text;
SELECT p.oid::regprocedure AS not_owned FROM pg_proc p
WHERE p.pronamespace = 'hail'::regnamespace AND p.proowner <> 'hail_owner'::regrole ORDER BY p.oid::regprocedure::text;
SELECT p.oid::regprocedure AS search_path_of_caller FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'hail'::regnamespace AND (p.prosecdef OR l.lanname IN ('sql', 'plpgsql'))
  AND p.prosqlbody IS NULL
  AND NOT coalesce(p.proconfig @> '{"search_path=pg_catalog, pg_temp"}', false) ORDER BY p.oid::regprocedure::text;
SELECT p.oid::regprocedure AS without_comment FROM pg_proc p
WHERE p.pronamespace = 'hail'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL ORDER BY p.oid::regprocedure::text;
SELECT c.oid::regclass AS without_comment FROM pg_class c
WHERE c.relnamespace = 'hail'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
  AND obj_description(c.oid, 'pg_class') IS NULL ORDER BY 1;
-- What its comment calls internal is granted to nobody; what is granted to nobody says so.
SELECT p.oid::regprocedure AS function, CASE WHEN granted THEN 'internal, yet granted' ELSE 'granted to nobody, yet not called internal' END AS why
FROM pg_proc p,
     LATERAL (SELECT EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee <> p.proowner)) AS g (granted),
     LATERAL (SELECT coalesce(obj_description(p.oid, 'pg_proc') ~ '(Internal|Superusers only|Superusers only; .*)\.$', false)) AS c (internal)
WHERE p.pronamespace = 'hail'::regnamespace AND granted = internal ORDER BY p.oid::regprocedure::text;
-- SECURITY DEFINER functions that the roles may call are reached through a grant to a hail role, never to others.
SELECT p.oid::regprocedure AS granted_elsewhere, a.grantee::regrole FROM pg_proc p, aclexplode(p.proacl) a
WHERE p.pronamespace = 'hail'::regnamespace AND a.grantee::regrole::text !~ '^hail_(owner|customer|driver|admin|partner|analyst|front)$'
ORDER BY p.oid::regprocedure::text;

-- Nobody gets anything from a function by taking a role without a token: each one that is granted refuses before it
-- looks at its arguments. Listed: those that tell nothing of anybody, or that answer "does not exist" to all but the owner.
-- A value of a type, for the sake of STRICT functions.
CREATE FUNCTION pg_temp.sample(type oid) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN type = 'uuid'::regtype THEN '01ff0000-0000-7000-8000-000000000000'
                WHEN type = 'interval'::regtype THEN '1 hour'
                WHEN type IN ('timestamptz'::regtype, 'date'::regtype) THEN '2026-03-01'
                WHEN type = 'bool'::regtype THEN 'true'
                WHEN type IN ('jsonb'::regtype, 'json'::regtype) THEN '{}'
                WHEN (SELECT typcategory FROM pg_type t WHERE t.oid = type) = 'N' THEN '1'
                WHEN (SELECT typcategory FROM pg_type t WHERE t.oid = type) = 'S' THEN 'x' END
$$;
-- Call a function with such values, ids by the arguments' names where given; undo it. How it was refused, or 'answered'.
CREATE FUNCTION pg_temp.refusal(function regprocedure, ids jsonb DEFAULT '{"driver_ids":"{}","lats":"{}","lngs":"{}"}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    call text;
    rows bigint;
BEGIN
    SELECT format('SELECT count(x) FROM %s(%s) x', p.oid::regproc,
                  (SELECT string_agg(format('%L::%s', CASE WHEN p.proargnames[n] = 'scheduled_for' THEN NULL
                                                 ELSE coalesce(ids ->> p.proargnames[n], pg_temp.sample(t)) END,
                                            format_type(t, NULL)), ', ' ORDER BY n)
                   FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (t, n)))
    INTO call FROM pg_proc p WHERE p.oid = function;
    EXECUTE call INTO rows;
    RAISE EXCEPTION 'answered' USING ERRCODE = 'P0099';
EXCEPTION WHEN OTHERS THEN
    RETURN CASE SQLSTATE WHEN 'P0099' THEN '' ELSE SQLSTATE || ' ' END || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.answers() RETURNS TABLE (function text, instead_of_refusing text, roles text) LANGUAGE plpgsql AS $$
DECLARE
    callable regprocedure[];
BEGIN
    FOREACH roles IN ARRAY ARRAY['hail_customer', 'hail_driver', 'hail_admin', 'hail_partner', 'hail_analyst', 'hail_front'] LOOP
        PERFORM set_config('role', roles, true);
        FOR function, instead_of_refusing IN
            SELECT p.oid::regprocedure, pg_temp.refusal(p.oid) FROM pg_proc p
            WHERE p.pronamespace = 'hail'::regnamespace AND has_function_privilege(p.oid, 'execute') LOOP
            CONTINUE WHEN instead_of_refusing LIKE 'UH010 %';
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;
SET SESSION AUTHORIZATION hail_front;
SELECT a.function, a.instead_of_refusing, string_agg(substr(roles, 6), ' ' ORDER BY roles) AS roles
FROM pg_temp.answers() a GROUP BY 1, 2 ORDER BY 1;
RESET SESSION AUTHORIZATION;
-- What the front may call as itself.
SELECT p.oid::regprocedure AS front_may_call FROM pg_proc p
WHERE p.pronamespace = 'hail'::regnamespace AND has_function_privilege('hail_front', p.oid, 'execute')
ORDER BY p.oid::regprocedure::text;

-- Who reads what. Two of each role; two trips, far apart, so that each customer and driver has rows of its own.
SET client_min_messages = warning;
SELECT hail.set_clock('2026-03-04 09:00+00') IS NOT NULL AS frozen;
SELECT count(hail.create_region('rls', 'Security', 'EUR', 'Europe/Madrid', ST_MakeEnvelope(-42, -1, -40, 1, 4326))) AS regions;
SELECT count(hail.set_fare('rls', 'economy', 1000, 350, 50, 1500, 1500, 0, 300)) AS fares;
CREATE TEMP TABLE people AS
SELECT (hail.register_user('+3519500000' || to_char(n, 'FM00'), role || ' ' || twin, role)).id, role, twin
FROM (SELECT row_number() OVER () AS n, role, twin
      FROM unnest(ARRAY['customer', 'driver', 'admin', 'partner', 'analyst']) role, unnest(ARRAY['a', 'b']) twin) AS p;
ALTER TABLE people ADD token text;
UPDATE people SET token = hail.issue_token(id, '1 hour');
CREATE FUNCTION pg_temp.who(role text, twin text) RETURNS uuid LANGUAGE sql AS
$$ SELECT id FROM people p WHERE p.role = who.role AND p.twin = who.twin $$;
CREATE FUNCTION pg_temp.open_shop(driver uuid, lng float8) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.register_driver(driver, 'rls', '{economy}');
    PERFORM hail.approve_driver(driver);
    PERFORM hail.add_vehicle(driver, 'RLS 1', 'Fiat 128');
    RETURN (hail.set_availability(driver, true, 0, lng)).online;
END $$;
CREATE FUNCTION pg_temp.ride(customer uuid, driver uuid, lng float8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    wallet uuid := (hail.open_account('CUSTOMER_WALLET', customer, 'EUR')).id;
    trip uuid;
BEGIN
    PERFORM hail.favourite_driver(customer, driver);
    PERFORM hail.post_transaction('deposit', ARRAY[
        ROW((hail.open_account('GATEWAY_CLEARING', NULL, 'EUR')).id, 'debit', 100000)::hail.entry_input,
        ROW(wallet, 'credit', 100000)::hail.entry_input], 'rls deposit ' || customer);
    trip := (hail.request_trip((hail.create_quote(customer, 0, lng, 0, lng + 0.05, 'economy')).id, 'wallet',
                               'first_accept', 'rls')).id;
    PERFORM hail.accept_offer(trip, driver);
    PERFORM hail.arrive(trip);
    PERFORM hail.start_trip(trip, (SELECT pickup_code FROM hail.trips WHERE id = trip));
    RETURN (hail.complete_trip(trip)).state;
END $$;
SELECT pg_temp.open_shop(pg_temp.who('driver', 'a'), -41.8), pg_temp.open_shop(pg_temp.who('driver', 'b'), -40.2);
SELECT pg_temp.ride(pg_temp.who('customer', 'a'), pg_temp.who('driver', 'a'), -41.8),
       pg_temp.ride(pg_temp.who('customer', 'b'), pg_temp.who('driver', 'b'), -40.2);
SELECT count(hail.create_gateway('rls', 'standard_webhooks', '{EUR}')) AS gateways;
SELECT count(hail.begin_deposit(id, 100, 'EUR', 'rls', 'rls ' || role || twin)) AS deposits FROM people WHERE role IN ('customer', 'driver', 'partner');
SELECT count(hail.refund_deposit(i.id, 50, 'asked', 'rls ' || i.id)) AS refunds FROM hail.payment_intents i, hail.settle_deposit(i.id, 'by hand') WHERE i.gateway = 'rls';
SELECT count(*) > 0 AS kept FROM hail.keep();
INSERT INTO hail.geofence_drivers (driver_id, geofence_id, entered_at)
SELECT pg_temp.who('driver', t), (SELECT min(id) FROM hail.geofences), hail.clock() FROM unnest('{a,b}'::text[]) t;
INSERT INTO hail.surge_cells (region_id, cell, multiplier, updated_at) SELECT min(id), 0, 1.1, hail.clock() FROM hail.regions;
INSERT INTO hail.area_absences (driver_id, region_id, outside_since)
SELECT pg_temp.who('driver', t), (SELECT min(id) FROM hail.regions), hail.clock() FROM unnest('{a,b}'::text[]) t;

-- What one caller sees of each table: a digest of each row, over the columns it may read.
CREATE TEMP TABLE seen (who text, twin text, relation regclass, state text, whole boolean, rows text[]);
GRANT ALL ON seen TO PUBLIC;
CREATE FUNCTION pg_temp.look(who text, twin text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT c.oid::regclass AS relation, string_agg(quote_ident(a.attname), ', ') AS columns,
                    count(a.attname) = c.relnatts AS whole
             FROM pg_class c
             LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                     AND has_column_privilege(c.oid, a.attnum, 'select')
             WHERE c.relnamespace = 'hail'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
             GROUP BY c.oid, c.relnatts LOOP
        BEGIN
            IF r.columns IS NULL THEN
                INSERT INTO seen VALUES (who, twin, r.relation, '-');
            ELSE
                EXECUTE format('INSERT INTO pg_temp.seen SELECT $1, $2, $3, NULL, $4, coalesce(array_agg(md5(ROW(%s)::text)), ''{}'') FROM %s',
                               r.columns, r.relation) USING who, twin, r.relation, r.whole;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO seen VALUES (who, twin, r.relation, SQLSTATE || ' ' || SQLERRM);
        END;
    END LOOP;
END $$;
SELECT pg_temp.look('all', 'a');
DO $$
DECLARE
    p record;
BEGIN
    FOR p IN SELECT * FROM people LOOP
        PERFORM hail.authenticate(p.token);
        PERFORM pg_temp.look(p.role, p.twin);
        COMMIT;
    END LOOP;
END $$;
-- all: every row; own: some, and none that the other of the same role sees; none: not one; -: no right. *: not every column.
SELECT a.relation, max(verdict) FILTER (WHERE a.who = 'customer') AS customer, max(verdict) FILTER (WHERE a.who = 'driver') AS driver,
       max(verdict) FILTER (WHERE a.who = 'admin') AS admin, max(verdict) FILTER (WHERE a.who = 'partner') AS partner,
       max(verdict) FILTER (WHERE a.who = 'analyst') AS analyst
FROM seen a JOIN seen b ON b.who = a.who AND b.twin = 'b' AND b.relation = a.relation
JOIN seen everything ON everything.who = 'all' AND everything.relation = a.relation,
LATERAL (SELECT CASE WHEN a.state IS NOT NULL THEN a.state
                     WHEN everything.rows = '{}' THEN 'empty'
                     WHEN a.rows = '{}' AND b.rows = '{}' THEN 'none'
                     WHEN cardinality(a.rows) = cardinality(everything.rows) THEN 'all'
                     WHEN a.rows && b.rows THEN 'some'
                     ELSE 'own' END || CASE WHEN a.whole OR a.state IS NOT NULL THEN '' ELSE ' *' END) AS v (verdict)
WHERE a.twin = 'a' GROUP BY a.relation ORDER BY a.relation::text;
-- With a token, nothing of the other's answers: each function a customer or driver may call that takes an id of somebody's,
-- given those of the other. Listed: what it answers all the same.
CREATE TABLE pg_temp.theirs AS
SELECT jsonb_build_object('customer_id', t.customer_id, 'driver_id', t.driver_id, 'trip_id', t.id, 'quote_id', t.quote_id,
                          'hold_id', t.hold_id, 'account_id', a.id, 'lat', t.pickup_lat, 'lng', t.pickup_lng,
                          'driver_ids', format('{%s}', t.driver_id), 'lats', '{0}', 'lngs', '{-40.2}', 'region', 'rls',
                          'service_class', 'economy', 'radius_m', 1000, 'payment_method', 'wallet', 'strategy', 'first_accept') AS ids
FROM hail.trips t JOIN hail.accounts a ON a.owner_id = t.customer_id WHERE t.customer_id = pg_temp.who('customer', 'b');
CREATE TABLE pg_temp.answered (role text, function text, answer text);
GRANT ALL ON theirs, answered, people TO PUBLIC;
DO $$
DECLARE
    p record;
BEGIN
    FOR p IN SELECT q.*, pg_temp.who(q.role, 'b') AS other FROM people q WHERE q.role IN ('customer', 'driver') AND twin = 'a' LOOP
        PERFORM hail.authenticate(p.token);
        INSERT INTO pg_temp.answered
        SELECT p.role, f.oid::regprocedure, pg_temp.refusal(f.oid, t.ids || jsonb_build_object('user_id', p.other, 'owner_id', p.other))
        FROM pg_proc f, theirs t
        WHERE f.pronamespace = 'hail'::regnamespace AND has_function_privilege(f.oid, 'execute')
          AND f.proargtypes::oid[] && ARRAY['uuid'::regtype::oid, 'uuid[]'::regtype::oid];
        COMMIT;
    END LOOP;
END $$;
SELECT count(*) > 20 AS many FROM answered;
SELECT function, answer, string_agg(role, ' ' ORDER BY role) AS roles FROM answered
WHERE answer !~ '^UH0(12|20) ' GROUP BY 1, 2 ORDER BY 1, 2;

-- Of offers, what tells who was asked and why it came to nothing is for those who run dispatch.
SELECT a.attname AS "column", has_column_privilege('hail_customer', a.attrelid, a.attnum, 'select') AS customer,
       has_column_privilege('hail_driver', a.attrelid, a.attnum, 'select') AS driver,
       has_column_privilege('hail_analyst', a.attrelid, a.attnum, 'select') AS analyst
FROM pg_attribute a WHERE a.attrelid = 'hail.offers'::regclass AND a.attnum > 0 ORDER BY a.attnum;

-- Without a token, a role sees nothing of it.
SET SESSION AUTHORIZATION hail_front;
DO $$
BEGIN
    FOR i IN 1..5 LOOP
        PERFORM set_config('role', (ARRAY['hail_customer', 'hail_driver', 'hail_admin', 'hail_partner', 'hail_analyst'])[i], true);
        PERFORM pg_temp.look('nobody', i::text);
        COMMIT;
    END LOOP;
END $$;
RESET SESSION AUTHORIZATION;
SELECT relation, state, cardinality(rows) AS rows, count(*) AS roles FROM seen
WHERE who = 'nobody' AND (state <> '-' OR rows <> '{}') GROUP BY 1, 2, 3 ORDER BY relation::text, 2;
SELECT hail.reset_clock() IS NOT NULL AS reset;
