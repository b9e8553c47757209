-- 60_dispatch: policies, trips, offers, the transition table

CREATE TABLE hail.dispatch_policies (
    id                 smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id          smallint REFERENCES hail.regions (id),
    service            text CHECK (service IN ('ride', 'delivery', 'porter')),
    effective          tstzrange NOT NULL DEFAULT tstzrange('-infinity', 'infinity'),
    weight_distance    real NOT NULL DEFAULT 0.40 CHECK (weight_distance BETWEEN 0 AND 100),
    weight_rating      real NOT NULL DEFAULT 0.20 CHECK (weight_rating BETWEEN 0 AND 100),
    weight_acceptance  real NOT NULL DEFAULT 0.15 CHECK (weight_acceptance BETWEEN 0 AND 100),
    weight_completion  real NOT NULL DEFAULT 0.10 CHECK (weight_completion BETWEEN 0 AND 100),
    weight_vehicle     real NOT NULL DEFAULT 0.10 CHECK (weight_vehicle BETWEEN 0 AND 100),
    weight_repeat      real NOT NULL DEFAULT 0.05 CHECK (weight_repeat BETWEEN 0 AND 100),
    offers_per_round   smallint NOT NULL DEFAULT 5 CHECK (offers_per_round BETWEEN 1 AND 50),
    offer_ttl          interval NOT NULL DEFAULT '15 seconds' CHECK (offer_ttl BETWEEN '1 second' AND '1 day'),
    rounds_per_radius  smallint NOT NULL DEFAULT 2 CHECK (rounds_per_radius BETWEEN 1 AND 100),
    radius_m           float8[] NOT NULL DEFAULT '{5000,8000,12000}' CHECK (cardinality(radius_m) BETWEEN 1 AND 20 AND 0 < ALL (radius_m) AND 200000 >= ALL (radius_m)),
    retry_after        interval NOT NULL DEFAULT '5 seconds' CHECK (retry_after BETWEEN '100 milliseconds' AND '1 hour'),
    patience           interval NOT NULL DEFAULT '5 minutes' CHECK (patience BETWEEN '1 second' AND '7 days'),
    max_pending_offers smallint NOT NULL DEFAULT 3 CHECK (max_pending_offers BETWEEN 1 AND 10),
    candidates         smallint NOT NULL DEFAULT 50 CHECK (candidates BETWEEN 1 AND 1000),
    weight_idle        real NOT NULL DEFAULT 0 CHECK (weight_idle BETWEEN 0 AND 100),
    weight_recent      real NOT NULL DEFAULT 0 CHECK (weight_recent BETWEEN 0 AND 100),
    idle_span          interval NOT NULL DEFAULT '30 minutes' CHECK (idle_span BETWEEN '1 second' AND '7 days'),
    recent_span        interval NOT NULL DEFAULT '1 hour' CHECK (recent_span BETWEEN '1 second' AND '7 days'),
    recent_trips       smallint NOT NULL DEFAULT 4 CHECK (recent_trips BETWEEN 1 AND 250),
    exact_tier_rounds  smallint NOT NULL DEFAULT 2 CHECK (exact_tier_rounds BETWEEN 0 AND 1000),
    max_pickup_m       float8 CHECK (max_pickup_m > 0 AND max_pickup_m <= 200000),
    wallet_floor       bigint,
    sequential_ttl     interval NOT NULL DEFAULT '10 seconds' CHECK (sequential_ttl BETWEEN '1 second' AND '1 day'),
    sequential_offers  smallint NOT NULL DEFAULT 5 CHECK (sequential_offers BETWEEN 1 AND 50),
    bid_drivers        smallint NOT NULL DEFAULT 10 CHECK (bid_drivers BETWEEN 1 AND 50),
    bid_ttl            interval NOT NULL DEFAULT '30 seconds' CHECK (bid_ttl BETWEEN '1 second' AND '1 day'),
    bid_min_bp         integer NOT NULL DEFAULT 7000 CHECK (bid_min_bp BETWEEN 1 AND 10000),
    bid_max_bp         integer NOT NULL DEFAULT 15000 CHECK (bid_max_bp BETWEEN 10000 AND 100000),
    schedule_ahead     interval NOT NULL DEFAULT '15 minutes' CHECK (schedule_ahead BETWEEN '1 second' AND '7 days'),
    schedule_max       interval NOT NULL DEFAULT '30 days' CHECK (schedule_max BETWEEN '1 second' AND '366 days'),
    confirm_within     interval NOT NULL DEFAULT '3 minutes' CHECK (confirm_within BETWEEN '1 second' AND '1 day'),
    batch_window_min   interval NOT NULL DEFAULT '1 second' CHECK (batch_window_min BETWEEN '100 milliseconds' AND '1 hour'),
    batch_window_max   interval NOT NULL DEFAULT '5 seconds' CHECK (batch_window_max BETWEEN batch_window_min AND '1 hour'),
    forward_within     interval NOT NULL DEFAULT '0' CHECK (forward_within BETWEEN '0' AND '1 hour'),
    created_at         timestamptz NOT NULL DEFAULT hail.clock(),
    created_by         uuid DEFAULT hail.current_subject(),
    -- What is shipped (1) stays beneath all versions, so that a restore finds it as CREATE EXTENSION made it.
    EXCLUDE USING gist (coalesce(region_id, 0::smallint) WITH =, coalesce(service, '') WITH =, effective WITH &&) WHERE (id > 1)
);
COMMENT ON TABLE hail.dispatch_policies IS
'How matching works, per region and service (NULL: every one); the most particular row in force counts. Score weights, offers a round, their life, radii and how long is searched.';
COMMENT ON COLUMN hail.dispatch_policies.patience IS 'After so long without a match the trip ends as no_drivers.';
COMMENT ON COLUMN hail.dispatch_policies.retry_after IS 'Wait before the next round when a round found nobody.';
COMMENT ON COLUMN hail.dispatch_policies.candidates IS 'So many of the nearest drivers are scored in a round.';
COMMENT ON COLUMN hail.dispatch_policies.weight_idle IS 'Fairness: weight of the time a driver has waited for a trip.';
COMMENT ON COLUMN hail.dispatch_policies.weight_recent IS 'Fairness: weight of having had few trips lately.';
COMMENT ON COLUMN hail.dispatch_policies.idle_span IS 'Waiting for a trip so long, or longer, makes the idle term 1.';
COMMENT ON COLUMN hail.dispatch_policies.recent_span IS 'Trips completed within it are recent; recent_trips of them, or more, make the recent term 0.';
COMMENT ON COLUMN hail.dispatch_policies.exact_tier_rounds IS
'In so many first rounds of a search, drivers of exactly the class asked for come before those of a higher tier; later rounds make no difference.';
COMMENT ON COLUMN hail.dispatch_policies.max_pickup_m IS 'No driver farther than this is asked, in whatever radius or queue; NULL: the radii alone limit.';
COMMENT ON COLUMN hail.dispatch_policies.wallet_floor IS
'A cash trip is not offered where its commission would take the driver''s wallet below this (minor units), nor below the account''s own floor, and not accepted where it does with those of the driver''s cash trips under way; NULL: the latter alone.';
COMMENT ON COLUMN hail.dispatch_policies.bid_min_bp IS 'Lowest bid, in hundredths of a percent of the quoted price; bid_max_bp: the highest.';
COMMENT ON COLUMN hail.dispatch_policies.schedule_ahead IS 'A scheduled trip is matched so long before its time.';
COMMENT ON COLUMN hail.dispatch_policies.schedule_max IS 'Trips are scheduled so far ahead at most.';
COMMENT ON COLUMN hail.dispatch_policies.confirm_within IS 'The driver of a scheduled trip confirms it within this time, or the backup driver is asked.';
COMMENT ON COLUMN hail.dispatch_policies.batch_window_min IS 'Batched matching gathers the trips of a region so long at least, batch_window_max at most.';
COMMENT ON COLUMN hail.dispatch_policies.forward_within IS 'A driver so close to the end of a trip may be offered the next one; 0: never.';
INSERT INTO hail.dispatch_policies (region_id, service, created_at) VALUES (NULL, NULL, '2000-01-01 00:00+00');

