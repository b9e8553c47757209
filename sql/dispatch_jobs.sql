-- Deliveries and porter jobs on a frozen clock: stops in order with their proofs, returns, loads, codes, several jobs at once.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-22 10:00+00');

SELECT * FROM hail.stop_transitions ORDER BY from_state, action, actor;

-- A region on the equator; K1 ... K3 drive vans, R1 drives both people and goods.
SELECT (hail.create_region('jobs', 'Jobs', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(40, -1, 42, 1, 4326))).code;
SELECT (hail.set_fare('jobs', 'economy', 1000, 350, 50, 1500, 1500)).id IS NOT NULL AS ride,
       (hail.set_fare('jobs', 'van', 1000, 350, 50, 1500, 1500, 0, 300, stop_fee => 250)).id IS NOT NULL AS van,
       (hail.set_fare('jobs', 'motorcycle', 500, 200, 20, 700, 1000, stop_fee => 100)).id IS NOT NULL AS motorcycle;
SELECT hail.set_fare('jobs', 'van', 1000, 350, 50, 1500, 1500, stop_fee => -1);
CREATE FUNCTION who(text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT id FROM hail.users WHERE name = $1 AND phone ~ '^\+3519[67]00000' $$;
CREATE FUNCTION name_of(uuid) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM hail.users WHERE id = $1';
CREATE FUNCTION tell_all() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(hail.report_location(who(n), 0, 41 + i * 0.002)) FROM unnest(ARRAY['K1', 'K2', 'K3', 'R1']) WITH ORDINALITY AS d (n, i) $$;
-- Stops 1.1 km apart: p pickup, d dropoff, photo and none as proof.
CREATE FUNCTION stops(VARIADIC kinds text[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('lat', 0, 'lng', 41 + (i - 1) * 0.01,
        'kind', CASE WHEN k = 'p' THEN 'pickup' ELSE 'dropoff' END, 'proof', CASE WHEN k IN ('photo', 'none') THEN k END,
        'contactName', 'Person ' || i, 'contactPhone', '+4915550000' || i, 'address', i || ' High Street')) ORDER BY i)
    FROM unnest(kinds) WITH ORDINALITY AS s (k, i) $$;
CREATE FUNCTION quote(customer text, class text, stops jsonb) RETURNS uuid LANGUAGE sql AS
$$ SELECT (hail.create_job_quote(who(customer), stops, class)).id $$;
CREATE FUNCTION job(customer text, key text, weight real DEFAULT NULL, volume real DEFAULT NULL) RETURNS uuid LANGUAGE sql AS
$$ SELECT (hail.request_porter_job(quote(customer, 'van', stops('p', 'none')), stops('p', 'none'), 'cash', key, 'boxes', weight, volume)).id $$;
CREATE FUNCTION seen(trip uuid) RETURNS TABLE (seq smallint, kind text, state text, proof text, code boolean, contact_name text, back smallint)
LANGUAGE sql AS $$ SELECT s.seq, s.kind, s.state, s.proof, s.code IS NOT NULL, s.contact_name, s.returns_to FROM hail.list_stops(trip) s $$;
CREATE FUNCTION code(trip uuid, seq integer DEFAULT 0) RETURNS text LANGUAGE sql AS $$
    SELECT CASE seq WHEN 0 THEN (SELECT pickup_code FROM hail.trips WHERE id = trip)
                    ELSE (SELECT s.code FROM hail.trip_stops s WHERE s.trip_id = trip AND s.seq = code.seq) END $$;
CREATE FUNCTION wrong(code text) RETURNS text LANGUAGE sql AS $$ SELECT to_char((code::integer + 1) % 10000, 'FM0000') $$;
CREATE FUNCTION driver(text) RETURNS TABLE (trip uuid, jobs smallint, cooling boolean) LANGUAGE sql AS
$$ SELECT trip_id, active_jobs, cooldown_until > hail.clock() FROM hail.drivers WHERE id = who($1) $$;
SELECT count(hail.register_user('+3519600000' || to_char(n, 'FM00'), name, 'customer'))
FROM unnest(ARRAY['Ada', 'Bea', 'Cas']) WITH ORDINALITY AS c(name, n);
DO $$
DECLARE
    d record;
BEGIN
    FOR d IN SELECT * FROM unnest(ARRAY['K1', 'K2', 'K3', 'R1']) WITH ORDINALITY AS d (name, i) LOOP
        PERFORM hail.register_driver((hail.register_user('+3519700000' || to_char(d.i, 'FM00'), d.name, 'driver')).id, 'jobs',
                                     CASE d.name WHEN 'R1' THEN ARRAY['economy', 'van'] ELSE ARRAY['van'] END);
        PERFORM hail.approve_driver(who(d.name));
        PERFORM hail.set_availability(who(d.name), true, 0, 41 + d.i * 0.002);
    END LOOP;
END
$$;

-- Prices: the way over all stops, and the stop fee for each beyond two.
SELECT distance_m, booking_fee, total, stops FROM hail.create_job_quote(who('Ada'), stops('p', 'd'), 'van');
SELECT distance_m, booking_fee, total, array_length(stops, 1) FROM hail.create_job_quote(who('Ada'), stops('p', 'd', 'd', 'd'), 'van');
SELECT distance_m, total FROM hail.create_quote(who('Ada'), 0, 41, 0, 41.01, 'van');

-- Bad stops are named.
SELECT hail.create_job_quote(who('Ada'), stops('p', 'd'), 'economy');
SELECT hail.create_job_quote(who('Ada'), stops('p', 'd'), 'airship');
SELECT hail.create_job_quote(who('Ada'), NULL, 'van');
SELECT hail.create_job_quote(who('Ada'), '{}', 'van');
SELECT hail.create_job_quote(who('Ada'), stops('p'), 'van');
SELECT hail.create_job_quote(who('Ada'), (SELECT jsonb_agg(stops('p') -> 0) FROM generate_series(1, 21)), 'van');
SELECT hail.create_job_quote(who('Ada'), '[1, 2]', 'van');
SELECT hail.create_job_quote(who('Ada'), stops('p', 'd') #- '{1,lat}', 'van');
SELECT hail.create_job_quote(who('Ada'), jsonb_set(stops('p', 'd'), '{1,lng}', '181'), 'van');
SELECT hail.create_job_quote(who('Ada'), jsonb_set(stops('p', 'd'), '{1,lng}', '"41"'), 'van');
SELECT hail.create_job_quote(who('Ada'), jsonb_set(stops('p', 'd'), '{1,lng}', '1e400'), 'van');
SELECT hail.create_job_quote(who('Ada'), jsonb_set(stops('p', 'd'), '{1,colour}', '"red"'), 'van');
SELECT hail.create_job_quote(who('Ada'), jsonb_set(stops('p', 'd'), '{1,proof}', '"oath"'), 'van');
SELECT hail.create_job_quote(who('Ada'), jsonb_set(stops('p', 'd'), '{1,contactPhone}', '"0155"'), 'van');
SELECT hail.create_job_quote(who('Ada'), jsonb_set(stops('p', 'd'), '{1,address}', to_jsonb(repeat('x', 501))), 'van');
SELECT hail.create_job_quote(who('Ada'), stops('p', 'd', 'p'), 'van');
SELECT hail.create_job_quote(who('Ada'), stops('d', 'd'), 'van');
SELECT hail.create_job_quote(who('Ada'), jsonb_build_array(stops('p', 'd') -> 0, jsonb_build_object('lat', 0, 'lng', 41)), 'van');
SELECT hail.create_job_quote(who('Ada'), jsonb_set(stops('p', 'd'), '{1,lng}', '60'), 'van');
SELECT hail.create_job_quote(who('Ada'), '[{"lat":0,"lng":60},{"lat":0,"lng":60.1}]', 'van');
SELECT hail.create_job_quote(who('K1'), stops('p', 'd'), 'van');

-- Requests: from a quote for these stops, with a load that can be.
SELECT quote('Ada', 'van', stops('p', 'd')) AS van, quote('Ada', 'motorcycle', stops('p', 'd')) AS motorcycle \gset
SELECT hail.request_delivery(:'van', stops('p', 'd'), 'cash', 'a1');
SELECT hail.request_porter_job(:'van', stops('p', 'd', 'd'), 'cash', 'a1');
SELECT hail.request_porter_job(:'van', jsonb_set(stops('p', 'd'), '{1,lat}', '0.002'), 'cash', 'a1');
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'cash');
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'barter', 'a1');
SELECT hail.request_porter_job(hail.uuid7(), stops('p', 'd'), 'cash', 'a1');
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'cash', 'a1', weight_kg => 'NaN');
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'cash', 'a1', weight_kg => 0);
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'cash', 'a1', volume_l => 'infinity');
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'cash', 'a1', floors => -1);
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'cash', 'a1', helpers => 51);
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'cash', 'a1', package => repeat('x', 1001));
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'cash', 'a1', strategy => 'loudest');
SELECT hail.request_porter_job(:'van', stops('p', 'd'), 'wallet', 'a1');
SELECT hail.request_trip(:'van', 'cash', 'first_accept', 'a1');
SELECT count(*) FROM hail.trips WHERE customer_id = who('Ada');

