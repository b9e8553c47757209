-- 69_pricing_reads: single prices by their id, in the shape of their lists; surge in pages

-- VOLATILE, as a front reads in the same statement what it has just changed.

CREATE FUNCTION hail.get_fare(fare_id uuid) RETURNS hail.fare_version
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.fare_version;
BEGIN
    SELECT v.* INTO found FROM hail.list_fares() v WHERE v.id = get_fare.fare_id;
    IF found.id IS NULL THEN
        PERFORM hail.fail('not_found', 'price list does not exist', 'fare_id');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.get_fare(uuid) IS
'A version of a price list as hail.list_fares() shows it. Administrators and analysts. Error not_found.';

CREATE FUNCTION hail.get_event_area(event_area_id uuid) RETURNS hail.event_area
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.event_area;
BEGIN
    SELECT a.* INTO found FROM hail.list_event_areas() a WHERE a.id = get_event_area.event_area_id;
    IF found.id IS NULL THEN
        PERFORM hail.fail('not_found', 'event area does not exist', 'event_area_id');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.get_event_area(uuid) IS
'An event area as hail.list_event_areas() shows it. Administrators and analysts. Error not_found.';

CREATE FUNCTION hail.get_quote(quote_id uuid) RETURNS hail.quotes
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
    found hail.quotes;
BEGIN
    SELECT * INTO found FROM hail.quotes q
    WHERE q.id = get_quote.quote_id AND (role = 'admin' OR role = 'customer' AND q.customer_id = hail.current_subject());
    IF found.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such quote', 'quote_id');
    END IF;
    RETURN hail.quote_for_caller(found);
END
$$;
COMMENT ON FUNCTION hail.get_quote(uuid) IS
'A quote, for its customer (without commission, rates and variant) and administrators. Error not_found: there is none, or it is somebody else''s.';

GRANT EXECUTE ON FUNCTION hail.get_fare(uuid), hail.get_event_area(uuid) TO hail_admin, hail_analyst;
GRANT EXECUTE ON FUNCTION hail.get_quote(uuid) TO hail_customer, hail_admin;

-- Surge: how a region is set, who set it, what its hexagons did. Pages as in 67_dispatch_lists.

