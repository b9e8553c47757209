-- 51_pricing_surge: hexagons, surge

CREATE TABLE hail.surge_steps (
    region_id   smallint REFERENCES hail.regions (id),
    below_ratio numeric NOT NULL CHECK (below_ratio > 0),
    multiplier  numeric(4,2) NOT NULL CHECK (multiplier >= 1),
    UNIQUE NULLS NOT DISTINCT (region_id, below_ratio)
);
COMMENT ON TABLE hail.surge_steps IS
'Ratio table: demand/supply below `below_ratio` gives `multiplier`; past the last row min(ratio / 2, the region''s cap). Rows without a region serve every region that has none of its own.';
-- A default by NULL and not by a trigger on regions: a restored dump must not find rows of its own already there.
INSERT INTO hail.surge_steps (region_id, below_ratio, multiplier) VALUES
    (NULL, 1, 1.0), (NULL, 1.5, 1.1), (NULL, 2, 1.3), (NULL, 3, 1.5), (NULL, 4, 1.8);

CREATE TABLE hail.surge_cells (
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    cell       bigint NOT NULL,
    demand     integer NOT NULL,
    supply     integer NOT NULL,
    multiplier numeric(4,2) NOT NULL CHECK (multiplier >= 1),
    held_until timestamptz,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (region_id, cell)
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.surge_cells IS 'Surge per hexagon as of the last tick; a cell that is not here has 1.0.';
COMMENT ON COLUMN hail.surge_cells.held_until IS 'Not lowered before; set whenever it rises.';

GRANT SELECT ON hail.surge_steps, hail.surge_cells TO hail_admin, hail_analyst;
CREATE POLICY surge_steps_readers ON hail.surge_steps FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY surge_cells_readers ON hail.surge_cells FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

-- Hexagons (src/geo/hexgrid.h)

CREATE FUNCTION hail.hexagon_at(lat float8, lng float8, size float8, OUT cell bigint, OUT i integer, OUT j integer)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_hexagon_at';
COMMENT ON FUNCTION hail.hexagon_at(float8, float8, float8) IS
'The hexagon of edge `size` (web-mercator metres) that holds a point: its column i and row j as ST_HexagonGrid numbers them in EPSG:3857, and both packed into one number.';

CREATE FUNCTION hail.hexagon_cell(lat float8, lng float8, size float8) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_hexagon_cell';
COMMENT ON FUNCTION hail.hexagon_cell(float8, float8, float8) IS 'The cell of hail.hexagon_at() alone. Internal.';

CREATE FUNCTION hail.hexagon_ewkb(cell bigint, size float8) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_hexagon_ewkb';
COMMENT ON FUNCTION hail.hexagon_ewkb(bigint, float8) IS 'A cell as EWKB polygon in WGS84; what hail.hexagon() is made of.';

CREATE FUNCTION hail.hexagon(cell bigint, size float8) RETURNS public.geometry(Polygon, 4326)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT public.geometry(hail.hexagon_ewkb(cell, size)) $$;
COMMENT ON FUNCTION hail.hexagon(bigint, float8) IS
'Polygon (WGS84) of a cell of hail.hexagon_at() with the same size.';

CREATE FUNCTION hail.hexagon_neighbours(cell bigint) RETURNS SETOF bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 6 AS 'MODULE_PATHNAME', 'hail_hexagon_neighbours';
COMMENT ON FUNCTION hail.hexagon_neighbours(bigint) IS 'The six cells around one, from the north counter-clockwise.';

GRANT EXECUTE ON FUNCTION hail.hexagon_at(float8, float8, float8), hail.hexagon(bigint, float8),
        hail.hexagon_neighbours(bigint)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
-- hail.hexagon() is not SECURITY DEFINER: what it calls runs as its caller.
GRANT EXECUTE ON FUNCTION hail.hexagon_ewkb(bigint, float8)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

CREATE FUNCTION hail.surge_hundredths(region_id smallint, size float8, lat float8, lng float8) RETURNS integer
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'hail_surge_hundredths';
COMMENT ON FUNCTION hail.surge_hundredths(smallint, float8, float8, float8) IS
'Surge at a point of a region in hundredths, 100 where there is none; `size`: the region''s hexagons. Internal.';

CREATE FUNCTION hail.surge_multiplier(region hail.regions, lat float8, lng float8) RETURNS numeric
LANGUAGE sql STABLE
RETURN pg_catalog.round(hail.surge_hundredths((region).id, (region).hexagon_size_m, lat, lng) / 100.0, 2);
COMMENT ON FUNCTION hail.surge_multiplier(hail.regions, float8, float8) IS
'Surge of a region at a point; 1 where there is none. Internal.';

CREATE FUNCTION hail.require_anybody() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF hail.current_role_name() IS NULL THEN
        PERFORM hail.fail('unauthenticated', 'not authenticated', NULL,
                          'Call hail.authenticate(token) first in the same transaction.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.require_anybody() IS 'Error unless the caller is authenticated, in whatever role. Internal.';

CREATE FUNCTION hail.check_place(lat float8, lng float8) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF lat IS NULL OR NOT lat BETWEEN -90 AND 90 THEN
        PERFORM hail.fail('invalid_value', 'lat must be between -90 and 90', 'lat');
    END IF;
    IF lng IS NULL OR NOT lng BETWEEN -180 AND 180 THEN
        PERFORM hail.fail('invalid_value', 'lng must be between -180 and 180', 'lng');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_place(float8, float8) IS 'Error that names lat or lng when they are no place on earth. Internal.';

CREATE FUNCTION hail.surge_at(lat float8, lng float8) RETURNS numeric
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    region hail.regions;
BEGIN
    PERFORM hail.require_anybody();
    PERFORM hail.check_place(lat, lng);
    region := hail.region_at(lat, lng);
    RETURN CASE WHEN region.id IS NULL THEN 1.00 ELSE hail.surge_multiplier(region, lat, lng) END;
END
$$;
COMMENT ON FUNCTION hail.surge_at(float8, float8) IS 'Surge multiplier at a point as of the last tick; 1 where there is none.';

CREATE FUNCTION hail.surge_map(lat float8, lng float8, radius_m float8 DEFAULT 5000)
RETURNS TABLE (cell bigint, hexagon public.geometry, multiplier numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_anybody();
    PERFORM hail.check_place(lat, lng);
    IF radius_m IS NULL OR NOT radius_m BETWEEN 100 AND 50000 THEN
        PERFORM hail.fail('invalid_value', 'radius_m must be between 100 and 50000', 'radius_m');
    END IF;
    RETURN QUERY
    SELECT s.cell, h.hexagon, s.multiplier
    FROM hail.surge_cells s
         JOIN hail.regions r ON r.id = s.region_id,
         LATERAL (SELECT hail.hexagon(s.cell, r.hexagon_size_m) AS hexagon) AS h
    WHERE s.multiplier > 1
      AND public.ST_DWithin(h.hexagon::public.geography,
                            public.ST_SetSRID(public.ST_MakePoint(lng, lat), 4326)::public.geography, radius_m, false)
    ORDER BY s.multiplier DESC, s.region_id, s.cell;
END
$$;
COMMENT ON FUNCTION hail.surge_map(float8, float8, float8) IS
'Hexagons with a surge above 1 within radius_m metres of a point, highest first.';

GRANT EXECUTE ON FUNCTION hail.surge_at(float8, float8), hail.surge_map(float8, float8, float8)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

CREATE FUNCTION hail.surge_tick() RETURNS integer
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_surge_tick';
COMMENT ON FUNCTION hail.surge_tick() IS
'Keeper step: weigh the trips requested within hail.surge_window against the available drivers of each hexagon and move its surge one step; returns the cells written or removed. Administrators.';
GRANT EXECUTE ON FUNCTION hail.surge_tick() TO hail_admin;
