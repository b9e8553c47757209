/*
 * The way of a request; see server.h.
 *
 * civetweb serves each client connection on a worker thread of its own; a Worker holds that thread's reusable
 * memory. Everything is answered in begin_request, before civetweb looks for files, scripts or handlers, so
 * none of those can be reached.
 */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <dirent.h>
#include <fcntl.h>

#include "db.h"
#include "merge.h"
#include "metrics.h"
#include "request.h"
#include "response.h"
#include "routes/routes.h"

typedef struct Worker {
    Arena arena;
    Buffer body_in, body_out, head_out;
} Worker;

static struct mg_context *main_context, *ops_context;

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void refuse(Request *request, FrontError error, const char *message)
{
    respond_error(request, error_front(error), message, NULL);
}

static void refuse_and_close(Request *request, FrontError error, const char *message)
{
    request->close = true;
    refuse(request, error, message);
}

/* A missing Idempotency-Key has a code word of its own. */
static void refuse_values(Request *request)
{
    if (request->error_count == 1 && strcmp(request->errors[0].field, "Idempotency-Key") == 0 &&
        strcmp(request->errors[0].message, "is required") == 0)
        respond_error(request, error_registry(HAIL_KEY_REQUIRED),
                      "this request needs an Idempotency-Key header",
                      "Send a new random key with each new request, and the same one when you repeat it.");
    else
        respond_error(request, error_registry(HAIL_INVALID_VALUE), "the request has invalid values", NULL);
}

static bool take_body(Request *request)
{
    switch (request_take_body(request)) {
    case BODY_OK:
        return true;
    case BODY_TOO_LARGE:
        refuse_and_close(request, FRONT_PAYLOAD_TOO_LARGE, NULL);
        return false;
    case BODY_WRONG_TYPE:
        refuse_and_close(
            request, FRONT_UNSUPPORTED_MEDIA,
            request->route->takes != NULL
                ? arena_format(request->arena, "the body must be %s in UTF-8", request->route->takes)
                : NULL);
        return false;
    case BODY_INCOMPLETE:
        refuse_and_close(request, FRONT_BAD_REQUEST, "the body is shorter than its Content-Length");
        return false;
    case BODY_INVALID:
        refuse(request, FRONT_INVALID_JSON, NULL);
        return false;
    case BODY_WRONG_VALUE:
        refuse_values(request);
        return false;
    }
    return false;
}

static void call_merged(Request *request, const DbCall *call)
{
    MergedReply merged;

    merge_call(call, &merged);
    if (merged.reply.failed)
        respond_db_error(request, &merged.reply);
    else
        respond_columns(request, merged.rows, merged.row, merged.first_column);
    merge_release(&merged);
}

/*
 * What the row gives along with this error, if anything: JSON for request->remedy. The transaction of the
 * call is over and rolled back; this is another, and its failure changes nothing about the answer.
 */
static void call_remedy(Request *request, const DbCall *failed, const DbReply *error, DbReply *reply)
{
    const Remedy *remedy = request->route->remedy;
    DbCall call = *failed;

    if (remedy == NULL || strcmp(error->sqlstate, hail_error_rows[remedy->error].sqlstate) != 0)
        return;
    call.remedy = call.repeatable = true;
    call.value_count = remedy->value_count;
    db_call(&call, reply);
    if (!reply->failed && PQntuples(reply->result) == 1 && !PQgetisnull(reply->result, 0, 0))
        request->remedy = PQgetvalue(reply->result, 0, 0);
}

static void fail_call(Request *request, const DbCall *call, const DbReply *error)
{
    DbReply remedy = {0};

    call_remedy(request, call, error, &remedy);
    respond_db_error(request, error);
    db_reply_free(&remedy);
}

static void call_database(Request *request)
{
    const Route *route = request->route;
    DbCall call = {.route = request->route_index,
                   .token = request->token,
                   .request_id = request->id,
                   .values = request->values,
                   .value_count = request->value_count,
                   .repeatable = route->read_only || route->repeatable};
    DbReply reply;

    if (route->merged) {
        call_merged(request, &call);
        return;
    }
    db_call(&call, &reply);
    if (reply.failed)
        fail_call(request, &call, &reply);
    else
        respond_rows(request, reply.result);
    db_reply_free(&reply);
}

