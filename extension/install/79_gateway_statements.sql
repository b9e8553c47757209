-- 79_gateway_statements: what gateways say they have taken and paid, compared with the ledger (src/ledger/REPORTS.md)

INSERT INTO hail.account_kinds (kind, has_owner, floor) VALUES ('GATEWAY_DIFFERENCES', false, NULL);
INSERT INTO hail.entry_templates (template, leg, account_kind, owner, direction, amount, description) VALUES
    ('gateway_difference_gain', 1, 'GATEWAY_CLEARING',    NULL, 'debit',  'amount', 'By its statement the gateway owes more'),
    ('gateway_difference_gain', 2, 'GATEWAY_DIFFERENCES', NULL, 'credit', 'amount', 'than was recorded'),
    ('gateway_difference_loss', 1, 'GATEWAY_DIFFERENCES', NULL, 'debit',  'amount', 'By its statement the gateway owes less'),
    ('gateway_difference_loss', 2, 'GATEWAY_CLEARING',    NULL, 'credit', 'amount', 'than was recorded');

CREATE TABLE hail.gateway_statements (
    id        uuid PRIMARY KEY DEFAULT hail.uuid7(),
    gateway   text NOT NULL,
    name      text CHECK (length(name) BETWEEN 1 AND 200),
    sha256    bytea NOT NULL,
    from_time timestamptz,
    to_time   timestamptz,
    loaded_by text NOT NULL,
    loaded_at timestamptz NOT NULL,
    UNIQUE (gateway, sha256)
);
COMMENT ON TABLE hail.gateway_statements IS 'Files of gateways that were loaded. Append-only.';
COMMENT ON COLUMN hail.gateway_statements.from_time IS 'The first and the last time (to_time) that its lines name: the period it is about. NULL: it has no good line.';
CREATE TABLE hail.gateway_statement_lines (
    statement_id uuid REFERENCES hail.gateway_statements (id),
    line         integer,
    gateway      text NOT NULL,
    type         text NOT NULL CHECK (type IN ('payment', 'refund', 'payout', 'chargeback', 'fee', 'adjustment')),
    reference    text NOT NULL,
    amount       bigint NOT NULL,
    fee          bigint NOT NULL,
    currency     text NOT NULL,
    at           timestamptz NOT NULL,
    settled_at   timestamptz,
    PRIMARY KEY (statement_id, line),
    UNIQUE (gateway, reference, type, currency, amount, fee, at)
);
COMMENT ON TABLE hail.gateway_statement_lines IS
'The good lines of statements, each once, whichever files it is in. Amounts in minor units: what was paid, refunded, paid out, disputed or taken as a fee; adjustments below zero are to the platform''s loss. fee: what the gateway kept besides. Append-only.';
CREATE TABLE hail.gateway_statement_faults (
    statement_id uuid REFERENCES hail.gateway_statements (id),
    line         integer,
    reason       text NOT NULL,
    content      text NOT NULL,
    PRIMARY KEY (statement_id, line)
);
COMMENT ON TABLE hail.gateway_statement_faults IS
'Lines that were not loaded, and why. content: as it stands, its first 300 characters, long numbers masked. Append-only.';
CREATE TABLE hail.gateway_decisions (
    id             uuid PRIMARY KEY DEFAULT hail.uuid7(),
    statement_id   uuid NOT NULL REFERENCES hail.gateway_statements (id),
    finding        text NOT NULL,
    type           text NOT NULL,
    reference      text,
    currency       text NOT NULL,
    note           text NOT NULL CHECK (length(note) BETWEEN 1 AND 1000),
    adjustment     bigint NOT NULL,
    transaction_id uuid,
    decided_by     text NOT NULL,
    decided_at     timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (statement_id, finding, type, reference, currency),
    CHECK ((adjustment = 0) = (transaction_id IS NULL))
);
COMMENT ON TABLE hail.gateway_decisions IS
'Differences between a statement and the ledger that somebody has looked at: who, when, why, and what was posted for it (adjustment above 0: the gateway owes more). Append-only.';
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['gateway_statements', 'gateway_statement_lines', 'gateway_statement_faults', 'gateway_decisions'] LOOP
        EXECUTE format('CREATE TRIGGER ledger_guard BEFORE UPDATE OR DELETE ON hail.%I FOR EACH ROW EXECUTE FUNCTION hail.ledger_guard_close()', t);
        EXECUTE format('CREATE TRIGGER ledger_guard_truncate BEFORE TRUNCATE ON hail.%I FOR EACH STATEMENT EXECUTE FUNCTION hail.ledger_guard_truncate()', t);
        EXECUTE format('ALTER TABLE hail.%I ENABLE ALWAYS TRIGGER ledger_guard, ENABLE ALWAYS TRIGGER ledger_guard_truncate', t);
        EXECUTE format('CREATE POLICY statements_admin ON hail.%I FOR SELECT TO hail_admin USING (hail.current_role_name() = ''admin'')', t);
        EXECUTE format('GRANT SELECT ON hail.%I TO hail_admin', t);
    END LOOP;
