-- 76_ledger_lists: accounts, transactions, entries and holds in pages; was a request sent before

CREATE FUNCTION hail.request_replayed(idempotency_key text) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM hail.request_keys k
               WHERE k.principal = hail.key_principal() AND k.idempotency_key = request_replayed.idempotency_key
                 AND k.xmin <> pg_current_xact_id()::xid);
COMMENT ON FUNCTION hail.request_replayed(text) IS
'To be asked after a request under a key of the caller, in its transaction: had the key been used before, so that the answer is that of then. For fronts.';
GRANT EXECUTE ON FUNCTION hail.request_replayed(text) TO hail_customer, hail_driver, hail_partner, hail_admin;

-- Pages. A place is a number (of an entry; 0 where ids alone order a list) and an id.

CREATE FUNCTION hail.ledger_place(n bigint, id uuid) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN int8send(coalesce(n, 0)) || uuid_send(coalesce(id, '00000000-0000-0000-0000-000000000000'));
COMMENT ON FUNCTION hail.ledger_place(bigint, uuid) IS 'The place of a row in a list of the ledger. Internal.';

CREATE FUNCTION hail.place_number(place bytea) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN ('x' || encode(substr(place, 1, 8), 'hex'))::bit(64)::bigint;
COMMENT ON FUNCTION hail.place_number(bytea) IS 'The number of a hail.ledger_place(). Internal.';

CREATE FUNCTION hail.place_id(place bytea) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN encode(substr(place, 9, 16), 'hex')::uuid;
COMMENT ON FUNCTION hail.place_id(bytea) IS 'The id of a hail.ledger_place(). Internal.';

CREATE FUNCTION hail.require_page(max_results integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(max_results, 0) NOT BETWEEN 1 AND 10000 THEN
        PERFORM hail.fail('invalid_value', 'a page has 1 to 10000 rows', 'max_results');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.require_page(integer) IS 'Error invalid_value (max_results) unless it is 1 to 10000. Internal.';

CREATE FUNCTION hail.list_accounts(only_kind text DEFAULT NULL, only_owner uuid DEFAULT NULL, only_currency text DEFAULT NULL,
                                   max_results integer DEFAULT 20, cursor text DEFAULT NULL)
RETURNS TABLE (id uuid, kind text, owner_id uuid, currency text, is_system boolean, floor bigint, posted bigint, held bigint,
               available bigint, opened_at timestamptz, closed_at timestamptz, next_cursor text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    scope text := format('accounts %s of %s in %s', only_kind, only_owner, only_currency);
    after uuid;
BEGIN
    IF coalesce(hail.current_role_name(), '') <> 'analyst' THEN
        PERFORM hail.require_admin();
    END IF;
    PERFORM hail.require_page(list_accounts.max_results);
    after := hail.place_id(hail.cursor_place(list_accounts.cursor, scope));
    IF NOT EXISTS (SELECT FROM hail.account_kinds k WHERE k.kind = coalesce(only_kind, k.kind)) THEN
        PERFORM hail.fail('invalid_value', 'unknown kind of account', 'kind', 'See hail.account_kinds.');
    END IF;
    RETURN QUERY
        SELECT p.id, p.kind, p.owner_id, p.currency::text, p.is_system, p.floor, p.exact, p.held, p.exact - p.held, p.created_at, p.closed_at,
               CASE WHEN p.more AND p.n = list_accounts.max_results THEN hail.cursor_text(hail.ledger_place(0, p.id), scope) END
        FROM (SELECT a.*, hail.exact_posted(a.whole) AS exact, row_number() OVER (ORDER BY a.id) AS n,
                     count(*) OVER () > list_accounts.max_results AS more
              FROM (SELECT w.*, w AS whole FROM hail.accounts w
                    WHERE w.kind = coalesce(only_kind, w.kind)
                      AND (only_owner IS NULL OR w.owner_id = only_owner)
                      AND w.currency = coalesce(only_currency, w.currency) AND (after IS NULL OR w.id > after)
                    ORDER BY w.id LIMIT list_accounts.max_results + 1) a) p
        WHERE p.n <= list_accounts.max_results ORDER BY p.id;
END
$$;
COMMENT ON FUNCTION hail.list_accounts(text, uuid, text, integer, text) IS
'A page of accounts with their exact balances (minor units), in the order they were opened. next_cursor, in the last row when more follow, gives the next page with the same filters. Administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.list_accounts(text, uuid, text, integer, text) TO hail_admin, hail_analyst;

CREATE FUNCTION hail.ledger_legs(transaction_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('account_id', e.account_id, 'account_kind', a.kind, 'owner_id', a.owner_id,
                   'direction', e.direction, 'amount', e.amount, 'currency', e.currency, 'balance_after', e.balance_after) ORDER BY e.id), '[]')
        FROM hail.ledger_entries e LEFT JOIN hail.accounts a ON a.id = e.account_id
        WHERE e.transaction_id = ledger_legs.transaction_id);
