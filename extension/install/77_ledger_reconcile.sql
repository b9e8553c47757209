-- 77_ledger_reconcile: everything compared with everything (src/ledger/REPORTS.md)

CREATE TABLE hail.reconcile_checks (
    check_name text PRIMARY KEY,
    check_group text NOT NULL,
    meaning    text NOT NULL
);
COMMENT ON TABLE hail.reconcile_checks IS
'The checks of hail.reconcile(): what each finding means. expected and actual are amounts in minor units, or numbers of things.';
GRANT SELECT ON hail.reconcile_checks TO hail_admin, hail_analyst;
CREATE POLICY reconcile_checks_read ON hail.reconcile_checks FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
INSERT INTO hail.reconcile_checks (check_name, check_group, meaning) VALUES
    ('transaction_balanced',  'entries',  'debits and credits of a transaction differ in a currency'),
    ('transaction_entries',   'entries',  'a transaction has fewer than two entries'),
    ('transaction_kind',      'entries',  'the engine posted a transaction of which there is no template'),
    ('transaction_template',  'entries',  'the engine posted to an account of a kind that is not in the transaction''s template'),
    ('entry_transaction',     'entries',  'an entry belongs to no transaction'),
    ('entry_account',         'entries',  'entries name an account that does not exist'),
    ('entry_currency',        'entries',  'an entry is in another currency than its account'),
    ('entry_balance_after',   'entries',  'entries of a wallet without a balance, or of a system account with one'),
    ('wallet_running_balance','entries',  'an entry''s balance is not the one before plus its amount'),
    ('wallet_posted',         'balances', 'a wallet''s posted balance is not the sum of its entries'),
    ('wallet_newest_entry',   'balances', 'a wallet''s posted balance is not the one its newest entry tells'),
    ('system_posted',         'balances', 'what is folded and unfolded of a system account is not the sum of its entries'),
    ('currency_balanced',     'balances', 'the balances of all accounts of a currency do not add up to zero'),
    ('account_floor',         'balances', 'a wallet''s available balance is below its floor'),
    ('account_held',          'holds',    'an account''s held is not the sum of its open holds'),
    ('hold_expired',          'holds',    'a hold is still open five minutes after its end'),
    ('trip_hold',             'holds',    'a trip under way that is paid by wallet does not hold what it may cost'),
    ('trip_hold_wallet',      'holds',    'the hold of a trip is not on its customer''s wallet'),
    ('hold_without_trip',     'holds',    'an open hold for a trip that is not under way'),
    ('trip_payments',         'trips',    'a completed trip has not the one payment it should have'),
    ('trip_amount',           'trips',    'a completed trip was paid with another amount than its price'),
    ('trip_driver',           'trips',    'a completed trip gave the driver another amount than it should'),
    ('trip_commission',       'trips',    'a completed trip gave the platform another commission than it should'),
    ('paid_trip_not_completed', 'trips',  'a trip was paid and is not completed'),
    ('trip_fee',              'trips',    'what was taken as the fee of a cancelled trip is not what its payment says'),
    ('trip_tips',             'trips',    'tips posted for a trip are not those that its payment says'),
    ('trip_refunds',          'trips',    'what was given back of a trip is not what its payment says'),
    ('gateway_event_refused', 'payments', 'an event of a gateway was refused, and nobody has looked at it (hail.resolve_gateway_event)'),
    ('gateway_event_unmatched', 'payments', 'an event of a gateway is about no payment, refund or withdrawal known here, and nobody has looked at it'),
    ('gateway_event_contents', 'payments', 'the id of a gateway''s event came again with another content, and nobody has looked at it'),
    ('deposit_posted',        'payments', 'a deposit that has succeeded has not put its amount into its wallet'),
    ('payment_refunds',       'payments', 'what a payment says is refunded or being refunded is not the sum of its refunds'),
    ('refund_hold',           'payments', 'an open refund of a deposit does not hold its amount on its wallet'),
    ('withdrawal_hold',       'withdrawals', 'a requested withdrawal does not hold its amount and fee on its wallet'),
    ('withdrawal_hold_idle',  'withdrawals', 'an open hold for a withdrawal that is not waiting for a decision'),
    ('withdrawal_transactions', 'withdrawals', 'a withdrawal has posted more or fewer transactions than its state says'),
    ('withdrawal_amount',     'withdrawals', 'what a withdrawal has on its way is not its amount, or is something though it is not on its way'),
    ('withdrawal_unknown',    'withdrawals', 'a transaction of a withdrawal that does not exist'),
    ('payout_clearing',       'withdrawals', 'PAYOUT_CLEARING is not the sum of the withdrawals that are on their way'),
    ('gateway_statement',     'statements', 'a gateway''s statement and the ledger differ, and nobody has decided about it (hail.match_gateway_statement)'),
    ('close_entries',         'closes',   'a closed day has more or fewer entries, or others, than when it was closed'),
    ('close_balance',         'closes',   'an account''s closing balance is not the one before plus the day''s entries'),
    ('close_totals',          'closes',   'the totals of a closed day are not those of its balances'),
    ('guards',                'guards',   'a guard, policy or constraint of the ledger''s tables is missing, changed or added, or others may write');

