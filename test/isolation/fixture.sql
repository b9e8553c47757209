-- A small world for races between trips, made anew for every permutation: customers Ada and Bea, drivers Dan, Eve
-- and Flo within 2 km of the pickup, two offers a round, a frozen clock.
CREATE SCHEMA fixture;
CREATE SEQUENCE fixture.phone;
SELECT hail.set_clock('2013-11-20 10:00+00');
INSERT INTO hail.currencies SELECT 'XT' || chr(n), 2, 50 FROM generate_series(65, 90) n; -- of the specs about money
SELECT hail.create_region('fixture', 'Fixture', 'EUR', 'Africa/Cairo', ST_MakeEnvelope(30, -1, 32, 1, 4326));
UPDATE hail.regions SET surge_cap = 1 WHERE code = 'fixture'; -- waiting trips of other specs must not change prices
SELECT hail.set_fare('fixture', 'economy', 1000, 350, 50, 1500, 1500);
INSERT INTO hail.dispatch_policies (region_id, offers_per_round) SELECT id, 2 FROM hail.regions WHERE code = 'fixture';
CREATE TABLE fixture.people (name text PRIMARY KEY, id uuid, place float8, quote uuid, other_quote uuid);

CREATE FUNCTION fixture.who(text) RETURNS uuid LANGUAGE sql STABLE AS 'SELECT id FROM fixture.people WHERE name = $1';
CREATE FUNCTION fixture.name_of(uuid) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM fixture.people WHERE id = $1';
CREATE FUNCTION fixture.quote_of(text) RETURNS uuid LANGUAGE sql STABLE AS 'SELECT quote FROM fixture.people WHERE name = $1';
CREATE FUNCTION fixture.other_quote_of(text) RETURNS uuid LANGUAGE sql STABLE AS
'SELECT other_quote FROM fixture.people WHERE name = $1';
CREATE FUNCTION fixture.trip_of(text) RETURNS uuid LANGUAGE sql STABLE AS
'SELECT id FROM hail.trips WHERE customer_id = fixture.who($1)';
CREATE FUNCTION fixture.add(name text, role text, place float8) RETURNS uuid LANGUAGE sql AS $$
    INSERT INTO fixture.people (name, id, place)
    SELECT name, (hail.register_user('+3519500' || to_char(nextval('fixture.phone'), 'FM00000'), name, role)).id, place
    RETURNING id
$$;

-- Drivers report again, for positions grow stale with the clock.
CREATE FUNCTION fixture.report() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.report_location(id, 0, place) FROM fixture.people WHERE place IS NOT NULL;
END $$;
CREATE FUNCTION fixture.later(by interval) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT hail.advance_clock(by);
    SELECT fixture.report();
    SELECT hail.clock();
$$;

CREATE FUNCTION fixture.open() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    driver record;
BEGIN
    PERFORM hail.set_clock('2013-11-20 10:00+00');
    PERFORM fixture.add('Ada', 'customer', NULL), fixture.add('Bea', 'customer', NULL);
    FOR driver IN SELECT n, 31 + i * 0.005 AS place FROM unnest(ARRAY['Dan', 'Eve', 'Flo']) WITH ORDINALITY d (n, i) LOOP
        PERFORM fixture.add(driver.n, 'driver', driver.place);
        PERFORM hail.register_driver(fixture.who(driver.n), 'fixture', ARRAY['economy']);
        PERFORM hail.approve_driver(fixture.who(driver.n));
        PERFORM hail.set_availability(fixture.who(driver.n), true, 0, driver.place);
    END LOOP;
    UPDATE fixture.people p SET quote = (hail.create_quote(p.id, 0, 31, 0, 31.05, 'economy')).id,
        other_quote = (hail.create_quote(p.id, 0, 31, 0, 31.05, 'economy')).id WHERE place IS NULL;
END $$;

CREATE FUNCTION fixture.request(customer text) RETURNS hail.trips LANGUAGE sql AS
$$ SELECT hail.request_trip(fixture.quote_of(customer), 'cash', 'first_accept', 'key') $$;

CREATE FUNCTION fixture.close() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.cancel_trip(t.id, 'admin') FROM hail.trips t JOIN fixture.people p ON p.id = t.customer_id
    WHERE t.state IN ('scheduled', 'searching', 'matched', 'arrived');
    PERFORM hail.set_availability(id, false) FROM fixture.people WHERE place IS NOT NULL;
    DELETE FROM fixture.people;
