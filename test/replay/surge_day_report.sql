-- What surge_day.sql leaves behind, told: intervals of surge, a summary, GeoJSON. From hail.surge_history and hail.quotes alone.
\pset footer off
-- A hexagon's surge from one change to the next; until NULL: it still has it.
CREATE VIEW sim.surges AS
SELECT * FROM (
    SELECT h.cell, h.hexagon_size_m, h.at, lead(h.at) OVER (PARTITION BY h.region_id, h.cell ORDER BY h.at) AS until, h.new_multiplier AS multiplier
    FROM hail.surge_history h) s
WHERE multiplier > 1;

CREATE FUNCTION sim.geojson() RETURNS text LANGUAGE sql AS $$
    SELECT '{"type":"FeatureCollection","features":[' || E'\n' || coalesce(string_agg(json_build_object('type', 'Feature',
        'properties', json_build_object('time', to_char(s.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            'until', to_char(coalesce(s.until, hail.clock()) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'multiplier', s.multiplier),
        'geometry', ST_AsGeoJSON(hail.hexagon(s.cell, s.hexagon_size_m), 5)::json)::text, E',\n' ORDER BY s.at, s.cell), '') || E'\n]}'
    FROM sim.surges s
$$;

CREATE FUNCTION sim.jumps() RETURNS SETOF hail.surge_history LANGUAGE sql AS $$
    -- values of the ratio table in order, those past its end in halves: no change skips one
    SELECT h.* FROM hail.surge_history h
    WHERE EXISTS (SELECT FROM hail.surge_steps s WHERE s.region_id IS NULL
        AND s.multiplier > least(h.old_multiplier, h.new_multiplier) AND s.multiplier < greatest(h.old_multiplier, h.new_multiplier))
$$;

CREATE FUNCTION sim.early_falls() RETURNS SETOF hail.surge_history LANGUAGE sql AS $$
    SELECT h.* FROM hail.surge_history h WHERE h.new_multiplier < h.old_multiplier AND EXISTS (
        SELECT FROM hail.surge_history b WHERE b.cell = h.cell AND b.new_multiplier > b.old_multiplier
            AND b.at < h.at AND b.at > h.at - current_setting('hail.surge_hold')::interval)
$$;

CREATE FUNCTION sim.other_quotes() RETURNS TABLE (id uuid, at timestamptz, quoted numeric, shown numeric) LANGUAGE sql AS $$
    SELECT q.id, q.created_at, q.surge, coalesce(h.new_multiplier, 1) FROM hail.quotes q JOIN hail.regions r ON r.id = q.region_id
    LEFT JOIN LATERAL (SELECT x.new_multiplier FROM hail.surge_history x
        WHERE x.cell = (hail.hexagon_at(q.pickup_lat, q.pickup_lng, r.hexagon_size_m)).cell AND x.at <= q.created_at ORDER BY x.at DESC LIMIT 1) h ON true
    WHERE q.surge <> coalesce(h.new_multiplier, 1)
$$;

CREATE FUNCTION sim.title() RETURNS text LANGUAGE sql AS $$
    SELECT format('Surge in %s, %s', r.name, to_char((min(q.at) + (max(q.at) - min(q.at)) / 2) AT TIME ZONE r.timezone, 'FMDay, FMDD FMMonth YYYY'))
    FROM sim.requests q, hail.regions r GROUP BY r.name, r.timezone
$$;

CREATE FUNCTION sim.note_of_sources(scenario text, seed integer) RETURNS text LANGUAGE sql AS $$
    SELECT CASE scenario WHEN 'nyc' THEN format('Real: the %s pickups of two Uber bases that day, each at its place and minute. '
            'Simulated: %s drivers, whose shifts follow the pickups of other days; customers who only look; destinations and durations are '
            'those of taxi trips of 2016 that began near at that hour. ', (SELECT count(*) FROM sim.requests WHERE books), (SELECT count(*) FROM sim.drivers))
        ELSE 'An invented city. ' END || format('Prices, matching and surge: the engine itself (seed %s).', seed)
$$;

\echo
\echo 'By hour: requests, quotes with surge, mean and highest multiplier of quotes, hexagons with surge at some time, served, median wait'
WITH hours AS (SELECT generate_series(date_trunc('hour', min(at) FILTER (WHERE books)), max(at), '1 hour') AS h FROM sim.requests)
SELECT to_char(h AT TIME ZONE r.timezone, 'HH24:MI') AS hour, q.asked, q.share || ' %' AS surged, q.mean, q.highest, s.cells, t.served || ' %' AS served, t.wait_s
FROM hours, hail.regions r,
     LATERAL (SELECT count(*) AS asked, round(100.0 * count(*) FILTER (WHERE q.surge > 1) / nullif(count(*), 0), 1) AS share, round(avg(q.surge), 3) AS mean,
                     max(q.surge) AS highest FROM hail.quotes q WHERE q.created_at >= h AND q.created_at < h + interval '1 hour') q,
     LATERAL (SELECT count(DISTINCT s.cell) AS cells FROM sim.surges s WHERE s.at < h + interval '1 hour' AND coalesce(s.until, 'infinity') > h) s,
     LATERAL (SELECT round(100.0 * count(*) FILTER (WHERE x.state = 'completed') / nullif(count(*), 0), 1) AS served,
                     round(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM x.arrived_at - x.requested_at))) AS wait_s
              FROM hail.trips x WHERE x.requested_at >= h AND x.requested_at < h + interval '1 hour') t