-- Four stops. The first is the trip's pickup.
SELECT tell_all();
SELECT id AS trip FROM hail.request_porter_job(quote('Ada', 'van', stops('p', 'd', 'photo', 'none')), stops('p', 'd', 'photo', 'none'),
    'cash', 'ada-1', 'piano', 180, 900, 3, 2) \gset t
SELECT service, weight_kg, volume_l, package, floors, helpers FROM hail.trips t JOIN hail.trip_loads l ON l.trip_id = t.id WHERE t.id = :'ttrip';
SELECT quote_id FROM hail.trips WHERE id = :'ttrip' \gset
SELECT id = :'ttrip' AS same FROM hail.request_porter_job(:'quote_id', stops('p', 'd', 'photo', 'none'), 'cash', 'ada-1', 'piano', 180, 900, 3, 2);
SELECT hail.request_porter_job(:'quote_id', stops('p', 'd', 'photo', 'none'), 'cash', 'ada-1', 'organ', 180, 900, 3, 2);
SELECT hail.request_trip(:'quote_id', 'cash', 'first_accept', 'ada-1');
SELECT hail.request_trip((hail.create_quote(who('Ada'), 0, 41, 0, 41.01, 'van')).id, 'cash', 'first_accept', 'ada-1');
SELECT * FROM seen(:'ttrip');
SELECT hail.arrive_at_stop(:'ttrip', 1);
SELECT stops, weight_kg, volume_l, package, floors, helpers FROM hail.driver_offers(who('K1'));
SELECT (trip).state FROM hail.accept_offer(:'ttrip', who('K1'));
SELECT hail.arrive_at_stop(:'ttrip', 2);
SELECT hail.arrive_at_stop(:'ttrip', 9);
SELECT hail.arrive_at_stop(:'ttrip', NULL);
SELECT state, arrived_at FROM hail.arrive_at_stop(:'ttrip', 1);
SELECT state FROM hail.arrive_at_stop(:'ttrip', 1);
SELECT hail.finish_stop(:'ttrip', 1);
SELECT hail.finish_stop(:'ttrip', 1, wrong(code(:'ttrip')));
SELECT state FROM hail.finish_stop(:'ttrip', 1, code(:'ttrip'));
SELECT state, started_at, code_attempts FROM hail.trips WHERE id = :'ttrip';
SELECT hail.finish_stop(:'ttrip', 2, code(:'ttrip', 2));
SELECT hail.arrive_at_stop(:'ttrip', 3);
SELECT hail.complete_trip(:'ttrip');
SELECT state FROM hail.arrive_at_stop(:'ttrip', 2);
SELECT hail.finish_stop(:'ttrip', 2);
SELECT hail.finish_stop(:'ttrip', 2, wrong(code(:'ttrip', 2)));
SELECT state, recipient_name FROM hail.finish_stop(:'ttrip', 2, code(:'ttrip', 2), NULL, 'A neighbour');
SELECT state FROM hail.finish_stop(:'ttrip', 2);
SELECT hail.arrive_at_stop(:'ttrip', 2);
-- photo
SELECT state FROM hail.arrive_at_stop(:'ttrip', 3);
SELECT hail.finish_stop(:'ttrip', 3);
SELECT hail.finish_stop(:'ttrip', 3, NULL, 'javascript:alert(1)');
SELECT state, photo_url FROM hail.finish_stop(:'ttrip', 3, NULL, 'https://photos.example/3.jpg');
SELECT state FROM hail.arrive_at_stop(:'ttrip', 4);
SELECT state FROM hail.finish_stop(:'ttrip', 4);
SELECT state FROM hail.complete_trip(:'ttrip');
SELECT (hail.finish_stop(:'ttrip', 4)).state AS again, jobs, cooling FROM driver('K1');
SELECT type, version, payload ->> 'seq' AS seq, payload ->> 'stop_lng' AS lng FROM hail.events WHERE aggregate_id = :'ttrip' ORDER BY version;

