-- 64_dispatch_jobs: deliveries and porter jobs: stops with their states and proofs, loads, several jobs at once

CREATE TABLE hail.trip_stops (
    trip_id        uuid NOT NULL REFERENCES hail.trips (id),
    seq            smallint NOT NULL CHECK (seq BETWEEN 1 AND 40),
    kind           text NOT NULL CHECK (kind IN ('pickup', 'dropoff', 'return')),
    state          text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'arrived', 'done', 'failed', 'skipped')),
    lat            float8 NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lng            float8 NOT NULL CHECK (lng BETWEEN -180 AND 180),
    address        text,
    contact_name   text,
    contact_phone  text,
    notes          text,
    proof          text NOT NULL CHECK (proof IN ('none', 'code', 'photo')),
    code           text CHECK (code ~ '^[0-9]{4}$'),
    recipient_name text,
    photo_url      text,
    reason         text,
    returns_to     smallint,
    arrived_at     timestamptz,
    closed_at      timestamptz,
    PRIMARY KEY (trip_id, seq),
    CHECK ((proof = 'code') = (code IS NOT NULL)),
    CHECK ((kind = 'return') = (returns_to IS NOT NULL)),
    CHECK ((state IN ('done', 'failed', 'skipped')) = (closed_at IS NOT NULL))
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.trip_stops IS
'Stops of a delivery or porter job in the order they are served. The first is the trip''s pickup: hail.arrive() and hail.start_trip() serve it. Written under the trip''s lock.';
COMMENT ON COLUMN hail.trip_stops.proof IS 'What ends the stop: none, code (which the customer or partner tells the recipient), photo.';
COMMENT ON COLUMN hail.trip_stops.returns_to IS 'Of a return: the pickup whose goods go back.';
COMMENT ON COLUMN hail.trip_stops.closed_at IS 'When the stop was done, failed, or skipped because the trip was cancelled.';

CREATE TABLE hail.stop_transitions (
    from_state text NOT NULL,
    action     text NOT NULL,
    actor      text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, action, actor)
);
COMMENT ON TABLE hail.stop_transitions IS 'The only moves a stop can make: from a state, by an action of an actor, to a state.';
INSERT INTO hail.stop_transitions (from_state, action, actor, to_state) VALUES
    ('waiting', 'arrive', 'driver', 'arrived'),
    ('waiting', 'arrive', 'admin',  'arrived'),
    ('arrived', 'finish', 'driver', 'done'),
    ('arrived', 'finish', 'admin',  'done'),
    ('arrived', 'fail',   'driver', 'failed'),
    ('arrived', 'fail',   'admin',  'failed'),
    ('waiting', 'fail',   'admin',  'failed');

CREATE TABLE hail.trip_loads (
    trip_id      uuid PRIMARY KEY REFERENCES hail.trips (id),
    package      text,
    floors       smallint CHECK (floors BETWEEN 0 AND 200),
    helpers      smallint CHECK (helpers BETWEEN 0 AND 50),
    request_hash bytea NOT NULL
);
COMMENT ON TABLE hail.trip_loads IS 'What a delivery or porter job carries, beside its weight and volume in hail.trips.';
COMMENT ON COLUMN hail.trip_loads.floors IS 'Floors to carry up or down, all stops together.';
COMMENT ON COLUMN hail.trip_loads.request_hash IS 'SHA-256 of stops and load as asked for: the same key with another request is refused.';

CREATE TYPE hail.stop_input AS (kind text, lat float8, lng float8, address text, contact_name text, contact_phone text,
                                notes text, proof text);
COMMENT ON TYPE hail.stop_input IS 'A stop as asked for.';
CREATE TYPE hail.job_input AS (stops hail.stop_input[], package text, weight_kg real, volume_l real, floors integer,
                               helpers integer, partner_id uuid, partner_order text, hash bytea);
COMMENT ON TYPE hail.job_input IS 'A delivery or porter job as asked for, checked.';

-- Who sees which rows

CREATE FUNCTION hail.driven_trip(trip_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM hail.trips t WHERE t.id = trip_id AND t.driver_id = hail.current_subject()
               AND t.state IN ('matched', 'arrived', 'started'));
COMMENT ON FUNCTION hail.driven_trip(uuid) IS 'The trip is under way with the calling driver; for policies.';
GRANT EXECUTE ON FUNCTION hail.driven_trip(uuid) TO hail_driver;
GRANT EXECUTE ON FUNCTION hail.own_trip(uuid) TO hail_partner;

CREATE POLICY trip_stops_customer ON hail.trip_stops FOR SELECT TO hail_customer, hail_partner USING (hail.own_trip(trip_id));
CREATE POLICY trip_stops_driver ON hail.trip_stops FOR SELECT TO hail_driver
    USING (hail.current_role_name() = 'driver' AND hail.driven_trip(trip_id));
CREATE POLICY trip_stops_admin ON hail.trip_stops FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
GRANT SELECT ON hail.trip_stops TO hail_customer, hail_partner, hail_admin;
GRANT SELECT (trip_id, seq, kind, state, lat, lng, address, contact_name, contact_phone, notes, proof, recipient_name, photo_url,
              reason, returns_to, arrived_at, closed_at) ON hail.trip_stops TO hail_driver;
CREATE POLICY trip_loads_customer ON hail.trip_loads FOR SELECT TO hail_customer, hail_partner USING (hail.own_trip(trip_id));
CREATE POLICY trip_loads_driver ON hail.trip_loads FOR SELECT TO hail_driver
    USING (hail.current_role_name() = 'driver' AND hail.driven_trip(trip_id));
