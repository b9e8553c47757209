/*
 * owner.h
 *    SPI as hail_owner with a safe search path, for functions that callers use with their own rights: neither
 * SECURITY DEFINER nor with settings of their own, to be cheap where no table is needed. Everything the
 * caller may do was decided before.
 *
 *        HailOwner saved = hail_owner_begin();
 *        hail_execute(...);
 *        hail_owner_end(saved);
 */
#ifndef HAIL_BASE_OWNER_H
#define HAIL_BASE_OWNER_H

#include "postgres.h"

typedef struct HailOwner {
    Oid user;
    int context, guc_level;
} HailOwner;

/* In a transaction; connects SPI. An error undoes the role. */
extern HailOwner hail_owner_begin(void);
extern void hail_owner_end(HailOwner saved);

#endif
