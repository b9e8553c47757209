-- What changes a price after it was agreed on: waiting at the pickup, another destination. A square on the equator, road =
-- great circle at 30 km/h: 10 km take 20 minutes and cost 55.00. Waiting: 3 minutes free, then 0.40 for each begun one,
-- at most 10.00.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
\set one_km 0.008993216
CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    field text; hint text; state text; detail text;
BEGIN
    EXECUTE call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME, hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', coalesce((SELECT e.code FROM hail.error_codes() e WHERE e.sqlstate = state), state), nullif(field, ''), SQLERRM,
                     nullif(hint, ''), nullif(detail, ''));
END $$;
SELECT hail.set_clock('2013-11-20 10:00+00');
SELECT code FROM hail.create_region('rides', 'Rides', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(150, -1, 152, 1, 4326));
UPDATE hail.regions SET distance_factor = 1, speed_kmh = 30, cooldown = '0' WHERE code = 'rides';
SELECT base FROM hail.set_fare('rides', 'economy', 1000, 350, 50, 1500, 1500, 0, 300, waiting_per_minute => 40, waiting_max => 1000);
SELECT base FROM hail.set_fare('rides', 'van', 1000, 350, 50, 1500, 1500);
CREATE TEMP TABLE people (name text PRIMARY KEY, id uuid);
CREATE FUNCTION pg_temp.who(text) RETURNS uuid LANGUAGE sql AS 'SELECT id FROM people WHERE name = $1';
INSERT INTO people SELECT name, (hail.register_user('+35191077' || to_char(n, 'FM0000'), name, role)).id
FROM (VALUES (1, 'Wil', 'customer'), (2, 'Cay', 'customer'), (3, 'Oth', 'customer'), (4, 'Dan', 'driver'), (5, 'Adm', 'admin')) v (n, name, role);
SELECT count(*) FROM (SELECT hail.register_driver(id, 'rides', ARRAY['economy', 'van']), hail.approve_driver(id) FROM people WHERE name = 'Dan') d;
SELECT hail.set_job_capacity(pg_temp.who('Dan'), 1) IS NOT NULL AS one_job;
CREATE FUNCTION pg_temp.fund(customer text, amount bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT hail.post_transaction('deposit', ARRAY[ROW((hail.open_account('GATEWAY_CLEARING', NULL, 'EUR')).id, 'debit', amount),
        ROW((hail.open_account('CUSTOMER_WALLET', pg_temp.who(customer), 'EUR')).id, 'credit', amount)]::hail.entry_input[], gen_random_uuid()::text);
    SELECT available FROM hail.wallet(pg_temp.who(customer)) WHERE currency = 'EUR';
$$;
-- A ride of so many km northwards from 0 N 151 E, taken by Dan. (The live index learns at commit who is free: an offer of our own.)
CREATE FUNCTION pg_temp.offer(trip uuid) RETURNS void LANGUAGE sql AS $$
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
    VALUES (trip, pg_temp.who('Dan'), 900, 1, 0.5, 100, 12, hail.clock(), hail.clock() + interval '15 seconds');
$$;
CREATE FUNCTION pg_temp.ride(customer text, method text, km float8 DEFAULT 10, strategy text DEFAULT 'first_accept') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    trip hail.trips;
BEGIN
    PERFORM hail.set_availability(pg_temp.who('Dan'), true, 0, 151.001);
    trip := hail.request_trip((hail.create_quote(pg_temp.who(customer), 0, 151, km * 0.008993216, 151, 'economy')).id, method, strategy, gen_random_uuid()::text);
    UPDATE hail.offers SET status = 'withdrawn' WHERE trip_id = trip.id;
    PERFORM pg_temp.offer(trip.id);
    IF strategy = 'broadcast_bid' THEN
        PERFORM hail.choose_bid(trip.id, (hail.place_bid(trip.id, pg_temp.who('Dan'), trip.price * 8 / 10)).id);
    ELSE
        PERFORM hail.accept_offer(trip.id, pg_temp.who('Dan'));
    END IF;
    RETURN trip.id;
END $$;
CREATE FUNCTION pg_temp.arrive(trip uuid) RETURNS text LANGUAGE sql AS 'SELECT state FROM hail.arrive(trip)';
CREATE FUNCTION pg_temp.start(trip uuid, waited interval) RETURNS TABLE (waiting bigint, price bigint) LANGUAGE sql AS $$
    SELECT hail.advance_clock(waited);
    SELECT waiting_amount, price FROM hail.start_trip(trip, (SELECT pickup_code FROM hail.trips WHERE id = trip));
$$;
-- The driver is so many km north and east of the pickup.
CREATE FUNCTION pg_temp.at(north float8, east float8 DEFAULT 0) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.advance_clock('30 minutes');
    PERFORM hail.report_location(pg_temp.who('Dan'), north * 0.008993216, 151 + east * 0.008993216);
    PERFORM hail.keep();
END $$;
CREATE FUNCTION pg_temp.held(customer text) RETURNS TABLE (posted bigint, held bigint) LANGUAGE sql AS
$$ SELECT posted, held FROM hail.wallet(pg_temp.who(customer)) WHERE currency = 'EUR' $$;
CREATE FUNCTION pg_temp.events(trip uuid) RETURNS TABLE (type text, payload jsonb) LANGUAGE sql AS $$
    SELECT e.type, e.payload - '{customer_id,driver_id,state,offer_id,by}'::text[] FROM hail.events e
    WHERE e.aggregate_id = trip AND e.type IN ('TripStarted', 'TripCompleted', 'WaitingWaived', 'TripDestinationChanged') ORDER BY e.version
$$;

-- Waiting, by wallet: the hold covers the most that it may cost; what was too much is given back with the payment.
SELECT pg_temp.fund('Wil', 6499);
SELECT pg_temp.refusal('SELECT pg_temp.ride(''Wil'', ''wallet'')') AS price_without_waiting_is_not_enough;
SELECT pg_temp.fund('Wil', 1);
SELECT pg_temp.ride('Wil', 'wallet') AS trip \gset
SELECT price, waiting_amount, waiting_max, h.* FROM hail.trips, pg_temp.held('Wil') h WHERE id = :'trip';
SELECT pg_temp.arrive(:'trip');
SELECT * FROM pg_temp.start(:'trip', '4 minutes 1 second');
SELECT * FROM pg_temp.held('Wil');
SELECT * FROM hail.reconcile('2013-11-20');
SELECT price, waiting_amount FROM hail.complete_trip(:'trip');
SELECT * FROM pg_temp.held('Wil');
SELECT * FROM pg_temp.events(:'trip');
SELECT a.kind, e.direction, e.amount FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id
JOIN hail.accounts a ON a.id = e.account_id WHERE t.reference_id = :'trip' ORDER BY a.kind;

-- To the second: three minutes are free, a begun minute counts, never more than the most; of a scheduled trip from its time on.
CREATE FUNCTION pg_temp.waiting(waited interval, customer text DEFAULT 'Cay') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    trip uuid := pg_temp.ride(customer, 'cash');
    amount bigint;
BEGIN
    PERFORM hail.arrive(trip);
    amount := (pg_temp.start(trip, waited)).waiting;
    PERFORM hail.complete_trip(trip);
    RETURN amount;
END $$;
SELECT waited, pg_temp.waiting(waited) FROM unnest('{0, 3 minutes, 3 minutes 0.9 seconds, 3 minutes 1 second, 4 minutes, 4 minutes 1 second, 27 minutes, 28 minutes,
    28 minutes 1 second, 2 hours}'::interval[]) waited ORDER BY waited;
SELECT hail.waiting_of(jsonb_populate_record(t, jsonb_build_object('waiting_from', at, 'scheduled_for', at + '10 minutes')), at + '15 minutes')
FROM hail.trips t, hail.clock() at WHERE t.id = :'trip';
-- In cash the driver is told the price with it, and owes the commission of it.
SELECT posted AS owed FROM hail.wallet(pg_temp.who('Dan'));
SELECT pg_temp.waiting('8 minutes'); -- 55.00 + 2.00: commission 8.55
SELECT posted AS owed FROM hail.wallet(pg_temp.who('Dan'));

-- Waived by an administrator before it is paid.
SELECT pg_temp.fund('Wil', 20000);
SELECT pg_temp.ride('Wil', 'wallet') AS trip \gset
SELECT pg_temp.refusal(format('SELECT hail.waive_waiting(%L, ''sorry'')', :'trip'));
SELECT pg_temp.arrive(:'trip');
SELECT * FROM pg_temp.start(:'trip', '10 minutes');
SELECT pg_temp.refusal(format('SELECT hail.waive_waiting(%L, NULL)', :'trip'));
SELECT pg_temp.refusal('SELECT hail.waive_waiting(NULL, ''sorry'')');
SELECT price, waiting_amount, h.* FROM hail.waive_waiting(:'trip', 'the gate was closed'), pg_temp.held('Wil') h;
SELECT event_version = (SELECT event_version FROM hail.trips WHERE id = :'trip') AS again_is_nothing FROM hail.waive_waiting(:'trip', 'again');
SELECT * FROM hail.reconcile('2013-11-20');
SELECT price FROM hail.complete_trip(:'trip');
SELECT pg_temp.refusal(format('SELECT hail.waive_waiting(%L, ''late'')', :'trip'));
SELECT * FROM pg_temp.events(:'trip');
SELECT * FROM pg_temp.held('Wil');

-- Another destination. Before the start it is a trip to the other place, by the quote's rates and not by today's.
SELECT pg_temp.ride('Wil', 'wallet') AS trip \gset
SELECT base FROM hail.set_fare('rides', 'economy', 9000, 900, 900, 9000, 1500);
SELECT pg_temp.refusal(format('SELECT hail.quote_destination(%L, %s)', :'trip', place))
FROM unnest(ARRAY['91, 151', '''nan'', 151', '0, NULL', '0, ''inf''', '0.0001, 151', '0, 154']) WITH ORDINALITY p (place, n) ORDER BY n;
\x on
SELECT dropoff_lng, distance_m, duration_s, base_amount, distance_amount, time_amount, multiplier_amount, minimum_amount, booking_fee,
       rounding_amount, total, waiting_amount, price, price_before, currency, changes_left FROM hail.quote_destination(:'trip', 0, 151 + 20 * :one_km);
\x off
SELECT pg_temp.refusal(format('SELECT hail.change_destination(%L, 0, %s, %s)', :'trip', 151 + 20 * :one_km, expected)) FROM unnest(ARRAY['9999', 'NULL']) expected;
SELECT round(dropoff_lng::numeric, 4) AS lng, distance_m, duration_s, price, destination_changes, hold_id IS NOT NULL AS held FROM hail.change_destination(:'trip', 0, 151 + 20 * :one_km, 10000);
SELECT * FROM pg_temp.held('Wil');
SELECT destination_changes FROM hail.change_destination(:'trip', 0, 151 + 20 * :one_km, 10000) AS asked_again;
SELECT * FROM hail.reconcile('2013-11-20');
-- More than the wallet has: nothing changes.
SELECT price FROM hail.quote_destination(:'trip', 0, 151 + 29.9 * :one_km) \gset dear_
SELECT pg_temp.refusal(format('SELECT hail.change_destination(%L, 0, %s, %s)', :'trip', 151 + 29.9 * :one_km, :dear_price));
SELECT price, distance_m, destination_changes, h.* FROM hail.trips, pg_temp.held('Wil') h WHERE id = :'trip';
-- Under way: from the pickup over where the driver is. 2 km north, then 5 km east of the pickup.
SELECT pg_temp.arrive(:'trip');
SELECT * FROM pg_temp.start(:'trip', '5 minutes');
SELECT pg_temp.at(2);
SELECT distance_m, total, waiting_amount, price, price_before FROM hail.quote_destination(:'trip', 0, 151 + 5 * :one_km);
SELECT distance_m, price, waiting_amount, destination_changes, h.* FROM hail.change_destination(:'trip', 0, 151 + 5 * :one_km, 5000), pg_temp.held('Wil') h;
-- To where it is now: what has been driven.
SELECT pg_temp.at(1, 1);
SELECT distance_m, duration_s, price FROM hail.quote_destination(:'trip', :one_km, 151 + :one_km);
SELECT * FROM hail.reconcile('2013-11-20');
SELECT price FROM hail.complete_trip(:'trip');
SELECT * FROM pg_temp.held('Wil');
SELECT type, payload - '{dropoff_lat,dropoff_lng,old_dropoff_lat,old_dropoff_lng}'::text[] AS payload,
       (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(payload) k WHERE k ~ '(lat|lng)$') AS places FROM pg_temp.events(:'trip');
SELECT pg_temp.refusal(format('SELECT hail.change_destination(%L, 0, 151.1, 100000)', :'trip'));
SELECT base FROM hail.set_fare('rides', 'economy', 1000, 350, 50, 1500, 1500, 0, 300, waiting_per_minute => 40, waiting_max => 1000);

-- A price that was bid keeps its share; a trip given back is searched for at the price of its new way.
SELECT pg_temp.ride('Cay', 'cash', 10, 'broadcast_bid') AS trip \gset
SELECT price FROM hail.trips WHERE id = :'trip';
SELECT total, price FROM hail.quote_destination(:'trip', 0, 151 + 20 * :one_km);
SELECT price FROM hail.change_destination(:'trip', 0, 151 + 20 * :one_km, 8000);
SELECT state, price FROM hail.cancel_trip(:'trip', 'driver', 'too far');
SELECT l.* FROM hail.trips t, hail.bid_limits(t) l WHERE t.id = :'trip';
SELECT pg_temp.refusal(format('SELECT hail.quote_destination(%L, 0, 151.1)', :'trip'));
SELECT state FROM hail.cancel_trip(:'trip', 'customer');

-- The share that was bid is of what the trip cost when the bid was chosen, be it after a change: 10 km, the driver gives the
-- trip back, and the next bid is for those. Back to the first way it costs the first price, and the other way round.
CREATE FUNCTION pg_temp.bid_again(trip uuid, amount bigint) RETURNS TABLE (price bigint, agreed_price bigint, agreed_for bigint) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hail.offers SET status = 'withdrawn' WHERE trip_id = trip AND status = 'pending';
    UPDATE hail.trips SET excluded_drivers = '{}' WHERE id = trip;
    PERFORM hail.set_availability(pg_temp.who('Dan'), true, 0, 151.001);
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
        VALUES (trip, pg_temp.who('Dan'), 901, 1, 0.5, 100, 12, hail.clock(), hail.clock() + interval '15 seconds');
    PERFORM hail.choose_bid(trip, (hail.place_bid(trip, pg_temp.who('Dan'), amount)).id);
    RETURN QUERY SELECT t.price, t.agreed_price, t.agreed_for FROM hail.trips t WHERE t.id = trip;
END $$;
SELECT pg_temp.ride('Cay', 'cash', 100, 'broadcast_bid') AS trip \gset
SELECT price, agreed_price, agreed_for FROM hail.trips WHERE id = :'trip';
SELECT price FROM hail.change_destination(:'trip', 10 * :one_km, 151, 100000);
SELECT state, price, agreed_price, agreed_for FROM hail.cancel_trip(:'trip', 'driver', 'too short');
SELECT * FROM pg_temp.bid_again(:'trip', 5500);
SELECT total, price FROM hail.quote_destination(:'trip', 100 * :one_km, 151);
SELECT price FROM hail.change_destination(:'trip', 100 * :one_km, 151, 100000);
SELECT price FROM hail.change_destination(:'trip', 10 * :one_km, 151, 100000);
SELECT state FROM hail.cancel_trip(:'trip', 'customer');
-- Bids are rounded as the quote is, whatever list comes after it.
SELECT pg_temp.ride('Cay', 'cash', 10, 'broadcast_bid') AS trip \gset
BEGIN;
UPDATE hail.quotes q SET rounding = 1000 FROM hail.trips t WHERE t.id = :'trip' AND q.id = t.quote_id;
SELECT l.lowest % 1000 AS lowest, l.highest % 1000 AS highest FROM hail.trips t, hail.bid_limits(t) l WHERE t.id = :'trip';
ROLLBACK;
SELECT state FROM hail.cancel_trip(:'trip', 'customer');

-- What was driven under an earlier change counts: 10 km north, changed, back to the pickup, changed.
SELECT pg_temp.ride('Cay', 'cash') AS trip \gset
SELECT pg_temp.arrive(:'trip');
SELECT * FROM pg_temp.start(:'trip', '0');
SELECT pg_temp.at(10);
SELECT distance_m, price, via FROM hail.change_destination(:'trip', 0, 151 + :one_km, 100000);
SELECT pg_temp.at(0);
SELECT distance_m, price FROM hail.quote_destination(:'trip', :one_km, 151);
-- Within 100 m the price stays, however the driver came here; farther on it is another one.
SELECT distance_m, total, price, price_before FROM hail.quote_destination(:'trip', 0.0000001, 151 + :one_km);
SELECT distance_m, price FROM hail.change_destination(:'trip', 0.0008, 151 + :one_km, 100000);
SELECT distance_m, price FROM hail.quote_destination(:'trip', 0.0027, 151 + :one_km);
-- Longer than anybody accepted it: three times, or 5 km more.
SELECT pg_temp.refusal(format('SELECT hail.quote_destination(%L, 0, %s)', :'trip', 151 + 11 * :one_km));
SELECT distance_m FROM hail.quote_destination(:'trip', 0, 151 + 9 * :one_km);
-- Nobody has heard of the driver for a while: the way goes over where it was last, and the price does not fall.
SELECT hail.advance_clock('61 seconds') IS NOT NULL AS silence;
SELECT distance_m, price >= price_before AS not_below FROM hail.quote_destination(:'trip', 0.002, 151);
UPDATE hail.trips SET via = '{}' WHERE id = :'trip';
SELECT distance_m, total, price, price_before FROM hail.quote_destination(:'trip', 0.002, 151);
SELECT price FROM hail.change_destination(:'trip', 0.002, 151, 100000);
SELECT state FROM hail.complete_trip(:'trip');
-- The last point of the trip's history tells where it is, too, when it is newer.
SELECT pg_temp.ride('Cay', 'cash') AS trip \gset
SELECT pg_temp.arrive(:'trip');
SELECT * FROM pg_temp.start(:'trip', '0');
SELECT hail.advance_clock('10 minutes') IS NOT NULL AS driven, hail.append_history(pg_temp.who('Dan'), :'trip', 4 * :one_km, 151, hail.clock() - interval '20 seconds') IS NULL AS kept;
SELECT hail.drain_history() > 0 AS drained;
SELECT distance_m FROM hail.quote_destination(:'trip', :one_km, 151);
SELECT state FROM hail.complete_trip(:'trip');
-- Whoever books short while prices are low and goes on far pays today's surge for the metres beyond.
SELECT pg_temp.ride('Cay', 'cash') AS trip \gset
BEGIN;
INSERT INTO hail.surge_cells (region_id, cell, multiplier, updated_at)
SELECT r.id, hail.hexagon_cell(0, 151, r.hexagon_size_m), 2.0, hail.clock() FROM hail.regions r WHERE r.code = 'rides';
SELECT hail.surge_at(0, 151);
SELECT n, d.distance_m, d.base_amount + d.distance_amount + d.time_amount AS plain, d.multiplier_amount, d.price FROM unnest('{5, 10.15, 20, 30}'::float8[]) n, hail.quote_destination(:'trip', 0, 151 + n * :one_km) d;
SELECT price FROM hail.change_destination(:'trip', 0, 151 + 20 * :one_km, 100000);
SELECT surge, price = hail.quoted_price(t) AS as_quoted FROM hail.trips t WHERE id = :'trip';
ROLLBACK;
SELECT state FROM hail.cancel_trip(:'trip', 'customer');
-- An administrator, too, is told of trips that are not there.
SELECT pg_temp.refusal(format('SELECT hail.quote_destination(%L, 0, 151.1)', id)) FROM unnest(ARRAY[NULL, hail.uuid7()]) id;

-- Said to have arrived 40 km away: neither waiting nor the fee for cancelling begins. At the pickup it may say so again.
CREATE FUNCTION pg_temp.arrived(north float8) RETURNS TABLE (state text, seen boolean) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.advance_clock('30 minutes'), hail.report_location(pg_temp.who('Dan'), north * 0.008993216, 151);
    RETURN QUERY SELECT a.state, a.waiting_from IS NOT NULL FROM hail.trips t, hail.arrive(t.id) a WHERE t.driver_id = pg_temp.who('Dan') AND t.state IN ('matched', 'arrived');
END $$;
SELECT pg_temp.ride('Cay', 'cash') AS trip \gset
SELECT * FROM pg_temp.arrived(42);
SELECT hail.advance_clock('40 minutes') IS NOT NULL AS waited, w.* FROM hail.trips t, hail.waiting_of(t, hail.clock() + '40 minutes') w WHERE t.id = :'trip';
SELECT pg_temp.refusal(format('SELECT hail.arrive(%L)', :'trip'));
SELECT * FROM pg_temp.arrived(0.4);
SELECT pg_temp.refusal(format('SELECT hail.arrive(%L)', :'trip'));
SELECT * FROM pg_temp.start(:'trip', '5 minutes');
SELECT state FROM hail.complete_trip(:'trip');
SELECT payload -> 'at_pickup' AS at_pickup FROM hail.events WHERE aggregate_id = :'trip' AND type = 'DriverArrived' ORDER BY version;
-- Not heard of: it arrives, the ride begins, nobody pays for waiting, or for cancelling.
SELECT pg_temp.ride('Cay', 'cash') AS trip \gset
SELECT hail.advance_clock('61 seconds') IS NOT NULL AS silence;
SELECT state, waiting_from FROM hail.arrive(:'trip');
SELECT * FROM pg_temp.start(:'trip', '2 hours');
SELECT state FROM hail.complete_trip(:'trip');
-- A wallet below its floor: a cheaper way is to be had all the same.
SELECT pg_temp.fund('Wil', 20000 - (SELECT posted::bigint FROM pg_temp.held('Wil'))) IS NOT NULL AS funded;
SELECT pg_temp.ride('Wil', 'wallet') AS trip \gset
BEGIN;
UPDATE hail.accounts SET floor = 15000 WHERE owner_id = pg_temp.who('Wil');
SELECT pg_temp.refusal(format('SELECT hail.change_destination(%L, 0.1, 151, 100000)', :'trip'));
SELECT price FROM hail.change_destination(:'trip', 5 * :one_km, 151, 100000);
SELECT h.held FROM pg_temp.held('Wil') h;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;

-- Whatever the changes: never below the price of what was driven. 40 rides of known seed, a driver anywhere within 8 km each time.
CREATE FUNCTION pg_temp.try(call text) RETURNS text LANGUAGE sql AS
$$ SELECT split_part(replace(pg_temp.refusal(call), 'no error', 'done'), ' | ', 1) $$;
SELECT setseed(0.7);
SELECT state FROM hail.cancel_trip(:'trip', 'customer');
CREATE TEMP TABLE driven (n integer, outcome text, price bigint, driven bigint);
DO $$
DECLARE
    trip hail.trips;
    before hail.trips;
    outcome text;
BEGIN
    FOR n IN 1..40 LOOP
        PERFORM hail.advance_clock('30 minutes'), hail.report_location(pg_temp.who('Dan'), 0, 151.001);
        trip.id := pg_temp.ride('Cay', 'cash', 10);
        PERFORM hail.arrive(trip.id);
        PERFORM pg_temp.start(trip.id, '0');
        FOR change IN 1..5 LOOP
            PERFORM pg_temp.at(random() * 8, random() * 8);
            PERFORM hail.advance_clock('2 minutes') WHERE random() < 0.2; -- not heard of since
            SELECT * INTO before FROM hail.trips t WHERE t.id = trip.id;
            outcome := pg_temp.try(format('SELECT hail.change_destination(%L, %s, %s, 1000000)', trip.id, random() * 0.07, 151 + random() * 0.07));
            SELECT * INTO trip FROM hail.trips t WHERE t.id = before.id;
            INSERT INTO driven SELECT n, outcome, trip.price, a.total
            FROM hail.quotes q, hail.destination_way(trip.region_id, ARRAY[trip.pickup_lat, trip.pickup_lng] || trip.via[:cardinality(trip.via) - 2],
                     trip.via[cardinality(trip.via) - 1], trip.via[cardinality(trip.via)]) w,
                 hail.fare_amounts(q.base_amount, q.per_km, q.per_minute, q.minimum_fare, q.booking_fee, q.rounding, w.distance_m, w.duration_s,
                     (q.surge * 100)::integer, 100, 100, 100) a
            WHERE q.id = trip.quote_id AND outcome = 'done';
            EXIT WHEN outcome <> 'done';
        END LOOP;
        PERFORM hail.complete_trip(trip.id);
    END LOOP;
END $$;
SELECT count(*) > 60 AS many, count(*) FILTER (WHERE price < driven) AS below, max(driven) > 10000 AS far FROM driven;

-- In cash, as far as the driver's wallet bears the commission; so often only; not for jobs; restricted areas.
SELECT pg_temp.ride('Cay', 'cash') AS trip \gset
DO $$ DECLARE changed hail.trips; trip uuid := (SELECT id FROM hail.trips t WHERE t.customer_id = pg_temp.who('Cay') AND t.state = 'matched'); BEGIN
    FOR i IN 1..5 LOOP
        changed := hail.change_destination(trip, 0, 151.05 + i * 0.01, 100000);
    END LOOP;
END $$;
SELECT pg_temp.refusal(format('SELECT hail.change_destination(%L, 0, 151.2, 100000)', :'trip'));
SELECT state FROM hail.cancel_trip(:'trip', 'customer');
SELECT pg_temp.ride('Cay', 'cash') AS trip \gset
SELECT (hail.create_geofence('restricted', 'rides palace', ST_MakeEnvelope(151.1, 0.1, 151.11, 0.11, 4326))).kind;
SELECT pg_temp.refusal(format('SELECT hail.quote_destination(%L, 0.105, 151.105)', :'trip'));
SELECT hail.drop_geofence(id) IS NOT NULL AS dropped FROM hail.geofences WHERE name = 'rides palace';
SELECT state FROM hail.cancel_trip(:'trip', 'customer');
SELECT id AS job FROM hail.request_porter_job((hail.create_job_quote(pg_temp.who('Cay'), '[{"lat": 0, "lng": 151}, {"lat": 0, "lng": 151.05}]', 'van')).id,
    '[{"lat": 0, "lng": 151}, {"lat": 0, "lng": 151.05}]', 'cash', 'rides-job') \gset
SELECT pg_temp.refusal(format('SELECT hail.quote_destination(%L, 0, 151.1)', :'job'));
SELECT state FROM hail.cancel_trip(:'job', 'customer');
-- 65.00 with the most waiting: a commission of 9.75; 10.00 are left.
SELECT set_dispatch_policy.wallet_floor - w.posted AS floor
FROM hail.wallet(pg_temp.who('Dan')) w, hail.set_dispatch_policy('rides', 'ride', jsonb_build_object('wallet_floor', w.posted - 1000));
SELECT pg_temp.ride('Cay', 'cash') AS trip \gset
SELECT pg_temp.refusal(format('SELECT hail.change_destination(%L, 0, %s, 100000)', :'trip', 151 + 12 * :one_km));
SELECT price FROM hail.change_destination(:'trip', 0, 151 + 9 * :one_km, 100000);
SELECT price FROM hail.set_dispatch_policy('rides', 'ride', '{"wallet_floor": null}') p, hail.trips t WHERE t.id = :'trip';
SELECT state FROM hail.cancel_trip(:'trip', 'customer');
SELECT pg_temp.ride('Cay', 'cash') AS trip \gset

-- Who may: the customer of the trip and administrators.
SELECT hail.issue_token(id, '1 day') AS token FROM people WHERE name = 'Oth' \gset other_
SELECT hail.issue_token(id, '1 day') AS token FROM people WHERE name = 'Cay' \gset own_
SELECT hail.issue_token(id, '1 day') AS token FROM people WHERE name = 'Dan' \gset driver_
SET SESSION AUTHORIZATION hail_front;
BEGIN;
SELECT role FROM hail.authenticate(:'other_token');
SAVEPOINT s;
SELECT hail.quote_destination(:'trip', 0, 151.1);
ROLLBACK TO s;
SELECT hail.change_destination(:'trip', 0, 151.1, 100000);
ROLLBACK TO s;
SELECT hail.waive_waiting(:'trip', 'for me');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'driver_token');
SELECT hail.change_destination(:'trip', 0, 151.1, 100000);
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(:'own_token');
SELECT price, price_before FROM hail.quote_destination(:'trip', 0, 151.1);
SELECT price, commission_bp, destination_changes FROM hail.change_destination(:'trip', 0, 151.1, 6000);
SELECT price, destination_changes, waiting_max FROM hail.trips WHERE id = :'trip';
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT state FROM hail.cancel_trip(:'trip', 'customer');

