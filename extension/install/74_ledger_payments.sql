-- 74_ledger_payments: money that comes in by a gateway: deposits, charges of trips, their refunds

INSERT INTO hail.account_kinds (kind, has_owner, floor) VALUES ('GATEWAY_FEES', false, NULL), ('CHARGEBACKS', false, NULL);

INSERT INTO hail.entry_templates (template, leg, account_kind, owner, direction, amount, description) VALUES
    ('deposit_customer', 1, 'GATEWAY_CLEARING', NULL,       'debit',  'amount', 'What the gateway has taken and owes'),
    ('deposit_customer', 2, 'CUSTOMER_WALLET',  'customer', 'credit', 'amount', 'The deposit'),
    ('deposit_customer', 3, 'GATEWAY_FEES',     NULL,       'debit',  'fee',    'The gateway''s fee, the platform''s cost'),
    ('deposit_customer', 4, 'GATEWAY_CLEARING', NULL,       'credit', 'fee',    'which the gateway keeps'),
    ('deposit_driver',   1, 'GATEWAY_CLEARING', NULL,       'debit',  'amount', 'What the gateway has taken and owes'),
    ('deposit_driver',   2, 'DRIVER_WALLET',    'driver',   'credit', 'amount', 'The deposit'),
    ('deposit_driver',   3, 'GATEWAY_FEES',     NULL,       'debit',  'fee',    'The gateway''s fee, the platform''s cost'),
    ('deposit_driver',   4, 'GATEWAY_CLEARING', NULL,       'credit', 'fee',    'which the gateway keeps'),
    ('gateway_fee',      1, 'GATEWAY_FEES',     NULL,       'debit',  'fee',    'The gateway''s fee for a charge or a refund'),
    ('gateway_fee',      2, 'GATEWAY_CLEARING', NULL,       'credit', 'fee',    'which the gateway keeps'),
    ('deposit_refund',   1, NULL,               'wallet',   'debit',  'amount', 'A deposit goes back, from its hold'),
    ('deposit_refund',   2, 'GATEWAY_CLEARING', NULL,       'credit', 'amount', 'by the gateway'),
    ('charge_refund_to_wallet', 1, 'GATEWAY_CLEARING', NULL,  'debit',  'amount', 'The gateway could not give a charge back'),
    ('charge_refund_to_wallet', 2, 'CUSTOMER_WALLET', 'customer', 'credit', 'amount', 'so the customer''s wallet has it'),
    ('chargeback',       1, NULL,               'wallet',   'debit',  'taken',  'A disputed deposit: what the wallet still has'),
    ('chargeback',       2, 'CHARGEBACKS',      NULL,       'debit',  'lost',   'the rest of it, or a disputed charge: the platform''s loss'),
    ('chargeback',       3, 'GATEWAY_CLEARING', NULL,       'credit', 'amount', 'The gateway has taken it back');

CREATE TABLE hail.payment_intents (
    id                uuid PRIMARY KEY DEFAULT hail.uuid7(),
    gateway           text NOT NULL REFERENCES hail.gateways (name),
    purpose           text NOT NULL CHECK (purpose IN ('deposit', 'trip_charge')),
    user_id           uuid NOT NULL REFERENCES hail.users (id),
    trip_id           uuid,
    wallet_id         uuid NOT NULL,
    amount            bigint NOT NULL CHECK (amount > 0),
    currency          text NOT NULL,
    state             text NOT NULL DEFAULT 'created'
                      CHECK (state IN ('created', 'pending', 'succeeded', 'failed', 'expired', 'refunding', 'partly_refunded', 'refunded')),
    gateway_reference text CHECK (length(gateway_reference) BETWEEN 1 AND 200),
    transaction_id    uuid,
    fee               bigint NOT NULL DEFAULT 0 CHECK (fee >= 0),
    refunding         bigint NOT NULL DEFAULT 0 CHECK (refunding >= 0),
    refunded          bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    disputed          bigint NOT NULL DEFAULT 0 CHECK (disputed >= 0),
    reason            text,
    gateway_at        timestamptz,
    verification_at   timestamptz,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    succeeded_at      timestamptz,
    settled_by        uuid,
    event_version     integer NOT NULL DEFAULT 0,
    CHECK ((purpose = 'trip_charge') = (trip_id IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'refunding', 'partly_refunded', 'refunded')) = (succeeded_at IS NOT NULL)),
    CHECK (succeeded_at IS NOT NULL OR refunding + refunded + disputed = 0),
    CHECK (refunding + refunded <= amount AND disputed <= amount)
) WITH (fillfactor = 80);
CREATE INDEX payment_intents_user ON hail.payment_intents (user_id, created_at DESC, id DESC);
CREATE INDEX payment_intents_trip ON hail.payment_intents (trip_id) WHERE trip_id IS NOT NULL;
CREATE INDEX payment_intents_age ON hail.payment_intents (created_at DESC, id DESC);
CREATE INDEX payment_intents_open ON hail.payment_intents (expires_at) WHERE state IN ('created', 'pending');
CREATE UNIQUE INDEX payment_intents_reference ON hail.payment_intents (gateway, gateway_reference) WHERE gateway_reference IS NOT NULL;
-- Law 3: a trip has one open charge at most.
CREATE UNIQUE INDEX payment_intents_one_per_trip ON hail.payment_intents (trip_id) WHERE trip_id IS NOT NULL AND state IN ('created', 'pending');
COMMENT ON TABLE hail.payment_intents IS
'Payments asked of gateways. created -> pending -> succeeded | failed | expired; succeeded -> refunding -> partly_refunded | refunded. Only a gateway''s signed event, or an administrator, says that money has come.';
COMMENT ON COLUMN hail.payment_intents.trip_id IS 'No foreign key: money outlives trips.';
COMMENT ON COLUMN hail.payment_intents.gateway_reference IS 'What the gateway calls this payment.';
COMMENT ON COLUMN hail.payment_intents.transaction_id IS 'What posted a deposit; of a charge, see the transactions of its trip.';
COMMENT ON COLUMN hail.payment_intents.refunding IS 'Minor units of refunds asked for, not answered yet.';
COMMENT ON COLUMN hail.payment_intents.gateway_at IS 'The gateway''s time of the newest event applied; older news change nothing.';
COMMENT ON COLUMN hail.payment_intents.verification_at IS 'When the gateway was last asked how it stands.';
COMMENT ON COLUMN hail.payment_intents.settled_by IS 'Who settled it by hand; NULL: the gateway''s event, or a database administrator.';
COMMENT ON COLUMN hail.payment_intents.reason IS 'Why it failed, or was settled by hand.';
COMMENT ON COLUMN hail.payment_intents.event_version IS 'Version of the newest event.';

