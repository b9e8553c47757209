-- 66_dispatch_explain: what rounds decided and why; what another policy would have decided

CREATE TABLE hail.match_rounds (
    trip_id          uuid NOT NULL,
    round            integer NOT NULL,
    search_round     integer NOT NULL,
    policy_id        smallint NOT NULL,
    strategy         text NOT NULL,
    created_at       timestamptz NOT NULL,
    radius_m         float8 NOT NULL,
    wanted           integer NOT NULL,
    offers           integer NOT NULL,
    favourites_first boolean NOT NULL,
    distance_only    boolean NOT NULL,
    found            integer NOT NULL,
    gates            integer[] NOT NULL,
    candidates       bytea NOT NULL,
    passed           bytea NOT NULL
) PARTITION BY RANGE (created_at);
-- A row fits a page: it is neither compressed nor moved elsewhere.
ALTER TABLE hail.match_rounds ALTER COLUMN strategy SET STORAGE PLAIN, ALTER COLUMN gates SET STORAGE PLAIN,
    ALTER COLUMN candidates SET STORAGE PLAIN, ALTER COLUMN passed SET STORAGE PLAIN;
COMMENT ON TABLE hail.match_rounds IS
'What each matching round looked at: a row a round, kept 30 days (hail.partitioned_tables.retention). Read it with hail.explain_round(), hail.why_not() and hail.replay_round().';
COMMENT ON COLUMN hail.match_rounds.search_round IS 'The round counted within its search, from 1.';
COMMENT ON COLUMN hail.match_rounds.wanted IS 'Drivers to be offered the trip at most; offers: who were.';
COMMENT ON COLUMN hail.match_rounds.distance_only IS 'The dispatcher was overloaded: of the score, distance alone counted.';
COMMENT ON COLUMN hail.match_rounds.found IS 'Candidates. Of more than 120 only the best are in candidates.';
COMMENT ON COLUMN hail.match_rounds.gates IS 'How many drivers each gate shut out, in the order of hail.match_gates().';
COMMENT ON COLUMN hail.match_rounds.candidates IS 'What was known of each candidate, 36 bytes each, best first (src/dispatch/decide.h).';
COMMENT ON COLUMN hail.match_rounds.passed IS 'Drivers near the pickup who never became candidates: id, distance, gate; 21 bytes each.';
INSERT INTO hail.partitioned_tables (table_name, time_column, retention, indexes) VALUES
    ('match_rounds', 'created_at', '30 days', '{"(trip_id, round)"}');
GRANT SELECT ON hail.match_rounds TO hail_admin;
CREATE POLICY match_rounds_admin ON hail.match_rounds FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.match_gates() RETURNS text[]
LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'hail_match_gates';
COMMENT ON FUNCTION hail.match_gates() IS
'Names of the gates that shut drivers out of a round, in the order of match_rounds.gates.';
GRANT EXECUTE ON FUNCTION hail.match_gates() TO hail_admin, hail_analyst;

CREATE FUNCTION hail.round_passed(passed bytea) RETURNS TABLE (driver_id uuid, gate text, distance_m float8)
LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME', 'hail_round_passed';
COMMENT ON FUNCTION hail.round_passed(bytea) IS 'match_rounds.passed as rows. Internal.';

CREATE FUNCTION hail.decide_round(round hail.match_rounds, policy hail.dispatch_policies, as_recorded boolean)
RETURNS TABLE (place integer, driver_id uuid, gate text, chosen boolean, score float8, distance_m float8,
               distance_term float8, rating_term float8, acceptance_term float8, completion_term float8, vehicle_term float8,
               repeat_term float8, idle_term float8, recent_term float8, rating float8, idle_s integer, recent_trips integer,
               pending_offers integer, favourite boolean, exact_tier boolean, queue_place integer)
LANGUAGE c STRICT STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_decide_round';
COMMENT ON FUNCTION hail.decide_round(hail.match_rounds, hail.dispatch_policies, boolean) IS
'Decide a recorded round again under a policy, in order of place; as_recorded: within the radius and for the number of offers it had, not those of the policy. Internal.';

