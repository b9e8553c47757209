/* The table of what the ETA model has learnt; see eta_table.h. */
#include "pricing/eta_table.h"

#include <math.h>
#include <string.h>

/* Days for which the share that is left is kept. */
#define LEFT_DAYS 1024

struct EtaTable {
    uint32_t buckets;
    uint32_t used;
    uint64_t evictions;
    double half_life_days;
    char to_cache_line[64 - 24];
    float left[LEFT_DAYS]; /* of a weight after so many days */
    /* buckets * ETA_BUCKET keys (0: free), then as many effects */
};

_Static_assert(sizeof(struct EtaTable) % 64 == 0, "keys begin on a cache line");
_Static_assert(sizeof(EtaEffect) == 16, "a slot is 24 bytes with its key");

static uint32_t buckets_for(uint32_t slots)
{
    uint32_t buckets = slots / ETA_BUCKET + (slots % ETA_BUCKET != 0);

    return buckets < 2 ? 2 : buckets;
}

static uint64_t *keys_of(const EtaTable *table)
{
    return (uint64_t *)(table + 1);
}

static EtaEffect *effects_of(const EtaTable *table)
{
    return (EtaEffect *)(keys_of(table) + (size_t)table->buckets * ETA_BUCKET);
}

size_t eta_table_bytes(uint32_t slots)
{
    return sizeof(EtaTable) +
           (size_t)buckets_for(slots) * ETA_BUCKET * (sizeof(uint64_t) + sizeof(EtaEffect));
}

EtaTable *eta_table_init(void *block, uint32_t slots, double half_life_days)
{
    EtaTable *table = block;

    memset(table, 0, sizeof(*table));
    table->buckets = buckets_for(slots);
    table->half_life_days = isnan(half_life_days)
                                ? ETA_HALF_LIFE_USUAL
                                : fmin(fmax(half_life_days, ETA_HALF_LIFE_MIN), ETA_HALF_LIFE_MAX);
    for (int days = 0; days < LEFT_DAYS; days++)
        table->left[days] = (float)exp2(-days / table->half_life_days);
    eta_table_clear(table);
    return table;
}

void eta_table_clear(EtaTable *table)
{
    table->used = 0;
    memset(keys_of(table), 0, (size_t)table->buckets * ETA_BUCKET * (sizeof(uint64_t) + sizeof(EtaEffect)));
}

uint32_t eta_table_slots(const EtaTable *table)
{
    return table->buckets * ETA_BUCKET;
}

uint32_t eta_table_used(const EtaTable *table)
{
    return table->used;
}

uint64_t eta_table_evictions(const EtaTable *table)
{
    return table->evictions;
}

double eta_table_half_life(const EtaTable *table)
{
    return table->half_life_days;
}

/* The first slots of a key's two buckets, always different ones. */
static void slots_of(const EtaTable *table, uint64_t key, size_t first[2])
{
    uint64_t h = key;
    uint32_t one, two;

    /* The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit of the key moves every bit. */
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    h ^= h >> 31;
    one = (uint32_t)(((h & UINT32_MAX) * table->buckets) >> 32);
    two = (uint32_t)(((h >> 32) * (table->buckets - 1)) >> 32);
    two += two >= one;
    first[0] = (size_t)one * ETA_BUCKET;
    first[1] = (size_t)two * ETA_BUCKET;
}

/* The slot of a key in a bucket, or -1. Without branches: where a key lies can't be foreseen. */
static int slot_in(const uint64_t *bucket, uint64_t key)
{
    int slot = -1;

    for (int s = 0; s < ETA_BUCKET; s++)
        slot = bucket[s] == key ? s : slot;
    return slot;
}

static EtaEffect *find_in(const EtaTable *table, const size_t first[2], uint64_t key)
{
    const uint64_t *keys = keys_of(table);

    for (int b = 0; b < 2 && key != 0; b++) {
        int slot = slot_in(keys + first[b], key);

        if (slot >= 0)
            return effects_of(table) + first[b] + slot;
    }
    return NULL;
}

EtaEffect *eta_table_find(const EtaTable *table, uint64_t key)
{
    size_t first[2];

    slots_of(table, key, first);
    return find_in(table, first, key);
}

/* Keys that are on their way from memory at a time. */
#define AT_ONCE 64

