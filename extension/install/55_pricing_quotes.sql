-- 55_pricing_quotes: what a trip costs, and quotes

CREATE TABLE hail.quotes (
    id                uuid PRIMARY KEY DEFAULT hail.uuid7(),
    customer_id       uuid NOT NULL REFERENCES hail.users (id),
    region_id         smallint NOT NULL,
    service_class     text NOT NULL,
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
    set_id            uuid NOT NULL,
    replaces          uuid REFERENCES hail.quotes (id),
    fare_id           uuid NOT NULL,
    per_km            bigint NOT NULL,
    per_minute        bigint NOT NULL,
    minimum_fare      bigint NOT NULL,
    rounding          bigint NOT NULL,
    waiting_free_s    integer NOT NULL,
    waiting_per_minute bigint NOT NULL,
    waiting_max       bigint NOT NULL,
    duration_low_s    integer NOT NULL,
    duration_high_s   integer NOT NULL,
    price_low         bigint NOT NULL,
    price_high        bigint NOT NULL,
    eta_source        text NOT NULL,
    variant_id        integer,
    variant_multiplier numeric NOT NULL,
    -- what was added adds up: to the last minor unit
    CHECK (total = base_amount + distance_amount + time_amount + multiplier_amount + minimum_amount + booking_fee + rounding_amount)
);
-- References to regions and classes would have every quote lock the same two rows: quoted_stays keeps these.
CREATE INDEX quotes_customer ON hail.quotes (customer_id, created_at);
CREATE INDEX quotes_created ON hail.quotes (created_at); -- demand of surge, and what is old enough to be deleted
CREATE INDEX quotes_replaces ON hail.quotes (replaces) WHERE replaces IS NOT NULL;
COMMENT ON TABLE hail.quotes IS 'Prices promised to a customer until expires_at, with everything that made them. A trip uses a quote once; others are deleted hail.quote_retention after they expired.';
COMMENT ON COLUMN hail.quotes.multiplier_amount IS 'What surge, time of day, events and the variant of an experiment add to base, distance and time.';
COMMENT ON COLUMN hail.quotes.stops IS
'Quotes of jobs: latitude and longitude of every stop in its order, the first the pickup and the last the dropoff; distance and time are those of all legs.';
COMMENT ON COLUMN hail.quotes.minimum_amount IS 'What the minimum fare adds.';
COMMENT ON COLUMN hail.quotes.set_id IS
'The first of the quotes that one call made; its own id when it made one. A quote of hail.requote() has the set of the one it replaces.';
COMMENT ON COLUMN hail.quotes.replaces IS 'The quote that hail.requote() made this one of.';
COMMENT ON COLUMN hail.quotes.fare_id IS 'The version of the price list; per_km, per_minute, minimum_fare and rounding are copied from it.';
COMMENT ON COLUMN hail.quotes.waiting_free_s IS
'What waiting at the pickup will cost: nothing for so many seconds, waiting_per_minute for every begun minute beyond, waiting_max at most. Not in total.';
COMMENT ON COLUMN hail.quotes.duration_low_s IS 'Four of five trips take from duration_low_s to duration_high_s.';
COMMENT ON COLUMN hail.quotes.price_low IS 'What the price would be for duration_low_s; price_high: for duration_high_s. The price promised is total, whatever the trip takes.';
COMMENT ON COLUMN hail.quotes.eta_source IS 'What duration_s was guessed from: road, learnt, hour, region or default.';
COMMENT ON COLUMN hail.quotes.variant_id IS 'The variant of an experiment that the customer is in; NULL: none.';

CREATE FUNCTION hail.quoted_stays() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'regions' THEN
        IF (TG_OP = 'DELETE' OR NEW.id <> OLD.id) AND EXISTS (SELECT FROM hail.quotes q WHERE q.region_id = OLD.id) THEN
            PERFORM hail.fail('wrong_state', 'there are quotes of this region', 'id', 'It stays as long as they do.');
        END IF;
    ELSIF (TG_OP = 'DELETE' OR NEW.code <> OLD.code) AND EXISTS (SELECT FROM hail.quotes q WHERE q.service_class = OLD.code) THEN
        PERFORM hail.fail('wrong_state', 'there are quotes of this class', 'code', 'It stays as long as they do.');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION hail.quoted_stays() IS
