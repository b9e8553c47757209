-- 35_geofence: airports with a queue, restricted and named areas, who is inside

CREATE TABLE hail.geofences (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id      smallint REFERENCES hail.regions (id),
    kind           text NOT NULL CHECK (kind IN ('airport', 'restricted', 'area')),
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    boundary       public.geometry(Geometry, 4326) NOT NULL,
    active         boolean NOT NULL DEFAULT true,
    leave_margin_m float8 NOT NULL DEFAULT 100 CHECK (leave_margin_m BETWEEN 0 AND 5000),
    leave_after    interval NOT NULL DEFAULT '60 seconds' CHECK (leave_after BETWEEN '0' AND '1 day'),
    queue_offers   smallint NOT NULL DEFAULT 1 CHECK (queue_offers BETWEEN 1 AND 20),
    created_at     timestamptz NOT NULL DEFAULT hail.clock()
);
COMMENT ON TABLE hail.geofences IS
'Areas whose entering and leaving by drivers make events: airports (a queue of the drivers inside), restricted areas (no pickups or dropoffs), other areas. Regions'' service areas are in hail.regions.';
COMMENT ON COLUMN hail.geofences.leave_margin_m IS 'A driver has left at once when so far outside (metres) ...';
COMMENT ON COLUMN hail.geofences.leave_after IS '... and when nearer, after being outside for so long.';
COMMENT ON COLUMN hail.geofences.queue_offers IS 'Airports: drivers at the head of the queue that are asked at a time.';
GRANT SELECT ON hail.geofences TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
CREATE POLICY geofences_everybody ON hail.geofences FOR SELECT USING (hail.current_role_name() IS NOT NULL);

CREATE SEQUENCE hail.geofence_queue_numbers;
ALTER SEQUENCE hail.geofence_queue_numbers OWNER TO hail_owner;
COMMENT ON SEQUENCE hail.geofence_queue_numbers IS 'Order of joining airport queues.';

CREATE TABLE hail.geofence_drivers (
    driver_id     uuid NOT NULL REFERENCES hail.drivers (id) ON DELETE CASCADE,
    geofence_id   integer NOT NULL REFERENCES hail.geofences (id) ON DELETE CASCADE,
    entered_at    timestamptz NOT NULL,
    outside_since timestamptz,
    queued_at     timestamptz,
    queue_number  bigint,
    PRIMARY KEY (driver_id, geofence_id),
    CHECK ((queued_at IS NULL) = (queue_number IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX geofence_drivers_queue ON hail.geofence_drivers (geofence_id, queue_number);
COMMENT ON TABLE hail.geofence_drivers IS 'Drivers at work who are inside a geofence.';
COMMENT ON COLUMN hail.geofence_drivers.entered_at IS 'When the first position inside was looked at.';
COMMENT ON COLUMN hail.geofence_drivers.outside_since IS 'Outside since then, but not far or long enough to have left.';
COMMENT ON COLUMN hail.geofence_drivers.queued_at IS
'When the driver joined the airport''s queue. The place holds while the driver''s row says online, free, and not on a trip since then: hail.geofence_queue() decides.';
GRANT SELECT ON hail.geofence_drivers TO hail_driver, hail_admin;
CREATE POLICY geofence_drivers_self ON hail.geofence_drivers FOR SELECT TO hail_driver
    USING (driver_id = hail.current_subject());
CREATE POLICY geofence_drivers_admin ON hail.geofence_drivers FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');

CREATE TABLE hail.area_absences (
    driver_id     uuid PRIMARY KEY REFERENCES hail.drivers (id) ON DELETE CASCADE,
    region_id     smallint NOT NULL REFERENCES hail.regions (id) ON DELETE CASCADE,
    outside_since timestamptz NOT NULL,
    left_at       timestamptz
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.area_absences IS 'Drivers who are outside the service area of their own region; all others count as inside.';
COMMENT ON COLUMN hail.area_absences.left_at IS 'NULL: not far or long enough outside to have left.';
GRANT SELECT ON hail.area_absences TO hail_driver, hail_admin;
CREATE POLICY area_absences_self ON hail.area_absences FOR SELECT TO hail_driver
    USING (driver_id = hail.current_subject());
CREATE POLICY area_absences_admin ON hail.area_absences FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');

CREATE TABLE hail.geofence_state (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    members uuid NOT NULL
);
COMMENT ON TABLE hail.geofence_state IS
'members changes with every change of who is inside: a process whose copy has another one reads it anew. Internal.';
INSERT INTO hail.geofence_state (members) VALUES (hail.uuid7());

CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.geofences
    FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed();
CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.regions
    FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed();
ALTER TABLE hail.geofences ENABLE ALWAYS TRIGGER kept_changed;
ALTER TABLE hail.regions ENABLE ALWAYS TRIGGER kept_changed;

-- Administration

CREATE FUNCTION hail.check_geofence(name text, leave_margin_m float8, leave_after interval, queue_offers integer)
RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (length(name) BETWEEN 1 AND 200) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'name must have 1 to 200 characters', 'name');
    ELSIF (leave_margin_m BETWEEN 0 AND 5000) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'leave_margin_m must be between 0 and 5000', 'leave_margin_m');
    ELSIF (leave_after BETWEEN '0' AND '1 day') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'leave_after must be between 0 and one day', 'leave_after');
    ELSIF (queue_offers BETWEEN 1 AND 20) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'queue_offers must be between 1 and 20', 'queue_offers');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_geofence(text, float8, interval, integer) IS
