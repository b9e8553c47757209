-- 75_ledger_withdrawals: money leaves drivers' and partners' wallets

-- One move of a withdrawal: which event tells it, which template of entries it posts.
CREATE TABLE hail.withdrawal_transitions (
    from_state text NOT NULL,
    action     text NOT NULL,
    actor      text NOT NULL,
    to_state   text NOT NULL,
    event      text NOT NULL,
    template   text,
    PRIMARY KEY (from_state, action, actor)
);
COMMENT ON TABLE hail.withdrawal_transitions IS
'The only moves a withdrawal can make, by whom (owner; admin; system: the rules, and events of gateways). template: what is posted; NULL: the hold is given back.';
INSERT INTO hail.withdrawal_transitions (from_state, action, actor, to_state, event, template) VALUES
    ('requested', 'approve', 'admin',  'approved',  'WithdrawalApproved',  'withdrawal_approved'),
    ('requested', 'approve', 'system', 'approved',  'WithdrawalApproved',  'withdrawal_approved'),
    ('requested', 'reject',  'admin',  'rejected',  'WithdrawalRejected',  NULL),
    ('requested', 'cancel',  'owner',  'cancelled', 'WithdrawalCancelled', NULL),
    ('requested', 'cancel',  'admin',  'cancelled', 'WithdrawalCancelled', NULL),
    ('approved',  'settle',  'admin',  'settled',   'PayoutSettled',       'withdrawal_settled'),
    ('approved',  'settle',  'system', 'settled',   'PayoutSettled',       'withdrawal_settled'),
    ('approved',  'fail',    'admin',  'failed',    'PayoutFailed',        'withdrawal_failed'),
    ('approved',  'fail',    'system', 'failed',    'PayoutFailed',        'withdrawal_failed'),
    ('settled',   'return',  'admin',  'returned',  'PayoutReturned',      'withdrawal_returned'),
    ('settled',   'return',  'system', 'returned',  'PayoutReturned',      'withdrawal_returned');
GRANT SELECT ON hail.withdrawal_transitions TO hail_admin, hail_analyst;
CREATE POLICY withdrawal_transitions_read ON hail.withdrawal_transitions FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

INSERT INTO hail.entry_templates (template, leg, account_kind, owner, direction, amount, description) VALUES
    ('withdrawal_approved', 1, NULL,               'wallet', 'debit',  'amount', 'What is withdrawn, from the hold'),
    ('withdrawal_approved', 2, NULL,               'wallet', 'debit',  'fee',    'What withdrawing costs, from the hold'),
    ('withdrawal_approved', 3, 'PAYOUT_CLEARING',  NULL,     'credit', 'amount', 'On its way to the payee'),
    ('withdrawal_approved', 4, 'PLATFORM_REVENUE', NULL,     'credit', 'fee',    'The platform''s fee'),
    ('withdrawal_settled',  1, 'PAYOUT_CLEARING',  NULL,     'debit',  'amount', 'No longer on its way'),
    ('withdrawal_settled',  2, 'GATEWAY_CLEARING', NULL,     'credit', 'amount', 'Paid out of what the gateway holds'),
    ('withdrawal_failed',   1, 'PAYOUT_CLEARING',  NULL,     'debit',  'amount', 'No longer on its way'),
    ('withdrawal_failed',   2, 'PLATFORM_REVENUE', NULL,     'debit',  'fee',    'The fee, for nothing was paid out'),
    ('withdrawal_failed',   3, NULL,               'wallet', 'credit', 'amount', 'Back in the wallet'),
    ('withdrawal_failed',   4, NULL,               'wallet', 'credit', 'fee',    'The fee as well'),
    ('withdrawal_returned', 1, 'GATEWAY_CLEARING', NULL,     'debit',  'amount', 'The payee''s bank has sent it back'),
    ('withdrawal_returned', 2, NULL,               'wallet', 'credit', 'amount', 'Back in the wallet; the fee is not');

CREATE TABLE hail.withdrawal_rules (
    currency     text PRIMARY KEY REFERENCES hail.currencies (code),
    minimum      bigint NOT NULL CHECK (minimum > 0),
    maximum      bigint CHECK (maximum >= minimum),
    daily_number integer CHECK (daily_number >= 0),
    daily_amount bigint CHECK (daily_amount >= 0),
    fee          bigint NOT NULL CHECK (fee >= 0),
    review_above bigint CHECK (review_above >= 0),
    changed_at   timestamptz NOT NULL,
    changed_by   text NOT NULL
);
COMMENT ON TABLE hail.withdrawal_rules IS
'Of withdrawals in a currency, minor units: the least and the most of one, how many and how much (without fees) of a wallet within 24 hours, what each costs, and up to what they need no administrator. NULL: no limit. A currency without a row: any amount, no fee, each waits for an administrator.';
COMMENT ON COLUMN hail.withdrawal_rules.review_above IS
'Up to this a withdrawal asked for by its owner is approved at once, unless the fraud check wants it seen; NULL: each waits for an administrator.';
GRANT SELECT ON hail.withdrawal_rules TO hail_driver, hail_partner, hail_admin, hail_analyst;
CREATE POLICY withdrawal_rules_read ON hail.withdrawal_rules FOR SELECT TO hail_driver, hail_partner, hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('driver', 'partner', 'admin', 'analyst'));

