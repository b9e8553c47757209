/*
 * router.h
 *    What an endpoint is: one row. Dispatch, validation, the SQL call, OpenAPI and the tests' inventory come
 * from it.
 *
 * A row's parameters bind to $1, $2, ... of its SQL in the order they are declared; one that the request
 * doesn't give is NULL. Names are those of the JSON: "pickup.lat" is a member of an object, "locations[].lat"
 * a member of each object of an array (bound as one SQL array). Everything that isn't declared is refused by
 * name. The SQL returns JSON with snake_case keys in its first column (see json_case.h), under the caller's
 * own role: whether it may is decided in the database, `roles` is documentation. Columns after it, by name,
 * become headers: `replayed`, `etag` and `next_cursor` (see Route).
 *
 * A list with `csv` is answered as text/csv when Accept says so, or ?format=csv.
 *
 * What clients like to send though it never counts (prices, above all) a row names in `ignored`: it is not
 * passed on, and meta.ignored of the answer says so.
 *
 * Several rows may share method and path: then each names a `choice` parameter (an enum of the body) and the
 * value that selects the row.
 */
#ifndef HAILD_ROUTER_H
#define HAILD_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/sqlstate.h"

typedef enum ParamSource {
    IN_BODY,
    IN_QUERY,
    IN_PATH,
    IN_HEADER,
    IN_HEADERS, /* every header but the caller's credentials, as a JSON object with names in lower case */
    IN_RAW_BODY /* the whole body as it came, for signatures; no other parameter is in the body then */
} ParamSource;

typedef enum ParamType {
    TYPE_NUMBER,  /* min, max: limits of the value */
    TYPE_INTEGER, /* the same */
    TYPE_MONEY,   /* an integer of minor units; without limits from 1 to MONEY_MAX */
    TYPE_STRING,  /* min, max: length in bytes */
    TYPE_UUID,
    TYPE_BOOLEAN,
    TYPE_ENUM,      /* values: "wallet|cash" */
    TYPE_TIMESTAMP, /* RFC 3339 */
    TYPE_DATE,      /* 2030-01-31 */
    TYPE_KEY,       /* Idempotency-Key: visible ASCII, bare or a quoted string; min, max: length in bytes */
    TYPE_STRINGS,   /* array of strings; min, max: how many, each of at most 200 bytes */
    TYPE_INTEGERS,  /* array of integers; min, max: how many */
    TYPE_GEOJSON,   /* a JSON object, bound as its text */
    TYPE_JSON,      /* the same of any object: its keys are data, and stay as they are */
    TYPE_OBJECT,    /* a JSON object whose members the database checks, bound as text with snake_case keys */
    TYPE_LIST,      /* the same of an array of objects; min, max: how many */
    TYPE_OBJECTS    /* array of objects, whose members are declared as "name[].member"; not bound itself */
} ParamType;

typedef struct Param {
    const char *name;
    ParamSource source;
    ParamType type;
    bool required;
    double min, max; /* both 0: no limits */
    const char *values;
    const char *fallback; /* bound when the request doesn't give it; NULL: SQL NULL */
    const char *about;
} Param;

typedef enum ResultShape {
    RESULT_ROW,    /* one row: data is its object; no row: 404 */
    RESULT_LIST,   /* rows: data is {list_name: [...]} */
    RESULT_GEOJSON /* one value, a GeoJSON object; bare when the client accepts application/geo+json */
} ResultShape;

typedef enum TimeoutClass { TIMEOUT_DEFAULT, TIMEOUT_POSITION, TIMEOUT_PRICING, TIMEOUT_REPORT } TimeoutClass;

struct Request;

/*
 * What goes along with one error of a row: a second statement, run in a transaction of its own after the
 * first was rolled back, whose row becomes a member of error.details. When it fails too, the error goes out
 * alone.
 */
typedef struct Remedy {
    HailError error;
    const char *sql; /* $1 ... are the first values of the row; may be sent twice */
    int value_count;
    const char *member;
} Remedy;

/* The largest amount that every JSON reader takes as it is (2^53 - 1). */
#define MONEY_MAX 9007199254740991.0

/* What a page of CSV may ask for, whatever the parameter `limit` declares: a memory of some MB at most. */
#define CSV_MAX_ROWS 10000

#define ROUTE_MAX_PARAMS   24
#define ROUTE_MAX_SEGMENTS 12

typedef struct Route {
    const char *method;
    const char *path; /* ":name" is a path parameter, declared like the others */
    const char *summary;
    const char *sql;
    Param params[ROUTE_MAX_PARAMS]; /* ends with a NULL name */
    ResultShape shape;
    const char *list_name;
    int status;        /* on success; 0: 200 */
    const char *roles; /* "customer driver admin"; NULL: no token needed (hail_front's own rights) */
    bool read_only;    /* runs in a read-only transaction */
    bool repeatable;   /* safe to send again when the connection broke (true of every read_only row) */
    TimeoutClass timeout;
    const char *rate; /* rate class that the SQL counts (hail.limit_rate), for the headers of a 429 */
    bool keyed;       /* column replayed: true adds the header Idempotency-Replayed: true */
    bool etag;        /* column etag: ETag of the data; If-None-Match is answered with 304 */
    bool paged; /* column next_cursor of the last row: data gets hasMore and nextCursor, the answer Link */
    /*
     * Requests that wait at the same time share one call (merge.h). $1 of the SQL is then an array of their
     * tokens, $2 ... arrays of the parameters; it gives a row per request, in order: sqlstate (NULL: none),
     * message, field, hint, retry_after_s, and the columns of the answer. The shape is RESULT_ROW, and the
     * call must be repeatable.
     */
    bool merged;
    const char *csv;     /* of a list: "account_id|amount", the columns that text/csv has (csv.h) */
    const char *takes;   /* media type of a raw body; NULL: application/json */
    const char *ignored; /* "price|total": members of the body that are neither an error nor used */
    const Remedy *remedy;
    const char *choice, *chosen;
    void (*handler)(struct Request *request); /* answers without the database call; sql is NULL then */
} Route;

#define ROUTER_MAX_ROUTES 256

typedef struct Router {
    const Route *routes[ROUTER_MAX_ROUTES];
    int count;
} Router;

extern Router router; /* filled once at start, read by every thread */

/* Collect the tables of routes/; false with a line on stderr when a row contradicts itself. */
extern bool router_init(void);

typedef struct PathValues {
    const char *name[ROUTE_MAX_SEGMENTS], *value[ROUTE_MAX_SEGMENTS];
    size_t length[ROUTE_MAX_SEGMENTS];
    int count;
} PathValues;

typedef enum Found { FOUND, FOUND_NO_PATH, FOUND_NO_METHOD } Found;

/*
 * The rows for a method and path: router.routes[first .. first + *variants - 1], more than one when a choice
 * selects. HEAD finds the GET row. FOUND_NO_METHOD: the path exists; `allow` gets its methods ("GET, POST").
 */
extern Found router_find(const char *method, const char *path, int *first, int *variants, PathValues *values,
                         char *allow, size_t allow_size);

extern int timeout_ms(TimeoutClass timeout);

/* Parameter count; the number of the $n that it binds, 0 when none (choices and TYPE_OBJECTS). */
extern int route_param_count(const Route *route);
extern bool param_binds(const Route *route, const Param *param);

/* Is the body handed over as it came (IN_RAW_BODY)? */
extern bool takes_raw_body(const Route *route);

#endif
