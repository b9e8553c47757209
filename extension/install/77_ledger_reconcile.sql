-- 77_ledger_reconcile: the ledger compared with itself, with holds and with trips

CREATE FUNCTION hail.reconcile(day date)
RETURNS TABLE (check_name text, subject text, expected bigint, actual bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    from_time timestamptz := day::timestamp AT TIME ZONE 'UTC';
    to_time timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF coalesce(hail.current_role_name(), '') <> 'analyst' THEN
        PERFORM hail.require_admin();
    END IF;
    -- One statement, one snapshot: the books of a busy system agree with each other at every moment.
    RETURN QUERY
    WITH legs AS MATERIALIZED (
        SELECT e.id, e.transaction_id, e.account_id, e.currency, e.xid, e.balance_after, e.direction, e.amount,
               CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END AS signed
        FROM hail.ledger_entries e
    ), of_day AS (
        SELECT t.* FROM hail.ledger_transactions t WHERE t.created_at >= from_time AND t.created_at < to_time
    ), wallets AS (
        SELECT a.*, coalesce(l.posted_by_entries, 0) AS posted_by_entries, coalesce(l.newest, 0) AS newest
        FROM hail.accounts a
        LEFT JOIN (SELECT g.account_id, sum(g.signed) AS posted_by_entries,
                          (array_agg(g.balance_after ORDER BY g.id DESC))[1] AS newest
                   FROM legs g GROUP BY g.account_id) AS l ON l.account_id = a.id
        WHERE NOT a.is_system
    ), open_holds AS (
        SELECT h.* FROM hail.holds h WHERE h.status = 'held'
    ), completed AS (
        SELECT t.id, t.payment_method = 'wallet' AS by_wallet, t.price, hail.commission(t.price, t.commission_bp) AS commission,
               CASE t.payment_method WHEN 'wallet' THEN t.price ELSE hail.commission(t.price, t.commission_bp) END AS due
        FROM hail.trips t WHERE t.state = 'completed' AND t.completed_at >= from_time AND t.completed_at < to_time
    ), paid AS (
        SELECT t.reference_id AS trip_id, count(DISTINCT t.id) AS payments,
               sum(g.amount) FILTER (WHERE g.direction = 'debit' AND (a.kind = 'CUSTOMER_WALLET') = c.by_wallet) AS amount,
               sum(g.signed) FILTER (WHERE a.kind = 'DRIVER_WALLET') AS driver,
               sum(g.signed) FILTER (WHERE a.kind = 'PLATFORM_REVENUE') AS commission
        FROM completed c JOIN hail.ledger_transactions t ON t.reference_id = c.id
        JOIN legs g ON g.transaction_id = t.id JOIN hail.accounts a ON a.id = g.account_id
        WHERE t.reference_type = 'trip' AND t.principal = 'system' AND t.kind IN ('trip_fare_wallet', 'trip_commission_cash')
        GROUP BY t.reference_id
    ), findings (check_name, subject, expected, actual) AS (
        SELECT 'transaction_balanced', concat_ws(' ', t.id, g.currency), 0::numeric, sum(g.signed)
        FROM of_day t JOIN legs g ON g.transaction_id = t.id GROUP BY t.id, g.currency HAVING sum(g.signed) <> 0
        UNION ALL
        SELECT 'transaction_entries', t.id::text, 2, count(g.id)
        FROM of_day t LEFT JOIN legs g ON g.transaction_id = t.id GROUP BY t.id HAVING count(g.id) < 2
        UNION ALL
        SELECT 'currency_balanced', g.currency, 0, sum(g.signed) FROM legs g GROUP BY g.currency HAVING sum(g.signed) <> 0
        UNION ALL
        SELECT 'entry_currency', g.id::text, 0, 1 FROM legs g LEFT JOIN hail.accounts a ON a.id = g.account_id
        WHERE a.currency IS DISTINCT FROM g.currency
        UNION ALL
        SELECT 'wallet_posted', w.id::text, w.posted_by_entries, w.posted FROM wallets w WHERE w.posted <> w.posted_by_entries
        UNION ALL
        SELECT 'wallet_newest_entry', w.id::text, w.newest, w.posted FROM wallets w WHERE w.posted <> w.newest
        UNION ALL
        SELECT 'system_posted', a.id::text, coalesce(sum(g.signed), 0), a.posted
        FROM hail.accounts a LEFT JOIN legs g ON g.account_id = a.id AND g.xid < a.folded_xid
        WHERE a.is_system GROUP BY a.id HAVING a.posted <> coalesce(sum(g.signed), 0)
        UNION ALL
        SELECT 'account_held', a.id::text, coalesce(sum(h.amount), 0), a.held
        FROM hail.accounts a LEFT JOIN open_holds h ON h.account_id = a.id GROUP BY a.id HAVING a.held <> coalesce(sum(h.amount), 0)
        UNION ALL
        SELECT 'customer_wallet_negative', w.id::text, 0, w.posted - w.held
        FROM wallets w WHERE w.kind = 'CUSTOMER_WALLET' AND w.posted - w.held < 0
        UNION ALL
        SELECT 'trip_payments', c.id::text, (c.due > 0)::integer, coalesce(p.payments, 0)
        FROM completed c LEFT JOIN paid p ON p.trip_id = c.id WHERE coalesce(p.payments, 0) <> (c.due > 0)::integer
        UNION ALL
        SELECT 'trip_amount', c.id::text, c.due, coalesce(p.amount, 0)
        FROM completed c JOIN paid p ON p.trip_id = c.id WHERE c.due <> coalesce(p.amount, 0)
        UNION ALL
        SELECT 'trip_driver', c.id::text, c.price * c.by_wallet::integer - c.commission, coalesce(p.driver, 0)
        FROM completed c JOIN paid p ON p.trip_id = c.id
        WHERE c.price * c.by_wallet::integer - c.commission <> coalesce(p.driver, 0)
        UNION ALL
        SELECT 'trip_commission', c.id::text, c.commission, coalesce(p.commission, 0)
        FROM completed c JOIN paid p ON p.trip_id = c.id WHERE c.commission <> coalesce(p.commission, 0)
        UNION ALL
        SELECT 'paid_trip_not_completed', coalesce(t.reference_id, t.id)::text, 0, 1 FROM of_day t
        WHERE t.principal = 'system' AND t.kind IN ('trip_fare_wallet', 'trip_commission_cash')
          AND NOT EXISTS (SELECT FROM hail.trips r WHERE r.id = t.reference_id AND r.state = 'completed')
        UNION ALL
        SELECT 'trip_hold', t.id::text, t.price - t.waiting_amount + t.waiting_max, coalesce(sum(h.amount), 0)
        FROM hail.trips t LEFT JOIN open_holds h ON h.reference_id = t.id AND h.reference_type = 'trip'
        WHERE t.state IN ('matched', 'arrived', 'started') AND t.payment_method = 'wallet'
        GROUP BY t.id HAVING coalesce(sum(h.amount), 0) <> t.price - t.waiting_amount + t.waiting_max OR count(h.id) > 1
        UNION ALL
        SELECT 'hold_without_trip', h.id::text, 0, h.amount FROM open_holds h
        WHERE h.reference_type = 'trip' AND NOT EXISTS (
            SELECT FROM hail.trips t WHERE t.id = h.reference_id AND t.payment_method = 'wallet'
               AND t.state IN ('matched', 'arrived', 'started'))
        UNION ALL
        -- The guards are in place, and no table hangs below the guarded ones.
        SELECT 'guards', 'triggers', 12, count(*) FROM pg_trigger g
        WHERE g.tgname IN ('ledger_guard', 'ledger_guard_truncate', 'ledger_note') AND g.tgenabled = 'A'
          AND g.tgrelid IN ('hail.accounts'::regclass, 'hail.ledger_transactions'::regclass,
                            'hail.ledger_entries'::regclass, 'hail.holds'::regclass)
        HAVING count(*) <> 12
        UNION ALL
        SELECT 'guards', i.inhrelid::regclass::text, 0, 1 FROM pg_inherits i
        WHERE i.inhparent IN ('hail.accounts'::regclass, 'hail.ledger_transactions'::regclass,
                              'hail.ledger_entries'::regclass, 'hail.holds'::regclass)
    )
    SELECT f.check_name, f.subject, f.expected::bigint, f.actual::bigint FROM findings f ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION hail.reconcile(date) IS
'Compare the ledger with itself, with the holds and with the trips: what differs, with the value expected and the one found. Transactions and completed trips of that day (UTC); balances, holds and open trips as they are now. No rows: all is well. Administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.reconcile(date) TO hail_admin, hail_analyst;