static void serve_route(Request *request, int first, int variants)
{
    bool has_body = strcmp(router.routes[first]->method, "GET") != 0;

    request->route_index = first;
    request->route = router.routes[first];
    if (!has_body && request->info->content_length > 0) {
        refuse_and_close(request, FRONT_BAD_REQUEST, "this method takes no body");
        return;
    }
    if (request->route->handler != NULL) {
        request->route->handler(request);
        return;
    }
    if (request->route->roles != NULL && !request_take_token(request)) {
        request->close = request->info->content_length > 0;
        respond_error(request, error_registry(HAIL_UNAUTHENTICATED), "a bearer token is needed", NULL);
        return;
    }
    if (has_body && !take_body(request))
        return;
    if (!request_choose_route(request, first, variants) || !request_bind(request)) {
        refuse_values(request);
        return;
    }
    call_database(request);
}

static void serve(Request *request, bool operations_only)
{
    char allow[128];
    int first = 0, variants = 0;
    const char *fault = request_framing_fault(request);
    Found found;

    if (request_has_too_many_headers(request)) {
        refuse_and_close(request, FRONT_HEADERS_TOO_LARGE, NULL);
        return;
    }
    if (fault != NULL) {
        refuse_and_close(request, FRONT_BAD_REQUEST, fault);
        return;
    }
    found = router_find(request->info->request_method, request->info->local_uri_raw, &first, &variants,
                        &request->path_values, allow, sizeof(allow));
    /* What is not read of a body would be taken for the next request. */
    request->close = found != FOUND && request->info->content_length > 0;
    if (found == FOUND && operations_only && router.routes[first]->handler == NULL)
        found = FOUND_NO_PATH;
    if (found == FOUND)
        serve_route(request, first, variants);
    else if (found == FOUND_NO_PATH)
        refuse(request, FRONT_UNKNOWN_PATH, NULL);
    else if (strcmp(request->info->request_method, "OPTIONS") == 0)
        respond_options(request, allow);
    else
        respond_method_not_allowed(request, allow);
}

static void log_request(const Request *request, double seconds)
{
    LogLevel level = LOG_LEVEL_INFO;
    char status[8], ms[32];

    if (request->status == 500)
        level = LOG_LEVEL_ERROR;
    else if (request->status == 504 || seconds * 1000 >= request->config->slow_ms)
        level = LOG_LEVEL_WARN;
    if (level > log_level())
        return;
    snprintf(status, sizeof(status), "%d", request->status);
    snprintf(ms, sizeof(ms), "%.1f", seconds * 1000);
    /* The row's pattern, not the path: ids are nobody's business here. */
    log_write(level, "request", "requestId", request->id, "method", request->info->request_method, "route",
              request->route ? request->route->path : "", "status", status, "ms", ms, "remote",
              request->info->remote_addr, NULL);
}

static int begin_request(struct mg_connection *connection)
{
    Worker *worker = mg_get_thread_pointer(connection);
    const struct mg_request_info *info = mg_get_request_info(connection);
    Request request = {.connection = connection,
                       .info = info,
                       .config = mg_get_user_data(mg_get_context(connection)),
                       .arena = &worker->arena,
                       .body_in = &worker->body_in,
                       .body_out = &worker->body_out,
                       .head_out = &worker->head_out,
                       .route_index = -1};
    struct timespec start;
    double seconds;

    clock_gettime(CLOCK_MONOTONIC, &start);
    metrics_begin();
    buffer_reset(&worker->body_in);
    request_take_id(&request);
    serve(&request, mg_get_context(connection) == ops_context);
    seconds = seconds_since(&start);
    log_request(&request, seconds);
    metrics_end(request.route_index, request.status, seconds);
    json_decref(request.body);
    arena_reset(&worker->arena);
    return request.status ? request.status : 500;
}

/* What civetweb itself refuses (a request that is not HTTP, headers too long) is answered in our form too. */
static int http_error(struct mg_connection *connection, int status, const char *message)
{
    FrontError error = status == 413 ? FRONT_HEADERS_TOO_LARGE : FRONT_BAD_REQUEST;
    Worker *worker = mg_get_thread_pointer(connection);
    static const struct mg_request_info nothing = {.request_method = "GET", .http_version = "1.0"};
    Request request = {.connection = connection,
                       .info = &nothing,
                       .config = mg_get_user_data(mg_get_context(connection)),
                       .arena = &worker->arena,
                       .body_in = &worker->body_in,
                       .body_out = &worker->body_out,
                       .head_out = &worker->head_out,
                       .route_index = -1,
                       .close = true};

    (void)message;
    metrics_begin();
    request_take_id(&request);
    refuse(&request, error, NULL);
    metrics_end(-1, request.status, 0);
    arena_reset(&worker->arena);
    return 0;
}

