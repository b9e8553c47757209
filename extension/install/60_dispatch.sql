-- 60_dispatch: policies, trips, offers, the transition table

CREATE TABLE hail.dispatch_policies (
    id                 smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id          smallint REFERENCES hail.regions (id),
    service            text CHECK (service IN ('ride', 'delivery', 'porter')),
    effective          tstzrange NOT NULL DEFAULT tstzrange('-infinity', 'infinity'),
    weight_distance    real NOT NULL DEFAULT 0.40,
    weight_rating      real NOT NULL DEFAULT 0.20,
    weight_acceptance  real NOT NULL DEFAULT 0.15,
    weight_completion  real NOT NULL DEFAULT 0.10,
    weight_vehicle     real NOT NULL DEFAULT 0.10,
    weight_repeat      real NOT NULL DEFAULT 0.05,
    offers_per_round   smallint NOT NULL DEFAULT 5 CHECK (offers_per_round BETWEEN 1 AND 50),
    offer_ttl          interval NOT NULL DEFAULT '15 seconds' CHECK (offer_ttl > '0'),
    rounds_per_radius  smallint NOT NULL DEFAULT 2 CHECK (rounds_per_radius BETWEEN 1 AND 100),
    radius_m           float8[] NOT NULL DEFAULT '{5000,8000,12000}' CHECK (cardinality(radius_m) BETWEEN 1 AND 20),
    retry_after        interval NOT NULL DEFAULT '5 seconds' CHECK (retry_after > '0'),
    patience           interval NOT NULL DEFAULT '5 minutes' CHECK (patience > '0'),
    max_pending_offers smallint NOT NULL DEFAULT 3 CHECK (max_pending_offers BETWEEN 1 AND 10),
    EXCLUDE USING gist (coalesce(region_id, 0::smallint) WITH =, coalesce(service, '') WITH =, effective WITH &&)
);
COMMENT ON TABLE hail.dispatch_policies IS
'How matching works, per region and service (NULL: every one); the most particular row in force counts. Score weights, offers a round, their life, radii and how long is searched.';
COMMENT ON COLUMN hail.dispatch_policies.patience IS 'After so long without a match the trip ends as no_drivers.';
COMMENT ON COLUMN hail.dispatch_policies.retry_after IS 'Wait before the next round when a round found nobody.';
INSERT INTO hail.dispatch_policies (region_id, service) VALUES (NULL, NULL);

CREATE TABLE hail.trips (
    id              uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id       smallint NOT NULL REFERENCES hail.regions (id),
    service_class   text NOT NULL REFERENCES hail.service_classes (code),
    customer_id     uuid NOT NULL REFERENCES hail.users (id),
    driver_id       uuid REFERENCES hail.drivers (id),
    driver_slot     smallint NOT NULL DEFAULT 1,
    quote_id        uuid NOT NULL UNIQUE REFERENCES hail.quotes (id),
    state           text NOT NULL,
    strategy        text NOT NULL CHECK (strategy IN ('first_accept')),
    payment_method  text NOT NULL CHECK (payment_method IN ('wallet', 'cash')),
    pickup_lat      float8 NOT NULL,
    pickup_lng      float8 NOT NULL,
    dropoff_lat     float8 NOT NULL,
    dropoff_lng     float8 NOT NULL,
    distance_m      integer NOT NULL,
    duration_s      integer NOT NULL,
    price           bigint NOT NULL,
    commission_bp   integer NOT NULL,
    cancellation_fee bigint NOT NULL,
    currency        text NOT NULL,
    surge           numeric NOT NULL,
    pickup_code     text CHECK (pickup_code ~ '^[0-9]{4}$'),
    hold_id         uuid,
    policy_id       smallint NOT NULL REFERENCES hail.dispatch_policies (id),
    round           integer NOT NULL DEFAULT 0,
    search_until    timestamptz,
    next_round_at   timestamptz,
    excluded_drivers uuid[] NOT NULL DEFAULT '{}',
    event_version   integer NOT NULL DEFAULT 0,
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    requested_at    timestamptz NOT NULL,
    matched_at      timestamptz,
    arrived_at      timestamptz,
    started_at      timestamptz,
    completed_at    timestamptz,
    cancelled_at    timestamptz,
    cancelled_by    text CHECK (cancelled_by IN ('customer', 'driver', 'admin', 'system')),
    cancel_reason   text,
    UNIQUE (customer_id, idempotency_key),
    CHECK ((state IN ('matched', 'arrived', 'started', 'completed')) <= (driver_id IS NOT NULL))
) WITH (fillfactor = 60);
-- Law 3: a driver can't be on two trips, whoever writes the rows.
CREATE UNIQUE INDEX trips_driver_busy ON hail.trips (driver_id, driver_slot) WHERE state IN ('matched', 'arrived', 'started');
CREATE INDEX trips_next_round ON hail.trips (next_round_at) WHERE state = 'searching';
CREATE INDEX trips_customer ON hail.trips (customer_id, id);
CREATE INDEX trips_driver ON hail.trips (driver_id, id) WHERE driver_id IS NOT NULL;
COMMENT ON TABLE hail.trips IS 'Trips, from request to payment. state moves only along hail.trip_transitions.';
COMMENT ON COLUMN hail.trips.driver_slot IS 'Which of the driver''s parallel jobs this is; 1 for rides.';
COMMENT ON COLUMN hail.trips.next_round_at IS 'When the dispatcher looks at a searching trip again.';