'Error invalid_value unless a geofence can have these settings. Internal.';

CREATE FUNCTION hail.create_geofence(kind text, name text, boundary public.geometry, region text DEFAULT NULL,
                                     leave_margin_m float8 DEFAULT 100, leave_after interval DEFAULT '60 seconds',
                                     queue_offers integer DEFAULT 1) RETURNS hail.geofences
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fence hail.geofences;
    area_id smallint;
BEGIN
    PERFORM hail.require_admin();
    IF (kind IN ('airport', 'restricted', 'area')) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'kind must be airport, restricted or area', 'kind');
    END IF;
    PERFORM hail.check_geofence(name, leave_margin_m, leave_after, queue_offers);
    PERFORM hail.check_boundary(boundary);
    IF region IS NOT NULL THEN
        SELECT r.id INTO area_id FROM hail.regions r WHERE r.code = create_geofence.region;
        IF NOT FOUND THEN
            PERFORM hail.fail('not_found', 'region does not exist', 'region');
        END IF;
    END IF;
    INSERT INTO hail.geofences AS g (region_id, kind, name, boundary, leave_margin_m, leave_after, queue_offers)
    VALUES (area_id, create_geofence.kind, create_geofence.name, create_geofence.boundary,
            create_geofence.leave_margin_m, create_geofence.leave_after, create_geofence.queue_offers)
    RETURNING g.* INTO fence;
    RETURN fence;
END
$$;
COMMENT ON FUNCTION hail.create_geofence(text, text, public.geometry, text, float8, interval, integer) IS
'Make an area of kind airport, restricted or area: boundary is a polygon or multipolygon in WGS84 (SRID 4326; cut at the antimeridian), region (a code) a label only. A driver inside leaves when leave_margin_m outside or leave_after outside; queue_offers: drivers at the head of an airport''s queue asked at a time. For administrators. Errors: invalid_value, not_found (region).';

CREATE FUNCTION hail.update_geofence(geofence_id integer, name text DEFAULT NULL, boundary public.geometry DEFAULT NULL,
                                     active boolean DEFAULT NULL, leave_margin_m float8 DEFAULT NULL,
                                     leave_after interval DEFAULT NULL, queue_offers integer DEFAULT NULL)
RETURNS hail.geofences
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fence hail.geofences;
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO fence FROM hail.geofences g WHERE g.id = geofence_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'geofence does not exist', 'geofence_id');
    END IF;
    fence.name := coalesce(update_geofence.name, fence.name);
    fence.boundary := coalesce(update_geofence.boundary, fence.boundary);
    fence.active := coalesce(update_geofence.active, fence.active);
    fence.leave_margin_m := coalesce(update_geofence.leave_margin_m, fence.leave_margin_m);
    fence.leave_after := coalesce(update_geofence.leave_after, fence.leave_after);
    PERFORM hail.check_geofence(fence.name, fence.leave_margin_m, fence.leave_after,
                                coalesce(update_geofence.queue_offers, fence.queue_offers));
    fence.queue_offers := coalesce(update_geofence.queue_offers, fence.queue_offers);
    PERFORM hail.check_boundary(fence.boundary);
    UPDATE hail.geofences g
    SET name = fence.name, boundary = fence.boundary, active = fence.active, leave_margin_m = fence.leave_margin_m,
        leave_after = fence.leave_after, queue_offers = fence.queue_offers
    WHERE g.id = fence.id;
    RETURN fence;
