-- Without shared memory (here: in another database than hail.database) surge works from its rows.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE DATABASE surge_tables;
\c surge_tables
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE EXTENSION pg_hail CASCADE;
SELECT hail.set_clock('2026-05-02 09:00+00') IS NOT NULL AS clock_set;
SELECT count(*) > 0 AS partitions FROM hail.maintain_partitions();
SELECT code FROM hail.create_region('tables', 'Tables', 'EUR', 'UTC', ST_MakeEnvelope(20, -4, 22, -2, 4326));
SELECT quote_weight, neighbour_weight FROM hail.set_surge('tables', quote_weight => 0, neighbour_weight => 0);
SELECT status, detail FROM hail.check_surge();
SELECT in_memory, filled, cells FROM hail.surge_stats();
-- Eight requests and two drivers.
CREATE FUNCTION id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT ('00000005-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
INSERT INTO hail.users (id, name, role) SELECT id(n), 'driver ' || n, 'driver' FROM generate_series(1, 2) n;
INSERT INTO hail.drivers (id, region_id, service_classes, class_mask, status, online)
SELECT id(n), (SELECT r.id FROM hail.regions r), '{economy}', 1, 'approved', true FROM generate_series(1, 2) n;
SELECT hail.report_locations(ARRAY[id(1), id(2)], '{-3,-3}', '{21,21}');
SET session_replication_role = replica;
INSERT INTO hail.trips (region_id, service, service_class, customer_id, quote_id, state, strategy, payment_method, pickup_lat,
    pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge,
    policy_id, idempotency_key, requested_at)
SELECT r.id, 'ride', 'economy', id(100 + n), id(200 + n), 'cancelled', 'first_accept', 'cash', -3, 21, -3, 21.1, 1, 1, 1, 1, 1,
       'EUR', 1, 1, n, hail.clock() - interval '1 second' FROM generate_series(1, 8) n, hail.regions r;
RESET session_replication_role;
CREATE FUNCTION tick(OUT written integer, OUT at_place numeric, OUT smoothed numeric, OUT why text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.advance_clock('25 seconds'), hail.report_locations(ARRAY[id(1), id(2)], '{-3,-3}', '{21,21}');
    written := hail.surge_tick();
    at_place := hail.surge_at(-3, 21);
    SELECT e.smoothed_ratio, e.why INTO smoothed, why FROM hail.explain_surge(-3, 21) e;
END $$;
-- The first tick knows no average: it takes the counts. Averages are in the row.
SELECT * FROM tick();
SELECT * FROM tick();
UPDATE hail.trips SET requested_at = requested_at - interval '1 hour';
SELECT * FROM tick();
SELECT requests, supply, multiplier, round(smoothed_demand::numeric, 2) AS smoothed_demand, held_until FROM hail.surge_cells;
SELECT old_multiplier, new_multiplier, requests, cause FROM hail.surge_history ORDER BY at;
SELECT count(*) AS cells, min(multiplier) FROM hail.surge_map(-3, 21, 1000);
-- A customer counts once, and as often as trips of theirs are not over, whatever came first. Waiting trips do not count.
SET session_replication_role = replica;
INSERT INTO hail.trips (region_id, service, service_class, customer_id, quote_id, state, strategy, payment_method, pickup_lat,
    pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge,
    policy_id, idempotency_key, requested_at, scheduled_for, driver_id)
SELECT r.id, 'delivery', 'bicycle', id(300 + c), id(400 + 10 * c + n::integer), t.state,
       CASE t.state WHEN 'scheduled' THEN 'scheduled' ELSE 'first_accept' END, 'cash', -2.2, 21 - c / 10.0, -3, 21.1, 1, 1, 1, 1, 1,
       'EUR', 1, 1, n, hail.clock() - interval '1 minute' + n * interval '1 second',
       CASE t.state WHEN 'scheduled' THEN hail.clock() + interval '1 day' END, CASE t.state WHEN 'completed' THEN id(1) END
FROM (VALUES (1, '{cancelled,cancelled,no_drivers,completed}'::text[]), (2, '{cancelled,searching,cancelled,searching,searching}'),
             (3, '{searching,cancelled,searching}'), (4, '{scheduled}'), (5, '{scheduled,cancelled}')) c (c, states),
     unnest(c.states) WITH ORDINALITY t (state, n), hail.regions r;
RESET session_replication_role;
SELECT count(*) FROM tick();
SELECT c, e.requests, e.lookers FROM generate_series(1, 5) c, hail.explain_surge(-2.2, 21 - c / 10.0) e ORDER BY c;
-- Hexagons of another size, and a region that goes: the history knows the hexagons that were, and no row stays.
INSERT INTO hail.surge_cells (region_id, cell, multiplier, updated_at) SELECT r.id, 7, 1.5, hail.clock() FROM hail.regions r;
UPDATE hail.regions SET hexagon_size_m = 700;
SELECT new_multiplier, hexagon_size_m, cause FROM hail.surge_history WHERE cell = 7;
SELECT count(*) AS rows FROM hail.surge_cells;
BEGIN;
INSERT INTO hail.surge_cells (region_id, cell, multiplier, updated_at) SELECT r.id, 8, 1.5, hail.clock() FROM hail.regions r;
SET LOCAL session_replication_role = replica; -- without what refers to the region; surge's own trigger is there always
DELETE FROM hail.regions;
SELECT new_multiplier, hexagon_size_m, cause FROM hail.surge_history WHERE cell = 8;
SELECT count(*) AS rows FROM hail.surge_cells;
ROLLBACK;
SELECT mode FROM hail.set_surge('tables', 'off', reason => 'enough');
SELECT hail.surge_at(-3, 21), (SELECT count(*) FROM hail.surge_cells) AS rows, hail.surge_refill() AS nothing_to_fill;
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
\c hail
SET client_min_messages = warning;
DROP DATABASE surge_tables;
