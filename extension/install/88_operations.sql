-- 88_operations: is all well, and the figures that say how it goes

CREATE FUNCTION hail.check_partitions() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    entry hail.partitioned_tables;
    today text := to_char(hail.clock() AT TIME ZONE 'UTC', 'YYYYMMDD');
    strays bigint;
BEGIN
    PERFORM hail.require_admin();
    FOR entry IN SELECT * FROM hail.partitioned_tables ORDER BY table_name LOOP
        area := 'partitions';
        hint := NULL;
        IF to_regclass(format('hail.%I', entry.table_name || '_default')) IS NULL THEN
            status := 'fail';
            detail := format('%s has no default partition: rows are refused', entry.table_name);
            hint := 'Run hail.maintain_partitions(), or start the keeper.';
        ELSE
            EXECUTE format('SELECT count(*) FROM (SELECT FROM hail.%I LIMIT 1000) AS s', entry.table_name || '_default')
                INTO strays;
            IF to_regclass(format('hail.%I', entry.table_name || '_' || today)) IS NULL THEN
                status := 'warn';
                detail := format('%s has no partition for today', entry.table_name);
                hint := 'Run hail.maintain_partitions(), or start the keeper.';
            ELSIF strays > 0 THEN
                status := 'warn';
                detail := format('%s: %s stray row(s) in the default partition', entry.table_name, strays);
                hint := 'hail.maintain_partitions() moves the rows of days it makes partitions for; older strays need a look.';
            ELSE
                status := 'ok';
                detail := format('%s is partitioned ahead', entry.table_name);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.check_partitions() IS
'Per partitioned table: is there a partition for today, is the default partition empty. Administrators only; part of hail.check().';

CREATE FUNCTION hail.check_ledger() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found bigint;
BEGIN
    PERFORM hail.require_admin();
    SELECT count(*) INTO found FROM hail.reconcile((hail.clock() AT TIME ZONE 'UTC')::date);
    area := 'ledger';
    status := CASE WHEN found = 0 THEN 'ok' ELSE 'fail' END;
    detail := format('reconciliation of today: %s difference(s)', found);
    hint := CASE WHEN found > 0 THEN 'SELECT * FROM hail.reconcile(current_date);' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hail.check_ledger() IS
'Reconciliation of today as one row. Administrators only; part of hail.check().';

-- VOLATILE: index and tables are compared as they are now, not as the caller's statement began.
CREATE FUNCTION hail.check() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM hail.check_live()
    UNION ALL SELECT * FROM hail.check_geofences()
    UNION ALL SELECT * FROM hail.check_history()
    UNION ALL SELECT * FROM hail.check_partitions()
    UNION ALL SELECT * FROM hail.check_tracks()
    UNION ALL SELECT * FROM hail.check_eta()
    UNION ALL SELECT * FROM hail.check_surge()
    UNION ALL SELECT * FROM hail.check_dispatch()
    UNION ALL SELECT * FROM hail.check_dispatcher()
    UNION ALL SELECT * FROM hail.check_ledger()
    UNION ALL SELECT * FROM hail.check_roads()
$$;
COMMENT ON FUNCTION hail.check() IS
'Is all well? One row per area: ok, warn or fail, what was found and what to do. Administrators only.';

