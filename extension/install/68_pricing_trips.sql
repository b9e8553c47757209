-- 68_pricing_trips: what may change a trip's price after it was agreed on: waiting, another destination

-- Waiting is reckoned when a trip starts (hail.start_trip()); the terms are the quote's.

CREATE FUNCTION hail.waive_waiting(trip_id uuid, reason text) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
    waived bigint;
BEGIN
    PERFORM hail.require_admin();
    IF (length(reason) BETWEEN 1 AND 500) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'reason must have 1 to 500 characters', 'reason');
    END IF;
    trip := hail.lock_trip(trip_id);
    IF trip.state <> 'started' THEN
        PERFORM hail.fail('wrong_state', 'waiting is charged while a trip is under way', 'trip_id',
                          'It is reckoned when the trip starts and paid when it is completed; pay it back with a transaction of the ledger.');
    END IF;
    waived := trip.waiting_amount;
    IF waived > 0 THEN
        UPDATE hail.trips t SET price = t.price - t.waiting_amount, waiting_amount = 0, event_version = t.event_version + 1
        WHERE t.id = trip.id RETURNING * INTO trip;
        PERFORM hail.trip_event(trip, 'WaitingWaived', jsonb_build_object('amount', waived, 'price', trip.price, 'currency', trip.currency,
            'by', hail.current_subject(), 'reason', waive_waiting.reason));
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.waive_waiting(uuid, text) IS
'Take what waiting at the pickup has cost out of the price of a trip under way, with a reason of 1 to 500 characters; event WaitingWaived. Where nothing is charged, nothing changes. Administrators. Errors: invalid_value, not_found, wrong_state (not started, or over).';
GRANT EXECUTE ON FUNCTION hail.waive_waiting(uuid, text) TO hail_admin;

-- Another destination

CREATE FUNCTION hail.destination_way(region_id smallint, places float8[], lat float8, lng float8,
                                     OUT distance_m integer, OUT duration_s integer)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_destination_way';
COMMENT ON FUNCTION hail.destination_way(smallint, float8[], float8, float8) IS
'Road metres and seconds over places (latitudes and longitudes in turn, the pickup first) to a new dropoff, estimated anew for now. Errors: invalid_value (lat, lng). Internal.';