-- Columns that a statement leaves alone are not checked again when their rule is a domain's; a CHECK of the table is
-- read, planned and run by every statement that writes a row (about 3 us each: a trip changes five times or more).
CREATE DOMAIN hail.trip_strategy AS text
    CHECK (VALUE IN ('first_accept', 'sequential', 'broadcast_bid', 'scheduled', 'batched'));
COMMENT ON DOMAIN hail.trip_strategy IS 'How a trip''s driver is found.';
CREATE DOMAIN hail.payment_method AS text CHECK (VALUE IN ('wallet', 'cash', 'card'));
COMMENT ON DOMAIN hail.payment_method IS 'How a trip is paid.';
CREATE DOMAIN hail.payment_state AS text
    CHECK (VALUE IN ('none', 'held', 'pending', 'paid', 'payment_failed', 'refunded', 'partly_refunded'));
COMMENT ON DOMAIN hail.payment_state IS 'How the payment of a trip stands.';
CREATE DOMAIN hail.pickup_code AS text CHECK (VALUE ~ '^[0-9]{4}$');
COMMENT ON DOMAIN hail.pickup_code IS 'Four digits that the customer shows to the driver.';
CREATE DOMAIN hail.caller_key AS text CHECK (length(VALUE) BETWEEN 1 AND 200);
COMMENT ON DOMAIN hail.caller_key IS 'A key that a caller has chosen: 1 to 200 characters.';
CREATE DOMAIN hail.trip_actor AS text CHECK (VALUE IN ('customer', 'driver', 'admin', 'system'));
COMMENT ON DOMAIN hail.trip_actor IS 'Who changes a trip.';
CREATE DOMAIN hail.load_kg AS real CHECK (VALUE BETWEEN 0 AND 100000);
COMMENT ON DOMAIN hail.load_kg IS 'Kilograms of a load.';
CREATE DOMAIN hail.load_l AS real CHECK (VALUE BETWEEN 0 AND 1000000);
COMMENT ON DOMAIN hail.load_l IS 'Litres of a load.';
CREATE DOMAIN hail.offer_slot AS smallint CHECK (VALUE BETWEEN 1 AND 10);
COMMENT ON DOMAIN hail.offer_slot IS 'Which of a driver''s pending offers this is.';
CREATE DOMAIN hail.offer_status AS text
    CHECK (VALUE IN ('pending', 'accepted', 'declined', 'expired', 'withdrawn', 'cancelled'));