CREATE FUNCTION hail.recorded_round(trip_id uuid, round integer) RETURNS hail.match_rounds
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    result hail.match_rounds;
BEGIN
    -- The time of the request keeps older days out of it.
    SELECT r.* INTO result FROM hail.match_rounds r
    WHERE r.trip_id = recorded_round.trip_id AND r.round = recorded_round.round
      AND r.created_at >= (SELECT t.requested_at FROM hail.trips t WHERE t.id = recorded_round.trip_id)
    ORDER BY r.created_at DESC LIMIT 1;
    IF result.trip_id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no record of this round', 'round',
                          'Rounds are kept as long as hail.partitioned_tables says, 30 days if nothing else.');
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.recorded_round(uuid, integer) IS 'The record of a trip''s round; error not_found. Internal.';

CREATE FUNCTION hail.explain_round(trip_id uuid, round integer)
RETURNS TABLE (place integer, driver_id uuid, gate text, offer text, score float8, distance_m float8, distance_term float8,
               rating_term float8, acceptance_term float8, completion_term float8, vehicle_term float8, repeat_term float8,
               idle_term float8, recent_term float8, rating float8, idle_s integer, recent_trips integer, pending_offers integer,
               favourite boolean, exact_tier boolean, queue_place integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    record hail.match_rounds;
    policy hail.dispatch_policies;
BEGIN
    PERFORM hail.require_admin();
    record := hail.recorded_round(explain_round.trip_id, explain_round.round);
    SELECT * INTO policy FROM hail.dispatch_policies p WHERE p.id = record.policy_id;
    RETURN QUERY
    SELECT d.place, d.driver_id, d.gate, o.status, d.score, d.distance_m, d.distance_term, d.rating_term, d.acceptance_term,
           d.completion_term, d.vehicle_term, d.repeat_term, d.idle_term, d.recent_term, d.rating, d.idle_s, d.recent_trips,
           d.pending_offers, d.favourite, d.exact_tier, d.queue_place
    FROM hail.decide_round(record, policy, true) d
    LEFT JOIN hail.offers o ON o.trip_id = record.trip_id AND o.round = record.round AND o.driver_id = d.driver_id
    UNION ALL
    SELECT NULL, p.driver_id, p.gate, NULL, NULL, p.distance_m, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL
    FROM hail.round_passed(record.passed) p
    ORDER BY 1, 6, 2;
END
$$;
COMMENT ON FUNCTION hail.explain_round(uuid, integer) IS
'A matching round as it was decided: the candidates in their order (place), each weighted term of the score (they add up to it), what was known of each, and what became of the offer, if one was made; then those a gate shut out (gate: see hail.match_gates(); place NULL). Administrators only. Errors: not_found.';
GRANT EXECUTE ON FUNCTION hail.explain_round(uuid, integer) TO hail_admin;

CREATE FUNCTION hail.replay_round(trip_id uuid, round integer, policy_id smallint DEFAULT NULL, changes jsonb DEFAULT '{}')
RETURNS TABLE (place integer, driver_id uuid, gate text, chosen boolean, was_offered boolean, score float8, score_then float8,
               distance_m float8, distance_term float8, rating_term float8, acceptance_term float8, completion_term float8,
               vehicle_term float8, repeat_term float8, idle_term float8, recent_term float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    record hail.match_rounds;
    then_policy hail.dispatch_policies;
    policy hail.dispatch_policies;
BEGIN
    PERFORM hail.require_admin();
    record := hail.recorded_round(replay_round.trip_id, replay_round.round);
    SELECT * INTO then_policy FROM hail.dispatch_policies p WHERE p.id = record.policy_id;
    SELECT * INTO policy FROM hail.dispatch_policies p WHERE p.id = coalesce(replay_round.policy_id, record.policy_id);
    IF policy.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such policy', 'policy_id', 'See hail.dispatch_policy_history.');
    END IF;
    policy := hail.changed_policy(policy, replay_round.changes);
    PERFORM hail.require_policy_bounds(policy);
    RETURN QUERY
    SELECT d.place, d.driver_id, d.gate, d.chosen,
           EXISTS (SELECT FROM hail.offers o WHERE o.trip_id = record.trip_id AND o.round = record.round
                   AND o.driver_id = d.driver_id),
           d.score, b.score, d.distance_m, d.distance_term, d.rating_term, d.acceptance_term, d.completion_term, d.vehicle_term,
           d.repeat_term, d.idle_term, d.recent_term
    FROM hail.decide_round(record, policy, replay_round.policy_id IS NULL AND replay_round.changes = '{}') d
    JOIN hail.decide_round(record, then_policy, true) b ON b.driver_id = d.driver_id
    ORDER BY d.place, d.distance_m, d.driver_id;
END
$$;
COMMENT ON FUNCTION hail.replay_round(uuid, integer, smallint, jsonb) IS
'Whom another policy would have chosen in a recorded round, from the candidates of then: policy_id (NULL: the one it ran under), with `changes` to it as for hail.set_dispatch_policy(). chosen: would have been offered the trip; was_offered: was. Drivers outside the radius searched then are not known. Administrators only. Errors: not_found, invalid_value (names the column).';
GRANT EXECUTE ON FUNCTION hail.replay_round(uuid, integer, smallint, jsonb) TO hail_admin;

-- Why not? In plain words

CREATE FUNCTION hail.say_distance(metres float8) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN metres < 1000 THEN round(metres::numeric) || ' m' ELSE round(metres::numeric / 1000, 1) || ' km' END;
COMMENT ON FUNCTION hail.say_distance(float8) IS 'Metres in words: 850 m, 7.2 km. Internal.';

CREATE FUNCTION hail.say_gate(gate text, trip hail.trips, policy hail.dispatch_policies, driver_id uuid, distance_m float8,
                              pending_offers integer, moment timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    earlier hail.offers;
BEGIN
    IF gate IN ('declined', 'asked') THEN
        SELECT * INTO earlier FROM hail.offers o WHERE o.trip_id = trip.id AND o.driver_id = say_gate.driver_id
           AND o.created_at <= moment ORDER BY o.round DESC LIMIT 1;
    END IF;
    RETURN CASE gate
        WHEN 'self' THEN 'is the customer of this trip'
        WHEN 'gave_back' THEN 'had taken this trip and given it back, or was excluded from it by hand'
        WHEN 'blocked' THEN 'is blocked by the customer'
        WHEN 'declined' THEN format('had declined this trip in round %s%s', earlier.round, ': ' || earlier.reason)
        WHEN 'asked' THEN format('had been asked in round %s of the same pass, and is asked again in a later one', earlier.round)
        WHEN 'preferred_area' THEN format('wants trips from certain areas only, and the pickup, %s away, is in none of them',
                                          hail.say_distance(distance_m))
        WHEN 'wallet' THEN format('would owe %s %s (minor units) of commission for this cash trip: that takes the wallet below its limit',
                                  hail.commission(trip.price - trip.waiting_amount + trip.waiting_max, trip.commission_bp),
                                  trip.currency)
        WHEN 'too_far' THEN format('was %s away; the policy asks nobody farther than %s', hail.say_distance(distance_m),
                                   hail.say_distance(policy.max_pickup_m))
        WHEN 'radius' THEN format('was %s away, outside the radius', hail.say_distance(distance_m))
        WHEN 'pending_offers' THEN format('was %s away, but held as many offers of other trips as the policy allows: %s',
                                          hail.say_distance(distance_m), policy.max_pending_offers)
        WHEN 'stale' THEN format('was last known to be %s away, but had not been heard of for hail.presence_ttl',
                                 hail.say_distance(distance_m))
        WHEN 'cooldown' THEN format('was %s away, but had just ended a trip and was cooling down', hail.say_distance(distance_m))
        WHEN 'busy' THEN format('was %s away, but on a trip', hail.say_distance(distance_m))
        WHEN 'class' THEN format('does not serve the class %s', trip.service_class)
        ELSE gate END;
END
$$;
COMMENT ON FUNCTION hail.say_gate(text, hail.trips, hail.dispatch_policies, uuid, float8, integer, timestamptz) IS
'What a gate means for a driver, in words that follow "the driver". Internal.';

CREATE FUNCTION hail.say_offer(offer hail.offers) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN CASE (offer).status
    WHEN 'pending' THEN format('can answer for another %s s', greatest(ceil(extract(epoch FROM (offer).expires_at - hail.clock())), 0))
    WHEN 'accepted' THEN format('accepted it after %s s', round(extract(epoch FROM (offer).responded_at - (offer).created_at)))
    WHEN 'declined' THEN format('declined it after %s s%s', round(extract(epoch FROM (offer).responded_at - (offer).created_at)),
                                ': ' || (offer).reason)
    WHEN 'expired' THEN format('let it go by: %s s were given', round(extract(epoch FROM (offer).expires_at - (offer).created_at)))
    WHEN 'cancelled' THEN format('accepted it, but gave the trip back%s', ': ' || (offer).reason)
    ELSE format('had not answered when it was withdrawn after %s s: another driver had won, or the search had ended',
                round(extract(epoch FROM (offer).responded_at - (offer).created_at))) END;
COMMENT ON FUNCTION hail.say_offer(hail.offers) IS 'What became of an offer, in words. Internal.';

CREATE FUNCTION hail.driver_then(trip hail.trips, driver_id uuid, moment timestamptz, radius_m float8,
                                 OUT outcome text, OUT explanation text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    driver hail.drivers;
    was record;
    metres float8;
BEGIN
    SELECT * INTO driver FROM hail.drivers d WHERE d.id = driver_then.driver_id;
    SELECT t.id, t.state INTO was FROM hail.trips t
    WHERE t.driver_id = driver.id AND t.id <> trip.id AND t.matched_at <= moment
      AND coalesce(t.completed_at, t.cancelled_at, 'infinity') > moment LIMIT 1;
    IF was.id IS NOT NULL THEN
        outcome := 'busy';
        explanation := format('was on another trip (%s)', was.id);
        RETURN;
    END IF;
    SELECT e.type, e.occurred_at INTO was FROM hail.events e
    WHERE e.aggregate_id = driver.id AND e.aggregate_type = 'driver' AND e.occurred_at <= moment
      AND e.type IN ('DriverRegistered', 'DriverOnline', 'DriverOffline', 'DriverSuspended', 'DriverReinstated',
                     'DriverHeld', 'DriverReleased')
    ORDER BY e.version DESC LIMIT 1;
    IF driver.created_at > moment OR was.type IS NULL AND NOT driver.online THEN
        outcome := 'offline';
        explanation := 'was not online';
    ELSIF was.type = 'DriverSuspended' THEN
        outcome := 'suspended';
        explanation := format('was suspended, since %s s', round(extract(epoch FROM moment - was.occurred_at)));
    ELSIF was.type = 'DriverHeld' THEN
        outcome := 'on_hold';
        explanation := format('was on hold, since %s s', round(extract(epoch FROM moment - was.occurred_at)));
    ELSIF was.type <> 'DriverOnline' THEN
        outcome := 'offline';
        explanation := format('was offline, since %s s', round(extract(epoch FROM moment - was.occurred_at)));
    ELSIF NOT EXISTS (SELECT FROM hail.service_classes c WHERE c.code = trip.service_class AND (driver.class_mask >> c.id) & 1 = 1) THEN
        outcome := 'class';
        explanation := format('serves %s, not the class %s', array_to_string(driver.service_classes, ', '), trip.service_class);
    END IF;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT p.lat, p.lng, p.recorded_at INTO was FROM (
        SELECT h.lat, h.lng, h.recorded_at FROM hail.location_history h
        WHERE h.driver_id = driver.id AND h.recorded_at BETWEEN moment - interval '10 minutes' AND moment
        UNION ALL
        SELECT n.lat, n.lng, n.recorded_at FROM hail.driver_positions n
        WHERE n.driver_id = driver.id AND n.recorded_at <= moment) p
    ORDER BY p.recorded_at DESC LIMIT 1;
    metres := public.ST_DistanceSphere(public.ST_MakePoint(was.lng, was.lat), public.ST_MakePoint(trip.pickup_lng, trip.pickup_lat));
    IF metres IS NULL THEN
        outcome := 'stale';
        explanation := 'had not been heard of: no position is kept of the ten minutes before';
    ELSIF metres > radius_m THEN
        outcome := 'not_near';
        explanation := format('was not near: %s away, by the position of %s s before; the round looked within %s',
            hail.say_distance(metres), round(extract(epoch FROM moment - was.recorded_at)), hail.say_distance(radius_m));
    ELSIF was.recorded_at < moment - interval '2 minutes' THEN
        outcome := 'stale';
        explanation := format('was %s away when last heard of, %s s before', hail.say_distance(metres),
                              round(extract(epoch FROM moment - was.recorded_at)));
    ELSE
        outcome := 'never_candidate';
        explanation := format('was about %s away, by the position of %s s before, but never became a candidate: enough others were nearer, or the driver was then just coming, going or cooling down',
            hail.say_distance(metres), round(extract(epoch FROM moment - was.recorded_at)));
    END IF;
END
$$;
COMMENT ON FUNCTION hail.driver_then(hail.trips, uuid, timestamptz, float8) IS
'Why a driver was not among those a round met, from trips, events and positions: busy, offline, suspended, on_hold, class, stale, not_near or never_candidate, and in words. Internal.';

CREATE FUNCTION hail.round_outcome(trip hail.trips, round hail.match_rounds, driver_id uuid, OUT outcome text, OUT explanation text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    policy hail.dispatch_policies;
    decided record;
    field record;
    met record;
    offer hail.offers;
BEGIN
    SELECT * INTO policy FROM hail.dispatch_policies p WHERE p.id = round.policy_id;
    SELECT * INTO decided FROM hail.decide_round(round, policy, true) d WHERE d.driver_id = round_outcome.driver_id;
    SELECT * INTO offer FROM hail.offers o
    WHERE o.trip_id = trip.id AND o.round = round_outcome.round.round AND o.driver_id = round_outcome.driver_id;
    -- of those no gate shut out: how many, who was asked last, with which score
    SELECT count(*) AS eligible, max(d.place) FILTER (WHERE o.id IS NOT NULL) AS last_place,
           min(d.score) FILTER (WHERE o.id IS NOT NULL) AS last_score
    INTO field FROM hail.decide_round(round, policy, true) d
    LEFT JOIN hail.offers o ON o.trip_id = trip.id AND o.round = round_outcome.round.round AND o.driver_id = d.driver_id
    WHERE d.gate IS NULL;
    IF offer.id IS NOT NULL THEN
        outcome := 'offered';
        explanation := format('was offered the trip%s, %s away, and %s',
            format(' as number %s of %s with a score of %s', decided.place, field.eligible, round(decided.score::numeric, 3)),
            hail.say_distance(offer.pickup_distance_m), hail.say_offer(offer));
    ELSIF decided.gate IS NOT NULL THEN
        outcome := decided.gate;
        explanation := hail.say_gate(decided.gate, trip, policy, driver_id, decided.distance_m, decided.pending_offers, round.created_at);
    ELSIF decided.place IS NOT NULL AND round.strategy = 'batched' THEN
        outcome := 'outscored';
        explanation := format('was %s away, but the trips that waited together were served best otherwise',
                              hail.say_distance(decided.distance_m));
    ELSIF decided.place < field.last_place THEN
        outcome := 'held';
        explanation := format('was number %s of %s with a score of %s, but another trip was just being offered to this driver',
                              decided.place, field.eligible, round(decided.score::numeric, 3));
    ELSIF decided.queue_place IS NOT NULL THEN
        outcome := 'queue';
        explanation := format('was number %s of the airport''s queue that could be asked; %s offered the trip', decided.place,
                              CASE round.offers WHEN 0 THEN 'nobody was' WHEN 1 THEN 'one was' ELSE round.offers || ' were' END);
    ELSIF decided.score > field.last_score AND round.favourites_first AND NOT decided.favourite THEN
        outcome := 'favourites_first';
        explanation := format('scored %s, %s away, but the customer''s favourites came first', round(decided.score::numeric, 3),
                              hail.say_distance(decided.distance_m));
    ELSIF decided.score > field.last_score AND NOT decided.exact_tier THEN
        outcome := 'higher_tier';
        explanation := format('scored %s, %s away, but serves a higher class than %s: in the first %s rounds of a search drivers of just this class come first',
            round(decided.score::numeric, 3), hail.say_distance(decided.distance_m), trip.service_class, policy.exact_tier_rounds);
    ELSIF decided.place IS NOT NULL THEN
        outcome := 'outscored';
        explanation := format('scored %s, %s away: number %s of %s, and %s offered the trip%s', round(decided.score::numeric, 3),
            hail.say_distance(decided.distance_m), decided.place, field.eligible,
            CASE round.offers WHEN 0 THEN 'nobody was' WHEN 1 THEN 'one was' ELSE round.offers || ' were' END,
            ', the last of them with ' || round(field.last_score::numeric, 3));
    ELSE
        SELECT * INTO met FROM hail.round_passed(round.passed) p WHERE p.driver_id = round_outcome.driver_id;
        IF met.driver_id IS NOT NULL THEN
            outcome := met.gate;
            explanation := hail.say_gate(met.gate, trip, policy, driver_id, met.distance_m, NULL, round.created_at);
        ELSE
            SELECT * INTO outcome, explanation FROM hail.driver_then(trip, driver_id, round.created_at, round.radius_m);
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.round_outcome(hail.trips, hail.match_rounds, uuid) IS
'What a recorded round made of a driver: an outcome (offered, outscored, held, a gate, or that of hail.driver_then) and words. Internal.';

CREATE FUNCTION hail.outcome_now(trip hail.trips, driver_id uuid, OUT outcome text, OUT explanation text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    policy hail.dispatch_policies;
    ranked record;
BEGIN
    SELECT * INTO policy FROM hail.dispatch_policies p WHERE p.id = trip.policy_id;
    SELECT r.*, count(*) FILTER (WHERE r.gate IS NULL) OVER () AS eligible, row_number() OVER () AS place INTO ranked
    FROM hail.rank_drivers(trip.id, 1000) r ORDER BY r.driver_id <> outcome_now.driver_id LIMIT 1;
    IF ranked.driver_id IS DISTINCT FROM driver_id THEN
        SELECT * INTO outcome, explanation
        FROM hail.driver_then(trip, driver_id, hail.clock(), hail.search_radius(trip));
    ELSIF ranked.gate IS NOT NULL THEN
        outcome := ranked.gate;
        explanation := hail.say_gate(ranked.gate, trip, policy, driver_id, ranked.distance_m, NULL, hail.clock());
    ELSE
        outcome := 'candidate';
        explanation := format('is a candidate now: score %s, %s away, number %s of %s', round(ranked.score::numeric, 3),
                              hail.say_distance(ranked.distance_m), ranked.place, ranked.eligible);
    END IF;
END
$$;
COMMENT ON FUNCTION hail.outcome_now(hail.trips, uuid) IS 'How a driver stands for a searching trip now: an outcome and words. Internal.';

CREATE FUNCTION hail.why_not(trip_id uuid, driver_id uuid)
RETURNS TABLE (round integer, at timestamptz, outcome text, explanation text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    role text := hail.caller_role();
    trip hail.trips;
    record hail.match_rounds;
BEGIN
    PERFORM hail.require_self('driver', why_not.driver_id);
    SELECT * INTO trip FROM hail.trips t WHERE t.id = why_not.trip_id;
    -- A driver may ask about trips that were offered to it; others do not exist for it.
    IF trip.id IS NULL OR role <> 'admin' AND NOT EXISTS (SELECT FROM hail.offers o WHERE o.trip_id = trip.id
            AND o.driver_id = why_not.driver_id) THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    ELSIF NOT EXISTS (SELECT FROM hail.drivers d WHERE d.id = why_not.driver_id) THEN
        PERFORM hail.fail('not_found', 'driver does not exist', 'driver_id');
    END IF;
    FOR record IN SELECT * FROM hail.match_rounds r WHERE r.trip_id = trip.id AND r.created_at >= trip.requested_at
                  ORDER BY r.created_at, r.round LOOP
        round := record.round;
        at := record.created_at;
        SELECT * INTO outcome, explanation FROM hail.round_outcome(trip, record, why_not.driver_id);
        -- Drivers are not told who blocked them, nor who likes others better.
        IF role <> 'admin' AND outcome IN ('blocked', 'gave_back', 'favourites_first') THEN
            outcome := 'passed_over';
            explanation := 'was not asked';
        END IF;
        RETURN NEXT;
    END LOOP;
    IF role = 'admin' AND trip.state = 'searching' THEN
        round := NULL;
        at := hail.clock();
        SELECT * INTO outcome, explanation FROM hail.outcome_now(trip, why_not.driver_id);
        RETURN NEXT;
    ELSIF at IS NULL THEN
        round := NULL;
        at := hail.clock();
        outcome := 'no_rounds';
        explanation := 'there is no record of a round of this trip: none has been run, or it is kept no longer';
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.why_not(uuid, uuid) IS
'What each round of a trip made of a driver, and why: an outcome (offered, outscored, higher_tier, favourites_first, queue, held: another trip was just being offered; a gate of hail.match_gates(); busy, offline, suspended, on_hold, class, stale, not_near, never_candidate; for drivers also passed_over, without the reason) and an explanation that follows "the driver", with its numbers. Last, while the trip is searched for, how the driver stands now (round NULL). For administrators; for a driver about itself and trips that were offered to it. Errors: not_found (trip_id, driver_id).';
GRANT EXECUTE ON FUNCTION hail.why_not(uuid, uuid) TO hail_driver, hail_admin;
