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
    PERFORM hail.load_sample_fares('money');
    INSERT INTO money.riders SELECT c - 1, (hail.register_user(NULL, 'Rider ' || c, 'customer')).id,
        (hail.register_user(NULL, 'Driver ' || c, 'driver')).id, -40 + c * 0.5 FROM generate_series(1, clients) c;
    PERFORM hail.register_driver(driver, 'money', '{economy}'), hail.approve_driver(driver), hail.set_availability(driver, true, 0, lng) FROM money.riders;
    PERFORM hail.post_transaction('deposit', ARRAY[ROW(s.id, 'debit', 1000000000), ROW((hail.open_account('CUSTOMER_WALLET', r.rider, 'EUR')).id, 'credit', 1000000000)]::hail.entry_input[],
        'fund ' || r.rider) FROM money.riders r, money.accounts s WHERE s.is_system AND s.n = 0 AND s.currency = 0;
    RETURN hail.issue_token(admin, '30 days');
END
$$;

-- A trip from its quote to its start, every fourth only to its match, in one transaction; the same key again is the same trip.
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
            PERFORM hail.start_trip(trip, t.pickup_code) FROM hail.trips t WHERE t.id = trip;
        END IF;
    END IF;
    RETURN trip;
END
$$;
GRANT SELECT ON money.riders TO hail_admin;

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
               count(*) FILTER (WHERE outcome = 'sent') > count(*) FILTER (WHERE outcome IN ('done', 'refused', 'mismatch')) AS open,
               min(subject) FILTER (WHERE outcome = 'done') AS request
        FROM money.journal WHERE key IS NOT NULL GROUP BY verb, key
    ), there AS (
        SELECT t.idempotency_key AS key, t.kind, t.id, t.reverses, t.reference_id FROM hail.ledger_transactions t WHERE t.principal LIKE 'user:%'
        UNION ALL
        SELECT h.idempotency_key, 'hold', h.id, NULL, h.account_id FROM hail.holds h WHERE h.principal LIKE 'user:%'
    ), posted AS (
        SELECT k.*, t.id, t.kind, t.reverses, t.reference_id FROM keys k LEFT JOIN there t USING (key) WHERE k.verb IN ('post', 'hold', 'capture', 'reverse')
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
    SELECT 'nobody asked for it', concat_ws(' ', t.kind, t.key) FROM there t LEFT JOIN keys k USING (key) WHERE k.key IS NULL
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
    SELECT 'a completed trip was not paid once', t.id::text FROM hail.trips t
    LEFT JOIN (SELECT reference_id, count(*) AS n FROM hail.ledger_transactions WHERE kind LIKE 'trip\_%' AND reference_type = 'trip' GROUP BY 1) p ON p.reference_id = t.id
    WHERE t.state = 'completed' AND t.price > 0 AND p.n IS DISTINCT FROM 1
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

CREATE FUNCTION money.reconcile() RETURNS TABLE (problem text, subject text) LANGUAGE sql AS $$
    SELECT r.check_name, concat_ws(' ', r.subject, r.expected, r.actual) FROM hail.reconcile_all() r
    UNION ALL
    SELECT r.check_name, concat_ws(' ', r.subject, r.expected, r.actual)
    FROM generate_series((SELECT min(created_at) FROM hail.ledger_transactions)::date, hail.clock()::date, interval '1 day') AS day, hail.reconcile(day::date) r
$$;
