/*
 * openapi.h
 *    The OpenAPI 3.1 document, made from the routes and the error registry.
 */
#ifndef HAILD_OPENAPI_H
#define HAILD_OPENAPI_H

#include "memory.h"

extern void openapi_render(Buffer *out);

#endif
