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
    occurred_at    timestamptz NOT NULL,
    PRIMARY KEY (aggregate_id, version, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX events_cursor ON hail.events (xid, id);
COMMENT ON TABLE hail.events IS
'What happened, in the transaction in which it happened. version is gapless per aggregate (counted in the aggregate''s own row, under its lock); (xid, id) is the cursor of feeds.';
INSERT INTO hail.partitioned_tables VALUES ('events', 'occurred_at', '90 days');