-- A dropoff fails: its goods go back to the pickup before it, once for each pickup; the price stays.
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all();
SELECT id AS trip, price FROM hail.request_porter_job(quote('Ada', 'van', stops('p', 'd', 'p', 'd', 'd')), stops('p', 'd', 'p', 'd', 'd'),
    'cash', 'ada-2') \gset t
SELECT (trip).state FROM hail.accept_offer(:'ttrip', who('K2'));
SELECT state FROM hail.arrive(:'ttrip');
SELECT state FROM hail.start_trip(:'ttrip', code(:'ttrip'));
SELECT hail.fail_stop(:'ttrip', 1, 'nobody there');
SELECT hail.fail_stop(:'ttrip', 3, 'nobody there');
SELECT state FROM hail.arrive_at_stop(:'ttrip', 2);
SELECT hail.fail_stop(:'ttrip', 2, '');
SELECT state, reason FROM hail.fail_stop(:'ttrip', 2, 'nobody there');
SELECT state FROM hail.fail_stop(:'ttrip', 2, 'nobody there');
SELECT state FROM hail.arrive_at_stop(:'ttrip', 3);
SELECT state FROM hail.finish_stop(:'ttrip', 3);
SELECT state FROM hail.fail_stop(:'ttrip', 4, 'wrong address');
SELECT state FROM hail.fail_stop(:'ttrip', 5, 'refused');
SELECT * FROM seen(:'ttrip');
SELECT hail.complete_trip(:'ttrip');
SELECT state FROM hail.arrive_at_stop(:'ttrip', 6);
SELECT state FROM hail.finish_stop(:'ttrip', 6, code(:'ttrip', 6));
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('K2')));
SELECT code FROM hail.list_stops(:'ttrip') WHERE seq = 6;
SELECT state FROM hail.arrive_at_stop(:'ttrip', 7);
SAVEPOINT refused;
SELECT hail.fail_stop(:'ttrip', 7, 'closed');
ROLLBACK TO refused;
SELECT count(*), count(contact_name) FROM hail.trip_stops WHERE trip_id = :'ttrip';
SELECT code FROM hail.trip_stops;
ROLLBACK;
SELECT state FROM hail.fail_stop(:'ttrip', 7, 'the shop has closed down');
SELECT state, price = :tprice AS as_quoted FROM hail.complete_trip(:'ttrip');
-- its driver does not see whom any more; nobody else sees anything
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('K2')));
SELECT count(*) FROM hail.trip_stops WHERE trip_id = :'ttrip';
SELECT count(*), count(contact_name) FROM hail.list_stops(:'ttrip');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('Ada')));
SELECT count(*), count(contact_name), count(code) FROM hail.trip_stops WHERE trip_id = :'ttrip';
SELECT count(*) FROM hail.trip_loads;
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('Bea')));
SELECT count(*) FROM hail.trip_stops;
SELECT count(*) FROM hail.trip_loads;
SELECT hail.list_stops(:'ttrip');
ROLLBACK;

