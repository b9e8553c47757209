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

GRANT EXECUTE ON FUNCTION hail.current_subject(), hail.current_role_name()
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst, hail_front;
GRANT SELECT ON hail.users TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
CREATE POLICY users_self ON hail.users FOR SELECT USING (id = hail.current_subject());
CREATE POLICY users_admin ON hail.users FOR SELECT USING (hail.current_role_name() = 'admin');
