-- 78_ledger_reports: daily closes, trial balance, balances of the past, the daily report (src/ledger/REPORTS.md)
--
-- All by record time (created_at): what has been closed does not change any more. The effective time of a transaction
-- (effective_at) may lie before; it is for statements, not for closes.

CREATE TABLE hail.ledger_closes (
    day          date PRIMARY KEY,
    transactions bigint NOT NULL,
    entries      bigint NOT NULL,
    accounts     bigint NOT NULL,
    closed_at    timestamptz NOT NULL,
    closed_by    text NOT NULL,
    chained_until timestamptz,
    chain_head   bytea
);
COMMENT ON TABLE hail.ledger_closes IS
'Closed days (UTC, record time) in their order: numbers of transactions, entries, and accounts they moved. Days without entries have none. Append-only.';
COMMENT ON COLUMN hail.ledger_closes.chain_head IS 'The newest head of hail.ledger_chain_steps when the day was closed, and what it covers (chained_until); NULL: there was none.';
CREATE TABLE hail.ledger_close_totals (
    day      date REFERENCES hail.ledger_closes (day),
    currency text,
    kind     text,
    opening  numeric NOT NULL,
    debits   numeric NOT NULL,
    credits  numeric NOT NULL,
    closing  numeric NOT NULL,
    entries  bigint NOT NULL,
    owed     numeric NOT NULL,
    owing    numeric NOT NULL,
    PRIMARY KEY (day, currency, kind),
    CHECK (closing = opening + credits - debits AND closing = owed + owing)
);
COMMENT ON TABLE hail.ledger_close_totals IS
'The trial balance of each closed day: every kind of account that has had entries until then, minor units. Append-only.';
COMMENT ON COLUMN hail.ledger_close_totals.owed IS 'Sum of the closing balances above zero.';
COMMENT ON COLUMN hail.ledger_close_totals.owing IS 'Sum of the closing balances below zero.';
CREATE TABLE hail.daily_balances (
    account_id uuid,
    day        date REFERENCES hail.ledger_closes (day),
    debits     bigint NOT NULL,
    credits    bigint NOT NULL,
    balance    bigint NOT NULL,
    entries    integer NOT NULL,
    PRIMARY KEY (account_id, day)
);
CREATE INDEX daily_balances_day ON hail.daily_balances USING brin (day) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON TABLE hail.daily_balances IS
'Closing balances, minor units, of the accounts that had entries on a closed day; the balance of the others is that of their last row before. Append-only.';

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['ledger_closes', 'ledger_close_totals', 'daily_balances'] LOOP
        EXECUTE format('CREATE TRIGGER ledger_guard BEFORE UPDATE OR DELETE ON hail.%I FOR EACH ROW EXECUTE FUNCTION hail.ledger_guard_close()', t);
        EXECUTE format('CREATE TRIGGER ledger_guard_truncate BEFORE TRUNCATE ON hail.%I FOR EACH STATEMENT EXECUTE FUNCTION hail.ledger_guard_truncate()', t);
        EXECUTE format('ALTER TABLE hail.%I ENABLE ALWAYS TRIGGER ledger_guard, ENABLE ALWAYS TRIGGER ledger_guard_truncate', t);
        EXECUTE format('CREATE POLICY ledger_read ON hail.%I FOR SELECT TO hail_admin, hail_analyst USING (hail.current_role_name() IN (''admin'', ''analyst''))', t);
        EXECUTE format('GRANT SELECT ON hail.%I TO hail_admin, hail_analyst', t);
    END LOOP;
END
$$;

CREATE FUNCTION hail.closed_until() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT coalesce((SELECT hail.day_start(max(c.day)) + interval '1 day' FROM hail.ledger_closes c), '-infinity') $$;
COMMENT ON FUNCTION hail.closed_until() IS 'The end of the last closed day; -infinity when there is none. Internal.';

CREATE FUNCTION hail.next_day_to_close() RETURNS date
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    since timestamptz := hail.closed_until();
BEGIN
    -- most often the very next one; else all that is not closed has to be looked at
    IF EXISTS (SELECT FROM hail.ledger_entries e WHERE e.created_at >= since AND e.created_at < since + interval '1 day') THEN
        RETURN hail.utc_day(since);
    END IF;
    RETURN (SELECT hail.utc_day(min(e.created_at)) FROM hail.ledger_entries e WHERE e.created_at >= since);