-- Wrong codes are counted although each call fails; the fifth blocks, a new code allows new tries.
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all();
SELECT job('Ada', 'ada-3') AS trip \gset t
SELECT hail.renew_pickup_code(:'ttrip');
SELECT (trip).state FROM hail.accept_offer(:'ttrip', who('K1'));
SELECT state FROM hail.arrive(:'ttrip');
SELECT hail.start_trip(:'ttrip', wrong(code(:'ttrip')));
SELECT hail.start_trip(:'ttrip', wrong(code(:'ttrip')));
SELECT hail.start_trip(:'ttrip', NULL);
SELECT hail.start_trip(:'ttrip', wrong(code(:'ttrip')));
SELECT hail.start_trip(:'ttrip', '');
\set VERBOSITY default
SELECT hail.start_trip(:'ttrip', wrong(code(:'ttrip')));
SELECT hail.start_trip(:'ttrip', code(:'ttrip'));
\set VERBOSITY terse
BEGIN;
SELECT hail.renew_pickup_code(:'ttrip') IS NOT NULL AS renewed; -- not kept
ROLLBACK;
SELECT hail.start_trip(:'ttrip', code(:'ttrip'));
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('K1')));
SELECT hail.renew_pickup_code(:'ttrip');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('Bea')));
SELECT hail.renew_pickup_code(:'ttrip');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('Ada')));
SELECT hail.renew_pickup_code(:'ttrip') IS NOT NULL AS renewed;
COMMIT;
SELECT hail.start_trip(:'ttrip', wrong(code(:'ttrip')));
SELECT state, code_attempts FROM hail.start_trip(:'ttrip', code(:'ttrip'));
SELECT hail.renew_pickup_code(:'ttrip');
SELECT hail.renew_pickup_code(:'ttrip', 2);
SELECT hail.renew_pickup_code(:'ttrip', 3);
SELECT state FROM hail.arrive_at_stop(:'ttrip', 2);
SELECT state FROM hail.finish_stop(:'ttrip', 2);
SELECT state FROM hail.complete_trip(:'ttrip');

