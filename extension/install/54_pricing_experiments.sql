-- 54_pricing_experiments: prices tried on some of the customers, by a stable hash

CREATE TABLE hail.experiments (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    region_id   smallint REFERENCES hail.regions (id),
    class_id    smallint REFERENCES hail.service_classes (id),
    salt        uuid NOT NULL,
    variants    smallint NOT NULL CHECK (variants BETWEEN 2 AND 20),
    state       text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'running', 'stopped')),
    created_at  timestamptz NOT NULL,
    created_by  uuid,
    started_at  timestamptz,
    started_by  uuid,
    stopped_at  timestamptz,
    stopped_by  uuid,
    CHECK ((state = 'draft') = (started_at IS NULL) AND (state = 'stopped') = (stopped_at IS NOT NULL)),
    -- Law 3: of the experiments that run, at most one is about any region and class (NULL: about every one).
    CONSTRAINT experiments_one_running EXCLUDE USING gist (
        (CASE WHEN region_id IS NULL THEN int4range(NULL, NULL) ELSE int4range(region_id, region_id, '[]') END) WITH &&,
        (CASE WHEN class_id IS NULL THEN int4range(NULL, NULL) ELSE int4range(class_id, class_id, '[]') END) WITH &&)
        WHERE (state = 'running')
);
COMMENT ON TABLE hail.experiments IS
'Experiments with prices: what some customers pay more or less, in a region (NULL: all) and class (NULL: all). draft -> running -> stopped; only drafts change otherwise.';
COMMENT ON COLUMN hail.experiments.salt IS
'With a customer''s id it makes the customer''s bucket; experiments with the same salt have the same customers.';
COMMENT ON COLUMN hail.experiments.variants IS 'How many variants it has.';
COMMENT ON COLUMN hail.experiments.created_by IS 'Who made it, as started_by and stopped_by; NULL: a superuser without a token.';

CREATE TABLE hail.experiment_variants (
    id               integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    experiment_id    integer NOT NULL REFERENCES hail.experiments (id) ON DELETE CASCADE,
    name             text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    is_control       boolean NOT NULL,
    share_bp         integer NOT NULL CHECK (share_bp BETWEEN 1 AND 9999),
    price_multiplier numeric(4,2) NOT NULL CHECK (price_multiplier BETWEEN 0.50 AND 2.00),
    UNIQUE (experiment_id, name),
    CHECK (price_multiplier = 1 OR NOT is_control)
);
CREATE UNIQUE INDEX experiment_variants_control ON hail.experiment_variants (experiment_id) WHERE is_control;
COMMENT ON TABLE hail.experiment_variants IS
'Variants of experiments, one of them the control. Their order, in which customers fall to them, is the control first and then by id (src/pricing/experiment.h).';
COMMENT ON COLUMN hail.experiment_variants.share_bp IS 'Share of the customers in basis points (100 = 1 %); whom the shares leave over pays the price list.';
COMMENT ON COLUMN hail.experiment_variants.price_multiplier IS 'Multiplies base, distance and time, as surge does; the control''s is 1.';

GRANT SELECT ON hail.experiments, hail.experiment_variants TO hail_admin, hail_analyst;
CREATE POLICY experiments_readers ON hail.experiments FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY experiment_variants_readers ON hail.experiment_variants FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

-- Prices are made from copies of these tables in each backend (src/pricing/book.h).
CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.experiments
    FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed();
CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.experiment_variants
    FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed();
ALTER TABLE hail.experiments ENABLE ALWAYS TRIGGER kept_changed;
ALTER TABLE hail.experiment_variants ENABLE ALWAYS TRIGGER kept_changed;

-- What customers were told stays as it was, whoever writes