COMMENT ON DOMAIN hail.offer_status IS 'What has become of an offer.';

CREATE TABLE hail.trips (
    id              uuid PRIMARY KEY DEFAULT hail.uuid7(),
    region_id       smallint NOT NULL,
    service         text NOT NULL,
    service_class   text NOT NULL,
    customer_id     uuid NOT NULL,
    driver_id       uuid REFERENCES hail.drivers (id),
    driver_slot     smallint NOT NULL DEFAULT 1,
    quote_id        uuid NOT NULL UNIQUE REFERENCES hail.quotes (id),
    state           text NOT NULL,
    strategy        hail.trip_strategy NOT NULL,
    payment_method  hail.payment_method NOT NULL,
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
    pickup_code     hail.pickup_code,
    hold_id         uuid,
    policy_id       smallint NOT NULL,
    round           integer NOT NULL DEFAULT 0,
    rounds_before   integer NOT NULL DEFAULT 0,
    search_until    timestamptz,
    next_round_at   timestamptz,
    pooled_at       timestamptz,
    queue_position  integer,
    excluded_drivers uuid[] NOT NULL DEFAULT '{}',
    favourites_first boolean NOT NULL DEFAULT false,
    event_version   integer NOT NULL DEFAULT 0,
    idempotency_key hail.caller_key NOT NULL,
    requested_at    timestamptz NOT NULL,
    matched_at      timestamptz,
    arrived_at      timestamptz,
    started_at      timestamptz,
    completed_at    timestamptz,
    cancelled_at    timestamptz,
    cancelled_by    hail.trip_actor,
    cancel_reason   text,
    no_drivers_reason text,
    scheduled_for   timestamptz,
    confirm_by      timestamptz,
    confirmed_at    timestamptz,
    backup_driver_id uuid REFERENCES hail.drivers (id),
    code_attempts   smallint NOT NULL DEFAULT 0,
    weight_kg       hail.load_kg,
    volume_l        hail.load_l,
    partner_id      uuid REFERENCES hail.users (id),
    partner_order   hail.caller_key,
    variant_id      integer,
    waiting_amount  bigint NOT NULL DEFAULT 0,
    waiting_max     bigint NOT NULL DEFAULT 0,
    destination_changes smallint NOT NULL DEFAULT 0,
    waiting_from    timestamptz,
    agreed_price    bigint,
    agreed_for      bigint,
    via             float8[] NOT NULL DEFAULT '{}',
    payment_state   hail.payment_state NOT NULL DEFAULT 'none',
    promotion_amount bigint NOT NULL DEFAULT 0,
    tolls           bigint NOT NULL DEFAULT 0,
    CHECK ((agreed_price IS NULL) = (agreed_for IS NULL)),
    UNIQUE (customer_id, idempotency_key),
    CHECK ((strategy = 'scheduled') = (scheduled_for IS NOT NULL)
           AND (state IN ('matched', 'arrived', 'started', 'completed')) <= (driver_id IS NOT NULL))
) WITH (fillfactor = 60);
-- region_id, service_class and customer_id are copied from the quote, whose own references keep them; policy_id is
-- kept by policies_stay. References of the trip's own would have every request lock the same rows of regions, classes
-- and policies, and say nothing new.
-- Orders of a partner: one trip each.
CREATE UNIQUE INDEX trips_partner_order ON hail.trips (partner_id, partner_order) WHERE partner_id IS NOT NULL;
-- Law 3: a driver can't be on two trips, whoever writes the rows.
CREATE UNIQUE INDEX trips_driver_busy ON hail.trips (driver_id, driver_slot) WHERE state IN ('matched', 'arrived', 'started');
-- A customer rides in one car at a time; parcels and goods may travel in several.
CREATE UNIQUE INDEX trips_customer_ride ON hail.trips (customer_id)
    WHERE service = 'ride' AND state IN ('searching', 'matched', 'arrived', 'started');
