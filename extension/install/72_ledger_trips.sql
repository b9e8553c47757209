-- 72_ledger_trips: templates of entries, and what trips do to the ledger (src/ledger/template.c, trip_payment.c)

CREATE TABLE hail.entry_templates (
    template     text NOT NULL,
    leg          smallint NOT NULL CHECK (leg BETWEEN 1 AND 16),
    account_kind text REFERENCES hail.account_kinds (kind),
    owner        text CHECK (owner IN ('customer', 'driver', 'wallet')),
    direction    text NOT NULL CHECK (direction IN ('debit', 'credit')),
    amount       text NOT NULL CHECK (amount ~ '^[a-z_]+$'),
    description  text NOT NULL,
    PRIMARY KEY (template, leg),
    CHECK (template ~ '^[a-z_]+$'),
    CHECK ((account_kind IS NULL) = (owner IS NOT DISTINCT FROM 'wallet'))
);
COMMENT ON TABLE hail.entry_templates IS
'What the engine posts: a transaction''s kind is the name of its template, its entries are the template''s legs with their amounts. Legs of nothing are left out, legs of the same account become one. src/ledger/TRIPS.md has examples.';
COMMENT ON COLUMN hail.entry_templates.owner IS
'Whose wallet: the trip''s customer, its driver, or a wallet that is named (wallet); NULL: a system account.';
COMMENT ON COLUMN hail.entry_templates.account_kind IS 'NULL for owner wallet: of whatever kind the wallet is.';
COMMENT ON COLUMN hail.entry_templates.amount IS 'Name of the amount; what is paid is told by the transaction.';
CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.entry_templates
    FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed();
ALTER TABLE hail.entry_templates ENABLE ALWAYS TRIGGER kept_changed;
GRANT SELECT ON hail.entry_templates TO hail_admin, hail_analyst;
CREATE POLICY entry_templates_read ON hail.entry_templates FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