CREATE TABLE hail.payment_refunds (
    id                uuid PRIMARY KEY DEFAULT hail.uuid7(),
    intent_id         uuid NOT NULL REFERENCES hail.payment_intents (id),
    gateway           text NOT NULL REFERENCES hail.gateways (name),
    amount            bigint NOT NULL CHECK (amount > 0),
    reason            text NOT NULL,
    state             text NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'succeeded', 'failed')),
    hold_id           uuid,
    transaction_id    uuid,
    gateway_reference text CHECK (length(gateway_reference) BETWEEN 1 AND 200),
    failure           text,
    requested_by      uuid,
    created_at        timestamptz NOT NULL,
    resolved_at       timestamptz,
    CHECK ((state = 'requested') = (resolved_at IS NULL))
);
CREATE INDEX payment_refunds_intent ON hail.payment_refunds (intent_id);
CREATE UNIQUE INDEX payment_refunds_reference ON hail.payment_refunds (gateway, gateway_reference) WHERE gateway_reference IS NOT NULL;
COMMENT ON TABLE hail.payment_refunds IS 'Parts of payments that the gateway was asked to give back: requested -> succeeded | failed.';
COMMENT ON COLUMN hail.payment_refunds.hold_id IS 'Deposits: the amount, held on the wallet until the gateway has answered. Charges have none: their refund was posted before.';
COMMENT ON COLUMN hail.payment_refunds.transaction_id IS 'What the gateway''s answer posted.';

-- Payers do not see what the gateway takes for it, nor which administrator acted; analysts see no words and no names.
GRANT SELECT (id, gateway, purpose, user_id, trip_id, wallet_id, amount, currency, state, gateway_reference, transaction_id, refunding,
              refunded, disputed, reason, created_at, expires_at, succeeded_at) ON hail.payment_intents TO hail_customer, hail_driver, hail_partner;
GRANT SELECT (id, gateway, purpose, user_id, trip_id, wallet_id, amount, currency, state, transaction_id, fee, refunding, refunded,
              disputed, gateway_at, created_at, expires_at, succeeded_at) ON hail.payment_intents TO hail_analyst;
GRANT SELECT (id, intent_id, gateway, amount, reason, state, transaction_id, gateway_reference, failure, created_at, resolved_at)
    ON hail.payment_refunds TO hail_customer, hail_driver, hail_partner;
GRANT SELECT (id, intent_id, gateway, amount, state, hold_id, transaction_id, created_at, resolved_at) ON hail.payment_refunds TO hail_analyst;
GRANT SELECT ON hail.payment_intents, hail.payment_refunds TO hail_admin;
CREATE POLICY payment_intents_own ON hail.payment_intents FOR SELECT TO hail_customer, hail_driver, hail_partner
    USING (user_id = hail.current_subject());
CREATE POLICY payment_refunds_own ON hail.payment_refunds FOR SELECT TO hail_customer, hail_driver, hail_partner
    USING (intent_id IN (SELECT i.id FROM hail.payment_intents i WHERE i.user_id = hail.current_subject()));
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['payment_intents', 'payment_refunds'] LOOP
        EXECUTE format('CREATE POLICY %I ON hail.%I FOR SELECT TO hail_admin USING (hail.current_role_name() = ''admin'')', t || '_admin', t);
        EXECUTE format('CREATE POLICY %I ON hail.%I FOR SELECT TO hail_analyst USING (hail.current_role_name() IN (''analyst'', ''admin''))',
                       t || '_analyst', t);
    END LOOP;
END
$$;

-- What news does in each state

CREATE TABLE hail.payment_transitions (
    from_state text NOT NULL,
    news       text NOT NULL CHECK (news IN ('pending', 'succeeded', 'failed', 'expired')),
    outcome    text NOT NULL CHECK (outcome IN ('applied', 'ignored', 'refused')),
    to_state   text,
    remark     text NOT NULL,
    PRIMARY KEY (from_state, news),
    CHECK ((outcome = 'applied') = (to_state IS NOT NULL))
);
COMMENT ON TABLE hail.payment_transitions IS
'What news of a payment (payment.<news> events) does in each of its states. The code reads this table; there is nothing else. Refused: somebody must look (hail.list_gateway_events).';
INSERT INTO hail.payment_transitions (from_state, news, outcome, to_state, remark)
SELECT s.state, n.news,
       CASE WHEN r.to_state IS NOT NULL THEN 'applied' ELSE coalesce(r.outcome, 'ignored') END, r.to_state,
       coalesce(r.remark, 'nothing new')
FROM unnest(ARRAY['created', 'pending', 'succeeded', 'failed', 'expired', 'refunding', 'partly_refunded', 'refunded']) AS s (state)
CROSS JOIN unnest(ARRAY['pending', 'succeeded', 'failed', 'expired']) AS n (news)
LEFT JOIN (VALUES
    ('created',         'pending',   NULL,      'pending',   'the customer is paying'),
    ('created',         'succeeded', NULL,      'succeeded', 'the money has come'),
    ('created',         'failed',    NULL,      'failed',    'no money will come'),
    ('created',         'expired',   NULL,      'expired',   'nobody paid'),
    ('pending',         'succeeded', NULL,      'succeeded', 'the money has come'),
    ('pending',         'failed',    NULL,      'failed',    'no money will come'),
    ('pending',         'expired',   NULL,      'expired',   'nobody paid'),
    ('expired',         'succeeded', NULL,      'succeeded', 'the money has come late'),
    ('failed',          'succeeded', 'refused', NULL,        'it succeeded after it had failed: settle it by hand when the money is there'),
    ('succeeded',       'failed',    'refused', NULL,        'it failed after it had succeeded'),
    ('refunding',       'failed',    'refused', NULL,        'it failed after it had succeeded'),
    ('partly_refunded', 'failed',    'refused', NULL,        'it failed after it had succeeded'),
    ('refunded',        'failed',    'refused', NULL,        'it failed after it had succeeded'),
    ('succeeded',       'expired',   'refused', NULL,        'it expired after it had succeeded'),
    ('refunding',       'expired',   'refused', NULL,        'it expired after it had succeeded'),
    ('partly_refunded', 'expired',   'refused', NULL,        'it expired after it had succeeded'),
    ('refunded',        'expired',   'refused', NULL,        'it expired after it had succeeded')
) AS r (from_state, news, outcome, to_state, remark) ON r.from_state = s.state AND r.news = n.news;
GRANT SELECT ON hail.payment_transitions TO hail_admin, hail_analyst;
CREATE POLICY payment_transitions_read ON hail.payment_transitions FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

