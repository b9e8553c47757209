-- 77_ledger_earnings: what drivers earn, as the ledger tells it

CREATE FUNCTION hail.earning_category(kind text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN kind IN ('trip_fare_wallet', 'trip_fare_card', 'trip_commission_cash') THEN 'trip'
            WHEN kind ~ '(^|_)tips?(_|$)' THEN 'tip'
            WHEN kind ~ '(^|_)tolls?(_|$)' THEN 'toll'
            WHEN kind ~ '(^|_)(refund|chargeback)' THEN 'refund'
            WHEN kind ~ '^(cancellation|no_show)' THEN 'cancellation'
            WHEN kind ~ '^withdrawal_' THEN 'withdrawal'
            WHEN kind ~ '^deposit' THEN 'deposit'
            ELSE 'adjustment' END;
COMMENT ON FUNCTION hail.earning_category(text) IS
'What a transaction of this kind is to a driver whose wallet it moves: trip, tip, toll, refund, cancellation (fees), withdrawal, deposit, or adjustment: all else. Without a search path of its own, so that it becomes part of the query. Internal.';

-- A fare is told by hail.trip_payments, which is written with its entries and says what they have netted, also of a cash
-- trip without commission, which has none. All else is told by the entries themselves.
CREATE FUNCTION hail.earning_lines(of_driver uuid, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (at timestamptz, currency text, category text, kind text, trip_id uuid, transaction_id uuid, entry_id bigint, gross bigint,
               commission bigint, tolls bigint, promotion bigint, cash bigint, fee bigint, amount bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT p.paid_at, p.currency, 'trip', 'fare', p.trip_id, NULL::uuid, NULL::bigint, p.fare, p.commission, p.tolls, p.promotion,
           CASE p.method::text WHEN 'cash' THEN p.due ELSE 0 END, 0::bigint,
           p.fare - p.commission + p.tolls - CASE p.method::text WHEN 'cash' THEN p.due ELSE 0 END
    FROM hail.trip_payments p
    WHERE p.driver_id = of_driver AND p.purpose = 'fare' AND p.paid_at >= from_time AND p.paid_at < to_time
    UNION ALL
    SELECT e.created_at, a.currency::text, hail.earning_category(t.kind), t.kind, CASE t.reference_type WHEN 'trip' THEN t.reference_id END,
           e.transaction_id, e.id, 0, 0, 0, 0, 0,
           CASE t.kind WHEN 'withdrawal_approved' THEN w.fee WHEN 'withdrawal_failed' THEN - w.fee ELSE 0 END, e.amount
    FROM hail.accounts a, LATERAL hail.statement_entries(a.id, from_time, to_time) e
    JOIN hail.ledger_transactions t ON t.id = e.transaction_id
    LEFT JOIN hail.withdrawals w ON w.id = t.reference_id AND t.reference_type = 'withdrawal'
    WHERE a.owner_id = of_driver AND a.kind = 'DRIVER_WALLET' AND hail.earning_category(t.kind) <> 'trip';
END;
COMMENT ON FUNCTION hail.earning_lines(uuid, timestamptz, timestamptz) IS
'What moved a driver''s wallets at or after from_time and before to_time: fares with their parts, all else by entry; amount: what came into the wallet. Without a search path of its own, so that it becomes part of the query. Internal.';

CREATE TYPE hail.earnings AS (
    currency          text,
    trips             bigint,
    gross             bigint,
    commission        bigint,
    net               bigint,
    tolls             bigint,
    promotions        bigint,
    tips              bigint,
    cancellation_fees bigint,
    refunds           bigint,
    adjustments       bigint,
    cash_collected    bigint,
    withdrawn         bigint,
    withdrawal_fees   bigint,
    deposited         bigint,
    wallet_change     bigint
);
COMMENT ON TYPE hail.earnings IS
'Minor units. gross: fares, however paid; promotions: that of them and of tolls which promotions paid; refunds: below 0 when the driver bore them; net = gross - commission + tolls + tips + cancellation_fees + refunds + adjustments. wallet_change = net - cash_collected - withdrawn - withdrawal_fees + deposited: the sum of the wallet''s entries.';

CREATE FUNCTION hail.sum_earnings(of_driver uuid, from_time timestamptz, to_time timestamptz, per text, zone text,
                                  OUT part text, OUT sums hail.earnings) RETURNS SETOF record
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT l.part, ROW(l.currency, count(*) FILTER (WHERE l.category = 'trip'), sum(l.gross), sum(l.commission),
               sum(l.gross - l.commission + l.tolls)
                   + coalesce(sum(l.amount) FILTER (WHERE l.category NOT IN ('trip', 'withdrawal', 'deposit')), 0),
               sum(l.tolls) + coalesce(sum(l.amount) FILTER (WHERE l.category = 'toll'), 0), sum(l.promotion),
               coalesce(sum(l.amount) FILTER (WHERE l.category = 'tip'), 0),
               coalesce(sum(l.amount) FILTER (WHERE l.category = 'cancellation'), 0),
               coalesce(sum(l.amount) FILTER (WHERE l.category = 'refund'), 0),
               coalesce(sum(l.amount) FILTER (WHERE l.category = 'adjustment'), 0),
               sum(l.cash), - coalesce(sum(l.amount + l.fee) FILTER (WHERE l.category = 'withdrawal'), 0), sum(l.fee),
               coalesce(sum(l.amount) FILTER (WHERE l.category = 'deposit'), 0), sum(l.amount))::hail.earnings
    FROM (SELECT x.*, CASE per WHEN 'day' THEN to_char(x.at AT TIME ZONE zone, 'YYYY-MM-DD')
                               WHEN 'trip' THEN coalesce(x.trip_id::text, 'other') ELSE '' END AS part
          FROM hail.earning_lines(of_driver, from_time, to_time) x) l
    GROUP BY l.currency, l.part;
END;
COMMENT ON FUNCTION hail.sum_earnings(uuid, timestamptz, timestamptz, text, text) IS
'Earnings by currency and part: a day of a time zone, a trip ("other": what belongs to none), or all. Internal.';

CREATE FUNCTION hail.driver_earnings(driver_id uuid, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
RETURNS SETOF hail.earnings
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    RETURN QUERY
        SELECT (s.sums).* FROM hail.sum_earnings(driver_earnings.driver_id, coalesce(from_time, '-infinity'), coalesce(to_time, 'infinity'),
                                                 'all', 'UTC') s
        ORDER BY 1;
END
$$;
COMMENT ON FUNCTION hail.driver_earnings(uuid, timestamptz, timestamptz) IS
'What a driver earned by currency, as the ledger recorded it at or after from_time and before to_time (hail.earnings): trips that are paid, their gross (cash included), commission, net and so on. Trips whose payment is open are not in it. For the driver and administrators.';
GRANT EXECUTE ON FUNCTION hail.driver_earnings(uuid, timestamptz, timestamptz) TO hail_driver, hail_admin;

CREATE FUNCTION hail.calculate_earnings(driver_id uuid, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
                                        per text DEFAULT 'day', OUT part text, OUT earnings hail.earnings) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    IF (per IN ('day', 'trip')) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'per is day or trip', 'per');
    ELSIF from_time >= to_time THEN
        PERFORM hail.fail('invalid_value', 'to_time must be later than from_time', 'to_time');
    END IF;
    RETURN QUERY
        SELECT s.part, s.sums
        FROM hail.sum_earnings(calculate_earnings.driver_id, coalesce(from_time, '-infinity'), coalesce(to_time, 'infinity'), per,
                 coalesce((SELECT r.timezone FROM hail.drivers d JOIN hail.regions r ON r.id = d.region_id
                           WHERE d.id = calculate_earnings.driver_id), 'UTC')) s
        ORDER BY s.part, (s.sums).currency LIMIT 10000;
END
$$;
COMMENT ON FUNCTION hail.calculate_earnings(uuid, timestamptz, timestamptz, text) IS
'A driver''s earnings by day (of its region''s time zone) or by trip (part: its id; "other": withdrawals and what else belongs to none), 10000 rows at most; together they are hail.driver_earnings(). For the driver and administrators. Errors: forbidden, invalid_value (per, to_time).';
GRANT EXECUTE ON FUNCTION hail.calculate_earnings(uuid, timestamptz, timestamptz, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.price_earnings(driver_id uuid, price bigint, service_class text DEFAULT NULL, OUT currency text,
                                    OUT class text, OUT commission_bp integer, OUT gross bigint, OUT commission bigint, OUT net bigint)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    IF (price BETWEEN 0 AND 9007199254740992) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'price must be between 0 and 2^53', 'price');
    END IF;
    RETURN QUERY
        SELECT r.currency, f.service_class, f.commission_bp, price, c.commission, price - c.commission
        FROM hail.drivers d JOIN hail.regions r ON r.id = d.region_id
        JOIN hail.fares f ON f.region_id = d.region_id AND f.effective @> hail.clock(),
             LATERAL (SELECT hail.commission(price, f.commission_bp)) AS c (commission)
        WHERE d.id = price_earnings.driver_id
          AND CASE WHEN price_earnings.service_class IS NULL THEN f.service_class = ANY (d.service_classes)
                   ELSE f.service_class = price_earnings.service_class END
        ORDER BY f.service_class;
    IF NOT FOUND THEN
        PERFORM hail.fail('unknown_class', 'no price list of this driver''s region has this class', 'service_class');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.price_earnings(uuid, bigint, text) IS
'What a trip at a price (minor units) would earn a driver by the price lists in force in its region: of a class, or of each that it serves. For the driver and administrators. Errors: forbidden, invalid_value (price), unknown_class.';
GRANT EXECUTE ON FUNCTION hail.price_earnings(uuid, bigint, text) TO hail_driver, hail_admin;

CREATE FUNCTION hail.list_earnings(driver_id uuid, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
                                   max_results integer DEFAULT 20, cursor text DEFAULT NULL)
RETURNS TABLE (at timestamptz, category text, kind text, trip_id uuid, transaction_id uuid, currency text, gross bigint, commission bigint,
               tolls bigint, promotion bigint, cash_collected bigint, amount bigint, next_cursor text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    begins timestamptz := coalesce(list_earnings.from_time, '-infinity');
    ends timestamptz := coalesce(list_earnings.to_time, 'infinity');
    scope text := format('earnings of %s from %s to %s', list_earnings.driver_id, extract(epoch FROM begins), extract(epoch FROM ends));
    place bytea;
    before_at timestamptz := 'infinity';
    before_id uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
BEGIN
    PERFORM hail.require_self('driver', list_earnings.driver_id);
    PERFORM hail.require_page(list_earnings.max_results);
    place := hail.cursor_place(list_earnings.cursor, scope);
    IF place IS NOT NULL THEN
        before_at := 'epoch'::timestamptz + hail.place_number(place) * interval '1 microsecond';
        before_id := hail.place_id(place);
    END IF;
    RETURN QUERY
        SELECT p.at, p.category, p.kind, p.trip_id, p.transaction_id, p.currency, p.gross, p.commission, p.tolls, p.promotion, p.cash, p.amount,
               CASE WHEN p.more AND p.n = list_earnings.max_results THEN hail.cursor_text(
                   hail.ledger_place((extract(epoch FROM p.at) * 1000000)::bigint, p.row_id), scope) END
        FROM (SELECT l.*, row_number() OVER (ORDER BY l.at DESC, l.row_id DESC) AS n, count(*) OVER () > list_earnings.max_results AS more
              FROM (SELECT x.*, coalesce(lpad(to_hex(x.entry_id), 32, '0')::uuid, x.trip_id) AS row_id
                    FROM hail.earning_lines(list_earnings.driver_id, begins, ends) x) l
              WHERE (l.at, l.row_id) < (before_at, before_id)
              ORDER BY l.at DESC, l.row_id DESC LIMIT list_earnings.max_results + 1) p
        WHERE p.n <= list_earnings.max_results ORDER BY p.n;
END
$$;
COMMENT ON FUNCTION hail.list_earnings(uuid, timestamptz, timestamptz, integer, text) IS
'A page of what a driver''s earnings are made of, newest first: each paid trip with gross, commission, tolls, promotion and cash collected, and each other movement of the wallet; amount: what came into the wallet (below 0: out of it), minor units. next_cursor, in the last row when more follow, gives the next page. For the driver and administrators. Errors: forbidden, invalid_value (max_results, cursor).';
GRANT EXECUTE ON FUNCTION hail.list_earnings(uuid, timestamptz, timestamptz, integer, text) TO hail_driver, hail_admin;
