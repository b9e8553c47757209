-- Money that comes in by gateways: whatever they send, and however often, each thing happens once or not at all.
SET timezone = 'UTC';
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SELECT hail.set_clock('2013-11-24 09:00+00') IS NOT NULL AS frozen;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'hail.events'::regclass) THEN
        CREATE TABLE hail.events_default PARTITION OF hail.events DEFAULT;
    END IF;
END $$;
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XGA', 2, 50), ('XGB', 0, 10), ('XGC', 2, 50);
INSERT INTO hail.users (id, name, role)
SELECT ('9a7e0000-0000-7000-8000-00000000000' || n)::uuid, name, role
FROM (VALUES (1, 'Gateway Customer', 'customer'), (2, 'Gateway Driver', 'driver'), (3, 'Other Payer', 'customer'), (4, 'Gateway Shop', 'partner'),
             (5, 'Gateway Analyst', 'analyst')) p (n, name, role);
CREATE FUNCTION pg_temp.u(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('9a7e0000-0000-7000-8000-00000000000' || n)::uuid $$;
-- Run a statement; say how it ended. Its work is undone when it fails.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; hint text; field text; result text;
BEGIN
    EXECUTE statement INTO result;
    RETURN coalesce(result, 'done');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, hint = PG_EXCEPTION_HINT, field = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state) || ': ' || SQLERRM, nullif(field, ''), nullif(hint, ''));
END $$;
CREATE VIEW pg_temp.books AS
    SELECT a.kind, u.name AS owner, a.currency, b.posted, b.held
    FROM hail.accounts a CROSS JOIN LATERAL hail.balance(a.id) b LEFT JOIN hail.users u ON u.id = a.owner_id
    WHERE a.currency LIKE 'XG%' ORDER BY a.currency, 1, 2;

-- Gateways, by administrators. The secret is told once.
SELECT (g.gateway).name, (g.gateway).dialect, (g.gateway).tolerance, (g.gateway).deposit_ttl, (g.gateway).currencies, gateway_secret
FROM hail.create_gateway('payco', 'standard_webhooks', '{XGA,XGB,XGA}', secret => 'whsec_' || encode('a secret of thirty-two bytes, gw', 'base64')) g;
SELECT (g.gateway).name, (g.gateway).mapping ->> 'header' AS header, gateway_secret
FROM hail.create_gateway('kashier', 'sorted_query', '{XGC}', '10 minutes', '30 minutes', 50, '{"fee": "fees"}', 'a-payment-api-key-1') g;
SELECT gateway_secret ~ '^whsec_[A-Za-z0-9+/]{43}=$' AS random FROM hail.create_gateway('spare', 'standard_webhooks', '{XGA}', priority => 200);
SELECT gateway_secret ~ '^[0-9a-f]{64}$' AS random FROM hail.create_gateway('spare2', 'sorted_query', '{XGA}', priority => 300);
SELECT pg_temp.try($$ SELECT hail.create_gateway('payco', 'standard_webhooks', '{XGA}') $$);
SELECT pg_temp.try(format('SELECT hail.create_gateway(%s)', arguments)) FROM unnest(ARRAY[
    $$'Pay Co', 'standard_webhooks', '{XGA}'$$, $$NULL, 'standard_webhooks', '{XGA}'$$, $$'new', 'rot13', '{XGA}'$$, $$'new', 'sorted_query', '{}'$$,
    $$'new', 'sorted_query', '{XGA,NULL}'$$, $$'new', 'sorted_query', '{XQX}'$$, $$'new', 'sorted_query', '{XGA}', '0'$$,
    $$'new', 'sorted_query', '{XGA}', '31 days'$$, $$'new', 'sorted_query', '{XGA}', deposit_ttl => '1 second'$$,
    $$'new', 'sorted_query', '{XGA}', priority => NULL$$, $$'new', 'sorted_query', '{XGA}', secret => 'short'$$,
    $$'new', 'sorted_query', '{XGA}', secret => 'with blanks in it, so'$$, $$'new', 'standard_webhooks', '{XGA}', secret => 'whsec_AAAA'$$,
    $$'new', 'sorted_query', '{XGA}', mapping => '[]'$$, $$'new', 'sorted_query', '{XGA}', mapping => '{"colour": "red"}'$$,
    $$'new', 'sorted_query', '{XGA}', mapping => '{"amount": null}'$$, $$'new', 'sorted_query', '{XGA}', mapping => '{"amounts": "dozens"}'$$,
    $$'new', 'sorted_query', '{XGA}', mapping => '{"type": []}'$$, $$'new', 'sorted_query', '{XGA}', mapping => '{"types": {"a": 1}}'$$,
    $$'new', 'sorted_query', '{XGA}', mapping => '{"header": "X Y"}'$$, $$'new', 'standard_webhooks', '{XGA}', mapping => '{"header": "x-signature"}'$$]) arguments;
SELECT name, enabled, priority FROM hail.list_gateways() WHERE name IN ('payco', 'kashier', 'spare', 'spare2');

-- What senders do: sign. Standard Webhooks sign id, time and body.
CREATE FUNCTION pg_temp.now() RETURNS bigint LANGUAGE sql AS $$ SELECT extract(epoch FROM hail.clock())::bigint $$;
CREATE FUNCTION pg_temp.raw(id text, body text, at bigint DEFAULT NULL, secret text DEFAULT 'a secret of thirty-two bytes, gw', gateway text DEFAULT 'payco')
RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(format('SELECT concat_ws('' '', outcome, CASE WHEN replayed THEN ''again'' END) FROM hail.receive_gateway_event(%L, %L, %L)', gateway,
        jsonb_build_object('webhook-id', id, 'webhook-timestamp', coalesce(at, pg_temp.now())::text,
            'webhook-signature', hail.webhook_signature(secret::bytea, id, coalesce(at, pg_temp.now())::text, body)), body)) $$;
