-- What the tests of strategies share: a region on the equator, its pickup at (0, :east), drivers D1 ... D6 556 m
-- apart to the east of it and D9 at 7 km, customers Ada, Bea, Cas; a frozen clock.
CREATE SCHEMA strategies;
CREATE TABLE strategies.people (name text PRIMARY KEY, id uuid NOT NULL, metres float8);
CREATE TABLE strategies.world (east float8);
INSERT INTO strategies.world VALUES (:east);
CREATE FUNCTION strategies.who(text) RETURNS uuid LANGUAGE sql STABLE AS 'SELECT id FROM strategies.people WHERE name = $1';
CREATE FUNCTION strategies.name_of(uuid) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM strategies.people WHERE id = $1';
CREATE FUNCTION strategies.tell_all() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(hail.report_location(id, 0, east + metres / 111195.0)) FROM strategies.people, strategies.world
   WHERE metres IS NOT NULL $$;
CREATE FUNCTION strategies.quote(customer text) RETURNS uuid LANGUAGE sql AS
$$ SELECT (hail.create_quote(strategies.who(customer), 0, east, 0, east + 0.05, 'economy')).id FROM strategies.world $$;
CREATE FUNCTION strategies.request(customer text, strategy text, key text, payment text DEFAULT 'cash', at timestamptz DEFAULT NULL)
RETURNS hail.trips LANGUAGE sql AS
$$ SELECT hail.request_trip(strategies.quote(customer), payment, strategy, key, at) $$;
CREATE FUNCTION strategies.offers(trip uuid) RETURNS TABLE (round integer, driver text, status text, lives interval)
LANGUAGE sql AS $$ SELECT o.round, strategies.name_of(o.driver_id), o.status, o.expires_at - o.created_at
                   FROM hail.offers o WHERE o.trip_id = trip ORDER BY 1, 2 $$;
-- Time passes: drivers report, the dispatcher looks once.
CREATE FUNCTION strategies.later(by interval) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hail.advance_clock(by), strategies.tell_all();
    RETURN hail.dispatch_tick();
END $$;
CREATE FUNCTION strategies.events(trip uuid, after integer DEFAULT 0) RETURNS TABLE (version integer, type text, about text)
LANGUAGE sql AS $$
    SELECT e.version, e.type, concat_ws(' ', strategies.name_of((e.payload ->> 'bidder')::uuid), e.payload ->> 'amount',
        e.payload ->> 'reason', e.payload ->> 'by')
    FROM hail.events e WHERE e.aggregate_id = trip AND e.version > after ORDER BY 1 $$;

SELECT hail.set_clock('2013-11-20 10:00+00') AS clock;
SELECT (hail.create_region('strategies' || :east, 'Strategies', 'EUR', 'Africa/Cairo',
                           ST_MakeEnvelope(:east - 1, -1, :east + 1, 1, 4326))).currency;
SELECT (hail.set_fare('strategies' || :east, 'economy', 1000, 350, 50, 1500, 1500, 0, 300)).id IS NOT NULL AS fare;
INSERT INTO strategies.people
    SELECT name, (hail.register_user('+3519600' || :east || to_char(n, 'FM000'), name, 'customer')).id, NULL
    FROM unnest(ARRAY['Ada', 'Bea', 'Cas']) WITH ORDINALITY AS c (name, n);
DO $$
DECLARE
    at float8 := (SELECT east FROM strategies.world);
    person record;
BEGIN
    FOR person IN SELECT i, 'D' || i AS name, CASE i WHEN 9 THEN 7000 ELSE i * 556 END AS metres
                  FROM unnest(ARRAY[1, 2, 3, 4, 5, 6, 9]) i LOOP
        INSERT INTO strategies.people
            SELECT person.name, (hail.register_user('+3519600' || at || to_char(10 + person.i, 'FM000'), person.name, 'driver')).id,
                   person.metres;
        PERFORM hail.register_driver(strategies.who(person.name), 'strategies' || at, ARRAY['economy']);
        PERFORM hail.approve_driver(strategies.who(person.name));
        PERFORM hail.set_availability(strategies.who(person.name), true, 0, at + person.metres / 111195.0);
    END LOOP;
END
$$;
SET search_path = strategies, public;