CREATE FUNCTION hail.metrics() RETURNS TABLE (name text, labels jsonb, kind text, value float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(hail.current_role_name(), '') NOT IN ('admin', 'analyst') THEN
        PERFORM hail.require_admin();
    END IF;
    RETURN QUERY
    SELECT 'hail_active_trips', jsonb_build_object('state', t.state), 'gauge', count(*)::float8
    FROM hail.trips t WHERE t.state IN ('searching', 'matched', 'arrived', 'started') GROUP BY t.state
    UNION ALL
    SELECT * FROM hail.geofence_metrics()
    UNION ALL
    SELECT 'hail_pending_offers', '{}'::jsonb, 'gauge', count(*)::float8 FROM hail.offers o WHERE o.status = 'pending'
    UNION ALL
    SELECT 'hail_open_holds', '{}'::jsonb, 'gauge', count(*)::float8 FROM hail.holds h WHERE h.status = 'held'
    UNION ALL
    SELECT 'hail_search_overdue_seconds', '{}'::jsonb, 'gauge',
           coalesce(extract(epoch FROM hail.clock() - min(t.next_round_at))::float8, 0)
    FROM hail.trips t WHERE t.next_round_at < hail.clock()
    UNION ALL
    SELECT 'hail_transaction_horizon_lag', '{}'::jsonb, 'gauge',
           pg_snapshot_xmax(pg_current_snapshot())::text::float8 - pg_snapshot_xmin(pg_current_snapshot())::text::float8;
    RETURN QUERY
    SELECT m.name, '{}'::jsonb, CASE WHEN m.name ~ '_total$' THEN 'counter' ELSE 'gauge' END, m.value::float8
    FROM hail.live_stats() s CROSS JOIN LATERAL (VALUES
        ('hail_live_ready', s.ready::integer), ('hail_live_slots', s.slots), ('hail_live_slots_used', s.slots_used),
        ('hail_live_linked_drivers', s.linked), ('hail_live_occupied_cells', s.occupied_cells), ('hail_live_memory_bytes', s.memory_bytes),
        ('hail_live_searches_total', s.searches), ('hail_live_search_cells_total', s.cells_visited),
        ('hail_live_search_drivers_total', s.drivers_visited), ('hail_live_search_reruns_total', s.search_reruns),
        ('hail_live_lock_waits_total', s.lock_waits), ('hail_live_reports_total', s.reports),
        ('hail_live_late_reports_total', s.late_reports), ('hail_live_impossible_reports_total', s.impossible_reports)) m (name, value);
    RETURN QUERY
    SELECT m.name, m.labels, CASE WHEN m.name ~ '_total$' THEN 'counter' ELSE 'gauge' END, m.value
    FROM hail.overload() o CROSS JOIN LATERAL (VALUES
        ('hail_dispatch_lag_seconds', '{}'::jsonb, o.lag_s),
        ('hail_dispatch_overload_level', '{}', array_position('{none,distance_only,longer_windows,queue}', o.level)::float8 - 1),
        ('hail_dispatch_queue', '{}', o.waiting::float8), ('hail_dispatch_refused_total', '{}', o.refused::float8),
        ('hail_dispatch_overloads_total', '{}', o.times_raised::float8),
        ('hail_dispatch_failing_trips', '{}', (SELECT count(*) FROM hail.dispatch_failures f JOIN hail.trips t ON t.id = f.trip_id
                                               WHERE t.next_round_at IS NOT NULL)::float8)) m (name, labels, value);
    RETURN QUERY
    SELECT m.name, '{}'::jsonb, 'gauge', m.value::float8
    FROM hail.surge_stats() s CROSS JOIN LATERAL (VALUES
        ('hail_surge_in_memory', (s.in_memory AND s.filled)::integer), ('hail_surge_cells', s.cells),
        ('hail_surge_cells_surging', s.surging), ('hail_surge_cells_left_out', s.left_out),
        ('hail_surge_tick_ms', s.tick_ms), ('hail_surge_memory_bytes', s.memory_bytes)) m (name, value)
    WHERE m.value IS NOT NULL;
    RETURN QUERY SELECT * FROM hail.dispatch_metrics();
    IF NOT hail.live_warming() THEN
        RETURN QUERY
        SELECT 'hail_live_drivers', jsonb_build_object('region', c.region, 'state', c.state), 'gauge', c.drivers::float8
        FROM hail.live_counts() c;
    END IF;
    RETURN QUERY
    SELECT m.name, m.labels, CASE WHEN m.name ~ '_total$' THEN 'counter' ELSE 'gauge' END, m.value
    FROM hail.history_stats() s CROSS JOIN LATERAL (VALUES
        ('hail_history_ring_points', '{}'::jsonb, s.ring_points::float8), ('hail_history_ring_fill_ratio', '{}', s.fill),
        ('hail_history_waiting_points', '{"lane": "trip"}', s.waiting_on_trip::float8),
        ('hail_history_waiting_points', '{"lane": "other"}', s.waiting_other::float8),
        ('hail_history_drain_lag_seconds', '{}', s.drain_lag_s),
        ('hail_history_drained_points_total', '{}', s.drained::float8),
        ('hail_history_directly_written_points_total', '{}', s.written_directly::float8)) m (name, labels, value);
END
$$;
COMMENT ON FUNCTION hail.metrics() IS
'Figures of the engine for Prometheus and the like: name, labels, kind (gauge, or counter since the server started, named _total), value. Administrators and analysts.';

GRANT EXECUTE ON FUNCTION hail.check(), hail.check_partitions(), hail.check_ledger() TO hail_admin;
GRANT EXECUTE ON FUNCTION hail.metrics() TO hail_admin, hail_analyst;