CREATE FUNCTION pg_temp.send(id text, type text, data jsonb, at interval DEFAULT '0') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.raw(id, jsonb_build_object('type', type, 'timestamp', to_char(hail.clock() + at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'data', data)::text) $$;
CREATE FUNCTION pg_temp.paid(intent uuid, reference text DEFAULT NULL, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('intentId', i.id, 'reference', reference, 'amount', i.amount, 'currency', i.currency) || more)
    FROM hail.payment_intents i WHERE i.id = intent $$;
CREATE VIEW pg_temp.intents AS
    SELECT u.name, i.purpose, i.state, i.amount, i.currency, i.fee, i.gateway_reference AS reference, i.transaction_id IS NOT NULL AS posted, i.reason
    FROM hail.payment_intents i JOIN hail.users u ON u.id = i.user_id;
CREATE VIEW pg_temp.inbox AS
    SELECT e.gateway, e.event_id, e.type, e.outcome, e.remark, e.repeats, e.conflicts FROM hail.gateway_events e ORDER BY e.gateway, e.event_id;

-- A deposit: nothing is posted until the gateway says so; then once.
SELECT (d.intent).id AS one, d.replayed, (d.intent).gateway, (d.intent).state, (d.intent).expires_at
FROM hail.begin_deposit(pg_temp.u(1), 10000, 'XGA', 'payco', 'gw-1') d \gset
SELECT :'replayed' AS replayed, :'gateway' AS gateway, :'state' AS state, :'expires_at' AS expires_at;
SELECT (d.intent).id = :'one' AS same, d.replayed FROM hail.begin_deposit(pg_temp.u(1), 10000, 'XGA', 'payco', 'gw-1') d;
SELECT pg_temp.try($$ SELECT hail.begin_deposit(pg_temp.u(1), 10001, 'XGA', 'payco', 'gw-1') $$);
SELECT * FROM pg_temp.books;
SELECT pg_temp.send('evt-1', 'payment.pending', pg_temp.paid(:'one', 'P-1'));
SELECT pg_temp.send('evt-2', 'payment.succeeded', pg_temp.paid(:'one', 'P-1', '{"fee": 250}'));
SELECT pg_temp.send('evt-2', 'payment.succeeded', pg_temp.paid(:'one', 'P-1', '{"fee": 250}')) FROM generate_series(1, 2);
SELECT pg_temp.send('evt-3', 'payment.succeeded', pg_temp.paid(:'one', 'P-1', '{"fee": 250}'));
SELECT * FROM pg_temp.books;
SELECT * FROM pg_temp.intents;
SELECT t.kind, t.principal, t.reference_type, t.reference_id = :'one' AS of_it, a.kind AS account, e.direction, e.amount
FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id JOIN hail.accounts a ON a.id = e.account_id
WHERE t.reference_id = :'one' ORDER BY e.direction, e.amount;
SELECT version, type, actor, payload - 'user_id' - 'transaction_id' AS payload FROM hail.events WHERE aggregate_id = :'one' ORDER BY version;

-- An id that comes again with another content is refused, and seen.
SELECT pg_temp.send('evt-2', 'payment.succeeded', pg_temp.paid(:'one', 'P-1', '{"fee": 1}'));
SELECT event_id, outcome, repeats, conflicts FROM pg_temp.inbox WHERE event_id LIKE 'evt-%';
SELECT * FROM hail.reconcile_gateways('2013-11-24') WHERE subject LIKE 'payco evt-%';
SELECT (hail.resolve_gateway_event('payco', 'evt-2', ' they sent it twice ')).resolution;
SELECT * FROM hail.reconcile_gateways('2013-11-24');
SELECT pg_temp.try($$ SELECT hail.resolve_gateway_event('payco', 'evt-1', 'why?') $$), pg_temp.try($$ SELECT hail.resolve_gateway_event('payco', 'evt-0', 'why?') $$),
       pg_temp.try($$ SELECT hail.resolve_gateway_event('payco', 'evt-2', ' ') $$);

-- Signatures: forged, altered, of another id or time, by another's secret, cut, none at all; nothing is kept.
SELECT (d.intent).id AS two FROM hail.begin_deposit(pg_temp.u(1), 500, 'XGA', 'payco', 'gw-2') d \gset
SELECT jsonb_build_object('type', 'payment.succeeded', 'data', pg_temp.paid(:'two'))::text AS body, pg_temp.now() AS at \gset
SELECT hail.webhook_signature('a secret of thirty-two bytes, gw', 'evt-9', :'at', :'body') AS sig \gset
SELECT hail.webhook_signature('another secret of 32 bytes, gw..', 'evt-9', :'at', :'body') AS forged \gset
CREATE FUNCTION pg_temp.headers(id text, at text, signature text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('webhook-id', id, 'webhook-timestamp', at, 'webhook-signature', signature)) $$;
CREATE FUNCTION pg_temp.attempt(headers jsonb, body text, gateway text DEFAULT 'payco') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(format('SELECT outcome FROM hail.receive_gateway_event(%L, %L, %L)', gateway, headers, body)) $$;
SELECT pg_temp.attempt(pg_temp.headers('evt-9', :'at', :'forged'), :'body') AS forged;
SELECT pg_temp.attempt(pg_temp.headers('evt-9', :'at', :'sig'), replace(:'body', '500', '501')) AS altered;
SELECT pg_temp.attempt(pg_temp.headers('evt-9', :'at', :'sig'), :'body' || ' ') AS longer;
SELECT pg_temp.attempt(pg_temp.headers('evt-8', :'at', :'sig'), :'body') AS other_id;
SELECT pg_temp.attempt(pg_temp.headers('evt-9', (:at + 1)::text, :'sig'), :'body') AS other_time;
SELECT pg_temp.attempt(pg_temp.headers('evt-9', :'at', left(:'sig', 20)), :'body') AS cut;
SELECT pg_temp.attempt(pg_temp.headers('evt-9', :'at', :'sig'), left(:'body', 40)) AS truncated;
SELECT pg_temp.attempt(pg_temp.headers('evt-9', :'at', NULL), :'body') AS none;
SELECT pg_temp.attempt('{}', :'body') AS no_headers, pg_temp.attempt(NULL, :'body') AS null_headers, pg_temp.attempt('[1]', :'body') AS a_list;
SELECT pg_temp.attempt(pg_temp.headers('evt-9', :'at', :'sig'), NULL) AS no_body;
SELECT pg_temp.attempt(pg_temp.headers('evt-9', :'at', :'sig'), :'body', 'spare') AS another_gateway,
       pg_temp.attempt(pg_temp.headers('evt-9', :'at', :'sig'), :'body', 'nobody') AS unknown_gateway,
       pg_temp.attempt(pg_temp.headers('evt-9', :'at', :'sig'), :'body', NULL) AS no_gateway,
       pg_temp.attempt(pg_temp.headers('evt-9', :'at', :'sig'), :'body', 'kashier') AS another_dialect;
SELECT pg_temp.raw('evt-9', :'body', :at - 301) AS stale, pg_temp.raw('evt-9', :'body', :at + 301) AS early;
SELECT count(*) FROM hail.gateway_events WHERE event_id IN ('evt-8', 'evt-9');
SELECT state FROM hail.payment_intents WHERE id = :'two';
-- and well signed, as late as may be: it counts
SELECT pg_temp.raw('evt-9', :'body', :at - 300);
SELECT pg_temp.attempt(pg_temp.headers('evt-9', :'at', 'v1,AAAA ' || :'sig'), :'body') AS again_signed_anew;

-- Well signed, and no event: errors, nothing kept.
SELECT i, left(pg_temp.raw('bad-' || i, b), 110) FROM unnest(ARRAY['', 'null', '[]', '{}', '{"type":', 'payment.succeeded', '{"type":"payment.succeeded"}',
    '{"type":"payment.succeeded","data":[]}', '{"type":"payment.succeeded","data":null}', '{"data":{}}', '{"type":{"a":1},"data":{}}',
    '{"type":"payment.succeeded","type":"payment.failed","data":{}}', '{"type":"payment.succeeded","data":{"amount":1,"amount":2}}',
    '{"type":"payment.succeeded","data":{"amount":1.5}}', '{"type":"payment.succeeded","data":{"amount":-1}}',
    '{"type":"payment.succeeded","data":{"amount":"1e3"}}', '{"type":"payment.succeeded","data":{"amount":1e300}}',
    '{"type":"payment.succeeded","data":{"amount":9007199254740993}}', '{"type":"payment.succeeded","data":{"amount":{}}}',
    '{"type":"payment.succeeded","data":{"amount":true}}', '{"type":"payment.succeeded","data":{"currency":"EURO"}}',
    '{"type":"payment.succeeded","data":{"reference":"' || repeat('x', 201) || '"}}', '{"type":"payment.succeeded","timestamp":"yesterday","data":{}}',
    '{"type":"payment.succeeded","timestamp":"2026-13-45T00:00:00Z","data":{}}', '{"type":"\u0000","data":{}}', repeat('[', 100000),
    '{"type":"x","data":{},"y":' || repeat('[', 5000) || repeat(']', 5000) || '}', '{"type":"x","data":{},"y":"' || repeat('y', 1048600) || '"}'])
    WITH ORDINALITY AS b (b, i);
SELECT count(*) FROM hail.gateway_events WHERE event_id LIKE 'bad-%' AND event_id <> 'bad-27';

-- Events we have no use for, and of payments we do not know: kept, no error.
SELECT pg_temp.send('odd-1', 'customer.created', '{"card": "4111111111111111", "amount": "lots"}'),
       pg_temp.send('odd-2', 'payment.succeeded', jsonb_build_object('intentId', hail.uuid7(), 'amount', 5, 'currency', 'XGA')),
       pg_temp.send('odd-3', 'payment.succeeded', '{"intentId": "17", "amount": 5, "currency": "XGA"}'),
       pg_temp.send('odd-4', 'refund.succeeded', '{"refundId": "00000000-0000-7000-8000-000000000000", "amount": 5}'),
       pg_temp.send('odd-5', 'charge.disputed', '{"reference": "P-77", "amount": 5}'),
       pg_temp.send('odd-6', 'payment.failed', '{}');
SELECT event_id, type, outcome, remark, payload - 'intent_id' AS payload FROM hail.gateway_events WHERE event_id LIKE 'odd-%' ORDER BY event_id;
-- Nothing but what was understood is kept: no card, in no column.
SELECT (d.intent).id AS card FROM hail.begin_deposit(pg_temp.u(3), 700, 'XGA', 'payco', 'gw-card') d \gset
SELECT pg_temp.send('card-1', 'payment.failed', pg_temp.paid(:'card', 'P-C', '{"card": {"number": "4111 1111 1111 1111", "cvc": "123"}, "holder": "Jo Doe",
    "reason": "card 4111-1111-1111-1111 was declined, code 05"}'));
SELECT payload ->> 'reason' AS reason FROM hail.gateway_events WHERE event_id = 'card-1';
SELECT reason FROM hail.payment_intents WHERE id = :'card';
SELECT (SELECT count(*) FROM hail.gateway_events e WHERE e::text ~ '4111[- ]?1111' OR e::text ~ 'Doe') + (SELECT count(*) FROM hail.payment_intents i WHERE i::text ~ '4111[- ]?1111')
     + (SELECT count(*) FROM hail.events e WHERE e.payload::text ~ '4111[- ]?1111') AS cards;

-- Amount, currency and the gateway's name for a payment must fit; what does not is kept as refused.
SELECT (d.intent).id AS three FROM hail.begin_deposit(pg_temp.u(3), 900, 'XGA', 'payco', 'gw-3') d \gset
SELECT (d.intent).id AS foreign FROM hail.begin_deposit(pg_temp.u(3), 900, 'XGA', 'spare', 'gw-4') d \gset
SELECT pg_temp.send('fit-1', 'payment.succeeded', pg_temp.paid(:'three', 'P-3', '{"amount": 901}')),
       pg_temp.send('fit-2', 'payment.succeeded', pg_temp.paid(:'three', 'P-3', '{"currency": "XGB"}')),
       pg_temp.send('fit-3', 'payment.succeeded', pg_temp.paid(:'three', 'P-1')),
       pg_temp.send('fit-4', 'payment.succeeded', pg_temp.paid(:'three', 'P-3') - 'amount'),
       pg_temp.send('fit-5', 'payment.succeeded', pg_temp.paid(:'three', 'P-3') - 'currency'),
       pg_temp.send('fit-6', 'payment.succeeded', pg_temp.paid(:'three', 'P-3', '{"fee": 901}')),
       pg_temp.send('fit-7', 'payment.succeeded', pg_temp.paid(:'foreign', 'P-4')) AS of_another_gateway;
SELECT event_id, outcome, remark FROM pg_temp.inbox WHERE event_id LIKE 'fit-%';
SELECT state, event_version FROM hail.payment_intents WHERE id IN (:'three', :'foreign');
SELECT check_name, subject, actual FROM hail.reconcile_gateways('2013-11-24') ORDER BY 2;
SELECT (e.event).event_id, (e.event).outcome, e.next_cursor IS NOT NULL AS more FROM hail.list_gateway_events(unresolved => true, max_results => 4) e;
SELECT count(*) FROM hail.list_gateway_events('payco', unresolved => true, max_results => 100);
SELECT count(*) FROM hail.gateway_events e, hail.resolve_gateway_event(e.gateway, e.event_id, 'seen') WHERE e.outcome IN ('refused', 'unmatched');
SELECT * FROM hail.reconcile_gateways('2013-11-24');

-- Every news in every state, as the table says; and what is older than what is known.
SELECT from_state, string_agg(news || ' ' || coalesce(to_state, outcome), ', ' ORDER BY news) AS news FROM hail.payment_transitions GROUP BY 1 ORDER BY 1;
CREATE FUNCTION pg_temp.story(news text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n text; told text := ''; i integer := 0;
    key text := 'story ' || array_to_string(news, ' ');
    intent uuid := ((hail.begin_deposit(pg_temp.u(3), 100, 'XGA', 'payco', key)).intent).id;
BEGIN
    FOREACH n IN ARRAY news LOOP
        i := i + 1;
        IF n = 'wait' THEN
            PERFORM hail.advance_clock('2 hours');
            PERFORM hail.expire_payments();
        ELSE
            told := told || pg_temp.send(md5(key) || i, 'payment.' || replace(n, 'old ', ''), pg_temp.paid(intent, 'S-' || md5(key)),
                                         CASE WHEN n LIKE 'old %' THEN '-1 minute' ELSE '0' END::interval) || ', ';
        END IF;
    END LOOP;
    RETURN (SELECT told || p.state || ', ' || (SELECT count(*) FROM hail.ledger_transactions t WHERE t.reference_id = intent) || ' posted' FROM hail.payment_intents p WHERE p.id = intent);
END $$;
SELECT s AS story, pg_temp.story(string_to_array(s, ', ')) FROM unnest(ARRAY['succeeded', 'failed', 'expired', 'pending, pending', 'pending, succeeded, pending',
    'failed, succeeded', 'failed, failed', 'failed, pending', 'succeeded, failed', 'succeeded, expired', 'expired, succeeded', 'expired, failed',
    'wait, succeeded', 'pending, wait, succeeded', 'wait, failed', 'pending, old failed', 'succeeded, old failed', 'pending, old succeeded',
    'failed, old succeeded', 'succeeded, succeeded']) s;
SELECT count(hail.resolve_gateway_event((e.event).gateway, (e.event).event_id, 'told')) FROM hail.list_gateway_events(unresolved => true, max_results => 100) e;

-- By hand, with a reason: whatever has not succeeded.
SELECT (d.intent).id AS hand FROM hail.begin_deposit(pg_temp.u(2), 3000, 'XGA', 'payco', 'gw-hand') d \gset
SELECT pg_temp.send('hand-1', 'payment.failed', pg_temp.paid(:'hand', 'P-H'));
SELECT pg_temp.try(format('SELECT hail.settle_deposit(%L, %s)', :'hand', a))
FROM unnest(ARRAY['NULL', $$' '$$, $$'statement', ''$$, $$'statement', 'P-X'$$, $$'statement', fee => -1$$, $$'statement', fee => 3001$$, $$'statement', fee => NULL$$]) a;
SELECT state, reason, fee FROM hail.settle_deposit(:'hand', 'on the statement of 23 November', 'P-H', 30);
SELECT state, reason, fee FROM hail.settle_deposit(:'hand', 'again', 'P-H', 99);
SELECT pg_temp.try($$ SELECT hail.settle_deposit(hail.uuid7(), 'none') $$);
SELECT pg_temp.send('hand-2', 'payment.succeeded', pg_temp.paid(:'hand', 'P-H'));
SELECT * FROM pg_temp.books;

-- What may be asked for; limits of one deposit and of a day.
SELECT pg_temp.try(format('SELECT hail.begin_deposit(%s)', a)) FROM unnest(ARRAY[
    $$pg_temp.u(1), 0, 'XGA', 'payco', 'k'$$, $$pg_temp.u(1), -5, 'XGA', 'payco', 'k'$$, $$pg_temp.u(1), NULL, 'XGA', 'payco', 'k'$$,
    $$pg_temp.u(1), 9007199254740993, 'XGA', 'payco', 'k'$$, $$pg_temp.u(1), 5, 'xga', 'payco', 'k'$$, $$pg_temp.u(1), 5, NULL, 'payco', 'k'$$,
    $$pg_temp.u(1), 5, 'XGA', 'nobody', 'k'$$, $$pg_temp.u(1), 5, 'XGC', 'payco', 'k'$$, $$pg_temp.u(1), 5, 'CHF', NULL, 'k'$$, $$pg_temp.u(1), 5, 'XGA', 'payco', NULL$$,
    $$hail.uuid7(), 5, 'XGA', 'payco', 'k'$$, $$NULL, 5, 'XGA', 'payco', 'k'$$, $$pg_temp.u(5), 5, 'XGA', 'payco', 'k'$$]) a;
SELECT pg_temp.try(format('SELECT hail.set_deposit_limit(%s)', a)) FROM unnest(ARRAY[
    $$'XQX', 1, 2, 3$$, $$'XGB', 0, 2, 3$$, $$'XGB', 5, 4, 5$$, $$'XGB', 1, 4, 3$$, $$'XGB', 1, 4, NULL$$, $$NULL, 1, 2, 3$$]) a;
SELECT hail.set_deposit_limit('XGB', 10, 100, 150), hail.set_deposit_limit('XGB', 10, 100, 160);
SELECT * FROM hail.list_deposit_limits() WHERE currency LIKE 'XG%';
CREATE FUNCTION pg_temp.ask(amount bigint, key text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(format('SELECT (d.intent).state FROM hail.begin_deposit(pg_temp.u(1), %s, ''XGB'', NULL, %L) d', amount, key)) $$;
SELECT pg_temp.ask(9, 'l1'), pg_temp.ask(101, 'l2'), pg_temp.ask(100, 'l3'), pg_temp.ask(61, 'l4'), pg_temp.ask(60, 'l5'), pg_temp.ask(10, 'l6');
SELECT hail.advance_clock('1 hour') IS NOT NULL AS later, hail.expire_payments() > 0 AS expired;
SELECT pg_temp.ask(100, 'l7') AS what_expired_is_not_counted;
SELECT hail.set_gateway_enabled('payco', false) IS NOT NULL AS disabled, pg_temp.ask(10, 'l8'), pg_temp.try($$ SELECT hail.begin_deposit(pg_temp.u(1), 5, 'XGA', 'payco', 'k') $$);
SELECT (d.intent).gateway FROM hail.begin_deposit(pg_temp.u(1), 5, 'XGA', NULL, 'k') d;
SELECT pg_temp.send('off-1', 'payment.succeeded', pg_temp.paid(i.id, 'P-off')) AS still_heard FROM hail.payment_intents i WHERE i.currency = 'XGB' AND i.state = 'created';
SELECT (hail.set_gateway_enabled('payco', true)).enabled, (hail.set_gateway_enabled('payco', true)).event_version;
SELECT pg_temp.try($$ SELECT hail.set_gateway_enabled('nobody', true) $$), pg_temp.try($$ SELECT hail.set_gateway_enabled('payco', NULL) $$);

-- The app comes back: how does it stand? Its word is not taken; the gateway is asked, once a minute.
SELECT (d.intent).id AS asked FROM hail.begin_deposit(pg_temp.u(1), 400, 'XGA', 'payco', 'gw-asked') d \gset
SELECT (hail.verify_payment(:'asked')).state, (hail.verify_payment(:'asked')).state, hail.advance_clock('61 seconds') IS NOT NULL, (hail.verify_payment(:'asked')).state;
SELECT version, type FROM hail.events WHERE aggregate_id = :'asked' ORDER BY version;
SELECT pg_temp.send('ask-1', 'payment.succeeded', pg_temp.paid(:'asked', 'P-A'));
SELECT hail.advance_clock('61 seconds') IS NOT NULL, (hail.verify_payment(:'asked')).state;
SELECT count(*) FROM hail.events WHERE aggregate_id = :'asked' AND type = 'PaymentVerificationRequested';

-- a driver's wallet may owe, but is not given what it has spent
SELECT hail.post_template('deposit_refund', 'gw-driver-spent', 'XGA', '{"amount": 1}', wallet_id => (SELECT wallet_id FROM hail.payment_intents WHERE id = :'hand')) IS NOT NULL AS spent;
SELECT pg_temp.try(format('SELECT hail.refund_deposit(%L, 3000, ''x'', ''r-driver'')', :'hand'));

-- Refunds of a deposit: held, then gone or free again; parts, never more than it.
SELECT id AS refund1, state, amount, hold_id IS NOT NULL AS held FROM (SELECT (hail.refund_deposit(:'one', 4000, 'asked by phone', 'r-1')).refund.*) r \gset
SELECT :'state' AS state, :'held' AS held, (r.refund).id = :'refund1' AS same, r.replayed FROM hail.refund_deposit(:'one', 4000, 'asked by phone', 'r-1') r;
SELECT pg_temp.try(format('SELECT hail.refund_deposit(%L, %s)', :'one', a)) FROM unnest(ARRAY[
    $$4001, 'asked by phone', 'r-1'$$, $$6001, 'more', 'r-2'$$, $$0, 'x', 'r-2'$$, $$NULL, 'x', 'r-2'$$, $$1, '', 'r-2'$$, $$1, 'x', NULL$$]) a;
SELECT pg_temp.try(format('SELECT hail.refund_deposit(%L, 1, ''x'', ''r-3'')', i)) FROM unnest(ARRAY[:'three', '9a7e0000-0000-7000-8000-000000000000']) i;
SELECT state, refunding, refunded FROM hail.payment_intents WHERE id = :'one';
SELECT * FROM pg_temp.books WHERE owner = 'Gateway Customer';
SELECT pg_temp.send('ref-1', 'refund.succeeded', jsonb_build_object('refundId', :'refund1', 'reference', 'R-1', 'amount', 3999, 'currency', 'XGA')),
       pg_temp.send('ref-2', 'refund.succeeded', jsonb_build_object('refundId', :'refund1', 'reference', 'R-1', 'amount', 4000, 'currency', 'XGB')),
       pg_temp.send('ref-3', 'refund.succeeded', jsonb_build_object('refundId', :'refund1', 'reference', 'R-1', 'amount', 4000, 'currency', 'XGA', 'fee', 10)),
       pg_temp.send('ref-4', 'refund.succeeded', jsonb_build_object('refundId', :'refund1', 'reference', 'R-1', 'amount', 4000, 'currency', 'XGA')),
       pg_temp.send('ref-5', 'refund.failed', jsonb_build_object('refundId', :'refund1', 'reference', 'R-1'));
SELECT state, refunding, refunded FROM hail.payment_intents WHERE id = :'one';
-- without our id: the oldest of this amount
SELECT (hail.refund_deposit(:'one', 1000, 'part', 'r-4')).replayed, (hail.refund_deposit(:'one', 1000, 'part', 'r-5')).replayed, (hail.refund_deposit(:'one', 4000, 'part', 'r-6')).replayed;
SELECT pg_temp.send('ref-6', 'refund.failed', jsonb_build_object('intentId', :'one', 'amount', 1000, 'currency', 'XGA', 'reason', 'account closed')),
       pg_temp.send('ref-7', 'refund.succeeded', jsonb_build_object('intentId', :'one', 'amount', 2000, 'currency', 'XGA')),
       pg_temp.send('ref-8', 'refund.succeeded', jsonb_build_object('intentId', :'one', 'amount', 1000, 'currency', 'XGA'));
SELECT state, refunding, refunded FROM hail.payment_intents WHERE id = :'one';
SELECT pg_temp.send('ref-9', 'refund.succeeded', jsonb_build_object('intentId', :'one', 'amount', 4000, 'currency', 'XGA'));
SELECT (hail.refund_deposit(:'one', 1000, 'the rest', 'r-7')).replayed;
SELECT pg_temp.send('ref-10', 'refund.succeeded', jsonb_build_object('intentId', :'one', 'amount', 1000, 'currency', 'XGA', 'reference', 'R-10'));
SELECT amount, state, failure, gateway_reference, transaction_id IS NOT NULL AS posted FROM hail.list_refunds(:'one');
SELECT state, refunding, refunded FROM hail.payment_intents WHERE id = :'one';
SELECT event_id, outcome, remark FROM pg_temp.inbox WHERE event_id LIKE 'ref-%' AND outcome <> 'applied';
SELECT * FROM pg_temp.books;
-- Disputes: from the wallet as far as it goes, the rest is a loss.
SELECT hail.post_template('deposit_refund', 'gw-spent', 'XGA', '{"amount": 650}', wallet_id => (SELECT wallet_id FROM hail.payment_intents WHERE id = :'asked')) IS NOT NULL AS spent;
SELECT posted - held AS left FROM hail.accounts WHERE id = (SELECT wallet_id FROM hail.payment_intents WHERE id = :'asked');
SELECT pg_temp.send('dis-1', 'charge.disputed', pg_temp.paid(:'asked', 'P-A', '{"amount": 401}')),
       pg_temp.send('dis-2', 'charge.disputed', pg_temp.paid(:'asked', 'P-A', '{"amount": 0}')),
       pg_temp.send('dis-3', 'charge.disputed', pg_temp.paid(:'three', 'P-3')),
       pg_temp.send('dis-4', 'charge.disputed', pg_temp.paid(:'asked', 'P-A', '{"reason": "card stolen"}')),
       pg_temp.send('dis-4', 'charge.disputed', pg_temp.paid(:'asked', 'P-A', '{"reason": "card stolen"}')),
       pg_temp.send('dis-5', 'charge.disputed', pg_temp.paid(:'asked', 'P-A', '{"amount": 1}'));
SELECT event_id, outcome, remark FROM pg_temp.inbox WHERE event_id LIKE 'dis-%';
SELECT payload - 'user_id' - 'transaction_id' AS payload FROM hail.events WHERE aggregate_id = :'asked' AND type = 'PaymentDisputed';
SELECT * FROM pg_temp.books WHERE currency = 'XGA';
SELECT pg_temp.try(format('SELECT hail.refund_deposit(%L, 1, ''x'', ''r-9'')', :'asked')) AS disputed_is_not_refunded,
       pg_temp.try(format('SELECT hail.refund_deposit(%L, 500, ''x'', ''r-10'')', :'two')) AS spent_neither;
SELECT count(hail.resolve_gateway_event((e.event).gateway, (e.event).event_id, 'seen')) FROM hail.list_gateway_events(unresolved => true, max_results => 100) e;

-- The other dialect: only what is signed is believed.
SELECT hail.sorted_query('{"b": 20.50, "a": "x y&z=1", "c": null, "d": true, "e": [1], "B": 1e2, "f": 1e131071, "unsigned": 1}', '{a,b,c,d,e,B,f,none}');
SELECT hail.query_signature('key', 'The quick brown fox jumps over the lazy dog');
CREATE FUNCTION pg_temp.knock(data jsonb, event text DEFAULT 'pay', key text DEFAULT 'a-payment-api-key-1', tamper jsonb DEFAULT '{}', header text DEFAULT 'x-kashier-signature')
RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(format('SELECT concat_ws('' '', event_id, outcome, CASE WHEN replayed THEN ''again'' END) FROM hail.receive_gateway_event(%L, %L, %L)', 'kashier',
        jsonb_build_object(header, hail.query_signature(key::bytea, hail.sorted_query(data, ARRAY(SELECT jsonb_array_elements_text(data -> 'signatureKeys'))))),
        jsonb_build_object('event', event, 'data', data || tamper))) $$;
SELECT (d.intent).id AS four, (d.intent).expires_at - hail.clock() AS ttl FROM hail.begin_deposit(pg_temp.u(4), 2050, 'XGC', NULL, 'gw-k') d \gset
SELECT :'ttl' AS ttl;
CREATE FUNCTION pg_temp.pay(intent uuid, transaction text, status text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('merchantOrderId', i.id, 'transactionId', transaction, 'status', status, 'creationDate', to_char(hail.clock(), 'YYYY-MM-DD"T"HH24:MI:SS".120Z"'),
        'amount', i.amount / 100.0, 'currency', i.currency, 'method', 'card', 'card', '{"maskedCard": "************1111"}'::jsonb,
        'signatureKeys', '["status","amount","merchantOrderId","transactionId","currency","creationDate","method"]'::jsonb) || more
    FROM hail.payment_intents i WHERE i.id = intent $$;
SELECT pg_temp.knock(pg_temp.pay(:'four', 'TX-1', 'PENDING')), pg_temp.knock(pg_temp.pay(:'four', 'TX-1', 'SUCCESS')), pg_temp.knock(pg_temp.pay(:'four', 'TX-1', 'SUCCESS'));
SELECT state, amount, gateway_reference FROM hail.payment_intents WHERE id = :'four';
SELECT (d.intent).id AS five FROM hail.begin_deposit(pg_temp.u(4), 4000, 'XGC', NULL, 'gw-k2') d \gset
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-2', 'SUCCESS'), key => 'another-payment-key') AS forged,
       pg_temp.knock(pg_temp.pay(:'five', 'TX-2', 'SUCCESS'), tamper => '{"amount": 1}') AS altered,
       pg_temp.knock(pg_temp.pay(:'five', 'TX-2', 'SUCCESS'), tamper => '{"status": "FAILURE"}') AS another_status,
       pg_temp.knock(pg_temp.pay(:'five', 'TX-2', 'SUCCESS'), tamper => '{"signatureKeys": ["status"]}') AS fewer_keys,
       pg_temp.knock(pg_temp.pay(:'five', 'TX-2', 'SUCCESS'), tamper => '{"signatureKeys": "status"}') AS no_list,
       pg_temp.knock(pg_temp.pay(:'five', 'TX-2', 'SUCCESS'), header => 'x-signature') AS another_header;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-2', 'SUCCESS', '{"signatureKeys": ["merchantOrderId", "creationDate", "amount", "currency", "status"]}')) AS id_not_signed;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-2', 'SUCCESS', '{"signatureKeys": ["merchantOrderId", "transactionId", "amount", "currency", "status"]}')) AS time_not_signed;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-2', 'SUCCESS', '{"signatureKeys": ["merchantOrderId", "transactionId", "creationDate", "currency", "status"]}')) AS amount_not_signed;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-3', 'SUCCESS', '{"signatureKeys": ["transactionId", "creationDate", "currency", "status", "amount"]}')) AS payment_not_signed;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-4', 'SUCCESS', '{"creationDate": "2013-11-24T09:00:00Z"}')) AS stale;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-4', 'SUCCESS', '{"creationDate": "soon"}')) AS no_time;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-4', 'SUCCESS', '{"amount": 40.005}')) AS no_amount;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-5', 'SUCCESS', '{"currency": "ZZZ"}')) AS unknown_currency;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-6', 'SHAVED')) AS unknown_status;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-7', 'SUCCESS', '{"amount": "40.00"}')) AS as_text;