CREATE FUNCTION hail.trip_place(trip hail.trips, OUT lat float8, OUT lng float8, OUT fresh boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest timestamptz := trip.started_at; -- the pickup code was told face to face
    place record;
BEGIN
    FOR place IN
        SELECT p.lat, p.lng, p.recorded_at FROM hail.driver_place(trip.driver_id) p
        UNION ALL
        (SELECT h.lat, h.lng, h.recorded_at FROM hail.location_history h
         WHERE h.trip_id = trip.id AND h.recorded_at >= trip.started_at ORDER BY h.recorded_at DESC LIMIT 1)
    LOOP
        IF place.recorded_at >= newest THEN
            lat := place.lat;
            lng := place.lng;
            newest := place.recorded_at;
        END IF;
    END LOOP;
    fresh := newest >= hail.clock() - interval '60 seconds';
END
$$;
COMMENT ON FUNCTION hail.trip_place(hail.trips) IS
'Where the driver of a trip under way was last heard of since its start (NULL: not since then), and whether that, or the start, is within 60 seconds. Internal.';

CREATE TYPE hail.destination_price AS (
    trip_id           uuid,
    dropoff_lat       float8,
    dropoff_lng       float8,
    distance_m        integer,
    duration_s        integer,
    base_amount       bigint,
    distance_amount   bigint,
    time_amount       bigint,
    multiplier_amount bigint,
    minimum_amount    bigint,
    booking_fee       bigint,
    rounding_amount   bigint,
    total             bigint,
    waiting_amount    bigint,
    price             bigint,
    price_before      bigint,
    currency          text,
    changes_left      integer
);
COMMENT ON TYPE hail.destination_price IS
'What a trip would cost with another destination. The amounts add up to total, by the rates and multipliers of its quote; price is what would be paid: total (of a trip whose price was bid, the same share of it) and waiting so far. It stays price_before within 100 m of the destination there is, and at least that while nobody knows where the driver is.';

CREATE FUNCTION hail.redirect_multiplier(trip hail.trips, quote hail.quotes, distance_m integer) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN distance_m > quote.distance_m AND 2 * s.now > 3 * s.quoted
                THEN s.quoted + round((s.now - s.quoted) * (1 - quote.distance_m / distance_m::numeric))::integer
                ELSE s.quoted END
    FROM (SELECT (quote.surge * 100)::integer AS quoted, (hail.surge_at(trip.pickup_lat, trip.pickup_lng) * 100)::integer AS now) s
$$;
COMMENT ON FUNCTION hail.redirect_multiplier(hail.trips, hail.quotes, integer) IS
'Surge, in hundredths, of a trip whose way becomes so long: the quote''s, but where surge at the pickup is more than 1.5 times that by now, the metres beyond the quoted ones count with it (the mean by metres). Internal.';

CREATE FUNCTION hail.check_growth(trip hail.trips, quote hail.quotes, distance_m integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    growth integer := current_setting('hail.destination_growth')::integer;
    longest integer := greatest(quote.distance_m * growth, quote.distance_m + 5000);
BEGIN
    IF growth > 0 AND distance_m > longest AND distance_m > trip.distance_m THEN
        PERFORM hail.fail('invalid_value', format('the way would be %s m long, of a trip that was accepted as %s m', distance_m, quote.distance_m),
                          'lat', format('It may be at most %s m long. Book a new trip.', longest));
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_growth(hail.trips, hail.quotes, integer) IS
'Error invalid_value where a trip gets longer than its driver can have expected: hail.destination_growth times the quoted way, or 5 km more. Internal.';

CREATE FUNCTION hail.price_destination(trip hail.trips, lat float8, lng float8, OUT told hail.destination_price, OUT surge numeric,
                                       OUT via float8[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    near_m CONSTANT integer := 100;
    quote hail.quotes;
    place record;
    way record;
    parts record;
    near boolean;
BEGIN
    SELECT * INTO quote FROM hail.quotes q WHERE q.id = trip.quote_id;
    via := trip.via;
    SELECT NULL::float8 AS lat, NULL::float8 AS lng, true AS fresh INTO place;
    IF trip.state = 'started' THEN
        SELECT p.lat, p.lng, p.fresh INTO place FROM hail.trip_place(trip) p;
    END IF;
    IF place.lat IS NOT NULL THEN
        via := via || ARRAY[place.lat, place.lng];
    END IF;
    SELECT w.distance_m, w.duration_s INTO way
    FROM hail.destination_way(trip.region_id, ARRAY[trip.pickup_lat, trip.pickup_lng] || via, price_destination.lat, price_destination.lng) w;
    IF hail.is_restricted(price_destination.lat, price_destination.lng) THEN
        PERFORM hail.fail('restricted_area', 'dropoff lies in a restricted area', 'lat',
                          'Choose a place outside the area; hail.geofences shows it.');
    END IF;
    near := hail.metres_between(trip.dropoff_lat, trip.dropoff_lng, price_destination.lat, price_destination.lng) <= near_m;
    IF near THEN -- the price stays, so what it is made of does
        SELECT trip.distance_m, trip.duration_s INTO way;
        surge := trip.surge;
    ELSE
        PERFORM hail.check_growth(trip, quote, way.distance_m);
        surge := round(hail.redirect_multiplier(trip, quote, way.distance_m) / 100.0, 2);
    END IF;
    SELECT a.* INTO parts
    FROM hail.fare_amounts(quote.base_amount, quote.per_km, quote.per_minute, quote.minimum_fare, quote.booking_fee, quote.rounding,
                           way.distance_m, way.duration_s, (surge * 100)::integer, (quote.time_multiplier * 100)::integer,
                           (quote.event_multiplier * 100)::integer, (quote.variant_multiplier * 100)::integer) a;
    told := (trip.id, price_destination.lat, price_destination.lng, way.distance_m, way.duration_s, quote.base_amount,
             parts.distance_amount, parts.time_amount, parts.multiplier_amount, parts.minimum_amount, quote.booking_fee,
             parts.rounding_amount, parts.total, trip.waiting_amount, NULL, trip.price, trip.currency,
             current_setting('hail.destination_changes')::integer - trip.destination_changes);
    told.price := CASE WHEN near THEN trip.price ELSE trip.waiting_amount + CASE WHEN trip.agreed_for > 0
        THEN hail.rescaled_price(parts.total, trip.agreed_price, trip.agreed_for, quote.rounding) ELSE parts.total END END;
    IF NOT place.fresh THEN
        told.price := greatest(told.price, trip.price);
    END IF;
END
$$;
COMMENT ON FUNCTION hail.price_destination(hail.trips, float8, float8) IS
'The price of a trip with another destination, the surge in it, and the places passed until then. Internal.';

CREATE FUNCTION hail.check_redirection(trip hail.trips) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
BEGIN
    IF trip.id IS NULL OR NOT coalesce(role = 'admin' OR role = 'customer' AND trip.customer_id = hail.current_subject(), false) THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    ELSIF trip.service <> 'ride' THEN
        PERFORM hail.fail('wrong_state', 'the stops of a job do not change', 'trip_id', 'Cancel it and ask for another one.');
    ELSIF trip.state IN ('scheduled', 'searching') THEN
        PERFORM hail.fail('wrong_state', 'this trip has no driver yet', 'trip_id', 'Cancel it, which costs nothing, and ask for a trip to the other place.');
    END IF;
    PERFORM hail.next_state(trip.state, 'redirect', role);
    IF trip.destination_changes >= current_setting('hail.destination_changes')::integer THEN
        PERFORM hail.fail('wrong_state', format('the destination of this trip has been changed %s times', trip.destination_changes), 'trip_id',
                          'So often it may be (hail.destination_changes).');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_redirection(hail.trips) IS
'Errors unless the caller may change the destination of a trip in its state. Internal.';

CREATE FUNCTION hail.quote_destination(trip_id uuid, lat float8, lng float8) RETURNS hail.destination_price
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
BEGIN
    SELECT * INTO trip FROM hail.trips t WHERE t.id = trip_id;
    PERFORM hail.check_redirection(trip);
    RETURN (hail.price_destination(trip, lat, lng)).told;
END
$$;
COMMENT ON FUNCTION hail.quote_destination(uuid, float8, float8) IS
'What a ride with a driver would cost if it ended somewhere else: for the way from the pickup, once it has started over where the driver was at earlier changes and is now, to that place, by the rates and multipliers of its quote; distance and time are estimated anew for now. Where surge at the pickup has risen more than 1.5 times since the quote, the metres beyond the quoted ones count with today''s. Within 100 m of the destination there is, the price stays; and while nobody knows where the driver is (no position for 60 seconds) it does not fall. Changes nothing. Its customer or an administrator. Errors: not_found, wrong_state (no driver yet, over, a job, changed too often), invalid_value (lat, lng; or the way becomes longer than hail.destination_growth times the quoted one, and 5 km longer), restricted_area.';

CREATE FUNCTION hail.change_destination(trip_id uuid, lat float8, lng float8, expected_price bigint) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
    old hail.trips := hail.lock_trip_of_caller(trip_id);
    trip hail.trips;
    new hail.destination_price;
    at record; -- surge and the places passed
BEGIN
    IF expected_price IS NULL THEN
        PERFORM hail.fail('invalid_value', 'expected_price must be given', 'expected_price', 'hail.quote_destination() tells it.');
    ELSIF role IN ('customer', 'admin') AND old.destination_changes > 0 AND (old.dropoff_lat, old.dropoff_lng) = (lat, lng)
          AND old.state IN ('matched', 'arrived', 'started') AND old.price <= expected_price THEN
        RETURN hail.trip_for_caller(old); -- asked again
    END IF;
    PERFORM hail.check_redirection(old);
    SELECT p.told, p.surge, p.via INTO at FROM hail.price_destination(old, lat, lng) p;
    new := at.told;
    -- A car that moves makes the way shorter or longer meanwhile: less than agreed on is agreed to.
    IF new.price > expected_price THEN
        PERFORM hail.fail('quote_changed', format('this destination costs %s %s now (minor units)', new.price, new.currency), 'expected_price',
                          'Show the new price and ask again with it.', format('price=%s', new.price));
    END IF;
    IF old.promotion_amount > 0 THEN
        old.promotion_amount := hail.lower_promotion(old, new.price - old.waiting_amount);
    END IF;
    IF old.payment_method = 'wallet' THEN
        old.hold_id := hail.change_trip_hold(old, new.price - old.waiting_amount + old.waiting_max + old.tolls - old.promotion_amount);
    ELSIF old.payment_method = 'cash' AND new.price > old.price AND NOT hail.bears_commission(old.id, old.driver_id, new.price - old.waiting_amount) THEN
        PERFORM hail.fail('driver_not_eligible', 'the commission of the higher price takes the driver''s wallet below its limit', 'trip_id',
                          'End this trip as agreed and ask for another one.');
    END IF;
    UPDATE hail.trips t SET state = hail.next_state(old.state, 'redirect', role), dropoff_lat = new.dropoff_lat, dropoff_lng = new.dropoff_lng,
           distance_m = new.distance_m, duration_s = new.duration_s, price = new.price, hold_id = old.hold_id,
           surge = at.surge, via = at.via, promotion_amount = old.promotion_amount,
           payment_state = CASE WHEN old.hold_id IS NULL OR old.payment_method <> 'wallet' THEN 'none' ELSE 'held' END,
           destination_changes = t.destination_changes + 1, event_version = t.event_version + 1
    WHERE t.id = old.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'TripDestinationChanged', jsonb_build_object('by', role, 'dropoff_lat', trip.dropoff_lat,
        'dropoff_lng', trip.dropoff_lng, 'old_dropoff_lat', old.dropoff_lat, 'old_dropoff_lng', old.dropoff_lng,
        'distance_m', trip.distance_m, 'duration_s', trip.duration_s, 'price', trip.price, 'price_before', old.price,
        'currency', trip.currency));
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.change_destination(uuid, float8, float8, bigint) IS
'A ride with a driver ends somewhere else, at the price that hail.quote_destination() told: expected_price, or less where the way has become shorter meanwhile. What is held on the wallet changes with it; event TripDestinationChanged. Asked again with the same place, the trip as it is. Its customer or an administrator, hail.destination_changes times. Errors, which change nothing: as there, quote_changed (it costs more by now), insufficient_balance, driver_not_eligible (cash: the driver''s wallet does not bear the commission).';
GRANT EXECUTE ON FUNCTION hail.quote_destination(uuid, float8, float8), hail.change_destination(uuid, float8, float8, bigint)
    TO hail_customer, hail_admin;

CREATE FUNCTION hail.bears_commission(trip_id uuid, driver_id uuid, price bigint) RETURNS boolean
LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_bears_commission';
COMMENT ON FUNCTION hail.bears_commission(uuid, uuid, bigint) IS
'Whether a driver''s wallet bears the commission of a locked cash trip at a price (without waiting), besides those of its other cash trips; locks the driver''s row. Internal.';
