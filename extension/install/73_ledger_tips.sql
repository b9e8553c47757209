-- 73_ledger_tips: tolls, tips and refunds of trips

-- Tolls

CREATE FUNCTION hail.add_toll(trip_id uuid, amount bigint, reason text, idempotency_key text) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    most bigint := trip.price * current_setting('hail.toll_limit')::integer / 100;
BEGIN
    PERFORM hail.check_trip_amount(amount);
    PERFORM hail.check_reason(reason);
    IF hail.trip_adjusted(trip.id, 'toll', idempotency_key, amount, NULL, reason) THEN
        RETURN hail.trip_for_caller(trip);
    ELSIF trip.state <> 'started' THEN
        PERFORM hail.fail('wrong_state', format('the trip is %s', trip.state), 'trip_id', 'Tolls are added while the customer is on the way.');
    ELSIF trip.tolls + amount > most THEN
        PERFORM hail.fail('limit_exceeded', format('the tolls of this trip would be %s, of %s at most', trip.tolls + amount, most), 'amount');
    END IF;
    trip.tolls := trip.tolls + amount;
    PERFORM hail.keep_adjustment(trip.id, 'toll', idempotency_key, amount, amount, NULL, reason, NULL);
    RETURN hail.trip_for_caller(hail.reprice_trip(trip, 'TollAdded', jsonb_build_object('amount', amount, 'reason', reason)));
END
$$;
COMMENT ON FUNCTION hail.add_toll(uuid, bigint, text, text) IS
'The driver of a started trip (or admin) has paid a toll: the customer pays it with the price, it is wholly the driver''s. Held on the wallet at once; together hail.toll_limit percent of the price at most. The same key again: the trip as it is. Errors: not_found, wrong_state, invalid_value, limit_exceeded, insufficient_balance (the wallet does not cover it), idempotency_key_required, idempotency_mismatch.';
GRANT EXECUTE ON FUNCTION hail.add_toll(uuid, bigint, text, text) TO hail_driver, hail_admin;

-- Tips

CREATE FUNCTION hail.tip_trip(trip_id uuid, amount bigint, idempotency_key text) RETURNS hail.trip_payments
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    trip hail.trips := hail.lock_payers_trip(trip_id);
    payment hail.trip_payments;
    most bigint := trip.price * current_setting('hail.tip_limit')::integer / 100;
    posted uuid;
BEGIN
    PERFORM hail.check_trip_amount(amount);
    SELECT * INTO payment FROM hail.trip_payments p WHERE p.trip_id = trip.id FOR NO KEY UPDATE;
    IF hail.trip_adjusted(trip.id, 'tip', idempotency_key, amount, NULL, NULL) THEN
        RETURN hail.payment_for_caller(payment);
    ELSIF trip.state <> 'completed' OR payment.trip_id IS NULL THEN
        PERFORM hail.fail('wrong_state', format('the trip is %s', trip.state), 'trip_id', 'Tips are given after a trip that was driven.');
    ELSIF payment.state IN ('pending', 'payment_failed') THEN
        PERFORM hail.fail('payment_due', 'the trip itself has not been paid', 'trip_id', 'Pay it first: hail.retry_payment().');
    ELSIF hail.clock() > trip.completed_at + current_setting('hail.tip_window')::interval THEN
        PERFORM hail.fail('wrong_state', format('tips are given within %s of the trip', current_setting('hail.tip_window')), 'trip_id');
    ELSIF payment.tip + amount > most THEN
        PERFORM hail.fail('limit_exceeded', format('the tips of this trip would be %s, of %s at most', payment.tip + amount, most), 'amount');
    END IF;
    posted := hail.post_template('trip_tip', format('tip:%s:%s', trip.id, payment.tip), trip.currency, jsonb_build_object('tip', amount),
        trip.customer_id, trip.driver_id, NULL, NULL, 'trip', trip.id);
    PERFORM hail.keep_adjustment(trip.id, 'tip', idempotency_key, amount, amount, NULL, NULL, posted);
    UPDATE hail.trip_payments p SET tip = p.tip + amount WHERE p.trip_id = trip.id RETURNING * INTO payment;
    UPDATE hail.trips t SET event_version = t.event_version + 1 WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'TripTipped', jsonb_build_object('amount', amount, 'tip', payment.tip, 'currency', trip.currency));
    RETURN hail.payment_for_caller(payment);
