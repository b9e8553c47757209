-- Forward dispatch on a frozen clock: the next ride for drivers about to end one; off unless the policy says so.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set world :abs_srcdir '/test/regress/strategies.sql'
\set east 62
\set ECHO none
\o /dev/null
\ir :world
\o
\set ECHO all
-- Two drivers only. D1 drives Ada 5.6 km to the east, D2 is not there.
SELECT count(hail.set_availability(id, false)) FROM people WHERE name NOT IN ('D1', 'Ada', 'Bea', 'Cas');
-- A driver moves while time passes, and the position table knows.
CREATE FUNCTION moves(driver text, metres float8, by interval) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    UPDATE people SET metres = moves.metres WHERE name = driver;
    PERFORM hail.advance_clock(by), tell_all();
    PERFORM FROM hail.keep();
    RETURN hail.dispatch_tick();
END $$;
CREATE FUNCTION drive(customer text, driver text, key text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    trip hail.trips := request(customer, 'first_accept', key);
BEGIN
    PERFORM hail.accept_offer(trip.id, who(driver)), hail.arrive(trip.id);
    PERFORM hail.start_trip(trip.id, (SELECT t.pickup_code FROM hail.trips t WHERE t.id = trip.id));
    RETURN trip.id;
END $$;
CREATE FUNCTION agreed(trip uuid) RETURNS TABLE (driver text, status text, forward boolean, agreed timestamptz, expires timestamptz)
LANGUAGE sql AS $$ SELECT name_of(o.driver_id), o.status, o.forward, o.agreed_at, o.expires_at
                   FROM hail.offers o WHERE o.trip_id = trip ORDER BY o.id $$;
SELECT drive('Ada', 'D1', 'ride') AS ride \gset
-- 600 m before the end: two minutes
SELECT moves('D1', 4960, '5 minutes');

-- By default a busy driver is never asked.
SELECT id AS trip FROM request('Bea', 'first_accept', 'off') \gset
SELECT moves('D1', 4970, '5 seconds');
SELECT * FROM agreed(:'trip');
SELECT (hail.cancel_trip(:'trip', 'customer')).state;

-- With forward_within of three minutes it is, when nobody is free.
SELECT (hail.set_dispatch_policy('strategies62', 'ride', '{"forward_within": "3 minutes", "radius_m": [12000]}')).forward_within;
SELECT id AS trip FROM request('Bea', 'first_accept', 'on') \gset
SELECT * FROM agreed(:'trip');
SELECT later('5 seconds');
SELECT * FROM agreed(:'trip');
-- what trips have taught counts: where the last 600 m take eight minutes it does not end soon
SELECT count(*) FROM hail.finishing_drivers(:'trip', 12000, 8);
SELECT count(*) AS refused FROM hail.queue_eta_trips('strategies62', ARRAY(SELECT hail.clock() - n * interval '1 minute' FROM generate_series(1, 50) n),
    array_fill(0, ARRAY[50])::float8[], array_fill(62.0446, ARRAY[50])::float8[], array_fill(0, ARRAY[50])::float8[],
    array_fill(62.05, ARRAY[50])::float8[], array_fill(480, ARRAY[50])::float8[]);
SELECT hail.learn_eta() >= 50 AS learnt;
SELECT count(*) FROM hail.finishing_drivers(:'trip', 12000, 8);
SELECT hail.forget_eta('strategies62') > 0 AS forgotten;
SELECT count(*) FROM hail.finishing_drivers(:'trip', 12000, 8);
SELECT pickup_distance_m BETWEEN 6100 AND 6300 AS by_way_of_the_dropoff FROM hail.driver_offers(who('D1'));
SELECT offers_pending, status FROM hail.matching_status(:'trip');
-- in a search without a round of its own (the index is being rebuilt) nobody is asked twice in the same round
BEGIN;
UPDATE hail.offers SET status = 'expired' WHERE trip_id = :'trip';
UPDATE hail.trips SET rounds_before = round WHERE id = :'trip';
SELECT hail.offer_forward(:'trip');
ROLLBACK;
-- nor by hand: it is on a ride
SELECT hail.assign_trip(:'trip', who('D1'));
-- it agrees: its offer waits for the end of the ride; it is on one trip as before
SELECT (trip).state, name_of((trip).driver_id) AS driver, already_accepted FROM hail.accept_offer(:'trip', who('D1'));
SELECT (trip).state, already_accepted FROM hail.accept_offer(:'trip', who('D1'));
SELECT * FROM agreed(:'trip');
SELECT trip_id = :'ride' AS on_the_ride, active_jobs FROM hail.drivers WHERE id = who('D1');
SELECT later('2 seconds');
SELECT * FROM agreed(:'trip');
SELECT state, round FROM hail.trips WHERE id = :'trip';
-- the ride ends: the next one is the driver's, no pause between
SELECT (hail.complete_trip(:'ride')).state;
SELECT cooldown_until - hail.clock() > '2 seconds' AS would_pause FROM hail.drivers WHERE id = who('D1');
SELECT later('2 seconds');
SELECT state, name_of(driver_id) AS driver FROM hail.trips WHERE id = :'trip';
SELECT trip_id = :'trip' AS on_the_next, active_jobs FROM hail.drivers WHERE id = who('D1');
SELECT driver, status, forward FROM agreed(:'trip');
SELECT * FROM events(:'trip');
SELECT (hail.cancel_trip(:'trip', 'customer')).state;

-- The ride takes longer than twice the time: somebody else is looked for.
SELECT moves('D1', 556, '5 minutes');
SELECT drive('Ada', 'D1', 'ride-2') AS ride \gset
SELECT moves('D1', 4960, '5 minutes');
SELECT id AS trip FROM request('Bea', 'first_accept', 'late') \gset
SELECT later('5 seconds');
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D1'));
SELECT expires_at - hail.clock() AS waits FROM hail.offers WHERE trip_id = :'trip';
SELECT count(later('30 seconds')) FROM generate_series(1, 11);
SELECT driver, status FROM agreed(:'trip');
SELECT (hail.set_availability(who('D2'), true, 0, 62 + 1112 / 111195.0)).online;
SELECT later('30 seconds');
SELECT driver, status, forward FROM agreed(:'trip');
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D2'));
SELECT (hail.cancel_trip(:'trip', 'customer')).state;
SELECT (hail.set_availability(who('D2'), false)).online;

-- A driver who has agreed changes its mind, or is gone when the ride ends: the search goes on.
SELECT moves('D1', 4960, '1 minute');
SELECT id AS trip FROM request('Bea', 'first_accept', 'mind') \gset
SELECT later('5 seconds');
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D1'));
SELECT (hail.decline_offer(:'trip', who('D1'), 'tired')).status;
SELECT later('1 second'), (SELECT state FROM hail.trips WHERE id = :'trip');
SELECT (hail.cancel_trip(:'trip', 'customer')).state;
SELECT id AS trip FROM request('Bea', 'first_accept', 'gone') \gset
SELECT moves('D1', 4980, '5 seconds');
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D1'));
SELECT (hail.complete_trip(:'ride')).state, (hail.set_availability(who('D1'), false)).online;
SELECT later('2 seconds');
SELECT state, (SELECT o.status FROM agreed(:'trip') o) AS offer FROM hail.trips WHERE id = :'trip';
SELECT (hail.cancel_trip(:'trip', 'customer')).state;

-- Not asked: too far from the end, blocked, already holding an offer.
SELECT moves('D1', 556, '5 minutes'), (hail.set_availability(who('D1'), true, 0, 62 + 556 / 111195.0)).online;
SELECT drive('Ada', 'D1', 'ride-3') AS ride \gset
SELECT moves('D1', 4000, '5 minutes');
SELECT id AS trip FROM request('Bea', 'first_accept', 'far') \gset
SELECT later('5 seconds'), (SELECT count(*) FROM agreed(:'trip'));
SELECT (hail.block_driver(who('Bea'), who('D1'))).blocked, moves('D1', 4960, '1 minute');
SELECT later('5 seconds'), (SELECT count(*) FROM agreed(:'trip'));
SELECT id AS other FROM request('Cas', 'first_accept', 'other') \gset
SELECT later('5 seconds'), (SELECT count(*) FROM agreed(:'other'));
SELECT count(hail.cancel_trip(id, 'customer')) FROM hail.trips WHERE id IN (:'trip', :'other');
SELECT (hail.complete_trip(:'ride')).state;

SELECT * FROM hail.check_dispatch() WHERE status = 'fail';
SELECT * FROM hail.check_live() WHERE status = 'fail';
SELECT * FROM hail.event_gaps();
SELECT count(hail.set_availability(id, false)) FROM people WHERE metres IS NOT NULL;
RESET search_path;
DROP SCHEMA strategies CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
