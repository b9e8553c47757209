-- Versions of the dispatch policies: what changes, from when; what has been used stays as it was.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-21 10:00+00');
SELECT (hail.create_region('policies', 'Policies', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(70, -1, 72, 1, 4326))).code;
CREATE VIEW versions AS
SELECT row_number() OVER (ORDER BY policy_id) AS version, service, effective_from, effective_to, changes
FROM hail.dispatch_policy_history WHERE region = 'policies';
CREATE FUNCTION in_force(service text) RETURNS TABLE (weight_idle real, offers_per_round smallint, radius_m float8[]) LANGUAGE sql AS
$$ SELECT p.weight_idle, p.offers_per_round, p.radius_m
   FROM hail.regions r, hail.dispatch_policy(r.id, service) p WHERE r.code = 'policies' $$;

-- A first version starts from what is in force; each later one from the one before.
SELECT weight_idle, offers_per_round, effective FROM hail.set_dispatch_policy('policies', NULL, '{"weight_idle": 0.1}');
SELECT hail.advance_clock('1 hour') IS NOT NULL AS later;
SELECT weight_idle, offers_per_round, effective FROM hail.set_dispatch_policy('policies', NULL, '{"offers_per_round": 3, "radius_m": [1000, 2500]}');
SELECT * FROM in_force('ride');
-- of one service, from tomorrow on: from what holds for all services
SELECT weight_idle, offers_per_round, effective FROM hail.set_dispatch_policy('policies', 'porter', '{"offer_ttl": "1 minute", "max_pickup_m": 7000}', '2013-11-22');
SELECT offers_per_round, offer_ttl FROM hail.regions r, hail.dispatch_policy(r.id, 'porter') WHERE r.code = 'policies';
SELECT * FROM versions ORDER BY version;
-- between two versions: up to the later one
SELECT effective FROM hail.set_dispatch_policy('policies', 'porter', '{}', '2013-11-21 12:00+00');
-- planned, then replaced before it began
SELECT effective FROM hail.set_dispatch_policy('policies', 'porter', '{"offer_ttl": "2 minutes"}', '2013-11-22');
SELECT * FROM versions WHERE service = 'porter' ORDER BY version;
SELECT hail.advance_clock('1 day') IS NOT NULL AS later;
SELECT offers_per_round, offer_ttl FROM hail.regions r, hail.dispatch_policy(r.id, 'porter') WHERE r.code = 'policies';

-- Refused by name; nothing has changed.
SELECT hail.set_dispatch_policy('policies', NULL, '{"weight_luck": 1}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"effective": "[,)"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"id": 7}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"weight_idle": "much"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"weight_idle": "NaN"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"weight_idle": -1}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"weight_idle": null}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"offer_ttl": "-1 second"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"batch_window_min": "1 us"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"batch_window_max": "1000000 years"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"batch_window_max": "0.5 seconds"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"retry_after": "1 us"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"patience": "1000000 years"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"schedule_max": "1000000 years"}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"radius_m": [5000, "Infinity"]}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"radius_m": []}');
SELECT hail.set_dispatch_policy('policies', NULL, '{"candidates": 40000}');
SELECT hail.set_dispatch_policy('policies', NULL, '[1]');
SELECT hail.set_dispatch_policy('policies', NULL, NULL);
SELECT hail.set_dispatch_policy('policies', 'flight', '{}');
SELECT hail.set_dispatch_policy('nowhere', NULL, '{}');
SELECT hail.set_dispatch_policy('policies', NULL, '{}', hail.clock() - interval '1 second');
SELECT hail.set_dispatch_policy('policies', NULL, '{}', 'infinity');
SELECT count(*) FROM versions;

-- A trip keeps the version it was requested under, and that version stays as it was.
SELECT (hail.set_fare('policies', 'economy', 1000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
SELECT id AS customer FROM hail.register_user('+355130000000', 'Pia', 'customer') \gset
SELECT id AS trip, policy_id AS policy FROM hail.request_trip((hail.create_quote(:'customer', 0, 71, 0, 71.05, 'economy')).id, 'cash', 'first_accept', 'pia') \gset
SELECT weight_idle FROM hail.set_dispatch_policy('policies', NULL, '{"weight_idle": 0.2}');
SELECT p.weight_idle FROM hail.trips t JOIN hail.dispatch_policies p ON p.id = t.policy_id WHERE t.id = :'trip';
SELECT weight_idle FROM in_force('ride');
UPDATE hail.dispatch_policies SET weight_idle = 0 WHERE id = :policy;
UPDATE hail.dispatch_policies SET effective = tstzrange(lower(effective), 'infinity') WHERE id = :policy;
DELETE FROM hail.dispatch_policies WHERE id = :policy;
UPDATE hail.dispatch_policies SET weight_idle = 1 WHERE id = 1;
-- nor does one without a trip: a request may hold a copy of it
DELETE FROM hail.dispatch_policies WHERE service = 'porter' AND region_id = (SELECT id FROM hail.regions WHERE code = 'policies');
UPDATE hail.dispatch_policies SET effective = tstzrange(lower(effective), upper(effective) - interval '1 second') WHERE id = :policy
RETURNING upper(effective);

-- A version replaced at the very moment it began still holds for the trips requested under it.
SELECT hail.advance_clock('6 seconds') IS NOT NULL AS later, hail.dispatch_tick() > 0 AS looked_at;
SELECT weight_idle FROM hail.set_dispatch_policy('policies', NULL, '{"weight_idle": 0.3}');
SELECT id AS instant FROM hail.request_trip((hail.create_quote((hail.register_user('+355130000001', 'Pat', 'customer')).id, 0, 71, 0, 71.05, 'economy')).id, 'cash', 'first_accept', 'pat') \gset
SELECT weight_idle FROM hail.set_dispatch_policy('policies', NULL, '{"weight_idle": 0.4}');
SELECT isempty(p.effective) AS replaced, p.weight_idle FROM hail.trips t JOIN hail.dispatch_policies p ON p.id = t.policy_id WHERE t.id = :'instant';
SELECT hail.advance_clock('6 seconds') IS NOT NULL AS later, hail.dispatch_tick() > 0 AS looked_at;
SELECT round FROM hail.trips WHERE id = :'instant';
SELECT state FROM hail.cancel_trip(:'instant');

-- The general policy: a version of it lies over what is shipped.
BEGIN;
SELECT region_id, service, patience FROM hail.set_dispatch_policy(NULL, NULL, '{"patience": "7 minutes"}');
SELECT (hail.create_region('policies2', 'Policies', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(74, -1, 76, 1, 4326))).code;
SELECT (hail.set_fare('policies2', 'economy', 1000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
SELECT search_until - requested_at AS patience FROM hail.request_trip((hail.create_quote(
    (hail.register_user('+355130000002', 'Pam', 'customer')).id, 0, 75, 0, 75.05, 'economy')).id, 'cash', 'first_accept', 'pam');
SELECT (p).patience, (p).id > 1 AS version FROM hail.regions r, hail.dispatch_policy(r.id, 'ride') p WHERE r.code = 'policies2';
ROLLBACK;

-- For administrators.
SET ROLE hail_customer;
SELECT hail.set_dispatch_policy(NULL, NULL, '{}');
SELECT * FROM hail.dispatch_policy_history;
RESET ROLE;
SELECT state FROM hail.cancel_trip(:'trip');
DROP VIEW versions;
DROP FUNCTION in_force(text);
