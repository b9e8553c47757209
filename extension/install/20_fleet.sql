-- 20_fleet: regions, service classes, drivers, vehicles, customers' blocks and favourites

CREATE TABLE hail.regions (
    id              smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code            text NOT NULL UNIQUE CHECK (code ~ '^[a-z0-9_-]{2,32}$'),
    name            text NOT NULL,
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    timezone        text NOT NULL,
    boundary        public.geometry(Geometry, 4326) NOT NULL,
    hexagon_size_m  float8 NOT NULL DEFAULT 1000 CHECK (hexagon_size_m BETWEEN 50 AND 100000),
    distance_factor float8 NOT NULL DEFAULT 1.3 CHECK (distance_factor BETWEEN 1 AND 5),
    speed_kmh       float8 NOT NULL DEFAULT 24 CHECK (speed_kmh BETWEEN 1 AND 200),
    cooldown        interval NOT NULL DEFAULT '60 seconds' CHECK (cooldown >= '0'),
    surge_cap       numeric NOT NULL DEFAULT 3.0 CHECK (surge_cap BETWEEN 1 AND 10),
    created_at      timestamptz NOT NULL DEFAULT hail.clock(),
    road_network    boolean NOT NULL DEFAULT false
);
CREATE INDEX regions_boundary ON hail.regions USING gist (boundary);
COMMENT ON TABLE hail.regions IS 'Service areas: boundary (WGS84), currency, time zone, and the figures estimates start from.';
COMMENT ON COLUMN hail.regions.hexagon_size_m IS 'Edge of a surge hexagon in web-mercator metres (EPSG:3857), as for ST_HexagonGrid.';
COMMENT ON COLUMN hail.regions.distance_factor IS 'Road distance over great-circle distance.';
COMMENT ON COLUMN hail.regions.road_network IS 'Estimates use the region''s road network (hail.set_road_network).';

CREATE TABLE hail.service_classes (
    id      smallint PRIMARY KEY CHECK (id BETWEEN 0 AND 62),
    code    text NOT NULL UNIQUE,
    service text NOT NULL CHECK (service IN ('ride', 'delivery', 'porter')),
    ladder  text NOT NULL,
    tier    smallint NOT NULL,
    seats   smallint NOT NULL DEFAULT 4,
    UNIQUE (ladder, tier)
);
COMMENT ON TABLE hail.service_classes IS
'Classes a customer can ask for. A driver registered for a class serves every class of the same ladder with the same or a lower tier. The id is the class''s bit in the live index.';
INSERT INTO hail.service_classes (id, code, service, ladder, tier, seats) VALUES
    (0, 'economy', 'ride', 'car', 1, 4), (1, 'comfort', 'ride', 'car', 2, 4), (2, 'premium', 'ride', 'car', 3, 4),
    (3, 'xl', 'ride', 'xl', 1, 6),
    (8, 'bicycle', 'delivery', 'courier', 1, 0), (9, 'motorcycle', 'delivery', 'courier', 2, 1),
    (16, 'van', 'porter', 'cargo', 1, 2), (17, 'truck', 'porter', 'cargo', 2, 2);

-- Domains are checked when their column is written, the table's CHECKs by every statement that writes a row.
CREATE DOMAIN hail.driver_status AS text CHECK (VALUE IN ('pending', 'approved', 'rejected', 'suspended'));
COMMENT ON DOMAIN hail.driver_status IS 'Where a driver stands with the platform.';
CREATE DOMAIN hail.class_list AS text[] CHECK (cardinality(VALUE) BETWEEN 1 AND 16);
COMMENT ON DOMAIN hail.class_list IS '1 to 16 service classes.';
CREATE DOMAIN hail.stars AS real CHECK (VALUE BETWEEN 1 AND 5);
COMMENT ON DOMAIN hail.stars IS 'A rating, 1 to 5.';
CREATE DOMAIN hail.share AS real CHECK (VALUE BETWEEN 0 AND 1);
COMMENT ON DOMAIN hail.share IS 'A part of a whole, 0 to 1.';
CREATE DOMAIN hail.capacity AS smallint CHECK (VALUE BETWEEN 1 AND 20);
COMMENT ON DOMAIN hail.capacity IS 'Jobs that a driver can have at once.';
CREATE DOMAIN hail.job_count AS smallint CHECK (VALUE BETWEEN 0 AND 255);
COMMENT ON DOMAIN hail.job_count IS 'Jobs that a driver has.';