CREATE TYPE hail.finding AS (check_name text, subject text, expected numeric, actual numeric);
COMMENT ON TYPE hail.finding IS 'What a check of hail.reconcile() has found to differ.';

-- A day is found without reading the years: rows lie in the order of their times, nearly.
CREATE INDEX ledger_transactions_time ON hail.ledger_transactions USING brin (created_at) WITH (autosummarize = on);
CREATE INDEX ledger_entries_time ON hail.ledger_entries USING brin (created_at) WITH (autosummarize = on);

-- Group entries: transactions and entries recorded in a period.
CREATE FUNCTION hail.reconcile_entries(from_time timestamptz, to_time timestamptz) RETURNS SETOF hail.finding
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS $$
BEGIN
    -- planned for the period it is called with
    RETURN QUERY
    WITH by_transaction AS MATERIALIZED (
        SELECT e.transaction_id, e.currency, count(*) AS entries,
               sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) AS total
        FROM hail.ledger_entries e WHERE e.created_at >= from_time AND e.created_at < to_time
        GROUP BY e.transaction_id, e.currency
    ), by_account AS MATERIALIZED (
        SELECT e.account_id, e.currency, count(*) AS entries, count(e.balance_after) AS balances
        FROM hail.ledger_entries e WHERE e.created_at >= from_time AND e.created_at < to_time
        GROUP BY e.account_id, e.currency
    ), whole AS MATERIALIZED (
        -- an entry's time may be a moment after its transaction's: what lacks its other half is looked up by key
        SELECT coalesce(t.id, b.transaction_id) AS id, t.id IS NULL AS headless, coalesce(b.entries, 0) AS entries
        FROM (SELECT t.id FROM hail.ledger_transactions t WHERE t.created_at >= from_time AND t.created_at < to_time) t
        FULL JOIN (SELECT b.transaction_id, sum(b.entries) AS entries FROM by_transaction b GROUP BY b.transaction_id) b
               ON b.transaction_id = t.id
    ), by_engine AS MATERIALIZED (
        SELECT t.kind, e.account_id, count(*) AS entries
        FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id
        WHERE t.principal = 'system' AND t.created_at >= from_time AND t.created_at < to_time
          AND e.created_at >= from_time AND e.created_at < to_time + interval '1 minute'
        GROUP BY t.kind, e.account_id
    )
    SELECT 'transaction_kind', b.kind, 0::numeric, sum(b.entries) FROM by_engine b
    WHERE NOT EXISTS (SELECT FROM hail.entry_templates m WHERE m.template = b.kind) GROUP BY b.kind
    UNION ALL
    SELECT 'transaction_template', concat_ws(' ', b.kind, a.kind, a.currency), 0, sum(b.entries)
    FROM by_engine b JOIN hail.accounts a ON a.id = b.account_id
    WHERE EXISTS (SELECT FROM hail.entry_templates m WHERE m.template = b.kind)
      AND NOT EXISTS (SELECT FROM hail.entry_templates m WHERE m.template = b.kind
                      AND (m.account_kind = a.kind OR m.account_kind IS NULL AND NOT a.is_system))
    GROUP BY b.kind, a.kind, a.currency
    UNION ALL
    SELECT 'transaction_balanced', concat_ws(' ', b.transaction_id, b.currency), 0::numeric, b.total
    FROM by_transaction b WHERE b.total <> 0
    UNION ALL
    SELECT 'transaction_entries', w.id::text, 2, n.entries FROM whole w,
         LATERAL (SELECT count(*) AS entries FROM hail.ledger_entries e WHERE e.transaction_id = w.id) n
    WHERE w.entries < 2 AND n.entries < 2
    UNION ALL
    SELECT 'entry_transaction', w.id::text, 0, w.entries FROM whole w
    WHERE w.headless AND NOT EXISTS (SELECT FROM hail.ledger_transactions t WHERE t.id = w.id)
    UNION ALL
    SELECT 'entry_account', b.account_id::text, 0, b.entries FROM by_account b
    WHERE NOT EXISTS (SELECT FROM hail.accounts a WHERE a.id = b.account_id)
    UNION ALL
    SELECT 'entry_currency', e.id::text, 0, 1
    FROM by_account b JOIN hail.accounts a ON a.id = b.account_id AND a.currency <> b.currency
    JOIN hail.ledger_entries e ON e.account_id = b.account_id AND e.currency = b.currency
    WHERE e.created_at >= from_time AND e.created_at < to_time
    UNION ALL
    SELECT 'entry_balance_after', a.id::text, CASE WHEN a.is_system THEN 0 ELSE b.entries END, b.balances
    FROM by_account b JOIN hail.accounts a ON a.id = b.account_id
    WHERE b.balances <> CASE WHEN a.is_system THEN 0 ELSE b.entries END
    UNION ALL
    -- the first entry of the period follows the newest one before it
    SELECT 'wallet_running_balance', s.id::text, coalesce(s.before, p.balance_after, 0) + s.signed, s.balance_after
    FROM (SELECT e.id, e.account_id, e.balance_after, CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END::numeric AS signed,
                 lag(e.balance_after) OVER (PARTITION BY e.account_id ORDER BY e.id) AS before
          FROM hail.ledger_entries e
          WHERE e.created_at >= from_time AND e.created_at < to_time AND e.balance_after IS NOT NULL) s
    LEFT JOIN LATERAL (SELECT e.balance_after FROM hail.ledger_entries e
                       WHERE s.before IS NULL AND e.account_id = s.account_id AND e.id < s.id
                       ORDER BY e.id DESC LIMIT 1) p ON s.before IS NULL
    WHERE coalesce(s.before, p.balance_after, 0) + s.signed <> s.balance_after;
