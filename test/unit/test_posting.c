/* The decisions of the ledger: postings, holds, commission. */
#include "unit.h"

#include <stdlib.h>

#include "ledger/posting.h"

static PostingAccount wallet(int64_t posted, int64_t held)
{
    return (PostingAccount){.currency = "EUR", .has_floor = true, .posted = posted, .held = held};
}

static PostingAccount system_account(const char *currency)
{
    PostingAccount account = {.is_system = true};

    memcpy(account.currency, currency, 3);
    return account;
}

static Posting posting_of(PostingAccount *accounts, int account_count, PostingLeg *legs, int leg_count)
{
    return (Posting){accounts, account_count, legs, leg_count, -1, 0};
}

static PostingLeg leg(int account, int64_t amount)
{
    return (PostingLeg){.account = account, .credit = amount > 0, .amount = llabs(amount)};
}

#define REFUSED(verdict, expected)                                                                           \
    do {                                                                                                     \
        PostingVerdict verdict_ = (verdict);                                                                 \
        CHECK(verdict_.message != NULL);                                                                     \
        CHECK_INT(verdict_.error, expected);                                                                 \
    } while (0)

static void a_fare_is_split_from_its_hold(void)
{
    PostingAccount accounts[] = {wallet(5000, 5000), wallet(0, 0), system_account("EUR")};
    PostingLeg legs[] = {leg(0, -5000), leg(1, 4250), leg(2, 750)};
    Posting posting = posting_of(accounts, 3, legs, 3);

    posting.hold_account = 0;
    posting.hold_amount = 5000;
    CHECK(check_posting(&posting).message == NULL);
    CHECK_INT(accounts[0].posted, 0);
    CHECK_INT(accounts[0].held, 0);
    CHECK_INT(legs[0].balance_after, 0);
    CHECK_INT(legs[1].balance_after, 4250);
    CHECK_INT(accounts[2].posted, 0);
}

static void what_is_held_is_not_available(void)
{
    PostingAccount accounts[] = {wallet(5000, 4000), system_account("EUR")};
    PostingLeg legs[] = {leg(0, -1001), leg(1, 1001)};
    Posting posting = posting_of(accounts, 2, legs, 2);

    REFUSED(check_posting(&posting), HAIL_INSUFFICIENT_BALANCE);
    accounts[0] = wallet(5000, 4000);
    legs[0].amount = legs[1].amount = 1000;
    CHECK(check_posting(&posting).message == NULL);
}

static void below_the_floor_money_still_comes_in(void)
{
    PostingAccount accounts[] = {wallet(-500, 0), system_account("EUR")};
    PostingLeg legs[] = {leg(0, 100), leg(1, -100)};
    Posting posting = posting_of(accounts, 2, legs, 2);

    CHECK(check_posting(&posting).message == NULL);
    CHECK_INT(accounts[0].posted, -400);
}

static void without_a_floor_there_is_no_limit(void)
{
    PostingAccount accounts[] = {wallet(0, 0), system_account("EUR")};
    PostingLeg legs[] = {leg(0, -750), leg(1, 750)};
    Posting posting = posting_of(accounts, 2, legs, 2);

    accounts[0].has_floor = false;
    CHECK(check_posting(&posting).message == NULL);
    CHECK_INT(legs[0].balance_after, -750);
}

static void each_currency_balances_by_itself(void)
{
    PostingAccount accounts[] = {system_account("EUR"), system_account("USD"), system_account("EUR"),
                                 system_account("USD")};
    PostingLeg crossed[] = {leg(0, -5), leg(1, 5)};
    PostingLeg both[] = {leg(0, -5), leg(2, 5), leg(1, -7), leg(3, 7)};
    Posting posting = posting_of(accounts, 4, crossed, 2);

    REFUSED(check_posting(&posting), HAIL_CURRENCY_MISMATCH);
    posting = posting_of(accounts, 4, both, 4);
    CHECK(check_posting(&posting).message == NULL);
    both[3].amount = 6;
    REFUSED(check_posting(&posting), HAIL_UNBALANCED);
}

static void malformed_postings_are_refused(void)
{
    PostingAccount accounts[] = {system_account("EUR"), system_account("EUR")};
    PostingLeg twice[] = {leg(0, -5), leg(0, 5)}, nothing[] = {leg(0, 0), leg(1, 0)},
               good[] = {leg(0, -5), leg(1, 5)};
    Posting posting = posting_of(accounts, 2, good, 1);

    REFUSED(check_posting(&posting), HAIL_INVALID_VALUE);
    posting = posting_of(accounts, 2, good, 0);
    REFUSED(check_posting(&posting), HAIL_INVALID_VALUE);
    posting = posting_of(accounts, 2, twice, 2);
    REFUSED(check_posting(&posting), HAIL_INVALID_VALUE);
    posting = posting_of(accounts, 2, nothing, 2);
    REFUSED(check_posting(&posting), HAIL_INVALID_VALUE);
    posting = posting_of(accounts, 2, good, 2);
    good[0].amount = good[1].amount = POSTING_MAX_AMOUNT + 1;
    REFUSED(check_posting(&posting), HAIL_INVALID_VALUE);
    good[0].amount = good[1].amount = POSTING_MAX_AMOUNT;
    CHECK(check_posting(&posting).message == NULL);
    accounts[1].closed = true;
    REFUSED(check_posting(&posting), HAIL_ACCOUNT_CLOSED);
}

