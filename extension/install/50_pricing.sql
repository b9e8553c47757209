-- 50_pricing: currencies, price lists, time-of-day rules, event areas

CREATE TABLE hail.currencies (
    code             text PRIMARY KEY CHECK (code ~ '^[A-Z]{3}$'),
    minor_digits     smallint NOT NULL CHECK (minor_digits BETWEEN 0 AND 4),
    default_rounding bigint NOT NULL CHECK (default_rounding >= 1)
);
COMMENT ON TABLE hail.currencies IS 'Currencies (ISO 4217): how many decimals their minor unit has, and what totals are rounded to where a price list does not say.';
COMMENT ON COLUMN hail.currencies.minor_digits IS 'Every amount of pg_hail is in minor units: 2 means hundredths (5500 EUR is 55.00), 0 whole units (JPY), 3 thousandths (KWD).';
COMMENT ON COLUMN hail.currencies.default_rounding IS 'Minor units: half a unit of currencies with decimals (0.50), a small coin of those without or with little value.';
INSERT INTO hail.currencies (code, minor_digits, default_rounding)
SELECT code, digits, rounding FROM (VALUES
    (2, 50, 'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK
             DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF ILS INR IRR JMD KES KGS KHR KPW KYD
             KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK
             PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD
             TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW'),
    (2, 50000, 'IDR'), (0, 10, 'JPY'), (0, 100, 'KRW ISK CLP DJF VUV XAF XOF XPF KMF'), (0, 500, 'PYG UGX RWF BIF GNF'), (0, 1000, 'VND'),
    (3, 50, 'BHD JOD KWD OMR'), (3, 100, 'LYD TND'), (3, 250000, 'IQD')) c (digits, rounding, codes),
    LATERAL regexp_split_to_table(c.codes, '\s+') AS code;

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
    effective         tstzrange NOT NULL DEFAULT tstzrange('-infinity', 'infinity')
                      CHECK (isempty(effective) OR lower_inc(effective) AND NOT upper_inc(effective)
                             AND NOT lower_inf(effective) AND NOT upper_inf(effective)),
    stop_fee          bigint NOT NULL DEFAULT 0 CHECK (stop_fee >= 0),
    waiting_free_s    integer NOT NULL DEFAULT 180 CHECK (waiting_free_s BETWEEN 0 AND 86400),
    waiting_per_minute bigint NOT NULL DEFAULT 0 CHECK (waiting_per_minute >= 0),
    waiting_max       bigint NOT NULL DEFAULT 0 CHECK (waiting_max >= 0),
    created_at        timestamptz NOT NULL DEFAULT hail.clock(),
    created_by        uuid DEFAULT hail.current_subject(),
    ended_at          timestamptz,
    ended_by          uuid,
    withdrawn_from    timestamptz CHECK (withdrawn_from IS NULL OR isempty(effective)),
    EXCLUDE USING gist (region_id WITH =, service_class WITH =, effective WITH &&)
);
COMMENT ON TABLE hail.fares IS
'Price lists: versions per region and class, in minor units of the region''s currency. No two overlap in time; what has been in force is never changed and none is ever removed.';
COMMENT ON COLUMN hail.fares.effective IS 'From when until before when it is in force; empty: withdrawn before it was (withdrawn_from: when it would have been).';
COMMENT ON COLUMN hail.fares.commission_bp IS 'Commission in basis points (1500 = 15 %).';
COMMENT ON COLUMN hail.fares.stop_fee IS 'What each stop of a job beyond the first two costs, beside the way to it; quotes have it in booking_fee.';
COMMENT ON COLUMN hail.fares.waiting_free_s IS 'Seconds the driver waits at the pickup for nothing.';
COMMENT ON COLUMN hail.fares.waiting_per_minute IS 'Each minute of waiting beyond that, begun minutes in full; 0: waiting is free.';
COMMENT ON COLUMN hail.fares.waiting_max IS 'Waiting never costs more.';
COMMENT ON COLUMN hail.fares.rounding IS 'Totals are rounded half up to a multiple of this many minor units.';
COMMENT ON COLUMN hail.fares.created_by IS 'The administrator who made it; NULL: the database''s own.';
COMMENT ON COLUMN hail.fares.ended_at IS 'When somebody (ended_by) set its end, or withdrew it; NULL: it ends where the next version begins, if one does.';

