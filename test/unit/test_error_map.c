/* SQLSTATE to code word and HTTP status. */
#include "unit.h"

#include "error_map.h"

static int means(const char *sqlstate, const char *code, int status)
{
    ErrorKind kind = error_from_sqlstate(sqlstate);
    int same = strcmp(kind.code, code) == 0 && kind.http_status == status;

    if (!same)
        printf("# %s is %s %d\n", sqlstate, kind.code, kind.http_status);
    return same;
}

static void the_registry_speaks_for_itself(void)
{
    for (int i = 0; i < HAIL_ERROR_COUNT; i++) {
        CHECK(means(hail_error_rows[i].sqlstate, hail_error_rows[i].code, hail_error_rows[i].http_status));
        CHECK(error_from_sqlstate(hail_error_rows[i].sqlstate).message == NULL);
    }
}

static void every_row_of_the_registry_is_unique_and_has_an_error_status(void)
{
    for (int i = 0; i < HAIL_ERROR_COUNT; i++) {
        CHECK_INT(strlen(hail_error_rows[i].sqlstate), 5);
        CHECK(strncmp(hail_error_rows[i].sqlstate, "UH", 2) == 0);
        CHECK(hail_error_rows[i].http_status >= 400 && hail_error_rows[i].http_status < 600);
        CHECK(strcmp(http_status_text(hail_error_rows[i].http_status), "Unknown") != 0);
        for (int j = 0; j < i; j++) {
            CHECK(strcmp(hail_error_rows[i].sqlstate, hail_error_rows[j].sqlstate) != 0);
            CHECK(strcmp(hail_error_rows[i].code, hail_error_rows[j].code) != 0);
        }
    }
}

static void postgresql_s_own_errors_have_a_meaning(void)
{
    CHECK(means("22P02", "invalid_value", 400));
    CHECK(means("22003", "invalid_value", 400));
    CHECK(means("23505", "already_exists", 409));
    CHECK(means("23P01", "conflict", 409));
    CHECK(means("42501", "forbidden", 403));
    CHECK(means("25006", "read_only", 503));
    CHECK(means("40001", "serialization_failure", 503));
    CHECK(means("40P01", "serialization_failure", 503));
    CHECK(means("53300", "overloaded", 503));
    CHECK(means("57014", "timeout", 504));
    CHECK(means("57P03", "database_unavailable", 503));
    CHECK(means("08006", "database_unavailable", 503));
}

static void the_unknown_is_internal_and_says_nothing(void)
{
    CHECK(means("XX000", "internal_error", 500));
    CHECK(means("42883", "internal_error", 500));
    CHECK(means("P0001", "internal_error", 500));
    CHECK(means("", "internal_error", 500));
    CHECK(means(NULL, "internal_error", 500));
    CHECK(error_from_sqlstate("XX000").message != NULL);
    CHECK(!error_from_sqlstate("XX000").expected && error_from_sqlstate("22P02").expected);
}

static void only_serialization_failures_and_deadlocks_are_sent_again(void)
{
    CHECK(sqlstate_is_retryable("40001") && sqlstate_is_retryable("40P01"));
    CHECK(!sqlstate_is_retryable("40002") && !sqlstate_is_retryable("23505"));
    CHECK(sqlstate_is_shutdown("57P01") && sqlstate_is_shutdown("57P03") && !sqlstate_is_shutdown("57014"));
}

int main(void)
{
    RUN(the_registry_speaks_for_itself);
    RUN(every_row_of_the_registry_is_unique_and_has_an_error_status);
    RUN(postgresql_s_own_errors_have_a_meaning);
    RUN(the_unknown_is_internal_and_says_nothing);
    RUN(only_serialization_failures_and_deadlocks_are_sent_again);
    return unit_result();
}