static void balances_do_not_overflow(void)
{
    PostingAccount accounts[] = {wallet(INT64_MAX - 5, 0), system_account("EUR")};
    PostingLeg legs[] = {leg(0, 6), leg(1, -6)};
    Posting posting = posting_of(accounts, 2, legs, 2);

    REFUSED(check_posting(&posting), HAIL_INVALID_VALUE);
    accounts[0] = wallet(INT64_MIN + 5, 0);
    accounts[0].has_floor = false;
    legs[0].credit = false;
    legs[1].credit = true;
    REFUSED(check_posting(&posting), HAIL_INVALID_VALUE);
    accounts[0] = wallet(INT64_MIN, 1);
    REFUSED(check_posting(&posting), HAIL_INVALID_VALUE);
}

static void five_holds_pass_and_the_sixth_does_not(void)
{
    PostingAccount account = wallet(5000, 0);

    for (int i = 0; i < 5; i++)
        CHECK(check_hold(&account, 1000).message == NULL);
    CHECK_INT(account.held, 5000);
    REFUSED(check_hold(&account, 1000), HAIL_INSUFFICIENT_BALANCE);
}

static void holds_need_an_open_wallet_and_an_amount(void)
{
    PostingAccount account = wallet(5000, 0), bank = system_account("EUR");

    REFUSED(check_hold(&account, 0), HAIL_INVALID_VALUE);
    REFUSED(check_hold(&account, -1), HAIL_INVALID_VALUE);
    REFUSED(check_hold(&account, INT64_MAX), HAIL_INVALID_VALUE);
    REFUSED(check_hold(&bank, 1), HAIL_INVALID_VALUE);
    account.closed = true;
    REFUSED(check_hold(&account, 1), HAIL_ACCOUNT_CLOSED);
}

static void half_a_unit_of_commission_is_rounded_up(void)
{
    CHECK_INT(posting_commission(5000, 1500), 750);
    CHECK_INT(posting_commission(1, 5000), 1);
    CHECK_INT(posting_commission(1, 4999), 0);
    CHECK_INT(posting_commission(333, 1000), 33);
    CHECK_INT(posting_commission(335, 1000), 34);
    CHECK_INT(posting_commission(0, 10000), 0);
    CHECK_INT(posting_commission(POSTING_MAX_AMOUNT, 10000), POSTING_MAX_AMOUNT);
    CHECK_INT(posting_commission(POSTING_MAX_AMOUNT, 9999), POSTING_MAX_AMOUNT - 900719925474);
}

/* Whatever is accepted moves as much in as out. */
static void accepted_postings_keep_the_sum(void)
{
    srand(42);
    for (int round = 0; round < 20000; round++) {
        PostingAccount accounts[4];
        PostingLeg legs[4];
        int n = 2 + rand() % 3;
        int64_t before = 0, after = 0, rest = 0;
        Posting posting = posting_of(accounts, n, legs, n);

        for (int i = 0; i < n; i++) {
            int64_t amount = i == n - 1 ? -rest : rand() % 400 - 200;

            accounts[i] = wallet(rand() % 500, rand() % 100);
            before += accounts[i].posted;
            legs[i] = leg(i, amount);
            rest += amount;
        }
        if (check_posting(&posting).message != NULL)
            continue;
        for (int i = 0; i < n; i++) {
            after += accounts[i].posted;
            CHECK(legs[i].credit || accounts[i].posted - accounts[i].held >= 0);
        }
        CHECK_INT(after, before);
    }
}

int main(void)
{
    RUN(a_fare_is_split_from_its_hold);
    RUN(what_is_held_is_not_available);
    RUN(below_the_floor_money_still_comes_in);
    RUN(without_a_floor_there_is_no_limit);
    RUN(each_currency_balances_by_itself);
    RUN(malformed_postings_are_refused);
    RUN(balances_do_not_overflow);
    RUN(five_holds_pass_and_the_sixth_does_not);
    RUN(holds_need_an_open_wallet_and_an_amount);
    RUN(half_a_unit_of_commission_is_rounded_up);
    RUN(accepted_postings_keep_the_sum);
    return unit_result();
}