-- Given back, the pickup waits again; cancelled, all stops are skipped.
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all();
SELECT job('Ada', 'ada-4') AS trip \gset t
SELECT (trip).state FROM hail.accept_offer(:'ttrip', who('K1'));
SELECT state FROM hail.arrive(:'ttrip');
SELECT state FROM hail.cancel_trip(:'ttrip', 'driver', 'flat tyre');
SELECT seq, state, arrived_at FROM hail.list_stops(:'ttrip');
SELECT state FROM hail.cancel_trip(:'ttrip', 'customer', 'never mind');
SELECT seq, state, closed_at FROM hail.list_stops(:'ttrip');

-- Several jobs at once: K1 takes three, as far as its van carries; K2 one; nobody mixes jobs with a ride.
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all();
SELECT hail.add_vehicle(who('K1'), 'K 1', 'Van', max_weight_kg => 0);
SELECT max_weight_kg, max_volume_l FROM hail.add_vehicle(who('K1'), 'K 1', 'Van', max_weight_kg => 100) \gset v
SELECT (hail.set_vehicle_load(id, 100, 500)).max_volume_l FROM hail.vehicles WHERE driver_id = who('K1');
SELECT hail.set_vehicle_load(id, 100, 'NaN') FROM hail.vehicles WHERE driver_id = who('K1');
SELECT hail.set_vehicle_load(hail.uuid7(), 100, 500);
SELECT (hail.set_job_capacity(who('K1'), 3)).job_capacity AS k1, (hail.set_job_capacity(who('R1'), 2)).job_capacity AS r1;
SELECT hail.set_availability(who('K3'), false) IS NOT NULL AS k3_home;
SELECT job('Ada', 'many-1', 40, 100) AS one, job('Ada', 'many-2', 40) AS two, job('Bea', 'many-3', 40) AS heavy,
       job('Bea', 'many-4', 10, 401) AS bulky, job('Cas', 'many-5', 20, 300) AS three, job('Cas', 'many-6') AS four \gset j
SELECT (trip).state, (trip).driver_slot FROM hail.accept_offer(:'jone', who('K1'));
CREATE FUNCTION gate(trip uuid, driver text) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(gate, 'none') FROM hail.rank_drivers(trip) WHERE driver_id = who(driver) $$;
CREATE FUNCTION offer(trip uuid, driver text) RETURNS boolean LANGUAGE plpgsql AS $$ -- by hand, whatever the gates say
BEGIN
    UPDATE hail.offers SET status = 'withdrawn' WHERE driver_id = who(driver) AND status = 'pending';
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
    VALUES (trip, who(driver), 900 + (SELECT count(*) FROM hail.offers), 1, 0, 1, 1, hail.clock(), hail.clock() + interval '1 minute');
    RETURN true;
