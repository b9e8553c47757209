-- 74_ledger_gateways: payment gateways, their secrets, what their messages look like; limits of deposits

CREATE TABLE hail.gateways (
    id            uuid PRIMARY KEY DEFAULT hail.uuid7(),
    name          text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9_-]{2,64}$'),
    dialect       text NOT NULL CHECK (dialect IN ('standard_webhooks', 'sorted_query')),
    mapping       jsonb NOT NULL,
    tolerance     interval NOT NULL CHECK (tolerance BETWEEN '1 second' AND '30 days'),
    deposit_ttl   interval NOT NULL CHECK (deposit_ttl BETWEEN '1 minute' AND '30 days'),
    currencies    text[] NOT NULL CHECK (cardinality(currencies) > 0),
    priority      integer NOT NULL,
    enabled       boolean NOT NULL DEFAULT true,
    event_version integer NOT NULL,
    created_at    timestamptz NOT NULL
);
COMMENT ON TABLE hail.gateways IS
'Companies that take customers'' money. They are asked by jobs (events PaymentRequested, PaymentVerificationRequested, PaymentRefundRequested) and answer by signed events (hail.receive_gateway_event).';
COMMENT ON COLUMN hail.gateways.name IS 'Names the gateway in the address of its webhook.';
COMMENT ON COLUMN hail.gateways.mapping IS 'Where its messages tell what; see hail.gateway_mapping() and src/ledger/GATEWAYS.md.';
COMMENT ON COLUMN hail.gateways.tolerance IS 'How far the time that an event was signed with may be from the clock.';
COMMENT ON COLUMN hail.gateways.deposit_ttl IS 'What has not been paid for so long has expired.';
COMMENT ON COLUMN hail.gateways.priority IS 'Where nobody names a gateway, the lowest of those that take the currency is asked.';
COMMENT ON COLUMN hail.gateways.enabled IS 'false: nothing new is begun with it; its events are still heard, for money may be under way.';
COMMENT ON COLUMN hail.gateways.event_version IS 'Version of the gateway''s newest event.';
GRANT SELECT ON hail.gateways TO hail_admin;
CREATE POLICY gateways_admin ON hail.gateways FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

CREATE TABLE hail.gateway_secrets (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    gateway    text NOT NULL REFERENCES hail.gateways (name),
    secret     bytea NOT NULL CHECK (length(secret) BETWEEN 16 AND 128),
    created_at timestamptz NOT NULL,
    expires_at timestamptz
);
CREATE INDEX gateway_secrets_gateway ON hail.gateway_secrets (gateway);
CREATE UNIQUE INDEX gateway_secrets_newest ON hail.gateway_secrets (gateway) WHERE expires_at IS NULL;
COMMENT ON TABLE hail.gateway_secrets IS
'Keys that gateways sign their events with; an HMAC needs them as they are. Nobody may read them but the owner''s functions; they are told once, when made.';
COMMENT ON COLUMN hail.gateway_secrets.expires_at IS 'After a rotation: valid until then. NULL: the newest, valid until the next one.';

CREATE TABLE hail.deposit_limits (
    currency      text PRIMARY KEY REFERENCES hail.currencies (code),
    minimum       bigint NOT NULL CHECK (minimum > 0),
    maximum       bigint NOT NULL,
    daily_maximum bigint NOT NULL,
    CHECK (minimum <= maximum AND maximum <= daily_maximum AND daily_maximum <= 9007199254740992)
);
COMMENT ON TABLE hail.deposit_limits IS
'Minor units that one deposit may have, and those of one user within 24 hours (whatever failed or expired is not counted). A currency without a row has no limits.';
GRANT SELECT ON hail.deposit_limits TO hail_customer, hail_driver, hail_partner, hail_admin, hail_analyst;
CREATE POLICY deposit_limits_everybody ON hail.deposit_limits FOR SELECT USING (hail.current_role_name() IS NOT NULL);