CREATE TABLE hail.drivers (
    id              uuid PRIMARY KEY REFERENCES hail.users (id),
    region_id       smallint NOT NULL REFERENCES hail.regions (id),
    service_classes hail.class_list NOT NULL,
    class_mask      bigint NOT NULL,
    status          hail.driver_status NOT NULL DEFAULT 'pending',
    status_reason   text,
    online          boolean NOT NULL DEFAULT false CHECK (NOT online OR status = 'approved'),
    trip_id         uuid,
    cooldown_until  timestamptz,
    rating          hail.stars NOT NULL DEFAULT 5,
    rating_count    integer NOT NULL DEFAULT 0,
    offers_total    integer NOT NULL DEFAULT 0,
    offers_accepted integer NOT NULL DEFAULT 0,
    trips_total     integer NOT NULL DEFAULT 0,
    trips_completed integer NOT NULL DEFAULT 0,
    vehicle_score   hail.share NOT NULL DEFAULT 0.5,
    idle_since      timestamptz,
    version         bigint NOT NULL DEFAULT 1,
    event_version   integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT hail.clock(),
    job_capacity    hail.capacity NOT NULL DEFAULT 1,
    active_jobs     hail.job_count NOT NULL DEFAULT 0,
    area_mask       bigint NOT NULL DEFAULT 0,
    hold_reason     text CHECK (hold_reason IS NULL OR NOT online)
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.drivers IS
'A driver is a user (same id). Whatever of this row matching needs is mirrored into the live index at commit.';
COMMENT ON COLUMN hail.drivers.class_mask IS 'Bits of every class the driver serves, tiers resolved; derived from service_classes.';
COMMENT ON COLUMN hail.drivers.trip_id IS 'The trip being driven, of several jobs the oldest, which gets the positions recorded; NULL: free.';
COMMENT ON COLUMN hail.drivers.version IS 'Counts the changes of this row (by trigger): the live index applies only newer ones.';
COMMENT ON COLUMN hail.drivers.event_version IS 'Version of the driver''s newest event.';
COMMENT ON COLUMN hail.drivers.job_capacity IS 'Jobs the driver can have at once.';
COMMENT ON COLUMN hail.drivers.active_jobs IS 'Trips under way: 1 for a ride, up to job_capacity for deliveries and porter jobs. The live index counts a trip_id as one at least.';
COMMENT ON COLUMN hail.drivers.hold_reason IS 'Why the driver gets no trips for now, whatever its status: fraud is suspected; NULL: no hold.';
COMMENT ON COLUMN hail.drivers.area_mask IS
'Bits of the areas the driver prefers to be called to (1 << hail.preferred_areas.id); 0: anywhere.';

CREATE TABLE hail.preferred_areas (
    id         smallint PRIMARY KEY CHECK (id BETWEEN 0 AND 63),
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    boundary   public.geometry(Geometry, 4326) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT hail.clock(),
    UNIQUE (region_id, name)
);
CREATE INDEX preferred_areas_boundary ON hail.preferred_areas USING gist (boundary);
COMMENT ON TABLE hail.preferred_areas IS
'Areas drivers may prefer: a driver who has chosen some is offered trips with their pickup in one of them only.';
COMMENT ON COLUMN hail.preferred_areas.id IS 'The area''s bit in drivers.area_mask and in the live index: 64 areas at most.';

CREATE TABLE hail.vehicles (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    driver_id  uuid NOT NULL REFERENCES hail.drivers (id),
    plate      text NOT NULL,
    model      text NOT NULL,
    colour     text,
    year       smallint CHECK (year BETWEEN 1950 AND 2100),
    seats      smallint NOT NULL DEFAULT 4 CHECK (seats BETWEEN 0 AND 60),
    active     boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT hail.clock(),
    max_weight_kg real CHECK (max_weight_kg > 0 AND max_weight_kg <= 100000),
    max_volume_l  real CHECK (max_volume_l > 0 AND max_volume_l <= 1000000)
);
CREATE UNIQUE INDEX vehicles_one_active ON hail.vehicles (driver_id) WHERE active;
COMMENT ON TABLE hail.vehicles IS 'Vehicles of a driver; at most one is active.';
COMMENT ON COLUMN hail.vehicles.max_weight_kg IS 'Load it can carry, all jobs together; NULL: not known, and not limited. With max_volume_l, litres.';

CREATE TABLE hail.customer_drivers (
    customer_id uuid NOT NULL REFERENCES hail.users (id),
    driver_id   uuid NOT NULL REFERENCES hail.drivers (id),
    trips       integer NOT NULL DEFAULT 0,
    favourite   boolean NOT NULL DEFAULT false,
    blocked     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (customer_id, driver_id)
);
COMMENT ON TABLE hail.customer_drivers IS 'What a customer and a driver have had to do with each other: completed trips, favourite, blocked.';

-- Who reads what. Policies ask for the verified identity, so that a role set without a token shows nothing.
GRANT SELECT ON hail.regions, hail.service_classes, hail.preferred_areas TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
CREATE POLICY regions_everybody ON hail.regions FOR SELECT USING (hail.current_role_name() IS NOT NULL);
CREATE POLICY preferred_areas_everybody ON hail.preferred_areas FOR SELECT USING (hail.current_role_name() IS NOT NULL);
CREATE POLICY service_classes_everybody ON hail.service_classes FOR SELECT USING (hail.current_role_name() IS NOT NULL);

GRANT SELECT ON hail.drivers, hail.vehicles TO hail_driver, hail_admin;
GRANT SELECT (id, region_id, service_classes, class_mask, status, online, trip_id, rating, rating_count, offers_total,
              offers_accepted, trips_total, trips_completed, vehicle_score, idle_since, created_at,
              job_capacity, active_jobs, area_mask)
    ON hail.drivers TO hail_analyst;
CREATE POLICY drivers_self ON hail.drivers FOR SELECT TO hail_driver USING (id = hail.current_subject());
CREATE POLICY drivers_admin ON hail.drivers FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
CREATE POLICY drivers_analyst ON hail.drivers FOR SELECT TO hail_analyst USING (hail.current_role_name() = 'analyst');
CREATE POLICY vehicles_self ON hail.vehicles FOR SELECT TO hail_driver USING (driver_id = hail.current_subject());
CREATE POLICY vehicles_admin ON hail.vehicles FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

-- Drivers don't learn who blocked them.
GRANT SELECT ON hail.customer_drivers TO hail_customer, hail_admin;
CREATE POLICY customer_drivers_self ON hail.customer_drivers FOR SELECT TO hail_customer
    USING (customer_id = hail.current_subject());
CREATE POLICY customer_drivers_admin ON hail.customer_drivers FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');

-- Regions

CREATE FUNCTION hail.create_region(code text, name text, currency text, timezone text, boundary public.geometry)
RETURNS hail.regions
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    region hail.regions;
BEGIN
    PERFORM hail.require_admin();
    IF (code ~ '^[a-z0-9_-]{2,32}$') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'code must have 2 to 32 of a-z, 0-9, _ and -', 'code');
    ELSIF (length(name) BETWEEN 1 AND 200) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'name must have 1 to 200 characters', 'name');
    ELSIF (currency ~ '^[A-Z]{3}$') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'currency must be an ISO 4217 code', 'currency',
                          'Three capital letters, such as EGP.');
    ELSIF NOT hail.is_timezone(timezone) THEN
        PERFORM hail.fail('invalid_value', 'unknown time zone', 'timezone', 'A name of the IANA database, such as Africa/Cairo.');
    END IF;
    PERFORM hail.check_boundary(boundary);

    INSERT INTO hail.regions AS added (code, name, currency, timezone, boundary)
    VALUES (create_region.code, create_region.name, create_region.currency, create_region.timezone, create_region.boundary)
    ON CONFLICT DO NOTHING RETURNING added.* INTO region;
    IF NOT FOUND THEN
        PERFORM hail.fail('already_exists', 'a region with this code exists already', 'code');
    END IF;
    PERFORM hail.maintain_partitions();
    RETURN region;