COMMENT ON FUNCTION hail.ledger_legs(uuid) IS 'The entries of a transaction as JSON, in the order written. Internal.';

CREATE FUNCTION hail.get_ledger_transaction(transaction_id uuid)
RETURNS TABLE (id uuid, kind text, principal text, idempotency_key text, reference_type text, reference_id uuid, reverses uuid,
               reversed_by uuid, metadata jsonb, effective_at timestamptz, created_at timestamptz, entries jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF coalesce(hail.current_role_name(), '') <> 'analyst' THEN
        PERFORM hail.require_admin();
    END IF;
    RETURN QUERY
        SELECT t.id, t.kind, t.principal, t.idempotency_key, t.reference_type, t.reference_id, t.reverses,
               (SELECT r.id FROM hail.ledger_transactions r WHERE r.reverses = t.id), t.metadata, t.effective_at, t.created_at,
               hail.ledger_legs(t.id)
        FROM hail.ledger_transactions t WHERE t.id = get_ledger_transaction.transaction_id;
    IF NOT FOUND THEN
        PERFORM hail.fail('not_found', 'transaction does not exist', 'transaction_id');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.get_ledger_transaction(uuid) IS
'A transaction with its entries, and the one that reversed it; volatile, so that one just posted is seen. Administrators and analysts. Error not_found.';
GRANT EXECUTE ON FUNCTION hail.get_ledger_transaction(uuid) TO hail_admin, hail_analyst;

CREATE FUNCTION hail.list_ledger_transactions(only_account uuid DEFAULT NULL, only_kind text DEFAULT NULL, only_reference uuid DEFAULT NULL,
                                              from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
                                              max_results integer DEFAULT 20, cursor text DEFAULT NULL)
RETURNS TABLE (id uuid, kind text, principal text, reference_type text, reference_id uuid, reverses uuid, metadata jsonb,
               effective_at timestamptz, created_at timestamptz, entries jsonb, next_cursor text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    scope text := format('ledger of %s, %s, %s from %s to %s', only_account, only_kind,
                         only_reference, extract(epoch FROM from_time), extract(epoch FROM to_time));
    place bytea;
    -- Values are quoted into the query, so that it is planned for them: along the account's entries, the reference, or the ids.
    own text := concat_ws(' AND ', 't.kind = ' || quote_literal(only_kind),
                          't.reference_id = ' || quote_literal(only_reference),
                          't.created_at >= ' || quote_literal(from_time), 't.created_at < ' || quote_literal(to_time));
    page text;
BEGIN
    IF coalesce(hail.current_role_name(), '') <> 'analyst' THEN
        PERFORM hail.require_admin();
    END IF;
    PERFORM hail.require_page(list_ledger_transactions.max_results);
    place := hail.cursor_place(list_ledger_transactions.cursor, scope);
    IF only_account IS NOT NULL THEN
        page := format('SELECT t.*, e.id AS place FROM hail.ledger_entries e JOIN hail.ledger_transactions t ON t.id = e.transaction_id WHERE %s ORDER BY e.id DESC',
                       concat_ws(' AND ', 'e.account_id = ' || quote_literal(only_account),
                                 'e.id < ' || hail.place_number(place), nullif(own, '')));
    ELSE
        page := format('SELECT t.*, 0::bigint AS place FROM hail.ledger_transactions t %s ORDER BY t.id DESC',
                       'WHERE ' || nullif(concat_ws(' AND ', 't.id < ' || quote_literal(hail.place_id(place)), nullif(own, '')), ''));
    END IF;
    RETURN QUERY EXECUTE format($q$
        SELECT p.id, p.kind, p.principal, p.reference_type, p.reference_id, p.reverses, p.metadata, p.effective_at, p.created_at,
               hail.ledger_legs(p.id), CASE WHEN p.more AND p.n = $1 THEN hail.cursor_text(hail.ledger_place(p.place, p.id), $2) END
        FROM (SELECT l.*, row_number() OVER () AS n, count(*) OVER () > $1 AS more FROM (%s LIMIT $1 + 1) l) p
        WHERE p.n <= $1 ORDER BY p.n$q$, page) USING list_ledger_transactions.max_results, scope;
END
$$;
COMMENT ON FUNCTION hail.list_ledger_transactions(uuid, text, uuid, timestamptz, timestamptz, integer, text) IS
'A page of transactions with their entries, newest first: of an account, a kind, a reference (a trip, say), recorded at or after from_time and before to_time. next_cursor as in hail.list_accounts(). Administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.list_ledger_transactions(uuid, text, uuid, timestamptz, timestamptz, integer, text) TO hail_admin, hail_analyst;

CREATE FUNCTION hail.require_wallets(user_id uuid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (user_id = hail.current_subject() OR hail.current_role_name() = 'admin') IS NOT TRUE THEN
        PERFORM hail.fail('not_found', 'user does not exist', 'user_id');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.require_wallets(uuid) IS 'Error not_found unless the caller is this user or an administrator. Internal.';

CREATE FUNCTION hail.list_wallet_transactions(user_id uuid, only_kind text DEFAULT NULL, only_currency text DEFAULT NULL,
                                              from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
                                              max_results integer DEFAULT 20, cursor text DEFAULT NULL)
RETURNS TABLE (transaction_id uuid, account_id uuid, kind text, amount bigint, currency text, balance_after bigint,
               reference_type text, reference_id uuid, effective_at timestamptz, created_at timestamptz, next_cursor text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    scope text := format('wallet of %s, %s in %s from %s to %s', list_wallet_transactions.user_id, only_kind,
                         only_currency, extract(epoch FROM from_time), extract(epoch FROM to_time));
    before bigint;
BEGIN
    PERFORM hail.require_wallets(list_wallet_transactions.user_id);
    PERFORM hail.require_page(list_wallet_transactions.max_results);
    before := hail.place_number(hail.cursor_place(list_wallet_transactions.cursor, scope));
    RETURN QUERY
        SELECT p.transaction_id, p.account_id, p.kind, CASE p.direction WHEN 'credit' THEN p.amount ELSE - p.amount END, p.currency,
               p.balance_after, p.reference_type, p.reference_id, p.effective_at, p.created_at,
               CASE WHEN p.more AND p.n = list_wallet_transactions.max_results THEN hail.cursor_text(hail.ledger_place(p.id, NULL), scope) END
        FROM (SELECT l.*, row_number() OVER (ORDER BY l.id DESC) AS n, count(*) OVER () > list_wallet_transactions.max_results AS more
              FROM hail.accounts a,
                   LATERAL (SELECT e.*, t.kind, t.reference_type, t.reference_id, t.effective_at
                            FROM hail.ledger_entries e JOIN hail.ledger_transactions t ON t.id = e.transaction_id
                            WHERE e.account_id = a.id AND (before IS NULL OR e.id < before)
                              AND (only_kind IS NULL OR t.kind = only_kind)
                              AND e.created_at >= coalesce(from_time, '-infinity') AND e.created_at < coalesce(to_time, 'infinity')
                            ORDER BY e.id DESC LIMIT list_wallet_transactions.max_results + 1) l
              WHERE a.owner_id = list_wallet_transactions.user_id AND a.currency = coalesce(only_currency, a.currency)) p
        WHERE p.n <= list_wallet_transactions.max_results ORDER BY p.id DESC;
END
$$;
COMMENT ON FUNCTION hail.list_wallet_transactions(uuid, text, text, timestamptz, timestamptz, integer, text) IS
'A page of what moved a user''s wallets, newest first: kind of transaction, amount with its sign (above 0: received), balance after it; minor units. The other sides are not told. For the user itself and administrators. next_cursor as in hail.list_accounts().';
GRANT EXECUTE ON FUNCTION hail.list_wallet_transactions(uuid, text, text, timestamptz, timestamptz, integer, text)
    TO hail_customer, hail_driver, hail_partner, hail_admin;

CREATE FUNCTION hail.list_open_holds(user_id uuid, max_results integer DEFAULT 20, cursor text DEFAULT NULL)
RETURNS TABLE (id uuid, account_id uuid, amount bigint, currency text, reference_type text, reference_id uuid, created_at timestamptz,
               expires_at timestamptz, next_cursor text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    scope text := format('holds of %s', list_open_holds.user_id);
    before uuid;
BEGIN
    PERFORM hail.require_wallets(list_open_holds.user_id);
    PERFORM hail.require_page(list_open_holds.max_results);
    before := hail.place_id(hail.cursor_place(list_open_holds.cursor, scope));
    RETURN QUERY
        SELECT p.id, p.account_id, p.amount::bigint, p.currency, p.reference_type, p.reference_id, p.created_at, p.expires_at,
               CASE WHEN p.more AND p.n = list_open_holds.max_results THEN hail.cursor_text(hail.ledger_place(0, p.id), scope) END
        FROM (SELECT h.*, a.currency::text AS currency, row_number() OVER (ORDER BY h.id DESC) AS n,
                     count(*) OVER () > list_open_holds.max_results AS more
              FROM hail.accounts a JOIN hail.holds h ON h.account_id = a.id AND h.status = 'held'
              WHERE a.owner_id = list_open_holds.user_id AND (before IS NULL OR h.id < before)
              ORDER BY h.id DESC LIMIT list_open_holds.max_results + 1) p
        WHERE p.n <= list_open_holds.max_results ORDER BY p.id DESC;
END
$$;
COMMENT ON FUNCTION hail.list_open_holds(uuid, integer, text) IS
'A page of what is reserved on a user''s wallets now, newest first; minor units. For the user itself and administrators. next_cursor as in hail.list_accounts().';
GRANT EXECUTE ON FUNCTION hail.list_open_holds(uuid, integer, text) TO hail_customer, hail_driver, hail_partner, hail_admin;

-- Of one trip

CREATE FUNCTION hail.adjustment_replayed(trip_id uuid, idempotency_key text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.lock_trip_of_caller(adjustment_replayed.trip_id);
    -- The same key may have been used for the trip in other ways: a toll's, say.
    RETURN NOT EXISTS (SELECT FROM hail.trip_adjustments a
                       WHERE a.trip_id = adjustment_replayed.trip_id AND a.idempotency_key = adjustment_replayed.idempotency_key
                         AND a.xmin = pg_current_xact_id()::xid);
END
$$;
COMMENT ON FUNCTION hail.adjustment_replayed(uuid, text) IS
'To be asked after a trip was tipped, tolled, refunded or paid again under a key, in the same transaction: was nothing done, because the key had been used for it before. For fronts. Error not_found.';
GRANT EXECUTE ON FUNCTION hail.adjustment_replayed(uuid, text) TO hail_customer, hail_driver, hail_partner, hail_admin;

CREATE FUNCTION hail.trip_earnings(trip_id uuid)
RETURNS TABLE (driver_id uuid, trip_state text, payment_method text, payment_state text, currency text, fare bigint, tolls bigint,
               commission bigint, in_cash bigint, to_wallet bigint, net bigint, final boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    trip hail.trips;
    payment hail.trip_payments;
BEGIN
    SELECT * INTO trip FROM hail.trips t WHERE t.id = trip_earnings.trip_id
       AND (hail.current_role_name() = 'admin' OR hail.current_role_name() = 'driver' AND t.driver_id = hail.current_subject());
    IF trip.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    END IF;
    SELECT * INTO payment FROM hail.trip_payments p WHERE p.trip_id = trip.id;
    driver_id := trip.driver_id;
    trip_state := trip.state;
    payment_method := trip.payment_method;
    payment_state := trip.payment_state;
    currency := trip.currency;
    fare := coalesce(payment.fare, trip.price);
    tolls := trip.tolls;
    commission := coalesce(payment.commission, hail.commission(trip.price, trip.commission_bp));
    final := trip.payment_state IN ('paid', 'refunded', 'partly_refunded') OR trip.state IN ('completed', 'cancelled') AND trip.payment_state = 'none';
    -- What has moved, where something has: tips and refunds are in it.
    in_cash := CASE WHEN payment.method = 'cash' THEN payment.paid ELSE 0 END;
    to_wallet := (SELECT coalesce(sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END), 0)
                  FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id
                  JOIN hail.accounts a ON a.id = e.account_id AND a.kind = 'DRIVER_WALLET' AND a.owner_id = trip.driver_id
                  WHERE t.reference_id = trip.id AND t.reference_type = 'trip');
    net := CASE WHEN final THEN in_cash + to_wallet ELSE fare + tolls - commission END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hail.trip_earnings(uuid) IS
'What a driver gets of a trip, minor units: in cash, into the wallet (below zero where the commission is owed), and net of both. final: as the ledger has it, tips and refunds included; else as it would be if the trip were completed and paid as it is now. For its driver and administrators. Error not_found.';
GRANT EXECUTE ON FUNCTION hail.trip_earnings(uuid) TO hail_driver, hail_admin;
