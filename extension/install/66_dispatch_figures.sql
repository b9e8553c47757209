-- 66_dispatch_figures: how fair and how quick matching is; signs of drivers who game it

CREATE FUNCTION hail.dispatch_counters() RETURNS TABLE (name text, gate text, value bigint)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_dispatch_counters';
COMMENT ON FUNCTION hail.dispatch_counters() IS 'What matching has done since the server started (zeros when the library is not preloaded). Internal.';

CREATE FUNCTION hail.figures_region(region text, from_time timestamptz, to_time timestamptz, longest interval DEFAULT '31 days')
RETURNS smallint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    area_id smallint;
BEGIN
    IF coalesce(hail.current_role_name(), '') NOT IN ('admin', 'analyst') THEN
        PERFORM hail.require_admin();
    END IF;
    IF region IS NOT NULL THEN
        SELECT r.id INTO area_id FROM hail.regions r WHERE r.code = region;
        IF area_id IS NULL THEN
            PERFORM hail.fail('not_found', 'region does not exist', 'region');
        END IF;
    END IF;
    IF from_time IS NULL OR NOT isfinite(from_time) THEN
        PERFORM hail.fail('invalid_value', 'from_time must be a finite time', 'from_time');
    ELSIF to_time IS NULL OR NOT isfinite(to_time) OR to_time <= from_time OR to_time > from_time + longest THEN
        PERFORM hail.fail('invalid_value', format('to_time must be after from_time, by %s days at most', extract(day FROM longest)), 'to_time');
    END IF;
    RETURN area_id;
END
$$;
COMMENT ON FUNCTION hail.figures_region(text, timestamptz, timestamptz, interval) IS
'Authorises administrators and analysts and checks the arguments that functions of figures share; the region''s id, NULL for all. Internal.';

