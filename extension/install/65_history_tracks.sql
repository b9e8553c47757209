-- 65_history_tracks: where trips went, how far, with which stops. The ring is drained within a second: what these
-- functions read is that old.

CREATE TYPE hail.recording AS (lats float8[], lngs float8[], times timestamptz[], accuracies real[]);
COMMENT ON TYPE hail.recording IS 'Positions in order of time, as arrays of one length.';

CREATE FUNCTION hail.track_length_m(lats float8[], lngs float8[], times timestamptz[], accuracies real[]) RETURNS float8
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_track_length_m';
COMMENT ON FUNCTION hail.track_length_m(float8[], float8[], timestamptz[], real[]) IS
'Metres along a recording, errors of the receiver left out (src/history/track.h tells how). Internal.';

CREATE FUNCTION hail.track_stops(lats float8[], lngs float8[], times timestamptz[], accuracies real[], radius_m float8,
                                 min_duration_s float8)
RETURNS TABLE (lat float8, lng float8, started_at timestamptz, ended_at timestamptz, points integer)
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_track_stops';
COMMENT ON FUNCTION hail.track_stops(float8[], float8[], timestamptz[], real[], float8, float8) IS
'Stays within radius_m of one place for min_duration_s or more. Internal.';

CREATE FUNCTION hail.track_ewkb(lats float8[], lngs float8[], times timestamptz[], accuracies real[], tolerance_m float8)
RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_track_ewkb';
COMMENT ON FUNCTION hail.track_ewkb(float8[], float8[], timestamptz[], real[], float8) IS
'A recording as EWKB of a LineStringM, M being seconds since 1970; with tolerance_m smoothed and simplified so that at no time it is farther off than that. NULL with fewer than two points. Internal.';

CREATE FUNCTION hail.rfc3339(at timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;
COMMENT ON FUNCTION hail.rfc3339(timestamptz) IS 'A moment as RFC 3339 writes it, in UTC, to the millisecond. Internal.';

-- Trips

CREATE FUNCTION hail.tracked_trip(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role text := hail.caller_role();
    trip hail.trips;
BEGIN
    SELECT * INTO trip FROM hail.trips t
    WHERE t.id = tracked_trip.trip_id
      AND (role = 'admin' OR role = 'customer' AND t.customer_id = hail.current_subject()
           OR role = 'driver' AND t.driver_id = hail.current_subject());
    IF trip.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.tracked_trip(uuid) IS
'A trip for those who may see its track: its customer, its driver, administrators; else error not_found. Internal.';

-- Of its driver, not of one who gave it back; times bound the partitions to look into. A report that came late, when
-- the trip was over, carries no trip: between match and end it is the trip's all the same.
CREATE FUNCTION hail.record_trip(trip hail.trips) RETURNS hail.recording
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended_at timestamptz := coalesce(trip.completed_at, trip.cancelled_at, hail.clock());
    result hail.recording;
BEGIN
    SELECT array_agg(p.lat), array_agg(p.lng), array_agg(p.recorded_at), array_agg(p.accuracy)
    INTO result.lats, result.lngs, result.times, result.accuracies
    FROM (SELECT h.lat, h.lng, h.recorded_at, h.accuracy FROM hail.location_history h
          WHERE h.trip_id = trip.id AND h.driver_id = trip.driver_id
            AND h.recorded_at BETWEEN trip.requested_at - interval '1 day' AND ended_at + interval '1 day'
          UNION ALL
          SELECT h.lat, h.lng, h.recorded_at, h.accuracy FROM hail.location_history h
          WHERE h.driver_id = trip.driver_id AND h.trip_id IS NULL
            AND h.recorded_at BETWEEN trip.matched_at AND ended_at
          ORDER BY recorded_at) p;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.record_trip(hail.trips) IS 'Positions of a trip as recorded; NULLs without any. Internal.';

CREATE FUNCTION hail.trip_track(trip_id uuid) RETURNS public.geometry(LineStringM, 4326)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r hail.recording := hail.record_trip(hail.tracked_trip(trip_id));
BEGIN
    RETURN public.geometry(hail.track_ewkb(r.lats, r.lngs, r.times, r.accuracies, NULL));
END
$$;
COMMENT ON FUNCTION hail.trip_track(uuid) IS
'Where a trip went: a line whose M is seconds since 1970; NULL with fewer than two positions. For its customer, its driver and administrators; else error not_found.';

CREATE FUNCTION hail.trip_distance_m(trip_id uuid) RETURNS float8
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r hail.recording := hail.record_trip(hail.tracked_trip(trip_id));
BEGIN
    RETURN hail.track_length_m(r.lats, r.lngs, r.times, r.accuracies);
END
$$;
COMMENT ON FUNCTION hail.trip_distance_m(uuid) IS
'Metres driven on a trip, errors of the receiver left out. For its customer, its driver and administrators; else error not_found.';

-- Stops

CREATE FUNCTION hail.check_stop_limits(radius_m float8, min_duration interval) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (radius_m BETWEEN 1 AND 10000) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'radius_m must be between 1 and 10000 metres', 'radius_m');
    ELSIF (min_duration BETWEEN interval '0' AND interval '1 day') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'min_duration must be between 0 and 1 day', 'min_duration');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_stop_limits(float8, interval) IS 'Error that names the limit that makes no sense. Internal.';