END
$$;
COMMENT ON FUNCTION hail.create_region(text, text, text, text, public.geometry) IS
'Make a service area: boundary is a polygon or multipolygon in WGS84 (SRID 4326), timezone an IANA name. For administrators. Errors: invalid_value, already_exists (code).';
GRANT EXECUTE ON FUNCTION hail.create_region(text, text, text, text, public.geometry) TO hail_admin;

CREATE FUNCTION hail.is_timezone(timezone text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- A POSIX string such as XYZ3 is accepted by AT TIME ZONE too; names of the database have a slash, but for UTC.
    RETURN coalesce((timezone LIKE '%/%' OR timezone = 'UTC') AND timezone ~ '^[A-Za-z0-9_+/-]+$'
                    AND (hail.clock() AT TIME ZONE timezone) IS NOT NULL, false);
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION hail.is_timezone(text) IS 'Whether the server knows a time zone of this name. Internal.';

CREATE FUNCTION hail.check_boundary(boundary public.geometry) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning -- ST_IsValid explains itself in notices
AS $$
DECLARE
    problem text;
BEGIN
    problem := CASE
        WHEN boundary IS NULL THEN 'it is null'
        WHEN public.ST_SRID(boundary) <> 4326 THEN 'its SRID is not 4326'
        WHEN public.GeometryType(boundary) NOT IN ('POLYGON', 'MULTIPOLYGON') THEN 'it is no polygon or multipolygon'
        WHEN public.ST_IsEmpty(boundary) THEN 'it is empty'
        WHEN public.ST_CoordDim(boundary) <> 2 THEN 'it has more than two dimensions'
        WHEN (public.ST_XMin(boundary) >= -180 AND public.ST_XMax(boundary) <= 180
              AND public.ST_YMin(boundary) >= -90 AND public.ST_YMax(boundary) <= 90) IS NOT TRUE
            THEN 'it reaches beyond longitude 180 or latitude 90'
        WHEN NOT public.ST_IsValid(boundary) THEN 'its rings cross or touch themselves'
    END;
    IF problem IS NOT NULL THEN
        PERFORM hail.fail('invalid_value', 'boundary is no usable area: ' || problem, 'boundary');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_boundary(public.geometry) IS
'Error unless the geometry is a valid, non-empty polygon or multipolygon in WGS84. Internal.';

CREATE FUNCTION hail.region_at(lat float8, lng float8) RETURNS hail.regions
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    region hail.regions;
BEGIN
    SELECT r.* INTO region FROM hail.regions r WHERE r.id = hail.region_id_at(lat, lng);
    RETURN region;
END
$$;
COMMENT ON FUNCTION hail.region_at(float8, float8) IS
'The region a point is in, the smallest where several overlap, its edge included; NULL outside of all. Internal.';

-- Drivers

CREATE FUNCTION hail.class_mask(service_classes text[]) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(bit_or(1::bigint << served.id), 0)
    FROM hail.service_classes own
    JOIN hail.service_classes served ON served.ladder = own.ladder AND served.tier <= own.tier
    WHERE own.code = ANY (service_classes)
$$;
COMMENT ON FUNCTION hail.class_mask(text[]) IS
'Bits (1 << id) of every class that a driver registered for these classes serves: the same ladder, no higher tier. Internal.';

CREATE FUNCTION hail.register_driver(user_id uuid, region text, service_classes text[]) RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    u hail.users;
    driver hail.drivers;
    area_id smallint;
    classes text[];
BEGIN
    PERFORM hail.require_self('driver', user_id);
    SELECT * INTO u FROM hail.users WHERE id = register_driver.user_id FOR KEY SHARE;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'user does not exist', 'user_id');
    ELSIF u.role <> 'driver' OR NOT u.active THEN
        PERFORM hail.fail('wrong_state', 'user is no active user of role driver', 'user_id');
    END IF;
    SELECT r.id INTO area_id FROM hail.regions r WHERE r.code = register_driver.region;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    END IF;
    SELECT array_agg(DISTINCT c ORDER BY c) INTO classes FROM unnest(register_driver.service_classes) c;
    IF (cardinality(classes) BETWEEN 1 AND 16) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'name 1 to 16 service classes', 'service_classes');
    ELSIF EXISTS (SELECT FROM unnest(classes) c
                  WHERE NOT EXISTS (SELECT FROM hail.service_classes s WHERE s.code = c)) THEN
        PERFORM hail.fail('unknown_class', 'no such service class', 'service_classes');
    END IF;

    INSERT INTO hail.drivers AS added (id, region_id, service_classes, class_mask, event_version)
    VALUES (u.id, area_id, classes, hail.class_mask(classes), 1)
    ON CONFLICT DO NOTHING RETURNING added.* INTO driver;
    IF NOT FOUND THEN
        PERFORM hail.fail('already_exists', 'user is registered as a driver already', 'user_id');
    END IF;
    PERFORM hail.write_event('driver', driver.id, driver.event_version, 'DriverRegistered',
                             jsonb_build_object('region', register_driver.region, 'service_classes', classes));
    RETURN driver;