ORDER BY h;

CREATE VIEW sim.summary AS
WITH spells AS ( -- from leaving 1.0 to coming back
    SELECT cell, sum(least(coalesce(until, hail.clock()), hail.clock()) - at) AS lasted, count(*) AS changes
    FROM (SELECT *, count(*) FILTER (WHERE fresh) OVER (PARTITION BY cell ORDER BY at) AS spell
          FROM (SELECT s.*, lag(s.until) OVER (PARTITION BY s.cell ORDER BY s.at) IS DISTINCT FROM s.at AS fresh FROM sim.surges s) x) y
    GROUP BY cell, spell)
SELECT (SELECT count(*) FROM hail.quotes) AS quotes,
       (SELECT round(100.0 * count(*) FILTER (WHERE surge > 1) / count(*), 1) FROM hail.quotes) AS surged_pct,
       (SELECT round(avg(surge), 3) FROM hail.quotes) AS mean_multiplier, (SELECT round(avg(surge) FILTER (WHERE surge > 1), 2) FROM hail.quotes) AS mean_of_surged,
       (SELECT max(surge) FROM hail.quotes) AS highest,
       (SELECT count(*) FROM spells) AS spells, (SELECT count(DISTINCT cell) FROM sim.surges) AS hexagons,
       (SELECT round(extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY lasted)) / 60) FROM spells) AS median_spell_min,
       (SELECT round(extract(epoch FROM max(lasted)) / 60) FROM spells) AS longest_spell_min,
       (SELECT count(*) FROM hail.trips) AS trips, (SELECT count(*) FROM hail.trips WHERE state = 'completed') AS completed,
       (SELECT count(*) FROM hail.trips WHERE state = 'no_drivers') AS no_driver,
       (SELECT count(*) FROM sim.drivers) AS drivers;
\echo
SELECT format(E'%s quotes, %s %% with surge; multiplier of a quote %s on average (%s where there was surge, at most %s)\n%s spells of surge in %s hexagons, half of them over within %s min, the longest %s min\n%s trips asked for, %s completed, %s found no driver; %s drivers',
              quotes, surged_pct, mean_multiplier, mean_of_surged, highest, spells, hexagons, median_spell_min, longest_spell_min, trips, completed, no_driver, drivers) FROM sim.summary;
\echo
SELECT what, count FROM sim.outcomes ORDER BY count DESC;
