-- 20_fleet: regions, service classes, drivers, vehicles, customers' blocks and favourites

CREATE TABLE hail.regions (
    id              smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code            text NOT NULL UNIQUE CHECK (code ~ '^[a-z0-9_-]{2,32}$'),
    name            text NOT NULL,
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    timezone        text NOT NULL,
    boundary        public.geometry(Geometry, 4326) NOT NULL,
    hexagon_size_m  float8 NOT NULL DEFAULT 1000 CHECK (hexagon_size_m BETWEEN 50 AND 100000),
    distance_factor float8 NOT NULL DEFAULT 1.3 CHECK (distance_factor BETWEEN 1 AND 5),
    speed_kmh       float8 NOT NULL DEFAULT 24 CHECK (speed_kmh BETWEEN 1 AND 200),
    cooldown        interval NOT NULL DEFAULT '60 seconds' CHECK (cooldown >= '0'),
    surge_cap       numeric NOT NULL DEFAULT 3.0 CHECK (surge_cap BETWEEN 1 AND 10),
    created_at      timestamptz NOT NULL DEFAULT hail.clock()
);
CREATE INDEX regions_boundary ON hail.regions USING gist (boundary);
COMMENT ON TABLE hail.regions IS 'Service areas: boundary (WGS84), currency, time zone, and the figures estimates start from.';
COMMENT ON COLUMN hail.regions.hexagon_size_m IS 'Edge of a surge hexagon in web-mercator metres (EPSG:3857), as for ST_HexagonGrid.';
COMMENT ON COLUMN hail.regions.distance_factor IS 'Road distance over great-circle distance.';

CREATE TABLE hail.service_classes (
    id      smallint PRIMARY KEY CHECK (id BETWEEN 0 AND 62),
    code    text NOT NULL UNIQUE,
    service text NOT NULL CHECK (service IN ('ride', 'delivery', 'porter')),
    ladder  text NOT NULL,
    tier    smallint NOT NULL,
    seats   smallint NOT NULL DEFAULT 4,
    UNIQUE (ladder, tier)
);
COMMENT ON TABLE hail.service_classes IS
'Classes a customer can ask for. A driver registered for a class serves every class of the same ladder with the same or a lower tier. The id is the class''s bit in the live index.';
INSERT INTO hail.service_classes (id, code, service, ladder, tier, seats) VALUES
    (0, 'economy', 'ride', 'car', 1, 4), (1, 'comfort', 'ride', 'car', 2, 4), (2, 'premium', 'ride', 'car', 3, 4),
    (3, 'xl', 'ride', 'xl', 1, 6),
    (8, 'bicycle', 'delivery', 'courier', 1, 0), (9, 'motorcycle', 'delivery', 'courier', 2, 1),
    (16, 'van', 'porter', 'cargo', 1, 2), (17, 'truck', 'porter', 'cargo', 2, 2);

CREATE TABLE hail.drivers (
    id              uuid PRIMARY KEY REFERENCES hail.users (id),
    region_id       smallint NOT NULL REFERENCES hail.regions (id),
    service_classes text[] NOT NULL CHECK (cardinality(service_classes) BETWEEN 1 AND 16),
    class_mask      bigint NOT NULL,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected', 'suspended')),
    status_reason   text,
    online          boolean NOT NULL DEFAULT false CHECK (NOT online OR status = 'approved'),
    trip_id         uuid,
    cooldown_until  timestamptz,
    rating          real NOT NULL DEFAULT 5 CHECK (rating BETWEEN 1 AND 5),
    rating_count    integer NOT NULL DEFAULT 0,
    offers_total    integer NOT NULL DEFAULT 0,
    offers_accepted integer NOT NULL DEFAULT 0,
    trips_total     integer NOT NULL DEFAULT 0,
    trips_completed integer NOT NULL DEFAULT 0,
    vehicle_score   real NOT NULL DEFAULT 0.5 CHECK (vehicle_score BETWEEN 0 AND 1),
    idle_since      timestamptz,
    version         bigint NOT NULL DEFAULT 1,
    event_version   integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT hail.clock()
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.drivers IS
'A driver is a user (same id). Whatever of this row matching needs is mirrored into the live index at commit.';
COMMENT ON COLUMN hail.drivers.class_mask IS 'Bits of every class the driver serves, tiers resolved; derived from service_classes.';
COMMENT ON COLUMN hail.drivers.trip_id IS 'The trip being driven; NULL: free.';
COMMENT ON COLUMN hail.drivers.version IS 'Counts the changes of this row (by trigger): the live index applies only newer ones.';
COMMENT ON COLUMN hail.drivers.event_version IS 'Version of the driver''s newest event.';

CREATE TABLE hail.vehicles (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    driver_id  uuid NOT NULL REFERENCES hail.drivers (id),
    plate      text NOT NULL,
    model      text NOT NULL,
    colour     text,
    year       smallint CHECK (year BETWEEN 1950 AND 2100),
    seats      smallint NOT NULL DEFAULT 4 CHECK (seats BETWEEN 0 AND 60),
    active     boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT hail.clock()
);
CREATE UNIQUE INDEX vehicles_one_active ON hail.vehicles (driver_id) WHERE active;
COMMENT ON TABLE hail.vehicles IS 'Vehicles of a driver; at most one is active.';

CREATE TABLE hail.customer_drivers (
    customer_id uuid NOT NULL REFERENCES hail.users (id),
    driver_id   uuid NOT NULL REFERENCES hail.drivers (id),
    trips       integer NOT NULL DEFAULT 0,
    favourite   boolean NOT NULL DEFAULT false,
    blocked     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (customer_id, driver_id)
);
COMMENT ON TABLE hail.customer_drivers IS 'What a customer and a driver have had to do with each other: completed trips, favourite, blocked.';