END $$;

CREATE FUNCTION fixture.trips() RETURNS TABLE (customer text, state text, driver text, round integer) LANGUAGE sql STABLE AS $$
    SELECT p.name, t.state, fixture.name_of(t.driver_id), t.round
    FROM hail.trips t JOIN fixture.people p ON p.id = t.customer_id ORDER BY 1
$$;
CREATE FUNCTION fixture.offers() RETURNS TABLE (customer text, driver text, round integer, status text) LANGUAGE sql STABLE AS $$
    SELECT p.name, fixture.name_of(o.driver_id), o.round, o.status
    FROM hail.offers o JOIN hail.trips t ON t.id = o.trip_id JOIN fixture.people p ON p.id = t.customer_id ORDER BY 1, 3, 2
$$;
CREATE FUNCTION fixture.drivers() RETURNS TABLE (driver text, status text, on_trip_of text, offered integer, accepted integer)
LANGUAGE sql STABLE AS $$
    SELECT p.name, d.status, (SELECT fixture.name_of(t.customer_id) FROM hail.trips t WHERE t.id = d.trip_id), d.offers_total,
           d.offers_accepted
    FROM hail.drivers d JOIN fixture.people p ON p.id = d.id ORDER BY 1
$$;

-- Other strategies: bids, scheduled trips.
CREATE FUNCTION fixture.request_as(customer text, strategy text, at timestamptz DEFAULT NULL) RETURNS hail.trips LANGUAGE sql AS
$$ SELECT hail.request_trip(fixture.quote_of(customer), 'cash', strategy, 'key', at) $$;
-- Prices as percent of the quoted one, which rises with demand.
CREATE FUNCTION fixture.percent(trip_id uuid, amount bigint) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT round(100.0 * amount / q.total)::bigint FROM hail.quotes q JOIN hail.trips t ON t.quote_id = q.id WHERE t.id = trip_id $$;
CREATE FUNCTION fixture.bid(customer text, driver text, percent integer) RETURNS hail.bids LANGUAGE sql AS $$
    SELECT hail.place_bid(t.id, fixture.who(driver), t.price * percent / 100) FROM hail.trips t WHERE t.id = fixture.trip_of(customer)
$$;
CREATE FUNCTION fixture.choose(customer text, driver text) RETURNS hail.trips LANGUAGE sql AS $$
    SELECT hail.choose_bid(fixture.trip_of(customer), (SELECT b.id FROM hail.bids b
        WHERE b.trip_id = fixture.trip_of(customer) AND b.driver_id = fixture.who(driver) ORDER BY b.id DESC LIMIT 1))
$$;
CREATE FUNCTION fixture.bids() RETURNS TABLE (customer text, driver text, percent bigint, status text) LANGUAGE sql STABLE AS $$
    SELECT p.name, fixture.name_of(b.driver_id), fixture.percent(t.id, b.amount), b.status
    FROM hail.bids b JOIN hail.trips t ON t.id = b.trip_id JOIN fixture.people p ON p.id = t.customer_id ORDER BY 1, 2, 3
