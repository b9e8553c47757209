/*
 * Batches of transactions; see batch.h.
 *
 * 1. Keys, in their order: rows of all transactions are inserted at once. One whose key was there already is
 * taken out again and answered by what has the key.
 * 2. Accounts, in the order of their ids: each is locked once.
 * 3. Decisions, item by item, on balances as the items before have left them.
 * 4. Entries are inserted at once, each wallet is written once. Rows of refused items are taken out again.
 */
#include "postgres.h"

#include "access/xact.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/uuid7.h"
#include "ledger/batch.h"
#include "ledger/guards.h"
#include "ledger/store.h"

#define INSERTED_TOGETHER 1000 /* rows */

typedef struct Batch {
    BatchItem *items;
    int count;
    bool apart;
    TimestampTz now;
    BatchItem **ordered; /* by key, then as they came */
    PostingAccount *accounts;
    int64 *sums; /* of the entries written, by account */
    bool *moved;
    int account_count;
} Batch;

static void refuse_item(Batch *batch, BatchItem *item, PostingVerdict verdict)
{
    item->verdict = verdict;
    if (!batch->apart)
        ledger_require(verdict);
}

static bool refused(const BatchItem *item)
{
    return item->verdict.message != NULL;
}

/* ---- keys ---- */

static int compare_items(const void *a, const void *b)
{
    const BatchItem *x = *(BatchItem *const *)a, *y = *(BatchItem *const *)b;
    int order = strcmp(x->draft.key, y->draft.key);

    return order != 0 ? order : (x > y) - (x < y);
}

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool has_leg(const LedgerDraft *draft, const LedgerLeg *leg)
{
    for (int i = 0; i < draft->leg_count; i++)
        if (memcmp(&draft->legs[i].account, &leg->account, sizeof(pg_uuid_t)) == 0)
            return draft->legs[i].credit == leg->credit && draft->legs[i].amount == leg->amount;
    return false;
}

static bool same_request(const LedgerDraft *a, const LedgerDraft *b)
{
    bool same = strcmp(a->kind, b->kind) == 0 && same_text(a->reference_type, b->reference_type) &&
                same_text(a->metadata, b->metadata) &&
                (a->reference_id == NULL) == (b->reference_id == NULL) &&
                (a->effective_at == NULL) == (b->effective_at == NULL) && a->leg_count == b->leg_count;

    if (same && a->reference_id != NULL)
        same = memcmp(a->reference_id, b->reference_id, sizeof(pg_uuid_t)) == 0;
    if (same && a->effective_at != NULL)
        same = *a->effective_at == *b->effective_at;
    for (int i = 0; same && i < a->leg_count; i++)
        same = has_leg(b, &a->legs[i]);
    return same;
}

static PostingVerdict mismatch(void)
{
    return (PostingVerdict){HAIL_IDEMPOTENCY_MISMATCH, "idempotency key was used for another request",
                            "idempotency_key", "Use a new key for a new request."};
}

/* Sort by key; a key that comes again is its first item's. */
static void order_items(Batch *batch)
{
    batch->ordered = palloc(sizeof(BatchItem *) * batch->count);
    for (int i = 0; i < batch->count; i++) {
        batch->items[i].row = batch->items[i].first = -1;
        batch->ordered[i] = &batch->items[i];
    }
    qsort(batch->ordered, batch->count, sizeof(BatchItem *), compare_items);
    for (int i = 1; i < batch->count; i++) {
        BatchItem *before = batch->ordered[i - 1], *item = batch->ordered[i];

        if (strcmp(before->draft.key, item->draft.key) == 0)
            item->first = before->first >= 0 ? before->first : (int)(before - batch->items);
    }
    for (int i = 0; i < batch->count; i++) {
        BatchItem *item = &batch->items[i];

        if (item->first >= 0 && !refused(item) &&
            !same_request(&item->draft, &batch->items[item->first].draft))
            refuse_item(batch, item, mismatch());
    }
}

/* What has the key: a transaction that is committed, or one that is under way. */
static void answer_repeated(Batch *batch, BatchItem *item)
{
    bool same;

    if (!ledger_find_claim(&item->draft, &item->claim, &same))
        refuse_item(batch, item,
                    (PostingVerdict){HAIL_IN_FLIGHT, "a request with this idempotency key is under way",
                                     "idempotency_key", "Ask again."});
    else if (!same)
        refuse_item(batch, item, mismatch());
}

static void claim_keys(Batch *batch)
{
    BatchItem **claimed = palloc(sizeof(BatchItem *) * batch->count);
    bool *there = palloc(sizeof(bool) * batch->count);
    int n = 0, taken = 0;

    store_open(&store_transactions);
    for (int i = 0; i < batch->count; i++) {
        BatchItem *item = &batch->items[i];

        item->claim = (LedgerClaim){.created_at = batch->now};
        item->claim.effective_at = item->draft.effective_at ? *item->draft.effective_at : batch->now;
        hail_uuid7(&item->claim.id);
    }
    for (int i = 0; i < batch->count; i++) {
        BatchItem *item = batch->ordered[i];

        if (refused(item) || item->first >= 0)
            continue;
        ledger_fill_transaction(n, &item->draft, &item->claim);
        item->row = n;
        claimed[n++] = item;
    }
    if (n > 0)
        taken = store_claim_many(&store_transactions, n, there);
    store_close(&store_transactions);
    for (int i = 0; i < n; i++)
        if (there[i])
            ledger_note_transaction(&claimed[i]->claim.id);
        else
            claimed[i]->row = -1;
    for (int i = 0; i < n && taken < n; i++)
        if (!there[i])
            answer_repeated(batch, claimed[i]);
}

/* ---- accounts ---- */

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(pg_uuid_t));
}

