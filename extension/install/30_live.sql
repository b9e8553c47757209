-- 30_live: positions now

CREATE TABLE hail.driver_positions (
    driver_id   uuid PRIMARY KEY REFERENCES hail.drivers (id),
    lat         float8 NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lng         float8 NOT NULL CHECK (lng BETWEEN -180 AND 180),
    heading     real,
    speed       real,
    accuracy    real,
    recorded_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    place       public.geometry(Point, 4326) NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 1, vacuum_truncate = off);
CREATE INDEX driver_positions_place ON hail.driver_positions USING gist (place);
COMMENT ON TABLE hail.driver_positions IS
'Newest position of each driver, written through from the live index in batches; what the index is rebuilt from, and what is searched when the library is not preloaded.';
COMMENT ON COLUMN hail.driver_positions.place IS
'The position rounded to 0.01 degrees: it seldom changes, so that most updates are heap-only. Searches widen their radius by the rounding and sort by lat, lng.';
GRANT SELECT ON hail.driver_positions TO hail_driver, hail_admin;
CREATE POLICY driver_positions_self ON hail.driver_positions FOR SELECT TO hail_driver
    USING (driver_id = hail.current_subject());
CREATE POLICY driver_positions_admin ON hail.driver_positions FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');

-- The index follows hail.drivers at commit.

CREATE FUNCTION hail.live_count_version() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_live_count_version';
COMMENT ON FUNCTION hail.live_count_version() IS 'Trigger: drivers.version counts every change of the row. Internal.';

CREATE FUNCTION hail.live_mirror() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_live_mirror';
COMMENT ON FUNCTION hail.live_mirror() IS 'Trigger: the live index takes over the row when the transaction commits. Internal.';

CREATE FUNCTION hail.live_refuse_truncate() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_live_refuse_truncate';
COMMENT ON FUNCTION hail.live_refuse_truncate() IS 'Trigger: TRUNCATE tells no row, so the live index could not follow. Internal.';

-- Named to be the last of its kind: it reads what the other triggers made of the row.
CREATE TRIGGER zz_live_count_version BEFORE UPDATE ON hail.drivers
    FOR EACH ROW EXECUTE FUNCTION hail.live_count_version();
CREATE TRIGGER live_mirror AFTER INSERT OR UPDATE OR DELETE ON hail.drivers
    FOR EACH ROW EXECUTE FUNCTION hail.live_mirror();
CREATE TRIGGER live_refuse_truncate BEFORE TRUNCATE ON hail.drivers
    FOR EACH STATEMENT EXECUTE FUNCTION hail.live_refuse_truncate();
ALTER TABLE hail.drivers ENABLE ALWAYS TRIGGER zz_live_count_version;
ALTER TABLE hail.drivers ENABLE ALWAYS TRIGGER live_mirror;
ALTER TABLE hail.drivers ENABLE ALWAYS TRIGGER live_refuse_truncate;

CREATE FUNCTION hail.live_reset() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_live_reset';
COMMENT ON FUNCTION hail.live_reset() IS
'Empty the live index when this transaction commits; the keeper rebuilds it, until then searches answer "warming". For administrators.';
GRANT EXECUTE ON FUNCTION hail.live_reset() TO hail_admin;

CREATE FUNCTION hail.live_begin() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_live_begin';
COMMENT ON FUNCTION hail.live_begin() IS 'Empty the live index and call it complete: for a new installation. Internal.';
-- Nothing of an extension installed here before may stay. Without drivers the empty index is complete.
SELECT hail.live_begin();

-- Positions.

CREATE FUNCTION hail.report_location(driver_id uuid, lat float8, lng float8, heading real DEFAULT NULL,
                                     speed real DEFAULT NULL, accuracy real DEFAULT NULL,
                                     recorded_at timestamptz DEFAULT NULL,
                                     OUT state text, OUT pending_offers integer, OUT applied boolean)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_report_location';
COMMENT ON FUNCTION hail.report_location(uuid, float8, float8, real, real, real, timestamptz) IS
'A driver''s position: degrees, heading 0-360, speed in km/h, accuracy in metres, recorded_at by the phone''s clock (default now, not older than a day, not more than a minute ahead). Takes effect at once, whatever becomes of the transaction. applied is false for a position older than the present one (kept in the history), for the present one sent again, and for an impossible move (faster than hail.max_speed; not kept). For the driver itself, hail.report_rate times a minute, and administrators. Errors: invalid_value, not_found, driver_not_eligible (not approved), rate_limited, out_of_slots.';

