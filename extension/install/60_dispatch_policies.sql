-- 60_dispatch_policies: versions of the rules; a version never changes

CREATE FUNCTION hail.policies_stay() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept hail.dispatch_policies;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        kept := NEW;
        -- A version may be closed; one that has not begun may be withdrawn by closing it where it begins.
        IF upper(NEW.effective) <= upper(OLD.effective) AND lower(NEW.effective) = lower(OLD.effective) OR isempty(NEW.effective) THEN
            kept.effective := OLD.effective;
        END IF;
        IF kept IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    -- Whether it is used or not: a request may hold a copy of it that no row shows yet.
    PERFORM hail.fail('wrong_state', 'a policy never changes', NULL, 'Make a new version with hail.set_dispatch_policy().');
END
$$;
COMMENT ON FUNCTION hail.policies_stay() IS
'Trigger: what trips may have been matched under stays as it was; only its end may be set. Internal.';
CREATE TRIGGER policies_stay BEFORE UPDATE OR DELETE ON hail.dispatch_policies
    FOR EACH ROW EXECUTE FUNCTION hail.policies_stay();
ALTER TABLE hail.dispatch_policies ENABLE ALWAYS TRIGGER policies_stay;

CREATE FUNCTION hail.changed_policy(policy hail.dispatch_policies, changes jsonb) RETURNS hail.dispatch_policies
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key text;
    value jsonb;
    result hail.dispatch_policies := policy;
BEGIN
    IF jsonb_typeof(changes) IS DISTINCT FROM 'object' THEN
        PERFORM hail.fail('invalid_value', 'changes must be an object of columns and values', 'changes');
    END IF;
    FOR key, value IN SELECT * FROM jsonb_each(changes) ORDER BY 1 LOOP
        IF key IN ('id', 'region_id', 'service', 'effective', 'created_at', 'created_by') OR NOT EXISTS (
                SELECT FROM pg_attribute a WHERE a.attrelid = 'hail.dispatch_policies'::regclass AND a.attnum > 0
                AND NOT a.attisdropped AND a.attname = key) THEN
            PERFORM hail.fail('invalid_value', format('a policy has no setting "%s"', key), key,
                              'The settings are the columns of hail.dispatch_policies.');
        END IF;
        BEGIN
            result := jsonb_populate_record(result, jsonb_build_object(key, value));
        EXCEPTION WHEN data_exception THEN
            PERFORM hail.fail('invalid_value', format('%s cannot be %s', key, value), key);
        END;
    END LOOP;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.changed_policy(hail.dispatch_policies, jsonb) IS
'A policy with some of its settings changed; bounds are not checked here. Error invalid_value names the setting. Internal.';

CREATE FUNCTION hail.require_policy_bounds(policy hail.dispatch_policies) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule record;
    broken boolean;
BEGIN
    FOR rule IN SELECT a.attname, pg_get_expr(c.conbin, c.conrelid) AS condition, pg_get_constraintdef(c.oid) AS definition
                FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
                WHERE c.conrelid = 'hail.dispatch_policies'::regclass AND c.contype = 'c' ORDER BY c.conname LOOP
        EXECUTE format('SELECT NOT (%s) FROM (SELECT ($1).*) p', rule.condition) INTO broken USING policy;
        IF broken THEN
            PERFORM hail.fail('invalid_value', format('%s is out of bounds: %s', rule.attname, rule.definition), rule.attname);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.require_policy_bounds(hail.dispatch_policies) IS
'A policy keeps the table''s CHECKs, stored or not. Error invalid_value names the first setting that is out of bounds. Internal.';

CREATE FUNCTION hail.store_policy(policy hail.dispatch_policies) RETURNS hail.dispatch_policies
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    setting text;
BEGIN
    PERFORM hail.require_policy_bounds(policy);
    policy.id := nextval(pg_get_serial_sequence('hail.dispatch_policies', 'id'));
    INSERT INTO hail.dispatch_policies OVERRIDING SYSTEM VALUE SELECT (policy).*;
    RETURN policy;
EXCEPTION
    WHEN not_null_violation THEN
        GET STACKED DIAGNOSTICS setting = COLUMN_NAME;
        PERFORM hail.fail('invalid_value', format('%s must not be null', setting), setting);
END
$$;
COMMENT ON FUNCTION hail.store_policy(hail.dispatch_policies) IS
'Store a policy as a new row with the next id. Error invalid_value names the setting that is null or out of bounds. Internal.';

CREATE FUNCTION hail.set_dispatch_policy(region text, service text, changes jsonb, effective_from timestamptz DEFAULT NULL)
RETURNS hail.dispatch_policies
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz;
    starts timestamptz;
    area_id smallint;
    running hail.dispatch_policies;
    policy hail.dispatch_policies;
