/*
 * posting.h
 *    The decisions of the ledger. Pure: no database, no clock, no allocation; unit-tested in test/unit.
 *
 * Amounts are bigint minor units of a currency. posted = credits - debits. available = posted - held, and may
 * not go below an account's floor.
 */
#ifndef HAIL_POSTING_H
#define HAIL_POSTING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sqlstate.h"

#define POSTING_ID_BYTES   16
#define POSTING_MAX_AMOUNT (INT64_C(1) << 53) /* exact in JSON numbers too */
#define POSTING_MAX_LEGS   256

/* An account as it was read: wallets under their row lock, system accounts without (posted and held unknown).
 */
typedef struct PostingAccount {
    unsigned char id[POSTING_ID_BYTES];
    char currency[4];
    bool is_system;
    bool closed;
    bool has_floor;
    int64_t floor;
    int64_t posted;
    int64_t held;
    void *row; /* the book's: the row as it was locked */
} PostingAccount;

typedef struct PostingLeg {
    int account; /* index into Posting.accounts */
    bool credit;
    int64_t amount;
    int64_t balance_after; /* set by check_posting for wallets */
} PostingLeg;

typedef struct Posting {
    PostingAccount *accounts; /* posted of wallets is moved by check_posting */
    int account_count;
    PostingLeg *legs;
    int leg_count;
    int hold_account;    /* index of the account whose hold is used up; -1: none */
    int64_t hold_amount; /* amount of that hold; given back to available before the legs count */
} Posting;

/* Why not. message NULL: it may be done. */
typedef struct PostingVerdict {
    HailError error;
    const char *message;
    const char *field;
    const char *hint;
} PostingVerdict;

/*
 * May these legs be posted? Two legs or more, no account twice, amounts in (0, 2^53], open accounts, debits =
 * credits in each currency, no wallet pushed below its floor, no overflow. When they may, accounts' posted
 * and held are what they will be, and legs' balance_after is filled in; else the contents are undefined.
 */
extern PostingVerdict check_posting(Posting *posting);

/* Is it an amount: above 0, at most 2^53? */
extern PostingVerdict check_amount(int64_t amount);

/* May `amount` be held on this wallet? When it may, held is what it will be. */
extern PostingVerdict check_hold(PostingAccount *account, int64_t amount);

/* The platform's share of a price: price * basis points / 10000, half rounded up. price >= 0, bp in 0..10000.
 */
extern int64_t posting_commission(int64_t price, int commission_bp);

#endif
