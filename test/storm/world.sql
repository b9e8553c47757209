-- The world of the storms: two regions in the open Atlantic, their people, what opens and closes a race, and what must
-- hold at any moment. Loaded by a superuser into an empty database with pg_hail.
--   storm   groups of 64 drivers, 44 km apart, each with two customers: the races
--   crash   drivers around one place: the crash storm
CREATE SCHEMA storm;

CREATE TABLE storm.people (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE, role text NOT NULL, region text NOT NULL, grp integer NOT NULL, seat integer NOT NULL,
    lat float8, lng float8, token text,
    UNIQUE (role, region, grp, seat));

-- storm.add(): people of one role, seats 1..count in each of the groups 1..groups.
CREATE FUNCTION storm.add(role text, region text, groups integer, seats integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    person record;
BEGIN
    INSERT INTO storm.people (id, role, region, grp, seat, lat, lng)
    SELECT u.id, add.role, add.region, g, s, CASE WHEN add.role = 'driver' THEN s * 0.0001 END,
           CASE WHEN add.role = 'driver' THEN CASE region WHEN 'storm' THEN -40 ELSE -20 END + g * 0.4 END
    FROM generate_series(1, groups) g, generate_series(1, seats) s,
         LATERAL hail.register_user(NULL, format('%s %s.%s', initcap(add.role), g, s), add.role) u;
    UPDATE storm.people p SET token = hail.issue_token(p.id, '30 days') WHERE p.token IS NULL;
    FOR person IN SELECT * FROM storm.people p WHERE p.role = add.role AND p.region = add.region LOOP
        IF person.role = 'driver' THEN
            PERFORM hail.register_driver(person.id, person.region, '{economy}'), hail.approve_driver(person.id);
        END IF;
        -- Money for every fare, and for the commission of every cash trip.
        IF person.role <> 'admin' THEN
            PERFORM hail.post_transaction('DEPOSIT', ARRAY[
                ROW((hail.open_account('GATEWAY_CLEARING', NULL, 'EUR')).id, 'debit', 1000000000000),
                ROW((hail.open_account(upper(person.role) || '_WALLET', person.id, 'EUR')).id, 'credit', 1000000000000)]::hail.entry_input[],
                'storm ' || person.id);
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION storm.make_world(race_groups integer, crash_drivers integer, crash_customers integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.create_region('storm', 'Storm', 'EUR', 'UTC', public.ST_MakeEnvelope(-41, -1, -30, 1, 4326)),
            hail.create_region('crash', 'Crash', 'EUR', 'UTC', public.ST_MakeEnvelope(-21, -1, -18, 1, 4326));
    UPDATE hail.regions SET cooldown = '0', surge_cap = 1;
    PERFORM hail.load_sample_fares('storm'), hail.load_sample_fares('crash');
    -- Races: whoever is in the group is asked, and nothing comes due by itself.
    INSERT INTO hail.dispatch_policies (region_id, offers_per_round, candidates, radius_m, rounds_per_radius, offer_ttl, patience,
                                        max_pending_offers)
    SELECT id, 50, 200, '{3000}', 100, '1 hour', '2 hours', 10 FROM hail.regions WHERE code = 'storm';
    -- Crashes: short lives, so that rounds, expiries and accepts meet.
    INSERT INTO hail.dispatch_policies (region_id, offers_per_round, radius_m, offer_ttl, sequential_ttl, bid_ttl, retry_after, patience,
                                        batch_window_min, batch_window_max)
    SELECT id, 4, '{3000}', '3 seconds', '1 second', '3 seconds', '100 milliseconds', '12 hours', '100 milliseconds', '1 second'
    FROM hail.regions WHERE code = 'crash';
    PERFORM storm.add('driver', 'storm', race_groups, 64), storm.add('customer', 'storm', race_groups, 2),
            storm.add('driver', 'crash', 1, crash_drivers), storm.add('customer', 'crash', 1, crash_customers),
            storm.add('admin', 'storm', 1, 1);
END
$$;

CREATE FUNCTION storm.go_online() RETURNS void LANGUAGE sql AS $$
    SELECT hail.set_availability(p.id, true, p.lat, p.lng) FROM storm.people p WHERE p.role = 'driver';
$$;

-- Searches find nobody whose position is older than a minute.
CREATE FUNCTION storm.report() RETURNS integer LANGUAGE sql AS $$
    SELECT hail.report_locations(array_agg(p.id ORDER BY p.n), array_agg(p.lat ORDER BY p.n), array_agg(p.lng ORDER BY p.n))
    FROM storm.people p WHERE p.role = 'driver';
$$;

-- Races ------------------------------------------------------------------------------------------------------------

-- One race in each of the groups 1..n, all drivers of which hold a pending offer of its trip (two_trips: of both). Two
-- rounds or more, for a policy allows 50 offers a round; all in this transaction, so that nobody accepts before.
CREATE FUNCTION storm.open_races(kinds text[]) RETURNS TABLE (grp integer, seat integer, trip_id uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    opened uuid[];
    missing bigint;
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS race (grp integer, seat integer, kind text, trip_id uuid);
    TRUNCATE race;
    INSERT INTO race (grp, seat, kind, trip_id)
    SELECT c.grp, c.seat, k.kind, (hail.request_trip((hail.create_quote(c.id, 0.003, -40 + c.grp * 0.4, 0.05, -40 + c.grp * 0.4,
            'economy')).id, CASE c.grp % 4 WHEN 0 THEN 'cash' ELSE 'wallet' END, 'first_accept', hail.uuid7()::text)).id
    FROM storm.people c JOIN unnest(kinds) WITH ORDINALITY k (kind, grp) USING (grp)
    WHERE c.role = 'customer' AND c.region = 'storm' AND c.seat <= CASE k.kind WHEN 'two_trips' THEN 2 ELSE 1 END;
    opened := ARRAY(SELECT r.trip_id FROM race r);
    FOR pass IN 1..10 LOOP
        UPDATE hail.trips t SET next_round_at = hail.clock() WHERE t.id = ANY (opened) AND 64 >
            (SELECT count(*) FROM hail.offers o WHERE o.trip_id = t.id AND o.status = 'pending');
        EXIT WHEN NOT FOUND;
        PERFORM hail.dispatch_tick();
    END LOOP;
    SELECT count(*) INTO missing FROM race r WHERE 64 <>
        (SELECT count(*) FROM hail.offers o JOIN storm.people p ON p.id = o.driver_id AND p.grp = r.grp
         WHERE o.trip_id = r.trip_id AND o.status = 'pending');
    IF missing > 0 THEN
        RAISE EXCEPTION '% trips were not offered to all 64 drivers of their group', missing USING DETAIL =
            (SELECT string_agg(concat_ws(' ', r.kind, r.grp, d.status, d.online, d.trip_id, d.cooldown_until, k.gate), '; ') FROM race r
             JOIN storm.people p ON p.grp = r.grp AND p.role = 'driver' AND p.region = 'storm' JOIN hail.drivers d ON d.id = p.id
             LEFT JOIN hail.rank_drivers(r.trip_id, 200) k ON k.driver_id = d.id
             WHERE NOT EXISTS (SELECT FROM hail.offers o WHERE o.trip_id = r.trip_id AND o.driver_id = d.id AND o.status = 'pending'));
    END IF;
    -- Expired offers: every third driver's.
    UPDATE hail.offers o SET expires_at = hail.clock() - interval '1 second'
    FROM race r, storm.people p WHERE r.trip_id = o.trip_id AND r.kind = 'expired' AND p.id = o.driver_id AND p.seat % 3 = 0;
    UPDATE hail.trips t SET next_round_at = hail.clock() + interval '1 hour' FROM race r WHERE r.trip_id = t.id;
    RETURN QUERY SELECT r.grp, r.seat, r.trip_id FROM race r ORDER BY 1, 2;
END
$$;

-- All offers of a trip expire in so many milliseconds, and its next round comes then.
CREATE FUNCTION storm.expire_in(trip_id uuid, ms integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := hail.clock() + ms * interval '1 millisecond';
BEGIN
    UPDATE hail.offers o SET expires_at = moment WHERE o.trip_id = expire_in.trip_id;
    UPDATE hail.trips t SET next_round_at = moment WHERE t.id = expire_in.trip_id;
    PERFORM hail.wake_dispatcher();
END
$$;

-- What the rows of raced trips say against what their racers were told: winners (NULL: nobody), and whether the customer's
-- cancellation was acknowledged. No rows: they agree.
CREATE FUNCTION storm.judge_races(trips uuid[], winners uuid[], cancelled boolean[])
RETURNS TABLE (trip_id uuid, problem text) LANGUAGE sql AS $$
    WITH told AS (SELECT * FROM unnest(trips, winners, cancelled) AS u (trip_id, winner, cancelled)),
    seen AS (
        SELECT u.*, t.state, t.driver_id, t.price, t.payment_method, t.event_version, o.*, e.*, h.*,
               d.trip_id AS driving, (SELECT count(*) FROM hail.offers x WHERE x.driver_id = u.winner AND x.status = 'pending') AS open_offers
        FROM told u JOIN hail.trips t ON t.id = u.trip_id LEFT JOIN hail.drivers d ON d.id = u.winner,
        LATERAL (SELECT count(*) FILTER (WHERE o.status = 'accepted') AS accepted,
                        count(*) FILTER (WHERE o.status = 'accepted' AND o.driver_id = u.winner) AS accepted_by_winner,
                        count(*) FILTER (WHERE o.status = 'pending') AS pending,
                        count(*) FILTER (WHERE o.driver_id IS DISTINCT FROM u.winner
                                         AND o.status NOT IN ('withdrawn', 'declined', 'expired')) AS not_withdrawn
                 FROM hail.offers o WHERE o.trip_id = u.trip_id) o,
        LATERAL (SELECT count(*) AS events, max(e.version) AS newest, count(DISTINCT e.version) AS versions,
                        count(*) FILTER (WHERE e.type = 'TripMatched') AS matches,
                        count(*) FILTER (WHERE e.type = 'TripCancelled') AS cancellations
                 FROM hail.events e WHERE e.aggregate_type = 'trip' AND e.aggregate_id = u.trip_id) e,
        LATERAL (SELECT count(*) AS holds, count(*) FILTER (WHERE h.status = 'held' AND h.amount = t.price) AS held
                 FROM hail.holds h WHERE h.reference_id = u.trip_id) h
    )
    SELECT s.trip_id, p.problem FROM seen s, LATERAL (VALUES
        ('state ' || s.state, s.state IS DISTINCT FROM CASE WHEN s.cancelled THEN 'cancelled' WHEN s.winner IS NULL THEN 'searching' ELSE 'matched' END),
        ('the trip has another driver', s.driver_id IS DISTINCT FROM s.winner),
        (s.accepted || ' accepted offers', s.accepted <> (s.winner IS NOT NULL)::integer OR s.accepted <> s.accepted_by_winner),
        (s.pending || ' offers left pending', s.pending > 0 AND (s.winner IS NOT NULL OR s.cancelled)),
        (s.not_withdrawn || ' losers'' offers not withdrawn', s.not_withdrawn > 0 AND (s.winner IS NOT NULL OR s.cancelled)),
        ('the winner is not busy with it', s.winner IS NOT NULL AND NOT s.cancelled AND s.driving IS DISTINCT FROM s.trip_id),
        ('the winner is still busy with a cancelled trip', s.cancelled AND s.driving = s.trip_id),
        ('the winner holds offers of other trips', s.open_offers > 0 AND NOT s.cancelled),
        (s.holds || ' holds, ' || s.held || ' open', (s.holds, s.held) IS DISTINCT FROM CASE
            WHEN s.winner IS NULL OR s.payment_method = 'cash' THEN (0::bigint, 0::bigint)
            WHEN s.cancelled THEN (1::bigint, 0::bigint) ELSE (1::bigint, 1::bigint) END),
        (s.matches || ' TripMatched, ' || s.cancellations || ' TripCancelled',
            s.matches <> (s.winner IS NOT NULL)::integer OR s.cancellations <> s.cancelled::integer),
        ('event versions have gaps', (s.events, s.versions, s.newest) IS DISTINCT FROM (s.event_version::bigint, s.event_version::bigint, s.event_version))
    ) AS p (problem, found) WHERE p.found
$$;

-- The trips of odd groups are driven to their end, the others cancelled; whoever went away comes back.
CREATE FUNCTION storm.close_races(trips uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    trip hail.trips;
BEGIN
    FOR trip IN SELECT t.* FROM hail.trips t WHERE t.id = ANY (trips) AND t.state IN ('searching', 'matched') ORDER BY t.id LOOP
        IF trip.state = 'matched' AND (SELECT p.grp % 2 = 1 FROM storm.people p WHERE p.id = trip.driver_id) THEN
            PERFORM hail.arrive(trip.id);
            PERFORM hail.start_trip(trip.id, trip.pickup_code);
            PERFORM hail.complete_trip(trip.id);
        ELSE
            PERFORM hail.cancel_trip(trip.id, 'admin');
        END IF;
    END LOOP;
    PERFORM hail.reinstate_driver(d.id) FROM hail.drivers d JOIN storm.people p USING (id) WHERE d.status = 'suspended';
    PERFORM hail.set_availability(d.id, true, p.lat, p.lng) FROM hail.drivers d JOIN storm.people p USING (id) WHERE NOT d.online;
END
$$;

-- Crashes ----------------------------------------------------------------------------------------------------------

-- What trips are against what their clients were told. acknowledged: the state of the newest answer; attempted: the state
-- that an answer lost in a crash would have told of (the same when none was lost). No rows: nothing acknowledged is lost,
-- nothing happened that nobody asked for.
CREATE FUNCTION storm.judge_trips(trips uuid[], drivers uuid[], acknowledged text[], attempted text[])
RETURNS TABLE (trip_id uuid, problem text) LANGUAGE sql AS $$
    SELECT u.trip_id, format('acknowledged %s by %s, attempted %s, found %s by %s', u.acknowledged, u.driver_id, u.attempted, t.state, t.driver_id)
    FROM unnest(trips, drivers, acknowledged, attempted) AS u (trip_id, driver_id, acknowledged, attempted)
    LEFT JOIN hail.trips t ON t.id = u.trip_id
    WHERE (t.state IN (u.acknowledged, u.attempted)) IS NOT TRUE
       OR t.state IN ('matched', 'arrived', 'started', 'completed') AND t.driver_id IS DISTINCT FROM u.driver_id
       OR t.state = 'searching' AND t.driver_id IS NOT NULL
$$;

-- What must hold at any moment: a row a rule, with how many rows break it and one of them. in_memory: what is compared is
-- not all in one snapshot, so a dispatcher at work can make a difference that is gone the next moment.
CREATE FUNCTION storm.check() RETURNS TABLE (rule text, broken bigint, example text, in_memory boolean) LANGUAGE sql AS $$
    WITH under_way AS (
        SELECT * FROM hail.trips WHERE state IN ('matched', 'arrived', 'started')
    ), accepted AS (
        SELECT o.trip_id, count(*) AS offers, min(o.driver_id::text)::uuid AS driver_id FROM hail.offers o WHERE o.status = 'accepted' GROUP BY 1
    ), findings (rule, subject) AS (
        SELECT 'a driver is busy exactly while a trip names it', coalesce(t.id, d.id)::text
        FROM under_way t FULL JOIN (SELECT * FROM hail.drivers WHERE trip_id IS NOT NULL) d ON d.trip_id = t.id AND d.id = t.driver_id
        WHERE t.id IS NULL OR d.id IS NULL
        UNION ALL
        SELECT 'a trip that has a driver has one accepted offer, the driver''s', t.id::text
        FROM hail.trips t LEFT JOIN accepted a ON a.trip_id = t.id
        WHERE t.state IN ('matched', 'arrived', 'started', 'completed') AND (a.offers, a.driver_id) IS DISTINCT FROM (1::bigint, t.driver_id)
           OR t.state = 'searching' AND a.offers > 0
        UNION ALL
        SELECT 'only a search has offers pending', o.id::text FROM hail.offers o JOIN hail.trips t ON t.id = o.trip_id
        WHERE o.status = 'pending' AND t.state <> 'searching'
        UNION ALL
        SELECT 'the fare is held exactly while the trip is under way', t.id::text
        FROM hail.trips t LEFT JOIN (SELECT reference_id, count(*) AS holds, sum(amount) AS amount FROM hail.holds WHERE status = 'held' GROUP BY 1) h
             ON h.reference_id = t.id
        WHERE (h.holds, h.amount) IS DISTINCT FROM CASE WHEN t.payment_method = 'wallet' AND t.state IN ('matched', 'arrived', 'started')
                                                        THEN (1::bigint, t.price::numeric) ELSE (NULL::bigint, NULL::numeric) END
        UNION ALL
        SELECT 'a completed trip was paid once, no other was', t.id::text
        FROM hail.trips t LEFT JOIN (SELECT reference_id, count(*) AS payments FROM hail.ledger_transactions
                                     WHERE kind IN ('trip_fare_wallet', 'trip_commission_cash') GROUP BY 1) x ON x.reference_id = t.id
        WHERE coalesce(x.payments, 0) <> (t.state = 'completed')::integer
        UNION ALL
        SELECT 'each match has its event', t.id::text
        FROM hail.trips t LEFT JOIN (SELECT aggregate_id, count(*) AS matches FROM hail.events WHERE type = 'TripMatched' GROUP BY 1) e ON e.aggregate_id = t.id
        LEFT JOIN (SELECT trip_id, count(*) AS won FROM hail.offers WHERE status IN ('accepted', 'cancelled') GROUP BY 1) o ON o.trip_id = t.id
        WHERE coalesce(e.matches, 0) <> coalesce(o.won, 0)
        UNION ALL
        SELECT 'events are gapless', g.aggregate_type || ' ' || g.aggregate_id FROM hail.event_gaps() g
        UNION ALL
        SELECT 'the ledger reconciles', concat_ws(' ', r.check_name, r.subject, r.expected, r.actual)
        FROM generate_series((SELECT min(requested_at) FROM hail.trips)::date, hail.clock()::date, interval '1 day') AS day, hail.reconcile(day::date) r
        UNION ALL
        SELECT 'hail.check() finds nothing broken', c.area || ': ' || c.detail FROM hail.check() c WHERE c.status = 'fail' AND c.area <> 'live'
        UNION ALL
        SELECT 'the live index equals the rows', c.detail FROM hail.check_live() c WHERE c.status = 'fail'
        UNION ALL
        SELECT 'a search finds exactly the free drivers', coalesce(f.id, s.driver_id)::text
        FROM (SELECT d.id, p.region, p.grp FROM hail.drivers d JOIN storm.people p USING (id)
              WHERE d.online AND d.status = 'approved' AND d.trip_id IS NULL AND coalesce(d.cooldown_until <= hail.clock(), true)) f
        FULL JOIN (SELECT n.driver_id FROM (SELECT DISTINCT region, grp, lng FROM storm.people WHERE role = 'driver') g,
                   LATERAL hail.nearby_drivers(0.003, g.lng, 5000, 1000) n) s ON s.driver_id = f.id
        WHERE f.id IS NULL OR s.driver_id IS NULL
    )
    SELECT r.rule, count(f.subject), min(f.subject), r.place > 9
    FROM unnest(ARRAY['a driver is busy exactly while a trip names it', 'a trip that has a driver has one accepted offer, the driver''s',
        'only a search has offers pending', 'the fare is held exactly while the trip is under way',
        'a completed trip was paid once, no other was', 'each match has its event', 'events are gapless', 'the ledger reconciles',
        'hail.check() finds nothing broken', 'the live index equals the rows', 'a search finds exactly the free drivers']) WITH ORDINALITY AS r (rule, place)
    LEFT JOIN findings f ON f.rule = r.rule GROUP BY r.rule, r.place ORDER BY r.place
$$;
