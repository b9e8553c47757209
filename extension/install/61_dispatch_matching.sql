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
    PERFORM hail.move_stops(trip) WHERE trip.service <> 'ride';
    PERFORM hail.release_promotion(trip) WHERE trip.promotion_amount > 0;
    PERFORM hail.trip_event(trip, 'TripNoDrivers', jsonb_build_object('rounds', trip.round, 'reason', reason));
END
$$;
COMMENT ON FUNCTION hail.end_search(hail.trips, text, timestamptz) IS
'Give up the search for a locked trip''s driver, for a reason in plain words. Internal.';

CREATE FUNCTION hail.begin_scheduled_search(INOUT trip hail.trips, moment timestamptz) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '700ms' AS $$
DECLARE
    policy hail.dispatch_policies;
BEGIN
    SELECT * INTO policy FROM hail.dispatch_policies p WHERE p.id = trip.policy_id;
    IF trip.scheduled_for + policy.patience <= moment THEN
        PERFORM hail.end_search(trip, CASE WHEN EXISTS (
                SELECT FROM hail.trips o WHERE o.customer_id = trip.customer_id AND o.service = 'ride'
                AND o.state IN ('searching', 'matched', 'arrived', 'started'))
            THEN 'the customer was still on another trip' ELSE 'its time had passed before it was searched for' END, moment);
        SELECT * INTO trip FROM hail.trips t WHERE t.id = trip.id;
        RETURN;
    END IF;
    BEGIN
        UPDATE hail.trips t SET state = hail.next_state(trip.state, 'search', 'system'),
               search_until = trip.scheduled_for + policy.patience, next_round_at = moment, event_version = t.event_version + 1
        WHERE t.id = trip.id RETURNING * INTO trip;
    EXCEPTION WHEN unique_violation OR lock_not_available THEN
        -- One ride at a time (trips_customer_ride): the customer is on another, or just asking for one. Later, then.
        UPDATE hail.trips t SET next_round_at = least(moment + policy.retry_after, trip.scheduled_for + policy.patience) WHERE t.id = trip.id RETURNING * INTO trip;
        RETURN;
    END;
    PERFORM hail.trip_event(trip, 'TripSearching', jsonb_build_object('scheduled_for', trip.scheduled_for,
                                                                      'search_until', trip.search_until));
END
$$;
COMMENT ON FUNCTION hail.begin_scheduled_search(hail.trips, timestamptz) IS
'The time of a locked scheduled trip has come: it is searched for until its time plus the policy''s patience. While the customer rides on another trip it waits, until then at most. Returns the trip as it is now. Internal.';

CREATE FUNCTION hail.ask_backup(trip hail.trips) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.live_warming() THEN
        RETURN false;
    END IF;
    UPDATE hail.trips t SET backup_driver_id = NULL WHERE t.id = trip.id;
    RETURN trip.backup_driver_id <> ALL (trip.excluded_drivers) AND hail.offer_backup(trip.id, trip.backup_driver_id) > 0;
END
$$;
COMMENT ON FUNCTION hail.ask_backup(hail.trips) IS
'Offer a locked searching trip to its backup driver alone, once; false: it is not to be had. Internal.';

