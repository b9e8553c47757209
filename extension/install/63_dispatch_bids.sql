-- 63_dispatch_bids: drivers name their price, the customer chooses (strategy broadcast_bid)

CREATE TABLE hail.bids (
    id           uuid PRIMARY KEY DEFAULT hail.uuid7(),
    trip_id      uuid NOT NULL REFERENCES hail.trips (id),
    driver_id    uuid NOT NULL REFERENCES hail.drivers (id),
    offer_id     uuid NOT NULL REFERENCES hail.offers (id),
    amount       bigint NOT NULL CHECK (amount > 0),
    currency     text NOT NULL,
    pickup_distance_m integer NOT NULL,
    pickup_eta_s integer NOT NULL CHECK (pickup_eta_s BETWEEN 0 AND 86400),
    note         text CHECK (length(note) BETWEEN 1 AND 500),
    status       text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replaced', 'chosen', 'lost', 'withdrawn', 'expired')),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    closed_at    timestamptz,
    CHECK ((status = 'open') = (closed_at IS NULL))
) WITH (fillfactor = 70);
-- One live bid a driver and trip, whoever writes.
CREATE UNIQUE INDEX bids_one_open ON hail.bids (trip_id, driver_id) WHERE status = 'open';
CREATE UNIQUE INDEX bids_one_chosen ON hail.bids (offer_id) WHERE status = 'chosen';
CREATE INDEX bids_trip ON hail.bids (trip_id, id);
CREATE INDEX bids_driver ON hail.bids (driver_id, id);
COMMENT ON TABLE hail.bids IS
'What drivers ask for a trip of strategy broadcast_bid. open -> replaced (by the driver''s next bid) | chosen | lost (another was chosen) | withdrawn (the driver declined or took another trip, or the trip ended) | expired (with its round). A bid lives as long as its offer and changes only under that offer''s lock.';
COMMENT ON COLUMN hail.bids.pickup_eta_s IS 'Seconds to the pickup: what the driver says, else the estimate of its offer.';

CREATE POLICY bids_customer ON hail.bids FOR SELECT TO hail_customer USING (hail.own_trip(trip_id));
CREATE POLICY bids_driver ON hail.bids FOR SELECT TO hail_driver USING (driver_id = hail.current_subject());
CREATE POLICY bids_admin ON hail.bids FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
CREATE POLICY bids_analyst ON hail.bids FOR SELECT TO hail_analyst USING (hail.current_role_name() = 'analyst');
GRANT SELECT ON hail.bids TO hail_customer, hail_driver, hail_admin;
GRANT SELECT (id, trip_id, driver_id, offer_id, amount, currency, pickup_distance_m, pickup_eta_s, status, created_at, expires_at,
              closed_at) ON hail.bids TO hail_analyst;

CREATE FUNCTION hail.close_bid() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE hail.bids b SET closed_at = coalesce(NEW.responded_at, hail.clock()),
           status = CASE NEW.status WHEN 'accepted' THEN 'chosen' WHEN 'expired' THEN 'expired' ELSE 'withdrawn' END
    WHERE b.id = NEW.bid_id AND b.status = 'open';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION hail.close_bid() IS 'Trigger: a bid ends with its offer, whatever ends that. Internal.';
CREATE TRIGGER offers_close_bid AFTER UPDATE OF status ON hail.offers FOR EACH ROW
    WHEN (OLD.status = 'pending' AND NEW.status <> 'pending' AND NEW.bid_id IS NOT NULL) EXECUTE FUNCTION hail.close_bid();