END
$$;
COMMENT ON FUNCTION hail.update_geofence(integer, text, public.geometry, boolean, float8, interval, integer) IS
'Change what is given of a geofence; active false: it is kept but means nothing, and drivers inside leave it. For administrators. Errors: not_found, invalid_value.';

CREATE FUNCTION hail.drop_geofence(geofence_id integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fence hail.geofences;
    driver record;
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.lock_geofences();
    SELECT * INTO fence FROM hail.geofences g WHERE g.id = drop_geofence.geofence_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'geofence does not exist', 'geofence_id');
    END IF;
    -- Whoever is inside leaves; driver rows in the order of their ids.
    PERFORM FROM hail.drivers d
    WHERE d.id IN (SELECT i.driver_id FROM hail.geofence_drivers i WHERE i.geofence_id = fence.id)
    ORDER BY d.id FOR NO KEY UPDATE;
    FOR driver IN
        WITH gone AS (DELETE FROM hail.geofence_drivers i WHERE i.geofence_id = fence.id RETURNING i.driver_id)
        UPDATE hail.drivers d SET event_version = d.event_version + 1
        FROM gone WHERE d.id = gone.driver_id RETURNING d.id, d.event_version
    LOOP
        PERFORM hail.write_event('driver', driver.id, driver.event_version, 'DriverLeftGeofence',
            jsonb_build_object('geofence_id', fence.id, 'kind', fence.kind, 'name', fence.name, 'at', hail.clock(),
                               'reason', 'geofence_dropped'));
    END LOOP;
    UPDATE hail.geofence_state SET members = hail.uuid7();
    DELETE FROM hail.geofences g WHERE g.id = fence.id;
END
$$;
COMMENT ON FUNCTION hail.drop_geofence(integer) IS
'Do away with a geofence; drivers inside leave it. For administrators. Errors: not_found.';
GRANT EXECUTE ON FUNCTION hail.create_geofence(text, text, public.geometry, text, float8, interval, integer),
    hail.update_geofence(integer, text, public.geometry, boolean, float8, interval, integer),
    hail.drop_geofence(integer) TO hail_admin;

-- GeoJSON, as HTTP has it

CREATE FUNCTION hail.boundary_from_geojson(geojson text) RETURNS public.geometry
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN public.ST_SetSRID(public.ST_GeomFromGeoJSON(geojson), 4326);
EXCEPTION WHEN internal_error OR data_exception THEN
    PERFORM hail.fail('invalid_value', 'boundary is no GeoJSON geometry', 'boundary',
                      'A Polygon or MultiPolygon with coordinates as [lng, lat].');
END
$$;
COMMENT ON FUNCTION hail.boundary_from_geojson(text) IS
'A GeoJSON geometry (RFC 7946) as a geometry in WGS84. For administrators. Errors: invalid_value.';
GRANT EXECUTE ON FUNCTION hail.boundary_from_geojson(text) TO hail_admin;

CREATE FUNCTION hail.geofence_feature(fence hail.geofences) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT json_build_object('type', 'Feature', 'id', fence.id, 'geometry', public.ST_AsGeoJSON(fence.boundary)::json,
        'properties', json_build_object('kind', fence.kind, 'name', fence.name, 'active', fence.active,
            'region', (SELECT r.code FROM hail.regions r WHERE r.id = fence.region_id),
            'leave_margin_m', fence.leave_margin_m, 'leave_after_s', extract(epoch FROM fence.leave_after)::float8,
            'queue_offers', fence.queue_offers))
$$;
COMMENT ON FUNCTION hail.geofence_feature(hail.geofences) IS 'A geofence as a GeoJSON feature. For every caller.';