END
$$;

CREATE FUNCTION hail.parse_csv(csv text) RETURNS TABLE (line integer, fields text[], fault text, content text)
LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME', 'hail_parse_csv';
COMMENT ON FUNCTION hail.parse_csv(text) IS
'The records of comma-separated values (RFC 4180, strict; src/ledger/csv.h) with the numbers of the lines they begin in; of what is malformed the fault, and no fields. Internal.';

CREATE TYPE hail.statement_line AS (line integer, content text, fault text, type text, reference text, amount bigint, fee bigint,
                                    currency text, at timestamptz, settled_at timestamptz);
COMMENT ON TYPE hail.statement_line IS 'A line of a gateway''s statement as it was understood. Internal.';

CREATE FUNCTION hail.statement_amount(value text, digits integer) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN value ~ '^-?[0-9]{1,15}(\.[0-9]{1,4})?$' AND length(split_part(value, '.', 2)) <= digits
                     AND abs(value::numeric * 10::numeric ^ digits) <= 9007199254740992
           THEN trunc(value::numeric * 10::numeric ^ digits)::bigint END
$$;
COMMENT ON FUNCTION hail.statement_amount(text, integer) IS
'An amount with so many decimals at most, in minor units; NULL when it is none. Nothing is rounded. Internal.';

