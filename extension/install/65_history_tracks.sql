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

-- Kept tracks: positions are gone after hail.partitioned_tables.retention, a simplified track stays

CREATE TABLE hail.trip_tracks (
    trip_id      uuid PRIMARY KEY REFERENCES hail.trips (id),
    driver_id    uuid NOT NULL,
    customer_id  uuid NOT NULL,
    completed_at timestamptz NOT NULL,
    kept_at      timestamptz,
    points       integer NOT NULL DEFAULT 0,
    distance_m   float8,
    started_at   timestamptz,
    ended_at     timestamptz,
    track        public.geometry(LineStringM, 4326),
    problem      text
);
CREATE INDEX trip_tracks_due ON hail.trip_tracks (completed_at) WHERE kept_at IS NULL;
CREATE INDEX trip_tracks_completed ON hail.trip_tracks (completed_at);
COMMENT ON TABLE hail.trip_tracks IS
'Where completed trips went, simplified. A row comes with the completion; hail.keep_tracks() fills it hail.track_delay later and deletes it hail.track_retention after the completion.';
COMMENT ON COLUMN hail.trip_tracks.kept_at IS 'When the track was made; NULL: it is due.';
COMMENT ON COLUMN hail.trip_tracks.points IS 'Positions recorded, of which track is made.';
COMMENT ON COLUMN hail.trip_tracks.distance_m IS 'Metres, measured on the positions recorded.';
COMMENT ON COLUMN hail.trip_tracks.started_at IS 'Time of the first position recorded; ended_at: of the last.';
COMMENT ON COLUMN hail.trip_tracks.track IS 'M is seconds since 1970. At no time farther off the recorded way than hail.track_tolerance. NULL with fewer than two positions.';
COMMENT ON COLUMN hail.trip_tracks.problem IS 'Why the track could not be made; hail.keep_track() tries again.';
GRANT SELECT ON hail.trip_tracks TO hail_customer, hail_driver, hail_admin;
CREATE POLICY trip_tracks_customer ON hail.trip_tracks FOR SELECT TO hail_customer USING (customer_id = hail.current_subject());
CREATE POLICY trip_tracks_driver ON hail.trip_tracks FOR SELECT TO hail_driver USING (driver_id = hail.current_subject());
CREATE POLICY trip_tracks_admin ON hail.trip_tracks FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.trip_track_due() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO hail.trip_tracks (trip_id, driver_id, customer_id, completed_at)
    VALUES (NEW.id, NEW.driver_id, NEW.customer_id, NEW.completed_at) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION hail.trip_track_due() IS
'Trigger: the track of a trip that is completed is due, from the very same commit: none is forgotten. Internal.';
CREATE TRIGGER trip_track_due AFTER UPDATE OF state ON hail.trips FOR EACH ROW
    WHEN (NEW.state = 'completed' AND OLD.state <> 'completed') EXECUTE FUNCTION hail.trip_track_due();

CREATE FUNCTION hail.make_track(trip hail.trips) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r hail.recording := hail.record_trip(trip);
    n integer := coalesce(cardinality(r.times), 0);
BEGIN
    UPDATE hail.trip_tracks k
    SET kept_at = hail.clock(), problem = NULL, points = n, started_at = r.times[1], ended_at = r.times[n],
        distance_m = hail.track_length_m(r.lats, r.lngs, r.times, r.accuracies),
        track = public.geometry(hail.track_ewkb(r.lats, r.lngs, r.times, r.accuracies,
                                                current_setting('hail.track_tolerance')::float8))
    WHERE k.trip_id = trip.id AND n >= k.points; -- fewer: what it was made of has been dropped
END
$$;
COMMENT ON FUNCTION hail.make_track(hail.trips) IS
'Fill the row of hail.trip_tracks of a completed trip from the positions recorded by now. Internal.';

CREATE FUNCTION hail.keep_track(trip_id uuid) RETURNS hail.trip_tracks
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    trip hail.trips;
    result hail.trip_tracks;
BEGIN
    PERFORM hail.require_admin();
    trip := hail.tracked_trip(trip_id);
    IF trip.state <> 'completed' THEN
        PERFORM hail.fail('wrong_state', 'only tracks of completed trips are kept', 'trip_id');
    END IF;
    INSERT INTO hail.trip_tracks (trip_id, driver_id, customer_id, completed_at)
    VALUES (trip.id, trip.driver_id, trip.customer_id, trip.completed_at) ON CONFLICT DO NOTHING;
    PERFORM hail.make_track(trip);
    SELECT * INTO result FROM hail.trip_tracks k WHERE k.trip_id = trip.id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.keep_track(uuid) IS