-- paid = fare + tolls - promotion. A driver's legs become one entry: fare less commission, and so on.
INSERT INTO hail.entry_templates (template, leg, account_kind, owner, direction, amount, description) VALUES
    ('trip_fare_wallet', 1, 'CUSTOMER_WALLET',  'customer', 'debit',  'paid',       'What the customer pays, from the hold'),
    ('trip_fare_wallet', 2, 'PROMOTIONS',       NULL,       'debit',  'promotion',  'What a promotion pays instead'),
    ('trip_fare_wallet', 3, 'DRIVER_WALLET',    'driver',   'credit', 'fare',       'The fare'),
    ('trip_fare_wallet', 4, 'DRIVER_WALLET',    'driver',   'debit',  'commission', 'less the commission'),
    ('trip_fare_wallet', 5, 'DRIVER_WALLET',    'driver',   'credit', 'tolls',      'Tolls that the driver has paid'),
    ('trip_fare_wallet', 6, 'PLATFORM_REVENUE', NULL,       'credit', 'commission', 'The platform''s share'),
    ('trip_commission_cash', 1, 'DRIVER_WALLET',    'driver', 'debit',  'commission', 'The driver has the fare in hand and owes the commission'),
    ('trip_commission_cash', 2, 'DRIVER_WALLET',    'driver', 'credit', 'promotion',  'What a promotion pays instead of the customer'),
    ('trip_commission_cash', 3, 'PROMOTIONS',       NULL,     'debit',  'promotion',  'The promotion''s cost'),
    ('trip_commission_cash', 4, 'PLATFORM_REVENUE', NULL,     'credit', 'commission', 'The platform''s share'),
    -- excess: the gateway took more than was due
    ('trip_fare_card', 1, 'GATEWAY_CLEARING', NULL,       'debit',  'charged',    'What the gateway has taken from the card'),
    ('trip_fare_card', 2, 'PROMOTIONS',       NULL,       'debit',  'promotion',  'What a promotion pays instead'),
    ('trip_fare_card', 3, 'DRIVER_WALLET',    'driver',   'credit', 'fare',       'The fare'),
    ('trip_fare_card', 4, 'DRIVER_WALLET',    'driver',   'debit',  'commission', 'less the commission'),
    ('trip_fare_card', 5, 'DRIVER_WALLET',    'driver',   'credit', 'tolls',      'Tolls that the driver has paid'),
    ('trip_fare_card', 6, 'PLATFORM_REVENUE', NULL,       'credit', 'commission', 'The platform''s share'),
    ('trip_fare_card', 7, 'CUSTOMER_WALLET',  'customer', 'credit', 'excess',     'What was charged above what was due'),
    ('charge_to_wallet', 1, 'GATEWAY_CLEARING', NULL,     'debit',  'charged',    'A charge that succeeded when nothing was due any more, or too little'),
    ('charge_to_wallet', 2, 'CUSTOMER_WALLET',  'customer', 'credit', 'charged',  'The customer has it in the wallet'),
    ('cancellation_fee_card', 1, 'GATEWAY_CLEARING', NULL,       'debit',  'charged',      'What the gateway has taken from the card'),
    ('cancellation_fee_card', 2, 'DRIVER_WALLET',    'driver',   'credit', 'driver_share', 'The driver''s share of the fee'),
    ('cancellation_fee_card', 3, 'PLATFORM_REVENUE', NULL,       'credit', 'commission',   'The platform''s share'),
    ('cancellation_fee_card', 4, 'CUSTOMER_WALLET',  'customer', 'credit', 'excess',       'What was charged above what was due'),
    ('trip_tip', 1, 'CUSTOMER_WALLET', 'customer', 'debit',  'tip', 'What the customer gives'),
    ('trip_tip', 2, 'DRIVER_WALLET',   'driver',   'credit', 'tip', 'Wholly the driver''s'),
    -- to_wallet + to_card + promotion = driver_share + commission
    ('trip_refund_shared', 1, 'DRIVER_WALLET',    'driver',   'debit',  'driver_share', 'The driver gives back what the driver had of it'),
    ('trip_refund_shared', 2, 'PLATFORM_REVENUE', NULL,       'debit',  'commission',   'The platform gives back its share'),
    ('trip_refund_shared', 3, 'CUSTOMER_WALLET',  'customer', 'credit', 'to_wallet',    'The customer has it in the wallet'),
    ('trip_refund_shared', 4, 'GATEWAY_CLEARING', NULL,       'credit', 'to_card',      'or the gateway pays it back to the card'),
    ('trip_refund_shared', 5, 'PROMOTIONS',       NULL,       'credit', 'promotion',    'What a promotion had paid of it'),
    ('trip_refund_platform', 1, 'PLATFORM_REVENUE', NULL,       'debit',  'amount',    'The platform bears it'),
    ('trip_refund_platform', 2, 'CUSTOMER_WALLET',  'customer', 'credit', 'to_wallet', 'The customer has it in the wallet'),
    ('trip_refund_platform', 3, 'GATEWAY_CLEARING', NULL,       'credit', 'to_card',   'or the gateway pays it back to the card'),
    ('trip_refund_driver', 1, 'DRIVER_WALLET',    'driver',   'debit',  'amount',    'The driver bears it'),
    ('trip_refund_driver', 2, 'CUSTOMER_WALLET',  'customer', 'credit', 'to_wallet', 'The customer has it in the wallet'),
    ('trip_refund_driver', 3, 'GATEWAY_CLEARING', NULL,       'credit', 'to_card',   'or the gateway pays it back to the card'),
    ('cancellation_fee', 1, 'CUSTOMER_WALLET',  'customer', 'debit',  'fee',        'What cancelling costs, as far as the wallet goes'),
    ('cancellation_fee', 2, 'DRIVER_WALLET',    'driver',   'credit', 'driver_share', 'The driver''s share of it'),
    ('cancellation_fee', 3, 'PLATFORM_REVENUE', NULL,       'credit', 'commission', 'The platform''s share; all of it when there is no driver');

