-- 60_dispatch: policies, trips, offers, the transition table

CREATE TABLE hail.dispatch_policies (
    id                 smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id          smallint REFERENCES hail.regions (id),
    service            text CHECK (service IN ('ride', 'delivery', 'porter')),
    effective          tstzrange NOT NULL DEFAULT tstzrange('-infinity', 'infinity'),
    weight_distance    real NOT NULL DEFAULT 0.40,
    weight_rating      real NOT NULL DEFAULT 0.20,
    weight_acceptance  real NOT NULL DEFAULT 0.15,
    weight_completion  real NOT NULL DEFAULT 0.10,
    weight_vehicle     real NOT NULL DEFAULT 0.10,
    weight_repeat      real NOT NULL DEFAULT 0.05,
    offers_per_round   smallint NOT NULL DEFAULT 5 CHECK (offers_per_round BETWEEN 1 AND 50),
    offer_ttl          interval NOT NULL DEFAULT '15 seconds' CHECK (offer_ttl > '0'),
    rounds_per_radius  smallint NOT NULL DEFAULT 2 CHECK (rounds_per_radius BETWEEN 1 AND 100),
    radius_m           float8[] NOT NULL DEFAULT '{5000,8000,12000}' CHECK (cardinality(radius_m) BETWEEN 1 AND 20),
    retry_after        interval NOT NULL DEFAULT '5 seconds' CHECK (retry_after > '0'),
    patience           interval NOT NULL DEFAULT '5 minutes' CHECK (patience > '0'),
    max_pending_offers smallint NOT NULL DEFAULT 3 CHECK (max_pending_offers BETWEEN 1 AND 10),
    candidates         smallint NOT NULL DEFAULT 50 CHECK (candidates BETWEEN 1 AND 1000),
    EXCLUDE USING gist (coalesce(region_id, 0::smallint) WITH =, coalesce(service, '') WITH =, effective WITH &&)
);
COMMENT ON TABLE hail.dispatch_policies IS
'How matching works, per region and service (NULL: every one); the most particular row in force counts. Score weights, offers a round, their life, radii and how long is searched.';
COMMENT ON COLUMN hail.dispatch_policies.patience IS 'After so long without a match the trip ends as no_drivers.';
COMMENT ON COLUMN hail.dispatch_policies.retry_after IS 'Wait before the next round when a round found nobody.';
COMMENT ON COLUMN hail.dispatch_policies.candidates IS 'So many of the nearest drivers are scored in a round.';
INSERT INTO hail.dispatch_policies (region_id, service) VALUES (NULL, NULL);

CREATE TABLE hail.trips (
    id              uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id       smallint NOT NULL REFERENCES hail.regions (id),
    service         text NOT NULL,
    service_class   text NOT NULL REFERENCES hail.service_classes (code),
    customer_id     uuid NOT NULL REFERENCES hail.users (id),
    driver_id       uuid REFERENCES hail.drivers (id),
    driver_slot     smallint NOT NULL DEFAULT 1,
    quote_id        uuid NOT NULL UNIQUE REFERENCES hail.quotes (id),
    state           text NOT NULL,
    strategy        text NOT NULL CHECK (strategy IN ('first_accept')),
    payment_method  text NOT NULL CHECK (payment_method IN ('wallet', 'cash')),
    pickup_lat      float8 NOT NULL,
    pickup_lng      float8 NOT NULL,
    dropoff_lat     float8 NOT NULL,
    dropoff_lng     float8 NOT NULL,
    distance_m      integer NOT NULL,
    duration_s      integer NOT NULL,
    price           bigint NOT NULL,
    commission_bp   integer NOT NULL,
    cancellation_fee bigint NOT NULL,
    currency        text NOT NULL,
    surge           numeric NOT NULL,
    pickup_code     text CHECK (pickup_code ~ '^[0-9]{4}$'),
    hold_id         uuid,
    policy_id       smallint NOT NULL REFERENCES hail.dispatch_policies (id),
    round           integer NOT NULL DEFAULT 0,
    rounds_before   integer NOT NULL DEFAULT 0,
    search_until    timestamptz,
    next_round_at   timestamptz,
    excluded_drivers uuid[] NOT NULL DEFAULT '{}',
    event_version   integer NOT NULL DEFAULT 0,
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    requested_at    timestamptz NOT NULL,
    matched_at      timestamptz,
    arrived_at      timestamptz,
    started_at      timestamptz,
    completed_at    timestamptz,
    cancelled_at    timestamptz,
    cancelled_by    text CHECK (cancelled_by IN ('customer', 'driver', 'admin', 'system')),
    cancel_reason   text,
    UNIQUE (customer_id, idempotency_key),
    CHECK ((state IN ('matched', 'arrived', 'started', 'completed')) <= (driver_id IS NOT NULL))
) WITH (fillfactor = 60);
-- Law 3: a driver can't be on two trips, whoever writes the rows.
CREATE UNIQUE INDEX trips_driver_busy ON hail.trips (driver_id, driver_slot) WHERE state IN ('matched', 'arrived', 'started');
-- A customer rides in one car at a time; parcels and goods may travel in several.
CREATE UNIQUE INDEX trips_customer_ride ON hail.trips (customer_id)
    WHERE service = 'ride' AND state IN ('searching', 'matched', 'arrived', 'started');
CREATE INDEX trips_next_round ON hail.trips (next_round_at) WHERE state = 'searching';
CREATE INDEX trips_requested ON hail.trips USING brin (requested_at);
CREATE INDEX trips_customer ON hail.trips (customer_id, id);
CREATE INDEX trips_driver ON hail.trips (driver_id, id) WHERE driver_id IS NOT NULL;
COMMENT ON TABLE hail.trips IS 'Trips, from request to payment. state moves only along hail.trip_transitions.';
COMMENT ON COLUMN hail.trips.driver_slot IS 'Which of the driver''s parallel jobs this is; 1 for rides.';
COMMENT ON COLUMN hail.trips.rounds_before IS 'Rounds of earlier searches: a driver gave the trip back and the radius starts anew.';
COMMENT ON COLUMN hail.trips.next_round_at IS 'When the dispatcher looks at a searching trip again.';

