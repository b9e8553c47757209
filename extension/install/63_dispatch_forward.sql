-- 63_dispatch_forward: the next ride for drivers about to end one (policy forward_within; off by default)

CREATE FUNCTION hail.finishing_drivers(trip_id uuid, radius_m float8, max_results integer)
RETURNS TABLE (driver_id uuid, metres float8, rating real, acceptance real, completion real, vehicle_score real,
               pending_offers integer, class_mask bigint, area_mask bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.id, m.to_dropoff + m.to_pickup, d.rating,
           CASE WHEN d.offers_total > 0 THEN d.offers_accepted::real / d.offers_total ELSE 1 END,
           CASE WHEN d.trips_total > 0 THEN d.trips_completed::real / d.trips_total ELSE 1 END, d.vehicle_score,
           (SELECT count(*)::integer FROM hail.offers o WHERE o.driver_id = d.id AND o.status = 'pending'), d.class_mask, d.area_mask
    FROM hail.trips n JOIN hail.dispatch_policies p ON p.id = n.policy_id
    JOIN hail.service_classes c ON c.code = n.service_class,
         LATERAL (SELECT finishing_drivers.radius_m / 111195.0 + 0.01 AS lat,
                         (finishing_drivers.radius_m / 111195.0 + 0.01) / greatest(cos(radians(n.pickup_lat)), 0.01) AS lng) box,
         hail.driver_positions a JOIN hail.drivers d ON d.id = a.driver_id JOIN hail.trips t ON t.id = d.trip_id,
         LATERAL (SELECT public.ST_DistanceSphere(public.ST_MakePoint(a.lng, a.lat), public.ST_MakePoint(t.dropoff_lng, t.dropoff_lat))
                             AS to_dropoff,
                         public.ST_DistanceSphere(public.ST_MakePoint(t.dropoff_lng, t.dropoff_lat),
                                                  public.ST_MakePoint(n.pickup_lng, n.pickup_lat)) AS to_pickup) m
    WHERE n.id = finishing_drivers.trip_id AND p.forward_within > '0'
      AND a.place OPERATOR(public.&&) public.ST_MakeEnvelope(n.pickup_lng - box.lng, n.pickup_lat - box.lat,
                                                             n.pickup_lng + box.lng, n.pickup_lat + box.lat, 4326)
      AND a.received_at > hail.clock() - current_setting('hail.presence_ttl')::interval
      AND d.online AND d.status = 'approved' AND d.active_jobs <= 1 AND d.class_mask & (1::bigint << c.id) <> 0
      AND t.state = 'started' AND t.service = 'ride'
      AND m.to_dropoff + m.to_pickup <= finishing_drivers.radius_m
      AND hail.eta_seconds(t.region_id, a.lat, a.lng, t.dropoff_lat, t.dropoff_lng, hail.clock()) <= extract(epoch FROM p.forward_within)
    ORDER BY 2, 1 LIMIT max_results;
END;
COMMENT ON FUNCTION hail.finishing_drivers(uuid, float8, integer) IS
'Drivers whose ride ends, by what ETAs have learnt from where they are (the position table, seconds old), within the policy''s forward_within; metres: to its end and from there to the trip''s pickup, within the radius together. Internal.';

CREATE FUNCTION hail.offer_forward(trip_id uuid) RETURNS integer
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_offer_forward';
COMMENT ON FUNCTION hail.offer_forward(uuid) IS
'Offer a locked searching ride, for which a round found nobody, to drivers about to end one; the number of offers. Internal.';

CREATE FUNCTION hail.reserve_trip(trip_id uuid, offer_id uuid, OUT trip hail.trips, OUT again boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := hail.clock();
    offer hail.offers;
    within interval;
BEGIN
    SELECT * INTO trip FROM hail.trips t WHERE t.id = reserve_trip.trip_id;
    SELECT p.forward_within INTO within FROM hail.dispatch_policies p WHERE p.id = trip.policy_id;
    SELECT * INTO offer FROM hail.offers o WHERE o.id = reserve_trip.offer_id;
    again := offer.agreed_at IS NOT NULL;
    -- Estimates are estimates: the driver has twice the time.
    UPDATE hail.offers o SET status = 'pending', responded_at = NULL, agreed_at = coalesce(o.agreed_at, moment),
           expires_at = CASE WHEN again THEN o.expires_at ELSE moment + 2 * within END
    WHERE o.id = offer.id RETURNING * INTO offer;
    UPDATE hail.trips t SET next_round_at = least(moment + interval '2 seconds', offer.expires_at),
           -- the wait is not the search's
           search_until = t.search_until + CASE WHEN again THEN interval '0' ELSE offer.expires_at - moment END,
           event_version = t.event_version + CASE WHEN again THEN 0 ELSE 1 END
    WHERE t.id = trip.id RETURNING * INTO trip;
    IF NOT again THEN
        PERFORM hail.trip_event(trip, 'TripReserved', jsonb_build_object('reserved_for', offer.driver_id, 'until', offer.expires_at));
    END IF;
END
$$;
COMMENT ON FUNCTION hail.reserve_trip(uuid, uuid) IS
'The driver of a forward offer agrees while on a ride: the offer, its trip''s only one, waits for the ride''s end, twice forward_within at most; the trip is still searched for, and nobody is on two. again: had agreed before. Internal.';

CREATE FUNCTION hail.take_reserved(trip hail.trips, moment timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '700ms' AS $$
DECLARE
    offer hail.offers;
BEGIN
    SELECT * INTO offer FROM hail.offers o WHERE o.trip_id = trip.id AND o.status = 'pending' AND o.agreed_at IS NOT NULL;
    IF offer.id IS NULL THEN
        RETURN false;
    END IF;
    BEGIN
        -- Still on the ride: reserved as before, and looked at again soon.
        PERFORM hail.accept_for(trip.id, offer.driver_id, 'driver', -1);
    EXCEPTION
        WHEN lock_not_available THEN
            UPDATE hail.trips t SET next_round_at = moment + interval '1 second' WHERE t.id = trip.id;
        -- offer_expired, offer_closed, driver_busy, driver_not_eligible, insufficient_balance: it cannot be; the search goes on.
        WHEN SQLSTATE 'UH032' OR SQLSTATE 'UH033' OR SQLSTATE 'UH034' OR SQLSTATE 'UH035' OR SQLSTATE 'UH060' THEN
            UPDATE hail.offers o SET status = 'withdrawn', responded_at = moment WHERE o.id = offer.id AND o.status = 'pending';
            RETURN false;
    END;
    RETURN true;
END
$$;
COMMENT ON FUNCTION hail.take_reserved(hail.trips, timestamptz) IS
'A locked searching trip whose next driver has agreed: matched, if the driver is free by now. False: nobody has, or it cannot be any more. Internal.';
