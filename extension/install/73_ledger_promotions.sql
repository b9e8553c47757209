-- 73_ledger_promotions: what a promotion pays of a trip

CREATE TABLE hail.promotions (
    id            uuid PRIMARY KEY DEFAULT hail.uuid7(),
    code          text NOT NULL UNIQUE CHECK (code ~ '^[A-Z0-9_-]{3,40}$'),
    currency      text NOT NULL REFERENCES hail.currencies (code),
    percent_bp    integer CHECK (percent_bp BETWEEN 1 AND 10000),
    fixed         bigint CHECK (fixed BETWEEN 1 AND 9007199254740992),
    maximum       bigint CHECK (maximum BETWEEN 1 AND 9007199254740992),
    minimum_price bigint NOT NULL DEFAULT 0 CHECK (minimum_price >= 0),
    region_id     smallint REFERENCES hail.regions (id),
    service       text CHECK (service IN ('ride', 'delivery', 'porter')),
    valid         tstzrange NOT NULL CHECK (NOT isempty(valid)),
    per_customer  integer NOT NULL DEFAULT 1 CHECK (per_customer > 0),
    total         integer CHECK (total > 0),
    budget        bigint CHECK (budget > 0),
    uses          integer NOT NULL DEFAULT 0,
    spent         bigint NOT NULL DEFAULT 0,
    enabled       boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT hail.clock(),
    created_by    uuid DEFAULT hail.current_subject(),
    CHECK ((percent_bp IS NULL) <> (fixed IS NULL)),
    -- Law 3: the last use is taken once.
    CHECK (uses BETWEEN 0 AND coalesce(total, uses) AND spent BETWEEN 0 AND coalesce(budget, spent))
) WITH (fillfactor = 50);
COMMENT ON TABLE hail.promotions IS
'Codes with which a part of a trip''s price is paid by the account PROMOTIONS: percent_bp (hundredths of a percent) of the fare or a fixed amount, at most maximum. Amounts in minor units.';
COMMENT ON COLUMN hail.promotions.minimum_price IS 'Only for fares of at least this, waiting and tolls left out.';
COMMENT ON COLUMN hail.promotions.region_id IS 'NULL: every region; service NULL: every service.';
COMMENT ON COLUMN hail.promotions.total IS 'So many trips in all; budget: so much money in all; NULL: any. uses and spent count trips that have it now, or ended with it.';
CREATE TABLE hail.promotion_uses (
    trip_id      uuid PRIMARY KEY REFERENCES hail.trips (id),
    promotion_id uuid NOT NULL REFERENCES hail.promotions (id),
    customer_id  uuid NOT NULL,
    amount       bigint NOT NULL CHECK (amount >= 0),
    applied_at   timestamptz NOT NULL
);
CREATE INDEX promotion_uses_customer ON hail.promotion_uses (promotion_id, customer_id);
COMMENT ON TABLE hail.promotion_uses IS
'The promotion that a trip has: one at most. Written under the locks of trip and promotion; the row goes when the promotion is removed or the trip ends without being driven.';
GRANT SELECT ON hail.promotions TO hail_admin, hail_analyst;
GRANT SELECT ON hail.promotion_uses TO hail_admin;
GRANT SELECT (trip_id, promotion_id, amount, applied_at) ON hail.promotion_uses TO hail_analyst;
CREATE POLICY promotions_read ON hail.promotions FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
CREATE POLICY promotion_uses_read ON hail.promotion_uses FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

CREATE FUNCTION hail.create_promotion(code text, currency text, percent_bp integer DEFAULT NULL, fixed bigint DEFAULT NULL,
                                      maximum bigint DEFAULT NULL, minimum_price bigint DEFAULT 0, region text DEFAULT NULL,
                                      service text DEFAULT NULL, valid_from timestamptz DEFAULT NULL, valid_to timestamptz DEFAULT NULL,
                                      per_customer integer DEFAULT 1, total integer DEFAULT NULL, budget bigint DEFAULT NULL)
RETURNS hail.promotions
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    made hail.promotions;
    region_id smallint := (SELECT r.id FROM hail.regions r WHERE r.code = region);
    largest CONSTANT bigint := 9007199254740992;
