-- 69_pricing_figures: prices, surge, quotes, earnings and ETAs in figures, without persons

-- What all of these share: they are of a region (its code; NULL: each region for itself, money in its own currency) and of
-- the time from from_time (included) to to_time (not), 400 days at most; they authorise administrators and analysts and then read
-- as their owner, and give no row that stands for fewer than five persons: customers, drivers where it tells what drivers earned.
-- All but surge_by_cell(), which is of nobody, begin and end with a whole hour: the difference of two of them is of an hour at
-- least, never of the one trip between two moments.
-- Quotes are found by their created_at, trips by requested_at: both have an index for other reasons, and nothing here is worth
-- another one, which every quote or change of a trip would pay for. Trips that ended within the time may have been requested
-- well before (hail.longest_ahead()). A trip is requested within a day of its quote, the most that hail.quote_ttl can be; what
-- hail.requote() made of a quote is of the same set, whose time is that of its first quote, when it was made by a day after
-- to_time. All have memory enough for a month in one go, and none is compiled: looking up the first quotes of a few sets is
-- costed as if it were done for all.

CREATE FUNCTION hail.hours_around(INOUT from_time timestamptz, INOUT to_time timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT date_trunc('hour', from_time, 'UTC'), date_trunc('hour', to_time + interval '1 hour' - interval '1 microsecond', 'UTC');
END;
COMMENT ON FUNCTION hail.hours_around(timestamptz, timestamptz) IS 'The whole hours that a time from one moment to another touches. Internal.';

CREATE FUNCTION hail.longest_ahead() RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(max(p.schedule_max), interval '30 days') + interval '1 day' FROM hail.dispatch_policies p);
COMMENT ON FUNCTION hail.longest_ahead() IS
'A trip ends within so long of its request: as far as any policy lets trips be scheduled ahead, and a day for the trip. Internal.';

