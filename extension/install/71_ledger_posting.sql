-- 71_ledger_posting: transactions, holds, folding

CREATE TYPE hail.posting AS (id uuid, kind text, principal text, idempotency_key text, reference_type text, reference_id uuid,
                             reverses uuid, metadata jsonb, effective_at timestamptz, created_at timestamptz, repeated boolean,
                             accounts uuid[], balances bigint[]);
COMMENT ON TYPE hail.posting IS
'A transaction as it was posted. repeated: the key had been used before, and this is the first result. accounts: of the entries, in their order; balances: what each had posted after it, NULL for system accounts (hail.balance tells theirs).';

-- Neither SECURITY DEFINER nor with settings of its own: it authorises, and writes past SQL; where it needs SQL it becomes
-- hail_owner itself.
CREATE FUNCTION hail.post_transaction(kind text, entries hail.entry_input[], idempotency_key text, reference_type text DEFAULT NULL,
                                      reference_id uuid DEFAULT NULL, metadata jsonb DEFAULT NULL, effective_at timestamptz DEFAULT NULL)
RETURNS hail.posting
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_post_transaction';
COMMENT ON FUNCTION hail.post_transaction(text, hail.entry_input[], text, text, uuid, jsonb, timestamptz) IS
'Post a transaction of 2 to 256 entries: debits equal credits in each currency, each account once, amounts in minor units above 0 and up to 2^53, no wallet below its floor. effective_at: when it counts, if not now (at most 366 days back, 31 ahead). The same key with the same request returns the first result; with another one it is an error. The first of these faults is told: rights (forbidden), key (idempotency_key_required), shape of the arguments (invalid_value), key used before for something else (idempotency_mismatch), accounts exist (not_found), are open (account_closed), are of one currency where there are two entries (currency_mismatch), amounts (invalid_value), balance of the entries (unbalanced_transaction), overflow and floors (invalid_value, insufficient_balance). Administrators only.';

CREATE FUNCTION hail.post_transactions(keys text[], kinds text[], items integer[], accounts uuid[], amounts bigint[],
                                       reference_types text[] DEFAULT NULL, reference_ids uuid[] DEFAULT NULL,
                                       metadata jsonb[] DEFAULT NULL, effective_at timestamptz[] DEFAULT NULL,
                                       apart boolean DEFAULT false)
