-- 40_history: position history, time partitions

CREATE TABLE hail.partitioned_tables (
    table_name  text PRIMARY KEY,
    time_column text NOT NULL,
    retention   interval CHECK (retention > '0'),
    days_ahead  integer NOT NULL DEFAULT 3 CHECK (days_ahead BETWEEN 1 AND 366)
);
COMMENT ON TABLE hail.partitioned_tables IS
'Tables of schema hail that hail.maintain_partitions() looks after: daily partitions (UTC) made ahead, dropped after `retention` (NULL: kept for ever).';

CREATE TABLE hail.location_history (
    driver_id   uuid NOT NULL,
    trip_id     uuid,
    lat         float8 NOT NULL,
    lng         float8 NOT NULL,
    heading     real,
    speed       real,
    accuracy    real,
    recorded_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (driver_id, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX location_history_trip ON hail.location_history (trip_id, recorded_at) WHERE trip_id IS NOT NULL;
CREATE INDEX location_history_time ON hail.location_history USING brin (recorded_at);
COMMENT ON TABLE hail.location_history IS
'Every position on a trip, one per hail.history_interval otherwise; daily partitions. Filled from the history ring.';
INSERT INTO hail.partitioned_tables VALUES ('location_history', 'recorded_at', '90 days');