-- What messages look like

CREATE FUNCTION hail.gateway_mapping(dialect text) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object(
    'amounts', 'minor', 'types', '{}'::jsonb, 'type', '["type"]'::jsonb, 'time', 'timestamp', 'intent', 'intentId', 'refund', 'refundId',
    'payout', 'payoutId', 'reference', 'reference', 'amount', 'amount', 'currency', 'currency', 'fee', 'fee', 'reason', 'reason')
|| CASE dialect WHEN 'sorted_query' THEN jsonb_build_object(
    'amounts', 'major', 'header', 'x-kashier-signature', 'signed_keys', 'signatureKeys', 'event_id', '["transactionId", "status"]'::jsonb,
    'type', '["event", "status"]'::jsonb, 'time', 'creationDate', 'intent', 'merchantOrderId', 'reference', 'transactionId',
    'types', jsonb_build_object(
        'pay PENDING', 'payment.pending', 'pay SUCCESS', 'payment.succeeded', 'pay FAILURE', 'payment.failed', 'pay FAILED', 'payment.failed',
        'pay EXPIRED', 'payment.expired', 'refund SUCCESS', 'refund.succeeded', 'refund FAILURE', 'refund.failed',
        'refund FAILED', 'refund.failed')) ELSE '{}' END;
COMMENT ON FUNCTION hail.gateway_mapping(text) IS
'Where messages of a dialect tell what, unless a gateway says otherwise: names of fields of their data; type: names whose values, with a space between, are looked up in types (not there: the type itself); amounts: minor or major units. sorted_query also: header of the signature, signed_keys (a field that lists the names, or the names), event_id. As Standard Webhooks and Kashier send them. Internal.';