CREATE FUNCTION hail.post_template(template text, idempotency_key text, currency text, amounts jsonb, customer_id uuid DEFAULT NULL,
                                   driver_id uuid DEFAULT NULL, wallet_id uuid DEFAULT NULL, hold_id uuid DEFAULT NULL,
                                   reference_type text DEFAULT NULL, reference_id uuid DEFAULT NULL, metadata jsonb DEFAULT NULL)
RETURNS uuid
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_post_template';
COMMENT ON FUNCTION hail.post_template(text, text, text, jsonb, uuid, uuid, uuid, uuid, text, uuid, jsonb) IS
'Post what a template of hail.entry_templates says, with these amounts (minor units by name, absent: 0); the transaction, NULL when all legs are nothing. Principal system. Wallets of customer_id and driver_id are opened when there are none; wallet_id is the account of legs of owner wallet; hold_id: an open hold on a wallet that pays, which is used up. The same key with the same request (all but reference and metadata) returns the first transaction. Errors: invalid_value, wrong_state (nobody to post to), idempotency_mismatch, hold_resolved, not_found, currency_mismatch, insufficient_balance, account_closed. Internal.';

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

CREATE FUNCTION hail.trip_hold_amount(trip hail.trips) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN (trip).price - (trip).waiting_amount + (trip).waiting_max + (trip).tolls - (trip).promotion_amount;
COMMENT ON FUNCTION hail.trip_hold_amount(hail.trips) IS
'What is held for a trip by wallet while it is under way: the price, waiting at its most, tolls, less what a promotion pays. Internal.';

CREATE FUNCTION hail.settle_trip(trip hail.trips) RETURNS text
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_settle_trip';
COMMENT ON FUNCTION hail.settle_trip(hail.trips) IS
'Pay a completed trip, once: by wallet from its hold, in cash the commission from the driver''s wallet; its payment_state: paid; none (it costs nothing); payment_failed (nothing was posted); pending (by card: nothing yet, the charge is to be asked for). Writes hail.trip_payments. Its row is locked. Internal.';

CREATE FUNCTION hail.release_trip_fare(trip hail.trips) RETURNS void
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_release_trip_fare';
COMMENT ON FUNCTION hail.release_trip_fare(hail.trips) IS
'Give a trip''s hold back, when it has one. Its row is locked. Internal.';

CREATE FUNCTION hail.charge_cancellation(trip hail.trips, fee bigint, purpose text DEFAULT 'cancellation') RETURNS text
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_charge_cancellation';
COMMENT ON FUNCTION hail.charge_cancellation(hail.trips, bigint, text) IS
'Take a fee (purpose: cancellation or no_show) from the customer''s wallet, once and as far as it goes, shared with the trip''s driver like a fare, and give the rest of the hold back; of a trip by card the charge is to be asked for. Its payment_state: none, paid, payment_failed (what the wallet did not have is due), pending. The trip''s row is locked. Internal.';

-- Payments of trips

