-- The event store: partitions come from hail.maintain_partitions(), or here, before it has ever run.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'hail.events'::regclass) THEN
        CREATE TABLE hail.events_default PARTITION OF hail.events DEFAULT;
    END IF;
END $$;
SELECT hail.set_clock('2026-03-01 12:00+00');
SELECT count(*) AS gaps_before FROM hail.event_gaps();

-- An event carries who did it; without a verified subject that is the system.
SELECT hail.write_event('parcel', '01ff0000-0000-7000-8000-000000000001', 1, 'ParcelMade', '{"weight": 2}');
SET hail.request_id = 'request-7';
SELECT hail.write_event('parcel', '01ff0000-0000-7000-8000-000000000001', 2, 'ParcelSent', '{}');
RESET hail.request_id;
SELECT aggregate_type, version, type, payload, actor, subject, request_id, occurred_at, xid <= pg_current_xact_id() AS xid_kept
FROM hail.events WHERE aggregate_type = 'parcel' ORDER BY id;

-- With a verified subject it is that user, also inside a function that runs as the tables' owner.
INSERT INTO hail.users (id, name, role) VALUES ('cccccccc-0000-7000-8000-000000000001', 'Event Customer', 'customer');
CREATE FUNCTION public.send_parcel() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    SELECT hail.write_event('parcel', '01ff0000-0000-7000-8000-000000000001', 3, 'ParcelReceived', '{}') $$;
BEGIN;
SELECT subject FROM hail.authenticate(hail.issue_token('cccccccc-0000-7000-8000-000000000001'));
SELECT current_user, public.send_parcel();
COMMIT;
SELECT version, actor, subject FROM hail.events WHERE aggregate_type = 'parcel' ORDER BY id DESC LIMIT 1;
DROP FUNCTION public.send_parcel();

-- Gaps are found: a version left out, a beginning above 1.
SELECT hail.write_event('parcel', '01ff0000-0000-7000-8000-000000000001', 5, 'ParcelLost', '{}');
SELECT hail.write_event('parcel', '01ff0000-0000-7000-8000-000000000002', 2, 'ParcelSent', '{}');
SELECT * FROM hail.event_gaps() WHERE aggregate_type = 'parcel';

-- A version is written once.
DO $$
BEGIN
    PERFORM hail.write_event('parcel', '01ff0000-0000-7000-8000-000000000001', 2, 'ParcelSent', '{}');
EXCEPTION WHEN unique_violation THEN
    RAISE NOTICE 'refused';
END $$;

-- Only administrators read events; nobody writes them but through the modules' functions.
SET ROLE hail_admin;
SELECT count(*) FROM hail.events WHERE aggregate_type = 'parcel';
INSERT INTO hail.events (aggregate_type, aggregate_id, version, type, payload, actor, occurred_at)
VALUES ('parcel', hail.uuid7(), 1, 'Forged', '{}', 'admin', hail.clock());
SELECT hail.write_event('parcel', '01ff0000-0000-7000-8000-000000000003', 1, 'Forged', '{}');
SET ROLE hail_customer;
SELECT count(*) FROM hail.events;
SELECT * FROM hail.event_gaps();
RESET ROLE;

DELETE FROM hail.events WHERE aggregate_type = 'parcel';
SELECT hail.reset_clock() IS NOT NULL AS clock_reset;
