-- 53_pricing_roads: the road network of a region, if it has one, and routes over it (pgRouting, if it is installed)

CREATE TABLE hail.road_networks (
    region_id    smallint PRIMARY KEY REFERENCES hail.regions (id),
    nodes        integer NOT NULL,
    roads        integer NOT NULL,
    time_factor  float8 NOT NULL DEFAULT 1 CHECK (time_factor BETWEEN 0.1 AND 10),
    max_access_m integer NOT NULL DEFAULT 300 CHECK (max_access_m BETWEEN 10 AND 5000),
    loaded_at    timestamptz NOT NULL
);
COMMENT ON TABLE hail.road_networks IS
'Regions that have a road network loaded. regions.road_network says whether it is used.';
COMMENT ON COLUMN hail.road_networks.time_factor IS
'True travel time over the network''s; hail.learn_road_factor() takes it from completed trips.';
COMMENT ON COLUMN hail.road_networks.max_access_m IS
'A place farther than this from the nearest node (metres, great circle) is not on the network.';

CREATE TABLE hail.road_nodes (
    region_id smallint NOT NULL,
    id        bigint NOT NULL,
    place     public.geometry(Point, 4326) NOT NULL,
    PRIMARY KEY (region_id, id)
);
CREATE INDEX road_nodes_place ON hail.road_nodes USING gist (place);
COMMENT ON TABLE hail.road_nodes IS 'Where roads meet; written by hail.load_roads() alone.';

CREATE TABLE hail.roads (
    region_id smallint NOT NULL,
    id        integer NOT NULL,
    source    bigint NOT NULL,
    target    bigint NOT NULL,
    length_m  real NOT NULL CHECK (length_m > 0),
    seconds   smallint[] NOT NULL CHECK (cardinality(seconds) = 72 AND array_position(seconds, NULL) IS NULL AND 0 <= ALL (seconds)),
    shape     public.geometry(LineString, 4326) NOT NULL,
    PRIMARY KEY (region_id, id)
);
CREATE INDEX roads_shape ON hail.roads USING gist (shape);
-- No references to nodes: hail.load_roads(), the only writer, replaces both tables' rows of a region together.
COMMENT ON TABLE hail.roads IS 'Roads of a region''s network, each in one direction; written by hail.load_roads() alone.';
COMMENT ON COLUMN hail.roads.seconds IS
'Travel time by local hour: 24 of a weekday, 24 of Saturday, 24 of Sunday; 0: closed in that hour.';

GRANT SELECT ON hail.road_networks, hail.road_nodes, hail.roads TO hail_admin, hail_analyst;
CREATE POLICY road_networks_readers ON hail.road_networks FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY road_nodes_readers ON hail.road_nodes FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY roads_readers ON hail.roads FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

-- Routes

CREATE FUNCTION hail.routing_schema() RETURNS name
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
            WHERE e.extname = 'pgrouting' AND has_schema_privilege('hail_owner', n.oid, 'USAGE'));
END
$$;
COMMENT ON FUNCTION hail.routing_schema() IS 'The schema pgRouting is in; NULL when this database does not have it, or where hail_owner may not use it. Internal.';