END
$$;
COMMENT ON FUNCTION hail.reconcile_entries(timestamptz, timestamptz) IS
'Findings about the transactions and entries recorded from from_time until before to_time. Internal.';

-- Group balances: now. The last daily close and the entries since, or all entries there are.
CREATE FUNCTION hail.reconcile_balances(whole boolean) RETURNS SETOF hail.finding
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS $$
DECLARE
    since timestamptz := CASE WHEN whole THEN '-infinity' ELSE hail.closed_until() END;
BEGIN
    RETURN QUERY
    WITH moved AS MATERIALIZED (
        SELECT e.account_id, sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) AS total
        FROM hail.ledger_entries e WHERE e.created_at >= since GROUP BY e.account_id
    ), books AS MATERIALIZED (
        SELECT a.id, a.currency, a.is_system, m.account_id IS NOT NULL AS moved, a.floor, a.held,
               -- as hail.exact_posted(), which can't tell sums beyond bigint
               a.posted + coalesce((SELECT sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) FROM hail.ledger_entries e
                                    WHERE a.is_system AND e.account_id = a.id AND e.balance_after IS NULL AND e.xid >= a.folded_xid), 0) AS posted,
               coalesce(b.balance, 0) + coalesce(m.total, 0) AS by_entries
        FROM hail.accounts a LEFT JOIN moved m ON m.account_id = a.id
        LEFT JOIN LATERAL (SELECT d.balance FROM hail.daily_balances d WHERE d.account_id = a.id
                           ORDER BY d.day DESC LIMIT 1) b ON NOT whole
    )
    SELECT CASE WHEN b.is_system THEN 'system_posted' ELSE 'wallet_posted' END, b.id::text, b.by_entries, b.posted
    FROM books b WHERE b.posted <> b.by_entries
    UNION ALL
    SELECT 'wallet_newest_entry', b.id::text, n.balance_after, b.posted
    FROM books b, LATERAL (SELECT e.balance_after FROM hail.ledger_entries e WHERE e.account_id = b.id
                           ORDER BY e.id DESC LIMIT 1) n
    WHERE b.moved AND NOT b.is_system AND n.balance_after IS DISTINCT FROM b.posted
    UNION ALL
    SELECT 'currency_balanced', b.currency::text, 0, sum(b.posted) FROM books b GROUP BY b.currency HAVING sum(b.posted) <> 0
    UNION ALL
    SELECT 'account_floor', b.id::text, b.floor, b.posted - b.held FROM books b WHERE b.posted - b.held < b.floor;
END
$$;
COMMENT ON FUNCTION hail.reconcile_balances(boolean) IS
'Findings about the balances as they are now: against the last daily close and the entries since, or (whole) against all entries. Internal.';

