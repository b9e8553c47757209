-- Positions appended by many while many drain them. Client c's point number n is of driver c at second n of a day, its
-- place says c and n again: what is lost, doubled or torn shows.
CREATE SCHEMA stress;
CREATE FUNCTION stress.driver(client integer) RETURNS uuid LANGUAGE sql IMMUTABLE
AS $$ SELECT ('00000000-0000-7000-8000-' || (100000000000 + client)::text)::uuid $$;
-- Every fifth point is of a day that has no partition: it goes to the default one.
CREATE FUNCTION stress.second(n integer) RETURNS timestamptz LANGUAGE sql IMMUTABLE
AS $$ SELECT '2030-05-05 00:00+00'::timestamptz + n * interval '1 s' + CASE WHEN n % 5 = 0 THEN interval '100 days' ELSE '0' END $$;

-- One point, on a trip or not; tried again until it is taken: a full ring and a table without a partition for it refuse it.
-- (Between two tries the transaction ends, or it would keep the partition from coming back.)
CREATE PROCEDURE stress.append_point(client integer, n integer) LANGUAGE plpgsql AS $$
DECLARE
    taken boolean;
BEGIN
    LOOP
        BEGIN
            PERFORM hail.append_history(stress.driver(client), CASE WHEN n % 2 = 0 THEN stress.driver(client) END,
                                        n / 1000.0, client, stress.second(n));
            taken := true;
        EXCEPTION WHEN check_violation OR deadlock_detected THEN
            taken := false;
        END;
        EXIT WHEN taken;
        COMMIT;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
-- Every third point is sent twice, as a phone does that had no answer.
CREATE PROCEDURE stress.append(client integer, points integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1..points LOOP
        CALL stress.append_point(client, n);
        IF n % 3 = 0 THEN
            CALL stress.append_point(client, greatest(n - n % 7, 1));
        END IF;
        IF n % 20 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END
$$;

CREATE TABLE stress.finished (client integer PRIMARY KEY);
-- A drain beside the keeper's, now and then rolled back, wholly or in a block.
CREATE PROCEDURE stress.drain(clients integer) LANGUAGE plpgsql AS $$
BEGIN
    WHILE (SELECT count(*) < clients FROM stress.finished) LOOP
        BEGIN
            PERFORM hail.drain_history();
            IF random() < 0.2 THEN
                RAISE EXCEPTION 'changed my mind' USING ERRCODE = 'ZZZZZ';
            END IF;
        EXCEPTION WHEN SQLSTATE 'ZZZZZ' OR check_violation OR deadlock_detected THEN
            NULL;
        END;
        IF random() < 0.3 THEN ROLLBACK; ELSE COMMIT; END IF;
        PERFORM pg_sleep(0.005);
    END LOOP;
END
$$;
-- Takes the default partition away and gives it back: drains, and reporters that find the ring full, fail meanwhile.
CREATE PROCEDURE stress.take_default_away(clients integer) LANGUAGE plpgsql AS $$
BEGIN
    WHILE (SELECT count(*) < clients FROM stress.finished) LOOP
        ALTER TABLE hail.location_history DETACH PARTITION hail.location_history_default;
        COMMIT;
        PERFORM pg_sleep(0.05);
        ALTER TABLE hail.location_history ATTACH PARTITION hail.location_history_default DEFAULT;
        COMMIT;
        PERFORM pg_sleep(0.15);
    END LOOP;
END
$$;

-- Points that are missing, too many, or not as they were sent.
CREATE FUNCTION stress.wrong(clients integer, points integer) RETURNS TABLE (what text, found bigint) LANGUAGE sql AS $$
    WITH sent AS (
        SELECT stress.driver(c) AS driver_id, CASE WHEN n % 2 = 0 THEN stress.driver(c) END AS trip_id,
               n / 1000.0::float8 AS lat, c::float8 AS lng, stress.second(n) AS recorded_at
        FROM generate_series(1, clients) c, generate_series(1, points) n),
    kept AS (SELECT driver_id, trip_id, lat, lng, recorded_at FROM hail.location_history)
    SELECT 'missing', count(*) FROM (SELECT * FROM sent EXCEPT ALL SELECT * FROM kept) m
    UNION ALL SELECT 'too many', count(*) FROM (SELECT * FROM kept EXCEPT ALL SELECT * FROM sent) t
    UNION ALL SELECT 'refused', count(*) FROM hail.location_rejects
    ORDER BY 1
$$;
