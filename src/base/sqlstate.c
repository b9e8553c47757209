/* The rows of the error registry. Linked into the extension and into haild. */
#include "base/sqlstate.h"

const HailErrorRow hail_error_rows[HAIL_ERROR_COUNT] = {
#define X(symbol, sqlstate, code, http) {sqlstate, code, http},
    HAIL_ERRORS(X)
#undef X
};
