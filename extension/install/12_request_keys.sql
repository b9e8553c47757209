-- 12_request_keys: idempotency keys of requests whose effect has no key of its own

CREATE TABLE hail.request_keys (
    principal       uuid NOT NULL,
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    request         text NOT NULL,
    result          uuid,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (principal, idempotency_key)
);
CREATE INDEX request_keys_age ON hail.request_keys (created_at);
COMMENT ON TABLE hail.request_keys IS
'Idempotency keys with the request they were used for and, when it made something, its id: written in the transaction of the effect, gone with it when that fails, free again after hail.idempotency_ttl.';
COMMENT ON COLUMN hail.request_keys.principal IS
'Whose key this is: the caller of the request; zeros: database administrators without a token, and the engine.';
GRANT SELECT ON hail.request_keys TO hail_admin;
CREATE POLICY request_keys_admin ON hail.request_keys FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.key_principal() RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN coalesce(hail.current_subject(), '00000000-0000-0000-0000-000000000000'::uuid);
COMMENT ON FUNCTION hail.key_principal() IS 'Whose request keys the caller uses. Internal.';

CREATE FUNCTION hail.claim_key(idempotency_key text, request text, OUT replayed boolean, OUT result uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    role text := hail.caller_role();
    owner uuid := hail.key_principal();
    moment timestamptz := hail.clock();
    forgotten timestamptz := moment - current_setting('hail.idempotency_ttl')::interval;
    stored hail.request_keys;
BEGIN
    IF coalesce(length(claim_key.idempotency_key), 0) NOT BETWEEN 1 AND 200 THEN
        PERFORM hail.fail('idempotency_key_required', 'this needs an idempotency key of 1 to 200 characters', 'idempotency_key');
    ELSIF claim_key.request IS NULL OR length(claim_key.request) > 8000 THEN
        PERFORM hail.fail('invalid_value', 'request must have at most 8000 characters', 'request');
    -- Tried, not waited for: who sends a key again while its first request runs is told so at once.
    ELSIF NOT pg_try_advisory_xact_lock(hashtextextended(format('hail.request_keys %s %s', owner, claim_key.idempotency_key), 0)) THEN
        PERFORM hail.fail('in_flight', 'a request with this key is under way', 'idempotency_key', 'Send it again in a moment.');
    END IF;
    SELECT * INTO stored FROM hail.request_keys k
    WHERE k.principal = owner AND k.idempotency_key = claim_key.idempotency_key AND k.created_at > forgotten;
    IF stored.request <> claim_key.request THEN
        PERFORM hail.fail('idempotency_mismatch', 'this key was used with another request', 'idempotency_key',
                          'Use a new key for a new request.');
    END IF;
    replayed := stored.request IS NOT NULL;
    result := stored.result;
    IF NOT replayed THEN
        -- What is too old and not swept yet is used anew.
        INSERT INTO hail.request_keys AS k (principal, idempotency_key, request, created_at)
            VALUES (owner, claim_key.idempotency_key, claim_key.request, moment)
            ON CONFLICT (principal, idempotency_key)
            DO UPDATE SET request = excluded.request, result = NULL, created_at = excluded.created_at;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.claim_key(text, text) IS
'The caller''s key is its transaction''s until that ends; replayed: the same request has been done with it, with this result. The texts of requests are stored and compared whole. Internal.';

CREATE FUNCTION hail.claim_request_key(idempotency_key text, request text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN (SELECT k.replayed FROM hail.claim_key(idempotency_key, request) k);
COMMENT ON FUNCTION hail.claim_request_key(text, text) IS
'Before something is done under a key: the key is the caller''s until the transaction ends, and kept with the request (at most 8000 characters) for hail.idempotency_ttl. True: the same request has been done with it. Errors: idempotency_key_required, in_flight (another transaction holds the key), idempotency_mismatch (used for another request), invalid_value (request).';
GRANT EXECUTE ON FUNCTION hail.claim_request_key(text, text) TO hail_customer, hail_driver, hail_partner, hail_admin;

CREATE FUNCTION hail.claim_result(idempotency_key text, request text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    claim record;
BEGIN
    SELECT k.replayed, k.result INTO claim FROM hail.claim_key(claim_result.idempotency_key, claim_result.request) k;
    -- A key without a result was used by hail.claim_request_key(), or its request kept none: done, and not to be done again.
    IF claim.replayed AND claim.result IS NULL THEN
        PERFORM hail.fail('idempotency_mismatch', 'this key was used with a request that has no result', 'idempotency_key',
                          'Use a new key for a new request.');
    END IF;
    RETURN claim.result;
END
$$;
COMMENT ON FUNCTION hail.claim_result(text, text) IS
'Before something is made under a key of the caller: NULL, go ahead and call hail.keep_result() in the same transaction; else the id of what the same request made before. Errors as hail.claim_request_key(). Not for callers: who could keep a result could name what is not theirs. Internal.';

CREATE FUNCTION hail.keep_result(idempotency_key text, result uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE hail.request_keys k SET result = keep_result.result
    WHERE k.principal = hail.key_principal() AND k.idempotency_key = keep_result.idempotency_key AND k.result IS NULL;
    IF NOT FOUND OR keep_result.result IS NULL THEN
        PERFORM hail.fail('invalid_value', 'there is no claimed key without a result', 'idempotency_key');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.keep_result(text, uuid) IS
'What the request under a key, claimed by hail.claim_result() in this transaction, has made. Internal.';

CREATE FUNCTION hail.expire_request_keys() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        DELETE FROM hail.request_keys k WHERE k.ctid = ANY (ARRAY(
            SELECT o.ctid FROM hail.request_keys o
            WHERE o.created_at <= hail.clock() - current_setting('hail.idempotency_ttl')::interval
            ORDER BY o.created_at LIMIT 10000 FOR UPDATE SKIP LOCKED))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION hail.expire_request_keys() IS
'Delete the request keys older than hail.idempotency_ttl, 10000 at most a call; their number. Keeper step. Internal.';