-- Group holds: now.
CREATE FUNCTION hail.reconcile_holds() RETURNS SETOF hail.finding
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH open_holds AS MATERIALIZED (
        SELECT h.* FROM hail.holds h WHERE h.status = 'held'
    ), under_way AS MATERIALIZED (
        SELECT t.id, t.customer_id, hail.trip_hold_amount(t) AS due FROM hail.trips t
        WHERE t.state IN ('matched', 'arrived', 'started') AND t.payment_method = 'wallet'
    )
    SELECT 'account_held', coalesce(a.id, h.account_id)::text, coalesce(h.amount, 0), coalesce(a.held, 0)
    FROM hail.accounts a
    FULL JOIN (SELECT o.account_id, sum(o.amount) AS amount FROM open_holds o GROUP BY o.account_id) h ON h.account_id = a.id
    WHERE coalesce(a.held, 0) <> coalesce(h.amount, 0)
    UNION ALL
    SELECT 'hold_expired', h.id::text, 0, h.amount FROM open_holds h WHERE h.expires_at < hail.clock() - interval '5 minutes'
    UNION ALL
    SELECT 'trip_hold', t.id::text, t.due, coalesce(sum(h.amount), 0)
    FROM under_way t LEFT JOIN open_holds h ON h.reference_id = t.id AND h.reference_type = 'trip'
    GROUP BY t.id, t.due HAVING coalesce(sum(h.amount), 0) <> t.due OR count(h.id) > 1
    UNION ALL
    SELECT 'trip_hold_wallet', h.id::text, 0, h.amount
    FROM under_way t JOIN open_holds h ON h.reference_id = t.id AND h.reference_type = 'trip'
    JOIN hail.accounts a ON a.id = h.account_id
    WHERE (a.kind, a.owner_id) IS DISTINCT FROM ('CUSTOMER_WALLET', t.customer_id)
    UNION ALL
    SELECT 'hold_without_trip', h.id::text, 0, h.amount FROM open_holds h
    WHERE h.reference_type = 'trip' AND NOT EXISTS (SELECT FROM under_way t WHERE t.id = h.reference_id)
$$;
COMMENT ON FUNCTION hail.reconcile_holds() IS 'Findings about holds, accounts and trips under way as they are now. Internal.';

-- Group trips: completed, or paid, in a period.
CREATE INDEX trips_completed_at ON hail.trips USING brin (completed_at) WITH (autosummarize = on);
CREATE FUNCTION hail.reconcile_trips(from_time timestamptz, to_time timestamptz) RETURNS SETOF hail.finding
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS $$
BEGIN
    -- planned for the period it is called with
    RETURN QUERY
    WITH completed AS MATERIALIZED (
        -- what was to be posted: by the customer's wallet, for the driver, for the platform
        SELECT t.id, c.commission,
               CASE t.payment_method WHEN 'wallet' THEN t.price + t.tolls - t.promotion_amount ELSE 0 END AS due,
               CASE t.payment_method WHEN 'cash' THEN t.promotion_amount ELSE t.price + t.tolls END - c.commission AS driver,
               (t.payment_state NOT IN ('pending', 'payment_failed')
                AND CASE t.payment_method WHEN 'cash' THEN c.commission + t.promotion_amount ELSE t.price + t.tolls END > 0)::integer AS payments
        FROM hail.trips t, LATERAL (SELECT hail.commission(t.price, t.commission_bp) AS commission) c
        WHERE t.state = 'completed' AND t.completed_at >= from_time AND t.completed_at < to_time
    ), paid AS MATERIALIZED (
        SELECT t.reference_id AS trip_id, count(DISTINCT t.id) AS payments,
               sum(CASE e.direction WHEN 'debit' THEN e.amount ELSE - e.amount END) FILTER (WHERE a.kind = 'CUSTOMER_WALLET') AS amount,
               sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) FILTER (WHERE a.kind = 'DRIVER_WALLET') AS driver,
               sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) FILTER (WHERE a.kind = 'PLATFORM_REVENUE') AS commission
        FROM completed c JOIN hail.ledger_transactions t ON t.reference_id = c.id
        JOIN hail.ledger_entries e ON e.transaction_id = t.id JOIN hail.accounts a ON a.id = e.account_id
        WHERE t.reference_type = 'trip' AND t.principal = 'system' AND t.kind IN ('trip_fare_wallet', 'trip_fare_card', 'trip_commission_cash')
        GROUP BY t.reference_id
    )
    SELECT 'trip_payments', c.id::text, c.payments::numeric, coalesce(p.payments, 0)::numeric
    FROM completed c LEFT JOIN paid p ON p.trip_id = c.id WHERE coalesce(p.payments, 0) <> c.payments
    UNION ALL
    SELECT 'trip_amount', c.id::text, c.due, coalesce(p.amount, 0)
    FROM completed c JOIN paid p ON p.trip_id = c.id WHERE c.due > 0 AND c.due <> coalesce(p.amount, 0)
    UNION ALL
    SELECT 'trip_driver', c.id::text, c.driver, coalesce(p.driver, 0)
    FROM completed c JOIN paid p ON p.trip_id = c.id WHERE c.driver <> coalesce(p.driver, 0)
    UNION ALL
    SELECT 'trip_commission', c.id::text, c.commission, coalesce(p.commission, 0)
    FROM completed c JOIN paid p ON p.trip_id = c.id WHERE c.commission <> coalesce(p.commission, 0)
    UNION ALL
    SELECT 'paid_trip_not_completed', coalesce(t.reference_id, t.id)::text, 0, 1 FROM hail.ledger_transactions t
    WHERE t.created_at >= from_time AND t.created_at < to_time
      AND t.principal = 'system' AND t.kind IN ('trip_fare_wallet', 'trip_fare_card', 'trip_commission_cash')
      AND NOT EXISTS (SELECT FROM hail.trips r WHERE r.id = t.reference_id AND r.state = 'completed');
