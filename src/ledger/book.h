/*
 * book.h
 *    The ledger's tables: what every posting is made of. All functions run inside SPI, as hail_owner.
 *
 * Order of the locks: accounts by id (wallets only), then the holds of a locked account. A hold changes only
 * under its account's lock. A posting is: claim the key, lock the accounts, decide (posting.h), write.
 */
#ifndef HAIL_LEDGER_BOOK_H
#define HAIL_LEDGER_BOOK_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "ledger/posting.h"

/* An entry as it was asked for. */
typedef struct LedgerLeg {
    pg_uuid_t account;
    bool credit;
    int64 amount;
} LedgerLeg;

/* A transaction to be made. Text is NUL-terminated; NULL where optional. */
typedef struct LedgerDraft {
    const char *kind;
    const char *principal; /* whose key it is: "system", "admin" or "user:<uuid>" */
    const char *key;
    const char
        *request; /* JSON: what a repeated key is compared with. NULL: with all of the rest and `legs` */
    const char *reference_type;
    const pg_uuid_t *reference_id;
    const pg_uuid_t *reverses;
    const char *metadata;            /* JSON */
    const TimestampTz *effective_at; /* NULL: now */
    const LedgerLeg *legs;           /* where request is NULL */
    int leg_count;
} LedgerDraft;

typedef struct LedgerClaim {
    pg_uuid_t id;
    bool repeated; /* the key has been used for the same request: `id` is the first one's */
    TimestampTz created_at, effective_at;
} LedgerClaim;

typedef struct LedgerHold {
    pg_uuid_t id, account_id;
    int64 amount;
    bool open;
} LedgerHold;

typedef struct HoldDraft {
    const char *principal;
    const char *key;
    int64 amount;
    const char *reference_type;
    const pg_uuid_t *reference_id;
    const Interval *ttl; /* NULL: does not expire */
} HoldDraft;

/* Whose keys the caller's are: "admin" or "user:<uuid>", never "system": those are the engine's own. */
extern const char *ledger_caller_principal(void);

/* Raise a verdict as an error; return when it is none. */
extern void ledger_require(PostingVerdict verdict);

/*
 * Insert the transaction's row. A concurrent one with the same key is waited for. Errors:
 * idempotency_mismatch when the key was used for something else, already_exists when `reverses` has been
 * reversed.
 */
extern LedgerClaim ledger_claim(const LedgerDraft *draft);

/*
 * Lock wallets (in the order of their ids) and read these accounts; palloc'd, in the order of `ids`. Two
 * equal ids give two equal rows. Errors: not_found.
 */
extern PostingAccount *ledger_lock_accounts(const pg_uuid_t *ids, int count);

/* The same, where accounts that do not exist are marked as missing. */
extern PostingAccount *ledger_lock_accounts_if_any(const pg_uuid_t *ids, int count);

/* The account of a kind, owner (NULL: a system account) and currency; opened when there is none. */
extern pg_uuid_t ledger_account(const char *kind, const pg_uuid_t *owner, const char *currency);

/* The same without opening it; false when there is none. */
extern bool ledger_find_account(const char *kind, const pg_uuid_t *owner, const char *currency,
                                pg_uuid_t *id);

/* Lock and read somebody's wallet; palloc'd; opened when there is none. One wallet: no order to keep. */
extern PostingAccount *ledger_lock_wallet(const char *kind, const pg_uuid_t *owner, const char *currency);

/* Check the posting, then write its entries and move its wallets. Errors: as check_posting. */
extern void ledger_write(const pg_uuid_t *transaction_id, Posting *posting);

/* The hold, its row locked; the account must be locked. False when there is none. */
extern bool ledger_lock_hold(const pg_uuid_t *hold_id, LedgerHold *hold);

/* The open hold of a trip; not locked. */
extern bool ledger_find_trip_hold_unlocked(const pg_uuid_t *trip_id, LedgerHold *hold);

/* Close an open hold: "captured", "released" or "expired". Its account's held is the caller's to move. */
extern void ledger_close_hold(const LedgerHold *hold, const char *status, int64 captured);

/*
 * Hold an amount on a locked account. Returns the hold (also the first one, when the key is repeated).
 * Errors: idempotency_mismatch, and as check_hold.
 */
extern pg_uuid_t ledger_place_hold(PostingAccount *account, const HoldDraft *draft);

/*
 * The same for a trip's hold, without a life of its own. `covered`: as much was held until now, so the
 * balance is not asked. False: the trip has an open hold already, or the key has been used; nothing was done.
 */
extern bool ledger_place_trip_hold(PostingAccount *account, const HoldDraft *draft, bool covered,
                                   pg_uuid_t *id);

/* Give an open hold's amount back to its locked account. */
extern void ledger_release_hold(PostingAccount *account, const LedgerHold *hold, const char *status);

/* ---- parts of the above, for batches (batch.c) ---- */

/*
 * The transaction that has used the draft's key, whether the caller is inside SPI and hail_owner or not.
 * False: none can be seen. *same: it was the same request.
 */
extern bool ledger_find_claim(const LedgerDraft *draft, LedgerClaim *claim, bool *same);

/* Fill in the row that is to be the n-th inserted into its table, which is open. */
extern void ledger_fill_transaction(int n, const LedgerDraft *draft, const LedgerClaim *claim);
extern void ledger_fill_entry(int n, int64 id, const pg_uuid_t *transaction_id, const PostingAccount *account,
                              const PostingLeg *leg, TimestampTz now);

/* Write a locked wallet's balances, and note what they moved by. hail.accounts is open. */
extern void ledger_store_balances(const PostingAccount *account);

#endif
