-- 61_dispatch_matching: rounds, the dispatcher's tick, how a search stands

CREATE FUNCTION hail.match_trip(trip_id uuid) RETURNS integer
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_match_trip';
COMMENT ON FUNCTION hail.match_trip(uuid) IS
'One matching round of a searching trip that the caller has locked: the number of offers made. Internal.';

CREATE FUNCTION hail.end_search(trip hail.trips, reason text, moment timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.withdraw_offers(trip.id, moment);
    UPDATE hail.trips t SET state = hail.next_state(trip.state, 'give_up', 'system'), no_drivers_reason = reason,
           next_round_at = NULL, event_version = t.event_version + 1
    WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'TripNoDrivers', jsonb_build_object('rounds', trip.round, 'reason', reason));
END
$$;
COMMENT ON FUNCTION hail.end_search(hail.trips, text, timestamptz) IS
'Give up the search for a locked trip''s driver, for a reason in plain words. Internal.';

CREATE FUNCTION hail.begin_scheduled_search(INOUT trip hail.trips, moment timestamptz) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    policy hail.dispatch_policies;
BEGIN
    SELECT * INTO policy FROM hail.dispatch_policies p WHERE p.id = trip.policy_id;
    IF trip.scheduled_for + policy.patience <= moment THEN
        PERFORM hail.end_search(trip, 'the customer was on another trip until the scheduled one could not be served any more', moment);
        SELECT * INTO trip FROM hail.trips t WHERE t.id = trip.id;
        RETURN;
    END IF;
    BEGIN
        UPDATE hail.trips t SET state = hail.next_state(trip.state, 'search', 'system'),
               search_until = trip.scheduled_for + policy.patience, next_round_at = moment, event_version = t.event_version + 1
        WHERE t.id = trip.id RETURNING * INTO trip;
    EXCEPTION WHEN unique_violation THEN
        -- One ride at a time (trips_customer_ride): the customer is still on another. Later, then.
        UPDATE hail.trips t SET next_round_at = moment + policy.retry_after WHERE t.id = trip.id RETURNING * INTO trip;
        RETURN;
    END;
    PERFORM hail.trip_event(trip, 'TripSearching', jsonb_build_object('scheduled_for', trip.scheduled_for,
                                                                      'search_until', trip.search_until));
END
$$;
COMMENT ON FUNCTION hail.begin_scheduled_search(hail.trips, timestamptz) IS
'The time of a locked scheduled trip has come: it is searched for until its time plus the policy''s patience. While the customer rides on another trip it waits, until then at most. Returns the trip as it is now. Internal.';

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
    IF trip.state = 'scheduled' THEN
        trip := hail.begin_scheduled_search(trip, moment);
    END IF;
    IF trip.state <> 'searching' THEN
        NULL;
    ELSIF trip.search_until <= moment THEN
        PERFORM hail.end_search(trip, 'nobody took the trip in time', moment);
    ELSE
        PERFORM hail.match_trip(trip.id);
    END IF;
    RETURN coalesce(expired, '{}');
END
$$;
COMMENT ON FUNCTION hail.step_trip(uuid, timestamptz) IS
'What is due for a locked trip that is searching or scheduled: offers past their time expire, then the next round, or the end of the search. Returns the drivers who let an offer go by. Internal.';

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
        SELECT t.id FROM hail.trips t WHERE t.state IN ('scheduled', 'searching') AND t.next_round_at <= moment
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
    result.status := CASE WHEN trip.state IN ('scheduled', 'cancelled', 'no_drivers') THEN trip.state
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
'How the search for a driver stands, for whoever may see the trip. status: scheduled, searching, offers_pending, matched, no_drivers, cancelled.';
GRANT EXECUTE ON FUNCTION hail.matching_status(uuid) TO hail_customer, hail_driver, hail_admin;