END
$$;
COMMENT ON FUNCTION hail.next_day_to_close() IS 'The first day with entries that is not closed; NULL: none. Internal.';

CREATE FUNCTION hail.write_close(day date, closed_by text) RETURNS hail.ledger_closes
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    from_time timestamptz := hail.ledger_day(day);
    to_time timestamptz := from_time + interval '1 day';
    before date := (SELECT max(c.day) FROM hail.ledger_closes c);
    result hail.ledger_closes;
BEGIN
    INSERT INTO hail.ledger_closes AS c (day, transactions, entries, accounts, closed_at, closed_by, chained_until, chain_head)
    SELECT day, (SELECT count(*) FROM hail.ledger_transactions t WHERE t.created_at >= from_time AND t.created_at < to_time),
           count(*), count(DISTINCT e.account_id), hail.clock(), closed_by,
           (SELECT max(s.until) FROM hail.ledger_chain_steps s), (SELECT s.head FROM hail.ledger_chain_steps s ORDER BY s.until DESC LIMIT 1)
    FROM hail.ledger_entries e WHERE e.created_at >= from_time AND e.created_at < to_time
    RETURNING c.* INTO result;
    INSERT INTO hail.daily_balances (account_id, day, debits, credits, balance, entries)
    SELECT m.account_id, day, m.debits, m.credits, coalesce(b.balance, 0) + m.credits - m.debits, m.entries
    FROM (SELECT e.account_id, count(*) AS entries, coalesce(sum(e.amount) FILTER (WHERE e.direction = 'debit'), 0) AS debits,
                 coalesce(sum(e.amount) FILTER (WHERE e.direction = 'credit'), 0) AS credits
          FROM hail.ledger_entries e WHERE e.created_at >= from_time AND e.created_at < to_time GROUP BY e.account_id) m
    LEFT JOIN LATERAL (SELECT d.balance FROM hail.daily_balances d WHERE d.account_id = m.account_id
                       ORDER BY d.day DESC LIMIT 1) b ON true
    ORDER BY m.account_id;
    -- Kinds without entries are carried on; owed and owing move by the accounts that moved.
    INSERT INTO hail.ledger_close_totals (day, currency, kind, opening, debits, credits, closing, entries, owed, owing)
    SELECT day, coalesce(p.currency, m.currency), coalesce(p.kind, m.kind), coalesce(p.closing, 0), coalesce(m.debits, 0),
           coalesce(m.credits, 0), coalesce(p.closing, 0) + coalesce(m.credits, 0) - coalesce(m.debits, 0), coalesce(m.entries, 0),
           coalesce(p.owed, 0) + coalesce(m.owed, 0), coalesce(p.owing, 0) + coalesce(m.owing, 0)
    FROM (SELECT * FROM hail.ledger_close_totals l WHERE l.day = before) p
    FULL JOIN (
        SELECT a.currency::text, a.kind, sum(d.debits) AS debits, sum(d.credits) AS credits, sum(d.entries) AS entries,
               sum(greatest(d.balance, 0) - greatest(d.balance - d.credits + d.debits, 0)) AS owed,
               sum(least(d.balance, 0) - least(d.balance - d.credits + d.debits, 0)) AS owing
        FROM hail.daily_balances d JOIN hail.accounts a ON a.id = d.account_id
        WHERE d.day = day GROUP BY a.currency, a.kind
    ) m ON m.currency = p.currency AND m.kind = p.kind;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.write_close(date, text) IS
'Write the close of a day of which no entry can come any more; the days before are closed. Internal.';

CREATE FUNCTION hail.close_day(day date) RETURNS hail.ledger_closes
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    closed hail.ledger_closes;
    next date;