'Trigger: a region or class that quotes name is not deleted nor named anew. Internal.';
CREATE TRIGGER quoted_stays AFTER DELETE OR UPDATE OF id ON hail.regions
    FOR EACH ROW EXECUTE FUNCTION hail.quoted_stays();
CREATE TRIGGER quoted_stays AFTER DELETE OR UPDATE OF code ON hail.service_classes
    FOR EACH ROW EXECUTE FUNCTION hail.quoted_stays();
ALTER TABLE hail.regions ENABLE ALWAYS TRIGGER quoted_stays;
ALTER TABLE hail.service_classes ENABLE ALWAYS TRIGGER quoted_stays;

-- A quote names a person and two places: analysts don't get it. Its customer sees what it promises and the parts that
-- add up to the price; the rates behind them, the commission and the experiment are for administrators.
GRANT SELECT ON hail.quotes TO hail_admin;
GRANT SELECT (id, customer_id, region_id, service_class, pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m,
              duration_s, base_amount, distance_amount, time_amount, surge, time_multiplier, event_multiplier,
              multiplier_amount, minimum_amount, booking_fee, rounding_amount, total, cancellation_fee, currency, created_at,
              expires_at, stops, set_id, replaces, waiting_free_s, waiting_per_minute, waiting_max, duration_low_s,
              duration_high_s, price_low, price_high, eta_source) ON hail.quotes TO hail_customer;
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
    currency          text,
    price_low         bigint,
    price_high        bigint,
    duration_low_s    integer,
    duration_high_s   integer,
    eta_source        text,
    pickup_eta_s      integer,
    waiting_free_s    integer,
    waiting_per_minute bigint,
    waiting_max       bigint
);
COMMENT ON TYPE hail.fare IS
'What a trip would cost, and why: the amounts (minor units) add up to total; road distance and time as estimated. price_low and price_high: the price at either end of the interval that the time lies in four times of five. pickup_eta_s: when the nearest available driver within hail.pickup_eta_radius could be there (NULL: there is none). waiting_...: as in hail.quotes. commission_bp is for administrators, NULL for others.';

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

-- Estimates and quotes (src/pricing/price.h). Estimates run with the caller's rights: SECURITY DEFINER and SET would
-- cost a twentieth of them, and what they need of tables is kept, read as hail_owner.

CREATE FUNCTION hail.estimate_fare(region text, pickup_lat float8, pickup_lng float8, dropoff_lat float8,
                                   dropoff_lng float8, service_class text) RETURNS hail.fare
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_estimate_fare';
COMMENT ON FUNCTION hail.estimate_fare(text, float8, float8, float8, float8, text) IS
'What a trip would cost now: price, surge, road distance and time, and every part of the price. region NULL: the one at the pickup. Promises nothing: hail.create_quote() does. Errors: invalid_value (a coordinate, a trip too short or too long), outside_service_area, restricted_area, not_found (region), unknown_class.';

CREATE FUNCTION hail.estimate_fares(pickup_lat float8, pickup_lng float8, dropoff_lat float8, dropoff_lng float8,
                                    service_classes text[] DEFAULT NULL) RETURNS SETOF hail.fare
LANGUAGE c VOLATILE ROWS 4 AS 'MODULE_PATHNAME', 'hail_estimate_fares';
COMMENT ON FUNCTION hail.estimate_fares(float8, float8, float8, float8, text[]) IS
'hail.estimate_fare() for 1 to 16 classes at once (NULL: every class that has a price list in force), in the region at the pickup. Errors as there, and invalid_value (service_classes: none, too many, one twice).';

CREATE FUNCTION hail.create_quote(customer_id uuid, pickup_lat float8, pickup_lng float8, dropoff_lat float8,
                                  dropoff_lng float8, service_class text) RETURNS hail.quotes
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_create_quote';
COMMENT ON FUNCTION hail.create_quote(uuid, float8, float8, float8, float8, text) IS
'A price promised to a customer for hail.quote_ttl, in the region at the pickup. The customer itself or an administrator; customers get commission, rates and variant as NULL. Errors: those of hail.estimate_fare(), not_found (customer_id).';

