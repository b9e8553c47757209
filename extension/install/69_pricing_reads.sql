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