CREATE TABLE hail.withdrawals (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL REFERENCES hail.users (id),
    wallet_id        uuid NOT NULL,
    amount           bigint NOT NULL CHECK (amount > 0),
    fee              bigint NOT NULL CHECK (fee >= 0),
    currency         text NOT NULL,
    destination      text NOT NULL,
    state            text NOT NULL CHECK (state IN ('requested', 'approved', 'rejected', 'cancelled', 'settled', 'failed', 'returned')),
    review           boolean NOT NULL,
    hold_id          uuid NOT NULL UNIQUE,
    transaction_id   uuid UNIQUE,
    payout_reference text CHECK (length(payout_reference) BETWEEN 1 AND 200),
    reason           text CHECK (length(reason) BETWEEN 1 AND 500),
    requested_by     text NOT NULL,
    decided_by       text,
    idempotency_key  text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    event_version    integer NOT NULL,
    requested_at     timestamptz NOT NULL,
    decided_at       timestamptz,
    paid_at          timestamptz,
    closed_at        timestamptz,
    UNIQUE (requested_by, idempotency_key),
    CHECK ((state IN ('requested', 'rejected', 'cancelled')) = (transaction_id IS NULL)
           AND (state IN ('settled', 'returned')) = (payout_reference IS NOT NULL)
           AND (state IN ('settled', 'returned')) = (paid_at IS NOT NULL)
           AND (state IN ('rejected', 'failed', 'returned')) <= (reason IS NOT NULL))
);
-- A payout is made once.
CREATE UNIQUE INDEX withdrawals_reference ON hail.withdrawals (payout_reference) WHERE payout_reference IS NOT NULL;
CREATE INDEX withdrawals_user ON hail.withdrawals (user_id, id);
CREATE INDEX withdrawals_recent ON hail.withdrawals (wallet_id, requested_at);
CREATE INDEX withdrawals_open ON hail.withdrawals (id) WHERE state IN ('requested', 'approved');
COMMENT ON TABLE hail.withdrawals IS
'Money asked for out of a wallet, minor units: requested (amount and fee are held) -> approved (on its way) -> settled, or rejected, cancelled, failed (all is given back), returned (the amount came back later). Moves along hail.withdrawal_transitions.';
COMMENT ON COLUMN hail.withdrawals.destination IS 'Masked: kind and last digits; hail.withdrawal_destination() tells the whole. "erased" after hail.erase_payout_details().';
COMMENT ON COLUMN hail.withdrawals.review IS 'It waits, or waited, for an administrator.';
COMMENT ON COLUMN hail.withdrawals.transaction_id IS 'The transaction of its approval; others refer to the withdrawal.';
COMMENT ON COLUMN hail.withdrawals.payout_reference IS 'What the bank or gateway calls the payout.';
COMMENT ON COLUMN hail.withdrawals.requested_by IS 'user:<id>, or admin (a database administrator without a token); whoever this is does not approve it.';
COMMENT ON COLUMN hail.withdrawals.idempotency_key IS 'Of its request. Unlike the keys of hail.request_keys it is never free again.';
COMMENT ON COLUMN hail.withdrawals.closed_at IS 'When it was rejected, cancelled, failed or returned.';
GRANT SELECT (id, user_id, wallet_id, amount, fee, currency, destination, state, review, hold_id, transaction_id, payout_reference, reason,
              requested_at, decided_at, paid_at, closed_at) ON hail.withdrawals TO hail_driver, hail_partner;
GRANT SELECT (id, user_id, wallet_id, amount, fee, currency, state, review, hold_id, transaction_id, requested_at, decided_at, paid_at,
              closed_at) ON hail.withdrawals TO hail_analyst;
GRANT SELECT ON hail.withdrawals TO hail_admin;
CREATE POLICY withdrawals_own ON hail.withdrawals FOR SELECT TO hail_driver, hail_partner USING (user_id = hail.current_subject());
CREATE POLICY withdrawals_admin ON hail.withdrawals FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
CREATE POLICY withdrawals_analyst ON hail.withdrawals FOR SELECT TO hail_analyst
    USING (hail.current_role_name() IN ('analyst', 'admin'));

CREATE TABLE hail.withdrawal_destinations (
    withdrawal_id uuid PRIMARY KEY REFERENCES hail.withdrawals (id),
    destination   jsonb NOT NULL
);
COMMENT ON TABLE hail.withdrawal_destinations IS
'Where withdrawals go, in full. Nobody may read it but the owner''s functions: hail.withdrawal_destination().';

-- Rules

CREATE FUNCTION hail.ledger_caller() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN hail.current_subject() IS NOT NULL THEN 'user:' || hail.current_subject()
            ELSE coalesce(hail.current_role_name(), 'system') END;
COMMENT ON FUNCTION hail.ledger_caller() IS
'Who acts, as transactions name it: user:<id>, admin (a database administrator without a token), system (the engine). Internal.';

CREATE FUNCTION hail.set_withdrawal_rules(currency text, minimum bigint DEFAULT 1, maximum bigint DEFAULT NULL, daily_number integer DEFAULT NULL,
                                          daily_amount bigint DEFAULT NULL, fee bigint DEFAULT 0, review_above bigint DEFAULT NULL)
RETURNS hail.withdrawal_rules
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    most CONSTANT bigint := 9007199254740992; -- 2^53, as much as a posting
    rules hail.withdrawal_rules;
BEGIN
    PERFORM hail.require_admin();
    IF NOT EXISTS (SELECT FROM hail.currencies c WHERE c.code = set_withdrawal_rules.currency) THEN
        PERFORM hail.fail('invalid_value', 'unknown currency', 'currency', 'See hail.currencies.');
    ELSIF (set_withdrawal_rules.minimum BETWEEN 1 AND most) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'minimum must be between 1 and 2^53', 'minimum');
    ELSIF set_withdrawal_rules.maximum NOT BETWEEN set_withdrawal_rules.minimum AND most THEN
        PERFORM hail.fail('invalid_value', 'maximum must be between minimum and 2^53', 'maximum');
    ELSIF set_withdrawal_rules.daily_number < 0 THEN
        PERFORM hail.fail('invalid_value', 'daily_number must not be negative', 'daily_number');
    ELSIF set_withdrawal_rules.daily_amount NOT BETWEEN 0 AND most THEN
        PERFORM hail.fail('invalid_value', 'daily_amount must be between 0 and 2^53', 'daily_amount');
    ELSIF (set_withdrawal_rules.fee BETWEEN 0 AND most) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'fee must be between 0 and 2^53', 'fee');
    ELSIF set_withdrawal_rules.review_above NOT BETWEEN 0 AND most THEN
        PERFORM hail.fail('invalid_value', 'review_above must be between 0 and 2^53', 'review_above');
    END IF;
    INSERT INTO hail.withdrawal_rules AS r VALUES (set_withdrawal_rules.currency, set_withdrawal_rules.minimum, set_withdrawal_rules.maximum,
            set_withdrawal_rules.daily_number, set_withdrawal_rules.daily_amount, set_withdrawal_rules.fee,
            set_withdrawal_rules.review_above, hail.clock(), hail.ledger_caller())
        ON CONFLICT ON CONSTRAINT withdrawal_rules_pkey DO UPDATE
        SET (minimum, maximum, daily_number, daily_amount, fee, review_above, changed_at, changed_by)
          = (excluded.minimum, excluded.maximum, excluded.daily_number, excluded.daily_amount, excluded.fee, excluded.review_above,
             excluded.changed_at, excluded.changed_by)
        RETURNING r.* INTO rules;
    RETURN rules;