CREATE POLICY trip_loads_admin ON hail.trip_loads FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
GRANT SELECT (trip_id, package, floors, helpers) ON hail.trip_loads TO hail_customer, hail_partner, hail_driver, hail_admin;
CREATE POLICY stop_transitions_read ON hail.stop_transitions FOR SELECT USING (hail.current_role_name() IS NOT NULL);
GRANT SELECT ON hail.stop_transitions TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
-- What a partner made is a trip of its user.
CREATE POLICY trips_partner ON hail.trips FOR SELECT TO hail_partner USING (customer_id = hail.current_subject());

-- Reading a request

CREATE FUNCTION hail.snake_keys(fields jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_object_agg(lower(regexp_replace(f.key, '([A-Z])', '_\1', 'g')), f.value), '{}')
        FROM jsonb_each(fields) f);
COMMENT ON FUNCTION hail.snake_keys(jsonb) IS 'A JSON object with its keys in snake_case. Internal.';

CREATE FUNCTION hail.check_text(value jsonb, field text, longest integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(jsonb_typeof(value), 'null') = 'null' THEN
        RETURN NULL;
    ELSIF jsonb_typeof(value) <> 'string' OR length(value #>> '{}') > longest THEN
        PERFORM hail.fail('invalid_value', format('%s must be a text of at most %s characters', field, longest), field);
    END IF;
    RETURN nullif(btrim(value #>> '{}'), '');
END
$$;
COMMENT ON FUNCTION hail.check_text(jsonb, text, integer) IS 'A text of a JSON document, NULL when it is null or blank; error that names the field. Internal.';

CREATE FUNCTION hail.check_number(value jsonb, field text, lowest numeric, highest numeric) RETURNS float8
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(jsonb_typeof(value), 'null') = 'null' THEN
        RETURN NULL;
    END IF;
    IF jsonb_typeof(value) <> 'number' OR (value #>> '{}')::numeric NOT BETWEEN lowest AND highest THEN
        PERFORM hail.fail('invalid_value', format('%s must be a number between %s and %s', field, lowest, highest), field);
    END IF;
    RETURN round((value #>> '{}')::numeric, 12)::float8;
END
$$;
COMMENT ON FUNCTION hail.check_number(jsonb, text, numeric, numeric) IS 'A number of a JSON document, or NULL; error that names the field. Internal.';

CREATE FUNCTION hail.check_integer(value jsonb, field text, lowest integer, highest integer) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given float8 := hail.check_number(value, field, lowest, highest);
BEGIN
    IF trunc(given) <> given THEN
        PERFORM hail.fail('invalid_value', format('%s must be a whole number between %s and %s', field, lowest, highest), field);
    END IF;
    RETURN given::integer;
END
$$;
COMMENT ON FUNCTION hail.check_integer(jsonb, text, integer, integer) IS
'A whole number of a JSON document, or NULL; error that names the field. Internal.';

CREATE FUNCTION hail.parse_stop(given jsonb, field text, last boolean, first boolean) RETURNS hail.stop_input
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s jsonb;
    unknown text;
    stop hail.stop_input;
BEGIN
    IF jsonb_typeof(given) <> 'object' THEN
        PERFORM hail.fail('invalid_value', field || ' must be an object', field);
    END IF;
    s := hail.snake_keys(given);
    SELECT min(k) INTO unknown FROM jsonb_object_keys(s) k
    WHERE k NOT IN ('kind', 'lat', 'lng', 'address', 'contact_name', 'contact_phone', 'notes', 'proof');
    IF unknown IS NOT NULL THEN
        PERFORM hail.fail('invalid_value', format('%s has an unknown field %s', field, unknown), field || '.' || unknown);
    END IF;
    stop.kind := coalesce(hail.check_text(s -> 'kind', field || '.kind', 20), CASE WHEN first THEN 'pickup' ELSE 'dropoff' END);
    stop.lat := hail.check_number(s -> 'lat', field || '.lat', -90, 90);
    stop.lng := hail.check_number(s -> 'lng', field || '.lng', -180, 180);
    stop.address := hail.check_text(s -> 'address', field || '.address', 500);
    stop.contact_name := hail.check_text(s -> 'contact_name', field || '.contact_name', 200);
    stop.contact_phone := hail.check_text(s -> 'contact_phone', field || '.contact_phone', 20);
    stop.notes := hail.check_text(s -> 'notes', field || '.notes', 1000);
    stop.proof := coalesce(hail.check_text(s -> 'proof', field || '.proof', 20), CASE stop.kind WHEN 'dropoff' THEN 'code' ELSE 'none' END);
    IF stop.lat IS NULL OR stop.lng IS NULL THEN
        PERFORM hail.fail('invalid_value', 'a stop needs coordinates', field || CASE WHEN stop.lat IS NULL THEN '.lat' ELSE '.lng' END);
    ELSIF stop.kind NOT IN ('pickup', 'dropoff') THEN
        PERFORM hail.fail('invalid_value', 'a stop is a pickup or a dropoff', field || '.kind');
    ELSIF first AND stop.kind <> 'pickup' OR last AND stop.kind <> 'dropoff' THEN
        PERFORM hail.fail('invalid_value', 'the first stop is a pickup, the last one a dropoff', field || '.kind');
    ELSIF stop.proof NOT IN ('none', 'code', 'photo') THEN
        PERFORM hail.fail('invalid_value', 'proof is none, code or photo', field || '.proof');
    ELSIF stop.contact_phone !~ '^\+[1-9][0-9]{6,14}$' THEN
        PERFORM hail.fail('invalid_value', 'a phone must be in international form', field || '.contact_phone',
                          'A plus sign, the country code, 7 to 15 digits in all (E.164).');
    ELSIF first THEN
        stop.proof := 'none'; -- its proof is the trip's pickup code
    END IF;
    RETURN stop;
END
$$;
COMMENT ON FUNCTION hail.parse_stop(jsonb, text, boolean, boolean) IS 'One stop of a JSON list; errors name the field at fault. Internal.';

CREATE FUNCTION hail.parse_stops(stops jsonb) RETURNS hail.stop_input[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n integer;
    parsed hail.stop_input[] := '{}';
BEGIN
    IF stops IS NULL OR jsonb_typeof(stops) <> 'array' THEN
        PERFORM hail.fail('invalid_value', 'stops must be a list of stops', 'stops');
    END IF;
    n := jsonb_array_length(stops);
    IF n NOT BETWEEN 2 AND 20 THEN
        PERFORM hail.fail('invalid_value', 'a job has 2 to 20 stops', 'stops');
    END IF;
    FOR i IN 0 .. n - 1 LOOP
        parsed := parsed || hail.parse_stop(stops -> i, format('stops[%s]', i), i = n - 1, i = 0);
    END LOOP;
    RETURN parsed;
END
$$;
COMMENT ON FUNCTION hail.parse_stops(jsonb) IS
'Stops of a job: a list of 2 to 20 objects with kind (pickup or dropoff; default: the first a pickup, the others dropoffs), lat, lng, address, contact_name, contact_phone, notes, proof (none, code or photo; default: code for dropoffs), keys in snake_case or camelCase. Errors name the field. Internal.';

CREATE FUNCTION hail.check_job(stops jsonb, package text, weight_kg real, volume_l real, floors integer, helpers integer)
RETURNS hail.job_input
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job hail.job_input;
BEGIN
    IF length(package) > 1000 THEN
        PERFORM hail.fail('invalid_value', 'package must have 1000 characters at most', 'package');
    ELSIF NOT (weight_kg > 0 AND weight_kg <= 100000) THEN
        PERFORM hail.fail('invalid_value', 'weight_kg must be above 0 and at most 100000', 'weight_kg');
    ELSIF NOT (volume_l > 0 AND volume_l <= 1000000) THEN
        PERFORM hail.fail('invalid_value', 'volume_l must be above 0 and at most 1000000', 'volume_l');
    ELSIF NOT (floors BETWEEN 0 AND 200) THEN
        PERFORM hail.fail('invalid_value', 'floors must be between 0 and 200', 'floors');
    ELSIF NOT (helpers BETWEEN 0 AND 50) THEN
        PERFORM hail.fail('invalid_value', 'helpers must be between 0 and 50', 'helpers');
    END IF;
    job := ROW(hail.parse_stops(stops), nullif(btrim(package), ''), weight_kg, volume_l, floors, helpers);
    job.hash := sha256(convert_to(to_jsonb(job)::text, 'UTF8'));
    RETURN job;
END
$$;
COMMENT ON FUNCTION hail.check_job(jsonb, text, real, real, integer, integer) IS
'A job as asked for, checked; errors name the field at fault. Internal.';

-- Prices of jobs

CREATE FUNCTION hail.quote_stops(customer_id uuid, stops hail.stop_input[], service_class text) RETURNS hail.quotes
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM hail.service_classes c WHERE c.code = service_class AND c.service <> 'ride') THEN
        PERFORM hail.fail('unknown_class', 'no class of deliveries or porter jobs', 'service_class');
    END IF;
    RETURN hail.quote_route(customer_id, ARRAY(
        SELECT p.v FROM unnest(stops) WITH ORDINALITY AS s (kind, lat, lng, address, contact_name, contact_phone, notes, proof, seq),
               LATERAL (VALUES (1, s.lat), (2, s.lng)) AS p (i, v)
        ORDER BY s.seq, p.i), service_class);
END
$$;
COMMENT ON FUNCTION hail.quote_stops(uuid, hail.stop_input[], text) IS
'A price for a job over these stops: the class''s fare for the sum of the legs, and its stop_fee for each stop beyond two. Errors: unknown_class, invalid_value, outside_service_area, restricted_area. Internal.';

CREATE FUNCTION hail.create_job_quote(customer_id uuid, stops jsonb, service_class text) RETURNS hail.quotes
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_self('customer', customer_id);
    IF NOT EXISTS (SELECT FROM hail.users u
                   WHERE u.id = create_job_quote.customer_id AND u.role = 'customer' AND u.active) THEN
        PERFORM hail.fail('not_found', 'customer does not exist', 'customer_id');
    END IF;
    RETURN hail.quote_for_caller(hail.quote_stops(customer_id, hail.parse_stops(stops), service_class));
END
$$;
COMMENT ON FUNCTION hail.create_job_quote(uuid, jsonb, text) IS
'A price promised to a customer (itself or admin) for a delivery or porter job over 2 to 20 stops in their order: the class''s fare for the way over all of them, and its stop_fee for each stop beyond two. Floors, helpers, weight and volume do not change it. Errors: invalid_value, unknown_class, outside_service_area, restricted_area.';
GRANT EXECUTE ON FUNCTION hail.create_job_quote(uuid, jsonb, text) TO hail_customer, hail_admin;

CREATE FUNCTION hail.check_quoted_stops(quote hail.quotes, stops hail.stop_input[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    places float8[] := coalesce(quote.stops, ARRAY[quote.pickup_lat, quote.pickup_lng, quote.dropoff_lat, quote.dropoff_lng]);
    far integer;
BEGIN
    IF cardinality(places) <> 2 * cardinality(stops) THEN
        PERFORM hail.fail('invalid_value', format('the quote is for %s stops', cardinality(places) / 2), 'stops',
                          'hail.create_job_quote() prices other stops.');
    END IF;
    SELECT min(i) INTO far FROM generate_subscripts(stops, 1) i
    WHERE public.ST_DistanceSphere(public.ST_MakePoint(stops[i].lng, stops[i].lat),
                                   public.ST_MakePoint(places[2 * i], places[2 * i - 1])) > 100;
    IF far IS NOT NULL THEN
        PERFORM hail.fail('invalid_value', 'this stop is not where the quote has it', format('stops[%s].lat', far - 1),
                          'It may be 100 m off; hail.create_job_quote() prices other stops.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_quoted_stops(hail.quotes, hail.stop_input[]) IS
'Error unless a quote is for these stops, each within 100 m. Internal.';

-- Requests

CREATE FUNCTION hail.make_code() RETURNS text
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_make_code';
COMMENT ON FUNCTION hail.make_code() IS 'Four random digits of a strong source. Internal.';

CREATE FUNCTION hail.check_code(trip_id uuid, seq integer, code text, given text, field text, hint text) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_check_code';
COMMENT ON FUNCTION hail.check_code(uuid, integer, text, text, text, text) IS
'Error unless the code given is the one of a trip (seq 0) or stop; wrong ones are counted although the call fails: error code_blocked after hail.code_tries of them. The trip is locked. Internal.';

CREATE FUNCTION hail.code_tries(trip_id uuid, seq integer, code text) RETURNS integer
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'hail_code_tries';
COMMENT ON FUNCTION hail.code_tries(uuid, integer, text) IS 'Wrong codes tried instead of this one, as hail.check_code() counts them. Internal.';

CREATE FUNCTION hail.renew_pickup_code(trip_id uuid, seq integer DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
    stop hail.trip_stops;
    fresh text := hail.make_code();
BEGIN
    IF hail.caller_role() NOT IN ('customer', 'partner', 'admin') THEN
        PERFORM hail.fail('forbidden', 'codes are renewed by the customer of a trip');
    END IF;
    trip := hail.lock_trip_of_caller(trip_id);
    IF coalesce(seq, 1) > 1 THEN
        stop := hail.stop_of(trip, seq);
        IF stop.proof <> 'code' OR stop.state NOT IN ('waiting', 'arrived') THEN
            PERFORM hail.fail('wrong_state', format('a stop with proof %s that is %s needs no code', stop.proof, stop.state), 'seq');
        END IF;
        WHILE fresh = stop.code LOOP
            fresh := hail.make_code();
        END LOOP;
        UPDATE hail.trip_stops s SET code = fresh WHERE s.trip_id = trip.id AND s.seq = stop.seq;
    ELSIF trip.state NOT IN ('matched', 'arrived') THEN
        PERFORM hail.fail('wrong_state', format('a trip that is %s needs no pickup code', trip.state), 'trip_id');
    ELSE
        WHILE fresh = trip.pickup_code LOOP
            fresh := hail.make_code();
        END LOOP;
        UPDATE hail.trips t SET pickup_code = fresh, code_attempts = t.code_attempts + hail.code_tries(t.id, 0, t.pickup_code)
        WHERE t.id = trip.id;
    END IF;
    UPDATE hail.trips t SET event_version = t.event_version + 1 WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'PickupCodeRenewed', jsonb_build_object('seq', coalesce(seq, 1)));
    RETURN fresh;
END
$$;
COMMENT ON FUNCTION hail.renew_pickup_code(uuid, integer) IS
'A new pickup code, or a new code of a stop (seq), for the trip''s customer, its partner or an administrator; the old one counts no more, and new tries are allowed. Errors: not_found, wrong_state.';
GRANT EXECUTE ON FUNCTION hail.renew_pickup_code(uuid, integer) TO hail_customer, hail_partner, hail_admin;

CREATE FUNCTION hail.add_stops(trip_id uuid, stops hail.stop_input[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO hail.trip_stops (trip_id, seq, kind, lat, lng, address, contact_name, contact_phone, notes, proof, code)
    SELECT add_stops.trip_id, s.seq, s.kind, s.lat, s.lng, s.address, s.contact_name, s.contact_phone, s.notes, s.proof,
           CASE s.proof WHEN 'code' THEN hail.make_code() END
    FROM unnest(stops) WITH ORDINALITY AS s (kind, lat, lng, address, contact_name, contact_phone, notes, proof, seq)
$$;
COMMENT ON FUNCTION hail.add_stops(uuid, hail.stop_input[]) IS 'Write the stops of a new job. Internal.';

CREATE FUNCTION hail.repeated_job(customer_id uuid, quote_id uuid, payment_method text, strategy text, idempotency_key text,
                                  scheduled_for timestamptz, hash bytea) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    trip hail.trips;
BEGIN
    SELECT * INTO trip FROM hail.trips t
    WHERE t.customer_id = repeated_job.customer_id AND t.idempotency_key = repeated_job.idempotency_key;
    IF trip.id IS NOT NULL AND (trip.quote_id, trip.payment_method::text, trip.strategy::text, trip.scheduled_for,
                                (SELECT l.request_hash FROM hail.trip_loads l WHERE l.trip_id = trip.id)) IS DISTINCT FROM
            (repeated_job.quote_id, repeated_job.payment_method, repeated_job.strategy, repeated_job.scheduled_for,
             repeated_job.hash) THEN
        PERFORM hail.fail('idempotency_mismatch', 'this key was used with another request', 'idempotency_key',
                          'Use a new key for a new job.');
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.repeated_job(uuid, uuid, text, text, text, timestamptz, bytea) IS
'The job that this customer''s key has already made, NULLs when none; error idempotency_mismatch when it was another request. Internal.';

CREATE FUNCTION hail.create_job_trip(quote_id uuid, payment_method text, strategy text, idempotency_key text,
                                     scheduled_for timestamptz, weight_kg real, volume_l real, partner_id uuid,
                                     partner_order text, stops integer, OUT trip hail.trips, OUT created boolean)
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_create_job_trip';
COMMENT ON FUNCTION hail.create_job_trip(uuid, text, text, text, timestamptz, real, real, uuid, text, integer) IS
'The trip of a job, as hail.request_trip() makes trips, of whomever''s quote; created: false when the key had made it before. Internal.';

CREATE FUNCTION hail.create_job(quote hail.quotes, job hail.job_input, payment_method text, strategy text,
                                idempotency_key text, scheduled_for timestamptz) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made record;
BEGIN
    SELECT * INTO made FROM hail.create_job_trip(quote.id, payment_method, strategy, idempotency_key, scheduled_for,
        job.weight_kg, job.volume_l, job.partner_id, job.partner_order, cardinality(job.stops));
    IF NOT made.created THEN -- somebody used the key a moment ago: for the same job?
        RETURN hail.repeated_job(quote.customer_id, quote.id, payment_method, strategy, idempotency_key, scheduled_for, job.hash);
    END IF;
    PERFORM hail.add_stops((made.trip).id, job.stops);
    INSERT INTO hail.trip_loads (trip_id, package, floors, helpers, request_hash)
        VALUES ((made.trip).id, job.package, job.floors, job.helpers, job.hash);
    RETURN made.trip;
END
$$;
COMMENT ON FUNCTION hail.create_job(hail.quotes, hail.job_input, text, text, text, timestamptz) IS
'Make a delivery or porter job of a quote and offer it to the first drivers. Errors as of hail.request_trip(). Internal.';

CREATE FUNCTION hail.lock_job_quote(quote_id uuid, service text, idempotency_key text) RETURNS hail.quotes
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    quote hail.quotes;
BEGIN
    IF hail.caller_role() NOT IN ('customer', 'admin') THEN
        PERFORM hail.fail('forbidden', 'only customers request trips');
    ELSIF coalesce(length(idempotency_key), 0) NOT BETWEEN 1 AND 200 THEN
        PERFORM hail.fail('idempotency_key_required', 'a job needs an idempotency key of 1 to 200 characters', 'idempotency_key');
    END IF;
    SELECT * INTO quote FROM hail.quotes q WHERE q.id = lock_job_quote.quote_id
       AND (hail.current_role_name() = 'admin' OR q.customer_id = hail.current_subject()) FOR NO KEY UPDATE;
    IF quote.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such quote', 'quote_id');
    ELSIF NOT EXISTS (SELECT FROM hail.service_classes c
                      WHERE c.code = quote.service_class AND c.service = lock_job_quote.service) THEN
        PERFORM hail.fail('invalid_value', format('the quote is not for a class of service %s', service), 'quote_id');
    END IF;
    RETURN quote;
END
$$;
COMMENT ON FUNCTION hail.lock_job_quote(uuid, text, text) IS
'Lock the calling customer''s quote for a delivery or porter job. Errors: forbidden, idempotency_key_required, not_found, invalid_value. Internal.';

CREATE FUNCTION hail.request_job(quote hail.quotes, job hail.job_input, payment_method text, strategy text,
                                 idempotency_key text, scheduled_for timestamptz) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.repeated_job(quote.customer_id, quote.id, payment_method, strategy, idempotency_key, scheduled_for,
                                         job.hash);
BEGIN
    IF trip.id IS NULL THEN
        PERFORM hail.check_quoted_stops(quote, job.stops);
        trip := hail.create_job(quote, job, payment_method, strategy, idempotency_key, scheduled_for);
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.request_job(hail.quotes, hail.job_input, text, text, text, timestamptz) IS
'Make a delivery or porter job of a locked quote, or find the one that the key has made. Internal.';

CREATE FUNCTION hail.request_delivery(quote_id uuid, stops jsonb, payment_method text, idempotency_key text DEFAULT NULL,
                                      package text DEFAULT NULL, weight_kg real DEFAULT NULL, volume_l real DEFAULT NULL,
                                      strategy text DEFAULT 'first_accept', scheduled_for timestamptz DEFAULT NULL)
RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    quote hail.quotes := hail.lock_job_quote(quote_id, 'delivery', idempotency_key);
BEGIN
    RETURN hail.trip_for_caller(hail.request_job(quote, hail.check_job(stops, package, weight_kg, volume_l, NULL, NULL), payment_method, strategy,
                            idempotency_key, scheduled_for));
END
$$;
COMMENT ON FUNCTION hail.request_delivery(uuid, jsonb, text, text, text, real, real, text, timestamptz) IS
'Have a package delivered (customer itself or admin), from a quote of hail.create_job_quote() or, for two stops, hail.create_quote(). stops: see hail.create_job_quote(), with address, contact_name, contact_phone, notes and proof (none, code, photo) of each. The same key with the same request returns the first trip. Errors: those of hail.request_trip(), invalid_value that names the stop.';

CREATE FUNCTION hail.request_porter_job(quote_id uuid, stops jsonb, payment_method text, idempotency_key text DEFAULT NULL,
                                        package text DEFAULT NULL, weight_kg real DEFAULT NULL, volume_l real DEFAULT NULL,
                                        floors integer DEFAULT NULL, helpers integer DEFAULT NULL,
                                        strategy text DEFAULT 'first_accept', scheduled_for timestamptz DEFAULT NULL)
RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    quote hail.quotes := hail.lock_job_quote(quote_id, 'porter', idempotency_key);
BEGIN
    RETURN hail.trip_for_caller(hail.request_job(quote, hail.check_job(stops, package, weight_kg, volume_l, floors, helpers), payment_method, strategy,
                            idempotency_key, scheduled_for));
END
$$;
COMMENT ON FUNCTION hail.request_porter_job(uuid, jsonb, text, text, text, real, real, integer, integer, text, timestamptz) IS
'Have goods moved (customer itself or admin), as hail.request_delivery(); weight (kg) and volume (l) must have room in the driver''s vehicle beside its other jobs; floors to carry and helpers wanted are told to the driver.';
GRANT EXECUTE ON FUNCTION hail.request_delivery(uuid, jsonb, text, text, text, real, real, text, timestamptz),
    hail.request_porter_job(uuid, jsonb, text, text, text, real, real, integer, integer, text, timestamptz)
    TO hail_customer, hail_admin;

-- Stops on the way. The trip's lock covers its stops.

CREATE FUNCTION hail.next_stop_state(stop hail.trip_stops, action text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    to_state text;
BEGIN
    SELECT s.to_state INTO to_state FROM hail.stop_transitions s
    WHERE s.from_state = stop.state AND s.action = next_stop_state.action AND s.actor = hail.current_role_name();
    IF to_state IS NULL THEN
        PERFORM hail.fail('wrong_state', format('a stop that is %s cannot be the subject of %s', stop.state, action), 'seq',
                          'hail.stop_transitions lists what is possible.');
    END IF;
    RETURN to_state;
END
$$;
COMMENT ON FUNCTION hail.next_stop_state(hail.trip_stops, text) IS
'State a stop goes to by an action of the caller; error wrong_state when the table has no such move. Internal.';

CREATE FUNCTION hail.stop_of(trip hail.trips, seq integer) RETURNS hail.trip_stops
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stop hail.trip_stops;
BEGIN
    SELECT * INTO stop FROM hail.trip_stops s WHERE s.trip_id = trip.id AND s.seq = stop_of.seq;
    IF stop.trip_id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such stop', 'seq');
    END IF;
    RETURN stop;
END
$$;
COMMENT ON FUNCTION hail.stop_of(hail.trips, integer) IS 'A stop of a locked trip; error not_found. Internal.';

CREATE FUNCTION hail.check_stop_turn(trip hail.trips, stop hail.trip_stops) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    open smallint;
BEGIN
    IF trip.state <> 'started' THEN
        PERFORM hail.fail('wrong_state', format('the trip is %s', trip.state), 'trip_id', 'Stops are served once the trip has started.');
    END IF;
    SELECT min(s.seq) INTO open FROM hail.trip_stops s
    WHERE s.trip_id = stop.trip_id AND s.seq < stop.seq AND s.state IN ('waiting', 'arrived');
    IF open IS NOT NULL THEN
        PERFORM hail.fail('wrong_state', format('stop %s comes first', open), 'seq', 'Stops are served in their order.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_stop_turn(hail.trips, hail.trip_stops) IS
'Error wrong_state unless the trip is started and every stop before this one is closed. Internal.';

CREATE FUNCTION hail.stop_event(trip_id uuid, stop hail.trip_stops, type text, payload jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
BEGIN
    UPDATE hail.trips t SET event_version = t.event_version + 1 WHERE t.id = stop_event.trip_id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, type, jsonb_build_object('seq', stop.seq, 'kind', stop.kind, 'stop_lat', stop.lat,
                                                           'stop_lng', stop.lng) || payload);
END
$$;
COMMENT ON FUNCTION hail.stop_event(uuid, hail.trip_stops, text, jsonb) IS 'Write the event of a stop of a locked trip. Internal.';

CREATE FUNCTION hail.stop_for_caller(stop hail.trip_stops) RETURNS hail.trip_stops
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.current_role_name() <> 'driver' THEN
        RETURN stop;
    END IF;
    stop.code := NULL;
    IF NOT hail.driven_trip(stop.trip_id) THEN -- offered, or over: where, not whom
        stop.address := NULL;
        stop.contact_name := NULL;
        stop.contact_phone := NULL;
        stop.notes := NULL;
        stop.recipient_name := NULL;
        stop.photo_url := NULL;
    END IF;
    RETURN stop;
END
$$;
COMMENT ON FUNCTION hail.stop_for_caller(hail.trip_stops) IS
'A stop without what a driver must not see: the code, and persons once the trip is not under way with this driver. Internal.';

CREATE FUNCTION hail.move_stops(trip hail.trips) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    UPDATE hail.trip_stops s
    SET state = CASE trip.state WHEN 'arrived' THEN 'arrived' WHEN 'started' THEN 'done'
                                WHEN 'cancelled' THEN 'skipped' WHEN 'no_drivers' THEN 'skipped' ELSE 'waiting' END,
        arrived_at = trip.arrived_at,
        closed_at = CASE trip.state WHEN 'started' THEN trip.started_at WHEN 'cancelled' THEN trip.cancelled_at
                                    WHEN 'no_drivers' THEN hail.clock() END
    WHERE s.trip_id = trip.id AND (s.seq = 1 OR trip.state IN ('cancelled', 'no_drivers')) AND s.state IN ('waiting', 'arrived')
$$;
COMMENT ON FUNCTION hail.move_stops(hail.trips) IS
'The stops follow a trip that has just changed its state: the first one is the pickup, a trip that ended without being driven skips all. Internal.';

CREATE FUNCTION hail.arrive_at_stop(trip_id uuid, seq integer) RETURNS hail.trip_stops
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    stop hail.trip_stops := hail.stop_of(trip, seq);
BEGIN
    IF stop.state = 'arrived' THEN
        RETURN hail.stop_for_caller(stop);
    ELSIF stop.seq = 1 THEN
        PERFORM hail.arrive(trip.id);
        RETURN hail.stop_for_caller(hail.stop_of(trip, seq));
    END IF;
    PERFORM hail.check_stop_turn(trip, stop);
    UPDATE hail.trip_stops s SET state = hail.next_stop_state(stop, 'arrive'), arrived_at = hail.clock()
    WHERE s.trip_id = stop.trip_id AND s.seq = stop.seq RETURNING * INTO stop;
    PERFORM hail.stop_event(trip.id, stop, 'StopArrived');
    RETURN hail.stop_for_caller(stop);
END
$$;
COMMENT ON FUNCTION hail.arrive_at_stop(uuid, integer) IS
'The driver (itself or admin) has reached a stop; stop 1 is the trip''s pickup, as with hail.arrive(). Again: the same stop. Errors: not_found, wrong_state (the trip has not started, an earlier stop is open).';

CREATE FUNCTION hail.check_proof(stop hail.trip_stops, proof_code text, photo_url text, recipient_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF length(photo_url) > 2000 OR photo_url !~ '^https://[^[:space:]/]+/[^[:space:]]*$' THEN
        PERFORM hail.fail('invalid_value', 'photo_url must be an https address of at most 2000 characters', 'photo_url');
    ELSIF length(recipient_name) > 200 THEN
        PERFORM hail.fail('invalid_value', 'recipient_name must have 200 characters at most', 'recipient_name');
    ELSIF stop.proof = 'photo' AND photo_url IS NULL THEN
        PERFORM hail.fail('invalid_value', 'this stop ends with a photo', 'photo_url');
    ELSIF stop.proof = 'code' THEN
        PERFORM hail.check_code(stop.trip_id, stop.seq, stop.code, proof_code, 'proof_code', 'The recipient has the code.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_proof(hail.trip_stops, text, text, text) IS
'Error unless what is given proves that a stop was served. Internal.';

CREATE FUNCTION hail.finish_stop(trip_id uuid, seq integer, proof_code text DEFAULT NULL, photo_url text DEFAULT NULL,
                                 recipient_name text DEFAULT NULL) RETURNS hail.trip_stops
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    stop hail.trip_stops := hail.stop_of(trip, seq);
    to_state text;
BEGIN
    IF stop.state = 'done' THEN
        RETURN hail.stop_for_caller(stop);
    ELSIF stop.seq = 1 THEN
        PERFORM hail.start_trip(trip.id, proof_code);
        RETURN hail.stop_for_caller(hail.stop_of(trip, seq));
    END IF;
    PERFORM hail.check_stop_turn(trip, stop);
    to_state := hail.next_stop_state(stop, 'finish');
    PERFORM hail.check_proof(stop, proof_code, photo_url, recipient_name);
    UPDATE hail.trip_stops s SET state = to_state, closed_at = hail.clock(), photo_url = finish_stop.photo_url,
           recipient_name = nullif(btrim(finish_stop.recipient_name), '')
    WHERE s.trip_id = stop.trip_id AND s.seq = stop.seq RETURNING * INTO stop;
    PERFORM hail.stop_event(trip.id, stop, 'StopCompleted', jsonb_build_object('proof', stop.proof));
    RETURN hail.stop_for_caller(stop);
END
$$;
COMMENT ON FUNCTION hail.finish_stop(uuid, integer, text, text, text) IS
'The driver (itself or admin) has served a stop, with the proof it asks for: the code that the recipient was told, or a photo (https address). Stop 1 starts the trip, with the pickup code. Again: the same stop. Errors: not_found, wrong_state, wrong_pickup_code, code_blocked, invalid_value.';

CREATE FUNCTION hail.add_return(stop hail.trip_stops) RETURNS smallint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sender hail.trip_stops;
    back smallint;
BEGIN
    SELECT * INTO sender FROM hail.trip_stops s
    WHERE s.trip_id = stop.trip_id AND s.seq < stop.seq AND s.kind = 'pickup' AND s.state = 'done' ORDER BY s.seq DESC LIMIT 1;
    SELECT s.seq INTO back FROM hail.trip_stops s
    WHERE s.trip_id = stop.trip_id AND s.returns_to = sender.seq AND s.state IN ('waiting', 'arrived');
    IF back IS NULL THEN
        INSERT INTO hail.trip_stops (trip_id, seq, kind, lat, lng, address, contact_name, contact_phone, notes, proof, code, returns_to)
        SELECT stop.trip_id, max(s.seq) + 1, 'return', sender.lat, sender.lng, sender.address, sender.contact_name,
               sender.contact_phone, sender.notes, 'code', hail.make_code(), sender.seq
        FROM hail.trip_stops s WHERE s.trip_id = stop.trip_id RETURNING seq INTO back;
    END IF;
    RETURN back;
END
$$;
COMMENT ON FUNCTION hail.add_return(hail.trip_stops) IS
'Goods of a failed dropoff go back to the newest pickup before it: a return stop at the end of the trip, one for each pickup; its number. Internal.';

CREATE FUNCTION hail.fail_stop(trip_id uuid, seq integer, reason text) RETURNS hail.trip_stops
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    stop hail.trip_stops := hail.stop_of(trip, seq);
    to_state text;
    back smallint;
BEGIN
    PERFORM hail.check_reason(reason);
    IF stop.state = 'failed' THEN
        RETURN hail.stop_for_caller(stop);
    ELSIF stop.seq = 1 THEN
        PERFORM hail.fail('wrong_state', 'the first pickup cannot fail', 'seq', 'Cancel the trip.');
    ELSIF stop.kind = 'return' AND hail.current_role_name() <> 'admin' THEN
        PERFORM hail.fail('wrong_state', 'a return cannot fail', 'seq', 'Ask an administrator: the goods are with the driver.');
    END IF;
    PERFORM hail.check_stop_turn(trip, stop);
    to_state := hail.next_stop_state(stop, 'fail');
    IF stop.kind = 'dropoff' THEN
        back := hail.add_return(stop);
    END IF;
    UPDATE hail.trip_stops s SET state = to_state, closed_at = hail.clock(), reason = fail_stop.reason
    WHERE s.trip_id = stop.trip_id AND s.seq = stop.seq RETURNING * INTO stop;
    PERFORM hail.stop_event(trip.id, stop, 'StopFailed', jsonb_build_object('reason', stop.reason, 'return_seq', back));
    RETURN hail.stop_for_caller(stop);
END
$$;
COMMENT ON FUNCTION hail.fail_stop(uuid, integer, text) IS
'The driver (itself or admin) could not serve a stop. The goods of a dropoff go back to their sender: a return stop is added at the end, one for each pickup. The price stays as quoted. Again: the same stop. Errors: not_found, wrong_state, invalid_value (reason).';
GRANT EXECUTE ON FUNCTION hail.arrive_at_stop(uuid, integer), hail.finish_stop(uuid, integer, text, text, text),
    hail.fail_stop(uuid, integer, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.check_stops_closed(trip hail.trips) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    open smallint;
BEGIN
    SELECT min(s.seq) INTO open FROM hail.trip_stops s WHERE s.trip_id = trip.id AND s.state IN ('waiting', 'arrived');
    IF open IS NOT NULL THEN
        PERFORM hail.fail('wrong_state', format('stop %s is still open', open), 'trip_id', 'Finish or fail every stop first.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_stops_closed(hail.trips) IS 'Error wrong_state while a locked trip has open stops. Internal.';

CREATE FUNCTION hail.list_stops(trip_id uuid) RETURNS SETOF hail.trip_stops
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.get_trip(trip_id);
    stop hail.trip_stops;
BEGIN
    FOR stop IN SELECT * FROM hail.trip_stops s WHERE s.trip_id = trip.id ORDER BY s.seq LOOP
        RETURN NEXT hail.stop_for_caller(stop);
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.list_stops(uuid) IS
'The stops of a trip in their order, for whoever may see the trip; its driver sees contacts while the trip is under way and never the codes. Error not_found.';
GRANT EXECUTE ON FUNCTION hail.list_stops(uuid) TO hail_customer, hail_driver, hail_admin, hail_partner;

-- Several jobs at once

CREATE FUNCTION hail.end_job(driver_id uuid, moment timestamptz, trips integer, completed integer, cooldown interval)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    jobs integer;
    oldest uuid;
BEGIN
    UPDATE hail.drivers d SET trip_id = NULL, active_jobs = 0, idle_since = moment, trips_total = d.trips_total + end_job.trips,
           trips_completed = d.trips_completed + completed, cooldown_until = coalesce(moment + cooldown, d.cooldown_until)
    WHERE d.id = end_job.driver_id AND d.active_jobs <= 1;
    IF FOUND THEN
        RETURN;
    END IF;
    -- Lock, then read: which jobs are left.
    PERFORM FROM hail.drivers d WHERE d.id = end_job.driver_id FOR NO KEY UPDATE;
    SELECT count(*), (array_agg(t.id ORDER BY t.matched_at, t.id))[1] INTO jobs, oldest FROM hail.trips t
    WHERE t.driver_id = end_job.driver_id AND t.state IN ('matched', 'arrived', 'started');
    UPDATE hail.drivers d SET trip_id = oldest, active_jobs = jobs, trips_total = d.trips_total + end_job.trips,
           trips_completed = d.trips_completed + completed,
           idle_since = CASE WHEN jobs = 0 THEN moment ELSE d.idle_since END,
           cooldown_until = CASE WHEN jobs = 0 THEN coalesce(moment + cooldown, d.cooldown_until) ELSE d.cooldown_until END
    WHERE d.id = end_job.driver_id;
END
$$;
COMMENT ON FUNCTION hail.end_job(uuid, timestamptz, integer, integer, interval) IS
'A locked trip has just left its driver: the oldest other job under way is the driver''s trip now; when none is left the driver is free, after the cooldown if one is given. trips, completed: what is added to the driver''s counts. Internal.';
