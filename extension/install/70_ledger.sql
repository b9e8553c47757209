-- 70_ledger: accounts, transactions, entries, holds

CREATE TABLE hail.account_kinds (
    kind      text PRIMARY KEY,
    has_owner boolean NOT NULL,
    floor     bigint,
    CHECK (has_owner OR floor IS NULL)
);
COMMENT ON TABLE hail.account_kinds IS
'Kinds of accounts: wallets have an owner and perhaps a floor, system accounts have neither.';
INSERT INTO hail.account_kinds (kind, has_owner, floor) VALUES
    ('CUSTOMER_WALLET',  true,  0),
    ('DRIVER_WALLET',    true,  NULL),
    ('PLATFORM_REVENUE', false, NULL),
    ('CASH_CLEARING',    false, NULL),
    ('GATEWAY_CLEARING', false, NULL),
    ('PAYOUT_CLEARING',  false, NULL),
    ('PROMOTIONS',       false, NULL);
GRANT SELECT ON hail.account_kinds TO hail_admin, hail_analyst;
CREATE POLICY account_kinds_read ON hail.account_kinds FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

-- A domain and a reference are checked when they are written, a CHECK with each balance.
CREATE DOMAIN hail.currency AS text CHECK (VALUE ~ '^[A-Z]{3}$');
COMMENT ON DOMAIN hail.currency IS 'ISO 4217 code.';

CREATE TABLE hail.accounts (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    kind       text NOT NULL REFERENCES hail.account_kinds (kind),
    owner_id   uuid REFERENCES hail.users (id),
    currency   hail.currency NOT NULL,
    is_system  boolean NOT NULL,
    floor      bigint,
    posted     bigint NOT NULL DEFAULT 0,
    held       bigint NOT NULL DEFAULT 0,
    folded_xid xid8 NOT NULL DEFAULT '0',
    closed_at  timestamptz,
    created_at timestamptz NOT NULL DEFAULT hail.clock(),
    UNIQUE NULLS NOT DISTINCT (kind, owner_id, currency),
    CHECK (CASE WHEN is_system THEN owner_id IS NULL AND floor IS NULL AND held = 0 AND closed_at IS NULL
                ELSE owner_id IS NOT NULL AND held >= 0 END)
) WITH (fillfactor = 60);
COMMENT ON TABLE hail.accounts IS
'Ledger accounts, minor units. Wallets are locked and carry posted and held; system accounts are never locked on the trip path: their posted is what has been folded, the exact balance adds the entries not yet folded (hail.balance).';
COMMENT ON COLUMN hail.accounts.floor IS 'posted - held may not go below this; NULL: no limit.';
COMMENT ON COLUMN hail.accounts.folded_xid IS 'System accounts: entries of transactions before this one are counted in posted.';
COMMENT ON COLUMN hail.accounts.posted IS 'Credits less debits.';

CREATE TABLE hail.ledger_transactions (
    id              uuid PRIMARY KEY DEFAULT hail.uuid7(),
    kind            text NOT NULL,
    principal       text NOT NULL,
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    request         jsonb NOT NULL,
    reference_type  text,
    reference_id    uuid,
    reverses        uuid UNIQUE,
    metadata        jsonb,
    effective_at    timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (principal, idempotency_key)
);
COMMENT ON COLUMN hail.ledger_transactions.reverses IS
'The transaction of which this is the opposite. Set under its lock by hail.reverse_transaction; no foreign key, because a table that refers to itself makes pg_dump doubt that it can be restored.';
CREATE INDEX ledger_transactions_reference ON hail.ledger_transactions (reference_id) WHERE reference_id IS NOT NULL;
COMMENT ON TABLE hail.ledger_transactions IS 'Money movements; append-only. The stored request is what a repeated key is compared with.';