CREATE TABLE hail.fare_time_rules (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    weekdays   smallint[] NOT NULL DEFAULT '{1,2,3,4,5,6,7}'
               CHECK (cardinality(weekdays) BETWEEN 1 AND 7 AND weekdays <@ '{1,2,3,4,5,6,7}'),
    from_time  time NOT NULL CHECK (from_time < '24:00'),
    to_time    time NOT NULL CHECK (to_time <> from_time),
    multiplier numeric(4,2) NOT NULL CHECK (multiplier BETWEEN 0.5 AND 5),
    created_at timestamptz NOT NULL DEFAULT hail.clock(),
    created_by uuid DEFAULT hail.current_subject()
);
COMMENT ON TABLE hail.fare_time_rules IS
'Time-of-day multipliers by the clocks of the region''s time zone: on ISO weekdays (1: Monday) from a time until before another; over midnight where to_time is the earlier one, on the weekday on which it begins. Of rules that overlap the highest counts.';

CREATE TABLE hail.event_areas (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    area       public.geometry(Geometry, 4326) NOT NULL,
    active     tstzrange NOT NULL,
    multiplier numeric(4,2) NOT NULL CHECK (multiplier BETWEEN 0.5 AND 5),
    created_at timestamptz NOT NULL DEFAULT hail.clock(),
    created_by uuid DEFAULT hail.current_subject(),
    ended_at   timestamptz,
    ended_by   uuid
);
COMMENT ON TABLE hail.event_areas IS
'Areas and times of special events, with the multiplier of prices of pickups inside, edge included. Of areas that overlap the highest counts.';
COMMENT ON COLUMN hail.event_areas.active IS 'From when until before when; empty: withdrawn before it began.';

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
GRANT SELECT ON hail.currencies TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
CREATE POLICY currencies_everybody ON hail.currencies FOR SELECT USING (hail.current_role_name() IS NOT NULL);

CREATE FUNCTION hail.fares_stay() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept hail.fares;
    -- Whoever ends a list has looked at the clock a little earlier.
    past tstzrange := tstzrange(NULL, hail.clock() - CASE WHEN isempty(NEW.effective) THEN interval '0' ELSE '1 minute' END);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        kept := NEW;
        -- Its end may be set, as far as that lies ahead; one that has not begun may be withdrawn.
        IF (lower(NEW.effective) = lower(OLD.effective) OR isempty(NEW.effective) AND NOT isempty(OLD.effective))
           AND OLD.effective * past = NEW.effective * past THEN
            kept.effective := OLD.effective;
            kept.ended_at := OLD.ended_at;
            kept.ended_by := OLD.ended_by;
            kept.withdrawn_from := OLD.withdrawn_from;
        END IF;
        IF kept IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    -- Whether it has priced anything or not: a quote may hold a copy of it that no row shows yet.
    PERFORM hail.fail('wrong_state', 'a price list never changes', NULL,
                      'hail.set_fare() makes a new version, hail.end_fare() ends one, hail.cancel_fare() withdraws one that is planned.');
END
$$;
COMMENT ON FUNCTION hail.fares_stay() IS
'Trigger: what prices may have been made with stays as it was; only an end that lies ahead, or less than a minute back, may be set. Internal.';
CREATE TRIGGER fares_stay BEFORE UPDATE OR DELETE ON hail.fares FOR EACH ROW EXECUTE FUNCTION hail.fares_stay();
ALTER TABLE hail.fares ENABLE ALWAYS TRIGGER fares_stay;

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
'A region by its code, its row locked: changes of one region''s prices come one after the other. Internal.';

CREATE FUNCTION hail.require_class(service_class text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM hail.service_classes c WHERE c.code = require_class.service_class) THEN
        PERFORM hail.fail('unknown_class', 'service class does not exist', 'service_class');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.require_class(text) IS 'Error unknown_class unless there is such a class. Internal.';

