-- Partners: orders by token and by signed webhook, each order once, secrets in rotation, nobody else's orders.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT hail.set_clock('2013-11-23 10:00+00'); -- 1385200800
SELECT (hail.create_region('shops', 'Shops', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(-121, -1, -119, 1, 4326))).code;
SELECT (hail.set_fare('shops', 'motorcycle', 500, 200, 20, 700, 1000, 0, 300, stop_fee => 100)).id IS NOT NULL AS fare;
CREATE FUNCTION who(text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT id FROM hail.users WHERE name = $1 AND created_at >= '2013-11-23 10:00+00' $$;
SELECT count(hail.register_user(NULL, name, role)) FROM (VALUES ('Shop A', 'partner'), ('Shop B', 'partner'), ('Nobody', 'customer')) u (name, role);
SELECT status FROM hail.register_driver((hail.register_user('+351980000001', 'M1', 'driver')).id, 'shops', ARRAY['motorcycle']);
SELECT (hail.approve_driver(who('M1'))).status, (hail.set_availability(who('M1'), true, 0, -120)).online;

-- The signature is that of the specification's example.
SELECT hail.webhook_signature(decode('plJ3nmyCDGBKInavdOK15jsl', 'base64'), 'msg_loFOjxBNrRLzqYUf', '1731705121',
                              '{"event_type":"ping","data":{"success":true}}');

-- Partners are users of role partner; the secret is told once and can be read by nobody.
SELECT hail.create_partner(who('Nobody'), 'nobody');
SELECT hail.create_partner(who('Shop A'), 'Shop A');
SELECT hail.create_partner(who('Shop A'), 'shop-a', 'whsec_c2hvcnQ=');
SELECT hail.create_partner(who('Shop A'), 'shop-a', 'secret');
SELECT hail.create_partner(who('Shop A'), 'shop-a', 'whsec_!');
SELECT webhook_secret ~ '^whsec_[A-Za-z0-9+/]{43}=$' AS secret FROM hail.create_partner(who('Shop B'), 'shop-b');
SELECT webhook_secret, (partner).active FROM hail.create_partner(who('Shop A'), 'shop-a', 'whsec_' || encode('a secret of thirty-two bytes, no ', 'base64'));
SELECT hail.create_partner(who('Shop A'), 'shop-c');
SET ROLE hail_admin;
SELECT * FROM hail.partner_secrets;
RESET ROLE;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('Shop A')));
SELECT code FROM hail.partners;
SAVEPOINT refused;
SELECT * FROM hail.partner_secrets;
ROLLBACK TO refused;
SELECT hail.webhook_signature('', '', '', '');
ROLLBACK TO refused;
SELECT hail.begin_partner_session(who('Shop B'));
ROLLBACK TO refused;
SELECT hail.rotate_partner_secret(hail.uuid7());
ROLLBACK;

-- By token: the price of today from the partner's wallet; the order's id is the key.
CREATE FUNCTION stops(place float8 DEFAULT -119.99) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_array(jsonb_build_object('lat', 0, 'lng', -120, 'contactName', 'The shop'),
                             jsonb_build_object('lat', 0, 'lng', place, 'contactName', 'A buyer', 'contactPhone', '+4915550001')) $$;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token((SELECT id FROM hail.users WHERE name = 'Shop A')));
SELECT hail.create_partner_order(hail.current_subject(), 'A-1', 'motorcycle', stops());
ROLLBACK;
SELECT (hail.post_transaction('deposit', ARRAY[ROW((hail.open_account('GATEWAY_CLEARING', NULL, 'EUR')).id, 'debit', 100000),
    ROW((hail.open_account('CUSTOMER_WALLET', who('Shop A'), 'EUR')).id, 'credit', 100000)]::hail.entry_input[], 'shop-a')).kind;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token((SELECT id FROM hail.users WHERE name = 'Shop A')));
