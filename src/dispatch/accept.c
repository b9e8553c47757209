/*
 * Accepting an offer: one function, one commit; see accept.h.
 *
 * Locks in the one order: trip row, offer rows by id, driver row, the customer's wallet. Whatever decides is
 * read from a row after its lock was taken; the driver row is won by a conditional UPDATE. Everything before
 * the last statement is undone by any error, so a refusal leaves nothing behind. Should all of it be wrong,
 * the unique indexes offers_one_accepted and trips_driver_busy still refuse the second winner.
 *
 * Statements of a first accept: lock the trip, lock and close the offers, take the driver, match the trip,
 * write the event; in cash one more: what the driver's wallet bears; by wallet three more: lock the wallet,
 * place the hold, move what the wallet holds.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/row.h"
#include "base/statement.h"
#include "dispatch/accept.h"
#include "dispatch/counters.h"
#include "dispatch/dispatch.h"
#include "dispatch/jobs.h"
#include "dispatch/transitions.h"
#include "events/events.h"
#include "identity/session.h"
#include "ledger/trip_payment.h"
#include "worker/worker.h"

/* Statements run under the function's search_path = pg_catalog, pg_temp. */

static HailStatement lock_trip = {
    "SELECT t.state, t.driver_id, t.payment_method::text, t.customer_id, t.event_version, t.price,"
    " t.currency, t.strategy = 'broadcast_bid', t.service <> 'ride', t.strategy = 'scheduled', t.waiting_max,"
    " t.promotion_amount"
    " FROM hail.trips t WHERE t.id = $1 FOR NO KEY UPDATE",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

static HailStatement read_trip = {"SELECT t FROM hail.trips t WHERE t.id = $1", 1, {UUIDOID}, HAIL_BY_KEY};

/*
 * Pending offers of the trip, and of the driver for whichever trips, locked and closed one by one in the
 * order of their ids (of the driver's own of this trip the newest is accepted): a plan by key goes through
 * the primary key, which yields the ids it is asked for in their order. IS NOT DISTINCT FROM keeps the
 * partial index of pending offers out of it, which a plan made while there were few would else read from end
 * to end. Whether the driver's own was still good is decided by what comes back.
 */
static HailStatement close_offers = {
    "UPDATE hail.offers o SET status = CASE WHEN o.id = (SELECT c.id FROM hail.offers c WHERE c.trip_id = $1"
    "       AND c.driver_id = $2 AND c.status IS NOT DISTINCT FROM 'pending' ORDER BY c.round DESC LIMIT 1)"
    "     THEN 'accepted' ELSE 'withdrawn' END, responded_at = hail.clock()"
    " WHERE o.status IS NOT DISTINCT FROM 'pending' AND o.id = ANY (ARRAY("
    "     SELECT a.id FROM hail.offers a WHERE a.trip_id = $1"
    "       AND a.status IS NOT DISTINCT FROM 'pending'"
    "     UNION ALL SELECT b.id FROM hail.offers b WHERE b.driver_id = $2 AND b.status = 'pending'))"
    " RETURNING o.status = 'accepted', o.id, o.expires_at, o.forward, o.trip_id",
    2,
    {UUIDOID, UUIDOID},
    HAIL_BY_KEY};

/* For a job, first the same locks: which of them close is known when the driver's jobs have been counted. */
static HailStatement lock_job_offers = {
    "SELECT p.trip_id = $1 AND p.driver_id = $2, p.id, p.expires_at, p.forward FROM hail.offers p"
    " WHERE p.id = ANY (ARRAY("
    "     SELECT a.id FROM hail.offers a WHERE a.trip_id = $1 AND a.status IS NOT DISTINCT FROM 'pending'"
    "     UNION ALL SELECT b.id FROM hail.offers b WHERE b.driver_id = $2 AND b.status = 'pending'))"
    "   AND p.status IS NOT DISTINCT FROM 'pending' ORDER BY p.id FOR NO KEY UPDATE",
    2,
    {UUIDOID, UUIDOID},
    HAIL_BY_KEY};

/*
 * Of those ($4: no others, which may have come since and are not locked) the trip's are closed, and the
 * driver's for rides; with $3 all of the driver's: no place is left.
 */
static HailStatement close_job_offers = {
    "UPDATE hail.offers o SET status = CASE WHEN o.id = $2 THEN 'accepted' ELSE 'withdrawn' END,"
    " responded_at = hail.clock() FROM hail.trips t"
    " WHERE o.id = ANY ($4) AND o.status = 'pending' AND t.id = o.trip_id"
    "   AND (o.trip_id = $1 OR $3 OR t.service = 'ride') RETURNING o.trip_id",
    4,
    {UUIDOID, UUIDOID, BOOLOID, UUIDARRAYOID},
    HAIL_BY_KEY};

/*
 * Other trips ($1) whose last offers were the driver's go on now, as when it had declined. Trips come before
 * offers and drivers: whoever holds one is not waited for.
 */
static HailStatement wake_trips = {
    "UPDATE hail.trips t SET next_round_at = $2 WHERE t.id IN (SELECT s.id FROM hail.trips s"
    "   WHERE s.id = ANY ($1) AND s.state = 'searching' AND s.next_round_at > $2"
    "     AND NOT EXISTS (SELECT FROM hail.offers o WHERE o.trip_id = s.id"
    "       AND o.status IS NOT DISTINCT FROM 'pending')"
    "   FOR NO KEY UPDATE SKIP LOCKED)",
    2,
    {UUIDARRAYOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static HailStatement newest_offer = {
    "SELECT o.status::text FROM hail.offers o WHERE o.trip_id = $1 AND o.driver_id = $2"
    " ORDER BY o.round DESC LIMIT 1",
    2,
    {UUIDOID, UUIDOID},
    HAIL_BY_KEY};

static HailStatement take_driver = {
    "UPDATE hail.drivers SET trip_id = $2, active_jobs = 1, offers_total = offers_total + 1, "
    "offers_accepted = offers_accepted + 1"
    " WHERE id = $1 AND status = 'approved' AND online AND trip_id IS NULL "
    "AND coalesce(cooldown_until <= $3, true)",
    3,
    {UUIDOID, UUIDOID, TIMESTAMPTZOID},
    HAIL_BY_KEY};

static HailStatement read_driver = {
    "SELECT d.status = 'approved' AND d.online, d.trip_id IS NOT NULL FROM hail.drivers d WHERE d.id = $1"
    " FOR NO KEY UPDATE",
    1,
    {UUIDOID},
    HAIL_BY_KEY};

/*
 * A row when the wallet of the driver, locked, cannot bear the commission of cash trip $1 at price $3,
 * without waiting, besides those of its cash trips under way: the account's floor, or the policy's. Waiting
 * is reckoned at its most.
 */
static HailStatement short_wallet = {
    "SELECT 1 FROM hail.trips t JOIN hail.dispatch_policies p ON p.id = t.policy_id"
    " LEFT JOIN hail.accounts a ON a.kind = 'DRIVER_WALLET' AND a.owner_id = $2 AND a.currency = t.currency"
    " WHERE t.id = $1 AND coalesce(a.posted - a.held, 0) - hail.commission($3 + t.waiting_max, "
    "t.commission_bp)"
    "   - coalesce((SELECT sum(hail.commission(u.price - u.waiting_amount + u.waiting_max, u.commission_bp))"
    "       FROM hail.trips u"
    "       WHERE u.driver_id = $2 AND u.state IN ('matched', 'arrived', 'started') AND u.id <> t.id"
    "         AND u.payment_method = 'cash' AND u.currency = t.currency), 0)"
    "   < greatest(a.floor, p.wallet_floor)",
    3,
    {UUIDOID, UUIDOID, INT8OID},
    HAIL_BY_KEY};

static HailStatement match_trip = {
    "UPDATE hail.trips t SET state = $2, driver_id = $3, matched_at = $4, pickup_code = $5, hold_id = $6,"
    " payment_state = CASE WHEN $6 IS NULL THEN 'none' ELSE 'held' END, price = $7, next_round_at = NULL, "
    "pooled_at = NULL, event_version = $8 WHERE t.id = $1 RETURNING t",
    8,
    {UUIDOID, TEXTOID, UUIDOID, TIMESTAMPTZOID, TEXTOID, UUIDOID, INT8OID, INT4OID},
    HAIL_BY_KEY};

static HailStatement lower_trip_promotion = {
    "UPDATE hail.trips t SET promotion_amount = hail.lower_promotion(t, $2) WHERE t.id = $1"
    " RETURNING t.promotion_amount",
    2,
    {UUIDOID, INT8OID},
    HAIL_BY_KEY};

/* The dispatcher looks when the time to confirm is over. */
static HailStatement ask_to_confirm = {
    "UPDATE hail.trips t SET confirm_by = $2 + p.confirm_within, next_round_at = $2 + p.confirm_within"
    " FROM hail.dispatch_policies p WHERE t.id = $1 AND p.id = t.policy_id RETURNING t",
    2,
    {UUIDOID, TIMESTAMPTZOID}};

static HailStatement reserve_trip = {
    "SELECT r.trip, r.again FROM hail.reserve_trip($1, $2) r", 2, {UUIDOID, UUIDOID}};

static HailStatement stand_by = {
    "SELECT s, t.backup_driver_id = $2 FROM hail.trips t, LATERAL (SELECT CASE WHEN t.backup_driver_id = $2"
    " THEN t ELSE hail.stand_by(t, $2) END) AS x(s) WHERE t.id = $1",
    2,
    {UUIDOID, UUIDOID}};

typedef struct Accept {
    const char *actor;
    pg_uuid_t trip_id, driver_id, customer_id, offer_id;
    TimestampTz now;
    char *state, *currency;
    bool has_driver, own_trip; /* the trip has a driver; it is this one */
    bool wallet, cash;
    bool job;            /* a delivery or porter job: the driver may have others */
    Datum locked_offers; /* uuid[]: for a job, what of offers it may close */
    Datum losers;        /* uuid[]: other trips, an offer of which was withdrawn */
    int loser_count;
    bool takes_bids;   /* its customer chooses: no driver accepts by itself */
    bool forward;      /* the offer is to a driver on a ride that ends soon: it may wait for that */
    bool scheduled;    /* its driver has to confirm, the second to accept stands by */
    int64 price;       /* without waiting */
    int64 waiting_max; /* held with it */
    int64 promotion;   /* not held: a promotion pays it */
    int64 quoted;      /* the price as it was */
    int event_version;
    Datum trip; /* hail.trips */
} Accept;

static void refuse(HailError error, const char *message, const char *field)
{
    dispatch_count(error == HAIL_TRIP_TAKEN ? COUNT_LOST : COUNT_REFUSED, 1);
    ereport(ERROR, hail_error(error), errmsg("%s", message), hail_field(field));
}

static void load_trip(Accept *accept)
{
    bool isnull;
    Datum driver;
    char *method;

    if (hail_execute(&lock_trip, (Datum[]){UUIDPGetDatum(&accept->trip_id)}, NULL, false, 0) == 0)
        refuse(HAIL_NOT_FOUND, "there is no such offer", "trip_id");
    accept->state = TextDatumGetCString(hail_result(0, 1, &isnull));
    driver = hail_result(0, 2, &isnull);
    accept->has_driver = !isnull;
    accept->own_trip = !isnull && memcmp(DatumGetUUIDP(driver), &accept->driver_id, UUID_LEN) == 0;
    method = TextDatumGetCString(hail_result(0, 3, &isnull));
    accept->wallet = strcmp(method, "wallet") == 0;
    accept->cash = strcmp(method, "cash") == 0;
    accept->customer_id = *DatumGetUUIDP(hail_result(0, 4, &isnull));
    accept->event_version = DatumGetInt32(hail_result(0, 5, &isnull));
    accept->quoted = DatumGetInt64(hail_result(0, 6, &isnull));
    if (accept->price == ACCEPT_AS_QUOTED)
        accept->price = accept->quoted;
    accept->currency = TextDatumGetCString(hail_result(0, 7, &isnull));
    accept->takes_bids = DatumGetBool(hail_result(0, 8, &isnull));
    accept->job = DatumGetBool(hail_result(0, 9, &isnull));
    accept->scheduled = DatumGetBool(hail_result(0, 10, &isnull));
    accept->waiting_max = DatumGetInt64(hail_result(0, 11, &isnull));
    accept->promotion = DatumGetInt64(hail_result(0, 12, &isnull));
}

/* The driver had it before: the answer is the trip as it is. */
static void read_own_trip(Accept *accept)
{
    bool isnull;

    hail_execute(&read_trip, (Datum[]){UUIDPGetDatum(&accept->trip_id)}, NULL, false, 1);
    accept->trip = hail_result(0, 1, &isnull);
}

/* Why there is no pending offer to accept, or none that counts any more. */
static void refuse_offer(const Accept *accept)
{
    bool isnull;
    char *status;

    if (hail_execute(&newest_offer,
                     (Datum[]){UUIDPGetDatum(&accept->trip_id), UUIDPGetDatum(&accept->driver_id)}, NULL,
                     false, 0) == 0)
        refuse(HAIL_NOT_FOUND, "there is no such offer", "trip_id");
    status = TextDatumGetCString(hail_result(0, 1, &isnull));
    if (accept->has_driver && !accept->own_trip)
        refuse(HAIL_TRIP_TAKEN, "another driver has this trip", "trip_id");
    if (strcmp(accept->state, "searching") != 0)
        refuse(HAIL_OFFER_CLOSED, "this trip is not looking for a driver any more", "trip_id");
    if (strcmp(status, "expired") == 0)
        refuse(HAIL_OFFER_EXPIRED, "this offer has expired", "trip_id");
    /* Withdrawn because the driver took another trip? */
    if (hail_execute(&read_driver, (Datum[]){UUIDPGetDatum(&accept->driver_id)}, NULL, false, 0) == 1 &&
        DatumGetBool(hail_result(0, 2, &isnull)))
        refuse(accept->job ? HAIL_NO_ROOM : HAIL_DRIVER_BUSY, "this driver is on a trip", "driver_id");
    refuse(HAIL_OFFER_CLOSED, "this offer is closed", "trip_id");
}

/* A column of the result, uuids, as an array; those that are not `but`. */
static Datum ids_of_result(uint64 rows, int col, const pg_uuid_t *but, int *count)
{
    Datum *ids = palloc(sizeof(Datum) * (rows + 1));
    bool isnull;

    *count = 0;
    for (uint64 i = 0; i < rows; i++) {
        ids[*count] = hail_result(i, col, &isnull);
        *count += but == NULL || memcmp(DatumGetUUIDP(ids[*count]), but, UUID_LEN) != 0;
    }
    return PointerGetDatum(construct_array(ids, *count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static void win_offer(Accept *accept)
{
    uint64 count = hail_execute(accept->job ? &lock_job_offers : &close_offers,
                                (Datum[]){UUIDPGetDatum(&accept->trip_id), UUIDPGetDatum(&accept->driver_id)},
                                NULL, false, 0);
    bool isnull, found = false;
    int locked;

    if (accept->job)
        accept->locked_offers = ids_of_result(count, 2, NULL, &locked);
    else
        accept->losers = ids_of_result(count, 5, &accept->trip_id, &accept->loser_count);
    accept->now = hail_now(); /* whoever waited for a lock may have waited too long */
    for (uint64 i = 0; i < count; i++) {
        if (!DatumGetBool(hail_result(i, 1, &isnull)))
            continue;
        found = true;
        accept->offer_id = *DatumGetUUIDP(hail_result(i, 2, &isnull));
        accept->forward = DatumGetBool(hail_result(i, 4, &isnull));
        if (DatumGetTimestampTz(hail_result(i, 3, &isnull)) <= accept->now)
            refuse(HAIL_OFFER_EXPIRED, "this offer has expired", "trip_id");
    }
    if (!found)
        refuse_offer(accept);
    if (accept->takes_bids && strcmp(accept->actor, "driver") == 0)
        ereport(ERROR, hail_error(HAIL_WRONG_STATE), errmsg("the customer of this trip chooses among bids"),
                hail_field("trip_id"), errhint("Place a bid with hail.place_bid()."));
}

/* Offers of other jobs stay as long as there is a place for another. */
static void win_driver_for_job(Accept *accept)
{
    bool full = !job_take_driver(&accept->trip_id, &accept->driver_id, accept->now);
    uint64 closed = hail_execute(&close_job_offers,
                                 (Datum[]){UUIDPGetDatum(&accept->trip_id), UUIDPGetDatum(&accept->offer_id),
                                           BoolGetDatum(full), accept->locked_offers},
                                 NULL, false, 0);

    accept->losers = ids_of_result(closed, 1, &accept->trip_id, &accept->loser_count);
}

/* Whoever has agreed before to take the trip next makes no pause between. */
static bool try_driver(const Accept *accept)
{
    return hail_execute(&take_driver,
                        (Datum[]){UUIDPGetDatum(&accept->driver_id), UUIDPGetDatum(&accept->trip_id),
                                  TimestampTzGetDatum(accept->forward ? DT_NOEND : accept->now)},
                        NULL, false, 0) == 1;
}

/*
 * An UPDATE waits only for rows that match as they were: a driver who is just being freed, or is just going
 * online, is passed over. So a refusal is decided by the locked row. False: the driver is on a trip still,
 * and may be by this offer.
 */
static bool win_driver(Accept *accept)
{
    bool isnull, eligible;

    if (try_driver(accept))
        return true;
    eligible =
        hail_execute(&read_driver, (Datum[]){UUIDPGetDatum(&accept->driver_id)}, NULL, false, 0) == 1 &&
        DatumGetBool(hail_result(0, 1, &isnull));
    if (eligible && accept->forward && DatumGetBool(hail_result(0, 2, &isnull)))
        return false;
    accept->now = hail_now();
    if (eligible && try_driver(accept))
        return true;
    if (eligible)
        refuse(HAIL_DRIVER_BUSY, "this driver is on a trip or has just ended one", "driver_id");
    refuse(HAIL_DRIVER_NOT_ELIGIBLE, "this driver is not online and approved", "driver_id");
    return false;
}

/* Offers were made by one trip's commission; the driver may have taken others since, or the price is higher.
 */
static void check_wallet(const Accept *accept)
{
    if (hail_execute(&short_wallet,
                     (Datum[]){UUIDPGetDatum(&accept->trip_id), UUIDPGetDatum(&accept->driver_id),
                               Int64GetDatum(accept->price)},
                     NULL, false, 1) == 0)
        return;
    dispatch_count(COUNT_REFUSED, 1);
    ereport(ERROR, hail_error(HAIL_DRIVER_NOT_ELIGIBLE),
            errmsg("the commission of this cash trip takes the driver's wallet below its limit"),
            hail_field("driver_id"), errhint("Deposit money first, or take trips paid by wallet."));
}

/* Another price was bid: what the promotion pays of it. */
static void lower_promotion(Accept *accept)
{
    bool isnull;

    hail_execute(&lower_trip_promotion,
                 (Datum[]){UUIDPGetDatum(&accept->trip_id), Int64GetDatum(accept->price)}, NULL, false, 1);
    accept->promotion = DatumGetInt64(hail_result(0, 1, &isnull));
}

/* The trips row as it becomes; the unique index on busy drivers has the last word. */
static void write_trip(Accept *accept, const char *to_state, const pg_uuid_t *hold)
{
    MemoryContext context = CurrentMemoryContext;
    Datum args[8] = {UUIDPGetDatum(&accept->trip_id),
                     CStringGetTextDatum(to_state),
                     UUIDPGetDatum(&accept->driver_id),
                     TimestampTzGetDatum(accept->now),
                     CStringGetTextDatum(make_pickup_code()),
                     UUIDPGetDatum(hold),
                     Int64GetDatum(accept->price),
                     Int32GetDatum(accept->event_version + 1)};
    bool isnull;

    PG_TRY();
    {
        hail_execute(&match_trip, args, hold == NULL ? "     n  " : NULL, false, 0);
    }
    PG_CATCH();
    {
        ErrorData *error;

        MemoryContextSwitchTo(context);
        error = CopyErrorData();
        FlushErrorState();
        if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && error->constraint_name != NULL &&
            strcmp(error->constraint_name, "trips_driver_busy") == 0)
            refuse(HAIL_DRIVER_BUSY, "this driver is on a trip", "driver_id");
        ReThrowError(error);
    }
    PG_END_TRY();
    if (accept->scheduled)
        hail_execute(&ask_to_confirm,
                     (Datum[]){UUIDPGetDatum(&accept->trip_id), TimestampTzGetDatum(accept->now)}, NULL,
                     false, 0);
    accept->trip = hail_result(0, 1, &isnull);
}

/* A scheduled trip that another driver has: this one becomes its backup, if it may. True: it was already. */
static bool become_backup(Accept *accept)
{
    bool isnull;
    Datum already;

    hail_execute(&stand_by, (Datum[]){UUIDPGetDatum(&accept->trip_id), UUIDPGetDatum(&accept->driver_id)},
                 NULL, false, 0);
    accept->trip = hail_result(0, 1, &isnull);
    already = hail_result(0, 2, &isnull);
    return !isnull && DatumGetBool(already);
}

static char *uuid_text(const pg_uuid_t *id)
{
    return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
}

/* The offer waits for the end of the driver's ride. True: it did already. */
static bool reserve(Accept *accept)
{
    bool isnull;

    hail_execute(&reserve_trip, (Datum[]){UUIDPGetDatum(&accept->trip_id), UUIDPGetDatum(&accept->offer_id)},
                 NULL, false, 0);
    accept->trip = hail_result(0, 1, &isnull);
    return DatumGetBool(hail_result(0, 2, &isnull));
}

/* True: nothing new, the driver had agreed to wait for the trip before. */
static bool accept_trip(Accept *accept)
{
    const char *to_state;
    pg_uuid_t hold;
    bool held;

    win_offer(accept);
    to_state = transition_next(accept->state, "accept", accept->actor);
    if (accept->job)
        win_driver_for_job(accept);
    else if (!win_driver(accept))
        return reserve(accept);
    if (accept->cash)
        check_wallet(accept);
    if (accept->promotion > 0 && accept->price != accept->quoted)
        lower_promotion(accept);
    held = accept->wallet && ledger_hold_trip_fare(&accept->trip_id, &accept->customer_id,
                                                   accept->price + accept->waiting_max - accept->promotion,
                                                   accept->currency, &hold);
    write_trip(accept, to_state, held ? &hold : NULL);
    event_write("trip", &accept->trip_id, accept->event_version + 1, "TripMatched",
                psprintf("{\"state\":\"%s\",\"customer_id\":\"%s\",\"driver_id\":\"%s\",\"offer_id\":\"%s\"}",
                         to_state, uuid_text(&accept->customer_id), uuid_text(&accept->driver_id),
                         uuid_text(&accept->offer_id)));
    dispatch_count(COUNT_ACCEPTED, 1);
    return false;
}

/* What a role does not see of a trip; the columns it may read of hail.trips are the same. */
static const char *const hidden_from_customers[] = {"commission_bp",
                                                    "hold_id",
                                                    "policy_id",
                                                    "rounds_before",
                                                    "next_round_at",
                                                    "pooled_at",
                                                    "excluded_drivers",
                                                    "code_attempts",
                                                    "backup_driver_id",
                                                    "variant_id",
                                                    "agreed_price",
                                                    "agreed_for",
                                                    "via",
                                                    NULL};
static const char *const hidden_from_drivers[] = {"quote_id",
                                                  "pickup_code",
                                                  "hold_id",
                                                  "policy_id",
                                                  "rounds_before",
                                                  "search_until",
                                                  "next_round_at",
                                                  "pooled_at",
                                                  "queue_position",
                                                  "excluded_drivers",
                                                  "favourites_first",
                                                  "idempotency_key",
                                                  "code_attempts",
                                                  "no_drivers_reason",
                                                  "partner_id",
                                                  "partner_order",
                                                  "variant_id",
                                                  "agreed_price",
                                                  "agreed_for",
                                                  "via",
                                                  NULL};

Datum trip_for_caller(Datum trip)
{
    HailRole role = hail_actor().role;

    if (role == HAIL_ROLE_ADMIN)
        return trip;
    return hail_row_without(trip, role == HAIL_ROLE_CUSTOMER || role == HAIL_ROLE_PARTNER
                                      ? hidden_from_customers
                                      : hidden_from_drivers);
}

Datum dispatch_accept(const AcceptRequest *request, bool *already)
{
    Accept accept = {.actor = request->actor,
                     .price = request->price,
                     .trip_id = request->trip_id,
                     .driver_id = request->driver_id};

    load_trip(&accept);
    *already =
        accept.own_trip && (strcmp(accept.state, "matched") == 0 || strcmp(accept.state, "arrived") == 0 ||
                            strcmp(accept.state, "started") == 0 || strcmp(accept.state, "completed") == 0);
    if (*already)
        read_own_trip(&accept);
    else if (accept.scheduled && accept.has_driver && strcmp(accept.state, "matched") == 0)
        *already = become_backup(&accept);
    else
        *already = accept_trip(&accept);
    if (accept.loser_count > 0 &&
        hail_execute(&wake_trips, (Datum[]){accept.losers, TimestampTzGetDatum(accept.now)}, NULL, false, 0) >
            0)
        worker_wake_dispatcher_at_commit();
    return accept.trip;
}

PG_FUNCTION_INFO_V1(hail_accept_offer);
PG_FUNCTION_INFO_V1(hail_trip_for_caller);
PG_FUNCTION_INFO_V1(hail_bears_commission);

/* hail.accept_offer(trip_id, driver_id, idempotency_key): (trip, already_accepted) */
Datum hail_accept_offer(PG_FUNCTION_ARGS)
{
    MemoryContext caller = CurrentMemoryContext;
    AcceptRequest request = {.actor = "driver", .price = ACCEPT_AS_QUOTED};
    TupleDesc desc;
    Datum trip, values[2];
    bool nulls[2] = {false, false};
    bool again;

    if (PG_ARGISNULL(0))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("trip_id must not be null"),
                hail_field("trip_id"));
    if (PG_ARGISNULL(1))
        ereport(ERROR, hail_error(HAIL_INVALID_VALUE), errmsg("driver_id must not be null"),
                hail_field("driver_id"));
    request.trip_id = *PG_GETARG_UUID_P(0);
    request.driver_id = *PG_GETARG_UUID_P(1);
    hail_require_self(HAIL_ROLE_DRIVER, &request.driver_id);
    if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "accept_offer returns a row");

    SPI_connect();
    trip = dispatch_accept(&request, &again);
    MemoryContextSwitchTo(caller);
    values[0] = datumCopy(trip, false, -1);
    SPI_finish();

    values[0] = trip_for_caller(values[0]);
    values[1] = BoolGetDatum(again);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* hail.bears_commission(trip_id, driver_id, price): whether the driver's wallet can, whose row is locked
 * here.
 */
Datum hail_bears_commission(PG_FUNCTION_ARGS)
{
    bool bears;
    Datum driver = PG_GETARG_DATUM(1);

    SPI_connect();
    hail_execute(&read_driver, (Datum[]){driver}, NULL, false, 0);
    bears = hail_execute(&short_wallet, (Datum[]){PG_GETARG_DATUM(0), driver, PG_GETARG_DATUM(2)}, NULL,
                         false, 1) == 0;
    SPI_finish();
    PG_RETURN_BOOL(bears);
}

/* hail.trip_for_caller(trip) */
Datum hail_trip_for_caller(PG_FUNCTION_ARGS)
{
    PG_RETURN_DATUM(trip_for_caller(PG_GETARG_DATUM(0)));
}
