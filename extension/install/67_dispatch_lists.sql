-- 67_dispatch_lists: keys of requests, pages of trips, offers of a trip

-- Idempotency: who sends the same key again while its first request still runs is told so, and does not wait.

CREATE FUNCTION hail.claim_trip_key(idempotency_key text, quote_id uuid DEFAULT NULL, OUT key text, OUT replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
    owner uuid := hail.current_subject();
BEGIN
    IF coalesce(length(claim_trip_key.idempotency_key), 0) NOT BETWEEN 1 AND 200 THEN
        PERFORM hail.fail('idempotency_key_required', 'a trip needs an idempotency key of 1 to 200 characters', 'idempotency_key');
    END IF;
    PERFORM hail.limit_rate('trip_request');
    IF claim_trip_key.quote_id IS NOT NULL THEN
        SELECT q.customer_id INTO owner FROM hail.quotes q
        WHERE q.id = claim_trip_key.quote_id AND (role = 'admin' OR q.customer_id = hail.current_subject());
        IF NOT FOUND THEN
            PERFORM hail.fail('not_found', 'there is no such quote', 'quote_id');
        END IF;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended(format('hail.trips %s %s', owner, claim_trip_key.idempotency_key), 0)) THEN
        PERFORM hail.fail('in_flight', 'a request with this key is under way', 'idempotency_key', 'Send it again in a moment.');
    END IF;
    key := claim_trip_key.idempotency_key;
    replayed := EXISTS (SELECT FROM hail.trips t WHERE t.customer_id = owner AND t.idempotency_key = key);
END
$$;
COMMENT ON FUNCTION hail.claim_trip_key(text, uuid) IS
'Before a trip is made with a key: the key is the caller''s (with a quote: its customer''s) until the transaction ends, and replayed tells that it has made a trip already, which the request returns again. Counts in the rate class trip_request. Errors: idempotency_key_required, rate_limited, not_found (the quote), in_flight (another transaction holds the key).';
GRANT EXECUTE ON FUNCTION hail.claim_trip_key(text, uuid) TO hail_customer, hail_admin;

CREATE FUNCTION hail.made_now(trip_id uuid) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM hail.trips t WHERE t.id = trip_id AND t.xmin = pg_current_xact_id_if_assigned()::xid);
COMMENT ON FUNCTION hail.made_now(uuid) IS
'Has this transaction made or changed the trip; else an order that was sent again has only found it. For fronts.';
GRANT EXECUTE ON FUNCTION hail.made_now(uuid) TO hail_front, hail_partner, hail_admin;

-- Pages. A cursor names the last row of a page: its place and a checksum over that, the caller and the filters.

