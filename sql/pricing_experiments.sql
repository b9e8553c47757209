-- Experiments with prices: drafts, what runs, who is in which variant, what stays as it is.
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
SELECT hail.set_clock('2013-12-10 08:00+00');
SELECT code FROM hail.create_region('trial', 'Trial', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(120, -1, 122, 1, 4326));
SELECT code FROM hail.create_region('trial2', 'Trial 2', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(123, -1, 125, 1, 4326));
CREATE FUNCTION variants(share integer, multiplier numeric DEFAULT 1.10) RETURNS hail.variant_input[] LANGUAGE sql AS
$$ SELECT ARRAY[('dearer', false, share, multiplier), ('control', true, share, 1)]::hail.variant_input[] $$;

-- A draft; what a draft cannot be.
SELECT name, region_id = (SELECT id FROM hail.regions WHERE code = 'trial') AS region, class_id, variants, state, created_at, created_by
FROM hail.create_experiment('ten-percent', variants(5000), 'trial', 'economy', '0192f1a0-0000-7000-8000-000000000001');
SELECT experiment, region, service_class, state, variant, is_control, share_bp, price_multiplier, salt FROM hail.list_experiments();
SELECT hail.create_experiment('ten-percent', variants(5000));
SELECT hail.create_experiment('Ten percent', variants(5000));
SELECT hail.create_experiment(NULL, variants(5000));
SELECT hail.create_experiment('e', variants(5001));
SELECT hail.create_experiment('e', variants(0));
SELECT hail.create_experiment('e', variants(NULL));
SELECT hail.create_experiment('e', variants(5000, 2.01));
SELECT hail.create_experiment('e', variants(5000, 0.49));
SELECT hail.create_experiment('e', variants(5000, 1.005));
SELECT hail.create_experiment('e', variants(5000, 'NaN'));
SELECT hail.create_experiment('e', NULL);
SELECT hail.create_experiment('e', ARRAY[('control', true, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', false, 5000, 1), ('b', false, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1), ('b', true, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1.1), ('b', false, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1), ('a', false, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1), ('b', NULL, 5000, 1)]::hail.variant_input[]);
SELECT hail.create_experiment('e', ARRAY[('a', true, 5000, 1), NULL]::hail.variant_input[]);
SELECT hail.create_experiment('e', variants(5000), 'nowhere');
SELECT hail.create_experiment('e', variants(5000), NULL, 'rocket');

-- Who is in which: bucket 6270 is among the upper half, of the first one after the control.
INSERT INTO hail.users (id, phone, name, role) VALUES ('0192f1a0-1234-7000-8abc-0123456789ab', '+355990000001', 'Ina', 'customer');
SELECT hail.experiment_bucket('0192f1a0-0000-7000-8000-000000000001', '0192f1a0-1234-7000-8abc-0123456789ab');
SELECT name, price_multiplier FROM hail.experiment_variant_of('ten-percent', '0192f1a0-1234-7000-8abc-0123456789ab');
SELECT name FROM hail.create_experiment('few', variants(3000), 'trial2', NULL, '0192f1a0-0000-7000-8000-000000000001');
SELECT name IS NULL AS in_none FROM hail.experiment_variant_of('few', '0192f1a0-1234-7000-8abc-0123456789ab');
SELECT hail.experiment_variant_of('few', '0192f1a0-1234-7000-8abc-0123456789ac');
SELECT hail.experiment_variant_of('none', '0192f1a0-1234-7000-8abc-0123456789ab');
SELECT hail.experiment_variant('{{1,2},{3,4}}', 1);
SELECT hail.experiment_variant('{1,NULL}', 1);

-- One runs per region and class, and an experiment everywhere is in all of them.
SELECT name FROM hail.create_experiment('everywhere', variants(5000));
SELECT name FROM hail.create_experiment('economy-everywhere', variants(5000), NULL, 'economy');
SELECT name FROM hail.create_experiment('comfort-everywhere', variants(5000), NULL, 'comfort');
SELECT name FROM hail.create_experiment('all-of-trial', variants(5000), 'trial');
SELECT state, started_at, started_by FROM hail.start_experiment('ten-percent');
SELECT hail.start_experiment('ten-percent');
SELECT hail.start_experiment('everywhere');
SELECT hail.start_experiment('economy-everywhere');
SELECT hail.start_experiment('all-of-trial');
SELECT state FROM hail.start_experiment('comfort-everywhere');
SELECT hail.start_experiment('few');
SELECT hail.start_experiment('none');
SELECT state, stopped_at FROM hail.stop_experiment('comfort-everywhere');
SELECT hail.stop_experiment('comfort-everywhere');
SELECT hail.stop_experiment('few');
SELECT state FROM hail.start_experiment('few');
SELECT hail.start_experiment('comfort-everywhere');
SELECT DISTINCT experiment, region, service_class FROM hail.list_experiments('running') ORDER BY 1;

-- Nobody changes what runs or has run, not even who may write the tables.
UPDATE hail.experiment_variants SET price_multiplier = 1.2 WHERE name = 'dearer';
UPDATE hail.experiments SET salt = gen_random_uuid() WHERE name = 'ten-percent';
UPDATE hail.experiments SET name = 'eleven-percent' WHERE name = 'everywhere';
UPDATE hail.experiments SET state = 'draft', started_at = NULL WHERE name = 'ten-percent';
UPDATE hail.experiments SET started_at = '2013-01-01' WHERE name = 'ten-percent';
DELETE FROM hail.experiments WHERE name = 'comfort-everywhere';
DELETE FROM hail.experiment_variants WHERE experiment_id = (SELECT id FROM hail.experiments WHERE name = 'ten-percent');
INSERT INTO hail.experiment_variants (experiment_id, name, is_control, share_bp, price_multiplier)
SELECT id, 'more', false, 1, 1.5 FROM hail.experiments WHERE name = 'everywhere';
SET client_min_messages = warning;
TRUNCATE hail.experiments CASCADE;
RESET client_min_messages;
-- A draft that lost a variant does not start; drafts can be discarded.
DELETE FROM hail.experiment_variants
WHERE experiment_id = (SELECT id FROM hail.experiments WHERE name = 'all-of-trial') AND is_control;
SELECT state FROM hail.stop_experiment('ten-percent');
SELECT hail.start_experiment('all-of-trial');
SELECT hail.discard_experiment('all-of-trial');
SELECT hail.discard_experiment('all-of-trial');
SELECT hail.discard_experiment('few');
SELECT count(*) FROM hail.list_experiments() WHERE experiment = 'all-of-trial';

-- Rights: administrators; analysts look at the list; nobody else learns of anything.
CREATE FUNCTION as_role(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    person uuid;
BEGIN
    INSERT INTO hail.users (phone, name, role) VALUES ('+355990000002', 'P', role) RETURNING id INTO person;
    PERFORM hail.authenticate(hail.issue_token(person));
    EXECUTE statement INTO result;
    RAISE EXCEPTION 'done' USING ERRCODE = 'UHX01', HINT = coalesce(result, 'nothing');
EXCEPTION
    WHEN SQLSTATE 'UHX01' THEN
        GET STACKED DIAGNOSTICS result = PG_EXCEPTION_HINT;
        RETURN result;
    WHEN OTHERS THEN
        RETURN SQLERRM;
END
$$;
SELECT role, what, as_role(role, statement) AS answer
FROM unnest(ARRAY['admin', 'analyst', 'customer', 'driver', 'partner']) WITH ORDINALITY AS r (role, n),
     (VALUES (1, 'list', 'SELECT count(*) FROM hail.list_experiments()'),
             (2, 'table', 'SELECT count(*) > 0 FROM hail.experiments'),
             (3, 'variants', 'SELECT count(*) > 0 FROM hail.experiment_variants'),
             (4, 'create', 'SELECT (hail.create_experiment(''mine'', variants(1))).created_by = hail.current_subject()'),
             (5, 'start', 'SELECT (hail.start_experiment(''everywhere'')).name'),
             (6, 'stop', 'SELECT (hail.stop_experiment(''few'')).stopped_by = hail.current_subject()'),
             (7, 'discard', 'SELECT hail.discard_experiment(''everywhere'')'),
             (8, 'look up', 'SELECT (hail.experiment_variant_of(''ten-percent'', ''0192f1a0-1234-7000-8abc-0123456789ab'')).name')) s (i, what, statement)
ORDER BY r.n, s.i;

SELECT count(*) AS running FROM hail.experiments WHERE state = 'running';
SELECT state FROM hail.stop_experiment('few');
DROP FUNCTION variants, as_role;
SELECT hail.reset_clock() IS NOT NULL AS reset;