CREATE FUNCTION hail.check_fare(fare hail.fares) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part record;
BEGIN
    FOR part IN SELECT * FROM (VALUES
            (1, 'base', fare.base, 0, 1000000000, 'minor'), (2, 'per_km', fare.per_km, 0, 1000000000, 'minor'),
            (3, 'per_minute', fare.per_minute, 0, 1000000000, 'minor'), (4, 'minimum', fare.minimum, 0, 1000000000, 'minor'),
            (5, 'booking_fee', fare.booking_fee, 0, 1000000000, 'minor'),
            (6, 'cancellation_fee', fare.cancellation_fee, 0, 1000000000, 'minor'),
            (7, 'stop_fee', fare.stop_fee, 0, 1000000000, 'minor'),
            (8, 'commission_bp', fare.commission_bp, 0, 10000, 'Basis points: 1500 is 15 %.'),
            (9, 'rounding', fare.rounding, 1, 1000000, 'Totals are a multiple of so many minor units.'),
            (10, 'waiting_free_s', fare.waiting_free_s, 0, 86400, 'Seconds.'),
            (11, 'waiting_per_minute', fare.waiting_per_minute, 0, 1000000000, 'minor'),
            (12, 'waiting_max', fare.waiting_max, 0, 1000000000, 'minor'))
            AS parts (n, name, value, lowest, highest, hint) ORDER BY n LOOP
        IF (part.value BETWEEN part.lowest AND part.highest) IS NOT TRUE THEN
            PERFORM hail.fail('invalid_value', format('%s must be between %s and %s', part.name, part.lowest, part.highest), part.name,
                              CASE part.hint WHEN 'minor' THEN 'Amounts are minor units of the region''s currency.' ELSE part.hint END);
        END IF;
    END LOOP;
    IF fare.waiting_max % fare.rounding <> 0 THEN
        PERFORM hail.fail('invalid_value', format('waiting_max must be a multiple of the rounding, %s', fare.rounding), 'waiting_max',
                          'So that what is paid in the end is one too.');
    ELSIF fare.waiting_per_minute > 0 AND fare.waiting_max = 0 THEN
        PERFORM hail.fail('invalid_value', 'waiting_max must be above 0 where waiting has a price', 'waiting_max',
                          'It is the most that waiting may cost, and held on wallets with the price.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_fare(hail.fares) IS
'Error invalid_value that names the first part of a price list that is missing or out of range. Internal.';

CREATE FUNCTION hail.close_fares(region_id smallint, service_class text, moment timestamptz, start timestamptz) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- One that begins at the very same time has never been in force before; it is kept, but counts no more.
    UPDATE hail.fares f SET effective = 'empty', withdrawn_from = lower(f.effective), ended_at = moment, ended_by = hail.current_subject()
    WHERE f.region_id = close_fares.region_id AND f.service_class = close_fares.service_class AND lower(f.effective) = start;
    UPDATE hail.fares f SET effective = tstzrange(lower(f.effective), start), ended_at = NULL, ended_by = NULL
    WHERE f.region_id = close_fares.region_id AND f.service_class = close_fares.service_class AND f.effective @> start;
END;
COMMENT ON FUNCTION hail.close_fares(smallint, text, timestamptz, timestamptz) IS
'Let no version of a class''s price list be in force at a time, and that which was end there. Internal.';

CREATE FUNCTION hail.set_fare(region text, service_class text, base bigint, per_km bigint, per_minute bigint,
                              minimum bigint, commission_bp integer, booking_fee bigint DEFAULT 0,
                              cancellation_fee bigint DEFAULT 0, rounding bigint DEFAULT NULL,
                              effective_from timestamptz DEFAULT NULL, stop_fee bigint DEFAULT 0,
                              waiting_free_s integer DEFAULT 180, waiting_per_minute bigint DEFAULT 0,
                              waiting_max bigint DEFAULT 0) RETURNS hail.fares
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place hail.regions;
    moment timestamptz;
    start timestamptz;
    replaced hail.fares;
    fare hail.fares;
BEGIN
    PERFORM hail.require_admin();
    place := hail.locked_region(region);
    PERFORM hail.require_class(service_class);
    moment := hail.clock(); -- not before the lock: another version may have begun meanwhile
    start := coalesce(effective_from, moment);
    IF NOT isfinite(start) OR start < moment THEN
        PERFORM hail.fail('invalid_value', 'a price list begins now or later, at a definite time', 'effective_from',
                          'Prices have been made with the one in force before.');
    END IF;
    rounding := coalesce(rounding, (SELECT c.default_rounding FROM hail.currencies c WHERE c.code = place.currency));
    IF rounding IS NULL THEN
        PERFORM hail.fail('invalid_value', format('rounding must be given: %s is no currency of hail.currencies', place.currency), 'rounding');
    END IF;
    fare.id := hail.uuid7();
    fare.region_id := place.id;
    fare.service_class := service_class;
    fare.base := base;
    fare.per_km := per_km;
    fare.per_minute := per_minute;
    fare.minimum := minimum;
    fare.booking_fee := booking_fee;
    fare.cancellation_fee := cancellation_fee;
    fare.commission_bp := commission_bp;
    fare.rounding := rounding;
    fare.stop_fee := stop_fee;
    fare.waiting_free_s := waiting_free_s;
    fare.waiting_per_minute := waiting_per_minute;
    fare.waiting_max := waiting_max;
    fare.created_at := moment;
    fare.created_by := hail.current_subject();
    PERFORM hail.check_fare(fare);
    -- The first price list of a class, unless it is planned, has always been in force; a later one ends the one before it.
    IF effective_from IS NULL AND NOT EXISTS (SELECT FROM hail.fares f WHERE f.region_id = place.id AND f.service_class = fare.service_class) THEN
        start := '-infinity';
    END IF;
    SELECT * INTO replaced FROM hail.fares f
    WHERE f.region_id = place.id AND f.service_class = fare.service_class AND f.effective @> start;
    PERFORM hail.close_fares(place.id, service_class, moment, start);
    -- An end that somebody has set for the class stays its end.
    IF replaced.ended_at IS NOT NULL THEN
        fare.ended_at := replaced.ended_at;
        fare.ended_by := replaced.ended_by;
        fare.effective := tstzrange(start, upper(replaced.effective));
    ELSE
        fare.effective := tstzrange(start, (SELECT coalesce(min(lower(f.effective)), 'infinity') FROM hail.fares f
            WHERE f.region_id = place.id AND f.service_class = fare.service_class AND lower(f.effective) > start));
    END IF;
    INSERT INTO hail.fares SELECT (fare).*;
    RETURN fare;
END
$$;
COMMENT ON FUNCTION hail.set_fare(text, text, bigint, bigint, bigint, bigint, integer, bigint, bigint, bigint, timestamptz, bigint, integer, bigint, bigint) IS
'New price list of a class in a region, from effective_from (NULL: now; the first of a class: ever since) until the next one that is already planned, or the end that hail.end_fare() has set for the class; the one in force then ends there. Amounts in minor units of the region''s currency, commission in basis points; rounding of totals (NULL: the currency''s, hail.currencies); stop_fee for each stop of a job beyond two; waiting_per_minute for each begun minute at the pickup beyond waiting_free_s seconds, at most waiting_max. Quotes keep the price they were made with. Administrators. Errors: invalid_value (names the argument), not_found (region), unknown_class.';

CREATE FUNCTION hail.end_fare(region text, service_class text, at timestamptz DEFAULT NULL) RETURNS hail.fares
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place hail.regions;
    moment timestamptz;
    fare hail.fares;
BEGIN
    PERFORM hail.require_admin();
    place := hail.locked_region(region);
    PERFORM hail.require_class(service_class);
    moment := hail.clock();
    at := coalesce(at, moment);
    IF NOT isfinite(at) OR at < moment THEN
        PERFORM hail.fail('invalid_value', 'a price list ends now or later, at a definite time', 'at', 'Prices have been made with it before.');
    END IF;
    SELECT * INTO fare FROM hail.fares f
    WHERE f.region_id = place.id AND f.service_class = end_fare.service_class AND f.effective @> at;
    IF fare.id IS NULL THEN
        PERFORM hail.fail('not_found', 'no price list of this class is in force then', 'at', 'hail.list_fares() shows all versions.');
    ELSIF lower(fare.effective) = at THEN
        PERFORM hail.fail('wrong_state', 'a price list begins at this very time', 'at', 'Withdraw it with hail.cancel_fare(), or end it later.');
    END IF;
    UPDATE hail.fares f SET effective = tstzrange(lower(f.effective), at), ended_at = moment, ended_by = hail.current_subject()
    WHERE f.id = fare.id RETURNING f.* INTO fare;
    RETURN fare;
END
$$;
COMMENT ON FUNCTION hail.end_fare(text, text, timestamptz) IS
'Withdraw a class from a region at a time (NULL: now): the price list in force then ends, and nobody is quoted the class until the next planned version begins, if there is one. Quotes made before keep their price. Administrators. Errors: invalid_value, not_found (region, no list in force), unknown_class, wrong_state.';

CREATE FUNCTION hail.cancel_fare(fare_id uuid) RETURNS hail.fares
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    planned hail.fares;
    moment timestamptz;
BEGIN
    PERFORM hail.require_admin();
    PERFORM FROM hail.regions r WHERE r.id = (SELECT f.region_id FROM hail.fares f WHERE f.id = fare_id) FOR NO KEY UPDATE;
    moment := hail.clock();
    SELECT * INTO planned FROM hail.fares f WHERE f.id = fare_id;
    IF planned.id IS NULL THEN
        PERFORM hail.fail('not_found', 'price list does not exist', 'fare_id');
    ELSIF isempty(planned.effective) THEN
        RETURN planned;
    ELSIF lower(planned.effective) <= moment THEN
        PERFORM hail.fail('wrong_state', 'this price list has begun', 'fare_id', 'hail.set_fare() or hail.end_fare() ends it.');
    END IF;
    UPDATE hail.fares f SET effective = 'empty', withdrawn_from = lower(f.effective), ended_at = moment, ended_by = hail.current_subject()
    WHERE f.id = fare_id;
    -- What it would have ended goes on as if it had never been planned, unless an end was set for it.
    UPDATE hail.fares f SET effective = tstzrange(lower(f.effective), upper(planned.effective)), ended_at = planned.ended_at,
           ended_by = planned.ended_by
    WHERE f.region_id = planned.region_id AND f.service_class = planned.service_class
      AND upper(f.effective) = lower(planned.effective) AND f.ended_at IS NULL;
    SELECT * INTO planned FROM hail.fares f WHERE f.id = fare_id;
    RETURN planned;
END
$$;
COMMENT ON FUNCTION hail.cancel_fare(uuid) IS
'Withdraw a version of a price list that has not begun: it is kept for the record with an empty range, and the version before it goes on in its place. Again: the same version. Administrators. Errors: not_found, wrong_state (it has begun).';

CREATE TYPE hail.fare_version AS (
    id                 uuid,
    region             text,
    service            text,
    service_class      text,
    status             text,
    effective_from     timestamptz,
    effective_to       timestamptz,
    currency           text,
    minor_digits       smallint,
    base               bigint,
    per_km             bigint,
    per_minute         bigint,
    minimum            bigint,
    booking_fee        bigint,
    stop_fee           bigint,
    cancellation_fee   bigint,
    commission_bp      integer,
    rounding           bigint,
    waiting_free_s     integer,
    waiting_per_minute bigint,
    waiting_max        bigint,
    created_at         timestamptz,
    created_by         uuid,
    ended_at           timestamptz,
    ended_by           uuid
);
COMMENT ON TYPE hail.fare_version IS
'A version of a price list. status: in_force, planned, past or withdrawn (before it began); effective_from NULL: ever since, effective_to NULL: until further notice. ended_at, ended_by: who set its end, or withdrew it. minor_digits NULL: the currency is not in hail.currencies.';

CREATE FUNCTION hail.fare_versions(region text, service_class text) RETURNS SETOF hail.fare_version
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.id, r.code, c.service, f.service_class,
           CASE WHEN isempty(f.effective) THEN 'withdrawn' WHEN f.effective @> at THEN 'in_force'
                WHEN lower(f.effective) > at THEN 'planned' ELSE 'past' END,
           CASE WHEN isempty(f.effective) THEN f.withdrawn_from ELSE nullif(lower(f.effective), '-infinity') END,
           nullif(upper(f.effective), 'infinity'), r.currency, m.minor_digits, f.base, f.per_km, f.per_minute, f.minimum, f.booking_fee,
           f.stop_fee, f.cancellation_fee, f.commission_bp, f.rounding, f.waiting_free_s, f.waiting_per_minute, f.waiting_max,
           f.created_at, f.created_by, f.ended_at, f.ended_by
    FROM hail.clock() at, hail.fares f
         JOIN hail.regions r ON r.id = f.region_id
         JOIN hail.service_classes c ON c.code = f.service_class
         LEFT JOIN hail.currencies m ON m.code = r.currency
    WHERE (fare_versions.region IS NULL OR r.code = fare_versions.region)
      AND (fare_versions.service_class IS NULL OR f.service_class = fare_versions.service_class)
    ORDER BY r.code, c.id, coalesce(f.withdrawn_from, lower(f.effective)), f.id
$$;
COMMENT ON FUNCTION hail.fare_versions(text, text) IS 'Versions of price lists, of a region and class or of all. Internal.';

CREATE FUNCTION hail.require_prices_reader(region text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(hail.current_role_name(), '') <> 'analyst' THEN
        PERFORM hail.require_admin();
    END IF;
    IF region IS NOT NULL AND NOT EXISTS (SELECT FROM hail.regions r WHERE r.code = require_prices_reader.region) THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.require_prices_reader(text) IS
'Error unless the caller is an administrator or analyst, and the region, if one is named, exists. Internal.';

CREATE FUNCTION hail.list_fares(region text DEFAULT NULL, service_class text DEFAULT NULL, status text DEFAULT NULL)
RETURNS SETOF hail.fare_version
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_prices_reader(region);
    PERFORM hail.require_class(service_class) WHERE service_class IS NOT NULL;
    IF status NOT IN ('in_force', 'planned', 'past', 'withdrawn') THEN
        PERFORM hail.fail('invalid_value', 'status must be in_force, planned, past or withdrawn', 'status', 'NULL: all.');
    END IF;
    RETURN QUERY SELECT v.* FROM hail.fare_versions(region, service_class) v WHERE list_fares.status IS NULL OR v.status = list_fares.status;
END
$$;
COMMENT ON FUNCTION hail.list_fares(text, text, text) IS
'Every version of the price lists, by region, class and time: of one region (its code), class or status (in_force, planned, past, withdrawn), NULL: all. Administrators and analysts. Errors: not_found (region), unknown_class, invalid_value.';

CREATE FUNCTION hail.fares_in_force(region text DEFAULT NULL, at timestamptz DEFAULT NULL) RETURNS SETOF hail.fare_version
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_prices_reader(region);
    RETURN QUERY SELECT v.* FROM hail.fare_versions(region, NULL) v
                 WHERE v.status <> 'withdrawn' AND coalesce(v.effective_from <= coalesce(at, hail.clock()), true)
                   AND coalesce(v.effective_to > coalesce(at, hail.clock()), true);
END
$$;
COMMENT ON FUNCTION hail.fares_in_force(text, timestamptz) IS
'The price lists in force at a time (NULL: now), past ones and planned ones too: of one region (its code) or of all. Administrators and analysts. Error not_found (region).';

-- Time-of-day rules

CREATE FUNCTION hail.check_multiplier(multiplier numeric) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- NaN is above every number
    IF (multiplier BETWEEN 0.5 AND 5) IS NOT TRUE OR multiplier <> round(multiplier, 2) THEN
        PERFORM hail.fail('invalid_value', 'multiplier must be between 0.50 and 5.00, in hundredths', 'multiplier');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_multiplier(numeric) IS 'Error invalid_value unless prices may be multiplied by this. Internal.';

CREATE FUNCTION hail.check_name(name text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (length(name) BETWEEN 1 AND 200) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'name must have 1 to 200 characters', 'name');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_name(text) IS 'Error invalid_value unless this may be the name of something. Internal.';

CREATE FUNCTION hail.add_time_rule(region text, name text, from_time time, to_time time, multiplier numeric,
                                   weekdays integer[] DEFAULT '{1,2,3,4,5,6,7}') RETURNS hail.fare_time_rules
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place hail.regions;
    rule hail.fare_time_rules;
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.check_name(name);
    PERFORM hail.check_multiplier(multiplier);
    IF (from_time < '24:00') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'from_time must be a time of day before 24:00', 'from_time');
    ELSIF (to_time <> from_time) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'to_time must be another time of day than from_time', 'to_time',
                          'A whole day is from 00:00 to 24:00; an earlier to_time is that of the day after.');
    ELSIF (cardinality(weekdays) BETWEEN 1 AND 7 AND array_position(weekdays, NULL) IS NULL
           AND weekdays <@ '{1,2,3,4,5,6,7}'::integer[]) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'weekdays must be 1 to 7 numbers from 1 (Monday) to 7 (Sunday)', 'weekdays');
    END IF;
    place := hail.locked_region(region);
    INSERT INTO hail.fare_time_rules AS t (region_id, name, weekdays, from_time, to_time, multiplier)
    VALUES (place.id, add_time_rule.name, ARRAY(SELECT DISTINCT d::smallint FROM unnest(add_time_rule.weekdays) d ORDER BY 1),
            add_time_rule.from_time, add_time_rule.to_time, add_time_rule.multiplier)
    RETURNING t.* INTO rule;
    RETURN rule;