-- An intent's life; all of these work on a locked row

CREATE FUNCTION hail.lock_intent(intent_id uuid) RETURNS hail.payment_intents
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    intent hail.payment_intents;
    trip uuid := (SELECT i.trip_id FROM hail.payment_intents i WHERE i.id = lock_intent.intent_id); -- never changes
BEGIN
    IF trip IS NOT NULL THEN
        PERFORM FROM hail.trips t WHERE t.id = trip FOR NO KEY UPDATE;
    END IF;
    SELECT * INTO intent FROM hail.payment_intents i WHERE i.id = lock_intent.intent_id FOR NO KEY UPDATE;
    IF intent.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such payment', 'intent_id');
    END IF;
    RETURN intent;
END
$$;
COMMENT ON FUNCTION hail.lock_intent(uuid) IS 'Lock the trip of a payment, when it has one, then the payment, then read it. Error not_found. Internal.';

CREATE FUNCTION hail.write_intent_event(intent hail.payment_intents, type text, payload jsonb DEFAULT '{}') RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT hail.write_event('payment_intent', intent.id, intent.event_version, type, jsonb_strip_nulls(jsonb_build_object(
        'purpose', intent.purpose, 'gateway', intent.gateway, 'user_id', intent.user_id, 'trip_id', intent.trip_id,
        'amount', intent.amount, 'currency', intent.currency) || payload))
$$;
COMMENT ON FUNCTION hail.write_intent_event(hail.payment_intents, text, jsonb) IS
'The event of a payment whose version has been counted up: who pays what to whom, and what else is told. Internal.';

CREATE FUNCTION hail.choose_gateway(currency text, gateway text DEFAULT NULL) RETURNS hail.gateways
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT g FROM hail.gateways g WHERE g.enabled AND choose_gateway.currency = ANY (g.currencies)
            AND (choose_gateway.gateway IS NULL OR g.name = choose_gateway.gateway)
        ORDER BY g.priority, g.name LIMIT 1);
COMMENT ON FUNCTION hail.choose_gateway(text, text) IS
'The enabled gateway of this name (NULL: the first by priority) that takes a currency; NULL when there is none. Internal.';

CREATE FUNCTION hail.open_intent(gateway hail.gateways, purpose text, user_id uuid, trip_id uuid, wallet_id uuid, amount bigint, currency text)
RETURNS hail.payment_intents
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz := hail.clock();
    intent hail.payment_intents;
BEGIN
    INSERT INTO hail.payment_intents AS i (gateway, purpose, user_id, trip_id, wallet_id, amount, currency, created_at, expires_at, event_version)
    VALUES (gateway.name, open_intent.purpose, open_intent.user_id, open_intent.trip_id, open_intent.wallet_id, open_intent.amount,
            open_intent.currency, moment, moment + gateway.deposit_ttl, 1) RETURNING i.* INTO intent;
    PERFORM hail.write_intent_event(intent, CASE open_intent.purpose WHEN 'deposit' THEN 'DepositCreated' ELSE 'PaymentRequested' END);
    RETURN intent;
END
$$;
COMMENT ON FUNCTION hail.open_intent(hail.gateways, text, uuid, uuid, uuid, bigint, text) IS
'A new payment and its event, which the job that asks the gateway reads. Internal.';

CREATE FUNCTION hail.pay_deposit(intent hail.payment_intents, fee bigint) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    by_driver boolean := (SELECT a.kind = 'DRIVER_WALLET' FROM hail.accounts a WHERE a.id = intent.wallet_id);
BEGIN
    RETURN hail.post_template(CASE WHEN by_driver THEN 'deposit_driver' ELSE 'deposit_customer' END, 'deposit:' || intent.id, intent.currency,
        jsonb_build_object('amount', intent.amount, 'fee', fee),
        customer_id => CASE WHEN by_driver THEN NULL ELSE intent.user_id END, driver_id => CASE WHEN by_driver THEN intent.user_id END,
        reference_type => 'payment_intent', reference_id => intent.id,
        metadata => jsonb_build_object('gateway', intent.gateway));
END
$$;
COMMENT ON FUNCTION hail.pay_deposit(hail.payment_intents, bigint) IS
'Post what a gateway has taken into its payer''s wallet, once; the transaction. Internal.';