CREATE FUNCTION hail.driver_activity(region text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (driver_id uuid, online_s float8, busy_s float8, trips bigint, earnings bigint, currency text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time);
    until_time timestamptz := least(to_time, hail.clock());
BEGIN
    RETURN QUERY
    WITH span AS (SELECT tstzrange(from_time, greatest(until_time, from_time)) AS span),
    toggles AS ( -- going online and offline; what was before the first is its opposite
        SELECT e.aggregate_id AS id, e.occurred_at AS at, e.type = 'DriverOnline' AS online,
               lead(e.occurred_at) OVER w AS next_at, row_number() OVER w AS n
        FROM hail.events e
        WHERE e.occurred_at >= from_time AND e.aggregate_type = 'driver'
          AND (e.type IN ('DriverOnline', 'DriverOffline') OR e.type IN ('DriverSuspended', 'DriverHeld') AND e.payload ? 'was_online')
        WINDOW w AS (PARTITION BY e.aggregate_id ORDER BY e.occurred_at, e.version)
    ), online AS (
        SELECT t.id, tstzrange(t.at, t.next_at) AS during FROM toggles t WHERE t.online
        UNION ALL SELECT t.id, tstzrange('-infinity', t.at) FROM toggles t WHERE t.n = 1 AND NOT t.online
        UNION ALL SELECT d.id, tstzrange('-infinity', 'infinity') FROM hail.drivers d
                  WHERE d.online AND NOT EXISTS (SELECT FROM toggles t WHERE t.id = d.id)
    ), online_sums AS (
        SELECT o.id, sum(extract(epoch FROM upper(o.during * s.span) - lower(o.during * s.span)))::float8 AS seconds
        FROM online o, span s WHERE o.during && s.span GROUP BY o.id
    ), driven AS (
        SELECT t.driver_id AS id, t.state, t.completed_at, t.price - hail.commission(t.price, t.commission_bp) AS earned,
               -- a clock that was set back between must not make an error of it
               tstzrange(t.matched_at, greatest(t.matched_at, coalesce(t.completed_at, t.cancelled_at, 'infinity'))) * s.span AS during
        FROM hail.trips t, span s
        WHERE t.requested_at >= from_time - interval '2 days' AND t.requested_at < to_time AND t.driver_id IS NOT NULL
          AND t.matched_at <= upper(s.span) AND coalesce(t.completed_at, t.cancelled_at, 'infinity') >= lower(s.span)
    ), driven_sums AS (
        SELECT v.id, count(*) FILTER (WHERE v.state = 'completed' AND v.completed_at >= from_time AND v.completed_at < to_time) AS trips,
               coalesce(sum(v.earned) FILTER (WHERE v.state = 'completed' AND v.completed_at >= from_time AND v.completed_at < to_time), 0) AS earned,
               -- several jobs at once are busy time once
               (SELECT coalesce(sum(extract(epoch FROM upper(b.r) - lower(b.r))), 0)
                FROM unnest(range_agg(v.during)) AS b (r) WHERE NOT isempty(b.r))::float8 AS seconds
        FROM driven v GROUP BY v.id
    )
    SELECT d.id, coalesce(o.seconds, 0), coalesce(v.seconds, 0), coalesce(v.trips, 0), coalesce(v.earned, 0)::bigint, r.currency
    FROM hail.drivers d JOIN hail.regions r ON r.id = d.region_id
    LEFT JOIN online_sums o ON o.id = d.id LEFT JOIN driven_sums v ON v.id = d.id
    WHERE (area_id IS NULL OR d.region_id = area_id) AND (o.seconds > 0 OR v.id IS NOT NULL)
    ORDER BY d.id;
END
$$;
COMMENT ON FUNCTION hail.driver_activity(text, timestamptz, timestamptz) IS
'What each driver of a region (its code; NULL: all) did from a time to another, 31 days at most: seconds online and on trips, trips completed, earnings (price less commission, minor units). Drivers who were neither online nor on a trip are left out. Administrators and analysts. Errors: invalid_value, not_found (region).';
GRANT EXECUTE ON FUNCTION hail.driver_activity(text, timestamptz, timestamptz) TO hail_admin, hail_analyst;

CREATE FUNCTION hail.fairness(region text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (drivers bigint, online_hours float8, trips bigint, trips_per_driver_hour float8, trips_per_driver_day float8,
               wait_mean_s float8, utilisation float8, earnings bigint, earnings_per_driver_hour float8, earnings_gini float8,
               trips_gini float8, currency text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    -- Gini coefficient of x sorted ascending: 2 sum(i x_i) / (n sum(x)) - (n + 1) / n (Gini 1912, in the form of Dixon et al. 1987).
    RETURN QUERY
    SELECT count(*), sum(a.online_s) / 3600, sum(a.trips)::bigint,
           sum(a.trips)::float8 / nullif(sum(a.online_s) / 3600, 0),
           sum(a.trips)::float8 / count(*) / (extract(epoch FROM to_time - from_time)::float8 / 86400),
           sum(greatest(a.online_s - a.busy_s, 0)) / nullif(sum(a.trips), 0)::float8,
           sum(a.busy_s) / nullif(sum(greatest(a.online_s, a.busy_s)), 0), sum(a.earnings)::bigint,
           sum(a.earnings)::float8 / nullif(sum(a.online_s) / 3600, 0),
           (2 * sum(a.by_earnings * a.earnings) / nullif(count(*) * sum(a.earnings), 0))::float8 - (count(*) + 1)::float8 / count(*),
           (2 * sum(a.by_trips * a.trips) / nullif(count(*) * sum(a.trips), 0))::float8 - (count(*) + 1)::float8 / count(*),
           min(a.currency)
    FROM (SELECT b.*, row_number() OVER (ORDER BY b.earnings, b.driver_id) AS by_earnings,
                 row_number() OVER (ORDER BY b.trips, b.driver_id) AS by_trips
          FROM hail.driver_activity(region, from_time, to_time) b) a
    HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION hail.fairness(text, timestamptz, timestamptz) IS
'How a region''s work was shared from a time to another: drivers who were online or on trips, hours online, trips, trips per driver and hour online, and per driver and day; mean wait for a trip (seconds online without one, per trip), utilisation (time on trips over time online), earnings (minor units), their Gini coefficient over drivers (0: all the same, 1: one has all), that of trips. No row when nobody was there. Use a region for money: NULL adds up all, whatever the currency. Administrators and analysts. Errors: invalid_value, not_found.';
GRANT EXECUTE ON FUNCTION hail.fairness(text, timestamptz, timestamptz) TO hail_admin, hail_analyst;

CREATE FUNCTION hail.dispatch_figures(region text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (trips bigint, offered bigint, accepted bigint, first_offer_p50_s float8, first_offer_p90_s float8, accept_p50_s float8,
               accept_p90_s float8, first_round_share float8, no_drivers bigint, offers bigint, offers_accepted bigint,
               offers_declined bigint, offers_expired bigint, rejections jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time);
BEGIN
    RETURN QUERY
    WITH asked AS (
        -- a scheduled trip waits from the time when its search began, which its first offer tells best
        SELECT t.id, t.state, t.requested_at, t.matched_at, t.round - t.rounds_before AS rounds, t.strategy = 'scheduled' AS planned
        FROM hail.trips t
        WHERE t.requested_at >= from_time AND t.requested_at < to_time AND (area_id IS NULL OR t.region_id = area_id)
    ), offers AS (
        SELECT o.trip_id, o.status, o.reason, o.created_at FROM asked a JOIN hail.offers o ON o.trip_id = a.id
    ), firsts AS (
        SELECT a.*, f.at AS offered_at FROM asked a
        LEFT JOIN (SELECT o.trip_id, min(o.created_at) AS at FROM offers o GROUP BY 1) f ON f.trip_id = a.id
    )
    SELECT count(*), count(f.offered_at), count(f.matched_at),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM f.offered_at - f.requested_at)::float8) FILTER (WHERE NOT f.planned),
           percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM f.offered_at - f.requested_at)::float8) FILTER (WHERE NOT f.planned),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM f.matched_at - f.requested_at)::float8) FILTER (WHERE NOT f.planned),
           percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM f.matched_at - f.requested_at)::float8) FILTER (WHERE NOT f.planned),
           count(*) FILTER (WHERE f.matched_at IS NOT NULL AND f.rounds <= 1)::float8 / nullif(count(f.matched_at), 0),
           count(*) FILTER (WHERE f.state = 'no_drivers'), o.offers, o.accepted, o.declined, o.expired, o.reasons
    FROM firsts f, (
        SELECT count(*) AS offers, count(*) FILTER (WHERE p.status IN ('accepted', 'cancelled')) AS accepted,
               count(*) FILTER (WHERE p.status = 'declined') AS declined, count(*) FILTER (WHERE p.status = 'expired') AS expired,
               coalesce((SELECT jsonb_object_agg(r.reason, r.n ORDER BY r.n DESC, r.reason) FROM (
                   SELECT coalesce(q.reason, 'none given') AS reason, count(*) AS n FROM offers q WHERE q.status = 'declined'
                   GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20) r), '{}') AS reasons
        FROM offers p) o
    GROUP BY o.offers, o.accepted, o.declined, o.expired, o.reasons;