SELECT id AS first, state, service, price, payment_method, partner_order, customer_id = hail.current_subject() AS own, pickup_code
FROM hail.create_partner_order(hail.current_subject(), 'A-1', 'motorcycle', stops(), package => 'a book', weight_kg => 1) \gset t
SELECT :'tstate' AS state, :'tservice' AS service, :tprice AS price, :'tpayment_method' AS payment_method, :'tpartner_order' AS "order", :'town' AS own;
SELECT id = :'tfirst' AS same FROM hail.create_partner_order(hail.current_subject(), 'A-1', 'motorcycle', stops(), package => 'a book', weight_kg => 1);
SAVEPOINT refused;
SELECT hail.create_partner_order(hail.current_subject(), 'A-1', 'motorcycle', stops(), package => 'two books', weight_kg => 1);
ROLLBACK TO refused;
SELECT hail.create_partner_order(hail.current_subject(), 'A-1', 'motorcycle', stops(), 'cash', 'a book', 1);
ROLLBACK TO refused;
SELECT hail.create_partner_order(hail.current_subject(), NULL, 'motorcycle', stops());
ROLLBACK TO refused;
SELECT hail.create_partner_order(hail.current_subject(), repeat('x', 151), 'motorcycle', stops());
ROLLBACK TO refused;
SELECT hail.create_partner_order(hail.current_subject(), 'A-2', 'motorcycle', stops(), strategy => 'broadcast_bid');
ROLLBACK TO refused;
SELECT hail.create_partner_order(hail.current_subject(), 'A-2', 'bicycle', stops());
ROLLBACK TO refused;
SELECT hail.create_partner_order(hail.current_subject(), 'A-2', 'motorcycle', stops() #- '{1,lat}');
ROLLBACK TO refused;
SELECT hail.create_partner_order(hail.uuid7(), 'A-2', 'motorcycle', stops());
ROLLBACK TO refused;
SELECT hail.create_job_quote(hail.current_subject(), stops(), 'motorcycle');
ROLLBACK TO refused;
COMMIT;

-- Driven: the partner shows the pickup code and tells the buyer the other; another partner sees nothing.
SELECT (trip).state FROM hail.accept_offer(:'tfirst', who('M1'));
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token((SELECT id FROM hail.users WHERE name = 'Shop A')));
SELECT t.state, t.pickup_code IS NOT NULL AS code FROM hail.get_partner_order(hail.current_subject(), 'A-1') t;
SELECT t.state, t.pickup_code IS NOT NULL AS code FROM hail.get_trip(:'tfirst') t;
SELECT status FROM hail.matching_status(:'tfirst');
SELECT count(*) AS trips FROM hail.trips;
SELECT seq, state, contact_name, code IS NOT NULL AS code FROM hail.list_stops(:'tfirst');
SELECT length(hail.renew_pickup_code(:'tfirst')) AS renewed, length(hail.renew_pickup_code(:'tfirst', 2)) AS stop;
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token((SELECT id FROM hail.users WHERE name = 'Shop B')));
SELECT count(*) AS trips FROM hail.trips;
SELECT count(*) AS stops FROM hail.trip_stops;
SELECT count(*) AS loads FROM hail.trip_loads;
SAVEPOINT refused;
SELECT hail.get_trip(:'tfirst');
ROLLBACK TO refused;
SELECT hail.get_partner_order(hail.current_subject(), 'A-1');
ROLLBACK TO refused;
SELECT hail.cancel_trip(:'tfirst');
ROLLBACK;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token((SELECT id FROM hail.users WHERE name = 'Shop A')));
SELECT state, cancelled_by FROM hail.cancel_trip(:'tfirst', NULL, 'sold out');
SELECT kind, posted, held FROM hail.wallet(hail.current_subject());
COMMIT;
SELECT type, actor, subject = who('Shop A') AS shop FROM hail.events WHERE aggregate_id = :'tfirst' AND actor = 'partner' ORDER BY version;