CREATE FUNCTION hail.experiments_stay() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    variant record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.state <> 'draft' THEN
            PERFORM hail.fail('wrong_state', 'an experiment that has run stays', NULL, 'Its quotes name its variants.');
        END IF;
        RETURN OLD;
    END IF;
    IF (NEW.id, NEW.name, NEW.salt, NEW.variants, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.name, OLD.salt, OLD.variants, OLD.created_at)
       OR (NEW.region_id, NEW.class_id, NEW.created_by) IS DISTINCT FROM (OLD.region_id, OLD.class_id, OLD.created_by)
       OR OLD.state <> 'draft' AND (NEW.started_at, NEW.started_by) IS DISTINCT FROM (OLD.started_at, OLD.started_by)
       OR (OLD.state, NEW.state) NOT IN (('draft', 'running'), ('running', 'stopped')) THEN
        PERFORM hail.fail('wrong_state', 'an experiment only starts and stops', NULL, 'Make another one with hail.create_experiment().');
    END IF;
    IF NEW.state = 'running' THEN
        SELECT count(*) AS n, count(*) FILTER (WHERE v.is_control) AS controls, sum(v.share_bp) AS shares INTO variant
        FROM hail.experiment_variants v WHERE v.experiment_id = NEW.id;
        IF variant.n <> NEW.variants OR variant.controls <> 1 OR variant.shares > 10000 THEN
            PERFORM hail.fail('wrong_state', 'an experiment runs with all its variants, one control, and shares of 10000 at most');
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION hail.experiments_stay() IS
'Trigger: experiments only start and stop, start only when complete, and are removed only as drafts. Internal.';
CREATE TRIGGER experiments_stay BEFORE UPDATE OR DELETE ON hail.experiments
    FOR EACH ROW EXECUTE FUNCTION hail.experiments_stay();
ALTER TABLE hail.experiments ENABLE ALWAYS TRIGGER experiments_stay;

CREATE FUNCTION hail.experiment_variants_stay() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET row_security = on -- pg_restore turns it off, and the owner would be refused
AS $$
DECLARE
    experiment hail.experiments;
BEGIN
    -- A lock on the experiment: it can't start meanwhile. (None is there when a draft is removed with its variants.)
    IF TG_OP = 'INSERT' THEN
        SELECT * INTO experiment FROM hail.experiments e WHERE e.id = NEW.experiment_id FOR SHARE;
        -- A restore inserts the variants of experiments that run; that it made all of them is what it comes to.
        IF (SELECT count(*) FROM hail.experiment_variants v WHERE v.experiment_id = NEW.experiment_id) <= experiment.variants THEN
            RETURN NULL;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT * INTO experiment FROM hail.experiments e WHERE e.id = OLD.experiment_id FOR SHARE;
        IF experiment.id IS NULL OR experiment.state = 'draft' THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM hail.fail('wrong_state', 'the variants of an experiment stay as they are', NULL,
                      'Make another experiment with hail.create_experiment().');
END
$$;
COMMENT ON FUNCTION hail.experiment_variants_stay() IS
'Trigger: variants never change; an experiment that has run keeps exactly the ones it had. Internal.';
CREATE TRIGGER experiment_variants_stay AFTER INSERT OR UPDATE OR DELETE ON hail.experiment_variants
    FOR EACH ROW EXECUTE FUNCTION hail.experiment_variants_stay();
ALTER TABLE hail.experiment_variants ENABLE ALWAYS TRIGGER experiment_variants_stay;

CREATE FUNCTION hail.experiments_untruncated() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.fail('wrong_state', 'an experiment that has run stays', NULL, 'Drafts are removed by hail.discard_experiment().');
END
$$;
COMMENT ON FUNCTION hail.experiments_untruncated() IS 'Trigger: no TRUNCATE of experiments or variants. Internal.';
CREATE TRIGGER experiments_untruncated BEFORE TRUNCATE ON hail.experiments
    FOR EACH STATEMENT EXECUTE FUNCTION hail.experiments_untruncated();
CREATE TRIGGER experiments_untruncated BEFORE TRUNCATE ON hail.experiment_variants
    FOR EACH STATEMENT EXECUTE FUNCTION hail.experiments_untruncated();
ALTER TABLE hail.experiments ENABLE ALWAYS TRIGGER experiments_untruncated;
ALTER TABLE hail.experiment_variants ENABLE ALWAYS TRIGGER experiments_untruncated;

-- Administration

CREATE TYPE hail.variant_input AS (
    name             text,
    is_control       boolean,
    share_bp         integer,
    price_multiplier numeric
);
COMMENT ON TYPE hail.variant_input IS 'A variant for hail.create_experiment(): share in basis points; the control''s multiplier is 1.';

