-- 72_ledger_trips: templates of entries, and what trips do to the ledger (src/ledger/template.c, trip_payment.c)

CREATE TABLE hail.entry_templates (
    template     text NOT NULL,
    leg          smallint NOT NULL CHECK (leg BETWEEN 1 AND 16),
    account_kind text REFERENCES hail.account_kinds (kind),
    owner        text CHECK (owner IN ('customer', 'driver', 'wallet')),
    direction    text NOT NULL CHECK (direction IN ('debit', 'credit')),
    amount       text NOT NULL CHECK (amount ~ '^[a-z_]+$'),
    description  text NOT NULL,
    PRIMARY KEY (template, leg),
    CHECK (template ~ '^[a-z_]+$'),
    CHECK ((account_kind IS NULL) = (owner IS NOT DISTINCT FROM 'wallet'))
);
COMMENT ON TABLE hail.entry_templates IS
'What the engine posts: a transaction''s kind is the name of its template, its entries are the template''s legs with their amounts. Legs of nothing are left out, legs of the same account become one. src/ledger/TRIPS.md has examples.';
COMMENT ON COLUMN hail.entry_templates.owner IS
'Whose wallet: the trip''s customer, its driver, or a wallet that is named (wallet); NULL: a system account.';
COMMENT ON COLUMN hail.entry_templates.account_kind IS 'NULL for owner wallet: of whatever kind the wallet is.';
COMMENT ON COLUMN hail.entry_templates.amount IS 'Name of the amount; what is paid is told by the transaction.';
CREATE TRIGGER kept_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON hail.entry_templates
    FOR EACH STATEMENT EXECUTE FUNCTION hail.kept_changed();
ALTER TABLE hail.entry_templates ENABLE ALWAYS TRIGGER kept_changed;
GRANT SELECT ON hail.entry_templates TO hail_admin, hail_analyst;
CREATE POLICY entry_templates_read ON hail.entry_templates FOR SELECT TO hail_admin, hail_analyst
    USING (hail.current_role_name() IN ('admin', 'analyst'));

-- paid = fare + tolls - promotion. A driver's legs become one entry: fare less commission, and so on.
INSERT INTO hail.entry_templates (template, leg, account_kind, owner, direction, amount, description) VALUES
    ('trip_fare_wallet', 1, 'CUSTOMER_WALLET',  'customer', 'debit',  'paid',       'What the customer pays, from the hold'),
    ('trip_fare_wallet', 2, 'PROMOTIONS',       NULL,       'debit',  'promotion',  'What a promotion pays instead'),
    ('trip_fare_wallet', 3, 'DRIVER_WALLET',    'driver',   'credit', 'fare',       'The fare'),
    ('trip_fare_wallet', 4, 'DRIVER_WALLET',    'driver',   'debit',  'commission', 'less the commission'),
    ('trip_fare_wallet', 5, 'DRIVER_WALLET',    'driver',   'credit', 'tolls',      'Tolls that the driver has paid'),
    ('trip_fare_wallet', 6, 'PLATFORM_REVENUE', NULL,       'credit', 'commission', 'The platform''s share'),
    ('trip_commission_cash', 1, 'DRIVER_WALLET',    'driver', 'debit',  'commission', 'The driver has the fare in hand and owes the commission'),
    ('trip_commission_cash', 2, 'DRIVER_WALLET',    'driver', 'credit', 'promotion',  'What a promotion pays instead of the customer'),
    ('trip_commission_cash', 3, 'PROMOTIONS',       NULL,     'debit',  'promotion',  'The promotion''s cost'),
    ('trip_commission_cash', 4, 'PLATFORM_REVENUE', NULL,     'credit', 'commission', 'The platform''s share'),
    ('cancellation_fee', 1, 'CUSTOMER_WALLET',  'customer', 'debit',  'fee',        'What cancelling costs, as far as the wallet goes'),
    ('cancellation_fee', 2, 'DRIVER_WALLET',    'driver',   'credit', 'driver_share', 'The driver''s share of it'),
    ('cancellation_fee', 3, 'PLATFORM_REVENUE', NULL,       'credit', 'commission', 'The platform''s share; all of it when there is no driver');

CREATE FUNCTION hail.post_template(template text, idempotency_key text, currency text, amounts jsonb, customer_id uuid DEFAULT NULL,
                                   driver_id uuid DEFAULT NULL, wallet_id uuid DEFAULT NULL, hold_id uuid DEFAULT NULL,
                                   reference_type text DEFAULT NULL, reference_id uuid DEFAULT NULL, metadata jsonb DEFAULT NULL)
RETURNS uuid
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hail_post_template';
COMMENT ON FUNCTION hail.post_template(text, text, text, jsonb, uuid, uuid, uuid, uuid, text, uuid, jsonb) IS
'Post what a template of hail.entry_templates says, with these amounts (minor units by name, absent: 0); the transaction, NULL when all legs are nothing. Principal system. Wallets of customer_id and driver_id are opened when there are none; wallet_id is the account of legs of owner wallet; hold_id: an open hold on a wallet that pays, which is used up. The same key with the same request (all but reference and metadata) returns the first transaction. Errors: invalid_value, wrong_state (nobody to post to), idempotency_mismatch, hold_resolved, not_found, currency_mismatch, insufficient_balance, account_closed. Internal.';

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
