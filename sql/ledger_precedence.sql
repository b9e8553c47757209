-- Of several faults of a posting the first of the documented order is told, by a posting alone and in batches: rights, key, shape,
-- key used before, accounts exist, closed, currency, amounts, balance, floors.
SELECT hail.set_clock('2026-04-03 09:00+00');
INSERT INTO hail.currencies (code, minor_digits, default_rounding) VALUES ('XPR', 2, 1), ('XPS', 2, 1);
INSERT INTO hail.users (id, name, role) SELECT ('acc10000-0000-7000-8000-00000000000' || n)::uuid, 'Precedence ' || n, 'customer' FROM generate_series(1, 3) n;
CREATE SCHEMA precedence;
CREATE TABLE precedence.accounts AS
    SELECT (hail.open_account('GATEWAY_CLEARING', NULL, 'XPR')).id AS bank, (hail.open_account('GATEWAY_CLEARING', NULL, 'XPS')).id AS other_bank,
           (hail.open_account('CUSTOMER_WALLET', 'acc10000-0000-7000-8000-000000000001', 'XPR')).id AS rich,
           (hail.open_account('CUSTOMER_WALLET', 'acc10000-0000-7000-8000-000000000002', 'XPR')).id AS poor,
           (hail.open_account('CUSTOMER_WALLET', 'acc10000-0000-7000-8000-000000000003', 'XPR')).id AS closed;
SELECT kind FROM precedence.accounts, hail.post_transaction('deposit', ARRAY[ROW(bank, 'debit', 1000), ROW(rich, 'credit', 1000)]::hail.entry_input[], 'precedence used');
SELECT closed_at IS NOT NULL AS closed FROM precedence.accounts a, hail.close_account(a.closed, 'test');
CREATE FUNCTION pg_temp.failed(call text, OUT state text, OUT field text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'SELECT ' || call;
    state := 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME;
    state := coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state || SQLERRM);
END $$;
-- The faults in their order, and what is told of each.
CREATE TABLE precedence.faults (n integer, fault text, told text);
INSERT INTO precedence.faults VALUES (2, 'key', 'idempotency_key_required idempotency_key'), (3, 'shape', 'invalid_value entries'), (4, 'used', 'idempotency_mismatch idempotency_key'),
    (5, 'missing', 'not_found account_id'), (6, 'closed', 'account_closed account_id'), (7, 'currency', 'currency_mismatch entries'), (8, 'amount', 'invalid_value amount'),
    (9, 'balance', 'unbalanced_transaction entries'), (10, 'floor', 'insufficient_balance account_id');
-- A posting of 10 from a wallet to the bank, with these faults: key, accounts and amounts (debits below 0).
CREATE FUNCTION precedence.posting(faults text[], OUT key text, OUT ids uuid[], OUT amounts bigint[]) LANGUAGE sql AS $$
    SELECT CASE WHEN 'key' = ANY (faults) THEN NULL WHEN 'used' = ANY (faults) THEN 'precedence used' ELSE 'precedence ' || array_to_string(faults, ' ') END,
           ARRAY[CASE WHEN 'closed' = ANY (faults) THEN closed WHEN 'floor' = ANY (faults) THEN poor ELSE rich END,
                 CASE WHEN 'missing' = ANY (faults) THEN 'acc10000-0000-7000-8000-00000000dead' WHEN 'currency' = ANY (faults) THEN other_bank ELSE bank END]
           || CASE WHEN 'shape' = ANY (faults) THEN ARRAY[rich, rich] ELSE '{}' END,
           ARRAY[-10, CASE WHEN 'amount' = ANY (faults) THEN 0 ELSE 10 END + CASE WHEN 'balance' = ANY (faults) AND NOT 'amount' = ANY (faults) THEN 1 ELSE 0 END]
           || CASE WHEN 'shape' = ANY (faults) THEN '{-1,1}'::bigint[] ELSE '{}' END
    FROM precedence.accounts $$;
