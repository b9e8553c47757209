-- 80_events: the event store

CREATE TABLE hail.events (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    aggregate_type text NOT NULL,
    aggregate_id   uuid NOT NULL,
    version        integer NOT NULL CHECK (version > 0),
    type           text NOT NULL,
    payload        jsonb NOT NULL,
    actor          text NOT NULL,
    subject        uuid,
    request_id     text,
    xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    occurred_at    timestamptz NOT NULL
) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE hail.events IS
'What happened, in the transaction in which it happened. version is gapless per aggregate (counted in the aggregate''s own row, under its lock); (xid, id) is the cursor of feeds.';
INSERT INTO hail.partitioned_tables (table_name, time_column, retention, indexes) VALUES
    ('events', 'occurred_at', '90 days', '{"PRIMARY KEY (aggregate_id, version, occurred_at)", "(xid, id)"}');
GRANT SELECT ON hail.events TO hail_admin;
CREATE POLICY events_admin ON hail.events FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');

CREATE FUNCTION hail.write_event(aggregate_type text, aggregate_id uuid, version integer, type text, payload jsonb)
RETURNS void
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'hail_write_event';
COMMENT ON FUNCTION hail.write_event(text, uuid, integer, text, jsonb) IS
'Write one event in this transaction. The caller holds the aggregate''s row lock and has counted version up in that row. Actor and subject come from the verified session. Internal.';

CREATE FUNCTION hail.event_gaps()
RETURNS TABLE (aggregate_type text, aggregate_id uuid, expected bigint, actual bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    horizon timestamptz;
BEGIN
    PERFORM hail.require_admin();
    SELECT hail.clock() - p.retention INTO horizon FROM hail.partitioned_tables p WHERE p.table_name = 'events';
    RETURN QUERY
    WITH counters (atype, aid, newest) AS (
        SELECT 'trip', t.id, t.event_version FROM hail.trips t WHERE t.event_version > 0
        UNION ALL
        SELECT 'driver', d.id, d.event_version FROM hail.drivers d WHERE d.event_version > 0
        UNION ALL
        SELECT 'partner', p.id, p.event_version FROM hail.partners p WHERE p.event_version > 0
        UNION ALL
        SELECT 'gateway', g.id, g.event_version FROM hail.gateways g WHERE g.event_version > 0
        UNION ALL
        SELECT 'payment_intent', i.id, i.event_version FROM hail.payment_intents i WHERE i.event_version > 0
        UNION ALL
        SELECT 'withdrawal', w.id, w.event_version FROM hail.withdrawals w
        UNION ALL
        SELECT 'fraud_signal', s.id, s.event_version FROM hail.fraud_signals s
    ), stored AS (
        SELECT e.aggregate_type AS atype, e.aggregate_id AS aid, min(e.version) AS oldest, max(e.version) AS newest,
               count(*) AS events
        FROM hail.events e GROUP BY 1, 2
    ), compared AS (
        SELECT coalesce(s.atype, c.atype) AS atype, coalesce(s.aid, c.aid) AS aid, coalesce(s.events, 0) AS events,
               -- Retention drops the oldest versions of old aggregates; their ids (UUID v7) tell their age.
               CASE WHEN to_timestamp(('x' || translate(left(coalesce(s.aid, c.aid)::text, 13), '-', ''))::bit(48)::bigint
                                      / 1000.0) > coalesce(horizon, '-infinity') THEN 1
                    ELSE coalesce(s.oldest, c.newest + 1) END AS first,
               coalesce(c.newest, s.newest) AS last, s.newest AS newest
        FROM stored s FULL JOIN counters c ON c.atype = s.atype AND c.aid = s.aid
    )
    SELECT d.atype, d.aid, (d.last - d.first + 1)::bigint, d.events
    FROM compared d WHERE d.events <> d.last - d.first + 1 OR d.newest IS DISTINCT FROM d.last AND d.events > 0
    ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION hail.event_gaps() IS
'Aggregates whose stored versions are not 1..n without a gap, n being the counter in the trip''s, driver''s, partner''s or withdrawal''s row: expected and stored number of events. No rows: all well. Administrators only.';
GRANT EXECUTE ON FUNCTION hail.event_gaps() TO hail_admin;