CREATE TABLE hail.ledger_entries (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id uuid NOT NULL REFERENCES hail.ledger_transactions (id),
    account_id     uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    direction      text NOT NULL CHECK (direction IN ('debit', 'credit')),
    currency       text NOT NULL,
    balance_after  bigint,
    created_at     timestamptz NOT NULL,
    xid            xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX ledger_entries_account ON hail.ledger_entries (account_id, id);
CREATE INDEX ledger_entries_unfolded ON hail.ledger_entries (account_id, xid) WHERE balance_after IS NULL;
CREATE INDEX ledger_entries_transaction ON hail.ledger_entries (transaction_id);
COMMENT ON TABLE hail.ledger_entries IS 'The legs of a transaction; append-only. Per transaction and currency debits equal credits, or the commit fails.';
COMMENT ON COLUMN hail.ledger_entries.account_id IS
'No foreign key: accounts are never deleted, the posting has read the account, and the share lock of a foreign key on a busy system account would be taken by every posting.';
COMMENT ON COLUMN hail.ledger_entries.balance_after IS 'Posted balance of the wallet after this entry; NULL for system accounts.';

CREATE DOMAIN hail.held_amount AS bigint CHECK (VALUE > 0);
COMMENT ON DOMAIN hail.held_amount IS 'Minor units of a hold.';
CREATE DOMAIN hail.hold_status AS text CHECK (VALUE IN ('held', 'captured', 'released', 'expired'));
COMMENT ON DOMAIN hail.hold_status IS 'What has become of a hold.';
CREATE DOMAIN hail.hold_ttl AS interval CHECK (VALUE > '0');
COMMENT ON DOMAIN hail.hold_ttl IS 'The life asked for.';

CREATE TABLE hail.holds (
    id              uuid PRIMARY KEY DEFAULT hail.uuid7(),
    account_id      uuid NOT NULL,
    amount          hail.held_amount NOT NULL,
    captured        bigint NOT NULL DEFAULT 0,
    status          hail.hold_status NOT NULL DEFAULT 'held',
    principal       text NOT NULL,
    idempotency_key text NOT NULL,
    reference_type  text,
    reference_id    uuid,
    ttl             hail.hold_ttl,
    expires_at      timestamptz,
    created_at      timestamptz NOT NULL,
    resolved_at     timestamptz,
    UNIQUE (principal, idempotency_key),
    CHECK (captured BETWEEN 0 AND amount AND (ttl IS NULL) = (expires_at IS NULL)
           AND (status = 'held') = (resolved_at IS NULL))
) WITH (fillfactor = 70);
-- Law 3: a trip has at most one open hold.
CREATE UNIQUE INDEX holds_one_per_trip ON hail.holds (reference_id) WHERE status = 'held' AND reference_type = 'trip';
CREATE INDEX holds_expiry ON hail.holds (expires_at) WHERE status = 'held' AND expires_at IS NOT NULL;
CREATE INDEX holds_open ON hail.holds (account_id) WHERE status = 'held';
CREATE INDEX holds_reference ON hail.holds (reference_id) WHERE reference_id IS NOT NULL;
COMMENT ON TABLE hail.holds IS 'Amounts reserved on a wallet: held -> captured (whole or part) | released | expired.';
COMMENT ON COLUMN hail.holds.account_id IS
'No foreign key: accounts are never deleted, a hold is placed under its account''s lock, and must agree with the account''s held before commit.';
COMMENT ON COLUMN hail.holds.ttl IS 'The life asked for; NULL: until captured or released.';

CREATE TYPE hail.entry_input AS (account_id uuid, direction text, amount bigint);
COMMENT ON TYPE hail.entry_input IS 'A leg of hail.post_transaction(): account, debit or credit, amount in minor units (above 0).';

-- Who may look. Nobody is granted a write: rows come from the functions below, and the guards refuse all others.
GRANT SELECT ON hail.accounts, hail.ledger_entries, hail.holds TO hail_customer, hail_driver, hail_admin, hail_analyst;
GRANT SELECT ON hail.ledger_transactions TO hail_admin, hail_analyst;
CREATE POLICY accounts_own ON hail.accounts FOR SELECT TO hail_customer, hail_driver
    USING (owner_id = hail.current_subject());
CREATE POLICY entries_own ON hail.ledger_entries FOR SELECT TO hail_customer, hail_driver
    USING (account_id IN (SELECT a.id FROM hail.accounts a WHERE a.owner_id = hail.current_subject()));
CREATE POLICY holds_own ON hail.holds FOR SELECT TO hail_customer, hail_driver
    USING (account_id IN (SELECT a.id FROM hail.accounts a WHERE a.owner_id = hail.current_subject()));
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['accounts', 'ledger_transactions', 'ledger_entries', 'holds'] LOOP
        EXECUTE format('CREATE POLICY ledger_admin ON hail.%I FOR SELECT TO hail_admin USING (hail.current_role_name() = ''admin'')', t);
        EXECUTE format('CREATE POLICY ledger_analyst ON hail.%I FOR SELECT TO hail_analyst USING (hail.current_role_name() IN (''analyst'', ''admin''))', t);
    END LOOP;
END
$$;
-- An account's owner is found by it.
CREATE INDEX accounts_owner ON hail.accounts (owner_id) WHERE owner_id IS NOT NULL;

-- The guards (src/ledger/guards.c).
CREATE FUNCTION hail.ledger_guard_append() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'hail_ledger_guard_append';
COMMENT ON FUNCTION hail.ledger_guard_append() IS 'Trigger: transactions and entries are written by the ledger only, and never changed. Internal.';
CREATE FUNCTION hail.ledger_guard_account() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'hail_ledger_guard_account';
COMMENT ON FUNCTION hail.ledger_guard_account() IS 'Trigger: balances are moved by the ledger only, accounts stay. Internal.';
CREATE FUNCTION hail.ledger_guard_hold() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'hail_ledger_guard_hold';
COMMENT ON FUNCTION hail.ledger_guard_hold() IS 'Trigger: holds are written by the ledger only. Internal.';
CREATE FUNCTION hail.ledger_guard_truncate() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$ BEGIN PERFORM hail.fail('ledger_protected', format('table %s is never truncated', TG_TABLE_NAME)); RETURN NULL; END $$;
COMMENT ON FUNCTION hail.ledger_guard_truncate() IS 'Trigger: ledger tables are never truncated. Internal.';
CREATE FUNCTION hail.ledger_note_transaction() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'hail_ledger_note_transaction';
COMMENT ON FUNCTION hail.ledger_note_transaction() IS 'Trigger: note a transaction for the check at commit. Internal.';
CREATE FUNCTION hail.ledger_note_entry() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'hail_ledger_note_entry';
COMMENT ON FUNCTION hail.ledger_note_entry() IS 'Trigger: note an entry for the check at commit. Internal.';
CREATE FUNCTION hail.ledger_note_account() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'hail_ledger_note_account';
COMMENT ON FUNCTION hail.ledger_note_account() IS 'Trigger: note a moved balance for the check at commit. Internal.';
CREATE FUNCTION hail.ledger_note_hold() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'hail_ledger_note_hold';
COMMENT ON FUNCTION hail.ledger_note_hold() IS 'Trigger: note a hold for the check at commit. Internal.';

DO $$
DECLARE
    t text; guard text;
BEGIN
    FOR t, guard IN VALUES ('accounts', 'ledger_guard_account'), ('ledger_transactions', 'ledger_guard_append'),
                           ('ledger_entries', 'ledger_guard_append'), ('holds', 'ledger_guard_hold') LOOP
        EXECUTE format('CREATE TRIGGER ledger_guard BEFORE INSERT OR UPDATE OR DELETE ON hail.%I FOR EACH ROW EXECUTE FUNCTION hail.%I()', t, guard);
        EXECUTE format('CREATE TRIGGER ledger_guard_truncate BEFORE TRUNCATE ON hail.%I FOR EACH STATEMENT EXECUTE FUNCTION hail.ledger_guard_truncate()', t);
    END LOOP;
    CREATE TRIGGER ledger_note AFTER INSERT ON hail.ledger_transactions FOR EACH ROW EXECUTE FUNCTION hail.ledger_note_transaction();
    CREATE TRIGGER ledger_note AFTER INSERT ON hail.ledger_entries FOR EACH ROW EXECUTE FUNCTION hail.ledger_note_entry();
    CREATE TRIGGER ledger_note AFTER UPDATE ON hail.accounts FOR EACH ROW EXECUTE FUNCTION hail.ledger_note_account();
    CREATE TRIGGER ledger_note AFTER INSERT OR UPDATE ON hail.holds FOR EACH ROW EXECUTE FUNCTION hail.ledger_note_hold();
    FOREACH t IN ARRAY ARRAY['accounts', 'ledger_transactions', 'ledger_entries', 'holds'] LOOP
        EXECUTE format('ALTER TABLE hail.%I ENABLE ALWAYS TRIGGER ledger_guard', t);
        EXECUTE format('ALTER TABLE hail.%I ENABLE ALWAYS TRIGGER ledger_guard_truncate', t);
        EXECUTE format('ALTER TABLE hail.%I ENABLE ALWAYS TRIGGER ledger_note', t);
    END LOOP;
END
$$;

-- Accounts.
CREATE FUNCTION hail.ensure_account(kind text, owner_id uuid, currency text) RETURNS hail.accounts
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    account hail.accounts;
BEGIN
    INSERT INTO hail.accounts (kind, owner_id, currency, is_system, floor)
    SELECT $1, $2, $3, NOT k.has_owner, k.floor FROM hail.account_kinds k WHERE k.kind = $1 ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT account FROM hail.accounts a
    WHERE a.kind = $1 AND a.owner_id IS NOT DISTINCT FROM $2 AND a.currency = $3;
    RETURN account;
END
$$;
COMMENT ON FUNCTION hail.ensure_account(text, uuid, text) IS
'The account of this kind, owner and currency, opened when there is none; concurrent callers get the same. Internal.';

CREATE FUNCTION hail.open_account(kind text, owner_id uuid, currency text) RETURNS hail.accounts
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    has_owner boolean := (SELECT k.has_owner FROM hail.account_kinds k WHERE k.kind = open_account.kind);
BEGIN
    PERFORM hail.require_admin();
    IF has_owner IS NULL THEN
        PERFORM hail.fail('invalid_value', 'unknown kind of account', 'kind', 'See hail.account_kinds.');
    ELSIF has_owner <> (owner_id IS NOT NULL) THEN
        PERFORM hail.fail('invalid_value', 'wallets have an owner, system accounts have none', 'owner_id');
    ELSIF currency IS NULL OR currency !~ '^[A-Z]{3}$' THEN
        PERFORM hail.fail('invalid_value', 'currency must be three capital letters (ISO 4217)', 'currency');
    ELSIF owner_id IS NOT NULL AND NOT EXISTS (SELECT FROM hail.users u WHERE u.id = owner_id) THEN
        PERFORM hail.fail('not_found', 'user does not exist', 'owner_id');
    END IF;
    RETURN hail.ensure_account(kind, owner_id, currency);
END
$$;
COMMENT ON FUNCTION hail.open_account(text, uuid, text) IS
'Open an account (owner NULL for system accounts), or return the one there is. Administrators only. Trips open what they need by themselves.';
GRANT EXECUTE ON FUNCTION hail.open_account(text, uuid, text) TO hail_admin;

CREATE FUNCTION hail.exact_posted(account hail.accounts) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT account.posted + CASE WHEN account.is_system THEN
        coalesce((SELECT sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE - e.amount END)
                  FROM hail.ledger_entries e
                  WHERE e.account_id = account.id AND e.balance_after IS NULL AND e.xid >= account.folded_xid), 0)::bigint
        ELSE 0 END
