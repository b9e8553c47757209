/* Customers and variants; see experiment.h. */
#include "pricing/experiment.h"

static uint64_t little_endian(const unsigned char *bytes)
{
    uint64_t word = 0;

    for (int i = 7; i >= 0; i--)
        word = word << 8 | bytes[i];
    return word;
}

static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

/* SipRound, `times` times (the paper's section 2.2). */
static void mix(uint64_t v[4], int times)
{
    for (; times > 0; times--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix(v, 2);
    v[0] ^= word;
}

uint64_t experiment_hash(const unsigned char salt[16], const unsigned char customer[16])
{
    uint64_t k0 = little_endian(salt), k1 = little_endian(salt + 8);
    uint64_t v[4] = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                     k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};

    absorb(v, little_endian(customer));
    absorb(v, little_endian(customer + 8));
    absorb(v, UINT64_C(16) << 56); /* the last word: no bytes left, the length */
    v[2] ^= 0xff;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int experiment_bucket(const unsigned char salt[16], const unsigned char customer[16])
{
    return (int)((unsigned __int128)experiment_hash(salt, customer) * EXPERIMENT_BUCKETS >> 64);
}

int experiment_variant(const int32_t *share_bp, int count, int bucket)
{
    int32_t lowest = EXPERIMENT_BUCKETS;

    if (count > 0 && bucket < share_bp[0])
        return 0;
    for (int k = 1; k < count; k++) {
        lowest -= share_bp[k];
        if (bucket >= lowest)
            return k;
    }
    return -1;
}
