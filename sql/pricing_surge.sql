-- Surge on a frozen clock that goes on by half a minute from tick to tick, in a square region on the equator;
-- road = great circle at 30 km/h.
SET timezone = 'UTC';
SET datestyle = 'ISO';
\set SHOW_CONTEXT never
\set one_km 0.008993216
SELECT hail.set_clock('2013-11-20 10:00+00');
SELECT code FROM hail.create_region('surge', 'Surge', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(20, -4, 22, -2, 4326));
UPDATE hail.regions SET distance_factor = 1, speed_kmh = 30 WHERE code = 'surge';
SELECT hail.load_sample_fares('surge');
SELECT count(*) > 0 AS partitions FROM hail.maintain_partitions();
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
CREATE FUNCTION pg_temp.customer() RETURNS uuid LANGUAGE sql AS
$$ SELECT (hail.register_user('+3519' || (20000000 + (SELECT count(*) FROM hail.users)), 'Customer', 'customer')).id $$;
CREATE FUNCTION pg_temp.demand(trips integer, lat float8, lng float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    quote uuid;
BEGIN
    FOR n IN 1..trips LOOP
        quote := (hail.create_quote(pg_temp.customer(), lat, lng, lat + 0.05, lng, 'comfort')).id;
        PERFORM hail.request_trip(quote, 'cash', idempotency_key => 'trip');
    END LOOP;
END $$;
CREATE TEMP TABLE supply (driver_id uuid, lat float8, lng float8);
CREATE FUNCTION pg_temp.supply(drivers integer, lat float8, lng float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    driver uuid;
BEGIN
    FOR n IN 1..drivers LOOP
        driver := (hail.register_user('+3519' || (20000000 + (SELECT count(*) FROM hail.users)), 'Driver', 'driver')).id;
        PERFORM hail.register_driver(driver, 'surge', '{economy}');
        PERFORM hail.approve_driver(driver);
        PERFORM hail.set_availability(driver, true, lat, lng);
        INSERT INTO supply VALUES (driver, lat, lng);
    END LOOP;
END $$;
-- Half a minute later, drivers reporting on the way, a tick; n times.
CREATE FUNCTION pg_temp.ticks(n integer, lat float8 DEFAULT -3, lng float8 DEFAULT 21)
RETURNS TABLE (at text, rows_written integer, surge numeric, why text) LANGUAGE plpgsql AS $$
BEGIN
    FOR k IN 1..n LOOP
        PERFORM hail.advance_clock('30 seconds');
        PERFORM hail.report_location(s.driver_id, s.lat, s.lng) FROM supply s;
        rows_written := hail.surge_tick();
        at := to_char(hail.clock(), 'HH24:MI:SS');
        surge := hail.surge_at(ticks.lat, ticks.lng);
        why := (SELECT e.why FROM hail.explain_surge(ticks.lat, ticks.lng) e);
        RETURN NEXT;
    END LOOP;
END $$;
CREATE TEMP VIEW surge AS
SELECT (h.cell >> 32) AS i, (h.cell << 32) >> 32 AS j, h.requests, h.lookers, h.supply, h.multiplier, h.held_until
FROM hail.surge_cells h JOIN hail.regions r ON r.id = h.region_id WHERE r.code = 'surge' ORDER BY 1, 2;
SELECT region_id, below_ratio, multiplier FROM hail.surge_steps ORDER BY 1, 2;
SELECT i, j FROM hail.hexagon_at(-3, 21, 1000);
SELECT count(*) > 0 AS index_built FROM hail.keep();

-- One hexagon by itself. Five trips and two drivers: ratio 2.5, 1.5, in three steps of a tick each.
SELECT mode, quote_weight, neighbour_weight, reason FROM hail.set_surge('surge', quote_weight => 0, neighbour_weight => 0);
SELECT hail.surge_tick() AS nothing_to_do;
SELECT pg_temp.supply(2, -3, 21);
SELECT pg_temp.demand(5, -3, 21);
SELECT * FROM pg_temp.ticks(11);
SELECT * FROM surge;
SELECT hail.surge_at(-3, 21), hail.surge_at(-3, 21.5), hail.surge_at(-3, 40);
SELECT service_class, surge, pickup_eta_s FROM hail.estimate_fares(-3, 21 + :one_km, -3, 21.1, '{economy,premium}');
SELECT surge, total FROM hail.create_quote(pg_temp.customer(), -3, 21, -3, 21 + 10 * :one_km, 'economy');
SELECT multiplier, (hail.hexagon_at(-3, 21, 1000)).cell = cell AS at_21, ST_Contains(hexagon, ST_SetSRID(ST_MakePoint(21, -3), 4326))
FROM hail.surge_map(-3, 21.02, 5000);
SELECT count(*) AS too_far FROM hail.surge_map(-3, 21.2, 5000);
SELECT pg_temp.refusal('SELECT hail.surge_map(-3, 21, 10)'), pg_temp.refusal('SELECT hail.surge_at(0, 200)');
\x on
SELECT * FROM hail.explain_surge(-3, 21);
SELECT supply, ratio, multiplier, why, explanation FROM hail.explain_surge(-3, 21.5);
\x off
-- The demand is gone: the surge is held for five minutes after it last rose, then falls one step a tick.
UPDATE hail.trips SET requested_at = '2013-11-20 09:00+00' WHERE requested_at = '2013-11-20 10:00+00';
SELECT * FROM pg_temp.ticks(12);
SELECT count(*) AS cells FROM surge;
-- Each change is in the history, in the partition of its day.
SELECT h.tableoid::regclass AS partition, at, old_multiplier, new_multiplier, requests, lookers, supply, round(ratio::numeric, 2) AS ratio, cause
FROM hail.surge_history h JOIN hail.regions r ON r.id = h.region_id WHERE r.code = 'surge' ORDER BY at;
SELECT count(*) AS places FROM (SELECT DISTINCT hail.hexagon(cell, hexagon_size_m) FROM hail.surge_history
                               WHERE region_id = (SELECT id FROM hail.regions WHERE code = 'surge')) h;

-- Past the table's end half the ratio, up to the cap. An impulse does not get there: it takes nine ticks.
SELECT pg_temp.demand(30, -3, 21);
SELECT * FROM pg_temp.ticks(11);
-- Frozen: nothing moves, whatever the counts. Off: nothing is left, at once.
SELECT old_mode, mode, old_cap, cap, reason FROM hail.set_surge('surge', 'frozen', reason => 'fair');
UPDATE hail.trips SET requested_at = '2013-11-20 09:00+00' WHERE requested_at > '2013-11-20 10:00+00';
SELECT * FROM pg_temp.ticks(14);
SELECT explanation FROM hail.explain_surge(-3, 21);
BEGIN;
SELECT mode FROM hail.set_surge('surge', 'off');
SELECT hail.surge_at(-3, 21) AS seen_here;
ROLLBACK;
SELECT hail.surge_at(-3, 21) AS as_if_nothing_had_been;
SELECT mode FROM hail.set_surge('surge', 'off');
SELECT hail.surge_at(-3, 21), (SELECT count(*) FROM surge) AS rows, (SELECT surge FROM hail.estimate_fares(-3, 21, -3, 21.1, '{economy}'));
SELECT pg_temp.demand(30, -3, 21);
SELECT * FROM pg_temp.ticks(2);
SELECT explanation FROM hail.explain_surge(-3, 21);
SELECT mode FROM hail.set_surge('surge', 'on');
SELECT * FROM pg_temp.ticks(9);
-- A lower cap acts at once, through a hold too. A higher one needs a reason above 3.
SELECT old_cap, cap FROM hail.set_surge('surge', cap => 1.8);
SELECT hail.surge_at(-3, 21);
SELECT why, explanation FROM hail.explain_surge(-3, 21);
SELECT pg_temp.refusal($$SELECT hail.set_surge('surge', cap => 4)$$);
SELECT old_cap, cap, reason FROM hail.set_surge('surge', cap => 4, reason => 'New Year''s Eve');
SELECT * FROM pg_temp.ticks(9);
-- Written past set_surge() it is in the log all the same.
UPDATE hail.regions SET surge_cap = 5 WHERE code = 'surge';
UPDATE hail.regions SET surge_cap = 1.3 WHERE code = 'surge';
SELECT hail.surge_at(-3, 21);
SELECT old_mode, mode, old_cap, cap, old_quote_weight, quote_weight, old_neighbour_weight, neighbour_weight, changed_by, login = session_user AS by_me, reason
FROM hail.surge_changes WHERE region_id = (SELECT id FROM hail.regions WHERE code = 'surge') ORDER BY id;
SELECT pg_temp.refusal('UPDATE hail.surge_changes SET cap = 1'), pg_temp.refusal('DELETE FROM hail.surge_changes'),
       pg_temp.refusal('TRUNCATE hail.surge_changes');
SELECT pg_temp.refusal('SELECT hail.set_surge(' || args || ')') FROM (VALUES (1, '''nowhere'', ''on'''), (2, '''surge'''),
    (3, '''surge'', ''sometimes'''), (4, '''surge'', cap => 0.5'), (5, '''surge'', cap => 11, reason => ''x'''),
    (6, '''surge'', cap => 2.505'), (7, '''surge'', cap => ''NaN'''), (8, '''surge'', quote_weight => 2'),
    (9, '''surge'', neighbour_weight => -1'), (10, '''surge'', cap => 3.5, reason => '' ''')) a (n, args) ORDER BY n;
SELECT cap, reason FROM hail.set_surge('surge', cap => 3, quote_weight => 0.2);

-- A ratio table of a region's own; what would make no sense is refused, by whatever way it comes.
SELECT below_ratio, multiplier FROM hail.set_surge_steps('surge', '{2,1}', '{1,1}');
SELECT below_ratio, multiplier FROM hail.set_surge_steps('surge', '{1.5,6}', '{1,1.25}');
SELECT pg_temp.demand(5, -2.1, 21);
SELECT at, surge, why FROM pg_temp.ticks(4, -2.1);
SELECT target, explanation FROM hail.explain_surge(-2.1, 21);
SELECT pg_temp.refusal('SELECT hail.set_surge_steps(' || args || ')') FROM (VALUES (1, '''nowhere'', NULL, NULL'), (2, '''surge'', ''{1}'', NULL'),
    (3, '''surge'', NULL, ''{1}'''), (4, '''surge'', ''{}'', ''{}'''), (5, '''surge'', ''{1,2}'', ''{1}'''), (6, '''surge'', ''{1,NULL}'', ''{1,2}'''),
    (7, '''surge'', ''{1,NaN}'', ''{1,2}'''), (8, '''surge'', ''{1,Infinity}'', ''{1,2}'''), (9, '''surge'', ''{0,1}'', ''{1,2}'''),
    (10, '''surge'', ''{1,2}'', ''{1,NaN}'''), (11, '''surge'', ''{1,2}'', ''{0.9,2}'''), (12, '''surge'', ''{1,2}'', ''{1,10.5}'''),
    (13, '''surge'', ''{1,2}'', ''{1,1.505}'''), (14, '''surge'', ''{1,1}'', ''{1,2}'''), (15, '''surge'', ''{1,2}'', ''{2,1.5}'''),
    (16, '''surge'', ''{{1},{2}}'', ''{{1},{2}}''')) a (n, args) ORDER BY n;
SELECT pg_temp.refusal(format('INSERT INTO hail.surge_steps SELECT id, %s FROM hail.regions WHERE code = ''surge''', v)) FROM (VALUES
    (1, '''NaN'', 2'), (2, '''Infinity'', 2'), (3, '1e7, 2'), (4, '9, ''NaN'''), (5, '9, 10.01'), (6, '9, 1.25'), (7, '1, 1.1')) a (n, v) ORDER BY n;
SELECT pg_temp.refusal('UPDATE hail.surge_steps SET multiplier = 1.2 WHERE region_id IS NULL AND below_ratio = 3');
SELECT below_ratio, multiplier FROM hail.set_surge_steps('surge', NULL, NULL);
SELECT reason, old_cap = cap AS same_cap FROM hail.surge_changes WHERE reason LIKE 'ratio%' ORDER BY id;
-- A region that begins above the usual cap is on record too.
BEGIN;
INSERT INTO hail.regions (code, name, currency, timezone, boundary, surge_cap)
SELECT v.code, v.code, 'EUR', 'UTC', ST_Multi(ST_MakeEnvelope(v.west, -40, v.west + 1, -39, 4326)), v.cap FROM (VALUES ('high', 100, 4.5), ('usual', 102, 3)) v (code, west, cap);
SELECT r.code, c.old_cap, c.cap, c.mode, c.reason FROM hail.surge_changes c JOIN hail.regions r ON r.id = c.region_id WHERE r.code IN ('high', 'usual');
ROLLBACK;

-- Who only looks counts a fifth; with several quotes, of one set or not, once; with a trip not at all.
SELECT hail.surge_settle(id, true, 'off', hexagon_size_m) FROM hail.regions WHERE code = 'surge';
UPDATE hail.trips SET requested_at = '2013-11-20 09:00+00' WHERE requested_at > '2013-11-20 10:00+00';
SELECT hail.advance_clock('10 minutes') IS NOT NULL AS later;
SELECT pg_temp.customer() AS ada \gset
SELECT pg_temp.customer() AS bea \gset
SELECT count(hail.create_quote(c::uuid, -3, 21, -3, 21.1, class)) AS quotes
FROM (VALUES (:'ada'), (:'bea')) c (c), (VALUES ('economy'), ('comfort'), ('premium')) k (class);
SELECT count(hail.create_quote(:'ada', -3, 21 + n / 10.0, -3, 21.5, 'economy')) AS quotes FROM generate_series(1, 2) n;
SELECT (hail.request_trip(q.id, 'cash', idempotency_key => 'looked')).state FROM hail.quotes q
WHERE q.customer_id = :'bea' AND q.service_class = 'comfort';
SELECT count(*) FROM pg_temp.ticks(1);
SELECT requests, lookers, ratio FROM hail.explain_surge(-3, 21);
SELECT requests, lookers, ratio FROM hail.explain_surge(-3, 21.1);

-- Whoever asks and cancels, again and again, is one customer.
CREATE FUNCTION pg_temp.ask_and_cancel(customer uuid, key text) RETURNS hail.trips LANGUAGE sql AS
$$ SELECT hail.cancel_trip((hail.request_trip((hail.create_quote(customer, -2.2, 21, -2.2, 21.05, 'economy')).id, 'cash', idempotency_key => key)).id, 'customer', 'x') $$;
SELECT pg_temp.customer() AS cleo \gset
SELECT count((pg_temp.ask_and_cancel(:'cleo', 'again ' || n)).state) AS cancelled FROM generate_series(1, 12) n;
SELECT count(*) FROM pg_temp.ticks(1);
SELECT requests, lookers, multiplier FROM hail.explain_surge(-2.2, 21);
UPDATE hail.trips SET requested_at = '2013-11-20 09:00+00' WHERE customer_id = :'cleo';
UPDATE hail.quotes SET created_at = '2013-11-20 09:00+00' WHERE customer_id = :'cleo';

-- Neighbours: drivers next door help, much demand falls to the hexagons around.
SELECT neighbour_weight FROM hail.set_surge('surge', neighbour_weight => 0.3);
SELECT pg_temp.demand(60, -2.5, 21);
SELECT count(*) FROM pg_temp.ticks(9);
SELECT i, j, requests, supply, multiplier FROM surge;
SELECT count(*) AS hexagons, count(*) FILTER (WHERE multiplier < 2) AS around FROM hail.surge_map(-2.5, 21, 3000);
-- The map is what a search by geography would find.
SELECT count(*) AS differ FROM (VALUES (100), (900), (1000), (1500), (1700), (2000), (2600), (3400), (50000)) d (metres),
    LATERAL (SELECT array_agg(m.cell ORDER BY m.cell) AS cells FROM hail.surge_map(-2.5 + 0.01, 21 + 0.013, metres) m) got,
    LATERAL (SELECT array_agg(s.cell ORDER BY s.cell) AS cells FROM hail.surge_cells s JOIN hail.regions r ON r.id = s.region_id
             WHERE r.code = 'surge' AND s.multiplier > 1 AND ST_DWithin(hail.hexagon(s.cell, 1000)::geography,
                 ST_SetSRID(ST_MakePoint(21.013, -2.49), 4326)::geography, metres, false)) expected
WHERE got.cells IS DISTINCT FROM expected.cells;

-- Shared memory follows whoever changes the rows, when that is committed.
SELECT area, status, regexp_replace(detail, '\d+', 'N', 'g') AS detail FROM hail.check_surge();
SELECT in_memory, filled, cells >= surging AS counted, left_out, last_tick FROM hail.surge_stats();
BEGIN;
UPDATE hail.surge_cells SET multiplier = 2.5 WHERE cell = (hail.hexagon_at(-2.5, 21, 1000)).cell;
SELECT hail.surge_at(-2.5, 21) AS own_change;
SAVEPOINT s;
SELECT hail.surge_tick() > 0 AS ticked;
ROLLBACK TO s;
SELECT hail.surge_at(-2.5, 21) AS own_change;
COMMIT;
SELECT hail.surge_at(-2.5, 21) AS from_the_row, filled FROM hail.surge_stats();
SELECT status, detail, hint FROM hail.check_surge();
SELECT hail.surge_refill() > 0 AS refilled;
SELECT hail.surge_at(-2.5, 21) AS from_memory, filled FROM hail.surge_stats();
BEGIN;
SELECT hail.surge_tick() >= 0 AS ticked;
PREPARE TRANSACTION 'surge';
-- Hexagons of another size: what was said of the old ones is gone.
UPDATE hail.regions SET hexagon_size_m = 500 WHERE code = 'surge';
SELECT hail.surge_at(-2.5, 21), (SELECT count(*) FROM surge) AS rows, (SELECT count(*) > 0 FROM hail.surge_history WHERE cause = 'grid' AND at = hail.clock()) AS told;

-- Customers see multipliers and nothing else.
SELECT hail.issue_token(:'ada', '1 hour') AS token \gset
BEGIN;
SELECT role FROM hail.authenticate(:'token');
SELECT hail.surge_at(-2.5, 21);
SELECT count(*) FROM hail.surge_map(-2.5, 21);
SELECT hail.explain_surge(-2.5, 21);
ROLLBACK;
SELECT proname, array(SELECT g.grantee::regrole::text FROM aclexplode(p.proacl) g WHERE g.grantee <> p.proowner ORDER BY 1) AS callers
FROM pg_proc p WHERE p.pronamespace = 'hail'::regnamespace AND p.proname ~ 'surge' ORDER BY 1;

-- Leave nothing that other tests could meet.
DELETE FROM hail.surge_cells;
SELECT count(hail.set_availability(driver_id, false)) AS drivers_gone FROM supply;
SELECT count(hail.cancel_trip(t.id, 'admin', 'test over')) > 0 AS trips_gone
FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id WHERE r.code = 'surge' AND t.state = 'searching';
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
