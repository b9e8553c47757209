-- 72_ledger_trips: what trips do to the ledger (src/ledger/trip_payment.c)

CREATE FUNCTION hail.commission(price bigint, commission_bp integer) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hail_commission';
COMMENT ON FUNCTION hail.commission(bigint, integer) IS
'The platform''s share of a price: price * basis points / 10000, half rounded up; minor units.';
GRANT EXECUTE ON FUNCTION hail.commission(bigint, integer) TO hail_customer, hail_driver, hail_admin, hail_partner, hail_analyst;

CREATE FUNCTION hail.hold_trip_fare(trip hail.trips) RETURNS uuid
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_hold_trip_fare';
COMMENT ON FUNCTION hail.hold_trip_fare(hail.trips) IS
'Hold a trip''s price on the customer''s wallet; the hold, or NULL when nothing is to be held (cash, price 0). A trip has one open hold. Its row is locked. Internal.';

CREATE FUNCTION hail.change_trip_hold(trip hail.trips, amount bigint) RETURNS uuid
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_change_trip_hold';
COMMENT ON FUNCTION hail.change_trip_hold(hail.trips, bigint) IS
'Hold another amount for a locked trip paid by wallet: its open hold is released and a new one placed, in this transaction; returns it, NULL when nothing is held any more. Error insufficient_balance. Internal.';

CREATE FUNCTION hail.settle_trip(trip hail.trips) RETURNS void
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_settle_trip';
COMMENT ON FUNCTION hail.settle_trip(hail.trips) IS
'Pay a completed trip, once: by wallet from its hold, in cash the commission from the driver''s wallet. Its row is locked. Internal.';

CREATE FUNCTION hail.release_trip_fare(trip hail.trips) RETURNS void
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_release_trip_fare';
COMMENT ON FUNCTION hail.release_trip_fare(hail.trips) IS
'Give a trip''s hold back, when it has one. Its row is locked. Internal.';

CREATE FUNCTION hail.charge_cancellation(trip hail.trips, fee bigint) RETURNS void
LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_charge_cancellation';
COMMENT ON FUNCTION hail.charge_cancellation(hail.trips, bigint) IS
'Take a cancellation fee from the customer''s wallet, once and as far as it goes, shared with the trip''s driver like a fare, and give the rest of the hold back. The trip''s row is locked. Internal.';
