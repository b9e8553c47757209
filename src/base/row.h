/*
 * row.h
 *    Rows as their reader may see them.
 */
#ifndef HAIL_BASE_ROW_H
#define HAIL_BASE_ROW_H

#include "postgres.h"

/*
 * The composite value with NULL in the named columns (a list that ends with NULL, at most ROW_MAX_HIDDEN);
 * all must be columns of its type. Made in the current memory context.
 */
#define ROW_MAX_HIDDEN 32
extern Datum hail_row_without(Datum row, const char *const *columns);

#endif
