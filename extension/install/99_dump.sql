-- 99_dump: rows of extension tables are dumped only when registered, sequences too

DO $$
DECLARE
    o record;
    shipped text := (SELECT pg_catalog.format('WHERE code NOT IN (%s)', pg_catalog.string_agg(pg_catalog.quote_literal(c.code), ', ' ORDER BY c.code))
                     FROM hail.currencies c);
BEGIN
    FOR o IN SELECT c.oid::pg_catalog.regclass AS name, c.relname FROM pg_catalog.pg_class c
             WHERE c.relnamespace = 'hail'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p', 'S') ORDER BY 1 LOOP
        -- rows this script has just made come with CREATE EXTENSION: only the others are dumped
        PERFORM pg_catalog.pg_extension_config_dump(o.name, CASE o.relname::text
            WHEN 'service_classes' THEN 'WHERE id NOT IN (0, 1, 2, 3, 8, 9, 16, 17)'
            WHEN 'partitioned_tables' THEN $f$WHERE table_name NOT IN ('location_history', 'events', 'match_rounds', 'surge_history')$f$
            WHEN 'surge_steps' THEN 'WHERE region_id IS NOT NULL'
            WHEN 'currencies' THEN shipped
            WHEN 'dispatch_policies' THEN 'WHERE id > 1'
            WHEN 'trip_transitions' THEN 'WHERE false'
            WHEN 'stop_transitions' THEN 'WHERE false'
            WHEN 'withdrawal_transitions' THEN 'WHERE false'
            WHEN 'account_kinds' THEN 'WHERE false'
            WHEN 'entry_templates' THEN 'WHERE false'
            WHEN 'payment_transitions' THEN 'WHERE false'
            WHEN 'reconcile_checks' THEN 'WHERE false'
            WHEN 'guard_definitions' THEN 'WHERE false'
            WHEN 'fraud_rules' THEN 'WHERE version > 1'
            WHEN 'fraud_watch' THEN 'WHERE false'
            WHEN 'geofence_state' THEN 'WHERE false'
            ELSE '' END);
    END LOOP;
END
$$;
