-- What must hold after a replay, whatever happened during it. Each check is a named query that returns the
-- rows that break it: none means well. A line "-- check: NAME" starts a check. The replay program runs them as a
-- superuser, after it has filled the temporary table replay_trips
--   (id uuid, points bigint, unsure bigint, lossy bigint)
-- with the trips it made and the on-trip position reports it was told had been applied: `unsure` may have been
-- recorded besides (their answer was lost), `lossy` of them were sent so shortly before a crash that they may be
-- lost.

-- check: every trip asked for is there, and no other one
SELECT coalesce(t.id, r.id) AS trip, t.state FROM hail.trips t FULL JOIN replay_trips r ON r.id = t.id
WHERE t.id IS NULL OR r.id IS NULL;

-- check: every trip is in a final state
SELECT id, state, requested_at FROM hail.trips
WHERE state NOT IN ('completed', 'cancelled', 'no_drivers', 'payment_failed');

-- check: no trip has two accepted offers
SELECT trip_id, count(*) FROM hail.offers WHERE status = 'accepted' GROUP BY trip_id HAVING count(*) > 1;

-- check: every driven trip belongs to the driver whose offer was accepted
SELECT t.id, t.driver_id, o.driver_id AS accepted FROM hail.trips t
LEFT JOIN hail.offers o ON o.trip_id = t.id AND o.status = 'accepted'
WHERE t.state = 'completed' AND o.driver_id IS DISTINCT FROM t.driver_id;

-- check: no offer is still pending
SELECT id, trip_id, driver_id, expires_at FROM hail.offers WHERE status = 'pending';

-- check: no driver was on a ride and another trip at one moment, by the trips
SELECT a.driver_id, a.id, b.id AS other FROM hail.trips a JOIN hail.trips b ON b.driver_id = a.driver_id AND b.id <> a.id
WHERE 'ride' IN (a.service, b.service) AND a.matched_at <= b.matched_at AND a.matched_at IS NOT NULL
  AND coalesce(a.completed_at, a.cancelled_at, 'infinity') > b.matched_at;

-- check: no driver was on a ride and another trip at one moment, by the events
WITH steps AS (
    SELECT aggregate_id AS trip, version, type, occurred_at, payload,
           lead(occurred_at) OVER ends AS ended_at
    FROM hail.events WHERE aggregate_type = 'trip' AND type IN ('TripMatched', 'TripCompleted', 'TripCancelled')
    WINDOW ends AS (PARTITION BY aggregate_id ORDER BY version)
), drives AS (
    SELECT trip, (payload ->> 'driver_id')::uuid AS driver, occurred_at AS from_time,
           coalesce(ended_at, 'infinity') AS to_time
    FROM steps WHERE type = 'TripMatched'
)
SELECT a.driver, a.trip, b.trip AS other, b.from_time FROM drives a JOIN drives b
    ON b.driver = a.driver AND (b.trip, b.from_time) <> (a.trip, a.from_time)
JOIN hail.trips t ON t.id = a.trip JOIN hail.trips u ON u.id = b.trip
WHERE 'ride' IN (t.service, u.service) AND a.from_time <= b.from_time AND a.to_time > b.from_time;

-- check: the steps of every trip are in order
SELECT id, state, requested_at, matched_at, arrived_at, started_at, completed_at FROM hail.trips
WHERE state = 'completed'
  AND NOT (requested_at <= matched_at AND matched_at <= arrived_at AND arrived_at <= started_at AND started_at <= completed_at);

-- check: no driver is still on a trip
SELECT id, trip_id, active_jobs FROM hail.drivers WHERE trip_id IS NOT NULL OR active_jobs <> 0;

-- check: no stop of a finished trip is open
SELECT s.trip_id, s.seq, s.state FROM hail.trip_stops s JOIN hail.trips t ON t.id = s.trip_id
WHERE s.state IN ('waiting', 'arrived') AND t.state IN ('completed', 'cancelled', 'no_drivers');