CREATE TABLE hail.trip_payments (
    trip_id        uuid PRIMARY KEY,
    customer_id    uuid NOT NULL,
    driver_id      uuid,
    purpose        text NOT NULL,
    method         hail.payment_method NOT NULL,
    state          hail.payment_state NOT NULL,
    currency       text NOT NULL,
    fare           bigint NOT NULL,
    tolls          bigint NOT NULL,
    promotion      bigint NOT NULL,
    commission     bigint NOT NULL,
    due            bigint NOT NULL,
    paid           bigint NOT NULL,
    tip            bigint NOT NULL DEFAULT 0,
    refunded       bigint NOT NULL DEFAULT 0,
    refunded_shared bigint NOT NULL DEFAULT 0,
    commission_back bigint NOT NULL DEFAULT 0,
    promotion_back bigint NOT NULL DEFAULT 0,
    intent_id      uuid,
    reason         text,
    created_at     timestamptz NOT NULL,
    paid_at        timestamptz,
    CHECK (refunded BETWEEN 0 AND paid AND paid <= due)
) WITH (fillfactor = 80);
CREATE INDEX trip_payments_customer ON hail.trip_payments (customer_id, trip_id);
CREATE INDEX trip_payments_driver ON hail.trip_payments (driver_id, trip_id) WHERE driver_id IS NOT NULL;
COMMENT ON TABLE hail.trip_payments IS
'What the customer of a trip owes and has paid, minor units: a row for each trip that ended with something to pay. Written under the trip''s lock; its state is the trip''s payment_state. No reference to the trip: trips are never removed, and each completion would pay for the check.';
COMMENT ON COLUMN hail.trip_payments.purpose IS 'fare; or the fee of a trip that was not driven: cancellation, no_show.';
COMMENT ON COLUMN hail.trip_payments.fare IS 'The price, waiting included; or the fee.';
COMMENT ON COLUMN hail.trip_payments.due IS 'fare + tolls - promotion: what the customer has to pay.';
COMMENT ON COLUMN hail.trip_payments.commission IS 'The platform''s share of the fare.';
COMMENT ON COLUMN hail.trip_payments.refunded IS 'Given back to the customer so far; refunded_shared: that of it which driver and platform bear in their shares.';
COMMENT ON COLUMN hail.trip_payments.commission_back IS 'Commission given back with it; promotion_back: what went back to promotions.';
COMMENT ON COLUMN hail.trip_payments.intent_id IS 'The charge asked of a gateway last.';
COMMENT ON COLUMN hail.trip_payments.reason IS 'Why it is not paid.';

CREATE TABLE hail.trip_adjustments (
    trip_id         uuid NOT NULL REFERENCES hail.trips (id),
    kind            text NOT NULL CHECK (kind IN ('toll', 'tip', 'refund', 'retry')),
    idempotency_key hail.caller_key NOT NULL,
    amount          bigint CHECK (amount > 0),
    asked           bigint,
    detail          text,
    reason          text CHECK (length(reason) <= 500),
    transaction_id  uuid,
    created_by      uuid,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (trip_id, kind, idempotency_key)
);
COMMENT ON TABLE hail.trip_adjustments IS
'Tolls, tips, refunds and repeated payments of trips, one row for each key: a key that comes again is answered as the first time. Written under the trip''s lock; never changed, but for words that hail.erase_payment_words() takes out.';
COMMENT ON COLUMN hail.trip_adjustments.amount IS 'Minor units; asked: as it was asked for, NULL: the rest.';
COMMENT ON COLUMN hail.trip_adjustments.detail IS 'Of a refund: who bears it; of a repeated payment: by which method.';

CREATE POLICY trip_payments_customer ON hail.trip_payments FOR SELECT TO hail_customer, hail_partner
    USING (customer_id = hail.current_subject());
CREATE POLICY trip_payments_driver ON hail.trip_payments FOR SELECT TO hail_driver
    USING (hail.current_role_name() = 'driver' AND driver_id = hail.current_subject());
CREATE POLICY trip_payments_read ON hail.trip_payments FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
GRANT SELECT (trip_id, customer_id, driver_id, purpose, method, state, currency, fare, tolls, promotion, due, paid, tip, refunded,
              created_at, paid_at) ON hail.trip_payments TO hail_customer, hail_partner;
GRANT SELECT (trip_id, customer_id, driver_id, purpose, method, state, currency, fare, tolls, promotion, commission, due, paid, tip,
              refunded, refunded_shared, commission_back, promotion_back, created_at, paid_at) ON hail.trip_payments TO hail_driver;
GRANT SELECT ON hail.trip_payments, hail.trip_adjustments TO hail_admin;
GRANT SELECT (trip_id, purpose, method, state, currency, fare, tolls, promotion, commission, due, paid, tip,
              refunded, refunded_shared, commission_back, promotion_back, intent_id, created_at, paid_at) ON hail.trip_payments TO hail_analyst;