CREATE FUNCTION hail.check_variants(variants hail.variant_input[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    variant hail.variant_input;
    shares integer := 0;
    controls integer := 0;
    names text[] := '{}';
BEGIN
    IF (cardinality(variants) BETWEEN 2 AND 20) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'an experiment has 2 to 20 variants', 'variants');
    END IF;
    FOREACH variant IN ARRAY variants LOOP
        IF (variant.name ~ '^[a-z0-9][a-z0-9_-]{0,62}$') IS NOT TRUE THEN
            PERFORM hail.fail('invalid_value', 'a variant''s name has 1 to 63 of a-z, 0-9, _ and -', 'name');
        ELSIF variant.name = ANY (names) THEN
            PERFORM hail.fail('invalid_value', format('there are two variants "%s"', variant.name), 'name');
        ELSIF variant.is_control IS NULL THEN
            PERFORM hail.fail('invalid_value', format('is_control of "%s" is missing', variant.name), 'is_control');
        ELSIF (variant.share_bp BETWEEN 1 AND 9999) IS NOT TRUE THEN
            PERFORM hail.fail('invalid_value', format('share_bp of "%s" must be between 1 and 9999', variant.name), 'share_bp',
                              'Basis points: 5000 is half of the customers.');
        ELSIF (variant.price_multiplier BETWEEN 0.50 AND 2.00 AND scale(trim_scale(variant.price_multiplier)) <= 2) IS NOT TRUE THEN
            PERFORM hail.fail('invalid_value', format('price_multiplier of "%s" must be between 0.50 and 2.00, in hundredths', variant.name),
                              'price_multiplier');
        ELSIF variant.is_control AND variant.price_multiplier <> 1 THEN
            PERFORM hail.fail('invalid_value', 'the control''s price_multiplier is 1', 'price_multiplier');
        END IF;
        names := names || variant.name;
        shares := shares + variant.share_bp;
        controls := controls + variant.is_control::integer;
    END LOOP;
    IF controls <> 1 THEN
        PERFORM hail.fail('invalid_value', 'exactly one variant is the control', 'is_control');
    ELSIF shares > 10000 THEN
        PERFORM hail.fail('invalid_value', format('the shares add up to %s, above 10000', shares), 'share_bp');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_variants(hail.variant_input[]) IS 'Error that names what is wrong with the variants of a new experiment. Internal.';

CREATE FUNCTION hail.create_experiment(name text, variants hail.variant_input[], region text DEFAULT NULL,
                                       service_class text DEFAULT NULL, salt uuid DEFAULT NULL) RETURNS hail.experiments
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    area_id smallint;
    class smallint;
    stored hail.experiments;
BEGIN
    PERFORM hail.require_admin();
    IF (create_experiment.name ~ '^[a-z0-9][a-z0-9_-]{0,62}$') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'name must have 1 to 63 of a-z, 0-9, _ and -', 'name');
    END IF;
    PERFORM hail.check_variants(create_experiment.variants);
    IF create_experiment.region IS NOT NULL THEN
        SELECT r.id INTO area_id FROM hail.regions r WHERE r.code = create_experiment.region;
        IF area_id IS NULL THEN
            PERFORM hail.fail('not_found', 'region does not exist', 'region');
        END IF;
    END IF;
    IF create_experiment.service_class IS NOT NULL THEN
        SELECT c.id INTO class FROM hail.service_classes c WHERE c.code = create_experiment.service_class;
        IF class IS NULL THEN
            PERFORM hail.fail('unknown_class', 'service class does not exist', 'service_class');
        END IF;
    END IF;
    INSERT INTO hail.experiments AS e (name, region_id, class_id, salt, variants, created_at, created_by)
    VALUES (create_experiment.name, area_id, class, coalesce(create_experiment.salt, gen_random_uuid()),
            cardinality(create_experiment.variants), hail.clock(), hail.current_subject())
    ON CONFLICT (name) DO NOTHING RETURNING e.* INTO stored;
    IF NOT FOUND THEN
        PERFORM hail.fail('already_exists', 'an experiment of this name exists already', 'name');
    END IF;
    INSERT INTO hail.experiment_variants (experiment_id, name, is_control, share_bp, price_multiplier)
    SELECT stored.id, v.name, v.is_control, v.share_bp, v.price_multiplier
    FROM unnest(create_experiment.variants) WITH ORDINALITY AS v (name, is_control, share_bp, price_multiplier, n) ORDER BY v.n;
    RETURN stored;
