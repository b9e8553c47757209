-- 78_ledger_chain: optional tamper evidence, a hash chain per account (src/ledger/REPORTS.md)
--
-- Made off the posting path, of periods that are complete: entries recorded before a moment, when all that ran at that
-- moment has ended. What is hashed survives dump and restore: no transaction ids of the server are in it.

CREATE TABLE hail.ledger_chain_steps (
    until    timestamptz PRIMARY KEY,
    entries  bigint NOT NULL,
    accounts bigint NOT NULL,
    head     bytea NOT NULL CHECK (length(head) = 32),
    made_at  timestamptz NOT NULL
);
COMMENT ON TABLE hail.ledger_chain_steps IS
'Periods that were chained: entries recorded before until, and not before the until of the step before. head: sha256 of the head before, until, and each account with the hash of its link, in the order of accounts. Append-only. Heads are worth keeping elsewhere.';
CREATE TABLE hail.ledger_chain (
    account_id uuid,
    until      timestamptz REFERENCES hail.ledger_chain_steps (until) DEFERRABLE INITIALLY DEFERRED,
    entries    bigint NOT NULL,
    hash       bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (account_id, until)
);
CREATE INDEX ledger_chain_until ON hail.ledger_chain USING brin (until) WITH (autosummarize = on);
COMMENT ON TABLE hail.ledger_chain IS
'The links of each account: sha256 of the hash of the link before (nothing for the first) and the sha256 of each of its entries in the period, in the order of time and id. Append-only.';
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['ledger_chain_steps', 'ledger_chain'] LOOP
        EXECUTE format('CREATE TRIGGER ledger_guard BEFORE UPDATE OR DELETE ON hail.%I FOR EACH ROW EXECUTE FUNCTION hail.ledger_guard_close()', t);
        EXECUTE format('CREATE TRIGGER ledger_guard_truncate BEFORE TRUNCATE ON hail.%I FOR EACH STATEMENT EXECUTE FUNCTION hail.ledger_guard_truncate()', t);
        EXECUTE format('ALTER TABLE hail.%I ENABLE ALWAYS TRIGGER ledger_guard, ENABLE ALWAYS TRIGGER ledger_guard_truncate', t);
        EXECUTE format('CREATE POLICY ledger_read ON hail.%I FOR SELECT TO hail_admin, hail_analyst USING (hail.current_role_name() IN (''admin'', ''analyst''))', t);
        EXECUTE format('GRANT SELECT ON hail.%I TO hail_admin, hail_analyst', t);
    END LOOP;
END
$$;