SELECT pg_temp.attempt('{"x-kashier-signature": "00"}', b, 'kashier') FROM unnest(ARRAY['', '[]', '{}', '{"data":{}}', '{"data":{"signatureKeys":[]}}',
    '{"data":{"a":1,"a":2,"signatureKeys":["a"]}}', repeat('{"data":', 50000), '{"data":{"a":1e131071,"signatureKeys":["a"]}}',
    '{"data":{"signatureKeys":[' || repeat('1e131071,', 100000) || '"a"]}}']) b;
SELECT event_id, type, outcome, remark FROM pg_temp.inbox WHERE gateway = 'kashier';
SELECT state, amount, gateway_reference FROM hail.payment_intents WHERE id = :'five';
-- a refund by their order's number; they give it an id of its own
SELECT (hail.refund_deposit(:'five', 1500, 'asked', 'k-r')).replayed;
SELECT pg_temp.knock(pg_temp.pay(:'five', 'TX-8', 'SUCCESS', '{"amount": 15}'), 'refund');
SELECT state, refunded FROM hail.payment_intents WHERE id = :'five';

-- Payouts: the withdrawal's own rules say what is possible; what is not, is refused and seen.
SELECT count(hail.create_partner(pg_temp.u(4), 'gw-shop')) AS partners;
\set destination '{"type": "mobile_wallet", "account": "+201000000001", "holder": "Shop"}'
BEGIN;
SELECT role FROM hail.authenticate(hail.issue_token(pg_temp.u(4)));
SELECT (r.withdrawal).id AS out1 FROM hail.request_withdrawal(hail.current_subject(), 500, 'XGC', :'destination', 'gw-out-1') r \gset
SELECT (r.withdrawal).id AS out2 FROM hail.request_withdrawal(hail.current_subject(), 600, 'XGC', :'destination', 'gw-out-2') r \gset
COMMIT;
SELECT pg_temp.send('out-1', 'payout.settled', jsonb_build_object('payoutId', :'out1', 'reference', 'O-1', 'amount', 500, 'currency', 'XGC')) AS not_approved;
SELECT count(hail.approve_withdrawal(id)) FROM unnest(ARRAY[:'out1', :'out2']::uuid[]) id;
SELECT pg_temp.send('out-2', 'payout.settled', jsonb_build_object('payoutId', :'out1', 'reference', 'O-1', 'amount', 501, 'currency', 'XGC')),
       pg_temp.send('out-3', 'payout.settled', jsonb_build_object('payoutId', :'out1', 'reference', 'O-1', 'amount', 500, 'currency', 'XGC')),
       pg_temp.send('out-4', 'payout.settled', jsonb_build_object('payoutId', :'out1', 'reference', 'O-1')),
       pg_temp.send('out-5', 'payout.failed', jsonb_build_object('payoutId', :'out1', 'reason', 'too late')),
       pg_temp.send('out-6', 'payout.failed', jsonb_build_object('payoutId', :'out2', 'reason', ' ')),
       pg_temp.send('out-7', 'payout.returned', jsonb_build_object('payoutId', :'out1', 'reason', 'account closed')),
       pg_temp.send('out-8', 'payout.settled', jsonb_build_object('payoutId', hail.uuid7(), 'reference', 'O-8'));