static int log_message(const struct mg_connection *connection, const char *message)
{
    (void)connection;
    log_write(LOG_LEVEL_DEBUG, "civetweb", "detail", message, NULL);
    return 1;
}

static void *init_thread(const struct mg_context *context, int type)
{
    (void)context;
    return type == 1 ? must_alloc(sizeof(Worker)) : NULL;
}

static void exit_thread(const struct mg_context *context, int type, void *pointer)
{
    Worker *worker = pointer;

    (void)context;
    if (type != 1 || worker == NULL)
        return;
    arena_free(&worker->arena);
    buffer_free(&worker->body_in);
    buffer_free(&worker->body_out);
    buffer_free(&worker->head_out);
    free(worker);
}

static struct mg_context *listen_on(const Config *config, const char *address, int thread_count)
{
    static const struct mg_callbacks callbacks = {.begin_request = begin_request,
                                                  .http_error = http_error,
                                                  .log_message = log_message,
                                                  .init_thread = init_thread,
                                                  .exit_thread = exit_thread};
    char threads[16], keep_alive[16], read_timeout[16];
    const char *options[] = {"listening_ports",
                             address,
                             "num_threads",
                             threads,
                             "enable_keep_alive",
                             "yes",
                             "keep_alive_timeout_ms",
                             keep_alive,
                             "request_timeout_ms",
                             read_timeout,
                             "tcp_nodelay",
                             "1",
                             "connection_queue",
                             "512",
                             "listen_backlog",
                             "512",
                             "max_request_size",
                             "16384",
                             "decode_url",
                             "no",
                             "enable_directory_listing",
                             "no",
                             NULL};
    struct mg_context *context;

    snprintf(threads, sizeof(threads), "%d", thread_count);
    snprintf(keep_alive, sizeof(keep_alive), "%d", config->keep_alive_ms);
    snprintf(read_timeout, sizeof(read_timeout), "%d", config->read_timeout_ms);
    context = mg_start(&callbacks, (void *)config, options);
    if (context == NULL)
        log_write(LOG_LEVEL_ERROR, "cannot listen", "address", address, NULL);
    return context;
}

static void announce(struct mg_context *context, const char *what)
{
    struct mg_server_port ports[4];
    int n = mg_get_server_ports(context, 4, ports);

    for (int i = 0; i < n; i++)
        printf("%s on port %d\n", what, ports[i].port);
    fflush(stdout);
}

bool server_start(const Config *config)
{
    mg_init_library(0);
    db_init(config);
    main_context = listen_on(config, config->listen, config->threads);
    if (main_context == NULL)
        return false;
    if (config->ops_listen != NULL) {
        ops_context = listen_on(config, config->ops_listen, config->ops_threads);
        if (ops_context == NULL)
            return false;
        announce(ops_context, "haild: operations");
    }
    announce(main_context, "haild: listening");
    return true;
}

/*
 * civetweb can't stop accepting without cutting running answers short (mg_stop makes every write fail). So
 * the listening sockets are replaced, under their numbers, by a socket nobody can reach. It does not block: a
 * client that was seen just before is then looked for in vain, not for ever.
 */
static void stop_accepting(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int nowhere = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr abstract = {.sa_family = AF_UNIX};

    if (dir == NULL || nowhere < 0)
        return;
    /* Bound to an address the kernel picks, and listening: polling it just never finds a client. */
    if (bind(nowhere, &abstract, sizeof(sa_family_t)) == 0)
        listen(nowhere, 1);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int fd = atoi(entry->d_name), listening = 0;
        socklen_t size = sizeof(listening);

        if (fd > 2 && fd != nowhere && fd != dirfd(dir) &&
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening)
            dup3(nowhere, fd, O_CLOEXEC);
    }
    closedir(dir);
}

bool server_stop(const Config *config)
{
    struct timespec pause = {0, 10000000};
    int idle = 0;

    response_set_draining();
    stop_accepting();
    /* civetweb polls its listeners every 200 ms and may hold connections it has not begun to serve. */
    for (int i = 0; i < config->drain_s * 100 && idle < 30; i++) {
        nanosleep(&pause, NULL);
        idle = metrics_in_flight() == 0 ? idle + 1 : 0;
    }
    if (metrics_in_flight() > 0) {
        log_write(LOG_LEVEL_ERROR, "stopping with requests unfinished", NULL);
        return false;
    }
    mg_stop(main_context);
    if (ops_context != NULL)
        mg_stop(ops_context);
    db_close();
    mg_exit_library();
    return true;
}
