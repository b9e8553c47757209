-- 11_identity_webhooks: signatures of webhooks (src/identity/webhook.h tells the two dialects)

CREATE FUNCTION hail.new_webhook_secret() RETURNS bytea
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_new_webhook_secret';
COMMENT ON FUNCTION hail.new_webhook_secret() IS '32 random bytes of a strong source. Internal.';

CREATE FUNCTION hail.webhook_secret_text(secret bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN 'whsec_' || translate(encode(secret, 'base64'), E'\n', '');
COMMENT ON FUNCTION hail.webhook_secret_text(bytea) IS 'A secret as Standard Webhooks write it: whsec_ and base64. Internal.';

CREATE FUNCTION hail.read_webhook_secret(given text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    secret bytea;
BEGIN
    IF given IS NULL THEN
        RETURN NULL;
    END IF;
    BEGIN
        secret := decode(substr(given, 7), 'base64');
    EXCEPTION WHEN data_exception THEN
        secret := NULL;
    END;
    IF given !~ '^whsec_' OR secret IS NULL OR length(secret) NOT BETWEEN 24 AND 64 THEN
        PERFORM hail.fail('invalid_value', 'a secret is whsec_ and 24 to 64 bytes in base64', 'secret');
    END IF;
    RETURN secret;
END
$$;
COMMENT ON FUNCTION hail.read_webhook_secret(text) IS
'The bytes of a secret written whsec_ and base64; NULL for NULL. Error invalid_value (secret). Internal.';

-- Standard Webhooks: HMAC-SHA-256 over id.timestamp.body

CREATE FUNCTION hail.webhook_signature(secret bytea, webhook_id text, timestamp_text text, body text) RETURNS text
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'hail_webhook_signature';
COMMENT ON FUNCTION hail.webhook_signature(bytea, text, text, text) IS 'v1, and the signature in base64, as a sender makes it. Internal.';

CREATE FUNCTION hail.verify_webhook(secrets bytea[], webhook_id text, timestamp_text text, signature text, body text,
                                    tolerance_s integer DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_verify_webhook';
COMMENT ON FUNCTION hail.verify_webhook(bytea[], text, text, text, text, integer) IS
'Error invalid_signature unless one of the signatures (space separated) is of one of the secrets and the timestamp is within tolerance_s seconds (NULL: hail.webhook_tolerance) of the clock. Internal.';

-- Sorted query: HMAC-SHA-256 over name=value&name=value, sorted by name

CREATE FUNCTION hail.percent_encode(value text) RETURNS text
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'hail_percent_encode';
COMMENT ON FUNCTION hail.percent_encode(text) IS 'The text with all bytes but A-Z a-z 0-9 - . _ ~ as %XX (RFC 3986). Internal.';

CREATE FUNCTION hail.query_signature(secret bytea, message text) RETURNS text
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'hail_query_signature';
COMMENT ON FUNCTION hail.query_signature(bytea, text) IS 'HMAC-SHA-256 of a message in hexadecimal, as a sender makes it. Internal.';

CREATE FUNCTION hail.verify_query(secrets bytea[], message text, signature text) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_verify_query';
COMMENT ON FUNCTION hail.verify_query(bytea[], text, text) IS
'Error invalid_signature unless the signature (hexadecimal) of the message is by one of the secrets. Internal.';