END
$$;
COMMENT ON FUNCTION hail.set_withdrawal_rules(text, bigint, bigint, integer, bigint, bigint, bigint) IS
'Set all the rules of withdrawals in a currency (hail.withdrawal_rules), minor units; NULL: no limit, review_above NULL: each waits for an administrator. They hold for later requests. Administrators only. Errors: invalid_value.';
GRANT EXECUTE ON FUNCTION hail.set_withdrawal_rules(text, bigint, bigint, integer, bigint, bigint, bigint) TO hail_admin;

CREATE FUNCTION hail.list_withdrawal_rules() RETURNS SETOF hail.withdrawal_rules
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    named boolean := hail.caller_role() IN ('admin', 'analyst');
BEGIN
    RETURN QUERY SELECT r.currency, r.minimum, r.maximum, r.daily_number, r.daily_amount, r.fee, r.review_above, r.changed_at,
                        CASE WHEN named THEN r.changed_by END
                 FROM hail.withdrawal_rules r ORDER BY r.currency;
END
$$;
COMMENT ON FUNCTION hail.list_withdrawal_rules() IS
'The rules of withdrawals, by currency; drivers and partners do not see who has set them.';
GRANT EXECUTE ON FUNCTION hail.list_withdrawal_rules() TO hail_driver, hail_partner, hail_admin, hail_analyst;

-- Requests

CREATE FUNCTION hail.mask_destination(destination jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fields CONSTANT text[] := '{type,account,holder,bank}';
    account text;
    wrong text;
BEGIN
    -- No message repeats a value: none must get into a log.
    IF jsonb_typeof(destination) IS DISTINCT FROM 'object' THEN
        PERFORM hail.fail('invalid_value', 'destination must be an object', 'destination',
                          'With type, account, holder and perhaps bank.');
    END IF;
    SELECT k.key INTO wrong FROM jsonb_each(destination) k
    WHERE k.key <> ALL (fields) OR jsonb_typeof(k.value) <> 'string' OR length(k.value #>> '{}') NOT BETWEEN 1 AND 100
    ORDER BY k.key LIMIT 1;
    IF wrong IS NOT NULL THEN
        PERFORM hail.fail('invalid_value', 'destination has type, account, holder and bank, texts of 1 to 100 characters',
                          CASE WHEN wrong = ANY (fields) THEN 'destination.' || wrong ELSE 'destination' END);
    END IF;
    account := regexp_replace(destination ->> 'account', '[ -]', '', 'g');
    IF (destination ->> 'type' IN ('bank_account', 'mobile_wallet')) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'type is bank_account or mobile_wallet', 'destination.type');
    ELSIF (account ~ '^\+?[A-Za-z0-9]{6,40}$') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'account must have 6 to 40 letters and digits', 'destination.account');
    ELSIF destination ->> 'holder' IS NULL THEN
        PERFORM hail.fail('invalid_value', 'holder must be given', 'destination.holder');
    END IF;
    -- Of a short number less is shown: never more than a third.
    RETURN format('%s ****%s', destination ->> 'type', right(account, least(4, length(account) / 3)));
END
$$;
COMMENT ON FUNCTION hail.mask_destination(jsonb) IS
'What everybody may see of a destination: its type and the last digits. Errors: invalid_value, naming the field. Internal.';

CREATE FUNCTION hail.pledged_commission(driver_id uuid, currency text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(sum(hail.commission(u.price - u.waiting_amount + u.waiting_max, u.commission_bp)), 0)::bigint
        FROM hail.trips u
        WHERE u.driver_id = pledged_commission.driver_id AND u.currency = pledged_commission.currency
          AND u.state IN ('matched', 'arrived', 'started') AND u.payment_method = 'cash');
COMMENT ON FUNCTION hail.pledged_commission(uuid, text) IS
'What a driver will owe for the cash trips under way, waiting reckoned at its most: accepting them was allowed because the wallet bears it. The driver''s row is locked. Internal.';

CREATE FUNCTION hail.lock_payee(user_id uuid) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payee hail.users;
    driver hail.drivers;
    active boolean;
BEGIN
    SELECT * INTO payee FROM hail.users u WHERE u.id = lock_payee.user_id;
    IF payee.role = 'driver' THEN
        -- Whoever matches this driver to a trip locks this row too: what its commission will be is known from here on.
        SELECT * INTO driver FROM hail.drivers d WHERE d.id = payee.id FOR NO KEY UPDATE;
        active := driver.id IS NOT NULL;
    ELSIF payee.role = 'partner' THEN
        SELECT p.active INTO active FROM hail.partners p WHERE p.id = payee.id FOR NO KEY UPDATE;
    ELSIF payee.id IS NOT NULL THEN
        PERFORM hail.fail('invalid_value', 'only drivers and partners withdraw money', 'user_id',
                          'What a customer has deposited is refunded: hail.refund_deposit().');
    END IF;
    IF active IS NULL OR payee.role = 'driver' AND NOT active THEN
        PERFORM hail.fail('not_found', 'there is no such driver or partner', 'user_id');
    ELSIF driver.hold_reason IS NOT NULL OR driver.status = 'suspended' THEN
        PERFORM hail.fail('fraud_hold', 'nothing is paid out to this driver for now', 'user_id');
    ELSIF NOT payee.active OR NOT active THEN
        PERFORM hail.fail('wrong_state', 'user is not active', 'user_id');
    END IF;
    RETURN CASE payee.role WHEN 'driver' THEN 'DRIVER_WALLET' ELSE 'CUSTOMER_WALLET' END;
END
$$;
COMMENT ON FUNCTION hail.lock_payee(uuid) IS
'Lock the row of a driver or partner who is to be paid; the kind of its wallet. Errors: not_found, invalid_value (others have nothing to withdraw), fraud_hold, wrong_state (inactive). Internal.';

