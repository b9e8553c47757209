-- 70_ledger: accounts, transactions, entries, holds

CREATE TABLE hail.accounts (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    kind       text NOT NULL CHECK (kind IN ('CUSTOMER_WALLET', 'DRIVER_WALLET', 'PLATFORM_REVENUE', 'CASH_CLEARING',
                                             'GATEWAY_CLEARING', 'PAYOUT_CLEARING', 'PROMOTIONS')),
    owner_id   uuid REFERENCES hail.users (id),
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    is_system  boolean NOT NULL,
    floor      bigint,
    posted     bigint NOT NULL DEFAULT 0,
    held       bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    folded_xid xid8 NOT NULL DEFAULT '0',
    closed_at  timestamptz,
    created_at timestamptz NOT NULL DEFAULT hail.clock(),
    UNIQUE NULLS NOT DISTINCT (kind, owner_id, currency),
    CHECK (is_system = (owner_id IS NULL)),
    CHECK (NOT is_system OR (floor IS NULL AND held = 0))
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
    reverses        uuid UNIQUE REFERENCES hail.ledger_transactions (id),
    metadata        jsonb,
    effective_at    timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (principal, idempotency_key)
);
CREATE INDEX ledger_transactions_reference ON hail.ledger_transactions (reference_id) WHERE reference_id IS NOT NULL;
COMMENT ON TABLE hail.ledger_transactions IS 'Money movements; append-only. The stored request is what a repeated key is compared with.';

CREATE TABLE hail.ledger_entries (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id uuid NOT NULL REFERENCES hail.ledger_transactions (id),
    account_id     uuid NOT NULL REFERENCES hail.accounts (id),
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
COMMENT ON COLUMN hail.ledger_entries.balance_after IS 'Posted balance of the wallet after this entry; NULL for system accounts.';

CREATE TABLE hail.holds (
    id              uuid PRIMARY KEY DEFAULT hail.uuid7(),
    account_id      uuid NOT NULL REFERENCES hail.accounts (id),
    amount          bigint NOT NULL CHECK (amount > 0),
    captured        bigint NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
    status          text NOT NULL DEFAULT 'held' CHECK (status IN ('held', 'captured', 'released', 'expired')),
    principal       text NOT NULL,
    idempotency_key text NOT NULL,
    reference_type  text,
    reference_id    uuid,
    expires_at      timestamptz,
    created_at      timestamptz NOT NULL,
    resolved_at     timestamptz,
    UNIQUE (principal, idempotency_key)
) WITH (fillfactor = 70);
CREATE INDEX holds_open ON hail.holds (account_id) WHERE status = 'held';
CREATE INDEX holds_reference ON hail.holds (reference_id) WHERE reference_id IS NOT NULL;
COMMENT ON TABLE hail.holds IS 'Amounts reserved on a wallet: held -> captured (whole or part) | released | expired.';
