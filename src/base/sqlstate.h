/*
 * sqlstate.h
 *    The one error registry: SQLSTATE, stable code word, HTTP status.
 *
 * Included by the extension and by haild alike, so it needs nothing but this file. SQLSTATE class "UH" is
 * free for implementations (ISO/IEC 9075: classes starting with 5-9 and I-Z). A row, once released, keeps
 * its SQLSTATE and its word for ever. Nothing raises not_preloaded yet:
 * clients may prepare for them. rate_limited and overloaded have the detail "retry_after_s=N", whole seconds.
 */
#ifndef HAIL_SQLSTATE_H
#define HAIL_SQLSTATE_H

/* clang-format off */
/*       symbol                     SQLSTATE  code word                 HTTP */
#define HAIL_ERRORS(X) \
    X(HAIL_INVALID_VALUE,           "UH001", "invalid_value",           400) \
    X(HAIL_OUTSIDE_SERVICE_AREA,    "UH002", "outside_service_area",    400) \
    X(HAIL_UNKNOWN_CLASS,           "UH003", "unknown_class",           400) \
    X(HAIL_RESTRICTED_AREA,         "UH004", "restricted_area",         400) \
    X(HAIL_UNAUTHENTICATED,         "UH010", "unauthenticated",         401) \
    X(HAIL_TOKEN_EXPIRED,           "UH011", "token_expired",           401) \
    X(HAIL_FORBIDDEN,               "UH012", "forbidden",               403) \
    X(HAIL_INVALID_SIGNATURE,       "UH013", "invalid_signature",       401) \
    X(HAIL_NOT_FOUND,               "UH020", "not_found",               404) \
    X(HAIL_ALREADY_EXISTS,          "UH021", "already_exists",          409) \
    X(HAIL_WRONG_STATE,             "UH030", "wrong_state",             409) \
    X(HAIL_TRIP_TAKEN,              "UH031", "trip_taken",              409) \
    X(HAIL_OFFER_EXPIRED,           "UH032", "offer_expired",           409) \
    X(HAIL_OFFER_CLOSED,            "UH033", "offer_closed",            409) \
    X(HAIL_DRIVER_BUSY,             "UH034", "driver_busy",             409) \
    X(HAIL_DRIVER_NOT_ELIGIBLE,     "UH035", "driver_not_eligible",     409) \
    X(HAIL_WRONG_PICKUP_CODE,       "UH036", "wrong_pickup_code",       409) \
    X(HAIL_ACTIVE_TRIP_EXISTS,      "UH037", "active_trip_exists",      409) \
    X(HAIL_BID_OUT_OF_BOUNDS,       "UH038", "bid_out_of_bounds",       409) \
    X(HAIL_NO_ROOM,                 "UH039", "no_room",                 409) \
    X(HAIL_CODE_BLOCKED,            "UH03A", "code_blocked",            409) \
    X(HAIL_QUOTE_EXPIRED,           "UH040", "quote_expired",           409) \
    X(HAIL_QUOTE_USED,              "UH041", "quote_used",              409) \
    X(HAIL_QUOTE_CHANGED,           "UH042", "quote_changed",           409) \
    X(HAIL_QUOTE_MISMATCH,          "UH043", "quote_mismatch",          409) \
    X(HAIL_IDEMPOTENCY_MISMATCH,    "UH050", "idempotency_mismatch",    422) \
    X(HAIL_IN_FLIGHT,               "UH051", "in_flight",               409) \
    X(HAIL_KEY_REQUIRED,            "UH052", "idempotency_key_required", 400) \
    X(HAIL_INSUFFICIENT_BALANCE,    "UH060", "insufficient_balance",    409) \
    X(HAIL_UNBALANCED,              "UH061", "unbalanced_transaction",  409) \
    X(HAIL_LEDGER_PROTECTED,        "UH062", "ledger_protected",        403) \
    X(HAIL_ACCOUNT_CLOSED,          "UH063", "account_closed",          409) \
    X(HAIL_HOLD_RESOLVED,           "UH064", "hold_resolved",           409) \
    X(HAIL_CURRENCY_MISMATCH,       "UH065", "currency_mismatch",       409) \
    X(HAIL_PAYMENT_DUE,             "UH066", "payment_due",             409) \
    X(HAIL_LIMIT_EXCEEDED,          "UH067", "limit_exceeded",          409) \
    X(HAIL_FRAUD_HOLD,              "UH068", "fraud_hold",              403) \
    X(HAIL_WARMING,                 "UH070", "warming",                 503) \
    X(HAIL_OUT_OF_SLOTS,            "UH071", "out_of_slots",            503) \
    X(HAIL_NOT_PRELOADED,           "UH072", "not_preloaded",           503) \
    X(HAIL_READ_ONLY,               "UH073", "read_only",               503) \
    X(HAIL_RATE_LIMITED,            "UH080", "rate_limited",            429) \
    X(HAIL_OVERLOADED,              "UH081", "overloaded",              503)
/* clang-format on */

typedef struct HailErrorRow {
    const char *sqlstate; /* five characters */
    const char *code;     /* stable word, part of the API */
    int http_status;
} HailErrorRow;

typedef enum HailError {
#define X(symbol, sqlstate, code, http) symbol,
    HAIL_ERRORS(X)
#undef X
        HAIL_ERROR_COUNT
} HailError;

extern const HailErrorRow hail_error_rows[HAIL_ERROR_COUNT];

#endif
