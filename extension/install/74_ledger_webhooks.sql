-- 74_ledger_webhooks: what gateways tell: signed events, each applied once

CREATE TABLE hail.gateway_events (
    gateway        text NOT NULL REFERENCES hail.gateways (name),
    event_id       text NOT NULL CHECK (length(event_id) BETWEEN 1 AND 300),
    type           text NOT NULL,
    digest         bytea NOT NULL,
    payload        jsonb NOT NULL,
    outcome        text NOT NULL CHECK (outcome IN ('applied', 'ignored', 'refused', 'unmatched')),
    remark         text,
    intent_id      uuid REFERENCES hail.payment_intents (id),
    refund_id      uuid REFERENCES hail.payment_refunds (id),
    withdrawal_id  uuid,
    transaction_id uuid,
    occurred_at    timestamptz,
    received_at    timestamptz NOT NULL,
    repeats        integer NOT NULL DEFAULT 0,
    conflicts      integer NOT NULL DEFAULT 0,
    resolved_at    timestamptz,
    resolved_by    uuid,
    resolution     text,
    PRIMARY KEY (gateway, event_id)
);
CREATE INDEX gateway_events_age ON hail.gateway_events (received_at DESC);
CREATE INDEX gateway_events_intent ON hail.gateway_events (intent_id) WHERE intent_id IS NOT NULL;
CREATE INDEX gateway_events_open ON hail.gateway_events (received_at)
    WHERE resolved_at IS NULL AND (outcome IN ('refused', 'unmatched') OR conflicts > 0);
COMMENT ON TABLE hail.gateway_events IS
'Every event of a gateway whose signature was good; the primary key, written in the transaction of the effect, is what makes an event count once. Never deleted: an id may come again.';
COMMENT ON COLUMN hail.gateway_events.digest IS 'SHA-256 of what was signed, without the time of signing: the same id with another one is a conflict.';
COMMENT ON COLUMN hail.gateway_events.payload IS
'What was understood of the event: ids, amounts, reason. Nothing else of it is kept, so no card numbers, names or addresses are.';
COMMENT ON COLUMN hail.gateway_events.outcome IS
'applied; ignored: nothing to do (unknown type, old news, said before); refused: it does not fit, nothing was posted; unmatched: no such payment, refund or payout here.';
COMMENT ON COLUMN hail.gateway_events.repeats IS 'How often it came again.';
COMMENT ON COLUMN hail.gateway_events.conflicts IS 'How often its id came again with another content, which was refused.';
COMMENT ON COLUMN hail.gateway_events.resolved_at IS 'When an administrator had looked at a refused or unmatched event, or a conflict.';
GRANT SELECT ON hail.gateway_events TO hail_admin;
GRANT SELECT (gateway, event_id, type, outcome, remark, intent_id, refund_id, withdrawal_id, transaction_id, occurred_at, received_at, repeats,
              conflicts, resolved_at) ON hail.gateway_events TO hail_analyst;
CREATE POLICY gateway_events_admin ON hail.gateway_events FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
CREATE POLICY gateway_events_analyst ON hail.gateway_events FOR SELECT TO hail_analyst
    USING (hail.current_role_name() IN ('analyst', 'admin'));

-- Reading messages. What is read has a good signature, or is about to be checked for one.

CREATE TYPE hail.gateway_message AS (
    event_id    text,
    sent_type   text,        -- as the gateway says
    type        text,        -- as the mapping says: payment.succeeded and so on
    digest      bytea,
    data        jsonb,       -- only what is signed
    occurred_at timestamptz,
    intent_id   uuid,
    refund_id   uuid,
    payout_id   uuid,
    reference   text,
    amount      bigint,
    currency    text,
    fee         bigint,
    reason      text
);
COMMENT ON TYPE hail.gateway_message IS 'An event of a gateway as it was understood.';