CREATE FUNCTION hail.trip_stops(trip_id uuid, radius_m float8 DEFAULT 50, min_duration interval DEFAULT '2 minutes')
RETURNS TABLE (lat float8, lng float8, started_at timestamptz, ended_at timestamptz, points integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r hail.recording := hail.record_trip(hail.tracked_trip(trip_id));
BEGIN
    PERFORM hail.check_stop_limits(radius_m, min_duration);
    RETURN QUERY SELECT s.* FROM hail.track_stops(r.lats, r.lngs, r.times, r.accuracies, radius_m,
                                                  extract(epoch FROM min_duration)::float8) s;
END
$$;
COMMENT ON FUNCTION hail.trip_stops(uuid, float8, interval) IS
'Where a trip stood still: within radius_m (1 to 10000) of one place for min_duration or more, in order of time. For its customer, its driver and administrators; else error not_found.';

CREATE FUNCTION hail.driver_stops(driver_id uuid, from_time timestamptz, to_time timestamptz, radius_m float8 DEFAULT 50,
                                  min_duration interval DEFAULT '2 minutes')
RETURNS TABLE (lat float8, lng float8, started_at timestamptz, ended_at timestamptz, points integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r hail.recording;
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    PERFORM hail.check_stop_limits(radius_m, min_duration);
    IF from_time IS NULL OR NOT isfinite(from_time) THEN
        PERFORM hail.fail('invalid_value', 'from_time must be a finite time', 'from_time');
    ELSIF to_time IS NULL OR NOT isfinite(to_time) THEN
        PERFORM hail.fail('invalid_value', 'to_time must be a finite time', 'to_time');
    ELSIF to_time < from_time THEN
        PERFORM hail.fail('invalid_value', 'to_time must not be before from_time', 'to_time');
    ELSIF to_time > from_time + interval '7 days' THEN
        PERFORM hail.fail('invalid_value', 'at most 7 days can be looked through at once', 'to_time');
    ELSIF NOT EXISTS (SELECT FROM hail.drivers d WHERE d.id = driver_stops.driver_id) THEN
        PERFORM hail.fail('not_found', 'there is no such driver', 'driver_id');
    END IF;
    SELECT array_agg(p.lat), array_agg(p.lng), array_agg(p.recorded_at), array_agg(p.accuracy)
    INTO r.lats, r.lngs, r.times, r.accuracies
    FROM (SELECT h.lat, h.lng, h.recorded_at, h.accuracy FROM hail.location_history h
          WHERE h.driver_id = driver_stops.driver_id AND h.recorded_at BETWEEN from_time AND to_time
          ORDER BY h.recorded_at) p;
    RETURN QUERY SELECT s.* FROM hail.track_stops(r.lats, r.lngs, r.times, r.accuracies, radius_m,
                                                  extract(epoch FROM min_duration)::float8) s;
END
$$;
COMMENT ON FUNCTION hail.driver_stops(uuid, timestamptz, timestamptz, float8, interval) IS
'Where a driver stood still between two times, 7 days apart at most: within radius_m (1 to 10000) of one place for min_duration or more, in order of time. Off trips one position a minute is kept: shorter stops are not seen there. For the driver itself and administrators. Errors: invalid_value, not_found.';
GRANT EXECUTE ON FUNCTION hail.trip_track(uuid), hail.trip_distance_m(uuid), hail.trip_stops(uuid, float8, interval)
    TO hail_customer, hail_driver, hail_admin;
GRANT EXECUTE ON FUNCTION hail.driver_stops(uuid, timestamptz, timestamptz, float8, interval) TO hail_driver, hail_admin;

-- Longitudes go on beyond 180 degrees rather than jump by 360: what a map draws is the way that was driven.
CREATE FUNCTION hail.trip_track_geojson(trip_id uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r hail.recording := hail.record_trip(hail.tracked_trip(trip_id));
    line json;
    times json;
    stops json;
BEGIN
    WITH turns AS (
        SELECT p.*, -360 * round((p.lng - lag(p.lng, 1, p.lng) OVER (ORDER BY p.n)) / 360) AS turn
        FROM unnest(r.lats, r.lngs, r.times) WITH ORDINALITY AS p (lat, lng, at, n)
    ), points AS (
        SELECT t.n, t.lat, t.lng + sum(t.turn) OVER (ORDER BY t.n) AS lng, t.at FROM turns t ORDER BY t.n
    )
    SELECT json_agg(json_build_array(round(p.lng::numeric, 6), round(p.lat::numeric, 6))), json_agg(hail.rfc3339(p.at))
    INTO line, times FROM points p;
    SELECT json_agg(json_build_object('lat', round(s.lat::numeric, 6), 'lng', round(s.lng::numeric, 6),
                                      'startedAt', hail.rfc3339(s.started_at), 'endedAt', hail.rfc3339(s.ended_at)))
    INTO stops FROM hail.track_stops(r.lats, r.lngs, r.times, r.accuracies, 50, 120) s;
    RETURN json_build_object(
        'type', 'Feature',
        'geometry', CASE WHEN cardinality(r.times) > 1 THEN json_build_object('type', 'LineString', 'coordinates', line) END,
        'properties', json_build_object(
            'tripId', trip_id, 'times', coalesce(times, '[]'),
            'distanceM', round(hail.track_length_m(r.lats, r.lngs, r.times, r.accuracies)),
            'stops', coalesce(stops, '[]'), 'startedAt', hail.rfc3339(r.times[1]),
            'endedAt', hail.rfc3339(r.times[cardinality(r.times)])));
END
$$;
COMMENT ON FUNCTION hail.trip_track_geojson(uuid) IS
'Where a trip went, as a GeoJSON Feature: a LineString of [lng, lat], null with fewer than two positions; times has one moment for each of its points, stops the stays of two minutes or more within 50 m. Across the antimeridian longitudes go on beyond 180. For its customer, its driver and administrators; else error not_found.';
GRANT EXECUTE ON FUNCTION hail.trip_track_geojson(uuid) TO hail_customer, hail_driver, hail_admin;

CREATE FUNCTION hail.driver_position_at(driver_id uuid, at timestamptz, OUT lat float8, OUT lng float8, OUT heading real,
                                        OUT speed real, OUT accuracy real, OUT trip_id uuid, OUT recorded_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    SELECT h.lat, h.lng, h.heading, h.speed, h.accuracy, h.trip_id, h.recorded_at
    INTO lat, lng, heading, speed, accuracy, trip_id, recorded_at
    FROM hail.location_history h
    WHERE h.driver_id = driver_position_at.driver_id
      AND h.recorded_at <= at AND h.recorded_at > at - interval '1 day'
    ORDER BY h.recorded_at DESC LIMIT 1;
END
$$;
COMMENT ON FUNCTION hail.driver_position_at(uuid, timestamptz) IS
'The last position of a driver recorded at or in the day before a time; NULLs without one. For the driver itself and administrators.';
GRANT EXECUTE ON FUNCTION hail.driver_position_at(uuid, timestamptz) TO hail_driver, hail_admin;

CREATE FUNCTION hail.erase_history(driver_id uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    erased bigint;
BEGIN
    PERFORM hail.require_admin();
    DELETE FROM hail.location_rejects r WHERE r.driver_id = erase_history.driver_id;
    DELETE FROM hail.location_history h WHERE h.driver_id = erase_history.driver_id;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END
$$;
COMMENT ON FUNCTION hail.erase_history(uuid) IS
'Delete every position kept of a driver, on the driver''s request; returns how many. Administrators only. Positions still in the ring are not seen: call it once the driver has been offline for a second.';
GRANT EXECUTE ON FUNCTION hail.erase_history(uuid) TO hail_admin;