CREATE FUNCTION hail.road_profile_index(at timestamptz, timezone text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    local timestamp := at AT TIME ZONE timezone;
BEGIN
    RETURN CASE extract(isodow FROM local) WHEN 6 THEN 24 WHEN 7 THEN 48 ELSE 0 END + extract(hour FROM local) + 1;
END
$$;
COMMENT ON FUNCTION hail.road_profile_index(timestamptz, text) IS
'Subscript in roads.seconds of the local hour at a time; NULL for infinite ones. Internal.';

CREATE FUNCTION hail.road_node_near(region_id smallint, lat float8, lng float8, max_m float8,
                                    OUT node bigint, OUT place public.geometry, OUT metres float8) RETURNS record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here public.geometry := public.ST_SetSRID(public.ST_MakePoint(lng, lat), 4326);
    high float8 := max_m / 111000; -- degrees of latitude, a little more than max_m
    wide float8 := high / greatest(cos(radians(lat)), 0.01);
BEGIN
    SELECT n.id, n.place, public.ST_DistanceSphere(n.place, here) INTO node, place, metres
    FROM hail.road_nodes n
    WHERE n.region_id = road_node_near.region_id
      AND n.place OPERATOR(public.&&) public.ST_Expand(here, wide, high)
    ORDER BY 3, 1 LIMIT 1;
    IF metres > max_m THEN
        node := NULL;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.road_node_near(smallint, float8, float8, float8) IS
'The nearest node of a region''s network within max_m metres, and how far it is; node is NULL when there is none. Internal.';

CREATE FUNCTION hail.road_path(engine name, region_id smallint, hour_index integer, source bigint, target bigint,
                               box public.geometry, OUT metres float8, OUT seconds float8, OUT shape public.geometry)
RETURNS record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_roads text := format('SELECT id, source, target, seconds[%s] AS cost FROM hail.roads WHERE region_id = %s AND seconds[%1$s] > 0',
                              hour_index, region_id);
BEGIN
    IF box IS NOT NULL THEN
        open_roads := open_roads || format(' AND shape OPERATOR(public.&&) %L::public.geometry', box);
    END IF;
    -- pgRouting's functions call each other by unqualified names. Undone when this function ends.
    PERFORM set_config('search_path', format('pg_catalog, %I, pg_temp', engine), true);
    -- LIMIT: roads are looked up one by one, not all of them joined.
    EXECUTE format('SELECT sum(r.length_m), sum(p.cost), public.ST_MakeLine(r.shape ORDER BY p.path_seq)
                    FROM %I.pgr_dijkstra($1, $2, $3, true) p,
                         LATERAL (SELECT x.length_m, x.shape FROM hail.roads x WHERE x.region_id = $4 AND x.id = p.edge LIMIT 1) r', engine)
        INTO metres, seconds, shape USING open_roads, source, target, region_id;
END
$$;
COMMENT ON FUNCTION hail.road_path(name, smallint, integer, bigint, bigint, public.geometry) IS
'Quickest way from node to node over the roads that are open in an hour and touch a box (NULL: all of them); NULLs when there is none. Internal.';

CREATE FUNCTION hail.road_route(region_id smallint, from_lat float8, from_lng float8, to_lat float8, to_lng float8,
                                at timestamptz DEFAULT NULL, OUT distance_m integer, OUT duration_s integer,
                                OUT geometry public.geometry) RETURNS record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    engine name := hail.routing_schema();
    network record;
    hour_index integer;
    ends public.geometry;
    start record;
    finish record;
    margin float8;
    path record;
    access_m float8;
BEGIN
    IF engine IS NULL THEN
        RETURN;
    END IF;
    SELECT r.timezone, r.distance_factor, r.speed_kmh, n.time_factor, n.max_access_m INTO network
    FROM hail.regions r JOIN hail.road_networks n ON n.region_id = r.id
    WHERE r.id = road_route.region_id AND r.road_network;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    hour_index := hail.road_profile_index(coalesce(at, hail.clock()), network.timezone);
    SELECT * INTO start FROM hail.road_node_near(region_id, from_lat, from_lng, network.max_access_m);
    SELECT * INTO finish FROM hail.road_node_near(region_id, to_lat, to_lng, network.max_access_m);
    IF hour_index IS NULL OR start.node IS NULL OR finish.node IS NULL OR start.node = finish.node THEN
        RETURN;
    END IF;
    -- The way mostly stays near: with a fifth of the distance and 0.002 degrees around, 16 of 500 Manhattan routes
    -- became longer, by 4 % on average, and four fifths of the time were saved.
    ends := public.ST_MakeLine(start.place, finish.place);
    margin := 0.002 + 0.2 * public.ST_Length(ends);
    path := hail.road_path(engine, region_id, hour_index, start.node, finish.node,
                           public.ST_Expand(public.ST_Envelope(ends), margin / greatest(cos(radians(from_lat)), 0.01), margin));
    IF path.seconds IS NULL THEN
        path := hail.road_path(engine, region_id, hour_index, start.node, finish.node, NULL);
    END IF;
    IF path.seconds IS NULL THEN
        RETURN;
    END IF;
    access_m := (start.metres + finish.metres) * network.distance_factor;
    distance_m := round(path.metres + access_m);
    duration_s := greatest(1, round((path.seconds + access_m * 3.6 / network.speed_kmh) * network.time_factor));
    geometry := public.ST_RemoveRepeatedPoints(public.ST_MakeLine(ARRAY[
        public.ST_SetSRID(public.ST_MakePoint(from_lng, from_lat), 4326), path.shape,
        public.ST_SetSRID(public.ST_MakePoint(to_lng, to_lat), 4326)]));
END
$$;
COMMENT ON FUNCTION hail.road_route(smallint, float8, float8, float8, float8, timestamptz) IS
'Quickest way over a region''s road network at a time (NULL: now), places valid ones: metres, seconds, line (WGS84). From each place to its nearest node at the region''s own figures; all of it times the network''s time_factor. NULLs when the region has no network in use, pgRouting is not installed, an end is farther than max_access_m from every node, both ends have the same one, or no open road leads there. Internal.';

CREATE FUNCTION hail.route(from_lat float8, from_lng float8, to_lat float8, to_lng float8, at timestamptz DEFAULT NULL,
                           OUT distance_m integer, OUT duration_s integer, OUT source text, OUT geometry public.geometry)
RETURNS record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    region_id smallint;
    setting_out timestamptz := coalesce(at, hail.clock());
BEGIN
    PERFORM hail.require_anybody();
    PERFORM hail.check_way(from_lat, from_lng, to_lat, to_lng, 0);
    IF NOT isfinite(at) THEN
        PERFORM hail.fail('invalid_value', 'at must be finite', 'at');
    END IF;
    region_id := hail.region_id_at(from_lat, from_lng);
    IF region_id IS NULL THEN
        PERFORM hail.fail('outside_service_area', 'the start is outside every service area', 'from_lat');
    END IF;
    source := 'road';
    SELECT r.distance_m, r.duration_s, r.geometry INTO distance_m, duration_s, geometry
    FROM hail.road_route(region_id, from_lat, from_lng, to_lat, to_lng, setting_out) r;
    IF duration_s IS NULL THEN
        SELECT g.distance_m, g.duration_s, g.source INTO distance_m, duration_s, source
        FROM hail.guess_eta(region_id, from_lat, from_lng, to_lat, to_lng, setting_out, false) g;
        geometry := public.ST_SetSRID(public.ST_MakeLine(public.ST_MakePoint(from_lng, from_lat), public.ST_MakePoint(to_lng, to_lat)), 4326);
    END IF;
END
$$;
COMMENT ON FUNCTION hail.route(float8, float8, float8, float8, timestamptz) IS
'The way from place to place at a time (NULL: now), for a map: road metres, seconds, what answered, and a line (WGS84). source road: over the region''s road network; else a straight line with the estimate of hail.eta(). Errors: invalid_value, outside_service_area.';
GRANT EXECUTE ON FUNCTION hail.route(float8, float8, float8, float8, timestamptz)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

-- Loading a network

CREATE FUNCTION hail.csv_column(header text[], file text, VARIADIC names text[]) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place integer;
BEGIN
    SELECT min(array_position(header, n)) INTO place FROM unnest(names) n;
    IF place IS NULL AND names[1] <> '' THEN
        PERFORM hail.fail('invalid_value', format('%s has no column %s', file, names[1]), file,
                          'Its first line must name the columns, separated by commas.');
    END IF;
    RETURN place;
END
$$;
COMMENT ON FUNCTION hail.csv_column(text[], text, text[]) IS
'Where a header has the first of these names that it has; error that names the file when it has none, unless the first name is empty. Internal.';

CREATE FUNCTION hail.csv_fields(line text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN string_to_array(translate(line, E' \t\r"', ''), ',');
END
$$;
COMMENT ON FUNCTION hail.csv_fields(text) IS 'Fields of a line of numbers: blanks and quotes go. Internal.';

CREATE FUNCTION hail.parse_road_nodes(lines text[])
RETURNS TABLE (line integer, fault text, id bigint, place public.geometry)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    header text[] := hail.csv_fields(lower(lines[1]));
    id_at integer := hail.csv_column(header, 'nodes', 'node_id', 'id');
    lat_at integer := hail.csv_column(header, 'nodes', 'lat');
    lng_at integer := hail.csv_column(header, 'nodes', 'lng', 'lon');
BEGIN
    RETURN QUERY
    WITH raw AS (
        SELECT l.n::integer AS n, f[id_at] AS id, f[lat_at] AS lat, f[lng_at] AS lng
        FROM unnest(lines) WITH ORDINALITY l (text, n), LATERAL hail.csv_fields(l.text) f
        WHERE l.n > 1 AND l.text <> ''
    ), numbers AS MATERIALIZED (
        SELECT r.n, CASE WHEN r.id ~ '^\d{1,18}$' THEN r.id::bigint END AS id,
               CASE WHEN r.lat ~ '^-?\d{1,2}(\.\d{1,20})?$' THEN r.lat::float8 END AS lat,
               CASE WHEN r.lng ~ '^-?\d{1,3}(\.\d{1,20})?$' THEN r.lng::float8 END AS lng
        FROM raw r
    )
    SELECT m.n,
           CASE WHEN m.id IS NULL THEN 'node_id is not a whole number'
                WHEN abs(m.lat) <= 90 IS NOT TRUE THEN 'lat is not a number from -90 to 90'
                WHEN abs(m.lng) <= 180 IS NOT TRUE THEN 'lng is not a number from -180 to 180'
                WHEN row_number() OVER (PARTITION BY m.id ORDER BY m.n) > 1 THEN 'node_id was there before' END,
           m.id, public.ST_SetSRID(public.ST_MakePoint(m.lng, m.lat), 4326)
    FROM numbers m;
END
$$;
COMMENT ON FUNCTION hail.parse_road_nodes(text[]) IS
'Nodes of a network from the lines of a CSV file, and what is wrong with each line (fault; NULL: nothing). Internal.';

CREATE FUNCTION hail.parse_roads(region_id smallint, lines text[], hour_shift integer)
RETURNS TABLE (line integer, fault text, source bigint, target bigint, length_m float8, seconds smallint[],
               shape public.geometry)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    header text[] := hail.csv_fields(lower(lines[1]));
    source_at integer := hail.csv_column(header, 'roads', 'from_node', 'source');
    target_at integer := hail.csv_column(header, 'roads', 'to_node', 'target');
    length_at integer := hail.csv_column(header, 'roads', '', 'length_m', 'straight_line_m');
    always_at integer := hail.csv_column(header, 'roads', '', 'seconds');
    columns integer[];
BEGIN
    -- For each of the 72 local hours the column that has it.
    SELECT array_agg(coalesce(always_at, hail.csv_column(header, 'roads', day || '_' || lpad(mod(hour - hour_shift + 24, 24)::text, 2, '0')))
                     ORDER BY n, hour)
        INTO columns
    FROM unnest('{week,sat,sun}'::text[]) WITH ORDINALITY d (day, n), generate_series(0, 23) hour;
    RETURN QUERY
    WITH raw AS (
        SELECT l.n::integer AS n, f[source_at] AS source, f[target_at] AS target, f[length_at] AS length_m,
               ARRAY(SELECT f[c] FROM unnest(columns) WITH ORDINALITY u (c, o) ORDER BY o) AS seconds
        FROM unnest(lines) WITH ORDINALITY l (text, n), LATERAL hail.csv_fields(l.text) f
        WHERE l.n > 1 AND l.text <> ''
    ), numbers AS MATERIALIZED (
        SELECT r.n, CASE WHEN r.source ~ '^\d{1,18}$' THEN r.source::bigint END AS source,
               CASE WHEN r.target ~ '^\d{1,18}$' THEN r.target::bigint END AS target,
               CASE WHEN r.length_m ~ '^\d{1,7}(\.\d{1,20})?$' THEN r.length_m::float8 END AS length_m,
               CASE WHEN array_to_string(r.seconds, ',', '?') ~ '^\d{1,4}(,\d{1,4}){71}$' THEN r.seconds::smallint[] END AS seconds
        FROM raw r
    ), placed AS (
        SELECT m.*, public.ST_MakeLine(a.place, b.place) AS shape, a.id AS a, b.id AS b,
               coalesce(m.length_m, CASE WHEN length_at IS NULL THEN public.ST_DistanceSphere(a.place, b.place) END) AS metres
        FROM numbers m
        LEFT JOIN hail.road_nodes a ON a.region_id = parse_roads.region_id AND a.id = m.source
        LEFT JOIN hail.road_nodes b ON b.region_id = parse_roads.region_id AND b.id = m.target
    )
    SELECT p.n,
           CASE WHEN p.source IS NULL THEN 'from_node is not a whole number'
                WHEN p.target IS NULL THEN 'to_node is not a whole number'
                WHEN p.a IS NULL THEN 'from_node is no node'
                WHEN p.b IS NULL THEN 'to_node is no node'
                WHEN p.source = p.target THEN 'it ends where it begins'
                WHEN p.metres > 0 IS NOT TRUE THEN 'its length is not a positive number of metres'
                WHEN p.seconds IS NULL THEN 'a travel time is not a whole number of seconds from 0 to 9999' END,
           p.source, p.target, p.metres, p.seconds, p.shape
    FROM placed p;
END
$$;
COMMENT ON FUNCTION hail.parse_roads(smallint, text[], integer) IS
'Roads of a network whose nodes are stored, from the lines of a CSV file, and what is wrong with each line (fault; NULL: nothing). Internal.';

CREATE FUNCTION hail.load_roads(region text, nodes text[], roads text[], hour_shift integer DEFAULT 0,
                                skip_bad boolean DEFAULT false) RETURNS hail.road_networks
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place hail.regions;
    faults text[];
    more text[];
    stored hail.road_networks;
BEGIN
    PERFORM hail.require_admin();
    IF hour_shift IS NULL OR hour_shift NOT BETWEEN -23 AND 23 THEN
        PERFORM hail.fail('invalid_value', 'hour_shift must be between -23 and 23', 'hour_shift',
                          'Columns named _00 are the local hour hour_shift.');
    END IF;
    IF coalesce(cardinality(nodes), 0) < 2 OR coalesce(cardinality(roads), 0) < 2 THEN
        PERFORM hail.fail('invalid_value', 'nodes and roads need a header and at least one line each',
                          CASE WHEN coalesce(cardinality(nodes), 0) < 2 THEN 'nodes' ELSE 'roads' END);
    END IF;
    place := hail.locked_region(region);
    DELETE FROM hail.roads r WHERE r.region_id = place.id;
    DELETE FROM hail.road_nodes n WHERE n.region_id = place.id;
    -- ordered by place: neighbours share pages
    WITH parsed AS MATERIALIZED (SELECT * FROM hail.parse_road_nodes(nodes)),
         kept AS (INSERT INTO hail.road_nodes (region_id, id, place)
                  SELECT place.id, p.id, p.place FROM parsed p WHERE p.fault IS NULL ORDER BY p.place)
    SELECT array_agg(format('nodes, line %s: %s', p.line, p.fault) ORDER BY p.line) INTO faults
    FROM parsed p WHERE p.fault IS NOT NULL;
    WITH parsed AS MATERIALIZED (SELECT * FROM hail.parse_roads(place.id, roads, hour_shift)),
         kept AS (INSERT INTO hail.roads (region_id, id, source, target, length_m, seconds, shape)
                  SELECT place.id, p.line - 1, p.source, p.target, p.length_m, p.seconds, p.shape
                  FROM parsed p WHERE p.fault IS NULL ORDER BY p.shape)
    SELECT array_agg(format('roads, line %s: %s', p.line, p.fault) ORDER BY p.line) INTO more
    FROM parsed p WHERE p.fault IS NOT NULL;
    faults := faults || more;
    IF cardinality(faults) > 0 AND skip_bad IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', format('%s line(s) of the network are wrong; nothing was changed', cardinality(faults)),
                          CASE WHEN faults[1] LIKE 'nodes%' THEN 'nodes' ELSE 'roads' END,
                          'skip_bad => true loads the others.', array_to_string(faults[1:20], E'\n'));
    END IF;
    FOR n IN 1..least(coalesce(cardinality(faults), 0), 20) LOOP
        RAISE WARNING 'left out: %', faults[n];
    END LOOP;
    IF cardinality(faults) > 20 THEN
        RAISE WARNING 'left out: % lines in all', cardinality(faults);
    END IF;
    INSERT INTO hail.road_networks AS n (region_id, nodes, roads, loaded_at)
    VALUES (place.id, (SELECT count(*) FROM hail.road_nodes x WHERE x.region_id = place.id),
            (SELECT count(*) FROM hail.roads x WHERE x.region_id = place.id), hail.clock())
    ON CONFLICT ON CONSTRAINT road_networks_pkey
        DO UPDATE SET nodes = excluded.nodes, roads = excluded.roads, loaded_at = excluded.loaded_at
    RETURNING n.* INTO stored;
    IF stored.roads = 0 THEN
        PERFORM hail.fail('invalid_value', 'the network has no road', 'roads', NULL, array_to_string(faults[1:20], E'\n'));
    END IF;
    RETURN stored;
END
$$;
COMMENT ON FUNCTION hail.load_roads(text, text[], text[], integer, boolean) IS
'Replace a region''s road network by the lines of two CSV files with headers: nodes (node_id, lat, lng) and roads, one line a direction (from_node, to_node, length_m or straight_line_m if known, and whole seconds: one column `seconds`, or week_00..week_23, sat_00.., sun_00..; 0: closed). Column _H is the local hour H + hour_shift. Wrong lines: an error that lists them by number (DETAIL), or with skip_bad warnings. scripts/load_roads.sh calls it. Administrators.';

CREATE FUNCTION hail.set_road_network(region text, "on" boolean, time_factor float8 DEFAULT NULL, max_access_m integer DEFAULT NULL)
RETURNS hail.road_networks
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place hail.regions;
    stored hail.road_networks;
BEGIN
    PERFORM hail.require_admin();
    IF "on" IS NULL THEN
        PERFORM hail.fail('invalid_value', 'on must be true or false', 'on');
    END IF;
    IF NOT time_factor BETWEEN 0.1 AND 10 THEN
        PERFORM hail.fail('invalid_value', 'time_factor must be between 0.1 and 10', 'time_factor');
    END IF;
    IF NOT max_access_m BETWEEN 10 AND 5000 THEN
        PERFORM hail.fail('invalid_value', 'max_access_m must be between 10 and 5000', 'max_access_m');
    END IF;
    place := hail.locked_region(region);
    IF "on" AND hail.routing_schema() IS NULL THEN
        PERFORM hail.fail('wrong_state', 'pgRouting is not installed in this database', 'on',
                          'Debian: postgresql-15-pgrouting; then CREATE EXTENSION pgrouting; in a schema that hail_owner may use.');
    END IF;
    UPDATE hail.road_networks n
    SET time_factor = coalesce(set_road_network.time_factor, n.time_factor),
        max_access_m = coalesce(set_road_network.max_access_m, n.max_access_m)
    WHERE n.region_id = place.id RETURNING n.* INTO stored;
    IF stored.region_id IS NULL AND "on" THEN
        PERFORM hail.fail('wrong_state', 'the region has no road network', 'region', 'hail.load_roads() gives it one.');
    END IF;
    UPDATE hail.regions r SET road_network = "on" WHERE r.id = place.id AND r.road_network <> "on";
    RETURN stored;
END
$$;
COMMENT ON FUNCTION hail.set_road_network(text, boolean, float8, integer) IS
'Use a region''s road network for estimates, or don''t; its time_factor and max_access_m too, where given. Administrators. Errors: wrong_state when there is no network, or no pgRouting.';

CREATE FUNCTION hail.learn_road_factor(region text, newest integer DEFAULT 500) RETURNS float8
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place hail.regions;
    network hail.road_networks;
    found integer;
    ratio float8;
BEGIN
    PERFORM hail.require_admin();
    IF newest IS NULL OR newest NOT BETWEEN 30 AND 10000 THEN
        PERFORM hail.fail('invalid_value', 'newest must be between 30 and 10000', 'newest');
    END IF;
    place := hail.locked_region(region);
    SELECT n.* INTO network FROM hail.road_networks n WHERE n.region_id = place.id AND place.road_network;
    IF network.region_id IS NULL THEN
        PERFORM hail.fail('wrong_state', 'the region uses no road network', 'region', 'hail.set_road_network() switches it on.');
    END IF;
    SELECT count(r.duration_s), percentile_cont(0.5) WITHIN GROUP (ORDER BY t.driven_s / r.duration_s)
        INTO found, ratio
    FROM (SELECT x.*, extract(epoch FROM x.completed_at - x.started_at)::float8 AS driven_s FROM hail.trips x
          WHERE x.region_id = place.id AND x.state = 'completed' AND x.completed_at - x.started_at BETWEEN '1 minute' AND '4 hours'
            AND NOT EXISTS (SELECT FROM hail.quotes q WHERE q.id = x.quote_id AND q.stops IS NOT NULL)
          ORDER BY x.completed_at DESC LIMIT newest) t,
         LATERAL hail.road_route(place.id, t.pickup_lat, t.pickup_lng, t.dropoff_lat, t.dropoff_lng, t.started_at) r;
    IF found < 30 THEN
        PERFORM hail.fail('wrong_state', format('%s completed trips over the network are too few to learn from', found), 'region',
                          'At least 30; or hail.set_road_network(region, true, time_factor => ...).');
    END IF;
    UPDATE hail.road_networks n SET time_factor = least(greatest(n.time_factor * ratio, 0.1), 10)
    WHERE n.region_id = place.id RETURNING n.time_factor INTO ratio;
    RETURN ratio;
END
$$;
COMMENT ON FUNCTION hail.learn_road_factor(text, integer) IS
'Set a network''s time_factor so that half of its region''s newest completed trips took longer than their routes say, half less; returns it. About 2 ms a trip. Administrators. Errors: wrong_state when there is no network in use or fewer than 30 trips.';

GRANT EXECUTE ON FUNCTION hail.load_roads(text, text[], text[], integer, boolean),
        hail.set_road_network(text, boolean, float8, integer), hail.learn_road_factor(text, integer)
    TO hail_admin;

CREATE FUNCTION hail.check_roads() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN QUERY
    SELECT 'roads', CASE WHEN hail.routing_schema() IS NOT NULL AND n.roads > 0 THEN 'ok' ELSE 'warn' END,
           format('%s: %s roads', r.code, coalesce(n.roads, 0))
               || CASE WHEN hail.routing_schema() IS NULL THEN ', but pgRouting is not installed: nothing is routed' ELSE '' END,
           CASE WHEN hail.routing_schema() IS NULL THEN 'CREATE EXTENSION pgrouting; or hail.set_road_network(region, false)' END
    FROM hail.regions r LEFT JOIN hail.road_networks n ON n.region_id = r.id WHERE r.road_network ORDER BY r.code;
END
$$;
COMMENT ON FUNCTION hail.check_roads() IS
'Per region that uses its road network: can it? Administrators only; part of hail.check().';
GRANT EXECUTE ON FUNCTION hail.check_roads() TO hail_admin;