-- 50 rides with a known seed: waiting, waived or not, other destinations, cancelled or completed, wallets that don't suffice.
-- The books agree after each; in the end nothing is held and every price is what its quote's terms make it.
CREATE TEMP TABLE outcomes (n integer, what text, outcome text);
SELECT multiplier FROM hail.add_time_rule('rides', 'always', '00:00', '24:00', 1.37);
SELECT multiplier FROM hail.create_event_area('rides', 'fair', 0.93, NULL, hail.clock() + '10 days', lat => 0, lng => 151, radius_m => 500);
SELECT setseed(0.20131118);
DO $$
DECLARE
    trip hail.trips;
    quote uuid;
    what text;
    moves text[] := '{redirect,arrive,redirect,start,redirect,waive,redirect,end}';
    expected bigint;
BEGIN
    FOR n IN 1..50 LOOP
        IF random() < 0.3 THEN
            PERFORM pg_temp.fund('Wil', (random() * 25000)::bigint + 1);
        END IF;
        PERFORM hail.set_availability(pg_temp.who('Dan'), true, 0, 151.001);
        quote := (hail.create_quote(pg_temp.who('Wil'), 0, 151, 0.01 + random() * 0.2, 151, 'economy')).id;
        INSERT INTO outcomes VALUES (n, 'request', pg_temp.try(format('SELECT hail.request_trip(%L, %L, ''first_accept'', ''seq-%s'')', quote,
            CASE WHEN random() < 0.7 THEN 'wallet' ELSE 'cash' END, n)));
        SELECT * INTO trip FROM hail.trips t WHERE t.quote_id = quote;
        CONTINUE WHEN trip.id IS NULL;
        UPDATE hail.offers SET status = 'withdrawn' WHERE trip_id = trip.id;
        PERFORM pg_temp.offer(trip.id);
        INSERT INTO outcomes VALUES (n, 'accept', pg_temp.try(format('SELECT hail.accept_offer(%L, %L)', trip.id, pg_temp.who('Dan'))));
        FOREACH what IN ARRAY moves LOOP
            SELECT * INTO trip FROM hail.trips t WHERE t.quote_id = quote;
            EXIT WHEN trip.state IN ('cancelled', 'completed');
            IF what = 'redirect' THEN
                CONTINUE WHEN random() < 0.5;
                expected := CASE WHEN random() < 0.75 THEN 1000000 ELSE 1600 END;
                INSERT INTO outcomes VALUES (n, what, pg_temp.try(format('SELECT hail.change_destination(%L, %s, %s, %s)', trip.id, random() * 0.2,
                    151 + random() * 0.2, expected)));
            ELSIF what = 'arrive' THEN
                PERFORM hail.cancel_trip(trip.id, 'customer') WHERE random() < 0.1 OR trip.state = 'searching';
                PERFORM hail.advance_clock('10 minutes'), hail.report_location(pg_temp.who('Dan'), 0, 151.001) WHERE random() < 0.9;
                INSERT INTO outcomes VALUES (n, what, pg_temp.try(format('SELECT hail.arrive(%L)', trip.id)));
                PERFORM hail.advance_clock(random() * interval '20 minutes');
            ELSIF what = 'start' THEN
                PERFORM hail.cancel_trip(trip.id, 'customer') WHERE random() < 0.1;
                INSERT INTO outcomes VALUES (n, what, pg_temp.try(format('SELECT hail.start_trip(%L, %L)', trip.id, trip.pickup_code)));
                PERFORM pg_temp.at(random() * 10, random() * 5);
            ELSIF what = 'waive' THEN
                CONTINUE WHEN random() < 0.7;
                INSERT INTO outcomes VALUES (n, what, pg_temp.try(format('SELECT hail.waive_waiting(%L, ''seq'')', trip.id)));
            ELSE
                INSERT INTO outcomes VALUES (n, what, pg_temp.try(format('SELECT hail.complete_trip(%L)', trip.id)));
            END IF;
            INSERT INTO outcomes SELECT n, what, concat_ws(' ', r.check_name, r.subject, r.expected, r.actual)
            FROM hail.reconcile(hail.clock()::date) r WHERE what = 'end' OR n % 5 = 0 AND what = 'redirect';
        END LOOP;
    END LOOP;
