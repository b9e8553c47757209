-- People for the dispatcher to serve: 400 customers and 80 drivers on a road along the equator, nobody online yet.
SELECT hail.create_region('worker', 'Worker', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(100, -1, 102, 1, 4326));
SELECT hail.set_fare('worker', 'economy', 1000, 350, 50, 1500, 1500);
INSERT INTO hail.dispatch_policies (region_id, patience, retry_after) SELECT id, '1 hour', '1 second' FROM hail.regions WHERE code = 'worker';
SELECT count(hail.register_user('+4420000' || to_char(n, 'FM0000'), 'C' || n, 'customer')) FROM generate_series(1, 400) n;
DO $$
BEGIN
    FOR i IN 1..80 LOOP
        PERFORM hail.approve_driver((hail.register_driver(
            (hail.register_user('+4430000' || to_char(i, 'FM0000'), 'D' || i, 'driver')).id, 'worker', ARRAY['economy'])).id);
    END LOOP;
END
$$;
CREATE FUNCTION online(yes boolean) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(hail.set_availability(u.id, yes, 0, 101 + substr(u.name, 2)::integer * 0.0002))
    FROM hail.users u WHERE u.name ~ '^D' AND u.phone ~ '^\+443'
$$;
CREATE FUNCTION request(customers int4range, strategy text) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(hail.request_trip((hail.create_quote(u.id, 0, 101 + (substr(u.name, 2)::integer % 80) * 0.0002, 0, 101.1, 'economy')).id,
                                   'cash', strategy, gen_random_uuid()::text))
    FROM hail.users u WHERE u.name ~ '^C' AND u.phone ~ '^\+442' AND substr(u.name, 2)::integer <@ customers
$$;
CREATE FUNCTION cancel_all() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(hail.cancel_trip(id, 'customer')) FROM hail.trips WHERE state = 'searching' $$;
-- Trips that a dispatcher who does its work does not leave lying.
CREATE VIEW late AS SELECT * FROM hail.trips WHERE next_round_at < hail.clock() - interval '2 seconds'
    OR state = 'searching' AND pooled_at < hail.clock() - interval '8 seconds' AND round = 0;
