-- Strategies and their rounds on a frozen clock; what a request may ask for.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set world :abs_srcdir '/test/regress/strategies.sql'
\set east 50
\set ECHO none
\o /dev/null
\ir :world
\o
\set ECHO all

-- sequential: one driver at a time for 10 seconds, five times, then several at once.
SELECT id AS trip, state, strategy FROM request('Ada', 'sequential', 'seq') \gset
SELECT * FROM offers(:'trip');
SELECT later('9 seconds');
SELECT later('1 second');
SELECT * FROM offers(:'trip');
SELECT (hail.decline_offer(:'trip', driver_id)).status FROM hail.offers WHERE trip_id = :'trip' AND status = 'pending';
SELECT hail.dispatch_tick();
SELECT round, radius_m, status FROM hail.matching_status(:'trip');
SELECT later('10 seconds'), later('10 seconds');
SELECT * FROM offers(:'trip');
-- the sixth round is one of first_accept; whoever was asked in this pass is not asked again in it
SELECT later('10 seconds');
SELECT * FROM offers(:'trip') WHERE round > 5;
SELECT later('15 seconds');
SELECT * FROM offers(:'trip') WHERE round > 6;
SELECT round, radius_m, status FROM hail.matching_status(:'trip');
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D9'));
-- a driver who gives it back: one at a time again, without it
SELECT state, round, rounds_before FROM hail.cancel_trip(:'trip', 'driver', 'no fuel');
SELECT hail.dispatch_tick();
SELECT * FROM offers(:'trip') WHERE round > 7;
SELECT (hail.cancel_trip(:'trip', 'customer')).state;

-- batched: no round of its own when requested.
SELECT id AS trip, state, round, next_round_at = hail.clock() AS due FROM request('Ada', 'batched', 'batch') \gset
SELECT count(*) FROM offers(:'trip');
SELECT (hail.cancel_trip(:'trip', 'customer')).state;

-- Requests that cannot be: nothing is made of them.
SELECT quote('Bea') AS quote \gset
SELECT hail.request_trip(:'quote', 'cash', 'loudest', 'bad');
SELECT hail.request_trip(:'quote', 'cash', NULL, 'bad');
SELECT hail.request_trip(:'quote', 'cash', 'First_Accept', 'bad');
SELECT hail.request_trip(:'quote', 'cash', 'first_accept', 'bad', hail.clock() + interval '1 hour');
SELECT hail.request_trip(:'quote', 'cash', 'batched', 'bad', hail.clock() - interval '1 hour');
SELECT hail.request_trip(:'quote', 'cash', 'scheduled', 'bad');
SELECT hail.request_trip(:'quote', 'cash', 'scheduled', 'bad', hail.clock());
SELECT hail.request_trip(:'quote', 'cash', 'scheduled', 'bad', hail.clock() - interval '1 second');
SELECT hail.request_trip(:'quote', 'cash', 'scheduled', 'bad', '-infinity');
SELECT hail.request_trip(:'quote', 'cash', 'scheduled', 'bad', 'infinity');
SELECT hail.request_trip(:'quote', 'cash', 'scheduled', 'bad', hail.clock() + interval '30 days 1 second');
SELECT count(*) FROM hail.trips WHERE quote_id = :'quote';

-- Why a search found nobody: in the row, the event and the status.
CREATE FUNCTION ended(trip uuid) RETURNS TABLE (status text, reason text, in_row boolean, in_event boolean) LANGUAGE sql AS $$
    SELECT s.status, s.reason, t.no_drivers_reason = s.reason, EXISTS (SELECT FROM hail.events e WHERE e.aggregate_id = t.id
           AND e.type = 'TripNoDrivers' AND e.payload ->> 'reason' = s.reason AND e.version = t.event_version)
    FROM hail.matching_status(trip) s JOIN hail.trips t ON t.id = trip $$;
