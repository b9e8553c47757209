/* tick.h: only one process at a time changes who is inside. Used inside src/geofence only. */
#ifndef HAIL_GEOFENCE_TICK_H
#define HAIL_GEOFENCE_TICK_H

#include "postgres.h"

/* The geofence lock, until the transaction ends: if nobody has it; waiting for it. */
extern bool geofence_try_lock(void);
extern void geofence_lock(void);

#endif