END $$;
SELECT count(*) FILTER (WHERE driver_id = who('K1')) AS k1 FROM hail.live_search(0, 41, 5000, 10, 16, with_room => true);
SELECT offer(:'jtwo', 'K1');
SELECT (trip).state, (trip).driver_slot FROM hail.accept_offer(:'jtwo', who('K1'));
SELECT (SELECT trip) = :'jone' AS oldest, jobs FROM driver('K1');
-- on two jobs it is still asked for what it can carry besides
SELECT job('Ada', 'many-7', 30) AS heavy2, job('Ada', 'many-8', 20, 400) AS fits \gset j
SELECT (SELECT count(*) FROM hail.offers WHERE trip_id = :'jheavy2' AND driver_id = who('K1')) AS heavy2, gate(:'jheavy2', 'K1'),
       (SELECT count(*) FROM hail.offers WHERE trip_id = :'jfits' AND driver_id = who('K1')) AS fits;
SELECT offer(:'jheavy', 'K1');
SELECT hail.accept_offer(:'jheavy', who('K1'));
SELECT offer(:'jbulky', 'K1');
SELECT hail.accept_offer(:'jbulky', who('K1'));
SELECT offer(:'jthree', 'K1');
SELECT (trip).driver_slot FROM hail.accept_offer(:'jthree', who('K1'));
SELECT (trip).driver_slot, already_accepted FROM hail.accept_offer(:'jthree', who('K1'));
SELECT offer(:'jfour', 'K1');
SELECT hail.accept_offer(:'jfour', who('K1'));
SELECT jobs, (SELECT count(*) FROM hail.live_search(0, 41, 5000, 10, 16, with_room => true) l WHERE l.driver_id = who('K1')) AS found FROM driver('K1');
SELECT * FROM hail.check_dispatch() WHERE status <> 'ok';
SELECT hail.set_availability(who('K1'), false);
-- the second is completed, its place is taken anew; the first is given back: the next oldest is the driver's trip
SELECT (hail.arrive(:'jtwo')).state, (hail.start_trip(:'jtwo', code(:'jtwo'))).state;
SELECT (hail.arrive_at_stop(:'jtwo', 2)).state, (hail.finish_stop(:'jtwo', 2)).state, (hail.complete_trip(:'jtwo')).state;
SELECT trip = :'jone' AS oldest, jobs, cooling FROM driver('K1');
SELECT offer(:'jfour', 'K1');
SELECT (trip).driver_slot FROM hail.accept_offer(:'jfour', who('K1'));
SELECT (hail.cancel_trip(:'jone', 'driver', 'too much')).state;
SELECT trip = :'jthree' AS oldest, jobs, cooling FROM driver('K1');
SELECT (hail.cancel_trip(:'jthree', 'customer', 'sold')).state;
SELECT trip = :'jfour' AS oldest, jobs, cooling FROM driver('K1');
SELECT * FROM hail.check_dispatch() WHERE status <> 'ok';
SELECT (hail.arrive(:'jfour')).state, (hail.start_trip(:'jfour', code(:'jfour'))).state;
SELECT (hail.arrive_at_stop(:'jfour', 2)).state, (hail.finish_stop(:'jfour', 2)).state, (hail.complete_trip(:'jfour')).state;
SELECT trip, jobs, cooling FROM driver('K1');
SELECT count(hail.cancel_trip(id)) FROM hail.trips WHERE customer_id IN (who('Ada'), who('Bea'), who('Cas')) AND state = 'searching';

-- R1 on a ride gets no job, on a job no ride.
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all();
SELECT id AS ride FROM hail.request_trip((hail.create_quote(who('Ada'), 0, 41, 0, 41.05, 'economy')).id, 'cash', 'first_accept', 'ride-1') \gset j
SELECT (trip).state FROM hail.accept_offer(:'jride', who('R1'));
SELECT jobs FROM driver('R1');
SELECT job('Bea', 'beside') AS beside \gset j
SELECT gate(:'jbeside', 'R1'), offer(:'jbeside', 'R1');
SELECT hail.accept_offer(:'jbeside', who('R1'));
SELECT state FROM hail.cancel_trip(:'jride', 'admin');
SELECT tell_all(), offer(:'jbeside', 'R1');
SELECT (trip).state FROM hail.accept_offer(:'jbeside', who('R1'));
SELECT id AS ride FROM hail.request_trip((hail.create_quote(who('Ada'), 0, 41, 0, 41.05, 'economy')).id, 'cash', 'first_accept', 'ride-2') \gset j
SELECT count(*) AS offers FROM hail.offers WHERE trip_id = :'jride';
SELECT offer(:'jride', 'R1');
SELECT hail.accept_offer(:'jride', who('R1'));
SELECT (hail.cancel_trip(:'jride')).state, (hail.cancel_trip(:'jbeside')).state;