CREATE FUNCTION hail.cursor_text(place bytea, scope text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN translate(encode(place || substr(sha256(place || convert_to(scope, 'UTF8')), 1, 8), 'base64'), E'+/=\n', '-_');
COMMENT ON FUNCTION hail.cursor_text(bytea, text) IS
'The opaque cursor of a place in a list; scope is all that the list depends on. Internal.';

CREATE FUNCTION hail.cursor_place(cursor text, scope text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bytes bytea;
BEGIN
    IF cursor IS NULL THEN
        RETURN NULL;
    END IF;
    IF cursor ~ '^[A-Za-z0-9_-]{43}$' THEN
        bytes := decode(translate(cursor, '-_', '+/') || '=', 'base64');
    END IF;
    IF bytes IS NULL OR hail.cursor_text(substr(bytes, 1, 24), scope) <> cursor THEN
        PERFORM hail.fail('invalid_value', 'this cursor is not of this list', 'cursor',
                          'Take nextCursor of the page before, with the same filters.');
    END IF;
    RETURN substr(bytes, 1, 24);
END
$$;
COMMENT ON FUNCTION hail.cursor_place(text, text) IS
'The 24 bytes that hail.cursor_text() was given; NULL for NULL. Error invalid_value (cursor) unless it was made for this scope. Internal.';

CREATE FUNCTION hail.trip_place(requested_at timestamptz, id uuid) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN int8send((extract(epoch FROM requested_at) * 1000000)::bigint) || uuid_send(id);
COMMENT ON FUNCTION hail.trip_place(timestamptz, uuid) IS
'A trip''s place in lists: microseconds since 1970, then the id. Internal.';

CREATE FUNCTION hail.trip_page_sql(owner_column text, owner uuid, state text[], service text, requested_from timestamptz,
                                   requested_to timestamptz, place bytea, max_rows integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    after_id text := quote_literal(encode(substr(place, 9), 'hex')) || '::uuid';
    after_time text := format('''epoch''::timestamptz + %s * interval ''1 microsecond''',
                              ('x' || encode(substr(place, 1, 8), 'hex'))::bit(64)::bigint);
    conditions text := concat_ws(' AND ',
        't.' || quote_ident(owner_column) || ' = ' || quote_literal(owner),
        't.state IN (' || (SELECT string_agg(quote_literal(s), ', ') FROM unnest(state) s) || ')',
        't.service = ' || quote_literal(service),
        't.requested_at >= ' || quote_literal(requested_from),
        't.requested_at < ' || quote_literal(requested_to),
        CASE WHEN owner IS NOT NULL THEN 't.id < ' || after_id
             WHEN place IS NOT NULL THEN format('(t.requested_at, t.id) < (%s, %s)', after_time, after_id) END);
BEGIN
    -- The trips of one customer or driver come along an index by id, all trips along that by time: no sort.
    RETURN format('SELECT t.* FROM hail.trips t %s ORDER BY %s LIMIT %s', 'WHERE ' || nullif(conditions, ''),
                  CASE WHEN owner IS NOT NULL THEN 't.id DESC' ELSE 't.requested_at DESC, t.id DESC' END, max_rows);
END
$$;
COMMENT ON FUNCTION hail.trip_page_sql(text, uuid, text[], text, timestamptz, timestamptz, bytea, integer) IS
'The query of a page of trips, newest first, values quoted into it so that it is planned for them (rare states along their partial indexes). Internal.';

CREATE FUNCTION hail.require_trip_states(state text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF cardinality(state) NOT BETWEEN 1 AND 20 OR EXISTS (SELECT FROM unnest(state) s WHERE s IS NULL OR NOT EXISTS (
            SELECT FROM hail.trip_transitions t WHERE s IN (t.from_state, t.to_state))) THEN
        PERFORM hail.fail('invalid_value', 'this is no state of a trip', 'state', format('One or more of %s.', (
            SELECT string_agg(DISTINCT s, ', ' ORDER BY s) FROM hail.trip_transitions t, unnest(ARRAY[t.from_state, t.to_state]) s)));
    END IF;
END
$$;
COMMENT ON FUNCTION hail.require_trip_states(text[]) IS
'Error invalid_value (state) when one of these is no state of hail.trip_transitions, or none is given; NULL: nothing is asked. Internal.';

CREATE FUNCTION hail.list_trips(customer_id uuid DEFAULT NULL, driver_id uuid DEFAULT NULL, state text[] DEFAULT NULL,
                                service text DEFAULT NULL, requested_from timestamptz DEFAULT NULL,
                                requested_to timestamptz DEFAULT NULL, max_results integer DEFAULT 20, cursor text DEFAULT NULL,
                                OUT trip hail.trips, OUT next_cursor text) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    scope text := format('trips of %s or %s in %s of %s from %s to %s', customer_id, driver_id, state, service,
                         extract(epoch FROM requested_from), extract(epoch FROM requested_to));
    found hail.trips;
    n integer := 0;
BEGIN
    IF customer_id IS NULL AND driver_id IS NULL THEN
        PERFORM hail.require_admin();
    END IF;
    IF customer_id IS NOT NULL THEN
        -- a partner is the customer of what it ordered
        PERFORM hail.require_self(CASE hail.current_role_name() WHEN 'partner' THEN 'partner' ELSE 'customer' END, customer_id);
    END IF;
    IF driver_id IS NOT NULL THEN
        PERFORM hail.require_self('driver', driver_id);
    END IF;
    IF customer_id IS NOT NULL AND driver_id IS NOT NULL THEN
        PERFORM hail.fail('invalid_value', 'list the trips of a customer or of a driver, not of both', 'driver_id');
    ELSIF coalesce(max_results, 0) NOT BETWEEN 1 AND 100 THEN
        PERFORM hail.fail('invalid_value', 'a page has 1 to 100 trips', 'max_results');
    ELSIF service NOT IN ('ride', 'delivery', 'porter') THEN
        PERFORM hail.fail('invalid_value', 'service is ride, delivery or porter', 'service');
    END IF;
    PERFORM hail.require_trip_states(state);
    FOR found IN EXECUTE hail.trip_page_sql(
            CASE WHEN customer_id IS NOT NULL THEN 'customer_id' WHEN driver_id IS NOT NULL THEN 'driver_id' END,
            coalesce(customer_id, driver_id), state, service, requested_from, requested_to,
            hail.cursor_place(cursor, scope), max_results + 1) LOOP
        IF n > 0 THEN
            -- The row fetched past the page only tells that there is more.
            next_cursor := CASE WHEN n = max_results THEN hail.cursor_text(hail.trip_place((trip).requested_at, (trip).id), scope) END;
            RETURN NEXT;
        END IF;
        trip := hail.trip_for_caller(found);
        n := n + 1;
    END LOOP;
    IF n BETWEEN 1 AND max_results THEN
        next_cursor := NULL;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.list_trips(uuid, uuid, text[], text, timestamptz, timestamptz, integer, text) IS
'A page of trips, newest first: a customer''s or partner''s (itself or admin), a driver''s (itself or admin), or all (administrators). Filters: states, service, requested at or after requested_from and before requested_to. next_cursor, in the last row when more follow, gives the next page with the same filters. Errors: invalid_value (driver_id, state, service, max_results, cursor), forbidden.';
GRANT EXECUTE ON FUNCTION hail.list_trips(uuid, uuid, text[], text, timestamptz, timestamptz, integer, text)
    TO hail_customer, hail_driver, hail_admin, hail_partner;

CREATE FUNCTION hail.trip_offers(trip_id uuid)
RETURNS TABLE (offer_id uuid, driver_id uuid, driver_name text, rating real, round integer, status text, pickup_distance_m integer,
               pickup_eta_s integer, created_at timestamptz, expires_at timestamptz, responded_at timestamptz, score real,
               reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    caller text := hail.caller_role();
BEGIN
    IF caller NOT IN ('customer', 'admin') OR NOT EXISTS (SELECT FROM hail.trips t WHERE t.id = trip_offers.trip_id
            AND (caller = 'admin' OR t.customer_id = hail.current_subject())) THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    END IF;
    RETURN QUERY
        SELECT o.id, CASE WHEN v.told THEN o.driver_id END, CASE WHEN v.told THEN u.name END, d.rating::real, o.round, o.status::text,
               o.pickup_distance_m, o.pickup_eta_s, o.created_at, o.expires_at, o.responded_at,
               CASE WHEN caller = 'admin' THEN o.score END, CASE WHEN caller = 'admin' THEN o.reason END
        FROM hail.offers o JOIN hail.drivers d ON d.id = o.driver_id JOIN hail.users u ON u.id = o.driver_id,
             LATERAL (SELECT caller = 'admin' OR o.status = 'accepted') AS v (told)
        WHERE o.trip_id = trip_offers.trip_id ORDER BY o.id;
END
$$;
COMMENT ON FUNCTION hail.trip_offers(uuid) IS
'Every offer made of a trip, oldest first. Its customer sees how each stands and how far it is, and who accepted; administrators also who was asked, scores and reasons. Error not_found.';
GRANT EXECUTE ON FUNCTION hail.trip_offers(uuid) TO hail_customer, hail_admin;

CREATE FUNCTION hail.list_rounds(trip_id uuid)
RETURNS TABLE (round integer, search_round integer, created_at timestamptz, policy_id integer, strategy text, radius_m float8,
               wanted integer, offers integer, candidates integer, gates jsonb, favourites_first boolean, distance_only boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM hail.require_admin();
    IF NOT EXISTS (SELECT FROM hail.trips t WHERE t.id = list_rounds.trip_id) THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    END IF;
    RETURN QUERY
        SELECT r.round, r.search_round, r.created_at, r.policy_id::integer, r.strategy, r.radius_m, r.wanted, r.offers, r.found,
               (SELECT coalesce(jsonb_object_agg(g.name, g.shut_out), '{}') FROM unnest(hail.match_gates(), r.gates) AS g (name, shut_out)
                WHERE g.shut_out > 0), r.favourites_first, r.distance_only
        FROM hail.match_rounds r
        WHERE r.trip_id = list_rounds.trip_id
          AND r.created_at >= (SELECT t.requested_at FROM hail.trips t WHERE t.id = list_rounds.trip_id)
        ORDER BY r.created_at, r.round;
END
$$;
COMMENT ON FUNCTION hail.list_rounds(uuid) IS
'The recorded matching rounds of a trip, oldest first: radius, drivers wanted and offered, candidates, and how many drivers each gate shut out. hail.explain_round() tells all of one. Administrators only. Error not_found.';
GRANT EXECUTE ON FUNCTION hail.list_rounds(uuid) TO hail_admin;

-- By hand

CREATE FUNCTION hail.offer_by_hand(trip hail.trips, driver hail.drivers, moment timestamptz) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    offer_id uuid;
    alone boolean;
    place hail.driver_positions;
    metres float8;
BEGIN
    -- The driver's offer lock, as rounds take it (src/dispatch/offers.c): no other offer comes to it meanwhile. Tried, not
    -- waited for: who holds it may wait for an offer locked here.
    FOR i IN 1 .. 50 LOOP
        alone := pg_try_advisory_xact_lock(uuid_hash_extended(driver.id, x'6861696c'::bigint));
        EXIT WHEN alone;
        PERFORM pg_sleep(0.01);
    END LOOP;
    IF NOT alone THEN
        PERFORM hail.fail('in_flight', 'this driver is just being offered another trip', 'driver_id', 'Send it again in a moment.');
    END IF;
    -- All that accepting will close, in the order of ids, before any of it changes.
    PERFORM FROM hail.offers o WHERE o.status = 'pending' AND o.id = ANY (ARRAY(
        SELECT a.id FROM hail.offers a WHERE a.status = 'pending' AND (a.trip_id = trip.id OR a.driver_id = driver.id)))
    ORDER BY o.id FOR NO KEY UPDATE;
    -- An offer that is out already serves, as long as it can be accepted and not only after another ride.
    SELECT o.id INTO offer_id FROM hail.offers o
    WHERE o.trip_id = trip.id AND o.driver_id = driver.id AND o.status = 'pending' AND o.expires_at > moment AND NOT o.forward;
    IF offer_id IS NOT NULL THEN
        RETURN offer_id;
    END IF;
    UPDATE hail.offers o SET status = CASE WHEN o.expires_at > moment THEN 'withdrawn' ELSE 'expired' END, responded_at = moment
    WHERE o.trip_id = trip.id AND o.driver_id = driver.id AND o.status = 'pending';
    SELECT * INTO place FROM hail.driver_positions p WHERE p.driver_id = driver.id;
    metres := coalesce(public.ST_DistanceSphere(public.ST_MakePoint(place.lng, place.lat),
                                                public.ST_MakePoint(trip.pickup_lng, trip.pickup_lat)), 0);
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
        SELECT trip.id, driver.id, greatest(trip.round, (SELECT max(o.round) + 1 FROM hail.offers o
                                                         WHERE o.trip_id = trip.id AND o.driver_id = driver.id)),
               min(s), 0, metres::integer, (metres / 8)::integer, moment, moment + interval '1 minute'
        FROM generate_series(1, 10) s
        WHERE NOT EXISTS (SELECT FROM hail.offers o WHERE o.driver_id = driver.id AND o.status = 'pending' AND o.slot = s)
        HAVING min(s) IS NOT NULL
        ON CONFLICT (driver_id, slot) WHERE status = 'pending' DO NOTHING
        RETURNING id INTO offer_id;
    IF offer_id IS NULL THEN
        PERFORM hail.fail('driver_not_eligible', 'this driver holds as many offers as can be', 'driver_id');
    END IF;
    RETURN offer_id;
END
$$;
COMMENT ON FUNCTION hail.offer_by_hand(hail.trips, hail.drivers, timestamptz) IS
'A pending offer of a locked trip to a driver, made if there is none; all pending offers of both are locked. Internal.';

CREATE FUNCTION hail.assign_trip(trip_id uuid, driver_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    trip hail.trips;
    driver hail.drivers;
    offer_id uuid;
    lost uuid[];
BEGIN
    PERFORM hail.require_admin();
    trip := hail.lock_trip(assign_trip.trip_id);
    IF trip.state IN ('matched', 'arrived', 'started') AND trip.driver_id = assign_trip.driver_id THEN
        RETURN hail.trip_for_caller(trip);
    ELSIF trip.state IN ('matched', 'arrived', 'started') THEN
        PERFORM hail.fail('trip_taken', 'another driver has this trip', 'trip_id', 'Cancel for that driver first.');
    END IF;
    PERFORM hail.next_state(trip.state, 'accept', 'admin');
    -- Not locked yet: the driver's row comes after the offers; accepting looks at it again.
    SELECT * INTO driver FROM hail.drivers d WHERE d.id = assign_trip.driver_id;
    IF driver.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such driver', 'driver_id');
    ELSIF NOT EXISTS (SELECT FROM hail.service_classes c WHERE c.code = ANY (driver.service_classes) AND c.service = trip.service) THEN
        PERFORM hail.fail('driver_not_eligible', 'this driver does not serve such trips', 'driver_id');
    END IF;
    offer_id := hail.offer_by_hand(trip, driver, hail.clock());
    -- By hand it goes at the quoted price: the driver's own bid is not what was chosen, and the others are lost.
    UPDATE hail.bids b SET status = 'withdrawn', closed_at = hail.clock()
    WHERE b.trip_id = trip.id AND b.driver_id = driver.id AND b.status = 'open';
    lost := ARRAY(SELECT b.id FROM hail.bids b WHERE b.trip_id = trip.id AND b.status = 'open' ORDER BY b.id);
    UPDATE hail.trips t SET event_version = t.event_version + 1 WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'TripAssigned', jsonb_build_object('offer_id', offer_id, 'assigned_to', driver.id,
        'by', hail.current_subject()));
    trip := hail.accept_for(trip.id, driver.id, 'admin', -1);
    IF lost <> '{}' THEN
        trip := hail.tell_bidders(trip, NULL, lost);
    END IF;
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.assign_trip(uuid, uuid) IS
'Give a searching trip to a driver by hand (administrators), in one commit and by the rules of hail.accept_offer(): the driver must be approved, online and free and serve such trips; distance, score and what it declined do not count. Again: the same trip. Errors: not_found, wrong_state, trip_taken, driver_busy, driver_not_eligible, insufficient_balance, in_flight (the driver is just being offered another trip: again in a moment).';
GRANT EXECUTE ON FUNCTION hail.assign_trip(uuid, uuid) TO hail_admin;