END
$$;
COMMENT ON FUNCTION hail.register_driver(uuid, text, text[]) IS
'Register a user of role driver in a region (its code) for service classes (their codes; lower tiers come with them); pending until approved. For the user itself and administrators. Errors: not_found (user, region), wrong_state, invalid_value, unknown_class, already_exists.';
GRANT EXECUTE ON FUNCTION hail.register_driver(uuid, text, text[]) TO hail_driver, hail_admin;

CREATE FUNCTION hail.lock_driver(driver_id uuid) RETURNS hail.drivers
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    driver hail.drivers;
BEGIN
    SELECT d.* INTO driver FROM hail.drivers d WHERE d.id = driver_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'driver does not exist', 'driver_id');
    END IF;
    RETURN driver;
END
$$;
COMMENT ON FUNCTION hail.lock_driver(uuid) IS 'The driver''s row, locked until the transaction ends. Error: not_found. Internal.';

CREATE FUNCTION hail.set_driver_status(driver_id uuid, from_states text[], to_state text, reason text, event text)
RETURNS hail.drivers
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    driver hail.drivers;
    before hail.drivers;
BEGIN
    before := hail.lock_driver(driver_id);
    IF before.status <> ALL (from_states) THEN
        PERFORM hail.fail('wrong_state', format('driver is %s', before.status), 'driver_id',
                          format('Possible for a driver that is %s.', array_to_string(from_states, ' or ')));
    END IF;
    -- A trip under way goes on; nothing new is offered from this commit on.
    UPDATE hail.drivers d
    SET status = to_state, status_reason = reason, online = d.online AND to_state = 'approved',
        event_version = d.event_version + 1
    WHERE d.id = driver_id RETURNING d.* INTO driver;
    PERFORM hail.write_event('driver', driver.id, driver.event_version, event,
                             jsonb_strip_nulls(jsonb_build_object('from', before.status, 'reason', reason,
                                                                  'was_online', nullif(before.online, false))));
    RETURN driver;
END
$$;
COMMENT ON FUNCTION hail.set_driver_status(uuid, text[], text, text, text) IS
'Move a driver from one of these states to another, with the event of it. Errors: not_found, wrong_state. Internal.';

CREATE FUNCTION hail.approve_driver(driver_id uuid) RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN hail.set_driver_status(driver_id, '{pending,rejected}', 'approved', NULL, 'DriverVerified');
END
$$;
COMMENT ON FUNCTION hail.approve_driver(uuid) IS
'Approve a pending or rejected driver, who may then go online. For administrators. Errors: not_found, wrong_state.';

CREATE FUNCTION hail.reject_driver(driver_id uuid, reason text) RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.check_reason(reason);
    RETURN hail.set_driver_status(driver_id, '{pending}', 'rejected', reason, 'VerificationRejected');
END
$$;
COMMENT ON FUNCTION hail.reject_driver(uuid, text) IS
'Reject a pending driver, with the reason. For administrators. Errors: not_found, wrong_state, invalid_value.';

CREATE FUNCTION hail.suspend_driver(driver_id uuid, reason text) RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.check_reason(reason);
    RETURN hail.set_driver_status(driver_id, '{approved}', 'suspended', reason, 'DriverSuspended');
