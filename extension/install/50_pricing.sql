-- 50_pricing: fares, surge, estimates, quotes

CREATE TABLE hail.fares (
    id                uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id         smallint NOT NULL REFERENCES hail.regions (id),
    service_class     text NOT NULL REFERENCES hail.service_classes (code),
    base              bigint NOT NULL CHECK (base >= 0),
    per_km            bigint NOT NULL CHECK (per_km >= 0),
    per_minute        bigint NOT NULL CHECK (per_minute >= 0),
    minimum           bigint NOT NULL CHECK (minimum >= 0),
    booking_fee       bigint NOT NULL DEFAULT 0 CHECK (booking_fee >= 0),
    cancellation_fee  bigint NOT NULL DEFAULT 0 CHECK (cancellation_fee >= 0),
    commission_bp     integer NOT NULL CHECK (commission_bp BETWEEN 0 AND 10000),
    rounding          bigint NOT NULL DEFAULT 50 CHECK (rounding >= 1),
    effective         tstzrange NOT NULL DEFAULT tstzrange('-infinity', 'infinity'),
    stop_fee          bigint NOT NULL DEFAULT 0 CHECK (stop_fee >= 0),
    EXCLUDE USING gist (region_id WITH =, service_class WITH =, effective WITH &&)
);
COMMENT ON TABLE hail.fares IS
'Price list per region and class, in minor units of the region''s currency; no two versions overlap in time.';
COMMENT ON COLUMN hail.fares.commission_bp IS 'Commission in basis points (1500 = 15 %).';
COMMENT ON COLUMN hail.fares.stop_fee IS 'What each stop of a job beyond the first two costs, beside the way to it; quotes have it in booking_fee.';
COMMENT ON COLUMN hail.fares.rounding IS 'Totals are rounded half up to a multiple of this many minor units.';

CREATE TABLE hail.fare_time_rules (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    name       text NOT NULL,
    weekdays   smallint[] NOT NULL DEFAULT '{1,2,3,4,5,6,7}',
    from_time  time NOT NULL,
    to_time    time NOT NULL,
    multiplier numeric(4,2) NOT NULL CHECK (multiplier BETWEEN 0.5 AND 5)
);
COMMENT ON TABLE hail.fare_time_rules IS
'Time-of-day multipliers in the region''s time zone (ISO weekdays; may span midnight). The highest that applies counts.';

CREATE TABLE hail.event_areas (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    name       text NOT NULL,
    area       public.geometry(Geometry, 4326) NOT NULL,
    active     tstzrange NOT NULL,
    multiplier numeric(4,2) NOT NULL CHECK (multiplier BETWEEN 0.5 AND 5)
);
COMMENT ON TABLE hail.event_areas IS 'Areas and times of special events, with their price multiplier.';

CREATE TABLE hail.surge_steps (
    region_id   smallint REFERENCES hail.regions (id),
    below_ratio numeric NOT NULL CHECK (below_ratio > 0),
    multiplier  numeric(4,2) NOT NULL CHECK (multiplier >= 1),
    UNIQUE NULLS NOT DISTINCT (region_id, below_ratio)
);
COMMENT ON TABLE hail.surge_steps IS
'Ratio table: demand/supply below `below_ratio` gives `multiplier`; past the last row min(ratio / 2, the region''s cap). Rows without a region serve every region that has none of its own.';
-- A default by NULL and not by a trigger on regions: a restored dump must not find rows of its own already there.
INSERT INTO hail.surge_steps (region_id, below_ratio, multiplier) VALUES
    (NULL, 1, 1.0), (NULL, 1.5, 1.1), (NULL, 2, 1.3), (NULL, 3, 1.5), (NULL, 4, 1.8);

