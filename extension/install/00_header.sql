-- pg_hail installation script. Made by concatenating extension/install/*.sql: do not edit the result.
\echo Use "CREATE EXTENSION pg_hail CASCADE" to load this file. \quit

-- 00_header: roles, schema, base functions (errors, clock, ids)

-- Roles are cluster-wide: they may be there already, from another database.
DO $$
DECLARE
    r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['hail_owner', 'hail_customer', 'hail_driver', 'hail_admin', 'hail_partner', 'hail_analyst'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', r);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'hail_front') THEN
        CREATE ROLE hail_front LOGIN NOINHERIT;
    END IF;
    -- The front may become each of these, by hail.authenticate only: the roles alone give it nothing, because
    -- every policy and function asks for the verified subject.
    GRANT hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst TO hail_front;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension e
                   JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
                   WHERE e.extname = 'postgis' AND n.nspname = 'public') THEN
        RAISE EXCEPTION 'pg_hail needs PostGIS in schema public'
            USING ERRCODE = 'invalid_schema_name', HINT = 'CREATE EXTENSION postgis SCHEMA public;';
    END IF;
END
$$;

-- Refused when it exists: objects of someone else must not get inside our search path.
CREATE SCHEMA hail;
COMMENT ON SCHEMA hail IS 'pg_hail: on-demand dispatch engine';
GRANT USAGE ON SCHEMA hail TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst, hail_front;

SET LOCAL search_path = hail, pg_catalog, pg_temp;

CREATE FUNCTION hail.fail(code text, message text, field text DEFAULT NULL, hint text DEFAULT NULL,
                          detail text DEFAULT NULL) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_fail';
COMMENT ON FUNCTION hail.fail(text, text, text, text, text) IS
'Raise an error of the registry (see hail.error_codes) by its code word, naming the argument at fault. Internal.';

CREATE FUNCTION hail.error_codes(OUT sqlstate text, OUT code text, OUT http_status integer) RETURNS SETOF record
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'hail_error_codes';
COMMENT ON FUNCTION hail.error_codes() IS
'Every error of pg_hail: SQLSTATE, stable code word and the HTTP status haild answers with.';

CREATE FUNCTION hail.kept_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_kept_changed';
COMMENT ON FUNCTION hail.kept_changed() IS
'Trigger: every backend reads its copies of the table anew (src/base/kept.h). Internal.';

CREATE FUNCTION hail.uuid7() RETURNS uuid
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_uuid7_sql';
COMMENT ON FUNCTION hail.uuid7() IS 'A new UUID version 7 (RFC 9562): ascending with time.';

CREATE FUNCTION hail.clock() RETURNS timestamptz
LANGUAGE c STRICT VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_clock';
COMMENT ON FUNCTION hail.clock() IS
'Now, as every rule of pg_hail sees it: the wall clock, unless a superuser has set the test clock.';

CREATE FUNCTION hail.set_clock(at timestamptz, rate float8 DEFAULT 0) RETURNS timestamptz
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'hail_set_clock';
COMMENT ON FUNCTION hail.set_clock(timestamptz, float8) IS
'Start the test clock at a time and let it run `rate` times as fast as the wall clock; 0 freezes it. Superusers only; all backends and workers see it.';

CREATE FUNCTION hail.advance_clock("by" interval) RETURNS timestamptz
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'hail_advance_clock';
COMMENT ON FUNCTION hail.advance_clock(interval) IS 'Move the test clock, keeping its rate. Superusers only.';

CREATE FUNCTION hail.reset_clock() RETURNS timestamptz
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'hail_reset_clock';
COMMENT ON FUNCTION hail.reset_clock() IS 'Back to the wall clock. Superusers only.';

GRANT EXECUTE ON FUNCTION hail.error_codes(), hail.uuid7(), hail.clock()
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst, hail_front;