END
$$;
COMMENT ON FUNCTION hail.suspend_driver(uuid, text) IS
'Suspend an approved driver: offline and out of every search from this commit on; a trip under way may be finished. For administrators. Errors: not_found, wrong_state, invalid_value.';

CREATE FUNCTION hail.reinstate_driver(driver_id uuid) RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN hail.set_driver_status(driver_id, '{suspended}', 'approved', NULL, 'DriverReinstated');
END
$$;
COMMENT ON FUNCTION hail.reinstate_driver(uuid) IS
'End a driver''s suspension; the driver is offline. For administrators. Errors: not_found, wrong_state.';

CREATE FUNCTION hail.hold_driver(driver_id uuid, reason text) RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    driver hail.drivers;
    before hail.drivers;
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.check_reason(reason);
    before := hail.lock_driver(driver_id);
    IF before.hold_reason IS NOT NULL THEN
        PERFORM hail.fail('wrong_state', 'driver is on hold', 'driver_id', 'Release the driver first: hail.release_driver().');
    END IF;
    -- As with a suspension: a trip under way goes on; nothing new is offered from this commit on.
    UPDATE hail.drivers d SET hold_reason = reason, online = false, event_version = d.event_version + 1
    WHERE d.id = driver_id RETURNING d.* INTO driver;
    PERFORM hail.write_event('driver', driver.id, driver.event_version, 'DriverHeld',
                             jsonb_strip_nulls(jsonb_build_object('reason', reason, 'was_online', nullif(before.online, false))));
    RETURN driver;
END
$$;
COMMENT ON FUNCTION hail.hold_driver(uuid, text) IS
'Hold a driver who is suspected of fraud, whatever its status: offline and out of every search from this commit on, offers it still has can''t be accepted, until hail.release_driver(); a trip under way may be finished. For administrators. Errors: not_found, wrong_state (on hold already), invalid_value (reason).';

CREATE FUNCTION hail.release_driver(driver_id uuid) RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    driver hail.drivers;
    before hail.drivers;
BEGIN
    PERFORM hail.require_admin();
    before := hail.lock_driver(driver_id);
    IF before.hold_reason IS NULL THEN
        PERFORM hail.fail('wrong_state', 'driver is not on hold', 'driver_id');
    END IF;
    UPDATE hail.drivers d SET hold_reason = NULL, event_version = d.event_version + 1
    WHERE d.id = driver_id RETURNING d.* INTO driver;
    PERFORM hail.write_event('driver', driver.id, driver.event_version, 'DriverReleased',
                             jsonb_build_object('reason', before.hold_reason));
    RETURN driver;
END
$$;
COMMENT ON FUNCTION hail.release_driver(uuid) IS
'End a driver''s hold; the driver is offline. For administrators. Errors: not_found, wrong_state (not on hold).';
GRANT EXECUTE ON FUNCTION hail.approve_driver(uuid), hail.reject_driver(uuid, text), hail.suspend_driver(uuid, text),
    hail.reinstate_driver(uuid), hail.hold_driver(uuid, text), hail.release_driver(uuid) TO hail_admin;

CREATE FUNCTION hail.check_reason(reason text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (length(btrim(reason)) BETWEEN 1 AND 500) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'give a reason of 1 to 500 characters', 'reason');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_reason(text) IS 'Error unless there is a reason. Internal.';

CREATE FUNCTION hail.set_availability(driver_id uuid, online boolean, lat float8 DEFAULT NULL, lng float8 DEFAULT NULL)
RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    driver hail.drivers;
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    IF online IS NULL THEN
        PERFORM hail.fail('invalid_value', 'online must be true or false', 'online');
    ELSIF (lat IS NULL) <> (lng IS NULL) THEN
        PERFORM hail.fail('invalid_value', 'lat and lng come together', CASE WHEN lat IS NULL THEN 'lat' ELSE 'lng' END);
    ELSIF NOT (lat BETWEEN -90 AND 90) THEN
        PERFORM hail.fail('invalid_value', 'lat must be between -90 and 90', 'lat');
    ELSIF NOT (lng BETWEEN -180 AND 180) THEN
        PERFORM hail.fail('invalid_value', 'lng must be between -180 and 180', 'lng');
    END IF;
    driver := hail.lock_driver(driver_id);
    IF online AND driver.status <> 'approved' THEN
        PERFORM hail.fail('driver_not_eligible', format('driver is %s', driver.status), 'driver_id',
                          'Only approved drivers can go online.');
    ELSIF online AND driver.hold_reason IS NOT NULL THEN
        PERFORM hail.fail('driver_not_eligible', 'driver is on hold', 'driver_id', 'An administrator must release the driver first.');
    ELSIF online AND lat IS NULL AND driver.idle_since IS NULL -- never online before: no position may be on its way
          AND NOT EXISTS (SELECT FROM hail.driver_positions p WHERE p.driver_id = set_availability.driver_id) THEN
        PERFORM hail.fail('invalid_value', 'a position is needed to go online', 'lat', 'Give lat and lng.');
    ELSIF NOT online AND driver.trip_id IS NOT NULL THEN
        PERFORM hail.fail('driver_busy', 'driver is on a trip', 'driver_id', 'Complete or cancel the trip first.');
    END IF;

    IF online <> driver.online THEN
        UPDATE hail.drivers d
        SET online = set_availability.online, event_version = d.event_version + 1,
            idle_since = CASE WHEN set_availability.online THEN hail.clock() ELSE d.idle_since END
        WHERE d.id = set_availability.driver_id RETURNING d.* INTO driver;
        PERFORM hail.write_event('driver', driver.id, driver.event_version,
                                 CASE WHEN driver.online THEN 'DriverOnline' ELSE 'DriverOffline' END,
                                 jsonb_strip_nulls(jsonb_build_object('lat', lat, 'lng', lng)));
    END IF;
    IF lat IS NOT NULL AND driver.status = 'approved' THEN
        PERFORM hail.report_location(driver_id, lat, lng);
    END IF;
    RETURN driver;
