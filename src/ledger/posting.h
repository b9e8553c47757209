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
    bool missing; /* there is none of this id */
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
    bool has_balance;      /* the same */
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

/* Is it an idempotency key (1 to 200 bytes), a kind of transaction (1 to 64 of a-z, A-Z and _)? NULL is none.
 */
extern PostingVerdict check_key(const char *key);
extern PostingVerdict check_kind(const char *kind);

/*
 * Is this the shape of a transaction: two legs to 256, no account twice? Says nothing of the accounts, which
 * need not be known.
 */
extern PostingVerdict check_shape(const Posting *posting);

/*
 * May these legs be posted? The first of these faults is told: shape, an account that is missing, one that is
 * closed, two legs in two currencies, amounts outside of (0, 2^53], debits that differ from credits in a
 * currency (overflow of their sum is out of range), overflow of a balance or a wallet pushed below its floor,
 * in the order of the legs. When they may, accounts' posted and held are what they will be, and legs'
 * balance_after is filled in; else the contents are undefined.
 */
extern PostingVerdict check_posting(Posting *posting);

/* Is it an amount: above 0, at most 2^53? */
extern PostingVerdict check_amount(int64_t amount);

/*
 * May a transaction recorded `now` be effective at that time? From 366 days before to 31 days after.
 * Microseconds since any epoch; infinities are the ends of the type.
 */
#define POSTING_MAX_PAST_DAYS   366
#define POSTING_MAX_FUTURE_DAYS 31
extern PostingVerdict check_effective(int64_t effective_at, int64_t now);

/* May `amount` be held on this wallet? When it may, held is what it will be. */
extern PostingVerdict check_hold(PostingAccount *account, int64_t amount);

/* The platform's share of a price: price * basis points / 10000, half rounded up. price >= 0, bp in 0..10000.
 */
extern int64_t posting_commission(int64_t price, int commission_bp);

#endif