CREATE POLICY trip_adjustments_admin ON hail.trip_adjustments FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.payment_for_caller(payment hail.trip_payments) RETURNS hail.trip_payments
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.current_role_name() <> 'admin' THEN
        payment.intent_id := NULL;
        payment.reason := NULL;
    END IF;
    IF hail.current_role_name() IN ('customer', 'partner') THEN
        payment.commission := NULL;
        payment.refunded_shared := NULL;
        payment.commission_back := NULL;
        payment.promotion_back := NULL;
    END IF;
    RETURN payment;
END
$$;
COMMENT ON FUNCTION hail.payment_for_caller(hail.trip_payments) IS
'A payment with NULL in the columns that the calling role does not see. Internal.';

CREATE FUNCTION hail.trip_payment(trip_id uuid) RETURNS hail.trip_payments
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
    payment hail.trip_payments;
BEGIN
    SELECT * INTO payment FROM hail.trip_payments p WHERE p.trip_id = trip_payment.trip_id
       AND (role = 'admin' OR role IN ('customer', 'partner') AND p.customer_id = hail.current_subject()
            OR role = 'driver' AND p.driver_id = hail.current_subject());
    IF payment.trip_id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no payment of such a trip', 'trip_id', 'A trip has one once it has ended with something to pay.');
    END IF;
    RETURN hail.payment_for_caller(payment);
END
$$;
COMMENT ON FUNCTION hail.trip_payment(uuid) IS
'What was due for a trip that has ended, what was paid, tipped and refunded, minor units; for its customer, its driver and administrators. Commission is not told to customers. Error not_found.';
GRANT EXECUTE ON FUNCTION hail.trip_payment(uuid) TO hail_customer, hail_driver, hail_admin, hail_partner;

-- What has been done with a key