CREATE FUNCTION hail.pay_charge(intent hail.payment_intents, fee bigint) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.trip_charge_succeeded(intent.trip_id, intent.id, intent.amount);
    PERFORM hail.post_template('gateway_fee', 'gateway_fee:' || intent.id, intent.currency, jsonb_build_object('fee', fee),
                               reference_type => 'payment_intent', reference_id => intent.id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION hail.pay_charge(hail.payment_intents, bigint) IS
'Pay a locked trip with what a gateway has taken for it (the customer''s wallet, when it is paid already), and the gateway. NULL: the trip''s transactions tell what was posted. Internal.';

CREATE FUNCTION hail.succeed_intent(intent hail.payment_intents, reference text, fee bigint, at timestamptz, by uuid, why text)
RETURNS hail.payment_intents
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    posted uuid := CASE intent.purpose WHEN 'deposit' THEN hail.pay_deposit(intent, fee) ELSE hail.pay_charge(intent, fee) END;
    changed hail.payment_intents;
BEGIN
    UPDATE hail.payment_intents i
    SET state = 'succeeded', succeeded_at = hail.clock(), transaction_id = posted, fee = succeed_intent.fee,
        gateway_reference = coalesce(reference, i.gateway_reference), gateway_at = greatest(i.gateway_at, at), settled_by = by, reason = why,
        event_version = i.event_version + 1
    WHERE i.id = intent.id RETURNING i.* INTO changed;
    PERFORM hail.write_intent_event(changed, CASE changed.purpose WHEN 'deposit' THEN 'DepositSucceeded' ELSE 'PaymentSucceeded' END,
        jsonb_build_object('fee', nullif(fee, 0), 'transaction_id', posted, 'reason', why));
    RETURN changed;
END
$$;
COMMENT ON FUNCTION hail.succeed_intent(hail.payment_intents, text, bigint, timestamptz, uuid, text) IS
'The money of a locked payment has come: post it, and say so. Internal.';

CREATE FUNCTION hail.close_intent(intent hail.payment_intents, state text, reference text, at timestamptz, why text)
RETURNS hail.payment_intents
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed hail.payment_intents;
BEGIN
    UPDATE hail.payment_intents i
    SET state = close_intent.state, gateway_reference = coalesce(reference, i.gateway_reference), gateway_at = greatest(i.gateway_at, at),
        reason = why, event_version = i.event_version + 1
    WHERE i.id = intent.id RETURNING i.* INTO changed;
    PERFORM hail.write_intent_event(changed, CASE changed.state WHEN 'pending' THEN 'PaymentPending' WHEN 'failed' THEN 'PaymentFailed'
                                                                ELSE 'PaymentExpired' END, jsonb_build_object('reason', why));
    IF changed.purpose = 'trip_charge' AND changed.state IN ('failed', 'expired') THEN
        PERFORM hail.trip_charge_failed(changed.trip_id, changed.id, coalesce(why, changed.state));
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION hail.close_intent(hail.payment_intents, text, text, timestamptz, text) IS
'A locked payment is pending, has failed or has expired: note it, and tell its trip. Internal.';

CREATE FUNCTION hail.intent_for_caller(intent hail.payment_intents) RETURNS hail.payment_intents
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.current_role_name() IS DISTINCT FROM 'admin' THEN
        intent.fee := NULL;
        intent.settled_by := NULL;
    END IF;
    RETURN intent;
END
$$;
COMMENT ON FUNCTION hail.intent_for_caller(hail.payment_intents) IS
'A payment without what its payer does not see: the gateway''s fee, which the platform bears, and which administrator settled it. Internal.';

-- Deposits

CREATE FUNCTION hail.check_deposit_limits(user_id uuid, amount bigint, currency text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    limits hail.deposit_limits;
    today numeric;
BEGIN
    SELECT * INTO limits FROM hail.deposit_limits l WHERE l.currency = check_deposit_limits.currency;
    IF limits.currency IS NULL THEN
        RETURN;
    ELSIF amount NOT BETWEEN limits.minimum AND limits.maximum THEN
        PERFORM hail.fail('limit_exceeded', format('a deposit in %s has %s to %s', limits.currency, limits.minimum, limits.maximum), 'amount');
    END IF;
    -- One deposit of a user at a time: two that fit only alone must not both be begun.
    PERFORM pg_advisory_xact_lock(hashtextextended(format('hail.deposits %s %s', user_id, currency), 0));
    SELECT coalesce(sum(i.amount), 0) INTO today FROM hail.payment_intents i
    WHERE i.user_id = check_deposit_limits.user_id AND i.currency = check_deposit_limits.currency AND i.purpose = 'deposit'
      AND i.state NOT IN ('failed', 'expired') AND i.created_at > hail.clock() - interval '24 hours';
    IF today + amount > limits.daily_maximum THEN
        PERFORM hail.fail('limit_exceeded', format('deposits in %s have %s at most within 24 hours', limits.currency, limits.daily_maximum),
                          'amount', format('%s more at this time.', greatest(limits.daily_maximum - today, 0)));
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_deposit_limits(uuid, bigint, text) IS
'Error limit_exceeded (amount) when hail.deposit_limits does not allow this deposit now. Internal.';

CREATE FUNCTION hail.require_payer(user_id uuid) RETURNS hail.users
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payer hail.users;
BEGIN
    IF hail.caller_role() = 'admin' OR user_id = hail.current_subject() THEN
        SELECT * INTO payer FROM hail.users u WHERE u.id = require_payer.user_id AND u.role IN ('customer', 'driver', 'partner');
    END IF;
    IF payer.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such customer, driver or partner', 'user_id');
    ELSIF NOT payer.active THEN
        PERFORM hail.fail('wrong_state', 'user is not active', 'user_id');
    END IF;
    RETURN payer;
END
$$;
COMMENT ON FUNCTION hail.require_payer(uuid) IS
'The user, who has a wallet and is the caller, or the caller is an administrator. Errors: unauthenticated, not_found, wrong_state. Internal.';

CREATE FUNCTION hail.begin_deposit(user_id uuid, amount bigint, currency text, gateway text, idempotency_key text,
                                   OUT intent hail.payment_intents, OUT replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payer hail.users := hail.require_payer(begin_deposit.user_id);
    chosen hail.gateways;
    earlier uuid;
    wallet hail.accounts;
BEGIN
    earlier := hail.claim_result(idempotency_key, jsonb_build_array('begin_deposit', payer.id, amount, currency, gateway)::text);
    replayed := earlier IS NOT NULL;
    IF replayed THEN
        SELECT * INTO intent FROM hail.payment_intents i WHERE i.id = earlier;
        intent := hail.intent_for_caller(intent);
        RETURN;
    ELSIF (amount BETWEEN 1 AND 9007199254740992) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'amount must be above 0, in minor units', 'amount');
    ELSIF NOT EXISTS (SELECT FROM hail.currencies c WHERE c.code = begin_deposit.currency) THEN
        PERFORM hail.fail('invalid_value', 'unknown currency', 'currency', 'See hail.currencies.');
    END IF;
    IF gateway IS NOT NULL AND NOT EXISTS (SELECT FROM hail.gateways g WHERE g.name = begin_deposit.gateway AND g.enabled) THEN
        PERFORM hail.fail('not_found', 'there is no such gateway', 'gateway');
    END IF;
    chosen := hail.choose_gateway(currency, gateway);
    IF chosen.id IS NULL THEN
        PERFORM hail.fail('currency_mismatch', 'no gateway takes this currency', 'currency');
    END IF;
    PERFORM hail.check_deposit_limits(payer.id, amount, currency);
    wallet := hail.ensure_account(CASE payer.role WHEN 'driver' THEN 'DRIVER_WALLET' ELSE 'CUSTOMER_WALLET' END, payer.id, currency);
    IF wallet.closed_at IS NOT NULL THEN
        PERFORM hail.fail('account_closed', 'the wallet is closed', 'currency');
    END IF;
    intent := hail.open_intent(chosen, 'deposit', payer.id, NULL, wallet.id, amount, currency);
    PERFORM hail.keep_result(idempotency_key, intent.id);
    intent := hail.intent_for_caller(intent);
END
$$;
COMMENT ON FUNCTION hail.begin_deposit(uuid, bigint, text, text, text) IS
'Begin to pay money into a wallet of a customer, driver or partner (itself or admin): amount in minor units, gateway NULL: the first that takes the currency. Nothing is posted until the gateway says that the money has come. The same key with the same request returns the payment (replayed). Errors: not_found (user_id, gateway), wrong_state, idempotency_key_required, in_flight, idempotency_mismatch, invalid_value (amount, currency), currency_mismatch, limit_exceeded, account_closed.';

CREATE FUNCTION hail.settle_payment(intent_id uuid, reason text, gateway_reference text DEFAULT NULL, fee bigint DEFAULT 0)
RETURNS hail.payment_intents
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    intent hail.payment_intents;
BEGIN
    PERFORM hail.require_admin();
    IF (length(btrim(reason)) BETWEEN 1 AND 500) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'a reason of 1 to 500 characters is needed', 'reason');
    ELSIF length(gateway_reference) NOT BETWEEN 1 AND 200 THEN
        PERFORM hail.fail('invalid_value', 'a reference has 1 to 200 characters', 'gateway_reference');
    END IF;
    intent := hail.lock_intent(intent_id);
    IF intent.succeeded_at IS NOT NULL THEN
        RETURN intent;
    ELSIF (fee BETWEEN 0 AND intent.amount) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'fee must be 0 to the amount', 'fee');
    ELSIF settle_payment.gateway_reference <> intent.gateway_reference OR EXISTS (
            SELECT FROM hail.payment_intents i WHERE i.gateway = intent.gateway AND i.gateway_reference = settle_payment.gateway_reference
            AND i.id <> intent.id) THEN
        PERFORM hail.fail('already_exists', 'the gateway calls another payment so, or this one otherwise', 'gateway_reference');
    END IF;
    RETURN hail.succeed_intent(intent, gateway_reference, fee, NULL, hail.current_subject(), reason);