END
$$;
COMMENT ON FUNCTION hail.tip_trip(uuid, bigint, text) IS
'Tip the driver of a completed trip from the wallet (its customer or partner, or admin): wholly the driver''s. Within hail.tip_window of its end; all tips together hail.tip_limit percent of the price at most. The same key again answers with the payment as it is. Errors: not_found, wrong_state, payment_due (the trip is unpaid), invalid_value, limit_exceeded, insufficient_balance, idempotency_key_required, idempotency_mismatch.';
GRANT EXECUTE ON FUNCTION hail.tip_trip(uuid, bigint, text) TO hail_customer, hail_partner, hail_admin;

-- Refunds

CREATE FUNCTION hail.refund_shares(payment hail.trip_payments, amount bigint, OUT commission bigint, OUT promotion bigint, OUT driver bigint)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    -- Cumulated: what has gone back after this part, less what had before. The parts of a whole add up to it exactly.
    -- Nobody gets anything by a part: what rounding would move the other way waits for the next one.
    SELECT c.part, p.part, refund_shares.amount + p.part - c.part
    FROM (SELECT round(payment.promotion::numeric * (payment.refunded_shared + refund_shares.amount) / payment.due)::bigint - payment.promotion_back AS part) p,
         LATERAL (SELECT least(greatest(round(payment.commission::numeric * (payment.refunded_shared + refund_shares.amount) / payment.due)::bigint
                                        - payment.commission_back, 0), refund_shares.amount + p.part) AS part) c
$$;
COMMENT ON FUNCTION hail.refund_shares(hail.trip_payments, bigint) IS
'Who bears a part of a payment that is given back in shares: the platform its commission, in proportion, the driver the rest, and what a promotion had paid of it goes back to promotions. Half is rounded up. Internal.';

CREATE FUNCTION hail.post_refund(trip hail.trips, payment hail.trip_payments, amount bigint, to_card bigint, borne_by text) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    share record;
    amounts jsonb := jsonb_build_object('to_card', to_card, 'to_wallet', amount - to_card);
BEGIN
    IF borne_by = 'shared' THEN
        SELECT * INTO share FROM hail.refund_shares(payment, amount);
        amounts := amounts || jsonb_build_object('commission', share.commission, 'promotion', share.promotion, 'driver_share', share.driver);
    ELSE
        amounts := amounts || jsonb_build_object('amount', amount);
    END IF;
    RETURN hail.post_template('trip_refund_' || borne_by, format('refund:%s:%s', trip.id, payment.refunded), payment.currency, amounts,
        payment.customer_id, payment.driver_id, NULL, NULL, 'trip', trip.id);
END
$$;
COMMENT ON FUNCTION hail.post_refund(hail.trips, hail.trip_payments, bigint, bigint, text) IS
'Post a refund of a locked trip: that of it which goes back to a card to the gateway, the rest to the customer''s wallet. Internal.';

CREATE FUNCTION hail.refund_to_card(payment hail.trip_payments, amount bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT least(refund_to_card.amount, i.amount - i.refunding - i.refunded) FROM hail.payment_intents i
                     WHERE i.id = payment.intent_id AND payment.method = 'card'), 0);
END
$$;
COMMENT ON FUNCTION hail.refund_to_card(hail.trip_payments, bigint) IS
'What of a refund goes back to the card: as much as was charged on it, for a part may have been paid from the wallet before. Internal.';

