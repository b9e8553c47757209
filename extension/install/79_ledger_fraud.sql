-- 79_ledger_fraud: signals of fraud: rules, what the keeper finds in new transactions, what a withdrawal is asked, decisions

CREATE TABLE hail.fraud_rules (
    kind       text NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    meaning    text NOT NULL,
    threshold  numeric NOT NULL CHECK (threshold >= 0 AND threshold <= 1000000000),
    period     interval NOT NULL CHECK (period BETWEEN '1 minute' AND '31 days'),
    minimum    bigint NOT NULL CHECK (minimum >= 0),
    severity   text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    hold       boolean NOT NULL,
    enabled    boolean NOT NULL,
    reason     text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (kind, version)
);
COMMENT ON TABLE hail.fraud_rules IS 'When a signal is raised, per kind: the newest version counts (hail.fraud_rules_now). hail.set_fraud_rule() adds versions; version 1 comes with the extension.';
COMMENT ON COLUMN hail.fraud_rules.meaning IS 'What threshold and minimum say, for whoever sets them.';
COMMENT ON COLUMN hail.fraud_rules.period IS 'The window looked at; also: one signal per user and kind in that time.';
COMMENT ON COLUMN hail.fraud_rules.hold IS 'Withdrawals of the user are refused until the signal is dismissed; a driver is held (hail.hold_driver) too.';
INSERT INTO hail.fraud_rules (kind, threshold, period, minimum, severity, hold, meaning, version, enabled, reason, changed_by, changed_at)
SELECT r.*, 1, true, 'installed', 'system', '2000-01-01 00:00+00' FROM (VALUES
    ('many_transactions', 10, '1 hour'::interval, 0, 'low', false, 'more than threshold transactions of a wallet in the period'),
    ('large_amount', 10, '1 day', 10, 'medium', false, 'an amount above threshold times the mean of the wallet''s amounts in the same direction, of which there are minimum or more'),
    ('quick_withdrawal', 90, '1 day', 0, 'high', false, 'withdrawals above threshold per cent of what was deposited in the period, when that is above minimum'),
    ('failed_payments', 3, '1 day', 0, 'medium', false, 'more than threshold failed payments in the period'),
    ('repeated_pair', 5, '1 day', 0, 'medium', false, 'more than threshold completed trips of one customer with one driver in the period'),
    ('round_trip', 200, '1 day', 3, 'medium', false, 'a completed trip whose ends are at most threshold metres apart, at minimum times the minimum fare or more'),
    ('back_and_forth', 2, '1 day', 0, 'high', false, 'more than threshold payments from a driver back to one customer in the period'))
    AS r (kind, threshold, period, minimum, severity, hold, meaning);
GRANT SELECT ON hail.fraud_rules TO hail_admin, hail_analyst;
CREATE POLICY fraud_rules_read ON hail.fraud_rules FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

CREATE VIEW hail.fraud_rules_now WITH (security_invoker = true) AS
    SELECT DISTINCT ON (r.kind) r.* FROM hail.fraud_rules r ORDER BY r.kind, r.version DESC;
COMMENT ON VIEW hail.fraud_rules_now IS 'The rules as they are: the newest version of each.';
GRANT SELECT ON hail.fraud_rules_now TO hail_admin, hail_analyst;

CREATE TABLE hail.fraud_signals (
    id            uuid PRIMARY KEY DEFAULT hail.uuid7(),
    user_id       uuid NOT NULL REFERENCES hail.users (id),
    kind          text NOT NULL,
    severity      text NOT NULL,
    subject_type  text NOT NULL,
    subject_id    uuid NOT NULL,
    detail        jsonb NOT NULL,
    on_hold       boolean NOT NULL,
    driver_held   boolean NOT NULL DEFAULT false,
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'confirmed', 'dismissed')),
    period_start  timestamptz NOT NULL,
    raised_at     timestamptz NOT NULL,
    decided_at    timestamptz,
    decided_by    text,
    reason        text,
    event_version integer NOT NULL DEFAULT 1,
    UNIQUE (user_id, kind, period_start),
    CHECK ((state = 'open') = (decided_at IS NULL)),
    CHECK (NOT (on_hold AND state = 'dismissed'))
);
COMMENT ON TABLE hail.fraud_signals IS
'Something that looks like fraud: open -> confirmed | dismissed, confirmed -> dismissed. One per user, kind and period. detail has figures and ids, no personal data.';
COMMENT ON COLUMN hail.fraud_signals.subject_id IS 'The transaction, trip or wallet (subject_type) that raised it.';
COMMENT ON COLUMN hail.fraud_signals.on_hold IS 'Withdrawals of the user are refused.';
COMMENT ON COLUMN hail.fraud_signals.driver_held IS 'The driver was held for this signal, and is released with it.';
CREATE INDEX fraud_signals_holding ON hail.fraud_signals (user_id) WHERE on_hold;
CREATE INDEX fraud_signals_open ON hail.fraud_signals (id) WHERE state = 'open';
GRANT SELECT ON hail.fraud_signals TO hail_admin;
CREATE POLICY fraud_signals_admin ON hail.fraud_signals FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

