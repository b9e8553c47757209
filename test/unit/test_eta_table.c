/* The table of what ETAs have learnt. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "pricing/eta_table.h"

static EtaTable *new_table(uint32_t slots, double half_life)
{
    return eta_table_init(aligned_alloc(64, (eta_table_bytes(slots) + 63) / 64 * 64), slots, half_life);
}

/* Any number but 0, of a region, coarse. */
static uint64_t key_of(uint16_t region, uint32_t n)
{
    return ((uint64_t)region << 48) | (UINT64_C(1) << 40) | n;
}

static void what_was_put_is_found(void)
{
    EtaTable *table = new_table(1000, 90);
    uint64_t evicted = 4711;

    CHECK(eta_table_slots(table) >= 1000 && eta_table_slots(table) < 1000 + ETA_BUCKET);
    for (uint32_t n = 1; n <= 700; n++) {
        EtaEffect *effect = eta_table_put(table, key_of(1, n), 5, &evicted);

        CHECK(evicted == 0 && effect->mean == 0 && effect->weight == 0 && effect->day == 5);
        effect->mean = n;
    }
    CHECK_INT(eta_table_used(table), 700);
    for (uint32_t n = 1; n <= 700; n++) {
        CHECK(eta_table_find(table, key_of(1, n)) != NULL && eta_table_find(table, key_of(1, n))->mean == n);
        CHECK(eta_table_put(table, key_of(1, n), 6, NULL)->mean == n);
    }
    CHECK_INT(eta_table_used(table), 700);
    CHECK(eta_table_find(table, key_of(2, 1)) == NULL && eta_table_find(table, 0) == NULL);
    free(table);
}

static void many_at_once_are_found_as_one_by_one(void)
{
    EtaTable *table = new_table(256, 90);
    uint64_t keys[150];
    EtaEffect *found[150];

    for (uint32_t n = 0; n < 150; n++) {
        keys[n] = n % 7 == 3 ? 0 : key_of(1, n);
        if (n % 3 && keys[n] != 0)
            eta_table_put(table, keys[n], 0, NULL);
    }
    eta_table_find_all(table, keys, 150, found);
    for (uint32_t n = 0; n < 150; n++)
        CHECK(found[n] == eta_table_find(table, keys[n]));
    free(table);
}

static void a_full_table_stays_as_large_as_it_is(void)
{
    EtaTable *table = new_table(64, 90);
    uint32_t gone = 0;

    for (uint32_t n = 1; n <= 100000; n++) {
        uint64_t evicted;
        EtaEffect *effect = eta_table_put(table, key_of(1, n), (int32_t)(n / 100), &evicted);

        effect->weight = n % 13;
        gone += evicted != 0;
        CHECK(evicted == 0 || eta_table_find(table, evicted) == NULL);
        CHECK(eta_table_find(table, key_of(1, n)) == effect);
        if (unit_broken)
            return;
    }
    CHECK(eta_table_used(table) <= 64 && eta_table_used(table) >= 60);
    CHECK_INT(gone, 100000 - eta_table_used(table));
    CHECK_INT(eta_table_evictions(table), gone);
    free(table);
}

/* A table of two buckets: any new key competes with all. */
static void the_least_worthy_gives_way_after_forgetting(void)
{
    EtaTable *table = new_table(16, 10);
    uint64_t evicted;

    for (uint32_t n = 1; n <= 16; n++)
        eta_table_put(table, key_of(1, n), 100, NULL)->weight = 50 + n;
    eta_table_find(table, key_of(1, 9))->day = 0; /* 59 trips, ten half-lives ago */
    eta_table_put(table, key_of(1, 17), 100, &evicted)->weight = 1000;
    CHECK(evicted == key_of(1, 9));
    eta_table_put(table, key_of(1, 18), 100, &evicted)->weight = 1000;
    CHECK(evicted == key_of(1, 1));
    free(table);
}

static void details_give_way_first(void)
{
    EtaTable *table = new_table(16, 10);
    uint64_t evicted;

    for (uint32_t n = 1; n <= 16; n++)
        eta_table_put(table, key_of(1, n) | (n > 12 ? ETA_KEY_FINE : 0), 100, NULL)->weight = n;
    for (uint32_t n = 13; n <= 16; n++) {
        eta_table_put(table, key_of(2, n), 100, &evicted);
        CHECK(evicted == (key_of(1, n) | ETA_KEY_FINE));
    }
    eta_table_put(table, key_of(2, 17), 100, &evicted)->weight = 9;
    CHECK((evicted & ETA_KEY_FINE) == 0 && evicted != 0);
    CHECK_INT(eta_table_used(table), 16);
    free(table);
}

static void the_same_calls_make_the_same_table(void)
{
    EtaTable *a = new_table(128, 30), *b = new_table(128, 30);

    for (int turn = 0; turn < 2; turn++)
        for (uint32_t n = 1; n <= 5000; n++)
            eta_table_put(turn ? b : a, key_of(1, n * n % 601), (int32_t)n, NULL)->weight++;
    CHECK(memcmp(a, b, eta_table_bytes(128)) == 0);
    free(a);
    free(b);
}