END
$$;
COMMENT ON FUNCTION hail.add_time_rule(text, text, time, time, numeric, integer[]) IS
'Multiply prices in a region from a time of day until before another, by the clocks of the region''s time zone, on weekdays (1: Monday). A to_time before from_time is that of the day after: such a rule belongs to the weekday on which it begins. Where rules overlap the highest multiplier counts, they do not multiply each other. When clocks are put forward, a rule inside the missing hour does not apply; when they are put back, one inside the doubled hour applies twice. Administrators. Errors: invalid_value (names the argument), not_found (region).';

CREATE FUNCTION hail.remove_time_rule(rule_id uuid) RETURNS hail.fare_time_rules
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule hail.fare_time_rules;
BEGIN
    PERFORM hail.require_admin();
    DELETE FROM hail.fare_time_rules t WHERE t.id = rule_id RETURNING t.* INTO rule;
    IF rule.id IS NULL THEN
        PERFORM hail.fail('not_found', 'time rule does not exist', 'rule_id');
    END IF;
    RETURN rule;
END
$$;
COMMENT ON FUNCTION hail.remove_time_rule(uuid) IS
'Remove a time-of-day rule, from now on; quotes keep the multiplier they were made with. Administrators. Error not_found.';

CREATE TYPE hail.time_rule AS (
    id         uuid,
    region     text,
    timezone   text,
    name       text,
    weekdays   smallint[],
    from_time  time,
    to_time    time,
    multiplier numeric,
    applies    boolean,
    created_at timestamptz,
    created_by uuid
);
COMMENT ON TYPE hail.time_rule IS 'A time-of-day rule; applies: now, by the clocks of its region.';

