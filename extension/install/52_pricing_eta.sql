-- 52_pricing_eta: how long ways take, learnt from completed trips

CREATE TABLE hail.eta_effects (
    key       bigint PRIMARY KEY,
    region_id smallint NOT NULL REFERENCES hail.regions (id) ON DELETE CASCADE,
    mean      real NOT NULL,
    weight    real NOT NULL CHECK (weight >= 0),
    spread    real NOT NULL CHECK (spread >= 0),
    learnt_on date NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE hail.eta_effects IS
'What ETAs have learnt: additive effects on the logarithm of a trip''s time (src/pricing/eta_model.h). The truth; shared memory holds a mirror of at most hail.max_eta_effects.';
COMMENT ON COLUMN hail.eta_effects.key IS 'Region, kind of effect and what it is about (an hour, a cell, ...); hail.eta_effect_level() tells the kind.';
COMMENT ON COLUMN hail.eta_effects.weight IS 'Trips behind it as of learnt_on; halves every hail.eta_half_life.';
COMMENT ON COLUMN hail.eta_effects.spread IS 'Of what it could not explain.';
COMMENT ON COLUMN hail.eta_effects.learnt_on IS 'Local day of the newest trip behind it.';

CREATE TABLE hail.eta_samples (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id  smallint NOT NULL REFERENCES hail.regions (id) ON DELETE CASCADE,
    trip_id    uuid,
    from_lat   float8 NOT NULL,
    from_lng   float8 NOT NULL,
    to_lat     float8 NOT NULL,
    to_lng     float8 NOT NULL,
    started_at timestamptz NOT NULL,
    duration_s float8 NOT NULL,
    distance_m float8,
    due_at     timestamptz NOT NULL
);
CREATE INDEX eta_samples_trip ON hail.eta_samples (trip_id) WHERE trip_id IS NOT NULL; -- erasure asks
COMMENT ON TABLE hail.eta_samples IS
'Completed rides that hail.learn_eta() has not learnt from yet, in the order in which it will. A row goes with the transaction that learns it, 30 days after it was due in any case.';
COMMENT ON COLUMN hail.eta_samples.trip_id IS 'NULL: of another system (hail.queue_eta_trips()).';
COMMENT ON COLUMN hail.eta_samples.distance_m IS 'Metres driven; NULL: as the trip''s track says, or not known.';
COMMENT ON COLUMN hail.eta_samples.due_at IS 'Not learnt before: the trip''s track is kept by then.';

-- A fine effect may be that of one trip, from a place to another: analysts have hail.eta_model(). What waits names
-- places of single trips: nobody reads it.
GRANT SELECT ON hail.eta_effects TO hail_admin;
CREATE POLICY eta_effects_readers ON hail.eta_effects FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.eta_effects_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_eta_effects_changed';
COMMENT ON FUNCTION hail.eta_effects_changed() IS
'Trigger: what was read of hail.eta_effects is read anew, unless the writer has just learnt it. Internal.';
CREATE TRIGGER eta_effects_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.eta_effects
    FOR EACH STATEMENT EXECUTE FUNCTION hail.eta_effects_changed();
ALTER TABLE hail.eta_effects ENABLE ALWAYS TRIGGER eta_effects_changed;
-- The extension may have been here before, with other rows.
DELETE FROM hail.eta_effects;

-- Asking

CREATE FUNCTION hail.guess_eta(region_id smallint, from_lat float8, from_lng float8, to_lat float8, to_lng float8,
                               at timestamptz, pickup boolean, OUT distance_m integer, OUT duration_s integer,
                               OUT low_s integer, OUT high_s integer, OUT source text, OUT support float8)
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'hail_guess_eta';
COMMENT ON FUNCTION hail.guess_eta(smallint, float8, float8, float8, float8, timestamptz, boolean) IS
'hail.eta() for valid places and a region that is known. Internal.';

CREATE FUNCTION hail.eta_seconds(region_id smallint, from_lat float8, from_lng float8, to_lat float8, to_lng float8, at timestamptz)
RETURNS float8
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'hail_eta_seconds';
COMMENT ON FUNCTION hail.eta_seconds(smallint, float8, float8, float8, float8, timestamptz) IS
'Seconds with a passenger between valid places, as learnt and without the region''s roads: a microsecond, for many candidates. Internal.';

CREATE FUNCTION hail.check_way(from_lat float8, from_lng float8, to_lat float8, to_lng float8, min_m float8) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    metres float8;
BEGIN
    IF from_lat IS NULL OR NOT from_lat BETWEEN -90 AND 90 THEN
        PERFORM hail.fail('invalid_value', 'from_lat must be between -90 and 90', 'from_lat');
    ELSIF from_lng IS NULL OR NOT from_lng BETWEEN -180 AND 180 THEN
        PERFORM hail.fail('invalid_value', 'from_lng must be between -180 and 180', 'from_lng');
    ELSIF to_lat IS NULL OR NOT to_lat BETWEEN -90 AND 90 THEN
        PERFORM hail.fail('invalid_value', 'to_lat must be between -90 and 90', 'to_lat');
    ELSIF to_lng IS NULL OR NOT to_lng BETWEEN -180 AND 180 THEN
        PERFORM hail.fail('invalid_value', 'to_lng must be between -180 and 180', 'to_lng');
    END IF;
    metres := public.ST_DistanceSphere(public.ST_MakePoint(from_lng, from_lat), public.ST_MakePoint(to_lng, to_lat));
    IF metres < min_m THEN
        PERFORM hail.fail('invalid_value', 'start and end are the same place', 'to_lat',
                          format('They must be at least %s m apart.', min_m));
    ELSIF metres > 1000 * current_setting('hail.max_trip_distance')::float8 THEN
        PERFORM hail.fail('invalid_value', 'start and end are too far apart', 'to_lat',
                          format('They may be at most %s km apart.', current_setting('hail.max_trip_distance')));
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_way(float8, float8, float8, float8, float8) IS
'Error that names the coordinate at fault, or when places are less than min_m or more than hail.max_trip_distance apart. Internal.';

CREATE FUNCTION hail.eta(from_lat float8, from_lng float8, to_lat float8, to_lng float8, at timestamptz DEFAULT NULL,
                         region text DEFAULT NULL, kind text DEFAULT 'trip',
                         OUT distance_m integer, OUT duration_s integer, OUT low_s integer, OUT high_s integer,
                         OUT source text, OUT support float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    region_id smallint;
BEGIN
    PERFORM hail.require_anybody();
    IF kind IS NULL OR kind NOT IN ('trip', 'pickup') THEN
        PERFORM hail.fail('invalid_value', 'kind must be trip or pickup', 'kind');
    END IF;
    PERFORM hail.check_way(from_lat, from_lng, to_lat, to_lng,
                           CASE kind WHEN 'trip' THEN current_setting('hail.min_trip_distance')::float8 ELSE 0 END);
    IF NOT isfinite(at) THEN
        PERFORM hail.fail('invalid_value', 'at must be finite', 'at');
    END IF;
    IF region IS NULL THEN
        region_id := hail.region_id_at(from_lat, from_lng);
        IF region_id IS NULL THEN
            PERFORM hail.fail('outside_service_area', 'the start is outside every service area', 'from_lat',
                              'Name the region whose trips are to be asked.');
        END IF;
    ELSE
        SELECT r.id INTO region_id FROM hail.regions r WHERE r.code = eta.region;
        IF region_id IS NULL THEN
            PERFORM hail.fail('not_found', 'region does not exist', 'region');
        END IF;
    END IF;
    SELECT g.* INTO distance_m, duration_s, low_s, high_s, source, support
    FROM hail.guess_eta(region_id, from_lat, from_lng, to_lat, to_lng, coalesce(at, hail.clock()), kind = 'pickup') g;
    IF hail.current_role_name() NOT IN ('admin', 'analyst') THEN
        support := NULL;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.eta(float8, float8, float8, float8, timestamptz, text, text) IS
'How far and how long by road from a place to another, setting out at a time (NULL: now), as the region''s trips have taught (NULL: the region at the start): kind trip, with a passenger, or pickup, a driver on the way there. low_s to high_s holds 80 % of such trips. source: road (the region''s road network), learnt (trips between these places), hour (of the week), region (on the whole), default (the region''s configured figures). support, for administrators and analysts: how many trips'' worth that rests on. Errors: invalid_value, outside_service_area, not_found.';

-- Learning

CREATE FUNCTION hail.learn_eta(max_trips integer DEFAULT 2000, wait boolean DEFAULT true) RETURNS bigint
LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_learn_eta';
COMMENT ON FUNCTION hail.learn_eta(integer, boolean) IS
'Learn from the trips that wait and are due, max_trips at most; returns how many taught something. Learners take turns until their transactions end: with wait false, as the keeper calls it every 5 s, 0 when it is another''s. On a server without workers any scheduler may call it. Everybody, the caller too, sees what was learnt when the transaction has committed. Administrators.';

CREATE FUNCTION hail.eta_trips_wait() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_admin();
    -- as hail.learn_eta() takes them
    RETURN EXISTS (SELECT FROM hail.eta_samples s WHERE s.due_at <= hail.clock() AND NOT EXISTS (
        SELECT FROM hail.trip_tracks w
        WHERE w.trip_id = s.trip_id AND w.kept_at IS NULL AND s.due_at > hail.clock() - interval '1 hour'));
END
$$;
COMMENT ON FUNCTION hail.eta_trips_wait() IS
'Is there a trip that hail.learn_eta() would take now? Administrators.';

CREATE FUNCTION hail.expire_eta_samples() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    PERFORM hail.require_admin();
    DELETE FROM hail.eta_samples s WHERE s.due_at < hail.clock() - interval '30 days';
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION hail.expire_eta_samples() IS
'Delete trips that were due to be learnt 30 days ago and still wait, as where nothing learns; returns how many. The keeper calls it every hour. Administrators.';

CREATE FUNCTION hail.eta_refusal(from_lat float8, from_lng float8, to_lat float8, to_lng float8, duration_s float8)
RETURNS text
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'hail_eta_refusal';
COMMENT ON FUNCTION hail.eta_refusal(float8, float8, float8, float8, float8) IS
'Why nothing can be learnt from such a trip; NULL: it can. Internal.';

CREATE FUNCTION hail.queue_eta_trips(region text, started_at timestamptz[], from_lat float8[], from_lng float8[],
                                     to_lat float8[], to_lng float8[], duration_s float8[], distance_m float8[] DEFAULT NULL)
RETURNS TABLE (n integer, reason text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    of_region smallint;
    trips integer := coalesce(cardinality(started_at), 0);
BEGIN
    PERFORM hail.require_admin();
    SELECT r.id INTO of_region FROM hail.regions r WHERE r.code = queue_eta_trips.region;
    IF of_region IS NULL THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    END IF;
    IF trips <> ANY (ARRAY[coalesce(cardinality(queue_eta_trips.from_lat), 0),
            coalesce(cardinality(queue_eta_trips.from_lng), 0), coalesce(cardinality(queue_eta_trips.to_lat), 0),
            coalesce(cardinality(queue_eta_trips.to_lng), 0), coalesce(cardinality(queue_eta_trips.duration_s), 0),
            coalesce(cardinality(queue_eta_trips.distance_m), trips)]) THEN
        PERFORM hail.fail('invalid_value', 'the arrays must be of one length', 'started_at');
    END IF;
    RETURN QUERY
    WITH trip AS (
        SELECT t.*, CASE
            WHEN t.started IS NULL OR NOT isfinite(t.started) THEN 'it has no start'
            WHEN t.started > hail.clock() + interval '1 day' THEN 'it starts in the future'
            WHEN num_nulls(t.a, t.b, t.c, t.d) > 0 THEN 'a place is missing'
            WHEN t.seconds IS NULL THEN 'it has no duration'
            WHEN NOT t.metres BETWEEN 0 AND 1000000 THEN 'distance_m is no distance'
            ELSE hail.eta_refusal(t.a, t.b, t.c, t.d, t.seconds) END AS refusal
        FROM ROWS FROM (unnest(queue_eta_trips.started_at), unnest(queue_eta_trips.from_lat), unnest(queue_eta_trips.from_lng),
                        unnest(queue_eta_trips.to_lat), unnest(queue_eta_trips.to_lng), unnest(queue_eta_trips.duration_s),
                        unnest(queue_eta_trips.distance_m)) WITH ORDINALITY AS t (started, a, b, c, d, seconds, metres, nth)
    ), queued AS (
        INSERT INTO hail.eta_samples (region_id, from_lat, from_lng, to_lat, to_lng, started_at, duration_s, distance_m, due_at)
        SELECT of_region, t.a, t.b, t.c, t.d, t.started, t.seconds, nullif(t.metres, 0), hail.clock()
        FROM trip t WHERE t.refusal IS NULL ORDER BY t.started, t.nth
    )
    SELECT t.nth::integer, t.refusal FROM trip t WHERE t.refusal IS NOT NULL ORDER BY t.nth;
END
$$;
COMMENT ON FUNCTION hail.queue_eta_trips(text, timestamptz[], float8[], float8[], float8[], float8[], float8[], float8[]) IS
'Past trips of another system for hail.learn_eta() to learn from, in order of time: start, places, seconds, and metres driven where known. Returns those that teach nothing, by their place in the arrays, and why; the others wait. Administrators. Errors: not_found, invalid_value.';

CREATE FUNCTION hail.forget_eta_effects(region_id smallint) RETURNS bigint
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'hail_forget_eta';
COMMENT ON FUNCTION hail.forget_eta_effects(smallint) IS 'What hail.forget_eta() does, by the region''s id. Internal.';

CREATE FUNCTION hail.forget_eta(region text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place hail.regions;
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO place FROM hail.regions r WHERE r.code = forget_eta.region;
    IF place.id IS NULL THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    END IF;
    RETURN hail.forget_eta_effects(place.id);
END
$$;
COMMENT ON FUNCTION hail.forget_eta(text) IS
'Forget everything that ETAs have learnt of a region, and the trips that wait to be learnt: its configured figures answer again. Returns the effects forgotten. Administrators. Errors: not_found.';

-- Looking

CREATE FUNCTION hail.eta_effect_level(key bigint) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_eta_effect_level';
COMMENT ON FUNCTION hail.eta_effect_level(bigint) IS
'What an effect is about, in a word, by its key in hail.eta_effects.';

CREATE FUNCTION hail.eta_store(OUT state text, OUT slots bigint, OUT used bigint, OUT evictions bigint, OUT half_life float8)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_eta_store';
COMMENT ON FUNCTION hail.eta_store() IS
'Where learnt effects lie: shared, loading (from the rows into shared memory) or local (each backend reads the rows); room, effects, how many have given way to others, half-life in days. Internal.';

CREATE FUNCTION hail.eta_model(region text)
RETURNS TABLE (level text, effects bigint, supported bigint, support float8, spread float8, learnt_on date)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    place hail.regions;
    today date;
    half_life float8;
BEGIN
    IF coalesce(hail.current_role_name(), '') NOT IN ('admin', 'analyst') THEN
        PERFORM hail.require_admin();
    END IF;
    SELECT * INTO place FROM hail.regions r WHERE r.code = eta_model.region;
    IF place.id IS NULL THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    END IF;
    today := (hail.clock() AT TIME ZONE place.timezone)::date;
    SELECT s.half_life INTO half_life FROM hail.eta_store() s;
    RETURN QUERY
    SELECT w.level, count(*), count(*) FILTER (WHERE w.weight >= 5), sum(w.weight)::float8, CASE WHEN sum(w.weight) >= 5 THEN avg(w.spread)::float8 END, max(w.learnt_on)
    FROM (SELECT hail.eta_effect_level(e.key) AS level, e.spread, e.learnt_on,
                 e.weight * power(2, least(0, e.learnt_on - today) / half_life) AS weight
          FROM hail.eta_effects e WHERE e.region_id = place.id) w
    GROUP BY w.level ORDER BY count(*), w.level;
END
$$;
COMMENT ON FUNCTION hail.eta_model(text) IS
'What ETAs have learnt of a region, by what it is about: effects, those with the support of five trips or more, their support in all (trips, older ones counting less), mean spread (of that support in all), and the newest day. Administrators and analysts. Errors: not_found.';

CREATE FUNCTION hail.check_eta() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    store record;
    late bigint;
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO store FROM hail.eta_store();
    SELECT count(*) INTO late FROM hail.eta_samples s WHERE s.due_at < hail.clock() - interval '1 hour';
    area := 'eta';
    status := 'ok';
    detail := format('%s effect(s) learnt, room for %s', store.used, store.slots);
    IF store.state = 'loading' THEN
        status := 'warn';
        detail := 'what was learnt has not been read yet: configured figures answer';
        hint := 'Is the keeper running? hail.keep() does its work by hand.';
    ELSIF late > 10000 THEN
        status := 'warn';
        detail := format('%s trip(s) wait to be learnt for more than an hour', late);
        hint := 'Is the keeper running? hail.learn_eta() does its work by hand.';
    ELSIF store.state = 'shared' AND store.used > 0.95 * store.slots THEN
        status := 'warn';
        detail := format('no room: %s effect(s) had to give way to others', store.evictions);
        hint := 'Raise hail.max_eta_effects and restart the server.';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hail.check_eta() IS
'Do ETAs go by what was learnt, does learning keep up, is there room? Administrators only; part of hail.check().';

GRANT EXECUTE ON FUNCTION hail.eta(float8, float8, float8, float8, timestamptz, text, text)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
GRANT EXECUTE ON FUNCTION hail.eta_model(text), hail.eta_effect_level(bigint) TO hail_admin, hail_analyst;
GRANT EXECUTE ON FUNCTION hail.learn_eta(integer, boolean), hail.eta_trips_wait(), hail.expire_eta_samples(), hail.forget_eta(text), hail.check_eta(),
        hail.queue_eta_trips(text, timestamptz[], float8[], float8[], float8[], float8[], float8[], float8[])
    TO hail_admin;
