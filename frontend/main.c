/* haild: HTTP requests to pg_hail's SQL functions. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "openapi.h"
#include "router.h"
#include "server.h"

static int usage(FILE *out, int status)
{
    fputs("usage: haild [--check | --routes | --openapi | --help]\n"
          "  without an option, serve until SIGTERM\n"
          "  --check    check the settings and exit\n"
          "  --routes   print every endpoint: method, path, choice, SQL\n"
          "  --openapi  print the OpenAPI document\n",
          out);
    config_describe(out);
    return status;
}

static int print_routes(void)
{
    for (int i = 0; i < router.count; i++) {
        const Route *r = router.routes[i];

        printf("%s\t%s\t%s%s%s\t%s\n", r->method, r->path, r->choice ? r->choice : "", r->choice ? "=" : "",
               r->chosen ? r->chosen : "", r->sql ? r->sql : "-");
    }
    return 0;
}

static int print_openapi(void)
{
    Buffer out = {0};

    openapi_render(&out);
    puts(out.data);
    buffer_free(&out);
    return 0;
}

static int serve(const Config *config)
{
    sigset_t stop;
    int signal_number;

    /* Blocked before any thread exists, so that sigwait is the only one to see them. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    if (!server_start(config))
        return 1;
    sigwait(&stop, &signal_number);
    log_write(LOG_LEVEL_INFO, "stopping", NULL);
    return server_stop(config) ? 0 : 1;
}

/* Check the settings, and serve unless `check_only`. */
static int run(bool check_only)
{
    Config config;
    int status = 2;

    if (config_load(&config, stderr)) {
        log_init(config.log_level);
        status = check_only ? 0 : serve(&config);
    }
    config_free(&config);
    return status;
}

int main(int argc, char **argv)
{
    const char *option = argc > 1 ? argv[1] : "";

    if (argc > 2)
        return usage(stderr, 2);
    if (strcmp(option, "--help") == 0)
        return usage(stdout, 0);
    if (!router_init())
        return 1;
    if (strcmp(option, "--routes") == 0)
        return print_routes();
    if (strcmp(option, "--openapi") == 0)
        return print_openapi();
    if (option[0] != '\0' && strcmp(option, "--check") != 0)
        return usage(stderr, 2);
    return run(option[0] != '\0');
}
