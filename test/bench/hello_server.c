/*
 * hello_server PORT THREADS
 *    The peer of the HTTP benchmarks: civetweb as haild uses it, answering every request with a fixed small
 * JSON body. Reads the request's body, runs until it is killed.
 */
#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char body[] =
    "{\"success\":true,\"data\":{\"state\":\"available\",\"pendingOffers\":0,\"applied\":true},"
    "\"meta\":{\"requestId\":\"00000000-0000-7000-8000-000000000000\","
    "\"timestamp\":\"2026-01-01T00:00:00Z\",\"version\":\"1\"}}\n";

static int hello(struct mg_connection *connection, void *arg)
{
    char buffer[4096];

    (void)arg;
    while (mg_read(connection, buffer, sizeof(buffer)) > 0)
        ;
    mg_printf(connection,
              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
              "Connection: keep-alive\r\n\r\n%s",
              strlen(body), body);
    return 200;
}

int main(int argc, char **argv)
{
    char address[64];

    if (argc != 3) {
        fprintf(stderr, "usage: hello_server PORT THREADS\n");
        return 2;
    }
    snprintf(address, sizeof(address), "127.0.0.1:%s", argv[1]);

    const char *options[] = {"listening_ports",
                             address,
                             "num_threads",
                             argv[2],
                             "enable_keep_alive",
                             "yes",
                             "keep_alive_timeout_ms",
                             "60000",
                             "tcp_nodelay",
                             "1",
                             NULL};
    struct mg_callbacks callbacks = {0};

    mg_init_library(0);
    struct mg_context *context = mg_start(&callbacks, NULL, options);

    if (context == NULL) {
        fprintf(stderr, "hello_server: cannot listen on %s\n", address);
        return 1;
    }
    mg_set_request_handler(context, "/", hello, NULL);
    for (;;)
        pause();
}
