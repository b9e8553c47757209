-- The road network of a region: loading, routes over it where pgRouting is there, straight lines where it isn't.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY default
\set one_km 0.008993216
SELECT hail.set_clock('2013-11-20 09:00+00');  -- a Wednesday, 10:00 in Berlin
SELECT code FROM hail.create_region('roads', 'Roads', 'EUR', 'Europe/Berlin', ST_MakeEnvelope(129, -1, 131, 1, 4326));
UPDATE hail.regions SET distance_factor = 1.5, speed_kmh = 54, cooldown = '0' WHERE code = 'roads';
SELECT hail.load_sample_fares('roads');
CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    field text; hint text; state text; detail text;
BEGIN
    EXECUTE call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME, hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', (SELECT e.code FROM hail.error_codes() e WHERE e.sqlstate = state), nullif(field, ''), SQLERRM, nullif(hint, ''), nullif(detail, ''));
END $$;

-- In kilometres east and north of 0, 130: 1, 2 and 3 along the equator, 4 north of 2, 5 where no road leads, 6 far away.
-- Seconds are `base` + the hour on weekdays, 100 more on Saturday, 200 more on Sunday, 0 in hour `closed`.
CREATE TEMP TABLE nodes (n integer, line text);
INSERT INTO nodes VALUES (0, 'node_id,lat,lng');
INSERT INTO nodes SELECT id, format('%s,%s,%s', id, north * :one_km, 130 + east * :one_km)
FROM (VALUES (1, 0, 0), (2, 1, 0), (3, 2, 0), (4, 1, 1), (5, 3, 3), (6, 1, 20)) n (id, east, north);
CREATE TEMP TABLE ways (source integer, target integer, metres integer, base integer, closed integer);
INSERT INTO ways VALUES (1, 2, 1000, 100, 12), (2, 1, 1000, 100, 12), (2, 3, 1000, 50, NULL), (3, 4, 1450, 200, NULL),
    (4, 2, 1000, 100, NULL), (1, 6, 20100, 2000, NULL), (6, 2, 20000, 2000, NULL);
CREATE FUNCTION pg_temp.road_lines() RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(line ORDER BY n, m) FROM (
        SELECT 0, 0, 'from_node,to_node,length_m,' || string_agg(d || '_' || lpad(h::text, 2, '0'), ',' ORDER BY n, h)
        FROM unnest('{week,sat,sun}'::text[]) WITH ORDINALITY x (d, n), generate_series(0, 23) h
        UNION ALL
        SELECT source, target, concat_ws(',', source, target, metres, string_agg(
            CASE WHEN h = closed THEN 0 ELSE base + day + h END::text, ',' ORDER BY day, h))
        FROM ways, unnest('{0,100,200}'::integer[]) day, generate_series(0, 23) h GROUP BY source, target, metres) l (n, m, line)
$$;
CREATE FUNCTION pg_temp.node_lines() RETURNS text[] LANGUAGE sql AS $$ SELECT array_agg(line ORDER BY n) FROM nodes $$;
-- Routes between places given in kilometres, lines too.
CREATE FUNCTION pg_temp.way(from_east float8, from_north float8, to_east float8, to_north float8, at timestamptz DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' | ', source, distance_m || ' m', duration_s || ' s',
                     ST_AsText(ST_SnapToGrid(ST_TransScale(geometry, -130, 0, 1 / 0.008993216, 1 / 0.008993216), 0.1)))
    FROM hail.route(from_north * 0.008993216, 130 + from_east * 0.008993216, to_north * 0.008993216, 130 + to_east * 0.008993216, at)
$$;

-- Without a network: a straight line, by the region's figures.
SELECT pg_temp.way(0, 0, 2, 0);
SELECT pg_temp.refusal($$SELECT hail.set_road_network('roads', true)$$);