END
$$;
COMMENT ON FUNCTION hail.settle_payment(uuid, text, text, bigint) IS
'Take a payment as paid by hand, with a reason, when the gateway has the money and its event did not do: created, pending, failed or expired. A deposit goes into its wallet; a charge pays its trip, or goes into the customer''s wallet when the trip has been paid otherwise. One that has succeeded is returned as it is. Administrators only. Errors: invalid_value, not_found, already_exists.';

CREATE FUNCTION hail.settle_deposit(intent_id uuid, reason text, gateway_reference text DEFAULT NULL, fee bigint DEFAULT 0)
RETURNS hail.payment_intents
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.require_admin();
    IF EXISTS (SELECT FROM hail.payment_intents i WHERE i.id = settle_deposit.intent_id AND i.purpose <> 'deposit') THEN
        PERFORM hail.fail('wrong_state', 'this payment is no deposit', 'intent_id', 'hail.settle_payment() takes charges of trips, too.');
    END IF;
    RETURN hail.settle_payment(intent_id, reason, gateway_reference, fee);
END
$$;
COMMENT ON FUNCTION hail.settle_deposit(uuid, text, text, bigint) IS
'hail.settle_payment() of a deposit. Administrators only. Errors: invalid_value, not_found, wrong_state (a charge), already_exists.';

CREATE FUNCTION hail.verify_payment(intent_id uuid) RETURNS hail.payment_intents
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz := hail.clock();
    intent hail.payment_intents := hail.get_payment_intent(verify_payment.intent_id);
BEGIN
    -- whoever has just asked costs no lock
    IF intent.state NOT IN ('created', 'pending') OR intent.verification_at > moment - interval '1 minute' THEN
        RETURN intent;
    END IF;
    intent := hail.lock_intent(intent_id);
    IF intent.state IN ('created', 'pending') AND (intent.verification_at > moment - interval '1 minute') IS NOT TRUE THEN
        UPDATE hail.payment_intents i SET verification_at = moment, event_version = i.event_version + 1
        WHERE i.id = intent.id RETURNING i.* INTO intent;
        PERFORM hail.write_intent_event(intent, 'PaymentVerificationRequested', jsonb_build_object('reference', intent.gateway_reference));
    END IF;
    RETURN hail.intent_for_caller(intent);
END
$$;
COMMENT ON FUNCTION hail.verify_payment(uuid) IS
'How a payment stands (its payer or admin), asked when the app comes back from the gateway. What the client says is not believed: an open payment''s gateway is asked (event PaymentVerificationRequested), once a minute at most. Error not_found.';

CREATE FUNCTION hail.expire_payments() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    candidate record;
    intent hail.payment_intents;
    done bigint := 0;
BEGIN
    FOR candidate IN SELECT i.id, i.trip_id FROM hail.payment_intents i
                     WHERE i.state IN ('created', 'pending') AND i.expires_at <= hail.clock() ORDER BY i.expires_at, i.id LIMIT 1000 LOOP
        -- Who is held by somebody is passed over: it may just be paid.
        IF candidate.trip_id IS NOT NULL THEN
            PERFORM FROM hail.trips t WHERE t.id = candidate.trip_id FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND AND EXISTS (SELECT FROM hail.trips t WHERE t.id = candidate.trip_id);
        END IF;
        SELECT * INTO intent FROM hail.payment_intents i WHERE i.id = candidate.id FOR NO KEY UPDATE SKIP LOCKED;
        IF intent.state IN ('created', 'pending') AND intent.expires_at <= hail.clock() THEN
            PERFORM hail.close_intent(intent, 'expired', NULL, NULL, 'nobody paid in time');
            done := done + 1;
        END IF;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION hail.expire_payments() IS
'Give up the open payments whose time is over; their number, 1000 at most a call. Money that comes all the same is taken. Keeper step. Internal.';

-- Charges of trips

CREATE FUNCTION hail.begin_charge(trip hail.trips, amount bigint) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    under_way hail.payment_intents;
    chosen hail.gateways;
BEGIN
    IF (amount BETWEEN 1 AND 9007199254740992) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'amount must be above 0, in minor units', 'amount');
    END IF;
    SELECT * INTO under_way FROM hail.payment_intents i WHERE i.trip_id = trip.id AND i.state IN ('created', 'pending');
    IF under_way.amount <> begin_charge.amount THEN
        PERFORM hail.fail('wrong_state', 'another amount of this trip is being charged', 'amount');
    ELSIF under_way.id IS NOT NULL THEN
        RETURN under_way.id;
    END IF;
    chosen := hail.choose_gateway(trip.currency);
    IF chosen.id IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (hail.open_intent(chosen, 'trip_charge', trip.customer_id, trip.id,
                             (hail.ensure_account('CUSTOMER_WALLET', trip.customer_id, trip.currency)).id, amount, trip.currency)).id;