END
$$;
COMMENT ON FUNCTION hail.set_availability(uuid, boolean, float8, float8) IS
'Go online or offline; a position given is reported. Repeating it changes nothing. For the driver itself and administrators. Errors: driver_not_eligible (not approved, or on hold), driver_busy (offline during a trip), invalid_value, not_found.';
GRANT EXECUTE ON FUNCTION hail.set_availability(uuid, boolean, float8, float8) TO hail_driver, hail_admin;

CREATE FUNCTION hail.add_vehicle(driver_id uuid, plate text, model text, colour text DEFAULT NULL,
                                 year integer DEFAULT NULL, seats integer DEFAULT 4, max_weight_kg real DEFAULT NULL,
                                 max_volume_l real DEFAULT NULL) RETURNS hail.vehicles
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    vehicle hail.vehicles;
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    IF (length(btrim(plate)) BETWEEN 1 AND 20) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'plate must have 1 to 20 characters', 'plate');
    ELSIF (length(btrim(model)) BETWEEN 1 AND 100) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'model must have 1 to 100 characters', 'model');
    ELSIF length(colour) > 50 THEN
        PERFORM hail.fail('invalid_value', 'colour must have 50 characters at most', 'colour');
    ELSIF NOT (year BETWEEN 1950 AND 2100) THEN
        PERFORM hail.fail('invalid_value', 'year must be between 1950 and 2100', 'year');
    ELSIF (seats BETWEEN 0 AND 60) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'seats must be between 0 and 60', 'seats');
    END IF;
    PERFORM hail.check_vehicle_load(max_weight_kg, max_volume_l);
    PERFORM hail.lock_driver(driver_id);
    INSERT INTO hail.vehicles AS added (driver_id, plate, model, colour, year, seats, max_weight_kg, max_volume_l, active)
    VALUES (add_vehicle.driver_id, btrim(add_vehicle.plate), btrim(add_vehicle.model), add_vehicle.colour,
            add_vehicle.year, add_vehicle.seats, add_vehicle.max_weight_kg, add_vehicle.max_volume_l,
            NOT EXISTS (SELECT FROM hail.vehicles v WHERE v.driver_id = add_vehicle.driver_id AND v.active))
    RETURNING added.* INTO vehicle;
    RETURN vehicle;
END
$$;
COMMENT ON FUNCTION hail.add_vehicle(uuid, text, text, text, integer, integer, real, real) IS
'Add a vehicle to a driver; the first is the active one. max_weight_kg and max_volume_l: the load it carries, all jobs together (NULL: not limited). For the driver itself and administrators. Errors: invalid_value, not_found.';
GRANT EXECUTE ON FUNCTION hail.add_vehicle(uuid, text, text, text, integer, integer, real, real) TO hail_driver, hail_admin;

CREATE FUNCTION hail.check_vehicle_load(max_weight_kg real, max_volume_l real) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT (max_weight_kg > 0 AND max_weight_kg <= 100000) THEN
        PERFORM hail.fail('invalid_value', 'max_weight_kg must be above 0 and at most 100000', 'max_weight_kg');
    ELSIF NOT (max_volume_l > 0 AND max_volume_l <= 1000000) THEN
        PERFORM hail.fail('invalid_value', 'max_volume_l must be above 0 and at most 1000000', 'max_volume_l');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_vehicle_load(real, real) IS 'Error unless a vehicle can carry so much. Internal.';

CREATE FUNCTION hail.set_vehicle_load(vehicle_id uuid, max_weight_kg real, max_volume_l real) RETURNS hail.vehicles
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    vehicle hail.vehicles;
BEGIN
    PERFORM hail.require_anybody();
    SELECT v.* INTO vehicle FROM hail.vehicles v WHERE v.id = vehicle_id
       AND (hail.current_role_name() = 'admin' OR v.driver_id = hail.current_subject());
    IF vehicle.id IS NULL THEN
        PERFORM hail.fail('not_found', 'vehicle does not exist', 'vehicle_id');
    END IF;
    PERFORM hail.check_vehicle_load(max_weight_kg, max_volume_l);
    PERFORM hail.lock_driver(vehicle.driver_id); -- who gives the driver a job reads this under that lock
    UPDATE hail.vehicles v SET max_weight_kg = set_vehicle_load.max_weight_kg, max_volume_l = set_vehicle_load.max_volume_l
    WHERE v.id = vehicle.id RETURNING v.* INTO vehicle;
    RETURN vehicle;
