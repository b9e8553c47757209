-- A region, people, money, one trip paid by wallet, one by cash, one under way with its hold, positions.
SELECT hail.set_clock('2024-05-06 10:00+00', 0);
SELECT hail.create_region('gridport', 'Gridport', 'EUR', 'UTC', public.ST_MakeEnvelope(-40.15, 29.90, -39.85, 30.10, 4326));
SELECT hail.load_sample_fares('gridport');
-- Price lists planned, withdrawn and ended, a rule, an event.
SELECT hail.set_fare('gridport', 'xl', 2500, 600, 80, 3500, 1700, effective_from => '2024-06-01 00:00+00', waiting_per_minute => 50, waiting_max => 500);
SELECT hail.cancel_fare((hail.set_fare('gridport', 'xl', 2600, 600, 80, 3500, 1700, effective_from => '2024-07-01 00:00+00')).id);
-- An experiment that runs keeps its variants; a restore makes them anew.
SELECT hail.create_experiment('gridport', ARRAY[('control', true, 5000, 1), ('dearer', false, 5000, 1.1)]::hail.variant_input[], 'gridport');
SELECT hail.start_experiment('gridport');
SELECT hail.end_fare('gridport', 'premium', '2024-08-01 00:00+00');
SELECT hail.add_time_rule('gridport', 'sunday', '00:00', '24:00', 1.1, '{7}');
SELECT hail.create_event_area('gridport', 'fair', 1.5, '2024-06-01 00:00+00', '2024-06-02 00:00+00', lat => 30, lng => -40, radius_m => 500);
SELECT hail.register_user('+88810000000' || n, 'Customer ' || n, 'customer') FROM generate_series(1, 3) n;
SELECT hail.register_user('+88820000000' || n, 'Driver ' || n, 'driver') FROM generate_series(1, 3) n;
SELECT hail.register_driver(id, 'gridport', ARRAY['economy']) FROM hail.users WHERE role = 'driver';
SELECT hail.approve_driver(id), hail.add_vehicle(id, 'GP-' || right(phone, 1), 'Sedan', 'blue', 2022, 4) FROM hail.users WHERE role = 'driver';
SELECT hail.post_transaction('DEPOSIT', ARRAY[ROW(g.id, 'debit', 50000), ROW(w.id, 'credit', 50000)]::hail.entry_input[], 'funds:' || u.id)
FROM hail.users u, LATERAL hail.open_account('GATEWAY_CLEARING', NULL, 'EUR') AS g,
     LATERAL hail.open_account('CUSTOMER_WALLET', u.id, 'EUR') AS w WHERE u.role = 'customer';
-- A small road network, in use: two ways a quicker and a shorter one.
CREATE EXTENSION pgrouting;
SELECT hail.load_roads('gridport', '{"node_id,lat,lng","1,30.00,-40.00","2,30.00,-39.98","3,30.02,-39.99"}',
    '{"from_node,to_node,seconds","1,2,900","1,3,200","3,2,200"}');
SELECT hail.set_road_network('gridport', true, 1.1);
SELECT * FROM hail.keep();
SELECT hail.create_geofence('airport', 'Airport', ST_MakeEnvelope(-40.01, 29.99, -39.99, 30.01, 4326));
SELECT hail.set_availability(id, true, 30.001, -40.001) FROM hail.users WHERE role = 'driver';
SELECT * FROM hail.keep();
-- Surge with a raised cap, its log and a change of a multiplier, far from the trips.
SELECT hail.set_surge('gridport', cap => 4, reason => 'fair', quote_weight => 0.1);
INSERT INTO hail.surge_cells (region_id, cell, multiplier, held_until, updated_at)
SELECT id, 0, 3.5, hail.clock() + interval '5 minutes', hail.clock() FROM hail.regions;
SELECT hail.set_surge('gridport', cap => 3.2);
SELECT hail.set_surge_steps('gridport', '{1,2}', '{1,1.4}');

-- A currency of a DBA's own is dumped; those that come with the extension are not.
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XTS', 2, 1);
CREATE FUNCTION pg_temp.ride(n integer, method text, whole boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    customer uuid := (SELECT id FROM hail.users WHERE phone = '+88810000000' || n);
    driver uuid := (SELECT id FROM hail.users WHERE phone = '+88820000000' || n);
    quote hail.quotes := hail.create_quote(customer, 30, -40, 30.05, -40.02, 'economy');
    trip hail.trips := hail.request_trip(quote.id, method, idempotency_key => 'ride-' || n);
BEGIN
    PERFORM hail.accept_offer(trip.id, driver);
    PERFORM hail.advance_clock('30 seconds');
    PERFORM hail.report_location(driver, 30.0005, -40.0005);
    IF whole THEN
        PERFORM hail.arrive(trip.id);
        PERFORM hail.start_trip(trip.id, (hail.get_trip(trip.id)).pickup_code);
        PERFORM hail.complete_trip(trip.id);
    END IF;
END
$$;
SELECT pg_temp.ride(1, 'wallet', true);
SELECT hail.report_location(id, 30.001, -40.001) FROM hail.users WHERE role = 'driver';
SELECT pg_temp.ride(2, 'cash', true);
SELECT hail.report_location(id, 30.001, -40.001) FROM hail.users WHERE role = 'driver';
SELECT pg_temp.ride(3, 'wallet', false);
SELECT * FROM hail.keep();
-- ETAs have learnt, and one trip waits.
SELECT hail.queue_eta_trips('gridport', array_agg('2024-05-06 12:00+00'::timestamptz), array_agg(30), array_agg(-40), array_agg(30.05),
    array_agg(-40.02), array_agg(1000 + n)) FROM generate_series(1, 50) n;
SELECT hail.learn_eta();
SELECT hail.queue_eta_trips('gridport', '{2024-05-06 12:00+00}', '{30}', '{-40}', '{30.05}', '{-40.02}', '{1500}');