CREATE FUNCTION hail.check_withdrawal_rules(rules hail.withdrawal_rules, wallet_id uuid, amount bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    recent record;
BEGIN
    IF amount < rules.minimum THEN
        PERFORM hail.fail('limit_exceeded', 'amount is below the least that can be withdrawn', 'amount', format('At least %s.', rules.minimum));
    ELSIF amount > rules.maximum THEN
        PERFORM hail.fail('limit_exceeded', 'amount is above the most that can be withdrawn at once', 'amount', format('At most %s.', rules.maximum));
    END IF;
    SELECT count(*) AS number, coalesce(sum(w.amount), 0) AS sum INTO recent FROM hail.withdrawals w
    WHERE w.wallet_id = check_withdrawal_rules.wallet_id AND w.requested_at > hail.clock() - interval '24 hours'
      AND w.state IN ('requested', 'approved', 'settled');
    IF recent.number >= rules.daily_number THEN
        PERFORM hail.fail('limit_exceeded', 'no more withdrawals within 24 hours', 'amount', format('At most %s.', rules.daily_number));
    ELSIF recent.sum + amount > rules.daily_amount THEN
        PERFORM hail.fail('limit_exceeded', 'amount is above what can be withdrawn within 24 hours', 'amount',
                          format('At most %s more.', greatest(rules.daily_amount - recent.sum, 0)));
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_withdrawal_rules(hail.withdrawal_rules, uuid, bigint) IS
'Error limit_exceeded unless the rules allow this amount of a locked wallet, besides its other withdrawals of the last 24 hours (none that came to nothing). Internal.';

CREATE FUNCTION hail.withdrawal_for_caller(withdrawal hail.withdrawals) RETURNS hail.withdrawals
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.current_role_name() IS DISTINCT FROM 'admin' THEN
        withdrawal.requested_by := NULL;
        withdrawal.decided_by := NULL;
        withdrawal.idempotency_key := NULL;
    END IF;
    RETURN withdrawal;
END
$$;
COMMENT ON FUNCTION hail.withdrawal_for_caller(hail.withdrawals) IS
'The row without what its owner does not see: which administrator, and under which key. Internal.';

CREATE FUNCTION hail.withdrawal_event(withdrawal hail.withdrawals, event text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.write_event('withdrawal', withdrawal.id, withdrawal.event_version, event, jsonb_build_object(
        'user_id', withdrawal.user_id, 'wallet_id', withdrawal.wallet_id, 'amount', withdrawal.amount, 'fee', withdrawal.fee,
        'currency', withdrawal.currency, 'state', withdrawal.state, 'review', withdrawal.review));
END
$$;
COMMENT ON FUNCTION hail.withdrawal_event(hail.withdrawals, text) IS
'Event of a locked withdrawal: money and state, neither destination nor reasons. Internal.';

CREATE FUNCTION hail.move_withdrawal(withdrawal hail.withdrawals, action text, actor text, reason text DEFAULT NULL,
                                     payout_reference text DEFAULT NULL) RETURNS hail.withdrawals
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    move hail.withdrawal_transitions;
    moment timestamptz := hail.clock();
    posted uuid;
BEGIN
    SELECT * INTO move FROM hail.withdrawal_transitions t
    WHERE t.from_state = withdrawal.state AND t.action = move_withdrawal.action AND t.actor = move_withdrawal.actor;
    IF move.to_state IS NULL THEN
        PERFORM hail.fail('wrong_state', format('this withdrawal is %s', withdrawal.state), 'withdrawal_id',
            CASE WHEN withdrawal.state = 'settled' AND move_withdrawal.action = 'fail' THEN 'Money that comes back is returned: hail.return_withdrawal().' END);
    ELSIF move.template IS NULL THEN
        PERFORM hail.release_hold(withdrawal.hold_id);
    ELSE
        posted := hail.post_template(move.template, format('%s:%s', move.template, withdrawal.id), withdrawal.currency,
            CASE WHEN move.to_state IN ('approved', 'failed') THEN jsonb_build_object('amount', withdrawal.amount, 'fee', withdrawal.fee)
                 ELSE jsonb_build_object('amount', withdrawal.amount) END,
            wallet_id => withdrawal.wallet_id, hold_id => CASE move.to_state WHEN 'approved' THEN withdrawal.hold_id END,
            reference_type => 'withdrawal', reference_id => withdrawal.id);
    END IF;
    UPDATE hail.withdrawals w
    SET state = move.to_state, event_version = w.event_version + 1,
        transaction_id = CASE move.to_state WHEN 'approved' THEN posted ELSE w.transaction_id END,
        payout_reference = coalesce(move_withdrawal.payout_reference, w.payout_reference),
        reason = coalesce(move_withdrawal.reason, w.reason),
        decided_by = CASE WHEN withdrawal.state = 'requested' THEN CASE actor WHEN 'system' THEN 'system' ELSE hail.ledger_caller() END ELSE w.decided_by END,
        decided_at = CASE WHEN withdrawal.state = 'requested' THEN moment ELSE w.decided_at END,
        paid_at = CASE move.to_state WHEN 'settled' THEN moment ELSE w.paid_at END,
        closed_at = CASE WHEN move.to_state IN ('rejected', 'cancelled', 'failed', 'returned') THEN moment END
    WHERE w.id = withdrawal.id RETURNING * INTO withdrawal;
    PERFORM hail.withdrawal_event(withdrawal, move.event);
    RETURN withdrawal;
END
$$;
COMMENT ON FUNCTION hail.move_withdrawal(hail.withdrawals, text, text, text, text) IS
'Move a locked withdrawal along hail.withdrawal_transitions: its money, its row, its event. Error wrong_state. Internal.';

CREATE FUNCTION hail.hold_withdrawal(id uuid, wallet hail.accounts, amount bigint, fee bigint) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pledged bigint := CASE wallet.kind WHEN 'DRIVER_WALLET' THEN hail.pledged_commission(wallet.owner_id, wallet.currency) ELSE 0 END;
BEGIN
    -- A driver's wallet may go below zero, by commissions; not by what its driver takes out of it.
    IF amount + fee > greatest(wallet.posted - wallet.held - pledged, 0) THEN
        PERFORM hail.fail('insufficient_balance', 'the wallet has not so much to withdraw', 'amount', format('At most %s, the fee of %s included%s.',
            greatest(wallet.posted - wallet.held - pledged, 0), fee,
            CASE WHEN pledged > 0 THEN format('; commissions of %s for cash trips under way stay', pledged) ELSE '' END));
    END IF;
    RETURN hail.place_hold(wallet.id, amount + fee, 'withdrawal:' || id, 'withdrawal', id);
END
$$;
COMMENT ON FUNCTION hail.hold_withdrawal(uuid, hail.accounts, bigint, bigint) IS
'Hold amount and fee on a locked wallet, which must have so much available besides the commissions of its driver''s cash trips under way. Error insufficient_balance. Internal.';

CREATE FUNCTION hail.same_withdrawal(id uuid, user_id uuid, amount bigint, currency text, destination jsonb) RETURNS hail.withdrawals
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first hail.withdrawals;
    stored jsonb;
BEGIN
    SELECT * INTO first FROM hail.withdrawals w WHERE w.id = same_withdrawal.id;
    SELECT d.destination INTO stored FROM hail.withdrawal_destinations d WHERE d.withdrawal_id = first.id;
    IF (first.user_id, first.amount, first.currency) IS DISTINCT FROM (same_withdrawal.user_id, same_withdrawal.amount, same_withdrawal.currency)
        OR stored <> same_withdrawal.destination
    THEN
        PERFORM hail.fail('idempotency_mismatch', 'this key was used with another request', 'idempotency_key',
                          'Use a new key for a new request.');
    END IF;
    RETURN first;
END
$$;
COMMENT ON FUNCTION hail.same_withdrawal(uuid, uuid, bigint, text, jsonb) IS
'The withdrawal that a key has made, if it was asked for in the same words (its whole destination, which no key stores, included). Error idempotency_mismatch. Internal.';

CREATE FUNCTION hail.request_withdrawal(user_id uuid, amount bigint, currency text, destination jsonb, idempotency_key text,
                                        OUT withdrawal hail.withdrawals, OUT replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    by_admin boolean := hail.caller_role() = 'admin';
    masked text;
    rules hail.withdrawal_rules;
    wallet hail.accounts;
    wallet_kind text;
    verdict text;
    made uuid;
BEGIN
    IF request_withdrawal.user_id IS NULL THEN
        PERFORM hail.fail('invalid_value', 'user_id must not be null', 'user_id');
    END IF;
    PERFORM hail.require_self(CASE hail.current_role_name() WHEN 'partner' THEN 'partner' ELSE 'driver' END, request_withdrawal.user_id);
    IF coalesce(length(request_withdrawal.idempotency_key), 0) NOT BETWEEN 1 AND 200 THEN
        PERFORM hail.fail('idempotency_key_required', 'this needs an idempotency key of 1 to 200 characters', 'idempotency_key');
    ELSIF (request_withdrawal.amount BETWEEN 1 AND 9007199254740992) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'amount must be between 1 and 2^53', 'amount');
    ELSIF NOT EXISTS (SELECT FROM hail.currencies c WHERE c.code = request_withdrawal.currency) THEN
        PERFORM hail.fail('invalid_value', 'unknown currency', 'currency', 'See hail.currencies.');
    END IF;
    masked := hail.mask_destination(request_withdrawal.destination);

    made := hail.claim_result(request_withdrawal.idempotency_key, format('withdraw %s %s of %s to %s', request_withdrawal.amount,
                              request_withdrawal.currency, request_withdrawal.user_id, masked));
    IF made IS NULL THEN
        made := (SELECT w.id FROM hail.withdrawals w
                 WHERE w.requested_by = hail.ledger_caller() AND w.idempotency_key = request_withdrawal.idempotency_key);
        PERFORM hail.keep_result(request_withdrawal.idempotency_key, made) WHERE made IS NOT NULL;
    END IF;
    replayed := made IS NOT NULL;
    IF replayed THEN
        withdrawal := hail.withdrawal_for_caller(hail.same_withdrawal(made, request_withdrawal.user_id, request_withdrawal.amount,
                                                                      request_withdrawal.currency, request_withdrawal.destination));
        RETURN;
    END IF;

    wallet_kind := hail.lock_payee(request_withdrawal.user_id);
    SELECT * INTO wallet FROM hail.accounts a
    WHERE a.kind = wallet_kind AND a.owner_id = request_withdrawal.user_id AND a.currency = request_withdrawal.currency FOR NO KEY UPDATE;
    IF wallet.id IS NULL THEN
        PERFORM hail.fail('insufficient_balance', 'there is no wallet in this currency', 'currency');
    ELSIF wallet.closed_at IS NOT NULL THEN
        PERFORM hail.fail('account_closed', 'the wallet is closed', 'currency');
    END IF;
    SELECT * INTO rules FROM hail.withdrawal_rules r WHERE r.currency = request_withdrawal.currency;
    PERFORM hail.check_withdrawal_rules(rules, wallet.id, request_withdrawal.amount);
    made := hail.uuid7();
    verdict := hail.fraud_check_withdrawal(request_withdrawal.user_id, wallet.id, request_withdrawal.amount);
    IF verdict = 'refused' THEN
        PERFORM hail.fail('fraud_hold', 'nothing is paid out to this user for now', 'user_id');
    END IF;
    withdrawal.hold_id := hail.hold_withdrawal(made, wallet, request_withdrawal.amount, coalesce(rules.fee, 0));

    INSERT INTO hail.withdrawals AS w (id, user_id, wallet_id, amount, fee, currency, destination, state, review, hold_id, requested_by,
                                       idempotency_key, event_version, requested_at)
        VALUES (made, wallet.owner_id, wallet.id, request_withdrawal.amount, coalesce(rules.fee, 0), wallet.currency, masked, 'requested',
                by_admin OR verdict IS DISTINCT FROM 'clear' OR (request_withdrawal.amount <= rules.review_above) IS NOT TRUE, withdrawal.hold_id,
                hail.ledger_caller(), request_withdrawal.idempotency_key, 1, hail.clock())
        RETURNING w.* INTO withdrawal;
    INSERT INTO hail.withdrawal_destinations VALUES (made, request_withdrawal.destination);
    PERFORM hail.keep_result(request_withdrawal.idempotency_key, made);
    PERFORM hail.withdrawal_event(withdrawal, 'WithdrawalRequested');
    IF NOT withdrawal.review THEN
        withdrawal := hail.move_withdrawal(withdrawal, 'approve', 'system');
    END IF;
    withdrawal := hail.withdrawal_for_caller(withdrawal);
END
$$;
COMMENT ON FUNCTION hail.request_withdrawal(uuid, bigint, text, jsonb, text) IS
'Ask for money out of a driver''s or partner''s wallet (itself or admin), minor units; amount and the currency''s fee are held at once. destination: {"type": "bank_account" | "mobile_wallet", "account", "holder", "bank"}; it is told masked. What the rules let pass is approved at once (not for administrators). A driver''s commissions of cash trips under way stay in the wallet, and available never goes below zero by this. The same key: the first withdrawal, for good. Errors: forbidden, idempotency_key_required, invalid_value (user_id, amount, currency, destination and its fields), in_flight, idempotency_mismatch, not_found, fraud_hold (suspended, or fraud is suspected), wrong_state (inactive), account_closed, limit_exceeded (hail.withdrawal_rules), insufficient_balance.';
GRANT EXECUTE ON FUNCTION hail.request_withdrawal(uuid, bigint, text, jsonb, text) TO hail_driver, hail_partner, hail_admin;

-- Decisions

CREATE FUNCTION hail.lock_withdrawal(withdrawal_id uuid) RETURNS hail.withdrawals
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found hail.withdrawals;
BEGIN
    SELECT * INTO found FROM hail.withdrawals w WHERE w.id = lock_withdrawal.withdrawal_id FOR NO KEY UPDATE;
    IF found.id IS NULL OR NOT (hail.current_role_name() IS NOT DISTINCT FROM 'admin' OR hail.current_subject() IS NULL
                                OR found.user_id = hail.current_subject()) THEN
        PERFORM hail.fail('not_found', 'there is no such withdrawal', 'withdrawal_id');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.lock_withdrawal(uuid) IS
'Lock a withdrawal; to whoever is neither its owner nor an administrator (nor the engine, without a subject) it is not there: not_found. Internal.';

CREATE FUNCTION hail.require_text(value text, field text, longest integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(length(btrim(value, E' \t\r\n')), 0) = 0 OR length(value) > longest THEN
        PERFORM hail.fail('invalid_value', format('%s must have 1 to %s characters', field, longest), field);
    END IF;
END
$$;
COMMENT ON FUNCTION hail.require_text(text, text, integer) IS 'Error invalid_value (the field) unless something is written. Internal.';

CREATE FUNCTION hail.approve_withdrawal(withdrawal_id uuid) RETURNS hail.withdrawals
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    withdrawal hail.withdrawals;
BEGIN
    PERFORM hail.require_admin();
    -- The payee's row comes before the withdrawal's; whose it is never changes.
    PERFORM hail.lock_payee(w.user_id) FROM hail.withdrawals w WHERE w.id = approve_withdrawal.withdrawal_id AND w.state = 'requested';
    withdrawal := hail.lock_withdrawal(approve_withdrawal.withdrawal_id);
    IF withdrawal.state = 'approved' THEN
        RETURN withdrawal;
    ELSIF withdrawal.requested_by = hail.ledger_caller() OR withdrawal.user_id = hail.current_subject() THEN
        PERFORM hail.fail('forbidden', 'who has asked for a withdrawal does not approve it', 'withdrawal_id', 'Another administrator must.');
    ELSIF withdrawal.state = 'requested' AND hail.on_fraud_hold(withdrawal.user_id) THEN
        PERFORM hail.fail('fraud_hold', 'nothing is paid out to this user for now', 'withdrawal_id', 'A signal holds it: hail.decide_fraud_signal().');
    END IF;
    RETURN hail.move_withdrawal(withdrawal, 'approve', 'admin');
END
$$;
COMMENT ON FUNCTION hail.approve_withdrawal(uuid) IS
'Let a requested withdrawal go: its hold becomes money on its way (PAYOUT_CLEARING), the fee is the platform''s. Again: the same row. Administrators only, but not who asked for it. Errors: not_found, forbidden, wrong_state, fraud_hold (its driver is suspended or suspected by now).';

CREATE FUNCTION hail.reject_withdrawal(withdrawal_id uuid, reason text) RETURNS hail.withdrawals
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    withdrawal hail.withdrawals;
BEGIN
    PERFORM hail.require_admin();
    PERFORM hail.require_text(reject_withdrawal.reason, 'reason', 500);
    withdrawal := hail.lock_withdrawal(reject_withdrawal.withdrawal_id);
    IF withdrawal.state = 'rejected' AND withdrawal.reason = reject_withdrawal.reason THEN
        RETURN withdrawal;
    END IF;
    RETURN hail.move_withdrawal(withdrawal, 'reject', 'admin', reject_withdrawal.reason);
END
$$;
COMMENT ON FUNCTION hail.reject_withdrawal(uuid, text) IS
'Refuse a requested withdrawal, for a reason that its owner reads; what was held is free again. Again with the same reason: the same row. Administrators only. Errors: not_found, invalid_value (reason), wrong_state.';

CREATE FUNCTION hail.cancel_withdrawal(withdrawal_id uuid) RETURNS hail.withdrawals
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    by_admin boolean := hail.caller_role() = 'admin';
    withdrawal hail.withdrawals;
BEGIN
    withdrawal := hail.lock_withdrawal(cancel_withdrawal.withdrawal_id);
    IF withdrawal.state <> 'cancelled' THEN
        withdrawal := hail.move_withdrawal(withdrawal, 'cancel', CASE WHEN by_admin THEN 'admin' ELSE 'owner' END);
    END IF;
    RETURN hail.withdrawal_for_caller(withdrawal);
END
$$;
COMMENT ON FUNCTION hail.cancel_withdrawal(uuid) IS
'Take a requested withdrawal back; what was held is free again. Again: the same row. Its owner or an administrator. Errors: not_found, wrong_state (it has been decided).';

CREATE FUNCTION hail.withdrawal_settled(withdrawal_id uuid, payout_reference text) RETURNS hail.withdrawals
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    withdrawal hail.withdrawals;
BEGIN
    PERFORM hail.require_text(withdrawal_settled.payout_reference, 'payout_reference', 200);
    withdrawal := hail.lock_withdrawal(withdrawal_settled.withdrawal_id);
    IF withdrawal.state = 'settled' AND withdrawal.payout_reference = withdrawal_settled.payout_reference THEN
        RETURN withdrawal;
    END IF;
    RETURN hail.move_withdrawal(withdrawal, 'settle', CASE hail.current_role_name() WHEN 'admin' THEN 'admin' ELSE 'system' END,
                                payout_reference => withdrawal_settled.payout_reference);
EXCEPTION WHEN unique_violation THEN
    PERFORM hail.fail('already_exists', 'another withdrawal was paid with this reference', 'payout_reference');
END
$$;
COMMENT ON FUNCTION hail.withdrawal_settled(uuid, text) IS
'An approved withdrawal has reached its payee; as hail.settle_withdrawal(), for events of gateways. Internal.';

CREATE FUNCTION hail.withdrawal_failed(withdrawal_id uuid, reason text) RETURNS hail.withdrawals
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    withdrawal hail.withdrawals;
BEGIN
    PERFORM hail.require_text(withdrawal_failed.reason, 'reason', 500);
    withdrawal := hail.lock_withdrawal(withdrawal_failed.withdrawal_id);
    IF withdrawal.state = 'failed' AND withdrawal.reason = withdrawal_failed.reason THEN
        RETURN withdrawal;
    END IF;
    RETURN hail.move_withdrawal(withdrawal, 'fail', CASE hail.current_role_name() WHEN 'admin' THEN 'admin' ELSE 'system' END,
                                withdrawal_failed.reason);
END
$$;
COMMENT ON FUNCTION hail.withdrawal_failed(uuid, text) IS
'An approved withdrawal could not be paid out; as hail.fail_withdrawal(), for events of gateways. Internal.';

CREATE FUNCTION hail.withdrawal_returned(withdrawal_id uuid, reason text) RETURNS hail.withdrawals
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    withdrawal hail.withdrawals;
BEGIN
    PERFORM hail.require_text(withdrawal_returned.reason, 'reason', 500);
    withdrawal := hail.lock_withdrawal(withdrawal_returned.withdrawal_id);
    IF withdrawal.state = 'returned' AND withdrawal.reason = withdrawal_returned.reason THEN
        RETURN withdrawal;
    END IF;
    RETURN hail.move_withdrawal(withdrawal, 'return', CASE hail.current_role_name() WHEN 'admin' THEN 'admin' ELSE 'system' END,
                                withdrawal_returned.reason);
END
$$;
COMMENT ON FUNCTION hail.withdrawal_returned(uuid, text) IS
'A settled withdrawal has come back; as hail.return_withdrawal(), for events of gateways. Internal.';

CREATE FUNCTION hail.settle_withdrawal(withdrawal_id uuid, payout_reference text) RETURNS hail.withdrawals
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN hail.withdrawal_settled(settle_withdrawal.withdrawal_id, settle_withdrawal.payout_reference);
END
$$;
COMMENT ON FUNCTION hail.settle_withdrawal(uuid, text) IS
'An approved withdrawal has reached its payee: PAYOUT_CLEARING against GATEWAY_CLEARING. payout_reference: what the bank or gateway calls the payout; no two withdrawals have the same. Again with the same reference: the same row. Administrators only. Errors: not_found, invalid_value, already_exists (the reference), wrong_state.';

CREATE FUNCTION hail.fail_withdrawal(withdrawal_id uuid, reason text) RETURNS hail.withdrawals
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN hail.withdrawal_failed(fail_withdrawal.withdrawal_id, fail_withdrawal.reason);
END
$$;
COMMENT ON FUNCTION hail.fail_withdrawal(uuid, text) IS
'An approved withdrawal could not be paid out: amount and fee go back to the wallet. Again with the same reason: the same row. Administrators only. Errors: not_found, invalid_value (reason), wrong_state.';

CREATE FUNCTION hail.return_withdrawal(withdrawal_id uuid, reason text) RETURNS hail.withdrawals
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN hail.withdrawal_returned(return_withdrawal.withdrawal_id, return_withdrawal.reason);
END
$$;
COMMENT ON FUNCTION hail.return_withdrawal(uuid, text) IS
'A settled withdrawal has come back from the payee''s bank: the amount goes back to the wallet, the fee does not, for the payout was made. Again with the same reason: the same row. Administrators only. Errors: not_found, invalid_value (reason), wrong_state.';
GRANT EXECUTE ON FUNCTION hail.approve_withdrawal(uuid), hail.reject_withdrawal(uuid, text), hail.settle_withdrawal(uuid, text),
    hail.fail_withdrawal(uuid, text), hail.return_withdrawal(uuid, text) TO hail_admin;
GRANT EXECUTE ON FUNCTION hail.cancel_withdrawal(uuid) TO hail_driver, hail_partner, hail_admin;

-- Reading

CREATE FUNCTION hail.get_withdrawal(withdrawal_id uuid) RETURNS hail.withdrawals
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    by_admin boolean := hail.caller_role() = 'admin';
    withdrawal hail.withdrawals;
BEGIN
    SELECT * INTO withdrawal FROM hail.withdrawals w
    WHERE w.id = get_withdrawal.withdrawal_id AND (by_admin OR w.user_id = hail.current_subject());
    IF withdrawal.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such withdrawal', 'withdrawal_id');
    END IF;
    RETURN hail.withdrawal_for_caller(withdrawal);
END
$$;
COMMENT ON FUNCTION hail.get_withdrawal(uuid) IS 'A withdrawal, for its owner and administrators. Error not_found.';

CREATE FUNCTION hail.list_withdrawals(user_id uuid DEFAULT NULL, state text[] DEFAULT NULL, currency text DEFAULT NULL,
                                      requested_from timestamptz DEFAULT NULL, requested_to timestamptz DEFAULT NULL,
                                      max_results integer DEFAULT 20, cursor text DEFAULT NULL,
                                      OUT withdrawal hail.withdrawals, OUT next_cursor text) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    scope text := format('withdrawals of %s in %s %s from %s to %s', user_id, state, currency,
                         extract(epoch FROM requested_from), extract(epoch FROM requested_to));
    place bytea;
    found hail.withdrawals;
    n integer := 0;
BEGIN
    IF user_id IS NULL THEN
        PERFORM hail.require_admin();
    ELSE
        PERFORM hail.require_self(CASE hail.current_role_name() WHEN 'partner' THEN 'partner' ELSE 'driver' END, user_id);
    END IF;
    PERFORM hail.require_page(max_results);
    IF cardinality(state) NOT BETWEEN 1 AND 10 OR EXISTS (SELECT FROM unnest(state) s WHERE s IS NULL OR NOT EXISTS (
            SELECT FROM hail.withdrawal_transitions t WHERE s IN (t.from_state, t.to_state))) THEN
        PERFORM hail.fail('invalid_value', 'this is no state of a withdrawal', 'state', 'See hail.withdrawal_transitions.');
    END IF;
    place := hail.cursor_place(cursor, scope);
    -- Along the primary key, or a user's along (user_id, id): no sort. The row past the page tells that there is more.
    FOR found IN EXECUTE format(
            'SELECT w.* FROM hail.withdrawals w WHERE true %s%s%s%s%s%s ORDER BY w.id DESC LIMIT %s',
            ' AND w.user_id = ' || quote_literal(user_id), ' AND w.state = ANY (' || quote_literal(state) || ')',
            ' AND w.currency = ' || quote_literal(currency), ' AND w.requested_at >= ' || quote_literal(requested_from),
            ' AND w.requested_at < ' || quote_literal(requested_to),
            ' AND w.id < ' || quote_literal(encode(substr(place, 9), 'hex')) || '::uuid', max_results + 1) LOOP
        IF n > 0 THEN
            next_cursor := CASE WHEN n = max_results THEN hail.cursor_text(hail.trip_place((withdrawal).requested_at, (withdrawal).id), scope) END;
            RETURN NEXT;
        END IF;
        EXIT WHEN n = max_results;
        withdrawal := hail.withdrawal_for_caller(found);
        n := n + 1;
    END LOOP;
    IF n > 0 AND next_cursor IS NULL THEN
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.list_withdrawals(uuid, text[], text, timestamptz, timestamptz, integer, text) IS
'A page of withdrawals, newest first: of a driver or partner (itself or admin), or all (administrators). Filters: states, currency, requested at or after requested_from and before requested_to. next_cursor, in the last row when more follow, gives the next page with the same filters. Errors: invalid_value (state, max_results, cursor), forbidden.';
GRANT EXECUTE ON FUNCTION hail.get_withdrawal(uuid), hail.list_withdrawals(uuid, text[], text, timestamptz, timestamptz, integer, text)
    TO hail_driver, hail_partner, hail_admin;

CREATE FUNCTION hail.withdrawal_destination(withdrawal_id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found jsonb;
BEGIN
    PERFORM hail.require_admin();
    SELECT d.destination INTO found FROM hail.withdrawal_destinations d WHERE d.withdrawal_id = withdrawal_destination.withdrawal_id;
    IF found IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such withdrawal, or its destination was erased', 'withdrawal_id');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.withdrawal_destination(uuid) IS
'Where a withdrawal goes, in full, for who pays it out. Administrators only. Error not_found.';

CREATE FUNCTION hail.erase_payout_details(user_id uuid, OUT destinations bigint, OUT reasons bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.begin_erasure();
    IF NOT EXISTS (SELECT FROM hail.users u WHERE u.id = erase_payout_details.user_id) THEN
        PERFORM hail.fail('not_found', 'user does not exist', 'user_id');
    END IF;
    PERFORM FROM hail.withdrawals w WHERE w.user_id = erase_payout_details.user_id ORDER BY w.id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM hail.withdrawals w WHERE w.user_id = erase_payout_details.user_id AND w.state IN ('requested', 'approved')) THEN
        PERFORM hail.fail('wrong_state', 'a withdrawal is under way', 'user_id', 'Reject it, or wait until it is settled.');
    END IF;
    DELETE FROM hail.withdrawal_destinations d USING hail.withdrawals w
    WHERE w.id = d.withdrawal_id AND w.user_id = erase_payout_details.user_id;
    GET DIAGNOSTICS destinations = ROW_COUNT;
    SELECT count(w.reason) INTO reasons FROM hail.withdrawals w
    WHERE w.user_id = erase_payout_details.user_id AND w.reason <> 'erased';
    UPDATE hail.withdrawals w SET destination = 'erased', reason = CASE WHEN w.reason IS NOT NULL THEN 'erased' END
    WHERE w.user_id = erase_payout_details.user_id;
    -- The masked destination is also in the text of requests.
    UPDATE hail.request_keys k SET request = 'erased'
    WHERE k.result IN (SELECT w.id FROM hail.withdrawals w WHERE w.user_id = erase_payout_details.user_id);
    PERFORM hail.write_event('erasure', hail.uuid7(), 1, 'PayoutDetailsErased', jsonb_build_object(
        'user_id', erase_payout_details.user_id, 'destinations', destinations, 'reasons', reasons));
END
$$;
COMMENT ON FUNCTION hail.erase_payout_details(uuid) IS
'Erase where a user''s withdrawals went, and why some came to nothing, on the user''s request; amounts, states and the ledger stay. Writes event PayoutDetailsErased. Returns how many. Administrators only. Errors: not_found, wrong_state (a withdrawal is under way).';
GRANT EXECUTE ON FUNCTION hail.withdrawal_destination(uuid), hail.erase_payout_details(uuid) TO hail_admin;

-- Comparing

CREATE FUNCTION hail.reconcile_withdrawals(day date)
RETURNS TABLE (check_name text, subject text, expected text, actual text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN QUERY
    SELECT 'withdrawal_hold', w.id::text, format('held %s', w.amount + w.fee), coalesce(format('%s %s', h.status, h.amount), 'none')
    FROM hail.withdrawals w LEFT JOIN hail.holds h ON h.id = w.hold_id
    WHERE w.state = 'requested' AND (h.status = 'held' AND h.amount = w.amount + w.fee AND h.account_id = w.wallet_id) IS NOT TRUE
    UNION ALL
    SELECT 'hold_without_withdrawal', h.id::text, 'a requested withdrawal', coalesce(w.state, 'none')
    FROM hail.holds h LEFT JOIN hail.withdrawals w ON w.hold_id = h.id
    WHERE h.status = 'held' AND h.reference_type = 'withdrawal' AND w.state IS DISTINCT FROM 'requested'
    UNION ALL
    -- Of a day, each withdrawal that moved money, and of what it has posted the names.
    SELECT 'withdrawal_posted', w.id::text, p.due, coalesce(p.posted, 'none')
    FROM hail.withdrawals w, LATERAL (
        SELECT CASE w.state WHEN 'approved' THEN 'withdrawal_approved' WHEN 'settled' THEN 'withdrawal_approved, withdrawal_settled'
                    WHEN 'failed' THEN 'withdrawal_approved, withdrawal_failed'
                    WHEN 'returned' THEN 'withdrawal_approved, withdrawal_returned, withdrawal_settled' ELSE 'none' END,
               (SELECT string_agg(t.kind, ', ' ORDER BY t.kind) FROM hail.ledger_transactions t
                WHERE t.reference_id = w.id AND t.reference_type = 'withdrawal' AND t.reverses IS NULL)) AS p (due, posted)
    WHERE greatest(w.requested_at, w.decided_at, w.paid_at, w.closed_at) >= day
      AND greatest(w.requested_at, w.decided_at, w.paid_at, w.closed_at) < day + 1 AND p.due <> coalesce(p.posted, 'none')
    UNION ALL
    SELECT 'payout_clearing', c.currency, c.due::text, c.posted::text
    FROM (SELECT coalesce(a.currency, w.currency) AS currency, coalesce(w.due, 0) AS due, coalesce(hail.exact_posted(a), 0) AS posted
          FROM (SELECT x.* FROM hail.accounts x WHERE x.kind = 'PAYOUT_CLEARING') a
          FULL JOIN (SELECT o.currency, sum(o.amount) AS due FROM hail.withdrawals o WHERE o.state = 'approved' GROUP BY o.currency) w
              ON w.currency = a.currency) c
    WHERE c.due <> c.posted;
END
$$;
COMMENT ON FUNCTION hail.reconcile_withdrawals(date) IS
'What does not fit: requested withdrawals without their hold, holds without one, those last moved on the day (by the session''s time zone) whose transactions are not what their state says, PAYOUT_CLEARING that is not the sum of the approved ones. No rows: all well. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.reconcile_withdrawals(date) TO hail_admin;