-- Loading needs no pgRouting, using does.
SELECT nodes, roads, time_factor, max_access_m, loaded_at FROM hail.load_roads('roads', pg_temp.node_lines(), pg_temp.road_lines());
SELECT id, source, target, length_m, seconds[1:3] AS week, seconds[25:27] AS saturday, seconds[49:51] AS sunday
FROM hail.roads r JOIN ways USING (source, target) WHERE closed = 12 ORDER BY 1;
SELECT extname FROM pg_extension WHERE extname = 'pgrouting';
SELECT pg_temp.refusal($$SELECT hail.set_road_network('roads', true)$$);
SELECT pg_temp.way(0, 0, 2, 0);
-- Switched on before (a dump restored where pgRouting is missing): straight lines go on, and hail.check() says why.
UPDATE hail.regions SET road_network = true WHERE code = 'roads';
SELECT pg_temp.way(0, 0, 2, 0);
SELECT * FROM hail.check() WHERE area = 'roads';
UPDATE hail.regions SET road_network = false WHERE code = 'roads';

-- With pgRouting.
CREATE EXTENSION pgrouting;
SELECT pg_temp.way(0, 0, 2, 0);
SELECT nodes, roads FROM hail.set_road_network('roads', true);
SELECT road_network FROM hail.regions WHERE code = 'roads';
SELECT * FROM hail.check() WHERE area = 'roads';
SELECT pg_temp.way(0, 0, 2, 0) AS there;
SELECT source, distance_m, duration_s, low_s < duration_s AND duration_s < high_s AS inside FROM hail.eta(0, 130, 0, 130 + 2 * :one_km);
SELECT pg_temp.way(2, 0, 0, 0) AS "back, around the one-way street";
SELECT pg_temp.way(0, 0, 2, 0, '2026-03-25 11:30+00') AS "hour 12: closed, far around";
SELECT pg_temp.way(2, 0, 0, 0, '2026-03-25 11:30+00') AS "hour 12: no way back";
SELECT pg_temp.way(0, 0, 3, 3) AS "no road leads there";
-- Ends off the network: 1.5 times 200 m at 15 m/s; 310 m is too far; both ends near one node.
SELECT pg_temp.way(0, -0.2, 2, 0) AS "200 m off";
SELECT pg_temp.way(0, 0, 2, -0.31) AS "310 m off";
SELECT pg_temp.way(0, 0, 0.1, 0.1) AS "one node";
-- The hour is the region's: before and after midnight, into Saturday, Sunday, Monday.
SELECT at, pg_temp.way(1, 0, 2, 0, at AT TIME ZONE 'Europe/Berlin')
FROM unnest('{2026-03-25 00:00, 2026-03-25 23:59:59, 2026-03-27 23:30, 2026-03-28 00:30, 2026-03-28 23:30, 2026-03-29 00:30,
              2026-03-29 23:30, 2026-03-30 00:30}'::timestamp[]) at;
-- The clock goes forward at 01:00 UTC on 29 March, back on 25 October: hour 2 is left out, hour 2 comes twice.
SELECT at, pg_temp.way(1, 0, 2, 0, at)
FROM unnest('{2026-03-29 00:59+00, 2026-03-29 01:00+00, 2026-10-24 23:30+00, 2026-10-25 00:30+00, 2026-10-25 01:30+00, 2026-10-25 02:30+00}'::timestamptz[]) at;

-- Another file, whose column 00 is hour 4: the network is replaced, the switch stays.
SELECT nodes, roads FROM hail.load_roads('roads', pg_temp.node_lines(), pg_temp.road_lines(), hour_shift => 4);
SELECT pg_temp.way(1, 0, 2, 0, '2026-03-25 02:00+00'), pg_temp.way(1, 0, 2, 0, '2026-03-25 03:00+00');
SELECT count(*) FROM hail.roads;
-- Travel times in one column, no lengths; blanks, quotes and CRLF do no harm.
SELECT nodes, roads FROM hail.load_roads('roads', ARRAY[E'Node_ID, Lat, Lon\r', E'7, 0.0, "130.0"\r', '8,0.0,130.01'], '{"to_node,from_node,seconds","8,7,90"}');
SELECT source, target, length_m, seconds[1], seconds[72] FROM hail.roads;
-- Loaded twice, the same.
SELECT nodes, roads FROM hail.load_roads('roads', pg_temp.node_lines(), pg_temp.road_lines());
SELECT nodes, roads FROM hail.load_roads('roads', pg_temp.node_lines(), pg_temp.road_lines());
SELECT pg_temp.way(0, 0, 2, 0) AS there;