CREATE FUNCTION hail.check_refund(payment hail.trip_payments, amount bigint, reason text, borne_by text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF payment.trip_id IS NULL OR payment.paid = 0 THEN
        PERFORM hail.fail('wrong_state', 'nothing has been paid for this trip', 'trip_id');
    ELSIF borne_by = 'driver' AND payment.driver_id IS NULL THEN
        PERFORM hail.fail('wrong_state', 'this trip had no driver', 'borne_by');
    ELSIF payment.paid < payment.due THEN
        PERFORM hail.fail('payment_due', 'a part of what is due has not been paid', 'trip_id', 'What is not paid cannot be refunded.');
    ELSIF payment.refunded = payment.paid THEN
        PERFORM hail.fail('wrong_state', 'the whole has been refunded', 'trip_id');
    ELSIF amount > payment.paid - payment.refunded THEN
        PERFORM hail.fail('limit_exceeded', format('%s of %s are left', payment.paid - payment.refunded, payment.paid), 'amount',
                          'No more is given back than was paid.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_refund(hail.trip_payments, bigint, text, text) IS 'Error unless so much may be given back. Internal.';

CREATE FUNCTION hail.refund_trip(trip_id uuid, amount bigint DEFAULT NULL, reason text DEFAULT NULL, idempotency_key text DEFAULT NULL,
                                 borne_by text DEFAULT 'shared') RETURNS hail.trip_payments
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    trip hail.trips;
    payment hail.trip_payments;
    part bigint;
    to_card bigint;
    share record;
    posted uuid;
BEGIN
    PERFORM hail.require_admin();
    IF amount IS NOT NULL THEN
        PERFORM hail.check_trip_amount(amount);
    END IF;
    PERFORM hail.check_reason(reason);
    IF (borne_by IN ('shared', 'platform', 'driver')) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'borne_by is shared, platform or driver', 'borne_by');
    END IF;
    trip := hail.lock_trip(trip_id);
    SELECT * INTO payment FROM hail.trip_payments p WHERE p.trip_id = trip.id FOR NO KEY UPDATE;
    IF hail.trip_adjusted(trip.id, 'refund', idempotency_key, amount, borne_by, reason) THEN
        RETURN payment;
    END IF;
    PERFORM hail.check_refund(payment, amount, reason, borne_by);
    part := coalesce(amount, payment.paid - payment.refunded);
    SELECT * INTO share FROM hail.refund_shares(payment, part);
    to_card := hail.refund_to_card(payment, part);
    PERFORM hail.begin_charge_refund(payment.intent_id, to_card, reason) WHERE to_card > 0;
    posted := hail.post_refund(trip, payment, part, to_card, borne_by);
    PERFORM hail.keep_adjustment(trip.id, 'refund', idempotency_key, part, amount, borne_by, reason, posted);
    UPDATE hail.trip_payments p SET refunded = p.refunded + part,
           refunded_shared = p.refunded_shared + CASE borne_by WHEN 'shared' THEN part ELSE 0 END,
           commission_back = p.commission_back + CASE borne_by WHEN 'shared' THEN share.commission ELSE 0 END,
           promotion_back = p.promotion_back + CASE borne_by WHEN 'shared' THEN share.promotion ELSE 0 END
    WHERE p.trip_id = trip.id RETURNING * INTO payment;
    PERFORM hail.set_payment_state(trip, CASE WHEN payment.refunded = payment.paid THEN 'refunded' ELSE 'partly_refunded' END, 'TripRefunded',
        jsonb_build_object('amount', part, 'refunded', payment.refunded, 'currency', payment.currency, 'borne_by', borne_by, 'reason', reason));
    SELECT * INTO payment FROM hail.trip_payments p WHERE p.trip_id = trip.id;
    RETURN payment;
END
$$;
COMMENT ON FUNCTION hail.refund_trip(uuid, bigint, text, text, text) IS
'Give the customer of a trip back what was paid, or a part of it (amount NULL: the rest), never more; tips stay. borne_by: shared (platform and driver in the proportion of the commission, promotions get back theirs; parts add up to the whole exactly), platform, or driver. To the customer''s wallet, of a card through its gateway. A new transaction: what was posted stays. The same key again answers with the payment as it is. Administrators only. Errors: not_found, wrong_state (nothing paid, all refunded), payment_due, invalid_value, limit_exceeded, idempotency_key_required, idempotency_mismatch.';
GRANT EXECUTE ON FUNCTION hail.refund_trip(uuid, bigint, text, text, text) TO hail_admin;