$$;
COMMENT ON FUNCTION hail.exact_posted(hail.accounts) IS
'Posted balance of an account row as of the calling statement: of a system account, what is folded and what is not yet. Internal.';

CREATE FUNCTION hail.balance(account_id uuid, OUT posted bigint, OUT held bigint, OUT available bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT hail.exact_posted(a), a.held INTO posted, held FROM hail.accounts a
    WHERE a.id = account_id
      AND (a.owner_id = hail.current_subject() OR hail.current_role_name() IN ('admin', 'analyst'));
    IF posted IS NULL THEN
        PERFORM hail.fail('not_found', 'account does not exist', 'account_id');
    END IF;
    available := posted - held;
END
$$;
COMMENT ON FUNCTION hail.balance(uuid) IS
'Exact balance of an account in minor units: posted (credits less debits), held, and available = posted - held. For its owner, administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.balance(uuid) TO hail_customer, hail_driver, hail_admin, hail_analyst;

CREATE FUNCTION hail.wallet(user_id uuid)
RETURNS TABLE (account_id uuid, kind text, currency text, posted bigint, held bigint, available bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (user_id = hail.current_subject() OR hail.current_role_name() = 'admin') IS NOT TRUE THEN
        PERFORM hail.fail('not_found', 'user does not exist', 'user_id');
    END IF;
    RETURN QUERY SELECT a.id, a.kind, a.currency::text, a.posted, a.held, a.posted - a.held
                 FROM hail.accounts a WHERE a.owner_id = user_id AND a.closed_at IS NULL ORDER BY a.kind, a.currency;
END
$$;
COMMENT ON FUNCTION hail.wallet(uuid) IS 'Wallets of a user with their balances, minor units. For the user itself and administrators.';
GRANT EXECUTE ON FUNCTION hail.wallet(uuid) TO hail_customer, hail_driver, hail_admin, hail_partner;

-- Postings.
CREATE FUNCTION hail.post_transaction(kind text, entries hail.entry_input[], idempotency_key text, reference_type text DEFAULT NULL,
                                      reference_id uuid DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS hail.ledger_transactions
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_post_transaction';
COMMENT ON FUNCTION hail.post_transaction(text, hail.entry_input[], text, text, uuid, jsonb) IS
'Post a transaction of two entries or more: debits equal credits in each currency, each account once, no wallet below its floor. The same key with the same request returns the first result; with another one it is an error. Administrators only.';

CREATE FUNCTION hail.reverse_transaction(transaction_id uuid, idempotency_key text, metadata jsonb DEFAULT NULL)
RETURNS hail.ledger_transactions
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_reverse_transaction';
COMMENT ON FUNCTION hail.reverse_transaction(uuid, text, jsonb) IS
'Post the opposite of a transaction, once. Administrators only.';

CREATE FUNCTION hail.hold(account_id uuid, amount bigint, idempotency_key text, reference_type text DEFAULT NULL,
                          reference_id uuid DEFAULT NULL, ttl interval DEFAULT NULL) RETURNS hail.holds
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_hold';
COMMENT ON FUNCTION hail.hold(uuid, bigint, text, text, uuid, interval) IS
'Reserve an amount on a wallet until it is captured or released, or the ttl has passed. Administrators only.';

CREATE FUNCTION hail.capture(hold_id uuid, to_account uuid, idempotency_key text, amount bigint DEFAULT NULL,
                             metadata jsonb DEFAULT NULL) RETURNS hail.ledger_transactions
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_capture';
COMMENT ON FUNCTION hail.capture(uuid, uuid, text, bigint, jsonb) IS
'Pay a hold, whole (amount NULL) or in part, to an account; what is left of it is free again. Administrators only.';

CREATE FUNCTION hail.release(hold_id uuid) RETURNS hail.holds
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_release';
COMMENT ON FUNCTION hail.release(uuid) IS
'Give a hold back. Releasing it again is no error; releasing what was captured is. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.post_transaction(text, hail.entry_input[], text, text, uuid, jsonb),
    hail.reverse_transaction(uuid, text, jsonb), hail.hold(uuid, bigint, text, text, uuid, interval),
    hail.capture(uuid, uuid, text, bigint, jsonb), hail.release(uuid) TO hail_admin;

-- Trips (src/ledger/trip_payment.c).
CREATE FUNCTION hail.commission(price bigint, commission_bp integer) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_commission';
COMMENT ON FUNCTION hail.commission(bigint, integer) IS
'The platform''s share of a price: price * basis points / 10000, half rounded up; minor units.';
GRANT EXECUTE ON FUNCTION hail.commission(bigint, integer) TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

CREATE FUNCTION hail.hold_trip_fare(trip hail.trips) RETURNS uuid
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_hold_trip_fare';
COMMENT ON FUNCTION hail.hold_trip_fare(hail.trips) IS
'Hold a trip''s price on the customer''s wallet; the hold, or NULL when nothing is to be held (cash, price 0). A trip has one open hold. Its row is locked. Internal.';

CREATE FUNCTION hail.change_trip_hold(trip hail.trips, amount bigint) RETURNS uuid
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_change_trip_hold';
COMMENT ON FUNCTION hail.change_trip_hold(hail.trips, bigint) IS
'Hold another amount for a locked trip paid by wallet: its open hold is released and a new one placed, in this transaction; returns it, NULL when nothing is held any more. Error insufficient_balance. Internal.';

CREATE FUNCTION hail.settle_trip(trip hail.trips) RETURNS void
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_settle_trip';
COMMENT ON FUNCTION hail.settle_trip(hail.trips) IS
'Pay a completed trip, once: by wallet from its hold, in cash the commission from the driver''s wallet. Its row is locked. Internal.';

CREATE FUNCTION hail.release_trip_fare(trip hail.trips) RETURNS void
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_release_trip_fare';
COMMENT ON FUNCTION hail.release_trip_fare(hail.trips) IS
'Give a trip''s hold back, when it has one. Its row is locked. Internal.';

CREATE FUNCTION hail.charge_cancellation(trip hail.trips, fee bigint) RETURNS void
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_charge_cancellation';
COMMENT ON FUNCTION hail.charge_cancellation(hail.trips, bigint) IS
'Take a cancellation fee from the customer''s wallet, once and as far as it goes, shared with the trip''s driver like a fare, and give the rest of the hold back. The trip''s row is locked. Internal.';

-- Keeper steps.
CREATE FUNCTION hail.expire_holds() RETURNS integer
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_expire_holds';
COMMENT ON FUNCTION hail.expire_holds() IS 'Give back the holds whose time is over; their number, 1000 at most a call. Keeper step. Internal.';

CREATE FUNCTION hail.fold_accounts() RETURNS integer
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_fold_accounts';
COMMENT ON FUNCTION hail.fold_accounts() IS
'Add to each system account''s posted the entries of transactions that have ended; the number of accounts moved. Keeper step. Internal.';

-- Reports.
CREATE FUNCTION hail.driver_earnings(driver_id uuid, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
RETURNS TABLE (currency text, trips bigint, gross bigint, commission bigint, net bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    RETURN QUERY
    SELECT t.currency, count(*), sum(t.price)::bigint, sum(hail.commission(t.price, t.commission_bp))::bigint,
           sum(t.price - hail.commission(t.price, t.commission_bp))::bigint
    FROM hail.trips t
    WHERE t.driver_id = driver_earnings.driver_id AND t.state = 'completed'
      AND t.completed_at >= coalesce(from_time, '-infinity') AND t.completed_at < coalesce(to_time, 'infinity')
    GROUP BY t.currency ORDER BY t.currency;
END
$$;
COMMENT ON FUNCTION hail.driver_earnings(uuid, timestamptz, timestamptz) IS
'Completed trips of a driver by currency: number, gross (cash included), commission and net, minor units; from_time inclusive, to_time exclusive. For the driver and administrators.';
GRANT EXECUTE ON FUNCTION hail.driver_earnings(uuid, timestamptz, timestamptz) TO hail_driver, hail_admin;

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
        WHERE t.reference_type = 'trip' AND t.principal = 'system' AND t.kind IN ('trip_fare', 'trip_commission')
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
        WHERE t.principal = 'system' AND t.kind IN ('trip_fare', 'trip_commission')
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
