-- The dispatcher's turn on a frozen clock: trips that fail, trips that somebody holds, and more trips than it can serve.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-20 10:00+00') IS NOT NULL AS frozen;
SELECT (hail.create_region('tick', 'Tick', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(110, -1, 112, 1, 4326))).code;
SELECT (hail.set_fare('tick', 'economy', 1000, 350, 50, 1500, 1500)).id IS NOT NULL AS fare;
INSERT INTO hail.dispatch_policies (region_id, radius_m, retry_after, patience) SELECT id, '{3000}', '5 seconds', '1 hour'
FROM hail.regions WHERE code = 'tick';
CREATE FUNCTION who(text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT id FROM hail.users WHERE name = $1 AND phone ~ '^\+351[78]00000' $$;
CREATE FUNCTION request(customer text, key text, strategy text DEFAULT 'first_accept') RETURNS uuid LANGUAGE sql AS
$$ SELECT (hail.request_trip((hail.create_quote(who(customer), 0, 111, 0, 111.05, 'economy')).id, 'cash', strategy, key)).id $$;
CREATE FUNCTION tick(wait interval DEFAULT '0') RETURNS integer LANGUAGE sql AS
$$ SELECT hail.dispatch_tick() FROM hail.advance_clock(wait) $$;
CREATE FUNCTION failing() RETURNS TABLE (failures integer, sqlstate text, message text, again numeric) LANGUAGE sql AS
$$ SELECT f.failures, f.sqlstate, f.message, round(extract(epoch FROM t.next_round_at - hail.clock()), 1)
   FROM hail.dispatch_failures f JOIN hail.trips t ON t.id = f.trip_id JOIN hail.regions r ON r.id = t.region_id AND r.code = 'tick' $$;
SELECT count(hail.register_user('+351700000' || n, name, 'customer'))
FROM unnest(ARRAY['Ann', 'Ben', 'Cid', 'Dee', 'Eli']) WITH ORDINALITY AS c(name, n);
DO $$
BEGIN
    PERFORM hail.register_driver((hail.register_user('+3518000001', 'Tom', 'driver')).id, 'tick', ARRAY['economy']);
    PERFORM hail.approve_driver(who('Tom'));
END
$$;

-- A trip that fails at its turn: the others have theirs; it is tried again after 5, 10, 20 ... seconds, and told of.
SELECT request('Ann', 'ann-1') AS ann, request('Ben', 'ben-1') AS ben \gset t
CREATE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'made to fail' USING ERRCODE = 'UH020'; END $$;
CREATE TRIGGER bad BEFORE INSERT ON hail.offers FOR EACH ROW EXECUTE FUNCTION bad();
SELECT (hail.set_availability(who('Tom'), true, 0, 111)).online;
SELECT count(hail.block_driver(who('Ben'), who('Tom')));
SET client_min_messages = error;
SELECT tick('5 s');
SELECT * FROM failing();
SELECT round, next_round_at - hail.clock() AS next FROM hail.trips WHERE id = :'tben';
SELECT status, regexp_replace(detail, '[0-9a-f-]{36}', 'ID') AS detail FROM hail.check_dispatcher() WHERE detail LIKE '%fail%';
SELECT tick('4.9 s'), tick('0.1 s');
SELECT * FROM failing();
SELECT hail.report_location(who('Tom'), 0, 111) IS NOT NULL AS heard, tick('10 s'), failures FROM failing();
SELECT * FROM failing();
SET client_min_messages = warning;
DROP TRIGGER bad ON hail.offers;
DROP FUNCTION bad();
SELECT hail.report_location(who('Tom'), 0, 111) IS NOT NULL AS heard, tick('20 s');
SELECT hail.report_location(who('Tom'), 0, 111) IS NOT NULL AS heard, tick('20 s');
SELECT * FROM failing();
SELECT status, detail FROM hail.check_dispatcher() WHERE detail LIKE '%fail%';
SELECT count(*) FROM hail.offers WHERE trip_id = :'tann';
SELECT count(hail.cancel_trip(id, 'customer')) FROM hail.trips WHERE id IN (:'tann', :'tben');
SELECT (hail.set_availability(who('Tom'), false)).online;

-- A cancelled turn ends the call; a row held by somebody is no failure of the trip, which stays due.
SELECT request('Ann', 'ann-stop') AS ann \gset t
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'stopped' USING ERRCODE = TG_ARGV[0]; END $$;
CREATE TRIGGER stop BEFORE UPDATE ON hail.trips FOR EACH ROW EXECUTE FUNCTION stop('57014');
SELECT tick('5 s');
DROP TRIGGER stop ON hail.trips;
CREATE TRIGGER stop BEFORE UPDATE ON hail.trips FOR EACH ROW EXECUTE FUNCTION stop('55P03');
SELECT tick('5 s');
SELECT count(*) FROM failing();
SELECT next_round_at <= hail.clock() AS due, round FROM hail.trips WHERE id = :'tann';
DROP TRIGGER stop ON hail.trips;
DROP FUNCTION stop();
SELECT count(hail.cancel_trip(:'tann', 'customer'));

-- Overload: 1,000 trips are due, a tick serves 100. What is late counts from when the work began.
SELECT request('Ann', 'ann-2') AS ann \gset t
CREATE TEMP TABLE extra AS SELECT hail.uuid7() AS trip, hail.uuid7() AS quote, n FROM generate_series(1, 1000) n;
INSERT INTO hail.quotes SELECT (jsonb_populate_record(q, jsonb_build_object('id', e.quote))).* FROM hail.quotes q, extra e
WHERE q.id = (SELECT quote_id FROM hail.trips WHERE id = :'tann');
INSERT INTO hail.trips SELECT (jsonb_populate_record(t, jsonb_build_object('id', e.trip, 'quote_id', e.quote, 'service', 'delivery',
    'next_round_at', hail.clock(), 'event_version', 0, 'idempotency_key', 'extra ' || e.n))).* FROM hail.trips t, extra e WHERE t.id = :'tann';
SET hail.dispatch_max_lag = '2s';
SELECT tick(), level, lag_s FROM hail.overload();
SELECT tick('1.5 s');
SELECT level, lag_s FROM hail.overload();
-- the first step: distance alone counts
SELECT tick('1.5 s');
SELECT level, lag_s FROM hail.overload();
SELECT request('Ben', 'ben-2') AS ben \gset t
SELECT round, distance_only FROM hail.match_rounds WHERE trip_id = :'tben';
SELECT status, detail, hint FROM hail.check_dispatcher() WHERE detail LIKE 'overload%';
-- the second: searches that found nobody pause longer
SELECT tick('3 s');
SELECT level, lag_s FROM hail.overload();
-- the third: new trips queue up, and past the limit are refused
SELECT tick('3 s');
SELECT level, lag_s, waiting FROM hail.overload();
SELECT count(*), max(next_round_at) - hail.clock() AS pause FROM hail.trips t JOIN extra e ON e.trip = t.id AND t.round > 0
WHERE t.next_round_at > hail.clock() + interval '5 seconds';
SELECT request('Cid', 'cid-2') AS cid, request('Dee', 'dee-2', 'batched') AS dee \gset t
SELECT queue_position, round FROM hail.trips WHERE id IN (:'tcid', :'tdee') ORDER BY 1;
SELECT status, round, queue_position FROM hail.matching_status(:'tcid');
-- the customer is told its place too
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('Cid')));
SELECT status, round, queue_position FROM hail.matching_status(:'tcid');
ROLLBACK;
SELECT waiting FROM hail.overload();
SET hail.dispatch_queue_max = 500;
\set VERBOSITY default
SELECT request('Eli', 'eli-2');
\set VERBOSITY terse
SELECT name, labels, kind, value FROM hail.metrics() WHERE name ~ '^hail_dispatch_(lag|overload_|queue|refused)' ORDER BY 1;
RESET hail.dispatch_queue_max;
-- the queue moves on, and those in it have their first round
SELECT sum(tick()) FROM generate_series(1, 9);
SELECT queue_position, round FROM hail.trips WHERE id IN (:'tcid', :'tdee') ORDER BY 1;
SELECT queue_position IS NULL AS done FROM hail.matching_status(:'tcid');
-- undone step by step, five seconds of calm each
DELETE FROM hail.trips t USING extra e WHERE t.id = e.trip;
DELETE FROM hail.quotes q USING extra e WHERE q.id = e.quote;
SELECT tick() >= 0 AS ticked, tick('5 s') >= 0 AS ticked;
SELECT level FROM hail.overload();
SELECT tick('5 s') >= 0 AS ticked, tick('5 s') >= 0 AS ticked;
SELECT level FROM hail.overload();
SELECT request('Eli', 'eli-3') AS eli \gset t
SELECT queue_position, round FROM hail.trips WHERE id = :'teli';
-- each change is an event of the dispatcher
SELECT version, payload FROM hail.events WHERE type = 'OverloadChanged' ORDER BY version;
SELECT level, event_version FROM hail.overload_state;

-- A clock that jumps, or a dispatcher that was not running, is no overload.
SELECT tick('10 minutes') > 0 AS ticked;
SELECT level FROM hail.overload();
RESET hail.dispatch_max_lag;

SELECT count(hail.cancel_trip(t.id, 'customer')) FROM hail.trips t JOIN hail.regions r ON r.id = t.region_id
WHERE r.code = 'tick' AND t.state = 'searching';
SELECT * FROM hail.check_dispatch() WHERE status <> 'ok';
SELECT * FROM hail.event_gaps();
DROP TABLE extra;
DROP FUNCTION who(text), request(text, text, text), tick(interval), failing();
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