CREATE FUNCTION hail.few_add(state internal, id uuid) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_few_add';
COMMENT ON FUNCTION hail.few_add(internal, uuid) IS 'Step of hail.few_of(). Internal.';
CREATE FUNCTION hail.few_merge(state internal, ids uuid[]) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_few_merge';
COMMENT ON FUNCTION hail.few_merge(internal, uuid[]) IS 'Step of hail.few_of(). Internal.';
CREATE FUNCTION hail.few_array(state internal) RETURNS uuid[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_few_array';
COMMENT ON FUNCTION hail.few_array(internal) IS 'End of hail.few_of(). Internal.';
CREATE AGGREGATE hail.few_of(uuid) (SFUNC = hail.few_add, STYPE = internal, SSPACE = 96, FINALFUNC = hail.few_array, PARALLEL = SAFE);
COMMENT ON AGGREGATE hail.few_of(uuid) IS 'Five different ones at most; where there are five, figures may be told. Internal.';
CREATE AGGREGATE hail.few_of(uuid[]) (SFUNC = hail.few_merge, STYPE = internal, SSPACE = 96, FINALFUNC = hail.few_array, PARALLEL = SAFE);
COMMENT ON AGGREGATE hail.few_of(uuid[]) IS 'Five different ones of all of them at most. Internal.';

CREATE FUNCTION hail.day_part(local timestamp) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN extract(hour FROM local) < 6 THEN 'night' WHEN extract(hour FROM local) < 10 THEN 'morning'
            WHEN extract(hour FROM local) < 16 THEN 'midday' WHEN extract(hour FROM local) < 20 THEN 'evening' ELSE 'late' END;
COMMENT ON FUNCTION hail.day_part(timestamp) IS
'Part of a local day: night (from 0), morning (from 6), midday (from 10), evening (from 16), late (from 20). Internal.';

CREATE FUNCTION hail.price_per_km(region text, from_time timestamptz, to_time timestamptz, of_class text DEFAULT NULL,
                                  hexagon_size_m float8 DEFAULT NULL, by_day_part boolean DEFAULT false)
RETURNS TABLE (region_code text, cell bigint, hexagon public.geometry, service_class text, day_part text, trips bigint, km float8,
               price_per_km float8, price_per_km_p10 float8, price_per_km_p50 float8, price_per_km_p90 float8, surge_mean float8,
               currency text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time, '400 days');
BEGIN
    SELECT h.* INTO from_time, to_time FROM hail.hours_around(from_time, to_time) h;
    IF of_class IS NOT NULL AND NOT EXISTS (SELECT FROM hail.service_classes c WHERE c.code = of_class) THEN
        PERFORM hail.fail('unknown_class', 'service class does not exist', 'of_class');
    ELSIF NOT price_per_km.hexagon_size_m BETWEEN 500 AND 100000 THEN
        PERFORM hail.fail('invalid_value', 'hexagon_size_m must be between 500 and 100000', 'hexagon_size_m');
    END IF;
    RETURN QUERY
    WITH driven AS (
        SELECT r.id AS region_id, hail.hexagon_cell(t.pickup_lat, t.pickup_lng, coalesce(price_per_km.hexagon_size_m, r.hexagon_size_m)) AS cell, t.service_class,
               CASE WHEN by_day_part THEN hail.day_part(t.requested_at AT TIME ZONE r.timezone) END AS day_part,
               t.price - t.waiting_amount AS price, t.distance_m, t.surge, t.customer_id
        FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id
        WHERE t.requested_at >= from_time AND t.requested_at < to_time AND t.state = 'completed' AND t.distance_m > 0
          AND (area_id IS NULL OR t.region_id = area_id) AND (of_class IS NULL OR t.service_class = of_class)
    ), cells AS (
        SELECT d.region_id, d.cell, d.service_class, d.day_part, count(*) AS trips, sum(d.distance_m) / 1000.0 AS km,
               sum(d.price) * 1000 / sum(d.distance_m) AS price_per_km,
               percentile_cont(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY d.price * 1000.0 / d.distance_m) AS parts, avg(d.surge) AS surge
        FROM driven d GROUP BY 1, 2, 3, 4 HAVING cardinality(hail.few_of(d.customer_id)) = 5
    )
    SELECT r.code, c.cell, hail.hexagon(c.cell, coalesce(price_per_km.hexagon_size_m, r.hexagon_size_m)), c.service_class, c.day_part, c.trips, c.km::float8,
           c.price_per_km::float8, c.parts[1], c.parts[2], c.parts[3], c.surge::float8, r.currency
    FROM cells c JOIN hail.regions r ON r.id = c.region_id
    ORDER BY r.code, c.service_class, c.day_part, c.trips DESC, c.cell;
END
$$;
COMMENT ON FUNCTION hail.price_per_km(text, timestamptz, timestamptz, text, float8, boolean) IS
'What a kilometre cost, by hexagon of the pickup, for the completed trips requested in a region (NULL: each) from a time to another; of one class (of_class) or (NULL) each; hexagon_size_m: from 500 m, NULL: the region''s; by_day_part: night (from 0), morning (6), midday (10), evening (16) and late (20) apart, in the region''s time. region_code; cell and hexagon (its polygon, WGS84); service_class; day_part; trips; km: their road distance; price_per_km: all prices (without waiting) over all kilometres, minor units; price_per_km_p10, _p50, _p90: percentiles over trips; surge_mean; currency. Cells with trips of fewer than five customers are left out; from_time and to_time are moved outward to whole hours, so that two calls differ by the trips of an hour at least. Administrators and analysts. Errors: invalid_value, not_found (region), unknown_class.';

CREATE FUNCTION hail.surge_by_cell(region text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (region_code text, cell bigint, hexagon_size_m float8, hexagon public.geometry, surges bigint, surged_s float8,
               surged_share float8, surge_mean_s float8, surge_longest_s float8, multiplier_mean float8, multiplier_max numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time, '400 days');
    until_time timestamptz := greatest(from_time, least(to_time, hail.clock()));
BEGIN
    RETURN QUERY
    WITH changes AS (
        SELECT h.region_id, h.hexagon_size_m AS size, h.cell, h.at, h.old_multiplier, h.new_multiplier,
               lag(h.at) OVER w IS NULL AS first, lead(h.at) OVER w AS next_at
        FROM hail.surge_history h
        WHERE h.at >= from_time AND h.at < until_time AND (area_id IS NULL OR h.region_id = area_id)
        WINDOW w AS (PARTITION BY h.region_id, h.hexagon_size_m, h.cell ORDER BY h.at)
    ), later AS ( -- of cells that did not change within the time: as their next change, or the present, tells
        SELECT DISTINCT ON (n.region_id, n.hexagon_size_m, n.cell) n.region_id, n.hexagon_size_m AS size, n.cell, h.old_multiplier AS multiplier
        FROM (SELECT h.region_id, h.hexagon_size_m, h.cell, min(h.at) AS at FROM hail.surge_history h
              WHERE h.at >= until_time AND (area_id IS NULL OR h.region_id = area_id) GROUP BY 1, 2, 3) n -- all that comes later is not sorted
        JOIN hail.surge_history h ON h.region_id = n.region_id AND h.hexagon_size_m = n.hexagon_size_m AND h.cell = n.cell AND h.at = n.at
        WHERE h.at >= until_time
        ORDER BY n.region_id, n.hexagon_size_m, n.cell
    ), still AS (
        SELECT l.* FROM later l
        UNION ALL
        SELECT s.region_id, r.hexagon_size_m::real, s.cell, s.multiplier FROM hail.surge_cells s JOIN hail.regions r ON r.id = s.region_id
        WHERE (area_id IS NULL OR s.region_id = area_id) AND NOT EXISTS (SELECT FROM later l WHERE l.region_id = s.region_id AND l.cell = s.cell)
    ), spans AS (
        SELECT c.region_id, c.size, c.cell, from_time AS starts, c.at AS ends, c.old_multiplier AS multiplier, false AS rose
        FROM changes c WHERE c.first
        UNION ALL SELECT c.region_id, c.size, c.cell, c.at, coalesce(c.next_at, until_time), c.new_multiplier,
                         c.old_multiplier <= 1 AND c.new_multiplier > 1 FROM changes c
        UNION ALL SELECT s.region_id, s.size, s.cell, from_time, until_time, s.multiplier, false FROM still s
                  WHERE NOT EXISTS (SELECT FROM changes c WHERE c.region_id = s.region_id AND c.size = s.size AND c.cell = s.cell)
    ), numbered AS ( -- what lies between two spans without a surge is one surge
        SELECT s.*, extract(epoch FROM s.ends - s.starts)::float8 AS seconds,
               count(*) FILTER (WHERE s.multiplier <= 1) OVER (PARTITION BY s.region_id, s.size, s.cell ORDER BY s.starts, s.ends) AS n
        FROM spans s
    ), surges AS (
        SELECT u.region_id, u.size, u.cell, u.n, bool_or(u.rose) AS rose, sum(u.seconds) AS seconds,
               sum(u.seconds * u.multiplier::float8) AS weighted, max(u.multiplier) AS highest
        FROM numbered u WHERE u.multiplier > 1 GROUP BY 1, 2, 3, 4 HAVING sum(u.seconds) > 0
    )
    SELECT r.code, u.cell, u.size::float8, hail.hexagon(u.cell, u.size), count(*) FILTER (WHERE u.rose), sum(u.seconds),
           sum(u.seconds) / extract(epoch FROM until_time - from_time)::float8, avg(u.seconds), max(u.seconds), sum(u.weighted) / sum(u.seconds),
           max(u.highest)::numeric
    FROM surges u JOIN hail.regions r ON r.id = u.region_id
    GROUP BY r.code, u.size, u.cell ORDER BY r.code, sum(u.seconds) DESC, u.cell;
END
$$;
COMMENT ON FUNCTION hail.surge_by_cell(text, timestamptz, timestamptz) IS
'How often and how long there was a surge in each hexagon of a region (NULL: each) from a time to another (at most to now; hail.surge_history keeps 90 days). region_code; cell, hexagon_size_m, hexagon (polygon, WGS84); surges: so many times it rose above 1; surged_s: seconds above 1, surged_share: of the time; surge_mean_s, surge_longest_s: length of a surge, those cut off by the ends of the time as far as they lie in it; multiplier_mean: over the seconds above 1; multiplier_max. Hexagons without a surge are left out. Administrators and analysts. Errors: invalid_value, not_found (region).';

CREATE FUNCTION hail.acceptance_by_surge(region text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (region_code text, surge numeric, quote_sets bigint, taken bigint, acceptance float8, price_mean float8, price_taken_mean float8,
               currency text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time, '400 days');
BEGIN
    SELECT h.* INTO from_time, to_time FROM hail.hours_around(from_time, to_time) h;
    RETURN QUERY
    WITH quoted AS (
        SELECT q.region_id, q.customer_id, max(q.surge) AS surge, avg(q.total) AS price,
               max(q.total) FILTER (WHERE t.quote_id IS NOT NULL) AS price_taken
        FROM hail.quotes q
        LEFT JOIN hail.trips t ON t.quote_id = q.id AND t.requested_at >= from_time AND t.requested_at < to_time + interval '2 days'
        WHERE q.created_at >= from_time AND q.created_at < to_time + interval '1 day' AND (area_id IS NULL OR q.region_id = area_id)
          AND (q.replaces IS NULL AND q.created_at < to_time
               OR q.replaces IS NOT NULL AND (SELECT f.created_at FROM hail.quotes f WHERE f.id = q.set_id) <@ tstzrange(from_time, to_time))
        GROUP BY q.region_id, q.set_id, q.customer_id
    )
    SELECT r.code, q.surge, count(*), count(q.price_taken), count(q.price_taken)::float8 / count(*), avg(q.price)::float8,
           CASE WHEN cardinality(hail.few_of(q.customer_id) FILTER (WHERE q.price_taken IS NOT NULL)) = 5 THEN avg(q.price_taken)::float8 END,
           min(r.currency)
    FROM quoted q JOIN hail.regions r ON r.id = q.region_id
    GROUP BY r.code, q.surge HAVING cardinality(hail.few_of(q.customer_id)) = 5 ORDER BY r.code, q.surge;
END
$$;
COMMENT ON FUNCTION hail.acceptance_by_surge(text, timestamptz, timestamptz) IS
'How readily quotes made in a region (NULL: each) from a time to another became trips, by the highest surge in them. region_code; surge; quote_sets: quotes made in one call, and those that hail.requote() made of them by a day after to_time, are one set of the time of its first quote; taken: sets from which a trip was requested; acceptance: taken over quote_sets; price_mean: of all quotes of the sets, price_taken_mean: of those taken (NULL below five customers), minor units of currency. Left out below five customers; from_time and to_time are moved outward to whole hours, so that two calls differ by the trips of an hour at least. Administrators and analysts. Errors: invalid_value, not_found (region).';

CREATE FUNCTION hail.acceptance_by_price(region text, from_time timestamptz, to_time timestamptz, bands integer DEFAULT 10)
RETURNS TABLE (region_code text, service_class text, band integer, price_from bigint, price_to bigint, quotes bigint, taken bigint,
               acceptance float8, price_mean float8, price_per_km_mean float8, surge_mean float8, currency text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time, '400 days');
BEGIN
    SELECT h.* INTO from_time, to_time FROM hail.hours_around(from_time, to_time) h;
    IF (bands BETWEEN 1 AND 100) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'bands must be between 1 and 100', 'bands');
    END IF;
    RETURN QUERY
    WITH told AS ( -- of a set and class the quote that was taken, else the dearest that hail.requote() made of it
        SELECT q.region_id, q.service_class, q.customer_id, count(t.quote_id) > 0 AS taken,
               coalesce(max(q.total) FILTER (WHERE t.quote_id IS NOT NULL), max(q.total)) AS total,
               coalesce(max(q.surge) FILTER (WHERE t.quote_id IS NOT NULL), max(q.surge)) AS surge, max(q.distance_m) AS distance_m
        FROM hail.quotes q
        LEFT JOIN hail.trips t ON t.quote_id = q.id AND t.requested_at >= from_time AND t.requested_at < to_time + interval '2 days'
        WHERE q.created_at >= from_time AND q.created_at < to_time + interval '1 day' AND (area_id IS NULL OR q.region_id = area_id)
          AND (q.replaces IS NULL AND q.created_at < to_time
               OR q.replaces IS NOT NULL AND (SELECT f.created_at FROM hail.quotes f WHERE f.id = q.set_id) <@ tstzrange(from_time, to_time))
        GROUP BY q.region_id, q.set_id, q.service_class, q.customer_id
    ), prices AS ( -- the same price is in one band, and there are far fewer prices than quotes
        SELECT q.region_id, q.service_class, q.total, count(*) AS quotes, count(*) FILTER (WHERE q.taken) AS taken, sum(q.surge) AS surge,
               sum(q.total * 1000.0::float8 / nullif(q.distance_m, 0)) AS per_km, hail.few_of(q.customer_id) AS customers
        FROM told q GROUP BY 1, 2, 3
    ), banded AS (
        SELECT p.*, 1 + floor((sum(p.quotes) OVER by_price - p.quotes) * bands / sum(p.quotes) OVER per_class)::integer AS band
        FROM prices p
        WINDOW by_price AS (PARTITION BY p.region_id, p.service_class ORDER BY p.total), per_class AS (PARTITION BY p.region_id, p.service_class)
    )
    SELECT r.code, b.service_class, b.band, min(b.total), max(b.total), sum(b.quotes)::bigint, sum(b.taken)::bigint,
           sum(b.taken)::float8 / sum(b.quotes)::float8, (sum(b.total * b.quotes) / sum(b.quotes))::float8, sum(b.per_km) / sum(b.quotes)::float8,
           (sum(b.surge) / sum(b.quotes))::float8, min(r.currency)
    FROM banded b JOIN hail.regions r ON r.id = b.region_id
    GROUP BY r.code, b.service_class, b.band HAVING cardinality(hail.few_of(b.customers)) = 5 ORDER BY 1, 2, 3;
END
$$;
COMMENT ON FUNCTION hail.acceptance_by_price(text, timestamptz, timestamptz, integer) IS
'How readily quotes made in a region (NULL: each) from a time to another became trips, by price. region_code; service_class; band: the class''s quotes in order of price, in `bands` (10) parts of the same size as far as equal prices allow; price_from, price_to; quotes: one that hail.requote() made by a day after to_time stands for the first, at whose time; taken: trips requested from them; acceptance: taken over quotes; price_mean, price_per_km_mean: minor units of currency; surge_mean. Left out below five customers; from_time and to_time are moved outward to whole hours, so that two calls differ by the trips of an hour at least. Administrators and analysts. Errors: invalid_value, not_found (region).';

CREATE FUNCTION hail.earnings_distribution(region text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (region_code text, day date, drivers bigint, trips bigint, earnings bigint, earnings_mean float8, earnings_deciles float8[],
               earnings_gini float8, top_decile_share float8, currency text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time, '400 days');
BEGIN
    SELECT h.* INTO from_time, to_time FROM hail.hours_around(from_time, to_time) h;
    -- Gini coefficient as in hail.fairness()
    RETURN QUERY
    WITH days AS (
        SELECT t.region_id, (t.completed_at AT TIME ZONE r.timezone)::date AS day, t.driver_id, count(*) AS trips,
               sum(t.price - hail.commission(t.price, t.commission_bp)) AS earned
        FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id
        WHERE t.requested_at >= from_time - hail.longest_ahead() AND t.requested_at < to_time AND t.state = 'completed'
          AND t.completed_at >= from_time AND t.completed_at < to_time AND (area_id IS NULL OR t.region_id = area_id)
        GROUP BY 1, 2, 3
    ), ranked AS (
        SELECT d.*, row_number() OVER (PARTITION BY d.region_id, d.day ORDER BY d.earned, d.driver_id) AS n,
               ntile(10) OVER (PARTITION BY d.region_id, d.day ORDER BY d.earned, d.driver_id) AS decile
        FROM days d
    )
    SELECT min(r.code), k.day, count(*), sum(k.trips)::bigint, sum(k.earned)::bigint, avg(k.earned)::float8,
           percentile_cont(ARRAY[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) WITHIN GROUP (ORDER BY k.earned::float8),
           (2 * sum(k.n * k.earned) / nullif(count(*) * sum(k.earned), 0))::float8 - (count(*) + 1)::float8 / count(*),
           CASE WHEN count(*) >= 50 THEN (sum(k.earned) FILTER (WHERE k.decile = 10) / nullif(sum(k.earned), 0))::float8 END, min(r.currency)
    FROM ranked k JOIN hail.regions r ON r.id = k.region_id
    GROUP BY k.region_id, k.day HAVING count(*) >= 5 ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION hail.earnings_distribution(text, timestamptz, timestamptz) IS
'How a day''s earnings were spread over the drivers who completed a trip then, in a region (NULL: each) from a time to another. region_code; day: in the region''s time; drivers; trips; earnings: prices less commission, minor units of currency; earnings_mean: per driver; earnings_deciles: nine, from the 10th to the 90th percentile; earnings_gini: 0 when all earned the same, towards 1 when one has all; top_decile_share: of all earnings, what the best tenth of the drivers had (from 50 drivers on). Days with fewer than five drivers are left out; from_time and to_time are moved outward to whole hours, so that two calls differ by the trips of an hour at least. Administrators and analysts. Errors: invalid_value, not_found (region).';

CREATE FUNCTION hail.eta_accuracy(region text, from_time timestamptz, to_time timestamptz, by_day boolean DEFAULT false)
RETURNS TABLE (region_code text, day date, source text, trips bigint, quoted_mean_s float8, driven_mean_s float8, bias_s float8,
               abs_error_p50_s float8, abs_error_p90_s float8, mape float8, rmsle float8, coverage float8, below float8, above float8,
               interval_mean_s float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time, '400 days');
BEGIN
    SELECT h.* INTO from_time, to_time FROM hail.hours_around(from_time, to_time) h;
    RETURN QUERY
    WITH driven AS (
        SELECT t.region_id, CASE WHEN by_day THEN (t.completed_at AT TIME ZONE r.timezone)::date END AS day, q.eta_source,
               q.duration_s::float8 AS guess, q.duration_low_s AS low, q.duration_high_s AS high, t.customer_id,
               extract(epoch FROM t.completed_at - t.started_at)::float8 AS real
        FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id JOIN hail.quotes q ON q.id = t.quote_id
        WHERE t.requested_at >= from_time - hail.longest_ahead() AND t.requested_at < to_time AND t.state = 'completed'
          AND t.completed_at >= from_time AND t.completed_at < to_time AND (area_id IS NULL OR t.region_id = area_id)
          AND t.completed_at > t.started_at
          -- driven as quoted: no stops on the way, the same destination all the way
          AND q.stops IS NULL AND t.destination_changes = 0
    )
    SELECT e.code, e.day, e.eta_source, e.trips, e.guess, e.real, e.bias, e.parts[1], e.parts[2], e.mape, e.rmsle, e.coverage, e.below,
           e.above, e.width
    FROM (SELECT min(r.code) AS code, d.day, d.eta_source, count(*) AS trips, avg(d.guess) AS guess, avg(d.real) AS real,
                 avg(d.guess - d.real) AS bias, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY abs(d.guess - d.real)) AS parts,
                 avg(abs(d.guess - d.real) / d.real) AS mape, sqrt(avg((ln(d.guess + 1) - ln(d.real + 1)) ^ 2)) AS rmsle,
                 avg((d.real BETWEEN d.low AND d.high)::integer)::float8 AS coverage, avg((d.real < d.low)::integer)::float8 AS below,
                 avg((d.real > d.high)::integer)::float8 AS above, avg(d.high - d.low)::float8 AS width
          FROM driven d JOIN hail.regions r ON r.id = d.region_id
          GROUP BY d.region_id, d.day, d.eta_source HAVING cardinality(hail.few_of(d.customer_id)) = 5) e
    ORDER BY 1, 2, 3;
END
$$;
COMMENT ON FUNCTION hail.eta_accuracy(text, timestamptz, timestamptz, boolean) IS
'How long trips completed in a region (NULL: each) from a time to another took (from start to completion) against what was quoted. region_code; day: by_day, in the region''s time; source of the quote''s duration; trips (those with stops on the way or whose destination was changed are left out); quoted_mean_s, driven_mean_s; bias_s: quoted less driven, mean; abs_error_p50_s, abs_error_p90_s: median and 90th percentile of the error; mape: mean of error over time driven; rmsle: root of the mean square of ln(quoted + 1) - ln(driven + 1); coverage: share of trips within the quoted interval (meant to be 0.8), below and above it; interval_mean_s: its mean width. Left out below five customers; from_time and to_time are moved outward to whole hours, so that two calls differ by the trips of an hour at least. Administrators and analysts. Errors: invalid_value, not_found (region).';

CREATE FUNCTION hail.revenue_by_class(region text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (region_code text, day date, service_class text, trips bigint, km float8, price bigint, waiting bigint, commission bigint,
               driver_earnings bigint, price_mean float8, surge_mean float8, surged_trips bigint, currency text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    area_id smallint := hail.figures_region(region, from_time, to_time, '400 days');
BEGIN
    SELECT h.* INTO from_time, to_time FROM hail.hours_around(from_time, to_time) h;
    RETURN QUERY
    SELECT r.code, (t.completed_at AT TIME ZONE r.timezone)::date AS day, t.service_class, count(*), sum(t.distance_m) / 1000.0::float8,
           sum(t.price)::bigint, sum(t.waiting_amount)::bigint, sum(hail.commission(t.price, t.commission_bp))::bigint,
           sum(t.price - hail.commission(t.price, t.commission_bp))::bigint, avg(t.price)::float8, avg(t.surge)::float8,
           count(*) FILTER (WHERE t.surge > 1), min(r.currency)
    FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id
    WHERE t.requested_at >= from_time - hail.longest_ahead() AND t.requested_at < to_time AND t.state = 'completed'
      AND t.completed_at >= from_time AND t.completed_at < to_time AND (area_id IS NULL OR t.region_id = area_id)
    GROUP BY r.code, 2, t.service_class
    HAVING cardinality(hail.few_of(t.customer_id)) = 5 AND cardinality(hail.few_of(t.driver_id)) = 5 ORDER BY 1, 2, 3;
END
$$;
COMMENT ON FUNCTION hail.revenue_by_class(text, timestamptz, timestamptz) IS
'What the trips completed in a region (NULL: each) from a time to another brought, by day and class. region_code; day: in the region''s time; service_class; trips; km: their road distance; price: what customers paid, waiting included; waiting: of that; commission: the platform''s part; driver_earnings: the drivers''; price_mean; surge_mean; surged_trips: with a surge above 1; money in minor units of currency. Left out below five customers or five drivers; from_time and to_time are moved outward to whole hours, so that two calls differ by the trips of an hour at least. Administrators and analysts. Errors: invalid_value, not_found (region).';

GRANT EXECUTE ON FUNCTION hail.price_per_km(text, timestamptz, timestamptz, text, float8, boolean),
        hail.surge_by_cell(text, timestamptz, timestamptz), hail.acceptance_by_surge(text, timestamptz, timestamptz),
        hail.acceptance_by_price(text, timestamptz, timestamptz, integer), hail.earnings_distribution(text, timestamptz, timestamptz),
        hail.eta_accuracy(text, timestamptz, timestamptz, boolean), hail.revenue_by_class(text, timestamptz, timestamptz)
    TO hail_admin, hail_analyst;