END
$$;
COMMENT ON FUNCTION hail.create_experiment(text, hail.variant_input[], text, text, uuid) IS
'A draft of an experiment with prices in a region (its code; NULL: all) and class (NULL: all): 2 to 20 variants, exactly one of them the control with multiplier 1, shares of 10000 basis points at most together. The salt of an earlier experiment gives the same customers again, as for larger shares; NULL: a new one. Administrators. Errors: invalid_value (names the field), already_exists (name), not_found (region), unknown_class.';

CREATE FUNCTION hail.lock_experiment(experiment text) RETURNS hail.experiments
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.experiments;
BEGIN
    SELECT * INTO found FROM hail.experiments e WHERE e.name = lock_experiment.experiment FOR UPDATE;
    IF found.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such experiment', 'experiment');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.lock_experiment(text) IS 'Lock an experiment, then read it; error not_found. Internal.';

CREATE FUNCTION hail.start_experiment(experiment text) RETURNS hail.experiments
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.experiments;
BEGIN
    PERFORM hail.require_admin();
    found := hail.lock_experiment(start_experiment.experiment);
    IF found.state <> 'draft' THEN
        PERFORM hail.fail('wrong_state', format('the experiment is %s already', found.state), 'experiment',
                          'An experiment runs once; make another one with the same salt for the same customers.');
    END IF;
    UPDATE hail.experiments e SET state = 'running', started_at = hail.clock(), started_by = hail.current_subject()
    WHERE e.id = found.id RETURNING e.* INTO found;
    RETURN found;
EXCEPTION WHEN exclusion_violation THEN
    PERFORM hail.fail('already_exists', 'another experiment runs in this region and class', 'experiment',
                      'hail.list_experiments() shows it; stop it first.');
END
$$;
COMMENT ON FUNCTION hail.start_experiment(text) IS
'Start a draft: from now on quotes of its region and class have the price of the customer''s variant. Administrators. Errors: not_found, wrong_state (it has run), already_exists (another one runs there).';

CREATE FUNCTION hail.stop_experiment(experiment text) RETURNS hail.experiments
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.experiments;
BEGIN
    PERFORM hail.require_admin();
    found := hail.lock_experiment(stop_experiment.experiment);
    IF found.state <> 'running' THEN
        PERFORM hail.fail('wrong_state', format('the experiment is %s', found.state), 'experiment');
    END IF;
    UPDATE hail.experiments e SET state = 'stopped', stopped_at = hail.clock(), stopped_by = hail.current_subject()
    WHERE e.id = found.id RETURNING e.* INTO found;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.stop_experiment(text) IS
'End an experiment; quotes that were made keep their price. Administrators. Errors: not_found, wrong_state (it does not run).';

