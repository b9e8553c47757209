/* Errors as HTTP says them; see error_map.h. */
#include "error_map.h"

#include <string.h>

static const ErrorKind front_rows[FRONT_ERROR_COUNT] = {
#define X(symbol, code, http, message) {code, http, message, http != 500},
    FRONT_ERRORS(X)
#undef X
};

/* What PostgreSQL says by itself: a SQLSTATE, or a class of them (two characters). First match counts. */
typedef struct StandardRow {
    const char *sqlstate;
    bool registry;
    int error; /* HailError or FrontError */
    const char *message;
} StandardRow;

/* clang-format off */
static const StandardRow standard_rows[] = {
    {"22P02", true,  HAIL_INVALID_VALUE,   "a value has the wrong form"},
    {"22",    true,  HAIL_INVALID_VALUE,   "a value is out of range or has the wrong form"},
    {"23505", true,  HAIL_ALREADY_EXISTS,  "it exists already"},
    {"23503", true,  HAIL_INVALID_VALUE,   "a value names something that does not exist"},
    {"23502", true,  HAIL_INVALID_VALUE,   "a value is missing"},
    {"23514", true,  HAIL_INVALID_VALUE,   "a value is not allowed"},
    {"23",    false, FRONT_CONFLICT,       NULL},
    {"25006", true,  HAIL_READ_ONLY,       "this cannot be done while the service is read only"},
    {"28",    false, FRONT_UNAVAILABLE,    NULL},
    {"3D",    false, FRONT_UNAVAILABLE,    NULL},
    {"40",    false, FRONT_BUSY,           NULL},
    {"42501", true,  HAIL_FORBIDDEN,       "your role may not do this"},
    {"53",    false, FRONT_OVERLOADED,     NULL},
    {"55P03", false, FRONT_BUSY,           NULL},
    {"57014", false, FRONT_TIMEOUT,        NULL},
    {"57P",   false, FRONT_UNAVAILABLE,    NULL},
    {"08",    false, FRONT_UNAVAILABLE,    NULL},
};
/* clang-format on */

ErrorKind error_front(FrontError error)
{
    return front_rows[error];
}

ErrorKind error_registry(HailError error)
{
    ErrorKind kind = {hail_error_rows[error].code, hail_error_rows[error].http_status, NULL, true};

    return kind;
}

ErrorKind error_from_sqlstate(const char *sqlstate)
{
    if (sqlstate == NULL)
        return error_front(FRONT_INTERNAL);
    for (int i = 0; i < HAIL_ERROR_COUNT; i++)
        if (strcmp(hail_error_rows[i].sqlstate, sqlstate) == 0)
            return error_registry((HailError)i);
    for (size_t i = 0; i < sizeof(standard_rows) / sizeof(standard_rows[0]); i++) {
        const StandardRow *row = &standard_rows[i];
        ErrorKind kind;

        if (strncmp(row->sqlstate, sqlstate, strlen(row->sqlstate)) != 0)
            continue;
        kind = row->registry ? error_registry((HailError)row->error) : error_front((FrontError)row->error);
        if (row->message != NULL)
            kind.message = row->message;
        return kind;
    }
    return error_front(FRONT_INTERNAL);
}

bool sqlstate_is_retryable(const char *sqlstate)
{
    return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0;
}

bool sqlstate_is_shutdown(const char *sqlstate)
{
    return strncmp(sqlstate, "57P0", 4) == 0;
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {{200, "OK"},
                {201, "Created"},
                {204, "No Content"},
                {304, "Not Modified"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {409, "Conflict"},
                {413, "Content Too Large"},
                {415, "Unsupported Media Type"},
                {422, "Unprocessable Content"},
                {429, "Too Many Requests"},
                {431, "Request Header Fields Too Large"},
                {500, "Internal Server Error"},
                {503, "Service Unavailable"},
                {504, "Gateway Timeout"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].status == status)
            return rows[i].text;
    return "Unknown";
}
