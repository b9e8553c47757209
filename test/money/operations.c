/*
 * What clients do, at random: a row a verb (the call, which refusals are right at times), and how arguments
 * are drawn. A client remembers what it did lately, to reverse it, to repeat it and to send it again with
 * another body.
 */
#include <stdio.h>
#include <string.h>

#include "money.h"

#define REMEMBERED 64

static const struct VerbRow {
    const char *name, *sql;
    int args;
    const char *refusals; /* code words, between spaces */
} verbs[VERB_COUNT] = {
    [POST] = {"post", "SELECT t.id FROM hail.post_transaction($3, $1::hail.entry_input[], $2) t", 3,
              " insufficient_balance "},
    [BATCH] = {"batch", "SELECT money.batch($1, $2, $3)", 3, " insufficient_balance "},
    [HOLD] = {"hold", "SELECT h.id FROM hail.hold($1, $3, $2, ttl => $4::interval) h", 4,
              " insufficient_balance "},
    [CAPTURE] = {"capture", "SELECT t.id FROM hail.capture($1, $3, $2, $4) t", 4, " hold_resolved "},
    [RELEASE] = {"release", "SELECT h.id FROM hail.release($1) h", 1, " hold_resolved "},
    [REVERSE] = {"reverse", "SELECT t.id FROM hail.reverse_transaction($1, $2) t", 2,
                 " insufficient_balance already_exists "},
    [RIDE] = {"ride", "SELECT money.ride($1, $2, $3, $4)", 4, " insufficient_balance payment_due "},
    [COMPLETE] = {"complete", "SELECT t.id FROM hail.complete_trip($1, $2) t", 2, " wrong_state "},
    [CANCEL] = {"cancel", "SELECT money.cancel($1, $2, $3)", 3, " wrong_state "},
    [TOLL] = {"toll", "SELECT t.id FROM hail.add_toll($1, $2, 'the storm', $3) t", 3,
              " wrong_state limit_exceeded insufficient_balance "},
    [PROMOTE] = {"promote", "SELECT money.promote($1, $2)", 2,
                 " wrong_state limit_exceeded insufficient_balance "},
    [TIP] = {"tip", "SELECT p.trip_id FROM hail.tip_trip($1, $2, $3) p", 3,
             " wrong_state payment_due limit_exceeded insufficient_balance "},
    [TRIP_REFUND] = {"trip_refund", "SELECT p.trip_id FROM hail.refund_trip($1, $2, 'the storm', $3, $4) p",
                     4, " wrong_state payment_due limit_exceeded "},
    /* a fee is not paid in cash: invalid_value */
    [RETRY] = {"retry", "SELECT p.trip_id FROM hail.retry_payment($1, $2, $3) p", 3,
               " wrong_state insufficient_balance invalid_value "},
    [WITHDRAW] = {"withdraw",
                  "SELECT (w.withdrawal).id FROM hail.request_withdrawal($1, $3, 'EUR', $4, $2) w", 4,
                  " insufficient_balance "},
    [APPROVE] = {"approve", "SELECT w.id FROM hail.approve_withdrawal($1) w", 1, " wrong_state "},
    [REJECT] = {"reject", "SELECT w.id FROM hail.reject_withdrawal($1, 'the storm') w", 1, " wrong_state "},
    [SETTLE] = {"settle", "SELECT w.id FROM hail.settle_withdrawal($1, $2) w", 2, " wrong_state "},
    [FAIL] = {"fail", "SELECT w.id FROM hail.fail_withdrawal($1, 'the storm') w", 1, " wrong_state "},
    [DEPOSIT] = {"deposit", "SELECT (d.intent).id FROM hail.begin_deposit($1, $3, 'EUR', 'storm', $2) d", 3,
                 " "},
    [REFUND] = {"refund", "SELECT (r.refund).id FROM hail.refund_deposit($1, $3, 'the storm', $2) r", 3,
                " wrong_state insufficient_balance limit_exceeded "},
    [TELL] = {"tell", "SELECT money.tell($1, $2, $3)", 3, " "},
    [RETURN] = {"return", "SELECT w.id FROM hail.return_withdrawal($1, 'the storm') w", 1, " wrong_state "},
};

/* Of this client. */
static Op remembered[REMEMBERED];
static long remembered_count, keys;
static char trip[40], last_trip[40]; /* under way; ended */

const char *verb_name(Verb verb)
{
    return verbs[verb].name;
}

const char *verb_sql(Verb verb)
{
    return verbs[verb].sql;
}

int verb_args(Verb verb)
{
    return verbs[verb].args;
}

