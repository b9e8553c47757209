-- Surge on a frozen clock, in a square region on the equator; road = great circle at 30 km/h.
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
\set one_km 0.008993216
SELECT hail.set_clock('2013-11-20 10:00+00');
SELECT code FROM hail.create_region('surge', 'Surge', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(20, -4, 22, -2, 4326));
UPDATE hail.regions SET distance_factor = 1, speed_kmh = 30 WHERE code = 'surge';
SELECT hail.load_sample_fares('surge');
CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    field text; hint text; state text;
BEGIN
    EXECUTE call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', (SELECT e.code FROM hail.error_codes() e WHERE e.sqlstate = state), nullif(field, ''), SQLERRM, nullif(hint, ''));
END $$;

-- Surge: trips requested in the last ten minutes over available drivers, per hexagon, one step a tick.
SELECT region_id, below_ratio, multiplier FROM hail.surge_steps ORDER BY 1, 2;
CREATE FUNCTION pg_temp.demand(trips integer, lat float8, lng float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    customer uuid; quote uuid;
BEGIN
    FOR n IN 1..trips LOOP
        customer := (hail.register_user('+3519' || (20000000 + (SELECT count(*) FROM hail.users)), 'Customer', 'customer')).id;
        quote := (hail.create_quote(customer, lat, lng, lat + 0.05, lng, 'comfort')).id;
        PERFORM hail.request_trip(quote, 'cash', idempotency_key => 'trip');
    END LOOP;
END $$;
CREATE TEMP TABLE supply (driver_id uuid);
CREATE FUNCTION pg_temp.supply(drivers integer, lat float8, lng float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    driver uuid;
BEGIN
    FOR n IN 1..drivers LOOP
        driver := (hail.register_user('+3519' || (20000000 + (SELECT count(*) FROM hail.users)), 'Driver', 'driver')).id;
        PERFORM hail.register_driver(driver, 'surge', '{economy}');
        PERFORM hail.approve_driver(driver);
        PERFORM hail.set_availability(driver, true, lat, lng);
        INSERT INTO supply VALUES (driver);
    END LOOP;
END $$;
CREATE TEMP VIEW surge AS
SELECT (h.cell >> 32) AS i, (h.cell << 32) >> 32 AS j, h.demand, h.supply, h.multiplier, h.held_until
FROM hail.surge_cells h JOIN hail.regions r ON r.id = h.region_id WHERE r.code = 'surge';
-- Runs ticks and tells the surge after each.
CREATE FUNCTION pg_temp.ticks(n integer) RETURNS TABLE (cells_written integer, surge numeric) LANGUAGE plpgsql AS $$
BEGIN
    FOR k IN 1..n LOOP
        cells_written := hail.surge_tick();
        surge := (SELECT multiplier FROM pg_temp.surge);
        RETURN NEXT;
    END LOOP;
END $$;
SELECT i, j FROM hail.hexagon_at(-3, 21, 1000);
SELECT count(*) > 0 AS index_built FROM hail.keep();
SELECT hail.surge_tick() AS nothing_to_do;
SELECT pg_temp.supply(2, -3, 21);
SELECT pg_temp.demand(1, -3, 21);
SELECT hail.surge_tick();
SELECT * FROM surge;
SELECT pg_temp.demand(4, -3, 21);  -- ratio 2.5: 1.5, in three steps
SELECT * FROM pg_temp.ticks(4);
SELECT hail.surge_at(-3, 21), hail.surge_at(-3, 21.5), hail.surge_at(-3, 40);
-- Drivers are 1 km away from this pickup, 2 minutes; they serve no higher class.
SELECT service_class, pickup_eta_s FROM hail.estimate_fares(-3, 21 + :one_km, -3, 21.1, '{economy,premium}');
SELECT * FROM surge;
SELECT surge, multiplier_amount, total FROM hail.estimate_fare('surge', -3, 21, -3, 21 + 10 * :one_km, 'economy');
SELECT multiplier, (hail.hexagon_at(-3, 21, 1000)).cell = cell AS at_21, ST_Contains(hexagon, ST_SetSRID(ST_MakePoint(21, -3), 4326))
FROM hail.surge_map(-3, 21.02, 5000);
SELECT count(*) AS too_far FROM hail.surge_map(-3, 21.2, 5000);
SELECT pg_temp.refusal('SELECT hail.surge_map(-3, 21, 10)'), pg_temp.refusal('SELECT hail.surge_at(0, 200)');
-- The demand ages out; the surge is held for five minutes after it rose, then falls one step a tick, and is gone.
SELECT hail.set_clock('2013-11-20 10:04:59+00');
UPDATE hail.trips SET requested_at = '2013-11-20 09:00+00' WHERE requested_at = '2013-11-20 10:00+00';
SELECT hail.surge_tick();
SELECT * FROM surge;
SELECT hail.set_clock('2013-11-20 10:05+00');
SELECT * FROM pg_temp.ticks(4);
SELECT count(*) AS cells FROM surge;
-- Without drivers the ratio is the demand; half the ratio past the table's end, up to the region's cap.
SELECT pg_temp.demand(5, -2.5, 21);
SELECT * FROM pg_temp.ticks(7);
SELECT demand, supply, multiplier FROM surge;
UPDATE hail.regions SET surge_cap = 2 WHERE code = 'surge';
SELECT hail.surge_tick();
SELECT demand, supply, multiplier FROM surge;
-- A region may have a table of its own.
INSERT INTO hail.surge_steps SELECT id, 100, 1.25 FROM hail.regions WHERE code = 'surge';
SELECT hail.set_clock('2013-11-20 10:14+00');
SELECT hail.surge_tick();
SELECT demand, supply, multiplier FROM surge;

-- Leave nothing that other tests could meet.
DELETE FROM hail.surge_cells; DELETE FROM hail.surge_steps WHERE region_id IS NOT NULL;
SELECT count(hail.set_availability(driver_id, false)) AS drivers_gone FROM supply;
SELECT count(hail.cancel_trip(t.id, 'admin', 'test over')) AS trips_gone
FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id WHERE r.code = 'surge';
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