END
$$;
COMMENT ON FUNCTION hail.reconcile_trips(timestamptz, timestamptz) IS
'Findings about the trips completed, and the payments of trips recorded, from from_time until before to_time. Internal.';

-- Group withdrawals: those that moved in a period, and those waiting or on their way now.
CREATE FUNCTION hail.reconcile_payouts(from_time timestamptz, to_time timestamptz) RETURNS SETOF hail.finding
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
    RETURN QUERY
    WITH moved AS MATERIALIZED (
        SELECT w.id, CASE w.state WHEN 'approved' THEN 1 WHEN 'settled' THEN 2 WHEN 'failed' THEN 2 WHEN 'returned' THEN 3 ELSE 0 END AS transactions,
               CASE w.state WHEN 'approved' THEN w.amount ELSE 0 END AS on_its_way
        FROM hail.withdrawals w
        WHERE greatest(w.requested_at, w.decided_at, w.paid_at, w.closed_at) >= from_time
          AND greatest(w.requested_at, w.decided_at, w.paid_at, w.closed_at) < to_time
    ), posted AS MATERIALIZED (
        SELECT m.id, count(DISTINCT t.id) AS transactions,
               coalesce(sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) FILTER (WHERE a.kind = 'PAYOUT_CLEARING'), 0) AS on_its_way
        FROM moved m
        LEFT JOIN hail.ledger_transactions t ON t.reference_id = m.id AND t.reference_type = 'withdrawal' AND t.principal = 'system'
        LEFT JOIN hail.ledger_entries e ON e.transaction_id = t.id LEFT JOIN hail.accounts a ON a.id = e.account_id
        GROUP BY m.id
    )
    SELECT 'withdrawal_hold', w.id::text, (w.amount + w.fee)::numeric, coalesce(h.amount, 0)::numeric
    FROM hail.withdrawals w LEFT JOIN hail.holds h ON h.id = w.hold_id AND h.status = 'held' AND h.account_id = w.wallet_id
    WHERE w.state = 'requested' AND h.amount IS DISTINCT FROM w.amount + w.fee
    UNION ALL
    SELECT 'withdrawal_hold_idle', h.id::text, 0, h.amount FROM hail.holds h
    WHERE h.status = 'held' AND h.reference_type = 'withdrawal' AND h.principal = 'system'
      AND NOT EXISTS (SELECT FROM hail.withdrawals w WHERE w.hold_id = h.id AND w.state = 'requested')
    UNION ALL
    SELECT 'withdrawal_transactions', m.id::text, m.transactions, p.transactions
    FROM moved m JOIN posted p ON p.id = m.id WHERE m.transactions <> p.transactions
    UNION ALL
    SELECT 'withdrawal_amount', m.id::text, m.on_its_way, p.on_its_way
    FROM moved m JOIN posted p ON p.id = m.id WHERE m.on_its_way <> p.on_its_way
    UNION ALL
    SELECT 'withdrawal_unknown', t.id::text, 1, 0 FROM hail.ledger_transactions t
    WHERE t.created_at >= from_time AND t.created_at < to_time AND t.principal = 'system' AND t.reference_type = 'withdrawal'
      AND NOT EXISTS (SELECT FROM hail.withdrawals w WHERE w.id = t.reference_id)
    UNION ALL
    SELECT 'payout_clearing', coalesce(a.currency, w.currency), coalesce(w.due, 0), coalesce(a.posted, 0)
    FROM (SELECT x.currency::text, hail.exact_posted(x) AS posted FROM hail.accounts x WHERE x.kind = 'PAYOUT_CLEARING') a
    FULL JOIN (SELECT o.currency, sum(o.amount) AS due FROM hail.withdrawals o WHERE o.state = 'approved' GROUP BY o.currency) w
      ON w.currency = a.currency
    WHERE coalesce(w.due, 0) <> coalesce(a.posted, 0);
END
$$;
COMMENT ON FUNCTION hail.reconcile_payouts(timestamptz, timestamptz) IS
'Findings about withdrawals: those that moved from from_time until before to_time, those that hold or are on their way now. Internal.';