bool may_refuse(Verb verb, const char *code)
{
    char word[64];

    snprintf(word, sizeof(word), " %s ", code);
    return strstr(verbs[verb].refusals, word) != NULL;
}

static int below(int n)
{
    return (int)(random_bits() % (uint64_t)n);
}

static const char *draw_wallet(int currency)
{
    return world.wallets[currency][random_chance(0.5) ? below(HOT) : below(WALLETS)];
}

static long draw_amount(void)
{
    return random_chance(0.02) ? 1000000 + below(1000) : 1 + below(random_chance(0.5) ? 20 : 2000);
}

static void ring_put(Ring *ring, const char *id, int mark)
{
    pthread_mutex_lock(&shared->lock);
    snprintf(ring->ids[ring->count++ % RING], sizeof(ring->ids[0]), "%.36s%d", id, mark);
    pthread_mutex_unlock(&shared->lock);
}

/* One of its ids to `id`, and its mark; -1: there is none yet. */
static int ring_draw(Ring *ring, char *id)
{
    int mark = -1;

    pthread_mutex_lock(&shared->lock);
    if (ring->count > 0) {
        const char *drawn = ring->ids[below(ring->count < RING ? (int)ring->count : RING)];

        snprintf(id, 37, "%s", drawn);
        mark = drawn[36] - '0';
    }
    pthread_mutex_unlock(&shared->lock);
    return mark;
}

static void begin(Op *op, Verb verb, int client)
{
    memset(op, 0, sizeof(*op));
    op->verb = verb;
    snprintf(op->key, sizeof(op->key), "%d.%ld", client, ++keys);
}

/* ---- postings ---- */

/* Append a leg to the text of hail.entry_input[] in args[0]. */
static void add_leg(Op *op, const char *account, bool credit, long amount)
{
    size_t length = strlen(op->args[0]);

    if (length > 0)
        op->args[0][length - 1] = ',';
    else
        op->args[0][length++] = '{';
    snprintf(op->args[0] + length, ARG_SIZE - length, "\"(%s,%s,%ld)\"}", account,
             credit ? "credit" : "debit", amount);
}

/* An account that has no leg yet. */
static const char *draw_account(const Op *op, int currency)
{
    for (;;) {
        const char *account =
            random_chance(0.35) ? world.systems[currency][below(SYSTEMS)] : draw_wallet(currency);

        if (strstr(op->args[0], account) == NULL)
            return account;
    }
}

/* So many legs of one currency: one account gives to, or takes from, all others. */
static void add_legs(Op *op, int currency, int legs)
{
    bool credit = random_chance(0.5);
    long total = 0;

    for (int i = 1; i < legs; i++) {
        long amount = draw_amount();

        add_leg(op, draw_account(op, currency), credit, amount);
        total += amount;
    }
    add_leg(op, draw_account(op, currency), !credit, total);
}

static void draw_post(Op *op, int client)
{
    int currency = below(CURRENCIES);
    double x = random_unit();

    begin(op, POST, client);
    snprintf(op->args[1], ARG_SIZE, "%s", op->key);
    snprintf(op->args[2], ARG_SIZE, "storm");
    if (x < 0.60)
        add_legs(op, currency, 2);
    else if (x < 0.85)
        add_legs(op, currency, 3 + below(4));
    else {
        add_legs(op, 0, 2 + below(2));
        add_legs(op, 1, 2 + below(2));
    }
}

/* Postings one after the other, separated by semicolons. */
static void draw_batch(Op *op, int client)
{
    char all[2 * ARG_SIZE] = "";
    int items = 2 + below(20);

    begin(op, BATCH, client);
    for (int i = 0; i < items; i++) {
        size_t length = strlen(all);

        op->args[0][0] = '\0';
        add_legs(op, below(CURRENCIES), 2);
        snprintf(all + length, sizeof(all) - length, "%s%s", length > 0 ? ";" : "", op->args[0]);
    }
    snprintf(op->args[0], ARG_SIZE, "%.*s", ARG_SIZE - 1, all);
    snprintf(op->args[1], ARG_SIZE, "%s", op->key);
    snprintf(op->args[2], ARG_SIZE, "%s", random_chance(0.3) ? "true" : "false");
}

