-- Keys of requests, pages of trips, the offers of a trip, and what each role sees of them.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-21 10:00+00');

-- A region of its own on the equator, two customers, a driver, and trips as a dispatcher finds them after a year.
SELECT (hail.create_region('lists', 'Lists', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(34, -1, 36, 1, 4326))).code;
SELECT (hail.set_fare('lists', 'economy', 1000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
CREATE FUNCTION who(text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT id FROM hail.users WHERE name = $1 AND phone ~ '^\+35186' $$;
CREATE FUNCTION quote(customer text) RETURNS uuid LANGUAGE sql AS
$$ SELECT (hail.create_quote(who(customer), 0, 35, 0, 35.05, 'economy')).id $$;
SELECT count(hail.register_user('+3518600000' || n, name, role))
FROM (VALUES (1, 'Liz', 'customer'), (2, 'Lou', 'customer'), (3, 'Len', 'driver'), (4, 'Lea', 'driver')) p (n, name, role);
SELECT count(hail.register_driver(who(d), 'lists', ARRAY['economy'])), count(hail.approve_driver(who(d))),
       count(hail.set_availability(who(d), true, 0, 35)) FROM unnest(ARRAY['Len', 'Lea']) d;
CREATE FUNCTION past_trip(customer text, hours integer, state text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    q uuid := quote(customer);
BEGIN
    INSERT INTO hail.trips (region_id, service, service_class, customer_id, driver_id, quote_id, state, strategy, payment_method,
            pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee,
            currency, surge, policy_id, idempotency_key, requested_at)
        SELECT r.id, 'ride', 'economy', who(customer), CASE state WHEN 'completed' THEN who('Len') END, q, state, 'first_accept',
               'cash', 0, 35, 0, 35.05, 1000, 60, 1500, 1500, 0, 'EUR', 1, p.id, 'past ' || hours,
               hail.clock() - hours * interval '1 hour'
        FROM hail.regions r, hail.dispatch_policies p WHERE r.code = 'lists' AND p.region_id IS NULL AND p.service IS NULL;
END
$$;
SELECT count(past_trip('Liz', h, CASE WHEN h % 3 = 0 THEN 'cancelled' ELSE 'completed' END)) FROM generate_series(7, 1, -1) h;
SELECT count(past_trip('Lou', h, 'no_drivers')) FROM generate_series(12, 11, -1) h;
CREATE FUNCTION hours_ago(t hail.trips) RETURNS integer LANGUAGE sql STABLE AS
$$ SELECT (extract(epoch FROM hail.clock() - t.requested_at) / 3600)::integer $$;

-- A page after the other: every trip once, newest first; the last page has no cursor.
SELECT hours_ago(trip), (trip).state, next_cursor IS NOT NULL AS more FROM hail.list_trips(who('Liz'), max_results => 3);
SELECT next_cursor AS cursor FROM hail.list_trips(who('Liz'), max_results => 3) WHERE next_cursor IS NOT NULL \gset
SELECT hours_ago(trip), next_cursor IS NOT NULL AS more FROM hail.list_trips(who('Liz'), max_results => 4, cursor => :'cursor');
SELECT hours_ago(trip), next_cursor IS NOT NULL AS more FROM hail.list_trips(who('Liz'), max_results => 3, cursor => :'cursor');
-- A trip that is requested meanwhile moves nothing.
SELECT past_trip('Liz', 0, 'cancelled');
SELECT hours_ago(trip) FROM hail.list_trips(who('Liz'), max_results => 3, cursor => :'cursor');
-- All trips along their times, those of the same moment too.
SELECT past_trip('Lou', 3, 'no_drivers'), past_trip('Lou', 33, 'no_drivers');
WITH RECURSIVE pages AS (
    SELECT 1 AS page, array_agg((l.trip).id ORDER BY (l.trip).requested_at DESC, (l.trip).id DESC) AS ids, max(l.next_cursor) AS cursor
    FROM hail.list_trips(requested_from => '2013-11-20', max_results => 2) l
    UNION ALL
    SELECT p.page + 1, l.ids, l.cursor FROM pages p, LATERAL (
        SELECT array_agg((l.trip).id ORDER BY (l.trip).requested_at DESC, (l.trip).id DESC) AS ids, max(l.next_cursor) AS cursor
        FROM hail.list_trips(requested_from => '2013-11-20', max_results => 2, cursor => p.cursor) l) l
    WHERE p.cursor IS NOT NULL)
SELECT max(page) > 4 AS several, count(*) = count(DISTINCT id) AS each_once,
       array_agg(id ORDER BY page, place) = (SELECT array_agg(t.id ORDER BY t.requested_at DESC, t.id DESC) FROM hail.trips t
                                             WHERE t.requested_at >= '2013-11-20') AS all_in_order
FROM pages, unnest(ids) WITH ORDINALITY AS u (id, place);
-- Filters.
SELECT hours_ago(trip), (trip).state FROM hail.list_trips(who('Liz'), state => '{cancelled}', requested_to => '2013-11-21 09:00');
SELECT hours_ago(trip) FROM hail.list_trips(driver_id => who('Len'), requested_from => '2013-11-21 05:00', requested_to => '2013-11-21 08:00');
SELECT count(*) FROM hail.list_trips(who('Liz'), service => 'porter');
SELECT count(*) FROM hail.list_trips(who('Liz'), requested_from => '2013-11-21 12:00', requested_to => '2013-11-21 10:00');

-- No page sorts all trips, or looks at those of others.
CREATE FUNCTION plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text; plan text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        plan := plan || line;
    END LOOP;
    -- which index depends on statistics; that one gives the order does not
    RETURN CASE WHEN plan LIKE '%Sort%' THEN 'sorted: ' ELSE 'read in order: ' END ||
           CASE WHEN plan ~ 'Index (Only )?Scan Backward using trips_' THEN 'an index backward' ELSE plan END;
END
$$;
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_sort = off;
SET LOCAL enable_bitmapscan = off;
SELECT plan(hail.trip_page_sql('customer_id', who('Liz'), '{completed,cancelled}', 'ride', '2013-11-20', '2013-11-22',
                               hail.trip_place('2013-11-21', who('Liz')), 21));
SELECT plan(hail.trip_page_sql('driver_id', who('Len'), NULL, NULL, NULL, NULL, NULL, 21));
SELECT plan(hail.trip_page_sql(NULL, NULL, NULL, NULL, '2013-11-20', '2013-11-22', hail.trip_place('2013-11-21', who('Liz')), 21));
SELECT plan(hail.trip_page_sql(NULL, NULL, '{no_drivers}', 'ride', NULL, NULL, NULL, 21));
ROLLBACK;

-- What is no page.
SELECT hail.list_trips(who('Liz'), max_results => 0);
SELECT hail.list_trips(who('Liz'), max_results => 101);
SELECT hail.list_trips(who('Liz'), max_results => NULL);
SELECT hail.list_trips(who('Liz'), state => '{flying}');
SELECT hail.list_trips(who('Liz'), state => '{}');
SELECT hail.list_trips(who('Liz'), state => '{completed,NULL}');
SELECT hail.list_trips(who('Liz'), service => 'taxi');
SELECT hail.list_trips(who('Liz'), who('Len'));
-- A cursor of another list, or changed by a letter, or no cursor at all.
SELECT hail.list_trips(who('Lou'), cursor => :'cursor');
SELECT hail.list_trips(who('Liz'), state => '{completed}', cursor => :'cursor');
SELECT hail.list_trips(who('Liz'), cursor => overlay(:'cursor' PLACING CASE left(:'cursor', 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 1));
SELECT hail.list_trips(who('Liz'), cursor => left(:'cursor', 42) || '=');
SELECT hail.list_trips(who('Liz'), cursor => repeat('~', 43));
SELECT hail.list_trips(who('Liz'), cursor => '');

-- Keys: the first claim is new, after its trip each further one is a replay; keys are their customer's alone.
SELECT replayed FROM hail.claim_trip_key('liz-1', quote('Liz'));
SELECT id AS trip, event_version FROM hail.request_trip(quote('Liz'), 'cash', 'first_accept', 'liz-1') \gset t
SELECT quote_id AS q FROM hail.trips WHERE id = :'ttrip' \gset
SELECT replayed, key FROM hail.claim_trip_key('liz-1', :'q');
SELECT replayed FROM hail.claim_trip_key('liz-1', quote('Lou'));
SELECT hail.claim_trip_key('liz-1', hail.uuid7());
SELECT hail.claim_trip_key('');
SELECT hail.claim_trip_key(NULL);
SELECT hail.claim_trip_key(repeat('x', 201));
SELECT replayed, t.id = :'ttrip' AS same
FROM hail.claim_trip_key('liz-1', :'q') k, LATERAL hail.request_trip(:'q', 'cash', 'first_accept', k.key) t;

-- The offers of a trip: its customer learns how they stand, who accepted, no scores; administrators all.
SELECT hail.accept_offer(:'ttrip', who('Lea')) IS NOT NULL AS accepted;
SELECT driver_name, rating, round, status, pickup_distance_m, score > 0 AS score FROM hail.trip_offers(:'ttrip') ORDER BY 1;
SELECT hail.issue_token(who('Liz')) AS liz, hail.issue_token(who('Lou')) AS lou, hail.issue_token(who('Len')) AS len \gset
BEGIN;
SELECT role FROM hail.authenticate(:'liz');
SELECT driver_name, driver_id IS NOT NULL AS known, status, score, reason FROM hail.trip_offers(:'ttrip') ORDER BY status;
SELECT count(*) FROM hail.list_trips(hail.current_subject());
SELECT hail.list_trips();
ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'liz'); SELECT hail.list_trips(who('Lou')); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'liz'); SELECT hail.list_trips(driver_id => hail.current_subject()); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'lou'); SELECT hail.trip_offers(:'ttrip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'len'); SELECT count(*) FROM hail.list_trips(driver_id => hail.current_subject()); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'len'); SELECT hail.trip_offers(:'ttrip'); ROLLBACK;
BEGIN; SELECT role FROM hail.authenticate(:'len'); SELECT hail.claim_trip_key('x'); ROLLBACK;
SET ROLE hail_driver; SELECT hail.list_trips(); RESET ROLE;

SELECT (hail.cancel_trip(:'ttrip')).state;

-- A trip by hand: to whom it was not offered, who let an offer go by, and back again; by the rules of accepting.
SELECT id AS trip FROM hail.request_trip(quote('Lou'), 'cash', 'first_accept', 'lou-1') \gset t
SELECT (hail.decline_offer(:'ttrip', who('Len'))).status, (hail.set_availability(who('Lea'), false)).online;
SELECT hail.assign_trip(:'ttrip', who('Lea'));
SELECT hail.assign_trip(:'ttrip', who('Liz'));
SELECT hail.assign_trip(hail.uuid7(), who('Len'));
SELECT state, pickup_code IS NOT NULL AS code, driver_id = who('Len') AS len FROM hail.assign_trip(:'ttrip', who('Len'));
SELECT state FROM hail.assign_trip(:'ttrip', who('Len'));
SELECT hail.assign_trip(:'ttrip', who('Lea'));
SELECT u.name, o.status FROM hail.offers o JOIN hail.users u ON u.id = o.driver_id WHERE o.trip_id = :'ttrip' ORDER BY o.id;
SELECT type FROM hail.events WHERE aggregate_id = :'ttrip' ORDER BY version;
SELECT (hail.cancel_trip(:'ttrip', 'driver')).state;
SELECT state FROM hail.assign_trip(:'ttrip', who('Len'));
SELECT id AS other FROM hail.request_trip(quote('Liz'), 'cash', 'first_accept', 'liz-2') \gset t
SELECT hail.assign_trip(:'tother', who('Len'));
SELECT (hail.cancel_trip(:'ttrip')).state, (hail.cancel_trip(:'tother')).state;
SELECT hail.assign_trip(:'ttrip', who('Len'));
BEGIN; SELECT role FROM hail.authenticate(:'lou'); SELECT hail.assign_trip(:'ttrip', who('Len')); ROLLBACK;
SELECT * FROM hail.check_dispatch() WHERE status = 'fail';

-- Its rounds in numbers.
SELECT round, strategy, radius_m, wanted, offers, candidates, gates FROM hail.list_rounds(:'ttrip');
SELECT hail.list_rounds(hail.uuid7());
BEGIN; SELECT role FROM hail.authenticate(:'lou'); SELECT hail.list_rounds(:'ttrip'); ROLLBACK;

SELECT count(hail.set_availability(who(d), false)) FROM unnest(ARRAY['Len', 'Lea']) d;
DELETE FROM hail.trips WHERE idempotency_key LIKE 'past %';
DROP FUNCTION who(text), quote(text), past_trip(text, integer, text), hours_ago(hail.trips), plan(text);
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
