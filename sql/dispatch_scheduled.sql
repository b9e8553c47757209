-- Scheduled trips on a frozen clock: searched for ahead of their time, confirmed, a backup driver standing by.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set world :abs_srcdir '/test/regress/strategies.sql'
\set east 58
\set ECHO none
\o /dev/null
\ir :world
\o
\set ECHO all
CREATE FUNCTION at(time) RETURNS timestamptz LANGUAGE sql AS $$ SELECT ('2013-11-20 ' || $1 || '+00')::timestamptz $$;
CREATE FUNCTION now_it_is(time) RETURNS integer LANGUAGE sql AS $$ SELECT later(at($1) - hail.clock()) $$;
CREATE FUNCTION stands(trip uuid) RETURNS TABLE (state text, driver text, backup text, confirm_by timestamptz, confirmed timestamptz,
    looked_at timestamptz) LANGUAGE sql AS
$$ SELECT t.state, name_of(t.driver_id), name_of(t.backup_driver_id), t.confirm_by, t.confirmed_at, t.next_round_at
   FROM hail.trips t WHERE t.id = trip $$;

-- Booked for noon: nothing happens until a quarter to.
SELECT id AS trip, state, scheduled_for, next_round_at, search_until, round, price FROM request('Ada', 'scheduled', 's-1', 'cash', at('12:00')) \gset t
SELECT search_until IS NULL AS no_search FROM hail.trips WHERE id = :'ttrip';
SELECT :'tstate' AS state, :'tscheduled_for' AS scheduled_for, :'tnext_round_at' AS next_round_at;
SELECT state, status, scheduled_for FROM hail.matching_status(:'ttrip');
SELECT id = :'ttrip' AS same FROM hail.request_trip((SELECT quote_id FROM hail.trips WHERE id = :'ttrip'), 'cash', 'scheduled', 's-1', at('12:00'));
SELECT hail.request_trip((SELECT quote_id FROM hail.trips WHERE id = :'ttrip'), 'cash', 'scheduled', 's-1', at('12:30'));
SELECT hail.accept_offer(:'ttrip', who('D1'));
SELECT hail.confirm_trip(:'ttrip');
-- meanwhile the customer rides, and books more
SELECT id AS ride FROM request('Ada', 'first_accept', 'ride') \gset
SELECT (trip).state FROM hail.accept_offer(:'ride', who('D4'));
SELECT count(request('Ada', 'scheduled', 's-' || i, 'cash', at('20:00'))) FROM generate_series(8, 9) i;
SELECT count(hail.cancel_trip(id, 'customer')) FROM hail.trips WHERE idempotency_key IN ('s-8', 's-9') AND customer_id = who('Ada');
SELECT (hail.arrive(:'ride')).state, (hail.start_trip(:'ride', (SELECT pickup_code FROM hail.trips WHERE id = :'ride'))).state,
       (hail.complete_trip(:'ride')).state;
SELECT now_it_is('11:44:59'), (SELECT count(*) FROM offers(:'ttrip'));
SELECT now_it_is('11:45');
SELECT state, search_until, price = :tprice AS price_holds, round FROM hail.get_trip(:'ttrip');
SELECT * FROM offers(:'ttrip');

-- The first to accept drives, the second stands by and stays free, the third is too late.
SELECT (trip).state, already_accepted FROM hail.accept_offer(:'ttrip', who('D1'));
SELECT * FROM stands(:'ttrip');
SELECT name_of((trip).driver_id) AS driver, name_of((trip).backup_driver_id) AS backup, already_accepted FROM hail.accept_offer(:'ttrip', who('D2'));
SELECT name_of((trip).backup_driver_id) AS backup, already_accepted FROM hail.accept_offer(:'ttrip', who('D2'));
SELECT already_accepted FROM hail.accept_offer(:'ttrip', who('D1'));
SELECT hail.accept_offer(:'ttrip', who('D3'));
SELECT hail.accept_offer(:'ttrip', who('D9'));
SELECT name_of(id) AS driver, trip_id IS NOT NULL AS busy FROM hail.drivers WHERE id IN (who('D1'), who('D2')) ORDER BY 1;
-- confirmed in time: the driver's for good
SELECT now_it_is('11:47:59');
SELECT confirmed_at FROM hail.confirm_trip(:'ttrip');
SELECT now_it_is('11:50');
SELECT confirmed_at FROM hail.confirm_trip(:'ttrip');
SELECT * FROM stands(:'ttrip');
-- its driver cancels all the same: the backup is asked first and alone
SELECT state, search_until FROM hail.cancel_trip(:'ttrip', 'driver', 'engine');
SELECT hail.dispatch_tick();
SELECT * FROM offers(:'ttrip') WHERE round > 1;
SELECT (trip).state FROM hail.accept_offer(:'ttrip', who('D2'));
SELECT * FROM stands(:'ttrip');
SELECT confirmed_at FROM hail.confirm_trip(:'ttrip');
SELECT (hail.arrive(:'ttrip')).state, (hail.start_trip(:'ttrip', (SELECT pickup_code FROM hail.trips WHERE id = :'ttrip'))).state;
SELECT state, confirmed_at FROM hail.confirm_trip(:'ttrip');
SELECT (hail.complete_trip(:'ttrip')).price = :tprice AS price_holds;
SELECT * FROM events(:'ttrip');