END
$$;
COMMENT ON FUNCTION hail.begin_charge(hail.trips, bigint) IS
'Ask a gateway to take an amount for a locked trip (event PaymentRequested): the payment; NULL when no gateway takes the currency. The open charge of the same amount is returned again; of another: error wrong_state. hail.trip_charge_succeeded() or hail.trip_charge_failed() will be told. Internal.';

-- Refunds

CREATE FUNCTION hail.went_to_wallet(intent hail.payment_intents) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN intent.purpose = 'deposit' OR EXISTS (SELECT FROM hail.ledger_transactions t
                                             WHERE t.principal = 'system' AND t.idempotency_key = 'charge:' || intent.id);
COMMENT ON FUNCTION hail.went_to_wallet(hail.payment_intents) IS
'Whether the money of a payment is in its payer''s wallet: a deposit''s, and that of a charge that came when nothing was due any more. Internal.';

CREATE FUNCTION hail.begin_refund(intent hail.payment_intents, amount bigint, reason text) RETURNS hail.payment_refunds
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    refund hail.payment_refunds;
    changed hail.payment_intents;
BEGIN
    IF (amount > 0) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'amount must be above 0, in minor units', 'amount');
    ELSIF (length(btrim(reason)) BETWEEN 1 AND 500) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'a reason of 1 to 500 characters is needed', 'reason');
    ELSIF intent.succeeded_at IS NULL THEN
        PERFORM hail.fail('wrong_state', 'only what has been paid can be given back', 'intent_id');
    ELSIF amount > intent.amount - intent.refunding - intent.refunded - intent.disputed THEN
        PERFORM hail.fail('limit_exceeded', 'more than is left of this payment', 'amount',
                          format('%s at most.', greatest(intent.amount - intent.refunding - intent.refunded - intent.disputed, 0)));
    END IF;
    refund.id := hail.uuid7();
    IF hail.went_to_wallet(intent) THEN
        -- a driver's wallet has no floor, but nobody is given what is spent
        PERFORM FROM hail.accounts a WHERE a.id = intent.wallet_id FOR NO KEY UPDATE;
        IF (SELECT a.posted - a.held < amount FROM hail.accounts a WHERE a.id = intent.wallet_id) THEN
            PERFORM hail.fail('insufficient_balance', 'the wallet does not have so much any more', 'amount');
        END IF;
        refund.hold_id := hail.place_hold(intent.wallet_id, amount, 'deposit_refund:' || refund.id, 'payment_refund', refund.id);
    END IF;
    INSERT INTO hail.payment_refunds AS r (id, intent_id, gateway, amount, reason, hold_id, requested_by, created_at)
    VALUES (refund.id, intent.id, intent.gateway, begin_refund.amount, btrim(begin_refund.reason), refund.hold_id, hail.current_subject(), hail.clock())
    RETURNING r.* INTO refund;
    UPDATE hail.payment_intents i SET refunding = i.refunding + refund.amount, state = 'refunding', event_version = i.event_version + 1
    WHERE i.id = intent.id RETURNING i.* INTO changed;
    PERFORM hail.write_intent_event(changed, 'PaymentRefundRequested', jsonb_build_object(
        'refund_id', refund.id, 'refund_amount', refund.amount, 'reference', changed.gateway_reference));
    RETURN refund;
END
$$;
COMMENT ON FUNCTION hail.begin_refund(hail.payment_intents, bigint, text) IS
'Ask the gateway of a locked payment to give a part back; of a deposit, the part is held on the wallet until it answers. Errors: invalid_value, wrong_state, limit_exceeded, insufficient_balance. Internal.';

