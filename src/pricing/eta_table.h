/*
 * eta_table.h
 *    What the ETA model has learnt: a table of fixed size from 64-bit keys to small effects. Pure.
 *
 * One block of memory without pointers in it, so that it may lie in shared memory, in malloc'ed memory or in
 * a file. The caller locks: any number of readers, or one writer.
 *
 * A key has two buckets of ETA_BUCKET slots, and lies in one of them; nothing else is ever looked at. So a
 * search reads two cache lines of keys whatever happened before, removing a key leaves no trace, and a full
 * table is no special case: a new key takes the place of the least worthy effect of its two buckets. That is
 * the one with the smallest weight after forgetting among those whose keys have ETA_KEY_FINE, or, where none
 * has, among all (of equals the first in the block). So details of a big city don't drive out what little is
 * known of a small one. The same calls in the same order make the same table.
 *
 * Forgetting is exponential: an effect that was last updated n days ago counts
 * weight * 2^(-n / half_life_days).
 */
#ifndef HAIL_PRICING_ETA_TABLE_H
#define HAIL_PRICING_ETA_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETA_BUCKET 8 /* slots; their keys fill one cache line */

/* In a key: the effect is a detail, and gives way before those that are not. */
#define ETA_KEY_FINE (UINT64_C(1) << 47)

/* Half-lives that make sense, and the usual one; days. */
#define ETA_HALF_LIFE_MIN   1.0
#define ETA_HALF_LIFE_MAX   3650.0
#define ETA_HALF_LIFE_USUAL 90.0

/* One learnt number. Together with its key a row of a table. */
typedef struct EtaEffect {
    float mean;   /* in the unit of its level (eta_model.h) */
    float weight; /* observations behind it as of `day`, not negative */
    float spread; /* of what it could not explain, in the unit of its level, not negative */
    int32_t day;  /* of its last update: days since any fixed day */
} EtaEffect;

typedef struct EtaTable EtaTable;

/* Bytes of a table of at least `slots` slots (rounded up to whole buckets, two buckets at the least). */
extern size_t eta_table_bytes(uint32_t slots);

/* Makes an empty table of `slots` in `block` (eta_table_bytes(slots) long, aligned to 64 bytes).
 * half_life_days is clamped to ETA_HALF_LIFE_MIN..MAX (NaN: usual). Returns block. */
extern EtaTable *eta_table_init(void *block, uint32_t slots, double half_life_days);

extern void eta_table_clear(EtaTable *table);

extern uint32_t eta_table_slots(const EtaTable *table);
extern uint32_t eta_table_used(const EtaTable *table);
extern uint64_t eta_table_evictions(const EtaTable *table); /* since eta_table_init */
extern double eta_table_half_life(const EtaTable *table);   /* days */

/* The effect under a key, NULL if there is none. Keys are not 0. */
extern EtaEffect *eta_table_find(const EtaTable *table, uint64_t key);

/* The same for some keys at once, into found[]; memory is waited for once and not for each. */
extern void eta_table_find_all(const EtaTable *table, const uint64_t *keys, int count, EtaEffect **found);

/*
 * The effect under a key, made (all zero but for `day`) if there is none. When both its buckets are full the
 * least worthy effect as of `day` gives way and its key is stored in *evicted; else *evicted becomes 0
 * (evicted may be NULL). Never NULL.
 */
extern EtaEffect *eta_table_put(EtaTable *table, uint64_t key, int32_t day, uint64_t *evicted);

extern bool eta_table_remove(EtaTable *table, uint64_t key);

/* Forgets all effects of a region (the upper 16 bits of their keys); returns how many. */
extern uint32_t eta_table_forget_region(EtaTable *table, uint16_t region);

/* The effect in a slot (0 .. slots - 1) and its key, or NULL if the slot is free. For walks over all. */
extern EtaEffect *eta_table_at(const EtaTable *table, uint32_t slot, uint64_t *key);

/* Makes the slot that holds `key` in one table the same in another that has the same slots: what a copy needs
 * to follow its original, key by key. Nothing happens where the original does not hold the key. */
extern void eta_table_follow(EtaTable *copy, const EtaTable *original, uint64_t key);

/* What is left on `day` of a weight as of `since`, as a share of it; a day before that forgets nothing. */
extern double eta_table_left(const EtaTable *table, int32_t since, int32_t day);

/* What is left of an effect's weight on a day. */
extern double eta_table_weight(const EtaTable *table, const EtaEffect *effect, int32_t day);

#endif