BEGIN
    PERFORM hail.require_admin();
    IF hail.clock() < hail.ledger_day(day) + interval '1 day' THEN
        PERFORM hail.fail('wrong_state', 'the day is not over', 'day', 'Days end at midnight UTC.');
    END IF;
    -- One at a time; readers do not wait. What the one before has closed is seen by the statements below.
    LOCK TABLE hail.ledger_closes IN SHARE ROW EXCLUSIVE MODE;
    SELECT c.* INTO closed FROM hail.ledger_closes c WHERE c.day = day;
    IF FOUND THEN
        RETURN closed;
    END IF;
    next := hail.next_day_to_close();
    IF hail.day_start(day) < hail.closed_until() THEN
        PERFORM hail.fail('wrong_state', 'a later day has been closed', 'day', 'A day without a close had no entries when a later one was closed.');
    ELSIF next < day THEN
        PERFORM hail.fail('wrong_state', to_char(next, 'YYYY-MM-DD') || ' has not been closed', 'day', 'Days are closed in their order.');
    ELSIF NOT hail.writers_ended('2 seconds') THEN
        PERFORM hail.fail('in_flight', 'transactions that may have entries of that day are still running', 'day', 'Try again when they have ended.');
    END IF;
    -- the day the writers may have left entries on
    next := hail.next_day_to_close();
    IF next < day THEN
        PERFORM hail.fail('wrong_state', to_char(next, 'YYYY-MM-DD') || ' has not been closed', 'day', 'Days are closed in their order.');
    ELSIF next IS DISTINCT FROM day THEN
        PERFORM hail.fail('wrong_state', 'the day has no entries', 'day', 'Only days with entries are closed.');
    END IF;
    RETURN hail.write_close(day, hail.ledger_principal());
END
$$;
COMMENT ON FUNCTION hail.close_day(date) IS
'Close a day (UTC, record time) of the ledger: its closing balances and totals are kept and never change. The day is over, the days with entries before it are closed, and what ran at its end has ended. A closed day is answered with its close. The keeper closes days by itself (hail.ledger_close_delay). Administrators only. Errors: wrong_state, in_flight, invalid_value.';
GRANT EXECUTE ON FUNCTION hail.close_day(date) TO hail_admin;

CREATE FUNCTION hail.ledger_principal() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT coalesce('user:' || hail.current_subject(), 'admin') $$;
COMMENT ON FUNCTION hail.ledger_principal() IS 'Who acts, as ledger transactions name it. Internal.';

CREATE FUNCTION hail.close_days() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    delay interval := current_setting('hail.ledger_close_delay')::interval;
    next date;
BEGIN
    IF delay < '0' OR hail.clock() < hail.closed_until() + interval '1 day' + delay THEN
        RETURN 0;
    END IF;
    next := hail.next_day_to_close();
    IF next IS NULL OR hail.clock() < hail.day_start(next) + interval '1 day' + delay OR NOT hail.writers_ended('1 second') THEN
        RETURN 0;
    END IF;
    LOCK TABLE hail.ledger_closes IN SHARE ROW EXCLUSIVE MODE;
    IF next IS DISTINCT FROM hail.next_day_to_close() THEN
        RETURN 0;
    END IF;
    PERFORM hail.write_close(next, 'system');
    RETURN 1;
END
$$;
COMMENT ON FUNCTION hail.close_days() IS
'Close the next day when it has been over for hail.ledger_close_delay and can be closed now: days closed, 1 at most. Keeper step. Internal.';

-- Group closes of hail.reconcile().
CREATE FUNCTION hail.reconcile_closes(from_time timestamptz, to_time timestamptz) RETURNS SETOF hail.finding
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS $$
DECLARE
    until timestamptz := least(to_time, hail.closed_until());