CREATE FUNCTION hail.refund_deposit(intent_id uuid, amount bigint, reason text, idempotency_key text,
                                    OUT refund hail.payment_refunds, OUT replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    intent hail.payment_intents;
    earlier uuid;
BEGIN
    PERFORM hail.require_admin();
    earlier := hail.claim_result(idempotency_key, jsonb_build_array('refund_deposit', intent_id, amount, left(reason, 1000))::text);
    replayed := earlier IS NOT NULL;
    IF replayed THEN
        SELECT * INTO refund FROM hail.payment_refunds r WHERE r.id = earlier;
        RETURN;
    END IF;
    intent := hail.lock_intent(intent_id);
    IF NOT hail.went_to_wallet(intent) THEN
        PERFORM hail.fail('wrong_state', 'this payment is no deposit: refund its trip', 'intent_id');
    END IF;
    refund := hail.begin_refund(intent, amount, reason);
    PERFORM hail.keep_result(idempotency_key, refund.id);
END
$$;
COMMENT ON FUNCTION hail.refund_deposit(uuid, bigint, text, text) IS
'Give a deposit (or a charge that came into the wallet, because its trip had been paid), or a part of it, back by the gateway: held on the wallet, taken when the gateway says that it is done, free again when it failed. Never more than the deposit. Administrators only. Errors: idempotency_key_required, in_flight, idempotency_mismatch, not_found, wrong_state, invalid_value (amount, reason), limit_exceeded, insufficient_balance.';

CREATE FUNCTION hail.begin_charge_refund(intent_id uuid, amount bigint, reason text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    intent hail.payment_intents := hail.lock_intent(begin_charge_refund.intent_id);
BEGIN
    IF intent.purpose <> 'trip_charge' THEN
        PERFORM hail.fail('wrong_state', 'this payment is no charge of a trip', 'intent_id');
    END IF;
    RETURN (hail.begin_refund(intent, amount, reason)).id;
END
$$;
COMMENT ON FUNCTION hail.begin_charge_refund(uuid, bigint, text) IS
'Ask the gateway to give a part of a trip''s charge back, which the caller, who has locked the trip, has posted (credit to GATEWAY_CLEARING). When the gateway fails, the customer''s wallet gets it. The refund''s id. Errors: not_found, invalid_value, wrong_state, limit_exceeded. Internal.';

CREATE FUNCTION hail.finish_refund(intent hail.payment_intents, refund hail.payment_refunds, succeeded boolean, reference text,
                                   fee bigint, why text) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    posted uuid;
    changed hail.payment_intents;
BEGIN
    IF refund.hold_id IS NOT NULL AND succeeded THEN
        posted := hail.post_template('deposit_refund', 'deposit_refund:' || refund.id, intent.currency, jsonb_build_object('amount', refund.amount),
            wallet_id => intent.wallet_id, hold_id => (SELECT h.id FROM hail.holds h WHERE h.id = refund.hold_id AND h.status = 'held'),
            reference_type => 'payment_refund', reference_id => refund.id,
            metadata => jsonb_build_object('gateway', intent.gateway, 'intent_id', intent.id));
    ELSIF refund.hold_id IS NOT NULL THEN
        PERFORM hail.release_hold(refund.hold_id);
    ELSIF NOT succeeded THEN
        posted := hail.post_template('charge_refund_to_wallet', 'charge_refund:' || refund.id, intent.currency,
            jsonb_build_object('amount', refund.amount), customer_id => intent.user_id, reference_type => 'payment_refund',
            reference_id => refund.id, metadata => jsonb_build_object('gateway', intent.gateway, 'intent_id', intent.id));
    END IF;
    IF succeeded THEN
        PERFORM hail.post_template('gateway_fee', 'refund_fee:' || refund.id, intent.currency, jsonb_build_object('fee', fee),
                                   reference_type => 'payment_refund', reference_id => refund.id);
    END IF;
    UPDATE hail.payment_refunds r
    SET state = CASE WHEN succeeded THEN 'succeeded' ELSE 'failed' END, transaction_id = posted,
        gateway_reference = CASE WHEN NOT EXISTS (SELECT FROM hail.payment_refunds o WHERE o.gateway = r.gateway AND o.gateway_reference = reference)
                                 THEN reference END,
        failure = CASE WHEN succeeded THEN NULL ELSE why END, resolved_at = hail.clock()
    WHERE r.id = refund.id;
    UPDATE hail.payment_intents i
    SET refunding = i.refunding - refund.amount, refunded = i.refunded + CASE WHEN succeeded THEN refund.amount ELSE 0 END,
        state = CASE WHEN i.refunding > refund.amount THEN 'refunding'
                     WHEN i.refunded + CASE WHEN succeeded THEN refund.amount ELSE 0 END = i.amount THEN 'refunded'
                     WHEN i.refunded + CASE WHEN succeeded THEN refund.amount ELSE 0 END > 0 THEN 'partly_refunded' ELSE 'succeeded' END,
        event_version = i.event_version + 1
    WHERE i.id = intent.id RETURNING i.* INTO changed;
    PERFORM hail.write_intent_event(changed, CASE WHEN succeeded THEN 'PaymentRefunded' ELSE 'PaymentRefundFailed' END,
        jsonb_build_object('refund_id', refund.id, 'refund_amount', refund.amount, 'reason', CASE WHEN NOT succeeded THEN why END));
    RETURN posted;
END
$$;
COMMENT ON FUNCTION hail.finish_refund(hail.payment_intents, hail.payment_refunds, boolean, text, bigint, text) IS
'The gateway has answered a refund that was asked for; payment and refund are locked. The transaction, when something was posted. Internal.';

CREATE FUNCTION hail.settle_refund(refund_id uuid, succeeded boolean, reason text, gateway_reference text DEFAULT NULL)
RETURNS hail.payment_refunds
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    answer CONSTANT text := CASE WHEN succeeded THEN 'succeeded' ELSE 'failed' END;
    intent hail.payment_intents;
    refund hail.payment_refunds;
BEGIN
    PERFORM hail.require_admin();
    IF succeeded IS NULL THEN
        PERFORM hail.fail('invalid_value', 'succeeded is true or false', 'succeeded');
    ELSIF (length(btrim(reason)) BETWEEN 1 AND 500) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'a reason of 1 to 500 characters is needed', 'reason');
    ELSIF length(gateway_reference) NOT BETWEEN 1 AND 200 THEN
        PERFORM hail.fail('invalid_value', 'a reference has 1 to 200 characters', 'gateway_reference');
    END IF;
    SELECT * INTO refund FROM hail.payment_refunds r WHERE r.id = settle_refund.refund_id;
    IF refund.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such refund', 'refund_id');
    END IF;
    intent := hail.lock_intent(refund.intent_id);
    SELECT * INTO refund FROM hail.payment_refunds r WHERE r.id = refund.id FOR NO KEY UPDATE;
    IF refund.state = answer THEN
        RETURN refund;
    ELSIF refund.state <> 'requested' THEN
        PERFORM hail.fail('wrong_state', format('this refund has %s', refund.state), 'refund_id');
    ELSIF EXISTS (SELECT FROM hail.payment_refunds r WHERE r.gateway = refund.gateway AND r.gateway_reference = settle_refund.gateway_reference) THEN
        PERFORM hail.fail('already_exists', 'the gateway calls another refund so', 'gateway_reference');
    END IF;
    PERFORM hail.finish_refund(intent, refund, succeeded, gateway_reference, 0, btrim(reason));
    SELECT * INTO refund FROM hail.payment_refunds r WHERE r.id = refund.id;
    RETURN refund;
END
$$;
COMMENT ON FUNCTION hail.settle_refund(uuid, boolean, text, text) IS
'Take a refund that was asked for as done, or as failed, by hand, when the gateway''s event does not come or did not do: what is held for it is paid, or free again; of a charge that failed to go back the customer''s wallet gets it. Again with the same answer: the same row. Administrators only. Errors: invalid_value (succeeded, reason, gateway_reference), not_found, wrong_state (answered otherwise), already_exists (gateway_reference).';

CREATE FUNCTION hail.charge_back(intent hail.payment_intents, amount bigint, why text) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wallet hail.accounts;
    taken bigint := 0;
    posted uuid;
    changed hail.payment_intents;
BEGIN
    IF hail.went_to_wallet(intent) THEN
        SELECT * INTO wallet FROM hail.accounts a WHERE a.id = intent.wallet_id FOR NO KEY UPDATE;
        taken := CASE WHEN wallet.closed_at IS NULL THEN least(amount, greatest(wallet.posted - wallet.held, 0)) ELSE 0 END;
    END IF;
    posted := hail.post_template('chargeback', format('chargeback:%s:%s', intent.id, intent.event_version), intent.currency,
        jsonb_build_object('amount', amount, 'taken', taken, 'lost', amount - taken),
        wallet_id => CASE WHEN taken > 0 THEN intent.wallet_id END, reference_type => 'payment_intent', reference_id => intent.id,
        metadata => jsonb_build_object('gateway', intent.gateway));
    UPDATE hail.payment_intents i SET disputed = i.disputed + charge_back.amount, event_version = i.event_version + 1
    WHERE i.id = intent.id RETURNING i.* INTO changed;
    PERFORM hail.write_intent_event(changed, 'PaymentDisputed', jsonb_build_object(
        'disputed', amount, 'taken', taken, 'lost', amount - taken, 'reason', why, 'transaction_id', posted));
    RETURN posted;
END
$$;
COMMENT ON FUNCTION hail.charge_back(hail.payment_intents, bigint, text) IS
'The gateway has taken a part of a locked payment back, because its payer disputes it: of a deposit, from the wallet as far as it goes. Internal.';

-- Reads

CREATE FUNCTION hail.get_payment_intent(intent_id uuid) RETURNS hail.payment_intents
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
    intent hail.payment_intents;
BEGIN
    SELECT * INTO intent FROM hail.payment_intents i
    WHERE i.id = get_payment_intent.intent_id AND (role = 'admin' OR i.user_id = hail.current_subject());
    IF intent.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such payment', 'intent_id');
    END IF;
    RETURN hail.intent_for_caller(intent);
END
$$;
COMMENT ON FUNCTION hail.get_payment_intent(uuid) IS
'A payment, for its payer (without the gateway''s fee) and administrators. Error not_found.';

CREATE FUNCTION hail.list_refunds(intent_id uuid) RETURNS SETOF hail.payment_refunds
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.get_payment_intent(list_refunds.intent_id);
    RETURN QUERY SELECT r.id, r.intent_id, r.gateway, r.amount, r.reason, r.state, r.hold_id, r.transaction_id, r.gateway_reference, r.failure,
                        CASE hail.current_role_name() WHEN 'admin' THEN r.requested_by END, r.created_at, r.resolved_at FROM hail.payment_refunds r WHERE r.intent_id = list_refunds.intent_id ORDER BY r.id;
END
$$;
COMMENT ON FUNCTION hail.list_refunds(uuid) IS 'The refunds of a payment, oldest first, for its payer and administrators. Error not_found.';

CREATE FUNCTION hail.after_place(place bytea, time_column text, id_column text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN place IS NOT NULL THEN format('(%s, %s) < (''epoch''::timestamptz + %s * interval ''1 microsecond'', %L::uuid)', time_column,
    id_column, ('x' || encode(substr(place, 1, 8), 'hex'))::bit(64)::bigint, encode(substr(place, 9), 'hex')) END;
COMMENT ON FUNCTION hail.after_place(bytea, text, text) IS
'The condition that a row comes after a place (hail.trip_place) in a list that has the newest first; NULL for NULL. Internal.';

CREATE FUNCTION hail.list_payment_intents(user_id uuid DEFAULT NULL, trip_id uuid DEFAULT NULL, purpose text DEFAULT NULL, state text[] DEFAULT NULL,
                                          gateway text DEFAULT NULL, created_from timestamptz DEFAULT NULL,
                                          created_to timestamptz DEFAULT NULL, max_results integer DEFAULT 20, cursor text DEFAULT NULL,
                                          OUT intent hail.payment_intents, OUT next_cursor text) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner uuid := CASE WHEN hail.caller_role() = 'admin' THEN user_id ELSE hail.current_subject() END;
    scope text := format('payments of %s, trip %s, for %s in %s by %s from %s to %s', owner, trip_id, purpose, state, gateway,
                         extract(epoch FROM created_from), extract(epoch FROM created_to));
    found hail.payment_intents;
    n integer := 0;
BEGIN
    IF user_id IS NOT NULL AND user_id <> owner THEN
        PERFORM hail.fail('not_found', 'there is no such user', 'user_id');
    ELSIF user_id IS NULL AND trip_id IS NULL THEN
        PERFORM hail.require_admin();
    END IF;
    IF coalesce(max_results, 0) NOT BETWEEN 1 AND 100 THEN
        PERFORM hail.fail('invalid_value', 'a page has 1 to 100 payments', 'max_results');
    ELSIF purpose NOT IN ('deposit', 'trip_charge') THEN
        PERFORM hail.fail('invalid_value', 'purpose is deposit or trip_charge', 'purpose');
    ELSIF cardinality(state) NOT BETWEEN 1 AND 20 OR EXISTS (SELECT FROM unnest(state) s WHERE s IS NULL OR NOT EXISTS (
            SELECT FROM hail.payment_transitions t WHERE t.from_state = s)) THEN
        PERFORM hail.fail('invalid_value', 'this is no state of a payment', 'state');
    END IF;
    FOR found IN EXECUTE format('SELECT i.* FROM hail.payment_intents i WHERE %s ORDER BY i.created_at DESC, i.id DESC LIMIT %s',
        concat_ws(' AND ', 'true', 'i.user_id = ' || quote_literal(owner), 'i.trip_id = ' || quote_literal(trip_id),
                  'i.purpose = ' || quote_literal(purpose), 'i.state = ANY (' || quote_literal(state::text) || '::text[])',
                  'i.gateway = ' || quote_literal(gateway), 'i.created_at >= ' || quote_literal(created_from),
                  'i.created_at < ' || quote_literal(created_to),
                  hail.after_place(hail.cursor_place(cursor, scope), 'i.created_at', 'i.id')), max_results + 1) LOOP
        IF n > 0 THEN
            -- The row fetched past the page only tells that there is more.
            next_cursor := CASE WHEN n = max_results THEN hail.cursor_text(hail.trip_place((intent).created_at, (intent).id), scope) END;
            RETURN NEXT;
        END IF;
        intent := hail.intent_for_caller(found);
        n := n + 1;
    END LOOP;
    IF n BETWEEN 1 AND max_results THEN
        next_cursor := NULL;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.list_payment_intents(uuid, uuid, text, text[], text, timestamptz, timestamptz, integer, text) IS
'A page of payments, newest first: a user''s (itself or admin), a trip''s (its payer or admin), or all (administrators). Filters: purpose, states, gateway, created at or after created_from and before created_to. next_cursor, in the last row when more follow, gives the next page with the same filters. Errors: not_found (user_id), forbidden, invalid_value (purpose, state, max_results, cursor).';

GRANT EXECUTE ON FUNCTION hail.begin_deposit(uuid, bigint, text, text, text), hail.verify_payment(uuid), hail.get_payment_intent(uuid),
    hail.list_refunds(uuid), hail.list_payment_intents(uuid, uuid, text, text[], text, timestamptz, timestamptz, integer, text)
    TO hail_customer, hail_driver, hail_partner, hail_admin;
GRANT EXECUTE ON FUNCTION hail.settle_payment(uuid, text, text, bigint), hail.settle_deposit(uuid, text, text, bigint),
    hail.refund_deposit(uuid, bigint, text, text), hail.settle_refund(uuid, boolean, text, text) TO hail_admin;