SELECT event_id, outcome, remark FROM pg_temp.inbox WHERE event_id LIKE 'out-%';
SELECT amount, state, payout_reference, reason FROM hail.withdrawals WHERE id IN (:'out1', :'out2') ORDER BY amount;
SELECT count(hail.resolve_gateway_event((e.event).gateway, (e.event).event_id, 'seen')) FROM hail.list_gateway_events(unresolved => true, max_results => 100) e;

-- Charges of trips: what the gateway says is passed on to the trip (here to stand-ins), once; its fee is posted.
BEGIN;
CREATE TEMP TABLE told (n integer GENERATED ALWAYS AS IDENTITY, trip_id uuid, what text, amount bigint, reason text);
GRANT ALL ON told TO PUBLIC;
CREATE OR REPLACE FUNCTION hail.trip_charge_succeeded(trip_id uuid, intent_id uuid, amount bigint) RETURNS void LANGUAGE sql AS $$
    SELECT hail.fail('wrong_state', 'this trip has been given away') WHERE amount = 13;
    INSERT INTO pg_temp.told (trip_id, what, amount) VALUES (trip_id, 'succeeded', amount) $$;
CREATE OR REPLACE FUNCTION hail.trip_charge_failed(trip_id uuid, intent_id uuid, reason text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO pg_temp.told (trip_id, what, reason) VALUES (trip_id, 'failed', reason) $$;
CREATE FUNCTION pg_temp.charge(n integer, amount bigint, currency text DEFAULT 'XGA') RETURNS uuid LANGUAGE sql AS $$
    SELECT hail.begin_charge(jsonb_populate_record(NULL::hail.trips, jsonb_build_object('id', '9a7e0001-0000-7000-8000-' || lpad(n::text, 12, '0'),
        'customer_id', pg_temp.u(1), 'currency', currency)), amount) $$;
CREATE FUNCTION pg_temp.told() RETURNS TABLE (trip text, what text, amount bigint, reason text) LANGUAGE sql AS
$$ SELECT right(t.trip_id::text, 1), t.what, t.amount, t.reason FROM pg_temp.told t ORDER BY t.n $$;
SELECT pg_temp.charge(1, 2500) AS charge1 \gset
SELECT pg_temp.charge(1, 2500) = :'charge1' AS same, pg_temp.try('SELECT pg_temp.charge(1, 2400)') AS another_amount, pg_temp.try('SELECT pg_temp.charge(9, 0)') AS nothing,
       pg_temp.charge(9, 100, 'CHF') IS NULL AS no_gateway;
SELECT type, payload - 'user_id' AS payload FROM hail.events WHERE aggregate_id = :'charge1';
SELECT pg_temp.send('ch-1', 'payment.pending', pg_temp.paid(:'charge1')), pg_temp.send('ch-2', 'payment.succeeded', pg_temp.paid(:'charge1', 'C-1', '{"amount": 2499}')),
       pg_temp.send('ch-3', 'payment.succeeded', pg_temp.paid(:'charge1', 'C-1', '{"fee": 20}')), pg_temp.send('ch-3', 'payment.succeeded', pg_temp.paid(:'charge1', 'C-1', '{"fee": 20}'));
SELECT * FROM pg_temp.told();
SELECT kind, count(*) FROM hail.ledger_transactions WHERE reference_id = :'charge1' GROUP BY 1;
-- it fails, and is tried again; it expires, and the money comes late; what the trip does not take is refused
SELECT pg_temp.charge(2, 700) AS charge2 \gset
SELECT pg_temp.send('ch-4', 'payment.failed', pg_temp.paid(:'charge2', NULL, '{"reason": "no funds"}'));
SELECT pg_temp.charge(2, 700) AS charge3 \gset
SELECT hail.advance_clock('2 hours') IS NOT NULL AS later, hail.expire_payments() > 0 AS expired, hail.expire_payments() AS no_more;
SELECT pg_temp.send('ch-5', 'payment.succeeded', pg_temp.paid(:'charge3')), pg_temp.send('ch-6', 'payment.succeeded', pg_temp.paid(pg_temp.charge(3, 13)));
SELECT * FROM pg_temp.told();
SELECT event_id, remark FROM pg_temp.inbox WHERE event_id LIKE 'ch-%' AND outcome = 'refused';
-- refunds: posted by the trip before; when the gateway fails, the customer's wallet has the money
SELECT hail.begin_charge_refund(:'charge1', 1000, 'asked') AS back1, hail.begin_charge_refund(:'charge1', 400, 'asked') AS back2 \gset
SELECT pg_temp.try(format('SELECT hail.begin_charge_refund(%L, 1101, ''asked'')', :'charge1')), pg_temp.try(format('SELECT hail.begin_charge_refund(%L, 1, ''asked'')', :'one'));
SELECT pg_temp.try(format('SELECT hail.refund_deposit(%L, 1, ''asked'', ''r-charge'')', :'charge1')), pg_temp.try(format('SELECT hail.settle_deposit(%L, ''asked'')', :'charge2'));
SELECT pg_temp.send('ch-7', 'refund.succeeded', jsonb_build_object('refundId', :'back1', 'amount', 1000, 'fee', 5)), pg_temp.send('ch-8', 'refund.failed', jsonb_build_object('refundId', :'back2'));
SELECT t.kind, a.kind AS account, e.direction, e.amount FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id JOIN hail.accounts a ON a.id = e.account_id
WHERE t.reference_id IN (:'back1', :'back2') ORDER BY 1, 2;
SELECT pg_temp.send('ch-9', 'charge.disputed', pg_temp.paid(:'charge1', 'C-1', '{"amount": 300}'));
SELECT payload ->> 'taken' AS taken, payload ->> 'lost' AS lost FROM hail.events WHERE aggregate_id = :'charge1' AND type = 'PaymentDisputed';
SELECT state, refunding, refunded, disputed FROM hail.payment_intents WHERE id = :'charge1';
SELECT * FROM hail.reconcile_gateways('2013-11-24') WHERE check_name NOT LIKE 'gateway_event%';
SELECT * FROM hail.event_gaps() WHERE aggregate_type = 'payment_intent';
ROLLBACK;

-- Secrets: rotated, the old one valid for a while; retired at once.
SELECT hail.rotate_gateway_secret('payco', '1 hour', 'whsec_' || encode('the second secret of the gateway', 'base64'));
SELECT pg_temp.try($$ SELECT hail.rotate_gateway_secret('payco', '31 days') $$), pg_temp.try($$ SELECT hail.rotate_gateway_secret('nobody') $$);
SELECT expires_at - hail.clock() AS valid FROM hail.list_gateway_secrets('payco');
SELECT pg_temp.raw('rot-1', '{"type":"x","data":{}}'), pg_temp.raw('rot-2', '{"type":"x","data":{}}', secret => 'the second secret of the gateway');
SELECT hail.advance_clock('1 hour') IS NOT NULL AS later, pg_temp.raw('rot-3', '{"type":"x","data":{}}'), pg_temp.raw('rot-4', '{"type":"x","data":{}}', secret => 'the second secret of the gateway');
SELECT count(hail.retire_gateway_secret('payco', secret_id)) FROM hail.list_gateway_secrets('payco');
SELECT pg_temp.raw('rot-5', '{"type":"x","data":{}}', secret => 'the second secret of the gateway');
SELECT pg_temp.try($$ SELECT hail.retire_gateway_secret('payco', hail.uuid7()) $$);
SELECT type, count(*) FROM hail.events WHERE aggregate_id = (SELECT id FROM hail.gateways WHERE name = 'payco') GROUP BY 1 ORDER BY 1;
SELECT count(*) AS secrets_in_events FROM hail.events WHERE payload::text ~ 'whsec|secret of';

-- Who sees what. The front receives events with no token, and is nobody else by it.
SELECT '{"type":"x","data":{}}' AS body, pg_temp.now() AS at \gset
SELECT hail.rotate_gateway_secret('payco', '0', 'whsec_' || encode('a secret of thirty-two bytes, gw', 'base64')) IS NOT NULL AS back;
SELECT pg_temp.headers('front-1', :'at', hail.webhook_signature('a secret of thirty-two bytes, gw', 'front-1', :'at', :'body')) AS headers \gset
SET SESSION AUTHORIZATION hail_front;
SELECT * FROM hail.receive_gateway_event('payco', :'headers', :'body');
SELECT hail.current_role_name() IS NULL AS nobody;
SELECT count(*) FROM hail.gateway_events;
RESET SESSION AUTHORIZATION;
CREATE FUNCTION pg_temp.as_user(n integer) RETURNS text LANGUAGE sql AS $$ SELECT role FROM hail.authenticate(hail.issue_token(pg_temp.u(n))) $$;
BEGIN;
SELECT pg_temp.as_user(1);
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE user_id <> hail.current_subject()) AS of_others FROM hail.payment_intents;
SELECT count(*) > 0 AS some FROM hail.payment_refunds;
SELECT count(*) > 0 AS some, bool_and((l.intent).user_id = hail.current_subject()) AS own FROM hail.list_payment_intents(hail.current_subject()) l;
SELECT (hail.get_payment_intent(:'one')).state, (hail.verify_payment(:'one')).state;
SELECT (d.intent).state FROM hail.begin_deposit(hail.current_subject(), 77, 'XGA', NULL, 'own') d;
SAVEPOINT s;
SELECT hail.get_payment_intent(:'three');
ROLLBACK TO s;
SELECT hail.verify_payment(:'three');
ROLLBACK TO s;
SELECT hail.list_refunds(:'four');
ROLLBACK TO s;
SELECT hail.list_payment_intents(NULL::uuid);
ROLLBACK TO s;
SELECT hail.list_payment_intents('9a7e0000-0000-7000-8000-000000000003'::uuid);
ROLLBACK TO s;
SELECT hail.begin_deposit('9a7e0000-0000-7000-8000-000000000003', 5, 'XGA', NULL, 'not own');
ROLLBACK TO s;
SELECT hail.settle_deposit(:'one', 'please');
ROLLBACK TO s;
SELECT count(*) FROM hail.gateway_events;
ROLLBACK TO s;
SELECT count(*) FROM hail.gateway_secrets;
ROLLBACK TO s;
UPDATE hail.payment_intents SET state = 'succeeded';
ROLLBACK;
BEGIN;
SELECT pg_temp.as_user(5);
SELECT count(*) > 0 AS intents FROM hail.payment_intents;
SELECT count(outcome) > 0 AS events FROM hail.gateway_events;
SAVEPOINT s;
SELECT payload FROM hail.gateway_events;
ROLLBACK TO s;
SELECT secret FROM hail.gateway_secrets;
ROLLBACK;

