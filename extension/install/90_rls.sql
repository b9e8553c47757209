-- 90_rls: what holds for every table and function, whoever wrote its script

DO $$
DECLARE
    o record;
BEGIN
    -- Everything belongs to hail_owner, which can't log in; tables are under row level security, their owner too.
    FOR o IN SELECT c.oid::pg_catalog.regclass AS name, c.relkind FROM pg_catalog.pg_class c
             WHERE c.relnamespace = 'hail'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p', 'v') ORDER BY 1 LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM PUBLIC', o.name);
        EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO hail_owner', o.name);
        IF o.relkind <> 'v' THEN
            EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', o.name);
            EXECUTE pg_catalog.format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', o.name);
            -- SECURITY DEFINER functions run as hail_owner; they have asked who is calling.
            EXECUTE pg_catalog.format('CREATE POLICY owner_functions ON %s TO hail_owner USING (true) WITH CHECK (true)', o.name);
        END IF;
    END LOOP;
    FOR o IN SELECT p.oid::pg_catalog.regprocedure AS name FROM pg_catalog.pg_proc p
             WHERE p.pronamespace = 'hail'::pg_catalog.regnamespace ORDER BY 1 LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', o.name);
        EXECUTE pg_catalog.format('ALTER FUNCTION %s OWNER TO hail_owner', o.name);
    END LOOP;
    FOR o IN SELECT t.oid::pg_catalog.regtype AS name FROM pg_catalog.pg_type t
             WHERE t.typnamespace = 'hail'::pg_catalog.regnamespace AND t.typtype = 'c'
               AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c') LOOP
        EXECUTE pg_catalog.format('ALTER TYPE %s OWNER TO hail_owner', o.name);
    END LOOP;
    FOR o IN SELECT t.oid::pg_catalog.regtype AS name FROM pg_catalog.pg_type t
             WHERE t.typnamespace = 'hail'::pg_catalog.regnamespace AND t.typtype = 'd' LOOP
        EXECUTE pg_catalog.format('ALTER DOMAIN %s OWNER TO hail_owner', o.name);
    END LOOP;
    ALTER SCHEMA hail OWNER TO hail_owner;
    GRANT USAGE ON SCHEMA public TO hail_owner;
END
$$;