CREATE FUNCTION hail.list_time_rules(region text DEFAULT NULL) RETURNS SETOF hail.time_rule
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_prices_reader(region);
    RETURN QUERY
    SELECT t.id, r.code, r.timezone, t.name, t.weekdays, t.from_time, t.to_time, t.multiplier::numeric,
           hail.time_rule_applies(t, hail.clock() AT TIME ZONE r.timezone), t.created_at, t.created_by
    FROM hail.fare_time_rules t JOIN hail.regions r ON r.id = t.region_id
    WHERE list_time_rules.region IS NULL OR r.code = list_time_rules.region
    ORDER BY r.code, t.from_time, t.to_time, t.id;
END
$$;
COMMENT ON FUNCTION hail.list_time_rules(text) IS
'The time-of-day rules of a region (its code; NULL: of all), and whether each applies now. Administrators and analysts. Error not_found (region).';

CREATE FUNCTION hail.time_rule_applies(rule hail.fare_time_rules, local timestamp) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN (rule).from_time < (rule).to_time
    THEN extract(isodow FROM local)::smallint = ANY ((rule).weekdays) AND local::time >= (rule).from_time AND local::time < (rule).to_time
    -- over midnight: the weekday is the one on which it began
    ELSE extract(isodow FROM local)::smallint = ANY ((rule).weekdays) AND local::time >= (rule).from_time
         OR extract(isodow FROM local - interval '1 day')::smallint = ANY ((rule).weekdays) AND local::time < (rule).to_time END;