-- What is wrong with a file is told by line; nothing is changed then.
CREATE FUNCTION pg_temp.load(nodes text, roads text, options text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.refusal(format('SELECT hail.load_roads(''roads'', string_to_array(%L, '';''), string_to_array(%L, '';'')%s)', nodes, roads, options))
$$;
\set good_nodes 'node_id,lat,lng;1,0,130;2,0,130.01'
SELECT pg_temp.load('node_id,lat,lng;1,0,130;2,91,130;x,0,130;3,0,181;1,0,131;;4,1e400,130;5', 'from_node,to_node,seconds;1,9,5');
SELECT pg_temp.load(:'good_nodes',
    'from_node,to_node,length_m,seconds;1,2,5,5;2,1,5,-5;2,2,5,5;9,1,5,5;1,9,5,5;,1,5,5;1,2.5,5,5;1,2,0,5;1,2,nan,5;1,2,,5;1,2,5,99999;1,2,5,;1');
SELECT pg_temp.load(:'good_nodes', 'from_node,to_node;1,2'), pg_temp.load(:'good_nodes', 'a,b;1,2'), pg_temp.load('node_id,lat;1,2', 'a;b');
SELECT pg_temp.load('', ''), pg_temp.load(:'good_nodes', 'from_node,to_node,seconds'), pg_temp.load(:'good_nodes', 'from_node,to_node,seconds;');
SELECT pg_temp.load(:'good_nodes', 'from_node,to_node,seconds;1,2,5', ', hour_shift => 24');
SELECT pg_temp.refusal($$SELECT hail.load_roads('nowhere', '{a,b}', '{a,b}')$$), pg_temp.refusal($$SELECT hail.load_roads('roads', NULL, NULL)$$);
SELECT nodes, roads FROM hail.road_networks;
SELECT nodes, roads FROM hail.load_roads('roads', '{"node_id,lat,lng","1,0,130","2,0,130.01","3,0,200"}',
                                         '{"from_node,to_node,seconds","1,2,50","1,3,5"}', skip_bad => true);
SELECT pg_temp.load(:'good_nodes', 'from_node,to_node,seconds;1,3,5', ', skip_bad => true');

-- Figures of a network.
SELECT nodes, roads FROM hail.load_roads('roads', pg_temp.node_lines(), pg_temp.road_lines());
SELECT time_factor, max_access_m FROM hail.set_road_network('roads', true, 1.5, 320);
SELECT pg_temp.way(1, 0, 2, -0.31) AS "(60 + 31) x 1.5";
SELECT time_factor, max_access_m FROM hail.set_road_network('roads', true);
SELECT pg_temp.refusal(format('SELECT hail.set_road_network(%s)', args))
FROM unnest(ARRAY[$$'roads', NULL$$, $$'roads', true, 0$$, $$'roads', true, 'nan'$$, $$'roads', true, 1, 5$$, $$'nowhere', true$$]) args;
SELECT pg_temp.refusal(format('SELECT * FROM hail.route(%s)', args))
FROM unnest(ARRAY['0, NULL, 0, 130', '0, 130, 0, ''nan''', '0, 10, 0, 130', '0, 130, 0, 130.01, ''infinity''']) args;

-- time_factor from completed trips: they took 120 s where the route says 90 s, with a factor of 1.5.
SELECT pg_temp.refusal($$SELECT hail.learn_road_factor('roads')$$);
SELECT id AS customer FROM hail.register_user('+491910000001', 'Rita', 'customer') \gset
SELECT id AS driver FROM hail.register_user('+491910000002', 'Dora', 'driver') \gset
SELECT id AS analyst FROM hail.register_user('+491910000003', 'Ana', 'analyst') \gset
SELECT eta_source, distance_m, duration_s FROM hail.create_quote(:'customer', 0, 130, 0, 130 + 2 * :one_km, 'economy');
SELECT count(*) FROM hail.register_driver(:'driver', 'roads', '{economy}'), hail.approve_driver(:'driver'),
    hail.add_vehicle(:'driver', 'B-1', 'Sedan', 'blue', 2022, 4);
SELECT online FROM hail.set_availability(:'driver', true, 0, 130 + :one_km);
CREATE PROCEDURE pg_temp.drive(trips integer, driven interval) LANGUAGE plpgsql AS $$
DECLARE
    customer uuid := (SELECT id FROM hail.users WHERE phone = '+491910000001');
    driver uuid := (SELECT id FROM hail.users WHERE phone = '+491910000002');
    trip uuid;
BEGIN
    FOR n IN 1..trips LOOP
        PERFORM hail.report_location(driver, 0, 130 + 0.008993216);
        COMMIT;
        trip := (hail.request_trip((hail.create_quote(customer, 0, 130 + 0.008993216, 0, 130 + 0.017986432, 'economy')).id,
                                   'cash', idempotency_key => hail.uuid7()::text)).id;
        PERFORM hail.accept_offer(trip, driver), hail.arrive(trip);
        PERFORM hail.start_trip(trip, (hail.get_trip(trip)).pickup_code);
        PERFORM hail.advance_clock(driven);
        PERFORM hail.complete_trip(trip);
        COMMIT;
    END LOOP;
END $$;
CALL pg_temp.drive(29, '120 seconds');
SELECT pg_temp.refusal($$SELECT hail.learn_road_factor('roads')$$);
CALL pg_temp.drive(1, '120 seconds');
SELECT round(hail.learn_road_factor('roads')::numeric, 3) AS learnt;
SELECT pg_temp.way(1, 0, 2, 0) AS "two minutes";
SELECT round(hail.learn_road_factor('roads')::numeric, 2) AS "the same again";
SELECT pg_temp.refusal($$SELECT hail.learn_road_factor('roads', 5)$$), pg_temp.refusal($$SELECT hail.learn_road_factor('nowhere')$$);

-- Who may: everybody routes, administrators load and switch, analysts read; nobody without a token.
SELECT hail.issue_token(:'customer', '1 hour') AS customer_token, hail.issue_token(:'analyst', '1 hour') AS analyst_token \gset
BEGIN;
SET LOCAL ROLE hail_customer;
SELECT pg_temp.refusal('SELECT * FROM hail.route(0, 130, 0, 130.01)');
RESET ROLE;
SELECT role FROM hail.authenticate(:'customer_token');
SELECT source, distance_m FROM hail.route(0, 130, 0, 130 + :one_km);
SELECT pg_temp.refusal(call)
FROM unnest(ARRAY['SELECT count(*) FROM hail.roads', 'SELECT count(*) FROM hail.road_nodes', $$SELECT hail.set_road_network('roads', false)$$,
                  $$SELECT hail.load_roads('roads', '{}', '{}')$$, $$SELECT hail.learn_road_factor('roads')$$, 'SELECT * FROM hail.check_roads()',
                  'SELECT hail.road_route(1::smallint, 0, 0, 0, 0)']) call;
COMMIT;
BEGIN;
SELECT role FROM hail.authenticate(:'analyst_token');
SELECT count(*) FROM hail.roads;
SELECT pg_temp.refusal($$SELECT hail.set_road_network('roads', false)$$);
COMMIT;

-- Switched off, and without pgRouting again: straight lines.
SELECT nodes, roads FROM hail.set_road_network('roads', false);
SELECT pg_temp.way(0, 0, 2, 0);
SELECT nodes FROM hail.set_road_network('roads', true);
DROP EXTENSION pgrouting;
SELECT pg_temp.way(0, 0, 2, 0);
-- In a schema of its own: once hail_owner may use that.
CREATE SCHEMA routing;
CREATE EXTENSION pgrouting SCHEMA routing;
SELECT pg_temp.way(0, 0, 2, 0);
GRANT USAGE ON SCHEMA routing TO hail_owner;
SELECT pg_temp.way(0, 0, 2, 0);
DROP EXTENSION pgrouting;
DROP SCHEMA routing;
SELECT nodes FROM hail.set_road_network('roads', false);
SELECT online FROM hail.set_availability(:'driver', false);
