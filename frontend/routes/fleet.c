/* Endpoints of fleet. */
#include "routes/routes.h"

const Route fleet_routes[] = {
    {.method = "PUT",
     .path = API "/driver/online-status",
     .summary = "Go online, with a position, or offline",
     .sql = "SELECT row_to_json(t) FROM hail.set_availability(hail.current_subject(), $1, $2, $3) t",
     .params = {{.name = "online", .type = TYPE_BOOLEAN, .required = true, .about = "true: ready for offers"},
                {.name = "lat", .type = TYPE_NUMBER, .min = -90, .max = 90, .about = "degrees"},
                {.name = "lng", .type = TYPE_NUMBER, .min = -180, .max = 180, .about = "degrees"}},
     .roles = "driver",
     .repeatable = true},
    {0},
};