CREATE TABLE hail.trip_transitions (
    from_state text NOT NULL,
    action     text NOT NULL,
    actor      text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, action, actor)
);
COMMENT ON TABLE hail.trip_transitions IS 'The only moves a trip can make: from a state, by an action of an actor, to a state.';
INSERT INTO hail.trip_transitions (from_state, action, actor, to_state) VALUES
    ('searching', 'accept',   'driver',   'matched'),
    ('searching', 'cancel',   'customer', 'cancelled'),
    ('searching', 'cancel',   'admin',    'cancelled'),
    ('searching', 'give_up',  'system',   'no_drivers'),
    ('matched',   'arrive',   'driver',   'arrived'),
    ('matched',   'cancel',   'customer', 'cancelled'),
    ('matched',   'cancel',   'admin',    'cancelled'),
    ('matched',   'cancel',   'driver',   'searching'),
    ('arrived',   'start',    'driver',   'started'),
    ('arrived',   'cancel',   'customer', 'cancelled'),
    ('arrived',   'cancel',   'admin',    'cancelled'),
    ('arrived',   'cancel',   'driver',   'searching'),
    ('started',   'complete', 'driver',   'completed'),
    ('started',   'complete', 'admin',    'completed');

CREATE TABLE hail.offers (
    id          uuid PRIMARY KEY DEFAULT hail.uuid7(),
    trip_id     uuid NOT NULL REFERENCES hail.trips (id),
    driver_id   uuid NOT NULL REFERENCES hail.drivers (id),
    round       integer NOT NULL,
    slot        smallint NOT NULL CHECK (slot BETWEEN 1 AND 10),
    status      text NOT NULL DEFAULT 'pending'
                CHECK (status IN ('pending', 'accepted', 'declined', 'expired', 'withdrawn', 'cancelled')),
    score       real NOT NULL,
    pickup_distance_m integer NOT NULL,
    pickup_eta_s integer NOT NULL,
    reason      text,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    responded_at timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX offers_trip_driver_round ON hail.offers (trip_id, driver_id, round);
-- Law 3: one accepted offer a trip; at most max_pending_offers pending ones a driver, each in a slot of its own.
CREATE UNIQUE INDEX offers_one_accepted ON hail.offers (trip_id) WHERE status = 'accepted';
CREATE UNIQUE INDEX offers_pending_slots ON hail.offers (driver_id, slot) WHERE status = 'pending';
CREATE INDEX offers_expiry ON hail.offers (expires_at) WHERE status = 'pending';
COMMENT ON TABLE hail.offers IS
'A trip offered to a driver. pending -> accepted | declined | expired | withdrawn (someone else won, or the trip ended); accepted -> cancelled when the driver gives the trip back.';

CREATE FUNCTION hail.offers_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_offers_changed';
COMMENT ON FUNCTION hail.offers_changed() IS
'Trigger: the live index learns at commit how many pending offers a driver has. Internal.';
CREATE TRIGGER offers_pending_in AFTER INSERT ON hail.offers FOR EACH ROW
    WHEN (NEW.status = 'pending') EXECUTE FUNCTION hail.offers_changed();
CREATE TRIGGER offers_pending_change AFTER UPDATE OF status ON hail.offers FOR EACH ROW
    WHEN ((OLD.status = 'pending') <> (NEW.status = 'pending')) EXECUTE FUNCTION hail.offers_changed();
CREATE TRIGGER offers_pending_out AFTER DELETE ON hail.offers FOR EACH ROW
    WHEN (OLD.status = 'pending') EXECUTE FUNCTION hail.offers_changed();

-- The state machine: the table above decides, these functions ask it.

CREATE FUNCTION hail.next_state(from_state text, action text, actor text) RETURNS text
LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_next_state';
COMMENT ON FUNCTION hail.next_state(text, text, text) IS
'State a trip goes to by an action of an actor; error wrong_state when the table has no such move. Internal.';

CREATE FUNCTION hail.guard_trip_state() RETURNS trigger
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_guard_trip_state';
COMMENT ON FUNCTION hail.guard_trip_state() IS 'Trigger: trips move only along hail.trip_transitions, whoever writes. Internal.';
CREATE TRIGGER trips_state BEFORE UPDATE ON hail.trips FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION hail.guard_trip_state();
ALTER TABLE hail.trips ENABLE ALWAYS TRIGGER trips_state;

CREATE FUNCTION hail.transitions_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_transitions_changed';
COMMENT ON FUNCTION hail.transitions_changed() IS 'Trigger: every backend reads hail.trip_transitions anew. Internal.';
CREATE TRIGGER transitions_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.trip_transitions
    FOR EACH STATEMENT EXECUTE FUNCTION hail.transitions_changed();
ALTER TABLE hail.trip_transitions ENABLE ALWAYS TRIGGER transitions_changed;

CREATE FUNCTION hail.lock_trip(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
BEGIN
    SELECT * INTO trip FROM hail.trips t WHERE t.id = lock_trip.trip_id FOR NO KEY UPDATE;
    IF trip.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.lock_trip(uuid) IS 'Lock a trip, then read it; error not_found. First lock of every change to a trip. Internal.';

CREATE FUNCTION hail.caller_role() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.current_role_name() IS NULL THEN
        PERFORM hail.fail('unauthenticated', 'not authenticated', NULL,
                          'Call hail.authenticate(token) first in the same transaction.');
    END IF;
    RETURN hail.current_role_name();
END
$$;
COMMENT ON FUNCTION hail.caller_role() IS 'The caller''s role, or error unauthenticated. Internal.';

CREATE FUNCTION hail.lock_driven_trip(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.caller_role() NOT IN ('driver', 'admin') THEN
        PERFORM hail.fail('forbidden', 'only the driver of a trip may do this');
    END IF;
    RETURN hail.lock_trip_of_caller(trip_id);
END
$$;
COMMENT ON FUNCTION hail.lock_driven_trip(uuid) IS
'Lock a trip for its driver or an administrator; for anybody else it does not exist. Internal.';

CREATE FUNCTION hail.trip_for_caller(trip hail.trips) RETURNS hail.trips
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'hail_trip_for_caller';
COMMENT ON FUNCTION hail.trip_for_caller(hail.trips) IS 'A trip without what only its customer and administrators see: pickup_code, hold_id, idempotency_key. Internal.';

CREATE FUNCTION hail.dispatch_policy(region_id smallint, service text) RETURNS hail.dispatch_policies
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT p FROM hail.dispatch_policies p
    WHERE (p.region_id IS NULL OR p.region_id = dispatch_policy.region_id)
      AND (p.service IS NULL OR p.service = dispatch_policy.service) AND p.effective @> hail.clock()
    ORDER BY p.region_id IS NULL, p.service IS NULL LIMIT 1);
COMMENT ON FUNCTION hail.dispatch_policy(smallint, text) IS
'The policy in force: region and service, else region, else service, else the general one. Internal.';

CREATE FUNCTION hail.trip_event(trip hail.trips, type text, payload jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.write_event('trip', trip.id, trip.event_version, type,
        jsonb_build_object('state', trip.state, 'customer_id', trip.customer_id, 'driver_id', trip.driver_id) || payload);
END
$$;
COMMENT ON FUNCTION hail.trip_event(hail.trips, text, jsonb) IS
'Write a trip''s event under the version that its row has just been given. Internal.';

CREATE FUNCTION hail.wake_dispatcher() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_wake_dispatcher';
COMMENT ON FUNCTION hail.wake_dispatcher() IS 'The dispatcher looks at searching trips as soon as this transaction commits. Internal.';

CREATE FUNCTION hail.match_trip(trip_id uuid) RETURNS integer
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_match_trip';
COMMENT ON FUNCTION hail.match_trip(uuid) IS
'One matching round of a searching trip that the caller has locked: the number of offers made. Internal.';

CREATE FUNCTION hail.step_trip(trip_id uuid, moment timestamptz) RETURNS uuid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
    expired uuid[];
BEGIN
    WITH gone AS (
        UPDATE hail.offers o SET status = 'expired', responded_at = moment
        WHERE o.trip_id = step_trip.trip_id AND o.status = 'pending' AND o.expires_at <= moment RETURNING o.driver_id)
    SELECT array_agg(g.driver_id ORDER BY g.driver_id) INTO expired FROM gone g;
    IF expired IS NOT NULL THEN
        UPDATE hail.trips t SET event_version = t.event_version + 1 WHERE t.id = step_trip.trip_id RETURNING * INTO trip;
        PERFORM hail.trip_event(trip, 'OfferExpired', jsonb_build_object('round', trip.round, 'drivers', to_jsonb(expired)));
    ELSE
        SELECT * INTO trip FROM hail.trips t WHERE t.id = step_trip.trip_id;
    END IF;
    IF trip.search_until <= moment THEN
        PERFORM hail.withdraw_offers(trip.id, moment);
        UPDATE hail.trips t SET state = hail.next_state(trip.state, 'give_up', 'system'), next_round_at = NULL,
               event_version = t.event_version + 1
        WHERE t.id = trip.id RETURNING * INTO trip;
        PERFORM hail.trip_event(trip, 'TripNoDrivers', jsonb_build_object('rounds', trip.round));
    ELSE
        PERFORM hail.match_trip(trip.id);
    END IF;
    RETURN coalesce(expired, '{}');
END
$$;
COMMENT ON FUNCTION hail.step_trip(uuid, timestamptz) IS
'What is due for a locked searching trip: offers past their time expire, then the next round, or the end of the search. Returns the drivers who let an offer go by. Internal.';

CREATE FUNCTION hail.dispatch_tick() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz := hail.clock();
    due uuid[];
    trip_id uuid;
    gone uuid[] := '{}';
BEGIN
    PERFORM hail.require_admin();
    -- Trips that somebody is changing right now can wait for the next tick: it never waits for them.
    SELECT array_agg(l.id) INTO due FROM (
        SELECT t.id FROM hail.trips t WHERE t.state = 'searching' AND t.next_round_at <= moment
        ORDER BY t.next_round_at, t.id LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED) l;
    IF due IS NULL THEN
        RETURN 0;
    END IF;
    -- Offers of several trips: all their locks now, in the one order.
    PERFORM FROM hail.offers o WHERE o.trip_id = ANY (due) AND o.status = 'pending' ORDER BY o.id FOR NO KEY UPDATE;
    FOREACH trip_id IN ARRAY due LOOP
        BEGIN
            gone := gone || hail.step_trip(trip_id, moment);
        EXCEPTION WHEN OTHERS THEN
            -- One bad trip must not stop the others; it is tried again later.
            RAISE WARNING 'matching trip %: %', trip_id, SQLERRM USING ERRCODE = SQLSTATE;
            UPDATE hail.trips t SET next_round_at = moment + p.retry_after FROM hail.dispatch_policies p
            WHERE t.id = trip_id AND p.id = t.policy_id;
        END;
    END LOOP;
    -- Driver rows come after trips and offers, in the order of their ids.
    PERFORM FROM hail.drivers d WHERE d.id = ANY (gone) ORDER BY d.id FOR NO KEY UPDATE;
    UPDATE hail.drivers d SET offers_total = d.offers_total + g.offers
    FROM (SELECT u.id, count(*) AS offers FROM unnest(gone) AS u (id) GROUP BY u.id) g WHERE d.id = g.id;
    RETURN cardinality(due);
END
$$;
COMMENT ON FUNCTION hail.dispatch_tick() IS
'Do what is due for searching trips, at most 100 of them: expire offers, run rounds, give up. Returns how many trips were looked at; call again while it is 100. The dispatcher worker calls it; administrators may.';
GRANT EXECUTE ON FUNCTION hail.dispatch_tick() TO hail_admin;

CREATE FUNCTION hail.rank_drivers(trip_id uuid, max_results integer DEFAULT 20)
RETURNS TABLE (driver_id uuid, score float8, distance_m float8, pickup_eta_s integer, distance_term float8, rating_term float8,
               acceptance_term float8, completion_term float8, vehicle_term float8, repeat_term float8, gate text)
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_rank_drivers';
COMMENT ON FUNCTION hail.rank_drivers(uuid, integer) IS
'Available drivers within the radius of the trip''s newest round, best first, with each weighted term of the score (they add up to it); gate tells why a driver is passed over: self, gave_back, blocked, declined, asked, preferred_area, pending_offers. Administrators only. Errors: not_found, warming.';
GRANT EXECUTE ON FUNCTION hail.rank_drivers(uuid, integer) TO hail_admin;

-- A trip's life

CREATE FUNCTION hail.check_trip_request(quote hail.quotes, payment_method text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF quote.used_at IS NOT NULL THEN
        PERFORM hail.fail('quote_used', 'this quote has been used', 'quote_id', 'Ask for a new quote.');
    ELSIF quote.expires_at <= hail.clock() THEN
        PERFORM hail.fail('quote_expired', 'this quote has expired', 'quote_id', 'Ask for a new quote.');
    ELSIF hail.surge_at(quote.pickup_lat, quote.pickup_lng) > quote.surge * 1.5 THEN
        PERFORM hail.fail('quote_changed', 'prices have risen since this quote', 'quote_id', 'Ask for a new quote.');
    ELSIF payment_method = 'wallet' AND quote.total > coalesce((
            SELECT a.posted - a.held FROM hail.accounts a WHERE a.kind = 'CUSTOMER_WALLET'
            AND a.owner_id = quote.customer_id AND a.currency = quote.currency), 0) THEN
        PERFORM hail.fail('insufficient_balance', 'the wallet does not cover the price', 'payment_method',
                          'Add money to the wallet or pay cash.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_trip_request(hail.quotes, text) IS
'Errors unless a trip can be made of this locked quote: quote_used, quote_expired, quote_changed, insufficient_balance. Internal.';

CREATE FUNCTION hail.repeated_request(customer_id uuid, quote_id uuid, payment_method text, strategy text,
                                      idempotency_key text) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    trip hail.trips;
BEGIN
    SELECT * INTO trip FROM hail.trips t
    WHERE t.customer_id = repeated_request.customer_id AND t.idempotency_key = repeated_request.idempotency_key;
    IF trip.id IS NOT NULL AND (trip.quote_id, trip.payment_method, trip.strategy)
            <> (repeated_request.quote_id, repeated_request.payment_method, repeated_request.strategy) THEN
        PERFORM hail.fail('idempotency_mismatch', 'this key was used with another request', 'idempotency_key',
                          'Use a new key for a new trip.');
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.repeated_request(uuid, uuid, text, text, text) IS
'The trip that this customer''s key has already made, NULLs when none; error idempotency_mismatch when the stored request was another. Internal.';

CREATE FUNCTION hail.request_trip(quote_id uuid, payment_method text, strategy text DEFAULT 'first_accept',
                                  idempotency_key text DEFAULT NULL, scheduled_for timestamptz DEFAULT NULL)
RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    role text := hail.caller_role();
    quote hail.quotes;
    service text;
    policy hail.dispatch_policies;
    trip hail.trips;
    moment timestamptz;
BEGIN
    IF role NOT IN ('customer', 'admin') THEN
        PERFORM hail.fail('forbidden', 'only customers request trips');
    ELSIF coalesce(length(request_trip.idempotency_key), 0) NOT BETWEEN 1 AND 200 THEN
        PERFORM hail.fail('idempotency_key_required', 'a trip needs an idempotency key of 1 to 200 characters', 'idempotency_key');
    ELSIF request_trip.payment_method IS NULL OR request_trip.payment_method NOT IN ('wallet', 'cash') THEN
        PERFORM hail.fail('invalid_value', 'payment_method is wallet or cash', 'payment_method');
    ELSIF request_trip.strategy IS DISTINCT FROM 'first_accept' THEN
        PERFORM hail.fail('invalid_value', 'strategy is first_accept', 'strategy');
    ELSIF request_trip.scheduled_for IS NOT NULL THEN
        PERFORM hail.fail('invalid_value', 'trips cannot be scheduled yet', 'scheduled_for');
    END IF;
    SELECT * INTO quote FROM hail.quotes q WHERE q.id = request_trip.quote_id
       AND (role = 'admin' OR q.customer_id = hail.current_subject()) FOR NO KEY UPDATE;
    IF quote.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such quote', 'quote_id');
    END IF;
    trip := hail.repeated_request(quote.customer_id, quote.id, request_trip.payment_method, request_trip.strategy,
                                  request_trip.idempotency_key);
    IF trip.id IS NOT NULL THEN
        RETURN trip;
    END IF;
    PERFORM hail.check_trip_request(quote, request_trip.payment_method);
    SELECT c.service INTO service FROM hail.service_classes c WHERE c.code = quote.service_class;
    policy := hail.dispatch_policy(quote.region_id, service);
    moment := hail.clock();
    -- One statement decides between concurrent requests; a loser finds out below which rule it met.
    INSERT INTO hail.trips (region_id, service, service_class, customer_id, quote_id, state, strategy, payment_method,
            pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee,
            currency, surge, policy_id, search_until, next_round_at, event_version, idempotency_key, requested_at)
        VALUES (quote.region_id, service, quote.service_class, quote.customer_id, quote.id, 'searching',
            request_trip.strategy, request_trip.payment_method, quote.pickup_lat, quote.pickup_lng, quote.dropoff_lat,
            quote.dropoff_lng, quote.distance_m, quote.duration_s, quote.total, quote.commission_bp, quote.cancellation_fee,
            quote.currency, quote.surge, policy.id, moment + policy.patience, moment, 1, request_trip.idempotency_key, moment)
        ON CONFLICT DO NOTHING RETURNING * INTO trip;
    IF trip.id IS NULL THEN
        trip := hail.repeated_request(quote.customer_id, quote.id, request_trip.payment_method, request_trip.strategy,
                                      request_trip.idempotency_key);
        IF trip.id IS NULL THEN
            PERFORM hail.fail('active_trip_exists', 'the customer has a trip already', 'quote_id',
                              'Finish or cancel the trip first.');
        END IF;
        RETURN trip;
    END IF;
    UPDATE hail.quotes q SET used_at = moment WHERE q.id = quote.id;
    PERFORM hail.trip_event(trip, 'TripRequested', jsonb_build_object('service_class', trip.service_class, 'price', trip.price,
        'currency', trip.currency, 'payment_method', trip.payment_method, 'pickup_lat', trip.pickup_lat,
        'pickup_lng', trip.pickup_lng, 'dropoff_lat', trip.dropoff_lat, 'dropoff_lng', trip.dropoff_lng));
    -- The first round belongs to the request: its offers are out when the customer has the answer.
    PERFORM hail.match_trip(trip.id);
    SELECT * INTO trip FROM hail.trips t WHERE t.id = trip.id;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.request_trip(uuid, text, text, text, timestamptz) IS
'Make a trip of a quote (customer itself or admin) and offer it to the first drivers. The same key with the same request returns the first trip. Errors: not_found, quote_expired, quote_used, quote_changed, insufficient_balance, active_trip_exists (rides: one at a time), idempotency_mismatch.';
GRANT EXECUTE ON FUNCTION hail.request_trip(uuid, text, text, text, timestamptz) TO hail_customer, hail_admin;

CREATE FUNCTION hail.get_trip(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
    subject uuid := hail.current_subject();
    trip hail.trips;
BEGIN
    SELECT * INTO trip FROM hail.trips t WHERE t.id = get_trip.trip_id
       AND (role = 'admin' OR role = 'customer' AND t.customer_id = subject
            OR role = 'driver' AND (t.driver_id = subject OR EXISTS (SELECT FROM hail.offers o
                WHERE o.trip_id = t.id AND o.driver_id = subject AND o.status = 'pending')));
    IF trip.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    END IF;
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.get_trip(uuid) IS
'A trip, for its customer (with the pickup code once matched), its driver, drivers holding an offer of it, administrators. Error not_found for all others.';
GRANT EXECUTE ON FUNCTION hail.get_trip(uuid) TO hail_customer, hail_driver, hail_admin;

CREATE FUNCTION hail.accept_offer(trip_id uuid, driver_id uuid, idempotency_key text DEFAULT NULL,
                                  OUT trip hail.trips, OUT already_accepted boolean)
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_accept_offer';
COMMENT ON FUNCTION hail.accept_offer(uuid, uuid, text) IS
'A driver (itself or admin) takes an offered trip, in one commit: trip matched, all other offers of the trip and of the driver withdrawn, driver busy, fare held, pickup code made. The same driver''s retry answers already_accepted. Errors: not_found, trip_taken, offer_closed, offer_expired, driver_busy, driver_not_eligible, insufficient_balance (nothing has changed then).';
GRANT EXECUTE ON FUNCTION hail.accept_offer(uuid, uuid, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.arrive(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
BEGIN
    UPDATE hail.trips t SET state = hail.next_state(trip.state, 'arrive', 'driver'), arrived_at = hail.clock(),
           event_version = t.event_version + 1 WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'DriverArrived');
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.arrive(uuid) IS 'The driver (itself or admin) has reached the pickup. Errors: not_found, wrong_state.';
GRANT EXECUTE ON FUNCTION hail.arrive(uuid) TO hail_driver, hail_admin;

CREATE FUNCTION hail.start_trip(trip_id uuid, pickup_code text) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    to_state text := hail.next_state(trip.state, 'start', 'driver');
BEGIN
    IF trip.pickup_code IS DISTINCT FROM start_trip.pickup_code THEN
        PERFORM hail.fail('wrong_pickup_code', 'the pickup code is not right', 'pickup_code', 'The customer has the code.');
    END IF;
    UPDATE hail.trips t SET state = to_state, started_at = hail.clock(), event_version = t.event_version + 1
    WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'TripStarted');
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.start_trip(uuid, text) IS
'The driver (itself or admin) starts the trip with the code the customer shows. Errors: not_found, wrong_state, wrong_pickup_code.';
GRANT EXECUTE ON FUNCTION hail.start_trip(uuid, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.complete_trip(trip_id uuid, idempotency_key text DEFAULT NULL) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    moment timestamptz := hail.clock();
    to_state text;
BEGIN
    IF trip.state = 'completed' THEN
        RETURN hail.trip_for_caller(trip);
    END IF;
    to_state := hail.next_state(trip.state, 'complete', hail.current_role_name());
    UPDATE hail.trips t SET state = to_state, completed_at = moment, event_version = t.event_version + 1
    WHERE t.id = trip.id RETURNING * INTO trip;
    UPDATE hail.drivers d SET trip_id = NULL, idle_since = moment, trips_total = d.trips_total + 1,
           trips_completed = d.trips_completed + 1,
           cooldown_until = moment + (SELECT r.cooldown FROM hail.regions r WHERE r.id = trip.region_id)
    WHERE d.id = trip.driver_id;
    INSERT INTO hail.customer_drivers AS c (customer_id, driver_id, trips) VALUES (trip.customer_id, trip.driver_id, 1)
        ON CONFLICT (customer_id, driver_id) DO UPDATE SET trips = c.trips + 1;
    PERFORM hail.settle_trip(trip);
    PERFORM hail.trip_event(trip, 'TripCompleted', jsonb_build_object('price', trip.price, 'currency', trip.currency,
        'payment_method', trip.payment_method));
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.complete_trip(uuid, text) IS
'The trip has ended (its driver or admin): the fare is captured and split, the driver cools down and is free. Again: the same trip. Errors: not_found, wrong_state.';
GRANT EXECUTE ON FUNCTION hail.complete_trip(uuid, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.cancel_actor(actor text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
BEGIN
    IF role NOT IN ('customer', 'driver', 'admin') OR role <> 'admin' AND actor <> role
       OR actor NOT IN ('customer', 'driver', 'admin') THEN
        PERFORM hail.fail('forbidden', 'a trip is cancelled by its customer, its driver or an administrator', 'actor');
    END IF;
    RETURN coalesce(actor, role);
END
$$;
COMMENT ON FUNCTION hail.cancel_actor(text) IS
'As whom the caller cancels trips: its role, or, for administrators, the actor named. Error forbidden. Internal.';

CREATE FUNCTION hail.lock_trip_of_caller(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.current_role_name();
    trip hail.trips := hail.lock_trip(trip_id);
BEGIN
    IF NOT coalesce(role = 'admin' OR role = 'customer' AND trip.customer_id = hail.current_subject()
                    OR role = 'driver' AND trip.driver_id = hail.current_subject(), false) THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.lock_trip_of_caller(uuid) IS
'Lock a trip for its customer, its driver or an administrator; for anybody else it does not exist. Internal.';

CREATE FUNCTION hail.withdraw_offers(trip_id uuid, moment timestamptz) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE hail.offers o SET status = 'withdrawn', responded_at = moment
    FROM (SELECT p.id FROM hail.offers p WHERE p.trip_id = withdraw_offers.trip_id AND p.status = 'pending'
          ORDER BY p.id FOR NO KEY UPDATE) locked
    WHERE o.id = locked.id;
END;
COMMENT ON FUNCTION hail.withdraw_offers(uuid, timestamptz) IS 'Close the pending offers of a locked trip, in the order of their ids. Internal.';

CREATE FUNCTION hail.cancel_trip(trip_id uuid, actor text DEFAULT NULL, reason text DEFAULT NULL) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text := hail.cancel_actor(actor);
    old hail.trips := hail.lock_trip_of_caller(trip_id);
    trip hail.trips;
    to_state text := hail.next_state(old.state, 'cancel', who);
    moment timestamptz := hail.clock();
    fee bigint := CASE WHEN who = 'customer' AND old.state = 'arrived' THEN old.cancellation_fee ELSE 0 END;
BEGIN
    IF to_state = 'searching' THEN
        UPDATE hail.offers o SET status = 'cancelled', reason = cancel_trip.reason WHERE o.trip_id = old.id AND o.status = 'accepted';
        UPDATE hail.trips t SET state = to_state, driver_id = NULL, pickup_code = NULL, hold_id = NULL, matched_at = NULL,
               arrived_at = NULL, excluded_drivers = t.excluded_drivers || old.driver_id, rounds_before = t.round,
               next_round_at = moment, event_version = t.event_version + 1,
               search_until = moment + (SELECT p.patience FROM hail.dispatch_policies p WHERE p.id = t.policy_id)
        WHERE t.id = old.id RETURNING * INTO trip;
    ELSE
        PERFORM hail.withdraw_offers(old.id, moment);
        UPDATE hail.trips t SET state = to_state, cancelled_at = moment, cancelled_by = who, cancel_reason = reason,
               next_round_at = NULL, event_version = t.event_version + 1
        WHERE t.id = old.id RETURNING * INTO trip;
    END IF;
    IF to_state = 'searching' THEN
        PERFORM hail.wake_dispatcher();
    END IF;
    IF old.driver_id IS NOT NULL THEN
        UPDATE hail.drivers d SET trip_id = NULL, idle_since = moment,
               trips_total = d.trips_total + CASE WHEN who = 'driver' THEN 1 ELSE 0 END
        WHERE d.id = old.driver_id;
    END IF;
    IF fee > 0 THEN
        PERFORM hail.charge_cancellation(old, fee);
    ELSIF old.hold_id IS NOT NULL THEN
        PERFORM hail.release_trip_fare(old);
    END IF;
    PERFORM hail.trip_event(trip, 'TripCancelled',
        jsonb_build_object('by', who, 'reason', reason, 'fee', fee, 'from_driver', old.driver_id));
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.cancel_trip(uuid, text, text) IS
'Cancel as customer, driver or admin (default: the caller''s role; administrators may act for either). A driver''s cancellation sends the trip back to searching without that driver. A customer pays the cancellation fee once the driver has arrived. Errors: not_found, forbidden, wrong_state.';
GRANT EXECUTE ON FUNCTION hail.cancel_trip(uuid, text, text) TO hail_customer, hail_driver, hail_admin;

CREATE FUNCTION hail.decline_offer(trip_id uuid, driver_id uuid, reason text DEFAULT NULL) RETURNS hail.offers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    trip hail.trips;
    offer hail.offers;
    moment timestamptz;
BEGIN
    PERFORM hail.require_self('driver', decline_offer.driver_id);
    trip := hail.lock_trip(decline_offer.trip_id);
    moment := hail.clock();
    SELECT * INTO offer FROM hail.offers o WHERE o.trip_id = trip.id AND o.driver_id = decline_offer.driver_id
    ORDER BY o.round DESC LIMIT 1 FOR NO KEY UPDATE;
    IF offer.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such offer', 'trip_id');
    ELSIF offer.status = 'declined' THEN
        RETURN offer;
    ELSIF offer.status = 'expired' THEN
        PERFORM hail.fail('offer_expired', 'this offer has expired', 'trip_id');
    ELSIF offer.status <> 'pending' THEN
        PERFORM hail.fail('offer_closed', 'this offer is closed', 'trip_id');
    END IF;
    UPDATE hail.offers o SET status = 'declined', reason = decline_offer.reason, responded_at = moment
    WHERE o.id = offer.id RETURNING * INTO offer;
    UPDATE hail.trips t SET event_version = t.event_version + 1,
           next_round_at = CASE WHEN EXISTS (SELECT FROM hail.offers o WHERE o.trip_id = t.id AND o.status = 'pending')
                           THEN t.next_round_at ELSE moment END
    WHERE t.id = trip.id RETURNING * INTO trip;
    UPDATE hail.drivers d SET offers_total = d.offers_total + 1 WHERE d.id = offer.driver_id;
    IF trip.next_round_at <= moment THEN
        PERFORM hail.wake_dispatcher();
    END IF;
    PERFORM hail.trip_event(trip, 'OfferRejected',
        jsonb_build_object('offer_id', offer.id, 'offered_to', offer.driver_id, 'reason', offer.reason));
    RETURN offer;
END
$$;
COMMENT ON FUNCTION hail.decline_offer(uuid, uuid, text) IS
'A driver (itself or admin) turns an offer down and is not asked again for this trip; when it was the last one out, the next round starts. Again: the same offer. Errors: not_found, offer_expired, offer_closed.';
GRANT EXECUTE ON FUNCTION hail.decline_offer(uuid, uuid, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.driver_offers(driver_id uuid)
RETURNS TABLE (offer_id uuid, trip_id uuid, service_class text, pickup_lat float8, pickup_lng float8, dropoff_lat float8,
               dropoff_lng float8, distance_m integer, duration_s integer, price bigint, earning bigint, currency text,
               payment_method text, pickup_distance_m integer, pickup_eta_s integer, created_at timestamptz,
               expires_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_self('driver', driver_offers.driver_id);
    RETURN QUERY
        SELECT o.id, t.id, t.service_class, t.pickup_lat, t.pickup_lng, t.dropoff_lat, t.dropoff_lng, t.distance_m, t.duration_s,
               t.price, t.price - hail.commission(t.price, t.commission_bp), t.currency, t.payment_method,
               o.pickup_distance_m, o.pickup_eta_s, o.created_at, o.expires_at
        FROM hail.offers o JOIN hail.trips t ON t.id = o.trip_id
        WHERE o.driver_id = driver_offers.driver_id AND o.status = 'pending' AND o.expires_at > hail.clock()
        ORDER BY o.id;
END
$$;
COMMENT ON FUNCTION hail.driver_offers(uuid) IS
'What is offered to a driver now (itself or admin): trip, fare and its share, distance and seconds to the pickup, expiry.';
GRANT EXECUTE ON FUNCTION hail.driver_offers(uuid) TO hail_driver, hail_admin;

CREATE TYPE hail.trip_matching AS (trip_id uuid, state text, status text, round integer, radius_m float8,
    offers_pending bigint, offers_made bigint, driver_id uuid, search_until timestamptz);

CREATE FUNCTION hail.search_radius(trip hail.trips) RETURNS float8
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT p.radius_m[least(cardinality(p.radius_m), (greatest((trip).round - (trip).rounds_before, 1) - 1) / p.rounds_per_radius + 1)]
    FROM hail.dispatch_policies p WHERE p.id = (trip).policy_id);
COMMENT ON FUNCTION hail.search_radius(hail.trips) IS
'Metres around the pickup that the trip''s newest round searched: rounds_per_radius rounds for each radius of the policy, then the widest. Internal.';

CREATE FUNCTION hail.matching_status(trip_id uuid) RETURNS hail.trip_matching
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.get_trip(trip_id);
    result hail.trip_matching;
BEGIN
    SELECT count(*) FILTER (WHERE o.status = 'pending'), count(*) INTO result.offers_pending, result.offers_made
    FROM hail.offers o WHERE o.trip_id = trip.id;
    result.trip_id := trip.id;
    result.state := trip.state;
    result.status := CASE WHEN trip.state IN ('cancelled', 'no_drivers') THEN trip.state
                          WHEN trip.state <> 'searching' THEN 'matched'
                          WHEN result.offers_pending > 0 THEN 'offers_pending' ELSE 'searching' END;
    result.round := trip.round;
    result.radius_m := hail.search_radius(trip);
    result.driver_id := trip.driver_id;
    result.search_until := trip.search_until;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.matching_status(uuid) IS
'How the search for a driver stands, for whoever may see the trip. status: searching, offers_pending, matched, no_drivers, cancelled.';
GRANT EXECUTE ON FUNCTION hail.matching_status(uuid) TO hail_customer, hail_driver, hail_admin;

CREATE FUNCTION hail.check_dispatch() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n bigint;
BEGIN
    PERFORM hail.require_admin();
    SELECT count(*) INTO n
    FROM (SELECT d.id, d.trip_id FROM hail.drivers d WHERE d.trip_id IS NOT NULL) d
    FULL JOIN (SELECT t.id, t.driver_id FROM hail.trips t WHERE t.state IN ('matched', 'arrived', 'started')) t
         ON t.id = d.trip_id AND t.driver_id = d.id
    WHERE d.id IS NULL OR t.id IS NULL;
    RETURN QUERY SELECT 'dispatch', CASE WHEN n = 0 THEN 'ok' ELSE 'fail' END,
        format('%s drivers and trips do not name each other', n),
        CASE WHEN n > 0 THEN 'Compare hail.drivers.trip_id with hail.trips.driver_id of trips under way.' END;
    SELECT count(*) INTO n FROM hail.offers o JOIN hail.trips t ON t.id = o.trip_id
    WHERE o.status = 'pending' AND t.state <> 'searching';
    RETURN QUERY SELECT 'dispatch', CASE WHEN n = 0 THEN 'ok' ELSE 'fail' END,
        format('%s offers are pending for trips that look for nobody', n),
        CASE WHEN n > 0 THEN 'Withdraw them: UPDATE hail.offers SET status = ''withdrawn''.' END;
    SELECT count(*) INTO n FROM hail.trips t WHERE t.state IN ('matched', 'arrived', 'started')
       AND NOT EXISTS (SELECT FROM hail.offers o
                       WHERE o.trip_id = t.id AND o.driver_id = t.driver_id AND o.status = 'accepted');
    RETURN QUERY SELECT 'dispatch', CASE WHEN n = 0 THEN 'ok' ELSE 'fail' END,
        format('%s trips have a driver who accepted no offer', n), NULL;
    SELECT count(*) INTO n FROM hail.trips t WHERE t.state IN ('matched', 'arrived', 'started')
       AND t.payment_method = 'wallet' AND t.price > 0 AND NOT EXISTS (
           SELECT FROM hail.holds h WHERE h.id = t.hold_id AND h.status = 'held');
    RETURN QUERY SELECT 'dispatch', CASE WHEN n = 0 THEN 'ok' ELSE 'fail' END,
        format('%s wallet trips are under way without a hold', n), NULL;
    SELECT count(*) INTO n FROM hail.trips t
    WHERE t.state = 'searching' AND (t.next_round_at < hail.clock() - interval '10 seconds' OR t.next_round_at IS NULL);
    RETURN QUERY SELECT 'dispatch', CASE WHEN n = 0 THEN 'ok' ELSE 'warn' END,
        format('%s searching trips have waited more than 10 seconds for the dispatcher', n),
        CASE WHEN n > 0 THEN 'Is the worker "hail dispatcher" running and keeping up? hail.dispatch_tick() does its work by hand.' END;
END
$$;
COMMENT ON FUNCTION hail.check_dispatch() IS
'What must hold between trips, offers, drivers and holds, a row each; and whether the dispatcher keeps up. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.check_dispatch() TO hail_admin;

-- Who sees which rows

CREATE FUNCTION hail.offered_trips() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT o.trip_id FROM hail.offers o WHERE o.driver_id = hail.current_subject() AND o.status = 'pending';
END;
COMMENT ON FUNCTION hail.offered_trips() IS 'Trips the calling driver holds a pending offer of; for policies.';

CREATE FUNCTION hail.own_trip(trip_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM hail.trips t WHERE t.id = trip_id AND t.customer_id = hail.current_subject());
COMMENT ON FUNCTION hail.own_trip(uuid) IS 'The trip is the calling customer''s; for policies.';
GRANT EXECUTE ON FUNCTION hail.offered_trips() TO hail_driver;
GRANT EXECUTE ON FUNCTION hail.own_trip(uuid) TO hail_customer;

CREATE POLICY trips_customer ON hail.trips FOR SELECT TO hail_customer USING (customer_id = hail.current_subject());
CREATE POLICY trips_driver ON hail.trips FOR SELECT TO hail_driver
    USING (driver_id = hail.current_subject() OR id IN (SELECT hail.offered_trips()));
CREATE POLICY trips_admin ON hail.trips FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
CREATE POLICY trips_analyst ON hail.trips FOR SELECT TO hail_analyst USING (hail.current_role_name() = 'analyst');
GRANT SELECT ON hail.trips TO hail_customer, hail_admin;
GRANT SELECT (id, region_id, service, service_class, customer_id, driver_id, driver_slot, state, strategy, payment_method, pickup_lat,
              pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge,
              round, event_version, requested_at, matched_at, arrived_at, started_at, completed_at, cancelled_at, cancelled_by,
              cancel_reason) ON hail.trips TO hail_driver;
GRANT SELECT (id, region_id, service, service_class, state, strategy, payment_method, distance_m, duration_s, price, commission_bp,
              cancellation_fee, currency, surge, round, policy_id, requested_at, matched_at, arrived_at, started_at, completed_at,
              cancelled_at, cancelled_by) ON hail.trips TO hail_analyst;

CREATE POLICY offers_customer ON hail.offers FOR SELECT TO hail_customer USING (hail.own_trip(trip_id));
CREATE POLICY offers_driver ON hail.offers FOR SELECT TO hail_driver USING (driver_id = hail.current_subject());
CREATE POLICY offers_admin ON hail.offers FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
CREATE POLICY offers_analyst ON hail.offers FOR SELECT TO hail_analyst USING (hail.current_role_name() = 'analyst');
GRANT SELECT ON hail.offers TO hail_customer, hail_driver, hail_admin, hail_analyst;

CREATE POLICY trip_transitions_read ON hail.trip_transitions FOR SELECT USING (hail.current_role_name() IS NOT NULL);
GRANT SELECT ON hail.trip_transitions TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
CREATE POLICY dispatch_policies_read ON hail.dispatch_policies FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
GRANT SELECT ON hail.dispatch_policies TO hail_admin, hail_analyst;