BEGIN
    PERFORM hail.require_admin();
    IF (upper(btrim(code)) ~ '^[A-Z0-9_-]{3,40}$') IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'code must have 3 to 40 letters, digits, - and _', 'code');
    ELSIF NOT EXISTS (SELECT FROM hail.currencies c WHERE c.code = currency) THEN
        PERFORM hail.fail('invalid_value', 'unknown currency', 'currency', 'See hail.currencies.');
    ELSIF (percent_bp IS NULL) = (fixed IS NULL) THEN
        PERFORM hail.fail('invalid_value', 'either percent_bp or fixed must be given', 'percent_bp');
    ELSIF percent_bp NOT BETWEEN 1 AND 10000 THEN
        PERFORM hail.fail('invalid_value', 'percent_bp must be between 1 and 10000 (hundredths of a percent)', 'percent_bp');
    ELSIF fixed NOT BETWEEN 1 AND largest THEN
        PERFORM hail.fail('invalid_value', 'fixed must be above 0 and at most 2^53', 'fixed');
    ELSIF maximum NOT BETWEEN 1 AND largest THEN
        PERFORM hail.fail('invalid_value', 'maximum must be above 0 and at most 2^53', 'maximum');
    ELSIF minimum_price IS NULL OR minimum_price NOT BETWEEN 0 AND largest THEN
        PERFORM hail.fail('invalid_value', 'minimum_price must be between 0 and 2^53', 'minimum_price');
    ELSIF region IS NOT NULL AND region_id IS NULL THEN
        PERFORM hail.fail('not_found', 'region does not exist', 'region');
    ELSIF service NOT IN ('ride', 'delivery', 'porter') THEN
        PERFORM hail.fail('invalid_value', 'service is ride, delivery or porter', 'service');
    ELSIF NOT (coalesce(valid_from, hail.clock()) < coalesce(valid_to, 'infinity')) THEN
        PERFORM hail.fail('invalid_value', 'valid_to must be after valid_from', 'valid_to');
    ELSIF (per_customer > 0) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'per_customer must be above 0', 'per_customer');
    ELSIF total <= 0 THEN
        PERFORM hail.fail('invalid_value', 'total must be above 0', 'total');
    ELSIF budget NOT BETWEEN 1 AND largest THEN
        PERFORM hail.fail('invalid_value', 'budget must be above 0 and at most 2^53', 'budget');
    END IF;
    INSERT INTO hail.promotions (code, currency, percent_bp, fixed, maximum, minimum_price, region_id, service, valid, per_customer, total, budget)
    VALUES (upper(btrim(code)), currency, percent_bp, fixed, maximum, minimum_price, region_id, service,
            tstzrange(coalesce(valid_from, hail.clock()), valid_to), per_customer, total, budget)
    ON CONFLICT ON CONSTRAINT promotions_code_key DO NOTHING RETURNING * INTO made;
    IF made.id IS NULL THEN
        PERFORM hail.fail('already_exists', 'there is such a promotion already', 'code');
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION hail.create_promotion(text, text, integer, bigint, bigint, bigint, text, text, timestamptz, timestamptz, integer, integer, bigint) IS
'A code with which customers pay less: percent_bp (hundredths of a percent) of the fare, or fixed, at most maximum; for fares of minimum_price and more; in a region, for a service; valid from valid_from (default: now) to valid_to (exclusive; NULL: for ever), so often per customer and in all, and as long as the budget lasts. Codes are kept in capitals. Administrators only. Errors: invalid_value, not_found (region), already_exists.';

CREATE FUNCTION hail.enable_promotion(code text, enabled boolean) RETURNS hail.promotions
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    promotion hail.promotions;
BEGIN
    PERFORM hail.require_admin();
    IF enabled IS NULL THEN
        PERFORM hail.fail('invalid_value', 'enabled must be given', 'enabled');
    END IF;
    UPDATE hail.promotions p SET enabled = enabled WHERE p.code = upper(btrim(code)) RETURNING * INTO promotion;
    IF promotion.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such promotion', 'code');
    END IF;
    RETURN promotion;
END
$$;
COMMENT ON FUNCTION hail.enable_promotion(text, boolean) IS
'Stop a promotion, or let it go on. Trips that have it keep it. Administrators only. Error not_found.';
GRANT EXECUTE ON FUNCTION hail.create_promotion(text, text, integer, bigint, bigint, bigint, text, text, timestamptz, timestamptz, integer, integer, bigint),
    hail.enable_promotion(text, boolean) TO hail_admin;