CREATE FUNCTION hail.create_quotes(customer_id uuid, pickup_lat float8, pickup_lng float8, dropoff_lat float8,
                                   dropoff_lng float8, service_classes text[] DEFAULT NULL) RETURNS SETOF hail.quotes
LANGUAGE c VOLATILE SECURITY DEFINER ROWS 4 SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_create_quotes';
COMMENT ON FUNCTION hail.create_quotes(uuid, float8, float8, float8, float8, text[]) IS
'hail.create_quote() for 1 to 16 classes at once (NULL: every class that has a price list in force): all at the same moment, with one set_id. Errors: those of hail.estimate_fares(), not_found (customer_id).';

CREATE FUNCTION hail.requote(quote_id uuid) RETURNS hail.quotes
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_requote';
COMMENT ON FUNCTION hail.requote(uuid) IS
'A new quote for the places and class of an unused one, at the price of now: what to show when a request answered quote_changed or quote_expired. The old one keeps its price until it expires. Asked again within 30 seconds, at the same price, it answers the same new quote. Its customer or an administrator. Errors: not_found, quote_used, those of hail.create_quote().';

CREATE FUNCTION hail.quote_route(user_id uuid, places float8[], service_class text) RETURNS hail.quotes
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'hail_quote_route';
COMMENT ON FUNCTION hail.quote_route(uuid, float8[], text) IS
'A quote for the way over places in order (latitude, longitude of each, valid ones; at least two), with the class''s stop_fee for each beyond two. Errors: those of hail.create_quote(). Internal.';

GRANT EXECUTE ON FUNCTION hail.estimate_fare(text, float8, float8, float8, float8, text),
        hail.estimate_fares(float8, float8, float8, float8, text[])
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
GRANT EXECUTE ON FUNCTION hail.create_quote(uuid, float8, float8, float8, float8, text),
        hail.create_quotes(uuid, float8, float8, float8, float8, text[]), hail.requote(uuid)
    TO hail_customer, hail_admin;

-- Why this price

CREATE FUNCTION hail.readable_quote(quote_id uuid) RETURNS hail.quotes
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.current_role_name();
    quote hail.quotes;
BEGIN
    PERFORM hail.require_anybody();
    IF role NOT IN ('customer', 'admin', 'analyst') THEN
        PERFORM hail.fail('forbidden', 'only customers, administrators and analysts see quotes');
    END IF;
    SELECT * INTO quote FROM hail.quotes q
    WHERE q.id = readable_quote.quote_id AND (role <> 'customer' OR q.customer_id = hail.current_subject());
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'there is no such quote', 'quote_id');
    END IF;
    RETURN quote;
END
$$;
COMMENT ON FUNCTION hail.readable_quote(uuid) IS
'A quote, all of it, for its customer, administrators and analysts; error not_found or forbidden. Internal.';

CREATE FUNCTION hail.multipliers_in_words(quote hail.quotes) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN concat_ws(', ', CASE WHEN quote.surge <> 1 THEN 'high demand x ' || quote.surge END,
                 CASE WHEN quote.time_multiplier <> 1 THEN 'time of day x ' || quote.time_multiplier END,
                 CASE WHEN quote.event_multiplier <> 1 THEN 'event x ' || quote.event_multiplier END,
                 CASE WHEN quote.variant_multiplier <> 1 THEN 'other adjustments' END);
COMMENT ON FUNCTION hail.multipliers_in_words(hail.quotes) IS
'What multiplies the price of a quote, as customers are told it. Internal.';