SELECT id AS trip FROM request('Bea', 'first_accept', 'end-1') \gset
SELECT count(hail.decline_offer(:'trip', driver_id)) FROM hail.offers WHERE trip_id = :'trip' AND status = 'pending';
SELECT hail.dispatch_tick();
SELECT count(hail.decline_offer(:'trip', driver_id)) FROM hail.offers WHERE trip_id = :'trip' AND status = 'pending';
SELECT hail.dispatch_tick();
SELECT later('5 minutes'), later('5 minutes');
SELECT * FROM ended(:'trip');
SELECT id AS trip FROM request('Bea', 'sequential', 'end-2') \gset
SELECT (hail.decline_offer(:'trip', driver_id)).status FROM hail.offers WHERE trip_id = :'trip' AND status = 'pending';
SELECT hail.dispatch_tick();
SELECT later('5 minutes');
SELECT * FROM ended(:'trip');
-- nobody was asked: far away, or busy
SELECT count(hail.set_availability(id, false)) FROM people WHERE metres IS NOT NULL;
SELECT count(*) > 0 AS kept FROM hail.keep();
SELECT id AS trip FROM request('Bea', 'first_accept', 'end-3') \gset
SELECT later('4 minutes 59 seconds'), (SELECT state FROM hail.trips WHERE id = :'trip');
SELECT later('1 second');
SELECT * FROM ended(:'trip');
SELECT count(hail.set_availability(id, true, 0, 50 + metres / 111195.0)) FROM people WHERE name IN ('D1', 'D2');
SELECT id AS ride1 FROM request('Ada', 'first_accept', 'busy-1') \gset
SELECT id AS ride2 FROM request('Cas', 'first_accept', 'busy-2') \gset
SELECT (trip).state FROM hail.accept_offer(:'ride1', who('D1'));
SELECT (trip).state FROM hail.accept_offer(:'ride2', who('D2'));
SELECT id AS trip FROM request('Bea', 'batched', 'end-4') \gset
SELECT hail.advance_clock('5 minutes') IS NOT NULL AS later, tell_all();
SELECT count(*) > 0 AS kept FROM hail.keep();
SELECT hail.dispatch_tick();
SELECT * FROM ended(:'trip');
SELECT (hail.cancel_trip(:'ride1', 'customer')).state, (hail.cancel_trip(:'ride2', 'customer')).state;

-- Trips whose last offer was to the driver who took another go on at once; one that is offered to others too does not.
SELECT later('10 minutes');
SELECT count(hail.set_availability(id, false)) FROM people WHERE metres IS NOT NULL AND name <> 'D1';
SELECT a.id AS one, b.id AS two, c.id AS three FROM request('Ada', 'first_accept', 'last-1') a, request('Bea', 'first_accept', 'last-2') b,
    request('Cas', 'first_accept', 'last-3') c \gset t
INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
    VALUES (:'tthree', who('D2'), 1, 1, 0, 1, 1, hail.clock(), hail.clock() + interval '1 minute');
SELECT driver, status, lives FROM offers(:'ttwo');
SELECT (a.trip).state FROM hail.accept_offer(:'tone', who('D1')) a;
SELECT driver, status FROM offers(:'ttwo');
SELECT idempotency_key, state, next_round_at <= hail.clock() AS at_once FROM hail.trips WHERE id IN (:'tone', :'ttwo', :'tthree') ORDER BY 1;
-- Should one driver hold two offers of a trip, the newest is what it accepts.
SELECT (hail.cancel_trip(:'tone', 'customer')).state, later('1 minute');
INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
    SELECT :'ttwo', who('D1'), round, round - 87, 0, 1, 1, hail.clock(), hail.clock() + interval '1 minute' FROM unnest(ARRAY[89, 90]) round;
SELECT (a.trip).state FROM hail.accept_offer(:'ttwo', who('D1')) a;
SELECT round, status FROM offers(:'ttwo') WHERE round > 80;
SELECT (hail.cancel_trip(:'ttwo', 'customer')).state, (hail.cancel_trip(:'tthree', 'customer')).state;
SELECT count(hail.set_availability(id, true, 0, (SELECT east FROM world) + metres / 111195.0)) FROM people WHERE metres IS NOT NULL;

-- Nobody is offered a trip twice at once: later passes leave out who holds an offer of it still.
SELECT later('10 minutes');
SELECT count(hail.set_availability(id, false)) FROM people WHERE metres IS NOT NULL AND name NOT IN ('D1', 'D2');
SELECT id AS trip FROM request('Ada', 'first_accept', 'once') \gset
UPDATE hail.offers SET expires_at = hail.clock() + '1 hour' WHERE trip_id = :'trip' AND driver_id = who('D1');
SELECT count(later('15 seconds')) FROM generate_series(1, 8);
SELECT driver, status, count(*) > 1 AS several FROM offers(:'trip') GROUP BY 1, 2 ORDER BY 1, 2;
SELECT (hail.cancel_trip(:'trip', 'customer')).state;
SELECT count(hail.set_availability(id, true, 0, (SELECT east FROM world) + metres / 111195.0)) FROM people WHERE metres IS NOT NULL;

SELECT * FROM hail.check_dispatch() WHERE status = 'fail';
SELECT * FROM hail.event_gaps();
SELECT count(hail.set_availability(id, false)) FROM people WHERE metres IS NOT NULL;
RESET search_path;
DROP SCHEMA strategies CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