-- Fees, tips and refunds: of all payments made in the period, and of those something was posted for in it, however old.
CREATE FUNCTION hail.reconcile_trip_payments(from_time timestamptz, to_time timestamptz) RETURNS SETOF hail.finding
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS $$
    WITH looked_at AS MATERIALIZED (
        SELECT p.trip_id FROM hail.trip_payments p
        WHERE p.created_at >= from_time AND p.created_at < to_time AND (p.purpose <> 'fare' OR p.tip > 0 OR p.refunded > 0)
        UNION
        SELECT t.reference_id FROM hail.ledger_transactions t
        WHERE t.created_at >= from_time AND t.created_at < to_time AND t.principal = 'system' AND t.reference_type = 'trip'
          AND t.kind IN ('cancellation_fee', 'cancellation_fee_card', 'trip_tip', 'trip_refund_shared', 'trip_refund_platform', 'trip_refund_driver')
    ), posted AS MATERIALIZED (
        SELECT l.trip_id,
               sum(e.amount) FILTER (WHERE t.kind LIKE 'cancellation_fee%' AND e.direction = 'credit' AND a.kind <> 'CUSTOMER_WALLET') AS fee,
               sum(e.amount) FILTER (WHERE t.kind = 'trip_tip' AND e.direction = 'credit') AS tip,
               sum(e.amount) FILTER (WHERE t.kind LIKE 'trip_refund_%' AND e.direction = 'credit' AND a.kind <> 'PROMOTIONS') AS refunded
        FROM looked_at l JOIN hail.ledger_transactions t ON t.reference_id = l.trip_id AND t.reference_type = 'trip' AND t.principal = 'system'
        JOIN hail.ledger_entries e ON e.transaction_id = t.id JOIN hail.accounts a ON a.id = e.account_id
        GROUP BY l.trip_id
    ), compared AS (
        SELECT l.trip_id, CASE WHEN p.purpose <> 'fare' THEN p.paid ELSE 0 END AS fee_due, p.tip AS tip_due, p.refunded AS refund_due,
               coalesce(s.fee, 0) AS fee, coalesce(s.tip, 0) AS tip, coalesce(s.refunded, 0) AS refunded
        FROM looked_at l LEFT JOIN hail.trip_payments p ON p.trip_id = l.trip_id LEFT JOIN posted s ON s.trip_id = l.trip_id
    )
    SELECT 'trip_fee', c.trip_id::text, coalesce(c.fee_due, 0)::numeric, c.fee FROM compared c WHERE coalesce(c.fee_due, 0) <> c.fee
    UNION ALL
    SELECT 'trip_tips', c.trip_id::text, coalesce(c.tip_due, 0), c.tip FROM compared c WHERE coalesce(c.tip_due, 0) <> c.tip
    UNION ALL
    SELECT 'trip_refunds', c.trip_id::text, coalesce(c.refund_due, 0), c.refunded FROM compared c WHERE coalesce(c.refund_due, 0) <> c.refunded
$$;
COMMENT ON FUNCTION hail.reconcile_trip_payments(timestamptz, timestamptz) IS
'Findings about fees, tips and refunds of trips of a period: as their payments say, and as they were posted. Internal.';

-- Group guards: how the ledger's tables are protected, as the installation left them and now.
CREATE TABLE hail.guard_definitions (
    object     text PRIMARY KEY,
    definition text NOT NULL
);
COMMENT ON TABLE hail.guard_definitions IS
'What protects the ledger''s tables (triggers, their functions, policies, constraints, owners), as the installation made it.';