CREATE FUNCTION hail.report_locations(driver_ids uuid[], lats float8[], lngs float8[], headings real[] DEFAULT NULL,
                                      speeds real[] DEFAULT NULL, accuracies real[] DEFAULT NULL,
                                      recorded_ats timestamptz[] DEFAULT NULL) RETURNS integer
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_report_locations';
COMMENT ON FUNCTION hail.report_locations(uuid[], float8[], float8[], real[], real[], real[], timestamptz[]) IS
'Many positions, in any order, as arrays of equal length; returns how many were taken, those older than a driver''s present one (kept in the history) and those sent again included. Bad rows, unknown and unapproved drivers and impossible moves are skipped. For administrators, and for a driver''s own positions, 500 at most; a call counts once for hail.report_rate. Errors: invalid_value (the arrays), forbidden (another driver''s position: nothing is taken), rate_limited, out_of_slots.';

CREATE FUNCTION hail.report_locations_detailed(driver_ids uuid[], lats float8[], lngs float8[], headings real[] DEFAULT NULL,
                                               speeds real[] DEFAULT NULL, accuracies real[] DEFAULT NULL,
                                               recorded_ats timestamptz[] DEFAULT NULL)
RETURNS TABLE ("row" integer, driver_id uuid, verdict text, field text)
LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'hail_report_locations_detailed';
COMMENT ON FUNCTION hail.report_locations_detailed(uuid[], float8[], float8[], real[], real[], real[], timestamptz[]) IS
'hail.report_locations() with a row for each position, numbered from 1: applied; late (older than the present one: kept in the history); duplicate (the present one sent again); impossible (faster than hail.max_speed; not kept); invalid (field names what is wrong); unknown_driver; not_approved.';

GRANT EXECUTE ON FUNCTION hail.report_location(uuid, float8, float8, real, real, real, timestamptz),
    hail.report_locations(uuid[], float8[], float8[], real[], real[], real[], timestamptz[]),
    hail.report_locations_detailed(uuid[], float8[], float8[], real[], real[], real[], timestamptz[])
    TO hail_driver, hail_admin;

CREATE FUNCTION hail.report_requests(tokens text[], lats float8[], lngs float8[], headings real[] DEFAULT NULL,
                                     speeds real[] DEFAULT NULL, accuracies real[] DEFAULT NULL,
                                     recorded_ats timestamptz[] DEFAULT NULL)
RETURNS TABLE (sqlstate text, message text, field text, hint text, retry_after_s integer,
               state text, pending_offers integer, applied boolean)
LANGUAGE c VOLATILE ROWS 16 AS 'MODULE_PATHNAME', 'hail_report_requests';
COMMENT ON FUNCTION hail.report_requests(text[], float8[], float8[], real[], real[], real[], timestamptz[]) IS
'Requests of many drivers in one call, each with its own access token: a row per request, in order, with what hail.report_location would have answered that driver, or the error (sqlstate NULL: none; field, hint, retry_after_s where there are any). One request''s error disturbs no other; one that a lock holds up gets lock_not_available when it is not alone, and is to be sent again. No token''s subject remains. For hail_front alone.';
GRANT EXECUTE ON FUNCTION hail.report_requests(text[], float8[], float8[], real[], real[], real[], timestamptz[])
    TO hail_front;