COMMENT ON FUNCTION hail.time_rule_applies(hail.fare_time_rules, timestamp) IS
'Whether a time-of-day rule applies when the clocks of its region show this. Internal.';

-- Event areas

CREATE FUNCTION hail.circle_area(lat float8, lng float8, radius_m float8) RETURNS public.geometry
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reach float8;
BEGIN
    IF (lat BETWEEN -85 AND 85) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'lat must be between -85 and 85', 'lat');
    ELSIF (lng BETWEEN -180 AND 180) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'lng must be between -180 and 180', 'lng');
    ELSIF (radius_m BETWEEN 10 AND 100000) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'radius_m must be between 10 and 100000', 'radius_m', 'Metres.');
    END IF;
    reach := radius_m / (111000 * cos(radians(least(abs(lat) + 1, 89))));
    IF lng - reach < -180 OR lng + reach > 180 THEN
        PERFORM hail.fail('invalid_value', 'a circle must not cross the antimeridian', 'lng', 'Draw a multipolygon that is cut there.');
    END IF;
    RETURN public.ST_Buffer(public.ST_SetSRID(public.ST_MakePoint(lng, lat), 4326)::public.geography, radius_m, 'quad_segs=16')::public.geometry;
END
$$;
COMMENT ON FUNCTION hail.circle_area(float8, float8, float8) IS
'A circle of so many metres around a place as a polygon of 64 sides, at most 0.2 % narrower. Internal.';