'Keep the track of a completed trip now, or anew because positions came late or because of its problem; a track made of more positions than are left stays. Administrators only. Errors: not_found, wrong_state.';

-- A driver's phone may send what it recorded without a connection some time later, and the ring may still hold
-- positions: a trip is due hail.track_delay after its completion, later when the ring is behind.
CREATE FUNCTION hail.keep_tracks(max_trips integer DEFAULT 200) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due timestamptz;
    trip hail.trips;
    kept bigint := 0;
BEGIN
    PERFORM hail.require_admin();
    SELECT hail.clock() - current_setting('hail.track_delay')::interval - make_interval(secs => coalesce(s.drain_lag_s, 0))
    INTO due FROM hail.history_stats() s;
    FOR trip IN
        SELECT t.* FROM hail.trip_tracks k JOIN hail.trips t ON t.id = k.trip_id
        WHERE k.kept_at IS NULL AND k.completed_at <= due
        ORDER BY k.completed_at LIMIT max_trips FOR UPDATE OF k SKIP LOCKED LOOP
        BEGIN
            PERFORM hail.make_track(trip);
            kept := kept + 1;
        EXCEPTION WHEN OTHERS THEN
            UPDATE hail.trip_tracks k SET kept_at = hail.clock(), problem = SQLERRM WHERE k.trip_id = trip.id;
            RAISE WARNING 'keeping the track of trip % failed: %', trip.id, SQLERRM;
        END;
    END LOOP;
    DELETE FROM hail.trip_tracks k WHERE k.trip_id IN (
        SELECT o.trip_id FROM hail.trip_tracks o
        WHERE o.completed_at < hail.clock() - current_setting('hail.track_retention')::interval
        ORDER BY o.completed_at LIMIT 1000);
    RETURN kept;
END
$$;
COMMENT ON FUNCTION hail.keep_tracks(integer) IS
'Make the tracks of trips completed hail.track_delay ago, the oldest first, max_trips at most; a trip that fails gets its problem noted and a warning, and stops no other. Deletes kept tracks older than hail.track_retention. Returns how many were made. The keeper calls it; administrators may.';
GRANT EXECUTE ON FUNCTION hail.keep_track(uuid), hail.keep_tracks(integer) TO hail_admin;

CREATE FUNCTION hail.check_tracks() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    late bigint;
    failed bigint;
BEGIN
    PERFORM hail.require_admin();
    SELECT count(*) INTO late FROM hail.trip_tracks k
    WHERE k.kept_at IS NULL AND k.completed_at < hail.clock() - current_setting('hail.track_delay')::interval - interval '1 hour';
    SELECT count(*) INTO failed FROM hail.trip_tracks k
    WHERE k.problem IS NOT NULL AND k.completed_at > hail.clock() - interval '7 days';
    RETURN QUERY SELECT 'tracks', CASE WHEN late = 0 AND failed = 0 THEN 'ok' ELSE 'warn' END,
        format('%s track(s) are an hour overdue, %s of the last 7 days could not be made', late, failed),
        CASE WHEN failed > 0 THEN 'See problem in hail.trip_tracks; hail.keep_track() tries again.'
             WHEN late > 0 THEN 'Is the keeper running? hail.keep_tracks() does its work by hand.' END;
END
$$;
COMMENT ON FUNCTION hail.check_tracks() IS 'Are tracks of completed trips kept in time? Administrators only; part of hail.check().';
GRANT EXECUTE ON FUNCTION hail.check_tracks() TO hail_admin;

-- Retention drops the oldest day first: while the first position is there, all are.
CREATE FUNCTION hail.trip_recording(trip hail.trips, OUT recording hail.recording, OUT distance_m float8)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept hail.trip_tracks;
BEGIN
    SELECT * INTO kept FROM hail.trip_tracks k WHERE k.trip_id = trip.id AND k.points > 0;
    IF kept.trip_id IS NULL OR EXISTS (
            SELECT FROM hail.location_history h WHERE h.driver_id = kept.driver_id AND h.recorded_at = kept.started_at) THEN
        recording := hail.record_trip(trip);
        RETURN;
    END IF;
    distance_m := kept.distance_m;
    SELECT array_agg(public.ST_Y(p.geom)), array_agg(public.ST_X(p.geom)),
           array_agg(to_timestamp(public.ST_M(p.geom))), array_agg(NULL::real)
    INTO recording.lats, recording.lngs, recording.times, recording.accuracies
    FROM public.ST_DumpPoints(kept.track) p;