CREATE FUNCTION hail.geofences_geojson(kind text DEFAULT NULL) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_anybody();
    RETURN (SELECT json_build_object('type', 'FeatureCollection', 'features',
                                     coalesce(json_agg(hail.geofence_feature(g) ORDER BY g.id), '[]'))
            FROM hail.geofences g
            WHERE (geofences_geojson.kind IS NULL OR g.kind = geofences_geojson.kind)
              AND (g.active OR hail.current_role_name() = 'admin'));
END
$$;
COMMENT ON FUNCTION hail.geofences_geojson(text) IS
'All geofences, or those of a kind, as a GeoJSON feature collection; those not active for administrators alone. For every authenticated caller.';
GRANT EXECUTE ON FUNCTION hail.geofence_feature(hail.geofences), hail.geofences_geojson(text)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

CREATE FUNCTION hail.lock_geofences() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_lock_geofences';
COMMENT ON FUNCTION hail.lock_geofences() IS
'Wait until nobody else changes who is inside, and let nobody begin until this transaction ends. Internal.';

-- Where is what

CREATE FUNCTION hail.geofences_at(lat float8, lng float8, OUT geofence_id integer, OUT kind text, OUT name text)
RETURNS SETOF record
LANGUAGE c STABLE ROWS 2 AS 'MODULE_PATHNAME', 'hail_geofences_at';
COMMENT ON FUNCTION hail.geofences_at(float8, float8) IS
'The active geofences that a place lies in, edges included, by id. For every authenticated caller. Errors: invalid_value.';

CREATE FUNCTION hail.is_restricted(lat float8, lng float8) RETURNS boolean
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'hail_is_restricted';
COMMENT ON FUNCTION hail.is_restricted(float8, float8) IS
'Does a place lie in a restricted area, where nobody is picked up or dropped off? For every authenticated caller. Errors: invalid_value.';
GRANT EXECUTE ON FUNCTION hail.geofences_at(float8, float8), hail.is_restricted(float8, float8)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

CREATE FUNCTION hail.region_id_at(lat float8, lng float8) RETURNS smallint
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'hail_region_id_at';
COMMENT ON FUNCTION hail.region_id_at(float8, float8) IS
'The region a place is in, the smallest where several overlap, its edge included; NULL outside of all. Internal.';

CREATE FUNCTION hail.region_covers(region_id smallint, lat float8, lng float8) RETURNS boolean
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'hail_region_covers';
COMMENT ON FUNCTION hail.region_covers(smallint, float8, float8) IS
'Does the place lie in this region, its edge included? Internal.';

-- Queues