CREATE FUNCTION hail.drivers_around(trip hail.trips, radius_m float8, OUT online bigint, OUT on_trips bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT count(*), count(*) FILTER (WHERE d.trip_id IS NOT NULL)
    FROM (SELECT radius_m / 111195.0 + 0.01 AS lat,
                 (radius_m / 111195.0 + 0.01) / greatest(cos(radians((trip).pickup_lat)), 0.01) AS lng) box,
         hail.service_classes c, hail.driver_positions p JOIN hail.drivers d ON d.id = p.driver_id
    WHERE c.code = (trip).service_class AND d.online AND d.class_mask & (1::bigint << c.id) <> 0
      AND p.place OPERATOR(public.&&) public.ST_MakeEnvelope((trip).pickup_lng - box.lng, (trip).pickup_lat - box.lat,
                                                             (trip).pickup_lng + box.lng, (trip).pickup_lat + box.lat, 4326)
      AND public.ST_DistanceSphere(public.ST_MakePoint(p.lng, p.lat), public.ST_MakePoint((trip).pickup_lng, (trip).pickup_lat))
          <= radius_m
      AND p.received_at > hail.clock() - current_setting('hail.presence_ttl')::interval;
END;
COMMENT ON FUNCTION hail.drivers_around(hail.trips, float8) IS
'Drivers of the trip''s class within so many metres of its pickup, as the position table has them (seconds old): online and heard of, and how many of those are on a trip. Internal.';

CREATE FUNCTION hail.why_no_drivers(trip hail.trips) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked record;
    around record;
    radius float8 := hail.search_radius(trip);
    km text := trim_scale(round(radius::numeric / 1000, 1)) || ' km';
BEGIN
    SELECT count(*) AS drivers, count(*) FILTER (WHERE o.status = 'declined') AS declined,
           count(*) FILTER (WHERE o.status IN ('expired', 'pending')) AS let_pass,
           count(*) FILTER (WHERE o.status IN ('withdrawn', 'cancelled')) AS lost INTO asked
    FROM (SELECT DISTINCT ON (o.driver_id) o.status FROM hail.offers o
          WHERE o.trip_id = trip.id AND o.round > trip.rounds_before ORDER BY o.driver_id, o.round DESC) o;
    IF asked.drivers > 0 THEN
        RETURN CASE WHEN asked.drivers = 1 THEN 'the one driver asked' ELSE format('all %s drivers asked', asked.drivers) END
            || CASE WHEN asked.declined = asked.drivers THEN ' declined' WHEN asked.let_pass = asked.drivers THEN ' let it pass'
                    WHEN asked.lost = asked.drivers THEN ' took another trip'
                    ELSE format(' were not to be had: %s declined, %s let it pass, %s took another trip', asked.declined,
                                asked.let_pass, asked.lost) END;
    END IF;
    SELECT * INTO around FROM hail.drivers_around(trip, radius);
    RETURN CASE WHEN around.online = 0 THEN 'no driver within ' || km
                WHEN around.online = around.on_trips THEN format('all drivers within %s (%s) are busy', km, around.online)
                ELSE format('none of the %s drivers within %s could be asked, %s of them busy', around.online, km, around.on_trips) END;
END
$$;
COMMENT ON FUNCTION hail.why_no_drivers(hail.trips) IS
'Why the search for a trip''s driver found nobody, in plain words with numbers. Internal.';

CREATE FUNCTION hail.next_round(trip hail.trips, moment timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- A round begins when no offer is left, but one that has been agreed to.
    IF EXISTS (SELECT FROM hail.offers o WHERE o.trip_id = trip.id AND o.status = 'pending') THEN
        IF hail.take_reserved(trip, moment) THEN
            RETURN;
        END IF;
    END IF;
    IF trip.backup_driver_id IS NOT NULL THEN
        IF hail.ask_backup(trip) THEN
            RETURN;
        END IF;
    END IF;
    IF hail.match_trip(trip.id) > 0 THEN
        RETURN;
    ELSIF trip.service = 'ride' AND trip.strategy IN ('first_accept', 'sequential')
            AND EXISTS (SELECT FROM hail.dispatch_policies p WHERE p.id = trip.policy_id AND p.forward_within > '0') THEN
        PERFORM hail.offer_forward(trip.id);
    END IF;
END
$$;
COMMENT ON FUNCTION hail.next_round(hail.trips, timestamptz) IS
'The round that is due for a locked searching trip: whoever has agreed to take it next, else its backup driver, else who is free, else, where the policy allows, who is about to be. Internal.';

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
    IF trip.state = 'matched' AND trip.confirmed_at IS NULL AND trip.confirm_by <= moment THEN
        trip := hail.give_back_trip(trip, 'unconfirmed', 'system', 'the driver did not confirm in time', moment);
    END IF;
    IF trip.state NOT IN ('scheduled', 'searching') THEN
        -- Nothing to look at again: the driver has arrived, say, without a word before.
        UPDATE hail.trips t SET next_round_at = NULL WHERE t.id = trip.id AND t.next_round_at <= moment;
    ELSIF trip.state = 'scheduled' THEN
        NULL;
    ELSIF trip.search_until <= moment THEN
        PERFORM hail.end_search(trip, hail.why_no_drivers(trip), moment);
    ELSE
        PERFORM hail.next_round(trip, moment);
    END IF;
    RETURN coalesce(expired, '{}');
END
$$;
COMMENT ON FUNCTION hail.step_trip(uuid, timestamptz) IS
'What is due for a locked trip: a scheduled one is searched for, an unconfirmed one given back; offers past their time expire, then the next round, or the end of the search. Returns the drivers who let an offer go by. Internal.';

CREATE FUNCTION hail.dispatch_tick() RETURNS integer
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_dispatch_tick';
COMMENT ON FUNCTION hail.dispatch_tick() IS
'Do what is due for trips, at most 100 of them, in this transaction: expire offers, run rounds, give up. Returns how many trips were looked at; call again while it is 100. What the dispatcher worker does, by hand. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.dispatch_tick() TO hail_admin;

CREATE FUNCTION hail.overload(OUT level text, OUT lag_s float8, OUT waiting bigint, OUT trips_per_s float8, OUT refused bigint,
                              OUT times_raised bigint)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_overload';
COMMENT ON FUNCTION hail.overload() IS
'The dispatcher''s overload now: level (none, distance_only, longer_windows, queue), lag of its last pass, trips waiting (level queue), trips it looks at in a second of work; since the start: requests refused, times the level rose. Internal.';

CREATE FUNCTION hail.overload_admit() RETURNS integer
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_overload_admit';
COMMENT ON FUNCTION hail.overload_admit() IS
'A new trip wants its first round: 0 at once, else its place in the queue; error overloaded when that is full. Internal.';

CREATE FUNCTION hail.check_dispatcher() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    load record;
    failing record;
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO load FROM hail.overload();
    RETURN QUERY SELECT 'dispatcher', CASE load.level WHEN 'none' THEN 'ok' ELSE 'warn' END,
        format('overload: %s, %s s late', load.level, round(load.lag_s::numeric, 1)),
        CASE load.level WHEN 'none' THEN NULL
            WHEN 'distance_only' THEN 'Drivers are ranked by distance alone until the dispatcher keeps up again.'
            WHEN 'longer_windows' THEN 'Drivers are ranked by distance alone, searches pause longer, until the dispatcher keeps up again.'
            ELSE 'New trips queue up, past hail.dispatch_queue_max they are refused, until the dispatcher keeps up again.' END;
    SELECT count(*) AS trips, max(f.failures) AS failures, (array_agg(f.message ORDER BY f.failures DESC, f.trip_id))[1] AS message,
           (array_agg(f.trip_id ORDER BY f.failures DESC, f.trip_id))[1] AS trip_id INTO failing
    FROM hail.dispatch_failures f JOIN hail.trips t ON t.id = f.trip_id WHERE t.next_round_at IS NOT NULL;
    RETURN QUERY SELECT 'dispatcher', CASE failing.trips WHEN 0 THEN 'ok' ELSE 'warn' END,
        format('%s trips fail at their turn', failing.trips)
            || CASE WHEN failing.trips > 0
               THEN format('; %s, %s in a row: %s', failing.trip_id, failing.failures, failing.message) ELSE '' END,
        CASE WHEN failing.trips > 0 THEN 'SELECT * FROM hail.dispatch_failures; they are tried again, ever more seldom.' END;
END
$$;
COMMENT ON FUNCTION hail.check_dispatcher() IS
'Is the dispatcher overloaded, does it fail at some trips. Administrators only; part of hail.check().';
GRANT EXECUTE ON FUNCTION hail.check_dispatcher() TO hail_admin;

CREATE FUNCTION hail.rank_drivers(trip_id uuid, max_results integer DEFAULT 20)
RETURNS TABLE (driver_id uuid, score float8, distance_m float8, pickup_eta_s integer, distance_term float8, rating_term float8,
               acceptance_term float8, completion_term float8, vehicle_term float8, repeat_term float8, gate text,
               idle_term float8, recent_term float8, favourite boolean, exact_tier boolean, queue_place integer)
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_rank_drivers';
COMMENT ON FUNCTION hail.rank_drivers(uuid, integer) IS
'Available drivers within the radius of the trip''s newest round, best first, with each weighted term of the score (they add up to it); gate tells why a driver is passed over: self, gave_back, blocked, declined, asked, preferred_area, wallet, too_far, pending_offers. Before the score count the place in an airport''s queue, then favourite where the customer asked for favourites, then exact_tier (serves no higher class) in the policy''s first rounds. Administrators only. Errors: not_found, warming.';
GRANT EXECUTE ON FUNCTION hail.rank_drivers(uuid, integer) TO hail_admin;

CREATE TYPE hail.trip_matching AS (trip_id uuid, state text, status text, round integer, radius_m float8,
    offers_pending bigint, offers_made bigint, driver_id uuid, search_until timestamptz, reason text, scheduled_for timestamptz, confirm_by timestamptz,
    confirmed_at timestamptz, queue_position integer);

CREATE FUNCTION hail.radius_index(strategy text, round integer, rounds_per_radius integer, sequential_offers integer, radii integer)
RETURNS integer
LANGUAGE c STRICT IMMUTABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_radius_index';
COMMENT ON FUNCTION hail.radius_index(text, integer, integer, integer, integer) IS
'Index from 0 of the radius that a round of a search has, by strategy. Internal.';

CREATE FUNCTION hail.search_radius(trip hail.trips) RETURNS float8
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT p.radius_m[1 + hail.radius_index((trip).strategy, (trip).round - (trip).rounds_before, p.rounds_per_radius::integer,
                                            p.sequential_offers::integer, cardinality(p.radius_m))]
    FROM hail.dispatch_policies p WHERE p.id = (trip).policy_id);
COMMENT ON FUNCTION hail.search_radius(hail.trips) IS
'Metres around the pickup that the trip''s newest round searched. Internal.';

CREATE FUNCTION hail.matching_status(trip_id uuid) RETURNS hail.trip_matching
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.get_trip(trip_id);
    stored hail.trips;
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
    -- From the row itself: what the caller sees of it is not all.
    SELECT * INTO stored FROM hail.trips t WHERE t.id = trip.id;
    result.radius_m := hail.search_radius(stored);
    result.driver_id := trip.driver_id;
    result.search_until := trip.search_until;
    result.reason := coalesce(trip.no_drivers_reason, trip.cancel_reason);
    result.scheduled_for := trip.scheduled_for;
    result.confirm_by := trip.confirm_by;
    result.confirmed_at := trip.confirmed_at;
    IF stored.queue_position IS NOT NULL AND stored.state = 'searching' AND stored.round = stored.rounds_before
       AND stored.pooled_at IS NULL THEN
        SELECT count(*) + 1 INTO result.queue_position
        FROM (SELECT FROM hail.trips t WHERE t.next_round_at < stored.next_round_at
              OR t.next_round_at = stored.next_round_at AND t.id < stored.id LIMIT 100000) q;
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.matching_status(uuid) IS
'How the search for a driver stands, for whoever may see the trip. status: scheduled, searching, offers_pending, matched, no_drivers, cancelled; reason: why the search ended without a driver, or what was said when it was cancelled; queue_position: requested during an overload, its place now in the queue for its first round.';
GRANT EXECUTE ON FUNCTION hail.matching_status(uuid) TO hail_customer, hail_driver, hail_admin;