CREATE FUNCTION hail.guards_now() RETURNS SETOF hail.guard_definitions
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = on SET intervalstyle = 'postgres' SET datestyle = 'ISO, MDY' SET timezone = 'UTC'
AS $$
    WITH guarded AS MATERIALIZED (
        SELECT c.* FROM pg_class c WHERE c.relnamespace = 'hail'::regnamespace AND c.relname IN (
            'accounts', 'ledger_transactions', 'ledger_entries', 'holds', 'ledger_closes', 'ledger_close_totals', 'daily_balances',
            'ledger_chain', 'ledger_chain_steps', 'gateway_statements', 'gateway_statement_lines', 'gateway_statement_faults', 'gateway_decisions')
    ), triggers AS MATERIALIZED (
        SELECT t.*, c.relname FROM guarded c JOIN pg_trigger t ON t.tgrelid = c.oid
    )
    SELECT format('table %s', c.relname), concat_ws(' ', c.relkind, c.relpersistence, c.relowner::regrole,
               CASE WHEN c.relrowsecurity THEN 'secured' END, CASE WHEN c.relforcerowsecurity THEN 'forced' END,
               (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END), ', ' ORDER BY a.attnum)
                FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
    FROM guarded c
    UNION ALL
    SELECT format('trigger %s.%s', t.relname, t.tgname), concat(t.tgenabled, ' ', pg_get_triggerdef(t.oid))
    FROM triggers t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT format('references of %s', t.relname), format('%s switched off', count(*))
    FROM triggers t WHERE t.tgisinternal AND t.tgenabled <> 'O' GROUP BY t.relname
    UNION ALL
    SELECT format('function %s', p.oid::regprocedure), concat(p.proowner::regrole, ' ', pg_get_functiondef(p.oid))
    FROM pg_proc p WHERE p.oid IN (SELECT t.tgfoid FROM triggers t WHERE NOT t.tgisinternal)
    UNION ALL
    SELECT format('rule %s.%s', c.relname, r.rulename), pg_get_ruledef(r.oid)
    FROM guarded c JOIN pg_rewrite r ON r.ev_class = c.oid
    UNION ALL
    SELECT format('policy %s.%s', c.relname, p.polname), concat_ws(' ', p.polcmd, p.polpermissive,
               (SELECT string_agg(r.role::regrole::text, ',' ORDER BY r.role::regrole::text) FROM unnest(p.polroles) r (role)),
               pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM guarded c JOIN pg_policy p ON p.polrelid = c.oid
    UNION ALL
    SELECT format('constraint %s.%s', c.relname, k.conname), concat(k.convalidated, ' ', pg_get_constraintdef(k.oid))
    FROM guarded c JOIN pg_constraint k ON k.conrelid = c.oid
    UNION ALL
    SELECT format('unique index %s', i.indexrelid::regclass), concat(i.indisvalid, ' ', i.indisready, ' ', pg_get_indexdef(i.indexrelid))
    FROM guarded c JOIN pg_index i ON i.indrelid = c.oid WHERE i.indisunique
    UNION ALL
    SELECT format('inheritance %s of %s', i.inhrelid::regclass, i.inhparent::regclass), 'inherits'
    FROM pg_inherits i WHERE i.inhparent IN (SELECT c.oid FROM guarded c) OR i.inhrelid IN (SELECT c.oid FROM guarded c)
    UNION ALL
    SELECT format('grant of %s on %s to %s', g.privilege_type, g.relname, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END), 'may write'
    FROM (SELECT c.relname, c.relowner, x.grantee, x.privilege_type FROM guarded c, aclexplode(c.relacl) x
          UNION
          SELECT c.relname, c.relowner, x.grantee, x.privilege_type
          FROM guarded c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) x) g
    WHERE g.grantee <> g.relowner AND g.privilege_type <> 'SELECT'
    UNION ALL
    SELECT format('column %s.%s', c.relname, a.attname),
           concat_ws(' ', nullif(a.attidentity, ''), nullif(a.attgenerated, ''),
                     (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum))
    FROM guarded c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND (a.atthasdef OR a.attidentity <> '')
    UNION ALL
    SELECT format('constraint %s.%s', k.contypid::regtype, k.conname), pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid WHERE t.typnamespace = 'hail'::regnamespace
    UNION ALL
    SELECT format('function %s', p.oid::regprocedure), concat(p.proowner::regrole, ' ', pg_get_functiondef(p.oid))
    FROM pg_proc p WHERE p.pronamespace = 'hail'::regnamespace AND p.prorettype <> 'trigger'::regtype
      AND p.proname ~ '^(reconcile|guards|post|place|release|reverse|hold|capture|expire_holds|fold|exact_posted|balance|ensure_account)(_|$)'
    UNION ALL
    SELECT format('kind %s', k.kind), concat_ws(' ', k.has_owner, k.floor) FROM hail.account_kinds k
    UNION ALL
    SELECT format('floor of account %s', a.id), 'below that of its kind'
    FROM hail.accounts a JOIN hail.account_kinds k ON k.kind = a.kind WHERE k.floor IS NOT NULL AND (a.floor IS NULL OR a.floor < k.floor)
    UNION ALL
    SELECT format('member of %s: %s', m.roleid::regrole, m.member::regrole), 'may do what the owner of the ledger may'
    FROM pg_auth_members m WHERE m.roleid = 'hail_owner'::regrole
$$;
COMMENT ON FUNCTION hail.guards_now() IS 'What protects the ledger''s tables now, to be compared with hail.guard_definitions; the same words whatever the settings (a restore has row_security off). Internal.';

CREATE FUNCTION hail.reconcile_guards() RETURNS SETOF hail.finding
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'guards', CASE WHEN n.object IS NULL THEN 'missing: ' WHEN d.object IS NULL THEN 'added: ' ELSE 'changed: ' END
                     || coalesce(d.object, n.object), (d.object IS NOT NULL)::integer::numeric, (d.object IS NULL)::integer::numeric
    FROM hail.guard_definitions d FULL JOIN hail.guards_now() n ON n.object = d.object
    WHERE n.definition IS DISTINCT FROM d.definition
