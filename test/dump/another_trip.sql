-- In the restored database: the trip under way is finished, and a new one made.
SELECT hail.arrive(id), hail.start_trip(id, pickup_code), hail.complete_trip(id) FROM hail.trips WHERE state = 'matched';
SELECT hail.advance_clock('2 minutes');
SELECT * FROM hail.keep();
SELECT hail.set_availability(id, true, 30.001, -40.001) FROM hail.users WHERE phone = '+888200000001';
DO $$
DECLARE
    customer uuid := (SELECT id FROM hail.users WHERE phone = '+888100000001');
    driver uuid := (SELECT id FROM hail.users WHERE phone = '+888200000001');
    quote hail.quotes := hail.create_quote(customer, 30, -40, 30.05, -40.02, 'economy');
    trip hail.trips := hail.request_trip(quote.id, 'wallet', idempotency_key => 'after-restore');
BEGIN
    PERFORM hail.accept_offer(trip.id, driver);
    PERFORM hail.arrive(trip.id);
    PERFORM hail.start_trip(trip.id, (hail.get_trip(trip.id)).pickup_code);
    IF (hail.complete_trip(trip.id)).state <> 'completed' THEN
        RAISE EXCEPTION 'not completed';
    END IF;
END
$$;