-- Pages.
SELECT count(*), count(next_cursor), bool_and((l.intent).state = 'failed') AS failed FROM hail.list_payment_intents(state => '{failed}', max_results => 2) l;
WITH RECURSIVE page AS (
    SELECT array_agg((l.intent).id) AS ids, max(l.next_cursor) AS cursor FROM hail.list_payment_intents(pg_temp.u(3), max_results => 7) l
    UNION ALL
    SELECT p.ids, p.cursor FROM page q, LATERAL (SELECT array_agg((l.intent).id) AS ids, max(l.next_cursor) AS cursor
                                                 FROM hail.list_payment_intents(pg_temp.u(3), max_results => 7, cursor => q.cursor) l) p WHERE q.cursor IS NOT NULL)
SELECT count(*) AS pages, sum(cardinality(ids)) = (SELECT count(*) FROM hail.payment_intents WHERE user_id = pg_temp.u(3)) AS complete,
       (SELECT count(DISTINCT i) FROM page, unnest(ids) i) = sum(cardinality(ids)) AS once FROM page;
WITH RECURSIVE page AS (
    SELECT array_agg((l.event).event_id) AS ids, max(l.next_cursor) AS cursor FROM hail.list_gateway_events('payco', max_results => 30) l
    UNION ALL
    SELECT p.ids, p.cursor FROM page q, LATERAL (SELECT array_agg((l.event).event_id) AS ids, max(l.next_cursor) AS cursor
                                                 FROM hail.list_gateway_events('payco', max_results => 30, cursor => q.cursor) l) p WHERE q.cursor IS NOT NULL)
