-- 10_identity: users, tokens, the verified session

CREATE TABLE hail.users (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    phone      text UNIQUE CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    role       text NOT NULL CHECK (role IN ('customer', 'driver', 'admin', 'partner', 'analyst')),
    active     boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT hail.clock()
);
COMMENT ON TABLE hail.users IS 'Everybody who can hold a token. One role each.';

CREATE FUNCTION hail.current_subject() RETURNS uuid
LANGUAGE c STABLE LEAKPROOF PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'hail_current_subject';
COMMENT ON FUNCTION hail.current_subject() IS
'The user whose token hail.authenticate() verified in this transaction; NULL without one.';

CREATE FUNCTION hail.current_role_name() RETURNS text
LANGUAGE c STABLE LEAKPROOF PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'hail_current_role_name';
COMMENT ON FUNCTION hail.current_role_name() IS
'customer, driver, admin, partner or analyst, as verified; admin for database administrators without a token (members of hail_admin, superusers); else NULL.';

CREATE FUNCTION hail.require_self(role text, user_id uuid) RETURNS void
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'hail_require_self_sql';
COMMENT ON FUNCTION hail.require_self(text, uuid) IS
'Error unless the caller is this user in this role, or an administrator. Internal.';

CREATE FUNCTION hail.require_admin() RETURNS void
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'hail_require_admin_sql';
COMMENT ON FUNCTION hail.require_admin() IS 'Error unless the caller is an administrator. Internal.';

CREATE FUNCTION hail.authenticate(token text, OUT subject uuid, OUT role text, OUT expires_at timestamptz)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_authenticate';
COMMENT ON FUNCTION hail.authenticate(text) IS
'Verify an access token and be its subject, in its role, until the transaction ends (or the savepoint is rolled back). The newest token of a transaction counts. Errors: unauthenticated, token_expired.';

CREATE FUNCTION hail.begin_request(token text, request_id text DEFAULT NULL, timeout_ms integer DEFAULT NULL,
                                   read_only boolean DEFAULT false) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_begin_request';
COMMENT ON FUNCTION hail.begin_request(text, text, integer, boolean) IS
'What a front sends first in the transaction of each request: hail.request_id, statement_timeout (milliseconds, for the statements that follow) and, when asked for, a read-only transaction, all until the transaction ends; then the same as hail.authenticate(token). NULL leaves the setting, or the caller, as it is. Errors: unauthenticated, token_expired; those of the settings.';

CREATE FUNCTION hail.sign_token(user_id uuid, role text, expires_at timestamptz) RETURNS text
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'hail_sign_token';
COMMENT ON FUNCTION hail.sign_token(uuid, text, timestamptz) IS
'A signed token with these claims, whoever they name. Internal.';

CREATE FUNCTION hail.issue_token(user_id uuid, ttl interval DEFAULT '15 minutes') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    u hail.users;
BEGIN
    PERFORM hail.require_admin();
    IF ttl IS NULL OR ttl < '1 second' OR ttl > '30 days' THEN
        PERFORM hail.fail('invalid_value', 'a token lives between 1 second and 30 days', 'ttl');
    END IF;
    SELECT * INTO u FROM hail.users WHERE id = issue_token.user_id;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'user does not exist', 'user_id');
    ELSIF NOT u.active THEN
        PERFORM hail.fail('wrong_state', 'user is not active', 'user_id');
    END IF;
    RETURN hail.sign_token(u.id, u.role, hail.clock() + ttl);
END
$$;
COMMENT ON FUNCTION hail.issue_token(uuid, interval) IS
'An access token for an active user, in the user''s role. For administrators. Errors: not_found, wrong_state (inactive), invalid_value (ttl).';
GRANT EXECUTE ON FUNCTION hail.issue_token(uuid, interval) TO hail_admin;

CREATE FUNCTION hail.register_user(phone text, name text, role text) RETURNS hail.users
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    u hail.users;
BEGIN
    PERFORM hail.require_admin();
    -- NULL is a phone too: partners and analysts may have none
    IF phone !~ '^\+[1-9][0-9]{6,14}$' THEN
        PERFORM hail.fail('invalid_value', 'phone must be in international form', 'phone',
                          'A plus sign, the country code, 7 to 15 digits in all (E.164).');
    ELSIF (length(name) BETWEEN 1 AND 200) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'name must have 1 to 200 characters', 'name');
    ELSIF (role IN ('customer', 'driver', 'admin', 'partner', 'analyst')) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'unknown role', 'role',
                          'One of customer, driver, admin, partner, analyst.');
    END IF;
    INSERT INTO hail.users AS added (phone, name, role)
    VALUES (register_user.phone, register_user.name, register_user.role)
    ON CONFLICT DO NOTHING RETURNING added.* INTO u;
    IF NOT FOUND THEN
        PERFORM hail.fail('already_exists', 'phone is registered already', 'phone');
    END IF;
    RETURN u;
END
$$;
COMMENT ON FUNCTION hail.register_user(text, text, text) IS
'Make a user: phone (E.164; NULL: none), name, role. For administrators. Errors: invalid_value, already_exists (phone).';
GRANT EXECUTE ON FUNCTION hail.register_user(text, text, text) TO hail_admin;

GRANT EXECUTE ON FUNCTION hail.authenticate(text), hail.begin_request(text, text, integer, boolean),
    hail.current_subject(), hail.current_role_name()
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst, hail_front;
GRANT SELECT ON hail.users TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
CREATE POLICY users_self ON hail.users FOR SELECT USING (id = hail.current_subject());
CREATE POLICY users_admin ON hail.users FOR SELECT USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.rate_limits() RETURNS TABLE (class text, per_minute integer, refused bigint)
LANGUAGE c VOLATILE ROWS 5 AS 'MODULE_PATHNAME', 'hail_rate_limits';
COMMENT ON FUNCTION hail.rate_limits() IS
'The rate limits: calls a minute and subject (settings hail.<class>_rate; as many may come at once), NULL where there is no limit (0, or not preloaded), and calls refused since the server started. For administrators.';
GRANT EXECUTE ON FUNCTION hail.rate_limits() TO hail_admin;

CREATE FUNCTION hail.limit_rate(class text) RETURNS boolean
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'hail_limit_rate';
COMMENT ON FUNCTION hail.limit_rate(text) IS
'Count one call of the caller in a class (trip_request, driver_response, trip_status, partner_order, quote, estimate): true, or error rate_limited with the detail retry_after_s=N. Fronts ask before the call itself; administrators are not counted. Errors: unauthenticated, invalid_value (class).';
GRANT EXECUTE ON FUNCTION hail.limit_rate(text) TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