void eta_table_find_all(const EtaTable *table, const uint64_t *keys, int count, EtaEffect **found)
{
    size_t first[AT_ONCE][2];

    for (int from = 0; from < count; from += AT_ONCE) {
        int some = count - from < AT_ONCE ? count - from : AT_ONCE;

        for (int k = 0; k < some; k++) {
            slots_of(table, keys[from + k], first[k]);
            __builtin_prefetch(keys_of(table) + first[k][0]);
            __builtin_prefetch(keys_of(table) + first[k][1]);
        }
        for (int k = 0; k < some; k++) {
            found[from + k] = find_in(table, first[k], keys[from + k]);
            __builtin_prefetch(found[from + k]);
        }
    }
}

double eta_table_left(const EtaTable *table, int32_t since, int32_t day)
{
    int64_t days = (int64_t)day - since;

    if (days <= 0)
        return 1;
    return days < LEFT_DAYS ? table->left[days] : exp2(-(double)days / table->half_life_days);
}

double eta_table_weight(const EtaTable *table, const EtaEffect *effect, int32_t day)
{
    return effect->weight * eta_table_left(table, effect->day, day);
}

/* The least worthy of two full buckets. */
static size_t least_worthy(const EtaTable *table, const size_t first[2], int32_t day)
{
    size_t worst = first[0];
    double least = INFINITY;
    bool fine = false;

    for (int k = 0; k < 2 * ETA_BUCKET; k++) {
        size_t s = first[k / ETA_BUCKET] + k % ETA_BUCKET;
        double weight = eta_table_weight(table, effects_of(table) + s, day);
        bool detail = (keys_of(table)[s] & ETA_KEY_FINE) != 0;

        if (detail == fine ? weight < least : detail) {
            least = weight;
            worst = s;
            fine = detail;
        }
    }
    return worst;
}

/* Where a new key goes: into its first bucket, where it is found soonest, until that is half full; then into
 * the emptier one; then the least worthy effect gives way. */
static size_t place_for(const EtaTable *table, const size_t first[2], int32_t day)
{
    const uint64_t *keys = keys_of(table);
    size_t place[2] = {0, 0};
    int room[2] = {0, 0}, b;

    for (int k = 2 * ETA_BUCKET - 1; k >= 0; k--)
        if (keys[first[k / ETA_BUCKET] + k % ETA_BUCKET] == 0) {
            place[k / ETA_BUCKET] = first[k / ETA_BUCKET] + k % ETA_BUCKET;
            room[k / ETA_BUCKET]++;
        }
    b = room[0] < ETA_BUCKET / 2 && room[1] > room[0];
    return room[b] > 0 ? place[b] : least_worthy(table, first, day);
}

EtaEffect *eta_table_put(EtaTable *table, uint64_t key, int32_t day, uint64_t *evicted)
{
    EtaEffect *effect;
    uint64_t *keys = keys_of(table);
    size_t first[2], slot;

    if (evicted != NULL)
        *evicted = 0;
    slots_of(table, key, first);
    effect = find_in(table, first, key);
    if (effect != NULL)
        return effect;
    slot = place_for(table, first, day);
    if (keys[slot] == 0)
        table->used++;
    else {
        table->evictions++;
        if (evicted != NULL)
            *evicted = keys[slot];
    }
    keys[slot] = key;
    effect = effects_of(table) + slot;
    *effect = (EtaEffect){.day = day};
    return effect;
}

static void free_slot(EtaTable *table, size_t slot)
{
    keys_of(table)[slot] = 0;
    effects_of(table)[slot] = (EtaEffect){0};
    table->used--;
}

bool eta_table_remove(EtaTable *table, uint64_t key)
{
    EtaEffect *effect = eta_table_find(table, key);

    if (effect == NULL)
        return false;
    free_slot(table, (size_t)(effect - effects_of(table)));
    return true;
}

uint32_t eta_table_forget_region(EtaTable *table, uint16_t region)
{
    const uint64_t *keys = keys_of(table);
    uint32_t forgotten = 0;

    for (size_t s = 0; s < eta_table_slots(table); s++)
        if (keys[s] != 0 && keys[s] >> 48 == region) {
            free_slot(table, s);
            forgotten++;
        }
    return forgotten;
}

EtaEffect *eta_table_at(const EtaTable *table, uint32_t slot, uint64_t *key)
{
    *key = keys_of(table)[slot];
    return *key == 0 ? NULL : effects_of(table) + slot;
}

void eta_table_follow(EtaTable *copy, const EtaTable *original, uint64_t key)
{
    const EtaEffect *effect = eta_table_find(original, key);
    size_t slot;

    if (effect == NULL)
        return;
    slot = (size_t)(effect - effects_of(original));
    if (keys_of(copy)[slot] == 0)
        copy->used++;
    else if (keys_of(copy)[slot] != key)
        copy->evictions++;
    keys_of(copy)[slot] = key;
    effects_of(copy)[slot] = *effect;
}
