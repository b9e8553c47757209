-- The world of the money storm, made by a superuser in an empty database with pg_hail, and what is asked of it.
CREATE SCHEMA money;
GRANT USAGE ON SCHEMA money TO PUBLIC;

-- Wallets of two currencies, every fourth a driver's; system accounts; one wallet closed; for each client a customer and a
-- driver who ride, each pair at a place of its own.
CREATE TABLE money.accounts (currency integer, n integer, is_system boolean, id uuid);
CREATE TABLE money.riders (client integer, rider uuid, driver uuid, lng float8);
CREATE FUNCTION money.make(wallets integer, clients integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    currencies text[] := '{EUR,USD}';
    place text;
    admin uuid;
BEGIN
    INSERT INTO hail.users (name, role) VALUES ('Money storm', 'admin') RETURNING id INTO admin;
    FOR c IN 1..2 LOOP
        INSERT INTO money.accounts SELECT c - 1, k.n - 1, true, (hail.open_account(k.kind, NULL, currencies[c])).id
        FROM unnest(ARRAY['GATEWAY_CLEARING', 'PLATFORM_REVENUE', 'CASH_CLEARING', 'PROMOTIONS']) WITH ORDINALITY k (kind, n);
        INSERT INTO money.accounts SELECT c - 1, u.n, false, (hail.open_account(upper(u.role) || '_WALLET', u.id, currencies[c])).id
        FROM (SELECT n, (hail.register_user(NULL, 'Owner ' || n, CASE WHEN n % 4 = 3 THEN 'driver' ELSE 'customer' END)).*
              FROM generate_series(0, wallets) n) AS u;
    END LOOP;
    PERFORM hail.post_transaction('deposit', ARRAY[ROW(s.id, 'debit', 20000), ROW(w.id, 'credit', 20000)]::hail.entry_input[], 'fund ' || w.id)
    FROM money.accounts w JOIN money.accounts s USING (currency) WHERE NOT w.is_system AND w.n < wallets AND s.is_system AND s.n = 0;
    UPDATE hail.accounts SET closed_at = hail.clock() WHERE id = (SELECT id FROM money.accounts WHERE NOT is_system AND n = wallets AND currency = 0);
    -- Riders.
    PERFORM hail.create_region('money', 'Money', 'EUR', 'UTC', public.ST_MakeEnvelope(-41, -1, -20, 1, 4326));
    UPDATE hail.regions SET cooldown = '0', surge_cap = 1;
    -- A no-show costs at once.
    PERFORM hail.set_fare('money', 'economy', 1000, 350, 50, 1500, 1500, cancellation_fee => 333, waiting_free_s => 0);
    INSERT INTO money.riders SELECT c - 1, (hail.register_user(NULL, 'Rider ' || c, 'customer')).id,
        (hail.register_user(NULL, 'Driver ' || c, 'driver')).id, -40 + c * 0.5 FROM generate_series(1, clients) c;
    PERFORM hail.register_driver(driver, 'money', '{economy}'), hail.approve_driver(driver), hail.set_availability(driver, true, 0, lng) FROM money.riders;
    PERFORM hail.post_transaction('deposit', ARRAY[ROW(s.id, 'debit', 1000000000), ROW((hail.open_account('CUSTOMER_WALLET', r.rider, 'EUR')).id, 'credit', 1000000000)]::hail.entry_input[],
        'fund ' || r.rider) FROM money.riders r, money.accounts s WHERE s.is_system AND s.n = 0 AND s.currency = 0;
    PERFORM hail.post_transaction('deposit', ARRAY[ROW(s.id, 'debit', 3000000), ROW((hail.open_account('DRIVER_WALLET', r.driver, 'EUR')).id, 'credit', 3000000)]::hail.entry_input[],
        'fund ' || r.driver) FROM money.riders r, money.accounts s WHERE s.is_system AND s.n = 0 AND s.currency = 0;
    PERFORM hail.create_gateway('storm', 'standard_webhooks', '{EUR}', secret => 'whsec_' || encode('a secret of the storm, 32 bytes..', 'base64'));
    PERFORM hail.create_promotion('STORM20', 'EUR', percent_bp => 2000, maximum => 300, per_customer => 1000000),
            hail.create_promotion('STORM-LAST', 'EUR', fixed => 50, per_customer => 3, total => 30),
            hail.create_promotion('STORM-BUDGET', 'EUR', fixed => 70, per_customer => 1000000, budget => 5000);
    PERFORM hail.set_withdrawal_rules('EUR', fee => 3, review_above => 100);
    RETURN hail.issue_token(admin, '30 days');
END
$$;

-- A trip from its quote to its start, every fourth only to its match, another only to the pickup, in one transaction; the same key again is the same trip.
CREATE FUNCTION money.ride(customer uuid, key text, driver uuid, method text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    trip uuid := (SELECT id FROM hail.trips t WHERE t.customer_id = customer AND t.idempotency_key = key);
    place float8 := (SELECT r.lng FROM money.riders r WHERE r.rider = customer);
BEGIN
    IF trip IS NULL THEN
        PERFORM hail.report_location(driver, 0, place);
        trip := (hail.request_trip((hail.create_quote(customer, 0.0005, place, 0.05, place + 0.01, 'economy')).id, method, idempotency_key => key)).id;
        PERFORM hail.accept_offer(trip, driver);
        IF hashtext(key) % 4 <> 0 THEN
            PERFORM hail.arrive(trip);
        END IF;
        IF hashtext(key) % 4 NOT IN (0, 1) THEN
            PERFORM hail.start_trip(trip, t.pickup_code) FROM hail.trips t WHERE t.id = trip;
        END IF;
    END IF;
    RETURN trip;
END
$$;
GRANT SELECT ON money.riders TO hail_admin;

-- By the administrator, in the customer's name, or by the driver who has waited in vain; a driver who has not arrived only gives it back,
-- which is the administrator's here. Again, after a lost answer: the trip.
CREATE FUNCTION money.cancel(trip uuid, actor text, reason text) RETURNS uuid LANGUAGE sql AS $$
    SELECT CASE t.state WHEN 'cancelled' THEN t.id ELSE
        (hail.cancel_trip(t.id, CASE WHEN actor = 'driver' AND t.state <> 'arrived' THEN 'admin' ELSE actor END,
                          CASE actor WHEN 'driver' THEN 'no_show' ELSE reason END)).id END
    FROM hail.trips t WHERE t.id = trip
$$;
CREATE FUNCTION money.promote(trip uuid, code text) RETURNS uuid LANGUAGE sql AS $$
    SELECT CASE code WHEN 'NONE' THEN (hail.remove_promotion(trip)).id ELSE (hail.apply_promotion(trip, code)).id END
$$;

-- Several postings at once, under keys KEY/1, KEY/2, ...: which of them were done, as the bits of a number.
CREATE FUNCTION money.batch(requests text, key text, apart boolean) RETURNS uuid LANGUAGE sql AS $$
    SELECT lpad(to_hex(coalesce(bit_or(1 << (p.item - 1)) FILTER (WHERE p.error IS NULL), 0)), 32, '0')::uuid
    FROM (SELECT array_agg(r.n::integer ORDER BY r.n, l.leg) AS items, array_agg(l.account_id ORDER BY r.n, l.leg) AS accounts,
                 array_agg(CASE l.direction WHEN 'credit' THEN l.amount ELSE - l.amount END ORDER BY r.n, l.leg) AS amounts, max(r.n) AS number
          FROM string_to_table(requests, ';') WITH ORDINALITY AS r (legs, n), unnest(r.legs::hail.entry_input[]) WITH ORDINALITY AS l (account_id, direction, amount, leg)) b,
         hail.post_transactions(ARRAY(SELECT key || '/' || n FROM generate_series(1, b.number) n), '{storm}', b.items, b.accounts, b.amounts, apart => apart) p
$$;

-- What the gateway says of an intent (payment.*) or a refund (refund.*), or of the last one of a trip, signed; the same event has the
-- same id and content each time. signer: true, or somebody who does not know the secret. The intent or refund; NULL: the trip has none.
CREATE FUNCTION money.tell(subject uuid, type text, signer text) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    the_id uuid := coalesce(
        CASE WHEN type LIKE 'refund.%' THEN (SELECT r.id FROM hail.payment_refunds r JOIN hail.payment_intents i ON i.id = r.intent_id
                                             WHERE i.trip_id = subject ORDER BY r.id DESC LIMIT 1)
             ELSE (SELECT i.id FROM hail.payment_intents i WHERE i.trip_id = subject ORDER BY i.id DESC LIMIT 1) END, subject);
    event text := replace(type, '.', '-') || '-' || the_id;
    at text := extract(epoch FROM hail.clock())::bigint::text;
    data jsonb := CASE WHEN type LIKE 'refund.%' THEN
            (SELECT jsonb_build_object('refundId', r.id, 'reference', 'R ' || r.id, 'amount', r.amount, 'currency', i.currency)
             FROM hail.payment_refunds r JOIN hail.payment_intents i ON i.id = r.intent_id WHERE r.id = the_id)
        ELSE (SELECT jsonb_build_object('intentId', i.id, 'reference', 'P ' || i.id, 'amount', i.amount, 'currency', i.currency, 'fee', 1)
              FROM hail.payment_intents i WHERE i.id = the_id) END;
    -- ids begin with their time, milliseconds since 1970
    made timestamptz := to_timestamp(('x' || translate(left(the_id::text, 13), '-', ''))::bit(48)::bigint / 1000);
    body text := jsonb_build_object('type', type, 'timestamp', to_char(made AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'data', data);
BEGIN
    IF data IS NULL AND signer = 'true' THEN
        RETURN NULL;
    END IF;
    PERFORM hail.receive_gateway_event('storm', jsonb_build_object('webhook-id', event, 'webhook-timestamp', at, 'webhook-signature',
        hail.webhook_signature(CASE signer WHEN 'true' THEN 'a secret of the storm, 32 bytes..' ELSE 'a guess at the secret, 32 bytes..' END::bytea, event, at,
                               coalesce(body, '{}'))), coalesce(body, '{}'));
    RETURN the_id;
END
$$;

-- What holds at any moment, in one snapshot.
CREATE FUNCTION money.audit() RETURNS TABLE (rule text, subject text) LANGUAGE sql STABLE AS $$
    SELECT 'all accounts of a currency sum to zero', concat_ws(' ', a.currency, sum(hail.exact_posted(a)))
    FROM hail.accounts a GROUP BY a.currency HAVING sum(hail.exact_posted(a)) <> 0
    UNION ALL
    SELECT 'no wallet is below its floor', concat_ws(' ', a.id, a.posted, a.held, a.floor) FROM hail.accounts a WHERE a.posted - a.held < a.floor
    UNION ALL
    SELECT 'what is held is the sum of the open holds', a.id::text
    FROM hail.accounts a LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM hail.holds WHERE status = 'held' GROUP BY 1) h ON h.account_id = a.id
    WHERE a.held <> coalesce(h.amount, 0)
$$;

-- What clients have written down: COPY of their journals.
CREATE UNLOGGED TABLE money.journal (
    client integer, verb text, key text, outcome text, result uuid, code text, subject text, key_again text,
    n bigint GENERATED ALWAYS AS IDENTITY);

-- Journals against tables. A key that anybody was told is done is there once, as that result; one that was only refused is
-- not there; nothing is there that nobody asked for.
CREATE FUNCTION money.judge() RETURNS TABLE (problem text, subject text) LANGUAGE sql AS $$
    WITH keys AS (
        SELECT verb, key, array_agg(DISTINCT result) FILTER (WHERE outcome = 'done') AS results, bool_or(outcome = 'done') AS done,
               count(*) FILTER (WHERE outcome = 'sent') > count(*) FILTER (WHERE outcome IN ('done', 'refused', 'mismatch')) OR bool_or(outcome = 'lost') AS open,
               min(subject) FILTER (WHERE outcome = 'done') AS request, min(subject) AS asked
        FROM money.journal WHERE key IS NOT NULL GROUP BY verb, key
    ), there AS (
        SELECT t.idempotency_key AS key, t.kind, t.id, t.reverses, t.reference_id FROM hail.ledger_transactions t WHERE t.principal LIKE 'user:%'
        UNION ALL
        SELECT h.idempotency_key, 'hold', h.id, NULL, h.account_id FROM hail.holds h WHERE h.principal LIKE 'user:%'
    ), posted AS (
        SELECT k.*, t.id, t.kind, t.reverses, t.reference_id FROM keys k LEFT JOIN there t USING (key) WHERE k.verb IN ('post', 'hold', 'capture', 'reverse')
    ), items AS ( -- of batches
        SELECT t.key, array_agg(format('%s %s %s', e.account_id, e.direction, e.amount) ORDER BY e.account_id) AS legs
        FROM there t JOIN hail.ledger_entries e ON e.transaction_id = t.id WHERE t.key LIKE '%/%' GROUP BY t.key
    )
    SELECT 'one key was answered with different results', key FROM keys WHERE cardinality(results) > 1
    UNION ALL
    SELECT 'acknowledged and not there: ' || verb, key FROM posted WHERE done AND id IS NULL
    UNION ALL
    SELECT 'not what was acknowledged: ' || verb, key FROM posted WHERE done AND id <> ALL (results)
    UNION ALL
    SELECT 'there twice', key FROM there GROUP BY key HAVING count(*) > 1
    UNION ALL
    SELECT 'refused and there: ' || verb, key FROM posted WHERE NOT done AND NOT open AND id IS NOT NULL
    UNION ALL
    SELECT 'nobody asked for it', concat_ws(' ', t.kind, t.key) FROM there t LEFT JOIN keys k ON k.key = split_part(t.key, '/', 1) WHERE k.key IS NULL
    UNION ALL
    SELECT 'undone and there', t.idempotency_key FROM hail.ledger_transactions t WHERE t.kind = 'undone' OR t.idempotency_key LIKE 'undone%'
    UNION ALL
    SELECT 'other entries than were asked for', p.key
    FROM posted p, LATERAL (SELECT array_agg(format('%s %s %s', l.account_id, l.direction, l.amount) ORDER BY l.account_id) AS legs
                            FROM unnest(p.request::hail.entry_input[]) l) asked,
         LATERAL (SELECT array_agg(format('%s %s %s', e.account_id, e.direction, e.amount) ORDER BY e.account_id) AS legs
                  FROM hail.ledger_entries e WHERE e.transaction_id = p.id) found
    WHERE p.verb = 'post' AND p.done AND asked.legs IS DISTINCT FROM found.legs
    UNION ALL
    SELECT 'of a batch other postings are there than was said, or others than were asked for', concat_ws(' ', k.key, r.n)
    FROM keys k CROSS JOIN string_to_table(k.asked, ';') WITH ORDINALITY AS r (legs, n) LEFT JOIN items found ON found.key = k.key || '/' || r.n,
        LATERAL (SELECT array_agg(format('%s %s %s', l.account_id, l.direction, l.amount) ORDER BY l.account_id) AS legs FROM unnest(r.legs::hail.entry_input[]) l) asked
    WHERE k.verb = 'batch' AND CASE WHEN k.done THEN CASE WHEN ('x' || right(k.results[1]::text, 8))::bit(32)::bigint >> (r.n - 1)::integer & 1 = 1 THEN asked.legs END
                                    WHEN k.open THEN found.legs END IS DISTINCT FROM found.legs
    UNION ALL
    SELECT 'another hold than was asked for', key FROM posted WHERE verb = 'hold' AND done AND reference_id <> request::uuid
    UNION ALL
    SELECT 'another reversal than was asked for', key FROM posted WHERE verb = 'reverse' AND done AND reverses <> request::uuid
    UNION ALL
    SELECT 'another capture than was asked for', p.key FROM posted p JOIN hail.holds h ON h.id = p.request::uuid
    WHERE p.verb = 'capture' AND p.done AND (p.reference_id <> h.id OR h.status <> 'captured')
    UNION ALL
    SELECT 'released and not so', j.subject FROM money.journal j LEFT JOIN hail.holds h ON h.id = j.result
    WHERE j.verb = 'release' AND j.outcome = 'done' AND (h.status IN ('released', 'expired')) IS NOT TRUE
    UNION ALL
    SELECT 'a trip is not where it was taken: ' || j.verb, j.result::text FROM money.journal j LEFT JOIN hail.trips t ON t.id = j.result
    WHERE j.outcome = 'done' AND (j.verb = 'ride' AND t.id IS NULL OR j.verb = 'complete' AND t.state IS DISTINCT FROM 'completed'
        OR j.verb = 'cancel' AND t.state IS DISTINCT FROM 'cancelled')
    UNION ALL
    SELECT 'a withdrawal is not where it was taken: ' || j.verb, j.result::text FROM money.journal j LEFT JOIN hail.withdrawals w ON w.id = j.result
    WHERE j.outcome = 'done' AND (j.verb = 'withdraw' AND (w.idempotency_key = j.key) IS NOT TRUE
        OR j.verb = 'approve' AND (w.state IN ('approved', 'settled', 'failed', 'returned')) IS NOT TRUE OR j.verb = 'reject' AND w.state IS DISTINCT FROM 'rejected'
        OR j.verb = 'settle' AND (w.state IN ('settled', 'returned')) IS NOT TRUE OR j.verb = 'fail' AND w.state IS DISTINCT FROM 'failed'
        OR j.verb = 'return' AND w.state IS DISTINCT FROM 'returned')
    UNION ALL
    SELECT 'refused and there: withdraw', k.key FROM keys k JOIN hail.withdrawals w ON w.idempotency_key = k.key WHERE k.verb = 'withdraw' AND NOT k.done AND NOT k.open
    UNION ALL
    SELECT 'a withdrawal has other transactions than its state says', concat_ws(' ', w.id, w.state, x.kinds)
    FROM hail.withdrawals w LEFT JOIN (SELECT reference_id, string_agg(kind, ' ' ORDER BY kind) AS kinds FROM hail.ledger_transactions
                                       WHERE reference_type = 'withdrawal' GROUP BY 1) x ON x.reference_id = w.id
    WHERE coalesce(x.kinds, '') <> CASE w.state WHEN 'approved' THEN 'withdrawal_approved' WHEN 'settled' THEN 'withdrawal_approved withdrawal_settled'
        WHEN 'failed' THEN 'withdrawal_approved withdrawal_failed' WHEN 'returned' THEN 'withdrawal_approved withdrawal_returned withdrawal_settled' ELSE '' END
    UNION ALL
    SELECT 'a withdrawal holds what its state does not say', concat_ws(' ', w.id, w.state, h.status)
    FROM hail.withdrawals w LEFT JOIN hail.holds h ON h.id = w.hold_id
    WHERE (h.status, h.captured) IS DISTINCT FROM CASE w.state WHEN 'requested' THEN ROW('held'::hail.hold_status, 0::bigint)
        WHEN 'rejected' THEN ROW('released'::hail.hold_status, 0::bigint) ELSE ROW('captured'::hail.hold_status, w.amount + w.fee) END
    UNION ALL
    SELECT 'a deposit is not where it was taken: ' || j.verb, coalesce(j.key, j.result::text)
    FROM money.journal j LEFT JOIN hail.payment_intents i ON i.id = j.result
    WHERE j.outcome = 'done' AND (j.verb = 'deposit' AND i.id IS NULL OR j.verb = 'tell' AND j.key_again LIKE 'payment.%' AND j.result IS NOT NULL AND (i.state <> 'created') IS NOT TRUE)
    UNION ALL
    SELECT 'a deposit was not posted once, or without being paid', concat_ws(' ', i.id, i.state, x.n)
    FROM hail.payment_intents i LEFT JOIN (SELECT idempotency_key, count(*) AS n FROM hail.ledger_transactions
                                           WHERE principal = 'system' GROUP BY 1) x ON x.idempotency_key = 'deposit:' || i.id
    WHERE i.purpose = 'deposit' AND (i.state IN ('succeeded', 'refunding', 'partly_refunded', 'refunded'))::integer <> coalesce(x.n, 0)
    UNION ALL
    SELECT 'events are not gapless', concat_ws(' ', g.aggregate_type, g.aggregate_id) FROM hail.event_gaps() g
    UNION ALL
    SELECT 'a completed trip was not paid once, or without being paid', concat_ws(' ', t.id, t.payment_state, p.n) FROM hail.trips t
    LEFT JOIN (SELECT reference_id, count(*) AS n FROM hail.ledger_transactions
               WHERE kind IN ('trip_fare_wallet', 'trip_fare_card', 'trip_commission_cash') AND reference_type = 'trip' GROUP BY 1) p ON p.reference_id = t.id
    WHERE t.state = 'completed' AND t.price > 0 AND coalesce(p.n, 0) <> (t.payment_state NOT IN ('pending', 'payment_failed'))::integer
$$;

-- Tolls, tips, refunds, repeated payments and promotions: journals and rows against what the ledger has of each trip.
CREATE FUNCTION money.judge_trips() RETURNS TABLE (problem text, subject text) LANGUAGE sql AS $$
    WITH keys AS (
        SELECT verb, key, bool_or(outcome = 'done') AS done,
               count(*) FILTER (WHERE outcome = 'sent') > count(*) FILTER (WHERE outcome IN ('done', 'refused', 'mismatch')) OR bool_or(outcome = 'lost') AS open,
               min(subject) AS trip, min(key_again) FILTER (WHERE outcome = 'done') AS amount
        FROM money.journal WHERE verb IN ('toll', 'tip', 'trip_refund', 'retry') GROUP BY verb, key
    ), there AS (
        SELECT CASE a.kind WHEN 'refund' THEN 'trip_refund' ELSE a.kind END AS verb, a.idempotency_key AS key, a.trip_id, a.asked, a.detail FROM hail.trip_adjustments a
    ), adjusted AS (
        SELECT a.trip_id, sum(a.amount) FILTER (WHERE a.kind = 'toll') AS tolls, sum(a.amount) FILTER (WHERE a.kind = 'tip') AS tips,
               sum(a.amount) FILTER (WHERE a.kind = 'refund') AS refunds, sum(a.amount) FILTER (WHERE a.kind = 'refund' AND a.detail = 'shared') AS shared,
               sum(a.amount) FILTER (WHERE a.kind = 'refund' AND a.detail = 'platform') AS by_platform
        FROM hail.trip_adjustments a GROUP BY a.trip_id
    ), moved AS ( -- by each trip, out of each kind of account (negative: into it)
        SELECT t.reference_id AS trip_id,
               coalesce(sum(m.amount) FILTER (WHERE a.kind IN ('CUSTOMER_WALLET', 'GATEWAY_CLEARING')), 0) AS customer,
               coalesce(sum(m.amount) FILTER (WHERE a.kind = 'PLATFORM_REVENUE'), 0) AS revenue,
               coalesce(sum(m.amount) FILTER (WHERE a.kind = 'PROMOTIONS'), 0) AS promotions,
               coalesce(sum(m.amount) FILTER (WHERE a.kind = 'GATEWAY_CLEARING' AND t.kind NOT LIKE 'trip\_refund\_%'), 0) AS charged,
               coalesce(sum(m.amount) FILTER (WHERE a.kind = 'DRIVER_WALLET' AND t.kind = 'trip_tip'), 0) AS tips
        FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id JOIN hail.accounts a ON a.id = e.account_id,
             LATERAL (SELECT CASE e.direction WHEN 'debit' THEN e.amount ELSE - e.amount END AS amount) m
        WHERE t.reference_type = 'trip' AND t.principal = 'system' GROUP BY t.reference_id
    ), trips AS (
        SELECT p.*, coalesce(a.tolls, 0) AS tolls_asked, coalesce(a.tips, 0) AS tips_asked, coalesce(a.refunds, 0) AS refunds_asked,
               coalesce(a.shared, 0) AS refunds_shared, coalesce(a.by_platform, 0) AS by_platform,
               coalesce(m.customer, 0) AS from_customer, coalesce(m.revenue, 0) AS from_revenue, coalesce(m.promotions, 0) AS from_promotions,
               coalesce(m.tips, 0) AS tips_posted, p.state NOT IN ('pending', 'payment_failed') AS is_paid
        FROM hail.trip_payments p LEFT JOIN adjusted a USING (trip_id) LEFT JOIN moved m USING (trip_id)
    )
    SELECT 'acknowledged and not there, or another than was asked for: ' || k.verb, k.key FROM keys k LEFT JOIN there a USING (verb, key)
    WHERE k.done AND (a.trip_id IS NULL OR a.trip_id::text <> k.trip OR CASE k.verb WHEN 'retry' THEN a.detail ELSE a.asked::text END IS DISTINCT FROM k.amount)
    UNION ALL
    SELECT 'refused and there: ' || k.verb, k.key FROM keys k JOIN there a USING (verb, key) WHERE NOT k.done AND NOT k.open
    UNION ALL
    SELECT 'there twice, or nobody asked for it: ' || a.verb, a.key FROM there a LEFT JOIN keys k USING (verb, key)
    GROUP BY a.verb, a.key HAVING count(*) > 1 OR count(k.key) = 0
    UNION ALL
    SELECT 'a trip has other tolls than were added', t.id::text FROM hail.trips t LEFT JOIN adjusted a ON a.trip_id = t.id WHERE t.tolls <> coalesce(a.tolls, 0)
    UNION ALL
    SELECT 'tips of a trip are not what was given, or posted', t.trip_id::text FROM trips t WHERE (t.tip, - t.tips_posted) IS DISTINCT FROM (t.tips_asked, t.tips_asked)
    UNION ALL
    SELECT 'refunds of a trip are not what was decided, or above what was paid', t.trip_id::text FROM trips t
    WHERE (t.refunded, t.refunded_shared) IS DISTINCT FROM (t.refunds_asked, t.refunds_shared) OR t.refunded > t.paid
    UNION ALL
    SELECT 'the state of a payment is not what has been paid and given back', concat_ws(' ', t.trip_id, t.state, t.paid, t.refunded, r.payment_state)
    FROM trips t JOIN hail.trips r ON r.id = t.trip_id
    WHERE r.payment_state <> t.state OR (t.is_paid AND t.paid <> t.due)
       OR t.is_paid AND t.state <> CASE WHEN t.refunded = 0 THEN 'paid' WHEN t.refunded = t.paid THEN 'refunded' ELSE 'partly_refunded' END
    UNION ALL
    SELECT 'customer and card have moved by something else than what was paid, tipped and refunded', concat_ws(' ', t.trip_id, t.purpose, t.method, t.state, t.from_customer)
    FROM trips t WHERE t.from_customer <> CASE WHEN t.method = 'cash' AND t.purpose = 'fare' THEN 0 ELSE t.paid END + t.tip - t.refunded
    UNION ALL
    SELECT 'promotions have moved by something else than what they paid and got back', concat_ws(' ', t.trip_id, t.state, t.from_promotions)
    FROM trips t WHERE t.from_promotions <> CASE WHEN t.is_paid THEN t.promotion ELSE 0 END - t.promotion_back
    UNION ALL
    SELECT 'the platform has something else than its commission, less what it gave back', concat_ws(' ', t.trip_id, t.state, t.from_revenue)
    FROM trips t WHERE t.purpose = 'fare' AND - t.from_revenue <> CASE WHEN t.is_paid THEN t.commission ELSE 0 END - t.commission_back - t.by_platform
    UNION ALL
    SELECT 'a whole refund in shares has not given back all of the shares', t.trip_id::text
    FROM trips t WHERE t.refunded_shared = t.due AND t.due > 0 AND (t.commission_back, t.promotion_back) IS DISTINCT FROM (t.commission, t.promotion)
    UNION ALL
    SELECT 'the gateway has charged something else than is posted', concat_ws(' ', coalesce(m.trip_id, i.trip_id), m.charged, i.amount)
    FROM moved m FULL JOIN (SELECT i.trip_id, sum(i.amount) AS amount FROM hail.payment_intents i
                            WHERE i.purpose = 'trip_charge' AND i.succeeded_at IS NOT NULL GROUP BY 1) i USING (trip_id)
    WHERE coalesce(m.charged, 0) <> coalesce(i.amount, 0)
    UNION ALL
    SELECT 'money has moved for a trip that has no payment', m.trip_id::text FROM moved m LEFT JOIN hail.trip_payments p USING (trip_id) WHERE p.trip_id IS NULL
    UNION ALL
    SELECT 'a promotion has other uses than trips have it, or more than its limits', p.code
    FROM hail.promotions p LEFT JOIN (SELECT u.promotion_id, count(*) AS uses, sum(u.amount) AS spent FROM hail.promotion_uses u
                                      JOIN hail.trips t ON t.id = u.trip_id AND t.promotion_amount = u.amount AND t.state <> 'cancelled' GROUP BY 1) u ON u.promotion_id = p.id
    WHERE (p.uses, p.spent) IS DISTINCT FROM (coalesce(u.uses, 0)::integer, coalesce(u.spent, 0)::bigint) OR p.uses > p.total OR p.spent > p.budget
$$;

-- Folding changes no exact balance, and counts nothing twice.
CREATE TABLE money.balances (id uuid PRIMARY KEY, posted bigint, held bigint);
CREATE FUNCTION money.note_balances() RETURNS void LANGUAGE sql AS $$
    INSERT INTO money.balances SELECT a.id, hail.exact_posted(a), a.held FROM hail.accounts a
$$;
CREATE FUNCTION money.moved_balances() RETURNS TABLE (problem text, subject text) LANGUAGE sql AS $$
    SELECT 'folding has moved a balance', concat_ws(' ', a.kind, a.currency, a.id, b.posted, hail.exact_posted(a))
    FROM hail.accounts a LEFT JOIN money.balances b USING (id) WHERE b.posted IS DISTINCT FROM hail.exact_posted(a)
    UNION ALL
    SELECT 'folding has not come to its end', concat_ws(' ', a.kind, a.currency, a.posted, b.posted)
    FROM hail.accounts a JOIN money.balances b USING (id) WHERE a.is_system AND a.posted <> b.posted
$$;

-- A gateway that says now this, now that of one payment is refused and must be looked at: the storm has looked.
CREATE FUNCTION money.look_at_events() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM (SELECT hail.resolve_gateway_event(e.gateway, e.event_id, 'the storm') FROM hail.gateway_events e WHERE e.outcome = 'refused') r
$$;
CREATE FUNCTION money.reconcile() RETURNS TABLE (problem text, subject text) LANGUAGE sql AS $$
    SELECT r.check_name, concat_ws(' ', r.subject, r.expected, r.actual) FROM hail.reconcile_all() r
    UNION ALL
    SELECT 'gateways', g::text FROM hail.reconcile_gateways(hail.clock()::date) g
    UNION ALL
    SELECT r.check_name, concat_ws(' ', r.subject, r.expected, r.actual)
    FROM generate_series((SELECT min(created_at) FROM hail.ledger_transactions)::date, hail.clock()::date, interval '1 day') AS day, hail.reconcile(day::date) r
$$;

-- The clock goes to the morning after, and the days are closed: their totals are the balances, by kind.
CREATE FUNCTION money.close_days() RETURNS TABLE (problem text, subject text) LANGUAGE plpgsql AS $$
DECLARE
    last date := hail.clock()::date;
BEGIN
    PERFORM hail.set_clock(last + interval '1 day 1 hour', 1);
    PERFORM hail.close_day(d.day) FROM (SELECT DISTINCT e.created_at::date AS day FROM hail.ledger_entries e ORDER BY 1) d;
    RETURN QUERY
        SELECT 'the close of the last day has other balances', concat_ws(' ', c.currency, c.kind, c.closing, b.posted)
        FROM (SELECT * FROM hail.ledger_close_totals l WHERE l.day = last) c
        FULL JOIN (SELECT a.currency::text, a.kind, sum(hail.exact_posted(a)) AS posted FROM hail.accounts a GROUP BY 1, 2) b USING (currency, kind)
        WHERE coalesce(c.closing, 0) <> b.posted OR c.closing <> 0 AND b.posted IS NULL
        UNION ALL
        SELECT 'the closed days do not sum to zero', concat_ws(' ', l.day, l.currency, sum(l.closing)) FROM hail.ledger_close_totals l
        GROUP BY l.day, l.currency HAVING sum(l.closing) <> 0 OR sum(l.debits) <> sum(l.credits)
        UNION ALL
        SELECT 'the chain of hashes is broken', v::text FROM hail.verify_chains() v
        UNION ALL
        SELECT r.check_name, concat_ws(' ', r.subject, r.expected, r.actual) FROM hail.reconcile_closes(date_trunc('day', hail.clock()) - interval '1 day', hail.clock()) r;
END
$$;