END
$$;
COMMENT ON FUNCTION hail.trip_recording(hail.trips) IS
'Positions of a trip as recorded; once retention has dropped them, the kept track, and its length as it was measured. Internal.';

CREATE FUNCTION hail.trip_track(trip_id uuid) RETURNS public.geometry(LineStringM, 4326)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r hail.recording := (hail.trip_recording(hail.tracked_trip(trip_id))).recording;
BEGIN
    RETURN public.geometry(hail.track_ewkb(r.lats, r.lngs, r.times, r.accuracies, NULL));
END
$$;
COMMENT ON FUNCTION hail.trip_track(uuid) IS
'Where a trip went: a line whose M is seconds since 1970; NULL with fewer than two positions. The positions as recorded, or, once retention has dropped them, the kept track. For its customer, its driver and administrators; else error not_found.';

CREATE FUNCTION hail.trip_distance_m(trip_id uuid) RETURNS float8
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r hail.recording;
    kept float8;
BEGIN
    SELECT (t.recording).*, t.distance_m INTO r.lats, r.lngs, r.times, r.accuracies, kept
    FROM hail.trip_recording(hail.tracked_trip(trip_id)) t;
    RETURN coalesce(kept, hail.track_length_m(r.lats, r.lngs, r.times, r.accuracies));
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
    r hail.recording := (hail.trip_recording(hail.tracked_trip(trip_id))).recording;
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
    r hail.recording;
    kept float8;
    line json;
    times json;
    stops json;
BEGIN
    SELECT (t.recording).*, t.distance_m INTO r.lats, r.lngs, r.times, r.accuracies, kept
    FROM hail.trip_recording(hail.tracked_trip(trip_id)) t;
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
            'distanceM', round(coalesce(kept, hail.track_length_m(r.lats, r.lngs, r.times, r.accuracies))),
            'stops', coalesce(stops, '[]'), 'startedAt', hail.rfc3339(r.times[1]),
            'endedAt', hail.rfc3339(r.times[cardinality(r.times)])));
END
$$;
COMMENT ON FUNCTION hail.trip_track_geojson(uuid) IS
'Where a trip went, as a GeoJSON Feature: a LineString of [lng, lat], null with fewer than two positions; times has one moment for each of its points, stops the stays of two minutes or more within 50 m. Across the antimeridian longitudes go on beyond 180. For its customer, its driver and administrators; else error not_found.';
GRANT EXECUTE ON FUNCTION hail.trip_track_geojson(uuid) TO hail_customer, hail_driver, hail_admin;

-- Where was a driver

CREATE FUNCTION hail.place_between(lat1 float8, lng1 float8, lat2 float8, lng2 float8, fraction float8,
                                   OUT lat float8, OUT lng float8)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_place_between';
COMMENT ON FUNCTION hail.place_between(float8, float8, float8, float8, float8) IS
'The place a fraction of the way along the straight line between two places less than 1000 km apart. Internal.';