CREATE FUNCTION hail.flag_stats(OUT waiting bigint, OUT written bigint, OUT missed bigint, OUT believed bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE ROWS 1 AS 'MODULE_PATHNAME', 'hail_flag_stats';
COMMENT ON FUNCTION hail.flag_stats() IS
'Impossible moves since the server started: drivers whose event DriverPositionFlagged waits for the keeper, events written by it, reports that found no room to wait (the table holds 2,048 drivers, eight to a hash; their next one tries again), and reports believed because the driver had been at the new place for a minute. No row in a server without the index. For administrators.';
GRANT EXECUTE ON FUNCTION hail.flag_stats() TO hail_admin;

CREATE FUNCTION hail.nearby_drivers(lat float8, lng float8, radius_m float8 DEFAULT 5000,
                                    max_results integer DEFAULT 10, service_class text DEFAULT NULL)
RETURNS TABLE (driver_id uuid, distance_m float8, lat float8, lng float8, heading real, service_class text,
               rating real, last_seen timestamptz)
LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'hail_nearby_drivers';
COMMENT ON FUNCTION hail.nearby_drivers(float8, float8, float8, integer, text) IS
'Available drivers, nearest first (great circle; equal distances by id). radius_m 100 to 50000 (administrators: up to half the earth), max_results 1 to 1000; service_class: only drivers that serve it (tiers count), and it is the class shown, else the driver''s highest. For every authenticated caller. Errors: invalid_value, unknown_class, warming.';
GRANT EXECUTE ON FUNCTION hail.nearby_drivers(float8, float8, float8, integer, text)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

CREATE FUNCTION hail.nearby_driver_ids(lat float8, lng float8, radius_m float8 DEFAULT 5000,
                                       max_results integer DEFAULT 10, service_class text DEFAULT NULL,
                                       OUT driver_ids uuid[], OUT distances_m real[])
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_nearby_driver_ids';
COMMENT ON FUNCTION hail.nearby_driver_ids(float8, float8, float8, integer, text) IS
'What hail.nearby_drivers() finds, in one row of two arrays in the same order: the cheapest form for applications that only want to know who, and for joins by unnest(driver_ids, distances_m). Empty arrays when nobody is there. Same arguments, limits, errors and callers.';
GRANT EXECUTE ON FUNCTION hail.nearby_driver_ids(float8, float8, float8, integer, text)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

CREATE FUNCTION hail.live_search(lat float8, lng float8, radius_m float8, max_results integer,
                                 class_id integer DEFAULT -1, min_rating real DEFAULT 0,
                                 max_pending_offers integer DEFAULT 0, excluded uuid[] DEFAULT '{}',
                                 with_room boolean DEFAULT false, area_mask bigint DEFAULT -1,
                                 OUT driver_id uuid, OUT distance_m float8, OUT pending_offers integer)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_live_search';
COMMENT ON FUNCTION hail.live_search(float8, float8, float8, integer, integer, real, integer, uuid[], boolean, bigint) IS
'The search that matching uses, with all its filters: class_id -1 any, min_rating 0 any, max_pending_offers 0 any; with_room: drivers on a trip who can take another job too; area_mask: what hail.areas_at() says of the place, -1 any. For administrators. Errors: invalid_value, warming. Internal.';

CREATE FUNCTION hail.driver_place(driver_id uuid, OUT lat float8, OUT lng float8, OUT recorded_at timestamptz)
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'hail_driver_place';
COMMENT ON FUNCTION hail.driver_place(uuid) IS
'The newest position of a driver, however old; NULLs when none is known. Does not ask who calls. Internal.';

CREATE FUNCTION hail.metres_between(lat float8, lng float8, other_lat float8, other_lng float8) RETURNS float8
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_metres_between';
COMMENT ON FUNCTION hail.metres_between(float8, float8, float8, float8) IS 'Great circle metres between two places in degrees. Internal.';

CREATE FUNCTION hail.live_scan(OUT driver_id uuid, OUT state text, OUT available boolean, OUT lat float8,
                               OUT lng float8, OUT heading real, OUT speed real, OUT accuracy real,
                               OUT recorded_at timestamptz, OUT last_seen timestamptz, OUT class_mask bigint,
                               OUT region_id smallint, OUT trip_id uuid, OUT pending_offers integer,
                               OUT cooldown_until timestamptz, OUT idle_since timestamptz, OUT rating real,
                               OUT acceptance real, OUT completion real, OUT vehicle_score real, OUT version bigint,
                               OUT job_capacity smallint, OUT active_jobs smallint, OUT area_mask bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_live_scan';
COMMENT ON FUNCTION hail.live_scan() IS 'What hail.live_drivers shows. For administrators and analysts.';
CREATE VIEW hail.live_drivers WITH (security_invoker = true) AS SELECT * FROM hail.live_scan();
COMMENT ON VIEW hail.live_drivers IS
'The live index, a row a driver: state (offline, available, offered, busy, cooldown) and whether a search could return it now (available: heard of within hail.presence_ttl too). For administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.live_scan() TO hail_admin, hail_analyst;
GRANT SELECT ON hail.live_drivers TO hail_admin, hail_analyst;

CREATE FUNCTION hail.live_stats(OUT ready boolean, OUT slots bigint, OUT slots_used bigint, OUT linked bigint,
                                OUT memory_bytes bigint, OUT searches bigint, OUT reports bigint,
                                OUT late_reports bigint, OUT impossible_reports bigint, OUT occupied_cells bigint,
                                OUT cells_visited bigint, OUT drivers_visited bigint, OUT search_reruns bigint,
                                OUT lock_waits bigint) RETURNS SETOF record
LANGUAGE c VOLATILE ROWS 1 AS 'MODULE_PATHNAME', 'hail_live_stats';
COMMENT ON FUNCTION hail.live_stats() IS
'The live index in figures, counted since the server started: slots and those in use, drivers linked into cells (online, with a position and room for a job), bytes, searches, reports, cells with drivers; cells and drivers that searches have looked at, searches run again because drivers moved meanwhile, and locks that were not free at once. No row in a server without the index. For administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.live_stats() TO hail_admin, hail_analyst;

CREATE FUNCTION hail.live_counts() RETURNS TABLE (region text, state text, drivers bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.code, s.state, count(*) FROM hail.live_scan() s LEFT JOIN hail.regions r ON r.id = s.region_id
    GROUP BY 1, 2 ORDER BY 1, 2
$$;
COMMENT ON FUNCTION hail.live_counts() IS
'Drivers of the live index by region (its code) and state; offline are those heard of, or sent offline, within the last minutes. For administrators and analysts. Errors: warming.';
GRANT EXECUTE ON FUNCTION hail.live_counts() TO hail_admin, hail_analyst;

CREATE FUNCTION hail.live_warming() RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_live_warming';
COMMENT ON FUNCTION hail.live_warming() IS
'Is the live index being rebuilt, so that searches answer "warming"? False in a server without the index. What readiness probes ask, without a token.';
GRANT EXECUTE ON FUNCTION hail.live_warming()
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst, hail_front;

CREATE FUNCTION hail.check_live() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stats record;
    n bigint;
    suspects uuid[];
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO stats FROM hail.live_stats();
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'live', 'warn', 'no live index here: positions are kept and searched in tables',
            'Add pg_hail to shared_preload_libraries and name this database in hail.database.';
        RETURN;
    ELSIF NOT stats.ready THEN
        RETURN QUERY SELECT 'live', 'warn', 'the live index is being rebuilt',
            'Searches answer "warming" until the keeper is done.';
        RETURN;
    END IF;
    SELECT count(*) INTO n
    FROM hail.drivers d
    LEFT JOIN hail.live_scan() s ON s.driver_id = d.id
    WHERE (d.online OR d.trip_id IS NOT NULL) AND s.driver_id IS NULL;
    RETURN QUERY SELECT 'live', CASE WHEN n = 0 THEN 'ok' ELSE 'fail' END,
        format('%s online or busy drivers are missing from the index', n),
        CASE WHEN n > 0 THEN 'SELECT hail.live_reset(); the keeper rebuilds the index.' END;
    -- The index is read after the rows, and is ahead of them where somebody has committed in between: who differs is
    -- looked at again, with rows as they are by then.
    FOR look IN 1..4 LOOP
        suspects := ARRAY(
            SELECT s.driver_id
            FROM hail.live_scan() s
            LEFT JOIN hail.drivers d ON d.id = s.driver_id
            WHERE (look = 1 OR s.driver_id = ANY (suspects))
              AND (d.id IS NULL
                   OR s.version > d.version
                   OR (s.version < d.version AND (d.online OR d.trip_id IS NOT NULL OR s.state <> 'offline'))
                   OR (s.version = d.version
                       AND (s.class_mask, s.region_id, s.trip_id, s.cooldown_until, s.idle_since, s.rating, s.vehicle_score,
                            s.job_capacity, s.active_jobs, s.area_mask, s.state <> 'offline')
                           IS DISTINCT FROM
                           (d.class_mask, d.region_id, d.trip_id, d.cooldown_until, d.idle_since, d.rating, d.vehicle_score,
                            d.job_capacity, d.active_jobs, d.area_mask, d.online OR d.trip_id IS NOT NULL))));
        EXIT WHEN cardinality(suspects) = 0;
    END LOOP;
    n := cardinality(suspects);
    RETURN QUERY SELECT 'live', CASE WHEN n = 0 THEN 'ok' ELSE 'fail' END,
        format('%s drivers of the index differ from their rows', n),
        CASE WHEN n > 0 THEN 'SELECT hail.live_reset(); the keeper rebuilds the index.' END;
    SELECT count(*) INTO n
    FROM hail.live_scan() s
    WHERE s.pending_offers <> (SELECT count(*) FROM hail.offers o
                               WHERE o.driver_id = s.driver_id AND o.status = 'pending');
    RETURN QUERY SELECT 'live', CASE WHEN n = 0 THEN 'ok' ELSE 'warn' END,
        format('%s drivers have another number of pending offers than the index counts', n),
        CASE WHEN n > 0 THEN 'SELECT hail.live_reset(); the keeper rebuilds the index.' END;
    RETURN QUERY SELECT 'live', CASE WHEN stats.slots_used < stats.slots * 0.9 THEN 'ok' ELSE 'warn' END,
        format('%s of %s slots in use', stats.slots_used, stats.slots),
        CASE WHEN stats.slots_used >= stats.slots * 0.9 THEN 'Raise hail.max_live_drivers.' END;
END
$$;
COMMENT ON FUNCTION hail.check_live() IS
'Compares the live index with the tables: every driver online or busy is in it with equal state, none else is. For administrators.';
GRANT EXECUTE ON FUNCTION hail.check_live() TO hail_admin;