/* A posting that must be refused, and why. */
static void draw_wrong_post(Op *op, int client)
{
    const char *system = world.systems[0][below(SYSTEMS)];

    draw_post(op, client);
    op->args[0][0] = '\0';
    switch (below(7)) {
    case 0:
        add_leg(op, system, false, 10);
        add_leg(op, draw_wallet(0), true, 9);
        op->must_fail = "unbalanced_transaction";
        break;
    case 1:
        add_leg(op, system, false, 10);
        add_leg(op, world.closed, true, 10);
        op->must_fail = "account_closed";
        break;
    case 2:
        add_leg(op, world.wallets[0][1], false, 4000000000000000L);
        add_leg(op, system, true, 4000000000000000L);
        op->must_fail = "insufficient_balance";
        break;
    case 3:
        add_leg(op, system, false, 0);
        add_leg(op, draw_wallet(0), true, 0);
        op->must_fail = "invalid_value";
        break;
    case 4:
        add_leg(op, system, false, 7);
        add_leg(op, draw_wallet(1), true, 7); /* balanced, in two currencies */
        op->must_fail = "currency_mismatch";
        break;
    case 5:
        add_leg(op, system, false, 10);
        add_leg(op, system, true, 10);
        op->must_fail = "invalid_value";
        break;
    default:
        add_leg(op, system, false, 10);
        add_leg(op, "00000000-0000-7000-8000-00000000dead", true, 10);
        op->must_fail = "not_found";
    }
}

/* ---- holds ---- */

static void draw_hold(Op *op, int client)
{
    begin(op, HOLD, client);
    snprintf(op->args[0], ARG_SIZE, "%s", draw_wallet(below(CURRENCIES)));
    snprintf(op->args[1], ARG_SIZE, "%s", op->key);
    snprintf(op->args[2], ARG_SIZE, "%ld", draw_amount());
    op->null[3] = random_chance(0.4);
    snprintf(op->args[3], ARG_SIZE, "%d milliseconds", 50 + below(5000));
}

/* The whole of a hold, or 1, to a system account; anybody's hold, however it has ended meanwhile. */
static void draw_capture(Op *op, int client)
{
    int currency;

    begin(op, CAPTURE, client);
    currency = ring_draw(&shared->holds, op->args[0]);
    if (currency < 0) {
        draw_hold(op, client);
        return;
    }
    snprintf(op->args[1], ARG_SIZE, "%s", op->key);
    snprintf(op->args[2], ARG_SIZE, "%s", world.systems[currency][below(SYSTEMS)]);
    op->null[3] = !random_chance(0.4);
    snprintf(op->args[3], ARG_SIZE, "1");
}

static void draw_release(Op *op, int client)
{
    begin(op, RELEASE, client);
    op->key[0] = '\0';
    if (ring_draw(&shared->holds, op->args[0]) < 0)
        draw_hold(op, client);
}

static int currency_of(const char *wallet)
{
    for (int i = 0; i < WALLETS; i++)
        if (strcmp(world.wallets[1][i], wallet) == 0)
            return 1;
    return 0;
}

/* ---- what was done before ---- */

static const Op *draw_remembered(Verb verb)
{
    long known = remembered_count < REMEMBERED ? remembered_count : REMEMBERED;

    for (int tries = 0; tries < 10 && known > 0; tries++) {
        const Op *op = &remembered[random_bits() % (uint64_t)known];

        if (op->verb == verb)
            return op;
    }
    return NULL;
}

static void draw_reverse(Op *op, int client)
{
    const Op *first = draw_remembered(POST);

    if (first == NULL) {
        draw_post(op, client);
        return;
    }
    begin(op, REVERSE, client);
    snprintf(op->args[0], ARG_SIZE, "%s", first->result);
    snprintf(op->args[1], ARG_SIZE, "%s", op->key);
}

/* The same key with another body. */
static void draw_mismatch(Op *op, int client)
{
    static const Verb repeated[] = {POST, POST, HOLD, HOLD, TIP, TRIP_REFUND};
    const Op *first = draw_remembered(repeated[below(6)]);

    if (first == NULL) {
        draw_post(op, client);
        return;
    }
    *op = *first;
    op->must_fail = "idempotency_mismatch";
    op->null[1] = false;
    if (op->verb == POST)
        snprintf(op->args[2], ARG_SIZE, "another");
    else if (op->verb == HOLD)
        snprintf(op->args[2], ARG_SIZE, "3000000");
    else
        snprintf(op->args[1], ARG_SIZE, "3000000");
}

/* What somebody else has sent lately, or sends right now; or something of one's own of a while ago. */
static void draw_repetition(Op *op, int client)
{
    const Op *own = draw_remembered(random_chance(0.7) ? POST : HOLD);

    op->key[0] = '\0';
    if (own != NULL && random_chance(0.3)) {
        *op = *own;
        return;
    }
    pthread_mutex_lock(&shared->lock);
    if (shared->op_count > 0)
        *op = shared->ops[(shared->op_count - 1 - (long)(random_bits() % 8) + RING) % RING];
    pthread_mutex_unlock(&shared->lock);
    if (op->key[0] == '\0')
        draw_post(op, client);
}