$$;
CREATE FUNCTION fixture.event_types(customer text) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT string_agg(e.type, ' ' ORDER BY e.version) FROM hail.events e WHERE e.aggregate_id = fixture.trip_of(customer) $$;
-- Jobs: Kim drives a van and has offers of three jobs of 40 kg, asked for by Ada, far from where
-- the others are: their demand must not raise the others' prices.
SELECT hail.set_fare('fixture', 'van', 1000, 350, 50, 1500, 1500);
CREATE TABLE fixture.tasks (name text PRIMARY KEY, trip uuid);
CREATE FUNCTION fixture.job_of(text) RETURNS uuid LANGUAGE sql STABLE AS 'SELECT trip FROM fixture.tasks WHERE name = $1';
CREATE FUNCTION fixture.offer_kim(trip uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE hail.offers SET status = 'withdrawn' WHERE driver_id = fixture.who('Kim') AND trip_id = trip AND status = 'pending';
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
    SELECT trip, fixture.who('Kim'), 900 + (SELECT count(*) FROM hail.offers), min(s), 0, 1, 1, hail.clock(), hail.clock() + interval '1 hour'
    FROM generate_series(1, 10) s WHERE NOT EXISTS (SELECT FROM hail.offers o
        WHERE o.driver_id = fixture.who('Kim') AND o.status = 'pending' AND o.slot = s)
$$;
CREATE FUNCTION fixture.open_jobs(capacity integer, max_weight_kg real) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    stops jsonb := '[{"lat": 0.5, "lng": 31}, {"lat": 0.5, "lng": 31.05, "proof": "none"}]';
    task text;
BEGIN
    PERFORM fixture.add('Kim', 'driver', 31.001);
    PERFORM hail.register_driver(fixture.who('Kim'), 'fixture', ARRAY['van']), hail.approve_driver(fixture.who('Kim'));
    PERFORM hail.set_job_capacity(fixture.who('Kim'), capacity), hail.add_vehicle(fixture.who('Kim'), 'K 1', 'Van',
                                                                                  max_weight_kg => open_jobs.max_weight_kg);
    FOREACH task IN ARRAY ARRAY['one', 'two', 'three'] LOOP
        INSERT INTO fixture.tasks SELECT task, r.id FROM hail.request_porter_job(
            (hail.create_job_quote(fixture.who('Ada'), stops, 'van')).id, stops, 'cash', task, weight_kg => 40) r;
    END LOOP;
    PERFORM hail.set_availability(fixture.who('Kim'), true, 0.5, 31.001);
END $$;
CREATE FUNCTION fixture.accept(task text) RETURNS TABLE (state text, slot smallint, already boolean) LANGUAGE sql AS
$$ SELECT (trip).state, (trip).driver_slot, already_accepted FROM hail.accept_offer(fixture.job_of(task), fixture.who('Kim')) $$;
CREATE FUNCTION fixture.take(task text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fixture.offer_kim(fixture.job_of(task));
    PERFORM fixture.accept(task);
    PERFORM fixture.offer_kim(t.trip) FROM fixture.tasks t JOIN hail.trips h ON h.id = t.trip WHERE h.state = 'searching';
    RETURN task;
END $$;
CREATE FUNCTION fixture.start(task text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    trip uuid := fixture.job_of(task);
BEGIN
    PERFORM hail.arrive(trip);
    PERFORM hail.start_trip(trip, (SELECT pickup_code FROM hail.trips WHERE id = trip));
    PERFORM hail.arrive_at_stop(trip, 2), hail.finish_stop(trip, 2);
    RETURN task;
END $$;
CREATE FUNCTION fixture.jobs() RETURNS TABLE (job text, state text, driver text) LANGUAGE sql STABLE AS $$
    SELECT j.name, t.state, fixture.name_of(t.driver_id) FROM fixture.tasks j JOIN hail.trips t ON t.id = j.trip ORDER BY t.id
$$;
CREATE FUNCTION fixture.kim() RETURNS TABLE (trip text, jobs smallint, slots smallint[]) LANGUAGE sql STABLE AS $$
    SELECT (SELECT name FROM fixture.tasks WHERE tasks.trip = d.trip_id), d.active_jobs,
           ARRAY(SELECT t.driver_slot FROM hail.trips t WHERE t.driver_id = d.id AND t.state IN ('matched', 'arrived', 'started') ORDER BY 1)
    FROM hail.drivers d WHERE d.id = fixture.who('Kim')
$$;
CREATE FUNCTION fixture.close_jobs() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.complete_trip(trip) FROM fixture.tasks JOIN hail.trips t ON t.id = trip WHERE t.state = 'started';
    PERFORM hail.cancel_trip(trip, 'admin') FROM fixture.tasks JOIN hail.trips t ON t.id = trip WHERE t.state IN ('searching', 'matched', 'arrived');
    DELETE FROM fixture.tasks;
END $$;

-- Pairs: see specs/pairs_of_*.spec. A driver's way to the end of a trip, as far as `state`.
CREATE FUNCTION fixture.drive(customer text, driver text, state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    trip hail.trips;
BEGIN
    trip := (hail.accept_offer(fixture.trip_of(customer), fixture.who(driver))).trip;
    IF state IN ('arrived', 'started') THEN
        PERFORM hail.arrive(trip.id);
    END IF;
    IF state = 'started' THEN
        PERFORM hail.start_trip(trip.id, trip.pickup_code);
    END IF;
    RETURN state;
END $$;

-- An offer to a driver who is still on a trip, with a bid where the trip takes bids.
CREATE FUNCTION fixture.offer_ahead(customer text, driver text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    trip hail.trips;
    offer hail.offers;
    bid hail.bids;
BEGIN
    SELECT * INTO trip FROM hail.trips WHERE id = fixture.trip_of(customer);
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
    VALUES (trip.id, fixture.who(driver), trip.round, 1, 0.5, 500, 60, hail.clock(), hail.clock() + interval '15 seconds')
    RETURNING * INTO offer;
    IF trip.strategy = 'broadcast_bid' THEN
        INSERT INTO hail.bids (trip_id, driver_id, offer_id, amount, currency, pickup_distance_m, pickup_eta_s, created_at, expires_at)
        VALUES (trip.id, offer.driver_id, offer.id, trip.price, 'EUR', 500, 60, offer.created_at, offer.expires_at) RETURNING * INTO bid;
        UPDATE hail.offers SET bid_id = bid.id WHERE id = offer.id;
    END IF;
    RETURN offer.status;
END $$;

-- Everything that a pair may leave behind, a line each; what is broken must be empty.
CREATE FUNCTION fixture.story() RETURNS TABLE (what text, found text) LANGUAGE sql AS $$
    SELECT 'trips', string_agg(concat_ws(' ', t.customer || ':', t.state, t.driver), ', ' ORDER BY t.customer) FROM fixture.trips() t
    UNION ALL
    SELECT 'offers', string_agg(concat_ws(' ', o.customer || '''s to', o.driver, o.status), ', ' ORDER BY o.customer, o.round, o.driver)
    FROM fixture.offers() o
    UNION ALL
    SELECT 'drivers', string_agg(concat_ws(' ', p.name || ':', nullif(d.status, 'approved'), CASE WHEN d.online THEN 'online' ELSE 'offline' END,
               'on ' || (SELECT fixture.name_of(t.customer_id) FROM hail.trips t WHERE t.id = d.trip_id) || '''s'), ', ' ORDER BY p.name)
    FROM hail.drivers d JOIN fixture.people p ON p.id = d.id
    UNION ALL
    SELECT 'payments', count(*)::text
    FROM hail.ledger_transactions x JOIN hail.trips t ON t.id = x.reference_id JOIN fixture.people p ON p.id = t.customer_id
    UNION ALL
    SELECT 'broken', coalesce(string_agg(b.detail, '; '), '') FROM (
        SELECT c.detail FROM hail.check_dispatch() c WHERE c.status = 'fail'
        UNION ALL SELECT c.detail FROM hail.check_live() c WHERE c.status = 'fail'
        UNION ALL SELECT 'events of ' || g.aggregate_type || ' ' || g.aggregate_id FROM hail.event_gaps() g
        UNION ALL SELECT concat_ws(' ', r.check_name, r.subject) FROM hail.reconcile(hail.clock()::date) r) b
$$;

-- A shop that orders deliveries.
CREATE FUNCTION fixture.open_shop() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fixture.add('Shop', 'partner', NULL);
    PERFORM hail.create_partner(fixture.who('Shop'), 'shop-' || currval('fixture.phone'));
END $$;
CREATE FUNCTION fixture.order(id text, package text) RETURNS text LANGUAGE sql AS $$
    SELECT state FROM hail.create_partner_order(fixture.who('Shop'), id, 'van',
        '[{"lat": 0.5, "lng": 31}, {"lat": 0.5, "lng": 31.05}]', 'cash', package)
$$;
CREATE FUNCTION fixture.orders() RETURNS TABLE (order_id text, state text, package text) LANGUAGE sql STABLE AS $$
    SELECT t.partner_order, t.state, l.package FROM hail.trips t JOIN hail.trip_loads l ON l.trip_id = t.id
    WHERE t.partner_id = fixture.who('Shop') ORDER BY t.id
$$;

-- A driver on a ride has agreed to take another customer's searching trip next.
CREATE FUNCTION fixture.reserve(customer text, driver text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    INSERT INTO hail.offers (trip_id, driver_id, round, slot, forward, score, pickup_distance_m, pickup_eta_s, created_at, expires_at)
        VALUES (fixture.trip_of(customer), fixture.who(driver), 2, 1, true, 1, 1, 1, hail.clock(), hail.clock() + interval '15 seconds');
    SELECT (trip).state INTO state FROM hail.accept_offer(fixture.trip_of(customer), fixture.who(driver));
    UPDATE hail.offers SET expires_at = hail.clock() + interval '6 minutes' WHERE agreed_at IS NOT NULL AND status = 'pending';
    UPDATE hail.trips SET search_until = hail.clock() + interval '11 minutes', next_round_at = hail.clock() WHERE id = fixture.trip_of(customer);
    RETURN state;
END $$;

-- A gateway, a customer, and a deposit of 1000 that it asks for; 1110 a day at most.
CREATE FUNCTION fixture.open_gateway() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.set_clock('2013-11-20 10:00+00');
    PERFORM fixture.add('Payer', 'customer', NULL);
    PERFORM hail.create_gateway('gw-' || right(fixture.who('Payer')::text, 12), 'standard_webhooks', '{SEK}',
                                secret => 'whsec_' || encode('a secret of thirty-two bytes, gw', 'base64'));
    PERFORM hail.set_deposit_limit('SEK', 1, 1000, 1110);
    PERFORM fixture.ask(1000, 'deposit');
END $$;
CREATE FUNCTION fixture.gateway() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'gw-' || right(fixture.who('Payer')::text, 12) $$;
CREATE FUNCTION fixture.ask(amount bigint, key text) RETURNS text LANGUAGE sql AS
$$ SELECT (d.intent).state FROM hail.begin_deposit(fixture.who('Payer'), amount, 'SEK', fixture.gateway(), key || fixture.gateway()) d $$;
CREATE FUNCTION fixture.payment() RETURNS uuid LANGUAGE sql STABLE AS
$$ SELECT id FROM hail.payment_intents WHERE user_id = fixture.who('Payer') AND amount = 1000 $$;
CREATE FUNCTION fixture.tell(id text, type text, fee bigint DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.outcome, CASE WHEN r.replayed THEN 'again' END)
    FROM jsonb_build_object('type', type, 'data', jsonb_build_object('intentId', fixture.payment(), 'amount', 1000, 'currency', 'SEK', 'fee', fee)) b,
         text(extract(epoch FROM hail.clock())::bigint) t,
         hail.receive_gateway_event(fixture.gateway(), jsonb_build_object('webhook-id', id, 'webhook-timestamp', t,
             'webhook-signature', hail.webhook_signature('a secret of thirty-two bytes, gw', id, t, b::text)), b::text) r $$;
CREATE FUNCTION fixture.refund(amount bigint, key text) RETURNS text LANGUAGE sql AS
$$ SELECT (r.refund).state FROM hail.refund_deposit(fixture.payment(), amount, 'asked', key || fixture.gateway()) r $$;
CREATE FUNCTION fixture.spend(amount bigint) RETURNS text LANGUAGE sql AS $$
    SELECT (hail.hold(i.wallet_id, spend.amount, 'spend ' || spend.amount || i.id)).status FROM hail.payment_intents i WHERE i.id = fixture.payment() $$;
CREATE FUNCTION fixture.money() RETURNS TABLE (state text, asked bigint, refunding bigint, refunded bigint, disputed bigint, posted bigint, held bigint, transactions bigint, events text)
LANGUAGE sql AS $$
    SELECT i.state, (SELECT count(*) FROM hail.payment_intents o WHERE o.user_id = i.user_id), i.refunding, i.refunded, i.disputed, a.posted, a.held,
           (SELECT count(DISTINCT e.transaction_id) FROM hail.ledger_entries e WHERE e.account_id = a.id),
           (SELECT string_agg(concat_ws(' ', e.event_id, e.outcome, CASE WHEN e.conflicts > 0 THEN 'conflict' END), ', ' ORDER BY e.event_id) FROM hail.gateway_events e WHERE e.gateway = i.gateway)
    FROM hail.payment_intents i JOIN hail.accounts a ON a.id = i.wallet_id WHERE i.id = fixture.payment() $$;
CREATE FUNCTION fixture.close_gateway() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.retire_gateway_secret(fixture.gateway(), s.secret_id) FROM hail.list_gateway_secrets(fixture.gateway()) s;
    PERFORM hail.set_gateway_enabled(fixture.gateway(), false);
    DELETE FROM fixture.people WHERE name = 'Payer';
    PERFORM hail.set_clock('2013-11-20 10:00+00');
END $$;
