-- 40_history: position history, time partitions

CREATE TABLE hail.partitioned_tables (
    table_name  text PRIMARY KEY,
    time_column text NOT NULL,
    retention   interval CHECK (retention > '0'),
    days_ahead  integer NOT NULL DEFAULT 3 CHECK (days_ahead BETWEEN 1 AND 366),
    indexes     text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE hail.partitioned_tables IS
'Tables of schema hail that hail.maintain_partitions() looks after: daily partitions (UTC) made ahead, dropped after `retention` (NULL: kept for ever).';
-- Were the indexes the parent's, a restore would find them made by CREATE EXTENSION and ATTACH, and fail on its own.
COMMENT ON COLUMN hail.partitioned_tables.indexes IS
'What each partition gets: "PRIMARY KEY (...)", or what follows CREATE INDEX ON name. The parent has none, so that pg_dump can restore partitions with theirs.';

CREATE TABLE hail.location_history (
    driver_id   uuid NOT NULL,
    trip_id     uuid,
    lat         float8 NOT NULL,
    lng         float8 NOT NULL,
    heading     real,
    speed       real,
    accuracy    real,
    recorded_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL
) PARTITION BY RANGE (recorded_at);
COMMENT ON TABLE hail.location_history IS
'Every position on a trip, one per hail.history_interval otherwise; daily partitions. Filled from the history ring.';
INSERT INTO hail.partitioned_tables (table_name, time_column, retention, indexes) VALUES
    ('location_history', 'recorded_at', '90 days',
     '{"PRIMARY KEY (driver_id, recorded_at)", "(trip_id) WHERE trip_id IS NOT NULL", "USING brin (recorded_at)"}');

CREATE TABLE hail.location_rejects (
    LIKE hail.location_history,
    error       text NOT NULL,
    rejected_at timestamptz NOT NULL
);
COMMENT ON TABLE hail.location_rejects IS
'Positions that hail.location_history refused when the ring was drained (a constraint or trigger added to it), with the error; hail.retry_location_rejects() tries them again.';

GRANT SELECT ON hail.partitioned_tables, hail.location_history, hail.location_rejects TO hail_admin;
GRANT SELECT ON hail.location_history TO hail_driver;
CREATE POLICY partitioned_tables_admin ON hail.partitioned_tables FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');
CREATE POLICY location_history_admin ON hail.location_history FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');
CREATE POLICY location_rejects_admin ON hail.location_rejects FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');
CREATE POLICY location_history_driver ON hail.location_history FOR SELECT TO hail_driver
    USING (driver_id = hail.current_subject());

-- The ring

CREATE FUNCTION hail.append_history(driver_id uuid, trip_id uuid, lat float8, lng float8, recorded_at timestamptz,
                                    accuracy real DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_append_history';
COMMENT ON FUNCTION hail.append_history(uuid, uuid, float8, float8, timestamptz, real) IS
'Keep a position as a report does: in the ring, or, when that is full or absent, in the table. Does not ask who calls. Internal.';

CREATE FUNCTION hail.drain_history() RETURNS integer
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_drain_history';
COMMENT ON FUNCTION hail.drain_history() IS
'Write what the ring holds into location_history; the ring gives it up at commit. Returns the positions taken; 0 also when another transaction is draining. Internal.';

CREATE FUNCTION hail.history_stats(OUT ring_points bigint, OUT waiting_on_trip bigint, OUT waiting_other bigint,
                                   OUT drained bigint, OUT written_directly bigint, OUT draining boolean,
                                   OUT drain_lag_s float8, OUT fill float8)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_history_stats';
COMMENT ON FUNCTION hail.history_stats() IS
'The history ring: positions it has room for, positions waiting to be drained, drained since the start, written by their reporters because the ring was full, whether a drain is under way, seconds since the oldest waiting position was received, and how full the fuller of the ring''s two lanes is (0 to 1). ring_points is 0 when the library is not preloaded. For administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.history_stats() TO hail_admin, hail_analyst;

CREATE FUNCTION hail.retry_location_rejects() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reject record;
    stored bigint := 0;
BEGIN
    PERFORM hail.require_admin();
    FOR reject IN SELECT r.ctid, r.* FROM hail.location_rejects r ORDER BY r.rejected_at, r.driver_id, r.recorded_at FOR UPDATE LOOP
        BEGIN
            INSERT INTO hail.location_history
                (driver_id, trip_id, lat, lng, heading, speed, accuracy, recorded_at, received_at)
            VALUES (reject.driver_id, reject.trip_id, reject.lat, reject.lng, reject.heading, reject.speed, reject.accuracy,
                    reject.recorded_at, reject.received_at)
            ON CONFLICT DO NOTHING;
            DELETE FROM hail.location_rejects r WHERE r.ctid = reject.ctid;
            stored := stored + 1;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
            UPDATE hail.location_rejects r SET error = SQLERRM WHERE r.ctid = reject.ctid;
        END;
    END LOOP;
    RETURN stored;
END
$$;
COMMENT ON FUNCTION hail.retry_location_rejects() IS
'Move the positions of hail.location_rejects that hail.location_history takes by now into it; returns how many. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.retry_location_rejects() TO hail_admin;

-- Partitions. Days are UTC days and bounds are written with +00: no session setting plays a part.

CREATE FUNCTION hail.partition_name(table_name text, day date) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$ SELECT table_name || '_' || to_char(day, 'YYYYMMDD') $$;
COMMENT ON FUNCTION hail.partition_name(text, date) IS 'Name of the partition of a day. Internal.';

CREATE FUNCTION hail.day_start(day date) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$ SELECT day::timestamp AT TIME ZONE 'UTC' $$;
COMMENT ON FUNCTION hail.day_start(date) IS 'First moment of a UTC day. Internal.';

CREATE FUNCTION hail.utc_day(at timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$ SELECT (at AT TIME ZONE 'UTC')::date $$;
COMMENT ON FUNCTION hail.utc_day(timestamptz) IS 'The UTC day of a time. Internal.';

-- A partition queried by its own name ignores the policies of its parent: it gets row level security of its own,
-- with a policy for hail_owner only.
CREATE FUNCTION hail.finish_partition(t hail.partitioned_tables, partition text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    index text;
BEGIN
    FOREACH index IN ARRAY t.indexes LOOP
        EXECUTE format(CASE WHEN index LIKE 'PRIMARY KEY%' THEN 'ALTER TABLE hail.%I ADD ' ELSE 'CREATE INDEX ON hail.%I ' END,
                       partition) || index;
    END LOOP;
    EXECUTE format('ALTER TABLE hail.%I OWNER TO hail_owner', partition);
    EXECUTE format('REVOKE ALL ON hail.%I FROM PUBLIC', partition);
    EXECUTE format('ALTER TABLE hail.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format('CREATE POLICY owner_functions ON hail.%I TO hail_owner USING (true) WITH CHECK (true)', partition);
END
$$;
COMMENT ON FUNCTION hail.finish_partition(hail.partitioned_tables, text) IS
'Give a new partition its indexes, and its rows to hail_owner and nobody else. Internal.';

CREATE FUNCTION hail.make_default_partition(t hail.partitioned_tables) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass(format('hail.%I', t.table_name || '_default')) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE hail.%I PARTITION OF hail.%I DEFAULT', t.table_name || '_default', t.table_name);
    PERFORM hail.finish_partition(t, t.table_name || '_default');
    RETURN true;
END
$$;
COMMENT ON FUNCTION hail.make_default_partition(hail.partitioned_tables) IS
'Make the partition that catches rows of no other one; false: it was there. Internal.';

-- The default partition may hold rows of the day: they are moved before the new partition is attached. Both
-- happen under a lock that keeps new rows out of the default partition; the parent stays open for the others.
CREATE FUNCTION hail.make_day_partition(t hail.partitioned_tables, day date) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := hail.partition_name(t.table_name, day);
    moved bigint;
BEGIN
    EXECUTE format('LOCK TABLE hail.%I IN ACCESS EXCLUSIVE MODE', t.table_name || '_default');
    EXECUTE format('CREATE TABLE hail.%I (LIKE hail.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
                   name, t.table_name);
    PERFORM hail.finish_partition(t, name);
    EXECUTE format('WITH strays AS (DELETE FROM hail.%1$I WHERE %2$I >= $1 AND %2$I < $2 RETURNING *)
                    INSERT INTO hail.%3$I SELECT * FROM strays', t.table_name || '_default', t.time_column, name)
        USING hail.day_start(day), hail.day_start(day + 1);
    GET DIAGNOSTICS moved = ROW_COUNT;
    EXECUTE format('ALTER TABLE hail.%I ATTACH PARTITION hail.%I FOR VALUES FROM (%L) TO (%L)', t.table_name, name,
                   day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
    RETURN moved;
END
$$;
COMMENT ON FUNCTION hail.make_day_partition(hail.partitioned_tables, date) IS
'Make the partition of a UTC day and move its rows out of the default partition; returns how many. Internal.';

-- Days that want a partition: yesterday to days_ahead, and past days of which the default partition holds rows.
CREATE FUNCTION hail.wanted_days(t hail.partitioned_tables, today date) RETURNS SETOF date
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT day FROM (
            SELECT $1 + n FROM generate_series(-1, $2) AS n
            UNION
            SELECT hail.utc_day(%1$I) FROM hail.%2$I WHERE %1$I < $3 AND %1$I >= $4) AS days (day)
        WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = ('hail.' || quote_ident($5))::regclass
                          AND i.inhrelid = to_regclass('hail.' || quote_ident(hail.partition_name($5, day))))
        ORDER BY day DESC LIMIT 400$q$, t.time_column, t.table_name || '_default')
        USING today, t.days_ahead, hail.day_start(today + t.days_ahead + 1),
              coalesce(hail.day_start(hail.utc_day(hail.day_start(today) - t.retention)), '-infinity'), t.table_name;
END
$$;
COMMENT ON FUNCTION hail.wanted_days(hail.partitioned_tables, date) IS
'Days of which a table should have a partition and has none. Internal.';

CREATE FUNCTION hail.make_partitions(t hail.partitioned_tables, today date)
    RETURNS TABLE (partition text, action text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    days date[];
    day date;
    moved bigint;
BEGIN
    -- one maintenance of a table at a time; reading and writing it go on
    EXECUTE format('LOCK TABLE hail.%I IN SHARE UPDATE EXCLUSIVE MODE', t.table_name);
    IF hail.make_default_partition(t) THEN
        partition := t.table_name || '_default';
        action := 'created';
        RETURN NEXT;
    END IF;
    days := ARRAY(SELECT d FROM hail.wanted_days(t, today) AS d ORDER BY d);
    -- A row routed to the default partition before the attach fails after it. Where rows may be on their way,
    -- for days that have begun, writers wait from here on; seldom, for maintenance is days ahead.
    IF EXISTS (SELECT FROM unnest(days) AS d WHERE d <= today) THEN
        EXECUTE format('LOCK TABLE hail.%I IN SHARE ROW EXCLUSIVE MODE', t.table_name);
    END IF;
    FOREACH day IN ARRAY days LOOP
        partition := hail.partition_name(t.table_name, day);
        BEGIN
            moved := hail.make_day_partition(t, day);
            action := 'created' || CASE WHEN moved > 0 THEN format(', %s rows moved out of the default', moved) ELSE '' END;
        EXCEPTION
            WHEN lock_not_available THEN
                RAISE; -- the other days would wait as long
            WHEN OTHERS THEN
                action := 'failed: ' || SQLERRM;
                RAISE WARNING 'making partition "hail.%" failed: %', partition, SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.make_partitions(hail.partitioned_tables, date) IS
'Make the default partition and the daily ones of a table up to days_ahead; a day that fails stops no other one. Internal.';

CREATE FUNCTION hail.drop_partitions(t hail.partitioned_tables, today date)
    RETURNS TABLE (partition text, action text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- the first day that must stay: what began before it, and ended too, is older than the retention
    first_kept date := hail.utc_day(hail.day_start(today) - t.retention);
    purged bigint;
BEGIN
    IF t.retention IS NULL OR to_regclass(format('hail.%I', t.table_name || '_default')) IS NULL THEN
        RETURN; -- kept for ever, or nothing there yet
    END IF;
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = format('hail.%I', t.table_name)::regclass
          AND c.relname ~ '_[0-9]{8}$' AND c.relname < hail.partition_name(t.table_name, first_kept)
        ORDER BY 1 LOOP
        EXECUTE format('DROP TABLE hail.%I', partition);
        action := 'dropped';
        RETURN NEXT;
    END LOOP;
    partition := t.table_name || '_default';
    EXECUTE format('DELETE FROM hail.%I WHERE %I < $1', partition, t.time_column) USING hail.day_start(first_kept);
    GET DIAGNOSTICS purged = ROW_COUNT;
    IF purged > 0 THEN
        action := format('%s rows past retention deleted', purged);
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.drop_partitions(hail.partitioned_tables, date) IS
'Drop partitions, and delete rows of the default one, of days wholly past the retention of a table. Internal.';

-- Locks are waited for two seconds at most: a table in use by a long transaction is reported, not waited for,
-- because everybody else would queue behind us.
CREATE FUNCTION hail.maintain_partitions() RETURNS TABLE (table_name text, partition text, action text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    t hail.partitioned_tables;
    today date := hail.utc_day(hail.clock());
    job text;
BEGIN
    PERFORM hail.require_admin();
    FOR t IN SELECT * FROM hail.partitioned_tables p ORDER BY p.table_name LOOP
        table_name := t.table_name;
        FOREACH job IN ARRAY ARRAY['drop_partitions', 'make_partitions'] LOOP
            BEGIN
                FOR partition, action IN EXECUTE format('SELECT * FROM hail.%I($1, $2)', job) USING t, today LOOP
                    RETURN NEXT;
                END LOOP;
            EXCEPTION WHEN OTHERS THEN
                partition := NULL;
                action := 'failed: ' || SQLERRM;
                RAISE WARNING 'maintaining partitions of table "hail.%" failed: %', t.table_name, SQLERRM;
                RETURN NEXT;
            END;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.maintain_partitions() IS
'Make daily partitions ahead for every table of hail.partitioned_tables, move rows out of the default partitions, drop what is past retention. Returns what was done; a table that fails is a row "failed: ..." and a warning, and stops no other one.';
GRANT EXECUTE ON FUNCTION hail.maintain_partitions() TO hail_admin;

CREATE FUNCTION hail.check_history() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ring record;
    refused bigint;
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO ring FROM hail.history_stats();
    SELECT count(*) INTO refused FROM (SELECT FROM hail.location_rejects LIMIT 1000) r;
    area := 'history';
    status := 'warn';
    IF ring.fill > 0.9 THEN
        detail := format('the history ring is %s %% full: reporters soon write positions themselves', floor(ring.fill * 100));
        hint := 'Is the drainer running (server log)? Else raise hail.history_ring_points.';
    ELSIF ring.drain_lag_s > 10 THEN
        detail := format('positions wait for %s s in the history ring', round(ring.drain_lag_s));
        hint := 'Is the drainer running? The server log says why a drain fails.';
    ELSIF refused > 0 THEN
        detail := format('%s position(s) were refused by location_history', refused);
        hint := 'See hail.location_rejects; mend what refuses them, then hail.retry_location_rejects().';
    ELSE
        status := 'ok';
        detail := 'the history ring is drained, no position was refused';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hail.check_history() IS
'Is the history ring drained in time, and did the table take every position? Administrators only; part of hail.check().';
GRANT EXECUTE ON FUNCTION hail.check_history() TO hail_admin;

CREATE FUNCTION hail.export_history(day date) RETURNS SETOF hail.location_history
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_admin();
    IF day IS NULL OR NOT isfinite(day) THEN
        PERFORM hail.fail('invalid_value', 'day must be a date', 'day', 'Give the UTC day to export.');
    END IF;
    RETURN QUERY SELECT * FROM hail.location_history h
                 WHERE h.recorded_at >= hail.day_start(day) AND h.recorded_at < hail.day_start(day + 1);
END
$$;
COMMENT ON FUNCTION hail.export_history(date) IS
'Every position recorded on a UTC day, in no particular order: reads the partition of that day alone. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.export_history(date) TO hail_admin;