CREATE FUNCTION hail.discard_experiment(experiment text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.experiments;
BEGIN
    PERFORM hail.require_admin();
    found := hail.lock_experiment(discard_experiment.experiment);
    DELETE FROM hail.experiments e WHERE e.id = found.id; -- its trigger says when it may not
END
$$;
COMMENT ON FUNCTION hail.discard_experiment(text) IS
'Remove a draft and its variants. Administrators. Errors: not_found, wrong_state (it has run).';

CREATE FUNCTION hail.list_experiments(in_state text DEFAULT NULL)
RETURNS TABLE (experiment text, region text, service_class text, state text, variant_id integer, variant text, is_control boolean,
               share_bp integer, price_multiplier numeric, salt uuid, created_at timestamptz, created_by uuid,
               started_at timestamptz, started_by uuid, stopped_at timestamptz, stopped_by uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF coalesce(hail.current_role_name(), '') NOT IN ('admin', 'analyst') THEN
        PERFORM hail.require_admin();
    END IF;
    RETURN QUERY
    SELECT e.name, r.code, c.code, e.state, v.id, v.name, v.is_control, v.share_bp, v.price_multiplier::numeric, e.salt,
           e.created_at, e.created_by, e.started_at, e.started_by, e.stopped_at, e.stopped_by
    FROM hail.experiments e JOIN hail.experiment_variants v ON v.experiment_id = e.id
    LEFT JOIN hail.regions r ON r.id = e.region_id LEFT JOIN hail.service_classes c ON c.id = e.class_id
    WHERE in_state IS NULL OR e.state = in_state
    ORDER BY e.id DESC, v.is_control DESC, v.id;
END
$$;
COMMENT ON FUNCTION hail.list_experiments(text) IS
'Experiments in a state (draft, running, stopped; NULL: all) and their variants, newest first: where (NULL: everywhere, every class), shares and prices, who made, started and stopped them and when. Administrators and analysts.';

-- Who is in which

CREATE FUNCTION hail.experiment_bucket(salt uuid, customer_id uuid) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_experiment_bucket';
COMMENT ON FUNCTION hail.experiment_bucket(uuid, uuid) IS
'A customer''s bucket under a salt, 0 to 9999 (src/pricing/experiment.h). Internal.';

CREATE FUNCTION hail.experiment_variant(shares_bp integer[], bucket integer) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_experiment_variant';
COMMENT ON FUNCTION hail.experiment_variant(integer[], integer) IS
'Which variant, from 1, has a bucket (shares of the control first, then by id); NULL: none. Internal.';

CREATE FUNCTION hail.experiment_variant_of(experiment text, customer_id uuid) RETURNS hail.experiment_variants
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    found hail.experiments;
    variants hail.experiment_variants[];
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO found FROM hail.experiments e WHERE e.name = experiment_variant_of.experiment;
    IF found.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such experiment', 'experiment');
    ELSIF NOT EXISTS (SELECT FROM hail.users u WHERE u.id = experiment_variant_of.customer_id AND u.role = 'customer') THEN
        PERFORM hail.fail('not_found', 'customer does not exist', 'customer_id');
    END IF;
    variants := ARRAY(SELECT v FROM hail.experiment_variants v WHERE v.experiment_id = found.id ORDER BY v.is_control DESC, v.id);
    RETURN variants[hail.experiment_variant(ARRAY(SELECT v.share_bp FROM unnest(variants) WITH ORDINALITY AS
            v (id, experiment_id, name, is_control, share_bp, price_multiplier, n) ORDER BY v.n),
        hail.experiment_bucket(found.salt, experiment_variant_of.customer_id))];
END
$$;
COMMENT ON FUNCTION hail.experiment_variant_of(text, uuid) IS
'The variant of an experiment, in whatever state, that a customer falls to; NULLs: in none. Administrators. Errors: not_found (experiment, customer_id).';

GRANT EXECUTE ON FUNCTION hail.create_experiment(text, hail.variant_input[], text, text, uuid), hail.start_experiment(text),
        hail.stop_experiment(text), hail.discard_experiment(text), hail.list_experiments(text), hail.experiment_variant_of(text, uuid)
    TO hail_admin;
GRANT EXECUTE ON FUNCTION hail.list_experiments(text) TO hail_analyst;

-- What came of it (src/pricing/statistics.h)

CREATE FUNCTION hail.ratio_estimate(n bigint, mean_x float8, mean_y float8, var_x float8, var_y float8, cov_xy float8,
                                    OUT value float8, OUT low float8, OUT high float8) RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_ratio_estimate';
COMMENT ON FUNCTION hail.ratio_estimate(bigint, float8, float8, float8, float8, float8) IS
'sum(x) / sum(y) over n customers with its 95 % interval by the delta method; nulls with fewer than two customers or without any y. Internal.';

CREATE FUNCTION hail.proportion_estimate(events bigint, n bigint, OUT value float8, OUT low float8, OUT high float8) RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_proportion_estimate';
COMMENT ON FUNCTION hail.proportion_estimate(bigint, bigint) IS 'A share of customers with Wilson''s 95 % interval; nulls without any. Internal.';

CREATE FUNCTION hail.estimate_difference(value float8, low float8, high float8, other float8, other_low float8, other_high float8,
                                         OUT difference float8, OUT difference_low float8, OUT difference_high float8, OUT p_value float8)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_estimate_difference';
COMMENT ON FUNCTION hail.estimate_difference(float8, float8, float8, float8, float8, float8) IS
'Difference of two independent estimates, its 95 % interval and p-value. Internal.';

CREATE FUNCTION hail.chi_square_p(x float8, df integer) RETURNS float8
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_chi_square_p';
COMMENT ON FUNCTION hail.chi_square_p(float8, integer) IS 'Probability that chi-square of df degrees of freedom is above x. Internal.';

CREATE FUNCTION hail.experiment_span(experiment text, from_time timestamptz, to_time timestamptz,
                                     OUT trial hail.experiments, OUT span tstzrange) RETURNS record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(hail.current_role_name(), '') NOT IN ('admin', 'analyst') THEN
        PERFORM hail.require_admin();
    END IF;
    SELECT * INTO trial FROM hail.experiments e WHERE e.name = experiment_span.experiment;
    IF trial.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such experiment', 'experiment');
    ELSIF trial.state = 'draft' THEN
        PERFORM hail.fail('wrong_state', 'the experiment has not started', 'experiment');
    ELSIF NOT isfinite(from_time) THEN
        PERFORM hail.fail('invalid_value', 'from_time must be a finite time', 'from_time');
    ELSIF NOT isfinite(to_time) OR coalesce(to_time, 'infinity') <= coalesce(from_time, trial.started_at) THEN
        PERFORM hail.fail('invalid_value', 'to_time must be after from_time', 'to_time');
    END IF;
    from_time := greatest(from_time, trial.started_at);
    -- a transaction that was open when it stopped may still make a quote
    to_time := least(to_time, coalesce(trial.stopped_at + interval '1 hour', 'infinity'));
    span := tstzrange(from_time, greatest(to_time, from_time));
END
$$;
COMMENT ON FUNCTION hail.experiment_span(text, timestamptz, timestamptz) IS
'Authorises administrators and analysts; an experiment that has started, and the part of its time from from_time to to_time (NULL: as far as it goes). Internal.';

CREATE FUNCTION hail.experiment_sets(experiment hail.experiments, span tstzrange)
RETURNS TABLE (set_id uuid, customer_id uuid, variant_id integer)
LANGUAGE plpgsql STABLE ROWS 100000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids integer[] := ARRAY(SELECT v.id FROM hail.experiment_variants v WHERE v.experiment_id = experiment.id);
BEGIN
    RETURN QUERY
    SELECT DISTINCT q.set_id, q.customer_id, q.variant_id FROM hail.quotes q
    WHERE q.variant_id = ANY (ids) AND q.created_at >= lower(span) AND q.created_at < coalesce(upper(span), 'infinity')
      -- a set is of the time of its first quote; CASE: the others are not looked up, be they few or all
      AND CASE WHEN q.replaces IS NULL THEN true
               ELSE (SELECT f.created_at FROM hail.quotes f WHERE f.id = q.set_id) >= lower(span) END;
END
$$;
COMMENT ON FUNCTION hail.experiment_sets(hail.experiments, tstzrange) IS
'The quote sets made (their first quotes) within a time that have a variant''s price in one class or more. Internal.';

CREATE FUNCTION hail.experiment_customers(experiment hail.experiments, span tstzrange)
RETURNS TABLE (variant_id integer, quote_sets bigint, trips bigint, completed bigint, revenue float8, offers bigint, accepted bigint,
               currencies text[])
LANGUAGE plpgsql STABLE ROWS 10000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    from_time timestamptz := lower(span);
    to_time timestamptz := coalesce(upper(span), 'infinity');
BEGIN
    RETURN QUERY
    WITH priced AS MATERIALIZED (
        SELECT e.* FROM hail.experiment_sets(experiment, span) e
    ), quoted AS MATERIALIZED ( -- hail.quote_ttl is a day at most
        SELECT t.id, t.state, t.price, t.currency, q.set_id
        FROM hail.trips t JOIN hail.quotes q ON q.id = t.quote_id
        WHERE t.requested_at >= from_time AND t.requested_at < to_time + interval '2 days'
          AND q.created_at >= from_time AND q.created_at < to_time + interval '1 day' AND (q.replaces IS NOT NULL OR q.created_at < to_time)
          AND (experiment.region_id IS NULL OR t.region_id = experiment.region_id)
    ), taken AS ( -- trips of these sets, of whatever class, and the offers of them that a driver could answer
        SELECT p.customer_id, count(*) AS trips, count(*) FILTER (WHERE t.state = 'completed') AS completed,
               coalesce(sum(t.price) FILTER (WHERE t.state = 'completed'), 0)::float8 AS revenue,
               array_agg(DISTINCT t.currency) FILTER (WHERE t.state = 'completed') AS currencies,
               sum(o.offers)::bigint AS offers, sum(o.accepted)::bigint AS accepted
        FROM quoted t JOIN priced p ON p.set_id = t.set_id
        CROSS JOIN LATERAL (
            SELECT count(*) AS offers, count(*) FILTER (WHERE o.status IN ('accepted', 'cancelled')) AS accepted FROM hail.offers o
            WHERE o.trip_id = t.id AND o.status IN ('accepted', 'cancelled', 'declined', 'expired')) o
        GROUP BY 1
    ), askers AS (
        SELECT p.customer_id, min(p.variant_id) AS variant_id, count(*) AS quote_sets FROM priced p GROUP BY 1
    )
    SELECT s.variant_id, s.quote_sets, coalesce(t.trips, 0), coalesce(t.completed, 0), coalesce(t.revenue, 0), coalesce(t.offers, 0),
           coalesce(t.accepted, 0), t.currencies
    FROM askers s LEFT JOIN taken t USING (customer_id);
END
$$;
COMMENT ON FUNCTION hail.experiment_customers(hail.experiments, tstzrange) IS
'A row for each customer who was quoted a variant''s price within a time: quote sets with it, trips taken from them (in whatever class), completed ones and what they cost, offers that drivers answered or let go by, those accepted. Internal.';

CREATE FUNCTION hail.split_p_value(shares_bp integer[], customers bigint[]) RETURNS float8
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT hail.chi_square_p(sum((s.n - s.expected) ^ 2 / nullif(s.expected, 0)), count(*)::integer - 1)
        FROM (SELECT c.n, sum(c.n) OVER () * c.share::float8 / sum(c.share) OVER () AS expected
              FROM unnest(shares_bp, customers) AS c (share, n)) s);
COMMENT ON FUNCTION hail.split_p_value(integer[], bigint[]) IS
'Chi-square''s p-value for so many customers in variants of such shares; NULL without customers. Internal.';

CREATE FUNCTION hail.experiment_split(experiment text, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
RETURNS TABLE (variant text, is_control boolean, share_bp integer, customers bigint, expected float8, p_value float8, suspicious boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET jit = off AS $$
DECLARE
    place record;
BEGIN
    SELECT * INTO place FROM hail.experiment_span(experiment, from_time, to_time);
    RETURN QUERY
    WITH counted AS (
        SELECT v.id, v.name, v.is_control, v.share_bp, count(DISTINCT e.customer_id) AS customers
        FROM hail.experiment_variants v LEFT JOIN hail.experiment_sets(place.trial, place.span) e ON e.variant_id = v.id
        WHERE v.experiment_id = (place.trial).id GROUP BY v.id
    ), tested AS (
        SELECT hail.split_p_value(array_agg(n.share_bp ORDER BY n.id), array_agg(n.customers ORDER BY n.id)) AS p,
               sum(n.customers) AS customers, sum(n.share_bp) AS share_bp
        FROM counted n
    )
    SELECT n.name, n.is_control, n.share_bp, n.customers, (t.customers * n.share_bp / t.share_bp)::float8, t.p, coalesce(t.p < 0.001, false)
    FROM counted n, tested t ORDER BY n.is_control DESC, n.id;
END
$$;
COMMENT ON FUNCTION hail.experiment_split(text, timestamptz, timestamptz) IS
'Customers quoted in each variant of an experiment from a time to another (NULL: as far as it goes), the number that its share lets expect, and the p-value of all together (chi-square); suspicious below 0.001: a sample ratio mismatch, after which no outcome should be believed before it is explained (A. Fabijan et al., "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", KDD 2019). Administrators and analysts. Errors: not_found, wrong_state (a draft), invalid_value.';

CREATE FUNCTION hail.experiment_outcomes(experiment text, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
RETURNS TABLE (metric text, variant text, is_control boolean, price_multiplier numeric, customers bigint, numerator float8,
               denominator bigint, value float8, low float8, high float8, difference float8, difference_low float8,
               difference_high float8, p_value float8, significant boolean, currency text, suspicious_split boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET jit = off AS $$
DECLARE
    place record;
    warned boolean := false;
BEGIN
    SELECT * INTO place FROM hail.experiment_span(experiment, from_time, to_time);
    FOR metric, variant, is_control, price_multiplier, customers, numerator, denominator, value, low, high, difference, difference_low,
        difference_high, p_value, significant, currency, suspicious_split IN
    WITH persons AS MATERIALIZED (
        SELECT c.* FROM hail.experiment_customers(place.trial, place.span) c
    ), money AS (
        SELECT array_agg(DISTINCT m.code) AS codes FROM persons p CROSS JOIN LATERAL unnest(p.currencies) AS m (code)
    ), split AS (
        SELECT hail.split_p_value(array_agg(v.share_bp ORDER BY v.id),
                   array_agg((SELECT count(*) FROM persons p WHERE p.variant_id = v.id) ORDER BY v.id)) < 0.001 AS suspicious
        FROM hail.experiment_variants v WHERE v.experiment_id = (place.trial).id
    ), parts AS ( -- x over y; y NULL: whether the customer did at all
        SELECT p.variant_id, m.n, m.metric, m.x, m.y
        FROM persons p CROSS JOIN LATERAL (VALUES
            (1, 'conversion', p.trips::float8, p.quote_sets::float8), (2, 'customer_conversion', (p.trips > 0)::integer, NULL),
            (3, 'completion', p.completed, p.trips), (4, 'acceptance', p.accepted, p.offers),
            (5, 'quote_sets_per_customer', p.quote_sets, 1),
            (6, 'revenue_per_quote_set', p.revenue, p.quote_sets), (7, 'revenue_per_customer', p.revenue, 1)) m (n, metric, x, y)
        WHERE m.n < 6 OR (SELECT cardinality(c.codes) FROM money c) = 1
    ), sums AS (
        SELECT p.variant_id, p.n, p.metric, count(*) AS customers, sum(p.x) AS x, coalesce(sum(p.y), count(*))::bigint AS y,
               avg(p.x) AS mean_x, avg(p.y) AS mean_y, var_samp(p.x) AS var_x, var_samp(p.y) AS var_y, covar_samp(p.x, p.y) AS cov_xy
        FROM parts p GROUP BY 1, 2, 3
    ), estimates AS (
        SELECT s.*, v.name, v.is_control, v.price_multiplier, e.value, e.low, e.high
        FROM sums s JOIN hail.experiment_variants v ON v.id = s.variant_id
        CROSS JOIN LATERAL (
            SELECT r.* FROM hail.ratio_estimate(s.customers, s.mean_x, s.mean_y, s.var_x, s.var_y, s.cov_xy) r WHERE s.mean_y IS NOT NULL
            UNION ALL
            SELECT r.* FROM hail.proportion_estimate(s.x::bigint, s.customers) r WHERE s.mean_y IS NULL) e
    )
    SELECT e.metric, e.name, e.is_control, e.price_multiplier, e.customers, e.x, e.y, coalesce(e.value, e.x / nullif(e.y, 0)),
           e.low, e.high, d.difference, d.difference_low, d.difference_high, d.p_value, d.p_value < 0.05,
           CASE WHEN e.n > 5 THEN (SELECT c.codes[1] FROM money c) END, (SELECT s.suspicious FROM split s)
    FROM estimates e LEFT JOIN estimates c ON c.n = e.n AND c.is_control AND NOT e.is_control
    LEFT JOIN LATERAL hail.estimate_difference(e.value, e.low, e.high, c.value, c.low, c.high) d ON true
    ORDER BY e.n, e.is_control DESC, e.variant_id
    LOOP
        IF suspicious_split AND NOT warned THEN
            RAISE WARNING 'the customers of experiment % are not split as its shares say', experiment
                USING HINT = 'Its outcomes mean nothing until that is explained: see hail.experiment_split().';
            warned := true;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.experiment_outcomes(text, timestamptz, timestamptz) IS
'What came of an experiment''s quotes made from a time to another (NULL: as far as it goes), by metric and variant: numerator over denominator = value with its 95 % interval; difference to the control with its interval and p-value; significant: that interval misses 0. conversion: trips per quote set (quotes asked for together, and those that hail.requote() made of them); customer_conversion: share of customers who took a trip; completion: completed trips over trips; acceptance: offers accepted over offers that drivers answered or let go by; quote_sets_per_customer; revenue_per_quote_set and revenue_per_customer: prices of completed trips, minor units of currency (left out when there are several). A trip counts whatever class of its set it is of. Customers are the unit (delta method; customer_conversion: Wilson). suspicious_split: see hail.experiment_split(). Administrators and analysts. Errors: not_found, wrong_state (a draft), invalid_value.';

GRANT EXECUTE ON FUNCTION hail.experiment_split(text, timestamptz, timestamptz), hail.experiment_outcomes(text, timestamptz, timestamptz)
    TO hail_admin, hail_analyst;