-- The commissions of cash jobs under way count when one more is accepted: two of them are the limit here.
SELECT hail.advance_clock('2 minutes') IS NOT NULL AS later, tell_all();
SELECT wallet_floor IS NOT NULL AS floor FROM hail.set_dispatch_policy('jobs', 'porter', jsonb_build_object('wallet_floor',
    coalesce((SELECT posted - held FROM hail.accounts WHERE owner_id = who('K1') AND kind = 'DRIVER_WALLET'), 0) - 2 * 255));
SELECT job('Cas', 'owed-1') AS one, job('Cas', 'owed-2') AS two, job('Cas', 'owed-3') AS three \gset j
SELECT offer(:'jone', 'K1');
SELECT (a.trip).state, hail.commission((a.trip).price, (a.trip).commission_bp) FROM hail.accept_offer(:'jone', who('K1')) a;
SELECT offer(:'jtwo', 'K1');
SELECT (a.trip).state FROM hail.accept_offer(:'jtwo', who('K1')) a;
SELECT offer(:'jthree', 'K1');
SELECT hail.accept_offer(:'jthree', who('K1'));
SELECT (hail.cancel_trip(:'jtwo', 'customer')).state;
SELECT (a.trip).state FROM hail.accept_offer(:'jthree', who('K1')) a;
SELECT count(hail.cancel_trip(t, 'customer')) FROM unnest(ARRAY[:'jone', :'jthree']::uuid[]) t;
SELECT wallet_floor FROM hail.set_dispatch_policy('jobs', 'porter', '{"wallet_floor": null}');

-- An erasure takes persons and places out of stops too.
SELECT count(*) > 0 AS stops, bool_and(s.contact_name IS NOT NULL) AS names, bool_and(s.lng = round(s.lng::numeric, 1)) AS rounded
FROM hail.trip_stops s JOIN hail.trips t ON t.id = s.trip_id WHERE t.customer_id = who('Bea') AND s.seq = 2;
SELECT trips > 0 AS trips, events > 0 AS events FROM hail.erase_customer_positions(who('Bea'));
SELECT count(*) > 0 AS stops, count(s.contact_name) + count(s.contact_phone) + count(s.address) AS persons,
       bool_and(s.lng = round(s.lng::numeric, 1)) AS rounded, (SELECT count(stops) FROM hail.quotes WHERE customer_id = who('Bea')) AS quoted
FROM hail.trip_stops s JOIN hail.trips t ON t.id = s.trip_id WHERE t.customer_id = who('Bea');
SELECT count(*) FROM hail.events e JOIN hail.trips t ON t.id = e.aggregate_id
WHERE t.customer_id = who('Bea') AND e.payload::text ~ '_l(at|ng)"';
-- and what persons wrote; reasons of the dispatcher stay
SELECT count(cancel_reason) FROM hail.trips WHERE customer_id = who('Bea');
SELECT count(s.reason) FROM hail.trip_stops s JOIN hail.trips t ON t.id = s.trip_id WHERE t.customer_id = who('Bea');
SELECT count(*) > 0 AS loads, count(l.package) FROM hail.trip_loads l JOIN hail.trips t ON t.id = l.trip_id WHERE t.customer_id = who('Bea');
SELECT DISTINCT e.type FROM hail.events e JOIN hail.trips t ON t.id = e.aggregate_id
WHERE t.customer_id = who('Bea') AND e.payload ? 'reason' ORDER BY 1;

-- What must hold, holds.
SELECT * FROM hail.check_dispatch() WHERE status <> 'ok';
SELECT * FROM hail.event_gaps();
SELECT * FROM hail.check_live() WHERE status <> 'ok';

DROP FUNCTION who(text), name_of(uuid), tell_all(), stops(text[]), quote(text, text, jsonb), job(text, text, real, real), seen(uuid),
    code(uuid, integer), wrong(text), driver(text), gate(uuid, text), offer(uuid, text);
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