CREATE INDEX trips_next_round ON hail.trips (next_round_at) WHERE next_round_at IS NOT NULL;
-- Those whom batched matching looks at together, per region.
CREATE INDEX trips_pool ON hail.trips (region_id, pooled_at) WHERE state = 'searching' AND pooled_at IS NOT NULL;
-- Lists of all trips by time, and pages along them.
CREATE INDEX trips_requested ON hail.trips (requested_at, id);
CREATE INDEX trips_customer ON hail.trips (customer_id, id);
CREATE INDEX trips_driver ON hail.trips (driver_id, id) WHERE driver_id IS NOT NULL;
-- Whoever owes for a trip is refused another one.
CREATE INDEX trips_unpaid ON hail.trips (customer_id) WHERE payment_state = 'payment_failed';
CREATE INDEX trips_completed ON hail.trips (driver_id, completed_at) WHERE state = 'completed';
COMMENT ON TABLE hail.trips IS 'Trips, from request to payment. state moves only along hail.trip_transitions.';
COMMENT ON COLUMN hail.trips.price IS
'What is to be paid, waiting included: as quoted or bid, then for the changed destination; quotes.total is what was promised at first.';
COMMENT ON COLUMN hail.trips.waiting_amount IS 'What waiting at the pickup has cost: known from the start on, a part of price.';
COMMENT ON COLUMN hail.trips.waiting_max IS 'Waiting never costs more; copied from the quote, and held on the wallet beside the price.';
COMMENT ON COLUMN hail.trips.destination_changes IS 'How often its destination has been changed; distance and duration are estimates for the new one then.';
COMMENT ON COLUMN hail.trips.waiting_from IS
'Since when the driver has been at the pickup, as its position tells: waiting counts from then on, and cancelling costs the fee. NULL: it has not been seen there.';
COMMENT ON COLUMN hail.trips.agreed_price IS 'The bid that was chosen; NULL: none, the price is the quoted one.';
COMMENT ON COLUMN hail.trips.agreed_for IS 'What the trip would have cost without bids when agreed_price was agreed on.';
COMMENT ON COLUMN hail.trips.via IS 'Where the driver was at each change of the destination under way: latitudes and longitudes in turn.';
COMMENT ON COLUMN hail.trips.payment_state IS
'none: nothing to pay (yet); held: the fare is held on the wallet; pending: a charge of the card has been asked for; paid; payment_failed: due, hail.retry_payment(); refunded, partly_refunded. Of a cancelled trip: of its fee. hail.trip_payments has the amounts.';
COMMENT ON COLUMN hail.trips.promotion_amount IS 'What a promotion pays of the price. The customer pays price + tolls - promotion_amount.';
COMMENT ON COLUMN hail.trips.tolls IS 'Tolls that the driver has paid: on top of the price, wholly the driver''s.';
COMMENT ON COLUMN hail.trips.driver_slot IS 'Which of the driver''s parallel jobs this is; 1 for rides.';
COMMENT ON COLUMN hail.trips.rounds_before IS 'Rounds of earlier searches: a driver gave the trip back and the radius starts anew.';
COMMENT ON COLUMN hail.trips.favourites_first IS 'The customer wants drivers marked as favourites to be asked before others.';
COMMENT ON COLUMN hail.trips.no_drivers_reason IS 'Why a search ended without a driver.';
COMMENT ON COLUMN hail.trips.confirm_by IS 'A scheduled trip''s driver confirms by then (confirmed_at), or its backup driver is asked.';
COMMENT ON COLUMN hail.trips.backup_driver_id IS
'Second to accept a scheduled trip; asked first and alone when the trip loses its driver. Not busy for it.';
COMMENT ON COLUMN hail.trips.code_attempts IS 'Wrong pickup codes tried.';
COMMENT ON COLUMN hail.trips.weight_kg IS 'Load of a delivery or porter job; with volume_l, litres, what its driver must have room for.';
COMMENT ON COLUMN hail.trips.partner_order IS 'The order''s id at the partner who made this trip: one trip each.';
COMMENT ON COLUMN hail.trips.next_round_at IS
'When the dispatcher looks at the trip again: next round, end of its offers, its time to be matched, a confirmation missing, the end of its search. NULL: nothing is due.';
COMMENT ON COLUMN hail.trips.pooled_at IS 'Since when a batched trip waits for the windows of its region; NULL: it does not.';
COMMENT ON COLUMN hail.trips.queue_position IS 'Requested during an overload: its place then in the queue for the first round.';