void remember_operation(const Op *op)
{
    if (op->verb == RIDE) {
        snprintf(trip, sizeof(trip), "%.36s", op->result);
        ring_put(&shared->rides, op->result, 0);
    }
    if (op->verb == COMPLETE || op->verb == CANCEL) {
        snprintf(last_trip, sizeof(last_trip), "%.36s", op->result);
        ring_put(&shared->trips, op->result, 0);
        trip[0] = '\0';
    }
    if (op->verb == WITHDRAW)
        ring_put(&shared->withdrawals, op->result, 0);
    if (op->verb == DEPOSIT)
        ring_put(&shared->intents, op->result, 0);
    if (op->verb == REFUND)
        ring_put(&shared->refunds, op->result, 0);
    if (op->verb == HOLD)
        ring_put(&shared->holds, op->result, currency_of(op->args[0]));
    if (op->verb == POST || op->verb == HOLD || op->verb == TIP || op->verb == TRIP_REFUND)
        remembered[remembered_count++ % REMEMBERED] = *op;
}

/* ---- trips: a client has a customer and a driver of its own ---- */

/* What the gateway says of the charge of a trip, or of a refund of it. */
static void draw_charge_event(Op *op, const char *of_trip)
{
    op->verb = TELL;
    op->key[0] = '\0';
    snprintf(op->args[0], ARG_SIZE, "%s", of_trip);
    snprintf(op->args[1], ARG_SIZE, "%s.%s", random_chance(0.7) ? "payment" : "refund",
             random_chance(0.55) ? "succeeded" : "failed");
    if (random_chance(0.05))
        op->must_fail = "invalid_signature";
    snprintf(op->args[2], ARG_SIZE, "%s", op->must_fail ? "forged" : "true");
}

static void draw_retry(Op *op, const char *of_trip)
{
    double x = random_unit();

    op->verb = RETRY;
    snprintf(op->args[0], ARG_SIZE, "%s", of_trip);
    snprintf(op->args[1], ARG_SIZE, "%s", x < 0.6 ? "wallet" : x < 0.85 ? "card" : "cash");
    snprintf(op->args[2], ARG_SIZE, "%s", op->key);
}

/* From quote to payment or cancellation. Whose last trip is not paid is refused a new one. */
static void draw_trip(Op *op, int client)
{
    static const char *const actors[] = {"admin", "customer", "driver"};
    double x = random_unit();

    begin(op, RIDE, client);
    if (trip[0] != '\0') {
        op->verb = random_chance(0.65) ? COMPLETE : CANCEL;
        snprintf(op->args[0], ARG_SIZE, "%s", trip);
        snprintf(op->args[1], ARG_SIZE, "%s", op->verb == CANCEL ? actors[below(3)] : op->key);
        snprintf(op->args[2], ARG_SIZE, "the storm");
    } else if (last_trip[0] != '\0' && x < 0.25) {
        draw_charge_event(op, last_trip);
    } else if (last_trip[0] != '\0' && x < 0.45) {
        draw_retry(op, last_trip);
    } else {
        x = random_unit();
        snprintf(op->args[0], ARG_SIZE, "%s", world.riders[client]);
        snprintf(op->args[1], ARG_SIZE, "%s", op->key);
        snprintf(op->args[2], ARG_SIZE, "%s", world.drivers[client]);
        snprintf(op->args[3], ARG_SIZE, "%s", x < 0.2 ? "cash" : x < 0.5 ? "card" : "wallet");
    }
}

/* Anybody's trip: tolls and promotions while it is under way, tips and refunds afterwards, and at the wrong
 * time. */
static void draw_adjustment(Op *op, int client)
{
    static const char *const codes[] = {"STORM20", "STORM-LAST", "STORM-BUDGET", "NONE"}, *const bearers[] = {
                                                                                              "shared",
                                                                                              "shared",
                                                                                              "platform",
                                                                                              "driver"};
    double x = random_unit();
    char id[40] = "";

    begin(op, x < 0.2 ? TOLL : x < 0.4 ? PROMOTE : x < 0.6 ? TIP : x < 0.85 ? TRIP_REFUND : RETRY, client);
    if ((op->verb == TOLL || op->verb == PROMOTE) && random_chance(0.8)) {
        if (trip[0] != '\0' && random_chance(0.7))
            snprintf(id, sizeof(id), "%s", trip);
        else
            ring_draw(&shared->rides, id);
    } else {
        ring_draw(&shared->trips, id);
    }
    if (id[0] == '\0') {
        draw_trip(op, client);
        return;
    }
    snprintf(op->args[0], ARG_SIZE, "%s", id);
    snprintf(op->args[1], ARG_SIZE, "%d", 1 + below(200));
    snprintf(op->args[2], ARG_SIZE, "%s", op->key);
    if (op->verb == PROMOTE) {
        op->key[0] = '\0';
        snprintf(op->args[1], ARG_SIZE, "%s", codes[below(4)]);
    } else if (op->verb == TRIP_REFUND) {
        op->null[1] = random_chance(0.2); /* the rest */
        snprintf(op->args[3], ARG_SIZE, "%s", bearers[below(4)]);
    } else if (op->verb == RETRY && random_chance(0.5)) {
        draw_charge_event(op, id);
    } else if (op->verb == RETRY) {
        draw_retry(op, id);
    }
}