RETURNS TABLE (item integer, transaction_id uuid, repeated boolean, balances bigint[], error text, message text, field text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_post_transactions';
COMMENT ON FUNCTION hail.post_transactions(text[], text[], integer[], uuid[], bigint[], text[], uuid[], jsonb[], timestamptz[], boolean) IS
'Post up to 10,000 transactions at once, in the order of their keys in the array. kinds: one for all, or one each. Entries are three arrays of one length: items (the position in keys, from 1, ascending), accounts, amounts (credits above 0, debits below). The rest: one each, or NULL. All or nothing; apart: each on its own, with its error, and nothing is left of those refused. A row for each: new balances of its accounts in the order of its entries (NULL for system accounts, and for a key used before, also within the batch), or error word, message and field. Rules and their order as hail.post_transaction; a key that another transaction is just using is in_flight. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.post_transactions(text[], text[], integer[], uuid[], bigint[], text[], uuid[], jsonb[], timestamptz[], boolean) TO hail_admin;

CREATE FUNCTION hail.reverse_transaction(transaction_id uuid, idempotency_key text, metadata jsonb DEFAULT NULL)
RETURNS hail.posting
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_reverse_transaction';
COMMENT ON FUNCTION hail.reverse_transaction(uuid, text, jsonb) IS
'Post the opposite of a transaction, once; not of what trips, payments and withdrawals have posted (principal system; but chargeback and gateway_fee), which are refunded. Administrators only. Errors: not_found, wrong_state, already_exists, and those of hail.post_transaction().';

CREATE FUNCTION hail.hold(account_id uuid, amount bigint, idempotency_key text, reference_type text DEFAULT NULL,
                          reference_id uuid DEFAULT NULL, ttl interval DEFAULT NULL) RETURNS hail.holds
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_hold';
COMMENT ON FUNCTION hail.hold(uuid, bigint, text, text, uuid, interval) IS
'Reserve an amount on a wallet until it is captured or released, or the ttl has passed. Administrators only.';

CREATE FUNCTION hail.capture(hold_id uuid, to_account uuid, idempotency_key text, amount bigint DEFAULT NULL,
                             metadata jsonb DEFAULT NULL) RETURNS hail.posting
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_capture';
COMMENT ON FUNCTION hail.capture(uuid, uuid, text, bigint, jsonb) IS
'Pay a hold, whole (amount NULL) or in part, to an account; what is left of it is free again. Administrators only.';

CREATE FUNCTION hail.release(hold_id uuid) RETURNS hail.holds
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_release';
COMMENT ON FUNCTION hail.release(uuid) IS
'Give a hold back. Releasing it again is no error; releasing what was captured is. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.post_transaction(text, hail.entry_input[], text, text, uuid, jsonb, timestamptz),
    hail.reverse_transaction(uuid, text, jsonb), hail.hold(uuid, bigint, text, text, uuid, interval),
    hail.capture(uuid, uuid, text, bigint, jsonb), hail.release(uuid) TO hail_admin;

-- The end of a wallet, its return, its floor.
CREATE TABLE hail.account_changes (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    account_id uuid NOT NULL,
    change     text NOT NULL CHECK (change IN ('closed', 'reopened', 'floor')),
    old_floor  bigint,
    floor      bigint,
    reason     text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX account_changes_account ON hail.account_changes (account_id);
COMMENT ON TABLE hail.account_changes IS 'Who closed or reopened a wallet or set its floor, when and why.';
COMMENT ON COLUMN hail.account_changes.account_id IS 'No foreign key: accounts are never deleted.';
COMMENT ON COLUMN hail.account_changes.changed_by IS 'The principal: user:<uuid>, or admin (a database administrator).';
GRANT SELECT ON hail.account_changes TO hail_admin;
CREATE POLICY account_changes_admin ON hail.account_changes FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.close_account(account_id uuid, reason text) RETURNS hail.accounts
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_close_account';
COMMENT ON FUNCTION hail.close_account(uuid, text) IS
'Close a wallet that has nothing posted and no open hold; from then on postings and holds are account_closed. Closing it again is no error. Its owner has no other of this kind and currency: hail.reopen_account. Administrators only. Errors: invalid_value (account_id, reason), not_found, wrong_state (not empty).';

CREATE FUNCTION hail.reopen_account(account_id uuid, reason text) RETURNS hail.accounts
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_reopen_account';
COMMENT ON FUNCTION hail.reopen_account(uuid, text) IS
'Open a closed wallet again; of an open one no error. Administrators only. Errors: invalid_value (account_id, reason), not_found.';

CREATE FUNCTION hail.set_account_floor(account_id uuid, floor bigint, reason text) RETURNS hail.accounts
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_set_account_floor';
COMMENT ON FUNCTION hail.set_account_floor(uuid, bigint, text) IS
'Set below what a wallet''s available balance (minor units) may not go; NULL: as its kind has it (hail.account_kinds), which for drivers is no floor. Never below that of its kind; raised only as far as is available now. Every debit of the wallet obeys it, also the commission of a cash trip: a limit of debt that only matching obeys is the policy''s. Administrators only. Errors: invalid_value (account_id, floor, reason), not_found, account_closed, insufficient_balance.';
GRANT EXECUTE ON FUNCTION hail.close_account(uuid, text), hail.reopen_account(uuid, text),
    hail.set_account_floor(uuid, bigint, text) TO hail_admin;

-- For the extension's own SQL.
CREATE FUNCTION hail.place_hold(wallet_id uuid, amount bigint, idempotency_key text, reference_type text, reference_id uuid,
                                ttl interval DEFAULT NULL) RETURNS uuid
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_place_hold';
COMMENT ON FUNCTION hail.place_hold(uuid, bigint, text, text, uuid, interval) IS
'Reserve an amount on a wallet, as the engine (principal system): the hold, also when its key is repeated. Errors as hail.hold. Internal.';

CREATE FUNCTION hail.release_hold(hold_id uuid) RETURNS boolean
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_release_hold';
COMMENT ON FUNCTION hail.release_hold(uuid) IS
'Give an open hold back; false when it has been captured, released or has expired. Internal.';

-- Keeper steps.
CREATE FUNCTION hail.expire_holds() RETURNS integer
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_expire_holds';
COMMENT ON FUNCTION hail.expire_holds() IS 'Give back the holds whose time is over; their number, 1000 at most a call. Keeper step. Internal.';

CREATE FUNCTION hail.fold_accounts() RETURNS integer
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_fold_accounts';
COMMENT ON FUNCTION hail.fold_accounts() IS
'Add to each system account''s posted the entries of transactions that have ended; the number of accounts moved. Keeper step. Internal.';