CREATE TABLE hail.dispatch_failures (
    trip_id  uuid PRIMARY KEY REFERENCES hail.trips (id) ON DELETE CASCADE,
    failures integer NOT NULL,
    sqlstate text NOT NULL,
    message  text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL
);
COMMENT ON TABLE hail.dispatch_failures IS
'Trips whose last turn at the dispatcher ended with an error, how often in a row, and which. They are tried again after ever longer pauses.';
GRANT SELECT ON hail.dispatch_failures TO hail_admin;
CREATE POLICY dispatch_failures_admin ON hail.dispatch_failures FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');

CREATE TABLE hail.batch_windows (
    region_id     smallint PRIMARY KEY REFERENCES hail.regions (id),
    closed_at     timestamptz NOT NULL,
    work_us       bigint NOT NULL,
    trips         integer NOT NULL,
    drivers       integer NOT NULL,
    edges         integer NOT NULL,
    matched       integer NOT NULL,
    offers        integer NOT NULL,
    windows_total bigint NOT NULL,
    offers_total  bigint NOT NULL,
    lost_total    bigint NOT NULL
) WITH (fillfactor = 20);
COMMENT ON TABLE hail.batch_windows IS
'The last window of batched matching in each region: when it closed, microseconds of work, trips waiting, drivers and pairs looked at, pairs matched, offers made of them; and since the first: windows, offers, pairs that did not stand the second look under lock.';
GRANT SELECT ON hail.batch_windows TO hail_admin, hail_analyst;
CREATE POLICY batch_windows_read ON hail.batch_windows FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