/* ---- withdrawals ---- */

static void draw_withdrawal(Op *op, int client)
{
    static const Verb moves[] = {APPROVE, APPROVE, APPROVE, REJECT, SETTLE, SETTLE, FAIL, RETURN};

    begin(op, WITHDRAW, client);
    if (random_chance(0.75) && ring_draw(&shared->withdrawals, op->args[0]) >= 0) {
        op->verb = moves[below(8)];
        op->key[0] = '\0';
        snprintf(op->args[1], ARG_SIZE, "payout of %.36s", op->args[0]); /* SETTLE */
        return;
    }
    op->by_driver = true;
    snprintf(op->args[0], ARG_SIZE, "%s", world.drivers[client]);
    snprintf(op->args[1], ARG_SIZE, "%s", op->key);
    snprintf(op->args[2], ARG_SIZE, "%ld", draw_amount());
    snprintf(op->args[3], ARG_SIZE,
             "{\"type\": \"bank_account\", \"account\": \"GB00HAIL%08d\", \"holder\": \"Driver %d\"}", client,
             client);
}

/* ---- deposits ---- */

/* The gateway says what has become of an intent or a refund; it says it again, and now and then it is not the
 * gateway. */
static void draw_event(Op *op, int client, bool of_refund)
{
    begin(op, TELL, client);
    op->key[0] = '\0';
    if (ring_draw(of_refund ? &shared->refunds : &shared->intents, op->args[0]) < 0) {
        draw_post(op, client);
        return;
    }
    snprintf(op->args[1], ARG_SIZE, "%s.%s", of_refund ? "refund" : "payment",
             random_chance(0.8) ? "succeeded" : "failed");
    if (random_chance(0.05))
        op->must_fail = "invalid_signature";
    snprintf(op->args[2], ARG_SIZE, "%s", op->must_fail ? "forged" : "true");
}

static void draw_deposit(Op *op, int client)
{
    double x = random_unit();

    if (x < 0.65) {
        draw_event(op, client, x < 0.15);
        return;
    }
    begin(op, x < 0.75 ? REFUND : DEPOSIT, client);
    if (op->verb == DEPOSIT || ring_draw(&shared->intents, op->args[0]) < 0) {
        op->verb = DEPOSIT;
        snprintf(op->args[0], ARG_SIZE, "%s", world.riders[below(CLIENTS)]);
    }
    snprintf(op->args[1], ARG_SIZE, "%s", op->key);
    snprintf(op->args[2], ARG_SIZE, "%d", 1 + below(op->verb == DEPOSIT ? 2000 : 500));
}

static bool is_repeatable(Verb verb)
{
    return verb == POST || verb == HOLD || verb == TOLL || verb == TIP || verb == TRIP_REFUND ||
           verb == RETRY;
}

/* Others may send it too. */
static void publish(const Op *op)
{
    pthread_mutex_lock(&shared->lock);
    shared->ops[shared->op_count++ % RING] = *op;
    pthread_mutex_unlock(&shared->lock);
}

void draw_operation(Op *op, int client)
{
    static const struct {
        double share;
        void (*draw)(Op *op, int client);
    } mix[] = {{0.33, draw_post},       {0.02, draw_batch},    {0.14, draw_hold},
               {0.09, draw_capture},    {0.07, draw_release},  {0.05, draw_reverse},
               {0.05, draw_repetition}, {0.03, draw_mismatch}, {0.04, draw_wrong_post},
               {0.04, draw_withdrawal}, {0.05, draw_deposit},  {0.04, draw_adjustment},
               {1, draw_trip}};
    double x = random_unit();
    int i = 0;

    while (x >= mix[i].share)
        x -= mix[i++].share;
    mix[i].draw(op, client);
    if (op->must_fail == NULL && is_repeatable(op->verb))
        publish(op);
}
