-- 50_pricing: price lists, time-of-day rules, event areas

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
    waiting_free_s    integer NOT NULL DEFAULT 180 CHECK (waiting_free_s BETWEEN 0 AND 86400),
    waiting_per_minute bigint NOT NULL DEFAULT 0 CHECK (waiting_per_minute >= 0),
    waiting_max       bigint NOT NULL DEFAULT 0 CHECK (waiting_max >= 0),
    EXCLUDE USING gist (region_id WITH =, service_class WITH =, effective WITH &&)
);
COMMENT ON TABLE hail.fares IS
'Price list per region and class, in minor units of the region''s currency; no two versions overlap in time.';
COMMENT ON COLUMN hail.fares.commission_bp IS 'Commission in basis points (1500 = 15 %).';
COMMENT ON COLUMN hail.fares.stop_fee IS 'What each stop of a job beyond the first two costs, beside the way to it; quotes have it in booking_fee.';
COMMENT ON COLUMN hail.fares.waiting_free_s IS 'Seconds the driver waits at the pickup for nothing.';
COMMENT ON COLUMN hail.fares.waiting_per_minute IS 'Each minute of waiting beyond that, begun minutes in full; 0: waiting is free.';
COMMENT ON COLUMN hail.fares.waiting_max IS 'Waiting never costs more.';
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

-- Prices are made from copies of these tables in each backend (src/pricing/book.h).
CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.fares
    FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed();
CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.fare_time_rules
    FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed();
CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.event_areas
    FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed();
ALTER TABLE hail.fares ENABLE ALWAYS TRIGGER kept_changed;
ALTER TABLE hail.fare_time_rules ENABLE ALWAYS TRIGGER kept_changed;
ALTER TABLE hail.event_areas ENABLE ALWAYS TRIGGER kept_changed;

-- Who may read the tables

GRANT SELECT ON hail.fares, hail.fare_time_rules, hail.event_areas TO hail_admin, hail_analyst;
CREATE POLICY fares_readers ON hail.fares FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY fare_time_rules_readers ON hail.fare_time_rules FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY event_areas_readers ON hail.event_areas FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

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

-- Waiting and changed destinations, in whole minor units (src/pricing/fare.h)

CREATE FUNCTION hail.waiting_amount(waited_s bigint, free_s integer, per_minute bigint, maximum bigint, rounding bigint)
RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_waiting_amount';
COMMENT ON FUNCTION hail.waiting_amount(bigint, integer, bigint, bigint, bigint) IS
'What so many seconds at the pickup cost: begun minutes beyond the free seconds, rounded, at most the maximum. Internal.';

CREATE FUNCTION hail.rescaled_price(quoted bigint, agreed bigint, before bigint, rounding bigint) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_rescaled_price';
COMMENT ON FUNCTION hail.rescaled_price(bigint, bigint, bigint, bigint) IS
'A price agreed on for a quoted one (a bid), carried over to a new quoted price: quoted * agreed / before, rounded. Internal.';