CREATE TABLE hail.overload_state (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    id            uuid NOT NULL DEFAULT hail.uuid7(),
    level         text NOT NULL CHECK (level IN ('none', 'distance_only', 'longer_windows', 'queue')),
    changed_at    timestamptz NOT NULL,
    lag_s         float8 NOT NULL,
    event_version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE hail.overload_state IS
'The last change of the dispatcher''s overload (one row, none before the first); hail.overload() tells how it stands now.';
GRANT SELECT ON hail.overload_state TO hail_admin;
CREATE POLICY overload_state_admin ON hail.overload_state FOR SELECT TO hail_admin
    USING (hail.current_role_name() = 'admin');

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
    ('searching', 'accept',   'customer', 'matched'),
    ('searching', 'accept',   'admin',    'matched'),
    ('searching', 'cancel',   'customer', 'cancelled'),
    ('searching', 'cancel',   'admin',    'cancelled'),
    ('searching', 'give_up',  'system',   'no_drivers'),
    ('scheduled', 'search',   'system',   'searching'),
    ('scheduled', 'give_up',  'system',   'no_drivers'),
    ('scheduled', 'cancel',   'customer', 'cancelled'),
    ('scheduled', 'cancel',   'admin',    'cancelled'),
    ('matched',   'arrive',   'driver',   'arrived'),
    ('matched',   'confirm',  'driver',   'matched'),
    ('matched',   'redirect', 'customer', 'matched'),
    ('matched',   'redirect', 'admin',    'matched'),
    ('matched',   'unconfirmed', 'system', 'searching'),
    ('matched',   'cancel',   'customer', 'cancelled'),
    ('matched',   'cancel',   'admin',    'cancelled'),
    ('matched',   'cancel',   'driver',   'searching'),
    ('arrived',   'start',    'driver',   'started'),
    ('arrived',   'redirect', 'customer', 'arrived'),
    ('arrived',   'redirect', 'admin',    'arrived'),
    ('arrived',   'cancel',   'customer', 'cancelled'),
    ('arrived',   'cancel',   'admin',    'cancelled'),
    ('arrived',   'cancel',   'driver',   'searching'),
    ('arrived',   'no_show',  'driver',   'cancelled'),
    ('arrived',   'no_show',  'admin',    'cancelled'),
    ('started',   'redirect', 'customer', 'started'),
    ('started',   'redirect', 'admin',    'started'),
    ('started',   'complete', 'driver',   'completed'),
    ('started',   'complete', 'admin',    'completed');

CREATE TABLE hail.offers (
    id          uuid PRIMARY KEY DEFAULT hail.uuid7(),
    trip_id     uuid NOT NULL,
    driver_id   uuid NOT NULL,
    round       integer NOT NULL,
    slot        hail.offer_slot NOT NULL,
    status      hail.offer_status NOT NULL DEFAULT 'pending',
    score       real NOT NULL,
    pickup_distance_m integer NOT NULL,
    pickup_eta_s integer NOT NULL,
    reason      text,
    bid_id      uuid,
    forward     boolean NOT NULL DEFAULT false,
    agreed_at   timestamptz,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    responded_at timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX offers_trip_driver_round ON hail.offers (trip_id, driver_id, round);
-- Law 3: one accepted offer a trip; at most max_pending_offers pending ones a driver, each in a slot of its own.
CREATE UNIQUE INDEX offers_one_accepted ON hail.offers (trip_id) WHERE status = 'accepted';
CREATE UNIQUE INDEX offers_pending_slots ON hail.offers (driver_id, slot) WHERE status = 'pending';
-- No references: src/dispatch/offers.c alone writes offers, holding the trip's row lock; trips are never removed, and a
-- driver who is gone cannot accept, because accepting updates the driver's row. Five offers would cost ten checks, and
-- rounds that ask the same driver would share a lock of its row.
COMMENT ON TABLE hail.offers IS
'A trip offered to a driver. pending -> accepted | declined | expired | withdrawn (someone else won, or the trip ended); accepted -> cancelled when the driver gives the trip back.';
COMMENT ON COLUMN hail.offers.forward IS 'To a driver on a ride that ends soon; agreed_at: accepted, and waiting for its end.';
COMMENT ON COLUMN hail.offers.bid_id IS 'The driver''s newest bid (hail.bids), for trips that take bids.';

CREATE FUNCTION hail.offers_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'hail_offers_changed';
COMMENT ON FUNCTION hail.offers_changed() IS
'Trigger: the live index learns at commit how many pending offers a driver has. Internal.';
-- No WHEN: it would be read and planned by every statement; the function looks itself.
CREATE TRIGGER offers_pending AFTER INSERT OR UPDATE OR DELETE ON hail.offers
    FOR EACH ROW EXECUTE FUNCTION hail.offers_changed();

-- The state machine: the table above decides, these functions ask it.

CREATE FUNCTION hail.next_state(from_state text, action text, actor text) RETURNS text
LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_next_state';
COMMENT ON FUNCTION hail.next_state(text, text, text) IS
'State a trip goes to by an action of an actor; error wrong_state when the table has no such move. Internal.';

CREATE FUNCTION hail.guard_trip_state() RETURNS trigger
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_guard_trip_state';
COMMENT ON FUNCTION hail.guard_trip_state() IS 'Trigger: trips move only along hail.trip_transitions, whoever writes. Internal.';
CREATE TRIGGER trips_state BEFORE UPDATE ON hail.trips FOR EACH ROW EXECUTE FUNCTION hail.guard_trip_state();
ALTER TABLE hail.trips ENABLE ALWAYS TRIGGER trips_state;

-- Each backend keeps copies of these tables (src/dispatch/transitions.c, policy.c).
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['trip_transitions', 'dispatch_policies', 'service_classes', 'preferred_areas'] LOOP
        EXECUTE format('CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed()', t);
        EXECUTE format('ALTER TABLE hail.%I ENABLE ALWAYS TRIGGER kept_changed', t);
    END LOOP;
END
$$;

CREATE FUNCTION hail.lock_trip(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
BEGIN
    SELECT * INTO trip FROM hail.trips t WHERE t.id = lock_trip.trip_id FOR NO KEY UPDATE;
    IF trip.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such trip', 'trip_id');
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.lock_trip(uuid) IS 'Lock a trip, then read it; error not_found. First lock of every change to a trip. Internal.';

CREATE FUNCTION hail.lock_offered_trip(trip_id uuid, driver_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips;
BEGIN
    -- Offers are never removed: one that is there now is there under the lock.
    SELECT * INTO trip FROM hail.trips t WHERE t.id = lock_offered_trip.trip_id AND EXISTS (
        SELECT FROM hail.offers o WHERE o.trip_id = lock_offered_trip.trip_id AND o.driver_id = lock_offered_trip.driver_id)
    FOR NO KEY UPDATE;
    IF trip.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such offer', 'trip_id');
    END IF;
    RETURN trip;
END
$$;
COMMENT ON FUNCTION hail.lock_offered_trip(uuid, uuid) IS
'Lock a trip that a driver has been offered; to anybody else it is the same whether there is such a trip: error not_found. Internal.';

CREATE FUNCTION hail.caller_role() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.current_role_name() IS NULL THEN
        PERFORM hail.fail('unauthenticated', 'not authenticated', NULL,
                          'Call hail.authenticate(token) first in the same transaction.');
    END IF;
    RETURN hail.current_role_name();
END
$$;
COMMENT ON FUNCTION hail.caller_role() IS 'The caller''s role, or error unauthenticated. Internal.';

CREATE FUNCTION hail.lock_driven_trip(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF hail.caller_role() NOT IN ('driver', 'admin') THEN
        PERFORM hail.fail('forbidden', 'only the driver of a trip may do this');
    END IF;
    RETURN hail.lock_trip_of_caller(trip_id);
END
$$;
COMMENT ON FUNCTION hail.lock_driven_trip(uuid) IS
'Lock a trip for its driver or an administrator; for anybody else it does not exist. Internal.';

CREATE FUNCTION hail.trip_for_caller(trip hail.trips) RETURNS hail.trips
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'hail_trip_for_caller';
COMMENT ON FUNCTION hail.trip_for_caller(hail.trips) IS 'A trip with NULL in the columns that the calling role does not see; administrators see all. Internal.';

CREATE FUNCTION hail.dispatch_policy(region_id smallint, service text) RETURNS hail.dispatch_policies
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT p FROM hail.dispatch_policies p
    WHERE (p.region_id IS NULL OR p.region_id = dispatch_policy.region_id)
      AND (p.service IS NULL OR p.service = dispatch_policy.service) AND p.effective @> hail.clock()
    ORDER BY p.region_id IS NULL, p.service IS NULL, p.id = 1 LIMIT 1);
COMMENT ON FUNCTION hail.dispatch_policy(smallint, text) IS
'The policy in force: region and service, else region, else service, else the general one. Internal.';

CREATE FUNCTION hail.trip_event(trip hail.trips, type text, payload jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hail.write_event('trip', trip.id, trip.event_version, type,
        jsonb_build_object('state', trip.state, 'customer_id', trip.customer_id, 'driver_id', trip.driver_id) || payload);
END
$$;
COMMENT ON FUNCTION hail.trip_event(hail.trips, text, jsonb) IS
'Write a trip''s event under the version that its row has just been given. Internal.';

CREATE FUNCTION hail.wake_dispatcher() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'hail_wake_dispatcher';
COMMENT ON FUNCTION hail.wake_dispatcher() IS 'The dispatcher looks at searching trips as soon as this transaction commits. Internal.';

-- Who sees which rows

CREATE FUNCTION hail.offered_trips() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT o.trip_id FROM hail.offers o WHERE o.driver_id = hail.current_subject() AND o.status = 'pending';
END;
COMMENT ON FUNCTION hail.offered_trips() IS 'Trips the calling driver holds a pending offer of; for policies.';

CREATE FUNCTION hail.own_trip(trip_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM hail.trips t WHERE t.id = trip_id AND t.customer_id = hail.current_subject());
COMMENT ON FUNCTION hail.own_trip(uuid) IS 'The trip is the calling customer''s; for policies.';
GRANT EXECUTE ON FUNCTION hail.offered_trips() TO hail_driver;
GRANT EXECUTE ON FUNCTION hail.own_trip(uuid) TO hail_customer;

CREATE POLICY trips_customer ON hail.trips FOR SELECT TO hail_customer USING (customer_id = hail.current_subject());
CREATE POLICY trips_driver ON hail.trips FOR SELECT TO hail_driver
    USING (driver_id = hail.current_subject() OR id IN (SELECT hail.offered_trips())
           OR backup_driver_id = hail.current_subject() AND state = 'matched');
CREATE POLICY trips_admin ON hail.trips FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
CREATE POLICY trips_analyst ON hail.trips FOR SELECT TO hail_analyst USING (hail.current_role_name() = 'analyst');
GRANT SELECT ON hail.trips TO hail_admin;
-- The same columns as hail.trip_for_caller() leaves each role.
GRANT SELECT (id, region_id, service, service_class, customer_id, driver_id, driver_slot, quote_id, state, strategy, payment_method,
              pickup_lat, pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, cancellation_fee, currency, surge,
              pickup_code, round, search_until, queue_position, favourites_first, event_version, idempotency_key, requested_at,
              matched_at, arrived_at, started_at, completed_at, cancelled_at, cancelled_by, cancel_reason, no_drivers_reason,
              scheduled_for, confirm_by, confirmed_at, weight_kg, volume_l, partner_id, partner_order, waiting_amount, waiting_max, destination_changes,
              waiting_from, payment_state, promotion_amount, tolls)
    ON hail.trips TO hail_customer, hail_partner;
GRANT SELECT (id, region_id, service, service_class, customer_id, driver_id, driver_slot, state, strategy, payment_method, pickup_lat,
              pickup_lng, dropoff_lat, dropoff_lng, distance_m, duration_s, price, commission_bp, cancellation_fee, currency, surge,
              round, event_version, requested_at, matched_at, arrived_at, started_at, completed_at, cancelled_at, cancelled_by,
              cancel_reason, scheduled_for, confirm_by, confirmed_at, backup_driver_id, weight_kg, volume_l, waiting_amount,
              waiting_max, destination_changes, waiting_from, payment_state, promotion_amount, tolls)
    ON hail.trips TO hail_driver;
GRANT SELECT (id, region_id, service, service_class, state, strategy, payment_method, distance_m, duration_s, price, commission_bp,
              cancellation_fee, currency, surge, round, policy_id, requested_at, matched_at, arrived_at, started_at, completed_at,
              cancelled_at, cancelled_by, no_drivers_reason, scheduled_for, confirmed_at, variant_id, waiting_amount, waiting_max, destination_changes,
              waiting_from, payment_state, promotion_amount, tolls)
    ON hail.trips TO hail_analyst;

CREATE POLICY offers_customer ON hail.offers FOR SELECT TO hail_customer USING (hail.own_trip(trip_id));
CREATE POLICY offers_driver ON hail.offers FOR SELECT TO hail_driver USING (driver_id = hail.current_subject());
CREATE POLICY offers_admin ON hail.offers FOR SELECT TO hail_admin USING (hail.current_role_name() = 'admin');
CREATE POLICY offers_analyst ON hail.offers FOR SELECT TO hail_analyst USING (hail.current_role_name() = 'analyst');
GRANT SELECT ON hail.offers TO hail_driver, hail_admin;
-- Who was asked, how the score put them and why they refused is not the customer's to know; hail.trip_offers() names who accepted.
GRANT SELECT (id, trip_id, round, status, pickup_distance_m, pickup_eta_s, created_at, expires_at, responded_at) ON hail.offers
    TO hail_customer;
GRANT SELECT (id, trip_id, driver_id, round, slot, status, score, pickup_distance_m, pickup_eta_s, bid_id, forward, agreed_at,
              created_at, expires_at, responded_at) ON hail.offers TO hail_analyst;

CREATE POLICY trip_transitions_read ON hail.trip_transitions FOR SELECT USING (hail.current_role_name() IS NOT NULL);
GRANT SELECT ON hail.trip_transitions TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;
CREATE POLICY dispatch_policies_read ON hail.dispatch_policies FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));
GRANT SELECT ON hail.dispatch_policies TO hail_admin, hail_analyst;