CREATE FUNCTION hail.statement_time(value text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF value ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$' THEN
        RETURN value::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION hail.statement_time(text) IS 'A time of ISO 8601 with its offset; NULL when it is none. Internal.';

CREATE FUNCTION hail.statement_columns(fields text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found jsonb;
    missing text;
BEGIN
    SELECT jsonb_object_agg(h.name, h.n) INTO found
    FROM (SELECT replace(lower(btrim(f.field)), ' ', '_') AS name, min(f.n) AS n, count(*) AS columns
          FROM unnest(fields) WITH ORDINALITY f (field, n) GROUP BY 1) h
    WHERE h.columns = 1 AND h.name IN ('reference', 'type', 'amount', 'amount_minor', 'fee', 'fee_minor', 'currency', 'time', 'settled');
    SELECT string_agg(c.name, ', ') INTO missing FROM unnest(ARRAY['reference', 'type', 'currency', 'time']) c (name) WHERE NOT coalesce(found ? c.name, false);
    IF missing IS NOT NULL THEN
        PERFORM hail.fail('invalid_value', 'the header does not name, or names twice: ' || missing, 'csv',
                          'Columns: reference, type, amount or amount_minor, fee or fee_minor, currency, time, settled; others are passed over.');
    ELSIF (found ? 'amount') = (found ? 'amount_minor') OR found ? 'fee' AND found ? 'fee_minor' THEN
        PERFORM hail.fail('invalid_value', 'the header must name amount or amount_minor, and not both', 'csv',
                          'amount has decimals of the currency, amount_minor is in minor units.');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION hail.statement_columns(text[]) IS 'Which column of a statement is where, by its header; error invalid_value. Internal.';

CREATE FUNCTION hail.read_statement_line(record hail.statement_line, fields text[], columns jsonb, width integer) RETURNS hail.statement_line
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    digits integer;
    amount text := btrim(fields[coalesce(columns -> 'amount', columns -> 'amount_minor')::integer]);
    fee text := btrim(coalesce(fields[coalesce(columns -> 'fee', columns -> 'fee_minor')::integer], ''));
    settled text := btrim(coalesce(fields[(columns -> 'settled')::integer], ''));
BEGIN
    IF record.fault IS NOT NULL THEN
        RETURN record;
    ELSIF cardinality(fields) <> width THEN
        record.fault := format('%s fields instead of %s', cardinality(fields), width);
        RETURN record;
    END IF;
    record.reference := btrim(fields[(columns -> 'reference')::integer]);
    record.type := lower(btrim(fields[(columns -> 'type')::integer]));
    record.currency := btrim(fields[(columns -> 'currency')::integer]);
    record.at := hail.statement_time(btrim(fields[(columns -> 'time')::integer]));
    record.settled_at := hail.statement_time(settled);
    digits := (SELECT c.minor_digits FROM hail.currencies c WHERE c.code = record.currency);
    record.amount := hail.statement_amount(amount, CASE WHEN columns ? 'amount' THEN digits ELSE 0 END);
    record.fee := hail.statement_amount(CASE fee WHEN '' THEN '0' ELSE fee END, CASE WHEN columns ? 'fee' THEN digits ELSE 0 END);
    record.fault := CASE
        WHEN length(record.reference) NOT BETWEEN 1 AND 200 THEN 'reference must have 1 to 200 characters'
        WHEN record.type NOT IN ('payment', 'refund', 'payout', 'chargeback', 'fee', 'adjustment') THEN 'unknown type'
        WHEN digits IS NULL THEN 'unknown currency'
        WHEN record.amount IS NULL THEN 'amount is no number of the currency''s units'
        WHEN record.fee IS NULL THEN 'fee is no number of the currency''s units'
        WHEN record.amount = 0 THEN 'amount is nothing'
        WHEN record.amount < 0 AND record.type = 'payment' THEN 'a payment has no amount below zero'
        WHEN record.at IS NULL THEN 'time is not ISO 8601 with an offset'
        WHEN settled <> '' AND record.settled_at IS NULL THEN 'settled is not ISO 8601 with an offset' END;
    -- what goes out is written with a minus by some, without by others; the type tells
    IF record.type <> 'adjustment' THEN
        record.amount := abs(record.amount);
    END IF;
    RETURN record;
END
$$;
COMMENT ON FUNCTION hail.read_statement_line(hail.statement_line, text[], jsonb, integer) IS
'A record of a statement, understood, or with its fault. Internal.';

CREATE FUNCTION hail.load_gateway_statement(gateway text, csv text, name text DEFAULT NULL,
    OUT statement_id uuid, OUT loaded integer, OUT duplicates integer, OUT faults integer, OUT replayed boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    header record;
    columns jsonb;
    lines hail.statement_line[];
    hash bytea;
BEGIN
    PERFORM hail.require_admin();
    IF NOT EXISTS (SELECT FROM hail.gateways g WHERE g.name = gateway) THEN
        PERFORM hail.fail('not_found', 'there is no such gateway', 'gateway');
    ELSIF coalesce(octet_length(csv), 0) NOT BETWEEN 1 AND 67108864 THEN
        PERFORM hail.fail('invalid_value', 'csv must have 1 byte to 64 MB', 'csv');
    ELSIF length(name) NOT BETWEEN 1 AND 200 THEN
        PERFORM hail.fail('invalid_value', 'name must have 1 to 200 characters', 'name');
    END IF;
    hash := sha256(convert_to(csv, 'UTF8'));
    -- The same file at once: the second one waits, and is answered as the one that came later.
    PERFORM pg_advisory_xact_lock(hashtextextended('hail.gateway_statement ' || gateway, 0));
    SELECT s.id INTO statement_id FROM hail.gateway_statements s WHERE s.gateway = gateway AND s.sha256 = hash;
    replayed := FOUND;
    IF NOT replayed THEN
        SELECT p.* INTO header FROM hail.parse_csv(csv) p ORDER BY p.line LIMIT 1;
        IF header.fault IS NOT NULL OR header.fields IS NULL THEN
            PERFORM hail.fail('invalid_value', 'the header is malformed: ' || coalesce(header.fault, 'there is none'), 'csv');
        END IF;
        columns := hail.statement_columns(header.fields);
        SELECT array_agg(hail.read_statement_line(ROW(p.line, p.content, p.fault, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::hail.statement_line,
                                                  p.fields, columns, cardinality(header.fields)) ORDER BY p.line)
        INTO lines FROM hail.parse_csv(csv) p WHERE p.line > header.line;
        INSERT INTO hail.gateway_statements AS s (gateway, name, sha256, from_time, to_time, loaded_by, loaded_at)
        SELECT gateway, name, hash, min(l.at), max(l.at), hail.ledger_principal(), hail.clock() FROM unnest(lines) l WHERE l.fault IS NULL
        RETURNING s.id INTO statement_id;
        INSERT INTO hail.gateway_statement_lines (statement_id, line, gateway, type, reference, amount, fee, currency, at, settled_at)
        SELECT statement_id, l.line, gateway, l.type, l.reference, l.amount, l.fee, l.currency, l.at, l.settled_at
        FROM unnest(lines) l WHERE l.fault IS NULL ORDER BY l.line ON CONFLICT DO NOTHING;
        INSERT INTO hail.gateway_statement_faults (statement_id, line, reason, content)
        SELECT statement_id, l.line, coalesce(l.fault, 'loaded before'), regexp_replace(left(l.content, 300), '[0-9]{6,}(?=[0-9]{4})', '******', 'g')
        FROM unnest(lines) l
        WHERE NOT EXISTS (SELECT FROM hail.gateway_statement_lines k WHERE k.statement_id = statement_id AND k.line = l.line);
    END IF;
    SELECT count(*) INTO loaded FROM hail.gateway_statement_lines k WHERE k.statement_id = statement_id;
    SELECT count(*) FILTER (WHERE f.reason = 'loaded before'), count(*) FILTER (WHERE f.reason <> 'loaded before')
    INTO duplicates, faults FROM hail.gateway_statement_faults f WHERE f.statement_id = statement_id;
END
$$;
COMMENT ON FUNCTION hail.load_gateway_statement(text, text, text) IS
'Load a statement of a gateway: comma-separated values with a header that names reference, type (payment, refund, payout, chargeback, fee, adjustment), amount (decimals of the currency) or amount_minor, fee or fee_minor, currency, time (ISO 8601 with offset), settled; other columns are passed over. Good lines are kept, each once; malformed ones are told in hail.gateway_statement_faults with line and reason, those loaded before as well. The same file again loads nothing (replayed). Administrators only. Errors: not_found (gateway), invalid_value (csv, name).';
GRANT EXECUTE ON FUNCTION hail.load_gateway_statement(text, text, text) TO hail_admin;

CREATE FUNCTION hail.known_to_gateway(statement hail.gateway_statements)
RETURNS TABLE (type text, reference text, currency text, amount bigint, fee bigint, at timestamptz, subject uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'payment', i.gateway_reference, i.currency, i.amount, i.fee, i.succeeded_at, i.id
    FROM hail.payment_intents i WHERE i.gateway = statement.gateway AND i.succeeded_at IS NOT NULL
    UNION ALL
    -- what a refund cost, where the gateway's event told it
    SELECT 'refund', r.gateway_reference, i.currency, r.amount,
           (SELECT sum(e.amount)::bigint FROM hail.ledger_transactions t JOIN hail.ledger_entries e ON e.transaction_id = t.id
            WHERE t.principal = 'system' AND t.idempotency_key = 'refund_fee:' || r.id AND e.direction = 'debit'), r.resolved_at, r.id
    FROM hail.payment_refunds r JOIN hail.payment_intents i ON i.id = r.intent_id WHERE r.gateway = statement.gateway AND r.state = 'succeeded'
    UNION ALL
    SELECT 'chargeback', i.gateway_reference, i.currency, i.disputed, NULL, NULL, i.id
    FROM hail.payment_intents i WHERE i.gateway = statement.gateway AND i.disputed > 0
    UNION ALL
    -- a withdrawal does not say which gateway pays it
    SELECT 'payout', w.payout_reference, w.currency, w.amount, NULL, NULL, w.id
    FROM hail.withdrawals w WHERE w.paid_at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION hail.known_to_gateway(hail.gateway_statements) IS
'What the statement of a gateway should tell: payments, refunds, disputes and payouts; at: NULL where its absence from a statement says nothing. Internal.';

CREATE FUNCTION hail.statement_findings(statement_id uuid)
RETURNS TABLE (finding text, line integer, type text, reference text, currency text, at_gateway bigint, in_ledger bigint,
               fee_at_gateway bigint, fee_in_ledger bigint, subject uuid, decision text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB'
AS $$
#variable_conflict use_column
DECLARE
    statement hail.gateway_statements;
BEGIN
    SELECT * INTO statement FROM hail.gateway_statements s WHERE s.id = statement_findings.statement_id;
    IF statement.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such statement', 'statement_id');
    END IF;
    RETURN QUERY
    WITH stated AS MATERIALIZED (
        SELECT l.type, l.reference, l.currency, min(l.line) AS line, sum(l.amount)::bigint AS amount, sum(l.fee)::bigint AS fee
        FROM hail.gateway_statement_lines l WHERE l.statement_id = statement.id GROUP BY l.type, l.reference, l.currency
    ), known AS MATERIALIZED (
        SELECT k.* FROM hail.known_to_gateway(statement) k
        WHERE k.at BETWEEN statement.from_time AND statement.to_time
           OR EXISTS (SELECT FROM stated s WHERE s.type = k.type AND s.reference = k.reference AND s.currency = k.currency)
    ), both_sides AS (
        SELECT CASE WHEN s.type IN ('fee', 'adjustment') THEN 'to_be_posted'
                    WHEN k.type IS NULL THEN 'not_in_ledger'
                    WHEN s.type IS NULL THEN 'not_at_gateway'
                    WHEN s.amount <> k.amount THEN 'amount'
                    WHEN k.fee IS NOT NULL AND s.fee <> k.fee OR k.fee IS NULL AND s.fee <> 0 THEN 'fee'
                    ELSE 'matched' END AS finding,
               s.line, coalesce(s.type, k.type) AS type, coalesce(s.reference, k.reference) AS reference, coalesce(s.currency, k.currency) AS currency,
               s.amount AS at_gateway, k.amount AS in_ledger, s.fee AS fee_at_gateway, k.fee AS fee_in_ledger, k.subject
        FROM stated s FULL JOIN known k ON k.type = s.type AND k.reference = s.reference AND k.currency = s.currency
    )
    SELECT b.*, d.note
    FROM both_sides b
    LEFT JOIN hail.gateway_decisions d ON d.statement_id = statement.id AND d.finding = b.finding AND d.type = b.type
         AND d.currency = b.currency AND d.reference IS NOT DISTINCT FROM b.reference
    -- what another statement of the gateway tells is not missing
    WHERE NOT (b.finding = 'not_at_gateway' AND EXISTS (
        SELECT FROM hail.gateway_statement_lines l WHERE l.gateway = statement.gateway AND l.reference = b.reference AND l.type = b.type))
    ORDER BY b.line, b.type, b.reference;
END
$$;
COMMENT ON FUNCTION hail.statement_findings(uuid) IS 'hail.match_gateway_statement() for whoever has been authorised. Internal.';

CREATE FUNCTION hail.match_gateway_statement(statement_id uuid)
RETURNS TABLE (finding text, line integer, type text, reference text, currency text, at_gateway bigint, in_ledger bigint,
               fee_at_gateway bigint, fee_in_ledger bigint, subject uuid, decision text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_admin();
    RETURN QUERY SELECT * FROM hail.statement_findings(statement_id);
END
$$;
COMMENT ON FUNCTION hail.match_gateway_statement(uuid) IS
'A statement compared with the ledger by type, reference and currency: matched; amount or fee (they differ); not_in_ledger (the gateway tells, we do not know); not_at_gateway (we know it, it is of the statement''s period, and no statement tells); to_be_posted (fees and adjustments of the gateway''s own). decision: what was noted about it. Administrators only. Error not_found.';

CREATE FUNCTION hail.gateway_statement_totals(statement_id uuid)
RETURNS TABLE (currency text, type text, lines bigint, at_gateway bigint, fees_at_gateway bigint, in_ledger bigint, fees_in_ledger bigint, difference bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT m.currency, m.type, count(*), coalesce(sum(m.at_gateway), 0)::bigint, coalesce(sum(m.fee_at_gateway), 0)::bigint,
           coalesce(sum(m.in_ledger), 0)::bigint, coalesce(sum(m.fee_in_ledger), 0)::bigint,
           (sum(CASE WHEN m.type IN ('payment', 'adjustment') THEN 1 ELSE -1 END * (coalesce(m.at_gateway, 0) - coalesce(m.in_ledger, 0))
                - coalesce(m.fee_at_gateway, 0) + coalesce(m.fee_in_ledger, 0)))::bigint
    FROM hail.match_gateway_statement(statement_id) m GROUP BY m.currency, m.type ORDER BY m.currency, m.type
$$;
COMMENT ON FUNCTION hail.gateway_statement_totals(uuid) IS
'A statement in sums by currency and type, at the gateway and in the ledger, minor units; difference: by so much the gateway owes more (below zero: less) than GATEWAY_CLEARING has. Administrators only. Error not_found.';

CREATE FUNCTION hail.decide_gateway_difference(statement_id uuid, finding text, type text, reference text, currency text, note text,
                                               adjustment bigint DEFAULT 0) RETURNS hail.gateway_decisions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    decision_id uuid := hail.uuid7();
    posted uuid;
    decision hail.gateway_decisions;
BEGIN
    PERFORM hail.require_admin();
    IF (length(note) BETWEEN 1 AND 1000) IS NOT TRUE THEN
        PERFORM hail.fail('invalid_value', 'note must have 1 to 1000 characters', 'note', 'Say why.');
    ELSIF adjustment IS NULL OR adjustment NOT BETWEEN -9007199254740992 AND 9007199254740992 THEN
        PERFORM hail.fail('invalid_value', 'adjustment must be an amount, or 0', 'adjustment');
    END IF;
    PERFORM FROM hail.gateway_statements s WHERE s.id = statement_id FOR NO KEY UPDATE;
    SELECT d.* INTO decision FROM hail.gateway_decisions d
    WHERE d.statement_id = statement_id AND d.finding = finding AND d.type = type AND d.currency = currency AND d.reference IS NOT DISTINCT FROM reference;
    IF decision.id IS NOT NULL THEN
        IF (decision.note, decision.adjustment) IS DISTINCT FROM (note, adjustment) THEN
            PERFORM hail.fail('already_exists', 'this difference has been decided', 'reference');
        END IF;
        RETURN decision;
    ELSIF finding = 'matched' OR NOT EXISTS (
        SELECT FROM hail.match_gateway_statement(statement_id) m
        WHERE m.finding = finding AND m.type = type AND m.currency = currency AND m.reference IS NOT DISTINCT FROM reference) THEN
        PERFORM hail.fail('not_found', 'the statement has no such difference', 'reference', 'See hail.match_gateway_statement().');
    END IF;
    IF adjustment <> 0 THEN
        posted := hail.post_template(CASE WHEN adjustment > 0 THEN 'gateway_difference_gain' ELSE 'gateway_difference_loss' END,
            'gateway_difference:' || decision_id, currency, jsonb_build_object('amount', abs(adjustment)),
            reference_type => 'gateway_decision', reference_id => decision_id, metadata => jsonb_build_object('statement', statement_id));
    END IF;
    INSERT INTO hail.gateway_decisions AS d (id, statement_id, finding, type, reference, currency, note, adjustment, transaction_id, decided_by, decided_at)
    VALUES (decision_id, statement_id, finding, type, reference, currency, note, adjustment, posted, hail.ledger_principal(), hail.clock())
    RETURNING d.* INTO decision;
    RETURN decision;
END
$$;
COMMENT ON FUNCTION hail.decide_gateway_difference(uuid, text, text, text, text, text, bigint) IS
'Note why a difference of hail.match_gateway_statement() is as it is, and, with an adjustment (minor units; above 0: the gateway owes more), post it: GATEWAY_CLEARING against GATEWAY_DIFFERENCES. Once; the same again returns the first. Administrators only. Errors: invalid_value (note, adjustment), not_found, already_exists.';
GRANT EXECUTE ON FUNCTION hail.match_gateway_statement(uuid), hail.gateway_statement_totals(uuid),
    hail.decide_gateway_difference(uuid, text, text, text, text, text, bigint) TO hail_admin;

-- Group statements of hail.reconcile().
CREATE FUNCTION hail.reconcile_statements(from_time timestamptz, to_time timestamptz) RETURNS SETOF hail.finding
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statement hail.gateway_statements;
BEGIN
    FOR statement IN SELECT s.* FROM hail.gateway_statements s WHERE s.to_time >= reconcile_statements.from_time AND s.to_time < reconcile_statements.to_time ORDER BY s.id LOOP
        RETURN QUERY
        SELECT 'gateway_statement', concat_ws(' ', statement.gateway, statement.name, m.finding, m.type, m.reference),
               coalesce(m.at_gateway, 0)::numeric, coalesce(m.in_ledger, 0)::numeric
        FROM hail.statement_findings(statement.id) m WHERE m.finding <> 'matched' AND m.decision IS NULL;
    END LOOP;
END
$$;
COMMENT ON FUNCTION hail.reconcile_statements(timestamptz, timestamptz) IS
'Findings of gateways'' statements that end in a period: differences that nobody has decided about. Internal.';
