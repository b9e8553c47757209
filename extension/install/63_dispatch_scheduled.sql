-- 63_dispatch_scheduled: a scheduled trip's driver confirms; a backup driver stands by

CREATE FUNCTION hail.offer_backup(trip_id uuid, driver_id uuid) RETURNS integer
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_offer_backup';
COMMENT ON FUNCTION hail.offer_backup(uuid, uuid) IS
'Offer a locked searching trip to one driver alone, as a round of its own; 0 when that driver is not to be had. Internal.';

CREATE FUNCTION hail.stand_by(INOUT trip hail.trips, driver_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    offer hail.offers;
    driver hail.drivers;
BEGIN
    SELECT * INTO offer FROM hail.offers o WHERE o.trip_id = trip.id AND o.driver_id = stand_by.driver_id
    ORDER BY o.round DESC LIMIT 1;
    SELECT * INTO driver FROM hail.drivers d WHERE d.id = stand_by.driver_id;
    IF offer.id IS NULL THEN
        PERFORM hail.fail('not_found', 'there is no such offer', 'trip_id');
    ELSIF trip.backup_driver_id IS NOT NULL OR offer.status <> 'withdrawn' OR offer.round <> trip.round
            OR offer.expires_at <= hail.clock() THEN
        PERFORM hail.fail('trip_taken', 'another driver has this trip', 'trip_id');
    ELSIF driver.trip_id IS NOT NULL THEN
        PERFORM hail.fail('driver_busy', 'this driver is on a trip', 'driver_id');
    ELSIF driver.status <> 'approved' OR NOT driver.online THEN
        PERFORM hail.fail('driver_not_eligible', 'this driver is not online and approved', 'driver_id');
    END IF;
    UPDATE hail.trips t SET backup_driver_id = stand_by.driver_id, event_version = t.event_version + 1
    WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'BackupAgreed', jsonb_build_object('backup_driver_id', trip.backup_driver_id));
END
$$;
COMMENT ON FUNCTION hail.stand_by(hail.trips, uuid) IS
'The second driver to accept a scheduled trip, matched and locked, becomes its backup: nothing but its consent is kept, it stays free. Only by an offer of the round that was accepted, within its life. Errors: not_found, trip_taken, driver_busy, driver_not_eligible. Internal.';

CREATE FUNCTION hail.confirm_trip(trip_id uuid) RETURNS hail.trips
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trip hail.trips := hail.lock_driven_trip(trip_id);
    moment timestamptz := hail.clock();
BEGIN
    IF trip.strategy <> 'scheduled' THEN
        PERFORM hail.fail('wrong_state', 'only scheduled trips are confirmed', 'trip_id');
    ELSIF trip.confirmed_at IS NOT NULL AND trip.state IN ('matched', 'arrived', 'started', 'completed') THEN
        RETURN hail.trip_for_caller(trip);
    END IF;
    PERFORM hail.next_state(trip.state, 'confirm', 'driver');
    IF trip.confirm_by <= moment THEN
        PERFORM hail.fail('offer_expired', 'the time to confirm this trip is over', 'trip_id');
    END IF;
    UPDATE hail.trips t SET confirmed_at = moment, next_round_at = NULL, event_version = t.event_version + 1
    WHERE t.id = trip.id RETURNING * INTO trip;
    PERFORM hail.trip_event(trip, 'TripConfirmed', jsonb_build_object('scheduled_for', trip.scheduled_for,
        'backup_driver_id', trip.backup_driver_id));
    RETURN hail.trip_for_caller(trip);
END
$$;
COMMENT ON FUNCTION hail.confirm_trip(uuid) IS
'The driver of a scheduled trip (itself or admin) says, before confirm_by, that it will be there; else the trip goes to its backup driver, or is searched for again. Once more: the same trip. Errors: not_found, wrong_state (not a scheduled trip, or not matched), offer_expired (too late).';
GRANT EXECUTE ON FUNCTION hail.confirm_trip(uuid) TO hail_driver, hail_admin;