CREATE FUNCTION hail.surge_control(region text)
RETURNS TABLE (region_code text, mode text, cap numeric, quote_weight numeric, neighbour_weight numeric, changed_at timestamptz,
               changed_by uuid, reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    place hail.regions;
BEGIN
    PERFORM hail.require_prices_reader(region);
    SELECT * INTO place FROM hail.regions r WHERE r.code = surge_control.region;
    IF place.id IS NULL THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    END IF;
    RETURN QUERY SELECT place.code, s.mode, place.surge_cap, s.quote_weight, s.neighbour_weight, c.changed_at, c.changed_by, c.reason
                 FROM hail.surge_settings(place.id) s
                      LEFT JOIN LATERAL (SELECT l.* FROM hail.surge_changes l WHERE l.region_id = place.id ORDER BY l.id DESC LIMIT 1) c ON true;
END
$$;
COMMENT ON FUNCTION hail.surge_control(text) IS
'How the surge of a region is set: mode, cap, weights, and who changed it last, when and why (NULL: nobody has). Administrators and analysts. Error not_found.';

CREATE FUNCTION hail.list_surge_changes(region text DEFAULT NULL, max_results integer DEFAULT 20, cursor text DEFAULT NULL,
                                        OUT change hail.surge_changes, OUT region_code text, OUT next_cursor text) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    scope text := format('surge changes of %s', region);
    place bytea;
    below bigint;
    row record;
    n integer := 0;
BEGIN
    PERFORM hail.require_prices_reader(region);
    IF coalesce(max_results, 0) NOT BETWEEN 1 AND 100 THEN
        PERFORM hail.fail('invalid_value', 'a page has 1 to 100 changes', 'max_results');
    END IF;
    place := hail.cursor_place(cursor, scope);
    below := CASE WHEN place IS NULL THEN 9223372036854775807 ELSE ('x' || encode(substr(place, 1, 8), 'hex'))::bit(64)::bigint END;
    FOR row IN SELECT c, r.code FROM hail.surge_changes c LEFT JOIN hail.regions r ON r.id = c.region_id
               WHERE c.id < below AND (list_surge_changes.region IS NULL OR r.code = list_surge_changes.region)
               ORDER BY c.id DESC LIMIT max_results + 1 LOOP
        IF n > 0 THEN
            -- The row fetched past the page only tells that there is more.
            next_cursor := CASE WHEN n = max_results THEN hail.cursor_text(int8send(change.id) || '\x00000000000000000000000000000000', scope) END;
            RETURN NEXT;
        END IF;
        change := row.c;
        region_code := row.code;
        n := n + 1;
    END LOOP;
    IF n BETWEEN 1 AND max_results THEN
        next_cursor := NULL;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.list_surge_changes(text, integer, text) IS
'How surge was set, of one region (its code) or all (NULL), newest first, in pages of 1 to 100: cursor is next_cursor of the page before, of the same region. Administrators and analysts. Errors: not_found, invalid_value.';

CREATE FUNCTION hail.list_surge_history(region text, from_time timestamptz, to_time timestamptz, lat float8 DEFAULT NULL,
                                        lng float8 DEFAULT NULL, max_results integer DEFAULT 20, cursor text DEFAULT NULL,
                                        OUT cell bigint, OUT at timestamptz, OUT old_multiplier numeric, OUT new_multiplier numeric,
                                        OUT requests integer, OUT lookers integer, OUT supply integer, OUT ratio real, OUT cause text,
                                        OUT centre_lat float8, OUT centre_lng float8, OUT next_cursor text) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan -- with and without a place other indexes serve, in the order of the page
AS $$
DECLARE
    scope text := format('surge history of %s from %s to %s at %s, %s', region, extract(epoch FROM from_time),
                         extract(epoch FROM to_time), lat, lng);
    area hail.regions;
    place bytea;
    last_at timestamptz := to_time;
    last_cell bigint := -9223372036854775808;
    wanted bigint;
    row record;
    n integer := 0;
BEGIN
    PERFORM hail.require_prices_reader(region);
    SELECT * INTO area FROM hail.regions r WHERE r.code = list_surge_history.region;
    IF area.id IS NULL THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    ELSIF (isfinite(from_time)) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'from_time must be a definite time', 'from_time');
    ELSIF (isfinite(to_time) AND to_time > from_time AND to_time <= from_time + interval '31 days') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'to_time must be a definite time, at most 31 days after from_time', 'to_time');
    ELSIF coalesce(max_results, 0) NOT BETWEEN 1 AND 100 THEN
        PERFORM hail.fail('invalid_value', 'a page has 1 to 100 changes', 'max_results');
    END IF;
    IF lat IS NOT NULL OR lng IS NOT NULL THEN
        PERFORM hail.check_place(lat, lng);
        wanted := hail.hexagon_cell(lat, lng, area.hexagon_size_m);
    END IF;
    place := hail.cursor_place(cursor, scope);
    IF place IS NOT NULL THEN
        last_at := 'epoch'::timestamptz + ('x' || encode(substr(place, 1, 8), 'hex'))::bit(64)::bigint * interval '1 microsecond';
        last_cell := ('x' || encode(substr(place, 9, 8), 'hex'))::bit(64)::bigint;
    END IF;
    FOR row IN SELECT h.*, public.ST_Centroid(hail.hexagon(h.cell, h.hexagon_size_m)) AS centre FROM hail.surge_history h
               WHERE h.region_id = area.id AND h.at >= from_time AND h.at < to_time
                 -- Newest first, and of one moment by cell; a boundary by time alone prunes partitions.
                 AND h.at <= last_at AND (h.at < last_at OR h.cell > last_cell)
                 AND (wanted IS NULL OR h.cell = wanted AND h.hexagon_size_m = area.hexagon_size_m::real)
               ORDER BY h.at DESC, h.cell LIMIT max_results + 1 LOOP
        IF n > 0 THEN
            next_cursor := CASE WHEN n = max_results
                THEN hail.cursor_text(int8send((extract(epoch FROM at) * 1000000)::bigint) || int8send(cell) || '\x0000000000000000', scope) END;
            RETURN NEXT;
        END IF;
        cell := row.cell;
        at := row.at;
        old_multiplier := row.old_multiplier;
        new_multiplier := row.new_multiplier;
        requests := row.requests;
        lookers := row.lookers;
        supply := row.supply;
        ratio := row.ratio;
        cause := row.cause;
        centre_lat := public.ST_Y(row.centre);
        centre_lng := public.ST_X(row.centre);
        n := n + 1;
    END LOOP;
    IF n BETWEEN 1 AND max_results THEN
        next_cursor := NULL;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.list_surge_history(text, timestamptz, timestamptz, float8, float8, integer, text) IS
'Changes of multipliers in a region (its code) from a time until before another, 31 days at most, newest first, in pages of 1 to 100: of all hexagons, or of the one that holds a point as hexagons are now; with the counts of that tick and the hexagon''s centre. Administrators and analysts. Errors: not_found, invalid_value.';

GRANT EXECUTE ON FUNCTION hail.surge_control(text), hail.list_surge_changes(text, integer, text),
        hail.list_surge_history(text, timestamptz, timestamptz, float8, float8, integer, text)
    TO hail_admin, hail_analyst;
