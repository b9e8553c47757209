-- 76_ledger_statements: what moved an account within a time, line by line, from an opening to a closing balance

-- By the time of recording (created_at), then in the order of posting. Two postings at the same wallet may be recorded in
-- another order than they were made (one has waited for the other), so balances are added up here, not read from entries.
CREATE FUNCTION hail.statement_entries(of_account uuid, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (id bigint, transaction_id uuid, direction text, amount bigint, created_at timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT e.id, e.transaction_id, e.direction, CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END, e.created_at
    FROM hail.ledger_entries e
    WHERE e.account_id = of_account AND e.created_at >= from_time AND e.created_at < to_time;
END;
COMMENT ON FUNCTION hail.statement_entries(uuid, timestamptz, timestamptz) IS
'Entries of an account recorded at or after from_time and before to_time, amounts with their sign. Without a search path of its own, so that it becomes part of the query. Internal.';

CREATE FUNCTION hail.entry_description(kind text, account_kind text, direction text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN coalesce((SELECT t.description FROM hail.entry_templates t
                 WHERE t.template = kind AND (t.account_kind = entry_description.account_kind OR t.owner = 'wallet')
                 ORDER BY t.direction <> entry_description.direction, t.leg LIMIT 1), kind);
COMMENT ON FUNCTION hail.entry_description(text, text, text) IS
'What an entry is for: as the transaction''s template describes its leg, else the kind. Internal.';

CREATE FUNCTION hail.require_statement(account_id uuid, from_time timestamptz, to_time timestamptz) RETURNS hail.accounts
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.accounts;
BEGIN
    SELECT * INTO found FROM hail.accounts a WHERE a.id = require_statement.account_id
       AND (a.owner_id = hail.current_subject() OR hail.current_role_name() = 'admin');
    IF found.id IS NULL THEN
        PERFORM hail.fail('not_found', 'account does not exist', 'account_id');
    ELSIF from_time >= to_time THEN
        PERFORM hail.fail('invalid_value', 'to_time must be later than from_time', 'to_time');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.require_statement(uuid, timestamptz, timestamptz) IS
'The account, if the caller is its owner or an administrator: else error not_found. Internal.';

CREATE FUNCTION hail.account_statement(account_id uuid, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
                                       max_results integer DEFAULT 100, cursor text DEFAULT NULL)
RETURNS TABLE (entry_id bigint, transaction_id uuid, kind text, description text, counterparties text[], reference_type text,
               reference_id uuid, amount bigint, balance bigint, currency text, created_at timestamptz, effective_at timestamptz,
               next_cursor text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    begins timestamptz := coalesce(account_statement.from_time, '-infinity');
    ends timestamptz := coalesce(account_statement.to_time, 'infinity');
    account hail.accounts := hail.require_statement(account_statement.account_id, begins, ends);
    scope text := format('statement of %s from %s to %s', account.id, extract(epoch FROM begins), extract(epoch FROM ends));
    place bytea;
    after_at timestamptz := '-infinity';
    after_id bigint := 0;
    opening bigint;
BEGIN
    PERFORM hail.require_page(account_statement.max_results);
    place := hail.cursor_place(account_statement.cursor, scope);
    IF place IS NOT NULL THEN
        after_at := 'epoch'::timestamptz + ('x' || encode(substr(place, 1, 8), 'hex'))::bit(64)::bigint * interval '1 microsecond';
        after_id := ('x' || encode(substr(place, 9, 8), 'hex'))::bit(64)::bigint;
    END IF;
    opening := hail.posted_at(account.id, begins);
    RETURN QUERY
        SELECT p.id, p.transaction_id, t.kind, hail.entry_description(t.kind, account.kind, p.direction),
               ARRAY(SELECT DISTINCT a.kind FROM hail.ledger_entries o JOIN hail.accounts a ON a.id = o.account_id
                     WHERE o.transaction_id = p.transaction_id AND o.account_id <> account.id ORDER BY 1),
               t.reference_type, t.reference_id, p.amount, p.balance, account.currency::text, p.created_at, t.effective_at,
               CASE WHEN p.more AND p.n = account_statement.max_results THEN hail.cursor_text(
                   int8send((extract(epoch FROM p.created_at) * 1000000)::bigint) || int8send(p.id) || int8send(0), scope) END
        FROM (SELECT l.*, row_number() OVER (ORDER BY l.created_at, l.id) AS n, count(*) OVER () > account_statement.max_results AS more
              FROM (SELECT e.id, e.transaction_id, e.direction, e.amount, e.created_at,
                           (opening + sum(e.amount) OVER (ORDER BY e.created_at, e.id))::bigint AS balance
                    FROM hail.statement_entries(account.id, begins, ends) e) l
              WHERE (l.created_at, l.id) > (after_at, after_id)
              ORDER BY l.created_at, l.id LIMIT account_statement.max_results + 1) p
        JOIN hail.ledger_transactions t ON t.id = p.transaction_id
        WHERE p.n <= account_statement.max_results ORDER BY p.n;
END
$$;
COMMENT ON FUNCTION hail.account_statement(uuid, timestamptz, timestamptz, integer, text) IS
'A page of what moved an account, oldest first, of what was recorded at or after from_time and before to_time: amount with its sign (above 0: received) and the balance after it, minor units; what it was for, the kinds of the accounts on the other side (not whose), the trip or withdrawal it refers to; when it took effect (effective_at). hail.statement_totals() has the balances before and after. next_cursor, in the last row when more follow, gives the next page. For its owner and administrators. Errors: not_found, invalid_value (to_time, max_results, cursor).';

CREATE FUNCTION hail.statement_totals(user_id uuid DEFAULT NULL, wallet_id uuid DEFAULT NULL, from_time timestamptz DEFAULT NULL,
                                      to_time timestamptz DEFAULT NULL)
RETURNS TABLE (account_id uuid, kind text, currency text, opening_balance bigint, entries bigint, credited bigint, debited bigint,
               closing_balance bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    begins timestamptz := coalesce(statement_totals.from_time, '-infinity');
    ends timestamptz := coalesce(statement_totals.to_time, 'infinity');
BEGIN
    IF statement_totals.user_id IS NOT NULL AND statement_totals.wallet_id IS NULL THEN
        PERFORM hail.require_wallets(statement_totals.user_id);
    ELSE
        PERFORM hail.require_statement(statement_totals.wallet_id, begins, ends);
    END IF;
    IF begins >= ends THEN
        PERFORM hail.fail('invalid_value', 'to_time must be later than from_time', 'to_time');
    END IF;
    RETURN QUERY
        SELECT a.id, a.kind, a.currency::text, o.opening, s.entries, s.credited, s.debited, o.opening + s.credited - s.debited
        FROM hail.accounts a,
             LATERAL (SELECT hail.posted_at(a.id, begins)) AS o (opening),
             LATERAL (SELECT count(*), coalesce(sum(e.amount) FILTER (WHERE e.amount > 0), 0)::bigint,
                             coalesce(- sum(e.amount) FILTER (WHERE e.amount < 0), 0)::bigint
                      FROM hail.statement_entries(a.id, begins, ends) e) AS s (entries, credited, debited)
        WHERE CASE WHEN statement_totals.wallet_id IS NOT NULL THEN a.id = statement_totals.wallet_id
                   ELSE a.owner_id = statement_totals.user_id END
          AND (statement_totals.user_id IS NULL OR a.owner_id = statement_totals.user_id)
        ORDER BY a.kind, a.currency;
END
$$;
COMMENT ON FUNCTION hail.statement_totals(uuid, uuid, timestamptz, timestamptz) IS
'The frame of statements: for each wallet of a user, or one account, the balance before what was recorded at or after from_time, what was received and paid before to_time, and the balance then; minor units. opening_balance and closing_balance are hail.balance_as_of() those times. For the owner and administrators. Errors: not_found, invalid_value (to_time).';
GRANT EXECUTE ON FUNCTION hail.account_statement(uuid, timestamptz, timestamptz, integer, text),
    hail.statement_totals(uuid, uuid, timestamptz, timestamptz) TO hail_customer, hail_driver, hail_partner, hail_admin;