-- What the watch remembers.
CREATE TABLE hail.fraud_watch (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    seen_xid  xid8 NOT NULL,
    low_id    bigint NOT NULL,
    upto_xid  xid8,
    after_id  bigint NOT NULL,
    mark_xid  xid8 NOT NULL,
    mark_id   bigint NOT NULL,
    event_xid xid8 NOT NULL,
    event_id  bigint NOT NULL
);
COMMENT ON TABLE hail.fraud_watch IS
'How far hail.watch_money() has come. Transactions below seen_xid have been judged; a pass under way takes those from seen_xid up to upto_xid, entry by entry, and has come to after_id. The entries of transactions from seen_xid on have ids above low_id. Not dumped: a restored database begins anew, old xids mean nothing in it.';
COMMENT ON COLUMN hail.fraud_watch.mark_id IS
'The newest number of entries before mark_xid was the next transaction id to be given out: an entry''s id is drawn after its transaction id, so once seen_xid has come to mark_xid, low_id may be mark_id.';

CREATE TABLE hail.fraud_figures (
    account_id uuid NOT NULL,
    direction  text NOT NULL,
    entries    bigint NOT NULL,
    amount     numeric NOT NULL,
    period_at  timestamptz NOT NULL,
    period_n   bigint NOT NULL,
    before_n   bigint NOT NULL,
    PRIMARY KEY (account_id, direction)
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.fraud_figures IS
'Running figures of a wallet and direction: entries and their sum (their mean), entries of the period that began at period_at and of the one before.';

CREATE TABLE hail.fraud_failures (
    user_id  uuid PRIMARY KEY,
    first_at timestamptz NOT NULL,
    failures bigint NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.fraud_failures IS 'Failed payments of a user since first_at, which begins a period.';

-- Raising.
CREATE FUNCTION hail.fraud_rule(kind text) RETURNS hail.fraud_rules
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT r.* FROM hail.fraud_rules r WHERE r.kind = fraud_rule.kind AND r.enabled
         AND r.version = (SELECT max(v.version) FROM hail.fraud_rules v WHERE v.kind = fraud_rule.kind) $$;
COMMENT ON FUNCTION hail.fraud_rule(text) IS 'A rule that is in force, or NULL. Internal.';

CREATE FUNCTION hail.on_fraud_hold(user_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM hail.fraud_signals s WHERE s.user_id = on_fraud_hold.user_id AND s.on_hold);
COMMENT ON FUNCTION hail.on_fraud_hold(uuid) IS 'May nothing be paid out to this user, because a signal holds it? Internal.';

CREATE FUNCTION hail.raise_fraud_signal(rule hail.fraud_rules, user_id uuid, subject_type text, subject_id uuid, detail jsonb) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := hail.clock();
    signal hail.fraud_signals;
BEGIN
    IF EXISTS (SELECT FROM hail.fraud_signals s WHERE s.user_id = raise_fraud_signal.user_id AND s.kind = rule.kind
                 AND s.raised_at > at - rule.period) THEN
        RETURN NULL;
    END IF;
    INSERT INTO hail.fraud_signals AS s (user_id, kind, severity, subject_type, subject_id, detail, on_hold, period_start, raised_at)
    VALUES (raise_fraud_signal.user_id, rule.kind, rule.severity, raise_fraud_signal.subject_type, raise_fraud_signal.subject_id,
            raise_fraud_signal.detail, rule.hold, date_bin(rule.period, at, 'epoch'), at)
    ON CONFLICT DO NOTHING RETURNING s.* INTO signal;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM hail.write_event('fraud_signal', signal.id, 1, 'FraudSignalRaised',
        jsonb_build_object('userId', signal.user_id, 'kind', signal.kind, 'severity', signal.severity, 'subjectType', signal.subject_type,
                           'subjectId', signal.subject_id, 'detail', signal.detail, 'hold', signal.on_hold));
    -- Withdrawals lock a wallet after this: a driver's row comes before, so only the watch, which has no wallet, holds drivers.
    IF rule.hold AND hail.current_role_name() = 'admin'
       AND EXISTS (SELECT FROM hail.drivers d WHERE d.id = signal.user_id AND d.hold_reason IS NULL) THEN
        PERFORM hail.hold_driver(signal.user_id, 'fraud signal: ' || signal.kind);
        UPDATE hail.fraud_signals s SET driver_held = true WHERE s.id = signal.id;
    END IF;
    RETURN signal.id;
END
$$;
COMMENT ON FUNCTION hail.raise_fraud_signal(hail.fraud_rules, uuid, text, uuid, jsonb) IS
'Raise a signal by a rule that is in force: row, event and, if the rule says so, hold; NULL when the user has one of that kind within the period. Internal.';

CREATE FUNCTION hail.fraud_check_withdrawal(user_id uuid, wallet_id uuid, amount bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule hail.fraud_rules := hail.fraud_rule('quick_withdrawal');
    deposited numeric := 0;
    withdrawn numeric := amount;
    e record;
BEGIN
    IF hail.on_fraud_hold(user_id) THEN
        RETURN 'refused';
    END IF;
    IF rule.kind IS NOT NULL THEN
        withdrawn := withdrawn + coalesce((SELECT sum(h.amount) FROM hail.holds h WHERE h.account_id = wallet_id AND h.status = 'held'
                                             AND h.reference_type = 'withdrawal' AND h.created_at > hail.clock() - rule.period), 0);
        -- Newest first, and no further than the period goes back.
        FOR e IN SELECT n.amount, n.direction, n.created_at, n.transaction_id FROM hail.ledger_entries n WHERE n.account_id = wallet_id ORDER BY n.id DESC LOOP
            EXIT WHEN e.created_at <= hail.clock() - rule.period;
            CASE (SELECT substring(t.kind FROM '^(deposit|withdrawal)') || ' ' || e.direction FROM hail.ledger_transactions t WHERE t.id = e.transaction_id)
                WHEN 'deposit credit' THEN deposited := deposited + e.amount;
                WHEN 'deposit debit' THEN deposited := deposited - e.amount;
                WHEN 'withdrawal debit' THEN withdrawn := withdrawn + e.amount;
                WHEN 'withdrawal credit' THEN withdrawn := withdrawn - e.amount;
                ELSE NULL;
            END CASE;
        END LOOP;
        IF deposited > rule.minimum AND withdrawn * 100 > deposited * rule.threshold THEN
            PERFORM hail.raise_fraud_signal(rule, user_id, 'account', wallet_id,
                                            jsonb_build_object('deposited', deposited, 'withdrawn', withdrawn, 'amount', amount));
        END IF;
    END IF;
    RETURN CASE WHEN EXISTS (SELECT FROM hail.fraud_signals s WHERE s.user_id = fraud_check_withdrawal.user_id AND s.state <> 'dismissed')
                THEN 'review' ELSE 'clear' END;
END
$$;
COMMENT ON FUNCTION hail.fraud_check_withdrawal(uuid, uuid, bigint) IS
'What a withdrawal that is asked for, but not yet held, is to be told: clear; review (the user has signals that are not dismissed, perhaps raised by this); refused (error fraud_hold: a signal holds the user already, nothing was written). Wallet rows may be locked. Internal.';

-- The watch. Each part judges the entries of one range of ids and transaction ids.
CREATE FUNCTION hail.new_wallet_entries(w hail.fraud_watch, last_id bigint)
RETURNS TABLE (id bigint, transaction_id uuid, account_id uuid, owner_id uuid, kind text, direction text, amount bigint, created_at timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT e.id, e.transaction_id, e.account_id, a.owner_id, a.kind, e.direction, e.amount, e.created_at
    FROM hail.ledger_entries e JOIN hail.accounts a ON a.id = e.account_id
    WHERE e.id > w.after_id AND e.id <= last_id AND e.xid >= w.seen_xid AND e.xid < w.upto_xid AND NOT a.is_system;
END;
COMMENT ON FUNCTION hail.new_wallet_entries(hail.fraud_watch, bigint) IS 'Entries of wallets that the watch has not judged, up to an id. Without a search path of its own, so that it becomes part of the query. Internal.';

CREATE FUNCTION hail.watch_amounts(w hail.fraud_watch, last_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule hail.fraud_rules := hail.fraud_rule('large_amount');
    rate hail.fraud_rules := hail.fraud_rule('many_transactions');
    period interval := coalesce(rate.period, '1 hour');
    found record;
BEGIN
    IF rule.kind IS NOT NULL THEN
        FOR found IN
            SELECT b.* FROM (
                SELECT n.owner_id, n.transaction_id, n.amount, n.id,
                       coalesce(f.entries, 0) + count(*) OVER earlier AS entries,
                       coalesce(f.amount, 0) + coalesce(sum(n.amount) OVER earlier, 0) AS total
                FROM hail.new_wallet_entries(w, last_id) n
                LEFT JOIN hail.fraud_figures f ON f.account_id = n.account_id AND f.direction = n.direction
                WINDOW earlier AS (PARTITION BY n.account_id, n.direction ORDER BY n.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS b
            WHERE b.entries >= greatest(rule.minimum, 1) AND b.amount * b.entries > rule.threshold * b.total ORDER BY b.id LOOP
            PERFORM hail.raise_fraud_signal(rule, found.owner_id, 'ledger_transaction', found.transaction_id,
                jsonb_build_object('amount', found.amount, 'mean', round(found.total / found.entries), 'of', found.entries));
        END LOOP;
    END IF;
    INSERT INTO hail.fraud_figures AS f (account_id, direction, entries, amount, period_at, period_n, before_n)
    SELECT n.account_id, n.direction, count(*), sum(n.amount), date_bin(period, max(n.created_at), 'epoch'), count(*), 0
    FROM hail.new_wallet_entries(w, last_id) n GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (account_id, direction) DO UPDATE SET
        entries = f.entries + excluded.entries, amount = f.amount + excluded.amount, period_at = excluded.period_at,
        period_n = excluded.period_n + CASE WHEN f.period_at = excluded.period_at THEN f.period_n ELSE 0 END,
        before_n = CASE f.period_at WHEN excluded.period_at THEN f.before_n WHEN excluded.period_at - period THEN f.period_n ELSE 0 END;
    IF rate.kind IS NULL THEN
        RETURN;
    END IF;
    -- Two periods' counts say who can have had so many in any one; the entries themselves say whether they had.
    FOR found IN
        SELECT c.account_id, c.owner_id, t.transaction_id FROM (
            SELECT n.account_id, n.owner_id, count(*) AS fresh FROM hail.new_wallet_entries(w, last_id) n GROUP BY 1, 2) AS c,
            LATERAL (SELECT sum(f.period_n + f.before_n) AS entries FROM hail.fraud_figures f WHERE f.account_id = c.account_id) AS f,
            LATERAL (SELECT s.transaction_id FROM (
                         SELECT e.transaction_id, e.created_at, lag(e.created_at, rate.threshold::integer) OVER (ORDER BY e.id) AS earlier
                         FROM (SELECT l.id, l.transaction_id, l.created_at FROM hail.ledger_entries l
                               WHERE l.account_id = c.account_id AND l.id <= last_id ORDER BY l.id DESC LIMIT c.fresh + rate.threshold) AS e) AS s
                     WHERE s.created_at - s.earlier < rate.period LIMIT 1) AS t
        WHERE f.entries > rate.threshold ORDER BY c.account_id LOOP
        PERFORM hail.raise_fraud_signal(rate, found.owner_id, 'account', found.account_id,
            jsonb_build_object('moreThan', rate.threshold, 'transactionId', found.transaction_id));
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.watch_amounts(hail.fraud_watch, bigint) IS
'Part of hail.watch_money(): amounts against means, transactions in a period, running figures. Internal.';

CREATE FUNCTION hail.watch_trips(w hail.fraud_watch, last_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pair hail.fraud_rules := hail.fraud_rule('repeated_pair');
    round_trip hail.fraud_rules := hail.fraud_rule('round_trip');
    back hail.fraud_rules := hail.fraud_rule('back_and_forth');
    trip record;
    metres float8;
    times bigint;
BEGIN
    FOR trip IN
        SELECT r.id, r.customer_id, r.driver_id, r.state, r.price, r.pickup_lat, r.pickup_lng, r.dropoff_lat, r.dropoff_lng, r.completed_at,
               q.minimum_fare, bool_or(m.paid_back) AS paid_back, min(m.entry_id) AS first
        FROM (SELECT t.reference_id, min(n.id) AS entry_id,
                     bool_or(n.kind = 'DRIVER_WALLET' AND n.direction = 'debit') AND bool_or(n.kind = 'CUSTOMER_WALLET' AND n.direction = 'credit') AS paid_back
              FROM hail.new_wallet_entries(w, last_id) n JOIN hail.ledger_transactions t ON t.id = n.transaction_id
              WHERE t.reference_type = 'trip' GROUP BY t.id) AS m
        JOIN hail.trips r ON r.id = m.reference_id JOIN hail.quotes q ON q.id = r.quote_id
        WHERE r.driver_id IS NOT NULL GROUP BY r.id, q.id ORDER BY first LOOP
        IF pair.kind IS NOT NULL AND trip.state = 'completed' THEN
            SELECT count(*) INTO times FROM (SELECT c.driver_id, c.completed_at FROM hail.trips c WHERE c.customer_id = trip.customer_id ORDER BY c.id DESC LIMIT 100) AS c
            WHERE c.driver_id = trip.driver_id AND c.completed_at > trip.completed_at - pair.period AND c.completed_at <= trip.completed_at;
            IF times > pair.threshold THEN
                PERFORM hail.raise_fraud_signal(pair, u, 'trip', trip.id, jsonb_build_object('trips', times, 'customerId', trip.customer_id, 'driverId', trip.driver_id))
                FROM unnest(ARRAY[trip.customer_id, trip.driver_id]) u;
            END IF;
        END IF;
        IF round_trip.kind IS NOT NULL AND trip.state = 'completed' AND trip.price > 0 AND trip.price >= round_trip.minimum * trip.minimum_fare THEN
            metres := public.ST_DistanceSphere(public.ST_MakePoint(trip.pickup_lng, trip.pickup_lat), public.ST_MakePoint(trip.dropoff_lng, trip.dropoff_lat));
            IF metres <= round_trip.threshold THEN
                PERFORM hail.raise_fraud_signal(round_trip, u, 'trip', trip.id, jsonb_build_object('metres', round(metres), 'price', trip.price, 'minimumFare', trip.minimum_fare))
                FROM unnest(ARRAY[trip.customer_id, trip.driver_id]) u;
            END IF;
        END IF;
        IF back.kind IS NOT NULL AND trip.paid_back THEN
            SELECT count(*) INTO times
            FROM (SELECT c.id, c.driver_id FROM hail.trips c WHERE c.customer_id = trip.customer_id ORDER BY c.id DESC LIMIT 100) AS c
            JOIN hail.ledger_transactions l ON l.reference_id = c.id AND l.reference_type = 'trip'
            WHERE c.driver_id = trip.driver_id AND l.created_at > hail.clock() - back.period
              AND (SELECT bool_or(a.kind = 'DRIVER_WALLET' AND e.direction = 'debit') AND bool_or(a.kind = 'CUSTOMER_WALLET' AND e.direction = 'credit')
                   FROM hail.ledger_entries e JOIN hail.accounts a ON a.id = e.account_id WHERE e.transaction_id = l.id);
            IF times > back.threshold THEN
                PERFORM hail.raise_fraud_signal(back, u, 'trip', trip.id, jsonb_build_object('payments', times, 'customerId', trip.customer_id, 'driverId', trip.driver_id))
                FROM unnest(ARRAY[trip.customer_id, trip.driver_id]) u;
            END IF;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.watch_trips(hail.fraud_watch, bigint) IS
'Part of hail.watch_money(): circular trips. Only the customer''s newest 100 trips are looked at. Internal.';

CREATE FUNCTION hail.watch_failures(w hail.fraud_watch, max_rows integer, OUT xid xid8, OUT id bigint, OUT seen bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule hail.fraud_rules := hail.fraud_rule('failed_payments');
    period interval := coalesce(rule.period, '1 day');
    fresh record;
    failure hail.fraud_failures;
BEGIN
    xid := w.event_xid;
    id := w.event_id;
    seen := 0;
    FOR fresh IN
        SELECT e.xid, e.id, e.type, e.aggregate_type, e.aggregate_id, e.occurred_at, e.payload FROM hail.events e
        WHERE (e.xid, e.id) > (w.event_xid, w.event_id) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY e.xid, e.id LIMIT max_rows LOOP
        xid := fresh.xid;
        id := fresh.id;
        seen := seen + 1;
        CONTINUE WHEN fresh.type <> 'PaymentFailed';
        INSERT INTO hail.fraud_failures AS f (user_id, first_at, failures)
        SELECT u.user_id, fresh.occurred_at, 1 FROM hail.payer_of(fresh.aggregate_type, fresh.aggregate_id) AS u (user_id) WHERE u.user_id IS NOT NULL
        ON CONFLICT (user_id) DO UPDATE SET
            first_at = CASE WHEN excluded.first_at >= f.first_at + period THEN excluded.first_at ELSE f.first_at END,
            failures = CASE WHEN excluded.first_at >= f.first_at + period THEN 1 ELSE f.failures + 1 END
        RETURNING f.* INTO failure;
        IF FOUND AND failure.failures > rule.threshold THEN
            PERFORM hail.raise_fraud_signal(rule, failure.user_id, fresh.aggregate_type, fresh.aggregate_id,
                                            jsonb_build_object('failures', failure.failures, 'since', failure.first_at));
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.watch_failures(hail.fraud_watch, integer) IS
'Part of hail.watch_money(): failed payments, by their events; how far it has come and how many events it has read. Internal.';

CREATE FUNCTION hail.payer_of(aggregate_type text, aggregate_id uuid) RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A charge of a trip that fails says so twice, as the intent and as the trip: the trip's is the one that counts.
    IF aggregate_type = 'trip' THEN
        RETURN (SELECT t.customer_id FROM hail.trips t WHERE t.id = aggregate_id);
    ELSIF aggregate_type = 'payment_intent' THEN
        RETURN (SELECT i.user_id FROM hail.payment_intents i WHERE i.id = aggregate_id AND i.trip_id IS NULL);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION hail.payer_of(text, uuid) IS 'Whose payment the trip or the deposit was. Internal.';

-- Entries are appended, so their ids rise with their pages: the smallest of indexes finds those above an id. A btree would cost each
-- posting a write per entry; this one costs a look at the index's map, and its last range is always read.
CREATE INDEX ledger_entries_id ON hail.ledger_entries USING brin (id) WITH (pages_per_range = 16, autosummarize = on);

CREATE FUNCTION hail.newest_entry_id() RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$ SELECT coalesce(pg_sequence_last_value('hail.ledger_entries_id_seq'::regclass), 0) $$;
COMMENT ON FUNCTION hail.newest_entry_id() IS
'The number last drawn for entries: a posting that draws after this gets a higher one (by itself numbers up to 255 higher). Internal.';

CREATE FUNCTION hail.watched_until(after_id bigint, newest_id bigint, max_rows integer) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    size bigint := max_rows; -- holds so many entries at most
    rows bigint;
BEGIN
    -- A posting draws 256 numbers and uses a few, a batch uses them all.
    WHILE size < max_rows * 256::bigint AND after_id + size < newest_id LOOP
        SELECT count(*) INTO rows FROM hail.ledger_entries e WHERE e.id > after_id AND e.id <= after_id + 2 * size;
        EXIT WHEN rows > 2 * max_rows;
        size := 2 * size;
    END LOOP;
    RETURN least(newest_id, after_id + size);
END
$$;
COMMENT ON FUNCTION hail.watched_until(bigint, bigint, integer) IS
'The last number of entries that the watch looks at in one call, from after_id on: no more than 2 * max_rows entries lie before it. Internal.';

-- A driver who is to be held may be in an open transaction of somebody: the watch fails soon then, and tries again, so that the keeper's
-- other steps go on.
CREATE FUNCTION hail.watch_money(max_rows integer DEFAULT 5000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms'
AS $$
DECLARE
    w hail.fraud_watch;
    -- Read before any snapshot: whoever begins after a snapshot draws higher numbers.
    newest_id bigint := hail.newest_entry_id();
    last_id bigint;
    scanned bigint := 0;
    failures record;
BEGIN
    SELECT * INTO w FROM hail.fraud_watch FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        -- Begin with the transactions that begin from now on; or somebody else is at it.
        INSERT INTO hail.fraud_watch (seen_xid, low_id, after_id, mark_xid, mark_id, event_xid, event_id)
        SELECT pg_snapshot_xmax(s), newest_id, newest_id, pg_snapshot_xmax(s), newest_id, pg_snapshot_xmax(s), 0
        FROM pg_current_snapshot() s WHERE NOT EXISTS (SELECT FROM hail.fraud_watch) ON CONFLICT DO NOTHING;
        RETURN 0;
    END IF;
    IF w.upto_xid IS NULL AND pg_snapshot_xmin(pg_current_snapshot()) > w.seen_xid THEN
        w.upto_xid := pg_snapshot_xmin(pg_current_snapshot());
        w.after_id := w.low_id;
    END IF;
    IF w.upto_xid IS NOT NULL THEN
        newest_id := hail.newest_entry_id() + 255;
        last_id := hail.watched_until(w.after_id, newest_id, max_rows);
        SELECT count(*) INTO scanned FROM hail.new_wallet_entries(w, last_id);
        IF scanned > 0 THEN
            PERFORM hail.watch_amounts(w, last_id), hail.watch_trips(w, last_id);
        END IF;
        w.after_id := last_id;
        IF last_id = newest_id THEN
            -- All that had ended is judged.
            w.seen_xid := w.upto_xid;
            w.upto_xid := NULL;
            IF w.seen_xid >= w.mark_xid THEN
                w.low_id := w.mark_id;
                w.mark_id := hail.newest_entry_id();
                w.mark_xid := pg_snapshot_xmax(pg_current_snapshot());
            END IF;
        END IF;
    END IF;
    SELECT * INTO failures FROM hail.watch_failures(w, max_rows);
    UPDATE hail.fraud_watch f SET seen_xid = w.seen_xid, low_id = w.low_id, upto_xid = w.upto_xid, after_id = w.after_id,
        mark_xid = w.mark_xid, mark_id = w.mark_id, event_xid = failures.xid, event_id = failures.id;
    RETURN scanned + failures.seen;
END
$$;
COMMENT ON FUNCTION hail.watch_money(integer) IS
'Raise signals for what has happened since the last call in transactions that have ended (below the xmin horizon): at most 2 * max_rows entries and max_rows events a call; the number of rows read. What has been judged is committed with the signals. Keeper step. Internal.';

-- What administrators do.
CREATE FUNCTION hail.decide_fraud_signal(signal_id uuid, decision text, reason text) RETURNS hail.fraud_signals
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before hail.fraud_signals;
    signal hail.fraud_signals;
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.check_reason(reason);
    IF (decision IN ('confirmed', 'dismissed')) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'a signal is confirmed or dismissed', 'decision');
    END IF;
    SELECT * INTO before FROM hail.fraud_signals s WHERE s.id = signal_id;
    -- The driver's row is locked before ours.
    PERFORM FROM hail.drivers d WHERE d.id = before.user_id AND before.driver_held FOR UPDATE;
    SELECT * INTO before FROM hail.fraud_signals s WHERE s.id = signal_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'there is no such signal', 'signal_id');
    ELSIF before.state = 'dismissed' OR before.state = decision THEN
        PERFORM hail.fail('wrong_state', format('the signal is %s', before.state), 'signal_id');
    END IF;
    UPDATE hail.fraud_signals s
    SET state = decision, decided_at = hail.clock(), decided_by = hail.actor_name(), reason = decide_fraud_signal.reason,
        on_hold = s.on_hold AND decision = 'confirmed', driver_held = s.driver_held AND decision = 'confirmed', event_version = s.event_version + 1
    WHERE s.id = signal_id RETURNING s.* INTO signal;
    PERFORM hail.write_event('fraud_signal', signal.id, signal.event_version, 'FraudSignalDecided',
                             jsonb_build_object('userId', signal.user_id, 'kind', signal.kind, 'decision', decision, 'reason', signal.reason));
    IF before.driver_held AND NOT signal.driver_held
       AND EXISTS (SELECT FROM hail.drivers d WHERE d.id = signal.user_id AND d.hold_reason = 'fraud signal: ' || signal.kind) THEN
        PERFORM hail.release_driver(signal.user_id);
    END IF;
    RETURN signal;
END
$$;
COMMENT ON FUNCTION hail.decide_fraud_signal(uuid, text, text) IS
'Decide a signal: confirmed (what it holds stays held) or dismissed (withdrawals are free again and a driver held for it is released, unless other signals hold them); what was confirmed may be dismissed later. Administrators only. Errors: invalid_value (decision, reason), not_found, wrong_state.';

CREATE FUNCTION hail.actor_name() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN coalesce('user:' || hail.current_subject(), hail.current_role_name(), 'system');
COMMENT ON FUNCTION hail.actor_name() IS 'Who decides: user:<id>, or admin for a database administrator. Internal.';

CREATE FUNCTION hail.set_fraud_rule(kind text, reason text, threshold numeric DEFAULT NULL, period interval DEFAULT NULL, minimum bigint DEFAULT NULL,
                                    severity text DEFAULT NULL, hold boolean DEFAULT NULL, enabled boolean DEFAULT NULL) RETURNS hail.fraud_rules
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    rule hail.fraud_rules;
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.check_reason(reason);
    IF NOT (threshold >= 0 AND threshold <= 1000000000) THEN
        PERFORM hail.fail('invalid_value', 'threshold must be between 0 and 1000000000', 'threshold');
    ELSIF NOT (period BETWEEN '1 minute' AND '31 days') THEN
        PERFORM hail.fail('invalid_value', 'period must be between a minute and 31 days', 'period');
    ELSIF minimum < 0 THEN
        PERFORM hail.fail('invalid_value', 'minimum must not be negative', 'minimum');
    ELSIF severity NOT IN ('low', 'medium', 'high') THEN
        PERFORM hail.fail('invalid_value', 'severity is low, medium or high', 'severity');
    END IF;
    -- Two at once: the later one starts from what the earlier one has made.
    PERFORM FROM hail.fraud_rules r WHERE r.kind = $1 AND r.version = 1 FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'there is no such rule', 'kind', 'See hail.fraud_rules_now.');
    END IF;
    INSERT INTO hail.fraud_rules AS r (kind, version, meaning, threshold, period, minimum, severity, hold, enabled, reason, changed_by, changed_at)
    SELECT n.kind, n.version + 1, n.meaning, coalesce($3, n.threshold), coalesce(make_interval(secs => extract(epoch FROM $4)), n.period), coalesce($5, n.minimum),
           coalesce($6, n.severity), coalesce($7, n.hold), coalesce($8, n.enabled), $2, hail.actor_name(), hail.clock()
    FROM hail.fraud_rules n WHERE n.kind = $1 ORDER BY n.version DESC LIMIT 1
    RETURNING r.* INTO rule;
    RETURN rule;
END
$$;
COMMENT ON FUNCTION hail.set_fraud_rule(text, text, numeric, interval, bigint, text, boolean, boolean) IS
'A new version of a rule, with the reason; NULL leaves what it is. Signals raised before stay as they are. Administrators only. Errors: invalid_value (the argument), not_found (kind).';

CREATE FUNCTION hail.list_fraud_signals(state text DEFAULT NULL, kind text DEFAULT NULL, user_id uuid DEFAULT NULL, max_results integer DEFAULT 20,
                                        cursor text DEFAULT NULL, OUT signal hail.fraud_signals, OUT next_cursor text) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    scope text := format('fraud signals %s %s of %s', $1, $2, $3);
    place bytea;
    rows integer := 0;
    found hail.fraud_signals;
BEGIN
    PERFORM hail.require_admin();
    IF $1 NOT IN ('open', 'confirmed', 'dismissed') THEN
        PERFORM hail.fail('invalid_value', 'a signal is open, confirmed or dismissed', 'state');
    ELSIF $2 IS NOT NULL AND NOT EXISTS (SELECT FROM hail.fraud_rules r WHERE r.kind = $2) THEN
        PERFORM hail.fail('invalid_value', 'there is no such kind of signal', 'kind', 'See hail.fraud_rules_now.');
    ELSIF (max_results BETWEEN 1 AND 100) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'max_results must be between 1 and 100', 'max_results');
    END IF;
    place := hail.cursor_place(cursor, scope);
    -- The plan follows what is asked: the open ones have an index, a user's have one, all come by id.
    FOR found IN EXECUTE 'SELECT s.* FROM hail.fraud_signals s WHERE true'
        || coalesce(' AND s.state = ' || quote_literal($1), '') || coalesce(' AND s.kind = ' || quote_literal($2), '')
        || coalesce(' AND s.user_id = ' || quote_literal($3), '') || coalesce(' AND s.id < ' || quote_literal(encode(substr(place, 9), 'hex')) || '::uuid', '')
        || ' ORDER BY s.id DESC LIMIT ' || max_results + 1 LOOP
        IF rows > 0 THEN
            next_cursor := CASE WHEN rows = max_results THEN hail.cursor_text(hail.trip_place((signal).raised_at, (signal).id), scope) END;
            RETURN NEXT;
        END IF;
        EXIT WHEN rows = max_results;
        signal := found;
        rows := rows + 1;
    END LOOP;
    IF rows > 0 AND next_cursor IS NULL THEN
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.list_fraud_signals(text, text, uuid, integer, text) IS
'A page of signals, newest first, by state, kind and user (NULL: all). next_cursor, in the last row when more follow, gives the next page with the same filters. Administrators only. Errors: invalid_value (state, kind, max_results, cursor).';

CREATE FUNCTION hail.fraud_summary(from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
RETURNS TABLE (kind text, severity text, state text, signals bigint, users bigint, on_hold bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(hail.current_role_name(), '') <> 'analyst' THEN
        PERFORM hail.require_admin();
    END IF;
    RETURN QUERY
    SELECT s.kind, s.severity, s.state, count(*), count(DISTINCT s.user_id), count(*) FILTER (WHERE s.on_hold)
    FROM hail.fraud_signals s
    WHERE s.raised_at >= coalesce(from_time, '-infinity') AND s.raised_at < coalesce(to_time, 'infinity')
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
END
$$;
COMMENT ON FUNCTION hail.fraud_summary(timestamptz, timestamptz) IS
'How many signals there are by kind, severity and state, of how many users, and how many hold: no persons. from_time inclusive, to_time exclusive. Administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.decide_fraud_signal(uuid, text, text),
    hail.set_fraud_rule(text, text, numeric, interval, bigint, text, boolean, boolean),
    hail.list_fraud_signals(text, text, uuid, integer, text) TO hail_admin;
GRANT EXECUTE ON FUNCTION hail.fraud_summary(timestamptz, timestamptz) TO hail_admin, hail_analyst;