CREATE FUNCTION hail.read_gateway_body(raw_body text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body json;
BEGIN
    IF octet_length(raw_body) > 1048576 THEN
        PERFORM hail.fail('invalid_value', 'the body must have 1 MB at most', 'body');
    END IF;
    BEGIN
        body := raw_body::json;
        IF json_typeof(body) = 'object' AND json_typeof(body -> 'data') = 'object'
           -- of a name that comes twice, others might read the other value
           AND NOT EXISTS (SELECT FROM json_object_keys(body) k GROUP BY k HAVING count(*) > 1)
           AND NOT EXISTS (SELECT FROM json_object_keys(body -> 'data') k GROUP BY k HAVING count(*) > 1) THEN
            RETURN body::jsonb;
        END IF;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        NULL;
    END;
    PERFORM hail.fail('invalid_value', 'the body is no JSON object with data, or has a name twice', 'body');
END
$$;
COMMENT ON FUNCTION hail.read_gateway_body(text) IS
'An event''s body: a JSON object that has an object data, each name once. Error invalid_value (body). Internal.';

CREATE FUNCTION hail.field_text(value jsonb, field text, longest integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(jsonb_typeof(value), 'null') = 'null' THEN
        RETURN NULL;
    ELSIF jsonb_typeof(value) NOT IN ('string', 'number') OR length(value #>> '{}') > longest THEN
        PERFORM hail.fail('invalid_value', format('%s must be a text of at most %s characters', field, longest), field);
    END IF;
    RETURN nullif(btrim(value #>> '{}'), '');
END
$$;
COMMENT ON FUNCTION hail.field_text(jsonb, text, integer) IS
'A text or number of an event as text, NULL when it is absent or blank; error that names the field. Internal.';

CREATE FUNCTION hail.field_amount(value jsonb, field text, digits integer) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given text := hail.field_text(value, field, 40);
    amount numeric;
BEGIN
    IF given IS NULL OR digits IS NULL THEN
        RETURN NULL;
    ELSIF given ~ '^[0-9]{1,16}([.][0-9]{1,20})?$' THEN
        amount := given::numeric * 10::numeric ^ digits;
    END IF;
    IF amount IS NULL OR amount <> trunc(amount) OR amount > 9007199254740992 THEN
        PERFORM hail.fail('invalid_value', format('%s must be an amount of whole minor units', field), field);
    END IF;
    RETURN amount::bigint;
END
$$;
COMMENT ON FUNCTION hail.field_amount(jsonb, text, integer) IS
'An amount of an event (digits: decimals of its unit) in minor units, NULL when it is absent or its unit unknown; error that names the field. Internal.';

CREATE FUNCTION hail.field_uuid(value jsonb) RETURNS uuid
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN jsonb_typeof(value) = 'string' AND (value #>> '{}') ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
            THEN (value #>> '{}')::uuid END;
COMMENT ON FUNCTION hail.field_uuid(jsonb) IS 'An id of ours, as an event tells it; NULL: it is none. Internal.';

CREATE FUNCTION hail.field_time(value jsonb, field text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given text := hail.field_text(value, field, 40);
BEGIN
    IF given ~ '^[0-9]{9,12}$' THEN
        RETURN to_timestamp(given::float8);
    ELSIF given ~ '^[0-9]{13}$' THEN
        RETURN to_timestamp(given::float8 / 1000);
    END IF;
    RETURN hail.check_time(to_jsonb(given), field);
END
$$;
COMMENT ON FUNCTION hail.field_time(jsonb, text) IS
'A time of an event (ISO 8601 with its zone, or seconds or milliseconds since 1970), NULL when it is absent; error that names the field. Internal.';

CREATE FUNCTION hail.signed_text(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN jsonb_typeof(value) IN ('string', 'boolean') THEN value #>> '{}'
            -- 1e131071 is short in JSON and long as text
            WHEN jsonb_typeof(value) = 'number' AND abs(value::numeric) < 1e21 AND scale(value::numeric) <= 20
            THEN trim_scale(value::numeric)::text END;
COMMENT ON FUNCTION hail.signed_text(jsonb) IS
'A value as it is signed: numbers as JavaScript writes them (20.50 is 20.5). NULL for null, for what has fields or elements, and for numbers out of all proportion. Internal.';

CREATE FUNCTION hail.sorted_query(data jsonb, keys text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT string_agg(hail.percent_encode(d.key) || coalesce('=' || hail.percent_encode(hail.signed_text(d.value)), ''), '&' ORDER BY d.key COLLATE "C")
        FROM jsonb_each(data) d WHERE d.key = ANY (keys));
COMMENT ON FUNCTION hail.sorted_query(jsonb, text[]) IS
'What a sorted_query signature is over: these fields that the data has, sorted by name, as name=value&name=value; name alone where the value is null. Internal.';

CREATE FUNCTION hail.signed_keys(mapping jsonb, data jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT array_agg(k.name) FROM (
    SELECT e.name #>> '{}'
    FROM (SELECT CASE jsonb_typeof(mapping -> 'signed_keys') WHEN 'array' THEN mapping -> 'signed_keys'
                      ELSE data -> (mapping ->> 'signed_keys') END) AS listed (names),
         jsonb_array_elements(CASE jsonb_typeof(listed.names) WHEN 'array' THEN listed.names ELSE '[]' END) AS e (name)
    WHERE jsonb_typeof(e.name) = 'string' LIMIT 100) AS k (name));
COMMENT ON FUNCTION hail.signed_keys(jsonb, jsonb) IS
'Names of the fields that are signed, 100 at most: those of the mapping, or those that the data lists. Internal.';

CREATE FUNCTION hail.only_signed(data jsonb, keys text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_object_agg(d.key, d.value), '{}') FROM jsonb_each(data) d
        WHERE d.key = ANY (keys) AND jsonb_typeof(d.value) NOT IN ('object', 'array'));
COMMENT ON FUNCTION hail.only_signed(jsonb, text[]) IS
'The data without what was not signed: nobody has vouched for that. Internal.';

CREATE FUNCTION hail.joined_fields(names jsonb, here jsonb, there jsonb, separator text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE WHEN count(*) = count(f.value) THEN string_agg(f.value, separator ORDER BY f.i) END
        FROM (SELECT n.i, hail.signed_text(CASE WHEN here ? n.name THEN here -> n.name ELSE there -> n.name END) AS value
              FROM jsonb_array_elements_text(names) WITH ORDINALITY AS n (name, i)) AS f);
COMMENT ON FUNCTION hail.joined_fields(jsonb, jsonb, jsonb, text) IS
'Texts of fields that are here, or else there, joined; NULL when one is missing. Internal.';

CREATE FUNCTION hail.refuse_signature(hint text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp
RETURN hail.fail('invalid_signature', 'the signature is not valid', NULL, hint);
COMMENT ON FUNCTION hail.refuse_signature(text) IS 'Error invalid_signature. Internal.';

CREATE FUNCTION hail.verify_standard_message(gateway hail.gateways, secrets bytea[], headers jsonb, raw_body text) RETURNS hail.gateway_message
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    message hail.gateway_message;
    body jsonb;
BEGIN
    PERFORM hail.verify_webhook(secrets, headers ->> 'webhook-id', headers ->> 'webhook-timestamp', headers ->> 'webhook-signature', raw_body,
                                extract(epoch FROM coalesce(gateway.tolerance, '5 minutes'))::integer);
    body := hail.read_gateway_body(raw_body);
    message.event_id := headers ->> 'webhook-id';
    message.digest := sha256(convert_to(raw_body, 'UTF8'));
    message.data := body -> 'data';
    message.sent_type := left(hail.joined_fields(gateway.mapping -> 'type', body - 'data', message.data, ' '), 100);
    message.occurred_at := coalesce(hail.field_time(body -> (gateway.mapping ->> 'time'), gateway.mapping ->> 'time'),
                                    to_timestamp((headers ->> 'webhook-timestamp')::float8));
    RETURN message;
END
$$;
COMMENT ON FUNCTION hail.verify_standard_message(hail.gateways, bytea[], jsonb, text) IS
'An event by Standard Webhooks: its id and time are those of the headers, all of its body is signed. Errors: invalid_signature, invalid_value. Internal.';

CREATE FUNCTION hail.verify_query_message(gateway hail.gateways, secrets bytea[], headers jsonb, raw_body text) RETURNS hail.gateway_message
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    message hail.gateway_message;
    mapping jsonb := gateway.mapping;
    body jsonb := hail.read_gateway_body(raw_body);
    keys text[] := hail.signed_keys(mapping, body -> 'data');
    signed text := coalesce(hail.sorted_query(body -> 'data', keys), '');
BEGIN
    PERFORM hail.verify_query(secrets, signed, headers ->> (mapping ->> 'header'));
    message.data := hail.only_signed(body -> 'data', keys);
    message.event_id := hail.joined_fields(mapping -> 'event_id', message.data, '{}', ':');
    message.digest := sha256(convert_to(signed, 'UTF8'));
    message.sent_type := left(hail.joined_fields(mapping -> 'type', message.data, body - 'data', ' '), 100);
    message.occurred_at := hail.field_time(message.data -> (mapping ->> 'time'), mapping ->> 'time');
    IF message.event_id IS NULL THEN
        PERFORM hail.refuse_signature('It does not cover the id of the event.');
    ELSIF length(message.event_id) > 300 THEN
        PERFORM hail.fail('invalid_value', 'the id of the event must have at most 300 characters', 'body');
    ELSIF mapping ->> 'time' IS NOT NULL AND message.occurred_at IS NULL THEN
        PERFORM hail.refuse_signature(format('It does not cover %s, the time of the event.', mapping ->> 'time'));
    ELSIF message.occurred_at NOT BETWEEN hail.clock() - gateway.tolerance AND hail.clock() + gateway.tolerance THEN
        PERFORM hail.refuse_signature(format('%s is too far from now.', mapping ->> 'time'));
    END IF;
    RETURN message;
END
$$;
COMMENT ON FUNCTION hail.verify_query_message(hail.gateways, bytea[], jsonb, text) IS
'An event whose data is signed as a sorted query. Only signed fields are believed, so id, time, payment and amount must be among them; what kind of event it is may stand beside the data. Errors: invalid_signature, invalid_value. Internal.';

CREATE FUNCTION hail.mask_digits(value text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN regexp_replace(value, '[0-9](?:[ -]?[0-9]){6,}', '****', 'g');
COMMENT ON FUNCTION hail.mask_digits(text) IS 'A text without numbers of seven digits and more, such as those of cards and bank accounts. Internal.';

CREATE FUNCTION hail.understand_message(gateway hail.gateways, message hail.gateway_message) RETURNS hail.gateway_message
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mapping jsonb := gateway.mapping;
    known CONSTANT text[] := ARRAY['payment.pending', 'payment.succeeded', 'payment.failed', 'payment.expired', 'refund.succeeded',
                                   'refund.failed', 'charge.disputed', 'payout.settled', 'payout.failed', 'payout.returned'];
    digits integer := 0;
BEGIN
    message.type := coalesce(mapping -> 'types' ->> message.sent_type, message.sent_type);
    IF message.type IS NULL THEN
        PERFORM hail.fail('invalid_value', 'the event does not say what it is', 'type');
    ELSIF message.type <> ALL (known) THEN
        message.type := NULL;
        RETURN message;
    END IF;
    message.currency := hail.field_text(message.data -> (mapping ->> 'currency'), mapping ->> 'currency', 3);
    IF mapping ->> 'amounts' = 'major' THEN
        -- of a currency that we do not know, the amount does not matter: it fits no payment
        digits := (SELECT c.minor_digits FROM hail.currencies c WHERE c.code = message.currency);
    END IF;
    message.intent_id := hail.field_uuid(message.data -> (mapping ->> 'intent'));
    message.refund_id := hail.field_uuid(message.data -> (mapping ->> 'refund'));
    message.payout_id := hail.field_uuid(message.data -> (mapping ->> 'payout'));
    message.reference := hail.field_text(message.data -> (mapping ->> 'reference'), mapping ->> 'reference', 200);
    message.amount := hail.field_amount(message.data -> (mapping ->> 'amount'), mapping ->> 'amount', digits);
    message.fee := hail.field_amount(message.data -> (mapping ->> 'fee'), mapping ->> 'fee', digits);
    message.reason := nullif(btrim(left(hail.mask_digits(message.data ->> (mapping ->> 'reason')), 200)), ''); -- the head of a number cut off is one too
    RETURN message;
END
$$;
COMMENT ON FUNCTION hail.understand_message(hail.gateways, hail.gateway_message) IS
'The fields of a verified event, as the gateway''s mapping says; type NULL: one we have no use for. Error invalid_value that names the field. Internal.';

-- Effects. Each returns what became of the event; its row is locked by being new.

CREATE TYPE hail.gateway_outcome AS (outcome text, remark text, intent_id uuid, refund_id uuid, withdrawal_id uuid, transaction_id uuid);
COMMENT ON TYPE hail.gateway_outcome IS 'What an event of a gateway has done.';

CREATE FUNCTION hail.intent_of_message(gateway hail.gateways, message hail.gateway_message) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT i.id FROM hail.payment_intents i
        WHERE i.gateway = gateway.name AND CASE WHEN message.intent_id IS NOT NULL THEN i.id = message.intent_id
                                                ELSE i.gateway_reference = message.reference END);
COMMENT ON FUNCTION hail.intent_of_message(hail.gateways, hail.gateway_message) IS
'The payment of this gateway that an event is about: by our id, or, when it tells none, by the gateway''s. Not locked. Internal.';

CREATE FUNCTION hail.misfit(intent hail.payment_intents, message hail.gateway_message) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN message.amount <> intent.amount THEN format('the amount is %s, not %s', message.amount, intent.amount)
            WHEN message.currency <> intent.currency THEN format('the currency is %s, not %s', message.currency, intent.currency)
            WHEN message.reference <> intent.gateway_reference THEN format('the gateway has called it %s before', intent.gateway_reference)
            WHEN EXISTS (SELECT FROM hail.payment_intents i WHERE i.gateway = intent.gateway AND i.gateway_reference = message.reference
                         AND i.id <> intent.id) THEN 'the gateway calls another payment so' END;
COMMENT ON FUNCTION hail.misfit(hail.payment_intents, hail.gateway_message) IS
'Why news of a payment can''t be about this one; NULL: it fits. Internal.';

CREATE FUNCTION hail.apply_payment_news(intent hail.payment_intents, message hail.gateway_message) RETURNS hail.gateway_outcome
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule hail.payment_transitions;
    misfit text := hail.misfit(intent, message);
    result hail.gateway_outcome;
BEGIN
    SELECT * INTO STRICT rule FROM hail.payment_transitions t
    WHERE t.from_state = intent.state AND t.news = split_part(message.type, '.', 2);
    result.intent_id := intent.id;
    result.outcome := 'refused';
    IF misfit IS NOT NULL THEN
        result.remark := misfit;
    ELSIF rule.news <> 'succeeded' AND message.occurred_at < intent.gateway_at THEN
        result.outcome := 'ignored';
        result.remark := 'older than what is known';
    ELSIF rule.outcome <> 'applied' THEN
        result.outcome := rule.outcome;
        result.remark := rule.remark;
    ELSIF rule.to_state <> 'succeeded' THEN
        result.outcome := 'applied';
        PERFORM hail.close_intent(intent, rule.to_state, message.reference, message.occurred_at, message.reason);
    ELSIF message.amount IS NULL OR message.currency IS NULL THEN
        result.remark := 'it does not tell amount and currency';
    ELSIF message.fee > message.amount THEN
        result.remark := 'the fee is above the amount';
    ELSE
        result.outcome := 'applied';
        intent := hail.succeed_intent(intent, message.reference, coalesce(message.fee, 0), message.occurred_at, NULL, NULL);
        result.transaction_id := intent.transaction_id;
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.apply_payment_news(hail.payment_intents, hail.gateway_message) IS
'News of a locked payment, as hail.payment_transitions says; amount, currency and the gateway''s name for it must fit. Internal.';

CREATE FUNCTION hail.apply_dispute(intent hail.payment_intents, message hail.gateway_message) RETURNS hail.gateway_outcome
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    result hail.gateway_outcome;
BEGIN
    result.intent_id := intent.id;
    result.outcome := 'refused';
    IF intent.succeeded_at IS NULL THEN
        result.remark := 'what is disputed has not been paid';
    ELSIF message.amount IS NULL OR message.amount = 0 OR message.currency IS DISTINCT FROM intent.currency THEN
        result.remark := 'it does not tell an amount in the currency of the payment';
    ELSIF message.amount > intent.amount - intent.refunded - intent.disputed THEN
        result.remark := 'more than is left of the payment';
    ELSE
        result.outcome := 'applied';
        result.transaction_id := hail.charge_back(intent, message.amount, message.reason);
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.apply_dispute(hail.payment_intents, hail.gateway_message) IS
'The gateway has taken a part of a locked payment back. Internal.';

CREATE FUNCTION hail.apply_refund_news(gateway hail.gateways, message hail.gateway_message) RETURNS hail.gateway_outcome
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    succeeded boolean := message.type = 'refund.succeeded';
    intent hail.payment_intents;
    refund hail.payment_refunds;
    result hail.gateway_outcome;
BEGIN
    -- By our id, by the gateway's, or, when it tells neither: the oldest of this amount that waits for an answer.
    SELECT * INTO refund FROM hail.payment_refunds r WHERE r.gateway = gateway.name
      AND CASE WHEN message.refund_id IS NOT NULL THEN r.id = message.refund_id ELSE r.gateway_reference = message.reference END;
    result.intent_id := coalesce(refund.intent_id, hail.intent_of_message(gateway, message));
    IF result.intent_id IS NULL OR message.refund_id IS NOT NULL AND refund.id IS NULL THEN
        result.intent_id := NULL;
        result.outcome := 'unmatched';
        result.remark := 'no such refund';
        RETURN result;
    END IF;
    intent := hail.lock_intent(result.intent_id);
    SELECT * INTO refund FROM hail.payment_refunds r
    WHERE CASE WHEN refund.id IS NOT NULL THEN r.id = refund.id
               ELSE r.intent_id = intent.id AND r.state = 'requested' AND r.amount = message.amount END
    ORDER BY r.id LIMIT 1 FOR NO KEY UPDATE;
    result.refund_id := refund.id;
    result.outcome := 'refused';
    IF refund.id IS NULL THEN
        result.outcome := 'unmatched';
        result.remark := 'no such refund was asked for';
    ELSIF refund.state = split_part(message.type, '.', 2) THEN
        result.outcome := 'ignored';
        result.remark := 'nothing new';
    ELSIF refund.state <> 'requested' THEN
        result.remark := format('it %s before', refund.state);
    ELSIF message.amount <> refund.amount THEN
        result.remark := format('the amount is %s, not %s', message.amount, refund.amount);
    ELSIF message.currency <> intent.currency THEN
        result.remark := format('the currency is %s, not %s', message.currency, intent.currency);
    ELSIF succeeded AND message.fee > refund.amount THEN
        result.remark := 'the fee is above the amount';
    ELSE
        result.outcome := 'applied';
        result.transaction_id := hail.finish_refund(intent, refund, succeeded, message.reference, coalesce(message.fee, 0), message.reason);
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.apply_refund_news(hail.gateways, hail.gateway_message) IS
'The gateway has answered a refund. One that was not asked for here is unmatched. Internal.';

CREATE FUNCTION hail.apply_payout_news(message hail.gateway_message) RETURNS hail.gateway_outcome
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payout hail.withdrawals;
    result hail.gateway_outcome;
BEGIN
    SELECT * INTO payout FROM hail.withdrawals w WHERE w.id = message.payout_id;
    result.withdrawal_id := payout.id;
    result.outcome := 'applied';
    IF payout.id IS NULL THEN
        result.outcome := 'unmatched';
        result.remark := 'no such withdrawal';
    ELSIF message.amount <> payout.amount OR message.currency <> payout.currency THEN
        result.outcome := 'refused';
        result.remark := format('it tells %s %s, not %s %s', message.amount, message.currency, payout.amount, payout.currency);
    ELSIF message.type = 'payout.settled' THEN
        PERFORM hail.withdrawal_settled(payout.id, message.reference);
    ELSIF message.type = 'payout.failed' THEN
        PERFORM hail.withdrawal_failed(payout.id, coalesce(message.reason, 'the gateway says so'));
    ELSE
        PERFORM hail.withdrawal_returned(payout.id, coalesce(message.reason, 'the gateway says so'));
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION hail.apply_payout_news(hail.gateway_message) IS 'A withdrawal was paid out, or was not. Internal.';

CREATE FUNCTION hail.apply_gateway_message(gateway hail.gateways, message hail.gateway_message) RETURNS hail.gateway_outcome
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    result hail.gateway_outcome;
    found uuid;
BEGIN
    IF message.type IS NULL THEN
        result.outcome := 'ignored';
        result.remark := 'an unknown type';
        RETURN result;
    ELSIF message.type LIKE 'payout.%' THEN
        RETURN hail.apply_payout_news(message);
    ELSIF message.type LIKE 'refund.%' THEN
        RETURN hail.apply_refund_news(gateway, message);
    END IF;
    found := hail.intent_of_message(gateway, message);
    IF found IS NULL THEN
        result.outcome := 'unmatched';
        result.remark := 'no such payment';
        RETURN result;
    ELSIF message.type = 'charge.disputed' THEN
        RETURN hail.apply_dispute(hail.lock_intent(found), message);
    END IF;
    RETURN hail.apply_payment_news(hail.lock_intent(found), message);
EXCEPTION WHEN OTHERS THEN
    -- What the rules do not allow (a closed wallet, a withdrawal that is not approved) is kept for somebody to see; what can be
    -- tried again, or is broken, is an error.
    IF SQLSTATE !~ '^UH0[02-6]' THEN
        RAISE;
    END IF;
    RETURN ROW('refused', SQLERRM, found, NULL, NULL, NULL)::hail.gateway_outcome;
END
$$;
COMMENT ON FUNCTION hail.apply_gateway_message(hail.gateways, hail.gateway_message) IS
'Do what a verified event that came for the first time says. Lock order: trip, payment, refund, accounts. Internal.';

CREATE FUNCTION hail.note_repeated_event(gateway hail.gateways, message hail.gateway_message, OUT outcome text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept hail.gateway_events;
BEGIN
    UPDATE hail.gateway_events e
    SET repeats = e.repeats + (e.digest = message.digest)::integer, conflicts = e.conflicts + (e.digest <> message.digest)::integer,
        resolved_at = CASE WHEN e.digest = message.digest THEN e.resolved_at END
    WHERE e.gateway = gateway.name AND e.event_id = message.event_id RETURNING e.* INTO STRICT kept;
    outcome := CASE WHEN kept.digest = message.digest THEN kept.outcome ELSE 'refused' END;
END
$$;
COMMENT ON FUNCTION hail.note_repeated_event(hail.gateways, hail.gateway_message) IS
'Count an event that came again: what became of it the first time; refused when its content is another. Internal.';

CREATE FUNCTION hail.receive_gateway_event(gateway text, headers jsonb, raw_body text,
                                           OUT event_id text, OUT outcome text, OUT replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sender hail.gateways;
    secrets bytea[];
    message hail.gateway_message;
    result hail.gateway_outcome;
BEGIN
    SELECT * INTO sender FROM hail.gateways g WHERE g.name = receive_gateway_event.gateway;
    SELECT array_agg(s.secret) INTO secrets FROM hail.gateway_secrets s
    WHERE s.gateway = sender.name AND coalesce(s.expires_at > hail.clock(), true);
    IF sender.dialect = 'sorted_query' THEN
        message := hail.verify_query_message(sender, secrets, headers, raw_body);
    ELSE
        message := hail.verify_standard_message(sender, secrets, headers, raw_body); -- of a gateway that there is not, too
    END IF;
    message := hail.understand_message(sender, message);
    -- Who comes at the same time with the same event waits here until this transaction has ended.
    INSERT INTO hail.gateway_events AS e (gateway, event_id, type, digest, payload, outcome, occurred_at, received_at)
    VALUES (sender.name, message.event_id, coalesce(message.sent_type, ''), message.digest,
            jsonb_strip_nulls(jsonb_build_object('intent_id', message.intent_id, 'refund_id', message.refund_id,
                'withdrawal_id', message.payout_id, 'reference', message.reference, 'amount', message.amount, 'currency', message.currency,
                'fee', message.fee, 'reason', message.reason)),
            'ignored', message.occurred_at, hail.clock())
    ON CONFLICT ON CONSTRAINT gateway_events_pkey DO NOTHING;
    replayed := NOT FOUND;
    event_id := message.event_id;
    IF replayed THEN
        outcome := hail.note_repeated_event(sender, message);
        RETURN;
    END IF;
    result := hail.apply_gateway_message(sender, message);
    outcome := result.outcome;
    UPDATE hail.gateway_events e
    SET outcome = result.outcome, remark = left(result.remark, 500), intent_id = result.intent_id, refund_id = result.refund_id,
        withdrawal_id = result.withdrawal_id, transaction_id = result.transaction_id
    WHERE e.gateway = sender.name AND e.event_id = message.event_id;
END
$$;
COMMENT ON FUNCTION hail.receive_gateway_event(text, jsonb, text) IS
'An event of a gateway: its name, the request''s headers (an object, names in lower case), the raw body. The signature is who it is from. The event is kept and takes effect once, in one transaction; outcome: applied, ignored (unknown type, nothing new, older than what is known), refused (does not fit the payment, out of order, or an id that came with another content) or unmatched (no such payment, refund or withdrawal): none of them is an error, sending it again changes nothing. Errors: invalid_signature (unknown gateway, forged, altered, or too old: see the hint), invalid_value (body, or the field at fault).';
GRANT EXECUTE ON FUNCTION hail.receive_gateway_event(text, jsonb, text) TO hail_front;

-- What administrators see

CREATE FUNCTION hail.list_gateway_events(gateway text DEFAULT NULL, outcome text[] DEFAULT NULL, intent_id uuid DEFAULT NULL,
                                         unresolved boolean DEFAULT false, max_results integer DEFAULT 20, cursor text DEFAULT NULL,
                                         OUT event hail.gateway_events, OUT next_cursor text) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    scope text := format('events of %s that were %s of %s, open %s', gateway, outcome, intent_id, unresolved);
    found hail.gateway_events;
    n integer := 0;
BEGIN
    PERFORM hail.require_admin();
    IF coalesce(max_results, 0) NOT BETWEEN 1 AND 100 THEN
        PERFORM hail.fail('invalid_value', 'a page has 1 to 100 events', 'max_results');
    ELSIF cardinality(outcome) NOT BETWEEN 1 AND 20 OR (outcome <@ ARRAY['applied', 'ignored', 'refused', 'unmatched']) IS FALSE THEN
        PERFORM hail.fail('invalid_value', 'outcome is applied, ignored, refused or unmatched', 'outcome');
    END IF;
    -- The place in the list is a hash of the key where a trip's has its id.
    FOR found IN EXECUTE format('SELECT e.* FROM hail.gateway_events e WHERE %s ORDER BY e.received_at DESC, hail.event_place(e) DESC LIMIT %s',
        concat_ws(' AND ', 'true', 'e.gateway = ' || quote_literal(gateway), 'e.intent_id = ' || quote_literal(intent_id),
                  'e.outcome = ANY (' || quote_literal(outcome::text) || '::text[])',
                  CASE WHEN unresolved THEN 'e.resolved_at IS NULL AND (e.outcome IN (''refused'', ''unmatched'') OR e.conflicts > 0)' END,
                  hail.after_place(hail.cursor_place(cursor, scope), 'e.received_at', 'hail.event_place(e)')), max_results + 1) LOOP
        IF n > 0 THEN
            next_cursor := CASE WHEN n = max_results
                                THEN hail.cursor_text(hail.trip_place((event).received_at, hail.event_place(event)), scope) END;
            RETURN NEXT;
        END IF;
        event := found;
        n := n + 1;
    END LOOP;
    IF n BETWEEN 1 AND max_results THEN
        next_cursor := NULL;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION hail.list_gateway_events(text, text[], uuid, boolean, integer, text) IS
'A page of gateways'' events, newest first; unresolved: only those somebody must look at (refused, unmatched, or whose id came with another content). next_cursor, in the last row when more follow, gives the next page with the same filters. Administrators only. Errors: invalid_value (outcome, max_results, cursor).';

CREATE FUNCTION hail.event_place(event hail.gateway_events) RETURNS uuid
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN md5(event.gateway || ' ' || event.event_id)::uuid;
COMMENT ON FUNCTION hail.event_place(hail.gateway_events) IS 'Orders events that came at the same time. Internal.';

CREATE FUNCTION hail.resolve_gateway_event(gateway text, event_id text, note text) RETURNS hail.gateway_events
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept hail.gateway_events;
BEGIN
    PERFORM hail.require_admin();
    IF (length(btrim(note)) BETWEEN 1 AND 500) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'a note of 1 to 500 characters is needed', 'note');
    END IF;
    SELECT * INTO kept FROM hail.gateway_events e
    WHERE e.gateway = resolve_gateway_event.gateway AND e.event_id = resolve_gateway_event.event_id FOR NO KEY UPDATE;
    IF kept.event_id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such event', 'event_id');
    ELSIF kept.outcome NOT IN ('refused', 'unmatched') AND kept.conflicts = 0 THEN
        PERFORM hail.fail('wrong_state', 'there is nothing to resolve', 'event_id');
    END IF;
    UPDATE hail.gateway_events e SET resolved_at = hail.clock(), resolved_by = hail.current_subject(), resolution = btrim(note)
    WHERE e.gateway = kept.gateway AND e.event_id = kept.event_id RETURNING e.* INTO kept;
    RETURN kept;
END
$$;
COMMENT ON FUNCTION hail.resolve_gateway_event(text, text, text) IS
'Note that a refused or unmatched event, or a conflict, has been looked at, and what was done. It posts nothing. Administrators only. Errors: invalid_value (note), not_found, wrong_state.';
GRANT EXECUTE ON FUNCTION hail.list_gateway_events(text, text[], uuid, boolean, integer, text),
    hail.resolve_gateway_event(text, text, text) TO hail_admin;

CREATE FUNCTION hail.reconcile_payments(from_time timestamptz, to_time timestamptz)
RETURNS TABLE (check_name text, subject text, expected bigint, actual bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    -- somebody must look, whatever the day
    SELECT CASE e.outcome WHEN 'refused' THEN 'gateway_event_refused' WHEN 'unmatched' THEN 'gateway_event_unmatched' ELSE 'gateway_event_contents' END,
           e.gateway || ' ' || e.event_id, 0::bigint, coalesce((e.payload ->> 'amount')::bigint, 1)
    FROM hail.gateway_events e
    WHERE e.resolved_at IS NULL AND (e.outcome IN ('refused', 'unmatched') OR e.conflicts > 0)
    UNION ALL
    SELECT 'deposit_posted', i.id::text, i.amount, coalesce(p.amount, 0)
    FROM hail.payment_intents i
    LEFT JOIN LATERAL (SELECT sum(e.amount)::bigint AS amount FROM hail.ledger_entries e
                       WHERE e.transaction_id = i.transaction_id AND e.account_id = i.wallet_id AND e.direction = 'credit') AS p ON true
    WHERE i.succeeded_at >= from_time AND i.succeeded_at < to_time AND i.purpose = 'deposit'
      AND coalesce(p.amount, 0) <> i.amount
    UNION ALL
    SELECT 'payment_refunds', i.id::text, i.refunding + i.refunded, coalesce(r.amount, 0)
    FROM hail.payment_intents i
    LEFT JOIN LATERAL (SELECT sum(r.amount)::bigint AS amount FROM hail.payment_refunds r
                       WHERE r.intent_id = i.id AND r.state <> 'failed') AS r ON true
    WHERE i.succeeded_at >= from_time AND i.succeeded_at < to_time AND coalesce(r.amount, 0) <> i.refunding + i.refunded
    UNION ALL
    SELECT 'refund_hold', r.id::text, r.amount, coalesce(h.amount, 0)::bigint
    FROM hail.payment_refunds r LEFT JOIN hail.holds h ON h.id = r.hold_id AND h.status = 'held'
    WHERE r.state = 'requested' AND r.hold_id IS NOT NULL AND h.amount IS DISTINCT FROM r.amount;
END
$$;
COMMENT ON FUNCTION hail.reconcile_payments(timestamptz, timestamptz) IS
'Payments compared with the ledger: deposits of a period and their refunds with what was posted, open refunds with their holds, and all events that somebody must look at. Part of hail.reconcile(). Internal.';

CREATE FUNCTION hail.reconcile_gateways(day date)
RETURNS TABLE (check_name text, subject text, expected bigint, actual bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(hail.current_role_name(), '') <> 'analyst' THEN
        PERFORM hail.require_admin();
    END IF;
    RETURN QUERY SELECT * FROM hail.reconcile_payments(day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
END
$$;
COMMENT ON FUNCTION hail.reconcile_gateways(date) IS
'The part of hail.reconcile() that is about payments: deposits of a day (UTC) and their refunds compared with what was posted, open refunds with their holds, and all events that somebody must look at. No rows: all well. For administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.reconcile_gateways(date) TO hail_admin, hail_analyst;

-- Erasing

CREATE FUNCTION hail.erase_payment_words(user_id uuid, OUT words bigint, OUT events bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    intents uuid[];
    refunds uuid[];
    trips uuid[];
    signals uuid[];
    n bigint;
BEGIN
    PERFORM hail.begin_erasure();
    IF NOT EXISTS (SELECT FROM hail.users u WHERE u.id = erase_payment_words.user_id) THEN
        PERFORM hail.fail('not_found', 'user does not exist', 'user_id');
    END IF;
    intents := ARRAY(SELECT i.id FROM hail.payment_intents i WHERE i.user_id = erase_payment_words.user_id);
    refunds := ARRAY(SELECT r.id FROM hail.payment_refunds r WHERE r.intent_id = ANY (intents));
    trips := ARRAY(SELECT t.id FROM hail.trips t WHERE t.customer_id = erase_payment_words.user_id);
    signals := ARRAY(SELECT s.id FROM hail.fraud_signals s WHERE s.user_id = erase_payment_words.user_id);
    -- Trips before payments before the rest, as everybody locks them; what is still open keeps its words.
    PERFORM FROM hail.trips t WHERE t.id = ANY (trips) ORDER BY t.id FOR NO KEY UPDATE;
    PERFORM FROM hail.payment_intents i WHERE i.id = ANY (intents) ORDER BY i.id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM hail.payment_intents i WHERE i.id = ANY (intents) AND i.state IN ('created', 'pending', 'refunding')) THEN
        PERFORM hail.fail('wrong_state', 'a payment is under way', 'user_id', 'Wait until its gateway has answered, or it has expired.');
    END IF;
    UPDATE hail.payment_intents i SET reason = 'erased' WHERE i.id = ANY (intents) AND i.reason <> 'erased';
    GET DIAGNOSTICS words = ROW_COUNT;
    UPDATE hail.payment_refunds r SET reason = 'erased', failure = CASE WHEN r.failure IS NOT NULL THEN 'erased' END
    WHERE r.id = ANY (refunds) AND (r.reason <> 'erased' OR r.failure <> 'erased');
    GET DIAGNOSTICS n = ROW_COUNT;
    words := words + n;
    UPDATE hail.gateway_events e SET payload = e.payload - 'reason', resolution = CASE WHEN e.resolution IS NOT NULL THEN 'erased' END
    WHERE e.intent_id = ANY (intents) AND (e.payload ? 'reason' OR e.resolution <> 'erased');
    GET DIAGNOSTICS n = ROW_COUNT;
    words := words + n;
    UPDATE hail.trip_payments p SET reason = 'erased' WHERE p.trip_id = ANY (trips) AND p.reason <> 'erased';
    GET DIAGNOSTICS n = ROW_COUNT;
    words := words + n;
    UPDATE hail.trip_adjustments a SET reason = 'erased' WHERE a.trip_id = ANY (trips) AND a.reason <> 'erased';
    GET DIAGNOSTICS n = ROW_COUNT;
    words := words + n;
    UPDATE hail.fraud_signals s SET reason = 'erased' WHERE s.id = ANY (signals) AND s.reason <> 'erased';
    GET DIAGNOSTICS n = ROW_COUNT;
    words := words + n;
    UPDATE hail.request_keys k SET request = 'erased'
    WHERE (k.principal = erase_payment_words.user_id OR k.result = ANY (intents || refunds)) AND k.request <> 'erased';
    GET DIAGNOSTICS n = ROW_COUNT;
    words := words + n;
    UPDATE hail.events e SET payload = e.payload - 'reason'
    WHERE (e.aggregate_type = 'payment_intent' AND e.aggregate_id = ANY (intents)
           OR e.aggregate_type = 'fraud_signal' AND e.aggregate_id = ANY (signals)
           OR e.aggregate_type = 'trip' AND e.aggregate_id = ANY (trips) AND e.type IN ('PaymentFailed', 'TripRefunded', 'TollAdded'))
      AND e.payload ? 'reason';
    GET DIAGNOSTICS events = ROW_COUNT;
    PERFORM hail.write_event('erasure', hail.uuid7(), 1, 'PaymentWordsErased', jsonb_build_object(
        'user_id', erase_payment_words.user_id, 'words', words, 'events', events));
END
$$;
COMMENT ON FUNCTION hail.erase_payment_words(uuid) IS
'Erase what was written about a user''s payments, on the user''s request: reasons of deposits, charges, refunds, tolls and of decisions about signs of fraud, in rows, events and keys of requests (a repeat of such a request is then idempotency_mismatch). Amounts, states and the ledger stay; hail.erase_payout_details() is for withdrawals. Writes event PaymentWordsErased. Returns how many rows and events had some. Administrators only. Errors: not_found, wrong_state (a payment is under way).';
GRANT EXECUTE ON FUNCTION hail.erase_payment_words(uuid) TO hail_admin;