static void a_region_is_forgotten_and_the_others_stay(void)
{
    EtaTable *table = new_table(512, 90);
    uint64_t key;
    uint32_t seen = 0;

    for (uint16_t region = 1; region <= 3; region++)
        for (uint32_t n = 0; n < 100; n++)
            eta_table_put(table, key_of(region, n) | (n % 2 ? ETA_KEY_FINE : 0), 0, NULL);
    CHECK_INT(eta_table_forget_region(table, 2), 100);
    CHECK_INT(eta_table_forget_region(table, 2), 0);
    CHECK_INT(eta_table_used(table), 200);
    for (uint32_t slot = 0; slot < eta_table_slots(table); slot++)
        if (eta_table_at(table, slot, &key) != NULL) {
            seen++;
            CHECK(key >> 48 == 1 || key >> 48 == 3);
            CHECK(eta_table_find(table, key) == eta_table_at(table, slot, &key));
        }
    CHECK_INT(seen, 200);
    free(table);
}

static void a_removed_key_leaves_no_trace(void)
{
    EtaTable *table = new_table(16, 90), *empty = new_table(16, 90);

    for (uint32_t n = 1; n <= 16; n++)
        eta_table_put(table, key_of(1, n), 3, NULL)->weight = 1;
    for (uint32_t n = 1; n <= 16; n++) {
        CHECK(eta_table_remove(table, key_of(1, n)));
        CHECK(!eta_table_remove(table, key_of(1, n)));
        for (uint32_t m = n + 1; m <= 16; m++)
            CHECK(eta_table_find(table, key_of(1, m)) != NULL);
    }
    CHECK(memcmp(table, empty, eta_table_bytes(16)) == 0);
    free(table);
    free(empty);
}

static void a_copy_follows_its_original(void)
{
    EtaTable *original = new_table(32, 90), *copy = new_table(32, 90);

    for (uint32_t n = 1; n <= 500; n++) {
        eta_table_put(original, key_of(1, n % 97), (int32_t)n, NULL)->weight += n % 5;
        eta_table_follow(copy, original, key_of(1, n % 97));
    }
    eta_table_follow(copy, original, key_of(9, 9));
    CHECK(memcmp(original, copy, eta_table_bytes(32)) == 0);
    free(original);
    free(copy);
}

static void weights_halve_with_every_half_life(void)
{
    EtaTable *table = new_table(16, 20);
    EtaEffect effect = {.weight = 8, .day = 1000};

    CHECK(fabs(eta_table_weight(table, &effect, 1000) - 8) < 1e-6);
    CHECK(fabs(eta_table_weight(table, &effect, 1020) - 4) < 1e-6);
    CHECK(fabs(eta_table_weight(table, &effect, 1060) - 1) < 1e-6);
    CHECK(fabs(eta_table_weight(table, &effect, 500) - 8) < 1e-6);
    CHECK(eta_table_weight(table, &effect, 1000 + 20 * 100) < 1e-20);
    CHECK(eta_table_left(table, INT32_MIN, INT32_MAX) == 0);
    CHECK(eta_table_left(table, INT32_MAX, INT32_MIN) == 1);
    for (int32_t days = 1; days < 3000; days++)
        CHECK(eta_table_left(table, 0, days) <= eta_table_left(table, 0, days - 1));
    CHECK(fabs(eta_table_left(table, 0, 1023) / exp2(-1023 / 20.0) - 1) < 1e-6);
    CHECK(fabs(eta_table_left(table, 0, 1024) / exp2(-1024 / 20.0) - 1) < 1e-6);
    free(table);
}

static void half_lives_are_kept_within_reason(void)
{
    const double given[] = {NAN, -1, 0, 30, 1e9, INFINITY};
    const double kept[] = {ETA_HALF_LIFE_USUAL, 1, 1, 30, 3650, 3650};

    for (int k = 0; k < 6; k++) {
        EtaTable *table = new_table(0, given[k]);

        CHECK(eta_table_half_life(table) == kept[k]);
        CHECK_INT(eta_table_slots(table), 2 * ETA_BUCKET);
        free(table);
    }
}

int main(void)
{
    RUN(what_was_put_is_found);
    RUN(many_at_once_are_found_as_one_by_one);
    RUN(a_full_table_stays_as_large_as_it_is);
    RUN(the_least_worthy_gives_way_after_forgetting);
    RUN(details_give_way_first);
    RUN(the_same_calls_make_the_same_table);
    RUN(a_region_is_forgotten_and_the_others_stay);
    RUN(a_removed_key_leaves_no_trace);
    RUN(a_copy_follows_its_original);
    RUN(weights_halve_with_every_half_life);
    RUN(half_lives_are_kept_within_reason);
    return unit_result();
}