END $$;
SELECT what, outcome, count(*) > 0 AS seen FROM outcomes GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS held FROM hail.holds h JOIN hail.accounts a ON a.id = h.account_id WHERE h.status = 'held' AND a.owner_id IN (SELECT id FROM people);
SELECT held FROM pg_temp.held('Wil');
SELECT count(*) FILTER (WHERE t.destination_changes > 0) > 10 AS many_changed, count(*) FILTER (WHERE t.waiting_amount > 0) > 10 AS many_waited,
       count(*) FILTER (WHERE t.price <> hail.quoted_price(t) + t.waiting_amount) AS wrong_price,
       count(*) FILTER (WHERE t.price % 50 <> 0) AS odd_price
FROM hail.trips t JOIN hail.quotes q ON q.id = t.quote_id WHERE t.customer_id = pg_temp.who('Wil') AND t.state = 'completed';
-- The price recomputed from what the quote stores is the quoted one.
SELECT count(*) > 60 AS quotes, count(*) FILTER (WHERE a.total <> q.total) AS differ
FROM hail.quotes q, hail.fare_amounts(q.base_amount, q.per_km, q.per_minute, q.minimum_fare, q.booking_fee, q.rounding, q.distance_m, q.duration_s,
    (q.surge * 100)::integer, (q.time_multiplier * 100)::integer, (q.event_multiplier * 100)::integer, (q.variant_multiplier * 100)::integer) a
