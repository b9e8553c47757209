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

SELECT * FROM hail.check_dispatch() WHERE status = 'fail';
SELECT * FROM hail.event_gaps();
SELECT count(hail.set_availability(id, false)) FROM people WHERE metres IS NOT NULL;
RESET search_path;
DROP SCHEMA strategies CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
