-- 51_pricing_surge: hexagons, surge

CREATE TABLE hail.surge_steps (
    region_id   smallint REFERENCES hail.regions (id),
    below_ratio numeric NOT NULL CHECK (below_ratio > 0 AND below_ratio <= 1000000),
    multiplier  numeric(4,2) NOT NULL CHECK (multiplier BETWEEN 1 AND 10),
    UNIQUE NULLS NOT DISTINCT (region_id, below_ratio)
);
COMMENT ON TABLE hail.surge_steps IS
'Ratio table: demand/supply below `below_ratio` gives `multiplier`; past the last row min(ratio / 2, the region''s cap). Rows without a region serve every region that has none of its own. Multipliers ascend with the ratio. hail.set_surge_steps() writes them.';
-- A default by NULL and not by a trigger on regions: a restored dump must not find rows of its own already there.
INSERT INTO hail.surge_steps (region_id, below_ratio, multiplier) VALUES
    (NULL, 1, 1.0), (NULL, 1.5, 1.1), (NULL, 2, 1.3), (NULL, 3, 1.5), (NULL, 4, 1.8);

CREATE FUNCTION hail.surge_steps_ascend() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET row_security = on -- pg_restore turns it off, and the owner would be refused
AS $$
DECLARE
    wrong record;
BEGIN
    SELECT s.region_id, s.below_ratio INTO wrong
    FROM (SELECT t.region_id, t.below_ratio, t.multiplier,
                 lag(t.multiplier) OVER (PARTITION BY t.region_id ORDER BY t.below_ratio) AS before FROM hail.surge_steps t) s
    WHERE s.multiplier <= s.before ORDER BY s.region_id, s.below_ratio LIMIT 1;
    IF FOUND THEN
        PERFORM hail.fail('invalid_value', format('multipliers must ascend with the ratio: not so at ratio %s of %s', wrong.below_ratio,
            coalesce((SELECT 'region ' || r.code FROM hail.regions r WHERE r.id = wrong.region_id), 'the default table')), 'multiplier');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION hail.surge_steps_ascend() IS 'Trigger: in a ratio table both columns ascend, when the statement has ended. Internal.';
CREATE TRIGGER surge_steps_ascend AFTER INSERT OR UPDATE ON hail.surge_steps
    FOR EACH STATEMENT EXECUTE FUNCTION hail.surge_steps_ascend();
ALTER TABLE hail.surge_steps ENABLE ALWAYS TRIGGER surge_steps_ascend;

