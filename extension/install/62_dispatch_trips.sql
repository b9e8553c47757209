-- 62_dispatch_trips: a trip's life from request to completion; checks

-- A trip's life

CREATE FUNCTION hail.request_trip(quote_id uuid, payment_method text, strategy text DEFAULT 'first_accept',
                                  idempotency_key text DEFAULT NULL, scheduled_for timestamptz DEFAULT NULL,
                                  favourites_first boolean DEFAULT false, pickup_lat float8 DEFAULT NULL,
                                  pickup_lng float8 DEFAULT NULL, dropoff_lat float8 DEFAULT NULL,
                                  dropoff_lng float8 DEFAULT NULL, service_class text DEFAULT NULL)
RETURNS hail.trips
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_request_trip';
COMMENT ON FUNCTION hail.request_trip(uuid, text, text, text, timestamptz, boolean, float8, float8, float8, float8, text) IS
'Make a trip of a quote (customer itself or admin) and offer it to the first drivers. strategy: first_accept, sequential, broadcast_bid, batched, or scheduled with scheduled_for in the future (not further than the policys schedule_max): searched for some time before it, at the price of the quote. favourites_first: drivers marked with hail.favourite_driver() are asked before others. pickup, dropoff and service_class, where given, must be what the quote is for, the places within 100 m. The same key with the same request returns the first trip. Errors: invalid_value (strategy, scheduled_for, payment_method, quote_id: one of hail.create_job_quote()), not_found, quote_mismatch, quote_expired, quote_used, quote_changed (surge has risen more than 1.5 times since: hail.requote()), insufficient_balance, payment_due (an earlier trip is unpaid: hail.retry_payment()), active_trip_exists (rides: one at a time), idempotency_mismatch.';
GRANT EXECUTE ON FUNCTION hail.request_trip(uuid, text, text, text, timestamptz, boolean, float8, float8, float8, float8, text)
    TO hail_customer, hail_admin;