CREATE FUNCTION hail.bid_limits(trip hail.trips, OUT lowest bigint, OUT highest bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT greatest(ceil(o.total * p.bid_min_bp::numeric / 10000 / q.rounding) * q.rounding, 1)::bigint,
           greatest(floor(o.total * p.bid_max_bp::numeric / 10000 / q.rounding) * q.rounding, 1)::bigint
    FROM hail.quotes q, hail.quoted_price(trip) o (total), hail.dispatch_policies p
    WHERE q.id = (trip).quote_id AND p.id = (trip).policy_id;
END;
COMMENT ON FUNCTION hail.bid_limits(hail.trips) IS
'Lowest and highest bid for a trip, minor units: the policy''s share of the quoted price, rounded inwards to the quote''s rounding. Internal.';

CREATE FUNCTION hail.check_bid(trip hail.trips, offer hail.offers, driver hail.drivers, moment timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF trip.strategy <> 'broadcast_bid' THEN
        PERFORM hail.fail('wrong_state', 'this trip takes no bids', 'trip_id', 'Accept the offer.');
    ELSIF trip.driver_id IS NOT NULL THEN
        PERFORM hail.fail('trip_taken', 'a bid has been chosen for this trip', 'trip_id');
    ELSIF trip.state <> 'searching' THEN
        PERFORM hail.fail('offer_closed', 'this trip is not looking for a driver any more', 'trip_id');
    ELSIF offer.status = 'expired' OR offer.status = 'pending' AND offer.expires_at <= moment THEN
        PERFORM hail.fail('offer_expired', 'this offer has expired', 'trip_id');
    ELSIF driver.trip_id IS NOT NULL AND (trip.service = 'ride' OR driver.active_jobs >= driver.job_capacity) THEN
        PERFORM hail.fail('driver_busy', 'this driver is on a trip', 'driver_id');
    ELSIF offer.status <> 'pending' THEN
        PERFORM hail.fail('offer_closed', 'this offer is closed', 'trip_id');
    ELSIF driver.status <> 'approved' OR NOT driver.online THEN
        PERFORM hail.fail('driver_not_eligible', 'this driver is not online and approved', 'driver_id');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_bid(hail.trips, hail.offers, hail.drivers, timestamptz) IS
'Errors unless a driver may bid for a trip by its newest offer, both locked. Internal.';

CREATE FUNCTION hail.place_bid(trip_id uuid, driver_id uuid, amount bigint, pickup_eta_s integer DEFAULT NULL,
                               note text DEFAULT NULL) RETURNS hail.bids
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    trip hail.trips;
    offer hail.offers;
    driver hail.drivers;
    bid hail.bids;
    moment timestamptz;
    limits record;
BEGIN
    PERFORM hail.require_self('driver', place_bid.driver_id);
    IF place_bid.amount IS NULL OR place_bid.amount <= 0 THEN
        PERFORM hail.fail('invalid_value', 'amount must be above 0', 'amount');
    ELSIF place_bid.pickup_eta_s NOT BETWEEN 0 AND 86400 THEN
        PERFORM hail.fail('invalid_value', 'pickup_eta_s must be from 0 to 86400', 'pickup_eta_s');
    ELSIF length(place_bid.note) > 500 THEN
        PERFORM hail.fail('invalid_value', 'note has 500 characters at most', 'note');
    END IF;
    trip := hail.lock_offered_trip(place_bid.trip_id, place_bid.driver_id);
    SELECT * INTO offer FROM hail.offers o WHERE o.trip_id = trip.id AND o.driver_id = place_bid.driver_id
    ORDER BY o.round DESC LIMIT 1 FOR NO KEY UPDATE;
    moment := hail.clock();
    -- Not locked: a bid takes nobody. Whether the driver is free counts when the bid is chosen.
    SELECT * INTO driver FROM hail.drivers d WHERE d.id = place_bid.driver_id;
    PERFORM hail.check_bid(trip, offer, driver, moment);
    SELECT * INTO limits FROM hail.bid_limits(trip);
    IF place_bid.amount NOT BETWEEN limits.lowest AND limits.highest THEN
        PERFORM hail.fail('bid_out_of_bounds', format('bids for this trip are from %s to %s %s (minor units)',
                          limits.lowest, limits.highest, trip.currency), 'amount', NULL,
                          format('lowest=%s highest=%s', limits.lowest, limits.highest));
    END IF;
    SELECT * INTO bid FROM hail.bids b WHERE b.id = offer.bid_id AND b.status = 'open';
    IF (bid.amount, bid.pickup_eta_s, bid.note) IS NOT DISTINCT FROM
            (place_bid.amount, coalesce(place_bid.pickup_eta_s, least(offer.pickup_eta_s, 86400)), nullif(place_bid.note, '')) THEN
        RETURN bid;
    END IF;
    UPDATE hail.bids b SET status = 'replaced', closed_at = moment WHERE b.id = bid.id;
    INSERT INTO hail.bids (trip_id, driver_id, offer_id, amount, currency, pickup_distance_m, pickup_eta_s, note, created_at, expires_at)
        VALUES (trip.id, offer.driver_id, offer.id, place_bid.amount, trip.currency, offer.pickup_distance_m,
            coalesce(place_bid.pickup_eta_s, least(offer.pickup_eta_s, 86400)), nullif(place_bid.note, ''), moment, offer.expires_at)
        RETURNING * INTO bid;
    UPDATE hail.offers o SET bid_id = bid.id WHERE o.id = offer.id;
    UPDATE hail.trips t SET event_version = t.event_version + 1 WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'BidPlaced', jsonb_build_object('bid_id', bid.id, 'bidder', bid.driver_id, 'amount', bid.amount,
        'currency', bid.currency, 'pickup_eta_s', bid.pickup_eta_s, 'expires_at', bid.expires_at));
    RETURN bid;
END
$$;
COMMENT ON FUNCTION hail.place_bid(uuid, uuid, bigint, integer, text) IS
'A driver (itself or admin) who holds an offer of a broadcast_bid trip asks this price for it: minor units of the trip''s currency, within the policy''s share of the quoted price; pickup_eta_s: seconds it needs to the pickup (default: the offer''s estimate). A driver has one live bid a trip: placing another replaces it under a new id; the same again returns the same bid. It ends with its offer. Errors: invalid_value (amount, pickup_eta_s, note), not_found, wrong_state (the trip takes no bids), trip_taken, offer_closed, offer_expired, driver_busy, driver_not_eligible, bid_out_of_bounds (detail: lowest=N highest=N).';
GRANT EXECUTE ON FUNCTION hail.place_bid(uuid, uuid, bigint, integer, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.trip_bids(trip_id uuid)
RETURNS TABLE (bid_id uuid, driver_id uuid, driver_name text, rating real, rating_count integer, trips_completed integer,
               amount bigint, currency text, pickup_distance_m integer, pickup_eta_s integer, note text, created_at timestamptz,
               expires_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    role text := hail.caller_role();
BEGIN
    IF role NOT IN ('customer', 'admin') OR NOT EXISTS (SELECT FROM hail.trips t WHERE t.id = trip_bids.trip_id
            AND (role = 'admin' OR t.customer_id = hail.current_subject())) THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    END IF;
    RETURN QUERY
        SELECT b.id, b.driver_id, u.name, d.rating::real, d.rating_count, d.trips_completed, b.amount, b.currency, b.pickup_distance_m,
               b.pickup_eta_s, b.note, b.created_at, b.expires_at
        FROM hail.bids b JOIN hail.drivers d ON d.id = b.driver_id JOIN hail.users u ON u.id = d.id
        WHERE b.trip_id = trip_bids.trip_id AND b.status = 'open' AND b.expires_at > hail.clock()
        ORDER BY b.amount, b.pickup_eta_s, b.id;
END
$$;
COMMENT ON FUNCTION hail.trip_bids(uuid) IS
'The bids a customer can choose from now (for the trip''s customer and administrators), cheapest first: who asks how much, metres (when offered) and seconds to the pickup, the driver''s rating and completed trips. Error not_found.';
GRANT EXECUTE ON FUNCTION hail.trip_bids(uuid) TO hail_customer, hail_admin;

CREATE FUNCTION hail.accept_for(trip_id uuid, driver_id uuid, actor text, price bigint) RETURNS hail.trips
LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_accept_for';
COMMENT ON FUNCTION hail.accept_for(uuid, uuid, text, bigint) IS
'What hail.accept_offer does, decided by another actor than the driver and at a price of its own (-1: as quoted). Internal.';

CREATE FUNCTION hail.check_choice(trip hail.trips, bid hail.bids, moment timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF bid.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such bid', 'bid_id');
    ELSIF trip.driver_id IS NOT NULL THEN
        PERFORM hail.fail('trip_taken', 'a bid has been chosen for this trip', 'bid_id');
    ELSIF bid.status = 'replaced' THEN
        PERFORM hail.fail('offer_closed', 'the driver has placed another bid since', 'bid_id', 'Read the bids again.');
    ELSIF bid.status = 'expired' OR bid.status = 'open' AND bid.expires_at <= moment THEN
        PERFORM hail.fail('offer_expired', 'this bid has expired', 'bid_id', 'Wait for the next bids.');
    ELSIF bid.status <> 'open' AND EXISTS (SELECT FROM hail.drivers d WHERE d.id = bid.driver_id AND d.trip_id IS NOT NULL) THEN
        PERFORM hail.fail('driver_busy', 'this driver has taken another trip', 'bid_id', 'Choose another bid.');
    ELSIF bid.status <> 'open' THEN
        PERFORM hail.fail('offer_closed', 'this bid is closed', 'bid_id', 'Read the bids again.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_choice(hail.trips, hail.bids, timestamptz) IS
'Errors unless a bid of a locked trip that is searching can be chosen. Internal.';

CREATE FUNCTION hail.tell_bidders(INOUT trip hail.trips, bid hail.bids, others uuid[]) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    loser record;
    version integer := trip.event_version;
BEGIN
    IF bid.id IS NOT NULL THEN
        version := version + 1;
        PERFORM hail.write_event('trip', trip.id, version, 'BidChosen', jsonb_build_object('state', trip.state,
        'customer_id', trip.customer_id, 'driver_id', trip.driver_id, 'bid_id', bid.id, 'amount', bid.amount,
            'currency', bid.currency));
    END IF;
    FOR loser IN
        WITH lost AS (UPDATE hail.bids b SET status = 'lost' WHERE b.id = ANY (others) AND b.status = 'withdrawn' RETURNING b.*)
        SELECT l.id, l.driver_id, l.amount FROM lost l ORDER BY l.id
    LOOP
        version := version + 1;
        PERFORM hail.write_event('trip', trip.id, version, 'BidLost', jsonb_build_object('state', trip.state,
            'customer_id', trip.customer_id, 'driver_id', trip.driver_id, 'bid_id', loser.id, 'bidder', loser.driver_id,
            'amount', loser.amount, 'currency', trip.currency));
    END LOOP;
    UPDATE hail.trips t SET event_version = version, agreed_price = bid.amount,
           agreed_for = CASE WHEN bid.id IS NOT NULL THEN hail.quoted_price(t) END
    WHERE t.id = trip.id RETURNING * INTO trip;
END
$$;
COMMENT ON FUNCTION hail.tell_bidders(hail.trips, hail.bids, uuid[]) IS
'Events for the bid (NULL: none) that has just won a locked trip and for each of the others that it was chosen from; the trip keeps the price agreed on and what it was agreed on for. The trip as it is then. Internal.';

CREATE FUNCTION hail.choose_bid(trip_id uuid, bid_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    trip hail.trips;
    bid hail.bids;
    others uuid[];
BEGIN
    IF hail.caller_role() NOT IN ('customer', 'admin') THEN
        PERFORM hail.fail('forbidden', 'only the customer of a trip chooses its driver');
    END IF;
    trip := hail.lock_trip_of_caller(choose_bid.trip_id);
    SELECT * INTO bid FROM hail.bids b WHERE b.id = choose_bid.bid_id AND b.trip_id = trip.id;
    IF bid.status = 'chosen' AND trip.driver_id = bid.driver_id AND trip.state IN ('matched', 'arrived', 'started', 'completed') THEN
        RETURN hail.trip_for_caller(trip);
    END IF;
    IF bid.id IS NOT NULL AND trip.driver_id IS NULL THEN
        PERFORM hail.next_state(trip.state, 'accept', 'customer');
    END IF;
    PERFORM hail.check_choice(trip, bid, hail.clock());
    others := ARRAY(SELECT b.id FROM hail.bids b WHERE b.trip_id = trip.id AND b.status = 'open' AND b.id <> bid.id ORDER BY b.id);
    trip := hail.accept_for(trip.id, bid.driver_id, 'customer', bid.amount);
    RETURN hail.trip_for_caller(hail.tell_bidders(trip, bid, others));
END
$$;
COMMENT ON FUNCTION hail.choose_bid(uuid, uuid) IS
'The customer of a broadcast_bid trip (or admin) takes a bid, in one commit: trip matched at the bid''s price, that price held on the wallet, driver busy, all other offers and bids of the trip closed and each bidder told (events BidChosen, BidLost). The same choice again returns the trip. On an error nothing has changed and the search goes on: not_found, trip_taken (another bid was chosen), offer_expired, offer_closed (replaced or closed), driver_busy, driver_not_eligible, insufficient_balance, wrong_state (the trip is not searching).';
GRANT EXECUTE ON FUNCTION hail.choose_bid(uuid, uuid) TO hail_customer, hail_admin;