BEGIN
    PERFORM hail.require_admin();
    IF set_dispatch_policy.region IS NOT NULL THEN
        SELECT r.id INTO area_id FROM hail.regions r WHERE r.code = set_dispatch_policy.region;
        IF area_id IS NULL THEN
            PERFORM hail.fail('not_found', 'region does not exist', 'region');
        END IF;
    END IF;
    IF set_dispatch_policy.service NOT IN ('ride', 'delivery', 'porter') THEN
        PERFORM hail.fail('invalid_value', 'service is ride, delivery or porter', 'service', 'NULL means every service.');
    END IF;
    LOCK TABLE hail.dispatch_policies IN SHARE ROW EXCLUSIVE MODE; -- one new version at a time
    moment := hail.clock(); -- not before: a version that others made meanwhile would end this one at once
    starts := coalesce(effective_from, moment);
    IF NOT isfinite(starts) OR starts < moment THEN
        PERFORM hail.fail('invalid_value', 'a policy begins now or later, at a definite time', 'effective_from',
                          'Trips have been matched under the one in force then.');
    END IF;
    SELECT * INTO running FROM hail.dispatch_policies p
    WHERE p.id > 1 AND p.region_id IS NOT DISTINCT FROM area_id AND p.service IS NOT DISTINCT FROM set_dispatch_policy.service
      AND p.effective @> starts;
    -- Changes to what would be in force then: the version of this region and service, or the more general one.
    policy := running;
    IF running.id IS NULL THEN
        SELECT * INTO policy FROM hail.dispatch_policies p
        WHERE (p.region_id IS NULL OR p.region_id = area_id) AND (p.service IS NULL OR p.service = set_dispatch_policy.service)
          AND p.effective @> starts
        ORDER BY p.region_id IS NULL, p.service IS NULL, p.id = 1 LIMIT 1;
        policy.region_id := area_id;
        policy.service := set_dispatch_policy.service;
        policy.effective := tstzrange(starts, (SELECT coalesce(min(lower(p.effective)), 'infinity') FROM hail.dispatch_policies p
            WHERE p.id > 1 AND p.region_id IS NOT DISTINCT FROM area_id
              AND p.service IS NOT DISTINCT FROM set_dispatch_policy.service AND lower(p.effective) > starts));
    ELSE
        policy.effective := tstzrange(starts, upper(running.effective));
        UPDATE hail.dispatch_policies p SET effective = tstzrange(lower(p.effective), starts) WHERE p.id = running.id;
    END IF;
    policy := hail.changed_policy(policy, set_dispatch_policy.changes);
    policy.created_at := moment;
    policy.created_by := hail.current_subject();
    RETURN hail.store_policy(policy);
END
$$;
COMMENT ON FUNCTION hail.set_dispatch_policy(text, text, jsonb, timestamptz) IS
'Change how matching works, for a region (its code) and service, NULL: every one. `changes` are columns of hail.dispatch_policies with their new values, such as {"weight_idle": 0.1, "offer_ttl": "20 seconds"}; the rest stays as it is in force then. Makes a new version from effective_from on (NULL: now) and ends the one before; trips keep the version they were requested under. For administrators. Errors: invalid_value (names the setting), not_found (region).';
GRANT EXECUTE ON FUNCTION hail.set_dispatch_policy(text, text, jsonb, timestamptz) TO hail_admin;

CREATE VIEW hail.dispatch_policy_history WITH (security_invoker = true) AS
SELECT p.id AS policy_id, r.code AS region, p.service, p.effective_from, p.effective_to, p.created_at, p.created_by,
       coalesce((SELECT jsonb_object_agg(n.key, n.value) FROM jsonb_each(p.settings) n
                 WHERE n.value IS DISTINCT FROM p.before -> n.key), '{}') AS changes, p.settings
FROM (SELECT q.id, q.region_id, q.service, q.effective_from, q.created_at, q.created_by, q.settings,
             CASE WHEN q.id = 1 THEN lead(q.effective_from) OVER same ELSE q.effective_to END AS effective_to,
             coalesce(lag(q.settings) OVER same, (SELECT to_jsonb(d) FROM hail.dispatch_policies d WHERE d.id = 1)) AS before
      FROM (SELECT d.id, d.region_id, d.service, lower(d.effective) AS effective_from, upper(d.effective) AS effective_to,
                   d.created_at, d.created_by,
                   to_jsonb(d) - '{id,region_id,service,effective,created_at,created_by}'::text[] AS settings
            FROM hail.dispatch_policies d) q
      WINDOW same AS (PARTITION BY q.region_id, q.service ORDER BY q.id)) p
LEFT JOIN hail.regions r ON r.id = p.region_id;
COMMENT ON VIEW hail.dispatch_policy_history IS
'Every version of the dispatch policies: for which region and service, from when to when (-infinity and infinity: without a beginning, until further notice; both NULL: replaced before it began), by whom, what it changed to the version before (the first: to what is shipped), and all settings. Administrators and analysts.';
GRANT SELECT ON hail.dispatch_policy_history TO hail_admin, hail_analyst;