CREATE FUNCTION hail.get_trip(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
    subject uuid := hail.current_subject();
    trip hail.trips;
BEGIN
    SELECT * INTO trip FROM hail.trips t WHERE t.id = get_trip.trip_id
       AND (role = 'admin' OR role IN ('customer', 'partner') AND t.customer_id = subject
            OR role = 'driver' AND (t.driver_id = subject OR EXISTS (SELECT FROM hail.offers o
                WHERE o.trip_id = t.id AND o.driver_id = subject AND o.status = 'pending')
                OR t.backup_driver_id = subject AND t.state = 'matched'));
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
'A driver (itself or admin) takes an offered trip, in one commit: trip matched, all other offers of the trip and of the driver withdrawn, driver busy, fare held, pickup code made. The same driver''s retry answers already_accepted. The second driver to accept a scheduled trip, while its offer would have lived, becomes the backup: the trip returned names it as backup_driver_id. Trips that take bids are not accepted (wrong_state). Errors: not_found, wrong_state, trip_taken, offer_closed, offer_expired, driver_busy, driver_not_eligible, insufficient_balance (nothing has changed then).';
GRANT EXECUTE ON FUNCTION hail.accept_offer(uuid, uuid, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.at_pickup(trip hail.trips) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN current_setting('hail.arrival_radius')::integer = 0 OR EXISTS (
    SELECT FROM hail.driver_place((trip).driver_id) p
    WHERE p.recorded_at >= hail.clock() - interval '60 seconds'
      AND hail.metres_between(p.lat, p.lng, (trip).pickup_lat, (trip).pickup_lng) <= current_setting('hail.arrival_radius')::integer);
COMMENT ON FUNCTION hail.at_pickup(hail.trips) IS
'Whether the driver of a trip is within hail.arrival_radius of the pickup, by a position not older than 60 seconds. Internal.';

CREATE FUNCTION hail.arrive(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    moment timestamptz := hail.clock();
    here boolean := hail.at_pickup(trip);
BEGIN
    IF trip.state = 'arrived' AND trip.waiting_from IS NULL AND here THEN
        UPDATE hail.trips t SET waiting_from = moment, event_version = t.event_version + 1 WHERE t.id = trip.id RETURNING * INTO trip;
    ELSIF trip.state = 'arrived' AND trip.waiting_from IS NULL THEN
        PERFORM hail.fail('wrong_state', 'the driver has not been seen at the pickup', 'trip_id', format(
            'Waiting counts once a position within %s m of the pickup has been reported.', current_setting('hail.arrival_radius')));
    ELSE
        UPDATE hail.trips t SET state = hail.next_state(trip.state, 'arrive', 'driver'), arrived_at = moment,
               waiting_from = CASE WHEN here THEN moment END, event_version = t.event_version + 1
        WHERE t.id = trip.id RETURNING * INTO trip;
        PERFORM hail.move_stops(trip) WHERE trip.service <> 'ride';
    END IF;
    PERFORM hail.trip_event(trip, 'DriverArrived', jsonb_build_object('at_pickup', here));
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.arrive(uuid) IS
'The driver (itself or admin) has reached the pickup. Waiting that costs, and the fee for cancelling, begin only when its position, 60 seconds old at most, is within hail.arrival_radius of the pickup; otherwise waiting_from of the trip is NULL, and calling it again at the pickup begins them. Errors: not_found, wrong_state.';
GRANT EXECUTE ON FUNCTION hail.arrive(uuid) TO hail_driver, hail_admin;

CREATE FUNCTION hail.waiting_of(trip hail.trips, moment timestamptz, OUT seconds bigint, OUT amount bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT w.seconds, coalesce(hail.waiting_amount(w.seconds, q.waiting_free_s, q.waiting_per_minute, q.waiting_max, q.rounding), 0)
    FROM hail.quotes q,
         LATERAL (SELECT CASE WHEN (trip).waiting_from IS NULL THEN 0
             ELSE greatest(floor(extract(epoch FROM moment - greatest((trip).waiting_from, (trip).scheduled_for))), 0)::bigint END) w (seconds)
    WHERE q.id = (trip).quote_id;
END;
COMMENT ON FUNCTION hail.waiting_of(hail.trips, timestamptz) IS
'Whole seconds the driver of a trip has waited since it was seen at the pickup, of a scheduled trip since its time, and what they cost by the terms of its quote. Internal.';

CREATE FUNCTION hail.quoted_price(trip hail.trips) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE (trip).destination_changes WHEN 0 THEN q.total ELSE
               (hail.fare_amounts(q.base_amount, q.per_km, q.per_minute, q.minimum_fare, q.booking_fee, q.rounding, (trip).distance_m,
                    (trip).duration_s, ((trip).surge * 100)::integer, (q.time_multiplier * 100)::integer,
                    (q.event_multiplier * 100)::integer, (q.variant_multiplier * 100)::integer)).total END
    FROM hail.quotes q WHERE q.id = (trip).quote_id;
END;
COMMENT ON FUNCTION hail.quoted_price(hail.trips) IS
'What a trip costs by the rates and multipliers of its quote: the quoted total, or, where the destination was changed, the price for that at the trip''s surge; without bids and waiting. Internal.';

CREATE FUNCTION hail.start_trip(trip_id uuid, pickup_code text) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    to_state text := hail.next_state(trip.state, 'start', 'driver');
    moment timestamptz := hail.clock();
    waited record;
BEGIN
    PERFORM hail.check_code(trip.id, 0, trip.pickup_code, start_trip.pickup_code, 'pickup_code', 'The customer has the code.');
    SELECT w.seconds, w.amount INTO waited FROM hail.waiting_of(trip, moment) w;
    UPDATE hail.trips t SET state = to_state, started_at = moment, waiting_amount = waited.amount,
           price = t.price + waited.amount, event_version = t.event_version + 1,
           code_attempts = t.code_attempts + hail.code_tries(t.id, 0, t.pickup_code)
    WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.move_stops(trip) WHERE trip.service <> 'ride';
    PERFORM hail.trip_event(trip, 'TripStarted', jsonb_build_object('waited_s', waited.seconds,
        'waiting_amount', trip.waiting_amount, 'price', trip.price, 'currency', trip.currency));
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.start_trip(uuid, text) IS
'The driver (itself or admin) starts the trip with the code the customer shows. Waiting since it was seen at the pickup (of a scheduled trip: not before its time) is added to the price, by the terms of the quote. Errors: not_found, wrong_state, wrong_pickup_code, code_blocked (hail.code_tries wrong ones: the customer renews it with hail.renew_pickup_code()).';
GRANT EXECUTE ON FUNCTION hail.start_trip(uuid, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.complete_trip(trip_id uuid, idempotency_key text DEFAULT NULL) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    moment timestamptz := hail.clock();
    to_state text;
    paid text;
BEGIN
    IF trip.state = 'completed' THEN
        RETURN hail.trip_for_caller(trip);
    END IF;
    to_state := hail.next_state(trip.state, 'complete', hail.current_role_name());
    PERFORM hail.check_stops_closed(trip) WHERE trip.service <> 'ride';
    -- paid, as it nearly always turns out; the driver is free before the wallets are locked
    UPDATE hail.trips t SET state = to_state, completed_at = moment, event_version = t.event_version + 1,
           payment_state = CASE WHEN t.price + t.tolls > 0 THEN 'paid' ELSE 'none' END
    WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.end_job(trip.driver_id, moment, 1, 1, (SELECT r.cooldown FROM hail.regions r WHERE r.id = trip.region_id));
    INSERT INTO hail.customer_drivers AS c (customer_id, driver_id, trips) VALUES (trip.customer_id, trip.driver_id, 1)
        ON CONFLICT (customer_id, driver_id) DO UPDATE SET trips = c.trips + 1;
    paid := hail.settle_trip(trip);
    -- ETAs learn from it, once its track is kept (src/pricing/eta_learn.c); not from a way that was changed while driven
    INSERT INTO hail.eta_samples (region_id, trip_id, from_lat, from_lng, to_lat, to_lng, started_at, duration_s, due_at)
        SELECT trip.region_id, trip.id, trip.pickup_lat, trip.pickup_lng, trip.dropoff_lat, trip.dropoff_lng, trip.started_at,
               extract(epoch FROM moment - trip.started_at), moment + current_setting('hail.track_delay')::interval + interval '1 minute'
        WHERE trip.service = 'ride' AND trip.destination_changes = 0 AND moment - trip.started_at BETWEEN interval '20 seconds' AND interval '6 hours';
    PERFORM hail.trip_event(trip, 'TripCompleted', jsonb_build_object('price', trip.price, 'waiting_amount', trip.waiting_amount, 'currency', trip.currency,
        'payment_method', trip.payment_method, 'tolls', trip.tolls, 'promotion_amount', trip.promotion_amount));
    IF paid <> trip.payment_state THEN
        trip := hail.payment_is_open(trip, paid);
    END IF;
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.complete_trip(uuid, text) IS
'The trip has ended (its driver or admin): the fare is captured and split, the driver cools down and is free once no other job is left. Where the customer cannot pay, the trip is completed all the same, with payment_state payment_failed and nothing posted (hail.retry_payment()); a card is charged by the gateway (pending). Again: the same trip. Errors: not_found, wrong_state (stops are open).';
GRANT EXECUTE ON FUNCTION hail.complete_trip(uuid, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.cancel_actor(actor text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := replace(hail.caller_role(), 'partner', 'customer'); -- a partner is the customer of what it ordered
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
    IF NOT coalesce(role = 'admin' OR role IN ('customer', 'partner') AND trip.customer_id = hail.current_subject()
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

CREATE FUNCTION hail.give_back_trip(old hail.trips, action text, actor text, reason text, moment timestamptz) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
BEGIN
    UPDATE hail.offers o SET status = 'cancelled', reason = give_back_trip.reason WHERE o.trip_id = old.id AND o.status = 'accepted';
    UPDATE hail.trips t SET state = hail.next_state(old.state, action, actor), driver_id = NULL, pickup_code = NULL, hold_id = NULL,
           payment_state = 'none', matched_at = NULL, arrived_at = NULL, waiting_from = NULL, agreed_price = NULL, agreed_for = NULL, confirm_by = NULL, confirmed_at = NULL, pooled_at = NULL,
           -- a bid was the driver's: without it the quoted price counts again
           price = CASE t.strategy WHEN 'broadcast_bid' THEN hail.quoted_price(t)
                   ELSE t.price END,
           promotion_amount = CASE WHEN t.promotion_amount > 0 THEN hail.lower_promotion(t, CASE t.strategy WHEN 'broadcast_bid' THEN hail.quoted_price(t)
                   ELSE t.price END) ELSE 0 END,
           excluded_drivers = t.excluded_drivers || old.driver_id, rounds_before = t.round, next_round_at = moment,
           event_version = t.event_version + 1, search_until = greatest(moment, t.scheduled_for)
               + (SELECT p.patience FROM hail.dispatch_policies p WHERE p.id = t.policy_id)
    WHERE t.id = old.id RETURNING * INTO trip;
    PERFORM hail.move_stops(trip) WHERE trip.service <> 'ride';
    PERFORM hail.wake_dispatcher();
    PERFORM hail.end_job(old.driver_id, moment, CASE WHEN actor IN ('driver', 'system') THEN 1 ELSE 0 END, 0, NULL);
    IF old.hold_id IS NOT NULL THEN
        PERFORM hail.release_trip_fare(old);
    END IF;
    PERFORM hail.trip_event(trip, CASE action WHEN 'unconfirmed' THEN 'TripUnconfirmed' ELSE 'TripCancelled' END,
        jsonb_build_object('by', actor, 'reason', reason, 'fee', 0, 'from_driver', old.driver_id));
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.give_back_trip(hail.trips, text, text, text, timestamptz) IS
'A locked trip loses its driver and is searched for anew, without that driver: its job ended, the fare given back. Internal.';

CREATE FUNCTION hail.no_show_state(trip hail.trips, moment timestamptz) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    waited bigint := (SELECT w.seconds FROM hail.waiting_of(trip, moment) w);
    free_s integer := (SELECT q.waiting_free_s FROM hail.quotes q WHERE q.id = trip.quote_id);
BEGIN
    IF trip.waiting_from IS NULL THEN
        PERFORM hail.fail('wrong_state', 'the driver has not been seen at the pickup', 'reason', 'Report a position there and call hail.arrive() again.');
    ELSIF waited < free_s THEN
        PERFORM hail.fail('wrong_state', format('the driver has waited %s of %s seconds', waited, free_s), 'reason',
                          'Somebody who has not come yet is no no-show until then.');
    END IF;
    RETURN hail.next_state(trip.state, 'no_show', 'driver');
END
$$;
COMMENT ON FUNCTION hail.no_show_state(hail.trips, timestamptz) IS
'State of a trip whose customer did not come; error wrong_state while the driver has not waited at the pickup for as long as its quote says is free. Internal.';

CREATE FUNCTION hail.cancel_trip(trip_id uuid, actor text DEFAULT NULL, reason text DEFAULT NULL) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text := hail.cancel_actor(actor);
    old hail.trips := hail.lock_trip_of_caller(trip_id);
    trip hail.trips;
    to_state text := hail.next_state(old.state, 'cancel', who);
    moment timestamptz := hail.clock();
    no_show boolean := who = 'driver' AND old.state = 'arrived' AND reason = 'no_show';
    fee bigint := CASE WHEN no_show OR who = 'customer' AND old.state = 'arrived' AND old.waiting_from IS NOT NULL THEN old.cancellation_fee ELSE 0 END;
    paid text := 'none';
BEGIN
    IF no_show THEN
        to_state := hail.no_show_state(old, moment);
    END IF;
    IF to_state = 'searching' THEN
        RETURN hail.trip_for_caller(hail.give_back_trip(old, 'cancel', who, cancel_trip.reason, moment));
    END IF;
    PERFORM hail.withdraw_offers(old.id, moment);
    UPDATE hail.trips t SET state = to_state, cancelled_at = moment, cancelled_by = who, cancel_reason = reason,
           next_round_at = NULL, event_version = t.event_version + 1, promotion_amount = 0,
           payment_state = CASE WHEN fee > 0 THEN 'paid' ELSE 'none' END
    WHERE t.id = old.id RETURNING * INTO trip;
    PERFORM hail.move_stops(trip) WHERE trip.service <> 'ride';
    IF old.driver_id IS NOT NULL THEN
        PERFORM hail.end_job(old.driver_id, moment, 0, 0, NULL);
    END IF;
    IF old.promotion_amount > 0 THEN
        PERFORM hail.release_promotion(old);
    END IF;
    IF fee > 0 THEN
        paid := hail.charge_cancellation(old, fee, CASE WHEN no_show THEN 'no_show' ELSE 'cancellation' END);
    ELSIF old.hold_id IS NOT NULL THEN
        PERFORM hail.release_trip_fare(old);
    END IF;
    PERFORM hail.trip_event(trip, 'TripCancelled',
        jsonb_build_object('by', who, 'reason', reason, 'fee', fee, 'from_driver', old.driver_id));
    IF paid <> trip.payment_state THEN
        trip := hail.payment_is_open(trip, paid);
    END IF;
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.cancel_trip(uuid, text, text) IS
'Cancel as customer, driver or admin (default: the caller''s role; administrators may act for either). A driver''s cancellation sends the trip back to searching without that driver; with reason no_show, once it has waited at the pickup for as long as the quote says is free, the trip ends and the customer pays the cancellation fee. A customer pays the cancellation fee once the driver has arrived and been seen at the pickup. The fee is taken from the wallet as far as it goes, of a trip paid by card from the card; what is left is due (payment_state payment_failed); a trip that is still scheduled is cancelled free of charge. Errors: not_found, forbidden, wrong_state.';
GRANT EXECUTE ON FUNCTION hail.cancel_trip(uuid, text, text) TO hail_customer, hail_driver, hail_admin, hail_partner;

CREATE FUNCTION hail.decline_offer(trip_id uuid, driver_id uuid, reason text DEFAULT NULL) RETURNS hail.offers
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    trip hail.trips;
    offer hail.offers;
    moment timestamptz;
BEGIN
    PERFORM hail.require_self('driver', decline_offer.driver_id);
    trip := hail.lock_offered_trip(decline_offer.trip_id, decline_offer.driver_id);
    moment := hail.clock();
    SELECT * INTO offer FROM hail.offers o WHERE o.trip_id = trip.id AND o.driver_id = decline_offer.driver_id
    ORDER BY o.round DESC LIMIT 1 FOR NO KEY UPDATE;
    IF offer.status = 'declined' THEN
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
               expires_at timestamptz, strategy text, scheduled_for timestamptz, lowest_bid bigint, highest_bid bigint, bid bigint,
               stops integer, weight_kg real, volume_l real, package text, floors smallint, helpers smallint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_self('driver', driver_offers.driver_id);
    RETURN QUERY
        SELECT o.id, t.id, t.service_class, t.pickup_lat, t.pickup_lng, t.dropoff_lat, t.dropoff_lng, t.distance_m, t.duration_s,
               t.price, t.price - hail.commission(t.price, t.commission_bp), t.currency, t.payment_method::text,
               o.pickup_distance_m, o.pickup_eta_s, o.created_at, o.expires_at, t.strategy::text, t.scheduled_for,
               CASE WHEN t.strategy = 'broadcast_bid' THEN (SELECT l.lowest FROM hail.bid_limits(t) l) END,
               CASE WHEN t.strategy = 'broadcast_bid' THEN (SELECT l.highest FROM hail.bid_limits(t) l) END,
               (SELECT b.amount FROM hail.bids b WHERE b.id = o.bid_id AND b.status = 'open'),
               CASE WHEN l.trip_id IS NOT NULL THEN (SELECT count(*)::integer FROM hail.trip_stops s WHERE s.trip_id = t.id) END,
               t.weight_kg::real, t.volume_l::real, l.package, l.floors, l.helpers
        FROM hail.offers o JOIN hail.trips t ON t.id = o.trip_id LEFT JOIN hail.trip_loads l ON l.trip_id = t.id
        WHERE o.driver_id = driver_offers.driver_id AND o.status = 'pending' AND o.expires_at > hail.clock()
        ORDER BY o.id;
END
$$;
COMMENT ON FUNCTION hail.driver_offers(uuid) IS
'What is offered to a driver now (itself or admin): trip, fare and its share, distance and seconds to the pickup, expiry; for broadcast_bid what it may bid (minor units) and its live bid; of deliveries and porter jobs the number of stops and the load.';
GRANT EXECUTE ON FUNCTION hail.driver_offers(uuid) TO hail_driver, hail_admin;

CREATE FUNCTION hail.check_dispatch() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n bigint;
BEGIN
    PERFORM hail.require_admin();
    SELECT count(*) INTO n
    FROM (SELECT d.id, d.trip_id, d.active_jobs FROM hail.drivers d WHERE d.trip_id IS NOT NULL OR d.active_jobs > 0) d
    FULL JOIN (SELECT t.driver_id, count(*) AS jobs, array_agg(t.id) AS trips, bool_or(t.service = 'ride') AS ride FROM hail.trips t
               WHERE t.state IN ('matched', 'arrived', 'started') GROUP BY t.driver_id) t ON t.driver_id = d.id
    WHERE (d.trip_id = ANY (t.trips) AND d.active_jobs = t.jobs AND (t.jobs = 1 OR NOT t.ride)) IS NOT TRUE;
    RETURN QUERY SELECT 'dispatch', CASE WHEN n = 0 THEN 'ok' ELSE 'fail' END,
        format('%s drivers and trips do not name each other', n),
        CASE WHEN n > 0 THEN 'Compare hail.drivers.trip_id and active_jobs with the trips under way of hail.trips.driver_id: rides alone, jobs with others.' END;
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
       AND t.payment_method = 'wallet' AND hail.trip_hold_amount(t) > 0 AND NOT EXISTS (
           SELECT FROM hail.holds h WHERE h.id = t.hold_id AND h.status = 'held');
    RETURN QUERY SELECT 'dispatch', CASE WHEN n = 0 THEN 'ok' ELSE 'fail' END,
        format('%s wallet trips are under way without a hold', n), NULL;
    SELECT count(*) INTO n FROM hail.trips t
    WHERE t.next_round_at < hail.clock() - interval '10 seconds'
       OR t.state IN ('scheduled', 'searching') AND t.next_round_at IS NULL;
    RETURN QUERY SELECT 'dispatch', CASE WHEN n = 0 THEN 'ok' ELSE 'warn' END,
        format('%s trips have waited more than 10 seconds for the dispatcher', n),
        CASE WHEN n > 0 THEN 'Is the worker "hail dispatcher" running and keeping up? hail.dispatch_tick() does its work by hand.' END;
END
$$;
COMMENT ON FUNCTION hail.check_dispatch() IS
'What must hold between trips, offers, drivers and holds, a row each; and whether the dispatcher keeps up. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.check_dispatch() TO hail_admin;