static void lock_accounts(Batch *batch)
{
    pg_uuid_t *ids;
    int n = 0, distinct = 0;

    for (int i = 0; i < batch->count; i++)
        if (batch->items[i].row >= 0)
            n += batch->items[i].draft.leg_count;
    ids = palloc(sizeof(pg_uuid_t) * Max(n, 1));
    n = 0;
    for (int i = 0; i < batch->count; i++)
        for (int j = 0; batch->items[i].row >= 0 && j < batch->items[i].draft.leg_count; j++)
            ids[n++] = batch->items[i].draft.legs[j].account;
    qsort(ids, n, sizeof(pg_uuid_t), compare_ids);
    for (int i = 0; i < n; i++)
        if (i == 0 || memcmp(&ids[i], &ids[i - 1], sizeof(pg_uuid_t)) != 0)
            ids[distinct++] = ids[i];
    batch->account_count = distinct;
    batch->accounts = ledger_lock_accounts_if_any(ids, distinct);
    batch->sums = palloc0(sizeof(int64) * Max(distinct, 1));
    batch->moved = palloc0(sizeof(bool) * Max(distinct, 1));
}

/* The accounts are in the order of their ids, which come first in them. */
static int find_account(const Batch *batch, const pg_uuid_t *id)
{
    const PostingAccount *found =
        bsearch(id, batch->accounts, batch->account_count, sizeof(PostingAccount), compare_ids);

    return (int)(found - batch->accounts);
}

/* ---- decisions ---- */

static void decide(Batch *batch, BatchItem *item)
{
    int n = item->draft.leg_count;
    Posting posting = {.accounts = batch->accounts,
                       .account_count = batch->account_count,
                       .legs = palloc0(sizeof(PostingLeg) * n),
                       .leg_count = n,
                       .hold_account = -1};
    int64 *before = palloc(sizeof(int64) * n);
    PostingVerdict verdict;

    for (int i = 0; i < n; i++) {
        const LedgerLeg *leg = &item->draft.legs[i];

        posting.legs[i] = (PostingLeg){
            .account = find_account(batch, &leg->account), .credit = leg->credit, .amount = leg->amount};
        before[i] = batch->accounts[posting.legs[i].account].posted;
    }
    item->legs = posting.legs;
    verdict = check_posting(&posting);
    if (verdict.message == NULL)
        return;
    for (int i = 0; i < n; i++)
        batch->accounts[posting.legs[i].account].posted = before[i];
    refuse_item(batch, item, verdict);
}

/* ---- writing ---- */

static void forget_refused(Batch *batch)
{
    int n = 0;

    for (int i = 0; i < batch->count; i++)
        n += batch->items[i].row >= 0 && refused(&batch->items[i]);
    if (n == 0)
        return;
    store_open(&store_transactions);
    for (int i = 0; i < batch->count; i++)
        if (batch->items[i].row >= 0 && refused(&batch->items[i])) {
            store_take_out(&store_transactions, batch->items[i].row);
            ledger_forget_transaction(&batch->items[i].claim.id);
        }
    store_close(&store_transactions);
}

static bool to_write(const BatchItem *item)
{
    return item->row >= 0 && !refused(item);
}

static void add_entry(Batch *batch, int row, int64 id, const BatchItem *item, const PostingLeg *leg)
{
    const PostingAccount *account = &batch->accounts[leg->account];
    int64 amount = leg->credit ? leg->amount : -leg->amount;

    ledger_fill_entry(row, id, &item->claim.id, account, leg, batch->now);
    ledger_note_entry(&item->claim.id, account->currency, amount);
    batch->moved[leg->account] = true;
    if (!account->is_system) /* its balance did not overflow, and the sum lies between two of its balances */
        batch->sums[leg->account] += amount;
}

static void write_entries(Batch *batch)
{
    int64 id = 0;
    int left = 0, rows = 0;

    store_open(&store_entries);
    for (int i = 0; i < batch->count; i++)
        for (int j = 0; to_write(&batch->items[i]) && j < batch->items[i].draft.leg_count; j++) {
            if (left-- == 0) {
                id = store_entry_ids();
                left = STORE_ENTRY_IDS - 1;
            }
            add_entry(batch, rows++, id++, &batch->items[i], &batch->items[i].legs[j]);
            if (rows == INSERTED_TOGETHER) {
                store_insert(&store_entries, rows);
                rows = 0;
            }
        }
    if (rows > 0)
        store_insert(&store_entries, rows);
    store_close(&store_entries);
}

static void write_wallets(Batch *batch)
{
    store_open(&store_accounts);
    for (int i = 0; i < batch->account_count; i++)
        if (batch->moved[i] && !batch->accounts[i].is_system) {
            ledger_note_posted((const pg_uuid_t *)batch->accounts[i].id, batch->sums[i]);
            ledger_store_balances(&batch->accounts[i]);
        }
    store_close(&store_accounts);
}

static void answer_again(Batch *batch, BatchItem *item)
{
    const BatchItem *first = &batch->items[item->first];

    if (refused(item))
        return;
    item->verdict = first->verdict;
    item->claim = first->claim;
    item->claim.repeated = true;
}

void batch_post(BatchItem *items, int count, bool apart)
{
    Batch batch = {.items = items, .count = count, .apart = apart, .now = hail_now()};

    order_items(&batch);
    claim_keys(&batch);
    lock_accounts(&batch);
    for (int i = 0; i < count; i++)
        if (items[i].row >= 0)
            decide(&batch, &items[i]);
    forget_refused(&batch);
    write_entries(&batch);
    write_wallets(&batch);
    CommandCounterIncrement();
    for (int i = 0; i < count; i++)
        if (items[i].first >= 0)
            answer_again(&batch, &items[i]);
}