CREATE TABLE hail.surge_cells (
    region_id       smallint NOT NULL,
    cell            bigint NOT NULL,
    multiplier      numeric(4,2) NOT NULL CHECK (multiplier >= 1),
    held_until      timestamptz,
    requests        integer NOT NULL DEFAULT 0,
    lookers         integer NOT NULL DEFAULT 0,
    supply          integer NOT NULL DEFAULT 0,
    smoothed_demand real NOT NULL DEFAULT 0,
    smoothed_supply real NOT NULL DEFAULT 0,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (region_id, cell)
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.surge_cells IS
'Surge per hexagon; a cell that is not here has 1.0. Where the library is preloaded there are rows of surging cells alone, written when multiplier or hold change: the counts are of then, and hail.explain_surge() has those of the last tick. The region is not referenced: a check per row would cost more than the tick, and a trigger removes the cells of a region that goes.';
COMMENT ON COLUMN hail.surge_cells.held_until IS 'Not lowered before; set whenever it rises.';
COMMENT ON COLUMN hail.surge_cells.requests IS 'Customers who requested a trip in the hexagon within hail.surge_window, each once, or as often as they have trips there that are not over.';
COMMENT ON COLUMN hail.surge_cells.lookers IS 'Customers with a quote made there within that time and no trip.';
COMMENT ON COLUMN hail.surge_cells.supply IS 'Available drivers in the hexagon.';
COMMENT ON COLUMN hail.surge_cells.smoothed_demand IS 'Requests and weighted lookers, neighbours weighed in, averaged over time.';
COMMENT ON COLUMN hail.surge_cells.smoothed_supply IS 'Drivers, likewise; demand over supply, at least one, is the ratio.';

CREATE TABLE hail.surge_history (
    region_id       smallint NOT NULL,
    cell            bigint NOT NULL,
    at              timestamptz NOT NULL,
    hexagon_size_m  real NOT NULL,
    old_multiplier  numeric(4,2) NOT NULL,
    new_multiplier  numeric(4,2) NOT NULL,
    requests        integer NOT NULL,
    lookers         integer NOT NULL,
    supply          integer NOT NULL,
    ratio           real NOT NULL,
    cause           text NOT NULL
) PARTITION BY RANGE (at);
COMMENT ON TABLE hail.surge_history IS
'Every change of a hexagon''s multiplier, with the counts of that tick; daily partitions. hail.hexagon(cell, hexagon_size_m) is where.';
COMMENT ON COLUMN hail.surge_history.ratio IS 'Smoothed demand over smoothed supply: what decided.';
COMMENT ON COLUMN hail.surge_history.cause IS
'tick; cap: the cap was lowered; off: surge was switched off; grid: the hexagons got another size, or the region is gone.';
INSERT INTO hail.partitioned_tables (table_name, time_column, retention, indexes) VALUES
    ('surge_history', 'at', '90 days', '{"(region_id, at DESC, cell)", "(region_id, cell, at)"}');

-- The log is the setting: what is not in it was never in force.
CREATE TABLE hail.surge_changes (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id            smallint NOT NULL,
    changed_at           timestamptz NOT NULL,
    changed_by           uuid,
    login                text NOT NULL,
    reason               text,
    old_mode             text NOT NULL,
    mode                 text NOT NULL CHECK (mode IN ('on', 'off', 'frozen')),
    old_cap              numeric NOT NULL,
    cap                  numeric NOT NULL,
    old_quote_weight     numeric NOT NULL,
    quote_weight         numeric NOT NULL CHECK (quote_weight BETWEEN 0 AND 1),
    old_neighbour_weight numeric NOT NULL,
    neighbour_weight     numeric NOT NULL CHECK (neighbour_weight BETWEEN 0 AND 1)
);
CREATE INDEX surge_changes_region ON hail.surge_changes (region_id, id DESC);
COMMENT ON TABLE hail.surge_changes IS
'How surge was switched, capped and weighed per region: who, when, from what to what, why. Append-only; the newest row of a region is in force (the cap is in hail.regions, each change of it is here).';
COMMENT ON COLUMN hail.surge_changes.changed_by IS 'The administrator; NULL when it was changed by SQL, by the login.';
COMMENT ON COLUMN hail.surge_changes.quote_weight IS 'What a customer who only looks at quotes counts, in trips.';
COMMENT ON COLUMN hail.surge_changes.neighbour_weight IS 'Share of the six neighbours in a hexagon''s demand and supply.';

GRANT SELECT ON hail.surge_steps, hail.surge_cells, hail.surge_history, hail.surge_changes TO hail_admin, hail_analyst;
CREATE POLICY surge_steps_readers ON hail.surge_steps FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY surge_cells_readers ON hail.surge_cells FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY surge_history_readers ON hail.surge_history FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY surge_changes_readers ON hail.surge_changes FOR SELECT TO hail_admin, hail_analyst
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

CREATE FUNCTION hail.hexagon_metres(cell bigint, size float8, lat float8, lng float8) RETURNS float8
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_hexagon_metres';
COMMENT ON FUNCTION hail.hexagon_metres(bigint, float8, float8, float8) IS
'Great-circle metres from a point to the nearest one of a hexagon; 0 inside. Internal.';

CREATE FUNCTION hail.hexagon_ranges(lat float8, lng float8, radius_m float8, size float8)
RETURNS TABLE (from_cell bigint, to_cell bigint)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 2 AS 'MODULE_PATHNAME', 'hail_hexagon_ranges';
COMMENT ON FUNCTION hail.hexagon_ranges(float8, float8, float8, float8) IS
'Ranges of cell numbers, up to two, among which are all hexagons within a radius of a point. Internal.';

GRANT EXECUTE ON FUNCTION hail.hexagon_at(float8, float8, float8), hail.hexagon(bigint, float8),
        hail.hexagon_neighbours(bigint)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
-- hail.hexagon() is not SECURITY DEFINER: what it calls runs as its caller.
GRANT EXECUTE ON FUNCTION hail.hexagon_ewkb(bigint, float8)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

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

-- Needs no table but where shared memory does not serve; those it reads as hail_owner.
CREATE FUNCTION hail.surge_at(lat float8, lng float8) RETURNS numeric
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'hail_surge_at';
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
    SELECT s.cell, public.geometry(hail.hexagon_ewkb(s.cell, r.hexagon_size_m)), s.multiplier
    FROM hail.regions r
         CROSS JOIN LATERAL hail.hexagon_ranges(surge_map.lat, surge_map.lng, radius_m, r.hexagon_size_m) AS near
         JOIN hail.surge_cells s ON s.region_id = r.id AND s.cell BETWEEN near.from_cell AND near.to_cell
    WHERE s.multiplier > 1
      AND hail.hexagon_metres(s.cell, r.hexagon_size_m, surge_map.lat, surge_map.lng) <= radius_m
    ORDER BY s.multiplier DESC, s.region_id, s.cell;
END
$$;
COMMENT ON FUNCTION hail.surge_map(float8, float8, float8) IS
'Hexagons with a surge above 1 within radius_m metres of a point, highest first.';

GRANT EXECUTE ON FUNCTION hail.surge_at(float8, float8), hail.surge_map(float8, float8, float8)
    TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

-- Ticks. Whoever changes surge_cells otherwise makes shared memory read its rows again.

CREATE FUNCTION hail.surge_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'hail_surge_changed';
COMMENT ON FUNCTION hail.surge_changed() IS
'Trigger: rows of surge_cells change by other hands than a tick''s: one transaction at a time, and shared memory reads them anew. Internal.';
CREATE TRIGGER surge_changed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.surge_cells
    FOR EACH STATEMENT EXECUTE FUNCTION hail.surge_changed();
ALTER TABLE hail.surge_cells ENABLE ALWAYS TRIGGER surge_changed;

CREATE FUNCTION hail.surge_settings(region_id smallint, OUT mode text, OUT quote_weight numeric, OUT neighbour_weight numeric)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(c.mode, 'on'), coalesce(c.quote_weight, 0.2), coalesce(c.neighbour_weight, 0.3)
    FROM (VALUES (1)) AS always LEFT JOIN LATERAL
         (SELECT s.* FROM hail.surge_changes s WHERE s.region_id = surge_settings.region_id ORDER BY s.id DESC LIMIT 1) c ON true;
END;
COMMENT ON FUNCTION hail.surge_settings(smallint) IS 'How a region surges: as the newest row of surge_changes says. Internal.';

CREATE FUNCTION hail.surge_tick("wait" boolean DEFAULT true) RETURNS integer
LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_surge_tick';
COMMENT ON FUNCTION hail.surge_tick(boolean) IS
'Keeper step: weigh the demand within hail.surge_window against the available drivers of each hexagon and move its surge one step; returns the rows written or removed. While somebody else is changing surge, waits, or, with `wait` false as the keeper calls it, does nothing until the next turn. Administrators.';

CREATE FUNCTION hail.surge_refill() RETURNS integer
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_surge_refill';
COMMENT ON FUNCTION hail.surge_refill() IS
'Keeper step: read the rows of surge_cells into shared memory when that does not know them; returns how many. 0 also while somebody is changing them. Administrators.';

CREATE FUNCTION hail.surge_settle(region_id smallint, "all" boolean, cause text, hexagon_size_m float8) RETURNS integer
LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_surge_settle';
COMMENT ON FUNCTION hail.surge_settle(smallint, boolean, text, float8) IS
'Between ticks: a region''s cap and mode take effect, or, with `all`, its surge is taken away; the cause and the edge of the hexagons, as it was, go into the history. Internal.';

CREATE FUNCTION hail.surge_forget() RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_surge_forget';
COMMENT ON FUNCTION hail.surge_forget() IS 'Shared memory reads the rows of surge_cells anew once this has committed. Internal.';
SELECT hail.surge_forget(); -- of an extension that was here before

GRANT EXECUTE ON FUNCTION hail.surge_tick(boolean), hail.surge_refill() TO hail_admin;

-- Controls

CREATE FUNCTION hail.surge_changes_stay() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.fail('wrong_state', 'surge_changes is append-only', NULL, 'Change it by hail.set_surge(); that is one more row.');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION hail.surge_changes_stay() IS 'Trigger: rows of surge_changes are neither changed nor removed. Internal.';
CREATE TRIGGER surge_changes_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON hail.surge_changes
    FOR EACH STATEMENT EXECUTE FUNCTION hail.surge_changes_stay();
ALTER TABLE hail.surge_changes ENABLE ALWAYS TRIGGER surge_changes_stay;

CREATE FUNCTION hail.log_surge_change(region_id smallint, old_cap numeric, cap numeric, mode text, quote_weight numeric,
                                      neighbour_weight numeric, reason text) RETURNS hail.surge_changes
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    INSERT INTO hail.surge_changes (region_id, changed_at, changed_by, login, reason, old_mode, mode, old_cap, cap,
                                    old_quote_weight, quote_weight, old_neighbour_weight, neighbour_weight)
    SELECT log_surge_change.region_id, hail.clock(), hail.current_subject(), session_user, log_surge_change.reason,
           s.mode, coalesce(log_surge_change.mode, s.mode), log_surge_change.old_cap,
           coalesce(log_surge_change.cap, log_surge_change.old_cap),
           s.quote_weight, coalesce(log_surge_change.quote_weight, s.quote_weight),
           s.neighbour_weight, coalesce(log_surge_change.neighbour_weight, s.neighbour_weight)
    FROM hail.surge_settings(log_surge_change.region_id) s
    RETURNING surge_changes.*;
END;
COMMENT ON FUNCTION hail.log_surge_change(smallint, numeric, numeric, text, numeric, numeric, text) IS
'Append to surge_changes; what is NULL stays as it was. Internal.';

CREATE FUNCTION hail.surge_region_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM hail.surge_settle(OLD.id, true, 'grid', OLD.hexagon_size_m);
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM hail.log_surge_change(NEW.id, 3, NEW.surge_cap, NULL, NULL, NULL, 'inserted into hail.regions');
        RETURN NULL;
    END IF;
    -- hail.set_surge() has its row there already
    IF NEW.surge_cap <> OLD.surge_cap
       AND NEW.surge_cap IS DISTINCT FROM (SELECT c.cap FROM hail.surge_changes c WHERE c.region_id = NEW.id ORDER BY c.id DESC LIMIT 1) THEN
        PERFORM hail.log_surge_change(NEW.id, OLD.surge_cap, NEW.surge_cap, NULL, NULL, NULL, 'changed in hail.regions');
    END IF;
    IF NEW.hexagon_size_m <> OLD.hexagon_size_m THEN
        PERFORM hail.surge_settle(NEW.id, true, 'grid', OLD.hexagon_size_m);
    ELSIF NEW.surge_cap < OLD.surge_cap THEN
        PERFORM hail.surge_settle(NEW.id, false, 'cap', NEW.hexagon_size_m);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION hail.surge_region_changed() IS
'Trigger: no cap of a region changes, or begins above 3, without a row of surge_changes; a lower one acts at once; cells of hexagons of another size go. Internal.';
CREATE TRIGGER surge_region_changed AFTER DELETE OR UPDATE OF surge_cap, hexagon_size_m ON hail.regions
    FOR EACH ROW EXECUTE FUNCTION hail.surge_region_changed();
ALTER TABLE hail.regions ENABLE ALWAYS TRIGGER surge_region_changed;
-- A restore, which turns row_security off, brings the rows of surge_changes itself.
CREATE TRIGGER surge_region_made AFTER INSERT ON hail.regions
    FOR EACH ROW WHEN (NEW.surge_cap > 3 AND pg_catalog.current_setting('row_security') = 'on')
    EXECUTE FUNCTION hail.surge_region_changed();
ALTER TABLE hail.regions ENABLE ALWAYS TRIGGER surge_region_made;

CREATE FUNCTION hail.check_surge_settings(mode text, cap numeric, old_cap numeric, reason text, quote_weight numeric,
                                          neighbour_weight numeric) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF num_nonnulls(mode, cap, quote_weight, neighbour_weight) = 0 THEN
        PERFORM hail.fail('invalid_value', 'nothing to change', 'mode', 'Give a mode, a cap or a weight.');
    ELSIF mode NOT IN ('on', 'off', 'frozen') THEN
        PERFORM hail.fail('invalid_value', 'mode must be on, off or frozen', 'mode');
    ELSIF NOT cap BETWEEN 1 AND 10 OR cap <> round(cap, 2) THEN
        PERFORM hail.fail('invalid_value', 'cap must be between 1 and 10, with two decimals', 'cap');
    ELSIF cap > 3 AND cap > old_cap AND coalesce(trim(reason), '') = '' THEN
        PERFORM hail.fail('invalid_value', 'a cap above 3 needs a reason', 'reason', 'It is kept with the change, in hail.surge_changes.');
    ELSIF NOT quote_weight BETWEEN 0 AND 1 THEN
        PERFORM hail.fail('invalid_value', 'quote_weight must be between 0 and 1', 'quote_weight');
    ELSIF NOT neighbour_weight BETWEEN 0 AND 1 THEN
        PERFORM hail.fail('invalid_value', 'neighbour_weight must be between 0 and 1', 'neighbour_weight');
    ELSIF length(reason) > 1000 THEN
        PERFORM hail.fail('invalid_value', 'reason must have at most 1000 characters', 'reason');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_surge_settings(text, numeric, numeric, text, numeric, numeric) IS
'Error that names the first setting of surge that is out of bounds. Internal.';

CREATE FUNCTION hail.set_surge(region text, mode text DEFAULT NULL, cap numeric DEFAULT NULL, reason text DEFAULT NULL,
                               quote_weight numeric DEFAULT NULL, neighbour_weight numeric DEFAULT NULL) RETURNS hail.surge_changes
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place hail.regions;
    change hail.surge_changes;
BEGIN
    PERFORM hail.require_admin();
    place := hail.locked_region(region);
    PERFORM hail.check_surge_settings(mode, cap, place.surge_cap, reason, quote_weight, neighbour_weight);
    change := hail.log_surge_change(place.id, place.surge_cap, cap, mode, quote_weight, neighbour_weight, reason);
    IF change.cap <> change.old_cap THEN
        UPDATE hail.regions r SET surge_cap = change.cap WHERE r.id = place.id;
    END IF;
    IF change.mode = 'off' THEN
        PERFORM hail.surge_settle(place.id, true, 'off', place.hexagon_size_m);
    END IF;
    RETURN change;
END
$$;
COMMENT ON FUNCTION hail.set_surge(text, text, numeric, text, numeric, numeric) IS
'Switch the surge of a region on, off (no surge from this commit on) or frozen (nothing moves, but that no multiplier stays above the cap); cap it (above 3 with a reason; a lower cap acts at once); weigh quotes (default 0.2 of a trip per customer who looks) and neighbouring hexagons (default 0.3 of a hexagon''s demand and supply). What is NULL stays. Returns the row of surge_changes that tells of it. Administrators.';
GRANT EXECUTE ON FUNCTION hail.set_surge(text, text, numeric, text, numeric, numeric) TO hail_admin;

CREATE FUNCTION hail.check_surge_steps(below_ratios numeric[], multipliers numeric[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(cardinality(below_ratios), 0) NOT BETWEEN 1 AND 50 OR array_ndims(below_ratios) <> 1 THEN
        PERFORM hail.fail('invalid_value', 'below_ratios must have 1 to 50 ratios', 'below_ratios', 'NULL for both gives back the default table.');
    ELSIF coalesce(cardinality(multipliers), 0) <> cardinality(below_ratios) OR array_ndims(multipliers) <> 1 THEN
        PERFORM hail.fail('invalid_value', 'multipliers must be as many as below_ratios', 'multipliers');
    ELSIF EXISTS (SELECT FROM unnest(below_ratios) r WHERE (r > 0 AND r <= 1000000) IS NOT TRUE) THEN
        PERFORM hail.fail('invalid_value', 'each of below_ratios must be above 0 and at most 1000000', 'below_ratios');
    ELSIF EXISTS (SELECT FROM unnest(multipliers) m WHERE (m BETWEEN 1 AND 10 AND m = round(m, 2)) IS NOT TRUE) THEN
        PERFORM hail.fail('invalid_value', 'each of multipliers must be between 1 and 10, with two decimals', 'multipliers');
    ELSIF EXISTS (SELECT FROM (SELECT u.r <= lag(u.r) OVER (ORDER BY u.n) AS down FROM unnest(below_ratios) WITH ORDINALITY u (r, n)) d WHERE d.down) THEN
        PERFORM hail.fail('invalid_value', 'below_ratios must ascend', 'below_ratios');
    ELSIF EXISTS (SELECT FROM (SELECT u.m <= lag(u.m) OVER (ORDER BY u.n) AS down FROM unnest(multipliers) WITH ORDINALITY u (m, n)) d WHERE d.down) THEN
        PERFORM hail.fail('invalid_value', 'multipliers must ascend', 'multipliers');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_surge_steps(numeric[], numeric[]) IS 'Error that names what is wrong with a ratio table. Internal.';

CREATE FUNCTION hail.set_surge_steps(region text, below_ratios numeric[], multipliers numeric[]) RETURNS SETOF hail.surge_steps
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place hail.regions;
    own boolean := below_ratios IS NOT NULL OR multipliers IS NOT NULL;
BEGIN
    PERFORM hail.require_admin();
    place := hail.locked_region(region);
    IF own THEN
        PERFORM hail.check_surge_steps(below_ratios, multipliers);
    END IF;
    DELETE FROM hail.surge_steps s WHERE s.region_id = place.id;
    IF own THEN
        INSERT INTO hail.surge_steps (region_id, below_ratio, multiplier)
        SELECT place.id, u.r, u.m FROM unnest(below_ratios, multipliers) AS u (r, m);
    END IF;
    PERFORM hail.log_surge_change(place.id, place.surge_cap, NULL, NULL, NULL, NULL, 'ratio table: ' || CASE WHEN own THEN
        (SELECT string_agg(format('below %s %s', u.r, u.m), ', ' ORDER BY u.r) FROM unnest(below_ratios, multipliers) AS u (r, m))
        ELSE 'default' END);
    RETURN QUERY SELECT s.* FROM hail.surge_steps s WHERE s.region_id IS NOT DISTINCT FROM CASE WHEN own THEN place.id END
                 ORDER BY s.below_ratio;
END
$$;
COMMENT ON FUNCTION hail.set_surge_steps(text, numeric[], numeric[]) IS
'Give a region a ratio table of its own: demand/supply below below_ratios[n] gives multipliers[n], past the last ratio / 2, at most the cap. Both ascend; multipliers lie between 1 and 10. NULL for both gives back the default table. From the next tick on, one step a tick; the change is a row of surge_changes, its reason tells the table. Returns the table in force. Administrators. Errors: not_found, invalid_value.';
GRANT EXECUTE ON FUNCTION hail.set_surge_steps(text, numeric[], numeric[]) TO hail_admin;

-- Why

CREATE FUNCTION hail.surge_cell_state(region_id smallint, cell bigint, OUT requests integer, OUT lookers integer,
    OUT supply integer, OUT ratio float8, OUT smoothed_demand real, OUT smoothed_supply real, OUT smoothed_ratio real,
    OUT target integer, OUT multiplier integer, OUT held_until timestamptz, OUT why text, OUT last_tick timestamptz)
LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_surge_cell_state';
COMMENT ON FUNCTION hail.surge_cell_state(smallint, bigint) IS
'A cell as the last tick left it, multipliers in hundredths, and in a word why the multiplier is not another. Internal.';

CREATE FUNCTION hail.explain_surge(lat float8, lng float8)
RETURNS TABLE (region text, cell bigint, mode text, requests integer, lookers integer, quote_weight numeric, supply integer,
               ratio numeric, neighbour_weight numeric, smoothed_demand numeric, smoothed_supply numeric,
               smoothed_ratio numeric, target numeric, multiplier numeric, cap numeric, held_until timestamptz,
               last_tick timestamptz, why text, explanation text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place hail.regions;
    s record;
    settings record;
BEGIN
    IF coalesce(hail.current_role_name(), '') <> 'analyst' THEN
        PERFORM hail.require_admin();
    END IF;
    PERFORM hail.check_place(lat, lng);
    place := hail.region_at(lat, lng);
    IF place.id IS NULL THEN
        PERFORM hail.fail('outside_service_area', 'no region covers the place', 'lat');
    END IF;
    cell := hail.hexagon_cell(lat, lng, place.hexagon_size_m);
    SELECT * INTO settings FROM hail.surge_settings(place.id);
    SELECT * INTO s FROM hail.surge_cell_state(place.id, cell);
    region := place.code;
    mode := settings.mode;
    quote_weight := settings.quote_weight;
    neighbour_weight := settings.neighbour_weight;
    cap := place.surge_cap;
    requests := s.requests;
    lookers := s.lookers;
    supply := s.supply;
    ratio := round(s.ratio::numeric, 2);
    smoothed_demand := round(s.smoothed_demand::numeric, 2);
    smoothed_supply := round(s.smoothed_supply::numeric, 2);
    smoothed_ratio := round(s.smoothed_ratio::numeric, 2);
    target := round(s.target / 100.0, 2);
    multiplier := round(s.multiplier / 100.0, 2);
    held_until := s.held_until;
    last_tick := s.last_tick;
    why := s.why;
    explanation := CASE s.why
        WHEN 'off' THEN 'Surge is switched off in this region.'
        WHEN 'frozen' THEN format('Surge is frozen in this region: the multiplier stays at %s; the ratio would give %s.', multiplier, target)
        WHEN 'rising' THEN format('The ratio gives %s; the multiplier rises to it by one step of the table a tick.', target)
        WHEN 'held' THEN format('The ratio gives %s, but the multiplier has risen and is not lowered before %s.', target, s.held_until)
        WHEN 'band' THEN format('The ratio gives %s, but is too near the edge of the step for the multiplier to be lowered.', target)
        WHEN 'falling' THEN format('The ratio gives %s; the multiplier falls to it by one step of the table a tick.', target)
        WHEN 'near' THEN format('The ratio gives %s; past the end of the table the multiplier moves by 0.1 or not at all.', target)
        WHEN 'capped' THEN format('The ratio would give more, but the region''s cap is %s.', cap)
        ELSE CASE WHEN s.multiplier = 100 THEN 'Demand does not exceed supply: no surge.'
                  ELSE format('As the ratio table says: %s.', target) END
        END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hail.explain_surge(float8, float8) IS
'Why the surge at a place is what it is, as of the last tick: counts in the hexagon (requests, customers who only looked, available drivers; what came since that tick is not in them), their ratio, the one smoothed over time and neighbours, what the table makes of that (target), the multiplier, until when it is held, and a sentence. supply is NULL where nobody asks: nobody was counted. Administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.explain_surge(float8, float8) TO hail_admin, hail_analyst;

-- Figures

CREATE FUNCTION hail.surge_stats(OUT in_memory boolean, OUT filled boolean, OUT room integer, OUT cells integer, OUT surging integer,
                                 OUT left_out integer, OUT last_tick timestamptz, OUT tick_ms float8, OUT memory_bytes bigint)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_surge_stats';
COMMENT ON FUNCTION hail.surge_stats() IS
'Surge in shared memory: whether it serves this database and knows the cells, cells it has room for and holds, those above 1, those there was no room for (their surge is read from their rows), the last tick and what it took, bytes. For administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.surge_stats() TO hail_admin, hail_analyst;

CREATE FUNCTION hail.check_surge() RETURNS TABLE (area text, status text, detail text, hint text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s record;
BEGIN
    PERFORM hail.require_admin();
    SELECT * INTO s FROM hail.surge_stats();
    area := 'surge';
    status := 'warn';
    IF NOT s.in_memory THEN
        detail := 'no surge in memory here: it is read from surge_cells';
        hint := 'Add pg_hail to shared_preload_libraries and name this database in hail.database.';
    ELSIF NOT s.filled THEN
        detail := 'surge is read from surge_cells until the keeper has read them into memory';
        hint := 'Is the keeper running? It takes a second. By hand: SELECT hail.surge_refill().';
    ELSIF s.left_out > 0 THEN
        detail := format('%s of %s surge cells have no room in memory', s.left_out, s.left_out + s.cells);
        hint := format('Their surge is read from rows, their averages begin anew each tick. Raise hail.max_surge_cells (now %s) and restart the server.', s.room);
    ELSE
        status := 'ok';
        detail := format('%s of %s surge cells in memory, %s above 1', s.cells, s.room, s.surging);
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hail.check_surge() IS
'Is surge in shared memory, and is there room for all cells? Administrators only; part of hail.check().';
GRANT EXECUTE ON FUNCTION hail.check_surge() TO hail_admin;