WHERE q.customer_id IN (SELECT id FROM people);
SELECT * FROM hail.check_dispatch() WHERE status <> 'ok';
-- An erasure takes the places out of changed destinations: the events', and where the driver was at the changes.
SELECT count(*) > 10 AS changed, count(*) FILTER (WHERE e.payload ?& '{dropoff_lat,dropoff_lng,old_dropoff_lat,old_dropoff_lng}') = count(*) AS with_places
FROM hail.events e JOIN hail.trips t ON t.id = e.aggregate_id WHERE e.type = 'TripDestinationChanged' AND t.customer_id = pg_temp.who('Wil');
SELECT count(*) > 5 AS with_places FROM hail.trips WHERE customer_id = pg_temp.who('Wil') AND via <> '{}';
SELECT trips > 10 AS trips FROM hail.erase_customer_positions(pg_temp.who('Wil'));
SELECT count(*) > 10 AS changed, count(*) FILTER (WHERE e.payload::text ~ '_(lat|lng)"') AS with_places, bool_and(e.payload ? 'price') AS priced
FROM hail.events e JOIN hail.trips t ON t.id = e.aggregate_id WHERE e.type = 'TripDestinationChanged' AND t.customer_id = pg_temp.who('Wil');
SELECT count(*) AS with_places FROM hail.trips WHERE customer_id = pg_temp.who('Wil') AND via <> '{}';
SELECT (hail.set_availability(pg_temp.who('Dan'), false)).online;
SELECT count(*) > 0 AS with_places FROM hail.trips WHERE driver_id = pg_temp.who('Dan') AND via <> '{}';
SELECT tracks >= 0 AS erased FROM hail.erase_history(pg_temp.who('Dan'));
SELECT count(*) AS left_over FROM hail.trips WHERE driver_id = pg_temp.who('Dan') AND via <> '{}';
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
