/* Endpoints of identity. */
#include "routes/routes.h"

const Route identity_routes[] = {
    {.method = "GET",
     .path = API "/auth/profile",
     .summary = "The caller's own user record",
     .sql = "SELECT row_to_json(t) FROM hail.users t WHERE t.id = hail.current_subject()",
     .roles = "customer driver admin partner analyst",
     .read_only = true},
    {0},
};