-- Not confirmed in time: the backup is asked; it lets the offer pass; then everybody else, without the first.
SELECT later('2 minutes');
SELECT id AS trip FROM request('Bea', 'scheduled', 's-2', 'cash', at('14:00')) \gset
SELECT now_it_is('13:45');
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D1'));
SELECT name_of((trip).backup_driver_id) AS backup FROM hail.accept_offer(:'trip', who('D3'));
SELECT now_it_is('13:47:59');
SELECT now_it_is('13:48');
SELECT hail.confirm_trip(:'trip');
SELECT * FROM stands(:'trip');
SELECT * FROM offers(:'trip') WHERE round > 1;
SELECT trip_id, trips_total - trips_completed AS lost FROM hail.drivers WHERE id = who('D1');
SELECT now_it_is('13:48:15');
SELECT * FROM offers(:'trip') WHERE round > 2;
-- nobody until five minutes past its time
SELECT (hail.set_availability(id, false)).online FROM people WHERE name IN ('D2', 'D4', 'D5', 'D6', 'D9') ORDER BY name;
SELECT now_it_is('14:04:59');
SELECT state, status, search_until FROM hail.matching_status(:'trip');
SELECT now_it_is('14:05');
SELECT state, status, reason FROM hail.matching_status(:'trip');
SELECT count(hail.set_availability(id, true, 0, 58 + metres / 111195.0)) FROM people WHERE metres IS NOT NULL;
SELECT * FROM events(:'trip', 6);

-- Too late to confirm, though the dispatcher has not looked yet.
SELECT id AS trip FROM request('Bea', 'scheduled', 's-3', 'cash', at('14:10')) \gset
SELECT state, next_round_at FROM hail.trips WHERE id = :'trip';
SELECT hail.dispatch_tick();
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D1'));
SELECT hail.advance_clock('3 minutes') AS late;
SELECT hail.confirm_trip(:'trip');
SELECT now_it_is('14:08');
SELECT state FROM hail.trips WHERE id = :'trip';
-- without a backup: searched for at once
SELECT count(*) AS asked, bool_or(driver = 'D1') AS first_driver FROM offers(:'trip') WHERE round > 1;
SELECT (hail.cancel_trip(:'trip', 'customer')).state;
SELECT name_of(backup_driver_id) AS backup FROM hail.trips WHERE id = :'trip';
SELECT hail.confirm_trip(:'trip');

-- The driver arrives without a word: that will do.
SELECT id AS trip FROM request('Bea', 'scheduled', 's-4', 'cash', at('14:20')) \gset
SELECT hail.dispatch_tick();
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D2'));
SELECT (hail.arrive(:'trip')).state;
SELECT now_it_is('14:12');
SELECT * FROM stands(:'trip');
SELECT (hail.cancel_trip(:'trip', 'admin')).state;

-- A backup who has taken another trip is passed over.
SELECT later('2 minutes');
SELECT id AS trip FROM request('Bea', 'scheduled', 's-5', 'cash', at('15:00')) \gset
SELECT now_it_is('14:45');
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D1'));
SELECT name_of((trip).backup_driver_id) AS backup FROM hail.accept_offer(:'trip', who('D2'));
SELECT id AS ride FROM request('Cas', 'first_accept', 'ride-2') \gset
SELECT (trip).state FROM hail.accept_offer(:'ride', who('D2'));
SELECT now_it_is('14:48');
SELECT * FROM stands(:'trip');
SELECT round, bool_or(driver IN ('D1', 'D2')) AS d1_d2, count(*) AS asked FROM offers(:'trip') WHERE round > 1 GROUP BY 1 ORDER BY 1;
SELECT (hail.cancel_trip(:'trip', 'customer')).state, (hail.cancel_trip(:'ride', 'customer')).state;
-- standing by takes an offer that still lives, and a driver who is free
SELECT id AS trip FROM request('Bea', 'scheduled', 's-6', 'cash', at('16:00')) \gset
SELECT now_it_is('15:45');
SELECT id AS ride FROM request('Cas', 'first_accept', 'ride-3') \gset
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D1'));
SELECT (trip).state FROM hail.accept_offer(:'ride', who('D2'));
SELECT hail.accept_offer(:'trip', who('D2'));
SELECT now_it_is('15:45:15');
SELECT hail.accept_offer(:'trip', who('D3'));
SELECT (hail.cancel_trip(:'ride', 'customer')).state;
SELECT confirmed_at FROM hail.confirm_trip(:'trip');
SELECT (hail.cancel_trip(:'trip', 'customer')).state;