END
$$;
COMMENT ON FUNCTION hail.set_vehicle_load(uuid, real, real) IS
'What a vehicle can carry, all jobs together: kilograms and litres, NULL: not limited. Jobs under way stay. For its driver and administrators. Errors: not_found, invalid_value.';
GRANT EXECUTE ON FUNCTION hail.set_vehicle_load(uuid, real, real) TO hail_driver, hail_admin;

-- What a driver takes: how many jobs at once, and where

CREATE FUNCTION hail.set_job_capacity(driver_id uuid, capacity integer) RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    driver hail.drivers;
BEGIN
    PERFORM hail.require_admin();
    IF (capacity BETWEEN 1 AND 20) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'capacity must be between 1 and 20', 'capacity');
    END IF;
    driver := hail.lock_driver(driver_id);
    IF driver.job_capacity <> capacity THEN
        UPDATE hail.drivers d SET job_capacity = capacity, event_version = d.event_version + 1
        WHERE d.id = set_job_capacity.driver_id RETURNING d.* INTO driver;
        PERFORM hail.write_event('driver', driver.id, driver.event_version, 'DriverCapacityChanged',
                                 jsonb_build_object('job_capacity', capacity));
    END IF;
    RETURN driver;
END
$$;
COMMENT ON FUNCTION hail.set_job_capacity(uuid, integer) IS
'How many jobs a driver may have at once, 1 to 20. Jobs under way stay when it is lowered. For administrators. Errors: invalid_value, not_found.';
GRANT EXECUTE ON FUNCTION hail.set_job_capacity(uuid, integer) TO hail_admin;

CREATE FUNCTION hail.create_preferred_area(region text, name text, boundary public.geometry) RETURNS hail.preferred_areas
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r hail.regions;
    free smallint;
    area hail.preferred_areas;
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO r FROM hail.regions known WHERE known.code = region;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    ELSIF (length(btrim(name)) BETWEEN 1 AND 200) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'name must have 1 to 200 characters', 'name');
    END IF;
    PERFORM hail.check_boundary(boundary);
    LOCK TABLE hail.preferred_areas IN SHARE ROW EXCLUSIVE MODE; -- one at a time finds what is free
    SELECT min(n) INTO free FROM generate_series(0, 63) n
    WHERE NOT EXISTS (SELECT FROM hail.preferred_areas a WHERE a.id = n);
    IF EXISTS (SELECT FROM hail.preferred_areas a WHERE a.region_id = r.id AND a.name = btrim(create_preferred_area.name)) THEN
        PERFORM hail.fail('already_exists', 'the region has an area of this name already', 'name');
    ELSIF free IS NULL THEN
        PERFORM hail.fail('wrong_state', 'there are 64 preferred areas already', 'name', 'Drop one with hail.drop_preferred_area().');
    END IF;
    INSERT INTO hail.preferred_areas AS added (id, region_id, name, boundary)
    VALUES (free, r.id, btrim(create_preferred_area.name), create_preferred_area.boundary) RETURNING added.* INTO area;
    RETURN area;
END
$$;
COMMENT ON FUNCTION hail.create_preferred_area(text, text, public.geometry) IS
'Make an area that drivers can choose: the region''s code, a name, a polygon or multipolygon in WGS84. 64 areas at most in all. For administrators. Errors: not_found (region), invalid_value, already_exists (name), wrong_state (64 areas).';

CREATE FUNCTION hail.drop_preferred_area(area_id integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bit bigint;
    changed integer := 0;
    driver hail.drivers;
BEGIN
    PERFORM hail.require_admin();
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM hail.fail('wrong_state', 'dropping an area must see what others have just committed', NULL,
                          'Call it in a transaction with isolation level READ COMMITTED.');
    END IF;
    -- First the area's row, as hail.set_preferred_areas() does: whoever is just choosing it is waited for, and seen.
    PERFORM FROM hail.preferred_areas a WHERE a.id = area_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'area does not exist', 'area_id');
    END IF;
    bit := 1::bigint << area_id;
    FOR driver IN SELECT d.* FROM hail.drivers d WHERE d.area_mask & bit <> 0 ORDER BY d.id FOR NO KEY UPDATE LOOP
        PERFORM hail.put_area_mask(driver, driver.area_mask & ~bit);
        changed := changed + 1;
    END LOOP;
    DELETE FROM hail.preferred_areas a WHERE a.id = area_id;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION hail.drop_preferred_area(integer) IS
'Drop an area; returns how many drivers had chosen it: they keep their other areas, and without any they are called anywhere. For administrators. Errors: not_found.';

CREATE FUNCTION hail.put_area_mask(driver hail.drivers, mask bigint) RETURNS hail.drivers
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF driver.area_mask <> mask THEN
        UPDATE hail.drivers d SET area_mask = mask, event_version = d.event_version + 1
        WHERE d.id = driver.id RETURNING d.* INTO driver;
        PERFORM hail.write_event('driver', driver.id, driver.event_version, 'DriverAreasChanged',
                                 jsonb_build_object('area_ids', coalesce((SELECT jsonb_agg(n) FROM generate_series(0, 63) n
                                                                          WHERE (mask >> n) & 1 = 1), '[]')));
    END IF;
    RETURN driver;
