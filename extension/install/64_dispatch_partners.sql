-- 64_dispatch_partners: shops and other systems that order deliveries, by their token or by a signed webhook

CREATE TABLE hail.partners (
    id         uuid PRIMARY KEY REFERENCES hail.users (id),
    code       text NOT NULL UNIQUE CHECK (code ~ '^[a-z0-9_-]{2,64}$'),
    active     boolean NOT NULL DEFAULT true,
    event_version integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE hail.partners IS
'External systems that order deliveries; a partner is a user of role partner (same id), and the customer of what it orders.';
COMMENT ON COLUMN hail.partners.code IS 'Names the partner in the address of its webhook.';
COMMENT ON COLUMN hail.partners.event_version IS 'Version of the partner''s newest event.';

CREATE TABLE hail.partner_secrets (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    partner_id uuid NOT NULL REFERENCES hail.partners (id),
    secret     bytea NOT NULL CHECK (length(secret) BETWEEN 24 AND 64),
    created_at timestamptz NOT NULL,
    expires_at timestamptz
);
CREATE INDEX partner_secrets_partner ON hail.partner_secrets (partner_id);
CREATE UNIQUE INDEX partner_secrets_newest ON hail.partner_secrets (partner_id) WHERE expires_at IS NULL;
COMMENT ON TABLE hail.partner_secrets IS
'Keys that webhooks of partners are signed with (Standard Webhooks); an HMAC needs them as they are. Nobody may read them but the owner''s functions; they are told once, when made.';
COMMENT ON COLUMN hail.partner_secrets.expires_at IS 'After a rotation: valid until then. NULL: the newest, valid until the next one.';

CREATE POLICY partners_self ON hail.partners FOR SELECT TO hail_partner USING (id = hail.current_subject());
CREATE POLICY partners_admin ON hail.partners FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
GRANT SELECT ON hail.partners TO hail_partner, hail_admin;
GRANT EXECUTE ON FUNCTION hail.get_trip(uuid), hail.matching_status(uuid) TO hail_partner;

-- Partners and their secrets

CREATE FUNCTION hail.store_secret(partner_id uuid, given text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fresh bytea := coalesce(hail.read_webhook_secret(given), hail.new_webhook_secret());
BEGIN
    INSERT INTO hail.partner_secrets (partner_id, secret, created_at) VALUES (store_secret.partner_id, fresh, hail.clock());
    RETURN hail.webhook_secret_text(fresh);
END
$$;
COMMENT ON FUNCTION hail.store_secret(uuid, text) IS 'Keep a partner''s new secret, its own or a random one; as text. Internal.';

CREATE FUNCTION hail.create_partner(user_id uuid, code text, secret text DEFAULT NULL, OUT partner hail.partners, OUT webhook_secret text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    IF (code ~ '^[a-z0-9_-]{2,64}$') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'code must have 2 to 64 of a-z, 0-9, _ and -', 'code');
    ELSIF NOT EXISTS (SELECT FROM hail.users u WHERE u.id = user_id AND u.role = 'partner' AND u.active) THEN
        PERFORM hail.fail('not_found', 'there is no active user of role partner with this id', 'user_id');
    END IF;
    INSERT INTO hail.partners AS added (id, code, event_version, created_at) VALUES (user_id, create_partner.code, 1, hail.clock())
    ON CONFLICT DO NOTHING RETURNING added.* INTO partner;
    IF partner.id IS NULL THEN
        PERFORM hail.fail('already_exists', 'this user or this code is a partner already', 'code');
    END IF;
    webhook_secret := hail.store_secret(partner.id, secret);
    PERFORM hail.write_event('partner', partner.id, partner.event_version, 'PartnerCreated', jsonb_build_object('code', partner.code));
END
$$;
COMMENT ON FUNCTION hail.create_partner(uuid, text, text) IS
'Let a user of role partner order deliveries. Returns the secret that its webhooks are signed with (whsec_..., a new one unless given), this once. Administrators only. Errors: invalid_value (code, secret), not_found, already_exists.';

CREATE FUNCTION hail.rotate_partner_secret(partner_id uuid, keep interval DEFAULT '24 hours', secret text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz := hail.clock();
    partner hail.partners;
    fresh text;
BEGIN
    PERFORM hail.require_self('partner', partner_id);
    IF (keep BETWEEN '0 seconds' AND '30 days') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'the old secret can be kept for up to 30 days', 'keep');
    END IF;
    UPDATE hail.partners p SET event_version = p.event_version + 1
    WHERE p.id = rotate_partner_secret.partner_id RETURNING p.* INTO partner;
    IF partner.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such partner', 'partner_id');
    END IF;
    -- Two are valid at most: the one before the last goes.
    DELETE FROM hail.partner_secrets s WHERE s.partner_id = rotate_partner_secret.partner_id AND s.expires_at IS NOT NULL;
    UPDATE hail.partner_secrets s SET expires_at = moment + keep
    WHERE s.partner_id = rotate_partner_secret.partner_id AND s.expires_at IS NULL;
    fresh := hail.store_secret(partner.id, secret);
    PERFORM hail.write_event('partner', partner.id, partner.event_version, 'PartnerSecretRotated',
                             jsonb_build_object('old_valid_until', moment + keep));
    RETURN fresh;
END
$$;
COMMENT ON FUNCTION hail.rotate_partner_secret(uuid, interval, text) IS
'A new webhook secret for a partner (itself or admin), returned this once; the old one stays valid for `keep` (30 days at most). Errors: not_found, invalid_value.';

CREATE FUNCTION hail.set_partner_active(partner_id uuid, active boolean) RETURNS hail.partners
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    partner hail.partners;
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO partner FROM hail.partners p WHERE p.id = set_partner_active.partner_id FOR NO KEY UPDATE;
    IF partner.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such partner', 'partner_id');
    ELSIF partner.active = coalesce(set_partner_active.active, false) THEN
        RETURN partner;
    END IF;
    UPDATE hail.partners p SET active = NOT p.active, event_version = p.event_version + 1
    WHERE p.id = partner.id RETURNING p.* INTO partner;
    PERFORM hail.write_event('partner', partner.id, partner.event_version,
                             CASE WHEN partner.active THEN 'PartnerActivated' ELSE 'PartnerDeactivated' END, '{}');
    RETURN partner;
END
$$;
COMMENT ON FUNCTION hail.set_partner_active(uuid, boolean) IS
'Take orders of a partner, or none any more; what it ordered goes on. Administrators only. Error: not_found.';
GRANT EXECUTE ON FUNCTION hail.create_partner(uuid, text, text), hail.set_partner_active(uuid, boolean) TO hail_admin;
GRANT EXECUTE ON FUNCTION hail.rotate_partner_secret(uuid, interval, text) TO hail_admin, hail_partner;

-- Orders

CREATE FUNCTION hail.place_order(partner_id uuid, order_id text, service_class text, job hail.job_input, payment_method text,
                                 strategy text, scheduled_for timestamptz) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
    quote hail.quotes;
BEGIN
    IF NOT EXISTS (SELECT FROM hail.partners p JOIN hail.users u ON u.id = p.id
                   WHERE p.id = place_order.partner_id AND p.active AND u.active) THEN
        PERFORM hail.fail('forbidden', 'no orders are taken of this partner', 'partner_id');
    ELSIF (length(order_id) BETWEEN 1 AND 150) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'an order has an id of 1 to 150 characters', 'order_id');
    ELSIF strategy = 'broadcast_bid' THEN
        PERFORM hail.fail('invalid_value', 'nobody chooses among bids for an order', 'strategy',
                          'Orders are placed at the quoted price, by another strategy.');
    END IF;
    PERFORM hail.limit_rate('partner_order');
    job.partner_id := partner_id;
    job.partner_order := order_id;
    job.hash := sha256(job.hash || convert_to(jsonb_build_array(service_class, payment_method, strategy,
        extract(epoch FROM scheduled_for))::text, 'UTF8'));
    -- The same order at the same time: one after the other, so that the second finds what the first made. The unique
    -- constraint on (partner_id, partner_order) is the law.
    PERFORM pg_advisory_xact_lock(hashtextextended(format('hail order %s %s', partner_id, order_id), 0));
    SELECT * INTO trip FROM hail.trips t WHERE t.partner_id = place_order.partner_id AND t.partner_order = place_order.order_id;
    IF trip.id IS NULL THEN
        quote := hail.quote_stops(partner_id, job.stops, service_class);
        trip := hail.create_job(quote, job, payment_method, strategy, 'order:' || order_id, scheduled_for);
    ELSIF job.hash IS DISTINCT FROM (SELECT l.request_hash FROM hail.trip_loads l WHERE l.trip_id = trip.id) THEN
        PERFORM hail.fail('idempotency_mismatch', 'this order was placed with another content', 'order_id',
                          'A changed order needs an id of its own; cancel the first one.');
    END IF;
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.place_order(uuid, text, text, hail.job_input, text, text, timestamptz) IS
'The job of a partner''s order, made now at today''s price or found. Internal.';

CREATE FUNCTION hail.create_partner_order(partner_id uuid, order_id text, service_class text, stops jsonb,
                                          payment_method text DEFAULT 'wallet', package text DEFAULT NULL,
                                          weight_kg real DEFAULT NULL, volume_l real DEFAULT NULL, floors integer DEFAULT NULL,
                                          helpers integer DEFAULT NULL, strategy text DEFAULT 'first_accept',
                                          scheduled_for timestamptz DEFAULT NULL) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_self('partner', partner_id);
    RETURN hail.place_order(partner_id, order_id, service_class,
                            hail.check_job(stops, package, weight_kg, volume_l, floors, helpers), payment_method, strategy,
                            scheduled_for);
END
$$;
COMMENT ON FUNCTION hail.create_partner_order(uuid, text, text, jsonb, text, text, real, real, integer, integer, text, timestamptz) IS
'A partner (itself or admin) orders a delivery or porter job; stops as in hail.create_job_quote(). It costs what hail.create_job_quote() would say now, paid from the partner''s wallet, or cash by who receives it. The order''s id is the idempotency key: the same order again returns its trip, with another content error idempotency_mismatch. Strategies: all but broadcast_bid. Counts in the rate class partner_order. Other errors: those of hail.request_delivery(), forbidden, rate_limited.';
GRANT EXECUTE ON FUNCTION hail.create_partner_order(uuid, text, text, jsonb, text, text, real, real, integer, integer, text, timestamptz)
    TO hail_partner, hail_admin;

CREATE FUNCTION hail.get_partner_order(partner_id uuid, order_id text) RETURNS hail.trips
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
BEGIN
    PERFORM hail.require_self('partner', partner_id);
    SELECT * INTO trip FROM hail.trips t WHERE t.partner_id = get_partner_order.partner_id AND t.partner_order = order_id;
    IF trip.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such order', 'order_id');
    END IF;
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.get_partner_order(uuid, text) IS 'The trip of a partner''s order, by the order''s id (the partner itself or admin). Error: not_found.';
GRANT EXECUTE ON FUNCTION hail.get_partner_order(uuid, text) TO hail_partner, hail_admin;

-- Webhooks (11_identity_webhooks): the signature says who orders

CREATE FUNCTION hail.begin_partner_session(partner_id uuid) RETURNS void
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'hail_begin_partner_session';
COMMENT ON FUNCTION hail.begin_partner_session(uuid) IS
'Be this partner until the transaction ends: its signature has just been verified. Internal.';

CREATE FUNCTION hail.parse_order(raw_body text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body jsonb;
    unknown text;
BEGIN
    IF octet_length(raw_body) > 1048576 THEN
        PERFORM hail.fail('invalid_value', 'the body must have 1 MB at most', 'body');
    END IF;
    BEGIN
        body := raw_body::jsonb;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        body := NULL;
    END;
    IF jsonb_typeof(body) IS DISTINCT FROM 'object' THEN
        PERFORM hail.fail('invalid_value', 'the body is no JSON object', 'body');
    END IF;
    body := hail.snake_keys(body);
    SELECT min(k) INTO unknown FROM jsonb_object_keys(body) k
    WHERE k NOT IN ('order_id', 'service_class', 'stops', 'payment_method', 'package', 'weight_kg', 'volume_l', 'floors', 'helpers',
                    'strategy', 'scheduled_for');
    IF unknown IS NOT NULL THEN
        PERFORM hail.fail('invalid_value', 'the order has an unknown field ' || unknown, unknown);
    END IF;
    RETURN body;
END
$$;
COMMENT ON FUNCTION hail.parse_order(text) IS 'The fields of an order''s body, in snake_case; errors name the one at fault. Internal.';

CREATE FUNCTION hail.check_time(value jsonb, field text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given text := hail.check_text(value, field, 40);
BEGIN
    IF given !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(Z|[+-][0-9:]{2,6})$' THEN
        PERFORM hail.fail('invalid_value', field || ' must be a time such as 2026-03-01T12:00:00Z', field);
    END IF;
    RETURN given::timestamptz;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format OR invalid_time_zone_displacement_value THEN
    PERFORM hail.fail('invalid_value', field || ' must be a time such as 2026-03-01T12:00:00Z', field);
END
$$;
COMMENT ON FUNCTION hail.check_time(jsonb, text) IS 'A time of a JSON document (ISO 8601 with its zone), or NULL; error that names the field. Internal.';

CREATE FUNCTION hail.receive_order_webhook(partner text, webhook_id text, timestamp_text text, signature text, raw_body text)
RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who uuid;
    secrets bytea[];
    body jsonb;
BEGIN
    SELECT p.id, array_agg(s.secret ORDER BY s.created_at DESC) INTO who, secrets
    FROM hail.partners p JOIN hail.partner_secrets s ON s.partner_id = p.id AND coalesce(s.expires_at > hail.clock(), true)
    WHERE p.code = receive_order_webhook.partner GROUP BY p.id;
    PERFORM hail.verify_webhook(secrets, webhook_id, timestamp_text, signature, raw_body);
    PERFORM hail.begin_partner_session(who);
    body := hail.parse_order(raw_body);
    RETURN hail.place_order(who, hail.check_text(body -> 'order_id', 'order_id', 150),
        hail.check_text(body -> 'service_class', 'service_class', 50),
        hail.check_job(body -> 'stops', hail.check_text(body -> 'package', 'package', 1000),
                       hail.check_number(body -> 'weight_kg', 'weight_kg', 0.001, 100000)::real,
                       hail.check_number(body -> 'volume_l', 'volume_l', 0.001, 1000000)::real,
                       hail.check_integer(body -> 'floors', 'floors', 0, 200),
                       hail.check_integer(body -> 'helpers', 'helpers', 0, 50)),
        coalesce(hail.check_text(body -> 'payment_method', 'payment_method', 20), 'wallet'),
        coalesce(hail.check_text(body -> 'strategy', 'strategy', 50), 'first_accept'),
        hail.check_time(body -> 'scheduled_for', 'scheduled_for'));
END
$$;
COMMENT ON FUNCTION hail.receive_order_webhook(text, text, text, text, text) IS
'An order by webhook: the partner''s code, the headers webhook-id, webhook-timestamp and webhook-signature (Standard Webhooks, v1), the raw body. The body is what hail.create_partner_order() takes, as JSON: orderId, serviceClass, stops, paymentMethod, package, weightKg, volumeL, floors, helpers, strategy, scheduledFor. The signature is the caller''s identity. Errors: invalid_signature (unknown partner, forged, or too old: see the hint), else those of hail.create_partner_order().';
GRANT EXECUTE ON FUNCTION hail.receive_order_webhook(text, text, text, text, text) TO hail_front;