CREATE FUNCTION hail.create_event_area(region text, name text, multiplier numeric, from_time timestamptz, to_time timestamptz,
                                       boundary public.geometry DEFAULT NULL, lat float8 DEFAULT NULL, lng float8 DEFAULT NULL,
                                       radius_m float8 DEFAULT NULL) RETURNS hail.event_areas
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place hail.regions;
    event hail.event_areas;
    moment timestamptz := hail.clock();
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.check_name(name);
    PERFORM hail.check_multiplier(multiplier);
    from_time := coalesce(from_time, moment);
    IF NOT isfinite(from_time) THEN
        PERFORM hail.fail('invalid_value', 'from_time must be a definite time', 'from_time', 'NULL: now.');
    ELSIF (isfinite(to_time) AND to_time > from_time AND to_time > moment) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'to_time must be a definite time after from_time, and not over yet', 'to_time');
    ELSIF to_time > from_time + interval '366 days' THEN
        PERFORM hail.fail('invalid_value', 'an event lasts 366 days at most', 'to_time');
    ELSIF boundary IS NOT NULL AND num_nonnulls(lat, lng, radius_m) > 0 THEN
        PERFORM hail.fail('invalid_value', 'give a boundary, or lat, lng and radius_m of a circle, not both', 'boundary');
    ELSIF boundary IS NULL AND num_nonnulls(lat, lng, radius_m) = 0 THEN
        PERFORM hail.fail('invalid_value', 'an event area needs a boundary, or lat, lng and radius_m of a circle', 'boundary');
    END IF;
    boundary := CASE WHEN boundary IS NULL THEN hail.circle_area(lat, lng, radius_m) ELSE boundary END;
    PERFORM hail.check_boundary(boundary);
    IF public.ST_NPoints(boundary) > 10000 THEN
        PERFORM hail.fail('invalid_value', 'boundary has more than 10000 points', 'boundary');
    END IF;
    place := hail.locked_region(region);
    IF NOT public.ST_Intersects(boundary, place.boundary) THEN
        PERFORM hail.fail('invalid_value', 'the area lies outside the region', 'boundary', 'Prices are multiplied for pickups in the region only.');
    END IF;
    INSERT INTO hail.event_areas AS e (region_id, name, area, active, multiplier)
    VALUES (place.id, create_event_area.name, create_event_area.boundary, tstzrange(from_time, to_time), create_event_area.multiplier)
    RETURNING e.* INTO event;
    RETURN event;