BEGIN
    RETURN QUERY
    WITH closes AS MATERIALIZED (
        SELECT c.* FROM hail.ledger_closes c WHERE hail.day_start(c.day) >= from_time AND hail.day_start(c.day) < until
    ), moved AS MATERIALIZED (
        SELECT e.account_id, (e.created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS entries,
               coalesce(sum(e.amount) FILTER (WHERE e.direction = 'debit'), 0) AS debits,
               coalesce(sum(e.amount) FILTER (WHERE e.direction = 'credit'), 0) AS credits
        FROM hail.ledger_entries e WHERE e.created_at >= from_time AND e.created_at < until GROUP BY 1, 2
    ), balances AS MATERIALIZED (
        SELECT d.*, coalesce(b.balance, 0)::numeric AS before
        FROM closes c JOIN hail.daily_balances d ON d.day = c.day
        LEFT JOIN LATERAL (SELECT p.balance FROM hail.daily_balances p WHERE p.account_id = d.account_id AND p.day < d.day
                           ORDER BY p.day DESC LIMIT 1) b ON true
    ), totals AS MATERIALIZED (
        SELECT t.*, p.closing AS before, p.owed AS owed_before
        FROM closes c JOIN hail.ledger_close_totals t ON t.day = c.day
        LEFT JOIN hail.ledger_close_totals p ON p.currency = t.currency AND p.kind = t.kind
             AND p.day = (SELECT max(l.day) FROM hail.ledger_closes l WHERE l.day < c.day)
    )
    SELECT 'close_entries', coalesce(c.day, m.day)::text, coalesce(c.entries, 0)::numeric, coalesce(m.entries, 0)
    FROM closes c FULL JOIN (SELECT g.day, sum(g.entries) AS entries FROM moved g GROUP BY g.day) m ON m.day = c.day
    WHERE coalesce(c.entries, 0) <> coalesce(m.entries, 0)
    UNION ALL
    SELECT 'close_balance', concat_ws(' ', coalesce(b.day, m.day), coalesce(b.account_id, m.account_id)),
           coalesce(b.before, 0) + coalesce(m.credits, 0) - coalesce(m.debits, 0), coalesce(b.balance, 0)
    FROM balances b FULL JOIN moved m ON m.account_id = b.account_id AND m.day = b.day
    WHERE coalesce(b.before, 0) + coalesce(m.credits, 0) - coalesce(m.debits, 0) IS DISTINCT FROM b.balance
       OR m.debits IS DISTINCT FROM b.debits OR m.credits IS DISTINCT FROM b.credits OR m.entries IS DISTINCT FROM b.entries
    UNION ALL
    SELECT 'close_totals', concat_ws(' ', coalesce(t.day, s.day), coalesce(t.currency, s.currency), coalesce(t.kind, s.kind)),
           coalesce(t.before, 0) + coalesce(s.credits, 0) - coalesce(s.debits, 0), coalesce(t.closing, 0)
    FROM totals t FULL JOIN (
        SELECT b.day, a.currency::text, a.kind, sum(b.debits) AS debits, sum(b.credits) AS credits,
               sum(greatest(b.balance, 0) - greatest(b.before, 0)) AS owed
        FROM balances b JOIN hail.accounts a ON a.id = b.account_id GROUP BY 1, 2, 3) s
      ON s.day = t.day AND s.currency = t.currency AND s.kind = t.kind
    WHERE coalesce(t.before, 0) + coalesce(s.credits, 0) - coalesce(s.debits, 0) IS DISTINCT FROM t.closing
       OR coalesce(s.debits, 0) <> t.debits OR coalesce(s.credits, 0) <> t.credits
       OR coalesce(t.owed_before, 0) + coalesce(s.owed, 0) <> t.owed
    UNION ALL
    SELECT 'close_totals', concat_ws(' ', t.day, t.currency), 0, sum(t.closing) FROM totals t
    GROUP BY t.day, t.currency HAVING sum(t.closing) <> 0;
END
$$;
COMMENT ON FUNCTION hail.reconcile_closes(timestamptz, timestamptz) IS
'Findings about the closes of days from from_time until before to_time: entries and balances as they were closed and as they are. Internal.';

-- Reports.
CREATE FUNCTION hail.totals_of_day(day date)
RETURNS TABLE (currency text, kind text, opening numeric, debits numeric, credits numeric, closing numeric, owed numeric, owing numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    from_time timestamptz := hail.ledger_day(day);
    last_close date := (SELECT max(c.day) FROM hail.ledger_closes c WHERE c.day < totals_of_day.day);
    since timestamptz := coalesce(hail.day_start(last_close) + interval '1 day', '-infinity');
BEGIN
    IF EXISTS (SELECT FROM hail.ledger_closes c WHERE c.day = totals_of_day.day) THEN
        RETURN QUERY
        SELECT t.currency, t.kind, t.opening, t.debits, t.credits, t.closing, t.owed, t.owing
        FROM hail.ledger_close_totals t WHERE t.day = totals_of_day.day;
        RETURN;
    END IF;
    RETURN QUERY
    WITH moved AS (
        SELECT a.currency::text, a.kind, sum(m.before) AS before, sum(m.debits) AS debits, sum(m.credits) AS credits,
               sum(greatest(m.after, 0) - greatest(m.closed, 0)) AS owed, sum(least(m.after, 0) - least(m.closed, 0)) AS owing
        FROM (SELECT g.*, coalesce(b.balance, 0) AS closed, coalesce(b.balance, 0) + g.before + g.credits - g.debits AS after
              FROM (SELECT e.account_id,
                           coalesce(sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) FILTER (WHERE e.created_at < from_time), 0) AS before,
                           coalesce(sum(e.amount) FILTER (WHERE e.created_at >= from_time AND e.direction = 'debit'), 0) AS debits,
                           coalesce(sum(e.amount) FILTER (WHERE e.created_at >= from_time AND e.direction = 'credit'), 0) AS credits
                    FROM hail.ledger_entries e WHERE e.created_at >= since AND e.created_at < from_time + interval '1 day'
                    GROUP BY e.account_id) g
              LEFT JOIN LATERAL (SELECT d.balance FROM hail.daily_balances d WHERE d.account_id = g.account_id AND d.day <= last_close
                                 ORDER BY d.day DESC LIMIT 1) b ON true) m
        JOIN hail.accounts a ON a.id = m.account_id GROUP BY 1, 2
    ), lines AS (
        SELECT coalesce(p.currency, m.currency) AS currency, coalesce(p.kind, m.kind) AS kind,
               coalesce(p.closing, 0) + coalesce(m.before, 0) AS opening, coalesce(m.debits, 0) AS debits, coalesce(m.credits, 0) AS credits,
               coalesce(p.owed, 0) + coalesce(m.owed, 0) AS owed, coalesce(p.owing, 0) + coalesce(m.owing, 0) AS owing
        FROM (SELECT * FROM hail.ledger_close_totals t WHERE t.day = last_close) p
        FULL JOIN moved m ON m.currency = p.currency AND m.kind = p.kind
    )
    SELECT l.currency, l.kind, l.opening, l.debits, l.credits, l.opening + l.credits - l.debits, l.owed, l.owing FROM lines l;
END
$$;
COMMENT ON FUNCTION hail.totals_of_day(date) IS
'The totals of a day as it was closed, or, when it is not, as hail.close_day() would write them of what is recorded. Internal.';

CREATE FUNCTION hail.trial_balance(day date)
RETURNS TABLE (currency text, kind text, opening bigint, debits bigint, credits bigint, closing bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_auditor();
    RETURN QUERY
    SELECT t.currency, t.kind, hail.as_bigint(t.opening), hail.as_bigint(t.debits), hail.as_bigint(t.credits), hail.as_bigint(t.closing)
    FROM hail.totals_of_day(day) t ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION hail.trial_balance(date) IS
'The trial balance of a day (UTC, record time) by currency and kind of account, minor units: opening balance, debits, credits, closing balance (credits less debits). Openings and closings add up to zero in each currency, debits equal credits. A closed day as it was closed; of another, what is recorded so far. Administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.trial_balance(date) TO hail_admin, hail_analyst;

CREATE FUNCTION hail.daily_report(day date)
RETURNS TABLE (currency text, section text, item text, number bigint, amount bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS $$
DECLARE
    from_time timestamptz := hail.ledger_day(day);
    to_time timestamptz := from_time + interval '1 day';
BEGIN
    PERFORM hail.require_auditor();
    RETURN QUERY
    WITH totals AS MATERIALIZED (
        SELECT * FROM hail.totals_of_day(day)
    ), lines (currency, section, item, number, amount) AS (
        SELECT t.currency, 'trips', 'completed, paid by ' || t.payment_method, count(*), sum(t.price)
        FROM hail.trips t WHERE t.state = 'completed' AND t.completed_at >= from_time AND t.completed_at < to_time
        GROUP BY t.currency, t.payment_method
        UNION ALL
        SELECT k.currency, 'transactions', k.kind, count(*), sum(k.credits)
        FROM (SELECT t.id, t.kind, e.currency, sum(e.amount) FILTER (WHERE e.direction = 'credit') AS credits
              FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id
              WHERE t.created_at >= from_time AND t.created_at < to_time
                AND e.created_at >= from_time AND e.created_at < to_time + interval '1 minute'
              GROUP BY t.id, t.kind, e.currency) k GROUP BY k.currency, k.kind
        UNION ALL
        SELECT t.currency, 'accounts', t.kind, NULL, t.credits - t.debits FROM totals t
        JOIN hail.account_kinds k ON k.kind = t.kind WHERE NOT k.has_owner AND (t.debits <> 0 OR t.credits <> 0)
        UNION ALL
        SELECT t.currency, 'outstanding', v.item, NULL, v.amount
        FROM totals t JOIN hail.account_kinds k ON k.kind = t.kind,
             LATERAL (VALUES (t.kind || ', owed to them', t.owed), (t.kind || ', owed by them', - t.owing)) v (item, amount)
        WHERE k.has_owner
        UNION ALL
        SELECT t.currency, 'outstanding', t.kind, NULL, t.closing FROM totals t JOIN hail.account_kinds k ON k.kind = t.kind
        WHERE NOT k.has_owner AND t.kind LIKE '%\_CLEARING'
    )
    SELECT l.currency, l.section, l.item, l.number, hail.as_bigint(l.amount) FROM lines l ORDER BY l.currency, l.section, l.item;
END
$$;
COMMENT ON FUNCTION hail.daily_report(date) IS
'A day (UTC) in figures by currency, minor units. trips: completed by way of payment, and their prices; transactions: those recorded by kind (fares, fees, tips, refunds, deposits, withdrawals ...), and what they credited; accounts: what the platform''s accounts gained (PLATFORM_REVENUE) or spent (PROMOTIONS, below zero), by record time; outstanding: at the end of the day, what wallets are owed and owe, and the clearing accounts (below zero: owed to the platform). Administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.daily_report(date) TO hail_admin, hail_analyst;

CREATE FUNCTION hail.posted_at(account_id uuid, at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    closed date := (SELECT max(c.day) FROM hail.ledger_closes c WHERE hail.day_start(c.day) + interval '1 day' <= at);
    since timestamptz := coalesce(hail.day_start(closed) + interval '1 day', '-infinity');
BEGIN
    RETURN coalesce((SELECT d.balance FROM hail.daily_balances d WHERE d.account_id = posted_at.account_id AND d.day <= closed
                     ORDER BY d.day DESC LIMIT 1), 0)
         + coalesce((SELECT sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END) FROM hail.ledger_entries e
                     WHERE e.account_id = posted_at.account_id AND e.created_at >= since AND e.created_at < at), 0);
END
$$;
COMMENT ON FUNCTION hail.posted_at(uuid, timestamptz) IS
'Posted balance of an account of the entries recorded before a time: of the last close before it, and what came then. Internal.';

CREATE FUNCTION hail.balance_as_of(account_id uuid, at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT EXISTS (SELECT FROM hail.accounts a WHERE a.id = account_id
                   AND (a.owner_id = hail.current_subject() OR hail.current_role_name() IN ('admin', 'analyst'))) THEN
        PERFORM hail.fail('not_found', 'account does not exist', 'account_id');
    ELSIF at IS NULL THEN
        PERFORM hail.fail('invalid_value', 'at must be a time', 'at');
    END IF;
    RETURN hail.posted_at(account_id, at);
END
$$;
COMMENT ON FUNCTION hail.balance_as_of(uuid, timestamptz) IS
'Posted balance of an account, system accounts too, as of a time: all entries recorded before it (created_at, not effective_at), minor units. For its owner, administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.balance_as_of(uuid, timestamptz) TO hail_customer, hail_driver, hail_admin, hail_analyst;
