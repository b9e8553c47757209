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
    request         jsonb,
    reference_type  text,
    reference_id    uuid,
    reverses        uuid,
    metadata        jsonb,
    effective_at    timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (principal, idempotency_key)
);
COMMENT ON COLUMN hail.ledger_transactions.reverses IS
'The transaction of which this is the opposite. Set under its lock by hail.reverse_transaction; no foreign key, because a table that refers to itself makes pg_dump doubt that it can be restored.';
CREATE UNIQUE INDEX ledger_transactions_reverses ON hail.ledger_transactions (reverses) WHERE reverses IS NOT NULL;
COMMENT ON COLUMN hail.ledger_transactions.request IS
'What a repeated key is compared with, where the request said something else than this row and its entries; NULL: these.';
CREATE INDEX ledger_transactions_reference ON hail.ledger_transactions (reference_id) WHERE reference_id IS NOT NULL;
COMMENT ON TABLE hail.ledger_transactions IS 'Money movements; append-only. A repeated key is compared with what is stored.';

CREATE TABLE hail.ledger_entries (
    id             bigint GENERATED ALWAYS AS IDENTITY (INCREMENT 256),
    transaction_id uuid NOT NULL REFERENCES hail.ledger_transactions (id),
    account_id     uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    direction      text NOT NULL CHECK (direction IN ('debit', 'credit')),
    currency       text NOT NULL,
    balance_after  bigint,
    created_at     timestamptz NOT NULL,
    xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (transaction_id, account_id)
);
CREATE UNIQUE INDEX ledger_entries_account ON hail.ledger_entries (account_id, id);
CREATE INDEX ledger_entries_unfolded ON hail.ledger_entries (account_id, xid) WHERE balance_after IS NULL;
COMMENT ON TABLE hail.ledger_entries IS 'The legs of a transaction; append-only. Per transaction and currency debits equal credits, or the commit fails.';
COMMENT ON COLUMN hail.ledger_entries.id IS
'The order of entries: of a wallet always, of others as they were written. A posting takes 256 numbers of the sequence at once.';
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
    -- as pg_dump writes it, so that it reads the same after pg_upgrade (hail.reconcile compares)
    CHECK (captured >= 0 AND captured <= amount AND (ttl IS NULL) = (expires_at IS NULL)
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
    ELSIF NOT EXISTS (SELECT FROM hail.currencies c WHERE c.code = currency) THEN
        PERFORM hail.fail('invalid_value', 'unknown currency', 'currency', 'See hail.currencies.');
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

-- It authorises, and reads past SQL, so it needs neither SECURITY DEFINER nor settings of its own.
CREATE FUNCTION hail.balance(account_id uuid, OUT posted bigint, OUT held bigint, OUT available bigint)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'hail_balance';
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