CREATE FUNCTION hail.check_mapping(dialect text, mapping jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    defaults jsonb := hail.gateway_mapping(dialect);
    entry record;
    good boolean;
BEGIN
    IF mapping IS NOT NULL AND (jsonb_typeof(mapping) <> 'object' OR octet_length(mapping::text) > 10000) THEN
        PERFORM hail.fail('invalid_value', 'mapping must be an object of 10000 characters at most', 'mapping');
    END IF;
    FOR entry IN SELECT m.key, m.value, jsonb_typeof(m.value) AS kind FROM jsonb_each(mapping) m ORDER BY m.key LOOP
        good := CASE
            WHEN NOT defaults ? entry.key THEN false
            WHEN entry.key = 'amounts' THEN entry.value IN ('"minor"', '"major"')
            WHEN entry.key = 'types' THEN entry.kind = 'object' AND NOT EXISTS (
                SELECT FROM jsonb_each(entry.value) t WHERE jsonb_typeof(t.value) <> 'string')
            WHEN entry.key IN ('type', 'event_id') OR entry.key = 'signed_keys' AND entry.kind = 'array' THEN
                entry.kind = 'array' AND jsonb_array_length(entry.value) BETWEEN 1 AND 50 AND NOT EXISTS (
                SELECT FROM jsonb_array_elements(entry.value) t WHERE jsonb_typeof(t.value) <> 'string' OR t.value = '""')
            WHEN entry.key = 'header' THEN entry.kind = 'string' AND (entry.value #>> '{}') ~ '^[a-z][a-z0-9-]{0,63}$'
            -- no field for it: the gateway does not tell
            WHEN entry.key IN ('time', 'refund', 'payout', 'fee', 'reason') AND entry.kind = 'null' THEN true
            ELSE entry.kind = 'string' AND entry.value <> '""' END;
        IF good IS NOT TRUE THEN
            PERFORM hail.fail('invalid_value', format('mapping has an unknown or unfit %s', quote_ident(entry.key)), 'mapping',
                              'See src/ledger/GATEWAYS.md.');
        END IF;
    END LOOP;
    RETURN defaults || coalesce(mapping, '{}');
END
$$;
COMMENT ON FUNCTION hail.check_mapping(text, jsonb) IS
'The mapping of a dialect, changed by what is given; error invalid_value (mapping). Internal.';

-- Gateways and their secrets, by administrators

CREATE FUNCTION hail.require_gateway(name text) RETURNS hail.gateways
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.gateways;
BEGIN
    SELECT * INTO found FROM hail.gateways g WHERE g.name = require_gateway.name FOR NO KEY UPDATE;
    IF found.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such gateway', 'gateway');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.require_gateway(text) IS 'Lock a gateway, then read it; error not_found (gateway). Internal.';

CREATE FUNCTION hail.note_gateway(gateway hail.gateways, type text, payload jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    version integer;
BEGIN
    UPDATE hail.gateways g SET event_version = g.event_version + 1 WHERE g.id = gateway.id RETURNING g.event_version INTO version;
    PERFORM hail.write_event('gateway', gateway.id, version, type, payload);
END
$$;
COMMENT ON FUNCTION hail.note_gateway(hail.gateways, text, jsonb) IS 'Count a locked gateway''s version up and write its event. Internal.';

CREATE FUNCTION hail.store_gateway_secret(gateway hail.gateways, given text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    standard boolean := gateway.dialect = 'standard_webhooks';
    told text := CASE WHEN given IS NULL AND NOT standard THEN encode(hail.new_webhook_secret(), 'hex') ELSE given END;
    fresh bytea;
BEGIN
    IF standard THEN
        fresh := coalesce(hail.read_webhook_secret(told), hail.new_webhook_secret());
        told := hail.webhook_secret_text(fresh);
    ELSIF told !~ '^[!-~]{16,128}$' THEN
        PERFORM hail.fail('invalid_value', 'a secret has 16 to 128 printable ASCII characters, no blanks', 'secret');
    ELSE
        fresh := convert_to(told, 'UTF8');
    END IF;
    INSERT INTO hail.gateway_secrets (gateway, secret, created_at) VALUES (gateway.name, fresh, hail.clock());
    RETURN told;
END
$$;
COMMENT ON FUNCTION hail.store_gateway_secret(hail.gateways, text) IS
'Keep a locked gateway''s new secret, the one given or a random one; as text: whsec_... or, sorted_query, the key as it is. Internal.';

CREATE FUNCTION hail.create_gateway(name text, dialect text, currencies text[], tolerance interval DEFAULT '5 minutes',
                                    deposit_ttl interval DEFAULT '1 hour', priority integer DEFAULT 100, mapping jsonb DEFAULT NULL,
                                    secret text DEFAULT NULL, OUT gateway hail.gateways, OUT gateway_secret text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    IF (name ~ '^[a-z0-9_-]{2,64}$') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'name must have 2 to 64 of a-z, 0-9, _ and -', 'name');
    ELSIF (dialect IN ('standard_webhooks', 'sorted_query')) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'dialect is standard_webhooks or sorted_query', 'dialect');
    ELSIF (cardinality(currencies) BETWEEN 1 AND 200) IS NOT TRUE OR EXISTS (
            SELECT FROM unnest(currencies) c WHERE NOT EXISTS (SELECT FROM hail.currencies k WHERE k.code = c)) THEN
        PERFORM hail.fail('invalid_value', 'currencies must be some of hail.currencies', 'currencies');
    ELSIF (tolerance BETWEEN '1 second' AND '30 days') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'tolerance is 1 second to 30 days', 'tolerance');
    ELSIF (deposit_ttl BETWEEN '1 minute' AND '30 days') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'deposit_ttl is 1 minute to 30 days', 'deposit_ttl');
    ELSIF priority IS NULL THEN
        PERFORM hail.fail('invalid_value', 'priority is a number', 'priority');
    END IF;
    INSERT INTO hail.gateways AS g (name, dialect, mapping, tolerance, deposit_ttl, currencies, priority, event_version, created_at)
    VALUES (create_gateway.name, create_gateway.dialect, hail.check_mapping(create_gateway.dialect, create_gateway.mapping),
            create_gateway.tolerance, create_gateway.deposit_ttl,
            ARRAY(SELECT DISTINCT c FROM unnest(create_gateway.currencies) c ORDER BY c), create_gateway.priority, 1, hail.clock())
    ON CONFLICT DO NOTHING RETURNING g.* INTO gateway;
    IF gateway.id IS NULL THEN
        PERFORM hail.fail('already_exists', 'there is a gateway of this name', 'name');
    END IF;
    gateway_secret := hail.store_gateway_secret(gateway, secret);
    PERFORM hail.write_event('gateway', gateway.id, 1, 'GatewayCreated', jsonb_build_object('name', gateway.name, 'dialect', gateway.dialect));
END
$$;
COMMENT ON FUNCTION hail.create_gateway(text, text, text[], interval, interval, integer, jsonb, text) IS
'A payment gateway: dialect of its events'' signatures (standard_webhooks or sorted_query), currencies it takes, how old an event may be, how long a payment may stay open, priority (the lowest is asked where none is named), and what its messages look like where they differ from the dialect''s (src/ledger/GATEWAYS.md). Returns the secret its events are signed with (a new one unless given), this once. Administrators only. Errors: invalid_value, already_exists.';

CREATE FUNCTION hail.rotate_gateway_secret(gateway text, keep interval DEFAULT '24 hours', secret text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz := hail.clock();
    found hail.gateways;
    told text;
BEGIN
    PERFORM hail.require_admin();
    IF (keep BETWEEN '0 seconds' AND '30 days') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'the old secret can be kept for up to 30 days', 'keep');
    END IF;
    found := hail.require_gateway(gateway);
    DELETE FROM hail.gateway_secrets s WHERE s.gateway = found.name AND s.expires_at <= moment;
    UPDATE hail.gateway_secrets s SET expires_at = moment + keep WHERE s.gateway = found.name AND s.expires_at IS NULL;
    told := hail.store_gateway_secret(found, secret);
    PERFORM hail.note_gateway(found, 'GatewaySecretRotated', jsonb_build_object('old_valid_until', moment + keep));
    RETURN told;
END
$$;
COMMENT ON FUNCTION hail.rotate_gateway_secret(text, interval, text) IS
'A new secret for a gateway, returned this once; the one before stays valid for `keep` (30 days at most). Administrators only. Errors: not_found, invalid_value.';

CREATE FUNCTION hail.retire_gateway_secret(gateway text, secret_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner hail.gateways;
BEGIN
    PERFORM hail.require_admin();
    owner := hail.require_gateway(gateway);
    DELETE FROM hail.gateway_secrets s WHERE s.id = secret_id AND s.gateway = owner.name;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'the gateway has no such secret', 'secret_id');
    END IF;
    PERFORM hail.note_gateway(owner, 'GatewaySecretRetired', jsonb_build_object('secret_id', secret_id));
END
$$;
COMMENT ON FUNCTION hail.retire_gateway_secret(text, uuid) IS
'Forget a secret at once; with none left every event of the gateway is refused. Administrators only. Error not_found (gateway, secret_id).';

CREATE FUNCTION hail.list_gateway_secrets(gateway text)
RETURNS TABLE (secret_id uuid, created_at timestamptz, expires_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN QUERY SELECT s.id, s.created_at, s.expires_at FROM hail.gateway_secrets s
                 WHERE s.gateway = list_gateway_secrets.gateway AND coalesce(s.expires_at > hail.clock(), true) ORDER BY s.id;
END
$$;
COMMENT ON FUNCTION hail.list_gateway_secrets(text) IS
'The valid secrets of a gateway, oldest first: ids and times, never the secrets. Administrators only.';

CREATE FUNCTION hail.set_gateway_enabled(gateway text, enabled boolean) RETURNS hail.gateways
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.gateways;
BEGIN
    PERFORM hail.require_admin();
    found := hail.require_gateway(gateway);
    IF set_gateway_enabled.enabled IS NULL THEN
        PERFORM hail.fail('invalid_value', 'enabled is true or false', 'enabled');
    ELSIF found.enabled <> set_gateway_enabled.enabled THEN
        UPDATE hail.gateways g SET enabled = set_gateway_enabled.enabled WHERE g.id = found.id;
        PERFORM hail.note_gateway(found, CASE WHEN set_gateway_enabled.enabled THEN 'GatewayEnabled' ELSE 'GatewayDisabled' END, '{}');
    END IF;
    SELECT * INTO found FROM hail.gateways g WHERE g.id = found.id;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.set_gateway_enabled(text, boolean) IS
'Begin payments with a gateway, or none any more; what is under way goes on, its events are heard. Administrators only. Errors: not_found, invalid_value.';

CREATE FUNCTION hail.list_gateways() RETURNS SETOF hail.gateways
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN QUERY SELECT * FROM hail.gateways g ORDER BY g.priority, g.name;
END
$$;
COMMENT ON FUNCTION hail.list_gateways() IS 'All gateways, the one asked first at the top. Administrators only.';

CREATE FUNCTION hail.set_deposit_limit(currency text, minimum bigint, maximum bigint, daily_maximum bigint) RETURNS hail.deposit_limits
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stored hail.deposit_limits;
BEGIN
    PERFORM hail.require_admin();
    IF NOT EXISTS (SELECT FROM hail.currencies c WHERE c.code = set_deposit_limit.currency) THEN
        PERFORM hail.fail('invalid_value', 'unknown currency', 'currency', 'See hail.currencies.');
    ELSIF (minimum > 0) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'minimum must be above 0', 'minimum');
    ELSIF (maximum >= minimum) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'maximum must be at least the minimum', 'maximum');
    ELSIF (daily_maximum BETWEEN maximum AND 9007199254740992) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'daily_maximum must be at least the maximum, and at most 2^53', 'daily_maximum');
    END IF;
    INSERT INTO hail.deposit_limits AS l (currency, minimum, maximum, daily_maximum)
    VALUES (set_deposit_limit.currency, set_deposit_limit.minimum, set_deposit_limit.maximum, set_deposit_limit.daily_maximum)
    ON CONFLICT ON CONSTRAINT deposit_limits_pkey
    DO UPDATE SET minimum = excluded.minimum, maximum = excluded.maximum, daily_maximum = excluded.daily_maximum
    RETURNING l.* INTO stored;
    RETURN stored;
END
$$;
COMMENT ON FUNCTION hail.set_deposit_limit(text, bigint, bigint, bigint) IS
'What deposits of a currency may be, minor units: one, and all of a user within 24 hours. Administrators only. Error invalid_value.';

CREATE FUNCTION hail.list_deposit_limits() RETURNS SETOF hail.deposit_limits
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.caller_role();
    RETURN QUERY SELECT * FROM hail.deposit_limits l ORDER BY l.currency;
END
$$;
COMMENT ON FUNCTION hail.list_deposit_limits() IS 'Limits of deposits by currency, minor units. For everybody who has signed in.';

GRANT EXECUTE ON FUNCTION hail.create_gateway(text, text, text[], interval, interval, integer, jsonb, text),
    hail.rotate_gateway_secret(text, interval, text), hail.retire_gateway_secret(text, uuid), hail.list_gateway_secrets(text),
    hail.set_gateway_enabled(text, boolean), hail.list_gateways(), hail.set_deposit_limit(text, bigint, bigint, bigint) TO hail_admin;
GRANT EXECUTE ON FUNCTION hail.list_deposit_limits() TO hail_customer, hail_driver, hail_partner, hail_admin, hail_analyst;
