-- A day of requests against simulated drivers, through the engine's own functions on the test clock, in one session:
-- nothing but this script asks for the time, so a day takes minutes and a seed gives the same day again.
-- test/replay/surge_day fills sim.requests, sim.usual and sim.pace and calls this.
--
--   a customer  asks for a quote; a looker leaves it at that, the others request and wait (hail.request_trip)
--   a driver    is on shift, reports every half minute, accepts, declines or ignores offers, drives to the pickup, starts
--               with the customer's code, completes where the passenger leaves; free, it stays a while, then drives to
--               where pickups usually are at that hour, or to a hexagon with surge
--   the engine  hail.keep() each half minute (positions, presence, history, surge, ledger), hail.dispatch_tick()
--
-- Straight lines at the pace of the hour (sim.pace, metres a second of great circle); trips take as long as sim.requests says.

CREATE SCHEMA sim;
CREATE TABLE sim.requests (
    n       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    lat     float8 NOT NULL,
    lng     float8 NOT NULL,
    to_lat  float8 NOT NULL,
    to_lng  float8 NOT NULL,
    drive_s integer NOT NULL,
    books   boolean NOT NULL DEFAULT true
);
-- Where pickups usually are, and how many there usually are in that hour of a day.
CREATE TABLE sim.usual (hour integer, n integer, lat float8, lng float8, PRIMARY KEY (hour, n));
CREATE TABLE sim.pace (hour integer PRIMARY KEY, metres_per_s float8 NOT NULL, pickups_a_day float8 NOT NULL);
CREATE TABLE sim.drivers (
    id          uuid PRIMARY KEY,
    on_at       timestamptz NOT NULL,
    off_at      timestamptz NOT NULL,
    state       text NOT NULL DEFAULT 'home' CHECK (state IN ('home', 'free', 'driving', 'gone')),
    free_since  timestamptz,
    from_lat    float8 NOT NULL, from_lng float8 NOT NULL, from_at timestamptz NOT NULL DEFAULT '-infinity',
    to_lat      float8 NOT NULL, to_lng float8 NOT NULL, to_at timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE TABLE sim.customers (n integer PRIMARY KEY, id uuid NOT NULL);
CREATE TABLE sim.trips (id uuid PRIMARY KEY, request integer NOT NULL, asked_round integer NOT NULL DEFAULT 0);
CREATE TABLE sim.events (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL,
    kind   text NOT NULL CHECK (kind IN ('accept', 'decline', 'arrive', 'start', 'complete')),
    trip   uuid NOT NULL,
    driver uuid NOT NULL
);
CREATE INDEX ON sim.events (at, id);
CREATE TABLE sim.outcomes (what text PRIMARY KEY, count integer NOT NULL);

CREATE FUNCTION sim.note(what text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO sim.outcomes AS o VALUES (what, 1) ON CONFLICT ON CONSTRAINT outcomes_pkey DO UPDATE SET count = o.count + 1
$$;

CREATE FUNCTION sim.word(state text, message text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT c.code FROM hail.error_codes() c WHERE c.sqlstate = state), state || ' ' || message)
$$;

-- How far a driver is on its line.
CREATE FUNCTION sim.share(d sim.drivers, t timestamptz) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN d.to_at <= t THEN 1 ELSE greatest(0, extract(epoch FROM t - d.from_at) / extract(epoch FROM d.to_at - d.from_at)) END
$$;

CREATE FUNCTION sim.metres(a_lat float8, a_lng float8, b_lat float8, b_lng float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT public.ST_DistanceSphere(public.ST_MakePoint(a_lng, a_lat), public.ST_MakePoint(b_lng, b_lat))
$$;

-- The hour that sim.usual and sim.pace know.
CREATE FUNCTION sim.hour(t timestamptz) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT extract(hour FROM t AT TIME ZONE (SELECT timezone FROM hail.regions))::integer
$$;

-- Send a driver somewhere, to be there at `arrival`, or as the pace of the hour allows.
CREATE FUNCTION sim.send(driver uuid, lat float8, lng float8, arrival timestamptz DEFAULT NULL) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    d sim.drivers;
    t timestamptz := hail.clock();
    done float8;
BEGIN
    SELECT * INTO d FROM sim.drivers WHERE id = driver;
    done := sim.share(d, t);
    d.from_lat := d.from_lat + done * (d.to_lat - d.from_lat);
    d.from_lng := d.from_lng + done * (d.to_lng - d.from_lng);
    IF arrival IS NULL THEN
        arrival := t + make_interval(secs => 30 + sim.metres(d.from_lat, d.from_lng, lat, lng) / p.metres_per_s)
            FROM sim.pace p WHERE p.hour = sim.hour(t);
    END IF;
    UPDATE sim.drivers SET from_lat = d.from_lat, from_lng = d.from_lng, from_at = t, to_lat = send.lat, to_lng = send.lng, to_at = arrival
    WHERE id = driver;
    RETURN arrival;
END
$$;

-- Set-up: `spare` drivers' hours for each one that usual pickups need; shifts of 5 to 9 hours, begun where pickups are.
CREATE PROCEDURE sim.make_people(customers integer, first_at timestamptz, last_at timestamptz, cycle_s float8, spare float8)
LANGUAGE plpgsql AS $$
DECLARE
    region hail.regions;
    hour_at timestamptz;
    wanted integer;
    driver uuid;
    starts timestamptz;
    place record;
    made integer := 0;
BEGIN
    SELECT * INTO region FROM hail.regions;
    FOR n IN 1..customers LOOP
        INSERT INTO sim.customers SELECT n, u.id FROM hail.register_user('+888' || lpad(n::text, 9, '0'), 'Customer ' || n, 'customer') u;
        IF n % 500 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
    PERFORM hail.post_transaction('DEPOSIT', ARRAY[ROW(g.id, 'debit', 10000000), ROW(w.id, 'credit', 10000000)]::hail.entry_input[], 'funds:' || c.id)
    FROM sim.customers c, LATERAL hail.open_account('GATEWAY_CLEARING', NULL, region.currency) g,
         LATERAL hail.open_account('CUSTOMER_WALLET', c.id, region.currency) w;
    COMMIT;
    FOR hour_at IN SELECT generate_series(date_trunc('hour', first_at) - interval '9 hours', last_at, '1 hour') LOOP
        SELECT greatest(2, ceil(p.pickups_a_day / 3600 * cycle_s * spare)) - (SELECT count(*) FROM sim.drivers d WHERE d.off_at > hour_at + interval '1 hour')
            INTO wanted FROM sim.pace p WHERE p.hour = sim.hour(hour_at);
        FOR n IN 1..wanted LOOP
            SELECT * INTO place FROM sim.usual u WHERE u.hour = sim.hour(hour_at)
            ORDER BY u.n OFFSET floor(random() * (SELECT count(*) FROM sim.usual x WHERE x.hour = sim.hour(hour_at))) LIMIT 1;
            starts := hour_at + random() * interval '1 hour';
            made := made + 1;
            driver := (hail.register_user('+889' || lpad(made::text, 9, '0'), 'Driver ' || made, 'driver')).id;
            PERFORM hail.register_driver(driver, region.code, '{economy}'), hail.approve_driver(driver),
                    hail.add_vehicle(driver, 'D-' || made, 'Sedan', 'grey', 2014, 4);
            INSERT INTO sim.drivers (id, on_at, off_at, from_lat, from_lng, to_lat, to_lng)
            VALUES (driver, starts, starts + interval '5 hours' + random() * interval '4 hours', place.lat, place.lng, place.lat, place.lng);
        END LOOP;
        COMMIT;
    END LOOP;
    -- nobody drives on past the end of the day's shifts that began before it
    DELETE FROM sim.drivers WHERE off_at <= first_at;
END
$$;

-- A customer asks, and requests if it is not only looking.
CREATE FUNCTION sim.ask(r sim.requests) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    customer uuid := (SELECT id FROM sim.customers WHERE n = 1 + r.n % (SELECT count(*) FROM sim.customers));
    quote uuid;
BEGIN
    quote := (hail.create_quote(customer, r.lat, r.lng, r.to_lat, r.to_lng, 'economy')).id;
    IF NOT r.books THEN
        PERFORM sim.note('looked only');
        RETURN;
    END IF;
    INSERT INTO sim.trips SELECT t.id, r.n FROM hail.request_trip(quote, 'wallet', idempotency_key => 'request-' || r.n) t;
    PERFORM sim.note('requested');
EXCEPTION WHEN OTHERS THEN
    PERFORM sim.note('request refused: ' || sim.word(SQLSTATE, SQLERRM));
END
$$;

-- New offers are answered after 3 to 12 seconds: 85 % accepted, 10 % declined, the others left to expire.
CREATE FUNCTION sim.read_offers() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH asked AS (
        UPDATE sim.trips s SET asked_round = t.round FROM hail.trips t
        WHERE t.id = s.id AND t.next_round_at IS NOT NULL AND t.state = 'searching' AND t.round > s.asked_round RETURNING t.id, t.round
    ), answers AS MATERIALIZED (
        SELECT a.id, o.driver_id, random() AS x, random() AS delay FROM asked a JOIN hail.offers o ON o.trip_id = a.id AND o.round = a.round
        WHERE o.status = 'pending' ORDER BY o.pickup_distance_m, o.driver_id
    )
    INSERT INTO sim.events (at, kind, trip, driver)
    SELECT hail.clock() + make_interval(secs => 3 + 9 * delay), CASE WHEN x < 0.85 THEN 'accept' ELSE 'decline' END, id, driver_id
    FROM answers WHERE x < 0.95 ORDER BY delay;
END
$$;

-- One step of a driver; what a race refuses is noted and no more.
CREATE FUNCTION sim.act(e sim.events) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r sim.requests;
    t timestamptz := hail.clock();
BEGIN
    IF e.kind = 'decline' THEN
        PERFORM hail.decline_offer(e.trip, e.driver);
        RETURN;
    END IF;
    SELECT x.* INTO r FROM sim.requests x JOIN sim.trips s ON s.request = x.n WHERE s.id = e.trip;
    IF e.kind = 'accept' THEN
        PERFORM hail.accept_offer(e.trip, e.driver);
        DELETE FROM sim.events WHERE trip = e.trip OR driver = e.driver AND kind IN ('accept', 'decline');
        UPDATE sim.drivers SET state = 'driving' WHERE id = e.driver;
        INSERT INTO sim.events (at, kind, trip, driver) VALUES (sim.send(e.driver, r.lat, r.lng), 'arrive', e.trip, e.driver);
    ELSIF e.kind = 'arrive' THEN
        PERFORM hail.report_location(e.driver, r.lat, r.lng), hail.arrive(e.trip);
        INSERT INTO sim.events (at, kind, trip, driver) VALUES (t + make_interval(secs => 20 + 70 * random()), 'start', e.trip, e.driver);
    ELSIF e.kind = 'start' THEN
        PERFORM hail.start_trip(e.trip, (hail.get_trip(e.trip)).pickup_code);
        INSERT INTO sim.events (at, kind, trip, driver)
        VALUES (sim.send(e.driver, r.to_lat, r.to_lng, t + make_interval(secs => r.drive_s)), 'complete', e.trip, e.driver);
    ELSE
        PERFORM hail.report_location(e.driver, r.to_lat, r.to_lng), hail.complete_trip(e.trip);
        UPDATE sim.drivers SET state = 'free', free_since = t WHERE id = e.driver;
    END IF;
EXCEPTION WHEN OTHERS THEN
    PERFORM sim.note(format('%s refused: %s', e.kind, sim.word(SQLSTATE, SQLERRM)));
END
$$;

-- Every half minute: shifts begin and end, the idle move on, everybody reports.
CREATE FUNCTION sim.move_drivers(t timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    d record;
    place record;
    this_hour integer := sim.hour(t);
    places integer := (SELECT max(u.n) FROM sim.usual u WHERE u.hour = this_hour);
BEGIN
    FOR d IN SELECT * FROM sim.drivers WHERE state = 'home' AND on_at <= t ORDER BY on_at LOOP
        PERFORM hail.set_availability(d.id, true, d.to_lat, d.to_lng);
        UPDATE sim.drivers SET state = 'free', free_since = t WHERE id = d.id;
    END LOOP;
    FOR d IN SELECT x.id FROM sim.drivers x JOIN hail.drivers h USING (id) WHERE x.state = 'free' AND x.off_at <= t AND h.trip_id IS NULL ORDER BY x.on_at LOOP
        PERFORM hail.set_availability(d.id, false);
        UPDATE sim.drivers SET state = 'gone' WHERE id = d.id;
    END LOOP;
    -- After five minutes in one place: three times of ten to the strongest surge within 3 km, else to the nearest of
    -- three places where a pickup was at this hour on another day.
    FOR d IN SELECT * FROM sim.drivers WHERE state = 'free' AND to_at <= t - interval '5 minutes' AND free_since <= t - interval '5 minutes'
             ORDER BY on_at LOOP
        place := NULL;
        IF random() < 0.3 THEN
            SELECT ST_Y(c.centre) AS lat, ST_X(c.centre) AS lng INTO place
            FROM hail.surge_map(d.to_lat, d.to_lng, 3000) m, LATERAL (SELECT ST_Centroid(m.hexagon) AS centre) c
            ORDER BY m.multiplier DESC, sim.metres(d.to_lat, d.to_lng, ST_Y(c.centre), ST_X(c.centre)) LIMIT 1;
        END IF;
        IF place IS NULL THEN
            SELECT u.lat, u.lng INTO place FROM (SELECT floor(random() * places)::integer + 1 AS n FROM generate_series(1, 3)) pick
            JOIN sim.usual u ON u.hour = this_hour AND u.n = pick.n
            ORDER BY sim.metres(d.to_lat, d.to_lng, u.lat, u.lng) LIMIT 1;
        END IF;
        IF place IS NOT NULL THEN
            PERFORM sim.send(d.id, place.lat, place.lng);
        END IF;
    END LOOP;
    PERFORM hail.report_locations(array_agg(x.id ORDER BY x.on_at), array_agg(x.from_lat + s.share * (x.to_lat - x.from_lat) ORDER BY x.on_at),
                                  array_agg(x.from_lng + s.share * (x.to_lng - x.from_lng) ORDER BY x.on_at))
    FROM sim.drivers x, LATERAL (SELECT sim.share(x, t)) s WHERE x.state IN ('free', 'driving') HAVING count(*) > 0;
END
$$;

-- From first_at until before last_at. One call a quarter of an hour: a session tells autovacuum what it has done only
-- between statements.
CREATE PROCEDURE sim.run(first_at timestamptz, last_at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz := first_at;
    r sim.requests;
    e sim.events;
    next_request integer := (SELECT coalesce(sum(count), 0) + 1 FROM sim.outcomes WHERE what ~ '^(looked|request)');
BEGIN
    WHILE t < last_at LOOP
        PERFORM hail.set_clock(t);
        IF extract(epoch FROM t)::bigint % 30 = 0 THEN
            EXIT WHEN t > (SELECT max(at) FROM sim.requests)
                AND NOT EXISTS (SELECT FROM hail.trips WHERE state IN ('searching', 'matched', 'arrived', 'started'));
            PERFORM sim.move_drivers(t);
            COMMIT;
            PERFORM hail.keep();
            COMMIT;
        END IF;
        LOOP
            SELECT * INTO r FROM sim.requests x WHERE x.n = next_request AND x.at <= t;
            EXIT WHEN NOT FOUND;
            PERFORM sim.ask(r);
            COMMIT;
            next_request := next_request + 1;
        END LOOP;
        LOOP
            DELETE FROM sim.events x WHERE x.id = (SELECT y.id FROM sim.events y WHERE y.at <= t ORDER BY y.at, y.id LIMIT 1) RETURNING x.* INTO e;
            EXIT WHEN NOT FOUND;
            PERFORM sim.act(e);
            COMMIT;
        END LOOP;
        PERFORM hail.dispatch_tick();
        PERFORM sim.read_offers();
        COMMIT;
        t := t + interval '5 seconds';
    END LOOP;
END
$$;

CREATE FUNCTION sim.progress() RETURNS text LANGUAGE sql AS $$
    SELECT format('  %s  requests %s, on trips %s, drivers on shift %s, hexagons with surge %s',
        to_char(hail.clock() AT TIME ZONE (SELECT timezone FROM hail.regions), 'HH24:MI'), (SELECT count(*) FROM hail.trips),
        (SELECT count(*) FROM hail.drivers WHERE trip_id IS NOT NULL), (SELECT count(*) FROM hail.drivers WHERE online),
        (SELECT count(*) FROM hail.surge_cells WHERE multiplier > 1))
$$;
