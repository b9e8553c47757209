/*
 * unit.h: a test program is a main() of RUN(function) lines that ends with `return unit_result();`.
 * A function checks with CHECK; its name is the behaviour, printed as "ok - program: its name".
 */
#ifndef HAIL_TEST_UNIT_H
#define HAIL_TEST_UNIT_H

#include <stdio.h>
#include <string.h>

static int unit_failures; /* failed functions so far */
static int unit_broken;   /* failed checks of the function that runs */

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            unit_broken++;                                                                                   \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);                                         \
        }                                                                                                    \
    } while (0)

#define CHECK_INT(actual, expected)                                                                          \
    do {                                                                                                     \
        long long actual_ = (actual), expected_ = (expected);                                                \
        if (actual_ != expected_) {                                                                          \
            unit_broken++;                                                                                   \
            printf("# %s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #actual, actual_, expected_);      \
        }                                                                                                    \
    } while (0)

static inline void unit_run(const char *file, const char *name, void (*test)(void))
{
    char words[200];
    const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;

    base += strncmp(base, "test_", 5) == 0 ? 5 : 0;
    unit_broken = 0;
    test();
    snprintf(words, sizeof(words), "%.*s: %s", (int)strcspn(base, "."), base, name);
    for (char *c = words; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
    printf("%s - %s\n", unit_broken ? "not ok" : "ok", words);
    fflush(stdout);
    unit_failures += unit_broken > 0;
}

#define RUN(test) unit_run(__FILE__, #test, test)

static inline int unit_result(void)
{
    return unit_failures > 0;
}

#endif
