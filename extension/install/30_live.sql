-- 30_live: positions now

CREATE TABLE hail.driver_positions (
    driver_id   uuid PRIMARY KEY REFERENCES hail.drivers (id),
    lat         float8 NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lng         float8 NOT NULL CHECK (lng BETWEEN -180 AND 180),
    heading     real,
    speed       real,
    accuracy    real,
    recorded_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    place       public.geometry(Point, 4326) NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX driver_positions_place ON hail.driver_positions USING gist (place);
COMMENT ON TABLE hail.driver_positions IS
'Newest position of each driver, written through from the live index in batches; what the index is rebuilt from, and what is searched when the library is not preloaded.';
COMMENT ON COLUMN hail.driver_positions.place IS
'The position rounded to 0.01 degrees: it seldom changes, so that most updates are heap-only. Searches widen their radius by the rounding and sort by lat, lng.';
