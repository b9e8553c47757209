-- Batched matching on a frozen clock: windows, the joint choice, who waits on, what comes back.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-20 10:00+00') IS NOT NULL AS frozen;

-- A road along the equator; places in metres from 101 east. Windows of 1 to 5 seconds.
SELECT (hail.create_region('batch', 'Batch', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(100, -1, 102, 1, 4326))).code;
SELECT (hail.set_fare('batch', 'economy', 1000, 350, 50, 1500, 1500)).id IS NOT NULL AS fare;
INSERT INTO hail.dispatch_policies (region_id, radius_m, patience, retry_after)
    SELECT id, '{3000}', '2 minutes', '5 seconds' FROM hail.regions WHERE code = 'batch';
CREATE FUNCTION who(text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT id FROM hail.users WHERE name = $1 AND phone ~ '^\+3516[34]00000' $$;
CREATE FUNCTION name_of(uuid) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM hail.users WHERE id = $1';
CREATE FUNCTION lng(metres float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 101 + metres / 111195.0';
CREATE FUNCTION stand(driver text, metres float8) RETURNS boolean LANGUAGE sql AS
$$ SELECT (hail.set_availability(who(driver), true, 0, lng(metres))).online $$;
CREATE FUNCTION leave(driver text) RETURNS boolean LANGUAGE sql AS $$ SELECT (hail.set_availability(who(driver), false)).online $$;
CREATE FUNCTION request(customer text, metres float8, key text, strategy text DEFAULT 'batched') RETURNS uuid LANGUAGE sql AS
$$ SELECT (hail.request_trip((hail.create_quote(who(customer), 0, lng(metres), 0, lng(metres) + 0.05, 'economy')).id, 'cash',
                             strategy, key)).id $$;
CREATE FUNCTION tick(wait interval DEFAULT '0') RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.advance_clock(wait);
    PERFORM hail.report_location(d.id, p.lat, p.lng) FROM hail.drivers d JOIN hail.live_drivers p ON p.driver_id = d.id
    JOIN hail.regions r ON r.id = d.region_id WHERE r.code = 'batch' AND d.online;
    RETURN hail.dispatch_tick();
END $$;
CREATE FUNCTION offers() RETURNS TABLE (customer text, round integer, driver text, status text, metres integer) LANGUAGE sql AS
$$ SELECT name_of(t.customer_id), o.round, name_of(o.driver_id), o.status, o.pickup_distance_m
   FROM hail.offers o JOIN hail.trips t ON t.id = o.trip_id JOIN hail.regions r ON r.id = t.region_id
   WHERE r.code = 'batch' AND t.state = 'searching' ORDER BY 1, 2, 3 $$;
CREATE FUNCTION trips() RETURNS TABLE (customer text, state text, round integer, in_pool boolean, next_s numeric, reason text) LANGUAGE sql AS
$$ SELECT name_of(t.customer_id), t.state, t.round, t.pooled_at IS NOT NULL,
          round(extract(epoch FROM t.next_round_at - hail.clock()), 1), t.no_drivers_reason
   FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id WHERE r.code = 'batch' AND t.state = 'searching' ORDER BY 1 $$;
CREATE FUNCTION windows() RETURNS TABLE (trips integer, drivers integer, edges integer, matched integer, offers integer,
    windows bigint, offers_total bigint, lost bigint) LANGUAGE sql AS
$$ SELECT w.trips, w.drivers, w.edges, w.matched, w.offers, w.windows_total, w.offers_total, w.lost_total
   FROM hail.batch_windows w JOIN hail.regions r ON r.id = w.region_id WHERE r.code = 'batch' $$;
SELECT count(hail.register_user('+3516300000' || to_char(n, 'FM00'), name, 'customer'))
FROM unnest(ARRAY['Ada', 'Bea', 'Cas', 'Dot', 'Eva']) WITH ORDINALITY AS c(name, n);
DO $$
BEGIN
    FOR i IN 1..4 LOOP
        PERFORM hail.register_driver((hail.register_user('+3516400000' || to_char(i, 'FM00'), 'D' || i, 'driver')).id, 'batch',
                                     ARRAY['economy']);
        PERFORM hail.approve_driver(who('D' || i));
    END LOOP;
END
$$;

-- Greedy would give Ada the driver 100 m away and leave Bea one 2,100 m away; together they are better off.
SELECT stand('D1', 0) AS d1, stand('D2', -1000) AS d2;
SELECT request('Ada', -100, 'ada-1') AS ada, request('Bea', 1100, 'bea-1') AS bea \gset t
SELECT * FROM trips();
-- the dispatcher takes them into the pool; their window closes a second later
SELECT tick();
SELECT * FROM trips();
SELECT tick('0.9 s');
SELECT count(*) FROM offers();
SELECT tick('0.1 s');
SELECT * FROM offers();
SELECT * FROM trips();
SELECT * FROM windows();
SELECT status, offers_pending, radius_m FROM hail.matching_status(:'tada');
SELECT type, version FROM hail.events WHERE aggregate_id = :'tada' ORDER BY version;
SELECT round, strategy, wanted, offers, found FROM hail.match_rounds WHERE trip_id = :'tada';

-- Drivers with such an offer are not in the next window; a third customer waits on.
SELECT request('Cas', 0, 'cas-1') AS cas \gset t
SELECT tick(), tick('1 s');
SELECT * FROM windows();
SELECT * FROM trips();

-- A decline: back into the pool, that driver is not asked again; the other window's trip gets it.
SELECT status FROM hail.decline_offer(:'tada', who('D2'), 'no');
SELECT tick(), tick('1 s');
SELECT * FROM offers();
-- Bea's driver accepts; whoever waits is not disturbed by that.
SELECT (trip).state FROM hail.accept_offer(:'tbea', who('D1'));

-- An offer that runs out comes back the same way.
SELECT tick('15 s');
SELECT * FROM trips();
SELECT stand('D3', 500) AS d3;
SELECT tick('1 s');
SELECT * FROM offers();

-- More trips than drivers: the nearer one is served, unless the other has waited long enough.
SELECT count(hail.cancel_trip(t.id, 'customer')) FROM hail.trips t WHERE t.id IN (:'tcas', :'tada', :'tbea');
SELECT leave('D1') AS d1, leave('D2') AS d2, leave('D3') AS d3;
SELECT request('Dot', 700, 'dot-2') AS dot \gset t
SELECT tick('20 s');
SELECT request('Eva', 400, 'eva-2') AS eva, stand('D3', 500) AS d3 \gset t
SELECT tick(), tick('1 s');
SELECT * FROM offers();
SELECT * FROM windows();
SELECT * FROM trips();
SELECT status FROM hail.decline_offer(:'teva', who('D3'), 'no');
SELECT (hail.cancel_trip(:'teva', 'customer')).state, leave('D3') AS d3;
SELECT tick('40 s');
SELECT request('Eva', 400, 'eva-3') AS eva, stand('D3', 500) AS d3 \gset t
SELECT tick(), tick('1 s');
SELECT * FROM offers();

-- Cancelled while its window is open, the trip is not there when it closes.
SELECT (hail.cancel_trip(:'tdot', 'customer')).state AS dot, (hail.cancel_trip(:'teva', 'customer')).state AS eva;
SELECT request('Ada', 0, 'ada-3') AS ada \gset t
SELECT tick();
SELECT (hail.cancel_trip(:'tada', 'customer')).state;
SELECT tick('1 s');
SELECT * FROM trips();
SELECT windows FROM windows();

-- Strategies side by side: a driver with an offer of another kind is left alone, and the other way round both may ask.
SELECT request('Ada', 0, 'ada-4', 'first_accept') AS ada, request('Bea', 10, 'bea-4') AS bea \gset t
SELECT tick(), tick('1 s');
SELECT * FROM offers();
SELECT (hail.cancel_trip(:'tada', 'customer')).state;
SELECT tick('1 s');
SELECT * FROM offers();
SELECT request('Cas', 0, 'cas-4', 'first_accept') AS cas \gset t
SELECT * FROM offers();
SELECT (hail.cancel_trip(:'tbea', 'customer')).state AS bea, (hail.cancel_trip(:'tcas', 'customer')).state AS cas;

-- A driver who gives the trip back: into the pool again, without that driver, and as long waiting as before.
SELECT request('Ada', 0, 'ada-5') AS ada \gset t
SELECT tick(), tick('1 s');
SELECT (trip).state FROM hail.accept_offer(:'tada', who('D3'));
SELECT (hail.cancel_trip(:'tada', 'driver', 'flat tyre')).state;
SELECT stand('D4', 2500) AS d4;
SELECT tick(), tick('1 s');
SELECT * FROM offers();
SELECT (hail.cancel_trip(:'tada', 'customer')).state;

-- Nobody within reach: carried from window to window without being written to, until its patience ends.
SELECT leave('D3') AS d3, leave('D4') AS d4;
SELECT request('Ada', 0, 'ada-6') AS ada \gset t
SELECT tick();
SELECT xmin::text AS before FROM hail.trips WHERE id = :'tada' \gset
SELECT tick('1 s'), tick('1 s'), tick('1 s');
SELECT xmin::text = :'before' AS untouched FROM hail.trips WHERE id = :'tada';
SELECT tick('2 minutes');
SELECT state, no_drivers_reason FROM hail.trips WHERE id = :'tada';
SELECT type, version FROM hail.events WHERE aggregate_id = :'tada' ORDER BY version;

-- Assigned by hand while it waits, then given back: it enters the pool anew.
SELECT request('Ada', 0, 'ada-10') AS ada \gset t
SELECT tick(), stand('D3', 500) AS d3;
SELECT (hail.assign_trip(:'tada', who('D3'))).state;
SELECT pooled_at IS NOT NULL AS in_pool FROM hail.trips WHERE id = :'tada';
SELECT (hail.cancel_trip(:'tada', 'driver', 'flat tyre')).state, leave('D3') AS d3;
SELECT * FROM trips();
SELECT (hail.cancel_trip(:'tada', 'customer')).state;

-- Half a second before its search ends, nobody is asked any more: who could answer?
SELECT request('Ada', 0, 'ada-8') AS ada \gset t
SELECT tick(), stand('D3', 500) AS d3;
SELECT tick('119.5 s');
SELECT * FROM offers();
SELECT * FROM trips();
SELECT tick('0.5 s'), leave('D3') AS d3;
SELECT state FROM hail.trips WHERE id = :'tada';
-- the same without windows
SELECT request('Ada', 0, 'ada-9', 'first_accept') AS ada \gset t
SELECT tick('119 s');
SELECT stand('D3', 500) AS d3;
UPDATE hail.trips SET next_round_at = hail.clock() + interval '0.5 s' WHERE id = :'tada';
SELECT tick('0.5 s');
SELECT * FROM offers();
SELECT tick('0.5 s'), leave('D3') AS d3;
SELECT state FROM hail.trips WHERE id = :'tada';

-- One bad trip: its customer is told of in the checks, the others get their drivers.
SELECT stand('D3', 500) AS d3, stand('D4', 2500) AS d4;
SELECT request('Ada', 500, 'ada-7') AS ada, request('Bea', 150, 'bea-7') AS bea \gset t
SELECT tick();
CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'made to fail'; END $$;
CREATE TRIGGER break BEFORE INSERT ON hail.offers FOR EACH ROW WHEN (NEW.pickup_distance_m = 0) EXECUTE FUNCTION break();
SET client_min_messages = error;
SELECT tick('1 s');
SET client_min_messages = warning;
DROP TRIGGER break ON hail.offers;
DROP FUNCTION break();
SELECT * FROM offers();
SELECT * FROM trips();

-- What must hold, holds.
SELECT * FROM hail.check_dispatch() WHERE status <> 'ok';
SELECT * FROM hail.event_gaps();
SELECT count(hail.cancel_trip(t.id, 'customer')) FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id
WHERE r.code = 'batch' AND t.state = 'searching';
SELECT count(leave('D' || i)) FROM generate_series(1, 4) i;
DROP FUNCTION who(text), name_of(uuid), lng(float8), stand(text, float8), leave(text), request(text, float8, text, text),
    tick(interval), offers(), trips(), windows();
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