END
$$;
COMMENT ON FUNCTION hail.put_area_mask(hail.drivers, bigint) IS
'Set the preferred areas of a driver whose row the caller has locked, with the event of it. Internal.';

CREATE FUNCTION hail.set_preferred_areas(driver_id uuid, area_ids smallint[]) RETURNS hail.drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known smallint[];
    mask bigint;
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    SELECT coalesce(array_agg(a.id), '{}') INTO known
    FROM (SELECT p.id FROM hail.preferred_areas p WHERE p.id = ANY (area_ids) ORDER BY p.id FOR KEY SHARE) a;
    IF EXISTS (SELECT FROM unnest(area_ids) n WHERE n IS NULL) THEN
        PERFORM hail.fail('invalid_value', 'area_ids must not contain null', 'area_ids');
    ELSIF NOT known @> coalesce(area_ids, '{}') THEN
        PERFORM hail.fail('not_found', 'area does not exist', 'area_ids', 'The areas are the rows of hail.preferred_areas.');
    END IF;
    SELECT coalesce(bit_or(1::bigint << n), 0) INTO mask FROM unnest(known) n;
    RETURN hail.put_area_mask(hail.lock_driver(driver_id), mask);
END
$$;
COMMENT ON FUNCTION hail.set_preferred_areas(uuid, smallint[]) IS
'The areas (ids of hail.preferred_areas) a driver wants to be called to; none, or NULL: anywhere. From this commit on only trips with their pickup there are offered. For the driver itself and administrators. Errors: invalid_value, not_found (area, driver).';
GRANT EXECUTE ON FUNCTION hail.create_preferred_area(text, text, public.geometry), hail.drop_preferred_area(integer) TO hail_admin;
GRANT EXECUTE ON FUNCTION hail.set_preferred_areas(uuid, smallint[]) TO hail_driver, hail_admin;

CREATE FUNCTION hail.areas_at(lat float8, lng float8) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(bit_or(1::bigint << a.id), 0) FROM hail.preferred_areas a
            WHERE public.ST_Covers(a.boundary, public.ST_SetSRID(public.ST_MakePoint(lng, lat), 4326)));
END
$$;
COMMENT ON FUNCTION hail.areas_at(float8, float8) IS
'Bits of the preferred areas a point is in, their edges included. Internal.';

-- Customers' favourites and blocks

CREATE FUNCTION hail.check_customer_driver(customer_id uuid, driver_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_self('customer', customer_id);
    IF NOT EXISTS (SELECT FROM hail.users u WHERE u.id = customer_id AND u.role = 'customer') THEN
        PERFORM hail.fail('not_found', 'customer does not exist', 'customer_id');
    ELSIF NOT EXISTS (SELECT FROM hail.drivers d WHERE d.id = driver_id) THEN
        PERFORM hail.fail('not_found', 'driver does not exist', 'driver_id');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_customer_driver(uuid, uuid) IS
'Error unless the caller may speak for this customer about this driver. Internal.';

CREATE FUNCTION hail.block_driver(customer_id uuid, driver_id uuid, blocked boolean DEFAULT true)
RETURNS hail.customer_drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pair hail.customer_drivers;
BEGIN
    PERFORM hail.check_customer_driver(customer_id, driver_id);
    INSERT INTO hail.customer_drivers AS cd (customer_id, driver_id, blocked)
    VALUES (block_driver.customer_id, block_driver.driver_id, coalesce(block_driver.blocked, false))
    ON CONFLICT ON CONSTRAINT customer_drivers_pkey
        DO UPDATE SET blocked = excluded.blocked, favourite = cd.favourite AND NOT excluded.blocked
    RETURNING cd.* INTO pair;
    RETURN pair;
END
$$;
COMMENT ON FUNCTION hail.block_driver(uuid, uuid, boolean) IS
'A customer no longer wants a driver (or does again): a blocked driver is never offered the customer''s trips, and is no favourite. For the customer itself and administrators. Errors: not_found.';

CREATE FUNCTION hail.favourite_driver(customer_id uuid, driver_id uuid, favourite boolean DEFAULT true)
RETURNS hail.customer_drivers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pair hail.customer_drivers;
BEGIN
    PERFORM hail.check_customer_driver(customer_id, driver_id);
    INSERT INTO hail.customer_drivers AS cd (customer_id, driver_id, favourite)
    VALUES (favourite_driver.customer_id, favourite_driver.driver_id, coalesce(favourite_driver.favourite, false))
    ON CONFLICT ON CONSTRAINT customer_drivers_pkey
        DO UPDATE SET favourite = excluded.favourite, blocked = cd.blocked AND NOT excluded.favourite
    RETURNING cd.* INTO pair;
    RETURN pair;
END
$$;
COMMENT ON FUNCTION hail.favourite_driver(uuid, uuid, boolean) IS
'A customer likes a driver (or no longer does); a favourite is not blocked. For the customer itself and administrators. Errors: not_found.';
GRANT EXECUTE ON FUNCTION hail.block_driver(uuid, uuid, boolean), hail.favourite_driver(uuid, uuid, boolean)
    TO hail_customer, hail_admin;