CREATE FUNCTION hail.promotion_of_fare(promotion hail.promotions, fare bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN fare < (promotion).minimum_price THEN 0
    ELSE least(coalesce((promotion).fixed, hail.commission(fare, (promotion).percent_bp)), (promotion).maximum, fare) END;
COMMENT ON FUNCTION hail.promotion_of_fare(hail.promotions, bigint) IS
'What a promotion pays of a fare (waiting and tolls left out): never more than the fare; percentages half rounded up. Internal.';

CREATE FUNCTION hail.lower_promotion(trip hail.trips, fare bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    promotion hail.promotions;
    lower bigint;
BEGIN
    SELECT p.* INTO promotion FROM hail.promotion_uses u JOIN hail.promotions p ON p.id = u.promotion_id
    WHERE u.trip_id = trip.id FOR NO KEY UPDATE OF p;
    lower := least(trip.promotion_amount, hail.promotion_of_fare(promotion, fare));
    IF lower < trip.promotion_amount THEN
        UPDATE hail.promotions p SET spent = p.spent - trip.promotion_amount + lower WHERE p.id = promotion.id;
        UPDATE hail.promotion_uses u SET amount = lower WHERE u.trip_id = trip.id;
    END IF;
    RETURN lower;
END
$$;
COMMENT ON FUNCTION hail.lower_promotion(hail.trips, bigint) IS
'What the promotion of a locked trip pays when its fare changes: less where the fare is lower, never more than was promised. The caller writes it into the trip. Internal.';

CREATE FUNCTION hail.release_promotion(trip hail.trips) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    used hail.promotion_uses;
BEGIN
    PERFORM FROM hail.promotions p JOIN hail.promotion_uses u ON p.id = u.promotion_id WHERE u.trip_id = trip.id FOR NO KEY UPDATE OF p;
    DELETE FROM hail.promotion_uses u WHERE u.trip_id = trip.id RETURNING * INTO used;
    UPDATE hail.promotions p SET uses = p.uses - 1, spent = p.spent - used.amount WHERE p.id = used.promotion_id;
    UPDATE hail.trips t SET promotion_amount = 0 WHERE t.id = trip.id AND t.promotion_amount <> 0;
END
$$;
COMMENT ON FUNCTION hail.release_promotion(hail.trips) IS
'The promotion of a locked trip is free for another one. Internal.';

CREATE FUNCTION hail.find_promotion(code text, trip hail.trips) RETURNS hail.promotions
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    promotion hail.promotions;
BEGIN
    SELECT * INTO promotion FROM hail.promotions p WHERE p.code = upper(btrim(find_promotion.code)) FOR NO KEY UPDATE;
    IF promotion.id IS NULL OR NOT promotion.enabled OR hail.clock() < lower(promotion.valid) THEN
        PERFORM hail.fail('not_found', 'there is no such promotion', 'code');
    ELSIF NOT promotion.valid @> hail.clock() THEN
        PERFORM hail.fail('invalid_value', 'this promotion is over', 'code');
    ELSIF promotion.currency <> trip.currency THEN
        PERFORM hail.fail('currency_mismatch', format('this promotion is in %s, the trip in %s', promotion.currency, trip.currency), 'code');
    ELSIF coalesce(promotion.region_id, trip.region_id) <> trip.region_id OR coalesce(promotion.service, trip.service) <> trip.service THEN
        PERFORM hail.fail('invalid_value', 'this promotion is not for such trips', 'code');
    ELSIF trip.price - trip.waiting_amount < promotion.minimum_price THEN
        PERFORM hail.fail('invalid_value', format('this promotion is for trips of %s %s and more (minor units)', promotion.minimum_price, trip.currency), 'code');
    ELSIF promotion.uses >= promotion.total THEN
        PERFORM hail.fail('limit_exceeded', 'this promotion has been used up', 'code');
    ELSIF (SELECT count(*) FROM hail.promotion_uses u WHERE u.promotion_id = promotion.id AND u.customer_id = trip.customer_id) >= promotion.per_customer THEN
        PERFORM hail.fail('limit_exceeded', 'this customer has used the promotion before', 'code');
    ELSIF promotion.spent + hail.promotion_of_fare(promotion, trip.price - trip.waiting_amount) > promotion.budget THEN
        PERFORM hail.fail('limit_exceeded', 'this promotion has been used up', 'code');
    END IF;
    RETURN promotion;
END
$$;
COMMENT ON FUNCTION hail.find_promotion(text, hail.trips) IS
'The promotion of a code, locked, if a locked trip may have it. Errors: not_found, invalid_value, currency_mismatch, limit_exceeded. Internal.';

CREATE FUNCTION hail.check_open_price(trip hail.trips) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF trip.state NOT IN ('scheduled', 'searching', 'matched', 'arrived', 'started') THEN
        PERFORM hail.fail('wrong_state', format('the trip is %s', trip.state), 'trip_id', 'Its price does not change any more.');
    END IF;
END
$$;
COMMENT ON FUNCTION hail.check_open_price(hail.trips) IS 'Error wrong_state when a locked trip is over. Internal.';

CREATE FUNCTION hail.reprice_trip(trip hail.trips, type text, payload jsonb) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF trip.payment_method = 'wallet' AND trip.state IN ('matched', 'arrived', 'started') THEN
        trip.hold_id := hail.change_trip_hold(trip, hail.trip_hold_amount(trip));
        trip.payment_state := CASE WHEN trip.hold_id IS NULL THEN 'none' ELSE 'held' END;
    END IF;
    UPDATE hail.trips t SET promotion_amount = trip.promotion_amount, tolls = trip.tolls, hold_id = trip.hold_id,
           payment_state = trip.payment_state, event_version = t.event_version + 1
    WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, type, payload || jsonb_build_object('price', trip.price, 'tolls', trip.tolls,
        'promotion_amount', trip.promotion_amount, 'currency', trip.currency));
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.reprice_trip(hail.trips, text, jsonb) IS
'Write a locked trip whose tolls or promotion have been changed, with its hold and an event. Error insufficient_balance. Internal.';

CREATE FUNCTION hail.lock_payers_trip(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.caller_role() NOT IN ('customer', 'partner', 'admin') THEN
        PERFORM hail.fail('forbidden', 'only the customer of a trip may do this');
    END IF;
    RETURN hail.lock_trip_of_caller(trip_id);
END
$$;
COMMENT ON FUNCTION hail.lock_payers_trip(uuid) IS
'Lock a trip for its customer, its partner or an administrator; for anybody else it does not exist. Internal.';

CREATE FUNCTION hail.apply_promotion(trip_id uuid, code text) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    trip hail.trips := hail.lock_payers_trip(trip_id);
    promotion hail.promotions;
    has text := (SELECT p.code FROM hail.promotion_uses u JOIN hail.promotions p ON p.id = u.promotion_id WHERE u.trip_id = trip.id);
BEGIN
    PERFORM hail.check_open_price(trip);
    IF has = upper(btrim(code)) THEN
        RETURN hail.trip_for_caller(trip);
    ELSIF has IS NOT NULL THEN
        PERFORM hail.fail('wrong_state', 'the trip has another promotion', 'trip_id', 'hail.remove_promotion() takes it away.');
    END IF;
    promotion := hail.find_promotion(code, trip);
    trip.promotion_amount := hail.promotion_of_fare(promotion, trip.price - trip.waiting_amount);
    UPDATE hail.promotions p SET uses = p.uses + 1, spent = p.spent + trip.promotion_amount WHERE p.id = promotion.id;
    INSERT INTO hail.promotion_uses (trip_id, promotion_id, customer_id, amount, applied_at)
    VALUES (trip.id, promotion.id, trip.customer_id, trip.promotion_amount, hail.clock());
    RETURN hail.trip_for_caller(hail.reprice_trip(trip, 'PromotionApplied', jsonb_build_object('code', promotion.code)));
END
$$;
COMMENT ON FUNCTION hail.apply_promotion(uuid, text) IS
'Let a promotion pay a part of a trip that is not over (its customer or partner, or admin): what is held on the wallet becomes less at once. Its share is reckoned of the price without waiting and tolls; when the price falls it falls too, when the price rises it stays. One a trip; the same one again: the trip as it is. Errors: not_found, wrong_state, invalid_value (over, or not for such a trip), currency_mismatch, limit_exceeded (used up, or by this customer).';

CREATE FUNCTION hail.remove_promotion(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_payers_trip(trip_id);
BEGIN
    PERFORM hail.check_open_price(trip);
    IF NOT EXISTS (SELECT FROM hail.promotion_uses u WHERE u.trip_id = trip.id) THEN
        RETURN hail.trip_for_caller(trip);
    END IF;
    PERFORM hail.release_promotion(trip);
    trip.promotion_amount := 0;
    RETURN hail.trip_for_caller(hail.reprice_trip(trip, 'PromotionRemoved', '{}'));
END
$$;
COMMENT ON FUNCTION hail.remove_promotion(uuid) IS
'Take the promotion from a trip that is not over (its customer or partner, or admin); it may be used for another. Where there is none, nothing changes. Errors: not_found, wrong_state, insufficient_balance (the wallet does not cover the whole price).';
GRANT EXECUTE ON FUNCTION hail.apply_promotion(uuid, text), hail.remove_promotion(uuid) TO hail_customer, hail_partner, hail_admin;