CREATE FUNCTION hail.trip_adjusted(trip_id uuid, kind text, idempotency_key text, asked bigint, detail text, reason text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first hail.trip_adjustments;
BEGIN
    IF coalesce(length(idempotency_key), 0) NOT BETWEEN 1 AND 200 THEN
        PERFORM hail.fail('idempotency_key_required', 'an idempotency key of 1 to 200 characters is needed', 'idempotency_key');
    END IF;
    SELECT * INTO first FROM hail.trip_adjustments a
    WHERE a.trip_id = trip_adjusted.trip_id AND a.kind = trip_adjusted.kind AND a.idempotency_key = trip_adjusted.idempotency_key;
    IF first.trip_id IS NOT NULL AND (first.asked, first.detail, first.reason) IS DISTINCT FROM (asked, detail, reason) THEN
        PERFORM hail.fail('idempotency_mismatch', 'this key was used with another request', 'idempotency_key', 'Use a new key for a new request.');
    END IF;
    RETURN first.trip_id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION hail.trip_adjusted(uuid, text, text, bigint, text, text) IS
'Whether a locked trip has been adjusted with this key already; errors idempotency_key_required, and idempotency_mismatch when otherwise. Internal.';

CREATE FUNCTION hail.keep_adjustment(trip_id uuid, kind text, idempotency_key text, amount bigint, asked bigint, detail text, reason text,
                                     transaction_id uuid) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO hail.trip_adjustments (trip_id, kind, idempotency_key, amount, asked, detail, reason, transaction_id, created_by, created_at)
    VALUES (trip_id, kind, idempotency_key, amount, asked, detail, reason, transaction_id, hail.current_subject(), hail.clock())
$$;
COMMENT ON FUNCTION hail.keep_adjustment(uuid, text, text, bigint, bigint, text, text, uuid) IS
'Remember what was done for a locked trip with a key. Internal.';

CREATE FUNCTION hail.check_trip_amount(amount bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (amount BETWEEN 1 AND 9007199254740992) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'amount must be above 0 and at most 2^53', 'amount', 'Amounts are minor units of the trip''s currency.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_trip_amount(bigint) IS 'Error unless it is an amount. Internal.';

-- Payments that are open

CREATE FUNCTION hail.set_payment_state(trip hail.trips, state text, type text, payload jsonb) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE hail.trip_payments p SET state = set_payment_state.state WHERE p.trip_id = trip.id AND p.state <> set_payment_state.state;
    UPDATE hail.trips t SET payment_state = set_payment_state.state, event_version = t.event_version + 1
    WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, type, payload || jsonb_build_object('payment_state', state));
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.set_payment_state(hail.trips, text, text, jsonb) IS
'A locked trip''s payment goes to a state, with an event. Internal.';

CREATE FUNCTION hail.payment_failed(trip hail.trips, reason text) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payment hail.trip_payments;
BEGIN
    UPDATE hail.trip_payments p SET state = 'payment_failed', reason = payment_failed.reason WHERE p.trip_id = trip.id RETURNING * INTO payment;
    RETURN hail.set_payment_state(trip, 'payment_failed', 'PaymentFailed', jsonb_build_object('due', payment.due - payment.paid,
        'currency', payment.currency, 'payment_method', payment.method, 'reason', reason));
END
$$;
COMMENT ON FUNCTION hail.payment_failed(hail.trips, text) IS
'A locked trip has not been paid: its customer owes it; event PaymentFailed. Internal.';

CREATE FUNCTION hail.payment_is_open(trip hail.trips, state text) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payment hail.trip_payments;
    intent uuid;
    problem text;
BEGIN
    SELECT * INTO payment FROM hail.trip_payments p WHERE p.trip_id = trip.id FOR NO KEY UPDATE;
    IF state = 'payment_failed' THEN
        RETURN hail.payment_failed(trip, payment.reason);
    END IF;
    IF state = 'pending' THEN
        UPDATE hail.trips t SET payment_state = 'pending' WHERE t.id = trip.id RETURNING * INTO trip;
        BEGIN
            intent := hail.begin_charge(trip, payment.due - payment.paid);
        EXCEPTION WHEN OTHERS THEN
            -- Without a gateway the trip ends all the same; what else goes wrong is not ours to hide.
            IF SQLSTATE NOT LIKE 'UH%' AND SQLSTATE <> '42883' THEN
                RAISE;
            END IF;
            problem := CASE SQLSTATE WHEN '42883' THEN 'there is no gateway' ELSE SQLERRM END;
        END;
        IF intent IS NULL THEN
            problem := coalesce(problem, 'no gateway takes this currency');
        END IF;
        IF problem IS NOT NULL THEN
            RETURN hail.payment_failed(trip, problem);
        END IF;
        UPDATE hail.trip_payments p SET state = 'pending', intent_id = intent, reason = NULL WHERE p.trip_id = trip.id;
        SELECT * INTO trip FROM hail.trips t WHERE t.id = trip.id;
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.payment_is_open(hail.trips, text) IS
'A locked trip has ended and is not paid: what is due is charged on the card (state pending), or has failed (payment_failed). Internal.';

CREATE FUNCTION hail.fee_shares(trip hail.trips, paid_before bigint, amount bigint, OUT driver_share bigint, OUT commission bigint)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT fee_shares.amount - c.part, c.part
    FROM (SELECT CASE WHEN (trip).driver_id IS NULL THEN fee_shares.amount
                 ELSE hail.commission(paid_before + fee_shares.amount, (trip).commission_bp) - hail.commission(paid_before, (trip).commission_bp) END AS part) c
$$;
COMMENT ON FUNCTION hail.fee_shares(hail.trips, bigint, bigint) IS
'How a further part of a fee is shared: so that the parts add up to the shares of the whole. Internal.';

CREATE FUNCTION hail.driver_of_cancelled(trip hail.trips, payment hail.trip_payments) RETURNS hail.trips
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    trip.driver_id := payment.driver_id;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.driver_of_cancelled(hail.trips, hail.trip_payments) IS 'The trip with the driver that its payment names. Internal.';

CREATE FUNCTION hail.pay_open_trip(trip hail.trips, payment hail.trip_payments, method text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rest bigint := payment.due - payment.paid;
    share record;
BEGIN
    IF payment.purpose = 'fare' THEN
        IF hail.settle_trip(trip) = 'payment_failed' THEN
            PERFORM hail.fail('insufficient_balance', 'the wallet does not cover what is due', 'payment_method',
                              format('%s %s are due (minor units).', rest, payment.currency));
        END IF;
    ELSIF method <> 'wallet' THEN
        PERFORM hail.fail('invalid_value', 'a fee is paid by wallet or card', 'payment_method');
    ELSE
        SELECT * INTO share FROM hail.fee_shares(trip, payment.paid, rest);
        PERFORM hail.post_template('cancellation_fee', format('cancel:%s:%s', trip.id, payment.paid), payment.currency,
            jsonb_build_object('fee', rest, 'driver_share', share.driver_share, 'commission', share.commission),
            trip.customer_id, trip.driver_id, NULL, NULL, 'trip', trip.id);
        UPDATE hail.trip_payments p SET paid = p.due, paid_at = hail.clock(), reason = NULL WHERE p.trip_id = trip.id;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.pay_open_trip(hail.trips, hail.trip_payments, text) IS
'Pay what is due for a locked trip by wallet or in cash; error insufficient_balance. Internal.';

CREATE FUNCTION hail.retry_payment(trip_id uuid, payment_method text, idempotency_key text) RETURNS hail.trip_payments
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text := hail.caller_role();
    trip hail.trips := hail.lock_trip_of_caller(trip_id);
    payment hail.trip_payments;
BEGIN
    IF (payment_method IN ('wallet', 'cash', 'card')) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'payment_method is wallet, cash or card', 'payment_method');
    ELSIF role <> 'admin' AND (payment_method = 'cash') <> (role = 'driver') THEN
        PERFORM hail.fail('forbidden', 'customers pay by wallet or card; that cash was collected is said by the driver', 'payment_method');
    END IF;
    SELECT * INTO payment FROM hail.trip_payments p WHERE p.trip_id = trip.id FOR NO KEY UPDATE;
    IF hail.trip_adjusted(trip.id, 'retry', idempotency_key, NULL, payment_method, NULL) THEN
        RETURN hail.payment_for_caller(payment);
    ELSIF trip.payment_state <> 'payment_failed' THEN
        PERFORM hail.fail('wrong_state', format('the payment of this trip is %s', trip.payment_state), 'trip_id', 'Only what has failed is paid again.');
    END IF;
    UPDATE hail.trips t SET payment_method = retry_payment.payment_method WHERE t.id = trip.id RETURNING * INTO trip;
    UPDATE hail.trip_payments p SET method = retry_payment.payment_method, intent_id = NULL WHERE p.trip_id = trip.id;
    trip := hail.driver_of_cancelled(trip, payment);
    PERFORM hail.keep_adjustment(trip.id, 'retry', idempotency_key, payment.due - payment.paid, NULL, payment_method, NULL, NULL);
    IF payment_method = 'card' THEN
        trip := hail.payment_is_open(trip, 'pending');
    ELSE
        PERFORM hail.pay_open_trip(trip, payment, payment_method);
        PERFORM hail.set_payment_state(trip, 'paid', 'PaymentSucceeded', jsonb_build_object('amount', payment.due - payment.paid,
            'currency', payment.currency, 'payment_method', payment_method));
    END IF;
    SELECT * INTO payment FROM hail.trip_payments p WHERE p.trip_id = trip.id;
    RETURN hail.payment_for_caller(payment);
END
$$;
COMMENT ON FUNCTION hail.retry_payment(uuid, text, text) IS
'Pay a trip whose payment has failed: its customer or partner by wallet or card, its driver by saying that the fare was collected in cash, administrators each way. The whole of what is due, or nothing. By card it is pending until the gateway answers. The same key again answers with the payment as it is. Errors: not_found, wrong_state (nothing has failed), insufficient_balance, forbidden, invalid_value, idempotency_key_required, idempotency_mismatch.';
GRANT EXECUTE ON FUNCTION hail.retry_payment(uuid, text, text) TO hail_customer, hail_driver, hail_admin, hail_partner;

-- What the gateway says of a charge

CREATE FUNCTION hail.trip_charge_succeeded(trip_id uuid, intent_id uuid, amount bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    trip hail.trips := hail.lock_trip(trip_id);
    payment hail.trip_payments;
    rest bigint;
    share record;
BEGIN
    PERFORM hail.check_trip_amount(amount);
    SELECT * INTO payment FROM hail.trip_payments p WHERE p.trip_id = trip.id FOR NO KEY UPDATE;
    rest := payment.due - payment.paid;
    IF payment.intent_id = intent_id AND payment.state NOT IN ('pending', 'payment_failed') THEN
        RETURN; -- said before
    ELSIF payment.intent_id IS DISTINCT FROM intent_id OR amount < rest THEN
        PERFORM hail.post_template('charge_to_wallet', format('charge:%s', intent_id), trip.currency, jsonb_build_object('charged', amount),
            trip.customer_id, NULL, NULL, NULL, 'trip', trip.id);
        IF payment.intent_id = intent_id AND payment.state = 'pending' THEN
            PERFORM hail.payment_failed(trip, format('the gateway charged %s of %s, which is in the wallet', amount, rest));
        END IF;
        RETURN;
    END IF;
    trip := hail.driver_of_cancelled(trip, payment);
    IF payment.purpose = 'fare' THEN
        PERFORM hail.post_template('trip_fare_card', format('trip:%s', trip.id), trip.currency, jsonb_build_object('charged', amount,
                'promotion', payment.promotion, 'fare', payment.fare, 'commission', payment.commission, 'tolls', payment.tolls,
                'excess', amount - rest),
            trip.customer_id, trip.driver_id, NULL, NULL, 'trip', trip.id, jsonb_build_object('intent_id', intent_id));
    ELSE
        SELECT * INTO share FROM hail.fee_shares(trip, payment.paid, rest);
        PERFORM hail.post_template('cancellation_fee_card', format('cancel:%s:%s', trip.id, payment.paid), trip.currency,
            jsonb_build_object('charged', amount, 'driver_share', share.driver_share, 'commission', share.commission, 'excess', amount - rest),
            trip.customer_id, trip.driver_id, NULL, NULL, 'trip', trip.id, jsonb_build_object('intent_id', intent_id));
    END IF;
    UPDATE hail.trip_payments p SET paid = p.due, paid_at = hail.clock(), reason = NULL WHERE p.trip_id = trip.id;
    PERFORM hail.set_payment_state(trip, 'paid', 'PaymentSucceeded', jsonb_build_object('amount', rest, 'currency', trip.currency,
        'payment_method', 'card'));
END
$$;
COMMENT ON FUNCTION hail.trip_charge_succeeded(uuid, uuid, bigint) IS
'A gateway has charged an amount for a trip, which is locked here: the fare is split. What is charged above what is due, or when nothing is due (paid otherwise meanwhile), or is less than what is due, goes to the customer''s wallet. Again: nothing. Internal.';

CREATE FUNCTION hail.trip_charge_failed(trip_id uuid, intent_id uuid, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    trip hail.trips := hail.lock_trip(trip_id);
BEGIN
    IF EXISTS (SELECT FROM hail.trip_payments p WHERE p.trip_id = trip.id AND p.intent_id = intent_id AND p.state = 'pending') THEN
        PERFORM hail.payment_failed(trip, coalesce(reason, 'the gateway refused the charge'));
    END IF;
END
$$;
COMMENT ON FUNCTION hail.trip_charge_failed(uuid, uuid, text) IS
'A gateway could not charge what is due for a trip, which is locked here: payment_failed. Of a charge that is not waited for: nothing. Internal.';