-- check: every completed trip was paid exactly once, the full price to driver and platform
WITH paid AS (
    SELECT x.reference_id AS trip, count(DISTINCT x.id) AS payments,
           sum(e.amount) FILTER (WHERE a.kind = 'CUSTOMER_WALLET' AND e.direction = 'debit') AS customer,
           sum(e.amount) FILTER (WHERE a.kind = 'DRIVER_WALLET' AND e.direction = 'credit') AS driver,
           sum(e.amount) FILTER (WHERE a.kind = 'DRIVER_WALLET' AND e.direction = 'debit') AS driver_commission,
           sum(e.amount) FILTER (WHERE a.kind = 'PLATFORM_REVENUE' AND e.direction = 'credit') AS platform
    FROM hail.ledger_transactions x
    JOIN hail.ledger_entries e ON e.transaction_id = x.id
    JOIN hail.accounts a ON a.id = e.account_id
    GROUP BY 1
)
SELECT t.id, t.payment_method, t.price, p.* FROM hail.trips t LEFT JOIN paid p ON p.trip = t.id
WHERE t.state = 'completed' AND NOT coalesce(p.payments = 1 AND CASE t.payment_method
    WHEN 'wallet' THEN p.customer = t.price AND coalesce(p.driver, 0) + coalesce(p.platform, 0) = t.price
    ELSE p.customer IS NULL AND p.driver IS NULL
         AND coalesce(p.driver_commission, 0) = coalesce(p.platform, 0)
         AND coalesce(p.platform, 0) BETWEEN 0 AND t.price END, t.commission_bp = 0);

-- check: no trip that was not completed was paid, save for a cancellation fee
SELECT t.id, t.state, sum(e.amount) AS debited, t.cancellation_fee FROM hail.trips t
JOIN hail.ledger_transactions x ON x.reference_id = t.id
JOIN hail.ledger_entries e ON e.transaction_id = x.id AND e.direction = 'debit'
WHERE t.state <> 'completed' GROUP BY t.id
HAVING t.state <> 'cancelled' OR sum(e.amount) > t.cancellation_fee;

-- check: debits equal credits in every transaction
SELECT transaction_id, currency,
       sum(amount) FILTER (WHERE direction = 'debit') AS debits, sum(amount) FILTER (WHERE direction = 'credit') AS credits
FROM hail.ledger_entries GROUP BY 1, 2
HAVING sum(CASE direction WHEN 'debit' THEN amount ELSE -amount END) <> 0;

-- check: no customer's wallet ever went below zero
SELECT a.id, a.posted, a.held, min(e.balance_after) AS lowest FROM hail.accounts a
LEFT JOIN hail.ledger_entries e ON e.account_id = a.id
WHERE a.kind = 'CUSTOMER_WALLET' GROUP BY a.id
HAVING a.posted - a.held < 0 OR min(e.balance_after) < 0;

-- check: every wallet equals the sum of its entries
SELECT a.id, a.kind, a.posted, coalesce(sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE -e.amount END), 0) AS entries
FROM hail.accounts a LEFT JOIN hail.ledger_entries e ON e.account_id = a.id
WHERE NOT a.is_system GROUP BY a.id
HAVING a.posted <> coalesce(sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE -e.amount END), 0);

-- check: no hold is left open, and nothing is held
SELECT id::text, status, amount FROM hail.holds WHERE status = 'held'
UNION ALL SELECT id::text, 'held on account', held FROM hail.accounts WHERE held <> 0;

-- check: the ledger reconciles
SELECT d.day::date, r.* FROM (
    SELECT DISTINCT created_at::date AS day FROM hail.ledger_transactions
    UNION SELECT DISTINCT requested_at::date FROM hail.trips) AS d,
LATERAL hail.reconcile(d.day) AS r;

-- check: events are gapless in every trip and driver
SELECT * FROM hail.event_gaps();

-- check: every trip's events tell the state it ended in
SELECT t.id, t.state, e.type FROM hail.trips t LEFT JOIN LATERAL (
    SELECT type, payload ->> 'state' AS state FROM hail.events WHERE aggregate_id = t.id ORDER BY version DESC LIMIT 1) AS e ON true
WHERE t.state IN ('completed', 'cancelled', 'no_drivers') AND e.state IS DISTINCT FROM t.state;

-- check: the live index equals the tables
SELECT * FROM hail.check_live() WHERE status = 'fail';

-- check: no driver is found who is not free
SELECT l.* FROM hail.live_drivers l JOIN hail.drivers d ON d.id = l.driver_id
WHERE l.state = 'available' AND (NOT d.online OR d.status <> 'approved' OR d.trip_id IS NOT NULL);

-- check: the history holds every position applied on a trip
SELECT r.id, r.points AS applied, r.unsure, r.lossy, count(h.trip_id) AS stored
FROM replay_trips r LEFT JOIN hail.location_history h ON h.trip_id = r.id
GROUP BY r.id, r.points, r.unsure, r.lossy
HAVING count(h.trip_id) NOT BETWEEN r.points - r.lossy AND r.points + r.unsure;

-- check: every partition got its own rows
SELECT tableoid::regclass AS partition, count(*) FROM hail.location_history
WHERE tableoid::regclass::text LIKE '%default%' GROUP BY 1
UNION ALL SELECT tableoid::regclass, count(*) FROM hail.events
WHERE tableoid::regclass::text LIKE '%default%' GROUP BY 1;