CREATE FUNCTION precedence.told(how text, faults text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p record := precedence.posting(faults);
    state text; field text; item record;
BEGIN
    IF how = 'alone' THEN
        PERFORM hail.post_transaction('move', (SELECT array_agg(ROW(a, CASE WHEN m > 0 THEN 'credit' ELSE 'debit' END, abs(m))::hail.entry_input ORDER BY i)
                                               FROM unnest(p.ids, p.amounts) WITH ORDINALITY AS l (a, m, i)), p.key);
    ELSE
        SELECT * INTO item FROM hail.post_transactions(ARRAY[p.key], '{move}', array_fill(1, ARRAY[cardinality(p.ids)]), p.ids, p.amounts, apart => how = 'apart');
        IF item.error IS NOT NULL THEN
            RETURN concat_ws(' ', item.error, item.field);
        END IF;
    END IF;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, field = COLUMN_NAME;
    RETURN concat_ws(' ', coalesce((SELECT code FROM hail.error_codes() e WHERE e.sqlstate = state), state || SQLERRM), nullif(field, ''));
END $$;
-- Each fault alone, then all pairs (an account that is missing has no currency): those told otherwise. Then all at once,
-- all but the first, and so on.
SELECT f.n, f.fault, string_agg(how || ': ' || precedence.told(how, ARRAY[f.fault]), ', ' ORDER BY how) AS told FROM precedence.faults f, unnest('{alone,batch,apart}'::text[]) how GROUP BY 1, 2 ORDER BY 1;
SELECT count(*) AS pairs, count(*) FILTER (WHERE told <> expected) AS others, string_agg(concat_ws(' ', how, first, second, told), E'\n') FILTER (WHERE told <> expected) AS which
FROM (SELECT how, f.fault AS first, s.fault AS second, f.told AS expected, precedence.told(how, ARRAY[f.fault, s.fault]) AS told
      FROM unnest('{alone,batch,apart}'::text[]) how, precedence.faults f JOIN precedence.faults s ON s.n > f.n
      WHERE (f.fault, s.fault) NOT IN (('missing', 'currency'), ('key', 'used'))) t;
SELECT precedence.told('alone', (SELECT array_agg(fault ORDER BY n) FROM precedence.faults f WHERE f.n >= g AND (g > 5 OR f.fault <> 'currency'))) AS told
FROM generate_series(2, 10) g ORDER BY g;
-- Rights come before all: of whoever may call it and is no administrator.
CREATE ROLE precedence_nobody;
GRANT USAGE ON SCHEMA hail, precedence TO precedence_nobody;
GRANT SELECT ON precedence.accounts TO precedence_nobody;
GRANT EXECUTE ON FUNCTION hail.post_transaction(text, hail.entry_input[], text, text, uuid, jsonb, timestamptz) TO precedence_nobody;
GRANT EXECUTE ON FUNCTION hail.post_transactions(text[], text[], integer[], uuid[], bigint[], text[], uuid[], jsonb[], timestamptz[], boolean) TO precedence_nobody;
GRANT EXECUTE ON FUNCTION hail.error_codes() TO precedence_nobody;
SET ROLE precedence_nobody;
SELECT how, precedence.told(how, faults) FROM unnest('{alone,batch,apart}'::text[]) how, (VALUES (ARRAY['key', 'shape', 'missing']), (ARRAY['used']), (ARRAY['floor'])) f (faults) ORDER BY how, faults;
RESET ROLE;
-- A bad kind, time or word comes after the key, and before what the key was used for.
SELECT state, field FROM precedence.accounts a, LATERAL (VALUES
    (format($$ hail.post_transaction('1;', ARRAY[ROW(%L, 'debt', 1)]::hail.entry_input[], NULL) $$, rich)),
    (format($$ hail.post_transaction('1;', ARRAY[ROW(%L, 'debt', 1)]::hail.entry_input[], 'precedence used') $$, rich)),
    (format($$ hail.post_transaction('move', ARRAY[ROW(%L, 'debt', 1)]::hail.entry_input[], 'precedence used', effective_at => 'infinity') $$, rich)),
    (format($$ hail.post_transaction('move', ARRAY[ROW(%L, 'debt', 1)]::hail.entry_input[], 'precedence used') $$, rich))) s (call),
    LATERAL pg_temp.failed(call) f;
-- Nothing of all that is there but the deposit.
SELECT count(*) AS transactions FROM hail.ledger_transactions t WHERE t.idempotency_key LIKE 'precedence %';
SELECT posted FROM precedence.accounts, hail.balance(rich);
-- A currency that there is not has no accounts.
SELECT * FROM pg_temp.failed($$ hail.open_account('CUSTOMER_WALLET', 'acc10000-0000-7000-8000-000000000001', 'QQQ') $$);
SET client_min_messages = warning;
DROP OWNED BY precedence_nobody;
DROP ROLE precedence_nobody;
DROP SCHEMA precedence CASCADE;
RESET client_min_messages;
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