CREATE TABLE hail.surge_cells (
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    cell       bigint NOT NULL,
    demand     integer NOT NULL,
    supply     integer NOT NULL,
    multiplier numeric(4,2) NOT NULL CHECK (multiplier >= 1),
    held_until timestamptz,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (region_id, cell)
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.surge_cells IS 'Surge per hexagon as of the last tick; a cell that is not here has 1.0.';
COMMENT ON COLUMN hail.surge_cells.held_until IS 'Not lowered before; set whenever it rises.';

CREATE TABLE hail.quotes (
    id                uuid PRIMARY KEY DEFAULT hail.uuid7(),
    customer_id       uuid NOT NULL REFERENCES hail.users (id),
    region_id         smallint NOT NULL REFERENCES hail.regions (id),
    service_class     text NOT NULL REFERENCES hail.service_classes (code),
    pickup_lat        float8 NOT NULL,
    pickup_lng        float8 NOT NULL,
    dropoff_lat       float8 NOT NULL,
    dropoff_lng       float8 NOT NULL,
    distance_m        integer NOT NULL,
    duration_s        integer NOT NULL,
    base_amount       bigint NOT NULL,
    distance_amount   bigint NOT NULL,
    time_amount       bigint NOT NULL,
    surge             numeric NOT NULL,
    time_multiplier   numeric NOT NULL,
    event_multiplier  numeric NOT NULL,
    multiplier_amount bigint NOT NULL,
    minimum_amount    bigint NOT NULL,
    booking_fee       bigint NOT NULL,
    rounding_amount   bigint NOT NULL,
    total             bigint NOT NULL CHECK (total >= 0),
    cancellation_fee  bigint NOT NULL,
    commission_bp     integer NOT NULL,
    currency          text NOT NULL,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    stops             float8[],
    -- what was added adds up: to the last minor unit
    CHECK (total = base_amount + distance_amount + time_amount + multiplier_amount + minimum_amount + booking_fee + rounding_amount)
);
CREATE INDEX quotes_customer ON hail.quotes (customer_id, created_at);
COMMENT ON TABLE hail.quotes IS 'Prices promised to a customer until expires_at, with everything that made them. A trip uses a quote once.';
COMMENT ON COLUMN hail.quotes.multiplier_amount IS 'What surge, time of day and events add to base, distance and time.';
COMMENT ON COLUMN hail.quotes.stops IS
'Quotes of jobs: latitude and longitude of every stop in its order, the first the pickup and the last the dropoff; distance and time are those of all legs.';
COMMENT ON COLUMN hail.quotes.minimum_amount IS 'What the minimum fare adds.';

-- Who may read the tables

GRANT SELECT ON hail.fares, hail.fare_time_rules, hail.event_areas, hail.surge_steps, hail.surge_cells
    TO hail_admin, hail_analyst;
CREATE POLICY fares_readers ON hail.fares FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY fare_time_rules_readers ON hail.fare_time_rules FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY event_areas_readers ON hail.event_areas FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY surge_steps_readers ON hail.surge_steps FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY surge_cells_readers ON hail.surge_cells FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
-- A quote names a person and two places: analysts don't get it.
GRANT SELECT ON hail.quotes TO hail_customer, hail_admin;
CREATE POLICY quotes_customer ON hail.quotes FOR SELECT TO hail_customer
    USING (customer_id = hail.current_subject());
CREATE POLICY quotes_admin ON hail.quotes FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

-- Hexagons (src/geo/hexgrid.h)

CREATE FUNCTION hail.hexagon_at(lat float8, lng float8, size float8, OUT cell bigint, OUT i integer, OUT j integer)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_hexagon_at';
COMMENT ON FUNCTION hail.hexagon_at(float8, float8, float8) IS
'The hexagon of edge `size` (web-mercator metres) that holds a point: its column i and row j as ST_HexagonGrid numbers them in EPSG:3857, and both packed into one number.';

CREATE FUNCTION hail.hexagon_cell(lat float8, lng float8, size float8) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_hexagon_cell';
COMMENT ON FUNCTION hail.hexagon_cell(float8, float8, float8) IS 'The cell of hail.hexagon_at() alone. Internal.';

CREATE FUNCTION hail.hexagon_ewkb(cell bigint, size float8) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_hexagon_ewkb';
COMMENT ON FUNCTION hail.hexagon_ewkb(bigint, float8) IS 'A cell as EWKB polygon in WGS84; what hail.hexagon() is made of.';

CREATE FUNCTION hail.hexagon(cell bigint, size float8) RETURNS public.geometry(Polygon, 4326)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT public.geometry(hail.hexagon_ewkb(cell, size)) $$;
COMMENT ON FUNCTION hail.hexagon(bigint, float8) IS
'Polygon (WGS84) of a cell of hail.hexagon_at() with the same size.';

CREATE FUNCTION hail.hexagon_neighbours(cell bigint) RETURNS SETOF bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 6 AS 'MODULE_PATHNAME', 'hail_hexagon_neighbours';
COMMENT ON FUNCTION hail.hexagon_neighbours(bigint) IS 'The six cells around one, from the north counter-clockwise.';

GRANT EXECUTE ON FUNCTION hail.hexagon_at(float8, float8, float8), hail.hexagon(bigint, float8),
        hail.hexagon_neighbours(bigint)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
-- hail.hexagon() is not SECURITY DEFINER: what it calls runs as its caller.
GRANT EXECUTE ON FUNCTION hail.hexagon_ewkb(bigint, float8)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

-- Price lists

CREATE FUNCTION hail.locked_region(region text) RETURNS hail.regions
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found hail.regions;
BEGIN
    SELECT * INTO found FROM hail.regions r WHERE r.code = locked_region.region FOR NO KEY UPDATE;
    IF found.id IS NULL THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.locked_region(text) IS
'A region by its code, its row locked: changes of one region''s price list come one after the other. Internal.';

CREATE FUNCTION hail.check_fare_amounts(base bigint, per_km bigint, per_minute bigint, minimum bigint,
                                        booking_fee bigint, cancellation_fee bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    amount record;
BEGIN
    FOR amount IN SELECT * FROM (VALUES (1, 'base', base), (2, 'per_km', per_km), (3, 'per_minute', per_minute),
            (4, 'minimum', minimum), (5, 'booking_fee', booking_fee), (6, 'cancellation_fee', cancellation_fee))
            AS amounts (n, name, value) ORDER BY n LOOP
        IF amount.value IS NULL OR amount.value NOT BETWEEN 0 AND 1000000000 THEN
            PERFORM hail.fail('invalid_value', format('%s must be between 0 and 1000000000', amount.name), amount.name,
                              'Amounts are minor units of the region''s currency.');
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.check_fare_amounts(bigint, bigint, bigint, bigint, bigint, bigint) IS
'Error that names the first amount of a fare that is missing or out of range. Internal.';

CREATE FUNCTION hail.set_fare(region text, service_class text, base bigint, per_km bigint, per_minute bigint,
                              minimum bigint, commission_bp integer, booking_fee bigint DEFAULT 0,
                              cancellation_fee bigint DEFAULT 0, rounding bigint DEFAULT 50,
                              effective_from timestamptz DEFAULT NULL, stop_fee bigint DEFAULT 0) RETURNS hail.fares
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    place hail.regions;
    start timestamptz := coalesce(effective_from, hail.clock());
    until timestamptz;
    stored hail.fares;
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.check_fare_amounts(base, per_km, per_minute, minimum, booking_fee, cancellation_fee);
    IF commission_bp IS NULL OR commission_bp NOT BETWEEN 0 AND 10000 THEN
        PERFORM hail.fail('invalid_value', 'commission_bp must be between 0 and 10000', 'commission_bp',
                          'Basis points: 1500 is 15 %.');
    END IF;
    IF rounding IS NULL OR rounding NOT BETWEEN 1 AND 1000000 THEN
        PERFORM hail.fail('invalid_value', 'rounding must be between 1 and 1000000', 'rounding');
    END IF;
    IF stop_fee IS NULL OR stop_fee NOT BETWEEN 0 AND 1000000000 THEN
        PERFORM hail.fail('invalid_value', 'stop_fee must be between 0 and 1000000000', 'stop_fee');
    END IF;
    IF NOT isfinite(start) THEN
        PERFORM hail.fail('invalid_value', 'effective_from must be finite', 'effective_from');
    END IF;
    place := hail.locked_region(region);
    IF NOT EXISTS (SELECT FROM hail.service_classes c WHERE c.code = set_fare.service_class) THEN
        PERFORM hail.fail('unknown_class', 'service class does not exist', 'service_class');
    END IF;
    -- The first price list of a class has always been in force; a later one ends the one before it.
    IF NOT EXISTS (SELECT FROM hail.fares f
                   WHERE f.region_id = place.id AND f.service_class = set_fare.service_class) THEN
        start := '-infinity';
    END IF;
    SELECT coalesce(min(lower(f.effective)), 'infinity') INTO until FROM hail.fares f
    WHERE f.region_id = place.id AND f.service_class = set_fare.service_class AND lower(f.effective) > start;
    DELETE FROM hail.fares f
    WHERE f.region_id = place.id AND f.service_class = set_fare.service_class AND lower(f.effective) = start;
    UPDATE hail.fares f SET effective = tstzrange(lower(f.effective), start)
    WHERE f.region_id = place.id AND f.service_class = set_fare.service_class AND f.effective @> start;
    INSERT INTO hail.fares AS f (region_id, service_class, base, per_km, per_minute, minimum, booking_fee,
                                 cancellation_fee, commission_bp, rounding, effective, stop_fee)
    VALUES (place.id, set_fare.service_class, set_fare.base, set_fare.per_km, set_fare.per_minute, set_fare.minimum,
            set_fare.booking_fee, set_fare.cancellation_fee, set_fare.commission_bp, set_fare.rounding,
            tstzrange(start, until), set_fare.stop_fee)
    RETURNING f.* INTO stored;
    RETURN stored;
END
$$;
COMMENT ON FUNCTION hail.set_fare(text, text, bigint, bigint, bigint, bigint, integer, bigint, bigint, bigint, timestamptz, bigint) IS
'New price list of a class in a region, from effective_from (now) until the next one that is already planned. Amounts in minor units, commission in basis points; stop_fee for each stop of a job beyond two. Quotes keep the price they were made with. Administrators.';

CREATE FUNCTION hail.load_sample_fares(region text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place hail.regions;
BEGIN
    PERFORM hail.require_admin();
    place := hail.locked_region(region);
    PERFORM hail.set_fare(region, s.class, s.base, s.per_km, s.per_minute, s.minimum, s.commission_bp)
    FROM (VALUES ('economy', 1000, 350, 50, 1500, 1500), ('comfort', 1500, 500, 75, 2500, 1800),
                 ('premium', 2500, 800, 100, 4000, 2000), ('xl', 2000, 600, 80, 3500, 1700))
         AS s (class, base, per_km, per_minute, minimum, commission_bp);
    DELETE FROM hail.fare_time_rules t
    WHERE t.region_id = place.id AND t.name IN ('morning peak', 'evening peak', 'night', 'friday evening');
    INSERT INTO hail.fare_time_rules (region_id, name, weekdays, from_time, to_time, multiplier) VALUES
        (place.id, 'morning peak', '{1,2,3,4,5,6,7}', '07:00', '09:00', 1.2),
        (place.id, 'evening peak', '{1,2,3,4,5,6,7}', '17:00', '20:00', 1.3),
        (place.id, 'night', '{1,2,3,4,5,6,7}', '23:00', '05:00', 1.1),
        (place.id, 'friday evening', '{5}', '20:00', '23:00', 1.4);
    RETURN 4;
END
$$;
COMMENT ON FUNCTION hail.load_sample_fares(text) IS
'Give a region the sample price list (economy, comfort, premium, xl) and time-of-day rules; returns the number of fares. Administrators.';

GRANT EXECUTE ON FUNCTION hail.load_sample_fares(text),
        hail.set_fare(text, text, bigint, bigint, bigint, bigint, integer, bigint, bigint, bigint, timestamptz, bigint)
    TO hail_admin;

-- Prices

CREATE TYPE hail.fare AS (
    region            text,
    service_class     text,
    distance_m        integer,
    duration_s        integer,
    base_amount       bigint,
    distance_amount   bigint,
    time_amount       bigint,
    surge             numeric,
    time_multiplier   numeric,
    event_multiplier  numeric,
    multiplier_amount bigint,
    minimum_amount    bigint,
    booking_fee       bigint,
    rounding_amount   bigint,
    total             bigint,
    cancellation_fee  bigint,
    commission_bp     integer,
    currency          text
);
COMMENT ON TYPE hail.fare IS
'What a trip would cost, and why: the amounts (minor units) add up to total; road distance and time as estimated.';

CREATE FUNCTION hail.trip_metres(pickup_lat float8, pickup_lng float8, dropoff_lat float8, dropoff_lng float8)
RETURNS float8
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_trip_metres';
COMMENT ON FUNCTION hail.trip_metres(float8, float8, float8, float8) IS
'Great-circle metres of a trip; error that names the coordinate at fault, and when pickup and dropoff are one place or too far apart. Internal.';

CREATE FUNCTION hail.route_metres(places float8[]) RETURNS float8
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_route_metres';
COMMENT ON FUNCTION hail.route_metres(float8[]) IS
'Great-circle metres of a route over places in order (latitude, longitude of each, valid ones); error when all of it is one place or too far. Internal.';

CREATE FUNCTION hail.road_estimate(metres float8, distance_factor float8, speed_kmh float8,
                                   OUT distance_m integer, OUT duration_s integer) RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_road_estimate';
COMMENT ON FUNCTION hail.road_estimate(float8, float8, float8) IS
'Road metres and seconds for metres of great circle, by a region''s figures. Internal.';

CREATE FUNCTION hail.fare_amounts(base bigint, per_km bigint, per_minute bigint, minimum bigint, booking_fee bigint,
                                  rounding bigint, distance_m integer, duration_s integer, surge integer,
                                  time_multiplier integer, event_multiplier integer,
                                  OUT distance_amount bigint, OUT time_amount bigint, OUT multiplier_amount bigint,
                                  OUT minimum_amount bigint, OUT rounding_amount bigint, OUT total bigint)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_fare_amounts';
COMMENT ON FUNCTION hail.fare_amounts(bigint, bigint, bigint, bigint, bigint, bigint, integer, integer, integer, integer, integer) IS
'The fare formula (src/pricing/fare.h), multipliers in hundredths. Internal.';

CREATE FUNCTION hail.time_multiplier(region_id smallint, timezone text, at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    local timestamp := at AT TIME ZONE timezone;
    clock time := local::time;
    today smallint := extract(isodow FROM local);
    yesterday smallint := CASE today WHEN 1 THEN 7 ELSE today - 1 END;
BEGIN
    RETURN (
        SELECT coalesce(max(t.multiplier), 1.00) FROM hail.fare_time_rules t
        WHERE t.region_id = time_multiplier.region_id
          AND CASE WHEN t.from_time < t.to_time
                   THEN today = ANY (t.weekdays) AND clock >= t.from_time AND clock < t.to_time
                   -- spans midnight: the weekday is the one on which it began
                   ELSE (today = ANY (t.weekdays) AND clock >= t.from_time)
                        OR (yesterday = ANY (t.weekdays) AND clock < t.to_time) END);
END
$$;
COMMENT ON FUNCTION hail.time_multiplier(smallint, text, timestamptz) IS
'The highest time-of-day multiplier of a region that applies at a time; 1 when none does. Internal.';

CREATE FUNCTION hail.event_multiplier(region_id smallint, lat float8, lng float8, at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(max(e.multiplier), 1.00)
        FROM hail.event_areas e
        WHERE e.region_id = event_multiplier.region_id AND e.active @> at
          AND public.ST_Covers(e.area, public.ST_SetSRID(public.ST_MakePoint(lng, lat), 4326)));
END
$$;
COMMENT ON FUNCTION hail.event_multiplier(smallint, float8, float8, timestamptz) IS
'The highest multiplier of the event areas around a point that are active at a time; 1 when there is none. Internal.';

CREATE FUNCTION hail.surge_multiplier(region hail.regions, lat float8, lng float8) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT s.multiplier FROM hail.surge_cells s
                     WHERE s.region_id = region.id
                       AND s.cell = hail.hexagon_cell(lat, lng, region.hexagon_size_m)), 1.00);
END
$$;
COMMENT ON FUNCTION hail.surge_multiplier(hail.regions, float8, float8) IS
'Surge of a region at a point; 1 where there is none. Internal.';

CREATE FUNCTION hail.price_classes(region hail.regions, pickup_lat float8, pickup_lng float8, metres float8,
                                   classes text[], more_stops integer DEFAULT 0) RETURNS SETOF hail.fare
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := hail.clock();
    road record;
    surge numeric := hail.surge_multiplier(region, pickup_lat, pickup_lng);
    by_time numeric := hail.time_multiplier(region.id, region.timezone, at);
    by_event numeric := hail.event_multiplier(region.id, pickup_lat, pickup_lng, at);
BEGIN
    SELECT * INTO road FROM hail.road_estimate(metres, region.distance_factor, region.speed_kmh);
    RETURN QUERY
    SELECT region.code, f.service_class, road.distance_m, road.duration_s, f.base, a.distance_amount, a.time_amount,
           surge, by_time, by_event, a.multiplier_amount, a.minimum_amount, f.booking_fee + f.stop_fee * more_stops,
           a.rounding_amount, a.total, f.cancellation_fee, f.commission_bp, region.currency
    FROM hail.fares f
         JOIN hail.service_classes c ON c.code = f.service_class,
         LATERAL hail.fare_amounts(f.base, f.per_km, f.per_minute, f.minimum, f.booking_fee + f.stop_fee * more_stops, f.rounding,
                                   road.distance_m, road.duration_s, (surge * 100)::integer,
                                   (by_time * 100)::integer, (by_event * 100)::integer) a
    WHERE f.region_id = region.id AND f.effective @> at AND (classes IS NULL OR f.service_class = ANY (classes))
    ORDER BY c.id;
END
$$;
COMMENT ON FUNCTION hail.price_classes(hail.regions, float8, float8, float8, text[], integer) IS
'Fares of a trip of so many great-circle metres from a point of a region, for these classes (NULL: every one that has a fare); more_stops: those beyond pickup and dropoff. Internal.';

CREATE FUNCTION hail.price_class(region hail.regions, pickup_lat float8, pickup_lng float8, metres float8,
                                 service_class text, more_stops integer DEFAULT 0) RETURNS hail.fare
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    price hail.fare;
BEGIN
    SELECT p.* INTO price
    FROM hail.price_classes(region, pickup_lat, pickup_lng, metres, ARRAY[service_class], more_stops) p;
    IF price.total IS NOT NULL THEN
        RETURN price;
    END IF;
    IF EXISTS (SELECT FROM hail.service_classes c WHERE c.code = price_class.service_class) THEN
        PERFORM hail.fail('unknown_class', format('service class %s has no fare in region %s', service_class, region.code),
                          'service_class', 'hail.set_fare() gives it one.');
    END IF;
    PERFORM hail.fail('unknown_class', 'service class does not exist', 'service_class');
END
$$;
COMMENT ON FUNCTION hail.price_class(hail.regions, float8, float8, float8, text, integer) IS
'The one fare of hail.price_classes(), or unknown_class. Internal.';

CREATE FUNCTION hail.require_anybody() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF hail.current_role_name() IS NULL THEN
        PERFORM hail.fail('unauthenticated', 'not authenticated', NULL,
                          'Call hail.authenticate(token) first in the same transaction.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.require_anybody() IS 'Error unless the caller is authenticated, in whatever role. Internal.';

CREATE FUNCTION hail.pickup_region(lat float8, lng float8) RETURNS hail.regions
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    region hail.regions := hail.region_at(lat, lng);
BEGIN
    IF region.id IS NULL THEN
        PERFORM hail.fail('outside_service_area', 'pickup is outside every service area', 'pickup_lat');
    END IF;
    RETURN region;
END
$$;
COMMENT ON FUNCTION hail.pickup_region(float8, float8) IS
'The region that a pickup lies in, or outside_service_area. Internal.';

CREATE FUNCTION hail.estimate_fare(region text, pickup_lat float8, pickup_lng float8, dropoff_lat float8,
                                   dropoff_lng float8, service_class text) RETURNS hail.fare
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    metres float8;
    place hail.regions;
BEGIN
    PERFORM hail.require_anybody();
    metres := hail.trip_metres(pickup_lat, pickup_lng, dropoff_lat, dropoff_lng);
    PERFORM hail.refuse_restricted(pickup_lat, pickup_lng, dropoff_lat, dropoff_lng);
    IF region IS NULL THEN
        place := hail.pickup_region(pickup_lat, pickup_lng);
    ELSE
        SELECT * INTO place FROM hail.regions r WHERE r.code = estimate_fare.region;
        IF place.id IS NULL THEN
            PERFORM hail.fail('not_found', 'region does not exist', 'region');
        END IF;
        IF NOT hail.region_covers(place.id, pickup_lat, pickup_lng) THEN
            PERFORM hail.fail('outside_service_area', 'pickup is outside the region', 'pickup_lat');
        END IF;
    END IF;
    RETURN hail.price_class(place, pickup_lat, pickup_lng, metres, service_class);
END
$$;
COMMENT ON FUNCTION hail.estimate_fare(text, float8, float8, float8, float8, text) IS
'What a trip would cost now: price, surge, road distance and time, and every part of the price. region NULL: the one at the pickup. Promises nothing: hail.create_quote() does.';

CREATE FUNCTION hail.pickup_eta(lat float8, lng float8, class_id smallint, radius_m float8, distance_factor float8,
                                speed_kmh float8) RETURNS integer
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'hail_pickup_eta';
COMMENT ON FUNCTION hail.pickup_eta(float8, float8, smallint, float8, float8, float8) IS
'Seconds until the nearest available driver of a class could be at a point; NULL when none is within the radius or the live index is being rebuilt. Internal.';

CREATE FUNCTION hail.estimate_fares(pickup_lat float8, pickup_lng float8, dropoff_lat float8, dropoff_lng float8,
                                    service_classes text[] DEFAULT NULL)
RETURNS TABLE (region text, service_class text, distance_m integer, duration_s integer, base_amount bigint,
               distance_amount bigint, time_amount bigint, surge numeric, time_multiplier numeric,
               event_multiplier numeric, multiplier_amount bigint, minimum_amount bigint, booking_fee bigint,
               rounding_amount bigint, total bigint, cancellation_fee bigint, commission_bp integer, currency text,
               pickup_eta_s integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    metres float8;
    place hail.regions;
    class text;
BEGIN
    PERFORM hail.require_anybody();
    metres := hail.trip_metres(pickup_lat, pickup_lng, dropoff_lat, dropoff_lng);
    PERFORM hail.refuse_restricted(pickup_lat, pickup_lng, dropoff_lat, dropoff_lng);
    place := hail.pickup_region(pickup_lat, pickup_lng);
    FOREACH class IN ARRAY coalesce(service_classes, '{}') LOOP
        IF NOT EXISTS (SELECT FROM hail.service_classes c WHERE c.code = class) THEN
            PERFORM hail.fail('unknown_class', 'service class does not exist', 'service_classes');
        END IF;
    END LOOP;
    RETURN QUERY
    SELECT p.*, hail.pickup_eta(pickup_lat, pickup_lng, c.id, 10000, place.distance_factor, place.speed_kmh)
    FROM hail.price_classes(place, pickup_lat, pickup_lng, metres, service_classes) p
         JOIN hail.service_classes c ON c.code = p.service_class
    ORDER BY c.id;
END
$$;
COMMENT ON FUNCTION hail.estimate_fares(float8, float8, float8, float8, text[]) IS
'hail.estimate_fare() for several classes at once (NULL: every class that has a fare), in the region at the pickup; with pickup_eta_s, the seconds until the nearest available driver within 10 km could be there (NULL: none).';

CREATE FUNCTION hail.store_quote(customer_id uuid, region_id smallint, price hail.fare, pickup_lat float8, pickup_lng float8,
                                 dropoff_lat float8, dropoff_lng float8, stops float8[] DEFAULT NULL) RETURNS hail.quotes
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := hail.clock();
    quote hail.quotes;
BEGIN
    INSERT INTO hail.quotes AS q
        (customer_id, region_id, service_class, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s,
         base_amount, distance_amount, time_amount, surge, time_multiplier, event_multiplier, multiplier_amount,
         minimum_amount, booking_fee, rounding_amount, total, cancellation_fee, commission_bp, currency, created_at,
         expires_at, stops)
    VALUES
        (store_quote.customer_id, store_quote.region_id, price.service_class, store_quote.pickup_lat, store_quote.pickup_lng,
         store_quote.dropoff_lat, store_quote.dropoff_lng, price.distance_m, price.duration_s, price.base_amount,
         price.distance_amount, price.time_amount, price.surge, price.time_multiplier, price.event_multiplier,
         price.multiplier_amount, price.minimum_amount, price.booking_fee, price.rounding_amount, price.total,
         price.cancellation_fee, price.commission_bp, price.currency, at,
         at + current_setting('hail.quote_ttl')::interval, store_quote.stops)
    RETURNING q.* INTO quote;
    RETURN quote;
END
$$;
COMMENT ON FUNCTION hail.store_quote(uuid, smallint, hail.fare, float8, float8, float8, float8, float8[]) IS
'Promise a price to a customer for hail.quote_ttl. Internal.';

CREATE FUNCTION hail.create_quote(customer_id uuid, pickup_lat float8, pickup_lng float8, dropoff_lat float8,
                                  dropoff_lng float8, service_class text) RETURNS hail.quotes
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    metres float8;
    place hail.regions;
    price hail.fare;
BEGIN
    PERFORM hail.require_self('customer', create_quote.customer_id);
    metres := hail.trip_metres(create_quote.pickup_lat, create_quote.pickup_lng, create_quote.dropoff_lat,
                               create_quote.dropoff_lng);
    PERFORM hail.refuse_restricted(create_quote.pickup_lat, create_quote.pickup_lng, create_quote.dropoff_lat,
                                   create_quote.dropoff_lng);
    place := hail.pickup_region(create_quote.pickup_lat, create_quote.pickup_lng);
    price := hail.price_class(place, create_quote.pickup_lat, create_quote.pickup_lng, metres,
                              create_quote.service_class);
    IF NOT EXISTS (SELECT FROM hail.users u
                   WHERE u.id = create_quote.customer_id AND u.role = 'customer' AND u.active) THEN
        PERFORM hail.fail('not_found', 'customer does not exist', 'customer_id');
    END IF;
    RETURN hail.store_quote(create_quote.customer_id, place.id, price, create_quote.pickup_lat, create_quote.pickup_lng,
                            create_quote.dropoff_lat, create_quote.dropoff_lng);
END
$$;
COMMENT ON FUNCTION hail.create_quote(uuid, float8, float8, float8, float8, text) IS
'A price promised to a customer for hail.quote_ttl, in the region at the pickup. The customer itself or an administrator.';

CREATE FUNCTION hail.check_place(lat float8, lng float8) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF lat IS NULL OR NOT lat BETWEEN -90 AND 90 THEN
        PERFORM hail.fail('invalid_value', 'lat must be between -90 and 90', 'lat');
    END IF;
    IF lng IS NULL OR NOT lng BETWEEN -180 AND 180 THEN
        PERFORM hail.fail('invalid_value', 'lng must be between -180 and 180', 'lng');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_place(float8, float8) IS 'Error that names lat or lng when they are no place on earth. Internal.';

CREATE FUNCTION hail.surge_at(lat float8, lng float8) RETURNS numeric
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    region hail.regions;
BEGIN
    PERFORM hail.require_anybody();
    PERFORM hail.check_place(lat, lng);
    region := hail.region_at(lat, lng);
    RETURN CASE WHEN region.id IS NULL THEN 1.00 ELSE hail.surge_multiplier(region, lat, lng) END;
END
$$;
COMMENT ON FUNCTION hail.surge_at(float8, float8) IS 'Surge multiplier at a point as of the last tick; 1 where there is none.';

CREATE FUNCTION hail.surge_map(lat float8, lng float8, radius_m float8 DEFAULT 5000)
RETURNS TABLE (cell bigint, hexagon public.geometry, multiplier numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_anybody();
    PERFORM hail.check_place(lat, lng);
    IF radius_m IS NULL OR NOT radius_m BETWEEN 100 AND 50000 THEN
        PERFORM hail.fail('invalid_value', 'radius_m must be between 100 and 50000', 'radius_m');
    END IF;
    RETURN QUERY
    SELECT s.cell, h.hexagon, s.multiplier
    FROM hail.surge_cells s
         JOIN hail.regions r ON r.id = s.region_id,
         LATERAL (SELECT hail.hexagon(s.cell, r.hexagon_size_m) AS hexagon) AS h
    WHERE s.multiplier > 1
      AND public.ST_DWithin(h.hexagon::public.geography,
                            public.ST_SetSRID(public.ST_MakePoint(lng, lat), 4326)::public.geography, radius_m, false)
    ORDER BY s.multiplier DESC, s.region_id, s.cell;
END
$$;
COMMENT ON FUNCTION hail.surge_map(float8, float8, float8) IS
'Hexagons with a surge above 1 within radius_m metres of a point, highest first.';

GRANT EXECUTE ON FUNCTION hail.estimate_fare(text, float8, float8, float8, float8, text),
        hail.estimate_fares(float8, float8, float8, float8, text[]), hail.surge_at(float8, float8),
        hail.surge_map(float8, float8, float8)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
GRANT EXECUTE ON FUNCTION hail.create_quote(uuid, float8, float8, float8, float8, text) TO hail_customer, hail_admin;

CREATE FUNCTION hail.surge_tick() RETURNS integer
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_surge_tick';
COMMENT ON FUNCTION hail.surge_tick() IS
'Keeper step: weigh the trips requested within hail.surge_window against the available drivers of each hexagon and move its surge one step; returns the cells written or removed. Administrators.';
GRANT EXECUTE ON FUNCTION hail.surge_tick() TO hail_admin;