-- By webhook.
CREATE FUNCTION body(order_id text, extra jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT (jsonb_build_object('orderId', order_id, 'serviceClass', 'motorcycle', 'stops', stops(), 'paymentMethod', 'cash') || extra)::text $$;
CREATE FUNCTION sign(body text, id text DEFAULT 'msg_1', at text DEFAULT NULL, secret text DEFAULT 'a secret of thirty-two bytes, no ') RETURNS text LANGUAGE sql AS $$
    SELECT hail.webhook_signature(secret::bytea, id, coalesce(at, extract(epoch FROM hail.clock())::bigint::text), body) $$;
CREATE FUNCTION receive(body text, signature text, id text DEFAULT 'msg_1', at text DEFAULT NULL, partner text DEFAULT 'shop-a') RETURNS hail.trips LANGUAGE sql AS $$
    SELECT hail.receive_order_webhook(partner, id, coalesce(at, extract(epoch FROM hail.clock())::bigint::text), signature, body) $$;
SELECT id AS trip, state, partner_order, price, payment_method FROM receive(body('W-1'), sign(body('W-1'))) \gset w
SELECT :'wstate' AS state, :'wpartner_order' AS "order", :wprice AS price, :'wpayment_method' AS payment_method;
-- again, by another message, with another layout of the same JSON: the same trip
SELECT id = :'wtrip' AS same FROM receive(body('W-1'), sign(body('W-1')));
SELECT id = :'wtrip' AS same FROM receive(body('W-1') || E'\n', sign(body('W-1') || E'\n', 'msg_2'), 'msg_2');
SELECT receive(body('W-1', '{"package":"another"}'), sign(body('W-1', '{"package":"another"}')));
SELECT count(*) FROM hail.trips WHERE partner_order = 'W-1';
-- several signatures: one that is right is enough
SELECT id = :'wtrip' AS same FROM receive(body('W-1'), 'v1,' || repeat('A', 43) || '= ' || sign(body('W-1')) || '  v1a,xyz');
-- forged, altered, of another time, id or partner, none at all
SELECT receive(body('W-2'), sign(body('W-2'), secret => 'another secret of 32 bytes, no '));
SELECT receive(body('W-2'), sign(body('W-1')));
SELECT receive(body('W-2'), sign(body('W-2'), 'msg_2'));
SELECT receive(body('W-2'), sign(body('W-2'), at => '1385200799'));
SELECT receive(body('W-2'), sign(body('W-2')), partner => 'shop-b');
SELECT receive(body('W-2'), sign(body('W-2')), partner => 'shop-x');
SELECT receive(body('W-2'), sign(body('W-2')), partner => NULL);
SELECT receive(body('W-2'), replace(sign(body('W-2')), 'v1,', 'v2,'));
SELECT receive(body('W-2'), replace(sign(body('W-2')), 'v1,', 'v1'));
SELECT receive(body('W-2'), '');
SELECT receive(body('W-2'), NULL);
SELECT receive(NULL, 'v1,');
SELECT receive(body('W-2'), sign(body('W-2'), 'msg.2'), 'msg.2');
SELECT receive(body('W-2'), repeat(sign(body('W-2')) || ' ', 100));
-- old, or from the future: only who has signed well is told
\set VERBOSITY default
SELECT receive(body('W-2'), sign(body('W-2'), at => '1385200499'), at => '1385200499');
SELECT receive(body('W-2'), sign(body('W-2'), at => '1385201101'), at => '1385201101');
SELECT receive(body('W-2'), sign(body('W-2'), at => 'today'), at => 'today');
SELECT receive(body('W-2'), sign(body('W-2'), at => '-1'), at => '-1');
SELECT receive(body('W-2'), sign(body('W-2')), at => '1385200499');
\set VERBOSITY terse
SELECT partner_order FROM receive(body('W-2'), sign(body('W-2'), at => '1385200500'), at => '1385200500');
-- well signed, but no order
SELECT receive('', sign(''));
SELECT receive('[]', sign('[]'));
SELECT receive('{"orderId":', sign('{"orderId":'));
SELECT receive('{"orderId":"\u0000"}', sign('{"orderId":"\u0000"}'));
SELECT receive('{}', sign('{}'));
SELECT receive(b, sign(b)) FROM body('W-3', '{"orderId":7}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"colour":"red"}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"stops":[]}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"stops":[{"lat":0},{"lat":1}]}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"serviceClass":"airship"}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"paymentMethod":"barter"}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"weightKg":"heavy"}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"weightKg":1e-300}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"floors":1.5}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"helpers":0.5}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"strategy":"loudest"}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"strategy":"broadcast_bid"}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"strategy":"scheduled","scheduledFor":"tomorrow"}') b;
SELECT receive(b, sign(b)) FROM body('W-3', '{"strategy":"scheduled","scheduledFor":"2013-13-45T00:00:00Z"}') b;
SELECT receive(repeat(' ', 1048577), sign(repeat(' ', 1048577)));
SELECT state, scheduled_for FROM body('W-4', '{"strategy":"scheduled","scheduledFor":"2013-11-24T09:00:00+01:00","weightKg":2.5,"volumeL":10,"package":"cake"}') b, receive(b, sign(b));
-- the same order again, heard in another time zone
SET timezone = 'Asia/Tokyo';
SELECT state, scheduled_for FROM body('W-4', '{"strategy":"scheduled","scheduledFor":"2013-11-24T08:00:00Z","weightKg":2.5,"volumeL":10,"package":"cake"}') b, receive(b, sign(b));
SET timezone = 'UTC';
SELECT partner_order, package, weight_kg, volume_l FROM hail.trips t JOIN hail.trip_loads l ON l.trip_id = t.id WHERE partner_order = 'W-4';

-- Rotation: two secrets are valid for a time, the one before them no more.
CREATE FUNCTION rotate(secret text, keep interval DEFAULT '1 hour') RETURNS boolean LANGUAGE sql AS $$
    SELECT hail.rotate_partner_secret(who('Shop A'), keep, 'whsec_' || encode(secret::bytea, 'base64')) IS NOT NULL $$;
SELECT rotate('the second secret of the shop, 2'), hail.rotate_partner_secret(who('Nobody'));
SELECT rotate('the second secret of the shop, 2');
SELECT partner_order FROM receive(body('R-1'), sign(body('R-1')));
SELECT partner_order FROM receive(body('R-2'), sign(body('R-2'), secret => 'the second secret of the shop, 2'));
SELECT rotate('x', '31 days');
SELECT rotate('the third secret of the shop, 3!');
SELECT receive(body('R-3'), sign(body('R-3')));
SELECT partner_order FROM receive(body('R-3'), sign(body('R-3'), secret => 'the second secret of the shop, 2'));
SELECT hail.advance_clock('1 hour') IS NOT NULL AS later;
SELECT receive(body('R-4'), sign(body('R-4'), secret => 'the second secret of the shop, 2'));
SELECT partner_order FROM receive(body('R-4'), sign(body('R-4'), secret => 'the third secret of the shop, 3!'));
SELECT count(*), count(expires_at) FROM hail.partner_secrets WHERE partner_id = who('Shop A');

-- The front calls with no token; afterwards it is the partner until its transaction ends, and nothing else.
CREATE FUNCTION pg_temp.b() RETURNS text LANGUAGE sql AS $$ SELECT '{"orderId":"F-1","serviceClass":"motorcycle","paymentMethod":"cash","stops":[{"lat":0,"lng":-120},{"lat":0,"lng":-119.99}]}' $$;
SELECT pg_temp.b() AS b, sign(pg_temp.b(), secret => 'the third secret of the shop, 3!') AS s, extract(epoch FROM hail.clock())::bigint AS at \gset
SET SESSION AUTHORIZATION hail_front;
BEGIN;
SELECT partner_order, pickup_code FROM hail.receive_order_webhook('shop-a', 'msg_1', :'at', :'s', :'b');
SELECT hail.current_role_name();
SAVEPOINT refused;
SELECT count(*) FROM hail.trips;
ROLLBACK TO refused;
SELECT hail.create_partner_order(hail.current_subject(), 'F-2', 'motorcycle', '[]');
ROLLBACK TO refused;
COMMIT;
SELECT hail.current_role_name() IS NULL AS nobody;
RESET SESSION AUTHORIZATION;

-- A partner of whom no orders are taken.
SELECT (hail.set_partner_active(who('Shop A'), false)).active;
SELECT receive(body('R-5'), sign(body('R-5'), secret => 'the third secret of the shop, 3!'));
SELECT hail.set_partner_active(hail.uuid7(), true);
SELECT count(hail.cancel_trip(id, 'admin')) FROM hail.trips WHERE partner_id = who('Shop A') AND state IN ('searching', 'scheduled', 'matched');

-- Erasure: one trip, on its recipient's request, while others are under way; all trips of a partner that ended its business.
CREATE FUNCTION persons() RETURNS TABLE ("order" text, names bigint, notes bigint, photos bigint, package text, reasons bigint, exact boolean, event_places bigint)
LANGUAGE sql STABLE AS $$
    SELECT t.partner_order, count(s.contact_name) + count(s.contact_phone) + count(s.recipient_name) + count(s.address),
           count(s.notes), count(s.photo_url), l.package,
           count(s.reason) + count(t.cancel_reason) / count(*) + (SELECT count(o.reason) FROM hail.offers o WHERE o.trip_id = t.id)
           + (SELECT count(*) FROM hail.events e WHERE e.aggregate_id = t.id AND e.payload ? 'reason'),
           bool_or(s.lng <> round(s.lng::numeric, 1)) OR q.stops IS NOT NULL,
           (SELECT count(*) FROM hail.events e WHERE e.aggregate_id = t.id AND e.payload::text ~ 'l(at|ng)"')
    FROM hail.trips t JOIN hail.trip_stops s ON s.trip_id = t.id JOIN hail.trip_loads l ON l.trip_id = t.id JOIN hail.quotes q ON q.id = t.quote_id
    WHERE t.partner_order IN ('E-1', 'E-2') GROUP BY t.id, l.package, q.stops ORDER BY 1 $$;
SELECT (hail.set_partner_active(who('Shop A'), true)).active;
SELECT applied FROM hail.report_location(who('M1'), 0, -120);
SELECT id AS one FROM hail.create_partner_order(who('Shop A'), 'E-1', 'motorcycle', jsonb_set(stops(-119.987), '{1,notes}', '"ring twice"'),
                                                'cash', package => 'a letter to a buyer') \gset e
SELECT id AS two FROM hail.create_partner_order(who('Shop A'), 'E-2', 'motorcycle', stops(-119.987), 'cash', package => 'another') \gset e
SELECT (hail.decline_offer(:'eone', who('M1'), 'I know that buyer')).status;
SELECT hail.erase_trip_places(:'eone');
SELECT (hail.cancel_trip(:'eone', 'customer', 'the buyer is ill')).state;
UPDATE hail.trip_stops SET recipient_name = 'A neighbour', photo_url = 'https://shop.example/1.jpg', reason = 'not at home'
WHERE trip_id = :'eone' AND seq = 2;
SELECT * FROM persons();
SELECT positions, tracks, events FROM hail.erase_trip_places(:'eone');
SELECT * FROM persons();
SELECT hail.erase_trip_places(hail.uuid7());
SELECT hail.erase_customer_positions(who('Shop A'));
SELECT (hail.cancel_trip(:'etwo', 'admin', 'closed')).state;
SELECT trips > 1 AS trips, quotes > 1 AS quotes FROM hail.erase_customer_positions(who('Shop A'));
SELECT * FROM persons();
SELECT payload ->> 'role' AS role, payload ->> 'user_id' = who('Shop A')::text AS shop, payload ->> 'trip_id' = :'eone' AS one
FROM hail.events WHERE type = 'PositionsErased' AND occurred_at >= '2013-11-23 10:00+00' AND occurred_at < '2013-11-25' ORDER BY id;
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(who('Shop A')));
SELECT hail.erase_trip_places(:'eone');
ROLLBACK;
DROP FUNCTION persons();

-- What was done with a partner is in the events, its secrets are not.
SELECT (hail.set_partner_active(who('Shop A'), false)).active, (hail.set_partner_active(who('Shop A'), true)).active AS again;
SELECT version, type, payload FROM hail.events WHERE aggregate_id = who('Shop A') ORDER BY version;

SELECT * FROM hail.check_dispatch() WHERE status <> 'ok';
SELECT * FROM hail.event_gaps();
SELECT (hail.set_availability(who('M1'), false)).online;
DROP FUNCTION who(text), stops(float8), body(text, jsonb), sign(text, text, text, text), receive(text, text, text, text, text), rotate(text, interval);
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
