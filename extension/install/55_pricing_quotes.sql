-- 55_pricing_quotes: what a trip costs, and quotes

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
    set_id            uuid,
    replaces          uuid,
    fare_id           uuid,
    per_km            bigint,
    per_minute        bigint,
    minimum_fare      bigint,
    rounding          bigint,
    waiting_free_s    integer,
    waiting_per_minute bigint,
    waiting_max       bigint,
    duration_low_s    integer,
    duration_high_s   integer,
    eta_source        text,
    variant_id        integer,
    variant_multiplier numeric NOT NULL DEFAULT 1,
    -- what was added adds up: to the last minor unit
    CHECK (total = base_amount + distance_amount + time_amount + multiplier_amount + minimum_amount + booking_fee + rounding_amount)
);
CREATE INDEX quotes_customer ON hail.quotes (customer_id, created_at);
COMMENT ON TABLE hail.quotes IS 'Prices promised to a customer until expires_at, with everything that made them. A trip uses a quote once.';
COMMENT ON COLUMN hail.quotes.multiplier_amount IS 'What surge, time of day and events add to base, distance and time.';
COMMENT ON COLUMN hail.quotes.stops IS
'Quotes of jobs: latitude and longitude of every stop in its order, the first the pickup and the last the dropoff; distance and time are those of all legs.';
COMMENT ON COLUMN hail.quotes.minimum_amount IS 'What the minimum fare adds.';

-- A quote names a person and two places: analysts don't get it. Customers read the columns that hail.quote_for_caller()
-- leaves them.
GRANT SELECT ON hail.quotes TO hail_admin;
GRANT SELECT (id, customer_id, region_id, service_class, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s,
              base_amount, distance_amount, time_amount, surge, time_multiplier, event_multiplier, multiplier_amount,
              minimum_amount, booking_fee, rounding_amount, total, cancellation_fee, currency, created_at, expires_at, stops,
              set_id, replaces, waiting_free_s, waiting_per_minute, waiting_max, duration_low_s, duration_high_s, eta_source)
    ON hail.quotes TO hail_customer;
CREATE POLICY quotes_customer ON hail.quotes FOR SELECT TO hail_customer
    USING (customer_id = hail.current_subject());
CREATE POLICY quotes_admin ON hail.quotes FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.quote_for_caller(quote hail.quotes) RETURNS hail.quotes
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'hail_quote_for_caller';
COMMENT ON FUNCTION hail.quote_for_caller(hail.quotes) IS
'A quote with NULL in the columns that the calling role does not see; administrators see all. Internal.';

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

CREATE FUNCTION hail.fare_for_caller(fare hail.fare) RETURNS hail.fare
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'hail_fare_for_caller';
COMMENT ON FUNCTION hail.fare_for_caller(hail.fare) IS
'A fare without the commission, which only administrators see. Internal.';

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
                                  time_multiplier integer, event_multiplier integer, variant_multiplier integer,
                                  OUT distance_amount bigint, OUT time_amount bigint, OUT multiplier_amount bigint,
                                  OUT minimum_amount bigint, OUT rounding_amount bigint, OUT total bigint)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_fare_amounts';
COMMENT ON FUNCTION hail.fare_amounts(bigint, bigint, bigint, bigint, bigint, bigint, integer, integer, integer, integer, integer, integer) IS
'The fare formula (src/pricing/fare.h), multipliers in hundredths. Internal.';

CREATE FUNCTION hail.time_multiplier(region_id smallint, timezone text, at timestamptz) RETURNS numeric
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'hail_time_multiplier';
COMMENT ON FUNCTION hail.time_multiplier(smallint, text, timestamptz) IS
'The highest time-of-day multiplier of a region that applies at a time; 1 when none does. Internal.';

CREATE FUNCTION hail.event_multiplier(region_id smallint, lat float8, lng float8, at timestamptz) RETURNS numeric
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'hail_event_multiplier';
COMMENT ON FUNCTION hail.event_multiplier(smallint, float8, float8, timestamptz) IS
'The highest multiplier of the event areas around a point that are active at a time; 1 when there is none. Internal.';

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
                                   (by_time * 100)::integer, (by_event * 100)::integer, 100) a
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
    RETURN hail.fare_for_caller(hail.price_class(place, pickup_lat, pickup_lng, metres, service_class));
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
    FROM hail.price_classes(place, pickup_lat, pickup_lng, metres, service_classes) f
         CROSS JOIN LATERAL hail.fare_for_caller(f) p
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
    RETURN hail.quote_for_caller(hail.store_quote(create_quote.customer_id, place.id, price, create_quote.pickup_lat,
        create_quote.pickup_lng, create_quote.dropoff_lat, create_quote.dropoff_lng));
END
$$;
COMMENT ON FUNCTION hail.create_quote(uuid, float8, float8, float8, float8, text) IS
'A price promised to a customer for hail.quote_ttl, in the region at the pickup. The customer itself or an administrator.';

GRANT EXECUTE ON FUNCTION hail.estimate_fare(text, float8, float8, float8, float8, text),
        hail.estimate_fares(float8, float8, float8, float8, text[])
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
GRANT EXECUTE ON FUNCTION hail.create_quote(uuid, float8, float8, float8, float8, text) TO hail_customer, hail_admin;