CREATE FUNCTION hail.microseconds(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT (extract(epoch FROM at) * 1000000)::bigint $$;
COMMENT ON FUNCTION hail.microseconds(timestamptz) IS 'Microseconds since 1970, whatever the session''s time zone. Internal.';

CREATE FUNCTION hail.entry_hash(e hail.ledger_entries, t hail.ledger_transactions) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sha256(convert_to(jsonb_build_array(e.id, e.transaction_id, e.account_id, e.direction, e.amount, e.currency, e.balance_after,
        (extract(epoch FROM e.created_at) * 1000000)::bigint, t.kind, t.principal, t.idempotency_key, t.reference_type, t.reference_id, t.reverses, t.metadata,
        (extract(epoch FROM t.effective_at) * 1000000)::bigint, (extract(epoch FROM t.created_at) * 1000000)::bigint)::text, 'UTF8'))
$$;
COMMENT ON FUNCTION hail.entry_hash(hail.ledger_entries, hail.ledger_transactions) IS
'sha256 of an entry and what its transaction is: a JSON array, in which no two entries are written the same. Internal.';

CREATE FUNCTION hail.links_of(since timestamptz, until timestamptz) RETURNS TABLE (account_id uuid, entries bigint, digests bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT h.account_id, count(*), string_agg(h.hash, ''::bytea ORDER BY h.created_at, h.id)
    FROM (SELECT e.account_id, e.created_at, e.id, hail.entry_hash(e, t) AS hash
          FROM hail.ledger_entries e LEFT JOIN hail.ledger_transactions t ON t.id = e.transaction_id
          WHERE e.created_at >= since AND e.created_at < until) h
    GROUP BY h.account_id;
END
$$;
COMMENT ON FUNCTION hail.links_of(timestamptz, timestamptz) IS 'The entries of a period by account, hashed one after the other. Internal.';

CREATE FUNCTION hail.step_head(before bytea, until timestamptz) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sha256(coalesce(before, ''::bytea) || int8send(hail.microseconds(until))
                  || coalesce((SELECT string_agg(uuid_send(c.account_id) || c.hash, ''::bytea ORDER BY c.account_id)
                               FROM hail.ledger_chain c WHERE c.until = step_head.until), ''::bytea))
$$;
COMMENT ON FUNCTION hail.step_head(bytea, timestamptz) IS 'The head of a step by the head before and its links. Internal.';

CREATE FUNCTION hail.chain_until(until timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    last hail.ledger_chain_steps;
    chained record;
BEGIN
    SELECT s.* INTO last FROM hail.ledger_chain_steps s ORDER BY s.until DESC LIMIT 1;
    INSERT INTO hail.ledger_chain (account_id, until, entries, hash)
    SELECT l.account_id, until, l.entries, sha256(coalesce(c.hash, ''::bytea) || l.digests)
    FROM hail.links_of(coalesce(last.until, '-infinity'), until) l
    LEFT JOIN LATERAL (SELECT p.hash FROM hail.ledger_chain p WHERE p.account_id = l.account_id ORDER BY p.until DESC LIMIT 1) c ON true
    ORDER BY l.account_id;
    SELECT count(*) AS accounts, coalesce(sum(c.entries), 0) AS entries INTO chained FROM hail.ledger_chain c WHERE c.until = until;
    INSERT INTO hail.ledger_chain_steps (until, entries, accounts, head, made_at)
    VALUES (until, chained.entries, chained.accounts, hail.step_head(last.head, until), hail.clock());
    RETURN chained.entries;
END
$$;
COMMENT ON FUNCTION hail.chain_until(timestamptz) IS
'Chain the entries recorded before a time, of which none can come any more; their number. Internal.';

CREATE FUNCTION hail.chain_entries() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moment timestamptz := hail.clock();
    last timestamptz;
    first timestamptz;
BEGIN
    IF NOT current_setting('hail.ledger_chain')::boolean OR NOT hail.writers_ended('500 milliseconds') THEN
        RETURN 0;
    END IF;
    LOCK TABLE hail.ledger_chain_steps IN SHARE ROW EXCLUSIVE MODE;
    last := coalesce((SELECT max(s.until) FROM hail.ledger_chain_steps s), '-infinity');
    first := (SELECT min(e.created_at) FROM hail.ledger_entries e WHERE e.created_at >= last AND e.created_at < moment);
    IF first IS NULL THEN
        RETURN 0;
    END IF;
    -- what is long past, a day at a time
    RETURN hail.chain_until(least(moment, hail.day_start(hail.utc_day(first)) + interval '1 day'));
END
$$;
COMMENT ON FUNCTION hail.chain_entries() IS
'Chain what has been recorded since the last time, a day of it at most, when hail.ledger_chain is on and what ran a moment ago has ended: entries chained. Keeper step. Internal.';

CREATE FUNCTION hail.broken_links(account_id uuid) RETURNS TABLE (account uuid, until timestamptz, entries_chained bigint, entries_found bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '256MB' SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    ends timestamptz[] := (SELECT array_agg(s.until ORDER BY s.until) FROM hail.ledger_chain_steps s);
BEGIN
    IF ends IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH found AS MATERIALIZED (
        SELECT h.account_id, h.until, count(*) AS entries, string_agg(h.hash, ''::bytea ORDER BY h.created_at, h.id) AS digests
        FROM (SELECT e.account_id, e.created_at, e.id, ends[width_bucket(e.created_at, ends) + 1] AS until, hail.entry_hash(e, t) AS hash
              FROM hail.ledger_entries e LEFT JOIN hail.ledger_transactions t ON t.id = e.transaction_id
              WHERE e.created_at < ends[cardinality(ends)] AND (broken_links.account_id IS NULL OR e.account_id = broken_links.account_id)) h
        GROUP BY h.account_id, h.until
    ), links AS MATERIALIZED (
        SELECT c.*, lag(c.hash, 1, ''::bytea) OVER (PARTITION BY c.account_id ORDER BY c.until) AS before
        FROM hail.ledger_chain c WHERE broken_links.account_id IS NULL OR c.account_id = broken_links.account_id
    )
    SELECT DISTINCT ON (1) coalesce(l.account_id, f.account_id), coalesce(l.until, f.until), coalesce(l.entries, 0), coalesce(f.entries, 0)
    FROM links l FULL JOIN found f ON f.account_id = l.account_id AND f.until = l.until
    -- a link without entries, entries without a link, or others than it was made of
    WHERE (sha256(l.before || f.digests) = l.hash) IS NOT TRUE
    ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION hail.broken_links(uuid) IS 'The first link of each account, or of one, that is not what its entries make. Internal.';

CREATE FUNCTION hail.verify_chain(account_id uuid)
RETURNS TABLE (account uuid, until timestamptz, entries_chained bigint, entries_found bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_auditor();
    IF NOT EXISTS (SELECT FROM hail.accounts a WHERE a.id = account_id) THEN
        PERFORM hail.fail('not_found', 'account does not exist', 'account_id');
    END IF;
    RETURN QUERY SELECT * FROM hail.broken_links(account_id);
END
$$;
COMMENT ON FUNCTION hail.verify_chain(uuid) IS
'Hash an account''s entries anew: the first link that does not hold, by the end of its period, with the entries it was made of and those found. No row: all hold. Administrators and analysts. Error not_found.';

CREATE FUNCTION hail.verify_chains()
RETURNS TABLE (account uuid, until timestamptz, entries_chained bigint, entries_found bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_auditor();
    RETURN QUERY
    SELECT * FROM hail.broken_links(NULL)
    UNION ALL
    (SELECT NULL::uuid, s.until, s.entries, coalesce((SELECT sum(c.entries) FROM hail.ledger_chain c WHERE c.until = s.until), 0)::bigint
     FROM (SELECT p.*, lag(p.head) OVER (ORDER BY p.until) AS before FROM hail.ledger_chain_steps p) s
     WHERE hail.step_head(s.before, s.until) <> s.head ORDER BY s.until LIMIT 1)
    ORDER BY 2, 1;
END
$$;
COMMENT ON FUNCTION hail.verify_chains() IS
'Hash all entries anew: of each account the first link that does not hold (hail.verify_chain), and the first step whose head is not that of its links (account NULL). No rows: all hold. That the newest steps are still there is told by heads kept elsewhere (hail.ledger_chain_steps, hail.ledger_closes). Reads the whole ledger. Administrators and analysts.';
GRANT EXECUTE ON FUNCTION hail.verify_chain(uuid), hail.verify_chains() TO hail_admin, hail_analyst;