SELECT sum(cardinality(ids)) = (SELECT count(*) FROM hail.gateway_events WHERE gateway = 'payco') AS complete,
       (SELECT count(DISTINCT i) FROM page, unnest(ids) i) = sum(cardinality(ids)) AS once FROM page;
SELECT pg_temp.try(format('SELECT hail.list_payment_intents(%s)', a)) FROM unnest(ARRAY[
    $$max_results => 0$$, $$purpose => 'gift'$$, $$state => '{gone}'$$, $$state => '{}'$$, $$cursor => 'abc'$$]) a;
SELECT pg_temp.try(format('SELECT hail.list_gateway_events(%s)', a)) FROM unnest(ARRAY[$$max_results => 101$$, $$outcome => '{lost}'$$, $$cursor => 'abc'$$]) a;

-- All is well: no gap in the versions, the books balance, nothing is left to be looked at.
SELECT count(hail.resolve_gateway_event((e.event).gateway, (e.event).event_id, 'seen')) FROM hail.list_gateway_events(unresolved => true, max_results => 100) e;
SELECT * FROM hail.reconcile_gateways('2013-11-24');
SELECT * FROM hail.event_gaps() WHERE aggregate_type IN ('gateway', 'payment_intent');
SELECT currency, sum(posted) FROM pg_temp.books GROUP BY 1 ORDER BY 1;
SELECT * FROM hail.reconcile((hail.clock() AT TIME ZONE 'UTC')::date);
SELECT hail.reset_clock() IS NOT NULL AS wall_clock;