END
$$;
COMMENT ON FUNCTION hail.dispatch_figures(text, timestamptz, timestamptz) IS
'How matching went for the trips requested in a region (NULL: all) from a time to another: trips, those offered to somebody, and accepted; median and 90th percentile of seconds to the first offer and to acceptance (without scheduled trips); the share of accepted trips won in a search''s first round; trips that found nobody; offers and what became of them; refusals by reason, the 20 most frequent. No row without trips. Administrators and analysts. Errors: invalid_value, not_found.';
GRANT EXECUTE ON FUNCTION hail.dispatch_figures(text, timestamptz, timestamptz) TO hail_admin, hail_analyst;

CREATE FUNCTION hail.dispatch_metrics() RETURNS TABLE (name text, labels jsonb, kind text, value float8)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT 'hail_match_' || c.name || '_total', CASE WHEN c.gate IS NULL THEN '{}' ELSE jsonb_build_object('gate', c.gate) END,
           'counter', c.value::float8
    FROM hail.dispatch_counters() c;
    RETURN QUERY
    SELECT m.name, m.labels || jsonb_build_object('region', r.code), 'gauge', m.value
    FROM hail.regions r CROSS JOIN LATERAL hail.dispatch_figures(r.code, hail.clock() - interval '15 minutes', hail.clock()) f
    CROSS JOIN LATERAL (VALUES
        ('hail_match_first_offer_seconds', '{"quantile": "0.5"}'::jsonb, f.first_offer_p50_s),
        ('hail_match_first_offer_seconds', '{"quantile": "0.9"}', f.first_offer_p90_s),
        ('hail_match_accept_seconds', '{"quantile": "0.5"}', f.accept_p50_s),
        ('hail_match_accept_seconds', '{"quantile": "0.9"}', f.accept_p90_s),
        ('hail_match_first_round_ratio', '{}', f.first_round_share)) m (name, labels, value)
    WHERE m.value IS NOT NULL;
END
$$;
COMMENT ON FUNCTION hail.dispatch_metrics() IS
'Matching''s part of hail.metrics(): counters since the server started; times of the trips requested in the last 15 minutes, by region. Internal.';

