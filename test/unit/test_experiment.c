/* Customers and variants: published vectors, uniform and independent buckets, who moves when shares change.
 */
#include "unit.h"

#include "pricing/experiment.h"

typedef unsigned char Id[16];

/* Ids as they really come: version 7, a millisecond apart, the rest counted up. */
static void customer_id(int n, Id id)
{
    memset(id, 0, 16);
    id[2] = 0x19;
    id[3] = 0x2f;
    id[4] = (unsigned char)(n >> 8);
    id[5] = (unsigned char)n;
    id[6] = 0x70;
    id[8] = 0x80;
    id[13] = (unsigned char)(n >> 16);
    id[14] = (unsigned char)(n >> 8);
    id[15] = (unsigned char)n;
}

static void hashes_are_those_of_siphash_2_4(void)
{
    Id counted, zeros = {0}, ones;

    for (int i = 0; i < 16; i++)
        counted[i] = (unsigned char)i;
    memset(ones, 0xff, 16);
    /* entry 16 of the reference implementation's table; the others by `openssl mac ... SIPHASH` (3.0) */
    CHECK(experiment_hash(counted, counted) == UINT64_C(0x3f2acc7f57c29bdb));
    CHECK(experiment_hash(zeros, zeros) == UINT64_C(0x32caecc280172976));
    CHECK(experiment_hash(ones, ones) == UINT64_C(0x1a27dd859ed29a2e));
}

static void buckets_of_known_customers_never_change(void)
{
    const Id salt1 = {0x01, 0x92, 0xf1, 0xa0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1};
    const Id salt2 = {0x01, 0x92, 0xf1, 0xa0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 2};
    const Id customer = {0x01, 0x92, 0xf1, 0xa0, 0x12, 0x34, 0x70, 0x00,
                         0x8a, 0xbc, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab};

    CHECK_INT(experiment_bucket(salt1, customer), 6270);
    CHECK_INT(experiment_bucket(salt2, customer), 1152);
}

/* Chi-square of 200,000 customers over 100 groups of buckets; 99 degrees of freedom: above 148.2 once in
 * 1,000. */
static void buckets_are_uniform(void)
{
    for (int s = 0; s < 10; s++) {
        Id salt = {0}, id;
        int counts[100] = {0};
        double chi_square = 0;

        salt[15] = (unsigned char)s;
        for (int n = 0; n < 200000; n++) {
            int bucket;

            customer_id(n, id);
            bucket = experiment_bucket(salt, id);
            CHECK(bucket >= 0 && bucket < EXPERIMENT_BUCKETS);
            counts[bucket / 100]++;
        }
        for (int g = 0; g < 100; g++)
            chi_square += (counts[g] - 2000.0) * (counts[g] - 2000.0) / 2000;
        CHECK(chi_square < 148.2);
    }
}

/* Salts one bit apart; 10 by 10 table, 81 degrees of freedom: above 126.1 once in 1,000. */
static void what_one_salt_says_tells_nothing_of_another(void)
{
    for (int bit = 0; bit < 128; bit += 16) {
        Id salt1 = {0}, salt2 = {0}, id;
        int counts[10][10] = {{0}};
        double chi_square = 0;

        salt2[bit / 8] ^= (unsigned char)(1 << (bit / 16));
        for (int n = 0; n < 100000; n++) {
            customer_id(n, id);
            counts[experiment_bucket(salt1, id) / 1000][experiment_bucket(salt2, id) / 1000]++;
        }
        for (int i = 0; i < 10; i++)
            for (int j = 0; j < 10; j++)
                chi_square += (counts[i][j] - 1000.0) * (counts[i][j] - 1000.0) / 1000;
        CHECK(chi_square < 126.1);
    }
}

/* Buckets that leave a variant for another one. (From or to the rest doesn't count.) */
static int moved(const int32_t *before, const int32_t *after, int count)
{
    int n = 0;

    for (int bucket = 0; bucket < EXPERIMENT_BUCKETS; bucket++) {
        int from = experiment_variant(before, count, bucket), to = experiment_variant(after, count, bucket);

        n += from >= 0 && to >= 0 && from != to;
    }
    return n;
}

static void each_variant_has_its_share(void)
{
    const int32_t shares[] = {3000, 2500, 0, 1, 1999};
    int counts[6] = {0};

    for (int bucket = 0; bucket < EXPERIMENT_BUCKETS; bucket++)
        counts[1 + experiment_variant(shares, 5, bucket)]++;
    CHECK_INT(counts[0], 2500);
    for (int k = 0; k < 5; k++)
        CHECK_INT(counts[1 + k], shares[k]);
    CHECK_INT(experiment_variant(shares, 5, 0), 0);
    CHECK_INT(experiment_variant(shares, 5, 2999), 0);
    CHECK_INT(experiment_variant(shares, 5, 3000), -1);
    CHECK_INT(experiment_variant(shares, 5, 5499), -1);
    CHECK_INT(experiment_variant(shares, 5, 5500), 4);
    CHECK_INT(experiment_variant(shares, 5, 7499), 3);
    CHECK_INT(experiment_variant(shares, 5, 7500), 1);
    CHECK_INT(experiment_variant(shares, 5, 9999), 1);
    CHECK_INT(experiment_variant(shares, 0, 5), -1);
}

static void all_shares_together_leave_nobody_out(void)
{
    const int32_t shares[] = {5000, 5000};

    CHECK_INT(experiment_variant(shares, 2, 4999), 0);
    CHECK_INT(experiment_variant(shares, 2, 5000), 1);
}

static void growing_two_variants_moves_nobody_between_them(void)
{
    for (int share = 100; share <= 5000; share += 100) {
        const int32_t before[] = {100, 100}, after[] = {share, 10000 - share};

        CHECK_INT(moved(before, after, 2), 0);
    }
}

static void growing_the_last_or_the_control_moves_nobody(void)
{
    const int32_t before[] = {1000, 2000, 1500, 1000}, after[] = {3000, 2000, 1500, 2500};

    CHECK_INT(moved(before, after, 4), 0);
}

static void a_share_that_grows_moves_one_bucket_a_point_at_each_border_below_it(void)
{
    const int32_t before[] = {1000, 2000, 1500, 1000}, one[] = {1000, 2100, 1500, 1000},
                  both[] = {1000, 2100, 1400, 1000};

    CHECK_INT(moved(before, one, 4), 200);
    CHECK_INT(moved(before, both, 4), 100);
}

int main(void)
{
    RUN(hashes_are_those_of_siphash_2_4);
    RUN(buckets_of_known_customers_never_change);
    RUN(buckets_are_uniform);
    RUN(what_one_salt_says_tells_nothing_of_another);
    RUN(each_variant_has_its_share);
    RUN(all_shares_together_leave_nobody_out);
    RUN(growing_two_variants_moves_nobody_between_them);
    RUN(growing_the_last_or_the_control_moves_nobody);
    RUN(a_share_that_grows_moves_one_bucket_a_point_at_each_border_below_it);
    return unit_result();
}