$$;
COMMENT ON FUNCTION hail.reconcile_guards() IS 'Findings about the protection of the ledger''s tables. Internal.';

-- All groups.
CREATE FUNCTION hail.reconcile_period(from_time timestamptz, to_time timestamptz, whole boolean)
RETURNS TABLE (check_name text, subject text, expected bigint, actual bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- One snapshot (all functions are STABLE): the books of a busy system agree with each other at every moment.
    RETURN QUERY
    SELECT f.check_name, f.subject, hail.as_bigint(f.expected), hail.as_bigint(f.actual)
    FROM (SELECT * FROM hail.reconcile_entries(from_time, to_time)
          UNION ALL SELECT * FROM hail.reconcile_balances(whole)
          UNION ALL SELECT * FROM hail.reconcile_holds()
          UNION ALL SELECT * FROM hail.reconcile_trips(from_time, to_time)
          UNION ALL SELECT * FROM hail.reconcile_payouts(from_time, to_time)
          UNION ALL SELECT * FROM hail.reconcile_statements(from_time, to_time)

          UNION ALL SELECT * FROM hail.reconcile_trip_payments(from_time, to_time)
          UNION ALL SELECT * FROM hail.reconcile_payments(from_time, to_time)
          UNION ALL SELECT * FROM hail.reconcile_closes(from_time, to_time)
          UNION ALL SELECT * FROM hail.reconcile_guards()) f
    ORDER BY f.check_name, f.subject;
END
$$;
COMMENT ON FUNCTION hail.reconcile_period(timestamptz, timestamptz, boolean) IS 'The checks of hail.reconcile() and hail.reconcile_all(). Internal.';

CREATE FUNCTION hail.as_bigint(amount numeric) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT least(greatest(amount, -9223372036854775808), 9223372036854775807)::bigint $$;
COMMENT ON FUNCTION hail.as_bigint(numeric) IS 'The nearest bigint: sums of rows that should not be there may be beyond. Internal.';

CREATE FUNCTION hail.require_auditor() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(hail.current_role_name(), '') <> 'analyst' THEN
        PERFORM hail.require_admin();
    END IF;
END
$$;
COMMENT ON FUNCTION hail.require_auditor() IS 'Error unless the caller is an analyst or an administrator. Internal.';

CREATE FUNCTION hail.ledger_day(day date) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (day BETWEEN '1970-01-01' AND '9999-12-31') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'day must be a date from 1970 on', 'day');
    END IF;
    RETURN hail.day_start(day);
END
$$;
COMMENT ON FUNCTION hail.ledger_day(date) IS 'When a day of the ledger begins: midnight UTC. Error invalid_value. Internal.';

CREATE FUNCTION hail.reconcile(day date)
RETURNS TABLE (check_name text, subject text, expected bigint, actual bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_auditor();
    RETURN QUERY SELECT * FROM hail.reconcile_period(hail.ledger_day(day), hail.ledger_day(day) + interval '1 day', false);
END
$$;
COMMENT ON FUNCTION hail.reconcile(date) IS
'Compare the ledger with itself, with the holds and with the trips: what differs (hail.reconcile_checks), with the value expected and the one found. Transactions, entries and completed trips of that day (UTC, record time); balances (from the last daily close on), holds and open trips as they are now. No rows: all is well. Administrators and analysts.';

CREATE FUNCTION hail.reconcile_all()
RETURNS TABLE (check_name text, subject text, expected bigint, actual bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_auditor();
    RETURN QUERY SELECT * FROM hail.reconcile_period('-infinity', 'infinity', true);
END
$$;
COMMENT ON FUNCTION hail.reconcile_all() IS
'hail.reconcile() of all time: every entry, every close, balances as the sums of all their entries. Reads the whole ledger. Administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.reconcile(date), hail.reconcile_all() TO hail_admin, hail_analyst;

-- For the scripts that follow.
CREATE FUNCTION hail.ledger_guard_close() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$ BEGIN PERFORM hail.fail('ledger_protected', format('rows of %s are never changed or removed', TG_TABLE_NAME)); RETURN NULL; END $$;
COMMENT ON FUNCTION hail.ledger_guard_close() IS 'Trigger: what was closed stays. Internal.';
CREATE FUNCTION hail.writers_ended(wait interval) RETURNS boolean
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'hail_writers_ended';
COMMENT ON FUNCTION hail.writers_ended(interval) IS
'Wait until the transactions of this database that run now have ended, so long at most: whether they have. What they wrote is seen by the statements that follow. Internal.';
