/*
 * template.h
 *    Named templates of entries (hail.entry_templates): whatever the engine posts is a row's name and
 * amounts.
 *
 * A leg of a template says which account (a system account, or a wallet of the customer, the driver, or one
 * that is named), which direction and which amount, by name. Legs of nothing are left out, legs of one
 * account become one. The table is kept by each backend (base/kept.h). All functions run inside SPI, as
 * hail_owner, in a transaction.
 */
#ifndef HAIL_LEDGER_TEMPLATE_H
#define HAIL_LEDGER_TEMPLATE_H

#include "postgres.h"
#include "utils/uuid.h"

#include "ledger/book.h"
#include "ledger/posting.h"

#define TEMPLATE_MAX_LEGS    16
#define TEMPLATE_MAX_AMOUNTS 16

/* An amount in minor units, 0 to 2^53; those that are not given are 0. */
typedef struct TemplateAmount {
    const char *name;
    int64 amount;
} TemplateAmount;

/* What a template is filled with. */
typedef struct TemplateInput {
    const char *name;
    const char *currency;
    TemplateAmount amounts[TEMPLATE_MAX_AMOUNTS];
    int amount_count;
    const pg_uuid_t *customer, *driver; /* owners of wallets, opened when they have none; NULL: nobody */
    const pg_uuid_t *wallet;            /* an account, for legs of owner "wallet"; NULL: none */
} TemplateInput;

/* Legs, not yet checked; accounts are not locked yet. */
typedef struct TemplateLegs {
    pg_uuid_t ids[TEMPLATE_MAX_LEGS];
    PostingLeg legs[TEMPLATE_MAX_LEGS]; /* leg i is of account i */
    int count;                          /* 0: nothing is to be posted */
    int customer, driver, wallet;       /* the legs of their wallets; -1: none */
} TemplateLegs;

/* What a posting by a template has beside its input. */
typedef struct TemplateDraft {
    const char *key;       /* principal "system" */
    const pg_uuid_t *hold; /* an open hold of a wallet that pays, used up by it; NULL: none */
    const char *reference_type;
    const pg_uuid_t *reference_id;
    const char *metadata; /* JSON */
} TemplateDraft;

/* Add an amount to the input. */
extern void template_amount(TemplateInput *input, const char *name, int64 amount);

/*
 * The legs of a template. Errors: invalid_value (no such template, an amount it does not know or that is out
 * of range, no wallet given), wrong_state (nobody whose wallet it is).
 */
extern TemplateLegs template_legs(const TemplateInput *input);

/* The claim's draft of kind = template; its stored request tells the input. Palloc'd parts. */
extern LedgerDraft template_draft(const TemplateInput *input, const TemplateDraft *draft);

/*
 * Check and write the legs of a claimed transaction. `accounts` are theirs, locked; `hold`, if any, is locked
 * and open. Errors: as check_posting; invalid_value when no debited account has the hold.
 */
extern void template_write(const pg_uuid_t *transaction_id, TemplateLegs *legs, PostingAccount *accounts,
                           const LedgerHold *hold);

/*
 * Claim, lock, decide, write: the whole posting. False: all its legs are nothing, nothing was done (a hold is
 * still open). *transaction_id: also the first one's when the key is repeated for the same request. Errors:
 * as above, idempotency_mismatch, not_found and hold_resolved of the hold, currency_mismatch of the wallet.
 */
extern bool template_post(const TemplateInput *input, const TemplateDraft *draft, pg_uuid_t *transaction_id);

#endif