CREATE TABLE hail.trip_transitions (
    from_state text NOT NULL,
    action     text NOT NULL,
    actor      text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, action, actor)
);
COMMENT ON TABLE hail.trip_transitions IS 'The only moves a trip can make: from a state, by an action of an actor, to a state.';
INSERT INTO hail.trip_transitions (from_state, action, actor, to_state) VALUES
    ('searching', 'accept',   'driver',   'matched'),
    ('searching', 'cancel',   'customer', 'cancelled'),
    ('searching', 'cancel',   'admin',    'cancelled'),
    ('searching', 'give_up',  'system',   'no_drivers'),
    ('matched',   'arrive',   'driver',   'arrived'),
    ('matched',   'cancel',   'customer', 'cancelled'),
    ('matched',   'cancel',   'admin',    'cancelled'),
    ('matched',   'cancel',   'driver',   'searching'),
    ('arrived',   'start',    'driver',   'started'),
    ('arrived',   'cancel',   'customer', 'cancelled'),
    ('arrived',   'cancel',   'admin',    'cancelled'),
    ('arrived',   'cancel',   'driver',   'searching'),
    ('started',   'complete', 'driver',   'completed'),
    ('started',   'complete', 'admin',    'completed');

CREATE TABLE hail.offers (
    id          uuid PRIMARY KEY DEFAULT hail.uuid7(),
    trip_id     uuid NOT NULL REFERENCES hail.trips (id),
    driver_id   uuid NOT NULL REFERENCES hail.drivers (id),
    round       integer NOT NULL,
    slot        smallint NOT NULL CHECK (slot BETWEEN 1 AND 10),
    status      text NOT NULL DEFAULT 'pending'
                CHECK (status IN ('pending', 'accepted', 'declined', 'expired', 'withdrawn', 'cancelled')),
    score       real NOT NULL,
    pickup_distance_m integer NOT NULL,
    pickup_eta_s integer NOT NULL,
    reason      text,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    responded_at timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX offers_trip_driver_round ON hail.offers (trip_id, driver_id, round);
-- Law 3: one accepted offer a trip; at most max_pending_offers pending ones a driver, each in a slot of its own.
CREATE UNIQUE INDEX offers_one_accepted ON hail.offers (trip_id) WHERE status = 'accepted';
CREATE UNIQUE INDEX offers_pending_slots ON hail.offers (driver_id, slot) WHERE status = 'pending';
CREATE INDEX offers_expiry ON hail.offers (expires_at) WHERE status = 'pending';
COMMENT ON TABLE hail.offers IS
'A trip offered to a driver. pending -> accepted | declined | expired | withdrawn (someone else won, or the trip ended); accepted -> cancelled when the driver gives the trip back.';
