/*
 * error.h
 *    Raising an error of the registry from C:
 *
 *        ereport(ERROR, hail_error(HAIL_NOT_FOUND), errmsg("trip does not exist"), hail_field("trip_id"));
 *
 * hail_field() names the argument at fault; it travels in the column_name field of the error, where haild
 * finds it for its "details".
 */
#ifndef HAIL_BASE_ERROR_H
#define HAIL_BASE_ERROR_H

#include "postgres.h"
#include "base/sqlstate.h"

/* SQLSTATE of a registry row as PostgreSQL packs it; use inside ereport(). */
extern int hail_error(HailError error);

/* Names the argument at fault; use inside ereport(). */
#define hail_field(name) err_generic_string(PG_DIAG_COLUMN_NAME, (name))

#endif
