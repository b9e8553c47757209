-- 50_pricing: fares, surge, estimates, quotes

CREATE TABLE hail.fares (
    id                uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id         smallint NOT NULL REFERENCES hail.regions (id),
    service_class     text NOT NULL REFERENCES hail.service_classes (code),
    base              bigint NOT NULL CHECK (base >= 0),
    per_km            bigint NOT NULL CHECK (per_km >= 0),
    per_minute        bigint NOT NULL CHECK (per_minute >= 0),
    minimum           bigint NOT NULL CHECK (minimum >= 0),
    booking_fee       bigint NOT NULL DEFAULT 0 CHECK (booking_fee >= 0),
    cancellation_fee  bigint NOT NULL DEFAULT 0 CHECK (cancellation_fee >= 0),
    commission_bp     integer NOT NULL CHECK (commission_bp BETWEEN 0 AND 10000),
    rounding          bigint NOT NULL DEFAULT 50 CHECK (rounding >= 1),
    effective         tstzrange NOT NULL DEFAULT tstzrange('-infinity', 'infinity'),
    EXCLUDE USING gist (region_id WITH =, service_class WITH =, effective WITH &&)
);
COMMENT ON TABLE hail.fares IS
'Price list per region and class, in minor units of the region''s currency; no two versions overlap in time.';
COMMENT ON COLUMN hail.fares.commission_bp IS 'Commission in basis points (1500 = 15 %).';
COMMENT ON COLUMN hail.fares.rounding IS 'Totals are rounded half up to a multiple of this many minor units.';

CREATE TABLE hail.fare_time_rules (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    name       text NOT NULL,
    weekdays   smallint[] NOT NULL DEFAULT '{1,2,3,4,5,6,7}',
    from_time  time NOT NULL,
    to_time    time NOT NULL,
    multiplier numeric(4,2) NOT NULL CHECK (multiplier BETWEEN 0.5 AND 5)
);
COMMENT ON TABLE hail.fare_time_rules IS
'Time-of-day multipliers in the region''s time zone (ISO weekdays; may span midnight). The highest that applies counts.';

CREATE TABLE hail.event_areas (
    id         uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    name       text NOT NULL,
    area       public.geometry(Geometry, 4326) NOT NULL,
    active     tstzrange NOT NULL,
    multiplier numeric(4,2) NOT NULL CHECK (multiplier BETWEEN 0.5 AND 5)
);
COMMENT ON TABLE hail.event_areas IS 'Areas and times of special events, with their price multiplier.';

CREATE TABLE hail.surge_steps (
    region_id   smallint NOT NULL REFERENCES hail.regions (id),
    below_ratio numeric NOT NULL,
    multiplier  numeric NOT NULL CHECK (multiplier >= 1),
    PRIMARY KEY (region_id, below_ratio)
);
COMMENT ON TABLE hail.surge_steps IS
'Ratio table: demand/supply below `below_ratio` gives `multiplier`; past the last row min(ratio / 2, the region''s cap).';

CREATE TABLE hail.surge_cells (
    region_id  smallint NOT NULL REFERENCES hail.regions (id),
    cell       bigint NOT NULL,
    demand     integer NOT NULL,
    supply     integer NOT NULL,
    multiplier numeric NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (region_id, cell)
) WITH (fillfactor = 70);
COMMENT ON TABLE hail.surge_cells IS 'Surge per hexagon as of the last tick; a cell that is not here has 1.0.';

CREATE TABLE hail.quotes (
    id                uuid PRIMARY KEY DEFAULT hail.uuid7(),
    customer_id       uuid NOT NULL REFERENCES hail.users (id),
    region_id         smallint NOT NULL REFERENCES hail.regions (id),
    service_class     text NOT NULL REFERENCES hail.service_classes (code),
    pickup_lat        float8 NOT NULL,
    pickup_lng        float8 NOT NULL,
    dropoff_lat       float8 NOT NULL,
    dropoff_lng       float8 NOT NULL,
    distance_m        integer NOT NULL,
    duration_s        integer NOT NULL,
    base_amount       bigint NOT NULL,
    distance_amount   bigint NOT NULL,
    time_amount       bigint NOT NULL,
    surge             numeric NOT NULL,
    time_multiplier   numeric NOT NULL,
    event_multiplier  numeric NOT NULL,
    multiplier_amount bigint NOT NULL,
    minimum_amount    bigint NOT NULL,
    booking_fee       bigint NOT NULL,
    rounding_amount   bigint NOT NULL,
    total             bigint NOT NULL CHECK (total >= 0),
    cancellation_fee  bigint NOT NULL,
    commission_bp     integer NOT NULL,
    currency          text NOT NULL,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    used_at           timestamptz,
    -- what was added adds up: to the last minor unit
    CHECK (total = base_amount + distance_amount + time_amount + multiplier_amount + minimum_amount + booking_fee + rounding_amount)
);
CREATE INDEX quotes_customer ON hail.quotes (customer_id, created_at);
COMMENT ON TABLE hail.quotes IS 'Prices promised to a customer until expires_at, with everything that made them. A trip uses a quote once.';
COMMENT ON COLUMN hail.quotes.multiplier_amount IS 'What surge, time of day and events add to base, distance and time.';
COMMENT ON COLUMN hail.quotes.minimum_amount IS 'What the minimum fare adds.';