CREATE FUNCTION hail.driver_signals(region text, from_time timestamptz, to_time timestamptz, of_driver uuid DEFAULT NULL)
RETURNS TABLE (driver_id uuid, signal text, value float8, peers float8, explanation text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time);
BEGIN
    PERFORM hail.require_admin();
    RETURN QUERY
    WITH answered AS ( -- offers a driver could answer: turned down or let go by, or taken
        SELECT o.driver_id AS id, o.status IN ('declined', 'expired') AS refused, t.price,
               o.pickup_distance_m, percent_rank() OVER (ORDER BY t.price) AS by_price,
               percent_rank() OVER (ORDER BY o.pickup_distance_m) AS by_distance
        FROM hail.trips t JOIN hail.offers o ON o.trip_id = t.id
        WHERE t.requested_at >= from_time AND t.requested_at < to_time AND (area_id IS NULL OR t.region_id = area_id)
          AND o.status IN ('declined', 'expired', 'accepted', 'cancelled')
    ), rates AS (
        SELECT a.id, count(*) AS n, avg(a.refused::integer)::float8 AS rate,
               avg(a.refused::integer) FILTER (WHERE a.by_price < 0.5)::float8 AS cheap,
               avg(a.refused::integer) FILTER (WHERE a.by_price >= 0.5)::float8 AS dear,
               avg(a.refused::integer) FILTER (WHERE a.by_distance >= 0.5)::float8 AS far,
               avg(a.refused::integer) FILTER (WHERE a.by_distance < 0.5)::float8 AS close,
               count(*) FILTER (WHERE a.by_price < 0.5) AS n_cheap, count(*) FILTER (WHERE a.by_distance >= 0.5) AS n_far
        FROM answered a GROUP BY a.id
    ), medians AS (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY r.rate) AS rate, percentile_cont(0.5) WITHIN GROUP (ORDER BY r.cheap) AS cheap,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY r.far) AS far
        FROM rates r WHERE r.n >= 10
    ), flagged AS (
        SELECT e.aggregate_id AS id, count(*) AS n FROM hail.events e
        WHERE e.occurred_at >= from_time AND e.occurred_at < to_time AND e.aggregate_type = 'driver'
          AND e.type = 'DriverPositionFlagged' GROUP BY 1
    )
    SELECT s.id, s.signal, s.value, s.peers, s.explanation FROM (
        SELECT r.id, 'refuses_much' AS signal, r.rate AS value, m.rate AS peers,
               format('refused or let go by %s%% of %s offers; the median driver %s%%', round((100 * r.rate)::numeric), r.n,
                      round((100 * m.rate)::numeric)) AS explanation
        FROM rates r, medians m WHERE r.n >= 10 AND r.rate >= m.rate + 0.3
        UNION ALL
        SELECT r.id, 'cherry_picks_fares', r.cheap, m.cheap,
               format('refused or let go by %s%% of the cheaper half of fares, %s%% of the dearer; the median driver %s%% of the cheaper',
                      round((100 * r.cheap)::numeric), round((100 * r.dear)::numeric), round((100 * m.cheap)::numeric))
        FROM rates r, medians m WHERE r.n_cheap >= 5 AND r.n >= 10 AND r.cheap >= m.cheap + 0.3 AND r.cheap >= r.dear + 0.3
        UNION ALL
        SELECT r.id, 'cherry_picks_distances', r.far, m.far,
               format('refused or let go by %s%% of the farther half of pickups, %s%% of the nearer; the median driver %s%% of the farther',
                      round((100 * r.far)::numeric), round((100 * r.close)::numeric), round((100 * m.far)::numeric))
        FROM rates r, medians m WHERE r.n_far >= 5 AND r.n >= 10 AND r.far >= m.far + 0.3 AND r.far >= r.close + 0.3
        UNION ALL
        SELECT f.id, 'impossible_positions', f.n, NULL, format('%s position(s) reached with an impossible speed', f.n)
        FROM flagged f WHERE f.n >= 3) s
    JOIN hail.drivers d ON d.id = s.id
    WHERE (area_id IS NULL OR d.region_id = area_id) AND (of_driver IS NULL OR s.id = of_driver)
    ORDER BY s.id, s.signal;
END
$$;
COMMENT ON FUNCTION hail.driver_signals(text, timestamptz, timestamptz, uuid) IS
'Signs that drivers of a region (NULL: all) game the dispatch, from a time to another: refuses_much, cherry_picks_fares, cherry_picks_distances (shares of 10 answered offers or more, at least 30 points above the median driver''s, and above the driver''s own share of the other half), impossible_positions (3 or more); of one driver or (NULL) all. A sign is no proof. Administrators only. Errors: invalid_value, not_found (region).';
GRANT EXECUTE ON FUNCTION hail.driver_signals(text, timestamptz, timestamptz, uuid) TO hail_admin;
