/* The decisions of the ledger; see posting.h. */
#include "ledger/posting.h"

#include <stddef.h>
#include <string.h>

static const PostingVerdict accepted = {HAIL_INVALID_VALUE, NULL, NULL, NULL};

static PostingVerdict refuse(HailError error, const char *message, const char *field, const char *hint)
{
    return (PostingVerdict){error, message, field, hint};
}

static PostingVerdict out_of_range(void)
{
    return refuse(HAIL_INVALID_VALUE, "amount out of range", "amount",
                  "Sums and balances must fit into 64 bits; amounts into 2^53.");
}

PostingVerdict check_amount(int64_t amount)
{
    if (amount > 0 && amount <= POSTING_MAX_AMOUNT)
        return accepted;
    return refuse(HAIL_INVALID_VALUE, "amount must be above 0 and at most 2^53", "amount",
                  "Amounts are minor units of the currency; the direction says which way they go.");
}

PostingVerdict check_key(const char *key)
{
    if (key == NULL || *key == '\0')
        return refuse(HAIL_KEY_REQUIRED, "an idempotency key is required", "idempotency_key", NULL);
    if (strlen(key) > 200)
        return refuse(HAIL_INVALID_VALUE, "idempotency key is longer than 200 bytes", "idempotency_key",
                      NULL);
    return accepted;
}

PostingVerdict check_kind(const char *kind)
{
    if (kind == NULL || *kind == '\0' || strlen(kind) > 64 ||
        strspn(kind, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") != strlen(kind))
        return refuse(HAIL_INVALID_VALUE, "kind must be 1 to 64 of a-z, A-Z and _", "kind", NULL);
    return accepted;
}

PostingVerdict check_shape(const Posting *posting)
{
    if (posting->leg_count < 2 || posting->leg_count > POSTING_MAX_LEGS)
        return refuse(HAIL_INVALID_VALUE, "a transaction has between 2 and 256 entries", "entries", NULL);
    for (int i = 0; i < posting->leg_count; i++)
        for (int j = 0; j < i; j++)
            if (posting->legs[j].account == posting->legs[i].account)
                return refuse(HAIL_INVALID_VALUE, "an account may appear only once in a transaction",
                              "entries", "Add up the entries of the account.");
    return accepted;
}

static const PostingAccount *account_of(const Posting *posting, int leg)
{
    return &posting->accounts[posting->legs[leg].account];
}

static PostingVerdict check_accounts(const Posting *posting)
{
    for (int i = 0; i < posting->leg_count; i++)
        if (account_of(posting, i)->missing)
            return refuse(HAIL_NOT_FOUND, "account does not exist", "account_id", NULL);
    for (int i = 0; i < posting->leg_count; i++)
        if (account_of(posting, i)->closed)
            return refuse(HAIL_ACCOUNT_CLOSED, "account is closed", "account_id", NULL);
    if (posting->leg_count == 2 &&
        strcmp(account_of(posting, 0)->currency, account_of(posting, 1)->currency) != 0)
        return refuse(HAIL_CURRENCY_MISMATCH, "the accounts are of different currencies", "entries",
                      "Each currency has its own debits and credits; an exchange has four entries.");
    return accepted;
}

static PostingVerdict check_amounts(const Posting *posting)
{
    PostingVerdict verdict = accepted;

    for (int i = 0; i < posting->leg_count && verdict.message == NULL; i++)
        verdict = check_amount(posting->legs[i].amount);
    return verdict;
}

/* Signed sum of the legs in one currency; false on overflow. */
static bool currency_sum(const Posting *posting, const char *currency, int64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < posting->leg_count; i++) {
        const PostingLeg *leg = &posting->legs[i];

        if (strcmp(posting->accounts[leg->account].currency, currency) != 0)
            continue;
        if (__builtin_add_overflow(*sum, leg->credit ? leg->amount : -leg->amount, sum))
            return false;
    }
    return true;
}

static PostingVerdict check_balanced(const Posting *posting)
{
    for (int i = 0; i < posting->leg_count; i++) {
        int64_t sum;

        if (!currency_sum(posting, posting->accounts[posting->legs[i].account].currency, &sum))
            return out_of_range();
        if (sum != 0)
            return refuse(HAIL_UNBALANCED, "debits and credits differ", "entries",
                          "In each currency the debits must equal the credits.");
    }
    return accepted;
}

static bool available(const PostingAccount *account, int64_t *amount)
{
    return !__builtin_sub_overflow(account->posted, account->held, amount);
}

/* Below the floor and lower than before: an account that is below already may still be paid into. */
static PostingVerdict check_floor(const PostingAccount *account, int64_t available_before)
{
    int64_t after;

    if (!available(account, &after))
        return out_of_range();
    if (account->has_floor && after < account->floor && after < available_before)
        return refuse(HAIL_INSUFFICIENT_BALANCE, "available balance is too low", "account_id",
                      "Available is posted less held; add funds or take a smaller amount.");
    return accepted;
}

PostingVerdict check_posting(Posting *posting)
{
    PostingVerdict verdict = check_shape(posting);

    if (verdict.message == NULL)
        verdict = check_accounts(posting);
    if (verdict.message == NULL)
        verdict = check_amounts(posting);
    if (verdict.message == NULL)
        verdict = check_balanced(posting);
    for (int i = 0; i < posting->leg_count && verdict.message == NULL; i++) {
        PostingLeg *leg = &posting->legs[i];
        PostingAccount *account = &posting->accounts[leg->account];
        int64_t before;

        if (account->is_system)
            continue;
        if (!available(account, &before))
            return out_of_range();
        if (leg->account == posting->hold_account)
            account->held -= posting->hold_amount;
        if (__builtin_add_overflow(account->posted, leg->credit ? leg->amount : -leg->amount,
                                   &account->posted))
            return out_of_range();
        leg->balance_after = account->posted;
        leg->has_balance = true;
        verdict = check_floor(account, before);
    }
    return verdict;
}

PostingVerdict check_effective(int64_t effective_at, int64_t now)
{
    const int64_t day = INT64_C(86400000000);

    if (effective_at < now - POSTING_MAX_PAST_DAYS * day ||
        effective_at > now + POSTING_MAX_FUTURE_DAYS * day)
        return refuse(HAIL_INVALID_VALUE, "effective time must be within 366 days back and 31 days ahead",
                      "effective_at", NULL);
    return accepted;
}

PostingVerdict check_hold(PostingAccount *account, int64_t amount)
{
    PostingVerdict verdict = check_amount(amount);
    int64_t before;

    if (verdict.message != NULL)
        return verdict;
    if (account->is_system)
        return refuse(HAIL_INVALID_VALUE, "amounts are held on wallets only", "account_id", NULL);
    if (account->closed)
        return refuse(HAIL_ACCOUNT_CLOSED, "account is closed", "account_id", NULL);
    if (!available(account, &before) || __builtin_add_overflow(account->held, amount, &account->held))
        return out_of_range();
    return check_floor(account, before);
}

int64_t posting_commission(int64_t price, int commission_bp)
{
    return (int64_t)(((__int128)price * commission_bp + 5000) / 10000);
}