END
$$;
COMMENT ON FUNCTION hail.create_event_area(text, text, numeric, timestamptz, timestamptz, public.geometry, float8, float8, float8) IS
'Multiply prices of pickups inside an area of a region from a time (NULL: now) until before another: boundary is a polygon or multipolygon in WGS84 (SRID 4326), or lat, lng and radius_m make a circle. Where areas overlap the highest multiplier counts. Administrators. Errors: invalid_value (names the argument), not_found (region).';

CREATE FUNCTION hail.end_event_area(event_area_id uuid, at timestamptz DEFAULT NULL) RETURNS hail.event_areas
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event hail.event_areas;
    moment timestamptz;
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO event FROM hail.event_areas e WHERE e.id = event_area_id FOR NO KEY UPDATE;
    moment := hail.clock();
    at := coalesce(at, moment);
    IF event.id IS NULL THEN
        PERFORM hail.fail('not_found', 'event area does not exist', 'event_area_id');
    ELSIF NOT isfinite(at) OR at < moment THEN
        PERFORM hail.fail('invalid_value', 'an event ends now or later, at a definite time', 'at');
    ELSIF isempty(event.active) OR upper(event.active) <= at THEN
        RETURN event;
    END IF;
    UPDATE hail.event_areas e
    SET active = tstzrange(lower(e.active), greatest(at, lower(e.active))), ended_at = moment, ended_by = hail.current_subject()
    WHERE e.id = event.id RETURNING e.* INTO event;
    RETURN event;
END
$$;
COMMENT ON FUNCTION hail.end_event_area(uuid, timestamptz) IS
'End an event before its time (NULL: now); one that begins later is withdrawn, with an empty range. One that is over by then stays as it is. Administrators. Errors: not_found, invalid_value.';

CREATE TYPE hail.event_area AS (
    id          uuid,
    region      text,
    name        text,
    status      text,
    multiplier  numeric,
    active_from timestamptz,
    active_to   timestamptz,
    boundary    json,
    created_at  timestamptz,
    created_by  uuid,
    ended_at    timestamptz,
    ended_by    uuid
);
COMMENT ON TYPE hail.event_area IS
'An event area. status: active, planned, past or withdrawn (before it began; without times then); boundary: GeoJSON; ended_at, ended_by: who ended it before its time.';

CREATE FUNCTION hail.list_event_areas(region text DEFAULT NULL, status text DEFAULT NULL) RETURNS SETOF hail.event_area
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_prices_reader(region);
    IF status NOT IN ('active', 'planned', 'past', 'withdrawn') THEN
        PERFORM hail.fail('invalid_value', 'status must be active, planned, past or withdrawn', 'status', 'NULL: all.');
    END IF;
    RETURN QUERY
    SELECT e.id, r.code, e.name, s.word, e.multiplier::numeric, lower(e.active), upper(e.active), public.ST_AsGeoJSON(e.area)::json,
           e.created_at, e.created_by, e.ended_at, e.ended_by
    FROM hail.event_areas e
         JOIN hail.regions r ON r.id = e.region_id,
         LATERAL (SELECT CASE WHEN isempty(e.active) THEN 'withdrawn' WHEN e.active @> hail.clock() THEN 'active'
                              WHEN lower(e.active) > hail.clock() THEN 'planned' ELSE 'past' END) s (word)
    WHERE (list_event_areas.region IS NULL OR r.code = list_event_areas.region)
      AND (list_event_areas.status IS NULL OR s.word = list_event_areas.status)
    ORDER BY r.code, lower(e.active), e.id;
END
$$;
COMMENT ON FUNCTION hail.list_event_areas(text, text) IS
'The event areas of a region (its code; NULL: of all), of one status (active, planned, past, withdrawn; NULL: of all), with the boundary as GeoJSON. Administrators and analysts. Errors: not_found (region), invalid_value.';

-- The sample

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
        hail.set_fare(text, text, bigint, bigint, bigint, bigint, integer, bigint, bigint, bigint, timestamptz, bigint, integer, bigint, bigint),
        hail.end_fare(text, text, timestamptz), hail.cancel_fare(uuid),
        hail.add_time_rule(text, text, time, time, numeric, integer[]), hail.remove_time_rule(uuid),
        hail.create_event_area(text, text, numeric, timestamptz, timestamptz, public.geometry, float8, float8, float8),
        hail.end_event_area(uuid, timestamptz)
    TO hail_admin;
GRANT EXECUTE ON FUNCTION hail.list_fares(text, text, text), hail.fares_in_force(text, timestamptz), hail.list_time_rules(text),
        hail.list_event_areas(text, text)
    TO hail_admin, hail_analyst;

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
