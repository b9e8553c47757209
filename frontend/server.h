/*
 * server.h
 *    The HTTP server: civetweb's contexts, its callbacks, and the way of a request from framing to answer.
 */
#ifndef HAILD_SERVER_H
#define HAILD_SERVER_H

#include <stdbool.h>

#include "config.h"

/* Start listening; false with a line in the log when an address can't be had. */
extern bool server_start(const Config *config);

/* Stop accepting, wait for running requests (at most config->drain_s), close. True: none was cut off. */
extern bool server_stop(const Config *config);

#endif