CREATE FUNCTION hail.geofence_queue(geofence_id integer)
RETURNS TABLE (driver_id uuid, queued_at timestamptz, queue_number bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.driver_id, i.queued_at, i.queue_number
    FROM hail.geofence_drivers i
    JOIN hail.geofences g ON g.id = i.geofence_id
    JOIN hail.drivers d ON d.id = i.driver_id
    WHERE i.geofence_id = geofence_queue.geofence_id AND i.queued_at IS NOT NULL AND g.active
      AND d.online AND d.trip_id IS NULL AND (d.idle_since IS NULL OR d.idle_since <= i.queued_at)
    ORDER BY i.queue_number
$$;
COMMENT ON FUNCTION hail.geofence_queue(integer) IS
'The drivers who hold a place in an airport''s queue, first in first: inside, online, free, and not on a trip since they joined. Internal.';

CREATE FUNCTION hail.airport_queue(geofence_id integer)
RETURNS TABLE ("position" integer, driver_id uuid, queued_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    IF NOT EXISTS (SELECT FROM hail.geofences g WHERE g.id = airport_queue.geofence_id AND g.kind = 'airport') THEN
        PERFORM hail.fail('not_found', 'there is no such airport', 'geofence_id');
    END IF;
    RETURN QUERY SELECT (row_number() OVER (ORDER BY q.queue_number))::integer, q.driver_id, q.queued_at
                 FROM hail.geofence_queue(airport_queue.geofence_id) q ORDER BY 1;
END
$$;
COMMENT ON FUNCTION hail.airport_queue(integer) IS
'The queue of an airport, first in first. For administrators. Errors: not_found.';
GRANT EXECUTE ON FUNCTION hail.airport_queue(integer) TO hail_admin;

CREATE FUNCTION hail.queue_position(driver_id uuid)
RETURNS TABLE (geofence_id integer, name text, "position" integer, waiting integer, queued_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    RETURN QUERY
    SELECT g.id, g.name, q.place::integer, q.waiting::integer, q.queued_at
    FROM hail.geofence_drivers i
    JOIN hail.geofences g ON g.id = i.geofence_id
    CROSS JOIN LATERAL (SELECT o.driver_id, o.queued_at, row_number() OVER (ORDER BY o.queue_number) AS place,
                               count(*) OVER () AS waiting
                        FROM hail.geofence_queue(g.id) o) q
    WHERE i.driver_id = queue_position.driver_id AND i.queued_at IS NOT NULL AND q.driver_id = i.driver_id
    ORDER BY g.id;
END
$$;
COMMENT ON FUNCTION hail.queue_position(uuid) IS
'A driver''s own place in the queue of each airport it waits at, from 1, of how many waiting; no row: in none. For the driver itself and administrators.';
GRANT EXECUTE ON FUNCTION hail.queue_position(uuid) TO hail_driver, hail_admin;

CREATE FUNCTION hail.check_geofences() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lost bigint;
    gone bigint;
BEGIN
    PERFORM hail.require_admin();
    -- Grossly: a kilometre beyond the margin, by the position that was written through, a minute ago or more.
    SELECT count(*) FILTER (WHERE p.recorded_at < hail.clock() - interval '1 minute' AND p.received_at > i.entered_at
               AND (p.accuracy IS NULL OR p.accuracy <= 100)
               AND NOT public.ST_DWithin(g.boundary::public.geography,
                                         public.ST_SetSRID(public.ST_MakePoint(p.lng, p.lat), 4326)::public.geography,
                                         g.leave_margin_m + 1000)),
           count(*) FILTER (WHERE NOT d.online AND d.trip_id IS NULL AND i.entered_at < hail.clock() - interval '1 minute')
    INTO lost, gone
    FROM hail.geofence_drivers i
    JOIN hail.geofences g ON g.id = i.geofence_id
    JOIN hail.drivers d ON d.id = i.driver_id
    LEFT JOIN hail.driver_positions p ON p.driver_id = i.driver_id;
    area := 'geofences';
    status := CASE WHEN lost + gone = 0 THEN 'ok' ELSE 'warn' END;
    detail := format('%s driver(s) count as inside an area they are far from, %s while offline', lost, gone);
    hint := CASE WHEN lost + gone > 0 THEN 'Is the keeper running? hail.geofence_tick() does its work.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hail.check_geofences() IS
'Do the rows of who is inside what agree with the positions? Administrators only; part of hail.check().';
GRANT EXECUTE ON FUNCTION hail.check_geofences() TO hail_admin;

CREATE FUNCTION hail.geofence_metrics() RETURNS TABLE (name text, labels jsonb, kind text, value float8)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'hail_geofence_drivers', jsonb_build_object('geofence', g.id::text, 'kind', g.kind, 'name', g.name), 'gauge',
           count(i.driver_id)::float8
    FROM hail.geofences g LEFT JOIN hail.geofence_drivers i ON i.geofence_id = g.id WHERE g.active GROUP BY g.id
    UNION ALL
    SELECT 'hail_airport_queue_drivers', jsonb_build_object('geofence', g.id::text, 'name', g.name), 'gauge',
           (SELECT count(*) FROM hail.geofence_queue(g.id))::float8
    FROM hail.geofences g WHERE g.active AND g.kind = 'airport'
    UNION ALL
    SELECT 'hail_drivers_outside_area', '{}'::jsonb, 'gauge', count(*)::float8
    FROM hail.area_absences a WHERE a.left_at IS NOT NULL
$$;
COMMENT ON FUNCTION hail.geofence_metrics() IS
'Drivers inside each area, in each airport''s queue, and outside their service areas; part of hail.metrics(). Internal.';

-- Evaluation

CREATE FUNCTION hail.geofence_tick() RETURNS integer
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_geofence_tick';
COMMENT ON FUNCTION hail.geofence_tick() IS
'Look where the drivers who have moved are now: who has entered or left what, who waits in which airport''s queue. Returns the events written; 0 too when another process is at it. The keeper runs it every second. For administrators.';
GRANT EXECUTE ON FUNCTION hail.geofence_tick() TO hail_admin;