-- The customer still rides when the time comes: tried again until it can; the tick goes on.
SELECT id AS trip FROM request('Ada', 'scheduled', 's-7', 'cash', at('17:00')) \gset
SELECT now_it_is('16:40');
SELECT id AS ride FROM request('Ada', 'first_accept', 'ride-4') \gset
SELECT (trip).state FROM hail.accept_offer(:'ride', who('D1'));
SELECT now_it_is('16:45');
SELECT * FROM stands(:'trip');
SELECT now_it_is('16:50');
SELECT state, looked_at FROM stands(:'trip');
SELECT (hail.cancel_trip(:'ride', 'customer')).state;
SELECT later('5 seconds');
SELECT state, (SELECT count(*) FROM offers(:'trip')) AS asked FROM stands(:'trip');
SELECT hail.request_trip(quote('Ada'), 'cash', 'first_accept', 'ride-5');
SELECT (hail.cancel_trip(:'trip', 'customer')).state;
-- and until it cannot any more
SELECT id AS trip FROM request('Ada', 'scheduled', 's-10', 'cash', at('18:00')) \gset
SELECT id AS ride FROM request('Ada', 'first_accept', 'ride-6') \gset
SELECT (trip).state FROM hail.accept_offer(:'ride', who('D1'));
SELECT now_it_is('18:04:59');
SELECT state FROM stands(:'trip');
SELECT now_it_is('18:05');
SELECT state, status, reason FROM hail.matching_status(:'trip');
SELECT (hail.cancel_trip(:'ride', 'customer')).state;

-- A scheduled trip is cancelled free of charge; by its customer alone.
SELECT id AS trip FROM request('Ada', 'scheduled', 's-11', 'cash', at('20:00')) \gset
SELECT hail.issue_token(who('Ada')) AS ada, hail.issue_token(who('Bea')) AS bea \gset
BEGIN; SELECT role FROM hail.authenticate(:'bea'); SELECT hail.cancel_trip(:'trip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'ada'); SELECT state, cancelled_by FROM hail.cancel_trip(:'trip'); ROLLBACK;
SELECT now_it_is('19:45');
SELECT hail.issue_token(who('Ada')) AS ada, hail.issue_token(who('Bea')) AS bea, hail.issue_token(who('D1')) AS d1,
       hail.issue_token(who('D2')) AS d2, hail.issue_token(who('D3')) AS d3, who('D1') AS d1_id, who('D2') AS d2_id \gset
BEGIN; SELECT role FROM hail.authenticate(:'d1'); SELECT (trip).state FROM hail.accept_offer(:'trip', :'d1_id'); COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'d2'); SELECT (trip).pickup_code, (trip).backup_driver_id = :'d2_id' AS backup FROM hail.accept_offer(:'trip', :'d2_id'); COMMIT;
BEGIN; SELECT role FROM hail.authenticate(:'d2'); SELECT state FROM hail.get_trip(:'trip'); SELECT count(id) FROM hail.trips WHERE id = :'trip'; SELECT hail.confirm_trip(:'trip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'d3'); SELECT hail.get_trip(:'trip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'ada'); SELECT hail.confirm_trip(:'trip'); ROLLBACK;
SET ROLE hail_driver; SELECT hail.confirm_trip(:'trip'); RESET ROLE;
BEGIN; SELECT role FROM hail.authenticate(:'d1'); SELECT state, confirmed_at FROM hail.confirm_trip(:'trip'); COMMIT;
SELECT hail.confirm_trip(NULL);
SELECT hail.confirm_trip(hail.uuid7());
SELECT (hail.cancel_trip(:'trip', 'customer')).state;
SELECT id AS plain FROM request('Ada', 'first_accept', 'plain') \gset
SELECT (trip).state FROM hail.accept_offer(:'plain', who('D1'));
SELECT hail.confirm_trip(:'plain');
SELECT (hail.cancel_trip(:'plain', 'customer')).state;

-- A backup whom the customer has blocked since is not asked.
SELECT id AS trip FROM request('Cas', 'scheduled', 's-block', 'cash', hail.clock() + '1 hour') \gset
SELECT later('45 minutes');
SELECT (trip).state FROM hail.accept_offer(:'trip', who('D1'));
SELECT name_of((trip).backup_driver_id) AS backup FROM hail.accept_offer(:'trip', who('D2'));
SELECT (hail.block_driver(who('Cas'), who('D2'))).blocked, (hail.cancel_trip(:'trip', 'driver')).state;
SELECT hail.dispatch_tick();
SELECT driver, status FROM offers(:'trip') WHERE round > 1;
SELECT (hail.cancel_trip(:'trip', 'customer')).state, (hail.block_driver(who('Cas'), who('D2'), false)).blocked;

SELECT * FROM hail.check_dispatch() WHERE status = 'fail';
SELECT * FROM hail.event_gaps();
SELECT count(hail.set_availability(id, false)) FROM people WHERE metres IS NOT NULL;
RESET search_path;
DROP SCHEMA strategies CASCADE;
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
