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