CREATE FUNCTION hail.quote_parts(quote hail.quotes) RETURNS TABLE (name text, amount bigint, explanation text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.name, p.amount, p.explanation
    FROM (VALUES
        (1, 'base', quote.base_amount, 'for every trip'),
        (2, 'distance', quote.distance_amount, format('%s km by road', round(quote.distance_m / 1000.0, 2))),
        (3, 'time', quote.time_amount, format('%s min, as expected', round(quote.duration_s / 60.0, 1))),
        (4, 'multipliers', quote.multiplier_amount, hail.multipliers_in_words(quote)),
        (5, 'minimum', quote.minimum_amount, 'up to the least that a trip costs'),
        (6, 'booking_fee', quote.booking_fee, CASE WHEN cardinality(quote.stops) > 4
            THEN format('with %s stops on the way', cardinality(quote.stops) / 2 - 2) ELSE 'for every booking' END),
        (7, 'rounding', quote.rounding_amount, 'to a round price')) AS p (n, name, amount, explanation)
    WHERE p.amount <> 0 OR p.n = 1
    ORDER BY p.n;
END;
COMMENT ON FUNCTION hail.quote_parts(hail.quotes) IS 'The amounts of a quote that add up to its total, in words. Internal.';

CREATE FUNCTION hail.quote_rules(quote hail.quotes) RETURNS TABLE (name text, amount bigint, explanation text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.name, r.amount, r.explanation
    FROM (VALUES
        (1, 'valid_until', NULL::bigint, to_char(quote.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')),
        (2, 'waiting', quote.waiting_per_minute, format('for each begun minute at the pickup beyond %s s', quote.waiting_free_s)),
        (3, 'waiting_at_most', quote.waiting_max, 'however long it takes'),
        (4, 'cancellation', quote.cancellation_fee, 'when cancelled late')) AS r (n, name, amount, explanation)
    WHERE r.amount IS NULL OR r.amount <> 0 AND (r.n NOT IN (2, 3) OR quote.waiting_per_minute <> 0 AND quote.waiting_max <> 0)
    ORDER BY r.n;
END;
COMMENT ON FUNCTION hail.quote_rules(hail.quotes) IS 'What a quote says beside its price, in words. Internal.';

CREATE FUNCTION hail.quote_inputs(quote hail.quotes, with_person boolean) RETURNS TABLE (name text, explanation text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT i.name, i.explanation
    FROM (SELECT c.key AS name, c.value AS explanation
          FROM jsonb_each_text(to_jsonb(quote) - '{id,total,base_amount,distance_amount,time_amount,multiplier_amount,minimum_amount,booking_fee,rounding_amount}'::text[]) c
          UNION ALL
          SELECT 'region', (SELECT r.code FROM hail.regions r WHERE r.id = quote.region_id)
          UNION ALL
          SELECT 'variant', (SELECT e.name || '/' || v.name FROM hail.experiment_variants v JOIN hail.experiments e ON e.id = v.experiment_id
                             WHERE v.id = quote.variant_id)) i
    WHERE i.explanation IS NOT NULL
      AND (with_person OR i.name NOT IN ('customer_id', 'pickup_lat', 'pickup_lng', 'dropoff_lat', 'dropoff_lng', 'stops'))
    ORDER BY i.name COLLATE "C";
END;
COMMENT ON FUNCTION hail.quote_inputs(hail.quotes, boolean) IS
'Everything that made a quote, by column; without with_person nothing that tells whose it is. Internal.';

CREATE FUNCTION hail.explain_quote(quote_id uuid)
RETURNS TABLE (line integer, kind text, name text, amount bigint, explanation text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 12 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.current_role_name();
    quote hail.quotes := hail.readable_quote(quote_id);
BEGIN
    RETURN QUERY
    SELECT (row_number() OVER ())::integer, l.*
    FROM (SELECT 'part', p.name, p.amount, p.explanation FROM hail.quote_parts(quote) p
          UNION ALL SELECT 'total', 'total', quote.total, quote.currency
          UNION ALL SELECT 'rule', r.name, r.amount, r.explanation FROM hail.quote_rules(quote) r
          UNION ALL SELECT 'input', i.name, NULL, i.explanation FROM hail.quote_inputs(quote, role = 'admin') i
                    WHERE role <> 'customer') l;
END
$$;
COMMENT ON FUNCTION hail.explain_quote(uuid) IS
'Why a quote has its price: the parts (kind part) add up to the total; rules tell what may be added to it. Amounts in minor units. For its customer, administrators and analysts; the latter two also see everything it was made from (kind input), analysts nothing that tells whose it is. Errors: not_found.';
GRANT EXECUTE ON FUNCTION hail.explain_quote(uuid) TO hail_customer, hail_admin, hail_analyst;