CREATE FUNCTION hail.driver_position_at(driver_id uuid, at timestamptz, interpolate boolean DEFAULT false,
                                        OUT lat float8, OUT lng float8, OUT heading real, OUT speed real, OUT accuracy real,
                                        OUT trip_id uuid, OUT recorded_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last timestamptz;
    next record;
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    IF at IS NULL OR NOT isfinite(at) THEN
        PERFORM hail.fail('invalid_value', 'at must be a finite time', 'at');
    ELSIF NOT EXISTS (SELECT FROM hail.drivers d WHERE d.id = driver_position_at.driver_id) THEN
        PERFORM hail.fail('not_found', 'there is no such driver', 'driver_id');
    END IF;
    SELECT h.lat, h.lng, h.heading, h.speed, h.accuracy, h.trip_id, h.recorded_at
    INTO lat, lng, heading, speed, accuracy, trip_id, recorded_at
    FROM hail.location_history h
    WHERE h.driver_id = driver_position_at.driver_id
      AND h.recorded_at <= at AND h.recorded_at > at - interval '1 day'
    ORDER BY h.recorded_at DESC LIMIT 1;
    last := recorded_at;
    IF interpolate IS NOT TRUE OR recorded_at IS NULL OR recorded_at = at THEN
        RETURN;
    END IF;
    SELECT h.lat, h.lng, h.recorded_at INTO next FROM hail.location_history h
    WHERE h.driver_id = driver_position_at.driver_id
      AND h.recorded_at > at AND h.recorded_at <= last + interval '5 minutes'
    ORDER BY h.recorded_at LIMIT 1;
    IF next.recorded_at IS NULL THEN
        RETURN;
    END IF;
    SELECT b.lat, b.lng INTO lat, lng
    FROM hail.place_between(lat, lng, next.lat, next.lng,
                            extract(epoch FROM at - last)::float8 / extract(epoch FROM next.recorded_at - last)::float8) b;
    heading := NULL;
    speed := NULL;
    accuracy := NULL;
    recorded_at := at;
END
$$;
COMMENT ON FUNCTION hail.driver_position_at(uuid, timestamptz, boolean) IS
'The last position of a driver recorded at a time or in the day before it; NULLs without one. With interpolate: where it was at that very time (recorded_at is at then), on the straight line to the next position, when that was recorded within 5 minutes of the last; else the last. Sees what the history ring has been drained of: all but the last second. For the driver itself and administrators. Errors: not_found, invalid_value.';
GRANT EXECUTE ON FUNCTION hail.driver_position_at(uuid, timestamptz, boolean) TO hail_driver, hail_admin;

-- Erasure

CREATE FUNCTION hail.settle_history() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_settle_history';
COMMENT ON FUNCTION hail.settle_history() IS
'Write what the ring and saved files hold into location_history in this transaction, after waiting for a drain under way. Error in_flight when that takes 10 s. Internal.';

CREATE FUNCTION hail.live_forget(driver_id uuid) RETURNS void
LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_live_forget';
COMMENT ON FUNCTION hail.live_forget(uuid) IS
'The live index writes what waits and gives up an offline driver. Error in_flight when another transaction changes the driver. Internal.';

CREATE FUNCTION hail.without_places(type text, payload jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
    SELECT payload - ARRAY(SELECT k FROM jsonb_object_keys(payload) k WHERE k ~ '(^|_)(lat|lng)$' OR k = 'reason'
                           AND type IN ('TripCancelled', 'StopFailed', 'OfferRejected'))
$$;
COMMENT ON FUNCTION hail.without_places(text, jsonb) IS
'An event''s payload without coordinates, and without what persons gave as a reason. Internal.';

CREATE FUNCTION hail.erase_event_places(aggregate text, ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    UPDATE hail.events e SET payload = hail.without_places(e.type, e.payload)
    WHERE e.aggregate_type = aggregate AND e.aggregate_id = ANY (ids) AND e.payload <> hail.without_places(e.type, e.payload);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION hail.erase_event_places(text, uuid[]) IS
'Take coordinates and reasons out of the events of aggregates; returns how many had some. Internal.';

CREATE FUNCTION hail.begin_erasure() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_admin();
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM hail.fail('wrong_state', 'an erasure must see what others have just committed', NULL,
                          'Call it in a transaction with isolation level READ COMMITTED.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.begin_erasure() IS 'Error unless an administrator calls, in a transaction that sees every commit. Internal.';

CREATE FUNCTION hail.erase_history(driver_id uuid, OUT positions bigint, OUT tracks bigint, OUT events bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    driver hail.drivers;
    n bigint;
BEGIN
    PERFORM hail.begin_erasure();
    SELECT * INTO driver FROM hail.drivers d WHERE d.id = erase_history.driver_id FOR NO KEY UPDATE;
    IF driver.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such driver', 'driver_id');
    ELSIF driver.online OR driver.trip_id IS NOT NULL THEN
        PERFORM hail.fail('wrong_state', 'the driver is online', 'driver_id', 'Take the driver offline first: hail.set_availability().');
    END IF;
    PERFORM hail.settle_history();
    DELETE FROM hail.location_history h WHERE h.driver_id = driver.id;
    GET DIAGNOSTICS positions = ROW_COUNT;
    DELETE FROM hail.location_rejects r WHERE r.driver_id = driver.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    positions := positions + n;
    PERFORM hail.live_forget(driver.id);
    DELETE FROM hail.driver_positions p WHERE p.driver_id = driver.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    positions := positions + n;
    DELETE FROM hail.trip_tracks k WHERE k.trip_id IN (SELECT t.id FROM hail.trips t WHERE t.driver_id = driver.id);
    GET DIAGNOSTICS tracks = ROW_COUNT;
    UPDATE hail.trips t SET via = '{}' WHERE t.driver_id = driver.id AND t.via <> '{}';
    events := hail.erase_event_places('driver', ARRAY[driver.id]);
    PERFORM hail.write_event('erasure', hail.uuid7(), 1, 'PositionsErased', jsonb_build_object(
        'role', 'driver', 'user_id', driver.id, 'positions', positions, 'tracks', tracks, 'events', events));
END
$$;
COMMENT ON FUNCTION hail.erase_history(uuid) IS
'Delete every position of a driver, on the driver''s request: history, the newest one, what still waits in the ring and its saved files, tracks of the driver''s trips (the customers'' as well), coordinates in the driver''s events. Writes event PositionsErased. Returns how many. Administrators only. Errors: not_found, wrong_state (the driver is online), in_flight.';

CREATE FUNCTION hail.erase_trip_positions(ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    trip record;
    n bigint;
    positions bigint := 0;
BEGIN
    FOR trip IN SELECT t.id, t.driver_id, t.requested_at, t.matched_at, coalesce(t.completed_at, t.cancelled_at) AS ended_at
                FROM hail.trips t WHERE t.id = ANY (ids) ORDER BY t.id LOOP
        -- the times bound the partitions to look into
        DELETE FROM hail.location_history h WHERE h.trip_id = trip.id
            AND h.recorded_at BETWEEN trip.requested_at - interval '1 day'
                                  AND coalesce(trip.ended_at, hail.clock()) + interval '1 day';
        GET DIAGNOSTICS n = ROW_COUNT;
        positions := positions + n;
        DELETE FROM hail.location_history h WHERE h.driver_id = trip.driver_id AND h.trip_id IS NULL
            AND h.recorded_at BETWEEN trip.matched_at AND trip.ended_at;
        GET DIAGNOSTICS n = ROW_COUNT;
        positions := positions + n;
        DELETE FROM hail.location_rejects r WHERE r.trip_id = trip.id OR r.driver_id = trip.driver_id AND r.trip_id IS NULL
            AND r.recorded_at BETWEEN trip.matched_at AND trip.ended_at;
        GET DIAGNOSTICS n = ROW_COUNT;
        positions := positions + n;
    END LOOP;
    RETURN positions;
END
$$;
COMMENT ON FUNCTION hail.erase_trip_positions(uuid[]) IS 'Delete the positions of trips that are over; returns how many. Internal.';

-- Of places only what tells the region is left: a tenth of a degree, some 10 km. Distances, durations, prices and
-- events' amounts stay as they were: they are the books.
CREATE FUNCTION hail.erase_quotes(ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    places CONSTANT integer := 1; -- decimals of a degree
    n bigint;
BEGIN
    UPDATE hail.quotes q
    SET pickup_lat = round(q.pickup_lat::numeric, places), pickup_lng = round(q.pickup_lng::numeric, places),
        dropoff_lat = round(q.dropoff_lat::numeric, places), dropoff_lng = round(q.dropoff_lng::numeric, places),
        expires_at = least(q.expires_at, hail.clock()), stops = NULL
    WHERE q.id = ANY (ids);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION hail.erase_quotes(uuid[]) IS 'Take the places out of quotes, which expire; returns how many. Internal.';

CREATE FUNCTION hail.erase_trips(ids uuid[], OUT positions bigint, OUT tracks bigint, OUT trips bigint, OUT events bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    places CONSTANT integer := 1; -- decimals of a degree
BEGIN
    PERFORM hail.settle_history();
    positions := hail.erase_trip_positions(ids);
    DELETE FROM hail.trip_tracks k WHERE k.trip_id = ANY (ids);
    GET DIAGNOSTICS tracks = ROW_COUNT;
    DELETE FROM hail.eta_samples s WHERE s.trip_id = ANY (ids);
    UPDATE hail.trips t
    SET pickup_lat = round(t.pickup_lat::numeric, places), pickup_lng = round(t.pickup_lng::numeric, places),
        dropoff_lat = round(t.dropoff_lat::numeric, places), dropoff_lng = round(t.dropoff_lng::numeric, places),
        via = '{}', cancel_reason = NULL
    WHERE t.id = ANY (ids);
    GET DIAGNOSTICS trips = ROW_COUNT;
    UPDATE hail.offers o SET reason = NULL WHERE o.trip_id = ANY (ids) AND o.reason IS NOT NULL;
    UPDATE hail.bids b SET note = NULL WHERE b.trip_id = ANY (ids) AND b.note IS NOT NULL;
    UPDATE hail.trip_stops s
    SET lat = round(s.lat::numeric, places), lng = round(s.lng::numeric, places), address = NULL, contact_name = NULL,
        contact_phone = NULL, notes = NULL, recipient_name = NULL, photo_url = NULL, reason = NULL
    WHERE s.trip_id = ANY (ids);
    UPDATE hail.trip_loads l SET package = NULL WHERE l.trip_id = ANY (ids);
    events := hail.erase_event_places('trip', ids);
END
$$;
COMMENT ON FUNCTION hail.erase_trips(uuid[]) IS
'Take places, persons and what persons wrote out of trips that are over. Internal.';

CREATE FUNCTION hail.erase_customer_positions(customer_id uuid, OUT positions bigint, OUT tracks bigint, OUT trips bigint,
                                              OUT quotes bigint, OUT events bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    customer hail.users;
    done record;
BEGIN
    PERFORM hail.begin_erasure();
    SELECT * INTO customer FROM hail.users u WHERE u.id = customer_id AND u.role IN ('customer', 'partner');
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'there is no such customer', 'customer_id');
    END IF;
    -- A request for a trip locks its quote for share of its key: with all of them locked none is under way, and one
    -- that waits finds its quote expired.
    PERFORM FROM hail.quotes q WHERE q.customer_id = customer.id ORDER BY q.id FOR UPDATE;
    PERFORM FROM hail.trips t WHERE t.customer_id = customer.id AND t.state NOT IN ('completed', 'cancelled', 'no_drivers');
    IF FOUND THEN
        PERFORM hail.fail('wrong_state', 'the customer has a trip under way', 'customer_id',
                          'Finish or cancel the trip first, or erase those that are over with hail.erase_trip_places().');
    END IF;
    SELECT * INTO done FROM hail.erase_trips(ARRAY(SELECT t.id FROM hail.trips t WHERE t.customer_id = customer.id));
    positions := done.positions;
    tracks := done.tracks;
    trips := done.trips;
    events := done.events;
    quotes := hail.erase_quotes(ARRAY(SELECT q.id FROM hail.quotes q WHERE q.customer_id = customer.id));
    PERFORM hail.write_event('erasure', hail.uuid7(), 1, 'PositionsErased', jsonb_build_object(
        'role', customer.role, 'user_id', customer.id, 'positions', positions, 'tracks', tracks, 'trips', trips, 'quotes', quotes,
        'events', events));
END
$$;
COMMENT ON FUNCTION hail.erase_customer_positions(uuid) IS
'Erase where a customer or partner went or sent something, on its request: positions and tracks of its trips (the drivers'' as well), coordinates in the trips'' events; pickup and dropoff of trips and quotes and the stops of jobs are rounded to 0.1 degree, the stops'' addresses, contacts, notes and photos, what a job carried, reasons given by anybody and notes of bids deleted, unused quotes expire. Money, distances and durations stay. Writes event PositionsErased. Returns how many. Administrators only. Errors: not_found, wrong_state (a trip is under way), in_flight.';

CREATE FUNCTION hail.erase_trip_places(trip_id uuid, OUT positions bigint, OUT tracks bigint, OUT events bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    trip hail.trips;
    done record;
BEGIN
    PERFORM hail.begin_erasure();
    SELECT * INTO trip FROM hail.trips t WHERE t.id = erase_trip_places.trip_id FOR NO KEY UPDATE;
    IF trip.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    ELSIF trip.state NOT IN ('completed', 'cancelled', 'no_drivers') THEN
        PERFORM hail.fail('wrong_state', 'the trip is not over', 'trip_id', 'Finish or cancel it first.');
    END IF;
    SELECT * INTO done FROM hail.erase_trips(ARRAY[trip.id]);
    positions := done.positions;
    tracks := done.tracks;
    events := done.events;
    PERFORM hail.erase_quotes(ARRAY[trip.quote_id]);
    PERFORM hail.write_event('erasure', hail.uuid7(), 1, 'PositionsErased', jsonb_build_object(
        'role', 'trip', 'trip_id', trip.id, 'positions', positions, 'tracks', tracks, 'events', events));
END
$$;
COMMENT ON FUNCTION hail.erase_trip_places(uuid) IS
'Erase where one trip went and whom it met, on the request of one of a partner''s many recipients: what hail.erase_customer_positions() does, for this trip and its quote. Writes event PositionsErased. Returns how many. Administrators only. Errors: not_found, wrong_state (the trip is not over), in_flight.';
GRANT EXECUTE ON FUNCTION hail.erase_history(uuid), hail.erase_customer_positions(uuid), hail.erase_trip_places(uuid) TO hail_admin;
