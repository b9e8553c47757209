/*
 * config.h
 *    Settings of haild: environment variables, all checked at start.
 */
#ifndef HAILD_CONFIG_H
#define HAILD_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "log.h"

#define HAILD_MAX_ORIGINS 32

typedef struct Config {
    char *database_url;     /* conninfo or URI; may hold a password: never printed */
    const char *listen;     /* civetweb's listening_ports: host:port[,host:port] */
    const char *ops_listen; /* second address for health and metrics only, or NULL */
    int threads;            /* connections served at once */
    int ops_threads;
    int db_connections;  /* size of the pool */
    int pool_wait_ms;    /* a request waits this long for a connection before 503 */
    int keep_alive_ms;   /* an idle client connection is closed after this */
    int read_timeout_ms; /* a request must have arrived within this */
    int drain_s;         /* running requests may take this long after SIGTERM */
    int slow_ms;         /* slower requests are logged at level warn */
    LogLevel log_level;
    char *origins[HAILD_MAX_ORIGINS]; /* CORS allow-list: exact origins */
    int origin_count;
    char *origin_list; /* their text */
} Config;

/* Fill from the environment. False: at least one fault, each written to `faults` as a line naming the
 * variable. */
extern bool config_load(Config *config, FILE *faults);

extern void config_free(Config *config);

/* The settings with their meaning and default, for --help. */
extern void config_describe(FILE *out);

#endif
